"""One contender's client in a process of its own: tasks that each await command after command.

`python -m tests.bench.sdk_client ENDPOINT OP TASKS SECONDS PIDS` prints one line of JSON. ENDPOINT
is `trimaran:PORT:DATABASE`, `etcd:PORT` or `redis-cluster:PORT`; PIDS are the servers', joined by
commas. OP is SET, GET, or FILL, which writes every key once. Everybody runs on asyncio's own loop.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Any  # Clients of three kinds.

from ..chaos import etcd
from .generators import KEYS, VALUE_BYTES
from .rounds import cpu_s

WARM_UP_S = 0.7
PIECE = 500  # Tasks that fill.
CONNECTIONS_MAX = 2000  # Of redis-py to each node.
VALUE = b"x" * VALUE_BYTES

Call = Callable[[int], Awaitable[Any]]  # Of the key with that number; raises if it is not answered.


def keys() -> list[bytes]:
    return [b"key:%012d" % number for number in range(KEYS)]


# --- Contenders: how each sends a SET and a GET.


@asynccontextmanager
async def opened(endpoint: str) -> AsyncIterator[dict[str, Call]]:
    """Its calls, by name; connected."""
    kind, _, place = endpoint.partition(":")
    async with _KINDS[kind](place) as calls:
        yield calls


@asynccontextmanager
async def _trimaran(place: str) -> AsyncIterator[dict[str, Call]]:
    import trimaran

    port, _, database = place.partition(":")
    async with trimaran.Client(f"127.0.0.1:{port}", db=int(database)) as client:
        yield _redis_calls(client)


@asynccontextmanager
async def _redis_cluster(place: str) -> AsyncIterator[dict[str, Call]]:
    from redis.asyncio import RedisCluster

    # Its default would refuse commands of many tasks instead of having them wait.
    client = RedisCluster(host="127.0.0.1", port=int(place), max_connections=CONNECTIONS_MAX)
    try:
        await client.initialize()
        yield _redis_calls(client)
    finally:
        await client.aclose()


def _redis_calls(client: Any) -> dict[str, Call]:
    names = keys()

    async def set_(number: int) -> None:
        assert await client.set(names[number], VALUE) is True

    async def get(number: int) -> None:
        assert await client.get(names[number]) == VALUE

    return {"SET": set_, "GET": get}


@asynccontextmanager
async def _etcd(place: str) -> AsyncIterator[dict[str, Call]]:
    """Messages are bytes made before, and no reply is parsed: less than a user of etcd pays."""
    import grpc.aio

    puts = [etcd.put_request(key, VALUE) for key in keys()]
    ranges = [etcd.range_request(key) for key in keys()]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{place}") as channel:
        put: Any = channel.unary_unary(etcd.PUT)
        range_: Any = channel.unary_unary(etcd.RANGE)

        async def set_(number: int) -> None:
            await put(puts[number])

        async def get(number: int) -> None:
            assert VALUE in await range_(ranges[number])

        yield {"SET": set_, "GET": get}


_KINDS: dict[str, Any] = {
    "trimaran": _trimaran,
    "etcd": _etcd,
    "redis-cluster": _redis_cluster,
}

# --- Load.


async def _fill(call: Call) -> None:
    for start in range(0, KEYS, PIECE):
        await asyncio.gather(*[call(number) for number in range(start, start + PIECE)])


async def _run(call: Call, tasks: int, seconds: float) -> list[int]:
    """Nanoseconds of each command that was answered in that time."""
    numbers = random.Random(1).choices(range(KEYS), k=1 << 16)
    numbers_in_turn = cycle(numbers)
    took_ns: list[int] = []
    clock = time.perf_counter_ns
    until = clock() + int(seconds * 1e9)

    async def work() -> None:
        began = clock()
        while began < until:
            await call(next(numbers_in_turn))
            now = clock()
            took_ns.append(now - began)
            began = now

    await asyncio.gather(*[work() for _ in range(tasks)])
    return took_ns


async def measure(
    endpoint: str, op: str, tasks: int, seconds: float, pids: Sequence[int]
) -> dict[str, float]:
    """Rate, latencies, and CPU of this process and of the servers while it ran."""
    async with opened(endpoint) as calls:
        if op == "FILL":
            await _fill(calls["SET"])
            return {}
        call = calls[op]
        await _run(call, tasks, min(WARM_UP_S, seconds))
        gc.collect()
        servers_s, client_s, began = cpu_s(pids), time.process_time(), time.perf_counter()
        took_ns = await _run(call, tasks, seconds)
        elapsed_s = time.perf_counter() - began
        client_s, servers_s = time.process_time() - client_s, cpu_s(pids) - servers_s
    took_ns.sort()
    count = len(took_ns)
    return {
        "commands": count,
        "rate": count / elapsed_s,
        "p50_ms": took_ns[count // 2] / 1e6,
        "p99_ms": took_ns[count * 99 // 100] / 1e6,
        "client_us": client_s * 1e6 / count,
        "server_us": servers_s * 1e6 / count,
    }


def main(arguments: Sequence[str]) -> None:
    endpoint, op, tasks, seconds, pids = arguments
    servers = [int(pid) for pid in pids.split(",")]
    print(json.dumps(asyncio.run(measure(endpoint, op, int(tasks), float(seconds), servers))))


if __name__ == "__main__":
    main(sys.argv[1:])
