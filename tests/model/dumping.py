"""Rules for DUMP and RESTORE: what either side wrote is read by both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st
from hypothesis.stateful import rule

from trimaran.proto.reply import Status

from .strategies import INTS, KEYS, Rules, alone, options, pair

if TYPE_CHECKING:
    from .driver import Word

FAR_MS = 4_102_444_800_000  # The year 2100.
USES = st.one_of(INTS, st.sampled_from(["0", "255", "256"]))
RESTORE_OPTIONS = options(
    *map(alone, ["REPLACE", "REPLACE", "REPLACE", "IDLETIME", "BOGUS"]),
    pair("IDLETIME", USES),
    pair("FREQ", USES),
)
# A small number is over before anybody looks, or soon after.
TIMES = st.one_of(st.sampled_from(["0", "0", "100000000", "200000001"]), INTS).filter(
    lambda text: text not in {"1", "7", "10"}
)
DAMAGES = st.sampled_from([b"", b"x", b"\0" * 10, b"\0\x01x\x0a\0" + b"\0" * 8])


class DumpRules(Rules):
    @rule(
        keys=st.tuples(KEYS, KEYS),
        is_ours=st.booleans(),
        time=TIMES,
        words=RESTORE_OPTIONS,
    )
    def restore_dumped(
        self,
        keys: tuple[bytes, bytes],
        is_ours: bool,  # noqa: FBT001 - drawn.
        time: str,
        words: list[Word],
    ) -> None:
        source, target = map(self.key, keys)
        ours, theirs = self.run_both("DUMP", source)
        assert type(ours) is type(theirs)
        if self.check("TYPE", source) == Status("string"):
            assert ours == theirs
        payload = ours if is_ours else theirs
        if isinstance(payload, bytes):
            self.check("RESTORE", target, time, payload, *words)

    @rule(key=KEYS, at_ms=st.sampled_from([FAR_MS, FAR_MS + 1, 1, 1_000_000_000_000]))
    def restore_at(self, key: bytes, at_ms: int) -> None:
        name = self.key(key)
        _, payload = self.run_both("DUMP", name)
        if isinstance(payload, bytes):
            self.check("RESTORE", name, at_ms, payload, "ABSTTL", "REPLACE")

    @rule(key=KEYS, payload=DAMAGES, words=RESTORE_OPTIONS)
    def restore_damaged(self, key: bytes, payload: bytes, words: list[Word]) -> None:
        self.check("RESTORE", self.key(key), "0", payload, *words)
