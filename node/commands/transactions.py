"""EXEC at a shard: the commands queued since MULTI as one command, so nothing comes between them.

The door packs them (`pack_transaction`) into the one argument; they stand in one log entry, run in
order on every replica, and each has its reply, errors included, as in Redis. The third argument is
one of the keys, for routers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgpack

from ...proto.reply import ErrorReply, Reply, size_of_reply
from ..errors import CommandError
from . import HANDLERS
from .context import REPLY_BYTES_MAX

if TYPE_CHECKING:
    from ..data.keyspace import Keyspace
    from ..request import Args
    from .context import Context, Handler

EXEC: Final = b"_EXEC"  # _EXEC packed key
EXEC_RO: Final = b"_EXEC_RO"  # The same, when all of them only read.

TOO_LARGE: Final = ErrorReply(
    "ERR", "not carried out: the replies of this transaction are larger than 512 MiB already"
)


def pack_transaction(commands: Sequence[tuple[int, Args]]) -> bytes:
    """Pairs of database and command; names in upper case, as in the table."""
    packed: bytes = msgpack.packb(commands, use_bin_type=True)
    return packed


def _execute(keys: Keyspace, args: Args, ctx: Context, *, is_read: bool) -> Reply:
    replies: list[Reply] = []
    size = 0
    for db, command in msgpack.unpackb(args[1], use_list=False):
        if size > REPLY_BYTES_MAX:
            replies.append(TOO_LARGE)
            continue
        ctx.db = db
        keys.enter(db, ctx.now_ms, is_read=is_read)
        try:
            reply = HANDLERS[command[0]](keys, command, ctx)
        except CommandError as error:
            reply = ErrorReply(error.code, error.text)
        size += size_of_reply(reply)
        replies.append(reply)
    return replies


def execute(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """Run them in order; an error of one does not undo the others, as in Redis."""
    return _execute(keys, args, ctx, is_read=False)


def execute_read_only(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """The same without the log. Behind a write of the same pipeline it is logged all the same."""
    return _execute(keys, args, ctx, is_read=True)


TRANSACTION_HANDLERS: dict[bytes, Handler] = {EXEC: execute, EXEC_RO: execute_read_only}
