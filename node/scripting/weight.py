"""How much memory one instruction of a compiled chunk may take: its weight.

Nearly all take a few dozen bytes at most. A list of `nil`s fills a table without an instruction for
each, and a closure takes what it refers to with it: who writes such pays more for each instruction,
so that the budget bounds the memory of a script too.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

_HEADER_BYTES: Final = 12
_INT = Struct("<i")
_SIZE = Struct("<Q")
_LOAD_NIL, _CLOSURE = 3, 36
_CHEAP_BYTES: Final = 256  # Of what an instruction may take without paying for it.


class _Reader:
    def __init__(self, dump: bytes) -> None:
        self.dump = dump
        self.at = _HEADER_BYTES
        self.most = 0

    def number(self) -> int:
        value: int
        (value,) = _INT.unpack_from(self.dump, self.at)
        self.at += 4
        return value

    def string(self) -> None:
        (size,) = _SIZE.unpack_from(self.dump, self.at)
        self.at += 8 + size

    def function(self) -> int:
        """Read one, with those in it; how many variables of others it refers to."""
        self.string()
        self.at += 8
        upvalues = self.dump[self.at]
        self.at += 4
        code = self.at + 4
        count = self.number()
        self.at += 4 * count
        for _ in range(self.number()):
            kind = self.dump[self.at]
            self.at += 1
            if kind == 1:
                self.at += 1
            elif kind == 3:
                self.at += 8
            elif kind == 4:
                self.string()
        inner = [self.function() for _ in range(self.number())]
        lines = self.number()
        self.at += 4 * lines
        for _ in range(self.number()):
            self.string()
            self.at += 8
        for _ in range(self.number()):
            self.string()
        self._weigh(code, count, inner)
        return upvalues

    def _weigh(self, code: int, count: int, inner: list[int]) -> None:
        for (word,) in Struct("<I").iter_unpack(self.dump[code : code + 4 * count]):
            kind = word & 0x3F
            if kind == _LOAD_NIL:
                self.most = max(self.most, 16 * ((word >> 23) - (word >> 6 & 0xFF) + 1))
            elif kind == _CLOSURE:
                self.most = max(self.most, 40 + 48 * inner[word >> 14])


def weight_of(dump: bytes) -> int:
    """Of what `string.dump` gives."""
    reader = _Reader(dump)
    reader.function()
    return max(1, -(-reader.most // _CHEAP_BYTES))
