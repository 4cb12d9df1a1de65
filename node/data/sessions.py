"""Who has asked for what already: so that a command sent again is answered, not run again.

A session is registered by a log entry and named by that entry's index; its commands carry sequence
numbers, which may have gaps, and the lowest one still unanswered, the floor. Replies from the floor
on are kept. All of it is state of the shard: changed only by entries, and part of snapshot and
digest. Raft dissertation §6.3; correctness A8.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any  # Packed state.

from ...proto.reply import ErrorReply, Reply, pack_reply, unpack_reply
from ..errors import CommandError

# Every replica must refuse at the same entry, so these are not configuration (correctness A1).
SESSIONS_MAX = 10_000
REPLIES_MAX = 4_096  # Of one session.

FULL = ErrorReply("OVERLOADED", "the session keeps too many replies: raise its floor")


class Lookup(Enum):
    """What is to be done with a command of a session, when there is no kept reply."""

    NEW = "new"  # Run it, then `keep` its reply.
    BELOW_FLOOR = "below floor"  # The sender gave up on its answer; it may have run.
    UNKNOWN_SESSION = "unknown session"  # Never created by use: its replies would be lost.


class Session:
    __slots__ = ("floor", "id", "last_used_ms", "replies", "timeout_ms")

    def __init__(self, session_id: int, timeout_ms: int, stamp_ms: int) -> None:
        self.id = session_id
        self.timeout_ms = timeout_ms
        self.last_used_ms = stamp_ms
        self.floor = 0
        self.replies: dict[int, Reply] = {}

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
        return copied

    def raise_floor(self, floor: int) -> None:
        """Forget the replies the sender has seen or given up on."""
        replies = self.replies
        if floor - self.floor <= len(replies):
            for sequence in range(self.floor, floor):
                replies.pop(sequence, None)
        else:  # A jump: walk what there is instead.
            self.replies = {one: reply for one, reply in replies.items() if one >= floor}
        self.floor = floor


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
    def __init__(self, *, sessions_max: int = SESSIONS_MAX, replies_max: int = REPLIES_MAX) -> None:
        self._sessions: dict[int, Session] = {}
        self._sessions_max = sessions_max
        self._replies_max = replies_max
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
            session.raise_floor(floor)
        if sequence < session.floor:
            return Lookup.BELOW_FLOOR
        replies = session.replies
        if sequence in replies:
            return replies[sequence]
        return Lookup.NEW if len(replies) < self._replies_max else FULL

    def keep(self, session_id: int, sequence: int, reply: Reply) -> None:
        """What the command that `lookup` called NEW was answered."""
        # `lookup` has just called before_change; a command cannot end its own session.
        self._sessions[session_id].replies[sequence] = reply

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
        session.replies = {sequence: unpack_reply(reply) for sequence, reply in replies}
        self._sessions[session_id] = session
        self._next_expiry_ms = 0  # Looked up again at the next registration.
