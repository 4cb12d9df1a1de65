"""A hash: fields with their values, and when they expire if they do.

Few and short fields are one packed byte string, in the order in which they came; more are a table,
for good. Nothing here asks a clock: a field that is due is there until somebody removes it, and it
is the commands that do not see it (correctness A2). Read `commands/hashes.py` next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final  # Any: what msgpack packs.

import msgpack

from ...cluster.settings import DEFAULTS, Settings
from .buckets import NEVER
from .field_times import FieldTimes
from .table import MISSING, Table, bytes_object_size

PACKED_MAX: Final = 32  # One field more, or
PACKED_BYTES_MAX: Final = 64  # a field or value longer than this, makes it a table.
HASH_BYTES: Final = 80
SCHEDULE_BYTES: Final = 96  # Of the note that a key's bucket keeps of what is due in it.

# What Redis would call its form. From one only to a later one, never back.
LISTPACK: Final = "listpack"
LISTPACK_EX: Final = "listpackex"  # A listpack in which fields may expire.
HASHTABLE: Final = "hashtable"

# Few fields are a row: the fields, then as many values.
_pack: Callable[[list[bytes]], bytes] = msgpack.Packer(use_bin_type=True).pack
_unpack: Callable[[bytes], list[bytes]] = msgpack.unpackb
_EMPTY: Final[bytes] = _pack([])


class Hash:
    __slots__ = ("_packed", "_table", "_times", "_value_bytes", "encoding", "next_due_ms")

    def __init__(self) -> None:
        self._packed = _EMPTY  # All fields, then all values.
        self._table: Table[bytes] | None = None  # Holds them once it is there.
        self._value_bytes = 0  # Of the values in the table.
        self._times: FieldTimes | None = None  # None while no field expires.
        self.next_due_ms = NEVER  # No field is due earlier; none need be that early.
        self.encoding = LISTPACK

    def __len__(self) -> int:
        """Fields, those due and not yet removed included."""
        return _count_of(self._packed) >> 1 if self._table is None else len(self._table)

    @property
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
        return _as_dict(_unpack(self._packed)) if self._table is None else self._table

    def items(self) -> Iterable[tuple[bytes, bytes]]:
        """All fields with their values, in the order of `fields`."""
        if self._table is not None:
            return self._table.items()
        row = _unpack(self._packed)
        count = len(row) >> 1
        return zip(row[:count], row[count:], strict=True)

    @property
    def is_packed(self) -> bool:
        return self._table is None

    def get(self, field: bytes) -> bytes | None:
        if self._table is not None:
            return self._table.get(field)
        row = _unpack(self._packed)
        count = len(row) >> 1
        try:
            return row[row.index(field, 0, count) + count]
        except ValueError:
            return None

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
        longest = max(map(len, pairs))
        if self._table is not None:
            added = self._put_in_table(self._table, pairs)
        else:
            row = _unpack(self._packed)
            if len(pairs) == 2 and pairs[0] not in self._packed:
                # Its bytes are nowhere in there: the field is new, without a look at each.
                row.insert(len(row) >> 1, pairs[0])
                row.append(pairs[1])
                added = 1
            else:
                added = _put_in_row(row, pairs)
            if len(row) <= 2 * PACKED_MAX and longest <= PACKED_BYTES_MAX:
                self._packed = _pack(row)
            else:
                self._spread(row)
        if self.encoding is not HASHTABLE and (
            longest > settings.hash_max_listpack_value
            or (added and len(self) > settings.hash_max_listpack_entries)
        ):
            self.encoding = HASHTABLE
        return added

    def _spread(self, row: list[bytes]) -> None:
        """Take them into a table from now on."""
        self._packed = _EMPTY
        self._table = table = Table[bytes]()
        self._put_in_table(table, [word for pair in _as_dict(row).items() for word in pair])

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

    def remove(self, fields: Iterable[bytes]) -> int:
        """Remove fields and their expiries; how many were there."""
        removed = self._remove_packed(fields) if self._table is None else self._remove(fields)
        self.persist(removed)
        return len(removed)

    def _remove_packed(self, fields: Iterable[bytes]) -> list[bytes]:
        row = _unpack(self._packed)
        removed = []
        for field in fields:
            count = len(row) >> 1
            if field in row[:count]:
                place = row.index(field)
                del row[place + count], row[place]
                removed.append(field)
        if removed:
            self._packed = _pack(row)
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
        if self._times is None:
            self._times = FieldTimes()
        before_ms = self._times.set(field, at_ms)
        if before_ms == self.next_due_ms and self._times.are_few:
            self.look_for_due()
        else:
            self.next_due_ms = min(self.next_due_ms, at_ms)
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
        return _CODES.index(self.encoding), None if self._table is not None else self._packed, times

    @classmethod
    def unpack(cls, packed: Any) -> Hash:
        value = cls()
        encoding, content, times = packed
        value.encoding = _CODES[encoding]
        if content is None:
            value._table = Table()
        else:
            value._packed = content
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


def _count_of(packed: bytes) -> int:
    """How many elements a packed row has: in its first byte, or in the two behind it."""
    return packed[0] & 15 if packed[0] != 0xDC else packed[1] << 8 | packed[2]


def _put_in_row(row: list[bytes], pairs: Sequence[bytes]) -> int:
    """Set fields of a row; how many are new."""
    if len(pairs) > 2:
        few = _as_dict(row)
        before = len(few)
        few.update(zip(pairs[::2], pairs[1::2], strict=True))
        row[:] = [*few, *few.values()]
        return len(few) - before
    field, value = pairs
    count = len(row) >> 1
    try:
        row[row.index(field, 0, count) + count] = value
    except ValueError:
        row.insert(count, field)
        row.append(value)
        return 1
    return 0


def _as_dict(row: list[bytes]) -> dict[bytes, bytes]:
    count = len(row) >> 1
    return dict(zip(row[:count], row[count:], strict=True))
