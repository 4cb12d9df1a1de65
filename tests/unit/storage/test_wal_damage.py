"""Rule L1: what is a torn tail, what is damage, and what is another life's leftover."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from trimaran.node.errors import Corrupt
from trimaran.node.storage.records import (
    FRAME_BYTES,
    SEGMENT_START,
    pack_batch,
    pack_segment_header,
    read_frame,
)

from .rig import CLUSTER, DIRECTORY, OTHER, Rig, appended, created, voted

if TYPE_CHECKING:
    from trimaran.node.storage.sim_disk import SimDisk

FIRST = f"{DIRECTORY}/000000000001.log"


def content(disk: SimDisk, path: str) -> bytes:
    file = disk.open(path)
    return file.pread(file.size(), 0)


def overwrite(disk: SimDisk, path: str, data: bytes, offset: int = 0) -> None:
    file = disk.open(path, is_writable=True)
    file.pwrite(data, offset)
    file.fsync()


def test_a_batch_torn_at_any_byte_is_dropped_and_everything_before_it_kept() -> None:
    rig = Rig()
    rig.save(created(), voted(1, 1), appended(1, 1, 2))
    start = rig.log.stage([]).offset
    rig.restart()
    rig.save(appended(1, 3, 5))
    whole = content(rig.disk, FIRST)
    end = len(whole.rstrip(b"\0"))
    assert end > start + FRAME_BYTES
    for cut in range(start, end):
        overwrite(rig.disk, FIRST, whole[start:cut].ljust(end - start, b"\0"), start)
        rig.restart()
        assert rig.entries_of() == [(1, 1), (2, 1)], cut
    overwrite(rig.disk, FIRST, whole)
    rig.restart()
    assert len(rig.entries_of()) == 5


def test_a_batch_with_any_byte_changed_is_not_believed() -> None:
    rig = Rig()
    rig.save(created(), appended(1, 1, 2))
    start = rig.log.stage([]).offset
    rig.restart()
    rig.save(appended(1, 3, 3))
    end = len(content(rig.disk, FIRST).rstrip(b"\0"))
    for offset in range(start, end):
        rig.disk.damage(FIRST, offset)
        rig.restart()
        assert rig.entries_of() == [(1, 1), (2, 1)], offset
        rig.disk.damage(FIRST, offset)


def test_a_dropped_tail_is_written_over() -> None:
    rig = Rig()
    rig.save(created(), appended(1, 1, 1))
    start = rig.log.stage([]).offset
    rig.restart()
    rig.save(appended(1, 2, 2, b"." * 2000))
    rig.disk.damage(FIRST, start + FRAME_BYTES)
    rig.restart()
    rig.save(appended(2, 2, 2))
    rig.save(appended(2, 3, 3))
    rig.lose_power()
    assert rig.entries_of() == [(1, 1), (2, 2), (3, 2)]


@pytest.mark.parametrize(
    ("byte", "shards"),
    [(0, "unknown"), (4, "4"), (20, "4"), (40, "4"), (FRAME_BYTES + 4, "unknown")],
    ids=["magic", "version", "segment", "length", "record kind"],
)
def test_a_bad_batch_before_a_good_one_is_damage_named_by_file_offset_and_shard(
    byte: int, shards: str
) -> None:
    rig = Rig()
    rig.save(created(), created(OTHER))
    start = rig.log.stage([]).offset
    rig.restart()
    rig.save(appended(1, 1, 1, shard=OTHER))
    rig.save(appended(1, 2, 2, shard=OTHER))
    rig.disk.damage(FIRST, start + byte)
    with pytest.raises(
        Corrupt, match=rf"{FIRST}: log batch 2 at {start} is damaged \(shards: {shards}\)"
    ):
        rig.restart()


def test_a_bad_last_batch_of_a_full_segment_is_damage() -> None:
    rig = Rig()
    rig.save(created())
    start = rig.log.stage([]).offset
    rig.restart()
    rig.save(appended(1, 1, 1, b"." * 2500))
    rig.save(appended(1, 2, 2, b"." * 2500))
    assert len(rig.segments()) == 2
    rig.disk.damage(FIRST, start + 100)
    with pytest.raises(Corrupt, match=rf"{FIRST}: log batch 2 at {start} is damaged"):
        rig.restart()


def test_a_bad_first_batch_of_a_later_segment_is_damage_if_another_follows() -> None:
    rig = Rig()
    rig.save(created())
    rig.save(appended(1, 1, 1, b"." * 5000))
    rig.save(appended(1, 2, 2, b"." * 5000))
    second = rig.segments()[1]
    rig.disk.damage(second, SEGMENT_START + 100)
    with pytest.raises(Corrupt, match=rf"{second}: log batch 2 at {SEGMENT_START} is damaged"):
        rig.restart()


def test_a_segment_without_its_header_may_only_be_the_last() -> None:
    rig = Rig()
    rig.save(created(), appended(1, 1, 1))
    work = rig.log.prepare()
    assert work is not None
    work()
    first, second = rig.segments()
    rig.disk.damage(second, 3)
    rig.restart()
    assert rig.entries_of() == [(1, 1)]
    assert rig.segments() == [first]
    rig.save(appended(1, 2, 2, b"." * 5000))
    rig.disk.damage(first, 3)
    with pytest.raises(Corrupt, match=rf"{first}: no log segment header"):
        rig.restart()


def test_a_last_segment_that_lost_its_header_but_holds_batches_is_damage() -> None:
    rig = Rig()
    rig.save(created())
    rig.save(appended(1, 1, 1, b"." * 5000))
    rig.disk.damage(rig.segments()[1], 3)
    with pytest.raises(Corrupt, match=r"log batch 2 .* is damaged"):
        rig.restart()


def test_a_missing_segment_is_damage() -> None:
    rig = Rig()
    rig.save(created())
    for index in range(1, 4):
        rig.save(appended(1, index, index, b"." * 5000))
    rig.disk.unlink(rig.segments()[2])
    with pytest.raises(Corrupt, match=r"000000000004.log: the log segment before it, number 3"):
        rig.restart()


def test_a_first_segment_that_is_missing_though_it_was_needed_is_damage() -> None:
    rig = Rig()
    rig.save(created())
    for index in range(1, 4):
        rig.save(appended(1, index, index, b"." * 3000))
    rig.disk.unlink(rig.segments()[0])
    with pytest.raises(Corrupt, match="log of shard 3 goes on with entry 2, but entry 1 is mis"):
        rig.restart()


def test_an_only_segment_whose_head_is_gone_is_damage_and_no_empty_log() -> None:
    rig = Rig()
    rig.save(created(), voted(3, 1), appended(1, 1, 1))
    rig.compact(1, 1)
    rig.save(appended(1, 2, 2, b"." * 5000))
    rig.compact(1, 2)
    rig.save()
    rig.free()
    (only,) = rig.segments()
    overwrite(rig.disk, only, bytes(len(content(rig.disk, only)) - SEGMENT_START), SEGMENT_START)
    with pytest.raises(Corrupt, match="where the state of every shard was"):
        rig.restart()


def test_a_recycled_segment_holds_nothing_of_its_earlier_life() -> None:
    """The number is in every checksum: or the old votes and entries would count again."""
    rig = Rig()
    rig.save(created(), voted(1, 1), appended(1, 1, 3))
    old = content(rig.disk, FIRST)
    second = f"{DIRECTORY}/000000000002.log"
    header = pack_segment_header(CLUSTER, 2)
    overwrite_new(rig.disk, second, header + old[len(header) :])
    rig.save(appended(1, 4, 4))
    rig.restart()
    assert rig.entries_of() == [(index, 1) for index in range(1, 5)]
    rig.save(appended(2, 2, 2, b"." * 5000))  # Goes into the recycled one.
    assert len(rig.segments()) == 2
    rig.restart()
    assert rig.entries_of() == [(1, 1), (2, 2)]


def overwrite_new(disk: SimDisk, path: str, data: bytes) -> None:
    disk.create(path).close()
    overwrite(disk, path, data)
    disk.fsync_dir(DIRECTORY)


def test_a_whole_batch_counts_only_at_its_own_place() -> None:
    batch = pack_batch(cluster_id=CLUSTER, segment=5, number=9, offset=8192, records=b"r" * 30)
    here = bytes(8192) + batch

    def read(data: bytes, offset: int, *, cluster_id: int = CLUSTER, segment: int = 5) -> bool:
        frame = read_frame(data, offset, cluster_id=cluster_id, segment=segment, path="f")
        return frame is not None

    assert read(here, 8192)
    assert not read(here, 8192, segment=6)
    assert not read(here, 8192, cluster_id=1)
    assert not read(b"." + here, 8193)
    # Nor after an edit that keeps its header plausible: the checksum covers number and offset.
    moved = bytearray(here)
    struct.pack_into(">Q", moved, 8192 + 16, 6)
    assert not read(bytes(moved), 8192, segment=6)


def test_another_format_version_stops_with_both_named() -> None:
    rig = Rig()
    rig.save(created())
    overwrite(rig.disk, FIRST, struct.pack(">I", 7), 8)
    with pytest.raises(
        Corrupt, match=r"log format version 7 found, 1 expected: .*another version of trimaran"
    ):
        rig.restart()
