"""Who is measured, and in which order: alternating rounds, so that a slow minute of the machine
falls on everybody.

A `Way` is one path of load into one of the clusters. For each shape of load every way is
calibrated once and then they take turns; ratios are made within a turn and never across.
"""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..chaos.processes import cpu_seconds_of
from . import redis
from .generators import Shape, h2load, redis_benchmark, transactions
from .kinds import BY_NAME
from .parse import Unreadable

if TYPE_CHECKING:
    from ..chaos.cluster import Cluster
    from ..chaos.etcd import EtcdCluster
    from .parse import Load

CALIBRATION_S = 1.0


class Way(Protocol):
    """One path of load; `pids` are all the server processes it costs."""

    name: str

    @property
    def pids(self) -> Sequence[int]: ...

    def prepare(self, shape: Shape, requests: int) -> Callable[[], Load]:
        """Finds whom to send to, puts there what the load takes, and returns what sends it."""
        ...

    def verify(self, load: Load, shape: Shape) -> None:
        """Raises when the load did not do what it says."""
        ...


@dataclass(frozen=True, slots=True)
class Sample:
    """One round of one way."""

    load: Load
    server_us: float  # CPU microseconds per command, all server processes together.
    client_us: float  # The same of the load generator.


@dataclass(slots=True)
class Result:
    """All rounds of one shape: `samples[way][round]`."""

    shape: Shape
    samples: dict[str, list[Sample]] = field(default_factory=dict)

    def median(self, way: str, value: Callable[[Sample], float]) -> float:
        return statistics.median(map(value, self.samples[way]))

    def ratio(self, way: str, other: str) -> float:
        """Median over the rounds of rate / rate of the other in the same round."""
        pairs = zip(self.samples[way], self.samples[other], strict=True)
        return statistics.median(one.load.rate / two.load.rate for one, two in pairs)


@dataclass(slots=True)
class EtcdWay:
    """gRPC to the member that leads."""

    cluster: EtcdCluster
    scratch: Path
    name: str = "etcd"
    _revision: int = 0

    @property
    def pids(self) -> Sequence[int]:
        return self.cluster.pids

    def prepare(self, shape: Shape, requests: int) -> Callable[[], Load]:
        status = self.cluster.status()
        self._revision = status.revision
        port = self.cluster.members[status.leader].client_port
        return lambda: h2load(shape, requests, port=port, scratch=self.scratch)

    def verify(self, load: Load, shape: Shape) -> None:
        # h2load sees HTTP 200 only; that the puts were done is seen from the revision.
        landed = self.cluster.status().revision - self._revision
        expected = load.commands if shape.op == "SET" else 0
        if landed != expected:
            raise RuntimeError(f"etcd: {load.commands} x {shape.op}, but {landed} revisions")


class Servers(Protocol):
    """Some processes that are one service."""

    @property
    def pids(self) -> Sequence[int]: ...


@dataclass(slots=True)
class RespWay:
    """RESP to one port; which, is asked before each round."""

    servers: Servers
    name: str
    port: Callable[[], int]
    options: Sequence[str] = ()
    database: int = 0

    @property
    def pids(self) -> Sequence[int]:
        return self.servers.pids

    def prepare(self, shape: Shape, requests: int) -> Callable[[], Load]:
        port, kind = self.port(), BY_NAME[shape.op]
        with redis.connected(port, self.database) as client:
            kind.prepare(client, requests)
        if kind.is_transaction:
            return lambda: transactions(shape, requests, port=port, database=self.database)
        selected = ["--dbnum", str(self.database)] if self.database else []
        options = [*self.options, *selected]
        return lambda: redis_benchmark(
            shape, requests, port=port, options=options, words=kind.words
        )

    def verify(self, load: Load, shape: Shape) -> None:
        # redis-benchmark ends with an error at the first error reply; nil is none.
        with redis.connected(self.port(), self.database) as client:
            BY_NAME[shape.op].verify(client)


def leader_way(cluster: Cluster, name: str = "db 1") -> RespWay:
    """One shard at its leader: what compares like with like."""

    def port() -> int:
        leader = cluster.leader_of(cluster.shard_of_database(1))
        return cluster.nodes[leader].any_key_port

    return RespWay(cluster, name, port, database=1)


def our_ways(cluster: Cluster) -> list[RespWay]:
    """One shard at its leader, all shards through one node, all shards each at its leader."""
    first = next(iter(cluster.nodes.values()))
    return [
        leader_way(cluster),
        RespWay(cluster, "db 0", lambda: first.any_key_port),
        RespWay(cluster, "cluster", lambda: first.cluster_port, ["--cluster", "--threads", "1"]),
    ]


def usable(ways: Sequence[Way]) -> tuple[list[Way], tuple[str, ...]]:
    """The ways that take a few commands, and a line for each that does not."""
    taken: list[Way] = []
    left_out: list[str] = []
    for way in ways:
        try:
            way.prepare(Shape("SET", 1, 1), 10)()
        except Unreadable as error:
            left_out.append(f"{way.name}: not measured. {error}")
        else:
            taken.append(way)
    return taken, tuple(left_out)


def measure(
    ways: Sequence[Way], shapes: Sequence[Shape], *, rounds: int, seconds: float
) -> Iterator[Result]:
    """One result per shape, as they come."""
    for shape in shapes:
        result = Result(shape)
        rates = {way.name: calibrated(way, shape, seconds) for way in ways}
        for _ in range(rounds):
            for way in ways:
                sample = one_round(way, shape, shape.whole(rates[way.name] * seconds))
                rates[way.name] = sample.load.rate
                result.samples.setdefault(way.name, []).append(sample)
        yield result


def idle_cpu_percent(pids: Sequence[int], seconds: float) -> float:
    """Share of one core the processes use while nobody asks them anything."""
    before, started = cpu_s(pids), time.monotonic()
    time.sleep(seconds)
    return 100 * (cpu_s(pids) - before) / (time.monotonic() - started)


def calibrated(way: Way, shape: Shape, seconds: float) -> float:
    """Commands per second, roughly; also warms up both ends."""
    enough_s = min(CALIBRATION_S, seconds / 2)
    requests = shape.whole(200)
    while True:
        rate = way.prepare(shape, requests)().rate
        took_s = requests / rate
        if took_s >= enough_s:
            return rate
        # Some generators end at the next tick of a slow clock, so a short run says too little.
        requests = shape.whole(requests * min(max(enough_s / took_s, 2), 16))


def one_round(way: Way, shape: Shape, requests: int) -> Sample:
    """One sample; what is put there before is not counted."""
    send = way.prepare(shape, requests)
    server_s, client_s = cpu_s(way.pids), _client_cpu_s()
    load = send()
    server_s, client_s = cpu_s(way.pids) - server_s, _client_cpu_s() - client_s
    way.verify(load, shape)
    per_command = 1e6 / load.commands
    return Sample(load, server_us=server_s * per_command, client_us=client_s * per_command)


def cpu_s(pids: Sequence[int]) -> float:
    """User and system time of those processes so far."""
    return sum(cpu_seconds_of(Path(f"/proc/{pid}/stat").read_text()) for pid in pids)


def _client_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)  # Only what has ended and was waited for.
    return used.ru_utime + used.ru_stime
