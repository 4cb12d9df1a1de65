"""Where a command goes, by the shared command table: one shard, several, or any node. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from ..cluster.command import BLOCKING, LOGGED, WRITE, Command, Spread
from ..cluster.commands import COMMANDS
from ..cluster.routing import Part, shards_of, split_keys
from ..cluster.slots import shard_of
from .batch import ANYWHERE

if TYPE_CHECKING:
    from ..cluster.slots import ShardId

# They go to each shard as a whole, or to none: what a node does with them is the best there is.
_BY_NODE: Final = frozenset({Spread.LOCAL, Spread.ALL_SHARDS, Spread.EVERYWHERE})
_PUBLISHING: Final = frozenset({b"PUBLISH", b"SPUBLISH"})  # Twice is once too often.


@dataclass(frozen=True, slots=True)
class ClientRoute:
    """A row of the table as the client needs it; `row` is None for what it does not know."""

    row: Command | None
    key_at: int  # Where its only key is; 0 if it has none or several.
    is_write: bool  # It changes something: sent again only under a session.
    may_block: bool
    splits: bool  # Its keys may lie in several shards.
    is_over_all: bool = False  # Shards, or nodes: it may take long.
    publishes: bool = False  # To channels; it writes nothing.


def _route_of(row: Command) -> ClientRoute:
    has_one_key = row.keys.first == row.keys.last and row.finder is None
    return ClientRoute(
        row=row,
        key_at=row.keys.first if has_one_key and row.spread is not Spread.NAMES_DB else 0,
        is_write=bool(row.flags & (WRITE | LOGGED)) or row.name in _PUBLISHING,
        may_block=bool(row.flags & BLOCKING),
        splits=row.spread is Spread.SPLIT_KEYS or row.name == b"MSET",
        is_over_all=row.spread in (Spread.ALL_SHARDS, Spread.EVERYWHERE),
        publishes=row.name in _PUBLISHING,
    )


UNKNOWN: Final = ClientRoute(None, 0, is_write=True, may_block=False, splits=False)
_ROUTES: Final = {row.name: _route_of(row) for row in COMMANDS.values()}
_SUBROUTES: Final = {
    sub.name: _route_of(sub) for row in COMMANDS.values() for sub in row.subcommands
}


@lru_cache(maxsize=4096)  # Names as they come, in any case.
def _route_named(name: bytes) -> ClientRoute:
    return _ROUTES.get(name.upper(), UNKNOWN)


def route_of(args: Sequence[bytes]) -> ClientRoute:
    """The route of a command that has at least its name."""
    route = _route_named(args[0])
    row = route.row
    if row is not None and row.subcommands and len(args) > 1:
        return _SUBROUTES.get(row.name + b"|" + args[1].upper(), route)
    return route


def shard_for(route: ClientRoute, database: int, args: Sequence[bytes], shards: int) -> int:
    """The shard whose leader carries the command out; ANYWHERE if a node is to see to it, or to say
    what is wrong with it."""
    row = route.row
    if row is None or row.spread in _BY_NODE or not row.accepts(len(args)):
        return ANYWHERE
    if route.key_at:
        return shard_of(database, args[route.key_at], shards)
    found: Sequence[ShardId] = shards_of(row, database, args, shards)
    return found[0] if len(found) == 1 else ANYWHERE


def parts_of(
    route: ClientRoute, database: int, args: Sequence[bytes], shards: int
) -> list[Part] | None:
    """The commands that a command over several shards is made of, one per shard; None if it is in
    one place, or cannot be cut."""
    row = route.row
    if database or row is None or not row.accepts(len(args)):
        return None
    if row.name == b"MSET":
        parts = _split_pairs(args, shards)
    else:
        parts = split_keys(row, database, args, shards)
    return parts if len(parts) > 1 else None


def _split_pairs(args: Sequence[bytes], shards: int) -> list[Part]:
    """MSET key value ...: cut as DEL is; a wrong number of words is left to a node."""
    if len(args) % 2 == 0:
        return []
    found: dict[ShardId, tuple[list[bytes], list[int]]] = {}
    for place, key in enumerate(args[1::2]):
        shard = shard_of(0, key, shards)
        words, places = found.setdefault(shard, ([args[0]], []))
        words += (key, args[2 * place + 2])
        places.append(place)
    return [Part(shard, words, places) for shard, (words, places) in found.items()]
