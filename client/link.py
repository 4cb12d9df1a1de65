"""One node's stream of commands: tries out, answers in; opened when there is something to send.

A try is either surely not sent, or it may have arrived: the node says when it listens, and nothing
leaves before. When the stream ends, whoever owns the link is told which tries were still here. It
never sends anything twice; that is the router's business.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar  # Any: gRPC's calls are generic.

import grpc
import grpc.aio

from ..proto.execute import Malformed, messages
from ..proto.requests import Assembly, BatchAnswer, read_replies
from .errors import NotApplied, error_of

if TYPE_CHECKING:
    from collections.abc import Iterable

log = logging.getLogger(__name__)

T = TypeVar("T")

EXECUTE = "/trimaran.v1.Commands/Execute"
CONNECT_S = 2.0  # Then a node that does not answer is taken for unreachable.
REPLY_BYTES_MAX = 1 << 30  # Of one message of answers, put together from its pieces.

# A node that vanished without a word is noticed by its silence.
CHANNEL_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", -1),  # Nodes send 2 MiB at most; it is counted here.
    ("grpc.keepalive_time_ms", 2_000),
    ("grpc.keepalive_timeout_ms", 4_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),  # Those of the environment are for the web.
    ("grpc.enable_retries", 0),  # It would send again what may have been applied.
)

COMMANDS_MAX = 5_000  # In one message; nodes take 10,000 (message_commands_max).

Metadata = Sequence[tuple[str, str]]

# What a node says to a message that is too large.
_LIMIT = re.compile(r"a message(?:, put together,)? may hold (\d+) (bytes|commands)")


class LinkBroken(Exception):
    """Why a link has ended; `is_final` if another one would end alike, and `code` that of the error
    reply that Redis has for it, if it has one. `bytes_max` and `commands_max` say what a node takes
    in one message, if it ended for that; then `too_large` are the tries that are more."""

    def __init__(self, text: str, *, is_final: bool = False, code: str = "") -> None:
        super().__init__(text)
        self.is_final = is_final
        self.code = code
        self.too_large: frozenset[int] = frozenset()
        limit = _LIMIT.fullmatch(text)
        self.bytes_max = int(limit[1]) if limit is not None and limit[2] == "bytes" else 0
        self.commands_max = int(limit[1]) if limit is not None and limit[2] == "commands" else 0

    def error(self, node: str) -> Exception:
        """What callers are told whose commands it kept from leaving."""
        text = f"{node}: {self}" if node else str(self)
        return error_of(self.code, text) if self.code else NotApplied(text)


def open_channel(address: str) -> grpc.aio.Channel:
    """A channel to a node, which connects when it is used."""
    return grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)


class Link:
    def __init__(
        self,
        address: str,
        metadata: Metadata,
        *,
        answered: Callable[[BatchAnswer], None],
        broken: Callable[[LinkBroken, list[int]], None],
    ) -> None:
        """`broken` gets the tries that had not left."""
        self.address = address
        self._metadata = metadata
        self._answered = answered
        self._broken = broken
        self._out: list[tuple[int, bytes]] = []
        self._sizes: dict[int, tuple[int, int]] = {}  # Of tries: bytes, and commands.
        self._owed = 0  # Answers that are outstanding,
        self._quiet_since = 0.0  # and since when nothing came, in seconds of the loop's clock.
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._channel: grpc.aio.Channel | None = None

    def send(self, number: int, data: bytes, commands: int = 1) -> None:
        """A try of so many commands, which leaves with all others of this turn."""
        self._out.append((number, data))
        self._sizes[number] = (len(data), commands)
        if not self._owed:
            self._quiet_since = asyncio.get_running_loop().time()
        self._owed += 1
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="trimaran-link")
        self._wake.set()

    @property
    def unsent(self) -> list[int]:
        """The tries that have not left."""
        return [number for number, _ in self._out]

    def say(self, data: bytes) -> None:
        """Something that is not answered; only where there is a stream already."""
        if self._task is not None:
            self._out.append((0, data))
            self._wake.set()

    def silence_s(self, now: float) -> float:
        """For how long it has owed an answer and said nothing."""
        return now - self._quiet_since if self._owed else 0.0

    async def close(self) -> None:
        """End it; nobody is told."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if self._channel is not None:
            await self._channel.close()
            self._channel = None

    async def _run(self) -> None:
        """One stream, from its beginning to its end."""
        if self._channel is None:
            self._channel = open_channel(self.address)
        try:
            reason = await self._serve(self._channel)
        except grpc.aio.AioRpcError as error:
            reason = reason_of(error)
        except (grpc.aio.BaseError, asyncio.InvalidStateError, grpc.RpcError) as error:
            reason = LinkBroken(str(error) or type(error).__name__)
        except Malformed as error:
            log.error("reply_malformed node=%s error=%s", self.address, error)  # noqa: TRY400
            reason = LinkBroken(f"what the node answers cannot be read: {error}")
        self._owed = 0
        self._task = None
        unsent = self.unsent
        self._out.clear()
        sizes, self._sizes = self._sizes, {}
        if reason.bytes_max or reason.commands_max:
            limits = (reason.bytes_max or math.inf, reason.commands_max or math.inf)
            reason.too_large = frozenset(
                number
                for number, (size, commands) in sizes.items()
                if size > limits[0] or commands > limits[1]
            )
        self._broken(reason, unsent)

    async def _serve(self, channel: grpc.aio.Channel) -> LinkBroken:
        call: Any = channel.stream_stream(EXECUTE)(metadata=self._metadata)
        try:
            try:
                async with asyncio.timeout(CONNECT_S):
                    await call.wait_for_connection()
            except TimeoutError:
                return LinkBroken(f"no connection within {CONNECT_S:g} s")
            reading = asyncio.ensure_future(to_the_end(call, self._read(call)))
            writing = asyncio.ensure_future(self._write(call))
            try:
                await asyncio.wait((reading, writing), return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (reading, writing):
                    task.cancel()
                ends = await asyncio.gather(reading, writing, return_exceptions=True)
            for end in ends:
                if isinstance(end, asyncio.InvalidStateError) and call.done():
                    return reason_of_status(await call.code(), await call.details())
                if isinstance(end, Exception) and not isinstance(end, asyncio.CancelledError):
                    raise end
            return LinkBroken("the node has ended the stream")
        finally:
            call.cancel()

    async def _write(self, call: Any) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._out:
                some, self._out = self._first_of(self._out)
                for message in messages([data for _, data in some]):
                    await call.write(message)

    def _first_of(
        self, out: list[tuple[int, bytes]]
    ) -> tuple[list[tuple[int, bytes]], list[tuple[int, bytes]]]:
        """What one message may hold, and the rest."""
        commands = 0
        for place, (number, _) in enumerate(out):
            commands += self._sizes[number][1] if number else 0
            if commands > COMMANDS_MAX and place:
                return out[:place], out[place:]
        return out, []

    async def _read(self, call: Any) -> None:
        loop = asyncio.get_running_loop()
        assembly = Assembly(REPLY_BYTES_MAX)
        while True:
            data = await call.read()
            if data is grpc.aio.EOF:
                return
            self._quiet_since = loop.time()
            whole = assembly.take(data)
            if whole is not None:
                self._take(read_replies(whole))

    def _take(self, answers: Iterable[BatchAnswer]) -> None:
        for answer in answers:
            self._owed -= 1
            self._sizes.pop(answer.id, None)
            self._answered(answer)


async def to_the_end(call: grpc.aio.Call, reading: Coroutine[Any, Any, T]) -> T:
    """What `reading` returns, which reads `call`. If this is cancelled the call is, and `reading`
    goes on until gRPC has done with it.

    The end of a loop cancels all its tasks, and the next loop would get the end of a read that was
    cut short, as an error: so `reading` is none of the loop's tasks.
    """
    task = asyncio.ensure_future(reading)
    asyncio._unregister_task(task)  # noqa: SLF001 - documented under "Extending asyncio".
    try:
        await asyncio.wait((task,))
    finally:
        if not task.done():
            call.cancel()
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait((task,))
        if not task.cancelled():
            task.exception()  # Whoever cancelled this does not ask: then it is nobody's.
    return task.result()


def reason_of(error: grpc.aio.AioRpcError) -> LinkBroken:
    """Why a call has ended, for people."""
    return reason_of_status(error.code(), error.details())


def reason_of_status(code: grpc.StatusCode, details: str | None) -> LinkBroken:
    """Why a call has ended that ended so, for people."""
    text = details or code.name
    if code is grpc.StatusCode.UNIMPLEMENTED or "Failed parsing HTTP/2" in text:
        text = "it does not speak to Trimaran's clients: is it the gRPC port (base port + 2)?"
        return LinkBroken(text, is_final=True)
    if code is grpc.StatusCode.UNAUTHENTICATED:
        if text.startswith("Authentication required"):  # And how, in words of gRPC.
            text = "Authentication required: the client was made without a password"
            return LinkBroken(text, is_final=True, code="NOAUTH")
        return LinkBroken(text, is_final=True, code="WRONGPASS")
    return LinkBroken(text)
