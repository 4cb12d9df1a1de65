"""Who is sent new entries at once, and who with the next message there is (`thrift.py`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trimaran.node.raft.progress import Progress, State
from trimaran.node.raft.thrift import ALIKE_NS, SLOW_NS, TRIAL_EVERY_NS, Thrift
from trimaran.node.raft.types import ZERO, AppendEntries, AppendReply, NodeId, ReplicaId

from .replicas import MS, entries, make_core, make_leader, matched, replica_ids, save

if TYPE_CHECKING:
    from trimaran.node.raft.core import RaftCore

ONE, TWO, THREE, FOUR, FIVE = replica_ids(5)
WINDOW = 8


def followers(*replicas: ReplicaId) -> dict[ReplicaId, Progress]:
    return {
        replica: Progress(
            replica,
            NodeId(f"n{replica}"),
            next_index=1,
            heard_at=0,
            asked_at=0,
            state=State.REPLICATE,
        )
        for replica in replicas
    }


def tried(thrift: Thrift, delays: dict[ReplicaId, int], at: int = 0) -> Thrift:
    """A trial at that time, which each acknowledges after that long."""
    assert not thrift.patient(10, at)
    for replica, delay in delays.items():
        thrift.acknowledged(replica, 10, at + delay)
    return thrift


@pytest.mark.parametrize(("leader", "hurried"), [(1, TWO), (2, THREE), (3, ONE)])
def test_the_node_that_follows_by_name_is_hurried_and_the_other_is_not(
    leader: int, hurried: ReplicaId
) -> None:
    others = [one for one in (ONE, TWO, THREE) if one != leader]
    thrift = Thrift(NodeId(f"n{leader}"), followers(*others).values(), WINDOW)
    tried(thrift, dict.fromkeys(others, MS))
    assert thrift.patient(11, MS) == [one for one in others if one != hurried]


def test_a_majority_is_hurried_of_five() -> None:
    thrift = Thrift(NodeId("n4"), followers(ONE, TWO, THREE, FIVE).values(), WINDOW)
    tried(thrift, {})
    assert sorted(thrift.patient(11, MS)) == [TWO, THREE]


def test_once_a_second_an_entry_goes_to_all() -> None:
    thrift = tried(Thrift(NodeId("n1"), followers(TWO, THREE).values(), WINDOW), {})
    assert thrift.patient(11, TRIAL_EVERY_NS - 1) == [THREE]
    assert not thrift.patient(11, TRIAL_EVERY_NS)
    assert thrift.patient(11, TRIAL_EVERY_NS + 1)


def test_the_quicker_one_is_hurried_wherever_its_turn_is() -> None:
    for slow, patient in ((ALIKE_NS - 1, THREE), (2 * ALIKE_NS, TWO)):
        thrift = Thrift(NodeId("n1"), followers(TWO, THREE).values(), WINDOW)
        tried(thrift, {TWO: slow, THREE: MS // 2})
        assert thrift.patient(11, 30 * MS) == [patient]


def test_who_has_not_acknowledged_a_trial_at_all_is_the_slowest() -> None:
    thrift = Thrift(NodeId("n1"), followers(TWO, THREE).values(), WINDOW)
    tried(thrift, {THREE: 100 * MS})
    assert thrift.patient(11, 200 * MS) == [THREE]  # Of the other one nothing is known yet.
    assert not thrift.patient(11, TRIAL_EVERY_NS)
    assert thrift.patient(11, TRIAL_EVERY_NS + MS) == [TWO]


def test_what_was_sent_before_a_trial_says_nothing_about_it() -> None:
    thrift = Thrift(NodeId("n1"), followers(TWO, THREE).values(), WINDOW)
    tried(thrift, {THREE: MS // 2})
    thrift.acknowledged(TWO, 9, 2 * MS)
    thrift.acknowledged(TWO, 10, 50 * MS)
    thrift.acknowledged(TWO, 11, 51 * MS)
    assert thrift.patient(12, 60 * MS) == [TWO]


def test_all_are_hurried_while_one_of_them_is_slow_or_not_in_step() -> None:
    known = followers(TWO, THREE)
    thrift = tried(Thrift(NodeId("n1"), known.values(), WINDOW), {})
    for one in known.values():
        one.sent(11, 0)
    known[THREE].matched(11, MS)
    assert thrift.patient(12, SLOW_NS - 1) == [THREE]
    assert thrift.patient(12, SLOW_NS) == [TWO]  # It is the other one's turn.
    known[THREE].state = State.PROBE
    assert not thrift.patient(12, SLOW_NS)


def test_who_owes_half_of_what_may_be_on_its_way_is_hurried() -> None:
    known = followers(TWO, THREE)
    thrift = tried(Thrift(NodeId("n1"), known.values(), WINDOW), {})
    for index in range(11, 11 + WINDOW // 2):
        assert thrift.patient(index, MS) == [THREE]
        known[THREE].sent(index, 0)
    assert not thrift.patient(20, MS)


def appends(core: RaftCore) -> dict[ReplicaId, bool]:
    """To whom entries go, and whether they may wait."""
    return {
        one.target: one.is_patient
        for one in save(core)
        if isinstance(one, AppendEntries) and one.entries
    }


@pytest.mark.parametrize("is_patient", [True, False])
def test_a_follower_is_in_no_hurry_with_what_was_in_none(*, is_patient: bool) -> None:
    core = make_core(replica=2)
    core.receive(AppendEntries(ONE, TWO, 1, ZERO, entries(1), 0, is_patient), MS)
    (reply,) = [one for one in save(core) if isinstance(one, AppendReply)]
    assert (reply.match_index, reply.is_patient) == (1, is_patient)


def test_a_leader_marks_what_may_wait_and_commits_without_it() -> None:
    core = make_leader()
    now = core.next_deadline()
    for follower in (TWO, THREE):
        core.receive(matched(follower, ONE, 1, 1), now)
    save(core)
    core.propose(b"trial", now)
    assert appends(core) == {TWO: False, THREE: False}
    for follower in (TWO, THREE):
        core.receive(matched(follower, ONE, 1, 2), now)
    core.propose(b"x", now)
    assert appends(core) == {TWO: False, THREE: True}
    core.receive(matched(TWO, ONE, 1, 3), now)
    assert core.commit_index == 3
