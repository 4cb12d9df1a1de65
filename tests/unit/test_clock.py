from __future__ import annotations

from trimaran.node.clock import SystemClock


def test_wall_time_is_told_in_microseconds_too() -> None:
    clock = SystemClock()
    before, told, after = clock.wall_ms(), clock.wall_us(), clock.wall_ms()
    assert before <= told // 1_000 <= after
    assert any(clock.wall_us() % 1_000 for _ in range(1_000))
