"""The log of one replica since its last snapshot, in memory: a list and where it begins.

It knows places, terms, bytes and how far it is committed; not what is on disk (`saves.py`) and not
why an entry may be committed (`leader.py`). The entry before the first one held is the base: its
index and term are still known, so that a follower standing exactly there needs no snapshot.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .types import Entry, EntryId, SnapshotMeta

ENTRY_OVERHEAD_BYTES = 200  # What CPython takes for an entry besides its payload, roughly.

_term_of = attrgetter("term")


class RaftLog:
    """Entries base.index + 1 .. last_index, of which those up to commit_index are final."""

    __slots__ = (
        "_base",
        "_base_bytes",
        "_bytes",
        "_entries",
        "commit_index",
        "last_index",
        "snapshot",
    )

    def __init__(self, snapshot: SnapshotMeta, entries: Sequence[Entry]) -> None:
        self.snapshot = snapshot  # The last durable one: what a follower left behind is sent.
        self.commit_index = snapshot.id.index
        self.last_index = snapshot.id.index + len(entries)
        self._base = snapshot.id
        self._entries: list[Entry] = list(entries)
        # Bytes of all entries up to and including each, since this object was made: the bytes
        # between two places are one subtraction, and truncation cannot get them wrong.
        self._bytes: list[int] = list(accumulate([len(entry.data) for entry in entries]))
        self._base_bytes = 0
        for place in (0, -1) if entries else ():
            held = self._entries[place]
            assert held.index == (self.first_index, self.last_index)[place], "a log has no gaps"

    @property
    def base(self) -> EntryId:
        """The place before the first entry held."""
        return self._base

    @property
    def first_index(self) -> int:
        return self._base.index + 1

    @property
    def last(self) -> EntryId:
        return self._entries[-1].id if self._entries else self._base

    def term_at(self, index: int) -> int | None:
        """The term of the entry at `index`; None if it is compacted away or past the end."""
        place = index - self._base.index - 1
        if place >= 0:
            return self._entries[place].term if place < len(self._entries) else None
        return self._base.term if place == -1 else None

    def entry_at(self, index: int) -> Entry | None:
        place = index - self._base.index - 1
        return self._entries[place] if 0 <= place < len(self._entries) else None

    def between(self, first: int, last: int) -> tuple[Entry, ...]:
        """The entries `first` to `last`, both included; all must be held."""
        offset = self._base.index + 1
        assert first >= offset, f"entries from {first} are compacted, the log begins at {offset}"
        if first == last:  # One entry per batch is the usual case.
            return (self._entries[first - offset],)
        return tuple(self._entries[first - offset : last - offset + 1])

    def bytes_between(self, first: int, last: int) -> int:
        """Payload bytes of the entries `first` to `last`, both included; all must be held."""
        return self._bytes_to(last) - self._bytes_to(first - 1)

    @property
    def memory_bytes(self) -> int:
        """What the entries held take, about."""
        payload = self._bytes_to(self.last_index) - self._base_bytes
        return payload + len(self._entries) * ENTRY_OVERHEAD_BYTES

    def index_keeping(self, index: int, keep_bytes: int) -> int:
        """Where the log may begin so that at most `keep_bytes` up to `index` stay (L9)."""
        floor = self._bytes_to(index) - keep_bytes
        if self._base_bytes >= floor:
            return self.first_index
        return self._base.index + 2 + bisect_left(self._bytes, floor)

    def reach(self, first: int, bytes_max: int) -> int:
        """The last index such that `first` to it fit in `bytes_max`; at least `first` itself."""
        limit = self._bytes_to(first - 1) + bytes_max
        if self._bytes[-1] <= limit:
            return self.last_index
        place = bisect_right(self._bytes, limit, lo=first - self._base.index - 1)
        return max(first, self._base.index + place)

    def before(self, index: int, term: int) -> EntryId:
        """The last place at or before `index` whose term is at most `term`.

        Where two logs can still agree: everything after it has a term the other one has not
        reached (Raft §5.3, the accelerated back-off). Never before the base.
        """
        end = min(index, self.last_index) - self._base.index
        place = bisect_right(self._entries, term, hi=max(end, 0), key=_term_of)
        return self._entries[place - 1].id if place > 0 else self._base

    def append(self, entry: Entry) -> None:
        assert entry.index == self.last_index + 1, "a log has no gaps"
        self._entries.append(entry)
        self._bytes.append((self._bytes[-1] if self._bytes else self._base_bytes) + len(entry.data))
        self.last_index = entry.index

    def extend(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self.append(entry)

    def truncate(self, first: int) -> None:
        """Drop the entries from `first` on."""
        # Raft §5.4: what is committed is in the log of every later leader.
        assert first > self.commit_index, f"entry {first} is committed and would be dropped"
        place = first - self._base.index - 1
        del self._entries[place:]
        del self._bytes[place:]
        self.last_index = first - 1

    def compact(self, snapshot: SnapshotMeta, first: int) -> None:
        """Note the durable `snapshot`, and forget the entries before `first`."""
        if snapshot.id.index > self.snapshot.id.index:
            self.snapshot = snapshot
        count = first - self.first_index
        if count <= 0:
            return
        base = self._entries[count - 1].id
        self._base_bytes = self._bytes[count - 1]
        del self._entries[:count]  # Moves pointers, once per snapshot.
        del self._bytes[:count]
        self._base = base

    def reset(self, snapshot: SnapshotMeta) -> None:
        """Begin anew behind an installed snapshot."""
        self.snapshot = snapshot
        assert snapshot.id.index >= self.commit_index, "a snapshot older than what is committed"
        self.commit_index = snapshot.id.index
        self.last_index = snapshot.id.index
        self._base = snapshot.id
        self._base_bytes = 0
        self._entries.clear()
        self._bytes.clear()

    def _bytes_to(self, index: int) -> int:
        place = index - self._base.index - 1
        return self._bytes[place] if place >= 0 else self._base_bytes
