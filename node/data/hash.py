"""A hash: fields with their values, and when they expire if they do.

Few and short fields are one packed byte string, in the order in which they came; more are a table,
for good. Nothing here asks a clock: a field that is due is there until somebody removes it, and it
is the commands that do not see it (correctness A2). Read `commands/hashes.py` next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final  # Any: what msgpack packs.

import msgpack

from ...cluster.settings import DEFAULTS, Settings
from .buckets import NEVER
from .field_times import FieldTimes
from .packed import array_header, pack_row, unpack_array
from .table import MISSING, Table, bytes_object_size

PACKED_MAX: Final = 128  # One field more, or
PACKED_BYTES_MAX: Final = 64  # a field or value longer than this, makes it a table; and so does
ROW_BYTES_MAX: Final = 4096  # a new field, if all have grown longer than this.
HASH_BYTES: Final = 80
SCHEDULE_BYTES: Final = 96  # Of the note that a key's bucket keeps of what is due in it.

# What Redis would call its form. From one only to a later one, never back.
LISTPACK: Final = "listpack"
LISTPACK_EX: Final = "listpackex"  # A listpack in which fields may expire.
HASHTABLE: Final = "hashtable"

# Few fields are one byte string: how many, and each with its value behind it; in front of either
# stand a header and its length, which is no header. By its own header a field is found without
# taking anything apart. To msgpack they are binary and text, so that its C code takes all apart at
# once. A snapshot has them as one of msgpack's arrays, first the fields, then the values.
_FIELD: Final = 0xC4
_FIELDS: Final = [bytes([_FIELD, length]) for length in range(PACKED_BYTES_MAX + 1)]
_VALUES: Final = [bytes([0xD9, length]) for length in range(PACKED_BYTES_MAX + 1)]
_COUNTS: Final = [bytes([count]) for count in range(PACKED_MAX + 1)]
_EMPTY: Final = _COUNTS[0]


class Hash:
    __slots__ = ("_packed", "_table", "_times", "_value_bytes", "encoding", "next_due_ms")

    def __init__(self) -> None:
        self._packed = _EMPTY
        self._table: Table[bytes] | None = None  # Holds them once it is there.
        self._value_bytes = 0  # Of the values in the table.
        self._times: FieldTimes | None = None  # None while no field expires.
        self.next_due_ms = NEVER  # No field is due earlier; none need be that early.
        self.encoding = LISTPACK

    def __len__(self) -> int:
        """Fields, those due and not yet removed included."""
        return self._packed[0] if self._table is None else len(self._table)

    def size_bytes(self) -> int:
        table = self._table
        if table is None:
            # As `bytes_object_size`, without the call: this is asked twice for every change.
            size = HASH_BYTES + (len(self._packed) + 48 & -16)
        else:
            size = HASH_BYTES + table.size_bytes + self._value_bytes
        if self._times is not None:
            size += self._times.size_bytes + SCHEDULE_BYTES
        return size

    # --- Reading. What is due is there.

    @property
    def fields(self) -> dict[bytes, bytes] | Table[bytes]:
        """All fields with their values, for reading, in an order that all replicas share."""
        return dict(self.items()) if self._table is None else self._table

    def items(self) -> Iterable[tuple[bytes, bytes]]:
        """All fields with their values, in the order of `fields`."""
        if self._table is not None:
            return self._table.items()
        flat = _flat_of(self._packed)
        return zip(flat[::2], flat[1::2], strict=True)

    @property
    def is_packed(self) -> bool:
        return self._table is None

    def __contains__(self, field: bytes) -> bool:
        return _find(self._packed, field) > 0 if self._table is None else field in self._table

    def get(self, field: bytes) -> bytes | None:
        if self._table is not None:
            return self._table.get(field)
        packed = self._packed
        at = _find(packed, field)
        if not at:
            return None
        at += len(field) + 4
        return packed[at : at + packed[at - 1]]

    def look(self, field: bytes) -> tuple[bytes | None, int]:
        """As `get`, and where `put_one` finds the field until something is changed."""
        if self._table is not None:
            return self._table.get(field), 0
        packed = self._packed
        place = _find(packed, field)
        if not place:
            return None, 0
        at = place + len(field) + 4
        return packed[at : at + packed[at - 1]], place

    def expiry_of(self, field: bytes) -> int | None:
        """When `field` expires; None if it does not."""
        return None if self._times is None else self._times.get(field)

    @property
    def expiring(self) -> int:
        """How many fields expire."""
        return 0 if self._times is None else len(self._times)

    def due(self, now_ms: int) -> Iterator[tuple[bytes, int]]:
        """The fields that are due, each with when it became so."""
        return iter(()) if self._times is None else self._times.due(now_ms)

    # --- Writing. An expiry stays unless it is cleared.

    def put(self, pairs: Sequence[bytes], settings: Settings = DEFAULTS) -> int:
        """Set fields to values, given in turn; how many of them are new."""
        if len(pairs) == 2:
            return self.put_one(pairs[0], pairs[1], settings)
        longest = max(map(len, pairs))
        added = self._put_several(pairs, longest)
        if self.encoding is not HASHTABLE and (
            longest > settings.hash_max_listpack_value
            or (added and len(self) > settings.hash_max_listpack_entries)
        ):
            self.encoding = HASHTABLE
        return added

    def put_one(
        self, field: bytes, value: bytes, settings: Settings, place: int | None = None
    ) -> int:
        """As `put`, of one field; with its place, if `look` has found that."""
        packed, size, length = self._packed, len(value), len(field)
        if self._table is not None:
            added = self._put_in_table(self._table, (field, value))
        else:
            at = _find(packed, field) if place is None else place
            if at and size <= PACKED_BYTES_MAX:
                at += length + 2
                rest = packed[at + 2 + packed[at + 1] :]
                self._packed = b"".join((packed[:at], _VALUES[size], value, rest))
                added = 0
            elif (
                not at
                and packed[0] < PACKED_MAX
                and length <= PACKED_BYTES_MAX
                and size <= PACKED_BYTES_MAX
                and len(packed) + length + size + 4 <= ROW_BYTES_MAX
            ):
                one = (_FIELDS[length], field, _VALUES[size], value)
                self._packed = b"".join((_COUNTS[packed[0] + 1], packed[1:], *one))
                added = 1
            else:
                added = self._put_in_table(self._spread(_flat_of(packed)), (field, value))
        longest = settings.hash_max_listpack_value
        if self.encoding is not HASHTABLE and (
            size > longest
            or length > longest
            or (added and len(self) > settings.hash_max_listpack_entries)
        ):
            self.encoding = HASHTABLE
        return added

    def _put_several(self, pairs: Sequence[bytes], longest: int) -> int:
        if self._table is not None:
            return self._put_in_table(self._table, pairs)
        few = dict(self.items())
        before = len(few)
        few.update(zip(pairs[::2], pairs[1::2], strict=True))
        packed = b""
        if len(few) <= PACKED_MAX and longest <= PACKED_BYTES_MAX:
            packed = _pack(few)
        if packed and (len(packed) <= ROW_BYTES_MAX or len(few) == before):
            self._packed = packed
        else:
            self._spread([word for pair in few.items() for word in pair])
        return len(few) - before

    @classmethod
    def of(cls, fields: Sequence[bytes], values: Sequence[bytes], settings: Settings) -> Hash:
        """A new one, as `put` makes it of an empty one. The fields are different: if not, it has
        fewer than there are, and is good for nothing."""
        value = cls()
        longest = max(max(map(len, fields), default=0), max(map(len, values), default=0))
        if len(fields) <= PACKED_MAX and longest <= PACKED_BYTES_MAX:
            if fields:
                pairs = zip(fields, values, strict=True)
                value.put([word for pair in pairs for word in pair], settings)
            return value
        value._table = Table.filled(fields, values)
        value._value_bytes = sum([len(one) + 48 & -16 for one in values])  # bytes_object_size.
        if (
            longest > settings.hash_max_listpack_value
            or len(fields) > settings.hash_max_listpack_entries
        ):
            value.encoding = HASHTABLE
        return value

    def _spread(self, pairs: Sequence[bytes]) -> Table[bytes]:
        """Take them into a table from now on."""
        self._packed = _EMPTY
        self._table = table = Table[bytes]()
        self._put_in_table(table, pairs)
        return table

    def _put_in_table(self, table: Table[bytes], pairs: Sequence[bytes]) -> int:
        added = 0
        for place in range(0, len(pairs), 2):
            value = pairs[place + 1]
            old = table.swap(pairs[place], value)
            if old is MISSING:
                added += 1
            else:
                self._value_bytes -= bytes_object_size(len(old))
            self._value_bytes += bytes_object_size(len(value))
        return added

    def remove(self, fields: Sequence[bytes]) -> int:
        """Remove fields and their expiries; how many were there."""
        removed = self._remove_packed(fields) if self._table is None else self._remove(fields)
        if self._times is not None:
            self.persist(removed)
        return len(removed)

    def remove_one(self, field: bytes) -> None:
        """Remove a field that is there."""
        at = _find(self._packed, field) if self._table is None and self._times is None else 0
        if at:
            self._packed = _without(self._packed, field, at)
        else:
            self.remove((field,))

    def _remove_packed(self, fields: Iterable[bytes]) -> list[bytes]:
        removed = []
        for field in fields:
            packed = self._packed
            at = _find(packed, field)
            if at:
                self._packed = _without(packed, field, at)
                removed.append(field)
        return removed

    def _remove(self, fields: Iterable[bytes]) -> list[bytes]:
        table = self._table
        assert table is not None
        removed = []
        for field in fields:
            value = table.pop(field)
            if value is not MISSING:
                self._value_bytes -= bytes_object_size(len(value))
                removed.append(field)
        return removed

    def expire(self, field: bytes, at_ms: int) -> None:
        """Set when a field that is there expires."""
        times = self._times
        if times is None:
            self._times = FieldTimes.of_one(field, at_ms)
            self.next_due_ms = at_ms
        elif times.set(field, at_ms) == self.next_due_ms and times.are_few:
            self.look_for_due()
        elif at_ms < self.next_due_ms:
            self.next_due_ms = at_ms
        if self.encoding is LISTPACK:
            self.encoding = LISTPACK_EX

    def persist(self, fields: Iterable[bytes]) -> bool:
        """Take their expiries from fields; whether any had one."""
        if self._times is None:
            return False
        first_ms = self._times.clear(fields)
        if not self._times:
            self._times = None
            self.next_due_ms = NEVER
        elif first_ms <= self.next_due_ms and self._times.are_few:
            self.look_for_due()
        return first_ms != NEVER

    def remove_due(self, now_ms: int, limit: int) -> int:
        """Remove at most `limit` fields that are due; how many were removed."""
        if self._times is None:
            return 0
        removed = self.remove([field for field, _ in islice(self.due(now_ms), limit)])
        self.look_for_due()
        return removed

    def look_for_due(self) -> int:
        """When the first field is due, NEVER if none ever is; costs as much as there are chunks."""
        self.next_due_ms = NEVER if self._times is None else self._times.earliest()
        return self.next_due_ms

    # --- Copies and snapshots.

    def copy(self) -> Hash:
        """The same hash; from here on neither writes to what the other has."""
        other = Hash()
        other._packed = self._packed
        other._table = None if self._table is None else self._table.copy()
        other._value_bytes = self._value_bytes
        other._times = None if self._times is None else self._times.copy()
        other.next_due_ms = self.next_due_ms
        other.encoding = self.encoding
        return other

    def take_apart(self) -> Iterator[list[Any]]:
        """What nobody needs any more, to be emptied a piece at a time; it cannot be used again."""
        for table in (self._table, self._times):
            if table is not None:
                yield from table.take_apart()

    def pack(self) -> Any:
        """What it is, with its content if that is small; None stands for what comes in parts."""
        times = False if self._times is None else self._times.pack()
        content = _pack_array(self._packed) if self._table is None else None
        return _CODES.index(self.encoding), content, times

    @classmethod
    def unpack(cls, packed: Any) -> Hash:
        value = cls()
        encoding, content, times = packed
        value.encoding = _CODES[encoding]
        if content is None:
            value._table = Table()
        else:
            row = unpack_array(content)
            count = len(row) >> 1
            value._packed = _pack(dict(zip(row[:count], row[count:], strict=True)))
        value._times = None if times is False else FieldTimes.unpack(times)
        value.look_for_due()
        return value

    def parts(self) -> Iterator[Any]:
        if self._table is not None:
            for part in self._table.parts():
                yield [False, *part]
        if self._times is not None:
            for part in self._times.parts():
                yield [True, *part]

    def extend(self, part: Any) -> None:
        is_of_times, *rest = part
        if is_of_times:
            assert self._times is not None
            self._times.extend(rest)
            self.next_due_ms = min(self.next_due_ms, *rest[3::2])
        else:
            assert self._table is not None, "what is packed comes in one part"
            self._table.extend(rest)
            self._value_bytes += sum([bytes_object_size(len(value)) for value in rest[3::2]])


_CODES: Final = (LISTPACK, LISTPACK_EX, HASHTABLE)  # By their numbers in snapshots.


# --- What few fields are packed into.


def _pack(pairs: dict[bytes, bytes]) -> bytes:
    parts = [_COUNTS[len(pairs)]]
    for field, value in pairs.items():
        parts += (_FIELDS[len(field)], field, _VALUES[len(value)], value)
    return b"".join(parts)


def _pack_array(packed: bytes) -> bytes:
    """All fields, then all values."""
    flat = _flat_of(packed)
    return array_header(len(flat)) + pack_row(flat[::2] + flat[1::2])


_unpack: Any = msgpack.unpackb


def _flat_of(packed: bytes) -> list[bytes]:
    """Fields and values in turn."""
    # Raw: text comes as its bytes, too.
    flat: list[bytes] = _unpack(array_header(2 * packed[0]) + packed[1:], raw=True)
    return flat


def _find(packed: bytes, field: bytes) -> int:
    """Where a field begins with its header; 0 if it is not there."""
    size = len(field)
    if size > PACKED_BYTES_MAX:
        return 0
    at = packed.find(_FIELDS[size] + field)
    if at <= 1:
        return at if at == 1 else 0
    if packed.count(_FIELD) == packed[0]:  # Nothing else has such a byte (a count has not).
        return at
    # What was found may be a piece of another field or of a value.
    flat = _flat_of(packed)
    fields = flat[::2]
    if field not in fields:
        return 0
    before = flat[: 2 * fields.index(field)]
    return 1 + 2 * len(before) + sum(map(len, before))


def _without(packed: bytes, field: bytes, at: int) -> bytes:
    """Without a field, which begins at `at`, and without its value."""
    end = at + len(field) + 4
    return b"".join((_COUNTS[packed[0] - 1], packed[1:at], packed[end + packed[end - 1] :]))
