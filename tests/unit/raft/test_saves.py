"""correctness R1, R2, R9: what must be on disk before it may leave, or count, or lead."""

from __future__ import annotations

from trimaran.node.raft.lease import LEASE_MAX_NS
from trimaran.node.raft.saves import Saves
from trimaran.node.raft.types import (
    NOBODY,
    ZERO,
    AppendEntries,
    EntryId,
    HardState,
    Heartbeat,
    HeartbeatReply,
    PreVote,
    ReplicaId,
    RequestPreVote,
    RequestVote,
    Role,
    TimeoutNow,
    Vote,
)

from .replicas import (
    ELECTION_MS,
    MS,
    Cluster,
    entries,
    make_core,
    make_leader,
    matched,
    replica_ids,
    role_of,
    save,
    sent,
    take,
)

ONE, TWO, THREE = replica_ids(3)


# --- R1: nothing of a term leaves before the term is saved.


def test_vote_requests_and_votes_leave_after_their_save() -> None:
    core = make_core()
    core.tick(core.next_deadline())
    core.receive(PreVote(TWO, ONE, 1, granted=True), core.next_deadline() - 1)
    ready = take(core)[-1]
    assert ready.hard_state == HardState(1, ONE)
    assert all(not isinstance(one, RequestVote) for one in ready.send_now)
    assert len([one for one in ready.send_after_sync if isinstance(one, RequestVote)]) == 2
    core.receive(RequestVote(THREE, ONE, 4, ZERO, is_transfer=False), MS)
    (ready,) = take(core)
    assert ready.hard_state == HardState(4, THREE)
    assert ready.send_now == ()
    assert ready.send_after_sync == (Vote(ONE, THREE, 4, granted=True),)


def test_nobody_leads_before_its_own_vote_is_saved() -> None:
    """A candidate that won without its own save, and died, could win the same term again."""
    core = make_core()
    core.tick(core.next_deadline())
    core.receive(PreVote(TWO, ONE, 1, granted=True), core.next_deadline() - 1)
    ready = take(core)[-1]
    for voter in (TWO, THREE):
        core.receive(Vote(voter, ONE, 1, granted=True), core.next_deadline() - 1)
    assert role_of(core) is Role.CANDIDATE
    core.saved(ready.ticket)
    assert role_of(core) is Role.LEADER


def test_an_old_save_does_not_make_a_vote_of_a_new_term_count() -> None:
    core = make_core(term=1)
    core.receive(TimeoutNow(TWO, ONE, 1), MS)
    (first,) = take(core)
    core.receive(TimeoutNow(TWO, ONE, 2), 2 * MS)
    (second,) = take(core)
    assert core.term == 3
    core.receive(Vote(TWO, ONE, 3, granted=True), 3 * MS)
    core.receive(Vote(THREE, ONE, 3, granted=True), 3 * MS)
    core.saved(first.ticket)
    assert role_of(core) is Role.CANDIDATE
    core.saved(second.ticket)
    assert role_of(core) is Role.LEADER


def test_a_heartbeats_answer_waits_for_the_term_and_for_nothing_else() -> None:
    core = make_core(term=1)
    core.receive(Heartbeat(TWO, ONE, 2, 0, 1, is_urgent=True), MS)
    (ready,) = take(core)
    answer = HeartbeatReply(ONE, TWO, 2, 1, is_urgent=True)
    assert (ready.send_now, ready.send_after_sync) == ((), (answer,))
    core.receive(Heartbeat(TWO, ONE, 2, 0, 2, is_urgent=True), MS)
    (still,) = take(core)
    assert still.send_now == ()
    core.saved(still.ticket)
    # Now the term is saved: an entry on its way to the disk holds up no heartbeat.
    core.receive(AppendEntries(TWO, ONE, 2, ZERO, entries(2), 0), MS)
    core.receive(Heartbeat(TWO, ONE, 2, 0, 3, is_urgent=True), MS)
    (ready,) = take(core)
    assert ready.send_now == (HeartbeatReply(ONE, TWO, 2, 3, is_urgent=True),)
    assert ready.send_after_sync == (matched(ONE, TWO, 2, 1),)


def test_pre_votes_promise_nothing_but_wait_for_an_unsaved_term() -> None:
    core = make_core(term=1)
    core.receive(RequestPreVote(TWO, ONE, 2, ZERO), MS)
    (ready,) = take(core)
    assert len(ready.send_now) == 1
    core.receive(Vote(TWO, ONE, 6, granted=False), MS)
    core.receive(RequestPreVote(TWO, ONE, 3, ZERO), MS)
    (ready,) = take(core)
    assert ready.send_now == ()
    assert ready.send_after_sync == (PreVote(ONE, TWO, 6, granted=False),)


def test_a_replica_that_dies_before_its_vote_is_saved_may_vote_otherwise() -> None:
    cluster = Cluster(3)
    member = cluster.members[ONE]
    cluster.deliver(RequestVote(TWO, ONE, 1, ZERO, is_transfer=False))
    assert cluster.wire == []  # Nobody has heard of it yet.
    cluster.crash(member)
    cluster.start(member)
    cluster.deliver(RequestVote(THREE, ONE, 1, ZERO, is_transfer=False))
    cluster.save(member)
    assert cluster.wire == [Vote(ONE, THREE, 1, granted=True)]


def test_a_replica_keeps_its_saved_vote_over_a_crash() -> None:
    cluster = Cluster(3)
    member = cluster.members[ONE]
    cluster.deliver(RequestVote(TWO, ONE, 1, ZERO, is_transfer=False))
    cluster.save(member)
    cluster.crash(member)
    cluster.start(member)
    cluster.tick(member, LEASE_MAX_NS // MS)  # It may have made a promise (correctness R4).
    cluster.wire.clear()
    cluster.deliver(RequestVote(THREE, ONE, 1, ZERO, is_transfer=False))
    assert cluster.wire == [Vote(ONE, THREE, 1, granted=False)]


# --- R2: promises belong to a save.


def test_an_entry_is_saved_by_the_ticket_that_wrote_it_last() -> None:
    """Written, overwritten, written again: the first save does not vouch for the third write."""
    core = make_core(term=1)
    core.receive(AppendEntries(TWO, ONE, 1, ZERO, entries(1, 1), 0), MS)
    (first,) = take(core)
    core.receive(AppendEntries(THREE, ONE, 2, EntryId(1, 1), entries(2, first=2), 0), MS)
    (second,) = take(core)
    core.receive(AppendEntries(TWO, ONE, 3, EntryId(1, 1), entries(1, first=2), 0), MS)
    (third,) = take(core)
    core.saved(first.ticket)
    assert core.saved_index == 1
    core.saved(second.ticket)
    assert core.saved_index == 1
    core.saved(third.ticket)
    assert core.saved_index == 2


def test_an_entry_that_is_replaced_is_no_longer_saved() -> None:
    core = make_core(term=1, log=entries(1, 1, 1))
    assert core.saved_index == 3
    core.receive(AppendEntries(TWO, ONE, 2, EntryId(1, 1), entries(2, 2, 2, first=2), 0), MS)
    assert core.saved_index == 1
    save(core)
    assert core.saved_index == 4


def test_a_leader_counts_itself_only_for_what_is_saved_as_last_written() -> None:
    core = make_core(term=1)
    core.receive(AppendEntries(TWO, ONE, 1, ZERO, entries(1, 1, 1), 0), MS)
    take(core)
    core.receive(AppendEntries(THREE, ONE, 2, ZERO, entries(2), 0), 2 * MS)
    core.receive(TimeoutNow(THREE, ONE, 2), 3 * MS)
    (replaced,) = take(core)
    core.saved(replaced.ticket)
    core.receive(Vote(TWO, ONE, 3, granted=True), 4 * MS)
    (leading,) = take(core)
    assert (core.role, core.last) == (Role.LEADER, EntryId(3, 2))
    core.receive(matched(TWO, ONE, 3, 2), 5 * MS)
    # Index 2 was once on disk, with the entry of term 1.
    assert (core.saved_index, core.commit_index) == (1, 0)
    core.saved(leading.ticket)
    assert core.commit_index == 2


def test_acknowledgements_carry_what_their_ticket_saves() -> None:
    core = make_core(term=1)
    core.receive(AppendEntries(TWO, ONE, 1, ZERO, entries(1), 0), MS)
    (first,) = take(core)
    core.receive(AppendEntries(TWO, ONE, 1, EntryId(1, 1), entries(1, first=2), 0), MS)
    (second,) = take(core)
    assert first.send_after_sync == (matched(ONE, TWO, 1, 1),)
    assert second.send_after_sync == (matched(ONE, TWO, 1, 2),)
    assert second.ticket > first.ticket
    assert [entry.index for entry in second.entries] == [2]


def test_several_saves_may_be_out_and_return_together() -> None:
    saves = Saves(HardState(0, NOBODY), 0)
    saves.issue(1, now=10, hard_state=HardState(1, NOBODY), last_index=2)
    saves.issue(2, now=20, hard_state=None, last_index=5)
    saves.issue(4, now=30, hard_state=HardState(2, TWO), last_index=5)
    assert saves.oldest_at == 10
    saves.saved(3)
    assert (saves.saved_index, saves.hard_state, saves.oldest_at) == (5, HardState(1, NOBODY), 30)
    saves.saved(4)
    assert saves.hard_state == HardState(2, TWO)
    saves.issue(5, now=40, hard_state=None, last_index=5)
    assert saves.oldest_at == 40


def test_a_ready_without_anything_to_save_needs_no_disk() -> None:
    core = make_leader()
    core.tick(core.next_deadline())
    (ready,) = take(core)
    assert not ready.must_save
    assert {type(one) for one in ready.send_now} == {Heartbeat}


# --- R9: a hung disk must not lead.


def test_a_leader_with_a_hung_disk_hands_over() -> None:
    core = make_leader()
    for follower in (TWO, THREE):
        core.receive(matched(follower, ONE, 1, 1), MS)
    core.propose(b"x", 0)
    take(core)  # This save does not return.
    began = core.next_deadline()
    orders: list[TimeoutNow] = []
    while not orders:
        assert core.next_deadline() - began <= 2 * ELECTION_MS * MS
        now = core.next_deadline()
        for follower in (TWO, THREE):
            core.receive(matched(follower, ONE, 1, 2), now)
        core.tick(now)
        orders = [one for one in sent(take(core)) if isinstance(one, TimeoutNow)]
    assert orders[0].target == TWO


def test_a_leader_with_a_hung_disk_and_nobody_to_take_over_steps_down() -> None:
    core = make_leader()
    core.receive(matched(TWO, ONE, 1, 1), MS)
    core.propose(b"x", 0)
    take(core)
    began = core.next_deadline()
    while core.role is Role.LEADER:
        now = core.next_deadline()
        assert now - began <= 3 * ELECTION_MS * MS
        core.receive(matched(TWO, ONE, 1, 1), now)  # It lives, and does not get further.
        core.tick(now)
        take(core)
    assert core.term == 1


def test_a_lone_leader_with_a_hung_disk_steps_down_and_does_not_campaign() -> None:
    core = make_leader(count=1)
    core.propose(b"x", 0)
    (ready,) = take(core)
    now = core.next_deadline()
    for _ in range(50):
        now += 10 * MS
        core.tick(now)
    assert role_of(core) is Role.FOLLOWER
    core.saved(ready.ticket)
    core.tick(core.next_deadline())
    assert role_of(core) is Role.CANDIDATE


def test_a_slow_disk_is_not_a_hung_one() -> None:
    core = make_leader(count=1)
    now = core.next_deadline()
    for _ in range(50):
        core.propose(b"x", 0)
        (ready,) = take(core)
        now += (ELECTION_MS - 10) * MS
        core.tick(now)
        take(core)
        core.saved(ready.ticket)
        save(core)
    assert role_of(core) is Role.LEADER
    assert core.leader == ReplicaId(1)
