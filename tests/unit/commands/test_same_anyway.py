"""A write is the same whatever goes on beside it: nothing, a client that watches, a snapshot.

Many handlers take a shorter way where nobody watches; a snapshot makes them write to a copy.
"""

from __future__ import annotations

import pytest

from trimaran.cluster.settings import Settings
from trimaran.proto.reply import ErrorReply, Reply

from ...model.driver import Driver, copy_of

NOW_MS = 1_000_000
LONG = "v" * 65
FIRST = (
    "SET text x",
    "SADD words a b c \xc4\x01a",
    "SADD word a",
    "SADD numbers 1 2 3",
    "HSET hash number 5 tenth 0.1 word x long " + LONG,
    "HSET one number 5",
    "HSET due number 5 other 6 gone 7",
    "HPEXPIRE due 5 FIELDS 1 gone",
    "HPEXPIRE due 5000 FIELDS 1 number",
    "ZADD scores 1 a 1 c 2 d 2 \xc4\x01a 3 e",
    "ZADD score 1 a",
    "XADD stream 1-1 field value",
    "XADD stream 2-1 field value",
    "XADD stream 3-1 other value",
    "XADD entry 1-1 field value",
    "PFADD counted a b c",
    "GEOADD places 13.3 38.1 a 13.3 38.1 c 15 37 d",
)
COMMANDS = (
    "SMOVE words new a",
    "SMOVE words words a",
    "SMOVE words words absent",
    "SMOVE words numbers a",
    "SMOVE words numbers \xc4\x01a",
    "SMOVE numbers words 2",
    "SMOVE numbers words absent",
    "SMOVE word words a",
    "SMOVE word new a",
    "SMOVE words text a",
    "SMOVE words text absent",
    "SMOVE absent text a",
    "SMOVE text words a",
    "HINCRBY hash number 3",
    "HINCRBY hash absent 3",
    "HINCRBY one number 3",
    "HINCRBY one absent 3",
    "HINCRBYFLOAT one number 0.5",
    "HINCRBY hash word 3",
    "HINCRBY hash number 9223372036854775807",
    "HINCRBY due number 3",
    "HINCRBY due gone 3",
    "HINCRBY absent number 3",
    "HINCRBY text number 3",
    "HINCRBYFLOAT hash number 0.5",
    "HINCRBYFLOAT hash tenth 0.2",
    "HINCRBYFLOAT hash absent 1e3",
    "HINCRBYFLOAT hash word 3",
    "HINCRBYFLOAT hash number x",
    "HINCRBYFLOAT hash long 1",
    "HINCRBYFLOAT due number 0.5",
    "HINCRBYFLOAT due gone 0.5",
    "HINCRBYFLOAT absent number 0.5",
    "HINCRBYFLOAT text number 0.5",
    "HEXPIRE hash 10 FIELDS 1 number",
    "HEXPIRE hash 10 FIELDS 3 number absent tenth",
    "HEXPIRE hash 10 XX FIELDS 1 number",
    "HEXPIRE hash 10 FIELDS 2 number",
    "HEXPIRE hash 10 FIELDS 1 absent",
    "HEXPIRE hash -1 FIELDS 1 number",
    "HPEXPIREAT hash 5 FIELDS 2 number absent",
    "HPEXPIREAT one 5 FIELDS 1 number",
    "HEXPIRE due 10 FIELDS 3 number other gone",
    "HPEXPIRE due 1 FIELDS 1 other",
    "HPEXPIREAT due 5 FIELDS 2 number gone",
    "HEXPIRE absent 10 FIELDS 1 number",
    "HEXPIRE text 10 FIELDS 1 number",
    "ZREMRANGEBYSCORE scores 1 2",
    "ZREMRANGEBYSCORE scores 3 inf",
    "ZREMRANGEBYSCORE scores 7 inf",
    "ZREMRANGEBYSCORE scores -inf +inf",
    "ZREMRANGEBYSCORE scores 1 x",
    "ZREMRANGEBYSCORE score 1 1",
    "ZREMRANGEBYSCORE absent 1 2",
    "ZREMRANGEBYSCORE text 1 2",
    "XDEL stream 2-1",
    "XDEL stream 1-1 3-1 9-9",
    "XDEL stream 9-9",
    "XDEL stream 2-1 x",
    "XDEL entry 1-1",
    "XDEL absent x",
    "XDEL text 1-1",
    "XADD stream 4-1 field value",
    "XADD stream MAXLEN 2 4-1 other value",
    "XADD stream maxlen = 2 4-1 field value",
    "XADD stream MAXLEN ~ 1 4-1 field value",
    "XADD stream MAXLEN < 1 4-1 field value",
    "XADD stream MAXLEN -1 4-1 field value",
    "XADD stream MINID ~ 2 4-1 field value",
    "XADD stream NOMKSTREAM MAXLEN 2 4-1 field value",
    "XADD stream 4-1 field value other value",
    "XADD stream 4-1 field value other",
    "XADD stream 0-0 field value",
    "XADD stream 5-* field value",
    "XADD stream 3-1 field value",
    "XADD stream 4 field value",
    "XADD stream 004-01 field value",
    "XADD absent 4-1 field value",
    "XADD absent 4-1 field 12",
    "XADD text 4-1 field value",
    "PFADD counted d",
    "PFADD counted a",
    "PFADD absent a",
    "PFADD text a",
    "GEOADD places 13.3 38.1 b",
    "GEOADD places 13.3 38.1 e",
    "GEOADD places 13.3 38.1 \xc4\x01z",
    "GEOADD places 13.3 38.1 a",
    "GEOADD places 13.3 99 e",
    "GEOADD absent 13.3 38.1 e",
    "GEOADD text 13.3 38.1 e",
)


def prepared() -> Driver:
    shard = Driver(NOW_MS)
    for command in FIRST:
        assert not isinstance(run(shard, command), ErrorReply), command
    shard.settings = Settings(notify_keyspace_events="KEAn")
    shard.now_ms += 100
    return shard


def run(shard: Driver, command: str) -> Reply:
    return shard.run(*[word.encode("latin-1") for word in command.split()])


def state(shard: Driver, reply: Reply) -> object:
    keys = shard.keys
    digest = keys.digest()
    assert keys.memory_bytes == copy_of(keys).memory_bytes
    return reply, shard.events, keys.memory_bytes, digest


@pytest.mark.parametrize("command", COMMANDS)
def test_a_write_does_the_same_while_a_snapshot_runs(command: str) -> None:
    plain, beside = prepared(), prepared()
    before = beside.keys.digest()
    cut = beside.keys.begin_snapshot()
    reply = run(beside, command)
    while cut.slice(7, 1 << 20) is not None:
        pass
    assert cut.digest() == before
    assert state(beside, reply) == state(plain, run(plain, command))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_write_does_the_same_while_its_keys_are_watched(command: str) -> None:
    plain, beside = prepared(), prepared()
    watches, since = beside.keys.watches, beside.keys.stamp
    names = [word.encode() for word in command.split()[1:3]]
    for name in names:
        watches.watch(0, name, beside.now_ms, since)
    reply = run(beside, command)
    told = [name for name in names if not watches.is_unchanged(0, name, since)]
    watches.watched.clear()
    after = state(beside, reply)
    assert after == state(plain, run(plain, command))
    if isinstance(reply, ErrorReply):
        assert not told
        untouched = prepared()
        untouched.run("DEL", "nothing")
        assert after == state(untouched, reply)
