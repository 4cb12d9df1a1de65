"""The order of a large sorted set: (score, member), with ranks in logarithmic time.

A tree of two levels: blocks of chunks, each with how many elements it holds; a chunk is an array
of scores and a list of members beside it. Copies share chunks and blocks; either side copies one
before it writes to it. How elements are spread over chunks depends on the past and shows nowhere.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, compress, islice
from math import inf
from operator import eq, gt
from typing import Any, Final  # Any: chunks of any kind.

CHUNK_MAX: Final = 256  # Elements,
CHUNK_MIN: Final = 64  # below which a chunk is joined to its neighbour,
CHUNK_JOINED_MAX: Final = 192  # if both have no more together.
MENDED_AT: Final = frozenset(range(0, CHUNK_MIN, 16))  # Not each time: neighbours may be large.
BLOCK_MAX: Final = 256  # Chunks; likewise.
BLOCK_MIN: Final = 64
BLOCK_JOINED_MAX: Final = 192


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
    ties = list(compress(range(len(scores)), map(eq, scores, islice(scores, 1, None))))
    at = 0
    while at < len(ties):
        # What has the same score as the one behind it, and all others of that score.
        start = ties[at]
        stop, at = start + 2, at + 1
        if at < len(ties) and ties[at] == start + 1:
            stop = bisect_right(scores, scores[start], start)
            at += stop - start - 2
        if scores[start]:
            members[start:stop] = sorted(members[start:stop])
        else:  # Of both signs, perhaps, which stay with their members.
            pairs = sorted(zip(members[start:stop], scores[start:stop], strict=True))
            members[start:stop] = [member for member, _ in pairs]
            scores[start:stop] = [zero for _, zero in pairs]
    return members, scores


class _Chunk:
    __slots__ = ("members", "owner", "scores")

    def __init__(self, owner: object, scores: array[float], members: list[bytes]) -> None:
        self.owner = owner  # The token of the one order that may write to it.
        self.scores = scores
        self.members = members


class _Block:
    """Chunks, with their sizes. The mark of a chunk, a score and a member, is not beyond its first
    element, and beyond the last one of the chunk before it."""

    __slots__ = ("chunks", "counts", "mark_members", "mark_scores", "owner")

    def __init__(
        self,
        owner: object,
        chunks: list[_Chunk],
        mark_scores: list[float],
        mark_members: list[bytes],
        counts: list[int],
    ) -> None:
        self.owner = owner
        self.chunks = chunks
        self.mark_scores = mark_scores
        self.mark_members = mark_members
        self.counts = counts

    def part(self, owner: object, start: int) -> _Block:
        """A block of the same chunks from `start` on."""
        scores, members = self.mark_scores[start:], self.mark_members[start:]
        return _Block(owner, self.chunks[start:], scores, members, self.counts[start:])

    def cut(self, start: int, stop: int) -> None:
        """Without the chunks from `start` to before `stop`."""
        del self.chunks[start:stop], self.counts[start:stop]
        del self.mark_scores[start:stop], self.mark_members[start:stop]

    def append(self, chunk: _Chunk) -> None:
        """A chunk behind all others."""
        self.chunks.append(chunk)
        self.mark_scores.append(chunk.scores[0])
        self.mark_members.append(chunk.members[0])
        self.counts.append(len(chunk.members))


class Order:
    """Pairs of score and member; no member twice, which is for the caller to see to."""

    __slots__ = ("_blocks", "_counts", "_mark_members", "_mark_scores", "_owner")

    def __init__(self) -> None:
        self._owner = object()
        chunk = _Chunk(self._owner, array("d"), [])
        # There is always a block, with a chunk in it; only the last one left may be empty.
        self._blocks = [_Block(self._owner, [chunk], [0.0], [b""], [0])]
        # Those of the first chunks of blocks.
        self._mark_scores = [0.0]
        self._mark_members = [b""]
        self._counts = [0]

    def copy(self) -> Order:
        """An order of its own with the same elements; costs as much as there are blocks."""
        other: Order = Order.__new__(Order)
        # Both get new tokens: neither may write to what they share.
        self._owner, other._owner = object(), object()
        other._blocks = self._blocks.copy()
        other._mark_scores = self._mark_scores.copy()
        other._mark_members = self._mark_members.copy()
        other._counts = self._counts.copy()
        return other

    def take_apart(self) -> Iterator[list[Any]]:
        """What nobody needs any more, to be emptied a piece at a time; it cannot be used again."""
        yield self._blocks

    # --- Reading.

    def rank_of(self, score: float, member: bytes) -> int:
        """How many elements are before (score, member), which need not be there itself."""
        b, c = self._find(score, member)
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

    def _find(self, score: float, member: bytes) -> tuple[int, int]:
        """Block and chunk where an element is or would be."""
        b = 0
        if len(self._blocks) > 1:
            b = _last_not_beyond(self._mark_scores, self._mark_members, score, member)
        block = self._blocks[b]
        # As `_last_not_beyond`, without a call where scores differ.
        c = bisect_right(block.mark_scores, score, 1) - 1
        if c and block.mark_scores[c] == score:
            c = _last_not_beyond(block.mark_scores, block.mark_members, score, member)
        return b, c

    def _locate(self, rank: int) -> tuple[int, int, int]:
        """Block, chunk and position of the element with `rank`, which must be there."""
        if rank == 0:
            return 0, 0, 0
        b, rank = _take_from(self._counts, rank)
        c, rank = _take_from(self._blocks[b].counts, rank)
        return b, c, rank

    # --- Writing.

    def add(self, score: float, member: bytes) -> None:
        # As `_find`, without a call.
        b, blocks, owner = 0, self._blocks, self._owner
        if len(blocks) > 1:
            b = _last_not_beyond(self._mark_scores, self._mark_members, score, member)
        block = blocks[b]
        marks = block.mark_scores
        c = bisect_right(marks, score, 1) - 1
        if c and marks[c] == score:
            c = _last_not_beyond(marks, block.mark_members, score, member)
        chunk = block.chunks[c]
        if chunk.owner is not owner or block.owner is not owner:
            block, chunk = self._own(b, c)
        scores, members = chunk.scores, chunk.members
        # As `place_in`, without a call where scores differ.
        at = bisect_left(scores, score)
        if at < len(scores) and scores[at] == score and members[at] < member:
            at += 1
            if at < len(scores) and scores[at] == score:
                at = bisect_left(members, member, at, bisect_right(scores, score, at))
        scores.insert(at, score)
        members.insert(at, member)
        block.counts[c] += 1
        self._counts[b] += 1
        if len(members) > CHUNK_MAX:
            # What comes in order leaves full chunks behind.
            self._split(b, c, at if at == CHUNK_MAX else at + 1 if at == 0 else CHUNK_MAX // 2)

    def remove(self, score: float, member: bytes) -> bytes:
        """Take out an element that is there; the very object that was kept as its member."""
        # As `_find`, without a call.
        b, blocks, owner = 0, self._blocks, self._owner
        if len(blocks) > 1:
            b = _last_not_beyond(self._mark_scores, self._mark_members, score, member)
        block = blocks[b]
        marks = block.mark_scores
        c = bisect_right(marks, score, 1) - 1
        if c and marks[c] == score:
            c = _last_not_beyond(marks, block.mark_members, score, member)
        chunk = block.chunks[c]
        if chunk.owner is not owner or block.owner is not owner:
            block, chunk = self._own(b, c)
        scores, members = chunk.scores, chunk.members
        at = bisect_left(scores, score)
        if members[at] != member:  # Others have the same score.
            at = bisect_left(members, member, at, bisect_right(scores, score, at))
        kept = members.pop(at)
        scores.pop(at)
        block.counts[c] -= 1
        self._counts[b] -= 1
        if at == 0 or len(members) in MENDED_AT:
            self._mend(b, c, at)
        return kept

    def pop(self, *, is_last: bool) -> tuple[float, bytes]:
        """Take out the first element, or the last; there is one."""
        b = c = 0
        at = 0
        if is_last:
            b, at = len(self._blocks) - 1, -1
            c = len(self._blocks[b].chunks) - 1
        block = self._blocks[b]
        chunk = block.chunks[c]
        if chunk.owner is not self._owner or block.owner is not self._owner:
            block, chunk = self._own(b, c)
        score, member = chunk.scores.pop(at), chunk.members.pop(at)
        block.counts[c] -= 1
        self._counts[b] -= 1
        if len(chunk.members) in MENDED_AT:
            self._mend(b, c, at)
        elif block.mark_members[c] is member:
            self._mark(b, c)
        return score, member

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
        """Add elements that come behind all others, in order."""
        if members and not self._counts[-1]:  # The empty chunk of the beginning.
            block = self._own_block(len(self._blocks) - 1)
            self._mark_scores[-1], self._mark_members[-1] = scores[0], members[0]
            block.cut(len(block.chunks) - 1, len(block.chunks))
        for start in range(0, len(members), CHUNK_MAX):
            end = start + CHUNK_MAX
            last = len(self._blocks) - 1
            block = self._own_block(last)
            block.append(_Chunk(self._owner, scores[start:end], members[start:end]))
            self._counts[last] += len(block.chunks[-1].members)
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
            block = self._blocks[b] = block.part(self._owner, 0)
        return block

    def _split(self, b: int, c: int, at: int) -> None:
        """Two chunks for one that is owned."""
        block = self._blocks[b]
        chunk = block.chunks[c]
        scores, members = chunk.scores[at:], chunk.members[at:]
        del chunk.scores[at:], chunk.members[at:]
        block.chunks.insert(c + 1, _Chunk(self._owner, scores, members))
        block.mark_scores.insert(c + 1, scores[0])
        block.mark_members.insert(c + 1, members[0])
        block.counts[c : c + 1] = [at, len(members)]
        if len(block.chunks) > BLOCK_MAX:
            self._split_block(b, BLOCK_MAX if c + 1 == BLOCK_MAX else BLOCK_MAX // 2)

    def _split_block(self, b: int, at: int) -> None:
        block = self._blocks[b]
        tail = block.part(self._owner, at)
        block.cut(at, len(block.chunks))
        self._blocks.insert(b + 1, tail)
        self._mark_scores.insert(b + 1, tail.mark_scores[0])
        self._mark_members.insert(b + 1, tail.mark_members[0])
        count = sum(tail.counts)
        self._counts[b : b + 1] = [self._counts[b] - count, count]

    def _mark(self, b: int, c: int) -> None:
        """The first element of a chunk is gone, and must not live on as its mark."""
        block = self._blocks[b]
        if b == c == 0:
            # Nobody asks for it, and what is taken from the front is taken again and again.
            block.mark_scores[0], block.mark_members[0] = -inf, b""
        else:
            chunk = block.chunks[c]
            block.mark_scores[c], block.mark_members[c] = chunk.scores[0], chunk.members[0]
        self._mark_scores[b] = block.mark_scores[0]
        self._mark_members[b] = block.mark_members[0]

    def _mend(self, b: int, c: int, at: int) -> None:
        """Something was taken out of a chunk at `at`: it may be too small now."""
        block = self._blocks[b]
        count = len(block.chunks[c].members)
        if at == 0 and count:
            self._mark(b, c)
        if count < CHUNK_MIN and len(block.chunks) > 1:
            low = c if c + 1 < len(block.chunks) else c - 1
            if count == 0:
                block.cut(c, c + 1)
            elif block.counts[low] + block.counts[low + 1] <= CHUNK_JOINED_MAX:
                self._join(block, low)
            self._mark_scores[b] = block.mark_scores[0]
            self._mark_members[b] = block.mark_members[0]
        if len(block.chunks) < BLOCK_MIN and len(self._blocks) > 1:
            self._mend_block(b)

    def _join(self, block: _Block, low: int) -> None:
        first, second = block.chunks[low : low + 2]
        scores = first.scores + second.scores
        chunk = _Chunk(self._owner, scores, first.members + second.members)
        block.cut(low + 1, low + 2)
        block.chunks[low] = chunk
        block.counts[low] = len(scores)

    def _mend_block(self, b: int) -> None:
        if self._counts[b] == 0:
            self._drop_block(b)
            return
        low = b if b + 1 < len(self._blocks) else b - 1
        first, second = self._blocks[low : low + 2]
        if len(first.chunks) + len(second.chunks) > BLOCK_JOINED_MAX:
            return
        block = self._own_block(low)
        block.chunks += second.chunks
        block.mark_scores += second.mark_scores
        block.mark_members += second.mark_members
        block.counts += second.counts
        self._counts[low] += self._counts[low + 1]
        self._drop_block(low + 1)

    def _drop_block(self, b: int) -> None:
        del self._blocks[b], self._counts[b]
        del self._mark_scores[b], self._mark_members[b]


def _last_not_beyond(scores: list[float], members: list[bytes], score: float, member: bytes) -> int:
    """The last of the marks that is not beyond (score, member); the first, if all others are."""
    at = bisect_right(scores, score, 1) - 1
    if at and scores[at] == score:
        low = bisect_left(scores, score, 1, at)
        at = bisect_right(members, member, low, at + 1) - 1
    return at


def _take_from(counts: list[int], rank: int) -> tuple[int, int]:
    """Which of the holders of so many elements has the one with `rank`, and its rank there."""
    ends = list(accumulate(counts))
    place = bisect_right(ends, rank)
    return place, rank - (ends[place - 1] if place else 0)
