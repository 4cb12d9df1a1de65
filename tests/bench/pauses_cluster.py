"""What others notice of a long command in a cluster of three nodes: the longest PING of another
client of the node that leads the key, and whether any shard got a new leader meanwhile.

Read `pauses.py` first: the commands are the same. Both clients are threads of this process, which
do hardly anything but wait for their sockets.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from .pauses import (
    DATABASE,
    KEYS_DATABASE,
    SCRATCH,
    Case,
    Noticed,
    Words,
    chosen,
    filling,
    filling_keys,
)

if TYPE_CHECKING:
    from ..chaos.cluster import Cluster

PIPELINE: Final = 64  # Commands of the filling on their way.
RECEIVED: Final = 1 << 20  # Bytes at a time.
PAUSE_S: Final = 0.001  # Between two PINGs.
REST_S: Final = 1.5  # Behind a command: what it leaves to be done is noticed by others, too.
ANSWER_S_MAX: Final = 120.0
MARK: Final = b"the end of the reply"


class _Client:
    """Commands out, replies in; what they say is not looked at but for their first byte."""

    def __init__(self, port: int, db: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_S_MAX)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.ask([b"SELECT", b"%d" % db])

    def ask(self, *commands: Sequence[bytes]) -> bytes:
        """The last bytes of what was answered; an ECHO behind it tells the end."""
        mark = _resp([b"ECHO", MARK])
        self._socket.sendall(b"".join(map(_resp, commands)) + mark)
        expected = b"$%d\r\n%b\r\n" % (len(MARK), MARK)
        first = last = b""
        while not last.endswith(expected):
            data = self._socket.recv(RECEIVED)
            if not data:
                raise RuntimeError("a node has closed the connection")
            first = first or data[:200]
            last = last[-len(expected) :] + data
        return first.removesuffix(expected)

    def ping(self) -> None:
        self._socket.sendall(_resp([b"PING"]))
        self._socket.recv(RECEIVED)

    def close(self) -> None:
        self._socket.close()


class _Probe(threading.Thread):
    """One PING at a time."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._client = _Client(port, 0)
        self._is_over = False
        self.longest_s = 0.0

    def run(self) -> None:
        while not self._is_over:
            began = time.perf_counter()
            self._client.ping()
            self.longest_s = max(self.longest_s, time.perf_counter() - began)
            time.sleep(PAUSE_S)

    def end(self) -> None:
        self._is_over = True
        self.join()
        self._client.close()


def in_cluster(cluster: Cluster, words: Words, wanted: Sequence[str] = ()) -> dict[str, Noticed]:
    """Of each command, once; `words` has the payloads that the process before has dumped."""
    _fill(_client(cluster, DATABASE), filling(words.size))
    _fill(_client(cluster, KEYS_DATABASE), filling_keys(words.size))
    found: dict[str, Noticed] = {}
    for case in chosen(wanted):
        found[case.name] = _noticed(cluster, words, case)
        print(f"{case.name}: {found[case.name]}", flush=True)
    return found


def _client(cluster: Cluster, db: int) -> _Client:
    """At the node that leads a database."""
    return _Client(_port(cluster, db), db)


def _port(cluster: Cluster, db: int) -> int:
    leader = cluster.leader_of(cluster.shard_of_database(db))
    return cluster.nodes[leader].any_key_port


def _fill(client: _Client, commands: Iterable[list[bytes]]) -> None:
    some: list[list[bytes]] = []
    for args in commands:
        some.append(args)
        if len(some) == PIPELINE:
            client.ask(*some)
            some = []
    client.ask(*some)
    client.close()


def _noticed(cluster: Cluster, words: Words, case: Case) -> Noticed:
    client = _client(cluster, case.db)
    if case.spoils:
        client.ask(words.fresh(case.spoils))
    if case.before:
        client.ask(words.of(case.before))
    time.sleep(REST_S)
    terms = cluster.terms()
    probe = _Probe(_port(cluster, case.db))
    probe.start()
    answer = client.ask(words.of(case.command))
    time.sleep(REST_S)
    probe.end()
    after = cluster.terms()
    if answer.startswith(b"-") and not case.command.startswith("EVAL"):
        raise RuntimeError(f"{case.name}: {answer!r}")
    client.close()
    client = _client(cluster, DATABASE)
    client.ask([b"DEL", SCRATCH], [b"DEL", b"other"])
    client.close()
    return Noticed(probe.longest_s * 1000, after != terms)


def _resp(args: Sequence[bytes]) -> bytes:
    elements = (b"$%d\r\n%b\r\n" % (len(argument), argument) for argument in args)
    return b"*%d\r\n" % len(args) + b"".join(elements)
