"""Brings a request to the replica that leads its shard, here or on another node.

Led here: the shard's inbox. Led elsewhere: passed on once (never again from there, correctness D1)
over the peer streams, writes under this node's session on that shard, so that one whose answer was
lost can be sent again and is applied once (A8). A request waits here while nobody is known to lead;
at its deadline it is answered with what is known of its fate. Pure but for what it calls.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .commands.blocking import may_have
from .commands.internal import OPEN_SESSION
from .data.sessions import REPLIES_MAX
from .data.waiters import WaiterId
from .errors import (
    NoQuorum,
    NotLeader,
    OutcomeUnknown,
    Overloaded,
    SessionUnknown,
    Unavailable,
)
from .outbox import Outbox
from .raft.types import NodeId
from .request import Answer, Done, Forward, NotApplied, Outcome, Request, Unknown
from .turns import BLOCK, calling_off, is_wait
from .waits import FOREVER_NS, Waits

if TYPE_CHECKING:
    from ..cluster.slots import ShardId
    from .clock import Clock
    from .commands.blocking import Waiting
    from .engine import Engine
    from .leaders import Leaders
    from .runtime import Runtime, Transport

WINDOW_MAX = REPLIES_MAX * 3 // 4  # Commands of a session from its floor on.
ANSWER_GRACE_NS = 200_000_000  # An answer may come this much after the deadline it was given.


@dataclass(slots=True)
class _Session:
    """This node's session on one shard."""

    id: int = 0
    is_opening: bool = False
    next_sequence: int = 1
    # Ascending, so the first is the floor. A plain dict would walk over what was deleted.
    unanswered: OrderedDict[int, None] = field(default_factory=OrderedDict)

    def take(self, count: int) -> int:
        first = self.next_sequence
        self.next_sequence += count
        self.unanswered[first] = None
        return first

    @property
    def floor(self) -> int:
        return next(iter(self.unanswered), self.next_sequence)

    @property
    def is_full(self) -> bool:
        """Whether replies pile up behind one slow answer: the shard keeps all of them."""
        return self.next_sequence - self.floor >= WINDOW_MAX


@dataclass(frozen=True, slots=True)
class RouterConfig:
    session_timeout_ms: int
    pending_max: int  # Requests passed on or waiting for a leader, over all shards,
    pending_bytes_max: int = 256 << 20  # and what their commands take.


class Router:
    def __init__(
        self,
        name: NodeId,
        config: RouterConfig,
        *,
        engine: Engine,
        runtime: Runtime,
        transport: Transport,
        clock: Clock,
        leaders: Leaders,
        nodes_of: Callable[[ShardId], Sequence[NodeId]],
        # At random: an answer to what this node's last process forwarded may still arrive, and must
        # not be taken for the answer to one of ours.
        first_id: int,
    ) -> None:
        self.forwarded = 0
        self._name = name
        self._config = config
        self._engine = engine
        self._transport = transport
        self._outbox = Outbox(clock=clock, runtime=runtime, transport=transport, wake=engine.wake)
        self._clock = clock
        self._leaders = leaders
        self._nodes_of = nodes_of
        self._sessions: dict[ShardId, _Session] = {}
        self._parked: dict[ShardId, list[Request]] = {}
        self._parked_count = 0
        self.pending_bytes = 0  # Of what is parked or in flight.
        self._in_flight: dict[int, tuple[Request, NodeId]] = {}
        self._waits = Waits()
        self._next_id = first_id
        # Of shards this node has no replica of: whom a NotLeader named since the last news, and how
        # often nobody knew, or whom we asked was gone.
        self._hints: dict[ShardId, NodeId] = {}
        self._misses: dict[ShardId, int] = {}

    # --- From a door.

    def submit(self, request: Request) -> None:
        """Take a request; `request.complete` is called exactly once, sooner or later (that of a
        wait, when it is answered)."""
        if self._is_led_here(request.shard):
            self._route(request)
        elif request.stale_ns and request.shard in self._engine.shards:
            self._engine.submit(self._engine.shards[request.shard], request)
        elif request.waiter is not None and request.may_pass_on and is_wait(request):
            self._pass_on_wait(request)
        elif not request.may_pass_on:
            request.complete(NotApplied(NotLeader(self.leader_of(request.shard))))
        elif self.pending >= self._config.pending_max:
            request.complete(NotApplied(Overloaded("forward_pending_max")))
        elif self.pending_bytes > self._config.pending_bytes_max:
            request.complete(NotApplied(Overloaded("forward_pending_bytes_max")))
        else:
            self._pass_on(request)

    def _route(self, request: Request) -> None:
        """Bring a request that was let in to where its shard is led now."""
        shard = self._engine.shards.get(request.shard)
        if shard is not None and shard.is_leader:
            self._engine.submit(shard, request)
        else:
            self._pass_on(request)

    def _is_led_here(self, shard_id: ShardId) -> bool:
        shard = self._engine.shards.get(shard_id)
        return shard is not None and shard.is_leader

    @property
    def pending(self) -> int:
        return len(self._in_flight) + self._parked_count

    def leader_of(self, shard_id: ShardId) -> NodeId | None:
        """The node believed to lead, if any is."""
        known = self._leaders.of(shard_id)
        shard = self._engine.shards.get(shard_id)
        if shard is not None:
            leader = shard.leader_node()
            if leader is None and known is not None and known.term > shard.core.term:
                return known.node  # Our replica has not heard of it: it was away.
            return leader
        hint = self._hints.get(shard_id)
        return hint if hint is not None or known is None else known.node

    def _target_of(self, shard_id: ShardId) -> NodeId | None:
        """Whom to ask. Without a replica here to learn it from, one after the other is tried."""
        leader = self.leader_of(shard_id)
        if shard_id in self._engine.shards:
            return leader
        misses = self._misses.get(shard_id, 0)
        if leader is not None and not misses:
            return leader
        nodes = self._nodes_of(shard_id)
        return nodes[misses % len(nodes)] if nodes else None

    def _missed(self, shard_id: ShardId) -> None:
        """Whom we asked knows of no leader, or is gone."""
        self._hints.pop(shard_id, None)
        self._misses[shard_id] = self._misses.get(shard_id, 0) + 1

    def _pass_on(self, request: Request) -> None:
        leader = self._target_of(request.shard)
        if leader is None or leader == self._name:
            self._park(request)
            return
        # A session is opened without one, and a read needs none: run twice it changes nothing.
        if request.has_write and request.commands[0][0] != OPEN_SESSION:
            session = self._sessions.setdefault(request.shard, _Session())
            if not session.id:
                self._park(request)
                self._open_session(request.shard, session)
                return
            if session.is_full:
                self._park(request)
                return
            request.session = session.id
            request.sequence = session.take(len(request.commands))
        self._send(request, leader)

    def _send(self, request: Request, leader: NodeId) -> None:
        number = self._next_id
        self._next_id += 1
        self._in_flight[number] = (request, leader)
        self.pending_bytes += request.size_bytes
        left_ms = max(1, (request.deadline_ns - self._clock.now_ns()) // 1_000_000)
        session = self._sessions.get(request.shard)
        request.floor = session.floor if session is not None else 0
        self.forwarded += 1
        self._outbox.forward(
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
                waiter=waiter_told(request),
            ),
        )

    # --- Clients that wait for data (`waits.py`).

    def may_have(self, shard_id: ShardId, db: int, waiting: Waiting) -> bool:
        """Whether it looks from here as if there was what a command would wait for."""
        shard = self._engine.shards.get(shard_id)
        return shard is None or may_have(shard.keys, db, waiting)

    def cancel(self, wait: Request) -> None:
        """Nobody waits for it any more, wherever it is."""
        id_ = wait.waiter
        assert id_ is not None, "a wait says whose it is"
        sent = self._waits.drop(id_)
        shard = self._engine.shards.get(wait.shard)
        if shard is not None and shard.is_leader:
            shard.submit(calling_off(wait))
            return
        target = sent.target if sent is not None else self._target_of(wait.shard)
        if target is not None and target != self._name and wait.may_pass_on:
            self._next_id += 1  # Its answer is not waited for.
            self._forward_wait(self._next_id - 1, calling_off(wait), target)

    def _pass_on_wait(self, wait: Request) -> None:
        """To who leads; it is answered when there is data."""
        leader = self._target_of(wait.shard)
        if leader is None or leader == self._name:
            self._waits.park(wait)
            return
        self._next_id += 1
        self._waits.sent(self._next_id - 1, wait, leader, self._clock.now_ns())
        self._forward_wait(self._next_id - 1, wait, leader)

    def _forward_wait(self, number: int, wait: Request, target: NodeId) -> None:
        """Not with a batch, which waits for its answers."""
        assert wait.waiter is not None, "a wait says whose it is"
        forward = Forward(
            id=number,
            shard=wait.shard,
            db=wait.db,
            user=wait.user,
            has_write=False,
            session=0,
            sequence=0,
            floor=0,
            timeout_ms=0,
            commands=wait.commands,
            waiter=wait.waiter.number,
        )
        self._transport.forward(target, forward)
        self._engine.wake()

    def _wait_answered(self, answer: Answer) -> None:
        sent = self._waits.answered(answer.id)
        if sent is None:
            return  # It was given up on, or sent again elsewhere.
        match answer.outcome:
            case NotApplied(error) if isinstance(error, NotLeader):
                self._note_hint(sent.request.shard, sent.target, error.hint)
                self._waits.park(sent.request)
            case Unknown():
                self._waits.park(sent.request)
            case outcome:
                sent.request.complete(outcome)

    def _look_after_waits(self, now_ns: int) -> None:
        for shard_id in self._waits.parked_shards:
            is_known = self._target_of(shard_id) not in (None, self._name)
            if is_known or self._is_led_here(shard_id):
                self._wait_again(self._waits.take_parked(shard_id))
        self._wait_again(self._waits.take_stale(now_ns))

    def _wait_again(self, waits: Iterable[Request]) -> None:
        for wait in waits:
            self.submit(wait)

    def _taken(self, number: int) -> tuple[Request, NodeId] | None:
        """What was sent under that number, which is not waited for any more."""
        found = self._in_flight.pop(number, None)
        if found is not None:
            request, target = found
            self.pending_bytes -= request.size_bytes
            self._outbox.settled(target, number, has_write=request.has_write)
        return found

    def _park(self, request: Request) -> None:
        self._parked.setdefault(request.shard, []).append(request)
        self._parked_count += 1
        self.pending_bytes += request.size_bytes

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
            # Otherwise a tick tries again: at once could be a storm.

        timeout = b"%d" % self._config.session_timeout_ms
        deadline_ns = self._clock.now_ns() + 1_000_000_000
        # Not by `submit`: it is not one request more, but what others wait for.
        self._pass_on(
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
        if request.stale_ns:  # The state here is too old for it.
            request.stale_ns = 0
            self.submit(request)
        elif not request.may_pass_on:
            request.complete(NotApplied(error))
        else:
            self._try_again(request, error)

    def _try_again(self, request: Request, error: Unavailable) -> None:
        if isinstance(error, SessionUnknown):
            self._session_lost(request)
        elif not isinstance(error, NotLeader):
            self._finish(request, NotApplied(error))
        elif request.waiter is not None and is_wait(request):
            self._waits.park(request)
        elif self._clock.now_ns() >= request.deadline_ns:
            self._finish_late(request)
        else:
            # Not at once: the hint may be stale, and two nodes could bounce it. A tick is soon, and
            # sooner still if the leader changes.
            self._park(request)

    def receive_answers(self, node: NodeId, answers: Iterable[Answer]) -> None:
        for answer in answers:
            found = self._taken(answer.id)
            if found is None:
                self._wait_answered(answer)
                continue
            request, target = found
            match answer.outcome:
                case Done():
                    self._finish(request, answer.outcome)
                case NotApplied(error):
                    if isinstance(error, NotLeader):
                        self._note_hint(request.shard, target, error.hint)
                    self._try_again(request, error)
                case Unknown():
                    # Under a session it can be sent again: it is applied once. A read, anyhow.
                    request.is_uncertain = request.is_uncertain or request.has_write
                    self._park(request)

    def _note_hint(self, shard_id: ShardId, target: NodeId | None, hint: str | None) -> None:
        if shard_id in self._engine.shards:
            return  # Our own replica knows best.
        if hint is None or hint in (self._name, target):
            self._missed(shard_id)
        else:
            self._hints[shard_id] = NodeId(hint)
            self._misses.pop(shard_id, None)

    def peer_down(self, node: NodeId) -> None:
        """What was on its way to `node` may or may not have arrived there."""
        for number, (request, target) in list(self._in_flight.items()):
            if target == node:
                self._recall(number, request)
        for wait in self._waits.take_of(node):
            self._waits.park(wait)
        for shard_id in [one for one, hint in self._hints.items() if hint == node]:
            del self._hints[shard_id]

    def _recall(self, number: int, request: Request) -> None:
        """Its answer is not waited for any more: under its session it is sent again."""
        self._taken(number)
        request.is_uncertain = request.is_uncertain or request.has_write
        self._park(request)

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

    def leader_changed(self, shard_id: ShardId) -> None:
        self._hints.pop(shard_id, None)
        self._misses.pop(shard_id, None)
        leader = self.leader_of(shard_id)
        if leader is None:
            return
        for number, (request, target) in list(self._in_flight.items()):
            # Who led before may be paused or cut off, with its stream still up: not waited for.
            if request.shard == shard_id and target != leader:
                self._recall(number, request)
        if shard_id in self._parked:
            self._unpark(shard_id)
        self._wait_again(self._waits.take_elsewhere(shard_id, leader))
        self._wait_again(self._waits.take_parked(shard_id))

    def tick(self) -> None:
        """Try what is parked again; give up on what is late."""
        now = self._clock.now_ns()
        if self._waits:
            self._look_after_waits(now)
        for shard_id in list(self._parked):
            is_known = self._target_of(shard_id) not in (None, self._name)
            if is_known or self._is_led_here(shard_id):
                self._unpark(shard_id)
            else:
                self._give_up_late(shard_id, now)
        late = [
            number
            for number, (request, _) in self._in_flight.items()
            if request.deadline_ns + ANSWER_GRACE_NS <= now
        ]
        for number in late:
            request, _ = self._in_flight[number]
            self._taken(number)
            request.is_uncertain = request.is_uncertain or request.has_write
            self._finish_late(request)

    def _unpark(self, shard_id: ShardId) -> None:
        now = self._clock.now_ns()
        requests = self._parked.pop(shard_id, [])
        self._parked_count -= len(requests)
        self.pending_bytes -= sum([request.size_bytes for request in requests])
        for request in requests:
            if request.deadline_ns <= now:
                self._finish_late(request)
            elif request.session:
                # Once under a session, always: also when this node leads now, since an earlier
                # try of it may stand in the log already.
                self._resend(request)
            else:
                self._route(request)

    def _give_up_late(self, shard_id: ShardId, now_ns: int) -> None:
        """Nobody is known to lead: all there is to do for those who wait is to watch the time."""
        late = [one for one in self._parked[shard_id] if one.deadline_ns <= now_ns]
        if not late:
            return
        left = [one for one in self._parked[shard_id] if one.deadline_ns > now_ns]
        self._parked_count -= len(late)
        self.pending_bytes -= sum([request.size_bytes for request in late])
        if left:
            self._parked[shard_id] = left
        else:
            del self._parked[shard_id]
        for request in late:
            self._finish_late(request)

    def _resend(self, request: Request) -> None:
        session = self._sessions.get(request.shard)
        if session is None or session.id != request.session:
            self._session_lost(request)
            return
        shard = self._engine.shards.get(request.shard)
        leader = self._target_of(request.shard)
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
                    self._park(request)  # Under its session it can be tried again.

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
            waiter=None if request.is_uncertain else request.waiter,
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

        is_patient = forward.commands[0][0] == BLOCK
        self.submit(
            Request(
                forward.shard,
                forward.db,
                forward.commands,
                has_write=forward.has_write,
                deadline_ns=FOREVER_NS if is_patient else now_ns + forward.timeout_ms * 1_000_000,
                complete=complete,
                user=forward.user,
                may_pass_on=False,
                session=forward.session,
                sequence=forward.sequence,
                floor=forward.floor,
                waiter=WaiterId(node, forward.waiter) if forward.waiter else None,
            )
        )


def waiter_told(request: Request) -> int:
    """As another node is told it. A pop that may have been applied already takes nobody's turn, and
    must be asked of the log, whoever waits."""
    return 0 if request.waiter is None or request.is_uncertain else request.waiter.number
