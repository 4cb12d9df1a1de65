"""Commands that may wait, where they need not: what they answer, and what they would wait for."""

from __future__ import annotations

import pytest

from trimaran.node.commands import Context, blocking
from trimaran.node.commands.blocking import Waiting, is_nothing, narrowed, waiting_of
from trimaran.node.data.waiters import ALL, Need
from trimaran.node.errors import CommandError
from trimaran.proto.reply import NULL_ARRAY, Reply

from ...model.driver import Driver, words

HANDLERS = {
    b"BLPOP": blocking.blpop,
    b"BRPOP": blocking.brpop,
    b"BLMOVE": blocking.blmove,
    b"BRPOPLPUSH": blocking.brpoplpush,
    b"BLMPOP": blocking.blmpop,
    b"BZPOPMIN": blocking.bzpopmin,
    b"BZPOPMAX": blocking.bzpopmax,
    b"BZMPOP": blocking.bzmpop,
}


def run(shard: Driver, text: str) -> Reply:
    args = words(*text.split())
    shard.keys.enter(0, shard.now_ms, is_read=False)
    return HANDLERS[args[0]](shard.keys, args, Context(0, shard.now_ms, 1))


@pytest.fixture
def shard() -> Driver:
    shard = Driver()
    shard.run("RPUSH", "l", "1", "2", "3")
    shard.run("ZADD", "z", "1", "a", "2.5", "b")
    shard.run("SET", "text", "x")
    return shard


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("BLPOP none l 0", [b"l", b"1"]),
        ("BRPOP l none 0", [b"l", b"3"]),
        ("BLMOVE l m LEFT RIGHT 0", b"1"),
        ("BRPOPLPUSH l m 0", b"3"),
        ("BLMPOP 0 2 none l LEFT COUNT 2", [b"l", [b"1", b"2"]]),
        ("BZPOPMIN none z 0", [b"z", b"a", 1.0]),
        ("BZPOPMAX z 0", [b"z", b"b", 2.5]),
        ("BZMPOP 0 1 z MAX", [b"z", [[b"b", 2.5]]]),
    ],
)
def test_what_is_there_is_taken(shard: Driver, command: str, expected: Reply) -> None:
    reply = run(shard, command)
    assert reply == expected
    assert not is_nothing(reply)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("BLPOP none 0", NULL_ARRAY),
        ("BRPOP none 0", NULL_ARRAY),
        ("BLMOVE none l LEFT RIGHT 0", None),
        ("BRPOPLPUSH none text 0", None),
        ("BLMPOP 0 1 none LEFT", NULL_ARRAY),
        ("BZPOPMIN none 0", NULL_ARRAY),
        ("BZMPOP 0 1 none MIN", NULL_ARRAY),
    ],
)
def test_nothing_is_never_what_a_success_answers(
    shard: Driver, command: str, expected: Reply
) -> None:
    before = shard.keys.digest()
    reply = run(shard, command)
    assert reply == expected
    assert is_nothing(reply)
    assert shard.keys.digest() == before


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("BLPOP l x", "timeout is not a float or out of range"),
        ("BLPOP l nan", "timeout is not a float or out of range"),
        ("BRPOP l -1", "timeout is negative"),
        ("BLPOP l 1e30", "timeout is negative"),
        ("BLPOP l inf", "timeout is negative"),
        ("BLPOP none text l 0", "Operation against a key holding the wrong kind of value"),
        ("BLMOVE l m LEFT BOGUS x", "syntax error"),
        ("BLMOVE l m LEFT LEFT x", "timeout is not a float or out of range"),
        ("BLMOVE l text LEFT LEFT 0", "Operation against a key holding the wrong kind of value"),
        ("BLMPOP x 1 l LEFT", "timeout is not a float or out of range"),
        ("BLMPOP 0 0 l LEFT", "numkeys should be greater than 0"),
        ("BZPOPMIN l 0", "Operation against a key holding the wrong kind of value"),
        ("BZMPOP 0 2 z MIN", "syntax error"),
    ],
)
def test_errors_are_those_of_redis_and_wait_for_nothing(
    shard: Driver, command: str, error: str
) -> None:
    before = shard.keys.digest()
    with pytest.raises(CommandError, match=error):
        run(shard, command)
    assert shard.keys.digest() == before


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("BLPOP a b a 0", Waiting((b"a", b"b"), Need.LIST, 0)),
        ("BRPOP a 0.0015", Waiting((b"a",), Need.LIST, 2)),
        ("BLMOVE a b LEFT LEFT 1.5", Waiting((b"a",), Need.LIST, 1_500)),
        ("BRPOPLPUSH a b 0x10", Waiting((b"a",), Need.LIST, 16_000)),
        ("BLMPOP 1 2 a b LEFT COUNT 5", Waiting((b"a", b"b"), Need.LIST, 1_000, 5)),
        ("BZPOPMAX a b 1", Waiting((b"a", b"b"), Need.SORTED_SET, 1_000)),
        ("BZMPOP 1 1 a MIN", Waiting((b"a",), Need.SORTED_SET, 1_000)),
        (
            "XREAD COUNT 2 BLOCK 50 STREAMS a b a 0-1 0-2 0-3",
            Waiting((b"a", b"b"), Need.STREAM, 50, 0, b"", (b"0-1", b"0-2"), has_others=True),
        ),
        (
            "XREADGROUP GROUP g c BLOCK 0 STREAMS a >",
            Waiting((b"a",), Need.GROUP, 0, ALL, b"g", (b">",)),
        ),
        (
            "XREADGROUP GROUP g c COUNT 3 BLOCK 0 STREAMS a >",
            Waiting((b"a",), Need.GROUP, 0, 3, b"g", (b">",)),
        ),
        ("XREADGROUP GROUP g c BLOCK 0 STREAMS a 0", None),
        ("XREAD STREAMS a 0", None),
        ("BLPOP a x", None),
        ("BLMOVE a b LEFT BOGUS 0", None),
        ("BZMPOP 1 2 a MIN", None),
        ("LPOP a", None),
    ],
)
def test_a_door_is_told_what_a_command_waits_for(command: str, expected: Waiting | None) -> None:
    assert waiting_of(words(*command.split())) == expected


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("BLPOP a b 0", "BLPOP b 0"),
        ("BZPOPMIN b a 0", "BZPOPMIN b 0"),
        ("BLMPOP 1 2 a b LEFT COUNT 5", "BLMPOP 1 1 b LEFT COUNT 5"),
        ("BZMPOP 1 2 b a MAX", "BZMPOP 1 1 b MAX"),
        ("BLMOVE b x LEFT LEFT 0", "BLMOVE b x LEFT LEFT 0"),
        ("XREAD BLOCK 0 STREAMS a b 1-1 2-2", "XREAD BLOCK 0 STREAMS b 2-2"),
    ],
)
def test_a_turn_is_for_one_key(command: str, expected: str) -> None:
    assert narrowed(words(*command.split()), b"b") == words(*expected.split())
