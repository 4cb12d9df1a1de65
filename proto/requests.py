"""The messages of `Commands.Execute` from the client's side: requests into bytes, bytes of replies.

Written by hand for what every command costs; a test reads and writes them with the generated code.
What became of a command is told by the first byte of its result; its value stays bytes until
somebody wants it (`client/replies.py`). Sans-IO. Read `commands.proto` and `execute.py` first.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from .execute import Malformed, varint

REPLY, NOT_APPLIED, UNKNOWN = 0x0A, 0x12, 0x1A  # What a result begins with: its outcome's field.

_FIXED = struct.Struct("<Q")
_HEADS: Final = [b"\x0a" + bytes([length]) for length in range(0x80)]  # Of a short argument,
_COMMAND_HEADS: Final = [b"\x32" + bytes([length]) for length in range(0x80)]  # and command.
_FEW: Final = 16  # Arguments and their heads that are put together before their size is known,
_SMALL_BYTES: Final = 1024  # if the last, which is the value as a rule, is no larger.


def encode_command(args: Sequence[bytes]) -> bytes:
    """A Command, as a field of Batch."""
    parts: list[bytes] = []
    for arg in args:
        length = len(arg)
        parts += (_HEADS[length] if length < 0x80 else b"\x0a" + varint(length), arg)
    size = sum(map(len, parts)) if len(parts) > _FEW or len(parts[-1]) > _SMALL_BYTES else 0
    if size:  # What may be large is copied once.
        return b"".join((b"\x32", varint(size), *parts))
    body = b"".join(parts)
    size = len(body)
    return _COMMAND_HEADS[size] + body if size < 0x80 else b"\x32" + varint(size) + body


@dataclass(frozen=True, slots=True)
class SessionField:
    """As `Session` in commands.proto."""

    shard: int
    id: int
    sequence: int
    floor: int
    timeout_ms: int
    client: int
    age_ms: int = 0

    def encode(self) -> bytes:
        """A Session, as a field of Batch."""
        parts = [
            b"\x08" + varint(self.shard),
            b"\x10" + varint(self.id),
            b"\x18" + varint(self.sequence),
            b"\x20" + varint(self.floor),
        ]
        if not self.id:
            parts += (b"\x28" + varint(self.timeout_ms), b"\x31" + _FIXED.pack(self.client))
            parts.append(b"\x38" + varint(self.age_ms))
        data = b"".join(parts)
        return b"\x3a%b%b" % (varint(len(data)), data)


def encode_watched(key: bytes, index: int) -> bytes:
    """A Watched, as a field of Batch."""
    data = b"\x0a%b%b\x10%b" % (varint(len(key)), key, varint(index))
    return b"\x4a%b%b" % (varint(len(data)), data)


def encode_request(
    number: int,
    database: int,
    commands: Sequence[bytes],
    *,
    timeout_ms: int,
    is_leader_only: bool = False,
    is_atomic: bool = False,
    session: bytes = b"",
    stale_ms: int = 0,
    watched: Sequence[bytes] = (),
    asks_for_turn: bool = False,
    turn: int = 0,
    is_behind_others: bool = False,
) -> bytes:
    """A Batch, as a field of ExecuteRequest; commands, session and watched as encoded here."""
    head = b"\x08%b\x10%b\x18%b" % (varint(number), varint(database), varint(timeout_ms))
    if is_leader_only:
        head += b"\x20\x01"
    if is_atomic:
        head += b"\x28\x01"
    if stale_ms:
        head += b"\x40" + varint(stale_ms)
    if asks_for_turn:
        head += b"\x50\x01"
    if turn:
        head += b"\x58" + varint(turn)
    if is_behind_others:
        head += b"\x60\x01"
    parts = (head, session, *watched, *commands)
    return b"".join((b"\x0a", varint(sum(map(len, parts))), *parts))


def encode_cancel(number: int) -> bytes:
    """That nobody waits for the batch with that id any more, as a field of ExecuteRequest."""
    packed = varint(number)
    return b"\x1a%b%b" % (varint(len(packed)), packed)


# --- Replies.


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """A BatchReply. Of a result, its bytes: one of REPLY, NOT_APPLIED, UNKNOWN, a length, and the
    message of that outcome behind it (`outcome_of` takes it)."""

    id: int
    results: list[bytes]
    opened: list[tuple[int, int]]  # Shard and id of sessions.


def outcome_of(result: bytes) -> bytes:
    """The message inside of a result: a Value, NotApplied or OutcomeUnknown."""
    if result[1] < 0x80:
        return result[2:]
    _, at = read_varint(result, 1)
    return result[at:]


class Reason(IntEnum):
    """Why a command was surely not applied: NotApplied.Reason in commands.proto."""

    UNSPECIFIED = 0
    NOT_LEADER = 1
    NO_QUORUM = 2
    OVERLOADED = 3
    SESSION_UNKNOWN = 4
    PREDECESSOR = 5
    WATCHED = 6


@dataclass(frozen=True, slots=True)
class Refusal:
    """As `NotApplied` in commands.proto. A reason of a later version is UNSPECIFIED."""

    reason: Reason
    text: str
    leader: str


def refusal_of(result: bytes) -> Refusal:
    """What a NOT_APPLIED result says."""
    message = outcome_of(result)
    number = 0
    texts = {0x12: b"", 0x1A: b""}
    for tag, start, end in fields(message, 0, len(message)):
        if tag == 0x08:
            number, _ = read_varint(message, start)
        elif tag in texts:
            texts[tag] = message[start:end]
    reason = Reason(number) if number in Reason.__members__.values() else Reason.UNSPECIFIED
    return Refusal(reason, *(text.decode("utf-8", "replace") for text in texts.values()))


def unknown_text_of(result: bytes) -> str:
    """Why the outcome of an UNKNOWN result is."""
    message = outcome_of(result)
    for tag, start, end in fields(message, 0, len(message)):
        if tag == 0x0A:
            return message[start:end].decode("utf-8", "replace")
    return ""


def read_replies(data: bytes) -> Iterator[BatchAnswer]:
    """The batches of an ExecuteReply without a fragment; raises Malformed."""
    try:
        for tag, start, end in fields(data, 0, len(data)):
            if tag == 0x0A:
                yield _read_batch(data, start, end)
    except IndexError:
        raise Malformed("a message that is cut off") from None


def _read_batch(data: bytes, at: int, end: int) -> BatchAnswer:
    number = 0
    results: list[bytes] = []
    opened: list[tuple[int, int]] = []
    while at < end:
        tag = data[at]
        if tag == 0x12:
            length = data[at + 1]
            at += 2
            if length >= 0x80:
                length, at = read_varint(data, at - 1)
            results.append(data[at : at + length])
            at += length
        elif tag == 0x08:
            number, at = read_varint(data, at + 1)
        else:
            tag, start, at = next(fields(data, at, end))
            if tag == 0x1A:
                opened.append(_read_opened(data, start, at))
    return BatchAnswer(number, results, opened)


def _read_opened(data: bytes, at: int, end: int) -> tuple[int, int]:
    shard = session = 0
    while at < end:
        tag = data[at]
        number, at = read_varint(data, at + 1)
        if tag == 0x08:
            shard = number
        elif tag == 0x10:
            session = number
    return shard, session


def fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Tag, start and end of each field; of a number, the bytes it takes."""
    while at < end:
        tag, at = read_varint(data, at)
        kind = tag & 7
        start = at
        if kind == 2:
            length, start = read_varint(data, at)
            at = start + length
        elif kind == 0:
            _, at = read_varint(data, at)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise Malformed("a field of a kind there is not")
        if at > end:
            raise Malformed("a field goes over the end")
        yield tag, start, at


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """A number as protobuf writes lengths, and the place behind it."""
    number = shift = 0
    while (byte := data[at]) >= 0x80:
        number |= (byte & 0x7F) << shift
        shift += 7
        at += 1
        if shift > 63:
            raise Malformed("a number without an end")
    return number | byte << shift, at + 1


class Assembly:
    """Puts the pieces of large replies together; others come through."""

    def __init__(self, bytes_max: int) -> None:
        self._pieces = bytearray()
        self._bytes_max = bytes_max

    def take(self, data: bytes) -> bytes | None:
        """A whole ExecuteReply, or None while pieces are missing; raises Malformed."""
        if not data or data[0] != 0x12:
            return data
        _, start, end = next(fields(data, 0, len(data)))
        is_last = False
        for tag, first, last in fields(data, start, end):
            if tag == 0x0A:
                self._pieces += data[first:last]
            elif tag == 0x10:
                is_last = data[first] == 1
        if len(self._pieces) > self._bytes_max:
            raise Malformed(f"a reply is larger than {self._bytes_max} bytes")
        if not is_last:
            return None
        whole = bytes(self._pieces)
        self._pieces = bytearray()
        return whole
