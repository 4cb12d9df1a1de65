"""The follower that is not hurried (`raft/thrift.py`), seen from outside the core."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ...sim.schedule import MS
from .rig import Rig, asked

if TYPE_CHECKING:
    from trimaran.node.raft.core import RaftCore


def waiting(rig: Rig) -> RaftCore:
    """The core of the leader, n1, with an entry for which n3 has to wait longer than a tick."""
    core = rig.settle().shard("n1").core
    rig.do("n1", "SET a 1")  # It goes to all.
    rig.until(lambda: lag(core) == [0, 0])
    while True:
        rig.do("n1", "SET a 2")
        lead = core._lead
        assert lead is not None
        if lag(core) == [0, 1] and lead.patience_ends_at - core._now > 40 * MS:
            return core
        rig.run(7 * MS)


def lag(core: RaftCore) -> list[int]:
    """How many entries each follower has not acknowledged."""
    return [core.last.index - one.match_index for one in core.followers()]


def saved_by(rig: Rig, index: int) -> list[int]:
    """What `_WAIT index` is answered."""
    one = asked(f"_WAIT {index}")
    one.request.has_write = False
    rig.process("n1").ask(one.request, one.outcomes.append)
    rig.until(lambda: one.outcome)
    return cast("list[int]", one.replies[0])


def test_who_waits_is_hurried_when_somebody_asks_a_second_time_who_has_a_write() -> None:
    rig = Rig(3, 1)
    core = waiting(rig)
    index, _, followers = saved_by(rig, 0)
    assert (index, followers) == (core.last.index, 1)
    assert saved_by(rig, index)[2] == 1
    rig.run(25 * MS)  # It acknowledges with its next tick.
    assert saved_by(rig, index)[2] == 2


def test_who_asks_once_who_has_a_write_hurries_nobody() -> None:
    rig = Rig(3, 1)
    core = waiting(rig)
    assert saved_by(rig, 0)[2] == 1
    rig.run(30 * MS)
    assert lag(core) == [0, 1]
    rig.run(70 * MS)
    assert lag(core) == [0, 0]


def test_who_waits_needs_no_snapshot_though_no_log_is_kept_behind_one() -> None:
    rig = Rig(3, 1, log_keep_bytes=0)
    core = waiting(rig)
    rig.node("n1").snapshotting.take(rig.shard("n1"))
    rig.until(lambda: core.first_index == core.last.index + 1)
    rig.run(100 * MS)
    assert lag(core) == [0, 0]
    assert not rig.node("n3").snapshotting.installed
