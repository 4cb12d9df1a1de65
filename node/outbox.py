"""Requests on their way to other nodes, a batch at a time.

A message costs the same whatever is in it, so what is passed on leaves as entries do at the
engine's gate: the next batch for a node when the one before it was answered, held a moment for
those who were just answered (`gate.Gather`). A slow answer holds nobody longer than BATCH_WAIT_NS.
Reads do not wait for the answers of writes. Pure but for what it calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .gate import HOLD_MAX_NS, Gather

if TYPE_CHECKING:
    from collections.abc import Callable

    from .clock import Clock
    from .raft.types import NodeId
    from .request import Forward
    from .runtime import Runtime, Transport

BATCH_WAIT_NS = 5_000_000


class _Queue:
    """Reads or writes for one node."""

    __slots__ = ("batch", "began_ns", "count", "gather", "is_armed", "node", "waiting")

    def __init__(self, node: NodeId) -> None:
        self.node = node
        self.waiting: dict[int, Forward] = {}
        self.batch: set[int] = set()  # What left last and has no answer.
        self.began_ns = 0  # When it left,
        self.count = 0  # and the commands that were in it.
        self.is_armed = False
        self.gather = Gather(HOLD_MAX_NS)


class Outbox:
    def __init__(
        self, *, clock: Clock, runtime: Runtime, transport: Transport, wake: Callable[[], None]
    ) -> None:
        self._clock = clock
        self._runtime = runtime
        self._transport = transport
        self._wake = wake  # Messages leave at the end of the engine's next turn.
        self._queues: dict[tuple[NodeId, bool], _Queue] = {}

    def forward(self, node: NodeId, forward: Forward) -> None:
        """Send it with the next batch for `node`."""
        key = (node, forward.has_write)
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = _Queue(node)
        queue.waiting[forward.id] = forward
        queue.gather.arrived(len(forward.commands))
        self._pump(queue)

    def settled(self, node: NodeId, number: int, *, has_write: bool) -> None:
        """It was answered, or is not waited for any more."""
        queue = self._queues[(node, has_write)]
        queue.waiting.pop(number, None)
        if number in queue.batch:
            queue.batch.remove(number)
            if not queue.batch:
                now = self._clock.now_ns()
                queue.gather.answered(queue.count, (now - queue.began_ns) // 2, now)
                if queue.waiting:
                    self._pump(queue)

    def _pump(self, queue: _Queue) -> None:
        now = self._clock.now_ns()
        if queue.batch and now - queue.began_ns < BATCH_WAIT_NS:
            self._arm(queue, queue.began_ns + BATCH_WAIT_NS - now)
        elif not queue.batch and queue.gather.holds(now):
            self._arm(queue, queue.gather.until_ns - now)
        else:
            forwards, queue.waiting = queue.waiting, {}
            queue.batch = set(forwards)
            queue.began_ns = now
            queue.count = sum([len(one.commands) for one in forwards.values()])
            for forward in forwards.values():
                self._transport.forward(queue.node, forward)
            self._wake()

    def _arm(self, queue: _Queue, delay_ns: int) -> None:
        if queue.is_armed:
            return
        queue.is_armed = True

        def look() -> None:
            queue.is_armed = False
            if queue.waiting:
                self._pump(queue)

        self._runtime.call_later(max(delay_ns, 0), look)
