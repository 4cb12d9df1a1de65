"""Commands collected and sent together: with MULTI's promise, or each on its own in its order.

The interface is redis-py's. WATCH is answered by the shard with the place of the log it holds from;
the transaction carries that, and is decided when it is applied (docs/guarantees.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal  # Any: redis-py's options and replies.

from redis.commands import AsyncCoreCommands, AsyncRedisModuleCommands
from redis.exceptions import RedisError

from ..proto.requests import encode_command, encode_watched, outcome_of
from .batch import ANYWHERE
from .blocking import carry_out, wait_of
from .errors import NotApplied, OutcomeUnknown, Refused, TrimaranError, error_of
from .redis_py import EMPTY_RESPONSE, NEVER_DECODE
from .replies import ReplyReader
from .routes import parts_of, route_of, shard_for

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from .client import Client
    from .core import Core
    from .routes import ClientRoute

Command = tuple[tuple[Any, ...], dict[str, Any]]
Asked = tuple[list[bytes], "ClientRoute", dict[str, Any]]
SHOWN_CHARS = 100  # Of a command that failed.
# Without a transaction so much is sent together, and what is behind it when that is answered.
RUN_COMMANDS_MAX, RUN_BYTES_MAX = 5_000, 8 << 20

_CONTROL = frozenset({"MULTI", "EXEC", "DISCARD"})
_FAILURES = (NotApplied, OutcomeUnknown)
_PLAIN = ReplyReader(3, error_of)


class _Gathered:
    """Waits for the results of one batch, or of several."""

    def __init__(self, loop: asyncio.AbstractEventLoop, count: int) -> None:
        self.results: list[bytes | Exception | None] = [None] * count
        self.future: asyncio.Future[None] = loop.create_future()
        self._left = count
        if not count:
            self.future.set_result(None)

    def sink(self, place: int) -> _Place:
        return _Place(self, place)

    def put(self, place: int, result: bytes | Exception) -> None:
        self.results[place] = result
        self._left -= 1
        if not self._left and not self.future.done():
            self.future.set_result(None)


class _Place:
    """Of one command among them; what a batch takes for a future."""

    __slots__ = ("_gathered", "_place")

    def __init__(self, gathered: _Gathered, place: int) -> None:
        self._gathered = gathered
        self._place = place

    def set_result(self, result: bytes, /) -> None:
        self._gathered.put(self._place, result)

    def set_exception(self, error: Exception, /) -> None:
        self._gathered.put(self._place, error)

    def done(self) -> bool:
        return self._gathered.results[self._place] is not None


class Pipeline(AsyncRedisModuleCommands, AsyncCoreCommands):  # type: ignore[misc]
    """Made by `Client.pipeline`. Commands are collected and `execute` sends them; after `watch`
    they are carried out at once, until `multi`."""

    _event_dispatcher: Any = None  # What redis-py's methods are declared to need.
    _is_async_client: Literal[True] = True  # By which redis-py types its methods.

    def __init__(self, client: Client, *, transaction: bool) -> None:
        self._client = client
        # What is read of a watched key must not be older than the watch.
        self._fresh = client.stale(0) if client._options.max_age_ms else client
        self.is_transaction = transaction
        self.response_callbacks = client.response_callbacks
        self.command_stack: list[Command] = []
        self.scripts: set[Any] = set()  # Those of `register_script` that are among the commands.
        self.watching = False
        self.explicit_transaction = False
        self._watched: list[tuple[bytes, int]] = []  # Keys, and the places they are watched from.

    # --- Its life.

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.reset()

    def __await__(self) -> Any:
        return self._itself().__await__()

    async def _itself(self) -> Self:
        return self

    def __len__(self) -> int:
        return len(self.command_stack)

    def __bool__(self) -> bool:
        """An empty pipeline is one, too."""
        return True

    async def reset(self) -> None:  # type: ignore[override]  # As redis-py's own pipeline.
        """Forget what is collected and what is watched."""
        self.command_stack = []
        self.scripts = set()
        self.watching = False
        self.explicit_transaction = False
        self._watched = []

    async def aclose(self) -> None:
        """As `reset`; the client stays open."""
        await self.reset()

    def get_encoder(self) -> Any:
        """That of the client."""
        return self._client.get_encoder()

    def get_connection_kwargs(self) -> dict[str, Any]:
        """Those of the client."""
        return self._client.get_connection_kwargs()

    def register_script(self, script: Any) -> Any:
        """A script that, called without `client`, is collected here."""
        from .scripts import AsyncScript

        return AsyncScript(self, script)  # type: ignore[arg-type]  # It names its own.

    # --- Collecting.

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Collect a command, or run it at once between `watch` and `multi`."""
        is_watch = args[0] in ("WATCH", "UNWATCH")
        if (self.watching or is_watch) and not self.explicit_transaction:
            return self.immediate_execute_command(*args, **options)
        return self.pipeline_execute_command(*args, **options)

    def pipeline_execute_command(self, *args: Any, **options: Any) -> Self:
        """Collect a command; the pipeline itself, so that calls can be chained."""
        self.command_stack.append((args, options))
        return self

    async def immediate_execute_command(self, *args: Any, **options: Any) -> Any:
        """Run a command now, whatever is collected."""
        if args[0] == "WATCH":
            return await self._watch(args[1:])
        if args[0] == "UNWATCH":
            self.watching = False
            self._watched = []
            return True
        return await self._fresh.execute_command(*args, **options)

    def multi(self) -> None:
        """From here on commands are collected, after a `watch`. Raises RedisError if it was called
        before, or commands are collected already."""
        if self.explicit_transaction:
            raise RedisError("Cannot issue nested calls to MULTI")
        if self.command_stack:
            raise RedisError("Commands without an initial WATCH have already been issued")
        self.explicit_transaction = True

    async def watch(self, *names: Any) -> Any:  # type: ignore[override]  # Of the sync mixin.
        """Have `execute` do nothing if one of these keys is changed before. Keys of one shard."""
        if self.explicit_transaction:
            raise RedisError("Cannot issue a WATCH after a MULTI")
        return bool(await self.execute_command("WATCH", *names))

    async def unwatch(self) -> Any:  # type: ignore[override]  # Of the sync mixin.
        """Watch nothing any more."""
        return bool(self.watching and await self.execute_command("UNWATCH")) or True

    async def discard(self) -> None:
        """Forget what is collected and watched."""
        await self.reset()

    async def _watch(self, names: tuple[Any, ...]) -> bool:
        client = self._fresh
        encode = client.get_encoder().encode
        keys = [encode(name) for name in names]
        core = client._home.core()
        view = await core.wait_until_ready(client._options.timeout)
        words = [b"WATCH", *keys]
        if not keys:
            raise error_of("ERR", "wrong number of arguments for 'watch' command")
        shard = shard_for(_KEYED, client._options.db, words, len(view.shards))
        if shard == ANYWHERE:
            raise error_of("CROSSSLOT", "Keys in request don't hash to the same slot")
        index = _PLAIN.read(outcome_of(await client._call(core, _WATCH, shard, words)))
        if isinstance(index, Exception):
            raise index
        self._watched += [(key, index) for key in keys]
        self.watching = True
        return True

    # --- Executing.

    async def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002
        """Send what is collected; the answers in order.

        With `raise_on_error` the first error among them is raised, else errors stand in their
        places. A transaction raises WatchError if something watched was changed, also if it has no
        commands, and the error of a command that cannot be part of it: nothing is done then.
        Raises NotApplied or OutcomeUnknown as single commands do; without a transaction what holds
        for one command need not hold for the others.
        """
        stack = self.command_stack
        if not stack and not self.watching:
            await self.reset()
            return []
        client = self._client
        telemetry = client._home.telemetry
        if telemetry is None or not telemetry.is_heard:
            return await self._execute_all(stack, raise_on_error=raise_on_error)
        name = "MULTI" if self.is_transaction or self.explicit_transaction else "PIPELINE"
        with telemetry.operation(name, client._options.db, len(stack)):
            return await self._execute_all(stack, raise_on_error=raise_on_error)

    async def _execute_all(self, stack: list[Command], *, raise_on_error: bool) -> list[Any]:
        try:
            if self.scripts:
                await self._load_scripts()
            core = self._client._home.core()
            await core.wait_until_ready(self._client._options.timeout)
            if self.is_transaction or self.explicit_transaction:
                replies = await self._execute_transaction(core, stack)
            else:
                replies = await self._execute_separately(core, stack)
            answers: list[Any] = []
            for command, reply in zip(stack, replies, strict=True):
                answer = self._answered(command, reply)
                # A callback may be a coroutine.
                answers.append(await answer if hasattr(answer, "__await__") else answer)
        finally:
            await self.reset()
        if raise_on_error or any(_is_discarded(answer) for answer in answers):
            _raise_first(stack, answers)
        return answers

    def _words(self, command: Command) -> tuple[list[bytes], ClientRoute]:
        words = self._client.get_encoder().words(command[0])
        return words, route_of(words)

    async def _execute_transaction(self, core: Core, stack: list[Command]) -> list[Any]:
        """One batch, one entry of the log."""
        options = self._client._options
        view = core.router.view
        assert view is not None
        found = {self._shard_of(key, len(view.shards)) for key, _ in self._watched}
        is_write = bool(self._watched)
        replies: list[Any] = [None] * len(stack)
        places: list[int] = []  # Of what is sent.
        commands: list[bytes] = []
        for place, command in enumerate(stack):
            if EMPTY_RESPONSE in command[1]:  # MGET of nothing: redis-py sends none either.
                replies[place] = command[1][EMPTY_RESPONSE]
                continue
            if command[0][0] == "UNWATCH":  # Without effect, as in Redis.
                replies[place] = "OK"
                continue
            words, route = self._words(command)
            if str(command[0][0]).upper() in _CONTROL:
                raise RedisError(f"{command[0][0]} is what the pipeline does: use its methods")
            if _is_placed(route, words):
                found.add(shard_for(route, options.db, words, len(view.shards)))
            is_write = is_write or route.is_write
            places.append(place)
            commands.append(encode_command(words))
        if len(found) > 1:
            raise error_of(
                "CROSSSLOT",
                "Keys in request don't hash to the same slot: a transaction is on one shard; use a"
                " hash tag, or a database above 0",
            )
        if not commands:
            if not self._watched:
                return replies
            # What is watched is looked at where something is carried out.
            commands.append(encode_command([b"EXISTS", self._watched[0][0]]))
        shard = found.pop() if found else self._shard_of(b"", len(view.shards))
        batch = core.router.batch(
            shard,
            options.db,
            is_write=is_write,
            is_atomic=True,
            stale_ms=options.max_age_ms,
            timeout_s=options.timeout,
            watched=[encode_watched(key, index) for key, index in self._watched],
        )
        gathered = _Gathered(core.loop, len(commands))
        for at, encoded in enumerate(commands):
            batch.add(encoded, gathered.sink(at))
        core.router.submit(batch)
        await gathered.future
        for result in gathered.results:
            if isinstance(result, Exception):  # It is that of all of them.
                raise result
        for place, result in zip(places, gathered.results, strict=False):
            replies[place] = self._read(result, stack[place][1])
        return replies

    def _shard_of(self, key: bytes, shards: int) -> int:
        return shard_for(_KEYED, self._client._options.db, [b"WATCH", key], shards)

    async def _execute_separately(self, core: Core, stack: list[Command]) -> list[Any]:
        """In order per shard. A command over several shards or over all, or one that waits for
        data, waits for those before it, and those behind it wait for it."""
        asked = [(*self._words(command), command[1]) for command in stack]
        replies: list[Any] = [None] * len(stack)
        start = 0
        while start < len(stack):
            end = self._end_of_run(core, asked, start)
            if end == start:
                await self._execute_alone(core, asked, start, replies)
                start += 1
                continue
            await self._execute_run(core, asked, range(start, end), replies)
            is_cut = end < len(stack) and not self._is_apart(core, asked[end])
            if is_cut and any(isinstance(one, _FAILURES) for one in replies[start:end]):
                text = "not sent: a command before it in the pipeline was not acknowledged"
                replies[end:] = [NotApplied(text) for _ in replies[end:]]
                break
            start = end
        return replies

    def _end_of_run(self, core: Core, asked: list[Asked], start: int) -> int:
        """Behind what can be sent together, from `start` on."""
        end, size = start, 0
        limit = min(len(asked), start + RUN_COMMANDS_MAX)
        while end < limit and size < RUN_BYTES_MAX and not self._is_apart(core, asked[end]):
            size += sum(map(len, asked[end][0]))
            end += 1
        return end

    def _is_apart(self, core: Core, asked: Asked) -> bool:
        words, route, _ = asked
        if route.is_over_all or (route.may_block and wait_of(words) is not None):
            return True
        view, db = core.router.view, self._client._options.db
        assert view is not None
        return route.splits and parts_of(route, db, words, len(view.shards)) is not None

    async def _execute_alone(
        self, core: Core, asked: list[Asked], place: int, replies: list[Any]
    ) -> None:
        client = self._client
        words, route, _ = asked[place]
        view, options = core.router.view, client._options
        assert view is not None
        shard = shard_for(route, options.db, words, len(view.shards))
        wait = wait_of(words) if route.may_block and shard != ANYWHERE else None
        parts = parts_of(route, options.db, words, len(view.shards))
        try:
            if wait is not None:
                replies[place] = client._reader.read(await carry_out(core, options, shard, wait))
            elif parts is not None:
                replies[place] = await client._split(core, route, parts)
            else:
                await self._send(core, asked, [place], replies)
        except TrimaranError as error:
            replies[place] = error

    async def _execute_run(
        self, core: Core, asked: list[Asked], places: range, replies: list[Any]
    ) -> None:
        """What is published goes when the writes before it are acknowledged: who hears it sees
        them. If one is not, it does not go."""
        has_written = any(isinstance(one, _FAILURES) for one in replies)
        at_once: list[int] = []
        behind: list[int] = []
        for place in places:
            _, route, _ = asked[place]
            if has_written and route.publishes:
                behind.append(place)
            else:
                at_once.append(place)
                has_written = has_written or (route.is_write and not route.publishes)
        await self._send(core, asked, at_once, replies)
        failed = [place for place, one in enumerate(replies) if isinstance(one, _FAILURES)]
        while failed and behind and behind[-1] > failed[0]:
            text = "not published: a command before it in the pipeline was not acknowledged"
            replies[behind.pop()] = NotApplied(text)
        await self._send(core, asked, behind, replies)

    async def _send(
        self, core: Core, asked: list[Asked], places: Sequence[int], replies: list[Any]
    ) -> None:
        """Commands that go to one shard each, or to any node, all at the same time; what they
        answer, or their errors, into `replies`."""
        options = self._client._options
        view = core.router.view
        assert view is not None
        gathered = _Gathered(core.loop, len(places))
        encoded: dict[int, list[tuple[int, bytes]]] = {}
        writing: set[int] = set()
        for at, place in enumerate(places):
            words, route, _ = asked[place]
            shard = shard_for(route, options.db, words, len(view.shards))
            encoded.setdefault(shard, []).append((at, encode_command(words)))
            if route.is_write:
                writing.add(shard)
        for shard, some in encoded.items():
            batch = core.router.batch(
                shard,
                options.db,
                is_write=shard in writing,
                stale_ms=options.max_age_ms,
                timeout_s=options.timeout,
            )
            for at, command in some:
                batch.add(command, gathered.sink(at))
            core.router.submit(batch)
        await gathered.future
        for place, result in zip(places, gathered.results, strict=True):
            replies[place] = self._read(result, asked[place][2])

    def _read(self, result: bytes | Exception | None, options: dict[str, Any]) -> Any:
        if not isinstance(result, bytes):
            return result
        client = self._client
        reader = client._raw_reader if NEVER_DECODE in options else client._reader
        return reader.read(outcome_of(result))

    def _answered(self, command: Command, reply: Any) -> Any:
        args, options = command
        if isinstance(reply, Exception):
            return options.get(EMPTY_RESPONSE, reply)
        return self._client._answer(args[0], reply, dict(options))

    async def _load_scripts(self) -> None:
        """Those that are registered and not known to the cluster yet."""
        scripts = list(self.scripts)
        immediate = self.immediate_execute_command
        known = await immediate("SCRIPT EXISTS", *[script.sha for script in scripts])
        for script, is_known in zip(scripts, known, strict=True):
            if not is_known:
                script.sha = await immediate("SCRIPT LOAD", script.script)

    async def load_scripts(self) -> None:
        """As `execute` does before it sends anything."""
        await self._load_scripts()


def _is_placed(route: ClientRoute, words: list[bytes]) -> bool:
    """Whether its keys say where a transaction goes, which those of a script without any do not;
    what is wrong with it a node is to say."""
    row = route.row
    if row is None or route.publishes or not row.accepts(len(words)):
        return False
    return row.has_keys and bool(route.key_at or row.keys_of(words))


def _is_discarded(answer: Any) -> bool:
    """Whether it is of a transaction that was not carried out."""
    return isinstance(answer, Refused) and answer.code == "EXECABORT"


def _raise_first(stack: list[Command], answers: list[Any]) -> None:
    """The first error; of a transaction that was discarded the one that it was discarded for."""
    failed = [place for place, answer in enumerate(answers) if isinstance(answer, Exception)]
    if not failed:
        return
    causes = [place for place in failed if getattr(answers[place], "code", "") != "EXECABORT"]
    place = (causes or failed)[0]
    answer = answers[place]
    shown = " ".join(_shown(word) for word in stack[place][0])
    if len(shown) > SHOWN_CHARS:
        shown = shown[: SHOWN_CHARS - 3] + "..."
    text = f"Command # {place + 1} ({shown}) of pipeline caused error: {answer}"
    answer.args = (text, *answer.args[1:])
    raise answer


def _shown(word: Any) -> str:
    return word.decode("utf-8", "replace") if isinstance(word, bytes) else str(word)


_WATCH = route_of([b"WATCH", b""])
_KEYED = route_of([b"EXISTS", b""])
