"""What keys and values are counted with is near what the process takes for them."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator

import pytest

from ...model.driver import Driver

TOLERANCE = 0.15


@pytest.fixture(scope="module", autouse=True)
def _collects_only_what_is_new() -> None:
    """Else each collection walks through all that the tests before have made."""
    gc.collect()
    gc.freeze()


def taken_bytes() -> int:
    """By all that is traced, as the allocators round it."""
    gc.collect()
    sizes = [trace.size for trace in tracemalloc.take_snapshot().traces]
    return sum([size + 15 & -16 if size <= 512 else size + 23 & -16 for size in sizes])


def element(number: int) -> bytes:
    return b"%010d" % number


def commands(shape: str, key: bytes, count: int) -> Iterator[list[bytes]]:
    """What makes `key` hold that; large ones in several commands."""
    for start in range(0, count, 500):
        numbers = range(start, min(start + 500, count))
        elements = [element(number) for number in numbers]
        match shape:
            case "string":
                yield [b"SET", key, b"x" * count]
                return
            case "expiring":
                yield [b"SET", key, b"x" * count, b"PX", b"%d" % (10**9 + int(key[4:]))]
                return
            case "list":
                yield [b"RPUSH", key, *elements]
            case "set":
                yield [b"SADD", key, *[b"m" + one for one in elements]]
            case "intset":
                yield [b"SADD", key, *[b"%d" % (7 * number) for number in numbers]]
            case "hash":
                yield [b"HSET", key, *[word for one in elements for word in (b"f" + one, one)]]
            case "zset":
                pairs = [(b"%d.5" % number, element(number)) for number in numbers]
                yield [b"ZADD", key, *[word for pair in pairs for word in pair]]
            case "stream":
                for number in numbers:
                    yield [b"XADD", key, b"%d-1" % (number + 1), b"f", element(number)]


@pytest.mark.parametrize(
    ("shape", "keys", "count"),
    [
        ("string", 5_000, 3),
        ("string", 5_000, 100),
        ("string", 1_000, 5_000),
        ("expiring", 500, 10),
        ("expiring", 30_000, 10),
        ("list", 1_500, 10),
        ("list", 20, 3_000),
        ("set", 1_500, 10),
        ("set", 20, 3_000),
        ("intset", 300, 100),
        ("hash", 1_500, 10),
        ("hash", 300, 100),
        ("hash", 300, 150),
        ("hash", 20, 3_000),
        ("zset", 1_500, 10),
        ("zset", 20, 3_000),
        ("stream", 1_000, 10),
        ("stream", 10, 2_000),
    ],
)
def test_what_is_counted_is_near_what_is_taken(shape: str, keys: int, count: int) -> None:
    driver = Driver()
    driver.run("SET", "first", "1")  # Tables that are there once.
    counted = driver.keys.memory_bytes
    gc.collect()
    tracemalloc.start()
    try:
        before = taken_bytes()
        for number in range(keys):
            for command in commands(shape, b"key:%06d" % number, count):
                driver.apply(command)
        taken = taken_bytes() - before
    finally:
        tracemalloc.stop()
    counted = driver.keys.memory_bytes - counted
    assert abs(counted / taken - 1) <= TOLERANCE, f"{counted} counted, {taken} taken"


@pytest.mark.parametrize("keys", [100, 3_000, 50_000])
def test_keys_are_counted_with_what_is_kept_of_their_slots(keys: int) -> None:
    driver = Driver()
    driver.run("SET", "first", "1")
    counted = driver.keys.memory_bytes
    tracemalloc.start()
    try:
        before = taken_bytes()
        for number in range(keys):
            driver.apply([b"SET", b"key:%06d" % number, element(number)])
        taken = taken_bytes() - before
    finally:
        tracemalloc.stop()
    counted = driver.keys.memory_bytes - counted
    assert abs(counted / taken - 1) <= TOLERANCE, f"{counted} counted, {taken} taken"


def test_nothing_is_counted_of_what_was_removed() -> None:
    driver = Driver()
    for number in range(3_000):  # More than one bucket takes.
        driver.run("SET", b"{tag}%d" % number, "1")
    for number in range(3_000):
        driver.run("DEL", b"{tag}%d" % number)
    assert driver.keys.memory_bytes == 0
