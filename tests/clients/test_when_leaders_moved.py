"""The same clients when leaders have moved: one node killed with -9, and again when it is back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any  # Any: a reply is a tree of anything.

import pytest
from redis.asyncio.cluster import RedisCluster as AsyncRedisCluster
from redis.cluster import RedisCluster

from .raw import Raw
from .running import HOST, Doors, node_script, redis_cli
from .test_redis_cli import fill
from .test_redis_cluster_tool import KEYS, check_finds_nothing_wrong, every_key_counts_once

if TYPE_CHECKING:
    from ..chaos.cluster import Cluster

pytestmark = pytest.mark.usefixtures("_emptied")

VICTIM = "n2"
NAMES = [b"key:%d" % number for number in range(KEYS)]
EVERYWHERE = RedisCluster.PRIMARIES


def slots_told(port: int) -> list[Any]:
    with Raw(port) as connection:
        told = connection.ask(b"CLUSTER", b"SLOTS")
        assert isinstance(told, list)
        return told


def wait_agreed(cluster: Cluster, doors: Doors) -> None:
    """Until all that run tell the same slots, and none of a node that is gone."""

    def do_all_agree() -> bool:
        told = [slots_told(port) for port in doors.cluster]
        ports = {node[1] for one in told for _, _, *nodes in one for node in nodes}
        covered = sum(last - first + 1 for first, last, *_ in told[0])
        return covered == 16384 and ports <= {*doors.cluster} and told.count(told[0]) == len(told)

    cluster.wait(do_all_agree, "the nodes do not agree who leads")


@pytest.fixture(scope="module")
def _healed(cluster: Cluster) -> Iterator[None]:
    """For the tests of other files: all nodes run again."""
    yield
    victim = cluster.nodes[VICTIM].process
    if not victim.is_running:
        victim.start()
    cluster.wait_settled()


@pytest.fixture(scope="module", params=["killed", "back"])
def living(cluster: Cluster, _healed: None, request: pytest.FixtureRequest) -> Doors:
    """The doors that are there: of two nodes, or of three of which one came back."""
    cluster.nodes[VICTIM].process.kill()
    if request.param == "back":
        cluster.nodes[VICTIM].process.start()
        cluster.wait_settled()
    doors = Doors(tuple(node.base_port for node in cluster.running()))
    wait_agreed(cluster, doors)
    return doors


def test_redis_cli_finds_nothing_wrong_and_counts_every_key_once(living: Doors) -> None:
    for port in living.cluster:
        fill(living.any_key[0], KEYS)
        check_finds_nothing_wrong(port, masters=len(living.bases))
        every_key_counts_once(port, masters=len(living.bases))


def test_redis_cli_lists_every_key_from_every_node(living: Doors) -> None:
    fill(living.any_key[0], KEYS)
    for port in living.any_key:
        assert redis_cli(port, "DBSIZE").lines == [str(KEYS)]
        assert sorted(redis_cli(port, "--scan").lines) == sorted(name.decode() for name in NAMES)
    assert redis_cli(living.any_key[-1], "FLUSHALL").lines == ["OK"]
    assert redis_cli(living.any_key[0], "DBSIZE").lines == ["0"]


def test_redis_py_counts_every_key_once(living: Doors) -> None:
    for at, port in enumerate((*living.any_key, *living.cluster)):
        with RedisCluster(HOST, port, protocol=2 + at % 2) as client:
            pipeline = client.pipeline()
            for name in NAMES:
                pipeline.set(name.decode(), "x")
            assert all(pipeline.execute())
            assert client.dbsize(target_nodes=EVERYWHERE) == KEYS
            assert sorted(client.keys("*", target_nodes=EVERYWHERE)) == sorted(NAMES)
            assert sorted(client.scan_iter()) == sorted(NAMES)
            assert client.flushall()
            assert client.dbsize(target_nodes=EVERYWHERE) == 0


async def test_redis_py_with_asyncio_counts_every_key_once(living: Doors) -> None:
    for at, port in enumerate((*living.cluster, *living.any_key)):
        async with AsyncRedisCluster(host=HOST, port=port, protocol=2 + at % 2) as client:
            pipeline = client.pipeline()
            for name in NAMES:
                pipeline.set(name.decode(), "x")
            assert all(await pipeline.execute())
            assert await client.dbsize(target_nodes=EVERYWHERE) == KEYS
            assert sorted(await client.keys("*", target_nodes=EVERYWHERE)) == sorted(NAMES)
            assert sorted([name async for name in client.scan_iter()]) == sorted(NAMES)
            assert await client.flushall()
            assert await client.dbsize(target_nodes=EVERYWHERE) == 0


@pytest.mark.parametrize("script", ["ioredis.cjs", "node_redis.cjs"])
def test_a_client_for_node_js_counts_every_key_once(living: Doors, script: str) -> None:
    node_script(script, json.dumps({"anyKey": living.any_key[-2:], "cluster": living.cluster}))
