"""When the next batch of entries may leave (correctness E1). Pure.

A batch leaves when the one before it has committed: with few clients that is no delay, with many
the batches grow with the load, and a gRPC message costs the same whatever is in it. A shard that
cannot commit must not stop the others: after twice the median commit time the gate opens without
it, and it is not waited for again until it has committed.
"""

from __future__ import annotations

from collections import deque
from statistics import median_low
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..cluster.slots import ShardId
    from .shard import Shard

SAMPLES = 31
WAIT_MIN_NS = 500_000


class Gate:
    def __init__(self, wait_max_ns: int) -> None:
        self.deadline_ns: int | None = None
        self.is_timer_set = False
        self.batches = 0
        self.forced = 0  # Times it opened without a commit.
        self._wait_max_ns = wait_max_ns
        self._waiting: dict[ShardId, tuple[Shard, int]] = {}
        self._stuck: dict[ShardId, tuple[Shard, int]] = {}
        self._began_ns = 0
        self._commit_ns: deque[int] = deque([wait_max_ns // 2], maxlen=SAMPLES)

    @property
    def is_open(self) -> bool:
        return not self._waiting

    def proposed(self, shard: Shard, index: int, now_ns: int) -> None:
        """`shard` put an entry at `index` into the batch that leaves now."""
        if shard.id in self._stuck:
            self._stuck[shard.id] = (shard, index)
            return
        if not self._waiting:
            self.batches += 1
            self._began_ns = now_ns
            wait_ns = max(2 * median_low(self._commit_ns), WAIT_MIN_NS)
            self.deadline_ns = now_ns + min(wait_ns, self._wait_max_ns)
        self._waiting[shard.id] = (shard, index)

    def settle(self, now_ns: int) -> None:
        """Take note of what has committed; open if all has, or if the wait was long enough."""
        if self._stuck:
            self._stuck = _uncommitted(self._stuck)
        if not self._waiting:
            return
        self._waiting = _uncommitted(self._waiting)
        if not self._waiting:
            self._commit_ns.append(now_ns - self._began_ns)
            self.deadline_ns = None
        elif self.deadline_ns is not None and now_ns >= self.deadline_ns:
            self.forced += 1
            self._commit_ns.append(now_ns - self._began_ns)
            self._stuck.update(self._waiting)
            self._waiting = {}
            self.deadline_ns = None


def _uncommitted(
    shards: dict[ShardId, tuple[Shard, int]],
) -> dict[ShardId, tuple[Shard, int]]:
    return {
        one: (shard, index)
        for one, (shard, index) in shards.items()
        if shard.is_leader and shard.core.commit_index < index
    }
