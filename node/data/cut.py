"""A snapshot of a keyspace, cut at one moment and written out in slices while the keyspace changes.

Before the first write to a bucket since the cut, the bucket's dicts are copied (at most
BUCKET_KEYS_MAX references); buckets nobody writes to are taken when the walk comes to them. The
records are also what the digest is made of: a sum over all of them, so their order does not matter.
A large string is never packed as a whole: its record leaves in pieces, over several slices (E3).
Rules: correctness L5, L7.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from struct import Struct
from typing import TYPE_CHECKING, Any  # Values of every type.

import mmh3
import msgpack

from .buckets import Bucket, Database, buckets_of

if TYPE_CHECKING:
    from .sessions import Session, SessionsCut
    from .values import ValueTypes

# Version 1 had no PART and no WATCH, 2 no numbers of clients; what they hold is read as ever.
FORMAT_VERSION = 3
HEADER, KEY, SESSION, PART, WATCH = range(5)  # Kinds of records.
LARGE_BYTES = 1 << 20  # A string this long is taken in pieces,
PIECE_BYTES = 256 << 10  # of this size.
DIGEST_MASK = (1 << 64) - 1

_BIN_32 = Struct(">BI")  # msgpack's header of a byte string,
_SIX = b"\x96"  # and of an array of six.

pack_record: Callable[[Any], bytes] = msgpack.Packer(use_bin_type=True).pack


def digest_of(record: bytes) -> int:
    """64 bits of a record, the same on every machine."""
    return mmh3.hash64(record, 0, True, False)[0]  # noqa: FBT003 - x64, unsigned: taken by place.


def key_record(
    db: int, key: bytes, value: Any, expire_at_ms: int | None, types: ValueTypes
) -> bytes:
    kind = types[type(value)]
    return pack_record((KEY, db, key, kind.code, kind.pack(value), expire_at_ms))


def large_record(
    db: int, key: bytes, value: Any, expire_at_ms: int | None, types: ValueTypes
) -> tuple[bytes, bytes, bytes] | None:
    """The bytes of `key_record` in three parts, the second the value itself; None if not large."""
    if type(value) is not bytes or len(value) < LARGE_BYTES:
        return None
    fields = (KEY, db, key, types[bytes].code)
    head = _SIX + b"".join(map(pack_record, fields)) + _BIN_32.pack(0xC6, len(value))
    return head, value, pack_record(expire_at_ms)


def digest_of_key(
    db: int, key: bytes, value: Any, expire_at_ms: int | None, types: ValueTypes
) -> int:
    """The digest of a key's record."""
    parts = large_record(db, key, value, expire_at_ms, types)
    if parts is None:
        digest = digest_of(key_record(db, key, value, expire_at_ms, types))
        return digest + sum(map(digest_of, part_records(db, key, value, types)))
    hasher = mmh3.mmh3_x64_128()
    for part in parts:
        hasher.update(part)
    return hasher.utupledigest()[0]


def part_records(db: int, key: bytes, value: Any, types: ValueTypes) -> Iterator[bytes]:
    """What `key_record` left out of a large value; `number` makes each part's digest its own."""
    parts = types[type(value)].parts
    if parts is not None:
        for number, part in enumerate(parts(value)):
            yield pack_record((PART, db, key, number, part))


def header_record(last_stamp_ms: int) -> bytes:
    return pack_record((HEADER, FORMAT_VERSION, last_stamp_ms))


def header_digest(last_stamp_ms: int) -> int:
    """The same in every version of the format: snapshots of older ones are checked, too."""
    return digest_of(pack_record((HEADER, 1, last_stamp_ms)))


def session_record(session: Session) -> bytes:
    return pack_record((SESSION, *session.state()))


def watch_record(number: int, state: tuple[int, bytes, int, int]) -> bytes:
    """`number` is the place in the order in which keys are forgotten."""
    return pack_record((WATCH, number, *state))


def bucket_digest(db: int, bucket: Bucket, types: ValueTypes) -> int:
    expiry_of = bucket.expiries.get
    return sum(
        digest_of_key(db, key, value, expiry_of(key), types) for key, value in bucket.values.items()
    )


class Held:
    """A bucket as it was at the cut. Emptied when it is written out."""

    __slots__ = ("cut", "db", "expiries", "values")

    def __init__(self, cut: KeyspaceCut, db: int, bucket: Bucket) -> None:
        self.cut = cut
        self.db = db
        self.values = bucket.values.copy()
        self.expiries = bucket.expiries.copy()


class KeyspaceCut:
    """Call `slice` until it returns None; `digest` is then that of the keyspace at the cut."""

    def __init__(
        self,
        databases: Iterable[Database],
        sessions: SessionsCut,
        watches: Iterable[bytes],  # Their records.
        last_stamp_ms: int,
        types: ValueTypes,
        close: Callable[[], None],
    ) -> None:
        self._close = close
        self._types = types
        self._sessions = sessions
        self._digest = header_digest(last_stamp_ms)
        self._is_complete = False
        self._held: deque[Held] = deque()
        # A flush puts a new Database in place of one; the old one is then only ours.
        self._walk = self._walk_all([(database.number, database.slots) for database in databases])
        self._records = chain(
            [header_record(last_stamp_ms)],
            self._counted(self._session_records()),
            self._key_records(),
            self._counted(watches),  # Behind the keys: to load those is no change of them.
        )

    def hold(self, db: int, bucket: Bucket) -> Held:
        """Keep `bucket` as it is now; called before the first write to it since the cut."""
        held = bucket.held = Held(self, db, bucket)
        self._held.append(held)
        return held

    def slice(self, items_max: int, bytes_max: int) -> bytes | None:
        """The next records, up to a number or a size, the last perhaps not whole; None at the end.
        What they are one behind the other is what `Keyspace.load` takes, cut anywhere."""
        records: list[bytes] = []
        size = 0
        for record in self._records:
            records.append(record)
            size += len(record)
            if len(records) >= items_max or size >= bytes_max:
                return b"".join(records)
        if not self._is_complete:
            self._is_complete = True
            self._close()
        return b"".join(records) if records else None

    def abort(self) -> None:
        """Keep nothing more for this snapshot."""
        self._held.clear()
        self._records = chain(())
        self._close()

    def digest(self) -> int:
        """What Keyspace.digest was at the cut."""
        assert self._is_complete, "the cut is not written out yet"
        return self._digest & DIGEST_MASK

    def _session_records(self) -> Iterator[bytes]:
        for session in self._sessions.take():
            yield session_record(session)

    def _counted(self, records: Iterable[bytes]) -> Iterator[bytes]:
        for record in records:
            self._digest += digest_of(record)
            yield record

    def _key_records(self) -> Iterator[bytes]:
        while (held := self._next_held()) is not None:
            expiry_of = held.expiries.get
            for key, value in held.values.items():
                if type(value) is bytes and len(value) >= LARGE_BYTES:
                    yield from self._in_pieces(held.db, key, value, expiry_of(key))
                    continue
                record = key_record(held.db, key, value, expiry_of(key), self._types)
                self._digest += digest_of(record)
                yield record
                yield from self._counted(part_records(held.db, key, value, self._types))
            held.values, held.expiries = {}, {}

    def _in_pieces(
        self, db: int, key: bytes, value: bytes, expire_at_ms: int | None
    ) -> Iterator[bytes]:
        parts = large_record(db, key, value, expire_at_ms, self._types)
        assert parts is not None, "asked before"
        hasher = mmh3.mmh3_x64_128()
        for part in parts:
            for start in range(0, len(part), PIECE_BYTES):
                piece = part[start : start + PIECE_BYTES]
                hasher.update(piece)
                yield piece
        self._digest += hasher.utupledigest()[0]

    def _next_held(self) -> Held | None:
        # Copies first: they take memory.
        return self._held.popleft() if self._held else next(self._walk, None)

    def _walk_all(self, databases: list[tuple[int, Any]]) -> Iterator[Held]:
        for db, slots in databases:
            for bucket in buckets_of(slots):
                held = bucket.held
                if bucket.values and (held is None or held.cut is not self):
                    bucket.held = Held(self, db, bucket)
                    yield bucket.held
