"""What the log knows of one shard while it runs: how far it goes, and which segments it needs.

Pure bookkeeping on the loop. All but `spans` includes what is only staged; the spans follow when a
batch is on disk, because they decide what may be deleted (correctness L2). Belongs to `wal.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..raft.types import Entry, HardState, ReplicaId, SnapshotMeta


@dataclass(slots=True)
class Effect:
    """What a batch changes about who needs which segment, once it is on disk."""

    log: ShardLog
    base_index: int = 0
    is_reset: bool = False
    drop_from: int = 0  # A conflicting suffix is replaced from here.
    first: int = 0
    last: int = 0
    has_copies: bool = False


@dataclass(slots=True, eq=False)
class ShardLog:
    replica: ReplicaId
    hard_state: HardState
    base: SnapshotMeta  # The snapshot the log begins behind.
    first_index: int
    last: int
    terms: list[tuple[int, int]] = field(default_factory=list)  # (index, term) where terms begin.
    # By segment, lowest and highest index of what only that segment holds on disk.
    spans: dict[int, tuple[int, int]] = field(default_factory=dict)
    copies_unsettled: int = 0

    def term_at(self, index: int) -> int:
        for first, term in reversed(self.terms):
            if index >= first:
                return term
        return 0

    def held(self, entries: Sequence[Entry]) -> int:
        """How many of `entries`, from the first, the log holds with the same term."""
        count = 0
        for entry in entries:
            if entry.index > self.last or self.term_at(entry.index) != entry.term:
                break
            count += 1
        return count

    def append(self, entries: Sequence[Entry]) -> None:
        terms = self.terms
        while terms and terms[-1][0] >= entries[0].index:
            terms.pop()
        term = terms[-1][1] if terms else 0
        for entry in entries:
            if entry.term != term:
                assert entry.term > term, "terms fall along the log"
                term = entry.term
                terms.append((entry.index, term))
        self.last = entries[-1].index

    def rebase(self, base: SnapshotMeta, first_index: int) -> None:
        self.base = base
        self.first_index = first_index
        self.last = max(self.last, base.id.index)
        while len(self.terms) > 1 and self.terms[1][0] <= base.id.index + 1:
            del self.terms[0]

    def settle(self, effect: Effect, segment: int) -> None:
        """Move the spans as a batch did that is now on disk."""
        spans = self.spans
        if effect.is_reset:
            spans.clear()
        if effect.drop_from:
            for number, (low, high) in list(spans.items()):
                if high >= effect.drop_from:
                    _put(spans, number, low, effect.drop_from - 1)
        if effect.first:
            for number, (low, high) in list(spans.items()):
                if effect.first <= low <= effect.last:
                    _put(spans, number, effect.last + 1, high)
                elif effect.first <= high <= effect.last:
                    _put(spans, number, low, effect.first - 1)
            low, high = spans.get(segment, (effect.first, effect.last))
            spans[segment] = (min(low, effect.first), max(high, effect.last))
        for number, (low, high) in list(spans.items()):
            if low <= effect.base_index:
                _put(spans, number, effect.base_index + 1, high)
        self.copies_unsettled -= effect.has_copies


def _put(spans: dict[int, tuple[int, int]], number: int, low: int, high: int) -> None:
    if low <= high:
        spans[number] = (low, high)
    else:
        del spans[number]
