"""Dissertation §6.4.1, correctness R3 and R4: reads under a lease, and what voters owe to it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from trimaran.node.raft.lease import DRIFT, LEASE_MAX_NS, ROUNDS_MAX, Lease, Promise
from trimaran.node.raft.types import (
    NOBODY,
    ZERO,
    EntryId,
    Heartbeat,
    HeartbeatReply,
    Message,
    NodeId,
    PreVote,
    ReadBarrier,
    RequestPreVote,
    RequestVote,
    Role,
    TimeoutNow,
    Vote,
)

from .replicas import (
    CONFIG,
    ELECTION_MS,
    HEARTBEAT_MS,
    MS,
    Cluster,
    Member,
    make_core,
    make_leader,
    matched,
    replica_ids,
    role_of,
    save,
    take,
)

if TYPE_CHECKING:
    from trimaran.node.raft.core import RaftCore

ONE, TWO, THREE = replica_ids(3)
LEASE = 50 * MS
LASTS = LEASE - LEASE // DRIFT  # As far as the leader trusts it.
LEASED = replace(CONFIG, lease_ns=LEASE)


def beats(messages: list[Message]) -> list[Heartbeat]:
    return [one for one in messages if isinstance(one, Heartbeat)]


def answer(beat: Heartbeat, promised_ns: int | None = None) -> HeartbeatReply:
    """Its target has heard it."""
    promised_ns = beat.lease_ns if promised_ns is None else promised_ns
    return HeartbeatReply(
        beat.target, beat.source, beat.term, beat.round, beat.is_urgent, promised_ns
    )


def make_leased() -> tuple[RaftCore, int]:
    """A leader of three with a lease, and when it sent the round that this rests on."""
    core = make_leader(config=LEASED)
    core.receive(matched(TWO, ONE, 1, 1), core.next_deadline())
    began = core.next_deadline()
    core.tick(began)
    to_two, _ = beats(save(core))
    core.receive(answer(to_two), began + MS)
    assert save(core) == []
    return core, began


def reads_at(core: RaftCore, now: int) -> tuple[ReadBarrier, ...]:
    """The barriers of a read that comes then; nothing may be sent for those that are there."""
    core.request_read(now)
    (ready,) = take(core)
    assert bool(ready.reads) != bool(beats(list(ready.send_now)))
    return ready.reads


# --- The leader.


def test_while_its_lease_lasts_a_leader_answers_reads_without_a_message() -> None:
    core, began = make_leased()
    assert reads_at(core, began + LASTS - 1) == (ReadBarrier(1, 1),)
    assert reads_at(core, began + LASTS) == ()


def test_a_lease_counts_from_the_sending_of_the_round_however_late_it_is_answered() -> None:
    core = make_leader(config=LEASED)
    core.receive(matched(TWO, ONE, 1, 1), core.next_deadline())
    began = core.next_deadline()
    core.tick(began)
    to_two, _ = beats(save(core))
    core.receive(answer(to_two), began + LASTS - 1)
    assert core.has_lease(began + LASTS - 1)
    assert not core.has_lease(began + LASTS)
    again, began = make_leased()
    again.receive(answer(to_two), began + LASTS)  # A copy of the answer adds nothing.
    assert not again.has_lease(began + LASTS)


def test_the_time_that_counts_is_that_of_the_read() -> None:
    """correctness R3: a process that stood still must not answer by the time it knew before."""
    core, began = make_leased()
    assert core.has_lease(began + 2 * MS)
    assert reads_at(core, began + 20_000 * MS) == ()


def test_each_answered_round_begins_the_lease_anew() -> None:
    core, began = make_leased()
    core.tick(core.next_deadline())
    _, to_three = beats(save(core))
    core.receive(answer(to_three), began + 30 * MS)
    assert core.has_lease(began + HEARTBEAT_MS * MS + LASTS - 1)


def test_only_a_majority_makes_a_lease() -> None:
    core = make_leader(count=5, config=LEASED)
    for voter in (TWO, THREE):
        core.receive(matched(voter, ONE, 1, 1), core.next_deadline())
    now = core.next_deadline()
    core.tick(now)
    to_two, to_three, *_ = beats(save(core))
    core.receive(answer(to_two), now)
    assert not core.has_lease(now)
    core.receive(answer(to_three), now)
    assert core.has_lease(now)


def test_a_leader_counts_on_what_was_promised_not_on_what_it_asked_for() -> None:
    for promised_ns in (0, 10 * MS):  # An older version promises nothing.
        core = make_leader(config=LEASED)
        core.receive(matched(TWO, ONE, 1, 1), core.next_deadline())
        now = core.next_deadline()
        core.tick(now)
        to_two, _ = beats(save(core))
        core.receive(answer(to_two, promised_ns), now)
        assert core.has_lease(now) == bool(promised_ns)
        assert not core.has_lease(now + promised_ns)


def test_no_read_under_a_lease_before_an_entry_of_the_own_term_is_committed() -> None:
    """Raft §8: until then a new leader may not know of the last entries committed."""
    core = make_leader(config=LEASED)
    now = core.next_deadline()
    core.tick(now)
    to_two, _ = beats(save(core))
    core.receive(answer(to_two), now)
    assert core.has_lease(now)
    token = core.request_read(now)
    assert take(core) == []
    core.receive(matched(TWO, ONE, 1, 1), now)
    (ready,) = take(core)
    assert ready.reads == (ReadBarrier(token, 1),)


def test_a_lease_answers_also_those_who_wait_for_a_round() -> None:
    core, began = make_leased()
    assert reads_at(core, began + LASTS) == ()
    core.tick(core.next_deadline())
    to_two, _ = beats(save(core))
    lost, later = 1, core.request_read(began + LASTS + MS)
    core.receive(answer(to_two), began + LASTS + 2 * MS)
    (ready,) = take(core)
    assert [one.token for one in ready.reads] == [lost, later]


def test_without_a_lease_length_nobody_is_asked_for_a_promise() -> None:
    core = make_leader()
    now = core.next_deadline()
    core.tick(now)
    sent = beats(save(core))
    assert [one.lease_ns for one in sent] == [0, 0]
    for one in sent:
        core.receive(answer(one), now)
    assert not core.has_lease(now)


def test_who_has_told_another_to_campaign_asks_a_majority_for_the_rest_of_its_term() -> None:
    """correctness R4: no promise forbids that election, and nobody knows when it will be."""
    core, began = make_leased()
    core.transfer_leadership(TWO)
    assert TimeoutNow(ONE, TWO, 1) in save(core)
    assert reads_at(core, began + 2 * MS) == ()
    now = began
    while now < began + 3 * ELECTION_MS * MS:  # Given up; but the message may come any time.
        now = core.next_deadline()
        core.tick(now)
        sent = beats(save(core))
        assert {one.lease_ns for one in sent} == {0}
        for one in sent:
            core.receive(answer(one, LEASE), now)
        assert not core.has_lease(now)
    assert core.propose(b"x", 0).index == 2


def test_a_lease_ends_with_the_term() -> None:
    core, began = make_leased()
    core.receive(Heartbeat(TWO, ONE, 2, 0, 1, is_urgent=False), began + MS)
    assert not core.has_lease(began + MS)


def test_an_answer_to_a_round_long_ago_begins_no_lease() -> None:
    lease = Lease(LEASE, [TWO, THREE])
    for now in range(ROUNDS_MAX):
        lease.sent(now)
    lease.promised(TWO, ROUNDS_MAX, LEASE)
    assert not lease.holds(0)
    lease.promised(TWO, ROUNDS_MAX - 1, LEASE)
    assert lease.holds(LASTS - 1)
    assert not lease.holds(LASTS)
    lease.promised(TWO, 0, LEASE)
    lease.promised(TWO, 5, LEASE)  # Overtaken on the way.
    assert lease.holds(ROUNDS_MAX - 1 + LASTS - 1)


def test_a_lone_voter_needs_no_lease() -> None:
    assert Lease(0, []).holds(1 << 60)


# --- Voters.


def promised() -> RaftCore:
    """Replica 1 has just heard the leader of term 3, replica 2, at 1 ms."""
    core = make_core(term=3)
    core.receive(Heartbeat(TWO, ONE, 3, 0, 1, is_urgent=False, lease_ns=LEASE), MS)
    save(core)
    return core


def test_an_answer_says_what_is_promised() -> None:
    core = make_core(term=3)
    core.receive(Heartbeat(TWO, ONE, 3, 0, 1, is_urgent=False, lease_ns=LEASE), MS)
    assert save(core) == [HeartbeatReply(ONE, TWO, 3, 1, is_urgent=False, lease_ns=LEASE)]
    core.receive(Heartbeat(TWO, ONE, 3, 0, 2, is_urgent=False, lease_ns=2 * LEASE_MAX_NS), MS)
    assert save(core) == [HeartbeatReply(ONE, TWO, 3, 2, is_urgent=False, lease_ns=LEASE_MAX_NS)]
    core.receive(Heartbeat(THREE, ONE, 2, 0, 9, is_urgent=False, lease_ns=LEASE), MS)
    assert save(core) == [HeartbeatReply(ONE, THREE, 3, 0, is_urgent=False)]  # An old leader.


def test_a_promise_holds_whatever_the_stream_to_the_leader_does() -> None:
    core = promised()
    core.unreachable(NodeId("n2"))
    last = MS + LEASE - 1
    core.receive(RequestPreVote(THREE, ONE, 4, ZERO), last)
    assert save(core) == [PreVote(ONE, THREE, 3, granted=False)]
    core.receive(RequestVote(THREE, ONE, 4, ZERO, is_transfer=False), last)
    assert save(core) == []
    core.tick(last)
    assert role_of(core) is Role.FOLLOWER
    assert core.next_deadline() == MS + LEASE  # But then at once.
    core.receive(RequestPreVote(THREE, ONE, 4, ZERO), last + 1)
    assert save(core) == [PreVote(ONE, THREE, 4, granted=True)]
    core.receive(RequestVote(THREE, ONE, 4, ZERO, is_transfer=False), last + 1)
    assert save(core) == [Vote(ONE, THREE, 4, granted=True)]


def test_a_promise_outlives_the_term_of_the_leader_it_was_made_to() -> None:
    core = promised()
    core.receive(PreVote(THREE, ONE, 5, granted=False), 2 * MS)  # Somebody is in a later term.
    assert (core.term, core.voted_for) == (5, NOBODY)
    core.receive(RequestVote(THREE, ONE, 5, ZERO, is_transfer=False), 3 * MS)
    assert core.voted_for == NOBODY
    core.receive(RequestVote(THREE, ONE, 5, ZERO, is_transfer=False), MS + LEASE)
    assert core.voted_for == THREE


def test_an_election_that_the_leader_asked_for_passes() -> None:
    core = promised()
    core.receive(RequestVote(THREE, ONE, 4, ZERO, is_transfer=True), 2 * MS)
    assert Vote(ONE, THREE, 4, granted=True) in save(core)
    target = promised()
    target.receive(TimeoutNow(TWO, ONE, 3), 2 * MS)
    assert role_of(target) is Role.CANDIDATE


def test_a_shorter_promise_does_not_end_a_longer_one() -> None:
    promise = Promise()
    promise.make(LEASE, MS)
    promise.make(0, 2 * MS)
    assert promise.holds(MS + LEASE - 1)
    assert not promise.holds(MS + LEASE)


def test_a_restarted_voter_keeps_still_for_as_long_as_any_promise_may_last() -> None:
    core = make_core(term=3, is_rested=False)
    core.reachable(NodeId("n2"), MS)
    last = LEASE_MAX_NS - 1
    core.receive(RequestPreVote(THREE, ONE, 4, ZERO), last)
    assert save(core) == [PreVote(ONE, THREE, 3, granted=False)]
    core.receive(RequestVote(THREE, ONE, 4, ZERO, is_transfer=False), last)
    core.receive(RequestVote(THREE, ONE, 3, ZERO, is_transfer=False), last)
    core.tick(last)
    assert save(core) == []
    core.tick(last + 1)
    assert role_of(core) is Role.PRE_CANDIDATE


def test_a_voter_that_was_never_in_a_term_has_promised_nothing() -> None:
    core = make_core(is_rested=False)
    core.receive(RequestVote(THREE, ONE, 1, ZERO, is_transfer=False), MS)
    assert save(core) == [Vote(ONE, THREE, 1, granted=True)]
    # For whoever answers a leader has saved its term by then.
    core = make_core(is_rested=False)
    core.receive(Heartbeat(TWO, ONE, 1, 0, 1, is_urgent=False, lease_ns=LEASE), MS)
    (ready,) = take(core)
    assert ready.hard_state is not None
    assert [type(one) for one in ready.send_after_sync] == [HeartbeatReply]


# --- Together.


def leading(seed: int) -> tuple[Cluster, Member]:
    cluster = Cluster(3, seed=seed, config=LEASED)
    leader = cluster.elect(1)
    cluster.advance(3 * HEARTBEAT_MS)
    assert leader.up.has_lease(leader.clock_ns)
    return cluster, leader


@pytest.mark.parametrize("last_to_hear", [TWO, THREE])
def test_a_dead_leader_is_replaced_soon_after_what_was_promised_it(last_to_hear: int) -> None:
    """Also where one has its last heartbeat and the other its last entry: who asks first is
    refused, and asks again."""
    other = THREE if last_to_hear == TWO else TWO
    for seed in range(30):
        cluster, leader = leading(seed)
        cluster.cut = {(ONE, other)}
        cluster.advance(HEARTBEAT_MS)
        cluster.cut = {(ONE, replica_ids(3)[last_to_hear - 1])}
        cluster.propose(leader)
        cluster.settle()
        assert cluster.members[other].up.last == EntryId(1, 2)
        began = leader.clock_ns
        cluster.crash(leader)
        cluster.wire.clear()
        for replica in (TWO, THREE):
            cluster.members[replica].up.unreachable(leader.node)
        while cluster.leader is None:
            cluster.advance(1, step=1)
            passed = cluster.members[TWO].clock_ns - began
            assert passed <= LEASE + 6 * HEARTBEAT_MS * MS
        assert cluster.leader.replica == other


def test_nobody_is_elected_while_a_leader_that_is_cut_off_has_its_lease() -> None:
    for seed in range(30):
        cluster, leader = leading(seed)
        cluster.isolate(1)
        for replica in (TWO, THREE):
            cluster.members[replica].up.unreachable(leader.node)
        cluster.tick(leader, 0)
        token = cluster.read(leader)
        assert token in leader.reads_served
        while cluster.leader is leader:
            cluster.advance(1, step=1)
        assert not leader.up.has_lease(leader.clock_ns)
