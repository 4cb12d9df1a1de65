"""What commands do with their keys, as COMMAND INFO and COMMAND GETKEYSANDFLAGS tell it.

Redis's words: RO reads, RW reads and writes, OW overwrites whatever it held, RM removes; `access`
means that the content is answered, `update`, `insert` and `delete` what is done to it. A row of the
table has one such list for all keys, or one per key with `;` between them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..proto.reply import MapReply, Reply, SetReply, Status
from .command import BehindWord, Counted, OneOrBehind, StoreOption

if TYPE_CHECKING:
    from .command import Command, Finder

VARIABLE = "variable_flags"  # They depend on the other arguments.


def key_specs(row: Command) -> Reply:
    """The key specifications of a command, as COMMAND INFO has them."""
    if not row.has_keys:
        return SetReply(())
    groups = _groups(row)
    if row.finder is not None:
        return SetReply(tuple(_found(row.finder, groups)))
    first, last, step = row.keys.first, row.keys.last, row.keys.step
    if len(groups) == 1:
        return SetReply((_spec(groups[0], first, last - first if last > 0 else last, step),))
    specs = [_spec(flags, first + place * step, 0, step) for place, flags in enumerate(groups)]
    if last < 0:  # What is said of the last one is said of all that follow, too.
        specs[-1] = _spec(groups[-1], first + (len(groups) - 1) * step, last, step)
    return SetReply(tuple(specs))


def _found(finder: Finder, groups: list[list[str]]) -> Iterator[Reply]:
    """Those of keys that stand behind a number or a word; the flags in the order of the keys."""
    match finder:
        case Counted(at, target):
            if target:
                yield _spec(groups[0], target, 0, 1)
            yield _described(
                groups[-1],
                _typed(b"index", ((b"index", at),)),
                _typed(b"keynum", ((b"keynumidx", 0), (b"firstkey", 1), (b"keystep", 1))),
            )
        case BehindWord(word, start):
            yield _described(
                groups[0],
                _typed(b"keyword", ((b"keyword", word), (b"startfrom", start))),
                _typed(b"range", ((b"lastkey", -1), (b"keystep", 1), (b"limit", 2))),
            )
        case OneOrBehind(at, word, start):
            yield _spec(groups[0], at, 0, 1)
            yield _described(
                groups[1],
                _typed(b"keyword", ((b"keyword", word), (b"startfrom", start))),
                _typed(b"range", ((b"lastkey", -1), (b"keystep", 1), (b"limit", 0))),
            )
        case StoreOption():
            yield _spec(groups[0], 1, 0, 1)
            if finder.is_told:
                for word in finder.words:
                    yield _described(
                        groups[1],
                        _typed(b"keyword", ((b"keyword", word), (b"startfrom", finder.start))),
                        _typed(b"range", ((b"lastkey", 0), (b"keystep", 1), (b"limit", 0))),
                    )
            else:
                for flags in groups[1:]:
                    yield _described(flags, _typed(b"unknown", ()), _typed(b"unknown", ()))


def _groups(row: Command) -> list[list[str]]:
    return [one.split() for one in row.key_flags.split(";")]


def _spec(flags: Sequence[str], index: int, last: int, step: int) -> Reply:
    return _described(
        flags,
        _typed(b"index", ((b"index", index),)),
        _typed(b"range", ((b"lastkey", last), (b"keystep", step), (b"limit", 0))),
    )


def _described(flags: Sequence[str], begin: Reply, find: Reply) -> Reply:
    return MapReply(
        (
            (b"flags", SetReply(tuple(map(Status, flags)))),
            (b"begin_search", begin),
            (b"find_keys", find),
        )
    )


def _typed(kind: bytes, spec: tuple[tuple[bytes, Reply], ...]) -> MapReply:
    return MapReply(((b"type", kind), (b"spec", MapReply(spec))))


def keys_and_flags(row: Command, args: Sequence[bytes]) -> Reply:
    """Each key of a command with what the command does with it."""
    groups = _groups(row)
    if VARIABLE in groups[0]:
        groups = [_flags_of_bitfield(args) if row.name == b"BITFIELD" else _flags_of_set(args)]
    if isinstance(row.finder, StoreOption):
        groups = [groups[0], groups[-1]]  # Between them stand those it does not name.
    return [
        [key, SetReply(tuple(map(Status, groups[min(place, len(groups) - 1)])))]
        for place, key in enumerate(row.keys_of(args))
    ]


def _flags_of_bitfield(args: Sequence[bytes]) -> list[str]:
    """Only if all it does is GET, and it is well formed, it writes nothing."""
    words = {b"GET": 3, b"OVERFLOW": 2}
    place = 2
    while place < len(args):
        count = words.get(args[place].upper(), 0)
        if not count or place + count > len(args):
            return ["RW", "access", "update"]
        place += count
    return ["RO", "access"]


def _flags_of_set(args: Sequence[bytes]) -> list[str]:
    """SET with GET answers what was there; without, it only overwrites."""
    if b"GET" in {word.upper() for word in args[3:]}:
        return ["RW", "access", "update"]
    return ["OW", "update"]
