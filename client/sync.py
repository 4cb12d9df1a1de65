"""`trimaran.SyncClient`: the same client for code without asyncio, on a loop in its own thread.

No second implementation: what it does is done by a `Client` on that loop, which is made when it is
first needed, in each process. Usable from any number of threads.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, Literal, TypeVar  # Any: redis-py's options and replies.

from redis.commands import CoreCommands, RedisModuleCommands
from redis.exceptions import WatchError

from .client import Client
from .errors import ClientClosed

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from .client import Home
    from .core import Core
    from .pipeline import Pipeline
    from .router import RouterStats
    from .sync_channels import SyncPubSub, SyncStream
    from .topology import TopologyView

QUIET_S = 0.02  # From the last call of gRPC to a fork.
SETTLE_S = 0.1  # Between going on after a fork and stopping for the next one.

T = TypeVar("T")


async def _next_of(found: AsyncIterator[T]) -> T:
    return await anext(found)


async def _left(core: Core | None) -> None:
    """The end of a loop whose client is gone."""
    if core is not None:
        await core.close()
    asyncio.get_running_loop().stop()


async def _suspended(core: Core) -> None:
    await core.suspend()
    # What gRPC still has to say to the loop of calls that are closed keeps them alive.
    await asyncio.sleep(QUIET_S)


class LoopThread:
    """A loop in a daemon thread: of this process, made when it is first asked for.

    gRPC does not outlive a fork while it is in use. So while a process forks the client leaves it
    alone (`home` says what that is), and goes on in the parent; the child begins anew.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        home.is_left_open = True  # It is closed with this.
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._calls: set[object] = set()  # Those that wait for what they run.
        self._resumed_at = 0.0
        self.is_paused = False
        self._is_left = threading.Event()  # Nobody has the client any more.
        _THREADS.add(self)

    def __del__(self) -> None:
        """It was not closed: what it has open ends some time, in its own thread."""
        loop, core = self._loop, self._home.started
        if sys.is_finalizing() or loop is None or self._pid != os.getpid():
            return
        if self.is_paused:
            loop.close()
        elif self._thread is not None:
            self._is_left.set()
            asyncio.run_coroutine_threadsafe(_left(core), loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns or raises, from the loop. Raises RuntimeError on the loop itself."""
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError(
                "called by a callback or a finalizer that runs on the client's own loop,"
                " which cannot wait for itself"
            )
        call = object()
        self._calls.add(call)  # First, so that whoever forks now knows that somebody waits.
        try:
            future = asyncio.run_coroutine_threadsafe(work, self._started())
            try:
                return future.result()
            except BaseException:
                future.cancel()  # KeyboardInterrupt while it waits: nobody wants it any more.
                raise
        finally:
            self._calls.discard(call)

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is None or self.is_paused or self._pid != os.getpid():
            if self._pid != os.getpid():
                self._lock = threading.Lock()  # In a child it may be held by nobody that is left.
                self._loop = None
                self.is_paused = False
            with self._lock:
                if self._loop is None:
                    self._start()
                elif self.is_paused:
                    self._go_on()
        assert self._loop is not None
        return self._loop

    def _start(self) -> None:
        loop = asyncio.new_event_loop()
        self._serve(loop)
        self._loop, self._pid = loop, os.getpid()

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run `loop` in a thread, until it is stopped."""
        ready = threading.Event()
        is_left = self._is_left

        def serve() -> None:  # Without `self`, or it would never be gone.
            asyncio.set_event_loop(loop)
            loop.call_soon(ready.set)
            loop.run_forever()
            if is_left.is_set():
                loop.close()

        self._thread = threading.Thread(target=serve, name="trimaran-client", daemon=True)
        self._thread.start()
        ready.wait()

    @property
    def _is_running(self) -> bool:
        return self._loop is not None and self._thread is not None and self._pid == os.getpid()

    def _halt(self) -> asyncio.AbstractEventLoop:
        loop, thread = self._loop, self._thread
        assert loop is not None
        assert thread is not None
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        self._thread = None
        return loop

    def stop(self) -> None:
        """End it, if it was started in this process."""
        if self._is_running:
            self._halt().close()
        elif self._loop is not None and self.is_paused and self._pid == os.getpid():
            self._loop.close()
        self._loop = self._thread = None
        self.is_paused = False

    # --- Forks.

    def pause(self) -> None:
        """Before a fork: nothing of gRPC is in use from here on; who waits waits on."""
        core = self._home.started
        is_another = threading.current_thread() is not self._thread
        if self._is_running and core is not None and is_another:
            # A connection that is not made yet when it is closed keeps gRPC's threads busy.
            time.sleep(max(0.0, self._resumed_at + SETTLE_S - time.monotonic()))
            self.run(_suspended(core))
            self._halt()
            self.is_paused = True

    def resume(self) -> None:
        """Behind a fork, in the parent: go on if somebody waits, otherwise with the next command.
        So who forks one worker after the other pauses once."""
        core = self._home.started
        if self.is_paused and core is not None and (self._calls or core.subscriptions):
            with self._lock:
                if self.is_paused:
                    self._go_on()

    def _go_on(self) -> None:
        core = self._home.started
        assert core is not None
        assert self._loop is not None
        self._resumed_at = time.monotonic()
        self._loop.call_soon(core.resume)
        self._serve(self._loop)
        self.is_paused = False


_THREADS: weakref.WeakSet[LoopThread] = weakref.WeakSet()


def _before_fork() -> None:
    threads = list(_THREADS)
    for thread in threads:
        thread.pause()
    if any(thread.is_paused for thread in threads):
        gc.collect()  # gRPC ends its own thread when its last channel is really gone.


def _after_fork() -> None:
    for thread in list(_THREADS):
        thread.resume()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork)


class SyncClient(RedisModuleCommands, CoreCommands):
    """A client of a cluster, without asyncio: the methods of `redis.Redis`.

    Options, errors and promises are those of `trimaran.Client`.
    """

    _event_dispatcher: Any = None  # What redis-py's methods are declared to need.
    _is_async_client: Literal[False] = False  # By which redis-py types its methods.

    def __init__(self, *addresses: str, **options: Any) -> None:
        """As `trimaran.Client`."""
        client = Client(*addresses, **options)
        self.set_up(client, LoopThread(client._home))

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Self:
        """As `trimaran.Client.from_url`."""
        client = cls.__new__(cls)
        inner = Client.from_url(url, **options)
        client.set_up(inner, LoopThread(inner._home))
        return client

    def set_up(self, client: Client, thread: LoopThread) -> None:
        """Of this package alone: have `client` do the work, in `thread`."""
        self._client = client
        self._thread = thread
        self.response_callbacks = client.response_callbacks

    def __repr__(self) -> str:
        return repr(self._client).replace("trimaran.Client", "trimaran.SyncClient")

    # --- Its life.

    def __enter__(self) -> Self:
        try:
            self._run(self._client.initialize())
        except BaseException:
            self.close()  # Nobody has it who could.
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; what other threads wait for ends as `Client.aclose` says."""
        home = self._client._home
        if home.started is not None:
            self._run(self._client.aclose())
        home.is_closed = True
        self._thread.stop()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._thread.run(work)

    # --- Views.

    def stale(self, max_age_ms: int) -> Self:
        """As `Client.stale`."""
        return self._view(self._client.stale(max_age_ms))

    def with_timeout(self, timeout: float) -> Self:
        """As `Client.with_timeout`."""
        return self._view(self._client.with_timeout(timeout))

    def _view(self, client: Client) -> Self:
        view = type(self).__new__(type(self))
        view.set_up(client, self._thread)
        return view

    # --- What redis-py's own parts ask of a client.

    def get_encoder(self) -> Any:
        """What turns arguments into bytes."""
        return self._client.get_encoder()

    def set_response_callback(self, command: str, callback: Callable[..., Any]) -> None:
        """Have `callback` make the answer of a command from its reply."""
        self._client.set_response_callback(command, callback)

    def get_connection_kwargs(self) -> dict[str, Any]:
        """How this client is set, under redis-py's names."""
        return self._client.get_connection_kwargs()

    @property
    def stats(self) -> RouterStats:
        """As `Client.stats`."""
        return self._client.stats

    # --- Commands.

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """As `Client.execute_command`, and waits."""
        if self._client._home.is_closed:
            raise ClientClosed("this client is closed")
        return self._run(self._client.execute_command(*args, **options))

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> SyncPipeline:  # noqa: FBT001, FBT002
        """As `Client.pipeline`."""
        return SyncPipeline(self, self._client.pipeline(transaction))

    def transaction(
        self,
        func: Callable[[SyncPipeline], Any],
        *watches: Any,
        shard_hint: str | None = None,
        value_from_callable: bool = False,
        watch_delay: float | None = None,
    ) -> Any:
        """As `Client.transaction`; `func` is no coroutine."""
        with self.pipeline() as pipe:
            while True:
                try:
                    if watches:
                        pipe.watch(*watches)
                    value = func(pipe)
                    replies = pipe.execute()
                except WatchError:
                    pipe.reset()
                    if watch_delay is not None and watch_delay > 0:
                        threading.Event().wait(watch_delay)
                    continue
                return value if value_from_callable else replies

    def pubsub(self, **kwargs: Any) -> SyncPubSub:
        """As `Client.pubsub`."""
        from .sync_channels import SyncPubSub

        return SyncPubSub(self, self._client.pubsub(**kwargs))

    def stream(self, name: Any) -> SyncStream:
        """As `Client.stream`."""
        from .sync_channels import SyncStream

        return SyncStream(self, self._client.stream(name))

    def _each(self, found: AsyncIterator[T]) -> Iterator[T]:
        """What an asynchronous iterator gives, as it is asked for."""
        while True:
            try:
                yield self._run(_next_of(found))
            except StopAsyncIteration:
                return

    def lock(
        self,
        name: Any,
        timeout: float | None = None,
        sleep: float = 0.1,
        blocking: bool = True,  # noqa: FBT001, FBT002 - redis-py's order.
        blocking_timeout: float | None = None,
        lock_class: type[Any] | None = None,
        thread_local: bool = True,  # noqa: FBT001, FBT002
        raise_on_release_error: bool = True,  # noqa: FBT001, FBT002
    ) -> Any:
        """A lock under the key `name`, as `redis.Redis.lock` gives it."""
        if lock_class is None:
            from redis.lock import Lock

            lock_class = Lock
        return lock_class(
            self,
            name,
            timeout=timeout,
            sleep=sleep,
            blocking=blocking,
            blocking_timeout=blocking_timeout,
            thread_local=thread_local,
            raise_on_release_error=raise_on_release_error,
        )

    def register_script(self, script: Any) -> Any:
        """As `redis.Redis.register_script`."""
        from .scripts import Script

        return Script(self, script)  # type: ignore[arg-type]  # It names its own.

    def topology(self) -> TopologyView:
        """As `Client.topology`."""
        return self._run(self._client.topology())


class SyncPipeline(RedisModuleCommands, CoreCommands):
    """Made by `SyncClient.pipeline`; `trimaran.client.pipeline.Pipeline` does the work."""

    _event_dispatcher: Any = None
    _is_async_client: Literal[False] = False  # By which redis-py types its methods.

    def __init__(self, client: SyncClient, pipeline: Pipeline) -> None:
        self._client = client
        self._pipeline = pipeline
        self.response_callbacks = client.response_callbacks

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.reset()

    def __len__(self) -> int:
        return len(self._pipeline)

    def __bool__(self) -> bool:
        """An empty pipeline is one, too."""
        return True

    @property
    def command_stack(self) -> list[Any]:
        """What is collected: pairs of arguments and options."""
        return self._pipeline.command_stack

    @property
    def scripts(self) -> set[Any]:
        """Registered scripts that are among the commands."""
        return self._pipeline.scripts

    @property
    def watching(self) -> bool:
        return self._pipeline.watching

    @property
    def explicit_transaction(self) -> bool:
        return self._pipeline.explicit_transaction

    def get_encoder(self) -> Any:
        """That of the client."""
        return self._client.get_encoder()

    def get_connection_kwargs(self) -> dict[str, Any]:
        """Those of the client."""
        return self._client.get_connection_kwargs()

    def register_script(self, script: Any) -> Any:
        """A script that, called without `client`, is collected here."""
        from .scripts import Script

        return Script(self, script)  # type: ignore[arg-type]  # It names its own.

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Collect a command, or run it at once between `watch` and `multi`."""
        pipeline = self._pipeline
        is_watch = args[0] in ("WATCH", "UNWATCH")
        if (pipeline.watching or is_watch) and not pipeline.explicit_transaction:
            return self.immediate_execute_command(*args, **options)
        return self.pipeline_execute_command(*args, **options)

    def pipeline_execute_command(self, *args: Any, **options: Any) -> Self:
        """Collect a command; the pipeline itself, so that calls can be chained."""
        self._pipeline.pipeline_execute_command(*args, **options)
        return self

    def immediate_execute_command(self, *args: Any, **options: Any) -> Any:
        """Run a command now, whatever is collected."""
        return self._client._run(self._pipeline.immediate_execute_command(*args, **options))

    def multi(self) -> None:
        """As `Pipeline.multi`."""
        self._pipeline.multi()

    def watch(self, *names: Any) -> Any:
        """As `Pipeline.watch`."""
        return self._client._run(self._pipeline.watch(*names))

    def unwatch(self) -> Any:
        """Watch nothing any more."""
        return self._client._run(self._pipeline.unwatch())

    def discard(self) -> None:
        """Forget what is collected and watched."""
        self.reset()

    def reset(self) -> None:  # type: ignore[override]  # As redis-py's own pipeline.
        """Forget what is collected and watched."""
        self._client._run(self._pipeline.reset())

    def close(self) -> None:
        """As `reset`; the client stays open."""
        self.reset()

    def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002
        """As `Pipeline.execute`."""
        return self._client._run(self._pipeline.execute(raise_on_error))

    def load_scripts(self) -> None:
        """As `Pipeline.load_scripts`."""
        self._client._run(self._pipeline.load_scripts())
