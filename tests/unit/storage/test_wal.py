"""The log as it runs: what is staged is written where it should be, and read again at start."""

from __future__ import annotations

import errno
import threading

import pytest

from trimaran.cluster.slots import ShardId
from trimaran.node.errors import Corrupt, IdentityError
from trimaran.node.raft.types import NOBODY, ZERO, HardState, ReplicaId, SnapshotMeta
from trimaran.node.storage.wal import Log, LogOptions, ShardSave

from .rig import (
    CLUSTER,
    DIRECTORY,
    OTHER,
    SHARD,
    VOTERS,
    Rig,
    appended,
    created,
    entries,
    meta,
    voted,
)


def test_an_empty_directory_opens_as_an_empty_log() -> None:
    rig = Rig()
    assert rig.found == {}
    rig.restart()
    assert rig.found == {}


def test_a_created_replica_is_found_with_its_voters_and_no_promises() -> None:
    rig = Rig()
    rig.save(created(replica=2))
    rig.lose_power()
    found = rig.found[SHARD]
    assert found.replica == 2
    assert found.restored.hard_state == HardState(0, NOBODY)
    assert found.restored.snapshot == SnapshotMeta(ZERO, VOTERS)
    assert found.restored.entries == ()


def test_all_shards_of_a_turn_come_back_from_one_batch() -> None:
    rig = Rig()
    rig.save(created(), created(OTHER, replica=3))
    syncs = rig.disk.syncs
    rig.save(
        ShardSave(SHARD, HardState(2, ReplicaId(1)), entries(2, 1, 3)),
        ShardSave(OTHER, HardState(5, ReplicaId(3)), entries(4, 1, 1)),
    )
    assert rig.disk.syncs == syncs + 1
    rig.lose_power()
    assert rig.found[SHARD].restored.hard_state == HardState(2, ReplicaId(1))
    assert rig.found[SHARD].restored.entries == entries(2, 1, 3)
    assert rig.found[OTHER].restored.hard_state == HardState(5, ReplicaId(3))
    assert rig.found[OTHER].restored.entries == entries(4, 1, 1)


def test_staging_alone_promises_nothing() -> None:
    rig = Rig()
    rig.save(created())
    rig.log.stage([appended(1, 1, 1)])
    rig.lose_power()
    assert rig.entries_of() == []


def test_a_log_goes_on_behind_its_last_batch_after_a_start() -> None:
    rig = Rig()
    rig.save(created(), appended(1, 1, 2))
    rig.restart()
    rig.save(appended(1, 3, 4))
    rig.restart()
    assert rig.entries_of() == [(1, 1), (2, 1), (3, 1), (4, 1)]
    assert len(rig.segments()) == 1


def test_a_full_segment_is_followed_by_the_next() -> None:
    rig = Rig()
    rig.save(created())
    for index in range(1, 31):
        rig.save(appended(1, index, index, b"." * 500))
    assert len(rig.segments()) > 3
    assert rig.log.bytes_on_disk == len(rig.segments()) * rig.options.segment_bytes
    rig.lose_power()
    assert rig.entries_of() == [(index, 1) for index in range(1, 31)]


def test_a_batch_larger_than_a_segment_gets_a_segment_of_its_own_size() -> None:
    rig = Rig()
    rig.save(created(), appended(1, 1, 1))
    rig.save(appended(1, 2, 2, b"." * 100_000))
    rig.save(appended(1, 3, 3))
    assert len(rig.segments()) == 3
    assert rig.log.bytes_on_disk > 100_000 + 2 * rig.options.segment_bytes
    rig.lose_power()
    assert rig.entries_of() == [(1, 1), (2, 1), (3, 1)]


def test_a_segment_made_ahead_is_the_next_one_used() -> None:
    rig = Rig()
    rig.save(created())
    work = rig.log.prepare()
    assert work is not None
    assert rig.log.prepare() is None  # One is under way.
    work()
    assert len(rig.segments()) == 2
    syncs = rig.disk.syncs
    rig.save(appended(1, 1, 1, b"." * 5000))  # Does not fit into the first.
    assert rig.disk.syncs == syncs + 1
    assert len(rig.segments()) == 2
    rig.lose_power()
    assert rig.entries_of() == [(1, 1)]


def test_no_segment_is_made_ahead_of_one_that_is_not_there_yet() -> None:
    # Or a crash would leave a segment without a header that is not the last (correctness L1).
    rig = Rig()
    rig.save(created())
    staged = rig.log.stage([appended(1, 1, 1, b"." * 5000)])
    assert rig.log.prepare() is None
    rig.log.write(staged)
    assert rig.log.prepare() is not None


def test_a_write_waits_for_its_segment_being_made_in_another_thread() -> None:
    rig = Rig()
    rig.save(created())
    work = rig.log.prepare()
    assert work is not None
    staged = rig.log.stage([appended(1, 1, 1, b"." * 5000)])
    thread = threading.Thread(target=work)
    thread.start()
    rig.log.write(staged)
    thread.join()
    rig.lose_power()
    assert rig.entries_of() == [(1, 1)]


def test_fsync_never_skips_the_sync_and_nothing_else() -> None:
    rig = Rig(options=LogOptions(segment_bytes=8192, is_synced=False))
    rig.save(created())
    syncs = rig.disk.syncs
    rig.save(appended(1, 1, 1))
    assert rig.disk.syncs == syncs
    rig.restart()
    assert rig.entries_of() == [(1, 1)]


def test_a_failed_sync_is_final_for_the_log() -> None:  # correctness L8
    rig = Rig()
    rig.save(created())
    rig.disk.fail_sync_in(1)
    staged = rig.log.stage([appended(1, 1, 1)])
    with pytest.raises(OSError, match="sync failed"):
        rig.log.write(staged)
    with pytest.raises(AssertionError, match="after one that failed"):
        rig.log.write(staged)


def test_what_a_failed_sync_dropped_is_written_again_at_the_next_start() -> None:
    # The page looks clean in memory: read back, promised, and then gone with the power.
    for seed in range(20):
        rig = Rig(seed)
        rig.save(created())
        rig.disk.fail_sync_in(1)
        with pytest.raises(OSError, match="sync failed"):
            rig.save(appended(1, 1, 1))
        rig.restart()
        found = rig.entries_of()
        rig.lose_power()
        assert rig.entries_of() == found == [(1, 1)]


def test_a_segment_whose_making_failed_keeps_its_header_after_the_next_start() -> None:
    for seed in range(20):
        rig = Rig(seed)
        rig.save(created())
        work = rig.log.prepare()
        assert work is not None
        rig.disk.fail_sync_in(2)  # The zeros are synced, the header is not.
        with pytest.raises(OSError, match="sync failed"):
            work()
        rig.restart()
        rig.save(appended(1, 1, 1, b"." * 5000))
        rig.lose_power()
        assert rig.entries_of() == [(1, 1)]


def test_a_full_disk_stops_the_log_before_anything_is_promised() -> None:
    rig = Rig()
    rig.save(created(), appended(1, 1, 1))
    rig.disk.bytes_max = rig.disk.bytes_used + 1000
    with pytest.raises(OSError, match="no space") as caught:
        rig.save(appended(1, 2, 2, b"." * 5000))
    assert caught.value.errno == errno.ENOSPC
    rig.disk.bytes_max = None
    rig.restart()
    assert rig.entries_of() == [(1, 1)]
    rig.save(appended(1, 2, 2, b"." * 5000))
    rig.lose_power()
    assert rig.entries_of() == [(1, 1), (2, 1)]


def test_batches_are_written_in_the_order_of_staging() -> None:
    rig = Rig()
    rig.log.stage([created()])
    second = rig.log.stage([appended(1, 1, 1)])
    with pytest.raises(AssertionError, match="order of staging"):
        rig.log.write(second)


@pytest.mark.parametrize(
    "save",
    [
        appended(1, 4, 5),
        ShardSave(SHARD, entries=(*entries(1, 3, 3), *entries(1, 5, 5))),
        voted(1),
        ShardSave(SHARD, entries=entries(1, 3, 3)),
        created(replica=9),
    ],
    ids=["gap", "gap inside", "term falls", "entry of an older term", "created twice"],
)
def test_the_log_refuses_what_no_replica_may_save(save: ShardSave) -> None:
    rig = Rig()
    rig.save(created(), voted(2), appended(2, 1, 2))
    with pytest.raises(AssertionError):
        rig.log.stage([save])


def test_the_log_of_another_cluster_is_refused_with_both_named() -> None:
    rig = Rig()
    rig.save(created())
    with pytest.raises(IdentityError, match=r"0000000000c0ffee.*00000000000000ab"):
        Log.open(rig.disk, DIRECTORY, cluster_id=0xAB, snapshots={})


def test_a_snapshot_of_a_shard_that_the_log_does_not_know_stops_the_node() -> None:
    rig = Rig()
    rig.save(created())
    rig.snapshots[ShardId(9)] = meta(1, 5)
    with pytest.raises(Corrupt, match="snapshot of shard 9"):
        rig.restart()


def test_closing_leaves_everything_readable() -> None:
    rig = Rig()
    rig.save(created(), appended(1, 1, 2))
    rig.log.close()
    _, found = Log.open(rig.disk, DIRECTORY, cluster_id=CLUSTER, snapshots={})
    assert found[SHARD].restored.entries == entries(1, 1, 2)
