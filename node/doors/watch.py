"""WATCH and UNWATCH: what a client watches until its next EXEC, all of it on one shard.

The keys are registered with their shard by a logged command (`_WATCH`), and its answer is the stamp
that EXEC carries; the shard decides when EXEC is applied (correctness A5).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from ...proto.reply import OK, ErrorReply, Reply
from ..commands.transactions import WATCH, Mark
from ..errors import CommandError
from ..request import Done, NotApplied, Outcome, Request
from .outcomes import uncertain
from .subcommands import Later

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...cluster.slots import ShardId
    from ..request import Args
    from .client import Client
    from .connection import Connection
    from .routes import Route

WATCHED_MAX = 10_000  # Keys of one client.


@dataclass(slots=True)
class Watched:
    """What one client watches."""

    shard: ShardId
    key: bytes  # The first of them, for the cluster door.
    marks: list[Mark] = field(default_factory=list)


def watch(client: Client, args: Args) -> Reply | Later:
    connection = cast("Connection", client)  # Only these come so far: gRPC has no transactions.
    if connection.transaction is not None:
        return ErrorReply("ERR", "WATCH inside MULTI is not allowed")  # It goes on, as in Redis.
    watched = connection.watched
    count = len(args) - 1 + (len(watched.marks) if watched is not None else 0)
    if count > WATCHED_MAX:
        raise CommandError(f"too many keys are watched: one client may watch {WATCHED_MAX}")
    before = (watched.shard, watched.key) if watched is not None else (None, b"")
    shard, _ = client.door.routing.place(client.db, _route(), args, *before)
    return Later(lambda done: _register(connection, shard, args[1:], done))


def _route() -> Route:
    from .routes import SHARD_ROUTES  # Whose table has this module's handlers.

    return SHARD_ROUTES[WATCH]


def _register(
    connection: Connection, shard: ShardId, keys: Args, done: Callable[[Reply], None]
) -> None:
    door, db = connection.door, connection.db
    command = [WATCH, *keys]

    def complete(outcome: Outcome) -> None:
        if isinstance(outcome, NotApplied):
            done(door.routing.refusal(_route(), command, outcome.error))
        elif not isinstance(outcome, Done):
            # Watched or not: nothing was changed by it, so that it can be asked for again.
            done(uncertain(outcome.error, is_write=False))
        elif isinstance(stamp := outcome.replies[0], int):
            if connection.watched is None:
                connection.watched = Watched(shard, keys[0])
            connection.watched.marks += [(db, key, stamp) for key in keys]
            done(OK)
        else:
            assert isinstance(stamp, ErrorReply), "a shard answers with a stamp or an error"
            done(stamp)

    door.router.submit(
        Request(
            shard,
            db,
            [command],
            has_write=True,
            deadline_ns=door.router.now_ns() + door.command_timeout_ns,
            complete=complete,
            may_pass_on=not door.is_cluster,
        )
    )


def unwatch(client: Client, args: Args) -> Reply:
    cast("Connection", client).watched = None
    return OK
