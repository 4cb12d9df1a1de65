"""What the commands do. One module per family; a handler is named as its command.

HANDLERS pairs the rows of the command table that concern data with their handlers; what is LOCAL
there is answered by the doors. `context.py` says what a handler is given.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import wraps
from typing import TYPE_CHECKING, Final

from ...cluster.command import Command, Spread
from ...cluster.commands import COMMANDS
from . import (
    bitmaps,
    blocking,
    dumping,
    expiry,
    functions,
    geo,
    hash_expiry,
    hashes,
    hyperloglog,
    keys,
    lcs,
    lists,
    objects,
    scripting,
    sets,
    sort,
    sorted_set_algebra,
    sorted_set_ranges,
    sorted_sets,
    stream_claims,
    stream_groups,
    stream_info,
    streams,
    strings,
)
from .context import Context, Handler

if TYPE_CHECKING:
    from ...proto.reply import Reply
    from ..data.keyspace import Keyspace
    from ..request import Args

__all__ = ["HANDLERS", "Context", "Handler"]

_FAMILIES: Final = (
    strings, bitmaps, hyperloglog, dumping, keys, expiry, objects, lcs, sort,
    lists, blocking, sets, sorted_sets, sorted_set_ranges, sorted_set_algebra, geo,
    hashes, hash_expiry, streams, stream_groups, stream_claims, stream_info, scripting, functions,
)  # fmt: skip


def _handler_of(row: Command) -> Handler:
    """The function with the command's name, with an underscore where Python needs one.

    That of `OBJECT|ENCODING` is `object_encoding`.
    """
    name = row.name.decode().lower().replace("|", "_").replace("-", "_")
    for family in _FAMILIES:
        found: Handler | None = getattr(family, name + "_", None) or getattr(family, name, None)
        if found is not None:
            return found
    raise LookupError(f"no handler is named {name}")


# They leave the entries of a stream as they are: to who watches it that is no change, as in Redis.
_QUIET: Final = frozenset(
    b"XACK XAUTOCLAIM XCLAIM XREADGROUP XSETID XGROUP|CREATECONSUMER XGROUP|DELCONSUMER"
    b" XGROUP|DESTROY XGROUP|SETID".split()
)


def _unwatched(handler: Handler) -> Handler:
    @wraps(handler)
    def run(keys: Keyspace, args: Args, ctx: Context) -> Reply:
        watches = keys.watches
        watched = watches.watched
        if not watched:
            return handler(keys, args, ctx)
        watches.watched = OrderedDict()
        try:
            return handler(keys, args, ctx)
        finally:
            watches.watched = watched

    return run


HANDLERS: Final[dict[bytes, Handler]] = {
    one.name: _unwatched(_handler_of(one)) if one.name in _QUIET else _handler_of(one)
    for row in COMMANDS.values()
    for one in (row, *row.subcommands)
    if one.spread is not Spread.LOCAL
}
