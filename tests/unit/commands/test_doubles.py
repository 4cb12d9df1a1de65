"""Scores and other numbers with a fraction: whatever is sent is read in little time."""

from __future__ import annotations

from time import process_time

import pytest

from trimaran.node.commands.doubles import parse_bound, parse_double

LONG = 1 << 20


@pytest.mark.parametrize(
    "text",
    [
        b"1" * LONG + b"x",
        b"0x" + b"1" * LONG + b"x",
        b"1." + b"0" * LONG + b"x",
        b"0x." + b"f" * LONG + b"p",
        b"1e" + b"1" * LONG + b"x",
    ],
)
def test_a_long_text_that_is_no_number_is_refused_at_once(text: bytes) -> None:
    began = process_time()
    assert parse_double(text) is None
    assert parse_bound(text) is None
    assert process_time() - began < 1  # Milliseconds; hours if digits were divided in all ways.


@pytest.mark.parametrize(
    ("text", "number"),
    [(b"1.", 1.0), (b".5", 0.5), (b"1.5e1", 15.0), (b"0x1.8", 1.5), (b"0x.8p1", 1.0)],
)
def test_what_strtod_reads_is_read(text: bytes, number: float) -> None:
    assert parse_double(text) == number
    assert parse_bound(text) == number


@pytest.mark.parametrize("text", [b".", b"0x", b"0x.", b"1e", b"+", b"1.5.5", b"0x1.1.1"])
def test_what_strtod_reads_in_part_is_refused(text: bytes) -> None:
    assert parse_double(text) is None
