"""A real redis-server of our own, and a connection that tells every kind of reply apart."""

from __future__ import annotations

import io
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, BinaryIO  # Any: replies nest.

from trimaran.proto.reply import (
    NULL_ARRAY,
    ErrorReply,
    MapReply,
    Reply,
    SetReply,
    Status,
    VerbatimReply,
)
from trimaran.proto.resp import encode_reply

START_TIMEOUT_S = 30.0  # Of a busy machine; it takes some milliseconds.


class RedisServer:
    """Runs until `close`, on a socket file in `directory`, and keeps nothing."""

    def __init__(self, directory: Path) -> None:
        self.path = str(directory / "redis.sock")
        self._process = subprocess.Popen(
            [
                *f"redis-server --port 0 --unixsocket {self.path} --appendonly no".split(),
                *("--save", "", "--dir", str(directory), "--enable-debug-command", "yes"),
            ],
            stdout=subprocess.DEVNULL,
        )

    def connect(self) -> RedisConnection:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            assert self._process.poll() is None, "redis-server did not start"
            try:
                return RedisConnection(self.path)
            except OSError:
                assert time.monotonic() < deadline, "redis-server does not listen"
                time.sleep(0.01)  # It has no way to say that it listens.

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


class RedisConnection:
    """One command at a time, to a socket file or to (host, port)."""

    def __init__(self, address: str | tuple[str, int], timeout_s: float = 10.0) -> None:
        kind = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self._socket = socket.socket(kind)
        self._socket.settimeout(timeout_s)
        try:
            self._socket.connect(address)
        except OSError:
            self._socket.close()
            raise
        self._file = self._socket.makefile("rb")

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def read(self) -> Reply:
        """The next message of a channel."""
        reply: Reply = read_reply(self._file)
        return reply

    def run(self, args: list[bytes]) -> Reply:
        self._socket.sendall(_encoded(args))
        reply: Reply = read_reply(self._file)
        return reply

    def run_at_once(self, several: list[list[bytes]]) -> list[Reply]:
        self._socket.sendall(b"".join(map(_encoded, several)))
        return [read_reply(self._file) for _ in several]


def _encoded(args: list[bytes]) -> bytes:
    parts = (b"$%d\r\n%s\r\n" % (len(one), one) for one in args)
    return b"".join((b"*%d\r\n" % len(args), *parts))


def as_received(reply: Reply, protocol: int) -> Reply:
    """A reply of a handler as it comes out of a socket."""
    received: Reply = read_reply(io.BytesIO(encode_reply(reply, protocol)))
    return received


def read_reply(file: BinaryIO | io.BufferedReader) -> Any:
    """The next reply of RESP 2 or 3."""
    line = file.readline()
    kind, rest = line[:1], line[1:-2]
    match kind:
        case b"+":
            return Status(rest.decode())
        case b"-":
            code, _, text = rest.decode("utf-8", "surrogateescape").partition(" ")
            return ErrorReply(code, text)
        case b":":
            return int(rest)
        case b"$":
            return None if rest == b"-1" else _bulk(file, rest)
        case b"*":
            return NULL_ARRAY if rest == b"-1" else _many(file, int(rest))
        case b"%":
            words = _many(file, 2 * int(rest))
            return MapReply(tuple(zip(words[::2], words[1::2], strict=True)))
        case b"~":
            return SetReply(tuple(_many(file, int(rest))))
        case b"_":
            return None
        case b"#":
            return rest == b"t"
        case b",":
            return float(rest)
        case b"=":
            text_bytes = _bulk(file, rest)
            return VerbatimReply(text_bytes[:3].decode(), text_bytes[4:])
        case _:
            raise ConnectionError(f"not RESP: {line!r}")


def _bulk(file: BinaryIO | io.BufferedReader, size: bytes) -> bytes:
    return file.read(int(size) + 2)[:-2]


def _many(file: BinaryIO | io.BufferedReader, count: int) -> list[Any]:
    return [read_reply(file) for _ in range(count)]
