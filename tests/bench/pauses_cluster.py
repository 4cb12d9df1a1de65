"""What others notice of a long command in a cluster of three nodes: the longest PING of other
clients, at the node that leads the key and at the others, and whether any shard got a new leader.

Read `pauses.py` first: the commands are the same. All clients are threads of this process, which
do hardly anything but wait for their sockets. A command is measured only when what prepared it was
carried out by all three and shards have kept their leaders since: all that is seen is its own.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from ..chaos.cluster import LEADERS_REST_S
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
SETTLE_S_MAX: Final = 60.0
TRIES_MAX: Final = 5  # Of what prepares a command; the leader may be another one by then.
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
        print(f"{case.name}: {found[case.name]}, load {os.getloadavg()[0]:.1f}", flush=True)
    return found


def _client(cluster: Cluster, db: int) -> _Client:
    """At the node that leads a database."""
    return _Client(_port(cluster, db), db)


def _port(cluster: Cluster, db: int) -> int:
    return cluster.nodes[_leader(cluster, db)].any_key_port


def _leader(cluster: Cluster, db: int) -> str:
    return cluster.leader_of(cluster.shard_of_database(db))


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
    if case.spoils:
        _have_done(cluster, case.db, words.fresh(case.spoils))
    if case.before:
        _have_done(cluster, case.db, words.of(case.before))
    _settle(cluster)
    terms = cluster.terms()
    leader = _leader(cluster, case.db)
    client = _client(cluster, case.db)
    probes = {name: _Probe(node.any_key_port) for name, node in cluster.nodes.items()}
    for probe in probes.values():
        probe.start()
    began = time.perf_counter()
    answer = client.ask(words.of(case.command))
    took_s = time.perf_counter() - began
    time.sleep(REST_S)
    for probe in probes.values():
        probe.end()
    client.close()
    _settle(cluster)
    has_elected = cluster.terms() != terms
    at_leader_s = probes.pop(leader).longest_s
    at_follower_s = max(probe.longest_s for probe in probes.values())
    for key in (SCRATCH, b"other"):
        _have_done(cluster, DATABASE, [b"DEL", key])
    error = answer[1:].split()[0].decode() if answer.startswith(b"-") else ""
    if error and error != "UNCERTAIN" and not case.command.startswith("EVAL"):
        raise RuntimeError(f"{case.name}: {answer!r}")
    return Noticed(took_s * 1000, at_leader_s * 1000, at_follower_s * 1000, has_elected, error)


def _have_done(cluster: Cluster, db: int, args: Sequence[bytes]) -> None:
    """Have a command carried out that may be carried out twice."""
    answer = b""
    for _ in range(TRIES_MAX):
        client = _client(cluster, db)
        answer = client.ask(args)
        client.close()
        if not answer.startswith((b"-UNCERTAIN", b"-CLUSTERDOWN")):
            break
        _settle(cluster)
    if answer.startswith(b"-"):
        raise RuntimeError(f"{args[0]!r}: {answer!r}")


def _settle(cluster: Cluster) -> None:
    """Wait until all three have applied all there is, and leaders have stopped moving to where
    they are preferred."""
    seen: object = None
    since = time.monotonic()

    def has_settled() -> bool:
        nonlocal seen, since
        statuses = cluster.statuses()
        now = [
            sorted((str(one.shard), one.term, one.applied_index) for one in status.shards)
            for status in statuses
        ]
        is_alike = len(now) == len(cluster.nodes) and all(one == now[0] for one in now)
        if not is_alike or now != seen:
            seen, since = now, time.monotonic()
        return is_alike and time.monotonic() - since > LEADERS_REST_S

    cluster.wait(has_settled, "the nodes do not settle", SETTLE_S_MAX)


def _resp(args: Sequence[bytes]) -> bytes:
    elements = (b"$%d\r\n%b\r\n" % (len(argument), argument) for argument in args)
    return b"*%d\r\n" % len(args) + b"".join(elements)
