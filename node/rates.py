"""How fast counters grow, over the last second or two: INFO's `instantaneous_...` fields."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

INTERVAL_NS = 100_000_000
SAMPLES = 16  # As many as Redis looks at.


class Rates:
    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._samples: deque[tuple[int, tuple[int, ...]]] = deque(maxlen=SAMPLES)

    def is_due(self, now_ns: int) -> bool:
        return not self._samples or now_ns - self._samples[-1][0] >= INTERVAL_NS

    def sample(self, now_ns: int, totals: Sequence[int]) -> None:
        """What the counters show now, in the order of the names."""
        self._samples.append((now_ns, tuple(totals)))

    def per_second(self) -> dict[str, float]:
        """By name; 0 until there are two samples."""
        if len(self._samples) < 2:
            return dict.fromkeys(self._names, 0.0)
        (first_ns, first), (last_ns, last) = self._samples[0], self._samples[-1]
        seconds = max(last_ns - first_ns, 1) / 1e9
        return {
            # A counter that was set back (CONFIG RESETSTAT) does not run backwards.
            name: max(after - before, 0) / seconds
            for name, before, after in zip(self._names, first, last, strict=True)
        }
