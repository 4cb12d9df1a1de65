"""The bytes of the log: segment headers, batch frames, records. Packing and reading, no files.

    segment  = header, padded to SEGMENT_START, batch, batch, ... (then zeros, or a torn batch)
    batch    = frame header, crc32c, records; the crc covers all else, with cluster, segment number
               and offset, so that nothing valid elsewhere is valid here (correctness L1)
    record   = record header, payload

Numbers are big-endian. `wal.py` writes these at run time, `replay.py` reads them at start.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any  # msgpack has no types.

import msgpack
from crc32c import crc32c

from ...cluster.slots import ShardId
from ..errors import Corrupt, IdentityError
from ..raft.types import EntryId, NodeId, ReplicaId, SnapshotMeta, Voter

FORMAT_VERSION = 1

SEGMENT_START = 4096  # Batches begin on a page of their own: the header's is never written again.
_SEGMENT_MAGIC = b"TRMRNLOG"
_SEGMENT = struct.Struct(">8sI4xQQ")  # magic, format version, cluster id, segment number
_CRC = struct.Struct(">I")

FRAME_MAGIC = b"\xb5TBn"
# magic, format version, cluster id, segment, batch number, offset in the file, bytes of records
_FRAME = struct.Struct(">4sB3xQQQQI")
FRAME_BYTES = _FRAME.size + _CRC.size

# payload bytes, record kind, entry kind, shard, term, index
_RECORD = struct.Struct(">IBBHQQ")
pack_record = _RECORD.pack
RECORD_BYTES = _RECORD.size


class Kind(IntEnum):
    """What a record says; the numbers are on disks and are never given another meaning."""

    HARD_STATE = 1  # term, index: voted_for
    ENTRY = 2  # Appended; a different term at its index drops the suffix (correctness L3).
    COPY = 3  # An entry that is held already, written again so that its old segment can go (L4).
    BASE = 4  # A snapshot at (term, index) is on disk; entries up to there may be missing.
    RESET = 5  # A snapshot was installed: the log is empty and restarts behind (term, index).
    CREATED = 6  # index: replica id. Its payload: the first voters.
    HEAD = 7  # All that a shard must not forget, at the start of each segment (L2).


_KINDS = {kind.value: kind for kind in Kind}


@dataclass(slots=True)  # Not frozen: a start makes a million of them, and that takes twice as long.
class Record:
    kind: Kind
    entry_kind: int
    shard: ShardId
    term: int
    index: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """The payload of a HEAD; term and vote are the record's own term and index."""

    replica: ReplicaId
    base: SnapshotMeta
    first_index: int


@dataclass(frozen=True, slots=True)
class Frame:
    number: int
    offset: int
    start: int  # Of the records, in the file.
    end: int


# --- Checksums. The GIL is kept: a batch takes microseconds, getting the GIL back may take 5 ms.


def checksum(data: bytes, value: int = 0) -> int:
    """The crc32c of `data`, going on from `value`."""
    return crc32c(data, value, 0)


# --- Segment headers.


def pack_segment_header(cluster_id: int, number: int) -> bytes:
    header = _SEGMENT.pack(_SEGMENT_MAGIC, FORMAT_VERSION, cluster_id, number)
    return header + _CRC.pack(checksum(header))


def has_segment_header(data: bytes, *, cluster_id: int, number: int, path: str) -> bool:
    """Whether `data` begins with the header of segment `number`; raises for one that is whole but
    of another format version or cluster."""
    if len(data) < _SEGMENT.size + _CRC.size or not data.startswith(_SEGMENT_MAGIC):
        return False
    _, version, found_cluster, found_number = _SEGMENT.unpack_from(data)
    if version != FORMAT_VERSION:
        raise Corrupt(wrong_version(path, "log", version, FORMAT_VERSION))
    (crc,) = _CRC.unpack_from(data, _SEGMENT.size)
    if crc != checksum(data[: _SEGMENT.size]):
        return False
    if found_cluster != cluster_id:
        raise IdentityError(
            f"{path} belongs to cluster {found_cluster:016x}, this node to {cluster_id:016x}"
        )
    return bool(found_number == number)


def wrong_version(path: str, what: str, found: object, expected: int) -> str:
    return (
        f"{path}: {what} format version {found} found, {expected} expected: "
        "it was written by another version of trimaran; run that one"
    )


# --- Batches.


def pack_batch(*, cluster_id: int, segment: int, number: int, offset: int, records: bytes) -> bytes:
    parts = [records]
    head = pack_batch_head(
        cluster_id=cluster_id, segment=segment, number=number, offset=offset, parts=parts
    )
    return head + records


def pack_batch_head(
    *, cluster_id: int, segment: int, number: int, offset: int, parts: Sequence[bytes]
) -> bytes:
    """What stands in front of the records, which are `parts` one behind the other."""
    size = sum(map(len, parts))
    header = _FRAME.pack(FRAME_MAGIC, FORMAT_VERSION, cluster_id, segment, number, offset, size)
    crc = checksum(header)
    for part in parts:
        crc = checksum(part, crc)
    return header + _CRC.pack(crc)


def read_frame(
    data: bytes, offset: int, *, cluster_id: int, segment: int, path: str
) -> Frame | None:
    """The batch at `offset` of a segment's content, or None if there is no valid one."""
    if not data.startswith(FRAME_MAGIC, offset) or offset + FRAME_BYTES > len(data):
        return None
    _, version, found_cluster, found_segment, number, found_offset, size = _FRAME.unpack_from(
        data, offset
    )
    start = offset + FRAME_BYTES
    end = start + size
    if end > len(data):
        return None
    (crc,) = _CRC.unpack_from(data, start - _CRC.size)
    view = memoryview(data)
    header = checksum(data[offset : offset + _FRAME.size])
    if crc != crc32c(view[start:end], header, 0):
        return None
    if (found_cluster, found_segment, found_offset) != (cluster_id, segment, offset):
        return None  # Whole, but written somewhere else: what a recycled file still holds.
    if version != FORMAT_VERSION:
        raise Corrupt(wrong_version(f"{path} at {offset}", "log batch", version, FORMAT_VERSION))
    return Frame(number, offset, start, end)


# --- Records.


def records_in(data: bytes, start: int, end: int, *, path: str) -> Iterator[Record]:
    """The records of a batch whose checksum was right."""
    while start < end:
        try:
            size, kind, entry_kind, shard, term, index = _RECORD.unpack_from(data, start)
            payload_start = start + RECORD_BYTES
            start = payload_start + size
            record = Record(
                _KINDS[kind], entry_kind, ShardId(shard), term, index, data[payload_start:start]
            )
        except (struct.error, KeyError) as error:
            raise Corrupt(f"{path}: no log record at {start}: {error}") from error
        if start > end:
            raise Corrupt(f"{path}: the log record before {start} is cut off by its batch's end")
        yield record


def shards_probably_in(data: bytes, offset: int) -> list[int]:
    """The shards named in a damaged batch, as far as it can still be read; for messages only."""
    shards: set[int] = set()
    start = offset + FRAME_BYTES
    if offset + FRAME_BYTES <= len(data) and data.startswith(FRAME_MAGIC, offset):
        end = min(len(data), start + _FRAME.unpack_from(data, offset)[-1])
        while start + RECORD_BYTES <= end and not data.startswith(FRAME_MAGIC, start):
            size, kind, _, shard, _, _ = _RECORD.unpack_from(data, start)
            if kind not in _KINDS:
                break
            shards.add(shard)
            start += RECORD_BYTES + size
    return sorted(shards)


def pack_voters(voters: tuple[Voter, ...]) -> list[list[Any]]:
    return [[voter.replica, voter.node, voter.incarnation] for voter in voters]


def unpack_voters(value: list[list[Any]]) -> tuple[Voter, ...]:
    return tuple(
        Voter(ReplicaId(replica), NodeId(node), incarnation) for replica, node, incarnation in value
    )


def _pack(value: object) -> bytes:
    return msgpack.packb(value)  # type: ignore[no-any-return]  # msgpack has no types


def pack_payload(first_index: int, voters: tuple[Voter, ...]) -> bytes:
    """What BASE, RESET and CREATED carry."""
    return _pack([first_index, pack_voters(voters)])


def unpack_payload(payload: bytes) -> tuple[int, tuple[Voter, ...]]:
    first_index, voters = msgpack.unpackb(payload)
    return first_index, unpack_voters(voters)


def pack_head(head: Head) -> bytes:
    base = head.base
    return _pack(
        [head.replica, base.id.term, base.id.index, head.first_index, pack_voters(base.voters)]
    )


def unpack_head(payload: bytes) -> Head:
    replica, term, index, first_index, voters = msgpack.unpackb(payload)
    meta = SnapshotMeta(EntryId(term, index), unpack_voters(voters))
    return Head(ReplicaId(replica), meta, first_index)
