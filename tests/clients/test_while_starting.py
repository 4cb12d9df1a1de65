"""Clients that come to a node which is not ready yet: LOADING first, then all goes on."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import redis
from redis.backoff import ConstantBackoff, NoBackoff
from redis.cluster import RedisCluster
from redis.exceptions import RedisClusterException
from redis.retry import Retry

from ..chaos.cluster import Cluster
from ..chaos.processes import Processes
from .raw import Raw
from .running import HOST, node_program, node_variables

LOADING = "LOADING Redis is loading the dataset in memory"


class Early:
    """Clients that came before there was a node: what they saw, and what became of them."""

    def __init__(self, cluster: Cluster, processes: Processes, folder: Path) -> None:
        n1 = cluster.nodes["n1"]
        self.any_key_port, self.cluster_port = n1.any_key_port, n1.cluster_port
        self.connections = (Raw(self.any_key_port), Raw(self.cluster_port))
        self.answers: list[str] = []
        for connection in self.connections:
            assert isinstance(connection.ask(b"HELLO", b"2"), list)
            assert connection.ask(b"CLIENT", b"SETNAME", b"early") == b"OK"
            assert b"\r\nloading:1\r\n" in persistence(connection)
            for words in ((b"PING",), (b"SET", b"a", b"1"), (b"CLUSTER", b"SLOTS")):
                self.answers.append(str(connection.ask(*words)))
        with redis.Redis(HOST, self.any_key_port, retry=Retry(NoBackoff(), 0)) as hasty:
            self.loading = hasty.info("persistence")["loading"]
            try:
                hasty.get("a")
            except redis.RedisError as error:
                self.error: redis.RedisError = error
        self.client = redis.Redis(
            HOST, self.any_key_port, retry=Retry(ConstantBackoff(0.2), 300), decode_responses=True
        )
        self._thread = ThreadPoolExecutor(1)
        self.answer: Future[object] = self._thread.submit(self.client.set, "patient", "1")
        with pytest.raises(RedisClusterException, match="loading the dataset in memory"):
            RedisCluster(host=HOST, port=self.cluster_port)
        self.ioredis_output = folder / "ioredis"
        doors = json.dumps({"anyKey": self.any_key_port, "cluster": self.cluster_port})
        variables = [f"{name}={value}" for name, value in node_variables().items()]
        script = Path(__file__).with_name("ioredis_waiting.cjs")
        argv = ["/usr/bin/env", *variables, node_program(), str(script), doors]
        self.ioredis = processes.start("ioredis", argv, self.ioredis_output)
        cluster.wait(lambda: "connected" in self.ioredis_said, "ioredis did not connect")

    @property
    def ioredis_said(self) -> str:
        return self.ioredis_output.read_text()

    def close(self) -> None:
        self._thread.shutdown()
        self.client.close()
        for connection in self.connections:
            connection.close()


def persistence(connection: Raw) -> bytes:
    info = connection.ask(b"INFO", b"persistence")
    assert isinstance(info, bytes)
    return info


def answers(port: int) -> bool:
    try:
        Raw(port).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def early(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Early]:
    """They come while n1 waits for the others to found a cluster; then it is founded."""
    with Processes() as processes:
        folder = tmp_path_factory.mktemp("starting")
        rng = random.Random("tests/clients/starting")
        cluster = Cluster(processes, folder, rng=rng, shards=2)
        others = [cluster.nodes[name].process for name in ("n2", "n3")]
        for process in others:
            process.kill()
        n1 = cluster.nodes["n1"]
        cluster.wait(lambda: answers(n1.any_key_port), "n1 does not answer")
        clients = Early(cluster, processes, folder)
        for process in others:
            process.start()
        cluster.wait_ready()
        cluster.wait(lambda: not clients.ioredis.is_running, "ioredis goes on")
        yield clients
        clients.close()


def test_a_connection_outlives_the_start(early: Early) -> None:
    assert early.answers == [LOADING] * 6
    for connection in early.connections:
        assert connection.ask(b"PING") == b"PONG"
        assert connection.ask(b"CLIENT", b"GETNAME") == b"early"
        assert b"\r\nloading:0\r\n" in persistence(connection)
    plain, _ = early.connections
    assert plain.ask(b"SET", b"a", b"1") == b"OK"
    assert plain.ask(b"GET", b"a") == b"1"


def test_redis_py_tries_until_the_node_is_there(early: Early) -> None:
    assert early.loading == 1
    assert isinstance(early.error, redis.BusyLoadingError)
    assert early.answer.result(timeout=60)
    assert early.client.get("patient") == "1"


def test_a_cluster_client_of_redis_py_finds_the_cluster_later(early: Early) -> None:
    with RedisCluster(host=HOST, port=early.cluster_port) as client:
        assert client.set("b", "1")
        assert client.get("b") == b"1"


def test_ioredis_waits_with_its_ready_check(early: Early) -> None:
    assert early.ioredis.exit_code == 0, early.ioredis_said
    assert early.ioredis_said.endswith("done\n")
