"""Whole nodes in virtual time: starting, knowing who leads, and what the operator's limits do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self  # Any: arguments passed through.

import pytest

from trimaran.cluster.ring import first_topology
from trimaran.cluster.slots import META_SHARD, ShardId
from trimaran.cluster.topology import ListenerInfo
from trimaran.node.config import Listener
from trimaran.node.errors import IdentityError
from trimaran.node.raft.types import NodeId
from trimaran.proto.reply import OK

from ...sim.process import DIRECTORY
from ...sim.schedule import MS, SECOND
from ...sim.watch import WATCHED, WatchedLog
from .rig import Rig

if TYPE_CHECKING:
    from trimaran.cluster.topology import Topology
    from trimaran.node.steps import Steps
    from trimaran.node.storage.wal import RestoredShard


def spread(topology: Topology) -> Topology:
    """The same nodes and shards, three replicas each."""
    return first_topology(topology.cluster_id, topology.shards, topology.nodes)


class UnjudgedLog(WatchedLog):
    """One that may be lost: the judge does not look at what is read from it."""

    @classmethod
    def opening(cls, *args: Any, **kwargs: Any) -> Steps[tuple[Self, dict[ShardId, RestoredShard]]]:
        log, found = yield from super(WatchedLog, cls).opening(*args, **kwargs)
        assert isinstance(log, cls)
        log.is_open = True
        return log, found


UNJUDGED = replace(WATCHED, log=UnjudgedLog)


def lose_log(rig: Rig, name: str) -> None:
    disk = rig.machines[NodeId(name)].disk
    for file in disk.listdir(f"{DIRECTORY}/log"):
        disk.unlink(f"{DIRECTORY}/log/{file}")
    disk.fsync_dir(f"{DIRECTORY}/log")


# --- B2: no vote with an empty memory.


def test_a_node_whose_log_is_gone_refuses_to_start() -> None:
    rig = Rig(parts=UNJUDGED).settle()
    rig.kill("n2")
    lose_log(rig, "n2")
    with pytest.raises(IdentityError, match=r"knows nothing of shards 0, 1, meta.*admitted anew"):
        rig.machines[NodeId("n2")].start()


def test_a_node_that_stopped_before_it_could_promise_anything_starts_again() -> None:
    rig = Rig(parts=UNJUDGED)
    machine = rig.machines[NodeId("n1")]
    rig.until(lambda: machine.process)
    # Whatever it had come to: the first batch is on its way to the disk, or was written.
    for _ in range(40):
        if machine.process is not None and machine.process.node.engine.shards:
            break
        rig.kill("n1")
        if rig.schedule.now_ns % 2:
            lose_log(rig, "n1")
        machine.start()
        rig.run(50_000)
    rig.settle()
    assert rig.do("n1", "SET k 1") == [OK]


def test_no_replica_votes_before_the_directory_says_that_it_lives() -> None:
    rig = Rig()
    node = NodeId("n1")
    rig.until(lambda: rig.machines[node].process)
    marked = f"{DIRECTORY}/identity.json"
    while not rig.node("n1").engine.shards:
        rig.schedule.step()
    disk = rig.machines[node].disk
    assert b'"is_started": true' in disk.open(marked).pread(10_000, 0)
    disk.power_cut()
    assert b'"is_started": true' in disk.open(marked).pread(10_000, 0)


# --- Where a node is.


def test_every_node_learns_of_the_listeners_a_node_is_started_with() -> None:
    rig = Rig(5, 8, topology=spread).settle()
    told = (ListenerInfo("inside", "10.9.0.2", 9), ListenerInfo("outside", "db2", 8))
    moved = rig.node("n2")
    moved.config = replace(
        moved.config,
        listen=(
            Listener("outside", "0.0.0.0", 17379, "db2", 8),
            Listener("inside", "10.9.0.2", 9),
        ),
    )
    assert not moved.is_announced
    epoch = moved.topology.epoch
    rig.until(lambda: moved.is_announced)
    rig.run(2 * SECOND)
    for process in rig.cluster.processes():
        assert process.node.topology.epoch == epoch + 1
        info = process.node.topology.node("n2")
        assert info is not None
        assert info.listeners == told
        assert info.address("") == moved.config.reached_at


# --- D5: all nodes tell the same of who leads.


@pytest.mark.parametrize("nodes", [5, 7])
def test_every_node_knows_who_leads_every_shard(nodes: int) -> None:
    rig = Rig(nodes, 16, topology=spread).settle()
    shards = [*map(ShardId, range(16)), META_SHARD]
    leaders = {one: rig.leader(one) for one in shards}
    for process in rig.cluster.processes():
        router = process.node.router
        assert {one: router.leader_of(one) for one in shards} == leaders


def test_a_node_without_a_replica_learns_of_a_new_leader_before_it_is_asked() -> None:
    rig = Rig(7, 16, topology=spread).settle()
    leader = rig.leader(0)
    assert leader is not None
    holders = {one.node for one in rig.node(leader).topology.replicas_of(ShardId(0))}
    outside = rig.others(*holders)
    rig.kill(leader)
    rig.until(lambda: rig.leader(0))
    rig.run(5 * MS)
    for name in outside:
        assert rig.node(name).router.leader_of(ShardId(0)) == rig.leader(0) != leader


def test_a_node_that_was_away_hears_of_every_leader_when_it_comes_back() -> None:
    rig = Rig(5, 8, topology=spread).settle()
    rig.kill("n5")
    rig.run(2 * SECOND)
    rig.machines[NodeId("n5")].start()
    rig.run(SECOND)
    for shard in range(8):
        assert rig.node("n5").router.leader_of(ShardId(shard)) == rig.leader(shard)


def test_a_node_without_a_replica_serves_through_the_failover_of_the_leader() -> None:
    rig = Rig(5, 8, topology=spread).settle()
    leader = rig.leader(0)
    assert leader is not None
    holders = {one.node for one in rig.node(leader).topology.replicas_of(ShardId(0))}
    (outside, *_) = rig.others(*holders)
    assert rig.do(outside, "SET k 1", shard=0) == [OK]
    rig.kill(leader)
    assert rig.do(outside, "APPEND k 2", shard=0) == [2]
    assert rig.do(outside, "GET k", shard=0) == [b"12"]


# --- A2: a key dies once, whatever the clocks say.


@pytest.mark.parametrize("skew_ms", [-3000, 3000])
def test_an_expired_key_stays_dead_over_a_failover_to_another_clock(skew_ms: int) -> None:
    rig = Rig(3, 1).settle()
    rig.machines[NodeId("n1")].clock.skew_ms = skew_ms
    rig.run(200 * MS)
    assert rig.leader(0) == "n1"
    rig.do("n1", "SET k 1 PX 1000")
    seen: list[object] = []
    end_ns = rig.schedule.now_ns + 8 * SECOND
    is_killed = False
    while rig.schedule.now_ns < end_ns:
        seen += rig.do("n2", "GET k")
        if seen[-1] is None and not is_killed:
            is_killed = True
            rig.kill("n1")
        rig.run(20 * MS)
    assert seen == sorted(seen, key=lambda value: value is None)
    assert is_killed
    assert 40 <= seen.count(b"1") <= 55  # A second, by whichever clock.
    assert rig.shard("n2").keys.count(0) == 0


@pytest.mark.parametrize("killed_at_ms", [900, 1010, None])  # None: when it is first seen dead.
@pytest.mark.parametrize("skew_ms", [-4900, 4900])
def test_every_question_agrees_when_a_key_died_over_a_failover_between_clocks_far_apart(
    skew_ms: int, killed_at_ms: int | None
) -> None:
    rig = Rig(3, 1).settle()
    rig.machines[NodeId("n1")].clock.skew_ms = skew_ms
    rig.run(200 * MS)
    assert rig.leader(0) == "n1"
    rig.do("n1", "SET k 1 PX 1000")
    began_ns = rig.schedule.now_ns
    is_alive: list[bool] = []
    taken = 0  # Times that SET NX found nothing.
    is_killed = False
    while rig.schedule.now_ns < began_ns + 9 * SECOND and not taken:
        is_alive.append(rig.do("n2", "GET k") == [b"1"])
        past_ms = (rig.schedule.now_ns - began_ns) // MS
        is_time = not is_alive[-1] if killed_at_ms is None else past_ms > killed_at_ms
        if is_time and not is_killed:
            is_killed = True
            rig.kill("n1")
        is_alive.append(rig.do("n3", "EXISTS k") == [1])
        is_alive.append(rig.do("n2", "PTTL k")[0] != -2)
        is_alive.append(rig.do("n3", "SET k 2 NX") != [OK])
        taken += not is_alive[-1]
    assert is_alive == sorted(is_alive, reverse=True), "it was dead, and then alive"
    assert taken == 1
    if not is_killed:
        rig.kill("n1")
    rig.run(3 * SECOND)
    assert rig.do("n2", "SET k 3 NX", "GET k", "TTL k") == [None, b"2", -1]


@pytest.mark.parametrize("skew_ms", [-3000, 3000])
def test_a_living_key_does_not_die_early_by_more_than_the_clocks_differ(skew_ms: int) -> None:
    rig = Rig(3, 1).settle()
    rig.machines[NodeId("n1")].clock.skew_ms = skew_ms
    rig.run(200 * MS)
    rig.do("n1", "SET k 1 PX 10000")
    set_ns = rig.schedule.now_ns
    rig.kill("n1")
    rig.until(lambda: rig.do("n2", "GET k") == [None], at_most_ns=20 * SECOND)
    lived_ms = (rig.schedule.now_ns - set_ns) // MS
    assert abs(lived_ms - 10_000) <= abs(skew_ms) + 1000
