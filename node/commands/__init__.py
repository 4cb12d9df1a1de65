"""What the commands do. One module per family; a handler is named as its command.

HANDLERS pairs the rows of the command table that concern data with their handlers; what is LOCAL
there is answered by the doors. `context.py` says what a handler is given.
"""

from __future__ import annotations

from typing import Final

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


HANDLERS: Final[dict[bytes, Handler]] = {
    one.name: _handler_of(one)
    for row in COMMANDS.values()
    for one in (row, *row.subcommands)
    if one.spread is not Spread.LOCAL
}
