"""A real redis-server of our own, and a connection that tells every kind of reply apart."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path

from trimaran.proto.reply import NULL_ARRAY, ErrorReply, Reply, Status

START_TIMEOUT_S = 10.0


class RedisServer:
    """Runs until `close`, on a socket file in `directory`, and keeps nothing."""

    def __init__(self, directory: Path) -> None:
        self.path = str(directory / "redis.sock")
        self._process = subprocess.Popen(
            [
                *f"redis-server --port 0 --unixsocket {self.path} --appendonly no".split(),
                *("--save", "", "--dir", str(directory)),
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
    """RESP2, one command at a time."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(10)
        try:
            self._socket.connect(path)
        except OSError:
            self._socket.close()
            raise
        self._file = self._socket.makefile("rb")

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def run(self, args: list[bytes]) -> Reply:
        parts = [b"*%d\r\n" % len(args), *(b"$%d\r\n%s\r\n" % (len(one), one) for one in args)]
        self._socket.sendall(b"".join(parts))
        return self._reply()

    def _reply(self) -> Reply:
        line = self._file.readline()
        kind, rest = line[:1], line[1:-2]
        match kind:
            case b"+":
                return Status(rest.decode())
            case b"-":
                code, _, text = rest.decode().partition(" ")
                return ErrorReply(code, text)
            case b":":
                return int(rest)
            case b"$":
                return None if rest == b"-1" else self._file.read(int(rest) + 2)[:-2]
            case b"*":
                return NULL_ARRAY if rest == b"-1" else [self._reply() for _ in range(int(rest))]
            case _:
                raise ConnectionError(f"not RESP2: {line!r}")
