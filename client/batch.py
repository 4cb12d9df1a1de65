"""Commands for one shard on their way: what was sent where, and who waits for which result.

All of them take effect in their order. A batch is sent again, with the same numbers under the same
session, until each command has its reply, or it is certain that the rest was never applied, or
time is up. Pure; `router.py` decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from ..proto.requests import REPLY, encode_request

if TYPE_CHECKING:
    from .session import Session

ANYWHERE = -1  # The shard of what any node takes.
WAIT_MIN_S = 0.001  # What a wait that has had its time is sent again with: 0 would be for ever.
TIMEOUT_MAX_S = 1_000_000.0  # As nodes are told: it fits their field.


class Sink(Protocol):
    """Who waits for what one command answers; a future is one."""

    def set_result(self, result: bytes, /) -> None: ...
    def set_exception(self, error: Exception, /) -> None: ...
    def done(self) -> bool: ...


class Batch:
    __slots__ = ("asks_for_turn", "commands", "database", "deadline", "hops", "is_atomic",
                 "is_behind_others", "is_done", "is_uncertain", "is_write", "numbers", "sequence",
                 "session", "shard", "sinks", "size", "stale_ms", "start", "text", "told", "tries",
                 "turn", "until", "wait", "watched")  # fmt: skip

    def __init__(
        self,
        shard: int,
        database: int,
        *,
        deadline: float,
        is_write: bool,
        is_atomic: bool = False,
        stale_ms: int = 0,
        watched: Sequence[bytes] = (),
        wait: Callable[[float], bytes] | None = None,
        until: float = 0.0,
        asks_for_turn: bool = False,
        turn: int = 0,
        is_behind_others: bool = False,
    ) -> None:
        self.shard = shard
        self.database = database
        self.deadline = deadline  # Seconds, of the router's clock.
        self.is_write = is_write
        self.is_atomic = is_atomic
        self.stale_ms = stale_ms
        self.watched = watched
        # It waits for data: its one command for so many seconds, and until when it does.
        self.wait = wait
        self.until = until
        self.asks_for_turn = asks_for_turn  # Or for its turn to take some,
        self.turn = turn  # and the turn it takes,
        self.is_behind_others = is_behind_others  # or none, if nobody waits.
        self.told: tuple[str, int] | None = None  # The node and the try that answered last.
        self.commands: list[bytes] = []
        self.sinks: list[Sink] = []
        self.size = 0  # Bytes of the commands.
        self.start = 0  # Of those in front of it each has its reply.
        self.session: Session | None = None
        self.sequence = 0  # Of the first command; 0: none yet.
        self.is_uncertain = False  # What is left may have been applied by an earlier try.
        self.is_done = False
        self.numbers: dict[int, str] = {}  # Tries under way: the node each was sent to.
        self.tries = 0  # In a row that brought nothing.
        self.hops = 0  # In a row that named another leader.
        self.text = "no leader is known"  # What stood in the way last.

    def add(self, command: bytes, sink: Sink) -> None:
        """One more, behind the others; it is encoded."""
        self.commands.append(command)
        self.sinks.append(sink)
        self.size += len(command)

    @property
    def is_once(self) -> bool:
        """Whether it must not be sent again when its fate is unknown: no session covers it."""
        return self.is_write and self.shard == ANYWHERE

    def encode(self, number: int, now: float, age_now: float) -> bytes:
        """What is left of it, as one try; `age_now` is the time by which its session is as old."""
        session = b""
        if self.session is not None:
            session = self.session.field(self.sequence + self.start, age_now)
        commands = self.commands[self.start :] if self.start else self.commands
        if self.wait is not None:
            commands = [self.wait(max(WAIT_MIN_S, self.until - now))]
        return encode_request(
            number,
            self.database,
            commands,
            timeout_ms=max(1, int(min(self.deadline - now, TIMEOUT_MAX_S) * 1000)),
            is_leader_only=self.shard != ANYWHERE and not self.stale_ms,
            is_atomic=self.is_atomic,
            session=session,
            stale_ms=self.stale_ms,
            watched=self.watched,
            asks_for_turn=self.asks_for_turn,
            turn=self.turn,
            # An earlier try may have been applied: it must be asked of the log then.
            is_behind_others=self.is_behind_others and not self.is_uncertain,
        )

    def take(self, start: int, results: Sequence[bytes]) -> list[bytes]:
        """Results of a try that was sent from `start` on: hand out replies, as far as they go; what
        is left over, if that is news."""
        at = self.start
        if start + len(results) <= at:
            return []
        sinks = self.sinks
        fresh = results[at - start :] if at > start else list(results)
        for place, result in enumerate(fresh):
            if result[0] != REPLY:
                self.start = at + place
                return list(fresh[place:])
            sink = sinks[at + place]
            if not sink.done():
                sink.set_result(result)
        self.start = at + len(fresh)
        return []

    @property
    def is_answered(self) -> bool:
        return self.start >= len(self.commands)

    def fail(self, error: Exception) -> None:
        """What is left of it has no reply and gets none."""
        for sink in self.sinks[self.start :]:
            if not sink.done():
                sink.set_exception(error)
