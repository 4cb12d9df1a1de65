"""RESP, versions 2 and 3: bytes of a client into commands, replies into bytes. Sans-IO and pure.

`CommandReader` has two ways to the same commands. Ordinary chunks (small whole commands) are cut
by one `bytes.split` and checked against tables; everything else goes through an exact incremental
scanner that enforces the limits and answers with Redis's own texts. Neither ever reserves memory
for what was only announced: `*2000000000` costs its twelve bytes. That is why no parser library is
used here: hiredis reserves an array of the announced length, and with a guard before it, it is no
faster than the table. A test holds both ways against each other. Replies: `reply.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any, TypeAlias  # Any: replies nest.

from .reply import (
    DecimalReply,
    ErrorReply,
    MapReply,
    NullArray,
    PairsMapReply,
    PairsReply,
    Pushes,
    Reply,
    SetReply,
    Status,
    VerbatimReply,
)

Command: TypeAlias = "list[bytes]"

_HEADER_BYTES_MAX = 64  # A longer `*` or `$` line without an end cannot be a number any more.
_FAST_CHUNK_BYTES = 1 << 16  # Above, splitting the chunk costs more than it saves.
_FAST_ELEMENTS = 1024
_FAST_BULK_BYTES = 8192
_ASTERISK = 0x2A
_NO_COUNTS: dict[bytes, int] = {}
# Of a command of a client that has not logged in, as in Redis.
_STRICT_ELEMENTS = 10
_STRICT_BULK_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class ReaderLimits:
    """What one client command may cost before it is understood."""

    command_bytes_max: int = 72 << 20
    bulk_bytes_max: int = 64 << 20
    elements_max: int = 1 << 20
    inline_bytes_max: int = 64 << 10


@lru_cache(maxsize=1)
def _fast_tables() -> tuple[dict[bytes, int], dict[bytes, int]]:
    """`*n` -> n and `$n` -> n, for the canonical spelling of ordinary numbers."""
    counts = {b"*%d" % count: count for count in range(1, _FAST_ELEMENTS)}
    lengths = {b"$%d" % length: length for length in range(_FAST_BULK_BYTES)}
    return counts, lengths


class _Wrong(Exception):
    """The bytes are not RESP, or cross a limit; the text is what the client is told."""


class _TooMuchYet(_Wrong):
    """Only who has logged in may send this; `at` is where it stands."""

    def __init__(self, text: str, at: int) -> None:
        super().__init__(text)
        self.at = at


class CommandReader:
    """Turns chunks into commands. After `error` is set the stream has no meaning any more."""

    __slots__ = (
        "_args",
        "_bytes",
        "_chunks",
        "_counts",
        "_have",
        "_lengths",
        "_limits",
        "_missing",
        "_need",
        "_newline",
        "error",
        "has_stopped",
        "is_strict",
        "taken",
    )

    def __init__(self, limits: ReaderLimits) -> None:
        self._limits = limits
        self._counts, self._lengths = _fast_tables()
        self.restrict(is_strict=False)
        self._args: Command = []  # Of the command being read by the scanner.
        self._missing = 0  # Elements it still lacks; 0 is a boundary between commands.
        self._bytes = 0  # What it has cost so far.
        self._chunks: list[bytes] = []  # Bytes that could not be used yet,
        self._have = 0  # how many there are,
        self._need = 0  # and how many there must be before another look is worth it.
        self._newline = False  # Or rather: another look is worth it after a newline.
        self.error = ""  # "Protocol error: ..." once the stream is broken.
        self.taken = 0  # Bytes of the commands that the last `feed` returned.
        # It stopped before a command that only who has logged in may send: one of those before it
        # may be the log-in. `go_on` when they are answered.
        self.has_stopped = False

    def restrict(self, *, is_strict: bool) -> None:
        """Whether the client has yet to log in, and may only send what that takes."""
        self.is_strict = is_strict
        limits = self._limits
        is_tight = (
            limits.elements_max < _FAST_ELEMENTS
            or limits.bulk_bytes_max < _FAST_BULK_BYTES
            or limits.command_bytes_max < _FAST_CHUNK_BYTES
        )
        # Tighter than the tables: only the scanner can tell.
        self._counts = _NO_COUNTS if is_strict or is_tight else _fast_tables()[0]

    @property
    def held_bytes(self) -> int:
        """Bytes of a command that is not complete yet."""
        return self._bytes + self._have

    def feed(self, data: bytes) -> list[Command]:
        """The commands that are complete with `data`, in order; see `error` for what came after."""
        if self._chunks or self._missing:
            return self._feed_rest(data)
        if len(data) > _FAST_CHUNK_BYTES:
            return self._scan(data, 0, [])
        # The ordinary chunk: complete commands of small elements without a line end in them.
        parts = data.split(b"\r\n")
        last = len(parts) - 1
        counts = self._counts
        length_of = self._lengths.get
        commands: list[Command] = []
        at = 0
        while at < last:
            count = counts.get(parts[at])
            if count is None:
                break
            end = at + 2 * count + 1
            if end > last:
                break
            args = parts[at + 2 : end : 2]
            if list(map(length_of, parts[at + 1 : end : 2])) != list(map(len, args)):
                break
            commands.append(args)
            at = end
        if at == last and not parts[last]:
            self.taken = len(data)
            return commands
        start = sum(map(len, parts[:at])) + 2 * at
        return self._scan(data, start, commands)

    def _feed_rest(self, data: bytes) -> list[Command]:
        """As `feed`, when an earlier chunk ended inside a command."""
        self._chunks.append(data)
        self._have += len(data)
        if (
            self.has_stopped
            or self._have < self._need
            or (self._newline and self._have <= self._limits.inline_bytes_max and b"\n" not in data)
        ):
            self.taken = 0
            return []
        return self._scan(self._left_over(), 0, [])

    def go_on(self) -> list[Command]:
        """What follows where it has stopped."""
        self.has_stopped = False
        return self._scan(self._left_over(), 0, [])

    def _left_over(self) -> bytes:
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._have = 0
        return data

    def _scan(self, data: bytes, start: int, commands: list[Command]) -> list[Command]:
        """Adds the commands of data[start:] to `commands`; keeps what is left over."""
        at = start
        size = len(data)
        held = self._bytes + size
        self._need = 0
        self._newline = False
        try:
            while at < size:
                before = at
                if self._missing:
                    at = self._scan_elements(data, at)
                elif data[at] == _ASTERISK:
                    at = self._scan_count(data, at)
                else:
                    at = self._scan_inline(data, at)
                if self._args and not self._missing:
                    commands.append(self._args)
                    self._args = []
                    self._bytes = 0
                elif at == before:
                    break
        except _Wrong as wrong:
            if isinstance(wrong, _TooMuchYet) and commands:
                self.has_stopped = True
                at = wrong.at
            else:
                self.error = f"Protocol error: {wrong}"
                at = size
        if at < size:
            self._chunks.append(data[at:] if at else data)
            self._have = size - at
        self.taken = held - self._bytes - self._have
        return commands

    def _scan_count(self, data: bytes, at: int) -> int:
        end = self._line_end(data, at, "too big mbulk count string")
        if end < 0:
            return at
        count = _number(data[at + 1 : end])
        if count is None or count > self._limits.elements_max:
            raise _Wrong("invalid multibulk length")
        if self.is_strict and count > _STRICT_ELEMENTS:
            raise _TooMuchYet("unauthenticated multibulk length", at)
        if count > 0:  # Zero and less: nothing is asked, as in Redis.
            self._missing = count
            self._bytes = end + 2 - at
        return end + 2

    def _scan_elements(self, data: bytes, at: int) -> int:
        """Reads elements of the command until it is complete or `data` ends."""
        args = self._args
        limits = self._limits
        self._need = 0
        while self._missing:
            end = self._line_end(data, at, "too big bulk count string")
            if end < 0:
                return at
            if data[at] != 0x24:
                raise _Wrong(f"expected '$', got '{_shown(data[at])}'")
            length = _number(data[at + 1 : end])
            if length is None or length < 0 or length > limits.bulk_bytes_max:
                raise _Wrong("invalid bulk length")
            if self.is_strict and length > _STRICT_BULK_BYTES:
                raise _TooMuchYet("unauthenticated bulk length", at)
            stop = end + 2 + length
            cost = stop + 2 - at
            if self._bytes + cost > limits.command_bytes_max:
                raise _Wrong("command is larger than command_bytes_max")
            if stop + 2 > len(data):
                self._need = cost
                return at
            args.append(data[end + 2 : stop])  # Redis, too, takes the two bytes behind on trust.
            at = stop + 2
            self._bytes += cost
            self._missing -= 1
        return at

    def _line_end(self, data: bytes, at: int, too_long: str) -> int:
        """Where the CR of the header at `at` is, or -1 if its line is not complete."""
        end = data.find(b"\r", at, at + _HEADER_BYTES_MAX)
        if end >= 0 and end + 1 < len(data):
            return end
        if end < 0 and len(data) - at >= _HEADER_BYTES_MAX:
            raise _Wrong(too_long)
        self._need = len(data) - at + 1
        return -1

    def _scan_inline(self, data: bytes, at: int) -> int:
        """Reads a command written as one line, as a person does in telnet."""
        limit = self._limits.inline_bytes_max
        end = data.find(b"\n", at, at + limit + 1)
        if end < 0:
            if len(data) - at > limit:
                raise _Wrong("too big inline request")
            self._newline = True
            return at
        args = split_inline(data[at:end])
        if args is None:
            raise _Wrong("unbalanced quotes in request")
        self._args = args
        return end + 1


def _number(digits: bytes) -> int | None:
    """What Redis accepts as a number: no plus sign, no leading zeros, at most 64 bits."""
    bare = digits[1:] if digits[:1] == b"-" else digits
    if not bare.isdigit() or len(bare) > 18 or (bare[0] == 0x30 and len(digits) > 1):
        return None
    return int(digits)


def _shown(byte: int) -> str:
    return bytes((byte,)).decode("utf-8", "surrogateescape")


# --- Inline commands ------------------------------------------------------------------------------

_BLANKS = b" \t\n\v\f\r"
_ENDS = b" \t\n\r"
_ESCAPES = {0x6E: 0x0A, 0x72: 0x0D, 0x74: 0x09, 0x62: 0x08, 0x61: 0x07}  # n r t b a
_QUOTE, _APOSTROPHE, _BACKSLASH = 0x22, 0x27, 0x5C


def split_inline(line: bytes) -> Command | None:
    """The words of an inline command by Redis's quoting rules; None when quotes do not match."""
    line = line.partition(b"\0")[0]
    if b'"' not in line and b"'" not in line and b"\v" not in line and b"\f" not in line:
        return line.split()
    words: Command = []
    at = 0
    while True:
        while at < len(line) and line[at] in _BLANKS:
            at += 1
        if at >= len(line):
            return words
        word = bytearray()
        while at < len(line) and line[at] not in _ENDS:
            byte = line[at]
            if byte in (_QUOTE, _APOSTROPHE):
                end = _unquote(line, at, word)
                if end is None or (end < len(line) and line[end] not in _BLANKS):
                    return None
                at = end
                break  # Nothing but a blank may follow a closing quote.
            word.append(byte)
            at += 1
        words.append(bytes(word))


def _unquote(line: bytes, start: int, word: bytearray) -> int | None:
    """Adds the quoted text that begins at `start`; the place behind its closing quote, or None."""
    quote = line[start]
    at = start + 1
    while at < len(line):
        byte = line[at]
        if byte == quote:
            return at + 1
        following = line[at + 1 : at + 2]
        if byte == _BACKSLASH and quote == _QUOTE and following:
            code = _hexadecimal(line[at + 2 : at + 4]) if following == b"x" else None
            word.append(_ESCAPES.get(following[0], following[0]) if code is None else code)
            at += 2 if code is None else 4
        elif byte == _BACKSLASH and following == b"'":  # Inside '...' only \' is special.
            word.append(_APOSTROPHE)
            at += 2
        else:
            word.append(byte)
            at += 1
    return None


def _hexadecimal(digits: bytes) -> int | None:
    if len(digits) != 2 or any(digit not in b"0123456789abcdefABCDEF" for digit in digits):
        return None
    return int(digits, 16)


# --- Replies --------------------------------------------------------------------------------------

# The texts of nearly all status replies; others are looked through first.
_STATUSES = {text: b"+%b\r\n" % text.encode() for text in ("OK", "QUEUED", "PONG")}
_NULL = {2: b"$-1\r\n", 3: b"_\r\n"}
_NULL_ARRAY = {2: b"*-1\r\n", 3: b"_\r\n"}
_BOOL = {2: (b":0\r\n", b":1\r\n"), 3: (b"#f\r\n", b"#t\r\n")}
_SMALL = tuple(b":%d\r\n" % number for number in range(256))
_PLAIN_MAX = 1e15  # An integer below it is printed as one.
_LONG = 4096  # More elements are a long reply,
_PIECE = 512  # written so many at a time.


def encode_reply(reply: Reply, protocol: int) -> bytes:
    """`reply` as bytes of RESP `protocol` (2 or 3)."""
    # `type() is` and not isinstance: a bool is no int here. The kinds of most replies come first.
    if type(reply) is bytes:
        return b"$%d\r\n%b\r\n" % (len(reply), reply)
    if type(reply) is int:
        return _SMALL[reply] if 0 <= reply < 256 else b":%d\r\n" % reply
    if type(reply) is Status:
        return encode_status(reply)
    if reply is None:
        return _NULL[protocol]
    out: list[bytes] = []
    if type(reply) is list:
        if len(reply) == 2 and type(reply[1]) is float and type(reply[0]) is bytes:
            return _encode_scored(reply[0], _double_text(reply[1]), protocol)
        out.append(b"*%d\r\n" % len(reply))
        _encode_all(reply, protocol, out)
    else:
        _encode(reply, protocol, out)
    return b"".join(out)


def _encode_scored(member: bytes, score: bytes, protocol: int) -> bytes:
    """An array of the two: what a pop from a sorted set answers."""
    if protocol == 3:
        return b"*2\r\n$%d\r\n%b\r\n,%b\r\n" % (len(member), member, score)
    return b"*2\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(member), member, len(score), score)


def encode_status(reply: Status) -> bytes:
    """The same in any protocol."""
    return _STATUSES.get(reply.text) or b"+%b\r\n" % _line(reply.text)


def _encode(reply: Any, protocol: int, out: list[bytes]) -> None:
    match reply:
        case list() | tuple():
            out.append(b"*%d\r\n" % len(reply))
            _encode_all(reply, protocol, out)
        case bytes():
            out.append(b"$%d\r\n%b\r\n" % (len(reply), reply))
        case bool():  # Before int, which it also is.
            out.append(_BOOL[protocol][reply])
        case int():
            out.append(b":%d\r\n" % reply)
        case None:
            out.append(_NULL[protocol])
        case float():
            text = format_double(reply).encode()
            out.append(b",%b\r\n" % text if protocol == 3 else b"$%d\r\n%b\r\n" % (len(text), text))
        case DecimalReply(value=decimal):
            text = format_decimal(decimal).encode()
            out.append(b",%b\r\n" % text if protocol == 3 else b"$%d\r\n%b\r\n" % (len(text), text))
        case Status():
            out.append(encode_status(reply))
        case ErrorReply(code=code, text=error):
            out.append(b"-%b\r\n" % _line(f"{code} {error}"))
        case MapReply(pairs=pairs):
            out.append(b"%%%d\r\n" % len(pairs) if protocol == 3 else b"*%d\r\n" % (2 * len(pairs)))
            _encode_all(list(chain.from_iterable(pairs)), protocol, out)
        case PairsMapReply(pairs=pairs):
            if protocol == 3:
                _encode(MapReply(pairs), protocol, out)
            else:
                _encode(pairs, protocol, out)
        case PairsReply(pairs=pairs):
            if protocol == 3:
                _encode(pairs, protocol, out)
            else:
                out.append(b"*%d\r\n" % (2 * len(pairs)))
                _encode_all(list(chain.from_iterable(pairs)), protocol, out)
        case SetReply(members=members):
            out.append(b"~%d\r\n" % len(members) if protocol == 3 else b"*%d\r\n" % len(members))
            _encode_all(members, protocol, out)
        case VerbatimReply(format=form, text=verbatim):
            if protocol == 3:
                out.append(b"=%d\r\n%b:%b\r\n" % (len(verbatim) + 4, form.encode(), verbatim))
            else:
                out.append(b"$%d\r\n%b\r\n" % (len(verbatim), verbatim))
        case NullArray():
            out.append(_NULL_ARRAY[protocol])
        case Pushes(frames=frames):
            out += [encode_push(frame, protocol) for frame in frames]
        case _:
            raise TypeError(f"{type(reply).__name__} is not a reply")


def encode_push(frame: list[Any], protocol: int) -> bytes:
    """A frame that may come between replies: a message of a channel, say."""
    out = [b">%d\r\n" % len(frame) if protocol == 3 else b"*%d\r\n" % len(frame)]
    _encode_all(frame, protocol, out)
    return b"".join(out)


def _encode_all(replies: Sequence[Any], protocol: int, out: list[bytes]) -> None:
    for reply in replies:
        if type(reply) is bytes:
            out.append(b"$%d\r\n%b\r\n" % (len(reply), reply))
        elif type(reply) is float:
            text = _double_text(reply)
            out.append(b",%b\r\n" % text if protocol == 3 else b"$%d\r\n%b\r\n" % (len(text), text))
        elif type(reply) is Status:
            out.append(encode_status(reply))
        elif type(reply) is int:
            out.append(b":%d\r\n" % reply)
        else:
            _encode(reply, protocol, out)


def _double_text(value: float) -> bytes:
    """`format_double`, and sooner where there is nothing behind the point."""
    if -_PLAIN_MAX < value < _PLAIN_MAX and value and value.is_integer():
        return b"%d" % value
    return b"%.17g" % value


def is_long(reply: Reply) -> bool:
    """Whether it takes a while to write: `encode_in_pieces` then."""
    kind = type(reply)
    if kind is bytes or kind is int or kind is Status or kind is float or reply is None:
        return False
    if kind is list or kind is tuple:
        # Two may be a name and what is there.
        return len(reply) > _LONG or (len(reply) == 2 and is_long(reply[1]))  # type: ignore[arg-type,index]  # `type() is` does not narrow a name of it.
    match reply:
        case MapReply(pairs) | PairsReply(pairs):
            return len(pairs) > _LONG
        case PairsMapReply(pairs):
            return len(pairs) > _LONG or any(map(is_long, pairs))
        case SetReply(members):
            return len(members) > _LONG
        case _:
            return False


def encode_in_pieces(reply: Any, protocol: int) -> Iterator[bytes]:
    """What `encode_reply` makes of a long one, a few hundred elements at a time. Nobody may change
    it meanwhile."""
    header, rows, is_flat = _opened(reply, protocol)
    yield header
    for start in range(0, len(rows), _PIECE):
        some = rows[start : start + _PIECE]
        if is_flat:
            some = list(chain.from_iterable(some))
        if any(map(is_long, some)):
            for one in some:
                if is_long(one):
                    yield from encode_in_pieces(one, protocol)
                else:
                    yield encode_reply(one, protocol)
        else:
            out: list[bytes] = []
            _encode_all(some, protocol, out)
            yield b"".join(out)


def _opened(reply: Any, protocol: int) -> tuple[bytes, Sequence[Any], bool]:
    """How a container begins, and what follows one behind the other; whether that are pairs whose
    parts follow."""
    match reply:
        case MapReply(pairs):
            mark = b"%%%d\r\n" % len(pairs) if protocol == 3 else b"*%d\r\n" % (2 * len(pairs))
            return mark, pairs, True
        case PairsMapReply(pairs):
            return _opened(MapReply(pairs) if protocol == 3 else pairs, protocol)
        case PairsReply(pairs):
            count = len(pairs) if protocol == 3 else 2 * len(pairs)
            return b"*%d\r\n" % count, pairs, protocol != 3
        case SetReply(members):
            return (b"~%d\r\n" if protocol == 3 else b"*%d\r\n") % len(members), members, False
        case _:
            return b"*%d\r\n" % len(reply), reply, False


def _line(text: str) -> bytes:
    """`text` as bytes that cannot break out of their line.

    Surrogates stand for bytes of the client that were not UTF-8 (PEP 383); they leave as they came.
    """
    line = text.encode("utf-8", "surrogateescape")
    if b"\r" in line or b"\n" in line:
        line = line.replace(b"\r", b" ").replace(b"\n", b" ")
    return line


def format_double(value: float) -> str:
    """As Redis 7.0 prints it: in 17 digits, from which it reads back as it was."""
    return f"{value:.17g}"


def format_decimal(value: float) -> str:
    """As Redis prints coordinates: 17 decimals, without zeros at the end."""
    text = f"{value:.17f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
