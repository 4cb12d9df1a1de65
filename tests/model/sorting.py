"""Rules for SORT and SORT_RO.

In a cluster's database 0 patterns must name one slot, so they are played in the others. What Redis
leaves open is not compared: the order of elements with equal weights under ALPHA, and that of a set
which is not sorted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st
from hypothesis.stateful import rule

from trimaran.proto.reply import ErrorReply, Status

from .strategies import INTS, KEYS, Rules, alone, options, pair

if TYPE_CHECKING:
    from .driver import Word

ELEMENTS = st.one_of(
    st.integers(-3, 12).map(str),
    st.sampled_from(["1.5", "0x10", "1e3", "-inf", " 1", "", "-0", "01", "9007199254740993"]),
    st.sampled_from(["x", "1 ", "nan", "infinity", "a", "b", "9" * 30]),
)
NUMBERS = st.integers(-3, 12).map(str)
PATTERNS = ["w*", "w*", "h*->f", "h*->", "h*->g", "*", "nokey*", "#", "constant", "w**", "->*->f"]
NAMES = st.sampled_from(PATTERNS)


def _limit(numbers: tuple[str, str]) -> list[Word]:
    return ["LIMIT", *numbers]


LIMITS = st.tuples(NUMBERS | NUMBERS | NUMBERS | INTS, NUMBERS | INTS).map(_limit)
WORDS = options(
    *map(alone, ["ASC", "DESC", "DESC", "ALPHA", "ALPHA"]),
    *(pair("GET", NAMES), pair("GET", NAMES), LIMITS),
)
WRONG = options(
    *map(alone, ["LIMIT", "GET", "BOGUS", "BY", "STORE", "limit"]),
    *(pair("LIMIT", INTS), pair("GET", NAMES), pair("BY", NAMES)),
)
NO_NUMBER = ErrorReply("ERR", "One or more scores can't be converted into double")
MAKERS = [("RPUSH", 1), ("SADD", 1), ("ZADD", 2)]
SORTED = st.lists(NUMBERS, max_size=8)
WEIGHTS = st.lists(st.tuples(NUMBERS, NUMBERS | ELEMENTS), max_size=6)


class SortRules(Rules):
    @rule(
        key=KEYS,
        maker=st.sampled_from(MAKERS),
        elements=SORTED | SORTED | st.lists(ELEMENTS, max_size=8),
        weights=WEIGHTS,
        words=WORDS | WORDS | WORDS | WRONG,
        by=st.sampled_from([None, None, *PATTERNS]),
        into=st.none() | KEYS,
        db=st.sampled_from([1, 3]),
    )
    def sort(
        self,
        key: bytes,
        maker: tuple[str, int],
        elements: list[str],
        weights: list[tuple[str, str]],
        words: list[Word],
        by: str | None,
        into: bytes | None,
        db: int,
    ) -> None:
        self.select(db)
        source = self.key(key)
        self.check("DEL", source)
        for element in elements:
            self.check(maker[0], source, *["2"] * (maker[1] - 1), element)
        for number, weight in weights:
            self.check("SET", f"w{number}", weight)
            self.check("HSET", f"h{number}", "f", weight)
        upper = [str(word).upper() for word in words]
        if "BY" in upper and maker[0] == "SADD":
            words = ["BY"]
        is_pattern = by is not None and "*" in by
        if (is_pattern and "ALPHA" in upper) or (maker[0] == "SADD" and not is_pattern):
            by = None
        extra: list[Word] = [] if by is None else ["BY", by]
        ours, theirs = self.run_both("SORT_RO", source, *extra, *words)
        if theirs == NO_NUMBER != ours:
            self.check("DEL", source)
            return  # Since some number was out of range, Redis takes all for such: a stale errno.
        assert ours == theirs, f"{extra} {words}: {ours!r}, Redis: {theirs!r}"
        if into is not None:
            extra += ["STORE", self.key(into)]
        self.check("SORT", source, *extra, *words)
        if maker[0] == "ZADD" and into != key:  # Redis has made it a skiplist.
            self.check("DEL", source)

    @rule(key=KEYS, words=WORDS | WRONG)
    def sort_anything(self, key: bytes, words: list[Word]) -> None:
        self.select(1)
        ours, theirs = self.run_both("SORT", self.key(key), *words, "BY", "x")
        assert type(ours) is type(theirs)
        if isinstance(theirs, ErrorReply):
            assert ours == theirs
        if self.run_both("TYPE", self.key(key))[1] == Status("zset"):
            self.check("DEL", self.key(key))  # As above.

    def select(self, db: int) -> None:
        """Go on in another database."""
        raise NotImplementedError
