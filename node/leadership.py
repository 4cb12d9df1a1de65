"""Which shards this node should lead: those it is preferred for, and none with a wrong clock.

The topology names a preferred leader per shard, evenly spread; whoever else leads hands over once
the preferred replica is up and has the whole log (dissertation §3.10). A node whose clock is too
far from the majority's leads nothing, since stamps and expiries are the leader's (correctness A2).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from .raft.progress import State

if TYPE_CHECKING:
    from ..cluster.topology import Topology
    from .engine import Engine
    from .raft.progress import FollowerView
    from .raft.types import NodeId
    from .shard import Shard

CHECK_INTERVAL_NS = 500_000_000
STEADY_NS = 2_000_000_000  # A leader stays this long before it hands over for balance.
TRANSFERS_MAX = 2  # At one check, so that not all shards pause at once.
# A transfer holds up writes, for an election timeout if it is not taken: by a halted replica, say,
# or one with a wrong clock. Each waits twice as long as the one before it.
DOUBLINGS_MAX = 7
FORGOTTEN_NS = 600_000_000_000  # Without a transfer for so long, the next is again the first.

_log = logging.getLogger(__name__)


class Leadership:
    def __init__(
        self,
        name: NodeId,
        engine: Engine,
        *,
        clock_skew_max_ms: int,
        is_clock_far: Callable[[int], bool],
        topology: Callable[[], Topology],
    ) -> None:
        self.is_clock_trusted = True
        self.transfers = 0
        self._name = name
        self._engine = engine
        self._clock_skew_max_ms = clock_skew_max_ms
        self._is_clock_far = is_clock_far
        self._topology = topology
        self._checked_at = 0
        self._since: dict[int, tuple[int, int]] = {}  # shard -> (term, when seen to lead it first)
        self._committed: dict[int, int] = {}  # shard -> up to where, at the last check
        self._tried: dict[int, tuple[int, int]] = {}  # shard -> (transfers lately, the last one)

    def tick(self, now_ns: int) -> None:
        if now_ns - self._checked_at < CHECK_INTERVAL_NS:
            return
        self._checked_at = now_ns
        self._check_clock()
        self._hand_over(now_ns)

    def _check_clock(self) -> None:
        is_trusted = not self._is_clock_far(self._clock_skew_max_ms)
        if is_trusted == self.is_clock_trusted:
            return
        self.is_clock_trusted = is_trusted
        _log.log(
            logging.INFO if is_trusted else logging.ERROR,
            "clock agrees with the majority's"
            if is_trusted
            else "clock is too far from the majority's",
            extra={"limit_ms": self._clock_skew_max_ms},
        )
        for shard in self._engine.shards.values():
            if shard.halted is None:
                shard.core.allow_leading(is_trusted)
                self._engine.touch(shard)

    def _hand_over(self, now_ns: int) -> None:
        left = TRANSFERS_MAX
        topology = self._topology()
        for shard in self._engine.shards.values():
            if not shard.is_leader:
                self._since.pop(shard.id, None)
                self._committed.pop(shard.id, None)
                continue
            term, since = self._since.get(shard.id, (0, 0))
            if term != shard.core.term:
                self._since[shard.id] = (shard.core.term, now_ns)
            elif (
                left
                and now_ns - since >= self._wait_ns(shard, now_ns)
                and self._transfer(shard, topology)
            ):
                left -= 1
                self._since[shard.id] = (term, now_ns)
                self._tried[shard.id] = (self._tries(shard, now_ns) + 1, now_ns)
            self._committed[shard.id] = shard.core.commit_index

    def leave(self) -> list[Shard]:
        """Hand every shard led here to the follower that has most of its log; those handed over."""
        handed = []
        for shard in self._engine.shards.values():
            if not shard.is_leader:
                continue
            followers = [one for one in shard.core.followers() if one.is_active]
            if followers and shard.core.is_ready_to_serve:
                best = max(followers, key=_fitness)
                shard.core.transfer_leadership(best.replica)
                self._engine.touch(shard)
                handed.append(shard)
        return handed

    def _tries(self, shard: Shard, now_ns: int) -> int:
        count, last_ns = self._tried.get(shard.id, (0, 0))
        return count if now_ns - last_ns < FORGOTTEN_NS else 0

    def _wait_ns(self, shard: Shard, now_ns: int) -> int:
        return STEADY_NS << min(self._tries(shard, now_ns), DOUBLINGS_MAX)

    def _transfer(self, shard: Shard, topology: Topology) -> bool:
        preferred = topology.replicas_of(shard.id)[0]
        if preferred.node == self._name or not shard.core.is_ready_to_serve:
            return False
        # Under load a follower that is not hurried (`raft/thrift.py`) is never quite there.
        close = self._committed.get(shard.id, shard.core.commit_index)
        for follower in shard.core.followers():
            if follower.node == preferred.node:
                is_close = follower.match_index >= close
                if follower.is_active and is_close:
                    self.transfers += 1
                    shard.core.transfer_leadership(follower.replica)
                    self._engine.touch(shard)
                    return True
        return False


def _fitness(follower: FollowerView) -> tuple[bool, int]:
    """Who is best to take over: one whose stream broke is probed anew, and may be dead."""
    return follower.state is State.REPLICATE, follower.match_index
