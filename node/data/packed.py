"""Byte strings in a row, packed into one: how collections keep elements they are not asked for.

Each is a header of msgpack and its bytes, so that the C code of msgpack takes many apart at once;
without the header of an array in front, so that two rows are joined by writing one behind the
other. How many there are is for the owner to know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any, Final, cast  # Any: msgpack has no types.

import msgpack

_FIX_MAX = 15  # Elements of an array whose header is one byte.
_HEADERS: Final = [b"\xc4" + bytes([length]) for length in range(256)]
_FIX_ARRAYS: Final = [bytes([0x90 | count]) for count in range(_FIX_MAX + 1)]
_ARRAY_16, _ARRAY_32 = Struct(">BH"), Struct(">BI")
_BIN_16, _BIN_32 = Struct(">BH"), Struct(">BI")
_SHORT = 1 << 16

_pack: Callable[[Any], bytes] = msgpack.Packer(use_bin_type=True).pack
_unpack: Callable[[bytes], Any] = msgpack.unpackb


def pack_one(element: bytes) -> bytes:
    length = len(element)
    if length < 256:
        return _HEADERS[length] + element
    if length < _SHORT:
        return _BIN_16.pack(0xC5, length) + element
    return _BIN_32.pack(0xC6, length) + element


def pack_row(elements: Sequence[bytes]) -> bytes:
    """These one behind the other."""
    packed = _pack(elements)
    return packed[1 if len(elements) <= _FIX_MAX else 3 if len(elements) < _SHORT else 5 :]


def unpack_row(row: bytes, count: int) -> list[bytes]:
    """The `count` elements of a row."""
    if count <= _FIX_MAX:
        header = _FIX_ARRAYS[count]
    elif count < _SHORT:
        header = _ARRAY_16.pack(0xDC, count)
    else:
        header = _ARRAY_32.pack(0xDD, count)
    return cast("list[bytes]", _unpack(header + row))


def split_first(row: bytes) -> tuple[bytes, bytes]:
    """The first element of a row that has one, and the rest of the row."""
    kind = row[0]
    if kind == 0xC4:
        start, end = 2, 2 + row[1]
    elif kind == 0xC5:
        start, end = 3, 3 + int.from_bytes(row[1:3], "big")
    else:
        start, end = 5, 5 + int.from_bytes(row[1:5], "big")
    return row[start:end], row[end:]
