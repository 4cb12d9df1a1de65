"""Nodes for unit tests: one shard by hand, or whole nodes in the simulator's virtual time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Any  # Fields of any type.

from trimaran.cluster.slots import META_SHARD, ShardId
from trimaran.node.data.keyspace import Keyspace
from trimaran.node.raft.core import RaftCore
from trimaran.node.raft.types import (
    NOBODY,
    ZERO,
    HardState,
    Message,
    NodeId,
    RaftConfig,
    Ready,
    ReplicaId,
    Restored,
    Role,
    SnapshotMeta,
    Voter,
)
from trimaran.node.request import Done, NotApplied, Outcome, Request, Unknown
from trimaran.node.shard import Shard, ShardLimits
from trimaran.node.slices import Endless

from ...sim.cluster import SimCluster
from ...sim.network import NetworkProfile
from ...sim.runtime import DiskProfile
from ...sim.scenarios import Scenario, make_scenario
from ...sim.schedule import MS, SECOND, Schedule, Trace
from ...sim.settings import Settings
from ...sim.watch import WATCHED

if TYPE_CHECKING:
    from trimaran.cluster.topology import Topology
    from trimaran.node.config import Config
    from trimaran.node.errors import Unavailable
    from trimaran.node.node import Node, Parts
    from trimaran.node.notifications import Notifications

    from ...sim.machine import Machine
    from ...sim.process import Process

US = 1_000
CLUSTER_ID = 0x5EED
CALM = replace(
    make_scenario(0),
    flavour="calm",
    faults={},
    # A disk and a network as one has them.
    network=NetworkProfile(delay_min_ns=180 * US, delay_max_ns=220 * US),
    election_timeout_ns=600 * MS,
    heartbeat_interval_ns=100 * MS,
    tick_ns=20 * MS,
    segment_bytes=1 << 20,
    snapshot_log_bytes=1 << 30,
    log_keep_bytes=0,
    append_bytes_max=1 << 20,
    inflight_appends_max=64,
    settings=(),
    lease_parts=(5,),
    drift_ppm=200,
)


@dataclass(frozen=True)
class Tuned(Settings):
    """Settings whose configuration differs in some fields."""

    more: tuple[tuple[str, int], ...] = ()

    def config(self, node: NodeId) -> Config:
        more: dict[str, Any] = dict(self.more)
        return replace(Settings.config(self, node), **more)


class Asked:
    """A request, and what became of it."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.outcomes: list[Outcome] = []
        request.complete = self.outcomes.append

    @property
    def outcome(self) -> Outcome | None:
        assert len(self.outcomes) <= 1, f"answered {len(self.outcomes)} times"
        return self.outcomes[0] if self.outcomes else None

    @property
    def replies(self) -> Sequence[object]:
        assert isinstance(self.outcome, Done), self.outcome
        return self.outcome.replies

    @property
    def error(self) -> Exception:
        assert isinstance(self.outcome, NotApplied | Unknown), self.outcome
        return self.outcome.error


def asked(
    *commands: str,
    shard: int = 0,
    deadline_ns: int = 1 << 60,
    session: tuple[int, int, int] = (0, 0, 0),
    may_pass_on: bool = True,
) -> Asked:
    """Commands as one writes them: "SET k 1"."""
    split = [[word.encode() for word in command.split()] for command in commands]
    is_read = all(args[0] in (b"GET", b"TTL", b"EXISTS", b"MGET") for args in split)
    request = Request(
        ShardId(shard),
        0,
        split,
        has_write=not is_read,
        deadline_ns=deadline_ns,
        complete=lambda _: None,
        may_pass_on=may_pass_on,
    )
    request.session, request.sequence, request.floor = session
    return Asked(request)


class Lone:
    """One shard whose saves and messages go where the test lets them."""

    def __init__(
        self,
        voters: int = 1,
        *,
        limits: ShardLimits | None = None,
        notifications: Notifications | None = None,
        settings: bytes = b"",
    ) -> None:
        self.now_ns = SECOND
        self.wall_ms = 1_000_000
        self.refused: list[tuple[Request, Unavailable]] = []
        self.sent: list[Message] = []
        self.voters = tuple(
            Voter(ReplicaId(number), NodeId(f"n{number}"), 1) for number in range(1, voters + 1)
        )
        self.config = RaftConfig(ReplicaId(1), 600 * MS, 100 * MS, 1 << 20, 64, 10_000)
        self.keys = Keyspace()
        self.shard = Shard(
            ShardId(0),
            cluster_id=CLUSTER_ID,
            core=RaftCore(
                self.config,
                Restored(HardState(0, NOBODY), SnapshotMeta(ZERO, self.voters), ()),
                Random(1),
            ),
            keys=self.keys,
            limits=limits or ShardLimits(10_000, 1_000),
            seeds=Random(2),
            refuse=lambda request, error: self.refused.append((request, error)),
            settings=lambda: settings,
            notifications=lambda: notifications,
        )
        self.shard.core.tick(self.now_ns)  # From here on it waits for a leader.

    def pump(self, *, saves: bool = True) -> None:
        """Do what the core asks for."""
        shard, core = self.shard, self.shard.core
        while (ready := core.ready()) is not None:
            self._handle(ready, saves=saves)
        shard.after_step()

    def _handle(self, ready: Ready, *, saves: bool) -> None:
        shard = self.shard
        self.sent += ready.send_now
        if ready.committed:
            shard.commit(ready.committed)
            shard.apply_some(Endless(), self.now_ns)
        for barrier in ready.reads:
            shard.pass_reads(barrier.token, barrier.index)
        shard.serve_some(Endless(), self.now_ns, self.wall_ms)
        shard.fail_reads(ready.reads_failed)
        if saves:
            shard.core.saved(ready.ticket)
            self.sent += ready.send_after_sync

    def receive(self, *messages: Message) -> None:
        for message in messages:
            self.shard.core.receive(message, self.now_ns)
        self.pump()

    def lead(self) -> Lone:
        """Become leader of a shard of one."""
        self.pass_ns(2 * SECOND)
        assert self.shard.core.role is Role.LEADER
        return self

    def pass_ns(self, time_ns: int) -> None:
        self.now_ns += time_ns
        self.wall_ms += time_ns // MS
        self.shard.core.tick(self.now_ns)
        self.pump()

    def submit(self, one: Asked) -> Asked:
        self.shard.submit(one.request)
        return one

    def write(
        self,
        *commands: str,
        deadline_ns: int = 1 << 60,
        session: tuple[int, int, int] = (0, 0, 0),
    ) -> Asked:
        """Submit, propose and let it commit if it can."""
        one = self.submit(asked(*commands, deadline_ns=deadline_ns, session=session))
        self.shard.propose(self.now_ns, self.wall_ms)
        self.pump()
        return one

    def read(self, *commands: str) -> Asked:
        one = self.submit(asked(*commands))
        self.shard.start_reads(self.now_ns)
        self.pump()
        return one


class Rig:
    """Whole nodes in virtual time, with real disks' and networks' delays and no faults but ours."""

    def __init__(
        self,
        nodes: int = 3,
        shards: int = 2,
        *,
        seed: int = 1,
        topology: Callable[[Topology], Topology] | None = None,
        parts: Parts = WATCHED,
        scenario: Scenario = CALM,
        watches_halts: bool = True,
        **settings: int,
    ) -> None:
        if not watches_halts:
            parts = replace(parts, shard=Shard, core=RaftCore)
        self.schedule = Schedule(Trace())
        self.cluster = SimCluster(
            self.schedule,
            Random(seed),
            replace(scenario, nodes=nodes, shards=shards),
            parts,
        )
        self.cluster._is_answering_surely = True
        for machine in self.machines.values():
            machine.disk_profile = DiskProfile(80 * US, 120 * US)
            plain = machine.settings
            placed = plain.topology if topology is None else topology(plain.topology)
            machine.settings = Tuned(plain.scenario, plain.nodes, placed, tuple(settings.items()))
        self.cluster.start()

    @property
    def machines(self) -> dict[NodeId, Machine]:
        return self.cluster.machines

    def process(self, name: str) -> Process:
        process = self.machines[NodeId(name)].process
        assert process is not None, f"{name} does not run"
        return process

    def node(self, name: str) -> Node:
        return self.process(name).node

    def shard(self, name: str, number: int = 0) -> Shard:
        return self.node(name).engine.shards[ShardId(number)]

    # --- Time.

    def run(self, time_ns: int) -> None:
        self.schedule.run_until(self.schedule.now_ns + time_ns)

    def until(self, condition: Callable[[], object], *, at_most_ns: int = 20 * SECOND) -> None:
        end_ns = self.schedule.now_ns + at_most_ns
        while not condition():
            assert self.schedule.now_ns < end_ns, "it never happened"
            assert self.schedule.step()

    def settle(self) -> Rig:
        """Until every shard is led by the node that is preferred."""
        self.until(
            lambda: all(
                self.leader(number) == self._preferred(number)
                for number in [*range(self.cluster.shards), META_SHARD]
            )
        )
        self.run(300 * MS)
        return self

    def _preferred(self, number: int) -> str:
        machine = next(iter(self.machines.values()))
        return machine.settings.topology.replicas_of(ShardId(number))[0].node

    def leader(self, number: int = 0) -> str | None:
        for process in self.cluster.processes():
            shard = process.node.engine.shards.get(ShardId(number))
            if shard is not None and shard.core.is_ready_to_serve:
                return process.node_id
        return None

    def others(self, *names: str | None) -> list[str]:
        return [node for node in self.machines if node not in names]

    # --- Faults.

    def isolate(self, *names: str) -> None:
        self.cluster.network.isolate([NodeId(name) for name in names])

    def heal(self) -> None:
        self.cluster.network.heal()

    def slow_disk(self, name: str, sync_ns: int) -> None:
        """From now on every write and sync takes so long."""
        profile = self.machines[NodeId(name)].disk_profile  # The running process holds it too.
        profile.min_ns, profile.max_ns = sync_ns, sync_ns + sync_ns // 50

    def kill(self, name: str) -> None:
        self.machines[NodeId(name)].crash(is_power_cut=False)

    # --- Clients.

    def ask(
        self,
        name: str,
        *commands: str,
        shard: int = 0,
        timeout_ms: int = 5000,
        then: Callable[[Outcome], None] | None = None,
    ) -> Asked:
        """Give a request to a node's router, as a door does."""
        one = asked(*commands, shard=shard)
        clock = self.machines[NodeId(name)].clock
        one.request.deadline_ns = clock.now_ns() + timeout_ms * MS
        self.process(name).ask(one.request, then or one.outcomes.append)
        return one

    def do(self, name: str, *commands: str, shard: int = 0) -> Sequence[object]:
        one = self.ask(name, *commands, shard=shard)
        self.until(lambda: one.outcome)
        return one.replies
