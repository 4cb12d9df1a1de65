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
    "FLUSHALL BOGUS",
    "FLUSHDB SYNC SYNC",
]
# These take any arguments that fit their arity.
CANNOT_FAIL = {b"DEL", b"UNLINK", b"PERSIST"}


def filled() -> Keyspace:
    keys = keyspace_with_words()
    keys.enter(0, NOW_MS, is_read=False)
    keys.put(b"text", b"text", NOW_MS + 5000)
    keys.put(b"number", b"-2")
    keys.put(b"big", b"9223372036854775807")
    keys.change_or_add(b"words", Words).append(b"word")
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


def test_every_write_has_a_failure_above() -> None:
    writes = {name for name, row in COMMANDS.items() if row.flags & WRITE}
    assert writes == {text.split()[0].encode() for text in FAILING} | CANNOT_FAIL


READS = sorted(
    name for name, row in COMMANDS.items() if row.spread is not LOCAL and not row.flags & WRITE
)


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("key", [b"text", b"words", b"absent"])
def test_a_read_changes_nothing_and_needs_no_write_access(name: bytes, key: bytes) -> None:
    keys = filled()
    before = keys.digest()
    keys.enter(0, NOW_MS, is_read=True)
    args = [name, key] if COMMANDS[name].accepts(2) else [name]
    try:
        HANDLERS[name](keys, args, Context(0, NOW_MS, 1))
    except CommandError as error:
        assert error.code == "WRONGTYPE" or name == b"SCAN"  # noqa: PT017
    assert keys.digest() == before
