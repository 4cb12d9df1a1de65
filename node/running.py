"""The commands of an entry run on a keyspace: on every replica alike, and once each.

One that comes under a session and was run before is answered by what it was answered then. A
command that fails leaves nothing behind but its reply.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from ..proto.reply import ErrorReply, Reply
from .commands import HANDLERS
from .commands.functions import LOAD_FUNCTION, load_unless_there
from .commands.internal import INTERNAL_HANDLERS
from .commands.transactions import TRANSACTION_HANDLERS
from .commands.unnoticed import UNNOTICED_HANDLERS
from .data.sessions import Lookup
from .errors import CommandError

if TYPE_CHECKING:
    from .commands.context import Context, Handler
    from .data.entry import CommandRecord
    from .data.keyspace import Keyspace

# Whatever an entry or a read may ask of a shard.
ALL_HANDLERS: Final[dict[bytes, Handler]] = {
    **HANDLERS,
    **INTERNAL_HANDLERS,
    **TRANSACTION_HANDLERS,
    **UNNOTICED_HANDLERS,
    LOAD_FUNCTION: load_unless_there,
}


def run(
    commands: Iterable[CommandRecord],
    keys: Keyspace,
    context: Context,
    replies: list[Reply | Lookup],
) -> None:
    """Run them in order, and add their replies."""
    now_ms = context.now_ms
    watches_misses = context.wants_misses
    keys.on_miss = None
    for db, _user, session, sequence, floor, args in commands:
        if session:
            known = keys.sessions.lookup(session, sequence, floor, now_ms)
            if known is not Lookup.NEW:
                replies.append(known)
                continue
        context.db = db
        keys.proceed(db, now_ms)
        if watches_misses:
            keys.on_miss = context.on_miss(args[0])
        reply: Reply
        try:
            reply = ALL_HANDLERS[args[0]](keys, args, context)
        except CommandError as error:
            reply = ErrorReply(error.code, error.text)
        if session:
            keys.sessions.keep(session, sequence, reply)
        if context.publications:
            context.published.append((len(replies), context.publications))
            context.publications = []
        replies.append(reply)
