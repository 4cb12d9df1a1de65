"""What was removed and is large, to be freed a piece at a time: to free a million elements takes as
long as a hundred thousand commands (correctness E3).

What a running snapshot may still have to write is kept until it has ended.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final  # Any: values of every type.

from .buckets import Bucket, Directory
from .values import size_of

if TYPE_CHECKING:
    from .buckets import Slots

FREED_AT_ONCE_BYTES: Final = 256 << 10
_SAME_MAX: Final = 1024  # Places of one bucket that are passed over with it.


class Trash:
    """Lists that are emptied; it is true while there are any."""

    __slots__ = ("_kept", "_lists", "is_kept")

    def __init__(self) -> None:
        self._lists: list[list[Any]] = []
        self._kept: list[list[Any]] = []
        self.is_kept = False  # A snapshot is running.

    def __len__(self) -> int:
        return len(self._lists)

    def add(self, value: Any) -> None:
        """A value, no string, that no key holds any more."""
        if value.size_bytes() > FREED_AT_ONCE_BYTES:
            self._removed().extend(value.take_apart())

    def add_database(self, slots: Slots) -> None:
        """All keys of a database that was emptied."""
        self._removed().append(slots)

    def _removed(self) -> list[list[Any]]:
        return self._kept if self.is_kept else self._lists

    def release(self) -> None:
        """The snapshot has ended."""
        self.is_kept = False
        self._lists += self._kept
        self._kept = []

    def take_over(self, other: Trash, databases: Iterable[Slots]) -> None:
        """The trash of a keyspace that is gone, and what was in it."""
        self._lists += other._lists
        if not other.is_kept:  # Otherwise the running snapshot walks it.
            self._lists += databases

    def free_some(self, pieces: int) -> None:
        """Free some of it. A piece has at most some thousand elements."""
        lists = self._lists
        while lists and pieces > 0:
            last = lists[-1]
            if not last:
                lists.pop()
                continue
            piece = last.pop()
            _drop_same(last, piece)
            self._take_apart(piece)
            pieces -= 1

    def _take_apart(self, piece: Any) -> None:
        """Of a database that was emptied, a slot may hold as much as all others together."""
        if type(piece) is Directory:
            self._lists.append(piece.buckets)
        elif type(piece) is Bucket:
            values, piece.values = piece.values, {}  # It is named by all slots that share it.
            for value in values.values():
                if type(value) is not bytes and size_of(value) > FREED_AT_ONCE_BYTES:
                    self._lists += value.take_apart()


def _drop_same(places: list[Any], piece: Any) -> None:
    """Of few keys, many slots share one bucket."""
    for _ in range(_SAME_MAX):
        if not places or places[-1] is not piece:
            return
        places.pop()
