"""How long one command stops a node: each on a value of a million small elements.

Inside one process: CPU time of the longest stretch that nothing else can interrupt, the handler and
as much of the reply as is written at once. Values are made once, dumped, and restored wherever a
command needs one that it may spoil. What others notice of the same commands in a cluster is
measured by `pauses_cluster.py`.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from trimaran.cluster.command import READ
from trimaran.cluster.commands import COMMANDS
from trimaran.node.commands.context import Context
from trimaran.node.commands.internal import EXPIRE
from trimaran.node.data.keyspace import Keyspace
from trimaran.node.errors import CommandError
from trimaran.node.running import ALL_HANDLERS
from trimaran.proto.reply import ErrorReply, Reply
from trimaran.proto.resp import encode_in_pieces, encode_reply, is_long

DATABASE: Final = 1  # Of the values,
KEYS_DATABASE: Final = 2  # and of many keys.
NOW_MS: Final = 1_700_000_000_000
ROUNDS: Final = 3
BATCH: Final = 1_000  # Elements, or keys, of one command that fills.
STREAM_SHARE: Final = 0.3  # Of its entries is what RESTORE takes.
SLICE_ITEMS, SLICE_BYTES = 64, 256 << 10  # Of a snapshot, as a node begins with.
BITS_BYTES: Final = 64 << 20

SCRATCH: Final = b"scratch"  # @ in a command.


@dataclass(frozen=True, slots=True)
class Case:
    """One row. `spoils` names the value that the command has a fresh copy of, as @."""

    name: str
    command: str
    spoils: str = ""
    db: int = DATABASE
    before: str = ""  # Run before it, unmeasured; @ is the same.


_RESTORED: Final = ("list", "set", "hash", "zset", "part")  # Keys that are dumped.
_TYPES: Final = (*_RESTORED[:-1], "stream")

CASES: Final = (
    *(Case(f"DEL of a {kind}", "DEL @", kind) for kind in _TYPES),
    Case("UNLINK of a zset", "UNLINK @", "zset"),
    Case("RENAME over a zset", "RENAME other @", "zset", before="COPY set other"),
    Case("COPY of a zset", "COPY zset @"),
    Case("KEYS *", "KEYS *", db=KEYS_DATABASE),
    Case("KEYS *99", "KEYS *99", db=KEYS_DATABASE),
    Case("SCAN 0 COUNT 1000", "SCAN 0 COUNT 1000", db=KEYS_DATABASE),
    Case("SMEMBERS", "SMEMBERS set"),
    Case("SINTER", "SINTER set set2"),
    Case("SUNION", "SUNION set set2"),
    Case("SUNIONSTORE", "SUNIONSTORE @ set set2"),
    Case("SINTERSTORE", "SINTERSTORE @ set set2"),
    Case("SDIFFSTORE", "SDIFFSTORE @ set set2"),
    Case("SPOP of half", "SPOP @ {half}", "set"),
    Case("SPOP of a thousandth", "SPOP @ {thousandth}", "set"),
    Case("ZRANGE 0 -1 WITHSCORES", "ZRANGE zset 0 -1 WITHSCORES"),
    Case("ZRANGEBYLEX - +", "ZRANGEBYLEX lex - +"),
    Case("ZUNIONSTORE of halves", "ZUNIONSTORE @ 2 half1 half2"),
    Case("ZINTERSTORE of halves", "ZINTERSTORE @ 2 half1 half2"),
    Case("ZDIFFSTORE of halves", "ZDIFFSTORE @ 2 half1 half2"),
    Case("ZRANGESTORE", "ZRANGESTORE @ zset 0 -1"),
    Case("ZREMRANGEBYRANK of half", "ZREMRANGEBYRANK @ 0 {half}", "zset"),
    Case("ZPOPMIN of a thousandth", "ZPOPMIN @ {thousandth}", "zset"),
    Case("SORT of numbers", "SORT numbers"),
    Case("SORT ALPHA", "SORT list ALPHA"),
    Case("SORT STORE of numbers", "SORT numbers STORE @"),
    Case("LRANGE 0 -1", "LRANGE list 0 -1"),
    Case("LPOS of the last", "LPOS list {last}"),
    Case("LINSERT in the middle", "LINSERT @ BEFORE {middle} x", "list"),
    Case("LREM of the last", "LREM @ 0 {last}", "list"),
    Case("LTRIM to half", "LTRIM @ 0 {half}", "list"),
    Case("HGETALL", "HGETALL hash"),
    Case("HKEYS", "HKEYS hash"),
    Case("XRANGE - +", "XRANGE stream - +"),
    Case(
        "XREADGROUP of all",
        "XREADGROUP GROUP group me STREAMS @ >",
        "stream",
        before="XGROUP CREATE @ group 0",
    ),
    Case("XTRIM to half", "XTRIM @ MAXLEN {half}", "stream"),
    *(Case(f"DUMP of a {kind}", f"DUMP {kind}") for kind in _TYPES),
    *(Case(f"RESTORE of a {kind}", f"RESTORE @ 0 {{{kind}}}") for kind in _RESTORED[:-1]),
    Case("RESTORE of a stream of 0.3", "RESTORE @ 0 {part}"),
    Case("BITCOUNT of 64 MiB", "BITCOUNT bits"),
    Case("BITPOS in 64 MiB", "BITPOS bits 1"),
    Case("BITOP AND of 64 MiB", "BITOP AND @ bits bits"),
    Case("GETRANGE of 64 MiB", "GETRANGE bits 0 -1"),
    Case("PFMERGE", "PFMERGE @ hll hll2"),
    Case("EVAL with all of its budget", "EVAL while(true)do(function()end)()end 0"),
    Case("FLUSHDB of keys", "FLUSHDB", db=KEYS_DATABASE),
)


class Words:
    """The words of commands for values of `size` elements; the payloads are found out later."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.payloads: dict[str, bytes] = {}
        self._numbers = {
            "half": size // 2,
            "thousandth": max(size // 1000, 1),
            "middle": size // 2,
            "last": size - 1,
        }

    def of(self, command: str) -> list[bytes]:
        return list(map(self._word, command.split()))

    def _word(self, word: str) -> bytes:
        if word == "@":
            return SCRATCH
        if not word.startswith("{"):
            return word.encode()
        name = word[1:-1]
        if name in self.payloads:
            return self.payloads[name]
        number = self._numbers[name]
        return _element(number) if name in ("middle", "last") else b"%d" % number

    def fresh(self, kind: str) -> list[bytes]:
        """What makes a value of a type that a command may spoil."""
        if kind in self.payloads:
            return [b"RESTORE", SCRATCH, b"0", self.payloads[kind], b"REPLACE"]
        return [b"COPY", kind.encode(), SCRATCH, b"REPLACE"]


def _element(number: int) -> bytes:
    return b"element:%07d" % number


def filling(size: int) -> Iterator[list[bytes]]:
    """The commands that make all values."""
    for start in range(0, size, BATCH):
        numbers = range(start, min(start + BATCH, size))
        words = [_element(number) for number in numbers]
        # The second ones have half of their elements in common with the first.
        others = [_element(number + size // 2) for number in numbers]
        yield [b"RPUSH", b"list", *words]
        yield [b"RPUSH", b"numbers", *[b"%d" % _mixed(number) for number in numbers]]
        yield [b"SADD", b"set", *words]
        yield [b"SADD", b"set2", *others]
        yield [b"HSET", b"hash", *[one for word in words for one in (word, b"value")]]
        yield [b"ZADD", b"zset", *_scored(numbers, words)]
        if start < size // 2:
            halves = [_element(number + size // 4) for number in numbers]
            yield [b"ZADD", b"half1", *_scored(numbers, words)]
            yield [b"ZADD", b"half2", *_scored(numbers, halves)]
        yield [b"ZADD", b"lex", *[one for word in words for one in (b"0", word)]]
    for number in range(size):
        entry = [b"%d-1" % (number + 1), b"field", _element(number)]
        yield [b"XADD", b"stream", *entry]
        if number < size * STREAM_SHARE:
            yield [b"XADD", b"part", *entry]
    yield [b"SETRANGE", b"bits", b"%d" % (BITS_BYTES - BATCH), b"x"]
    yield [b"PFADD", b"hll", *[_element(number) for number in range(BATCH)]]
    yield [b"PFADD", b"hll2", *[_element(number) for number in range(BATCH // 2, 2 * BATCH)]]


def filling_keys(size: int) -> Iterator[list[bytes]]:
    for start in range(0, size, BATCH):
        numbers = range(start, min(start + BATCH, size))
        yield [b"MSET", *[one for number in numbers for one in (_element(number), b"value")]]


def _mixed(number: int) -> int:
    """Of a range of numbers each once, in no order that one sees."""
    return number * 7_919 % 1_000_003


def _scored(numbers: Sequence[int], words: Sequence[bytes]) -> list[bytes]:
    pairs = zip(numbers, words, strict=True)
    return [one for number, word in pairs for one in (b"%d.5" % _mixed(number), word)]


# --- Inside one process.


class _Process:
    """A keyspace and what a door does with replies."""

    def __init__(self, words: Words) -> None:
        self.keys = Keyspace()
        self.words = words
        for args in filling(words.size):
            self.run(args)
        for args in filling_keys(words.size):
            self.run(args, KEYS_DATABASE)
        for kind in _RESTORED:
            payload = self.run([b"DUMP", kind.encode()])
            assert isinstance(payload, bytes)
            words.payloads[kind] = payload

    def run(self, args: list[bytes], db: int = DATABASE) -> Reply:
        now_ms = self.keys.begin_entry(1, NOW_MS)
        name = b"|".join(args[:2]) if args[0] == b"XGROUP" else args[0]
        row = COMMANDS.get(args[0])
        self.keys.enter(db, now_ms, is_read=row is not None and bool(row.flags & READ))
        try:
            return ALL_HANDLERS[name](self.keys, args, Context(db, now_ms, 1))
        except CommandError as error:
            return ErrorReply(error.code, error.text)

    def tidy(self) -> None:
        self.run([b"DEL", SCRATCH])
        self.run([b"DEL", b"other"])
        while self.keys.trash:
            self.keys.trash.free_some(1)

    def stretch_ms(self, case: Case) -> float:
        """The longest one of a command, which runs in one go."""
        if case.spoils:
            self.run(self.words.fresh(case.spoils))
        if case.before:
            self.run(self.words.of(case.before))
        args = self.words.of(case.command)
        gc.collect()
        gc.freeze()
        began = time.thread_time_ns()
        reply = self.run(args, case.db)
        if is_long(reply):
            next(encode_in_pieces(reply, 3))
        else:
            encode_reply(reply, 3)
        took_ns = time.thread_time_ns() - began
        gc.unfreeze()
        if isinstance(reply, ErrorReply) and not case.command.startswith("EVAL"):
            raise RuntimeError(f"{case.name}: {reply.text}")
        del reply
        self.tidy()
        return took_ns / 1e6

    # --- What follows commands, in pieces.

    def freeing_ms(self) -> float:
        """The longest piece of freeing one value of each type."""
        for kind in _TYPES:
            self.run(self.words.fresh(kind))
            self.run([b"DEL", SCRATCH])
        longest_ns = 0
        while self.keys.trash:
            longest_ns = max(longest_ns, _taken_ns(partial(self.keys.trash.free_some, 1)))
        return longest_ns / 1e6

    def expiry_ms(self) -> float:
        """What the removal of a sorted set that is due takes."""
        self.run(self.words.fresh("zset"))
        self.run([b"PEXPIREAT", SCRATCH, b"%d" % NOW_MS])
        took_ns = _taken_ns(partial(self.run, [EXPIRE, SCRATCH]))
        self.tidy()
        return took_ns / 1e6

    def snapshot_ms(self) -> float:
        """The longest slice of a snapshot of all of it."""
        cut = self.keys.begin_snapshot()
        longest_ns = 0
        is_over = False

        def take() -> None:
            nonlocal is_over
            is_over = cut.slice(SLICE_ITEMS, SLICE_BYTES) is None

        while not is_over:
            longest_ns = max(longest_ns, _taken_ns(take))
        return longest_ns / 1e6

    def digest_ms(self) -> float:
        """What it takes to look at the largest value when a snapshot was installed."""
        self.keys.digest()  # Nothing else is left to be looked at.
        self.run(self.words.fresh("zset"))
        took_ns = _taken_ns(partial(self.keys.digest_some, 1))
        self.tidy()
        return took_ns / 1e6


def _taken_ns(run: Callable[[], object]) -> int:
    began = time.thread_time_ns()
    run()
    return time.thread_time_ns() - began


SLICED: Final[dict[str, Callable[[_Process], float]]] = {
    "freeing, a piece": _Process.freeing_ms,
    "expiry of a zset": _Process.expiry_ms,
    "a snapshot of all, a slice": _Process.snapshot_ms,
    "an installed snapshot's digest, a zset": _Process.digest_ms,
}


def in_process(
    words: Words, wanted: Sequence[str] = (), *, rounds: int = ROUNDS
) -> dict[str, float]:
    """The longest stretch of each in ms, the best of some rounds."""
    gc.set_threshold(10_000, 50, 1 << 30)  # As a node has it.
    process = _Process(words)
    found: dict[str, float] = {}
    for case in chosen(wanted):
        tries = 1 if case.command == "FLUSHDB" else rounds
        found[case.name] = min(process.stretch_ms(case) for _ in range(tries))
        print(f"{case.name}: {found[case.name]:.1f} ms", flush=True)
    for name, measure in SLICED.items():
        if _is_wanted(name, wanted):
            found[name] = min(measure(process) for _ in range(rounds))
    return found


def chosen(wanted: Sequence[str]) -> list[Case]:
    return [case for case in CASES if _is_wanted(case.name, wanted)]


def _is_wanted(name: str, wanted: Sequence[str]) -> bool:
    return not wanted or any(name.startswith(one) for one in wanted)


# --- The table.


@dataclass(frozen=True, slots=True)
class Noticed:
    """Of a command in a cluster."""

    took_ms: float  # Until it was answered.
    leader_ms: float  # The longest PING of others at the node that carried it out,
    follower_ms: float  # and at any other.
    has_elected: bool  # Some shard got a new leader meanwhile.
    error: str = ""  # How it was answered, if not well.

    def __str__(self) -> str:
        election = "an election" if self.has_elected else "no election"
        return (
            f"answered after {self.took_ms:.0f} ms, PING {self.leader_ms:.0f} ms at the leader,"
            f" {self.follower_ms:.0f} ms at a follower, {election} {self.error}".rstrip()
        )


def table(size: int, stretches: dict[str, float], noticed: dict[str, Noticed]) -> str:
    """As Markdown."""
    lines = [
        f"Values of {size:,} elements. Best of {ROUNDS} in the process; in the cluster once.",
        "",
        "| command | one stretch, ms of CPU | answered after, ms | PING at the leader, ms"
        " | PING at a follower, ms | election |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for name, took_ms in stretches.items():
        lines.append(f"| {name} | {took_ms:.1f} | {_cells(noticed.get(name))} |")
    return "\n".join(lines)


def _cells(seen: Noticed | None) -> str:
    if seen is None:
        return " | | | "
    election = f"{'yes' if seen.has_elected else 'no'} {seen.error}".rstrip()
    return f"{seen.took_ms:.0f} | {seen.leader_ms:.0f} | {seen.follower_ms:.0f} | {election}"
