"""Microseconds of apply per command: handlers alone, as a shard runs them, on small values.

No log, no network, no reply encoding. A value grows to twenty elements at most, so it is small; a
command that takes something away is fed by one that puts it there, and only it is timed.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trimaran.node.commands.context import Context
from trimaran.node.data.keyspace import Keyspace
from trimaran.node.shard import ALL_HANDLERS

KEYS = 1000
COUNT = 20_000
ROUNDS = 5

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
    ("MSET of ten", "MSET " + " ".join(f"@{place} v" for place in range(10)), ""),
    ("SETBIT", "SETBIT @ 70 1", ""),
    ("BITFIELD", "BITFIELD @ INCRBY u8 0 1", ""),
    ("LPUSH", "LPUSH @ vvvvvvvvvv", ""),
    ("RPUSH", "RPUSH @ vvvvvvvvvv", ""),
    ("LPOP", "LPOP @", "RPUSH @ vvvvvvvvvv vvvvvvvvvv"),
    ("RPOP", "RPOP @", "RPUSH @ vvvvvvvvvv vvvvvvvvvv"),
    ("LMOVE", "LMOVE @ @ LEFT RIGHT", "RPUSH @ vvvvvvvvvv"),
    ("LSET", "LSET @ 0 w", "RPUSH @ vvvvvvvvvv"),
    ("LINSERT", "LINSERT @ BEFORE v w", "RPUSH @ v"),
    ("LREM", "LREM @ 1 v", "RPUSH @ v w"),
    ("LTRIM", "LTRIM @ 0 9", "RPUSH @ v"),
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
)


_BASE = ("SET @ vvvvvvvvvv", "")


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one command: the best and the middle round, and how much of SET's best the best is, both
    measured in turn, since what else the machine does slows them alike."""

    name: str
    best_us: float
    middle_us: float
    ratio: float


def _words(text: str, key: bytes, number: int) -> list[bytes]:
    digits = b"%d" % number
    return [
        word.encode().replace(b"@", key).replace(b"#", digits) if index else word.encode()
        for index, word in enumerate(text.split())
    ]


def _round(text: str, before: str) -> float:
    """Microseconds per command, over one keyspace that begins empty."""
    keys = Keyspace()
    now_ms = keys.begin_entry(1, 1_700_000_000_000)
    context = Context(1, now_ms, 1)
    names = [b"key:%d" % number for number in range(KEYS)]
    plan = [
        (
            _words(before, names[number % KEYS], number) if before else None,
            _words(text, names[number % KEYS], number + 1),
        )
        for number in range(COUNT)
    ]
    # The collector as a node has it: it does not walk all that is there again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 1 << 30)
    spent = 0
    clock = time.thread_time_ns
    if before:
        for prepare, command in plan:
            assert prepare is not None
            keys.enter(1, now_ms, is_read=False)
            ALL_HANDLERS[prepare[0]](keys, prepare, context)
            handler = ALL_HANDLERS[command[0]]
            began = clock()
            keys.enter(1, now_ms, is_read=False)
            handler(keys, command, context)
            spent += clock() - began
        spent -= COUNT * _clock_ns()
    else:
        began = clock()
        for _, command in plan:
            keys.enter(1, now_ms, is_read=False)
            ALL_HANDLERS[command[0]](keys, command, context)
        spent = clock() - began
    gc.unfreeze()
    return spent / COUNT / 1000


def _clock_ns() -> int:
    """What reading the clock twice adds to a command that is timed alone."""
    clock = time.thread_time_ns
    began = clock()
    for _ in range(10_000):
        clock()
    return (clock() - began) // 10_000


def measure(wanted: Sequence[str] = (), *, rounds: int = ROUNDS) -> Iterator[Cost]:
    """The costs of all commands, or of those named."""
    for name, text, before in COMMANDS:
        if text.split()[0].encode() not in ALL_HANDLERS or (wanted and name not in wanted):
            continue
        pairs = [(_round(text, before), _round(*_BASE)) for _ in range(rounds)]
        times = sorted(mine for mine, _ in pairs)
        base = min(base for _, base in pairs)
        yield Cost(name, times[0], statistics.median(times), times[0] / base)


def table(costs: Sequence[Cost]) -> str:
    """As Markdown, with the ratio to SET."""
    lines = ["| command | us, best | us, median | of SET's |", "| --- | ---: | ---: | ---: |"]
    lines += [
        f"| {one.name} | {one.best_us:.2f} | {one.middle_us:.2f} | {one.ratio:.1f}x |"
        for one in costs
    ]
    return "\n".join(lines)
