"""Strings in chunks: the same bytes as one `bytes` would have, and copies that leave each other
alone."""

from __future__ import annotations

import tracemalloc
from random import Random

import pytest

from trimaran.node.commands.strings import write_string
from trimaran.node.data.keyspace import KEEP, Keyspace
from trimaran.node.data.large_string import (
    CHUNK_BYTES,
    LARGE_BYTES,
    LargeString,
    piece,
    pieces,
    spliced,
    whole,
)

from ...model.driver import copy_of

LENGTHS = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 100_000]


def _text(rng: Random, length: int) -> bytes:
    return rng.randbytes(length)


@pytest.mark.parametrize("length", LENGTHS)
def test_a_large_string_has_the_bytes_it_was_made_of(length: int) -> None:
    text = _text(Random(length), length)
    large = LargeString(text)
    assert len(large) == length
    assert large.whole() == text
    assert b"".join(large.parts()) == text
    assert all(len(part) <= 64 << 10 for part in large.parts())


@pytest.mark.parametrize("seed", range(10))
def test_it_changes_as_plain_bytes_would_while_its_copies_stay(seed: int) -> None:
    rng = Random(seed)
    large, model = LargeString(), b""
    copies: list[tuple[LargeString, bytes]] = []
    for _ in range(120):
        dice = rng.random()
        more = _text(rng, int(rng.random() * rng.choice([10, 1000, 70_000])))
        if dice < 0.4:
            large.append(more)
            model += more
        elif dice < 0.8:
            start = int(rng.random() * (len(model) + rng.choice([1, 10, 100_000])))
            large.write(start, more)
            model = spliced(model, start, more)
        else:
            copies.append((large, model))
            large = large.copy()
            if dice < 0.9:  # Both go on, and either may be the one that is kept.
                (large, model), copies[-1] = copies[-1], (large, model)
        start, end = sorted(int(rng.random() * (len(model) + 50_000)) for _ in range(2))
        assert len(large) == len(model)
        assert piece(large, start, end) == model[start:end]
    assert large.whole() == model
    for copy, expected in copies:
        assert copy.whole() == expected


@pytest.mark.parametrize("value", [b"abcdef" * 20_000, LargeString(b"abcdef" * 20_000)])
def test_both_forms_are_read_alike(value: bytes | LargeString) -> None:
    text = b"abcdef" * 20_000
    assert whole(value) == text
    assert piece(value, 5, 40_000) == text[5:40_000]
    assert piece(value, 119_999, 500_000) == b"f"
    assert piece(value, 500_000, 600_000) == b""
    assert b"".join(pieces(value, 7, 100_000)) == text[7:100_000]
    assert max(map(len, pieces(value, 7, 100_000))) <= CHUNK_BYTES


def test_a_gap_takes_hardly_any_memory() -> None:
    tracemalloc.start()
    large = LargeString()
    large.write(512 << 20, b"x")
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 1 << 20
    assert len(large) == (512 << 20) + 1
    assert large.piece(0, 3) == b"\0\0\0"


def test_what_is_counted_is_what_is_used() -> None:
    tracemalloc.start()
    large = LargeString()
    for number in range(3000):
        large.append(b"%04d" % number * 256)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used * 0.85 < large.size_bytes() < used * 1.15


# --- In a keyspace.


def _keys(value: bytes) -> Keyspace:
    keys = Keyspace()
    keys.enter(0, 1000, is_read=False)
    keys.put(b"a", value, 5000)
    return keys


def _write(keys: Keyspace, start: int, text: bytes) -> None:
    write_string(keys, b"a", keys.string(b"a"), start, text)


def test_a_string_becomes_large_when_it_is_long_and_changed_in_place() -> None:
    keys = _keys(b"x" * LARGE_BYTES)
    assert type(keys.string(b"a")) is bytes
    _write(keys, 3, b"y")
    assert type(keys.string(b"a")) is LargeString
    assert keys.expiry_of(b"a") == 5000
    assert keys.type_of(b"a") == "string"
    keys.put(b"a", b"x" * LARGE_BYTES, KEEP)
    assert type(keys.string(b"a")) is bytes


def test_a_short_string_stays_as_it_is() -> None:
    keys = _keys(b"x" * 100)
    _write(keys, 3, b"y" * 1000)
    assert keys.string(b"a") == b"xxx" + b"y" * 1000


def test_memory_is_counted_when_a_large_string_grows_and_goes() -> None:
    keys = _keys(b"x" * 100_000)
    before = keys.memory_bytes
    _write(keys, 100_000, b"y" * 50_000)
    assert 50_000 <= keys.memory_bytes - before < 51_000
    keys.delete(b"a")
    assert keys.memory_bytes == 0


@pytest.mark.parametrize("seed", range(5))
def test_a_snapshot_holds_a_large_string_as_it_was(seed: int) -> None:
    rng = Random(seed)
    keys = _keys(rng.randbytes(300_000))
    _write(keys, 0, b"y")
    digest, text = keys.digest(), keys.string(b"a")
    assert text is not None
    expected = whole(text)
    cut = keys.begin_snapshot()
    copy = Keyspace()
    while (chunk := cut.slice(1, 1)) is not None:
        copy.load(chunk)
        keys.enter(0, 1000, is_read=False)
        _write(keys, int(rng.random() * 320_000), rng.randbytes(int(rng.random() * 40_000)))
    copy.finish_load()
    assert copy.digest() == cut.digest() == digest != keys.digest()
    copy.enter(0, 1000, is_read=True)
    loaded = copy.string(b"a")
    assert loaded is not None
    assert whole(loaded) == expected
    assert copy_of(keys).memory_bytes == keys.memory_bytes


def test_a_copy_of_a_key_goes_its_own_way() -> None:
    keys = _keys(b"x" * 100_000)
    _write(keys, 0, b"y")
    value, _ = keys.copy_of(b"a")
    keys.put(b"b", value)
    _write(keys, 1, b"z")
    write_string(keys, b"b", keys.string(b"b"), 2, b"w")
    first, second = keys.string(b"a"), keys.string(b"b")
    assert first is not None
    assert second is not None
    assert piece(first, 0, 4) == b"yzxx"
    assert piece(second, 0, 4) == b"yxwx"
