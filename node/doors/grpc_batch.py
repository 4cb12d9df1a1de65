"""One batch of a gRPC stream: its commands to their shards, and one answer when all is decided.

Every command ends as exactly one of three: its reply, "not applied", "not known"
(`proto/commands.proto`). To the routing of the any-key door a batch is a client; a split command's
parts come together in a Gather as there. How requests leave is `grpc_queue.py`'s business.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from ...cluster.command import BLOCKING, NO_MULTI
from ...cluster.commands import unknown_command, wrong_arity
from ...cluster.routing import is_anywhere
from ...cluster.slots import DATABASES, ShardId
from ...proto.execute import encode_batch, encode_outcome, encode_result
from ...proto.reply import ErrorReply, NullArray, Reply
from ..commands.blocking import is_nothing, waiting_of
from ..commands.transactions import (
    EXEC,
    EXEC_RO,
    PUBLISHING,
    WATCH,
    pack_marks,
    pack_transaction,
)
from ..data.waiters import WaiterId
from ..errors import CommandError, Unavailable
from .grpc_outcomes import Refused, WatchedChanged, not_applied, unknown
from .grpc_queue import ATOMIC, Part, ShardQueue
from .grpc_wait import NO_TURN, turn_of, waiting
from .outcomes import HALF_APPLIED, refusal
from .routes import ROUTES, SHARD_ROUTES, SecurityBreach, find
from .subcommands import Later
from .transactions import ABORTED
from .watch import WATCHED_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...proto import commands_pb2 as pb
    from ...proto.resp import ReaderLimits
    from ..request import Args, Outcome
    from .backend import DoorLimits
    from .client import Client
    from .door import Door
    from .grpc_stream import Stream
    from .lane import Sink
    from .routes import Route

COMMAND_COST = 128  # What a waiting command costs beside its bytes, about.

_WITHOUT_MEANING: dict[bytes, str] = {
    b"SELECT": "name the database in the batch (Batch.database)",
    b"MULTI": "a batch with is_atomic is a transaction",
    b"EXEC": "a batch with is_atomic is a transaction",
    b"DISCARD": "a batch with is_atomic is a transaction",
    b"UNWATCH": "a batch names the keys it watches (Batch.watched)",
    b"MONITOR": "use a RESP connection",
    b"SUBSCRIBE": "use a RESP connection",
    b"PSUBSCRIBE": "use a RESP connection",
    b"SSUBSCRIBE": "use a RESP connection",
    b"UNSUBSCRIBE": "use a RESP connection",
    b"PUNSUBSCRIBE": "use a RESP connection",
    b"SUNSUBSCRIBE": "use a RESP connection",
    b"HELLO": "replies are typed, no protocol is chosen",
    b"CLIENT|REPLY": "every command of a batch has its result",
    b"QUIT": "end the stream",
    b"RESET": "open another stream",
}


class BatchRun:
    """A batch under way."""

    __slots__ = ("_at", "_commands", "_cost", "_is_advancing", "_is_atomic", "_is_behind_others",
                 "_is_large", "_open", "_refusal", "_results", "_sessions", "_shards", "_stream",
                 "_watched", "asks_for_turn", "bytes", "db", "deadline_ns", "id", "may_pass_on",
                 "now_ns", "opened", "stale_ns", "turn")  # fmt: skip

    def __init__(
        self,
        stream: Stream,
        batch: pb.Batch,
        commands: list[list[bytes]],
        cost: int,
        *,
        is_large: bool,
    ) -> None:
        """`cost` is the average of the bytes of its commands; some may be too large."""
        door = stream.door
        self._stream = stream
        self.id = batch.id
        self.asks_for_turn = batch.asks_for_turn
        self.turn = batch.turn
        self._is_behind_others = batch.is_behind_others
        self.stale_ns = batch.stale_ms * 1_000_000
        self._commands = commands
        self._cost = cost + COMMAND_COST
        self._is_atomic = batch.is_atomic
        self._is_large = is_large
        self._refusal = _refusal_of(batch, door.limits)
        self._results: list[bytes] = [b""] * len(commands)
        self._at = 0  # Commands from here on are not taken yet.
        self._open = 0  # Taken and not answered.
        self._is_advancing = False
        self._shards: dict[ShardId, ShardQueue] = {}
        self._sessions = {one.shard: one for one in batch.sessions}
        self._watched = [(one.key, one.index) for one in batch.watched]
        self.db = batch.database
        self.now_ns = stream.now_ns
        timeout_ns = door.command_timeout_ns
        if batch.timeout_ms:
            timeout_ns = min(timeout_ns, batch.timeout_ms * 1_000_000)
        self.deadline_ns = stream.now_ns + timeout_ns
        # Passed on it would run under the session of this node, and be sent again under its own.
        self.may_pass_on = not (batch.is_leader_only or self._sessions)
        self.opened: list[tuple[int, int]] = []  # Sessions, by their shards.
        self.bytes = 0  # Of results, until all of them are there.

    @property
    def cost(self) -> int:
        """Of all of it, while it is under way."""
        return self._cost * len(self._commands)

    # --- What the queues and the routing ask of it.

    @property
    def door(self) -> Door:
        return self._stream.door

    @property
    def is_lost(self) -> bool:
        return self._stream.is_lost

    @property
    def address(self) -> str:
        return self._stream.address

    @property
    def name(self) -> bytes:
        return self._stream.name

    @property
    def is_no_touch(self) -> bool:
        return self._stream.is_no_touch and not self.turn  # What waits is known by its name.

    @property
    def session_timeout_ms(self) -> int:
        return self._stream.service.session_timeout_ms

    def abort(self) -> None:
        self._stream.abort()

    def refused(self, error: Unavailable) -> Refused:
        result = not_applied(error, self._stream.service.address_of)
        return Refused(refusal(error).code, str(error), encode_outcome(result))

    def count_refused(self, args: Args, reply: Refused) -> None:
        self.door.clients.stats.rejected(SHARD_ROUTES[args[0]].row, reply)

    def carried_out(self, part: Part, replies: Sequence[Reply]) -> None:
        """Count them. What was split over shards is counted by its Gather, as one."""
        if self.turn and len(self._commands) == 1 and is_nothing(replies[0]):
            return  # Its command waits on, and is counted when that ends.
        commands: Sequence[Args] = part.commands
        if part.has_parts:
            whole = [place for place, sink in enumerate(part.sinks) if type(sink) is int]
            commands = [commands[place] for place in whole]
            replies = [replies[place] for place in whole]
        elif self._is_atomic and isinstance(replies[0], list | tuple):
            commands, replies = self._commands, replies[0]
        if commands:
            elapsed_ns = self.door.router.now_ns() - self.now_ns
            stats = self.door.clients.stats
            stats.answered(self._stream, commands, replies, elapsed_ns)

    def stand(
        self, commands: Sequence[Args], complete: Callable[[Outcome], None]
    ) -> tuple[WaiterId | None, Callable[[Outcome], None]]:
        """As whom its one command that would wait takes what is there: in its turn, once, or behind
        all who wait. And what is told of it."""
        number, self.turn = self.turn, NO_TURN
        if len(commands) != 1 or waiting_of(commands[0]) is None:
            return None, complete  # A leader asks a waiter for nothing else.
        turn = turn_of(self._stream, number)
        if turn is not None:
            return turn.take(complete)
        if not self._is_behind_others:
            return None, complete
        return WaiterId(self.door.router.name, self.door.clients.blockers.new_number()), complete

    def wrote_to(self, shard: ShardId) -> None:
        """A write of this batch is on its way there (WAIT asks)."""
        self._stream.written.add(shard)

    def send(self, shard: ShardId, sink: Sink, args: Args, cost: int, *, is_write: bool) -> None:
        """Have a shard carry out a command of this batch."""
        queue = self._shards.get(shard)
        if queue is None:
            session = self._sessions.get(shard)
            queue = self._shards[shard] = ShardQueue(self, shard, session)
        queue.add(sink, args, cost, is_write=is_write)

    def put(self, slot: int, reply: Reply) -> None:
        """What the command at `slot` answers."""
        if slot == ATOMIC:
            self._put_all(reply)
        else:
            self._results[slot] = _result_of(reply)
            self._answered(1, len(self._results[slot]))

    def put_many(self, slots: Sequence[int], replies: Sequence[Reply]) -> None:
        """What commands answer that were carried out."""
        results = self._results
        size = 0
        last, result = None, b""  # Most writes are answered by one and the same OK.
        for slot, reply in zip(slots, replies, strict=True):
            if reply is not last or not result:
                last, result = reply, encode_result(reply)
            results[slot] = result
            size += len(result)
        self._answered(len(slots), size)

    def _answered(self, count: int, size: int) -> None:
        self._open -= count
        self.bytes += size
        self._stream.results_wait(size)
        if not self._open and not self._is_advancing:
            self.advance()

    def _put_all(self, reply: Reply) -> None:
        """What EXEC answers: a reply for each command, or why there are none."""
        slots = range(len(self._commands))
        if isinstance(reply, NullArray):
            reply = self.refused(WatchedChanged())
        if not isinstance(reply, ErrorReply):
            assert isinstance(reply, list | tuple)
            self.put_many(slots, reply)
            return
        result = _result_of(reply)
        self._results = [result] * len(slots)
        self._answered(len(slots), len(result) * len(slots))

    # --- Its commands, in order.

    def advance(self) -> None:
        """Take commands up to one that must wait for those before it; answer when all are done."""
        self._is_advancing = True
        while not self._open and self._at < len(self._commands):
            if self._refusal is not None:
                self._at = self._open = len(self._commands)
                self._put_all(self._refusal)
            elif self._is_atomic:
                self._take_atomic()
            else:
                self._take()
            for queue in list(self._shards.values()):
                queue.launch()
        self._is_advancing = False
        if not self._open:
            self._stream.answer_batch(self, encode_batch(self.id, self._results, self.opened))

    def _take(self) -> None:
        stream, commands, cost, is_large = self._stream, self._commands, self._cost, self._is_large
        dispatch = self.door.dispatch
        monitors = self.door.clients.monitors
        # All that routing and gathering ask of a client a batch has too.
        asker = cast("Client", self)
        stream.db = self.db
        for slot in range(self._at, len(commands)):
            args = commands[slot]
            route = _route_of(args)
            if route.is_barrier and self._open:
                return
            self._at = slot + 1
            self._open += 1
            stream.route = route
            try:
                _check_count(route, args)
                if is_large:
                    _check_size(self.door.limits.reader, args)
                if monitors.watching and (self._is_behind_others or not self.turn):
                    monitors.show(stream, route, args)
                if route.handler is None:
                    args[0] = route.name
                    if route.vet is not None:
                        route.vet(args)
                    later = self._waiting(route, args) if route.is_barrier else None
                    if later is None:
                        dispatch(asker, slot, route, args, cost)
                    else:
                        later.start(partial(self._put_here, slot, route, args))
                else:
                    self._answer_here(slot, route, args)
            except CommandError as error:
                self._reject(slot, route, error)

    def _waiting(self, route: Route, args: Args) -> Later | None:
        if self.turn:
            return None  # It has waited.
        is_alone = len(self._commands) == 1 and not self._sessions
        return waiting(self, self._stream, route, args, is_alone=is_alone)

    def _answer_here(self, slot: int, route: Route, args: Args) -> None:
        assert route.handler is not None
        if route.name == b"WATCH":
            self._watch(slot, args)
            return
        if route.name in _WITHOUT_MEANING:
            name, way = route.name.decode().replace("|", " "), _WITHOUT_MEANING[route.name]
            raise CommandError(f"{name} has no meaning on a gRPC stream: {way}")
        reply: Reply | Later
        try:
            reply = route.handler(self._stream, args)
        except SecurityBreach:  # Words of HTTP: no danger on a port that speaks HTTP/2.
            raise CommandError(unknown_command(args)) from None
        except CommandError as error:
            if not route.name:
                raise
            reply = ErrorReply(error.code, error.text)
        if isinstance(reply, Later):
            reply.start(partial(self._put_here, slot, route, args))
        else:
            self._put_here(slot, route, args, reply)

    def _watch(self, slot: int, args: Args) -> None:
        """Its answer is the index that an atomic batch names with the keys (Batch.watched)."""
        command = [WATCH, *args[1:]]
        shard, _ = self.door.routing.place(self.db, SHARD_ROUTES[WATCH], command, None, b"")
        self.send(shard, slot, command, self._cost, is_write=True)

    def _put_here(self, slot: int, route: Route, args: Args, reply: Reply) -> None:
        # Waiting for data is no work.
        is_waiting = route.row.flags & BLOCKING
        elapsed_ns = 0 if is_waiting else self.door.router.now_ns() - self.now_ns
        is_turn = self.asks_for_turn and route.is_write and isinstance(reply, list)
        if not is_turn:  # What takes it is counted.
            stats = self.door.clients.stats
            stats.answered_here(self._stream, route.row, args, reply, elapsed_ns)
        if not self.is_lost:
            self.put(slot, reply)

    def _reject(self, slot: int, route: Route, error: CommandError) -> None:
        reply = ErrorReply(error.code, error.text)
        self.door.clients.stats.rejected(route.row if route.name else None, reply)
        self.put(slot, reply)

    def _take_atomic(self) -> None:
        """As MULTI ... EXEC: all that can be refused is refused before anything runs."""
        errors: dict[int, ErrorReply] = {}
        packed: list[tuple[int, Args]] = []
        shard: ShardId | None = None
        key = b""
        is_write = False
        for slot, args in enumerate(self._commands):
            route = _route_of(args)
            try:
                _check_count(route, args)
                _check_size(self.door.limits.reader, args)
                self._check_transaction(route, args)
                first = b""
                if route.name in PUBLISHING:
                    is_write = True  # Sent when the commands beside it are carried out.
                elif not is_anywhere(route.row, self.db, args, self.door.router.shards):
                    shard, first = self.door.routing.place(self.db, route, args, shard, key)
                if route.vet is not None:
                    route.vet(args)
            except CommandError as error:
                errors[slot] = ErrorReply(error.code, error.text)
                continue
            key = key or first
            is_write = is_write or route.is_write
            args[0] = route.name
            packed.append((self.db, args))
        self._at = self._open = len(self._commands)
        if self.cost > self.door.limits.reader.command_bytes_max:
            text = "transaction is larger than command_bytes_max"
            errors = dict.fromkeys(range(len(self._commands)), ErrorReply("ERR", text))
        if not errors and self._watched:
            try:
                shard, key = self._beside_watched(shard, key)
            except CommandError as error:
                reply = ErrorReply(error.code, error.text)
                errors = dict.fromkeys(range(len(self._commands)), reply)
        if errors:
            for slot in range(len(self._commands)):
                self.put(slot, errors.get(slot, ABORTED))
            return
        if shard is None:  # Any will do; where its client has a session it is carried out once.
            shard = next(map(ShardId, self._sessions), None)
        if shard is None:
            shard = self.door.routing.any_shard()
        exec_args = [EXEC if is_write else EXEC_RO, pack_transaction(packed), key]
        if self._watched:
            exec_args[0] = EXEC
            exec_args.append(pack_marks([(self.db, *one) for one in self._watched]))
            is_write = True
        self.send(shard, ATOMIC, exec_args, self.cost, is_write=is_write)

    def _beside_watched(self, shard: ShardId | None, key: bytes) -> tuple[ShardId, bytes]:
        """Where what is watched is, and one of the keys; raises CommandError if the commands are
        elsewhere."""
        words = [WATCH, *[watched for watched, _ in self._watched]]
        return self.door.routing.place(self.db, SHARD_ROUTES[WATCH], words, shard, key)

    def _check_transaction(self, route: Route, args: Args) -> None:
        if route.row.flags & NO_MULTI:
            raise CommandError("Command not allowed inside a transaction")
        if route.name == b"SPUBLISH":
            self.door.routing.check_channels(args[1:2])
        if route.handler is None or route.name in PUBLISHING:
            return
        if not route.name:  # There is none: it says so.
            self._answer_here(0, route, args)
        name = route.row.display_name
        raise CommandError(f"'{name}' is not carried out inside a transaction here")


def _refusal_of(batch: pb.Batch, limits: DoorLimits) -> ErrorReply | None:
    """What all commands of the batch are answered, if it cannot be carried out as it is."""
    if batch.database >= DATABASES:
        return ErrorReply("ERR", "DB index is out of range")
    if batch.watched and not batch.is_atomic:
        return ErrorReply("ERR", "keys are watched for an atomic batch alone")
    if len(batch.watched) > WATCHED_MAX:
        text = f"too many keys are watched: one client may watch {WATCHED_MAX}"
        return ErrorReply("ERR", text)
    if batch.is_atomic and len(batch.commands) > limits.transaction_commands_max:
        text = "transaction has more commands than transaction_commands_max"
        return ErrorReply("ERR", text)
    return None


def _route_of(args: Args) -> Route:
    route = ROUTES.get(args[0]) or find(args[0])
    return route if route.by_word is None else route.of(args)


def _check_count(route: Route, args: Args) -> None:
    count = len(args)
    if count != route.arity and (route.arity >= 0 or count < -route.arity):
        raise CommandError(wrong_arity(route.row))


def _check_size(limits: ReaderLimits, args: Args) -> None:
    if len(args) > limits.elements_max:
        raise CommandError(f"the command has more than elements_max = {limits.elements_max}")
    if max(map(len, args)) > limits.bulk_bytes_max:
        raise CommandError(f"an argument is larger than bulk_bytes_max = {limits.bulk_bytes_max}")
    if sum(map(len, args)) > limits.command_bytes_max:
        raise CommandError(
            f"the command is larger than command_bytes_max = {limits.command_bytes_max}"
        )


def _result_of(reply: Reply) -> bytes:
    if not isinstance(reply, ErrorReply):
        return encode_result(reply)
    if isinstance(reply, Refused):
        return reply.result
    if reply is HALF_APPLIED:
        return encode_outcome(unknown(reply.text))
    return encode_result(reply)
