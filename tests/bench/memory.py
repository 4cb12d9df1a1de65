"""What a key or an element takes in memory, beside Redis.

Ours: growth of the resident memory of a fresh process that holds keyspaces and nothing else, filled
by the handlers as a shard runs them: what each of a node's replicas takes. Database 0 is sixteen
keyspaces, as many as a node has shards by default, database 1 is one; both are there, with all that
is there once, before the clock of bytes starts. Beside it what `memory_bytes` counts of it.
Redis: growth of `used_memory`, what it has asked of its allocator. Both read the same bytes.

Ten elements are many keys of ten, and ten strings are many databases with ten keys; a
million are one key, or a million strings.
"""

from __future__ import annotations

import gc
import multiprocessing
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from trimaran.cluster.slots import slot_of
from trimaran.node.commands.context import Context
from trimaran.node.data.keyspace import Keyspace
from trimaran.node.running import ALL_HANDLERS
from trimaran.proto.resp import CommandReader, ReaderLimits

from ..chaos.processes import Processes
from . import redis

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

SIZES = (10, 1_000, 1_000_000)
SHARDS = 16  # Of database 0; every other is on one.
STAMP_MS = 1_700_000_000_000
TOTAL = 200_000  # Elements at least, so that a page more or less of memory says nothing.
COPIES_MAX = 100  # Databases that hold the same few strings.
AT_A_TIME = 500  # Elements of one command, and commands sent together.
BOUND, STRING_BOUND = 2.0, 1.6  # Times what Redis takes.
COUNTED_OFF_MAX = 0.15
STILL_S = 0.3  # Redis gives tables back a piece at a time; so long without change it has ended.

Elements = Callable[[range], list[bytes]]

# The command that adds elements, and what it says for those of some numbers.
COLLECTIONS: dict[str, tuple[bytes, Elements]] = {
    "list": (b"RPUSH", lambda them: [b"element%05d" % n for n in them]),
    "hash": (b"HSET", lambda them: [w for n in them for w in (b"f%07d" % n, b"value%05d" % n)]),
    "set of words": (b"SADD", lambda them: [b"m%07d" % n for n in them]),
    "set of integers": (b"SADD", lambda them: [b"%d" % (n * 7919 % 10_000_019) for n in them]),
    "zset": (b"ZADD", lambda them: [w for n in them for w in (b"%d" % (n * 3), b"m%07d" % n)]),
}
STRINGS = {"string of 10": 10, "string of 100": 100, "string of 1000": 1_000}  # Bytes.
STREAM = "stream"
TYPES = (*STRINGS, *COLLECTIONS, STREAM)


@dataclass(frozen=True, slots=True)
class Case:
    """`keys` values of `what`, each of `elements`, in each of `copies` databases."""

    what: str
    size: int
    keys: int
    elements: int
    copies: int

    @classmethod
    def of(cls, what: str, size: int) -> Case:
        if what in STRINGS:
            return cls(what, size, size, 1, max(1, min(TOTAL // size, COPIES_MAX)))
        return cls(what, size, max(1, TOTAL // size), size, 1)

    @property
    def total(self) -> int:
        return self.keys * self.elements * self.copies

    def commands(self) -> Iterator[list[bytes]]:
        """What fills one of the databases."""
        for number in _numbers(self.keys):
            yield from self._commands(b"key:%012d" % number, number)

    def _commands(self, key: bytes, number: int) -> Iterator[list[bytes]]:
        if self.what in STRINGS:
            yield [b"SET", key, (b"%010d" % number) * (STRINGS[self.what] // 10)]
        elif self.what == STREAM:
            for place in range(self.elements):
                entry_id = b"%d-0" % (STAMP_MS + 37 * place)
                yield [b"XADD", key, entry_id, b"field", b"value%05d" % place]
        else:
            name, elements = COLLECTIONS[self.what]
            for start in range(0, self.elements, AT_A_TIME):
                numbers = range(start, min(start + AT_A_TIME, self.elements))
                yield [name, key, *elements(numbers)]

    def chunks(self) -> Iterator[tuple[bytes, int]]:
        """The same as bytes, and how many commands they are."""
        commands = self.commands()
        at_a_time = AT_A_TIME if self.elements == 1 or self.what == STREAM else 1
        while some := list(islice(commands, at_a_time)):
            yield redis.sent_at_once(some), len(some)


@cache
def _numbers(keys: int) -> list[int]:
    """Of keys, in no order, as they come; the same for everybody."""
    return random.Random(keys).sample(range(10 * keys), keys)


@dataclass(frozen=True, slots=True)
class Taken:
    """Bytes of each element, or of each key of strings."""

    case: Case
    database: int
    resident: float
    counted: float
    redis: float

    @property
    def ratio(self) -> float:
        return self.resident / self.redis

    @property
    def counted_off(self) -> float:
        return self.counted / self.resident - 1

    @property
    def is_within(self) -> bool:
        bound = STRING_BOUND if self.case.what in STRINGS else BOUND
        return self.ratio <= bound and abs(self.counted_off) <= COUNTED_OFF_MAX


# --- Ours, in a process of its own.


class _Replicas:
    """The keyspaces of one database, as the shards of a node hold them."""

    def __init__(self, database: int) -> None:
        self._database = database
        self._all = [Keyspace() for _ in range(SHARDS if database == 0 else 1)]
        for place, keys in enumerate(self._all):
            keys.owner = (place, len(self._all))
            keys.begin_entry(1, STAMP_MS)
            # What is there once comes with the first key.
            self._run(keys, [b"SET", b"first", b"x"])
            self._run(keys, [b"DEL", b"first"])

    def apply(self, args: list[bytes]) -> None:
        place = slot_of(args[1]) * len(self._all) // 16384
        self._run(self._all[place], args)

    def _run(self, keys: Keyspace, args: list[bytes]) -> None:
        keys.enter(self._database, STAMP_MS, is_read=False)
        ALL_HANDLERS[args[0]](keys, args, Context(self._database, STAMP_MS, 1))

    @property
    def counted(self) -> int:
        return sum(keys.memory_bytes for keys in self._all)


def _measure_ours(case: Case, database: int, pipe: Connection) -> None:
    """Sends what the case has taken: resident and counted bytes."""
    gc.set_threshold(10_000, 50, 1 << 30)  # As a node has it.
    reader = CommandReader(ReaderLimits())
    small = Case(case.what, case.size, min(case.keys, 100), min(case.elements, 100), 1)
    _fill(_Replicas(database), small, reader)  # What is loaded or made when it is first needed.
    copies = [_Replicas(database) for _ in range(case.copies)]
    counted = sum(one.counted for one in copies)
    _numbers(case.keys)  # They are no part of what is measured.
    gc.collect()
    # So that holes in the memory that is there already are not where the first bytes go.
    ballast = [bytes(size) for size in range(1, 512, 16) for _ in range(2_000)]
    resident = _resident_bytes()
    for one in copies:
        _fill(one, case, reader)
    gc.collect()
    resident = _resident_bytes() - resident
    counted = sum(one.counted for one in copies) - counted
    pipe.send((resident / case.total, counted / case.total))
    del ballast


def _fill(replicas: _Replicas, case: Case, reader: CommandReader) -> None:
    for chunk, _ in case.chunks():
        for args in reader.feed(chunk):
            replicas.apply(args)


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def _ours(case: Case, database: int) -> tuple[float, float]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_measure_ours, args=(case, database, theirs))
    process.start()
    theirs.close()
    taken: tuple[float, float] = ours.recv()
    process.join()
    return taken


# --- Redis.


def _redis(case: Case, port: int) -> float:
    client = redis.Connection(port)
    client.ask(b"FLUSHALL", b"SYNC")
    before = _used_memory(client)
    for copy in range(case.copies):
        client.ask(b"SELECT", b"%d" % copy)
        for chunk, count in case.chunks():
            client.send(chunk, count)
    taken = _used_memory(client) - before
    client.close()
    return taken / case.total


def _used_memory(client: redis.Connection) -> int:
    """Once it rests."""
    seen = -1
    while True:
        now = int(client.info(b"memory")["used_memory"])
        if abs(now - seen) < 1 << 12:
            return now
        seen = now
        time.sleep(STILL_S)


# --- Together.


def measure(
    directory: Path, types: Sequence[str], sizes: Sequence[int], databases: Sequence[int]
) -> Iterator[Taken]:
    """As they come: every type at every size."""
    port = redis.free_port(random.Random())
    with Processes() as processes:
        redis.start(processes, directory, port, "--databases", str(COPIES_MAX))
        for what in types:
            for size in sizes:
                case = Case.of(what, size)
                theirs = _redis(case, port)
                for database in databases:
                    resident, counted = _ours(case, database)
                    yield Taken(case, database, resident, counted, theirs)


def table(taken: Sequence[Taken]) -> str:
    """As Markdown, with the ratio to Redis."""
    lines = [
        "Bytes of each element, of each key with strings. Bound: "
        f"{BOUND:g}x Redis, strings {STRING_BOUND:g}x; counted within {COUNTED_OFF_MAX:.0%}.",
        "",
        "| type | elements | database | ours | counted | Redis | of Redis's | |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    lines += [line(one) for one in taken]
    return "\n".join(lines)


def line(one: Taken) -> str:
    """One row of it."""
    return (
        f"| {one.case.what} | {one.case.size:,} | {one.database} | {one.resident:.1f} | "
        f"{one.counted:.1f} ({one.counted_off:+.0%}) | {one.redis:.1f} | {one.ratio:.2f}x | "
        f"{'' if one.is_within else 'over'} |"
    )
