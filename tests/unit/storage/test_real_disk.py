"""The real disk, and the log and snapshots on it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trimaran.node.storage.disk import AlreadyLocked, RealDisk
from trimaran.node.storage.snapshots import Snapshots
from trimaran.node.storage.wal import Log, LogOptions

from .rig import CLUSTER, SHARD, appended, created, entries, meta


def test_files_are_written_grown_and_read_at_offsets(tmp_path: Path) -> None:
    disk = RealDisk()
    file = disk.create(f"{tmp_path}/f")
    file.preallocate(700_000)
    assert file.size() == 700_000
    file.pwrite(b"abc", 699_999)
    file.fdatasync()
    file.fsync()
    assert file.pread(10, 699_998) == b"\0abc"
    assert file.size() == 700_002
    file.close()
    file.close()
    assert os.stat(f"{tmp_path}/f").st_blocks * 512 >= 700_000
    with pytest.raises(FileExistsError):
        disk.create(f"{tmp_path}/f")
    reading = disk.open(f"{tmp_path}/f")
    with pytest.raises(OSError, match="Bad file descriptor"):
        reading.pwrite(b"x", 0)
    reading.close()


def test_directories_are_made_listed_and_synced(tmp_path: Path) -> None:
    disk = RealDisk()
    disk.makedirs(f"{tmp_path}/a/b")
    disk.makedirs(f"{tmp_path}/a/b")
    disk.create(f"{tmp_path}/a/b/2").close()
    disk.create(f"{tmp_path}/a/b/1").close()
    assert disk.listdir(f"{tmp_path}/a/b") == ["1", "2"]
    disk.rename(f"{tmp_path}/a/b/1", f"{tmp_path}/a/b/2")
    disk.fsync_dir(f"{tmp_path}/a/b")
    assert disk.listdir(f"{tmp_path}/a/b") == ["2"]
    assert disk.exists(f"{tmp_path}/a/b/2")
    disk.unlink(f"{tmp_path}/a/b/2")
    assert not disk.exists(f"{tmp_path}/a/b/2")


def test_a_lock_names_the_process_that_holds_it(tmp_path: Path) -> None:
    disk = RealDisk()
    lock = disk.lock(f"{tmp_path}/lock")
    with pytest.raises(AlreadyLocked) as caught:
        disk.lock(f"{tmp_path}/lock")
    assert caught.value.pid == os.getpid()
    lock.release()
    lock.release()
    disk.lock(f"{tmp_path}/lock").release()


def test_log_and_snapshots_come_back_from_real_files(tmp_path: Path) -> None:
    disk = RealDisk()
    options = LogOptions(segment_bytes=64 << 10)
    data = str(tmp_path)
    log, _ = Log.open(disk, f"{data}/log", cluster_id=CLUSTER, snapshots={}, options=options)
    log.write(log.stage([created()]))
    for index in range(1, 11):
        if work := log.prepare():
            work()
        log.write(log.stage([appended(1, index, index, b"." * 20_000)]))
    snapshots = Snapshots(disk, data, cluster_id=CLUSTER)
    writer = snapshots.begin(SHARD, meta(1, 9), 1234)
    writer.add(b"keys" * 1000)
    writer.finish(77)
    log.compacted(SHARD, meta(1, 9), 10)
    log.write(log.stage([]))
    freed = log.free_segments()
    assert len(freed) >= 3
    log.unlink(freed)
    log.close()

    snapshots = Snapshots(disk, data, cluster_id=CLUSTER)
    log, found = Log.open(
        disk, f"{data}/log", cluster_id=CLUSTER, snapshots=snapshots.metas(), options=options
    )
    log.close()
    assert found[SHARD].restored.snapshot == meta(1, 9)
    assert found[SHARD].restored.entries == entries(1, 10, 10, b"." * 20_000)
    reader = snapshots.read(SHARD)
    assert reader.next_chunk() == b"keys" * 1000
    assert reader.next_chunk() is None
    reader.check_digest(77)
