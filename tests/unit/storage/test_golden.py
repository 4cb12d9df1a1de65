"""The files of format version 1, byte for byte, so that no format changes in silence.

After a deliberate change, with its new format version, they are written anew by
`python -m trimaran.tests.unit.storage.test_golden`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from trimaran.node.raft.types import Entry, EntryId, EntryKind, HardState, ReplicaId, Restored
from trimaran.node.storage.identity import DataDirectory, Founder, Founding, Identity
from trimaran.node.storage.records import Kind, read_frame, records_in
from trimaran.node.storage.sim_disk import SimDisk
from trimaran.node.storage.snapshots import SnapshotReader, Snapshots
from trimaran.node.storage.wal import Log, LogOptions, RestoredShard, ShardSave

from .rig import (
    CLUSTER,
    DIRECTORY,
    OTHER,
    SHARD,
    VOTERS,
    appended,
    created,
    entries,
    meta,
    voted,
)

GOLDEN = Path(__file__).parent / "golden"
SEGMENT = f"{DIRECTORY}/000000000002.log"
SNAPSHOT = "/data/snapshots/3-20-2.snap"
IDENTITY = Identity(
    "n1",
    0x1111,
    16,
    CLUSTER,
    Founding(
        CLUSTER,
        (Founder("n1", 0x1111, "10.0.0.1:7381"), Founder("n2", 0x2222, "10.0.0.2:7381")),
        16,
        "9a0364b9",
    ),
    is_started=True,
)


def segment() -> bytes:
    """The second segment of a log that holds every kind of record there is."""
    disk = SimDisk(Random(1))
    log, _ = Log.open(
        disk,
        DIRECTORY,
        cluster_id=CLUSTER,
        snapshots={},
        options=LogOptions(segment_bytes=8192),
    )
    end = 0

    def save(*saves: ShardSave) -> None:
        nonlocal end
        staged = log.stage(saves)
        log.write(staged)
        end = staged.offset + staged.size

    save(created(), voted(1, 2), appended(1, 1, 2), appended(1, 3, 3, b"." * 3700))
    save(ShardSave(SHARD, HardState(2, ReplicaId(1)), entries(2, 3, 3, b"." * 200)))
    save(
        ShardSave(SHARD, entries=(Entry(2, 4, EntryKind.EMPTY, b""), *entries(2, 5, 6))),
        created(OTHER, replica=3),
    )
    log.compacted(SHARD, meta(2, 4), 2)
    save(appended(2, 5, 6), voted(9, 3, OTHER))
    save(ShardSave(OTHER, reset=meta(8, 100)), appended(9, 101, 101, shard=OTHER))
    assert disk.listdir(DIRECTORY)[-1] == SEGMENT.rpartition("/")[2]
    file = disk.open(SEGMENT)
    return file.pread(end, 0)


def snapshot() -> bytes:
    disk = SimDisk(Random(1))
    writer = Snapshots(disk, "/data", cluster_id=CLUSTER).begin(SHARD, meta(2, 20), 1234567890123)
    writer.add(b"first chunk")
    writer.add(b"second chunk")
    path = writer.finish(0x0123456789ABCDEF)
    file = disk.open(path)
    return file.pread(file.size(), 0)


def identity() -> bytes:
    disk = SimDisk(Random(1))
    directory = DataDirectory.open(disk, "/data", name="n1", shards=16, incarnation=0x1111)
    assert IDENTITY.founding is not None
    directory.agree(IDENTITY.founding)
    directory.form(CLUSTER)
    directory.mark_started()
    file = disk.open("/data/identity.json")
    return file.pread(file.size(), 0)


FILES = {"segment.log": segment, "3-20-2.snap": snapshot, "identity.json": identity}


def placed(path: str, name: str) -> SimDisk:
    """A disk with a golden file at `path`."""
    disk = SimDisk(Random(1))
    disk.makedirs(path.rpartition("/")[0])
    file = disk.create(path)
    file.pwrite((GOLDEN / name).read_bytes(), 0)
    return disk


@pytest.mark.parametrize("name", FILES)
def test_what_is_written_today_is_what_version_1_wrote(name: str) -> None:
    assert FILES[name]() == (GOLDEN / name).read_bytes()


def test_a_segment_of_version_1_is_read() -> None:
    disk = placed(SEGMENT, "segment.log")
    snapshots = {SHARD: meta(2, 4), OTHER: meta(8, 100)}
    _, found = Log.open(disk, DIRECTORY, cluster_id=CLUSTER, snapshots=snapshots)
    assert found == {
        SHARD: RestoredShard(
            ReplicaId(1), Restored(HardState(2, ReplicaId(1)), meta(2, 4), entries(2, 5, 6))
        ),
        OTHER: RestoredShard(
            ReplicaId(3),
            Restored(HardState(9, ReplicaId(3)), meta(8, 100), entries(9, 101, 101)),
        ),
    }


def test_the_golden_segment_holds_every_kind_of_record() -> None:
    data = (GOLDEN / "segment.log").read_bytes()
    kinds: set[Kind] = set()
    offset = 4096
    while frame := read_frame(data, offset, cluster_id=CLUSTER, segment=2, path=SEGMENT):
        kinds |= {record.kind for record in records_in(data, frame.start, frame.end, path=SEGMENT)}
        offset = frame.end
    assert kinds == set(Kind)
    assert offset == len(data)


def test_a_snapshot_of_version_1_is_read() -> None:
    reader = SnapshotReader(placed(SNAPSHOT, "3-20-2.snap"), SNAPSHOT, CLUSTER)
    assert reader.header.shard == SHARD
    assert reader.header.meta == replace(meta(2, 20), id=EntryId(2, 20), voters=VOTERS)
    assert reader.header.last_stamp_ms == 1234567890123
    assert [reader.next_chunk() for _ in range(3)] == [b"first chunk", b"second chunk", None]
    assert reader.digest == 0x0123456789ABCDEF


def test_an_identity_of_version_1_is_read() -> None:
    disk = placed("/data/identity.json", "identity.json")
    directory = DataDirectory.open(disk, "/data", name="n1", shards=None, incarnation=0)
    assert directory.identity == IDENTITY


if __name__ == "__main__":
    for file_name, make in FILES.items():
        (GOLDEN / file_name).write_bytes(make())
