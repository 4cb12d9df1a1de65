"""Hashes: what tests/model/ does not reach, or Redis 7.0 does not have."""

from __future__ import annotations

import pytest

from trimaran.cluster.settings import Settings
from trimaran.node.commands import hashes
from trimaran.proto.reply import ErrorReply, MapReply, PairsReply, Reply

from ...model.driver import Driver, copy_of


@pytest.fixture
def shard() -> Driver:
    return Driver(now_ms=1_000_000)


def fill(shard: Driver, count: int, key: str = "h") -> None:
    for number in range(count):
        shard.run("HSET", key, f"f{number}", f"v{number}")


def events(shard: Driver) -> list[str]:
    """What was told of since it was last asked."""
    told = [event for _, event, _ in shard.events]
    shard.events.clear()
    return told


def test_fields_are_set_and_counted_once(shard: Driver) -> None:
    assert shard.run("HSET", "h", "a", "1", "b", "2", "a", "3") == 2
    assert shard.run("HSET", "h", "a", "4", "c", "5") == 1
    assert shard.run("HMGET", "h", "a", "b", "c", "d") == [b"4", b"2", b"5", None]
    assert shard.run("HGETALL", "h") == MapReply(((b"a", b"4"), (b"b", b"2"), (b"c", b"5")))


def test_the_last_field_takes_the_key_along(shard: Driver) -> None:
    shard.run("HSET", "h", "a", "1", "b", "2")
    assert shard.run("HDEL", "h", "a", "a", "x") == 1
    assert shard.run("HDEL", "h", "b") == 1
    assert shard.run("EXISTS", "h") == 0
    assert shard.keys.memory_bytes == 0


@pytest.mark.parametrize("count", [3, 100, 1000])
def test_the_encoding_is_what_redis_would_call_it(shard: Driver, count: int) -> None:
    fill(shard, count)
    assert shard.run("OBJECT", "ENCODING", "h") == (b"listpack" if count <= 512 else b"hashtable")
    shard.run("HSET", "h", "long", "x" * 65)
    assert shard.run("OBJECT", "ENCODING", "h") == b"hashtable"
    shard.run("HDEL", "h", "long")
    assert shard.run("OBJECT", "ENCODING", "h") == b"hashtable"  # For good.
    shard.run("COPY", "h", "other")
    assert shard.run("OBJECT", "ENCODING", "other") == b"hashtable"
    shard.keys = copy_of(shard.keys)
    assert shard.run("OBJECT", "ENCODING", "h") == b"hashtable"


def test_the_settings_of_the_entry_decide_the_encoding(shard: Driver) -> None:
    shard.settings = Settings(hash_max_listpack_entries=2, hash_max_listpack_value=5)
    shard.run("HSET", "h", "a", "12345", "b", "2")
    assert shard.run("OBJECT", "ENCODING", "h") == b"listpack"
    shard.run("HSET", "h", "c", "3")
    assert shard.run("OBJECT", "ENCODING", "h") == b"hashtable"
    shard.run("HSET", "g", "a", "123456")
    assert shard.run("OBJECT", "ENCODING", "g") == b"hashtable"


def test_a_number_keeps_its_encoding_however_it_is_counted_up(shard: Driver) -> None:
    shard.run("HSET", "h", "a", "1")
    assert shard.run("HINCRBY", "h", "a", "41") == 42
    assert shard.run("HINCRBYFLOAT", "h", "a", "0.5") == b"42.5"
    assert shard.run("HINCRBY", "h", "a", "1") == ErrorReply("ERR", "hash value is not an integer")
    assert shard.run("OBJECT", "ENCODING", "h") == b"listpack"


def test_what_happens_is_told_as_redis_tells_it(shard: Driver) -> None:
    shard.settings = Settings(notify_keyspace_events="KA")
    for command, expected in {
        "HSET h a 1 b 2": ["hset"],
        "HMSET h c 3": ["hset"],
        "HSETNX h a 1": [],
        "HSETNX h d 1": ["hset"],
        "HINCRBY h d 1": ["hincrby"],
        "HINCRBYFLOAT h d 1": ["hincrbyfloat"],
        "HDEL h x": [],
        "HDEL h a": ["hdel"],
        "HEXPIRE h 10 FIELDS 1 b": ["hexpire"],
        "HEXPIRE h 10 GT FIELDS 1 d": [],
        "HPERSIST h FIELDS 1 d": [],
        "HPERSIST h FIELDS 1 b": ["hpersist"],
        "HGETEX h FIELDS 1 b": [],
        "HGETEX h EX 10 FIELDS 1 b": ["hexpire"],
        "HGETEX h PERSIST FIELDS 2 b c": ["hpersist"],
        "HEXPIRE h 0 FIELDS 1 b": ["hdel"],
        "HSETEX h EX 10 FIELDS 1 b 1": ["hset", "hexpire"],
        "HSETEX h KEEPTTL FIELDS 1 b 1": ["hset"],
        "HSETEX h EXAT 1 FIELDS 1 b 1": ["hset", "hdel"],
        "HGETEX h EXAT 1 FIELDS 1 c": ["hdel"],
        "HGETDEL h FIELDS 1 x": [],
        "HGETDEL h FIELDS 1 d": ["hdel", "del"],
        "HSETEX n EXAT 1 FIELDS 1 b 1": ["hset", "hdel", "del"],
    }.items():
        shard.run(*command.split())
        assert events(shard) == expected, command


# --- Large ones.


def test_all_of_a_large_hash_comes_in_the_same_order_everywhere(shard: Driver) -> None:
    fill(shard, 3000)
    reply = shard.run("HGETALL", "h")
    assert isinstance(reply, MapReply)
    assert sorted(reply.pairs) == sorted((b"f%d" % n, b"v%d" % n) for n in range(3000))
    assert shard.run("HKEYS", "h") == [field for field, _ in reply.pairs]
    assert shard.run("HVALS", "h") == [text for _, text in reply.pairs]
    shard.keys = copy_of(shard.keys)
    assert shard.run("HGETALL", "h") == reply


def test_a_reply_that_is_too_large_is_refused(
    shard: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashes, "REPLY_BYTES_MAX", 1000)
    shard.run("HSET", "h", "a", "x" * 600, "b", "y" * 600)
    for command in (
        "HGETALL h",
        "HKEYS h",
        "HMGET h a b",
        "HGETEX h FIELDS 2 a b",
        "HGETDEL h FIELDS 2 a b",
        "HRANDFIELD h -10 WITHVALUES",
    ):
        reply = shard.run(*command.split())
        assert isinstance(reply, ErrorReply), command
        assert "larger than a reply" in reply.text
    assert shard.run("HLEN", "h") == 2
    assert shard.run("HMGET", "h", "a") == [b"x" * 600]


# --- HSCAN.


def scan(shard: Driver, *options: str) -> list[bytes]:
    found: list[bytes] = []
    cursor = b"0"
    while True:
        reply = shard.run("HSCAN", "h", cursor, *options)
        assert isinstance(reply, list)
        cursor, page = reply
        found += page
        if cursor == b"0":
            return found


@pytest.mark.parametrize("count", [5, 100, 600, 3000])
def test_a_scan_meets_every_field_once(shard: Driver, count: int) -> None:
    fill(shard, count)
    names = scan(shard, "NOVALUES", "COUNT", "50")
    assert sorted(names) == sorted(b"f%d" % number for number in range(count))
    pairs = scan(shard, "MATCH", "f1*")
    assert dict(zip(pairs[::2], pairs[1::2], strict=True)) == {
        b"f%d" % number: b"v%d" % number for number in range(count) if str(number)[0] == "1"
    }


def test_a_listpack_is_scanned_at_once_and_a_hashtable_by_pages(shard: Driver) -> None:
    fill(shard, 512)
    assert len(scan(shard)) == 1024
    assert shard.run("HSCAN", "h", "0")[0] == b"0"  # type: ignore[index]  # A list.
    fill(shard, 600)
    reply = shard.run("HSCAN", "h", "0", "COUNT", "20")
    assert isinstance(reply, list)
    assert reply[0] != b"0"
    assert 40 <= len(reply[1]) < 60


def test_a_scan_goes_on_where_a_leader_restored_from_a_snapshot_leads(shard: Driver) -> None:
    fill(shard, 2000)
    reply = shard.run("HSCAN", "h", "0", "COUNT", "700", "NOVALUES")
    assert isinstance(reply, list)
    found = reply[1]
    shard.keys = copy_of(shard.keys)
    cursor = reply[0]
    while cursor != b"0":
        for number in range(3000, 3200):
            shard.run("HSET", "h", f"new{number}", "")
        cursor, page = shard.run("HSCAN", "h", cursor, "NOVALUES")  # type: ignore[misc]  # A list.
        found += page
    assert sorted(one for one in found if one.startswith(b"f")) == sorted(
        b"f%d" % number for number in range(2000)
    )


# --- HRANDFIELD.


@pytest.mark.parametrize("size", [3, 40, 2000])
def test_random_fields(shard: Driver, size: int) -> None:
    fill(shard, size)
    names = {b"f%d" % number for number in range(size)}
    assert shard.run("HRANDFIELD", "h") in names
    for count in (1, 2, 30, 5000):
        found = shard.run("HRANDFIELD", "h", count)
        assert isinstance(found, list)
        assert len(set(found)) == len(found) == min(count, size)
        assert set(found) <= names
    repeated = shard.run("HRANDFIELD", "h", -100, "WITHVALUES")
    assert isinstance(repeated, PairsReply)
    assert len(repeated.pairs) == 100
    assert all(b"v" + field[1:] == text for field, text in repeated.pairs)


def test_more_random_fields_than_anyone_needs_are_refused(shard: Driver) -> None:
    fill(shard, 3)
    for words in (["-1000000000"], ["-1000000000", "WITHVALUES"]):
        assert isinstance(shard.run("HRANDFIELD", "h", *words), ErrorReply)
    assert shard.run("HRANDFIELD", "h", "1000000000000") == [b"f0", b"f1", b"f2"]
    assert shard.run("HRANDFIELD", "h", "0") == []
    assert shard.run("HRANDFIELD", "absent", "-5") == []


def test_random_fields_are_not_due_ones(shard: Driver) -> None:
    for size in (10, 600, 4000):
        fill(shard, size)
        gone = [f"f{number}" for number in range(size) if number % 4]
        shard.run("HPEXPIRE", "h", 5, "FIELDS", len(gone), *gone)
        shard.now_ms += 6
        for count in (1, -3, 3, size // 8, size):
            found: Reply = shard.run("HRANDFIELD", "h", count)
            assert isinstance(found, list)
            assert len(found) == min(abs(count), -(-size // 4))
            assert not {name.encode() for name in gone} & set(found)
        shard.run("DEL", "h")
