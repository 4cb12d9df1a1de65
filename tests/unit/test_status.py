"""What several nodes say, put together as an operator wants to read it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any  # JSON.

import pytest

from trimaran.client.cli import parse_url
from trimaran.client.status import (
    NodeStatus,
    ReplicaStatus,
    ShardStatus,
    Status,
    merge,
    parse,
    table,
)

NODES = tuple(NodeStatus(f"n{i}", "127.0.0.1", 7369 + 10 * i) for i in (1, 2, 3))


def view(node: str, *shards: ShardStatus, connected: str = "", **more: Any) -> Status:
    """What `node` says when it is connected to the nodes named in `connected`."""
    nodes = tuple(
        replace(one, is_up=one.name in connected.split(), memory_bytes=7 * (one.name == node))
        for one in NODES
    )
    return Status(node, "ab", "ready", shards_total=1, nodes=nodes, shards=shards, **more)


def shard(leader: str | None, term: int, last: int = 10, **match: int) -> ShardStatus:
    replicas = tuple(ReplicaStatus(node.name, "", match.get(node.name)) for node in NODES)
    return ShardStatus(0, leader, term, last, last, last, replicas)


def test_a_shard_is_described_by_its_leader_which_alone_knows_the_followers() -> None:
    told = shard("n2", 4, n1=8, n2=10, n3=3)
    merged = merge([view("n1", shard("n2", 4, last=9)), view("n2", told)])
    assert merged.shards == (told,)
    assert merged.shards[0].lag == 7


def test_the_highest_term_is_believed_when_two_nodes_claim_to_lead() -> None:
    merged = merge([view("n1", shard("n1", 4, last=99)), view("n2", shard("n2", 5))])
    assert merged.shards[0].leader == "n2"


def test_a_leader_that_neither_answers_nor_is_connected_leads_nobody() -> None:
    views = [view("n1", shard("n3", 4)), view("n2", shard("n3", 4))]
    merged = merge(views)
    assert merged.leaderless == (0,)
    assert not merged.is_ready
    assert [node.is_up for node in merged.nodes] == [True, True, False]


def test_a_node_that_others_are_connected_to_is_up_even_if_not_reachable_from_here() -> None:
    merged = merge([view("n1", shard("n3", 4), connected="n2 n3")])
    assert [node.is_up for node in merged.nodes] == [True, True, True]
    assert merged.is_ready


def test_each_node_knows_its_own_memory() -> None:
    merged = merge([view("n1", shard("n1", 1)), view("n2", shard("n1", 1))])
    assert [node.memory_bytes for node in merged.nodes] == [7, 7, 0]


def test_the_cluster_is_not_ready_while_one_answering_node_is_not() -> None:
    starting = replace(view("n2", shard("n1", 1)), state="starting", waiting_for=("n3",))
    merged = merge([view("n1", shard("n1", 1)), starting])
    assert (merged.state, merged.waiting_for) == ("starting", ("n3",))


def test_the_newest_epoch_has_the_settings() -> None:
    old = replace(view("n1", shard("n1", 1)), epoch=3)
    new = replace(view("n2", shard("n1", 1)), epoch=4, settings={"maxmemory": "1024"})
    merged = merge([old, new])
    assert (merged.epoch, merged.settings) == (4, {"maxmemory": "1024"})
    assert parse(merged.to_json()) == merged
    assert "settings of the whole cluster: maxmemory 1024" in table(merged)
    assert "settings" not in table(merge([old]))


def test_a_status_survives_its_json_and_unknown_keys_are_ignored() -> None:
    status = view("n1", shard("n1", 3, n1=10, n2=9, n3=10), waiting_for=("n3",))
    value = status.to_json()
    assert value["shards"][0]["lag"] == 1
    assert parse(value | {"from_the_future": 1}) == status


def test_a_status_of_another_format_version_is_refused_with_both_versions_named() -> None:
    with pytest.raises(ValueError, match="version 2 is not 1"):
        parse({"version": 2, "node": "n1"})
    with pytest.raises(ValueError, match="not a node's status"):
        parse(["something else"])


def test_the_table_names_what_an_operator_looks_for() -> None:
    text = table(merge([view("n1", shard("n1", 3, n1=10, n2=9), waiting_for=("n3",))]))
    assert "1 of 3 nodes up  1 of 1 shards led" in text
    assert "waiting for n3" in text
    assert "n2    127.0.0.1:7389  NO" in text
    assert "lag" in text
    assert "NONE" in table(merge([view("n1", shard(None, 3))]))


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("127.0.0.1:7389", ("127.0.0.1", 7389)),
        ("redis://db1:7379/1", ("db1", 7379)),
        ("http://[::1]:7382", ("::1", 7382)),
        ("db1", ("db1", 7379)),
    ],
)
def test_a_url_may_be_an_address_or_what_a_redis_client_is_given(
    url: str, place: tuple[str, int]
) -> None:
    assert parse_url(url) == place


@pytest.mark.parametrize("url", ["", "a:b", "a:99999"])
def test_a_url_without_host_or_with_a_bad_port_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_url(url)
