"""The command table as the doors use it: for each name, how to check it and who answers it.

Compiled once from `cluster/commands.py` and the local handlers. The connection looks a command up
under the name as it came; `find` handles every other spelling and the names nobody knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any  # Any: values of several kinds.

from ...cluster.command import (
    ADMIN,
    ALL,
    BLOCKING,
    LOCAL,
    LOGGED,
    NAMES_DB,
    NO_KEYS,
    PUBSUB,
    READ,
    SECOND,
    SKIP_MONITOR,
    WRITE,
    Command,
)
from ...cluster.commands import COMMANDS, unknown_command, unknown_subcommand, wrong_arity
from ..commands.dumping import vet_restore
from ..commands.functions import LOAD_FUNCTION
from ..commands.transactions import EXEC, EXEC_RO
from ..commands.transactions import WATCH as WATCH_KEYS
from ..errors import CommandError
from .local_commands import LOCAL_HANDLERS
from .subcommands import Subcommands

if TYPE_CHECKING:
    from ...proto.reply import Reply
    from ..request import Args
    from .client import Client
    from .subcommands import Later, LocalHandler

# They change what later replies look like, speak about earlier writes, or have something written
# that is no reply: they wait until all earlier commands of the connection are answered.
_BARRIERS = frozenset(
    {b"HELLO", b"RESET", b"WAIT", b"WAITAOF", b"CONFIG|SET", b"SHUTDOWN"}
    | {b"WATCH", b"PUBLISH", b"SPUBLISH"}
    | {b"SUBSCRIBE", b"PSUBSCRIBE", b"SSUBSCRIBE", b"MONITOR"}
    | {b"CLUSTER|COUNTKEYSINSLOT", b"CLUSTER|GETKEYSINSLOT"}
)


# What a door answers by itself it answers at once: a million patterns for CONFIG GET, or names for
# COMMAND INFO, would hold up the whole node. Subscriptions have a limit of their own.
LOCAL_WORDS_MAX = 4_096


class SecurityBreach(Exception):
    """A browser was tricked into talking to this port: close without a word, as Redis does."""


@dataclass(frozen=True, slots=True)
class Route:
    """One command: what the hot path needs of its row, and who answers it."""

    name: bytes  # Upper case; of a subcommand `CONTAINER|NAME`.
    arity: int
    key_at: int  # Where its only key is; 0 if it has none or several, or names a database.
    is_write: bool
    is_barrier: bool
    is_monitored: bool
    handler: LocalHandler | None  # Answers it at the door; without one it goes to shards.
    row: Command
    by_word: Mapping[bytes, Any] | None = None  # Of a container: a Route for each subcommand.
    # Looks at the arguments before they can get into a log, and may replace some (correctness A4).
    vet: Callable[[list[bytes]], None] | None = None

    def check_arity(self, args: Args) -> None:
        """Raises CommandError if these are too few words or too many."""
        count = len(args)
        if count != self.arity and (self.arity >= 0 or count < -self.arity):
            raise CommandError(wrong_arity(self.row))

    def of(self, args: Args) -> Route:
        """Of a container: the route of the subcommand that `args` name."""
        if self.by_word is None or len(args) < 2:
            return self
        found: Route | None = self.by_word.get(args[1]) or self.by_word.get(args[1].upper())
        return found or _UNKNOWN_SUBCOMMAND


def _unknown(client: Client, args: Args) -> Reply:
    raise CommandError(unknown_command(args))


def _unknown_subcommand(client: Client, args: Args) -> Reply:
    raise CommandError(unknown_subcommand(args))


def _breach(client: Client, args: Args) -> Reply:
    raise SecurityBreach


def _bounded(handler: LocalHandler) -> LocalHandler:
    def answer(client: Client, args: Args) -> Reply | Later:
        if len(args) > LOCAL_WORDS_MAX:
            raise CommandError(f"too many arguments: this command takes {LOCAL_WORDS_MAX} words")
        return handler(client, args)

    return answer


def _route(
    row: Command, handler: LocalHandler | None, by_word: Mapping[bytes, Route] | None = None
) -> Route:
    has_one_key = row.keys.first == row.keys.last and row.finder is None
    if handler is not None and row.name and row.arity < 0 and not row.flags & PUBSUB:
        handler = _bounded(handler)
    return Route(
        name=row.name,
        arity=row.arity,
        key_at=row.keys.first if has_one_key and row.spread is not NAMES_DB else 0,
        is_write=bool(row.flags & (WRITE | LOGGED)),
        is_barrier=row.name in _BARRIERS or bool(row.flags & BLOCKING),
        is_monitored=not row.flags & (SKIP_MONITOR | ADMIN),
        handler=handler,
        row=row,
        by_word=by_word,
        vet=vet_restore if row.name in (b"RESTORE", b"RESTORE-ASKING") else None,
    )


def _container(row: Command, handlers: Subcommands) -> Route:
    """Its subcommands go to shards or have a handler here: a missing one fails at import."""
    by_word = {
        word: _route(one, handlers.handlers[word] if one.spread is LOCAL else None)
        for word, one in row.by_word.items()
    }
    by_word |= {word.lower(): route for word, route in by_word.items()}
    return _route(row, handlers.alone or _unknown_subcommand, by_word)


def _nameless(handler: LocalHandler) -> Route:
    return _route(Command(b"", -1, 0, COMMANDS[b"PING"].keys, "", LOCAL), handler)


_UNKNOWN = _nameless(_unknown)
_UNKNOWN_SUBCOMMAND = _nameless(_unknown_subcommand)
# The first lines of an HTTP request: `POST / HTTP/1.1` and `Host: ...`.
_BREACHES = {b"POST": _nameless(_breach), b"HOST:": _nameless(_breach)}


def _route_of(row: Command) -> Route:
    if row.spread is not LOCAL:
        return _route(row, None)
    handler = LOCAL_HANDLERS[row.name]
    return _container(row, handler) if isinstance(handler, Subcommands) else _route(row, handler)


ROUTES: dict[bytes, Route] = {}
for _row in COMMANDS.values():
    ROUTES[_row.name] = ROUTES[_row.name.lower()] = _route_of(_row)

# What shards are asked, by the name it has there. A transaction carries its first key behind it.
SHARD_ROUTES: dict[bytes, Route] = {
    EXEC: _route(Command(EXEC, 3, WRITE, SECOND, ""), None),
    EXEC_RO: _route(Command(EXEC_RO, 3, READ, SECOND, ""), None),
    WATCH_KEYS: _route(Command(WATCH_KEYS, -2, WRITE, ALL, ""), None),
    LOAD_FUNCTION: _route(Command(LOAD_FUNCTION, -3, WRITE, NO_KEYS, ""), None),
}
for _one in list(ROUTES.values()):
    for _data in (_one, *(_one.by_word or {}).values()):
        if _data.handler is None:
            SHARD_ROUTES[_data.name] = _data


def find(name: bytes) -> Route:
    """The route of a command in any spelling; one that answers an error if there is none."""
    upper = name.upper()
    return ROUTES.get(upper) or _BREACHES.get(upper) or _UNKNOWN
