"""COMMAND: the command table, for clients that ask where keys are and people who ask what is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...cluster.command import NO_MANDATORY_KEYS, Command
from ...cluster.command_docs import all_docs, docs_of, info_of
from ...cluster.commands import COMMANDS, find_command
from ...cluster.key_specs import keys_and_flags
from ...proto.reply import MapReply, Reply
from ..data.glob import Glob
from ..errors import CommandError
from .subcommands import Subcommands, shown

if TYPE_CHECKING:
    from ..request import Args
    from .client import Client


def _all(client: Client, args: Args) -> Reply:
    """Without a subcommand: every row."""
    return [info_of(row) for row in COMMANDS.values()]


def _find(name: bytes) -> Command | None:
    """A command or, written as `config|get`, a subcommand."""
    parent, _, word = name.partition(b"|")
    row = find_command(parent)
    return row.by_word.get(word.upper()) if row is not None and word else row


def _count(client: Client, args: Args) -> Reply:
    return len(COMMANDS)


def _info(client: Client, args: Args) -> Reply:
    if len(args) == 2:
        return _all(client, args)
    rows = map(_find, args[2:])
    return [info_of(row) if row is not None else None for row in rows]


def _docs(client: Client, args: Args) -> Reply:
    if len(args) == 2:
        return all_docs()
    rows = [row for row in map(_find, args[2:]) if row is not None]
    return MapReply(tuple((row.display_name.encode(), docs_of(row)) for row in rows))


def _getkeys(client: Client, args: Args) -> Reply:
    row, asked = _asked(args)
    return list(_keys_of(row, asked))


def _asked(args: Args) -> tuple[Command, Args]:
    """The command that is asked about, which fits its row and has keys."""
    asked = args[2:]
    row = find_command(asked[0])
    if row is not None and row.subcommands:
        row = row.by_word.get(asked[1].upper()) if len(asked) > 1 else None
    if row is None:
        raise CommandError("Invalid command specified")
    if not row.accepts(len(asked)):
        raise CommandError("Invalid number of arguments specified for command")
    if not row.has_keys:
        raise CommandError("The command has no key arguments")
    return row, asked


def _keys_of(row: Command, asked: Args) -> Sequence[bytes]:
    found = row.keys_of(asked)
    if not found and not row.flags & NO_MANDATORY_KEYS:
        raise CommandError("Invalid arguments specified for command")
    return found


def _getkeysandflags(client: Client, args: Args) -> Reply:
    row, asked = _asked(args)
    _keys_of(row, asked)
    return keys_and_flags(row, asked)


def _list(client: Client, args: Args) -> Reply:
    """LIST [FILTERBY MODULE name | ACLCAT category | PATTERN pattern]"""
    rows = [one for row in COMMANDS.values() for one in (row, *row.subcommands)]
    names = [row.display_name for row in rows]
    if len(args) > 2:
        if len(args) != 5 or args[2].upper() != b"FILTERBY":
            raise CommandError("syntax error")
        option, wanted = args[3].upper(), shown(args[4]).lower()
        if option == b"MODULE":
            names = []
        elif option == b"ACLCAT":
            names = [row.display_name for row in rows if wanted in row.acl_categories]
        elif option == b"PATTERN":
            glob = Glob(args[4].lower())
            names = [name for name in names if glob.matches(name.encode())]
        else:
            raise CommandError("syntax error")
    return [name.encode() for name in names]


COMMAND = Subcommands(
    b"COMMAND",
    {
        b"COUNT": _count,
        b"DOCS": _docs,
        b"GETKEYS": _getkeys,
        b"GETKEYSANDFLAGS": _getkeysandflags,
        b"INFO": _info,
        b"LIST": _list,
    },
    (
        "(no subcommand)",
        "    Return details about all commands.",
        "COUNT",
        "    Return the number of commands.",
        "DOCS [<command-name> ...]",
        "    Return documentation of all or of the commands named.",
        "GETKEYS <full-command>",
        "    Return the keys from a full command.",
        "GETKEYSANDFLAGS <full-command>",
        "    Return the keys from a full command, and what it does with each.",
        "INFO [<command-name> ...]",
        "    Return details about all or the commands named.",
        "LIST [FILTERBY (MODULE <module>|ACLCAT <category>|PATTERN <pattern>)]",
        "    Return the names of all commands, or of those that match.",
    ),
    alone=_all,
)
