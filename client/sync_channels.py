"""Channels and streams without asyncio: `pubsub.py` and `stream.py` do it, on the client's loop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any  # Any: what handlers take and give, and fields of entries.

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from .pubsub import Handler, Message, PubSub
    from .stream import Entry, Group, Stream
    from .sync import SyncClient


class SyncPubSub:
    """Made by `SyncClient.pubsub`; `trimaran.client.pubsub.PubSub` does the work. Handlers are
    called by the thread that asks for messages."""

    def __init__(self, client: SyncClient, pubsub: PubSub) -> None:
        self._client = client
        self._pubsub = pubsub
        self.encoder = pubsub.encoder
        self.channels = pubsub.channels
        self.patterns = pubsub.patterns
        self.shard_channels = pubsub.shard_channels
        self._is_subscribed = threading.Event()  # For who waits for that.

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """As `PubSub.aclose`."""
        if not self._client._client._home.is_closed:
            self._client._run(self._pubsub.aclose())

    def reset(self) -> None:
        """As `close`."""
        self.close()

    @property
    def subscribed(self) -> bool:
        """As `PubSub.subscribed`."""
        return self._pubsub.subscribed

    @property
    def gaps(self) -> int:
        """As `PubSub.gaps`."""
        return self._pubsub.gaps

    @property
    def node(self) -> str:
        """As `PubSub.node`."""
        return self._pubsub.node

    def subscribe(self, *args: Any, **kwargs: Handler) -> None:
        """As `PubSub.subscribe`; handlers are no coroutines."""
        self._client._run(self._pubsub.subscribe(*args, **kwargs))
        self._is_subscribed.set()

    def psubscribe(self, *args: Any, **kwargs: Handler) -> None:
        """As `PubSub.psubscribe`."""
        self._client._run(self._pubsub.psubscribe(*args, **kwargs))
        self._is_subscribed.set()

    def ssubscribe(self, *args: Any, target_node: Any = None, **kwargs: Handler) -> None:
        """As `PubSub.ssubscribe`."""
        self._client._run(self._pubsub.ssubscribe(*args, **kwargs))
        self._is_subscribed.set()

    def unsubscribe(self, *args: Any) -> None:
        """As `PubSub.unsubscribe`."""
        self._client._run(self._pubsub.unsubscribe(*args))

    def punsubscribe(self, *args: Any) -> None:
        """As `PubSub.punsubscribe`."""
        self._client._run(self._pubsub.punsubscribe(*args))

    def sunsubscribe(self, *args: Any, target_node: Any = None) -> None:
        """As `PubSub.sunsubscribe`."""
        self._client._run(self._pubsub.sunsubscribe(*args))

    def ping(self, message: Any = None) -> bool:
        """As `PubSub.ping`."""
        return self._client._run(self._pubsub.ping(message))

    def get_message(
        self,
        ignore_subscribe_messages: bool = False,  # noqa: FBT001, FBT002 - redis-py's.
        timeout: float | None = 0.0,
    ) -> Message | None:
        """As `PubSub.get_message`, but before the first subscription it waits for that, too."""
        pubsub = self._pubsub
        if not self.subscribed:
            until = None if timeout is None else time.monotonic() + timeout
            if not self._wait_until_subscribed(timeout):
                return None
            timeout = None if until is None else max(0.0, until - time.monotonic())
        event = self._client._run(pubsub.next_event(timeout))
        if event is None:
            return None
        message, handler = pubsub.read(event, ignore_subscribe_messages=ignore_subscribe_messages)
        if handler is None or message is None:
            return message
        handler(message)
        return None

    def _wait_until_subscribed(self, timeout_s: float | None) -> bool:
        self._is_subscribed.clear()
        return self.subscribed or self._is_subscribed.wait(timeout_s)

    get_sharded_message = get_message  # redis-py's other name for it, in a cluster.

    def listen(self) -> Iterator[Message]:
        """All messages, as long as there are subscriptions."""
        while self.subscribed:
            message = self.get_message(timeout=None)
            if message is not None:
                yield message

    def __iter__(self) -> Iterator[Message]:
        """As `listen`."""
        return self.listen()

    def run_in_thread(
        self,
        sleep_time: float = 0.0,
        daemon: bool = False,  # noqa: FBT001, FBT002 - redis-py's order.
        exception_handler: Callable[..., None] | None = None,
        pubsub: Any = None,
        sharded_pubsub: bool = False,  # noqa: FBT001, FBT002
    ) -> Worker:
        """Give messages to their handlers in a thread, which is started; its `stop()` ends it and
        closes this. `sleep_time` is how many seconds it waits for each: the longer, the fewer
        turns of its loop. Raises PubSubError if a subscription has no handler."""
        self._pubsub.check_handlers()
        worker = Worker(pubsub or self, sleep_time, exception_handler, daemon=daemon)
        worker.start()
        return worker


class Worker(threading.Thread):
    """Started by `SyncPubSub.run_in_thread`."""

    def __init__(
        self,
        pubsub: SyncPubSub,
        sleep_time: float,
        exception_handler: Callable[..., None] | None,
        *,
        daemon: bool,
    ) -> None:
        super().__init__(name="trimaran-pubsub", daemon=daemon)
        self.pubsub = pubsub
        self._sleep_time_s = sleep_time
        self._exception_handler = exception_handler
        self._is_stopped = threading.Event()

    def run(self) -> None:
        while not self._is_stopped.is_set():
            try:
                self.pubsub.get_message(ignore_subscribe_messages=True, timeout=self._sleep_time_s)
            except BaseException as error:
                if self._exception_handler is None:
                    raise
                self._exception_handler(error, self.pubsub, self)
        self.pubsub.close()

    def stop(self) -> None:
        """Have it end, and close its subscriber; `join` waits for that."""
        self._is_stopped.set()


class SyncStream:
    """Made by `SyncClient.stream`; `trimaran.client.stream.Stream` does the work."""

    def __init__(self, client: SyncClient, stream: Stream) -> None:
        self._client = client
        self._stream = stream
        self.name = stream.name

    def publish(self, fields: Mapping[Any, Any], **options: Any) -> Any:
        """As `Stream.publish`."""
        return self._client._run(self._stream.publish(fields, **options))

    def follow(self, last_id: Any = "$", *, count: int = 100) -> Iterator[Entry]:
        """As `Stream.follow`."""
        return self._client._each(self._stream.follow(last_id, count=count))

    def group(self, name: str, consumer: str | None = None, **options: Any) -> SyncGroup:
        """As `Stream.group`."""
        return SyncGroup(self._client, self._stream.group(name, consumer, **options))


class SyncGroup:
    """Made by `SyncStream.group`: `for entry in group`, and `group.ack(entry)` when it is done."""

    def __init__(self, client: SyncClient, group: Group) -> None:
        self._client = client
        self._group = group
        self.name = group.name
        self.consumer = group.consumer

    def __iter__(self) -> Iterator[Entry]:
        """As iterating over a `Group`."""
        return self._client._each(aiter(self._group))

    def ack(self, entry: Entry) -> bool:
        """As `GroupEntry.ack`, which is for asyncio alone."""
        return self._client._run(self._group.ack(entry))
