"""What a client that said CLIENT NO-TOUCH reads: none of it counts as a use of a key.

Its node puts `_UNNOTICED` in front of its reads, so that whoever carries them out knows: another
node, a transaction, an entry behind a write of the same pipeline. TOUCH counts as ever, and so
does what it writes, or reads by a script.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ...cluster.command import READ
from ...cluster.commands import COMMANDS
from . import HANDLERS

if TYPE_CHECKING:
    from ...proto.reply import Reply
    from ..data.keyspace import Keyspace
    from ..request import Args
    from .context import Context, Handler

UNNOTICED: Final = b"_UNNOTICED"  # _UNNOTICED command ...
READS: Final = frozenset(
    row.name
    for top in COMMANDS.values()
    for row in (top, *top.subcommands)
    if row.flags & READ and row.name in HANDLERS and row.name != b"TOUCH"
)


def read_unnoticed(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    command = args[1:]
    if ctx.wants_misses:
        keys.on_miss = ctx.on_miss(command[0])
    with keys.unnoticed():
        return HANDLERS[command[0]](keys, command, ctx)


UNNOTICED_HANDLERS: dict[bytes, Handler] = {UNNOTICED: read_unnoticed}
