"""Microseconds of apply per command, on small values, each beside SET's.

"Applied" is what a command costs a follower: entries of fifty as they are in the log, read, run and
noted by a shard in slices, by the same calls as in a node. The commands stand there as those of a
client that asked the leader itself, at either RESP door: without a session. It is the least that an
entry holds; for what was passed on by another node, or came from the SDK, the look-up of the
session and the kept reply come on top of each alike, so that the ratios are smaller.

"Handler" is that part of it which differs: the keyspace is told of the command, its handler called.

A value grows to twenty elements at most, so it is small; a command that takes something away is fed
by one that puts it there, in entries of their own, which are not timed.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from trimaran.cluster.slots import ShardId
from trimaran.node.commands.context import Context
from trimaran.node.data.entry import pack_entry
from trimaran.node.data.keyspace import Keyspace
from trimaran.node.raft.core import RaftCore
from trimaran.node.raft.types import (
    NOBODY,
    ZERO,
    Entry,
    EntryKind,
    HardState,
    NodeId,
    RaftConfig,
    ReplicaId,
    Restored,
    SnapshotMeta,
    Voter,
)
from trimaran.node.running import ALL_HANDLERS
from trimaran.node.shard import Shard, ShardLimits
from trimaran.node.slices import Slice

if TYPE_CHECKING:
    from trimaran.node.request import Args

CLUSTER_ID = 1
STAMP_MS = 1_700_000_000_000
KEYS = 1000
COUNT = 10_000  # Commands of a round.
ENTRY = 50  # Commands of an entry.
SLICE_NS = 2_000_000  # As a node's.
ROUNDS = 5

TEN = "MSET of ten, each"  # Ten SETs in one.
TWO = "EVAL of two calls, each"
PARTS = {TEN: 10, TWO: 2}  # Commands in one that are counted one by one.

# Name, the command, and what is run before it untimed. @ is the key, # a number that rises.
COMMANDS: tuple[tuple[str, str, str], ...] = (
    ("SET", "SET @ vvvvvvvvvv", ""),
    ("SET EX", "SET @ vvvvvvvvvv EX 1000", ""),
    ("SETNX", "SETNX @ v", "DEL @"),
    ("SETEX", "SETEX @ 1000 v", ""),
    ("GETSET", "GETSET @ v", ""),
    ("GETDEL", "GETDEL @", "SET @ v"),
    ("GETEX", "GETEX @ EX 1000", "SET @ v"),
    ("INCR", "INCR @", ""),
    ("INCRBYFLOAT", "INCRBYFLOAT @ 1.5", ""),
    ("APPEND", "APPEND @ v", "SET @ v"),
    ("SETRANGE", "SETRANGE @ 3 vvv", ""),
    (TEN, "MSET " + " ".join(f"@{place} v" for place in range(10)), ""),
    ("SETBIT", "SETBIT @ 70 1", ""),
    ("BITFIELD", "BITFIELD @ INCRBY u8 0 1", ""),
    ("LPUSH", "LPUSH @ vvvvvvvvvv", ""),
    ("RPUSH", "RPUSH @ vvvvvvvvvv", ""),
    ("LPOP", "LPOP @", "RPUSH @ vvvvvvvvvv vvvvvvvvvv"),
    ("RPOP", "RPOP @", "RPUSH @ vvvvvvvvvv vvvvvvvvvv"),
    ("LMOVE", "LMOVE @ @ LEFT RIGHT", "RPUSH @ vvvvvvvvvv w"),
    ("LSET", "LSET @ 0 w", "RPUSH @ vvvvvvvvvv"),
    ("LINSERT", "LINSERT @ BEFORE v w", "RPUSH @ v"),
    ("LREM", "LREM @ 1 v", "RPUSH @ v w"),
    ("LTRIM", "LTRIM @ 1 -1", "RPUSH @ v w"),
    ("SADD", "SADD @ #", ""),
    ("SADD of words", "SADD @ m#", ""),
    ("SREM", "SREM @ m#", "SADD @ m# x"),
    ("SPOP", "SPOP @", "SADD @ m# x"),
    ("SMOVE", "SMOVE @ {@} m#", "SADD @ m# x"),
    ("HSET", "HSET @ f# vvvvvvvvvv", ""),
    ("HSET of one field", "HSET @ field #", ""),
    ("HSETNX", "HSETNX @ f# v", ""),
    ("HDEL", "HDEL @ f#", "HSET @ f# v other v"),
    ("HINCRBY", "HINCRBY @ field 1", ""),
    ("HINCRBYFLOAT", "HINCRBYFLOAT @ field 1.5", ""),
    ("HEXPIRE", "HEXPIRE @ 1000 FIELDS 1 field", "HSET @ field v"),
    ("ZADD", "ZADD @ # m#", ""),
    ("ZADD of one member", "ZADD @ # member", ""),
    ("ZINCRBY", "ZINCRBY @ 1 member", ""),
    ("ZREM", "ZREM @ m#", "ZADD @ # m# 0 other"),
    ("ZPOPMIN", "ZPOPMIN @", "ZADD @ # m# 0 other"),
    ("ZREMRANGEBYSCORE", "ZREMRANGEBYSCORE @ 1 inf", "ZADD @ # m# 0 other"),
    ("XADD", "XADD @ #-1 field vvvvvvvvvv", ""),
    ("XADD of *", "XADD @ * field vvvvvvvvvv", ""),
    ("XADD, MAXLEN ~", "XADD @ MAXLEN ~ 10 #-1 field vvvvvvvvvv", ""),
    ("XDEL", "XDEL @ #-1", "XADD @ #-1 field vvvvvvvvvv"),
    ("PFADD", "PFADD @ #", ""),
    ("GEOADD", "GEOADD @ 13.3 38.1 m#", ""),
    ("EXPIRE", "EXPIRE @ 1000", "SET @ v"),
    ("PERSIST", "PERSIST @", "SET @ v EX 1000"),
    ("RENAME", "RENAME @ {@}", "SET @ v"),
    ("COPY", "COPY @ {@} REPLACE", "SET @ v"),
    ("DEL", "DEL @", "SET @ v"),
    ("EVAL", "EVAL return(redis.call('set',KEYS[1],ARGV[1])) 1 @ vvvvvvvvvv", ""),
    (
        TWO,
        "EVAL return{redis.call('set',KEYS[1],ARGV[1]),redis.call('get',KEYS[1])} 1 @ vvvvvvvvvv",
        "",
    ),
)

_BASE = ("SET @ vvvvvvvvvv", "")

Batch = tuple[Sequence["Args"], Sequence["Args"]]  # What is run before, and what is timed.
Run = Callable[[Sequence[Batch]], float]  # Microseconds per timed command.


@dataclass(frozen=True, slots=True)
class Times:
    """Of all rounds, and of SET's beside them: what else the machine does slows both alike."""

    mine_us: Sequence[float]
    base_us: Sequence[float]

    @property
    def best_us(self) -> float:
        return min(self.mine_us)

    @property
    def ratio(self) -> float:
        """How much of SET's best round the best is."""
        return min(self.mine_us) / min(self.base_us)


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one command."""

    name: str
    applied: Times
    handler: Times


def _words(text: str, key: bytes, number: int) -> list[bytes]:
    digits = b"%d" % number
    return [
        word.encode().replace(b"@", key).replace(b"#", digits) if index else word.encode()
        for index, word in enumerate(text.split())
    ]


def batches(text: str, before: str, count: int) -> list[Batch]:
    names = [b"key:%d" % number for number in range(KEYS)]
    found: list[Batch] = []
    for start in range(0, count, ENTRY):
        numbers = range(start + 1, start + 1 + ENTRY)
        prepares = [_words(before, names[one % KEYS], one) for one in numbers if before]
        commands = [_words(text, names[one % KEYS], one) for one in numbers]
        found.append((prepares, commands))
    return found


def _applied(batches: Sequence[Batch]) -> float:
    """By a shard that follows, over a keyspace that begins empty."""
    shard, piece = _follower(), Slice(time.perf_counter_ns)
    index = 0
    spent = 0
    clock = time.thread_time_ns
    for prepares, commands in batches:
        for one in (prepares, commands):
            if not one:
                continue
            index += 1
            # The arguments of commands from the log are new objects: so are these.
            entry = Entry(1, index, EntryKind.COMMANDS, _packed(one))
            began = clock()
            shard.commit([entry])
            while shard.is_behind:
                shard.apply_some(piece.begin(SLICE_NS), 0)
            if one is commands:
                spent += clock() - began
    assert shard.halted is None
    return spent / sum([len(commands) for _, commands in batches]) / 1000


def _packed(commands: Sequence[Args]) -> bytes:
    return pack_entry(CLUSTER_ID, STAMP_MS, 1, [(1, "", 0, 0, 0, args) for args in commands])


def _follower() -> Shard:
    voters = tuple(Voter(ReplicaId(one), NodeId(f"n{one}"), 1) for one in (1, 2, 3))
    core = RaftCore(
        RaftConfig(ReplicaId(1), 600_000_000, 100_000_000, 1 << 20, 64, 1 << 20),
        Restored(HardState(0, NOBODY), SnapshotMeta(ZERO, voters), ()),
        Random(1),
    )
    return Shard(
        ShardId(0),
        cluster_id=CLUSTER_ID,
        core=core,
        keys=Keyspace(),
        limits=ShardLimits(1 << 20, 1 << 20),
        seeds=Random(2),
    )


def _handled(batches: Sequence[Batch]) -> float:
    """By the handlers, over a keyspace that begins empty."""
    keys = Keyspace()
    now_ms = keys.begin_entry(1, STAMP_MS)
    context = Context(1, now_ms, 1)
    spent = 0
    clock = time.thread_time_ns
    for prepares, commands in batches:
        for args in prepares:
            keys.proceed(1, now_ms)
            ALL_HANDLERS[args[0]](keys, args, context)
        began = clock()
        for args in commands:
            keys.proceed(1, now_ms)
            ALL_HANDLERS[args[0]](keys, args, context)
        spent += clock() - began
    return spent / sum([len(commands) for _, commands in batches]) / 1000


def _timed(run: Run, batches: Sequence[Batch]) -> float:
    # The collector as a node has it: it does not walk all that is there again and again.
    gc.collect()
    gc.freeze()
    before = gc.get_threshold()
    gc.set_threshold(10_000, 50, 1 << 30)
    try:
        return run(batches)
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def measure(
    wanted: Sequence[str] = (), *, rounds: int = ROUNDS, count: int = COUNT
) -> Iterator[Cost]:
    """The costs of all commands, or of those named."""
    base = batches(*_BASE, count)
    for name, text, before in COMMANDS:
        if text.split()[0].encode() not in ALL_HANDLERS or (wanted and name not in wanted):
            continue
        mine = batches(text, before, count)
        parts = PARTS.get(name, 1)
        times: dict[Run, Times] = {}
        for run in (_applied, _handled):
            pairs = [(_timed(run, mine), _timed(run, base)) for _ in range(rounds)]
            times[run] = Times([one / parts for one, _ in pairs], [one for _, one in pairs])
        yield Cost(name, times[_applied], times[_handled])


def table(costs: Sequence[Cost]) -> str:
    """As Markdown, with the ratios to SET."""
    lines = [
        "| command | applied us, best | median | of SET's | handler us, best | of SET's |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {one.name} | {one.applied.best_us:.2f} | {statistics.median(one.applied.mine_us):.2f} "
        f"| {one.applied.ratio:.1f}x | {one.handler.best_us:.2f} | {one.handler.ratio:.1f}x |"
        for one in costs
    ]
    return "\n".join(lines)
