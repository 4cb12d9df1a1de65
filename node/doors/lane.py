"""A lane: what one connection wants of one shard, in order, one request at a time.

While a request is in flight, the commands behind it gather and become the next one. So nothing of
a connection overtakes what it sent before (correctness D1), and a pipeline costs few requests. A
sink says where a reply goes: the number of its place in the connection's order, or a part of a
command that was split over shards.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, TypeAlias

from ..errors import Overloaded
from ..request import NotApplied, Request
from .no_touch import unnoticed

if TYPE_CHECKING:
    from ...cluster.slots import ShardId
    from ..request import Args, Outcome
    from .client import Client
    from .gather import Part

log = logging.getLogger(__name__)

Sink: TypeAlias = "int | Part"

BACK_OFF_S = 0.01  # Before an overloaded shard is asked again; doubled each time,
BACK_OFF_MAX_S = 0.16  # up to this.


class Batch:
    """Commands that go, or went, as one request."""

    __slots__ = (
        "commands",
        "cost",
        "db",
        "has_parts",
        "has_write",
        "is_no_touch",
        "since_ns",
        "sinks",
    )

    def __init__(self, db: int, since_ns: int, *, is_no_touch: bool) -> None:
        self.db = db
        self.is_no_touch = is_no_touch  # As CLIENT NO-TOUCH says.
        self.since_ns = since_ns  # When its first command came: deadlines count from there.
        self.commands: list[Args] = []
        self.sinks: list[Sink] = []
        self.has_write = False
        self.has_parts = False  # Of commands that other shards have a part in, too.
        self.cost = 0


class Lane:
    __slots__ = ("_back_off_s", "_client", "_flight", "_shard", "_waiting")

    def __init__(self, client: Client, shard: ShardId) -> None:
        self._client = client
        self._shard = shard
        self._flight: Batch | None = None
        self._waiting: deque[Batch] = deque()
        self._back_off_s = BACK_OFF_S

    def add(self, sink: Sink, args: Args, cost: int, *, is_write: bool) -> None:
        client = self._client
        waiting = self._waiting
        if waiting:
            batch = waiting[-1]
            limits = client.door.limits
            if (
                batch.db != client.db
                or batch.is_no_touch is not client.is_no_touch
                or batch.cost + cost > limits.request_bytes_max
                or len(batch.commands) >= limits.request_commands_max
            ):
                batch = Batch(client.db, client.now_ns, is_no_touch=client.is_no_touch)
                waiting.append(batch)
        else:
            batch = Batch(client.db, client.now_ns, is_no_touch=client.is_no_touch)
            waiting.append(batch)
            if self._flight is None:
                client.idle_lanes.append(self)
        batch.commands.append(args)
        batch.sinks.append(sink)
        batch.cost += cost
        if is_write:
            batch.has_write = True
        if type(sink) is not int:
            batch.has_parts = True

    def launch(self) -> None:
        """Send what waits; called when nothing is in flight."""
        self._flight = self._waiting.popleft()
        self._submit(self._flight)

    def _submit(self, batch: Batch) -> None:
        door = self._client.door
        door.router.submit(
            Request(
                self._shard,
                batch.db,
                unnoticed(batch.commands) if batch.is_no_touch else batch.commands,
                batch.has_write,
                batch.since_ns + door.command_timeout_ns,
                self._complete,
                may_pass_on=not door.is_cluster,
            )
        )

    def _complete(self, outcome: Outcome) -> None:
        batch = self._flight
        assert batch is not None, "a request was answered twice"
        if type(outcome) is NotApplied and self._may_wait(outcome, batch):
            self._back_off()
            return
        self._flight = None
        self._back_off_s = BACK_OFF_S
        client = self._client
        if self._waiting:
            client.idle_lanes.append(self)
        try:
            client.answer(batch, outcome)
        except Exception:
            # The shard that applied it calls this: a fault here ends this client, not a shard.
            log.exception("answer_failed client=%s shard=%s", client.address, self._shard)
            client.abort()

    # --- An overloaded shard: the client reads no more and its request is tried again (D4).

    def _may_wait(self, outcome: NotApplied, batch: Batch) -> bool:
        client = self._client
        return (
            isinstance(outcome.error, Overloaded)
            and client.waits_when_overloaded
            and not client.is_lost
            and client.door.router.now_ns() < batch.since_ns + client.door.command_timeout_ns
        )

    def _back_off(self) -> None:
        self._client.backing_off += 1
        self._client.schedule()
        self._client.door.call_later(self._back_off_s, self._again)
        self._back_off_s = min(2 * self._back_off_s, BACK_OFF_MAX_S)

    def _again(self) -> None:
        self._client.backing_off -= 1
        batch = self._flight
        assert batch is not None, "nothing is in flight to be tried again"
        if self._client.is_lost:
            self._flight = None
        else:
            self._submit(batch)

    def drop_waiting(self) -> None:
        """The client is gone: what was not sent is not sent any more."""
        self._waiting.clear()
