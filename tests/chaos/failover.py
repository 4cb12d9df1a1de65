"""How long writes stand still after kill -9 of a leader, here and in etcd, in the same run.

The node that leads most shards is killed. One time is that of one shard it led, where the writers
write; the other that of the last of all shards it led.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import statistics
from typing import TYPE_CHECKING

from . import tools
from .cluster import Cluster
from .etcd import EtcdCluster
from .outcome import Outcome
from .probes import EtcdWriter, resp_writer, time_to_write
from .processes import Processes, free_ports

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

KILLS = 20
SIZE = 3
MEDIAN_S_MAX = 0.7
WORST_S_MAX = 1.5
ETCD_REST_S = 1.0


async def failover_time(name: str, directory: Path, *, kills: int, seed: int) -> Outcome:
    """Kills leaders of both clusters in turns; holds ours against the targets."""
    tools.ensure(["etcd", "etcdctl"])
    outcome = Outcome(name)
    rng = random.Random(f"{name} {seed}")
    shutil.rmtree(directory, ignore_errors=True)
    one_shard: list[float] = []
    all_shards: list[float] = []
    etcd_times: list[float] = []
    with Processes() as processes:
        ours = Cluster(processes, directory / "ours", rng=rng, size=SIZE)
        base_port = free_ports(EtcdCluster.ports(SIZE), rng)
        etcd = EtcdCluster(processes, directory / "etcd", base_port, SIZE)
        try:
            await asyncio.to_thread(ours.wait_settled)
            await asyncio.to_thread(etcd.wait_ready)
            for _ in range(kills):
                times = await _kill_ours(ours)
                one_shard.append(times[0])
                all_shards.append(max(times))
                etcd_times.append(await _kill_etcd(etcd))
        except (TimeoutError, RuntimeError) as error:
            outcome.violations.append(f"after {len(one_shard)} kills: {error!r}")
            outcome.violations.append(ours.tails())
    if not one_shard:
        return outcome
    outcome.notes.append(f"the shard written: {_summary(one_shard)}")
    outcome.notes.append(f"all shards it led: {_summary(all_shards)}")
    if etcd_times:
        outcome.notes.append(f"etcd: {_summary(etcd_times)}")
    if statistics.median(one_shard) > MEDIAN_S_MAX:
        outcome.violations.append(f"the median is over {1000 * MEDIAN_S_MAX:.0f} ms")
    if max(one_shard) > WORST_S_MAX:
        outcome.violations.append(f"the worst is over {1000 * WORST_S_MAX:.0f} ms")
    return outcome


async def _kill_ours(cluster: Cluster) -> list[float]:
    """Seconds per shard the victim led; the first is that of the shard to look at."""
    leaders = await asyncio.to_thread(cluster.leaders)
    victim = cluster.nodes[cluster.busiest(leaders)]
    # Database n lives whole on one shard, so a database is a way to name a shard; 0 is spread.
    databases = [
        database
        for database in range(1, 16)
        if leaders.get(cluster.shard_of_database(database)) == victim.name
    ]
    ports = [node.any_key_port for node in cluster.running() if node is not victim]
    victim.process.kill()
    times = await asyncio.gather(
        *(
            time_to_write([resp_writer(port, database, b"key") for port in ports])
            for database in databases
        )
    )
    victim.process.start()
    await asyncio.to_thread(cluster.wait_settled)  # So that no kill meets the end of the last one.
    return times


async def _kill_etcd(etcd: EtcdCluster) -> float:
    leader = (await asyncio.to_thread(etcd.status)).leader
    others = [member for member in etcd.members.values() if member.name != leader]
    writers = [EtcdWriter(member.client_port) for member in others]
    try:
        # Its channels connect at the first call; ours connect to a living node just as well.
        await asyncio.gather(*(writer() for writer in writers))
        etcd.members[leader].process.kill()
        passed = await time_to_write(writers)
    finally:
        await asyncio.gather(*(writer.close() for writer in writers))
    etcd.members[leader].process.start()
    await asyncio.to_thread(etcd.wait_ready)
    await asyncio.sleep(ETCD_REST_S)
    return passed


def _summary(times: Sequence[float]) -> str:
    median, worst = statistics.median(times), max(times)
    return f"median {1000 * median:.0f} ms, worst of {len(times)} {1000 * worst:.0f} ms"
