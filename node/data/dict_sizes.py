"""What byte strings take, and CPython's dicts of so many of them."""

from __future__ import annotations

from typing import Final


def bytes_object_size(length: int) -> int:
    """What a byte string of that length takes, as memory is given out."""
    return length + 48 & -16  # 33 beside its content, in steps of 16.


def room_for(count: int) -> int:
    """How many elements fit in the dict that Python makes for `count`."""
    places = 8
    while places * 2 // 3 < count:
        places *= 2
    return places * 2 // 3


def dict_size(count: int) -> int:
    """What CPython's dict of `count` byte strings takes, its elements not counted."""
    if count == 0:
        return 64
    room = room_for(count)
    places = 1 << (room * 3 // 2).bit_length()
    index_bytes = 1 if places <= 128 else 2 if places <= 1 << 16 else 4
    return 96 + places * index_bytes + room * 24


_ROOMS: Final = tuple((1 << bits) * 2 // 3 for bits in range(3, 32))
# A dict that comes to so many elements grows by so much.
GROWTH: Final = {
    count + 1: dict_size(count + 1) - dict_size(count) for count in (0, *_ROOMS)
}  # fmt: skip
