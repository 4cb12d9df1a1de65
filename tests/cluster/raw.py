"""A client that is a bare socket: it can send anything, half of it, or nothing."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

import hiredis

READ_BYTES = 1 << 18


def packed(*args: bytes) -> bytes:
    """A command as clients send it."""
    parts = [b"*%d\r\n" % len(args)]
    parts += [b"$%d\r\n%b\r\n" % (len(arg), arg) for arg in args]
    return b"".join(parts)


class Raw:
    """One connection to a RESP door. Errors come back as text, beginning with their code."""

    def __init__(self, port: int, *, timeout_s: float = 20.0, receive_bytes: int = 0) -> None:
        self.socket = socket.socket()
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(timeout_s)
        try:
            self.socket.connect(("127.0.0.1", port))
        except OSError:
            self.socket.close()
            raise
        self._replies = hiredis.Reader()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def ask(self, *args: bytes) -> object:
        """The reply to one command; EOFError when the server has ended the connection."""
        with suppress(ConnectionError):  # It may have said why before it did.
            self.send(packed(*args))
        return self.next()

    def ask_all(self, commands: Sequence[Sequence[bytes]]) -> list[object]:
        """The replies to a pipeline."""
        self.send(b"".join(packed(*args) for args in commands))
        return [self.next() for _ in commands]

    def next(self) -> object:
        """The next reply; EOFError when the server has ended the connection."""
        while (reply := self._replies.gets()) is False:
            try:
                data = self.socket.recv(READ_BYTES)
            except ConnectionError:
                data = b""
            if not data:
                raise EOFError
            self._replies.feed(data)
        return str(reply) if isinstance(reply, hiredis.ReplyError) else reply

    def has_ended(self) -> bool:
        """Reads to the end; False if there is none within the time-out."""
        with suppress(TimeoutError, ConnectionError):
            while self.socket.recv(READ_BYTES):
                pass
            return True
        return False

    def reset(self) -> None:
        """End with a RST, as a process does that is killed with unread data."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
