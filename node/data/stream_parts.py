"""How a snapshot takes a stream: its numbers and first chunks as one record, the rest in parts.

Parts hold at most PART_ENTRIES entries and about PART_BYTES. Groups and consumers come by name, so
that equal streams pack to equal bytes; what is pending comes behind the consumer it belongs to.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any  # What msgpack packs.

from .stream import Chunk, Stream

if TYPE_CHECKING:
    from .consumer_group import Consumer, Group

PART_BYTES = 64 << 10
PART_ENTRIES = 1024
_ID_BYTES = 16

CHUNKS, GROUP, CONSUMERS, PENDING = range(4)  # Kinds of parts.


def pack(stream: Stream) -> list[Any]:
    """What `unpack` takes; `parts` has the rest."""
    ids = (stream.last_id, stream.first_id, stream.top_id, stream.max_deleted_id)
    return [stream.length, stream.added, *map(_id_bytes, ids), next(_batches(stream), [])]


def unpack(packed: Any) -> Stream:
    stream = Stream()
    stream.length, stream.added, *ids, chunks = packed
    stream.last_id, stream.first_id, stream.top_id, stream.max_deleted_id = map(_id_of, ids)
    _take_chunks(stream, chunks)
    return stream


def parts(stream: Stream) -> Iterator[Any]:
    batches = _batches(stream)
    next(batches, None)  # `pack` has it.
    for batch in batches:
        yield CHUNKS, batch
    for group in stream.groups_in_order():
        yield GROUP, group.name, _id_bytes(group.last_id), group.entries_read
        yield from _consumers(group)


def extend(stream: Stream, part: Any) -> None:
    """Take one of the parts, in their order."""
    kind, *fields = part
    if kind == CHUNKS:
        _take_chunks(stream, fields[0])
    elif kind == GROUP:
        name, last_id, entries_read = fields
        stream.add_group(name, _id_of(last_id), entries_read)
    elif kind == CONSUMERS:
        group = _last_group(stream)
        for name, seen_ms, active_ms in fields[0]:
            group.add_consumer(name, seen_ms, active_ms)
    else:
        group = _last_group(stream)
        _take_pending(group, next(reversed(group.consumers.values())), *fields)


def _last_group(stream: Stream) -> Group:
    return next(reversed(stream.groups.values()))


def _batches(stream: Stream) -> Iterator[list[Any]]:
    batch: list[Any] = []
    size = entries = 0
    for chunk in stream.chunks:
        if batch and (size + len(chunk.data) > PART_BYTES or entries + chunk.count > PART_ENTRIES):
            yield batch
            batch = []
            size = entries = 0
        batch.append(
            (
                *(_id_bytes(chunk.first), _id_bytes(chunk.last)),
                *(chunk.count, chunk.deleted, chunk.listpack_bytes),
                *(chunk.fields, chunk.data),
            )
        )
        size += len(chunk.data)
        entries += chunk.count
    if batch:
        yield batch


def _take_chunks(stream: Stream, packed: list[Any]) -> None:
    start = len(stream.chunks)
    for first, last, count, deleted, listpack_bytes, fields, data in packed:
        names = tuple(fields)
        if stream.chunks and stream.chunks[-1].fields == names:
            names = stream.chunks[-1].fields
        chunk = Chunk(stream.owner, _id_of(first), names)
        chunk.last = _id_of(last)
        chunk.count, chunk.deleted, chunk.listpack_bytes = count, deleted, listpack_bytes
        chunk.data = data
        stream.chunks.append(chunk)
    stream.count_chunks(start, len(stream.chunks), 1)


def _consumers(group: Group) -> Iterator[Any]:
    """All consumers of a group; one with something pending is the last of its part, and what is
    pending comes behind it."""
    batch: list[Any] = []
    size = 0
    for consumer in group.in_order():
        batch.append((consumer.name, consumer.seen_ms, consumer.active_ms))
        size += len(consumer.name)
        if consumer.pending or size > PART_BYTES or len(batch) >= PART_ENTRIES:
            yield CONSUMERS, batch
            yield from _pending(group, consumer)
            batch = []
            size = 0
    if batch:
        yield CONSUMERS, batch


def _pending(group: Group, consumer: Consumer) -> Iterator[Any]:
    own = (row[0] for row in consumer.pending.walk())
    while ids := list(islice(own, PART_ENTRIES)):
        rows = list(group.pending.rows(ids))
        times, counts = [row[1] for row in rows], [row[2] for row in rows]
        yield PENDING, b"".join(map(_id_bytes, ids)), times, counts


def _take_pending(
    group: Group, consumer: Consumer, ids: bytes, times: list[int], counts: list[int]
) -> None:
    for place, (time_ms, count) in enumerate(zip(times, counts, strict=True)):
        id_ = _id_of(ids[place * _ID_BYTES : (place + 1) * _ID_BYTES])
        group.assign(id_, consumer, time_ms, count)


def _id_bytes(id_: int) -> bytes:
    return id_.to_bytes(_ID_BYTES, "big")


def _id_of(data: bytes) -> int:
    return int.from_bytes(data, "big")
