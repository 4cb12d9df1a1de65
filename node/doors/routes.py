"""The command table as the doors use it: for each name, how to check it and who answers it.

Compiled once from `cluster/commands.py` and the local handlers. The connection looks a command up
under the name as it came; `find` handles every other spelling and the names nobody knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...cluster.commands import COMMANDS, LOCAL, WRITE, Command, unknown_command
from ..errors import CommandError
from .local_commands import LOCAL_HANDLERS

if TYPE_CHECKING:
    from ...proto.reply import Reply
    from ..request import Args
    from .connection import Connection
    from .subcommands import LocalHandler

# They change what later replies look like, or speak about earlier writes: they wait until all
# earlier commands of the connection are answered.
_BARRIERS = frozenset({b"HELLO", b"RESET", b"WAIT"})


class SecurityBreach(Exception):
    """A browser was tricked into talking to this port: close without a word, as Redis does."""


@dataclass(frozen=True, slots=True)
class Route:
    """One command: what the hot path needs of its row, and who answers it."""

    name: bytes  # Upper case.
    arity: int
    key_at: int  # Where its only key is; 0 if it has none or several.
    is_write: bool
    is_barrier: bool
    handler: LocalHandler | None  # Answers it at the door; without one it goes to shards.
    row: Command


def _unknown(client: Connection, args: Args) -> Reply:
    raise CommandError(unknown_command(args))


def _breach(client: Connection, args: Args) -> Reply:
    raise SecurityBreach


def _route(row: Command, handler: LocalHandler | None) -> Route:
    return Route(
        name=row.name,
        arity=row.arity,
        key_at=row.keys.first if row.keys.first == row.keys.last else 0,
        is_write=bool(row.flags & WRITE),
        is_barrier=row.name in _BARRIERS,
        handler=handler,
        row=row,
    )


def _nameless(handler: LocalHandler) -> Route:
    return _route(Command(b"", -1, 0, COMMANDS[b"PING"].keys, "", LOCAL), handler)


_UNKNOWN = _nameless(_unknown)
# The first lines of an HTTP request: `POST / HTTP/1.1` and `Host: ...`.
_BREACHES = {b"POST": _nameless(_breach), b"HOST:": _nameless(_breach)}

ROUTES: dict[bytes, Route] = {}
for _row in COMMANDS.values():
    _handler = LOCAL_HANDLERS[_row.name] if _row.spread is LOCAL else None
    ROUTES[_row.name] = ROUTES[_row.name.lower()] = _route(_row, _handler)


def find(name: bytes) -> Route:
    """The route of a command in any spelling; one that answers an error if there is none."""
    upper = name.upper()
    return ROUTES.get(upper) or _BREACHES.get(upper) or _UNKNOWN
