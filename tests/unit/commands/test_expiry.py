"""Expiry by the stamps of entries, and what reads may say about it (correctness A2)."""

from __future__ import annotations

import pytest

from trimaran.node.commands.internal import EXPIRE
from trimaran.proto.reply import ErrorReply

from ...model.driver import Driver, Word


@pytest.fixture
def shard() -> Driver:
    shard = Driver(now_ms=1_000_000)
    shard.run("SET", "a", "1")
    return shard


@pytest.mark.parametrize(
    ("command", "time", "at_ms"),
    [
        ("EXPIRE", 10, 1_010_000),
        ("PEXPIRE", 10, 1_000_010),
        ("EXPIREAT", 1010, 1_010_000),
        ("PEXPIREAT", 1_000_010, 1_000_010),
    ],
)
def test_expire_sets_the_time_all_questions_answer(
    shard: Driver, command: str, time: int, at_ms: int
) -> None:
    assert shard.run(command, "a", time) == 1
    assert shard.run("PEXPIRETIME", "a") == at_ms
    assert shard.run("EXPIRETIME", "a") == (at_ms + 500) // 1000
    assert shard.run("PTTL", "a") == at_ms - 1_000_000
    assert shard.run("TTL", "a") == (at_ms - 1_000_000 + 500) // 1000


@pytest.mark.parametrize("question", ["TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"])
def test_without_expiry_or_key_questions_answer_minus_one_and_two(
    shard: Driver, question: str
) -> None:
    assert shard.run(question, "a") == -1
    assert shard.run(question, "absent") == -2


@pytest.mark.parametrize("command", ["EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT"])
def test_a_time_that_is_past_removes_the_key(shard: Driver, command: str) -> None:
    assert shard.run(command, "a", -5) == 1
    assert shard.run("DBSIZE") == 0
    assert shard.run(command, "a", -5) == 0


@pytest.mark.parametrize(
    ("old", "option", "new", "is_set"),
    [
        (None, "NX", 100, 1),
        (100, "NX", 200, 0),
        (None, "XX", 100, 0),
        (100, "XX", 50, 1),
        (None, "GT", 100, 0),
        (100, "GT", 100, 0),
        (100, "GT", 101, 1),
        (None, "LT", 100, 1),
        (100, "LT", 100, 0),
        (100, "lt", 99, 1),
    ],
)
def test_expire_options(shard: Driver, old: int | None, option: str, new: int, is_set: int) -> None:
    if old is not None:
        shard.run("EXPIRE", "a", old)
    assert shard.run("EXPIRE", "a", new, option) == is_set
    assert shard.run("TTL", "a") == (new if is_set else -1 if old is None else old)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("NX", "GT"), "NX and XX, GT or LT options at the same time are not compatible"),
        (("GT", "LT"), "GT and LT options at the same time are not compatible"),
        (("XX", "b\r\nad"), "Unsupported option b  ad"),
    ],
)
def test_expire_options_that_do_not_fit_are_refused(
    shard: Driver, options: tuple[Word, ...], text: str
) -> None:
    assert shard.run("EXPIRE", "a", 100, *options) == ErrorReply("ERR", text)


@pytest.mark.parametrize("command", ["expire", "pexpire", "expireat", "pexpireat"])
@pytest.mark.parametrize("time", [2**63 - 1, -(2**63)])
def test_a_time_that_overflows_is_refused(shard: Driver, command: str, time: int) -> None:
    fits = command in ("pexpireat", "pexpire") and not (command == "pexpire" and time > 0)
    expected = ErrorReply("ERR", f"invalid expire time in '{command}' command")
    assert shard.run(command, "a", time) == (1 if fits else expected)


def test_persist_takes_the_expiry_once(shard: Driver) -> None:
    shard.run("EXPIRE", "a", 10)
    assert [shard.run("PERSIST", "a") for _ in range(2)] == [1, 0]
    shard.now_ms += 20_000
    assert shard.run("GET", "a") == b"1"


def test_a_read_of_a_due_key_waits_for_its_expiry_to_be_logged(shard: Driver) -> None:
    shard.run("PEXPIRE", "a", 100)
    shard.now_ms += 100
    assert shard.run("GET", "a") is None
    assert shard.expiries == 1
    assert shard.run("GET", "a") is None
    assert shard.expiries == 1  # Its log says so by now.


def test_a_listing_waits_once_for_all_that_is_due(shard: Driver) -> None:
    for number in range(100):
        shard.run("SET", number, "", "PX", 100)
    shard.now_ms += 100
    assert shard.run("KEYS", "*") == [b"a"]
    assert shard.expiries == 1


def test_the_expiry_command_removes_only_what_is_due_by_its_stamp(shard: Driver) -> None:
    shard.run("SET", "due", "", "PX", 100)
    shard.run("SET", "later", "", "PX", 101)
    shard.run("SET", "again", "", "PX", 50)
    shard.now_ms += 100
    shard.run("SET", "again", "")  # Written after the leader had seen it due.
    due = [key for _, key in shard.keys.due(shard.now_ms, 10)]
    assert due == [b"due"]
    assert shard.apply([EXPIRE, b"due", b"later", b"again", b"a", b"absent"]) == 1
    assert shard.run("DBSIZE") == 3
    assert shard.keys.due(shard.now_ms, 10) == []
