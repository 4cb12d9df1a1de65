"""Leases: reads without a message (Raft dissertation §6.4.1; correctness R3, R4).

A voter that answers a heartbeat promises to help nobody else to lead for as long as the heartbeat
asks, from when it came, and its answer says for how long. Until then it grants no vote and no
pre-vote and does not campaign, whatever becomes of its streams; only an election that the leader
itself has asked for passes. So a leader to whom a majority has promised so much in answer to one
of its rounds knows that nobody else leads until so long after it *sent* that round: each promise
began later. It counts on a tenth less, which is how much faster than its own the clock of a voter
may run. Only lengths of time are compared, never what two clocks show.

The length is the leader's: voters promise what they are asked, whatever their own configuration
says, and the leader counts on what they say they promised. A process that starts knows nothing of
the promises of the one before it, so it keeps still for as long as any may last; that covers all
answers of that one, however late they arrive.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from .election import NEVER
from .quorum import agreed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .types import ReplicaId

LEASE_MAX_NS = 500_000_000  # Nobody asks for more, and whoever starts keeps still for so long.
DRIFT = 10  # A clock may be faster than another by one part in so many.
ROUNDS_MAX = 64  # An answer to an older round begins no lease.


class Promise:
    """At a voter: what it owes to the leader it last heard. It outlives roles and terms."""

    __slots__ = ("until",)

    def __init__(self) -> None:
        self.until = -NEVER

    def make(self, lease_ns: int, now: int) -> int:
        """Help nobody else for so long, or for as long as a restart keeps; what was promised before
        stands. For how long it is."""
        lease_ns = min(lease_ns, LEASE_MAX_NS)
        self.until = max(self.until, now + lease_ns)
        return lease_ns

    def holds(self, now: int) -> bool:
        return now < self.until


class Lease:
    """At a leader, for one term: until when nobody else can lead. Times are of its own clock."""

    __slots__ = ("_is_lent", "_length_ns", "_sent_at", "_until")

    def __init__(self, length_ns: int, others: Iterable[ReplicaId]) -> None:
        assert 0 <= length_ns <= LEASE_MAX_NS, "a promise that a restart would not keep"
        self._length_ns = length_ns
        self._sent_at: deque[int] = deque(maxlen=ROUNDS_MAX)  # The last rounds, in order.
        self._until = dict.fromkeys(others, 0)  # What each other voter has promised.
        self._is_lent = False

    @property
    def asked_ns(self) -> int:
        """What voters are asked to promise from now on."""
        return 0 if self._is_lent else self._length_ns

    def sent(self, now: int) -> None:
        """The next round leaves, no sooner than `now`."""
        self._sent_at.append(now)

    def promised(self, voter: ReplicaId, rounds_ago: int, promised_ns: int) -> None:
        """A voter answers that many rounds before the last with a promise of so long."""
        if rounds_ago < len(self._sent_at):
            until = self._sent_at[-1 - rounds_ago] + promised_ns - promised_ns // DRIFT
            self._until[voter] = max(self._until[voter], until)

    def lend(self) -> None:
        """Somebody was told to campaign, which no promise forbids. When it will is not known, so
        there is no lease any more (correctness R4)."""
        self._is_lent = True

    def holds(self, now: int) -> bool:
        """Whether it is sure that nobody else leads at `now`. A lone voter is always sure."""
        return not self._is_lent and now < agreed([NEVER, *self._until.values()])
