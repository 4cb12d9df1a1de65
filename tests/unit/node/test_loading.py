"""A node is opened in steps: run through or in slices it is the same, and nothing begins early."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

import pytest

from trimaran.node.errors import Corrupt
from trimaran.node.loading import open_node, run_in_slices
from trimaran.node.raft.types import NodeId
from trimaran.node.steps import Steps, run_through
from trimaran.node.storage.identity import DataDirectory

from ...sim.process import DIRECTORY
from ...sim.schedule import SECOND
from ...sim.transport import SimTransport
from .rig import Rig
from .test_snapshotting import disk_of, fill

if TYPE_CHECKING:
    from trimaran.node.node import Node


class Idle:
    """A runtime on which nothing happens; it counts what it is asked for."""

    def __init__(self) -> None:
        self.asked = 0
        self.is_alive = True
        self.paused_until_ns = 0

    def run(self, callback: Callable[[], None]) -> None:
        raise AssertionError(callback)

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.asked += 1

    def call_later(self, delay_ns: int, callback: Callable[[], None]) -> None:
        self.asked += 1

    def run_log(
        self, work: Callable[[], object], done: Callable[..., None], *, is_here: bool = False
    ) -> None:
        self.asked += 1

    def run_bulk(self, work: Callable[[], object], done: Callable[..., None]) -> None:
        self.asked += 1

    def run_aside(self, work: Callable[[], object], done: Callable[..., None]) -> None:
        self.asked += 1


class Stored:
    """The disk of a node that was killed, with snapshots and a log behind them."""

    def __init__(self) -> None:
        rig = Rig(3, 2, snapshot_log_bytes=20_000, segment_bytes=16_384, snapshot_chunk_bytes=4_096)
        rig.settle()
        fill(rig, "n1", 300)
        rig.run(SECOND)
        fill(rig, "n1", 20, shard=1)
        rig.run(SECOND)
        assert rig.node("n1").snapshotting.taken
        self.digests = [rig.shard("n1", number).digest() for number in (0, 1)]
        self.applied = [rig.shard("n1", number).applied_index for number in (0, 1)]
        rig.kill("n1")
        self.machine = rig.machines[NodeId("n1")]
        self.disk = disk_of(rig, "n1")
        self.runtime = Idle()
        self.total_bytes = 0

    def steps(self) -> Steps[Node]:
        machine, settings = self.machine, self.machine.settings
        directory = DataDirectory.open(
            self.disk, DIRECTORY, name="n1", shards=settings.topology.shards, incarnation=1
        )
        topology = directory.topology(settings.topology)
        return open_node(
            settings.config(machine.node),
            topology,
            directory=DIRECTORY,
            memory=directory,
            disk=self.disk,
            clock=machine.clock,
            runtime=self.runtime,
            transport=SimTransport(machine, self.runtime),  # type: ignore[arg-type]  # Idle will do.
            seeds=Random(1),
            sized=self._sized,
        )

    def _sized(self, total_bytes: int) -> None:
        self.total_bytes = total_bytes


@pytest.fixture
def stored() -> Stored:
    return Stored()


def state(node: Node) -> list[tuple[int, int, int]]:
    return [
        (number, shard.digest(), shard.core.last.index)
        for number, shard in sorted(node.engine.shards.items())
    ]


def test_no_core_is_there_before_all_of_it_is_loaded(stored: Stored) -> None:
    steps = stored.steps()
    count = 0

    def watched() -> Steps[Node]:
        nonlocal count
        result: object = None
        while True:
            try:
                step = steps.send(result)
            except StopIteration as end:
                node: Node = end.value
                return node
            assert not stored.runtime.asked
            count += 1
            result = yield step

    node = run_through(watched())
    assert count > 30
    assert stored.runtime.asked
    assert len(node.engine.shards) == 3  # And meta.


async def test_in_slices_it_comes_to_the_same(stored: Stored) -> None:
    through = run_through(stored.steps())
    stored.disk.kill()
    passed: list[int] = []
    in_slices = await run_in_slices(stored.steps(), 1, passed.append)
    assert state(through) == state(in_slices)
    # Not each byte of frames and headers is counted, but what takes the time is.
    assert 0.5 * stored.total_bytes < sum(passed) <= stored.total_bytes


async def test_others_have_their_turn_between_slices(stored: Stored) -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await run_in_slices(stored.steps(), 0)
    task.cancel()
    assert turns > 30


async def test_damage_ends_it_with_the_place(stored: Stored) -> None:
    path = next(
        f"{DIRECTORY}/snapshots/{name}"
        for name in stored.disk.listdir(f"{DIRECTORY}/snapshots")
        if name.startswith("0-")
    )
    file = stored.disk.open(path, is_writable=True)
    file.pwrite(b"\xff" * 8, 5_000)
    with pytest.raises(Corrupt, match="damaged snapshot at"):
        await run_in_slices(stored.steps(), 1)


async def test_when_it_is_called_off_what_is_on_the_disk_is_waited_for() -> None:
    events: list[str] = []
    started, ended = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def work() -> None:
        loop.call_soon_threadsafe(started.set)
        asyncio.run_coroutine_threadsafe(ended.wait(), loop).result()
        events.append("written")

    def steps() -> Steps[None]:
        yield work

    task = asyncio.create_task(run_in_slices(steps(), 1))
    await started.wait()
    task.cancel()
    loop.call_soon(ended.set)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert events == ["written"]
