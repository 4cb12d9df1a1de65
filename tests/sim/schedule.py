"""Virtual time: one heap of (time, sequence, action), and the trace of what happened.

Nothing in a run may look at another clock or another source of randomness: the same seed must give
the same trace, to the byte, in any process.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from hashlib import blake2b

MS = 1_000_000  # Nanoseconds in one.
SECOND = 1000 * MS
TAIL_LINES = 400  # What a failure shows of the trace.


class Trace:
    """A running hash of all events, and the last of them as text."""

    def __init__(self, *, is_verbose: bool = False) -> None:
        self.lines: deque[str] = deque(maxlen=TAIL_LINES)
        self.events = 0
        self._hash = blake2b(digest_size=8)
        self._is_verbose = is_verbose

    def note(self, now_ns: int, text: str) -> None:
        line = f"{now_ns / MS:12.3f} {text}"
        self.events += 1
        self._hash.update(line.encode())
        self.lines.append(line)
        if self._is_verbose:
            print(line)

    def hash(self) -> str:
        return self._hash.hexdigest()


class Schedule:
    """What will happen when. Events of the same time happen in the order they were asked for."""

    def __init__(self, trace: Trace) -> None:
        self.now_ns = 0
        self.trace = trace
        self.steps = 0
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._sequence = 0

    def at(self, time_ns: int, action: Callable[[], None]) -> None:
        self._sequence += 1
        heapq.heappush(self._heap, (max(time_ns, self.now_ns), self._sequence, action))

    def after(self, delay_ns: int, action: Callable[[], None]) -> None:
        self.at(self.now_ns + delay_ns, action)

    def step(self) -> bool:
        """Let the next event happen; False if there is none."""
        if not self._heap:
            return False
        self.now_ns, _, action = heapq.heappop(self._heap)
        self.steps += 1
        action()
        return True

    def run_until(self, time_ns: int) -> None:
        """Let everything happen that is due by `time_ns`."""
        while self._heap and self._heap[0][0] <= time_ns:
            self.step()
        self.now_ns = max(self.now_ns, time_ns)

    def note(self, text: str) -> None:
        self.trace.note(self.now_ns, text)
