"""A command that fails leaves everything as it was, and a read always does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trimaran.cluster.commands import COMMANDS, LOCAL, WRITE
from trimaran.node.commands import HANDLERS
from trimaran.node.commands.context import Context
from trimaran.node.errors import CommandError

from ...model.driver import words
from ..data.lists import Words, keyspace_with_words

if TYPE_CHECKING:
    from trimaran.node.data.keyspace import Keyspace

NOW_MS = 1_000_000

FAILING = [
    "SET text 1 NX XX",
    "SET text 1 EX",
    "SET text 1 EX 0",
    "SET text 1 PX 9223372036854775807",
    "SET text 1 EX x",
    "SET text 1 BOGUS",
    "SET text 1 KEEPTTL EX 5",
    "SET words 1 GET",
    "MSET text 2 odd",
    "APPEND words x",
    "INCR text",
    "INCR words",
    "INCR big",
    "INCRBY number x",
    "INCRBY words 1",
    "DECR text",
    "DECRBY number -9223372036854775808",
    "DECRBY big -1",
    "EXPIRE text x",
    "EXPIRE text 9223372036854775807",
    "EXPIRE text 10 NX GT",
    "PEXPIRE text 9223372036854775807",
    "EXPIREAT text 9223372036854775807",
    "PEXPIREAT text 1 BOGUS",
    "SETEX text 0 1",
    "SETEX text 9223372036854775807 1",
    "PSETEX text x 1",
    "GETEX words",
    "GETEX text EX 0",
    "GETEX text PERSIST PX 5",
    "GETDEL words",
    "GETSET words x",
    "MSETNX new 2 odd",
    "SETRANGE text -1 x",
    "SETRANGE text 536870912 x",
    "SETRANGE words 0 x",
    "INCRBYFLOAT text 1",
    "INCRBYFLOAT number nan",
    "INCRBYFLOAT number inf",
    "INCRBYFLOAT words 1",
    "RENAME absent text",
    "RENAMENX absent new",
    "COPY text text",
    "COPY text new BOGUS",
    "COPY text new DB 16",
    "COPY text new REPLACE DB",
    "MOVE text 0",
    "MOVE text 16",
    "MOVE text x",
    "FLUSHALL BOGUS",
    "FLUSHDB SYNC SYNC",
]
# These take any arguments that fit their arity.
CANNOT_FAIL = {b"DEL", b"UNLINK", b"PERSIST", b"SETNX"}

REFUSING = [  # No error, but not done: 0 or nil.
    "SET text 1 NX",
    "SET absent 1 XX",
    "SETNX text 1",
    "MSETNX new 1 text 2",
    "RENAMENX text number",
    "RENAMENX text text",
    "COPY text number",
    "COPY absent number REPLACE",
    "COPY text text DB 1",
    "MOVE text 1",
    "MOVE absent 1",
    "GETDEL absent",
    "GETEX absent EX 0",
    "SETRANGE absent 5 ",
    "PERSIST number",
    "EXPIRE text 1 NX",
]


def filled() -> Keyspace:
    keys = keyspace_with_words()
    keys.enter(0, NOW_MS, is_read=False)
    keys.put(b"text", b"text", NOW_MS + 5000)
    keys.put(b"number", b"-2")
    keys.put(b"big", b"9223372036854775807")
    keys.change_or_add(b"words", Words).append(b"word")
    keys.switch(1)
    keys.put(b"text", b"other")
    return keys


@pytest.mark.parametrize("text", FAILING)
def test_a_failing_command_changes_nothing(text: str) -> None:
    keys = filled()
    before = keys.digest(), keys.memory_bytes, keys.due(NOW_MS * 2, 100)
    args = words(*text.split())
    keys.enter(0, NOW_MS, is_read=False)
    with pytest.raises(CommandError):
        HANDLERS[args[0]](keys, args, Context(0, NOW_MS, 1))
    assert (keys.digest(), keys.memory_bytes, keys.due(NOW_MS * 2, 100)) == before


@pytest.mark.parametrize("text", REFUSING)
def test_a_command_that_is_not_done_changes_nothing(text: str) -> None:
    keys = filled()
    before = keys.digest(), keys.memory_bytes, keys.due(NOW_MS * 2, 100)
    args = words(*text.split(" "))
    keys.enter(0, NOW_MS, is_read=False)
    assert HANDLERS[args[0]](keys, args, Context(0, NOW_MS, 1)) in (0, None)
    assert (keys.digest(), keys.memory_bytes, keys.due(NOW_MS * 2, 100)) == before


def test_every_write_has_a_failure_above() -> None:
    writes = {name for name in HANDLERS if COMMANDS[name.partition(b"|")[0]].flags & WRITE}
    assert writes == {text.split()[0].encode() for text in FAILING} | CANNOT_FAIL


READS = sorted(
    one.name
    for row in COMMANDS.values()
    for one in (row, *row.subcommands)
    if one.spread is not LOCAL and not one.flags & WRITE
)


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("key", [b"text", b"words", b"absent"])
def test_a_read_changes_nothing_and_needs_no_write_access(name: bytes, key: bytes) -> None:
    keys = filled()
    before = keys.digest()
    keys.enter(0, NOW_MS, is_read=True)
    row = COMMANDS[name.partition(b"|")[0]]
    row = row.by_word.get(name.partition(b"|")[2], row)
    args = [name, key, key, key][: max(abs(row.arity), 2 if row.accepts(2) else 1)]
    try:
        HANDLERS[name](keys, args, Context(0, NOW_MS, 1))
    except CommandError as error:
        assert error.code in ("WRONGTYPE", "ERR")  # noqa: PT017
    assert keys.digest() == before
