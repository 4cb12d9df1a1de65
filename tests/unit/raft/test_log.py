"""The log in memory: places, terms and bytes over appending, truncation and compaction."""

from __future__ import annotations

from random import Random

import pytest

from trimaran.node.raft.log import RaftLog
from trimaran.node.raft.types import (
    ZERO,
    Entry,
    EntryId,
    EntryKind,
    SnapshotMeta,
)

from .replicas import entries, voters

EMPTY = SnapshotMeta(ZERO, voters(3))


def test_an_empty_log_ends_at_its_snapshot() -> None:
    log = RaftLog(SnapshotMeta(EntryId(3, 7), voters(3)), ())
    assert (log.last, log.first_index, log.commit_index) == (EntryId(3, 7), 8, 7)
    assert [log.term_at(index) for index in (6, 7, 8)] == [None, 3, None]


def test_a_log_has_no_gaps() -> None:
    with pytest.raises(AssertionError, match="gaps"):
        RaftLog(EMPTY, entries(1, first=2))


def test_before_finds_where_two_logs_can_still_agree() -> None:
    log = RaftLog(EMPTY, entries(1, 1, 4, 4, 6))
    found = [log.before(index, term) for index, term in ((5, 5), (5, 6), (9, 9), (3, 4), (4, 3))]
    assert found == [
        EntryId(4, 4),
        EntryId(6, 5),
        EntryId(6, 5),
        EntryId(4, 3),
        EntryId(1, 2),
    ]
    assert log.before(5, 0) == ZERO


def test_reach_stops_at_the_bytes_given_but_takes_one_entry() -> None:
    log = RaftLog(EMPTY, entries(1, 1, 1, data=b"x" * 10))
    reached = [log.reach(1, bytes_max) for bytes_max in (1, 10, 19, 20, 29, 30, 99)]
    assert reached == [1, 1, 1, 2, 2, 3, 3]
    log.compact(SnapshotMeta(EntryId(1, 1), voters(3)), 2)
    assert [log.reach(2, bytes_max) for bytes_max in (1, 10, 19, 20)] == [2, 2, 2, 3]


def test_committed_entries_are_not_truncated() -> None:
    log = RaftLog(EMPTY, entries(1, 1))
    log.commit_index = 1
    log.truncate(2)
    with pytest.raises(AssertionError, match="committed"):
        log.truncate(1)


def test_any_sequence_of_changes_leaves_what_a_plain_list_would_hold() -> None:
    rng = Random(5)
    log, model, base = RaftLog(EMPTY, ()), list[Entry](), 0
    for step in range(3000):
        dice = rng.random()
        last = base + len(model)
        if dice < 0.7:
            size = int(rng.random() * 50)
            entry = Entry(step // 100, last + 1, EntryKind.COMMANDS, b"x" * size)
            log.append(entry)
            model.append(entry)
        elif dice < 0.85 and last > log.commit_index:
            first = log.commit_index + 1 + int(rng.random() * (last - log.commit_index))
            log.truncate(first)
            del model[first - base - 1 :]
        elif dice < 0.95:
            log.commit_index += int(rng.random() * (last - log.commit_index + 1))
        elif log.commit_index > base:
            first = base + 1 + int(rng.random() * (log.commit_index - base + 1))
            term = log.term_at(log.commit_index)
            assert term is not None
            log.compact(SnapshotMeta(EntryId(term, log.commit_index), voters(3)), first)
            del model[: first - 1 - base]
            base = first - 1
        last = base + len(model)
        assert (log.first_index, log.last_index) == (base + 1, last)
        assert log.between(base + 1, last) == tuple(model)
        first = base + 1 + int(rng.random() * (len(model) + 1))
        expected = sum([len(entry.data) for entry in model[first - base - 1 :]])
        assert log.bytes_between(first, last) == expected
    assert log.last == model[-1].id
