"""Commands with subcommands (CLIENT ID, CONFIG GET, ...), checked and refused as Redis does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from ...cluster.commands import COMMANDS, unknown_subcommand, wrong_arity
from ...proto.reply import Reply, Status
from ..errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..request import Args
    from .connection import Connection

LocalHandler: TypeAlias = "Callable[[Connection, Args], Reply]"

SHOWN_BYTES_MAX = 128  # Of what the client sent, in an error text; as in Redis.


def shown(word: bytes) -> str:
    """What a client sent, to be put into a text; bytes that are no UTF-8 survive (PEP 383)."""
    return word[:SHOWN_BYTES_MAX].decode("utf-8", "surrogateescape")


class Subcommands:
    """Answers a command by the handler of its subcommand; HELP comes by itself."""

    def __init__(
        self, name: bytes, handlers: Mapping[bytes, LocalHandler], help_lines: Sequence[str]
    ) -> None:
        self.handlers = handlers
        self._rows = COMMANDS[name].by_word
        self._help: list[Reply] = [
            Status(f"{name.decode()} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"),
            *map(Status, help_lines),
            Status("HELP"),
            Status("    Print this help."),
        ]

    def __call__(self, client: Connection, args: Args) -> Reply:
        word = args[1].upper()
        row = self._rows.get(word)
        if row is None:
            raise CommandError(unknown_subcommand(args))
        if not row.accepts(len(args)):
            raise CommandError(wrong_arity(row))
        return self._help if word == b"HELP" else self.handlers[word](client, args)
