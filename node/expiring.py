"""Keys that are due: the leaders of their shards name them in the log (correctness A2). Pure.

So many at a time over all shards of a node that no turn is long, and most of the time nothing: a
million may be due in the same second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from .commands.internal import EXPIRE
from .request import Outcome, Request, answered

if TYPE_CHECKING:
    from ..cluster.slots import ShardId
    from .shard import Shard

# That one command names. A slice ends only between commands, and a key may hold very much.
NAMES_MAX = 16
# Keys named in one round of expiry, about a millisecond's work on every replica at the same time,
# and how often a round may begin: 25,000 keys a second, so that others notice little of it.
EXPIRE_KEYS_MAX = 512
EXPIRE_EVERY_NS = 20_000_000
EXPIRY_WAIT_NS = 100_000_000


class Expirer:
    """The rounds of one node."""

    def __init__(self, shards: Mapping[ShardId, Shard], wake_later: Callable[[int], None]) -> None:
        self.is_on = True  # DEBUG SET-ACTIVE-EXPIRE: what is due waits until it is read.
        self._shards = shards
        self._wake_later = wake_later
        self._running: list[Shard] = []  # Their commands are on their way,
        self._began_ns = 0  # since then,
        self._next_ns = 0  # the next leave then,
        self._has_more = False  # and there will be more.
        self._last: ShardId | None = None

    @property
    def is_at_it(self) -> bool:
        return bool(self._running) or self._has_more

    def turn(self, now_ns: int, wall_ms: int, deadline_ns: int) -> list[Shard]:
        """End a round, begin one if it is time; the shards that have to propose."""
        if self._running and not self._ends(now_ns):
            return []
        if now_ns < self._next_ns or not self.is_on:
            return []
        self._began_ns = now_ns
        left = EXPIRE_KEYS_MAX
        for shard in self._in_turn([one for one in self._shards.values() if one.is_leader]):
            if left:
                count = shard.expire_due(now_ns, wall_ms, deadline_ns, left)
                if count:
                    left -= count
                    self._running.append(shard)
                    self._last = shard.id
        self._has_more = not left
        return self._running

    def _ends(self, now_ns: int) -> bool:
        took_ns = now_ns - self._began_ns
        # Not waited for long: one of them may have no quorum.
        if took_ns < EXPIRY_WAIT_NS and any(one.is_expiring for one in self._running):
            return False
        self._running = []
        rest_ns = max(took_ns, EXPIRE_EVERY_NS - took_ns)
        self._next_ns = now_ns + rest_ns
        if self._has_more:
            self._wake_later(rest_ns)
        return True

    def _in_turn(self, shards: list[Shard]) -> list[Shard]:
        """First those behind the one that was last, so that each has its turn."""
        last = self._last
        if last is None:
            return shards
        return sorted(shards, key=lambda shard: (shard.id <= last, shard.id))


def bounded(due: Sequence[tuple[int, bytes]], bytes_max: int) -> dict[int, list[bytes]]:
    """The keys by database, up to a size in all; a key is as large as any argument may be."""
    by_db: dict[int, list[bytes]] = {}
    size = 0
    for db, key in due:
        by_db.setdefault(db, []).append(key)
        size += len(key)
        if size >= bytes_max:
            break
    return by_db


def expiry(
    shard: ShardId,
    db: int,
    names: Sequence[bytes],
    deadline_ns: int,
    complete: Callable[[Outcome], None] = answered,
) -> Request:
    return internal(EXPIRE, shard, db, names, deadline_ns, complete)


def internal(
    command: bytes,
    shard: ShardId,
    db: int,
    names: Sequence[bytes],
    deadline_ns: int,
    complete: Callable[[Outcome], None],
) -> Request:
    """A command of the leader's own about keys, a few of them at a time."""
    starts = range(0, len(names), NAMES_MAX)
    return Request(
        shard,
        db,
        [[command, *names[start : start + NAMES_MAX]] for start in starts],
        has_write=True,
        deadline_ns=deadline_ns,
        complete=complete,
        # When this replica no longer leads, another one sees to it.
        may_pass_on=False,
    )
