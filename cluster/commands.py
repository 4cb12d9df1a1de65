"""The command table: what a router must know of each command. One row per command.

Doors check arity and flags against it, routers find keys and shards with it, COMMAND is answered
from it. The rows stand in `table/`, a module per family; what a row says, in `command.py`. Its
handler has the same name in `node/commands/` (data) or at the doors (LOCAL); tests pair them off.
Read `routing.py` next, for what follows from `keys` and `spread`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .table import FAMILIES

if TYPE_CHECKING:
    from .command import Command

COMMANDS: dict[bytes, Command] = {row.name: row for family in FAMILIES for row in family.ROWS}


def find_command(name: bytes) -> Command | None:
    """The row of the command called `name`, in any case."""
    return COMMANDS.get(name) or COMMANDS.get(name.upper())


# --- What a command that does not fit the table is answered, behind `ERR `. As Redis words it.

_SHOWN_BYTES_MAX = 128  # Of what the client sent.


def unknown_command(args: Sequence[bytes]) -> str:
    shown = b""
    for one in args[1:]:
        if len(shown) >= _SHOWN_BYTES_MAX:
            break
        shown += b"'%b' " % _cut(one, _SHOWN_BYTES_MAX - len(shown))
    return f"unknown command '{_shown(args[0])}', with args beginning with: {_text(shown)}"


def unknown_subcommand(args: Sequence[bytes]) -> str:
    if args[0].upper() == b"DEBUG":
        return _not_in_debug(args[1])
    return f"unknown subcommand '{_shown(args[1])}'. Try {_shown(args[0].upper())} HELP."


def wrong_arity(row: Command) -> str:
    if row.name.startswith(b"DEBUG|"):
        return _not_in_debug(row.name[6:].lower())
    return f"wrong number of arguments for '{row.display_name}' command"


def _not_in_debug(word: bytes) -> str:
    """In Redis its subcommands stand in no table, so that one text is for both faults."""
    return f"unknown subcommand or wrong number of arguments for '{_shown(word)}'. Try DEBUG HELP."


def _cut(word: bytes, bytes_max: int) -> bytes:
    """As printf writes a string of C: up to a zero byte."""
    return word[:bytes_max].partition(b"\0")[0]


def _text(shown: bytes) -> str:
    """Bytes that are no UTF-8 survive (PEP 383). A line end would end the error reply early."""
    return shown.decode("utf-8", "surrogateescape").replace("\r", " ").replace("\n", " ")


def _shown(word: bytes) -> str:
    return _text(_cut(word, _SHOWN_BYTES_MAX))
