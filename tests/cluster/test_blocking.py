"""Clients that wait for data over real nodes, with the leader killed under them.

Every element whose push was acknowledged is popped by exactly one client or still there; only what
was on its way to a client whose connection broke may be nobody's. Who is connected to a node that
lives does not notice.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import hiredis
import pytest

from trimaran.cluster.slots import shard_of

from ..chaos.cluster import Cluster
from ..chaos.processes import Processes
from .raw import packed

if TYPE_CHECKING:
    from pathlib import Path

    from ..chaos.cluster import Node

_log = logging.getLogger(__name__)

CLIENTS = 100
PRODUCERS = 4
LISTS = (b"{work}first", b"{work}second")
PATIENCE_S = 30.0
LATE_MAX_S = 0.5  # Of a time-out, on a busy machine; on a quiet one it is a millisecond or two.


class Lost(Exception):
    """The connection has ended."""


class Connection:
    def __init__(self, port: int) -> None:
        self.port = port
        self._replies = hiredis.Reader()
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def open(self) -> None:
        try:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError as error:
            raise Lost from error

    async def ask(self, *args: bytes) -> object:
        """The reply; an error as text, beginning with its code."""
        try:
            self._writer.write(packed(*args))
            while (reply := self._replies.gets()) is False:
                data = await self._reader.read(1 << 16)
                if not data:
                    raise Lost
                self._replies.feed(data)
        except OSError as error:
            raise Lost from error
        return str(reply) if isinstance(reply, hiredis.ReplyError) else reply

    async def close(self) -> None:
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


class Work:
    """Elements that are pushed and popped, and what became of each."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.acknowledged: set[bytes] = set()
        self.doubtful: set[bytes] = set()  # Pushed, and nobody knows.
        self.popped: Counter[bytes] = Counter()
        self.lost_answers = 0
        self.errors: list[str] = []
        self.is_over = False
        self.has_rest = asyncio.Event()  # Producers are done.

    def _port(self, number: int) -> int:
        """Of a node that runs."""
        nodes = self.cluster.running()
        return nodes[number % len(nodes)].any_key_port

    async def _connected(self, number: int) -> Connection:
        while True:
            connection = Connection(self._port(number))
            try:
                await connection.open()
            except Lost:
                await asyncio.sleep(0.05)
                continue
            return connection

    async def consume(self, number: int) -> None:
        while not self.is_over:
            connection = await self._connected(number)
            try:
                while not self.is_over:
                    reply = await connection.ask(b"BLPOP", *LISTS, b"0")
                    if isinstance(reply, list):
                        self.popped[reply[1]] += 1
                    elif str(reply).startswith("LOADING"):
                        await asyncio.sleep(0.1)  # Of a node that was started again.
                    else:
                        self.errors.append(f"{number}: {reply}")
                        self.lost_answers += str(reply).startswith("UNCERTAIN")
            except Lost:
                self.lost_answers += 1
            finally:
                await connection.close()

    async def produce(self, number: int) -> None:
        connection = await self._connected(number)
        count = 0
        while not self.has_rest.is_set():
            element = b"%d-%d" % (number, count)
            count += 1
            try:
                reply = await connection.ask(b"RPUSH", LISTS[count % 2], element)
            except Lost:
                self.doubtful.add(element)
                await connection.close()
                connection = await self._connected(number)
                continue
            if isinstance(reply, int):
                self.acknowledged.add(element)
            elif str(reply).startswith("UNCERTAIN"):
                self.doubtful.add(element)
            await asyncio.sleep(0.002)
        await connection.close()

    async def left(self) -> list[bytes]:
        connection = await self._connected(0)
        found: list[bytes] = []
        for name in LISTS:
            reply = await connection.ask(b"LRANGE", name, b"0", b"-1")
            assert isinstance(reply, list), reply
            found += reply
        await connection.close()
        return found

    async def until_quiet(self) -> None:
        """Until nothing more is popped."""
        deadline = time.monotonic() + PATIENCE_S
        while await self.left():
            assert time.monotonic() < deadline, "elements stay where clients wait for them"
            await asyncio.sleep(0.1)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Processes() as processes:
        folder: Path = tmp_path_factory.mktemp("blocking")
        started = Cluster(processes, folder, rng=random.Random("blocking"), shards=4)
        started.wait_settled()
        yield started


async def _blocked(cluster: Cluster) -> int:
    """How many clients wait, by the nodes that run."""
    total = 0
    for node in cluster.running():
        connection = Connection(node.any_key_port)
        await connection.open()
        info = await connection.ask(b"INFO", b"clients")
        assert isinstance(info, bytes)
        total += int(info.split(b"blocked_clients:")[1].split(b"\r")[0])
        await connection.close()
    return total


async def _until_blocked(cluster: Cluster, count: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while (found := await _blocked(cluster)) != count:
        assert time.monotonic() < deadline, f"{found} clients wait, not {count}"
        await asyncio.sleep(0.05)


async def _kill_leader(cluster: Cluster) -> Node:
    """With -9; until another node leads."""
    shard = shard_of(0, LISTS[0], cluster.shards)
    leader = await asyncio.to_thread(cluster.leader_of, shard)
    node = cluster.nodes[leader]
    node.process.kill()
    await asyncio.to_thread(
        cluster.wait, lambda: cluster.leaders().get(shard, leader) != leader, "nobody leads"
    )
    return node


async def test_no_element_is_lost_or_handed_out_twice_when_leaders_die(cluster: Cluster) -> None:
    work = Work(cluster)
    consumers = [asyncio.create_task(work.consume(number)) for number in range(CLIENTS)]
    await _until_blocked(cluster, CLIENTS)
    producers = [asyncio.create_task(work.produce(number)) for number in range(PRODUCERS)]
    for _ in range(2):
        await asyncio.sleep(1.0)  # Under way.
        dead = await _kill_leader(cluster)
        await asyncio.sleep(0.5)
        dead.process.start()
        await asyncio.to_thread(cluster.wait_settled)
    await asyncio.sleep(0.5)
    work.has_rest.set()
    await asyncio.gather(*producers)
    await work.until_quiet()
    await _until_blocked(cluster, CLIENTS)
    work.is_over = True
    for one in consumers:
        one.cancel()
    await asyncio.gather(*consumers, return_exceptions=True)
    twice = [element for element, count in work.popped.items() if count > 1]
    missing = work.acknowledged - set(work.popped)
    _log.info(
        "%d acknowledged, %d doubtful, %d popped, %d missing, %d connections lost",
        *(len(work.acknowledged), len(work.doubtful), sum(work.popped.values())),
        *(len(missing), work.lost_answers),
    )
    assert work.errors == []
    assert twice == []
    assert set(work.popped) <= work.acknowledged | work.doubtful
    assert len(missing) <= work.lost_answers
    assert len(work.acknowledged) > CLIENTS


async def test_clients_of_living_nodes_wait_on_when_the_leader_dies(cluster: Cluster) -> None:
    await asyncio.to_thread(cluster.wait_settled)
    shard = shard_of(0, LISTS[0], cluster.shards)
    leader = await asyncio.to_thread(cluster.leader_of, shard)
    living = [node for node in cluster.nodes.values() if node.name != leader]
    connections = [Connection(living[number % 2].any_key_port) for number in range(20)]
    for one in connections:
        await one.open()
    answers = [asyncio.create_task(one.ask(b"BLPOP", *LISTS, b"0")) for one in connections]
    await _until_blocked(cluster, len(connections))
    dead = await _kill_leader(cluster)
    await asyncio.sleep(0.3)
    assert not any(one.done() for one in answers)
    producer = Connection(living[0].any_key_port)
    await producer.open()
    elements = [b"%d" % number for number in range(len(answers))]
    assert await producer.ask(b"RPUSH", LISTS[1], *elements) == len(elements)
    replies = await asyncio.wait_for(asyncio.gather(*answers), PATIENCE_S)
    assert sorted([one for one in replies if isinstance(one, list)]) == sorted(
        [LISTS[1], one] for one in elements
    )
    for one in (*connections, producer):
        await one.close()
    dead.process.start()
    await asyncio.to_thread(cluster.wait_settled)


async def _time_out(client: Connection) -> float:
    """How long a wait of 0.2 s took."""
    began = time.monotonic()
    assert await client.ask(b"BLPOP", *LISTS, b"0.2") is None
    return time.monotonic() - began


async def test_a_time_out_comes_when_it_should_and_a_client_that_left_takes_nothing(
    cluster: Cluster,
) -> None:
    for node in cluster.nodes.values():
        client, leaving = Connection(node.any_key_port), Connection(node.any_key_port)
        await client.open()
        await leaving.open()
        took_s = [await _time_out(client) for _ in range(3)]
        assert 0.2 <= min(took_s) < 0.2 + LATE_MAX_S
        gone = asyncio.create_task(leaving.ask(b"BLPOP", *LISTS, b"0"))
        await _until_blocked(cluster, 1)
        gone.cancel()
        await leaving.close()
        await _until_blocked(cluster, 0)
        assert await client.ask(b"RPUSH", LISTS[0], b"1") == 1
        assert await client.ask(b"BLPOP", *LISTS, b"0") == [LISTS[0], b"1"]
        await client.close()
