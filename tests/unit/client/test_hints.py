"""What may be typed next, from the command table."""

from __future__ import annotations

import pytest

from trimaran.client.hints import candidates, help_of, hint, syntax
from trimaran.client.words_of_line import words_of
from trimaran.cluster.command_docs import arguments_of
from trimaran.cluster.commands import COMMANDS


@pytest.mark.parametrize(
    ("line", "rest"),
    [
        ("GET ", "key"),
        ("GET k ", ""),
        ("GET k", ""),
        ("NOSUCH ", ""),
        ("CLIENT ", "subcommand ..."),
        ("config get ", "parameter [parameter ...]"),
        ("SETEX k ", "seconds value"),
        ("SET k v NX ", "[GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds"
         " | PXAT unix-time-milliseconds | KEEPTTL]"),
        ("SET k v EX ", "seconds [NX | XX] [GET]"),
        ("set k v get ex 10 ", "[NX | XX]"),
        ("MSET a ", "value [key value ...]"),
        ("MSET a 1 ", "[key value ...]"),
        ("DEL a b ", "[key ...]"),
        ("ZADD k NX ", "[GT | LT] [CH] [INCR] score member [score member ...]"),
        ("ZADD k NX 1 ", "member [score member ...]"),
        ("XADD s MAXLEN 3 * ", "field value [field value ...]"),
        ("XREAD COUNT 1 STREAMS a ", "id [id ...]"),
        ("SORT k BY x GET a ", "[LIMIT offset count] [GET pattern [GET pattern ...]]"
         " [ASC | DESC] [ALPHA] [STORE destination]"),
        ('SET "unfinished ', ""),
    ],
)  # fmt: skip
def test_the_hint_is_what_is_still_to_be_typed(line: str, rest: str) -> None:
    assert hint(line) == rest


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("setr", ["setrange"]),
        ("SETR", ["SETRANGE"]),
        ("GETD", ["GETDEL"]),
        ("client l", ["list"]),
        ("XINFO ", ["CONSUMERS", "GROUPS", "HELP", "STREAM"]),
        ("XREAD ", ["COUNT", "BLOCK", "STREAMS"]),
        ("SET k v E", ["EX", "EXAT"]),
        ("SET k v EX ", []),
        ("nosuch ", []),
        ('SET "a ', []),
    ],
)
def test_words_are_completed(line: str, words: list[str]) -> None:
    assert [one.word for one in candidates(line)[1]] == words


def test_an_empty_line_completes_to_every_command_with_what_it_does() -> None:
    found = candidates("")[1]
    assert [one.word for one in found] == sorted(name.decode() for name in COMMANDS)
    assert all(one.about for one in found)


def test_every_command_has_a_syntax_whose_brackets_match() -> None:
    for row in COMMANDS.values():
        for one in (row, *row.subcommands):
            text = syntax(arguments_of(one))
            for left, right in ("[]", "<>"):
                assert text.count(left) == text.count(right), text


def test_help_tells_syntax_and_summary() -> None:
    assert (help_of([b"getrange"]) or "").splitlines()[0] == "  GETRANGE key start end"
    assert "summary:" in (help_of([b"client", b"list"]) or "")
    assert "subcommands: " in (help_of([b"client"]) or "")
    assert help_of([b"nosuch"]) is None
    assert help_of([b"get", b"x"]) is None


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"GET k\n", [b"GET", b"k"]),
        (b"  ", []),
        (rb'SET "a b\x00\n\"" ' + rb"'it\'s\n'", [b"SET", b'a b\x00\n"', rb"it's\n"]),
        (rb'""  c\d \xff', [b"", rb"c\d", rb"\xff"]),
    ],
)
def test_a_line_is_words(line: bytes, words: list[bytes]) -> None:
    assert words_of(line) == words


@pytest.mark.parametrize("line", [b'"open', b"'open", b'"a"b', b'a"b"'])
def test_quotes_that_do_not_match_are_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="Invalid argument"):
        words_of(line)
