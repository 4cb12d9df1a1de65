"""The machine: every step is played on us and on a real Redis; the answers must be the same.

Replies are compared as they come out of a socket, kind and text, in RESP 2 and 3. `targets.py` has
what can play our part. A key must not expire by the clock between the two answers, so times to live
are long, or over before anybody looks.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar  # Any: replies nest.

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from trimaran.cluster.command import Spread
from trimaran.cluster.commands import COMMANDS
from trimaran.proto.reply import ErrorReply, MapReply, Reply, Status

from .bitmaps import BitmapRules
from .blocking import BlockingRules
from .driver import Word, words
from .dumping import DumpRules
from .hashes import HashRules
from .hyperloglog import HyperLogLogRules
from .lists import ListRules
from .scripting import ScriptRules
from .sets import SetRules
from .sorted_sets import SortedSetRules
from .sorting import SortRules
from .strategies import INTS, KEYS, LETTERS, VALUES, alone, options, pair
from .streams import StreamRules
from .table import TABLE_NAMES, TableRules

if TYPE_CHECKING:
    from .targets import Target

SETTLE_S = 5.0
SLACK_MS = 5_000  # Two clocks, and a slow machine between them.
FAR_S = 4_102_444_800  # The year 2100: nothing set to it expires during a run.

NOT_SOON = INTS.filter(lambda text: text not in {"1", "7", "10"})
FLOATS = st.one_of(
    INTS,
    st.sampled_from(
        ["0.1", "3.0e3", "-.5", "1.", ".", "1e", "inf", "-inf", "nan", "0x1p4", "0x.8", "1e400"]
    ),
    st.sampled_from(["1e99999999999999999999", "1.0000000000000001", "18446744073709551617"]),
    st.sampled_from(["1e4932", "-1e4932", "1e4933", "1e-4951"]),
    st.sampled_from(["1e-5000", "5e-18", "1.5e-17", "-5e-18", "0." + "3" * 40]),
    st.sampled_from(["9" * 5119, "9" * 5120, "1e1\0"]),
    st.floats(allow_nan=False).map(repr),
    st.decimals(allow_nan=False, allow_infinity=False, places=18).map(str),
)
FAR_TIMES = st.integers(FAR_S, FAR_S + 3)
SPANS = st.sampled_from([100_000, 200_000, 200_001])
DATABASES = st.sampled_from([0, 0, 0, 1, 3])
NO_DATABASES = ["16", "-1", "x", "01", "2147483648", "-2147483649", "99999999999999"]
DATABASE_WORDS = st.one_of(
    st.sampled_from(["0", "1", "3"]), st.sampled_from(["0", "1", "1", "3", *NO_DATABASES])
)


def _milliseconds(seconds: st.SearchStrategy[int]) -> st.SearchStrategy[int]:
    return st.tuples(seconds, st.sampled_from([0, 499, 500, 999])).map(
        lambda pair: pair[0] * 1000 + pair[1]
    )


PAST = st.sampled_from([1, 1_000_000_000])
TIMES = (
    pair("EX", SPANS | NOT_SOON),
    pair("PX", _milliseconds(SPANS) | NOT_SOON),
    pair("EXAT", FAR_TIMES | PAST | NOT_SOON),
    pair("PXAT", _milliseconds(FAR_TIMES) | PAST | NOT_SOON),
)
SET_OPTIONS = options(*map(alone, ["NX", "XX", "GET", "KEEPTTL", "EX", "BOGUS"]), *TIMES)
GETEX_OPTIONS = options(*map(alone, ["PERSIST", "EX", "NX", "KEEPTTL"]), *TIMES)
COPY_OPTIONS = options(*map(alone, ["REPLACE", "REPLACE", "DB"]), pair("DB", DATABASE_WORDS))
LCS_OPTIONS = options(
    *map(alone, ["LEN", "IDX", "IDX", "WITHMATCHLEN", "MINMATCHLEN", "BOGUS"]),
    pair("MINMATCHLEN", st.sampled_from(["0", "1", "2", "3", "-1", "x", "9223372036854775808"])),
)
EXPIRE_OPTIONS = st.one_of(
    st.lists(st.sampled_from(["NX", "XX", "GT", "LT", "gt", "Lt"]), max_size=1),
    st.lists(st.sampled_from(["NX", "XX", "GT", "LT", "nx", "bogus", "b\r\nogus"]), max_size=2),
)
EXPIRE_TIMES = {
    "EXPIRE": st.one_of(SPANS, SPANS, NOT_SOON),
    "PEXPIRE": st.one_of(_milliseconds(SPANS), _milliseconds(SPANS), NOT_SOON),
    "EXPIREAT": st.one_of(FAR_TIMES, FAR_TIMES, PAST, NOT_SOON),
    "PEXPIREAT": st.one_of(_milliseconds(FAR_TIMES), _milliseconds(FAR_TIMES), PAST, NOT_SOON),
}
PATTERNS = st.one_of(
    st.sampled_from(
        ["*", "", "?", "a", "[ab]", "[^a]", "{tag}?", "[a-c]", "[c-a]", "\\a", "*\\"]
    ).map(str.encode),
    st.lists(st.sampled_from([b"*", b"?", b"[", b"]", b"^", b"-", b"a", b"b", b"\\", b"{"])).map(
        b"".join
    ),
)
# What is put into a transaction.
QUEUED = st.one_of(
    st.tuples(st.sampled_from(["GET", "INCR", "DEL", "STRLEN", "GETDEL", "PERSIST"]), KEYS),
    st.tuples(st.sampled_from(["SET", "APPEND", "SETNX", "GETSET", "INCRBYFLOAT"]), KEYS, VALUES),
    st.tuples(st.sampled_from(["RENAME", "RENAMENX", "COPY", "LCS"]), KEYS, KEYS),
    st.tuples(st.sampled_from(["SADD", "SREM", "SISMEMBER"]), KEYS, VALUES),
    st.tuples(st.just("MOVE"), KEYS, DATABASE_WORDS),
    st.sampled_from([("GET",), ("BOGUS", b"x"), ("MULTI",), ("PING",), ("OBJECT", b"BOGUS")]),
)
# Ways to let a key expire within a few milliseconds: KEY, NOW and AT are filled in.
SOON = [
    ["SET", "KEY", "x", "PX", "LEFT"],
    ["SET", "KEY", "x", "PXAT", "AT"],
    ["PSETEX", "KEY", "LEFT", "x"],
    ["GETEX", "KEY", "PX", "LEFT"],
    ["PEXPIRE", "KEY", "LEFT"],
    ["PEXPIREAT", "KEY", "AT"],
]
# What meets a key that is due.
MEETINGS = [
    *(["GET", "KEY"], ["EXISTS", "KEY"], ["TTL", "KEY"], ["TYPE", "KEY"], ["PERSIST", "KEY"]),
    *(["INCR", "KEY"], ["APPEND", "KEY", "y"], ["SETNX", "KEY", "y"], ["GETDEL", "KEY"]),
    *(["RENAME", "KEY", "OTHER"], ["RENAMENX", "OTHER", "KEY"], ["COPY", "OTHER", "KEY"]),
    *(["COPY", "KEY", "OTHER", "REPLACE"], ["MOVE", "KEY", "3"], ["SETRANGE", "KEY", "2", "y"]),
    *(["MSETNX", "KEY", "y"], ["OBJECT", "ENCODING", "KEY"], ["INCRBYFLOAT", "KEY", "1.5"]),
    *(["SET", "KEY", "y", "XX"], ["SET", "KEY", "y", "KEEPTTL"], ["SET", "KEY", "y", "NX", "GET"]),
    *(["DEL", "KEY"], ["LCS", "KEY", "OTHER"], ["GETEX", "KEY", "PERSIST"], ["TOUCH", "KEY"]),
    *(["PEXPIRE", "KEY", "100000"], ["GETSET", "KEY", "y"], ["GETRANGE", "KEY", "0", "-1"]),
]
# Ways to set a string after which Redis keeps it as it would if it was SET.
FRESH = [["SET"], ["SETNX"], ["GETSET"], ["MSET"], ["MSETNX"], ["APPEND"], ["SETEX"]]
FRESH += [["SET", "GET"]]


def is_cross_slot(ours: Reply, theirs: Reply) -> bool:
    """A node sees first that words taken for keys are on several shards; Redis, what they are."""
    return (
        isinstance(ours, ErrorReply) and isinstance(theirs, ErrorReply) and ours.code == "CROSSSLOT"
    )


def same(ours: Reply, theirs: Reply, slack: int = 0) -> bool:
    """Whether two replies are the same, in kind too; numbers above 0 may be `slack` apart."""
    if is_cross_slot(ours, theirs):
        return True
    if type(ours) is not type(theirs):
        return False
    if isinstance(ours, int) and isinstance(theirs, int) and min(ours, theirs) > 0:
        return abs(ours - theirs) <= slack
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(ours, MapReply) and isinstance(theirs, MapReply):
        return same([list(pair) for pair in ours.pairs], [list(pair) for pair in theirs.pairs])
    return ours == theirs


class BothMachine(
    BitmapRules,
    BlockingRules,
    DumpRules,
    HashRules,
    HyperLogLogRules,
    ListRules,
    ScriptRules,
    SetRules,
    SortRules,
    TableRules,
    SortedSetRules,
    StreamRules,
    RuleBasedStateMachine,
):
    """`ours` and `redis` are set by who runs it."""

    ours: ClassVar[Target]
    redis: ClassVar[Target]
    home: ClassVar[int] = 0  # The database where most of it happens.
    protocols: ClassVar[tuple[int, ...]] = (2, 3)

    def __init__(self) -> None:
        super().__init__()
        self.touched: dict[bytes, None] = {}
        self.recent: list[list[bytes]] = []

    @initialize(chosen=st.integers(0, 1), chance=st.integers(0, 2**63))
    def empty(self, chosen: int, chance: int) -> None:
        self.random = Random(chance)
        protocol = self.protocols[chosen % len(self.protocols)]
        self.ours.begin(protocol, self.home)
        self.redis.begin(protocol, self.home)

    def db(self, number: int) -> int:
        """0 is where we are at home, 1 and 3 are two others on the same shard."""
        return {0: self.home, 1: self.home ^ 1, 3: self.home ^ 3}[number]

    def db_word(self, word: str) -> str:
        return str(self.db(int(word))) if word in ("0", "1", "3") else word

    def key(self, name: bytes) -> bytes:
        key = self.ours.prefix + name
        self.touched[key] = None
        return key

    def run_both(self, *args: Word) -> tuple[Reply, Reply]:
        return self.ours.run(words(*args)), self.redis.run(words(*args))

    def check(self, *args: Word, slack: int = 0) -> Reply:
        ours, theirs = self.run_both(*args)
        assert same(ours, theirs, slack), f"{words(*args)}: {ours!r}, Redis: {theirs!r}"
        return theirs

    @rule(db=DATABASES)
    def select(self, db: int) -> None:
        self.ours.select(self.db(db))
        self.redis.select(self.db(db))

    # --- Strings.

    @rule(key=KEYS, value=VALUES, options=SET_OPTIONS)
    def set_(self, key: bytes, value: bytes, options: list[Word]) -> None:
        self.check("SET", self.key(key), value, *options)
        # Redis keeps a key that is set to a past time until it is looked at: DBSIZE counts it.
        self.check("EXISTS", self.key(key))

    @rule(
        key=KEYS,
        name=st.sampled_from(
            ["GET", "STRLEN", "TYPE", "PERSIST", "INCR", "DECR", "GETDEL", "GETEX"]
        ),
    )
    def one_key(self, key: bytes, name: str) -> None:
        self.check(name, self.key(key))

    @rule(key=KEYS, options=GETEX_OPTIONS)
    def getex(self, key: bytes, options: list[Word]) -> None:
        self.check("GETEX", self.key(key), *options)

    @rule(key=KEYS, number=INTS, name=st.sampled_from(["INCRBY", "DECRBY"]))
    def add(self, key: bytes, number: str, name: str) -> None:
        self.check(name, self.key(key), number)

    @rule(key=KEYS, value=FLOATS, number=FLOATS, is_set=st.booleans())
    def incrbyfloat(self, key: bytes, value: str, number: str, is_set: bool) -> None:  # noqa: FBT001
        if is_set:
            self.check("SET", self.key(key), value)
        self.check("INCRBYFLOAT", self.key(key), number)

    @rule(key=KEYS, value=VALUES, name=st.sampled_from(["APPEND", "GETSET", "SETNX"]))
    def with_value(self, key: bytes, value: bytes, name: str) -> None:
        self.check(name, self.key(key), value)

    @rule(
        key=KEYS,
        timed=st.one_of(
            st.tuples(st.just("SETEX"), SPANS | NOT_SOON),
            st.tuples(st.just("PSETEX"), _milliseconds(SPANS) | NOT_SOON),
        ),
        value=VALUES,
    )
    def setex(self, key: bytes, timed: tuple[str, Word], value: bytes) -> None:
        self.check(timed[0], self.key(key), timed[1], value)

    @rule(
        key=KEYS,
        start=INTS | st.integers(-14, 14).map(str),
        end=INTS | st.integers(-14, 14).map(str),
        name=st.sampled_from(["GETRANGE", "SUBSTR"]),
    )
    def getrange(self, key: bytes, start: str, end: str, name: str) -> None:
        self.check(name, self.key(key), start, end)

    @rule(
        key=KEYS,
        offset=INTS | st.sampled_from(["2", "50", "536870912", "536870913"]),
        value=VALUES,
    )
    def setrange(self, key: bytes, offset: str, value: bytes) -> None:
        self.check("SETRANGE", self.key(key), offset, value)

    @rule(keys=st.tuples(KEYS, KEYS), values=st.none() | st.tuples(LETTERS, LETTERS), o=LCS_OPTIONS)
    def lcs(
        self, keys: tuple[bytes, bytes], values: tuple[bytes, bytes] | None, o: list[Word]
    ) -> None:
        first, second = map(self.key, keys)
        if values is not None:
            self.check("MSET", first, values[0], second, values[1])
        self.check("LCS", first, second, *o)

    @rule(
        keys=st.lists(KEYS, max_size=4),
        name=st.sampled_from(["MGET", "DEL", "UNLINK", "EXISTS", "TOUCH"]),
    )
    def many_keys(self, keys: list[bytes], name: str) -> None:
        self.check(name, *map(self.key, keys))

    @rule(
        pairs=st.lists(st.tuples(KEYS, VALUES), min_size=1, max_size=3),
        is_odd=st.booleans(),
        name=st.sampled_from(["MSET", "MSETNX"]),
    )
    def mset(self, pairs: list[tuple[bytes, bytes]], is_odd: bool, name: str) -> None:  # noqa: FBT001
        args = [word for key, value in pairs for word in (self.key(key), value)]
        self.check(name, *(args[:-1] if is_odd else args))

    # --- Keys.

    @rule(keys=st.tuples(KEYS, KEYS), name=st.sampled_from(["RENAME", "RENAMENX"]))
    def rename(self, keys: tuple[bytes, bytes], name: str) -> None:
        self.check(name, *map(self.key, keys))

    @rule(keys=st.tuples(KEYS, KEYS), options=COPY_OPTIONS)
    def copy(self, keys: tuple[bytes, bytes], options: list[Word]) -> None:
        words = [self.db_word(word) if isinstance(word, str) else word for word in options]
        self.check("COPY", *map(self.key, keys), *words)

    @rule(key=KEYS, db=DATABASE_WORDS)
    def move(self, key: bytes, db: str) -> None:
        self.check("MOVE", self.key(key), self.db_word(db))

    @rule(key=KEYS, db=st.sampled_from([0, 1, 3]), value=VALUES)
    def move_and_follow(self, key: bytes, db: int, value: bytes) -> None:
        self.check("SET", self.key(key), value, "KEEPTTL", "NX")
        self.check("MOVE", self.key(key), self.db(db))
        self.select(db)

    @rule(key=KEYS, value=VALUES, way=st.sampled_from(FRESH))
    def fresh(self, key: bytes, value: bytes, way: list[str]) -> None:
        """How a value is kept, where that follows from the value alone."""
        name = self.key(key)
        self.check("DEL", name)
        times = ["100000"] if way[0] == "SETEX" else []
        self.check(way[0], name, *times, value, *way[1:])
        self.check("OBJECT", "ENCODING", name)
        self.check("OBJECT", "REFCOUNT", name)
        ours, theirs = self.run_both("DEBUG", "OBJECT", name)
        assert isinstance(ours, Status)
        assert isinstance(theirs, Status)
        if len(value) <= 20:  # Redis compresses longer ones.
            assert ours.text.split()[2:] == theirs.text.split()[2:5]

    @rule(key=KEYS)
    def object_(self, key: bytes) -> None:
        name = self.key(key)
        self.check("OBJECT", "FREQ", name)
        self.check("DEBUG", "DIGEST-VALUE", name, self.key(b"b"))
        ours, theirs = self.run_both("OBJECT", "IDLETIME", name)
        assert (ours is None) == (theirs is None)
        ours, theirs = self.run_both("MEMORY", "USAGE", name, "SAMPLES", "0")
        assert type(ours) is type(theirs)

    @rule(
        key=KEYS,
        timed=st.sampled_from(sorted(EXPIRE_TIMES)).flatmap(
            lambda name: st.tuples(st.just(name), EXPIRE_TIMES[name])
        ),
        options=EXPIRE_OPTIONS,
    )
    def expire(self, key: bytes, timed: tuple[str, Word], options: list[Word]) -> None:
        self.check(timed[0], self.key(key), timed[1], *options)

    @rule(key=KEYS, at=FAR_TIMES, more_ms=st.sampled_from([0, 1, 499, 500, 501, 999]))
    def expire_exactly(self, key: bytes, at: int, more_ms: int) -> None:
        """How milliseconds become seconds."""
        self.check("PEXPIREAT", self.key(key), at * 1000 + more_ms)
        self.check("EXPIRETIME", self.key(key))
        self.check("PEXPIRETIME", self.key(key))

    @rule(key=KEYS)
    def when(self, key: bytes) -> None:
        name = self.key(key)
        self.check("TTL", name, slack=SLACK_MS // 1000)
        self.check("PTTL", name, slack=SLACK_MS)
        self.check("EXPIRETIME", name, slack=SLACK_MS // 1000)
        self.check("PEXPIRETIME", name, slack=SLACK_MS)

    @rule(name=st.sampled_from(sorted(EXPIRE_TIMES)), key=KEYS, number=NOT_SOON)
    def expire_anything(self, name: str, key: bytes, number: str) -> None:
        self.check(name, self.key(key), number)

    @rule(
        keys=st.tuples(KEYS, KEYS),
        way=st.sampled_from(SOON),
        left_ms=st.integers(1, 9),
        meeting=st.sampled_from(MEETINGS),
    )
    def expires(
        self, keys: tuple[bytes, bytes], way: list[str], left_ms: int, meeting: list[str]
    ) -> None:
        """A key that has just become due, and the first to meet it."""
        name, other = map(self.key, keys)
        now_ms = time.time_ns() // 1_000_000
        meaning: dict[str, Word] = {
            "KEY": name,
            "OTHER": other,
            "LEFT": left_ms,
            "AT": now_ms + left_ms,
            "3": self.db(3) if meeting[0] == "MOVE" else 3,
        }
        self.check("SET", name, "x")
        self.run_both(*[meaning.get(word, word) for word in way])
        over_ms = time.time_ns() // 1_000_000 + left_ms
        while time.time_ns() // 1_000_000 <= over_ms:
            time.sleep(0.001)  # It is the time itself that is waited for.
        self.check(*[meaning.get(word, word) for word in meeting])
        self.check("EXISTS", name)
        self.check("EXISTS", other)

    @precondition(lambda self: self.ours.has_door)
    @rule(queued=st.lists(QUEUED, max_size=5), end=st.sampled_from(["EXEC", "EXEC", "DISCARD"]))
    def transaction(self, queued: list[tuple[Any, ...]], end: str) -> None:
        self.check("MULTI")
        for name, *rest in queued:
            is_about_keys = name not in ("BOGUS", "OBJECT")
            keys = [self.key(rest[0]), *rest[1:]] if rest and is_about_keys else rest
            if name == "MOVE":
                keys[1] = self.db_word(keys[1])
            if name in ("RENAME", "RENAMENX", "COPY", "LCS"):
                keys = [self.key(one) for one in rest]
            self.check(name, *keys)
        self.check(end)

    # --- Whole databases.

    @rule(pattern=PATTERNS)
    def keys(self, pattern: bytes) -> None:
        ours, theirs = self.run_both("KEYS", self.key(pattern))
        assert isinstance(ours, list)
        assert isinstance(theirs, list)
        assert sorted(ours) == sorted(theirs), pattern

    @rule(
        options=options(
            pair("MATCH", PATTERNS),
            pair("COUNT", st.sampled_from([1, 2, 3, 1000])),
            pair("TYPE", st.sampled_from(["string", "STRING", "list"])),
        )
    )
    def scan(self, options: list[Word]) -> None:
        def walk(run: Callable[[list[bytes]], Any]) -> list[bytes]:
            found: list[bytes] = []
            cursor = b"0"
            while True:
                cursor, page = run(words("SCAN", cursor, *options))
                found += page
                if cursor == b"0":
                    return sorted(found)
                assert 0 < int(cursor) < 1 << 64

        assert walk(self.ours.run) == walk(self.redis.run)

    @rule(
        cursor=st.one_of(
            INTS,
            st.sampled_from(["0x", "+0", "-", "+", "0\0x", "\t0", "00000000000000000000000000"]),
            st.sampled_from(["18446744073709551615", "18446744073709551616"]),
            st.sampled_from(["-18446744073709551615", "-18446744073709551616", "9" * 5000]),
        )
    )
    def hostile_cursor(self, cursor: str) -> None:
        """Any number will do; which keys come is nobody's business."""
        ours, theirs = self.run_both("SCAN", cursor)
        if isinstance(theirs, ErrorReply):
            assert ours == theirs
        else:
            assert isinstance(ours, list)
            assert int(ours[0]) < 1 << 53

    @rule(
        args=st.sampled_from(
            [
                *("SCAN x", "SCAN", "SCAN 0 MATCH", "SCAN 0 COUNT 0", "SCAN 0 COUNT x"),
                *("SCAN 0 BOGUS 1", "SCAN 0 COUNT -5", "SCAN  0", "SCAN 0 MATCH a COUNT"),
                "SCAN 99999999999999999999",
                *("FLUSHALL BOGUS", "FLUSHDB ASYNC SYNC", "FLUSHALL SYNC 1", "DBSIZE 1"),
                *("OBJECT ENCODING", "OBJECT FREQ a b", "OBJECT BOGUS a", "OBJECT"),
                *("MEMORY USAGE", "MEMORY USAGE a BOGUS", "MEMORY USAGE a SAMPLES"),
                *("MEMORY USAGE a SAMPLES x", "MEMORY USAGE a SAMPLES -1", "DEBUG OBJECT nothing"),
                "MEMORY USAGE nothing SAMPLES 1 SAMPLES 2",
            ]
        )
    )
    def bad_arguments(self, args: str) -> None:
        parts: list[Word] = [*args.split(" ")]
        if parts[0] in ("OBJECT", "MEMORY", "DEBUG"):
            parts = [self.key(b"a") if part == "a" else part for part in parts]
        self.check(*parts)

    @rule(name=st.sampled_from(sorted(COMMANDS)), count=st.integers(0, 7))
    def arity(self, name: bytes, count: int) -> None:
        row = COMMANDS[name]
        if row.spread is not Spread.LOCAL and not row.accepts(count + 1):
            ours, theirs = self.run_both(name, *[b"x"] * count)
            # One of a later version is unknown there.
            is_newer = isinstance(theirs, ErrorReply) and "unknown command" in theirs.text
            assert is_newer or ours == theirs, f"{name!r}: {ours!r}, Redis: {theirs!r}"

    @rule(args=st.sampled_from(["FLUSHALL", "FLUSHDB", "FLUSHALL ASYNC", "flushdb sync"]))
    def flush(self, args: str) -> None:
        self.check(*args.split(" "))

    @rule()
    def randomkey(self) -> None:
        ours, theirs = self.run_both("RANDOMKEY")
        assert (ours is None) == (theirs is None)
        if ours is not None:
            assert isinstance(ours, bytes)
            assert self.redis.run([b"EXISTS", ours]) == 1

    @rule()
    def restore(self) -> None:
        """From here on we play on a copy made of a snapshot."""
        self.ours.restore()

    @invariant()
    def same_values(self) -> None:
        """Every value, and whether it expires; of what was just touched, when."""
        self.some_of_the_table()
        names = [self.ours.prefix + name for name in TABLE_NAMES]
        # EXISTS first: Redis keeps what is due until somebody looks.
        looks = [words("EXISTS", *names), words("DEBUG", "DIGEST-VALUE", *names)]
        (found, ours), (known, theirs) = (
            target.run_at_once(looks) for target in (self.ours, self.redis)
        )
        assert found == known, f"{found!r} keys, Redis: {known!r} after {self.recent}"
        assert isinstance(ours, list)
        assert isinstance(theirs, list)
        digests = zip(names, ours, theirs, strict=True)
        unequal = [name for name, mine, real in digests if mine != real]
        assert not unequal, f"{unequal} after {self.recent}"
        for key in self.touched:
            self.check("PEXPIRETIME", key, slack=SLACK_MS)
        self.touched.clear()
        self.recent.clear()

    @invariant()
    def same_size(self) -> None:
        """Keys that are due count until they are removed, which we do a little later than Redis."""
        deadline = time.monotonic() + SETTLE_S
        ours, theirs = self.run_both("DBSIZE")
        while ours != theirs and time.monotonic() < deadline:
            self.ours.remove_due()
            ours = self.ours.run([b"DBSIZE"])
        assert same(ours, theirs), f"DBSIZE: {ours!r}, Redis: {theirs!r}"
