"""Whatever a client sends, a command is done, or is refused and changes nothing (correctness A4).

An exception that is no CommandError would halt the shard on all its replicas. Of a script that
fails what it wrote before stays, as in Redis: it is no refusal, and its reply is the error. The
commands come from `hostile.py`; a longer run:
`python -m trimaran.tests.unit.commands.test_hostile SEED COUNT`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import Any  # Replies of every kind; texts and numbers.
from zlib import crc32

import pytest

from trimaran.cluster.command import READ
from trimaran.cluster.commands import COMMANDS
from trimaran.cluster.settings import Settings
from trimaran.node.commands import HANDLERS
from trimaran.node.commands.context import Context
from trimaran.node.commands.internal import EXPIRE, INTERNAL_HANDLERS
from trimaran.node.data.dump import dump, restore
from trimaran.node.data.keyspace import KEEP, ExpiryPending, Keyspace, KeyspaceCut
from trimaran.node.data.sorted_set import SortedSet
from trimaran.node.errors import CommandError
from trimaran.proto.reply import ErrorReply, Reply, pack_reply
from trimaran.proto.resp import encode_reply

from ...model.driver import copy_of, words
from .hostile import ALL_KEYS, KEYS, Hostile, templates_missing

MODULE = "trimaran.tests.unit.commands.test_hostile"
ROOT = Path(__file__).parents[3]
NOW_MS = 1_000_000
# Those of every second game make forms change early.
SETTINGS = (
    Settings(proto_max_bulk_len=1 << 20, notify_keyspace_events="AKE", lua_budget=100_000),
    Settings(
        proto_max_bulk_len=1 << 20,
        lua_budget=100_000,
        list_max_listpack_size=4,
        hash_max_listpack_entries=3,
        hash_max_listpack_value=8,
        set_max_intset_entries=3,
        set_max_listpack_entries=5,
        zset_max_listpack_entries=3,
        stream_node_max_entries=3,
        hll_sparse_max_bytes=40,
    ),
)
VALUE_BYTES_MAX = 1 << 20  # A value that has grown past it is removed again: time is short.
READS = {
    one.name for row in COMMANDS.values() for one in (row, *row.subcommands) if one.flags & READ
}
# What `filled` runs: values of every type, in their small and their large forms.
FILLING: list[list[Any]] = [
    *[["SET", key, text] for key, text in (
        ("t:text", "some text"), ("t:number", -17), ("t:float", "3.25"), ("t:long", "x" * 70_000),
    )],
    ["SET", "t:empty", "", "PX", 5000],
    ["PFADD", "t:sparse", "a", "b"],
    ["PFADD", "t:hll", *range(1200)],
    ["PFDEBUG", "TODENSE", "t:hll"],
    ["RPUSH", "l:small", "a", "b", "1", "a"],
    ["RPUSH", "l:large", *[f"m{one % 99}" for one in range(1500)]],
    ["RPUSH", "l:wide", "x" * 9000, *range(20), "y" * 9000, "a"],
    ["SADD", "s:ints", *range(9)],
    ["SADD", "s:bigints", *range(700)],
    ["SADD", "s:small", "a", "b", "m1", ""],
    ["SADD", "s:large", *[f"m{one}" for one in range(900)]],
    ["HSET", "h:small", "a", "1", "b", "text", "f1", "3.5", "", "x"],
    ["HSET", "h:large", *[word for one in range(800) for word in (f"f{one}", one)]],
    ["HSET", "h:expiring", "a", "1", "b", "2", "f1", "x", "f2", "y"],
    ["HPEXPIRE", "h:expiring", 3000, "FIELDS", 2, "a", "f1"],
    ["HSET", "h:expiring-large", *[word for one in range(700) for word in (f"f{one}", one)]],
    ["HPEXPIRE", "h:expiring-large", 9000, "FIELDS", 300, *[f"f{one}" for one in range(300)]],
    ["ZADD", "z:small", 1, "a", 2, "b", 2, "c", "-0.5", ""],
    ["ZADD", "z:large", *[word for one in range(1100) for word in (one % 50 / 4, f"m{one}")]],
    ["ZADD", "z:inf", "-inf", "a", "inf", "b", "1e308", "m1", "-1e308", "m7"],
    ["GEOADD", "z:geo", *[w for n in range(60) for w in (n * 3 - 90, n - 30, f"m{n}")], 1, 2, "a"],
    *[["XADD", "x:small", f"{one}-0", "a", one] for one in range(1, 12)],
    *[["XADD", "x:large", f"{one}-{one % 3}", "f", one, "g", "x"] for one in range(1, 700)],
    ["XADD", "x:empty", "5-0", "a", "1"],
    ["XDEL", "x:empty", "5-0"],
    *[["XGROUP|CREATE", "CREATE", f"x:{size}", "g", 0] for size in ("small", "large")],
    ["XGROUP|CREATE", "CREATE", "x:large", "g2", "$"],
    ["XREADGROUP", "GROUP", "g", "c1", "COUNT", 5, "STREAMS", "x:small", ">"],
    ["XREADGROUP", "GROUP", "g", "c1", "COUNT", 300, "STREAMS", "x:large", ">"],
    ["XREADGROUP", "GROUP", "g", "c2", "COUNT", 300, "STREAMS", "x:large", ">"],
    ["EXPIRE", "l:small", 100],
    ["EXPIRE", "z:large", 50],
]  # fmt: skip


def filled() -> Keyspace:
    keys = Keyspace()
    for command in FILLING:
        args = words(*map(str, command))
        keys.enter(0, NOW_MS, is_read=False)
        HANDLERS[args[0]](keys, args, Context(0, NOW_MS, 1))
    return keys


def state(keys: Keyspace) -> tuple[object, ...]:
    """All that is the same on every replica, and what is counted of it."""
    counted = [(db, keys.count(db), keys.expiring(db)) for db in keys.databases]
    return keys.digest(), keys.memory_bytes, counted


class Play:
    """Commands one after the other on one keyspace, and what has to hold after each."""

    def __init__(self, seed: int, *, has_snapshots: bool = True) -> None:
        self.has_snapshots = has_snapshots
        self.replies_crc = 0
        self.source = Hostile(seed)
        self.keys = filled()
        self.settings = SETTINGS[seed % 2]
        self.now_ms = NOW_MS
        self.done = self.refused = 0
        self.slowest: dict[bytes, float] = {}
        self._state = state(self.keys)
        # A snapshot that goes on while commands run: what is to come of it, and what has come.
        self._cut: KeyspaceCut | None = None
        self._cut_state: tuple[object, ...] = ()
        self._slices: list[bytes] = []

    def step(self) -> None:
        source = self.source
        if source.chance(0.1):
            self.now_ms += source.below(400)
            self._expire(1000)
        if source.chance(0.002) and self.has_snapshots:
            self.same_through_a_snapshot()
        if source.chance(0.005):
            self._renew()
        pace = 1 + source.below(30) if source.chance(0.03) else 0
        if pace and self.has_snapshots:
            self._snapshot_goes_on(pace)
        args = source.command()
        db = 2 if source.chance(0.05) else 0
        began = perf_counter()
        try:
            self._run(args, db)
        except Exception as error:
            error.add_note(f"in {args!r}, database {db}")
            raise
        took = perf_counter() - began
        self.slowest[args[0]] = max(took, self.slowest.get(args[0], 0.0))

    def _run(self, args: list[bytes], db: int) -> None:
        is_read = args[0] in READS
        try:
            reply = self._reply(args, db, is_read=is_read)
        except CommandError as error:
            self._check_refused(error)
            return
        self.done += 1
        self._send(reply)
        now = state(self.keys)
        assert not is_read or now == self._state, "a read has changed something"
        self._state = now
        self._check(args, db)
        if args[0] == b"DUMP" and isinstance(reply, bytes) and len(reply) < 20_000:
            self.source.payloads = [*self.source.payloads[-40:], reply]

    def _check_refused(self, error: CommandError) -> None:
        assert error.code.isupper()
        self._send(ErrorReply(error.code, error.text))
        self.refused += 1
        assert state(self.keys) == self._state, f"refused with {error.text}, half done"

    def _send(self, reply: Reply) -> None:
        """As it may leave: to another node, or to a client of either protocol."""
        self.replies_crc = crc32(pack_reply(reply), self.replies_crc)
        encode_reply(reply, 2)
        encode_reply(reply, 3)

    def _reply(self, args: list[bytes], db: int, *, is_read: bool) -> Any:
        ahead_ms = self.source.below(300) if is_read and self.source.chance(0.2) else 0
        while True:
            # A read's leader may know a later time than that of the last entry.
            self.keys.enter(db, self.now_ms + ahead_ms, is_read=is_read)
            context = Context(db, self.keys.now_ms, self.source.below(1 << 30), self.settings)
            try:
                return HANDLERS[args[0]](self.keys, list(args), context)
            except ExpiryPending as pending:
                assert is_read
                self.now_ms += ahead_ms
                ahead_ms = 0
                self._expire_key(pending.db, pending.key)
                self._state = state(self.keys)

    def _check(self, args: list[bytes], db: int) -> None:
        """Nothing is empty that must not be, and what is too large goes."""
        for key in {word: None for word in args if word in ALL_KEYS}:
            self.keys.enter(db, self.now_ms, is_read=False)
            size = self.keys.size_of(key) or 0
            value = self.keys.peek(key)
            name = self.keys.type_of(key)
            assert name in (None, "string", "stream") or len(value), f"{key!r} is empty"
            if size > VALUE_BYTES_MAX:
                self.keys.delete(key)
                self._state = state(self.keys)

    def _expire(self, limit: int) -> None:
        for db, key in self.keys.due(self.now_ms, limit):
            self._expire_key(db, key)
        self.keys.enter(0, self.now_ms, is_read=False)
        self._state = state(self.keys)

    def _expire_key(self, db: int, key: bytes) -> None:
        self.keys.enter(db, self.now_ms, is_read=False)
        context = Context(db, self.now_ms, 1, self.settings)
        INTERNAL_HANDLERS[EXPIRE](self.keys, [EXPIRE, key], context)

    def _renew(self) -> None:
        """Bring back a key, so that there is something of every type all the time."""
        fresh = filled()
        for name in KEYS["tlshzx"[self.source.below(6)]]:
            fresh.enter(0, NOW_MS, is_read=False)
            value, _ = fresh.take(name)
            self.keys.enter(0, self.now_ms, is_read=False)
            self.keys.put(name, value)
        self._state = state(self.keys)

    def _snapshot_goes_on(self, pace: int) -> None:
        """Begin one, or write out a little more of it; at its end it is the state of its begin."""
        if self._cut is None:
            self._cut_state = state(self.keys)
            self._cut = self.keys.begin_snapshot()
        elif (piece := self._cut.slice(pace, 1 << 16)) is not None:
            self._slices.append(piece)
        else:
            copy = Keyspace()
            for one in self._slices:
                copy.load(one)
            copy.finish_load()
            assert state(copy) == self._cut_state, "the snapshot is not of its moment"
            assert copy.digest() == self._cut.digest()
            self._cut = None
            self._slices.clear()

    def same_through_a_snapshot(self) -> None:
        while self._cut is not None:
            self._snapshot_goes_on(100)
        copy = copy_of(self.keys)
        assert state(copy) == state(self.keys)
        for key in ALL_KEYS:
            self._check_copy(key, copy)
        self.keys = copy_of(self.keys)

    def _check_copy(self, key: bytes, copy: Keyspace) -> None:
        for keys in (self.keys, copy):
            keys.enter(0, self.now_ms, is_read=False)
        assert copy.size_of(key) == self.keys.size_of(key), key
        value = self.keys.peek(key)
        if value is None:
            return
        payload = dump(value)
        assert dump(copy.peek(key)) == payload, key
        restored = restore(payload, self.settings)
        if isinstance(value, SortedSet) and restored.is_listpack != value.is_listpack:
            return  # A score of -0 is 0 in a listpack, as in Redis.
        copy.put(key, restored, KEEP)
        assert self._digest_value(copy, key) == self._digest_value(self.keys, key), key

    @staticmethod
    def _digest_value(keys: Keyspace, key: bytes) -> Reply:
        name = b"DEBUG|DIGEST-VALUE"
        return HANDLERS[name](keys, [name, b"DIGEST-VALUE", key], Context(0, 0, 0))


def play(seed: int, count: int, *, has_snapshots: bool = True) -> Play:
    game = Play(seed, has_snapshots=has_snapshots)
    for _ in range(count):
        game.step()
    if has_snapshots:
        game.same_through_a_snapshot()
    return game


def trace(seed: int, *, has_snapshots: bool) -> str:
    """What must be the same on every replica: the state at the end, and all replies."""
    game = play(seed, 800, has_snapshots=has_snapshots)
    return f"{game.keys.digest():016x} {game.replies_crc:08x}"


def test_every_data_command_is_played() -> None:
    assert templates_missing() == set()


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_sent_is_done_or_changes_nothing(seed: int) -> None:
    game = play(seed, 1000)
    assert game.done > 300
    assert game.refused > 100


@pytest.mark.parametrize("hash_seed", ["0", "77"])
def test_neither_a_hash_seed_nor_a_snapshot_changes_state_or_replies(hash_seed: str) -> None:
    program = f"from {MODULE} import trace; print(trace(5, has_snapshots=False))"
    environment = {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT / ".types")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},  # noqa: TID251 - handed on, not read.
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == trace(5, has_snapshots=True)


if __name__ == "__main__":
    first, count = int(sys.argv[1]), int(sys.argv[2])
    for number in range(first, first + count // 10_000):
        game = play(number, 10_000)
        slow = sorted(game.slowest.items(), key=lambda item: -item[1])[:3]
        print(number, game.done, game.refused, slow, flush=True)  # noqa: T201
