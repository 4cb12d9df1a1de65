"""A client that has the SDK's router: routing, sessions, retries and time-outs are its own code.

What a node's gRPC door does with a batch is played here, in front of the same shards: a session is
opened first, one outcome per command comes back, or the connection breaks and nothing does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING

from trimaran.client.errors import NotApplied as CallNotApplied
from trimaran.client.router import Router, RouterConfig
from trimaran.client.topology import NodeView, ShardView, TopologyView
from trimaran.cluster.slots import ShardId
from trimaran.node.commands.internal import OPEN_SESSION
from trimaran.node.errors import NoQuorum, NotLeader, SessionUnknown, Unavailable
from trimaran.node.raft.types import NodeId
from trimaran.node.request import Done, NotApplied, Outcome, Request
from trimaran.proto import commands_pb2 as pb
from trimaran.proto.execute import decode_value, encode_batch, encode_outcome, encode_result
from trimaran.proto.requests import encode_command, outcome_of, read_replies

from .history import has_write
from .schedule import MS, SECOND
from .workload import SESSION_TIMEOUT_MS, Client, Transaction, nobody

if TYPE_CHECKING:
    from trimaran.proto.reply import Reply

    from .cluster import SimCluster
    from .linearizability import Command, Operation
    from .schedule import Schedule
    from .workload import Key, Workload

LOOK_EVERY_NS = 300 * MS  # At what a node knows of leaders.
BREAKS = 0.03  # So often a connection ends instead of answering.
TIMEOUT_S = 4.0


class Slot:
    """Who waits for one command."""

    def __init__(self, ended: Callable[[], None]) -> None:
        self.reply: Reply = None
        self.error: Exception | None = None
        self._is_done = False
        self._ended = ended

    def set_result(self, result: bytes, /) -> None:
        self.reply = decode_value(pb.Value.FromString(outcome_of(result)))
        self._end()

    def set_exception(self, error: Exception, /) -> None:
        self.error = error
        self._end()

    def done(self) -> bool:
        return self._is_done

    def _end(self) -> None:
        assert not self._is_done, "a command was answered twice"
        self._is_done = True
        self._ended()


class SdkClient(Client):
    """One operation at a time, under sessions; some end unknown, and some as not applied."""

    def __init__(
        self,
        number: int,
        schedule: Schedule,
        rng: Random,
        cluster: SimCluster,
        workload: Workload,
        *,
        pause_ns: int,
    ) -> None:
        super().__init__(number, schedule, rng, cluster, workload, pause_ns=pause_ns)
        self._nodes = cluster
        self._shards: dict[int, ShardId] = {}  # Of tries: a batch does not say it.
        self._router = Router(
            RouterConfig(timeout_s=TIMEOUT_S, session_timeout_ms=SESSION_TIMEOUT_MS),
            now=lambda: schedule.now_ns / SECOND,
            rng=Random(rng.getrandbits(64)),
            send=self._send,
            wake_at=lambda at: schedule.at(int(at * SECOND) + 1, self._router.tick),
        )

    def start(self) -> None:
        if self._router.view is None:
            self._look()
        super().start()

    def _look(self) -> None:
        """What some node says of the cluster; it may be old, or wrong."""
        processes = self._nodes.processes()
        if processes:
            node = self._rng.choice(processes).node
            names = self._nodes.nodes
            self._router.changed(
                TopologyView(
                    node="",
                    cluster_id="0",
                    epoch=1,
                    nodes={name: NodeView(name, name, "", is_reachable=True) for name in names},
                    shards=tuple(
                        ShardView(tuple(names), node.router.leader_of(ShardId(shard)) or "", 0)
                        for shard in range(self._nodes.shards)
                    ),
                )
            )
        if not (self.is_stopping and self.is_idle):
            self._schedule.after(LOOK_EVERY_NS, self._look)

    # --- An operation.

    def perform(self, key: Key, commands: tuple[Command, ...]) -> None:
        self.is_idle = False
        args = self._args(key, commands)
        exec_ = None
        if len(commands) > 1 and self._rng.random() < 0.5:
            exec_ = Transaction(self._workload, key, args)
            args = [exec_.args]
        operation = self._workload.history.invoke(
            self.number, key.label, commands, is_pipeline=exec_ is None
        )
        slots: list[Slot] = []

        def ended() -> None:
            if all(slot.done() for slot in slots):
                self._ended(key, operation, slots, exec_)

        slots += [Slot(ended) for _ in args]
        batch = self._router.batch(key.shard, key.db, is_write=has_write(commands))
        for words, slot in zip(args, slots, strict=True):
            batch.add(encode_command(words), slot)
        self._router.submit(batch)

    def _ended(
        self, key: Key, operation: Operation, slots: Sequence[Slot], exec_: Transaction | None
    ) -> None:
        errors = [slot.error for slot in slots if slot.error is not None]
        if not errors:
            replies = [slot.reply for slot in slots]
            self._answered(key, operation, replies if exec_ is None else exec_.replies(replies[0]))
        elif len(errors) == len(slots) and all(isinstance(one, CallNotApplied) for one in errors):
            self._workload.history.withdraw(operation)
        else:
            self.unknown += 1
        self._finish()

    # --- A try, as a door carries it out.

    def _send(self, node: str, number: int, data: bytes) -> None:
        (batch,) = pb.ExecuteRequest.FromString(data).batches
        assert batch.id == number
        self._shards[number] = ShardId(self._router._in_flight[number][0].shard)
        target = NodeId(node)
        if self._rng.random() < BREAKS:
            self._schedule.after(self._rng.randrange(1, 50 * MS), lambda: self._break(target))
        session = batch.sessions[0] if batch.sessions else None
        if session is not None and not session.id:
            self._open(target, batch, session)
        else:
            self._carry_out(target, batch, session.id if session is not None else 0, [])

    def _break(self, node: NodeId) -> None:
        self._router.broken(node, (), 0.05)

    def _open(self, node: NodeId, batch: pb.Batch, session: pb.Session) -> None:
        def answered(outcome: Outcome) -> None:
            match outcome:
                case Done([int() as session_id]):
                    self._carry_out(node, batch, session_id, [(session.shard, session_id)])
                case Done():
                    self._answer(node, batch, _refused(batch, SessionUnknown()), [])
                case NotApplied(error):
                    self._answer(node, batch, _refused(batch, error), [])
                case _:
                    self._answer(node, batch, _refused(batch, NoQuorum("not opened")), [])

        numbers = (session.timeout_ms, session.client, session.age_ms)
        command = [OPEN_SESSION, *[b"%d" % number for number in numbers]]
        self._ask(node, self._request(node, batch, [command], has_write=True), answered)

    def _carry_out(
        self, node: NodeId, batch: pb.Batch, session_id: int, opened: list[tuple[int, int]]
    ) -> None:
        def answered(outcome: Outcome) -> None:
            match outcome:
                case Done(replies):
                    results = [encode_result(reply) for reply in replies]
                case NotApplied(error):
                    results = _refused(batch, error)
                case _:
                    unknown = encode_outcome(pb.Result(unknown=pb.OutcomeUnknown(text="?")))
                    results = [unknown] * len(batch.commands)
            self._answer(node, batch, results, opened)

        commands = [list(command.args) for command in batch.commands]
        request = self._request(node, batch, commands, has_write=bool(batch.sessions))
        if session_id:
            request.session = session_id
            request.sequence = batch.sessions[0].sequence
            request.floor = batch.sessions[0].floor
        self._ask(node, request, answered)

    def _request(
        self, node: NodeId, batch: pb.Batch, commands: list[list[bytes]], *, has_write: bool
    ) -> Request:
        return Request(
            self._shards[batch.id],
            batch.database,
            commands,
            has_write=has_write,
            deadline_ns=self._cluster.deadline_ns(node, batch.timeout_ms * MS),
            complete=nobody,
            may_pass_on=False,
        )

    def _ask(self, node: NodeId, request: Request, answered: Callable[[Outcome], None]) -> None:
        self._cluster.ask(node, request, answered)

    def _answer(
        self,
        node: NodeId,
        batch: pb.Batch,
        results: Sequence[bytes],
        opened: list[tuple[int, int]],
    ) -> None:
        for answer in read_replies(encode_batch(batch.id, results, opened)):
            self._router.answered(node, answer)


def _refused(batch: pb.Batch, error: Unavailable) -> list[bytes]:
    """Surely not applied, all of it."""
    kind = pb.NotApplied
    refusal = kind(reason=kind.NO_QUORUM, text=str(error))
    if isinstance(error, NotLeader):
        refusal = kind(reason=kind.NOT_LEADER, text=str(error), leader=error.hint or "")
    elif isinstance(error, SessionUnknown):
        refusal = kind(reason=kind.SESSION_UNKNOWN, text=str(error))
    return [encode_outcome(pb.Result(not_applied=refusal))] * len(batch.commands)
