"""A snapshot on its way into a keyspace that is not in use yet. `cut.py` writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgpack

from ..errors import Corrupt
from .cut import FORMAT_VERSION, HEADER, KEY, PART, WATCH

if TYPE_CHECKING:
    from .keyspace import Keyspace
    from .values import ValueTypes


class Loader:
    """Takes what the snapshot's slices hold, one behind the other, cut anywhere."""

    def __init__(self, keys: Keyspace, types: ValueTypes) -> None:
        self._keys = keys
        self._types_by_code = {kind.code: kind for kind in types.values()}
        self._unpacker = msgpack.Unpacker(strict_map_key=False, max_buffer_size=0)

    def feed(self, chunk: bytes) -> None:
        """The last record may go on in the next slice."""
        keys = self._keys
        self._unpacker.feed(chunk)
        for kind, *state in self._unpacker:
            if kind == HEADER:
                version, keys.last_stamp_ms = state
                if not 1 <= version <= FORMAT_VERSION:
                    raise Corrupt(
                        f"snapshot records of format version {version}, this is {FORMAT_VERSION}: "
                        "they were written by another version of trimaran"
                    )
            elif kind == KEY:
                db, key, code, packed, expire_at_ms = state
                # Nothing is due while loading: what the snapshot holds is kept as it is.
                keys.enter(db, keys.last_stamp_ms, is_read=False)
                keys.put(key, self._types_by_code[code].unpack(packed), expire_at_ms)
            elif kind == WATCH:
                keys.watches.load(tuple(state[1:]))
            elif kind == PART:
                db, key, _number, packed = state
                keys.enter(db, keys.last_stamp_ms, is_read=False)
                keys.extend(key, packed)
            else:
                keys.sessions.load(state)
