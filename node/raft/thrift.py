"""Which followers are sent new entries at once, and which at the next of certain ticks.

An entry commits when a majority has it, so it need not reach the others at the same moment: EPaxos
calls that thrifty (Moraru et al., SOSP 2013). Who is not hurried waits, and gets it with all that
came meanwhile in one message; a message costs the same whatever is in it, so most of what the third
replica of a shard costs is saved, and none of it is in the way of a write. It is a matter of speed
alone: a message may always be late.

While one of those who should be hurried is slow, or is not in step, what is new goes to all. Nor
does anybody wait for entries that the log is about to forget: a snapshot is dearer than a message.
Who should be hurried follows from two things. Every second an entry goes to all at once, and tells
how long each takes to acknowledge: a replica in another town is not waited for while there is one
next door. Between those that take about as long it goes around: the node that follows by name is
hurried, so that the nodes of a cluster share the work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .progress import State
from .quorum import majority

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .progress import Progress
    from .types import NodeId, ReplicaId

# Who is not hurried gets entries at the first tick in each so many nanoseconds of the clock, the
PATIENCE_NS = 60_000_000  # same one for all shards of a node,
PATIENT_BYTES_MAX = 64 << 10  # or once so many bytes of them wait.
TRIAL_EVERY_NS = 1_000_000_000
SLOW_NS = 100_000_000  # Who owes an acknowledgement for so long is not relied on.
ALIKE_NS = 1_000_000  # Below it all are as quick; above, those that differ by less than twice.


class Thrift:
    """At a leader, for one term."""

    def __init__(
        self, node: NodeId, followers: Iterable[Progress], inflight_appends_max: int
    ) -> None:
        """`node` is the leader's."""
        around = sorted(followers, key=lambda one: (one.node <= node, one.node))
        self._around = {one.replica: (place, one) for place, one in enumerate(around)}
        self._enough = majority(len(around) + 1) - 1
        self._inflight_max = inflight_appends_max // 2
        self._delays: dict[ReplicaId, int] = {}  # At the last trial.
        self._trial_index = 0
        self._trial_at = 0
        self._tried: set[ReplicaId] = set()  # Who has not acknowledged it yet.
        self._next_trial_at = 0

    def patient(self, last_index: int, now: int) -> Sequence[ReplicaId]:
        """Who need not be hurried with what is sent now, up to `last_index`."""
        prompt = [one.replica for _, one in self._around.values() if _is_prompt(one, now)]
        if len(prompt) < self._enough:
            return ()
        if now >= self._next_trial_at and self._is_new(last_index):
            self._try(last_index, now)
            return ()
        prompt.sort(key=self._rank)
        hurried = prompt[: self._enough]
        return [
            replica
            for replica, (_, one) in self._around.items()
            if replica not in hurried and len(one.in_flight) < self._inflight_max
        ]

    def acknowledged(self, replica: ReplicaId, match_index: int, now: int) -> None:
        """Its log equals ours up to there."""
        if match_index >= self._trial_index and replica in self._tried:
            self._tried.discard(replica)
            self._delays[replica] = now - self._trial_at

    def _is_new(self, index: int) -> bool:
        """Whether nobody was sent it: who has acknowledged it before would pass for slow."""
        return all(one.next_index <= index for _, one in self._around.values())

    def _try(self, index: int, now: int) -> None:
        for replica in self._tried:
            self._delays[replica] = now - self._trial_at
        self._trial_index, self._trial_at = index, now
        self._next_trial_at = now + TRIAL_EVERY_NS
        self._tried = {
            one.replica for _, one in self._around.values() if one.state is State.REPLICATE
        }

    def _rank(self, replica: ReplicaId) -> tuple[int, int]:
        return (self._delays.get(replica, 0) // ALIKE_NS).bit_length(), self._around[replica][0]


def _is_prompt(one: Progress, now: int) -> bool:
    is_slow = bool(one.in_flight) and now - one.asked_at >= SLOW_NS
    return one.state is State.REPLICATE and not is_slow
