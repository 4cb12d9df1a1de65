"""Replies as text: what is expected here is what redis-cli 7.0 printed for the same."""

from __future__ import annotations

from typing import Any  # Replies nest.

import pytest

from trimaran.client.reply_text import (
    Double,
    ErrorReply,
    Members,
    Pairs,
    Status,
    Text,
    raw,
    shown,
)

ENTRY = [b"1-1", [b"k", b"v", b"k2", b"v2"]]
WRONGTYPE = ErrorReply("WRONGTYPE", "Operation against a key")

SHOWN: list[tuple[Any, str]] = [
    (b'a"b\\c\n\t\x00\xff\x1b \xc3\xa9', r'"a\"b\\c\n\t\x00\xff\x1b \xc3\xa9"'),
    (Status(b"OK"), "OK"),
    (2, "(integer) 2"),
    (None, "(nil)"),
    (True, "(true)"),
    (Double(b"1.5"), "(double) 1.5"),
    (Text(b"id=1 name=x\n"), "id=1 name=x"),
    (WRONGTYPE, "(error) WRONGTYPE Operation against a key"),
    ([], "(empty array)"),
    (Members([]), "(empty set)"),
    (Pairs([]), "(empty hash)"),
    ([b"f", b"1"], '1) "f"\n2) "1"'),
    (Members([b"x"]), '1~ "x"'),
    (Pairs([(b"f", b"1"), (b"g", b"two words")]), '1# "f" => "1"\n2# "g" => "two words"'),
    (
        [1, [2, [3]], ErrorReply("BAD", "x"), Status(b"FINE"), None],
        "1) (integer) 1\n2) 1) (integer) 2\n   2) 1) (integer) 3\n3) (error) BAD x\n4) FINE\n"
        "5) (nil)",
    ),
    (
        [b"1"] * 9 + [[b"x", b"y"]],
        "\n".join(f' {number}) "1"' for number in range(1, 10)) + '\n10) 1) "x"\n    2) "y"',
    ),
    (
        Pairs([(b"st", [ENTRY])]),
        '1# "st" => \n   1) 1) "1-1"\n      2) 1) "k"\n         2) "v"\n         3) "k2"\n'
        '         4) "v2"',
    ),
]

RAW: list[tuple[Any, bytes]] = [
    (b"a\xff\n", b"a\xff\n\n"),
    (Status(b"OK"), b"OK\n"),
    (1, b"1\n"),
    (None, b"\n"),
    ([], b"\n"),
    (Text(b"id=1\n"), b"id=1\n"),
    ([b"st", [ENTRY]], b"st\n1-1\nk\nv\nk2\nv2\n"),
    (WRONGTYPE, b"WRONGTYPE Operation against a key\n\n"),
    ([1, ErrorReply("BAD", "x"), Status(b"FINE"), None], b"1\nBAD x\n\nFINE\n\n"),
    (Pairs([(b"f", b"1"), (b"g", [b"x", b"y"])]), b"f 1\ng x\ny\n"),
]


@pytest.mark.parametrize(("reply", "text"), SHOWN)
def test_a_reply_is_shown_as_redis_cli_does(reply: Any, text: str) -> None:
    assert shown(reply).decode() == text + "\n"


@pytest.mark.parametrize(("reply", "text"), RAW)
def test_a_reply_is_raw_as_redis_cli_has_it(reply: Any, text: bytes) -> None:
    assert raw(reply) == text
