"""What goes wrong, and when: one fault after the other until time is up, then healing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .schedule import MS, Schedule

if TYPE_CHECKING:
    from random import Random

    from trimaran.node.raft.types import NodeId

    from .cluster import SimCluster
    from .scenarios import Scenario

SKEWS_MS = (300, 4_000, 4_000, 20_000)  # Hardly any; as much as a leader may have; too much.


class Faults:
    def __init__(
        self, schedule: Schedule, rng: Random, scenario: Scenario, cluster: SimCluster
    ) -> None:
        self.is_over = False
        self.happened: dict[str, int] = {}
        self._schedule = schedule
        self._rng = rng
        self._scenario = scenario
        self._cluster = cluster
        self._names = sorted(scenario.faults)
        self._weights = [scenario.faults[name] for name in self._names]
        self._actions: dict[str, Callable[[], None]] = {
            "kill": lambda: self._crash([self._any_node()], is_power_cut=False),
            "power": lambda: self._crash([self._any_node()], is_power_cut=True),
            "kill_all": lambda: self._crash(cluster.nodes, is_power_cut=False),
            "power_all": lambda: self._crash(cluster.nodes, is_power_cut=True),
            "away": self._away,
            "pause": self._pause,
            "isolate": self._isolate,
            "one_way": self._one_way,
            "break": self._break,
            "skew": self._skew,
            "stall": self._stall,
            "fail_sync": self._fail_sync,
            "transfer": self._transfer,
            "usurp": self._usurp,
            "flap": lambda: self._flap(cluster.nodes[0], times=5),
        }

    def start(self) -> None:
        self._schedule.after(self._some(self._scenario.fault_every_ns * 2), self._next)

    def _next(self) -> None:
        if self.is_over:
            return
        name = self._rng.choices(self._names, self._weights)[0]
        self.happened[name] = self.happened.get(name, 0) + 1
        self._schedule.note(f"fault {name}")
        self._actions[name]()
        self._schedule.after(self._some(self._scenario.fault_every_ns * 2), self._next)

    def heal(self) -> None:
        """No more faults; what is down comes up, what is cut is joined, clocks go right."""
        self.is_over = True
        self._schedule.note("healing")
        self._cluster.heal()

    # --- Choices.

    def _some(self, most_ns: int) -> int:
        return self._rng.randrange(MS, most_ns)

    def _any_node(self) -> NodeId:
        # Leaders twice as likely: that is where it hurts.
        leaders = self._cluster.leaders()
        return self._rng.choice([*self._cluster.nodes, *leaders])

    def _later(self, delay_ns: int, action: Callable[[], None]) -> None:
        self._schedule.after(delay_ns, lambda: None if self.is_over else action())

    # --- The faults.

    def _crash(self, nodes: list[NodeId], *, is_power_cut: bool) -> None:
        for node in nodes:
            self._cluster.crash(node, is_power_cut=is_power_cut)
            longest_ns = self._rng.choice((30, 1500)) * MS
            self._later(self._some(longest_ns), lambda node=node: self._cluster.restart(node))  # type: ignore[misc]  # a bound loop variable

    def _flap(self, node: NodeId, *, times: int) -> None:
        """Up and down and up: one process has hardly begun when the next one speaks in its name."""
        self._cluster.crash(node, is_power_cut=self._rng.random() < 0.5)
        self._later(self._some(20 * MS), lambda: self._cluster.restart(node))
        if times > 1:
            delay_ns = self._some(500 * MS) + 50 * MS
            self._later(delay_ns, lambda: self._flap(node, times=times - 1))

    def _away(self) -> None:
        """Down for so long that the log may be gone when it is back."""
        node = self._rng.choice(self._cluster.nodes)
        self._cluster.crash(node, is_power_cut=self._rng.random() < 0.5)
        self._later(self._some(4000 * MS), lambda: self._cluster.restart(node))

    def _pause(self) -> None:
        longest_ns = 6 * self._scenario.election_timeout_ns
        self._cluster.pause(self._any_node(), self._some(longest_ns))

    def _isolate(self) -> None:
        nodes = self._cluster.nodes
        size = self._rng.randrange(1, len(nodes))
        self._cluster.network.isolate(self._rng.sample(nodes, size))
        self._later(self._some(2500 * MS), self._cluster.network.heal)

    def _one_way(self) -> None:
        source, target = self._rng.sample(self._cluster.nodes, 2)
        self._cluster.network.cut(source, target)
        self._later(self._some(2500 * MS), self._cluster.network.heal)

    def _break(self) -> None:
        one, other = self._rng.sample(self._cluster.nodes, 2)
        self._cluster.network.break_stream(one, other)

    def _skew(self) -> None:
        node = self._any_node()
        most_ms = self._rng.choice(SKEWS_MS)
        skew_ms = self._rng.randrange(-most_ms, most_ms)
        self._cluster.machines[node].clock.skew_ms = skew_ms

    def _stall(self) -> None:
        """The disk does nothing for a while."""
        machine = self._cluster.machines[self._any_node()]
        machine.disk_profile.stalled_until_ns = self._schedule.now_ns + self._some(2000 * MS)

    def _fail_sync(self) -> None:
        machine = self._cluster.machines[self._any_node()]
        machine.disk.fail_sync_in(1)  # The process stops of it (correctness L8).

    def _transfer(self) -> None:
        self._cluster.transfer_leadership(self._rng)

    def _usurp(self) -> None:
        """A leader is cut off until somebody campaigns, who is then cut off instead: with a higher
        term than everybody else and no majority."""
        leaders = self._cluster.leaders()
        if leaders:
            leader = self._rng.choice(leaders)
            self._cluster.network.isolate([leader])
            end_ns = self._schedule.now_ns + 4 * self._scenario.election_timeout_ns
            self._await_candidate(leader, end_ns)

    def _await_candidate(self, leader: NodeId, end_ns: int) -> None:
        candidates = [node for node in self._cluster.candidates() if node != leader]
        if candidates or self._schedule.now_ns >= end_ns:
            self._cluster.network.heal()
            if candidates:
                self._cluster.network.isolate(candidates[:1])
                self._later(self._some(1000 * MS), self._cluster.network.heal)
        else:
            self._later(MS // 2, lambda: self._await_candidate(leader, end_ns))
