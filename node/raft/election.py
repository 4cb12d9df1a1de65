"""When to campaign: the random election timeout (Raft §5.2), and what moves it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

    from .types import RaftConfig

NEVER = 1 << 62
HURRY_NS = 1_000_000_000  # Promises to a leader that died end sooner (`lease.py`).


class ElectionTimer:
    """Of one replica that does not lead. Times are given, never asked for (correctness R3)."""

    __slots__ = ("_beat", "_heard_at", "_hurried_until", "_least", "_rng", "_wait", "fires_at")

    def __init__(self, config: RaftConfig, rng: Random) -> None:
        self._least = config.election_timeout_ns
        self._beat = config.heartbeat_interval_ns
        self._rng = rng
        self._wait = 0
        self._heard_at = -NEVER
        self._hurried_until = -NEVER
        self.fires_at = 0

    def rest(self, now: int) -> None:
        """Wait a fresh random time, [1, 2) election timeouts."""
        self._wait = self._least + self._random(self._least)
        self.fires_at = now + self._wait

    def heard(self, now: int) -> None:
        """The leader spoke. The time drawn last is kept: this runs for every append."""
        self._heard_at = now
        self._hurried_until = -NEVER
        self.fires_at = now + self._wait

    def has_heard_within_timeout(self, now: int) -> bool:
        return now - self._heard_at < self._least

    def hurry(self, now: int) -> None:
        """The leader is probably dead: a short random delay is left."""
        self._hurried_until = now + HURRY_NS
        self.fires_at = min(self.fires_at, now + self._random(2 * self._beat))

    def refused(self, now: int) -> None:
        """Somebody does not want an election. Who has just promised something to a leader that
        is dead will soon; whoever still hears it is not asked for long."""
        if now < self._hurried_until:
            self.fires_at = min(self.fires_at, now + self._beat // 2 + self._random(self._beat))

    def give_way(self, now: int) -> None:
        """Somebody else is about to campaign: let it, for a moment."""
        self.fires_at = max(self.fires_at, now + self._beat + self._random(2 * self._beat))

    def _random(self, end: int) -> int:
        return int(self._rng.random() * end)
