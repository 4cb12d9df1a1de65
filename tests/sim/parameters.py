"""A client of CONFIG SET: it changes a cluster-wide parameter and has handlers write what they see.

The parameter is a register like any key: its changes and what the meta group says of it must be
linearizable. Its value gets into keyspaces by a command of the simulator's own, whose handler puts
what its entry says: replicas that took it from elsewhere would differ.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Protocol

from trimaran.cluster.slots import META_SHARD, ShardId
from trimaran.cluster.topology import Topology
from trimaran.node.commands.internal import GET_TOPOLOGY
from trimaran.node.data.keyspace import INTERNAL_DB
from trimaran.node.request import Done, NotApplied, Outcome, Request
from trimaran.node.running import ALL_HANDLERS
from trimaran.proto.reply import OK, ErrorReply, Reply

from .judge import Violation
from .schedule import MS, Schedule
from .workload import GET, TIMEOUT_NS, UNKNOWN_MAX, Cluster

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from trimaran.cluster.settings import Pairs
    from trimaran.node.commands.context import Context
    from trimaran.node.data.keyspace import Keyspace
    from trimaran.node.raft.types import NodeId
    from trimaran.node.request import Args

    from .history import History

LABEL = b"CONFIG maxmemory"
PUT_SEEN = b"SIM.PUTSEEN"  # SIM.PUTSEEN key: puts `maxmemory` as the entry has it.
SEEN_KEY = b"seen"

STAYING_BYTES = 550  # Of a shard's keys without an expiry, about,
GOING_BYTES = 600  # and of those with one.


def put_seen(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    keys.put(args[1], b"%d" % ctx.settings.maxmemory)
    return ctx.settings.maxmemory


ALL_HANDLERS[PUT_SEEN] = put_seen


class ConfigCluster(Cluster, Protocol):
    def change_settings(
        self, node: NodeId, pairs: Pairs, answered: Callable[[Outcome], None]
    ) -> None: ...


class ConfigClient:
    """One operation at a time, at any node."""

    def __init__(
        self,
        number: int,
        schedule: Schedule,
        rng: Random,
        cluster: ConfigCluster,
        history: History,
        *,
        pause_ns: int,
        scarce_shards: int,
    ) -> None:
        self.number = number
        self.is_stopping = False
        self.is_idle = True
        self.changes = 0
        self.unseen: set[ShardId] = set()
        self._schedule = schedule
        self._rng = rng
        self._cluster = cluster
        self._history = history
        self._pause_ns = pause_ns
        self._scarce_shards = scarce_shards  # Whose keys must make room; 0: there is enough.
        self._written = 0

    def start(self) -> None:
        self._schedule.after(self._rng.randrange(1, 2 * self._pause_ns), self._next)

    def _next(self) -> None:
        if self.is_stopping:
            return
        self.is_idle = False
        node = self._rng.choice(self._cluster.nodes)
        dice = self._rng.random()
        if dice < 0.6:
            self._put_seen(node)
        elif dice < 0.8 or self._history.unknown(LABEL) >= UNKNOWN_MAX:
            self._read(node)
        else:
            self._change(node)

    def _finish(self) -> None:
        self.is_idle = True
        self.start()

    # --- The three operations.

    def _change(self, node: NodeId) -> None:
        self._written += 1
        value = b"%d" % self._limit()
        operation = self._history.invoke(self.number, LABEL, ((b"SET", value),))

        def answered(outcome: Outcome) -> None:
            self._schedule.note(f"client {self.number} sets {value!r}: {outcome}")
            match outcome:
                case Done([reply]):  # An error says: set, and not known everywhere in time.
                    assert reply == OK or isinstance(reply, ErrorReply), reply
                    self.changes += 1
                    self._history.answer(operation, (b"OK",))
                case NotApplied():
                    self._history.withdraw(operation)
                case _:
                    pass
            self._finish()

        self._cluster.change_settings(node, (("maxmemory", value.decode()),), answered)

    def _limit(self) -> int:
        """A value that nobody else writes."""
        if self._scarce_shards:  # What must stay has room, and some of what may go.
            each = STAYING_BYTES + self._written * 97 % GOING_BYTES
            return self._scarce_shards * each + self.number % 2
        return (self._written * 1000 + self.number) << 30

    def _read(self, node: NodeId) -> None:
        """Ask the meta group what is agreed on."""
        operation = self._history.invoke(self.number, LABEL, GET)

        def answered(outcome: Outcome) -> None:
            match outcome:
                case Done([bytes(raw)]):
                    settings = dict(Topology.from_json(json.loads(raw)).settings)
                    value = settings.get("maxmemory")
                    self._history.answer(operation, (value.encode() if value else None,))
                case _:  # Also before the first topology is written.
                    self._history.withdraw(operation)
            self._finish()

        self._ask(node, META_SHARD, INTERNAL_DB, [GET_TOPOLOGY], answered, has_write=False)

    def _put_seen(self, node: NodeId) -> None:
        shard = ShardId(self._rng.randrange(self._cluster.shards))
        self._ask(node, shard, 0, [PUT_SEEN, SEEN_KEY], lambda _: self._finish(), has_write=True)

    def _ask(
        self,
        node: NodeId,
        shard: ShardId,
        db: int,
        args: list[bytes],
        answered: Callable[[Outcome], None],
        *,
        has_write: bool,
    ) -> None:
        request = Request(
            shard,
            db,
            [args],
            has_write=has_write,
            deadline_ns=self._cluster.deadline_ns(node, TIMEOUT_NS),
            complete=answered,
        )
        self._cluster.ask(node, request, answered)

    # --- When all is healed.

    def see_everywhere(self, wanted: int) -> None:
        """Have the handlers of every shard show what they see; until `unseen` is empty."""
        self.unseen = {ShardId(number) for number in range(self._cluster.shards)}
        for shard in sorted(self.unseen):
            self._see(shard, wanted)

    def _see(self, shard: ShardId, wanted: int) -> None:
        node = self._rng.choice(self._cluster.nodes)

        def answered(outcome: Outcome) -> None:
            match outcome:
                case Done([int(seen)]):
                    self.unseen.discard(shard)
                    if seen != wanted:
                        raise Violation(f"shard {shard} sees {seen}; agreed on is {wanted}")
                case _:
                    self._schedule.after(100 * MS, lambda: self._see(shard, wanted))

        self._ask(node, shard, 0, [PUT_SEEN, SEEN_KEY], answered, has_write=True)
