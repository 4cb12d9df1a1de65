"""The command table is whole, and agrees with itself. Against a real Redis: tests/model/."""

from __future__ import annotations

from pathlib import Path

from trimaran.cluster.command import LOCAL, LOGGED, READ, SCRIPTING, SPLIT_KEYS, WRITE
from trimaran.cluster.command_docs import DOCS, all_docs, docs_of, info_of
from trimaran.cluster.commands import (
    COMMANDS,
    find_command,
    unknown_command,
    unknown_subcommand,
    wrong_arity,
)
from trimaran.cluster.commands_page import page
from trimaran.cluster.key_specs import key_specs
from trimaran.node.commands import HANDLERS
from trimaran.node.commands.internal import INTERNAL_HANDLERS
from trimaran.proto.reply import MapReply, SetReply, Status

ROOT = Path(__file__).parents[3]
EVERY_ROW = [one for row in COMMANDS.values() for one in (row, *row.subcommands)]


def test_every_data_command_has_the_handler_of_its_name() -> None:
    data = {row.name for row in EVERY_ROW if row.spread is not LOCAL}
    assert set(HANDLERS) == data
    for name, handler in HANDLERS.items():
        plain = name.translate(bytes.maketrans(b"|-", b"__"))
        assert handler.__name__.rstrip("_").upper().encode() == plain


def test_no_door_command_can_be_taken_for_an_internal_one() -> None:
    assert all(name.startswith(b"_") for name in INTERNAL_HANDLERS)
    assert all(find_command(name) is None for name in INTERNAL_HANDLERS)


def test_data_commands_either_read_or_write() -> None:
    for row in EVERY_ROW:
        if row.spread is not LOCAL:  # Of those the flags are for show.
            if row.category == SCRIPTING and not row.flags & (WRITE | LOGGED):
                continue  # Redis does not say of them that they read.
            assert row.flags & (READ | WRITE | LOGGED) in (READ, WRITE, LOGGED), row.name


def test_every_command_with_keys_says_what_it_does_with_them() -> None:
    for row in EVERY_ROW:
        assert bool(row.key_flags) == row.has_keys, row.name


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
        assert all(doc[:4])
        assert bool(doc.deprecated_since) == bool(doc.replaced_by)


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


ONE_KEY = MapReply(
    (
        (b"flags", SetReply((Status("RO"), Status("access")))),
        (
            b"begin_search",
            MapReply(((b"type", b"index"), (b"spec", MapReply(((b"index", 1),))))),
        ),
        (
            b"find_keys",
            MapReply(
                (
                    (b"type", b"range"),
                    (b"spec", MapReply(((b"lastkey", 0), (b"keystep", 1), (b"limit", 0)))),
                )
            ),
        ),
    )
)


def test_command_info_of_get() -> None:
    assert info_of(COMMANDS[b"GET"]) == [
        b"get",
        2,
        SetReply((Status("readonly"), Status("fast"))),
        1,
        1,
        1,
        SetReply((Status("@string"), Status("@read"), Status("@fast"))),
        SetReply(()),
        SetReply((ONE_KEY,)),
        SetReply(()),
    ]


def test_key_specifications_tell_where_keys_are_and_what_is_done_with_them() -> None:
    assert key_specs(COMMANDS[b"PING"]) == SetReply(())
    rename = key_specs(COMMANDS[b"RENAME"])
    assert isinstance(rename, SetReply)
    assert [_told(spec) for spec in rename.members] == [
        ({"RW", "access", "delete"}, 1, (0, 1, 0)),
        ({"OW", "update"}, 2, (0, 1, 0)),
    ]
    mset = key_specs(COMMANDS[b"MSET"])
    assert isinstance(mset, SetReply)
    assert [_told(spec) for spec in mset.members] == [({"OW", "update"}, 1, (-1, 2, 0))]


def _told(spec: MapReply) -> tuple[set[str], int, tuple[int, ...]]:
    """Flags, where it begins, and how keys follow from there."""
    told = dict(spec.pairs)
    begin, find = (dict(dict(told[name].pairs)[b"spec"].pairs) for name in _PARTS)
    return {flag.text for flag in told[b"flags"].members}, begin[b"index"], tuple(find.values())


_PARTS = (b"begin_search", b"find_keys")


def test_every_command_says_what_it_does_with_its_keys() -> None:
    for row in EVERY_ROW:
        assert bool(row.key_flags) == row.has_keys, row.name


def test_command_docs_of_a_container_hold_those_of_its_subcommands() -> None:
    docs = dict(docs_of(COMMANDS[b"CLIENT"]).pairs)
    assert docs[b"group"] == b"connection"
    assert isinstance(docs[b"subcommands"], MapReply)
    assert b"client|id" in dict(docs[b"subcommands"].pairs)
    assert len(all_docs().pairs) == len(COMMANDS)


def test_the_page_of_commands_is_what_the_table_says() -> None:
    """If it fails: python -m trimaran.cluster.commands_page > docs/commands.md"""
    assert (ROOT / "docs" / "commands.md").read_text() == page()
