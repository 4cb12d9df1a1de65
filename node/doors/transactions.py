"""MULTI, EXEC and DISCARD: commands are queued here and go to one shard as one command.

Everything that can be refused is refused when it is queued, EXEC then answers EXECABORT; what spans
shards is such a thing (design, section 2). Commands without data run at the door when the shard has
answered. Read `node/commands/transactions.py` next.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast

from ...cluster.command import NO_MULTI
from ...proto.reply import NULL_ARRAY, OK, ErrorReply, NullArray, Reply, Status
from ..commands.internal import OUT_OF_MEMORY_TEXT
from ..commands.transactions import EXEC, EXEC_RO, PUBLISHING, pack_marks, pack_transaction
from ..errors import CommandError
from .gather import Gather, Part
from .subcommands import Later

if TYPE_CHECKING:
    from ...cluster.slots import ShardId
    from ..request import Args
    from .client import Client
    from .connection import Connection
    from .routes import Route

QUEUED: Final = Status("QUEUED")
ABORTED: Final = ErrorReply("EXECABORT", "Transaction discarded because of previous errors.")

# They end or open a transaction, or the connection: never queued.
UNQUEUED: Final = frozenset({b"EXEC", b"DISCARD", b"MULTI", b"QUIT", b"RESET", b"WATCH"})


class Transaction:
    """What a client has queued since MULTI."""

    __slots__ = ("_client", "_commands", "_cost", "_db", "_is_write", "_items", "_key", "_shard",
                 "is_broken")  # fmt: skip

    def __init__(self, client: Connection) -> None:
        self.is_broken = False  # Something was refused: EXEC will be.
        self._client = client
        self._db = client.db  # A queued SELECT counts from there on.
        watched = client.watched
        self._shard: ShardId | None = watched.shard if watched is not None else None
        self._key = watched.key if watched is not None else b""
        self._cost = 0
        self._is_write = False
        self._items: list[tuple[Route, Args]] = []
        self._commands: list[tuple[int, Args]] = []  # Those for the shard.

    def __len__(self) -> int:
        return len(self._items)

    @property
    def cost(self) -> int:
        """Bytes queued, about."""
        return self._cost

    @property
    def items(self) -> list[tuple[Route, Args]]:
        return self._items

    def queue(self, route: Route, args: Args, cost: int) -> Reply:
        """Take a command that fits the table; raises CommandError for what cannot be part of it."""
        limits = self._client.door.limits
        if route.row.flags & NO_MULTI:
            raise CommandError("Command not allowed inside a transaction")
        if self._client.door.router.is_full:  # Queueing needs memory too: all of them, as in Redis.
            raise CommandError(OUT_OF_MEMORY_TEXT, "OOM")
        self._cost += cost
        if self._cost > limits.reader.command_bytes_max:
            raise CommandError("transaction is larger than command_bytes_max")
        if len(self._items) >= limits.transaction_commands_max:
            raise CommandError("transaction has more commands than transaction_commands_max")
        if route.handler is None:
            self._queue_data(route, args)
        elif route.name in PUBLISHING:
            self._queue_publication(route, args)
        elif route.name == b"SELECT":
            with suppress(CommandError):  # EXEC will say so, and go on in the database it is in.
                self._db = self._client.database(args[1])
        self._items.append((route, args))
        return QUEUED

    def _queue_data(self, route: Route, args: Args) -> None:
        client = self._client
        shard, key = client.door.routing.place(self._db, route, args, self._shard, self._key)
        self._shard = shard
        self._key = self._key or key
        self._is_write = self._is_write or route.is_write
        words = [route.name, *args[1:]]
        if route.vet is not None:
            route.vet(words)
        self._commands.append((self._db, words))

    def _queue_publication(self, route: Route, args: Args) -> None:
        """Its message is sent when the commands beside it are carried out, by the shard they are
        on; without any, by the door."""
        if route.name == b"SPUBLISH":
            self._client.door.routing.check_channels(args[1:2])
        self._is_write = True
        self._commands.append((self._db, (route.name, *args[1:])))

    def execute(self, client: Connection, slot: int) -> None:
        """EXEC. What concerns the client alone is done at once, since later commands count on it;
        where a shard has to say first whether anything is done at all, they wait for that."""
        watched, client.watched = client.watched, None
        if self._shard is None:
            client.put(slot, self._run_local())
            return
        since_ns = client.now_ns
        replies = self._run_local() if watched is None else None

        def join(of_shard: list[list[Reply] | NullArray]) -> Reply:
            answer = of_shard[0]
            if isinstance(answer, NullArray):
                return NULL_ARRAY  # Something that is watched has changed.
            self._count(answer, since_ns)
            rest = iter(answer)
            return [
                next(rest) if self._is_for_shard(route) else reply
                for (route, _), reply in zip(
                    self._items, self._run_local() if replies is None else replies, strict=True
                )
            ]

        is_write = self._is_write or watched is not None
        args = [EXEC if is_write else EXEC_RO, pack_transaction(self._commands), self._key]
        if watched is not None:
            args.append(pack_marks(watched.marks))
            client.hold()
        ended = client.release if watched is not None else None
        gather = Gather(client, slot, [b"EXEC"], 1, join, is_write=is_write, ended=ended)
        client.send(self._shard, Part(gather, 0), args, self._cost, is_write=is_write)

    def _run_local(self) -> list[Reply]:
        """The replies of what the door answers; None in the places of the others."""
        return [
            None if self._is_for_shard(route) else _local(self._client, route, args)
            for route, args in self._items
        ]

    def _is_for_shard(self, route: Route) -> bool:
        if route.name in PUBLISHING:
            return self._shard is not None
        return route.handler is None

    def _count(self, replies: list[Reply], since_ns: int) -> None:
        door = self._client.door
        commands = [args for _, args in self._commands]
        elapsed_ns = door.router.now_ns() - since_ns
        door.clients.stats.answered(self._client, commands, replies, elapsed_ns)


def _local(client: Client, route: Route, args: Args) -> Reply:
    assert route.handler is not None
    try:
        reply = route.handler(client, args)
    except CommandError as error:
        return ErrorReply(error.code, error.text)
    if isinstance(reply, Later):
        name = route.row.display_name
        return ErrorReply("ERR", f"'{name}' is not carried out inside a transaction here")
    return reply


def multi(client: Client, args: Args) -> Reply:
    connection = cast("Connection", client)  # Only these come so far: gRPC has no transactions.
    if connection.transaction is not None:
        return ErrorReply("ERR", "MULTI calls can not be nested")  # It goes on, as in Redis.
    connection.transaction = Transaction(connection)
    return OK


def discard(client: Client, args: Args) -> Reply:
    connection = cast("Connection", client)
    if connection.transaction is None:
        raise CommandError("DISCARD without MULTI")
    connection.transaction = connection.watched = None
    return OK


def exec_(client: Client, args: Args) -> Reply:
    """Only the refusals; a transaction in order is sent by the connection."""
    connection = cast("Connection", client)
    if connection.transaction is None:
        raise CommandError("EXEC without MULTI")
    connection.transaction = connection.watched = None
    return ABORTED
