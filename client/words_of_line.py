"""A line that somebody typed into words, by the rules of redis-cli.

Words are separated by blanks. "..." may hold them, and \\n \\r \\t \\a \\b \\xHH; '...' holds them
as they are, but for \\'. A quote ends a word: what follows it must be a blank.
"""

from __future__ import annotations

import re

_WORD = re.compile(
    rb"""\s*(?:
        "(?P<double>(?:[^"\\]|\\.)*)"(?=\s|$)
      | '(?P<single>(?:[^'\\]|\\.)*)'(?=\s|$)
      | (?P<bare>[^\s"']+)(?=\s|$)
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPED = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)", re.DOTALL)
_MEANT = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b"}


def words_of(line: bytes) -> list[bytes]:
    """Raises ValueError for quotes that do not match."""
    words: list[bytes] = []
    place = 0
    line = line.rstrip()
    while place < len(line):
        match = _WORD.match(line, place)
        if match is None:
            raise ValueError("Invalid argument(s)")
        place = match.end()
        if (inside := match["double"]) is not None:
            words.append(_ESCAPED.sub(lambda found: _meant(found[1]), inside))
        elif (inside := match["single"]) is not None:
            words.append(inside.replace(b"\\'", b"'"))
        else:
            words.append(match["bare"])
    return words


def _meant(escape: bytes) -> bytes:
    if len(escape) == 3:
        return bytes([int(escape[1:], 16)])
    return _MEANT.get(escape, escape)
