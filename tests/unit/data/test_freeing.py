"""What is removed and large is freed a piece at a time, and nothing that is still needed is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from trimaran.node.data.buckets import BUCKET_KEYS_MAX
from trimaran.node.data.keyspace import Keyspace, KeyspaceCut

from ...model.driver import Driver, copy_of

COUNT = 40_000


def _filled(kind: str) -> Driver:
    driver = Driver()
    names = [b"element %d" % number for number in range(COUNT)]
    pairs = [word for name in names for word in (name, b"1")]
    scores = [word for name in names for word in (b"1", name)]
    commands: dict[str, list[bytes]] = {
        "list": [b"RPUSH", b"a", *names],
        "set": [b"SADD", b"a", *names],
        "hash": [b"HSET", b"a", *pairs],
        "zset": [b"ZADD", b"a", *scores],
    }
    if kind == "stream":
        for number in range(1, COUNT // 4):
            driver.run("XADD", "a", f"{number}-0", "field", b"x" * 50)
    elif kind == "string":
        driver.run("APPEND", "a", b"x" * 100_000)
        driver.run("APPEND", "a", b"x" * 1_000_000)
    else:
        driver.apply(commands[kind])
    return driver


KINDS = ["list", "set", "hash", "zset", "stream", "string"]


def _pieces(keys: Keyspace) -> int:
    """Frees all that is to be freed; in how many pieces."""
    count = 0
    while keys.trash:
        keys.trash.free_some(1)
        count += 1
    return count


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("words", ["DEL a", "UNLINK a", "SET a 1"])
def test_a_large_value_that_is_removed_is_freed_in_pieces(kind: str, words: str) -> None:
    driver = _filled(kind)
    driver.run(*words.split())
    assert driver.keys.trash
    assert driver.keys.memory_bytes < 1000
    assert _pieces(driver.keys) > 5


def test_a_database_that_is_emptied_is_freed_in_pieces() -> None:
    driver = Driver()
    for number in range(1000):
        driver.run("SET", f"key {number}", "x")
    driver.run("FLUSHALL")
    assert driver.run("DBSIZE") == 0
    assert _pieces(driver.keys) >= 1000 / BUCKET_KEYS_MAX


def test_what_a_database_held_in_one_place_is_freed_in_pieces_too() -> None:
    driver = _filled("hash")
    driver.run("FLUSHALL")
    pieces = _pieces(driver.keys)
    driver.run("SET", "a", "small")
    driver.run("FLUSHALL")
    of_places = _pieces(driver.keys)
    assert pieces > of_places + 5
    for number in range(3000):
        driver.run("SET", f"{{tag}}{number}", "x")
    driver.run("FLUSHALL")
    assert _pieces(driver.keys) > of_places + 3000 / BUCKET_KEYS_MAX


def test_the_places_of_a_database_that_held_little_are_freed_in_a_few_pieces() -> None:
    driver = Driver()
    driver.run("SET", "a", "small")
    driver.run("FLUSHALL")
    assert 1 < _pieces(driver.keys) < 30


@pytest.mark.parametrize("words", ["DEL a", "SET a 1", "FLUSHALL"])
def test_what_is_removed_while_a_snapshot_runs_is_freed_in_pieces_behind_it(words: str) -> None:
    for ends in (KeyspaceCut.abort, _write_out):
        driver = _filled("hash")
        cut = driver.keys.begin_snapshot()
        driver.run(*words.split())
        assert not driver.keys.trash
        ends(cut)
        assert _pieces(driver.keys) > 5


def _write_out(cut: KeyspaceCut) -> None:
    while cut.slice(7, 1 << 20) is not None:
        pass


def test_small_values_are_freed_at_once() -> None:
    driver = Driver()
    driver.run("RPUSH", "a", 1, 2, 3)
    driver.run("DEL", "a")
    assert not driver.keys.trash


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("words", ["RENAME a b", "MOVE a 2", "COPY a b"])
def test_a_value_that_lives_on_elsewhere_stays_whole(kind: str, words: str) -> None:
    driver = _filled(kind)
    before = driver.run("DEBUG", "DIGEST-VALUE", "a")
    driver.run(*words.split())
    driver.run("DEL", "a")
    _pieces(driver.keys)
    db = 2 if "MOVE" in words else 0
    name = "a" if "MOVE" in words else "b"
    assert driver.run("DEBUG", "DIGEST-VALUE", name, db=db) == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_snapshot_that_runs_still_gets_what_was_removed_meanwhile(kind: str) -> None:
    driver = _filled(kind)
    _snapshot_survives(driver, lambda: driver.run("DEL", "a"))
    driver = _filled(kind)
    _snapshot_survives(driver, lambda: driver.run("FLUSHALL"))


def _snapshot_survives(driver: Driver, remove: Callable[[], object]) -> None:
    expected = copy_of(driver.keys).digest()
    cut = driver.keys.begin_snapshot()
    chunks = [cut.slice(1, 1 << 10)]
    remove()
    _pieces(driver.keys)
    while (chunk := cut.slice(7, 1 << 20)) is not None:
        chunks.append(chunk)
    copy = Keyspace()
    for chunk in chunks:
        assert chunk is not None
        copy.load(chunk)
    copy.finish_load()
    assert copy.digest() == cut.digest() == expected
