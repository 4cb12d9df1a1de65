"""What an entry of kind COMMANDS holds, as bytes: stamp, seed, and commands with their sessions.

A header of fixed layout, then msgpack. The log keeps entries for long and peers pass them on, so
the layout changes only together with VERSION; tests/unit/data/golden holds one of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct

import msgpack

from ..errors import Corrupt

VERSION = 1

# db, user, session, sequence, floor, args. Session 0 is none; then sequence and floor are 0 too.
CommandRecord = tuple[int, str, int, int, int, Sequence[bytes]]

_HEADER = Struct(">BQqQ")  # Version, cluster id, stamp in ms, seed.


def pack_entry(
    cluster_id: int, stamp_ms: int, seed: int, commands: Sequence[CommandRecord]
) -> bytes:
    body: bytes = msgpack.packb(commands, use_bin_type=True)
    return _HEADER.pack(VERSION, cluster_id, stamp_ms, seed) + body


def unpack_entry(data: bytes, cluster_id: int) -> tuple[int, int, tuple[CommandRecord, ...]]:
    """(stamp_ms, seed, commands); raises Corrupt for another version's or another cluster's."""
    found_id, stamp_ms, seed = _unpack_header(data)
    if found_id != cluster_id:
        raise Corrupt(f"entry of cluster {found_id:016x} in the log of cluster {cluster_id:016x}")
    try:
        commands = msgpack.unpackb(memoryview(data)[_HEADER.size :], use_list=False)
    except ValueError as error:
        raise Corrupt(f"the commands of an entry cannot be read: {error}") from error
    return stamp_ms, seed, commands


def stamp_of(data: bytes) -> int:
    """The stamp alone, in ms."""
    return _unpack_header(data)[1]


def _unpack_header(data: bytes) -> tuple[int, int, int]:
    if len(data) < _HEADER.size:
        raise Corrupt(f"an entry of {len(data)} bytes has no header")
    version, cluster_id, stamp_ms, seed = _HEADER.unpack_from(data)
    if version != VERSION:
        raise Corrupt(
            f"entry of format version {version}, this is {VERSION}: "
            "it was written by another version of trimaran"
        )
    return cluster_id, stamp_ms, seed
