"""Brings a request to the replica that leads its shard, here or on another node.

Led here: the shard's inbox. Led elsewhere: passed on once (never again from there, correctness D1)
over the peer streams, writes under this node's session on that shard, so that one whose answer was
lost can be sent again and is applied once (A8). A request waits here while nobody is known to lead;
at its deadline it is answered with what is known of its fate. Pure but for what it calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .commands.internal import OPEN_SESSION
from .errors import (
    NoQuorum,
    NotLeader,
    OutcomeUnknown,
    Overloaded,
    SessionUnknown,
    Unavailable,
)
from .raft.types import NodeId
from .request import Answer, Done, Forward, NotApplied, Outcome, Request, Unknown

if TYPE_CHECKING:
    from ..cluster.slots import ShardId
    from .clock import Clock
    from .engine import Engine
    from .runtime import Transport
    from .shard import Shard

ANSWER_GRACE_NS = 200_000_000  # An answer may come this much after the deadline it was given.


@dataclass(slots=True)
class _Session:
    """This node's session on one shard."""

    id: int = 0
    is_opening: bool = False
    next_sequence: int = 1
    unanswered: dict[int, None] = field(default_factory=dict)  # Ascending: first is the floor.

    def take(self, count: int) -> int:
        first = self.next_sequence
        self.next_sequence += count
        self.unanswered[first] = None
        return first

    @property
    def floor(self) -> int:
        return next(iter(self.unanswered), self.next_sequence)


@dataclass(frozen=True, slots=True)
class RouterConfig:
    session_timeout_ms: int
    pending_max: int  # Requests passed on or waiting for a leader, over all shards.


class Router:
    def __init__(
        self,
        name: NodeId,
        config: RouterConfig,
        *,
        engine: Engine,
        transport: Transport,
        clock: Clock,
        first_node_of: Callable[[ShardId], NodeId | None],
        # At random: an answer to what this node's last process forwarded may still arrive, and must
        # not be taken for the answer to one of ours.
        first_id: int,
    ) -> None:
        self.forwarded = 0
        self._name = name
        self._config = config
        self._engine = engine
        self._transport = transport
        self._clock = clock
        self._first_node_of = first_node_of
        self._sessions: dict[ShardId, _Session] = {}
        self._parked: dict[ShardId, list[Request]] = {}
        self._parked_count = 0
        self._in_flight: dict[int, tuple[Request, NodeId]] = {}
        self._next_id = first_id
        self._hints: dict[ShardId, NodeId] = {}  # Of shards this node has no replica of.

    # --- From a door.

    def submit(self, request: Request) -> None:
        """Take a request; `request.complete` is called exactly once, sooner or later."""
        shard = self._engine.shards.get(request.shard)
        if shard is not None and shard.is_leader:
            self._engine.submit(shard, request)
        elif not request.may_pass_on:
            request.complete(NotApplied(NotLeader(self.leader_of(request.shard))))
        elif self.pending >= self._config.pending_max:
            request.complete(NotApplied(Overloaded("forward_pending_max")))
        else:
            self._pass_on(request)

    @property
    def pending(self) -> int:
        return len(self._in_flight) + self._parked_count

    def leader_of(self, shard_id: ShardId) -> NodeId | None:
        """The node believed to lead, if any is."""
        shard = self._engine.shards.get(shard_id)
        if shard is not None:
            return shard.leader_node()
        return self._hints.get(shard_id) or self._first_node_of(shard_id)

    def _pass_on(self, request: Request) -> None:
        leader = self.leader_of(request.shard)
        if leader is None or leader == self._name:
            self._park(request)
            return
        if request.has_write:
            session = self._sessions.setdefault(request.shard, _Session())
            if not session.id and request.commands[0][0] != OPEN_SESSION:
                self._park(request)
                self._open_session(request.shard, session)
                return
            if session.id and not request.sequence and request.commands[0][0] != OPEN_SESSION:
                request.session = session.id
                request.sequence = session.take(len(request.commands))
        self._send(request, leader)

    def _send(self, request: Request, leader: NodeId) -> None:
        number = self._next_id
        self._next_id += 1
        self._in_flight[number] = (request, leader)
        left_ms = max(1, (request.deadline_ns - self._clock.now_ns()) // 1_000_000)
        session = self._sessions.get(request.shard)
        request.floor = session.floor if session is not None else 0
        self.forwarded += 1
        self._transport.forward(
            leader,
            Forward(
                id=number,
                shard=request.shard,
                db=request.db,
                user=request.user,
                has_write=request.has_write,
                session=request.session,
                sequence=request.sequence,
                floor=request.floor,
                timeout_ms=left_ms,
                commands=request.commands,
            ),
        )
        self._engine.wake()

    def _park(self, request: Request) -> None:
        self._parked.setdefault(request.shard, []).append(request)
        self._parked_count += 1

    # --- Sessions of this node.

    def _open_session(self, shard_id: ShardId, session: _Session) -> None:
        if session.is_opening:
            return
        session.is_opening = True

        def opened(outcome: Outcome) -> None:
            session.is_opening = False
            if isinstance(outcome, Done) and isinstance(outcome.replies[0], int):
                session.id = outcome.replies[0]
            self._unpark(shard_id)

        timeout = b"%d" % self._config.session_timeout_ms
        deadline_ns = self._clock.now_ns() + 1_000_000_000
        self.submit(
            Request(
                shard_id,
                0,
                [[OPEN_SESSION, timeout]],
                has_write=True,
                deadline_ns=deadline_ns,
                complete=opened,
            )
        )

    def _session_lost(self, request: Request) -> None:
        """The shard does not know our session: what was never sent before gets a new one (A8)."""
        session = self._sessions.get(request.shard)
        if session is not None and session.id == request.session:
            self._sessions[request.shard] = _Session()
        if request.is_uncertain:
            request.complete(Unknown(OutcomeUnknown("its session has expired")))
            return
        request.session = request.sequence = request.floor = 0
        self._pass_on(request)

    # --- What comes back.

    def refuse(self, request: Request, error: Unavailable) -> None:
        """A shard of this node gives a request back: surely not applied by that try."""
        if not request.may_pass_on:
            request.complete(NotApplied(error))
        else:
            self._try_again(request, error)

    def _try_again(self, request: Request, error: Unavailable) -> None:
        if isinstance(error, SessionUnknown):
            self._session_lost(request)
        elif not isinstance(error, NotLeader):
            self._finish(request, NotApplied(error))
        elif self._clock.now_ns() >= request.deadline_ns:
            self._finish_late(request)
        else:
            # Not at once: the hint may be stale, and two nodes could bounce it. A tick is soon, and
            # sooner still if the leader changes.
            self._park(request)

    def receive_answers(self, node: NodeId, answers: Iterable[Answer]) -> None:
        for answer in answers:
            request, _ = self._in_flight.pop(answer.id, (None, None))
            if request is None:
                continue  # It was given up on, or sent again elsewhere.
            match answer.outcome:
                case Done():
                    self._finish(request, answer.outcome)
                case NotApplied(error):
                    if isinstance(error, NotLeader) and error.hint is not None:
                        self._hints[request.shard] = NodeId(error.hint)
                    self._try_again(request, error)
                case Unknown():
                    # Under a session it can be sent again: it is applied once.
                    request.is_uncertain = True
                    self._park(request)

    def peer_down(self, node: NodeId) -> None:
        """What was on its way to `node` may or may not have arrived there."""
        for number, (request, target) in list(self._in_flight.items()):
            if target == node:
                del self._in_flight[number]
                request.is_uncertain = request.is_uncertain or request.has_write
                self._park(request)
        for shard_id, hint in list(self._hints.items()):
            if hint == node:
                del self._hints[shard_id]

    def _finish(self, request: Request, outcome: Outcome) -> None:
        session = self._sessions.get(request.shard)
        if session is not None and session.id == request.session:
            session.unanswered.pop(request.sequence, None)
        if isinstance(outcome, NotApplied) and request.is_uncertain:
            outcome = Unknown(OutcomeUnknown("an earlier try was sent and not answered"))
        request.complete(outcome)

    def _finish_late(self, request: Request) -> None:
        self._finish(request, NotApplied(NoQuorum("no leader was found in time")))

    # --- Time.

    def leader_changed(self, shard: Shard) -> None:
        if shard.leader_node() is not None and shard.id in self._parked:
            self._unpark(shard.id)

    def tick(self) -> None:
        """Try what is parked again; give up on what is late."""
        now = self._clock.now_ns()
        for shard_id in list(self._parked):
            self._unpark(shard_id)
        late = [
            number
            for number, (request, _) in self._in_flight.items()
            if request.deadline_ns + ANSWER_GRACE_NS <= now
        ]
        for number in late:
            request, _ = self._in_flight.pop(number)
            request.is_uncertain = request.is_uncertain or request.has_write
            self._finish_late(request)

    def _unpark(self, shard_id: ShardId) -> None:
        now = self._clock.now_ns()
        requests = self._parked.pop(shard_id, [])
        self._parked_count -= len(requests)
        for request in requests:
            if request.deadline_ns <= now:
                self._finish_late(request)
            elif request.session:
                # Once under a session, always: also when this node leads now, since an earlier
                # try of it may stand in the log already.
                self._resend(request)
            else:
                self.submit(request)

    def _resend(self, request: Request) -> None:
        session = self._sessions.get(request.shard)
        if session is None or session.id != request.session:
            self._session_lost(request)
            return
        shard = self._engine.shards.get(request.shard)
        leader = self.leader_of(request.shard)
        if shard is not None and shard.is_leader:
            request.floor = session.floor
            self._engine.submit(shard, self._as_local_try(request))
        elif leader is None or leader == self._name:
            self._park(request)
        else:
            self._send(request, leader)

    def _as_local_try(self, request: Request) -> Request:
        """A forwarded request whose shard is led here by now: run under the same session."""

        def complete(outcome: Outcome) -> None:
            match outcome:
                case Done():
                    self._finish(request, outcome)
                case NotApplied(error):
                    self._try_again(request, error)
                case Unknown():
                    request.is_uncertain = True
                    self._finish_late(request)

        return Request(
            request.shard,
            request.db,
            request.commands,
            has_write=request.has_write,
            deadline_ns=request.deadline_ns,
            complete=complete,
            user=request.user,
            may_pass_on=False,
            session=request.session,
            sequence=request.sequence,
            floor=request.floor,
        )

    # --- The other side: what another node passed on to us.

    def receive_forwards(self, node: NodeId, forwards: Iterable[Forward]) -> None:
        now = self._clock.now_ns()
        for forward in forwards:
            self._receive_forward(node, forward, now)

    def _receive_forward(self, node: NodeId, forward: Forward, now_ns: int) -> None:
        number = forward.id

        def complete(outcome: Outcome) -> None:
            self._transport.answer(node, Answer(number, outcome))
            self._engine.wake()

        self.submit(
            Request(
                forward.shard,
                forward.db,
                forward.commands,
                has_write=forward.has_write,
                deadline_ns=now_ns + forward.timeout_ms * 1_000_000,
                complete=complete,
                user=forward.user,
                may_pass_on=False,
                session=forward.session,
                sequence=forward.sequence,
                floor=forward.floor,
            )
        )
