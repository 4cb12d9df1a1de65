"""Snapshots of whole nodes: cut where the log is saved, installed before they are acknowledged."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from trimaran.cluster.slots import ShardId
from trimaran.node.raft.types import NodeId
from trimaran.proto.reply import OK

from ...sim.process import DIRECTORY
from ...sim.schedule import MS, SECOND
from .rig import Rig

if TYPE_CHECKING:
    from trimaran.node.storage.sim_disk import SimDisk


def fill(rig: Rig, name: str, count: int, *, shard: int = 0, size: int = 200) -> None:
    for number in range(count):
        rig.do(name, f"SET k{number} {'x' * size}", shard=shard)


def disk_of(rig: Rig, name: str) -> SimDisk:
    return rig.machines[NodeId(name)].disk


# --- L5, L9.


def test_a_long_log_is_cut_and_freed_and_the_node_starts_from_the_snapshot() -> None:
    rig = Rig(3, 1, snapshot_log_bytes=20_000, segment_bytes=16_384, log_disk_bytes=32_768)
    rig.settle()
    fill(rig, "n1", 300)
    rig.run(SECOND)
    fill(rig, "n1", 1)  # What a snapshot covers goes when the log says so.
    rig.run(SECOND)
    assert rig.node("n1").snapshotting.taken >= 2
    assert len(disk_of(rig, "n1").listdir(f"{DIRECTORY}/log")) <= 6
    assert len(disk_of(rig, "n1").listdir(f"{DIRECTORY}/snapshots")) <= 3
    for name in list(rig.machines):
        rig.machines[NodeId(name)].crash(is_power_cut=True)
    for machine in rig.machines.values():
        machine.start()
    rig.settle()
    assert rig.do("n2", "GET k299") == [b"x" * 200]


def test_a_cut_waits_until_this_replica_has_saved_what_it_applied() -> None:
    rig = Rig(3, 1).settle()
    fill(rig, "n1", 5)
    rig.slow_disk("n3", 400 * MS)
    fill(rig, "n1", 5)
    rig.run(150 * MS)  # A heartbeat has told it what is committed.
    shard = rig.shard("n3")
    assert shard.applied_index > shard.core.saved_index
    assert not shard.can_cut
    rig.run(SECOND)
    assert shard.can_cut


def test_log_keep_bytes_stay_behind_a_snapshot_for_those_a_little_late() -> None:
    rig = Rig(3, 1, snapshot_log_bytes=20_000, log_keep_bytes=8_000).settle()
    fill(rig, "n1", 120)
    rig.run(SECOND)
    core = rig.shard("n1").core
    assert rig.node("n1").snapshotting.taken
    assert 0 < core.snapshot_index - core.first_index <= 8_000 // 200


# --- L6.


def behind(rig: Rig) -> None:
    """n3 is down while the log it needs goes."""
    rig.kill("n3")
    fill(rig, "n1", 60)
    for name in ("n1", "n2"):
        rig.node(name).snapshotting.take(rig.shard(name))
    rig.run(200 * MS)
    rig.machines[NodeId("n3")].start()


def test_an_installed_snapshot_is_acknowledged_only_when_its_reset_is_on_disk() -> None:
    rig = Rig(3, 1).settle()
    behind(rig)
    node = rig.node("n3")
    rig.until(lambda: node.snapshotting.installed)
    shard = rig.shard("n3")
    leader = rig.shard("n1").core
    assert shard.core.saved_index == shard.applied_index == leader.snapshot_index
    disk_of(rig, "n3").power_cut()  # Even now.
    rig.machines[NodeId("n3")].crash(is_power_cut=True)
    rig.machines[NodeId("n3")].start()
    assert rig.shard("n3").applied_index == leader.snapshot_index


def test_the_old_state_stands_until_the_new_one_is_installed() -> None:
    rig = Rig(3, 1).settle()
    rig.do("n1", "SET old 1")
    rig.run(300 * MS)
    behind(rig)
    keys = rig.shard("n3").keys
    rig.until(lambda: rig.node("n3").snapshotting._received or rig.shard("n3").keys is not keys)
    before = rig.shard("n3").applied_index  # What its own log held is applied meanwhile.
    while rig.shard("n3").keys is keys:
        assert rig.shard("n3").applied_index == before
        assert rig.schedule.step()
    assert rig.shard("n3").digest() == rig.shard("n1").digest()


def test_a_snapshot_that_arrives_twice_is_deleted_once_it_is_not_wanted() -> None:
    rig = Rig(3, 1).settle()
    behind(rig)
    rig.until(lambda: rig.node("n3").snapshotting.installed)
    rig.run(SECOND)
    assert disk_of(rig, "n3").listdir(f"{DIRECTORY}/incoming") == []


# --- L4.


def test_a_shard_without_a_quorum_does_not_pin_the_log() -> None:
    rig = Rig(3, 2, segment_bytes=16_384, log_disk_bytes=32_768, snapshot_log_bytes=20_000)
    rig.settle()
    fill(rig, "n1", 3, shard=0)
    # The other replicas of shard 0 are deaf to it; its leader proposes what nobody commits.
    for name in ("n2", "n3"):
        shards = rig.node(name).engine.shards
        cast("dict[ShardId, object]", shards).pop(ShardId(0))
    for number in range(5):
        rig.ask("n1", f"SET stuck{number} {'x' * 200}", shard=0)
    rig.run(100 * MS)
    fill(rig, "n2", 400, shard=1)
    for _ in range(5):
        rig.run(SECOND)
        fill(rig, "n2", 1, shard=1)
    assert len(disk_of(rig, "n1").listdir(f"{DIRECTORY}/log")) <= 6
    assert rig.do("n1", "SET k 1", shard=1) == [OK]
