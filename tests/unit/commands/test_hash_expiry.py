"""When fields of a hash expire, as Redis 7.4 and 8 document it, and as the log's time has it."""

from __future__ import annotations

from random import Random

import pytest

from trimaran.cluster.settings import Settings
from trimaran.node.commands.internal import DUE_FIELDS_MAX, EXPIRE
from trimaran.node.data.keyspace import ExpiryPending
from trimaran.proto.reply import ErrorReply, MapReply

from ...model.driver import Driver, Word, copy_of

NOW_MS = 1_000_000


@pytest.fixture
def shard() -> Driver:
    shard = Driver(now_ms=NOW_MS)
    shard.run("HSET", "h", "a", "1", "b", "2", "c", "3")
    return shard


def error(text: str, code: str = "ERR") -> ErrorReply:
    return ErrorReply(code, text)


def run(shard: Driver, text: str) -> object:
    return shard.run(*text.split())


def remove_due(shard: Driver) -> int:
    """One expiry round of a leader; how many keys it named."""
    due = shard.keys.due(shard.now_ms, 1000)
    for db, key in due:
        shard.apply([EXPIRE, key], db=db)
    return len(due)


# --- Setting and asking.


@pytest.mark.parametrize(
    ("command", "expires_at_ms"),
    [
        ("HEXPIRE h 10", NOW_MS + 10_000),
        ("HPEXPIRE h 10", NOW_MS + 10),
        ("HEXPIREAT h 2000", 2_000_000),
        ("HPEXPIREAT h 2000001", 2_000_001),
    ],
)
def test_fields_are_given_an_expiry(shard: Driver, command: str, expires_at_ms: int) -> None:
    assert run(shard, f"{command} FIELDS 3 a x b") == [1, -2, 1]
    left_ms = expires_at_ms - NOW_MS
    assert run(shard, "HPEXPIRETIME h FIELDS 3 a c x") == [expires_at_ms, -1, -2]
    assert run(shard, "HEXPIRETIME h FIELDS 1 b") == [-(-expires_at_ms // 1000)]
    assert run(shard, "HPTTL h FIELDS 3 a c x") == [left_ms, -1, -2]
    assert run(shard, "HTTL h FIELDS 1 a") == [-(-left_ms // 1000)]
    assert run(shard, "TTL h") == -1


@pytest.mark.parametrize(
    ("condition", "codes"),
    # a expires later, b earlier, c not at all.
    [("NX", [0, 0, 1]), ("XX", [1, 1, 0]), ("GT", [0, 1, 0]), ("LT", [1, 0, 1])],
)
def test_conditions_are_about_each_field(shard: Driver, condition: str, codes: list[int]) -> None:
    run(shard, "HEXPIRE h 100 FIELDS 1 a")
    run(shard, "HEXPIRE h 10 FIELDS 1 b")
    assert run(shard, f"HEXPIRE h 50 {condition.lower()} FIELDS 4 a b c x") == [*codes, -2]
    expected = [50 if code else before for code, before in zip(codes, (100, 10, -1), strict=True)]
    assert run(shard, "HTTL h FIELDS 3 a b c") == expected


def test_an_equal_time_is_neither_later_nor_earlier(shard: Driver) -> None:
    run(shard, "HPEXPIREAT h 2000000 FIELDS 1 a")
    assert run(shard, "HPEXPIREAT h 2000000 GT FIELDS 1 a") == [0]
    assert run(shard, "HPEXPIREAT h 2000000 LT FIELDS 1 a") == [0]


def test_a_past_time_removes_the_field(shard: Driver) -> None:
    assert run(shard, "HEXPIRE h 0 FIELDS 2 a x") == [2, -2]
    assert run(shard, "HPEXPIREAT h 5 FIELDS 1 b") == [2]
    assert run(shard, "HKEYS h") == [b"c"]
    assert run(shard, "HEXPIREAT h 1 FIELDS 2 c c") == [2, -2]
    assert run(shard, "EXISTS h") == 0


def test_of_an_absent_key_every_field_is_absent(shard: Driver) -> None:
    for command in ("HEXPIRE n 5", "HPEXPIREAT n 5 XX", "HTTL n", "HPEXPIRETIME n", "HPERSIST n"):
        assert run(shard, f"{command} FIELDS 2 a b") == [-2, -2]
    for command in ("HGETEX n", "HGETEX n EX 5", "HGETEX n PERSIST", "HGETDEL n"):
        assert run(shard, f"{command} FIELDS 2 a b") == [None, None]
    assert run(shard, "EXISTS n") == 0


def test_persist_takes_the_expiry_away(shard: Driver) -> None:
    run(shard, "HEXPIRE h 10 FIELDS 1 a")
    assert run(shard, "HPERSIST h FIELDS 3 a b x") == [1, -1, -2]
    assert run(shard, "HTTL h FIELDS 1 a") == [-1]
    shard.now_ms += 20_000
    assert run(shard, "HGET h a") == b"1"


# --- What becomes of an expiry.


@pytest.mark.parametrize("command", ["HSET h a 5", "HMSET h a 5", "HSETEX h FIELDS 1 a 5"])
def test_a_new_value_takes_the_expiry_away(shard: Driver, command: str) -> None:
    run(shard, "HEXPIRE h 10 FIELDS 1 a")
    run(shard, command)
    assert run(shard, "HTTL h FIELDS 1 a") == [-1]


@pytest.mark.parametrize(
    "command",
    ["HINCRBY h a 5", "HINCRBYFLOAT h a 5", "HSETEX h KEEPTTL FIELDS 1 a 5", "HSETNX h a 5"],
)
def test_a_changed_value_keeps_it(shard: Driver, command: str) -> None:
    run(shard, "HEXPIRE h 10 FIELDS 1 a")
    run(shard, command)
    assert run(shard, "HTTL h FIELDS 1 a") == [10]


def test_a_field_that_was_removed_comes_back_without_it(shard: Driver) -> None:
    run(shard, "HEXPIRE h 10 FIELDS 1 a")
    run(shard, "HDEL h a")
    run(shard, "HSET h a 1")
    assert run(shard, "HTTL h FIELDS 1 a") == [-1]


@pytest.mark.parametrize("command", ["RENAME h g", "COPY h g", "MOVE h 2"])
def test_expiries_go_along_with_the_key(shard: Driver, command: str) -> None:
    run(shard, "HPEXPIRE h 10 FIELDS 1 a")
    run(shard, command)
    shard.now_ms += 10
    db, key = (2, "h") if command.startswith("MOVE") else (0, "g")
    assert (db, key.encode()) in shard.keys.due(shard.now_ms, 10)
    remove_due(shard)
    assert shard.run("HLEN", key, db=db) == 2


def test_the_encoding_tells_of_expiries(shard: Driver) -> None:
    run(shard, "HEXPIRE h 10 FIELDS 1 x")
    assert run(shard, "OBJECT ENCODING h") == b"listpack"
    run(shard, "HEXPIRE h 10 FIELDS 1 a")
    assert run(shard, "OBJECT ENCODING h") == b"listpackex"
    run(shard, "HPERSIST h FIELDS 1 a")
    assert run(shard, "OBJECT ENCODING h") == b"listpackex"
    shard.run("HSET", "h", "long", "x" * 65)
    assert run(shard, "OBJECT ENCODING h") == b"hashtable"


# --- Time (correctness A2).


def test_a_due_field_is_absent_for_every_command(shard: Driver) -> None:
    run(shard, "HPEXPIRE h 10 FIELDS 1 a")
    shard.now_ms += 9
    assert run(shard, "HGET h a") == b"1"
    shard.now_ms += 1
    shard.apply([EXPIRE, b"other"])  # Its stamp is past the expiry; nothing of h is removed.
    for command, expected in {
        "HGET h a": None,
        "HMGET h a b": [None, b"2"],
        "HEXISTS h a": 0,
        "HSTRLEN h a": 0,
        "HGETALL h": MapReply(((b"b", b"2"), (b"c", b"3"))),
        "HKEYS h": [b"b", b"c"],
        "HVALS h": [b"2", b"3"],
        "HSCAN h 0": [b"0", [b"b", b"2", b"c", b"3"]],
        "HTTL h FIELDS 1 a": [-2],
        "HLEN h": 3,  # It counts until it is removed.
        "HDEL h a": 0,
        "HPERSIST h FIELDS 1 a": [-2],
        "HEXPIRE h 10 FIELDS 1 a": [-2],
        "HGETDEL h FIELDS 1 a": [None],
        "HGETEX h EX 10 FIELDS 1 a": [None],
        "HSETEX h FXX FIELDS 1 a 5": 0,
    }.items():
        assert run(shard, command) == expected, command
    assert shard.expiries == 0


@pytest.mark.parametrize(
    ("command", "reply", "value"),
    [
        ("HSET h a 7", 1, b"7"),
        ("HSETNX h a 7", 1, b"7"),
        ("HINCRBY h a 7", 7, b"7"),
        ("HINCRBYFLOAT h a 7", b"7", b"7"),
        ("HSETEX h FNX FIELDS 1 a 7", 1, b"7"),
        ("HSETEX h KEEPTTL FIELDS 1 a 7", 1, b"7"),
    ],
)
def test_a_due_field_is_written_anew(
    shard: Driver, command: str, reply: object, value: bytes
) -> None:
    run(shard, "HPEXPIRE h 10 FIELDS 1 a")
    shard.now_ms += 10
    shard.settings = Settings(notify_keyspace_events="KA")
    assert run(shard, command) == reply
    assert shard.events[0] == (0, "hexpired", b"h")
    assert run(shard, "HGET h a") == value
    assert run(shard, "HTTL h FIELDS 1 a") == [-1]


def test_a_read_ahead_of_the_log_does_not_call_a_due_field_absent(shard: Driver) -> None:
    run(shard, "HPEXPIRE h 10 FIELDS 1 a")
    shard.now_ms += 10
    assert run(shard, "HGET h a") is None
    assert shard.expiries == 1  # An entry with a later stamp came first.
    assert run(shard, "HLEN h") == 2


def test_reading_in_front_of_the_log_is_pending(shard: Driver) -> None:
    run(shard, "HPEXPIRE h 10 FIELDS 1 a")
    shard.keys.enter(0, NOW_MS + 10, is_read=True)
    with pytest.raises(ExpiryPending) as caught:
        shard.keys.is_past(b"h", NOW_MS + 10)
    assert caught.value.key == b"h"


# --- Removal by the leader.


def test_due_fields_are_removed_and_the_key_with_the_last(shard: Driver) -> None:
    run(shard, "HPEXPIRE h 10 FIELDS 2 a b")
    run(shard, "HPEXPIRE h 20 FIELDS 1 c")
    assert shard.keys.next_due_ms() == NOW_MS + 10
    shard.settings = Settings(notify_keyspace_events="KA")
    shard.now_ms += 10
    assert remove_due(shard) == 1
    assert run(shard, "HLEN h") == 1
    assert remove_due(shard) == 0
    assert shard.keys.next_due_ms() == NOW_MS + 20
    shard.now_ms += 10
    assert remove_due(shard) == 1
    assert run(shard, "EXISTS h") == 0
    assert [event for _, event, _ in shard.events] == ["hexpired", "hexpired", "del"]
    assert remove_due(shard) == 0
    assert shard.keys.memory_bytes == 0


def test_many_due_fields_are_removed_some_at_a_time(shard: Driver) -> None:
    count = 2 * DUE_FIELDS_MAX + 5
    for number in range(count):
        shard.run("HSETEX", "big", "PX", 10, "FIELDS", 1, f"f{number}", "")
    run(shard, "HSET big stays 1")
    shard.now_ms += 10
    for left in (DUE_FIELDS_MAX + 5, 5, 0):
        assert remove_due(shard) == 1
        assert run(shard, "HLEN big") == left + 1
    assert remove_due(shard) == 0


def test_a_stale_expiry_costs_one_look(shard: Driver) -> None:
    run(shard, "HPEXPIRE h 10 FIELDS 1 a")
    run(shard, "HDEL h a")
    shard.run("HPEXPIRE", "h", 500, "FIELDS", 1, "b")
    run(shard, "HSET g a 1")
    run(shard, "HPEXPIRE g 10 FIELDS 1 a")
    run(shard, "SET g string")
    shard.now_ms += 10
    remove_due(shard)
    assert remove_due(shard) == 0
    assert run(shard, "HLEN h") == 2
    assert run(shard, "GET g") == b"string"
    assert shard.keys.next_due_ms() == NOW_MS + 500


def test_a_field_removed_before_its_time_is_not_looked_for(shard: Driver) -> None:
    for number in range(100):
        shard.run("HSETEX", "big", "PX", 10 + number, "FIELDS", 1, f"f{number}", "")
    run(shard, "HDEL big f0")
    run(shard, "HPERSIST big FIELDS 1 f1")
    run(shard, "HPEXPIRE big 500 FIELDS 1 f2")
    shard.now_ms += 12
    assert remove_due(shard) == 0
    shard.now_ms += 1
    assert remove_due(shard) == 1
    assert run(shard, "HEXISTS big f3") == 0


def test_due_fields_are_found_in_a_slot_that_was_split(shard: Driver) -> None:
    for number in range(1500):
        shard.run("HSETEX", f"{{t}}{number}", "PX", 10 + number % 2, "FIELDS", 1, "f", "")
    shard.now_ms += 10
    assert len(shard.keys.due(shard.now_ms, 5000)) == 750
    while remove_due(shard):
        pass
    assert shard.keys.count() == 1 + 750


def test_a_snapshot_keeps_when_fields_expire(shard: Driver) -> None:
    for number in range(2000):
        shard.run("HSETEX", "big", "PX", 10 + number, "FIELDS", 1, f"f{number}", "")
    run(shard, "HPEXPIRE h 30 FIELDS 1 a")
    shard.keys = copy_of(shard.keys)
    assert shard.keys.next_due_ms() == NOW_MS + 10
    assert run(shard, "HPTTL h FIELDS 2 a b") == [30, -1]
    shard.now_ms += 29 + 10
    assert remove_due(shard) == 2
    assert run(shard, "HLEN big") == 2000 - 30
    assert run(shard, "HLEN h") == 2


@pytest.mark.parametrize("seed", range(4))
def test_what_is_due_and_counted_follows_from_the_state_alone(seed: int) -> None:
    rng = Random(seed)
    shard = Driver(now_ms=NOW_MS)
    for _ in range(1500):
        shard.now_ms += int(rng.random() * 5)
        names = range(60 if seed % 2 else 8)
        fields = [f"f{int(rng.random() * len(names))}" for _ in range(1 + int(rng.random() * 3))]
        key = f"h{int(rng.random() * 4)}"
        span = 1 + int(rng.random() * 400)
        commands: list[list[Word]] = [
            ["HSET", key, fields[0], "1", fields[-1], "x" * int(rng.random() * 70)],
            ["HSETEX", key, "PX", span, "FIELDS", 1, fields[0], "1"],
            ["HPEXPIRE", key, span, "FIELDS", len(fields), *fields],
            ["HINCRBY", key, fields[0], 1],
            ["HDEL", key, *fields],
            ["HPERSIST", key, "FIELDS", len(fields), *fields],
            ["HGETEX", key, "PX", span, "FIELDS", len(fields), *fields],
            ["HGETDEL", key, "FIELDS", len(fields), *fields],
            ["HGET", key, fields[0]],
            ["COPY", key, "h0", "REPLACE"],
            ["RENAME", key, "h1"],
            ["SET", key, "string"],
            ["DEL", "h2"],
        ]
        shard.run(*commands[int(rng.random() ** 1.5 * len(commands))])
        if rng.random() < 0.05:
            remove_due(shard)
        if rng.random() < 0.05:
            copy = copy_of(shard.keys)
            assert copy.memory_bytes == shard.keys.memory_bytes
            assert sorted(copy.due(shard.now_ms, 99)) == sorted(shard.keys.due(shard.now_ms, 99))
            if rng.random() < 0.3:
                shard.keys = copy
    shard.run("FLUSHALL")
    assert shard.keys.memory_bytes == 0


def test_a_key_that_is_due_itself_goes_whole(shard: Driver) -> None:
    run(shard, "HPEXPIRE h 10 FIELDS 1 a")
    run(shard, "PEXPIRE h 10")
    shard.now_ms += 10
    assert shard.keys.due(shard.now_ms, 10) == [(0, b"h")]
    remove_due(shard)
    assert run(shard, "EXISTS h") == 0


# --- Values and expiries in one.


def test_getex_answers_and_changes_expiries(shard: Driver) -> None:
    assert run(shard, "HGETEX h FIELDS 2 a x") == [b"1", None]
    assert run(shard, "HTTL h FIELDS 1 a") == [-1]
    assert run(shard, "HGETEX h ex 10 FIELDS 2 a x") == [b"1", None]
    assert run(shard, "HTTL h FIELDS 1 a") == [10]
    assert run(shard, "HGETEX h PERSIST FIELDS 1 a") == [b"1"]
    assert run(shard, "HTTL h FIELDS 1 a") == [-1]
    assert run(shard, "HGETEX h PXAT 1 FIELDS 4 a b a c") == [b"1", b"2", None, b"3"]
    assert run(shard, "EXISTS h") == 0


def test_getdel_answers_and_removes(shard: Driver) -> None:
    assert run(shard, "HGETDEL h FIELDS 3 a x a") == [b"1", None, None]
    assert run(shard, "HGETDEL h FIELDS 2 b c") == [b"2", b"3"]
    assert run(shard, "EXISTS h") == 0


def test_setex_sets_all_fields_or_none(shard: Driver) -> None:
    assert run(shard, "HSETEX h FNX EX 10 FIELDS 2 a 7 new 7") == 0
    assert run(shard, "HSETEX h FXX EX 10 FIELDS 2 a 7 new 7") == 0
    assert run(shard, "HMGET h a new") == [b"1", None]
    assert run(shard, "HSETEX h FXX EX 10 FIELDS 2 a 7 b 7") == 1
    assert run(shard, "HSETEX n FXX FIELDS 1 a 7") == 0
    assert run(shard, "EXISTS n") == 0
    assert run(shard, "HSETEX n PX 10 FNX FIELDS 1 a 7") == 1
    assert run(shard, "HPTTL n FIELDS 1 a") == [10]
    assert run(shard, "HTTL h FIELDS 3 a b c") == [10, 10, -1]
    assert run(shard, "HSETEX n PXAT 1 FIELDS 1 a 7") == 1
    assert run(shard, "EXISTS n") == 0


# --- Errors.

MISSING = "Mandatory argument FIELDS is missing or not at the right position"
MISMATCH = "The `numfields` parameter must match the number of arguments"
POSITIVE = "Number of fields must be a positive integer"
GREATER = "Parameter `numFields` should be greater than 0"
NUMBER = "value is not an integer or out of range"
NEGATIVE = "invalid expire time, must be >= 0"
ONE_TIME = "Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified"


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("HEXPIRE h x FIELDS 1 a", NUMBER),
        ("HEXPIRE h -1 FIELDS 1 a", NEGATIVE),
        ("HEXPIRE h 10 FIELD 1 a", MISSING),
        ("HEXPIRE h 10 NX 1 a b", MISSING),
        ("HEXPIRE h 10 NX XX FIELDS 1 a", MISSING),
        ("HEXPIRE h 10 FIELDS 0 a", GREATER),
        ("HEXPIRE h 10 FIELDS x a", GREATER),
        ("HEXPIRE h 10 FIELDS 2 a", MISMATCH),
        ("HEXPIRE h 10 FIELDS 1 a b", MISMATCH),
        ("HEXPIRE h 10 NX FIELDS 1", MISMATCH),
        ("HEXPIRE h 70368744178 FIELDS 1 a", "invalid expire time in 'hexpire' command"),
        ("HPEXPIRE h 70368744177663 FIELDS 1 a", "invalid expire time in 'hpexpire' command"),
        ("HEXPIREAT h 70368744178 FIELDS 1 a", "invalid expire time in 'hexpireat' command"),
        ("HPEXPIREAT h 70368744177664 FIELDS 1 a", "invalid expire time in 'hpexpireat' command"),
        ("HTTL h FIELD 1 a", MISSING),
        ("HTTL h FIELDS -1 a", POSITIVE),
        ("HPTTL h FIELDS 2 a", MISMATCH),
        ("HPERSIST h FIELDS 0 a", POSITIVE),
        ("HGETDEL h FIELDS 9223372036854775808 a", POSITIVE),
        ("HGETDEL h FIELDS 1 a b", MISMATCH),
        ("HGETEX h EX 10 a b", MISSING),
        ("HGETEX h PERSIST EX 10 FIELDS 1 a", MISSING),
        ("HGETEX h EX x FIELDS 1 a", NUMBER),
        ("HGETEX h EX -1 FIELDS 1 a", NEGATIVE),
        ("HGETEX h PXAT 70368744177664 FIELDS 1 a", "invalid expire time in 'hgetex' command"),
        ("HGETEX h FIELDS 3 a b", MISMATCH),
        ("HSETEX h EX 10 PX 10 FIELDS 1 a 1", ONE_TIME),
        ("HSETEX h KEEPTTL EX 10 FIELDS 1 a 1", ONE_TIME),
        ("HSETEX h FNX FXX FIELDS 1 a 1", "Only one of FXX or FNX arguments can be specified"),
        ("HSETEX h EX 10 BOGUS FIELDS 1 a 1", "unknown argument: BOGUS"),
        ("HSETEX h FIELDS 0 a 1", "invalid number of fields"),
        ("HSETEX h FIELDS 2 a 1", "wrong number of arguments for 'hsetex' command"),
        ("HSETEX h FIELDS 1 a 1 b", "wrong number of arguments for 'hsetex' command"),
        ("HSETEX h FNX EX 10 FIELDS 1", "wrong number of arguments for 'hsetex' command"),
        ("HSETEX h FXX KEEPTTL FIELDS a b", "wrong number of arguments for 'hsetex' command"),
        ("HSETEX h EX -1 FIELDS 1 a 1", NEGATIVE),
        ("HSETEX h EX x FIELDS 1 a 1", NUMBER),
        ("HSETEX h FNX KEEPTTL FNX EX", "Only one of FXX or FNX arguments can be specified"),
        ("HSETEX h FNX a b EX", "unknown argument: a"),
    ],
)
def test_wrong_arguments_are_told_as_redis_tells_them(
    shard: Driver, command: str, text: str
) -> None:
    before = shard.keys.digest()
    assert run(shard, command) == error(text)
    assert shard.keys.digest() == before


def test_the_latest_time_is_allowed(shard: Driver) -> None:
    assert run(shard, "HPEXPIREAT h 70368744177663 FIELDS 1 a") == [1]
    assert run(shard, f"HPEXPIRE h {70368744177663 - NOW_MS} FIELDS 1 b") == [1]
    assert run(shard, "HPEXPIRETIME h FIELDS 2 a b") == [70368744177663] * 2


@pytest.mark.parametrize(
    "command",
    [
        "HEXPIRE s x FIELDS 1 a",
        "HTTL s FIELD 1 a",
        "HPERSIST s FIELDS 0 a",
        "HGETDEL s FIELD 1 a",
        "HGETEX s EX x FIELDS 1 a",
        "HSETEX s FIELDS 1 a 1",
    ],
)
def test_the_type_comes_first(shard: Driver, command: str) -> None:
    run(shard, "SET s x")
    reply = run(shard, command)
    assert isinstance(reply, ErrorReply)
    assert reply.code == "WRONGTYPE"
