"""Byte strings in a row, packed into one: how collections keep elements they are not asked for.

Each is a header of msgpack and its bytes, so that the C code of msgpack takes many apart at once;
without the header of an array in front, so that two rows are joined by writing one behind the
other. How many there are is for the owner to know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any, Final  # Any: msgpack has no types.

import msgpack

_FIX_MAX = 15  # Elements of an array whose header is one byte.
HEADERS: Final = [b"\xc4" + bytes([length]) for length in range(256)]
_FIX_ARRAYS: Final = [bytes([0x90 | count]) for count in range(_FIX_MAX + 1)]
_ARRAY_16, _ARRAY_32 = Struct(">BH"), Struct(">BI")
_BIN_16, _BIN_32 = Struct(">BH"), Struct(">BI")
_ARRAY_16_MAX = 1 << 16

_pack: Callable[[Any], bytes] = msgpack.Packer(use_bin_type=True).pack
_unpack: Callable[[bytes], list[bytes]] = msgpack.unpackb  # Of a row.


def pack_one(element: bytes) -> bytes:
    length = len(element)
    if length < 256:
        return HEADERS[length] + element
    if length < _ARRAY_16_MAX:
        return _BIN_16.pack(0xC5, length) + element
    return _BIN_32.pack(0xC6, length) + element


def pack_row(elements: Sequence[bytes]) -> bytes:
    """These one behind the other."""
    packed = _pack(elements)
    return packed[1 if len(elements) <= _FIX_MAX else 3 if len(elements) < _ARRAY_16_MAX else 5 :]


def array_header(count: int) -> bytes:
    """What makes an array of msgpack of a row of so many."""
    if count <= _FIX_MAX:
        return _FIX_ARRAYS[count]
    return _ARRAY_16.pack(0xDC, count) if count < _ARRAY_16_MAX else _ARRAY_32.pack(0xDD, count)


def unpack_row(row: bytes, count: int) -> list[bytes]:
    """The `count` elements of a row."""
    header = _FIX_ARRAYS[count] if count <= _FIX_MAX else array_header(count)
    return _unpack(header + row)


def unpack_array(packed: bytes) -> list[bytes]:
    """The elements of a row with its header in front."""
    return _unpack(packed)


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


def find_in_row(row: bytes, element: bytes, count: int) -> int:
    """Where the first of the elements begins that is this one; -1 if none is."""
    at = row.find(pack_one(element))
    if at <= 0 or (row.count(HEADER) == count and LONGER not in row):
        return at  # At the beginning, or where no byte of an element is like a header's.
    elements = unpack_row(row, count)
    return len(pack_row(elements[: elements.index(element)])) if element in elements else -1


# --- Rows of short elements: none longer than SHORT_MAX, so that a header is HEADER and a length,
# and no length is taken for a header.

SHORT_MAX: Final = 127
HEADER: Final = 0xC4
LONGER: Final = 0xC5  # What a header begins with of an element that takes two bytes for its length.
NOWHERE: Final = (-1, -1)


def find_short(packed: bytes, element: bytes, start: int, end: int, count: int) -> tuple[int, int]:
    """Which of the `count` elements it is that lie from `start` to before `end`, and where that
    begins."""
    length = len(element)
    if length > SHORT_MAX:
        return NOWHERE
    at = packed.find(HEADERS[length] + element, start, end)
    if at <= start:
        return (0, at) if at == start else NOWHERE
    if packed.count(HEADER, start, end) == count:  # No element has such a byte.
        return packed.count(HEADER, start, at), at
    # What was found may be a piece of another element.
    elements = unpack_row(packed[start:end], count)
    if element not in elements:
        return NOWHERE
    place = elements.index(element)
    return place, skip_short(packed, start, place)


def skip_short(packed: bytes, at: int, count: int) -> int:
    """Where the element begins that is `count` behind the one that begins at `at`."""
    for _ in range(count):
        at += 2 + packed[at + 1]
    return at
