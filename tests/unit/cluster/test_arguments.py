"""The notation in which the table says what follows a command's name."""

from __future__ import annotations

import pytest

from trimaran.cluster.arguments import (
    BLOCK,
    INTEGER,
    KEY,
    ONEOF,
    PATTERN,
    STRING,
    TOKEN,
    Argument,
    arguments_reply,
    parse_arguments,
)
from trimaran.cluster.command_docs import arguments_of
from trimaran.cluster.commands import COMMANDS
from trimaran.cluster.table import FAMILIES
from trimaran.proto.reply import MapReply, SetReply, Status


def test_a_name_has_the_type_it_says() -> None:
    assert parse_arguments("key field count:integer ip:port") == (
        Argument("key", KEY, spec=0),
        Argument("field", STRING),
        Argument("count", INTEGER),
        Argument("ip:port", STRING),
    )


def test_words_stand_alone_or_in_front_of_a_value() -> None:
    assert parse_arguments("NX [change=CH] EX seconds:integer NO ONE") == (
        Argument("nx", TOKEN, "NX"),
        Argument("change", TOKEN, "CH", is_optional=True),
        Argument("seconds", INTEGER, "EX"),
        Argument("no", TOKEN, "NO"),
        Argument("one", TOKEN, "ONE"),
    )


def test_what_stands_together_and_what_is_chosen_nests() -> None:
    assert parse_arguments("[count{COUNT count:integer [ANY]}] id(id|auto=*)...") == (
        Argument(
            "count",
            BLOCK,
            is_optional=True,
            parts=(
                Argument("count", INTEGER, "COUNT"),
                Argument("any", TOKEN, "ANY", is_optional=True),
            ),
        ),
        Argument(
            "id",
            ONEOF,
            parts=(Argument("id", STRING), Argument("auto", TOKEN, "*")),
            is_multiple=True,
        ),
    )


def test_a_word_may_come_again_with_each_value() -> None:
    (gets,) = parse_arguments("[GET pattern:pattern#1...+]")
    assert (gets.type, gets.token, gets.spec) == (PATTERN, "GET", 1)
    assert (gets.is_optional, gets.is_multiple, gets.is_token_repeated) == (True, True, True)


def test_keys_are_of_the_specification_at_their_place_or_of_the_one_named() -> None:
    specs = [one.spec for one in parse_arguments("a:key b:key#0 STORE c:key value")]
    assert specs == [0, 0, 2, -1]


@pytest.mark.parametrize("line", ["[key", "unit(M|KM", "pair{a b", "key)", "[a b]"])
def test_a_line_that_is_not_closed_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"missing|not understood"):
        parse_arguments(line)


def test_docs_tell_only_what_there_is_to_tell() -> None:
    assert arguments_reply(parse_arguments("key [GET]")) == [
        MapReply(((b"name", b"key"), (b"type", b"key"), (b"key_spec_index", 0))),
        MapReply(
            (
                (b"name", b"get"),
                (b"type", b"pure-token"),
                (b"token", b"GET"),
                (b"flags", SetReply((Status("optional"),))),
            )
        ),
    ]


# Redis does not say what follows these, or reads nothing of it.
SILENT = {b"QUIT", b"REPLCONF", b"COMMAND|GETKEYS", b"COMMAND|GETKEYSANDFLAGS"}


def test_every_command_that_takes_arguments_says_which() -> None:
    rows = [one for row in COMMANDS.values() for one in (row, *row.subcommands)]
    for row in rows:
        if row.name in SILENT:
            continue
        words = row.name.count(b"|") + 1
        takes_more = row.arity != words and not row.subcommands
        assert bool(arguments_of(row)) == takes_more, row.name


def test_arguments_are_told_of_rows_of_the_same_family() -> None:
    for family in FAMILIES:
        names = {one.name for row in family.ROWS for one in (row, *row.subcommands)}
        assert set(family.ARGUMENTS) <= names
