"""One client of a RESP door: bytes in, lanes, replies in order, back-pressure, limits.

Every command gets the next place in the connection's order when it is read; a reply that comes
before its turn waits in `_early`. Data commands go into the lane of their shard (`lane.py`), local
ones are answered at once. What can grow is bounded, and a connection that reaches a bound is paused
or closed alone (correctness D4). Which shard a command goes to is its door's business: `resp.py`
and `cluster_resp.py`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING, cast

from ...cluster.commands import wrong_arity
from ...proto.reply import ErrorReply, Reply
from ...proto.resp import Command, CommandReader, encode_reply
from ..errors import CommandError
from ..request import Done, NotApplied, Outcome, Unknown
from .lane import Batch, Lane, Sink
from .outcomes import uncertain
from .routes import ROUTES, SecurityBreach, find

if TYPE_CHECKING:
    from ...cluster.slots import ShardId
    from ..request import Args
    from .door import Door
    from .routes import Route

log = logging.getLogger(__name__)

COMMAND_COST = 128  # What a waiting command costs beside its bytes, about.
TOO_MANY_CLIENTS = ErrorReply("ERR", "max number of clients reached")


class Connection(asyncio.Protocol):
    """The state of one client; local commands read and change its public part."""

    __slots__ = (
        "__weakref__",
        "_cost",
        "_early",
        "_has_ended",
        "_held",
        "_is_choked",
        "_is_closing",
        "_is_lost",
        "_is_paused",
        "_is_scheduled",
        "_lanes",
        "_next_in",
        "_next_out",
        "_out",
        "_out_bytes",
        "_reader",
        "_transport",
        "address",
        "created_ns",
        "db",
        "door",
        "id",
        "idle_lanes",
        "is_no_evict",
        "is_no_touch",
        "lib_name",
        "lib_version",
        "local_address",
        "name",
        "now_ns",
        "protocol",
        "route",
    )

    def __init__(self, door: Door) -> None:
        self.door = door
        self.id = 0
        self.db = 0
        self.protocol = 2
        self.name = b""
        self.lib_name = b""
        self.lib_version = b""
        self.is_no_evict = False
        self.is_no_touch = False
        self.address = self.local_address = ""
        self.created_ns = self.now_ns = (
            door.router.now_ns()
        )  # `now_ns`: when it last said anything.
        self.route: Route | None = None  # Of its last command, for CLIENT LIST.
        self.idle_lanes: list[Lane] = []  # Something waits in them and nothing is in flight.
        self._reader = CommandReader(door.limits.reader)
        self._lanes: dict[ShardId, Lane] = {}
        self._next_in = 0  # The place of the next command in the order of replies,
        self._next_out = 0  # and of the reply to be written next.
        self._early: dict[int, bytes] = {}  # Replies before their turn.
        self._out: list[bytes] = []  # Replies to be written this turn.
        self._out_bytes = 0  # Of both, and of what the transport holds.
        self._cost = 0  # Of commands in lanes.
        self._held: list[Command] = []  # Commands behind one that waits for all earlier replies.
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
        self.address = _address(transport.get_extra_info("peername"))
        self.local_address = _address(transport.get_extra_info("sockname"))
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
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
        commands = reader.feed(data)
        self._is_scheduled = True  # What is answered at once is written by turn(), in one piece.
        if self._held:
            self._held += commands
        elif commands:
            self._take(commands, reader.taken // len(commands))
        self.turn()

    def eof_received(self) -> bool:
        """The client sends no more, but may still read: answer all, then close."""
        self._has_ended = True
        self.schedule()
        return True

    def pause_writing(self) -> None:
        self._is_choked = True
        self._pace()

    def resume_writing(self) -> None:
        self._is_choked = False
        self.schedule()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_closing = self._is_lost = True
        self.door.clients.remove(self)
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
        door.clients.commands += len(commands)
        cost += COMMAND_COST
        for place, args in enumerate(commands):
            route = route_of(args[0]) or find(args[0])
            slot = self._next_in
            if route.is_barrier and slot != self._next_out:
                self._held = commands[place:]
                return
            self._next_in = slot + 1
            self.route = route
            count = len(args)
            if count != route.arity and (route.arity >= 0 or count < -route.arity):
                self.put(slot, ErrorReply("ERR", wrong_arity(route.row)))
                continue
            try:
                if route.handler is None:
                    args[0] = route.name
                    door.dispatch(self, slot, route, args, cost)
                    continue
                self.put(slot, route.handler(self, args))
            except CommandError as error:
                self.put(slot, ErrorReply(error.code, error.text))
            except SecurityBreach:
                log.warning("cross_protocol_attack client=%s", self.address)
                self.abort()
            if self._is_closing:
                return

    def send(self, shard: ShardId, sink: Sink, args: Args, cost: int, *, is_write: bool) -> None:
        """Put a command into the lane of its shard."""
        lane = self._lanes.get(shard)
        if lane is None:
            lane = self._lanes[shard] = Lane(self, shard)
        self._cost += cost
        lane.add(sink, args, cost, is_write=is_write)

    # --- Replies.

    def put(self, slot: int, reply: Reply) -> None:
        """Give the reply of the command at `slot`; it is written when its turn comes."""
        data = encode_reply(reply, self.protocol)
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

    def answer(self, batch: Batch, outcome: Outcome) -> None:
        """What became of the request that carried `batch`."""
        self._cost -= batch.cost
        if self._is_lost:
            return
        if type(outcome) is Done:
            for sink, reply in zip(batch.sinks, outcome.replies, strict=True):
                if isinstance(sink, int):
                    self.put(sink, reply)
                else:
                    sink.gather.put(sink.place, reply)
        else:
            self._refuse(batch, outcome)
        if not self._is_scheduled:
            self.schedule()

    def _refuse(self, batch: Batch, outcome: Outcome) -> None:
        door = self.door
        is_refused = type(outcome) is NotApplied
        for sink, args in zip(batch.sinks, batch.commands, strict=True):
            route = ROUTES[args[0]]
            match outcome:
                case NotApplied(error=error):
                    reply = door.routing.refusal(route, args, error)
                case Unknown(error=unknown):
                    reply = uncertain(unknown, is_write=route.is_write)
                case _:
                    raise AssertionError(outcome)
            if isinstance(sink, int):
                self.put(sink, reply)
            else:
                sink.gather.put(sink.place, reply, is_refused=is_refused)

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
            if not self._held or self._next_in != self._next_out or self._is_closing:
                break
            held, self._held = self._held, []
            self._take(held, 0)
        if self._reader.error and not self._held and not self._is_closing:
            self._is_closing = True
            self._next_in += 1
            self.put(self._next_in - 1, ErrorReply("ERR", self._reader.error))
        self._is_scheduled = False
        if self._is_lost:
            return
        if self._out:
            self._write()
        if self._next_in == self._next_out and (
            self._is_closing or (self._has_ended and not self._held)
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
        is_stuck = self._is_choked or bool(self._held)
        if self._is_paused:
            if not is_stuck and self._cost <= waiting_bytes_max // 2:
                self._is_paused = False
                self._transport.resume_reading()
        elif (is_stuck or self._cost > waiting_bytes_max) and not self._transport.is_closing():
            self._is_paused = True
            self._transport.pause_reading()

    # --- For local commands and the door.

    @property
    def is_idle(self) -> bool:
        """It waits for no answer."""
        return self._next_in == self._next_out and not self._held

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


def _address(name: object) -> str:
    """`host:port`, as CLIENT LIST shows it."""
    if not isinstance(name, tuple):
        return ""
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
