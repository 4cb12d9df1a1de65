"""The parts of one process, without network and clients: where a command's microseconds go.

Every layer is timed in batches, as it works in production: what arrives in one read, what one
entry holds, what one fsync covers.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from trimaran.cluster.slots import ShardId
from trimaran.node.commands import HANDLERS, Context
from trimaran.node.data.entry import pack_entry, unpack_entry
from trimaran.node.data.keyspace import Keyspace
from trimaran.node.raft.types import Entry, EntryKind, NodeId, ReplicaId, Voter
from trimaran.node.storage.disk import RealDisk
from trimaran.node.storage.wal import Created, Log, LogOptions, ShardSave
from trimaran.proto.reply import Status
from trimaran.proto.resp import CommandReader, ReaderLimits, encode_reply

from .generators import KEYS, VALUE_BYTES
from .parse import percentile

CLUSTER_ID = 1
STAMP_MS = 1_700_000_000_000
SHARD = ShardId(0)


@dataclass(frozen=True, slots=True)
class Layer:
    """One line of the table; times are of a batch."""

    name: str
    batch: int
    times_ns: Sequence[int]
    cpu_ns: int

    def row(self) -> str:
        ascending = sorted(self.times_ns)
        p50_us, p99_us = percentile(ascending, 50) / 1000, percentile(ascending, 99) / 1000
        rate = self.batch * len(ascending) / (sum(ascending) / 1e9)
        cpu_us = self.cpu_ns / 1000 / self.batch / len(ascending)
        return (
            f"| {self.name} | {self.batch} | {p50_us / self.batch:.2f} | "
            f"{p99_us / self.batch:.2f} | {cpu_us:.2f} | {rate:,.0f} |"
        )


def measured(directory: Path, *, seconds: float) -> str:
    """All layers as a Markdown table."""
    layers: list[Layer] = []
    for batch in (1, 16, 256):
        layers += [
            _timed(name, batch, step, seconds) for name, step in _steps(batch, directory).items()
        ]
    layers.sort(key=lambda layer: layer.name)
    head = [
        "| layer | commands in a batch | p50 us each | p99 us each | CPU us each | per second |"
    ]
    head += ["| --- | ---: | ---: | ---: | ---: | ---: |"]
    return "\n".join([*head, *(layer.row() for layer in layers)])


def _timed(name: str, batch: int, step: Callable[[], object], seconds: float) -> Layer:
    times: list[int] = []
    deadline = time.perf_counter() + seconds
    for _ in range(3):
        step()
    cpu_before = time.process_time_ns()
    while time.perf_counter() < deadline:
        started = time.perf_counter_ns()
        step()
        times.append(time.perf_counter_ns() - started)
    return Layer(name, batch, times, time.process_time_ns() - cpu_before)


def _steps(batch: int, directory: Path) -> dict[str, Callable[[], object]]:
    rng = random.Random(batch)
    keys = [b"key:%012d" % rng.randrange(KEYS) for _ in range(batch)]
    sets = [[b"SET", key, b"x" * VALUE_BYTES] for key in keys]
    gets = [[b"GET", key] for key in keys]
    chunk = b"".join(map(_resp, sets))
    reader = CommandReader(ReaderLimits())
    records = [(1, "", 0, 0, 0, args) for args in sets]
    data = pack_entry(CLUSTER_ID, STAMP_MS, 1, records)
    keyspace = Keyspace()
    return {
        "1 parse SET": lambda: reader.feed(chunk),
        "2 pack the entry": lambda: pack_entry(CLUSTER_ID, STAMP_MS, 1, records),
        "3 log: write and fdatasync": _log_step(directory / f"log-{batch}", data),
        "4 unpack the entry (follower)": lambda: unpack_entry(data, CLUSTER_ID),
        "5 apply SET": lambda: _apply(keyspace, sets),
        "5 apply GET": lambda: _apply(keyspace, gets),
        "6 encode OK": lambda: [encode_reply(Status("OK"), 2) for _ in range(batch)],
    }


def _apply(keyspace: Keyspace, commands: Sequence[Sequence[bytes]]) -> None:
    """As `Shard.apply` runs the commands of an entry."""
    now_ms = keyspace.begin_entry(keyspace.entry_index + 1, STAMP_MS)
    context = Context(1, now_ms, 1)
    for args in commands:
        keyspace.enter(1, now_ms, is_read=False)
        HANDLERS[args[0]](keyspace, args, context)


def _log_step(directory: Path, data: bytes) -> Callable[[], None]:
    """One entry saved; old segments are let go as a snapshot would let them."""
    options = LogOptions(segment_bytes=64 << 20)
    log, _ = Log.open(
        RealDisk(), os.fspath(directory), cluster_id=CLUSTER_ID, snapshots={}, options=options
    )
    voters = (Voter(ReplicaId(1), NodeId("n1"), 1),)
    log.write(log.stage([ShardSave(SHARD, created=Created(ReplicaId(1), voters))]))
    index = 0

    def step() -> None:
        nonlocal index
        index += 1
        entry = Entry(1, index, EntryKind.COMMANDS, data)
        log.write(log.stage([ShardSave(SHARD, entries=(entry,))]))

    return step


def _resp(args: Sequence[bytes]) -> bytes:
    elements = (b"$%d\r\n%b\r\n" % (len(argument), argument) for argument in args)
    return b"*%d\r\n" % len(args) + b"".join(elements)
