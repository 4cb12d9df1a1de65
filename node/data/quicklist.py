"""A list: a packed row while it is short, chunks between two open ends from then on.

What OBJECT ENCODING calls it (listpack or quicklist) has nothing to do with that: it follows Redis
7.2, by `list-max-listpack-size` and by what was done, so it is state, and in snapshots.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any  # What msgpack unpacked.

from .chunk import without
from .chunks import Chunks
from .integers import parse_int
from .packed import pack_one, pack_row, split_first, unpack_row

SHORT_ELEMENTS = 32  # A packed row is longer in neither way;
SHORT_BYTES = 1024
SHORT_AGAIN = 2  # and what is half of that becomes one again.
VALUE_COST = 130  # The object and its row, about.

_UNKNOWN = -1
_NODE_BYTES = (4096, 8192, 16384, 32768, 65536)  # list-max-listpack-size -1 to -5.
_SAFE_BYTES = 8192  # Where it is a number of elements.
_TRACKED_BYTES_MAX = 256 << 10  # Well above any node.
_LISTPACK_BYTES = 7  # Of one without elements.
_INTEGER_DIGITS_MAX = 20
_INTEGERS = (  # Bits of a signed integer that Redis keeps in so many bytes.
    (13, 2),
    (16, 3),
    (24, 4),
    (32, 5),
    (64, 9),
)


class ListValue:
    __slots__ = ("_content", "_count", "_listpack_bytes", "is_quicklist", "size_bytes")

    def __init__(self) -> None:
        self._content: bytes | Chunks = b""
        self._count = 0
        self.is_quicklist = False
        # What Redis would need for all elements in one listpack, as far as it is known.
        self._listpack_bytes = _UNKNOWN
        self.size_bytes = VALUE_COST  # About what it takes.

    def __len__(self) -> int:
        return self._count

    @property
    def content_bytes(self) -> int:
        """At least what its elements take."""
        content = self._content
        return len(content) if isinstance(content, bytes) else content.content_bytes

    def copy(self) -> ListValue:
        twin = copy(self)
        twin.separate()
        return twin

    def take_apart(self) -> Iterator[list[Any]]:
        """What nobody needs any more, to be emptied a piece at a time; it cannot be used again."""
        if isinstance(self._content, Chunks):
            yield from self._content.take_apart()

    def separate(self) -> None:
        """It has the same content as another one: make it one of its own."""
        content = self._content
        if isinstance(content, Chunks):
            self._content = content.copy()

    # --- Reading. Indexes count from 0 and are in the list.

    def at(self, index: int) -> bytes:
        content = self._content
        if isinstance(content, bytes):
            return unpack_row(content, self._count)[index]
        return content.at(index)

    def between(self, start: int, stop: int) -> Iterator[Sequence[bytes]]:
        """The elements from `start` to before `stop`, in pieces."""
        content = self._content
        if isinstance(content, bytes):
            yield unpack_row(content, self._count)[start:stop]
        else:
            yield from content.between(start, stop)

    def find(self, element: bytes, *, is_reversed: bool, looks: int) -> Iterator[int]:
        """Where it is, in order or from the end on, if it is among the first `looks`."""
        content = self._content
        if isinstance(content, bytes):
            row = unpack_row(content, self._count)
            last = self._count - 1
            for place, one in enumerate(row[: -looks - 1 : -1] if is_reversed else row[:looks]):
                if one == element:
                    yield last - place if is_reversed else place
        else:
            yield from content.find(element, is_reversed=is_reversed, looks=looks)

    def __iter__(self) -> Iterator[bytes]:
        for piece in self.between(0, self._count):
            yield from piece

    # --- Writing. `fill` is list-max-listpack-size.

    def push(self, elements: Sequence[bytes], fill: int, *, at_head: bool) -> None:
        """Add them one after the other."""
        if not self.is_quicklist:
            self._note_growth(elements, fill)
        self._count += len(elements)
        content = self._content
        if isinstance(content, bytes):
            if self._count <= SHORT_ELEMENTS:
                if len(elements) == 1:
                    more = pack_one(elements[0])
                else:
                    more = pack_row(elements[::-1] if at_head else elements)
                if len(content) + len(more) <= SHORT_BYTES:
                    self._content = more + content if at_head else content + more
                    self.size_bytes += len(more)
                    return
            content = Chunks(unpack_row(content, self._count - len(elements)))
            self._content = content
        content.push(elements, at_head=at_head)
        self.size_bytes = VALUE_COST + content.size_bytes
        if self._listpack_bytes != _UNKNOWN:
            self._add_listpack_bytes(elements)
            if self.size_bytes > _TRACKED_BYTES_MAX:
                self._listpack_bytes = _UNKNOWN  # Found out again when it matters.

    def pop(self, count: int, fill: int, *, at_head: bool) -> list[bytes]:
        """Remove so many from one end: at least one, no more than there are."""
        content = self._content
        if not isinstance(content, bytes):
            found = content.pop(count, at_head=at_head)
            self._count -= count
            if self._listpack_bytes != _UNKNOWN:
                self._take_listpack_bytes(found)
            self._settle(content)
        elif at_head and count == 1:
            first, self._content = split_first(content)
            found = [first]
            self._count -= 1
            self.size_bytes = VALUE_COST + len(self._content)
        else:
            row = unpack_row(content, self._count)
            found = row[:count] if at_head else row[: -count - 1 : -1]
            self._set_row(row[count:] if at_head else row[:-count])
        if self.is_quicklist:
            self._note_shrinking(fill)
        return found

    def drop(self, count: int, fill: int, *, at_head: bool) -> None:
        """As `pop`, but nobody wants to know what they were, and it may be none."""
        if not count:
            return
        content = self._content
        if isinstance(content, bytes) or self._listpack_bytes != _UNKNOWN:
            self.pop(count, fill, at_head=at_head)
            return
        content.drop(count, at_head=at_head)
        self._count -= count
        self._settle(content)
        self._note_shrinking(fill)

    def set_at(self, index: int, element: bytes, fill: int) -> None:
        self._note_growth((element,), fill)
        content = self._content
        if isinstance(content, bytes):
            row = unpack_row(content, self._count)
            row[index] = element
            self._set_row(row)
        else:
            if self._listpack_bytes != _UNKNOWN:
                self._take_listpack_bytes((content.at(index),))
                self._add_listpack_bytes((element,))
            content.set_at(index, element)
            self._settle(content)
        self._note_shrinking(fill)

    def insert(self, index: int, element: bytes, fill: int) -> None:
        """Put it in front of what is at `index`, which may be the end."""
        if index == self._count:
            self.push((element,), fill, at_head=False)
            return
        self._note_growth((element,), fill)
        content = self._content
        if isinstance(content, bytes):
            row = unpack_row(content, self._count)
            row.insert(index, element)
            self._set_row(row)
        else:
            content.insert(index, element)
            self._count += 1
            self.size_bytes = VALUE_COST + content.size_bytes
            self._add_listpack_bytes((element,))

    def remove(self, element: bytes, count: int, fill: int, *, is_reversed: bool) -> int:
        """Remove up to `count` of that element, from the head or the tail on; how many."""
        content = self._content
        if isinstance(content, bytes):
            row = unpack_row(content, self._count)
            kept = without(row, element, count, is_reversed=is_reversed)
            removed = len(row) - len(kept)
            self._set_row(kept)
        else:
            removed = content.remove(element, count, is_reversed=is_reversed)
            self._count -= removed
            if self._listpack_bytes != _UNKNOWN:
                self._listpack_bytes -= removed * listpack_entry_bytes(element)
            self._settle(content)
        if removed:
            self._note_shrinking(fill)
        return removed

    def _set_row(self, row: list[bytes]) -> None:
        self._count = len(row)
        packed = pack_row(row)
        if len(row) <= SHORT_ELEMENTS and len(packed) <= SHORT_BYTES:
            self._content = packed
            self.size_bytes = VALUE_COST + len(packed)
        else:
            content = self._content = Chunks(row)
            self.size_bytes = VALUE_COST + content.size_bytes

    def _settle(self, content: Chunks) -> None:
        """After a change of chunks: pack what has become short."""
        self.size_bytes = VALUE_COST + content.size_bytes
        if (
            self._count <= SHORT_ELEMENTS // SHORT_AGAIN
            and content.content_bytes <= SHORT_BYTES // SHORT_AGAIN
        ):
            packed = self._content = pack_row(list(self))
            self.size_bytes = VALUE_COST + len(packed)
            self._listpack_bytes = _UNKNOWN

    # --- What Redis would call it.

    def _note_growth(self, more: Sequence[bytes], fill: int) -> None:
        if self.is_quicklist:
            return
        content = self._content
        added = sum(map(len, more))
        count = self._count + len(more)
        if isinstance(content, bytes):
            # An upper bound, which will nearly always do.
            size = len(content) + 2 * self._count + _LISTPACK_BYTES
            if not _is_over(size + added, count, fill):
                return
        self.is_quicklist = _is_over(self._size_in_listpack() + added, count, fill)

    def _note_shrinking(self, fill: int) -> None:
        if not self.is_quicklist:
            return
        if fill >= 0:
            self.is_quicklist = self._count > max(fill, 1) // 2
            return
        size_max = _node_bytes(fill) // 2
        # No element takes less than 0.4 of what it takes here, the integers of 3 digits.
        if 2 * self._count > size_max or 2 * self.content_bytes > 5 * size_max:
            self._listpack_bytes = _UNKNOWN
        else:
            self.is_quicklist = self._size_in_listpack() > size_max

    def _size_in_listpack(self) -> int:
        if isinstance(self._content, bytes):
            return _LISTPACK_BYTES + sum(map(listpack_entry_bytes, self))
        if self._listpack_bytes == _UNKNOWN:
            self._listpack_bytes = _LISTPACK_BYTES + sum(map(listpack_entry_bytes, self))
        return self._listpack_bytes

    def _add_listpack_bytes(self, elements: Sequence[bytes]) -> None:
        if self._listpack_bytes != _UNKNOWN:
            self._listpack_bytes += sum(map(listpack_entry_bytes, elements))

    def _take_listpack_bytes(self, elements: Sequence[bytes]) -> None:
        if self._listpack_bytes != _UNKNOWN:
            self._listpack_bytes -= sum(map(listpack_entry_bytes, elements))

    # --- Snapshots.

    def pack(self) -> Any:
        content = self._content
        is_short = isinstance(content, bytes)
        return self.is_quicklist, self._count if is_short else -1, content if is_short else b""

    @classmethod
    def unpack(cls, packed: Any) -> ListValue:
        value = cls()
        value.is_quicklist, count, row = packed
        if count >= 0:
            value._content, value._count = row, count
            value.size_bytes = VALUE_COST + len(row)
        else:
            value._content = Chunks()
            value.size_bytes = VALUE_COST + value._content.size_bytes
        return value

    def parts(self) -> Iterator[Any]:
        content = self._content
        return iter(()) if isinstance(content, bytes) else content.parts()

    def extend(self, part: Any) -> None:
        content = self._content
        assert isinstance(content, Chunks), "a short list comes in one part"
        self._count += content.extend(part)
        self.size_bytes = VALUE_COST + content.size_bytes


def _node_bytes(fill: int) -> int:
    return _NODE_BYTES[min(-fill, len(_NODE_BYTES)) - 1]


def _is_over(size: int, count: int, fill: int) -> bool:
    """Whether that is more than one node of Redis may hold."""
    if fill < 0:
        return size > _node_bytes(fill)
    return size > _SAFE_BYTES or count > max(fill, 1)


def listpack_entry_bytes(element: bytes) -> int:
    """What Redis needs for it in a listpack: the element, packed, and its length behind it."""
    length = len(element)
    size = _integer_bytes(element) if 0 < length <= _INTEGER_DIGITS_MAX else 0
    if not size:
        size = length + (1 if length < 64 else 2 if length < 4096 else 5)
    if size <= 127:
        return size + 1
    return size + (2 if size < 16383 else 3 if size < 2097151 else 4 if size < 268435455 else 5)


def _integer_bytes(element: bytes) -> int:
    """0 if it is none."""
    if element[0] > 0x39:  # Behind the digits.
        return 0
    number = parse_int(element)
    if number is None:
        return 0
    if 0 <= number < 128:
        return 1
    for bits, size in _INTEGERS:
        if -(1 << bits - 1) <= number < 1 << bits - 1:
            return size
    return 0
