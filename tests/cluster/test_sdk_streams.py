"""Streams and commands that wait through the SDK, against real nodes that are killed."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any  # Any: what redis-py's methods answer.

import pytest
import redis.asyncio

import trimaran
from trimaran.client import blocking
from trimaran.cluster.slots import shard_of

from ..chaos.cluster import Cluster
from ..chaos.processes import Processes

pytestmark = pytest.mark.timeout(300)

PATIENCE_S = 60.0
ENTRIES = 600
SHARDS = 4


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Processes() as processes:
        rng = random.Random(os.getpid())
        cluster = Cluster(processes, tmp_path_factory.mktemp("streams"), rng=rng, shards=SHARDS)
        cluster.wait_ready()
        yield cluster


def addresses(cluster: Cluster) -> list[str]:
    return [f"127.0.0.1:{node.base_port + 2}" for node in cluster.nodes.values()]


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[Any]:
    async with trimaran.Client(*addresses(cluster), decode_responses=True) as client:
        await client.flushall()
        yield client


@asynccontextmanager
async def killing(cluster: Cluster, key: str) -> AsyncIterator[None]:
    """The leader of a key's shard is killed and started again, over and over."""
    shard = shard_of(0, key.encode(), SHARDS)

    async def kill() -> None:
        while True:
            victim = cluster.nodes[await asyncio.to_thread(cluster.leader_of, shard)]
            victim.process.kill()
            await asyncio.sleep(2.0)
            victim.process.start()
            await asyncio.to_thread(cluster.wait_ready)
            await asyncio.sleep(1.0)

    work = asyncio.create_task(kill())
    try:
        yield
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        for node in cluster.nodes.values():
            if not node.process.is_running:
                node.process.start()
        await asyncio.to_thread(cluster.wait_ready)


async def _until(is_so: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await is_so():  # noqa: ASYNC110  # Any condition.
            await asyncio.sleep(0.02)


# --- Streams.


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("decodes", [False, True])
async def test_a_follower_is_given_entries_as_the_client_has_its_replies(
    cluster: Cluster, protocol: int, *, decodes: bool
) -> None:
    options: dict[str, Any] = {"decode_responses": decodes, "protocol": protocol}
    async with trimaran.Client(*addresses(cluster), **options) as client:
        stream = client.stream(f"shape:{protocol}:{decodes}")
        first = await stream.publish({"a": 1})
        async for entry in stream.follow("0"):
            assert entry.id == first
            assert entry.fields == ({"a": "1"} if decodes else {b"a": b"1"})
            break
        async for one in stream.group("g", "c"):
            assert one.fields == entry.fields
            assert await one.ack()
            assert not await one.ack()
            break


async def test_a_follower_begins_where_it_says(client: Any) -> None:
    stream = client.stream("s")
    ids = [await stream.publish({"n": number}) for number in range(5)]
    behind = stream.follow(ids[2], count=1)
    assert [(await anext(behind)).id for _ in range(2)] == ids[3:]
    coming = stream.follow()
    waiting = asyncio.ensure_future(anext(coming))
    while await client.execute_command("CLIENT", "LIST") and not waiting.done():
        await stream.publish({"n": "later"})  # Until it has begun.
        await asyncio.sleep(0.01)
    assert (await waiting)["n"] == "later"
    trimmed = await stream.publish({"n": "last"}, maxlen=2, approximate=False)
    assert (await client.xrange("s"))[-1][0] == trimmed
    assert await client.xlen("s") == 2


async def test_followers_and_a_group_miss_nothing_while_leaders_are_killed(
    cluster: Cluster, client: Any
) -> None:
    stream = client.stream("jobs")
    wanted = [str(number) for number in range(ENTRIES)]
    followed: list[str] = []
    done: Counter[str] = Counter()
    given = 0

    async def publish() -> None:
        for number in wanted:
            await stream.publish({"n": number})
            await asyncio.sleep(0.02)

    async def follow() -> None:
        async for entry in stream.follow("0"):
            followed.append(entry["n"])
            if len(followed) == ENTRIES:
                return

    async def consume(name: str, fails_at: int = 0) -> None:
        nonlocal given
        async for entry in stream.group("workers", name, claim_idle=1.0):
            given += 1
            if fails_at and given >= fails_at:
                return  # It dies with this one, and the others that it was given, in its hands.
            done[entry["n"]] += 1
            await entry.ack()

    async with killing(cluster, "jobs"), asyncio.timeout(PATIENCE_S * 2):
        workers = [asyncio.create_task(consume(f"c{number}")) for number in range(2)]
        workers.append(asyncio.create_task(consume("mortal", fails_at=ENTRIES // 4)))
        following = asyncio.create_task(follow())
        await publish()
        await following

        async def is_done() -> bool:
            pending = (await client.xpending("jobs", "workers"))["pending"]
            return len(done) == ENTRIES and not pending

        await _until(is_done)
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    assert followed == wanted
    assert set(done) == set(wanted)
    assert client.stats.unknown == 0


async def test_a_consumer_that_comes_back_is_given_what_it_had(client: Any) -> None:
    stream = client.stream("s")
    for number in range(3):
        await stream.publish({"n": number})
    seen: list[str] = []
    async for entry in stream.group("g", "c"):
        seen.append(entry["n"])
        if entry["n"] == "0":
            await entry.ack()
        if len(seen) == 3:
            break
    await client.xdel("s", (await client.xrange("s"))[2][0])  # Nothing is owed of that any more.
    async for entry in stream.group("g", "c"):
        assert entry["n"] == "1"
        await entry.ack()
        break
    assert seen == ["0", "1", "2"]


async def test_a_group_outlives_its_stream(client: Any) -> None:
    stream = client.stream("s")
    entries = aiter(stream.group("g", "c", start="$"))
    waiting = asyncio.ensure_future(anext(entries))
    await _until(lambda: client.exists("s"))
    await client.delete("s")
    await stream.publish({"n": 1})
    assert (await waiting)["n"] == "1"


async def test_another_type_under_the_name_is_said(client: Any) -> None:
    await client.set("s", "x")
    with pytest.raises(trimaran.Refused, match="wrong kind"):
        await anext(client.stream("s").follow())


def test_without_asyncio(cluster: Cluster) -> None:
    with trimaran.SyncClient(*addresses(cluster)) as client:
        stream = client.stream("sync")
        first = stream.publish({"a": 1})
        assert next(stream.follow("0")).id == first
        group = stream.group("g", "c")
        for entry in group:
            assert entry.id == first
            assert group.ack(entry)
            break


# --- Commands that wait.


async def test_what_waits_is_answered_when_there_is_something(client: Any) -> None:
    waits = {
        "blpop": client.blpop(["{x}a", "{x}b"], timeout=0),
        "brpop": client.brpop("{x}r", timeout=30),
        "blmove": client.blmove("{x}m", "{x}n", 0, "LEFT", "RIGHT"),
        "brpoplpush": client.brpoplpush("{x}p", "{x}q", 0),
        "blmpop": client.blmpop(0, 2, "{x}l1", "{x}l2", direction="LEFT", count=2),
        "bzpopmin": client.bzpopmin("{x}z", 0),
        "bzpopmax": client.bzpopmax(["{x}zz", "{x}zy"], 0),
        "bzmpop": client.bzmpop(0, 1, ["{x}y"], max=True),
        "xread": client.xread({"{x}s": "$", "{x}t": "0"}, block=0),
    }
    tasks = {name: asyncio.create_task(one) for name, one in waits.items()}
    await asyncio.sleep(0.3)
    assert not [name for name, task in tasks.items() if task.done()]
    for key in ("b", "r", "m", "p"):
        await client.rpush(f"{{x}}{key}", "v")
    await client.rpush("{x}l2", "1", "2", "3")
    for key in ("z", "zy", "y"):
        await client.zadd(f"{{x}}{key}", {"m": 1, "n": 2})
    added = await client.xadd("{x}s", {"f": "v"})
    async with asyncio.timeout(PATIENCE_S):
        found = {name: await task for name, task in tasks.items()}
    key, ((member, score),) = found.pop("bzmpop")
    assert (key, member, float(score)) == ("{x}y", "n", 2.0)  # redis-py versions differ in it.
    assert found == {
        "blpop": ("{x}b", "v"),
        "brpop": ("{x}r", "v"),
        "blmove": "v",
        "brpoplpush": "v",
        "blmpop": ["{x}l2", ["1", "2"]],
        "bzpopmin": ("{x}z", "m", 1.0),
        "bzpopmax": ("{x}zy", "n", 2.0),
        "xread": [["{x}s", [(added, {"f": "v"})]]],
    }
    assert await client.lrange("{x}n", 0, -1) == ["v"]
    assert await client.llen("{x}l2") == 1


async def test_a_time_out_is_the_commands_own(client: Any) -> None:
    hasty = client.with_timeout(0.5)
    start = asyncio.get_running_loop().time()
    assert await hasty.blpop("nothing", timeout=1) is None
    assert await hasty.blmove("nothing", "other", 0.1) is None
    assert await hasty.xread({"nothing": "0"}, block=100) in ([], {})
    assert 1.2 <= asyncio.get_running_loop().time() - start < 3.0


async def test_wrong_words_and_types_are_said_at_once(client: Any) -> None:
    await client.set("text", "x")
    for words in (
        ("BLPOP", "text", "0"),
        ("BLPOP", "q", "-1"),
        ("BLPOP", "q", "soon"),
        ("BLMPOP", "0", "7", "q", "LEFT"),
        ("XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "none", ">"),
    ):
        with pytest.raises(trimaran.Refused):
            async with asyncio.timeout(PATIENCE_S):
                await client.execute_command(*words)


async def test_a_wait_that_is_given_up_takes_nothing(client: Any) -> None:
    waits = [asyncio.create_task(client.blpop("q", timeout=0)) for _ in range(10)]
    await asyncio.sleep(0.2)
    for one in waits[:9]:
        one.cancel()
    await asyncio.gather(*waits[:9], return_exceptions=True)
    start = asyncio.get_running_loop().time()
    await client.rpush("q", "v", "w")
    assert await waits[9] == ("q", "v")
    assert asyncio.get_running_loop().time() - start < 1.5  # No turn was left with those.
    assert await client.lrange("q", 0, -1) == ["w"]


async def test_a_turn_that_is_not_used_is_somebody_elses_at_once(
    cluster: Cluster, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose turn was for nothing takes the next element without one, and the turn it was given
    meanwhile must not keep others from theirs until it is over."""
    take, core, was_robbed = blocking._take, client._home.core(), asyncio.Event()

    async def robbed(whose: Any, *args: Any, **options: Any) -> bytes:
        if whose is core and not was_robbed.is_set():
            await other.lpop("q")
            was_robbed.set()
        return await take(whose, *args, **options)

    monkeypatch.setattr(blocking, "_take", robbed)
    async with trimaran.Client(*addresses(cluster), decode_responses=True) as second:
        other: Any = second
        waits = asyncio.create_task(client.blpop("q", timeout=0))
        await asyncio.sleep(0.2)
        await other.rpush("q", "stolen")
        await was_robbed.wait()
        await asyncio.sleep(0.2)  # It waits again.
        behind = asyncio.create_task(other.blpop("q", timeout=0))
        await asyncio.sleep(0.2)
        await other.rpush("q", "a")
        assert await waits == ("q", "a")
        start = asyncio.get_running_loop().time()
        await other.rpush("q", "b")
        assert await behind == ("q", "b")
        assert asyncio.get_running_loop().time() - start < 1.0  # A turn is for two seconds.


async def test_what_waits_in_a_pipeline_waits_in_its_place(client: Any) -> None:
    async def push() -> None:
        while not await client.exists("before"):  # noqa: ASYNC110  # What a pipeline does.
            await asyncio.sleep(0.01)
        await client.rpush("q", "v")

    pushing = asyncio.create_task(push())
    pipe = client.pipeline(transaction=False)
    pipe.set("before", 1).blpop("q", timeout=30).blpop("q", timeout=0.1).incr("before")
    assert await pipe.execute() == [True, ("q", "v"), None, 2]
    await pushing
    pipe = client.pipeline()
    pipe.incr("{q}n").blpop("q", timeout=0)  # In a transaction nothing waits, as in Redis.
    assert await pipe.execute() == [1, None]


async def test_a_command_that_waits_is_counted_once(cluster: Cluster, client: Any) -> None:
    async def counted() -> int:
        calls = 0
        for node in cluster.nodes.values():
            async with redis.asyncio.Redis(port=node.base_port) as one:
                stats = await one.info("commandstats")
                calls += stats.get("cmdstat_blpop", {}).get("calls", 0)
        return calls

    before = await counted()
    waits = asyncio.create_task(client.blpop("q", timeout=0))
    await asyncio.sleep(0.2)
    await client.rpush("q", "a", "b")
    await waits
    assert await client.blpop("q", timeout=0) == ("q", "b")
    assert await client.blpop("q", timeout=0.05) is None
    assert await counted() - before == 3


async def test_each_element_is_taken_once_while_leaders_are_killed(
    cluster: Cluster, client: Any
) -> None:
    taken: Counter[str] = Counter()
    unknown = 0

    async def work() -> None:
        nonlocal unknown
        while True:
            try:
                found = await client.blpop("queue", timeout=0)
            except trimaran.OutcomeUnknown:
                unknown += 1
            except trimaran.NotApplied:
                continue
            else:
                taken[found[1]] += 1

    async with killing(cluster, "queue"), asyncio.timeout(PATIENCE_S * 2):
        workers = [asyncio.create_task(work()) for _ in range(20)]
        for number in range(ENTRIES):
            await client.rpush("queue", number)
            await asyncio.sleep(0.02)

        async def is_done() -> bool:
            return len(taken) + unknown >= ENTRIES

        await _until(is_done)
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    assert set(taken.values()) == {1}
    assert unknown == 0
    assert set(taken) == {str(number) for number in range(ENTRIES)}
