"""Snapshot files: written in slices, verified before they count, deleted when nobody reads them.

    <data>/snapshots/<shard>-<index>-<term>.snap    whole and verified
    <data>/snapshots/<...>.snap.tmp                 being written; removed at start
    <data>/incoming/                                from another node; emptied at start

    file    = header, crc32c, chunk, chunk, ..., trailer, crc32c of all before
    header  = magic, format version, size of what follows: cluster, shard, place, last stamp, voters
    chunk   = number from 1, size, crc32c, bytes; a chunk of size 0 begins the trailer
    trailer = number of chunks, bytes in them, digest of the keyspace

A snapshot counts from when its file is synced, renamed, the directory synced, and the file read
back: only then does the log behind it go (correctness L5). There is no falling back to an older
one, since the log that would bridge the gap is gone. What a chunk holds is the keyspace's business.
Writers, readers and whatever is marked so run in a thread; the rest on the loop.
"""

from __future__ import annotations

import posixpath
import re
import struct
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import msgpack

from ...cluster.slots import ShardId
from ..errors import Corrupt, IdentityError
from ..raft.types import EntryId, SnapshotMeta
from .records import checksum, pack_voters, unpack_voters, wrong_version

if TYPE_CHECKING:
    from .disk import Disk, File

FORMAT_VERSION = 1

_MAGIC = b"TRMRNSNP"
_PREFIX = struct.Struct(">8sII")  # magic, format version, bytes of the rest of the header
_CHUNK = struct.Struct(">QI")  # number, bytes
_CRC = struct.Struct(">I")
_TRAILER = struct.Struct(">QQ16s")  # chunks, bytes in them, digest
_CHUNK_BYTES = _CHUNK.size + _CRC.size
_HEADER_BYTES_MAX = 1 << 20
_SYNC_BYTES = (
    8 << 20
)  # Synced in such pieces, so that the log's syncs do not wait behind all of it.
_NAME = re.compile(r"(\d+)-(\d+)-(\d+)\.snap")


@dataclass(frozen=True, slots=True)
class SnapshotHeader:
    cluster_id: int
    shard: ShardId
    meta: SnapshotMeta
    last_stamp_ms: int

    def pack(self) -> bytes:
        place = self.meta.id
        body: bytes = msgpack.packb(
            [
                self.cluster_id,
                self.shard,
                place.term,
                place.index,
                self.last_stamp_ms,
                pack_voters(self.meta.voters),
            ]
        )
        header = _PREFIX.pack(_MAGIC, FORMAT_VERSION, len(body)) + body
        return header + _CRC.pack(checksum(header))

    @classmethod
    def unpack(cls, body: bytes) -> SnapshotHeader:
        cluster_id, shard, term, index, stamp, voters = msgpack.unpackb(body)
        meta = SnapshotMeta(EntryId(term, index), unpack_voters(voters))
        return cls(cluster_id, ShardId(shard), meta, stamp)


class SnapshotReader:
    """Reads one file from the beginning; raises Corrupt, naming it, at the first wrong byte."""

    def __init__(self, disk: Disk, path: str, cluster_id: int) -> None:
        self.path = path
        self._disk = disk
        self._file: File | None = disk.open(path)
        self._size = self._file.size()
        self._offset = 0
        self._crc = 0
        self._chunks = 0
        self._bytes = 0
        self.digest: int | None = None  # Known when the last chunk was read.
        self.header = self._read_header(cluster_id)

    def _read_header(self, cluster_id: int) -> SnapshotHeader:
        prefix = self._read(_PREFIX.size)
        magic, version, size = _PREFIX.unpack(prefix)
        if magic != _MAGIC:
            raise self._corrupt(0, "no snapshot header")
        if version != FORMAT_VERSION:
            raise Corrupt(wrong_version(self.path, "snapshot", version, FORMAT_VERSION))
        if size > _HEADER_BYTES_MAX:
            raise self._corrupt(0, "no snapshot header")
        body = self._read(size)
        self._check_crc(checksum(body, checksum(prefix)), 0)
        header = SnapshotHeader.unpack(body)
        if header.cluster_id != cluster_id:
            raise IdentityError(
                f"{self.path} belongs to cluster {header.cluster_id:016x}, "
                f"this node to {cluster_id:016x}"
            )
        return header

    def next_chunk(self) -> bytes | None:
        """The next verified chunk, or None when the whole file has been read and is right."""
        if self.digest is not None:
            return None
        offset = self._offset
        head = self._read(_CHUNK.size)
        number, size = _CHUNK.unpack(head)
        if not size:
            self._read_trailer(offset, number)
            return None
        if size > self._size - self._offset:
            raise self._corrupt(offset, "a chunk longer than the file")
        (expected,) = _CRC.unpack(self._read(_CRC.size))
        chunk = self._read(size)
        if expected != checksum(chunk, checksum(head)) or number != self._chunks + 1:
            raise self._corrupt(offset, f"chunk {self._chunks + 1} is damaged")
        self._chunks = number
        self._bytes += size
        return chunk

    def _read_trailer(self, offset: int, number: int) -> None:
        chunks, size, digest = _TRAILER.unpack(self._read(_TRAILER.size))
        self._check_crc(self._crc, offset)
        if number or (chunks, size) != (self._chunks, self._bytes) or self._offset != self._size:
            raise self._corrupt(offset, "the trailer does not fit the chunks")
        self.digest = int.from_bytes(digest)
        self.close()

    def check_digest(self, digest: int) -> None:
        """Raises Corrupt unless the keyspace that was loaded has the digest of the one written."""
        if digest != self.digest:
            raise self._corrupt(
                self._size, f"digest {self.digest or 0:x} expected, {digest:x} loaded"
            )

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _read(self, size: int) -> bytes:
        assert self._file is not None, "read on after the end"
        data = self._file.pread(size, self._offset)
        if len(data) != size:
            raise self._corrupt(self._offset, "the file ends too early")
        self._offset += size
        self._crc = checksum(data, self._crc)
        return data

    def _check_crc(self, found: int, offset: int) -> None:
        (expected,) = _CRC.unpack(self._read(_CRC.size))
        if expected != found:
            raise self._corrupt(offset, "wrong checksum")

    def _corrupt(self, offset: int, what: str) -> Corrupt:
        self.close()
        match = _NAME.match(posixpath.basename(self.path))
        shard = f" (shard {match[1]})" if match else ""
        return Corrupt(
            f"{self.path}{shard}: damaged snapshot at {offset}: {what}; "
            "replace this node's data from its peers"
        )


def verify(disk: Disk, path: str, cluster_id: int) -> SnapshotReader:
    """Reads all of a file; returns its reader, at the end. Raises Corrupt."""
    reader = SnapshotReader(disk, path, cluster_id)
    while reader.next_chunk() is not None:
        pass
    return reader


class _Writing:
    """A new file that is filled from the beginning; all in a thread."""

    def __init__(self, disk: Disk, path: str) -> None:
        self._disk = disk
        self._path = path
        self._file: File | None = None
        self._offset = 0
        self._unsynced = 0

    def append(self, data: bytes) -> None:
        if self._file is None:
            if self._disk.exists(self._path):
                self._disk.unlink(self._path)
            self._file = self._disk.create(self._path)
        self._file.pwrite(data, self._offset)
        self._offset += len(data)
        self._unsynced += len(data)
        if self._unsynced >= _SYNC_BYTES:
            self._file.fdatasync()
            self._unsynced = 0

    def finish(self) -> None:
        assert self._file is not None, "an empty file"
        self._file.fsync()
        self._file.close()

    def abort(self) -> None:
        if self._file is not None:
            self._file.close()
            self._disk.unlink(self._path)


class SnapshotWriter:
    """Writes the snapshot of one cut, chunk by chunk; all in a thread, one call at a time."""

    def __init__(self, snapshots: Snapshots, header: SnapshotHeader, path: str) -> None:
        self._snapshots = snapshots
        self._header = header
        self._path = path
        self._file = _Writing(snapshots.disk, path + ".tmp")
        self._has_header = False
        self._crc = 0
        self._chunks = 0
        self._bytes = 0

    def add(self, chunk: bytes) -> None:
        if not chunk:
            return
        self._begin()
        self._chunks += 1
        self._bytes += len(chunk)
        head = _CHUNK.pack(self._chunks, len(chunk))
        self._append(b"".join((head, _CRC.pack(checksum(chunk, checksum(head))), chunk)))

    def finish(self, digest: int) -> str:
        """The path of the file: lasting, and read back right (correctness L5)."""
        self._begin()
        self._append(
            _CHUNK.pack(0, 0) + _TRAILER.pack(self._chunks, self._bytes, digest.to_bytes(16))
        )
        self._append(_CRC.pack(self._crc))
        self._file.finish()
        self._snapshots.put(self._path + ".tmp", self._path, self._header)
        return self._path

    def abort(self) -> None:
        """Leave no trace; for a cut that is given up."""
        self._file.abort()

    def _begin(self) -> None:
        if not self._has_header:
            self._has_header = True
            self._append(self._header.pack())

    def _append(self, data: bytes) -> None:
        self._crc = checksum(data, self._crc)
        self._file.append(data)


class Incoming:
    """A snapshot file on its way from another node, byte for byte; all in a thread."""

    def __init__(self, disk: Disk, path: str) -> None:
        self._path = path
        self._file = _Writing(disk, path)

    def add(self, data: bytes) -> None:
        if data:
            self._file.append(data)

    def finish(self) -> str:
        """The path to give to `Snapshots.adopt`, which verifies the file."""
        self._file.finish()
        return self._path

    def abort(self) -> None:
        self._file.abort()


class Snapshots:
    """The snapshots of a node's shards: the newest of each, and older ones while they are sent."""

    def __init__(self, disk: Disk, data_directory: str, *, cluster_id: int) -> None:
        """Cleans up what a crash left and reads the header of each newest one; blocks."""
        self.disk = disk
        self._cluster_id = cluster_id
        self._directory = posixpath.join(data_directory, "snapshots")
        self._incoming = posixpath.join(data_directory, "incoming")
        self._numbers = count(1)
        self._kept: dict[ShardId, set[EntryId]] = {}
        self._leases: Counter[tuple[ShardId, EntryId]] = Counter()
        # Filled in the thread, so that what was never verified cannot be believed on the loop.
        self._verified: set[str] = set()
        self._doomed: deque[str] = deque()
        self.newest: dict[ShardId, SnapshotHeader] = {}
        for directory in (self._directory, self._incoming):
            disk.makedirs(directory)
        for name in disk.listdir(self._incoming):
            disk.unlink(posixpath.join(self._incoming, name))
        for name in disk.listdir(self._directory):
            path = posixpath.join(self._directory, name)
            match = _NAME.fullmatch(name)
            if match is not None:
                shard = ShardId(int(match[1]))
                self._kept.setdefault(shard, set()).add(EntryId(int(match[3]), int(match[2])))
            elif name.endswith(".tmp"):
                disk.unlink(path)
        # A rename that was read but never synced must last before the log relies on it.
        disk.fsync_dir(self._directory)
        for shard, places in self._kept.items():
            newest = max(places, key=lambda place: (place.index, place.term))
            self.newest[shard] = self._header_of(shard, newest)
            self._verified.add(self._path(shard, newest))

    def metas(self) -> dict[ShardId, SnapshotMeta]:
        """What `Log.open` wants to know."""
        return {shard: header.meta for shard, header in self.newest.items()}

    # --- In a thread.

    def size(self) -> int:
        """Bytes of the newest ones, which are loaded at start."""
        total = 0
        for shard, header in self.newest.items():
            file = self.disk.open(self._path(shard, header.meta.id))
            total += file.size()
            file.close()
        return total

    def read(self, shard: ShardId) -> SnapshotReader:
        """The newest snapshot of `shard`, to be loaded at start; its chunks are checked as read."""
        path = self._path(shard, self.newest[shard].meta.id)
        return SnapshotReader(self.disk, path, self._cluster_id)

    def put(self, source: str, target: str, header: SnapshotHeader) -> None:
        """Gives a synced file its name, lastingly, and checks it there."""
        self.sweep()
        self.disk.rename(source, target)
        self.disk.fsync_dir(self._directory)
        found = verify(self.disk, target, self._cluster_id).header
        if found != header:
            raise Corrupt(f"{target}: {found} read back instead of {header}")
        self._verified.add(target)

    def adopt(self, shard: ShardId, meta: SnapshotMeta, path: str) -> SnapshotReader:
        """Takes in a received file once all of it is verified; its reader, to load it from."""
        header = verify(self.disk, path, self._cluster_id).header
        if header.shard != shard or header.meta != meta:
            raise Corrupt(
                f"{path}: a snapshot of shard {header.shard} at {header.meta.id} came "
                f"as one of shard {shard} at {meta.id}"
            )
        target = self._path(shard, meta.id)
        self.put(path, target, header)
        self.disk.fsync_dir(self._incoming)
        return SnapshotReader(self.disk, target, self._cluster_id)

    def check(self, path: str) -> None:
        """Raises Corrupt unless a received file is whole."""
        verify(self.disk, path, self._cluster_id)

    def discard(self, path: str) -> None:
        """Delete a received file that is not wanted."""
        self.disk.unlink(path)

    @property
    def has_swept(self) -> bool:
        """Whether there is nothing left for `sweep` to delete."""
        return not self._doomed

    def sweep(self) -> None:
        """Delete the files that `forget_older` and `release` left; done before each new one too."""
        while self._doomed:
            path = self._doomed.popleft()
            with suppress(FileNotFoundError):
                self.disk.unlink(path)

    # --- On the loop.

    def begin(self, shard: ShardId, meta: SnapshotMeta, last_stamp_ms: int) -> SnapshotWriter:
        """A writer for the cut of `shard` at `meta`; nothing is on disk until its first chunk."""
        header = SnapshotHeader(self._cluster_id, shard, meta, last_stamp_ms)
        return SnapshotWriter(self, header, self._path(shard, meta.id))

    def receive(self, shard: ShardId, meta: SnapshotMeta) -> Incoming:
        """Where the bytes of a snapshot go that another node sends."""
        name = f"{shard}-{meta.id.index}-{meta.id.term}-{next(self._numbers)}.part"
        return Incoming(self.disk, posixpath.join(self._incoming, name))

    def forget_older(self, shard: ShardId, meta: SnapshotMeta) -> None:
        """The snapshot at `meta` is verified and the log leans on it: the older ones may go."""
        assert self._path(shard, meta.id) in self._verified, "a snapshot that nobody verified"
        kept = self._kept.setdefault(shard, set())
        kept.add(meta.id)
        for place in sorted(kept):
            if place.index < meta.id.index and not self._leases[(shard, place)]:
                self._doom(shard, place)

    def lease(self, shard: ShardId, meta: SnapshotMeta) -> str | None:
        """The path of a snapshot, which stays until `release`; None if it is gone."""
        if meta.id not in self._kept.get(shard, ()):
            return None
        self._leases[(shard, meta.id)] += 1
        return self._path(shard, meta.id)

    def release(self, shard: ShardId, meta: SnapshotMeta) -> None:
        """End a lease."""
        place = meta.id
        self._leases[(shard, place)] -= 1
        assert self._leases[(shard, place)] >= 0, "released more often than leased"
        if not self._leases[(shard, place)]:
            del self._leases[(shard, place)]
            if any(other.index > place.index for other in self._kept[shard]):
                self._doom(shard, place)

    def _doom(self, shard: ShardId, place: EntryId) -> None:
        self._kept[shard].discard(place)
        path = self._path(shard, place)
        self._verified.discard(path)
        self._doomed.append(path)

    # --- Inside.

    def _path(self, shard: ShardId, place: EntryId) -> str:
        return posixpath.join(self._directory, f"{shard}-{place.index}-{place.term}.snap")

    def _header_of(self, shard: ShardId, place: EntryId) -> SnapshotHeader:
        path = self._path(shard, place)
        reader = SnapshotReader(self.disk, path, self._cluster_id)
        reader.close()
        header = reader.header
        if header.shard != shard or header.meta.id != place:
            raise Corrupt(f"{path}: holds shard {header.shard} at {header.meta.id}")
        return header
