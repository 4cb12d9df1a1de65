"""Real clients over real sockets: redis-py, sync and asyncio, RESP 2 and 3, both doors, uvloop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import pytest
import redis
import redis.asyncio
import redis.cluster
import uvloop

from trimaran.cluster.slots import shard_of
from trimaran.cluster.topology import NodeInfo, Topology
from trimaran.node.doors.backend import DoorLimits

from .fakes import NODES, MemoryRouter, encode, make_door

if TYPE_CHECKING:
    from trimaran.node.doors.door import Door

T = TypeVar("T")
HOST = "127.0.0.1"


def with_doors(work: Callable[[list[Door]], Awaitable[T]], *doors: Callable[[], Door]) -> T:
    """Run `work` on uvloop, as a node does, with these doors listening on free ports."""

    async def run() -> T:
        listening = [make() for make in doors]
        for door in listening:
            await door.listen(HOST, 0)
        try:
            return await work(listening)
        finally:
            for door in listening:
                await door.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


def any_key_door() -> Door:
    """Its answers come a turn of the loop later, as from a shard."""
    return make_door(MemoryRouter(16, lambda *args: asyncio.get_running_loop().call_soon(*args)))


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_connects_writes_and_reads(protocol: int) -> None:
    def talk(port: int) -> None:
        with redis.Redis(HOST, port, protocol=protocol, client_name="me") as client:
            assert client.ping()
            assert client.set("k", "v")
            assert client.get("k") == b"v"
            assert client.mset({"{t}1": 1, "{t}2": 2})
            assert client.mget("{t}1", "k", "none") == [b"1", b"v", None]
            assert client.incr("n") == 1
            assert client.delete("k", "n", "none") == 2
            with pytest.raises(redis.ResponseError, match="not an integer"):
                client.incr("{t}1", "x")
            assert {*client.scan_iter()} == {b"{t}1", b"{t}2"}
            assert client.dbsize() == 2
            assert client.client_getname() in ("me", b"me")
            assert client.info()["redis_version"] == "7.2.4"
            assert client.config_get("save") == {"save": ""}
            assert client.command_count() > 40
            assert "get" in client.command()
            assert client.client_list()[0]["name"] == "me"
            assert client.flushall()
            assert client.dbsize() == 0
        with redis.Redis(HOST, port, protocol=protocol, db=5) as client:
            assert client.mset({"a": 1, "b": 2})
            assert client.execute_command("RESET") in (b"RESET", "RESET")

    async def work(doors: list[Door]) -> None:
        await asyncio.to_thread(talk, doors[0].port)

    with_doors(work, any_key_door)


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_asyncio_pipelines_keep_order(protocol: int) -> None:
    async def work(doors: list[Door]) -> None:
        async with redis.asyncio.Redis(host=HOST, port=doors[0].port, protocol=protocol) as client:
            pipeline = client.pipeline(transaction=False)
            for number in range(2_000):
                pipeline.set(f"k{number % 100}", number)
                pipeline.get(f"k{number % 100}")
            replies = await pipeline.execute()
            assert replies[0::2] == [True] * 2_000
            assert replies[1::2] == [b"%d" % number for number in range(2_000)]

    with_doors(work, any_key_door)


def test_many_clients_at_once_get_their_own_answers() -> None:
    async def one(port: int, number: int) -> None:
        async with redis.asyncio.Redis(host=HOST, port=port) as client:
            for turn in range(20):
                await client.set(f"key{number}", f"{number}:{turn}")
                assert await client.get(f"key{number}") == b"%d:%d" % (number, turn)

    async def work(doors: list[Door]) -> None:
        await asyncio.gather(*(one(doors[0].port, number) for number in range(30)))
        assert doors[0].clients.connections == 30

    with_doors(work, any_key_door)


def test_large_values_go_both_ways() -> None:
    async def work(doors: list[Door]) -> None:
        value = bytes(range(256)) * 40_000  # 10 MB
        async with redis.asyncio.Redis(host=HOST, port=doors[0].port) as client:
            await client.set("large", value)
            assert await client.get("large") == value
            assert await client.strlen("large") == len(value)

    with_doors(work, any_key_door)


class ClusterRouter(MemoryRouter):
    """Two nodes whose cluster doors listen wherever they could; shards alternate between them."""

    def __init__(self, name: str, ports: dict[str, int]) -> None:
        super().__init__(4)
        self.name = name
        self.leaders = {0: "n1", 1: "n2", 2: "n1", 3: "n2"}
        self._ports = ports

    def topology(self) -> Topology:
        # The cluster door is at the base port + 1.
        nodes = [
            NodeInfo(one.name, one.incarnation, HOST, self._ports.get(one.name, 0) - 1)
            for one in NODES[:2]
        ]
        return replace(super().topology(), nodes=tuple(nodes))


@pytest.mark.parametrize("protocol", [2, 3])
def test_a_cluster_client_finds_every_key_once_over_the_leaders(protocol: int) -> None:
    ports: dict[str, int] = {}

    def talk(port: int) -> None:
        with redis.cluster.RedisCluster(HOST, port, protocol=protocol) as client:
            for number in range(100):
                assert client.set(f"k{number}", number)
            for number in range(100):
                assert client.get(f"k{number}") == b"%d" % number
            assert client.dbsize(target_nodes="primaries") == 100
            keys = [b"k%d" % number for number in range(100)]
            assert sorted(client.scan_iter()) == sorted(keys)
            assert sorted(client.keys("*", target_nodes="primaries")) == sorted(keys)
            assert client.flushall(target_nodes="primaries")
            assert client.dbsize(target_nodes="primaries") == 0

    async def work(doors: list[Door]) -> None:
        ports.update(n1=doors[0].port, n2=doors[1].port)
        await asyncio.to_thread(talk, doors[1].port)

    with_doors(
        work,
        *(
            lambda name=name: make_door(ClusterRouter(name, ports), is_cluster=True)
            for name in ("n1", "n2")
        ),
    )


def test_a_redirected_client_is_told_the_port_of_the_leader() -> None:
    ports: dict[str, int] = {}

    async def work(doors: list[Door]) -> None:
        ports.update(n1=doors[0].port, n2=7777)
        key = next(key for key in ("a", "b", "c", "d") if shard_of(0, key.encode(), 4) in (1, 3))
        async with redis.asyncio.Redis(host=HOST, port=doors[0].port) as client:
            with pytest.raises(redis.ResponseError, match=r"\d+ 127\.0\.0\.1:7777"):
                await client.get(key)

    with_doors(work, lambda: make_door(ClusterRouter("n1", ports), is_cluster=True))


def test_a_half_closed_connection_is_answered_and_then_closed() -> None:
    async def work(doors: list[Door]) -> None:
        reader, writer = await asyncio.open_connection(HOST, doors[0].port)
        writer.write(b"SET k v\r\nGET k\r\n" + encode(b"PING"))
        writer.write_eof()
        assert await reader.read() == b"+OK\r\n$1\r\nv\r\n+PONG\r\n"
        writer.close()
        await writer.wait_closed()

    with_doors(work, any_key_door)


def test_garbage_and_broken_pipes_leave_the_others_alone() -> None:
    async def work(doors: list[Door]) -> None:
        port = doors[0].port
        async with redis.asyncio.Redis(host=HOST, port=port) as client:
            for garbage in (b"*2000000000\r\n", b"\x16\x03\x01\x02\x00", b"*3\r\n$3\r\nSET\r\n$1"):
                _, writer = await asyncio.open_connection(HOST, port)
                writer.write(garbage + encode(b"GET", b"k") * 1000)
                writer.transport.abort()
                assert await client.set("k", "v")
            reader, writer = await asyncio.open_connection(HOST, port)
            writer.write(b"*2000000000\r\n")
            assert await reader.read() == b"-ERR Protocol error: invalid multibulk length\r\n"
            writer.close()
            await writer.wait_closed()
            assert await client.get("k") == b"v"

    with_doors(work, any_key_door)


def test_one_client_too_many_is_told_so() -> None:
    def small() -> Door:
        return make_door(MemoryRouter(), limits=DoorLimits(clients_max=1))

    async def work(doors: list[Door]) -> None:
        async with redis.asyncio.Redis(host=HOST, port=doors[0].port) as client:
            await client.ping()
            reader, writer = await asyncio.open_connection(HOST, doors[0].port)
            assert await reader.read() == b"-ERR max number of clients reached\r\n"
            writer.close()
            await writer.wait_closed()
            assert await client.ping()

    with_doors(work, small)


def test_a_taken_port_is_an_error_of_the_one_who_asks() -> None:
    async def work(doors: list[Door]) -> None:
        with pytest.raises(OSError, match="in use"):
            await make_door(MemoryRouter()).listen(HOST, doors[0].port)

    with_doors(work, any_key_door)
