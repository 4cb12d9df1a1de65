"""What all nodes of one run are told: their configuration and their founding topology."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trimaran.cluster.settings import settings_of
from trimaran.cluster.topology import NodeInfo, ReplicaInfo, Topology
from trimaran.node.config import Config
from trimaran.node.raft.lease import LEASE_MAX_NS

from .schedule import MS

if TYPE_CHECKING:
    from trimaran.node.raft.types import NodeId

    from .scenarios import Scenario

CLUSTER_ID = 0x5EED


@dataclass(frozen=True, slots=True)
class Settings:
    scenario: Scenario
    nodes: tuple[NodeId, ...]
    topology: Topology

    @classmethod
    def of(cls, scenario: Scenario, nodes: list[NodeId]) -> Settings:
        """Every shard on every node; each is the preferred leader of some."""
        infos = tuple(
            NodeInfo(node, number, f"10.0.0.{number}", 7379) for number, node in enumerate(nodes, 1)
        )
        replicas = tuple(ReplicaInfo(number, node) for number, node in enumerate(nodes, 1))
        turned = tuple(
            replicas[shard % len(nodes) :] + replicas[: shard % len(nodes)]
            for shard in range(scenario.shards)
        )
        is_default = scenario.policy in ("", "noeviction")
        policy = () if is_default else (("maxmemory-policy", scenario.policy),)
        pairs = settings_of(scenario.settings + policy).changed()  # As a node writes them.
        topology = Topology(CLUSTER_ID, 1, scenario.shards, infos, turned, replicas, pairs)
        return cls(scenario, tuple(nodes), topology)

    def _lease_ns(self, node: NodeId) -> int:
        parts = self.scenario.lease_parts
        part = parts[self.nodes.index(node) % len(parts)]
        return min(part * self.scenario.election_timeout_ns // 8, LEASE_MAX_NS)

    def config(self, node: NodeId) -> Config:
        scenario = self.scenario
        info = self.topology.node(node)
        assert info is not None
        return Config(
            name=node,
            data_dir="/data",
            host=info.host,
            port=info.port,
            shards=scenario.shards,
            election_timeout_ms=scenario.election_timeout_ns // MS,
            heartbeat_interval_ms=scenario.heartbeat_interval_ns // MS,
            lease_ms=self._lease_ns(node) // MS,
            tick_interval_ms=scenario.tick_ns // MS,
            clock_skew_max_ms=5000,
            append_bytes_max=scenario.append_bytes_max,
            inflight_appends_max=scenario.inflight_appends_max,
            segment_bytes=scenario.segment_bytes,
            log_disk_bytes=2 * scenario.segment_bytes,
            log_keep_bytes=scenario.log_keep_bytes,
            snapshot_log_bytes=scenario.snapshot_log_bytes,
            snapshot_chunk_bytes=64,
        )
