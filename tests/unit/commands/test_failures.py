"""A command that fails leaves everything as it was, and a read always does."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import pytest

from trimaran.cluster.command import LOCAL, LOGGED, WRITE
from trimaran.cluster.commands import COMMANDS
from trimaran.cluster.settings import DEFAULTS
from trimaran.node.commands import HANDLERS
from trimaran.node.commands.context import Context
from trimaran.node.data.hash import Hash
from trimaran.node.data.quicklist import ListValue
from trimaran.node.data.set import SetValue
from trimaran.node.data.sorted_set import SortedSet
from trimaran.node.data.stream import Stream, id_of
from trimaran.node.errors import CommandError
from trimaran.proto.reply import NULL_ARRAY

from ...model.driver import words
from ..data.lists import Words, keyspace_with_words

if TYPE_CHECKING:
    from trimaran.node.data.keyspace import Keyspace

NOW_MS = 1_000_000

FAILING = [
    "SET text 1 NX XX",
    "SET text 1 EX",
    "SET text 1 EX 0",
    "SET text 1 PX 9223372036854775807",
    "SET text 1 EX x",
    "SET text 1 BOGUS",
    "SET text 1 KEEPTTL EX 5",
    "SET words 1 GET",
    "MSET text 2 odd",
    "APPEND words x",
    "INCR text",
    "INCR words",
    "INCR big",
    "INCRBY number x",
    "INCRBY words 1",
    "DECR text",
    "DECRBY number -9223372036854775808",
    "DECRBY big -1",
    "EXPIRE text x",
    "EXPIRE text 9223372036854775807",
    "EXPIRE text 10 NX GT",
    "PEXPIRE text 9223372036854775807",
    "EXPIREAT text 9223372036854775807",
    "PEXPIREAT text 1 BOGUS",
    "SETEX text 0 1",
    "SETEX text 9223372036854775807 1",
    "PSETEX text x 1",
    "GETEX words",
    "GETEX text EX 0",
    "GETEX text PERSIST PX 5",
    "GETDEL words",
    "GETSET words x",
    "MSETNX new 2 odd",
    "SETRANGE text -1 x",
    "SETRANGE text 536870912 x",
    "SETRANGE words 0 x",
    "INCRBYFLOAT text 1",
    "INCRBYFLOAT number nan",
    "INCRBYFLOAT number inf",
    "INCRBYFLOAT words 1",
    "RENAME absent text",
    "RENAMENX absent new",
    "COPY text text",
    "COPY text new BOGUS",
    "COPY text new DB 16",
    "COPY text new REPLACE DB",
    "MOVE text 0",
    "MOVE text 16",
    "MOVE text x",
    "SETBIT text -1 1",
    "SETBIT text 4294967296 1",
    "SETBIT text 100 2",
    "SETBIT words 0 1",
    "BITOP BOGUS new text",
    "BITOP NOT new text number",
    "BITOP AND text number words",
    "BITFIELD text SET u8 0 1 SET u64 0 1",
    "BITFIELD text SET u8 0 1 INCRBY u8 -1 1",
    "BITFIELD text SET u8 0 1 OVERFLOW BOGUS",
    "BITFIELD text SET u8 0 x",
    "BITFIELD words SET u8 0 1",
    "PFADD text 1",
    "PFADD words 1",
    "PFMERGE new text",
    "PFMERGE text absent",
    "PFDEBUG TODENSE text",
    "PFDEBUG GETREG absent",
    "RESTORE text 0 x",
    "RESTORE text 0 x REPLACE",
    "RESTORE new -1 x",
    "RESTORE new 0 x BOGUS",
    "RESTORE-ASKING new 0 x",
    "FLUSHALL BOGUS",
    "FLUSHDB SYNC SYNC",
    "SORT text STORE members",
    "SORT members STORE text",
    "SORT members ALPHA BOGUS",
    "SORT members ALPHA LIMIT 0 x STORE text",
    "SORT members ALPHA GET w* STORE text",
    "SADD text 1",
    "SREM text 1",
    "SMOVE text new 1",
    "SMOVE members text 1",
    "SPOP text",
    "SPOP members -1",
    "SPOP members x",
    "SPOP members 1 2",
    "SINTERSTORE members members text",
    "SUNIONSTORE members members text",
    "SDIFFSTORE members members text",
    "ZADD text 1 a",
    "ZADD zset x a",
    "ZADD zset 1",
    "ZADD zset 1 a 2",
    "ZADD zset NX XX 1 a",
    "ZADD zset GT LT 1 a",
    "ZADD zset INCR 1 a 2 b",
    "ZADD zset 5 a nan b",
    "ZADD zset INCR -inf top",
    "ZINCRBY zset -inf top",
    "ZINCRBY zset x a",
    "ZINCRBY text 1 a",
    "ZREM text a",
    "ZPOPMIN text",
    "ZPOPMIN zset -1",
    "ZPOPMIN zset 1 2",
    "ZPOPMAX zset x",
    "ZMPOP 0 zset MIN",
    "ZMPOP 1 zset BOGUS",
    "ZMPOP 1 zset MIN COUNT 0",
    "ZMPOP 2 absent text MIN",
    "ZREMRANGEBYRANK zset x 1",
    "ZREMRANGEBYRANK text 0 1",
    "ZREMRANGEBYSCORE zset x 1",
    "ZREMRANGEBYLEX zset x +",
    "ZRANGESTORE zset text 0 1",
    "ZRANGESTORE zset zset 0 1 LIMIT 0 1",
    "ZRANGESTORE zset zset 0 1 WITHSCORES",
    "ZRANGESTORE zset zset x 1 BYSCORE",
    "ZUNIONSTORE zset 2 zset text",
    "ZUNIONSTORE zset 1 zset WEIGHTS x",
    "ZUNIONSTORE zset 0 zset",
    "ZINTERSTORE zset 1 zset AGGREGATE BOGUS",
    "ZINTERSTORE zset 2 zset",
    "ZDIFFSTORE zset 1 zset WITHSCORES",
    "GEOADD zset 181 0 a",
    "GEOADD zset 1 2 a 3 4",
    "GEOADD text 1 2 a",
    "GEOADD zset NX XX 1 2 a",
    "GEORADIUS zset 0 0 -1 m STORE zset",
    "GEORADIUS zset 0 0 1 m STORE zset WITHDIST",
    "GEORADIUS text 0 0 1 m STORE zset",
    "GEORADIUSBYMEMBER zset absent 1 m STORE zset",
    "GEORADIUSBYMEMBER zset a 1 x STORE zset",
    "GEOSEARCHSTORE zset zset FROMMEMBER a BYRADIUS 1 m BOGUS",
    "GEOSEARCHSTORE zset zset FROMMEMBER absent BYRADIUS 1 m",
    "GEOSEARCHSTORE zset zset FROMLONLAT 1 2 ASC DESC",
    "LPUSH text 1",
    "RPUSH text 1",
    "LPUSHX text 1",
    "RPUSHX text 1",
    "BLPOP text 1",
    "BLPOP list x",
    "BRPOP absent text 1",
    "BRPOP list -1",
    "BLMOVE text list LEFT LEFT 1",
    "BLMOVE list text LEFT LEFT 1",
    "BLMOVE list absent LEFT BOGUS 1",
    "BLMOVE list absent LEFT LEFT x",
    "BRPOPLPUSH list text 1",
    "BRPOPLPUSH list absent -1",
    "BLMPOP 1 1 text LEFT",
    "BLMPOP x 1 list LEFT",
    "BLMPOP 1 1 list LEFT COUNT 0",
    "BZPOPMIN text 1",
    "BZPOPMIN zset x",
    "BZPOPMAX absent text 1",
    "BZPOPMAX zset -1",
    "BZMPOP 1 1 text MIN",
    "BZMPOP x 1 zset MIN",
    "BZMPOP 1 1 zset MIN COUNT 0",
    "LPOP text",
    "LPOP list -1",
    "LPOP list 1 2",
    "RPOP text",
    "RPOP list x",
    "LINSERT text BEFORE 1 2",
    "LINSERT list BOGUS 1 2",
    "LSET text 0 1",
    "LSET absent 0 1",
    "LSET list x 1",
    "LSET list 3 1",
    "LREM text 0 1",
    "LREM list x 1",
    "LTRIM text 0 1",
    "LTRIM list 0 x",
    "LMOVE text list LEFT LEFT",
    "LMOVE list text LEFT LEFT",
    "LMOVE list list LEFT BOGUS",
    "RPOPLPUSH text list",
    "RPOPLPUSH list text",
    "HSET text f v",
    "HSET hash f",
    "HSET hash f v g",
    "HMSET hash f v g",
    "HMSET text f v",
    "HSETNX text f v",
    "HINCRBY hash n x",
    "HINCRBY hash a 1",
    "HINCRBY hash big 1",
    "HINCRBY text n 1",
    "HINCRBYFLOAT hash a 1",
    "HINCRBYFLOAT hash n x",
    "HINCRBYFLOAT hash n inf",
    "HINCRBYFLOAT text n 1",
    "HDEL text a",
    "HEXPIRE text 10 FIELDS 1 a",
    "HEXPIRE hash -1 FIELDS 1 a",
    "HEXPIRE hash 10 FIELDS 2 a",
    "HPEXPIRE hash x FIELDS 1 a",
    "HPEXPIRE hash 10 NX XX FIELDS 1 a",
    "HEXPIREAT hash 70368744178 FIELDS 1 a",
    "HPEXPIREAT hash 5 FIELDS 0 a",
    "HPERSIST text FIELDS 1 a",
    "HPERSIST hash FIELDS 2 a",
    "HGETEX text FIELDS 1 a",
    "HGETEX hash EX x FIELDS 1 a",
    "HGETEX hash PERSIST FIELDS 2 a",
    "HSETEX text FIELDS 1 a 1",
    "HSETEX hash FNX FXX FIELDS 1 a 1",
    "HSETEX hash EX 1 FIELDS 2 a 1",
    "HGETDEL text FIELDS 1 a",
    "HGETDEL hash FIELDS 1 a b",
    "LMPOP 1 text LEFT",
    "LMPOP 2 absent text LEFT",
    "LMPOP 1 list LEFT COUNT 0",
    "LMPOP 0 list LEFT",
    "XADD stream 5-0 a 1",
    "XADD stream * a",
    "XADD stream x a 1",
    "XADD stream 0-0 a 1",
    "XADD stream MAXLEN 1 MINID 1 * a 1",
    "XADD stream MAXLEN 1 LIMIT 5 * a 1",
    "XADD new MAXLEN -1 * a 1",
    "XADD text * a 1",
    "XTRIM stream MAXLEN x",
    "XTRIM stream MINID x",
    "XTRIM text MAXLEN 1",
    "XDEL stream 5-0 x",
    "XDEL text 5-0",
    "XSETID stream 4-0",
    "XSETID stream 9-0 ENTRIESADDED 1",
    "XSETID stream 9-0 MAXDELETEDID 10-0",
    "XSETID absent 9-0",
    "XGROUP|CREATE CREATE stream g 0",
    "XGROUP|CREATE CREATE stream new x",
    "XGROUP|CREATE CREATE absent new x MKSTREAM",
    "XGROUP|CREATE CREATE absent new 0",
    "XGROUP|SETID SETID stream g x",
    "XGROUP|SETID SETID stream new 0",
    "XGROUP|SETID SETID stream g 0 ENTRIESREAD -2",
    "XGROUP|DESTROY DESTROY absent g",
    "XGROUP|CREATECONSUMER CREATECONSUMER stream new c",
    "XGROUP|DELCONSUMER DELCONSUMER stream new c",
    "XREADGROUP GROUP g d STREAMS stream text > >",
    "XREADGROUP GROUP g d STREAMS stream absent > >",
    "XREADGROUP GROUP g d STREAMS stream stream > x",
    "XREADGROUP GROUP g d STREAMS stream $",
    "XACK stream g 5-0 x",
    "XACK text g 5-0",
    "XCLAIM stream g d 0 5-0 BOGUS",
    "XCLAIM stream g d 0 5-0 LASTID x",
    "XCLAIM stream g d x 5-0",
    "XCLAIM stream new d 0 5-0",
    "XAUTOCLAIM stream g d 0 0 COUNT 0",
    "XAUTOCLAIM stream g d 0 x",
    "XAUTOCLAIM stream new d 0 0",
]
# These take any arguments that fit their arity.
FAILING += [
    "FUNCTION|DELETE DELETE absent",
    "FUNCTION|FLUSH FLUSH BOGUS",
    "FUNCTION|LOAD LOAD text",
    "FUNCTION|RESTORE RESTORE text",
    "EVAL syntax( 0",
    "EVAL text 5",
    "EVALSHA absent 0",
    "FCALL absent 0",
    "SCRIPT|LOAD LOAD syntax(",
    "SCRIPT|FLUSH FLUSH BOGUS",
]
CANNOT_FAIL = {b"DEL", b"UNLINK", b"PERSIST", b"SETNX"}

REFUSING = [  # No error, but not done: 0 or nil.
    "SETBIT text 0 0",
    "BITOP AND absent absent",
    "XADD absent NOMKSTREAM * a 1",
    "XTRIM stream MAXLEN 5",
    "XDEL stream 1-1",
    "XACK stream g 1-1",
    "XACK stream new 5-0",
    "XGROUP|DESTROY DESTROY stream new",
    "XGROUP|CREATECONSUMER CREATECONSUMER stream g c",
    "XGROUP|DELCONSUMER DELCONSUMER stream g d",
    "SET text 1 NX",
    "SET absent 1 XX",
    "SETNX text 1",
    "MSETNX new 1 text 2",
    "ZADD zset XX 1 absent",
    "ZADD zset NX 7 a",
    "ZADD zset GT 0 a",
    "ZADD zset LT INCR 5 a",
    "ZADD absent XX 1 a",
    "ZREM zset absent",
    "ZREM absent a",
    "ZREMRANGEBYSCORE zset (1 (1",
    "ZREMRANGEBYRANK zset 5 9",
    "ZDIFFSTORE absent 1 absent",
    "RENAMENX text number",
    "RENAMENX text text",
    "COPY text number",
    "COPY absent number REPLACE",
    "COPY text text DB 1",
    "MOVE text 1",
    "MOVE absent 1",
    "GETDEL absent",
    "GETEX absent EX 0",
    "SETRANGE absent 5 ",
    "PERSIST number",
    "EXPIRE text 1 NX",
    "SORT absent STORE absent",
    "SADD members 1 2",
    "SREM members x",
    "SMOVE members new x",
    "SMOVE absent text 1",
    "SPOP absent",
    "SINTERSTORE absent members new",
    "SUNIONSTORE absent new",
    "SDIFFSTORE absent members members",
    "LPUSHX absent 1",
    "RPUSHX absent 1",
    "BLPOP absent 1",
    "BRPOP absent also 1",
    "BLMOVE absent list LEFT LEFT 1",
    "BRPOPLPUSH absent list 1",
    "BLMPOP 1 1 absent LEFT",
    "BZPOPMIN absent 1",
    "BZPOPMAX absent also 1",
    "BZMPOP 1 1 absent MIN",
    "LPOP absent",
    "RPOP absent",
    "LINSERT absent BEFORE 1 2",
    "LREM list 0 x",
    "LREM absent 0 x",
    "LMOVE absent text LEFT LEFT",
    "RPOPLPUSH absent text",
    "HSETNX hash a 1",
    "HDEL hash x",
    "HDEL absent x",
    "HSETEX hash FNX FIELDS 2 new 1 a 1",
    "HSETEX hash FXX FIELDS 2 new 1 a 1",
    "HSETEX absent FXX EX 1 FIELDS 1 a 1",
]


def filled() -> Keyspace:
    keys = keyspace_with_words()
    keys.enter(0, NOW_MS, is_read=False)
    keys.put(b"text", b"text", NOW_MS + 5000)
    keys.put(b"number", b"-2")
    keys.put(b"big", b"9223372036854775807")
    keys.change_or_add(b"words", Words).append(b"word")
    members = keys.change_or_add(b"members", SetValue)
    for member in (b"1", b"2", b"a"):
        members.add(member, DEFAULTS)
    keys.change_or_add(b"list", ListValue).push([b"1", b"2", b"1"], -2, at_head=False)
    fields = keys.change_or_add(b"hash", Hash)
    fields.put([b"a", b"text", b"n", b"5", b"big", b"9223372036854775807"])
    fields.expire(b"a", NOW_MS + 5000)
    keys.expires_inside(b"hash")
    keys.put(b"zset", SortedSet.of([(b"a", 1.0), (b"b", 2.0), (b"top", inf)], DEFAULTS))
    stream = keys.change_or_add(b"stream", Stream)
    stream.append(id_of(5, 0), [b"a", b"1"], 4096, 100)
    stream.append(id_of(6, 0), [b"a", b"2"], 4096, 100)
    group = stream.add_group(b"g", id_of(5, 0), 1)
    group.assign(id_of(5, 0), group.add_consumer(b"c", NOW_MS), NOW_MS, 1)
    keys.switch(1)
    keys.put(b"text", b"other")
    return keys


@pytest.mark.parametrize("text", FAILING)
def test_a_failing_command_changes_nothing(text: str) -> None:
    keys = filled()
    before = keys.digest(), keys.memory_bytes, keys.due(NOW_MS * 2, 100)
    args = words(*text.split())
    keys.enter(0, NOW_MS, is_read=False)
    with pytest.raises(CommandError):
        HANDLERS[args[0]](keys, args, Context(0, NOW_MS, 1))
    assert (keys.digest(), keys.memory_bytes, keys.due(NOW_MS * 2, 100)) == before


@pytest.mark.parametrize("text", REFUSING)
def test_a_command_that_is_not_done_changes_nothing(text: str) -> None:
    keys = filled()
    before = keys.digest(), keys.memory_bytes, keys.due(NOW_MS * 2, 100)
    args = words(*text.split(" "))
    keys.enter(0, NOW_MS, is_read=False)
    assert HANDLERS[args[0]](keys, args, Context(0, NOW_MS, 1)) in (0, None, NULL_ARRAY)
    assert (keys.digest(), keys.memory_bytes, keys.due(NOW_MS * 2, 100)) == before


def test_every_write_has_a_failure_above() -> None:
    rows = [one for row in COMMANDS.values() for one in (row, *row.subcommands)]
    writes = {row.name for row in rows if row.flags & (WRITE | LOGGED) and row.name in HANDLERS}
    assert writes == {text.split()[0].encode() for text in FAILING} | CANNOT_FAIL


READS = sorted(
    one.name
    for row in COMMANDS.values()
    for one in (row, *row.subcommands)
    if one.spread is not LOCAL and not one.flags & (WRITE | LOGGED)
)


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("key", [b"text", b"words", b"stream", b"absent"])
def test_a_read_changes_nothing_and_needs_no_write_access(name: bytes, key: bytes) -> None:
    keys = filled()
    before = keys.digest()
    keys.enter(0, NOW_MS, is_read=True)
    row = COMMANDS[name.partition(b"|")[0]]
    row = row.by_word.get(name.partition(b"|")[2], row)
    args = [name, key, key, key][: max(abs(row.arity), 2 if row.accepts(2) else 1)]
    try:
        HANDLERS[name](keys, args, Context(0, NOW_MS, 1))
    except CommandError as error:
        assert error.code in ("WRONGTYPE", "ERR", "NOGROUP", "NOSCRIPT")  # noqa: PT017
    assert keys.digest() == before
