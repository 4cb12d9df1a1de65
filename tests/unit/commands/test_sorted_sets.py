"""Sorted sets: what a real Redis cannot be asked for, and what a reader should know."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING

import pytest

from trimaran.cluster.settings import DEFAULTS
from trimaran.node.commands.doubles import parse_bound, parse_double
from trimaran.node.commands.sorted_set_algebra import VISITS_MAX
from trimaran.node.commands.sorted_sets import RANDOM_MAX
from trimaran.proto.reply import NULL_ARRAY, ErrorReply, PairsReply
from trimaran.proto.resp import encode_reply

from ...model.driver import Driver, copy_of

if TYPE_CHECKING:
    from ...model.driver import Word


@pytest.fixture
def shard() -> Driver:
    shard = Driver()
    shard.run("ZADD", "z", 1, "one", 2, "two", 3, "three")
    return shard


def test_ranks_come_with_scores_if_asked(shard: Driver) -> None:
    assert shard.run("ZRANK", "z", "two") == 1
    assert shard.run("ZRANK", "z", "three", "WITHSCORE") == [2, 3.0]
    assert shard.run("ZREVRANK", "z", "three", "withscore") == [0, 3.0]
    assert shard.run("ZRANK", "z", "absent") is None
    assert shard.run("ZRANK", "z", "absent", "WITHSCORE") is NULL_ARRAY
    assert shard.run("ZRANK", "absent", "x", "WITHSCORE") is NULL_ARRAY
    assert shard.run("ZRANK", "z", "two", "BOGUS") == ErrorReply("ERR", "syntax error")
    assert shard.run("ZRANK", "z", "two", "WITHSCORE", "x") == ErrorReply(
        "ERR", "wrong number of arguments for 'zrank' command"
    )


def test_members_with_scores_are_flat_in_resp_2_and_pairs_in_resp_3(shard: Driver) -> None:
    reply = shard.run("ZRANGE", "z", 0, 0, "WITHSCORES")
    assert reply == PairsReply(((b"one", 1.0),))
    assert encode_reply(reply, 2) == b"*2\r\n$3\r\none\r\n$1\r\n1\r\n"
    assert encode_reply(reply, 3) == b"*1\r\n*2\r\n$3\r\none\r\n,1\r\n"


def test_a_pop_without_a_count_is_flat_in_both(shard: Driver) -> None:
    reply = shard.run("ZPOPMAX", "z")
    assert reply == [b"three", 3.0]
    assert encode_reply(reply, 2) == b"*2\r\n$5\r\nthree\r\n$1\r\n3\r\n"
    assert encode_reply(reply, 3) == b"*2\r\n$5\r\nthree\r\n,3\r\n"
    assert shard.run("ZPOPMIN", "z", 5) == PairsReply(((b"one", 1.0), (b"two", 2.0)))
    assert shard.run("EXISTS", "z") == 0
    assert shard.run("ZPOPMIN", "z") == []
    assert shard.run("ZMPOP", 1, "z", "MIN") is NULL_ARRAY


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"1", 1.0),
        (b"0x1p-1", 0.5),
        (b"0X.8", 0.5),
        (b"+.5e1", 5.0),
        (b"-INF", -inf),
        (b"infinity", inf),
        (b"0e-400", 0.0),
        (b"1e400", None),
        (b"1e-400", None),
        (b"0x1p-2000", None),
        (b"-0x1p2000", None),
        (b"nan", None),
        (b"", None),
        (b" 1", None),
        (b"1_0", None),
        (b"1\0", None),
        (b"0x", None),
        ("\u0661".encode(), None),
    ],
)
def test_scores_are_read_as_strtod_reads_them(text: bytes, value: float | None) -> None:
    assert parse_double(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [(b"", 0.0), (b" 1", 1.0), (b"1\0x", 1.0), (b"1e400", inf), (b"1 ", None), (b"nan", None)],
)
def test_ends_of_ranges_are_read_less_strictly(text: bytes, value: float | None) -> None:
    assert parse_bound(text) == value


def test_the_encoding_is_named_by_the_settings_at_the_time_of_the_write() -> None:
    shard = Driver()
    shard.settings = replace(DEFAULTS, zset_max_listpack_entries=2, zset_max_listpack_value=4)
    shard.run("ZADD", "z", 1, "a", 2, "b")
    assert shard.run("OBJECT", "ENCODING", "z") == b"listpack"
    shard.run("ZADD", "z", 3, "c")
    assert shard.run("OBJECT", "ENCODING", "z") == b"skiplist"
    shard.run("ZREM", "z", "c")
    shard.keys = copy_of(shard.keys)
    assert shard.run("OBJECT", "ENCODING", "z") == b"skiplist"
    shard.run("ZRANGESTORE", "y", "z", 0, -1)
    assert shard.run("OBJECT", "ENCODING", "y") == b"listpack"
    shard.run("ZADD", "y", 3, "a")
    assert shard.run("OBJECT", "ENCODING", "y") == b"listpack"
    shard.run("ZREM", "y", "b")
    shard.run("ZADD", "y", 3, "long:")
    assert shard.run("OBJECT", "ENCODING", "y") == b"skiplist"


def _events(shard: Driver, *args: Word) -> list[tuple[str, bytes]]:
    shard.events.clear()
    shard.run(*args)
    return [(event, key) for _, event, key in shard.events]


def test_events_are_told_as_redis_tells_them() -> None:
    shard = Driver()
    shard.settings = replace(DEFAULTS, notify_keyspace_events="AKEn")
    assert _events(shard, "ZADD", "z", 1, "a") == [("new", b"z"), ("zadd", b"z")]
    assert _events(shard, "ZADD", "z", 1, "a") == []
    assert _events(shard, "ZADD", "z", "NX", 2, "a") == []
    assert _events(shard, "ZADD", "z", 2, "b", 3, "c") == [("zadd", b"z")]
    assert _events(shard, "ZINCRBY", "z", 1, "a") == [("zincr", b"z")]
    assert _events(shard, "ZADD", "z", "INCR", 1, "a") == [("zincr", b"z")]
    assert _events(shard, "ZINCRBY", "z", 0, "a") == []
    assert _events(shard, "ZREM", "z", "absent") == []
    assert _events(shard, "ZREM", "z", "a") == [("zrem", b"z")]
    assert _events(shard, "ZRANGESTORE", "y", "z", 0, -1) == [("new", b"y"), ("zrangestore", b"y")]
    assert _events(shard, "ZUNIONSTORE", "y", 1, "z") == [("zunionstore", b"y")]
    assert _events(shard, "ZINTERSTORE", "y", 1, "absent") == [("del", b"y")]
    assert _events(shard, "ZDIFFSTORE", "y", 1, "absent") == []
    assert _events(shard, "ZPOPMIN", "z") == [("zpopmin", b"z")]
    assert _events(shard, "ZREMRANGEBYRANK", "z", 5, 9) == []
    assert _events(shard, "ZREMRANGEBYSCORE", "z", "-inf", "inf") == [
        ("zremrangebyscore", b"z"),
        ("del", b"z"),
    ]
    shard.run("ZADD", "z", 1, "a")
    assert _events(shard, "ZMPOP", 2, "x", "z", "MAX") == [("zpopmax", b"z"), ("del", b"z")]


def test_random_members_have_a_bound_if_they_may_repeat(shard: Driver) -> None:
    reply = shard.run("ZRANDMEMBER", "z", -50)
    assert isinstance(reply, list)
    assert len(reply) == 50
    refused = shard.run("ZRANDMEMBER", "z", -RANDOM_MAX - 1)
    assert isinstance(refused, ErrorReply)
    assert shard.run("ZRANDMEMBER", "z", 9223372036854775807) == [b"one", b"two", b"three"]


@pytest.mark.parametrize("count", [1, 5, 90, 199])
def test_random_members_are_different_ones_and_every_one_comes(count: int) -> None:
    shard = Driver()
    shard.run("ZADD", "z", *[word for one in range(200) for word in (one, f"m{one}")])
    seen: dict[bytes, None] = {}
    for _ in range(40 + 4000 // count):
        reply = shard.apply([b"ZRANDMEMBER", b"z", b"%d" % count])
        assert isinstance(reply, list)
        assert len(dict.fromkeys(reply)) == len(reply) == count
        seen |= dict.fromkeys(reply)
    assert len(seen) == 200


def test_algebra_over_too_many_members_is_refused(
    shard: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert VISITS_MAX >= 1_000_000
    monkeypatch.setattr("trimaran.node.commands.sorted_set_algebra.VISITS_MAX", 8)
    assert shard.run("ZUNIONSTORE", "y", 2, "z", "z") == 3
    for name in ("ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE"):
        refused = shard.run(name, "y", 3, "z", "z", "z")
        assert refused == ErrorReply("ERR", "more than 8 members would have to be looked at")
    shard.run("ZADD", "large", *[word for one in range(20) for word in (one, f"m{one}")])
    assert shard.run("ZINTERCARD", 2, "large", "z") == 0  # It costs what the smaller one has.


def test_scores_that_are_no_number_count_as_zero() -> None:
    shard = Driver()
    shard.run("ZADD", "a", "inf", "m")
    shard.run("ZADD", "b", "-inf", "m")
    assert shard.run("ZUNION", 2, "a", "b", "WITHSCORES") == PairsReply(((b"m", 0.0),))
    assert shard.run("ZINTER", 1, "a", "WEIGHTS", 0, "WITHSCORES") == PairsReply(((b"m", 0.0),))
    assert shard.run("ZADD", "a", "INCR", "-inf", "m") == ErrorReply(
        "ERR", "resulting score is not a number (NaN)"
    )


def test_a_walk_answers_alike_on_every_replica() -> None:
    """The reply of a read can be part of the state: it must not tell how a set came to be."""
    shard = Driver()
    for number in range(2000):
        shard.run("ZADD", "z", number % 7, f"m{number}")
    for number in range(0, 2000, 3):
        shard.run("ZREM", "z", f"m{number}")
    other = Driver(keys=copy_of(shard.keys))
    cursor: Word = b"0"
    while True:
        reply = shard.run("ZSCAN", "z", cursor, "COUNT", 17)
        assert reply == other.run("ZSCAN", "z", cursor, "COUNT", 17)
        assert isinstance(reply, list)
        cursor = reply[0]
        if cursor == b"0":
            break


def test_what_is_watched_counts_as_changed_only_if_it_is(shard: Driver) -> None:
    keys = shard.keys
    keys.watches.watch(0, b"z", shard.now_ms, keys.stamp)
    since = keys.stamp
    for command in (
        "ZADD z 1 one",
        "ZADD z NX 5 one",
        "ZREM z absent",
        "ZINCRBY z 0 one",
        "ZREMRANGEBYSCORE z 9 9",
        "ZPOPMIN z 0",
    ):
        shard.run(*command.split())
        assert keys.is_unchanged(b"z", since), command
    shard.run("ZADD", "z", 4, "one")
    assert not keys.is_unchanged(b"z", since)
