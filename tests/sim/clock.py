"""The clocks of one simulated machine: one that runs on evenly, and a wall clock that lies."""

from __future__ import annotations

from .schedule import MS, Schedule

EPOCH_MS = 1_700_000_000_000  # Where wall clocks stand when a run begins.


class SimClock:
    """`Clock` of a node: its zero is its own, its rate a little off, its wall clock skewed."""

    def __init__(self, schedule: Schedule, *, zero_ns: int, rate_ppm: int) -> None:
        self._schedule = schedule
        self._zero_ns = zero_ns
        self._rate_ppm = rate_ppm
        self.skew_ms = 0  # Of the wall clock; faults change it at any time, also backwards.

    def now_ns(self) -> int:
        passed = self._schedule.now_ns
        return self._zero_ns + passed + passed * self._rate_ppm // 1_000_000

    def wall_ms(self) -> int:
        return EPOCH_MS + self._schedule.now_ns // MS + self.skew_ms

    def wall_us(self) -> int:
        return self.wall_ms() * 1_000
