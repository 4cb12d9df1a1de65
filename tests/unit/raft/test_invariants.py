"""The checker itself: each invariant of Raft's figure 3, broken on purpose, is reported."""

from __future__ import annotations

from dataclasses import replace

import pytest

from trimaran.node.raft.invariants import Checker
from trimaran.node.raft.types import (
    ZERO,
    AppendEntries,
    Entry,
    EntryId,
    EntryKind,
    Heartbeat,
    HeartbeatReply,
    ReplicaId,
    RequestVote,
    SnapshotMeta,
    Vote,
)

from .replicas import Cluster, entries, make_core, make_leader, matched, replica_ids, save, voters

ONE, TWO, THREE = replica_ids(3)


def test_two_leaders_of_one_term_are_reported() -> None:
    checker = Checker()
    checker.observe(ONE, make_leader())
    with pytest.raises(AssertionError, match="both lead term 1"):
        checker.observe(TWO, make_leader())


def test_two_entries_of_one_index_and_term_are_reported() -> None:
    checker = Checker()
    checker.observe(ONE, make_core(term=1, log=entries(1, data=b"a")))
    with pytest.raises(AssertionError, match="two entries"):
        checker.observe(TWO, make_core(replica=2, term=1, log=entries(1, data=b"b")))


def test_one_entry_behind_two_pasts_is_reported() -> None:
    checker = Checker()
    checker.observe(ONE, make_core(term=3, log=entries(1, 3)))
    with pytest.raises(AssertionError, match="two entries"):
        checker.observe(TWO, make_core(replica=2, term=3, log=entries(2, 3)))


def test_an_entry_committed_without_a_majority_on_disk_is_reported() -> None:
    checker = Checker()
    for replica in (1, 2, 3):
        checker.observe(ReplicaId(replica), make_core(replica=replica))
    core = make_leader()
    core.receive(matched(TWO, ONE, 1, 1), 0)  # But replica 2 has saved nothing.
    with pytest.raises(AssertionError, match="only 1 of 3 have saved"):
        checker.observe(ONE, core)


def committed_everywhere() -> Cluster:
    cluster = Cluster(3)
    cluster.propose(cluster.elect(1), b"x")
    cluster.advance(100)
    assert cluster.checker.committed_index == 2
    return cluster


def test_a_leader_without_a_committed_entry_is_reported() -> None:
    checker = committed_everywhere().checker
    checker.observe(TWO, None)
    # Its disk lost what it had saved; the checker is told of a new one to look past that.
    with pytest.raises(AssertionError, match="forgot entries"):
        checker.observe(TWO, make_core(replica=2, term=1))
    with pytest.raises(AssertionError, match="leads term 8 without"):
        checker.observe(ReplicaId(4), make_leader(term=7))


def test_a_committed_entry_that_changes_is_reported() -> None:
    checker = committed_everywhere().checker
    core = make_core(replica=4, term=2, count=4)
    core.receive(AppendEntries(ONE, ReplicaId(4), 2, ZERO, entries(2), 1), 0)
    save(core)
    with pytest.raises(AssertionError, match="was committed"):
        checker.observe(ReplicaId(4), core)


def test_different_entries_applied_at_one_index_are_reported() -> None:
    checker = Checker()
    checker.applied(ONE, Entry(1, 1, EntryKind.COMMANDS, b"a"))
    checker.applied(TWO, Entry(1, 1, EntryKind.COMMANDS, b"a"))
    with pytest.raises(AssertionError, match="where another applied"):
        checker.applied(THREE, Entry(1, 1, EntryKind.COMMANDS, b"b"))


def test_two_votes_in_a_term_are_reported_across_a_crash() -> None:
    cluster = Cluster(3)
    checker = cluster.checker
    cluster.deliver(RequestVote(TWO, ONE, 1, ZERO, is_transfer=False))
    cluster.save(cluster.members[ONE])
    cluster.crash(cluster.members[ONE])
    with pytest.raises(AssertionError, match="voted for 2 and for 3"):
        checker.sent(Vote(ONE, THREE, 1, granted=True))
    with pytest.raises(AssertionError, match="voted for 2 and for 3"):
        checker.observe(ONE, make_core(term=1, voted_for=THREE))


def test_a_term_forgotten_in_a_crash_is_reported() -> None:
    cluster = committed_everywhere()
    cluster.checker.observe(TWO, None)
    with pytest.raises(AssertionError, match="forgot term 1"):
        cluster.checker.observe(TWO, make_core(replica=2, term=0, log=entries(0, 0)))


def test_a_message_of_an_unsaved_term_is_reported() -> None:
    checker = Checker()
    core = make_core()
    core.receive(Heartbeat(TWO, ONE, 4, 0, 1, is_urgent=False), 0)
    checker.observe(ONE, core)
    with pytest.raises(AssertionError, match="only term 0 is saved"):
        checker.sent(HeartbeatReply(ONE, TWO, 4, 1, is_urgent=False))


def test_a_crash_of_what_was_not_saved_is_no_fault() -> None:
    checker = Checker()
    core = make_core(term=1, log=entries(1))
    core.receive(AppendEntries(TWO, ONE, 1, EntryId(1, 1), entries(1, 1, first=2), 0), 0)
    checker.observe(ONE, core)
    checker.observe(ONE, None)
    checker.observe(ONE, make_core(term=1, log=entries(1)))


def test_a_snapshot_takes_the_place_of_the_log() -> None:
    checker = committed_everywhere().checker
    meta = SnapshotMeta(EntryId(1, 2), voters(3))
    checker.observe(THREE, None)
    checker.observe(THREE, make_core(replica=3, term=1, snapshot=meta))
    checker.observe(THREE, None)
    back = replace(meta, id=EntryId(1, 1))
    log = (Entry(1, 2, EntryKind.COMMANDS, b"x"),)
    checker.observe(THREE, make_core(replica=3, term=1, snapshot=back, log=log))


def test_the_whole_log_can_be_looked_at() -> None:
    cluster = committed_everywhere()
    for member in cluster.members.values():
        cluster.checker.check_all(member.replica, member.up)
