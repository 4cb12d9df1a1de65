"""Raft §5.3, §5.4.2, §5.5: appends, conflicts, commitment; flow control, what is sent again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from trimaran.node.errors import NotLeader, Overloaded
from trimaran.node.raft.progress import State
from trimaran.node.raft.types import (
    NOBODY,
    ZERO,
    AppendEntries,
    Entry,
    EntryId,
    EntryKind,
    HardState,
    Heartbeat,
    Message,
    NodeId,
    ReplicaId,
    RequestVote,
    Role,
)

from .replicas import (
    CONFIG,
    ELECTION_MS,
    HEARTBEAT_MS,
    MS,
    Cluster,
    entries,
    make_core,
    make_leader,
    matched,
    refused,
    replica_ids,
    save,
    sent,
    take,
)

ONE, TWO, THREE = replica_ids(3)


def appends(messages: Sequence[Message]) -> list[tuple[int, int, tuple[int, ...]]]:
    """Of each append: the target, the previous index, the indexes carried."""
    return [
        (one.target, one.previous.index, tuple(entry.index for entry in one.entries))
        for one in messages
        if isinstance(one, AppendEntries)
    ]


# --- §5.3 Log replication.


def test_an_entry_commits_when_a_majority_has_it_and_followers_learn_it() -> None:
    cluster = Cluster(3)
    leader = cluster.elect(1)
    place = cluster.propose(leader, b"hello")
    assert place == EntryId(1, 2)
    assert leader.up.commit_index == 1
    cluster.settle()
    assert leader.up.commit_index == 2
    assert leader.applied_index == 2
    cluster.advance(HEARTBEAT_MS + 5)
    assert {member.applied_index for member in cluster.members.values()} == {2}


def test_entries_leave_before_they_are_saved_and_count_only_after() -> None:
    core = make_leader()
    core.propose(b"x", 0)
    core.receive(matched(TWO, ONE, 1, 1), MS)
    (ready,) = take(core)
    assert appends(ready.send_now) == [(2, 1, (2,))]  # To 3 the first is still on its way.
    assert [entry.index for entry in ready.entries] == [2]
    core.receive(matched(TWO, ONE, 1, 2), MS)
    assert core.commit_index == 1
    core.saved(ready.ticket)
    assert core.commit_index == 2


def test_a_majority_without_the_leaders_own_disk_is_one() -> None:
    core = make_leader()
    core.propose(b"x", 0)
    take(core)
    core.receive(matched(TWO, ONE, 1, 2), MS)
    core.receive(matched(THREE, ONE, 1, 2), MS)
    assert (core.saved_index, core.commit_index) == (1, 2)


def test_follower_rejects_entries_after_a_gap() -> None:
    core = make_core(term=1, log=entries(1, 1))
    core.receive(AppendEntries(TWO, ONE, 1, EntryId(1, 5), entries(1, first=6), 0), MS)
    assert sent(take(core)) == [refused(ONE, TWO, 1, 5, EntryId(1, 2))]
    assert core.last == EntryId(1, 2)


def test_follower_rejects_entries_after_another_term() -> None:
    core = make_core(term=4, log=entries(1, 1, 2, 2, 3))
    core.receive(AppendEntries(TWO, ONE, 4, EntryId(1, 4), entries(4, first=5), 0), MS)
    # Nothing of terms 2 and 3 can be the leader's at or before index 4: back to the end of term 1.
    assert sent(take(core)) == [refused(ONE, TWO, 4, 4, EntryId(1, 2))]


def test_follower_drops_its_suffix_only_from_the_entry_that_differs() -> None:
    core = make_core(term=2, log=entries(1, 1, 1, 1))
    new = entries(1, 2, 2, first=2)
    core.receive(AppendEntries(TWO, ONE, 2, EntryId(1, 1), new, 0), MS)
    (ready,) = take(core)
    assert [entry.id for entry in ready.entries] == [EntryId(2, 3), EntryId(2, 4)]
    assert ready.send_after_sync == (matched(ONE, TWO, 2, 4),)
    assert ready.send_now == ()
    assert core.last == EntryId(2, 4)


def test_a_late_copy_of_an_append_does_not_drop_what_came_after_it() -> None:
    core = make_core(term=1)
    core.receive(AppendEntries(TWO, ONE, 1, ZERO, entries(1, 1, 1), 0), MS)
    save(core)
    core.receive(AppendEntries(TWO, ONE, 1, ZERO, entries(1), 0), MS)
    assert core.last == EntryId(1, 3)
    assert save(core) == [matched(ONE, TWO, 1, 1)]


def test_follower_acknowledges_no_more_than_an_append_confirms() -> None:
    # Entries 3 and 4 are of a leader that nobody followed; this one may have others there.
    core = make_core(term=3, log=entries(1, 1, 2, 2))
    core.receive(AppendEntries(TWO, ONE, 3, EntryId(1, 1), entries(1, first=2), 0), MS)
    assert core.last == EntryId(2, 4)
    assert save(core) == [matched(ONE, TWO, 3, 2)]
    core.receive(AppendEntries(TWO, ONE, 3, EntryId(1, 2), (), 0), MS)
    assert sent(take(core)) == [matched(ONE, TWO, 3, 2)]


def test_follower_commits_no_further_than_it_matches() -> None:
    core = make_core(term=2, log=entries(1, 1, 1))
    # Entry 3 is not known to be the leader's, though it stands before the leader's commit index.
    core.receive(AppendEntries(TWO, ONE, 2, EntryId(1, 1), entries(1, first=2), 3), MS)
    assert core.commit_index == 2
    (ready,) = take(core)
    assert [entry.index for entry in ready.committed] == [1, 2]


def test_a_heartbeat_commits_no_further_than_the_leader_knows_to_match() -> None:
    core = make_leader()
    core.receive(matched(TWO, ONE, 1, 1), MS)
    core.tick(core.next_deadline())
    beats = [one for one in sent(take(core)) if isinstance(one, Heartbeat)]
    assert [(one.target, one.commit_index) for one in beats] == [(2, 1), (3, 0)]


def test_lost_acknowledged_entries_stop_the_node() -> None:
    core = make_core(term=1, log=entries(1))
    with pytest.raises(AssertionError, match="lost"):
        core.receive(Heartbeat(TWO, ONE, 1, 2, 1, is_urgent=False), MS)


def test_a_committed_entry_is_never_replaced() -> None:
    core = make_core(term=1, log=entries(1, 1))
    core.receive(Heartbeat(TWO, ONE, 1, 2, 1, is_urgent=False), MS)
    with pytest.raises(AssertionError, match="committed entry differs"):
        core.receive(AppendEntries(TWO, ONE, 2, EntryId(2, 2), (), 2), MS)


def test_an_append_that_overlaps_what_is_committed_is_accepted() -> None:
    core = make_core(term=1, log=entries(1, 1))
    core.receive(Heartbeat(TWO, ONE, 1, 2, 1, is_urgent=False), MS)
    core.receive(AppendEntries(TWO, ONE, 1, ZERO, entries(1, 1, 1), 2), MS)
    assert core.last == EntryId(1, 3)
    core.receive(AppendEntries(TWO, ONE, 1, ZERO, entries(1), 2), MS)
    answers = [one for one in save(core) if one == matched(ONE, TWO, 1, 2)]
    assert len(answers) == 1  # The committed ones match, whatever the late copy shows.


def test_leader_backs_off_by_terms_and_then_repairs_the_follower() -> None:
    """The logs of figure 7, each behind the leader of term 8."""
    leader_log = entries(1, 1, 1, 4, 4, 5, 5, 6, 6, 6)
    for terms in (
        (1, 1, 1, 4, 4, 5, 5, 6, 6),
        (1, 1, 1, 4),
        (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6),
        (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7),
        (1, 1, 1, 4, 4, 4, 4),
        (1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3),
    ):
        leader = make_leader(term=7, log=leader_log)
        follower = make_core(replica=2, term=7, log=entries(*terms))
        rounds = 0
        probe = AppendEntries(ONE, TWO, 8, EntryId(6, 10), (Entry(8, 11, EntryKind.EMPTY, b""),), 0)
        follower.receive(probe, MS)
        while follower.last != leader.last:
            for message in save(follower):
                leader.receive(message, 2 * ELECTION_MS * MS)
            for message in save(leader):
                if message.target == TWO:
                    follower.receive(message, MS)
            rounds += 1
            assert rounds <= 4, f"slow back-off over {terms}"
        assert all(follower.term_at(index) == leader.term_at(index) for index in range(12))


def test_answers_to_earlier_questions_move_nothing() -> None:
    core = make_leader(term=1, log=entries(1, 1, 1))
    core.receive(refused(TWO, ONE, 2, 3, EntryId(1, 1)), MS)
    (follower, _) = core.followers()
    assert follower.next_index == 2
    save(core)
    core.receive(refused(TWO, ONE, 2, 3, EntryId(0, 0)), MS)
    assert core.followers()[0] == follower
    core.receive(matched(TWO, ONE, 2, 4), MS)
    core.receive(matched(TWO, ONE, 2, 2), MS)
    core.receive(refused(TWO, ONE, 2, 1, EntryId(0, 0)), MS)
    assert (core.followers()[0].match_index, core.followers()[0].state) == (4, State.REPLICATE)


# --- §5.4.2 and §8: what may be committed, and when.


def test_counting_commits_only_entries_of_the_own_term() -> None:
    """Figure 8: entry 2 of term 2 is on a majority, and can still be replaced by one of term 3."""
    core = make_leader(term=3, log=entries(1, 2))
    core.receive(matched(TWO, ONE, 4, 2), MS)
    core.receive(matched(THREE, ONE, 4, 2), MS)
    assert core.commit_index == 0
    core.receive(matched(TWO, ONE, 4, 3), MS)
    assert core.commit_index == 3  # And with the entry of its own term all before it.


def test_figure_8_as_a_whole() -> None:
    cluster = Cluster(5)
    one, five = cluster.members[ONE], cluster.members[ReplicaId(5)]
    # Entry 2 of term 2 is on a majority; replica 5 led term 3 and told nobody of its entry.
    logs = [(1, 2), (1, 2), (1, 2), (1,), (1, 3)]
    for member, terms in zip(cluster.members.values(), logs, strict=True):
        cluster.crash(member)
        member.disk.log = list(entries(*terms))
        member.disk.hard_state = HardState(3, NOBODY)
        cluster.start(member)
    # (c) Replica 1 leads term 4, learns of that majority, and brings nothing of its own term out.
    cluster.cut = {(ONE, ReplicaId(4)), (ReplicaId(4), ONE), (ONE, five.replica)}
    cluster.is_lost = lambda one: (
        isinstance(one, AppendEntries) and bool(one.entries) and one.entries[-1].term == 4
    )
    cluster.elect(1)
    cluster.advance(ELECTION_MS)
    assert [view.match_index for view in one.up.followers()] == [2, 2, 0, 0]
    assert one.up.commit_index == 0
    # (d) Replica 1 dies, replica 5 is elected and replaces entry 2 everywhere.
    cluster.crash(one)
    cluster.cut.clear()
    for member in cluster.members.values():
        member.clock_ns += 2 * ELECTION_MS * MS
    cluster.elect(5)
    cluster.start(one)
    cluster.advance(500)
    assert {member.up.term_at(2) for member in cluster.members.values()} == {3}
    assert {member.applied_index for member in cluster.members.values()} == {3}


def test_a_new_leader_commits_an_empty_entry_of_its_own_term() -> None:
    core = make_leader(term=1, log=entries(1))
    entry = core.entry_at(2)
    assert entry == Entry(2, 2, EntryKind.EMPTY, b"")
    assert not core.is_ready_to_serve
    core.receive(matched(TWO, ONE, 2, 2), MS)
    assert core.is_ready_to_serve
    (ready,) = take(core)
    assert [one.index for one in ready.committed] == [1, 2]


# --- Flow control.


def test_appends_are_pipelined_up_to_the_limit() -> None:
    core = make_leader()
    for follower in (TWO, THREE):
        core.receive(matched(follower, ONE, 1, 1), MS)
    for expected in range(2, 8):
        core.propose(b"x", 0)
        carried = [one for one in appends(save(core)) if one[0] == 2]
        if expected < 6:
            assert carried == [(2, expected - 1, (expected,))]
        else:
            assert carried == []  # inflight_appends_max are on their way.
    core.receive(matched(TWO, ONE, 1, 3), MS)
    assert appends(save(core)) == [(2, 5, (6, 7))]


def test_appends_are_cut_at_append_bytes_max() -> None:
    core = make_leader()
    core.receive(matched(TWO, ONE, 1, 1), MS)
    for size in (400, 400, 400, 5000, 10):
        core.propose(b"x" * size, 0)
    to_two = [one for one in appends(save(core)) if one[0] == 2]
    assert to_two == [(2, 1, (2, 3)), (2, 3, (4,)), (2, 4, (5,)), (2, 5, (6,))]


def test_followers_in_step_are_sent_the_same_entries() -> None:
    core = make_leader()
    for follower in (TWO, THREE):
        core.receive(matched(follower, ONE, 1, 1), MS)
    core.propose(b"x", 0)
    first, second = (one for one in save(core) if isinstance(one, AppendEntries))
    assert first.entries is second.entries


def test_a_follower_that_is_probed_gets_one_append_at_a_time() -> None:
    core = make_leader()
    core.propose(b"x", 0)
    assert appends(save(core)) == []  # The probe with the empty entry is on its way.
    core.receive(matched(TWO, ONE, 1, 1), MS)
    assert appends(save(core)) == [(2, 1, (2,))]


def test_uncommitted_bytes_are_bounded() -> None:
    core = make_leader()
    for _ in range(10):
        core.propose(b"x" * 1000, 0)
    assert core.uncommitted_bytes == 10_000
    with pytest.raises(Overloaded, match="uncommitted_bytes_max"):
        core.propose(b"x", 0)
    save(core)
    core.receive(matched(TWO, ONE, 1, 3), MS)
    assert core.uncommitted_bytes == 8_000
    core.propose(b"x" * 2000, 0)


def test_an_entry_larger_than_the_bound_is_taken_when_nothing_else_waits() -> None:
    core = make_leader(config=replace(CONFIG, uncommitted_bytes_max=100))
    core.propose(b"x" * 500, 0)
    with pytest.raises(Overloaded):
        core.propose(b"", 0)


def test_uncommitted_bytes_are_right_after_truncation_and_a_change_of_leader() -> None:
    cluster = Cluster(3)
    old = cluster.elect(1)
    cluster.isolate(1)
    cluster.propose(old, b"x" * 700)
    cluster.propose(old, b"x" * 300)
    assert old.up.uncommitted_bytes == 1000
    cluster.advance(400)
    leader = cluster.leader
    assert leader is not None
    assert leader is not old
    cluster.propose(leader, b"y" * 50)
    cluster.settle()
    cluster.cut.clear()
    cluster.advance(500)
    assert old.up.last == leader.up.last
    assert {one.up.uncommitted_bytes for one in cluster.members.values()} == {0}
    # A leader answers for what an earlier one left uncommitted.
    core = make_leader(term=1, log=entries(1, 1, data=b"x" * 30))
    assert core.uncommitted_bytes == 60


def test_only_a_leader_takes_proposals_and_others_name_it() -> None:
    cluster = Cluster(3)
    cluster.elect(2)
    with pytest.raises(NotLeader) as refusal:
        cluster.members[THREE].up.propose(b"x", 0)
    assert refusal.value.hint == "n2"
    with pytest.raises(NotLeader) as refusal:
        make_core().propose(b"x", 0)
    assert refusal.value.hint is None


# --- correctness R6: lost appends, and §5.5: followers that were down.


def test_an_append_lost_with_its_stream_is_sent_again_without_a_new_write() -> None:
    """correctness R6: a reset stream loses one entry, no later write comes."""
    core = make_leader()
    for follower in (TWO, THREE):
        core.receive(matched(follower, ONE, 1, 1), MS)
    core.propose(b"x", 0)
    save(core)
    core.unreachable(NodeId("n2"))
    assert appends(save(core)) == []
    core.reachable(NodeId("n2"), MS)
    assert appends(save(core)) == [(2, 1, (2,))]


def test_an_append_lost_without_a_sign_is_asked_for_on_ticks() -> None:
    cluster = Cluster(3)
    leader = cluster.elect(1)
    cluster.propose(leader)
    cluster.wire.clear()
    cluster.advance(ELECTION_MS // 2 + HEARTBEAT_MS + 5)
    assert leader.up.commit_index == 2


def test_a_lost_probe_is_sent_again_on_ticks() -> None:
    core = make_leader(term=1, log=entries(1, 1))
    now = core.next_deadline()
    asked: list[tuple[int, int, tuple[int, ...]]] = []
    while not asked:
        for follower in (TWO, THREE):  # Both live, but the probe was lost.
            core.receive(matched(ReplicaId(9), ONE, 2, 0), now)
            core.receive(refused(follower, ONE, 2, 0), now)
        core.tick(now)
        asked = appends(save(core))
        now = core.next_deadline()
    assert asked == [(2, 2, ()), (3, 2, ())]  # The guess stands; nothing is carried twice.


def test_a_slow_follower_is_not_sent_entries_twice() -> None:
    core = make_leader()
    for follower in (TWO, THREE):
        core.receive(matched(follower, ONE, 1, 1), MS)
    core.propose(b"x" * 900, 0)
    save(core)
    now = core.next_deadline() + ELECTION_MS * MS * 3 // 4
    core.receive(matched(THREE, ONE, 1, 2), now)
    core.tick(now)
    assert appends(save(core)) == [(2, 1, ())]
    core.receive(matched(TWO, ONE, 1, 2), now)
    assert appends(save(core)) == []


def test_a_follower_that_was_down_catches_up() -> None:
    cluster = Cluster(3)
    leader = cluster.elect(1)
    cluster.crash(cluster.members[THREE])
    for number in range(30):
        cluster.propose(leader, b"%d" % number * 100)
        cluster.settle()
    cluster.advance(500)
    cluster.start(cluster.members[THREE])
    leader.up.reachable(NodeId("n3"), leader.clock_ns)
    cluster.advance(100)
    assert cluster.members[THREE].applied_index == leader.applied_index == 31


# --- correctness R7.


def test_a_leader_of_a_lower_term_is_told_so() -> None:
    """Else pre-vote leaves a follower of a higher term out for ever."""
    core = make_core(term=5)
    core.receive(Heartbeat(TWO, ONE, 3, 0, 7, is_urgent=False), MS)
    core.receive(AppendEntries(TWO, ONE, 3, ZERO, entries(3), 0), MS)
    assert [one.term for one in sent(take(core))] == [5, 5]
    assert (core.leader, core.last) == (0, ZERO)


def test_a_follower_of_a_higher_term_is_taken_in_again() -> None:
    cluster = Cluster(3)
    leader = cluster.elect(1)
    stray = cluster.members[THREE]
    cluster.crash(stray)
    stray.disk.hard_state = replace(stray.disk.hard_state, term=9)
    cluster.start(stray)
    cluster.advance(1000)
    assert cluster.leader is not None
    assert cluster.leader.up.term >= 9
    assert stray.applied_index == leader.applied_index


def test_a_follower_votes_again_only_after_the_leader_fell_silent() -> None:
    cluster = Cluster(3)
    leader = cluster.elect(1)
    request = RequestVote(THREE, TWO, 9, EntryId(9, 9), is_transfer=False)
    cluster.deliver(request)
    assert cluster.members[TWO].up.term == leader.up.term
    assert leader.up.role is Role.LEADER
