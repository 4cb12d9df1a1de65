"""redis-py at both doors: `Redis` and `RedisCluster`, sync and asyncio, RESP 2 and 3.

test_redis_py_oldest.py runs this file a second time with the oldest redis-py.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
import redis
import redis.asyncio
from redis.asyncio.cluster import RedisCluster as AsyncRedisCluster
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.exceptions import RedisClusterException
from redis.retry import Retry

from .running import HOST

if TYPE_CHECKING:
    from .running import Doors

pytestmark = [
    pytest.mark.usefixtures("_emptied"),
    # Of redis-py 5.0 itself, under newer Pythons.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:redis"),
]

BOTH = pytest.mark.parametrize("protocol", [2, 3], ids=["RESP2", "RESP3"])
DATABASES = pytest.mark.parametrize("db", [0, 1, 15])
DOORS = pytest.mark.parametrize("door", ["any_key", "cluster"])
KEYS = 120
NAMES = [b"key:%d" % number for number in range(KEYS)]


@BOTH
@DATABASES
def test_every_node_answers_for_every_key(doors: Doors, protocol: int, db: int) -> None:
    clients = [redis.Redis(HOST, port, db=db, protocol=protocol) for port in doors.any_key]
    for number in range(30):
        assert clients[number % 3].set(f"k{number}", number, ex=1000)
        assert clients[number % 2].incrby(f"k{number}", 1) == number + 1
    for client in clients:
        assert client.mget([f"k{number}" for number in range(30)]) == [
            b"%d" % (number + 1) for number in range(30)
        ]
        assert 990 < client.ttl("k7") <= 1000
        assert client.dbsize() == 30
        assert client.exists("k1", "k2", "none", "k1") == 3
        assert client.type("k1") in (b"string", "string")
    assert clients[0].delete(*(f"k{number}" for number in range(30))) == 30
    for client in clients:
        assert client.dbsize() == 0
        client.close()


@BOTH
@DATABASES
def test_a_pipeline_answers_in_order_with_its_errors_in_place(
    doors: Doors, protocol: int, db: int
) -> None:
    with redis.Redis(HOST, doors.any_key[2], db=db, protocol=protocol) as client:
        pipeline = client.pipeline(transaction=False)
        for number in range(200):
            pipeline.set(f"k{number % 20}", number)
            pipeline.get(f"k{number % 20}")
        pipeline.set("text", "x").incr("text").get("text")
        answers = pipeline.execute(raise_on_error=False)
        assert answers[0:400:2] == [True] * 200
        assert answers[1:400:2] == [b"%d" % number for number in range(200)]
        error = answers[401]
        assert isinstance(error, redis.ResponseError)
        assert "value is not an integer or out of range" in str(error)
        assert answers[402] == b"x"
        assert client.ping()


@BOTH
@DATABASES
def test_a_transaction_is_one_step(doors: Doors, protocol: int, db: int) -> None:
    with redis.Redis(HOST, doors.any_key[1], db=db, protocol=protocol) as client:
        pipeline = client.pipeline(transaction=True)
        pipeline.set("{t}a", 1).incr("{t}a").set("{t}b", "text").incr("{t}b").get("{t}a")
        answers = pipeline.execute(raise_on_error=False)
        assert answers[:3] == [True, 2, True]
        assert isinstance(answers[3], redis.ResponseError)
        assert answers[4] == b"2"
        with pytest.raises(redis.ResponseError, match="Command # 2"):
            client.pipeline(transaction=True).set("{t}a", "x").incr("{t}a").execute()


@BOTH
def test_a_transaction_over_shards_is_refused_in_database_0_only(
    doors: Doors, protocol: int
) -> None:
    for db in (0, 1):
        with redis.Redis(HOST, doors.any_key[0], db=db, protocol=protocol) as client:
            pipeline = client.pipeline(transaction=True)
            for name in NAMES:
                pipeline.incr(name.decode())
            if db:
                assert pipeline.execute() == [1] * KEYS
            else:
                with pytest.raises(redis.RedisError, match=r"CROSSSLOT|EXECABORT|same slot"):
                    pipeline.execute()
                assert client.dbsize() == 0


@BOTH
def test_keys_are_listed_once_and_flushed_from_any_node(doors: Doors, protocol: int) -> None:
    for port in doors.any_key:
        with redis.Redis(HOST, port, protocol=protocol) as client:
            pipeline = client.pipeline(transaction=False)
            for name in NAMES:
                pipeline.set(name.decode(), "x")
            pipeline.execute()
            assert sorted(client.scan_iter(count=7)) == sorted(NAMES)
            assert sorted(client.scan_iter(match="key:1?")) == [b"key:1%d" % d for d in range(10)]
            assert sorted(client.keys("*")) == sorted(NAMES)
            assert client.randomkey() in NAMES
            assert client.dbsize() == KEYS
            assert client.flushall()
            assert client.dbsize() == 0


@BOTH
async def test_asyncio_does_the_same(doors: Doors, protocol: int) -> None:
    for db in (0, 1):
        url = f"redis://{HOST}:{doors.any_key[db]}/{db}"
        async with redis.asyncio.Redis.from_url(url, protocol=protocol) as client:
            pipeline = client.pipeline(transaction=False)
            for name in NAMES:
                pipeline.incr(name.decode())
            assert await pipeline.execute() == [1] * KEYS
            async with client.pipeline(transaction=True) as transaction:
                transaction.incr("key:0")
                transaction.incr("key:0")
                assert await transaction.execute() == [2, 3]
            assert sorted([name async for name in client.scan_iter()]) == sorted(NAMES)
            assert sorted(await client.keys()) == sorted(NAMES)
            assert await client.dbsize() == KEYS
            assert await client.flushdb()
            assert await client.dbsize() == 0


@BOTH
def test_options_that_change_what_is_sent_on_connect_work(doors: Doors, protocol: int) -> None:
    for db in (0, 1):
        with redis.Redis.from_url(
            f"redis://{HOST}:{doors.any_key[0]}/{db}",
            protocol=protocol,
            client_name="my-worker",
            decode_responses=True,
            health_check_interval=1e-6,  # A PING before every command.
            socket_keepalive=True,
            socket_timeout=20,
            retry_on_timeout=True,
        ) as client:
            assert client.set("k", "ü")
            assert client.get("k") == "ü"
            assert client.client_getname() == "my-worker"
            assert client.client_info()["name"] == "my-worker"
            (me,) = [one for one in client.client_list() if one["id"] == str(client.client_id())]
            assert me["name"] == "my-worker"
            assert me["db"] == str(db)
            assert client.info("server")["redis_mode"] == "standalone"
            assert client.info("server")["redis_version"] == "7.2.4"
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            assert client.time()[0] > 1_600_000_000
            assert client.echo("hello") == "hello"


def test_a_password_nobody_asked_for_is_met_as_by_redis(doors: Doors) -> None:
    """AUTH is refused; HELLO with AUTH is not, since the default user takes any password."""
    once = Retry(NoBackoff(), 0)  # To redis-py a refused password is a lost connection.
    port = doors.any_key[0]
    refused = pytest.raises(redis.RedisError, match="without any password configured")
    with redis.Redis(HOST, port, password="secret", protocol=2, retry=once) as client, refused:
        client.ping()
    with redis.Redis(HOST, port, password="secret", protocol=3, retry=once) as client:
        assert client.ping()


@BOTH
def test_threads_share_one_client(doors: Doors, protocol: int) -> None:
    with redis.Redis(HOST, doors.any_key[1], db=1, protocol=protocol) as client:

        def count() -> None:
            for _ in range(40):
                client.incr("shared")

        threads = [threading.Thread(target=count) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert client.get("shared") == b"320"


@BOTH
def test_a_client_that_knows_no_cluster_is_told_where_a_key_is(doors: Doors, protocol: int) -> None:
    clients = {port: redis.Redis(HOST, port, protocol=protocol) for port in doors.cluster}
    for name in NAMES[:20]:
        told = set()
        for client in clients.values():
            try:
                assert client.incr(name.decode()) == 1
            except redis.ResponseError as error:  # MovedError is one.
                told.add(int(str(error).rpartition(":")[2]))
        (leader,) = told
        assert clients[leader].get(name.decode()) == b"1"
    assert clients[leader].info("server")["redis_mode"] == "cluster"
    refused = pytest.raises(redis.ResponseError, match="SELECT is not allowed in cluster mode")
    with redis.Redis(HOST, doors.cluster[0], db=1, protocol=protocol) as client, refused:
        client.ping()
    for client in clients.values():
        client.close()


@BOTH
@DOORS
def test_a_cluster_client_given_any_port_reaches_every_key(
    doors: Doors, protocol: int, door: str
) -> None:
    for port in getattr(doors, door):
        with RedisCluster(HOST, port, protocol=protocol) as client:
            assert sorted(node.port for node in client.get_primaries()) == sorted(doors.cluster)
            assert not client.get_replicas()
            for number, name in enumerate(NAMES):
                assert client.set(name.decode(), number)
            assert client.mget_nonatomic(*(name.decode() for name in NAMES)) == [
                b"%d" % number for number in range(KEYS)
            ]
            assert client.mset_nonatomic({name.decode(): "x" for name in NAMES})
            assert client.mget("{t}1", "{t}2") == [None, None]
            with pytest.raises(RedisClusterException, match="same key slot"):
                client.mget("a", "b", "c")
            assert client.cluster_keyslot("a") == 15495
            sizes = client.dbsize(target_nodes=RedisCluster.PRIMARIES)
            assert sizes == KEYS
            names = client.keys("*", target_nodes=RedisCluster.PRIMARIES)
            assert sorted(names) == sorted(NAMES)
            assert sorted(client.scan_iter(count=10)) == sorted(NAMES)
            assert client.flushall()
            assert client.dbsize(target_nodes=RedisCluster.PRIMARIES) == 0


@BOTH
@DOORS
def test_a_cluster_pipeline_is_split_over_the_nodes(doors: Doors, protocol: int, door: str) -> None:
    with RedisCluster(HOST, getattr(doors, door)[1], protocol=protocol) as client:
        pipeline = client.pipeline()
        for name in NAMES:
            pipeline.set(name.decode(), "1")
            pipeline.incr(name.decode())
        assert pipeline.execute() == [True, 2] * KEYS


@BOTH
@DOORS
async def test_an_asyncio_cluster_client_does_the_same(
    doors: Doors, protocol: int, door: str
) -> None:
    port = getattr(doors, door)[2]
    async with AsyncRedisCluster(host=HOST, port=port, protocol=protocol) as client:
        assert sorted(node.port for node in client.get_primaries()) == sorted(doors.cluster)
        pipeline = client.pipeline()
        for name in NAMES:
            pipeline.set(name.decode(), "1")
            pipeline.incr(name.decode())
        assert await pipeline.execute() == [True, 2] * KEYS
        for name in NAMES[:20]:
            assert await client.get(name.decode()) == b"2"
        assert await client.dbsize(target_nodes=AsyncRedisCluster.PRIMARIES) == KEYS
        names = await client.keys("*", target_nodes=AsyncRedisCluster.PRIMARIES)
        assert sorted(names) == sorted(NAMES)
        assert sorted([name async for name in client.scan_iter(count=10)]) == sorted(NAMES)
        assert await client.flushall()
        assert await client.dbsize(target_nodes=AsyncRedisCluster.PRIMARIES) == 0


LIBRARY = "#!lua name=lib\nredis.register_function('f', function(keys) return keys[1] end)"


@BOTH
def test_scripts_and_functions_are_loaded_once_for_the_whole_cluster(
    doors: Doors, protocol: int
) -> None:
    with redis.Redis(HOST, doors.cluster[1], protocol=protocol) as alone:
        loaded = alone.script_load("return KEYS[1]")
        assert alone.function_load(LIBRARY) == b"lib"
    with RedisCluster(HOST, doors.cluster[0], protocol=protocol) as client:
        client.function_load(LIBRARY)  # At every node, as these clients do.
        for name in NAMES:
            assert client.evalsha(loaded, 1, name) == name
            assert client.fcall("f", 1, name) == name
    with redis.Redis(HOST, doors.cluster[2], protocol=protocol) as alone:
        assert alone.script_flush()
        assert alone.function_flush()
    for port in doors.any_key:
        with redis.Redis(HOST, port, protocol=protocol) as client_of_one:
            assert client_of_one.script_exists(loaded) == [False]
            assert client_of_one.function_list() == []
