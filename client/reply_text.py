"""Replies as redis-cli prints them: for people, or raw for pipes.

`PlainReader` keeps apart what redis-py's callers need not tell apart (a status from a string, a set
from an array); the functions below make text of that. Bytes all along: values need not be UTF-8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any  # Replies nest.

from .replies import ReplyReader


@dataclass(frozen=True, slots=True)
class Status:
    text: bytes


@dataclass(frozen=True, slots=True)
class Text:
    """For people, printed as it is: what INFO and CLIENT LIST answer."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Double:
    text: bytes


@dataclass(frozen=True, slots=True)
class Members:
    """Of a set."""

    items: list[Any]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Of a map."""

    items: list[tuple[Any, Any]]


class ErrorReply(Exception):
    """As it came, its code in front."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code} {text}")


class PlainReader(ReplyReader):
    """Reads Values; `protocol` 2 or 3 as redis-cli's -2 and -3."""

    def __init__(self, protocol: int) -> None:
        super().__init__(protocol, ErrorReply)

    def _value(self, tag: int, data: bytes, start: int, end: int) -> Any:
        value = super()._value(tag, data, start, end)
        return Text(value) if tag == 0x5A else value

    def _status(self, text: bytes) -> Any:
        return Status(text)

    def _map(self, tag: int, flat: list[Any]) -> Any:
        if self._is_resp2:
            return super()._map(tag, flat)
        return Pairs(list(zip(flat[::2], flat[1::2], strict=True)))

    def _set(self, members: list[Any]) -> Any:
        return members if self._is_resp2 else Members(members)

    def _double(self, number: float, format_: Callable[[float], str]) -> Any:
        text = format_(number).encode()
        return text if self._is_resp2 else Double(text)


# --- For people.

_ESCAPES = {
    ord("\\"): b"\\\\",
    ord('"'): b'\\"',
    ord("\n"): b"\\n",
    ord("\r"): b"\\r",
    ord("\t"): b"\\t",
    ord("\a"): b"\\a",
    ord("\b"): b"\\b",
}
_SHOWN = [
    _ESCAPES.get(one, b"%c" % one if 0x20 <= one < 0x7F else b"\\x%02x" % one) for one in range(256)
]


def quoted(text: bytes) -> bytes:
    """In quotes, and in printable ASCII."""
    return b'"%b"' % b"".join([_SHOWN[one] for one in text])


def shown(reply: Any, indent: bytes = b"") -> bytes:
    """As it stands on a terminal, with a line end; lines behind the first are indented."""
    match reply:
        case None:
            return b"(nil)\n"
        case bool():
            return b"(true)\n" if reply else b"(false)\n"
        case int():
            return b"(integer) %d\n" % reply
        case bytes():
            return quoted(reply) + b"\n"
        case Status(text):
            return text + b"\n"
        case Text(text):
            return _ended(text)
        case Double(text):
            return b"(double) " + text + b"\n"
        case Exception():
            return b"(error) " + _encoded(reply) + b"\n"
        case list():
            return _numbered(reply, indent, b") ") or b"(empty array)\n"
        case Members(items):
            return _numbered(items, indent, b"~ ") or b"(empty set)\n"
        case Pairs(items):
            return _numbered(items, indent, b"# ") or b"(empty hash)\n"
    raise TypeError(f"no reply: {reply!r}")


def _numbered(items: list[Any], indent: bytes, sign: bytes) -> bytes:
    width = len(str(len(items)))
    inner = indent + b" " * (width + 2)
    lines: list[bytes] = []
    for number, item in enumerate(items, start=1):
        # The first one stands on the line of whatever holds it, which is indented already.
        lines.append((indent if lines else b"") + b"%*d" % (width, number) + sign)
        if sign == b"# ":
            key, item = item
            lines.append(shown(key, inner)[:-1] + b" => ")
            if isinstance(item, list | Members | Pairs):
                lines.append(b"\n" + inner)
        lines.append(shown(item, inner))
    return b"".join(lines)


# --- For pipes.


def raw(reply: Any) -> bytes:
    """As it stands in a pipe, with a line end: values alone, each on a line of its own."""
    return b"\n".join(_raw(reply)) + b"\n"


def _raw(reply: Any) -> Iterator[bytes]:
    match reply:
        case None:
            yield b""
        case bool():
            yield b"(true)" if reply else b"(false)"
        case int():
            yield b"%d" % reply
        case bytes():
            yield reply
        case Status(text) | Double(text):
            yield text
        case Text(text):
            yield _ended(text)[:-1]
        case Exception():
            yield _encoded(reply) + b"\n"
        case list() | Members():
            items = reply if isinstance(reply, list) else reply.items
            yield b"\n".join([b"\n".join(_raw(item)) for item in items])
        case Pairs(items):
            pairs = [(b"\n".join(_raw(key)), b"\n".join(_raw(value))) for key, value in items]
            yield b"\n".join([key + b" " + value for key, value in pairs])


def _ended(text: bytes) -> bytes:
    return text if text.endswith(b"\n") else text + b"\n"


def _encoded(error: Exception) -> bytes:
    return str(error).encode("utf-8", "surrogateescape")
