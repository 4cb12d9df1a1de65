"""Writes to values of every type, for the digests that replicas are compared by.

Nobody checks what is answered: replicas must compute the same state and the same replies (sessions
keep them), whatever is cut, installed, half applied or sent again while values grow and shrink.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from trimaran.cluster.slots import ShardId, shard_of
from trimaran.proto.reply import ErrorReply, Reply

from . import scripts
from .history import History
from .workload import Key, Workload

if TYPE_CHECKING:
    from random import Random

    from .linearizability import Answer, Command

# Groups that are there already or not, and streams that are not.
EXPECTED_ERRORS = (
    "BUSYGROUP",
    "NOGROUP",
    "ERR The XGROUP subcommand requires the key to exist",
    *scripts.EXPECTED_ERRORS,
)
GROUP, CONSUMERS = b"group", (b"ann", b"bob")
TWO_FIELDS, THREE = (b"FIELDS", b"2"), (b"COUNT", b"3")
MEMBERS = 24  # Different ones of a collection; about half are there.

Maker = Callable[["Random", bytes, bytes], "Command"]


class Churn(Workload):
    """A workload of whole commands, whose answers are taken as they are."""

    def __init__(self, rng: Random, shards: int) -> None:
        super().__init__(rng, _keys(shards), History())
        self._written = 1_000_000  # No value or message is also one of the other workload.

    # What it publishes is counted by the judge.
    def heard_by(self, message: bytes, reply: Reply) -> None:
        """Nobody looks."""

    def choose(self) -> tuple[Key, tuple[Command, ...]]:
        rng = self._rng
        key = rng.choice(self.keys)
        makers = MAKERS[key.kind]
        count = rng.choice((1, 2, 3, 6))
        return key, tuple([self._command(rng.choice(makers), key) for _ in range(count)])

    def _command(self, maker: Maker, key: Key) -> Command:
        self._written += 1
        return maker(self._rng, key.name, b"%d" % self._written)

    def args(self, key: Key, command: Command) -> list[bytes]:
        del key
        return list(command)

    def answers(self, key: Key | None, replies: Sequence[Reply]) -> tuple[Answer, ...]:
        del key
        for reply in replies:
            if isinstance(reply, ErrorReply):
                text = f"{reply.code} {reply.text}"
                assert text.startswith(EXPECTED_ERRORS), f"a client was answered {text}"
        return ()


def _keys(shards: int) -> list[Key]:
    """One key of every kind on every shard; two commands of a kind may need a second key, so all
    have a tag that leads to their shard."""
    tags: dict[ShardId, bytes] = {}
    number = 0
    while len(tags) < shards:
        tag = b"{t%d}" % number
        number += 1
        tags.setdefault(shard_of(0, tag, shards), tag)
    return [
        Key(0, tag + kind.encode(), kind, shard)
        for shard, tag in sorted(tags.items())
        for kind in MAKERS
    ]


def _member(rng: Random) -> bytes:
    return b"m%d" % rng.randrange(MEMBERS)


def _integer(rng: Random) -> bytes:
    return b"%d" % rng.randrange(MEMBERS)


def _score(rng: Random) -> bytes:
    return b"%.2f" % (rng.randrange(-500, 500) / 100)


def _range(rng: Random) -> tuple[bytes, bytes]:
    first = rng.randrange(6)
    return b"%d" % first, b"%d" % (first + rng.randrange(12))


LISTS: tuple[Maker, ...] = (
    lambda _, key, value: (b"RPUSH", key, value, value + b"x" * 20),
    lambda _, key, value: (b"LPUSH", key, value, b"7", value),
    lambda rng, key, _: (b"LPOP", key, b"%d" % rng.randrange(1, 4)),
    lambda rng, key, _: (b"RPOP", key, b"%d" % rng.randrange(1, 3)),
    lambda rng, key, value: (b"LINSERT", key, b"BEFORE", b"7", value),
    lambda rng, key, _: (b"LREM", key, b"1", b"7"),
    lambda rng, key, _: (b"LTRIM", key, b"%d" % rng.randrange(2), b"20"),
    lambda _, key, __: (b"LMOVE", key, key, b"LEFT", b"RIGHT"),
    lambda _, key, __: (b"LMOVE", key, key + b"2", b"LEFT", b"LEFT"),
    lambda _, key, __: (b"LTRIM", key + b"2", b"0", b"8"),
    lambda rng, key, _: (b"LRANGE", key, *_range(rng)),
)

SETS: tuple[Maker, ...] = (
    lambda rng, key, _: (b"SADD", key, _member(rng), _member(rng), _integer(rng)),
    lambda rng, key, _: (b"SREM", key, _member(rng), _member(rng)),
    lambda rng, key, _: (b"SADD", key + b"2", _integer(rng), _integer(rng)),
    lambda rng, key, _: (b"SPOP", key, b"%d" % rng.randrange(1, 3)),
    lambda rng, key, _: (b"SPOP", key + b"2"),
    lambda rng, key, _: (b"SMOVE", key, key + b"2", _integer(rng)),
    lambda _, key, __: (b"SUNIONSTORE", key + b"3", key, key + b"2"),
    lambda rng, key, _: (b"SRANDMEMBER", key, b"2"),
)

HASHES: tuple[Maker, ...] = (
    lambda rng, key, value: (b"HSET", key, _member(rng), value, _member(rng), value * 3),
    lambda rng, key, _: (b"HDEL", key, _member(rng), _member(rng)),
    lambda rng, key, _: (b"HINCRBY", key, b"count", _integer(rng)),
    lambda rng, key, _: (
        b"HPEXPIRE", key, b"%d" % rng.choice((30, 400, 3000)), *TWO_FIELDS, _member(rng), b"m1",
    ),
    lambda rng, key, _: (b"HPERSIST", key, b"FIELDS", b"1", _member(rng)),
    lambda rng, key, _: (b"HGETDEL", key, b"FIELDS", b"1", _member(rng)),
    lambda rng, key, value: (b"HSETEX", key, b"PX", b"200", b"FIELDS", b"1", _member(rng), value),
    lambda rng, key, _: (b"HGETALL", key),
)  # fmt: skip

SORTED_SETS: tuple[Maker, ...] = (
    lambda rng, key, _: (b"ZADD", key, _score(rng), _member(rng), _score(rng), _member(rng)),
    lambda rng, key, _: (b"ZADD", key, b"GT", b"CH", _score(rng), _member(rng)),
    lambda rng, key, _: (b"ZINCRBY", key, _score(rng), _member(rng)),
    lambda rng, key, _: (b"ZREM", key, _member(rng), _member(rng)),
    lambda rng, key, _: (b"ZPOPMIN", key, b"2"),
    lambda rng, key, _: (b"ZREMRANGEBYSCORE", key, b"-1", b"0.5"),
    lambda rng, key, _: (b"ZRANGESTORE", key + b"2", key, b"0", b"4"),
    lambda rng, key, _: (b"ZRANGE", key, *_range(rng), b"WITHSCORES"),
)

STREAMS: tuple[Maker, ...] = (
    lambda rng, key, value: (b"XADD", key, b"*", b"field", value, b"other", b"x"),
    lambda rng, key, value: (b"XADD", key, b"*", _member(rng), value),
    lambda rng, key, value: (b"XADD", key, b"MAXLEN", b"12", b"*", b"field", value),
    lambda _, key, __: (b"XGROUP|CREATE", b"CREATE", key, GROUP, b"0", b"MKSTREAM"),
    lambda rng, key, _: (
        b"XREADGROUP", b"GROUP", GROUP, rng.choice(CONSUMERS), *THREE, b"STREAMS", key, b">",
    ),
    lambda rng, key, _: (b"XAUTOCLAIM", key, GROUP, rng.choice(CONSUMERS), b"300", b"0", *THREE),
    lambda rng, key, _: (b"XTRIM", key, b"MAXLEN", b"%d" % rng.randrange(4, 12)),
    lambda rng, key, _: (b"XGROUP|DELCONSUMER", b"DELCONSUMER", key, GROUP, rng.choice(CONSUMERS)),
    lambda rng, key, _: (b"XPENDING", key, GROUP),
)  # fmt: skip

STRINGS: tuple[Maker, ...] = (
    lambda rng, key, value: (b"SETRANGE", key, b"%d" % rng.randrange(150), value),
    lambda _, key, value: (b"APPEND", key, value * 5),
    lambda rng, key, _: (b"SETBIT", key, b"%d" % rng.randrange(1200), b"%d" % rng.randrange(2)),
    lambda rng, key, _: (b"BITFIELD", key, b"INCRBY", b"u8", b"#%d" % rng.randrange(90), b"3"),
    lambda _, key, value: (b"SET", key, value * 10),
    lambda _, key, __: (b"BITOP", b"NOT", key + b"2", key),
    lambda _, key, __: (b"GETRANGE", key, b"10", b"60"),
)

SKETCHES: tuple[Maker, ...] = (
    lambda rng, key, _: (b"PFADD", key, _member(rng), _member(rng)),
    lambda _, key, value: (b"PFADD", key + b"2", value),
    lambda _, key, __: (b"PFMERGE", key, key + b"2"),
    lambda _, key, __: (b"PFCOUNT", key),
)

WHOLE: tuple[Maker, ...] = (
    lambda rng, key, _: (b"DEL", key),
    lambda rng, key, _: (b"PEXPIRE", key, b"%d" % rng.choice((40, 500))),
    lambda rng, key, _: (b"PERSIST", key),
    lambda rng, key, _: (b"COPY", key, key + b"3", b"REPLACE"),
)

MAKERS: dict[str, tuple[Maker, ...]] = {
    "list": LISTS * 3 + WHOLE,
    "set": SETS * 3 + WHOLE,
    "hash": HASHES * 3 + WHOLE,
    "zset": SORTED_SETS * 3 + WHOLE,
    "stream": STREAMS * 3 + WHOLE,
    "string": STRINGS * 3 + WHOLE,
    "sketch": SKETCHES * 2 + WHOLE,
    "script": scripts.MAKERS * 2 + WHOLE,
}
