"""The data of one shard: every key of every database, its expiry, and the shard's sessions.

Commands reach it only between `enter` calls, which say what database and what time it is. It never
asks a clock and never removes anything while reading, so that every replica that applied the same
entries holds the same state, whatever was read from it. Values that are changed in place are had
from `change` alone (correctness L7). Read `buckets.py` for where keys lie, `cut.py` for snapshots.
"""

from __future__ import annotations

from array import array
from binascii import crc_hqx
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from itertools import starmap
from typing import Any, Final, Protocol, TypeVar  # Any: values of every type.

from ...cluster.slots import DATABASES, SLOTS, slot_of
from ..errors import CommandError, ExpiryPending
from .buckets import (
    BUCKET_KEYS_MAX,
    EXPIRY_BYTES,
    HASH_BITS,
    KEY_BYTES,
    NEVER,
    Bucket,
    Directory,
    buckets_of,
    keys_in_order,
    place_of,
)
from .cut import (
    DIGEST_MASK,
    KeyspaceCut,
    digest_of,
    header_digest,
    session_record,
    watch_record,
)
from .databases import Databases
from .large_string import LargeString, String
from .load import Loader
from .sessions import Sessions
from .trash import Trash
from .uses import TICKS_PER_S, Uses
from .values import TYPES, ValueTypes, size_of
from .watches import COMMAND_BITS, Watches

__all__ = ["INTERNAL_DB", "KEEP", "ExpiryPending", "Keyspace", "KeyspaceCut"]

_SLOT_MASK = SLOTS - 1
_NO_KEY: Final = bytes(bytearray(b"no key"))  # An object that no command can name.
INTERNAL_DB = 255  # What the package itself keeps; no client can select it, FLUSHALL spares it.

T = TypeVar("T")


class Keep(Enum):
    KEEP = "keep"


KEEP: Final = Keep.KEEP  # `put` leaves the key's expiry as it is.


class Awaited(Protocol):
    """The keys that clients wait for."""

    def waits_for(self, db: int, key: bytes) -> bool: ...

    def keys_of(self, db: int) -> list[bytes]: ...


class Keyspace:
    def __init__(self, *, types: ValueTypes = TYPES, sessions: Sessions | None = None) -> None:
        self.sessions = Sessions() if sessions is None else sessions
        self.last_stamp_ms = 0  # The highest stamp of an applied entry.
        self.entry_index = 0  # Of the entry being applied.
        # The shard it is the data of, and how many there are; None: all of it is here. For scripts,
        # which name keys that no router has seen.
        self.owner: tuple[int, int] | None = None
        # What `commands.scripting` makes of scripts that are in the state, by their bodies and by
        # their hashes. No part of it: empty at first, and when one of them was removed.
        self.scripts: dict[bytes, Any] = {}
        self.scripts_by_sha1: dict[bytes, Any] = {}
        self.watches = Watches()
        self._command = 0  # How many of it have begun, about: a part of the stamp of a change.
        # Told to who asks, no part of the state: keys removed because they were due, and what read
        # commands found and did not find.
        self.expired = self.evicted = self.hits = self.misses = 0
        # Who tells of them, if anybody wants to know: database and key.
        self.on_expired: Callable[[int, bytes], None] | None = None
        self.on_miss: Callable[[int, bytes], None] | None = None
        # Of this replica alone: what the time is, in ticks of `uses.py`, and which keys are used,
        # while the policy of eviction asks for it. The shard's owner sets both.
        self.clock = self.known_since = 0
        self.uses: Uses | None = None
        self._used_at = array("I", bytes(4 * SLOTS))  # By slot: its keys of all databases.
        self._types = types
        self._databases = Databases(types)
        self._database = self._databases.enter(0)
        # The two keys that were looked up last and where they lie: a command asks for one several
        # times, by the same object.
        self._key = self._key_before = _NO_KEY
        self._slot = self._slot_before = 0
        self._bucket = self._bucket_before = self._database.bucket(b"")
        self._now_ms = 0
        self._is_read = True
        # Where somebody waits for data: whether anybody does for a key of a database; and what was
        # written of that since it was last looked at, in order. No part of the state either.
        self.awaited: Awaited | None = None
        self.touched: list[tuple[int, bytes]] = []
        self._cut: KeyspaceCut | None = None
        self._opened: Any = None  # Given out by `change`, and its size then; see `_settle`.
        self._opened_bytes = 0
        self._loader: Loader | None = None  # While a snapshot is loaded.
        self.trash = Trash()

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
            self._use(db)
        if now_ms > self.last_stamp_ms:
            if not is_read:
                self.last_stamp_ms = now_ms
            self._now_ms = now_ms
        else:
            self._now_ms = self.last_stamp_ms
        self._is_read = is_read
        if not is_read:  # Reads leave no trace: they are not the same on every replica.
            self._command += 1

    def proceed(self, db: int, now_ms: int) -> None:
        """As `enter`, for the next command of an entry, whose time is `now_ms`."""
        if db != self._database.number or self._is_read or now_ms != self._now_ms:
            self.enter(db, now_ms, is_read=False)
        else:
            self._command += 1

    def _use(self, db: int) -> None:
        self._settle()
        self._database = self._databases.enter(db)
        self._forget_place()

    def _forget_place(self) -> None:
        """The keys that were looked up last may lie elsewhere now."""
        self._key_before = self._key = _NO_KEY  # No other is this object.

    def _look_up(self, key: bytes) -> Bucket:
        """The bucket that `key` is in, or would be; remembered, and so is the one before."""
        if key is self._key_before:  # Commands on two keys go to and fro.
            self._key, self._key_before = key, self._key
            self._slot, self._slot_before = self._slot_before, self._slot
            self._bucket, self._bucket_before = self._bucket_before, self._bucket
            return self._bucket
        # As `slot_of`, without a call.
        tagged = key
        start = key.find(b"{") + 1
        if start:
            end = key.find(b"}", start)
            if end > start:
                tagged = key[start:end]
        number = crc_hqx(tagged, 0) & _SLOT_MASK
        slot = self._database.slots[number]
        if type(slot) is Directory:
            slot = slot.buckets[place_of(key) >> (HASH_BITS - slot.bits)]
        self._key_before, self._slot_before = self._key, self._slot
        self._bucket_before = self._bucket
        self._key = key
        self._slot = number
        self._bucket = slot  # type: ignore[assignment]  # mypy does not narrow by `type() is`.
        return slot  # type: ignore[return-value]  # The same.

    def within(self, db: int, now_ms: int, *, is_read: bool) -> None:
        """As `enter`, for what a script does: all of it is one command."""
        if db != self._database.number or is_read != self._is_read or now_ms != self._now_ms:
            command = self._command
            self.enter(db, now_ms, is_read=is_read)
            self._command = command

    @property
    def stamp(self) -> int:
        """The place of the running command in the log; rises from command to command."""
        return self.entry_index << COMMAND_BITS | self._command

    def _tell_write(self, key: bytes) -> None:
        """It is going to be written to, and some key is watched, or waited for."""
        db = self._database.number
        if self.watches.watched:
            self.watches.changed(db, key, self.stamp)
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
        return not self._is_due(self._look_up(key), key)

    def switch(self, db: int) -> None:
        """What follows of this command is on `db`: for those that name a second database."""
        if db != self._database.number:
            self._use(db)
        self._command += not self._is_read

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
        bucket = self._bucket if key is self._key else self._look_up(key)
        value = bucket.values.get(key)
        if value is None or (bucket.next_due_ms <= self._now_ms and self._is_due(bucket, key)):
            self._misses(key)
            return None
        if self._is_read:
            self.hits += 1
        self._used_at[self._slot] = self.clock
        if self.uses is not None:
            self.uses.used(self._database.number, key)
        return value

    def examine(self, key: bytes) -> Any:
        """As `peek`, and it is not taken for a use."""
        bucket = self._bucket if key is self._key else self._look_up(key)
        value = bucket.values.get(key)
        if value is None or (bucket.next_due_ms <= self._now_ms and self._is_due(bucket, key)):
            self._misses(key)
            return None
        self.hits += self._is_read
        return value

    def _misses(self, key: bytes) -> None:
        self.misses += self._is_read
        if self.on_miss is not None:
            self.on_miss(self._database.number, key)

    def idle_s(self, key: bytes) -> int:
        """For how long a key that exists was not used, as far as this replica knows. Unless the
        policy asks for more, that is when any key of its slot was: it was idle at least so long.

        Entries must not depend on it: 0 for a command of one.
        """
        if not self._is_read:
            return 0
        if self.uses is not None and not self.uses.is_frequency:
            return self.uses.idle(self._database.number, key) // TICKS_PER_S
        used_at = self._used_at[slot_of(key)]
        return (self.clock - max(used_at, self.known_since)) // TICKS_PER_S

    def frequency(self, key: bytes) -> int:
        """How often it was used, as `uses.py` counts it; 0 for a command of an entry, as above."""
        if not self._is_read or self.uses is None:
            return 0
        return self.uses.frequency(self._database.number, key)

    @contextmanager
    def unnoticed(self) -> Iterator[None]:
        """What is read meanwhile does not count as a use."""
        uses, used_at = self.uses, self._used_at
        self.uses = None if uses is None else uses.unnoticed()
        self._used_at = used_at[:]
        try:
            yield
        finally:
            self.uses, self._used_at = uses, used_at

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
        # As `peek`, without a call: most commands begin with this.
        bucket = self._bucket if key is self._key else self._look_up(key)
        value = bucket.values.get(key)
        if value is None or (bucket.next_due_ms <= self._now_ms and self._is_due(bucket, key)):
            self._misses(key)
            return None
        if self._is_read:
            self.hits += 1
        self._used_at[self._slot] = self.clock
        if self.uses is not None:
            self.uses.used(self._database.number, key)
        if type(value) is kind:
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
        if database is None:
            return None
        bucket = database.bucket(key)
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
        bucket = self._bucket if key is self._key else self._look_up(key)
        if not bucket.expiries or self._is_due(bucket, key):
            return None
        return bucket.expiries.get(key)

    def raw_expiry_of(self, key: bytes) -> int | None:
        """When `key` expires or did, due or not: for the expiry command alone."""
        return self._look_up(key).expiries.get(key)

    def size_of(self, key: bytes) -> int | None:
        """The bytes that `key` is counted with, as `memory_bytes` does; None if it is absent."""
        value = self.examine(key)
        if value is None:
            return None
        expiry_bytes = 0 if self.expiry_of(key) is None else EXPIRY_BYTES
        return KEY_BYTES + len(key) + size_of(value) + expiry_bytes

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
        return [database.number for database in self._databases if database.count]

    def page(self, cursor: int, count: int) -> tuple[int, list[bytes]]:
        """The next cursor, 0 at the end, and keys from `cursor` on, by (slot, hash)."""
        next_cursor, found = self._database.page(cursor, count)
        return next_cursor, [
            key
            for bucket, key in found
            if bucket.next_due_ms > self._now_ms or not self._is_due(bucket, key)
        ]

    def all_keys(self) -> Iterator[list[bytes]]:
        """The keys of the database, some at a time: for a read as they lie, else by (slot, hash),
        which is the same on every replica."""
        for bucket in buckets_of(self._database.slots):
            names = list(bucket.values) if self._is_read else keys_in_order(bucket)
            if bucket.next_due_ms <= self._now_ms:
                names = [key for key in names if not self._is_due(bucket, key)]
            yield names

    def nth_key(self, number: int) -> bytes | None:
        """The key at `number` (less than `count`) by (slot, hash), or None if it is due."""
        bucket, key = self._database.nth(number)
        return None if self._is_due(bucket, key) else key

    def keys_in_slot(self, slot: int) -> Iterator[bytes]:
        """The keys of `slot` in the database entered, those due and not yet removed included."""
        return self._database.keys_in(slot)

    def count_in_slot(self, slot: int) -> int:
        """How many `keys_in_slot` gives."""
        return sum([1 for _ in self._database.keys_in(slot)])

    # --- Writing. Handlers check everything before the first of these.

    def put(self, key: bytes, value: Any, expire_at_ms: int | Keep | None = None) -> None:
        """Set the value of `key`, new or not, and its expiry."""
        # What follows is `_begin_write` without a call: SET is what all are compared with.
        bucket = self._bucket if key is self._key else self._look_up(key)
        assert not self._is_read, "a command that is flagged as a read writes"
        if self.watches.watched or self.awaited is not None or self._opened is not None:
            self._begin_write(bucket, key)
        elif bucket.digest is not None or self._cut is not None:
            self._before_write(bucket)
        database, values = self._database, bucket.values
        old = values.get(key)
        values[key] = value
        if type(value) is bytes:
            size = len(value)
        else:
            size = value.size_bytes()
            self._look_inside(bucket, key, value)
        self._used_at[self._slot] = self.clock
        if old is None:
            database.count += 1
            database.memory_bytes += KEY_BYTES + len(key) + size
            if self.uses is not None:
                self.uses.added(database.number, key, database.count)
        else:
            if self.uses is not None:
                self.uses.used(database.number, key)
            if type(old) is bytes:
                database.memory_bytes += size - len(old)
            else:
                self._replaced(bucket, key, old, size, value)
            if bucket.expiries:
                is_due = self._is_due(bucket, key)
                if is_due:
                    self._expires(key)
                if is_due or expire_at_ms is None:
                    database.drop_expiry(bucket, key)
        if expire_at_ms is not None and expire_at_ms is not KEEP:
            database.set_expiry(bucket, key, expire_at_ms)
        if old is None and len(values) > BUCKET_KEYS_MAX:
            database.split(key, bucket)
            self._forget_place()

    def _replaced(self, bucket: Bucket, key: bytes, old: Any, size: int, value: Any) -> None:
        """The object `old` was at `key`, where `value` of that size is now."""
        self._database.memory_bytes += size - old.size_bytes()
        if old is not value:
            self.trash.add(old)
        if type(value) is bytes and bucket.inside is not None:
            bucket.inside.pop(key, None)

    def change(self, key: bytes, kind: type[T]) -> T | None:
        """The value of `key` to be changed in place before the next call; else as `find`."""
        bucket = self._bucket if key is self._key else self._look_up(key)
        value = bucket.values.get(key)
        if value is None or (bucket.next_due_ms <= self._now_ms and self._is_due(bucket, key)):
            return None
        if type(value) is not kind:
            raise wrong_type()
        self._used_at[self._slot] = self.clock
        if self.uses is not None:
            self.uses.used(self._database.number, key)
        # What follows is `change_found` without a call: most that write to a collection come here.
        assert not self._is_read, "a command that is flagged as a read writes"
        if self.watches.watched or self.awaited is not None:
            self._tell_write(key)
        if bucket.digest is not None or self._cut is not None:
            self._before_write(bucket)
        if bucket.held is not None and bucket.held.values.get(key) is value:
            value = bucket.values[key] = self._types[kind].copy(value)
        opened = self._opened
        if value is not opened:
            if opened is not None:
                self._database.memory_bytes += opened.size_bytes() - self._opened_bytes
            self._opened = value
            self._opened_bytes = value.size_bytes()  # type: ignore[union-attr]  # As below.
        return value

    def change_found(self, key: bytes, value: T) -> T:
        """As `change`, for the value that was just found at `key`, by any of the ways to read."""
        if key is self._key:
            bucket = self._bucket
        else:  # Of two keys it is often the other one.
            bucket = self._bucket_before if key is self._key_before else self._look_up(key)
        assert bucket.values[key] is value, "it was changed or removed meanwhile"
        assert not self._is_read, "a command that is flagged as a read writes"
        # As `_begin_write`, without a call: most commands that write to a collection come by here.
        if self.watches.watched or self.awaited is not None:
            self._tell_write(key)
        if bucket.digest is not None or self._cut is not None:
            self._before_write(bucket)
        if bucket.held is not None and bucket.held.values.get(key) is value:
            # The running snapshot still has to write it out as it was (correctness L7).
            value = bucket.values[key] = self._types[type(value)].copy(value)
        opened = self._opened
        if value is not opened:
            if opened is not None:
                self._database.memory_bytes += opened.size_bytes() - self._opened_bytes
            self._opened = value
            self._opened_bytes = value.size_bytes()  # type: ignore[attr-defined]  # All but bytes have it.
        return value

    def change_or_add(self, key: bytes, kind: type[T]) -> T:
        """As `change`, with an empty new value where there was none."""
        value = self.change(key, kind)
        if value is None:
            value = kind()
            self.put(key, value)
            self._opened = value
            self._opened_bytes = value.size_bytes()  # type: ignore[attr-defined]  # As above.
        return value

    def delete(self, key: bytes) -> bool:
        """Remove `key`; whether it was there (a due one was not, and is removed nevertheless)."""
        bucket = self._bucket if key is self._key else self._look_up(key)
        if key not in bucket.values:
            return False
        is_due = bucket.next_due_ms <= self._now_ms and self._is_due(bucket, key)
        value = self._remove(bucket, key)
        if type(value) is not bytes:
            self.trash.add(value)
        if is_due:
            self._expires(key)
        return not is_due

    def _remove(self, bucket: Bucket, key: bytes) -> Any:
        """Take `key` out of its bucket; its value."""
        self._begin_write(bucket, key)
        value = bucket.values.pop(key)
        database = self._database
        if bucket.expiries:
            database.drop_expiry(bucket, key)
        if bucket.inside is not None:
            bucket.inside.pop(key, None)
        database.count -= 1
        database.memory_bytes -= KEY_BYTES + len(key) + size_of(value)
        return value

    def _expires(self, key: bytes) -> None:
        """It was due, and goes."""
        self.expired += 1
        if self.on_expired is not None:
            self.on_expired(self._database.number, key)

    def replace(self, old: Keyspace) -> None:
        """This one takes the place of another, which is to be freed a piece at a time."""
        self.trash.take_over(old.trash, [database.slots for database in old._databases])

    def take(self, key: bytes) -> tuple[Any, int | None]:
        """Remove a key that exists; what it held and when it expires, to be put elsewhere."""
        bucket = self._bucket if key is self._key else self._look_up(key)
        expire_at_ms = bucket.expiries.get(key)
        value = self._remove(bucket, key)
        if bucket.held is not None and bucket.held.values.get(key) is value:
            # The running snapshot writes it out under its old name: under the new one it may be
            # changed in place (correctness L7).
            value = self._types[type(value)].copy(value)
        return value, expire_at_ms

    def copy_of(self, key: bytes) -> tuple[Any, int | None]:
        """What a key that exists holds, as a value of its own, and when it expires."""
        value = self.peek(key)
        return self._types[type(value)].copy(value), self.expiry_of(key)

    def expire(self, key: bytes, at_ms: int) -> None:
        """Set the expiry of a key that exists."""
        self._database.set_expiry(self._bucket_to_write(key), key, at_ms)

    def persist(self, key: bytes) -> None:
        """Take the expiry from a key that exists."""
        self._database.drop_expiry(self._bucket_to_write(key), key)

    def expires_inside(self, key: bytes) -> None:
        """What is inside of `key`, whose value was given out to be changed by this command, may
        come due at another time than before."""
        bucket = self._bucket if key is self._key else self._look_up(key)
        value = bucket.values[key]
        assert value is self._opened, "it was not given out to be changed"
        self._look_inside(bucket, key, value)

    def flush(self, db: int | None = None) -> None:
        """Remove every key of a database, or of all that clients can select."""
        assert not self._is_read, "a command that is flagged as a read writes"
        self._settle()
        for number in [one.number for one in self._databases] if db is None else [db]:
            if number < DATABASES:
                if self.watches.watched:
                    self._flushes(number)
                if self.awaited is not None:
                    self.touched += [(number, key) for key in self.awaited.keys_of(number)]
                removed = self._databases.remove(number)
                if removed is not None:
                    self.trash.add_database(removed.slots)
        self._database = self._databases.enter(self._database.number)
        self._forget_place()

    def _flushes(self, db: int) -> None:
        """What is watched there is changed, if it is there at all."""
        database = self._databases.get(db)
        if database is not None:
            for key in self.watches.of(db):
                if key in database.bucket(key).values:
                    self.watches.changed(db, key, self.stamp)

    def _bucket_to_write(self, key: bytes) -> Bucket:
        """That of a key that exists."""
        bucket = self._bucket if key is self._key else self._look_up(key)
        assert key in bucket.values
        self._begin_write(bucket, key)
        return bucket

    def _begin_write(self, bucket: Bucket, key: bytes) -> None:
        """Before anything at `key`, which is in `bucket` or will be, is changed."""
        assert not self._is_read, "a command that is flagged as a read writes"
        if self.watches.watched or self.awaited is not None:
            self._tell_write(key)
        if self._opened is not None:
            self._settle()
        if bucket.digest is not None or self._cut is not None:
            self._before_write(bucket)

    def _before_write(self, bucket: Bucket) -> None:
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
        if next_due_ms is None and bucket.inside is None:
            return
        at_ms = NEVER if next_due_ms is None else next_due_ms(value)
        if at_ms != NEVER or bucket.inside is not None:
            bucket.look_inside(key, at_ms)
        if at_ms < bucket.next_due_ms:
            self._database.schedule(bucket, at_ms)

    # --- Counting.

    def _settle(self) -> None:
        """Count what has been changed in place since `change` gave it out."""
        if self._opened is not None:
            self._database.memory_bytes += self._opened.size_bytes() - self._opened_bytes
            self._opened = None

    @property
    def memory_bytes(self) -> int:
        """Counted, not measured: the same on every replica."""
        self._settle()
        return self._databases.memory_bytes

    def digest(self) -> int:
        """64 bits over all state; equal on replicas that applied the same entries.

        Costs what has changed since it was last asked for.
        """
        self._settle()
        total = header_digest(self.last_stamp_ms)
        for session in self.sessions.records():
            total += digest_of(session_record(session))
        for number, state in enumerate(self.watches.states()):
            total += digest_of(watch_record(number, state))
        return (total + self._databases.digest_sum()) & DIGEST_MASK

    def digest_some(self, buckets: int) -> bool:
        """Do a part of what `digest` will have to do; False when nothing is left."""
        self._settle()
        return self._databases.digest_some(buckets)

    # --- What is to go, by the leader's entries: see `databases.py`.

    def due(self, now_ms: int, limit: int) -> list[tuple[int, bytes]]:
        return self._databases.due(now_ms, limit)

    def next_due_ms(self) -> int | None:
        return self._databases.next_due_ms()

    def evictable(self, db: int, *, is_volatile: bool) -> int:
        return self._databases.evictable(db, is_volatile=is_volatile)

    def candidates(
        self, db: int, policy: str, count: int, random: Callable[[], float]
    ) -> list[tuple[float, bytes, int]]:
        return self._databases.candidates(db, policy, count, random, self.uses)

    # --- Snapshots.

    def begin_snapshot(self) -> KeyspaceCut:
        """Everything as it is now, to be written out in slices; one at a time."""
        assert self._cut is None, "a snapshot is running already"
        self._settle()
        self._cut = KeyspaceCut(
            self._databases,
            self.sessions.begin_cut(),
            starmap(watch_record, enumerate(self.watches.states())),
            self.last_stamp_ms,
            self._types,
            self._end_cut,
        )
        self.trash.is_kept = True
        return self._cut

    def _end_cut(self) -> None:
        self._cut = None
        self.trash.release()
        self.sessions.end_cut()

    def load(self, chunk: bytes) -> None:
        """Add what a slice of a snapshot holds; for a keyspace that is not in use yet."""
        if self._loader is None:
            self._loader = Loader(self, self._types)
        self._loader.feed(chunk)

    def extend(self, key: bytes, part: Any) -> None:
        """More of a large value, of a snapshot that is loaded."""
        bucket = self._bucket_to_write(key)
        value = bucket.values[key]
        kind = self._types[type(value)]
        assert kind.extend is not None, f"a {kind.name} comes in one part"
        self._database.memory_bytes -= value.size_bytes()
        kind.extend(value, part)
        self._database.memory_bytes += value.size_bytes()
        self._look_inside(bucket, key, value)

    def finish_load(self) -> None:
        """The last chunk is loaded."""
        self._is_read = True
        self._loader = None


def wrong_type() -> CommandError:
    return CommandError("Operation against a key holding the wrong kind of value", "WRONGTYPE")
