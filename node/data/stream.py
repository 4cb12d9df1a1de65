"""A stream: entries by id in packed chunks, and its consumer groups.

An id is one number here, the milliseconds above the sequence: (ms << 64) | sequence. A chunk holds
what a node of Redis's holds, entry by entry, since XTRIM with `~` removes whole nodes: so it counts
the bytes that its entries would take in a listpack, and the entries that were deleted from it. A
chunk is never changed while a copy shares it (`Owner`). Only the last one grows. Read
`consumer_group.py` for what groups know, `stream_parts.py` for how a snapshot takes it all.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Any  # What msgpack unpacks.

import msgpack

from .consumer_group import UNKNOWN, Group
from .id_map import Owner

ID_MAX = (1 << 128) - 1
PART_MAX = (1 << 64) - 1  # Of the milliseconds, and of the sequence.

# However large `stream-node-max-entries` and `-bytes` are: one chunk is read or written as a whole.
CHUNK_ENTRIES_MAX = 1000
CHUNK_BYTES_MAX = 64 << 10

STREAM_BYTES = 276  # An empty one.
CHUNK_BYTES = 255  # One without its entries; two numbers for its ids included.
FIELD_BYTES = 48  # The name of a field beside its bytes.

_LISTPACK_BYTES = 7  # Of an empty one.

_pack_entry = msgpack.Packer(use_bin_type=True).pack


def id_of(ms: int, sequence: int) -> int:
    return ms << 64 | sequence


def id_text(id_: int) -> bytes:
    """As replies have it."""
    return b"%d-%d" % (id_ >> 64, id_ & PART_MAX)


class Chunk:
    """Entries behind one another. `first` and `last` have been in it, but may be deleted."""

    __slots__ = ("count", "data", "deleted", "fields", "first", "last", "listpack_bytes", "owner")

    def __init__(self, owner: Owner, first: int, fields: tuple[bytes, ...]) -> None:
        self.owner = owner
        self.first = first
        self.last = first
        self.count = 0
        self.deleted = 0
        self.fields = fields  # Of its first entry; others that have the same do not repeat them.
        # What they would take in Redis, but for the counts of entries, which change.
        self.listpack_bytes = _LISTPACK_BYTES + _int_bytes(len(fields)) + _int_bytes(0)
        self.listpack_bytes += sum(map(_text_bytes, fields))
        # Per entry, one behind the other: (ms since `first`, sequence, *values), or a tuple of
        # fields and values in place of the values.
        self.data: bytes | bytearray = bytearray()

    def copy(self, owner: Owner) -> Chunk:
        copy = Chunk.__new__(Chunk)
        copy.owner = owner
        copy.first, copy.last, copy.fields = self.first, self.last, self.fields
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
        size = self.listpack_bytes + _int_bytes(self.count) + _int_bytes(self.deleted) + more_bytes
        return size >= CHUNK_BYTES_MAX or 0 < bytes_max <= size

    def append(self, id_: int, pairs: Sequence[bytes]) -> int:
        """Add an entry of fields and values, one after the other; the bytes it takes."""
        ms, sequence = (id_ >> 64) - (self.first >> 64), id_ & PART_MAX
        values = pairs[1::2]
        is_same = tuple(pairs[::2]) == self.fields
        packed = _pack_entry((ms, sequence, *values) if is_same else (ms, sequence, tuple(pairs)))
        if not isinstance(self.data, bytearray):
            self.data = bytearray(self.data)
        self.data += packed
        self.last = id_
        self.count += 1
        # Flags, both parts of the id, and at its end the number of items of the entry.
        size = 2 + _int_bytes(ms) + _int_bytes(sequence - (self.first & PART_MAX))
        if is_same:
            size += sum(map(_text_bytes, values)) + _int_bytes(len(values) + 3)
        else:
            size += _int_bytes(len(values)) + sum(map(_text_bytes, pairs))
            size += _int_bytes(len(pairs) + 4)
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

    def ids(self) -> Iterator[tuple[int, int]]:
        """Ids with the places where their entries end in `data`."""
        ms = self.first >> 64
        unpacker = _unpacked(self.data)
        for entry in unpacker:
            yield (ms + entry[0]) << 64 | entry[1], unpacker.tell()


def _unpacked(data: bytes | bytearray) -> msgpack.Unpacker:
    unpacker = msgpack.Unpacker(use_list=False, max_buffer_size=0)
    unpacker.feed(data)
    return unpacker


def _first_of(chunk: Chunk) -> int:
    return chunk.first


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

    @property
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
        return max(bisect_right(self.chunks, id_, key=_first_of) - 1, 0)

    # --- Writing.

    def append(self, id_: int, pairs: Sequence[bytes], bytes_max: int, entries_max: int) -> None:
        """Add an entry above all others. The bounds are of nodes, as `stream-node-max-...` say."""
        chunk = self._chunk_for(id_, pairs, bytes_max, entries_max)
        self.owner.bytes += chunk.append(id_, pairs)
        self.length += 1
        self.added += 1
        self.last_id = self.top_id = id_
        if self.length == 1:
            self.first_id = id_

    def _chunk_for(
        self, id_: int, pairs: Sequence[bytes], bytes_max: int, entries_max: int
    ) -> Chunk:
        chunks = self.chunks
        if chunks:
            if not chunks[-1].is_full(sum(map(len, pairs)), bytes_max, entries_max):
                return self._own(len(chunks) - 1)
            if chunks[-1].owner is self.owner:
                chunks[-1].data = bytes(chunks[-1].data)  # It keeps no room to grow any more.
        fields = tuple(pairs[::2])
        if chunks and chunks[-1].fields == fields:
            fields = chunks[-1].fields  # One tuple for both.
        chunk = Chunk(self.owner, id_, fields)
        chunks.append(chunk)
        self.count_chunks(len(chunks) - 1, len(chunks), 1)
        return chunk

    def delete(self, id_: int) -> bool:
        """Whether the entry was there."""
        if not self.chunks:
            return False
        number = self._number_of(id_)
        start = 0
        for one, end in self.chunks[number].ids():
            if one == id_:
                break
            start = end
        else:
            return False
        if self.chunks[number].count == 1:
            self._drop_chunks(number, number + 1)
        else:
            self._cut(number, start, end, 1)
        self.length -= 1
        self.max_deleted_id = max(self.max_deleted_id, id_)
        if id_ in (self.first_id, self.top_id):
            self._find_ends()
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
        ends = [end for _, end in self.chunks[number].ids()]
        if count:
            self._cut(number, 0, ends[count - 1], count)
            self.length -= count

    def _finish_trim(self, gone: int, before: int) -> int:
        """`gone` chunks at the front are counted out already."""
        self._drop_chunks(0, gone)
        if self.length != before:
            self._find_ends()
        return before - self.length

    def _own(self, number: int) -> Chunk:
        """A chunk to be changed: a copy if it is shared."""
        chunk = self.chunks[number]
        if chunk.owner is not self.owner:
            chunk = self.chunks[number] = chunk.copy(self.owner)
        return chunk

    def _cut(self, number: int, start: int, end: int, count: int) -> None:
        """Remove `count` entries between two places of a chunk's data."""
        chunk = self._own(number)
        data = chunk.data
        chunk.data = bytes(data[:start]) + bytes(data[end:])
        chunk.count -= count
        chunk.deleted += count
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
        return sum([FIELD_BYTES + len(field) for field in fields])

    def _find_ends(self) -> None:
        """Set the ids of the first and the last entry, after some were removed."""
        self.first_id = self.top_id = 0
        if not self.length:
            return
        first = next(one for one in self.chunks if one.count)
        last = next(one for one in reversed(self.chunks) if one.count)
        self.first_id = next(first.ids())[0]
        for id_, _ in last.ids():
            self.top_id = id_

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
    number = (number + (1 << 63) & PART_MAX) - (1 << 63)  # As 64 bits with a sign.
    if -4096 <= number <= 4095:
        return 3
    for bits, size in ((16, 4), (24, 5), (32, 6)):
        if -(1 << bits - 1) <= number < 1 << bits - 1:
            return size
    return 10


def _text_bytes(text: bytes) -> int:
    length = len(text)
    if 0 < length <= 20 and (text[0] == 45 or 48 <= text[0] <= 57):  # A minus or a digit.
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
