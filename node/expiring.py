"""Keys that are due, as requests of the leader itself: they are removed by the log (A2). Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .commands.internal import EXPIRE
from .request import Outcome, Request, answered

if TYPE_CHECKING:
    from ..cluster.slots import ShardId

# That one command names. A slice ends only between commands, and a key may hold very much.
NAMES_MAX = 16


def bounded(due: Sequence[tuple[int, bytes]], bytes_max: int) -> dict[int, list[bytes]]:
    """The keys by database, up to a size in all; a key is as large as any argument may be."""
    by_db: dict[int, list[bytes]] = {}
    size = 0
    for db, key in due:
        by_db.setdefault(db, []).append(key)
        size += len(key)
        if size >= bytes_max:
            break
    return by_db


def expiry(
    shard: ShardId,
    db: int,
    names: Sequence[bytes],
    deadline_ns: int,
    complete: Callable[[Outcome], None] = answered,
) -> Request:
    return internal(EXPIRE, shard, db, names, deadline_ns, complete)


def internal(
    command: bytes,
    shard: ShardId,
    db: int,
    names: Sequence[bytes],
    deadline_ns: int,
    complete: Callable[[Outcome], None],
) -> Request:
    """A command of the leader's own about keys, a few of them at a time."""
    starts = range(0, len(names), NAMES_MAX)
    return Request(
        shard,
        db,
        [[command, *names[start : start + NAMES_MAX]] for start in starts],
        has_write=True,
        deadline_ns=deadline_ns,
        complete=complete,
        # When this replica no longer leads, another one sees to it.
        may_pass_on=False,
    )
