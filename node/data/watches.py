"""Which keys clients watch (WATCH), and when each was changed last: part of a shard's state.

WATCH is a logged command, so every replica knows alike what is watched, and only writes to those
keys are noted; EXEC carries the stamps that its client was given, and each replica decides the
same (correctness A5). What is watched for longer than WATCH_MS, or pushed out by WATCHED_MAX
others, is forgotten: its EXEC is then refused as if the key had changed, never carried out.

A stamp is the place of a command in the log: index of its entry, and number within.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

COMMAND_BITS = 24  # Of a stamp: more than there can be in one entry.
WATCH_MS = 3_600_000
WATCHED_MAX = 100_000

State = tuple[int, bytes, int, int]  # Database, key, stamp of its last change, forgotten when.


class Watches:
    """Of one shard."""

    __slots__ = ("watched",)

    def __init__(self) -> None:
        # By database and key: (stamp of the last change, when it is forgotten), the latter rising.
        self.watched: OrderedDict[tuple[int, bytes], tuple[int, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self.watched)

    def watch(self, db: int, key: bytes, now_ms: int, stamp: int) -> None:
        """Note changes of `key` from here on, the command of `stamp`."""
        watched = self.watched
        # One that is not known may have been watched, changed and forgotten: whoever watched it
        # before must not find it unchanged.
        changed, _ = watched.pop((db, key), (stamp, 0))
        while watched and (
            len(watched) >= WATCHED_MAX or next(iter(watched.values()))[1] <= now_ms
        ):
            watched.popitem(last=False)
        watched[db, key] = (changed, now_ms + WATCH_MS)

    def changed(self, db: int, key: bytes, stamp: int) -> None:
        """`key` was changed by the command of `stamp`, if anybody wants to know."""
        known = self.watched.get((db, key))
        if known is not None:
            self.watched[db, key] = (stamp, known[1])

    def is_unchanged(self, db: int, key: bytes, since: int) -> bool:
        """Whether it surely was not changed since it was watched at `since`."""
        known = self.watched.get((db, key))
        return known is not None and known[0] <= since

    def of(self, db: int) -> list[bytes]:
        """The keys of a database that are watched."""
        return [key for number, key in self.watched if number == db]

    # --- Snapshots.

    def states(self) -> Iterator[State]:
        """In the order in which they are forgotten, as they are now, whenever they are taken."""
        return ((*place, *known) for place, known in list(self.watched.items()))

    def load(self, state: State) -> None:
        db, key, changed, until_ms = state
        self.watched[db, key] = (changed, until_ms)
