"""Channels over real nodes: every subscriber at every node, in order, with nodes killed.

What is published while all nodes live reaches everybody; around a kill messages may be lost, as
Redis has it, but what arrives keeps the order of its publisher, and nothing comes twice.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from trimaran.cluster.slots import slot_of

from ..chaos.cluster import Cluster

if TYPE_CHECKING:
    from pathlib import Path


HOST = "127.0.0.1"
PATIENCE_S = 30.0
SUBSCRIBERS = 3  # At each node.
MESSAGES = 400  # Of each publisher, in each phase.


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    from ..chaos.processes import Processes

    with Processes() as processes:
        folder: Path = tmp_path_factory.mktemp("pubsub")
        started = Cluster(processes, folder, rng=random.Random("pubsub"), shards=6)
        started.wait_settled()
        yield started


def _client(port: int) -> redis.Redis:
    return redis.Redis(HOST, port, retry=Retry(ConstantBackoff(0.05), 100), protocol=3)


class Listener:
    """A subscriber in a thread of its own that comes back when its node does."""

    def __init__(self, port: int, *channels: str, patterns: tuple[str, ...] = ()) -> None:
        self.got: list[bytes] = []
        self._pubsub = _client(port).pubsub()  # type: ignore[no-untyped-call]  # redis-py has no types here.
        self._wanted = len(channels) + len(patterns)
        self._confirmed = 0
        if channels:
            self._pubsub.subscribe(*channels)
        if patterns:
            self._pubsub.psubscribe(*patterns)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                message = self._pubsub.get_message(timeout=0.1)
            except redis.RedisError:
                continue
            if message is None:
                continue
            if message["type"].endswith("subscribe"):
                self._confirmed += 1
            else:
                self.got.append(message["data"])

    @property
    def is_ready(self) -> bool:
        return self._confirmed >= self._wanted

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._pubsub.close()


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.01)


def _publish(port: int, name: str, first: int) -> None:
    with _client(port) as client:
        for number in range(first, first + MESSAGES):
            client.publish("news", f"{name}:{number}")


def test_messages_reach_subscribers_of_every_node_in_order_while_nodes_are_killed(
    cluster: Cluster,
) -> None:
    ports = [node.any_key_port for node in cluster.nodes.values()]
    listeners = [Listener(port, "news") for port in ports for _ in range(SUBSCRIBERS)]
    try:
        _until(lambda: all(one.is_ready for one in listeners), "subscriptions")
        publishers = [
            threading.Thread(target=_publish, args=(port, f"p{place}", 0))
            for place, port in enumerate(ports)
        ]
        for thread in publishers:
            thread.start()
        for thread in publishers:
            thread.join()
        # While all lived: everything, everywhere.
        _until(lambda: all(len(one.got) == 3 * MESSAGES for one in listeners), "all messages")

        victim = cluster.nodes["n3"]
        survivors = [
            threading.Thread(target=_publish, args=(port, f"p{place}", MESSAGES))
            for place, port in enumerate(ports[:2])
        ]
        for thread in survivors:
            thread.start()
        victim.process.kill()
        for thread in survivors:
            thread.join()
        near = listeners[: 2 * SUBSCRIBERS]
        # Two nodes lived on: between them nothing is lost.
        _until(lambda: all(len(one.got) == 5 * MESSAGES for one in near), "survivors' messages")

        victim.process.start()
        cluster.wait_settled()
        with _client(ports[0]) as client:
            _until(
                lambda: dict(client.pubsub_numsub("news"))[b"news"] == len(listeners),
                "subscribers of the node that came back",
            )
            assert client.publish("news", "p0:last") == len(listeners)
        _until(lambda: all(one.got[-1] == b"p0:last" for one in listeners), "the last message")
        for one in listeners:
            _check_order(one.got[:-1])
    finally:
        for one in listeners:
            one.close()


def _check_order(got: list[bytes]) -> None:
    assert len(set(got)) == len(got), "a message came twice"
    for name in (b"p0", b"p1", b"p2"):
        numbers = [int(one.partition(b":")[2]) for one in got if one.startswith(name)]
        assert numbers == sorted(numbers)


def test_a_message_published_right_after_a_subscription_is_not_missed(cluster: Cluster) -> None:
    ports = [node.any_key_port for node in cluster.nodes.values()]
    rng = random.Random(5)
    clients = [_client(port) for port in ports]
    for number in range(50):
        here, there = rng.sample(range(3), 2)
        channel = f"once:{number}"
        with clients[here].pubsub() as pubsub:  # type: ignore[no-untyped-call]  # As above.
            pubsub.subscribe(channel)
            confirmation = pubsub.get_message(timeout=PATIENCE_S)
            assert confirmation is not None
            assert confirmation["type"] == "subscribe"
            assert clients[there].publish(channel, "x") == 1
            message = pubsub.get_message(timeout=PATIENCE_S)
            assert message is not None
            assert message["data"] == b"x"
    for client in clients:
        client.close()


def test_a_large_message_arrives_whole_at_every_node(cluster: Cluster) -> None:
    ports = [node.any_key_port for node in cluster.nodes.values()]
    listeners = [Listener(port, "large") for port in ports]
    try:
        _until(lambda: all(one.is_ready for one in listeners), "subscriptions")
        payload = random.Random(1).randbytes(1 << 20) * 8
        with _client(ports[0]) as client:
            assert client.publish("large", payload) == 3
            assert client.publish("large", "small") == 3
        _until(lambda: all(len(one.got) == 2 for one in listeners), "both messages")
        assert all(one.got == [payload, b"small"] for one in listeners)
    finally:
        for one in listeners:
            one.close()


def test_a_publication_of_a_transaction_is_sent_once_and_counted(cluster: Cluster) -> None:
    ports = [node.any_key_port for node in cluster.nodes.values()]
    listeners = [Listener(port, "done") for port in ports]
    try:
        _until(lambda: all(one.is_ready for one in listeners), "subscriptions")
        for number, port in enumerate(ports):
            with redis.Redis(HOST, port, db=1) as client, client.pipeline() as pipeline:
                pipeline.set("job", number).publish("done", number).get("job")
                assert pipeline.execute() == [True, 3, b"%d" % number]
        _until(lambda: all(len(one.got) == 3 for one in listeners), "all messages")
        assert all(one.got == [b"0", b"1", b"2"] for one in listeners)
    finally:
        for one in listeners:
            one.close()


def test_what_happens_to_keys_is_told_once_to_subscribers_of_every_node(cluster: Cluster) -> None:
    ports = [node.any_key_port for node in cluster.nodes.values()]
    with redis.Redis(HOST, ports[0]) as client:
        client.config_set("notify-keyspace-events", "KEA")
    listeners = [Listener(port, patterns=("__key*__:*",)) for port in ports]
    try:
        _until(lambda: all(one.is_ready for one in listeners), "subscriptions")
        for number, port in enumerate(ports):
            with redis.Redis(HOST, port, db=number + 1) as client:
                client.set("key", 1, px=30)
                client.rpush("list", 1)
        expected = 3 * 2 * len(["set", "expire", "expired", "rpush"])
        _until(lambda: all(len(one.got) >= expected for one in listeners), "all events")
        for one in listeners:
            told = sorted(one.got)
            names = [b"set", b"expire", b"expired", b"rpush", b"key", b"key", b"key", b"list"]
            assert told == sorted(names * 3)
    finally:
        for one in listeners:
            one.close()
        with redis.Redis(HOST, ports[0]) as client:
            client.config_set("notify-keyspace-events", "")


def test_a_cluster_client_follows_a_shard_channel_to_its_new_leader(cluster: Cluster) -> None:
    nodes = cluster.nodes
    with redis.RedisCluster(HOST, nodes["n1"].base_port + 1) as client:
        channel = "room"
        owner = client.get_node_from_key(channel)
        leader = next(one for one in nodes.values() if one.base_port + 1 == owner.port)
        pubsub = client.pubsub()
        pubsub.ssubscribe(channel)
        confirmation = pubsub.get_sharded_message(timeout=PATIENCE_S)
        assert confirmation["type"] == "ssubscribe"
        assert client.spublish(channel, "one") == 1
        assert pubsub.get_sharded_message(timeout=PATIENCE_S)["data"] == b"one"
    # Told when the slot is led elsewhere: the preferred node was away, and takes it back.
    others = [one for one in nodes.values() if one is not leader]
    leader.process.kill()
    slot = slot_of(channel.encode())

    def led_by() -> int:
        with redis.Redis(HOST, others[0].any_key_port) as asked:
            for first, last, master, *_ in asked.execute_command("CLUSTER SLOTS"):
                if first <= slot <= last:
                    return int(master[1])
        return 0

    _until(lambda: led_by() not in (0, leader.base_port + 1), "another leader")
    successor = led_by()
    with redis.Redis(HOST, successor) as client_there:
        watched = client_there.pubsub()
        watched.execute_command("SSUBSCRIBE", channel)
        assert watched.parse_response(timeout=PATIENCE_S) == [b"ssubscribe", b"room", 1]
        leader.process.start()
        cluster.wait_settled()
        assert watched.parse_response(timeout=PATIENCE_S) == [b"sunsubscribe", b"room", 0]
        watched.close()
