"""Commands of every type on three nodes of ours, beside one Redis that syncs its log for each turn
of its loop (`appendfsync always`) and beside etcd.

The load goes to the leader of database 1 of ours, to database 1 of Redis and, as a Put of the same
shape, to etcd's leader. In each round each kind of command has three turns: first our SET, which it
is compared with, then the kind at ours, then at Redis. etcd's Put is measured once in a round.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ..chaos.cluster import Cluster
from ..chaos.etcd import EtcdCluster
from ..chaos.processes import Process, Processes, free_ports
from . import redis
from .kinds import SET, Kind
from .rounds import EtcdWay, RespWay, Sample, Way, calibrated, leader_way, one_round

if TYPE_CHECKING:
    from pathlib import Path

    from .generators import Shape

SIZE = 3
QUICK = ("LPOP", "EVAL", "MULTI of 5")
OF_SET_MIN = 0.7  # What writes of every kind are to reach of SET's rate.


@dataclass(frozen=True, slots=True)
class Servers:
    """All that are measured."""

    etcd: Way
    ours: Way
    redis: Way


@dataclass(slots=True)
class Compared:
    """All rounds of one kind."""

    kind: Kind
    shape: Shape
    ours: list[Sample] = field(default_factory=list)
    redis: list[Sample] = field(default_factory=list)
    base: list[Sample] = field(default_factory=list)  # Our SET just before.
    etcd: list[Sample] = field(default_factory=list)  # Its Put in the same round.

    def rate(self, samples: Sequence[Sample]) -> float:
        return statistics.median(one.load.rate for one in samples)

    def ratio(self, others: Sequence[Sample]) -> float:
        """Median over the rounds of our rate by the other's in the same round."""
        pairs = zip(self.ours, others, strict=True)
        return statistics.median(one.load.rate / two.load.rate for one, two in pairs)

    @property
    def is_short(self) -> bool:
        """It writes, and writes less than it should. One that writes ten keys is ten writes."""
        return 0 < self.kind.writes * self.ratio(self.base) < OF_SET_MIN


class _OneProcess:
    """A server that is one process."""

    def __init__(self, process: Process) -> None:
        self.pids = [process.pid]


def start(processes: Processes, directory: Path, fsync: str) -> Servers:
    """Starts all of them."""
    rng = random.Random()
    etcd = EtcdCluster(
        processes, directory / "etcd", free_ports(EtcdCluster.ports(SIZE), rng), SIZE
    )
    etcd.wait_ready()
    ours = Cluster(processes, directory / "ours", rng=rng, size=SIZE, options=("--fsync", fsync))
    ours.wait_settled()
    port = redis.free_port(rng)
    kept = ("--appendonly", "yes", "--appendfsync", "always")
    process = redis.start(processes, directory, port, *kept)
    return Servers(
        EtcdWay(etcd, directory),
        leader_way(ours, "ours"),
        RespWay(_OneProcess(process), "Redis", lambda: port, database=1),
    )


def measure(
    servers: Servers,
    load: Shape,
    kinds: Sequence[Kind],
    *,
    rounds: int,
    seconds: float,
    progress: Callable[[str], None],
) -> list[Compared]:
    """All kinds with that load, SET first; `progress` is told of each turn."""
    found = [Compared(kind, replace(load, op=kind.name)) for kind in (SET, *kinds)]
    sample = _sampler(seconds)
    for _ in range(rounds):
        put = sample(servers.etcd, load)
        for one in found:
            if one.kind is not SET:
                one.base.append(sample(servers.ours, load))
            one.ours.append(sample(servers.ours, one.shape))
            one.redis.append(sample(servers.redis, one.shape))
            one.etcd.append(put)
            progress(
                f"{one.kind.name}, {load.clients} clients x {load.pipeline}: "
                f"ours {one.ours[-1].load.rate:,.0f}/s, Redis {one.redis[-1].load.rate:,.0f}/s"
            )
    found[0].base = found[0].ours
    return found


def _sampler(seconds: float) -> Callable[[Way, Shape], Sample]:
    """Takes samples of about that length; what was seen before tells how much that is."""
    rates: dict[tuple[str, Shape], float] = {}

    def sample(way: Way, shape: Shape) -> Sample:
        which = way.name, shape
        if which not in rates:
            rates[which] = calibrated(way, shape, seconds)
        taken = one_round(way, shape, shape.whole(rates[which] * seconds))
        rates[which] = taken.load.rate
        return taken

    return sample


def table(compared: Sequence[Compared]) -> str:
    """As Markdown: medians of rates, and of ratios within a round."""
    lines = [
        f"Writes are to reach {OF_SET_MIN:.0%} of SET's rate, counted by keys written where one "
        "command writes several; `short` is said of those that do not.",
        "",
        "| command | clients | pipeline | ours | Redis | of Redis's | of our SET's | "
        "of etcd's Put | our CPU us | client's core | |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    return "\n".join([*lines, *map(line, compared)])


def line(one: Compared) -> str:
    """One row of it."""
    server_us = statistics.median(sample.server_us for sample in one.ours)
    client = max(sample.client_us * sample.load.rate / 1e4 for sample in (*one.ours, *one.redis))
    many = f" (x {one.kind.writes})" if one.kind.writes > 1 else ""
    cells = [
        one.kind.name,
        str(one.shape.clients),
        str(one.shape.pipeline),
        f"{one.rate(one.ours):,.0f}",
        f"{one.rate(one.redis):,.0f}",
        f"{one.ratio(one.redis):.2f}x",
        f"{one.ratio(one.base):.2f}x{many}",
        f"{one.ratio(one.etcd):.2f}x",
        f"{server_us:.1f}",
        f"{client:.0f} %",
        "short" if one.is_short else "",
    ]
    return f"| {' | '.join(cells)} |"
