"""Rules for bitmaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st
from hypothesis.stateful import rule

from .strategies import INTS, KEYS, Rules, cased

if TYPE_CHECKING:
    from .driver import Word

BITS = st.one_of(st.binary(max_size=12), st.sampled_from([b"\xff" * 9, b"\0" * 9, b"\0\x01\x80"]))
OFFSETS = st.one_of(
    st.integers(0, 140).map(str),
    st.sampled_from(["4294967296", "4294967295x", "#1", *("-1", "x", "", "01", "+1")]),
)
PLACES = st.one_of(st.integers(-80, 80).map(str), INTS)
BIT = st.sampled_from(["0", "1", "0", "1", "2", "-1", "x"])
RANGES = st.one_of(
    st.just(()),
    st.tuples(PLACES),
    st.tuples(PLACES, PLACES),
    st.tuples(PLACES, PLACES, st.sampled_from(["BIT", "bit", "BYTE", "byte", "BOGUS"])),
    st.tuples(PLACES, PLACES, st.just("BIT"), st.just("x")),
)
WIDTHS = st.one_of(
    st.sampled_from(["u1", "i1", "u8", "i8", "i5", "u13", "i33", "i64", "u63"]),
    st.sampled_from(["u64", "i65", "i0", "u0", "I8", "x8", "u", "i08", "", "8"]),
)
FIELD_PLACES = st.one_of(
    st.integers(0, 140).map(str), st.sampled_from(["#0", "#1", "#3", "#x", "#", "#-1", "-1", "x"])
)
# Negative numbers far from 0 are no numbers of a small type; Redis saturates them upwards.
FIELD_NUMBERS = st.one_of(st.integers(-300, 300).map(str), INTS)


def _words(*parts: st.SearchStrategy[str]) -> st.SearchStrategy[list[Word]]:
    return st.tuples(*parts).map(list)


GETS = _words(cased("GET"), WIDTHS, FIELD_PLACES)
FIELDS = st.one_of(
    GETS,
    _words(cased("SET"), WIDTHS, FIELD_PLACES, FIELD_NUMBERS),
    _words(cased("INCRBY"), WIDTHS, FIELD_PLACES, FIELD_NUMBERS),
    _words(cased("OVERFLOW"), st.sampled_from(["WRAP", "SAT", "FAIL", "sat", "BOGUS"])),
    _words(st.sampled_from(["GET", "SET", "INCRBY", "OVERFLOW", "BOGUS"])),
)


class BitmapRules(Rules):
    @rule(key=KEYS, bits=BITS)
    def set_bits(self, key: bytes, bits: bytes) -> None:
        self.check("SET", self.key(key), bits)

    @rule(key=KEYS, offset=OFFSETS, bit=BIT)
    def setbit(self, key: bytes, offset: str, bit: str) -> None:
        self.check("SETBIT", self.key(key), offset, bit)
        self.check("GETBIT", self.key(key), offset)

    @rule(key=KEYS, places=RANGES)
    def bitcount(self, key: bytes, places: tuple[str, ...]) -> None:
        self.check("BITCOUNT", self.key(key), *places)

    @rule(key=KEYS, bit=BIT, places=RANGES)
    def bitpos(self, key: bytes, bit: str, places: tuple[str, ...]) -> None:
        self.check("BITPOS", self.key(key), bit, *places)

    @rule(
        name=st.sampled_from(["AND", "OR", "XOR", "NOT", "not", "Xor", "BOGUS"]),
        result=KEYS,
        sources=st.lists(KEYS, min_size=1, max_size=4),
    )
    def bitop(self, name: str, result: bytes, sources: list[bytes]) -> None:
        self.check("BITOP", name, self.key(result), *map(self.key, sources))

    @rule(
        key=KEYS,
        fields=st.lists(FIELDS, max_size=4),
        name=st.sampled_from(["BITFIELD", "BITFIELD", "BITFIELD_RO"]),
    )
    def bitfield(self, key: bytes, fields: list[list[Word]], name: str) -> None:
        self.check(name, self.key(key), *[word for field in fields for word in field])

    @rule(key=KEYS, fields=st.lists(GETS, max_size=3))
    def bitfield_ro(self, key: bytes, fields: list[list[Word]]) -> None:
        self.check("BITFIELD_RO", self.key(key), *[word for field in fields for word in field])
