"""A snapshot of a keyspace, cut at one moment and written out in slices while the keyspace changes.

Before the first write to a bucket since the cut, the bucket's dicts are copied (at most
BUCKET_KEYS_MAX references); buckets nobody writes to are taken when the walk comes to them. The
records are also what the digest is made of: a sum over all of them, so their order does not matter.
Rules: correctness L5, L7.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any  # Values of every type.

import mmh3
import msgpack

from .buckets import Bucket, Database, buckets_of

if TYPE_CHECKING:
    from .sessions import Session, SessionsCut
    from .values import ValueTypes

FORMAT_VERSION = 1
HEADER, KEY, SESSION = range(3)  # Kinds of records.
DIGEST_MASK = (1 << 64) - 1

pack_record: Callable[[Any], bytes] = msgpack.Packer(use_bin_type=True).pack


def digest_of(record: bytes) -> int:
    """64 bits of a record, the same on every machine."""
    return mmh3.hash64(record, 0, True, False)[0]  # noqa: FBT003 - x64, unsigned: taken by place.


def key_record(
    db: int, key: bytes, value: Any, expire_at_ms: int | None, types: ValueTypes
) -> bytes:
    kind = types[type(value)]
    return pack_record((KEY, db, key, kind.code, kind.pack(value), expire_at_ms))


def header_record(last_stamp_ms: int) -> bytes:
    return pack_record((HEADER, FORMAT_VERSION, last_stamp_ms))


def session_record(session: Session) -> bytes:
    return pack_record((SESSION, *session.state()))


def bucket_digest(db: int, bucket: Bucket, types: ValueTypes) -> int:
    expiry_of = bucket.expiries.get
    return sum(
        digest_of(key_record(db, key, value, expiry_of(key), types))
        for key, value in bucket.values.items()
    )


class Held:
    """A bucket as it was at the cut. Emptied when it is written out."""

    __slots__ = ("cut", "db", "expiries", "values")

    def __init__(self, cut: KeyspaceCut, db: int, bucket: Bucket | None) -> None:
        self.cut = cut
        self.db = db
        self.values = bucket.values.copy() if bucket is not None else {}
        self.expiries = bucket.expiries.copy() if bucket is not None else {}


class KeyspaceCut:
    """Call `slice` until it returns None; `digest` is then that of the keyspace at the cut."""

    def __init__(
        self,
        databases: Iterable[Database],
        sessions: SessionsCut,
        last_stamp_ms: int,
        types: ValueTypes,
        close: Callable[[], None],
    ) -> None:
        self.nothing = Held(self, 0, None)  # Held of a bucket that came after the cut.
        self._close = close
        self._types = types
        self._sessions = sessions
        self._digest = 0
        self._is_complete = False
        self._held: deque[Held] = deque()
        # A flush puts a new Database in place of one; the old one is then only ours.
        self._walk = self._walk_all([(database.number, database.slots) for database in databases])
        self._records = chain(
            [header_record(last_stamp_ms)], self._session_records(), self._key_records()
        )

    def hold(self, db: int, bucket: Bucket) -> Held:
        """Keep `bucket` as it is now; called before the first write to it since the cut."""
        held = bucket.held = Held(self, db, bucket)
        self._held.append(held)
        return held

    def slice(self, items_max: int, bytes_max: int) -> bytes | None:
        """The next records, up to a number or a size (one may be larger); None at the end."""
        records: list[bytes] = []
        size = 0
        for record in self._records:
            self._digest += digest_of(record)
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

    def _key_records(self) -> Iterator[bytes]:
        while (held := self._next_held()) is not None:
            expiry_of = held.expiries.get
            for key, value in held.values.items():
                yield key_record(held.db, key, value, expiry_of(key), self._types)
            held.values, held.expiries = {}, {}

    def _next_held(self) -> Held | None:
        # Copies first: they take memory.
        return self._held.popleft() if self._held else next(self._walk, None)

    def _walk_all(self, databases: list[tuple[int, Any]]) -> Iterator[Held]:
        for db, slots in databases:
            for _, bucket in buckets_of(slots):
                held = bucket.held
                if bucket.values and (held is None or held.cut is not self):
                    bucket.held = Held(self, db, bucket)
                    yield bucket.held
