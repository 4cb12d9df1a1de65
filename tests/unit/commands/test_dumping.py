"""DUMP and RESTORE as commands; the format is in tests/unit/data/test_dump.py."""

from __future__ import annotations

import pytest

from trimaran.cluster.settings import Settings
from trimaran.node.commands.dumping import vet_restore
from trimaran.node.data.dump import with_footer
from trimaran.node.doors.routes import find
from trimaran.node.errors import CommandError
from trimaran.proto.reply import OK, ErrorReply, Reply

from ...model.driver import Driver, Word, copy_of

WRONG_FOOTER = ErrorReply("ERR", "DUMP payload version or checksum are wrong")
BAD_FORMAT = ErrorReply("ERR", "Bad data format")
MALFORMED = with_footer([b"\x02\0"])
VALUES: dict[str, tuple[Word, ...]] = {
    "string": ("SET", "k", "hello"),
    "list": ("RPUSH", "k", *range(5000)),
    "set": ("SADD", "k", *range(0, 5000, 3), "a"),
    "hash": ("HSET", "k", *range(2000)),
    "zset": ("ZADD", "k", *range(2000)),
    "stream": ("XADD", "k", "5-1", "a", "1"),
}


@pytest.fixture
def shard() -> Driver:
    return Driver(now_ms=1_000_000)


def _payload(shard: Driver, key: str = "k") -> bytes:
    payload = shard.run("DUMP", key)
    assert isinstance(payload, bytes)
    return payload


def _digest(shard: Driver, key: str) -> Reply:
    return shard.run("DEBUG", "DIGEST-VALUE", key)


@pytest.mark.parametrize("kind", VALUES)
def test_every_type_goes_there_and_back(shard: Driver, kind: str) -> None:
    shard.run(*VALUES[kind])
    assert shard.run("RESTORE", "copy", 0, _payload(shard)) == OK
    assert shard.run("TYPE", "copy") == shard.run("TYPE", "k")
    assert shard.run("OBJECT", "ENCODING", "copy") == shard.run("OBJECT", "ENCODING", "k")
    assert _digest(shard, "copy") == _digest(shard, "k")
    restored = copy_of(shard.keys)
    assert restored.memory_bytes == shard.keys.memory_bytes
    shard.run("DEL", "k", "copy")
    assert shard.keys.memory_bytes == 0


def test_a_long_string_is_dumped_alike_in_either_form(shard: Driver) -> None:
    shard.run("SET", "k", b"hello" * 20_000)
    shard.run("SET", "chunks", b"hello" * 10_000)
    shard.run("APPEND", "chunks", b"hello" * 10_000)
    assert _payload(shard) == _payload(shard, "chunks")
    assert _digest(shard, "k") == _digest(shard, "chunks")


def test_nothing_dumps_to_nil(shard: Driver) -> None:
    assert shard.run("DUMP", "k") is None


def test_a_key_that_is_there_is_replaced_on_demand_alone(shard: Driver) -> None:
    shard.run("SET", "k", "1")
    payload = _payload(shard)
    shard.run("RPUSH", "list", "a")
    busy = ErrorReply("BUSYKEY", "Target key name already exists.")
    assert shard.run("RESTORE", "list", 0, payload) == busy
    assert shard.run("RESTORE", "list", 0, payload, "replace") == OK
    assert shard.run("GET", "list") == b"1"


@pytest.mark.parametrize(
    ("time", "options", "left_ms"),
    [(0, (), -1), (500, (), 500), (1_000_500, ("ABSTTL",), 500), (0, ("ABSTTL",), -1)],
)
def test_the_expiry_counts_from_the_stamp(
    shard: Driver, time: int, options: tuple[str, ...], left_ms: int
) -> None:
    shard.run("SET", "k", "1", "PX", 100)
    assert shard.run("RESTORE", "k", time, _payload(shard), "REPLACE", *options) == OK
    assert shard.run("PTTL", "k") == left_ms


@pytest.mark.parametrize(("time", "options"), [(999_999, ("ABSTTL",)), (2**63 - 1, ())])
def test_what_has_expired_already_leaves_no_key(
    shard: Driver, time: int, options: tuple[str, ...]
) -> None:
    shard.run("SET", "k", "1")
    assert shard.run("RESTORE", "k", time, _payload(shard), "REPLACE", *options) == OK
    assert shard.run("EXISTS", "k") == 0


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ((-1, b""), "Invalid TTL value, must be >= 0"),
        (("x", b""), "value is not an integer or out of range"),
        ((0, b"", "BOGUS"), "syntax error"),
        ((0, b"", "IDLETIME"), "syntax error"),
        ((0, b"", "IDLETIME", 1, "FREQ", 1), "syntax error"),
        ((0, b"", "IDLETIME", -1), "Invalid IDLETIME value, must be >= 0"),
        ((0, b"", "FREQ", 256), "Invalid FREQ value, must be >= 0 and <= 255"),
        ((0, b""), WRONG_FOOTER.text),
        ((0, MALFORMED, "FREQ", 1), BAD_FORMAT.text),
    ],
)
def test_faults_are_found_in_the_order_of_redis(
    shard: Driver, words: tuple[Word, ...], error: str
) -> None:
    assert shard.run("RESTORE", "k", *words) == ErrorReply("ERR", error)


def test_the_settings_decide_how_a_value_is_kept(shard: Driver) -> None:
    shard.run("HSET", "k", "f", "v")
    shard.settings = Settings(hash_max_listpack_entries=0)
    shard.run("RESTORE", "copy", 0, _payload(shard))
    assert shard.run("OBJECT", "ENCODING", "copy") == b"hashtable"


def test_a_value_that_is_restored_is_its_own(shard: Driver) -> None:
    shard.run("HSET", "k", *range(400))
    payload = _payload(shard)
    shard.run("RESTORE", "copy", 0, payload)
    shard.run("HSET", "copy", "more", "1")
    assert _payload(shard) == payload


def test_events_tell_of_what_came_and_went(shard: Driver) -> None:
    shard.run("SET", "k", "1")
    payload = _payload(shard)
    shard.settings = Settings(notify_keyspace_events="AKEn")
    shard.run("RESTORE", "k", 0, payload, "REPLACE")
    shard.run("RESTORE", "k", 1, payload, "REPLACE", "ABSTTL")
    shard.run("RESTORE", "k", 1, payload, "ABSTTL")
    assert [event for _, event, _ in shard.events] == ["new", "restore", "del"]


# --- Before it is proposed.


@pytest.mark.parametrize("name", [b"RESTORE", b"restore", b"RESTORE-ASKING"])
def test_doors_look_at_what_is_to_be_restored(name: bytes) -> None:
    assert find(name).vet is vet_restore
    assert find(b"SET").vet is None


@pytest.mark.parametrize(
    ("payload", "answer"),
    [(b"x" * 1000, WRONG_FOOTER), (MALFORMED * 50 + b"x", WRONG_FOOTER), (MALFORMED, BAD_FORMAT)],
)
def test_what_cannot_be_read_does_not_get_into_a_log(
    shard: Driver, payload: bytes, answer: ErrorReply
) -> None:
    args = [b"RESTORE", b"k", b"0", payload]
    vet_restore(args)
    assert len(args[3]) <= 11
    assert shard.run(*args) == answer


def test_what_can_be_read_goes_on_as_it_is(shard: Driver) -> None:
    shard.run("SET", "k", "1")
    args = [b"RESTORE", b"copy", b"0", _payload(shard)]
    vet_restore(args)
    assert args[3] == _payload(shard)


def test_what_is_too_large_is_refused_at_the_door(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trimaran.node.data.rdb.ELEMENTS_MAX", 1)
    with pytest.raises(CommandError, match="larger than RESTORE takes"):
        vet_restore([b"RESTORE", b"k", b"0", with_footer([b"\x02\x02\x01a\x01b"])])
