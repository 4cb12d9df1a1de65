"""Clients in Python: tasks of one process that each await one command after the other.

`trimaran.Client` against three nodes, etcd 3.4 through grpcio, and redis-py's asyncio cluster
client against a Redis Cluster of three masters that sync their log always and have no replicas.
Each round of each contender is a process of its own (`sdk_client.py`), which counts its own CPU and
that of the servers.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..chaos.cluster import Cluster
from ..chaos.etcd import EtcdCluster
from ..chaos.processes import free_ports
from . import redis
from .parse import Load, Unreadable
from .rounds import Sample

if TYPE_CHECKING:
    from pathlib import Path

    from ..chaos.processes import Processes

SIZE = 3
ETCD = "etcd"
OPS = ("SET", "GET")
ROUND_S_MAX = 120.0
FACTOR_MIN = 3.0  # Of etcd's rate, with MANY tasks;
MANY = 500
P50_MAX = 1.3  # of its p50, with one;
CLIENT_US_MAX = 25.0  # and of a command's CPU in the client, with MANY tasks.


@dataclass(frozen=True, slots=True)
class Contender:
    """A client and the servers it talks to."""

    name: str
    endpoint: Callable[[], str]  # As `sdk_client.py` takes it; asked before each round.
    pids: Sequence[int]

    def run(self, op: str, tasks: int, seconds: float) -> dict[str, float]:
        """What its process tells."""
        argv = [sys.executable, "-m", "tests.bench.sdk_client", self.endpoint(), op, str(tasks)]
        argv += [str(seconds), ",".join(map(str, self.pids))]
        done = subprocess.run(
            argv, capture_output=True, text=True, check=False, timeout=seconds + ROUND_S_MAX
        )
        if done.returncode:
            raise Unreadable(f"`{' '.join(argv)}` ended with {done.returncode}: {done.stderr}")
        told: dict[str, float] = json.loads(done.stdout)
        return told

    def round(self, op: str, tasks: int, seconds: float) -> Sample:
        told = self.run(op, tasks, seconds)
        load = Load(int(told["commands"]), told["rate"], told["p50_ms"], told["p99_ms"])
        return Sample(load, told["server_us"], told["client_us"])


@dataclass(slots=True)
class Measured:
    """All rounds of one command with so many tasks: `samples[contender][round]`."""

    op: str
    tasks: int
    samples: dict[str, list[Sample]] = field(default_factory=dict)

    def median(self, name: str, value: Callable[[Sample], float]) -> float:
        return statistics.median(map(value, self.samples[name]))

    def ratio(self, name: str, value: Callable[[Sample], float]) -> float:
        """Median over the rounds of `value` by that of etcd in the same round."""
        pairs = zip(self.samples[name], self.samples[ETCD], strict=True)
        return statistics.median(value(one) / value(two) for one, two in pairs)


def start(processes: Processes, directory: Path, fsync: str) -> list[Contender]:
    """All of them, running, with every key written once."""
    rng = random.Random()
    etcd = EtcdCluster(
        processes, directory / "etcd", free_ports(EtcdCluster.ports(SIZE), rng), SIZE
    )
    masters = redis.start_cluster(
        processes, directory, rng, SIZE, "--appendonly", "yes", "--appendfsync", "always"
    )
    ours = Cluster(processes, directory / "ours", rng=rng, size=SIZE, options=("--fsync", fsync))
    ours.wait_settled()
    etcd.wait_ready()
    first = next(iter(ours.nodes.values()))
    port = first.base_port + 2
    found = [
        Contender(
            ETCD, lambda: f"etcd:{etcd.members[etcd.status().leader].client_port}", etcd.pids
        ),
        Contender("SDK, db 1", lambda: f"trimaran:{port}:1", ours.pids),
        Contender("SDK, db 0", lambda: f"trimaran:{port}:0", ours.pids),
        Contender(
            "redis-py, cluster",
            lambda: f"redis-cluster:{masters[0].port}",
            [one.process.pid for one in masters],
        ),
    ]
    for contender in found:
        contender.run("FILL", 1, 1.0)
    return found


def measure(
    contenders: Sequence[Contender],
    ops: Sequence[str],
    tasks: Sequence[int],
    *,
    rounds: int,
    seconds: float,
) -> Iterator[Measured]:
    """One after the other, as they come; within a round everybody has a turn."""
    for count in tasks:
        for op in ops:
            one = Measured(op, count)
            for _ in range(rounds):
                for contender in contenders:
                    sample = contender.round(op, count, seconds)
                    one.samples.setdefault(contender.name, []).append(sample)
            yield one


# --- What came of it, as Markdown.


def _rate(sample: Sample) -> float:
    return sample.load.rate


def _p50(sample: Sample) -> float:
    return sample.load.p50_ms


def line(one: Measured) -> str:
    """One for the screen while it runs."""
    told = [
        f"{name} {one.median(name, _rate):,.0f}/s {one.median(name, _p50):.2f} ms "
        f"{one.median(name, lambda sample: sample.client_us):.0f} us"
        for name in one.samples
    ]
    return f"{one.op} {one.tasks:3} tasks: " + ", ".join(told)


def table(measured: Sequence[Measured]) -> str:
    """Rates, latencies, CPU of the client and of the servers; and what misses its bound."""
    parts = [
        ("Commands per second (ratio to etcd in the same rounds)", _rate_cell),
        ("Latency in ms: p50 / p99 (p50 by etcd's)", _latency_cell),
        ("CPU microseconds per command: client / all servers", _cpu_cell),
    ]
    names = list(measured[0].samples)
    lines: list[str] = []
    for title, cell in parts:
        lines += [f"### {title}", "", f"| command | tasks | {' | '.join(names)} |"]
        lines.append("| --- | ---: |" + " ---: |" * len(names))
        for one in measured:
            cells = [cell(one, name) for name in names]
            lines.append(f"| {one.op} | {one.tasks} | {' | '.join(cells)} |")
        lines.append("")
    missed = [text for one in measured for text in misses(one)]
    lines += ["Short of the bounds: " + ("; ".join(missed) if missed else "nothing") + "."]
    return "\n".join(lines)


def misses(one: Measured) -> list[str]:
    """Each bound that the SDK does not keep, in words."""
    found: list[str] = []
    for name in one.samples:
        if not name.startswith("SDK"):
            continue
        what = f"{one.op} with {one.tasks} tasks, {name[5:]}"
        if one.tasks == 1 and (factor := one.ratio(name, _p50)) > P50_MAX:
            found.append(f"{what}: p50 is {factor:.2f}x etcd's")
        if one.tasks == MANY:
            if (factor := one.ratio(name, _rate)) < FACTOR_MIN:
                found.append(f"{what}: {factor:.2f}x etcd's rate")
            if (cost := one.median(name, lambda sample: sample.client_us)) >= CLIENT_US_MAX:
                found.append(f"{what}: {cost:.1f} us in the client")
    return found


def _rate_cell(one: Measured, name: str) -> str:
    rate = f"{one.median(name, _rate):,.0f}"
    return rate if name == ETCD else f"{rate} ({one.ratio(name, _rate):.2f}x)"


def _latency_cell(one: Measured, name: str) -> str:
    p99 = one.median(name, lambda sample: sample.load.p99_ms)
    cell = f"{one.median(name, _p50):.2f} / {p99:.2f}"
    return cell if name == ETCD else f"{cell} ({one.ratio(name, _p50):.2f}x)"


def _cpu_cell(one: Measured, name: str) -> str:
    client = one.median(name, lambda sample: sample.client_us)
    return f"{client:.1f} / {one.median(name, lambda sample: sample.server_us):.1f}"
