"""A stream: entries by id in packed chunks, and its consumer groups.

An id is one number here, the milliseconds above the sequence: (ms << 64) | sequence. A chunk holds
what a node of Redis's holds, entry by entry, since XTRIM with `~` removes whole nodes: so it counts
the bytes that its entries would take in a listpack, and the entries that were deleted from it. A
chunk is never changed while a copy shares it (`Owner`). Only the last one grows. Read
`consumer_group.py` for what groups know, `stream_parts.py` for how a snapshot takes it all.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from struct import Struct
from typing import Any, NamedTuple  # Any: what msgpack unpacks.

import msgpack

from .consumer_group import UNKNOWN, Group
from .id_map import Owner

ID_MAX = (1 << 128) - 1
PART_MAX = (1 << 64) - 1  # Of the milliseconds, and of the sequence.

# However large `stream-node-max-entries` and `-bytes` are: one chunk is read or written as a whole.
CHUNK_ENTRIES_MAX = 1000
CHUNK_BYTES_MAX = 64 << 10

STREAM_BYTES = 330  # An empty one.
CHUNK_BYTES = 340  # One without its entries; two numbers for its ids included.
FIELD_BYTES = 48  # The name of a field beside its bytes.

_LISTPACK_BYTES = 7  # Of an empty one.
_NUMBER_BEGINS = frozenset(bytes((byte,)) for byte in b"-0123456789")
_SMALL_MAX = 127  # A number that takes two bytes.
_TEXT_MAX = 4096  # A text from so many bytes on has a longer header.
_NUMBER_LAST = ord("9")  # None begins with a higher byte.

_ARRAY_16 = Struct(">BH")  # How msgpack begins an array.

_unpack: Any = msgpack.unpackb
_pack_entry = msgpack.Packer(use_bin_type=True).pack


def id_of(ms: int, sequence: int) -> int:
    return ms << 64 | sequence


def id_text(id_: int) -> bytes:
    """As replies have it."""
    return b"%d-%d" % (id_ >> 64, id_ & PART_MAX)


class Some(NamedTuple):
    """Several entries of one chunk."""

    ms: int
    rows: Sequence[Any]  # (ms since that, sequence, ...)
    flats: list[list[bytes]]  # Fields and values of each.

    def ids(self) -> list[int]:
        ms = self.ms
        return [(ms + row[0]) << 64 | row[1] for row in self.rows]

    def texts(self) -> list[bytes]:
        """The ids as replies have them."""
        ms = self.ms
        return [b"%d-%d" % (ms + row[0], row[1]) for row in self.rows]

    def first(self, count: int) -> Some:
        return Some(self.ms, self.rows[:count], self.flats[:count])


class Chunk:
    """Entries behind one another. `first` and `last` have been in it, but may be deleted."""

    __slots__ = ("count", "data", "deleted", "field", "fields", "first", "first_ms",
                 "first_sequence", "last", "listpack_bytes", "owner")  # fmt: skip

    def __init__(self, owner: Owner, first: int, fields: tuple[bytes, ...]) -> None:
        self.owner = owner
        self.first = first
        self.first_ms, self.first_sequence = first >> 64, first & PART_MAX
        self.last = first
        self.count = 0
        self.deleted = 0
        self.fields = fields  # Of its first entry; others that have the same do not repeat them.
        self.field = fields[0] if len(fields) == 1 else None  # Where there is only one.
        # What they would take in Redis, but for the counts of entries, which change.
        number_bytes = 2 if len(fields) <= _SMALL_MAX else _int_bytes(len(fields))
        self.listpack_bytes = _LISTPACK_BYTES + 2 + number_bytes + _texts_bytes(fields)
        # Per entry, one behind the other: (ms since `first`, sequence, *values), or a tuple of
        # fields and values in place of the values.
        self.data: bytes | bytearray = bytearray()

    def copy(self, owner: Owner) -> Chunk:
        copy = Chunk.__new__(Chunk)
        copy.owner = owner
        copy.first, copy.last, copy.fields = self.first, self.last, self.fields
        copy.first_ms, copy.first_sequence = self.first_ms, self.first_sequence
        copy.field = self.field
        copy.count, copy.deleted = self.count, self.deleted
        copy.listpack_bytes, copy.data = self.listpack_bytes, self.data
        if isinstance(self.data, bytearray):
            copy.data = self.data.copy()
        return copy

    def is_full(self, more_bytes: int, bytes_max: int, entries_max: int) -> bool:
        """Whether Redis would put an entry with texts of `more_bytes` into a new node."""
        entries = self.count + self.deleted
        if entries >= CHUNK_ENTRIES_MAX or 0 < entries_max <= entries:
            return True
        size = self.listpack_bytes + more_bytes
        if entries <= 127:
            size += 4
        else:
            size += _int_bytes(self.count) + _int_bytes(self.deleted)
        return size >= CHUNK_BYTES_MAX or 0 < bytes_max <= size

    def append(self, id_: int, pairs: Sequence[bytes]) -> int:
        """Add an entry of fields and values, one after the other; the bytes it takes."""
        ms, sequence = (id_ >> 64) - self.first_ms, id_ & PART_MAX
        more = sequence - self.first_sequence
        # Flags, both parts of the id, and at its end the number of items of the entry.
        size = 4 if 0 <= ms <= _SMALL_MAX else 2 + _int_bytes(ms)
        size += 2 if 0 <= more <= _SMALL_MAX else _int_bytes(more)
        fields = self.fields
        if len(pairs) == 2 and len(fields) == 1 and pairs[0] == fields[0]:
            value = pairs[1]
            packed = _pack_entry((ms, sequence, value))
            length = len(value)
            if 0 < length < 64 and value[0] > _NUMBER_LAST:
                size += length + 4  # As below, at once for what most are.
            else:
                size += 2 + _text_bytes(value)
        elif tuple(pairs[::2]) == fields:
            values = pairs[1::2]
            packed = _pack_entry((ms, sequence, *values))
            size += _texts_bytes(values) + (2 if len(values) < 125 else _int_bytes(len(values) + 3))
        else:
            packed = _pack_entry((ms, sequence, tuple(pairs)))
            size += _int_bytes(len(pairs) // 2) + _texts_bytes(pairs) + _int_bytes(len(pairs) + 4)
        if isinstance(self.data, bytearray):
            self.data += packed
        else:
            self.data = bytearray(self.data + packed)
        self.last = id_
        self.count += 1
        self.listpack_bytes += size
        return len(packed)

    def entries(
        self, start: int = 0, end: int = ID_MAX, *, is_reverse: bool = False
    ) -> Iterator[tuple[int, list[bytes]]]:
        """Ids from `start` to `end` with their fields and values."""
        ms = self.first >> 64
        fields = self.fields
        packed: Iterable[Any] = _unpacked(self.data)
        for entry in reversed(list(packed)) if is_reverse else packed:
            id_ = (ms + entry[0]) << 64 | entry[1]
            if not start <= id_ <= end:
                if (id_ < start) if is_reverse else (id_ > end):
                    return
                continue
            third = entry[2]
            if type(third) is bytes:
                flat = [third] * (2 * len(fields))
                flat[::2] = fields
                flat[1::2] = entry[2:]
                yield id_, flat
            else:
                yield id_, list(third)

    def some(self, start: int, end: int) -> Some:
        """As `entries`, all at once: for who wants most of them."""
        ms = self.first >> 64
        rows: Sequence[Any] = _unpack(_ARRAY_16.pack(0xDC, self.count) + self.data, use_list=False)
        if start > self.first or end < self.last:
            low = bisect_left(rows, ((start >> 64) - ms, start & PART_MAX))
            rows = rows[low : bisect_left(rows, ((end >> 64) - ms, (end & PART_MAX) + 1))]
        fields = self.fields
        are_same = all(type(row[2]) is bytes for row in rows)
        if are_same and len(fields) == 1:
            field = fields[0]
            flats = [[field, row[2]] for row in rows]
        elif are_same:
            flats = [list(chain.from_iterable(zip(fields, row[2:], strict=True))) for row in rows]
        else:
            flats = [flat for _, flat in self.entries(start, end)]
        return Some(ms, rows, flats)

    def find(self, id_: int) -> tuple[int, int] | None:
        """Where the entry of that id begins and ends in `data`."""
        if self.count == 1 and not self.deleted:
            return (0, len(self.data)) if id_ == self.first else None
        if not self.first <= id_ <= self.last:
            return None
        start = 0
        for one, end in self.ids():
            if one >= id_:
                return (start, end) if one == id_ else None
            start = end
        return None

    def remove(self, start: int, end: int, count: int) -> None:
        """Take out so many entries, which lie from `start` to before `end` in `data`."""
        if isinstance(self.data, bytearray):
            del self.data[start:end]
        else:
            self.data = self.data[:start] + self.data[end:]
        self.count -= count
        self.deleted += count

    def ids(self) -> Iterator[tuple[int, int]]:
        """Ids with the places where their entries end in `data`."""
        ms = self.first >> 64
        unpacker = _unpacked(self.data)
        for entry in unpacker:
            yield (ms + entry[0]) << 64 | entry[1], unpacker.tell()

    def last_id(self) -> int:
        """Of the entries that are there, of which there is at least one."""
        rows = _unpack(_ARRAY_16.pack(0xDC, self.count) + self.data, use_list=False)
        return ((self.first >> 64) + int(rows[-1][0])) << 64 | int(rows[-1][1])


def _unpacked(data: bytes | bytearray) -> msgpack.Unpacker:
    unpacker = msgpack.Unpacker(use_list=False, max_buffer_size=0)
    unpacker.feed(data)
    return unpacker


def _first_of(chunk: Chunk) -> int:
    return chunk.first


def _names_bytes(fields: tuple[bytes, ...]) -> int:
    return FIELD_BYTES * len(fields) + sum(map(len, fields))


class Stream:
    """May be empty, and stays then: only DEL and expiry remove it."""

    __slots__ = (
        "added",
        "chunks",
        "first_id",
        "groups",
        "last_id",
        "length",
        "max_deleted_id",
        "owner",
        "top_id",
    )

    def __init__(self) -> None:
        self.owner = Owner()
        self.chunks: list[Chunk] = []
        self.groups: dict[bytes, Group] = {}
        self.length = 0
        self.first_id = 0  # Of the entries that are there; 0 if there are none.
        self.top_id = 0
        self.last_id = 0  # Given out last, or set by XSETID.
        self.max_deleted_id = 0
        self.added = 0  # Entries, ever.

    def size_bytes(self) -> int:
        return STREAM_BYTES + self.owner.bytes

    def copy(self) -> Stream:
        """The same with chunks and groups shared, until one side changes them."""
        copy = Stream()
        # What was this one's alone is now nobody's.
        self.owner, copy.owner = Owner(self.owner.bytes), Owner(self.owner.bytes)
        copy.chunks, copy.groups = self.chunks.copy(), self.groups.copy()
        copy.length, copy.added = self.length, self.added
        copy.first_id, copy.top_id, copy.last_id = self.first_id, self.top_id, self.last_id
        copy.max_deleted_id = self.max_deleted_id
        return copy

    def take_apart(self) -> Iterator[list[Any]]:
        """What nobody needs any more, to be emptied a piece at a time; it cannot be used again."""
        yield self.chunks
        for group in self.groups.values():
            if group.owner is self.owner:
                yield from group.pending.take_apart()

    # --- Reading.

    def entries(
        self, start: int = 0, end: int = ID_MAX, *, is_reverse: bool = False
    ) -> Iterator[tuple[int, list[bytes]]]:
        """Ids from `start` to `end`, both included, with fields and values in one list. Nothing may
        be changed meanwhile."""
        if start > end or not self.length:
            return
        low = self._number_of(start)
        high = self._number_of(end)
        numbers = range(high, low - 1, -1) if is_reverse else range(low, high + 1)
        for number in numbers:
            yield from self.chunks[number].entries(start, end, is_reverse=is_reverse)

    def many(self, start: int = 0, end: int = ID_MAX) -> Iterator[Some]:
        """As `entries`, chunk by chunk."""
        if start > end or not self.length:
            return
        for number in range(self._number_of(start), self._number_of(end) + 1):
            if self.chunks[number].count:
                yield self.chunks[number].some(start, end)

    def find_entries(self, ids: Iterable[int]) -> Iterator[tuple[int, list[bytes] | None]]:
        """Each id with its fields and values, None if it is not there. Ids that rise cost one look
        at each of their chunks. Nothing may be changed meanwhile."""
        current = -1
        by_id: dict[int, list[bytes]] = {}
        for id_ in ids:
            number = self._number_of(id_)
            if number != current and self.chunks:
                current = number
                by_id = dict(self.chunks[number].entries())
            yield id_, by_id.get(id_)

    def _number_of(self, id_: int) -> int:
        """The chunk that `id_` is in, or would be in."""
        if len(self.chunks) < 2:
            return 0
        return max(bisect_right(self.chunks, id_, key=_first_of) - 1, 0)

    # --- Writing.

    def append(
        self,
        id_: int,
        pairs: Sequence[bytes],
        bytes_max: int,
        entries_max: int,
        size: int | None = None,
    ) -> None:
        """Add an entry above all others. The bounds are of nodes, as `stream-node-max-...` say;
        `size` is how many bytes fields and values have, for who knows it."""
        chunks, owner = self.chunks, self.owner
        if size is None:
            size = sum(map(len, pairs))
        if not chunks:
            chunk = self._add_chunk(id_, pairs)
        else:
            chunk = chunks[-1]
            if chunk.is_full(size, bytes_max, entries_max):
                chunk = self._add_chunk(id_, pairs)
            elif chunk.owner is not owner:
                chunk = self._own(len(chunks) - 1)
        owner.bytes += chunk.append(id_, pairs)
        self.length += 1
        self.added += 1
        self.last_id = self.top_id = id_
        if self.length == 1:
            self.first_id = id_

    def append_one(
        self,
        id_: int,
        parts: tuple[int, int],
        field: bytes,
        value: bytes,
        bytes_max: int,
        entries_max: int,
    ) -> None:
        """As `append`, of one field and its value; with the two parts of the id."""
        chunks, owner = self.chunks, self.owner
        length = len(value)
        # What most are, told without a call: a text that is no number, behind others of that field,
        # in a chunk that is far from full.
        is_plain = 0 < length < _TEXT_MAX and value[0] > _NUMBER_LAST
        if is_plain and not chunks:
            chunk = self._add_chunk(id_, (field, value))
        elif (
            not is_plain
            or not chunks
            or (chunk := chunks[-1]).owner is not owner
            or chunk.field != field
            or type(chunk.data) is not bytearray
            or chunk.count + chunk.deleted >= entries_max
            or chunk.listpack_bytes + len(field) + length + 4 >= bytes_max
            or entries_max > _SMALL_MAX
            or bytes_max > CHUNK_BYTES_MAX
        ):
            self.append(id_, (field, value), bytes_max, entries_max, len(field) + length)
            return
        ms, sequence = parts
        ms -= chunk.first_ms
        more = sequence - chunk.first_sequence
        size = length + 10 if 0 <= ms <= _SMALL_MAX else length + 8 + _int_bytes(ms)
        if not 0 <= more <= _SMALL_MAX:
            size += _int_bytes(more) - 2
        if length >= 64:  # As `_text_bytes`.
            size += 1 if length <= 125 else 2
        packed = _pack_entry((ms, sequence, value))
        chunk.data += packed
        chunk.last = id_
        chunk.count += 1
        chunk.listpack_bytes += size
        owner.bytes += len(packed)
        self.length += 1
        self.added += 1
        self.last_id = self.top_id = id_
        if self.length == 1:
            self.first_id = id_

    def _add_chunk(self, id_: int, pairs: Sequence[bytes]) -> Chunk:
        chunks, fields = self.chunks, tuple(pairs[::2])
        last = chunks[-1] if chunks else None
        if last is not None and last.owner is self.owner:
            last.data = bytes(last.data)  # It keeps no room to grow any more.
        size = CHUNK_BYTES  # As `count_chunks` counts it.
        if last is not None and last.fields == fields:
            fields = last.fields  # One tuple for both.
        else:
            size += _names_bytes(fields)
        self.owner.bytes += size
        chunk = Chunk(self.owner, id_, fields)
        chunks.append(chunk)
        return chunk

    def delete(self, id_: int) -> bool:
        """Whether the entry was there."""
        if not self.first_id <= id_ <= self.top_id or not self.length:
            return False
        number = self._number_of(id_)
        found = self.chunks[number].find(id_)
        if found is None:
            return False
        if self.chunks[number].count == 1:
            self._drop_chunks(number, number + 1)
        else:
            self._cut(number, *found, 1)
        self.length -= 1
        self.max_deleted_id = max(self.max_deleted_id, id_)
        if id_ == self.first_id or not self.length:
            self._find_first()
        if id_ == self.top_id:
            self._find_last()
        return True

    def trim_to_length(self, length: int, *, is_exact: bool, limit: int) -> int:
        """Remove the oldest entries until `length` are left; how many. If not `is_exact`, whole
        chunks alone, and about `limit` entries at most, unless it is 0."""
        before = self.length
        gone = 0
        while gone < len(self.chunks) and self.length > length:
            count = self.chunks[gone].count
            if limit and before - self.length + count > limit:
                break
            if self.length - count < length:
                if is_exact:
                    self._trim_chunk(gone, self.length - length)
                break
            self.length -= count
            gone += 1
        return self._finish_trim(gone, before)

    def trim_below(self, id_: int, *, is_exact: bool, limit: int) -> int:
        """As `trim_to_length`: remove the entries below `id_`."""
        before = self.length
        gone = 0
        while gone < len(self.chunks):
            chunk = self.chunks[gone]
            if limit and before - self.length + chunk.count > limit:
                break
            if chunk.last >= id_:
                if is_exact:
                    self._trim_chunk(gone, sum([one < id_ for one, _ in chunk.ids()]))
                break
            self.length -= chunk.count
            gone += 1
        return self._finish_trim(gone, before)

    def _trim_chunk(self, number: int, count: int) -> None:
        """Remove the first `count` entries of a chunk, which stays even if that is all of them."""
        if count:
            _, end = next(islice(self.chunks[number].ids(), count - 1, None))
            self._cut(number, 0, end, count)
            self.length -= count

    def _finish_trim(self, gone: int, before: int) -> int:
        """`gone` chunks at the front are counted out already."""
        if gone:
            self._drop_chunks(0, gone)
        if self.length != before:
            self._find_first()
        return before - self.length

    def _own(self, number: int) -> Chunk:
        """A chunk to be changed: a copy if it is shared."""
        chunk = self.chunks[number]
        if chunk.owner is not self.owner:
            chunk = self.chunks[number] = chunk.copy(self.owner)
        return chunk

    def _cut(self, number: int, start: int, end: int, count: int) -> None:
        """Remove `count` entries between two places of a chunk's data."""
        self._own(number).remove(start, end, count)
        self.owner.bytes -= end - start

    def _drop_chunks(self, start: int, end: int) -> None:
        if start < end:
            self.count_chunks(start, end, -1)
            del self.chunks[start:end]

    def count_chunks(self, start: int, end: int, sign: int) -> None:
        """Count chunks that have come or are going to go. Fields that are the same as those of the
        chunk before cost nothing: there is one object."""
        size = 0
        for number in range(start, end):
            size += CHUNK_BYTES + len(self.chunks[number].data)
            size += self._fields_bytes(number - 1, number)
        if end < len(self.chunks):
            size += self._fields_bytes(end - 1, end) - self._fields_bytes(start - 1, end)
        self.owner.bytes += sign * size

    def _fields_bytes(self, before: int, number: int) -> int:
        fields = self.chunks[number].fields
        if before >= 0 and self.chunks[before].fields == fields:
            return 0
        return _names_bytes(fields)

    def _find_first(self) -> None:
        """Set the id of the first entry, after some were removed; of the last, if none is left."""
        if self.length:
            first = next(one for one in self.chunks if one.count)
            self.first_id, _ = next(first.ids())
        else:
            self.first_id = self.top_id = 0

    def _find_last(self) -> None:
        """Set the id of the last entry, after it was removed; 0 if none is left."""
        self.top_id = 0
        if self.length:
            self.top_id = next(one for one in reversed(self.chunks) if one.count).last_id()

    # --- Groups.

    def groups_in_order(self) -> Iterator[Group]:
        """The groups by name."""
        for name in sorted(self.groups):
            yield self.groups[name]

    def change_group(self, name: bytes) -> Group:
        """A group that exists, to be changed."""
        group = self.groups[name]
        if group.owner is not self.owner:
            group = self.groups[name] = group.copy(self.owner)
        return group

    def add_group(self, name: bytes, last_id: int, entries_read: int) -> Group:
        group = self.groups[name] = Group(self.owner, name, last_id, entries_read)
        self.owner.bytes += group.size_bytes
        return group

    def remove_group(self, name: bytes) -> None:
        self.owner.bytes -= self.groups.pop(name).size_bytes

    # --- How far groups have read, by the numbers alone (Redis's rules).

    def read_until(self, id_: int) -> int:
        """How many of all entries ever were added up to `id_`; UNKNOWN if that cannot be told."""
        if not self.added:
            return 0
        if id_ == self.last_id or (not self.length and id_ < self.last_id):
            return self.added
        if id_ > self.last_id or (self.max_deleted_id and self.max_deleted_id >= self.first_id):
            return UNKNOWN
        if id_ < self.first_id:
            return self.added - self.length
        return self.added - self.length + 1 if id_ == self.first_id else UNKNOWN

    def has_gap_from(self, id_: int) -> bool:
        """Whether an entry from `id_` on may have been deleted."""
        if not self.length or not self.max_deleted_id or self.first_id > self.max_deleted_id:
            return False
        return id_ <= self.max_deleted_id

    def lag(self, group: Group) -> int | None:
        """How many entries the group has before it; None if that cannot be told."""
        if not self.added:
            return 0
        read = group.entries_read
        if read == UNKNOWN or self.has_gap_from(group.last_id):
            read = self.read_until(group.last_id)
        return None if read == UNKNOWN else self.added - read


# --- What texts and numbers take in a listpack: their encoding, and its length for the way back.


def _int_bytes(number: int) -> int:
    if 0 <= number <= 127:
        return 2
    if 0 <= number <= 4095:
        return 3
    number = (number + (1 << 63) & PART_MAX) - (1 << 63)  # As 64 bits with a sign.
    if -4096 <= number <= 4095:
        return 3
    for bits, size in ((16, 4), (24, 5), (32, 6)):
        if -(1 << bits - 1) <= number < 1 << bits - 1:
            return size
    return 10


def _texts_bytes(texts: Sequence[bytes]) -> int:
    size = 0
    for text in texts:
        length = len(text)
        if length < 64 and text[:1] not in _NUMBER_BEGINS:
            size += length + 2  # What most are.
        else:
            size += _text_bytes(text)
    return size


def _text_bytes(text: bytes) -> int:
    length = len(text)
    if 0 < length <= 20 and text[:1] in _NUMBER_BEGINS:
        number = _int_of(text)
        if number is not None:
            return _int_bytes(number)
    if length < 64:
        return length + 2
    if length < 4096:
        length += 2
    else:
        length += 5
    return length + _backlen_bytes(length)


def _backlen_bytes(length: int) -> int:
    if length <= 127:
        return 1
    if length < 16383:
        return 2
    if length < 2097151:
        return 3
    return 4 if length < 268435455 else 5


def _int_of(text: bytes) -> int | None:
    """The number that a listpack keeps in place of a text, if it does."""
    try:
        number = int(text)
    except ValueError:
        return None
    return number if b"%d" % number == text and -(1 << 63) <= number < 1 << 63 else None
