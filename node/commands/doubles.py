"""Numbers with a fraction as scores have them: C's `double`, read as `strtod` reads it."""

from __future__ import annotations

import re
from typing import Final

from ..errors import CommandError
from .arguments import not_a_float

# No two parts of them can share digits: what is no number would be tried in every division.
_DECIMAL = re.compile(rb"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
# Neither too large nor too small for a double.
_SHORT: Final = re.compile(rb"-?\d{1,17}(?:\.\d{1,17})?", re.ASCII).fullmatch
_HEXADECIMAL = re.compile(
    rb"[+-]?0[xX](?:[0-9a-fA-F]+(?:\.[0-9a-fA-F]*)?|\.[0-9a-fA-F]+)(?:[pP][+-]?\d+)?", re.ASCII
)
_INFINITY = re.compile(rb"[+-]?inf(?:inity)?", re.IGNORECASE)
_DIGITS: Final = b"0123456789"
_BLANKS: Final = b" \t\n\v\f\r"
_ENDS: Final = {b"-inf": float("-inf"), b"+inf": float("inf"), b"inf": float("inf")}
PLAIN_MAX: Final = 18  # Longer integers are rare. Python rounds these as strtod does.


def parse_double(text: bytes) -> float | None:
    """The number that `text` is, as Redis reads an argument; None if it is none to Redis, or one
    that no double comes near."""
    if text.isdigit() and len(text) <= PLAIN_MAX:
        return float(int(text))
    # Digits around one point, or on one side of it.
    if len(text) <= PLAIN_MAX and text.strip(_DIGITS) == b"." != text:
        return float(text)
    if _SHORT(text):
        return float(text)
    value = _strtod(text)
    if value is None:
        return float(text) if _INFINITY.fullmatch(text) else None
    if value in (_INFINITE, -_INFINITE) or (value == 0 and _has_digits(text)):
        return None
    return value


def parse_bound(text: bytes) -> float | None:
    """The number that `text` is, as Redis reads an end of a range: less strictly. What is behind a
    zero byte does not count, nor do blanks in front, and nothing at all is 0."""
    if text.isdigit() and len(text) <= PLAIN_MAX:
        return float(int(text))
    if text in _ENDS:
        return _ENDS[text]
    text = text.partition(b"\0")[0].lstrip(_BLANKS)
    if _INFINITY.fullmatch(text):
        return float(text)
    return _strtod(text) if text else 0.0


def double_argument(text: bytes, error: str | None = None) -> float:
    value = parse_double(text)
    if value is None:
        raise not_a_float() if error is None else CommandError(error)
    return value


_INFINITE: Final = float("inf")


def _strtod(text: bytes) -> float | None:
    """A decimal or hexadecimal number; infinite if it is too large."""
    if _DECIMAL.fullmatch(text):
        return float(text)
    if _HEXADECIMAL.fullmatch(text):
        try:
            return float.fromhex(text.decode())
        except OverflowError:
            return -_INFINITE if text.startswith(b"-") else _INFINITE
    return None


def _has_digits(text: bytes) -> bool:
    """Whether there is a digit other than 0 in front of the exponent: it was too small."""
    lower = text.lower().lstrip(b"+-")
    if lower.startswith(b"0x"):
        return bool(lower[2:].partition(b"p")[0].strip(b"0."))
    return bool(lower.partition(b"e")[0].strip(b"0."))
