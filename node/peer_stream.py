"""One stream to one peer: dialled, greeted, written to, and dialled again when it breaks.

A gRPC message costs about the same whatever is in it, so a stream has one writer that asks its
owner for the next frame only when the one before it was taken: what gathers meanwhile leaves
together. Names are resolved before dialling, off the loop. Read `peer_link.py` next.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import (  # Frames are bytes to gRPC: its call types are generic over them.
    TYPE_CHECKING,
    Any,
)

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from ..proto import peer_pb2 as pb
from .errors import TrimaranError
from .peer_options import CHANNEL_OPTIONS

if TYPE_CHECKING:
    from random import Random

    from .clock import Clock
    from .names import Address, Names

CONNECT_TIMEOUT_MS = 2_000  # From the look-up of the name to the Welcome.
BACK_OFF_MS_MIN = 50
BACK_OFF_MS_MAX = 1_000

SERVICE = pb.DESCRIPTOR.services_by_name["Peer"].full_name

Call = grpc.aio.StreamStreamCall[Any, Any]  # The end that dialled.
Context = grpc.aio.ServicerContext[Any, Any]  # The end that was dialled.


class StreamBroken(TrimaranError):
    """The stream could not be opened, or ended."""


class Refused(StreamBroken):
    """The node there answered our Hello with a Refusal, or is not the one we meant (R8)."""

    def __init__(self, text: str, *, is_temporary: bool) -> None:
        super().__init__(text)
        self.is_temporary = is_temporary


@contextlib.asynccontextmanager
async def broken_streams() -> AsyncIterator[None]:
    """Turns every way in which gRPC says that a stream is over into StreamBroken."""
    task = asyncio.current_task()
    assert task is not None, "streams are used by tasks"
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise StreamBroken(f"{error.code().name.lower()}: {error.details()}") from error
    except (OSError, TimeoutError, asyncio.InvalidStateError) as error:
        raise StreamBroken(str(error) or type(error).__name__) from error
    except DecodeError as error:
        raise StreamBroken(f"an answer that cannot be read: {error}") from error
    except asyncio.CancelledError as error:
        if task.cancelling():
            raise
        # gRPC raises this also when the other end cancelled; only our own tasks' owner may stop us.
        raise StreamBroken("cancelled by the peer") from error


@contextlib.asynccontextmanager
async def open_stream(
    names: Names, address: Address, method: str, hello: bytes
) -> AsyncIterator[tuple[Call, pb.Welcome]]:
    """A stream that was welcomed; raises StreamBroken, also out of the block that uses it."""
    async with broken_streams(), contextlib.AsyncExitStack() as stack:
        async with asyncio.timeout(CONNECT_TIMEOUT_MS / 1000):
            target = await names.target(address)
            channel = grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS)
            await stack.enter_async_context(channel)
            # Without serializers gRPC passes bytes: a frame is encoded once, by its owner.
            open_call: grpc.aio.StreamStreamMultiCallable[Any, Any] = channel.stream_stream(
                f"/{SERVICE}/{method}"
            )
            call: Call = open_call()
            stack.callback(call.cancel)
            await call.write(hello)
            answer = await call.read()
        yield call, _welcome(answer)


async def read_bytes(context: Context) -> bytes | None:
    """The next message of a stream that a peer dialled, None at its end."""
    try:
        data = await context.read()
    except Exception as error:
        raise StreamBroken(str(error)) from error
    return data if isinstance(data, bytes) else None


async def write_reply(context: Context, reply: pb.Reply) -> None:
    """Answer on a stream that a peer dialled."""
    try:
        await context.write(reply.SerializeToString())
    except Exception as error:
        raise StreamBroken(str(error)) from error


def _welcome(answer: object) -> pb.Welcome:
    if not isinstance(answer, bytes):
        raise StreamBroken("closed without an answer")
    reply = pb.Reply.FromString(answer)
    match reply.WhichOneof("kind"):
        case "welcome":
            return reply.welcome
        case "refusal":
            raise Refused(reply.refusal.text, is_temporary=reply.refusal.is_temporary)
        case _:
            raise StreamBroken("answered with neither a Welcome nor a Refusal")


class BackOff:
    """Waits between tries: doubling, jittered, and cut short when there is news."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._next_ms = BACK_OFF_MS_MIN
        self._news = asyncio.Event()

    def reset(self) -> None:
        self._next_ms = BACK_OFF_MS_MIN

    def hurry(self) -> None:
        """Try now: the peer was just heard of."""
        self._next_ms = BACK_OFF_MS_MIN
        self._news.set()

    async def wait(self) -> None:
        delay_ms = self._next_ms * self._rng.uniform(0.5, 1.0)
        self._next_ms = min(self._next_ms * 2, BACK_OFF_MS_MAX)
        with contextlib.suppress(TimeoutError):
            # Not wait_for: in Python 3.11 that can swallow a cancellation.
            async with asyncio.timeout(delay_ms / 1000):
                await self._news.wait()
        self._news.clear()


class PeerStream:
    """A stream that is kept open. `run` is one task; the rest is called from the same loop."""

    def __init__(
        self,
        method: str,
        *,
        names: Names,
        clock: Clock,
        rng: Random,
        address: Callable[[], Address],
        hello: Callable[[], bytes],
        welcomed: Callable[[pb.Welcome], None],  # Raises Refused if it is not whom we meant.
        next_frame: Callable[[], bytes | None],
        changed: Callable[[], None],
        broke: Callable[[StreamBroken], None],
    ) -> None:
        self.is_live = False
        self.nonce = 0  # Of the process at the other end, while live.
        self.in_flight_bytes = 0  # Given to gRPC and not yet taken by it; 0 when idle.
        self.write_began_ns = 0
        self.frames = 0
        self.bytes = 0
        self._method = method
        self._names = names
        self._clock = clock
        self._address = address
        self._hello = hello
        self._welcomed = welcomed
        self._next_frame = next_frame
        self._changed = changed
        self._broke = broke
        self._back_off = BackOff(rng)
        self._wake: asyncio.Future[None] | None = None  # While the writer waits for work.

    def wake(self) -> None:
        """There is something to write."""
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def hurry(self) -> None:
        """Dial now, if not connected."""
        self._back_off.hurry()

    async def run(self) -> None:
        """Keep the stream open until cancelled."""
        while True:
            try:
                await self._serve()
            except StreamBroken as error:
                self._broke(error)
            await self._back_off.wait()

    async def _serve(self) -> None:
        opened = open_stream(self._names, self._address(), self._method, self._hello())
        try:
            async with opened as (call, welcome):
                self._welcomed(welcome)
                call.add_done_callback(lambda _: self.wake())
                self.is_live, self.nonce = True, welcome.source.nonce
                self._back_off.reset()
                self._changed()
                await self._write(call)
        finally:
            was_live, self.is_live = self.is_live, False
            self.nonce = self.in_flight_bytes = 0
            self._wake = None
            if was_live:
                self._changed()

    async def _write(self, call: Call) -> None:
        loop = asyncio.get_running_loop()
        while not call.done():
            frame = self._next_frame()
            if frame is None:
                self._wake = loop.create_future()
                await self._wake
                continue
            self.in_flight_bytes = len(frame)
            self.write_began_ns = self._clock.now_ns()
            await call.write(frame)
            self.in_flight_bytes = 0
            self.frames += 1
            self.bytes += len(frame)
        raise StreamBroken(f"closed by the peer: {await call.code()}, {await call.details()}")
