"""One run of a node's process: the real `Node` between a simulated runtime and transport."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from trimaran.cluster.slots import META_SHARD
from trimaran.cluster.topology import Topology
from trimaran.node.errors import OutcomeUnknown
from trimaran.node.loading import open_node
from trimaran.node.request import Done, Outcome, Request, Unknown
from trimaran.node.steps import run_through
from trimaran.node.storage.identity import DataDirectory
from trimaran.proto.reply import OK

from .runtime import SimRuntime
from .schedule import SECOND
from .transport import Batch, SimTransport
from .watch import WatchedLog, watched_parts

if TYPE_CHECKING:
    from trimaran.cluster.settings import Pairs
    from trimaran.cluster.slots import ShardId
    from trimaran.node.raft.types import InstallSnapshot, NodeId
    from trimaran.node.runtime import Runtime
    from trimaran.node.storage.wal import ShardSave

    from .machine import Machine

FORGOTTEN_NS = 2 * SECOND  # So long after its deadline a request must have been answered.
DIRECTORY = "/data"


@dataclass(slots=True)
class _Asked:
    """A client's request that this process has taken."""

    request: Request
    answer: Callable[[Outcome], None]
    deadline_ns: int  # Of the schedule's time.


class Process:
    def __init__(self, machine: Machine) -> None:
        self.node_id: NodeId = machine.node
        self._machine = machine
        self._schedule = machine.schedule
        self._rng = machine.rng
        self._asked: dict[int, _Asked] = {}
        self._asked_count = 0
        self.runtime = SimRuntime(
            machine.schedule, machine.rng, machine.disk_profile, machine.stop_of
        )
        self.transport = SimTransport(machine, self.runtime)
        runtime: Runtime = self.runtime
        settings = machine.settings
        directory = DataDirectory.open(
            machine.disk,
            DIRECTORY,
            name=self.node_id,
            shards=settings.topology.shards,
            incarnation=1,
        )
        directory.form(settings.topology.cluster_id)
        topology = directory.topology(settings.topology)
        self.transport.update_topology(topology)
        self.node = run_through(
            open_node(
                settings.config(machine.node),
                topology,
                directory=DIRECTORY,
                memory=directory,
                disk=machine.disk,
                clock=machine.clock,
                runtime=runtime,
                transport=self.transport,
                seeds=Random(machine.rng.getrandbits(64)),
                parts=watched_parts(machine),
            )
        )

    def start(self) -> None:
        self._tick()

    def stop(self) -> None:
        """The process is gone: whoever waits for an answer will never hear one."""
        self.runtime.is_alive = False
        for asked in self._asked.values():
            asked.answer(Unknown(OutcomeUnknown("the connection to the node is lost")))
        self._asked.clear()

    def in_flight(self) -> list[ShardSave]:
        """What a write that never returned was about."""
        assert isinstance(self.node.log, WatchedLog)
        return self.node.log.in_flight

    def _tick(self) -> None:
        self.node.tick()
        self.runtime.call_later(self._machine.settings.scenario.tick_ns, self._tick)

    # --- Clients.

    def ask(self, request: Request, answer: Callable[[Outcome], None]) -> None:
        self._asked_count += 1
        number = self._asked_count
        left_ns = request.deadline_ns - self._machine.clock.now_ns()
        deadline_ns = self._schedule.now_ns + max(0, left_ns)
        self._asked[number] = _Asked(request, answer, deadline_ns)
        request.complete = partial(self._complete, number)
        self.runtime.run(lambda: self.node.router.submit(request))

    def change_settings(self, pairs: Pairs, answer: Callable[[Outcome], None]) -> None:
        """CONFIG SET of what the cluster shares, as a door has the node do it."""

        def complete(outcome: Outcome) -> None:
            if outcome == Done([OK]):
                for pair in pairs:
                    up = [self.node_id, *self.transport.up]
                    self._machine.judge.acknowledged(self.node_id, pair, up)
            answer(outcome)

        self._asked_count += 1
        number = self._asked_count
        timeout_ns = self.node.config.command_timeout_ms * 1_000_000
        request = Request(
            META_SHARD,
            0,
            [[b"CONFIG", b"SET"]],
            has_write=True,
            deadline_ns=0,
            complete=partial(self._complete, number),
        )
        asked = self._asked[number] = _Asked(request, complete, 1 << 62)

        def change() -> None:
            # The node counts from when it takes the command, which may have waited for it.
            asked.deadline_ns = self._schedule.now_ns + timeout_ns
            self.node.settings.change(pairs, request.complete)

        self.runtime.run(change)

    def _complete(self, number: int, outcome: Outcome) -> None:
        asked = self._asked.pop(number, None)
        assert asked is not None, "a request is answered twice"
        asked.answer(outcome)

    def overdue(self) -> list[str]:
        """What should have been answered by now."""
        since_ns = max(self.runtime.paused_until_ns, self._machine.disk_profile.stalled_until_ns)
        return [
            f"{self.node_id} has forgotten a request for shard {asked.request.shard}: "
            f"{[list(args) for args in asked.request.commands]}"
            for asked in self._asked.values()
            if self._schedule.now_ns > max(asked.deadline_ns, since_ns) + FORGOTTEN_NS
        ]

    # --- The network.

    def receive(self, source: NodeId, batch: Batch) -> None:
        self.runtime.run(partial(self._receive, source, batch))

    def _receive(self, source: NodeId, batch: Batch) -> None:
        self.transport.note_clock(source, batch.wall_ms)
        self.transport.note_epoch(source, batch.epoch)
        if batch.topology:
            self.node.topology_received(Topology.from_json(json.loads(batch.topology)))
        if batch.leaders:
            self.node.leaders_received(source, list(batch.leaders.values()))
        if batch.messages:
            self.node.receive(source, batch.messages)
        if batch.forwards:
            self.node.receive_forwards(source, batch.forwards)
        if batch.answers:
            self.node.receive_answers(source, batch.answers)

    def peer_up(self, node: NodeId) -> None:
        self.transport.greet(node)
        self.runtime.run(lambda: self.node.peer_up(node))

    def peer_down(self, node: NodeId) -> None:
        self.transport.lost(node)
        self.runtime.run(lambda: self.node.peer_down(node))

    def receive_snapshot(
        self,
        source: NodeId,
        shard: ShardId,
        message: InstallSnapshot,
        content: bytes,
        done: Callable[[], None],
    ) -> None:
        """A file arrives over the bulk stream; `done` when it is on this disk and verified."""

        def keep() -> str:
            file = self.node.open_incoming(shard, message.meta)
            half = len(content) // 2
            file.write(content[:half])
            file.write(content[half:])
            return file.finish()

        def kept(path: str) -> None:
            done()
            self.node.snapshot_received(source, shard, message, path)

        self.runtime.run(lambda: self.runtime.run_bulk(keep, kept))
