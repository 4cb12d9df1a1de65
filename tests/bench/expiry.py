"""A million keys due in one second: what others notice while they are removed.

Two clients, one GET and one SET at a time, ask the node that leads database 1 (one shard), first
while the keys wait and then while they go. The clock runs until DBSIZE says that all are gone.
"""

from __future__ import annotations

import socket
import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..chaos.processes import cpu_seconds_of
from .parse import percentile

if TYPE_CHECKING:
    from ..chaos.cluster import Cluster

DATABASE = 1
PIPELINE = 1_000  # Keys loaded at a time.
PAUSE_S = 0.002  # Between an answer and a probe's next command.
BEFORE_S = 8.0  # How long the probes run before anything is due.
REST_S = 4.0  # After the load: snapshots it made due are taken.
LOOK_S = 0.2
GONE_S_MAX = 300.0
PROBES = {"GET": [b"GET", b"probe"], "SET": [b"SET", b"probe", b"x"]}


@dataclass(frozen=True, slots=True)
class Latency:
    """Of one command, in milliseconds."""

    p50_ms: float
    p99_ms: float
    max_ms: float

    @classmethod
    def of(cls, times_ns: Sequence[int]) -> Latency:
        ascending = sorted(times_ns)
        return cls(
            percentile(ascending, 50) / 1e6, percentile(ascending, 99) / 1e6, ascending[-1] / 1e6
        )

    def __str__(self) -> str:
        return f"{self.p50_ms:.1f} / {self.p99_ms:.1f} / {self.max_ms:.1f}"


@dataclass(frozen=True, slots=True)
class Removal:
    """One run."""

    keys: int
    gone_s: float
    cpu_s: float  # Of all three nodes, meanwhile.
    before: dict[str, Latency]
    during: dict[str, Latency]


class _Connection:
    """The least of a client: commands out, the first bytes of replies in."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._lines = self._socket.makefile("rb")
        self.ask([b"SELECT", b"%d" % DATABASE])

    def ask(self, args: Sequence[bytes]) -> bytes:
        """The first line of the reply; a short string's second line is read too."""
        self.send(_resp(args))
        return self.line()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def line(self) -> bytes:
        line = self._lines.readline().rstrip()
        if line.startswith(b"-") or not line:
            raise RuntimeError(f"a node answered {line!r}")
        return self._lines.readline().rstrip() if line.startswith(b"$") else line

    def close(self) -> None:
        self._lines.close()
        self._socket.close()


class _Probe(threading.Thread):
    """One command at a time, again and again; `take` gives the times since it was last called."""

    def __init__(self, port: int, args: Sequence[bytes]) -> None:
        super().__init__(daemon=True)
        self._connection = _Connection(port)
        self._connection.ask([b"SET", b"probe", b"x"])
        self._data = _resp(args)
        self._times_ns: list[int] = []
        self._is_over = False

    def run(self) -> None:
        while not self._is_over:
            began_ns = time.perf_counter_ns()
            self._connection.send(self._data)
            self._connection.line()
            self._times_ns.append(time.perf_counter_ns() - began_ns)
            time.sleep(PAUSE_S)

    def take(self) -> list[int]:
        taken, self._times_ns = self._times_ns, []
        return taken

    def end(self) -> None:
        self._is_over = True
        self.join()
        self._connection.close()


def measure(cluster: Cluster, keys: int) -> Removal:
    """Load, wait, watch them go."""
    leader = cluster.leader_of(cluster.shard_of_database(DATABASE))
    port = cluster.nodes[leader].any_key_port
    control = _Connection(port)
    probes = {name: _Probe(port, args) for name, args in PROBES.items()}
    due_ms = int(time.time() * 1000) + _load_ms(keys)
    _load(control, keys, due_ms)
    _wait_until(due_ms / 1000 - BEFORE_S)
    for probe in probes.values():
        probe.start()
    _wait_until(due_ms / 1000 - 0.1)
    before = {name: Latency.of(probe.take()) for name, probe in probes.items()}
    cpu_before = _cpu_s(cluster)
    _wait_until(due_ms / 1000)
    _wait_until_gone(control)
    gone_s = time.time() - due_ms / 1000
    during = {name: Latency.of(probe.take()) for name, probe in probes.items()}
    cpu_s = _cpu_s(cluster) - cpu_before
    for probe in probes.values():
        probe.end()
    control.close()
    return Removal(keys, gone_s, cpu_s, before, during)


def table(runs: Sequence[Removal]) -> str:
    """Medians of the runs, as Markdown."""
    rows = [
        f"| {name} | {_middle([run.before[name] for run in runs])} | "
        f"{_middle([run.during[name] for run in runs])} |"
        for name in PROBES
    ]
    gone_s = statistics.median(run.gone_s for run in runs)
    cpu_s = statistics.median(run.cpu_s for run in runs)
    lines = [
        f"{runs[0].keys:,} keys of one database due in the same second; medians of {len(runs)}. "
        f"All gone after {gone_s:.1f} s, {cpu_s:.1f} s of CPU on three nodes, clients included.",
        "",
        "| one client each, p50 / p99 / max in ms | before | while they go |",
        "| --- | ---: | ---: |",
        *rows,
    ]
    return "\n".join(lines)


def _middle(latencies: Sequence[Latency]) -> Latency:
    return Latency(
        statistics.median(one.p50_ms for one in latencies),
        statistics.median(one.p99_ms for one in latencies),
        statistics.median(one.max_ms for one in latencies),
    )


def _load_ms(keys: int) -> int:
    """What loading takes at most, and the rest behind it."""
    return round(keys / 20_000 * 1000 + (REST_S + BEFORE_S) * 1000)


def _load(connection: _Connection, keys: int, due_ms: int) -> None:
    for start in range(0, keys, PIPELINE):
        numbers = range(start, min(start + PIPELINE, keys))
        connection.send(
            b"".join(_resp([b"SET", b"key:%d" % n, b"v", b"PXAT", b"%d" % due_ms]) for n in numbers)
        )
        for _ in numbers:
            connection.line()
    if time.time() > due_ms / 1000 - BEFORE_S - REST_S / 2:
        raise RuntimeError("loading took too long: some keys would be due before the probes run")


def _wait_until_gone(connection: _Connection) -> None:
    deadline = time.monotonic() + GONE_S_MAX
    while int(connection.ask([b"DBSIZE"])[1:]) > 1:  # The probes' own.
        if time.monotonic() > deadline:
            raise RuntimeError(f"keys are left {GONE_S_MAX:.0f} s after they were due")
        time.sleep(LOOK_S)


def _wait_until(wall_s: float) -> None:
    time.sleep(max(0.0, wall_s - time.time()))


def _cpu_s(cluster: Cluster) -> float:
    return sum(cpu_seconds_of(Path(f"/proc/{pid}/stat").read_text()) for pid in cluster.pids)


def _resp(args: Sequence[bytes]) -> bytes:
    elements = (b"$%d\r\n%b\r\n" % (len(argument), argument) for argument in args)
    return b"*%d\r\n" % len(args) + b"".join(elements)
