"""A long row of byte strings: packed chunks between two open ends.

The ends are plain Python lists, for pushes and pops in constant time; what they cannot hold is
packed into chunks of some dozen elements, and chunks stand in blocks, so that neither an index nor
an insertion looks at all of them. A copy shares the blocks: one whose owner is somebody else is
copied before it is changed. An element that is long stands alone and is never copied. `chunk.py`
has the parts; read `quicklist.py` next.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any  # What msgpack unpacked.

from .chunk import (
    BLOCK_CHUNKS,
    END_BYTES_MAX,
    END_ELEMENTS_MAX,
    Block,
    Chunk,
    End,
    changed_chunks_of,
    chunks_of,
    elements_of,
    length_of,
    size_of,
    without,
)
from .packed import pack_one

# What things take beside their bytes, about.
ELEMENT_COST = 48  # A byte string and a place in a list.
CHUNK_COST = 64  # The same and a place in the list of counts.
BLOCK_COST = 320
CHUNKS_COST = 560  # The object, its ends and its lists.

_HEAD, _BLOCK, _MORE, _TAIL = range(4)  # Kinds of parts.


class Chunks:
    __slots__ = (
        "_blocks",
        "_chunks",
        "_count",
        "_head",
        "_inner_bytes",
        "_owner",
        "_tail",
        "listpack_bytes",
        "size_bytes",
    )

    def __init__(self, elements: Sequence[bytes] = ()) -> None:
        self._owner = object()
        self._head = End([])
        self._blocks: list[Block] = []  # None of them is empty.
        self._chunks = 0  # How many, in all blocks,
        self._inner_bytes = 0  # and how long they are.
        self._tail = End([])
        self._count = 0  # Of all elements.
        self.size_bytes = CHUNKS_COST  # About what it takes.
        # What Redis would need for all elements in one listpack, where the owner knows it.
        self.listpack_bytes: int | None = None
        self.push(elements, at_head=False)

    def __len__(self) -> int:
        return self._count

    @property
    def content_bytes(self) -> int:
        """Of the elements, with some headers."""
        return self._inner_bytes + self._head.size + self._tail.size

    def copy(self) -> Chunks:
        """One of its own with the same elements; costs by the number of blocks."""
        twin = copy(self)
        twin.separate()
        self.separate()
        return twin

    def take_apart(self) -> Iterator[list[Any]]:
        """What nobody needs any more, to be emptied a piece at a time; it cannot be used again."""
        yield self._blocks

    def separate(self) -> None:
        """Somebody else has the same blocks from here on."""
        self._owner = object()
        self._blocks = self._blocks.copy()
        self._head = End(self._head.elements.copy())
        self._tail = End(self._tail.elements.copy())

    # --- The ends.

    def push(self, elements: Sequence[bytes], *, at_head: bool) -> None:
        """Add one after the other, so the last of them is outermost then."""
        end = self._head if at_head else self._tail
        count = len(elements)
        size = len(elements[0]) if count == 1 else size_of(elements)
        end.elements += elements
        end.size += size
        self._count += count
        self.size_bytes += size + count * ELEMENT_COST
        if len(end.elements) >= END_ELEMENTS_MAX or end.size >= END_BYTES_MAX:
            self._settle_ends()

    def _settle_ends(self) -> None:
        if self._head.is_full:
            inner = self._head.take_inner(self._head.overflow())
            self._add(*chunks_of(inner[::-1]), at_head=True)
        if self._tail.is_full:
            inner = self._tail.take_inner(self._tail.overflow())
            self._add(*chunks_of(inner), at_head=False)
        self._note_size()

    def _note_size(self) -> None:
        """After anything but a push or a pop that leaves the chunks alone."""
        self.size_bytes = (
            CHUNKS_COST
            + len(self._blocks) * BLOCK_COST
            + self._chunks * CHUNK_COST
            + (len(self._head.elements) + len(self._tail.elements)) * ELEMENT_COST
            + self.content_bytes
        )

    def _add(self, chunks: list[Chunk], counts: list[int], *, at_head: bool) -> None:
        blocks = self._blocks
        self._count_in(chunks)
        if len(chunks) > BLOCK_CHUNKS:
            more = self._new_blocks(chunks, counts)
            self._blocks = more + blocks if at_head else blocks + more
        elif not chunks:
            pass
        elif not blocks or len(blocks[0 if at_head else -1].chunks) >= BLOCK_CHUNKS:
            blocks.insert(0 if at_head else len(blocks), Block(chunks, counts, self._owner))
        else:
            block = self._own(0 if at_head else len(blocks) - 1)
            place = 0 if at_head else len(block.chunks)
            block.chunks[place:place] = chunks
            block.counts[place:place] = counts
            block.total += sum(counts)

    def _new_blocks(self, chunks: list[Chunk], counts: list[int]) -> list[Block]:
        size = BLOCK_CHUNKS
        return [
            Block(chunks[start : start + size], counts[start : start + size], self._owner)
            for start in range(0, len(chunks), size)
        ]

    def _count_in(self, chunks: Sequence[Chunk]) -> None:
        self._chunks += len(chunks)
        self._inner_bytes += sum(map(length_of, chunks))

    def _count_out(self, chunks: Sequence[Chunk]) -> None:
        self._chunks -= len(chunks)
        self._inner_bytes -= sum(map(length_of, chunks))

    def _own(self, number: int) -> Block:
        """A block that may be changed."""
        block = self._blocks[number]
        if block.owner is not self._owner:
            block = self._blocks[number] = block.copy(self._owner)
        return block

    def pop(self, count: int, *, at_head: bool) -> list[bytes]:
        """Remove that many (no more than there are) from an end, the outermost first."""
        end = self._head if at_head else self._tail
        self._count -= count
        if count == 1 and end.elements:
            element = end.elements.pop()
            end.size -= len(element)
            self.size_bytes -= len(element) + ELEMENT_COST
            return [element]
        found: list[bytes] = []
        while count:
            if not end.elements:
                self._refill(end, at_head=at_head)
            taken = end.pop(count)
            count -= len(taken)
            found += taken
        self._note_size()
        return found

    def _refill(self, end: End, *, at_head: bool) -> None:
        """An end has run empty: unpack the next chunk, or share what the other one has."""
        if self._blocks:
            elements = self._cut_chunk(at_head=at_head)
            end.push(elements[::-1] if at_head else elements)
        else:
            other = self._tail if at_head else self._head
            end.push(other.take_inner((len(other.elements) + 1) // 2)[::-1])

    def _cut_chunk(self, *, at_head: bool) -> Sequence[bytes]:
        """Take the first or the last chunk out; what it holds."""
        place = 0 if at_head else -1
        block = self._own(0 if at_head else len(self._blocks) - 1)
        chunk, count = block.chunks.pop(place), block.counts.pop(place)
        block.total -= count
        self._count_out((chunk,))
        if not block.chunks:
            del self._blocks[place]
        return elements_of(chunk, count)

    def drop(self, count: int, *, at_head: bool) -> None:
        """As a pop, without unpacking what goes."""
        end, place = (self._head, 0) if at_head else (self._tail, -1)
        self._count -= count
        while count:
            if not end.elements and self._blocks:
                block = self._blocks[place]
                if block.total <= count:
                    self._count_out(block.chunks)
                    count -= block.total
                    del self._blocks[place]
                    continue
                if block.counts[place] <= count:
                    block = self._own(0 if at_head else len(self._blocks) - 1)
                    gone = block.counts.pop(place)
                    self._count_out((block.chunks.pop(place),))
                    block.total -= gone
                    count -= gone
                    continue
            if not end.elements:
                self._refill(end, at_head=at_head)
            count -= len(end.pop(count))
        self._note_size()

    # --- By index, which is there.

    def _block_at(self, inner: int) -> tuple[int, int]:
        """(block, index in it) of an index among the elements of the chunks."""
        number = 0
        for block in self._blocks:
            if inner < block.total:
                break
            inner -= block.total
            number += 1
        return number, inner

    def at(self, index: int) -> bytes:
        head, tail = self._head.elements, self._tail.elements
        if index < len(head):
            return head[-1 - index]
        from_tail = index - self._count + len(tail)
        if from_tail >= 0:
            return tail[from_tail]
        number, index = self._block_at(index - len(head))
        place, index = self._blocks[number].find(index)
        return self._blocks[number].elements(place)[index]

    def set_at(self, index: int, element: bytes) -> None:
        heads = len(self._head.elements)
        from_tail = index - self._count + len(self._tail.elements)
        if index < heads:
            self._head.set_at(heads - 1 - index, element)
            self._settle_ends()
        elif from_tail >= 0:
            self._tail.set_at(from_tail, element)
            self._settle_ends()
        else:
            number, index = self._block_at(index - heads)
            place, index = self._blocks[number].find(index)
            elements = list(self._blocks[number].elements(place))
            elements[index] = element
            self._replace(number, place, elements)

    def insert(self, index: int, element: bytes) -> None:
        """Put it in front of what is at `index`."""
        heads = len(self._head.elements)
        from_tail = index - self._count + len(self._tail.elements)
        self._count += 1
        if index < heads:
            self._head.insert(heads - index, element)
            self._settle_ends()
        elif from_tail >= 0:
            self._tail.insert(from_tail, element)
            self._settle_ends()
        else:
            number, index = self._block_at(index - heads)
            place, index = self._blocks[number].find(index)
            elements = list(self._blocks[number].elements(place))
            elements.insert(index, element)
            self._replace(number, place, elements)

    def _replace(self, number: int, place: int, elements: list[bytes]) -> None:
        """Other elements for those of a chunk."""
        block = self._own(number)
        nearby = slice(max(place - 1, 0), place + 2)  # What may be joined with it.
        after = len(block.chunks) - nearby.indices(len(block.chunks))[1]
        self._count_out(block.chunks[nearby])
        block.put(place, *changed_chunks_of(elements))
        self._count_in(block.chunks[nearby.start : len(block.chunks) - after])
        if len(block.chunks) >= 2 * BLOCK_CHUNKS:
            self._blocks[number : number + 1] = self._new_blocks(block.chunks, block.counts)
        self._note_size()

    # --- Many.

    def between(self, start: int, stop: int) -> Iterator[Sequence[bytes]]:
        """Those from `start` to before `stop`, in pieces."""
        left = stop - start
        for piece in self._from(start):
            if left <= len(piece):
                yield piece[:left]
                return
            yield piece
            left -= len(piece)

    def _from(self, start: int) -> Iterator[Sequence[bytes]]:
        head = self._head.elements[::-1]
        yield head[start:]
        start = max(start - len(head), 0)
        for block in self._blocks:
            if start >= block.total:
                start -= block.total
                continue
            first, index = block.find(start)
            yield block.elements(first)[index:]
            for place in range(first + 1, len(block.chunks)):
                yield block.elements(place)
            start = 0
        yield self._tail.elements[start:]

    def find(self, element: bytes, *, is_reversed: bool, looks: int) -> Iterator[int]:
        """The indexes of `element`, in order or from the end on, among the first `looks`."""
        packed = pack_one(element)
        seen = 0  # Of the elements looked at.
        for chunk, count in self._walk(is_reversed=is_reversed):
            if seen >= looks:
                return
            if not isinstance(chunk, bytes) or packed in chunk:
                row = elements_of(chunk, count) if isinstance(chunk, bytes) else chunk
                for place, one in enumerate(reversed(row) if is_reversed else row, seen):
                    if one == element and place < looks:
                        yield self._count - 1 - place if is_reversed else place
            seen += count

    def _walk(self, *, is_reversed: bool) -> Iterator[tuple[bytes | Sequence[bytes], int]]:
        """Chunks, or elements in the order of the row, and how many they are."""
        head, tail = self._head.elements[::-1], self._tail.elements
        ends = [(head, len(head)), (tail, len(tail))]
        yield ends[-1 if is_reversed else 0]
        for block in reversed(self._blocks) if is_reversed else self._blocks:
            pairs = zip(block.chunks, block.counts, strict=True)
            yield from reversed(list(pairs)) if is_reversed else pairs
        yield ends[0 if is_reversed else -1]

    def remove(self, element: bytes, count: int, *, is_reversed: bool) -> int:
        """Remove up to `count` of `element`, from the head or from the tail on; how many."""
        first, last = (self._tail, self._head) if is_reversed else (self._head, self._tail)
        left = count
        left -= first.remove(element, left, is_reversed=True)  # From the outside in.
        left -= self._remove_inside(element, left, is_reversed=is_reversed)
        left -= last.remove(element, left, is_reversed=False)
        self._count -= count - left
        self._note_size()
        return count - left

    def _remove_inside(self, element: bytes, count: int, *, is_reversed: bool) -> int:
        left = count
        numbers = range(len(self._blocks))
        for number in reversed(numbers) if is_reversed else numbers:
            if not left:
                break
            left -= self._remove_in_block(number, element, left, is_reversed=is_reversed)
        if left != count:
            self._blocks = [block for block in self._blocks if block.total]
        return count - left

    def _remove_in_block(
        self, number: int, element: bytes, count: int, *, is_reversed: bool
    ) -> int:
        block = self._blocks[number]
        packed = pack_one(element)
        left = count
        kept_of: dict[int, list[bytes]] = {}  # By place of the chunk.
        places = range(len(block.chunks))
        for place in reversed(places) if is_reversed else places:
            if not left:
                break
            chunk, held = block.chunks[place], block.counts[place]
            if (packed not in chunk) if isinstance(chunk, bytes) else chunk[0] != element:
                continue
            kept = without(elements_of(chunk, held), element, left, is_reversed=is_reversed)
            if len(kept) < held:  # Else it was only found across the border of two elements.
                kept_of[place] = kept
                left -= held - len(kept)
        if kept_of:
            block = self._own(number)
            self._count_out(block.chunks)
            block.rewrite(kept_of)
            self._count_in(block.chunks)
        return count - left

    # --- Snapshots: everything as it lies, so that a replica made of one goes on in the same way.

    def parts(self) -> Iterator[Any]:
        yield _HEAD, self._head.elements, ()
        for block in self._blocks:
            kind = _BLOCK
            for start, stop in block.spans():
                yield kind, block.chunks[start:stop], block.counts[start:stop]
                kind = _MORE
        yield _TAIL, self._tail.elements, ()

    def extend(self, part: Any) -> int:
        """Take the next of `parts`; how many elements it had."""
        kind, content, counts = part
        if kind in (_HEAD, _TAIL):
            count = len(content)
            if kind == _HEAD:
                self._head = End(content)
            else:
                self._tail = End(content)
        else:
            count = sum(counts)
            chunks: list[Chunk] = [one if isinstance(one, bytes) else (one[0],) for one in content]
            if kind == _BLOCK:
                self._blocks.append(Block([], [], self._owner))
            block = self._blocks[-1]
            block.chunks += chunks
            block.counts += counts
            block.total += count
            self._count_in(chunks)
        self._count += count
        self._note_size()
        return count
