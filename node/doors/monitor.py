"""MONITOR: clients that are shown every command that comes through this node's RESP doors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...proto.reply import OK, Reply
from .slowlog import redacted

if TYPE_CHECKING:
    from ..request import Args
    from .client import Client
    from .connection import Connection
    from .routes import Route

SHOWN_BYTES_MAX = 16 << 10  # Of a command.
WORD_COST = 16  # Of an argument beside its bytes, about.

_ESCAPES = dict(
    zip(b'\\"\n\r\t\a\b', ("\\\\", '\\"', "\\n", "\\r", "\\t", "\\a", "\\b"), strict=True)
)


class Monitors:
    """Who watches. Each pays by its own output buffer, and is ended when that is full."""

    def __init__(self) -> None:
        self.watching: dict[int, Connection] = {}

    def show(self, client: Client, route: Route, args: Args) -> None:
        if not route.is_monitored or not route.name:
            return
        seconds, micros = divmod(client.door.router.wall_us(), 1_000_000)
        words = _words(redacted(args))
        line = f"+{seconds}.{micros:06d} [{client.db} {client.address}] {words}\r\n".encode()
        for watcher in list(self.watching.values()):
            watcher.push(line)


def monitor(client: Client, args: Args) -> Reply:
    client.become_monitor()
    return OK


def _words(args: Args) -> str:
    """All of them, or as much as may be shown: others must not wait for a value of megabytes."""
    shown = []
    left = SHOWN_BYTES_MAX
    for place, one in enumerate(args):
        if left <= 0:
            shown.append(f"... ({len(args) - place} more arguments)")
            break
        more = len(one) - left
        shown.append(_quoted(one[:left]) + (f"... ({more} more bytes)" if more > 0 else ""))
        left -= len(one) + WORD_COST
    return " ".join(shown)


def _quoted(word: bytes) -> str:
    return '"' + "".join([_shown(byte) for byte in word]) + '"'


def _shown(byte: int) -> str:
    if byte in _ESCAPES:
        return _ESCAPES[byte]
    return chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}"
