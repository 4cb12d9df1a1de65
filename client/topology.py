"""The cluster as a client sees it: nodes, who holds and who leads each shard. A value; no I/O."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NodeView:
    name: str
    address: str  # host:port of its gRPC port.
    zone: str
    is_reachable: bool  # By the node that says so.


@dataclass(frozen=True, slots=True)
class ShardView:
    replicas: tuple[str, ...]
    leader: str  # Empty while none is known.
    term: int


@dataclass(frozen=True, slots=True)
class TopologyView:
    node: str  # Who says this.
    cluster_id: str
    epoch: int
    nodes: dict[str, NodeView]
    shards: tuple[ShardView, ...]


def grpc_address(host: str, base_port: int) -> str:
    """Where the node with that base port speaks gRPC."""
    return f"[{host}]:{base_port + 2}" if ":" in host else f"{host}:{base_port + 2}"
