"""A chunk of a table (`table.py`): a dict, and what else there is to know of it."""

from __future__ import annotations

from enum import Enum
from itertools import islice
from typing import Final, Generic, TypeVar

from mmh3 import hash as hash32

from .buckets import HASH_MAX
from .dict_sizes import room_for

NEAR: Final = 32  # From either end of a dict so many elements are gone through to one of them.

V = TypeVar("V")


class Missing(Enum):
    """The type of MISSING: an element that is not there, where None may be one that is."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING


class Chunk(Generic[V]):
    """The elements whose hash begins with certain bits."""

    __slots__ = ("bits", "keys", "note", "owner", "room", "values")

    def __init__(self, bits: int, owner: object, values: dict[bytes, V]) -> None:
        self.bits = bits  # How many bits of the hash all its elements share.
        self.owner = owner  # The token of the one table that may write to it.
        self.values = values
        # How many more can be added before the dict grows, those removed since still in the way.
        self.room = room_for(len(values)) - len(values)
        # For who keeps the table, about the values; None when they have changed since.
        self.note: int | None = None
        # Those of `values`, in the same order; None until somebody asks for one by its number, and
        # again when one was removed. A twelfth of what the elements take, and not counted: it is
        # there on one replica and not on another.
        self.keys: list[bytes] | None = None

    def nth(self, number: int) -> bytes:
        """The key at that place of `values`."""
        keys = self.keys
        if keys is None:
            values = self.values
            # Each that is gone through is a look at another place in memory, and a list of them is
            # as dear as to go through all. It is for those who come behind.
            if number < NEAR:
                return next(islice(values, number, None))
            behind = len(values) - 1 - number
            if behind < NEAR:
                return next(islice(reversed(values), behind, None))
            keys = self.keys = list(values)
        return keys[number]


def take(values: dict[bytes, V], place: int, room: int, found: list[tuple[bytes, V]]) -> int | None:
    """Move up to `room` elements from `place` on to `found`; the last hash taken if others are left
    behind it."""
    places = [hash32(key, 0, False) for key in values]  # noqa: FBT003 - as `place_of`.
    ordered = sorted([one for one in places if one >= place])
    last = ordered[room - 1] if room < len(ordered) else HASH_MAX
    taken = [
        (at, pair) for at, pair in zip(places, values.items(), strict=True) if place <= at <= last
    ]
    taken.sort(key=_place_in)
    found.extend([pair for _, pair in taken])
    return last if len(taken) < len(ordered) else None


def _place_in(taken: tuple[int, tuple[bytes, V]]) -> int:
    return taken[0]
