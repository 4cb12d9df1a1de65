"""Where time comes from. The only module of `node/` that asks the machine for it.

Raft gets a clock that goes on during suspension (correctness R3): a process stopped for 20 s must
not believe afterwards that no time has passed.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    def now_ns(self) -> int:
        """Nanoseconds of a clock that never goes back and runs while suspended."""
        ...

    def wall_ms(self) -> int:
        """Milliseconds since 1970, as the machine believes; may jump."""
        ...

    def wall_us(self) -> int:
        """The same in microseconds."""
        ...


class SystemClock:
    """CLOCK_BOOTTIME and the wall clock."""

    def now_ns(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def wall_us(self) -> int:
        return time.time_ns() // 1_000
