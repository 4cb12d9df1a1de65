"""Rules for lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st
from hypothesis.stateful import rule

from .strategies import INTS, KEYS, VALUES, Rules, alone, cased, options, pair

if TYPE_CHECKING:
    from .driver import Word

INDEXES = st.one_of(st.integers(-8, 8).map(str), st.sampled_from(["300", "-300"]), INTS)
ELEMENTS = st.one_of(st.sampled_from([b"a", b"a", b"b", b"12", b""]), VALUES)
SIDES = st.one_of(*map(cased, ["LEFT", "RIGHT"]), st.sampled_from(["BOGUS", ""]))
LEFT_RIGHT = st.one_of(*map(cased, ["LEFT", "RIGHT"]))
LPOS_OPTIONS = options(
    # Redis 7.0 takes the lowest number for -1, later versions refuse it.
    pair("RANK", INDEXES.filter(lambda text: text != "-9223372036854775808")),
    pair("COUNT", INDEXES),
    pair("MAXLEN", INDEXES),
    *map(alone, ["RANK", "BOGUS"]),
)
LMPOP_OPTIONS = options(pair("COUNT", INDEXES), *map(alone, ["COUNT", "BOGUS"]))


class ListRules(Rules):
    @rule(
        key=KEYS,
        elements=st.lists(ELEMENTS, min_size=1, max_size=4),
        name=st.sampled_from(["LPUSH", "RPUSH", "LPUSHX", "RPUSHX"]),
    )
    def push(self, key: bytes, elements: list[bytes], name: str) -> None:
        self.check(name, self.key(key), *elements)

    @rule(
        key=KEYS,
        element=ELEMENTS,
        count=st.sampled_from([30, 100, 400]),
        name=st.sampled_from(["LPUSH", "RPUSH"]),
    )
    def push_many(self, key: bytes, element: bytes, count: int, name: str) -> None:
        """Long enough that it is kept in chunks."""
        self.check(name, self.key(key), element, *map(str, range(count)), element)

    @rule(key=KEYS, length=st.sampled_from([60, 5_000, 20_000]), name=st.sampled_from(["L", "R"]))
    def push_long(self, key: bytes, length: int, name: str) -> None:
        self.check(f"{name}PUSH", self.key(key), b"x" * length, b"a")

    @rule(
        key=KEYS,
        counts=st.one_of(st.just([]), st.lists(INDEXES | st.just("40"), max_size=1)),
        name=st.sampled_from(["LPOP", "RPOP"]),
    )
    def pop(self, key: bytes, counts: list[str], name: str) -> None:
        self.check(name, self.key(key), *counts)

    @rule(key=KEYS, name=st.sampled_from(["LPOP", "RPOP"]))
    def pop_too_much(self, key: bytes, name: str) -> None:
        self.check(name, self.key(key), "1", "2")

    @rule(key=KEYS, index=INDEXES)
    def lindex(self, key: bytes, index: str) -> None:
        self.check("LLEN", self.key(key))
        self.check("LINDEX", self.key(key), index)

    @rule(key=KEYS, start=INDEXES, stop=INDEXES, name=st.sampled_from(["LRANGE", "LTRIM"]))
    def lrange(self, key: bytes, start: str, stop: str, name: str) -> None:
        self.check(name, self.key(key), start, stop)

    @rule(
        key=KEYS, pivot=ELEMENTS, element=ELEMENTS, where=st.sampled_from(["BEFORE", "after", ""])
    )
    def linsert(self, key: bytes, pivot: bytes, element: bytes, where: str) -> None:
        self.check("LINSERT", self.key(key), where, pivot, element)

    @rule(key=KEYS, index=INDEXES, element=ELEMENTS)
    def lset(self, key: bytes, index: str, element: bytes) -> None:
        self.check("LSET", self.key(key), index, element)

    @rule(key=KEYS, count=INDEXES, element=ELEMENTS)
    def lrem(self, key: bytes, count: str, element: bytes) -> None:
        self.check("LREM", self.key(key), count, element)

    @rule(key=KEYS, element=ELEMENTS, options=LPOS_OPTIONS)
    def lpos(self, key: bytes, element: bytes, options: list[Word]) -> None:
        self.check("LPOS", self.key(key), element, *options)

    @rule(keys=st.tuples(KEYS, KEYS), sides=st.tuples(SIDES, LEFT_RIGHT))
    def lmove(self, keys: tuple[bytes, bytes], sides: tuple[str, str]) -> None:
        self.check("LMOVE", *map(self.key, keys), *sides)

    @rule(keys=st.tuples(KEYS, KEYS))
    def rpoplpush(self, keys: tuple[bytes, bytes]) -> None:
        self.check("RPOPLPUSH", *map(self.key, keys))

    @rule(
        keys=st.lists(KEYS, min_size=1, max_size=3),
        more=st.sampled_from([0, 0, 0, 1, -1]),
        side=SIDES,
        options=LMPOP_OPTIONS,
    )
    def lmpop(self, keys: list[bytes], more: int, side: str, options: list[Word]) -> None:
        self.check("LMPOP", len(keys) + more, *map(self.key, keys), side, *options)

    @rule(key=KEYS, number=INTS, side=SIDES)
    def lmpop_numbers(self, key: bytes, number: str, side: str) -> None:
        self.check("LMPOP", number, self.key(key), side)

    @rule(key=KEYS)
    def encoding_of_list(self, key: bytes) -> None:
        """Redis 7.0 knows no short lists yet."""
        ours, theirs = self.run_both("OBJECT", "ENCODING", self.key(key))
        if theirs == b"quicklist":
            assert ours in (b"listpack", b"quicklist")
