"""Raft §7 and correctness L5, L6, L9: compaction, and followers that need a snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trimaran.node.raft.progress import State
from trimaran.node.raft.types import (
    ZERO,
    AppendEntries,
    EntryId,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    NodeId,
    ReplicaId,
    RequestVote,
    Role,
    SnapshotMeta,
    TimeoutNow,
    Vote,
)

from .replicas import (
    ELECTION_MS,
    MS,
    Cluster,
    Member,
    entries,
    make_core,
    make_leader,
    matched,
    refused,
    replica_ids,
    save,
    sent,
    take,
    voters,
)

if TYPE_CHECKING:
    from trimaran.node.raft.core import RaftCore

ONE, TWO, THREE = replica_ids(3)


def committed_leader(count: int) -> tuple[Cluster, Member]:
    """A cluster whose leader has committed and applied entries 1 to `count`; replica 3 is down."""
    cluster = Cluster(3)
    leader = cluster.elect(1)
    cluster.crash(cluster.members[THREE])
    for number in range(2, count + 1):
        cluster.propose(leader, b"%d" % number * 10)
        cluster.settle()
    return cluster, leader


def test_compaction_forgets_entries_but_not_the_term_before_them() -> None:
    cluster, leader = committed_leader(10)
    core = leader.up
    cluster.compact(leader, keep=3)
    assert (core.first_index, core.last.index, core.snapshot_index) == (8, 10, 10)
    assert [core.term_at(index) for index in (6, 7, 8, 11)] == [None, 1, 1, None]
    assert (core.entry_at(7), core.unsnapshotted_entries()) == (None, ())
    cluster.propose(leader, b"x")
    cluster.settle()
    assert leader.applied_index == 11
    assert [entry.index for entry in core.unsnapshotted_entries()] == [11]


def test_index_keeping_keeps_about_that_many_bytes() -> None:
    core = make_core(term=1, log=entries(1, 1, 1, 1, 1, data=b"x" * 10))
    assert [core.index_keeping(5, keep) for keep in (0, 9, 10, 25, 50, 999)] == [6, 6, 5, 4, 1, 1]
    assert core.index_keeping(3, 10) == 3
    assert core.log_bytes > 50


def test_compacting_further_than_what_was_applied_is_a_fault() -> None:
    core = make_core(term=1, log=entries(1, 1))
    with pytest.raises(AssertionError, match="not yet applied"):
        core.compact(SnapshotMeta(EntryId(1, 2), voters(3)), 3)


def test_a_restart_begins_at_the_snapshot() -> None:
    cluster, leader = committed_leader(10)
    cluster.compact(leader, keep=3)
    cluster.crash(leader)
    cluster.start(leader)
    assert (leader.up.commit_index, leader.up.first_index, leader.applied_index) == (10, 11, 10)
    assert leader.up.meta_at(10) == leader.disk.snapshot


def test_a_follower_behind_the_log_gets_a_snapshot_and_goes_on_from_there() -> None:
    cluster, leader = committed_leader(10)
    cluster.compact(leader)
    third = cluster.members[THREE]
    cluster.start(third)
    cluster.advance(200)
    assert third.disk.snapshot.id == EntryId(1, 10)
    assert (third.applied_index, third.digest) == (leader.applied_index, leader.digest)
    cluster.propose(leader, b"x")
    cluster.advance(50)
    assert third.applied_index == 11


def test_a_follower_within_the_kept_log_needs_no_snapshot() -> None:
    """correctness L9: log_keep_bytes stay behind a snapshot."""
    cluster, leader = committed_leader(10)
    cluster.compact(leader, keep=10)
    third = cluster.members[THREE]
    cluster.start(third)
    cluster.advance(200)
    assert third.disk.snapshot.id == ZERO
    assert third.applied_index == 10


def test_a_follower_that_does_not_answer_is_sent_no_snapshot() -> None:
    cluster, leader = committed_leader(10)
    cluster.compact(leader)
    cluster.wire.clear()
    cluster.advance(500)
    views = {view.replica: view for view in leader.up.followers()}
    assert (views[THREE].state, views[THREE].is_active) == (State.PROBE, False)


# --- At the follower (correctness L6).


def waiting_to_install() -> tuple[RaftCore, SnapshotMeta]:
    core = make_core(term=2, log=entries(1, 1, 2))
    meta = SnapshotMeta(EntryId(2, 8), voters(3))
    core.receive(InstallSnapshot(TWO, ONE, 2, meta), MS)
    (ready,) = take(core)
    assert ready.snapshot == meta
    return core, meta


def test_a_ready_with_a_snapshot_carries_nothing_else_and_is_given_once() -> None:
    core = make_core(term=1)
    meta = SnapshotMeta(EntryId(2, 8), voters(3))
    core.receive(InstallSnapshot(TWO, ONE, 2, meta), MS)
    core.receive(Heartbeat(TWO, ONE, 2, 0, 1, is_urgent=False), MS)
    first, second = take(core)
    assert first.hard_state is not None
    assert first.snapshot is None
    assert second.snapshot == meta
    assert sent([second]) == []
    assert not second.must_save
    assert take(core) == []


def test_nothing_is_acknowledged_or_accepted_until_the_snapshot_is_installed() -> None:
    core, meta = waiting_to_install()
    core.receive(AppendEntries(TWO, ONE, 2, EntryId(2, 3), entries(2, first=4), 4), 2 * MS)
    core.receive(InstallSnapshot(TWO, ONE, 2, meta), 2 * MS)
    assert take(core) == []
    assert core.last == EntryId(2, 3)
    core.receive(Heartbeat(TWO, ONE, 2, 0, 1, is_urgent=False), 2 * MS)
    assert sent(take(core)) == [HeartbeatReply(ONE, TWO, 2, 1, is_urgent=False)]
    core.snapshot_installed(meta)
    assert (core.last, core.commit_index, core.saved_index) == (EntryId(2, 8), 8, 8)
    assert save(core) == [matched(ONE, TWO, 2, 8)]


def test_no_campaign_while_a_snapshot_is_being_installed() -> None:
    core, _ = waiting_to_install()
    core.tick(core.next_deadline())
    core.receive(TimeoutNow(TWO, ONE, 2), core.next_deadline() - 1)
    assert (core.role, core.term) == (Role.FOLLOWER, 2)
    # But others may be elected with its vote: what it has acknowledged is in its log.
    at = core.next_deadline() + ELECTION_MS * MS
    core.receive(RequestVote(THREE, ONE, 3, EntryId(2, 8), is_transfer=False), at)
    assert Vote(ONE, THREE, 3, granted=True) in save(core)


def test_nothing_is_applied_while_a_snapshot_is_being_installed() -> None:
    core, meta = waiting_to_install()
    core.receive(Heartbeat(TWO, ONE, 2, 3, 1, is_urgent=False), 2 * MS)
    assert all(not ready.committed for ready in take(core))
    core.snapshot_installed(meta)
    core.receive(AppendEntries(TWO, ONE, 2, meta.id, entries(2, first=9), 9), 3 * MS)
    (ready,) = take(core)
    assert [entry.index for entry in ready.committed] == [9]


def test_saves_of_before_the_install_vouch_for_nothing_behind_it() -> None:
    core = make_core(term=2)
    core.receive(AppendEntries(TWO, ONE, 2, ZERO, entries(*[1] * 20), 0), MS)
    (old,) = take(core)
    meta = SnapshotMeta(EntryId(2, 8), voters(3))
    core.receive(InstallSnapshot(TWO, ONE, 2, meta), MS)
    take(core)
    core.snapshot_installed(meta)
    assert (core.last, core.saved_index) == (EntryId(2, 8), 8)
    core.saved(old.ticket)
    assert core.saved_index == 8


def test_a_snapshot_of_what_is_in_the_log_drops_nothing() -> None:
    """Raft §7: if the log holds the snapshot's last entry, what follows it stays."""
    core = make_core(term=2, log=entries(1, 1, 2, 2))
    meta = SnapshotMeta(EntryId(2, 3), voters(3))
    core.receive(InstallSnapshot(TWO, ONE, 2, meta), MS)
    (ready,) = take(core)
    assert ready.snapshot is None
    assert (core.commit_index, core.last) == (3, EntryId(2, 4))
    assert ready.send_after_sync == (matched(ONE, TWO, 2, 3),)


def test_an_old_snapshot_is_answered_with_what_is_committed() -> None:
    core = make_core(snapshot=SnapshotMeta(EntryId(2, 9), voters(3)), term=2)
    core.receive(InstallSnapshot(TWO, ONE, 2, SnapshotMeta(EntryId(1, 4), voters(3))), MS)
    assert save(core) == [matched(ONE, TWO, 2, 9)]
    core.receive(InstallSnapshot(TWO, ONE, 1, SnapshotMeta(EntryId(1, 40), voters(3))), MS)
    assert save(core) == [refused(ONE, TWO, 2, 0)]


def test_a_crash_while_installing_leaves_the_old_state() -> None:
    cluster, leader = committed_leader(10)
    cluster.compact(leader)
    third = cluster.members[THREE]
    cluster.start(third)
    while third.installing is None:
        for member in cluster.members.values():
            cluster.tick(member, 5)
            while member.saving:
                cluster.save(member)
        batch, cluster.wire = cluster.wire, []
        for message in batch:
            cluster.deliver(message)
    cluster.crash(third)
    cluster.start(third)
    assert (third.up.commit_index, third.applied_index) == (0, 0)
    cluster.advance(400)
    assert third.digest == leader.digest


# --- At the leader.


def sending_snapshot() -> RaftCore:
    """A leader at entry 6 whose log begins at 6 and whose follower 2 has nothing."""
    core = make_leader(term=1, log=entries(1, 1, 1, 1, 1))
    core.receive(matched(THREE, ONE, 2, 6), MS)
    save(core)
    core.compact(core.meta_at(5), 6)
    core.receive(refused(TWO, ONE, 2, 5), MS)
    (message,) = [one for one in save(core) if isinstance(one, InstallSnapshot)]
    assert message.meta.id == EntryId(1, 5)
    assert core.followers()[0].state is State.SNAPSHOT
    return core


def appends_to(core: RaftCore, target: ReplicaId) -> list[AppendEntries]:
    return [one for one in save(core) if isinstance(one, AppendEntries) and one.target == target]


def test_nothing_is_sent_behind_a_snapshot_in_transfer() -> None:
    core = sending_snapshot()
    core.propose(b"x", 0)
    for _ in range(20):
        now = core.next_deadline()
        core.receive(HeartbeatReply(TWO, ONE, 2, 0, is_urgent=False), now)
        core.receive(HeartbeatReply(THREE, ONE, 2, 0, is_urgent=False), now)
        core.tick(now)
        assert appends_to(core, TWO) == []
    core.unreachable(NodeId("n2"))
    core.reachable(NodeId("n2"), core.next_deadline())
    assert core.followers()[0].state is State.SNAPSHOT


def test_a_slow_install_is_asked_for_and_not_repeated() -> None:
    """correctness L9: a slow install does not loop."""
    core = sending_snapshot()
    core.snapshot_sent(TWO, True)  # noqa: FBT003 - as agreed.
    asked: list[AppendEntries] = []
    for _ in range(20):
        now = core.next_deadline()
        core.receive(HeartbeatReply(TWO, ONE, 2, 0, is_urgent=False), now)
        core.receive(HeartbeatReply(THREE, ONE, 2, 0, is_urgent=False), now)
        core.tick(now)
        asked += appends_to(core, TWO)
    assert 4 <= len(asked) <= 10
    assert {(one.previous, one.entries) for one in asked} == {(EntryId(1, 5), ())}
    core.receive(matched(TWO, ONE, 2, 5), core.next_deadline())
    assert core.followers()[0].state is State.REPLICATE
    assert [one.entries[0].index for one in appends_to(core, TWO)] == [6]


def test_a_transfer_that_failed_is_begun_again_later() -> None:
    core = sending_snapshot()
    core.snapshot_sent(TWO, False)  # noqa: FBT003 - as agreed.
    assert save(core) == []
    for _ in range(5):
        now = core.next_deadline()
        core.receive(HeartbeatReply(TWO, ONE, 2, 0, is_urgent=False), now)
        core.tick(now)
    assert core.followers()[0].state is State.SNAPSHOT


def test_a_follower_that_lost_the_file_is_sent_it_again() -> None:
    core = sending_snapshot()
    core.snapshot_sent(TWO, True)  # noqa: FBT003 - as agreed.
    core.receive(refused(TWO, ONE, 2, 5), MS)  # It answers to the question, and has nothing.
    assert any(isinstance(one, InstallSnapshot) for one in save(core))


def test_a_follower_that_installed_what_is_compacted_meanwhile_gets_a_newer_one() -> None:
    core = sending_snapshot()
    core.propose(b"x", 0)
    save(core)
    core.receive(matched(THREE, ONE, 2, 7), MS)
    save(core)
    core.compact(core.meta_at(7), 8)
    core.receive(matched(TWO, ONE, 2, 5), MS)
    (message,) = [one for one in save(core) if isinstance(one, InstallSnapshot)]
    assert message.meta.id == EntryId(2, 7)
