"""What the machine does not reach: patterns, the command table."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any  # Any: replies nest.

import pytest

from trimaran.cluster.arguments import arguments_reply
from trimaran.cluster.command_docs import arguments_of
from trimaran.cluster.commands import COMMANDS
from trimaran.cluster.commands_page import REFUSED
from trimaran.cluster.key_specs import key_specs
from trimaran.node.data.glob import Glob

from .machine import same
from .redis_server import RedisConnection, as_received


def test_patterns_match_as_in_a_real_redis(redis_connection: RedisConnection) -> None:
    rng = Random(7)

    def some(alphabet: bytes, length_max: int) -> bytes:
        return bytes(
            alphabet[int(rng.random() * len(alphabet))]
            for _ in range(int(rng.random() * (length_max + 1)))
        )

    names = {some(b"abcd-]^\\*\n", 5) for _ in range(400)}
    redis_connection.run([b"SELECT", b"0"])
    redis_connection.run([b"FLUSHALL"])
    redis_connection.run([b"MSET", *[word for name in names for word in (name, b"")]])
    for _ in range(2000):
        pattern = some(b"abcd--]]^^\\**?[[", 9)
        theirs = redis_connection.run([b"KEYS", pattern])
        assert isinstance(theirs, list)
        matches = Glob(pattern).matches
        assert sorted(filter(matches, names)) == sorted(theirs), pattern


def _lower(reply: Any) -> set[str]:
    return {one.text.lower() for one in reply}


# What later versions than the installed one say otherwise or do not have yet.
NEWER = {b"CLIENT|SETINFO", b"CLIENT|NO-TOUCH", b"CLUSTER|MYSHARDID", b"WAITAOF"}
NEWER |= {b"ZRANK", b"ZREVRANK"}  # They take WITHSCORE.
NEWER |= {b"HGETDEL", b"HGETEX", b"HSETEX", b"HPERSIST", b"HTTL", b"HPTTL"}
NEWER |= {b"HEXPIRE", b"HPEXPIRE", b"HEXPIREAT", b"HPEXPIREAT", b"HEXPIRETIME", b"HPEXPIRETIME"}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_table_agrees_with_a_real_redis(redis_connection: RedisConnection, name: bytes) -> None:
    reply = redis_connection.run([b"COMMAND", b"INFO", name])
    assert isinstance(reply, list)
    theirs = reply[0]
    row = COMMANDS[name]
    if theirs is None:
        assert name in NEWER
        return
    known = {entry[0].upper(): entry for entry in [theirs, *theirs[9]]}
    for one in (row, *row.subcommands):
        if one.name in NEWER or one.name.startswith(b"DEBUG|"):  # Not in Redis's table.
            continue
        _, arity, flags, first, last, step, categories, tips, specs, _ = known[one.name]
        assert one.arity == arity
        assert set(one.flag_names) == _lower(flags)
        assert (one.keys.first, one.keys.last, one.keys.step) == (first, last, step)
        assert {f"@{category}" for category in one.acl_categories} == _lower(categories)
        assert sorted(one.tips) == sorted(tip.decode() for tip in tips)
        ours = as_received(key_specs(one), protocol=2)
        assert isinstance(ours, list)
        assert [_without_notes(spec) for spec in ours] == [_without_notes(spec) for spec in specs]


NEWER_OPTIONS = {b"CLIENT|KILL", b"HSCAN", b"ZRANK", b"ZREVRANK"}


def test_arguments_are_told_as_a_real_redis_tells_them(redis_connection: RedisConnection) -> None:
    reply = redis_connection.run([b"COMMAND", b"DOCS"])
    assert isinstance(reply, list)
    told = dict(_told_arguments(reply))
    for row in COMMANDS.values():
        for one in (row, *row.subcommands):
            if one.name not in NEWER | NEWER_OPTIONS and not one.name.startswith(b"DEBUG|"):
                ours = as_received(arguments_reply(arguments_of(one)), protocol=2)
                assert _without_history(ours) == told[one.name], one.name


def _told_arguments(docs: list[Any]) -> Iterator[tuple[bytes, list[Any]]]:
    for name, doc in zip(docs[::2], docs[1::2], strict=True):
        fields = dict(zip(doc[::2], doc[1::2], strict=True))
        yield name.upper(), _without_history(fields.get(b"arguments", []))
        yield from _told_arguments(fields.get(b"subcommands", []))


def _without_history(arguments: Any) -> list[Any]:
    """Arguments as they are, not since when."""
    found = []
    for one in arguments:
        fields = dict(zip(one[::2], one[1::2], strict=True))
        fields.pop(b"since", None)
        fields.pop(b"deprecated_since", None)
        fields[b"flags"] = _lower(fields.get(b"flags", []))
        fields[b"arguments"] = _without_history(fields.get(b"arguments", []))
        found.append(fields)
    return found


def test_every_command_of_a_real_redis_is_there_or_refused_with_a_reason(
    redis_connection: RedisConnection,
) -> None:
    reply = redis_connection.run([b"COMMAND", b"LIST"])
    assert isinstance(reply, list)
    ours = {one.name for row in COMMANDS.values() for one in (row, *row.subcommands)}
    refused = {name.replace(" ", "|").encode() for name in REFUSED}
    assert not refused & ours
    assert {name.upper() for name in reply} - ours == refused
    assert all(REFUSED.values())


def _without_notes(spec: list[Any]) -> dict[bytes, Any]:
    """What one key specification says to programs."""
    fields = dict(zip(spec[::2], spec[1::2], strict=True))
    fields.pop(b"notes", None)
    fields[b"flags"] = _lower(fields[b"flags"])
    return fields


def test_replies_compare_by_kind_and_value() -> None:
    # The machine leans on it.
    assert same([1, b"x"], [1, b"x"])
    assert not same([1], [b"1"])
    assert not same(True, 1)  # noqa: FBT003
    assert same(100, 103, slack=5)
    assert not same(-1, 3, slack=5)
