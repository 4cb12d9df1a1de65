"""Sets: what Redis documents, bounds, notifications; tests/model/ compares the rest with Redis."""

from __future__ import annotations

import pytest

from trimaran.cluster.settings import Settings
from trimaran.node.commands import HANDLERS, sets
from trimaran.node.commands.context import Context
from trimaran.node.data.keyspace import Keyspace
from trimaran.node.data.set import SetValue
from trimaran.proto.reply import ErrorReply, Reply, SetReply

from ...model.driver import Driver, words


@pytest.fixture
def shard() -> Driver:
    return Driver()


def numbered(count: int, start: int = 0) -> list[str]:
    return [f"member:{number}" for number in range(start, start + count)]


def members_of(reply: Reply) -> list[bytes]:
    assert isinstance(reply, SetReply)
    return list(reply.members)


def test_integers_are_answered_in_ascending_order(shard: Driver) -> None:
    shard.run("SADD", "a", 30, -2, 7)
    assert shard.run("SMEMBERS", "a") == SetReply((b"-2", b"7", b"30"))
    shard.run("SADD", "b", 8, 7, 1)
    assert shard.run("SUNION", "a", "b") == SetReply((b"-2", b"1", b"7", b"8", b"30"))
    assert shard.run("SDIFF", "a", "b") == SetReply((b"-2", b"30"))


def test_a_listpack_keeps_the_order_of_insertion(shard: Driver) -> None:
    shard.run("SADD", "a", "z", "1", "y")
    assert shard.run("OBJECT", "ENCODING", "a") == b"listpack"
    assert shard.run("SMEMBERS", "a") == SetReply((b"z", b"1", b"y"))


@pytest.mark.parametrize(
    ("commands", "encoding"),
    [
        (["SADD a 1 2"], b"intset"),
        (["SADD a 1 2", "SADD a x", "SREM a x"], b"listpack"),
        (["SADD a x", f"SADD a {'y' * 65}"], b"hashtable"),
        # By how many are named, as in Redis 7.2: they could be different ones.
        (["SADD a x" + " y" * 128], b"hashtable"),
        (["SADD b 1 x", "SADD c 1 y", "SINTERSTORE a b c"], b"intset"),
        (["SADD b 1 x", "SUNIONSTORE a b"], b"listpack"),
        (["SADD b x" + " y" * 128, "SADD c x z", "SINTERSTORE a b c"], b"hashtable"),
        (["SADD b x" + " y" * 128, "SADD c z", "SDIFFSTORE a b c"], b"listpack"),
        (["SADD b 1", "SADD a 2", "SMOVE b a 1"], b"intset"),
        (["SADD b 1 2", "SMOVE b a 1"], b"intset"),
        (["SADD b x", "SMOVE b a x"], b"listpack"),
    ],
)
def test_encodings_as_redis_7_2_has_them(
    shard: Driver, commands: list[str], encoding: bytes
) -> None:
    for command in commands:
        shard.run(*command.split())
    assert shard.run("OBJECT", "ENCODING", "a") == encoding


def test_thresholds_are_those_of_the_entry(shard: Driver) -> None:
    shard.settings = Settings(set_max_listpack_entries=2, set_max_intset_entries=1)
    shard.run("SADD", "a", "1")
    shard.run("SADD", "a", "2")
    shard.run("SADD", "b", "x")
    shard.run("SADD", "b", "y")
    shard.run("SADD", "c", "x" * 30)
    assert shard.run("OBJECT", "ENCODING", "a") == b"hashtable"
    assert shard.run("OBJECT", "ENCODING", "b") == b"listpack"
    shard.settings = Settings(set_max_listpack_value=29)
    shard.run("SADD", "c", "y" * 30)
    assert shard.run("OBJECT", "ENCODING", "c") == b"hashtable"


@pytest.mark.parametrize("count", [10, 400])
@pytest.mark.parametrize("words_", [("SPOP", "a"), ("SPOP", "a", "3"), ("SRANDMEMBER", "a")])
def test_each_member_is_as_likely_though_each_entry_draws_little(
    shard: Driver, count: int, words_: tuple[str, ...]
) -> None:
    shard.run("SADD", "a", *numbered(count))
    hits = dict.fromkeys(words(*numbered(count)), 0)
    for _ in range(20 * count):
        reply = shard.run(*words_)
        found = members_of(reply) if isinstance(reply, SetReply) else [reply]
        for member in found:
            assert isinstance(member, bytes)
            hits[member] += 1
        # The next entry has the next seed; what was taken out comes last now.
        shard.run("SADD", "a", *found)
    expected = sum(hits.values()) / count
    spread = sum([(one - expected) ** 2 / expected for one in hits.values()])
    assert spread < count + 5 * (2 * count) ** 0.5, "chi-square"


def test_popping_some_leaves_the_others(shard: Driver) -> None:
    for count in (5, 200, 3000):
        names = [name.encode() for name in numbered(count)]
        shard.run("SADD", "a", *names)
        left = dict.fromkeys(names)
        while left:
            popped = members_of(shard.run("SPOP", "a", max(1, len(left) * 2 // 3)))
            assert popped
            for member in popped:
                del left[member]
            assert shard.run("SCARD", "a") == len(left)
        assert shard.run("EXISTS", "a") == 0


def test_random_members_differ_unless_they_may_recur(shard: Driver) -> None:
    shard.run("SADD", "a", *numbered(50))
    different = shard.run("SRANDMEMBER", "a", 30)
    assert isinstance(different, list)
    assert len(set(different)) == len(different) == 30
    recurring = shard.run("SRANDMEMBER", "a", -1000)
    assert isinstance(recurring, list)
    assert len(recurring) == 1000
    assert 40 < len(set(recurring)) <= 50


def test_a_walk_over_a_large_set_meets_all_of_it(shard: Driver) -> None:
    names = numbered(2000)
    shard.run("SADD", "a", *names)
    found: list[bytes] = []
    cursor = b"0"
    pages = 0
    while True:
        reply = shard.run("SSCAN", "a", cursor, "COUNT", 100, "MATCH", "*7")
        assert isinstance(reply, list)
        cursor = reply[0]
        found += reply[1]
        pages += 1
        if cursor == b"0":
            break
    assert sorted(found) == sorted(name.encode() for name in names if name.endswith("7"))
    assert pages > 10


def test_a_store_takes_the_place_of_anything_and_has_no_expiry(shard: Driver) -> None:
    shard.run("SET", "text", "x", "EX", "100")
    shard.run("SADD", "a", "x")
    assert shard.run("SUNIONSTORE", "text", "a") == 1
    assert shard.run("TTL", "text") == -1
    shard.run("SET", "text", "x", "EX", "100")
    assert shard.run("SINTERSTORE", "text", "a", "absent") == 0
    assert shard.run("EXISTS", "text") == 0


def test_a_stored_set_shares_nothing_with_its_source(shard: Driver) -> None:
    shard.run("SADD", "a", *numbered(1000))
    shard.run("SADD", "b", *numbered(10, 995))
    assert shard.run("SUNIONSTORE", "c", "a", "b") == 1005
    shard.run("SREM", "c", *numbered(500))
    assert shard.run("SCARD", "a") == 1000
    assert shard.run("SINTERSTORE", "a", "a", "c") == 500
    assert shard.run("SCARD", "c") == 505


class TestBounds:
    @pytest.fixture
    def filled(self, shard: Driver) -> Driver:
        shard.run("SADD", "a", *numbered(300))
        shard.run("SADD", "b", *numbered(300, 150))
        return shard

    @pytest.mark.parametrize(
        "command",
        [
            *("SUNION a b", "SDIFF a b", "SUNIONSTORE c a b", "SDIFFSTORE c a b"),
            *("SINTER a b", "SINTERSTORE c a b", "SINTERCARD 2 a b"),
        ],
    )
    def test_of_members_compared(
        self, filled: Driver, command: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sets, "ALGEBRA_MEMBERS_MAX", 599)
        digest = filled.keys.digest()
        reply = filled.run(*command.split())
        assert isinstance(reply, ErrorReply)
        assert "599" in reply.text
        assert filled.keys.digest() == digest
        monkeypatch.setattr(sets, "ALGEBRA_MEMBERS_MAX", 600)
        assert not isinstance(filled.run(*command.split()), ErrorReply)

    @pytest.mark.parametrize(
        ("command", "most"),
        [("SUNIONSTORE c a b", 600), ("SDIFFSTORE c a b", 300), ("SINTERSTORE c a b", 300)],
    )
    def test_of_members_stored(
        self, filled: Driver, command: str, most: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sets, "STORED_MEMBERS_MAX", most - 1)
        digest = filled.keys.digest()
        assert isinstance(filled.run(*command.split()), ErrorReply)
        assert filled.keys.digest() == digest
        monkeypatch.setattr(sets, "STORED_MEMBERS_MAX", most)
        assert not isinstance(filled.run(*command.split()), ErrorReply)

    def test_a_set_named_often_counts_once(
        self, filled: Driver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sets, "ALGEBRA_MEMBERS_MAX", 300)
        assert len(members_of(filled.run("SUNION", *["a"] * 1000))) == 300
        assert len(members_of(filled.run("SINTER", *["a"] * 1000))) == 300

    def test_of_bytes_stored(self, filled: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sets, "STORED_BYTES_MAX", 30_000)
        digest = filled.keys.digest()
        assert isinstance(filled.run("SUNIONSTORE", "c", "a", "b"), ErrorReply)
        assert filled.keys.digest() == digest
        assert filled.run("SINTERSTORE", "c", "a", "b") == 150

    @pytest.mark.parametrize(
        "command",
        [
            *("SMEMBERS a", "SUNION a b", "SDIFF a c", "SINTER a a", "SPOP a 290"),
            *("SRANDMEMBER a 290", "SRANDMEMBER a -400", "SSCAN a 0 COUNT 10000"),
        ],
    )
    def test_of_bytes_answered(
        self, filled: Driver, command: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("trimaran.node.commands.sets.REPLY_BYTES_MAX", 2000)
        monkeypatch.setattr("trimaran.node.commands.scanning.REPLY_BYTES_MAX", 2000)
        digest = filled.keys.digest()
        assert isinstance(filled.run(*command.split()), ErrorReply)
        assert filled.keys.digest() == digest
        assert not isinstance(filled.run("SRANDMEMBER", "a", "10"), ErrorReply)

    @pytest.mark.parametrize("count", [-1_000_001, -(1 << 62), -(1 << 63) + 1])
    def test_of_random_members_that_recur(self, filled: Driver, count: int) -> None:
        assert isinstance(filled.run("SRANDMEMBER", "a", count), ErrorReply)
        assert filled.run("SRANDMEMBER", "absent", count) == []


def _events(commands: list[str]) -> list[str]:
    keys = Keyspace()
    settings = Settings(notify_keyspace_events="AKEn")
    found: list[str] = []
    for command in commands:
        args = words(*command.split())
        keys.enter(0, 1000, is_read=False)
        ctx = Context(0, 1000, 1, settings)
        HANDLERS[args[0]](keys, args, ctx)
        found = [f"{event} {key.decode()}" for _, event, key in ctx.events or ()]
    return found


@pytest.mark.parametrize(
    ("commands", "events"),
    [
        (["SADD a 1"], ["new a", "sadd a"]),
        (["SADD a 1", "SADD a 1"], []),
        (["SADD a 1", "SADD a 1 2 3"], ["sadd a"]),
        (["SADD a 1 2", "SREM a 1 7"], ["srem a"]),
        (["SADD a 1 2", "SREM a 7"], []),
        (["SADD a 1 2", "SREM a 1 2"], ["srem a", "del a"]),
        (["SADD a 1 2", "SMOVE a b 1"], ["srem a", "new b", "sadd b"]),
        (["SADD a 1", "SADD b 2", "SMOVE a b 1"], ["srem a", "del a", "sadd b"]),
        (["SADD a 1", "SADD b 1", "SMOVE a b 1"], ["srem a", "del a"]),
        (["SADD a 1", "SMOVE a a 1"], []),
        (["SADD a 1 2", "SPOP a"], ["spop a"]),
        (["SADD a 1", "SPOP a"], ["spop a", "del a"]),
        (["SADD a 1 2 3", "SPOP a 2"], ["spop a"]),
        (["SADD a 1 2 3", "SPOP a 3"], ["spop a", "del a"]),
        (["SADD a 1", "SPOP a 0"], []),
        (["SADD a 1", "SINTERSTORE b a"], ["new b", "sinterstore b"]),
        (["SADD a 1", "SUNIONSTORE a a"], ["sunionstore a"]),
        (["SADD a 1", "SDIFFSTORE a a a"], ["del a"]),
        (["SADD a 1", "SDIFFSTORE b a a"], []),
    ],
)
def test_notifications_are_those_of_redis(commands: list[str], events: list[str]) -> None:
    assert _events(commands) == events


def test_what_adds_nothing_does_not_touch_the_value(shard: Driver) -> None:
    shard.run("SADD", "a", "x")
    held = shard.keys.peek(b"a")
    cut = shard.keys.begin_snapshot()
    assert shard.run("SADD", "a", "x") == shard.run("SREM", "a", "y") == 0
    assert shard.keys.peek(b"a") is held
    assert shard.run("SADD", "a", "y") == 1
    changed = shard.keys.find(b"a", SetValue)
    assert changed is not None
    assert changed is not held
    cut.abort()


def test_a_member_that_moves_to_its_own_set_stays_while_a_snapshot_runs(shard: Driver) -> None:
    shard.run("SADD", "a", "x", "y")
    cut = shard.keys.begin_snapshot()
    assert shard.run("SMOVE", "a", "a", "x") == 1
    assert members_of(shard.run("SMEMBERS", "a")) == [b"x", b"y"]
    cut.abort()


def test_members_that_look_like_the_headers_of_others_are_moved_and_taken_out(
    shard: Driver,
) -> None:
    members = [b"\xc4\x01a", b"a", b"\xc4", b"b\xc4\x02cd", b"cd", b"\xc4\x02"]
    for gone in (*members, b"absent", b"c" * 65):
        for command in ("SREM", "SMOVE"):
            shard.run("DEL", "a", "b")
            shard.run("SADD", "a", *members)
            shard.run(command, "a", *["b"] * (command == "SMOVE"), gone)
            left = [member for member in members if member != gone]
            assert members_of(shard.run("SMEMBERS", "a")) == left
            assert shard.run("SCARD", "b") == (command == "SMOVE" and gone in members)
