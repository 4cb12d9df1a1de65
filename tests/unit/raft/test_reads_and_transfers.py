"""Raft §8, dissertation §6.4 and §3.10, correctness R10: reads, and leadership handed on."""

from __future__ import annotations

import pytest

from trimaran.node.errors import NotLeader
from trimaran.node.raft.thrift import PATIENCE_NS
from trimaran.node.raft.types import (
    ZERO,
    AppendEntries,
    Heartbeat,
    HeartbeatReply,
    Message,
    ReadBarrier,
    ReplicaId,
    RequestVote,
    Role,
    TimeoutNow,
)

from .replicas import (
    ELECTION_MS,
    HEARTBEAT_MS,
    MS,
    Cluster,
    make_core,
    make_leader,
    matched,
    replica_ids,
    role_of,
    save,
    take,
)

ONE, TWO, THREE = replica_ids(3)


def rounds(messages: list[Message], target: ReplicaId = TWO) -> list[tuple[int, bool]]:
    return [
        (one.round, one.is_urgent)
        for one in messages
        if isinstance(one, Heartbeat) and one.target == target
    ]


# --- Reads.


def test_a_read_waits_for_a_round_that_a_majority_answers() -> None:
    core = make_leader()
    core.receive(matched(TWO, ONE, 1, 1), MS)
    save(core)
    token = core.request_read(2 * MS)
    (ready,) = take(core)
    assert rounds(list(ready.send_now)) == [(1, True)]
    assert ready.reads == ()
    core.receive(HeartbeatReply(THREE, ONE, 1, 1, is_urgent=True), 3 * MS)
    (ready,) = take(core)
    assert ready.reads == (ReadBarrier(token, 1),)
    core.receive(HeartbeatReply(TWO, ONE, 1, 1, is_urgent=True), 3 * MS)
    assert take(core) == []


def test_many_reads_share_a_round_and_later_ones_the_next() -> None:
    core = make_leader()
    core.receive(matched(TWO, ONE, 1, 1), MS)
    save(core)
    early = [core.request_read(2 * MS) for _ in range(5)]
    assert rounds(save(core)) == [(1, True)]
    late = [core.request_read(3 * MS) for _ in range(5)]
    assert rounds(save(core)) == []  # One urgent round at a time.
    core.receive(HeartbeatReply(TWO, ONE, 1, 1, is_urgent=True), 4 * MS)
    (ready,) = take(core)
    assert [one.token for one in ready.reads] == early
    assert rounds(list(ready.send_now)) == [(2, True)]
    # The answer to a round begun before they came proves nothing for the late ones (R10).
    core.receive(HeartbeatReply(THREE, ONE, 1, 1, is_urgent=True), 4 * MS)
    assert take(core) == []
    core.receive(HeartbeatReply(THREE, ONE, 1, 2, is_urgent=True), 4 * MS)
    (ready,) = take(core)
    assert [one.token for one in ready.reads] == late


def test_no_read_before_an_entry_of_the_own_term_is_committed() -> None:
    """Raft §8: before that a new leader may not know of the last entries committed."""
    core = make_leader()
    token = core.request_read(MS)
    assert rounds(save(core)) == []
    core.receive(matched(TWO, ONE, 1, 1), MS)
    assert rounds(save(core)) == [(1, True)]
    core.receive(HeartbeatReply(TWO, ONE, 1, 1, is_urgent=True), MS)
    (ready,) = take(core)
    assert ready.reads == (ReadBarrier(token, 1),)


def test_the_barrier_is_what_was_committed_when_the_round_began() -> None:
    core = make_leader()
    core.receive(matched(TWO, ONE, 1, 1), MS)
    save(core)
    core.propose(b"x", 0)
    token = core.request_read(MS)
    save(core)
    core.receive(matched(TWO, ONE, 1, 2), MS)
    assert core.commit_index == 2
    core.receive(HeartbeatReply(TWO, ONE, 1, 1, is_urgent=True), MS)
    assert [ready.reads for ready in take(core)] == [(ReadBarrier(token, 1),)]


def test_a_lost_urgent_round_is_made_good_by_the_next_heartbeat() -> None:
    core = make_leader()
    core.receive(matched(TWO, ONE, 1, 1), MS)
    save(core)
    token = core.request_read(MS)
    save(core)
    core.tick(core.next_deadline())
    assert rounds(save(core)) == [(2, True)]
    core.receive(HeartbeatReply(TWO, ONE, 1, 2, is_urgent=True), MS)
    assert [ready.reads for ready in take(core)] == [(ReadBarrier(token, 1),)]
    core.tick(core.next_deadline())
    assert rounds(save(core)) == [(3, False)]


def test_a_lone_voter_answers_at_once() -> None:
    core = make_leader(count=1)
    token = core.request_read(MS)
    (ready,) = take(core)
    assert ready.reads == (ReadBarrier(token, 1),)
    assert ready.send_now == ()


def test_waiting_reads_fail_when_leadership_is_lost() -> None:
    core = make_leader()
    core.receive(matched(TWO, ONE, 1, 1), MS)
    first = core.request_read(MS)
    save(core)
    second = core.request_read(MS)
    core.receive(Heartbeat(TWO, ONE, 2, 0, 1, is_urgent=False), MS)
    (ready,) = take(core)
    assert (ready.reads, ready.reads_failed) == ((), (first, second))
    core.receive(HeartbeatReply(TWO, ONE, 1, 1, is_urgent=True), MS)
    assert all(not ready.reads for ready in take(core))


def test_a_deposed_leader_that_does_not_know_it_serves_no_read() -> None:
    cluster = Cluster(3)
    old = cluster.elect(1)
    cluster.isolate(1)
    for replica in (TWO, THREE):
        cluster.members[replica].clock_ns += 3 * ELECTION_MS * MS
    leader = cluster.elect(2)
    cluster.propose(leader, b"new")
    cluster.settle()
    assert old.up.role is Role.LEADER  # Its clock stood still.
    token = cluster.read(old)
    cluster.settle()
    cluster.cut.clear()
    cluster.tick(old, HEARTBEAT_MS)
    cluster.settle()
    assert (old.reads_served, old.reads_failed) == ([], [token])


def test_what_an_old_leader_is_told_answers_no_round_of_the_term_it_may_lead_next() -> None:
    """It may win the very term that it was told of, and count its rounds from 1 again."""
    core = make_core(term=3)
    core.receive(Heartbeat(TWO, ONE, 2, 0, 26, is_urgent=True), MS)
    assert save(core) == [HeartbeatReply(ONE, TWO, 3, 0, is_urgent=True)]
    leader = make_leader(term=2)
    leader.receive(matched(TWO, ONE, 3, 1), MS)
    save(leader)
    token = leader.request_read(MS)
    save(leader)
    leader.receive(HeartbeatReply(TWO, ONE, 3, 0, is_urgent=True), MS)
    assert take(leader) == []
    leader.receive(HeartbeatReply(TWO, ONE, 3, 1, is_urgent=True), MS)
    assert [ready.reads for ready in take(leader)] == [(ReadBarrier(token, 1),)]


def test_reads_are_refused_by_those_who_do_not_lead() -> None:
    cluster = Cluster(3)
    cluster.elect(1)
    with pytest.raises(NotLeader) as refusal:
        cluster.members[TWO].up.request_read(MS)
    assert refusal.value.hint == "n1"


def test_tokens_are_never_used_twice_by_one_process() -> None:
    cluster = Cluster(3)
    tokens = []
    for replica in (1, 2, 1):
        leader = cluster.elect(replica)
        if replica == 1:
            tokens += [cluster.read(leader), cluster.read(leader)]
        cluster.settle()
    assert len(set(tokens)) == 4


# --- Transfer of leadership (dissertation §3.10).


def test_leadership_goes_to_a_target_that_is_in_step_at_once() -> None:
    cluster = Cluster(3)
    leader = cluster.elect(1)
    # Replica 3 still hears the leader, and votes all the same: the leader wants it so.
    leader.up.transfer_leadership(TWO)
    cluster.pump(leader)
    cluster.settle()
    assert cluster.leader is cluster.members[TWO]
    assert leader.up.leader == TWO


def test_a_target_that_is_behind_is_brought_up_first() -> None:
    core = make_leader()
    core.receive(matched(TWO, ONE, 1, 1), MS)
    core.propose(b"x", 0)
    core.transfer_leadership(TWO)
    assert not any(isinstance(one, TimeoutNow) for one in save(core))
    core.receive(matched(TWO, ONE, 1, 2), MS)
    assert TimeoutNow(ONE, TWO, 1) in save(core)


def test_nothing_is_proposed_during_a_transfer() -> None:
    core = make_leader()
    core.transfer_leadership(TWO)
    with pytest.raises(NotLeader) as refusal:
        core.propose(b"x", 0)
    assert refusal.value.hint == "n2"
    assert core.request_read(MS) == 1


def test_who_is_to_take_over_is_hurried_with_what_it_was_sent_in_no_hurry() -> None:
    core, now = make_leader(), 100 * PATIENCE_NS
    for follower in (TWO, THREE):
        core.receive(matched(follower, ONE, 1, 1), now)
    core.propose(b"tried with all", now)
    save(core)
    for follower in (TWO, THREE):
        core.receive(matched(follower, ONE, 1, 2), now)
    core.propose(b"x", now)
    save(core)
    core.receive(matched(TWO, ONE, 1, 3), now)
    core.tick(now := now + PATIENCE_NS)
    save(core)
    core.propose(b"y", now)
    core.transfer_leadership(THREE)
    (ready,) = take(core)
    behind = [one for one in ready.send_now if isinstance(one, AppendEntries)]
    behind = [one for one in behind if one.target == THREE]
    assert [(one.previous.index, len(one.entries)) for one in behind] == [(3, 0), (3, 1)]
    assert not any(one.is_patient for one in behind)
    core.receive(matched(THREE, ONE, 1, 4), now)
    assert TimeoutNow(ONE, THREE, 1) in take(core)[0].send_now


def test_a_transfer_that_does_not_succeed_is_given_up() -> None:
    core = make_leader()
    began = now = core.next_deadline()
    core.tick(began)
    core.transfer_leadership(TWO)
    while now - began < ELECTION_MS * MS:
        with pytest.raises(NotLeader):
            core.propose(b"x", 0)
        now = core.next_deadline()
        core.receive(HeartbeatReply(THREE, ONE, 1, 0, is_urgent=False), now)
        core.tick(now)
    assert core.propose(b"x", 0).index == 2


def test_leadership_goes_only_to_another_voter() -> None:
    core = make_leader()
    for target in (ONE, ReplicaId(9)):
        with pytest.raises(ValueError, match="no other voter"):
            core.transfer_leadership(target)
    with pytest.raises(NotLeader):
        make_core().transfer_leadership(TWO)


def test_a_follower_told_to_campaign_asks_no_pre_votes() -> None:
    core = make_core(term=3)
    core.receive(TimeoutNow(TWO, ONE, 3), MS)
    (ready,) = take(core)
    assert ready.send_after_sync == (
        RequestVote(ONE, TWO, 4, ZERO, is_transfer=True),
        RequestVote(ONE, THREE, 4, ZERO, is_transfer=True),
    )


def test_an_order_to_campaign_from_an_old_leader_is_ignored() -> None:
    core = make_core(term=3)
    core.receive(TimeoutNow(TWO, ONE, 2), MS)
    assert (role_of(core), core.term) == (Role.FOLLOWER, 3)
    core.receive(TimeoutNow(TWO, ONE, 5), MS)
    assert (role_of(core), core.term) == (Role.CANDIDATE, 6)
