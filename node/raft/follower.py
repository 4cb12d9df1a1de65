"""What a follower does with a leader's entries (Raft §5.3): accept, or find that they do not fit.

Terms, roles and answers are `core.py`'s; what is on disk is `saves.py`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .log import RaftLog
    from .saves import Saves
    from .types import AppendEntries, Entry


def accept(log: RaftLog, saves: Saves, message: AppendEntries) -> int | None:
    """Up to where our log now equals the leader's; None if `message.previous` does not fit."""
    previous = message.previous
    known = log.term_at(previous.index)
    if previous.index > log.commit_index:
        if known != previous.term:
            return None
    else:
        # Every leader holds all that is committed (Raft §5.4.3), so there is nothing to compare.
        assert known in (None, previous.term), "a committed entry differs from the leader's"
    entries = message.entries
    match_index = previous.index + len(entries)
    if entries and match_index > log.commit_index:
        _take(log, saves, entries[max(log.commit_index - previous.index, 0) :])
    match_index = max(match_index, log.commit_index)
    # Commit only what is known to be the leader's: entries behind it may yet be replaced.
    log.commit_index = max(log.commit_index, min(message.commit_index, match_index))
    return match_index


def _take(log: RaftLog, saves: Saves, entries: tuple[Entry, ...]) -> None:
    """Append what is new, dropping our suffix only from an entry that differs."""
    if entries[0].index <= log.last_index:
        known = 0
        while known < len(entries) and log.term_at(entries[known].index) == entries[known].term:
            known += 1
        if known == len(entries):
            return  # A late copy must not drop what came after it.
        entries = entries[known:]
        first = entries[0].index
        if first <= log.last_index:
            log.truncate(first)
            saves.truncated(first)
    log.extend(entries)
