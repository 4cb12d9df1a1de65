"""SAVE and BGSAVE: a snapshot of every replica on this node, asked for rather than due.

Recovery does not need it (the log has everything); it is for who wants the log short or copies the
directory. One such run at a time; snapshots that are due anyway go on beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..cluster.slots import ShardId
    from .clock import Clock
    from .engine import Engine
    from .snapshotting import Snapshotting


class Saving:
    def __init__(self, engine: Engine, snapshotting: Snapshotting, clock: Clock) -> None:
        self.runs = 0  # That ended well.
        self.last_saved_s = clock.wall_ms() // 1000  # As in Redis: from the start on, if never.
        self.last_took_s = -1
        self.was_last_whole = True
        self._engine = engine
        self._snapshotting = snapshotting
        self._clock = clock
        self._began_ns = 0
        self._left: set[ShardId] = set()
        self._failed: list[ShardId] = []
        self._done: Callable[[list[ShardId]], None] | None = None

    @property
    def is_running(self) -> bool:
        return self._done is not None

    @property
    def running_s(self) -> int:
        """How long it has been running, or -1."""
        if self._done is None:
            return -1
        return (self._clock.now_ns() - self._began_ns) // 1_000_000_000

    def start(self, done: Callable[[list[ShardId]], None]) -> None:
        """Begin; `done` is told the shards that have halted here and so could not be saved."""
        assert self._done is None, "a save is running already"
        self._done = done
        self._began_ns = self._clock.now_ns()
        shards = self._engine.shards.values()
        self._failed = [shard.id for shard in shards if shard.halted is not None]
        wanted = [
            shard.id
            for shard in shards
            if shard.halted is None and shard.applied_index > shard.core.snapshot_index
        ]
        self._left = set(wanted)
        if wanted:
            self._snapshotting.want(wanted, self._saved)
        else:
            self._finish()

    def _saved(self, shard: ShardId) -> None:
        self._left.discard(shard)
        one = self._engine.shards.get(shard)
        if one is None or one.halted is not None:
            self._failed.append(shard)
        if not self._left:
            self._finish()

    def _finish(self) -> None:
        done, self._done = self._done, None
        assert done is not None, "a save ended that nobody began"
        now_ns = self._clock.now_ns()
        self.last_took_s = (now_ns - self._began_ns) // 1_000_000_000
        self.was_last_whole = not self._failed
        if self.was_last_whole:
            self.runs += 1
            self.last_saved_s = self._clock.wall_ms() // 1000
        done(self._failed)
