"""Reads by read index, many to a round of heartbeats (Raft §8, dissertation §6.4).

A read may be answered from index i once a majority has confirmed, in a round begun after the read
arrived, that we still lead (correctness R10). One such round is on its way at a time; what arrives
meanwhile shares the next. While a lease holds (`lease.py`) no round is needed.
"""

from __future__ import annotations

from .types import ReadBarrier


class ReadRounds:
    __slots__ = ("_index", "_round", "_tokens", "_waiting")

    def __init__(self) -> None:
        self._waiting: list[int] = []  # Arrived after the round on its way began.
        self._tokens: list[int] = []  # Wait for the round on its way.
        self._round = 0
        self._index = 0

    @property
    def is_in_flight(self) -> bool:
        return bool(self._tokens)

    @property
    def is_any_waiting(self) -> bool:
        return bool(self._waiting or self._tokens)

    @property
    def is_round_due(self) -> bool:
        return bool(self._waiting) and not self._tokens

    def add(self, token: int) -> None:
        self._waiting.append(token)

    def begin(self, number: int, commit_index: int) -> None:
        """Everything that waits now is answered by round `number`, at `commit_index`."""
        self._tokens, self._waiting = self._waiting, []
        self._round = number
        self._index = commit_index

    def confirmed(self, number: int) -> list[ReadBarrier]:
        """The reads that a majority's answer to round `number` makes safe."""
        if not self._tokens or number < self._round:
            return []
        barriers = [ReadBarrier(token, self._index) for token in self._tokens]
        self._tokens = []
        return barriers

    def safe(self, commit_index: int) -> list[ReadBarrier]:
        """All reads that have come, which are safe at `commit_index`."""
        return [ReadBarrier(token, commit_index) for token in self.take_all()]

    def take_all(self) -> list[int]:
        """All reads not yet safe."""
        tokens = self._tokens + self._waiting
        self._tokens, self._waiting = [], []
        return tokens
