"""A map from stream ids to rows, in the order of the ids: what is pending in a consumer group.

A group may have a million pending entries, so it is made of blocks of at most BLOCK_MAX ids: any
access costs O(log n), and a copy shares the blocks until one side writes to them. A row is kept by
columns: two numbers of an entry take 16 bytes in an array, and 64 and more as objects. Which blocks
there are depends on history and is no part of the state.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import compress
from typing import Any, TypeAlias  # Any: a column has values of its own type.

BLOCK_MAX = 512
MERGE_BELOW = BLOCK_MAX // 8  # A block this small joins a neighbour, if both make half a block.

Column: TypeAlias = "list[Any] | array[int]"
Columns: TypeAlias = tuple[Column, ...]


class Owner:
    """Whose chunks and blocks may be changed in place. One per value; both sides of a copy get a
    new one. It counts the bytes of all that belongs to the value."""

    __slots__ = ("bytes",)

    def __init__(self, bytes_: int = 0) -> None:
        self.bytes = bytes_


class _Block:
    __slots__ = ("columns", "ids", "owner")

    def __init__(self, owner: Owner, ids: list[int], columns: Columns) -> None:
        self.owner = owner
        self.ids = ids
        self.columns = columns


def _first_of(block: _Block) -> int:
    return block.ids[0]


def _compressed(column: Column, mask: list[bool]) -> Column:
    if isinstance(column, array):
        return array(column.typecode, compress(column, mask))
    return list(compress(column, mask))


class IdMap:
    """`columns` makes the empty columns of a block; rows have as many values."""

    __slots__ = ("_blocks", "_columns", "_length", "_owner")

    def __init__(self, owner: Owner, columns: Callable[[], Columns] = tuple) -> None:
        self._owner = owner
        self._columns = columns
        self._blocks: list[_Block] = []
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def copy(self, owner: Owner) -> IdMap:
        """The same for another owner; blocks are shared, so this map must not be changed again
        under the owner it has."""
        copy = IdMap(owner, self._columns)
        copy._blocks = self._blocks.copy()
        copy._length = self._length
        return copy

    def take_apart(self) -> Iterator[list[Any]]:
        """What nobody needs any more, to be emptied a piece at a time; it cannot be used again."""
        yield self._blocks

    # --- Reading.

    def _find(self, id_: int) -> tuple[int, int]:
        """The number of the block that `id_` is in or would be in, and the place in it."""
        number = max(bisect_right(self._blocks, id_, key=_first_of) - 1, 0)
        return number, bisect_left(self._blocks[number].ids, id_)

    def get(self, id_: int) -> tuple[Any, ...] | None:
        """The row of an id, or None."""
        blocks = self._blocks
        if not blocks or id_ > blocks[-1].ids[-1]:
            return None
        number, place = self._find(id_)
        block = blocks[number]
        if place == len(block.ids) or block.ids[place] != id_:
            return None
        return tuple([column[place] for column in block.columns])

    def rows(self, ids: Iterable[int]) -> Iterator[tuple[Any, ...]]:
        """The rows of ids that are here and rise. Nothing may be changed meanwhile."""
        block = _Block(self._owner, [], ())
        for id_ in ids:
            if not block.ids or id_ > block.ids[-1]:
                block = self._blocks[self._find(id_)[0]]
                place = 0
            place = bisect_left(block.ids, id_, place)
            yield tuple([column[place] for column in block.columns])

    def __contains__(self, id_: int) -> bool:
        return self.get(id_) is not None

    def first(self) -> int:
        """The lowest id; there must be one."""
        return self._blocks[0].ids[0]

    def last(self) -> int:
        return self._blocks[-1].ids[-1]

    def walk(self, start: int = 0) -> Iterator[tuple[Any, ...]]:
        """The rows from `start` on, each behind its id. Nothing may be changed meanwhile."""
        if self._length == 0:
            return
        number, place = self._find(start)
        for block in self._blocks[number:]:
            columns = [column[place:] for column in block.columns] if place else block.columns
            yield from zip(block.ids[place:] if place else block.ids, *columns, strict=True)
            place = 0

    # --- Writing.

    def put(self, id_: int, *row: Any) -> bool:
        """Set the row of an id; whether the id is new."""
        blocks = self._blocks
        if not blocks or id_ > blocks[-1].ids[-1]:
            # Ids mostly come in order: they fill one block behind the other.
            if not blocks or len(blocks[-1].ids) >= BLOCK_MAX:
                blocks.append(_Block(self._owner, [], self._columns()))
            block = self._own(len(blocks) - 1)
            block.ids.append(id_)
            for column, value in zip(block.columns, row, strict=True):
                column.append(value)
            self._length += 1
            return True
        number, place = self._find(id_)
        block = self._own(number)
        if place < len(block.ids) and block.ids[place] == id_:
            for column, value in zip(block.columns, row, strict=True):
                column[place] = value
            return False
        block.ids.insert(place, id_)
        for column, value in zip(block.columns, row, strict=True):
            column.insert(place, value)
        self._length += 1
        if len(block.ids) > BLOCK_MAX:
            self._split(number)
        return True

    def append_all(self, ids: list[int], *row: Any) -> None:
        """Put many ids, in order and above all others, each with the same row."""
        blocks = self._blocks
        place = 0
        while place < len(ids):
            if not blocks or len(blocks[-1].ids) >= BLOCK_MAX:
                blocks.append(_Block(self._owner, [], self._columns()))
            block = self._own(len(blocks) - 1)
            some = ids[place : place + BLOCK_MAX - len(block.ids)]
            block.ids += some
            for column, value in zip(block.columns, row, strict=True):
                column.extend([value] * len(some))
            place += len(some)
        self._length += len(ids)

    def remove(self, id_: int) -> bool:
        """Whether it was there."""
        if self._length == 0:
            return False
        number, place = self._find(id_)
        ids = self._blocks[number].ids
        if place == len(ids) or ids[place] != id_:
            return False
        block = self._own(number)
        del block.ids[place]
        for column in block.columns:
            del column[place]
        self._length -= 1
        if not block.ids:
            del self._blocks[number]
        elif len(block.ids) < MERGE_BELOW:
            self._merge(number)
        return True

    def remove_rows(self, value: object) -> None:
        """Remove all rows that begin with `value`, in one walk over the map."""
        kept: list[_Block] = []
        for number, block in enumerate(self._blocks):
            mask = [one != value for one in block.columns[0]]
            count = sum(mask)
            if count < len(mask):
                self._length -= len(mask) - count
                if count == 0:
                    continue
                block = self._own(number)
                block.ids = list(compress(block.ids, mask))
                block.columns = tuple([_compressed(one, mask) for one in block.columns])
            kept.append(block)
        self._blocks = kept

    def _own(self, number: int) -> _Block:
        """The block, to be changed: a copy if it is shared."""
        block = self._blocks[number]
        if block.owner is not self._owner:
            columns = tuple([column[:] for column in block.columns])
            block = self._blocks[number] = _Block(self._owner, block.ids.copy(), columns)
        return block

    def _split(self, number: int) -> None:
        block = self._blocks[number]
        half = len(block.ids) // 2
        columns = tuple([column[half:] for column in block.columns])
        self._blocks.insert(number + 1, _Block(self._owner, block.ids[half:], columns))
        del block.ids[half:]
        for column in block.columns:
            del column[half:]

    def _merge(self, number: int) -> None:
        """Put a small block and a neighbour together, if there is one with room."""
        for low in (number - 1, number):
            if low < 0 or low + 1 >= len(self._blocks):
                continue
            first, second = self._blocks[low], self._blocks[low + 1]
            if len(first.ids) + len(second.ids) > BLOCK_MAX // 2:
                continue
            first = self._own(low)
            first.ids += second.ids
            for column, more in zip(first.columns, second.columns, strict=True):
                column += more  # type: ignore[operator]  # Both are of the same kind.
            del self._blocks[low + 1]
            return
