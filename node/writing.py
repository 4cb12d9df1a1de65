"""The log's writes: one at a time for all shards of a node, and what waits for each.

What is to be saved while a write is under way waits for the next, so batches grow with the load.
Writes are done in the log's thread, and the loop goes on meanwhile. One that is short and comes
alone is done in the loop: to wake a thread and be woken by it takes longer than a quick disk does.
A disk that has just been slow gets no such write (docs/decisions/0026).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .histogram import Histogram
from .raft.types import Message, Ready, is_patient
from .storage.wal import Log, ShardSave, Staged

if TYPE_CHECKING:
    from ..cluster.slots import ShardId
    from .clock import Clock
    from .runtime import Runtime
    from .shard import Shard

SHORT_BYTES = 4096
QUICK_NS = 1_000_000  # What the last write took, for the next one to be waited for.
# What comes so long after a turn or a write is likely to come alone.
LONE_NS = 300_000
NEVER_NS = 1 << 62

# The ticket of a Ready of this shard, and the messages that may leave when it is saved.
Promise = tuple["Shard", int, tuple[Message, ...]]


@dataclass(slots=True)
class _Save:
    """What goes to disk in one write, and the promises that wait for it."""

    saves: list[ShardSave] = field(default_factory=list)
    promises: list[Promise] = field(default_factory=list)
    shards: set[ShardId] = field(default_factory=set)
    done: list[Callable[[], None]] = field(default_factory=list)
    is_awaited: bool = False  # By a leader in a hurry, be it ourselves.


@dataclass(slots=True)
class WriteCounters:
    fsyncs: int = 0
    fsync_ns: int = 0
    sync_us: Histogram = field(default_factory=Histogram)
    batch_bytes: Histogram = field(default_factory=Histogram)  # Written at one sync.
    log_bytes: int = 0


class LogWriter:
    def __init__(
        self,
        log: Log,
        counters: WriteCounters,
        *,
        clock: Clock,
        runtime: Runtime,
        keep_promise: Callable[[Promise], None],
        written: Callable[[], None],
    ) -> None:
        self.was_here = False  # The last one was done in the loop.
        self.synced: Callable[[int], None] = lambda _took_ns: None
        self._log = log
        self._counters = counters
        self._clock = clock
        self._runtime = runtime
        self._keep_promise = keep_promise
        self._tell_written = written
        self._writing: _Save | None = None
        self._next = _Save()
        self._began_ns = 0
        self._ended_ns = 0
        self._took_ns = NEVER_NS  # The last one; it is not known of the first.

    @property
    def is_writing(self) -> bool:
        return self._writing is not None

    def collect(self, shard: Shard, ready: Ready) -> None:
        """Add to the next write; a promise waits only for its own shard's unsaved state (R2)."""
        promise = (shard, ready.ticket, ready.send_after_sync)
        if ready.must_save:
            self._next.saves.append(
                ShardSave(shard.id, hard_state=ready.hard_state, entries=ready.entries)
            )
            self._next.promises.append(promise)
            self._next.shards.add(shard.id)
            if not (ready.send_after_sync and all(map(is_patient, ready.send_after_sync))):
                self._next.is_awaited = True
        elif shard.id in self._next.shards:
            self._next.promises.append(promise)
        elif self._writing is not None and shard.id in self._writing.shards:
            self._writing.promises.append(promise)
        else:
            self._keep_promise(promise)

    def add(self, save: ShardSave, done: Callable[[], None]) -> None:
        """A record that no Ready asks for; `done` runs when it is on disk."""
        self._next.saves.append(save)
        self._next.shards.add(save.shard)
        self._next.done.append(done)

    def write(self, *, is_alone: bool) -> None:
        """Begin with what was collected, unless a write is under way; `is_alone` says that nothing
        else waits for the loop, as far as can be known."""
        if self._writing is not None or not self._next.saves:
            return
        self._writing, self._next = self._next, _Save()
        staged = self._log.stage(self._writing.saves)
        self._began_ns = self._clock.now_ns()

        def write() -> Staged:
            self._log.write(staged)
            return staged

        # To make a new segment takes a hundred times as long as to write to one.
        is_short = staged.size <= SHORT_BYTES and staged.segment.is_created
        self.was_here = (
            is_alone and self._writing.is_awaited and is_short and self._is_quick_and_rests()
        )
        self._runtime.run_log(write, self._written, is_here=self.was_here)

    def _is_quick_and_rests(self) -> bool:
        return self._took_ns <= QUICK_NS and self._began_ns - self._ended_ns > LONE_NS

    def _written(self, staged: Staged) -> None:
        save = self._writing
        assert save is not None, "a write ended that nobody began"
        self._writing = None
        self._ended_ns = self._clock.now_ns()
        took_ns = self._took_ns = self._ended_ns - self._began_ns
        counters = self._counters
        counters.fsyncs += 1
        counters.fsync_ns += took_ns
        counters.sync_us.add(took_ns // 1_000)
        counters.batch_bytes.add(staged.size)
        counters.log_bytes += staged.size
        self.synced(took_ns)
        for promise in save.promises:
            self._keep_promise(promise)
        for done in save.done:
            done()
        self._tell_written()
