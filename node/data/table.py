"""A hash table of byte strings in chunks: what hashes, sets and sorted sets keep many elements in.

One dict of a million elements stops the loop whenever it grows or is copied (correctness E3). Here
it is many dicts of at most CHUNK_MAX elements, in a directory by the first bits of a stable hash
(extendible hashing, as `buckets.py` keeps keys). A copy shares its chunks; either side copies one
before it writes to it. Order is by directory, then by insertion: the same on every replica, since
snapshots keep both. What is counted follows from the elements alone, for the same reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, Final, Generic, TypeVar  # Any: what msgpack packs.

from mmh3 import hash as hash32

from .buckets import HASH_BITS, HASH_MAX, places_of
from .dict_sizes import GROWTH, dict_size, room_for
from .dict_sizes import bytes_object_size as bytes_object_size
from .table_chunk import MISSING as MISSING
from .table_chunk import Chunk as Chunk
from .table_chunk import Missing, take

CHUNK_MAX: Final = 341  # As many as fit in a dict of 512 places.
FILLED: Final = 256  # Of chunks made all at once: so many elements at most, on the average.
DEEP: Final = 64  # Of a table that is filled all at once: so many, on the average, tell its chunks.
MERGED_MAX: Final = 170  # Two neighbours that hold no more than this together become one.
HALF: Final = 170  # As many as fit in a dict of 256 places.
PART_BYTES: Final = 64 << 10
SPARSE: Final = 16  # The directory grows only while there are this many elements for each place.
NEAR_BITS: Final = 2  # Of another's chunks so many bits deeper, one dict is made to look in.
TRIES_MAX: Final = 64  # To hit an element at random, before they are counted through.

CHUNK_BYTES: Final = 80  # Of a chunk beside its dict,
TABLE_BYTES: Final = 176  # and of a table beside its chunks: itself, its list, its token.

V = TypeVar("V")


def expected_size(count: int) -> int:
    """About what a table of so many elements takes, keys not counted, by their number alone."""
    if count <= CHUNK_MAX:
        return TABLE_BYTES + CHUNK_BYTES + 8 + _DICT_SIZES[count]
    chunks = 1 << ((count - 1) // CHUNK_MAX).bit_length()
    # Chunks are not all as full as their average: near a half, some dicts are of the next size.
    share = (count / chunks - 150) / 40
    size = _FULL if share >= 1 else int(_FULL * share + _HALF * (1 - share))
    return TABLE_BYTES + chunks * (CHUNK_BYTES + 8 + size)


_DICT_SIZES: Final = tuple(map(dict_size, range(CHUNK_MAX + 1)))
_FULL: Final = dict_size(CHUNK_MAX)
_HALF: Final = dict_size(MERGED_MAX)


class Table(Generic[V]):
    """Byte strings, each with a small value; iteration stands no writes meanwhile."""

    __slots__ = (
        "_bits",
        "_bytes",
        "_chunks",
        "_count",
        "_deepest",
        "_fuller",
        "_overfull",
        "_owner",
        "_shift",
    )

    def __init__(self) -> None:
        self._owner = object()
        self._chunks: list[Chunk[V]] = [Chunk(0, self._owner, {})]  # 2**bits places.
        self._bits = 0
        self._shift = HASH_BITS  # Always HASH_BITS - bits.
        self._deepest = 1  # Chunks that share as many bits as the directory has.
        self._overfull = 0  # Chunks beyond CHUNK_MAX: of elements made to collide.
        self._fuller = 0  # Chunks beyond HALF.
        self._count = 0
        self._bytes = TABLE_BYTES + CHUNK_BYTES + dict_size(0)

    @classmethod
    def of(cls, keys: Collection[bytes], value: V) -> Table[V]:
        """A new one of different keys, all with that value: sooner made than by as many `put`."""
        table = cls()
        bits = 0
        while FILLED << bits < len(keys):
            bits += 1
        shift = HASH_BITS - bits
        # Lists first: a dict that is grown all at once takes half of the time.
        lists: list[list[bytes]] = [[] for _ in range(1 << bits)]
        for key, place in zip(keys, places_of(keys), strict=True):
            lists[place >> shift].append(key)
        dicts = [dict.fromkeys(some, value) for some in lists]
        table._set_bits(bits)
        table._chunks = [Chunk(bits, table._owner, values) for values in dicts]
        table._deepest = len(dicts)
        table._count = len(keys)
        # As `bytes_object_size`, without a call for each.
        table._bytes = TABLE_BYTES + sum([len(key) + 48 & -16 for key in keys])
        for values in dicts:
            table._know(values)
        for index, values in enumerate(dicts):
            if len(values) > CHUNK_MAX:
                place = index << shift
                table._split(place, table._chunks[place >> table._shift])
        return table

    @classmethod
    def filled(cls, keys: Sequence[bytes], values: Iterable[V]) -> Table[V]:
        """A new one of keys with these values, the same as by as many `put`. They are different:
        if not, it has fewer than there are keys, and is good for nothing."""
        table = cls()
        places = list(places_of(keys))
        # Its chunks, by the bits of hashes that are enough to tell the deepest of them apart.
        bits = max(len(keys) // DEEP, 1).bit_length()
        shift = HASH_BITS - bits
        counts = [0] * (1 << bits)
        for place, count in Counter([place >> shift for place in places]).items():
            counts[place] = count
        dicts: list[dict[bytes, V]] = []
        chunks: list[tuple[int, dict[bytes, V]]] = []
        for width in _widths(counts):
            chunks.append((bits + 1 - width.bit_length(), {}))
            dicts += [chunks[-1][1]] * width
        for key, place, value in zip(keys, places, values, strict=True):
            dicts[place >> shift][key] = value
        table._take(chunks, sum([len(key) + 48 & -16 for key in keys]))
        return table

    @classmethod
    def union(cls, first: Table[V], second: Table[V]) -> Table[V]:
        """A new one with what is in either of two; keys of both have the value of the second."""
        table = cls()
        chunks: list[tuple[int, dict[bytes, V]]] = []
        keys_bytes = place = 0
        while place <= HASH_MAX:
            bits = min(first._bits_at(place), second._bits_at(place))
            end = place + (1 << (HASH_BITS - bits))
            values = first._between(place, end)
            values.update(second._between(place, end))
            chunks.append((bits, values))
            keys_bytes += sum([len(key) + 48 & -16 for key in values])  # bytes_object_size.
            place = end
        table._take(chunks, keys_bytes)
        return table

    def _take(self, chunks: Sequence[tuple[int, dict[bytes, V]]], keys_bytes: int) -> None:
        """Into an empty one: bits and elements of its chunks, in their order."""
        bits = max([one for one, _ in chunks])
        self._set_bits(bits)
        self._chunks = []
        for own, values in chunks:
            self._chunks += [Chunk(own, self._owner, values)] * (1 << bits - own)
        self._deepest = sum([own == bits for own, _ in chunks])
        self._count = sum([len(values) for _, values in chunks])
        self._bytes = TABLE_BYTES + keys_bytes
        for _, values in chunks:
            self._know(values)
        place = 0
        while place <= HASH_MAX:
            # More bits were not looked at before.
            while len((chunk := self._chunks[place >> self._shift]).values) > CHUNK_MAX:
                if chunk.bits == self._bits and (SPARSE << self._bits) > self._count:
                    break
                self._split(place, chunk)
            place += 1 << (HASH_BITS - chunk.bits)

    def __len__(self) -> int:
        return self._count

    @property
    def size_bytes(self) -> int:
        """Of the table and its keys; what the values take is for the caller to count."""
        return self._bytes + 8 * len(self._chunks)

    # --- One element. Its place is that of `place_of`, without a call.

    def __contains__(self, key: bytes) -> bool:
        return key in self._chunks[hash32(key, 0, False) >> self._shift].values  # noqa: FBT003

    def get(self, key: bytes) -> V | None:
        """The value of `key`, or None."""
        return self._chunks[hash32(key, 0, False) >> self._shift].values.get(key)  # noqa: FBT003

    def put(self, key: bytes, value: V) -> bool:
        """Set the value of `key`; whether it is new."""
        place = hash32(key, 0, False)  # noqa: FBT003
        chunk = self._chunks[place >> self._shift]
        if chunk.owner is not self._owner:
            chunk = self._own(place, chunk)
        chunk.note = None
        values = chunk.values
        before = len(values)
        values[key] = value
        if len(values) == before:
            return False
        self._added(key, place, chunk)
        return True

    def swap(self, key: bytes, value: V) -> V | Missing:
        """Set the value of `key`; the one before, or MISSING."""
        place = hash32(key, 0, False)  # noqa: FBT003
        chunk = self._chunks[place >> self._shift]
        if chunk.owner is not self._owner:
            chunk = self._own(place, chunk)
        chunk.note = None
        values = chunk.values
        before = values.get(key, MISSING)
        values[key] = value
        if before is MISSING:
            self._added(key, place, chunk)
        return before

    def swap_other(self, key: bytes, value: V) -> V | Missing:
        """As `swap`; one that is equal already stays as it is."""
        place = hash32(key, 0, False)  # noqa: FBT003
        chunk = self._chunks[place >> self._shift]
        before = chunk.values.get(key, MISSING)
        if before == value:
            return before
        if chunk.owner is not self._owner:
            chunk = self._own(place, chunk)
        chunk.note = None
        chunk.values[key] = value
        if before is MISSING:
            self._added(key, place, chunk)
        return before

    def pop(self, key: bytes) -> V | Missing:
        """Remove `key`; its value, or MISSING."""
        place = hash32(key, 0, False)  # noqa: FBT003
        chunk = self._chunks[place >> self._shift]
        if chunk.owner is not self._owner:
            if key not in chunk.values:
                return MISSING
            chunk = self._own(place, chunk)
        values = chunk.values
        value = values.pop(key, MISSING)
        if value is MISSING:
            return MISSING
        chunk.note = chunk.keys = None
        left = len(values)
        self._count -= 1
        self._bytes -= len(key) + 48 & -16  # bytes_object_size.
        if left + 1 in GROWTH:
            self._bytes -= GROWTH[left + 1]
            self._shrink(place, chunk)
        return value

    def remove_all(self, keys: Sequence[bytes]) -> None:
        """As `pop` of different keys that are all there: sooner than one by one."""
        for key, place in zip(keys, places_of(keys), strict=True):
            chunk = self._chunks[place >> self._shift]
            if chunk.owner is not self._owner:
                chunk = self._own(place, chunk)
            chunk.note = chunk.keys = None
            values = chunk.values
            del values[key]
            left = len(values)
            if left + 1 in GROWTH:
                self._bytes -= GROWTH[left + 1]
                self._shrink(place, chunk)
        self._count -= len(keys)
        self._bytes -= sum([len(key) + 48 & -16 for key in keys])  # bytes_object_size.

    def _added(self, key: bytes, place: int, chunk: Chunk[V]) -> None:
        count = len(chunk.values)
        if chunk.keys is not None:
            chunk.keys.append(key)
        self._count += 1
        self._bytes += bytes_object_size(len(key))
        if count in GROWTH:
            self._bytes += GROWTH[count]
            self._fuller += count == HALF + 1
        chunk.room -= 1
        if chunk.room < 0:
            # The dict has just grown. If what was removed is to blame, it need not be so large.
            chunk.values = dict(chunk.values)
            chunk.room = room_for(count) - count
        if count > CHUNK_MAX:
            self._overfull += count == CHUNK_MAX + 1
            if chunk.bits < self._bits or (SPARSE << self._bits) <= self._count:
                self._split(place, chunk)

    # --- All elements.

    def dicts(self) -> Iterator[dict[bytes, V]]:
        """The chunks' dicts in order, for reading: for those who want each element fast."""
        for chunk in self.chunks():
            yield chunk.values

    def beside(self, other: Table[V]) -> Iterator[dict[bytes, V] | Table[V]]:
        """For each of `dicts`, what tells fastest which of its keys are in `other`, too."""
        place = 0
        while place <= HASH_MAX:
            bits = self._chunks[place >> self._shift].bits
            end = place + (1 << (HASH_BITS - bits))
            theirs = other._chunks[place >> other._shift]
            if theirs.bits <= bits:
                yield theirs.values
            elif theirs.bits <= bits + NEAR_BITS:
                yield other._between(place, end)
            else:
                yield other
            place = end

    def _bits_at(self, place: int) -> int:
        return self._chunks[place >> self._shift].bits

    def _between(self, place: int, end: int) -> dict[bytes, V]:
        found: dict[bytes, V] = {}
        while place < end:
            chunk = self._chunks[place >> self._shift]
            found.update(chunk.values)
            place += 1 << (HASH_BITS - chunk.bits)
        return found

    def items(self) -> Iterator[tuple[bytes, V]]:
        """All elements, in an order that is the same on every replica."""
        for chunk in self.chunks():
            yield from chunk.values.items()

    def __iter__(self) -> Iterator[bytes]:
        """The keys, in the order of `items`."""
        for chunk in self.chunks():
            yield from chunk.values

    def page(self, cursor: int, count: int) -> tuple[int, list[tuple[bytes, V]]]:
        """The next cursor, 0 at the end, and about `count` elements from `cursor` on, by hash.

        One that is there all the while is met exactly once, whatever comes and goes beside it.
        Elements of one hash come together, so there can be a few more.
        """
        found: list[tuple[bytes, V]] = []
        place = cursor
        while place <= HASH_MAX:
            chunk = self._chunks[place >> self._shift]
            width = 1 << (HASH_BITS - chunk.bits)
            start = place & -width
            room = count - len(found)
            if room <= 0:
                return place, found
            if place == start and len(chunk.values) <= room:
                found.extend(chunk.values.items())
            else:
                last = take(chunk.values, place, room, found)
                if last is not None:
                    return last + 1, found
            place = start + width
        return 0, found

    # --- Some element.

    def random(self, draw: Callable[[], float]) -> tuple[bytes, V]:
        """One of the elements, of which there is at least one, each as likely as any other."""
        index, number = self._at_random(draw)
        chunk = self._chunks[index]
        key = chunk.nth(number)
        return key, chunk.values[key]

    def pop_random(self, draw: Callable[[], float]) -> tuple[bytes, int]:
        """Remove one of the elements as `random` finds it: its key, and how many are left."""
        index, number = self._at_random(draw)
        chunk = self._chunks[index]
        if chunk.owner is not self._owner:
            chunk = self._own(index << self._shift, chunk)
        if chunk.keys is None:
            key = chunk.nth(number)  # Perhaps it makes a list of them.
        if chunk.keys is not None:
            key = chunk.keys.pop(number)
        # As `pop`, of a key whose place is known.
        values = chunk.values
        del values[key]
        chunk.note = None
        self._count = left = self._count - 1
        self._bytes -= len(key) + 48 & -16  # bytes_object_size.
        before = len(values) + 1
        if before in GROWTH:
            self._bytes -= GROWTH[before]
            self._shrink(index << self._shift, chunk)
        return key, left

    def _at_random(self, draw: Callable[[], float]) -> tuple[int, int]:
        """Where one of the elements is: a place of the directory, and one in the chunk there."""
        chunks = self._chunks
        places = len(chunks)
        if places > 1 and not self._overfull:
            # A place of a chunk as if all were as full as any may be: most are more than half as
            # full, so few tries go beside an element. A chunk at several places counts at its
            # first.
            width = CHUNK_MAX if self._fuller else min(HALF, CHUNK_MAX)
            bits, size = self._bits, places * width
            for _ in range(TRIES_MAX):
                at = int(draw() * size)
                index = at // width
                chunk = chunks[index]
                number = at - index * width
                if number < len(chunk.values) and (
                    chunk.bits == bits or not index & (1 << bits - chunk.bits) - 1
                ):
                    return index, number
        number = int(draw() * self._count)
        index = 0
        while number >= len((chunk := chunks[index]).values):
            number -= len(chunk.values)
            index += 1 << (self._bits - chunk.bits)
        return index, number

    def sample(self, count: int, draw: Callable[[], float]) -> list[tuple[bytes, V]]:
        """`count` different elements at random, all of them if there are no more."""
        if count >= self._count:
            return list(self.items())
        if count * 3 < self._count and not self._overfull:
            found: dict[bytes, V] = {}
            while len(found) < count:
                key, value = self.random(draw)
                found[key] = value
            return list(found.items())
        pairs = list(self.items())
        for place in range(count):
            other = place + int(draw() * (len(pairs) - place))
            pairs[place], pairs[other] = pairs[other], pairs[place]
        return pairs[:count]

    # --- Copies and snapshots.

    def copy(self) -> Table[V]:
        """A table of its own with the same elements; costs as much as there are chunks."""
        other: Table[V] = Table.__new__(Table)
        # Both get new tokens: neither may write to what they share.
        self._owner, other._owner = object(), object()
        other._chunks = self._chunks.copy()
        other._bits, other._shift = self._bits, self._shift
        other._deepest, other._overfull = self._deepest, self._overfull
        other._fuller = self._fuller
        other._count, other._bytes = self._count, self._bytes
        return other

    def take_apart(self) -> Iterator[list[Any]]:
        """What nobody needs any more, to be emptied a piece at a time; it cannot be used again."""
        yield self._chunks

    def parts(self) -> Iterator[list[Any]]:
        """For a snapshot: [place, bits, key, value, key, value ...] of a chunk or a piece of it."""
        place = 0
        while place <= HASH_MAX:
            chunk = self._chunks[place >> self._shift]
            for pairs in _pieces(chunk.values):
                yield [place, chunk.bits, *pairs]
            place += 1 << (HASH_BITS - chunk.bits)

    def extend(self, part: list[Any]) -> None:
        """Take one of another table's `parts`, in their order, into one that was empty."""
        place, bits = part[0], part[1]
        while (chunk := self._chunks[place >> self._shift]).bits < bits:
            self._split(place, chunk)  # It is empty still.
        if chunk.owner is not self._owner:
            chunk = self._own(place, chunk)
        chunk.note = chunk.keys = None
        before = len(chunk.values)
        keys = part[2::2]
        chunk.values.update(zip(keys, part[3::2], strict=True))
        count = len(chunk.values)
        chunk.room = room_for(count) - count
        self._count += count - before
        self._bytes += dict_size(count) - dict_size(before)
        self._bytes += sum([bytes_object_size(len(key)) for key in keys])
        self._overfull += (count > CHUNK_MAX) - (before > CHUNK_MAX)
        self._fuller += (count > HALF) - (before > HALF)

    # --- Chunks.

    def chunks(self) -> Iterator[Chunk[V]]:
        """All of them in order; they belong to the table."""
        place = 0
        while place <= HASH_MAX:
            chunk = self._chunks[place >> self._shift]
            yield chunk
            place += 1 << (HASH_BITS - chunk.bits)

    def _own(self, place: int, chunk: Chunk[V]) -> Chunk[V]:
        """A chunk that may be written to, in place of one that is shared."""
        own = Chunk(chunk.bits, self._owner, chunk.values.copy())
        own.room = chunk.room
        self._put_chunk(place, own)
        return own

    def _put_chunk(self, place: int, chunk: Chunk[V]) -> None:
        """At all places of the directory that are the chunk's, `place` among them."""
        width = 1 << (self._bits - chunk.bits)
        start = (place >> self._shift) & -width
        self._chunks[start : start + width] = [chunk] * width

    def _split(self, place: int, chunk: Chunk[V]) -> None:
        """Two chunks for one that holds `place`; its elements keep their order."""
        if chunk.bits == self._bits:
            self._chunks = [one for one in self._chunks for _ in (0, 1)]
            self._set_bits(self._bits + 1)
            self._deepest = 0
        bit = 1 << (HASH_BITS - 1 - chunk.bits)
        halves: tuple[dict[bytes, V], dict[bytes, V]] = ({}, {})
        for at, (key, one) in zip(places_of(chunk.values), chunk.values.items(), strict=True):
            halves[at & bit != 0][key] = one
        self._forget(chunk.values)
        for values, side in zip(halves, (place & ~bit, place | bit), strict=True):
            self._put_chunk(side, Chunk(chunk.bits + 1, self._owner, values))
            self._know(values)
        self._deepest += 2 * (chunk.bits + 1 == self._bits)

    def _shrink(self, place: int, chunk: Chunk[V]) -> None:
        """So many were removed that the rest has room in a smaller dict, or beside a neighbour."""
        self._overfull -= len(chunk.values) == CHUNK_MAX
        self._fuller -= len(chunk.values) == HALF
        alone = chunk
        while chunk.bits:
            bit = 1 << (HASH_BITS - chunk.bits)
            other = self._chunks[(place ^ bit) >> self._shift]
            if other.bits != chunk.bits or len(chunk.values) + len(other.values) > MERGED_MAX:
                break
            low, high = (other, chunk) if place & bit else (chunk, other)
            self._forget(low.values)
            self._forget(high.values)
            self._deepest -= 2 * (chunk.bits == self._bits)
            chunk = Chunk(chunk.bits - 1, self._owner, {**low.values, **high.values})
            self._know(chunk.values)
            self._put_chunk(place, chunk)
            self._shorten()
        if chunk is alone:
            chunk.values = dict(chunk.values)
            chunk.room = room_for(len(chunk.values)) - len(chunk.values)

    def _shorten(self) -> None:
        """Take bits off the directory that no chunk needs any more."""
        while not self._deepest:
            self._chunks = self._chunks[::2]
            self._set_bits(self._bits - 1)
            self._deepest = sum([chunk.bits == self._bits for chunk in self._chunks])

    def _set_bits(self, bits: int) -> None:
        self._bits = bits
        self._shift = HASH_BITS - bits

    def _know(self, values: dict[bytes, V]) -> None:
        """Count a chunk that holds them."""
        self._bytes += CHUNK_BYTES + dict_size(len(values))
        self._overfull += len(values) > CHUNK_MAX
        self._fuller += len(values) > HALF

    def _forget(self, values: dict[bytes, V]) -> None:
        self._bytes -= CHUNK_BYTES + dict_size(len(values))
        self._overfull -= len(values) > CHUNK_MAX
        self._fuller -= len(values) > HALF


def _widths(counts: list[int]) -> Iterator[int]:
    """How many places of a directory each chunk has, when so many elements lie at each: a half of
    the directory is one chunk, or cut in halves, and so on."""
    sums = [counts]  # Of pairs of places, of pairs of those, up to all.
    while len(sums[-1]) > 1:
        below = sums[-1]
        sums.append([below[place] + below[place + 1] for place in range(0, len(below), 2)])
    place = 0
    while place < len(counts):
        # The largest piece that begins here and is not too full.
        level = (place & -place).bit_length() - 1 if place else len(sums) - 1
        while level and sums[level][place >> level] > CHUNK_MAX:
            level -= 1
        yield 1 << level
        place += 1 << level


def _pieces(values: dict[bytes, V]) -> Iterator[list[Any]]:
    """Keys and values in turn, all at once or in pieces of about PART_BYTES."""
    piece: list[Any] = []
    if _weight(values) <= PART_BYTES and len(values) <= 2 * CHUNK_MAX:
        for pair in values.items():
            piece += pair
        yield piece
        return
    size = 0
    for key, value in values.items():
        piece += (key, value)
        size += len(key) + _length(value)
        if size >= PART_BYTES or len(piece) >= 2 * CHUNK_MAX:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece


def _weight(values: dict[bytes, V]) -> int:
    return sum(map(len, values)) + sum(map(_length, values.values()))


def _length(value: object) -> int:
    return len(value) if type(value) is bytes else 8
