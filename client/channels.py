"""One subscriber's stream: to a node that can be reached, and to another one when that ends.

What is wanted is kept here, so that a new stream begins with it; what waits for its acknowledgement
is told when the new one has it. After a break messages may be missing: the events say so. A stream
that its owner does not read is not read from here either; its node ends it then, as it would any
slow subscriber's. `pubsub.py` makes of the events what redis-py's users know.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple  # Any: gRPC's calls are generic.

import grpc
import grpc.aio

from ..cluster.slots import shard_of
from ..proto import channels_pb2 as pb
from ..proto.execute import Malformed
from ..proto.requests import Assembly
from .errors import ClientClosed, NotApplied, Refused
from .link import CONNECT_S, REPLY_BYTES_MAX, LinkBroken, reason_of, to_the_end

if TYPE_CHECKING:
    from .core import Core

log = logging.getLogger(__name__)

SUBSCRIBE = "/trimaran.v1.Channels/Subscribe"
CHANNELS, PATTERNS, SHARD_CHANNELS = 0, 1, 2  # What can be subscribed to.
ON = ("subscribe", "psubscribe", "ssubscribe")
OFF = ("unsubscribe", "punsubscribe", "sunsubscribe")
MESSAGES = ("message", "pmessage", "smessage")

NAMES_MAX: Final = 1_000  # In one request,
NAMES_BYTES_MAX: Final = 1 << 20  # and their bytes.
EVENTS_MAX: Final = 10_000  # That nobody has taken; then no more are read,
EVENT_BYTES_MAX: Final = 16 << 20  # as with so many bytes of them.
PAUSE_S, PAUSE_MAX_S = 0.05, 2.0  # Before the next node is tried, at first and at most.
PING_S: Final = 2.0  # Without a word from a node it is asked for one, by one for all here,
SILENT_S: Final = 6.0  # and after so long it is taken for dead.
AVOID_S: Final = 5.0  # Others come before a node whose stream has ended.

Wanted = tuple[dict[bytes, None], dict[bytes, None], dict[bytes, None]]


class Event(NamedTuple):
    """Something for whoever listens."""

    type: str  # As redis-py has it; or "gap".
    pattern: bytes | None
    channel: bytes | None
    data: bytes | int | str | None


class Ask:
    """One call of the subscriber, until it is effective."""

    __slots__ = ("future", "kind", "names", "ping", "type")

    def __init__(
        self, type_: str, kind: int, names: Sequence[bytes], future: asyncio.Future[None]
    ) -> None:
        self.type = type_
        self.kind = kind
        self.names = names
        self.ping = b""
        self.future = future

    def fail(self, error: Exception) -> None:
        """It is over; nobody is told if it becomes effective yet."""
        self.type = ""
        if not self.future.done():
            self.future.set_exception(error)
            self.future.exception()  # It may be that nobody waits.


class Subscription:
    """What one subscriber wants, its stream, and the events that nobody has taken yet."""

    def __init__(self, core: Core, wanted: Wanted | None = None, *, was_up: bool = False) -> None:
        """With `wanted` it takes the place of another one, in another process or on another loop;
        `was_up` says that messages may have been missed meanwhile."""
        self.core = core
        self.node = ""  # Whose stream it is; empty while there is none.
        self.wanted: Wanted = wanted or ({}, {}, {})
        self._events: deque[Event] = deque()
        self._bytes = 0  # Of events.
        self._told: Wanted = ({}, {}, {})  # What is subscribed to, as events have told it.
        if wanted is not None:
            self._told = (dict(wanted[0]), dict(wanted[1]), dict(wanted[2]))
        self._was_up = was_up
        self._why = "the subscriber is in another process or on another loop"
        self._asks: deque[Ask] = deque()  # Not sent yet, in this stream.
        self._sent: dict[int, list[Ask]] = {}  # By request, what is effective with it.
        self._parts: dict[int, Ask] = {}  # Requests that are not the last of what was asked.
        self._again = 0  # The request that makes a new stream what the one before was.
        self._number = 0
        self._avoided: dict[str, float] = {}
        self._failures = 0  # In a row.
        self._last_failure = "no node has answered yet"
        self._error: Exception | None = None  # Why it is over.
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        core.subscriptions[self] = None
        self.resume()

    # --- For its owner.

    async def ask(
        self, kind: int, names: Sequence[bytes], timeout_s: float, *, is_off: bool = False
    ) -> None:
        """Subscribe, or unsubscribe; done when it is effective. Raises NotApplied if no node took
        it in time, Refused if a node will not have it."""
        fresh = [name for name in names if name not in self.wanted[kind]]
        for name in names:
            if is_off:
                self.wanted[kind].pop(name, None)
            else:
                self.wanted[kind][name] = None
        ask = self._put(OFF[kind] if is_off else ON[kind], kind, names)
        if is_off:
            return
        try:
            await self._until_done(ask, timeout_s)
        except (NotApplied, Refused):
            for name in fresh:
                self.wanted[kind].pop(name, None)
            self._put("", kind, fresh)  # It may yet become effective.
            raise

    def ping(self, text: bytes) -> None:
        """Have a node answer, in the order of the events."""
        self._put("pong", CHANNELS, ()).ping = text

    async def take(self, timeout_s: float | None) -> Event | None:
        """The next event; None if there is none within that many seconds (None: for ever). Raises
        ClientClosed."""
        if not self._events and timeout_s != 0:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._wait_for_event()
            except TimeoutError:
                return None
        elif not self._events:
            await asyncio.sleep(0)  # Or who asks again and again would let nothing arrive.
        if not self._events:
            if self._error is not None:
                raise self._error
            return None
        event = self._events.popleft()
        self._bytes -= _size(event)
        if not self._events:
            self._arrived.clear()
        if not self._is_full:
            self._room.set()
        return event

    async def _wait_for_event(self) -> None:
        while not self._events:
            if self._error is not None:
                raise self._error
            await self._arrived.wait()

    async def close(self) -> None:
        """End the stream; who waits gets ClientClosed."""
        self.core.subscriptions.pop(self, None)
        self._fail(ClientClosed("the subscriber was closed"))
        await self._stop()

    def abandon(self) -> None:
        """`close`, from any thread, some time."""
        loop = self.core.loop
        if not loop.is_closed():
            loop.call_soon_threadsafe(lambda: self.core.keep(loop.create_task(self.close())))

    async def _stop(self) -> None:
        task, self._task = self._task, None  # Kept, it would keep the call it ended with.
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def suspend(self) -> None:
        """Leave gRPC alone until `resume`; who waits waits on."""
        await self._stop()
        self._broken(self.node, LinkBroken("the process has forked"))

    def resume(self) -> None:
        """Have a stream, from now on."""
        self._task = self.core.loop.create_task(self._run(), name="trimaran-subscriber")

    def _fail(self, error: Exception) -> None:
        self._error = error
        self._arrived.set()
        for ask in self._outstanding():
            ask.fail(error)

    def _outstanding(self) -> Iterator[Ask]:
        for asks in self._sent.values():
            yield from asks
        yield from self._asks

    def _put(self, type_: str, kind: int, names: Sequence[bytes]) -> Ask:
        ask = Ask(type_, kind, names, self.core.loop.create_future())
        if self._error is not None:
            raise self._error
        self._asks.append(ask)
        self._work.set()
        self._room.set()  # Its acknowledgement is behind what nobody has taken.
        return ask

    async def _until_done(self, ask: Ask, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.shield(ask.future)
        except TimeoutError:
            error = NotApplied(f"not subscribed within {timeout_s:g} s: {self._last_failure}")
            ask.fail(error)
            raise error from None

    # --- Streams, one after the other.

    async def _run(self) -> None:
        core = self.core
        while True:
            try:
                if core.router.view is None:
                    await core.wait_until_ready(PAUSE_MAX_S)
                node = self._choose()
                reason = await self._serve(node) if node else LinkBroken("no node can be reached")
            except NotApplied as error:
                node, reason = None, LinkBroken(str(error))
            except Refused as error:  # A wrong password.
                node, reason = None, LinkBroken(str(error), is_final=True, code=error.code)
            except grpc.aio.AioRpcError as error:
                reason = reason_of(error)
            except (grpc.aio.BaseError, asyncio.InvalidStateError, grpc.RpcError) as error:
                reason = LinkBroken(str(error) or type(error).__name__)
            except LinkBroken as error:
                reason = error
            except Malformed as error:
                log.error("message_malformed node=%s error=%s", self.node, error)  # noqa: TRY400
                reason = LinkBroken(f"what the node sends cannot be read: {error}")
            except asyncio.CancelledError:
                if self._task is None or self._task.cancelling():
                    raise
                reason = LinkBroken(
                    "the stream was cancelled"
                )  # gRPC's word when a channel closes.
            self._broken(node or "", reason)
            await asyncio.sleep(
                core.jitter(min(PAUSE_MAX_S, PAUSE_S * 2 ** min(self._failures, 8)))
            )

    def _choose(self) -> str | None:
        """The leader of its shard channels, if it has nothing else: they are published there.
        Otherwise any node will do: all are told of a subscription and send what is for it once."""
        router, now = self.core.router, self.core.loop.time()
        view = router.view
        assert view is not None
        self._avoided = {node: until for node, until in self._avoided.items() if until > now}
        channels, patterns, shard_channels = self.wanted
        if shard_channels and not (channels or patterns):
            shard = shard_of(0, next(iter(shard_channels)), len(view.shards))
            found = router.nearest([router.leader_of(shard)], self._avoided)
            if found is not None:
                return found
        return router.nearest(view.nodes, self._avoided) or router.nearest(view.nodes)

    def _broken(self, node: str, reason: LinkBroken) -> None:
        self._failures += 1
        self._last_failure = f"{node}: {reason}" if node else str(reason)
        if node:
            self._avoided[node] = self.core.loop.time() + AVOID_S
        log.debug("subscriber_broken node=%s reason=%s", node, reason)
        if self.node:
            self._why = self._last_failure
        self.node = ""
        # Nothing of it is lost: the next stream begins with all that is wanted.
        self._asks = deque(self._outstanding())
        self._sent.clear()
        self._parts.clear()
        if reason.is_final:
            for ask in self._asks:
                ask.fail(reason.error(node))

    async def _serve(self, node: str) -> LinkBroken:
        core = self.core
        call: Any = core.subscriber_channel(node).stream_stream(SUBSCRIBE)(metadata=core.metadata)
        try:
            try:
                async with asyncio.timeout(CONNECT_S):
                    await call.wait_for_connection()
            except TimeoutError:
                return LinkBroken(f"no connection within {CONNECT_S:g} s")
            core.heard[node] = core.loop.time()
            tasks = [
                asyncio.ensure_future(work)
                for work in (
                    to_the_end(call, self._read(node, call)),
                    self._write(call),
                    self._look_after(node),
                )
            ]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                ends = await asyncio.gather(*tasks, return_exceptions=True)
            for end in ends:
                if isinstance(end, Exception) and not isinstance(end, asyncio.CancelledError):
                    raise end
            return LinkBroken("the node has ended the stream")
        finally:
            call.cancel()

    async def _look_after(self, node: str) -> None:
        """A node that is stopped, or hangs, ends no stream."""
        core = self.core
        while True:
            await asyncio.sleep(core.jitter(PING_S / 2))
            if self._is_full:
                continue  # It does not listen itself.
            now = core.loop.time()
            silent_s = now - core.heard[node]
            if silent_s >= SILENT_S:
                raise LinkBroken(f"nothing was heard of it for {SILENT_S:g} s")
            if silent_s >= PING_S and now - core.pinged.get(node, -PING_S) >= PING_S:
                core.pinged[node] = now
                self._put("", CHANNELS, ())

    # --- Requests.

    async def _write(self, call: Any) -> None:
        for request in self._beginning():
            await call.write(request.SerializeToString())
        while True:
            while self._asks:
                for request in self._requests_of(self._asks.popleft()):
                    await call.write(request.SerializeToString())
            self._work.clear()
            await self._work.wait()

    def _next_request(self) -> pb.SubscribeRequest:
        self._number += 1
        return pb.SubscribeRequest(id=self._number)

    def _beginning(self) -> list[pb.SubscribeRequest]:
        """All that is wanted; with the last of them everything that was asked is effective."""
        requests: list[pb.SubscribeRequest] = []
        for kind, names in enumerate(self.wanted):
            for some in _pieces(names):
                request = self._next_request()
                _field_of(request.subscribe, kind).extend(some)
                requests.append(request)
        if not requests:
            requests.append(self._next_request())
        self._again = self._number
        self._sent[self._again] = list(self._asks)
        self._asks.clear()
        return requests

    def _requests_of(self, ask: Ask) -> list[pb.SubscribeRequest]:
        requests: list[pb.SubscribeRequest] = []
        for some in _pieces(ask.names) or [[]]:
            request = self._next_request()
            is_on = ask.type in ON
            if some:
                _field_of(request.subscribe if is_on else request.unsubscribe, ask.kind).extend(
                    some
                )
            requests.append(request)
            self._parts[request.id] = ask
        del self._parts[self._number]
        self._sent[self._number] = [ask]
        return requests

    # --- What comes.

    async def _read(self, node: str, call: Any) -> None:
        assembly = Assembly(REPLY_BYTES_MAX)
        call.add_done_callback(lambda _: self._room.set())
        while True:
            while self._is_full and not (self._sent or self._asks or call.done()):
                self._room.clear()
                await self._room.wait()
            data = await call.read()
            if data is grpc.aio.EOF:
                return
            self.core.heard[node] = self.core.loop.time()
            whole = assembly.take(data)
            if whole is not None:
                self._receive(node, pb.ChannelMessages.FromString(whole).messages)

    @property
    def _is_full(self) -> bool:
        return len(self._events) >= EVENTS_MAX or self._bytes >= EVENT_BYTES_MAX

    def _receive(self, node: str, messages: Iterable[pb.ChannelMessage]) -> None:
        for message in messages:
            if message.HasField("done"):
                self._done(node, message.done)
            elif message.HasField("gap"):
                self._emit_gap(f"{node}: {message.gap.text}")
            else:
                self._emit(_message_of(message))

    def _done(self, node: str, done: pb.Done) -> None:
        if done.error:
            self._refused(done)
            return
        if done.id == self._again:
            self.node = node
            self._failures = 0
            self._avoided.pop(node, None)
            if self._was_up and any(self._told):
                self._emit_gap(self._why)
            self._was_up = True
        self._parts.pop(done.id, None)
        for ask in self._sent.pop(done.id, ()):
            self._tell(ask)

    def _refused(self, done: pb.Done) -> None:
        """By this node, as by any other."""
        if done.id in self._parts:
            self._parts.pop(done.id).fail(Refused(done.error))
        elif done.id > self._again and done.id in self._sent:
            for ask in self._sent.pop(done.id):
                ask.fail(Refused(done.error))
        else:
            raise LinkBroken(done.error)  # It does not get what it had: elsewhere, or later.

    def _tell(self, ask: Ask) -> None:
        """It is effective."""
        if not ask.future.done():
            ask.future.set_result(None)
        if ask.type == "pong":
            self._emit(Event("pong", None, None, ask.ping))
            return
        told = self._told[ask.kind]
        for name in ask.names:
            if ask.type in ON:
                told[name] = None
            else:
                told.pop(name, None)
            if ask.type:
                self._emit(Event(ask.type, None, name, self._count(ask.kind)))
        if not ask.names and ask.type:
            self._emit(Event(ask.type, None, None, self._count(ask.kind)))

    def _count(self, kind: int) -> int:
        """As SUBSCRIBE answers: channels and patterns together, shard channels by themselves."""
        if kind == SHARD_CHANNELS:
            return len(self._told[SHARD_CHANNELS])
        return len(self._told[CHANNELS]) + len(self._told[PATTERNS])

    def _emit_gap(self, why: str) -> None:
        log.warning("messages_may_be_missing reason=%s", why)
        self._emit(Event("gap", None, None, why))

    def _emit(self, event: Event) -> None:
        self._events.append(event)
        self._bytes += _size(event)
        self._arrived.set()


def _size(event: Event) -> int:
    """Its bytes, about."""
    return 100 + (len(event.data) if isinstance(event.data, bytes) else 0)


def _message_of(message: pb.ChannelMessage) -> Event:
    if message.HasField("pattern"):
        return Event(MESSAGES[PATTERNS], message.pattern, message.channel, message.data)
    kind = SHARD_CHANNELS if message.is_shard else CHANNELS
    return Event(MESSAGES[kind], None, message.channel, message.data)


def _field_of(names: pb.Names, kind: int) -> Any:
    return (names.channels, names.patterns, names.shard_channels)[kind]


def _pieces(names: Iterable[bytes]) -> list[list[bytes]]:
    """As requests may hold them."""
    found: list[list[bytes]] = []
    size = NAMES_BYTES_MAX
    for name in names:
        if size + len(name) >= NAMES_BYTES_MAX or len(found[-1]) >= NAMES_MAX:
            found.append([])
            size = 0
        found[-1].append(name)
        size += len(name)
    return found
