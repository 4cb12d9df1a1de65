"""What HSCAN, SSCAN and ZSCAN have in common: their words, and the bounds of a reply.

A cursor is a place in the order of hashes of the elements, never a position: it stays valid on
every replica and after every failover, whatever is added and removed. A small value comes whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ...cluster.routing import parse_cursor
from ..data.glob import Search
from ..errors import CommandError
from .arguments import int_argument, syntax_error
from .context import REPLY_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...proto.reply import Reply
    from ..request import Args

SCAN_COUNT: Final = 10
SCAN_COUNT_MAX: Final = 10_000  # COUNT is a hint; more at once would stop the loop for too long.


@dataclass(frozen=True, slots=True)
class ScanOptions:
    pattern: Search | None
    count: int
    is_alone: bool  # Whether the option without a value was given (NOVALUES of HSCAN).

    def matches(self, element: bytes) -> bool:
        return self.pattern is None or self.pattern.matches(element)


def scan_cursor(text: bytes) -> int:
    """The cursor at its place in the command; Redis looks at it first, before the key."""
    cursor = parse_cursor(text)
    if cursor is None:
        raise CommandError("invalid cursor")
    return cursor


def scan_options(args: Args, alone: bytes | None = None) -> ScanOptions:
    """Those behind key and cursor; Redis reads them only if the key is there."""
    pattern, count, is_alone = None, SCAN_COUNT, False
    rest = iter(args[3:])
    for word in rest:
        option = word.upper()
        if option == alone:
            is_alone = True
            continue
        value = next(rest, None)
        if value is None:
            raise syntax_error()
        if option == b"COUNT":
            count = int_argument(value)
            if count < 1:
                raise syntax_error()
        elif option == b"MATCH":
            pattern = value
        else:
            raise syntax_error()
    glob = None if pattern is None or pattern == b"*" else Search(pattern)
    return ScanOptions(glob, min(count, SCAN_COUNT_MAX), is_alone)


def scan_reply(cursor: int, words: Sequence[bytes]) -> Reply:
    """The next cursor, and elements, which one reply must be able to carry."""
    if sum(map(len, words)) > REPLY_BYTES_MAX:
        raise CommandError("a page is larger than a reply may be (512 MiB): use a smaller COUNT")
    return [b"%d" % cursor, list(words)]
