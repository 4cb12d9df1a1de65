"""LCS against the table it stands for; tests/model/ compares it with Redis."""

from __future__ import annotations

import time
from random import Random

import pytest

from trimaran.proto.reply import ErrorReply, MapReply

from ...model.driver import Driver


def as_in_redis(first: bytes, second: bytes) -> bytes:
    """By the whole table, and Redis's way back through it."""
    width = len(second) + 1
    table = [0] * ((len(first) + 1) * width)
    for row in range(1, len(first) + 1):
        for column in range(1, width):
            here = row * width + column
            if first[row - 1] == second[column - 1]:
                table[here] = table[here - width - 1] + 1
            else:
                table[here] = max(table[here - width], table[here - 1])
    row, column, found = len(first), len(second), bytearray()
    while row and column:
        if first[row - 1] == second[column - 1]:
            row, column = row - 1, column - 1
            found.append(first[row])
        elif table[(row - 1) * width + column] > table[row * width + column - 1]:
            row -= 1
        else:
            column -= 1
    return bytes(reversed(found))


@pytest.mark.parametrize("seed", range(20))
def test_the_subsequence_is_the_one_redis_chooses(seed: int) -> None:
    rng = Random(seed)
    shard = Driver()
    letters = b"abcdefgh"[: 1 + seed % 8]
    for _ in range(20):
        first, second = (
            bytes(letters[int(rng.random() * len(letters))] for _ in range(int(rng.random() * 40)))
            for _ in range(2)
        )
        shard.run("MSET", "a", first, "b", second)
        expected = as_in_redis(first, second)
        assert shard.run("LCS", "a", "b") == expected
        assert shard.run("LCS", "a", "b", "LEN") == len(expected)


def test_pieces_come_last_first_with_both_places() -> None:
    shard = Driver()
    shard.run("MSET", "a", "ohmytext", "b", "mynewtext")
    matches = [[[4, 7], [5, 8], 4], [[2, 3], [0, 1], 2]]
    assert shard.run("LCS", "a", "b", "IDX", "WITHMATCHLEN") == MapReply(
        ((b"matches", matches), (b"len", 6))
    )
    assert shard.run("LCS", "a", "b", "IDX", "MINMATCHLEN", 4) == MapReply(
        ((b"matches", [matches[0][:2]]), (b"len", 6))
    )


def test_absent_keys_are_empty_strings() -> None:
    shard = Driver()
    shard.run("SET", "a", "x" * 100_000)
    assert shard.run("LCS", "a", "absent") == b""
    assert shard.run("LCS", "absent", "absent", "LEN") == 0


def test_strings_that_would_take_long_are_refused_before_anything_is_done() -> None:
    shard = Driver()
    shard.run("MSET", "long", "x" * 6000, "longer", "x" * 10_000_000, "short", "y")
    for pair in (("long", "long"), ("longer", "short"), ("short", "longer")):
        took_s: list[float] = []
        for _ in range(5):  # A collection, or a neighbour, may come in between.
            began = time.process_time()
            reply = shard.run("LCS", *pair)
            took_s.append(time.process_time() - began)
            assert isinstance(reply, ErrorReply)
            assert "too long for LCS" in reply.text
        assert min(took_s) < 0.02


def test_strings_that_are_not_refused_take_no_longer_than_a_moment() -> None:
    shard = Driver()
    rng = Random(1)
    shard.run("MSET", "a", rng.randbytes(5500), "b", rng.randbytes(5500))
    began = time.process_time()
    assert isinstance(shard.run("LCS", "a", "b"), bytes)
    assert time.process_time() - began < 0.5  # Measured 0.02 s.
