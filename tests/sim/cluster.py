"""All machines, the network between them, the judge above them, and the clients' way in."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from trimaran.cluster.slots import META_SHARD, ShardId
from trimaran.node.errors import OutcomeUnknown
from trimaran.node.raft.types import NodeId, Role
from trimaran.node.request import Outcome, Request, Unknown

from .clock import SimClock
from .judge import Judge
from .machine import Machine
from .network import NetworkProfile, SimNetwork
from .schedule import MS, Schedule
from .settings import Settings

if TYPE_CHECKING:
    from trimaran.cluster.settings import Pairs
    from trimaran.node.node import Node, Parts

    from .process import Process
    from .scenarios import Scenario

ANSWER_LOST = 0.01  # So often a client never hears what became of its request.


class SimCluster:
    def __init__(self, schedule: Schedule, rng: Random, scenario: Scenario, parts: Parts) -> None:
        self.nodes = [NodeId(f"n{number}") for number in range(1, scenario.nodes + 1)]
        self.shards = scenario.shards
        self.shard_ids = [*map(ShardId, range(scenario.shards)), META_SHARD]
        self.judge = Judge(self.shard_ids, self.nodes)
        self.network = SimNetwork(schedule, rng, self.nodes, scenario.network)
        self.crashes = 0
        self._schedule = schedule
        self._rng = rng
        self._is_answering_surely = False
        settings = Settings.of(scenario, self.nodes)
        self.machines = {
            node: Machine(
                node,
                schedule,
                Random(rng.getrandbits(64)),
                SimClock(
                    schedule,
                    zero_ns=rng.randrange(1 << 50),
                    rate_ppm=rng.randrange(-scenario.drift_ppm, scenario.drift_ppm),
                ),
                self.network,
                self.judge,
                settings,
                parts,
            )
            for node in self.nodes
        }

    def start(self) -> None:
        for machine in self.machines.values():
            self._schedule.after(self._rng.randrange(1, 200 * MS), machine.start)

    # --- What is going on.

    def processes(self) -> list[Process]:
        return [machine.process for machine in self.machines.values() if machine.process]

    def leaders(self) -> list[NodeId]:
        """Nodes that lead a shard, once for each."""
        return [
            process.node_id
            for process in self.processes()
            for shard in process.node.engine.shards.values()
            if shard.is_leader
        ]

    def candidates(self) -> list[NodeId]:
        """Nodes that are campaigning in some shard."""
        return [
            process.node_id
            for process in self.processes()
            if any(
                shard.core.role is Role.CANDIDATE for shard in process.node.engine.shards.values()
            )
        ]

    def overdue(self) -> list[str]:
        """Requests a living process has forgotten: each must be answered, sooner or later."""
        return [text for process in self.processes() for text in process.overdue()]

    # --- Faults.

    def crash(self, node: NodeId, *, is_power_cut: bool) -> None:
        self.crashes += 1
        self.machines[node].crash(is_power_cut=is_power_cut)

    def restart(self, node: NodeId) -> None:
        self.machines[node].start()

    def pause(self, node: NodeId, time_ns: int) -> None:
        process = self.machines[node].process
        if process is not None:
            end_ns = self._schedule.now_ns + time_ns
            process.runtime.paused_until_ns = max(process.runtime.paused_until_ns, end_ns)

    def transfer_leadership(self, rng: Random) -> None:
        for process in self.processes():
            for shard in process.node.engine.shards.values():
                if shard.is_leader and rng.random() < 0.5:
                    others = [one for one in shard.core.voters if one.node != process.node_id]
                    shard.core.transfer_leadership(rng.choice(others).replica)
                    process.node.engine.touch(shard)
                    return

    def heal(self) -> None:
        self.network.profile = NetworkProfile(is_stream=self.network.profile.is_stream)
        self.network.heal()
        self._is_answering_surely = True
        for machine in self.machines.values():
            machine.heal()

    # --- Clients.

    def deadline_ns(self, node: NodeId, timeout_ns: int) -> int:
        return self.machines[node].clock.now_ns() + timeout_ns

    def run(self, node: NodeId, action: Callable[[Node], None]) -> None:
        """Have a node do something, if it is up."""
        process = self.machines[node].process
        if process is not None:
            process.runtime.run(lambda: action(process.node))

    def ask(self, node: NodeId, request: Request, answered: Callable[[Outcome], None]) -> None:
        """Send a request to a node; `answered` is called once, Unknown if the answer is lost."""
        answer = self._answering(answered)
        self._schedule.after(self._delay_ns(), lambda: self.machines[node].ask(request, answer))

    def change_settings(
        self, node: NodeId, pairs: Pairs, answered: Callable[[Outcome], None]
    ) -> None:
        """Ask a node for a CONFIG SET of what the cluster shares."""
        answer = self._answering(answered)
        self._schedule.after(
            self._delay_ns(), lambda: self.machines[node].change_settings(pairs, answer)
        )

    def _answering(self, answered: Callable[[Outcome], None]) -> Callable[[Outcome], None]:
        """How an answer gets to its client: later, or not at all."""

        def answer(outcome: Outcome) -> None:
            is_lost = not self._is_answering_surely and self._rng.random() < ANSWER_LOST
            delay_ns = self._delay_ns()
            if is_lost:
                delay_ns += 300 * MS
                outcome = Unknown(OutcomeUnknown("the connection to the node is lost"))
            self._schedule.after(delay_ns, lambda: answered(outcome))

        return answer

    def _delay_ns(self) -> int:
        return self._rng.randrange(50_000, 2 * MS)
