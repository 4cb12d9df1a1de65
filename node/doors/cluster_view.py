"""Who leads which slots, in the words of Redis Cluster: node ids, addresses, slot ranges."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha1
from typing import TYPE_CHECKING

from ...cluster.slots import SLOTS, ShardId, slots_of_shard

if TYPE_CHECKING:
    from ...cluster.topology import NodeInfo, Topology
    from .backend import Router


@dataclass(frozen=True, slots=True)
class Member:
    """One node as a cluster client sees it."""

    name: str
    id: str
    host: str
    port: int  # Of the cluster door.
    bus_port: int  # Where nodes talk to one another: gRPC.
    is_self: bool
    is_reachable: bool
    is_failed: bool  # Out of reach, and whatever it led is led by others: more than our word.
    ranges: tuple[tuple[int, int], ...]  # First and last slot, ascending, as long as they can be.

    @property
    def slots(self) -> int:
        return sum([last - first + 1 for first, last in self.ranges])

    @property
    def flags(self) -> str:
        """In the words of CLUSTER NODES: `fail?` is our suspicion, `fail` what a majority saw."""
        fate = "" if self.is_reachable else ",fail" if self.is_failed else ",fail?"
        return f"{'myself,' * self.is_self}master{fate}"


class ClusterView:
    """A picture of this moment: all members, by name, with the slots each leads or led last.

    The addresses are those that clients of `listener` are told.
    """

    def __init__(self, router: Router, listener: str = "") -> None:
        topology = router.topology()
        self.epoch = topology.epoch
        self.slots_led = 0
        up = {one.name for one in topology.nodes if _is_reachable(router, one)}
        # Without it nothing here can be served, whoever led when we last heard.
        self.is_in_majority = len(up) * 2 > len(topology.nodes)
        ranges: dict[str, list[tuple[int, int]]] = {}
        for number in range(topology.shards):
            leader = router.leader_of(ShardId(number))
            slots = slots_of_shard(ShardId(number), topology.shards)
            self.slots_led += len(slots) if leader is not None else 0
            # While a shard elects, its last leader goes on standing for it, as in Redis: libraries
            # keep a map with a hole (redis-py 5), or refuse to go on with it (redis-py 8).
            shown = leader or router.last_leader_of(ShardId(number))
            if shown is None:
                continue
            led = ranges.setdefault(shown.name, [])
            if led and led[-1][1] + 1 == slots.start:
                led[-1] = (led[-1][0], slots.stop - 1)
            else:
                led.append((slots.start, slots.stop - 1))
        self.members = tuple(
            Member(
                node.name,
                id_of(topology, node),
                *cluster_address(node, listener),
                bus_port=node.address(listener)[1] + 2,
                is_self=node.name == router.name,
                is_reachable=node.name in up,
                is_failed=(node.name not in up and node.name not in ranges and self.is_in_majority),
                ranges=tuple(ranges.get(node.name, ())),
            )
            for node in sorted(topology.nodes, key=lambda one: one.name)
        )

    @property
    def is_ok(self) -> bool:
        """Whether every slot has a leader that can be there."""
        return self.slots_led == SLOTS and self.is_in_majority

    @property
    def slots_assigned(self) -> int:
        return sum([one.slots for one in self.members])

    @property
    def slots_suspected(self) -> int:
        """Led by nodes that are out of reach, as far as is known here."""
        return sum([one.slots for one in self.members if not one.is_reachable])


def _is_reachable(router: Router, node: NodeInfo) -> bool:
    return node.name == router.name or router.is_reachable(node.name)


def cluster_address(node: NodeInfo, listener: str = "") -> tuple[str, int]:
    """Where clients of `listener` are told to find the cluster door of `node`."""
    host, port = node.address(listener)
    return host, port + 1


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
