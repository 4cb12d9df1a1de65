"""Channels as redis-py's users know them, over a stream that finds another node when its own dies.

Messages are dicts as `redis.asyncio`'s PubSub gives them. They come at most once and in order of
their publisher; where some may be missing a `Gap` stands in the stream, if the caller wants to see
it, and is counted and logged in any case. Read `channels.py` next.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any  # Any: what handlers take and give.

from redis.exceptions import PubSubError

from .channels import CHANNELS, MESSAGES, OFF, ON, PATTERNS, SHARD_CHANNELS, Event, Subscription

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from .client import Client

Message = dict[str, Any]
Handler = Callable[[Message], Any]
Handlers = dict[Any, Handler | None]  # By name: bytes, or str where replies are decoded.

_NOT_CONNECTED = "pubsub connection not set: did you forget to call subscribe() or psubscribe()?"


class Gap(dict[str, Any]):
    """Stands in a stream of messages where some may be missing: those published since the one
    before it. What comes after it is complete again, until the next.

    A message like others, of the type "gap"; `data` says why.
    """

    @property
    def reason(self) -> str:
        return str(self["data"])


class PubSub:
    """Made by `Client.pubsub`. One subscriber: its channels, and the messages that came for it.

    It is connected with its first subscription, to a node of the client's zone if one can be
    reached, and to another one when that fails: nothing is to be done for that, and subscriptions
    stay. For use by one task at a time that reads, and any number that subscribe.
    """

    def __init__(
        self,
        client: Client,
        *,
        shard_hint: str | None = None,
        ignore_subscribe_messages: bool = False,
        gaps: bool = False,
    ) -> None:
        self.ignore_subscribe_messages = ignore_subscribe_messages
        self.encoder = client.get_encoder()
        self.gaps = 0  # How often messages may have been missed.
        self.channels: Handlers = {}
        self.patterns: Handlers = {}
        self.shard_channels: Handlers = {}
        self._shows_gaps = gaps
        self._client = client
        self._handlers = (self.channels, self.patterns, self.shard_channels)
        # Given up, and still told of.
        self._leaving: tuple[set[Any], ...] = (set(), set(), set())
        self._subscription: Subscription | None = None

    # --- Its life.

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Give up all subscriptions, and what came and was not taken. It can be used again."""
        subscription, self._subscription = self._subscription, None
        for handlers, leaving in zip(self._handlers, self._leaving, strict=True):
            handlers.clear()
            leaving.clear()
        if subscription is not None and subscription.core is self._client._home.started:
            await subscription.close()

    async def close(self) -> None:
        """As `aclose`."""
        await self.aclose()

    def __del__(self) -> None:
        """Nobody can take its messages any more: its stream ends."""
        subscription: Subscription | None = getattr(self, "_subscription", None)
        if subscription is not None and subscription.core is self._client._home.started:
            subscription.abandon()

    async def reset(self) -> None:
        """As `aclose`."""
        await self.aclose()

    async def connect(self) -> None:
        """Have a stream; subscribing does so by itself."""
        self._stream()

    def _stream(self) -> Subscription:
        """The subscription, of this process and this loop. Raises ClientClosed."""
        core = self._client._home.core()
        before = self._subscription
        if before is None:
            self._subscription = Subscription(core)
        elif before.core is not core:
            self._subscription = Subscription(core, before.wanted, was_up=True)
        assert self._subscription is not None
        return self._subscription

    @property
    def subscribed(self) -> bool:
        """Whether there are subscriptions, or their ends have not been told yet."""
        return any(self._handlers)

    @property
    def node(self) -> str:
        """The node that the messages come from; empty while none is connected."""
        return "" if self._subscription is None else self._subscription.node

    # --- Subscribing.

    async def subscribe(self, *args: Any, **kwargs: Handler) -> None:
        """Listen to channels; with keyword arguments, or redis-py's Subscription, messages go to
        handlers instead of to whoever asks for them.

        Done when it is effective: what is published from then on, on any node, comes. Raises
        NotApplied if that was not so within the client's time-out, Refused over the node's limit.
        """
        await self._subscribe(CHANNELS, args, kwargs)

    async def psubscribe(self, *args: Any, **kwargs: Handler) -> None:
        """Listen to all channels that match patterns; otherwise as `subscribe`."""
        await self._subscribe(PATTERNS, args, kwargs)

    async def ssubscribe(self, *args: Any, target_node: Any = None, **kwargs: Handler) -> None:
        """Listen to shard channels; otherwise as `subscribe`. `target_node` changes nothing."""
        await self._subscribe(SHARD_CHANNELS, args, kwargs)

    async def _subscribe(
        self, kind: int, args: tuple[Any, ...], handlers: Mapping[str, Handler]
    ) -> None:
        given = _subscriptions_of(args, handlers)
        names = [self.encoder.encode(name) for name in given]
        if not names:
            return
        fresh = self._normal(given)
        known = self._handlers[kind]
        before = {name: known[name] for name in fresh if name in known}
        known.update(fresh)
        self._leaving[kind].difference_update(fresh)
        try:
            await self._stream().ask(kind, names, self._client._options.timeout)
        except Exception:
            for name in fresh:
                known.pop(name, None)
            known.update(before)
            raise

    def _normal(self, names: Mapping[Any, Any]) -> Handlers:
        """By names as messages have them."""
        encode, decode = self.encoder.encode, self.encoder.decode
        return {decode(encode(name)): handler for name, handler in names.items()}

    async def unsubscribe(self, *args: Any) -> None:
        """Stop listening to channels; without names to all. Told in the stream when it is so."""
        await self._unsubscribe(CHANNELS, args)

    async def punsubscribe(self, *args: Any) -> None:
        """As `unsubscribe`, of patterns."""
        await self._unsubscribe(PATTERNS, args)

    async def sunsubscribe(self, *args: Any, target_node: Any = None) -> None:
        """As `unsubscribe`, of shard channels."""
        await self._unsubscribe(SHARD_CHANNELS, args)

    async def _unsubscribe(self, kind: int, args: tuple[Any, ...]) -> None:
        given = _subscriptions_of(args, {})
        names = [self.encoder.encode(name) for name in given]
        if not given:
            names = list(self._stream().wanted[kind])
        leaving = self._normal(dict.fromkeys(names)) if given else self._handlers[kind]
        self._leaving[kind].update(leaving)
        await self._stream().ask(kind, names, self._client._options.timeout, is_off=True)

    async def ping(self, message: Any = None) -> bool:
        """Have the node answer with a message of the type "pong"."""
        self._stream().ping(b"" if message is None else self.encoder.encode(message))
        return True

    # --- Messages.

    async def get_message(
        self,
        ignore_subscribe_messages: bool = False,  # noqa: FBT001, FBT002 - redis-py's.
        timeout: float | None = 0.0,  # noqa: ASYNC109 - redis-py's.
    ) -> Message | None:
        """The next message, or None: if there is none within `timeout` seconds (None: for ever),
        or if a handler took it. Raises RuntimeError before the first subscription, and ClientClosed
        when the client is closed."""
        event = await self.next_event(timeout)
        if event is None:
            return None
        message, handler = self.read(event, ignore_subscribe_messages=ignore_subscribe_messages)
        if handler is None or message is None:
            return message
        done = handler(message)
        if inspect.isawaitable(done):
            await done
        return None

    async def next_event(self, timeout_s: float | None) -> Event | None:
        """Of this package alone: what came, unread."""
        if self._subscription is None:
            raise RuntimeError(_NOT_CONNECTED)
        return await self._stream().take(timeout_s)

    def read(
        self, event: Event, *, ignore_subscribe_messages: bool
    ) -> tuple[Message | None, Handler | None]:
        """Of this package alone: the message that an event means, and the handler it is for."""
        kind = event.type
        if kind == "gap":
            self.gaps += 1
            gap = Gap(type="gap", pattern=None, channel=None, data=event.data)
            return (gap if self._shows_gaps else None), None
        decode = self.encoder.decode
        pattern, channel, data = event.pattern, event.channel, event.data
        message = {
            "type": kind,
            "pattern": None if pattern is None else decode(pattern),
            "channel": None if channel is None else decode(channel),
            "data": decode(data),
        }
        if kind in MESSAGES:
            name = message["channel"] if pattern is None else message["pattern"]
            return message, self._handlers[MESSAGES.index(kind)].get(name)
        if kind in OFF:
            place = OFF.index(kind)
            name = message["channel"]
            if name in self._leaving[place]:
                self._leaving[place].discard(name)
                self._handlers[place].pop(name, None)
        is_told = kind in ON or kind in OFF
        if is_told and (ignore_subscribe_messages or self.ignore_subscribe_messages):
            return None, None
        return message, None

    async def listen(self) -> AsyncIterator[Message]:
        """All messages, as long as there are subscriptions."""
        while self.subscribed:
            message = await self.get_message(timeout=None)
            if message is not None:
                yield message

    def __aiter__(self) -> AsyncIterator[Message]:
        """As `listen`."""
        return self.listen()

    async def run(
        self,
        *,
        exception_handler: Callable[[BaseException, PubSub], Any] | None = None,
        poll_timeout: float | None = 1.0,
        pubsub: PubSub | None = None,
    ) -> None:
        """Give messages to their handlers until the task is cancelled. Raises PubSubError if a
        subscription has none."""
        self.check_handlers()
        while True:
            try:
                await (pubsub or self).get_message(
                    ignore_subscribe_messages=True, timeout=poll_timeout
                )
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                if exception_handler is None:
                    raise
                done = exception_handler(error, self)
                if inspect.isawaitable(done):
                    await done
            await asyncio.sleep(0)

    def check_handlers(self) -> None:
        """Of this package alone: raises PubSubError if a subscription has no handler."""
        for what, handlers in zip(
            ("Channel", "Pattern", "Shard Channel"), self._handlers, strict=True
        ):
            for name, handler in handlers.items():
                if handler is None:
                    raise PubSubError(f"{what}: '{name}' has no handler registered")


def _subscriptions_of(args: tuple[Any, ...], handlers: Mapping[str, Handler]) -> Handlers:
    """Names, one list of them first if there is one, and redis-py's Subscription objects."""
    if args and isinstance(args[0], list | tuple | set | frozenset):
        args = (*args[0], *args[1:])
    found: Handlers = {}
    for one in args:
        if hasattr(one, "handler"):
            found[one.name] = one.handler
        else:
            found[one] = None
    found.update(handlers)
    return found
