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

from .histogram import Histogram

if TYPE_CHECKING:
    from ..cluster.slots import ShardId
    from .shard import Shard

SAMPLES = 31
WAIT_MIN_NS = 500_000
HOLD_MAX_NS = 1_000_000
MISSES_MAX = 3
SKIPPED = 64  # Batches that are not held after so many misses in a row.


class Gather:
    """Whether the next batch should be held a moment, because those who were just answered are
    about to ask again.

    Clients that wait for each answer otherwise fall into two halves, each waiting for the batch of
    the other: twice the batches, and twice the latency. If they do not come back, nobody is held.
    """

    def __init__(self, hold_max_ns: int) -> None:
        self.until_ns = 0  # No batch is held longer.
        self._hold_max_ns = hold_max_ns
        self._target = 0
        self._arrived = 0
        self._misses = 0
        self._skipped = 0

    def answered(self, count: int, hold_ns: int, now_ns: int) -> None:
        """A batch of `count` commands was answered."""
        self._arrived = 0
        if self._skipped:
            self._skipped -= 1
            self._target = 0
        else:
            self._target = count * 3 // 4
            self.until_ns = now_ns + min(hold_ns, self._hold_max_ns)

    def arrived(self, count: int) -> None:
        self._arrived += count

    @property
    def is_holding(self) -> bool:
        """Whether what has come so far is not enough; time may have passed since."""
        return self._arrived < self._target

    def holds(self, now_ns: int) -> bool:
        if not self._target:
            return False
        if self._arrived >= self._target:
            self._misses = 0
        elif now_ns < self.until_ns:
            return True
        else:
            self._misses += 1
            if self._misses == MISSES_MAX:
                self._misses, self._skipped = 0, SKIPPED
        self._target = 0
        return False


class Gate:
    def __init__(self, wait_max_ns: int) -> None:
        self.batches = 0
        self.forced = 0  # Times it opened without a commit.
        self.sizes = Histogram()  # Commands in a batch.
        self._wait_max_ns = wait_max_ns
        self._deadline_ns = 0
        self._waiting: dict[ShardId, tuple[Shard, int]] = {}
        # Not waited for: the index whose commit ends that, and when it proposed last.
        self._stuck: dict[ShardId, tuple[Shard, int]] = {}
        self._stuck_proposed_ns: dict[ShardId, int] = {}
        self._began_ns = 0
        self._count = 0  # Commands in the batch that is waited for.
        self.gather = Gather(HOLD_MAX_NS)
        self.commit_ns = wait_max_ns // 2  # The median time from a batch's leaving to its commit.
        self._samples: deque[int] = deque([self.commit_ns], maxlen=SAMPLES)

    def is_open(self, now_ns: int) -> bool:
        return not self._waiting and not self.gather.holds(now_ns)

    @property
    def is_closed(self) -> bool:
        """Whether one more command changes nothing: a commit or a timer will open it."""
        return bool(self._waiting) or self.gather.is_holding

    @property
    def opens_ns(self) -> int | None:
        """When it opens whatever happens; None while it is open."""
        if self._waiting:
            return self._deadline_ns
        return self.gather.until_ns or None

    def admits(self, shard: Shard, now_ns: int) -> bool:
        """Whether `shard` may be in the batch that leaves now; one that is not waited for may not
        flood its peers either."""
        last_ns = self._stuck_proposed_ns.get(shard.id)
        return last_ns is None or now_ns - last_ns >= self._wait_max_ns

    def proposed(self, shard: Shard, index: int, count: int, now_ns: int) -> None:
        """`shard` put an entry of `count` commands at `index` into the batch that leaves now."""
        if shard.id in self._stuck:
            self._stuck_proposed_ns[shard.id] = now_ns
            return
        if not self._waiting:
            self.batches += 1
            self._began_ns = now_ns
            self._count = 0
            wait_ns = max(2 * self.commit_ns, WAIT_MIN_NS)
            self._deadline_ns = now_ns + min(wait_ns, self._wait_max_ns)
        self._waiting[shard.id] = (shard, index)
        self._count += count

    def settle(self, now_ns: int) -> None:
        """Take note of what has committed; open if all has, or if the wait was long enough."""
        if self._stuck:
            self._stuck = _uncommitted(self._stuck)
            for one in self._stuck_proposed_ns.keys() - self._stuck.keys():
                del self._stuck_proposed_ns[one]
        if not self._waiting:
            return
        self._waiting = _uncommitted(self._waiting)
        if not self._waiting:
            self._ended(now_ns)
            self.gather.answered(self._count, self.commit_ns, now_ns)
        elif now_ns >= self._deadline_ns:
            self.forced += 1
            self._ended(now_ns)
            self._stuck.update(self._waiting)
            self._stuck_proposed_ns.update(dict.fromkeys(self._waiting, self._began_ns))
            self._waiting = {}

    def _ended(self, now_ns: int) -> None:
        self.sizes.add(self._count)
        self._samples.append(now_ns - self._began_ns)
        self.commit_ns = median_low(self._samples)


def _uncommitted(
    shards: dict[ShardId, tuple[Shard, int]],
) -> dict[ShardId, tuple[Shard, int]]:
    return {
        one: (shard, index)
        for one, (shard, index) in shards.items()
        if shard.is_leader and shard.core.commit_index < index
    }
