"""What commands do with their keys, as COMMAND INFO and COMMAND GETKEYSANDFLAGS tell it.

Redis's words: RO reads, RW reads and writes, OW overwrites whatever it held, RM removes; `access`
means that the content is answered, `update`, `insert` and `delete` what is done to it. A row of the
table has one such list for all keys, or one per key with `;` between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..proto.reply import MapReply, Reply, SetReply, Status
from .routing import keys_of

if TYPE_CHECKING:
    from .commands import Command

VARIABLE = "variable_flags"  # They depend on the other arguments.


def key_specs(row: Command) -> Reply:
    """The key specifications of a command, as COMMAND INFO has them."""
    if not row.keys.first:
        return SetReply(())
    groups = _groups(row)
    first, last, step = row.keys.first, row.keys.last, row.keys.step
    if len(groups) == 1:
        return SetReply((_spec(groups[0], first, last - first if last > 0 else last, step),))
    return SetReply(
        tuple(_spec(flags, first + place * step, 0, step) for place, flags in enumerate(groups))
    )


def _groups(row: Command) -> list[list[str]]:
    return [one.split() for one in row.key_flags.split(";")]


def _spec(flags: Sequence[str], index: int, last: int, step: int) -> Reply:
    return MapReply(
        (
            (b"flags", SetReply(tuple(map(Status, flags)))),
            (b"begin_search", _typed(b"index", ((b"index", index),))),
            (
                b"find_keys",
                _typed(b"range", ((b"lastkey", last), (b"keystep", step), (b"limit", 0))),
            ),
        )
    )


def _typed(kind: bytes, spec: tuple[tuple[bytes, int], ...]) -> MapReply:
    return MapReply(((b"type", kind), (b"spec", MapReply(spec))))


def keys_and_flags(row: Command, args: Sequence[bytes]) -> Reply:
    """Each key of a command with what the command does with it."""
    groups = _groups(row)
    if VARIABLE in groups[0]:
        groups = [_flags_of_set(args)]
    return [
        [key, SetReply(tuple(map(Status, groups[min(place, len(groups) - 1)])))]
        for place, key in enumerate(keys_of(row.keys, args))
    ]


def _flags_of_set(args: Sequence[bytes]) -> list[str]:
    """SET with GET answers what was there; without, it only overwrites."""
    if b"GET" in {word.upper() for word in args[3:]}:
        return ["RW", "access", "update"]
    return ["OW", "update"]
