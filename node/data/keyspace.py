"""The data of one shard: every key of every database, its expiry, and the shard's sessions.

Commands reach it only between `enter` calls, which say what database and what time it is. It never
asks a clock and never removes anything while reading, so that every replica that applied the same
entries holds the same state, whatever was read from it. Values that are changed in place are had
from `change` alone (correctness L7). Read `buckets.py` for where keys lie, `cut.py` for snapshots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from itertools import starmap
from typing import Any, Final, Protocol, TypeVar  # Any: values of every type.

import msgpack

from ...cluster.slots import DATABASES
from ..errors import CommandError, Corrupt, TrimaranError
from .buckets import BUCKET_KEYS_MAX, NEVER, Bucket, Database, Directory
from .cut import (
    DIGEST_MASK,
    FORMAT_VERSION,
    HEADER,
    KEY,
    PART,
    WATCH,
    KeyspaceCut,
    bucket_digest,
    digest_of,
    header_digest,
    session_record,
    watch_record,
)
from .large_string import LARGE_BYTES, LargeString, String, spliced
from .sessions import Sessions
from .uses import TICKS_PER_S, Uses
from .values import (
    EXPIRY_BYTES,
    KEY_BYTES,
    SLOT_BYTES,
    SLOT_EXPIRY_BYTES,
    TYPES,
    ValueTypes,
)
from .watches import COMMAND_BITS, Watches

__all__ = ["INTERNAL_DB", "KEEP", "ExpiryPending", "Keyspace", "KeyspaceCut"]

FREED_AT_ONCE_BYTES = 256 << 10
INTERNAL_DB = 255  # What the package itself keeps; no client can select it, FLUSHALL spares it.

T = TypeVar("T")


class Keep(Enum):
    KEEP = "keep"


KEEP: Final = Keep.KEEP  # `put` leaves the key's expiry as it is.


class Awaited(Protocol):
    """The keys that clients wait for."""

    def waits_for(self, db: int, key: bytes) -> bool: ...

    def keys_of(self, db: int) -> list[bytes]: ...


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
        # The shard it is the data of, and how many there are; None: all of it is here. For scripts,
        # which name keys that no router has seen.
        self.owner: tuple[int, int] | None = None
        self.watches = Watches()
        self._command = 0  # How many of it have begun, about: a part of the stamp of a change.
        # Told to who asks, no part of the state: keys removed because they were due, and what read
        # commands found and did not find.
        self.expired = self.evicted = self.hits = self.misses = 0
        # Of this replica alone: what the time is, in ticks of `uses.py`, and which keys are used,
        # while the policy of eviction asks for it. The shard's owner sets both.
        self.clock = self.known_since = 0
        self.uses: Uses | None = None
        self._types = types
        self._types_by_code = {kind.code: kind for kind in types.values()}
        self._database = Database(0)
        self._databases = {0: self._database}
        self._now_ms = 0
        self._is_read = True
        # Where somebody waits for data: whether anybody does for a key of a database; and what was
        # written of that since it was last looked at, in order. No part of the state either.
        self.awaited: Awaited | None = None
        self.touched: list[tuple[int, bytes]] = []
        self._cut: KeyspaceCut | None = None
        self._changed: list[tuple[Database, Any, int]] = []  # Given out by `change`; see `_settle`.
        self._unpacker: msgpack.Unpacker | None = None  # While a snapshot is loaded.
        # What was removed and is large, in lists to be emptied a piece at a time: to free a million
        # elements takes as long as a hundred thousand commands (correctness E3).
        self._trash: list[list[Any]] = []
        self._kept: list[list[Any]] = []  # The same, while a running snapshot may have to write it.

    # --- Where and when a command runs.

    def begin_entry(self, index: int, stamp_ms: int) -> int:
        """An entry is going to be applied; the time its commands run at, which never goes back."""
        self.entry_index = index
        self._command = 0
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
        if not is_read:  # Reads leave no trace: they are not the same on every replica.
            self._command += 1

    def within(self, db: int, now_ms: int, *, is_read: bool) -> None:
        """As `enter`, for what a script does: all of it is one command."""
        command = self._command
        self.enter(db, now_ms, is_read=is_read)
        self._command = command

    @property
    def stamp(self) -> int:
        """The place of the running command in the log; rises from command to command."""
        return self.entry_index << COMMAND_BITS | self._command

    def _changes(self, key: bytes) -> None:
        """A key that is watched is going to be changed."""
        self.watches.changed(self._database.number, key, self.stamp)

    def _touches(self, key: bytes) -> None:
        """It is written to, and somebody waits for some key."""
        db = self._database.number
        if self.awaited is not None and self.awaited.waits_for(db, key):
            self.touched.append((db, key))

    def take_touched(self) -> list[tuple[int, bytes]]:
        """The keys that somebody waits for and that were written to, in order."""
        touched, self.touched = self.touched, []
        return touched

    def is_unchanged(self, key: bytes, since: int) -> bool:
        """Whether `key` is still as it was when it was watched at the stamp `since`. One that has
        come due meanwhile is not, removed or not."""
        if not self.watches.is_unchanged(self._database.number, key, since):
            return False
        bucket = self._database.bucket(key)
        return bucket is None or not bucket.expiries or not self._is_due(bucket, key)

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

    @property
    def now_ms(self) -> int:
        """The time at which the command runs: its entry's stamp, for a read perhaps a later one."""
        return self._now_ms

    def is_past(self, key: bytes, at_ms: int) -> bool:
        """Whether something in `key` that expires at `at_ms` is absent now; asked by commands about
        what expires inside of a value, as `_is_due` is about keys."""
        if at_ms > self._now_ms:
            return False
        if self._is_read and at_ms > self.last_stamp_ms:
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
                bucket.used_at = self.clock
                if self.uses is not None:
                    self.uses.used(self._database.number, key)
                return value
        self.misses += self._is_read
        return None

    def examine(self, key: bytes) -> Any:
        """As `peek`, and it is not taken for a use."""
        bucket = self._database.bucket(key)
        if bucket is not None:
            value = bucket.values.get(key)
            if value is not None and not (bucket.expiries and self._is_due(bucket, key)):
                self.hits += self._is_read
                return value
        self.misses += self._is_read
        return None

    def idle_s(self, key: bytes) -> int:
        """For how long a key that exists was not used, as far as this replica knows. Unless the
        policy asks for more, that is when any key of its bucket was: it was idle at least so long.

        Entries must not depend on it: 0 for a command of one.
        """
        if not self._is_read:
            return 0
        if self.uses is not None and not self.uses.is_frequency:
            return self.uses.idle(self._database.number, key) // TICKS_PER_S
        bucket = self._database.bucket(key)
        assert bucket is not None
        return (self.clock - max(bucket.used_at, self.known_since)) // TICKS_PER_S

    def frequency(self, key: bytes) -> int:
        """How often it was used, as `uses.py` counts it; 0 for a command of an entry, as above."""
        if not self._is_read or self.uses is None:
            return 0
        return self.uses.frequency(self._database.number, key)

    def note_use(self, key: bytes, *, idle_s: int | None, frequency: int | None) -> None:
        """What RESTORE says of a key that was used elsewhere."""
        if self.uses is None:
            return
        if idle_s is not None:
            self.uses.set_idle(self._database.number, key, idle_s)
        if frequency is not None:
            self.uses.set_frequency(self._database.number, key, frequency)

    def find(self, key: bytes, kind: type[T]) -> T | None:
        """The value of `key` for reading, or None; raises WRONGTYPE if it is no `kind`."""
        value = self.peek(key)
        if value is None or type(value) is kind:
            return value
        raise wrong_type()

    def string(self, key: bytes) -> String | None:
        """The string of `key` for reading, in either of its forms, or None; raises WRONGTYPE."""
        value = self.peek(key)
        if value is None or type(value) is bytes or type(value) is LargeString:
            return value
        raise wrong_type()

    def look(self, db: int, key: bytes) -> Any:
        """The value of a key by the last stamp applied, or None; leaves no trace at all: asked
        between commands, by who waits."""
        database = self._databases.get(db)
        bucket = None if database is None else database.bucket(key)
        if bucket is None:
            return None
        expire_at_ms = bucket.expiries.get(key)
        is_due = expire_at_ms is not None and expire_at_ms <= self.last_stamp_ms
        return None if is_due else bucket.values.get(key)

    def exists(self, key: bytes) -> bool:
        return self.peek(key) is not None

    def type_of(self, key: bytes) -> str | None:
        """The name of the type of `key`, as TYPE answers it."""
        value = self.examine(key)
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
        value = self.examine(key)
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
        if self.watches.watched:
            self._changes(key)
        if self.awaited is not None:
            self._touches(key)
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
        if type(value) is bytes:
            size = len(value)
        else:
            size = self._size(value)
            self._look_inside(bucket, key, value)
        bucket.used_at = self.clock
        if old is None:
            database.count += 1
            database.memory_bytes += KEY_BYTES + len(key) + size
            if len(values) == 1 and database.is_alone(key, bucket):
                database.memory_bytes += SLOT_BYTES
            if self.uses is not None:
                self.uses.added(database.number, key, database.count)
        else:
            if self.uses is not None:
                self.uses.used(database.number, key)
            if type(old) is bytes:
                old_size = len(old)
            else:
                old_size = self._size(old)
                if old is not value:
                    self._let_go(old, old_size)
                if type(value) is bytes and bucket.inside is not None:
                    bucket.inside.pop(key, None)
            database.memory_bytes += size - old_size
            if bucket.expiries and (expire_at_ms is None or self._is_due(bucket, key)):
                self._drop_expiry(bucket, key)
        if expire_at_ms is not None and expire_at_ms is not KEEP:
            self._set_expiry(bucket, key, expire_at_ms)
        if old is None and len(values) > BUCKET_KEYS_MAX:
            database.split(key, bucket)

    def change(self, key: bytes, kind: type[T]) -> T | None:
        """The value of `key` to be changed in place before the next call; else as `find`."""
        assert not self._is_read, "a command that is flagged as a read writes"
        bucket = self._database.bucket(key)
        value = None if bucket is None else bucket.values.get(key)
        if bucket is None or value is None or (bucket.expiries and self._is_due(bucket, key)):
            return None
        if type(value) is not kind:
            raise wrong_type()
        if self.watches.watched:
            self._changes(key)
        if self.awaited is not None:
            self._touches(key)
        if self._changed:
            self._settle()
        if bucket.digest is not None or self._cut is not None:
            self._before_write(bucket)
        if bucket.held is not None and bucket.held.values.get(key) is value:
            # The running snapshot still has to write it out as it was (correctness L7).
            value = bucket.values[key] = self._types[kind].copy(value)
        size = self._types[kind].size_bytes(value)  # As `_size`, which costs a call.
        self._changed.append((self._database, value, size))
        return value

    def change_or_add(self, key: bytes, kind: type[T]) -> T:
        """As `change`, with an empty new value where there was none."""
        value = self.change(key, kind)
        if value is None:
            self.put(key, kind())
            value = self.change(key, kind)
            assert value is not None
        return value

    def write_string(self, key: bytes, value: String | None, start: int, text: bytes) -> None:
        """Put `text` at `start` of the string of `key`, with zero bytes in a gap; its expiry stays.
        `value` is what `string` has found there."""
        if not isinstance(value, LargeString):
            old = b"" if value is None else value
            end = max(len(old), start + len(text))
            if end < LARGE_BYTES or (value is None and not start):
                self.put(key, spliced(old, start, text), KEEP)
                return
            self.put(key, LargeString(old), KEEP)
        large = self.change(key, LargeString)
        assert large is not None
        large.write(start, text)

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
        value = bucket.values[key]
        was_there, size = self._remove(bucket, key)
        self._let_go(value, size)
        return was_there

    def _remove(self, bucket: Bucket, key: bytes) -> tuple[bool, int]:
        """Take `key` out of its bucket; whether it was there, and the size of its value."""
        was_there = not (bucket.expiries and self._is_due(bucket, key))
        if self.watches.watched:
            self._changes(key)
        if self.awaited is not None:
            self._touches(key)
        self._before_write(bucket)
        value = bucket.values.pop(key)
        if bucket.expiries:
            self._drop_expiry(bucket, key)
        if bucket.inside is not None:
            bucket.inside.pop(key, None)
        size = self._size(value)
        self._database.count -= 1
        self._database.memory_bytes -= KEY_BYTES + len(key) + size
        if not bucket.values and self._database.is_alone(key, bucket):
            self._database.memory_bytes -= SLOT_BYTES
        return was_there, size

    def _let_go(self, value: Any, size: int) -> None:
        """A value that no key holds any more."""
        if size > FREED_AT_ONCE_BYTES and type(value) is not bytes:
            self._removed().extend(value.take_apart())

    def _removed(self) -> list[list[Any]]:
        """Where what is removed goes."""
        return self._trash if self._cut is None else self._kept

    def replace(self, old: Keyspace) -> None:
        """This one takes the place of another, which is to be freed a piece at a time."""
        self._trash += old._trash
        if old._cut is None:  # Otherwise a running snapshot walks it.
            self._trash += [database.slots for database in old._databases.values()]

    @property
    def trash(self) -> int:
        """Lists of what is still to be freed."""
        return len(self._trash)

    @property
    def has_trash(self) -> bool:
        """Something removed is still to be freed."""
        return bool(self._trash)

    def free_some(self, pieces: int) -> None:
        """Free some of what was removed. A piece has at most some thousand elements."""
        trash = self._trash
        while trash and pieces > 0:
            last = trash[-1]
            if last:
                self._take_apart(last.pop())
                pieces -= 1
            else:
                trash.pop()

    def _take_apart(self, piece: Any) -> None:
        """Of a database that was emptied, a slot may hold as much as all others together."""
        if type(piece) is Directory:
            self._trash.append(piece.buckets)
        elif type(piece) is Bucket:
            values, piece.values = piece.values, {}  # A directory names most of them repeatedly.
            for value in values.values():
                if type(value) is not bytes and self._size(value) > FREED_AT_ONCE_BYTES:
                    self._trash += value.take_apart()

    def take(self, key: bytes) -> tuple[Any, int | None]:
        """Remove a key that exists; what it held and when it expires, to be put elsewhere."""
        bucket = self._bucket_to_write(key)
        value, expire_at_ms = bucket.values[key], bucket.expiries.get(key)
        if bucket.held is not None and bucket.held.values.get(key) is value:
            # The running snapshot writes it out under its old name: under the new one it may be
            # changed in place (correctness L7).
            value = self._types[type(value)].copy(value)
        self._remove(bucket, key)
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

    def expires_inside(self, key: bytes) -> None:
        """What is inside of `key`, which exists, may come due at another time than before."""
        bucket = self._bucket_to_write(key)
        self._look_inside(bucket, key, bucket.values[key])

    def flush(self, db: int | None = None) -> None:
        """Remove every key of a database, or of all that clients can select."""
        assert not self._is_read, "a command that is flagged as a read writes"
        self._settle()
        for number in list(self._databases) if db is None else [db]:
            if number < DATABASES:
                if self.watches.watched:
                    self._flushes(number)
                if self.awaited is not None:
                    self.touched += [(number, key) for key in self.awaited.keys_of(number)]
                if number in self._databases:
                    self._removed().append(self._databases[number].slots)
                self._databases[number] = Database(number)
        self._database = self._databases[self._database.number]

    def _flushes(self, db: int) -> None:
        """What is watched there is changed, if it is there at all."""
        database = self._databases.get(db)
        if database is not None:
            for key in self.watches.of(db):
                bucket = database.bucket(key)
                if bucket is not None and key in bucket.values:
                    self.watches.changed(db, key, self.stamp)

    def _bucket_to_write(self, key: bytes) -> Bucket:
        assert not self._is_read, "a command that is flagged as a read writes"
        if self.watches.watched:
            self._changes(key)
        if self.awaited is not None:
            self._touches(key)
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

    def _look_inside(self, bucket: Bucket, key: bytes, value: Any) -> None:
        """Note when something inside of the value of `key` comes due, if it ever does."""
        next_due_ms = self._types[type(value)].next_due_ms
        at_ms = NEVER if next_due_ms is None else next_due_ms(value)
        bucket.look_inside(key, at_ms)
        if at_ms < bucket.next_due_ms:
            self._database.schedule(bucket, at_ms)

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
        if before_ms is None and len(bucket.expiries) == 1 and database.expires_alone(key, bucket):
            database.memory_bytes += SLOT_EXPIRY_BYTES
        if at_ms < bucket.next_due_ms:
            self._database.schedule(bucket, at_ms)

    def _drop_expiry(self, bucket: Bucket, key: bytes) -> None:
        at_ms = bucket.expiries.pop(key, None)
        if at_ms is not None:
            database = self._database
            database.memory_bytes -= EXPIRY_BYTES
            if not bucket.expiries and database.expires_alone(key, bucket):
                database.memory_bytes -= SLOT_EXPIRY_BYTES
            database.expiring -= 1
            database.expiries_sum_ms -= at_ms

    # --- Counting.

    def _size(self, value: Any) -> int:
        return self._types[type(value)].size_bytes(value)

    def _settle(self) -> None:
        """Count what has been changed in place since `change` gave it out."""
        types = self._types
        for database, value, size in self._changed:
            database.memory_bytes += types[type(value)].size_bytes(value) - size
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
        total = header_digest(self.last_stamp_ms)
        for session in self.sessions:
            total += digest_of(session_record(session))
        for number, state in enumerate(self.watches.states()):
            total += digest_of(watch_record(number, state))
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
                database = self._databases[number]
                keys = database.find_due(now_ms, limit - len(found))
                found.extend((number, key) for key in keys if _is_due_yet(database, key, now_ms))
        return found

    def next_due_ms(self) -> int | None:
        """Nothing is due before it; None if nothing expires at all."""
        first = min((one.due[0][0] for one in self._databases.values() if one.due), default=NEVER)
        return None if first == NEVER else first

    # --- Eviction, by the leader's entries too.

    def evictable(self, db: int, *, is_volatile: bool) -> int:
        """How many keys of a database may be evicted: all, or those that have an expiry."""
        database = self._databases.get(db)
        if database is None:
            return 0
        return database.expiring if is_volatile else database.count

    def candidates(
        self, db: int, policy: str, count: int, random: Callable[[], float]
    ) -> list[tuple[float, bytes, int]]:
        """About `count` keys taken by chance: how much each is to be evicted, its name, its size.
        It depends on this replica alone."""
        database = self._databases[db]
        found = database.sample(count, random, is_volatile=policy.startswith("volatile-"))
        uses = self.uses if policy.endswith(("-lru", "-lfu")) else None
        candidates: list[tuple[float, bytes, int]] = []
        for bucket, key in found:
            if uses is not None:
                rank: float = uses.dullness(db, key)
            elif policy == "volatile-ttl":
                rank = -bucket.expiries[key]
            else:
                rank = random()
            # With its part of what goes when its slot is empty.
            size = KEY_BYTES + SLOT_BYTES // len(bucket.values)
            if key in bucket.expiries:
                size += EXPIRY_BYTES + SLOT_EXPIRY_BYTES // len(bucket.expiries)
            candidates.append((rank, key, size + len(key) + self._size(bucket.values[key])))
        return candidates

    # --- Snapshots.

    def begin_snapshot(self) -> KeyspaceCut:
        """Everything as it is now, to be written out in slices; one at a time."""
        assert self._cut is None, "a snapshot is running already"
        self._settle()
        self._cut = KeyspaceCut(
            [self._databases[number] for number in sorted(self._databases)],
            self.sessions.begin_cut(),
            starmap(watch_record, enumerate(self.watches.states())),
            self.last_stamp_ms,
            self._types,
            self._end_cut,
        )
        return self._cut

    def _end_cut(self) -> None:
        self._cut = None
        self._trash += self._kept
        self._kept = []
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
                if not 1 <= version <= FORMAT_VERSION:
                    raise Corrupt(
                        f"snapshot records of format version {version}, this is {FORMAT_VERSION}: "
                        "they were written by another version of trimaran"
                    )
            elif kind == KEY:
                db, key, code, packed, expire_at_ms = state
                # Nothing is due while loading: what the snapshot holds is kept as it is.
                self.enter(db, self.last_stamp_ms, is_read=False)
                self.put(key, self._types_by_code[code].unpack(packed), expire_at_ms)
            elif kind == WATCH:
                self.watches.load(tuple(state[1:]))
            elif kind == PART:
                db, key, _number, packed = state
                self._load_part(db, key, packed)
            else:
                self.sessions.load(state)

    def _load_part(self, db: int, key: bytes, packed: Any) -> None:
        """More of a large value, which its key's record began."""
        self.enter(db, self.last_stamp_ms, is_read=False)
        bucket = self._bucket_to_write(key)
        value = bucket.values[key]
        kind = self._types[type(value)]
        assert kind.extend is not None, f"a {kind.name} comes in one part"
        self._database.memory_bytes -= kind.size_bytes(value)
        kind.extend(value, packed)
        self._database.memory_bytes += kind.size_bytes(value)
        self._look_inside(bucket, key, value)

    def finish_load(self) -> None:
        """The last chunk is loaded."""
        self._is_read = True
        self._unpacker = None


def _is_due_yet(database: Database, key: bytes, now_ms: int) -> bool:
    """Whether a key found to be due really is; what is inside of it may only have been."""
    bucket = database.bucket(key)
    assert bucket is not None
    if bucket.inside is None or bucket.expiries.get(key, NEVER) <= now_ms:
        return True
    due_ms = bucket.values[key].look_for_due()
    bucket.look_inside(key, due_ms)
    return bool(due_ms <= now_ms)


def wrong_type() -> CommandError:
    return CommandError("Operation against a key holding the wrong kind of value", "WRONGTYPE")
