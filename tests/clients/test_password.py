"""Real clients where there is a password: at both doors, with the right one, a wrong one, none."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator

import grpc
import grpc.aio
import pytest
import redis
from redis.asyncio import Redis as AsyncRedis
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.retry import Retry

from ..chaos.cluster import Cluster
from ..chaos.processes import Processes
from ..grpc_client import Execute, Outcome
from .running import HOST, node_script, redis_cli, run

PASSWORD = "correct horse"
ONCE = Retry(NoBackoff(), 0)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Processes() as processes:
        started = Cluster(
            processes,
            tmp_path_factory.mktemp("guarded"),
            rng=random.Random("tests/clients/password"),
            shards=4,
            options=["--requirepass", PASSWORD],
        )
        started.wait_ready()
        yield started


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_logs_in_at_every_node(guarded: Cluster, protocol: int) -> None:
    for node in guarded.nodes.values():
        with redis.Redis(HOST, node.any_key_port, password=PASSWORD, protocol=protocol) as client:
            assert client.set("a", node.name)
            assert client.get("a") == node.name.encode()
            assert client.acl_whoami() in ("default", b"default")


def test_a_cluster_client_logs_in_wherever_it_is_sent(guarded: Cluster) -> None:
    port = guarded.nodes["n2"].cluster_port
    with RedisCluster(host=HOST, port=port, password=PASSWORD) as client:
        for number in range(40):
            assert client.set(f"key:{number}", "1")
        assert client.dbsize(target_nodes=RedisCluster.PRIMARIES) >= 40


async def test_asyncio_logs_in(guarded: Cluster) -> None:
    port = guarded.nodes["n3"].any_key_port
    async with AsyncRedis(host=HOST, port=port, password=PASSWORD) as client:
        assert await client.set("b", "1")


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_is_told_that_its_password_is_wrong_or_missing(
    guarded: Cluster, protocol: int
) -> None:
    port = guarded.nodes["n1"].any_key_port
    for password in ("wrong", None):
        with (
            redis.Redis(HOST, port, password=password, protocol=protocol, retry=ONCE) as client,
            pytest.raises(redis.AuthenticationError),
        ):
            client.get("a")


def test_ioredis_logs_in(guarded: Cluster) -> None:
    n1 = guarded.nodes["n1"]
    doors = {"anyKey": n1.any_key_port, "cluster": n1.cluster_port, "password": PASSWORD}
    node_script("ioredis_password.cjs", json.dumps(doors))


def test_redis_cli_logs_in(guarded: Cluster) -> None:
    port = guarded.nodes["n1"].any_key_port
    words = ("-a", PASSWORD, "--no-auth-warning")
    assert redis_cli(port, *words, "SET", "c", "1").out == "OK\n"
    assert "NOAUTH" in run("redis-cli", "-p", str(port), "GET", "c").out
    assert redis_cli(port + 1, *words, "-c", "GET", "c").out == "1\n"


def test_grpc_is_no_way_around_it(guarded: Cluster) -> None:
    async def ask(*metadata: tuple[str, str], is_right: bool) -> Outcome | grpc.StatusCode:
        port = guarded.nodes["n1"].base_port + 2
        async with grpc.aio.insecure_channel(f"{HOST}:{port}") as channel:
            stream = Execute(channel, metadata)
            if is_right:
                return await stream.one(b"ECHO x")
            # Without a write: one under way when the call ends is INTERNAL to gRPC's client.
            return (await stream.ending())[0]

    wrong, right = (("authorization", f"Bearer {one}") for one in ("wrong", PASSWORD))
    assert asyncio.run(ask(is_right=False)) == grpc.StatusCode.UNAUTHENTICATED
    assert asyncio.run(ask(wrong, is_right=False)) == grpc.StatusCode.UNAUTHENTICATED
    assert asyncio.run(ask(right, is_right=True)) == b"x"


def test_it_is_changed_node_by_node_while_clients_stay(guarded: Cluster) -> None:
    ports = [node.any_key_port for node in guarded.nodes.values()]
    clients = [redis.Redis(HOST, port, password=PASSWORD, retry=ONCE) for port in ports]
    for client in clients:
        client.config_set("requirepass", "new")
    assert all(client.ping() for client in clients), "they are logged in already"
    for port in ports:
        with redis.Redis(HOST, port, password="new") as fresh:
            assert fresh.set("d", "1")
            fresh.config_set("requirepass", PASSWORD)
    for client in clients:
        client.close()
