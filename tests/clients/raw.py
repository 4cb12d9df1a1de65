"""A connection that sends bytes as they are and reads replies one by one."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Self

import hiredis

from .running import HOST

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

READ_BYTES = 1 << 16
TIMEOUT_S = 20.0


class Raw:
    """One socket; an error reply is a `hiredis.ReplyError` among the replies."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((HOST, port), TIMEOUT_S)
        self._replies = hiredis.Reader()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reply(self) -> object:
        while (reply := self._replies.gets()) is False:
            data = self.socket.recv(READ_BYTES)
            if not data:
                raise ConnectionResetError("closed by the node")
            self._replies.feed(data)
        return reply

    def ask(self, *words: bytes) -> object:
        self.send(packed(words))
        return self.reply()

    def rest(self) -> bytes:
        """All that comes until the node closes; fails if it does not."""
        parts: list[bytes] = []
        while data := self.socket.recv(READ_BYTES):
            parts.append(data)
        return b"".join(parts)

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def packed(words: Sequence[bytes]) -> bytes:
    """A command as every library sends it."""
    parts = [b"*%d\r\n" % len(words)]
    parts += [b"$%d\r\n%b\r\n" % (len(word), word) for word in words]
    return b"".join(parts)
