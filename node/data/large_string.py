"""A long string that is changed in place: chunks of a fixed size instead of one `bytes`.

A command that changes some bytes of a long string costs those bytes, not the whole. Chunks are
shared between copies; a value writes only to those that are its own (correctness L7). What a key is
SET to stays plain `bytes`, and so does every string shorter than LARGE_BYTES: whoever reads strings
meets both kinds, and `whole`, `piece` and `pieces` take either.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias  # Any: chunks of any kind.

LARGE_BYTES = 32 << 10  # A string this long is cut in chunks when it is changed in place.
CHUNK_BYTES = 32 << 10
_PART_BYTES = 2 * CHUNK_BYTES  # Of a snapshot's part.
_VALUE_COST = 160  # The object and its two lists.
_CHUNK_COST = 72  # Of a chunk beside its content: header, zero byte, places in the lists.
_ZEROS = bytes(CHUNK_BYTES)  # A gap is made of this one, however long it is.


class LargeString:
    __slots__ = ("_chunks", "_is_own", "_length")

    def __init__(self, text: bytes = b"") -> None:
        # All but the last are full.
        self._chunks: list[bytes | bytearray] = []
        self._is_own = bytearray()  # 1 for each chunk that no other value has: a bytearray.
        self._length = 0
        self.append(text)

    def __len__(self) -> int:
        return self._length

    def size_bytes(self) -> int:
        """Counted: chunks that are shared count in full."""
        return _VALUE_COST + self._length + _CHUNK_COST * len(self._chunks)

    def copy(self) -> LargeString:
        """The same string; from here on neither writes to what the other has."""
        other = LargeString()
        other._chunks = self._chunks.copy()
        other._is_own = bytearray(len(self._chunks))
        other._length = self._length
        self._is_own = bytearray(len(self._chunks))
        return other

    def take_apart(self) -> Iterator[list[Any]]:
        """What nobody needs any more, to be emptied a piece at a time; it cannot be used again."""
        yield self._chunks

    # --- Reading.

    def whole(self) -> bytes:
        return b"".join(self._chunks)

    def piece(self, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end`, both inside."""
        return b"".join(self.pieces(start, end))

    def pieces(self, start: int, end: int) -> Iterator[memoryview]:
        """The same, chunk by chunk; used up before the next write."""
        while start < end:
            number, offset = divmod(start, CHUNK_BYTES)
            count = min(CHUNK_BYTES - offset, end - start)
            yield memoryview(self._chunks[number])[offset : offset + count]
            start += count

    def parts(self) -> Iterator[bytes]:
        """All of it in parts for a snapshot; `append` takes them."""
        for start in range(0, self._length, _PART_BYTES):
            yield b"".join(self.pieces(start, min(start + _PART_BYTES, self._length)))

    # --- Writing.

    def write(self, start: int, text: bytes) -> None:
        """Put `text` at `start`, with zero bytes in a gap."""
        if start > self._length:
            self._append_zeros(start - self._length)
        over = min(len(text), self._length - start)  # So much is written over what is there.
        done = 0
        while done < over:
            number, offset = divmod(start + done, CHUNK_BYTES)
            count = min(CHUNK_BYTES - offset, over - done)
            self._own(number)[offset : offset + count] = text[done : done + count]
            done += count
        self.append(text[over:])

    def append(self, text: bytes) -> None:
        """Put `text` at the end."""
        room = -self._length % CHUNK_BYTES
        if room and text:
            self._fill_up(text[:room])
        for start in range(room, len(text), CHUNK_BYTES):
            self._chunks.append(text[start : start + CHUNK_BYTES])
            self._is_own.append(0)
        self._length += len(text)

    def _append_zeros(self, count: int) -> None:
        room = min(count, -self._length % CHUNK_BYTES)
        if room:
            self._fill_up(bytes(room))
        whole, rest = divmod(count - room, CHUNK_BYTES)
        self._chunks += [_ZEROS] * whole
        self._is_own += bytes(whole)
        if rest:
            self._chunks.append(bytes(rest))
            self._is_own.append(0)
        self._length += count

    def _fill_up(self, text: bytes) -> None:
        last = self._own(len(self._chunks) - 1)
        last += text
        if len(last) == CHUNK_BYTES:
            self._chunks[-1] = bytearray(last)  # Without the room that growing took.

    def _own(self, number: int) -> bytearray:
        chunk = self._chunks[number]
        if self._is_own[number]:
            assert isinstance(chunk, bytearray)
            return chunk
        own = self._chunks[number] = bytearray(chunk)
        self._is_own[number] = 1
        return own


String: TypeAlias = bytes | LargeString


def whole(value: String) -> bytes:
    return value if isinstance(value, bytes) else value.whole()


def piece(value: String, start: int, end: int) -> bytes:
    """The bytes from `start` up to `end`; both may be past the end, neither is negative."""
    if isinstance(value, bytes):
        return value[start:end]
    return value.piece(start, min(end, len(value)))


def pieces(value: String, start: int, end: int) -> Iterator[memoryview]:
    """The same in pieces that are quickly made into integers; used up before the next write."""
    if isinstance(value, LargeString):
        yield from value.pieces(start, end)
        return
    view = memoryview(value)
    for first in range(start, end, CHUNK_BYTES):
        yield view[first : min(first + CHUNK_BYTES, end)]


def spliced(value: bytes, start: int, text: bytes) -> bytes:
    """`value` with `text` at `start`, and zero bytes in a gap."""
    if start == len(value):
        return value + text
    gap = bytes(start - len(value)) if start > len(value) else b""
    return b"".join((value[:start], gap, text, value[start + len(text) :]))
