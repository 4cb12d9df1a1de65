"""What a long row of byte strings is made of: chunks, blocks of chunks, and its two open ends.

The sizes here decide where chunks begin and end, which is part of snapshots and digests: replicas
that have other sizes differ. Read `chunks.py` next.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TypeAlias

from .packed import pack_row, unpack_row

CHUNK_ELEMENTS = 64
CHUNK_BYTES = 8 << 10
ALONE_BYTES = 4 << 10  # A longer element stands alone.
END_ELEMENTS_MAX = 96  # An end that reaches one of these is packed,
END_BYTES_MAX = 16 << 10
END_ELEMENTS_KEPT = 32  # but for so much, so that a pop does not unpack it at once.
END_BYTES_KEPT = 8 << 10
BLOCK_CHUNKS = 128  # A block of twice as many becomes two.
PART_BYTES = 64 << 10  # Of a snapshot.

# Several elements packed, or one that stands alone.
Chunk: TypeAlias = "bytes | tuple[bytes]"


class Block:
    """Chunks in a row. Only its owner may change it; who else has it copies it first."""

    __slots__ = ("chunks", "counts", "owner", "total")

    def __init__(self, chunks: list[Chunk], counts: list[int], owner: object) -> None:
        self.chunks = chunks
        self.counts = counts
        self.total = sum(counts)
        self.owner = owner

    def copy(self, owner: object) -> Block:
        return Block(self.chunks.copy(), self.counts.copy(), owner)

    def find(self, index: int) -> tuple[int, int]:
        """(chunk, index in it) of an index in the block."""
        place = 0
        for count in self.counts:
            if index < count:
                break
            index -= count
            place += 1
        return place, index

    def elements(self, place: int) -> Sequence[bytes]:
        return elements_of(self.chunks[place], self.counts[place])

    def put(self, place: int, chunks: list[Chunk], counts: list[int]) -> None:
        """Other chunks for one of them; those that are small are joined to their neighbours."""
        self.total += sum(counts) - self.counts[place]
        self.chunks[place : place + 1] = chunks
        self.counts[place : place + 1] = counts
        self._join(place + len(chunks) - 1)
        self._join(place - 1)

    def _join(self, place: int) -> None:
        """One chunk of this and the next, if that is not too large."""
        if 0 <= place < len(self.chunks) - 1:
            chunks, counts = self.chunks[place : place + 2], self.counts[place : place + 2]
            joined = _joined(chunks[0], counts[0], chunks[1], counts[1])
            if joined is not None:
                self.chunks[place : place + 2] = [joined]
                self.counts[place : place + 2] = [sum(counts)]

    def rewrite(self, kept_of: dict[int, list[bytes]]) -> None:
        """Leave only these of the chunks at some places."""
        chunks: list[Chunk] = []
        counts: list[int] = []
        for place, (old, old_count) in enumerate(zip(self.chunks, self.counts, strict=True)):
            kept = kept_of.get(place)
            chunk, count = (old, old_count) if kept is None else (pack_row(kept), len(kept))
            joined = _joined(chunks[-1], counts[-1], chunk, count) if chunks else None
            if joined is not None:
                chunks[-1] = joined
                counts[-1] += count
            elif count:
                chunks.append(chunk)
                counts.append(count)
        self.chunks, self.counts, self.total = chunks, counts, sum(counts)

    def spans(self) -> Iterator[tuple[int, int]]:
        """Where to cut it, so that no part is larger than it must be."""
        start = size = 0
        for place, chunk in enumerate(self.chunks):
            length = length_of(chunk)
            if size and size + length > PART_BYTES:
                yield start, place
                start, size = place, 0
            size += length
        yield start, len(self.chunks)


class End:
    """The open end of a row; `elements` has the outermost last."""

    __slots__ = ("elements", "size")

    def __init__(self, elements: list[bytes]) -> None:
        self.elements = elements
        self.size = size_of(elements)

    @property
    def is_full(self) -> bool:
        return len(self.elements) >= END_ELEMENTS_MAX or self.size >= END_BYTES_MAX

    def push(self, elements: Sequence[bytes]) -> None:
        self.elements += elements
        self.size += size_of(elements)

    def pop(self, count: int) -> list[bytes]:
        """Up to so many, the outermost first."""
        taken = self.elements[-count:]
        del self.elements[-count:]
        taken.reverse()
        self.size -= size_of(taken)
        return taken

    def take_inner(self, count: int) -> list[bytes]:
        """Remove the innermost, from the inside out."""
        taken = self.elements[:count]
        del self.elements[:count]
        self.size -= size_of(taken)
        return taken

    def overflow(self) -> int:
        """How many of them are to become chunks."""
        elements = self.elements
        moved = max(len(elements) - END_ELEMENTS_KEPT, 0) // CHUNK_ELEMENTS * CHUNK_ELEMENTS
        if self.size >= END_BYTES_MAX:
            left = self.size - size_of(elements[:moved])
            while left > END_BYTES_KEPT and moved < len(elements) - 1:
                left -= len(elements[moved])
                moved += 1
        return moved

    def set_at(self, index: int, element: bytes) -> None:
        self.size += len(element) - len(self.elements[index])
        self.elements[index] = element

    def insert(self, index: int, element: bytes) -> None:
        self.elements.insert(index, element)
        self.size += len(element)

    def remove(self, element: bytes, count: int, *, is_reversed: bool) -> int:
        """Remove up to `count` of `element`, from the inside or the outside on; how many."""
        kept = without(self.elements, element, count, is_reversed=is_reversed)
        removed = len(self.elements) - len(kept)
        self.elements = kept
        self.size -= removed * len(element)
        return removed


def elements_of(chunk: Chunk, count: int) -> Sequence[bytes]:
    return unpack_row(chunk, count) if isinstance(chunk, bytes) else chunk


def length_of(chunk: Chunk) -> int:
    return len(chunk) if isinstance(chunk, bytes) else len(chunk[0])


def size_of(elements: Sequence[bytes]) -> int:
    return sum(map(len, elements))


def chunks_of(elements: Sequence[bytes]) -> tuple[list[Chunk], list[int]]:
    """The chunks for these, and how many elements each has."""
    chunks: list[Chunk] = []
    counts: list[int] = []
    start = size = 0
    # Most rows are of short elements only: full chunks, without a look at each of them.
    while start + CHUNK_ELEMENTS < len(elements):
        some = elements[start : start + CHUNK_ELEMENTS]
        if max(map(len, some)) > ALONE_BYTES or size_of(some) > CHUNK_BYTES:
            break
        chunks.append(pack_row(some))
        counts.append(CHUNK_ELEMENTS)
        start += CHUNK_ELEMENTS
    for place, element in enumerate(islice(elements, start, None), start):
        length = len(element)
        is_alone = length > ALONE_BYTES
        is_full = place - start == CHUNK_ELEMENTS or size + length > CHUNK_BYTES
        if (is_full or is_alone) and place > start:
            chunks.append(pack_row(elements[start:place]))
            counts.append(place - start)
            start, size = place, 0
        if is_alone:
            chunks.append((element,))
            counts.append(1)
            start = place + 1
        else:
            size += length
    if start < len(elements):
        chunks.append(pack_row(elements[start:]))
        counts.append(len(elements) - start)
    return chunks, counts


def changed_chunks_of(elements: list[bytes]) -> tuple[list[Chunk], list[int]]:
    """For one that was changed: one insertion more must not make two of it, nor the next three."""
    if (
        len(elements) <= 2 * CHUNK_ELEMENTS
        and size_of(elements) <= CHUNK_BYTES
        and max(map(len, elements)) <= ALONE_BYTES
    ):
        return [pack_row(elements)], [len(elements)]
    return chunks_of(elements)


def _joined(first: Chunk, first_count: int, second: Chunk, second_count: int) -> Chunk | None:
    """One chunk of two, if it is not too large."""
    if (
        isinstance(first, bytes)
        and isinstance(second, bytes)
        and first_count + second_count <= CHUNK_ELEMENTS
        and len(first) + len(second) <= CHUNK_BYTES
    ):
        return first + second
    return None


def without(
    elements: Sequence[bytes], element: bytes, count: int, *, is_reversed: bool
) -> list[bytes]:
    """All but the first (or last) `count` of `element`."""
    row = elements[::-1] if is_reversed else elements
    kept: list[bytes] = []
    start = 0
    try:
        for _ in range(count):
            place = row.index(element, start)
            kept += row[start:place]
            start = place + 1
    except ValueError:
        pass  # There are no more of it.
    kept += row[start:]
    return kept[::-1] if is_reversed else kept
