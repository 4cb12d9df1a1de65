"""HyperLogLogs to the last byte: what is stored is what a real Redis (7.0.15) stored."""

from __future__ import annotations

from hashlib import sha1
from random import Random
from time import process_time

import pytest

from trimaran.cluster.settings import Settings
from trimaran.node.commands import hyperloglog
from trimaran.node.data.hyperloglog import (
    DENSE_BYTES,
    EMPTY,
    HEADER_BYTES,
    REGISTERS,
    HyperLogLog,
    _Runs,
    highest,
    passes_self_test,
    registers,
    small_with,
)
from trimaran.proto.reply import OK, ErrorReply, Status

from ...model.driver import Driver

NOT_ONE = ErrorReply("WRONGTYPE", "Key is not a valid HyperLogLog string value.")
DAMAGED = ErrorReply("INVALIDOBJ", "Corrupted HLL object detected")


@pytest.fixture
def shard() -> Driver:
    return Driver(now_ms=1_000_000)


def _add(shard: Driver, key: str, count: int, start: int = 0) -> None:
    for first in range(start, start + count, 1000):
        last = min(start + count, first + 1000)
        shard.run("PFADD", key, *[b"element %d" % number for number in range(first, last)])


def _text(shard: Driver, key: str) -> bytes:
    text = shard.run("GET", key)
    assert isinstance(text, bytes)
    return text


@pytest.mark.parametrize(
    ("count", "length", "digest", "cardinality"),
    [
        (1, 21, "23245351c6350eadfaa59d8b660ffeacaef2f4ef", 1),
        (10, 48, "0ecf6a92df78cdd922d372a890d69ee5c3660c7e", 10),
        (500, 1031, "56bf5dcd13720c6de648acb568e91a13b6328a24", 499),
        (1000, 1910, "2601f3aff1ff28007159e9aa923002865be71a20", 1003),
        (1200, 2231, "7cf987aaee1194e358d29197d19c62e7eb03166e", 1199),
        (5000, 12304, "2a123334610c8291e44cdf156f3243b3308c1370", 4980),
        (100_000, 12304, "fc89e2dcc0b04d84b14703cea2214733afa633a9", 99652),
    ],
)
def test_the_bytes_and_the_count_are_those_of_redis(
    shard: Driver, count: int, length: int, digest: str, cardinality: int
) -> None:
    _add(shard, "h", count)
    text = _text(shard, "h")
    assert len(text) == length
    assert sha1(text, usedforsecurity=False).hexdigest() == digest
    assert shard.run("PFCOUNT", "h") == cardinality


@pytest.mark.parametrize("count", [200, 2000])
def test_elements_one_by_one_make_what_all_at_once_make(shard: Driver, count: int) -> None:
    _add(shard, "all", count)
    for number in range(count):
        shard.run("PFADD", "each", b"element %d" % number)
    assert registers(_text(shard, "each")) == registers(_text(shard, "all"))


def test_what_is_kept_taken_apart_changes_nothing(shard: Driver) -> None:
    rng = Random(3)
    for number in range(600):
        element = b"element %d" % int(rng.random() * 500)
        _Runs._kept.clear()
        first = shard.run("PFADD", "again", element)
        _Runs._kept.clear()
        assert shard.run("PFADD", "kept", element) == first
        if number % 7:
            shard.run("PFADD", "kept", element)
        assert _text(shard, "kept") == _text(shard, "again")


@pytest.mark.parametrize("bytes_max", [3000, 100, 40])
def test_a_small_one_is_changed_as_a_large_one_is(bytes_max: int) -> None:
    rng = Random(bytes_max)
    small_ones = 0
    for _ in range(30):
        text = EMPTY
        for _ in range(60):
            elements = [rng.randbytes(int(rng.random() * 20)) for _ in range(int(rng.random() * 3))]
            long_way = HyperLogLog(text, bytes_max)
            updates = [long_way.add(element) for element in elements]
            if any(updates):
                long_way.set_stale()
            expected = long_way.finish()
            small = small_with(text, elements, bytes_max)
            assert small in (expected, None)
            small_ones += small is not None
            text = expected
    assert small_ones > 100


def test_pfadd_tells_whether_anything_changed(shard: Driver) -> None:
    assert shard.run("PFADD", "h") == 1
    assert shard.run("PFADD", "h") == 0
    assert shard.run("PFADD", "h", "a", "b") == 1
    assert shard.run("PFADD", "h", "b", "a") == 0


def test_pfadd_keeps_the_expiry(shard: Driver) -> None:
    shard.run("PFADD", "h", "a")
    shard.run("PEXPIRE", "h", 500)
    shard.run("PFADD", "h", "b")
    assert shard.run("PTTL", "h") == 500


def test_a_count_that_is_kept_is_answered_until_something_is_added(shard: Driver) -> None:
    _add(shard, "h", 10)
    shard.run("SETRANGE", "h", 8, (4321).to_bytes(8, "little"))
    assert shard.run("PFCOUNT", "h") == 4321
    assert shard.run("PFCOUNT", "h", "h") == 10
    shard.run("PFADD", "h", "another")
    assert shard.run("PFCOUNT", "h") == 11


def test_counting_writes_nothing(shard: Driver) -> None:
    _add(shard, "h", 10)
    before = _text(shard, "h"), shard.keys.digest()
    shard.run("PFCOUNT", "h")
    assert (_text(shard, "h"), shard.keys.digest()) == before


@pytest.mark.parametrize("counts", [(50, 60), (50, 3000), (3000, 50), (3000, 3000)])
def test_a_merge_counts_what_all_of_them_have(shard: Driver, counts: tuple[int, int]) -> None:
    _add(shard, "a", counts[0])
    _add(shard, "b", counts[1], 5000)
    assert shard.run("PFMERGE", "out", "a", "absent", "b") == OK
    _add(shard, "both", counts[0])
    _add(shard, "both", counts[1], 5000)
    assert registers(_text(shard, "out")) == registers(_text(shard, "both"))
    assert shard.run("PFCOUNT", "a", "b") == shard.run("PFCOUNT", "both")


def test_a_merge_of_nothing_makes_an_empty_one(shard: Driver) -> None:
    assert shard.run("PFMERGE", "out", "absent") == OK
    assert shard.run("PFCOUNT", "out") == 0


def test_many_sparse_ones_become_dense_where_redis_says_so(shard: Driver) -> None:
    for number in range(30):
        _add(shard, f"h{number}", 100, 1000 * number)
    shard.run("PFMERGE", "out", *[f"h{number}" for number in range(30)])
    assert shard.run("PFDEBUG", "ENCODING", "out") == Status("dense")
    assert len(_text(shard, "out")) == DENSE_BYTES
    assert shard.run("PFCOUNT", "out") == shard.run(
        "PFCOUNT", *[f"h{number}" for number in range(30)]
    )


def test_the_setting_says_how_long_one_is_sparse(shard: Driver) -> None:
    shard.settings = Settings(hll_sparse_max_bytes=0)
    shard.run("PFADD", "h", "a")
    assert shard.run("PFDEBUG", "ENCODING", "h") == Status("dense")
    shard.settings = Settings(hll_sparse_max_bytes=12_000)
    _add(shard, "g", 4000)
    assert shard.run("PFDEBUG", "ENCODING", "g") == Status("sparse")


@pytest.mark.parametrize(
    "text",
    [b"", b"x" * 16, b"HYLL\x02" + bytes(11), b"HYLL" + bytes(12), b"HYLL\0" + bytes(12_300)],
)
def test_other_strings_are_refused(shard: Driver, text: bytes) -> None:
    shard.run("SET", "h", text)
    for command in (["PFADD", "h", "a"], ["PFCOUNT", "h"], ["PFCOUNT", "h", "g"], ["PFMERGE", "h"]):
        assert shard.run(*command) == NOT_ONE


@pytest.mark.parametrize(
    "opcodes", [b"", b"\0", b"\x7f\xfe", b"\x7f\xff\0", b"\x7f", b"\x7f\xff" * 2, b"\x80" * 20_000]
)
def test_damaged_registers_are_refused_and_nothing_changes(shard: Driver, opcodes: bytes) -> None:
    shard.run("SET", "h", b"HYLL\x01" + bytes(10) + b"\x80" + opcodes)
    before = shard.keys.digest()
    for command in (["PFCOUNT", "h"], ["PFCOUNT", "h", "g"], ["PFMERGE", "g", "h"]):
        assert shard.run(*command) == DAMAGED
    assert shard.keys.digest() == before


def test_what_one_command_may_cost_is_bounded(
    shard: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hyperloglog, "ADD_COST_MAX", 1000)
    monkeypatch.setattr(hyperloglog, "KEYS_MAX", 3)
    too_much = ErrorReply("ERR", "too many or too long elements for one PFADD")
    assert shard.run("PFADD", "h", *range(16)) == too_much
    assert shard.run("PFADD", "h", "x" * 1000) == too_much
    assert shard.run("PFADD", "h", *range(15)) == 1
    too_many = ErrorReply("ERR", "too many keys: at most 3 at once")
    assert shard.run("PFCOUNT", "h", "h", "h", "h") == too_many
    assert shard.run("PFMERGE", "h", "h", "h", "h") == too_many
    assert shard.run("PFCOUNT", "h", "h", "h") == 15


def test_events_tell_of_changes_alone(shard: Driver) -> None:
    shard.settings = Settings(notify_keyspace_events="AKEn")
    shard.run("PFADD", "h", "a")
    shard.run("PFADD", "h", "a")
    shard.run("PFMERGE", "g", "h")
    shard.run("PFCOUNT", "g")
    assert [(event, key) for _, event, key in shard.events] == [
        ("new", b"h"),
        ("pfadd", b"h"),
        ("new", b"g"),
        ("pfadd", b"g"),
    ]


# --- The structure.


def test_the_highest_registers_of_several_are_found_at_once() -> None:
    one = bytes(place % 64 for place in range(REGISTERS))
    other = bytes(place * 7 % 64 for place in range(REGISTERS))
    assert highest([one, other, one]) == bytes(map(max, one, other))
    assert highest([]) == bytes(REGISTERS)


def test_the_header_stays_when_one_becomes_dense(shard: Driver) -> None:
    _add(shard, "h", 10)
    shard.run("SETRANGE", "h", 8, (10).to_bytes(8, "little"))
    values = registers(_text(shard, "h"))
    assert shard.run("PFDEBUG", "TODENSE", "h") == 1
    assert shard.run("PFDEBUG", "TODENSE", "h") == 0
    text = _text(shard, "h")
    assert text[:HEADER_BYTES] == b"HYLL" + bytes(4) + (10).to_bytes(8, "little")
    assert registers(text) == values


def test_the_self_test_passes() -> None:
    assert passes_self_test()


@pytest.mark.parametrize("command", ["PFCOUNT p", "PFCOUNT p p", "PFDEBUG DECODE p", "PFADD p a"])
def test_a_long_string_that_says_it_is_one_costs_no_more_than_one(
    shard: Driver, command: str
) -> None:
    shard.run("SET", "p", b"HYLL\x01" + bytes(11) + b"\x80" * (8 << 20))
    began = process_time()
    shard.run(*command.split())
    assert process_time() - began < 0.5  # Seconds, if all of it is looked at byte by byte.
    assert not any(len(text) > 1 << 20 for text in _Runs._kept)
