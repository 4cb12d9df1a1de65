"""Sorted sets: members with scores, by score and then by the bytes of the member.

Up to SMALL_MAX elements are one packed byte string, which costs hardly more than its content.
Beyond that there are two structures over the same member objects: a table from member to score
(`table.py`), and the order with its ranks (`sorted_order.py`). A snapshot keeps the elements in
their order, so that loading needs no sorting. Sizes follow from the elements alone: how chunks were
filled differs between replicas.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any, Final  # Any: what msgpack packs.

import msgpack

from .buckets import place_of
from .sorted_order import CHUNK_MAX, Order, place_in
from .table import MISSING, Table, bytes_object_size, expected_size

if TYPE_CHECKING:
    from ...cluster.settings import Settings

SMALL_MAX: Final = 32  # Elements,
SMALL_BYTES_MAX: Final = 64  # and bytes of the longest member, of what is kept packed.
PART_ELEMENTS: Final = CHUNK_MAX
PART_BYTES: Final = 64 << 10

_FEW: Final = 0xA0  # Below it, the first byte of a packed list tells its length.
_OBJECT_BYTES: Final = 56 + 33  # Of a small one: itself, and a byte string without its content.
_LARGE_BYTES: Final = 1400  # Of a large one beside what depends on its elements,
_ELEMENT_BYTES: Final = 24 + 8 + 8 + 3  # and of an element: number, places in the order, room left.
_EMPTY: Final = b"\x90"  # What msgpack makes of an empty list.

_CACHED: Final = 64  # Small sets that are kept opened: mostly the last few.

_pack: Any = msgpack.Packer(use_bin_type=True).pack
_unpack: Any = msgpack.unpackb

Pairs = list[tuple[bytes, float]]


@lru_cache(_CACHED)
def _opened(packed: bytes) -> tuple[tuple[bytes, ...], tuple[float, ...]]:
    """Members in their order, and their scores, of a small set."""
    flat: tuple[Any, ...] = _unpack(packed, use_list=False)
    count = len(flat) // 2
    return flat[:count], flat[count:]


class SortedSet:
    """`is_listpack` tells what Redis would call its encoding, by its past and the settings then."""

    __slots__ = ("_bytes", "_order", "_packed", "_scores", "is_listpack")

    def __init__(self) -> None:
        self.is_listpack = True
        # While small: members in their order, then their scores. None once it is large.
        self._packed: bytes | None = _EMPTY
        self._scores: Table[float] | None = None
        self._order: Order | None = None
        self._bytes = 0  # Of a large one's members, as objects.

    def __len__(self) -> int:
        if self._scores is not None:
            return len(self._scores)
        assert self._packed is not None
        return _count_of(self._packed)

    # --- Reading.

    def score(self, member: bytes) -> float | None:
        """The score of `member`, or None."""
        if self._scores is not None:
            return self._scores.get(member)
        members, scores = _opened(self._packed)
        return scores[members.index(member)] if member in members else None

    def rank(self, member: bytes) -> int | None:
        """How many elements are before `member`, or None."""
        if self._order is None:
            members, _ = _opened(self._packed)
            return members.index(member) if member in members else None
        score = self.score(member)
        return None if score is None else self._order.rank_of(score, member)

    def rank_of(self, score: float, member: bytes = b"") -> int:
        """How many elements are before (score, member), which need not be there itself."""
        if self._order is not None:
            return self._order.rank_of(score, member)
        members, scores = _opened(self._packed)
        return place_in(scores, members, score, member)

    def lex_rank_of(self, member: bytes) -> int:
        """As `rank_of`, where all scores are the same; else it means little, as in Redis."""
        return self.rank_of(self.slice(0, 1)[0][1], member)

    def pieces(self, start: int, stop: int) -> Iterator[Pairs]:
        """The elements with ranks from `start` to before `stop`, some at a time."""
        if self._order is None:
            yield self._small_slice(start, stop)
        else:
            for scores, members in self._order.pieces(start, min(stop, len(self))):
                yield list(zip(members, scores, strict=True))

    def slice(self, start: int, stop: int) -> Pairs:
        """The elements with ranks from `start` (not negative) to before `stop`."""
        if self._order is None:
            return self._small_slice(start, stop)
        return [pair for piece in self.pieces(start, stop) for pair in piece]

    def _small_slice(self, start: int, stop: int) -> Pairs:
        members, scores = _opened(self._packed)
        return list(zip(members[start:stop], scores[start:stop], strict=True))

    def members(self, start: int, stop: int) -> list[bytes]:
        """Those of `slice` without their scores."""
        if self._order is None:
            return list(_opened(self._packed)[0][start:stop])
        found: list[bytes] = []
        for _, members in self._order.pieces(start, min(stop, len(self))):
            found += members
        return found

    def items(self) -> Iterator[tuple[bytes, float]]:
        """All elements in their order; it stands no writes meanwhile."""
        return chain.from_iterable(self.pieces(0, len(self)))

    def page(self, cursor: int, count: int) -> tuple[int, Pairs]:
        """The next cursor, 0 at the end, and about `count` elements from `cursor` on, by hash; a
        small one comes at once. It depends on nothing but the elements."""
        table = self._scores
        if table is None:
            return 0, self.slice(0, len(self))
        after, found = table.page(cursor, count)
        if after and found:
            ordered = sorted([(place_of(pair[0]), pair) for pair in found])
            after = ordered[-1][0] + 1
            if not table.page(after, 1)[1]:
                after = 0
            return after, [pair for _, pair in ordered]
        found.sort(key=lambda pair: (place_of(pair[0]), pair[0]))
        return after, found

    # --- Writing.

    def put(self, member: bytes, score: float, settings: Settings) -> float | None:
        """Set the score of a member; what it was, None of a new one. The same one stays as it is,
        sign of zero included."""
        if self._packed is not None:
            return self._put_small(self._packed, member, score, settings)
        assert self._scores is not None
        assert self._order is not None
        before = self._scores.get(member)
        if before == score:
            return before
        if self.is_listpack:
            if before is None:
                self._name(member, settings)
            score = self._kept(score)
        self._scores.put(member, score)
        if before is None:
            self._bytes += bytes_object_size(len(member))
        else:
            # The table has the object of before as its key: both share it.
            member = self._order.remove(before, member)
        self._order.add(score, member)
        return before

    def _put_small(
        self, packed: bytes, member: bytes, score: float, settings: Settings
    ) -> float | None:
        before: float | None = None
        members, scores = _opened(packed)
        if member in members:
            at = members.index(member)
            before = scores[at]
            if before == score:
                return before
            members, scores = members[:at] + members[at + 1 :], scores[:at] + scores[at + 1 :]
        elif len(members) == SMALL_MAX or len(member) > SMALL_BYTES_MAX:
            self._grow(scores, list(members))
            return self.put(member, score, settings)
        else:
            self._name(member, settings)
        score = self._kept(score)
        at = place_in(scores, members, score, member)
        self._packed = _pack(
            (*members[:at], member, *members[at:], *scores[:at], score, *scores[at:])
        )
        return before

    def _name(self, member: bytes, settings: Settings) -> None:
        """Another member comes: decide what Redis would call the encoding then."""
        self.is_listpack = self.is_listpack and (
            len(self) < settings.zset_max_listpack_entries
            and len(member) <= settings.zset_max_listpack_value
        )

    def _kept(self, score: float) -> float:
        """Redis's listpack knows no -0."""
        return 0.0 if score == 0 and self.is_listpack else score

    def remove(self, member: bytes) -> bool:
        """Take a member out; whether it was there."""
        if self._packed is not None:
            members, scores = _opened(self._packed)
            if member not in members:
                return False
            at = members.index(member)
            self._packed = _pack(members[:at] + members[at + 1 :] + scores[:at] + scores[at + 1 :])
            return True
        assert self._scores is not None
        assert self._order is not None
        score = self._scores.pop(member)
        if score is MISSING:
            return False
        self._order.remove(score, member)
        self._bytes -= bytes_object_size(len(member))
        return True

    def delete(self, start: int, stop: int) -> Pairs:
        """Take out the elements with ranks from `start` to before `stop`, all there; what they
        were."""
        if self._packed is not None:
            members, scores = _opened(self._packed)
            self._packed = _pack(members[:start] + members[stop:] + scores[:start] + scores[stop:])
            return list(zip(members[start:stop], scores[start:stop], strict=True))
        assert self._scores is not None
        assert self._order is not None
        if (stop - start) * 2 > len(self):
            # Most of them: what stays is put together anew.
            pairs = self.slice(0, len(self))
            left = pairs[:start] + pairs[stop:]
            self._grow([score for _, score in left], [member for member, _ in left])
            return pairs[start:stop]
        gone_scores, gone_members = self._order.delete(start, stop)
        for member in gone_members:
            self._scores.pop(member)
        self._bytes -= sum([bytes_object_size(len(member)) for member in gone_members])
        return list(zip(gone_members, gone_scores, strict=True))

    def _grow(self, scores: Iterable[float], members: list[bytes]) -> None:
        """Become large, which is for good, with these elements, in order."""
        self._packed = None
        self._scores = Table()
        self._order = Order()
        self._bytes = 0
        self._extend(array("d", scores), members)

    def _extend(self, scores: array[float], members: list[bytes]) -> None:
        assert self._scores is not None
        assert self._order is not None
        put = self._scores.put
        for member, score in zip(members, scores, strict=True):
            put(member, score)
        self._bytes += sum([bytes_object_size(len(member)) for member in members])
        for start in range(0, len(members), CHUNK_MAX):
            end = start + CHUNK_MAX
            self._order.extend(scores[start:end], members[start:end])

    # --- Whole sets, for TYPES.

    @classmethod
    def of(cls, pairs: Iterable[tuple[bytes, float]], settings: Settings) -> SortedSet:
        """One with these elements, in any order, no member twice; named by what is in it."""
        ordered = sorted([(score, member) for member, score in pairs])
        longest = max([len(member) for _, member in ordered], default=0)
        made = cls()
        made.is_listpack = (
            len(ordered) <= settings.zset_max_listpack_entries
            and longest <= settings.zset_max_listpack_value
        )
        members = [member for _, member in ordered]
        scores = [made._kept(score) for score, _ in ordered]
        if len(ordered) <= SMALL_MAX and longest <= SMALL_BYTES_MAX:
            made._packed = _pack(members + scores)
        else:
            made._grow(scores, members)
        return made

    def copy(self) -> SortedSet:
        other: SortedSet = SortedSet.__new__(SortedSet)
        other.is_listpack = self.is_listpack
        other._packed = self._packed
        other._bytes = self._bytes
        other._scores = None if self._scores is None else self._scores.copy()
        other._order = None if self._order is None else self._order.copy()
        return other

    def take_apart(self) -> Iterator[list[Any]]:
        """What nobody needs any more, to be emptied a piece at a time; it cannot be used again."""
        for large in (self._scores, self._order):
            if large is not None:
                yield from large.take_apart()

    @property
    def size_bytes(self) -> int:
        if self._packed is not None:
            return _OBJECT_BYTES + len(self._packed)
        count = len(self)
        return _LARGE_BYTES + self._bytes + count * _ELEMENT_BYTES + expected_size(count)

    def pack(self) -> Any:
        return [self.is_listpack, self._packed]

    @classmethod
    def unpack(cls, packed: Any) -> SortedSet:
        made = cls()
        made.is_listpack, small = packed
        if small is None:
            made._grow((), [])
        else:
            made._packed = small
        return made

    def parts(self) -> Iterator[Any]:
        """[scores, member, member ...], in order, cut by the elements alone."""
        if self._order is None:
            return
        scores: array[float] = array("d")
        members: list[bytes] = []
        size = 0
        for more_scores, more_members in self._order.pieces(0, len(self)):
            for score, member in zip(more_scores, more_members, strict=True):
                scores.append(score)
                members.append(member)
                size += len(member) + 8
                if len(members) == PART_ELEMENTS or size >= PART_BYTES:
                    yield [_little_endian(scores).tobytes(), *members]
                    scores, members, size = array("d"), [], 0
        if members:
            yield [_little_endian(scores).tobytes(), *members]

    def extend(self, part: Any) -> None:
        """Take one of another set's `parts`, in their order."""
        scores = array("d")
        scores.frombytes(part[0])
        self._extend(_little_endian(scores), part[1:])


def _little_endian(scores: array[float]) -> array[float]:
    if sys.byteorder == "big":
        scores.byteswap()
    return scores


def _count_of(packed: bytes) -> int:
    """How many elements a packed list of members and scores holds, by its first bytes."""
    if packed[0] < _FEW:
        return (packed[0] & 15) >> 1
    return int.from_bytes(packed[1:3], "big") >> 1
