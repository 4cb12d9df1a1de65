"""CLIENT NO-TOUCH: what such a client reads does not count as a use of a key.

Its commands are told apart only here, as they leave for a shard (`node/commands/unnoticed.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgpack

from ..commands.transactions import EXEC, EXEC_RO, pack_transaction
from ..commands.unnoticed import READS, UNNOTICED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..request import Args


def unnoticed(commands: Sequence[Args]) -> list[Args]:
    """What a shard is asked for `commands` of such a client."""
    return [_unnoticed(args) for args in commands]


def _unnoticed(args: Args) -> Args:
    if args[0] in READS:
        return (UNNOTICED, *args)
    if args[0] in (EXEC, EXEC_RO):
        inside = msgpack.unpackb(args[1], use_list=False)
        return args[0], pack_transaction([(db, _unnoticed(one)) for db, one in inside]), *args[2:]
    return args
