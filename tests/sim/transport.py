"""`NodeTransport` of a simulated process: one batch per peer and turn, as `node/peers.py` does."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, cast

from trimaran.node.errors import NotLeader
from trimaran.node.leaders import Leaders
from trimaran.node.raft.types import (
    InstallSnapshot,
    Message,
    NodeId,
    is_patient,
)
from trimaran.node.request import Answer, NotApplied
from trimaran.node.skew import ClockOffsets

from .codec import answers_on_wire, forwards_on_wire, messages_on_wire
from .schedule import MS

if TYPE_CHECKING:
    from trimaran.cluster.slots import ShardId
    from trimaran.cluster.topology import Topology
    from trimaran.node.leaders import Led
    from trimaran.node.request import Forward

    from .machine import Machine
    from .network import Receiver
    from .process import Process
    from .runtime import SimRuntime

TRANSFER_NS = 300 * MS  # The longest a snapshot is on its way.
TRANSFER_LOST = 0.1


@dataclass(slots=True)
class Batch:
    """What one turn of one node has to say to one other."""

    wall_ms: int = 0  # The sender's wall clock (correctness A2).
    messages: list[tuple[ShardId, Message]] = field(default_factory=list)
    forwards: list[Forward] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    leaders: dict[ShardId, Led] = field(default_factory=dict)
    epoch: int = 0  # Of the sender's topology.
    topology: str = ""  # Its JSON, for who has not said that it knows it.
    is_lazy: bool = True  # Holds only what may ride along with something else.


class SimTransport:
    def __init__(self, machine: Machine, runtime: SimRuntime) -> None:
        self._machine = machine
        self._node = machine.node
        self._runtime = runtime
        self._batches: dict[NodeId, Batch] = {}
        self._offsets = ClockOffsets()
        self._leaders = Leaders()
        self._up: set[NodeId] = set()
        self._topology = machine.settings.topology
        self._said: dict[NodeId, int] = {}  # The epoch each said it knows, since it is up.
        self._bounced: list[tuple[NodeId, Answer]] = []  # Forwards to nodes that are not there.
        self._transfers: dict[int, Callable[[bool], None]] = {}
        self._transfer_count = 0

    # --- Batches.

    def send(self, node: NodeId, shard: ShardId, message: Message) -> None:
        self._machine.judge.leaving(self._node, shard, message)
        batch = self._batch(node)
        batch.messages.append((shard, message))
        batch.is_lazy &= is_patient(message)

    def forward(self, node: NodeId, forward: Forward) -> None:
        if node not in self._up:
            self._bounced.append((node, Answer(forward.id, NotApplied(NotLeader(None)))))
            return
        batch = self._batch(node)
        batch.forwards.append(forward)
        batch.is_lazy = False

    def answer(self, node: NodeId, answer: Answer) -> None:
        batch = self._batch(node)
        batch.answers.append(answer)
        batch.is_lazy = False

    def tell_leaders(self, told: Sequence[Led], *, is_urgent: bool) -> None:
        for one in self._leaders.learn_all(told):
            for node in self._machine.settings.nodes:
                if node != self._node:
                    batch = self._batch(node)
                    batch.leaders[one.shard] = one
                    batch.is_lazy &= not is_urgent

    def greet(self, node: NodeId) -> None:
        """A new stream: what was said on the one before may be lost."""
        self._up.add(node)
        batch = self._batch(node)
        batch.leaders = {one.shard: one for one in self._leaders}
        batch.is_lazy &= not batch.leaders

    def lost(self, node: NodeId) -> None:
        """The stream broke."""
        self._up.discard(node)
        self._said.pop(node, None)

    def _batch(self, node: NodeId) -> Batch:
        batch = self._batches.get(node)
        if batch is None:
            batch = self._batches[node] = Batch()
        return batch

    def flush(self, *, lazily: bool = False) -> None:
        """What is in no hurry waits for something that is, or for the next tick (E2)."""
        machine = self._machine
        for node, batch in list(self._batches.items()):
            if batch.is_lazy and not lazily:
                continue
            del self._batches[node]
            batch.wall_ms = machine.clock.wall_ms()
            batch.epoch = self._topology.epoch
            if self._said.get(node, batch.epoch) < batch.epoch:
                batch.topology = json.dumps(self._topology.to_json())
            machine.schedule.note(_describe(self._node, node, batch))
            if machine.settings.scenario.has_wire:
                batch.messages = messages_on_wire(batch.messages)
                batch.forwards = forwards_on_wire(batch.forwards)
                batch.answers = answers_on_wire(batch.answers)
            machine.network.send(self._node, node, partial(_deliver, self._node, batch))
        bounced, self._bounced = self._bounced, []
        for node, answer in bounced:
            process = machine.process
            assert process is not None, "a dead process is told nothing"
            process.node.receive_answers(node, [answer])

    # --- What a node wants to know of the others.

    def note_clock(self, node: NodeId, wall_ms: int) -> None:
        clock = self._machine.clock
        self._offsets.note(node, remote_ms=wall_ms, local_ms=clock.wall_ms(), now_ns=clock.now_ns())

    def is_clock_far(self, limit_ms: int) -> bool:
        clock = self._machine.clock
        return self._offsets.is_far(limit_ms, local_ms=clock.wall_ms(), now_ns=clock.now_ns())

    def update_topology(self, topology: Topology) -> None:
        self._machine.schedule.note(f"{self._node} topology {topology.epoch}")
        self._machine.judge.knows(self._node, topology)
        self._topology = topology
        for node in self._machine.settings.nodes:
            if node != self._node:
                self._batch(node).is_lazy = False

    def note_epoch(self, node: NodeId, epoch: int) -> None:
        """It says that it knows that topology."""
        if node in self._up:
            self._said[node] = epoch

    @property
    def up(self) -> list[NodeId]:
        return sorted(self._up)

    def nodes_behind(self, epoch: int) -> list[NodeId]:
        return [node for node in self.up if self._said.get(node, 0) < epoch]

    # --- Snapshots, over their own stream: whole or not at all.

    def send_snapshot(
        self, node: NodeId, shard: ShardId, message: InstallSnapshot, path: str
    ) -> None:
        machine = self._machine
        machine.judge.leaving(self._node, shard, message)
        machine.schedule.note(f"{self._node}>{node} snapshot {shard} {message.meta.id}")
        self._transfer_count += 1
        number = self._transfer_count

        def ended(is_ok: bool) -> None:  # noqa: FBT001 - one of two answers.
            process = machine.process
            assert process is not None, "a dead process is told nothing"
            process.node.snapshot_sent(node, shard, message, is_ok=is_ok)

        self._transfers[number] = ended
        takes_ns = machine.rng.randrange(MS, TRANSFER_NS)
        self._runtime.call_later(
            takes_ns, lambda: self._transfer(number, node, shard, message, path)
        )
        self._runtime.call_later(2 * TRANSFER_NS, lambda: self._end(number, is_ok=False))

    def _transfer(
        self, number: int, node: NodeId, shard: ShardId, message: InstallSnapshot, path: str
    ) -> None:
        machine = self._machine
        if not machine.network.is_connected(self._node, node):
            self._end(number, is_ok=False)
            return
        if machine.rng.random() < TRANSFER_LOST:
            return  # The sender hears nothing until its time-out.
        file = machine.disk.open(path)
        content = file.pread(file.size(), 0)
        file.close()
        source = self._node

        def arrived() -> None:
            self._runtime.call_later(
                machine.rng.randrange(MS, 5 * MS), lambda: self._end(number, is_ok=True)
            )

        def deliver(receiver: Receiver) -> None:
            _process(receiver).receive_snapshot(source, shard, message, content, arrived)

        machine.network.send(self._node, node, deliver)

    def _end(self, number: int, *, is_ok: bool) -> None:
        ended = self._transfers.pop(number, None)
        if ended is not None:
            ended(is_ok)


def _process(receiver: Receiver) -> Process:
    # The network knows only what it needs of those who listen; they are all processes.
    return cast("Process", receiver)


def _deliver(source: NodeId, batch: Batch, receiver: Receiver) -> None:
    _process(receiver).receive(source, batch)


def _describe(source: NodeId, target: NodeId, batch: Batch) -> str:
    parts = [f"{source}>{target}"]
    parts += [f"{shard}:{_short(message)}" for shard, message in batch.messages]
    parts += [f"F{forward.id}" for forward in batch.forwards]
    parts += [f"A{answer.id}:{type(answer.outcome).__name__}" for answer in batch.answers]
    return " ".join(parts)


def _short(message: Message) -> str:
    return f"{type(message).__name__}({message.term})"
