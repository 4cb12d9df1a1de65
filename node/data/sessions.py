"""Who has asked for what already: so that a command sent again is answered, not run again.

A session is registered by a log entry and named by that entry's index; its commands carry sequence
numbers, which may have gaps, and the lowest one still unanswered, the floor. Replies from the floor
on are kept. A client that does not know whether its session was opened asks again under the number
it drew, and gets the same one. All of it is state of the shard: changed only by entries, and part
of snapshot and digest. Raft dissertation §6.3; correctness A8.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from types import NoneType
from typing import Any, Final  # Any: packed state.

from ...proto.reply import (
    ErrorReply,
    MapReply,
    PairsMapReply,
    PairsReply,
    Reply,
    SetReply,
    Status,
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
IDLE_MS = 60_000  # With SESSIONS_MAX open, one unused for so long is ended for a new one.
ENDED_MAX = 1000  # Of those that have ended, so many are remembered one by one.
SKEW_MS = 30_000  # By how much a client's count of time and the stamps of the log may differ.
_NTH = 48  # Bits of an index; above stands which opening of its entry a session is.
_INDEX = (1 << _NTH) - 1

REPLY_BYTES = 32  # What a kept reply costs beside its bytes, about.
# Most replies to writes: nothing of their size depends on what they say.
_SHORT: Final = frozenset((Status, int, bool, NoneType))

SESSION_LOST = "SESSIONLOST"
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
    __slots__ = ("bytes", "client", "floor", "id", "last_used_ms", "replies", "timeout_ms")

    def __init__(self, session_id: int, timeout_ms: int, stamp_ms: int, client: int = 0) -> None:
        self.id = session_id
        self.client = client  # The number its client drew at random, once; 0: none.
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
        state = (self.id, self.timeout_ms, self.last_used_ms, self.floor, replies)
        return (*state, self.client) if self.client else state

    def copy(self) -> Session:
        copied = Session(self.id, self.timeout_ms, self.last_used_ms, self.client)
        copied.floor = self.floor
        copied.replies = self.replies.copy()
        copied.bytes = self.bytes
        return copied

    def keep(self, sequence: int, reply: Reply, bytes_max: int) -> int:
        """Keep a reply, or that it was too large; the bytes of what is kept."""
        size = REPLY_BYTES if type(reply) in _SHORT else size_of_reply(reply)
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
                reply = replies.pop(sequence)
                freed += REPLY_BYTES if type(reply) in _SHORT else size_of_reply(reply)
        self.floor = floor
        self.bytes -= freed
        return freed


class SessionsCut:
    """The sessions as they were at a snapshot's cut."""

    def __init__(self, sessions: dict[int, Session], fixed: list[Session]) -> None:
        self._pending = sessions
        self._fixed = fixed  # What no command changes.

    def before_change(self, session: Session) -> None:
        """Keep `session` as it is now, if it is not written out yet."""
        if self._pending.get(session.id) is session:
            self._pending[session.id] = session.copy()

    def take(self) -> Iterator[Session]:
        while self._fixed:
            yield self._fixed.pop()
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
        # Sessions that were ended before their time, which their clients may not know: when they
        # were used last, by client; and when the last of those was that are not among them now.
        self._ended: dict[int, int] = {}
        self._forgotten_ms = 0
        self._sessions: dict[int, Session] = {}
        self._by_client: dict[int, int] = {}
        self._sessions_max = sessions_max
        self._replies_max = replies_max
        self._session_bytes_max = session_bytes_max
        self._shard_bytes_max = shard_bytes_max
        self._last_id = 0  # Of what was opened last.
        self._next_expiry_ms = 0  # No session ends earlier.
        self._cut: SessionsCut | None = None

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(self._sessions.values())

    def register(
        self, index: int, timeout_ms: int, stamp_ms: int, client: int = 0, age_ms: int = 0
    ) -> int:
        """Open the session the entry at `index` asks for; its id. Ends those unused for long.

        The one that `client` has already is given again. Has it ended, or can that not be told any
        more, none is opened: what was done under it would be done once more. `age_ms` says for how
        long the client has asked, by its own clock, when it asked; 0: never before.
        """
        known = self._by_client.get(client)
        if known is not None:
            return known
        is_forgotten = age_ms and stamp_ms - age_ms - SKEW_MS <= self._forgotten_ms
        if client in self._ended or is_forgotten:
            raise CommandError("the session has ended", SESSION_LOST)
        if stamp_ms >= self._next_expiry_ms:
            self._expire(stamp_ms)
        if len(self._sessions) >= self._sessions_max:
            self._make_room(stamp_ms)
        last = self._last_id  # Of one entry they follow each other.
        nth = (last >> _NTH) + 1 if last & _INDEX == index else 0
        while (session_id := nth << _NTH | index) in self._sessions:
            nth += 1
        self._last_id = session_id
        self._add(Session(session_id, timeout_ms, stamp_ms, client))
        self._next_expiry_ms = min(self._next_expiry_ms, stamp_ms + timeout_ms)
        return session_id

    def _add(self, session: Session) -> None:
        self._sessions[session.id] = session
        if session.client:
            self._by_client[session.client] = session.id

    def _make_room(self, stamp_ms: int) -> None:
        idlest = self._idlest()
        if idlest.last_used_ms + IDLE_MS > stamp_ms:
            raise CommandError("too many sessions are open on this shard", "OVERLOADED")
        self._end(idlest)

    def _expire(self, stamp_ms: int) -> None:
        sessions: list[Session] = []
        for one in self:
            if one.last_used_ms + one.timeout_ms > stamp_ms:
                sessions.append(one)
            elif one.client:
                self._ended[one.client] = one.last_used_ms
        self._forget_ended()
        self._sessions = {}
        self._by_client = {}
        for session in sessions:
            self._add(session)
        self.bytes = sum([session.bytes for session in sessions])
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
            self._end(self._idlest(session_id))

    def _idlest(self, spared_id: int = 0) -> Session:
        """The session that would be missed least."""
        # Not by the order of the dict, which is another one after a snapshot was loaded.
        return min(
            (session for session in self if session.id != spared_id),
            key=lambda session: (not session.bytes, session.last_used_ms, session.id),
        )

    def _end(self, session: Session) -> None:
        """End a session before its time. What its owner sends again is refused as that of an
        unknown session, never run again; its owner says UNCERTAIN."""
        self.bytes -= session.bytes
        del self._sessions[session.id]
        if session.client:
            del self._by_client[session.client]
            self._ended[session.client] = session.last_used_ms
            self._forget_ended()

    def _forget_ended(self) -> None:
        """Those that were used last remain."""
        count = len(self._ended) - ENDED_MAX
        if count <= 0:
            return
        for client in sorted(self._ended, key=lambda client: (self._ended[client], client))[:count]:
            self._forgotten_ms = max(self._forgotten_ms, self._ended.pop(client))

    # --- Snapshots.

    def records(self) -> Iterator[Session]:
        """All state: the sessions, and with the id 0 what is known of those that have ended."""
        yield from self
        yield from self._memory_of_ended()

    def _memory_of_ended(self) -> Iterator[Session]:
        for client, last_used_ms in self._ended.items():
            yield Session(0, 0, last_used_ms, client)
        if self._forgotten_ms:
            yield Session(0, 0, self._forgotten_ms)

    def begin_cut(self) -> SessionsCut:
        self._cut = SessionsCut(self._sessions.copy(), list(self._memory_of_ended()))
        return self._cut

    def end_cut(self) -> None:
        self._cut = None

    def load(self, state: list[Any]) -> None:
        session_id, timeout_ms, last_used_ms, floor, replies, *client = state
        if not session_id:
            if client:
                self._ended[client[0]] = last_used_ms
            else:
                self._forgotten_ms = last_used_ms
            return
        session = Session(session_id, timeout_ms, last_used_ms, *client)
        session.floor = floor
        for sequence, reply in replies:
            self.bytes += session.keep(sequence, unpack_reply(reply), self._session_bytes_max)
        self._add(session)
        self._next_expiry_ms = 0  # Looked up again at the next registration.


def size_of_reply(reply: Any) -> int:
    """About how many bytes a reply takes: the same on every replica, also after a snapshot, which
    turns a tuple into a list."""
    match reply:
        case bytes():
            return REPLY_BYTES + len(reply)
        case list() | tuple():
            return REPLY_BYTES + sum([size_of_reply(one) for one in reply])
        case ErrorReply(_, text):
            return REPLY_BYTES + len(text)
        case MapReply(pairs) | PairsMapReply(pairs) | PairsReply(pairs):
            sizes = [size_of_reply(key) + size_of_reply(one) for key, one in pairs]
            return REPLY_BYTES + sum(sizes)
        case SetReply(members):
            return REPLY_BYTES + sum([size_of_reply(one) for one in members])
        case VerbatimReply(_, text):
            return REPLY_BYTES + len(text)
        case _:
            return REPLY_BYTES
