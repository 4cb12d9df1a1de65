"""Sine, cosine and arcsine that are the same on every machine, which those of C are not.

They are computed in integers, as multiples of 2**-128, and rounded once, at the end: to the double
that is nearest, which is nearly always what a good library of C has too. Some microseconds each.
"""

from __future__ import annotations

import math
from typing import Final

_BITS: Final = 128
_ONE: Final = 1 << _BITS
_TINY: Final = 1e-9  # Angles below it are their own sine.


def sin(angle: float) -> float:
    """For angles of a few turns at most; so is the next."""
    return angle if abs(angle) < _TINY else _sin(_units(angle)) / _ONE


def cos(angle: float) -> float:
    return _cos(_units(angle)) / _ONE


def asin(value: float) -> float:
    """For values from 0 to 1."""
    if value < _TINY:
        return value
    if value >= 1.0:
        return math.pi / 2
    wanted = _units(value)
    # The library's answer is right to the last digit or two; each of Newton's steps doubles that.
    angle = _units(math.asin(value))
    for _ in range(2):
        angle -= ((_sin(angle) - wanted) << _BITS) // _cos(angle)
    return angle / _ONE


def _units(value: float) -> int:
    number, divisor = value.as_integer_ratio()
    return (number << _BITS) // divisor


def _sin(angle: int) -> int:
    return _series(angle, angle * angle >> _BITS, 1)


def _cos(angle: int) -> int:
    return _series(_ONE, angle * angle >> _BITS, 0)


def _series(term: int, square: int, power: int) -> int:
    """Taylor's, from the term of that power on."""
    total = 0
    while term not in (0, -1):
        total += term
        term = -(term * square >> _BITS) // ((power + 1) * (power + 2))
        power += 2
    return total
