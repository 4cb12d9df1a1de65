"""What the doors are told of the node behind them: who leads, what INFO adds, what /status says.

Reads the node, changes nothing. The doors declare what they need (`doors/backend.py`), this
answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any  # Any: JSON out.

from ..cluster.slots import META_SHARD, ShardId
from .changes import Changes
from .doors.backend import LinkFacts, MemoryFacts
from .doors.latency import FSYNC, PAUSE
from .histogram import Histogram
from .metrics import collect
from .raft.types import NodeId
from .report import Report, resident_bytes

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from ..cluster.topology import NodeInfo, Topology
    from .clock import Clock
    from .commands.blocking import Waiting
    from .config import Config
    from .doors.door import Clients
    from .node import Node
    from .peers import Peers
    from .request import Request
    from .shard import Shard

STATUS_VERSION = 1


class Facts:
    """One object for all doors: their Router and their NodeFacts."""

    def __init__(
        self,
        node: Node,
        peers: Peers,
        clock: Clock,
        clients: Clients,
        *,
        fail: Callable[[BaseException], None],
    ) -> None:
        self._fail = fail
        self._node = node
        self._peers = peers
        self._clock = clock
        self._clients = clients
        self.loop_lag_us = Histogram()  # How late ticks came.
        self.changes = Changes()
        node.view_changed = self.changes.tell
        self._report = Report(node, peers, clock, clients)
        latency = clients.stats.latency
        node.engine.writer.synced = lambda took_ns: latency.note(FSYNC, took_ns)

    def ticked(self, late_ns: int) -> None:
        """Called at every tick of the node, which came so much later than it should have."""
        self._report.sample(self._clock.now_ns())
        self._clients.stats.latency.note(PAUSE, late_ns)
        self.loop_lag_us.add(max(late_ns, 0) // 1_000)

    # --- The doors' Router.

    @property
    def name(self) -> str:
        return self._node.name

    @property
    def shards(self) -> int:
        return self._node.topology.shards

    def leads(self, shard: ShardId) -> bool:
        replica = self._node.engine.shards.get(shard)
        return replica is not None and replica.is_leader

    def leader_of(self, shard: ShardId) -> NodeInfo | None:
        leader = self._node.router.leader_of(shard)
        return None if leader is None else self._node.topology.node(leader)

    def last_leader_of(self, shard: ShardId) -> NodeInfo | None:
        led = self._node.leaders.of(shard)
        topology = self._node.topology
        return topology.node(led.node if led is not None else topology.replicas[shard][0].node)

    def term_of(self, shard: ShardId) -> int:
        led = self._node.leaders.of(shard)
        return led.term if led is not None else 0

    def is_reachable(self, node: str) -> bool:
        return self._peers.is_up(NodeId(node))

    def topology(self) -> Topology:
        return self._node.topology

    @property
    def is_full(self) -> bool:
        return self._node.engine.evictor.pressure.is_full

    def wall_us(self) -> int:
        return self._clock.wall_us()

    def submit(self, request: Request) -> None:
        try:
            self._node.router.submit(request)
        except Exception as error:
            # A door would end one client and go on, on a node that is half-way through something.
            self._fail(error)
            raise

    def cancel(self, wait: Request) -> None:
        self._node.router.cancel(wait)

    def may_have(self, shard: ShardId, db: int, waiting: Waiting) -> bool:
        return self._node.router.may_have(shard, db, waiting)

    def now_ns(self) -> int:
        return self._clock.now_ns()

    # --- INFO and CONFIG GET.

    def info(self) -> Mapping[str, Mapping[str, str | int]]:
        return self._report.sections()

    def memory(self) -> MemoryFacts:
        return self._report.memory()

    def applied_total(self) -> int:
        return self._report.applied_total()

    def config(self) -> Mapping[str, str]:
        return shown_config(self._node.config)

    def links(self) -> Sequence[LinkFacts]:
        return [
            LinkFacts(link.node, link.up_since_ms, link.queue_bytes)
            for link in self._peers.links.values()
            if link.is_up
        ]

    # --- /metrics, /status and /readyz.

    def metrics(self) -> Iterable[Metric]:
        return collect(self._node, self._peers, self._clients, self.loop_lag_us)

    @property
    def is_ready(self) -> bool:
        """Whether every shard has a leader that this node knows, and all are told where it is."""
        return (
            not self.waiting_for
            and self._node.is_announced
            and all(
                self._node.router.leader_of(ShardId(number)) is not None
                for number in range(self.shards)
            )
        )

    @property
    def waiting_for(self) -> list[str]:
        """The nodes that are not up, if a shard here has no leader for want of them."""
        shards = self._node.engine.shards.values()
        if all(shard.leader_node() is not None for shard in shards):
            return []
        return [str(node) for node in self._peers.missing]

    def status(self) -> dict[str, Any]:
        """What GET /status answers; the shape is `client/status.py`'s."""
        node = self._node
        return {
            "version": STATUS_VERSION,
            "node": node.name,
            "cluster_id": f"{node.topology.cluster_id:016x}",
            "state": "ready" if self.is_ready else "starting",
            "waiting_for": self.waiting_for,
            "epoch": node.topology.epoch,
            "shards_total": node.topology.shards,
            "nodes": [self._node_status(one) for one in node.topology.nodes],
            "shards": [_shard_status(shard) for shard in node.engine.shards.values()],
            "settings": dict(node.topology.settings),
        }

    def _node_status(self, one: NodeInfo) -> dict[str, Any]:
        return {
            "name": one.name,
            "host": one.host,
            "port": one.port,
            "zone": one.zone,
            "is_up": self.is_reachable(one.name),
            "memory_bytes": resident_bytes() if one.name == self.name else None,
        }


def shown_config(config: Config) -> dict[str, str]:
    """The parameters of CONFIG GET that follow from start options."""
    return {
        "appendfsync": "always" if config.fsync == "always" else "no",
        "dir": config.data_dir,
        "bind": config.host,
        "hz": str(1000 // config.tick_interval_ms or 1),
        "cluster-node-timeout": str(config.election_timeout_ms),
    }


def _shard_status(shard: Shard) -> dict[str, Any]:
    core = shard.core
    matches = {follower.node: follower.match_index for follower in core.followers()}
    if shard.is_leader:
        matches[NodeId(shard.leader_node() or "")] = core.saved_index
    return {
        "shard": "meta" if shard.id == META_SHARD else shard.id,
        "leader": shard.leader_node(),
        "term": core.term,
        "commit_index": core.commit_index,
        "applied_index": shard.applied_index,
        "last_index": core.last.index,
        "replicas": [
            {
                "node": voter.node,
                "role": "leader" if voter.node == shard.leader_node() else "follower",
                "match_index": matches.get(voter.node),
            }
            for voter in core.voters
        ],
    }
