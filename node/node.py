"""A whole node but for its doors and its wires: what `__main__` starts and the simulator drives.

`loading.py` makes one: it opens the log, then has the node load the newest snapshot of each shard,
make the cores, and create the replicas the topology gives to a node that has none yet. From then on
it lives from `tick` and from what the transport brings. Read `engine.py` next.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Protocol

from ..cluster.settings import pack_settings, settings_of
from ..cluster.slots import META_SHARD, ShardId
from ..cluster.topology import Topology
from .commands.internal import PUT_TOPOLOGY, read_topology
from .data.keyspace import INTERNAL_DB, Keyspace
from .engine import LOOK_EVERY_NS, Engine, EngineConfig
from .errors import Corrupt, IdentityError
from .leaders import Leaders, Led
from .leadership import Leadership
from .raft.core import RaftCore
from .raft.types import (
    NOBODY,
    ZERO,
    HardState,
    InstallSnapshot,
    Message,
    NodeId,
    RaftConfig,
    ReplicaId,
    Restored,
    SnapshotMeta,
    Voter,
)
from .request import Answer, Forward, Outcome, Request
from .router import Router, RouterConfig
from .runtime import Runtime, Transport
from .saving import Saving
from .settings_changes import SettingsChanges
from .shard import Shard, ShardLimits
from .snapshotting import SnapshotConfig, Snapshotting
from .storage.snapshots import Snapshots
from .storage.wal import Created, Log, RestoredShard, ShardSave

if TYPE_CHECKING:
    from .clock import Clock
    from .config import Config
    from .notifications import Notifications
    from .steps import Steps
    from .storage.snapshots import SnapshotReader

# How much of a snapshot is loaded in one step: about a millisecond's worth of small keys.
STEP_BYTES = 16 << 10
STEP_BUCKETS = 48  # Of keys, whose digest is computed; each holds up to 84.

_log = logging.getLogger(__name__)


class NodeTransport(Transport, Protocol):
    """The engine's transport, and what a node wants to know of the other nodes."""

    def is_clock_far(self, limit_ms: int) -> bool:
        """Whether our wall clock is further than that from the middle of all clocks."""
        ...

    def update_topology(self, topology: Topology) -> None: ...

    def nodes_behind(self, epoch: int) -> list[NodeId]:
        """Those that are up and have not said that they know the topology of that epoch."""
        ...

    def tell_leaders(self, told: Sequence[Led], *, is_urgent: bool) -> None:
        """Let all nodes know who leads; on a new stream all that was ever told is told (D5)."""
        ...


class NodeMemory(Protocol):
    """What a node's directory remembers beside log and snapshots: whether its replicas may have
    made promises, and the topology. `DataDirectory` keeps it."""

    @property
    def is_started(self) -> bool: ...

    def mark_started(self) -> None:
        """Lasting when it returns; called in a thread."""
        ...

    def save_topology(self, topology: Topology) -> None:
        """Lasting when it returns; called in a thread."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """The classes a node is made of; the simulator watches and breaks them by subclassing."""

    core: type[RaftCore] = RaftCore
    shard: type[Shard] = Shard
    log: type[Log] = Log
    snapshots: type[Snapshots] = Snapshots
    keyspace: type[Keyspace] = Keyspace


class IncomingSnapshot:
    """A snapshot file that is arriving; called in threads, one call at a time."""

    def __init__(self, snapshots: Snapshots, shard: ShardId, meta: SnapshotMeta) -> None:
        self._snapshots = snapshots
        self._file = snapshots.receive(shard, meta)

    def write(self, data: bytes) -> None:
        self._file.add(data)

    def finish(self) -> str:
        """Its path, synced and verified: a file damaged on its way only fails the transfer."""
        path = self._file.finish()
        self._snapshots.check(path)
        return path

    def abort(self) -> None:
        self._file.abort()


def load_snapshot(snapshots: Snapshots, shard: ShardId, keys: Keyspace) -> Steps[None]:
    """Fill `keys` from the newest snapshot of a shard, and check that it is what was written."""
    reader: SnapshotReader = yield partial(snapshots.read, shard)
    while (chunk := (yield reader.next_chunk)) is not None:
        for start in range(0, len(chunk), STEP_BYTES):
            part = chunk[start : start + STEP_BYTES]
            keys.load(part)
            yield len(part)
    keys.finish_load()
    while keys.digest_some(STEP_BUCKETS):
        yield 0
    reader.check_digest(keys.digest())


class Node:
    def __init__(
        self,
        config: Config,
        topology: Topology,
        *,
        memory: NodeMemory,
        log: Log,
        snapshots: Snapshots,
        clock: Clock,
        runtime: Runtime,
        transport: NodeTransport,
        seeds: Random,
        parts: Parts | None = None,
    ) -> None:
        self.name = NodeId(config.name)
        self.config = config
        self.topology = topology
        self.parts = parts or Parts()
        self.leaders = Leaders()
        self.notifications: Notifications | None = None  # Once there are doors.
        self.topology_changed: Callable[[Topology], None] = lambda _topology: None
        # Topology, leaders or who is reachable: whoever shows them to clients looks again.
        self.view_changed: Callable[[], None] = lambda: None
        self._clock = clock
        self._runtime = runtime
        self._seeds = seeds
        self._transport = transport
        self._memory = memory
        self._settings = pack_settings(topology.settings)
        self._learning = topology  # The newest one on its way to our disk, or there.
        self._topology_raw: bytes | None = None
        self._is_putting_topology = False
        self._looks_next_ns = 0
        self.snapshots = snapshots
        self.log = log
        self.engine = Engine(
            self.name,
            EngineConfig(
                batch_bytes=config.batch_bytes,
                batch_gate_max_ns=config.batch_gate_max_ms * 1_000_000,
                log_memory_bytes=config.log_memory_bytes,
                election_timeout_ns=config.election_timeout_ms * 1_000_000,
            ),
            clock=clock,
            runtime=runtime,
            transport=transport,
            log=self.log,
        )
        self.engine.evictor.settings = settings_of(topology.settings)
        self.engine.evictor.tick(self._clock.now_ns())
        self.snapshotting = Snapshotting(
            self.engine,
            SnapshotConfig(
                log_bytes=config.snapshot_log_bytes,
                log_keep_bytes=config.log_keep_bytes,
                chunk_bytes=config.snapshot_chunk_bytes,
                slice_ns=config.snapshot_slice_ms * 1_000_000,
            ),
            clock=clock,
            runtime=runtime,
            transport=transport,
            log=self.log,
            snapshots=self.snapshots,
            make_keyspace=self._make_keyspace,
        )
        self.router = Router(
            self.name,
            RouterConfig(
                config.session_timeout_ms,
                config.forward_pending_max,
                config.forward_pending_bytes_max,
            ),
            engine=self.engine,
            runtime=runtime,
            transport=transport,
            clock=clock,
            leaders=self.leaders,
            nodes_of=self._nodes_of,
            first_id=seeds.getrandbits(62),
        )
        self.leadership = Leadership(
            self.name,
            self.engine,
            clock_skew_max_ms=config.clock_skew_max_ms,
            is_clock_far=transport.is_clock_far,
            topology=lambda: self.topology,
        )
        self.settings = SettingsChanges(
            submit=self.router.submit,
            clock=clock,
            timeout_ns=config.command_timeout_ms * 1_000_000,
            nodes_behind=self._nodes_behind,
        )
        self.engine.snapshotting = self.snapshotting
        self.saving = Saving(self.engine, self.snapshotting, clock)
        self.engine.leader_changed = self._leader_changed
        self.engine.meta_applied = self._meta_applied

    # --- Starting.

    def restore(self, found: Mapping[ShardId, RestoredShard], place: str) -> Steps[None]:
        """Every replica as the disk knows it; once, before anything else. `place` is the log's."""
        missing = self._missing(found.keys())
        if self._memory.is_started and missing:
            lost = ", ".join("meta" if one == META_SHARD else str(one) for one in missing)
            raise IdentityError(
                f"{place} is damaged: it knows nothing of shards {lost}, whose votes it "
                "held. A node without its memory may not vote under its old identity: put the log "
                "back as it was, or move the directory away and have the node admitted anew"
            )
        shards: list[Shard] = []
        for shard_id, one in found.items():
            keys = self._make_keyspace(shard_id)
            if one.restored.snapshot.id != ZERO:  # Newest snapshot, then the log behind it (L5).
                yield from load_snapshot(self.snapshots, shard_id, keys)
            shards.append(self._make_shard(shard_id, one.replica, one.restored, keys))
            yield 0
        # From here on in one go: no core may act before all of them are there.
        for shard in shards:
            self.engine.add(shard)
            if shard.id == META_SHARD:
                self._read_topology(shard.keys)
        if not self._memory.is_started:
            self._create(missing)

    def _make_shard(
        self, shard_id: ShardId, replica: ReplicaId, restored: Restored, keys: Keyspace
    ) -> Shard:
        config = self.config
        core = self.parts.core(
            RaftConfig(
                replica=replica,
                election_timeout_ns=config.election_timeout_ms * 1_000_000,
                heartbeat_interval_ns=config.heartbeat_interval_ms * 1_000_000,
                append_bytes_max=config.append_bytes_max,
                inflight_appends_max=config.inflight_appends_max,
                uncommitted_bytes_max=config.uncommitted_bytes_max,
                lease_ns=config.lease_ms * 1_000_000,
            ),
            restored,
            Random(self._seeds.getrandbits(64)),
        )
        return self.parts.shard(
            shard_id,
            cluster_id=self.topology.cluster_id,
            core=core,
            keys=keys,
            limits=ShardLimits(
                config.uncommitted_bytes_max, config.append_bytes_max, config.waiters_max
            ),
            seeds=Random(self._seeds.getrandbits(64)),
            refuse=self.router.refuse,
            settings=lambda: self._settings,
            notifications=lambda: self.notifications,
            pressure=self.engine.evictor.pressure,
        )

    def _missing(self, found: Collection[ShardId]) -> dict[ShardId, ReplicaId]:
        """The replicas that the founding gave to this node and the log does not know."""
        shards = [*map(ShardId, range(self.topology.shards)), META_SHARD]
        return {
            shard_id: ReplicaId(one.replica)
            for shard_id in shards
            if shard_id not in found
            for one in self.topology.replicas_of(shard_id)
            if one.node == self.name
        }

    def _create(self, missing: Mapping[ShardId, ReplicaId]) -> None:
        """Create what the founding gave to this node. A replica lives, and votes, only when its
        record is in the log and the directory says that a log without it is damaged (B2)."""
        created = [self._new_shard(shard_id, replica) for shard_id, replica in missing.items()]
        waiting = len(created)

        def saved() -> None:
            nonlocal waiting
            waiting -= 1
            if not waiting:
                self._runtime.run_bulk(self._memory.mark_started, live)

        def live(_: None) -> None:
            for shard in created:
                shard.core.allow_leading(self.leadership.is_clock_trusted)
                self.engine.add(shard)

        if not created:  # All were saved, and then it stopped.
            self._runtime.run_bulk(self._memory.mark_started, live)
        for shard in created:
            record = Created(shard.core.replica, shard.core.voters)
            self.engine.save(ShardSave(shard.id, created=record), saved)

    def _new_shard(self, shard_id: ShardId, replica: ReplicaId) -> Shard:
        voters = tuple(
            self._voter(one.replica, one.node) for one in self.topology.replicas_of(shard_id)
        )
        restored = Restored(HardState(0, NOBODY), SnapshotMeta(ZERO, voters), ())
        return self._make_shard(shard_id, replica, restored, self._make_keyspace(shard_id))

    def _make_keyspace(self, shard_id: ShardId) -> Keyspace:
        keys = self.parts.keyspace()
        keys.owner = (shard_id, self.topology.shards)
        return keys

    def _voter(self, replica: int, name: str) -> Voter:
        info = self.topology.node(name)
        assert info is not None, f"the topology names no node {name}"
        return Voter(ReplicaId(replica), NodeId(name), info.incarnation)

    def _nodes_of(self, shard_id: ShardId) -> list[NodeId]:
        return [NodeId(one.node) for one in self.topology.replicas_of(shard_id)]

    # --- Who leads, here and elsewhere (correctness D5).

    def _leader_changed(self, shard: Shard) -> None:
        leader = shard.leader_node()
        if leader is not None:
            news = self.leaders.learn_all([Led(shard.id, shard.core.term, leader)])
            self._transport.tell_leaders(news, is_urgent=True)
        self.router.leader_changed(shard.id)
        self.view_changed()

    def leaders_received(self, _node: NodeId, told: Sequence[Led]) -> None:
        """Another node says who leads. What its own replicas have seen comes from the nodes that
        hold them; the rest is passed on only where something leaves anyway."""
        is_known = self.topology.node
        shards = self.topology.shards
        news = self.leaders.learn_all(
            one
            for one in told
            if is_known(one.node) and (one.shard < shards or one.shard == META_SHARD)
        )
        self._transport.tell_leaders(news, is_urgent=False)
        for one in news:
            self.router.leader_changed(one.shard)
        if news:
            self.view_changed()

    # --- Time.

    def tick(self) -> None:
        now_ns = self._clock.now_ns()
        self.leadership.tick(now_ns)
        if now_ns >= self._looks_next_ns:
            self._looks_next_ns = now_ns + LOOK_EVERY_NS
            self._keep_topology()
        self.router.tick()
        self.settings.tick()
        self.engine.tick()

    # --- The topology lives in the meta group; everything reads it from there (design, section 10).

    def _meta_applied(self, shard: Shard) -> None:
        self._read_topology(shard.keys)

    def _read_topology(self, keys: Keyspace) -> None:
        raw = read_topology(keys)
        if raw is None or raw == self._topology_raw:
            return
        self._topology_raw = raw
        try:
            topology = Topology.from_json(json.loads(raw))
        except ValueError as error:
            raise Corrupt(f"the meta group's topology: {error}") from error
        self.learn_topology(topology)

    def learn_topology(self, topology: Topology) -> None:
        """A topology agreed on by the meta group, read here or brought by a peer.

        It counts as known once it is on our disk: others rely on what we say that we know, and
        after a restart too, when the meta group may not have a leader yet.
        """
        if topology.epoch < self._learning.epoch or topology == self._learning:
            return
        self._learning = topology
        self._runtime.run_bulk(
            lambda: self._memory.save_topology(topology), lambda _: self._topology_saved(topology)
        )

    def _topology_saved(self, topology: Topology) -> None:
        self.topology = topology
        self._settings = pack_settings(topology.settings)
        self.engine.evictor.settings = settings_of(topology.settings)
        self.engine.evictor.tick(self._clock.now_ns())
        _log.info("topology", extra={"epoch": topology.epoch})
        self._transport.update_topology(topology)
        self.topology_changed(topology)
        self.view_changed()

    def _nodes_behind(self, epoch: int) -> list[NodeId]:
        own = [self.name] if self.topology.epoch < epoch else []
        return own + self._transport.nodes_behind(epoch)

    def _keep_topology(self) -> None:
        """The meta leader writes the first topology; a node that moved asks for its addresses."""
        if self._is_putting_topology:
            return
        wanted = self._wanted_topology()
        if wanted is None:
            return
        self._is_putting_topology = True

        def done(_: Outcome) -> None:
            self._is_putting_topology = False

        expected = self.topology.epoch if self._topology_raw or not self._holds_meta else 0
        value = json.dumps(wanted.to_json(), separators=(",", ":")).encode()
        self.router.submit(
            Request(
                META_SHARD,
                INTERNAL_DB,
                [[PUT_TOPOLOGY, b"%d" % expected, value]],
                has_write=True,
                deadline_ns=self._clock.now_ns() + 2_000_000_000,
                complete=done,
            )
        )

    @property
    def _holds_meta(self) -> bool:
        return META_SHARD in self.engine.shards

    @property
    def is_announced(self) -> bool:
        """Whether the topology known here says where this node and its listeners are now."""
        me = self.topology.node(self.name)
        config = self.config
        return me is None or (me.address(""), me.listeners) == (config.reached_at, config.listeners)

    def _wanted_topology(self) -> Topology | None:
        meta = self.engine.shards.get(META_SHARD)
        if meta is not None and self._topology_raw is None:
            is_first = meta.core.is_ready_to_serve and meta.applied_index >= meta.core.commit_index
            return self.topology if is_first else None
        if self.is_announced:
            return None
        config = self.config
        return self.topology.with_address(self.name, *config.reached_at, config.listeners)

    # --- What the transport brings.

    def receive(self, _node: NodeId, messages: Iterable[tuple[ShardId, Message]]) -> None:
        self.engine.receive(messages)

    def receive_forwards(self, node: NodeId, forwards: Iterable[Forward]) -> None:
        self.router.receive_forwards(node, forwards)

    def receive_answers(self, node: NodeId, answers: Iterable[Answer]) -> None:
        self.router.receive_answers(node, answers)
        self.engine.wake()

    def peer_up(self, node: NodeId) -> None:
        self.engine.peer_up(node)
        self.view_changed()

    def peer_down(self, node: NodeId) -> None:
        self.engine.peer_down(node)
        self.router.peer_down(node)
        self.view_changed()

    def messages_dropped(self, node: NodeId) -> None:
        """What was queued for `node` is lost: cores that lead ask it anew where it stands (R6)."""
        self.engine.probe(node)

    def topology_received(self, topology: Topology) -> None:
        # Also if we hold the meta group: our replica of it may lag behind what was agreed on.
        self.learn_topology(topology)

    def address_seen(self, node: NodeId, host: str, port: int) -> None:
        _log.info("node moved", extra={"peer": node, "host": host, "port": port})

    def snapshot_received(
        self, _node: NodeId, shard: ShardId, message: InstallSnapshot, path: str
    ) -> None:
        self.snapshotting.received(shard, message, path)

    def snapshot_sent(
        self, node: NodeId, shard: ShardId, _message: InstallSnapshot, *, is_ok: bool
    ) -> None:
        self.snapshotting.sent(node, shard, is_ok=is_ok)

    def open_incoming(self, shard: ShardId, meta: SnapshotMeta) -> IncomingSnapshot:
        """Where the bulk stream puts a snapshot that arrives."""
        return IncomingSnapshot(self.snapshots, shard, meta)

    # --- Stopping.

    def close(self) -> None:
        self.log.close()
