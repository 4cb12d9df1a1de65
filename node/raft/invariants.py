"""What must hold over all replicas of one shard, whatever the network, disks and clocks do.

The five properties of Raft's figure 3, and those that make them worth something on real disks: a
vote once a term across crashes, and nothing committed that a majority does not have on disk.
`Checker.observe` is given a replica after each step that touched it and looks only at what changed,
so that a simulator can afford it always. A broken invariant is an AssertionError.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .quorum import majority
from .types import (
    NOBODY,
    Entry,
    EntryId,
    Message,
    PreVote,
    ReplicaId,
    RequestPreVote,
    RequestVote,
    Role,
    Vote,
)

if TYPE_CHECKING:
    from .core import RaftCore


@dataclass(slots=True)
class _Seen:
    """A replica as it was when last looked at; crashed: what it surely has on disk."""

    first_index: int = 1
    log: list[Entry] = field(default_factory=list)  # From first_index on.
    saved_index: int = 0
    commit_index: int = 0
    term: int = 0
    saved_term: int = 0
    role: Role = Role.FOLLOWER
    is_up: bool = False

    def entry_at(self, index: int) -> Entry | None:
        place = index - self.first_index
        return self.log[place] if 0 <= place < len(self.log) else None

    def holds(self, entry: Entry) -> bool:
        """Whether `entry`, which is committed, is on this replica's disk."""
        if entry.index < self.first_index:
            return True  # In its snapshot.
        held = self.entry_at(entry.index)
        return held is not None and held.term == entry.term and entry.index <= self.saved_index


@dataclass(frozen=True, slots=True)
class _Committed:
    entry: Entry
    in_term: int  # Of the leader that committed it; its own term may be older.


class Checker:
    """All replicas of one shard, over their crashes and restarts."""

    def __init__(self) -> None:
        self._seen: dict[ReplicaId, _Seen] = {}
        self._leaders: dict[int, ReplicaId] = {}  # By term.
        self._votes: dict[tuple[ReplicaId, int], ReplicaId] = {}  # By voter and term.
        self._entries: dict[EntryId, tuple[Entry, int]] = {}  # With the term of the one before.
        self._committed: dict[int, _Committed] = {}  # By index.
        self._applied: dict[int, Entry] = {}
        self.committed_index = 0  # The highest that any replica has called committed.

    def observe(self, replica: ReplicaId, core: RaftCore | None) -> None:
        """Look at a replica after a step; None: it crashed, and keeps what it had saved."""
        seen = self._seen.setdefault(replica, _Seen())
        if core is None:
            _forget_unsaved(seen)
            return
        if not seen.is_up:
            seen.is_up = True
            assert core.term >= seen.saved_term, (
                f"replica {replica} forgot term {seen.saved_term}, it is back at {core.term}"
            )
            assert core.last.index >= seen.saved_index, (
                f"replica {replica} forgot entries it had saved"
            )
            seen.commit_index = min(seen.commit_index, core.commit_index)  # Not kept on disk.
            seen.term = core.term
        self._check_term_and_vote(replica, core, seen)
        self._check_log(replica, core, seen)
        seen.saved_index = core.saved_index
        if core.commit_index != seen.commit_index:
            self._check_commit(replica, core, seen)
        if core.role is Role.LEADER and seen.role is not Role.LEADER:
            self._check_leader(replica, core)
        seen.role = core.role

    def sent(self, message: Message, core: RaftCore | None = None) -> None:
        """Look at a message as it leaves `core` (without it: the source as last observed): its
        term must be on disk (correctness R1), and a vote that left is given."""
        if not isinstance(message, RequestPreVote | PreVote):
            if core is None:
                saved_term = self._seen[message.source].saved_term
            else:
                saved_term = core.saved_hard_state.term
            assert message.term <= saved_term, f"{message} leaves, only term {saved_term} is saved"
        if isinstance(message, RequestVote):
            self._check_vote(message.source, message.term, message.source)
        elif isinstance(message, Vote) and message.granted:
            self._check_vote(message.source, message.term, message.target)

    def applied(self, replica: ReplicaId, entry: Entry) -> None:
        """State machine safety: no two replicas apply different entries at one index."""
        first = self._applied.setdefault(entry.index, entry)
        assert first is entry or first == entry, (
            f"replica {replica} applied {entry} where another applied {first}"
        )

    def check_all(self, replica: ReplicaId, core: RaftCore) -> None:
        """Look at the whole log of a replica, not only at what changed; for the end of a run."""
        self._seen[replica].log.clear()
        self.observe(replica, core)
        for index in range(core.first_index, core.commit_index + 1):
            entry = core.entry_at(index)
            assert entry is not None, f"replica {replica} has a gap at {index}"
            assert self._committed[index].entry == entry, (
                f"replica {replica} lost the committed entry {index}"
            )

    def _check_term_and_vote(self, replica: ReplicaId, core: RaftCore, seen: _Seen) -> None:
        assert core.term >= seen.term, f"the term of replica {replica} fell"
        seen.term = core.term
        saved = core.saved_hard_state
        assert saved.term >= seen.saved_term, f"the saved term of replica {replica} fell"
        seen.saved_term = saved.term
        assert saved.term <= core.term, f"replica {replica} saved a term it has not reached"
        if saved.voted_for != NOBODY:
            self._check_vote(replica, saved.term, saved.voted_for)

    def _check_vote(self, voter: ReplicaId, term: int, candidate: ReplicaId) -> None:
        first = self._votes.setdefault((voter, term), candidate)
        assert first == candidate, (
            f"replica {voter} voted for {first} and for {candidate} in term {term}"
        )

    def _check_log(self, replica: ReplicaId, core: RaftCore, seen: _Seen) -> None:
        """Log matching: an index and a term name one entry, and all that stands before it."""
        last = core.last.index
        assert core.commit_index <= last, f"replica {replica} committed past its end"
        assert core.saved_index <= last, f"replica {replica} saved past its end"
        if core.first_index != seen.first_index:
            _compact(seen, core.first_index)
        del seen.log[max(last - seen.first_index + 1, 0) :]
        # Down from the end until an entry is the very one seen there before: what is below it is
        # then as it was, as it is for all who hold this entry.
        index, fresh = last, []
        while index >= core.first_index:
            entry = core.entry_at(index)
            assert entry is not None, f"replica {replica} has a gap at {index}"
            if seen.entry_at(index) is entry:
                break
            assert entry.index == index, f"replica {replica} holds {entry} at {index}"
            previous = core.term_at(index - 1)
            assert previous is not None, f"replica {replica} has no term before {index}"
            assert previous <= entry.term, f"replica {replica}: terms fall at {index}"
            first = self._entries.setdefault(entry.id, (entry, previous))
            assert first == (entry, previous), f"replica {replica}: two entries are {entry.id}"
            fresh.append(entry)
            index -= 1
        del seen.log[index - seen.first_index + 1 :]
        seen.log.extend(reversed(fresh))

    def _check_commit(self, replica: ReplicaId, core: RaftCore, seen: _Seen) -> None:
        """A committed entry is on a majority's disks, the same everywhere, for ever."""
        assert core.commit_index > seen.commit_index, f"replica {replica} uncommitted something"
        for index in range(seen.commit_index + 1, core.commit_index + 1):
            entry = core.entry_at(index)
            if entry is None:
                continue  # It came in a snapshot.
            first = self._committed.setdefault(index, _Committed(entry, core.term))
            assert first.entry == entry, (
                f"replica {replica} committed {entry} where {first.entry} was committed"
            )
        seen.commit_index = core.commit_index
        if core.commit_index <= self.committed_index:
            return
        self.committed_index = core.commit_index
        last = core.entry_at(core.commit_index)
        if last is None:
            return
        voters = core.voters
        held = sum(
            [
                voter.replica in self._seen and self._seen[voter.replica].holds(last)
                for voter in voters
            ]
        )
        assert held >= majority(len(voters)), (
            f"replica {replica} committed {last.id}, which only {held} of {len(voters)} have saved"
        )

    def _check_leader(self, replica: ReplicaId, core: RaftCore) -> None:
        """Election safety, and leader completeness (Raft §5.4.3)."""
        first = self._leaders.setdefault(core.term, replica)
        assert first == replica, f"{first} and {replica} both lead term {core.term}"
        assert core.saved_hard_state.term == core.term, (
            f"replica {replica} leads term {core.term} on a vote it has not saved"
        )
        for index in range(core.first_index, self.committed_index + 1):
            committed = self._committed[index]
            # A slow count of votes can end after a later term has begun and committed.
            if committed.in_term < core.term:
                assert core.term_at(index) == committed.entry.term, (
                    f"replica {replica} leads term {core.term} without {committed.entry.id}, "
                    f"committed in term {committed.in_term}"
                )


def _forget_unsaved(seen: _Seen) -> None:
    del seen.log[max(seen.saved_index - seen.first_index + 1, 0) :]
    seen.role = Role.FOLLOWER
    seen.is_up = False


def _compact(seen: _Seen, first_index: int) -> None:
    dropped = first_index - seen.first_index
    if dropped > 0:
        del seen.log[:dropped]
    else:  # A restart from an older snapshot.
        seen.log.clear()
    seen.first_index = first_index
