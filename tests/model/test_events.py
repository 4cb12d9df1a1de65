"""Events of keys come as in a real Redis: which, of which key and database, and in which order."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from .driver import words
from .events import EventsOfBoth, events_of_both

if TYPE_CHECKING:
    from .events import Event
    from .redis_server import RedisServer

SCRIPTS = {
    "strings": """
        SET a 1 | SET a 2 NX | SET a 2 XX | SET b 1 EX 100
        SET b 2 KEEPTTL | SET b 3 PXAT 1 GET & EXISTS b
        SET c 1 PX 1 EX | SETNX a 1 | SETNX d 1 | SETEX e 100 x | PSETEX e 100000 x | GETSET e y
        GETSET f x | GETDEL f | GETDEL f | GETEX e EX 100 | GETEX e PERSIST
        GETEX e | GETEX e PXAT 1
        MSET a 1 a 2 b 3 | MSETNX a 1 z 1 | MSETNX x 1 z 1 | APPEND a xy | APPEND new xy
        SETRANGE a 1 zz | SETRANGE a 1  | SETRANGE new2 3 zz | INCR n | INCRBY n 5
        DECR n | DECRBY n 2
        INCRBYFLOAT n 0.5 | INCRBYFLOAT m 1 | INCR a | SETBIT a 7 1 | SETBIT bits 7 1
        BITOP AND out a bits | BITOP AND out none1 none2 | BITOP AND out none1 none2
        BITFIELD a SET u8 0 7 GET u8 0 | BITFIELD a GET u8 0 | BITFIELD fields INCRBY u8 0 1
        PFADD hll a b | PFADD hll a | PFMERGE hll2 hll | PFMERGE hll2 hll | PFCOUNT hll
    """,
    "keys": """
        MSET a 1 b 2 c 3 d 4 | DEL a none b | UNLINK c none | DEL none | RENAME d e | RENAME e e
        RENAME none x | SET f 1 | RENAME e f | RENAMENX f f | RENAMENX f g | SET h 1 | RENAMENX g h
        COPY g i | COPY g i | COPY g i REPLACE | COPY g i DB 1 | COPY g i DB 1 | COPY none x
        MOVE g 1 | MOVE g 1 | MOVE none 1 | SET k 1 EX 100 | RENAME k l | COPY l m | MOVE m 1
        SELECT 1 | DEL i g m | SELECT 0 | TOUCH l | TYPE l | EXISTS l | OBJECT ENCODING l
        FLUSHDB | FLUSHALL
    """,
    "expiry": """
        SET a 1 | EXPIRE a 100 | EXPIRE a 100 NX | EXPIRE a 50 GT
        EXPIRE a 200 GT | PEXPIRE a 100000
        PERSIST a | PERSIST a | EXPIREAT a 1 | EXPIRE a 100 | SET a 1 | PEXPIREAT a 4102444800000
        EXPIRE a -1 | SET a 1 | PEXPIREAT a 1 | EXPIRE none 5 | TTL a
    """,
    "lists": """
        LPUSH a 1 2 3 | RPUSH a 4 | LPUSHX none 1 | RPUSHX a 5 | LPOP a | RPOP a 2 | LPOP a 0
        LPOP none | LINSERT a BEFORE 2 x | LINSERT a AFTER nothing x | LSET a 0 y | LREM a 0 x
        LREM a 0 x
        LTRIM a 0 0 | LTRIM a 5 9 | RPUSH a 1 2 3 | LTRIM a 0 -1 | LMOVE a b LEFT RIGHT
        RPOPLPUSH a b
        LMOVE a b LEFT LEFT | LMOVE none b LEFT LEFT | LMOVE b b LEFT RIGHT | RPOPLPUSH b b
        LMPOP 2 none b LEFT | LMPOP 1 b RIGHT COUNT 9 | LREM none 1 x | RPUSH c x | LREM c 1 x
        RPUSH c 1 2 3 | RPOP c 9
    """,
    "sorting": """
        RPUSH a 3 1 2 | SORT a | SORT a STORE b | SORT a DESC STORE b | SORT a LIMIT 5 1 STORE b
        SORT none STORE b | SET c x | SORT a BY nosort STORE c | SORT c | SORT a STORE a
    """,
    "sets": """
        SADD a 1 2 3 | SADD a 1 | SREM a 9 | SREM a 1 | SMOVE a b 2 | SMOVE a b 9 | SMOVE b b 2
        SMOVE a b 3 | SADD a x y | SINTERSTORE out a b | SUNIONSTORE out a b | SINTERSTORE out a b
        SDIFFSTORE out a none | SDIFFSTORE out none a | SADD p 1 2 3 | SPOP p 0 | SPOP p 9 | SPOP p
        SADD p 1 | SPOP p | SADD q 1 2 | SREM q 1 2 | SMOVE a a x | SRANDMEMBER a
    """,
    "hashes": """
        HSET a f 1 g 2 | HSET a f 1 | HSETNX a f 2 | HSETNX a h 2 | HMSET a f 1 | HINCRBY a f 1
        HINCRBYFLOAT a f 0.5 | HINCRBY new f 1 | HDEL a nothing | HDEL a f | HDEL a g h x | HGET a f
        HSET a f 1 | HDEL a f
    """,
    "sorted sets": """
        ZADD a 1 x 2 y | ZADD a 1 x | ZADD a 5 x | ZADD a INCR 1 x | ZINCRBY a 1 new
        ZADD a XX 1 none
        ZADD none XX 1 x | ZREM a none | ZREM a new | ZPOPMIN a | ZPOPMAX a 9 | ZPOPMIN a
        ZADD a 1 x 2 y
        ZADD a 3 z 4 w | ZREMRANGEBYRANK a 0 0 | ZREMRANGEBYRANK a 9 9 | ZREMRANGEBYSCORE a 2 2
        ZREMRANGEBYLEX a - + | ZADD a 1 x 2 y | ZADD b 1 x 3 z | ZUNIONSTORE out 2 a b
        ZINTERSTORE out 2 a b | ZDIFFSTORE out 2 a b | ZDIFFSTORE out 2 a a | ZDIFFSTORE out 2 a a
        ZRANGESTORE out a 0 -1 | ZRANGESTORE out a 5 6 | ZRANGESTORE out a 5 6 | ZMPOP 2 none a MIN
        ZMPOP 1 a MAX COUNT 9 | GEOADD geo 13.3 38.1 p 15.0 37.5 c | GEOADD geo 13.3 38.1 p
        GEOSEARCHSTORE near geo FROMMEMBER p BYRADIUS 500 km ASC
        GEOSEARCHSTORE near geo FROMLONLAT 0 0 BYRADIUS 1 km ASC
        GEORADIUS geo 15 37 200 km STORE near | GEORADIUS geo 0 0 1 km STORE near
        SORT none STORE out | RPUSH l 2 1 | SORT l STORE out | SORT none STORE out
    """,
    "streams": """
        XADD s 1-1 a 1 | XADD s NOMKSTREAM 1-2 a 1 | XADD none NOMKSTREAM * a 1 | XADD s 1-1 a 1
        XADD s MAXLEN 1 2-1 a 1 | XADD s MAXLEN ~ 1 2-2 a 1 | XADD s2 MAXLEN 0 1-1 a 1
        XTRIM s MAXLEN 10 | XTRIM s MAXLEN 1 | XDEL s 9-9 | XDEL s 2-2 2-2 | XSETID s 5-5
        XGROUP CREATE s g 0 | XGROUP CREATE s g 0 | XGROUP CREATE t g $ MKSTREAM
        XGROUP CREATECONSUMER s g c | XGROUP CREATECONSUMER s g c | XADD s 6-1 a 1 | XADD s 6-2 a 1
        XREADGROUP GROUP g d COUNT 1 STREAMS s > | XREADGROUP GROUP g d STREAMS s >
        XREADGROUP GROUP g d STREAMS s > | XREADGROUP GROUP g new STREAMS s >
        XREADGROUP GROUP g new STREAMS s 0 | XCLAIM s g e 0 6-1 | XCLAIM s g f 0 9-9
        XAUTOCLAIM s g h 0 0 | XACK s g 6-1 6-1 | XDEL s 6-2 | XAUTOCLAIM s g i 0 0
        XGROUP SETID s g 0 | XGROUP DELCONSUMER s g c | XGROUP DELCONSUMER s g c
        XGROUP DESTROY s g | XGROUP DESTROY s g | XREAD STREAMS s 0 | XTRIM s MINID 99
        XADD s * a 1 | COPY s s3 | RENAME s s4 | DEL s4
    """,
}


def _lines(script: str) -> list[str]:
    return [one for line in script.splitlines() for one in line.strip().split(" | ") if one]


def _commands(script: str) -> list[str]:
    return [one for line in _lines(script) for one in line.split(" | ")]


@pytest.mark.parametrize("name", SCRIPTS)
def test_events_are_those_of_a_real_redis(redis_server: RedisServer, name: str) -> None:
    with events_of_both(redis_server) as both:
        for line in _lines(SCRIPTS[name]):
            _play(both, line)


def _play(both: EventsOfBoth, line: str) -> None:
    """Commands between `&` are compared together: Redis may find out late that a key is due."""
    told: list[list[Event]] = [[], []]
    for command in line.split(" & "):
        for events, more in zip(told, both.play(words(*command.split(" "))), strict=True):
            events += more
    assert told[0] == told[1], line


def test_a_key_that_is_due_is_told_of_when_it_goes(redis_server: RedisServer) -> None:
    with events_of_both(redis_server) as both:
        _play(both, "SET a 1 PX 20")
        ours: list[Event] = []
        theirs: list[Event] = []
        give_up_s = time.monotonic() + 10
        while time.monotonic() < give_up_s and not (ours and theirs):
            time.sleep(0.005)  # It is the time itself that is waited for.
            more = both.play(words("GET", "a"))
            ours += more[0]
            theirs += more[1]
        assert ours == theirs == [(0, "expired", b"a")]


# With what is absent: some of these tell so, some do not.
ON_NOTHING = """
    GET n | MGET n m n | STRLEN n | GETRANGE n 0 1 | SUBSTR n 0 1 | EXISTS n n | TTL n
    PTTL n | TYPE n | TOUCH n m | GETBIT n 1 | BITCOUNT n | BITPOS n 1
    BITFIELD_RO n GET u8 0 | BITFIELD n GET u8 0 | PFCOUNT n | PFCOUNT n m | HGET n f
    HMGET n f | HGETALL n | HKEYS n | HVALS n | HLEN n | HSTRLEN n f | HEXISTS n f
    HRANDFIELD n | HRANDFIELD n 2 | HSCAN n 0 | LLEN n | LINDEX n 0 | LRANGE n 0 1
    LPOS n x | SMEMBERS n | SISMEMBER n x | SMISMEMBER n x | SCARD n | SRANDMEMBER n
    SRANDMEMBER n 2 | SINTER n m | SINTER n | SINTERCARD 2 n m | SUNION n m | SDIFF n m
    SSCAN n 0 | ZSCORE n x | ZMSCORE n x | ZCARD n | ZCOUNT n 0 1 | ZLEXCOUNT n - +
    ZRANK n x | ZREVRANK n x | ZRANGE n 0 1 | ZREVRANGE n 0 1 | ZRANGEBYSCORE n 0 1
    ZRANGEBYLEX n - + | ZREVRANGEBYSCORE n 1 0 | ZREVRANGEBYLEX n + - | ZRANDMEMBER n
    ZRANDMEMBER n 2 | ZSCAN n 0 | ZUNION 2 n m | ZINTER 2 n m | ZDIFF 2 n m
    ZINTERCARD 2 n m | XLEN n | XRANGE n - + | XREVRANGE n + - | XREAD STREAMS n 0
    XREAD STREAMS n m 0 0 | XINFO STREAM n | XINFO GROUPS n | XPENDING n g
    XREAD STREAMS n $ | GEOPOS n x | GEODIST n x y | GEOHASH n x
    GEOSEARCH n FROMLONLAT 0 0 BYRADIUS 1 km | GEORADIUS_RO n 0 0 1 km
    GEORADIUSBYMEMBER_RO n x 1 km | SORT n | SORT_RO n | DUMP n | OBJECT ENCODING n
    OBJECT FREQ n | OBJECT IDLETIME n | OBJECT REFCOUNT n | MEMORY USAGE n | EXPIRETIME n
    PEXPIRETIME n | LCS n m | LCS n m LEN | RANDOMKEY | SCAN 0 | KEYS * | DBSIZE | GETDEL n
    GETEX n | GETSET n1 v | SET n2 v GET | SET n3 v XX | APPEND n4 v | INCR n5 | SETNX n6 v
    SETRANGE n 0 x | DEL n | UNLINK n | RENAME n m | RENAMENX n m | COPY n m | MOVE n 1
    EXPIRE n 10 | PERSIST n | LPOP n | RPOP n | LREM n 0 x | LSET n 0 x | LTRIM n 0 1
    LINSERT n BEFORE a b | LPUSHX n x | LMOVE n m LEFT LEFT | RPOPLPUSH n m | LMPOP 1 n LEFT
    BLPOP n 0.001 | SPOP n | SREM n x | SMOVE n m x | SINTERSTORE o n m | SUNIONSTORE o n m
    SDIFFSTORE o n m | ZREM n x | ZPOPMIN n | ZMPOP 1 n MIN | ZUNIONSTORE o 2 n m
    ZINTERSTORE o 2 n m | ZDIFFSTORE o 2 n m | ZRANGESTORE o n 0 1 | ZREMRANGEBYRANK n 0 1
    HDEL n f | HINCRBY n7 f 1 | BITOP AND o n m | PFADD n9 x | SORT n STORE o
    GEOSEARCHSTORE o n FROMLONLAT 0 0 BYRADIUS 1 km | GEORADIUS n 0 0 1 km
    GEORADIUS n 0 0 1 km STORE o | XACK n g 1-1 | XDEL n 1-1 | XTRIM n MAXLEN 1
    XCLAIM n g c 0 1-1 | XAUTOCLAIM n g c 0 0 | XGROUP DESTROY n g
    XREADGROUP GROUP g c STREAMS n > | XSETID n 1-1 | XADD n NOMKSTREAM * a 1
    RESTORE n10 0 x | ZADD n11 XX 1 x | ZINCRBY n12 1 x | HSETNX n13 f v | MSETNX n14 v
    SETBIT n15 1 1
"""


def test_a_key_that_is_looked_for_in_vain_is_told_of_if_that_is_asked_for(
    redis_server: RedisServer,
) -> None:
    with events_of_both(redis_server, "KEm") as both:
        for command in _commands(ON_NOTHING):
            _play(both, command)


# Each finds that `due` is due and takes its place, or removes it.
OVER_WHAT_IS_DUE = """
    SET due 1 | SET due 1 EX 100 | SETEX due 100 1 | GETSET due 1 | MSET due 1 other 2 | SETNX due 1
    INCR due | APPEND due x | SETRANGE due 1 x | SETBIT due 1 1 | BITOP NOT due source
    BITFIELD due SET u8 0 1 | PFADD due x | LPUSH due 1 | RPUSH due 1 | SADD due 1 | ZADD due 1 x
    ZINCRBY due 1 x | HSET due f 1 | HINCRBY due f 1 | HSETNX due f 1 | XADD due 1-1 a 1
    XGROUP CREATE due g 0 MKSTREAM | GEOADD due 1 1 x | DEL due | UNLINK due | RENAME source due
    RENAMENX source due | COPY source due | COPY source due REPLACE | SUNIONSTORE due set set
    ZUNIONSTORE due 1 set | ZRANGESTORE due zset 0 -1
    SORT set STORE due
    LMOVE list due LEFT LEFT | RPOPLPUSH list due
"""


@pytest.mark.parametrize("command", _commands(OVER_WHAT_IS_DUE))
def test_a_key_that_is_due_is_told_of_when_another_value_takes_its_place(
    redis_server: RedisServer, command: str
) -> None:
    with events_of_both(redis_server) as both:
        both.keep_due()
        for line in ("SET source 1", "SADD set 1 2", "ZADD zset 1 a", "RPUSH list 1 2"):
            _play(both, line)
        _play(both, "SET due 1 PX 1")
        time.sleep(0.003)  # It is the time itself that is waited for.
        _play(both, command)
