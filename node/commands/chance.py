"""Numbers at random out of a seed, at once: what most commands want is one or two.

To make a `random.Random` takes as long as two SETs; each number is sooner there then, which is for
commands that want many. Nothing here depends on the machine or on the version of Python.
"""

from __future__ import annotations

from typing import Final

from mmh3 import hash128

# A multiplicative congruential generator (D. H. Lehmer, 1951) modulo 2**128, of which the highest
# bits are taken. The multiplier is one of P. L'Ecuyer's, Tables of Linear Congruential Generators
# of Different Sizes and Good Lattice Structure, 1999.
_MULTIPLIER: Final = 0xDA942042E4DD58B5
_MASK: Final = (1 << 128) - 1
_UNUSED_BITS: Final = 128 - 53  # A double has 53.
_UNIT: Final = 2.0**-53


class Lehmer:
    """Any seed of 64 bits will do: the numbers of neighbours have nothing in common."""

    __slots__ = ("_state",)

    def __init__(self, seed: int) -> None:
        self._state = hash128(seed.to_bytes(8, "little"), 0, True, False) | 1  # noqa: FBT003

    def random(self) -> float:
        """A number from 0 to below 1."""
        self._state = state = self._state * _MULTIPLIER & _MASK
        return (state >> _UNUSED_BITS) * _UNIT
