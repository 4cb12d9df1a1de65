"""One publisher and many subscribers of one channel: deliveries per second.

Ours over three nodes, a single Redis and a Redis Cluster of three take turns; subscribers are
spread evenly over the nodes, and read by a process of their own that only counts bytes. `plain`
sends a PUBLISH when the one before it is answered, `pipelined` 100 at a time. The clock runs until
the last subscriber has its last message. Messages have 32 bytes.
"""

from __future__ import annotations

import multiprocessing
import random
import selectors
import socket
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..chaos.cluster import Cluster
from ..chaos.processes import free_ports

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from pathlib import Path

    from ..chaos.processes import Processes

HOST = "127.0.0.1"
CHANNEL = b"bench"
PAYLOAD = bytes(32)
PIPELINED = 100
START_S = 30.0
FLOOD_S = 3.0
_PORTS = (0, 10_000)  # Of a Redis: for clients, and for the others of its cluster.
_REDIS = ("redis-server", "--save", "", "--appendonly", "no", "--maxclients", "20000")


def _command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(one), one) for one in words)


PUBLISH = _command(b"PUBLISH", CHANNEL, PAYLOAD)
MESSAGE_BYTES = len(_command(b"message", CHANNEL, PAYLOAD))
CONFIRMATION_BYTES = len(_command(b"subscribe", CHANNEL)) + len(b":1\r\n")


@dataclass(frozen=True, slots=True)
class Way:
    """Servers to publish through and to listen at."""

    name: str
    ports: Sequence[int]


@dataclass(frozen=True, slots=True)
class Measured:
    """One kind of load: deliveries per second by way, a number for each round."""

    subscribers: int
    is_pipelined: bool
    rates: dict[str, list[float]]


# --- Servers.


@contextmanager
def ways(processes: Processes, directory: Path) -> Iterator[list[Way]]:
    """All three, running."""
    rng = random.Random()
    ours = Cluster(processes, directory / "ours", rng=rng, size=3)
    ours.wait_settled()
    single, *members = (free_ports(_PORTS, rng) for _ in range(4))
    _start_redis(processes, directory, single)
    for place, port in enumerate(members):
        extra = ("--cluster-enabled", "yes", "--cluster-config-file", f"nodes-{port}.conf")
        _start_redis(processes, directory, port, *extra)
        first, last = 16384 * place // 3, 16384 * (place + 1) // 3 - 1
        _ask(port, b"CLUSTER", b"ADDSLOTSRANGE", b"%d" % first, b"%d" % last)
        _ask(port, b"CLUSTER", b"MEET", HOST.encode(), b"%d" % members[0])
    _wait_until_formed(members)
    yield [
        Way("ours, three nodes", [node.any_key_port for node in ours.nodes.values()]),
        Way("Redis", [single]),
        Way("Redis Cluster", members),
    ]


def _start_redis(processes: Processes, directory: Path, port: int, *extra: str) -> None:
    folder = directory / f"redis-{port}"
    folder.mkdir(parents=True)
    words = [*_REDIS, "--port", str(port), "--dir", str(folder), *extra]
    processes.start(f"redis-{port}", words, folder / "output")
    deadline = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection((HOST, port)).close()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, f"redis-server on {port} does not start"
            time.sleep(0.02)
        else:
            return


def _ask(port: int, *words: bytes) -> bytes:
    with socket.create_connection((HOST, port)) as client:
        client.sendall(_command(*words))
        return client.recv(65536)


def _wait_until_formed(ports: Sequence[int]) -> None:
    deadline = time.monotonic() + START_S
    while not all(
        b"cluster_state:ok" in (info := _ask(port, b"CLUSTER", b"INFO"))
        and b"cluster_known_nodes:3" in info
        for port in ports
    ):
        assert time.monotonic() < deadline, "the Redis Cluster does not form"
        time.sleep(0.05)


# --- Load.


def _listen(ports: Sequence[int], subscribers: int, pipe: Connection) -> None:
    """In a process of its own: told a number of messages, says when all have all of them."""
    poll = selectors.DefaultSelector()
    for place in range(subscribers):
        client = socket.create_connection((HOST, ports[place % len(ports)]))
        client.sendall(_command(b"SUBSCRIBE", CHANNEL))
        left = CONFIRMATION_BYTES
        while left:
            left -= len(client.recv(left))
        client.settimeout(0)
        poll.register(client, selectors.EVENT_READ)
    pipe.send(None)
    poll.register(pipe, selectors.EVENT_READ, pipe)
    got, expected = 0, -1
    while True:
        for key, _ in poll.select():
            if key.data is pipe:
                messages = pipe.recv()
                if messages is None:
                    return
                expected = messages * subscribers * MESSAGE_BYTES
            else:
                got += len(key.fileobj.recv(1 << 18))  # type: ignore[union-attr]  # Sockets.
        if got == expected:
            pipe.send(time.monotonic())
            got, expected = 0, -1


def _flood(client: socket.socket, per_trip: int, seconds: float) -> int:
    """Publish for a while; how many messages."""
    sent = 0
    until = time.monotonic() + seconds
    batch = PUBLISH * per_trip
    while time.monotonic() < until:
        client.sendall(batch)
        answers = 0
        while answers < per_trip:
            data = client.recv(65536)
            assert data, "the server hung up"
            answers += data.count(b"\n")
        sent += per_trip
    return sent


def _one_round(way: Way, subscribers: int, *, is_pipelined: bool) -> float:
    ours, theirs = multiprocessing.Pipe()
    listener = multiprocessing.Process(target=_listen, args=(way.ports, subscribers, theirs))
    listener.start()
    ours.recv()
    with socket.create_connection((HOST, way.ports[0])) as client:
        began = time.monotonic()
        sent = _flood(client, PIPELINED if is_pipelined else 1, FLOOD_S)
        ours.send(sent)
        ended: float = ours.recv()
    ours.send(None)
    listener.join()
    return sent * subscribers / (ended - began)


def measure(found: Sequence[Way], counts: Sequence[int], *, rounds: int) -> Iterator[Measured]:
    """Each way in turn, as often as there are rounds."""
    for subscribers in counts:
        for is_pipelined in (False, True):
            rates: dict[str, list[float]] = {way.name: [] for way in found}
            for _ in range(rounds):
                for way in found:
                    rate = _one_round(way, subscribers, is_pipelined=is_pipelined)
                    rates[way.name].append(rate)
            yield Measured(subscribers, is_pipelined, rates)


def table(measured: Sequence[Measured]) -> str:
    """Medians, and what part of a single Redis's they are in the same rounds."""
    names = list(measured[0].rates)
    lines = [
        f"| subscribers | PUBLISH | {' | '.join(names)} |",
        "| ---: | --- |" + " ---: |" * len(names),
    ]
    for one in measured:
        cells = []
        for name in names:
            cell = f"{statistics.median(one.rates[name]):,.0f}"
            if name != "Redis":
                pairs = zip(one.rates[name], one.rates["Redis"], strict=True)
                cell += f" ({statistics.median(mine / its for mine, its in pairs):.2f}x)"
            cells.append(cell)
        kind = "pipelined" if one.is_pipelined else "plain"
        lines.append(f"| {one.subscribers:,} | {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)
