"""The node's own classes, each telling the judge what it does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar  # Any: arguments passed through.

from trimaran.node.node import Parts
from trimaran.node.raft.core import RaftCore
from trimaran.node.shard import Shard
from trimaran.node.storage.wal import Log, RestoredShard, ShardSave, Staged

if TYPE_CHECKING:
    from trimaran.cluster.slots import ShardId
    from trimaran.node.data.keyspace import KeyspaceCut
    from trimaran.node.raft.types import Entry, Ready, SnapshotMeta

    from .machine import Machine

T = TypeVar("T")


class WatchedCore(RaftCore):
    machine: ClassVar[Machine]
    shard_id: ShardId

    def ready(self) -> Ready | None:
        judge, node = self.machine.judge, self.machine.node
        judge.stepped(node, self.shard_id, self)
        ready = super().ready()
        if ready is not None:
            if ready.entries:
                judge.appended(node, self.shard_id, self, ready.entries)
            if ready.committed:
                judge.committed(node, self.shard_id, self, ready.committed)
        return ready


class WatchedShard(Shard):
    machine: ClassVar[Machine]

    def __init__(self, shard: ShardId, **rest: Any) -> None:
        super().__init__(shard, **rest)
        assert isinstance(self.core, WatchedCore)
        self.core.shard_id = shard

    def apply(self, entries: Sequence[Entry], now_ns: int) -> None:
        for entry in entries:
            super().apply([entry], now_ns)
            if self.halted is not None:
                raise AssertionError(f"shard {self.id} halts at {entry.index}") from self.halted
            self.machine.judge.applied(self.machine.node, self.id, entry.index, self.keys.digest())

    def cut(self) -> tuple[SnapshotMeta, KeyspaceCut]:
        self.machine.judge.cut(self.machine.node, self.id, self.applied_index)
        return super().cut()


class WatchedLog(Log):
    machine: ClassVar[Machine]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.in_flight: list[ShardSave] = []  # Of the write under way.
        self.is_open = False
        self._staged_saves: dict[int, list[ShardSave]] = {}

    @classmethod
    def open(cls, *args: Any, **kwargs: Any) -> tuple[Self, dict[ShardId, RestoredShard]]:
        log, found = super().open(*args, **kwargs)
        machine = cls.machine
        assert isinstance(log, cls)
        log.is_open = True  # What it has written till now is part of reading.
        machine.judge.restarted(
            machine.node, {shard: one.restored for shard, one in found.items()}, machine.in_flight
        )
        return log, found

    def stage(self, saves: Sequence[ShardSave]) -> Staged:
        staged = super().stage(saves)
        self._staged_saves[staged.number] = list(saves)
        return staged

    def write(self, staged: Staged) -> None:
        saves = self._staged_saves.pop(staged.number)
        self.in_flight = saves
        super().write(staged)
        self.in_flight = []
        if self.is_open:
            self.machine.judge.saved(self.machine.node, saves)


def watched_parts(machine: Machine) -> Parts:
    """The classes `machine` runs, bound to it."""
    parts = machine.parts
    return Parts(
        core=_bound(parts.core, machine),
        shard=_bound(parts.shard, machine),
        log=_bound(parts.log, machine),
        snapshots=parts.snapshots,
        keyspace=parts.keyspace,
    )


def _bound(kind: type[T], machine: Machine) -> type[T]:
    return type(kind.__name__, (kind,), {"machine": machine})


WATCHED = Parts(core=WatchedCore, shard=WatchedShard, log=WatchedLog)
