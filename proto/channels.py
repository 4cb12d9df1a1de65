"""The messages of `Channels.Subscribe` that carry what was published, into bytes.

Written by hand, since a node makes them once for all its subscribers; a test reads them with the
generated code. Pure. Read `channels.proto` first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from .execute import varint

STREAM: Final = 0  # The protocol of a subscriber that is a stream of gRPC; RESP has 2 and 3.

_MESSAGE, _CHANNEL, _DATA, _PATTERN, _DONE, _GAP = (
    b"\x0a",
    b"\x0a",
    b"\x12",
    b"\x1a",
    b"\x2a",
    b"\x32",
)
_IS_SHARD = b"\x20\x01"


def _field(tag: bytes, data: bytes) -> bytes:
    return b"%b%b%b" % (tag, varint(len(data)), data)


def encode_message(frame: Sequence[bytes]) -> bytes:
    """What RESP pushes as `frame` (its kind, names, payload), as a field of ChannelMessages."""
    parts = [_field(_CHANNEL, frame[-2]), _field(_DATA, frame[-1])]
    if frame[0] == b"pmessage":
        parts.append(_field(_PATTERN, frame[1]))
    elif frame[0] == b"smessage":
        parts.append(_IS_SHARD)
    return b"".join((_MESSAGE, varint(sum(map(len, parts))), *parts))


def encode_done(number: int, error: str = "") -> bytes:
    """Word that a request is carried out, or why it is refused, as a field of ChannelMessages."""
    done = b"\x08" + varint(number)
    if error:
        done += _field(b"\x12", error.encode("utf-8", "replace"))
    return _field(_MESSAGE, _field(_DONE, done))


def encode_gap(text: str) -> bytes:
    """Word that messages may be missing, as a field of ChannelMessages."""
    return _field(_MESSAGE, _field(_GAP, _field(b"\x0a", text.encode("utf-8", "replace"))))
