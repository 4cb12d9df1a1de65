"""How old the state of a follower is, at most: for reads that may be answered from it.

A follower answers round r of heartbeats at some moment of its own clock. Once a majority has
answered a round that its leader began after that answer was there, no other leader can have been
elected before that moment; so whatever anybody was told is committed by then is not behind the
leader's commit index, and the leader says so: "round r, up to this index". When that much is
applied, the state here is no older than the moment. Only the follower's clock is used, and a
message that comes late, or twice, or after the leader was replaced, still says what was true; but
none may come that was sent to the process that was here before, and streams carry none. (The
argument is that of read index, Raft dissertation §6.4, made ahead of time.)
"""

from __future__ import annotations

from collections import deque

ROUNDS_MAX = 64  # Answered and not spoken of again by the leader.
TOLD_MAX = 64  # Indexes that are not applied yet.


class Freshness:
    """At a follower. Times are nanoseconds of the clock the core is given."""

    __slots__ = ("_at", "_heard", "_last", "_term", "_told")

    def __init__(self) -> None:
        self._term = 0
        self._last = 0  # The last round heard.
        self._heard: dict[int, int] = {}  # Rounds of `_term`, and when they came.
        self._told: deque[tuple[int, int]] = deque()  # Index and moment; both rise.
        self._at: int | None = None

    def heard(self, term: int, round_: int, now: int) -> None:
        """A heartbeat of that round came, and is going to be answered."""
        if term != self._term:
            self._term = term
            self._last = 0
            self._heard.clear()
        if round_ <= self._last:  # It may have come before, and be forgotten.
            return
        self._last = round_
        self._heard[round_] = now
        if len(self._heard) > ROUNDS_MAX:
            del self._heard[next(iter(self._heard))]

    def told(self, term: int, round_: int, index: int) -> None:
        """The leader of `term` says that a state up to `index` is as new as our answer to that
        round."""
        at = self._heard.get(round_) if term == self._term else None
        if at is None or (self._told and self._told[-1][1] >= at):
            return
        if self._told:
            index = max(index, self._told[-1][0])
        if len(self._told) >= TOLD_MAX:  # The first is the next to be applied.
            self._told.pop()
        self._told.append((index, at))

    def at(self, applied_index: int) -> int | None:
        """The moment than which a state applied up to there is no older; None if unknown."""
        told = self._told
        while told and told[0][0] <= applied_index:
            self._at = told.popleft()[1]
        return self._at


class Echoes:
    """At the leader, for one follower: which of its answers may be spoken of."""

    __slots__ = ("_answered", "_before", "round")

    def __init__(self) -> None:
        self.round = 0  # The last that is confirmed as described above; 0: none.
        self._answered = 0  # One it answered,
        self._before = 0  # while this was the last round begun.

    def answered(self, round_: int, last_begun: int) -> None:
        if not self._answered:
            self._answered, self._before = round_, last_begun

    def confirmed(self, round_: int) -> None:
        """A majority has answered that round."""
        if self._answered and round_ > self._before:
            self.round, self._answered = self._answered, 0
