"""Strings and counters, above all where time matters; tests/model/ compares them with Redis."""

from __future__ import annotations

import pytest

from trimaran.cluster.settings import Settings
from trimaran.node.commands import strings
from trimaran.node.commands.arguments import parse_int
from trimaran.proto.reply import OK, ErrorReply, Status

from ...model.driver import Driver, Word


@pytest.fixture
def shard() -> Driver:
    return Driver(now_ms=1_000_000)


def test_set_replaces_value_and_expiry(shard: Driver) -> None:
    assert shard.run("SET", "a", "1", "PX", 500) == OK
    assert shard.run("SET", "a", "2") == OK
    assert shard.run("GET", "a") == b"2"
    assert shard.run("PTTL", "a") == -1


@pytest.mark.parametrize(
    ("option", "time", "left_ms"),
    [("EX", 10, 10_000), ("px", 10, 10), ("EXAT", 1010, 10_000), ("PXAT", 1_000_010, 10)],
)
def test_set_takes_its_expiry_from_the_stamp(
    shard: Driver, option: str, time: int, left_ms: int
) -> None:
    shard.run("SET", "a", "1", option, time)
    assert shard.run("PTTL", "a") == left_ms
    shard.now_ms += left_ms
    assert shard.run("GET", "a") is None


def test_set_with_a_past_time_leaves_no_key(shard: Driver) -> None:
    shard.run("SET", "a", "1")
    assert shard.run("SET", "a", "2", "GET", "EXAT", 999) == b"1"
    assert shard.run("DBSIZE") == 0


def test_set_keepttl_keeps_the_expiry(shard: Driver) -> None:
    shard.run("SET", "a", "1", "PX", 500)
    shard.run("SET", "a", "2", "KEEPTTL")
    assert shard.run("PTTL", "a") == 500


def test_set_nx_takes_a_lock_that_has_expired(shard: Driver) -> None:
    assert shard.run("SET", "lock", "1", "NX", "PX", 500) == OK
    shard.now_ms += 499
    assert shard.run("SET", "lock", "2", "NX", "PX", 500) is None
    shard.now_ms += 1
    assert shard.run("SET", "lock", "3", "NX", "PX", 500) == OK
    assert shard.run("GET", "lock") == b"3"


def test_set_xx_does_not_revive_an_expired_key(shard: Driver) -> None:
    shard.run("SET", "a", "1", "PX", 500)
    shard.now_ms += 500
    assert shard.run("SET", "a", "2", "XX") is None
    assert shard.run("SET", "a", "2", "XX", "GET") is None
    assert shard.run("EXISTS", "a") == 0


def test_counters_start_from_0_and_keep_their_expiry(shard: Driver) -> None:
    assert shard.run("INCRBY", "a", 5) == 5
    shard.run("PEXPIRE", "a", 500)
    assert shard.run("DECR", "a") == 4
    assert shard.run("PTTL", "a") == 500
    shard.now_ms += 500
    assert shard.run("INCR", "a") == 1
    assert shard.run("PTTL", "a") == -1


def test_append_keeps_the_expiry(shard: Driver) -> None:
    shard.run("SET", "a", "x", "PX", 500)
    assert shard.run("APPEND", "a", "yz") == 3
    assert shard.run("PTTL", "a") == 500


TOO_LONG = ErrorReply("ERR", "string exceeds maximum allowed size (proto-max-bulk-len)")


def test_append_and_setrange_make_no_string_over_the_limit(shard: Driver) -> None:
    limit = 1 << 20
    shard.settings = Settings(proto_max_bulk_len=limit)
    assert shard.run("APPEND", "a", "x" * limit) == limit
    assert shard.run("APPEND", "a", "x") == TOO_LONG
    assert shard.run("SETRANGE", "b", limit - 1, "x") == limit
    assert shard.run("SETRANGE", "b", limit, "x") == TOO_LONG
    assert shard.run("SETRANGE", "c", 2**63 - 1, "x") == TOO_LONG
    assert shard.run("EXISTS", "c") == 0
    assert shard.run("SETRANGE", "b", limit, "") == limit  # Nothing is written there.


def test_no_setting_allows_strings_that_cannot_be_kept(shard: Driver) -> None:
    shard.settings = Settings(proto_max_bulk_len=1 << 60)
    assert shard.run("SETRANGE", "a", strings.STRING_BYTES_MAX, "x") == TOO_LONG


def test_setrange_keeps_the_expiry_and_fills_a_gap_with_zeros(shard: Driver) -> None:
    shard.run("SET", "a", "abc", "PX", 500)
    assert shard.run("SETRANGE", "a", 5, "x") == 6
    assert shard.run("GET", "a") == b"abc\0\0x"
    assert shard.run("SETRANGE", "a", 1, "yz") == 6
    assert shard.run("GET", "a") == b"ayz\0\0x"
    assert shard.run("PTTL", "a") == 500


def test_getset_drops_the_expiry_and_incrbyfloat_keeps_it(shard: Driver) -> None:
    shard.run("SET", "a", "1", "PX", 500)
    assert shard.run("INCRBYFLOAT", "a", "0.5") == b"1.5"
    assert shard.run("PTTL", "a") == 500
    assert shard.run("GETSET", "a", "2") == b"1.5"
    assert shard.run("PTTL", "a") == -1


def test_getex_sets_and_takes_the_expiry(shard: Driver) -> None:
    shard.run("SET", "a", "1")
    assert shard.run("GETEX", "a", "PX", 500) == b"1"
    assert shard.run("PTTL", "a") == 500
    assert shard.run("GETEX", "a") == b"1"
    assert shard.run("PTTL", "a") == 500
    assert shard.run("GETEX", "a", "PERSIST") == b"1"
    assert shard.run("PTTL", "a") == -1
    assert shard.run("GETEX", "a", "PXAT", 999_999) == b"1"
    assert shard.run("EXISTS", "a") == 0


def test_setnx_and_msetnx_take_keys_that_have_expired(shard: Driver) -> None:
    shard.run("MSET", "a", "1", "b", "1")
    shard.run("PEXPIRE", "a", 500)
    shard.run("PEXPIRE", "b", 500)
    assert shard.run("MSETNX", "a", "2", "c", "2") == 0
    shard.now_ms += 500
    assert shard.run("MSETNX", "a", "2", "c", "2") == 1
    assert shard.run("SETNX", "b", "2") == 1
    assert shard.run("MGET", "a", "b", "c") == [b"2", b"2", b"2"]
    assert shard.run("PTTL", "a") == -1


@pytest.mark.parametrize(
    ("start", "command", "text"),
    [
        ("9223372036854775807", ("INCR",), "increment or decrement would overflow"),
        ("-9223372036854775808", ("DECR",), "increment or decrement would overflow"),
        ("0", ("DECRBY", "-9223372036854775808"), "decrement would overflow"),
        ("0", ("INCRBY", "9223372036854775808"), "value is not an integer or out of range"),
        ("1.5", ("INCR",), "value is not an integer or out of range"),
        ("", ("INCR",), "value is not an integer or out of range"),
    ],
)
def test_counters_refuse_what_is_no_64_bit_integer(
    shard: Driver, start: str, command: tuple[Word, ...], text: str
) -> None:
    shard.run("SET", "a", start)
    name, *rest = command
    assert shard.run(name, "a", *rest) == ErrorReply("ERR", text)
    assert shard.run("GET", "a") == start.encode()


@pytest.mark.parametrize(
    ("option", "time"),
    [("EX", 0), ("PX", -1), ("EX", 9223372036854775807), ("PX", 9223372036854775807), ("EXAT", 0)],
)
def test_set_refuses_an_impossible_expiry(shard: Driver, option: str, time: int) -> None:
    assert shard.run("SET", "a", "1", option, time) == ErrorReply(
        "ERR", "invalid expire time in 'set' command"
    )


def test_integers_are_read_as_redis_reads_them() -> None:
    good = [b"0", b"7", b"-7", b"9223372036854775807", b"-9223372036854775808"]
    assert [parse_int(text) for text in good] == [0, 7, -7, 2**63 - 1, -(2**63)]
    bad = [b"", b"-", b"+1", b"01", b"-0", b" 1", b"1 ", b"1_0", b"0x1", b"1.0", b"1e3"]
    bad += [b"9223372036854775808", b"-9223372036854775809", b"1" * 5000, b"1\n", b"\xb2"]
    assert [text for text in bad if parse_int(text) is not None] == []


def test_a_large_value_cannot_be_named_until_the_reply_fills_the_memory(shard: Driver) -> None:
    shard.run("SET", "a", b"x" * (64 << 20))
    assert shard.run("MGET", *["a"] * 8) == [b"x" * (64 << 20)] * 8
    error = ErrorReply("ERR", "the values are larger than a reply may be (512 MiB)")
    assert shard.run("MGET", *["a"] * 9) == error


def test_events_are_those_of_redis(shard: Driver) -> None:
    shard.settings = Settings(notify_keyspace_events="AKEn")
    for text in (
        "SET a 1",
        "SET a 2 PX 500",
        "GETEX a PERSIST",
        "GETEX a PX 500",
        "GETEX a PXAT 1",
        "MSET a 1 b 2",
        "MSETNX a 1 c 2",
        "SETNX a 1",
        "INCR a",
        "INCRBYFLOAT b 1.5",
        "APPEND c x",
        "SETRANGE c 3 y",
        "SETRANGE c 3 ",
        "GETSET c 1",
        "GETDEL c",
        "PSETEX c 5 x",
        "SET d x PXAT 1",
    ):
        shard.run(*text.split(" "))
    assert [f"{event} {key.decode()}" for _, event, key in shard.events] == [
        *("new a", "set a", "set a", "expire a", "persist a", "expire a", "del a"),
        *("new a", "set a", "new b", "set b", "incrby a", "incrbyfloat b"),
        *("new c", "append c", "setrange c", "set c", "del c", "new c", "set c", "expire c"),
        *("new d", "set d", "expire d", "expired d"),
    ]


def test_a_long_string_is_no_other_type_and_no_number(shard: Driver) -> None:
    text = b"1" * 100_000
    shard.run("SET", "a", text[:-1])
    assert shard.run("APPEND", "a", "1") == 100_000
    assert shard.run("TYPE", "a") == Status("string")
    assert shard.run("STRLEN", "a") == 100_000
    assert shard.run("GET", "a") == text
    assert shard.run("MGET", "a", "b") == [text, None]
    assert shard.run("GETRANGE", "a", -3, 200_000) == b"111"
    assert shard.run("SUBSTR", "a", 40_000, 5) == b""
    assert shard.run("INCR", "a") == ErrorReply("ERR", "value is not an integer or out of range")
    assert shard.run("INCRBYFLOAT", "a", 1) == ErrorReply("ERR", "value is not a valid float")
    assert shard.run("OBJECT", "ENCODING", "a") == b"raw"
    assert shard.run("LCS", "a", "b", "LEN") == 0
    assert shard.run("SCAN", 0, "TYPE", "string") == [b"0", [b"a"]]
    shard.run("SET", "b", text)
    digest = shard.run("DEBUG", "DIGEST-VALUE", "b")
    assert shard.run("DEBUG", "DIGEST-VALUE", "a") == digest
    assert shard.run("SET", "a", "x", "GET") == text
    assert shard.run("GET", "a") == b"x"
    shard.run("APPEND", "b", "2")
    assert shard.run("RENAME", "b", "c") == OK
    assert shard.run("COPY", "c", "d") == 1
    assert shard.run("GETSET", "d", "1") == text + b"2"
    assert shard.run("GETDEL", "c") == text + b"2"
    assert shard.run("EXISTS", "c") == 0


def test_the_longest_string_that_is_allowed_can_be_made_at_once(shard: Driver) -> None:
    longest = strings.STRING_BYTES_MAX
    assert shard.run("SETRANGE", "a", longest - 1, "x") == longest
    assert shard.run("GETRANGE", "a", -2, -1) == b"\0x"
    assert shard.run("SETRANGE", "a", longest - 1, "yz") == TOO_LONG
    assert shard.run("APPEND", "a", "x") == TOO_LONG
    assert shard.run("APPEND", "a", "") == longest
