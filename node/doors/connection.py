"""A RESP connection: bytes in, lanes, replies in order, back-pressure, limits.

Every command gets the next place in the connection's order when it is read; a reply that comes
before its turn waits in `_early`. Data commands go into the lane of their shard (`lane.py`), local
ones are answered at once. What can grow is bounded, and a connection that reaches a bound is paused
or closed alone (correctness D4). Which shard a command goes to is its door's business: `resp.py`
and `cluster_resp.py`.
"""

from __future__ import annotations

import asyncio
import logging
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from ...cluster.command import BLOCKING, READ, WRITE
from ...proto.reply import ErrorReply, Pushes, Reply, Status
from ...proto.resp import Command, CommandReader, encode_reply, encode_status, is_long
from ..errors import CommandError
from ..request import Done, Outcome
from .admission import check_admitted
from .answers import count, refuse
from .blocked import blocking, must_wait
from .client import Client
from .lane import Batch, Lane, Sink
from .routes import ROUTES, SecurityBreach, find
from .sockets import address_of, keep_alive
from .subcommands import Later
from .transactions import UNQUEUED, Transaction
from .vetting import INTERNAL_ERROR, is_vetted

if TYPE_CHECKING:
    from ...cluster.slots import ShardId
    from ..request import Args
    from ..subscriptions import Subscriber
    from .door import Door
    from .routes import Route
    from .watch import Watched

log = logging.getLogger(__name__)

COMMAND_COST = 128  # What a waiting command costs beside its bytes, about.
TOO_MANY_CLIENTS = ErrorReply("ERR", "max number of clients reached")


class Started(Enum):
    STARTED = "started"


STARTED: Final = Started.STARTED  # The reply comes through `put`, now or later.


class ReplyMode(Enum):
    """What CLIENT REPLY has set."""

    ON = "on"
    OFF = "off"
    SKIP = "skip"  # Of the next command.


_ON = ReplyMode.ON


class Counted(CommandError):
    """A refusal that the statistics know of already."""


class Connection(Client, asyncio.Protocol):
    """A client that speaks RESP."""

    waits_when_overloaded = True

    __slots__ = (
        "_cost",
        "_early",
        "_has_ended",
        "_held",
        "_held_cost",
        "_is_choked",
        "_is_closing",
        "_is_held",
        "_is_lost",
        "_is_paused",
        "_is_scheduled",
        "_lanes",
        "_messages",
        "_next_in",
        "_next_out",
        "_out",
        "_out_bytes",
        "_reader",
        "_silent",
        "_transport",
        "has_subscribed",
        "is_monitor",
        "reply_mode",
        "transaction",
        "watched",
    )

    def __init__(self, door: Door) -> None:
        Client.__init__(self, door)
        self.transaction: Transaction | None = None  # Since MULTI.
        self.watched: Watched | None = None  # Until the next EXEC.
        self.reply_mode = _ON
        self.is_monitor = False
        self.has_subscribed = False  # Once; `is_subscriber` tells whether it listens now.
        self._messages = 0  # Of channels, since it last kept up with reading.
        self._reader = CommandReader(door.limits.reader)
        if not self.is_authenticated:
            self._reader.restrict(is_strict=True)
        self._lanes: dict[ShardId, Lane] = {}
        self._next_in = 0  # The place of the next command in the order of replies,
        self._next_out = 0  # and of the reply to be written next.
        self._early: dict[int, bytes] = {}  # Replies before their turn.
        self._silent: set[int] = set()  # Whose replies are not wanted (CLIENT REPLY).
        self._out: list[bytes] = []  # Replies to be written this turn.
        self._out_bytes = 0  # Of both, and of what the transport holds.
        self._cost = 0  # Of commands in lanes.
        self._held: list[Command] = []  # Commands behind one that must be answered first.
        self._held_cost = 0  # Of those that came while it is held.
        self._is_held = False  # By an answer that takes a while, or by CLIENT PAUSE.
        self._transport: asyncio.Transport  # From connection_made on.
        self._is_scheduled = False
        self._is_choked = False  # The transport asks us not to write.
        self._is_paused = False  # We do not read.
        self._is_closing = False  # No command is taken any more; ends when all are answered.
        self._has_ended = False  # The client sends no more.
        self._is_lost = False

    # --- What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # TCP: always both ways.
        self.address = address_of(transport.get_extra_info("peername"))
        self.local_address = address_of(transport.get_extra_info("sockname"))
        sock = transport.get_extra_info("socket")
        if sock is not None:
            keep_alive(sock, self.door.limits.tcp_keepalive_s)
        if not self.door.clients.add(self):
            self._transport.write(encode_reply(TOO_MANY_CLIENTS, 2))
            self._is_closing = True
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        if self._is_closing or reader.error:
            return
        # Read after the bytes were taken from the socket, never earlier (correctness R3).
        self.now_ns = self.door.router.now_ns()
        self.door.clients.input_bytes += len(data)
        if reader.is_strict and not self.needs_password:
            reader.restrict(is_strict=False)
        commands = reader.feed(data)
        self._is_scheduled = True  # What is answered at once is written by turn(), in one piece.
        if self._held or self._is_held:
            self._held += commands
            self._held_cost += len(data)
        elif commands:
            self._take(commands, reader.taken // len(commands))
        self.turn()

    def eof_received(self) -> bool:
        """The client sends no more, but may still read: answer all, then close. One that waits for
        data is gone, as in Redis: nothing must be taken for it."""
        self._has_ended = True
        if self.door.clients.blockers.has(self):
            self.abort()
        self.schedule()
        return True

    def pause_writing(self) -> None:
        self._is_choked = True
        self._pace()

    def resume_writing(self) -> None:
        self._is_choked = False
        self._messages = 0
        self.schedule()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_closing = self._is_lost = True
        self.door.clients.remove(self)
        self.transaction = None
        self._held.clear()
        self._early.clear()
        self._out.clear()
        self.idle_lanes.clear()
        for lane in self._lanes.values():
            lane.drop_waiting()
        self._lanes.clear()  # They know us: counting alone frees both now.

    # --- Commands.

    def _take(self, commands: list[Command], cost: int) -> None:
        """Route commands in order; `cost` is the average of their bytes."""
        door = self.door
        route_of = ROUTES.get
        clients = door.clients
        clients.commands += len(commands)
        cost += COMMAND_COST
        for place, args in enumerate(commands):
            route = route_of(args[0]) or find(args[0])
            if route.by_word is not None:
                route = route.of(args)
            slot = self._next_in
            if (route.is_barrier and slot != self._next_out and must_wait(route, args)) or (
                clients.pause.is_on and clients.pause.holds(self, route)
            ):
                clients.commands -= len(commands) - place
                self._held = commands[place:]
                return
            self._next_in = slot + 1
            self.route = route
            try:
                if (
                    self.reply_mode is not _ON
                    or clients.monitors.watching
                    or clients.is_loading
                    or not self.is_authenticated
                    or self.has_subscribed
                ):
                    reply = self._take_specially(route, args, slot, cost)
                elif self.transaction is not None:
                    reply = self._take_behind_multi(self.transaction, route, args, slot, cost)
                else:
                    reply = self._start(route, args, slot, cost)
                if reply is not STARTED:
                    self.put(slot, reply)
            except CommandError as error:
                if self.transaction is not None:
                    self.transaction.is_broken = True
                refusal = ErrorReply(error.code, error.text)
                if type(error) is not Counted:
                    clients.stats.rejected(route.row if route.name else None, refusal)
                self.put(slot, refusal)
            except SecurityBreach:
                log.warning("cross_protocol_attack client=%s", self.address)
                self.abort()
            except Exception:
                # A fault of ours: this client is told, and goes on. To be cut off would have
                # client libraries send the command again.
                log.exception("command_failed client=%s name=%s", self.address, route.name)
                self._is_held = False
                self.put(slot, INTERNAL_ERROR)
            if self._is_closing:
                return
            if self._is_held:
                clients.commands -= len(commands) - place - 1
                self._held = commands[place + 1 :]
                return

    def _start(self, route: Route, args: Command, slot: int, cost: int) -> Reply | Started:
        """Carry out one command: its reply, or STARTED when that comes through `put`."""
        route.check_arity(args)
        if route.handler is None:
            args[0] = route.name
            if not is_vetted(self, route, args, slot, cost):
                return STARTED
            later = blocking(self, route, args) if route.is_barrier else None
            if later is None:
                self.door.dispatch(self, slot, route, args, cost)
            else:
                self._start_later(later, slot, route, args)
            return STARTED
        try:
            reply = route.handler(self, args)
        except CommandError as error:
            if not route.name:
                raise
            self._count_here(route, args, ErrorReply(error.code, error.text))
            raise Counted(error.text, error.code) from error
        if type(reply) is not Later:
            self._count_here(route, args, cast("Reply", reply))
            return cast("Reply", reply)
        self._start_later(reply, slot, route, args)
        return STARTED

    def _start_later(self, later: Later, slot: int, route: Route, args: Command) -> None:
        self._is_held = True
        later.start(partial(self._finish_later, slot, route, args))

    def _count_here(self, route: Route, args: Command, reply: Reply) -> None:
        door = self.door
        # Waiting for data is no work.
        is_waiting = route.row.flags & BLOCKING
        elapsed_ns = 0 if is_waiting else door.router.now_ns() - self.now_ns
        door.clients.stats.answered_here(self, route.row, args, reply, elapsed_ns)

    def _finish_later(self, slot: int, route: Route, args: Command, reply: Reply) -> None:
        self._count_here(route, args, reply)
        if not self._is_lost:
            self.put(slot, reply)
            self.release()

    def release(self) -> None:
        """Go on with what was held behind a slow answer or by CLIENT PAUSE."""
        self._is_held = False
        self.schedule()

    def hold(self) -> None:
        """Take no further command until `release`."""
        self._is_held = True

    # --- Commands of a client that wants no replies, listens to channels or has not logged in; or
    # that somebody monitors; or that come before the node is there.

    def _take_specially(self, route: Route, args: Command, slot: int, cost: int) -> Reply | Started:
        if self.reply_mode is not _ON:
            self._silent.add(slot)
            if self.reply_mode is ReplyMode.SKIP:
                self.reply_mode = _ON
        if route.name:  # Else there is no such command: it says so itself.
            route.check_arity(args)
            check_admitted(self, route)
        if self.is_monitor and route.row.flags & (READ | WRITE):
            raise CommandError("Replica can't interact with the keyspace")
        transaction = self.transaction
        if self.door.clients.monitors.watching and (transaction is None or route.name in UNQUEUED):
            self._show(route, args)
        if transaction is None:
            return self._start(route, args, slot, cost)
        return self._take_behind_multi(transaction, route, args, slot, cost)

    def _take_behind_multi(
        self, transaction: Transaction, route: Route, args: Command, slot: int, cost: int
    ) -> Reply | Started:
        """Queue it, unless it ends the transaction or is no command at all."""
        if route.name and route.name not in UNQUEUED:
            route.check_arity(args)
            return transaction.queue(route, args, cost)
        if route.name == b"EXEC" and len(args) == 1 and not transaction.is_broken:
            self.transaction = None
            transaction.execute(self, slot)
            return STARTED
        return self._start(route, args, slot, cost)

    def _show(self, route: Route, args: Command) -> None:
        """To those who monitor; a transaction's commands when it is carried out."""
        monitors = self.door.clients.monitors
        if route.name == b"EXEC" and self.transaction is not None:
            for one, queued in self.transaction.items:
                monitors.show(self, one, queued)
        monitors.show(self, route, args)

    def as_subscriber(self) -> Subscriber:
        self.has_subscribed = True
        return self

    @property
    def is_subscriber(self) -> bool:
        clients = self.door.clients
        return self.has_subscribed and clients.pubsub.subscriptions_of(self) is not None

    def push_messages(self, data: bytes, count: int) -> None:
        """Write messages of a channel; who reads too slowly for them is ended, and counted."""
        if self._is_scheduled or self._is_lost:
            self.push(data)  # Behind what is to be written this turn.
        else:
            self.door.clients.output_bytes += len(data)
            self._transport.write(data)
        if self._is_choked and not self._is_lost:
            self._messages += count
            limits = self.door.limits
            if (
                self._messages > limits.pubsub_buffer_messages_max
                or self.output_bytes > limits.pubsub_buffer_bytes_max
            ):
                self.door.clients.pubsub.counters.slow += 1
                self._overflow()

    def become_monitor(self) -> None:
        self.is_monitor = True
        self.door.clients.monitors.watching[self.id] = self

    def reset(self) -> None:
        self.door.clients.pubsub.leave(self)  # In the protocol that it has.
        super().reset()
        self._reader.restrict(is_strict=self.needs_password)
        self.transaction = self.watched = None
        if self.reply_mode is not _ON:
            self.set_reply_mode("ON")
        self.is_monitor = False
        self.door.clients.monitors.watching.pop(self.id, None)

    def set_reply_mode(self, mode: str) -> None:
        slot = self._next_in - 1  # Of CLIENT REPLY itself, which is answered if it says ON.
        if mode == "ON":
            self._silent.discard(slot)
        else:
            self._silent.add(slot)
        if mode != "SKIP" or self.reply_mode is _ON:  # Where all are off there is none to skip.
            self.reply_mode = ReplyMode[mode]

    def send(self, shard: ShardId, sink: Sink, args: Args, cost: int, *, is_write: bool) -> None:
        """Put a command into the lane of its shard."""
        lane = self._lanes.get(shard)
        if lane is None:
            lane = self._lanes[shard] = Lane(self, shard)
        self._cost += cost
        if is_write:
            self.written.add(shard)
        lane.add(sink, args, cost, is_write=is_write)

    # --- Replies.

    def put(self, slot: int, reply: Reply) -> None:
        """Give the reply of the command at `slot`; it is written when its turn comes."""
        if type(reply) is Status:  # Most replies to writes are.
            self.put_encoded(slot, reply, encode_status(reply))
        elif not (is_long(reply) and self.door.clients.long_replies.take(self, slot, reply)):
            self.put_encoded(slot, reply, encode_reply(reply, self.protocol))

    def put_encoded(self, slot: int, reply: Reply, data: bytes) -> None:
        """The same of a reply that is RESP already."""
        if self._silent and slot in self._silent:
            self._silent.discard(slot)
            if type(reply) is not Pushes:  # Those are no replies, as in Redis.
                data = b""
        self._out_bytes += len(data)
        if self._out_bytes > self.door.limits.output_buffer_bytes_max:
            self._overflow()
        elif slot != self._next_out:
            self._early[slot] = data
        else:
            out = self._out
            out.append(data)
            slot += 1
            early = self._early
            while early and (ready := early.pop(slot, None)) is not None:
                out.append(ready)
                slot += 1
            self._next_out = slot

    def push(self, data: bytes) -> None:
        """Write something that is no reply, at the end of this turn."""
        self._out_bytes += len(data)
        self._out.append(data)
        if self._out_bytes > self.door.limits.output_buffer_bytes_max:
            self._overflow()
        else:
            self.schedule()

    def answer(self, batch: Batch, outcome: Outcome) -> None:
        self._cost -= batch.cost
        if self._is_lost:
            return
        if type(outcome) is Done:
            count(self, batch, outcome.replies)
            for sink, reply in zip(batch.sinks, outcome.replies, strict=True):
                if isinstance(sink, int):
                    self.put(sink, reply)
                else:
                    sink.gather.put(sink.place, reply)
        else:
            refuse(self, batch, outcome)
        if not self._is_scheduled:
            self.schedule()

    # --- The turn: send what gathered, write what is answered.

    def schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self.door.schedule(self)

    def turn(self) -> None:
        """Launch lanes, write all replies whose turn has come in one piece, pause or go on."""
        while True:
            while self.idle_lanes:  # A router may answer at once, and so refill it.
                self.idle_lanes.pop().launch()
            if self._reader.has_stopped and not (self._held or self._is_held):
                self._reader.restrict(is_strict=self.needs_password)
                self._held = self._reader.go_on()  # What came behind its log-in.
            if (
                not self._held
                or self._is_held
                or self._next_in != self._next_out
                or self._is_closing
            ):
                break
            held, self._held = self._held, []
            self._held_cost = 0
            self.now_ns = self.door.router.now_ns()  # Deadlines do not count how long they waited.
            self._take(held, 0)
        if self._reader.error and not (self._held or self._is_held or self._is_closing):
            self._is_closing = True
            self._next_in += 1
            self.put(self._next_in - 1, ErrorReply("ERR", self._reader.error))
        self._is_scheduled = False
        if self._is_lost:
            return
        if self._out:
            self._write()
        if self._next_in == self._next_out and (
            self._is_closing or (self._has_ended and not (self._held or self._is_held))
        ):
            self._is_closing = True
            self._transport.close()
        else:
            self._pace()

    def _write(self) -> None:
        out = self._out
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        self._out_bytes -= len(data)
        self.door.clients.output_bytes += len(data)
        self._transport.write(data)
        if self._is_choked:
            buffered = self._transport.get_write_buffer_size()
            if buffered > self.door.limits.output_buffer_bytes_max:
                self._overflow()

    def _overflow(self) -> None:
        """It reads too slowly for what it asks: it costs itself its connection, nobody else."""
        if not self._is_lost:
            log.warning("output_buffer_full client=%s name=%r", self.address, self.name)
            self.abort()

    def _pace(self) -> None:
        """Pause reading while too much waits here; go on when half of it is done."""
        waiting_bytes_max = self.door.limits.waiting_bytes_max
        # Of one that waits for data some is read on: else its end would not be seen.
        is_held = bool(self._held) and not (
            self._held_cost < waiting_bytes_max and self.door.clients.blockers.has(self)
        )
        is_stuck = self._is_choked or is_held or self.backing_off > 0
        if self._is_paused:
            if not is_stuck and self._cost <= waiting_bytes_max // 2:
                self._is_paused = False
                self._transport.resume_reading()
        elif (is_stuck or self._cost > waiting_bytes_max) and not self._transport.is_closing():
            self._is_paused = True
            self._transport.pause_reading()

    # --- For local commands and the door.

    @property
    def is_lost(self) -> bool:
        return self._is_lost

    @property
    def has_ended(self) -> bool:
        return self._is_lost or self._has_ended

    @property
    def is_idle(self) -> bool:
        """It waits for no answer."""
        return (
            self._next_in == self._next_out
            and not self._held
            and not self.is_monitor
            and not self.is_subscriber
        )

    @property
    def state_flags(self) -> str:
        return (
            "O" * self.is_monitor
            + "P" * self.is_subscriber
            + "x" * (self.transaction is not None)
            + "b" * self.door.clients.blockers.has(self)
        )

    @property
    def queued(self) -> int:
        return -1 if self.transaction is None else len(self.transaction)

    @property
    def held_bytes(self) -> int:
        return self._reader.held_bytes

    @property
    def waiting_cost(self) -> int:
        return self._cost

    @property
    def descriptor(self) -> int:
        """Its number among the files of the process, or -1."""
        sock = self._transport.get_extra_info("socket")
        return sock.fileno() if sock is not None else -1

    @property
    def output_bytes(self) -> int:
        return self._out_bytes + self._transport.get_write_buffer_size()

    def close(self) -> None:
        """Take no further command; end when everything taken is answered."""
        self._is_closing = True
        self.schedule()

    def abort(self) -> None:
        """End at once, without a word."""
        self._is_closing = self._is_lost = True
        self._transport.abort()
