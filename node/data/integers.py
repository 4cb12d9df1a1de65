"""64-bit integers as Redis reads and writes them."""

from __future__ import annotations

from typing import Final

INT_MIN: Final = -(1 << 63)
INT_MAX: Final = (1 << 63) - 1
_DIGITS_MAX: Final = 20  # Of -9223372036854775808.
_ZERO: Final = 0x30


def parse_int(text: bytes) -> int | None:
    """A 64-bit integer as Redis writes one, without plus, blanks or leading zeros; else None."""
    if text.isdigit() and len(text) < _DIGITS_MAX - 1 and (text[0] != _ZERO or len(text) == 1):
        return int(text)
    # Most of what is asked is none: that must not cost an exception.
    if not (text.isdigit() or (text[:1] == b"-" and text[1:].isdigit())):
        return None
    if len(text) > _DIGITS_MAX:
        return None
    number = int(text)
    return number if INT_MIN <= number <= INT_MAX and b"%d" % number == text else None
