"""The client of the chaos runs: sends each command once and says exactly what is known of it.

Client libraries retry by themselves, which would blur the history. This one never sends a command
again unless the reply said that it was not applied and where to ask (`MOVED`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import hiredis

READ_BYTES = 1 << 16
# Replies that promise that nothing was applied. MOVED is handled here and never gets out.
REFUSALS = ("CLUSTERDOWN", "LOADING", "TRYAGAIN", "BUSY", "OOM")

Reply = None | int | bytes


class Refused(Exception):
    """Surely not applied."""


class Uncertain(Exception):
    """Applied or not: no answer, or one that says so."""


class Unexpected(Exception):
    """A reply nobody should get."""


class Connection:
    """One connection to one door."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._replies = hiredis.Reader()

    @classmethod
    async def open(cls, port: int, database: int, timeout_s: float) -> Connection:
        """Connects and selects; raises Refused."""
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError as error:  # TimeoutError is one.
            raise Refused(f"connect: {error}") from error
        connection = cls(reader, writer)
        if database:
            try:
                await connection.call([b"SELECT", b"%d" % database], timeout_s)
            except (Uncertain, Refused) as error:
                connection.close()
                raise Refused(f"select: {error}") from error
        return connection

    async def call(self, command: Sequence[bytes], timeout_s: float) -> Reply:
        """The reply to one command; raises Refused, Uncertain or Unexpected."""
        (answer,) = await self.pipeline([command], timeout_s)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def pipeline(
        self, commands: Sequence[Sequence[bytes]], timeout_s: float
    ) -> list[Reply | Exception]:
        """What is known of each command; after Uncertain the connection may be closed."""
        answers: list[Reply | Exception] = []
        try:
            async with asyncio.timeout(timeout_s):
                self._writer.write(b"".join(map(_packed, commands)))
                while len(answers) < len(commands):
                    answers.append(_classified(await self._next()))
        except OSError as error:  # Cut off, or TimeoutError.
            self.close()
            lost = Uncertain(f"{type(error).__name__}: {error}")
            answers += [lost] * (len(commands) - len(answers))
        return answers

    @property
    def is_open(self) -> bool:
        return not self._writer.is_closing()

    def close(self) -> None:
        self._writer.close()

    async def _next(self) -> object:
        while (reply := self._replies.gets()) is False:
            data = await self._reader.read(READ_BYTES)
            if not data:
                raise ConnectionResetError("closed by the node")
            self._replies.feed(data)
        return reply


class Moved(Refused):
    """Not applied here; the port to ask instead."""

    def __init__(self, port: int) -> None:
        super().__init__(f"moved to {port}")
        self.port = port


def _packed(command: Sequence[bytes]) -> bytes:
    parts = [b"*%d\r\n" % len(command)]
    parts += [b"$%d\r\n%b\r\n" % (len(argument), argument) for argument in command]
    return b"".join(parts)


def _classified(reply: object) -> Reply | Exception:
    if isinstance(reply, hiredis.ReplyError):
        text = str(reply)
        code = text.partition(" ")[0]
        if code == "UNCERTAIN":
            return Uncertain(text)
        if code == "MOVED":
            return Moved(int(text.rpartition(":")[2]))
        return Refused(text) if code in REFUSALS else Unexpected(text)
    if reply is None or isinstance(reply, int | bytes):
        return reply
    return Unexpected(repr(reply))
