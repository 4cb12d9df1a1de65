"""Topology: which nodes exist and which hold which shard; a frozen value with an epoch.

It is the state of the meta group (design, section 10). Who owns what is agreed there, epoch + 1 at
each change; who leads is only observed and is not part of it. `ring.py` computes placements.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any  # JSON in, JSON out.

from .settings import Settings

if TYPE_CHECKING:
    from .settings import Pairs
    from .slots import ShardId

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class ListenerInfo:
    """A named listener of a node, where its clients are told to find it; ports are base + 0..2."""

    name: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """One member: its incarnation and the address others reach it at; ports are base + 0..3."""

    name: str
    incarnation: int
    host: str
    port: int  # The base port: +0 RESP any key, +1 RESP cluster, +2 gRPC, +3 HTTP.
    zone: str = ""
    listeners: tuple[ListenerInfo, ...] = ()  # Beside the one above, which has no name.

    def address(self, listener: str) -> tuple[str, int]:
        """Host and base port for who asks through `listener`; the node's own if it has no such."""
        for one in self.listeners:
            if one.name == listener:
                return one.host, one.port
        return self.host, self.port

    @property
    def grpc_address(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port + 2}"


@dataclass(frozen=True, slots=True)
class ReplicaInfo:
    replica: int  # Unique within the shard, from 1, never reused.
    node: str


@dataclass(frozen=True, slots=True)
class Topology:
    cluster_id: int  # 64 bits; printed as 16 hex digits.
    epoch: int
    shards: int
    nodes: tuple[NodeInfo, ...]
    replicas: tuple[tuple[ReplicaInfo, ...], ...]  # Per shard; the first is the preferred leader.
    meta: tuple[ReplicaInfo, ...]  # Where the meta group lives.
    settings: Pairs = ()  # Cluster-wide parameters that differ from their defaults.

    def node(self, name: str) -> NodeInfo | None:
        return next((node for node in self.nodes if node.name == name), None)

    def with_address(
        self, name: str, host: str, port: int, listeners: tuple[ListenerInfo, ...] = ()
    ) -> Topology:
        """The next topology, in which `name` is there; this one if nothing changes."""
        nodes = tuple(
            replace(node, host=host, port=port, listeners=listeners) if node.name == name else node
            for node in self.nodes
        )
        return self if nodes == self.nodes else replace(self, epoch=self.epoch + 1, nodes=nodes)

    def with_settings(self, changes: Pairs) -> Topology:
        """The next topology, with these parameters set; this one if nothing changes."""
        settings = Settings.of((*self.settings, *changes)).changed()
        if settings == self.settings:
            return self
        return replace(self, epoch=self.epoch + 1, settings=settings)

    def replicas_of(self, shard: ShardId) -> tuple[ReplicaInfo, ...]:
        return self.meta if shard >= self.shards else self.replicas[shard]

    def to_json(self) -> dict[str, Any]:
        return {
            "version": FORMAT_VERSION,
            "cluster_id": f"{self.cluster_id:016x}",
            "epoch": self.epoch,
            "shards": self.shards,
            "nodes": [
                {
                    "name": node.name,
                    "incarnation": f"{node.incarnation:016x}",
                    "host": node.host,
                    "port": node.port,
                    "zone": node.zone,
                    "listeners": [[one.name, one.host, one.port] for one in node.listeners],
                }
                for node in self.nodes
            ],
            "replicas": [[[one.replica, one.node] for one in shard] for shard in self.replicas],
            "meta": [[one.replica, one.node] for one in self.meta],
            "settings": dict(self.settings),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Topology:
        """Raises ValueError when the format version, or a setting, is not this one's."""
        if value.get("version") != FORMAT_VERSION:
            raise ValueError(
                f"topology format version {value.get('version')!r} is not {FORMAT_VERSION}: "
                "it was written by another version of trimaran"
            )
        return cls(
            cluster_id=int(value["cluster_id"], 16),
            epoch=value["epoch"],
            shards=value["shards"],
            nodes=tuple(
                NodeInfo(
                    one["name"],
                    int(one["incarnation"], 16),
                    one["host"],
                    one["port"],
                    one["zone"],
                    # Of whoever wrote it before there were any: none.
                    tuple(ListenerInfo(*listener) for listener in one.get("listeners", ())),
                )
                for one in value["nodes"]
            ),
            replicas=tuple(
                tuple(ReplicaInfo(replica, node) for replica, node in shard)
                for shard in value["replicas"]
            ),
            meta=tuple(ReplicaInfo(replica, node) for replica, node in value["meta"]),
            # Read through the table: what this version does not know is refused here.
            settings=Settings.of(value.get("settings", {}).items()).changed(),
        )
