"""Values as they came over gRPC into what redis-py gives its callers, in the shapes of RESP2 or 3.

The wire tells RESP3's kinds apart and where RESP2 has another shape, so both can be made of it.
Nothing is raised: an error reply is an exception as a value, also inside of arrays, as redis-py has
it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final  # Any: replies nest.

from ..proto.execute import Malformed
from ..proto.requests import fields, read_varint
from ..proto.resp import format_decimal, format_double

_DOUBLE: Final = struct.Struct("<d")
_STATUS: Final = {b"OK": "OK", b"QUEUED": "QUEUED", b"PONG": "PONG"}

ErrorMaker = Callable[[str, str], Exception]  # Of code and text.


class ReplyReader:
    """Reads Values. `protocol` is 2 or 3: whose shapes they get. With an encoding, texts are
    decoded; with None they stay bytes."""

    def __init__(
        self, protocol: int, error: ErrorMaker, encoding: str | None = None, errors: str = "strict"
    ) -> None:
        self._is_resp2 = protocol == 2
        self._error = error
        self._encoding = encoding
        self._errors = errors

    def read(self, data: bytes) -> Any:
        """The reply that a Value means; raises Malformed for a kind this version does not know."""
        if not data:
            raise Malformed("a reply without a value")
        tag = data[0]
        if tag == 0x12:  # Bulk, which is most of them.
            start = 2 if data[1] < 0x80 else read_varint(data, 1)[1]
            text = data[start:]
            return text if self._encoding is None else text.decode(self._encoding, self._errors)
        if tag == 0x08:
            number = data[1]
            if number >= 0x80:
                number, _ = read_varint(data, 1)
            return number >> 1 ^ -(number & 1)
        if tag == 0x1A and data[1] < 0x80:
            return self._status(data[2:])
        tag, start, end = next(fields(data, 0, len(data)))
        return self._value(tag, data, start, end)

    def _value(self, tag: int, data: bytes, start: int, end: int) -> Any:
        match tag:
            case 0x12:
                return self._text(data[start:end])
            case 0x08:
                number, _ = read_varint(data, start)
                return number >> 1 ^ -(number & 1)
            case 0x2A | 0x62:
                return None
            case 0x32:
                return self._items(data, start, end)
            case 0x1A:
                return self._status(data[start:end])
            case 0x6A:
                flat = self._items(data, start, end)
                return flat if self._is_resp2 else _paired(flat)
            case 0x49:
                return self._double(_DOUBLE.unpack_from(data, start)[0], format_double)
            case 0x79:
                return self._double(_DOUBLE.unpack_from(data, start)[0], format_decimal)
            case 0x3A | 0x72:
                return self._map(tag, self._items(data, start, end))
            case 0x42:
                return self._set(self._items(data, start, end))
            case 0x50:
                is_true = data[start] == 1
                return int(is_true) if self._is_resp2 else is_true
            case 0x22:
                return self._error(*self._two(data, start, end, "replace"))
            case 0x5A:
                return self._text(_second(data, start, end))
            case _:
                raise Malformed(f"a reply of an unknown kind: field {tag >> 3}")

    def _text(self, text: bytes) -> bytes | str:
        return text if self._encoding is None else text.decode(self._encoding, self._errors)

    def _status(self, text: bytes) -> bytes | str:
        if self._encoding is None:
            return text
        return _STATUS.get(text) or text.decode(self._encoding, self._errors)

    def _items(self, data: bytes, start: int, end: int) -> list[Any]:
        found: list[Any] = []
        for _, first, last in fields(data, start, end):
            tag, inner, behind = next(fields(data, first, last))
            found.append(self._value(tag, data, inner, behind))
        return found

    def _map(self, tag: int, flat: list[Any]) -> Any:
        if not self._is_resp2:
            return dict(_paired(flat))
        return flat if tag == 0x3A else _paired(flat)

    def _set(self, members: list[Any]) -> Any:
        return members  # A list, as redis-py's own parser gives it: members may be arrays.

    def _double(self, number: float, format_: Callable[[float], str]) -> Any:
        return self._text(format_(number).encode()) if self._is_resp2 else number

    def _two(self, data: bytes, start: int, end: int, errors: str) -> tuple[str, str]:
        first = second = ""
        for tag, inner, behind in fields(data, start, end):
            if tag == 0x0A:
                first = data[inner:behind].decode("utf-8", errors)
            elif tag == 0x12:
                second = data[inner:behind].decode("utf-8", errors)
        return first, second


def _second(data: bytes, start: int, end: int) -> bytes:
    for tag, inner, behind in fields(data, start, end):
        if tag == 0x12:
            return data[inner:behind]
    return b""


def _paired(flat: list[Any]) -> list[list[Any]]:
    return [list(pair) for pair in zip(flat[::2], flat[1::2], strict=True)]
