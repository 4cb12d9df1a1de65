"""The values that go into and come out of the Raft core.

One frozen dataclass per message, dispatched with `match`. Nothing here knows bytes, sockets or
files: `node/peers.py` turns messages into protobuf, `node/storage/` turns entries into records.
Read `core.py` next.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import NewType

NodeId = NewType("NodeId", str)
ReplicaId = NewType("ReplicaId", int)  # Unique within a shard, from 1, never reused; 0 is nobody.

NOBODY = ReplicaId(0)


@dataclass(frozen=True, slots=True, order=True)
class EntryId:
    """A place in the log and the term that wrote it; ordered as Raft §5.4.1 compares logs."""

    term: int
    index: int


ZERO = EntryId(0, 0)  # The place before the first entry.


class EntryKind(IntEnum):
    EMPTY = 0  # What a new leader commits before it serves anything (Raft §8).
    COMMANDS = 1
    VOTERS = 2  # A change of voters; its place is kept, nothing proposes one yet.


@dataclass(frozen=True, slots=True)
class Entry:
    term: int
    index: int
    kind: EntryKind
    data: bytes

    @property
    def id(self) -> EntryId:
        return EntryId(self.term, self.index)


@dataclass(frozen=True, slots=True)
class Voter:
    """Who may vote: one incarnation of one node, holding one replica (correctness R8)."""

    replica: ReplicaId
    node: NodeId
    incarnation: int


@dataclass(frozen=True, slots=True)
class HardState:
    """What a replica must never forget: Raft's currentTerm and votedFor."""

    term: int
    voted_for: ReplicaId


@dataclass(frozen=True, slots=True)
class SnapshotMeta:
    """Where a snapshot was cut and who could vote there; the log begins after `id.index`."""

    id: EntryId
    voters: tuple[Voter, ...]


class Role(Enum):
    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre-candidate"
    CANDIDATE = "candidate"
    LEADER = "leader"


# --- Messages. `source` and `target` are replicas of the same shard; the shard travels beside the
# message, the cluster and the nodes' incarnations with the batch that carries it (R8).


@dataclass(frozen=True, slots=True)
class RequestPreVote:
    """Would you vote for me in `term`? Changes nothing at either end (dissertation §9.6)."""

    source: ReplicaId
    target: ReplicaId
    term: int  # The term an election would have: the sender's own term + 1.
    last: EntryId


@dataclass(frozen=True, slots=True)
class PreVote:
    source: ReplicaId
    target: ReplicaId
    term: int  # Granted: the term asked for. Refused: the sender's own term.
    granted: bool


@dataclass(frozen=True, slots=True)
class RequestVote:
    source: ReplicaId
    target: ReplicaId
    term: int
    last: EntryId
    is_transfer: bool  # Asked for by the leader (TimeoutNow): that it lives is no reason to refuse.


@dataclass(frozen=True, slots=True)
class Vote:
    source: ReplicaId
    target: ReplicaId
    term: int
    granted: bool


@dataclass(frozen=True, slots=True)
class AppendEntries:
    source: ReplicaId
    target: ReplicaId
    term: int
    previous: EntryId
    entries: tuple[Entry, ...]
    commit_index: int
    # Its acknowledgement may wait for company, or for the next tick (`thrift.py`).
    is_patient: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class AppendReply:
    """`match_index` if it fitted; otherwise the follower's hint where to go on (Raft §5.3)."""

    source: ReplicaId
    target: ReplicaId
    term: int
    is_success: bool
    match_index: int  # Success: the follower's log, on disk, equals the leader's up to here.
    rejected_index: int  # Failure: the `previous.index` that did not fit.
    conflict: EntryId  # Failure: a place (term, index) at or before which the logs may agree.
    # Not sent along: its sender alone minds.
    is_patient: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """I lead `term`. `round` numbers the leader's rounds, for reads and check-quorum."""

    source: ReplicaId
    target: ReplicaId
    term: int
    commit_index: int  # Never past what is known to match at the target.
    round: int
    is_urgent: bool  # A read waits for the answer; otherwise it may ride on the next message.
    # Whoever has applied all up to `echo_index` has a state no older than the target's answer to
    # round `echo`; 0: nothing is said. See `freshness.py`.
    echo: int = 0
    echo_index: int = 0
    lease_ns: int = 0  # Help nobody else to lead for so long. See `lease.py`.


@dataclass(frozen=True, slots=True)
class HeartbeatReply:
    source: ReplicaId
    target: ReplicaId
    term: int
    round: int
    is_urgent: bool
    lease_ns: int = 0  # What is promised, from when the heartbeat came.


@dataclass(frozen=True, slots=True)
class InstallSnapshot:
    """Announces a snapshot. Its file goes over the bulk stream; the target's core is given this
    message only when the whole file has arrived and its checksum is right."""

    source: ReplicaId
    target: ReplicaId
    term: int
    meta: SnapshotMeta


@dataclass(frozen=True, slots=True)
class TimeoutNow:
    """Campaign at once: leadership is being handed to you (dissertation §3.10)."""

    source: ReplicaId
    target: ReplicaId
    term: int


Message = (
    RequestPreVote
    | PreVote
    | RequestVote
    | Vote
    | AppendEntries
    | AppendReply
    | Heartbeat
    | HeartbeatReply
    | InstallSnapshot
    | TimeoutNow
)


def is_patient(message: Message) -> bool:
    """Whether this answer alone is no reason to send."""
    match message:
        case HeartbeatReply(is_urgent=is_urgent):
            return not is_urgent
        case AppendReply(is_patient=is_patient):
            return is_patient
    return False


@dataclass(frozen=True, slots=True)
class ReadBarrier:
    """The read `token` may be served once everything up to `index` is applied (Raft §8)."""

    token: int
    index: int


@dataclass(frozen=True, slots=True)
class Ready:
    """What the core wants done, in the order of the fields. `saved(ticket)` reports the save."""

    ticket: int
    hard_state: HardState | None
    snapshot: SnapshotMeta | None  # Install; such a Ready carries nothing else.
    entries: tuple[Entry, ...]  # Append, dropping any conflicting suffix first.
    send_now: tuple[Message, ...]  # Only of a saved term.
    send_after_sync: tuple[Message, ...]  # Promises: leave when this ticket is saved.
    committed: tuple[Entry, ...]  # Apply in this order.
    reads: tuple[ReadBarrier, ...]
    reads_failed: tuple[int, ...]  # Leadership was lost: never answered late (R10).

    @property
    def must_save(self) -> bool:
        return self.hard_state is not None or bool(self.entries)


@dataclass(frozen=True, slots=True)
class RaftConfig:
    replica: ReplicaId
    election_timeout_ns: int  # The least; each wait is drawn from [1, 2) times this.
    heartbeat_interval_ns: int
    append_bytes_max: int  # Entry bytes in one AppendEntries; a larger single entry goes alone.
    inflight_appends_max: int  # AppendEntries on their way to one follower.
    uncommitted_bytes_max: int  # Proposed and not committed; over it `propose` raises Overloaded.
    lease_ns: int = 0  # What voters are asked to promise (`lease.py`); 0: reads ask a majority.


@dataclass(frozen=True, slots=True)
class Restored:
    """What replay found on disk for one replica."""

    hard_state: HardState
    snapshot: SnapshotMeta  # id == ZERO when there is none; voters as of there.
    entries: tuple[Entry, ...]  # From snapshot.id.index + 1, without a gap.
