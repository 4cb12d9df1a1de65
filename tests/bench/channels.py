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
from . import redis
from .rounds import cpu_s, idle_cpu_percent

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from pathlib import Path

    from ..chaos.processes import Processes

OURS = "ours, three nodes"
CHANNEL = b"bench"
UNHEARD = b"nobody listens"
PAYLOAD = bytes(32)
PIPELINED = 100
START_S = 30.0
FLOOD_S = 3.0
STUCK_S = 30.0  # Nothing has come for so long: nothing will.
_MANY_CLIENTS = ("--maxclients", "20000")

MESSAGE_BYTES = len(redis.command(b"message", CHANNEL, PAYLOAD))
CONFIRMATION_BYTES = len(redis.command(b"subscribe", CHANNEL)) + len(b":1\r\n")


class _Incomplete(Exception):
    """Not everybody got everything."""


@dataclass(frozen=True, slots=True)
class Way:
    """Servers to publish through and to listen at."""

    name: str
    ports: Sequence[int]
    pids: Sequence[int]  # In the same order.


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
    single, *members = (redis.free_port(rng) for _ in range(4))
    pids = [redis.start(processes, directory, single, *_MANY_CLIENTS).pid]
    for place, port in enumerate(members):
        options = (*_MANY_CLIENTS, "--cluster-enabled", "yes", "--cluster-port", str(port + 1))
        pids.append(redis.start(processes, directory, port, *options).pid)
        first, last = 16384 * place // 3, 16384 * (place + 1) // 3 - 1
        with redis.connected(port) as client:
            client.ask(b"CLUSTER", b"ADDSLOTSRANGE", b"%d" % first, b"%d" % last)
            client.ask(
                b"CLUSTER",
                b"MEET",
                redis.HOST.encode(),
                b"%d" % members[0],
                b"%d" % (members[0] + 1),
            )
    _wait_until_formed(members)
    yield [
        Way(OURS, [node.any_key_port for node in ours.nodes.values()], ours.pids),
        Way("Redis", [single], pids[:1]),
        Way("Redis Cluster", members, pids[1:]),
    ]


def _wait_until_formed(ports: Sequence[int]) -> None:
    deadline = time.monotonic() + START_S
    while not all(map(_is_formed, ports)):
        assert time.monotonic() < deadline, "the Redis Cluster does not form"
        time.sleep(0.05)


def _is_formed(port: int) -> bool:
    with redis.connected(port) as client:
        told = client.ask(b"CLUSTER", b"INFO")
    assert isinstance(told, bytes)
    return b"cluster_state:ok" in told and b"cluster_known_nodes:3" in told


# --- Load.


def _listen(ports: Sequence[int], subscribers: int, pipe: Connection) -> None:
    """In a process of its own: told a number of messages, says when all have all of them."""
    try:
        poll = _subscribed(ports, subscribers)
        pipe.send(None)
        poll.register(pipe, selectors.EVENT_READ)
        _count(poll, subscribers, pipe)
    except (OSError, _Incomplete) as error:
        pipe.send(str(error))


def _count(poll: selectors.BaseSelector, subscribers: int, pipe: Connection) -> None:
    got, expected, buffer = 0, -1, bytearray(1 << 18)
    while True:
        ready = poll.select(STUCK_S if expected >= 0 else None)
        if not ready:
            raise _Incomplete(f"{(expected - got) // MESSAGE_BYTES:,} messages do not come")
        for key, _ in ready:
            if key.fileobj is pipe:
                messages = pipe.recv()
                if messages is None:
                    return
                expected = messages * subscribers * MESSAGE_BYTES
                continue
            size = key.data(buffer)
            if not size:
                raise _Incomplete("a subscriber was cut off")
            got += size
        if got == expected:
            pipe.send(time.monotonic())
            got, expected = 0, -1


def _subscribed(ports: Sequence[int], subscribers: int) -> selectors.BaseSelector:
    """Connections spread evenly over the ports, each with its subscription confirmed."""
    poll = selectors.DefaultSelector()
    clients: list[socket.socket] = []
    for place in range(subscribers):
        client = socket.create_connection((redis.HOST, ports[place % len(ports)]))
        client.sendall(redis.command(b"SUBSCRIBE", CHANNEL))
        clients.append(client)
    for client in clients:
        left = CONFIRMATION_BYTES
        while left:
            left -= len(client.recv(left))
        client.setblocking(False)  # noqa: FBT003 - so it is in the standard library.
        poll.register(client, selectors.EVENT_READ, client.recv_into)
    return poll


def _flood(client: socket.socket, channel: bytes, per_trip: int, seconds: float) -> int:
    """Publish for a while; how many messages."""
    sent = 0
    until = time.monotonic() + seconds
    batch = redis.command(b"PUBLISH", channel, PAYLOAD) * per_trip
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
    _told(ours, way)
    with socket.create_connection((redis.HOST, way.ports[0])) as client:
        began = time.monotonic()
        sent = _flood(client, CHANNEL, PIPELINED if is_pipelined else 1, FLOOD_S)
        ours.send(sent)
        took_s = _told(ours, way) - began
    ours.send(None)
    listener.join()
    return sent * subscribers / took_s


def _told(pipe: Connection, way: Way) -> float:
    """What the listening process has to say: when it was done, or what is wrong."""
    told = pipe.recv()
    if type(told) is str:
        raise _Incomplete(f"{way.name}: {told}")
    return told or 0.0


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


def unheard(way: Way) -> str:
    """A flood of a channel that nobody listens to, and what it costs the other nodes, in words."""
    others = way.pids[1:]
    idle = idle_cpu_percent(others, FLOOD_S)
    flooded, used_s = 0, cpu_s(others)
    with (
        redis.connected(way.ports[-1]) as listener,
        socket.create_connection((redis.HOST, way.ports[0])) as client,
    ):
        listener.ask(b"SUBSCRIBE", CHANNEL)  # To another one somebody does.
        flooded = _flood(client, UNHEARD, PIPELINED, FLOOD_S)
    busy = 100 * (cpu_s(others) - used_s) / FLOOD_S
    return (
        f"Nobody listens: {way.name}, {flooded / FLOOD_S:,.0f} messages per second; the other "
        f"nodes use {busy:.1f} % of a core together, and {idle:.1f} % with nothing to do."
    )


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
