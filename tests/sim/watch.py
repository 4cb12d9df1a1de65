"""The node's own classes, each telling the judge what it does."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar  # Any: arguments passed through.

from trimaran.node.node import Parts
from trimaran.node.raft.core import RaftCore
from trimaran.node.shard import Shard
from trimaran.node.slices import Slice
from trimaran.node.storage.wal import Log, RestoredShard, ShardSave, Staged

from .teller import Teller

if TYPE_CHECKING:
    from trimaran.cluster.slots import ShardId
    from trimaran.node.commands.context import Context
    from trimaran.node.data.keyspace import Keyspace, KeyspaceCut
    from trimaran.node.data.sessions import Lookup
    from trimaran.node.raft.types import Entry, Ready, SnapshotMeta
    from trimaran.node.request import Request
    from trimaran.node.steps import Steps
    from trimaran.proto.reply import Reply

    from .machine import Machine

T = TypeVar("T")

LOOK = 0.25  # So often a slice ends at a command,
REST = 0.02  # and so often the shard then has none for a while, as beside many that are behind.
RESTS_MAX = 40


class Slices:
    """Where slices of a shard end, at random: the simulator's clock stands still meanwhile."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._rests = 0

    def next(self) -> Slice:
        if self._rests:
            self._rests -= 1
            return RandomSlice(self._rng, 0)
        if self._rng.random() < REST:
            self._rests = self._rng.randrange(1, RESTS_MAX)
        return RandomSlice(self._rng, 1)


class RandomSlice(Slice):
    def __init__(self, rng: Random, first: int) -> None:
        self._rng = rng
        self._next = first

    def leave(self) -> None:
        """Nothing is learned."""

    def take(self) -> int:
        given = self._next
        self._next = int(given and self._rng.random() >= LOOK)
        return given


class WatchedCore(RaftCore):
    machine: ClassVar[Machine]
    shard_id: ShardId

    def ready(self) -> Ready | None:
        judge, node = self.machine.judge, self.machine.node
        judge.stepped(node, self.shard_id, self, self.machine.clock)
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
        self._teller = Teller(self.machine.judge.published)
        rest["notifications"] = lambda: self._teller
        super().__init__(shard, **rest)
        assert isinstance(self.core, WatchedCore)
        self.core.shard_id = shard
        self._slices = Slices(Random(self.machine.rng.getrandbits(64)))
        self._tell_applied(self.applied_index)

    def _tell_applied(self, index: int) -> None:
        self.machine.judge.applied(self.machine.node, self.id, index, self.keys.digest())

    def _tell(self, context: Context, replies: list[Reply | Lookup]) -> Generator[None]:
        self.machine.judge.tells(self, self.machine.node, self.id, self.applied_index)
        self._teller.expect(len(context.events or ()))
        return super()._tell(context, replies)

    def propose(self, now_ns: int, wall_ms: int) -> int | None:
        index = super().propose(now_ns, wall_ms)
        if index is not None:
            self.machine.judge.proposed(self, self.id, index, self._proposed[index].term)
        return index

    def apply_some(self, piece: Slice, now_ns: int) -> None:
        del piece  # No time passes while it is applied: where it ends is chance.
        super().apply_some(self._slices.next(), now_ns)

    def serve_some(self, piece: Slice, now_ns: int, wall_ms: int) -> None:
        del piece
        super().serve_some(self._slices.next(), now_ns, wall_ms)

    def _serve(self, request: Request, now_ms: int) -> Generator[None]:
        self.machine.judge.serves(self.machine.node, self.id, self.applied_index)
        return super()._serve(request, now_ms)

    def _applied(self, entry: Entry) -> None:
        super()._applied(entry)
        self._tell_applied(entry.index)

    def _halt(self, error: BaseException) -> None:
        raise AssertionError(f"shard {self.id} halts behind {self.applied_index}") from error

    def cut(self) -> tuple[SnapshotMeta, KeyspaceCut]:
        digest = self.keys.digest()
        self.machine.judge.cut(self.machine.node, self.id, self.applied_index, digest)
        return super().cut()

    def install(self, meta: SnapshotMeta, keys: Keyspace, now_ns: int) -> None:
        super().install(meta, keys, now_ns)
        self._tell_applied(meta.id.index)


class WatchedLog(Log):
    machine: ClassVar[Machine]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.in_flight: list[ShardSave] = []  # Of the write under way.
        self.is_open = False
        self._staged_saves: dict[int, list[ShardSave]] = {}

    @classmethod
    def opening(cls, *args: Any, **kwargs: Any) -> Steps[tuple[Self, dict[ShardId, RestoredShard]]]:
        log, found = yield from super().opening(*args, **kwargs)
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
