"""Real redis-servers to measure beside, each in a folder of its own, and a word with them."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import hiredis

from ..chaos.processes import free_ports

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from ..chaos.processes import Process, Processes

HOST = "127.0.0.1"
START_S = 30.0
SLOTS = 16384
_PORTS = (0, 1)  # For clients, and for the others of its cluster.


def command(*words: bytes) -> bytes:
    """As clients send it."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(one), one) for one in words)


def free_port(rng: random.Random) -> int:
    """For clients; the next one is for the others of its cluster."""
    return free_ports(_PORTS, rng)


def start(processes: Processes, directory: Path, port: int, *options: str) -> Process:
    """One that keeps nothing on disk unless the options say so; returns when it listens."""
    folder = directory / f"redis-{port}"
    folder.mkdir(parents=True)
    words = ["redis-server", "--save", "", "--appendonly", "no", "--port", str(port)]
    words += ["--bind", HOST, "--dir", str(folder), *options]
    process = processes.start(f"redis-{port}", words, folder / "output")
    deadline = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection((HOST, port)).close()
        except ConnectionRefusedError:
            assert process.is_running, process.tail()
            assert time.monotonic() < deadline, f"redis-server on {port} does not start"
            time.sleep(0.02)
        else:
            return process


@dataclass(frozen=True, slots=True)
class Master:
    """One of a cluster."""

    port: int
    process: Process


def start_cluster(
    processes: Processes, directory: Path, rng: random.Random, size: int, *options: str
) -> list[Master]:
    """Masters with equal shares of the slots and without replicas; returns when it has formed."""
    masters: list[Master] = []
    for place in range(size):
        port = free_port(rng)
        own = ("--cluster-enabled", "yes", "--cluster-port", str(port + 1), *options)
        masters.append(Master(port, start(processes, directory, port, *own)))
        first, last = SLOTS * place // size, SLOTS * (place + 1) // size - 1
        seed = masters[0].port
        with connected(port) as client:
            client.ask(b"CLUSTER", b"ADDSLOTSRANGE", b"%d" % first, b"%d" % last)
            client.ask(b"CLUSTER", b"MEET", HOST.encode(), b"%d" % seed, b"%d" % (seed + 1))
    deadline = time.monotonic() + START_S
    while not all(_has_formed(master.port, size) for master in masters):
        assert time.monotonic() < deadline, "the Redis Cluster does not form"
        time.sleep(0.05)
    return masters


def _has_formed(port: int, size: int) -> bool:
    with connected(port) as client:
        told = client.ask(b"CLUSTER", b"INFO")
    assert isinstance(told, bytes)
    return b"cluster_state:ok" in told and b"cluster_known_nodes:%d" % size in told


class Connection:
    """The least of a client: bytes out, replies in; an error reply is raised."""

    def __init__(self, port: int, database: int = 0) -> None:
        self._socket = socket.create_connection((HOST, port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = hiredis.Reader()
        if database:
            self.ask(b"SELECT", b"%d" % database)

    def ask(self, *words: bytes) -> object:
        self._socket.sendall(command(*words))
        return self.replies(1)[0]

    def send(self, data: bytes, count: int) -> None:
        """Commands as bytes, and how many they are; waits until all are answered."""
        self._socket.sendall(data)
        self.replies(count)

    def replies(self, count: int) -> list[object]:
        replies: list[object] = []
        while len(replies) < count:
            reply = self._reader.gets()
            if reply is False:
                data = self._socket.recv(1 << 18)
                assert data, "the server hung up"
                self._reader.feed(data)
                continue
            if isinstance(reply, Exception):
                raise reply
            replies.append(reply)
        return replies

    def info(self, section: bytes) -> dict[str, str]:
        """What INFO says, by name."""
        text = self.ask(b"INFO", section)
        assert isinstance(text, bytes)
        lines = (line.partition(":") for line in text.decode().splitlines() if ":" in line)
        return {name: value for name, _, value in lines}

    def close(self) -> None:
        self._socket.close()


@contextmanager
def connected(port: int, database: int = 0) -> Iterator[Connection]:
    """One for a few words."""
    client = Connection(port, database)
    try:
        yield client
    finally:
        client.close()


def sent_at_once(commands: Sequence[Sequence[bytes]]) -> bytes:
    """Many commands as bytes."""
    return b"".join([command(*words) for words in commands])
