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
