"""Numbers as INCRBYFLOAT has them: x87 extended precision, 64 bits of mantissa, in integers.

Redis computes with the C type `long double`, which is another one on every kind of processor. All
replicas must agree, so this is that of x86-64, where Redis's own answers come from, to the last
digit. A number is kept as how many times the smallest one it is: exact, and bounded in size.
"""

from __future__ import annotations

import re
from typing import Final

TEXT_BYTES_MAX: Final = 5 * 1024 - 1  # Longer ones are no numbers to Redis.
DECIMALS: Final = 17  # As many as Redis prints.

_MANTISSA_BITS: Final = 64
_UNIT: Final = 16445  # The smallest number above 0 is 2**-16445.
_LIMIT: Final = 1 << (16384 + _UNIT)  # Below 2**16384.
_EXPONENT_MAX: Final = 10_100  # One further from 0 is out of range, however many digits there are.
_DIGITS_AT_ONCE: Final = 4000  # Python refuses to convert much more than that.
_AT_ONCE: Final = 10**_DIGITS_AT_ONCE  # The first number that has more of them.

_DECIMAL = re.compile(rb"([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?", re.ASCII)
_HEXADECIMAL = re.compile(
    rb"([+-]?)0[xX]([0-9a-fA-F]*)(?:\.([0-9a-fA-F]*))?(?:[pP]([+-]?\d+))?", re.ASCII
)
_INFINITY = re.compile(rb"[+-]?inf(?:inity)?", re.IGNORECASE)

INFINITE: Final = _LIMIT  # What `parse` makes of both infinities.


_SHORT_UNIT: Final = 128  # Of short numbers: the last of their 64 bits is above 2**-128.
_WHOLE_MAX = _PART_MAX = 17  # Its bytes in front of the point, and behind it.
_TENS: Final[tuple[int, ...]] = tuple(10**power for power in range(_PART_MAX + 1))
_SHORT_HALF: Final = 1 << (_SHORT_UNIT - 1)
_SHORT_MASK: Final = (1 << _SHORT_UNIT) - 1


def short_sum(text: bytes, more: int | None) -> bytes | None:
    """What `to_text` says of the sum of two short numbers, `more` being from `short`, in a fifth of
    the time; None if there is one that is none."""
    if more is None:
        return None
    number = short(text)
    if number is None:
        return None
    total = number + more
    size = abs(total)
    surplus = size.bit_length() - _MANTISSA_BITS
    if surplus > 0:
        size = _round_away(size, surplus, is_inexact=False)
    size *= _TENS[DECIMALS]
    scaled, rest = size >> _SHORT_UNIT, size & _SHORT_MASK
    if rest >= _SHORT_HALF and (rest > _SHORT_HALF or scaled & 1):
        scaled += 1
    whole, part = divmod(scaled, _TENS[DECIMALS])
    text = (b"%d.%017d" % (whole, part)).rstrip(b"0") if part else b"%d" % whole
    return b"-" + text if total < 0 and scaled else text


_TINY_DECIMALS: Final = 6
_TINY_BYTES: Final = 9
_TINY_TENS: Final = tuple(10 ** (_TINY_DECIMALS - size) for size in range(_TINY_DECIMALS + 1))
_TINY_UNIT: Final = 10**_TINY_DECIMALS
_TINY_MAX: Final = 32 * _TINY_UNIT


def tiny(text: bytes) -> int | None:
    """A number that is not negative and below 32, with few decimals, in millionths; None of all
    others, be they numbers or not."""
    whole, _, part = text.partition(b".")
    size = len(part)
    if len(text) > _TINY_BYTES or size > _TINY_DECIMALS or not whole.isdigit():
        return None
    if size and not part.isdigit():
        return None
    number = int(whole + part) * _TINY_TENS[size]
    return number if number < _TINY_MAX else None


def tiny_sum(number: int, more: int) -> bytes:
    """What `short_sum` says of two numbers from `tiny`, in a third of the time.

    Each is rounded by 2**-60 at most and their sum, below 64, by 2**-59: all of it by less than
    half of the last decimal that is printed. So it is the decimal sum that is printed.
    """
    whole, part = divmod(number + more, _TINY_UNIT)
    return (b"%d.%06d" % (whole, part)).rstrip(b"0") if part else b"%d" % whole


def short(text: bytes) -> int | None:
    """What `parse` makes of a short decimal number, as nearly all are, but in units of 2**-128; of
    all others None, be they numbers or not."""
    whole, _, part = text.partition(b".")
    is_negative = text[:1] == b"-"
    digits = whole[1:] + part if is_negative else whole + part
    decimals = len(part)
    if not digits.isdigit() or len(whole) > _WHOLE_MAX or decimals > _PART_MAX:
        return None
    if not decimals:
        number = int(digits) << _SHORT_UNIT
        return -number if is_negative else number
    number, rest = divmod(int(digits) << _SHORT_UNIT, _TENS[decimals])
    surplus = number.bit_length() - _MANTISSA_BITS
    if surplus > 0:  # All but 0: what is above it is at least 10**-17.
        half = 1 << (surplus - 1)
        kept = number >> surplus
        low = number & ((half << 1) - 1)
        if low >= half and (low > half or rest or kept & 1):
            kept += 1
        number = kept << surplus
    return -number if is_negative else number


def parse(text: bytes) -> int | None:
    """The number that `text` is, rounded, as Redis reads it; None if it is none to Redis."""
    if not text or len(text) > TEXT_BYTES_MAX:
        return None
    match = _DECIMAL.fullmatch(text)
    if match is not None:
        sign, whole, part, power = match.groups(b"")
        units = _decimal_units(whole, part, _exponent(power))
    elif (match := _HEXADECIMAL.fullmatch(text)) is not None:
        sign, whole, part, power = match.groups(b"")
        units = _hexadecimal_units(whole, part, _exponent(power))
    else:
        return INFINITE if _INFINITY.fullmatch(text) else None
    if units is None:
        return None
    return -units if sign == b"-" else units


def add(one: int, other: int) -> int | None:
    """The sum, rounded; None if it is no number or infinite."""
    if INFINITE in (one, other):
        return None
    total = one + other
    units = _round(abs(total))
    if units >= _LIMIT:
        return None
    return -units if total < 0 else units


def to_text(units: int) -> bytes:
    """As printf's %.17Lf, without zeros at the end."""
    size = abs(units) * 10**DECIMALS
    scaled = size >> _UNIT
    rest = size - (scaled << _UNIT)
    half = 1 << (_UNIT - 1)
    scaled += rest > half or (rest == half and scaled & 1)
    whole, part = divmod(scaled, 10**DECIMALS)
    text = _digits(whole)
    if part:
        text += b"." + (b"%017d" % part).rstrip(b"0")
    return b"-" + text if units < 0 and scaled else text


def _exponent(text: bytes) -> int:
    """A number that is right as far as it matters, of however many digits."""
    digits = text.lstrip(b"+-").lstrip(b"0")
    number = int(digits or b"0") if len(digits) < 9 else 10**9
    return -number if text.startswith(b"-") else number


def _decimal_units(whole: bytes, part: bytes, power: int) -> int | None:
    if not whole and not part:
        return None
    number = _integer(whole + part)
    power -= len(part)
    if number == 0:
        return 0
    if power > _EXPONENT_MAX or power < -_EXPONENT_MAX:
        return None  # Too large, or nothing but zero.
    if power >= 0:
        return _in_range(_round((number * 10**power) << _UNIT))
    return _in_range(_round_quotient(number << _UNIT, 10**-power))


def _hexadecimal_units(whole: bytes, part: bytes, power: int) -> int | None:
    if not whole and not part:
        return None
    number = int(whole + part, 16)
    power += _UNIT - 4 * len(part)
    if number == 0:
        return 0
    if power > 4 * _EXPONENT_MAX or power < -4 * _EXPONENT_MAX:
        return None
    if power >= 0:
        return _in_range(_round(number << power))
    return _in_range(_round_quotient(number, 1 << -power))


def _in_range(units: int) -> int | None:
    """Redis takes neither what overflows nor what is only zero because it is so small."""
    return units if 0 < units < _LIMIT else None


def _round(units: int) -> int:
    """To 64 bits, halves to the even one. Those below the normal ones are whole already."""
    return _round_away(units, units.bit_length() - _MANTISSA_BITS, is_inexact=False)


def _round_quotient(number: int, divisor: int) -> int:
    """number / divisor, rounded once."""
    quotient, rest = divmod(number, divisor)
    surplus = quotient.bit_length() - _MANTISSA_BITS
    if surplus > 0:
        return _round_away(quotient, surplus, is_inexact=rest != 0)
    return quotient + (2 * rest > divisor or (2 * rest == divisor and quotient & 1))


def _round_away(units: int, surplus: int, *, is_inexact: bool) -> int:
    """Without the lowest `surplus` bits; `is_inexact`: something smaller was cut off before."""
    if surplus <= 0:
        return units
    kept = units >> surplus
    rest = units - (kept << surplus)
    half = 1 << (surplus - 1)
    if rest > half or (rest == half and (is_inexact or kept & 1)):
        kept += 1
    return kept << surplus


# --- Python bounds the digits it converts at once.


def _integer(digits: bytes) -> int:
    number = 0
    for start in range(0, len(digits), _DIGITS_AT_ONCE):
        some = digits[start : start + _DIGITS_AT_ONCE]
        number = number * 10 ** len(some) + int(some)
    return number


def _digits(number: int) -> bytes:
    if number < _AT_ONCE:
        return b"%d" % number
    high, low = divmod(number, _AT_ONCE)
    return b"%d%0*d" % (high, _DIGITS_AT_ONCE, low)
