"""When the next batch may leave (correctness E1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from trimaran.cluster.slots import ShardId
from trimaran.node.gate import MISSES_MAX, SKIPPED, Gate, Gather

from ...sim.schedule import MS

if TYPE_CHECKING:
    from trimaran.node.shard import Shard

US = 1_000


@dataclass
class FakeCore:
    commit_index: int = 0


@dataclass
class FakeShard:
    """What the gate looks at."""

    id: ShardId
    is_leader: bool = True
    core: FakeCore = field(default_factory=FakeCore)

    def __call__(self) -> Shard:
        return cast("Shard", self)


def two() -> tuple[Gate, FakeShard, FakeShard]:
    return Gate(5 * MS), FakeShard(ShardId(0)), FakeShard(ShardId(1))


def test_it_opens_when_all_that_left_has_committed() -> None:
    gate, one, other = two()
    gate.proposed(one(), 3, 1, 0)
    gate.proposed(other(), 7, 1, 0)
    one.core.commit_index = 3
    gate.settle(100 * US)
    assert not gate.is_open(100 * US)
    other.core.commit_index = 8
    gate.settle(200 * US)
    gate.gather.arrived(2)
    assert gate.is_open(200 * US)
    assert gate.forced == 0


def test_it_opens_without_those_that_take_more_than_twice_the_usual_time() -> None:
    gate, one, other = two()
    for batch in range(40):
        gate.proposed(one(), batch + 1, 1, batch * MS)
        one.core.commit_index = batch + 1
        gate.settle(batch * MS + 400 * US)
    assert gate.commit_ns == 400 * US
    gate.proposed(other(), 1, 1, 100 * MS)
    gate.settle(100 * MS + 799 * US)
    assert not gate.is_open(100 * MS + 799 * US)
    gate.settle(100 * MS + 800 * US)
    assert gate.is_open(100 * MS + 800 * US)
    assert gate.forced == 1


def test_it_never_waits_longer_than_its_bound() -> None:
    gate, one, _ = two()
    for batch in range(40):
        gate.proposed(one(), batch + 1, 1, batch * 100 * MS)
        gate.settle(batch * 100 * MS + 5 * MS)
        one.core.commit_index = batch + 1
        gate.settle(batch * 100 * MS + 50 * MS)
        assert gate.is_open(batch * 100 * MS + 50 * MS)
    assert gate.forced == 40


def test_a_shard_that_missed_the_bound_is_not_waited_for_until_it_commits() -> None:
    gate, one, stuck = two()
    gate.proposed(stuck(), 1, 1, 0)
    gate.settle(5 * MS)
    gate.proposed(stuck(), 2, 1, 6 * MS)
    assert gate.is_open(6 * MS)
    gate.proposed(one(), 1, 1, 6 * MS)
    one.core.commit_index = 1
    gate.settle(7 * MS)
    gate.gather.arrived(1)
    assert gate.is_open(7 * MS)
    stuck.core.commit_index = 1
    gate.settle(8 * MS)
    gate.proposed(stuck(), 3, 1, 8 * MS)
    assert not gate.is_open(8 * MS)


def test_a_shard_that_is_not_waited_for_may_not_flood_its_peers() -> None:
    gate, _, stuck = two()
    gate.proposed(stuck(), 1, 1, 0)
    gate.settle(5 * MS)
    assert gate.admits(stuck(), 5 * MS)
    gate.proposed(stuck(), 2, 1, 6 * MS)
    assert not gate.admits(stuck(), 7 * MS)
    assert gate.admits(stuck(), 11 * MS)


def test_who_leads_no_more_is_not_waited_for() -> None:
    gate, one, _ = two()
    gate.proposed(one(), 1, 1, 0)
    one.is_leader = False
    gate.settle(1)
    assert not gate._waiting


def test_a_batch_is_held_until_those_who_were_answered_are_back() -> None:
    gather = Gather(MS)
    gather.answered(8, 500 * US, 0)
    gather.arrived(5)
    assert gather.holds(100 * US)
    gather.arrived(1)  # Three quarters.
    assert not gather.holds(100 * US)


def test_a_batch_is_not_held_longer_than_its_time() -> None:
    gather = Gather(MS)
    gather.answered(8, 5 * MS, 0)
    assert gather.holds(999 * US)
    assert not gather.holds(MS)


def test_nobody_is_held_for_those_who_do_not_come_back() -> None:
    gather = Gather(MS)
    for batch in range(MISSES_MAX):
        gather.answered(8, MS, 2 * batch * MS)
        assert not gather.holds((2 * batch + 1) * MS)
    for _ in range(SKIPPED):
        gather.answered(8, MS, 10 * MS)
        assert not gather.holds(10 * MS)
    gather.answered(8, MS, 10 * MS)
    assert gather.holds(10 * MS)
