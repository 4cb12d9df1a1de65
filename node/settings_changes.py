"""CONFIG SET of what the whole cluster shares: agreed on by the meta group, then known everywhere.

A change reads the topology there, writes the next one on condition that it still is the next, and
begins again if another change came in between. It is done when every node that is up has said that
it knows that epoch; a node that is down learns it from the first it talks to. No I/O of its own.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..cluster.slots import META_SHARD
from ..cluster.topology import Topology
from ..proto.reply import OK, ErrorReply, Status
from .commands.internal import GET_TOPOLOGY, PUT_TOPOLOGY
from .data.keyspace import INTERNAL_DB
from .errors import NoQuorum
from .request import Args, Done, NotApplied, Outcome, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..cluster.settings import Pairs
    from .clock import Clock
    from .raft.types import NodeId


@dataclass(slots=True, eq=False)
class _Change:
    pairs: Pairs
    deadline_ns: int
    complete: Callable[[Outcome], None]
    epoch: int = 0  # Of the topology with it in, once that is agreed on.


class SettingsChanges:
    """Those that this node was asked for: one is being agreed on, the others wait behind it."""

    def __init__(
        self,
        *,
        submit: Callable[[Request], None],
        clock: Clock,
        timeout_ns: int,
        nodes_behind: Callable[[int], Sequence[NodeId]],
    ) -> None:
        self._submit = submit
        self._clock = clock
        self._timeout_ns = timeout_ns
        self._nodes_behind = nodes_behind  # This node and those that are up, without that epoch.
        # A connection has one at a time, so all of these are bounded.
        self._waiting: deque[_Change] = deque()
        self._current: _Change | None = None  # Being agreed on.
        self._rests = False  # Till the next tick, before the first topology is written.
        self._agreed: list[_Change] = []  # Not everybody knows them yet.
        self._is_starting = False

    def change(self, pairs: Pairs, complete: Callable[[Outcome], None]) -> None:
        """Set these, all or none; `complete` is called once: Done with OK, or with an error when
        it is set but some node does not know it in time; NotApplied; Unknown."""
        self._waiting.append(_Change(pairs, self._clock.now_ns() + self._timeout_ns, complete))
        self._start()

    def tick(self) -> None:
        now_ns = self._clock.now_ns()
        while self._waiting and self._waiting[0].deadline_ns <= now_ns:  # In order of deadlines.
            self._waiting.popleft().complete(NotApplied(NoQuorum("other changes came before it")))
        if self._rests and self._current is not None:
            self._rests = False
            self._retry(self._current)
        agreed, self._agreed = self._agreed, []
        self._agreed += [change for change in agreed if not self._is_done(change)]

    def _start(self) -> None:
        if self._is_starting:  # Answers may come at once: no deeper than this.
            return
        self._is_starting = True
        while self._waiting and self._current is None:
            self._current = self._waiting.popleft()
            self._read(self._current)
        self._is_starting = False

    def _end(self, change: _Change, outcome: Outcome) -> None:
        """It is not agreed on, or nobody can tell."""
        self._current = None
        change.complete(outcome)
        self._start()

    # --- Agreeing.

    def _read(self, change: _Change) -> None:
        self._ask(change, [GET_TOPOLOGY], lambda outcome: self._have_read(change, outcome))

    def _ask(self, change: _Change, args: Args, complete: Callable[[Outcome], None]) -> None:
        self._submit(
            Request(
                META_SHARD,
                INTERNAL_DB,
                [args],
                has_write=args[0] == PUT_TOPOLOGY,
                deadline_ns=change.deadline_ns,
                complete=complete,
            )
        )

    def _have_read(self, change: _Change, outcome: Outcome) -> None:
        match outcome:
            case Done([bytes(raw)]):
                topology = Topology.from_json(json.loads(raw))
                wanted = topology.with_settings(change.pairs)
                if wanted is topology:
                    self._have_agreed(change, topology)
                else:
                    self._put(change, topology, wanted)
            case Done():
                self._rests = True  # The meta group's first leader is about to write one.
            case NotApplied():
                self._end(change, outcome)
            case _:
                self._end(change, NotApplied(NoQuorum("the settings could not be read in time")))

    def _put(self, change: _Change, topology: Topology, wanted: Topology) -> None:
        def complete(outcome: Outcome) -> None:
            match outcome:
                case Done([ErrorReply(code="STALEEPOCH")]):
                    self._retry(change)  # Who came in between has made progress.
                case Done([Status()]):
                    self._have_agreed(change, wanted)
                case _:
                    self._end(change, outcome)

        value = json.dumps(wanted.to_json(), separators=(",", ":")).encode()
        self._ask(change, [PUT_TOPOLOGY, b"%d" % topology.epoch, value], complete)

    def _retry(self, change: _Change) -> None:
        if self._clock.now_ns() < change.deadline_ns:
            self._read(change)
        else:
            self._end(change, NotApplied(NoQuorum("other changes came in between")))

    # --- Until it is known.

    def _have_agreed(self, change: _Change, topology: Topology) -> None:
        change.epoch = topology.epoch
        self._current = None
        if not self._is_done(change):
            self._agreed.append(change)
        self._start()

    def _is_done(self, change: _Change) -> bool:
        behind = self._nodes_behind(change.epoch)
        if not behind:
            change.complete(Done([OK]))
        elif self._clock.now_ns() >= change.deadline_ns:
            names = ", ".join(sorted(behind))
            text = f"the parameters are set, but these nodes do not know it yet: {names}"
            change.complete(Done([ErrorReply("ERR", text)]))
        else:
            return False
        return True
