"""Who has asked for what already: so that a command sent again is answered, not run again.

A session is registered by a log entry and named by that entry's index; its commands carry sequence
numbers, which may have gaps, and the lowest one still unanswered, the floor. Replies from the floor
on are kept. All of it is state of the shard: changed only by entries, and part of snapshot and
digest. Raft dissertation §6.3; correctness A8.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Any  # Packed state.

from ...proto.reply import (
    ErrorReply,
    MapReply,
    PairsMapReply,
    PairsReply,
    Reply,
    SetReply,
    VerbatimReply,
    pack_reply,
    unpack_reply,
)
from ..errors import CommandError

# Every replica must refuse at the same entry, so these are not configuration (correctness A1).
SESSIONS_MAX = 10_000
REPLIES_MAX = 65_536  # Of one session.
# Bytes in kept replies, about. Both are looked at before a command runs: its reply comes on top,
# but for one that alone is larger than the first of them.
SESSION_BYTES_MAX = 32 << 20
SHARD_BYTES_MAX = 64 << 20  # Over it the session unused for longest is ended.

FULL = ErrorReply("OVERLOADED", "the session keeps too many replies: raise its floor")
# Kept in the place of a reply larger than all that a session may keep: a snapshot would have to
# carry it, and one MGET in a transaction can name a large value a thousand times.
TOO_LARGE = ErrorReply("UNCERTAIN", "it was applied, but its reply was too large to be kept")


class Lookup(Enum):
    """What is to be done with a command of a session, when there is no kept reply."""

    NEW = "new"  # Run it, then `keep` its reply.
    BELOW_FLOOR = "below floor"  # The sender gave up on its answer; it may have run.
    UNKNOWN_SESSION = "unknown session"  # Never created by use: its replies would be lost.


class Session:
    __slots__ = ("bytes", "floor", "id", "last_used_ms", "replies", "timeout_ms")

    def __init__(self, session_id: int, timeout_ms: int, stamp_ms: int) -> None:
        self.id = session_id
        self.timeout_ms = timeout_ms
        self.last_used_ms = stamp_ms
        self.floor = 0
        self.replies: dict[int, Reply] = {}
        self.bytes = 0  # In the replies; follows from them.

    def state(self) -> tuple[Any, ...]:
        """Everything, for snapshots and digests."""
        replies = [
            (sequence, pack_reply(self.replies[sequence])) for sequence in sorted(self.replies)
        ]
        return (self.id, self.timeout_ms, self.last_used_ms, self.floor, replies)

    def copy(self) -> Session:
        copied = Session(self.id, self.timeout_ms, self.last_used_ms)
        copied.floor = self.floor
        copied.replies = self.replies.copy()
        copied.bytes = self.bytes
        return copied

    def keep(self, sequence: int, reply: Reply, bytes_max: int) -> int:
        """Keep a reply, or that it was too large; the bytes of what is kept."""
        size = size_of_reply(reply)
        if size > bytes_max:
            reply = TOO_LARGE
            size = size_of_reply(reply)
        self.replies[sequence] = reply
        self.bytes += size
        return size

    def raise_floor(self, floor: int) -> int:
        """Forget the replies the sender has seen or given up on; their bytes."""
        replies = self.replies
        known: Iterable[int] = range(self.floor, floor)
        if floor - self.floor > len(replies):  # A jump: walk what there is instead.
            known = [sequence for sequence in replies if sequence < floor]
        freed = 0
        for sequence in known:
            if sequence in replies:
                freed += size_of_reply(replies.pop(sequence))
        self.floor = floor
        self.bytes -= freed
        return freed


class SessionsCut:
    """The sessions as they were at a snapshot's cut."""

    def __init__(self, sessions: dict[int, Session]) -> None:
        self._pending = sessions.copy()

    def before_change(self, session: Session) -> None:
        """Keep `session` as it is now, if it is not written out yet."""
        if self._pending.get(session.id) is session:
            self._pending[session.id] = session.copy()

    def take(self) -> Iterator[Session]:
        while self._pending:
            yield self._pending.popitem()[1]


class Sessions:
    def __init__(
        self,
        *,
        sessions_max: int = SESSIONS_MAX,
        replies_max: int = REPLIES_MAX,
        session_bytes_max: int = SESSION_BYTES_MAX,
        shard_bytes_max: int = SHARD_BYTES_MAX,
    ) -> None:
        self.bytes = 0  # In the kept replies of all sessions.
        self._sessions: dict[int, Session] = {}
        self._sessions_max = sessions_max
        self._replies_max = replies_max
        self._session_bytes_max = session_bytes_max
        self._shard_bytes_max = shard_bytes_max
        self._next_expiry_ms = 0  # No session ends earlier.
        self._cut: SessionsCut | None = None

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(self._sessions.values())

    def register(self, index: int, timeout_ms: int, stamp_ms: int) -> int:
        """Open the session the entry at `index` asks for; its id. Ends those unused for long."""
        if index in self._sessions:
            raise CommandError("this entry opened a session already", "TRYAGAIN")
        if stamp_ms >= self._next_expiry_ms:
            self._expire(stamp_ms)
        if len(self._sessions) >= self._sessions_max:
            raise CommandError("too many sessions are open on this shard", "OVERLOADED")
        self._sessions[index] = Session(index, timeout_ms, stamp_ms)
        self._next_expiry_ms = min(self._next_expiry_ms, stamp_ms + timeout_ms)
        return index

    def _expire(self, stamp_ms: int) -> None:
        sessions = {
            session.id: session
            for session in self
            if session.last_used_ms + session.timeout_ms > stamp_ms
        }
        self._sessions = sessions
        self.bytes = sum([session.bytes for session in sessions.values()])
        self._next_expiry_ms = min(
            (session.last_used_ms + session.timeout_ms for session in self), default=1 << 63
        )

    def lookup(self, session_id: int, sequence: int, floor: int, stamp_ms: int) -> Lookup | Reply:
        """The kept reply, or what to do. Called at apply for each command, before it may run."""
        session = self._sessions.get(session_id)
        if session is None:
            return Lookup.UNKNOWN_SESSION
        if self._cut is not None:
            self._cut.before_change(session)
        session.last_used_ms = stamp_ms
        if floor > session.floor:
            self.bytes -= session.raise_floor(floor)
        if sequence < session.floor:
            return Lookup.BELOW_FLOOR
        replies = session.replies
        if sequence in replies:
            return replies[sequence]
        if len(replies) >= self._replies_max or session.bytes >= self._session_bytes_max:
            return FULL
        return Lookup.NEW

    def keep(self, session_id: int, sequence: int, reply: Reply) -> None:
        """What the command that `lookup` called NEW was answered."""
        # `lookup` has just called before_change; a command cannot end its own session.
        session = self._sessions[session_id]
        self.bytes += session.keep(sequence, reply, self._session_bytes_max)
        while self.bytes > self._shard_bytes_max and len(self._sessions) > 1:
            self._end_idlest(session_id)

    def _end_idlest(self, spared_id: int) -> None:
        """End the session unused for longest. What its owner sends again is refused as that of an
        unknown session, never run again; its owner says UNCERTAIN."""
        # Not by the order of the dict, which is another one after a snapshot was loaded.
        idlest = min(
            (session for session in self if session.id != spared_id),
            key=lambda session: (not session.bytes, session.last_used_ms, session.id),
        )
        self.bytes -= idlest.bytes
        del self._sessions[idlest.id]

    # --- Snapshots.

    def begin_cut(self) -> SessionsCut:
        self._cut = SessionsCut(self._sessions)
        return self._cut

    def end_cut(self) -> None:
        self._cut = None

    def load(self, state: list[Any]) -> None:
        session_id, timeout_ms, last_used_ms, floor, replies = state
        session = Session(session_id, timeout_ms, last_used_ms)
        session.floor = floor
        for sequence, reply in replies:
            self.bytes += session.keep(sequence, unpack_reply(reply), self._session_bytes_max)
        self._sessions[session_id] = session
        self._next_expiry_ms = 0  # Looked up again at the next registration.


def size_of_reply(reply: Any) -> int:
    """About how many bytes a reply takes: the same on every replica, also after a snapshot, which
    turns a tuple into a list."""
    match reply:
        case bytes():
            return 32 + len(reply)
        case list() | tuple():
            return 32 + sum([size_of_reply(one) for one in reply])
        case ErrorReply(_, text):
            return 32 + len(text)
        case MapReply(pairs) | PairsMapReply(pairs) | PairsReply(pairs):
            return 32 + sum([size_of_reply(key) + size_of_reply(one) for key, one in pairs])
        case SetReply(members):
            return 32 + sum([size_of_reply(one) for one in members])
        case VerbatimReply(_, text):
            return 32 + len(text)
        case _:
            return 32
