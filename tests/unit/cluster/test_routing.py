"""Which shards a command goes to, and one reply out of theirs."""

from __future__ import annotations

from trimaran.cluster.command import KeyRange
from trimaran.cluster.commands import COMMANDS
from trimaran.cluster.key_specs import keys_and_flags
from trimaran.cluster.routing import (
    CURSOR_END,
    databases_apart,
    join_all,
    join_split,
    named_database,
    next_scan_cursor,
    not_in_cluster,
    parse_cursor,
    shards_of,
    slot_of_keys,
    split_keys,
)
from trimaran.cluster.slots import shard_of, slot_of
from trimaran.proto.reply import OK, ErrorReply, Reply

SHARDS = 16


def shards(text: bytes, db: int = 0, count: int = SHARDS) -> list[int]:
    args = text.split()
    return list(shards_of(COMMANDS[args[0]], db, args, count))


def test_keys_are_found_by_first_last_and_step() -> None:
    args = [b"NAME", b"a", b"b", b"c", b"d"]
    assert list(KeyRange(0, 0, 0).of(args)) == []
    assert list(KeyRange(1, 1, 1).of(args)) == [b"a"]
    assert list(KeyRange(2, 2, 1).of(args)) == [b"b"]
    assert list(KeyRange(1, 2, 1).of(args)) == [b"a", b"b"]
    assert list(KeyRange(1, -1, 1).of(args)) == [b"a", b"b", b"c", b"d"]
    assert list(KeyRange(1, -2, 1).of(args)) == [b"a", b"b", b"c"]
    assert list(KeyRange(1, -1, 2).of(args)) == [b"a", b"c"]


def keys_of(text: bytes) -> list[bytes]:
    args = text.split()
    return list(COMMANDS[args[0]].keys_of(args))


def test_keys_that_stand_behind_a_number_are_found() -> None:
    assert keys_of(b"SINTERCARD 2 a b LIMIT 1") == [b"a", b"b"]
    assert keys_of(b"SINTERCARD 9 a") == keys_of(b"SINTERCARD x a") == []


def test_the_target_of_sort_is_found_behind_its_word() -> None:
    assert keys_of(b"SORT a BY store GET # STORE d") == [b"a", b"d"]
    assert keys_of(b"SORT a LIMIT store store DESC store d store e") == [b"a", b"e"]
    assert keys_of(b"SORT a STORE") == keys_of(b"SORT_RO a STORE d") == [b"a"]
    found = keys_and_flags(COMMANDS[b"SORT"], b"SORT a GET # STORE d".split())
    assert isinstance(found, list)
    assert [(key, [flag.text for flag in flags.members]) for key, flags in found] == [
        (b"a", ["RO", "access"]), (b"d", ["OW", "update"]),
    ]  # fmt: skip


def test_a_command_on_one_key_goes_to_the_shard_of_the_key() -> None:
    assert shards(b"GET foo") == shards(b"SET foo 1") == [shard_of(0, b"foo", SHARDS)]


def test_a_local_command_goes_nowhere() -> None:
    assert shards(b"PING") == []
    assert shards(b"PING", db=3) == []


def test_commands_on_many_keys_name_each_shard_once() -> None:
    expected = [shard_of(0, b"foo", SHARDS), shard_of(0, b"bar", SHARDS)]
    assert shards(b"MGET foo bar foo {foo}x") == expected
    assert shards(b"MSET foo bar {foo}2 foo") == expected[:1]  # Values are no keys.


def test_commands_on_a_whole_database_go_to_all_its_shards() -> None:
    assert shards(b"DBSIZE") == list(range(SHARDS))
    assert shards(b"DBSIZE", db=3) == [3]
    assert shards(b"KEYS *", count=1) == [0]


def test_every_command_of_another_database_goes_to_its_one_shard() -> None:
    for text in (b"GET foo", b"MGET foo bar", b"MSET foo 1 bar 2", b"SCAN 0", b"FLUSHDB"):
        assert shards(text, db=5) == [5]
        assert shards(text, db=5, count=4) == [1]


def test_the_slot_of_many_keys_is_theirs_only_if_they_agree() -> None:
    row = COMMANDS[b"MGET"]
    assert slot_of_keys(row, [b"MGET", b"{a}1", b"{a}2"]) == slot_of(b"a")
    assert slot_of_keys(row, [b"MGET", b"a", b"b"]) is None
    assert slot_of_keys(COMMANDS[b"GET"], [b"GET", b"a"]) == slot_of(b"a")


def test_a_split_command_asks_each_shard_once_and_joins_in_the_order_asked() -> None:
    keys = [b"key:%d" % number for number in range(40)] + [b"key:3"]
    row = COMMANDS[b"MGET"]
    parts = split_keys(row, 0, [b"MGET", *keys], SHARDS)
    assert len({part.shard for part in parts}) == len(parts)
    replies: list[Reply] = []
    for part in parts:
        assert part.args[0] == b"MGET"
        assert {shard_of(0, key, SHARDS) for key in part.args[1:]} == {part.shard}
        replies.append([b"value of " + key for key in part.args[1:]])
    assert join_split(row, parts, replies) == [b"value of " + key for key in keys]


def test_counts_of_a_split_command_are_added() -> None:
    row = COMMANDS[b"DEL"]
    parts = split_keys(row, 0, [b"DEL", b"foo", b"bar"], SHARDS)
    assert join_split(row, parts, [1, 1]) == 2


def test_an_error_of_one_shard_is_the_reply_of_all() -> None:
    error = ErrorReply("UNCERTAIN", "who knows")
    parts = split_keys(COMMANDS[b"DEL"], 0, [b"DEL", b"foo", b"bar"], SHARDS)
    assert join_split(COMMANDS[b"DEL"], parts, [1, error]) == error
    assert join_all(COMMANDS[b"FLUSHALL"], [OK, error], 0) == error


def test_replies_of_all_shards_become_one() -> None:
    assert join_all(COMMANDS[b"DBSIZE"], [1, 2, 3], 0) == 6
    assert join_all(COMMANDS[b"KEYS"], [[b"a"], [], [b"b"]], 0) == [b"a", b"b"]
    assert join_all(COMMANDS[b"FLUSHALL"], [OK, OK], 0) == OK
    assert join_all(COMMANDS[b"RANDOMKEY"], [None, b"a", b"b"], 0.0) == b"a"
    assert join_all(COMMANDS[b"RANDOMKEY"], [None, b"a", b"b"], 0.99) == b"b"
    assert join_all(COMMANDS[b"RANDOMKEY"], [None, None], 0.5) is None


def test_scan_goes_through_the_shards_one_after_the_other() -> None:
    asked, visited = b"0", []
    while True:
        visited.extend(shards(b"SCAN " + asked))
        asked = next_scan_cursor(asked, b"0", 0, SHARDS)
        if asked == b"0":
            break
    assert visited == list(range(SHARDS))


def test_scan_stays_in_a_shard_that_has_more() -> None:
    assert next_scan_cursor(b"0", b"77", 0, SHARDS) == b"77"
    assert next_scan_cursor(b"0", b"0", 3, SHARDS) == b"0"  # Whole on one shard.
    assert next_scan_cursor(b"0", b"0", 0, 1) == b"0"


def test_a_cursor_is_any_64_bit_number_and_never_breaks_the_routing() -> None:
    assert parse_cursor(b"12") == 12
    assert parse_cursor(b"") == parse_cursor(b"+0") == parse_cursor(b"0\0x") == 0
    assert parse_cursor(b"-1") == CURSOR_END  # Redis takes it for 2**64 - 1.
    assert parse_cursor(b"-18446744073709551615") == 1
    assert parse_cursor(b"18446744073709551615") == CURSOR_END < 1 << 53
    assert shards(b"SCAN 18446744073709551615") == [SHARDS - 1]
    assert next_scan_cursor(b"18446744073709551615", b"0", 0, SHARDS) == b"0"
    for text in (b"x", b"-", b" 1", b"1.0", b"18446744073709551616", b"9" * 5000, b"\xb2"):
        assert parse_cursor(text) is None
    assert shards(b"SCAN x") == [0]


# --- MOVE, and COPY with DB.


def named(text: bytes) -> int | None:
    args = text.split(b" ")
    return named_database(COMMANDS[args[0]], args)


def apart(text: bytes, db: int, count: int = SHARDS) -> str | None:
    args = text.split()
    return databases_apart(COMMANDS[args[0]], db, args, count)


def test_the_second_database_is_found_as_redis_finds_it() -> None:
    assert named(b"MOVE a 3") == named(b"COPY a b DB 3") == named(b"COPY a b REPLACE db 3") == 3
    assert named(b"COPY a b DB 1 DB 3") == 3  # The last one counts.
    assert named(b"COPY a b DB DB DB 3") == 3
    assert named(b"COPY a b") is None
    assert named(b"COPY DB 5") is None  # Names of keys.
    for wrong in (b"16", b"-1", b"x", b"01", b"", b"9" * 5000, b"\xb2"):
        assert named(b"MOVE a " + wrong) is None
        assert named(b"COPY a b DB " + wrong) is None


def test_two_databases_on_different_shards_are_told_apart_with_their_shards() -> None:
    assert shards(b"MOVE a 3", db=2) == [2, 3]
    assert shards(b"COPY a b DB 3", db=2) == [2, 3]
    text = apart(b"COPY a b DB 3", db=2)
    assert text is not None
    assert "database 2 on shard 2, database 3 on shard 3" in text
    text = apart(b"MOVE foo 3", db=0)
    assert text is not None
    assert "this key of database 0 on shard 11, database 3 on shard 3" in text


def test_two_databases_on_one_shard_go_together() -> None:
    assert shards(b"MOVE a 3", db=2, count=4) == [0]
    assert shards(b"COPY a b DB 3", db=2, count=4) == [0]
    assert shards(b"MOVE foo 3", count=1) == shards(b"COPY foo bar DB 3", count=1) == [0]
    assert shards(b"MOVE foo 11") == [11]  # Where this key of database 0 happens to be.
    assert apart(b"MOVE foo 11", db=0) is None
    assert apart(b"COPY foo bar DB 0", db=0) is None  # Two keys too far apart, not databases.
    assert shards(b"COPY foo bar") == [shard_of(0, b"foo", SHARDS), shard_of(0, b"bar", SHARDS)]


def test_at_the_cluster_door_there_is_one_database() -> None:
    move, copy = COMMANDS[b"MOVE"], COMMANDS[b"COPY"]
    assert not_in_cluster(move, [b"MOVE", b"a", b"x"]) == "MOVE is not allowed in cluster mode"
    assert not_in_cluster(copy, [b"COPY", b"a", b"b", b"DB", b"0"]) is None
    assert (
        not_in_cluster(copy, [b"COPY", b"a", b"b", b"DB", b"1"])
        == "Copying to another database is not allowed in cluster mode"
    )
