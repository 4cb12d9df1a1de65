"""The +0 door: commands over several shards are split and joined, or refused with the way out."""

from __future__ import annotations

import pytest

from trimaran.node.errors import NoQuorum, OutcomeUnknown
from trimaran.node.request import Done, NotApplied, Unknown
from trimaran.proto.reply import OK

from .fakes import Client, MemoryRouter, Rig, Router
from .test_order import key_on

KEYS = [key_on(shard) for shard in range(4)]
WAY_OUT = (
    "CROSSSLOT Keys in request don't hash to the same slot (database 0 is sharded here: use one"
    " {tag}, or SELECT 1..15)"
)


@pytest.fixture
def client() -> Client:
    client = Rig(MemoryRouter()).client()
    for number, key in enumerate(KEYS):
        client.send([b"SET", key, b"%d" % number])
    assert client.replies() == [b"OK"] * 4
    return client


def test_values_of_keys_in_several_shards_come_in_the_order_asked(client: Client) -> None:
    asked = [KEYS[2], b"none", KEYS[0], KEYS[3], KEYS[2]]
    assert client.ask([b"MGET", *asked]) == [b"2", None, b"0", b"3", b"2"]


def test_keys_in_several_shards_are_counted_and_removed(client: Client) -> None:
    assert client.ask([b"EXISTS", *KEYS, KEYS[0], b"none"]) == 5
    assert client.ask([b"TOUCH", *KEYS]) == 4
    assert client.ask([b"DEL", KEYS[0], KEYS[1], b"none"]) == 2
    assert client.ask([b"UNLINK", *KEYS]) == 2
    assert client.ask(b"DBSIZE") == 0


def test_the_whole_database_is_counted_listed_and_emptied(client: Client) -> None:
    assert client.ask(b"DBSIZE") == 4
    assert sorted(client.ask(b"KEYS *")) == sorted(KEYS)
    assert client.ask(b"RANDOMKEY") in KEYS
    assert client.ask(b"FLUSHDB") == b"OK"
    assert client.ask(b"DBSIZE") == 0
    assert client.ask(b"RANDOMKEY") is None


def test_scan_walks_all_shards_once(client: Client) -> None:
    for number in range(200):
        client.send(b"SET scan:%d x" % number)
    client.replies()
    cursor, found = b"0", []
    while True:
        cursor, keys = client.ask([b"SCAN", cursor, b"COUNT", b"7"])
        found += keys
        if cursor == b"0":
            break
        assert int(cursor) < 2**53
    assert sorted(found) == sorted([*KEYS, *(b"scan:%d" % number for number in range(200))])


def test_a_cursor_that_is_none_is_refused(client: Client) -> None:
    assert client.ask(b"SCAN x") == "ERR invalid cursor"


def test_flushall_empties_every_database_from_any(client: Client) -> None:
    client.ask(b"SELECT 9", b"SET k 1")
    assert client.ask(b"SELECT 3", b"FLUSHALL") == b"OK"
    assert client.ask(b"SELECT 9", b"DBSIZE") == 0
    assert client.ask(b"SELECT 0", b"DBSIZE") == 0


def test_other_commands_over_several_shards_are_refused_with_the_way_out(client: Client) -> None:
    assert client.ask([b"MSET", KEYS[0], b"a", KEYS[1], b"b"]) == WAY_OUT
    assert client.ask([b"MGET", *KEYS[:2]]) == [b"0", b"1"]
    assert client.ask(b"MSET {t}a 1 {t}b 2") == b"OK"


def test_databases_from_1_hold_any_keys_together(client: Client) -> None:
    assert client.ask(b"SELECT 1", [b"MSET", KEYS[0], b"a", KEYS[1], b"b"]) == b"OK"
    assert client.ask([b"MGET", *KEYS[:2]]) == [b"a", b"b"]
    assert client.ask(b"DBSIZE") == 2


def test_with_one_shard_database_0_is_whole() -> None:
    client = Rig(MemoryRouter(shards=1)).client()
    assert client.ask([b"MSET", KEYS[0], b"a", KEYS[1], b"b"]) == b"OK"


def test_parts_wait_behind_what_the_connection_sent_before() -> None:
    rig = Rig(Router())
    client = rig.client()
    client.send([b"SET", KEYS[0], b"1"])
    client.send([b"DEL", KEYS[0], KEYS[1]])
    assert [(one.shard, one.commands[0][0]) for one in rig.router.requests] == [
        (0, b"SET"),
        (1, b"DEL"),
    ]
    rig.router.answer(OK, shard=0)
    rig.router.answer(1, shard=1)
    assert client.replies() == [b"OK"]
    rig.router.answer(1, shard=0)
    assert client.replies() == [2]


@pytest.mark.parametrize(
    ("command", "second", "code"),
    [
        (b"DEL", Unknown(OutcomeUnknown("late")), "UNCERTAIN"),
        (b"DEL", NotApplied(NoQuorum("late")), "UNCERTAIN"),  # One part was applied, one was not.
        (b"EXISTS", NotApplied(NoQuorum("late")), "CLUSTERDOWN"),
    ],
)
def test_a_part_that_fails_decides_the_answer_of_the_whole(
    command: bytes, second: Unknown | NotApplied, code: str
) -> None:
    rig = Rig(Router())
    client = rig.client()
    client.send([command, KEYS[0], KEYS[1]])
    rig.router.finish(Done([1]), shard=0)
    rig.router.finish(second, shard=1)
    (reply,) = client.replies()
    assert reply.split()[0] == code


def test_when_no_part_was_applied_the_whole_was_not() -> None:
    rig = Rig(Router())
    client = rig.client()
    client.send([b"DEL", KEYS[0], KEYS[1]])
    rig.router.finish(NotApplied(NoQuorum("late")))
    rig.router.finish(NotApplied(NoQuorum("late")))
    assert client.replies() == ["CLUSTERDOWN late; nothing was applied"]


def test_requests_may_be_passed_on() -> None:
    rig = Rig(Router())
    rig.client().send(b"GET k")
    assert rig.router.take().may_pass_on


# --- Two keys, two databases. With four shards, 1 to 3 live on shard 0 and 4 to 7 on shard 1.

ACROSS = [b"MSETNX %b x %b y", b"RENAME %b %b", b"RENAMENX %b %b", b"COPY %b %b", b"LCS %b %b"]
ACROSS += [b"MSET %b x %b y", b"DEBUG DIGEST-VALUE %b %b"]


@pytest.mark.parametrize("command", ACROSS)
def test_two_keys_on_two_shards_are_refused_with_the_way_out(
    client: Client, command: bytes
) -> None:
    assert client.ask(command % (KEYS[0], KEYS[1])) == WAY_OUT
    same = client.ask(command % (b"{%b}1" % KEYS[0], b"{%b}2" % KEYS[0]))
    assert same == "ERR no such key" or not isinstance(same, str)
    client.ask(b"SELECT 1")
    other = client.ask(command % (KEYS[0], KEYS[1]))
    assert other == "ERR no such key" or not isinstance(other, str)


def test_a_key_moves_between_databases_of_one_shard(client: Client) -> None:
    key = KEYS[0]
    assert client.ask([b"MOVE", key, b"1"]) == 1
    assert client.ask([b"GET", key]) is None
    client.ask(b"SELECT 1")
    assert client.ask([b"GET", key]) == b"0"
    assert client.ask([b"COPY", key, b"other", b"DB", b"3"]) == 1
    assert client.ask([b"MOVE", key, b"0"]) == 1
    client.ask(b"SELECT 3")
    assert client.ask(b"GET other") == b"0"


def test_databases_on_two_shards_are_refused_with_both_and_nothing_changes(client: Client) -> None:
    refused = (
        "CROSSSLOT MOVE from database 0 to database 4 is refused: their keys live on different"
        " shards (this key of database 0 on shard 0, database 4 on shard 1)"
    )
    assert client.ask([b"MOVE", KEYS[0], b"4"]) == refused
    assert client.ask([b"GET", KEYS[0]]) == b"0"
    client.ask(b"SELECT 1")
    client.ask(b"SET a x")
    assert client.ask(b"COPY a b DB 4 REPLACE") == (
        "CROSSSLOT COPY from database 1 to database 4 is refused: their keys live on different"
        " shards (database 1 on shard 0, database 4 on shard 1)"
    )
    reply = client.ask([b"COPY", b"a", KEYS[3], b"DB", b"0"])
    assert reply.startswith("CROSSSLOT COPY from database 1 to database 0")


def test_wrong_words_are_answered_as_by_redis_wherever_they_point(client: Client) -> None:
    assert client.ask([b"MOVE", KEYS[0], b"16"]) == "ERR DB index is out of range"
    assert client.ask([b"MOVE", KEYS[0], b"x"]) == "ERR value is not an integer or out of range"
    assert client.ask([b"COPY", KEYS[0], KEYS[0], b"DB", b"16"]) == "ERR DB index is out of range"
    assert client.ask([b"MOVE", KEYS[3], b"0"]) == "ERR source and destination objects are the same"


def test_in_a_transaction_too_two_databases_on_two_shards_are_refused(client: Client) -> None:
    client.ask(b"SELECT 1")
    client.ask(b"MULTI")
    assert client.ask(b"MOVE a 4").startswith("CROSSSLOT MOVE from database 1 to database 4")
    assert client.ask(b"EXEC").startswith("EXECABORT")
    client.ask(b"MULTI")
    client.ask(b"SET a x")
    client.ask(b"MOVE a 3")
    client.ask(b"SET a y")
    assert client.ask(b"EXEC") == [b"OK", 1, b"OK"]
    assert client.ask(b"GET a") == b"y"


def test_object_and_memory_go_to_the_shard_of_their_key(client: Client) -> None:
    for key in KEYS:
        assert client.ask([b"OBJECT", b"ENCODING", key]) == b"int"
        assert client.ask([b"object", b"RefCount", key]) == 2147483647
        assert client.ask([b"MEMORY", b"USAGE", key]) > 0
        assert client.ask([b"DEBUG", b"OBJECT", key]).startswith(b"Value at:")
    assert client.ask(b"OBJECT ENCODING absent") is None
    assert client.ask(b"OBJECT HELP")[0].startswith(b"OBJECT <subcommand>")
    assert client.ask(b"OBJECT BOGUS a") == "ERR unknown subcommand 'BOGUS'. Try OBJECT HELP."
