"""EXEC at a shard: the commands queued since MULTI as one command, so nothing comes between them.

The door packs them (`pack_transaction`) into the one argument; they stand in one log entry, run in
order on every replica, and each has its reply, errors included, as in Redis. The third argument is
one of the keys, for routers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgpack

from ...proto.reply import NULL_ARRAY, OK, ErrorReply, Reply, size_of_reply
from ..data.hash import Hash
from ..errors import CommandError
from . import HANDLERS
from .context import REPLY_BYTES_MAX
from .hash_expiry import expire_fields
from .internal import WHEN_FULL
from .unnoticed import UNNOTICED_HANDLERS

if TYPE_CHECKING:
    from ..data.keyspace import Keyspace
    from ..request import Args
    from .context import Context, Handler

EXEC: Final = b"_EXEC"  # _EXEC packed key [marks]
WATCH: Final = b"_WATCH"  # _WATCH key ...
WATCH_FIELDS_MAX: Final = 1_000  # That are removed at once; of more the rest counts as a change.
MARKS: Final = 3  # Place of what the client watches, if it does.
Mark = tuple[int, bytes, int]  # Database, key, and the stamp at which it was watched.
EXEC_RO: Final = b"_EXEC_RO"  # The same, when all of them only read.

PUBLISHING: Final = frozenset({b"PUBLISH", b"SPUBLISH"})

_OK_BYTES: Final = size_of_reply(OK)

TOO_LARGE: Final = ErrorReply(
    "ERR", "not carried out: the replies of this transaction are larger than 512 MiB already"
)


def pack_transaction(commands: Sequence[tuple[int, Args]]) -> bytes:
    """Pairs of database and command; names in upper case, as in the table."""
    packed: bytes = msgpack.packb(commands, use_bin_type=True)
    return packed


def pack_marks(marks: Sequence[Mark]) -> bytes:
    """What a client watches."""
    packed: bytes = msgpack.packb(marks, use_bin_type=True)
    return packed


def watch(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """_WATCH key ...: from here on changes of them are noted; the stamp that EXEC is to carry."""
    for key in args[1:]:
        at_ms = keys.raw_expiry_of(key)
        if at_ms is not None and at_ms <= ctx.now_ms:
            keys.delete(key)  # Its end is no change that anybody waits for.
        else:
            expire_fields(keys, key, WATCH_FIELDS_MAX, ctx)  # Nor is theirs.
    for key in args[1:]:
        keys.watches.watch(ctx.db, key, ctx.now_ms, keys.stamp)
    return keys.stamp


def _has_changed(keys: Keyspace, ctx: Context, packed: bytes) -> bool:
    for db, key, since in msgpack.unpackb(packed, use_list=False):
        keys.enter(db, ctx.now_ms, is_read=False)
        if not keys.is_unchanged(key, since) or _has_lost_fields(keys.look(db, key), ctx):
            return True
    return False


def _has_lost_fields(value: object, ctx: Context) -> bool:
    """Whether a field has come due, removed or not."""
    return (
        isinstance(value, Hash)
        and value.next_due_ms <= ctx.now_ms
        and value.look_for_due() <= ctx.now_ms  # The first was a bound.
    )


def _execute(keys: Keyspace, args: Args, ctx: Context, *, is_read: bool) -> Reply:
    if len(args) > MARKS and _has_changed(keys, ctx, args[MARKS]):
        return NULL_ARRAY
    replies: list[Reply] = []
    size = 0
    now_ms, watches_misses = ctx.now_ms, ctx.wants_misses
    for db, command in msgpack.unpackb(args[1], use_list=False):
        if size > REPLY_BYTES_MAX:
            replies.append(TOO_LARGE)
            continue
        handler = HANDLERS.get(command[0])
        if handler is None and command[0] in PUBLISHING:
            # How many get it knows only the node that sends it: it puts that in place of the 0.
            ctx.publish(command, len(replies))
            replies.append(0)
            continue
        ctx.db = db
        if is_read:
            keys.enter(db, now_ms, is_read=True)
        else:
            keys.proceed(db, now_ms)
        if watches_misses:
            keys.on_miss = ctx.on_miss(command[0])
        if handler is None:
            handler = UNNOTICED_HANDLERS[command[0]]
        try:
            reply = handler(keys, command, ctx)
        except CommandError as error:
            reply = ErrorReply(error.code, error.text)
        size += _OK_BYTES if reply is OK else size_of_reply(reply)
        replies.append(reply)
    return replies


def execute(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """Run them in order; an error of one does not undo the others, as in Redis."""
    return _execute(keys, args, ctx, is_read=False)


def execute_read_only(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """The same without the log. Behind a write of the same pipeline it is logged all the same."""
    return _execute(keys, args, ctx, is_read=True)


def execute_when_full(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """A script, or a transaction with one, that the leader had no memory for: it runs, and refuses
    by itself what would grow."""
    command = args[1:]
    handler = HANDLERS.get(command[0]) or TRANSACTION_HANDLERS[command[0]]
    ctx.is_full = True
    try:
        return handler(keys, command, ctx)
    finally:
        ctx.is_full = False


TRANSACTION_HANDLERS: dict[bytes, Handler] = {
    EXEC: execute,
    EXEC_RO: execute_read_only,
    WATCH: watch,
    WHEN_FULL: execute_when_full,
}
