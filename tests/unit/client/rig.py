"""A router in virtual time against shards that keep sessions as nodes do, on a bad network.

What a shard applies is written down, so a test can say how often each command was.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Callable
from random import Random

from trimaran.client.router import Router, RouterConfig
from trimaran.client.topology import NodeView, ShardView, TopologyView
from trimaran.node.data.sessions import Lookup, Sessions
from trimaran.node.errors import CommandError
from trimaran.proto import commands_pb2 as pb
from trimaran.proto.execute import encode_batch, encode_outcome, encode_result
from trimaran.proto.requests import encode_command, read_replies

NODES = ("n1", "n2", "n3")
SHARDS = 4


class Outcome:
    """What became of one command; a sink."""

    def __init__(self) -> None:
        self.result: bytes | None = None
        self.error: Exception | None = None

    def set_result(self, result: bytes, /) -> None:
        assert not self.done()
        self.result = result

    def set_exception(self, error: Exception, /) -> None:
        assert not self.done()
        self.error = error

    def done(self) -> bool:
        return self.result is not None or self.error is not None


class ShardState:
    """The state machine of one shard: all that is committed, wherever it is led."""

    def __init__(self) -> None:
        self.sessions = Sessions()
        self.index = 1
        self.applied: Counter[bytes] = Counter()

    def open(self, session: pb.Session, now_ms: int) -> int:
        self.index += 1
        return self.sessions.register(
            self.index, session.timeout_ms, now_ms, session.client, session.age_ms
        )

    def apply(self, session: int, sequence: int, floor: int, key: bytes, now_ms: int) -> bytes:
        """The Result of one command."""
        self.index += 1
        if session:
            known = self.sessions.lookup(session, sequence, floor, now_ms)
            if known is Lookup.UNKNOWN_SESSION:
                return not_applied(pb.NotApplied.SESSION_UNKNOWN)
            if known is Lookup.BELOW_FLOOR:
                return encode_outcome(pb.Result(unknown=pb.OutcomeUnknown(text="below the floor")))
            if known is not Lookup.NEW:
                assert not isinstance(known, Lookup)
                return encode_result(known)
        self.applied[key] += 1
        reply = self.applied[key]
        if session:
            self.sessions.keep(session, sequence, reply)
        return encode_result(reply)


def not_applied(reason: pb.NotApplied.Reason, leader: str = "") -> bytes:
    return encode_outcome(
        pb.Result(not_applied=pb.NotApplied(reason=reason, text="not now", leader=leader))
    )


class Rig:
    def __init__(self, seed: int = 0, **config: float) -> None:
        self.rng = Random(seed)
        self.now = 100.0
        self.asleep_s = 0.0  # For how long the client's machine slept.
        self.leaders = [NODES[shard % 3] for shard in range(SHARDS)]
        self.terms = [1] * SHARDS
        self.shards = [ShardState() for _ in range(SHARDS)]
        self.sent: list[tuple[str, pb.Batch]] = []
        self.cut: set[str] = set()  # Nodes nobody reaches.
        self.lose_requests = self.lose_answers = 0.0  # Shares of tries whose connection breaks.
        self.refuse: Callable[[pb.Batch], bytes | None] = lambda _: None
        self.delay_s: Callable[[], float] = lambda: 0.001
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._wake: float | None = None
        self.router = Router(
            RouterConfig(**config),  # type: ignore[arg-type]  # Of fields that are numbers.
            now=lambda: self.now,
            rng=Random(seed + 1),
            send=self._send,
            wake_at=self._wake_at,
            age_clock=lambda: self.now + self.asleep_s,
        )

    # --- The world.

    @property
    def log_ms(self) -> int:
        """The time of the shards."""
        return int((self.now + self.asleep_s) * 1000)

    def show(self) -> None:
        """The client is told who leads."""
        self.router.changed(self.view())

    def view(self) -> TopologyView:
        return TopologyView(
            node="n1",
            cluster_id="0",
            epoch=1,
            nodes={name: NodeView(name, f"{name}:1", "", name not in self.cut) for name in NODES},
            shards=tuple(
                ShardView(NODES, leader, term)
                for leader, term in zip(self.leaders, self.terms, strict=True)
            ),
        )

    def lead(self, shard: int, node: str) -> None:
        self.leaders[shard] = node
        self.terms[shard] += 1

    def end_sessions(self, shard: int) -> None:
        """As a shard does that has no room for their replies: before their time."""
        sessions = self.shards[shard].sessions
        for session in list(sessions):
            sessions._end(session)

    def at(self, delay_s: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + delay_s, next(self._count), act))

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        self.router.flush()
        end = self.now + seconds
        while True:
            if self._wake is not None and (not self._events or self._wake <= self._events[0][0]):
                at, self._wake = self._wake, None
                if at > end:
                    self._wake = at
                    break
                self.now = max(self.now, at)
                self.router.tick()
            elif self._events and self._events[0][0] <= end:
                at, _, act = heapq.heappop(self._events)
                self.now = max(self.now, at)
                act()
            else:
                break
            self.router.flush()
        self.now = end

    def _wake_at(self, at: float) -> None:
        self._wake = at if self._wake is None else min(self._wake, at)

    def break_link(self, node: str, unsent: tuple[int, ...] = ()) -> None:
        self.router.broken(node, unsent, 0.1)

    # --- One try.

    def _send(self, node: str, number: int, data: bytes) -> None:
        (batch,) = pb.ExecuteRequest.FromString(data).batches
        assert batch.id == number
        self.sent.append((node, batch))
        if node in self.cut:
            return
        if self.rng.random() < self.lose_requests:
            self.at(self.delay_s(), lambda: self.break_link(node))
            return
        self.at(self.delay_s(), lambda: self._arrive(node, batch))

    def _arrive(self, node: str, batch: pb.Batch) -> None:
        if node in self.cut:
            return
        answer = self._carry_out(node, batch)
        if self.rng.random() < self.lose_answers:
            self.at(self.delay_s(), lambda: self.break_link(node))
            return
        self.at(self.delay_s(), lambda: self._answer(node, answer))

    def _answer(self, node: str, data: bytes) -> None:
        if node not in self.cut:
            for answer in read_replies(data):
                self.router.answered(node, answer)

    def _carry_out(self, node: str, batch: pb.Batch) -> bytes:
        now_ms = self.log_ms
        opened: list[tuple[int, int]] = []
        session = batch.sessions[0] if batch.sessions else None
        shard = int(batch.commands[0].args[1].partition(b":")[0])  # Keys say where they are.
        state = self.shards[shard]
        refused = self.refuse(batch)
        if refused is None and self.leaders[shard] != node and not batch.stale_ms:
            refused = not_applied(pb.NotApplied.NOT_LEADER, self.leaders[shard])
        number = session.id if session is not None else 0
        if refused is None and session is not None and not number:
            try:
                number = state.open(session, now_ms)
                opened.append((shard, number))
            except CommandError:
                refused = not_applied(pb.NotApplied.SESSION_UNKNOWN)
        if refused is not None:
            return encode_batch(batch.id, [refused] * len(batch.commands), opened)
        sequence = session.sequence if session is not None else 0
        floor = session.floor if session is not None else 0
        results = [
            state.apply(number, sequence + place, floor, command.args[1], now_ms)
            for place, command in enumerate(batch.commands)
        ]
        return encode_batch(batch.id, results, opened)

    # --- The client.

    def write(self, shard: int, name: str = "k", timeout_s: float = 0.0) -> Outcome:
        outcome = Outcome()
        command = encode_command([b"INCR", b"%d:%b" % (shard, name.encode())])
        self.router.call(shard, 0, command, outcome, is_write=True, timeout_s=timeout_s)
        return outcome

    def read(self, shard: int, timeout_s: float = 0.0, stale_ms: int = 0) -> Outcome:
        outcome = Outcome()
        command = encode_command([b"GET", b"%d:k" % shard])
        self.router.call(
            shard, 0, command, outcome, is_write=False, timeout_s=timeout_s, stale_ms=stale_ms
        )
        return outcome

    def applied(self, shard: int, name: str = "k") -> int:
        return self.shards[shard].applied[b"%d:%b" % (shard, name.encode())]
