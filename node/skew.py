"""How far the clocks of the other nodes are from this one's (correctness A2).

Every batch carries its sender's wall clock. Delay only makes a clock look late, so the largest
difference seen lately is the best estimate. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .raft.types import NodeId

WINDOW_NS = 5_000_000_000  # "Lately" is the window begun last and the one before it.


class ClockOffsets:
    """Per node the best estimate of (its wall clock - ours)."""

    def __init__(self) -> None:
        self._began_ns: dict[NodeId, int] = {}
        self._now: dict[NodeId, int] = {}
        self._before: dict[NodeId, int] = {}

    def note(self, node: NodeId, *, remote_ms: int, local_ms: int, now_ns: int) -> None:
        """A batch that `node` sent at its `remote_ms` arrived at our `local_ms`."""
        offset = remote_ms - local_ms
        if now_ns - self._began_ns.get(node, -WINDOW_NS) >= WINDOW_NS:
            self._began_ns[node] = now_ns
            self._before[node] = self._now.get(node, offset)
            self._now[node] = offset
        elif offset > self._now[node]:
            self._now[node] = offset

    def forget(self, node: NodeId) -> None:
        """Its process ended; the next may run on another machine."""
        for kept in (self._began_ns, self._now, self._before):
            kept.pop(node, None)

    def all_ms(self) -> dict[NodeId, int]:
        """Milliseconds each known node is ahead of this one."""
        return {node: max(now, self._before[node]) for node, now in self._now.items()}

    def is_far(self, limit_ms: int) -> bool:
        """Whether this node's clock is further than `limit_ms` from the middle of all clocks."""
        offsets = sorted([0, *self.all_ms().values()])
        # With an even number either middle will do: two nodes that differ cannot say who is wrong.
        middles = (offsets[(len(offsets) - 1) // 2], offsets[len(offsets) // 2])
        return min(abs(middle) for middle in middles) > limit_ms
