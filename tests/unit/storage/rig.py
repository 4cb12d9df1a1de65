"""A log on a simulated disk, and short ways to say what is saved in it."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from trimaran.cluster.slots import ShardId
from trimaran.node.raft.types import (
    NOBODY,
    Entry,
    EntryId,
    EntryKind,
    HardState,
    NodeId,
    ReplicaId,
    SnapshotMeta,
    Voter,
)
from trimaran.node.storage.sim_disk import SimDisk
from trimaran.node.storage.wal import Created, Log, LogOptions, RestoredShard, ShardSave

CLUSTER = 0xC0FFEE
DIRECTORY = "/data/log"
SHARD = ShardId(3)
OTHER = ShardId(4)
VOTERS = (
    Voter(ReplicaId(1), NodeId("n1"), 11),
    Voter(ReplicaId(2), NodeId("n2"), 22),
    Voter(ReplicaId(3), NodeId("n3"), 33),
)
SMALL = LogOptions(segment_bytes=8192, segments_kept=2)


def created(shard: ShardId = SHARD, replica: int = 1) -> ShardSave:
    return ShardSave(shard, created=Created(ReplicaId(replica), VOTERS))


def entries(term: int, first: int, last: int, data: bytes = b"x") -> tuple[Entry, ...]:
    return tuple(
        Entry(term, index, EntryKind.COMMANDS, data + b"%d.%d" % (term, index))
        for index in range(first, last + 1)
    )


def appended(
    term: int, first: int, last: int, data: bytes = b"x", shard: ShardId = SHARD
) -> ShardSave:
    return ShardSave(shard, entries=entries(term, first, last, data))


def voted(term: int, voted_for: int = NOBODY, shard: ShardId = SHARD) -> ShardSave:
    return ShardSave(shard, hard_state=HardState(term, ReplicaId(voted_for)))


def meta(term: int, index: int) -> SnapshotMeta:
    return SnapshotMeta(EntryId(term, index), VOTERS)


class Rig:
    """One node's log; `log` is the running one, `found` what the last opening restored."""

    def __init__(self, seed: int = 1, options: LogOptions = SMALL) -> None:
        self.rng = Random(seed)
        self.disk = SimDisk(self.rng)
        self.options = options
        self.snapshots: dict[ShardId, SnapshotMeta] = {}
        self.found: Mapping[ShardId, RestoredShard] = {}
        self.log = self.open()

    def open(self) -> Log:
        self.log, self.found = Log.open(
            self.disk,
            DIRECTORY,
            cluster_id=CLUSTER,
            snapshots=self.snapshots,
            options=self.options,
        )
        return self.log

    def save(self, *saves: ShardSave) -> None:
        self.log.write(self.log.stage(saves))

    def restart(self) -> None:
        """kill -9 and start again."""
        self.disk.kill()
        self.open()

    def lose_power(self) -> None:
        self.disk.power_cut()
        self.open()

    def compact(self, term: int, index: int, shard: ShardId = SHARD) -> None:
        """As when the snapshot's file is verified."""
        self.snapshots[shard] = meta(term, index)
        self.log.compacted(shard, meta(term, index), index + 1)

    def free(self) -> list[str]:
        paths = self.log.free_segments()
        self.log.unlink(paths)
        return paths

    def segments(self) -> list[str]:
        return [f"{DIRECTORY}/{name}" for name in self.disk.listdir(DIRECTORY)]

    def entries_of(self, shard: ShardId = SHARD) -> list[tuple[int, int]]:
        """(index, term) of what the last opening restored."""
        return [(one.index, one.term) for one in self.found[shard].restored.entries]
