"""Streams in the RDB format: nodes of entries as listpacks, numbers, groups with what is pending.

A node begins with the fields of its first entry; entries with the same fields do not repeat them.
What was deleted from a node stays in Redis's until the node goes; here it is counted alone, and
written without. Read `dump.py` first.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import Final

from .consumer_group import NEVER_MS, UNKNOWN, Consumer, Group
from .integers import parse_int
from .rdb import (
    Malformed,
    Reader,
    join_listpack,
    listpack_element,
    listpack_integer,
    write_length,
    write_string,
)
from .stream import (
    CHUNK_BYTES_MAX,
    CHUNK_ENTRIES_MAX,
    ID_MAX,
    PART_MAX,
    Chunk,
    Stream,
    id_of,
)

_ID_BYTES: Final = 16
_DELETED, _SAME_FIELDS = 1, 2  # Flags of an entry.
_UNKNOWN_READ: Final = PART_MAX  # How -1 is written.
_MS: Final = Struct("<q")


# --- Writing, as Redis 7.0 reads it.


def write_stream(stream: Stream) -> Iterator[bytes]:
    chunks = [chunk for chunk in stream.chunks if chunk.count]
    yield write_length(len(chunks))
    for chunk in chunks:
        yield write_string(chunk.first.to_bytes(_ID_BYTES, "big"))
        yield write_string(_node_of(chunk))
    yield write_length(stream.length) + _write_id(stream.last_id)
    yield _write_id(stream.first_id) + _write_id(stream.max_deleted_id)
    yield write_length(stream.added) + write_length(len(stream.groups))
    for group in stream.groups_in_order():
        yield from _write_group(group)


def _write_id(id_: int) -> bytes:
    return write_length(id_ >> 64) + write_length(id_ & PART_MAX)


def _node_of(chunk: Chunk) -> bytes:
    words: list[bytes] = [_word(chunk.count), _word(0), _word(len(chunk.fields))]
    words += [*map(listpack_element, chunk.fields), _word(0)]
    sequence = chunk.first & PART_MAX
    are_same, count = _word(_SAME_FIELDS), _word(len(chunk.fields) + 3)
    for row in chunk.some(0, ID_MAX).rows:
        more_ms, more_sequence = _word(_signed(row[0])), _word(_signed(row[1] - sequence))
        if type(row[2]) is bytes:
            words += (are_same, more_ms, more_sequence, *map(listpack_element, row[2:]), count)
            continue
        pairs = row[2]
        words += (_word(0), more_ms, more_sequence, _word(len(pairs) // 2))
        words += (*map(listpack_element, pairs), _word(len(pairs) + 4))
    return join_listpack(words)


def _signed(difference: int) -> int:
    """As Redis writes it: a number of 64 bits with a sign, which wraps around."""
    wrapped = difference & PART_MAX
    return wrapped - (1 << 64) if wrapped >> 63 else wrapped


_word = listpack_integer


def _write_group(group: Group) -> Iterator[bytes]:
    yield write_string(group.name) + _write_id(group.last_id)
    yield write_length(_UNKNOWN_READ if group.entries_read == UNKNOWN else group.entries_read)
    yield write_length(len(group.pending))
    for id_, _, delivered_ms, count in group.pending.walk():
        yield id_.to_bytes(_ID_BYTES, "big") + _MS.pack(delivered_ms) + write_length(count)
    yield write_length(len(group.consumers))
    for consumer in group.in_order():
        yield write_string(consumer.name) + _MS.pack(consumer.seen_ms)
        yield write_length(len(consumer.pending))
        for (id_,) in consumer.pending.walk():
            yield id_.to_bytes(_ID_BYTES, "big")


# --- Reading. Version 1 is Redis 5's, 2 is 7.0's, 3 is 7.2's.


def read_stream(reader: Reader, version: int) -> Stream:
    stream = Stream()
    for _ in range(reader.count()):
        first = reader.string()
        if len(first) != _ID_BYTES:
            raise Malformed
        _read_node(stream, int.from_bytes(first, "big"), reader.words())
    length = reader.length()
    if length != stream.length:
        raise Malformed
    stream.top_id = stream.last_id
    last_id = _read_id(reader)
    if last_id < stream.top_id:
        raise Malformed
    stream.last_id = last_id
    stream.added = length
    if version > 1:
        _read_id(reader)  # The first one, which is known already.
        stream.max_deleted_id = _read_id(reader)
        stream.added = _number(reader.length())
    for _ in range(reader.count()):
        _read_group(stream, reader, version)
    return stream


def _read_id(reader: Reader) -> int:
    return id_of(reader.length(), reader.length())


def _read_node(stream: Stream, first: int, words: list[bytes | int]) -> None:
    """Add the entries of one node, which is never empty, though all in it may be deleted."""
    numbers = _Words(words)
    numbers.next_number()  # How many entries are there,
    numbers.next_number()  # and how many were deleted: both will be seen.
    fields = tuple(numbers.next_words(numbers.next_number()))
    if numbers.next_number() != 0 or numbers.is_over:
        raise Malformed
    if stream.chunks and first <= stream.chunks[-1].last:
        raise Malformed
    chunk = _add_chunk(stream, first, fields)
    while not numbers.is_over:
        flags = numbers.next_number()
        id_ = _sum_id(first, numbers.next_number(), numbers.next_number())
        if flags & _SAME_FIELDS:
            values = numbers.next_words(len(fields))
            pairs = [word for pair in zip(fields, values, strict=True) for word in pair]
        else:
            pairs = numbers.next_words(2 * numbers.next_number())
        numbers.next_number()  # How many words it had.
        if id_ < chunk.first or (id_ <= chunk.last and chunk.count + chunk.deleted):
            raise Malformed
        if chunk.is_full(sum(map(len, pairs)), CHUNK_BYTES_MAX, CHUNK_ENTRIES_MAX):
            chunk = _add_chunk(stream, id_, tuple(pairs[::2]))
        if flags & _DELETED:
            _append_deleted(chunk, id_, pairs)
            continue
        if not pairs:
            raise Malformed
        _append(stream, chunk, id_, pairs)


def _add_chunk(stream: Stream, first: int, fields: tuple[bytes, ...]) -> Chunk:
    if stream.chunks and stream.chunks[-1].fields == fields:
        fields = stream.chunks[-1].fields
    chunk = Chunk(stream.owner, first, fields)
    stream.chunks.append(chunk)
    stream.count_chunks(len(stream.chunks) - 1, len(stream.chunks), 1)
    return chunk


def _append(stream: Stream, chunk: Chunk, id_: int, pairs: list[bytes]) -> None:
    stream.owner.bytes += chunk.append(id_, pairs)
    stream.length += 1
    stream.last_id = id_
    if stream.length == 1:
        stream.first_id = id_


def _append_deleted(chunk: Chunk, id_: int, pairs: list[bytes]) -> None:
    """It counts for when the node is full, but is not kept."""
    size = len(chunk.data)
    chunk.append(id_, pairs)
    assert isinstance(chunk.data, bytearray)
    del chunk.data[size:]
    chunk.count -= 1
    chunk.deleted += 1


def _sum_id(first: int, more_ms: int, more_sequence: int) -> int:
    """The parts wrap around, as they do in Redis: `_signed`."""
    ms, sequence = (first >> 64) + more_ms, (first & PART_MAX) + more_sequence
    return id_of(ms & PART_MAX, sequence & PART_MAX)


def _number(number: int) -> int:
    """One that is kept in 63 bits."""
    if number >= 1 << 63:
        raise Malformed
    return number


class _Words:
    """The words of a listpack, one after the other."""

    def __init__(self, words: list[bytes | int]) -> None:
        self._words = words
        self._at = 0

    @property
    def is_over(self) -> bool:
        return self._at >= len(self._words)

    def next_words(self, count: int) -> list[bytes]:
        start = self._at
        self._at += count
        if count < 0 or self._at > len(self._words):
            raise Malformed
        some = self._words[start : self._at]
        return [word if isinstance(word, bytes) else b"%d" % word for word in some]

    def next_number(self) -> int:
        at = self._at
        if at >= len(self._words):
            raise Malformed
        self._at = at + 1
        word = self._words[at]
        number = parse_int(word) if isinstance(word, bytes) else word
        if number is None:
            raise Malformed
        return number


def _read_group(stream: Stream, reader: Reader, version: int) -> None:
    name, last_id = reader.string(), _read_id(reader)
    if version > 1:
        read = reader.length()
        entries_read = UNKNOWN if read == _UNKNOWN_READ else _number(read)
    else:
        entries_read = stream.read_until(last_id)
    if name in stream.groups:
        raise Malformed
    group = stream.add_group(name, last_id, entries_read)
    pending: dict[int, tuple[int, int]] = {}
    for _ in range(reader.count()):
        id_ = int.from_bytes(reader.take(_ID_BYTES), "big")
        if id_ in pending:
            raise Malformed
        pending[id_] = reader.integer(8), _number(reader.length())
    for _ in range(reader.count()):
        _read_consumer(group, reader, version, pending)
    if pending:
        raise Malformed  # Something is pending with nobody.


def _read_consumer(
    group: Group, reader: Reader, version: int, pending: dict[int, tuple[int, int]]
) -> None:
    """Takes what is the consumer's out of `pending`."""
    name, seen_ms = reader.string(), reader.integer(8)
    active_ms = reader.integer(8) if version > 2 else seen_ms
    if name in group.consumers or seen_ms < 0 or active_ms < NEVER_MS:
        raise Malformed
    consumer: Consumer = group.add_consumer(name, seen_ms, active_ms)
    for _ in range(reader.count()):
        id_ = int.from_bytes(reader.take(_ID_BYTES), "big")
        if id_ not in pending:
            raise Malformed
        delivered_ms, count = pending.pop(id_)
        group.assign(id_, consumer, delivered_ms, count)
