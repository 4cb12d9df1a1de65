"""The order of a large sorted set: (score, member), with ranks in logarithmic time.

A tree of two levels: blocks of chunks, each with how many elements it holds; a chunk is an array
of scores and a list of members beside it. Copies share chunks and blocks; either side copies one
before it writes to it. How elements are spread over chunks depends on the past and shows nowhere.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby, islice
from operator import eq, gt
from typing import Any, Final  # Any: chunks of any kind.

CHUNK_MAX: Final = 512  # Elements,
CHUNK_MIN: Final = 128  # below which a chunk is joined to its neighbour,
CHUNK_JOINED_MAX: Final = 384  # if both have no more together.
BLOCK_MAX: Final = 256  # Chunks; likewise.
BLOCK_MIN: Final = 64
BLOCK_JOINED_MAX: Final = 192

Place = tuple[float, bytes]  # Of an element, or between two.


def place_in(scores: Sequence[float], members: Sequence[bytes], score: float, member: bytes) -> int:
    """How many elements are before (score, member)."""
    low = bisect_left(scores, score)
    if low == len(scores) or scores[low] != score:
        return low
    return bisect_left(members, member, low, bisect_right(scores, score, low))


def in_order(members: list[bytes], scores: list[float]) -> tuple[list[bytes], list[float]]:
    """By score, and by member among those that have the same; takes the lists. Two sorts of plain
    things take half as long as one of pairs."""
    if any(map(gt, scores, islice(scores, 1, None))):
        numbers = array("d", scores)
        places = sorted(range(len(scores)), key=numbers.__getitem__)
        members = [members[one] for one in places]
        scores = list(map(numbers.__getitem__, places))
    if not any(map(eq, scores, islice(scores, 1, None))):
        return members, scores
    start = 0
    for score, some in groupby(scores):
        stop = start + sum([1 for _ in some])
        if stop == start + 1:
            pass
        elif score:
            members[start:stop] = sorted(members[start:stop])
        else:  # Of both signs, perhaps, which stay with their members.
            pairs = sorted(zip(members[start:stop], scores[start:stop], strict=True))
            members[start:stop] = [member for member, _ in pairs]
            scores[start:stop] = [zero for _, zero in pairs]
        start = stop
    return members, scores


class _Chunk:
    __slots__ = ("members", "owner", "scores")

    def __init__(self, owner: object, scores: array[float], members: list[bytes]) -> None:
        self.owner = owner  # The token of the one order that may write to it.
        self.scores = scores
        self.members = members


class _Block:
    """Chunks, with their sizes. `firsts[i]` is not beyond the first element of chunk i, and beyond
    the last one of the chunk before it."""

    __slots__ = ("chunks", "counts", "firsts", "owner")

    def __init__(
        self, owner: object, chunks: list[_Chunk], firsts: list[Place], counts: list[int]
    ) -> None:
        self.owner = owner
        self.chunks = chunks
        self.firsts = firsts
        self.counts = counts

    def take_tail(self, owner: object, start: int) -> _Block:
        """The chunks from `start` on, which leave this block for one of their own."""
        tail = _Block(owner, self.chunks[start:], self.firsts[start:], self.counts[start:])
        del self.chunks[start:], self.firsts[start:], self.counts[start:]
        return tail


class Order:
    """Pairs of score and member; no member twice, which is for the caller to see to."""

    __slots__ = ("_blocks", "_counts", "_firsts", "_owner")

    def __init__(self) -> None:
        self._owner = object()
        first = (0.0, b"")
        chunk = _Chunk(self._owner, array("d"), [])
        # There is always a block, with a chunk in it; only the last one left may be empty.
        self._blocks = [_Block(self._owner, [chunk], [first], [0])]
        self._firsts: list[Place] = [first]
        self._counts = [0]

    def copy(self) -> Order:
        """An order of its own with the same elements; costs as much as there are blocks."""
        other: Order = Order.__new__(Order)
        # Both get new tokens: neither may write to what they share.
        self._owner, other._owner = object(), object()
        other._blocks = self._blocks.copy()
        other._firsts = self._firsts.copy()
        other._counts = self._counts.copy()
        return other

    def take_apart(self) -> Iterator[list[Any]]:
        """What nobody needs any more, to be emptied a piece at a time; it cannot be used again."""
        yield self._blocks

    # --- Reading.

    def rank_of(self, score: float, member: bytes) -> int:
        """How many elements are before (score, member), which need not be there itself."""
        b, c = self._find((score, member))
        block = self._blocks[b]
        chunk = block.chunks[c]
        before = sum(self._counts[:b]) + sum(block.counts[:c])
        return before + place_in(chunk.scores, chunk.members, score, member)

    def pieces(self, start: int, stop: int) -> Iterator[tuple[array[float], list[bytes]]]:
        """The elements with ranks from `start` to before `stop`, some at a time."""
        if start >= stop:
            return
        b, c, at = self._locate(start)
        left = stop - start
        while left > 0:
            block = self._blocks[b]
            while left > 0 and c < len(block.chunks):
                chunk = block.chunks[c]
                members = chunk.members[at : at + left]
                yield chunk.scores[at : at + left], members
                left -= len(members)
                c, at = c + 1, 0
            b, c = b + 1, 0

    def _find(self, place: Place) -> tuple[int, int]:
        """Block and chunk where `place` is or would be."""
        b = bisect_right(self._firsts, place, 1) - 1
        return b, bisect_right(self._blocks[b].firsts, place, 1) - 1

    def _locate(self, rank: int) -> tuple[int, int, int]:
        """Block, chunk and position of the element with `rank`, which must be there."""
        if rank == 0:
            return 0, 0, 0
        b, rank = _take_from(self._counts, rank)
        c, rank = _take_from(self._blocks[b].counts, rank)
        return b, c, rank

    # --- Writing.

    def add(self, score: float, member: bytes) -> None:
        b, c = self._find((score, member))
        block, chunk = self._own(b, c)
        members = chunk.members
        at = place_in(chunk.scores, members, score, member)
        chunk.scores.insert(at, score)
        members.insert(at, member)
        block.counts[c] += 1
        self._counts[b] += 1
        if len(members) > CHUNK_MAX:
            # What comes in order leaves full chunks behind.
            self._split(b, c, at if at == CHUNK_MAX else at + 1 if at == 0 else CHUNK_MAX // 2)

    def remove(self, score: float, member: bytes) -> bytes:
        """Take out an element that is there; the very object that was kept as its member."""
        b, c = self._find((score, member))
        block, chunk = self._own(b, c)
        at = place_in(chunk.scores, chunk.members, score, member)
        kept = chunk.members.pop(at)
        del chunk.scores[at]
        block.counts[c] -= 1
        self._counts[b] -= 1
        self._mend(b, c, at)
        return kept

    def delete(self, start: int, stop: int) -> tuple[list[float], list[bytes]]:
        """Take out the elements with ranks from `start` to before `stop`; they are there."""
        scores: list[float] = []
        members: list[bytes] = []
        while len(members) < stop - start:
            b, c, at = self._locate(start)
            block, chunk = self._own(b, c)
            end = min(at + stop - start - len(members), len(chunk.members))
            scores += chunk.scores[at:end]
            members += chunk.members[at:end]
            del chunk.scores[at:end], chunk.members[at:end]
            block.counts[c] -= end - at
            self._counts[b] -= end - at
            self._mend(b, c, at)
        return scores, members

    def extend(self, scores: array[float], members: list[bytes]) -> None:
        """Add at most CHUNK_MAX elements that come behind all others, in order."""
        place = (scores[0], members[0])
        last = len(self._blocks) - 1
        block = self._own_block(last)
        if not block.counts[-1]:  # The empty chunk of the beginning.
            self._firsts[-1] = place
            del block.chunks[-1], block.firsts[-1], block.counts[-1]
        block.chunks.append(_Chunk(self._owner, scores, members))
        block.firsts.append(place)
        block.counts.append(len(members))
        self._counts[last] += len(members)
        if len(block.chunks) > BLOCK_MAX:
            self._split_block(last, BLOCK_MAX)

    # --- Chunks and blocks.

    def _own(self, b: int, c: int) -> tuple[_Block, _Chunk]:
        """A block and one of its chunks, both to be written to."""
        block = self._blocks[b]
        if block.owner is not self._owner:
            block = self._own_block(b)
        chunk = block.chunks[c]
        if chunk.owner is not self._owner:
            chunk = _Chunk(self._owner, chunk.scores[:], chunk.members.copy())
            block.chunks[c] = chunk
        return block, chunk

    def _own_block(self, b: int) -> _Block:
        block = self._blocks[b]
        if block.owner is not self._owner:
            block = _Block(
                self._owner, block.chunks.copy(), block.firsts.copy(), block.counts.copy()
            )
            self._blocks[b] = block
        return block

    def _split(self, b: int, c: int, at: int) -> None:
        """Two chunks for one that is owned."""
        block = self._blocks[b]
        chunk = block.chunks[c]
        scores, members = chunk.scores[at:], chunk.members[at:]
        del chunk.scores[at:], chunk.members[at:]
        block.chunks.insert(c + 1, _Chunk(self._owner, scores, members))
        block.firsts.insert(c + 1, (scores[0], members[0]))
        block.counts[c : c + 1] = [at, len(members)]
        if len(block.chunks) > BLOCK_MAX:
            self._split_block(b, BLOCK_MAX if c + 1 == BLOCK_MAX else BLOCK_MAX // 2)

    def _split_block(self, b: int, at: int) -> None:
        tail = self._blocks[b].take_tail(self._owner, at)
        self._blocks.insert(b + 1, tail)
        self._firsts.insert(b + 1, tail.firsts[0])
        count = sum(tail.counts)
        self._counts[b : b + 1] = [self._counts[b] - count, count]

    def _mend(self, b: int, c: int, at: int) -> None:
        """Something was taken out of a chunk at `at`: it may be too small now."""
        block = self._blocks[b]
        chunk = block.chunks[c]
        count = len(chunk.members)
        if at == 0 and count:  # What is gone must not live on as a mark.
            block.firsts[c] = (chunk.scores[0], chunk.members[0])
        if count < CHUNK_MIN and len(block.chunks) > 1:
            low = c if c + 1 < len(block.chunks) else c - 1
            if count == 0:
                del block.chunks[c], block.firsts[c], block.counts[c]
            elif block.counts[low] + block.counts[low + 1] <= CHUNK_JOINED_MAX:
                self._join(block, low)
        self._firsts[b] = block.firsts[0]
        if len(block.chunks) < BLOCK_MIN and len(self._blocks) > 1:
            self._mend_block(b)

    def _join(self, block: _Block, low: int) -> None:
        first, second = block.chunks[low : low + 2]
        scores = first.scores + second.scores
        chunk = _Chunk(self._owner, scores, first.members + second.members)
        block.chunks[low : low + 2] = [chunk]
        block.counts[low : low + 2] = [len(scores)]
        del block.firsts[low + 1]

    def _mend_block(self, b: int) -> None:
        if self._counts[b] == 0:
            del self._blocks[b], self._firsts[b], self._counts[b]
            return
        low = b if b + 1 < len(self._blocks) else b - 1
        first, second = self._blocks[low : low + 2]
        if len(first.chunks) + len(second.chunks) > BLOCK_JOINED_MAX:
            return
        block = self._own_block(low)
        block.chunks += second.chunks
        block.firsts += second.firsts
        block.counts += second.counts
        del self._blocks[low + 1], self._firsts[low + 1]
        self._counts[low : low + 2] = [self._counts[low] + self._counts[low + 1]]


def _take_from(counts: list[int], rank: int) -> tuple[int, int]:
    """Which of the holders of so many elements has the one with `rank`, and its rank there."""
    ends = list(accumulate(counts))
    place = bisect_right(ends, rank)
    return place, rank - (ends[place - 1] if place else 0)
