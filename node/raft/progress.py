"""What a leader knows of one follower, and how much it may send to it.

PROBE: the match is a guess, one append at a time. REPLICATE: it fits, appends are pipelined, at
most `inflight_appends_max` of them. SNAPSHOT: the log it needs is gone, nothing is sent until the
transfer ends. A lost message only ever moves a follower back to PROBE (correctness R6).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from .freshness import Echoes

if TYPE_CHECKING:
    from .types import EntryId, NodeId, ReplicaId


class State(Enum):
    PROBE = "probe"
    REPLICATE = "replicate"
    SNAPSHOT = "snapshot"


@dataclass(frozen=True, slots=True)
class FollowerView:
    """A follower as its leader sees it, for status and metrics."""

    replica: ReplicaId
    node: NodeId
    match_index: int
    next_index: int
    state: State
    is_active: bool  # It has answered within the last election timeout.


@dataclass(slots=True, eq=False)
class Progress:
    replica: ReplicaId
    node: NodeId
    next_index: int
    heard_at: int  # The last answer of our term.
    asked_at: int  # Since when an answer to an append is due; means nothing while none is.
    match_index: int = 0
    round: int = 0  # The last heartbeat round it answered.
    echoes: Echoes = field(default_factory=Echoes)
    state: State = State.PROBE
    waiting_index: int = 0  # With entries up to there it is not hurried; 0: ask again.
    is_paused: bool = False  # PROBE: asked, no answer yet.
    in_flight: deque[int] = field(default_factory=deque)  # REPLICATE: last index of each append.
    snapshot: EntryId | None = None  # SNAPSHOT: the one it is being sent.
    is_snapshot_sent: bool = False  # The whole file has left; the answer is due.

    def become_probe(self, next_index: int) -> None:
        self.state = State.PROBE
        self.next_index = max(next_index, self.match_index + 1)
        self.waiting_index = 0
        self.is_paused = False
        self.in_flight.clear()
        self.snapshot = None
        self.is_snapshot_sent = False

    def ask_anew(self) -> None:
        """What was sent may be lost: go on from what is known to match, or from the last guess."""
        replicated = self.state is State.REPLICATE
        self.become_probe(self.match_index + 1 if replicated else self.next_index)

    def become_replicate(self) -> None:
        self.become_probe(self.match_index + 1)
        self.state = State.REPLICATE

    def become_snapshot(self, snapshot: EntryId) -> None:
        self.become_probe(self.match_index + 1)
        self.state = State.SNAPSHOT
        self.snapshot = snapshot

    def pause(self, now: int) -> None:
        """Wait for an answer before anything more is sent, or for the next try."""
        self.is_paused = True
        self.asked_at = now

    def can_take(self, inflight_appends_max: int) -> bool:
        """Whether one more append may be sent now."""
        if self.state is State.REPLICATE:
            return len(self.in_flight) < inflight_appends_max
        return self.state is State.PROBE and not self.is_paused

    def sent(self, last_index: int, now: int) -> None:
        """Note an append that ends at `last_index`."""
        if self.state is not State.REPLICATE:
            self.pause(now)
            return
        if not self.in_flight:
            self.asked_at = now
        self.in_flight.append(last_index)
        self.next_index = last_index + 1

    def matched(self, index: int, now: int) -> bool:
        """Its log equals ours up to `index`, on its disk; True if we did not know."""
        if index <= self.match_index:
            return False
        self.match_index = index
        self.next_index = max(self.next_index, index + 1)
        self.asked_at = now
        while self.in_flight and self.in_flight[0] <= index:
            self.in_flight.popleft()
        return True

    def is_overdue(self, now: int, wait: int) -> bool:
        """Whether an answer has been due for `wait`: the question or the answer may be lost."""
        is_waiting = self.is_paused or bool(self.in_flight) or self.is_snapshot_sent
        return is_waiting and now - self.asked_at >= wait
