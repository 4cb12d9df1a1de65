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
from .packed import find_in_row, pack_one, pack_row, split_first, unpack_row

SHORT_ELEMENTS = 32  # A packed row is longer in neither way;
SHORT_BYTES = 1024
SHORT_AGAIN = 2  # and what is half of that becomes one again.
OBJECT_COST = 64  # Beside its row or its chunks.

# list-max-listpack-size -1 to -5. A short row is never more than one node of any of these.
_NODE_BYTES = (4096, 8192, 16384, 32768, 65536)
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
    __slots__ = ("_content", "_count", "is_quicklist")

    def __init__(self) -> None:
        self._content: bytes | Chunks = b""
        self._count = 0
        self.is_quicklist = False

    def __len__(self) -> int:
        return self._count

    def size_bytes(self) -> int:
        """About what it takes."""
        content = self._content
        if isinstance(content, bytes):
            # As `bytes_object_size`, without the call: this is asked twice for every change.
            return OBJECT_COST + (len(content) + 48 & -16)
        return OBJECT_COST + content.size_bytes

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

    def __contains__(self, element: bytes) -> bool:
        content = self._content
        if isinstance(content, bytes):
            return find_in_row(content, element, self._count) >= 0
        return any(True for _ in content.find(element, is_reversed=False, looks=self._count))

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
        content = self._content
        count = self._count + len(elements)
        if isinstance(content, bytes):
            if count <= SHORT_ELEMENTS:
                if len(elements) == 1:
                    more = pack_one(elements[0])
                else:
                    more = pack_row(elements[::-1] if at_head else elements)
                if len(content) + len(more) <= SHORT_BYTES:
                    if fill >= 0:
                        self._note_growth(elements, fill)
                    self._content = more + content if at_head else content + more
                    self._count = count
                    return
            self._note_growth(elements, fill)
            content = Chunks(unpack_row(content, self._count))
            self._content = content
        elif not self.is_quicklist:
            self._note_growth(elements, fill)
        self._count = count
        content.push(elements, at_head=at_head)
        if content.listpack_bytes is not None:
            content.listpack_bytes += sum(map(listpack_entry_bytes, elements))
            if content.size_bytes > _TRACKED_BYTES_MAX:
                content.listpack_bytes = None  # Found out again when it matters.

    def pop(self, count: int, fill: int, *, at_head: bool) -> list[bytes]:
        """Remove so many from one end: at least one, no more than there are."""
        content = self._content
        if not isinstance(content, bytes):
            found = content.pop(count, at_head=at_head)
            self._count -= count
            _take_listpack_bytes(content, found)
            self._settle(content)
        elif at_head and count == 1:
            first, self._content = split_first(content)
            found = [first]
            self._count -= 1
        else:
            row = unpack_row(content, self._count)
            self._count -= count
            if at_head:
                found = row[:count]
                self._content = pack_row(row[count:])
            else:
                found = row[: -count - 1 : -1]
                gone = len(pack_one(found[0])) if count == 1 else len(pack_row(found))
                self._content = content[: len(content) - gone]
        if self.is_quicklist:
            self._note_shrinking(fill)
        return found

    def drop(self, count: int, fill: int, *, at_head: bool) -> None:
        """As `pop`, but nobody wants to know what they were, and it may be none."""
        if not count:
            return
        content = self._content
        if isinstance(content, bytes) or content.listpack_bytes is not None:
            self.pop(count, fill, at_head=at_head)
            return
        content.drop(count, at_head=at_head)
        self._count -= count
        self._settle(content)
        self._note_shrinking(fill)

    def set_at(self, index: int, element: bytes, fill: int) -> None:
        content = self._content
        if isinstance(content, bytes):
            row = unpack_row(content, self._count)
            row[index] = element
            self._set_row(row, element, fill)
        else:
            self._note_growth((element,), fill)
            if content.listpack_bytes is not None:
                _take_listpack_bytes(content, (content.at(index),))
                content.listpack_bytes += listpack_entry_bytes(element)
            content.set_at(index, element)
            self._settle(content)
        if self.is_quicklist:
            self._note_shrinking(fill)

    def insert(self, index: int, element: bytes, fill: int) -> None:
        """Put it in front of what is at `index`, which may be the end."""
        if index == self._count:
            self.push((element,), fill, at_head=False)
            return
        content = self._content
        if isinstance(content, bytes):
            row = unpack_row(content, self._count)
            row.insert(index, element)
            self._set_row(row, element, fill)
        else:
            self._note_growth((element,), fill)
            content.insert(index, element)
            self._count += 1
            if content.listpack_bytes is not None:
                content.listpack_bytes += listpack_entry_bytes(element)

    def insert_beside(self, pivot: bytes, element: bytes, fill: int, *, is_behind: bool) -> None:
        """Put it in front of the first `pivot`, which is there, or behind it."""
        content = self._content
        if not isinstance(content, bytes):
            index = next(content.find(pivot, is_reversed=False, looks=self._count))
            self.insert(index + is_behind, element, fill)
            return
        at = find_in_row(content, pivot, self._count)
        if is_behind:
            at += len(pack_one(pivot))
        more = pack_one(element)
        if self._count < SHORT_ELEMENTS and len(content) + len(more) <= SHORT_BYTES:
            if fill >= 0:
                self._note_growth((element,), fill)
            self._content = b"".join((content[:at], more, content[at:]))
            self._count += 1
        else:
            row = unpack_row(content, self._count)
            row.insert(row.index(pivot) + is_behind, element)
            self._set_row(row, element, fill)

    def _set_row(self, row: list[bytes], element: bytes, fill: int) -> None:
        """Hold these: what it was, with another element."""
        packed = pack_row(row)
        is_short = len(row) <= SHORT_ELEMENTS and len(packed) <= SHORT_BYTES
        if fill >= 0 or not is_short:
            self._note_growth((element,), fill)
        self._count = len(row)
        self._content = packed if is_short else Chunks(row)

    def remove(self, element: bytes, count: int, fill: int, *, is_reversed: bool) -> int:
        """Remove up to `count` of that element, from the head or the tail on; how many."""
        content = self._content
        if isinstance(content, bytes):
            removed = self._remove_in_row(content, element, count, is_reversed=is_reversed)
        else:
            removed = content.remove(element, count, is_reversed=is_reversed)
            if content.listpack_bytes is not None:
                content.listpack_bytes -= removed * listpack_entry_bytes(element)
        self._count -= removed
        if removed:
            if not isinstance(content, bytes):
                self._settle(content)
            if self.is_quicklist:
                self._note_shrinking(fill)
        return removed

    def _remove_in_row(
        self, content: bytes, element: bytes, count: int, *, is_reversed: bool
    ) -> int:
        if count == 1 and not is_reversed:
            at = find_in_row(content, element, self._count)
            if at < 0:
                return 0
            self._content = content[:at] + content[at + len(pack_one(element)) :]
            return 1
        row = without(unpack_row(content, self._count), element, count, is_reversed=is_reversed)
        self._content = pack_row(row)
        return self._count - len(row)

    def _settle(self, content: Chunks) -> None:
        """After a change of chunks: pack what has become short."""
        if (
            self._count <= SHORT_ELEMENTS // SHORT_AGAIN
            and content.content_bytes <= SHORT_BYTES // SHORT_AGAIN
        ):
            self._content = pack_row(list(self))

    # --- What Redis would call it.

    def _note_growth(self, more: Sequence[bytes], fill: int) -> None:
        """Before they come to a list that is no quicklist yet, or is."""
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
            if isinstance(self._content, Chunks):
                self._content.listpack_bytes = None
        else:
            self.is_quicklist = self._size_in_listpack() > size_max

    def _size_in_listpack(self) -> int:
        content = self._content
        if isinstance(content, bytes):
            return _LISTPACK_BYTES + sum(map(listpack_entry_bytes, self))
        if content.listpack_bytes is None:
            content.listpack_bytes = _LISTPACK_BYTES + sum(map(listpack_entry_bytes, self))
        return content.listpack_bytes

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
        else:
            value._content = Chunks()
        return value

    def parts(self) -> Iterator[Any]:
        content = self._content
        return iter(()) if isinstance(content, bytes) else content.parts()

    def extend(self, part: Any) -> None:
        content = self._content
        assert isinstance(content, Chunks), "a short list comes in one part"
        self._count += content.extend(part)


def _take_listpack_bytes(content: Chunks, elements: Sequence[bytes]) -> None:
    if content.listpack_bytes is not None:
        content.listpack_bytes -= sum(map(listpack_entry_bytes, elements))


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
