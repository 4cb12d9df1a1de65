"""Which nodes hold which shard: consistent hashing with bounded loads, zones, and even leaders.

Nodes and shards are points on a ring (mmh3); a shard lives on the first nodes met clockwise from
its point, but no node takes more than ceil((1 + OVERLOAD) * average) replicas (Mirrokni, Thorup
and Zadimoghaddam 2017), and no zone two of one shard while there are zones enough. One node more
or less moves about 1/N of the replicas. Every member computes the same. Pure.
"""

from __future__ import annotations

from bisect import bisect
from collections import Counter
from collections.abc import Sequence
from math import ceil

import mmh3

from .topology import NodeInfo, ReplicaInfo, Topology

REPLICAS = 3  # Of a shard, where there are nodes enough.
META_REPLICAS = 5
FIRST_EPOCH = 1
POINTS_PER_NODE = 128  # More are more even and cost only at a change.
OVERLOAD = 0.25  # How far above the average a node may be.


class Ring:
    """The points of some nodes; the order in which they were given does not matter."""

    def __init__(self, nodes: Sequence[NodeInfo]) -> None:
        points = sorted(
            (_hash(f"{node.name}/{number}"), node.name)
            for node in nodes
            for number in range(POINTS_PER_NODE)
        )
        self._places = [place for place, _ in points]
        self._names = [name for _, name in points]

    def clockwise(self, key: str) -> list[str]:
        """All nodes, in the order met from the point of `key`."""
        start = bisect(self._places, _hash(key))
        return list(dict.fromkeys(self._names[start:] + self._names[:start]))


def place_shards(
    shards: int, nodes: Sequence[NodeInfo], *, replicas: int = REPLICAS
) -> list[list[str]]:
    """For each shard the names of its nodes, the preferred leader first."""
    replicas = min(replicas, len(nodes))
    ring = Ring(nodes)
    zones = {node.name: node.zone for node in nodes}
    # While there are zones enough this is one; with fewer, the zones share as evenly as they can.
    per_zone = ceil(replicas / len(set(zones.values())))
    limit = ceil((1 + OVERLOAD) * shards * replicas / len(nodes))
    loads: Counter[str] = Counter()
    holders = []
    for shard in range(shards):
        order = ring.clockwise(f"shard/{shard}")
        held = _choose(order, replicas, zones, per_zone, loads, limit)
        loads.update(held)
        holders.append(held)
    return _spread_leaders(holders, sorted(zones))


def _choose(
    order: Sequence[str],
    count: int,
    zones: dict[str, str],
    per_zone: int,
    loads: Counter[str],
    limit: int,
) -> list[str]:
    """The first `count` nodes of `order` that keep the rules; a rule nobody can keep is let go."""
    chosen: list[str] = []
    # Zones are given up last: a full node is slow, replicas behind one switch are lost together.
    for is_bounded, is_zoned in ((True, True), (False, True), (True, False), (False, False)):
        for name in order:
            if len(chosen) == count:
                return chosen
            in_zone = sum([zones[one] == zones[name] for one in chosen])
            if (
                name not in chosen
                and not (is_bounded and loads[name] >= limit)
                and not (is_zoned and in_zone >= per_zone)
            ):
                chosen.append(name)
    return chosen


def _spread_leaders(holders: Sequence[list[str]], names: Sequence[str]) -> list[list[str]]:
    """Each list with its preferred leader moved to the front, leaders as even as can be.

    A bipartite matching by augmenting paths, at first with room for the rounded-down average at
    each node, then with more: a path only ever adds to the load of the node where it ends.
    """
    leader: dict[int, str] = {}
    led: dict[str, list[int]] = {name: [] for name in names}

    def lead(shard: int, room: int, tried: set[str]) -> bool:
        for name in holders[shard]:
            if name in tried:
                continue
            tried.add(name)
            if len(led[name]) < room:
                led[name].append(shard)
                leader[shard] = name
                return True
            for other in list(led[name]):
                if lead(other, room, tried):
                    led[name].remove(other)
                    led[name].append(shard)
                    leader[shard] = name
                    return True
        return False

    room = len(holders) // len(names)
    while len(leader) < len(holders):
        for shard in range(len(holders)):
            if shard not in leader:
                lead(shard, room, set())
        room += 1
    return [
        [leader[shard], *(name for name in held if name != leader[shard])]
        for shard, held in enumerate(holders)
    ]


def first_topology(cluster_id: int, shards: int, nodes: Sequence[NodeInfo]) -> Topology:
    """What the founders begin with, the same on each of them: only they go into it."""
    ordered = sorted(nodes, key=lambda node: node.name)
    holders = place_shards(shards, ordered)
    led = Counter(held[0] for held in holders)
    # The meta group lives on the first nodes by name, and is led where the fewest shards are.
    meta = sorted([node.name for node in ordered[:META_REPLICAS]], key=lambda name: led[name])
    return Topology(
        cluster_id=cluster_id,
        epoch=FIRST_EPOCH,
        shards=shards,
        nodes=tuple(ordered),
        replicas=tuple(_numbered(held) for held in holders),
        meta=_numbered(meta),
    )


def _numbered(names: Sequence[str]) -> tuple[ReplicaInfo, ...]:
    # By name, so that the number of a replica does not depend on who is preferred.
    numbers = {name: number for number, name in enumerate(sorted(names), 1)}
    return tuple(ReplicaInfo(numbers[name], name) for name in names)


def _hash(key: str) -> int:
    return mmh3.hash64(key, signed=False)[0]
