"""The command table is whole, and agrees with itself. Against a real Redis: tests/model/."""

from __future__ import annotations

from trimaran.cluster.command_docs import DOCS, all_docs, docs_of, info_of
from trimaran.cluster.commands import (
    COMMANDS,
    LOCAL,
    READ,
    SPLIT_KEYS,
    WRITE,
    find_command,
    unknown_command,
    unknown_subcommand,
    wrong_arity,
)
from trimaran.node.commands import HANDLERS
from trimaran.node.commands.internal import INTERNAL_HANDLERS
from trimaran.proto.reply import MapReply, SetReply, Status

EVERY_ROW = [one for row in COMMANDS.values() for one in (row, *row.subcommands)]


def test_every_data_command_has_the_handler_of_its_name() -> None:
    data = {name for name, row in COMMANDS.items() if row.spread is not LOCAL}
    assert set(HANDLERS) == data
    for name, handler in HANDLERS.items():
        assert handler.__name__.rstrip("_").upper().encode() == name


def test_no_door_command_can_be_taken_for_an_internal_one() -> None:
    assert all(name.startswith(b"_") for name in INTERNAL_HANDLERS)
    assert all(find_command(name) is None for name in INTERNAL_HANDLERS)


def test_data_commands_either_read_or_write_and_local_ones_do_neither() -> None:
    for row in EVERY_ROW:
        kinds = row.flags & (READ | WRITE)
        assert kinds == 0 if row.spread is LOCAL else kinds in (READ, WRITE), row.name


def test_commands_that_are_split_have_nothing_but_keys() -> None:
    for row in EVERY_ROW:
        if row.spread is SPLIT_KEYS:
            assert (row.keys.first, row.keys.last, row.keys.step) == (1, -1, 1)


def test_names_are_upper_case_and_subcommands_name_their_container() -> None:
    for row in COMMANDS.values():
        assert row.name == row.name.upper()
        for one in row.subcommands:
            container, _, word = one.name.partition(b"|")
            assert container == row.name
            assert row.by_word[word] is one


def test_every_row_has_its_documentation() -> None:
    assert set(DOCS) == {row.name for row in EVERY_ROW}
    for doc in DOCS.values():
        assert doc.summary.endswith(".")
        assert all(doc)


def test_a_command_is_found_in_any_case() -> None:
    assert find_command(b"GET") is find_command(b"get") is find_command(b"gEt")
    assert find_command(b"GOT") is None


def test_arity_counts_the_name_and_negative_means_at_least() -> None:
    get, set_ = COMMANDS[b"GET"], COMMANDS[b"SET"]
    assert [get.accepts(count) for count in (1, 2, 3)] == [False, True, False]
    assert [set_.accepts(count) for count in (2, 3, 9)] == [False, True, True]


def test_errors_are_worded_as_in_redis() -> None:
    assert wrong_arity(COMMANDS[b"GET"]) == "wrong number of arguments for 'get' command"
    setname = COMMANDS[b"CLIENT"].by_word[b"SETNAME"]
    assert wrong_arity(setname) == "wrong number of arguments for 'client|setname' command"
    assert (
        unknown_command([b"FOO", b"a", b"b"])
        == "unknown command 'FOO', with args beginning with: 'a' 'b' "
    )
    assert unknown_subcommand([b"client", b"foo"]) == "unknown subcommand 'foo'. Try CLIENT HELP."


def test_errors_hold_no_line_end_and_have_a_bound() -> None:
    text = unknown_command([b"F\r\nOO" * 1000, *[b"x\r\n" * 1000] * 1000])
    assert "\r" not in text
    assert "\n" not in text
    assert len(text) < 500


def test_command_info_of_get() -> None:
    assert info_of(COMMANDS[b"GET"]) == [
        b"get",
        2,
        SetReply((Status("readonly"), Status("fast"))),
        1,
        1,
        1,
        SetReply((Status("@string"), Status("@read"), Status("@fast"))),
        [],
        [],
        [],
    ]


def test_command_docs_of_a_container_hold_those_of_its_subcommands() -> None:
    docs = dict(docs_of(COMMANDS[b"CLIENT"]).pairs)
    assert docs[b"group"] == b"connection"
    assert isinstance(docs[b"subcommands"], MapReply)
    assert b"client|id" in dict(docs[b"subcommands"].pairs)
    assert len(all_docs().pairs) == len(COMMANDS)
