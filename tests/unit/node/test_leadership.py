"""Who should lead: the preferred replica, and nobody whose clock is wrong."""

from __future__ import annotations

from trimaran.node.leadership import STEADY_NS
from trimaran.node.raft.types import NodeId
from trimaran.proto.reply import OK

from ...sim.schedule import MS, SECOND
from .rig import Rig
from .test_engine import QUICK, Load


def test_leadership_goes_back_to_the_preferred_replica_when_it_is_up_again() -> None:
    rig = Rig(3, 3).settle()
    rig.kill("n1")
    rig.until(lambda: rig.leader(0) is not None)
    rig.do("n2", "SET k 1")
    rig.machines[NodeId("n1")].start()
    rig.until(lambda: rig.leader(0) == "n1", at_most_ns=6 * SECOND)
    assert rig.do("n3", "APPEND k 2") == [2]


def test_leadership_goes_back_under_load_too() -> None:
    rig = Rig(3, 1, parts=QUICK).settle()
    rig.shard("n1").core.transfer_leadership(rig.shard("n2").core.replica)
    rig.node("n1").engine.touch(rig.shard("n1"))
    rig.until(lambda: rig.leader(0) == "n2")
    load = Load(rig, [0], 8)
    behind = rig.shard("n2").core
    rig.run(SECOND)
    one, three = sorted(behind.followers(), key=lambda one: one.node)
    assert one.match_index < three.match_index, "the one to take over is not hurried"
    rig.until(lambda: rig.leader(0) == "n1", at_most_ns=2 * STEADY_NS)
    load.measure()


def test_a_preferred_replica_that_does_not_take_over_is_asked_less_and_less() -> None:
    rig = Rig(3, 1).settle()
    rig.shard("n1").core.allow_leading(is_allowed=False)
    rig.until(lambda: rig.leader(0) not in (None, "n1"))
    leader = rig.leader(0)
    assert leader is not None
    leadership = rig.node(leader).leadership
    before = leadership.transfers
    rig.run(70 * SECOND)
    # After 2, 4, 8, 16 and 32 s, and not every two: each holds up writes while it is tried.
    assert 4 <= leadership.transfers - before <= 5
    rig.shard("n1").core.allow_leading(is_allowed=True)
    rig.until(lambda: rig.leader(0) == "n1", at_most_ns=70 * SECOND)


def test_a_node_with_a_wrong_clock_leads_nothing_until_it_is_right_again() -> None:
    rig = Rig(3, 3).settle()
    rig.machines[NodeId("n1")].clock.skew_ms = 8000
    rig.until(lambda: rig.leader(0) not in (None, "n1"), at_most_ns=5 * SECOND)
    rig.run(10 * SECOND)
    assert "n1" not in {rig.leader(number) for number in range(3)}
    assert rig.do("n1", "SET k 1") == [OK]
    rig.machines[NodeId("n1")].clock.skew_ms = 0
    rig.until(lambda: rig.leader(0) == "n1", at_most_ns=30 * SECOND)


def test_a_leader_is_left_alone_for_a_while_before_it_hands_over() -> None:
    rig = Rig(3, 1).settle()
    rig.shard("n1").core.transfer_leadership(rig.shard("n2").core.replica)
    rig.node("n1").engine.touch(rig.shard("n1"))
    rig.until(lambda: rig.leader(0) == "n2")
    rig.run(STEADY_NS - 600 * MS)
    assert rig.leader(0) == "n2"
    rig.until(lambda: rig.leader(0) == "n1", at_most_ns=3 * SECOND)
