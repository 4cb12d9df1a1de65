"""Clients that read from any replica state that may be so old, and count what is there.

The values of a key rise only, so a read tells from when its state is: with a bound of B it shows
whatever anybody had been answered B before it was asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimaran.node.request import Done, Outcome, Request

from .judge import Violation
from .schedule import MS
from .workload import TIMEOUT_NS, Client, Key, nobody

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from .schedule import Schedule
    from .workload import Cluster, Workload

BOUNDS_MS = (5, 20, 100, 500, 2000)
DRIFT_PPM = 50_000  # Of the clock of a replica, by which it counts.


class Seen:
    """The values of the counters that somebody was answered, and when first."""

    def __init__(self) -> None:
        self.answered: dict[bytes, list[tuple[int, int]]] = {}  # (time, value); both rise.
        self.reads = 0
        self.old = 0  # Reads that a linearizable one would not have been.

    def note(self, key: bytes, now_ns: int, value: int) -> None:
        values = self.answered.setdefault(key, [])
        if not values or values[-1][1] < value:
            values.append((now_ns, value))

    def before(self, key: bytes, time_ns: int) -> int:
        """The highest that was answered by then."""
        values = [value for at_ns, value in self.answered.get(key, ()) if at_ns <= time_ns]
        return values[-1] if values else 0


class StaleReader(Client):
    """INCR at any node; and between, reads with a bound at any other."""

    def __init__(
        self,
        number: int,
        schedule: Schedule,
        rng: Random,
        cluster: Cluster,
        workload: Workload,
        *,
        pause_ns: int,
        keys: list[Key],
        seen: Seen,
    ) -> None:
        super().__init__(number, schedule, rng, cluster, workload, pause_ns=pause_ns)
        self._keys = keys
        self._seen = seen

    def _next(self) -> None:
        if self.is_stopping:
            return
        self.is_idle = False
        key = self._rng.choice(self._keys)
        if self._rng.random() < 0.4:
            self._add(key)
        else:
            self._read(key, self._rng.choice(BOUNDS_MS))

    def _add(self, key: Key) -> None:
        def answered(outcome: Outcome) -> None:
            match outcome:
                case Done([int(value)]):
                    self._seen.note(key.label, self._schedule.now_ns, value)
            self._finish()

        self._ask(key, [b"INCR", key.name], answered, has_write=True)

    def _read(self, key: Key, bound_ms: int) -> None:
        asked_ns = self._schedule.now_ns
        newest = self._seen.before(key.label, asked_ns)
        bound_ns = bound_ms * MS
        due_ns = asked_ns - bound_ns - bound_ns * DRIFT_PPM // 1_000_000
        needed = self._seen.before(key.label, due_ns)

        def answered(outcome: Outcome) -> None:
            match outcome:
                case Done([None | bytes() as reply]):
                    value = int(reply or b"0")
                    self._seen.reads += 1
                    self._seen.old += value < newest
                    if value < needed:
                        raise Violation(
                            f"client {self.number}: {key.name!r} is {value}, but {needed} was "
                            f"answered more than {bound_ms} ms before it was asked for"
                        )
                    self._seen.note(key.label, self._schedule.now_ns, value)
            self._finish()

        self._ask(key, [b"GET", key.name], answered, has_write=False, stale_ns=bound_ns)

    def _ask(
        self,
        key: Key,
        command: list[bytes],
        answered: Callable[[Outcome], None],
        *,
        has_write: bool,
        stale_ns: int = 0,
    ) -> None:
        node = self._rng.choice(self._cluster.nodes)
        request = Request(
            key.shard,
            key.db,
            [command],
            has_write=has_write,
            deadline_ns=self._cluster.deadline_ns(node, TIMEOUT_NS),
            complete=nobody,
            stale_ns=stale_ns,
        )
        self._cluster.ask(node, request, answered)
