"""What applications do with redis.asyncio; only the constructor differs. Prints the answers."""

from __future__ import annotations

import asyncio
import sys
import threading
import time

import redis
import redis.asyncio
import trimaran
from redis.exceptions import LockError, LockNotOwnedError, NoScriptError, ResponseError, WatchError

kind, port = sys.argv[1], int(sys.argv[2])


def make(**options):
    if kind == "trimaran":
        return trimaran.Client(f"127.0.0.1:{port}", **options)
    return redis.asyncio.Redis(port=port, **options)


def make_sync(**options):
    if kind == "trimaran":
        return trimaran.SyncClient(f"127.0.0.1:{port}", **options)
    return redis.Redis(port=port, **options)


async def raised(kind, call, *args):
    try:
        await call(*args)
    except kind:
        return True
    return False


async def replies(client):
    """Shapes of what commands answer."""
    print(await client.set("name", "value", ex=100), await client.get("name"))
    print(await client.set("name", "other", nx=True), await client.set("name", "o", get=True))
    print(await client.hset("{h}ash", mapping={"a": 1, "b": "two"}), await client.hgetall("{h}ash"))
    print(await client.zadd("scores", {"a": 1, "b": 2.5}))
    print(await client.zrange("scores", 0, -1, withscores=True), await client.zscore("scores", "b"))
    print(await client.zpopmin("scores"), await client.zincrby("scores", 2, "b"))
    print(await client.sadd("members", "x", "y"), sorted(await client.smembers("members")))
    print(await client.rpush("items", *range(5)), await client.lrange("items", 0, -1))
    print(await client.lpop("items", 2), await client.expire("items", 50))
    print(await client.ttl("items") in (49, 50))
    print(await client.mset({"m1": 1, "m2": 2}), await client.mget("m1", "m2", "none"))
    print(await client.incrbyfloat("float", 1.5), await client.exists("m1", "m2", "none"))
    print(sorted([key async for key in client.scan_iter(match="m?", count=3)]))
    first = await client.xadd("events", {"n": 1}, id="1-1")
    print(first, await client.xlen("events"), await client.xrange("events"))
    print(await client.xread({"events": "0"}), await client.type("events"))
    print(await client.geoadd("places", (13.361389, 38.115556, "Palermo")))
    print(await client.geopos("places", "Palermo"), await client.object("encoding", "m1"))
    print(await raised(ResponseError, client.incr, "name"), await client.echo("hello"))
    print(await client.execute_command("SET", "raw", b"\x00\xff"), await client.strlen("raw"))


async def rate_limiter(client):
    """A window that is counted, by a transaction and by a script."""
    allowed = []
    for _ in range(5):
        async with client.pipeline(transaction=True) as pipe:
            count, _ = await pipe.incr("limit:7").expire("limit:7", 60).execute()
        allowed.append(count <= 3)
    print(allowed)
    script = client.register_script(
        "local n = redis.call('INCR', KEYS[1]) "
        "if n == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end return n <= tonumber(ARGV[2])"
    )
    print([await script(keys=["limit:8"], args=[60000, 2]) for _ in range(4)])
    print(await raised(NoScriptError, client.evalsha, "0" * 40, 1, "limit:8"))


async def counters(client):
    """A value that many change, each under WATCH."""

    async def add():
        async with client.pipeline() as pipe:
            while True:
                try:
                    await pipe.watch("account")
                    now = int(await pipe.get("account") or 0)
                    pipe.multi()
                    pipe.set("account", now + 1)
                    await pipe.execute()
                except WatchError:
                    continue
                return

    await asyncio.gather(*[add() for _ in range(10)])
    print(await client.get("account"))

    async def double(pipe):
        value = int(await pipe.get("account"))
        pipe.multi()
        pipe.set("account", value * 2)

    print(await client.transaction(double, "account"), await client.get("account"))


async def locks(client):
    """redis-py's own lock: who holds it, for how long, and who may give it up."""
    lock = client.lock("lock", timeout=10)
    print(await lock.acquire(blocking=False), await lock.locked(), await lock.owned())
    other = client.lock("lock", timeout=10, sleep=0.01)
    print(await other.acquire(blocking=False), await other.acquire(blocking_timeout=0.05))
    print(await raised(LockError, other.release))
    print(await lock.extend(20), await lock.reacquire())
    await client.set("lock", "stolen")
    print(await raised(LockNotOwnedError, lock.release))
    await client.delete("lock")
    async with client.lock("lock", timeout=5, blocking_timeout=5) as held:
        print(await held.owned())
    print(await held.locked())
    inside, most = 0, 0

    async def work():
        nonlocal inside, most
        async with client.lock("turns", timeout=20, sleep=0.002):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*[work() for _ in range(10)])
    print(most)


async def queue(client):
    """Jobs that wait in a list, and workers that wait for jobs."""
    done = []

    async def worker(name):
        while True:
            found = await client.brpop(["jobs"], timeout=20)
            if found[1] in (b"stop", "stop"):
                return
            done.append(found[1])

    workers = [asyncio.create_task(worker(name)) for name in range(3)]
    for number in range(30):
        await client.lpush("jobs", number)
    await client.lpush("jobs", *["stop"] * 3)
    await asyncio.gather(*workers)
    print(sorted(map(int, done)), await client.llen("jobs"))
    print(await client.blpop(["jobs"], timeout=0.05), await client.bzpopmin("none", timeout=0.05))
    await client.rpush("{q}a", "job")
    print(await client.blmove("{q}a", "{q}b", 1, "LEFT", "RIGHT"))
    print(await client.lrange("{q}b", 0, -1))


async def news(client):
    """Channels, by name and by pattern."""
    async with client.pubsub() as pubsub:
        await pubsub.subscribe("news")
        await pubsub.psubscribe("n*")
        got = []
        while len(got) < 2:
            message = await pubsub.get_message(timeout=5)
            if message is not None:
                got.append((message["type"], message["channel"], message["data"]))
        print(got, await client.publish("news", "hello"))
        while len(got) < 4:
            message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=5)
            if message is not None:
                got.append((message["type"], message["channel"], message["data"]))
        print(sorted(got[2:]))


def threads():
    """The other client, by many threads."""
    with make_sync() as client:

        def work():
            for _ in range(20):
                client.incr("threads")
                with client.lock("guard", timeout=20, sleep=0.002):
                    client.rpush("log", 1)

        running = [threading.Thread(target=work) for _ in range(4)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        print(client.get("threads"), client.llen("log"), client.dbsize() > 0)
        with client.pipeline() as pipe:
            print(pipe.set("{p}a", 1).incr("{p}a").get("{p}a").execute())
        print(client.brpop("log", timeout=1), client.ping(), client.time()[0] > time.time() - 3600)


async def main():
    for options in ({}, {"decode_responses": True}, {"protocol": 2}, {"protocol": 3}):
        async with make(**options) as client:
            await client.flushall()
            for part in (replies, rate_limiter, counters, locks, queue, news):
                await part(client)
    threads()


asyncio.run(main())
print("passed")
