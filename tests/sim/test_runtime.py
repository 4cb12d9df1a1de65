"""A simulated process: what runs, what waits, what dies with it."""

from __future__ import annotations

from random import Random

from .runtime import DiskProfile, SimRuntime
from .schedule import MS, SECOND, Schedule, Trace


class Rig:
    def __init__(self) -> None:
        self.happened: list[str] = []
        self.schedule = Schedule(Trace())
        self.disk = DiskProfile()
        self.runtime = SimRuntime(
            self.schedule, Random(1), self.disk, lambda error: self.happened.append(str(error))
        )

    def note(self, text: str) -> None:
        self.happened.append(text)


def test_callbacks_run_first_in_first_out() -> None:
    rig = Rig()
    for number in range(20):
        rig.runtime.call_soon(lambda number=number: rig.note(str(number)))  # type: ignore[misc]  # a bound loop variable
    rig.schedule.run_until(SECOND)
    assert rig.happened == [str(number) for number in range(20)]


def test_work_takes_effect_when_its_time_is_over_and_one_after_the_other() -> None:
    rig = Rig()
    rig.runtime.run_log(lambda: rig.note("write 1"), lambda _: rig.note("done 1"))
    rig.runtime.run_log(lambda: rig.note("write 2"), lambda _: rig.note("done 2"))
    assert rig.happened == []
    rig.schedule.run_until(SECOND)
    assert rig.happened == ["write 1", "done 1", "write 2", "done 2"]


def test_a_paused_process_goes_on_where_it_was_but_the_machine_finishes_its_writes() -> None:
    rig = Rig()
    rig.runtime.run_log(lambda: rig.note("write"), lambda _: rig.note("done"))
    rig.runtime.call_soon(lambda: rig.note("soon"))
    rig.runtime.paused_until_ns = SECOND
    rig.schedule.run_until(SECOND - 1)
    assert rig.happened == ["write"]
    rig.schedule.run_until(SECOND)
    assert sorted(rig.happened[1:]) == ["done", "soon"]


def test_a_dead_process_runs_nothing_and_leaves_its_work_unfinished() -> None:
    rig = Rig()
    rig.runtime.run_log(lambda: rig.note("write"), lambda _: rig.note("done"))
    rig.runtime.call_later(MS, lambda: rig.note("later"))
    rig.runtime.is_alive = False
    rig.schedule.run_until(SECOND)
    assert rig.happened == []
    assert len(rig.runtime.unfinished()) == 1


def test_a_stalled_disk_finishes_nothing_until_it_moves_again() -> None:
    rig = Rig()
    rig.runtime.run_log(lambda: rig.note("write"), lambda _: rig.note("done"))
    rig.disk.stalled_until_ns = SECOND
    rig.schedule.run_until(SECOND - 1)
    assert rig.happened == []
    rig.schedule.run_until(2 * SECOND)
    assert rig.happened == ["write", "done"]


def test_a_failed_write_stops_the_process() -> None:
    rig = Rig()

    def fail() -> None:
        raise OSError("no disk")

    rig.runtime.run_log(fail, lambda _: rig.note("done"))
    rig.schedule.run_until(SECOND)
    assert rig.happened == ["no disk"]
