"""Rules for HyperLogLogs."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import rule

from .strategies import KEYS, Rules

ELEMENTS = st.one_of(
    st.integers(0, 60).map(b"%d".__mod__), st.binary(max_size=40), st.binary(min_size=8, max_size=8)
)
UNCOUNTED = b"\0" * 7 + b"\x80"  # As the header of one that has not been counted yet.


class HyperLogLogRules(Rules):
    @rule(key=KEYS, elements=st.lists(ELEMENTS, max_size=6))
    def pfadd(self, key: bytes, elements: list[bytes]) -> None:
        self.check("PFADD", self.key(key), *elements)

    @rule(key=KEYS, first=st.integers(0, 3000), count=st.sampled_from([50, 400, 2000]))
    def pfadd_many(self, key: bytes, first: int, count: int) -> None:
        """Enough that it becomes dense in the end."""
        self.check("PFADD", self.key(key), *range(first, first + count))

    @rule(key=KEYS)
    def pfcount(self, key: bytes) -> None:
        """Redis keeps what it counts in the string: it is taken away again from both."""
        name = self.key(key)
        count = self.check("PFCOUNT", name)
        if isinstance(count, int) and self.check("EXISTS", name):
            self.check("SETRANGE", name, 8, UNCOUNTED)

    @rule(keys=st.lists(KEYS, min_size=2, max_size=4))
    def pfcount_of_several(self, keys: list[bytes]) -> None:
        self.check("PFCOUNT", *map(self.key, keys))

    @rule(result=KEYS, sources=st.lists(KEYS, max_size=3))
    def pfmerge(self, result: bytes, sources: list[bytes]) -> None:
        self.check("PFMERGE", self.key(result), *map(self.key, sources))

    @rule(
        key=KEYS, word=st.sampled_from(["ENCODING", "decode", "DECODE", "GETREG", "TODENSE", "x"])
    )
    def pfdebug(self, key: bytes, word: str) -> None:
        self.check("PFDEBUG", word, self.key(key))
