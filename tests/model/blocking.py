"""Rules for commands that wait: with data, or for so short that nobody notices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st
from hypothesis.stateful import rule

from trimaran.node.commands.blocking import is_nothing
from trimaran.proto.reply import ErrorReply

from .lists import LMPOP_OPTIONS, SIDES
from .strategies import KEYS, Rules

if TYPE_CHECKING:
    from .driver import Word

SHORT = st.sampled_from(["0.001", "0.001", "0.001", "1e-3", "0x.01"])
WRONG = st.sampled_from(["-1", "x", "", "nan", "inf", "1e17", "-0.5", "1 ", "-inf"])
ONES = st.lists(KEYS, min_size=1, max_size=3)


class BlockingRules(Rules):
    def check_waiting(self, *args: Word) -> None:
        """A keyspace alone does not wait: it answers nothing in the way of a transaction."""
        ours, theirs = self.run_both(*args)
        is_same = ours == theirs or (is_nothing(ours) and is_nothing(theirs))
        # A node sees first that words taken for keys are on several shards.
        is_refused = isinstance(theirs, ErrorReply) and getattr(ours, "code", "") == "CROSSSLOT"
        assert is_same or is_refused, f"{args}: {ours!r}, Redis: {theirs!r}"

    @rule(
        keys=ONES,
        timeout=st.one_of(SHORT, SHORT, WRONG),
        name=st.sampled_from(["BLPOP", "BRPOP", "bzpopmin", "BZPOPMAX"]),
    )
    def pop_waiting(self, keys: list[bytes], timeout: str, name: str) -> None:
        self.check_waiting(name, *map(self.key, keys), timeout)

    @rule(
        keys=st.tuples(KEYS, KEYS), sides=st.tuples(SIDES, SIDES), timeout=st.one_of(SHORT, WRONG)
    )
    def move_waiting(self, keys: tuple[bytes, bytes], sides: tuple[str, str], timeout: str) -> None:
        self.check_waiting("BLMOVE", *map(self.key, keys), *sides, timeout)
        self.check_waiting("BRPOPLPUSH", *map(self.key, keys), timeout)

    @rule(
        keys=ONES,
        more=st.sampled_from([0, 0, 0, 1, -1]),
        side=SIDES,
        end=st.sampled_from(["MIN", "max", "BOGUS"]),
        options=LMPOP_OPTIONS,
        timeout=st.one_of(SHORT, SHORT, WRONG),
    )
    def pop_several_waiting(
        self, keys: list[bytes], more: int, side: str, end: str, options: list[Word], timeout: str
    ) -> None:
        names = [self.key(key) for key in keys]
        self.check_waiting("BLMPOP", timeout, len(keys) + more, *names, side, *options)
        self.check_waiting("BZMPOP", timeout, len(keys) + more, *names, end, *options)

    @rule(
        key=KEYS,
        timeout=st.sampled_from(["1", "1", "-1", "x", "0.5", ""]),
        id_=st.sampled_from(["$", "0", "5-1", ">", "x"]),
        counts=st.sampled_from([[], ["COUNT", "1"]]),
    )
    def read_waiting(self, key: bytes, timeout: str, id_: str, counts: list[str]) -> None:
        self.check_waiting("XREAD", *counts, "BLOCK", timeout, "STREAMS", self.key(key), id_)
        reader = ("XREADGROUP", "GROUP", "g", "c", *counts)
        self.check_waiting(*reader, "BLOCK", timeout, "STREAMS", self.key(key), ">")
