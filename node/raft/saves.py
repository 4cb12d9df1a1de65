"""What of one replica's state is surely on disk: tickets out, tickets back (correctness R1, R2).

Saves land in the order their tickets were given, so a ticket that is back vouches for all before
it. It vouches for an entry only if no later write replaced that entry: `truncated` takes that away.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .types import HardState


@dataclass(slots=True)
class _Save:
    ticket: int
    issued_at: int
    hard_state: HardState | None
    last_index: int  # The log is on disk up to here once this ticket is back.


class Saves:
    __slots__ = ("_waiting", "hard_state", "saved_index", "written_index")

    def __init__(self, hard_state: HardState, last_index: int) -> None:
        self.hard_state = hard_state  # On disk.
        self.saved_index = last_index  # Our log is on disk up to here.
        self.written_index = last_index  # Our log was handed out in a Ready up to here.
        self._waiting: deque[_Save] = deque()

    def issue(
        self, ticket: int, *, now: int, hard_state: HardState | None, last_index: int
    ) -> None:
        """A Ready with something to save has left."""
        self.written_index = last_index
        self._waiting.append(_Save(ticket, now, hard_state, last_index))

    def saved(self, ticket: int) -> None:
        """Everything up to `ticket` is on disk."""
        while self._waiting and self._waiting[0].ticket <= ticket:
            save = self._waiting.popleft()
            if save.hard_state is not None:
                self.hard_state = save.hard_state
            if save.last_index > self.saved_index:
                self.saved_index = save.last_index

    def truncated(self, first: int) -> None:
        """The entries from `first` on were replaced: no save issued so far vouches for them."""
        # correctness R2: written, overwritten and written again, an entry is saved only by the
        # ticket that wrote it last; an earlier one may come back while the later can still fail.
        kept = first - 1
        self.written_index = min(self.written_index, kept)
        self.saved_index = min(self.saved_index, kept)
        for save in self._waiting:
            save.last_index = min(save.last_index, kept)

    def reset(self, last_index: int) -> None:
        """A snapshot was installed: the log is empty behind it, and that is on disk."""
        self.truncated(1)
        self.saved_index = self.written_index = last_index

    @property
    def oldest_at(self) -> int | None:
        """When the oldest ticket that is not back was given."""
        return self._waiting[0].issued_at if self._waiting else None
