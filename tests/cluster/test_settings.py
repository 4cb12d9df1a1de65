"""CONFIG SET on real nodes: what is the cluster's, and what is one node's."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import redis

from .command import START_S, trimaran, until

if TYPE_CHECKING:
    from .command import Up
    from .conftest import StartUp

NODES = ("n1", "n2", "n3")
HALF = "x" * (600 << 10)


def shown(up: Up, node: str, name: str) -> str:
    with up.redis(node) as client:
        return str(client.config_get(name)[name])


def first_shown(up: Up, node: str, name: str) -> str:
    """What the node answers as soon as it answers."""
    found: list[str] = []

    def is_answered() -> bool:
        with suppress(redis.ConnectionError):
            found.append(shown(up, node, name))
        return bool(found)

    until(is_answered, up.node_logs, START_S)
    return found[0]


def test_a_setting_is_the_whole_clusters_and_outlives_the_death_of_all_nodes(
    start_up: StartUp,
) -> None:
    up = start_up("--shards", "2")
    up.wait_ready()
    with up.redis("n2") as client:
        assert client.config_set("proto-max-bulk-len", "1mb", "timeout", 500)
    assert [shown(up, node, "proto-max-bulk-len") for node in NODES] == ["1048576"] * 3
    assert [shown(up, node, "timeout") for node in NODES] == ["0", "500", "0"]
    assert up.status("n3").settings == {"proto-max-bulk-len": "1048576"}
    status = trimaran("status", "--url", up.urls)
    assert "settings of the whole cluster: proto-max-bulk-len 1048576" in status.stdout
    for node in NODES:
        up.kill(node)
    up.stop()
    up = start_up(data=up.data)
    assert first_shown(up, "n1", "proto-max-bulk-len") == "1048576"
    up.wait_ready()
    assert shown(up, "n2", "timeout") == "0"
    for key in ("{a}", "{b}"):  # Of two shards.
        with up.redis("n3") as client:
            assert client.append(key, HALF) == len(HALF)
            with pytest.raises(redis.ResponseError, match="exceeds maximum allowed size"):
                client.append(key, HALF)


def test_a_cluster_client_that_tells_every_node_the_same_is_answered_by_each(
    start_up: StartUp,
) -> None:
    up = start_up("--shards", "2")
    up.wait_ready()
    with redis.RedisCluster(host=up.host, port=up.port + 1, decode_responses=True) as client:
        for value in ("allkeys-lfu", "noeviction", "volatile-ttl"):
            client.config_set("maxmemory-policy", value, target_nodes=redis.RedisCluster.ALL_NODES)
            assert [shown(up, node, "maxmemory-policy") for node in NODES] == [value] * 3
