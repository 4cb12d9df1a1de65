"""The messages of `Commands.Execute`: replies into bytes, bytes of a request checked, pieces.

Replies are written by hand: a result is bytes as soon as it is known, so what waits is counted
exactly and large values are copied once; a test reads them with the generated code. Protobuf's
parser makes some forty bytes of every two it is given, so a large request is counted before it is
parsed. Sans-IO, for both ends. Read `commands.proto` first.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final  # Any: replies nest.

from .reply import (
    NULL_ARRAY,
    DecimalReply,
    ErrorReply,
    MapReply,
    NullArray,
    PairsMapReply,
    PairsReply,
    Reply,
    SetReply,
    Status,
    VerbatimReply,
)

if TYPE_CHECKING:
    from . import commands_pb2 as pb

MESSAGE_BYTES_MAX: Final = 1 << 20  # What is sent in one piece: gRPC's usual limit is 4 MiB.
COUNTED_BYTES: Final = 1 << 20  # A request above is counted before it is parsed.
_FIELDS_PER_COMMAND = 16  # Of a message, at most: a batch of one command may have all of them.

_STATUS_CHARS_KEPT = 32  # A script can make up others; OK, QUEUED and the like are kept encoded.
_DOUBLE = struct.Struct("<d")


class Malformed(ValueError):
    """The bytes are no ExecuteRequest."""


def varint(number: int) -> bytes:
    """A number, not negative, as protobuf writes lengths."""
    if number < 0x80:
        return _SMALL[number]
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


_SMALL: Final = [bytes((number,)) for number in range(0x80)]


def _field(tag: bytes, data: bytes) -> bytes:
    return b"%b%b%b" % (tag, varint(len(data)), data)


# --- Values. Field n with a length has the tag n << 3 | 2.

_BULK, _STATUS, _ERROR = b"\x12", b"\x1a", b"\x22"
_ARRAY, _MAP, _SET, _VERBATIM = b"\x32", b"\x3a", b"\x42", b"\x5a"
_PAIRS, _PAIRS_MAP = b"\x6a", b"\x72"
_FIRST, _SECOND, _THIRD = b"\x0a", b"\x12", b"\x1a"
_NULL, _NULL_ARRAY = b"\x2a\x00", b"\x62\x00"
_TRUE, _FALSE = b"\x50\x01", b"\x50\x00"


def encode_value(reply: Reply) -> bytes:
    """`reply` as a Value."""
    encode = _ENCODERS.get(type(reply))
    if encode is None:
        raise TypeError(f"{type(reply).__name__} is not a reply")
    return encode(reply)


def _integer(number: int) -> bytes:
    # Zigzag: 0, -1, 1, -2, ... are 0, 1, 2, 3, ...
    return b"\x08" + varint(number << 1 if number >= 0 else (-number << 1) - 1)


def _status(status: Status) -> bytes:
    return _field(_STATUS, _text(status.text))


def _error(error: ErrorReply) -> bytes:
    parts = _field(_FIRST, _text(error.code)) + _field(_SECOND, _text(error.text))
    return _field(_ERROR, parts)


def _pairs(tag: bytes, reply: MapReply | PairsMapReply | PairsReply) -> bytes:
    return _field(tag, _items([one for pair in reply.pairs for one in pair]))


def _verbatim(reply: VerbatimReply) -> bytes:
    parts = _field(_FIRST, _text(reply.format)) + _field(_SECOND, reply.text)
    return _field(_VERBATIM, parts)


_ENCODERS: dict[type, Callable[[Any], bytes]] = {
    bytes: partial(_field, _BULK),
    type(None): lambda _: _NULL,
    bool: lambda reply: _TRUE if reply else _FALSE,
    int: _integer,
    DecimalReply: lambda reply: b"\x79" + _DOUBLE.pack(reply.value),
    float: lambda reply: b"\x49" + _DOUBLE.pack(reply),
    Status: _status,
    ErrorReply: _error,
    list: lambda reply: _field(_ARRAY, _items(reply)),
    tuple: lambda reply: _field(_ARRAY, _items(reply)),
    MapReply: partial(_pairs, _MAP),
    PairsMapReply: partial(_pairs, _PAIRS_MAP),
    PairsReply: partial(_pairs, _PAIRS),
    SetReply: lambda reply: _field(_SET, _items(reply.members)),
    VerbatimReply: _verbatim,
    NullArray: lambda _: _NULL_ARRAY,
}


def _text(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _items(replies: Iterable[Reply]) -> bytes:
    return b"".join([_field(_FIRST, encode_value(one)) for one in replies])


def decode_value(value: pb.Value) -> Reply:
    """The reply that a Value means; raises ValueError for a kind this version does not know."""
    match value.WhichOneof("kind"):
        case "integer" | "bulk" | "double" | "boolean" as kind:
            plain: Reply = getattr(value, kind)
            return plain
        case "status":
            return Status(value.status)
        case "error":
            return ErrorReply(value.error.code, value.error.text)
        case "null":
            return None
        case "array":
            return _decode_items(value.array.items)
        case "map":
            return MapReply(_decode_pairs(value.map.items))
        case "pairs":
            return PairsReply(_decode_pairs(value.pairs.items))
        case "pairs_map":
            return PairsMapReply(_decode_pairs(value.pairs_map.items))
        case "decimal":
            return DecimalReply(value.decimal)
        case "set":
            return SetReply(tuple(_decode_items(value.set.items)))
        case "verbatim":
            return VerbatimReply(value.verbatim.format, value.verbatim.text)
        case "null_array":
            return NULL_ARRAY
        case kind:
            raise ValueError(f"a reply of an unknown kind: {kind}")


def _decode_pairs(items: Sequence[pb.Value]) -> tuple[tuple[Any, Any], ...]:
    flat = _decode_items(items)
    return tuple(zip(flat[::2], flat[1::2], strict=True))


def _decode_items(items: Iterable[pb.Value]) -> list[Any]:
    return [decode_value(one) for one in items]


# --- Results: a field of BatchReply each, so that they need only be put one behind the other.


def encode_result(reply: Reply) -> bytes:
    """A Result of a command that was carried out."""
    if type(reply) is Status and len(reply.text) <= _STATUS_CHARS_KEPT:
        return _status_result(reply.text)
    if type(reply) is bytes:  # It may be large: copied once.
        bulk = _BULK + varint(len(reply))
        value = _FIRST + varint(len(bulk) + len(reply)) + bulk
        return b"%b%b%b%b" % (_SECOND, varint(len(value) + len(reply)), value, reply)
    return _result(encode_value(reply))


@lru_cache(maxsize=256)
def _status_result(text: str) -> bytes:
    return _result(_field(_STATUS, _text(text)))


def _result(value: bytes) -> bytes:
    length = varint(len(value))
    # Tag and length of the result, then of the reply in it.
    return b"%b%b%b%b%b" % (_SECOND, varint(len(value) + len(length) + 1), _FIRST, length, value)


def encode_outcome(result: pb.Result) -> bytes:
    """A Result of any kind."""
    return _field(_SECOND, result.SerializeToString())


def encode_batch(batch: int, results: Sequence[bytes], opened: Sequence[tuple[int, int]]) -> bytes:
    """A BatchReply, as a field of ExecuteReply."""
    parts = [b"\x08", varint(batch), *results]
    for shard, session in opened:
        parts.append(_field(_THIRD, b"\x08%b\x10%b" % (varint(shard), varint(session))))
    parts[:0] = (_FIRST, varint(sum(map(len, parts))))
    return b"".join(parts)


def messages(replies: Iterable[bytes]) -> Iterator[bytes]:
    """The ExecuteReplys that carry these fields of one, as few and as small as fit."""
    waiting: list[bytes] = []
    size = 0
    for one in replies:
        if waiting and size + len(one) > MESSAGE_BYTES_MAX:
            yield b"".join(waiting)
            waiting.clear()
            size = 0
        waiting.append(one)
        size += len(one)
        if size > MESSAGE_BYTES_MAX:
            waiting.clear()
            size = 0
            yield from cut(one)
    if waiting:
        yield b"".join(waiting)


def cut(message: bytes) -> Iterator[bytes]:
    """The messages, requests or replies, that carry `message`: itself, or its pieces."""
    if len(message) <= MESSAGE_BYTES_MAX:
        yield message
        return
    view = memoryview(message)
    for start in range(0, len(message), MESSAGE_BYTES_MAX):
        piece = view[start : start + MESSAGE_BYTES_MAX]
        head = _FIRST + varint(len(piece))
        is_last = b"\x10\x01" if start + MESSAGE_BYTES_MAX >= len(message) else b""
        length = varint(len(head) + len(piece) + len(is_last))
        yield b"".join((_SECOND, length, head, piece, is_last))


# --- What a request holds, before it is parsed.


def count(data: bytes, *, commands_max: int, elements_max: int) -> str:
    """Which of the limits a request goes over, as a text; empty if none. Raises Malformed.

    Batches, and what a batch holds beside its commands, are bounded as its commands are.
    """
    batches = commands = others = elements = cancels = 0
    steps = _Steps(elements_max + _FIELDS_PER_COMMAND * commands_max)
    for tag, start, end in _fields(data, 0, len(data), steps):
        if tag == 0x1A:
            cancels += end - start  # A byte each, at least.
            if cancels > commands_max:
                return f"a message may hold {commands_max} bytes of cancelled batches"
        if tag != 0x0A:
            continue
        batches += 1
        for inner, first, last in _fields(data, start, end, steps):
            if inner != 0x32:
                others += 1
                continue
            commands += 1
            if commands > commands_max:
                return f"a message may hold {commands_max} commands"
            if last - first < 256:
                continue  # Its few arguments are bounded by the number of commands.
            for _ in _fields(data, first, last, steps):
                elements += 1
                if elements > elements_max:
                    return f"a message may hold {elements_max} arguments"
        if batches > commands_max or others > commands_max:
            return f"a message may hold {commands_max} batches, sessions and watched keys"
    return ""


class _Steps:
    """How many fields may still be looked at: of the smallest a message could hold millions."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left


def _fields(data: bytes, start: int, end: int, steps: _Steps) -> Iterator[tuple[int, int, int]]:
    """Tag, start and end of each field that has a length."""
    at = start
    while at < end:
        steps.left -= 1
        if steps.left < 0:
            raise Malformed("more fields than any request has")
        tag, at = _read_varint(data, at)
        kind = tag & 7
        if kind == 2:
            length, at = _read_varint(data, at)
            if at + length > end:
                raise Malformed("a field goes over the end")
            yield tag, at, at + length
            at += length
        elif kind == 0:
            _, at = _read_varint(data, at)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise Malformed("a field of a kind there is not")
    if at != end:
        raise Malformed("a field goes over the end")


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    try:
        while (byte := data[at]) >= 0x80:
            number |= (byte & 0x7F) << shift
            shift += 7
            at += 1
            if shift > 63:
                raise Malformed("a number without an end")
    except IndexError:
        raise Malformed("a number without an end") from None
    return number | byte << shift, at + 1
