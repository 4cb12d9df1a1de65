"""What a key can hold, and how each type is packed, copied and counted.

A string is plain `bytes`. Every other type is a class of its own with a row in TYPES; the keyspace,
snapshots and digests know types only through these rows. Read `keyspace.py` next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any  # Values of every type, and what msgpack packs.

KEY_BYTES = 144  # Of a key beside its name and value: two object headers and a place in a dict.
EXPIRY_BYTES = 96  # Of an expiry: a number and a place in a dict.


@dataclass(frozen=True, slots=True)
class ValueType:
    code: int  # In snapshots; never used again for another type.
    name: str  # What TYPE answers.
    size_bytes: Callable[[Any], int]  # Counted, O(1).
    pack: Callable[[Any], Any]  # To what msgpack takes, in an order that is part of the state.
    unpack: Callable[[Any], Any]
    copy: Callable[[Any], Any]  # For a running snapshot, before the value is changed in place.


def _same(value: Any) -> Any:
    return value


STRING = ValueType(0, "string", len, _same, _same, _same)

ValueTypes = Mapping[type, ValueType]
TYPES: ValueTypes = {bytes: STRING}
