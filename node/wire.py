"""Raft messages, forwards and answers as bytes between nodes, and back.

The only place that knows both `raft.types` and `peer.proto`. What comes from the wire is checked
here: `WireError` is the sender's fault and costs it the stream, never this node. A change that an
older node could not read raises PROTOCOL_VERSION; tests/unit/test_wire.py holds golden bytes.
Read `peers.py` next.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any  # Any: posts hold values of several kinds.

import msgpack

from ..cluster.slots import ShardId
from ..proto.reply import pack_in_parts, pack_reply, size_of_reply, unpack_reply
from .errors import (
    NoQuorum,
    NotLeader,
    OutcomeUnknown,
    Overloaded,
    SessionUnknown,
    TrimaranError,
    Unavailable,
)
from .leaders import Led
from .raft.types import (
    AppendEntries,
    AppendReply,
    Entry,
    EntryId,
    EntryKind,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Message,
    NodeId,
    PreVote,
    ReplicaId,
    RequestPreVote,
    RequestVote,
    SnapshotMeta,
    TimeoutNow,
    Vote,
    Voter,
)
from .request import Answer, Done, Forward, NotApplied, Outcome, Unknown

if TYPE_CHECKING:
    from collections import deque

    from ..proto import peer_pb2 as pb

PROTOCOL_VERSION = 3
MESSAGE_BYTES = 64  # About what a message or an entry costs beside its data.
APART_NEVER = 1 << 62

_DONE, _NOT_APPLIED, _UNKNOWN = range(3)
_UNAVAILABLE, _NOT_LEADER, _NO_QUORUM, _OVERLOADED, _SESSION_UNKNOWN = range(5)


class WireError(TrimaranError):
    """A peer sent what this version cannot read."""


# --- Raft messages.


def put_message(
    to: pb.ShardMessage, shard: ShardId, message: Message, *, apart_bytes: int = APART_NEVER
) -> None:
    """Write `message` of `shard` into `to`, which is empty. The data of entries larger than
    `apart_bytes` goes in pieces (`data_apart`)."""
    to.shard = shard
    to.source = message.source
    to.target = message.target
    to.term = message.term
    match message:  # The frequent ones first.
        case AppendEntries():
            _put_append(to.append_entries, message, apart_bytes)
        case AppendReply():
            reply = to.append_reply
            reply.SetInParent()
            reply.is_success = message.is_success
            reply.match_index = message.match_index
            reply.rejected_index = message.rejected_index
            reply.conflict_term = message.conflict.term
            reply.conflict_index = message.conflict.index
        case Heartbeat():
            beat = to.heartbeat
            beat.SetInParent()
            beat.commit_index = message.commit_index
            beat.round = message.round
            beat.is_urgent = message.is_urgent
            beat.echo = message.echo
            beat.echo_index = message.echo_index
            beat.lease_ns = message.lease_ns
        case HeartbeatReply():
            answer = to.heartbeat_reply
            answer.SetInParent()
            answer.round = message.round
            answer.is_urgent = message.is_urgent
            answer.lease_ns = message.lease_ns
        case InstallSnapshot():
            _put_install(to.install_snapshot, message)
        case _:
            _put_election(to, message)


def _put_append(to: pb.AppendEntries, message: AppendEntries, apart_bytes: int) -> None:
    to.SetInParent()
    to.previous_term = message.previous.term
    to.previous_index = message.previous.index
    to.commit_index = message.commit_index
    to.is_patient = message.is_patient
    add = to.entries.add
    for entry in message.entries:
        if len(entry.data) > apart_bytes:
            add(term=entry.term, index=entry.index, kind=entry.kind, is_apart=True)
        else:
            add(term=entry.term, index=entry.index, kind=entry.kind, data=entry.data)


def data_apart(message: AppendEntries, apart_bytes: int) -> list[bytes]:
    """What `put_message` leaves out."""
    return [entry.data for entry in message.entries if len(entry.data) > apart_bytes]


def _put_install(to: pb.InstallSnapshot, message: InstallSnapshot) -> None:
    to.SetInParent()
    to.snapshot_term = message.meta.id.term
    to.snapshot_index = message.meta.id.index
    for voter in message.meta.voters:
        to.voters.add(replica=voter.replica, node=voter.node, incarnation=voter.incarnation)


def _put_election(
    to: pb.ShardMessage, message: RequestPreVote | PreVote | RequestVote | Vote | TimeoutNow
) -> None:
    match message:
        case RequestPreVote():
            to.request_pre_vote.SetInParent()
            to.request_pre_vote.last_term = message.last.term
            to.request_pre_vote.last_index = message.last.index
        case PreVote():
            to.pre_vote.SetInParent()
            to.pre_vote.granted = message.granted
        case RequestVote():
            to.request_vote.SetInParent()
            to.request_vote.last_term = message.last.term
            to.request_vote.last_index = message.last.index
            to.request_vote.is_transfer = message.is_transfer
        case Vote():
            to.vote.SetInParent()
            to.vote.granted = message.granted
        case TimeoutNow():
            to.timeout_now.SetInParent()


def take_message(source: pb.ShardMessage, apart: deque[bytes] | None = None) -> Message:
    """The message that `put_message` wrote, with the data that came in pieces `apart`; raises
    WireError for a kind this version lacks."""
    replica, target, term = ReplicaId(source.source), ReplicaId(source.target), source.term
    match source.WhichOneof("kind"):
        case "append_entries":
            append = source.append_entries
            return AppendEntries(
                replica,
                target,
                term,
                EntryId(append.previous_term, append.previous_index),
                tuple([_take_entry(entry, apart) for entry in append.entries]),
                append.commit_index,
                append.is_patient,
            )
        case "append_reply":
            reply = source.append_reply
            return AppendReply(
                replica,
                target,
                term,
                reply.is_success,
                reply.match_index,
                reply.rejected_index,
                EntryId(reply.conflict_term, reply.conflict_index),
            )
        case "heartbeat":
            beat = source.heartbeat
            return Heartbeat(
                replica,
                target,
                term,
                beat.commit_index,
                beat.round,
                beat.is_urgent,
                beat.echo,
                beat.echo_index,
                beat.lease_ns,
            )
        case "heartbeat_reply":
            answer = source.heartbeat_reply
            return HeartbeatReply(
                replica, target, term, answer.round, answer.is_urgent, answer.lease_ns
            )
        case "install_snapshot":
            return InstallSnapshot(replica, target, term, _take_meta(source.install_snapshot))
        case kind:
            return _take_election(kind, source, replica, target)


_KINDS = {kind.value: kind for kind in EntryKind}


def _take_entry(entry: pb.Entry, apart: deque[bytes] | None) -> Entry:
    kind = _KINDS.get(entry.kind)
    if kind is None:
        raise WireError(f"an entry of kind {entry.kind}: a newer version sent it")
    if entry.is_apart:
        if not apart:
            raise WireError(f"entry {entry.index} without the pieces of its data")
        return Entry(entry.term, entry.index, kind, apart.popleft())
    return Entry(entry.term, entry.index, kind, entry.data)


def _take_meta(install: pb.InstallSnapshot) -> SnapshotMeta:
    return SnapshotMeta(
        EntryId(install.snapshot_term, install.snapshot_index),
        tuple(
            Voter(ReplicaId(voter.replica), NodeId(voter.node), voter.incarnation)
            for voter in install.voters
        ),
    )


def _take_election(
    kind: str | None, source: pb.ShardMessage, replica: ReplicaId, target: ReplicaId
) -> Message:
    term = source.term
    match kind:
        case "request_pre_vote":
            pre = source.request_pre_vote
            return RequestPreVote(replica, target, term, EntryId(pre.last_term, pre.last_index))
        case "pre_vote":
            return PreVote(replica, target, term, source.pre_vote.granted)
        case "request_vote":
            ask = source.request_vote
            last = EntryId(ask.last_term, ask.last_index)
            return RequestVote(replica, target, term, last, ask.is_transfer)
        case "vote":
            return Vote(replica, target, term, source.vote.granted)
        case "timeout_now":
            return TimeoutNow(replica, target, term)
        case _:
            raise WireError(f"a Raft message of an unknown kind for shard {source.shard}")


def take_messages(
    messages: Iterable[pb.ShardMessage], apart: deque[bytes] | None = None
) -> list[tuple[ShardId, Message]]:
    """All messages of a batch, with the data that came in pieces; raises WireError."""
    return [(ShardId(one.shard), take_message(one, apart)) for one in messages]


def take_leaders(told: Iterable[pb.Led]) -> list[Led]:
    """Who leads, as a batch says."""
    return [Led(ShardId(one.shard), one.term, NodeId(one.node)) for one in told]


def size_of(message: Message) -> int:
    """About how many bytes `message` takes, without encoding it."""
    if isinstance(message, AppendEntries):
        data = sum([len(entry.data) for entry in message.entries])
        return data + MESSAGE_BYTES * (1 + len(message.entries))
    return MESSAGE_BYTES


# --- Forwards and answers: msgpack, since their commands and replies nest.

_packer = msgpack.Packer(use_bin_type=True)  # Reused: making one costs twice what packing does.


def pack_forward(forward: Forward) -> bytes:
    """One forward; `join_packed` makes a list of several."""
    packed: bytes = _packer.pack(_forward_fields(forward))
    return packed


def _forward_fields(forward: Forward) -> tuple[object, ...]:
    fields = (
        forward.id,
        forward.shard,
        forward.db,
        forward.user,
        forward.has_write,
        forward.session,
        forward.sequence,
        forward.floor,
        forward.timeout_ms,
        forward.commands,
    )
    return (*fields, forward.waiter) if forward.waiter else fields


def size_of_forward(forward: Forward) -> int:
    """About how many bytes `forward` takes, without packing it."""
    return MESSAGE_BYTES + sum([sum(map(len, args)) for args in forward.commands])


def forward_in_parts(forward: Forward) -> list[bytes]:
    """A list of one large forward, packed without copying what is large in it."""
    return pack_in_parts([_forward_fields(forward)])


def answer_in_parts(answer: Answer) -> list[bytes]:
    """The same for an answer."""
    return pack_in_parts([(answer.id, *_outcome_fields(answer.outcome))])


def join_packed(parts: Sequence[bytes]) -> bytes:
    """A msgpack array of values that are packed already."""
    header: bytes = _packer.pack_array_header(len(parts))
    return header + b"".join(parts)


def unpack_forwards(data: bytes) -> list[Forward]:
    """The forwards of a batch; raises WireError."""
    try:
        return [
            Forward(number, ShardId(shard), db, user, has_write, *rest)
            for number, shard, db, user, has_write, *rest in msgpack.unpackb(data, raw=False)
        ]
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise WireError(f"forwards that cannot be read: {error}") from error


def unpack_posts(data: bytes) -> list[list[Any]]:
    """What pub/sub of another node says; raises WireError."""
    try:
        posts = msgpack.unpackb(data)
    except (ValueError, msgpack.UnpackException) as error:
        raise WireError(f"posts that cannot be read: {error}") from error
    if not isinstance(posts, list) or not all(isinstance(one, list) and one for one in posts):
        raise WireError("posts that are no lists")
    return posts


def pack_answers(answers: Sequence[Answer]) -> bytes:
    """All answers of a batch."""
    return pack_reply([(answer.id, *_outcome_fields(answer.outcome)) for answer in answers])


def size_of_answer(answer: Answer) -> int:
    """About how many bytes `answer` takes, without packing it."""
    size = MESSAGE_BYTES
    if isinstance(answer.outcome, Done):
        for reply in answer.outcome.replies:
            size += size_of_reply(reply)
    return size


def _outcome_fields(outcome: Outcome) -> tuple[object, ...]:
    match outcome:
        case Done(replies):
            return _DONE, replies
        case NotApplied(error):
            return _NOT_APPLIED, *_error_fields(error)
        case Unknown(error):
            return _UNKNOWN, str(error).encode()


def _error_fields(error: Unavailable) -> tuple[object, ...]:
    match error:
        case NotLeader(hint=hint):
            return _NOT_LEADER, hint.encode() if hint else None
        case NoQuorum():
            return _NO_QUORUM, str(error).encode()
        case Overloaded(limit=limit):
            return _OVERLOADED, limit.encode()
        case SessionUnknown():
            return _SESSION_UNKNOWN, None
        case _:
            return _UNAVAILABLE, str(error).encode()


def unpack_answers(data: bytes) -> list[Answer]:
    """The answers of a batch; raises WireError."""
    try:
        return [Answer(number, _outcome(*fields)) for number, *fields in unpack_reply(data)]
    except (ValueError, TypeError, AttributeError, msgpack.UnpackException) as error:
        raise WireError(f"answers that cannot be read: {error}") from error


def _outcome(kind: int, *fields: object) -> Outcome:
    match kind, fields:
        case 0, (list(replies),):
            return Done(replies)
        case 1, (int(code), detail):
            return NotApplied(_error(code, _text(detail)))
        case 2, (detail,):
            return Unknown(OutcomeUnknown(_text(detail)))
        case _:
            raise WireError(f"an answer of kind {kind}: a newer version sent it")


def _text(detail: object) -> str:
    return detail.decode() if isinstance(detail, bytes) else ""


def _error(code: int, text: str) -> Unavailable:
    match code:
        case 1:
            return NotLeader(text or None)
        case 2:
            return NoQuorum(text)
        case 3:
            return Overloaded(text)
        case 4:
            return SessionUnknown()
        case _:  # Also what a newer version may add: surely not applied is all that matters.
            return Unavailable(text)
