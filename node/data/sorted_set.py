"""Sorted sets: members with scores, by score and then by the bytes of the member.

Up to SMALL_MAX elements are one packed byte string, which costs hardly more than its content.
Beyond that there is a table of them and their order (`ordered_table.py`). A snapshot keeps the
elements in their order, so that loading needs no sorting. Sizes follow from the elements alone: how
chunks were filled differs between replicas.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from math import inf, nextafter
from struct import Struct
from typing import TYPE_CHECKING, Any, Final  # Any: what msgpack packs.

import msgpack

from .buckets import place_of
from .ordered_table import OrderedTable
from .ordered_table import Pairs as Pairs
from .packed import HEADER, HEADERS, find_short, pack_row, skip_short, unpack_row
from .sorted_order import in_order, place_in

if TYPE_CHECKING:
    from ...cluster.settings import Settings

SMALL_MAX: Final = 128  # Elements,
SMALL_BYTES_MAX: Final = 64  # bytes of the longest member,
ROW_BYTES_MAX: Final = 4096  # and of all members and scores, of what is kept packed.
PART_ELEMENTS: Final = 512
PART_BYTES: Final = 64 << 10

_OBJECT_BYTES: Final = 48  # Of a small one, beside its byte string.

# A small set is one byte string: how many elements, their scores as doubles, their members in a
# row (`packed.py`), both in their order. So most is found without taking it apart. A snapshot has
# it as msgpack's list of members and scores.
_COUNTS: Final = [bytes([count]) for count in range(256)]
_EMPTY: Final = _COUNTS[0]
_DOUBLE: Final = Struct("d")
_read_double: Final = _DOUBLE.unpack_from
_WIDTH: Final = _DOUBLE.size
_DOUBLES: Final = tuple(Struct(f"{count}d").unpack_from for count in range(256))

_pack: Any = msgpack.Packer(use_bin_type=True).pack
_unpack: Any = msgpack.unpackb


class SortedSet:
    """`is_listpack` tells what Redis would call its encoding, by its past and the settings then."""

    __slots__ = ("_held", "is_listpack")

    def __init__(self) -> None:
        self.is_listpack = True
        self._held: bytes | OrderedTable = _EMPTY  # Packed; for good large once it does not fit.

    def __len__(self) -> int:
        held = self._held
        return held[0] if isinstance(held, bytes) else held.count

    # --- Reading.

    def score(self, member: bytes) -> float | None:
        """The score of `member`, or None."""
        held = self._held
        if not isinstance(held, bytes):
            if held.pops:
                held.whole()
            return held.scores.get(member)
        place, _ = _find(held, member)
        return None if place < 0 else _score_at(held, place)

    def rank(self, member: bytes) -> int | None:
        """How many elements are before `member`, or None."""
        held = self._held
        if isinstance(held, bytes):
            place, _ = _find(held, member)
            return None if place < 0 else place
        if held.pops:
            held.whole()
        score = held.scores.get(member)
        return None if score is None else held.order().rank_of(score, member)

    def rank_of(self, score: float, member: bytes = b"") -> int:
        """How many elements are before (score, member), which need not be there itself."""
        held = self._held
        if not isinstance(held, bytes):
            return held.order().rank_of(score, member)
        scores = _scores_of(held)
        if not member:
            return bisect_left(scores, score)
        return place_in(scores, _members_of(held), score, member)

    def ranks_between(self, low: float, high: float) -> tuple[int, int]:
        """How many elements are below `low`, and how many not above `high`."""
        held = self._held
        if isinstance(held, bytes):
            scores = _scores_of(held)
            return bisect_left(scores, low), bisect_right(scores, high)
        end = len(self) if high == inf else held.order().rank_of(nextafter(high, inf), b"")
        return held.order().rank_of(low, b""), end

    def lex_rank_of(self, member: bytes) -> int:
        """As `rank_of`, where all scores are the same; else it means little, as in Redis."""
        return self.rank_of(self.slice(0, 1)[0][1], member)

    def pieces(self, start: int, stop: int) -> Iterator[Pairs]:
        """The elements with ranks from `start` to before `stop`, some at a time."""
        held = self._held
        if isinstance(held, bytes):
            yield _slice_of(held, start, stop)
        else:
            for scores, members in held.order().pieces(start, min(stop, len(self))):
                yield list(zip(members, scores, strict=True))

    def slice(self, start: int, stop: int) -> Pairs:
        """The elements with ranks from `start` (not negative) to before `stop`."""
        held = self._held
        if isinstance(held, bytes):
            return _slice_of(held, start, stop)
        return [pair for piece in self.pieces(start, stop) for pair in piece]

    def members(self, start: int, stop: int) -> list[bytes]:
        """Those of `slice` without their scores."""
        held = self._held
        if isinstance(held, bytes):
            return _members_of(held)[start:stop]
        found: list[bytes] = []
        for _, members in held.order().pieces(start, min(stop, len(self))):
            found += members
        return found

    def columns(self, start: int = 0, stop: int | None = None) -> tuple[list[bytes], list[float]]:
        """The members of `slice` and their scores, of all elements if nothing is said."""
        held = self._held
        if isinstance(held, bytes):
            return _members_of(held)[start:stop], _scores_of(held)[start:stop].tolist()
        members: list[bytes] = []
        scores: list[float] = []
        end = held.count
        pieces = held.order().pieces(start, end if stop is None else min(stop, end))
        for more_scores, more_members in pieces:
            members += more_members
            scores += more_scores
        return members, scores

    def items(self) -> Iterator[tuple[bytes, float]]:
        """All elements in their order; it stands no writes meanwhile."""
        return chain.from_iterable(self.pieces(0, len(self)))

    def page(self, cursor: int, count: int) -> tuple[int, Pairs]:
        """The next cursor, 0 at the end, and about `count` elements from `cursor` on, by hash; a
        small one comes at once. It depends on nothing but the elements."""
        held = self._held
        if isinstance(held, bytes):
            return 0, _slice_of(held, 0, held[0])
        held.whole()
        table = held.scores
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
        held, length = self._held, len(member)
        if type(held) is not bytes:
            return self._put_large(held, member, score, settings)  # type: ignore[arg-type]  # As below.
        if length > SMALL_BYTES_MAX:
            return self._put_large(self._grow(held), member, score, settings)
        packed = HEADERS[length] + member
        if held.find(packed) >= 0:  # What is not even found is not there.
            place, at = _find(held, member)
            if place >= 0:
                return self._change_small(held, place, at, score)
        count = held[0]
        if count >= SMALL_MAX or len(held) + length + 2 + _WIDTH > ROW_BYTES_MAX:
            return self._put_large(self._grow(held), member, score, settings)
        # As `_name` and `_kept`, without calls.
        if count >= settings.zset_max_listpack_entries or length > settings.zset_max_listpack_value:
            self.is_listpack = False
        elif score == 0 and self.is_listpack:
            score = 0.0
        start = 1 + _WIDTH * count
        if count:
            last = _read_double(held, start - _WIDTH)[0]
            # Of equal ones the member decides, if it can be told without taking them apart: as in
            # `find_short`, what looks like a header is one where no member has such a byte.
            if score < last or (
                score == last
                and not (
                    held[held.rfind(HEADER, start) + 2 :] < member
                    and held.count(HEADER, start) == count
                )
            ):
                self._held = _with(held, member, score)
                return None
        scores, members = held[1:start], held[start:]
        self._held = b"".join((_COUNTS[count + 1], scores, _DOUBLE.pack(score), members, packed))
        return None

    def _put_large(
        self, held: OrderedTable, member: bytes, score: float, settings: Settings
    ) -> float | None:
        if self.is_listpack:
            held.whole()
            if member not in held.scores:
                self._name(held.count, member, settings)
            score = self._kept(score)
        return held.put(member, score)

    def _change_small(self, held: bytes, place: int, at: int, score: float) -> float:
        before = _score_at(held, place)
        if before == score:
            return before
        score = self._kept(score)
        if (place == 0 or _score_at(held, place - 1) < score) and (
            place == held[0] - 1 or score < _score_at(held, place + 1)
        ):  # It stays between its neighbours.
            start = 1 + _WIDTH * place
            self._held = b"".join((held[:start], _DOUBLE.pack(score), held[start + _WIDTH :]))
        else:
            member = held[at + 2 : at + 2 + held[at + 1]]
            self._held = _with(_without(held, place, at), member, score)
        return before

    def _name(self, count: int, member: bytes, settings: Settings) -> None:
        """Another member comes to so many: decide what Redis would call the encoding then."""
        if (
            count >= settings.zset_max_listpack_entries
            or len(member) > settings.zset_max_listpack_value
        ):
            self.is_listpack = False

    def _kept(self, score: float) -> float:
        """Redis's listpack knows no -0."""
        return 0.0 if score == 0 and self.is_listpack else score

    def remove(self, member: bytes) -> bool:
        """Take a member out; whether it was there."""
        held = self._held
        if not isinstance(held, bytes):
            return held.remove(member)
        place, at = _find(held, member)
        if place < 0:
            return False
        self._held = _without(held, place, at)
        return True

    def pop(self, *, is_max: bool) -> tuple[bytes, float, int]:
        """Take out the first element, or the last; there is one. And how many are left."""
        held = self._held
        if not isinstance(held, bytes):
            return held.pop(is_last=is_max)
        # As `_delete_small`, without a call.
        left = held[0] - 1
        place = left if is_max else 0
        at = skip_short(held, 1 + _WIDTH * held[0], place)
        self._held = _without(held, place, at)
        return held[at + 2 : at + 2 + held[at + 1]], _score_at(held, place), left

    def delete(self, start: int, stop: int) -> Pairs:
        """Take out the elements with ranks from `start` to before `stop`, all there; what they
        were."""
        held = self._held
        if isinstance(held, bytes):
            return self._delete_small(held, start, stop)
        if (stop - start) * 2 > held.count:
            # Most of them: what stays is put together anew.
            members, scores = self.columns()
            gone = list(zip(members[start:stop], scores[start:stop], strict=True))
            del members[start:stop], scores[start:stop]
            self._become_large(scores, members)
            return gone
        return held.delete(start, stop)

    def drop(self, start: int, stop: int) -> None:
        """As `delete`, for who does not ask what they were."""
        held = self._held
        if isinstance(held, bytes) and stop - start == 1:
            self._held = _without(held, start, skip_short(held, 1 + _WIDTH * held[0], start))
        else:
            self.delete(start, stop)

    def _delete_small(self, held: bytes, start: int, stop: int) -> Pairs:
        if stop - start == 1:
            at = skip_short(held, 1 + _WIDTH * held[0], start)
            self._held = _without(held, start, at)
            return [(held[at + 2 : at + 2 + held[at + 1]], _score_at(held, start))]
        members = _members_of(held)
        scores = _scores_of(held)
        self._held = _packed(scores[:start] + scores[stop:], members[:start] + members[stop:])
        return list(zip(members[start:stop], scores[start:stop], strict=True))

    def _grow(self, held: bytes) -> OrderedTable:
        """Become large, which is for good."""
        return self._become_large(_scores_of(held), _members_of(held))

    def _become_large(self, scores: Iterable[float], members: list[bytes]) -> OrderedTable:
        """With these elements, in order."""
        self._held = made = OrderedTable.of(scores, members, is_ordered=True)
        return made

    # --- Whole sets, for TYPES.

    @classmethod
    def of(cls, pairs: Iterable[tuple[bytes, float]], settings: Settings) -> SortedSet:
        """One with these elements, in any order, no member twice; named by what is in it."""
        some = list(pairs)
        return cls.of_two([one for one, _ in some], [score for _, score in some], settings)

    @classmethod
    def of_two(cls, members: list[bytes], scores: list[float], settings: Settings) -> SortedSet:
        """The same of members and as many scores; takes the lists. If a member of more than
        SMALL_MAX comes twice it is good for nothing, and has fewer than were given."""
        longest = max(map(len, members), default=0)
        made = cls()
        made.is_listpack = (
            len(members) <= settings.zset_max_listpack_entries
            and longest <= settings.zset_max_listpack_value
        )
        if made.is_listpack:
            scores = [made._kept(score) for score in scores]
        if (
            len(members) <= SMALL_MAX
            and longest <= SMALL_BYTES_MAX
            and sum(map(len, members)) + (2 + _WIDTH) * len(members) < ROW_BYTES_MAX
        ):
            members, scores = in_order(members, scores)
            made._held = _packed(array("d", scores), members)
        else:
            made._held = OrderedTable.of(scores, members, is_ordered=False)
        return made

    def part(self, start: int, stop: int, settings: Settings) -> SortedSet:
        """A new one with the elements of `slice`."""
        count = len(self)
        if start == 0 and stop >= count > max(settings.zset_max_listpack_entries, SMALL_MAX):
            made = self.copy()
            made.is_listpack = False
            return made
        return SortedSet.of_two(*self.columns(start, stop), settings)

    def copy(self) -> SortedSet:
        other: SortedSet = SortedSet.__new__(SortedSet)
        other.is_listpack = self.is_listpack
        held = self._held
        other._held = held if isinstance(held, bytes) else held.copy()
        return other

    def take_apart(self) -> Iterator[list[Any]]:
        """What nobody needs any more, to be emptied a piece at a time; it cannot be used again."""
        held = self._held
        if not isinstance(held, bytes):
            yield from held.take_apart()

    def size_bytes(self) -> int:
        held = self._held
        if type(held) is OrderedTable:
            return held.size_bytes
        # As `bytes_object_size`, without the call: this is asked twice for every change.
        return _OBJECT_BYTES + (len(held) + 48 & -16)  # type: ignore[arg-type]  # Not narrowed.

    def pack(self) -> Any:
        held = self._held
        if not isinstance(held, bytes):
            return [self.is_listpack, None]
        return [self.is_listpack, _pack([*_members_of(held), *_scores_of(held)])]

    @classmethod
    def unpack(cls, packed: Any) -> SortedSet:
        made = cls()
        made.is_listpack, small = packed
        if small is None:
            made._become_large((), [])
        else:
            flat = _unpack(small)
            count = len(flat) // 2
            made._held = _packed(array("d", flat[count:]), flat[:count])
        return made

    def parts(self) -> Iterator[Any]:
        """[scores, member, member ...], in order, cut by the elements alone."""
        held = self._held
        if isinstance(held, bytes):
            return
        scores: array[float] = array("d")
        members: list[bytes] = []
        size = 0
        for more_scores, more_members in held.order().pieces(0, len(self)):
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
        held = self._held
        assert not isinstance(held, bytes), "a small one comes in one part"
        scores = array("d")
        scores.frombytes(part[0])
        held.extend(_little_endian(scores), part[1:])


def _little_endian(scores: array[float]) -> array[float]:
    if sys.byteorder == "big":
        scores.byteswap()
    return scores


# --- What a small one is packed into.


def _packed(scores: array[float], members: Sequence[bytes]) -> bytes:
    return b"".join((_COUNTS[len(members)], scores.tobytes(), pack_row(members)))


def _scores_of(held: bytes) -> array[float]:
    return array("d", held[1 : 1 + _WIDTH * held[0]])


def _score_at(held: bytes, place: int) -> float:
    score: float = _read_double(held, 1 + _WIDTH * place)[0]
    return score


def _members_of(held: bytes) -> list[bytes]:
    count = held[0]
    return unpack_row(held[1 + _WIDTH * count :], count)


def _slice_of(held: bytes, start: int, stop: int) -> Pairs:
    return list(zip(_members_of(held)[start:stop], _scores_of(held)[start:stop], strict=True))


def _find(held: bytes, member: bytes) -> tuple[int, int]:
    """The rank of a member, and where that begins; negative if it is not there."""
    count = held[0]
    return find_short(held, member, 1 + _WIDTH * count, len(held), count)


def _with(held: bytes, member: bytes, score: float) -> bytes:
    """With one more."""
    count = held[0]
    start = 1 + _WIDTH * count
    scores = _DOUBLES[count](held, 1)
    place = bisect_left(scores, score)
    if place < count and scores[place] == score:
        members = unpack_row(held[start:], count)
        place = bisect_left(members, member, place, bisect_right(scores, score, place))
        at = start + 2 * place + len(b"".join(members[:place]))
    else:
        at = skip_short(held, start, place)
    score_at = 1 + _WIDTH * place
    scores_before, between, after = held[1:score_at], held[score_at:at], held[at:]
    packed, packed_score = HEADERS[len(member)] + member, _DOUBLE.pack(score)
    return b"".join((_COUNTS[count + 1], scores_before, packed_score, between, packed, after))


def _without(held: bytes, place: int, at: int) -> bytes:
    """Without the element of a rank, whose member begins at `at`."""
    score_at = 1 + _WIDTH * place
    between, after = held[score_at + _WIDTH : at], held[at + 2 + held[at + 1] :]
    return b"".join((_COUNTS[held[0] - 1], held[1:score_at], between, after))
