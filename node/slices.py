"""How long one go may take: the loop has heartbeats, votes and other clients to see to as well.

Pure: it is given its clock. Commands are told apart by nothing but the time they took, so it is
asked again after few of them while they are slow and after more while they are quick; reading a
clock for each would cost a tenth of a SET.
"""

from __future__ import annotations

from collections.abc import Callable

LOOK_NS = 100_000  # About how often the clock is read.
COMMANDS_MAX = 64  # Between two looks.


class Slice:
    """One piece of a turn. How many commands run between two looks falls at once when they are
    slow and grows by one when they are not: of slow ones among quick ones each look sees few."""

    __slots__ = ("_count", "_is_running", "_looked_ns", "_now_ns", "_until_ns")

    def __init__(self, now_ns: Callable[[], int], length_ns: int = 0) -> None:
        self._now_ns = now_ns
        self._count = 16
        self.begin(length_ns)

    def begin(self, length_ns: int) -> Slice:
        """From now on that long; what was learned of the commands stays."""
        self._is_running = False
        self._looked_ns = self._now_ns()
        self._until_ns = self._looked_ns + length_ns
        return self

    def take(self) -> int:
        """How many commands may run before it is asked again; 0 when it is over."""
        if not self._is_running:
            self._is_running = True  # What was done since the last look is not ours to judge.
            self._looked_ns = self._now_ns()
        elif not self._were_slow() and self._count < COMMANDS_MAX:
            self._count += 1
        if self._looked_ns < self._until_ns:
            return self._count
        self._is_running = False
        return 0

    def leave(self) -> None:
        """Nothing is left to do; what was given last may not have been used up."""
        self._were_slow()
        self._is_running = False

    def _were_slow(self) -> bool:
        """Whether those given last were, as a whole; then fewer are given."""
        now_ns = self._now_ns()
        took_ns = now_ns - self._looked_ns
        self._looked_ns = now_ns
        if took_ns <= LOOK_NS:
            return False
        self._count = max(self._count * LOOK_NS // took_ns, 1)
        return True


class Endless(Slice):
    """Nobody waits: for tests, and for what is applied before a node serves."""

    def __init__(self) -> None:
        super().__init__(lambda: 0, 1)
