"""One command that runs on several shards: its parts, and one answer out of theirs.

Each part goes through the lane of its shard, so order per shard holds. The parts are atomic each
for itself, there is no snapshot over all; if the fate of one is unknown, so is the whole (D3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any  # Any: replies nest.

from ...cluster.command import GROWS
from ...proto.reply import ErrorReply
from ..commands.internal import OUT_OF_MEMORY_TEXT
from ..errors import CommandError
from .outcomes import HALF_APPLIED
from .subcommands import Later

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...cluster.command import Command
    from ...proto.reply import Reply
    from ..request import Args
    from .backend import Router
    from .client import Client


def check_memory(row: Command, router: Router) -> None:
    """Without memory, what grows is refused before any shard has its part of it."""
    if row.flags & GROWS and router.is_full:
        raise CommandError(OUT_OF_MEMORY_TEXT, "OOM")


class Gather:
    __slots__ = (
        "_client",
        "_combine",
        "_command",
        "_ended",
        "_is_write",
        "_missing",
        "_refused",
        "_replies",
        "_since_ns",
        "_slot",
    )

    def __init__(
        self,
        client: Client,
        slot: int,
        command: Args,
        parts: int,
        combine: Callable[[list[Any]], Reply | Later],
        *,
        is_write: bool,
        ended: Callable[[], None] | None = None,
    ) -> None:
        self._client = client
        self._slot = slot
        self._command = command  # As a whole, under the table's name: for what is counted of it.
        self._since_ns = client.now_ns
        self._combine = combine
        self._is_write = is_write
        self._missing = parts
        self._replies: list[Any] = [None] * parts
        self._ended = ended  # Told when it is answered.
        self._refused: list[ErrorReply] = []  # Of parts that surely were not applied.

    def put(self, place: int, reply: Any, *, is_refused: bool = False) -> None:
        """The answer of one part; the whole is answered with the last one."""
        self._replies[place] = reply
        if is_refused:
            self._refused.append(reply)
        self._missing -= 1
        if not self._missing:
            answer = self._answer()
            if isinstance(answer, Later):
                answer.start(self._finish)
            else:
                self._finish(answer)

    def _finish(self, reply: Reply) -> None:
        door = self._client.door
        elapsed_ns = door.router.now_ns() - self._since_ns
        door.clients.stats.answered(self._client, [self._command], [reply], elapsed_ns)
        if not self._client.is_lost:
            self._client.put(self._slot, reply)
        if self._ended is not None:
            self._ended()

    def _answer(self) -> Reply | Later:
        replies = self._replies
        errors = [reply for reply in replies if isinstance(reply, ErrorReply)]
        if not errors:
            return self._combine(replies)
        unknown = next((error for error in errors if error.code == "UNCERTAIN"), None)
        if unknown is not None:
            return unknown
        if self._is_write and self._refused and len(errors) < len(replies):
            return HALF_APPLIED
        return errors[0]


class Part:
    """Where the reply of one part goes."""

    __slots__ = ("gather", "place")

    def __init__(self, gather: Gather, place: int) -> None:
        self.gather = gather
        self.place = place
