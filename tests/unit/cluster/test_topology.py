"""The topology as a value: its JSON, its addresses, and the first one of a cluster."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from trimaran.cluster.slots import META_SHARD, ShardId
from trimaran.cluster.topology import ListenerInfo, NodeInfo, ReplicaInfo, Topology
from trimaran.node.meta import topology_of
from trimaran.node.storage.identity import Founder, Founding

TOPOLOGY = Topology(
    cluster_id=0xC1,
    epoch=4,
    shards=2,
    nodes=(
        NodeInfo("n1", 0xA1, "10.0.0.1", 7379, "east", (ListenerInfo("outside", "db1", 80),)),
        NodeInfo("n2", 0xA2, "::1", 7389),
    ),
    replicas=((ReplicaInfo(1, "n1"), ReplicaInfo(2, "n2")), (ReplicaInfo(1, "n2"),)),
    meta=(ReplicaInfo(1, "n1"),),
)


def founding(count: int, shards: int = 16) -> Founding:
    founders = tuple(
        Founder(f"n{number}", 0xA0 + number, f"10.0.0.{number}:7381", f"zone{number % 3}")
        for number in range(count, 0, -1)
    )
    return Founding(0xC1, founders, shards, "hash")


def test_json_and_back_is_the_same_topology() -> None:
    assert Topology.from_json(json.loads(json.dumps(TOPOLOGY.to_json()))) == TOPOLOGY


def test_a_topology_written_before_there_were_listeners_has_none() -> None:
    value = TOPOLOGY.to_json()
    for node in value["nodes"]:
        del node["listeners"]
    assert [node.listeners for node in Topology.from_json(value).nodes] == [(), ()]


def test_a_topology_of_another_format_version_is_refused_with_both() -> None:
    value = TOPOLOGY.to_json() | {"version": 9}
    with pytest.raises(ValueError, match="9 is not 1"):
        Topology.from_json(value)


def test_an_ipv6_host_is_bracketed_in_an_address() -> None:
    assert [node.grpc_address for node in TOPOLOGY.nodes] == ["10.0.0.1:7381", "[::1]:7391"]


def test_another_address_is_another_epoch() -> None:
    moved = TOPOLOGY.with_address("n2", "10.0.0.9", 8000)
    assert moved.epoch == TOPOLOGY.epoch + 1
    assert moved.node("n2") == NodeInfo("n2", 0xA2, "10.0.0.9", 8000)
    assert moved.node("n1") == TOPOLOGY.node("n1")


def test_the_same_address_is_the_same_topology() -> None:
    assert TOPOLOGY.with_address("n2", "::1", 7389) is TOPOLOGY


def test_other_listeners_are_another_epoch_and_leave_the_rest_as_it_is() -> None:
    listeners = (ListenerInfo("outside", "db2", 90),)
    changed = TOPOLOGY.with_address("n2", "::1", 7389, listeners)
    assert changed.epoch == TOPOLOGY.epoch + 1
    assert changed.node("n2") == NodeInfo("n2", 0xA2, "::1", 7389, "", listeners)
    assert changed.with_address("n2", "::1", 7389, listeners) is changed


def test_who_asks_through_a_listener_is_told_its_address_and_else_the_nodes_own() -> None:
    one, two = TOPOLOGY.nodes
    assert one.address("outside") == ("db1", 80)
    assert one.address("") == one.address("inside") == ("10.0.0.1", 7379)
    assert two.address("outside") == ("::1", 7389)


def test_replicas_of_the_meta_shard_are_the_meta_group() -> None:
    assert TOPOLOGY.replicas_of(META_SHARD) == TOPOLOGY.meta
    assert TOPOLOGY.replicas_of(ShardId(1)) == (ReplicaInfo(1, "n2"),)


def test_every_founder_computes_the_same_topology_of() -> None:
    one = founding(5)
    other = Founding(one.cluster_id, one.founders[::-1], one.shards, one.options_hash)
    assert topology_of(one) == topology_of(other)


@pytest.mark.parametrize(("count", "copies", "meta"), [(1, 1, 1), (2, 2, 2), (3, 3, 3), (7, 3, 5)])
def test_the_first_topology_has_up_to_three_copies_and_five_of_meta(
    count: int, copies: int, meta: int
) -> None:
    topology = topology_of(founding(count))
    assert topology.epoch == 1
    assert [node.name for node in topology.nodes] == [f"n{n}" for n in range(1, count + 1)]
    assert all(len(held) == copies for held in topology.replicas)
    assert {one.node for one in topology.meta} == {f"n{n}" for n in range(1, meta + 1)}


def test_replicas_are_numbered_from_one_within_each_shard() -> None:
    for held in topology_of(founding(5)).replicas:
        assert sorted(one.replica for one in held) == [1, 2, 3]


def test_the_meta_group_is_led_where_the_fewest_shards_are() -> None:
    topology = topology_of(founding(3, shards=16))
    led = Counter(held[0].node for held in topology.replicas)
    assert led[topology.meta[0].node] == min(led.values())


def test_the_first_topology_keeps_where_founders_said_they_are() -> None:
    assert topology_of(founding(3)).node("n2") == NodeInfo("n2", 0xA2, "10.0.0.2", 7379, "zone2")
