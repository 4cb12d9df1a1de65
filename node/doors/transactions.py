"""MULTI, EXEC and DISCARD: commands are queued here and go to one shard as one command.

Everything that can be refused is refused when it is queued, EXEC then answers EXECABORT; what spans
shards is such a thing (design, section 2). Commands without data run at the door when the shard has
answered. Read `node/commands/transactions.py` next.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast

from ...cluster.command import NO_MULTI
from ...cluster.routing import is_anywhere
from ...proto.reply import NULL_ARRAY, OK, ErrorReply, NullArray, Reply, Status
from ..commands.internal import OUT_OF_MEMORY_TEXT
from ..commands.transactions import EXEC, EXEC_RO, PUBLISHING, pack_marks, pack_transaction
from ..errors import CommandError
from .gather import Gather, Part
from .subcommands import Later

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...cluster.slots import ShardId
    from ..request import Args
    from .client import Client
    from .connection import Connection
    from .routes import Route

QUEUED: Final = Status("QUEUED")
ABORTED: Final = ErrorReply("EXECABORT", "Transaction discarded because of previous errors.")

_SUBSCRIBING: Final = frozenset({b"SUBSCRIBE", b"PSUBSCRIBE"})

# They end or open a transaction, or the connection: never queued.
UNQUEUED: Final = frozenset({b"EXEC", b"DISCARD", b"MULTI", b"QUIT", b"RESET", b"WATCH"})


class Transaction:
    """What a client has queued since MULTI."""

    __slots__ = ("_client", "_commands", "_cost", "_db", "_goes_anywhere", "_is_write", "_items",
                 "_key", "_shard", "_subscribes", "is_broken")  # fmt: skip

    def __init__(self, client: Connection) -> None:
        self.is_broken = False  # Something was refused: EXEC will be.
        self._client = client
        self._db = client.db  # A queued SELECT counts from there on.
        watched = client.watched
        self._shard: ShardId | None = watched.shard if watched is not None else None
        self._key = watched.key if watched is not None else b""
        self._cost = 0
        self._is_write = False
        self._goes_anywhere = False
        self._subscribes = False
        self._items: list[tuple[Route, Args]] = []
        self._commands: list[tuple[int, Args]] = []  # Those for the shard.

    def __len__(self) -> int:
        return len(self._items)

    @property
    def client(self) -> Client:
        return self._client

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
        elif route.name in _SUBSCRIBING:
            self._subscribes = True
        elif route.name == b"SELECT":
            with suppress(CommandError):  # EXEC will say so, and go on in the database it is in.
                self._db = self._client.database(args[1])
        self._items.append((route, args))
        return QUEUED

    def _queue_data(self, route: Route, args: Args) -> None:
        door = self._client.door
        if not route.key_at and is_anywhere(route.row, self._db, args, door.router.shards):
            self._goes_anywhere = True  # With the others, whose shard may not be known yet.
        else:
            place = door.routing.place
            self._shard, key = place(self._db, route, args, self._shard, self._key)
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
        if self._shard is None and self._goes_anywhere:
            self._shard = client.door.routing.any_shard()
        if self._shard is None:
            self._finish_here(client, slot)
            return
        since_ns = client.now_ns
        is_held = watched is not None or self._subscribes
        replies = [] if is_held else self._run_local()

        def join(of_shard: list[list[Reply] | NullArray]) -> Reply | Later:
            answer = of_shard[0]
            if isinstance(answer, NullArray):
                return NULL_ARRAY  # Something that is watched has changed.
            self._count(answer, since_ns)
            if not is_held:
                return self._joined(answer, replies)
            run = _Run(self)
            return Later(lambda done: run.start(lambda local: done(self._joined(answer, local))))

        is_write = self._is_write or watched is not None
        args = [EXEC if is_write else EXEC_RO, pack_transaction(self._commands), self._key]
        if watched is not None:
            args.append(pack_marks(watched.marks))
        if is_held:
            client.hold()
        ended = client.release if is_held else None
        gather = Gather(client, slot, [b"EXEC"], 1, join, is_write=is_write, ended=ended)
        client.send(self._shard, Part(gather, 0), args, self._cost, is_write=is_write)

    def _finish_here(self, client: Connection, slot: int) -> None:
        """All of it is answered by the door."""

        def finish(replies: list[Reply]) -> None:
            if not client.is_lost:
                client.put(slot, replies)
                client.release()

        client.hold()
        _Run(self).start(finish)

    def _joined(self, of_shard: list[Reply], local: list[Reply]) -> Reply:
        if self._is_all_for_shard:
            return of_shard
        rest = iter(of_shard)
        return [
            next(rest) if self.is_for_shard(route) else reply
            for (route, _), reply in zip(self._items, local, strict=True)
        ]

    @property
    def _is_all_for_shard(self) -> bool:
        """Whether nothing is left to the door; asked when it is known that there is a shard."""
        return len(self._commands) == len(self._items)

    def _run_local(self) -> list[Reply]:
        """The replies of what the door answers, without those that take a while."""
        replies: list[Reply] = []
        if self._is_all_for_shard:
            return replies
        _Run(self).start(replies.extend)
        return replies

    def is_for_shard(self, route: Route) -> bool:
        if route.name in PUBLISHING:
            return self._shard is not None
        return route.handler is None

    def _count(self, replies: list[Reply], since_ns: int) -> None:
        door = self._client.door
        commands = [args for _, args in self._commands]
        elapsed_ns = door.router.now_ns() - since_ns
        door.clients.stats.answered(self._client, commands, replies, elapsed_ns)


class _Run:
    """What the door answers of a transaction, in order; a subscription takes a while."""

    def __init__(self, transaction: Transaction) -> None:
        self._client = transaction.client
        self._is_for_shard = transaction.is_for_shard
        self._items = iter(transaction.items)
        self._replies: list[Reply] = []
        self._is_running = False  # Else somebody has to tell it to go on.
        self._is_waiting = False

    def start(self, done: Callable[[list[Reply]], None]) -> None:
        """`done` is given the replies; None in the places of what a shard answers."""
        self._done = done
        self._go_on()

    def _go_on(self) -> None:
        self._is_running = True
        while not self._is_waiting:
            item = next(self._items, None)
            if item is None:
                self._done(self._replies)
                return
            self._carry_out(*item)
        self._is_running = False

    def _carry_out(self, route: Route, args: Args) -> None:
        if self._is_for_shard(route):
            self._replies.append(None)
            return
        reply = _local(self._client, route, args)
        if isinstance(reply, Later):
            self._is_waiting = True
            reply.start(self._told)
        else:
            self._replies.append(reply)

    def _told(self, reply: Reply) -> None:
        self._replies.append(reply)
        self._is_waiting = False
        if not self._is_running:
            self._go_on()


def _local(client: Client, route: Route, args: Args) -> Reply | Later:
    assert route.handler is not None
    if route.name == b"SSUBSCRIBE":  # As in Redis, where the other two are let through.
        return ErrorReply("ERR", "SSUBSCRIBE isn't allowed for a DENY BLOCKING client")
    try:
        reply = route.handler(client, args)
    except CommandError as error:
        return ErrorReply(error.code, error.text)
    if isinstance(reply, Later) and route.name not in _SUBSCRIBING:
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
