"""One run: a scenario from a seed, faults, healing, and then everything must be right."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from trimaran.cluster.settings import settings_of
from trimaran.cluster.slots import DATABASES, ShardId
from trimaran.node.request import Done, Outcome, Request

from .churn import Churn
from .cluster import SimCluster
from .faults import Faults
from .history import History
from .judge import Violation
from .optimist import Optimist
from .parameters import ConfigClient
from .scenarios import Scenario, make_scenario
from .schedule import MS, SECOND, Schedule, Trace
from .sdk import SdkClient
from .sizes import small_sizes
from .stale import Seen, StaleReader
from .waiting import DB, Line, Popper, Pusher
from .watch import WATCHED
from .workload import (
    GET,
    Client,
    Key,
    PlainClient,
    Reader,
    SessionClient,
    Workload,
    make_keys,
)

if TYPE_CHECKING:
    from trimaran.node.node import Parts
    from trimaran.node.raft.types import NodeId


HEAL_MAX_NS = 20 * SECOND  # All work must be finished so long after healing; 4.5 s were seen.
STEPS_MAX = 3_000_000  # A run that goes on for ever is a failure too.


@dataclass(frozen=True, slots=True)
class Result:
    seed: int
    scenario: Scenario
    hash: str
    events: int
    operations: int
    faults: int
    took_ms: int  # Of virtual time.
    evicted: int  # Keys, by replicas that are there at the end.

    def __str__(self) -> str:
        return (
            f"seed {self.seed}: {self.hash} ({self.scenario}; {self.faults} faults, "
            f"{self.operations} operations, {self.events} events, {self.took_ms} ms"
            f"{f', {self.evicted} evicted' if self.scenario.policy else ''})"
        )


class Failure(Exception):
    """A run in which something was wrong; the text says how to see it again."""

    def __init__(
        self, seed: int, scenario: Scenario, cause: BaseException, tail: list[str]
    ) -> None:
        what = f"{type(cause).__name__}: {cause}"
        super().__init__(f"make sim SEED={seed} ({scenario})\n{what}")
        self.seed = seed
        self.what = what
        self.tail = tail


def run(seed: int, *, parts: Parts = WATCHED, is_verbose: bool = False) -> Result:
    """Play the scenario of `seed` to its end; raises Failure."""
    scenario = make_scenario(seed)
    trace = Trace(is_verbose=is_verbose)
    simulation = Simulation(scenario, Schedule(trace), parts)
    try:
        with small_sizes():
            return simulation.run()
    except Exception as error:  # The root: whatever is wrong is reported with the seed.
        raise Failure(seed, scenario, error, list(trace.lines)) from error


class Simulation:
    def __init__(self, scenario: Scenario, schedule: Schedule, parts: Parts) -> None:
        self._scenario = scenario
        self._schedule = schedule
        self._rng = rng = Random(scenario.seed)
        self.history = History()
        self.cluster = SimCluster(schedule, rng, scenario, parts)
        self.faults = Faults(schedule, rng, scenario, self.cluster)
        keys = make_keys(scenario.shards, scenario.kinds)
        watched = make_keys(scenario.shards, ("watched",), each=1)
        self._workload = Workload(
            rng, keys, self.history, watched, has_scripts=scenario.has_collections
        )
        self._plain: list[Client] = [
            PlainClient(
                number,
                schedule,
                rng,
                self.cluster,
                self._workload,
                pause_ns=scenario.client_pause_ns,
                follows_hints=number % 2 == 1,
            )
            for number in range(scenario.plain_clients)
        ]
        if scenario.has_readers:
            self._plain += [
                Reader(
                    200 + number,
                    schedule,
                    rng,
                    self.cluster,
                    self._workload,
                    pause_ns=scenario.client_pause_ns,
                    home=node,
                )
                for number, node in enumerate(self.cluster.nodes)
            ]
        self._config = [
            ConfigClient(
                300 + number,
                schedule,
                rng,
                self.cluster,
                self.history,
                pause_ns=(1 if scenario.policy else 3) * scenario.client_pause_ns,
                scarce_shards=scenario.shards if scenario.policy else 0,
            )
            for number in range(2 * scenario.has_config)
        ]
        self._sessions: list[Client] = [
            SessionClient(
                100 + number,
                schedule,
                rng,
                self.cluster,
                self._workload,
                pause_ns=scenario.client_pause_ns,
            )
            for number in range(scenario.session_clients)
        ]

        if scenario.has_collections:
            self._add_collections()
        self._line = Line(self.cluster, ShardId(DB * scenario.shards // DATABASES))
        if scenario.has_waiters:
            self._add_waiters()
        self.seen = Seen()
        if scenario.has_stale_reads:
            self._add_stale_readers()
        if scenario.has_sdk:
            rest = (schedule, rng, self.cluster, self._workload)
            pause_ns = scenario.client_pause_ns
            self._plain += [SdkClient(700 + number, *rest, pause_ns=pause_ns) for number in (0, 1)]

    def _add_stale_readers(self) -> None:
        """On a generator of their own: who else is there does what it did without them."""
        scenario = self._scenario
        rest = (self._schedule, Random(scenario.seed + 1), self.cluster, self._workload)
        keys = make_keys(scenario.shards, ("old",), each=1)
        self._plain += [
            StaleReader(
                800 + number,
                *rest,
                pause_ns=scenario.client_pause_ns // 2,
                keys=keys,
                seen=self.seen,
            )
            for number in range(4)
        ]

    def _add_waiters(self) -> None:
        rest = (self._schedule, self._rng, self.cluster, self._workload)
        pause_ns = self._scenario.client_pause_ns
        pushers = [Pusher(600 + number, *rest, pause_ns=2 * pause_ns) for number in range(2)]
        poppers = [Popper(610 + number, *rest, pause_ns=pause_ns) for number in range(6)]
        for pusher in pushers:
            pusher.line = self._line
        for popper in poppers:
            popper.line = self._line
        self._plain += [*pushers, *poppers]

    def _add_collections(self) -> None:
        """Clients that fill values of every type, and clients that watch what they write."""
        scenario, rng = self._scenario, self._rng
        churn = Churn(rng, scenario.shards)
        rest = (self._schedule, rng, self.cluster)
        pause_ns = 2 * scenario.client_pause_ns
        self._plain += [
            PlainClient(401, *rest, churn, pause_ns=pause_ns, follows_hints=True),
            Optimist(500, *rest, self._workload, pause_ns=pause_ns),
            Optimist(501, *rest, self._workload, pause_ns=pause_ns),
        ]
        self._sessions.append(SessionClient(402, *rest, churn, pause_ns=pause_ns))

    @property
    def clients(self) -> list[Client | ConfigClient]:
        return [*self._plain, *self._sessions, *self._config]

    def run(self) -> Result:
        self.cluster.start()
        self.faults.start()
        for client in self.clients:
            client.start()
        self._run_for(self._scenario.duration_ns)
        self.faults.heal()
        self._run_for(300 * MS)
        for client in self.clients:
            client.is_stopping = True
        self._run_until_done()
        self._read_everything()
        self._see_settings()
        self._check_end()
        return Result(
            self._scenario.seed,
            self._scenario,
            self._schedule.trace.hash(),
            self._schedule.steps,
            self.history.count(),
            sum(self.faults.happened.values()),
            self._schedule.now_ns // MS,
            sum(
                [
                    shard.keys.evicted
                    for process in self.cluster.processes()
                    for shard in process.node.engine.shards.values()
                ]
            ),
        )

    def _run_for(self, time_ns: int) -> None:
        end_ns = self._schedule.now_ns + time_ns
        while self._schedule.now_ns < end_ns:
            self._schedule.run_until(min(end_ns, self._schedule.now_ns + 500 * MS))
            self._check_progress()

    def _check_progress(self) -> None:
        if forgotten := self.cluster.overdue():
            raise Violation(forgotten[0])
        if self._schedule.steps > STEPS_MAX:
            raise Violation(f"still busy after {STEPS_MAX} events")

    # --- Liveness: after healing all work is finished.

    def _run_until_done(self) -> None:
        end_ns = self._schedule.now_ns + HEAL_MAX_NS
        while waiting := self._waiting_for():
            if self._schedule.now_ns >= end_ns:
                raise Violation(f"not finished {HEAL_MAX_NS // SECOND} s after healing: {waiting}")
            self._run_for(100 * MS)

    def _waiting_for(self) -> list[str]:
        """What a healed cluster has not done yet."""
        waiting = [f"client {client.number}" for client in self.clients if not client.is_idle]
        processes = self.cluster.processes()
        if len(processes) < len(self.cluster.nodes):
            return [*waiting, "a node is down"]
        for shard_id in self.cluster.shard_ids:
            shards = [process.node.engine.shards.get(shard_id) for process in processes]
            if not any(shard is not None and shard.core.is_ready_to_serve for shard in shards):
                waiting.append(f"shard {shard_id} has no leader")
            places = {
                (shard.applied_index, shard.core.last.index) if shard is not None else (-1, -1)
                for shard in shards
            }
            if places != {(self.cluster.judge.commit_index(shard_id),) * 2}:
                waiting.append(f"shard {shard_id} differs: {sorted(places)}")
        return waiting

    def _read_everything(self) -> None:
        """Every key, by every node: what was acknowledged must be there."""
        reads = [
            (node, key, self._rng.randrange(1, 500 * MS))
            for key in [*self._workload.keys, *self._workload.watched]
            for node in self.cluster.nodes
        ]
        left = len(reads)

        def read(node: NodeId, key: Key) -> None:
            operation = self.history.invoke(999, key.label, GET)

            def answered(outcome: Outcome) -> None:
                nonlocal left
                match outcome:
                    case Done(replies):
                        left -= 1
                        self.history.answer(operation, self._workload.answers(key, replies))
                    case _:  # Tried again; the end of time is elsewhere.
                        self.history.withdraw(operation)
                        self._schedule.after(100 * MS, lambda: read(node, key))

            request = Request(
                key.shard,
                key.db,
                [self._workload.args(key, GET[0])],
                has_write=False,
                deadline_ns=self.cluster.deadline_ns(node, SECOND),
                complete=answered,
            )
            self.cluster.ask(node, request, answered)

        for node, key, delay_ns in reads:
            self._schedule.after(delay_ns, lambda node=node, key=key: read(node, key))  # type: ignore[misc]  # a bound loop variable
        end_ns = self._schedule.now_ns + HEAL_MAX_NS
        while left:
            if self._schedule.now_ns >= end_ns:
                raise Violation(f"{left} reads are not answered {HEAL_MAX_NS // SECOND} s later")
            self._run_for(100 * MS)

    def _see_settings(self) -> None:
        """All nodes know the last settings, and all handlers see them."""
        processes = self.cluster.processes()
        known = {process.node.topology for process in processes}
        if len(known) != 1:
            epochs = {process.node_id: process.node.topology.epoch for process in processes}
            raise Violation(f"the nodes know different topologies: {epochs}")
        agreed = settings_of(known.pop().settings)
        for client in self._config[:1]:
            client.see_everywhere(agreed.maxmemory)
            end_ns = self._schedule.now_ns + HEAL_MAX_NS
            while client.unseen:
                if self._schedule.now_ns >= end_ns:
                    raise Violation(f"shards {client.unseen} do not show their settings")
                self._run_for(100 * MS)

    # --- At the end.

    def _check_end(self) -> None:
        self._run_until_done()
        for shard_id in self.cluster.shard_ids:
            digests = {
                process.node_id: process.node.engine.shards[shard_id].digest()
                for process in self.cluster.processes()
            }
            if len(set(digests.values())) != 1:
                raise Violation(f"the replicas of shard {shard_id} differ: {digests}")
        for message, count in self._workload.heard.items():
            self.cluster.judge.heard(message, count)
        self._line.check()
        if faults := self.history.faults():
            raise Violation("\n".join(faults))
