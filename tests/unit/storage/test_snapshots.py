"""Snapshot files: whole or not there, verified before they count, kept while they are read."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

import pytest

from trimaran.node.errors import Corrupt, IdentityError
from trimaran.node.storage.sim_disk import PowerCut, SimDisk
from trimaran.node.storage.snapshots import SnapshotReader, Snapshots

from .rig import CLUSTER, OTHER, SHARD, VOTERS, meta

if TYPE_CHECKING:
    from trimaran.node.raft.types import SnapshotMeta

CHUNKS = [b"a" * 1000, b"b", b"c" * 5000]
DIGEST = 0xFEDCBA9876543210
PLACE = "/data/snapshots/3-20-2.snap"


@dataclass
class Store:
    seed: int = 1
    disk: SimDisk = field(init=False)
    snapshots: Snapshots = field(init=False)

    def __post_init__(self) -> None:
        self.disk = SimDisk(Random(self.seed))
        self.open()

    def open(self) -> None:
        self.snapshots = Snapshots(self.disk, "/data", cluster_id=CLUSTER)

    def write(self, term: int = 2, index: int = 20) -> SnapshotMeta:
        writer = self.snapshots.begin(SHARD, meta(term, index), 1234)
        for chunk in CHUNKS:
            writer.add(chunk)
        writer.finish(DIGEST)
        return meta(term, index)

    def take(self, term: int = 2, index: int = 20) -> SnapshotMeta:
        """As the engine does: once the file is right, older ones are not needed."""
        written = self.write(term, index)
        self.snapshots.forget_older(SHARD, written)
        self.snapshots.sweep()
        return written

    def names(self, directory: str = "snapshots") -> list[str]:
        return self.disk.listdir(f"/data/{directory}")

    def content(self, path: str = PLACE) -> bytes:
        file = self.disk.open(path)
        return file.pread(file.size(), 0)

    def receive(self, data: bytes, place: SnapshotMeta) -> str:
        incoming = self.snapshots.receive(SHARD, place)
        for start in range(0, len(data), 700):
            incoming.add(data[start : start + 700])
        return incoming.finish()


def chunks(reader: SnapshotReader) -> list[bytes]:
    found = []
    while (chunk := reader.next_chunk()) is not None:
        found.append(chunk)
    return found


def test_a_snapshot_survives_the_power_and_gives_back_what_was_written() -> None:
    store = Store()
    store.take()
    store.disk.power_cut()
    store.open()
    assert store.snapshots.metas() == {SHARD: meta(2, 20)}
    header = store.snapshots.newest[SHARD]
    assert (header.cluster_id, header.last_stamp_ms) == (CLUSTER, 1234)
    assert header.meta.voters == VOTERS
    reader = store.snapshots.read(SHARD)
    assert chunks(reader) == CHUNKS
    assert reader.next_chunk() is None
    reader.check_digest(DIGEST)


def test_an_empty_keyspace_has_a_snapshot_too() -> None:
    store = Store()
    writer = store.snapshots.begin(SHARD, meta(1, 1), 0)
    writer.add(b"")
    writer.finish(0)
    store.open()
    reader = store.snapshots.read(SHARD)
    assert chunks(reader) == []
    reader.check_digest(0)


def test_a_keyspace_with_another_digest_is_corrupt() -> None:
    store = Store()
    store.take()
    store.open()
    reader = store.snapshots.read(SHARD)
    chunks(reader)
    with pytest.raises(Corrupt, match=r"3-20-2\.snap .*digest fedcba9876543210 expected, 1 loaded"):
        reader.check_digest(1)


def test_the_power_cut_anywhere_leaves_the_old_snapshot_or_the_new_one() -> None:
    seen: set[int] = set()
    for seed in range(15):
        for operations in range(1, 40):
            store = Store(seed)
            store.take(1, 10)
            store.disk.cut_power_in(operations)
            try:
                store.take(2, 20)
            except PowerCut:
                is_done = False
            else:
                is_done = True
            store.disk.power_cut()
            store.open()
            place = store.snapshots.newest[SHARD].meta.id
            assert place.index == 20 or not is_done
            reader = store.snapshots.read(SHARD)
            assert chunks(reader) == CHUNKS
            assert not any(name.endswith(".tmp") for name in store.names())
            seen.add(place.index)
            if is_done:
                break
    assert seen == {10, 20}


def test_every_changed_byte_is_noticed_and_the_file_named() -> None:
    store = Store()
    store.take()
    size = len(store.content())
    for offset in range(size):
        store.disk.damage(PLACE, offset)
        with pytest.raises((Corrupt, IdentityError), match=PLACE):
            chunks(SnapshotReader(store.disk, PLACE, CLUSTER))
        store.disk.damage(PLACE, offset)
    assert chunks(SnapshotReader(store.disk, PLACE, CLUSTER)) == CHUNKS


def test_every_missing_or_added_byte_is_noticed() -> None:
    store = Store()
    store.take()
    whole = store.content()
    for size in (*range(0, len(whole), 7), len(whole) - 1):
        path = store.receive(whole[:size] or b"?", meta(2, 20))
        with pytest.raises(Corrupt, match="damaged snapshot"):
            store.snapshots.adopt(SHARD, meta(2, 20), path)
    path = store.receive(whole + b"\0", meta(2, 20))
    with pytest.raises(Corrupt, match="trailer does not fit"):
        store.snapshots.adopt(SHARD, meta(2, 20), path)


def test_a_damaged_newest_snapshot_is_not_passed_over_for_an_older_one() -> None:
    store = Store()
    store.take(1, 10)
    store.write(2, 20)
    store.disk.damage(PLACE, 30)
    with pytest.raises(Corrupt, match=PLACE):
        store.open()


def test_a_snapshot_that_does_not_read_back_right_never_counts() -> None:
    store = Store()
    store.take(1, 10)
    writer = store.snapshots.begin(SHARD, meta(2, 20), 0)
    writer.add(b"x" * 100)
    store.disk.damage(PLACE + ".tmp", 120)
    with pytest.raises(Corrupt, match=PLACE):
        writer.finish(1)
    with pytest.raises(AssertionError, match="nobody verified"):
        store.snapshots.forget_older(SHARD, meta(2, 20))
    assert store.snapshots.lease(SHARD, meta(1, 10)) is not None


def test_a_file_under_the_wrong_name_is_corrupt() -> None:
    store = Store()
    store.take()
    store.disk.rename(PLACE, "/data/snapshots/3-21-2.snap")
    with pytest.raises(Corrupt, match=r"3-21-2\.snap: holds shard 3 at .*index=20"):
        store.open()


def test_another_format_version_stops_with_both_named() -> None:
    store = Store()
    store.take()
    file = store.disk.open(PLACE, is_writable=True)
    file.pwrite(struct.pack(">I", 9), 8)
    with pytest.raises(Corrupt, match="snapshot format version 9 found, 1 expected"):
        store.open()


def test_a_snapshot_of_another_cluster_is_refused() -> None:
    store = Store()
    store.take()
    with pytest.raises(IdentityError, match=r"0000000000c0ffee.*0000000000000007"):
        Snapshots(store.disk, "/data", cluster_id=7)


def test_older_snapshots_go_when_a_newer_one_is_verified() -> None:
    store = Store()
    store.take(1, 10)
    store.write(2, 20)
    assert store.names() == ["3-10-1.snap", "3-20-2.snap"]
    store.snapshots.forget_older(SHARD, meta(2, 20))
    store.snapshots.sweep()
    assert store.names() == ["3-20-2.snap"]


def test_older_snapshots_go_with_the_next_one_even_if_nobody_sweeps() -> None:
    store = Store()
    for index in (10, 20, 30):
        store.snapshots.forget_older(SHARD, store.write(1, index))
    assert store.names() == ["3-20-1.snap", "3-30-1.snap"]


def test_a_snapshot_being_sent_stays_until_it_is_released() -> None:
    store = Store()
    old = store.take(1, 10)
    path = store.snapshots.lease(SHARD, old)
    assert path == store.snapshots.lease(SHARD, old) == "/data/snapshots/3-10-1.snap"
    store.take(2, 20)
    store.snapshots.release(SHARD, old)
    store.take(2, 30)
    assert "3-10-1.snap" in store.names()
    store.snapshots.release(SHARD, old)
    store.snapshots.sweep()
    assert store.names() == ["3-30-2.snap"]
    assert store.snapshots.lease(SHARD, old) is None


def test_the_newest_snapshot_stays_when_it_was_sent() -> None:
    store = Store()
    place = store.take()
    store.snapshots.lease(SHARD, place)
    store.snapshots.release(SHARD, place)
    store.snapshots.sweep()
    assert store.names() == ["3-20-2.snap"]


def test_a_cut_that_is_given_up_leaves_no_file() -> None:
    store = Store()
    writer = store.snapshots.begin(SHARD, meta(2, 20), 0)
    writer.abort()
    writer = store.snapshots.begin(SHARD, meta(2, 20), 0)
    writer.add(b"x")
    writer.abort()
    assert store.names() == []


def test_a_received_snapshot_is_adopted_whole_and_lasts() -> None:
    source = Store()
    source.take()
    store = Store(2)
    path = store.receive(source.content(), meta(2, 20))
    assert store.names() == []
    reader = store.snapshots.adopt(SHARD, meta(2, 20), path)
    assert chunks(reader) == CHUNKS
    store.snapshots.forget_older(SHARD, meta(2, 20))
    assert store.snapshots.lease(SHARD, meta(2, 20)) == PLACE
    store.disk.power_cut()
    store.open()
    assert store.snapshots.metas() == {SHARD: meta(2, 20)}
    assert store.names("incoming") == []


@pytest.mark.parametrize(
    ("shard", "place"), [(OTHER, meta(2, 20)), (SHARD, meta(3, 20)), (SHARD, meta(2, 21))]
)
def test_a_received_snapshot_of_something_else_is_not_adopted(
    shard: int, place: SnapshotMeta
) -> None:
    store = Store()
    store.take()
    path = store.receive(store.content(), place)
    with pytest.raises(Corrupt, match=r"a snapshot of shard 3 at .* came as one of shard"):
        store.snapshots.adopt(OTHER if shard == OTHER else SHARD, place, path)


def test_what_was_received_in_part_is_gone_after_a_start() -> None:
    store = Store()
    incoming = store.snapshots.receive(SHARD, meta(2, 20))
    incoming.add(b"half")
    other = store.snapshots.receive(SHARD, meta(2, 20))
    other.add(b"half")
    assert len(store.names("incoming")) == 2
    other.abort()
    assert len(store.names("incoming")) == 1
    store.disk.kill()
    store.open()
    assert store.names("incoming") == []


def test_a_received_file_that_is_not_wanted_can_be_dropped() -> None:
    store = Store()
    store.snapshots.discard(store.receive(b"whatever", meta(2, 20)))
    assert store.names("incoming") == []
