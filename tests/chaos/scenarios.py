"""What is done to the cluster while clients work on it.

A scenario is a coroutine that does its worst for a while and leaves every node running; what the
clients saw is judged afterwards. Everything that must be a choice comes from the seed.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .cluster import Cluster
from .outcome import Outcome
from .processes import Processes
from .verdict import judge
from .workload import Workload

if TYPE_CHECKING:
    from pathlib import Path

READY_TIMEOUT_S = 30.0
CLIENTS = 12
WRITTEN_DATABASE = 1  # Half of the clients work there; its leader is the one to hit.


@dataclass(slots=True)
class Run:
    """What a scenario works with."""

    cluster: Cluster
    workload: Workload
    rng: random.Random
    deadline: float  # Of the monotonic clock.
    faults: int = 0

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self.deadline

    async def healed(self) -> None:
        """Until all nodes are ready and a client has been answered again."""
        await asyncio.to_thread(self.cluster.wait_ready, READY_TIMEOUT_S)
        self.workload.answered.clear()
        async with asyncio.timeout(READY_TIMEOUT_S):
            await self.workload.answered.wait()

    async def quiet(self, shortest_s: float, longest_s: float) -> None:
        await asyncio.sleep(self.rng.uniform(shortest_s, longest_s))


Scenario = Callable[[Run], Awaitable[None]]


async def kill_one(run: Run) -> None:
    """kill -9 of a leader, again and again."""
    shard = run.cluster.shard_of_database(WRITTEN_DATABASE)
    while not run.is_over:
        victim = run.cluster.nodes[await asyncio.to_thread(run.cluster.leader_of, shard)]
        victim.process.kill()
        run.faults += 1
        await run.quiet(0.2, 3.0)
        victim.process.start()
        await run.healed()
        await run.quiet(0.0, 1.0)


async def kill_two(run: Run) -> None:
    """kill -9 of two of three: no quorum for a while, and none of it may be forgotten."""
    while not run.is_over:
        victims = run.rng.sample(sorted(run.cluster.nodes), 2)
        for name in victims:
            run.cluster.nodes[name].process.kill()
        run.faults += 1
        await run.quiet(0.2, 2.5)
        for name in victims:
            run.cluster.nodes[name].process.start()
            await run.quiet(0.0, 0.5)
        await run.healed()
        await run.quiet(0.0, 1.0)


async def kill_all(run: Run) -> None:
    """kill -9 of all nodes at once."""
    nodes = list(run.cluster.nodes.values())
    while not run.is_over:
        for node in nodes:
            node.process.kill()
        run.faults += 1
        await run.quiet(0.0, 0.3)
        run.rng.shuffle(nodes)
        for node in nodes:
            node.process.start()
            await run.quiet(0.0, 0.2)
        await run.healed()
        await run.quiet(0.2, 1.5)


async def stop(run: Run) -> None:
    """SIGSTOP of a leader; when it goes on it still believes it leads."""
    shard = run.cluster.shard_of_database(WRITTEN_DATABASE)
    while not run.is_over:
        victim = run.cluster.nodes[await asyncio.to_thread(run.cluster.leader_of, shard)]
        victim.process.pause()
        run.faults += 1
        await run.quiet(0.1, 4.0)
        victim.process.resume()
        await run.healed()
        await run.quiet(0.0, 1.0)


HISTORY_SCENARIOS: dict[str, Scenario] = {
    "kill-one": kill_one,
    "kill-two": kill_two,
    "kill-all": kill_all,
    "stop": stop,
}


async def run_with_history(
    name: str, directory: Path, *, seconds: float, seed: int, clients: int = CLIENTS
) -> Outcome:
    """Starts a cluster, sets clients and the scenario upon it, and judges what the clients saw."""
    rng = random.Random(f"{name} {seed}")
    outcome = Outcome(name)
    shutil.rmtree(directory, ignore_errors=True)
    with Processes() as processes:
        cluster = Cluster(processes, directory, rng=rng)
        await asyncio.to_thread(cluster.wait_ready)
        workload = Workload(cluster, random.Random(rng.random()), clients)
        run = Run(cluster, workload, rng, time.monotonic() + seconds)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(workload.run())
                tasks.create_task(_disturb(HISTORY_SCENARIOS[name], run))
            await workload.read_everything()
        except ExceptionGroup as group:
            outcome.violations += [f"did not heal: {error!r}" for error in group.exceptions]
            outcome.violations.append(cluster.tails())
            return outcome
        except TimeoutError:
            outcome.violations.append("a key could not be read after everything was over")
            outcome.violations.append(cluster.tails())
            return outcome
    judgement = judge(workload.history)
    outcome.violations += workload.violations + judgement.violations
    counts = ", ".join(f"{count} {what}" for what, count in sorted(workload.counts.items()))
    outcome.faults = run.faults
    outcome.notes.append(f"{run.faults} faults")
    outcome.notes.append(f"{judgement.operations} operations on {judgement.keys} keys ({counts})")
    if judgement.undecided:
        outcome.notes.append(f"{judgement.undecided} keys undecided by the search")
    return outcome


async def _disturb(scenario: Scenario, run: Run) -> None:
    try:
        await scenario(run)
    finally:
        run.workload.stop()
