"""One `Channels.Subscribe` stream: a subscriber among the others, without RESP.

Its requests are carried out one after the other, and acknowledged when every node knows of them.
Messages gather while gRPC takes the ones before, and leave together; one that reads too slowly is
ended, and costs nobody else anything. Read `../pubsub.py` before.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import unquote

import grpc
from google.protobuf.message import DecodeError

from ...proto import channels_pb2 as pb
from ...proto.channels import STREAM, encode_done, encode_gap
from ...proto.execute import messages
from ..data.glob import PATTERN_BYTES_MAX
from ..peer_stream import StreamBroken, read_bytes
from ..subscriptions import PATTERN, Kind
from .client import Client

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...cluster.slots import ShardId
    from ...proto.reply import Reply
    from ..peer_stream import Context
    from ..pubsub import PubSub
    from ..request import Args, Outcome
    from ..subscriptions import Subscriber
    from .door import Door
    from .lane import Batch, Sink

log = logging.getLogger(__name__)

REQUEST_BYTES_MAX = 4 << 20  # Of one request; more names come in several.

Ending = tuple[grpc.StatusCode, str] | None  # With what status a stream ends; None is well.

_INVALID = grpc.StatusCode.INVALID_ARGUMENT
_TOO_MUCH = grpc.StatusCode.RESOURCE_EXHAUSTED
_CLOSED = (grpc.StatusCode.ABORTED, "the node closed this stream")


class Wrong(Exception):
    """The stream said what cannot be read: it is ended."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.status = (code, text)


class Refusal(Exception):
    """Nothing of the request is done; the stream goes on."""


class StreamSubscriber:
    """The stream, as the broker knows it."""

    protocol = STREAM

    def __init__(self, stream: ChannelStream) -> None:
        self.push_messages = stream.push_messages
        self._stream = stream

    @property
    def door(self) -> Door:
        return self._stream.door

    @property
    def is_lost(self) -> bool:
        return self._stream.is_lost


class ChannelStream(Client):
    __slots__ = ("_context", "_ended", "_has_ended", "_is_done", "_is_lost", "_messages", "_out",
                 "_out_bytes", "_room", "_subscriber", "_wake")  # fmt: skip

    def __init__(self, address: str, door: Door, context: Context) -> None:
        """`address` is where the door listens."""
        super().__init__(door)
        self.protocol = 3
        self.is_authenticated = True
        self.address = unquote(context.peer()).partition(":")[2]
        self.local_address = address
        self._context = context
        self._subscriber = StreamSubscriber(self)
        self._ended: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self._out: list[tuple[bytes, int]] = []  # Not written yet, with how many messages it is,
        self._out_bytes = 0  # and, with what is being written, its bytes
        self._messages = 0  # and messages.
        self._wake: asyncio.Future[None] | None = None  # While the writer has nothing to write.
        self._room: asyncio.Future[None] | None = None  # While no request is taken.
        self._is_done = True  # With the last request.
        self._has_ended = False  # The client asks for no more; it may still listen.
        self._is_lost = False

    @property
    def _pubsub(self) -> PubSub:
        return self.door.clients.pubsub

    async def serve(self) -> Ending:
        """Until the client has left, or we end it."""
        self._pubsub.when_missed[self._missed] = None
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._read()), group.create_task(self._write())]
            try:
                return await self._ended
            finally:
                self.lose()
                for task in tasks:
                    task.cancel()

    def lose(self) -> None:
        """Nobody listens any more."""
        self._is_lost = True
        self._out.clear()
        self._pubsub.when_missed.pop(self._missed, None)
        self._pubsub.leave(self._subscriber)

    def _end(self, status: Ending) -> None:
        self._is_lost = True
        if not self._ended.done():
            self._ended.set_result(status)

    # --- Requests.

    async def _read(self) -> None:
        try:
            while (data := await read_bytes(self._context)) is not None:
                self.now_ns = self.door.router.now_ns()
                self.door.clients.input_bytes += len(data)
                self.door.clients.commands += 1
                await self._take(_parsed(data))
                while self._out_bytes > self.door.limits.waiting_bytes_max:
                    self._room = asyncio.get_running_loop().create_future()
                    await self._room
            self._has_ended = True
        except Wrong as wrong:
            self._end(wrong.status)
        except StreamBroken:
            self._end(None)  # There is nobody to be told.
        except Exception:
            log.exception("stream_failed client=%s", self.address)
            self._end((grpc.StatusCode.INTERNAL, "the node failed at this message; see its log"))

    async def _take(self, request: pb.SubscribeRequest) -> None:
        fresh = _names_of(request.subscribe)
        try:
            self._check(fresh)
        except Refusal as refusal:
            self._put(encode_done(request.id, str(refusal)), 0)
            return
        self._is_done = False
        for kind, names in _names_of(request.unsubscribe):
            for name in names:
                self._pubsub.unsubscribe(self._subscriber, kind, name)
        for kind, names in fresh:
            await self._listen(kind, names)
        self._is_done = True
        self._put(encode_done(request.id), 0)

    def _check(self, fresh: Sequence[tuple[Kind, Sequence[bytes]]]) -> None:
        own = self._pubsub.subscriptions_of(self._subscriber)
        total = 0 if own is None else own.total
        more = sum([len(names) for _, names in fresh])
        limit = self._pubsub.limits.subscriptions_max
        if total + more > limit:
            raise Refusal(
                f"too many subscriptions: {total} and {more} more, one client may have"
                f" {limit} (client_subscriptions_max)"
            )
        for kind, names in fresh:
            if kind is PATTERN and max(map(len, names)) > PATTERN_BYTES_MAX:
                raise Refusal(f"a pattern is longer than {PATTERN_BYTES_MAX} bytes")

    async def _listen(self, kind: Kind, names: Sequence[bytes]) -> None:
        known: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done() -> None:
            if not known.done():
                known.set_result(None)

        self._pubsub.subscribe(self._subscriber, kind, names, done)
        await known

    # --- Messages.

    def push_messages(self, data: bytes, count: int) -> None:
        """Write messages; who reads too slowly for them is ended, and counted."""
        if self._is_lost:
            return
        self._put(data, count)
        limits = self.door.limits
        if (
            self._messages > limits.pubsub_buffer_messages_max
            or self._out_bytes > limits.pubsub_buffer_bytes_max + len(data)
        ):
            self._pubsub.counters.slow += 1
            log.warning("subscriber_slow client=%s name=%r", self.address, self.name)
            limit = "pubsub_buffer_bytes_max or pubsub_buffer_messages_max is reached"
            self._end((_TOO_MUCH, f"{limit}: messages were not read"))

    def _missed(self, text: str) -> None:
        if self.is_subscriber and not self._is_lost:
            self._put(encode_gap(text), 0)

    def _put(self, data: bytes, count: int) -> None:
        self._out.append((data, count))
        self._out_bytes += len(data)
        self._messages += count
        self.schedule()

    async def _write(self) -> None:
        try:
            while True:
                if not self._out:
                    self._wake = asyncio.get_running_loop().create_future()
                    await self._wake
                    continue
                out, self._out = self._out, []
                for message in messages([data for data, _ in out]):
                    self.door.clients.output_bytes += len(message)
                    await self._context.write(message)
                for data, count in out:
                    self._out_bytes -= len(data)
                    self._messages -= count
                if self._room is not None and not self._room.done():
                    self._room.set_result(None)
        except Exception as error:  # noqa: BLE001  # gRPC's word for a client that is gone varies.
            log.debug("stream_broken client=%s error=%s", self.address, error)
            self._end(None)

    def schedule(self) -> None:
        if self._out and self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    # --- For local commands and the door.

    def as_subscriber(self) -> Subscriber:
        return self._subscriber

    @property
    def is_subscriber(self) -> bool:
        return self._pubsub.subscriptions_of(self._subscriber) is not None

    @property
    def is_lost(self) -> bool:
        return self._is_lost

    @property
    def has_ended(self) -> bool:
        return self._is_lost or self._has_ended

    @property
    def is_idle(self) -> bool:
        return self._is_done and not self._out_bytes and not self.is_subscriber

    @property
    def state_flags(self) -> str:
        return "P" * self.is_subscriber

    @property
    def output_bytes(self) -> int:
        return self._out_bytes

    def close(self) -> None:
        self._end(_CLOSED)

    def abort(self) -> None:
        self._end(_CLOSED)

    def send(self, shard: ShardId, sink: Sink, args: Args, cost: int, *, is_write: bool) -> None:
        _no_commands()

    def put(self, slot: int, reply: Reply) -> None:
        _no_commands()

    def answer(self, batch: Batch, outcome: Outcome) -> None:
        _no_commands()


def _no_commands() -> NoReturn:
    raise AssertionError("a subscriber's stream carries no commands")


def _parsed(data: bytes) -> pb.SubscribeRequest:
    if len(data) > REQUEST_BYTES_MAX:
        raise Wrong(_TOO_MUCH, f"a request may hold {REQUEST_BYTES_MAX} bytes: ask in several")
    try:
        return pb.SubscribeRequest.FromString(data)
    except DecodeError as error:
        raise Wrong(_INVALID, f"this is no SubscribeRequest: {error}") from error


def _names_of(names: pb.Names) -> list[tuple[Kind, list[bytes]]]:
    """By kind, each name once."""
    given = ((Kind.CHANNEL, names.channels), (PATTERN, names.patterns),
             (Kind.SHARD, names.shard_channels))  # fmt: skip
    return [(kind, list(dict.fromkeys(some))) for kind, some in given if some]
