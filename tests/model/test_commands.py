"""Every step is played on us and on a real Redis; the answers must be the same.

A failing run prints its steps; it is the same in every run, since the examples are derandomized.
"""

from __future__ import annotations

import time
from random import Random
from typing import TYPE_CHECKING, Any  # Any: replies nest.

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from hypothesis.stateful import run_state_machine_as_test as play

from trimaran.cluster.commands import COMMANDS, Spread
from trimaran.node.data.glob import Glob
from trimaran.proto.reply import ErrorReply, Reply

from .driver import Driver, Word, copy_of, words

if TYPE_CHECKING:
    from .redis_server import RedisConnection

SLACK_MS = 5_000  # Two clocks, and a slow machine between them.
FAR_S = 4_102_444_800  # The year 2100: nothing set to it expires during a run.

KEYS = st.sampled_from([b"a", b"b", b"c", b"{tag}1", b"{tag}2", b"", b"key\r\n\x00\xff"])
NUMBERS = ["0", "1", "-1", "7", "10", "-10", "9223372036854775807", "-9223372036854775808"]
NUMBERS += ["9223372036854775", "9223372036854776", "-9223372036854776"]
NOT_NUMBERS = ["9223372036854775808", "123456789012345678901", "-0", "+1", "01", "1_0", "-", "x"]
NOT_NUMBERS += ["", " 1", "1 ", "1.0", "1e3"]
INTS = st.sampled_from(NUMBERS + NOT_NUMBERS)
# A key must not expire by the clock between our answer and Redis's.
NOT_SOON = INTS.filter(lambda text: text not in {"1", "7", "10"})
VALUES = st.one_of(INTS.map(str.encode), st.binary(max_size=6))
FAR_TIMES = st.integers(FAR_S, FAR_S + 3)
SPANS = st.sampled_from([100_000, 200_000, 200_001])
DATABASES = st.sampled_from([0, 0, 0, 1, 15])


def _cased(name: str) -> st.SearchStrategy[str]:
    return st.sampled_from([name, name.lower(), name.title()])


def _pair(name: str, numbers: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Word]]:
    return st.tuples(_cased(name), numbers).map(list)


def _flat(parts: list[list[Word]]) -> list[Word]:
    return [word for part in parts for word in part]


def _alone(name: str) -> st.SearchStrategy[list[Word]]:
    return _cased(name).map(lambda word: [word])


PAST = st.sampled_from([1, 1_000_000_000])
SET_OPTIONS = st.lists(
    st.one_of(
        *map(_alone, ["NX", "XX", "GET", "KEEPTTL", "EX", "BOGUS"]),
        _pair("EX", SPANS | NOT_SOON),
        _pair("PX", SPANS.map(lambda seconds: seconds * 1000) | NOT_SOON),
        _pair("EXAT", FAR_TIMES | PAST | NOT_SOON),
        _pair("PXAT", FAR_TIMES.map(lambda seconds: seconds * 1000) | PAST | NOT_SOON),
    ),
    max_size=3,
).map(_flat)
EXPIRE_OPTIONS = st.lists(
    st.sampled_from(["NX", "XX", "GT", "LT", "nx", "gt", "bogus"]), max_size=2
)
EXPIRE_TIMES = {
    "EXPIRE": SPANS | NOT_SOON,
    "PEXPIRE": SPANS.map(lambda seconds: seconds * 1000) | NOT_SOON,
    "EXPIREAT": FAR_TIMES | PAST | NOT_SOON,
    "PEXPIREAT": FAR_TIMES.map(lambda seconds: seconds * 1000) | PAST | NOT_SOON,
}
PATTERNS = st.one_of(
    st.sampled_from(
        ["*", "", "?", "a", "[ab]", "[^a]", "{tag}?", "[a-c]", "[c-a]", "\\a", "*\\"]
    ).map(str.encode),
    st.lists(st.sampled_from([b"*", b"?", b"[", b"]", b"^", b"-", b"a", b"b", b"\\", b"{"])).map(
        b"".join
    ),
)


def _is_close(ours: Reply, theirs: Reply, slack: int) -> bool:
    if isinstance(ours, int) and isinstance(theirs, int) and ours > 0 and theirs > 0:
        return abs(ours - theirs) <= slack
    return ours == theirs


class BothMachine(RuleBasedStateMachine):
    """`redis` is set by the test; `ours` is new for each example."""

    redis: RedisConnection

    def __init__(self) -> None:
        super().__init__()
        self.ours = Driver()
        self.db = 0

    @initialize()
    def empty(self) -> None:
        self.redis.run([b"FLUSHALL"])
        self.redis.run([b"SELECT", b"0"])

    def run_both(self, *args: Word) -> tuple[Reply, Reply]:
        self.ours.now_ms = time.time_ns() // 1_000_000
        return self.ours.run(*args, db=self.db), self.redis.run(words(*args))

    def check(self, *args: Word, slack: int = 0) -> Reply:
        ours, theirs = self.run_both(*args)
        assert _is_close(ours, theirs, slack), f"{words(*args)}: {ours!r}, Redis: {theirs!r}"
        return theirs

    @rule(db=DATABASES)
    def select(self, db: int) -> None:
        self.redis.run(words("SELECT", db))
        self.db = db

    @rule(key=KEYS, value=VALUES, options=SET_OPTIONS)
    def set_(self, key: bytes, value: bytes, options: list[Word]) -> None:
        self.check("SET", key, value, *options)
        # Redis keeps a key that is set to a past time until it is looked at: DBSIZE counts it.
        self.check("EXISTS", key)

    @rule(key=KEYS, name=st.sampled_from(["GET", "STRLEN", "TYPE", "PERSIST", "INCR", "DECR"]))
    def one_key(self, key: bytes, name: str) -> None:
        self.check(name, key)

    @rule(key=KEYS, number=INTS, name=st.sampled_from(["INCRBY", "DECRBY"]))
    def add(self, key: bytes, number: str, name: str) -> None:
        self.check(name, key, number)

    @rule(key=KEYS, value=VALUES)
    def append(self, key: bytes, value: bytes) -> None:
        self.check("APPEND", key, value)

    @rule(
        keys=st.lists(KEYS, max_size=4),
        name=st.sampled_from(["MGET", "DEL", "UNLINK", "EXISTS", "TOUCH"]),
    )
    def many_keys(self, keys: list[bytes], name: str) -> None:
        self.check(name, *keys)

    @rule(pairs=st.lists(st.tuples(KEYS, VALUES), min_size=1, max_size=3), is_odd=st.booleans())
    def mset(self, pairs: list[tuple[bytes, bytes]], is_odd: bool) -> None:  # noqa: FBT001
        self.check("MSET", *[word for pair in pairs for word in pair][is_odd:])

    @rule(
        key=KEYS,
        timed=st.sampled_from(sorted(EXPIRE_TIMES)).flatmap(
            lambda name: st.tuples(st.just(name), EXPIRE_TIMES[name])
        ),
        options=EXPIRE_OPTIONS,
    )
    def expire(self, key: bytes, timed: tuple[str, Word], options: list[Word]) -> None:
        self.check(timed[0], key, timed[1], *options)

    @rule(key=KEYS)
    def when(self, key: bytes) -> None:
        self.check("TTL", key, slack=SLACK_MS // 1000)
        self.check("PTTL", key, slack=SLACK_MS)
        self.check("EXPIRETIME", key, slack=SLACK_MS // 1000)
        self.check("PEXPIRETIME", key, slack=SLACK_MS)

    @rule(name=st.sampled_from(sorted(EXPIRE_TIMES)), key=KEYS, number=NOT_SOON)
    def expire_anything(self, name: str, key: bytes, number: str) -> None:
        self.check(name, key, number)

    @rule(pattern=PATTERNS)
    def keys(self, pattern: bytes) -> None:
        ours, theirs = self.run_both("KEYS", pattern)
        assert isinstance(ours, list)
        assert isinstance(theirs, list)
        assert sorted(ours) == sorted(theirs), pattern

    @rule(
        options=st.lists(
            st.one_of(
                _pair("MATCH", PATTERNS),
                _pair("COUNT", st.sampled_from([1, 2, 3, 1000])),
                _pair("TYPE", st.sampled_from(["string", "STRING", "list"])),
            ),
            max_size=3,
        ).map(_flat)
    )
    def scan(self, options: list[Word]) -> None:
        def walk(run: Any) -> list[bytes]:
            found: list[bytes] = []
            cursor = b"0"
            while True:
                cursor, page = run(words("SCAN", cursor, *options))
                found += page
                if cursor == b"0":
                    return sorted(found)

        assert walk(lambda args: self.ours.run(*args, db=self.db)) == walk(self.redis.run)

    @rule(
        args=st.sampled_from(
            [
                *("SCAN x", "SCAN", "SCAN 0 MATCH", "SCAN 0 COUNT 0", "SCAN 0 COUNT x"),
                *("SCAN 0 BOGUS 1", "SCAN 0 COUNT -5", "SCAN  0", "SCAN 0 MATCH a COUNT"),
                "SCAN 99999999999999999999",
                *("FLUSHALL BOGUS", "FLUSHDB ASYNC SYNC", "FLUSHALL SYNC 1", "DBSIZE 1"),
            ]
        )
    )
    def bad_arguments(self, args: str) -> None:
        self.check(*args.split(" "))

    @rule(name=st.sampled_from(sorted(COMMANDS)), count=st.integers(0, 7))
    def arity(self, name: bytes, count: int) -> None:
        row = COMMANDS[name]
        if row.spread is not Spread.LOCAL and not row.accepts(count + 1):
            self.check(name, *[b"x"] * count)

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
        self.ours.keys = copy_of(self.ours.keys)

    @invariant()
    def same_size(self) -> None:
        self.check("DBSIZE")


def test_commands_answer_as_a_real_redis_does(redis_connection: RedisConnection) -> None:
    class Machine(BothMachine):
        redis = redis_connection

    play(
        Machine,
        settings=settings(
            max_examples=250,
            stateful_step_count=50,
            phases=[Phase.generate],  # Shrinking takes minutes: add it when there is a failure.
            derandomize=True,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_patterns_match_as_in_a_real_redis(redis_connection: RedisConnection) -> None:
    rng = Random(7)

    def some(alphabet: bytes, length_max: int) -> bytes:
        return bytes(
            alphabet[int(rng.random() * len(alphabet))]
            for _ in range(int(rng.random() * (length_max + 1)))
        )

    names = {some(b"abcd-]^\\*\n", 5) for _ in range(400)}
    redis_connection.run([b"SELECT", b"0"])
    redis_connection.run([b"FLUSHALL"])
    redis_connection.run([b"MSET", *[word for name in names for word in (name, b"")]])
    for _ in range(2000):
        pattern = some(b"abcd--]]^^\\**?[[", 9)
        theirs = redis_connection.run([b"KEYS", pattern])
        assert isinstance(theirs, list)
        matches = Glob(pattern).matches
        assert sorted(filter(matches, names)) == sorted(theirs), pattern


def _lower(reply: Any) -> set[str]:
    return {one.text.lower() for one in reply}


# What later versions than the installed one say otherwise or do not have yet.
NEWER = {b"CLIENT|SETINFO", b"CLIENT|NO-TOUCH", b"CLUSTER|MYSHARDID"}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_table_agrees_with_a_real_redis(redis_connection: RedisConnection, name: bytes) -> None:
    reply = redis_connection.run([b"COMMAND", b"INFO", name])
    assert isinstance(reply, list)
    theirs = reply[0]
    known = {entry[0].upper(): entry for entry in [theirs, *theirs[9]]}
    row = COMMANDS[name]
    for one in (row, *row.subcommands):
        if one.name in NEWER:
            continue
        _, arity, flags, first, last, step, categories, tips, *_ = known[one.name]
        assert one.arity == arity
        assert set(one.flag_names) == _lower(flags) - {"movablekeys"}
        assert (one.keys.first, one.keys.last, one.keys.step) == (first, last, step)
        assert {f"@{category}" for category in one.acl_categories} == _lower(categories)
        assert sorted(one.tips) == sorted(tip.decode() for tip in tips)


def test_error_replies_compare_by_value() -> None:
    # The machine above leans on it.
    assert ErrorReply("ERR", "syntax error") == ErrorReply("ERR", "syntax error")
