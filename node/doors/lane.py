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

from ..request import Request

if TYPE_CHECKING:
    from ...cluster.slots import ShardId
    from ..request import Args, Outcome
    from .connection import Connection
    from .gather import Part

log = logging.getLogger(__name__)

Sink: TypeAlias = "int | Part"


class Batch:
    """Commands that go, or went, as one request."""

    __slots__ = ("commands", "cost", "db", "has_write", "since_ns", "sinks")

    def __init__(self, db: int, since_ns: int) -> None:
        self.db = db
        self.since_ns = since_ns  # When its first command came: deadlines count from there.
        self.commands: list[Args] = []
        self.sinks: list[Sink] = []
        self.has_write = False
        self.cost = 0


class Lane:
    __slots__ = ("_connection", "_flight", "_shard", "_waiting")

    def __init__(self, connection: Connection, shard: ShardId) -> None:
        self._connection = connection
        self._shard = shard
        self._flight: Batch | None = None
        self._waiting: deque[Batch] = deque()

    def add(self, sink: Sink, args: Args, cost: int, *, is_write: bool) -> None:
        connection = self._connection
        waiting = self._waiting
        if waiting:
            batch = waiting[-1]
            limits = connection.door.limits
            if (
                batch.db != connection.db
                or batch.cost + cost > limits.request_bytes_max
                or len(batch.commands) >= limits.request_commands_max
            ):
                batch = Batch(connection.db, connection.now_ns)
                waiting.append(batch)
        else:
            batch = Batch(connection.db, connection.now_ns)
            waiting.append(batch)
            if self._flight is None:
                connection.idle_lanes.append(self)
        batch.commands.append(args)
        batch.sinks.append(sink)
        batch.cost += cost
        if is_write:
            batch.has_write = True

    def launch(self) -> None:
        """Send what waits; called when nothing is in flight."""
        batch = self._flight = self._waiting.popleft()
        door = self._connection.door
        door.router.submit(
            Request(
                self._shard,
                batch.db,
                batch.commands,
                batch.has_write,
                batch.since_ns + door.command_timeout_ns,
                self._complete,
                may_pass_on=not door.is_cluster,
            )
        )

    def _complete(self, outcome: Outcome) -> None:
        batch = self._flight
        assert batch is not None, "a request was answered twice"
        self._flight = None
        connection = self._connection
        if self._waiting:
            connection.idle_lanes.append(self)
        try:
            connection.answer(batch, outcome)
        except Exception:
            # The shard that applied it calls this: a fault here ends this client, not a shard.
            log.exception("answer_failed client=%s shard=%s", connection.address, self._shard)
            connection.abort()

    def drop_waiting(self) -> None:
        """The client is gone: what was not sent is not sent any more."""
        self._waiting.clear()
