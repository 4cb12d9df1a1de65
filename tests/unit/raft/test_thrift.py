"""Who is sent new entries at once, and who some time later (`thrift.py`)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from trimaran.node.raft.progress import Progress, State
from trimaran.node.raft.thrift import (
    ALIKE_NS,
    PATIENCE_NS,
    PATIENT_BYTES_MAX,
    SLOW_NS,
    TRIAL_EVERY_NS,
    Thrift,
)
from trimaran.node.raft.types import ZERO, AppendEntries, AppendReply, NodeId, ReplicaId

from .replicas import CONFIG, MS, entries, make_core, make_leader, matched, replica_ids, save

if TYPE_CHECKING:
    from trimaran.node.raft.core import RaftCore
    from trimaran.node.raft.types import RaftConfig

ONE, TWO, THREE, FOUR, FIVE = replica_ids(5)
WINDOW = 8
START, END = 100 * PATIENCE_NS, 101 * PATIENCE_NS
# Nothing else is due while somebody waits.
QUIET = replace(
    CONFIG, heartbeat_interval_ns=10 * PATIENCE_NS, election_timeout_ns=40 * PATIENCE_NS
)


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


def test_an_entry_that_some_were_sent_before_is_no_trial() -> None:
    known = followers(TWO, THREE)
    thrift = tried(Thrift(NodeId("n1"), known.values(), WINDOW), dict.fromkeys(known, MS // 2))
    for one in known.values():
        one.next_index = 11
    known[TWO].next_index = 12
    assert thrift.patient(11, 2 * TRIAL_EVERY_NS) == [THREE]
    assert not thrift.patient(12, 2 * TRIAL_EVERY_NS)


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


def appends(core: RaftCore) -> dict[ReplicaId, tuple[list[int], bool]]:
    """Which entries go to whom, and whether their acknowledgement may wait."""
    found = [one for one in save(core) if isinstance(one, AppendEntries) and one.entries]
    assert len({one.target for one in found}) == len(found), "one message each"
    return {one.target: ([entry.index for entry in one.entries], one.is_patient) for one in found}


def thrifty_leader(config: RaftConfig = QUIET) -> RaftCore:
    """Of three, with two entries that all have, at START; it hurries TWO."""
    core = make_leader(config=config)
    for follower in (TWO, THREE):
        core.receive(matched(follower, ONE, 1, 1), START)
    save(core)
    core.propose(b"trial", START)
    assert appends(core) == {TWO: ([2], False), THREE: ([2], False)}
    for follower in (TWO, THREE):
        core.receive(matched(follower, ONE, 1, 2), START)
    core.tick(START)
    save(core)
    return core


@pytest.mark.parametrize("is_patient", [True, False])
def test_a_follower_is_in_no_hurry_with_what_was_in_none(*, is_patient: bool) -> None:
    core = make_core(replica=2)
    core.receive(AppendEntries(ONE, TWO, 1, ZERO, entries(1), 0, is_patient), MS)
    (reply,) = [one for one in save(core) if isinstance(one, AppendReply)]
    assert (reply.match_index, reply.is_patient) == (1, is_patient)


def test_entries_commit_without_who_waits_and_reach_it_together_at_one_moment() -> None:
    core = thrifty_leader()
    for index in (3, 4):
        core.propose(b"x", START)
        assert appends(core) == {TWO: ([index], False)}
        core.receive(matched(TWO, ONE, 1, index), START)
        assert core.commit_index == index
    assert core.next_deadline() == END
    core.tick(END - 1)
    assert appends(core) == {}
    core.tick(END)
    assert appends(core) == {THREE: ([3, 4], True)}


@pytest.mark.parametrize("since", [START, START + PATIENCE_NS // 2, END - 1])
def test_those_of_all_shards_wait_for_the_same_moment(since: int) -> None:
    core = thrifty_leader()
    core.propose(b"x", since)
    assert appends(core) == {TWO: ([3], False)}
    core.receive(matched(TWO, ONE, 1, 3), since)
    core.tick(END - 1)
    assert appends(core) == {}
    core.tick(END)
    assert appends(core) == {THREE: ([3], True)}


def test_what_comes_before_a_late_tick_does_not_put_it_off() -> None:
    core = thrifty_leader()
    core.propose(b"x", START)
    save(core)
    core.propose(b"y", END + MS)
    assert appends(core) == {TWO: ([4], False)}
    assert core.next_deadline() == END


def test_who_is_not_in_step_is_asked_at_once_where_it_stands() -> None:
    core = thrifty_leader()
    core.propose(b"x", START)
    save(core)
    core.reachable(NodeId("n3"), START)
    assert appends(core)[THREE][0] == [3]


def test_what_waits_is_no_reason_to_tick_twice() -> None:
    core = thrifty_leader()
    core.propose(b"x", START)
    save(core)
    core.tick(END)
    save(core)
    assert core.next_deadline() > END


def test_many_bytes_do_not_wait() -> None:
    core = thrifty_leader(replace(QUIET, append_bytes_max=1 << 20, uncommitted_bytes_max=1 << 20))
    core.propose(b"x" * PATIENT_BYTES_MAX, START)
    assert appends(core) == {TWO: ([3], False)}
    core.propose(b"x", START)
    assert appends(core) == {TWO: ([4], False), THREE: ([3, 4], True)}


def test_who_waits_is_hurried_when_the_one_that_is_relied_on_is_lost() -> None:
    core = thrifty_leader()
    core.propose(b"x", START)
    assert appends(core) == {TWO: ([3], False)}
    core.unreachable(NodeId("n2"))
    assert appends(core) == {THREE: ([3], False)}


def test_an_entry_commits_with_who_waited_for_it_if_the_other_one_hangs() -> None:
    core = thrifty_leader()
    core.propose(b"x", START)
    save(core)
    core.tick(END)
    assert appends(core)[THREE][0] == [3]
    core.receive(matched(THREE, ONE, 1, 3), END)
    assert core.commit_index == 3


def test_who_is_to_take_over_does_not_wait() -> None:
    core = thrifty_leader()
    core.propose(b"x", START)
    assert appends(core) == {TWO: ([3], False)}
    core.transfer_leadership(THREE)
    assert appends(core) == {THREE: ([3], False)}


def test_nobody_waits_when_somebody_asks_for_all() -> None:
    core = thrifty_leader()
    core.propose(b"x", START)
    save(core)
    core.hurry()
    assert appends(core) == {THREE: ([3], True)}
    core.propose(b"y", START)
    assert appends(core) == {TWO: ([4], False)}


def test_the_moment_stands_when_somebody_asks_for_all() -> None:
    core = thrifty_leader()
    core.propose(b"x", START)
    save(core)
    core.hurry()
    assert core.next_deadline() == END, "it may be long until there is anything else to do"


def test_who_waits_is_hurried_with_what_the_next_snapshot_takes_away() -> None:
    core = thrifty_leader()
    core.propose(b"x", START)
    save(core)
    core.receive(matched(TWO, ONE, 1, 3), START)
    save(core)
    core.propose(b"y", START)
    save(core)
    core.compact(core.meta_at(3), 4)
    assert appends(core) == {THREE: ([3, 4], True)}


def test_a_snapshot_hurries_nobody_with_what_it_leaves() -> None:
    core = thrifty_leader()
    core.propose(b"x", START)
    save(core)
    core.receive(matched(TWO, ONE, 1, 3), START)
    save(core)
    core.compact(core.meta_at(3), 3)
    assert appends(core) == {}
    core.tick(END)
    assert appends(core) == {THREE: ([3], True)}


def test_who_waits_when_a_trial_is_due_does_not_pass_for_the_quicker_one() -> None:
    core = thrifty_leader()
    due = START + TRIAL_EVERY_NS
    core.propose(b"x", due - MS)
    assert appends(core) == {TWO: ([3], False)}
    core.receive(matched(TWO, ONE, 1, 3), due - MS // 2)
    core.tick(due + PATIENCE_NS)
    assert appends(core) == {THREE: ([3], True)}
    core.receive(matched(THREE, ONE, 1, 3), due + PATIENCE_NS)
    core.propose(b"trial", due + 2 * PATIENCE_NS)
    assert appends(core) == {TWO: ([4], False), THREE: ([4], False)}
    for follower in (TWO, THREE):
        core.receive(matched(follower, ONE, 1, 4), due + 2 * PATIENCE_NS)
    core.propose(b"y", due + 2 * PATIENCE_NS)
    assert appends(core) == {TWO: ([5], False)}


def test_what_may_not_leave_when_the_wait_is_over_leaves_later() -> None:
    core = thrifty_leader(replace(QUIET, inflight_appends_max=2))
    core.propose(b"x", START)
    save(core)
    core.receive(matched(TWO, ONE, 1, 3), START)
    core.tick(END)
    assert appends(core)[THREE] == ([3], True)
    for index, sent in ((4, [4]), (5, None)):  # Of two that are owed, one is too much.
        core.propose(b"x", END)
        assert appends(core).get(THREE) == (sent and (sent, False))
        core.receive(matched(TWO, ONE, 1, index), END)
    core.receive(matched(THREE, ONE, 1, 4), END)
    assert appends(core) == {}
    core.tick(END + PATIENCE_NS)
    assert appends(core) == {THREE: ([5], True)}
