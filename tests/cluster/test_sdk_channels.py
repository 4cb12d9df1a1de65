"""Channels through the SDK, against real nodes that are killed."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any  # Any: messages are dicts of several kinds.

import pytest
import redis.asyncio

import trimaran

from ..chaos.cluster import Cluster
from ..chaos.processes import Processes

if TYPE_CHECKING:
    from trimaran.client.pubsub import PubSub

pytestmark = pytest.mark.timeout(300)

PATIENCE_S = 30.0
MESSAGES = 300  # Of each publisher.


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Processes() as processes:
        rng = random.Random(os.getpid())
        cluster = Cluster(processes, tmp_path_factory.mktemp("channels"), rng=rng, shards=4)
        cluster.wait_ready()
        yield cluster


def addresses(cluster: Cluster) -> list[str]:
    return [f"127.0.0.1:{node.base_port + 2}" for node in cluster.nodes.values()]


async def messages_of(pubsub: Any, count: int, timeout_s: float = PATIENCE_S) -> list[Any]:
    """So many messages, of ours or of redis-py's."""
    found: list[Any] = []
    async with asyncio.timeout(timeout_s):
        while len(found) < count:
            message = await pubsub.get_message(timeout=1.0)
            if message is not None:
                found.append(message)
    return found


@pytest.mark.parametrize("decodes", [False, True])
async def test_messages_are_those_of_redis_py(cluster: Cluster, *, decodes: bool) -> None:
    """The same calls on a subscriber of ours and on one of redis-py's, on the same cluster."""
    port = next(iter(cluster.nodes.values())).base_port
    theirs = redis.asyncio.Redis(port=port, decode_responses=decodes)
    ours = trimaran.Client(*addresses(cluster), decode_responses=decodes)
    async with ours, theirs, ours.pubsub() as mine, theirs.pubsub() as known:
        for one in (mine, known):
            await one.subscribe("a", b"b")
            await one.psubscribe("a*")
        assert await messages_of(mine, 3) == await messages_of(known, 3)
        await ours.publish("a", "text")  # For a channel and a pattern.
        await ours.publish("b", b"\xc3\xa4")
        assert await messages_of(mine, 3) == await messages_of(known, 3)
        if hasattr(known, "ssubscribe"):  # Not before redis-py 7.
            await mine.ssubscribe("s")
            await known.ssubscribe("s")
            assert await messages_of(mine, 1) == await messages_of(known, 1)
            await ours.spublish("s", 5)
            assert await messages_of(mine, 1) == await messages_of(known, 1)
            await mine.sunsubscribe()
            await known.sunsubscribe()
            assert await messages_of(mine, 1) == await messages_of(known, 1)
        for one in (mine, known):
            await one.unsubscribe("a", "never")
            await one.punsubscribe()
            await one.unsubscribe()
        # Redis says so of what was never subscribed to as well.
        assert await messages_of(mine, 4) == await messages_of(known, 4)
        assert not mine.subscribed
        assert not known.subscribed


async def test_handlers_take_messages_and_iteration_gives_the_others(cluster: Cluster) -> None:
    async with trimaran.Client(*addresses(cluster)) as client, client.pubsub() as pubsub:
        taken: list[bytes] = []

        async def take(message: dict[str, Any]) -> None:
            taken.append(message["data"])

        await pubsub.subscribe("plain", handled=take)
        await client.publish("handled", "1")
        await client.publish("plain", "2")
        found: list[Any] = []
        async for message in pubsub:
            found.append(message["data"])
            if message["type"] == "message":
                await pubsub.unsubscribe()
        # Two subscriptions, a message, and the end of both subscriptions.
        assert found == [1, 2, b"2", 1, 0]
        assert taken == [b"1"]


async def test_run_gives_everything_to_handlers(cluster: Cluster) -> None:
    async with trimaran.Client(*addresses(cluster)) as client, client.pubsub() as pubsub:
        arrived: asyncio.Queue[bytes] = asyncio.Queue()
        await pubsub.subscribe("a")
        with pytest.raises(redis.exceptions.PubSubError):
            await pubsub.run()
        await pubsub.subscribe(a=lambda message: arrived.put_nowait(message["data"]))
        running = asyncio.create_task(pubsub.run())
        await client.publish("a", "1")
        async with asyncio.timeout(PATIENCE_S):
            assert await arrived.get() == b"1"
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_every_subscriber_gets_all_in_the_order_of_its_publisher(cluster: Cluster) -> None:
    """Publishers at all three nodes, subscribers at all three nodes."""
    publishers = [trimaran.Client(*addresses(cluster)) for _ in range(6)]
    async with trimaran.Client(*addresses(cluster)) as client:
        subscribers = [client.pubsub(ignore_subscribe_messages=True) for _ in range(6)]
        for one in subscribers:
            await one.subscribe("news")
        assert len({one.node for one in subscribers}) == 3  # Spread over the nodes.

        async def publish(number: int, publisher: trimaran.Client) -> None:
            for message in range(MESSAGES):
                await publisher.publish("news", f"{number}:{message}")

        work = [publish(number, one) for number, one in enumerate(publishers)]
        await asyncio.gather(*work)
        for subscriber in subscribers:
            found = await messages_of(subscriber, MESSAGES * len(publishers))
            _check_order([one["data"] for one in found], range(MESSAGES))
            await subscriber.aclose()
    for publisher in publishers:
        await publisher.aclose()


def _check_order(found: list[bytes], wanted: range | None = None) -> None:
    by_publisher: dict[bytes, list[int]] = {}
    for data in found:
        name, _, number = data.partition(b":")
        by_publisher.setdefault(name, []).append(int(number))
    for numbers in by_publisher.values():
        if wanted is not None:
            assert numbers == list(wanted)
        assert numbers == sorted(set(numbers))  # In order, and nothing twice.


async def test_a_subscriber_outlives_its_node_and_is_told_of_the_gap(
    processes: Processes, ports_rng: random.Random, tmp_path_factory: pytest.TempPathFactory
) -> None:
    cluster = Cluster(processes, tmp_path_factory.mktemp("killed"), rng=ports_rng, shards=4)
    cluster.wait_ready()
    async with trimaran.Client(*addresses(cluster)) as client:
        shown, silent = client.pubsub(gaps=True), client.pubsub()
        async with shown, silent:
            await shown.subscribe("news")
            while silent.node != shown.node:  # Nodes take turns.
                await silent.aclose()
                await silent.subscribe("news")
            await messages_of(shown, 1)
            await messages_of(silent, 1)
            stop = asyncio.Event()
            sent: list[bytes] = []

            async def publish() -> None:
                number = 0
                while not stop.is_set():
                    try:
                        await client.publish("news", f"p:{number}")
                        sent.append(b"p:%d" % number)
                    except trimaran.OutcomeUnknown:
                        pass  # It may have been published, and must not be twice.
                    number += 1
                    await asyncio.sleep(0.002)

            publishing = asyncio.create_task(publish())
            await messages_of(shown, 50)
            victim = shown.node
            cluster.nodes[victim].process.kill()
            behind = await _until_gap(shown, victim)
            found = await messages_of(shown, 50)
            stop.set()
            await publishing
            await client.publish("news", "p:1000000")
            found += await _until_last(shown)
            assert shown.node != victim
            assert shown.gaps > 0
            # All that was published once it was there again, and not one twice.
            got = [one["data"] for one in found if not isinstance(one, trimaran.Gap)]
            _check_order([*behind, *got])
            assert got[:-1] == sent[sent.index(got[0]) :]
            others = await _until_last(silent)
            assert not any(isinstance(one, trimaran.Gap) for one in others)
            assert silent.gaps > 0


async def _until_last(pubsub: PubSub) -> list[Any]:
    found: list[Any] = []
    while not found or found[-1]["data"] != b"p:1000000":
        found += await messages_of(pubsub, 1)
    return found


async def _until_gap(pubsub: PubSub, victim: str) -> list[bytes]:
    """The messages before; until one says that it has found another node."""
    found: list[bytes] = []
    while True:
        (message,) = await messages_of(pubsub, 1)
        if not isinstance(message, trimaran.Gap):
            found.append(message["data"])
        elif pubsub.node not in ("", victim):
            return found


async def test_a_subscriber_is_told_when_the_node_of_a_publisher_is_lost(
    processes: Processes, ports_rng: random.Random, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Its own node lives; what the other one had accepted may never have come."""
    cluster = Cluster(processes, tmp_path_factory.mktemp("other"), rng=ports_rng, shards=4)
    cluster.wait_ready()
    async with trimaran.Client(*addresses(cluster)) as client, client.pubsub(gaps=True) as pubsub:
        await pubsub.subscribe("news")
        await messages_of(pubsub, 1)
        home = pubsub.node
        (victim, *_) = [name for name in cluster.nodes if name != home]
        cluster.nodes[victim].process.kill()
        (gap,) = await messages_of(pubsub, 1)
        assert isinstance(gap, trimaran.Gap)
        assert victim in gap.reason
        assert pubsub.node == home


async def test_a_node_that_is_stopped_is_left_too(
    processes: Processes, ports_rng: random.Random, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """It ends no connection, and its kernel takes what it is sent."""
    cluster = Cluster(processes, tmp_path_factory.mktemp("stopped"), rng=ports_rng, shards=4)
    cluster.wait_ready()
    async with trimaran.Client(*addresses(cluster)) as client, client.pubsub(gaps=True) as pubsub:
        await pubsub.subscribe("news")
        await messages_of(pubsub, 1)
        victim = pubsub.node
        cluster.nodes[victim].process.pause()
        try:
            assert await _until_gap(pubsub, victim) == []
            sender = trimaran.Client(
                *[f"127.0.0.1:{node.base_port + 2}" for node in cluster.running()]
            )
            async with sender:
                while not await _is_published(sender):
                    pass  # Its first view may name the node that is stopped.
            (message,) = await messages_of(pubsub, 1)
            assert message["data"] == b"1"
        finally:
            cluster.nodes[victim].process.resume()


async def _is_published(client: trimaran.Client) -> bool:
    try:
        await client.with_timeout(1.0).publish("news", "1")
    except trimaran.OutcomeUnknown:
        return False
    return True


async def test_a_subscriber_that_is_forgotten_costs_nothing_any_more(cluster: Cluster) -> None:
    async with trimaran.Client(*addresses(cluster)) as client:
        await client.pubsub().subscribe("forgotten")
        async with asyncio.timeout(PATIENCE_S):
            while dict(await client.pubsub_numsub("forgotten"))[b"forgotten"]:
                gc.collect()


async def test_a_shard_channel_is_followed_at_the_leader_of_its_slot(cluster: Cluster) -> None:
    async with trimaran.Client(*addresses(cluster)) as client:
        view = await client.topology()
        for number in range(5):
            async with client.pubsub() as pubsub:
                await pubsub.ssubscribe(f"{{{number}}}s")
                leader = view.shards[trimaran_shard(f"{{{number}}}s", len(view.shards))].leader
                assert pubsub.node == leader


def trimaran_shard(name: str, shards: int) -> int:
    from trimaran.cluster.slots import shard_of

    return shard_of(0, name.encode(), shards)


def test_without_asyncio_messages_come_and_handlers_run_in_a_thread(cluster: Cluster) -> None:
    with trimaran.SyncClient(*addresses(cluster), decode_responses=True) as client:
        with client.pubsub(ignore_subscribe_messages=True) as pubsub:
            pubsub.subscribe("a")
            assert client.publish("a", "1") == 1
            assert _first(pubsub)["data"] == "1"
            pubsub.unsubscribe()
            assert list(pubsub.listen()) == []
        taken: list[tuple[str, str]] = []
        arrived = threading.Event()

        def take(message: dict[str, Any]) -> None:
            taken.append((message["data"], threading.current_thread().name))
            arrived.set()

        pubsub = client.pubsub()
        pubsub.psubscribe(**{"b*": take})
        worker = pubsub.run_in_thread(sleep_time=0.05)
        assert client.publish("b1", "2") == 1
        assert arrived.wait(PATIENCE_S)
        assert taken == [("2", worker.name)]
        worker.stop()
        worker.join(PATIENCE_S)
        assert not pubsub.subscribed


def test_who_asks_before_the_first_subscription_waits_for_it(cluster: Cluster) -> None:
    """As in redis-py, where a thread may ask for messages before another one subscribes."""
    with trimaran.SyncClient(*addresses(cluster), decode_responses=True) as client:
        with client.pubsub() as pubsub:
            assert pubsub.get_message() is None
            assert pubsub.get_message(timeout=0.01) is None
            found: list[Any] = []
            asking = threading.Thread(
                target=lambda: found.append(pubsub.get_message(timeout=PATIENCE_S))
            )
            asking.start()
            pubsub.subscribe("a")
            asking.join(PATIENCE_S)
            assert [message["type"] for message in found] == ["subscribe"]
        assert pubsub.get_message(timeout=0.01) is None  # It is closed.


def test_a_subscriber_made_before_a_fork_works_in_both(cluster: Cluster) -> None:
    script = f"""
        import os, trimaran
        def texts(pubsub, wanted):
            found = []
            while not found or found[-1] != wanted:
                message = pubsub.get_message(timeout=30)
                if message["type"] in ("message", "gap"):
                    found.append("gap" if message["type"] == "gap" else message["data"])
            return found
        client = trimaran.SyncClient(*{addresses(cluster)!r}, decode_responses=True)
        pubsub = client.pubsub(gaps=True)
        pubsub.subscribe("forked")
        client.publish("forked", "before")
        print(texts(pubsub, "before"), flush=True)
        reading, writing = os.pipe()
        pid = os.fork()
        if not pid:
            pubsub.subscribe("child")
            os.write(writing, b"x")
            print(texts(pubsub, "to both"), flush=True)
            os._exit(0)
        os.read(reading, 1)
        pubsub.subscribe("parent")  # It has a stream again.
        client.publish("forked", "to both")
        os.waitpid(pid, 0)
        print(texts(pubsub, "to both"))
        client.close()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    both = "['gap', 'to both']"
    assert done.stdout.splitlines() == ["['before']", both, both], done.stderr


def _first(pubsub: Any) -> dict[str, Any]:
    while True:
        message = pubsub.get_message(timeout=1.0)
        if message is not None:
            return dict(message)
