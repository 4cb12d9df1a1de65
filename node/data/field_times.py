"""When the fields of a hash expire: field -> Unix milliseconds, for those that do.

A few are one packed byte string, many a table. Fields that are due are found by the earliest time
in each chunk, noted there until the chunk is written to: never by looking at all fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final  # Any: what msgpack packs.

import msgpack

from .buckets import NEVER
from .table import MISSING, Chunk, Table

PACKED_MAX: Final = 32  # One more, and they are in a table from then on.
PACKED_FIELD_MAX: Final = 64
OBJECT_BYTES: Final = 40
TIME_BYTES: Final = 32  # Of a number.

_pack = msgpack.Packer(use_bin_type=True).pack
_EMPTY: Final[bytes] = _pack({})


class FieldTimes:
    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: bytes | Table[int] = _EMPTY

    @classmethod
    def of_one(cls, field: bytes, at_ms: int) -> FieldTimes:
        """Of a field that is the first to expire."""
        times = cls()
        if len(field) <= PACKED_FIELD_MAX:
            times._times = _pack({field: at_ms})
        else:
            times.set(field, at_ms)
        return times

    def __len__(self) -> int:
        return len(self._all())

    @property
    def size_bytes(self) -> int:
        times = self._times
        if isinstance(times, bytes):
            return OBJECT_BYTES + (len(times) + 48 & -16)  # As `bytes_object_size`.
        return OBJECT_BYTES + times.size_bytes + len(times) * TIME_BYTES

    @property
    def are_few(self) -> bool:
        """Whether it costs little to look at all of them."""
        return isinstance(self._times, bytes)

    def get(self, field: bytes) -> int | None:
        """When `field` expires; None if it does not."""
        return self._all().get(field)

    def set(self, field: bytes, at_ms: int) -> int | None:
        """Let `field` expire then; when it would have before."""
        times = self._times
        if isinstance(times, Table):
            before = times.swap(field, at_ms)
            return None if before is MISSING else before
        few = _unpack(times)
        before_ms = few.get(field)
        few[field] = at_ms
        if len(few) <= PACKED_MAX and len(field) <= PACKED_FIELD_MAX:
            self._times = _pack(few)
        else:
            self._times = Table()
            for one, one_ms in few.items():
                self._times.put(one, one_ms)
        return before_ms

    def clear(self, fields: Iterable[bytes]) -> int:
        """Take their times from fields; the earliest of those, NEVER if none had one."""
        times = self._times
        if isinstance(times, Table):
            cleared = [at for field in fields if (at := times.pop(field)) is not MISSING]
        else:
            few = _unpack(times)
            cleared = [at for field in fields if (at := few.pop(field, MISSING)) is not MISSING]
            if cleared:
                self._times = _pack(few)
        return min(cleared, default=NEVER)

    def earliest(self) -> int:
        """The first of all times; NEVER if there is none."""
        if isinstance(self._times, Table):
            return min([_earliest_in(chunk) for chunk in self._times.chunks()])
        return min(_unpack(self._times).values(), default=NEVER)

    def due(self, now_ms: int) -> Iterator[tuple[bytes, int]]:
        """The fields whose time has come, and the time, in an order that all replicas share."""
        times = self._times
        chunks = (
            [chunk.values for chunk in times.chunks() if _earliest_in(chunk) <= now_ms]
            if isinstance(times, Table)
            else [_unpack(times)]
        )
        for chunk in chunks:
            for field, at_ms in chunk.items():
                if at_ms <= now_ms:
                    yield field, at_ms

    def _all(self) -> dict[bytes, int] | Table[int]:
        return _unpack(self._times) if isinstance(self._times, bytes) else self._times

    # --- Copies and snapshots.

    def take_apart(self) -> Iterator[list[Any]]:
        """What nobody needs any more, to be emptied a piece at a time; it cannot be used again."""
        if isinstance(self._times, Table):
            yield from self._times.take_apart()

    def copy(self) -> FieldTimes:
        other = FieldTimes()
        other._times = self._times.copy() if isinstance(self._times, Table) else self._times
        return other

    def pack(self) -> bytes | None:
        """A few of them; of many nothing, they come in parts."""
        return self._times if isinstance(self._times, bytes) else None

    @classmethod
    def unpack(cls, packed: bytes | None) -> FieldTimes:
        times = cls()
        times._times = Table() if packed is None else packed
        return times

    def parts(self) -> Iterator[list[Any]]:
        if isinstance(self._times, Table):
            yield from self._times.parts()

    def extend(self, part: list[Any]) -> None:
        assert isinstance(self._times, Table), "a few come in one part"
        self._times.extend(part)


def _unpack(packed: bytes) -> dict[bytes, int]:
    return msgpack.unpackb(packed)  # type: ignore[no-any-return]  # msgpack has no types


def _earliest_in(chunk: Chunk[int]) -> int:
    if chunk.note is None:
        chunk.note = min(chunk.values.values(), default=NEVER)
    return chunk.note
