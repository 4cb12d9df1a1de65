"""The latency monitor: for each kind of event, the worst of every second in which one was slow.

Off until `latency-monitor-threshold` is set, as in Redis. Events are commands (`command`,
`fast-command`: those that are O(1) or O(log n)), syncs of the log (`aof-fsync-always`), and times
in which the event loop did not turn (`loop-pause`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import zip_longest

COMMAND, FAST_COMMAND, FSYNC, PAUSE = "command", "fast-command", "aof-fsync-always", "loop-pause"
SAMPLES_MAX = 160  # Per event.
GRAPH_COLUMNS, GRAPH_ROWS = 80, 4


@dataclass(slots=True)
class Series:
    samples: deque[tuple[int, int]] = field(  # (Unix time in s, worst ms in that second).
        default_factory=lambda: deque(maxlen=SAMPLES_MAX)
    )
    worst_ms: int = 0

    def add(self, at_s: int, took_ms: int) -> None:
        self.worst_ms = max(self.worst_ms, took_ms)
        if self.samples and self.samples[-1][0] == at_s:
            took_ms = max(took_ms, self.samples.pop()[1])
        self.samples.append((at_s, took_ms))


class LatencyMonitor:
    def __init__(self, wall_s: Callable[[], int]) -> None:
        self.threshold_ms = 0  # 0: off.
        self.series: dict[str, Series] = {}
        self._wall_s = wall_s

    def note(self, event: str, took_ns: int) -> None:
        """Something took so long; kept if that is long."""
        took_ms = took_ns // 1_000_000
        if not self.threshold_ms or took_ms < self.threshold_ms:
            return
        series = self.series.get(event)
        if series is None:
            series = self.series[event] = Series()
        series.add(self._wall_s(), took_ms)

    def reset(self, events: Iterable[str] = ()) -> int:
        """Forget these events, or all; how many there were."""
        found = [one for one in (set(events) or list(self.series)) if one in self.series]
        for one in found:
            del self.series[one]
        return len(found)

    def graph(self, event: str) -> str:
        """The series of an event as text: a column per sample, how long ago it was under it."""
        series = self.series[event]
        samples = list(series.samples)[-GRAPH_COLUMNS:]
        values = [took_ms for _, took_ms in samples]
        low, high = min(values), max(values)
        title = f"{event} - high {high} ms, low {low} ms (all time high {series.worst_ms} ms)"
        lines = [title, "-" * 80]
        heights = [(one - low) * (GRAPH_ROWS - 1) // max(high - low, 1) for one in values]
        for row in reversed(range(GRAPH_ROWS)):
            cells = ("#" if one == row else "|" if one > row else " " for one in heights)
            lines.append("".join(cells).rstrip() if row else "".join("#|"[h > 0] for h in heights))
        lines.append("")
        now_s = self._wall_s()
        ages = [_age(now_s - at_s) for at_s, _ in samples]
        lines += ["".join(letters).rstrip() for letters in zip_longest(*ages, fillvalue=" ")]
        return "\n".join(lines) + "\n"

    def report(self) -> str:
        """What is slow here and what to look at, in sentences."""
        if not self.threshold_ms:
            return (
                "The latency monitor is off. Switch it on for this node with CONFIG SET"
                " latency-monitor-threshold <milliseconds>, wait for something slow, ask again.\n"
            )
        if not self.series:
            return f"Nothing has taken {self.threshold_ms} ms or longer on this node.\n"
        return "".join(map(self._told, sorted(self.series)))

    def _told(self, event: str) -> str:
        series = self.series[event]
        values = [took_ms for _, took_ms in series.samples]
        mean = sum(values) / len(values)
        return (
            f"{event}: {len(values)} slow seconds, {mean:.0f} ms on average, at worst"
            f" {series.worst_ms} ms. {_ADVICE.get(event, '')}\n"
        )


_ADVICE = {
    COMMAND: "Commands of O(N) on large values: SLOWLOG GET names them. Times include the log and"
    " the way to the shard's leader.",
    FAST_COMMAND: "Cheap commands waited: for a sync, for a majority, or behind others. Compare"
    " with aof-fsync-always and loop-pause.",
    FSYNC: "The disk is slow to sync, or something else writes to it: give the log its own.",
    PAUSE: "The process did not run: the machine is short of processors, it was stopped, or one"
    " command took that long.",
}


def _age(seconds: int) -> str:
    for unit, name in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= unit:
            return f"{seconds // unit}{name}"
    return f"{max(seconds, 0)}s"
