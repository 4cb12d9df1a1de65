"""`trimaran.Client` and `SyncClient` against real nodes, which are killed, stopped and cut off."""

from __future__ import annotations

import asyncio
import os
import random
import re
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any  # Calls of pipelines are chained.

import pytest
import redis
from redis.exceptions import WatchError

import trimaran
import trimaran.cluster.slots

from ..chaos.cluster import Cluster
from ..chaos.processes import Processes
from ..chaos.sdk import sdk

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One for all tests of this module that leave it as it was."""
    with Processes() as processes:
        rng = random.Random(os.getpid())
        cluster = Cluster(processes, tmp_path_factory.mktemp("sdk"), rng=rng, shards=8)
        cluster.wait_settled()  # A leader that moves is a reason to send something again.
        yield cluster


def addresses(cluster: Cluster) -> list[str]:
    return [f"127.0.0.1:{node.base_port + 2}" for node in cluster.nodes.values()]


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[trimaran.Client]:
    async with trimaran.Client(*addresses(cluster), decode_responses=True) as client:
        await client.flushall()
        yield client


@pytest.fixture
def sync_client(cluster: Cluster) -> Iterator[trimaran.SyncClient]:
    with trimaran.SyncClient(*addresses(cluster), decode_responses=True) as client:
        client.flushall()
        yield client


def pipeline(client: trimaran.Client | trimaran.SyncClient, *, transaction: bool = True) -> Any:
    """One whose calls can be chained: redis-py declares them as answers."""
    return client.pipeline(transaction)


# --- What it answers.


async def test_it_answers_what_redis_py_answers(cluster: Cluster, client: trimaran.Client) -> None:
    """Each command once through the SDK and once through redis-py, on databases of their own."""
    port = next(iter(cluster.nodes.values())).base_port
    theirs = redis.asyncio.Redis(port=port, db=3, decode_responses=True)
    ours = trimaran.Client(*addresses(cluster), db=4, decode_responses=True)

    async def both(call: str, *args: object, **options: object) -> object:
        mine = await getattr(ours, call)(*args, **options)
        assert mine == await getattr(theirs, call)(*args, **options), (call, args)
        return mine

    async with ours, theirs:
        await both("set", "a", "1", ex=1000)
        await both("incrby", "a", 5)
        await both("ttl", "nothing")
        await both("mset", {"b": 1, "c": 2.5})
        await both("mget", "a", "b", "nothing")
        await both("hset", "h", mapping={"f": "1", "g": "x"})
        await both("hgetall", "h")
        await both("hmget", "h", ["f", "nothing"])
        await both("zadd", "z", {"m": 1.5, "n": 2})
        await both("zrange", "z", 0, -1, withscores=True)
        await both("zpopmin", "z")
        await both("zrank", "z", "n")
        await both("zmscore", "z", ["n", "nothing"])
        await both("sadd", "s", "x", "y")
        await both("smembers", "s")
        await both("smismember", "s", ["x", "z"])
        await both("rpush", "l", "1", "2", "3")
        await both("lrange", "l", 0, -1)
        await both("lmpop", 1, "l", direction="LEFT")
        await both("xadd", "st", {"k": "v"}, id="1-1")
        await both("xrange", "st")
        await both("xread", {"st": "0"})
        await both("xinfo_stream", "st")
        await both("geoadd", "geo", [13.361389, 38.115556, "Palermo"])
        await both("geopos", "geo", "Palermo", "nothing")
        await both("geosearch", "geo", member="Palermo", radius=9, withdist=True, withcoord=True)
        await both("eval", "return {1, 'x', redis.call('get', KEYS[1])}", 1, "a")
        await both("config_get", "maxmemory*")
        await both("object", "encoding", "a")
        await both("scan", 0, count=1000)
        await both("dbsize")
        await both("exists", "a", "b", "nothing")
        await both("type", "l")
        await both("rename", "a", "a2")
        await both("delete", "a2", "b")


async def test_commands_over_several_shards_are_put_together(client: trimaran.Client) -> None:
    keys = [f"k{number}" for number in range(50)]
    assert await client.mset(dict.fromkeys(keys, "v")) is True
    assert await client.mget(keys) == ["v"] * 50
    assert await client.exists(*keys, "other") == 50
    assert sorted([key async for key in client.scan_iter()]) == sorted(keys)
    assert len(await client.keys("k*")) == await client.dbsize() == 50
    assert await client.touch(*keys) == 50
    assert await client.unlink(*keys[:10]) == 10
    assert await client.delete(*keys) == 40


async def test_commands_of_many_tasks_are_gathered(client: trimaran.Client) -> None:
    await asyncio.gather(*[client.set(f"warm{number}", "v") for number in range(64)])
    before = client.stats.batches
    await asyncio.gather(*[client.incr(f"n{number}") for number in range(1000)])
    assert client.stats.batches - before <= 8  # One per shard.


async def test_more_at_once_than_a_message_may_hold_goes_in_several(
    client: trimaran.Client,
) -> None:
    answers = await asyncio.gather(*[client.incr("n") for _ in range(25_000)])
    assert sorted(answers) == list(range(1, 25_001))
    async with pipeline(client, transaction=False) as pipe:
        for _ in range(12_000):
            pipe.incr("n")
        assert await pipe.execute() == list(range(25_001, 37_001))
        large = "x" * (1 << 20)
        for number in range(80):
            pipe.set("large", large).append("large", number)
        assert (await pipe.execute())[-1] == len(large) + 2
    assert client.stats.retries == 0  # No node ended a connection for it.
    await client.delete("large")


async def test_what_no_node_takes_at_once_is_refused_at_once(client: trimaran.Client) -> None:
    patient = client.with_timeout(100)
    async with pipeline(patient) as pipe:
        for _ in range(12_000):
            pipe.incr("n")
        with pytest.raises(trimaran.Refused, match="a message may hold 10000 commands"):
            await pipe.execute()
    with pytest.raises(trimaran.Refused, match=r"a message, put together, may hold \d+ bytes"):
        await patient.set("large", "x" * (80 << 20))
    assert await client.mget("n", "large") == [None, None]
    assert client.stats.unknown == 0


# --- Transactions.


async def test_a_transaction_is_all_or_nothing(client: trimaran.Client) -> None:
    async with pipeline(client) as pipe:
        pipe.set("{t}a", 1).incr("{t}a").lpush("{t}l", "x").get("{t}a")
        assert await pipe.execute() == [True, 2, 1, "2"]
    async with pipeline(client) as pipe:
        pipe.incr("{t}a").lpush("{t}a", "x")
        with pytest.raises(trimaran.Refused, match=r"Command # 2 .*WRONGTYPE"):
            await pipe.execute()
    assert await client.get("{t}a") == "3"  # As in Redis: an error does not undo the others.


async def test_a_transaction_over_several_shards_is_refused(client: trimaran.Client) -> None:
    async with pipeline(client) as pipe:
        for number in range(20):
            pipe.set(f"k{number}", "v")
        with pytest.raises(trimaran.Refused, match="use a hash tag, or a database above 0"):
            await pipe.execute()
    assert await client.dbsize() == 0


async def test_a_watched_key_that_is_changed_undoes_the_transaction(
    client: trimaran.Client,
) -> None:
    await client.set("{t}a", 1)
    async with pipeline(client) as pipe:
        await pipe.watch("{t}a")
        value = int(await pipe.get("{t}a"))
        pipe.multi()
        pipe.set("{t}a", value + 1)
        assert await pipe.execute() == [True]
        await pipe.watch("{t}a")
        await client.set("{t}a", 10)
        pipe.multi()
        pipe.set("{t}a", 99)
        with pytest.raises(WatchError):
            await pipe.execute()
    assert await client.get("{t}a") == "10"


@pytest.mark.parametrize("calls_multi", [True, False])
async def test_a_transaction_without_commands_tells_whether_something_was_changed(
    client: trimaran.Client, *, calls_multi: bool
) -> None:
    """How one reads several keys as of one moment: `watch`, read, `execute`."""
    async with pipeline(client) as pipe:
        for is_changed in (False, True):
            await pipe.watch("{t}a", "{t}b")
            if is_changed:
                await client.set("{t}b", 1)
            if calls_multi:
                pipe.multi()
            if is_changed:
                with pytest.raises(WatchError):
                    await pipe.execute()
            else:
                assert await pipe.execute() == []
            assert not pipe.watching


async def test_what_needs_no_shard_has_its_place_in_a_transaction(client: trimaran.Client) -> None:
    """redis-py does not send MGET of nothing; UNWATCH is without effect between MULTI and EXEC."""
    async with pipeline(client) as pipe:
        assert await pipe.mget([]).set("a", 1).mget([]).execute() == [[], True, []]
        assert await pipe.mget([]).execute() == [[]]
        await pipe.watch("a")
        await client.set("a", 2)
        pipe.multi()
        await pipe.unwatch()
        with pytest.raises(WatchError):
            await pipe.execute()
        await pipe.watch("a")
        pipe.multi()
        await pipe.unwatch()
        assert await pipe.get("a").execute() == [True, "2"]


async def test_a_script_without_keys_is_in_a_transaction_wherever_its_keys_are(
    client: trimaran.Client,
) -> None:
    for number in range(8):  # Of all shards.
        async with pipeline(client) as pipe:
            pipe.set(f"k{number}", 1).eval("return 7", 0)
            assert await pipe.execute() == [True, 7]


async def test_a_watch_error_of_its_own_begins_a_transaction_anew(client: trimaran.Client) -> None:
    runs = 0

    async def act(pipe: Any) -> None:
        nonlocal runs
        runs += 1
        pipe.multi()
        pipe.incr("n")
        if runs < 3:
            raise WatchError("not yet")

    assert await client.transaction(act, "n") == [1]
    assert runs == 3


async def test_a_message_in_a_transaction_is_sent_with_it(client: trimaran.Client) -> None:
    async with client.pubsub(ignore_subscribe_messages=True) as pubsub:
        await pubsub.subscribe("news")
        async with pipeline(client) as pipe:
            pipe.set("a", 1).publish("news", "one").get("a")
            assert await pipe.execute() == [True, 1, "1"]
            assert await pipe.publish("news", "two").execute() == [1]
            await pipe.watch("a")
            pipe.multi()
            assert await pipe.publish("news", "three").execute() == [1]
            await pipe.watch("a")
            await client.set("a", 2)
            pipe.multi()
            with pytest.raises(WatchError):
                await pipe.publish("news", "never").execute()
        await client.publish("news", "end")
        heard = []
        while "end" not in heard:
            message = await pubsub.get_message(timeout=10)
            heard += [message["data"]] if message else []
    assert heard == ["one", "two", "three", "end"]


async def test_a_discarded_transaction_says_what_was_wrong(client: trimaran.Client) -> None:
    for words, error in (
        (("NOSUCH", "x"), r"Command # 2 \(NOSUCH x\) .*unknown command 'NOSUCH'"),
        (("GET",), r"Command # 2 \(GET\) .*wrong number of arguments"),
        (("TIME",), r"Command # 2 \(TIME\) .*'time' is not carried out inside a transaction"),
    ):
        for raises in (True, False):  # There are no answers that errors could stand among.
            async with pipeline(client) as pipe:
                pipe.set("a", 1).execute_command(*words)
                with pytest.raises(trimaran.Refused, match=error):
                    await pipe.execute(raise_on_error=raises)
    assert await client.exists("a") == 0


async def test_transactions_on_one_key_are_in_each_others_way_and_none_is_lost(
    client: trimaran.Client,
) -> None:
    async def add() -> None:
        async def act(pipe: Any) -> None:
            value = int(await pipe.get("n") or 0)
            pipe.multi()
            pipe.set("n", value + 1)

        await client.transaction(act, "n")

    await asyncio.gather(*[add() for _ in range(20)])
    assert await client.get("n") == "20"


async def test_a_pipeline_keeps_its_order(client: trimaran.Client) -> None:
    async with pipeline(client, transaction=False) as pipe:
        pipe.set("a", 1).incr("a").get("a").mget("a", "b", "c").delete("a", "b").get("a")
        pipe.lpush("s", 1).get("s").set("s2", 1)
        answers = await pipe.execute(raise_on_error=False)
    assert answers[:6] == [True, 2, "2", ["2", None, None], 1, None]
    assert isinstance(answers[7], trimaran.Refused)
    assert answers[8] is True


async def test_locks_and_scripts_are_redis_pys(client: trimaran.Client) -> None:
    async with client.lock("lock", timeout=10) as lock:
        assert await lock.owned()
        assert not await client.lock("lock", timeout=10).acquire(blocking=False)
    script = client.register_script("return redis.call('incrby', KEYS[1], ARGV[1])")
    assert [await script(keys=[f"k{number}"], args=[2]) for number in range(20)] == [2] * 20
    async with pipeline(client, transaction=False) as pipe:
        await script(keys=["k1"], args=[3], client=pipe)
        assert await pipe.execute() == [5]


@pytest.mark.parametrize("transaction", [True, False])
async def test_a_pipeline_loads_the_scripts_that_are_in_it(
    client: trimaran.Client, *, transaction: bool
) -> None:
    source = f"return redis.call('set', KEYS[1], ARGV[1]) -- {transaction}"
    script = client.register_script(source)
    async with pipeline(client, transaction=transaction) as pipe:
        await script(keys=["k1"], args=[3], client=pipe)
        pipe.get("k1")
        assert await pipe.execute() == ["OK", "3"]
    assert await client.script_exists(script.sha) == [True]


@pytest.mark.parametrize("transaction", [True, False])
async def test_a_script_registered_with_a_pipeline_is_loaded_by_it(
    client: trimaran.Client, sync_client: trimaran.SyncClient, *, transaction: bool
) -> None:
    async with pipeline(client, transaction=transaction) as pipe:
        await pipe.register_script(f"return 'a{transaction}'")()
        assert await pipe.execute() == [f"a{transaction}"]
    with pipeline(sync_client, transaction=transaction) as pipe:
        pipe.register_script(f"return 'b{transaction}'")()
        assert pipe.execute() == [f"b{transaction}"]


async def test_a_callback_may_be_a_coroutine(client: trimaran.Client) -> None:
    async def answer(reply: object, **options: object) -> str:
        await asyncio.sleep(0)
        return f"got {reply}"

    await client.set("a", 1)
    client.set_response_callback("GET", answer)
    assert await client.get("a") == "got 1"
    for transaction in (True, False):
        async with pipeline(client, transaction=transaction) as pipe:
            assert await pipe.get("a").execute() == ["got 1"]


async def test_the_slow_log_can_be_read_in_a_pipeline(
    client: trimaran.Client, sync_client: trimaran.SyncClient
) -> None:
    async with pipeline(client, transaction=False) as pipe:
        assert [type(found) for found in await pipe.slowlog_get().execute()] == [list]
    with pipeline(sync_client, transaction=False) as pipe:
        assert [type(found) for found in pipe.slowlog_get().execute()] == [list]


# --- Errors.


async def test_an_error_says_whose_it_is(client: trimaran.Client) -> None:
    await client.set("a", "x")
    with pytest.raises(trimaran.Refused, match="WRONGTYPE") as refused:
        await client.lpush("a", "x")
    assert refused.value.code == "WRONGTYPE"
    with pytest.raises(redis.DataError, match="Invalid input of type: 'dict'"):
        await client.set("a", {})  # type: ignore[arg-type]  # The mistake is the test.
    with pytest.raises(trimaran.Refused, match="wrong number of arguments"):
        await client.execute_command("GET")
    with pytest.raises(trimaran.Refused, match="wrong number of arguments for 'watch'"):
        await client.pipeline().watch()
    with pytest.raises(trimaran.Refused, match="SELECT cannot be used here: make another client"):
        await client.execute_command("SELECT", 1)
    with pytest.raises(trimaran.Refused, match="unknown command"):
        await client.execute_command("NOSUCH", "a")


async def test_nobody_there_is_said_within_the_time(cluster: Cluster) -> None:
    client = trimaran.Client("127.0.0.1:1", timeout=0.5)
    with pytest.raises(
        trimaran.NotApplied, match=r"no node answered within 0\.5 s: 127\.0\.0\.1:1: "
    ):
        await client.get("a")
    await client.aclose()
    with pytest.raises(trimaran.ClientClosed):
        await client.get("a")


async def test_a_password_is_asked_for_and_a_wrong_one_is_refused_as_redis_py_does(
    tmp_path: Path,
) -> None:
    with Processes() as processes:
        password = ("--requirepass", "secret")
        cluster = Cluster(processes, tmp_path, rng=random.Random(3), shards=2, options=password)
        cluster.wait_ready()
        given = addresses(cluster)
        for wrong, code in ((None, "NOAUTH"), ("other", "WRONGPASS")):
            async with asyncio.timeout(5):  # At once, not after the time-out.
                client = trimaran.Client(*given, password=wrong, timeout=60)
                for _ in range(2):
                    with pytest.raises(redis.AuthenticationError) as refused:
                        await client.get("a")
                    assert isinstance(refused.value, trimaran.Refused)
                    assert refused.value.code == code
                with pytest.raises(redis.AuthenticationError):
                    await client.pubsub().subscribe("news")
                await client.aclose()
            with (
                pytest.raises(redis.AuthenticationError),
                trimaran.SyncClient(*given, password=wrong),
            ):
                pass  # Nor is anything left open.
        async with trimaran.Client.from_url(f"trimaran://:secret@{','.join(given)}") as client:
            assert await client.set("a", 1)
        with trimaran.SyncClient(*given, password="secret") as known:
            assert known.get("a") == b"1"


async def test_a_port_of_another_kind_is_named(cluster: Cluster) -> None:
    port = next(iter(cluster.nodes.values())).base_port
    async with trimaran.Client(*addresses(cluster)) as client:
        assert await client.ping()
    client = trimaran.Client(f"127.0.0.1:{port}", timeout=3)
    with pytest.raises(trimaran.NotApplied, match=rf"{port}: .* is it the gRPC port \(base port"):
        await client.get("a")
    await client.aclose()


# --- As it is described.

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("page", ["README.md", "docs/sdk.md"])
def test_the_programs_of_the_pages_run_as_printed(
    cluster: Cluster, sync_client: trimaran.SyncClient, page: str
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    programs = [block for block in blocks if "trimaran.Client(" in block]
    assert programs
    for found in programs:
        program = found
        for place, address in enumerate(addresses(cluster)):
            program = program.replace(f"127.0.0.1:{7381 + 10 * place}", address)
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("1"), done.stdout
        assert not done.stderr


# --- One loop after the other, without asyncio, and after a fork.


def test_a_client_that_was_not_closed_leaves_the_next_loop_alone(cluster: Cluster) -> None:
    script = f"""
        import asyncio, gc, warnings, trimaran
        warnings.simplefilter("ignore", ResourceWarning)

        async def leave():
            client = trimaran.Client(*{addresses(cluster)!r})
            subscriber = client.pubsub()
            await subscriber.subscribe("news")
            asyncio.ensure_future(client.blpop("nothing", timeout=0))
            await client.incr("loops")

        async def go_on():
            async with trimaran.Client(*{addresses(cluster)!r}) as client:
                for _ in range(20):
                    await client.publish("news", "x")
                    await client.incr("loops")
                print(await client.getdel("loops"))

        asyncio.run(leave())
        gc.collect()
        asyncio.run(go_on())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.strip() == "b'21'"
    # gRPC may log that the end of a call has no loop any more to go to; nothing else is said.
    assert set(re.findall(r"^\w+(?:Error|Warning|Exception).*", done.stderr, re.MULTILINE)) <= {
        "RuntimeError: Event loop is closed"
    }, done.stderr
    assert done.stderr.count("Traceback") == done.stderr.count("in callback PollerCompletionQueue")


def test_the_synchronous_client_does_the_same(sync_client: trimaran.SyncClient) -> None:
    client = sync_client
    assert client.set("a", 1) is True
    assert client.incr("a") == 2
    with pipeline(client) as pipe:
        pipe.set("{t}a", 1).get("{t}a")
        assert pipe.execute() == [True, "1"]

    def act(pipe: Any) -> None:
        value = int(pipe.get("a"))
        pipe.multi()
        pipe.set("a", value + 1)

    assert client.transaction(act, "a") == [True]
    runs: list[Any] = []

    def begin_anew(pipe: Any) -> None:
        runs.append(pipe)
        pipe.multi()
        if len(runs) < 3:
            raise WatchError("not yet")

    assert client.transaction(begin_anew, "a") == []
    assert len(runs) == 3
    with client.lock("lock", timeout=10):
        assert client.get("a") == "3"
    script = client.register_script("return redis.call('incr', KEYS[1])")
    with client.pipeline() as pipe:
        script(keys=["a"], client=pipe)
        assert pipe.execute() == [4]
    assert script(keys=["a"]) == 5
    assert list(client.scan_iter("a")) == ["a"]


def test_a_callback_that_calls_its_client_is_refused_and_nothing_hangs(
    sync_client: trimaran.SyncClient,
) -> None:
    """It runs on the client's loop, which cannot wait for itself."""
    sync_client.set("a", 1)
    sync_client.set_response_callback("GET", lambda reply: (reply, sync_client.ping()))
    with pytest.raises(RuntimeError, match="cannot wait for itself"):
        sync_client.get("a")
    assert sync_client.ping()


def test_a_synchronous_client_that_is_dropped_leaves_no_thread(cluster: Cluster) -> None:
    script = """
        import gc, sys, threading, trimaran

        def use() -> None:
            client = trimaran.SyncClient(*sys.argv[1:])
            view = client.stale(100)
            del client
            assert view.incr("dropped") > 0
            assert view.pipeline().incr("dropped").execute()
            pubsub = view.pubsub()
            pubsub.subscribe("news")
            del view
            assert pubsub.get_message(timeout=10)["type"] == "subscribe"

        for _ in range(3):
            use()
        gc.collect()
        for thread in threading.enumerate():
            if thread.name == "trimaran-client":
                thread.join(30)
                assert not thread.is_alive()
        kept = trimaran.SyncClient(*sys.argv[1:])  # Until the end.
        print(int(kept.incr("dropped")) > 6)
    """
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(script)]
    done = subprocess.run(
        [*command, *addresses(cluster)], capture_output=True, text=True, timeout=120, check=False
    )
    said = [line for line in done.stderr.splitlines() if not line.startswith("Executing <")]
    assert (done.returncode, done.stdout, said) == (0, "True\n", [])  # What asyncio finds slow.


async def test_a_client_is_closed_on_its_own_loop_alone(cluster: Cluster) -> None:
    async with trimaran.Client(*addresses(cluster)) as client:
        await client.set("a", 1)
        with pytest.raises(RuntimeError, match="close it there"):
            await asyncio.to_thread(lambda: asyncio.run(client.aclose()))
        assert await client.get("a") == b"1"


def test_a_client_works_in_threads(sync_client: trimaran.SyncClient) -> None:
    import threading

    threads = [
        threading.Thread(target=lambda: [sync_client.incr("n") for _ in range(20)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sync_client.get("n") == "160"


@pytest.mark.parametrize("is_used_before", [False, True])
def test_a_client_made_before_a_fork_works_in_the_child(
    cluster: Cluster, *, is_used_before: bool
) -> None:
    script = f"""
        import os, sys, trimaran
        client = trimaran.SyncClient(*{addresses(cluster)!r}, decode_responses=True)
        if {is_used_before}:
            client.incr("forked")
        children = []
        for number in range(3):
            pid = os.fork()
            if not pid:
                try:
                    for _ in range(10):
                        client.incr("forked")
                    os._exit(0)
                finally:
                    os._exit(1)
            children.append(pid)
        ends = [os.waitpid(pid, 0)[1] for pid in children]
        client.incr("forked")
        print(ends, client.get("forked"))
        client.delete("forked")
        client.close()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.strip() == f"[0, 0, 0] {32 if is_used_before else 31}", done.stderr


# --- Reads that need not see the newest.


async def test_a_stale_read_is_answered_by_a_replica_while_the_leader_is_stopped(
    tmp_path: Path,
) -> None:
    with Processes() as processes:
        cluster = Cluster(processes, tmp_path, rng=random.Random(2), shards=3)
        cluster.wait_settled()
        async with trimaran.Client(*addresses(cluster), decode_responses=True) as client:
            await client.set("k", "v1")
            await client.set("k", "v2")
            stale = client.stale(20_000)
            # A replica has heard of it: within some heartbeats.
            async with asyncio.timeout(30):
                while [await stale.get("k") for _ in range(6)] != ["v2"] * 6:
                    await client.ping()
            shard = trimaran.cluster.slots.shard_of(0, b"k", 3)
            leader = cluster.nodes[cluster.leader_of(shard)]
            leader.process.pause()
            try:
                began = asyncio.get_running_loop().time()
                answers = [await stale.get("k") for _ in range(10)]
                took = asyncio.get_running_loop().time() - began
            finally:
                leader.process.resume()
            assert answers == ["v2"] * 10
            assert took < 1.5  # An election takes longer.
            assert await client.get("k") == "v2"


# --- Failures.


async def test_what_was_awaited_while_nodes_die_is_there_exactly_once(tmp_path: Path) -> None:
    """What `make chaos` does for minutes (`tests/chaos/sdk.py`), for less long."""
    outcome = await sdk("sdk", tmp_path / "sdk", seconds=30.0, seed=1)
    assert not outcome.violations, outcome.violations
    assert outcome.faults >= 2, outcome.notes  # More on a machine that has nothing else to do.
