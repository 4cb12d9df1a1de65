"""Clients that wait for data (BLPOP), as a door does it for them, and clients that bring some.

Every element is another one. Whatever fails, none is handed out twice, and none whose push was
acknowledged is lost but for the pops that nobody knows the outcome of; and who waits is served in
the end (correctness A6).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from trimaran.node.commands.blocking import is_nothing
from trimaran.node.data.waiters import WaiterId
from trimaran.node.request import Done, NotApplied, Outcome, Request, Unknown
from trimaran.node.turns import BLOCK
from trimaran.node.waits import FOREVER_NS
from trimaran.proto.reply import ErrorReply

from .judge import Violation
from .schedule import MS
from .workload import TIMEOUT_NS, Client, nobody

if TYPE_CHECKING:
    from trimaran.cluster.slots import ShardId
    from trimaran.node.raft.types import NodeId

    from .cluster import SimCluster

KEY = b"waited"
DB = 11  # A database lives whole on one shard.
POP = [b"BLPOP", KEY, b"0"]
LOOK_NS = 50 * MS
ARRIVED_NS = 5 * MS  # Longer than it takes from a client to its node.


class Line:
    """What was pushed and popped, over all clients."""

    def __init__(self, cluster: SimCluster, shard: ShardId) -> None:
        self.cluster = cluster
        self.shard = shard
        self.pushed: dict[bytes, bool] = {}  # Elements, and whether that was acknowledged.
        self.popped: dict[bytes, int] = {}  # By which client.
        self.doubtful = 0  # Pops nobody knows the outcome of.
        self.numbers = 0

    def next_number(self) -> int:
        self.numbers += 1
        return self.numbers

    def pop(self, element: bytes, client: int) -> None:
        if element in self.popped:
            raise Violation(f"{element!r} is popped by {self.popped[element]} and by {client}")
        if element not in self.pushed:
            raise Violation(f"client {client} pops {element!r}, which nobody has pushed")
        self.popped[element] = client

    def left(self) -> list[bytes] | None:
        """What is there by the leader's state; None if nobody leads."""
        for process in self.cluster.processes():
            shard = process.node.engine.shards.get(self.shard)
            if shard is not None and shard.core.is_ready_to_serve:
                value = shard.keys.look(DB, KEY)
                return [] if value is None else list(value)
        return None

    def check(self) -> None:
        """When all is done, and nobody waits any more."""
        left = self.left() or []
        missing = [
            one
            for one, is_sure in self.pushed.items()
            if is_sure and one not in self.popped and one not in left
        ]
        if len(missing) > self.doubtful:
            raise Violation(f"{missing} are lost, and {self.doubtful} pops not known")
        if twice := [one for one in left if one in self.popped]:
            raise Violation(f"{twice} are popped and still there")


class Pusher(Client):
    line: Line

    def _next(self) -> None:
        if self.is_stopping:
            return
        self.is_idle = False
        elements = [self._workload.next_value() for _ in range(self._rng.choice((1, 1, 2, 5)))]
        self.line.pushed |= dict.fromkeys(elements, False)
        node = self._rng.choice(self._cluster.nodes)

        def answered(outcome: Outcome) -> None:
            self._schedule.note(f"client {self.number} RPUSH {elements}: {outcome}")
            match outcome:
                case Done([int()]):
                    self.line.pushed |= dict.fromkeys(elements, True)
                case NotApplied() | Done([ErrorReply()]):
                    for one in elements:
                        del self.line.pushed[one]
            self._finish()

        request = Request(
            self.line.shard,
            DB,
            [[b"RPUSH", KEY, *elements]],
            has_write=True,
            deadline_ns=self._cluster.deadline_ns(node, TIMEOUT_NS),
            complete=nobody,
        )
        self._cluster.ask(node, request, answered)


class Popper(Client):
    """Waits, is told that it is its turn, pops; gives up now and then."""

    line: Line
    _node: NodeId
    _id: WaiterId
    _wait: Request | None = None

    def _next(self) -> None:
        if self.is_stopping:
            return
        self.is_idle = False
        self._node = self._rng.choice(self._cluster.nodes)
        self._id = WaiterId(self._node, self.line.next_number())
        if self._rng.random() < 0.3:
            self._later(self._time_out, self._id, self._rng.randrange(1, 800 * MS))
        if self._rng.random() < 0.5:
            self._pop()
        else:
            self._stand_in_line()

    def _later(self, action: Callable[[WaiterId], None], id_: WaiterId, delay_ns: int) -> None:
        self._schedule.after(delay_ns, lambda: action(id_))

    def _time_out(self, id_: WaiterId) -> None:
        if id_ == self._id and self._wait is not None:
            self._wait = None
            self._give_up()

    def _look(self, id_: WaiterId) -> None:
        """Whether the run is over, and it was not to be served."""
        if id_ != self._id or self._wait is None:
            return
        if self.is_stopping and self.line.left() == []:
            self._time_out(id_)
        else:
            self._later(self._look, id_, LOOK_NS)

    def _give_up(self) -> None:
        node, cancelled = self._node, self._request([BLOCK, *POP], has_write=False)

        def cancel() -> None:
            self.line.cluster.run(node, lambda one: one.router.cancel(cancelled))

        self._schedule.after(ARRIVED_NS, cancel)  # Never before the wait is there.
        self._finish()

    def _stand_in_line(self) -> None:
        def answered(outcome: Outcome) -> None:
            if wait is not self._wait:
                return  # It has given up.
            self._wait = None
            match outcome:
                case Done([bytes(), *_]):
                    self._pop()
                case _:  # Its node is gone, or its answer was lost.
                    self._give_up()

        wait = self._wait = self._request([BLOCK, *POP], has_write=False)
        self._later(self._look, self._id, LOOK_NS)
        self._cluster.ask(self._node, wait, answered)

    def _pop(self) -> None:
        def answered(outcome: Outcome) -> None:
            self._schedule.note(f"client {self.number} BLPOP {self._id}: {outcome}")
            match outcome:
                case Done([reply]) if is_nothing(reply):
                    self._stand_in_line()
                    return
                case Done([[_, bytes(element)]]):
                    self.done += 1
                    self.line.pop(element, self.number)
                case Unknown():
                    self.line.doubtful += 1
                    self._give_up()
                    return
                case _:
                    self._give_up()
                    return
            self._finish()

        self._cluster.ask(self._node, self._request(POP, has_write=True), answered)

    def _request(self, command: list[bytes], *, has_write: bool) -> Request:
        deadline_ns = FOREVER_NS
        if has_write:
            deadline_ns = self._cluster.deadline_ns(self._node, TIMEOUT_NS)
        return Request(
            self.line.shard,
            DB,
            [command],
            has_write=has_write,
            deadline_ns=deadline_ns,
            complete=nobody,
            waiter=self._id,
        )
