"""All databases of one shard: what is asked of several of them, or of one from outside of commands.

Nothing here reads a clock, or depends on the order in which databases came to be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from .buckets import EXPIRY_BYTES, KEY_BYTES, NEVER, Database
from .cut import bucket_digest
from .values import size_of

if TYPE_CHECKING:
    from .uses import Uses
    from .values import ValueTypes


class Databases:
    """By their numbers; one comes to be when it is first entered."""

    __slots__ = ("_all", "_types")

    def __init__(self, types: ValueTypes) -> None:
        self._all: dict[int, Database] = {}
        self._types = types

    def __iter__(self) -> Iterator[Database]:
        """In the order of their numbers."""
        return iter([self._all[number] for number in sorted(self._all)])

    def get(self, number: int) -> Database | None:
        return self._all.get(number)

    def enter(self, number: int) -> Database:
        """Made if it is not there."""
        found = self._all.get(number)
        if found is None:
            found = self._all[number] = Database(number)
        return found

    def remove(self, number: int) -> Database | None:
        """Out of it, with all keys, if it is there."""
        return self._all.pop(number, None)

    # --- Counting.

    @property
    def memory_bytes(self) -> int:
        return sum([database.memory_bytes for database in self._all.values()])

    def digest_sum(self) -> int:
        """Over all keys. Costs what has changed since it was last asked for."""
        while self.digest_some(1 << 30):
            pass
        return sum([database.digest_sum for database in self._all.values()])

    def digest_some(self, buckets: int) -> bool:
        """Do a part of what `digest_sum` will have to do; False when nothing is left."""
        for database in self._all.values():
            while database.dirty and buckets:
                bucket = database.dirty.pop()
                bucket.digest = bucket_digest(database.number, bucket, self._types)
                database.digest_sum += bucket.digest
                buckets -= 1
        return any(database.dirty for database in self._all.values())

    # --- What is to go, by the leader's entries.

    def due(self, now_ms: int, limit: int) -> list[tuple[int, bytes]]:
        """At most `limit` keys (with their databases) that are due; nothing is removed."""
        found: list[tuple[int, bytes]] = []
        for database in self:
            if len(found) < limit:
                keys = database.find_due(now_ms, limit - len(found))
                found += [(database.number, key) for key in keys if _is_due(database, key, now_ms)]
        return found

    def next_due_ms(self) -> int | None:
        """Nothing is due before it; None if nothing expires at all."""
        first = min((one.due[0][0] for one in self._all.values() if one.due), default=NEVER)
        return None if first == NEVER else first

    def evictable(self, number: int, *, is_volatile: bool) -> int:
        """How many keys of a database may be evicted: all, or those that have an expiry."""
        database = self._all.get(number)
        if database is None:
            return 0
        return database.expiring if is_volatile else database.count

    def candidates(
        self, number: int, policy: str, count: int, random: Callable[[], float], uses: Uses | None
    ) -> list[tuple[float, bytes, int]]:
        """About `count` keys taken by chance: how much each is to be evicted, its name, its size.
        It depends on this replica alone."""
        database = self._all[number]
        found = database.sample(count, random, is_volatile=policy.startswith("volatile-"))
        if not policy.endswith(("-lru", "-lfu")):
            uses = None
        candidates: list[tuple[float, bytes, int]] = []
        for bucket, key in found:
            if uses is not None:
                rank: float = uses.dullness(number, key)
            elif policy == "volatile-ttl":
                rank = -bucket.expiries[key]
            else:
                rank = random()
            size = KEY_BYTES + (EXPIRY_BYTES if key in bucket.expiries else 0)
            candidates.append((rank, key, size + len(key) + size_of(bucket.values[key])))
        return candidates


def _is_due(database: Database, key: bytes, now_ms: int) -> bool:
    """Whether a key found to be due really is; what is inside of it may only have been."""
    bucket = database.bucket(key)
    if bucket.inside is None or bucket.expiries.get(key, NEVER) <= now_ms:
        return True
    due_ms = bucket.values[key].look_for_due()
    bucket.look_inside(key, due_ms)
    return bool(due_ms <= now_ms)
