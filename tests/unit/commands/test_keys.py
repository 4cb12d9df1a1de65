"""Commands on keys of any type, and walks; also compared with Redis in tests/model/."""

from __future__ import annotations

import pytest

from trimaran.node.commands import keys as keys_module
from trimaran.proto.reply import OK, ErrorReply, Status

from ...model.driver import Driver, Word


@pytest.fixture
def shard() -> Driver:
    shard = Driver()
    for name in ("a", "b", "c"):
        shard.run("SET", name, "1")
    return shard


def scan(shard: Driver, *options: Word) -> list[bytes]:
    found: list[bytes] = []
    cursor: Word = 0
    while True:
        reply = shard.run("SCAN", cursor, *options)
        assert isinstance(reply, list)
        cursor = reply[0]
        found += reply[1]
        if cursor == b"0":
            return sorted(found)


@pytest.mark.parametrize("command", ["DEL", "UNLINK"])
def test_del_counts_what_was_there(shard: Driver, command: str) -> None:
    assert shard.run(command, "a", "a", "b", "absent") == 2
    assert shard.run("DBSIZE") == 1


@pytest.mark.parametrize("command", ["EXISTS", "TOUCH"])
def test_exists_counts_a_key_as_often_as_it_is_named(shard: Driver, command: str) -> None:
    assert shard.run(command, "a", "a", "b", "absent") == 3


def test_type_is_a_status(shard: Driver) -> None:
    assert shard.run("TYPE", "a") == Status("string")
    assert shard.run("TYPE", "absent") == Status("none")


def test_flushdb_empties_one_database_and_flushall_all(shard: Driver) -> None:
    for db in (1, 2):
        shard.run("SET", "x", "1", db=db)
    assert shard.run("FLUSHDB", db=1) == OK
    assert [shard.run("DBSIZE", db=db) for db in (0, 1, 2)] == [3, 0, 1]
    assert shard.run("FLUSHALL", "ASYNC", db=1) == OK
    assert [shard.run("DBSIZE", db=db) for db in (0, 1, 2)] == [0, 0, 0]


def test_scan_walks_one_database_with_match_count_and_type(shard: Driver) -> None:
    for number in range(100):
        shard.run("SET", f"key:{number}", "1")
    shard.run("SET", "elsewhere", "1", db=1)
    assert len(scan(shard)) == 103
    assert scan(shard, "MATCH", "[ab]", "COUNT", 7) == [b"a", b"b"]
    assert scan(shard, "TYPE", "STRING", "MATCH", "?") == [b"a", b"b", b"c"]
    assert scan(shard, "TYPE", "list") == []


def test_scan_answers_a_page_at_a_time(shard: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(100):
        shard.run("SET", f"key:{number}", "1")
    reply = shard.run("SCAN", 0)
    assert isinstance(reply, list)
    assert len(reply[1]) == keys_module.SCAN_COUNT
    monkeypatch.setattr(keys_module, "SCAN_COUNT_MAX", 20)
    reply = shard.run("SCAN", 0, "COUNT", 1_000_000)
    assert isinstance(reply, list)
    assert len(reply[1]) == 20


def test_scan_ends_with_the_page_that_holds_the_last_key(shard: Driver) -> None:
    reply = shard.run("SCAN", 0, "COUNT", 3)
    assert isinstance(reply, list)
    assert reply[0] == b"0"


def test_scan_refuses_what_is_no_cursor(shard: Driver) -> None:
    assert shard.run("SCAN", "x") == ErrorReply("ERR", "invalid cursor")


def test_keys_are_listed_in_the_same_order_on_every_replica_where_it_matters(shard: Driver) -> None:
    other = Driver()
    for name in ("c", "b", "gone", "a"):
        other.run("SET", name, "1")
    other.run("DEL", "gone")
    # As in a script that may write.
    assert shard.apply([b"KEYS", b"*"]) == other.apply([b"KEYS", b"*"])
    listed = shard.run("KEYS", "*")
    assert isinstance(listed, list)
    assert sorted(listed) == [b"a", b"b", b"c"]


def test_randomkey_finds_every_key_in_time(shard: Driver) -> None:
    found = set()
    for _ in range(200):
        shard.index += 1  # The driver seeds by it.
        found.add(shard.run("RANDOMKEY"))
    assert found == {b"a", b"b", b"c"}
    shard.run("FLUSHALL")
    assert shard.run("RANDOMKEY") is None


def test_randomkey_never_answers_a_key_that_is_due(shard: Driver) -> None:
    for number in range(1000):
        shard.run("SET", f"due:{number}", "", "PX", 10)
    shard.now_ms += 10
    shard.keys.begin_entry(shard.index + 1, shard.now_ms)  # Due by the log, and not removed.
    shard.run("DEL", "b", "c")
    for _ in range(20):
        shard.index += 1
        assert shard.run("RANDOMKEY") == b"a"
    shard.run("DEL", "a")
    assert shard.run("RANDOMKEY") is None


# --- To another name, to another database.


def test_rename_takes_the_expiry_along_and_replaces_that_of_the_target(shard: Driver) -> None:
    shard.run("PEXPIRE", "a", 500)
    shard.run("PEXPIRE", "b", 900)
    assert shard.run("RENAME", "a", "b") == OK
    assert shard.run("PTTL", "b") == 500
    assert shard.run("EXISTS", "a") == 0
    assert shard.run("RENAME", "c", "b") == OK
    assert shard.run("PTTL", "b") == -1


def test_renamenx_takes_the_name_of_a_key_that_has_expired(shard: Driver) -> None:
    shard.run("PEXPIRE", "b", 500)
    assert shard.run("RENAMENX", "a", "b") == 0
    shard.now_ms += 500
    assert shard.run("RENAMENX", "a", "b") == 1
    assert shard.run("PTTL", "b") == -1
    assert shard.run("RENAME", "a", "x") == ErrorReply("ERR", "no such key")


def test_copy_takes_the_expiry_along(shard: Driver) -> None:
    shard.run("PEXPIRE", "a", 500)
    assert shard.run("COPY", "a", "b") == 0
    assert shard.run("COPY", "a", "b", "REPLACE") == 1
    assert shard.run("PTTL", "b") == 500
    assert shard.run("COPY", "a", "a", "DB", 1) == 1
    assert shard.run("PTTL", "a", db=1) == 500
    assert shard.run("COPY", "c", "a", "DB", 1, "REPLACE") == 1
    assert shard.run("PTTL", "a", db=1) == -1
    assert shard.run("EXISTS", "a", "b", "c") == 3


def test_move_takes_the_key_to_another_database_unless_it_is_there(shard: Driver) -> None:
    shard.run("PEXPIRE", "a", 500)
    assert shard.run("MOVE", "a", 1) == 1
    assert shard.run("EXISTS", "a") == 0
    assert shard.run("PTTL", "a", db=1) == 500
    shard.run("SET", "a", "new")
    assert shard.run("MOVE", "a", 1) == 0
    shard.now_ms += 500
    assert shard.run("MOVE", "a", 1) == 1
    assert shard.run("GET", "a", db=1) == b"new"


def test_commands_on_two_databases_leave_the_first_one_entered() -> None:
    """In a transaction the next command of the same database follows."""
    shard = Driver()
    for args in (("MOVE", "a", 1), ("COPY", "a", "b", "DB", 1), ("MOVE", "absent", 1)):
        shard.run("SET", "a", "1", db=2)
        shard.run(*args, db=2)
        shard.keys.put(b"mark", b"x")
        assert shard.run("DEL", "mark", db=2) == 1


@pytest.mark.parametrize("cursor", ["-1", "+5", "18446744073709551615", "0\0junk", "0" * 9000])
def test_any_number_is_a_cursor_and_what_comes_back_is_below_2_to_the_53(
    shard: Driver, cursor: str
) -> None:
    reply = shard.run("SCAN", cursor)
    assert isinstance(reply, list)
    assert int(reply[0]) < 1 << 53


@pytest.mark.parametrize("cursor", [" 0", "0x", "-", "9" * 9000, "-18446744073709551616"])
def test_what_redis_takes_for_no_number_is_no_cursor(shard: Driver, cursor: str) -> None:
    assert shard.run("SCAN", cursor) == ErrorReply("ERR", "invalid cursor")
