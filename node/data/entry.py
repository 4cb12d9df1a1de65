"""What an entry of kind COMMANDS holds, as bytes: stamp, seed, settings, and commands.

A header of fixed layout, the cluster-wide settings that differ from their defaults (mostly
nothing), then msgpack: commands with their sessions. The log keeps entries for long and peers pass
them on, so the layout changes only together with VERSION; tests/unit/data/golden holds one of each.
Version 1 had no settings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Protocol

import msgpack

from ...proto.reply import pack_in_parts
from ..errors import Corrupt

VERSION = 2

# db, user, session, sequence, floor, args. Session 0 is none; then sequence and floor are 0 too.
CommandRecord = tuple[int, str, int, int, int, Sequence[bytes]]

# What is read as it is needed: much, and not one large value, which is better read in place.
GRADUAL_MIN, GRADUAL_MAX = 64 << 10, 4 << 20

_HEADER = Struct(">BQqQ")  # Version, cluster id, stamp in ms, seed.
_SIZE = Struct(">H")  # Of the settings; version 2.


class CommandRecords(Protocol):
    """Walked once."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[CommandRecord]: ...


@dataclass(frozen=True, slots=True)
class EntryData:
    """All of one entry; the same on every replica."""

    stamp_ms: int
    seed: int
    settings: bytes  # Of its leader when it was proposed; `cluster.settings` reads them.
    commands: CommandRecords


def pack_entry(
    cluster_id: int,
    stamp_ms: int,
    seed: int,
    commands: Sequence[CommandRecord],
    settings: bytes = b"",
    *,
    is_large: bool = False,
) -> bytes:
    # Parts are copied once, when they are joined; packed as one, a large value is copied thrice.
    body = pack_in_parts(commands) if is_large else [msgpack.packb(commands, use_bin_type=True)]
    head = _HEADER.pack(VERSION, cluster_id, stamp_ms, seed) + _SIZE.pack(len(settings))
    return b"".join((head, settings, *body))


def unpack_entry(data: bytes, cluster_id: int) -> EntryData:
    """Raises Corrupt for another version's or another cluster's."""
    stamp_ms, seed, settings, start = _unpack_front(data, cluster_id)
    try:
        commands = msgpack.unpackb(memoryview(data)[start:], use_list=False)
    except ValueError as error:
        raise Corrupt(f"the commands of an entry cannot be read: {error}") from error
    return EntryData(stamp_ms, seed, settings, commands)


def read_entry(data: bytes, cluster_id: int) -> EntryData:
    """As `unpack_entry`; the commands of a long one are read only as they are walked, so that
    nobody waits for all of them to be."""
    if not GRADUAL_MIN <= len(data) <= GRADUAL_MAX:
        return unpack_entry(data, cluster_id)
    stamp_ms, seed, settings, start = _unpack_front(data, cluster_id)
    return EntryData(stamp_ms, seed, settings, _Gradual(memoryview(data)[start:]))


class _Gradual:
    """Commands that are unpacked one by one."""

    __slots__ = ("_count", "_unpacker")

    def __init__(self, packed: memoryview) -> None:
        self._unpacker = msgpack.Unpacker(use_list=False, max_buffer_size=len(packed))
        self._unpacker.feed(packed)
        self._count: int = self._unpacker.read_array_header()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[CommandRecord]:
        return iter(self._unpacker)


def _unpack_front(data: bytes, cluster_id: int) -> tuple[int, int, bytes, int]:
    """Stamp, seed, settings, and where the commands begin."""
    version, found_id, stamp_ms, seed = _unpack_header(data)
    if found_id != cluster_id:
        raise Corrupt(f"entry of cluster {found_id:016x} in the log of cluster {cluster_id:016x}")
    start = _HEADER.size
    settings = b""
    if version > 1:
        if len(data) < start + _SIZE.size:
            raise Corrupt("an entry is cut off before its settings")
        start += _SIZE.size
        end = start + _SIZE.unpack_from(data, start - _SIZE.size)[0]
        settings = data[start:end]
        start = end
    return stamp_ms, seed, settings, start


def stamp_of(data: bytes) -> int:
    """The stamp alone, in ms."""
    return _unpack_header(data)[2]


def _unpack_header(data: bytes) -> tuple[int, int, int, int]:
    if len(data) < _HEADER.size:
        raise Corrupt(f"an entry of {len(data)} bytes has no header")
    version, cluster_id, stamp_ms, seed = _HEADER.unpack_from(data)
    if not 1 <= version <= VERSION:
        raise Corrupt(
            f"entry of format version {version}, this is {VERSION}: "
            "it was written by another version of trimaran"
        )
    return version, cluster_id, stamp_ms, seed
