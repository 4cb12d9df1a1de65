"""SCRIPT and FUNCTION: what needs no shard of them. The rest is `node/commands/scripting.py` and
`functions.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...proto.reply import OK, Reply
from ..errors import CommandError
from .subcommands import Subcommands

if TYPE_CHECKING:
    from ..request import Args
    from .client import Client


def _kill(client: Client, args: Args) -> Reply:
    """Nothing can be stopped that is in the log; and what is not has not begun."""
    raise CommandError("No scripts in execution right now.", "NOTBUSY")


def _debug(client: Client, args: Args) -> Reply:
    if args[2].upper() == b"NO":
        return OK
    if args[2].upper() in (b"YES", b"SYNC"):
        raise CommandError("SCRIPT DEBUG is not supported: a script runs on all replicas at once")
    raise CommandError("Use SCRIPT DEBUG YES/SYNC/NO")


SCRIPT = Subcommands(
    b"SCRIPT",
    {b"KILL": _kill, b"DEBUG": _debug},
    (
        "DEBUG (YES|SYNC|NO)",
        "    Refused but for NO: a script runs on all replicas at once.",
        "EXISTS <sha1> [<sha1> ...]",
        "    Return which scripts are known.",
        "FLUSH [ASYNC|SYNC]",
        "    Forget all scripts.",
        "KILL",
        "    Refused: a script ends by itself, at its budget.",
        "LOAD <script>",
        "    Keep a script for EVALSHA, without running it.",
    ),
)

FUNCTION = Subcommands(
    b"FUNCTION",
    {b"KILL": _kill},
    (
        "DELETE <LIBRARY NAME>",
        "    Remove a library with its functions.",
        "DUMP",
        "    Return all libraries, as FUNCTION RESTORE takes them.",
        "FLUSH [ASYNC|SYNC]",
        "    Remove all libraries.",
        "KILL",
        "    Refused: a function ends by itself, at its budget.",
        "LIST [LIBRARYNAME PATTERN] [WITHCODE]",
        "    Return which libraries and functions there are.",
        "LOAD [REPLACE] <FUNCTION CODE>",
        "    Keep a library of functions.",
        "RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]",
        "    Take the libraries that FUNCTION DUMP gave.",
        "STATS",
        "    Return how many libraries and functions there are.",
    ),
)
