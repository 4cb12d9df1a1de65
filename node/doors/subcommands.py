"""Commands with subcommands (CLIENT ID, CONFIG GET, ...): their handlers and their HELP.

Which subcommands there are and how many arguments they take says the command table; `routes.py`
pairs its rows with these handlers and refuses what there is not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from ...proto.reply import Reply, Status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..request import Args
    from .client import Client

SHOWN_BYTES_MAX = 128  # Of what the client sent, in an error text; as in Redis.


class Later:
    """An answer that takes a while; later commands of the client wait behind it.

    `start` is called once and given `done`, which must be called exactly once, on the loop.
    """

    __slots__ = ("start",)

    def __init__(self, start: Callable[[Callable[[Reply], None]], None]) -> None:
        self.start = start


LocalHandler: TypeAlias = "Callable[[Client, Args], Reply | Later]"


def shown(word: bytes) -> str:
    """What a client sent, to be put into a text; bytes that are no UTF-8 survive (PEP 383)."""
    return word[:SHOWN_BYTES_MAX].decode("utf-8", "surrogateescape")


class Subcommands:
    """The handlers of a container's local subcommands; HELP comes by itself.

    `alone` answers the bare command, if the table allows it without a subcommand.
    """

    def __init__(
        self,
        name: bytes,
        handlers: Mapping[bytes, LocalHandler],
        help_lines: Sequence[str],
        *,
        alone: LocalHandler | None = None,
    ) -> None:
        lines: list[Reply] = [
            Status(f"{name.decode()} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"),
            *map(Status, help_lines),
            Status("HELP"),
            Status("    Print this help."),
        ]
        self.alone = alone
        self.handlers: dict[bytes, LocalHandler] = {
            **handlers,
            b"HELP": lambda _client, _args: lines,
        }
