"""Rules for hashes.

Redis answers fields in the order in which they came while it keeps them as a listpack, and so do
we while they are few; only there the order is compared. When fields expire is not in Redis 7.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any  # Any: replies nest.

from hypothesis import strategies as st
from hypothesis.stateful import rule

from trimaran.proto.reply import ErrorReply, MapReply, Reply

from .strategies import INTS, KEYS, VALUES, Rules, alone, options, pair

if TYPE_CHECKING:
    from .driver import Word

IN_ORDER_MAX = 300
FIELDS = st.one_of(
    st.sampled_from([b"a", b"b", b"c", b"a", b"b", b"", b"12", b"x" * 64, b"x" * 65]),
    st.integers(0, 12).map(lambda number: b"%d" % number),
    VALUES,
)
TEXTS = st.one_of(VALUES, st.sampled_from([b"x" * 64, b"x" * 65, b"y" * 300]))
NUMBERS = st.one_of(
    INTS,
    st.sampled_from(["0.1", "3.0e3", "-.5", "1.", ".", "inf", "-inf", "nan", "0x1p4", "1e400"]),
    st.sampled_from(["1e4932", "-1e4932", "1e-4951", "1e-5000", "5e-18", "9" * 5119, "9" * 5120]),
    st.floats(allow_nan=False).map(repr),
)
COUNTS = INTS.filter(lambda text: len(text) < 8) | st.integers(-20, 20).map(str)
# Redis would answer as many fields as the first of these says.
LARGE = ["-9223372036854775807", "-9223372036854775808", "4611686018427387904"]
SCAN_OPTIONS = options(
    pair("MATCH", st.sampled_from(["*", "1*", "?", "[a-c]", ""])),
    pair("COUNT", st.sampled_from(["1", "3", "1000", "0", "-1", "x"])),
    *map(alone, ["MATCH", "BOGUS"]),
)


class HashRules(Rules):
    @rule(
        key=KEYS,
        pairs=st.lists(st.tuples(FIELDS, TEXTS), min_size=1, max_size=4),
        is_odd=st.sampled_from([False, False, False, True]),
        name=st.sampled_from(["HSET", "HSET", "HMSET"]),
    )
    def hset(self, key: bytes, pairs: list[tuple[bytes, bytes]], is_odd: bool, name: str) -> None:  # noqa: FBT001
        words = [word for pair in pairs for word in pair]
        self.check(name, self.key(key), *(words[:-1] if is_odd else words))

    @rule(
        key=KEYS,
        start=st.sampled_from([0, 5, 400]),
        count=st.sampled_from([20, 33, 200, 512, 513]),
    )
    def hset_many(self, key: bytes, start: int, count: int) -> None:
        numbers = range(start, start + count)
        self.check("HSET", self.key(key), *[word for n in numbers for word in (n, b"v%d" % n)])

    @rule(key=KEYS, start=st.sampled_from([0, 5, 400]), count=st.sampled_from([20, 200, 513]))
    def hdel_many(self, key: bytes, start: int, count: int) -> None:
        self.check("HDEL", self.key(key), *range(start, start + count))

    @rule(key=KEYS, field=FIELDS, text=TEXTS)
    def hsetnx(self, key: bytes, field: bytes, text: bytes) -> None:
        self.check("HSETNX", self.key(key), field, text)

    @rule(
        key=KEYS,
        fields=st.lists(FIELDS, min_size=1, max_size=4),
        name=st.sampled_from(["HMGET", "HDEL"]),
    )
    def of_fields(self, key: bytes, fields: list[bytes], name: str) -> None:
        self.check(name, self.key(key), *fields)

    @rule(key=KEYS, field=FIELDS)
    def of_a_field(self, key: bytes, field: bytes) -> None:
        name = self.key(key)
        for command in ("HGET", "HEXISTS", "HSTRLEN"):
            self.check(command, name, field)

    @rule(key=KEYS, field=FIELDS, number=INTS)
    def hincrby(self, key: bytes, field: bytes, number: str) -> None:
        self.check("HINCRBY", self.key(key), field, number)

    @rule(key=KEYS, field=FIELDS, text=st.none() | NUMBERS, number=NUMBERS)
    def hincrbyfloat(self, key: bytes, field: bytes, text: str | None, number: str) -> None:
        if text is not None:
            self.check("HSET", self.key(key), field, text)
        self.check("HINCRBYFLOAT", self.key(key), field, number)

    @rule(key=KEYS)
    def whole_hash(self, key: bytes) -> None:
        name = self.key(key)
        length = self.check("HLEN", name)
        is_ordered = (
            self.run_both("OBJECT", "ENCODING", name)[1] != b"hashtable"
            and isinstance(length, int)
            and length <= IN_ORDER_MAX
        )
        for command in ("HGETALL", "HKEYS", "HVALS"):
            ours, theirs = self.run_both(command, name)
            assert type(ours) is type(theirs)
            if not is_ordered:
                ours, theirs = _sorted(ours, command), _sorted(theirs, command)
            assert ours == theirs, f"{command} {name!r}: {ours!r}, Redis: {theirs!r}"

    @rule(
        key=KEYS,
        counts=st.one_of(st.just([]), st.lists(COUNTS, max_size=1)),
        words=st.sampled_from([[], [], ["WITHVALUES"], ["withvalues"], ["BOGUS"], ["x", "y"]]),
    )
    def hrandfield(self, key: bytes, counts: list[str], words: list[str]) -> None:
        name = self.key(key)
        known = self.run_both("HGETALL", name)[1]
        words = words if counts else []
        ours, theirs = self.run_both("HRANDFIELD", name, *counts, *words)
        if isinstance(theirs, ErrorReply):
            assert ours == theirs
            return
        assert type(ours) is type(theirs)
        found, others = _fields_of(ours, words), _fields_of(theirs, words)
        assert len(found) == len(others)
        assert set(found) <= {one if words else one[:1] for one in _pairs(known)}
        if counts and not counts[0].startswith("-"):
            assert len(set(found)) == len(found)

    @rule(key=KEYS, number=st.sampled_from(LARGE), words=st.sampled_from([[], ["WITHVALUES"]]))
    def hrandfield_of_many(self, key: bytes, number: str, words: list[str]) -> None:
        name = self.key(key)
        if self.run_both("EXISTS", name)[1] == 0 or number == LARGE[1] or words:
            self.check("HRANDFIELD", name, number, *words)

    @rule(key=KEYS, words=SCAN_OPTIONS)
    def hscan(self, key: bytes, words: list[Word]) -> None:
        name = self.key(key)
        walks: list[Any] = []
        for side in (0, 1):
            cursor, found = b"0", []
            while True:
                reply: Any = self.run_both("HSCAN", name, cursor, *words)[side]
                if isinstance(reply, ErrorReply):
                    walks.append(reply)
                    break
                cursor = reply[0]
                found += _pairs(reply[1])
                assert int(cursor) < 1 << 64
                if cursor == b"0":
                    walks.append(sorted(set(found)))
                    break
        assert walks[0] == walks[1]

    @rule(key=KEYS, cursor=st.sampled_from(["x", "", "1", "18446744073709551616", "-1"]))
    def hostile_hash_cursor(self, key: bytes, cursor: str) -> None:
        ours, theirs = self.run_both("HSCAN", self.key(key), cursor, "COUNT", "x")
        if isinstance(theirs, ErrorReply):
            assert ours == theirs

    @rule(key=KEYS)
    def hash_encoding(self, key: bytes) -> None:
        name = self.key(key)
        if getattr(self.run_both("TYPE", name)[1], "text", "") == "hash":
            self.check("OBJECT", "ENCODING", name)
            self.check("OBJECT", "REFCOUNT", name)


def _pairs(reply: Any) -> list[tuple[bytes, ...]]:
    """Fields with their values, from a reply of either protocol."""
    if isinstance(reply, MapReply):
        return list(reply.pairs)
    if not isinstance(reply, list):
        return []
    return list(zip(reply[::2], reply[1::2], strict=True))


def _sorted(reply: Reply, command: str) -> Any:
    if isinstance(reply, ErrorReply):
        return reply
    assert isinstance(reply, (list, MapReply))
    return sorted(_pairs(reply)) if command == "HGETALL" else sorted(reply)  # type: ignore[arg-type]  # A list.


def _fields_of(reply: Any, words: list[str]) -> list[tuple[bytes, ...]]:
    if not isinstance(reply, list):
        return [(reply,)] if isinstance(reply, bytes) else []
    if not words:
        return [(field,) for field in reply]
    return [tuple(pair) for pair in reply] if reply and type(reply[0]) is list else _pairs(reply)
