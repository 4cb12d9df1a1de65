"""Unmodified client libraries at work while nodes are killed; what each of them makes of it.

The libraries reconnect, follow redirections and send again as they do by themselves. Every
acknowledged write must be there at the end, a call must end, and an error must be one that tells
its caller what to do. What a library sent twice is counted: only those may have something there
that do send again by themselves. The libraries stand in `workers/`; Node.js and what runs in it
are installed by .ci/oracle.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..clients.running import INSTALLED, OLDEST_REDIS_PY, node_program
from .client_verdict import Verdict, judge_client
from .cluster import Cluster
from .outcome import Outcome
from .processes import Process, Processes
from .resp import Connection, Refused, Uncertain

if TYPE_CHECKING:
    from .workers.ledger import Plan

WORKERS = Path(__file__).with_name("workers")
READY_TIMEOUT_S = 30.0
END_TIMEOUT_S = 60.0  # A call that takes longer than this is one that hangs.
READ_TIMEOUT_S = 30.0
WRITTEN_DATABASE = 1


@dataclass(frozen=True, slots=True)
class Client:
    """One row of the table: a library, how it is opened and where."""

    name: str
    program: str  # A module or script of `workers`.
    kind: str
    node: int  # Whose port it is given.
    door: int  # 0: any key; 1: cluster.
    db: int = 0
    is_oldest: bool = False
    # Whether the library, opened so, sends a command again by itself when its connection was cut.
    sends_again: bool = True

    @property
    def prefix(self) -> str:
        return self.name.replace(" ", "-").replace(",", "")


CLIENTS = (
    Client("redis-py Redis", "redis_py", "single", 0, 0, db=1),
    Client("redis-py Redis, no retries", "redis_py", "no-retries", 1, 0, sends_again=False),
    Client("redis-py asyncio Redis", "redis_py", "asyncio", 2, 0),
    Client("redis-py RedisCluster", "redis_py", "cluster", 0, 1),
    Client("redis-py asyncio RedisCluster", "redis_py", "asyncio-cluster", 1, 0),
    Client(
        *("redis-py 5 Redis", "redis_py", "single", 2, 0),
        db=1,
        is_oldest=True,
        sends_again=False,
    ),
    Client("redis-py 5 RedisCluster", "redis_py", "cluster", 1, 1, is_oldest=True),
    Client("ioredis Redis", "ioredis.cjs", "single", 0, 0),
    Client("ioredis Redis, no resend", "ioredis.cjs", "no-retries", 1, 0, db=1, sends_again=False),
    Client("ioredis Cluster", "ioredis.cjs", "cluster", 2, 1),
    Client("node-redis createClient", "node_redis.cjs", "single", 2, 0, db=1, sends_again=False),
    Client("node-redis createCluster", "node_redis.cjs", "cluster", 0, 0, sends_again=False),
    Client("redis-cli", "redis_cli", "single", 0, 0, db=1, sends_again=False),
    Client("redis-benchmark", "redis_benchmark", "single", 0, 0, db=2, sends_again=False),
    Client("redis-cli -c", "redis_cli", "cluster", 1, 1, sends_again=False),
)


async def clients(name: str, directory: Path, *, seconds: float, seed: int) -> Outcome:
    """All clients at once against one cluster whose nodes are killed one after the other."""
    outcome = Outcome(name)
    rng = random.Random(f"{name} {seed}")
    shutil.rmtree(directory, ignore_errors=True)
    with Processes() as processes:
        cluster = Cluster(processes, directory, rng=rng)
        await asyncio.to_thread(cluster.wait_settled)
        work = _Work(cluster, processes, directory, rng)
        try:
            await work.start()
            outcome.faults = await _kill(cluster, rng, time.monotonic() + seconds)
            await work.stop()
            verdicts = [await work.judge(client) for client in CLIENTS]
        except (RuntimeError, TimeoutError) as error:
            outcome.violations += [f"did not heal: {error!r}", cluster.tails()]
            return outcome
    for verdict in verdicts:
        outcome.violations += verdict.violations
    outcome.notes.append(f"{outcome.faults} kills in {seconds:.0f} s")
    outcome.notes.append(f"{sum(one.calls for one in verdicts)} calls of {len(CLIENTS)} clients")
    twice = {one.client: one.twice for one in verdicts if one.twice}
    outcome.notes.append(
        "applied twice after a library sent again: "
        + (", ".join(f"{client} {count}" for client, count in twice.items()) or "nothing")
    )
    print_table(verdicts)
    return outcome


async def _kill(cluster: Cluster, rng: random.Random, deadline: float) -> int:
    """kill -9 of a node, now and then of the one that leads the written database; and back."""
    kills = 0
    shard = cluster.shard_of_database(WRITTEN_DATABASE)
    while time.monotonic() < deadline:
        name = rng.choice(sorted(cluster.nodes))
        if rng.random() < 0.5:
            name = await asyncio.to_thread(cluster.leader_of, shard)
        cluster.nodes[name].process.kill()
        kills += 1
        await asyncio.sleep(rng.uniform(0.2, 3.0))
        cluster.nodes[name].process.start()
        await asyncio.to_thread(cluster.wait_ready, READY_TIMEOUT_S)
        await asyncio.sleep(rng.uniform(0.0, 2.0))
    return kills


class _Work:
    """The workers' processes and what they wrote."""

    def __init__(
        self, cluster: Cluster, processes: Processes, directory: Path, rng: random.Random
    ) -> None:
        self._cluster = cluster
        self._processes = processes
        self._directory = directory
        self._seeds = {client.name: rng.randrange(2**31) for client in CLIENTS}
        self._running: dict[str, Process] = {}
        self._hung: set[str] = set()

    async def start(self) -> None:
        """Starts all, and waits until each has written something."""
        for client in CLIENTS:
            argv = self._argv(client)
            output = self._directory / f"{client.prefix}.output"
            self._running[client.name] = self._processes.start(client.name, argv, output)
        for client in CLIENTS:
            await self._read(client, f"{client.prefix}:0:counter", has_to_be_there=True)

    def _argv(self, client: Client) -> list[str]:
        nodes = [*self._cluster.nodes.values()]
        plan: Plan = {
            "kind": client.kind,
            "port": nodes[client.node].base_port + client.door,
            "ports": [node.base_port + client.door for node in nodes],
            "db": client.db,
            "prefix": client.prefix,
            "seed": self._seeds[client.name],
            "result": str(self._result(client)),
        }
        if client.program.endswith(".cjs"):
            path = f"NODE_PATH={INSTALLED / 'node_modules'}"
            argv = ["env", path, node_program(), str(WORKERS / client.program)]
        else:
            path = f"PYTHONPATH={OLDEST_REDIS_PY if client.is_oldest else ''}"
            argv = ["env", path, sys.executable, "-m", f"tests.chaos.workers.{client.program}"]
        return [*argv, json.dumps(plan)]

    def _result(self, client: Client) -> Path:
        return self._directory / f"{client.prefix}.json"

    async def stop(self) -> None:
        """SIGTERM to all; who does not end after a call's time hangs."""
        for process in self._running.values():
            if process.is_running:
                os.kill(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + END_TIMEOUT_S
        while any(process.is_running for process in self._running.values()):
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(0.05)
        for name, process in self._running.items():
            if process.is_running:
                self._hung.add(name)
                process.kill()

    async def judge(self, client: Client) -> Verdict:
        if client.name in self._hung:
            return Verdict(client.name, violations=[f"{client.name}: a call never ended"])
        if not self._result(client).exists():
            tail = self._running[client.name].tail()
            return Verdict(client.name, violations=[f"{client.name}: it died\n{tail}"])
        told = json.loads(self._result(client).read_text())
        keys: Sequence[str] = [*told["counters"], *told["logs"], *told["registers"]]
        found = {key: await self._read(client, key) for key in keys}
        return judge_client(client.name, told, found, sends_again=client.sends_again)

    async def _read(
        self, client: Client, key: str, *, has_to_be_there: bool = False
    ) -> bytes | None:
        """What is there, by a client that is none of theirs; tried until somebody answers."""
        nodes = [*self._cluster.nodes.values()]
        async with asyncio.timeout(READ_TIMEOUT_S):
            while True:
                for node in nodes:
                    try:
                        port = node.any_key_port
                        connection = await Connection.open(port, client.db, READ_TIMEOUT_S)
                        reply = await connection.call([b"GET", key.encode()], READ_TIMEOUT_S)
                    except (Refused, Uncertain):
                        pass
                    else:
                        connection.close()
                        assert reply is None or isinstance(reply, bytes)
                        if reply is not None or not has_to_be_there:
                            return reply
                    await asyncio.sleep(0.05)


def print_table(verdicts: Sequence[Verdict]) -> None:
    print("\n| client | sends again | calls | slowest | lost | twice | errors |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for client, one in zip(CLIENTS, verdicts, strict=True):
        errors = ", ".join(f"{count} {kind}" for kind, count in one.errors.most_common()) or "none"
        again = "yes" if client.sends_again else "no"
        print(
            f"| {one.client} | {again} | {one.calls} | {one.slowest_ms} ms | {one.lost} |"
            f" {one.twice} | {errors} |"
        )
    print(flush=True)
