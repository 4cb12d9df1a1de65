"""Glob patterns as Redis has them: `*`, `?`, `[a-z]`, `[^a-z]`, and `\\` before a literal.

A pattern is cut at its stars into pieces of fixed length, each of which is searched for once, from
left to right: no pattern takes more than its length times the key's, unlike one large regular
expression, which a client could make run for minutes.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

from ..errors import CommandError

# Compiling a longer one would stop the loop for too long: this takes up to 80 ms.
PATTERN_BYTES_MAX: Final = 16 << 10
# Nothing else runs meanwhile; so many take half a second, or a little more.
STEPS_MAX: Final = 1 << 26
FREE_STEPS: Final = 1 << 12


class Glob:
    """One pattern, compiled; raises CommandError for one that is too long."""

    __slots__ = ("_first", "_inner", "_last", "_last_size", "_matches_empty", "_tried")

    def __init__(self, pattern: bytes) -> None:
        if len(pattern) > PATTERN_BYTES_MAX:
            raise CommandError(f"a pattern is longer than {PATTERN_BYTES_MAX} bytes")
        pieces = _pieces(pattern)
        self._matches_empty = pattern in (b"", b"*")  # In Redis `**` does not.
        self._first = re.compile(b"".join(pieces[0]), re.DOTALL)
        self._inner = [re.compile(b"".join(piece), re.DOTALL) for piece in pieces[1:-1] if piece]
        # Without a star there is one piece, which must then reach to the end.
        self._last = re.compile(b"".join(pieces[-1]), re.DOTALL) if len(pieces) > 1 else None
        self._last_size = len(pieces[-1])
        # The longest that is tried at each place again: bytes alone are found without.
        tried = [len(piece) for piece in pieces[1:-1] if not _is_literal(piece)]
        self._tried = max(tried, default=0)

    def matches(self, text: bytes) -> bool:
        if not text:
            return self._matches_empty
        if self._last is None:
            return self._first.fullmatch(text) is not None
        found = self._first.match(text)
        for piece in self._inner:
            if found is None:
                return False
            found = piece.search(text, found.end())
        if found is None or len(text) - self._last_size < found.end():
            return False
        return self._last.match(text, len(text) - self._last_size) is not None

    def steps(self, text: bytes) -> int:
        """About how many bytes `matches` compares at most."""
        size = len(text)
        return size * min(max(1, self._tried), size)


class Search:
    """One pattern and the texts that one command compares with it: not more than in a second."""

    __slots__ = ("_glob", "_steps_left")

    def __init__(self, pattern: bytes) -> None:
        self._glob = Glob(pattern)
        self._steps_left = STEPS_MAX

    def matches(self, text: bytes) -> bool:
        steps = self._glob.steps(text)
        if steps > FREE_STEPS:  # Names and elements as they mostly are cost little, however many.
            self._steps_left -= steps
            if self._steps_left < 0:
                raise CommandError("the pattern takes too long on texts that long")
        return self._glob.matches(text)


def _is_literal(piece: list[bytes]) -> bool:
    return all(one != b"." and one[:1] not in b"[(" for one in piece)


def _pieces(pattern: bytes) -> list[list[bytes]]:
    """What stands between the stars: lists of expressions for one byte each."""
    pieces: list[list[bytes]] = [[]]
    place = 0
    while place < len(pattern):
        byte = pattern[place : place + 1]
        place += 1
        if byte == b"*":
            pieces.append([])
        elif byte == b"?":
            pieces[-1].append(b".")
        elif byte == b"[":
            expression, place = _class(pattern, place)
            pieces[-1].append(expression)
        else:
            if byte == b"\\" and place < len(pattern):
                byte = pattern[place : place + 1]
                place += 1
            pieces[-1].append(re.escape(byte))
    return pieces


def _class(pattern: bytes, place: int) -> tuple[bytes, int]:
    """The expression for a class whose bracket is just read, and the place behind it."""
    is_negated = pattern[place : place + 1] == b"^"
    place += is_negated
    members = bytearray(256)
    while place < len(pattern) and pattern[place : place + 1] != b"]":
        first = last = pattern[place]
        if first == ord("\\") and place + 1 < len(pattern):
            place += 1
            first = last = pattern[place]
        elif pattern[place + 1 : place + 2] == b"-" and place + 2 < len(pattern):
            place += 2
            first, last = sorted((first, pattern[place]))  # Redis takes [z-a] as [a-z].
        for member in range(first, last + 1):
            members[member] = 1
        place += 1
    return _expression(members, is_negated), place + 1  # One that is not closed ends the pattern.


def _expression(members: bytearray, is_negated: bool) -> bytes:  # noqa: FBT001 - private
    wanted = [byte for byte in range(256) if bool(members[byte]) != is_negated]
    if not wanted:
        return b"(?!)."
    edges = [0, *(place for place, (a, b) in enumerate(pairwise(wanted), 1) if b != a + 1)]
    ends = [*edges[1:], len(wanted)]
    return b"[%s]" % b"".join(
        b"\\x%02x-\\x%02x" % (wanted[start], wanted[end - 1])
        for start, end in zip(edges, ends, strict=True)
    )
