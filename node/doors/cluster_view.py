"""Who leads which slots, in the words of Redis Cluster: node ids, addresses, slot ranges."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha1
from typing import TYPE_CHECKING

from ...cluster.slots import ShardId, slots_of_shard

if TYPE_CHECKING:
    from ...cluster.topology import NodeInfo, Topology
    from .backend import Router


@dataclass(frozen=True, slots=True)
class Member:
    """One node as a cluster client sees it."""

    id: str
    host: str
    port: int  # Of the cluster door.
    bus_port: int  # Where nodes talk to one another: gRPC.
    is_self: bool
    is_reachable: bool
    ranges: tuple[tuple[int, int], ...]  # First and last slot, ascending, as long as they can be.


class ClusterView:
    """A picture of this moment: all members, by name, with the slots each is known to lead."""

    def __init__(self, router: Router) -> None:
        topology = router.topology()
        self.epoch = topology.epoch
        self.slots_led = 0
        ranges: dict[str, list[tuple[int, int]]] = {}
        for number in range(topology.shards):
            leader = router.leader_of(ShardId(number))
            if leader is None:
                continue
            slots = slots_of_shard(ShardId(number), topology.shards)
            self.slots_led += len(slots)
            led = ranges.setdefault(leader.name, [])
            if led and led[-1][1] + 1 == slots.start:
                led[-1] = (led[-1][0], slots.stop - 1)
            else:
                led.append((slots.start, slots.stop - 1))
        self.members = tuple(
            Member(
                id_of(topology, node),
                *cluster_address(node),
                bus_port=node.port + 2,
                is_self=node.name == router.name,
                is_reachable=node.name == router.name or router.is_reachable(node.name),
                ranges=tuple(ranges.get(node.name, ())),
            )
            for node in sorted(topology.nodes, key=lambda one: one.name)
        )


def cluster_address(node: NodeInfo) -> tuple[str, int]:
    """Where clients are told to find the cluster door of `node`."""
    return node.host, node.port + 1


def id_of(topology: Topology, node: NodeInfo) -> str:
    """40 hex digits that are the node's as long as its incarnation lives, the same everywhere."""
    text = f"{topology.cluster_id:016x}/{node.name}/{node.incarnation:016x}"
    return sha1(text.encode(), usedforsecurity=False).hexdigest()


def node_id(router: Router) -> str:
    """The id of this node."""
    topology = router.topology()
    node = topology.node(router.name)
    return id_of(topology, node) if node is not None else "0" * 40


def shard_id_of(node: str) -> str:
    """What MYSHARDID tells: to cluster clients each node is a shard of its own."""
    return sha1(f"shard/{node}".encode(), usedforsecurity=False).hexdigest()
