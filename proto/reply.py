"""What a command answers, before it becomes RESP 2 or 3, and its packed form.

Handlers return plain values (int, bytes, None, list, float, bool) or one of the small classes
here where RESP tells more kinds apart. The packed form (msgpack) is what sessions keep in
snapshots and what one node passes on to another; `resp.py` writes the RESP forms.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Any, TypeAlias  # Any: replies nest.

import msgpack


@dataclass(frozen=True, slots=True)
class Status:
    """A simple string: `+OK`."""

    text: str


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """`-CODE text`; what a CommandError becomes once it is an answer."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class MapReply:
    """A map in RESP3, a flat array of keys and values in RESP2."""

    pairs: tuple[tuple[Any, Any], ...]


@dataclass(frozen=True, slots=True)
class PairsMapReply:
    """A map in RESP3, an array of pairs in RESP2: what XREAD answers."""

    pairs: tuple[tuple[Any, Any], ...]


@dataclass(frozen=True, slots=True)
class PairsReply:
    """An array of pairs in RESP3, flat in RESP2: members WITHSCORES, fields WITHVALUES."""

    pairs: tuple[tuple[Any, Any], ...]


@dataclass(frozen=True, slots=True)
class SetReply:
    """A set in RESP3, an array in RESP2."""

    members: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class VerbatimReply:
    """A verbatim string in RESP3 (`format` is three letters), a bulk string in RESP2."""

    format: str
    text: bytes


@dataclass(frozen=True, slots=True)
class Pushes:
    """Several frames that answer one command: pushes in RESP3, arrays in RESP2. SUBSCRIBE and its
    kin answer so, a frame per channel; part of no other reply but EXEC's, never packed."""

    frames: tuple[list[Any], ...]


@dataclass(frozen=True, slots=True)
class DecimalReply:
    """A double written without an exponent, in up to 17 decimals: what GEOPOS answers."""

    value: float


class NullArray:
    """`*-1` in RESP2, null in RESP3: what a timed-out BLPOP answers. Use NULL_ARRAY."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "NULL_ARRAY"  # Without an address: traces of simulated runs are compared.


NULL_ARRAY = NullArray()
OK = Status("OK")

Reply: TypeAlias = (
    "bool | int | float | bytes | Status | ErrorReply | MapReply | PairsMapReply | PairsReply"
    " | SetReply | VerbatimReply | Pushes | DecimalReply | NullArray | list[Any]"
    " | tuple[Any, ...] | None"
)

PART_BYTES = 64 << 10
_BIN_32 = Struct(">BI")  # msgpack's header of a byte string.

_STATUS, _ERROR, _MAP, _SET, _VERBATIM, _NULL_ARRAY, _PAIRS_MAP, _PAIRS, _DECIMAL = range(1, 10)


def _extension(value: object) -> msgpack.ExtType:
    match value:
        case Status(text):
            return msgpack.ExtType(_STATUS, text.encode("utf-8", "surrogateescape"))
        case ErrorReply(code, text):
            packed = f"{code}\0{text}".encode("utf-8", "surrogateescape")
            return msgpack.ExtType(_ERROR, packed)
        case MapReply(pairs):
            return msgpack.ExtType(_MAP, pack_reply(pairs))
        case PairsMapReply(pairs):
            return msgpack.ExtType(_PAIRS_MAP, pack_reply(pairs))
        case PairsReply(pairs):
            return msgpack.ExtType(_PAIRS, pack_reply(pairs))
        case DecimalReply(number):
            return msgpack.ExtType(_DECIMAL, pack_reply(number))
        case SetReply(members):
            return msgpack.ExtType(_SET, pack_reply(members))
        case VerbatimReply(form, text):
            return msgpack.ExtType(_VERBATIM, form.encode() + b":" + text)
        case NullArray():
            return msgpack.ExtType(_NULL_ARRAY, b"")
        case _:
            raise TypeError(f"{type(value).__name__} is not a reply")


def _from_extension(code: int, data: bytes) -> Reply:
    match code:
        case 1:
            return Status(data.decode("utf-8", "surrogateescape"))
        case 2:
            error, _, text = data.decode("utf-8", "surrogateescape").partition("\0")
            return ErrorReply(error, text)
        case 3:
            return MapReply(tuple((key, value) for key, value in unpack_reply(data)))
        case 4:
            return SetReply(tuple(unpack_reply(data)))
        case 5:
            form, _, text_bytes = data.partition(b":")
            return VerbatimReply(form.decode(), text_bytes)
        case 6:
            return NULL_ARRAY
        case 7:
            return PairsMapReply(tuple((key, value) for key, value in unpack_reply(data)))
        case 8:
            return PairsReply(tuple((one, other) for one, other in unpack_reply(data)))
        case 9:
            return DecimalReply(unpack_reply(data))
        case _:
            raise ValueError(f"unknown reply kind {code}")


def pack_reply(reply: Any) -> bytes:
    """`reply` (or a list of replies) as msgpack; raises TypeError for what is not a reply."""
    return msgpack.packb(reply, default=_extension, use_bin_type=True)  # type: ignore[no-any-return]  # msgpack has no types


def pack_in_parts(value: Any) -> list[bytes]:
    """What `pack_reply` makes of it, in parts: long byte strings are parts of their own, so that
    they are not copied, and all that stands between them is one part."""
    parts: list[bytes] = []
    packer = msgpack.Packer(default=_extension, use_bin_type=True, autoreset=False)
    _put_in_parts(value, packer, parts)
    parts.append(packer.bytes())
    return parts


def _put_in_parts(value: Any, packer: msgpack.Packer, parts: list[bytes]) -> None:
    if not _holds_long(value):
        packer.pack(value)
    elif isinstance(value, bytes):
        parts += (packer.bytes() + _BIN_32.pack(0xC6, len(value)), value)
        packer.reset()
    else:
        packer.pack_array_header(len(value))
        for one in value:
            _put_in_parts(one, packer, parts)


def _holds_long(value: object) -> bool:
    """Whether it is a long byte string, or a list with one in it."""
    kind = type(value)
    if kind is bytes:
        return len(value) > PART_BYTES  # type: ignore[arg-type]  # `type() is` does not narrow.
    return (kind is list or kind is tuple) and any(map(_holds_long, value))  # type: ignore[call-overload]  # The same.


def size_of_reply(reply: object) -> int:
    """About how many bytes it takes, without packing it."""
    match reply:
        case bytes():
            return len(reply) + 8
        case Status() | int() | None:
            return 32
        case list() | tuple():
            sizes = [len(one) + 8 if type(one) is bytes else size_of_reply(one) for one in reply]
            return sum(sizes) + 8
        case MapReply(pairs) | PairsMapReply(pairs) | PairsReply(pairs):
            return size_of_reply(pairs)
        case SetReply(members):
            return size_of_reply(members)
        case VerbatimReply(text=text):
            return len(text) + 8
        case _:
            return 32


def unpack_reply(data: bytes) -> Any:
    """The reply (or list of replies) that `pack_reply` packed."""
    return msgpack.unpackb(data, ext_hook=_from_extension, raw=False, strict_map_key=False)
