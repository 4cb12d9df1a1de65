"""The data of one shard: every key of every database, its expiry, and the shard's sessions.

Commands reach it only between `enter` calls, which say what database and what time it is. It never
asks a clock and never removes anything while reading, so that every replica that applied the same
entries holds the same state, whatever was read from it. Values that are changed in place are had
from `change` alone (correctness L7). Read `buckets.py` for where keys lie, `cut.py` for snapshots.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any, Final, TypeVar  # Any: values of every type.

import msgpack

from ...cluster.slots import DATABASES
from ..errors import CommandError, Corrupt, TrimaranError
from .buckets import BUCKET_KEYS_MAX, NEVER, Bucket, Database
from .cut import (
    DIGEST_MASK,
    FORMAT_VERSION,
    HEADER,
    KEY,
    KeyspaceCut,
    bucket_digest,
    digest_of,
    header_record,
    session_record,
)
from .sessions import Sessions
from .values import EXPIRY_BYTES, KEY_BYTES, TYPES, ValueTypes

__all__ = ["INTERNAL_DB", "KEEP", "ExpiryPending", "Keyspace", "KeyspaceCut"]

INTERNAL_DB = 255  # What the package itself keeps; no client can select it, FLUSHALL spares it.

T = TypeVar("T")


class Keep(Enum):
    KEEP = "keep"


KEEP: Final = Keep.KEEP  # `put` leaves the key's expiry as it is.


class ExpiryPending(TrimaranError):
    """A read met a key that is due, but no applied stamp is past its expiry yet.

    Saying "absent" now could be undone by a failover to a slower clock: first an entry with a
    later stamp must commit, for instance an expiry command for `key` (correctness A2).
    """

    def __init__(self, db: int, key: bytes) -> None:
        super().__init__(f"the expiry of a key in database {db} is not in the log yet")
        self.db = db
        self.key = key


class Keyspace:
    def __init__(self, *, types: ValueTypes = TYPES, sessions: Sessions | None = None) -> None:
        self.sessions = Sessions() if sessions is None else sessions
        self.last_stamp_ms = 0  # The highest stamp of an applied entry.
        self.entry_index = 0  # Of the entry being applied.
        # Told to who asks, no part of the state: keys removed because they were due, and what read
        # commands found and did not find.
        self.expired = self.hits = self.misses = 0
        self._types = types
        self._types_by_code = {kind.code: kind for kind in types.values()}
        self._database = Database(0)
        self._databases = {0: self._database}
        self._now_ms = 0
        self._is_read = True
        self._cut: KeyspaceCut | None = None
        self._changed: list[tuple[Database, Any, int]] = []  # Given out by `change`; see `_settle`.
        self._unpacker: msgpack.Unpacker | None = None  # While a snapshot is loaded.

    # --- Where and when a command runs.

    def begin_entry(self, index: int, stamp_ms: int) -> int:
        """An entry is going to be applied; the time its commands run at, which never goes back."""
        self.entry_index = index
        if stamp_ms > self.last_stamp_ms:
            self.last_stamp_ms = stamp_ms
        return self.last_stamp_ms

    def enter(self, db: int, now_ms: int, *, is_read: bool) -> None:
        """A command on `db` follows. A read may know a later time than the last entry's."""
        if db != self._database.number:
            database = self._databases.get(db)
            if database is None:
                database = self._databases[db] = Database(db)
            self._database = database
        if now_ms > self.last_stamp_ms:
            if not is_read:
                self.last_stamp_ms = now_ms
            self._now_ms = now_ms
        else:
            self._now_ms = self.last_stamp_ms
        self._is_read = is_read

    def switch(self, db: int) -> None:
        """What follows of this command is on `db`: for those that name a second database."""
        self.enter(db, self._now_ms, is_read=self._is_read)

    def _is_due(self, bucket: Bucket, key: bytes) -> bool:
        expire_at_ms = bucket.expiries.get(key)
        if expire_at_ms is None or expire_at_ms > self._now_ms:
            return False
        if self._is_read and expire_at_ms > self.last_stamp_ms:
            raise ExpiryPending(self._database.number, key)
        return True

    # --- Reading. A due key is absent.

    def peek(self, key: bytes) -> Any:
        """The value of `key`, whatever its type, or None."""
        bucket = self._database.bucket(key)
        if bucket is not None:
            value = bucket.values.get(key)
            if value is not None and not (bucket.expiries and self._is_due(bucket, key)):
                self.hits += self._is_read
                return value
        self.misses += self._is_read
        return None

    def find(self, key: bytes, kind: type[T]) -> T | None:
        """The value of `key` for reading, or None; raises WRONGTYPE if it is no `kind`."""
        value = self.peek(key)
        if value is None or type(value) is kind:
            return value
        raise wrong_type()

    def exists(self, key: bytes) -> bool:
        return self.peek(key) is not None

    def type_of(self, key: bytes) -> str | None:
        """The name of the type of `key`, as TYPE answers it."""
        value = self.peek(key)
        return None if value is None else self._types[type(value)].name

    def expiry_of(self, key: bytes) -> int | None:
        """When `key` expires; None if never, or if it is absent."""
        bucket = self._database.bucket(key)
        if bucket is None or not bucket.expiries or self._is_due(bucket, key):
            return None
        return bucket.expiries.get(key)

    def raw_expiry_of(self, key: bytes) -> int | None:
        """When `key` expires or did, due or not: for the expiry command alone."""
        bucket = self._database.bucket(key)
        return None if bucket is None else bucket.expiries.get(key)

    def size_of(self, key: bytes) -> int | None:
        """The bytes that `key` is counted with, as `memory_bytes` does; None if it is absent."""
        value = self.peek(key)
        if value is None:
            return None
        expiry_bytes = 0 if self.expiry_of(key) is None else EXPIRY_BYTES
        return KEY_BYTES + len(key) + self._size(value) + expiry_bytes

    def count(self, db: int | None = None) -> int:
        """Keys in a database (else the one entered), those due and not yet removed included."""
        database = self._database if db is None else self._databases.get(db)
        return 0 if database is None else database.count

    def expiring(self, db: int) -> tuple[int, int]:
        """How many keys of a database have an expiry, and the sum of those."""
        database = self._databases.get(db)
        return (0, 0) if database is None else (database.expiring, database.expiries_sum_ms)

    @property
    def databases(self) -> list[int]:
        """Those that hold keys."""
        return sorted(number for number, one in self._databases.items() if one.count)

    def page(self, cursor: int, count: int) -> tuple[int, list[bytes]]:
        """The next cursor, 0 at the end, and keys from `cursor` on, by (slot, hash)."""
        next_cursor, found = self._database.page(cursor, count)
        return next_cursor, [
            key for bucket, key in found if not bucket.expiries or not self._is_due(bucket, key)
        ]

    def nth_key(self, number: int) -> bytes | None:
        """The key at `number` (less than `count`) by (slot, hash), or None if it is due."""
        bucket, key = self._database.nth(number)
        return None if self._is_due(bucket, key) else key

    def keys_in_slot(self, slot: int) -> Iterator[bytes]:
        """The keys of `slot` in the database entered, those due and not yet removed included."""
        for bucket in self._database.buckets_in(slot):
            yield from bucket.values

    def count_in_slot(self, slot: int) -> int:
        """How many `keys_in_slot` gives."""
        return sum([len(bucket.values) for bucket in self._database.buckets_in(slot)])

    # --- Writing. Handlers check everything before the first of these.

    def put(self, key: bytes, value: Any, expire_at_ms: int | Keep | None = None) -> None:
        """Set the value of `key`, new or not, and its expiry."""
        assert not self._is_read, "a command that is flagged as a read writes"
        database = self._database
        bucket = database.bucket(key)
        if bucket is None:
            held = None if self._cut is None else self._cut.nothing
            bucket = database.add_bucket(key, held)
        elif bucket.digest is not None or self._cut is not None or self._changed:
            self._before_write(bucket)
        values = bucket.values
        old = values.get(key)
        values[key] = value
        size = len(value) if type(value) is bytes else self._size(value)
        if old is None:
            database.count += 1
            database.memory_bytes += KEY_BYTES + len(key) + size
        else:
            database.memory_bytes += size - (len(old) if type(old) is bytes else self._size(old))
            if bucket.expiries and (expire_at_ms is None or self._is_due(bucket, key)):
                self._drop_expiry(bucket, key)
        if expire_at_ms is not None and expire_at_ms is not KEEP:
            self._set_expiry(bucket, key, expire_at_ms)
        if old is None and len(values) > BUCKET_KEYS_MAX:
            database.split(key, bucket)

    def change(self, key: bytes, kind: type[T]) -> T | None:
        """The value of `key` to be changed in place before the next call; else as `find`."""
        assert not self._is_read, "a command that is flagged as a read writes"
        value = self.find(key, kind)
        if value is None:
            return None
        database = self._database
        bucket = database.bucket(key)
        assert bucket is not None
        self._before_write(bucket)
        if bucket.held is not None and bucket.held.values.get(key) is value:
            # The running snapshot still has to write it out as it was (correctness L7).
            value = bucket.values[key] = self._types[kind].copy(value)
        self._changed.append((database, value, self._size(value)))
        return value

    def change_or_add(self, key: bytes, kind: type[T]) -> T:
        """As `change`, with an empty new value where there was none."""
        value = self.change(key, kind)
        if value is None:
            self.put(key, kind())
            value = self.change(key, kind)
            assert value is not None
        return value

    def drop_if_empty(self, key: bytes) -> None:
        """Remove `key` if what it holds has become empty: Redis knows no empty collections."""
        if not self.peek(key):
            self.delete(key)

    def delete(self, key: bytes) -> bool:
        """Remove `key`; whether it was there (a due one was not, and is removed nevertheless)."""
        assert not self._is_read, "a command that is flagged as a read writes"
        bucket = self._database.bucket(key)
        if bucket is None or key not in bucket.values:
            return False
        was_there = not (bucket.expiries and self._is_due(bucket, key))
        self._before_write(bucket)
        value = bucket.values.pop(key)
        if bucket.expiries:
            self._drop_expiry(bucket, key)
        self._database.count -= 1
        self._database.memory_bytes -= KEY_BYTES + len(key) + self._size(value)
        return was_there

    def take(self, key: bytes) -> tuple[Any, int | None]:
        """Remove a key that exists; what it held and when it expires, to be put elsewhere."""
        bucket = self._bucket_to_write(key)
        value, expire_at_ms = bucket.values[key], bucket.expiries.get(key)
        if bucket.held is not None and bucket.held.values.get(key) is value:
            # The running snapshot writes it out under its old name: under the new one it may be
            # changed in place (correctness L7).
            value = self._types[type(value)].copy(value)
        self.delete(key)
        return value, expire_at_ms

    def copy_of(self, key: bytes) -> tuple[Any, int | None]:
        """What a key that exists holds, as a value of its own, and when it expires."""
        value = self.peek(key)
        return self._types[type(value)].copy(value), self.expiry_of(key)

    def expire(self, key: bytes, at_ms: int) -> None:
        """Set the expiry of a key that exists."""
        self._set_expiry(self._bucket_to_write(key), key, at_ms)

    def persist(self, key: bytes) -> None:
        """Take the expiry from a key that exists."""
        self._drop_expiry(self._bucket_to_write(key), key)

    def flush(self, db: int | None = None) -> None:
        """Remove every key of a database, or of all that clients can select."""
        assert not self._is_read, "a command that is flagged as a read writes"
        self._settle()
        for number in list(self._databases) if db is None else [db]:
            if number < DATABASES:
                # The old one is left whole: a running snapshot may still walk it.
                self._databases[number] = Database(number)
        self._database = self._databases[self._database.number]

    def _bucket_to_write(self, key: bytes) -> Bucket:
        assert not self._is_read, "a command that is flagged as a read writes"
        bucket = self._database.bucket(key)
        assert bucket is not None
        assert key in bucket.values
        self._before_write(bucket)
        return bucket

    def _before_write(self, bucket: Bucket) -> None:
        if self._changed:
            self._settle()
        database = self._database
        if bucket.digest is not None:
            database.digest_sum -= bucket.digest
            bucket.digest = None
            database.dirty.append(bucket)
        cut = self._cut
        if cut is not None and (bucket.held is None or bucket.held.cut is not cut):
            cut.hold(database.number, bucket)

    def _set_expiry(self, bucket: Bucket, key: bytes, at_ms: int) -> None:
        database = self._database
        before_ms = bucket.expiries.get(key)
        if before_ms is None:
            database.memory_bytes += EXPIRY_BYTES
            database.expiring += 1
        else:
            database.expiries_sum_ms -= before_ms
        database.expiries_sum_ms += at_ms
        bucket.expiries[key] = at_ms
        if at_ms < bucket.next_due_ms:
            self._database.schedule(bucket, at_ms)

    def _drop_expiry(self, bucket: Bucket, key: bytes) -> None:
        at_ms = bucket.expiries.pop(key, None)
        if at_ms is not None:
            database = self._database
            database.memory_bytes -= EXPIRY_BYTES
            database.expiring -= 1
            database.expiries_sum_ms -= at_ms

    # --- Counting.

    def _size(self, value: Any) -> int:
        return self._types[type(value)].size_bytes(value)

    def _settle(self) -> None:
        """Count what has been changed in place since `change` gave it out."""
        for database, value, size in self._changed:
            database.memory_bytes += self._size(value) - size
        self._changed.clear()

    @property
    def memory_bytes(self) -> int:
        """Counted, not measured: the same on every replica."""
        self._settle()
        return sum(database.memory_bytes for database in self._databases.values())

    def digest(self) -> int:
        """64 bits over all state; equal on replicas that applied the same entries.

        Costs what has changed since it was last asked for.
        """
        self._settle()
        total = digest_of(header_record(self.last_stamp_ms))
        for session in self.sessions:
            total += digest_of(session_record(session))
        for database in self._databases.values():
            for bucket in database.dirty:
                bucket.digest = bucket_digest(database.number, bucket, self._types)
                database.digest_sum += bucket.digest
            database.dirty.clear()
            total += database.digest_sum
        return total & DIGEST_MASK

    def digest_some(self, buckets: int) -> bool:
        """Do a part of what `digest` will have to do; False when nothing is left."""
        self._settle()
        for database in self._databases.values():
            while database.dirty and buckets:
                bucket = database.dirty.pop()
                bucket.digest = bucket_digest(database.number, bucket, self._types)
                database.digest_sum += bucket.digest
                buckets -= 1
        return any(database.dirty for database in self._databases.values())

    # --- Expiry, by the leader's entries.

    def due(self, now_ms: int, limit: int) -> list[tuple[int, bytes]]:
        """At most `limit` keys (with their databases) that are due; nothing is removed."""
        found: list[tuple[int, bytes]] = []
        for number in sorted(self._databases):
            if len(found) < limit:
                keys = self._databases[number].find_due(now_ms, limit - len(found))
                found.extend((number, key) for key in keys)
        return found

    def next_due_ms(self) -> int | None:
        """Nothing is due before it; None if nothing expires at all."""
        first = min((one.due[0][0] for one in self._databases.values() if one.due), default=NEVER)
        return None if first == NEVER else first

    # --- Snapshots.

    def begin_snapshot(self) -> KeyspaceCut:
        """Everything as it is now, to be written out in slices; one at a time."""
        assert self._cut is None, "a snapshot is running already"
        self._settle()
        self._cut = KeyspaceCut(
            [self._databases[number] for number in sorted(self._databases)],
            self.sessions.begin_cut(),
            self.last_stamp_ms,
            self._types,
            self._end_cut,
        )
        return self._cut

    def _end_cut(self) -> None:
        self._cut = None
        self.sessions.end_cut()

    def load(self, chunk: bytes) -> None:
        """Add what a slice of a snapshot holds; for a keyspace that is not in use yet. The last
        record may go on in the next slice."""
        self._is_read = False
        unpacker = self._unpacker
        if unpacker is None:
            unpacker = msgpack.Unpacker(strict_map_key=False, max_buffer_size=0)
            self._unpacker = unpacker
        unpacker.feed(chunk)
        for kind, *state in unpacker:
            if kind == HEADER:
                version, self.last_stamp_ms = state
                if version != FORMAT_VERSION:
                    raise Corrupt(
                        f"snapshot records of format version {version}, this is {FORMAT_VERSION}: "
                        "they were written by another version of trimaran"
                    )
            elif kind == KEY:
                db, key, code, packed, expire_at_ms = state
                # Nothing is due while loading: what the snapshot holds is kept as it is.
                self.enter(db, self.last_stamp_ms, is_read=False)
                self.put(key, self._types_by_code[code].unpack(packed), expire_at_ms)
            else:
                self.sessions.load(state)

    def finish_load(self) -> None:
        """The last chunk is loaded."""
        self._is_read = True
        self._unpacker = None


def wrong_type() -> CommandError:
    return CommandError("Operation against a key holding the wrong kind of value", "WRONGTYPE")
