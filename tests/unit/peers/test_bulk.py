"""Snapshots over the bulk stream: whole and verified, or not at all."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from trimaran.cluster.slots import ShardId
from trimaran.node.raft.types import (
    EntryId,
    InstallSnapshot,
    NodeId,
    ReplicaId,
    SnapshotMeta,
    Vote,
    Voter,
)

from .rig import Node, Rig

SHARD = ShardId(3)
ONE, TWO = ReplicaId(1), ReplicaId(2)
META = SnapshotMeta(EntryId(4, 900), (Voter(ONE, NodeId("n1"), 0x1001),))
CONTENT = random.Random(1).randbytes(1_500_001)
INSTALL = InstallSnapshot(ONE, TWO, 5, META)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with asyncio.timeout(30), Rig() as rig:
        yield rig


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    path = tmp_path / "snapshot"
    path.write_bytes(CONTENT)
    return path


async def end_of_transfer(source: Node) -> bool:
    await source.recorder.until(lambda: bool(source.recorder.sent))
    ((shard, is_ok),) = source.recorder.sent
    assert shard == SHARD
    return is_ok


async def test_a_snapshot_arrives_whole_and_both_ends_are_told(rig: Rig, snapshot: Path) -> None:
    one, two = await rig.connected("n1", "n2")
    one.peers.send_snapshot(two.name, SHARD, INSTALL, str(snapshot))
    assert await end_of_transfer(one)
    ((shard, message, path),) = two.recorder.received
    assert (shard, message) == (SHARD, INSTALL)
    assert two.sink.files[path] == CONTENT
    assert two.sink.aborted == 0


async def test_an_empty_file_is_a_file(rig: Rig, tmp_path: Path) -> None:
    one, two = await rig.connected("n1", "n2")
    path = tmp_path / "empty"
    path.touch()
    one.peers.send_snapshot(two.name, SHARD, INSTALL, str(path))
    assert await end_of_transfer(one)
    assert list(two.sink.files.values()) == [b""]


async def test_several_snapshots_go_one_after_the_other(rig: Rig, snapshot: Path) -> None:
    one, two = await rig.connected("n1", "n2")
    for number in range(4):
        one.peers.send_snapshot(two.name, ShardId(number), INSTALL, str(snapshot))
    await one.recorder.until(lambda: len(one.recorder.sent) == 4)
    assert one.recorder.sent == [(number, True) for number in range(4)]
    assert [shard for shard, _, _ in two.recorder.received] == [0, 1, 2, 3]


async def test_a_newer_snapshot_of_a_shard_takes_the_place_of_one_that_waits(
    rig: Rig, snapshot: Path
) -> None:
    one, two = await rig.connected("n1", "n2")
    other = ShardId(9)
    for shard in (other, SHARD, SHARD):
        one.peers.send_snapshot(two.name, shard, INSTALL, str(snapshot))
    await one.recorder.until(lambda: len(one.recorder.sent) == 3)
    assert one.recorder.sent == [(SHARD, False), (other, True), (SHARD, True)]


async def test_a_file_that_is_gone_is_not_sent(rig: Rig, tmp_path: Path) -> None:
    one, two = await rig.connected("n1", "n2")
    one.peers.send_snapshot(two.name, SHARD, INSTALL, str(tmp_path / "gone"))
    assert not await end_of_transfer(one)
    assert not two.recorder.received


async def test_a_file_that_does_not_verify_is_refused(rig: Rig, snapshot: Path) -> None:
    one, two = await rig.connected("n1", "n2")
    two.sink.is_corrupt = True
    one.peers.send_snapshot(two.name, SHARD, INSTALL, str(snapshot))
    assert not await end_of_transfer(one)
    assert not two.recorder.received
    assert two.sink.aborted == 1


async def test_a_full_disk_at_the_receiver_fails_the_transfer_and_not_the_node(
    rig: Rig, snapshot: Path
) -> None:
    one, two = await rig.connected("n1", "n2")
    two.sink.fails_with = OSError(28, "No space left on device")
    one.peers.send_snapshot(two.name, SHARD, INSTALL, str(snapshot))
    assert not await end_of_transfer(one)
    assert two.sink.aborted == 1
    one.peers.send(two.name, SHARD, Vote(ONE, TWO, 1, granted=True))
    one.peers.flush()
    await two.recorder.until(lambda: bool(two.recorder.messages))


async def test_a_receiver_that_dies_fails_the_transfer(rig: Rig, snapshot: Path) -> None:
    one, two = await rig.connected("n1", "n2")
    await two.stop()
    one.peers.send_snapshot(two.name, SHARD, INSTALL, str(snapshot))
    assert not await end_of_transfer(one)
