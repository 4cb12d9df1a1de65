"""What a majority is, and what it agrees on. Counting only; terms and logs are not known here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .types import ReplicaId


def majority(voters: int) -> int:
    """The least number of `voters` of which any two sets overlap."""
    return voters // 2 + 1


def agreed(values: list[int]) -> int:
    """The highest value that a majority has reached; one value per voter, sorted in place."""
    values.sort()
    return values[(len(values) - 1) // 2]


class Tally:
    """The votes of one election. Who is not a voter does not count (correctness R8)."""

    __slots__ = ("_granted", "_refused", "_voters")

    def __init__(self, voters: Iterable[ReplicaId]) -> None:
        self._voters = frozenset(voters)
        self._granted: set[ReplicaId] = set()
        self._refused: set[ReplicaId] = set()

    def record(self, replica: ReplicaId, *, granted: bool) -> None:
        """Count the first answer of each voter; messages may come twice."""
        if replica not in self._voters or replica in self._granted or replica in self._refused:
            return
        (self._granted if granted else self._refused).add(replica)

    @property
    def is_won(self) -> bool:
        return len(self._granted) >= majority(len(self._voters))

    @property
    def is_lost(self) -> bool:
        return len(self._voters) - len(self._refused) < majority(len(self._voters))
