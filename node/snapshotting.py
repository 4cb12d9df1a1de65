"""Taking, sending and installing snapshots, and freeing the log behind them.

Everything here is sliced: a slice of a cut on the loop, its bytes on the bulk thread, the next
slice when they are written, so that no turn waits. The order of correctness L5 and L6 is kept by
the chain of callbacks: a step begins only when the one before it is on disk. Read `engine.py`
first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from .storage.wal import Log, ShardSave

if TYPE_CHECKING:
    from ..cluster.slots import ShardId
    from .clock import Clock
    from .data.keyspace import Keyspace, KeyspaceCut
    from .engine import Engine
    from .raft.types import Entry, InstallSnapshot, NodeId, SnapshotMeta
    from .runtime import Runtime, Transport
    from .shard import Shard
    from .storage.snapshots import SnapshotReader, Snapshots, SnapshotWriter

LOOK_INTERVAL_NS = 100_000_000
REWRITE_BYTES = 1 << 20  # Of a suffix that pins the log, at one look.
# Of a keyspace that is loaded, in one go: about a millisecond's worth of small keys.
LOAD_BYTES = 16 << 10
DIGEST_BUCKETS = 24  # Each holds up to 84 keys.
SLICE_ITEMS_MIN, SLICE_ITEMS_MAX = 16, 4096

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SnapshotConfig:
    log_bytes: int  # Of one shard since its last snapshot: more, and it takes one.
    log_keep_bytes: int  # Entries kept behind a snapshot, for followers a little behind (L9).
    chunk_bytes: int
    slice_ns: int  # The longest a slice should hold up the loop.


class Snapshotting:
    """At most one cut at a time on a node; installs are queued behind one another."""

    def __init__(
        self,
        engine: Engine,
        config: SnapshotConfig,
        *,
        clock: Clock,
        runtime: Runtime,
        transport: Transport,
        log: Log,
        snapshots: Snapshots,
        make_keyspace: Callable[[ShardId], Keyspace],
    ) -> None:
        self.taken = 0
        self.installed = 0
        self._engine = engine
        self._config = config
        self._clock = clock
        self._slice_items = 64
        self._runtime = runtime
        self._transport = transport
        self._log = log
        self._snapshots = snapshots
        self._make_keyspace = make_keyspace
        self._cutting: ShardId | None = None
        self._sending: dict[tuple[ShardId, NodeId], InstallSnapshot] = {}
        self._received: dict[tuple[ShardId, SnapshotMeta], str] = {}
        self._unwanted: set[tuple[ShardId, SnapshotMeta]] = set()
        self._is_tidying = False
        self._is_preparing = False
        self._looked_at_ns = 0
        self._wanted: dict[ShardId, Callable[[ShardId], None]] = {}  # Asked for by somebody.
        self._is_wanted = False  # The one being cut: begun after it was asked for.

    @property
    def is_cutting(self) -> bool:
        return self._cutting is not None

    # --- Taking.

    def tick(self, now_ns: int) -> None:
        """Begin what is due: a snapshot of a shard with a long log, or of one that pins it."""
        if now_ns - self._looked_at_ns < LOOK_INTERVAL_NS:
            return
        self._looked_at_ns = now_ns
        self._tidy()
        self._prepare_segment()
        self._discard_unwanted()
        self._take_due()

    def _take_due(self) -> None:
        if self._cutting is not None or self._take_wanted():
            return
        for shard in self._engine.shards.values():
            is_long = shard.log_bytes_since_snapshot > self._config.log_bytes
            if is_long and self._can_take(shard):
                self.take(shard)
                return
        for shard_id in self._log.pinning():
            pinning = self._engine.shards.get(shard_id)
            if pinning is None:  # Being created.
                continue
            if pinning.applied_index > pinning.core.snapshot_index and self._can_take(pinning):
                self.take(pinning)
                return
            self._rewrite(pinning)

    def _can_take(self, shard: Shard) -> bool:
        if shard.is_half_applied:
            # A shard with much to apply is so at nearly every look: it tells us when it is not.
            shard.between_entries = self._take_due
        return shard.can_cut

    def want(self, shards: Iterable[ShardId], taken: Callable[[ShardId], None]) -> None:
        """Take a snapshot of these, one after the other; `taken` is told each as it is on disk.

        One that halts or is gone meanwhile is told as well: nobody waits for it for ever.
        """
        self._wanted.update(dict.fromkeys(shards, taken))
        if self._cutting is None:
            self._take_wanted()

    def _take_wanted(self) -> bool:
        """Begin the next one that was asked for; False if there is none that can be taken now."""
        for shard_id in list(self._wanted):
            shard = self._engine.shards.get(shard_id)
            if shard is None or shard.halted is not None:
                self._wanted.pop(shard_id)(shard_id)
            elif self._can_take(shard):
                self.take(shard)
                return True
        return False

    def take(self, shard: Shard) -> None:
        """Begin a snapshot of `shard` at its applied index (L5)."""
        self._cutting = shard.id
        self._is_wanted = shard.id in self._wanted
        meta, cut = shard.cut()
        writer = self._snapshots.begin(shard.id, meta, shard.keys.last_stamp_ms)
        self._slice(shard, meta, cut, writer)

    def _slice(
        self, shard: Shard, meta: SnapshotMeta, cut: KeyspaceCut, writer: SnapshotWriter
    ) -> None:
        began_ns = self._clock.now_ns()
        chunk = cut.slice(self._slice_items, self._config.chunk_bytes)
        self._fit_slices(self._clock.now_ns() - began_ns)
        if chunk is None:
            digest = cut.digest()
            self._runtime.run_bulk(
                lambda: writer.finish(digest), lambda _path: self._taken(shard, meta)
            )
            return
        self._runtime.run_bulk(
            lambda: writer.add(chunk), lambda _: self._slice(shard, meta, cut, writer)
        )

    def _fit_slices(self, took_ns: int) -> None:
        """Items differ: find how many fit into the time a slice may take."""
        if took_ns > self._config.slice_ns:
            self._slice_items = max(self._slice_items // 2, SLICE_ITEMS_MIN)
        elif took_ns * 4 < self._config.slice_ns:
            self._slice_items = min(self._slice_items * 2, SLICE_ITEMS_MAX)

    def _taken(self, shard: Shard, meta: SnapshotMeta) -> None:
        # The file is synced, renamed and read back: only now may the log behind it go (L5).
        self._cutting = None
        self.taken += 1
        first_index = shard.core.index_keeping(meta.id.index, self._config.log_keep_bytes)
        if not any(shard_id == shard.id for shard_id, _ in self._sending):
            self._compact(shard, meta, first_index)
        else:
            # An install is on its way: keep what follows it, or it would have to begin anew (L9).
            oldest = min(
                message.meta.id.index
                for (shard_id, _), message in self._sending.items()
                if shard_id == shard.id
            )
            self._compact(shard, meta, min(first_index, oldest + 1))
        _log.info("snapshot taken", extra={"shard": shard.id, "index": meta.id.index})
        if self._is_wanted:
            self._wanted.pop(shard.id)(shard.id)
        if self._cutting is None:
            self._take_wanted()

    def _compact(self, shard: Shard, meta: SnapshotMeta, first_index: int) -> None:
        shard.core.compact(meta, first_index)
        self._log.compacted(shard.id, meta, first_index)
        self._snapshots.forget_older(shard.id, meta)
        self._engine.touch(shard)

    def _rewrite(self, shard: Shard) -> None:
        # A shard that cannot be snapshotted must not pin the log until the disk is full (L4).
        # Only what lies in the oldest segment, and that in pieces: all of it would stop the loop.
        first, last = self._log.pinned(shard.id)
        entries: list[Entry] = []
        size = 0
        for entry in shard.core.unsnapshotted_entries():
            if first <= entry.index <= last and size < REWRITE_BYTES:
                entries.append(entry)
                size += len(entry.data)
        if entries:
            self._engine.save(ShardSave(shard.id, entries=tuple(entries)), lambda: None)

    def _tidy(self) -> None:
        """Delete the log segments and the snapshots that nobody needs any more."""
        if self._is_tidying:
            return
        paths = self._log.free_segments()
        if not paths and self._snapshots.has_swept:
            return
        self._is_tidying = True

        def delete() -> None:
            self._log.unlink(paths)
            self._snapshots.sweep()

        def deleted(_: None) -> None:
            self._is_tidying = False

        self._runtime.run_bulk(delete, deleted)

    def _prepare_segment(self) -> None:
        """Have the log's next segment made before it is needed."""
        if self._is_preparing:
            return
        work = self._log.prepare()
        if work is None:
            return
        self._is_preparing = True

        def prepared(_: None) -> None:
            self._is_preparing = False

        self._runtime.run_bulk(work, prepared)

    # --- Sending.

    def send(self, shard: Shard, node: NodeId, message: InstallSnapshot) -> None:
        """Start the transfer that the leader's core asks for, unless it is on its way."""
        if (shard.id, node) in self._sending:
            return
        path = self._snapshots.lease(shard.id, message.meta)
        if path is None:
            shard.core.snapshot_sent(message.target, False)  # noqa: FBT003 - house style's name
            self._engine.touch(shard)
            return
        self._sending[(shard.id, node)] = message
        self._transport.send_snapshot(node, shard.id, message, path)

    def sent(self, node: NodeId, shard_id: ShardId, *, is_ok: bool) -> None:
        """The transfer ended, well or not; the core probes from there."""
        message = self._sending.pop((shard_id, node))
        self._snapshots.release(shard_id, message.meta)
        shard = self._engine.shards[shard_id]
        shard.core.snapshot_sent(message.target, is_ok)
        self._engine.touch(shard)

    # --- Installing.

    def received(self, shard_id: ShardId, message: InstallSnapshot, path: str) -> None:
        """A whole, verified file has arrived; the core decides whether it is wanted."""
        twin = self._received.get((shard_id, message.meta))
        if twin is not None:
            self._runtime.run_bulk(partial(self._snapshots.discard, twin), _nothing)
        self._received[(shard_id, message.meta)] = path
        self._engine.receive([(shard_id, message)])

    def _discard_unwanted(self) -> None:
        # A core that wants a file says so in the turn after it came: what is still here at the
        # second look is of a snapshot that came twice or too late.
        for key in self._unwanted & self._received.keys():
            self._runtime.run_bulk(
                partial(self._snapshots.discard, self._received.pop(key)), _nothing
            )
        self._unwanted = set(self._received)

    def install(self, shard: Shard, meta: SnapshotMeta, ticket: int) -> None:
        """Build the new keyspace aside; the old one stands until the reset is on disk (L6)."""
        path = self._received.pop((shard.id, meta))

        def adopted(reader: SnapshotReader) -> None:
            self._load(shard, meta, ticket, self._make_keyspace(shard.id), reader)

        self._runtime.run_bulk(lambda: self._snapshots.adopt(shard.id, meta, path), adopted)

    def _load(
        self,
        shard: Shard,
        meta: SnapshotMeta,
        ticket: int,
        keys: Keyspace,
        reader: SnapshotReader,
    ) -> None:
        def read(chunk: bytes | None) -> None:
            if chunk is None:
                keys.finish_load()
                self._check(shard, meta, ticket, keys, reader)
            else:
                load(chunk)

        def load(rest: bytes) -> None:
            keys.load(rest[:LOAD_BYTES])
            if len(rest) > LOAD_BYTES:
                self._runtime.call_soon(lambda: load(rest[LOAD_BYTES:]))
            else:
                self._load(shard, meta, ticket, keys, reader)

        self._runtime.run_bulk(reader.next_chunk, read)

    def _check(
        self,
        shard: Shard,
        meta: SnapshotMeta,
        ticket: int,
        keys: Keyspace,
        reader: SnapshotReader,
    ) -> None:
        if keys.digest_some(DIGEST_BUCKETS):  # Of a million keys it takes most of a second.
            self._runtime.call_soon(lambda: self._check(shard, meta, ticket, keys, reader))
            return
        reader.check_digest(keys.digest())
        self._engine.save(
            ShardSave(shard.id, reset=meta), lambda: self._installed(shard, meta, ticket, keys)
        )

    def _installed(self, shard: Shard, meta: SnapshotMeta, ticket: int, keys: Keyspace) -> None:
        self.installed += 1
        shard.core.saved(ticket)
        shard.install(meta, keys, self._engine.now_ns())
        self._snapshots.forget_older(shard.id, meta)
        self._engine.touch(shard)
        _log.info("snapshot installed", extra={"shard": shard.id, "index": meta.id.index})


def _nothing(_: None) -> None:
    """What is to be done when a file is gone."""
