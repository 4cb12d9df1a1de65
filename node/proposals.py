"""Entries that this replica has proposed and whose fate is not known: whose requests they hold.

Applied with the same term: they are answered. Overtaken by another leader's entry: surely not
applied. Hidden behind a snapshot, or never heard of again: unknown (correctness D2). Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import OutcomeUnknown
from .request import Unknown, answered

if TYPE_CHECKING:
    from .data.entry import EntryData
    from .request import Request


@dataclass(slots=True)
class Proposed:
    """What one entry of ours holds."""

    term: int
    entry: EntryData
    requests: list[Request]

    def give_up(self, why: str) -> None:
        for request in self.requests:
            request.complete(Unknown(OutcomeUnknown(why)))


class Proposals:
    """By the index of the entry."""

    def __init__(self) -> None:
        self._by_index: dict[int, Proposed] = {}

    def __len__(self) -> int:
        return len(self._by_index)

    def __iter__(self) -> Iterator[Proposed]:
        return iter(self._by_index.values())

    def __contains__(self, index: int) -> bool:
        return index in self._by_index

    def __getitem__(self, index: int) -> Proposed:
        return self._by_index[index]

    def __setitem__(self, index: int, proposed: Proposed) -> None:
        self._by_index[index] = proposed

    def get(self, index: int) -> Proposed | None:
        return self._by_index.get(index)

    def pop(self, index: int) -> Proposed | None:
        """What is known by now."""
        return self._by_index.pop(index, None)

    def pop_of_earlier(self, term: int) -> list[Proposed]:
        """A leader of `term` has committed its first entry: what we proposed in an earlier term and
        is not applied by now is in no log that can still win (Raft §5.4.3), so it never will be."""
        late = [index for index, proposed in self._by_index.items() if proposed.term < term]
        return [self._by_index.pop(index) for index in late]

    def give_up(self, why: str, up_to: int | None = None) -> None:
        """Nobody will ever know here what became of them."""
        for index in sorted(self._by_index):
            if up_to is None or index <= up_to:
                self._by_index.pop(index).give_up(why)

    def time_out(self, now_ns: int) -> None:
        """Answer whose deadline is past; the entry may still be applied."""
        for proposed in self._by_index.values():
            for request in proposed.requests:
                if request.deadline_ns <= now_ns:
                    complete, request.complete = request.complete, answered
                    complete(Unknown(OutcomeUnknown("no majority answered in time")))
