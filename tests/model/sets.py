"""Rules for sets.

Redis answers members in an order of its own, except for integers while it keeps them as an intset:
only there the order is compared. What a random choice took from one side is given back to both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any  # Any: replies nest.

from hypothesis import strategies as st
from hypothesis.stateful import rule

from trimaran.proto.reply import ErrorReply, Reply, SetReply

from .strategies import INTS, KEYS, VALUES, Rules, alone, options, pair

if TYPE_CHECKING:
    from .driver import Word

MEMBERS = st.one_of(
    st.integers(-3, 12).map(lambda number: b"%d" % number),
    st.sampled_from([b"a", b"b", b"c", b"", b"32767", b"32768", b"-32769", b"2147483648"]),
    st.sampled_from([b"x" * 64, b"x" * 65]),
    VALUES,
)
SOME_KEYS = st.lists(KEYS, min_size=1, max_size=4)
COUNTS = st.one_of(st.integers(0, 12).map(str), st.sampled_from(["300", "-1", "x", "01"]))
LARGE = [b"-9223372036854775808", b"-9223372036854775807"]  # Redis would answer as many.
RANDOM_COUNTS = INTS.filter(lambda text: len(text) < 8) | st.integers(-20, 20).map(str)
SCAN_OPTIONS = options(
    pair("MATCH", st.sampled_from(["*", "1*", "?", "[a-c]", ""])),
    pair("COUNT", st.sampled_from(["1", "3", "1000", "0", "-1", "x"])),
    *map(alone, ["MATCH", "BOGUS", "NOVALUES"]),
)


def _sorted(reply: Any) -> Any:
    if isinstance(reply, SetReply):
        return SetReply(tuple(sorted(reply.members)))
    return sorted(reply) if isinstance(reply, list) else reply


class SetRules(Rules):
    def check_set_members(self, names: list[bytes], *args: Word) -> None:
        """A command whose members come from the sets named."""
        ours, theirs = self.run_both(*args)
        encodings = [self.run_both("OBJECT", "ENCODING", name)[1] for name in names]
        if {b"intset", *encodings} != {b"intset"}:
            ours, theirs = _sorted(ours), _sorted(theirs)
        assert type(ours) is type(theirs), f"{args}: {ours!r}, Redis: {theirs!r}"
        assert ours == theirs, f"{args}: {ours!r}, Redis: {theirs!r}"

    @rule(key=KEYS, members=st.lists(MEMBERS, min_size=1, max_size=5))
    def sadd(self, key: bytes, members: list[bytes]) -> None:
        self.check("SADD", self.key(key), *members)

    @rule(
        key=KEYS,
        start=st.sampled_from([-5, 0, 32700, 9223372036854775000]),
        count=st.sampled_from([20, 127, 129, 500, 513]),
        prefix=st.sampled_from([b"", b"", b"m"]),
    )
    def sadd_many(self, key: bytes, start: int, count: int, prefix: bytes) -> None:
        self.check("SADD", self.key(key), *[b"%b%d" % (prefix, start + n) for n in range(count)])

    @rule(key=KEYS, members=st.lists(MEMBERS, min_size=1, max_size=5))
    def srem(self, key: bytes, members: list[bytes]) -> None:
        self.check("SREM", self.key(key), *members)

    @rule(key=KEYS, start=st.sampled_from([-5, 0, 300]), prefix=st.sampled_from([b"", b"m"]))
    def srem_many(self, key: bytes, start: int, prefix: bytes) -> None:
        self.check("SREM", self.key(key), *[b"%b%d" % (prefix, start + n) for n in range(400)])

    @rule(key=KEYS, members=st.lists(MEMBERS, min_size=1, max_size=5))
    def sismember(self, key: bytes, members: list[bytes]) -> None:
        self.check("SISMEMBER", self.key(key), members[0])
        self.check("SMISMEMBER", self.key(key), *members)
        self.check("SCARD", self.key(key))

    @rule(keys=st.tuples(KEYS, KEYS), member=MEMBERS)
    def smove(self, keys: tuple[bytes, bytes], member: bytes) -> None:
        self.check("SMOVE", *map(self.key, keys), member)

    @rule(key=KEYS)
    def smembers(self, key: bytes) -> None:
        name = self.key(key)
        self.check_set_members([name], "SMEMBERS", name)

    @rule(keys=SOME_KEYS, name=st.sampled_from(["SINTER", "SUNION", "SDIFF"]))
    def set_algebra(self, keys: list[bytes], name: str) -> None:
        names = list(map(self.key, keys))
        self.check_set_members(names, name, *names)

    @rule(
        into=KEYS,
        keys=SOME_KEYS,
        name=st.sampled_from(["SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE"]),
    )
    def set_algebra_stored(self, into: bytes, keys: list[bytes], name: str) -> None:
        stored = self.key(into)
        self.check(name, stored, *map(self.key, keys))
        self.check_set_encoding(stored)

    @rule(
        keys=SOME_KEYS,
        numkeys=st.none() | st.sampled_from(["0", "1", "2", "5", "-1", "x"]),
        limit=options(pair("LIMIT", COUNTS), *map(alone, ["LIMIT", "BOGUS"])),
    )
    def sintercard(self, keys: list[bytes], numkeys: str | None, limit: list[Word]) -> None:
        names = map(self.key, keys)
        number = str(len(keys)) if numkeys is None else numkeys
        ours, theirs = self.run_both("SINTERCARD", number, *names, *limit)
        if isinstance(ours, ErrorReply) and ours.code == "CROSSSLOT":
            assert numkeys is not None, "only an option taken for a key is on another shard"
            return
        assert ours == theirs

    @rule(key=KEYS, counts=st.one_of(st.just([]), st.lists(COUNTS, max_size=2)))
    def spop(self, key: bytes, counts: list[str]) -> None:
        name = self.key(key)
        held = self.run_both("SISMEMBER", name, "")[1]
        before = words_of(self.run_both("SMEMBERS", name)[1])
        ours, theirs = self.run_both("SPOP", name, *counts)
        if isinstance(held, ErrorReply) or isinstance(theirs, ErrorReply):
            assert ours == theirs
            return
        assert type(ours) is type(theirs)
        popped = [words_of(ours), words_of(theirs)]
        for words in popped:
            assert len(words) == len(popped[0])
            assert len(set(words)) == len(words)
            assert set(words) <= set(before)
        if any(popped):
            self.run_both("SADD", name, *popped[0], *popped[1])

    @rule(key=KEYS, counts=st.one_of(st.just([]), st.lists(RANDOM_COUNTS, max_size=2)))
    def srandmember(self, key: bytes, counts: list[str]) -> None:
        name = self.key(key)
        before = words_of(self.run_both("SMEMBERS", name)[1])
        ours, theirs = self.run_both("SRANDMEMBER", name, *counts)
        if isinstance(theirs, ErrorReply):
            assert ours == theirs
            return
        assert type(ours) is type(theirs)
        words = words_of(ours)
        assert len(words) == len(words_of(theirs))
        assert set(words) <= set(before)
        if counts and not counts[0].startswith("-"):
            assert len(set(words)) == len(words)

    @rule(key=KEYS, number=st.sampled_from([*LARGE, b"9223372036854775808"]))
    def srandmember_of_many(self, key: bytes, number: bytes) -> None:
        name = self.key(key)
        if self.run_both("EXISTS", name)[1] == 0 or number != LARGE[1]:
            self.check("SRANDMEMBER", name, number)

    @rule(key=KEYS, words=SCAN_OPTIONS)
    def sscan(self, key: bytes, words: list[Word]) -> None:
        name = self.key(key)
        walks: list[Any] = []
        for side in (0, 1):
            cursor, found = b"0", []
            while True:
                reply: Any = self.run_both("SSCAN", name, cursor, *words)[side]
                if isinstance(reply, ErrorReply):
                    walks.append(reply)
                    break
                cursor = reply[0]
                found += reply[1]
                assert int(cursor) < 1 << 64
                if cursor == b"0":
                    walks.append(sorted(set(found)))
                    break
        assert walks[0] == walks[1]

    @rule(key=KEYS, cursor=st.sampled_from(["x", "", "1", "18446744073709551616", "-1"]))
    def hostile_set_cursor(self, key: bytes, cursor: str) -> None:
        ours, theirs = self.run_both("SSCAN", self.key(key), cursor, "COUNT", "x")
        if isinstance(theirs, ErrorReply):
            assert ours == theirs

    @rule(key=KEYS)
    def set_encoding(self, key: bytes) -> None:
        self.check_set_encoding(self.key(key))

    def check_set_encoding(self, name: bytes) -> None:
        """Redis 7.0 knows no listpacks of members yet."""
        if getattr(self.run_both("TYPE", name)[1], "text", "") != "set":
            return
        ours, theirs = self.run_both("OBJECT", "ENCODING", name)
        if theirs == b"hashtable" and ours == b"listpack":
            return
        assert ours == theirs


def words_of(reply: Reply) -> list[bytes]:
    if isinstance(reply, SetReply):
        return list(reply.members)
    if isinstance(reply, list):
        return reply
    return [reply] if isinstance(reply, bytes) else []
