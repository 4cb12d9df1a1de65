"""Bitmaps, above all long ones; tests/model/ compares short ones with Redis, option by option."""

from __future__ import annotations

from random import Random

import pytest

from trimaran.cluster.settings import Settings
from trimaran.node.commands import bitmaps
from trimaran.proto.reply import ErrorReply

from ...model.driver import Driver

MIB = 1 << 20


@pytest.fixture
def shard() -> Driver:
    return Driver(now_ms=1_000_000)


def _forms(shard: Driver, text: bytes) -> list[str]:
    """Keys that hold the same string in each of its forms."""
    shard.run("SET", "plain", text)
    shard.run("SET", "chunks", text)
    shard.run("SETRANGE", "chunks", 0, text[:1])
    return ["plain", "chunks"]


@pytest.mark.parametrize("seed", range(4))
def test_a_long_string_answers_the_same_in_either_form(seed: int) -> None:
    rng = Random(seed)
    shard = Driver()
    text = rng.choice([rng.randbytes(100_000), b"\xff" * 100_000, bytes(99_999) + b"\x01"])
    bits = "".join(f"{byte:08b}" for byte in text)
    for key in _forms(shard, text):
        for _ in range(12):
            start, end = sorted(int(rng.random() * len(bits)) for _ in range(2))
            assert shard.run("BITCOUNT", key, start, end, "BIT") == bits[start : end + 1].count("1")
            for bit in ("0", "1"):
                place = bits.find(bit, start, end + 1)
                assert shard.run("BITPOS", key, bit, start, end, "BIT") == place
            assert shard.run("GETBIT", key, start) == int(bits[start])
            first, last = start >> 3, end >> 3
            assert shard.run("BITCOUNT", key, first, last) == (
                bits[first * 8 : last * 8 + 8].count("1")
            )


def test_the_first_zero_is_behind_a_string_of_ones(shard: Driver) -> None:
    for key in _forms(shard, b"\xff" * 70_000):
        assert shard.run("BITPOS", key, 0) == 560_000
        assert shard.run("BITPOS", key, 0, 5) == 560_000
        assert shard.run("BITPOS", key, 0, 0, -1) == -1


@pytest.mark.parametrize("name", ["AND", "OR", "XOR"])
def test_long_strings_of_several_lengths_are_combined(shard: Driver, name: str) -> None:
    rng = Random(5)
    texts = [rng.randbytes(length) for length in (100_000, 70_000, 5)]
    for number, text in enumerate(texts):
        shard.run("SET", f"k{number}", text)
    shard.run("SETRANGE", "k1", 0, texts[1][:1])
    assert shard.run("BITOP", name, "out", "k0", "k1", "absent", "k2") == 100_000
    numbers = [int.from_bytes(text.ljust(100_000, b"\0"), "big") for text in [*texts, b""]]
    expected = numbers[0]
    for number in numbers[1:]:
        match name:
            case "AND":
                expected &= number
            case "OR":
                expected |= number
            case _:
                expected ^= number
    assert shard.run("GET", "out") == expected.to_bytes(100_000, "big")


def test_bitop_not_inverts_every_byte(shard: Driver) -> None:
    shard.run("SET", "a", bytes(range(256)) * 300)
    assert shard.run("BITOP", "NOT", "a", "a") == 76_800
    assert shard.run("GET", "a") == bytes(range(255, -1, -1)) * 300


def test_bitop_of_nothing_removes_the_target(shard: Driver) -> None:
    shard.run("SET", "a", "x")
    assert shard.run("BITOP", "AND", "a", "absent", "none") == 0
    assert shard.run("EXISTS", "a") == 0


def test_bitop_takes_no_more_than_its_bound(shard: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bitmaps, "BITOP_BYTES_MAX", 100_000)
    shard.run("SET", "a", b"x" * 10_000)
    assert shard.run("BITOP", "OR", "b", *["a"] * 10) == 10_000
    error = ErrorReply("ERR", "the strings are longer than BITOP takes (1 GiB together)")
    assert shard.run("BITOP", "OR", "b", *["a"] * 11) == error


def test_a_bit_at_the_end_of_what_is_allowed_can_be_set(shard: Driver) -> None:
    assert shard.run("SETBIT", "a", (512 * MIB * 8) - 1, 1) == 0
    assert shard.run("STRLEN", "a") == 512 * MIB
    assert shard.run("BITPOS", "a", 1, -5) == (512 * MIB * 8) - 1
    out_of_range = ErrorReply("ERR", "bit offset is not an integer or out of range")
    assert shard.run("SETBIT", "a", 512 * MIB * 8, 1) == out_of_range
    assert shard.run("BITFIELD", "a", "SET", "u8", f"#{512 * MIB}", 1) == out_of_range
    shard.settings = Settings(proto_max_bulk_len=MIB)
    assert shard.run("SETBIT", "b", MIB * 8, 1) == out_of_range
    assert shard.run("SETBIT", "b", MIB * 8 - 1, 1) == 0


def test_setbit_keeps_the_expiry(shard: Driver) -> None:
    shard.run("SET", "a", "x", "PX", 500)
    shard.run("SETBIT", "a", 0, 1)
    shard.run("SETBIT", "a", 1_000_000, 1)
    assert shard.run("PTTL", "a") == 500


def test_fields_of_a_long_string_are_changed_where_they_are(shard: Driver) -> None:
    text = Random(1).randbytes(100_000)
    for key in _forms(shard, text):
        place = 262_139  # Over the border of two chunks.
        assert shard.run("BITFIELD", key, "SET", "u13", place, 5000, "GET", "u13", place) == [
            int(f"{int.from_bytes(text[32767:32770], 'big'):024b}"[3:16], 2),
            5000,
        ]
        assert shard.run("BITFIELD", key, "INCRBY", "i64", 900_000, 1) != []
        assert shard.run("STRLEN", key) == 112_508
    assert shard.run("GET", "plain") == shard.run("GET", "chunks")


@pytest.mark.parametrize(
    ("kind", "start", "change", "overflow", "expected"),
    [
        ("u2", 3, 1, "WRAP", 0),
        ("u2", 3, 1, "SAT", 3),
        ("u2", 3, 1, "FAIL", None),
        ("u2", 0, -1, "SAT", 0),
        ("i4", 7, 1, "WRAP", -8),
        ("i4", 7, 1, "SAT", 7),
        ("i4", -8, -1, "SAT", -8),
        ("i64", 2**63 - 1, 1, "WRAP", -(2**63)),
        ("i64", -(2**63), -1, "SAT", -(2**63)),
    ],
)
def test_overflow_goes_as_it_was_asked_to(
    shard: Driver, kind: str, start: int, change: int, overflow: str, expected: int | None
) -> None:
    shard.run("BITFIELD", "a", "SET", kind, 3, start)
    reply = shard.run("BITFIELD", "a", "OVERFLOW", overflow, "INCRBY", kind, 3, change)
    assert reply == [expected]


@pytest.mark.parametrize("seed", range(4))
def test_one_field_is_written_as_one_of_several_is(seed: int) -> None:
    rng = Random(seed)
    shard = Driver()
    for _ in range(300):
        if rng.random() < 0.1:
            text = bytes(int(rng.random() * 256) for _ in range(int(rng.random() * 12)))
            for key in ("alone", "beside"):
                shard.run("SET", key, text)
        kind = f"{rng.choice('iuiux')}{int(rng.random() * 66)}"
        name = rng.choice(["SET", "INCRBY", "incrby", "GET"])
        offset = rng.choice(["0", "7", "#1", "61", "-1", "x"])
        number = rng.choice(["1", "-1", "255", "-9223372036854775808", "9223372036854775807", "y"])
        words = (name, kind, offset, number)
        expected = shard.run("BITFIELD", "beside", "OVERFLOW", "WRAP", *words)
        assert shard.run("BITFIELD", "alone", *words) == expected
        assert shard.run("GET", "alone") == shard.run("GET", "beside")


def test_events_tell_of_bits_that_change(shard: Driver) -> None:
    shard.settings = Settings(notify_keyspace_events="AKEn")
    shard.run("SETBIT", "a", 5, 1)
    shard.run("SETBIT", "a", 5, 1)  # It is set already.
    shard.run("BITFIELD", "a", "SET", "u8", 0, 1)
    shard.run("BITFIELD", "a", "SET", "u8", 0, 1)
    shard.run("BITOP", "OR", "b", "a", "absent")
    shard.run("BITOP", "OR", "b", "absent", "absent")
    assert [(event, key) for _, event, key in shard.events] == [
        ("new", b"a"),
        ("setbit", b"a"),
        ("setbit", b"a"),
        ("new", b"b"),
        ("set", b"b"),
        ("del", b"b"),
    ]
