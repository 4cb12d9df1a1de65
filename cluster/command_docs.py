"""What COMMAND INFO and COMMAND DOCS answer: the table as people and tools look at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..proto.reply import MapReply, Reply, SetReply, Status
from .arguments import Argument, arguments_reply, parse_arguments
from .commands import COMMANDS
from .key_specs import key_specs
from .table import FAMILIES

if TYPE_CHECKING:
    from .command import Command
    from .doc import Doc

DOCS: dict[bytes, Doc] = {name: doc for family in FAMILIES for name, doc in family.DOCS.items()}
_ARGUMENTS = {name: text for family in FAMILIES for name, text in family.ARGUMENTS.items()}


def arguments_of(row: Command) -> tuple[Argument, ...]:
    """What follows the name of a command (or subcommand)."""
    return parse_arguments(_ARGUMENTS.get(row.name, ""))


def info_of(row: Command) -> Reply:
    """What COMMAND and COMMAND INFO answer for one command."""
    return [
        row.display_name.encode(),
        row.arity,
        SetReply(tuple(map(Status, row.flag_names))),
        row.keys.first,
        row.keys.last,
        row.keys.step,
        SetReply(tuple(Status(f"@{name}") for name in row.acl_categories)),
        SetReply(tuple(tip.encode() for tip in row.tips)),
        key_specs(row),
        [info_of(one) for one in row.subcommands] or SetReply(()),
    ]


def docs_of(row: Command) -> MapReply:
    """What COMMAND DOCS answers for one command, beside its name."""
    doc = DOCS[row.name]
    pairs: list[tuple[bytes, Reply]] = [
        (b"summary", doc.summary.encode()),
        (b"since", doc.since.encode()),
        (b"group", doc.group.encode()),
        (b"complexity", doc.complexity.encode()),
    ]
    if doc.deprecated_since:
        pairs += [
            (b"doc_flags", SetReply((Status("deprecated"),))),
            (b"deprecated_since", doc.deprecated_since.encode()),
            (b"replaced_by", doc.replaced_by.encode()),
        ]
    if arguments := arguments_of(row):
        pairs.append((b"arguments", arguments_reply(arguments)))
    if row.subcommands:
        subcommands = tuple((one.display_name.encode(), docs_of(one)) for one in row.subcommands)
        pairs.append((b"subcommands", MapReply(subcommands)))
    return MapReply(tuple(pairs))


def all_docs() -> MapReply:
    """What COMMAND DOCS answers when no command is named."""
    return MapReply(tuple((row.display_name.encode(), docs_of(row)) for row in COMMANDS.values()))
