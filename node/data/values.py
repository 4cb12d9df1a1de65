"""What a key can hold, and how each type is packed, copied and counted.

A string is plain `bytes`. Every other type is a class of its own with a row in TYPES; the keyspace,
snapshots and digests know types only through these rows, and by `size_bytes`, which says at once
how much a value takes, about. Read `keyspace.py` next.

A collection can hold millions of elements, so a type that grows is made of chunks: `copy` shares
them (copied when one side writes to them), and a snapshot takes them part by part (E3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any  # Values of every type, and what msgpack packs.

from . import stream_parts
from .hash import Hash
from .large_string import LargeString
from .quicklist import ListValue
from .set import SetValue
from .sorted_set import SortedSet
from .stream import Stream


@dataclass(frozen=True, slots=True)
class ValueType:
    code: int  # In snapshots; never used again for another type.
    name: str  # What TYPE answers.
    pack: Callable[[Any], Any]  # To what msgpack takes, in an order that is part of the state.
    unpack: Callable[[Any], Any]
    copy: Callable[[Any], Any]  # For a running snapshot, before the value is changed in place.
    # Of a type that may be large: what `pack` leaves out, in parts of at most some thousand
    # elements, and how a value takes one of them, in that order.
    parts: Callable[[Any], Iterator[Any]] | None = None
    extend: Callable[[Any, Any], None] | None = None
    # Of a type in which elements expire: when to look for due ones, not before. Such a value has
    # `look_for_due`, which answers when the first is due.
    next_due_ms: Callable[[Any], int] | None = None


def size_of(value: Any) -> int:
    """Counted, not measured."""
    return len(value) if type(value) is bytes else value.size_bytes()


def _same(value: Any) -> Any:
    return value


# Codes: 0 string, 1 list, 2 set, 3 sorted set, 4 hash, 5 stream, 6 large string.
STRING = ValueType(0, "string", _same, _same, _same)
LARGE_STRING = ValueType(
    6,
    "string",
    lambda _: None,
    lambda _: LargeString(),
    LargeString.copy,
    LargeString.parts,
    LargeString.append,
)

SORTED_SET = ValueType(
    3,
    "zset",
    SortedSet.pack,
    SortedSet.unpack,
    SortedSet.copy,
    SortedSet.parts,
    SortedSet.extend,
)

STREAM = ValueType(
    5,
    "stream",
    stream_parts.pack,
    stream_parts.unpack,
    Stream.copy,
    stream_parts.parts,
    stream_parts.extend,
)

LIST = ValueType(
    1,
    "list",
    ListValue.pack,
    ListValue.unpack,
    ListValue.copy,
    ListValue.parts,
    ListValue.extend,
)
HASH = ValueType(
    4,
    "hash",
    Hash.pack,
    Hash.unpack,
    Hash.copy,
    Hash.parts,
    Hash.extend,
    attrgetter("next_due_ms"),
)

SET = ValueType(
    2,
    "set",
    SetValue.pack,
    SetValue.unpack,
    SetValue.copy,
    SetValue.parts,
    SetValue.extend,
)

ValueTypes = Mapping[type, ValueType]
TYPES: ValueTypes = {
    bytes: STRING,
    LargeString: LARGE_STRING,
    SetValue: SET,
    Hash: HASH,
    ListValue: LIST,
    SortedSet: SORTED_SET,
    Stream: STREAM,
}
