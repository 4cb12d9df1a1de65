"""`trimaran.Client`: redis-py's commands over a client that knows the cluster.

Commands go to the leader of their key's shard, those of one moment in one message; a write is sent
again under its session until its fate is known, and applied once. What redis-py offers beside
commands (pipelines, locks, scripts) works the same way here. Read `core.py` and `router.py` next.
"""

from __future__ import annotations

import asyncio
import os
import warnings
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal  # Any: redis-py's options and replies.

from redis.commands import AsyncCoreCommands, AsyncRedisModuleCommands
from redis.exceptions import DataError, WatchError

from ..cluster.routing import join_split
from ..proto.requests import encode_command, outcome_of
from .batch import ANYWHERE
from .blocking import carry_out, wait_of
from .errors import ClientClosed, error_of, instead_of
from .options import Options, options_of, options_of_url, with_reads, with_timeout
from .redis_py import EMPTY_RESPONSE, NEVER_DECODE, callbacks_for, wire_of
from .replies import ReplyReader
from .router import RouterConfig, RouterStats
from .routes import parts_of, route_of, shard_for
from .telemetry import telemetry_of
from .words import Encoder

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from ..cluster.routing import Part
    from .core import Core
    from .pipeline import Pipeline
    from .pubsub import PubSub
    from .routes import ClientRoute
    from .stream import Stream
    from .telemetry import Telemetry
    from .topology import TopologyView


# gRPC's documented default; without it its C core prints a line whenever a node is stopped.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # noqa: TID251 - set for a library, not read.

_LEFT_BEHIND: list[Core] = []


def _stats_of(home: Home | None) -> RouterStats:
    return home.stats if home is not None else RouterStats()


class Home:
    """What a client and its views, pipelines and subscriptions share: one core per process."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.is_closed = False
        self.is_left_open = False  # Nobody is told if it is.
        home = weakref.ref(self)  # Who asks for counts may ask for ever.
        self.telemetry = telemetry_of(lambda: _stats_of(home()))
        self._core: Core | None = None
        self._pid = 0

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        core = None if self.is_closed or self.is_left_open else self.started
        if core is not None and not core.loop.is_closed():
            name = f"<trimaran.Client({','.join(self.options.addresses)})>"
            _warn(f"{name} was not closed: await aclose()", ResourceWarning, source=self)

    def core(self) -> Core:
        """That of this process and this loop; made when it is first asked for.

        A process that was forked gets a new one, and so does a new loop once the one before is
        closed. Raises ClientClosed; RuntimeError on a second loop beside a running one, and in a
        process that was forked by a coroutine, which gRPC does not outlive.
        """
        if self.is_closed:
            raise ClientClosed("this client is closed")
        core = self._core
        if core is not None and self._pid == os.getpid():
            if core.loop is asyncio.get_running_loop():
                return core
            if not core.loop.is_closed():
                raise RuntimeError(
                    "this client is in use on another event loop: make one client per loop"
                )
        elif core is not None and not (core.is_suspended or core.is_closed):
            raise RuntimeError(
                "this process was forked while the client was in use, which gRPC does not outlive:"
                " fork before its first command, or use SyncClient"
            )
        options = self.options
        config = RouterConfig(
            timeout_s=options.timeout,
            session_timeout_ms=round(options.session_timeout * 1000),
            pending_max=options.pending_max,
            pending_bytes_max=options.pending_bytes_max,
            zone=options.zone,
        )
        if core is not None and self._pid != os.getpid():
            # Of the process this one was forked from: what hangs on it is not ours to end.
            _LEFT_BEHIND.append(core)
        from .core import Core  # Not before gRPC is needed, nor before a server forks its workers.

        self._core = Core(options.addresses, options.metadata, config)
        self._pid = os.getpid()
        return self._core

    @property
    def started(self) -> Core | None:
        """The core of this process, if there is one."""
        return self._core if self._pid == os.getpid() else None

    @property
    def stats(self) -> RouterStats:
        """Counts of this process."""
        core = self.started
        return core.router.stats if core is not None else RouterStats()

    async def close(self) -> None:
        """Raises RuntimeError on another loop than the one it is in use on."""
        core = self.started
        is_open = core is not None and not core.loop.is_closed()
        if core is not None and is_open and core.loop is not asyncio.get_running_loop():
            raise RuntimeError("this client is in use on another event loop: close it there")
        self.is_closed = True
        if core is not None and is_open:
            await core.close()


class Client(AsyncRedisModuleCommands, AsyncCoreCommands):  # type: ignore[misc]
    """A client of a cluster, for asyncio: the methods of `redis.asyncio.Redis`.

    Usable from any number of tasks of one loop, and after a fork. Every method that runs a command
    raises one of three errors (`trimaran.NotApplied`, `OutcomeUnknown`, `Refused`) or what redis-py
    raises for wrong arguments. Times are seconds unless a name says otherwise.
    """

    _event_dispatcher: Any = None  # What redis-py's methods are declared to need.
    _is_async_client: Literal[True] = True  # By which redis-py types its methods.

    def __init__(self, *addresses: str, **options: Any) -> None:
        """`addresses`: host:port of the gRPC ports of any nodes, by default 127.0.0.1:7381.

        Options, by name: `db` 0 to 15; `password`; `decode_responses`, `encoding`,
        `encoding_errors`; `protocol` 2 or 3 for the shapes of replies; `timeout`, the seconds that
        a command may take with its retries; `max_age_ms`, how old the state may be that reads see;
        `zone`; `session_timeout`; `pending_max`, `pending_bytes_max`. Nothing is connected yet.
        Raises DataError or TypeError for what is wrong.
        """
        self.set_up(Home(options_of(addresses, options)))

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Self:
        """A client of trimaran://[:password@]host:port[,host:port...][/db][?option=value&...].

        `options` count for what the URL does not say. Raises DataError.
        """
        client = cls.__new__(cls)
        client.set_up(Home(options_of_url(url, options)))
        return client

    def set_up(self, home: Home, options: Options | None = None) -> None:
        """Of this package alone: make it one of `home`."""
        self._home = home
        self._options = options = options or home.options
        self._encoder = Encoder(
            options.encoding, options.encoding_errors, decode_responses=options.decode_responses
        )
        encoding = options.encoding if options.decode_responses else None
        wire = wire_of(options.protocol)
        self._reader = ReplyReader(wire, error_of, encoding, options.encoding_errors)
        self._raw_reader = ReplyReader(wire, error_of)
        self.response_callbacks = callbacks_for(options.protocol)

    def __repr__(self) -> str:
        options = self._options
        return f"<trimaran.{type(self).__name__}({','.join(options.addresses)}, db={options.db})>"

    # --- Its life.

    async def initialize(self) -> Self:
        """Wait until the cluster is known. Raises NotApplied if no node answers in time."""
        await self._home.core().wait_until_ready(self._options.timeout)
        return self

    def __await__(self) -> Any:
        return self.initialize().__await__()

    async def __aenter__(self) -> Self:
        try:
            return await self.initialize()
        except BaseException:
            await self.aclose()  # Nobody has it who could.
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self, close_connection_pool: bool | None = None) -> None:  # noqa: FBT001
        """Close the connections; what waits gets ClientClosed, or OutcomeUnknown if it was sent.

        The argument is redis-py's and changes nothing. Views (`stale`, `with_timeout`) are closed
        with the client they come from, and closing one closes that.
        """
        await self._home.close()

    async def close(self, close_connection_pool: bool | None = None) -> None:  # noqa: FBT001
        """As `aclose`."""
        await self.aclose()

    # --- Views.

    def stale(self, max_age_ms: int) -> Self:
        """This client, with reads that may be answered from state so many milliseconds old, by the
        nearest replica. 0: linearizable. Writes are as ever."""
        return self._view(with_reads(self._options, max_age_ms))

    def with_timeout(self, timeout: float) -> Self:
        """This client, with another time-out for its commands, in seconds."""
        return self._view(with_timeout(self._options, timeout))

    def _view(self, options: Options) -> Self:
        view = type(self).__new__(type(self))
        view.set_up(self._home, options)
        view.response_callbacks = self.response_callbacks
        return view

    # --- What redis-py's own parts ask of a client.

    def get_encoder(self) -> Encoder:
        """What turns arguments into bytes."""
        return self._encoder

    def set_response_callback(self, command: str, callback: Callable[..., Any]) -> None:
        """Have `callback` make the answer of a command from its reply."""
        self.response_callbacks[command] = callback

    def get_connection_kwargs(self) -> dict[str, Any]:
        """How this client is set, under redis-py's names."""
        options = self._options
        return {
            "db": options.db,
            "encoding": options.encoding,
            "encoding_errors": options.encoding_errors,
            "decode_responses": options.decode_responses,
            "protocol": options.protocol,
        }

    @property
    def stats(self) -> RouterStats:
        """Counts since the connection: commands, messages, retries, how many ended unknown."""
        return self._home.stats

    # --- Commands.

    def execute_command(self, *args: Any, **options: Any) -> Coroutine[Any, Any, Any]:
        """Run a command and answer as redis-py does; its name may be two words.

        Raises Refused for an error reply, NotApplied if it surely had no effect within the
        time-out, OutcomeUnknown if that cannot be said; DataError for an argument of another type.
        """
        telemetry = self._home.telemetry
        if telemetry is None or not telemetry.is_heard:
            return self._execute(args, options)
        return self._told(telemetry, args, options)

    async def _told(
        self, telemetry: Telemetry, args: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        with telemetry.operation(str(args[0]), self._options.db):
            return await self._execute(args, options)

    async def _execute(self, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        core = self._home.core()
        view = core.router.view or await core.wait_until_ready(self._options.timeout)
        words = self._encoder.words(args)
        route = route_of(words)
        shard = shard_for(route, self._options.db, words, len(view.shards))
        parts: Sequence[Part] | None = None
        if shard == ANYWHERE and route.splits:
            parts = parts_of(route, self._options.db, words, len(view.shards))
        wait = wait_of(words) if route.may_block and shard != ANYWHERE else None
        if parts is not None:
            reply = await self._split(core, route, parts)
        elif wait is not None:
            reply = self._reader.read(await carry_out(core, self._options, shard, wait))
        else:
            result = await self._call(core, route, shard, words)
            reader = self._raw_reader if NEVER_DECODE in options else self._reader
            reply = reader.read(outcome_of(result))
        answer = self._answer(args[0], reply, options)
        # A callback may be a coroutine. `isawaitable` takes ten times as long.
        return await answer if hasattr(answer, "__await__") else answer

    def _call(
        self, core: Core, route: ClientRoute, shard: int, words: Sequence[bytes]
    ) -> asyncio.Future[bytes]:
        """Its result, gathered with the others of this turn."""
        future: asyncio.Future[bytes] = core.loop.create_future()
        options = self._options
        if route.is_over_all:  # Nothing else is to wait until the last shard has answered.
            batch = core.router.batch(
                shard,
                options.db,
                is_write=route.is_write,
                stale_ms=options.max_age_ms,
                timeout_s=options.timeout,
            )
            batch.add(encode_command(words), future)
            core.router.submit(batch)
            return future
        core.router.call(
            shard,
            options.db,
            encode_command(words),
            future,
            is_write=route.is_write,
            stale_ms=0 if route.is_write else options.max_age_ms,
            timeout_s=options.timeout,
        )
        core.flush_soon()
        return future

    async def _split(self, core: Core, route: ClientRoute, parts: Sequence[Part]) -> Any:
        """A command over several shards: atomic in each, and all of it or an error."""
        calls = [self._call(core, route, part.shard, part.args) for part in parts]
        results = await asyncio.gather(*calls, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        replies = [
            self._reader.read(outcome_of(result)) for result in results if isinstance(result, bytes)
        ]
        for reply in replies:
            if isinstance(reply, Exception):
                return reply
        assert route.row is not None
        return replies[0] if route.row.name == b"MSET" else join_split(route.row, parts, replies)

    def _answer(self, name: Any, reply: Any, options: dict[str, Any]) -> Any:
        """What redis-py makes of a reply."""
        if isinstance(reply, Exception):
            if EMPTY_RESPONSE in options:
                return options[EMPTY_RESPONSE]
            raise instead_of(name, reply)
        if options:
            for one in (NEVER_DECODE, EMPTY_RESPONSE, "keys"):
                options.pop(one, None)
        callback = self.response_callbacks.get(name)
        return reply if callback is None else callback(reply, **options)

    # --- What redis-py has beside commands.

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:  # noqa: FBT001, FBT002
        """Commands collected and sent together.

        With `transaction` all or nothing, on one shard: keys of several shards are refused (use a
        hash tag, or a database above 0). Without, in order per shard, each command on its own.
        `shard_hint` is redis-py's and changes nothing.
        """
        from .pipeline import Pipeline

        return Pipeline(self, transaction=transaction)

    async def transaction(
        self,
        func: Callable[[Pipeline], Any | Awaitable[Any]],
        *watches: Any,
        shard_hint: str | None = None,
        value_from_callable: bool = False,
        watch_delay: float | None = None,
    ) -> Any:
        """Watch keys, let `func` fill a pipeline, execute it; all again while somebody else changes
        what is watched, or `func` raises WatchError. The replies, or what `func` gave."""
        async with self.pipeline() as pipe:
            while True:
                try:
                    if watches:
                        await pipe.watch(*watches)
                    value = func(pipe)
                    if isinstance(value, Awaitable):
                        value = await value
                    replies = await pipe.execute()
                except WatchError:
                    await pipe.reset()
                    if watch_delay is not None and watch_delay > 0:
                        await asyncio.sleep(watch_delay)
                    continue
                return value if value_from_callable else replies

    def pubsub(self, **kwargs: Any) -> PubSub:
        """A subscriber to channels of the whole cluster, which survives its node.

        Options: `ignore_subscribe_messages`; `gaps`, to have a `trimaran.Gap` stand among the
        messages where some may be missing, which is counted (`PubSub.gaps`) and logged in any case.
        `shard_hint` is redis-py's and changes nothing. Raises TypeError for another.
        """
        from .pubsub import PubSub

        return PubSub(self, **kwargs)

    def stream(self, name: Any) -> Stream:
        """The stream under the key `name`, to publish to and to follow: messages that are kept."""
        from .stream import Stream

        return Stream(self, name)

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
        """A lock under the key `name`, as `redis.asyncio.Redis.lock` gives it.

        Taking and giving it up are applied once, however often they are sent.
        """
        if lock_class is None:
            lock_class = import_module("redis.asyncio.lock").Lock
        assert lock_class is not None
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
        """A script to be called like a function; it is loaded when the cluster has it not.

        `await script(keys=[...], args=[...])`, as `redis.asyncio.Redis.register_script` gives it.
        """
        from .scripts import AsyncScript

        return AsyncScript(self, script)  # type: ignore[arg-type]  # It names its own.

    async def topology(self) -> TopologyView:
        """Nodes, shards and their leaders, as they are known now."""
        return await self._home.core().wait_until_ready(self._options.timeout)


def refuse(name: str, text: str) -> Any:
    """Raise for a method of redis-py that has no meaning here."""
    raise DataError(f"{name} has no meaning for this client: {text}")
