"""Rules for streams and consumer groups.

Ids are small numbers, so that commands meet; those that are made from the clock follow one of the
far future, or they would differ. Times of the two sides are some milliseconds apart: what is told
of them is either far beyond that, or left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any  # Replies nest.

from hypothesis import strategies as st
from hypothesis.stateful import rule

from trimaran.proto.reply import ErrorReply, MapReply, Reply

from .strategies import INTS, VALUES, Rules, alone, cased, flat, options, pair
from .strategies import KEYS as ALL_KEYS

if TYPE_CHECKING:
    from .driver import Word

LONG_MS = 1_000_000_000  # Idle for so long is nobody by himself,
FAR_MS = 4_102_444_800_000  # and the clock does not get here.
# What is left out: the clock's, and how Redis counts the inner nodes of its tree.
UNEQUAL = [b"seen-time", b"active-time", b"idle", b"inactive", b"radix-tree-nodes"]

KEYS = st.one_of(st.sampled_from([b"a", b"a", b"b"]), ALL_KEYS)
SMALL_IDS = st.one_of(
    st.tuples(st.integers(0, 12), st.integers(0, 3)).map(lambda id_: f"{id_[0]}-{id_[1]}"),
    st.integers(0, 8).map(lambda sequence: f"12-{sequence}"),
)
MAX_ID = "18446744073709551615-18446744073709551615"
ODD_IDS = st.sampled_from(
    [
        *("0", "0-0", "7", "12", "5-*", "-", "+", "$", ">", "*", "5-", "-5", "x", "", "1-2-3"),
        *("18446744073709551615", "18446744073709551616", "5-18446744073709551615", MAX_ID),
        *("5-18446744073709551616", "05", "5-05", "+5", " 5", "5-+5", "5--1", "5--01", "5 "),
        *("(5", "5\0x", "5-0x1", "5-**", "50-0", "0" * 130, "0" * 120 + "5"),
    ]
)
IDS = st.one_of(SMALL_IDS, SMALL_IDS, SMALL_IDS, SMALL_IDS, ODD_IDS)
NEW_IDS = st.one_of(
    st.integers(0, 12).map(lambda ms: f"{ms}-*"), SMALL_IDS, SMALL_IDS, ODD_IDS.filter("*".__ne__)
)
ENDS = st.one_of(
    st.sampled_from(["-", "+", "(0-0", "(" + MAX_ID, "(", "(-", "(+", "(x"]),
    SMALL_IDS.map(lambda id_: "(" + id_),
    IDS,
)
COUNTS = st.sampled_from(["0", "1", "2", "3", "10", "1000", "-1", "x", "9223372036854775807"])
FIELDS = st.sampled_from([b"a", b"b", b"12", b""])
PAIRS = st.lists(st.tuples(FIELDS, VALUES), min_size=1, max_size=3).map(
    lambda pairs: [word for pair in pairs for word in pair]
)
LONG_VALUES = st.one_of(
    st.sampled_from([b"x" * 63, b"x" * 64, b"x" * 400, b"x" * 2000, b"x" * 4095, b"x" * 5000]),
    st.sampled_from([b"127", b"128", b"-4096", b"4095", b"4096", b"32768", b"-32769", b"8388608"]),
    st.sampled_from([b"2147483648", b"9223372036854775807", b"007", b"x" * 16400]),
    VALUES,
)
TRIMS: st.SearchStrategy[list[Word]] = st.one_of(
    st.tuples(
        cased("MAXLEN"),
        st.sampled_from(["=", "~", "~", None]),
        st.one_of(st.integers(0, 20).map(str), st.sampled_from(["100", "150", "-1", "x"])),
    ),
    st.tuples(cased("MINID"), st.sampled_from(["=", "~", "~", None]), IDS),
).map(lambda words: [word for word in words if word is not None])
LIMITS = pair("LIMIT", st.sampled_from(["0", "1", "50", "99", "100", "200", "-1", "x"]))
NO_TRIM: st.SearchStrategy[list[Word]] = st.just([])
TRIM_OPTIONS = st.one_of(
    TRIMS,
    TRIMS,
    st.lists(st.one_of(TRIMS, LIMITS, alone("MAXLEN"), alone("BOGUS")), max_size=2).map(flat),
    st.tuples(TRIMS, LIMITS).map(lambda parts: [*parts[0], *parts[1]]),
)
ADD_OPTIONS = st.one_of(NO_TRIM, NO_TRIM, NO_TRIM, TRIM_OPTIONS, alone("NOMKSTREAM"))
GROUPS = st.sampled_from(["g", "g", "g", "g", "g", "g", "h", "h\0x", ""])
CONSUMERS = st.sampled_from(["c", "c", "c", "d", "d", "e", ""])
READ_OPTIONS = options(pair("COUNT", COUNTS), alone("COUNT"), alone("NOACK"), alone("BOGUS"))
ODD = st.sampled_from([0, 0, 0, 1])  # Words too few.
READ_IDS = st.one_of(st.sampled_from([">", ">", ">", "0", "$"]), IDS).filter("+".__ne__)
IDLE = st.sampled_from(["0", "0", "0", str(LONG_MS), "-1", "50000", "x"])
CLAIM_OPTIONS = options(
    *map(alone, ["FORCE", "JUSTID", "IDLE", "BOGUS"]),
    pair("IDLE", st.sampled_from(["0", "100000", "-5", "x", str(2 * LONG_MS)])),
    pair("TIME", st.sampled_from(["0", "1000000", str(FAR_MS), "-1", "x"])),
    pair("RETRYCOUNT", st.sampled_from(["0", "5", "-1", "x"])),
    pair("LASTID", IDS),
)


BAD = [
    *("XINFO STREAM a FULL COUNT", "XINFO STREAM a FULL COUNT x", "XINFO STREAM a BOGUS"),
    *("XINFO STREAM a FULL BOGUS 1", "XINFO STREAM nothing BOGUS", "XINFO BOGUS a"),
    *("XGROUP CREATE a g 0 BOGUS", "XGROUP SETID a g 0 MKSTREAM", "XGROUP BOGUS a g"),
    *("XGROUP CREATE a g 0 MKSTREAM ENTRIESREAD 1 MKSTREAM", "XREAD STREAMS a", "XREAD"),
    *("XGROUP SETID a g 0 ENTRIESREAD", "XPENDING a g - +", "XPENDING a g IDLE 1 - +"),
    *("XREAD COUNT 1 STREAMS", "XREAD COUNT x STREAMS a 0", "XREAD NOACK STREAMS a 0"),
    *("XREAD GROUP g c STREAMS a 0", "XREADGROUP COUNT 1 NOACK STREAMS a >"),
    *("XREADGROUP GROUP g c STREAMS a $", "XREAD STREAMS a >", "XREAD BLOCK x STREAMS a 0"),
    *("XREAD BLOCK -1 STREAMS a 0", "XREADGROUP GROUP g c BLOCK x STREAMS a >"),
    *("XADD a MAXLEN 1 MINID 1 1 a b", "XADD a LIMIT 5 1 a b", "XADD a LIMIT 0 1 a b"),
    *("XADD a MAXLEN 5 LIMIT 5 1 a b", "XADD a 1 a", "XADD a MAXLEN ~ 1 1", "XTRIM a"),
    *("XTRIM a LIMIT 5", "XTRIM a MAXLEN", "XTRIM a MAXLEN ~ 5 LIMIT", "XADD a 0-* a b"),
    *("XGROUP CREATE a", "XADD a NOMKSTREAM", "XPENDING a g - + 1 c d"),
]


NEAR = st.integers(0, 12).map(lambda sequence: f"12-{sequence}")
SOME = st.lists(NEAR, min_size=1, max_size=4)
WHO = st.sampled_from(["c", "c", "d"])
READ_COUNTS = st.sampled_from([["COUNT", "1"], ["COUNT", "4"], [], ["NOACK", "COUNT", "2"]])
# What is done with a stream of a dozen entries that has a group: KEY is filled in.
STORY = st.lists(
    st.one_of(
        st.tuples(WHO, READ_COUNTS, st.sampled_from([">", ">", "0"])).map(
            lambda it: [*("XREADGROUP", "GROUP", "g", it[0]), *it[1], "STREAMS", "KEY", it[2]]
        ),
        SOME.map(lambda ids: ["XACK", "KEY", "g", *ids]),
        SOME.map(lambda ids: ["XDEL", "KEY", *ids]),
        TRIMS.map(lambda words: ["XTRIM", "KEY", *words]),
        st.tuples(WHO, st.sampled_from(["0", str(LONG_MS)]), SOME, CLAIM_OPTIONS).map(
            lambda it: ["XCLAIM", "KEY", "g", it[0], it[1], *it[2], *it[3]]
        ),
        st.tuples(WHO, st.sampled_from(["0", "50000"]), NEAR, st.sampled_from(["1", "3", "9"])).map(
            lambda it: ["XAUTOCLAIM", "KEY", "g", *it[:3], "COUNT", it[3]]
        ),
        NEAR.map(lambda id_: ["XGROUP", "SETID", "KEY", "g", id_]),
        WHO.map(lambda name: ["XGROUP", "DELCONSUMER", "KEY", "g", name]),
        st.just(["XADD", "KEY", "12-*", "a", "b"]),
        st.just(["XPENDING", "KEY", "g"]),
        st.just(["XINFO", "GROUPS", "KEY"]),
        st.just(["XINFO", "STREAM", "KEY", "FULL"]),
        WHO.map(lambda name: ["XPENDING", "KEY", "g", "IDLE", "50000", "-", "+", "9", name]),
        st.just(["XPENDING", "KEY", "g", "-", "+", "100"]),
    ),
    min_size=1,
    max_size=12,
)


def without_times(reply: Any) -> Any:
    """What XINFO answers, in one form for both protocols."""
    if isinstance(reply, MapReply):
        reply = [word for one in reply.pairs for word in one]
    if not isinstance(reply, list):
        return reply
    is_fields = len(reply) % 2 == 0 and reply[:1] in ([b"length"], [b"name"])
    if not is_fields:
        return [without_times(one) for one in reply]
    fields = dict(zip(reply[::2], reply[1::2], strict=True))
    pending = fields.get(b"pending")
    if isinstance(pending, list):  # The time of delivery is the last but one.
        fields[b"pending"] = [[*one[:-2], one[-2] > LONG_MS, one[-1]] for one in pending]
    return {
        name.decode(): without_times(value) for name, value in fields.items() if name not in UNEQUAL
    }


class StreamRules(Rules):
    def _alike(self, *args: Word) -> None:
        ours, theirs = map(without_times, self.run_both(*args))
        assert ours == theirs, f"{args}: {ours!r}, Redis: {theirs!r}"

    # --- Entries.

    @rule(key=KEYS, id_=NEW_IDS, pairs=PAIRS, more=ADD_OPTIONS, is_odd=ODD)
    def xadd(self, key: bytes, id_: str, pairs: list[bytes], more: list[Word], is_odd: int) -> None:
        self.check("XADD", self.key(key), *more, id_, *pairs[is_odd:])

    @rule(
        key=KEYS,
        count=st.sampled_from([3, 30, 101, 120]),
        pairs=st.lists(st.tuples(PAIRS, LONG_VALUES), min_size=1, max_size=3),
        trim=st.one_of(NO_TRIM, TRIMS),
    )
    def xadd_many(
        self, key: bytes, count: int, pairs: list[tuple[list[bytes], bytes]], trim: list[Word]
    ) -> None:
        """Long enough that there are several nodes, cut where Redis cuts them."""
        name = self.key(key)
        for number in range(count):
            fields, value = pairs[number % len(pairs)]
            self.check("XADD", name, *trim, "12-*", *fields[:-1], value)
        self._alike("XINFO", "STREAM", name)

    @rule(key=KEYS, ms=st.sampled_from([FAR_MS, FAR_MS + 1]), sequence=st.sampled_from(["*", "7"]))
    def xadd_by_clock(self, key: bytes, ms: int, sequence: str) -> None:
        self.check("XADD", self.key(key), f"{ms}-{sequence}", "a", "b")
        if sequence == "7":
            self.check("XADD", self.key(key), f"{ms}-18446744073709551615", "a", "b")
            self.check("XADD", self.key(key), f"{ms}-*", "a", "b")
        if self.check("XREVRANGE", self.key(key), "+", FAR_MS, "COUNT", "1") != []:
            self.run_both("XADD", self.key(key), "*", "a", "b")

    @rule(key=KEYS, more=TRIM_OPTIONS)
    def xtrim(self, key: bytes, more: list[Word]) -> None:
        self.check("XTRIM", self.key(key), *more)

    @rule(key=KEYS, ids=st.lists(IDS, max_size=3))
    def xdel(self, key: bytes, ids: list[str]) -> None:
        self.check("XDEL", self.key(key), *ids)

    @rule(key=KEYS, first=st.integers(0, 120), count=st.sampled_from([1, 20, 100]))
    def xdel_many(self, key: bytes, first: int, count: int) -> None:
        ids = [f"12-{number}" for number in range(first, first + count)]
        self.check("XDEL", self.key(key), *ids)

    @rule(
        key=KEYS,
        id_=IDS,
        more=options(
            pair("ENTRIESADDED", INTS | st.sampled_from(["3", "20", "300"])),
            pair("MAXDELETEDID", IDS),
            alone("BOGUS"),
        ),
    )
    def xsetid(self, key: bytes, id_: str, more: list[Word]) -> None:
        self.check("XSETID", self.key(key), id_, *more)

    @rule(
        key=KEYS,
        ends=st.tuples(ENDS, ENDS),
        more=options(pair("COUNT", COUNTS), alone("COUNT"), alone("BOGUS")),
        name=st.sampled_from(["XRANGE", "XREVRANGE"]),
    )
    def xrange(self, key: bytes, ends: tuple[str, str], more: list[Word], name: str) -> None:
        self.check("XLEN", self.key(key))
        self.check(name, self.key(key), *ends, *more)

    @rule(key=KEYS, count=st.sampled_from(["5", "200"]))
    def xrange_all(self, key: bytes, count: str) -> None:
        self.check("XRANGE", self.key(key), "-", "+", "COUNT", count)
        self.check("XREVRANGE", self.key(key), "+", "-", "COUNT", count)

    @rule(
        keys=st.lists(KEYS, min_size=1, max_size=3),
        ids=st.lists(READ_IDS, min_size=3, max_size=3),
        more=READ_OPTIONS,
        is_odd=ODD,
    )
    def xread(self, keys: list[bytes], ids: list[str], more: list[Word], is_odd: int) -> None:
        names = [*map(self.key, keys)]
        self.check("XREAD", *more, "STREAMS", *names, *ids[: len(names) - is_odd])

    @rule(
        key=KEYS,
        more=st.sampled_from([[], ["FULL"], ["full", "COUNT", "0"], ["FULL", "COUNT", "3"]]),
    )
    def xinfo_stream(self, key: bytes, more: list[str]) -> None:
        self._alike("XINFO", "STREAM", self.key(key), *more)

    @rule(key=KEYS, group=GROUPS)
    def xinfo_groups(self, key: bytes, group: str) -> None:
        self._alike("XINFO", "GROUPS", self.key(key))
        self._alike("XINFO", "CONSUMERS", self.key(key), group)

    @rule(args=st.sampled_from(BAD))
    def bad_stream_arguments(self, args: str) -> None:
        self.check(*[self.key(b"a") if word == "a" else word for word in args.split(" ")])

    # --- Groups.

    @rule(
        key=KEYS,
        group=GROUPS,
        id_=st.one_of(st.sampled_from(["0", "$"]), IDS),
        more=options(
            *map(alone, ["MKSTREAM", "MKSTREAM", "ENTRIESREAD"]), pair("ENTRIESREAD", INTS)
        ),
        name=st.sampled_from(["CREATE", "CREATE", "SETID"]),
    )
    def xgroup(self, key: bytes, group: str, id_: str, more: list[Word], name: str) -> None:
        self.check("XGROUP", name, self.key(key), group, id_, *more)

    @rule(key=KEYS, group=GROUPS, consumer=CONSUMERS, name=st.sampled_from(["CREATE", "DEL"]))
    def xgroup_consumer(self, key: bytes, group: str, consumer: str, name: str) -> None:
        self.check("XGROUP", name + "CONSUMER", self.key(key), group, consumer)

    @rule(key=KEYS, group=GROUPS)
    def xgroup_destroy(self, key: bytes, group: str) -> None:
        self.check("XGROUP", "DESTROY", self.key(key), group)

    @rule(
        keys=st.lists(KEYS, min_size=1, max_size=3),
        ids=st.lists(READ_IDS, min_size=3, max_size=3),
        group=GROUPS,
        consumer=CONSUMERS,
        more=READ_OPTIONS,
    )
    def xreadgroup(
        self, keys: list[bytes], ids: list[str], group: str, consumer: str, more: list[Word]
    ) -> None:
        names = [*map(self.key, keys)]
        words = ["GROUP", group, consumer, *more]
        self.check("XREADGROUP", *words, "STREAMS", *names, *ids[: len(names)])

    @rule(
        key=KEYS,
        new=st.sampled_from([0, 1, 3, 8]),
        consumer=CONSUMERS,
        count=COUNTS,
        id_=st.one_of(st.sampled_from([">", ">", "0"]), READ_IDS),
    )
    def xreadgroup_one(self, key: bytes, new: int, consumer: str, count: str, id_: str) -> None:
        name = self.key(key)
        for number in range(new):
            self.check("XADD", name, "12-*", "a", number)
        self.check("XGROUP", "CREATE", name, "g", "0")
        self.check("XREADGROUP", "GROUP", "g", consumer, "COUNT", count, "STREAMS", name, id_)
        self._alike("XINFO", "GROUPS", name)

    @rule(key=KEYS, story=STORY, read=st.sampled_from(["0", "-1", "3"]))
    def group_at_work(self, key: bytes, story: list[list[Word]], read: str) -> None:
        name = self.key(key)
        self.check("DEL", name)
        for number in range(10):
            self.check("XADD", name, "12-*", "a", number)
        self.check("XGROUP", "CREATE", name, "g", "0", "ENTRIESREAD", read)
        for step in story:
            command = [name if word == "KEY" else word for word in step]
            if command[0] == "XINFO":
                self._alike(*command)
            elif command[0] == "XPENDING":
                both = self.run_both(*command)
                ours, theirs = map(without_idle_times, both) if len(command) > 3 else both
                assert ours == theirs, f"{command}: {ours!r}, Redis: {theirs!r}"
            else:
                self.check(*command)

    @rule(key=KEYS, group=GROUPS, ids=st.lists(IDS, max_size=3))
    def xack(self, key: bytes, group: str, ids: list[str]) -> None:
        self.check("XACK", self.key(key), group, *ids)

    @rule(key=KEYS, first=st.integers(0, 120), count=st.sampled_from([20, 100]))
    def xack_many(self, key: bytes, first: int, count: int) -> None:
        self.check("XACK", self.key(key), "g", *[f"12-{first + one}" for one in range(count)])

    @rule(key=KEYS, group=GROUPS)
    def xpending(self, key: bytes, group: str) -> None:
        self.check("XPENDING", self.key(key), group)

    @rule(
        key=KEYS,
        group=GROUPS,
        idle=st.one_of(st.just([]), pair("IDLE", IDLE)),
        ends=st.one_of(st.just(("-", "+")), st.tuples(ENDS, ENDS)),
        count=COUNTS,
        more=st.lists(CONSUMERS, max_size=2),
    )
    def xpending_entries(
        self,
        key: bytes,
        group: str,
        idle: list[Word],
        ends: tuple[str, str],
        count: str,
        more: list[str],
    ) -> None:
        both = self.run_both("XPENDING", self.key(key), group, *idle, *ends, count, *more)
        ours, theirs = map(without_idle_times, both)
        assert ours == theirs, f"{key!r} {group} {idle} {ends}: {ours!r}, Redis: {theirs!r}"

    @rule(
        key=KEYS,
        group=GROUPS,
        consumer=CONSUMERS,
        idle=IDLE,
        ids=st.lists(IDS, min_size=1, max_size=4),
        more=CLAIM_OPTIONS,
    )
    def xclaim(
        self, key: bytes, group: str, consumer: str, idle: str, ids: list[str], more: list[Word]
    ) -> None:
        self.check("XCLAIM", self.key(key), group, consumer, idle, *ids, *more)

    @rule(
        key=KEYS,
        group=GROUPS,
        consumer=CONSUMERS,
        idle=IDLE,
        start=ENDS | st.just("0"),
        more=options(
            pair("COUNT", COUNTS.filter("9223372036854775807".__ne__)), alone("JUSTID"), alone("X")
        ),
    )
    def xautoclaim(
        self, key: bytes, group: str, consumer: str, idle: str, start: str, more: list[Word]
    ) -> None:
        self.check("XAUTOCLAIM", self.key(key), group, consumer, idle, start, *more)


def without_idle_times(reply: Reply) -> Any:
    """XPENDING's entries; of the idle time whether it is one that a claim has set."""
    if isinstance(reply, ErrorReply) or not isinstance(reply, list):
        return reply
    return [[one[0], one[1], one[2] // 50_000 if one[2] < LONG_MS else -1, one[3]] for one in reply]
