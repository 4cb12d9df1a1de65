"""How far the clocks of the other nodes are from this one's (correctness A2).

Every batch carries its sender's wall clock. Delay only makes a clock look late, so the largest
difference seen lately is the best estimate. An estimate does not outlive the traffic it came from:
nodes that all believe their clocks wrong send nothing, and would believe it for ever. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .raft.types import NodeId

WINDOW_NS = 1_000_000_000  # "Lately" is the window begun last and the one before it.
LIFETIME_NS = 5_000_000_000  # Of an estimate without news.
STEP_MS = 100  # A wall clock that moves so much more or less than time does was set.


class ClockOffsets:
    """Per node the best estimate of (its wall clock - ours)."""

    def __init__(self) -> None:
        self._began_ns: dict[NodeId, int] = {}
        self._heard_ns: dict[NodeId, int] = {}
        self._now: dict[NodeId, int] = {}
        self._before: dict[NodeId, int] = {}
        self._last: tuple[int, int] | None = None  # Our own wall clock, and when it said so.

    def note(self, node: NodeId, *, remote_ms: int, local_ms: int, now_ns: int) -> None:
        """A batch that `node` sent at its `remote_ms` arrived at our `local_ms`."""
        self._follow(local_ms, now_ns)
        offset = remote_ms - local_ms
        self._heard_ns[node] = now_ns
        if now_ns - self._began_ns.get(node, -WINDOW_NS) >= WINDOW_NS:
            self._began_ns[node] = now_ns
            self._before[node] = self._now.get(node, offset)
            self._now[node] = offset
        elif offset > self._now[node]:
            self._now[node] = offset

    def forget(self, node: NodeId) -> None:
        """Its process ended; the next may run on another machine."""
        for kept in (self._began_ns, self._heard_ns, self._now, self._before):
            kept.pop(node, None)

    def all_ms(self, *, local_ms: int, now_ns: int) -> dict[NodeId, int]:
        """Milliseconds each node heard of lately is ahead of this one."""
        self._follow(local_ms, now_ns)
        return {
            node: max(now, self._before[node])
            for node, now in self._now.items()
            if now_ns - self._heard_ns[node] < LIFETIME_NS
        }

    def is_far(self, limit_ms: int, *, local_ms: int, now_ns: int) -> bool:
        """Whether this node's clock is further than `limit_ms` from the middle of all clocks."""
        offsets = sorted([0, *self.all_ms(local_ms=local_ms, now_ns=now_ns).values()])
        # With an even number either middle will do: two nodes that differ cannot say who is wrong.
        middles = (offsets[(len(offsets) - 1) // 2], offsets[len(offsets) // 2])
        return min(abs(middle) for middle in middles) > limit_ms

    def _follow(self, local_ms: int, now_ns: int) -> None:
        """Notice that our own clock was set: then the others are elsewhere, seen from it."""
        last, self._last = self._last, (local_ms, now_ns)
        if last is None:
            return
        step_ms = (local_ms - last[0]) - (now_ns - last[1]) // 1_000_000
        if abs(step_ms) >= STEP_MS:
            for estimates in (self._now, self._before):
                for node in estimates:
                    estimates[node] -= step_ms
