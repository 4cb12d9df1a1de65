"""What the doors are told of the node behind them: who leads, what INFO adds, what /status says.

Reads the node, changes nothing. The doors declare what they need (`doors/backend.py`), this
answers.
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any  # Any: JSON out.

from ..cluster.slots import META_SHARD, ShardId, Slot, shard_of_slot
from .metrics import collect
from .raft.types import NodeId

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from ..cluster.topology import NodeInfo, Topology
    from .clock import Clock
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

    def is_reachable(self, node: str) -> bool:
        return self._peers.is_up(NodeId(node))

    def topology(self) -> Topology:
        return self._node.topology

    def wall_us(self) -> int:
        return self._clock.wall_ms() * 1000

    def submit(self, request: Request) -> None:
        try:
            self._node.router.submit(request)
        except Exception as error:
            # A door would end one client and go on, on a node that is half-way through something.
            self._fail(error)
            raise

    def now_ns(self) -> int:
        return self._clock.now_ns()

    # --- INFO and CONFIG GET.

    def info(self) -> Mapping[str, Mapping[str, str | int]]:
        node = self._node
        used = sum([shard.keys.memory_bytes for shard in node.engine.shards.values()])
        resident = memory_bytes()
        return {
            "memory": {
                "used_memory": used,
                "used_memory_human": f"{used / (1 << 20):.2f}M",
                "used_memory_rss": resident,
                "used_memory_rss_human": f"{resident / (1 << 20):.2f}M",
            },
            "persistence": {
                "rdb_bgsave_in_progress": int(node.snapshotting.is_cutting),
                "aof_current_size": node.log.bytes_on_disk,
            },
            "trimaran": {
                "node": node.name,
                "cluster_id": f"{node.topology.cluster_id:016x}",
                "epoch": node.topology.epoch,
                "shards": node.topology.shards,
                "shards_led": sum([one.is_leader for one in node.engine.shards.values()]),
                "fsync": node.config.fsync,
            },
            "keyspace": self._keyspace(),
        }

    def _keyspace(self) -> dict[str, str | int]:
        """Keys of what this node leads; on every other shard somebody else says it."""
        counts: dict[int, int] = {}
        for shard in self._node.engine.shards.values():
            if shard.is_leader and shard.id != META_SHARD:
                for db in shard.keys.databases:
                    counts[db] = counts.get(db, 0) + shard.keys.count(db)
        return {
            f"db{db}": f"keys={count},expires=0,avg_ttl=0" for db, count in sorted(counts.items())
        }

    def config(self) -> Mapping[str, str]:
        config = self._node.config
        return {
            "appendfsync": "always" if config.fsync == "always" else "no",
            "dir": config.data_dir,
            "bind": config.host,
        }

    def count_keys_in_slot(self, slot: Slot) -> int:
        return sum([1 for _ in self._keys_in_slot(slot)])

    def keys_in_slot(self, slot: Slot, count: int) -> Sequence[bytes]:
        return list(islice(self._keys_in_slot(slot), count))

    def _keys_in_slot(self, slot: Slot) -> Iterator[bytes]:
        shard = self._node.engine.shards.get(shard_of_slot(slot, self.shards))
        if shard is None:
            return iter(())
        shard.keys.enter(0, shard.keys.last_stamp_ms, is_read=True)
        return shard.keys.keys_in_slot(slot)

    # --- /metrics, /status and /readyz.

    def metrics(self) -> Iterable[Metric]:
        return collect(self._node, self._peers, self._clients, memory_bytes())

    @property
    def is_ready(self) -> bool:
        """Whether every shard has a leader that this node knows."""
        return not self.waiting_for and all(
            self._node.router.leader_of(ShardId(number)) is not None
            for number in range(self.shards)
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
        }

    def _node_status(self, one: NodeInfo) -> dict[str, Any]:
        return {
            "name": one.name,
            "host": one.host,
            "port": one.port,
            "zone": one.zone,
            "is_up": self.is_reachable(one.name),
            "memory_bytes": memory_bytes() if one.name == self.name else None,
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


def memory_bytes() -> int:
    """Resident memory of this process."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:  # Not Linux: the peak will do.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
