"""What a door asks of a shard, and the three answers there are.

A Request is all that one connection wants of one shard at one moment, in order. It is accepted as
a whole or refused as a whole, and a connection has at most one in flight per shard: so nothing of
a connection can overtake what it sent before (correctness D1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..cluster.slots import ShardId
    from ..proto.reply import Reply
    from .data.waiters import WaiterId
    from .errors import OutcomeUnknown, Unavailable

COMMAND_COST = 32  # What a command costs beside its arguments, about.

Args = Sequence[bytes]  # A command as it came: name (any case), then arguments.


@dataclass(frozen=True, slots=True)
class Done:
    """Applied (writes) or read: one reply per command, in order."""

    replies: Sequence[Reply]


@dataclass(frozen=True, slots=True)
class NotApplied:
    """Surely without effect, all of it; `error` says whether and where to try again."""

    error: Unavailable


@dataclass(frozen=True, slots=True)
class Unknown:
    """Proposed, and its fate is not known here."""

    error: OutcomeUnknown


Outcome = Done | NotApplied | Unknown


def answered(_: Outcome) -> None:
    """What `Request.complete` becomes once it was called: a late fate does nothing."""


@dataclass(slots=True, eq=False)
class Request:
    """Commands of one connection for one shard. `complete` is called exactly once, on the loop.

    The first argument of each command is its name in upper case, as in the command table.
    """

    shard: ShardId
    db: int
    commands: Sequence[Args]
    has_write: bool  # Otherwise it is served by a read barrier and never logged.
    deadline_ns: int  # By Clock.now_ns(); past it: NotApplied if not proposed, else Unknown.
    complete: Callable[[Outcome], None]
    user: str = ""
    may_pass_on: bool = True  # False at the cluster door (MOVED) and for what was passed on (D1).
    is_uncertain: bool = False  # An earlier try was sent and never answered.
    # Set only when it comes under a session (forwarded by another node, or from the SDK):
    session: int = 0  # The session's id on this shard; 0 is none.
    sequence: int = 0  # Of the first command; the others follow it one by one.
    floor: int = 0  # The lowest sequence whose answer the sender has not seen.
    waiter: WaiterId | None = None  # Of a command that may wait for data; see `turns.py`.
    stale_ns: int = 0  # A read that may be answered from state so old, by any replica; 0: by none.
    _size_bytes: int = 0

    @property
    def size_bytes(self) -> int:
        """What its commands take, about; it is asked for whenever the request changes hands."""
        if not self._size_bytes:
            self._size_bytes = sum([sum(map(len, args)) + COMMAND_COST for args in self.commands])
        return self._size_bytes


@dataclass(frozen=True, slots=True)
class Forward:
    """A Request on its way to the node that leads its shard; never forwarded again (D1)."""

    id: int  # Of the sending process; the Answer names it.
    shard: ShardId
    db: int
    user: str
    has_write: bool
    session: int
    sequence: int
    floor: int
    timeout_ms: int  # What is left until the request's deadline.
    commands: Sequence[Args]
    waiter: int = 0  # The number of its waiter at the sender (`WaiterId`), or 0.


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of the Forward `id`."""

    id: int
    outcome: Outcome
