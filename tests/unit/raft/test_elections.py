"""Raft §5.1, §5.2, §5.4.1 and §6, dissertation §4.2.3, §6.2 and §9.6: terms, votes, elections."""

from __future__ import annotations

from dataclasses import replace

import pytest

from trimaran.node.errors import NotLeader
from trimaran.node.raft.election import NEVER
from trimaran.node.raft.quorum import Tally, agreed, majority
from trimaran.node.raft.types import (
    NOBODY,
    ZERO,
    AppendEntries,
    EntryId,
    HardState,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    NodeId,
    PreVote,
    ReplicaId,
    RequestPreVote,
    RequestVote,
    Role,
    SnapshotMeta,
    TimeoutNow,
    Vote,
)

from .replicas import (
    CONFIG,
    ELECTION_MS,
    HEARTBEAT_MS,
    MS,
    Cluster,
    entries,
    make_core,
    matched,
    refused,
    replica_ids,
    role_of,
    save,
    sent,
    take,
    voters,
)

ONE, TWO, THREE = replica_ids(3)


# --- §5.1 Terms.


def test_a_higher_term_is_taken_over_and_saved() -> None:
    core = make_core(term=2)
    core.receive(Heartbeat(TWO, ONE, 5, 0, 1, is_urgent=False), MS)
    (ready,) = take(core)
    assert (core.term, core.leader, core.voted_for) == (5, TWO, NOBODY)
    assert ready.hard_state == HardState(5, NOBODY)


def test_a_vote_lasts_for_its_term_and_no_longer() -> None:
    core = make_core(term=2, voted_for=THREE)
    core.receive(RequestVote(TWO, ONE, 2, ZERO, is_transfer=False), MS)
    (ready,) = take(core)
    assert ready.send_after_sync == (Vote(ONE, TWO, 2, granted=False),)
    core.receive(RequestVote(TWO, ONE, 3, ZERO, is_transfer=False), MS)
    (ready,) = take(core)
    assert ready.hard_state == HardState(3, TWO)
    assert ready.send_after_sync == (Vote(ONE, TWO, 3, granted=True),)


def test_a_leader_steps_down_when_an_answer_has_a_higher_term() -> None:
    for answer in (
        refused(TWO, ONE, 9, 0),
        HeartbeatReply(TWO, ONE, 9, 1, is_urgent=False),
        Vote(TWO, ONE, 9, granted=False),
        PreVote(TWO, ONE, 9, granted=False),
    ):
        core = Cluster(3).elect(1).up
        core.receive(answer, core.next_deadline())
        assert (core.role, core.term, core.leader) == (Role.FOLLOWER, 9, NOBODY)


def test_answers_of_an_old_term_change_nothing() -> None:
    cluster = Cluster(3)
    cluster.elect(1)
    cluster.elect(2)
    core = cluster.elect(1).up
    before = core.followers()
    now = core.next_deadline()
    core.receive(matched(TWO, ONE, core.term - 1, 1), now)
    core.receive(HeartbeatReply(TWO, ONE, core.term - 1, 99, is_urgent=True), now)
    core.receive(Vote(TWO, ONE, core.term - 1, granted=True), now)
    assert core.followers() == before


def test_a_vote_in_a_term_that_is_already_saved_is_saved_too() -> None:
    core = make_core(term=2)
    core.receive(RequestVote(TWO, ONE, 2, ZERO, is_transfer=False), MS)
    (ready,) = take(core)
    assert ready.hard_state == HardState(2, TWO)
    core.receive(RequestVote(TWO, ONE, 2, ZERO, is_transfer=False), MS)
    (ready,) = take(core)
    assert (ready.hard_state, len(ready.send_after_sync)) == (None, 1)


# --- §5.2 Leader election.


def test_a_follower_campaigns_after_one_to_two_timeouts_of_silence() -> None:
    deadlines = {make_core(seed=seed).next_deadline() for seed in range(50)}
    assert all(ELECTION_MS * MS <= one < 2 * ELECTION_MS * MS for one in deadlines)
    assert len(deadlines) == 50
    core = make_core()
    core.tick(core.next_deadline() - 1)
    assert role_of(core) is Role.FOLLOWER
    core.tick(core.next_deadline())
    assert role_of(core) is Role.PRE_CANDIDATE


def test_time_begins_with_the_first_input() -> None:
    core = make_core()
    core.tick(10**18)
    assert role_of(core) is Role.PRE_CANDIDATE  # A long sleep is silence (correctness R3).
    late = Cluster(1).members[ONE].up
    assert late.role is Role.FOLLOWER


def test_a_leaders_message_restarts_the_wait() -> None:
    core = make_core(term=1)
    wait = core.next_deadline()
    core.receive(Heartbeat(TWO, ONE, 1, 0, 1, is_urgent=False), wait - 1)
    core.tick(wait)
    assert role_of(core) is Role.FOLLOWER
    assert core.next_deadline() >= wait - 1 + ELECTION_MS * MS


def test_a_majority_of_votes_makes_a_leader() -> None:
    cluster = Cluster(5)
    cluster.isolate(4)
    cluster.isolate(5)
    leader = cluster.elect(1)
    assert leader.up.leader == ONE
    assert cluster.members[TWO].up.leader == ONE
    assert cluster.members[ReplicaId(4)].up.leader == NOBODY


def test_no_majority_no_leader() -> None:
    cluster = Cluster(5)
    for replica in (3, 4, 5):
        cluster.isolate(replica)
    cluster.advance(1000)
    assert cluster.leader is None
    # And pre-vote keeps the term where it was, so nobody is disturbed on return.
    assert {member.up.term for member in cluster.members.values()} == {0}


def test_votes_are_given_first_come_first_served() -> None:
    core = make_core()
    core.receive(RequestVote(TWO, ONE, 1, ZERO, is_transfer=False), MS)
    core.receive(RequestVote(THREE, ONE, 1, ZERO, is_transfer=False), MS)
    core.receive(RequestVote(TWO, ONE, 1, ZERO, is_transfer=False), MS)
    assert [one.granted for one in sent(take(core)) if isinstance(one, Vote)] == [
        True,
        False,
        True,
    ]


def test_a_candidate_follows_a_leader_of_its_own_term() -> None:
    core = make_core()
    core.tick(core.next_deadline())
    core.receive(PreVote(TWO, ONE, 1, granted=True), core.next_deadline() - 1)
    assert role_of(core) is Role.CANDIDATE
    core.receive(AppendEntries(TWO, ONE, 1, ZERO, entries(1), 0), core.next_deadline() - 1)
    assert (core.role, core.leader, core.term) == (Role.FOLLOWER, TWO, 1)


def test_a_split_vote_is_tried_again_in_a_later_term() -> None:
    core = make_core()
    core.tick(core.next_deadline())
    core.receive(PreVote(TWO, ONE, 1, granted=True), core.next_deadline() - 1)
    save(core)
    core.receive(Vote(TWO, ONE, 1, granted=False), core.next_deadline() - 1)
    core.receive(Vote(THREE, ONE, 1, granted=False), core.next_deadline() - 1)
    assert role_of(core) is Role.FOLLOWER
    core.tick(core.next_deadline())
    (request, _) = save(core)
    assert request == RequestPreVote(ONE, TWO, 2, ZERO)


def test_two_leaders_of_one_term_stop_the_node() -> None:
    core = Cluster(3).elect(1).up
    with pytest.raises(AssertionError, match="two leaders"):
        core.receive(Heartbeat(TWO, ONE, core.term, 0, 1, is_urgent=False), MS)


def test_one_answer_of_each_voter_counts() -> None:
    core = make_core(count=5)
    core.tick(core.next_deadline())
    for _ in range(3):
        core.receive(PreVote(TWO, ONE, 1, granted=True), core.next_deadline() - 1)
    assert role_of(core) is Role.PRE_CANDIDATE
    core.receive(PreVote(THREE, ONE, 1, granted=True), core.next_deadline() - 1)
    save(core)
    for _ in range(3):
        core.receive(Vote(TWO, ONE, 1, granted=True), core.next_deadline() - 1)
    assert role_of(core) is Role.CANDIDATE


def test_majorities_overlap() -> None:
    assert [majority(count) for count in range(1, 8)] == [1, 2, 2, 3, 3, 4, 4]
    for count in range(1, 8):
        values = list(range(count))
        reached = agreed(values)
        assert len([one for one in values if one >= reached]) >= majority(count)
        assert len([one for one in values if one > reached]) < majority(count)


def test_a_lone_voter_leads_once_its_vote_is_saved() -> None:
    core = make_core(count=1)
    core.tick(core.next_deadline())
    (ready,) = take(core)
    assert (core.role, ready.hard_state) == (Role.CANDIDATE, HardState(1, ONE))
    core.saved(ready.ticket)
    assert role_of(core) is Role.LEADER


# --- §5.4.1 Election restriction.


@pytest.mark.parametrize(
    ("last", "granted"),
    [
        (EntryId(3, 2), True),  # A later last term wins, however short the log.
        (EntryId(2, 3), True),  # The same log.
        (EntryId(2, 4), True),  # Longer.
        (EntryId(2, 2), False),  # Shorter.
        (EntryId(1, 9), False),  # An earlier last term loses, however long the log.
    ],
)
def test_only_an_up_to_date_log_gets_a_vote(last: EntryId, granted: bool) -> None:  # noqa: FBT001
    core = make_core(term=3, log=entries(1, 2, 2))
    core.receive(RequestPreVote(TWO, ONE, 4, last), MS)
    assert sent(take(core)) == [PreVote(ONE, TWO, 4 if granted else 3, granted)]
    core.receive(RequestVote(TWO, ONE, 4, last, is_transfer=False), MS)
    assert sent(take(core)) == [Vote(ONE, TWO, 4, granted)]


# --- Dissertation §9.6: pre-vote; §4.2.3, §6.2: disruptive replicas, check-quorum.


def test_a_pre_vote_changes_nothing_at_either_end() -> None:
    core = make_core(term=3)
    core.tick(core.next_deadline())
    (ready,) = take(core)
    assert (core.term, ready.hard_state) == (3, None)
    assert ready.send_now == (
        RequestPreVote(ONE, TWO, 4, ZERO),
        RequestPreVote(ONE, THREE, 4, ZERO),
    )
    other = make_core(replica=2, term=3)
    other.receive(ready.send_now[0], MS)
    (ready,) = take(other)
    assert ready.send_now == (PreVote(TWO, ONE, 4, granted=True),)
    assert (other.term, other.voted_for, ready.hard_state) == (3, NOBODY, None)


def test_a_replica_that_was_cut_off_does_not_depose_a_live_leader() -> None:
    cluster = Cluster(3)
    leader = cluster.elect(1)
    term = leader.up.term
    cluster.isolate(3)
    cluster.advance(1000)
    cluster.cut.clear()
    cluster.advance(1000)
    assert cluster.leader is leader
    assert leader.up.term == term


def test_a_vote_is_refused_while_a_leader_is_heard() -> None:
    core = make_core(term=1)
    core.receive(Heartbeat(TWO, ONE, 1, 0, 1, is_urgent=False), MS)
    save(core)
    at = MS + ELECTION_MS * MS
    core.receive(RequestPreVote(THREE, ONE, 2, ZERO), at - 1)
    assert sent(take(core)) == [PreVote(ONE, THREE, 1, granted=False)]
    core.receive(RequestVote(THREE, ONE, 2, ZERO, is_transfer=False), at - 1)
    assert take(core) == []
    assert core.term == 1
    core.receive(RequestPreVote(THREE, ONE, 2, ZERO), at)
    assert sent(take(core)) == [PreVote(ONE, THREE, 2, granted=True)]
    core.receive(RequestVote(THREE, ONE, 2, ZERO, is_transfer=False), at)
    assert sent(take(core)) == [Vote(ONE, THREE, 2, granted=True)]


def test_a_pre_vote_is_refused_in_a_term_already_reached() -> None:
    core = make_core(term=7)
    core.receive(RequestPreVote(TWO, ONE, 7, ZERO), MS)
    assert sent(take(core)) == [PreVote(ONE, TWO, 7, granted=False)]


def test_a_refusal_brings_a_pre_candidate_up_to_the_term() -> None:
    core = make_core(term=1)
    core.tick(core.next_deadline())
    core.receive(PreVote(TWO, ONE, 7, granted=False), core.next_deadline() - 1)
    assert (core.role, core.term) == (Role.FOLLOWER, 7)


def test_pre_votes_granted_to_an_earlier_attempt_do_not_count() -> None:
    core = make_core(term=1)
    core.tick(core.next_deadline())
    core.receive(Heartbeat(TWO, ONE, 4, 0, 1, is_urgent=False), core.next_deadline() - 1)
    core.tick(core.next_deadline())
    assert role_of(core) is Role.PRE_CANDIDATE
    core.receive(PreVote(TWO, ONE, 2, granted=True), core.next_deadline() - 1)
    assert role_of(core) is Role.PRE_CANDIDATE


def test_of_two_who_ask_at_once_one_gives_way() -> None:
    first, second = make_core(replica=1, seed=1), make_core(replica=2, seed=2)
    now = 2 * ELECTION_MS * MS
    first.tick(now)
    second.tick(now)
    (to_second, _), (to_first, _) = sent(take(first)), sent(take(second))
    first.receive(to_first, now)
    second.receive(to_second, now)
    assert (first.role, second.role) == (Role.PRE_CANDIDATE, Role.FOLLOWER)
    assert second.next_deadline() > now + 20 * MS
    # Both said yes: giving way refuses nobody.
    assert PreVote(ONE, TWO, 1, granted=True) in sent(take(first))
    assert PreVote(TWO, ONE, 1, granted=True) in sent(take(second))


def test_a_leader_that_reaches_no_majority_steps_down() -> None:
    cluster = Cluster(3)
    leader = cluster.elect(1)
    cluster.isolate(1)
    began = leader.clock_ns
    while leader.up.role is Role.LEADER:
        cluster.advance(5)
        assert leader.clock_ns - began <= (ELECTION_MS + 25) * MS
    assert leader.up.leader == NOBODY
    with pytest.raises(NotLeader):
        leader.up.propose(b"x", 0)


def test_a_leader_that_reaches_one_of_two_others_stays() -> None:
    cluster = Cluster(3)
    leader = cluster.elect(1)
    cluster.isolate(3)
    cluster.advance(1000)
    assert cluster.leader is leader


def test_a_leader_that_stood_still_asks_before_it_takes_others_for_silent() -> None:
    cluster = Cluster(3)
    core = cluster.elect(1).up
    woke = core.next_deadline() + 2 * ELECTION_MS * MS
    core.tick(woke)
    assert role_of(core) is Role.LEADER
    assert any(isinstance(one, Heartbeat) for one in save(core))
    now = woke
    while role_of(core) is Role.LEADER:  # Nobody answers.
        now = core.next_deadline()
        core.tick(now)
    assert now - woke <= (ELECTION_MS + 2 * HEARTBEAT_MS) * MS


def test_an_answer_that_came_behind_a_stand_still_counts_from_when_it_came() -> None:
    cluster = Cluster(3)
    core = cluster.elect(1).up
    woke = core.next_deadline() + 3 * ELECTION_MS * MS
    for follower in (TWO, THREE):  # What waited in the sockets is read before the first tick.
        core.receive(matched(follower, ONE, core.term, core.commit_index), woke)
    core.tick(woke)
    now = woke
    while role_of(core) is Role.LEADER:  # Nobody answers.
        now = core.next_deadline()
        core.tick(now)
    assert now - woke <= (ELECTION_MS + 2 * HEARTBEAT_MS) * MS


def test_a_leader_that_slept_steps_down_before_it_does_anything() -> None:
    """correctness R3: SIGSTOP for 20 s, and waking with the belief that no time has passed."""
    core = Cluster(3).elect(1).up
    now = core.next_deadline()
    token = core.request_read(now)
    core.tick(now + 20_000 * MS)
    assert role_of(core) is Role.FOLLOWER
    assert [ready.reads_failed for ready in take(core)] == [(token,)]


# --- §6 and correctness R8: who is a voter.


def test_a_replica_that_nothing_names_a_voter_never_campaigns() -> None:
    core = make_core(replica=9)
    assert core.next_deadline() == NEVER
    for at in range(0, 2000, 50):
        core.tick(at * MS)
    assert role_of(core) is Role.FOLLOWER
    core.receive(TimeoutNow(TWO, ReplicaId(9), 0), 2000 * MS)
    assert (core.role, core.term) == (Role.FOLLOWER, 0)
    assert take(core) == []


def test_a_snapshot_that_names_it_makes_a_voter() -> None:
    core = make_core(replica=4)
    meta = SnapshotMeta(EntryId(1, 5), voters(4))
    core.receive(InstallSnapshot(ONE, ReplicaId(4), 1, meta), MS)
    take(core)
    core.snapshot_installed(meta)
    assert core.next_deadline() < NEVER
    assert core.node_of(ReplicaId(4)) == NodeId("n4")


def test_votes_of_strangers_do_not_count() -> None:
    tally = Tally(replica_ids(3))
    tally.record(ReplicaId(8), granted=True)
    tally.record(ReplicaId(9), granted=True)
    assert not tally.is_won
    core = make_core()
    core.tick(core.next_deadline())
    for stranger in (8, 9):
        core.receive(PreVote(ReplicaId(stranger), ONE, 1, granted=True), core.next_deadline() - 1)
    assert role_of(core) is Role.PRE_CANDIDATE


def test_messages_for_another_replica_are_dropped_and_counted() -> None:
    core = make_core()
    core.receive(RequestVote(TWO, ReplicaId(7), 5, ZERO, is_transfer=False), MS)
    assert (core.term, core.dropped_messages) == (0, 1)
    assert take(core) == []


# --- Leaders that may not lead, and broken streams.


def test_a_replica_that_may_not_lead_neither_campaigns_nor_takes_a_transfer() -> None:
    core = make_core(term=1)
    core.allow_leading(False)  # noqa: FBT003 - as agreed.
    assert core.next_deadline() == NEVER
    core.tick(1000 * MS)
    core.receive(TimeoutNow(TWO, ONE, 1), 1001 * MS)
    assert role_of(core) is Role.FOLLOWER
    core.allow_leading(True)  # noqa: FBT003 - as agreed.
    core.tick(core.next_deadline())
    assert role_of(core) is Role.PRE_CANDIDATE


def test_a_pre_candidate_that_may_no_longer_lead_stops_there() -> None:
    core = make_core(term=1)
    core.tick(core.next_deadline())
    core.allow_leading(False)  # noqa: FBT003 - as agreed.
    core.receive(PreVote(TWO, ONE, 2, granted=True), 500 * MS)
    assert core.term == 1


def test_a_leader_that_may_not_lead_hands_over() -> None:
    cluster = Cluster(3)
    leader = cluster.elect(1)
    leader.up.allow_leading(False)  # noqa: FBT003 - as agreed.
    cluster.pump(leader)
    cluster.settle()
    assert cluster.leader is not None
    assert cluster.leader is not leader


def test_a_leader_that_may_not_lead_and_cannot_hand_over_steps_down() -> None:
    cluster = Cluster(3)
    leader = cluster.elect(1)
    cluster.isolate(1)
    leader.up.allow_leading(False)  # noqa: FBT003 - as agreed.
    cluster.pump(leader)
    cluster.advance(ELECTION_MS + 30)
    assert leader.up.role is Role.FOLLOWER
    lone = Cluster(1).elect(1).up
    lone.allow_leading(False)  # noqa: FBT003 - as agreed.
    assert lone.role is Role.FOLLOWER


def test_a_broken_stream_to_the_leader_shortens_the_wait() -> None:
    core = make_core(term=1)
    core.receive(Heartbeat(TWO, ONE, 1, 0, 1, is_urgent=False), MS)
    core.unreachable(NodeId("n3"))
    assert core.leader == TWO
    core.unreachable(NodeId("n2"))
    assert core.leader == NOBODY
    assert core.next_deadline() < MS + 2 * CONFIG.heartbeat_interval_ns
    core.receive(Heartbeat(TWO, ONE, 1, 0, 2, is_urgent=False), 2 * MS)
    assert core.leader == TWO
    assert core.next_deadline() >= 2 * MS + ELECTION_MS * MS


def test_with_all_streams_to_the_leader_broken_a_new_one_is_elected_at_once() -> None:
    for seed in range(20):
        cluster = Cluster(3, seed=seed)
        leader = cluster.elect(1)
        cluster.advance(50)
        cluster.crash(leader)
        cluster.wire.clear()
        began = cluster.members[TWO].clock_ns
        for replica in (TWO, THREE):
            cluster.members[replica].up.unreachable(leader.node)
        while cluster.leader is None:
            cluster.advance(1, step=1)
            assert cluster.members[TWO].clock_ns - began <= 4 * CONFIG.heartbeat_interval_ns


def test_a_false_alarm_does_not_disturb_the_leader() -> None:
    cluster = Cluster(3)
    leader = cluster.elect(1)
    term = leader.up.term
    cluster.members[THREE].up.unreachable(leader.node)
    cluster.cut = {(ONE, THREE), (THREE, ONE)}
    cluster.advance(500)
    assert (cluster.leader, leader.up.term) == (leader, term)


def test_a_hung_disk_keeps_a_follower_from_campaigning() -> None:
    core = make_core(term=1)
    core.receive(AppendEntries(TWO, ONE, 1, ZERO, entries(1), 0), MS)
    (ready,) = take(core)
    core.tick(500 * MS)
    assert role_of(core) is Role.FOLLOWER
    core.saved(ready.ticket)
    core.tick(core.next_deadline())
    assert role_of(core) is Role.PRE_CANDIDATE


def test_a_configuration_of_five_elects_with_three() -> None:
    cluster = Cluster(5, config=replace(CONFIG, inflight_appends_max=1))
    for replica in (4, 5):
        cluster.crash(cluster.members[ReplicaId(replica)])
    assert cluster.elect(3).up.role is Role.LEADER


def test_when_a_peer_comes_a_replica_that_knows_no_leader_waits_only_a_moment() -> None:
    core = make_core()
    core.tick(MS)
    core.reachable(NodeId("elsewhere"), 40 * MS)  # No voter of this shard.
    assert core.next_deadline() >= MS + ELECTION_MS * MS
    core.reachable(NodeId("n2"), 50 * MS)
    assert 50 * MS <= core.next_deadline() < 50 * MS + 2 * CONFIG.heartbeat_interval_ns
    core.receive(Heartbeat(TWO, ONE, 1, 0, 1, is_urgent=False), 60 * MS)
    core.reachable(NodeId("n3"), 70 * MS)
    assert core.next_deadline() >= 60 * MS + ELECTION_MS * MS
