"""Opening a node: the log is replayed, snapshots are loaded, and then there is a `Node`.

`open_node` does it in steps: the simulator runs them through, `run_in_slices` gives the event loop
back every few milliseconds, so that the doors can say how it stands. Nothing of Raft begins before
the last step.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar  # Any: each piece of work has a result of its own.

from .node import Node, Parts
from .storage.replay import segment_numbers, segment_path
from .storage.wal import LogOptions

if TYPE_CHECKING:
    from random import Random

    from ..cluster.topology import Topology
    from .clock import Clock
    from .config import Config
    from .node import NodeMemory, NodeTransport
    from .runtime import Runtime
    from .steps import Steps
    from .storage.disk import Disk
    from .storage.snapshots import Snapshots

T = TypeVar("T")


def open_node(
    config: Config,
    topology: Topology,
    *,
    directory: str,
    memory: NodeMemory,
    disk: Disk,
    clock: Clock,
    runtime: Runtime,
    transport: NodeTransport,
    seeds: Random,
    parts: Parts | None = None,
    sized: Callable[[int], None] | None = None,
) -> Steps[Node]:
    """A node as its directory remembers it; `sized` is told how many bytes are to be read."""
    parts = parts or Parts()
    place = f"{directory}/log"
    cluster_id = topology.cluster_id
    snapshots: Snapshots = yield partial(parts.snapshots, disk, directory, cluster_id=cluster_id)
    if sized is not None:
        sized((yield partial(_size, disk, place)) + (yield snapshots.size))
    log, found = yield from parts.log.opening(
        disk,
        place,
        cluster_id=cluster_id,
        snapshots=snapshots.metas(),
        options=LogOptions(
            segment_bytes=config.segment_bytes,
            segments_kept=max(2, config.log_disk_bytes // config.segment_bytes),
            is_synced=config.fsync == "always",
        ),
    )
    node = Node(
        config,
        topology,
        memory=memory,
        log=log,
        snapshots=snapshots,
        clock=clock,
        runtime=runtime,
        transport=transport,
        seeds=seeds,
        parts=parts,
    )
    yield from node.restore(found, place)
    return node


def _size(disk: Disk, directory: str) -> int:
    """Bytes of the log."""
    if not disk.exists(directory):
        return 0
    total = 0
    for number in segment_numbers(disk, directory):
        file = disk.open(segment_path(directory, number))
        total += file.size()
        file.close()
    return total


async def run_in_slices(
    steps: Steps[T], slice_ms: int, passed: Callable[[int], None] = lambda _bytes: None
) -> T:
    """What `steps` come to. Others have their turn of the loop between slices; what waits for the
    disk does so in a thread, one after the other. `passed` is told of the bytes got through."""
    result: Any = None
    end_s = time.monotonic() + slice_ms / 1000
    while True:
        try:
            step = steps.send(result)
        except StopIteration as end:
            value: T = end.value
            return value
        result = None
        if not isinstance(step, int):
            result = await _in_thread(step)
        else:
            passed(step)
            if time.monotonic() < end_s:
                continue
            await asyncio.sleep(0)
        end_s = time.monotonic() + slice_ms / 1000


async def _in_thread(work: Callable[[], T]) -> T:
    done = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        await asyncio.wait({done})  # Nobody may take over the directory while it is at work there.
        raise
