"""`trimaran cli`: commands that somebody types, over the SDK; replies as redis-cli prints them.

What redis-cli's connection remembers (database, transaction, subscriptions) is remembered here,
since the SDK has no connections of that kind. Nothing here draws on a screen: `prompt.py` does.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any  # Replies nest.

from redis.exceptions import DataError, RedisError

from ..cluster.commands import find_command, unknown_command, wrong_arity
from .client import Client
from .errors import NotApplied, OutcomeUnknown, Refused, WatchedChanged
from .hints import help_of
from .pubsub import Gap
from .reply_text import ErrorReply, PlainReader, Status, raw, shown
from .words_of_line import words_of

if TYPE_CHECKING:
    from .client import Home
    from .options import Options
    from .pipeline import Pipeline

Words = Sequence[bytes]

CONNECT_S = 3.0  # For any node to answer at the start.
LINE_BYTES_MAX = 512 << 20  # As long as the longest string.

_OK = Status(b"OK")
_SUBSCRIBING = {b"SUBSCRIBE": "subscribe", b"PSUBSCRIBE": "psubscribe", b"SSUBSCRIBE": "ssubscribe"}
_ELSEWHERE = {
    b"AUTH": "the password is given when this program starts, best as TRIMARAN_PASSWORD",
    b"HELLO": "the shapes of replies are chosen when this program starts: -3",
    b"MONITOR": "it is of one node: redis-cli -p PORT MONITOR",
}
HELP = b"""  Commands are those of Redis; Tab completes them, and the rest of each is shown in grey.
  help NAME      what a command does and takes
  SELECT number  another database, 0 to 15
  SUBSCRIBE ...  prints messages until ctrl-C
  quit, exit     or ctrl-D: leave
"""


class Quit(Exception):
    """The user wants to leave."""


class PlainClient(Client):
    """A client whose replies are as they came."""

    def set_up(self, home: Home, options: Options | None = None) -> None:
        """Of this package alone."""
        super().set_up(home, options)
        self._reader = self._raw_reader = PlainReader(self._options.protocol or 2)
        self.response_callbacks = {}


class Session:
    """What one user does. `write` takes the text of replies."""

    def __init__(
        self, client: PlainClient, write: Callable[[bytes], object], *, is_raw: bool
    ) -> None:
        self.client = client
        self._write = write
        self._format = raw if is_raw else shown
        self._pipeline: Pipeline | None = None  # From WATCH or MULTI on.
        self._is_spoiled = False  # A command of the transaction was refused.

    @property
    def db(self) -> int:
        return self.client._options.db

    @property
    def is_in_transaction(self) -> bool:
        return self._pipeline is not None and self._pipeline.explicit_transaction

    async def run(self, words: Words) -> bool:
        """Carry out a command and print its reply; whether it was no error. Raises Quit."""
        try:
            reply = await self._reply(words)
        except WatchedChanged:
            reply = None
        except OutcomeUnknown as error:
            reply = ErrorReply("UNCERTAIN", f"it may have been applied, or may yet be: {error}")
        except NotApplied as error:
            reply = ErrorReply("NOTAPPLIED", f"surely without effect: {error}")
        except Refused as error:
            code, text = error.code, str(error)
            reply = error if text.startswith(code) else ErrorReply(code, text)
        except (ErrorReply, DataError, RedisError) as error:
            reply = error
        if reply is not _PRINTED:
            self._write(self._format(reply))
        return not isinstance(reply, Exception)

    async def run_line(self, line: bytes) -> bool:
        """As `run`, for what was typed; an empty line is nothing."""
        try:
            words = words_of(line)
        except ValueError as error:
            self._write(f"{error}\n".encode())
            return False
        return not words or await self.run(words)

    async def _reply(self, words: Words) -> Any:
        name = words[0].upper()
        if name in (b"QUIT", b"EXIT"):
            raise Quit
        if name in (b"HELP", b"?"):
            self._write(_help(words[1:]))
            return _PRINTED
        if name in _ELSEWHERE:
            raise ErrorReply("ERR", f"{name.decode()} cannot be used here: {_ELSEWHERE[name]}")
        if name in _SUBSCRIBING:
            return await self._subscribe(name, words)
        if name in _TRANSACTIONS:
            _check(words)
            return await _TRANSACTIONS[name](self, words)
        if self.is_in_transaction:
            return self._queue(words)
        if name == b"SELECT":
            _check(words)
            return self._select(words[1])
        return await self.client.execute_command(*words)

    def _select(self, number: bytes) -> Status:
        if not number.isdigit() or not int(number) < 16:
            raise ErrorReply("ERR", "DB index is out of range")
        self.client = self.client._view(replace(self.client._options, db=int(number)))
        return _OK

    # --- Transactions: collected here, and sent as one.

    async def _watch(self, words: Words) -> Status:
        if self.is_in_transaction:
            raise ErrorReply("ERR", "WATCH inside MULTI is not allowed")
        if self._pipeline is None:
            self._pipeline = self.client.pipeline()
        await self._pipeline.watch(*words[1:])
        return _OK

    async def _unwatch(self, words: Words) -> Status:
        if self.is_in_transaction:
            return self._queue(words)
        self._pipeline = None
        return _OK

    async def _multi(self, _: Words) -> Status:
        if self.is_in_transaction:
            raise ErrorReply("ERR", "MULTI calls can not be nested")
        if self._pipeline is None:
            self._pipeline = self.client.pipeline()
        self._pipeline.multi()
        self._is_spoiled = False
        return _OK

    def _queue(self, words: Words) -> Status:
        assert self._pipeline is not None
        try:
            _check(words)
        except ErrorReply:
            self._is_spoiled = True
            raise
        # Redis-py's pipelines know commands by text.
        self._pipeline.execute_command(words[0].decode("utf-8", "replace"), *words[1:])
        return Status(b"QUEUED")

    async def _exec(self, _: Words) -> Any:
        if not self.is_in_transaction:
            raise ErrorReply("ERR", "EXEC without MULTI")
        pipeline, self._pipeline = self._pipeline, None
        assert pipeline is not None
        if self._is_spoiled:
            raise ErrorReply("EXECABORT", "Transaction discarded because of previous errors.")
        return await pipeline.execute(raise_on_error=False)

    async def _discard(self, _: Words) -> Status:
        if not self.is_in_transaction:
            raise ErrorReply("ERR", "DISCARD without MULTI")
        self._pipeline = None
        return _OK

    # --- Channels.

    async def _subscribe(self, name: bytes, words: Words) -> Any:
        """Prints messages until it is cancelled."""
        _check(words)
        if self.is_in_transaction:
            raise ErrorReply("ERR", f"{name.decode()} cannot be used inside MULTI here")
        async with self.client.pubsub(gaps=True) as pubsub:
            await getattr(pubsub, _SUBSCRIBING[name])(*words[1:])
            count = 0
            async for message in pubsub:
                if isinstance(message, Gap):
                    text = f"some messages may be missing: {message.reason}"
                    self._write(self._format([b"gap", text.encode()]))
                    continue
                count += message["type"].endswith("subscribe")
                self._write(self._format(_message_reply(message, count)))
        return _PRINTED


_PRINTED = object()

_TRANSACTIONS: dict[bytes, Callable[[Session, Words], Awaitable[Any]]] = {
    b"MULTI": Session._multi,
    b"EXEC": Session._exec,
    b"DISCARD": Session._discard,
    b"WATCH": Session._watch,
    b"UNWATCH": Session._unwatch,
}


def _message_reply(message: dict[str, Any], count: int) -> list[Any]:
    """As Redis sends it."""
    kind = message["type"].encode()
    if kind.endswith(b"subscribe"):
        return [kind, message["channel"], count]
    head = [kind] if message["pattern"] is None else [kind, message["pattern"]]
    return [*head, message["channel"], message["data"]]


def _check(words: Words) -> None:
    """Raises ErrorReply for a command that no node would take."""
    row = find_command(words[0])
    if row is None:
        raise ErrorReply("ERR", unknown_command(words))
    if not row.accepts(len(words)):
        raise ErrorReply("ERR", wrong_arity(row))


def _help(words: Words) -> bytes:
    if not words:
        return HELP
    text = help_of(words)
    return b"  no such command\n" if text is None else text.encode()


# --- Without a terminal.


def run(client: PlainClient, words: Words, *, is_raw: bool, is_interactive: bool) -> int:
    """Carry out `words`, or what stands in the input, or what a user types; the exit code.

    Raises NotApplied if no node answers.
    """
    # What the client warns of in its log is told in replies here; it would come between them.
    logging.getLogger("trimaran").addHandler(logging.NullHandler())
    try:
        return asyncio.run(_run(client, words, is_raw=is_raw, is_interactive=is_interactive))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # Whoever read the output has enough. Python would complain of it once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


async def _run(client: PlainClient, words: Words, *, is_raw: bool, is_interactive: bool) -> int:
    try:
        await client.with_timeout(CONNECT_S).initialize()
        session = Session(client, _write, is_raw=is_raw)
        if words:
            return await _run_one(session, words)
        if is_interactive:
            from .prompt import converse

            return await converse(session)
        return await _run_lines(session, _lines())
    finally:
        await client.aclose()


def _write(text: bytes) -> None:
    sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()


async def _run_one(session: Session, words: Words) -> int:
    try:
        return 0 if await session.run(words) else 1
    except Quit:
        return 0


async def _run_lines(session: Session, lines: AsyncIterator[bytes]) -> int:
    """All of them, one after the other; 1 if one failed."""
    code = 0
    async for line in lines:
        try:
            if not await session.run_line(line):
                code = 1
        except Quit:
            break
    return code


async def _lines() -> AsyncIterator[bytes]:
    """Of standard input, as they come."""
    mode = os.fstat(sys.stdin.fileno()).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        for line in sys.stdin.buffer:
            yield line
        return
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LINE_BYTES_MAX)
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer
    )
    try:
        while line := await reader.readline():
            yield line
    finally:
        transport.close()
