"""OBJECT, MEMORY USAGE and DEBUG OBJECT; tests/model/ compares them with Redis."""

from __future__ import annotations

import pytest

from trimaran.cluster.settings import Settings
from trimaran.node.data.buckets import EXPIRY_BYTES, KEY_BYTES
from trimaran.node.data.uses import TICKS_PER_S, Kind, Uses
from trimaran.proto.reply import ErrorReply, Status

from ...model.driver import Driver


@pytest.fixture
def shard() -> Driver:
    return Driver(now_ms=1_000_000)


@pytest.mark.parametrize(
    ("value", "encoding", "references"),
    [
        ("0", b"int", 2147483647),
        ("9999", b"int", 2147483647),
        ("10000", b"int", 1),
        ("-1", b"int", 1),
        ("9223372036854775808", b"embstr", 1),
        ("007", b"embstr", 1),
        ("x" * 44, b"embstr", 1),
        ("x" * 45, b"raw", 1),
    ],
)
def test_encoding_follows_from_the_value(
    shard: Driver, value: str, encoding: bytes, references: int
) -> None:
    shard.run("SET", "a", value)
    assert shard.run("OBJECT", "ENCODING", "a") == encoding
    assert shard.run("OBJECT", "REFCOUNT", "a") == references


def test_integers_are_not_shared_where_each_key_needs_a_clock(shard: Driver) -> None:
    shard.run("SET", "a", "5")
    shard.settings = Settings(maxmemory=1 << 30, maxmemory_policy="allkeys-lru")
    assert shard.run("OBJECT", "REFCOUNT", "a") == 1


@pytest.mark.parametrize("word", ["ENCODING", "REFCOUNT", "IDLETIME", "FREQ"])
def test_of_an_absent_key_nothing_is_told(shard: Driver, word: str) -> None:
    assert shard.run("OBJECT", word, "absent") is None


@pytest.mark.parametrize(
    ("policy", "word"),
    [("noeviction", "FREQ"), ("allkeys-lru", "FREQ"), ("allkeys-lfu", "IDLETIME")],
)
def test_what_is_not_tracked_is_not_made_up(shard: Driver, policy: str, word: str) -> None:
    shard.run("SET", "a", "1")
    shard.settings = Settings(maxmemory_policy=policy)
    reply = shard.run("OBJECT", word, "a")
    assert isinstance(reply, ErrorReply)
    assert "not tracked" in reply.text


def test_idle_is_what_was_neither_read_nor_written(shard: Driver) -> None:
    shard.run("SET", "a", "1")
    shard.keys.clock += 30 * TICKS_PER_S
    assert shard.run("TTL", "a") == -1
    assert shard.run("TYPE", "a") == Status("string")
    assert shard.run("EXISTS", "a") == 1
    assert shard.run("MEMORY", "USAGE", "a") == KEY_BYTES + 2
    assert shard.run("OBJECT", "IDLETIME", "a") == 30  # And to ask is no use either.
    assert shard.run("OBJECT", "IDLETIME", "a") == 30
    shard.run("TOUCH", "a")
    assert shard.run("OBJECT", "IDLETIME", "a") == 0


def test_to_change_a_value_in_place_is_a_use(shard: Driver) -> None:
    shard.run("RPUSH", "a", "1")
    shard.keys.clock += 30 * TICKS_PER_S
    shard.run("RPUSH", "a", "2")
    assert shard.run("OBJECT", "IDLETIME", "a") == 0


def track(shard: Driver, policy: str) -> None:
    shard.settings = Settings(maxmemory_policy=policy)
    shard.keys.uses = Uses(Kind(policy.endswith("lfu")), clock=10_000, keys=100)


def test_each_key_is_idle_for_itself_under_an_lru_policy(shard: Driver) -> None:
    track(shard, "allkeys-lru")
    uses = shard.keys.uses
    assert uses is not None
    shard.run("MSET", "{a}1", "1", "{a}2", "1")
    uses.clock += 30 * TICKS_PER_S
    shard.run("GET", "{a}2")
    assert shard.run("OBJECT", "IDLETIME", "{a}1") == 30
    assert shard.run("OBJECT", "IDLETIME", "{a}2") == 0


def test_uses_are_counted_under_an_lfu_policy(shard: Driver) -> None:
    track(shard, "volatile-lfu")
    shard.run("SET", "a", "1")
    assert shard.run("OBJECT", "FREQ", "a") == 5
    for _ in range(1000):
        shard.run("GET", "a")
    assert 10 < shard.run("OBJECT", "FREQ", "a") < 60  # type: ignore[operator]


def test_an_entry_sees_nothing_of_how_keys_were_used(shard: Driver) -> None:
    shard.run("SET", "a", "1")
    shard.keys.clock += 30 * TICKS_PER_S
    assert shard.apply([b"OBJECT|IDLETIME", b"IDLETIME", b"a"]) == 0
    track(shard, "allkeys-lfu")
    assert shard.apply([b"OBJECT|FREQ", b"FREQ", b"a"]) == 0


def test_restore_says_how_a_key_was_used(shard: Driver) -> None:
    shard.run("SET", "a", "1")
    payload = shard.run("DUMP", "a")
    assert isinstance(payload, bytes)
    track(shard, "allkeys-lru")
    shard.run("RESTORE", "b", 0, payload, "IDLETIME", 1000)
    assert shard.run("OBJECT", "IDLETIME", "b") == 1000
    track(shard, "allkeys-lfu")
    shard.run("RESTORE", "c", 0, payload, "FREQ", 100)
    assert shard.run("OBJECT", "FREQ", "c") == 100


def test_usage_is_what_the_key_is_counted_with(shard: Driver) -> None:
    shard.run("SET", "key", "value")
    assert shard.run("MEMORY", "USAGE", "key") == KEY_BYTES + 8
    assert shard.keys.memory_bytes == KEY_BYTES + 8
    shard.run("EXPIRE", "key", 10)
    assert shard.run("MEMORY", "USAGE", "key", "SAMPLES", 0) == KEY_BYTES + 8 + EXPIRY_BYTES
    assert shard.run("MEMORY", "USAGE", "absent") is None


def test_digests_tell_values_and_expiry_apart_and_nothing_else(shard: Driver) -> None:
    shard.run("MSET", "a", "x", "b", "x", "c", "y")
    digests = shard.run("DEBUG", "DIGEST-VALUE", "a", "b", "c", "absent")
    assert isinstance(digests, list)
    assert digests[0] == digests[1] != digests[2]
    assert digests[3] == Status("0" * 40)
    shard.run("EXPIRE", "b", 10)
    assert shard.run("DEBUG", "DIGEST-VALUE", "b") != [digests[0]]


def test_debug_object_tells_what_object_tells(shard: Driver) -> None:
    shard.run("SET", "a", "300")
    assert shard.run("DEBUG", "OBJECT", "a") == Status(
        "Value at:0x0 refcount:2147483647 encoding:int serializedlength:3"
    )
    assert shard.run("DEBUG", "OBJECT", "absent") == ErrorReply("ERR", "no such key")
