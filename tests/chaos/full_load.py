"""Full load on every core for minutes: nobody may be taken for dead because it is busy."""

from __future__ import annotations

import asyncio
import random
import shutil
import time
from typing import TYPE_CHECKING

from . import tools
from .cluster import Cluster
from .outcome import Outcome
from .processes import Process, Processes

if TYPE_CHECKING:
    from pathlib import Path

# Clients, pipeline, options: what is heavy in different ways. One after the other, round and round.
LOADS = (
    (256, 16, ("--dbnum", "1", "-t", "set")),
    (50, 1, ("-t", "set")),
    (256, 16, ("-t", "set", "-d", "1024")),
    (256, 16, ("-t", "get")),
)
LOAD_S = 10.0


async def full_load(name: str, directory: Path, *, seconds: float, seed: int) -> Outcome:
    """Loads every node's any-key door; the terms must be the same afterwards."""
    tools.ensure(["redis-benchmark"])
    outcome = Outcome(name)
    rng = random.Random(f"{name} {seed}")
    shutil.rmtree(directory, ignore_errors=True)
    with Processes() as processes:
        cluster = Cluster(processes, directory / "ours", rng=rng)
        await asyncio.to_thread(cluster.wait_settled)
        before = await asyncio.to_thread(cluster.terms)
        deadline = time.monotonic() + seconds
        turn = 0
        while time.monotonic() < deadline:
            generators = _start(processes, cluster, directory, turn)
            await asyncio.sleep(min(LOAD_S, max(0.0, deadline - time.monotonic())))
            ended = [it for it in generators if not it.is_running]
            outcome.violations += [f"{it.argv} gave up: {it.tail()}" for it in ended]
            for generator in generators:
                generator.kill()
            turn += 1
            if ended:
                break
        after = await asyncio.to_thread(cluster.terms)
        ended_nodes = [node.name for node in cluster.nodes.values() if not node.process.is_running]
        if ended_nodes:
            outcome.violations.append(f"{', '.join(ended_nodes)} ended\n{cluster.tails()}")
    if not before:
        outcome.violations.append("no terms in /status")
    elected = sorted(str(shard) for shard in before if after.get(shard) != before[shard])
    if elected:
        outcome.violations.append(f"elections in shards {', '.join(elected)}: {before} -> {after}")
    outcome.notes.append(f"{seconds:.0f} s, {turn} loads, {len(before)} groups")
    return outcome


def _start(processes: Processes, cluster: Cluster, directory: Path, turn: int) -> list[Process]:
    """A load generator that never ends at each node."""
    clients, pipeline, options = LOADS[turn % len(LOADS)]
    started: list[Process] = []
    for node in cluster.nodes.values():
        argv = ["redis-benchmark", "-p", str(node.any_key_port), "-l", "-q", "-r", "100000"]
        argv += ["-c", str(clients), "-P", str(pipeline), "-n", "1000000", *options]
        # Its output is a line rewritten several times a second; a file per turn keeps it small.
        output = directory / f"load-{turn}-{node.name}.output"
        started.append(processes.start(f"load at {node.name}", argv, output))
    return started
