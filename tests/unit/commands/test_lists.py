"""Lists where the machine of tests/model does not look: events, bounds, what Redis 7.0 lacks."""

from __future__ import annotations

import pytest

from trimaran.cluster.settings import Settings
from trimaran.node.commands import HANDLERS, lists
from trimaran.node.commands.context import Context
from trimaran.proto.reply import NULL_ARRAY, OK, ErrorReply, Reply

from ...model.driver import Driver, Word, words

EVENTS = Settings(notify_keyspace_events="KEAn")
WRONG_TYPE = ErrorReply("WRONGTYPE", "Operation against a key holding the wrong kind of value")


@pytest.fixture
def shard() -> Driver:
    return Driver(now_ms=1_000_000)


def events_of(shard: Driver, *args: Word) -> list[tuple[str, bytes]]:
    """What keyspace events a command has."""
    context = Context(0, shard.now_ms, 1, EVENTS)
    shard.keys.enter(0, shard.now_ms, is_read=False)
    command = words(*args)
    HANDLERS[command[0]](shard.keys, command, context)
    return [(event, key) for _, event, key in context.events or []]


def test_both_ends_are_pushed_and_popped(shard: Driver) -> None:
    assert shard.run("LPUSH", "l", "b", "a") == 2
    assert shard.run("RPUSH", "l", "c") == 3
    assert shard.run("LRANGE", "l", 0, -1) == [b"a", b"b", b"c"]
    assert shard.run("LPOP", "l") == b"a"
    assert shard.run("RPOP", "l", 5) == [b"c", b"b"]
    assert shard.run("EXISTS", "l") == 0
    assert shard.run("LPOP", "l") is None
    assert shard.run("LPOP", "l", 1) == NULL_ARRAY


def test_a_million_elements_are_a_queue_and_an_array(shard: Driver) -> None:
    for start in range(0, 1_000_000, 100_000):
        shard.run("RPUSH", "l", *range(start, start + 100_000))
    assert shard.run("LINDEX", "l", 500_000) == b"500000"
    assert shard.run("LPOS", "l", 777_777) == 777_777
    assert shard.run("LSET", "l", 500_000, "x") == OK
    assert shard.run("LINSERT", "l", "BEFORE", "x", "y") == 1_000_001
    assert shard.run("LRANGE", "l", 499_999, 500_001) == [b"499999", b"y", b"x"]
    assert shard.run("LREM", "l", -1, "x") == 1
    assert shard.run("LTRIM", "l", 500_000, -400_001) == OK
    assert shard.run("LRANGE", "l", 0, -1) == [b"y", *[b"%d" % n for n in range(500_001, 600_000)]]
    assert _count(shard.run("RPOP", "l", 1 << 62)) == 100_000
    assert shard.run("DBSIZE") == 0


@pytest.mark.parametrize("name", ["LPUSH", "RPUSHX", "LPOP", "LTRIM", "LSET", "LREM", "LMOVE"])
def test_an_expiry_stays_with_the_list(shard: Driver, name: str) -> None:
    rest: dict[str, list[Word]] = {
        "LPUSH": ["x"],
        "RPUSHX": ["x"],
        "LPOP": [],
        "LTRIM": [0, 0],
        "LSET": [0, "x"],
        "LREM": [0, "a"],
        "LMOVE": ["m", "LEFT", "LEFT"],
    }
    shard.run("RPUSH", "l", "a", "b", "c")
    shard.run("PEXPIRE", "l", 500)
    shard.run(name, "l", *rest[name])
    assert shard.run("PTTL", "l") == 500
    shard.now_ms += 500
    assert shard.run("LPUSHX", "l", "x") == 0
    assert shard.run("RPUSH", "l", "new") == 1
    assert shard.run("PTTL", "l") == -1


def test_a_move_within_a_list_of_one_keeps_list_and_expiry(shard: Driver) -> None:
    shard.run("RPUSH", "l", "a")
    shard.run("PEXPIRE", "l", 500)
    assert shard.run("LMOVE", "l", "l", "LEFT", "RIGHT") == b"a"
    assert shard.run("PTTL", "l") == 500


def test_a_move_from_nothing_asks_nothing_of_the_target(shard: Driver) -> None:
    shard.run("SET", "text", "x")
    assert shard.run("LMOVE", "absent", "text", "LEFT", "LEFT") is None
    shard.run("RPUSH", "l", "a")
    assert shard.run("RPOPLPUSH", "l", "text") == WRONG_TYPE
    assert shard.run("LLEN", "l") == 1


def test_lmpop_stops_at_the_first_key_that_has_something(shard: Driver) -> None:
    shard.run("RPUSH", "b", 1, 2, 3)
    shard.run("SET", "text", "x")
    assert shard.run("LMPOP", 3, "a", "b", "text", "RIGHT", "COUNT", 2) == [b"b", [b"3", b"2"]]
    assert shard.run("LMPOP", 2, "a", "text", "LEFT") == WRONG_TYPE
    assert shard.run("LMPOP", 1, "a", "LEFT") == NULL_ARRAY


@pytest.mark.parametrize(
    ("setting", "count", "expected"),
    [(-2, 128, b"listpack"), (-2, 1_000, b"quicklist"), (4, 4, b"listpack"), (4, 5, b"quicklist")],
)
def test_the_encoding_follows_the_setting(
    shard: Driver, setting: int, count: int, expected: bytes
) -> None:
    shard.settings = Settings(list_max_listpack_size=setting)
    shard.run("RPUSH", "l", *[f"{number:010d}" for number in range(count)])
    assert shard.run("OBJECT", "ENCODING", "l") == expected
    shard.run("LTRIM", "l", 0, 1)
    assert shard.run("OBJECT", "ENCODING", "l") == b"listpack"


# --- Keyspace events, as Redis has them.


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("LPUSH new a b", "new new, lpush new"),
        ("RPUSH l a", "rpush l"),
        ("RPUSHX new a", ""),
        ("LPOP l", "lpop l"),
        ("LPOP l 0", ""),
        ("RPOP l 9", "rpop l, del l"),
        ("LPOP new", ""),
        ("LMPOP 2 new l RIGHT COUNT 3", "rpop l, del l"),
        ("LMOVE l m LEFT RIGHT", "rpush m, lpop l"),
        ("LMOVE l new LEFT RIGHT", "new new, rpush new, lpop l"),
        ("RPOPLPUSH m l", "lpush l, rpop m, del m"),
        ("RPOPLPUSH m m", "lpush m, rpop m"),
        ("LINSERT l AFTER a x", "linsert l"),
        ("LINSERT l AFTER x x", ""),
        ("LSET l 0 x", "lset l"),
        ("LREM l 0 a", "lrem l"),
        ("LREM l 0 x", ""),
        ("LREM m 0 z", "lrem m, del m"),
        ("LTRIM l 0 -1", "ltrim l"),
        ("LTRIM l 5 9", "ltrim l, del l"),
    ],
)
def test_changes_are_told_as_redis_tells_them(shard: Driver, command: str, expected: str) -> None:
    shard.run("RPUSH", "l", "a", "b", "c")
    shard.run("RPUSH", "m", "z")
    told = [f"{event} {key.decode()}" for event, key in events_of(shard, *command.split())]
    assert ", ".join(told) == expected


# --- Bounds.


def test_a_reply_is_not_larger_than_it_may_be(
    shard: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "REPLY_BYTES_MAX", 1 << 20)
    shard.run("RPUSH", "l", *["x" * 300_000] * 4)
    too_large = ErrorReply("ERR", "the elements are larger than a reply may be (512 MiB)")
    commands: list[list[Word]] = [
        ["LRANGE", "l", 0, -1],
        ["LPOP", "l", 4],
        ["RPOP", "l", 5],
        ["LMPOP", 1, "l", "LEFT", "COUNT", 4],
    ]
    for command in commands:
        before = shard.keys.digest()
        assert shard.run(*command) == too_large
        assert shard.keys.digest() == before
    assert _count(shard.run("LRANGE", "l", 0, 2)) == 3
    assert _count(shard.run("RPOP", "l", 3)) == 3
    assert _count(shard.run("LPOP", "l", 3)) == 1


def _count(reply: Reply) -> int:
    assert isinstance(reply, list)
    return len(reply)


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["RANK", 2], 3),
        (["RANK", -1], 6),
        (["COUNT", 0], [1, 3, 6]),
        (["COUNT", 0, "RANK", -1], [6, 3, 1]),
        (["COUNT", 2, "RANK", 2], [3, 6]),
        (["COUNT", 0, "MAXLEN", 4], [1, 3]),
        (["COUNT", 0, "MAXLEN", 4, "RANK", -1], [6, 3]),
        (["RANK", 4], None),
        (["COUNT", 5, "RANK", 4], []),
        (["RANK", 1 << 62], None),
    ],
)
def test_lpos_finds_what_is_asked_for(shard: Driver, args: list[Word], expected: Reply) -> None:
    shard.run("RPUSH", "l", *"abcbaab")
    assert shard.run("LPOS", "l", "b", *args) == expected
