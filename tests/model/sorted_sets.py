"""Rules for sorted sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st
from hypothesis.stateful import rule

from trimaran.proto.reply import ErrorReply, Status

from .strategies import INTS, KEYS, LETTERS, VALUES, Rules, alone, cased, options, pair

if TYPE_CHECKING:
    from .driver import Word

# Sums of halves are exact, in whatever order they are added.
PLAIN = ["0", "1", "-1", "2", "3", "1.5", "-0.5", "1e3", "+5", "-0", "0x10", "0x.8p3", "1e17"]
EXTREME = ["inf", "-inf", "+Infinity", "1e308", "1.7976931348623157e308", "5e-324", "0.1"]
EXTREME += ["9007199254740993", "123456789012345678", "4611686018427387904", "-1e15"]
BAD = ["nan", "NaN(1)", "1e400", "-1e400", "1e-400", "0e-400", " 1", "1 ", "", "x", "0x", "1e", "."]
BAD += ["1_0", "0x1p", "--1", "infin", "1\0", "0x1p2000", "0x1p-2000", "\t1", "1.e2", ".5"]
SCORES = st.one_of(
    *[st.sampled_from(PLAIN)] * 5,
    st.sampled_from(EXTREME),
    st.sampled_from(BAD),
    st.floats(allow_nan=False).map(repr),
)
GOOD = st.one_of(st.sampled_from(PLAIN), st.sampled_from(PLAIN), st.sampled_from(EXTREME))
BOUNDS = st.one_of(
    SCORES,
    SCORES.map("({}".format),
    st.sampled_from(["-inf", "+inf", "(inf", "(-inf", "(", "((1", "( 1", "1\0x", "(1\0x", "nan"]),
)
MEMBERS = st.one_of(st.sampled_from([b"a", b"b", b"c", b"", b"12", b"a\0"]), LETTERS, VALUES)
LEX = st.one_of(
    st.sampled_from(["-", "+", "[", "(", "+\0x", "-x", "+x", "", "a", "[a", "(a", "1", "[b\0"]),
    LETTERS.map(lambda text: b"[" + text),
    LETTERS.map(lambda text: b"(" + text),
)
INDEXES = st.one_of(st.integers(-8, 8).map(str), st.sampled_from(["300", "-300"]), INTS)
FLAGS = ["NX", "XX", "GT", "LT", "CH", "INCR", "ch", "Incr"]


def _words(words: tuple[Word, ...]) -> list[Word]:
    return [*words]


LIMITS = st.one_of(
    st.tuples(cased("LIMIT"), st.integers(-2, 4), st.integers(-2, 4)).map(_words),
    st.tuples(st.just("LIMIT"), INTS, INTS).map(_words),
    alone("LIMIT"),
    pair("LIMIT", INTS),
)
WITHSCORES = alone("WITHSCORES")
RANGE_OPTIONS = options(WITHSCORES, LIMITS, *map(alone, ["REV", "BYSCORE", "BYSCORE", "BOGUS"]))
OLD_OPTIONS = options(WITHSCORES, WITHSCORES, LIMITS, LIMITS, *map(alone, ["REV", "BYSCORE"]))
AGGREGATE = pair("AGGREGATE", st.sampled_from(["SUM", "MIN", "MAX", "sum", "BOGUS"]))
MPOP_OPTIONS = options(pair("COUNT", INDEXES), *map(alone, ["COUNT", "BOGUS"]))
SIDES = st.one_of(*map(cased, ["MIN", "MAX"]), *map(cased, ["MIN", "MAX"]), st.just("BOGUS"))
RANGES = ["ZREVRANGE", "ZRANGEBYSCORE", "ZREVRANGEBYSCORE"]


class SortedSetRules(Rules):
    def _check_zset_encoding(self, key: bytes) -> None:
        """Of a sorted set; other types are for others to look at."""
        ours, theirs = self.run_both("OBJECT", "ENCODING", key)
        if self.run_both("TYPE", key)[1] == Status("zset"):
            assert ours == theirs, f"{key!r}: {ours!r}, Redis: {theirs!r}"

    @rule(
        key=KEYS,
        flags=st.one_of(st.just([]), st.lists(st.sampled_from(FLAGS), max_size=3)),
        pairs=st.lists(st.tuples(SCORES, MEMBERS), min_size=1, max_size=4),
        more=st.sampled_from([[], [], [], [], ["1"]]),
    )
    def zadd(
        self, key: bytes, flags: list[str], pairs: list[tuple[str, bytes]], more: list[str]
    ) -> None:
        self.check("ZADD", self.key(key), *flags, *[word for one in pairs for word in one], *more)
        self._check_zset_encoding(self.key(key))

    @rule(
        key=KEYS,
        pairs=st.lists(st.tuples(GOOD, MEMBERS), min_size=1, max_size=8),
        is_new=st.booleans(),
    )
    def zadd_well(self, key: bytes, pairs: list[tuple[str, bytes]], is_new: bool) -> None:  # noqa: FBT001
        if is_new:
            self.check("DEL", self.key(key))
        self.check("ZADD", self.key(key), *[word for one in pairs for word in one])

    @rule(
        key=KEYS,
        count=st.sampled_from([28, 33, 127, 129, 700]),
        step=st.sampled_from([1, -1, 7]),
        same=st.booleans(),
    )
    def zadd_many(self, key: bytes, count: int, step: int, same: bool) -> None:  # noqa: FBT001
        """Enough that it is kept in chunks, and called a skiplist."""
        words: list[Word] = []
        for number in range(count):
            words += (1 if same else number * step % 701, f"m{number}")
        self.check("ZADD", self.key(key), *words)
        self._check_zset_encoding(self.key(key))

    @rule(key=KEYS, length=st.sampled_from([64, 65, 3000]))
    def zadd_long(self, key: bytes, length: int) -> None:
        self.check("ZADD", self.key(key), 1, b"x" * length)
        self._check_zset_encoding(self.key(key))

    @rule(key=KEYS, score=SCORES, member=MEMBERS)
    def zincrby(self, key: bytes, score: str, member: bytes) -> None:
        self.check("ZINCRBY", self.key(key), score, member)

    @rule(key=KEYS, members=st.lists(MEMBERS, min_size=1, max_size=4))
    def zscore(self, key: bytes, members: list[bytes]) -> None:
        name = self.key(key)
        self.check("ZCARD", name)
        self.check("ZMSCORE", name, *members)
        for command in ("ZSCORE", "ZRANK", "ZREVRANK"):
            self.check(command, name, members[0])

    @rule(key=KEYS, members=st.lists(MEMBERS, min_size=1, max_size=4))
    def zrem(self, key: bytes, members: list[bytes]) -> None:
        self.check("ZREM", self.key(key), *members)

    @rule(key=KEYS, start=INDEXES, stop=INDEXES, options=RANGE_OPTIONS)
    def zrange(self, key: bytes, start: str, stop: str, options: list[Word]) -> None:
        self.check("ZRANGE", self.key(key), start, stop, *options)

    @rule(key=KEYS, low=BOUNDS, high=BOUNDS, options=RANGE_OPTIONS)
    def zrange_by_score(self, key: bytes, low: str, high: str, options: list[Word]) -> None:
        self.check("ZRANGE", self.key(key), low, high, "BYSCORE", *options)
        self.check("ZCOUNT", self.key(key), low, high)

    @rule(
        key=KEYS,
        low=BOUNDS | INDEXES,
        high=BOUNDS | INDEXES,
        options=OLD_OPTIONS,
        name=st.sampled_from(RANGES),
    )
    def old_ranges(self, key: bytes, low: str, high: str, options: list[Word], name: str) -> None:
        self.check(name, self.key(key), low, high, *options)

    @rule(
        key=KEYS,
        members=st.lists(MEMBERS, max_size=9),
        bounds=st.tuples(LEX, LEX),
        limits=st.one_of(st.builds(list), LIMITS, WITHSCORES),
        is_many=st.booleans(),
        name=st.sampled_from(["ZREMRANGEBYLEX", "ZLEXCOUNT"]),
    )
    def lex(
        self,
        key: bytes,
        members: list[bytes],
        bounds: tuple[Word, Word],
        limits: list[Word],
        is_many: bool,  # noqa: FBT001
        name: str,
    ) -> None:
        """Ranges of bytes mean something only where all scores are the same."""
        target = self.key(key)
        self.check("DEL", target)
        many = [f"{number:x}" for number in range(300 * is_many)]
        elements: list[Word] = [*members, *many]
        for member in elements:
            self.run_both("ZADD", target, "1.5", member)
        back = bounds[::-1]
        self.check("ZLEXCOUNT", target, *bounds)
        self.check("ZRANGEBYLEX", target, *bounds, *limits)
        self.check("ZREVRANGEBYLEX", target, *back, *limits)
        self.check("ZRANGE", target, *bounds, "BYLEX", *limits)
        self.check("ZRANGE", target, *back, "BYLEX", "REV", *limits)
        self.check("ZRANGESTORE", target, target, *bounds, "BYLEX", *limits)
        self.check(name, target, *bounds)

    @rule(
        keys=st.tuples(KEYS, KEYS),
        bounds=st.tuples(BOUNDS, BOUNDS) | st.tuples(INDEXES, INDEXES),
        options=RANGE_OPTIONS,
    )
    def zrangestore(
        self, keys: tuple[bytes, bytes], bounds: tuple[str, str], options: list[Word]
    ) -> None:
        target, source = map(self.key, keys)
        self.check("ZRANGESTORE", target, source, *bounds, *options)
        self._check_zset_encoding(target)

    @rule(key=KEYS, low=BOUNDS, high=BOUNDS)
    def zremrangebyscore(self, key: bytes, low: str, high: str) -> None:
        self.check("ZREMRANGEBYSCORE", self.key(key), low, high)

    @rule(key=KEYS, start=INDEXES, stop=INDEXES)
    def zremrangebyrank(self, key: bytes, start: str, stop: str) -> None:
        self.check("ZREMRANGEBYRANK", self.key(key), start, stop)

    @rule(
        key=KEYS,
        counts=st.one_of(st.just([]), st.lists(INDEXES, max_size=2)),
        name=st.sampled_from(["ZPOPMIN", "ZPOPMAX"]),
    )
    def zpop(self, key: bytes, counts: list[str], name: str) -> None:
        self.check(name, self.key(key), *counts)

    @rule(
        keys=st.lists(KEYS, min_size=1, max_size=3),
        more=st.sampled_from([0, 0, 0, 0, 1, -1]),
        side=SIDES,
        options=MPOP_OPTIONS,
    )
    def zmpop(self, keys: list[bytes], more: int, side: str, options: list[Word]) -> None:
        words: list[Word] = [len(keys) + more, *map(self.key, keys), side, *options]
        self._check_counted("ZMPOP", *words, is_over=more > 0)

    def _check_counted(self, *args: Word, is_over: bool) -> None:
        """As `check`, but a word that is taken for a key may be on another shard."""
        ours, theirs = self.run_both(*args)
        if isinstance(ours, ErrorReply) and ours.code == "CROSSSLOT":
            assert is_over, args
        else:
            assert ours == theirs, f"{args}: {ours!r}, Redis: {theirs!r}"

    @rule(key=KEYS, number=INTS, side=SIDES)
    def zmpop_numbers(self, key: bytes, number: str, side: str) -> None:
        self.check("ZMPOP", number, self.key(key), side)

    @rule(
        key=KEYS,
        keys=st.lists(KEYS, min_size=1, max_size=3),
        more=st.sampled_from([0, 0, 0, 0, 0, 1, -1]),
        weights=st.none() | st.lists(GOOD, min_size=3, max_size=3) | st.lists(SCORES, max_size=4),
        options=options(AGGREGATE, AGGREGATE, WITHSCORES, alone("WEIGHTS")),
        name=st.sampled_from(["UNION", "INTER", "DIFF"]),
        is_stored=st.booleans(),
    )
    def algebra(
        self,
        key: bytes,
        keys: list[bytes],
        more: int,
        weights: list[str] | None,
        options: list[Word],
        name: str,
        is_stored: bool,  # noqa: FBT001
    ) -> None:
        words: list[Word] = [len(keys) + more, *map(self.key, keys)]
        if more > 0:
            weights, options = None, []  # Else Redis would take them for keys, and store.
        if weights is not None:
            words += ["weights", *(weights[: len(keys)] if len(weights) == 3 else weights)]
        words += options
        if is_stored:
            self.check(f"Z{name}STORE", self.key(key), *words)
            self._check_zset_encoding(self.key(key))
        else:
            self.check(f"Z{name}", *words)

    @rule(key=KEYS, members=st.lists(MEMBERS, min_size=1, max_size=5))
    def a_set_beside(self, key: bytes, members: list[bytes]) -> None:
        """What algebra takes as well."""
        self.check("DEL", self.key(key))
        self.check("SADD", self.key(key), *members)

    @rule(
        keys=st.lists(KEYS, min_size=1, max_size=3),
        more=st.sampled_from([0, 0, 0, 0, 1, -1]),
        options=options(pair("LIMIT", INDEXES), alone("LIMIT"), WITHSCORES),
    )
    def zintercard(self, keys: list[bytes], more: int, options: list[Word]) -> None:
        words: list[Word] = [len(keys) + more, *map(self.key, keys), *options]
        self._check_counted("ZINTERCARD", *words, is_over=more > 0)

    @rule(
        key=KEYS,
        count=st.one_of(st.integers(-9, 9).map(str), INTS),
        words=st.sampled_from([[], [], ["WITHSCORES"], ["withscores"], ["BOGUS"], ["a", "b"]]),
    )
    def zrandmember(self, key: bytes, count: str, words: list[Word]) -> None:
        name = self.key(key)
        one, other = self.run_both("ZRANDMEMBER", name)
        assert type(one) is type(other)
        if count.startswith("-9223"):
            return  # Ours refuses what could not be answered.
        ours, theirs = self.run_both("ZRANDMEMBER", name, count, *words)
        if isinstance(theirs, ErrorReply):
            assert ours == theirs
            return
        assert isinstance(ours, list)
        assert isinstance(theirs, list)
        assert len(ours) == len(theirs)
        members = {repr(one) for one in self.run_both("ZRANGE", name, 0, -1, *words)[1] or ()}  # type: ignore[union-attr]  # It is a list, since the key is there.
        assert members >= {repr(one) for one in ours}

    @rule(
        key=KEYS,
        options=options(
            pair("MATCH", st.sampled_from(["*", "a*", "m1*", "[ab]"])),
            pair("COUNT", st.sampled_from(["1", "10", "1000", "0", "x"])),
            *map(alone, ["COUNT", "BOGUS"]),
        ),
    )
    def zscan(self, key: bytes, options: list[Word]) -> None:
        ours, theirs = (
            self._zset_walked(which, "ZSCAN", self.key(key), options) for which in (0, 1)
        )
        assert ours == theirs

    def _zset_walked(self, which: int, command: str, key: bytes, options: list[Word]) -> object:
        """All that a walk meets, or the error."""
        found: dict[bytes, bytes] = {}
        cursor = b"0"
        while True:
            reply = self.run_both(command, key, cursor, *options)[which]
            if not isinstance(reply, list):
                return reply
            cursor, words = reply
            found |= zip(words[::2], words[1::2], strict=True)
            if cursor == b"0":
                return found

    @rule(key=KEYS, cursor=INTS)
    def zscan_anywhere(self, key: bytes, cursor: str) -> None:
        ours, theirs = self.run_both("ZSCAN", self.key(key), cursor)
        if isinstance(theirs, ErrorReply):
            assert ours == theirs
