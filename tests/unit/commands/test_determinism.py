"""The same log gives the same state, in every process and through any snapshot (correctness A1)."""

from __future__ import annotations

import os
import subprocess
import sys
from hashlib import sha1
from pathlib import Path
from random import Random
from zlib import crc32

import pytest

from trimaran.cluster.settings import Settings
from trimaran.node.commands.internal import EXPIRE, OPEN_SESSION
from trimaran.node.data.sessions import Lookup
from trimaran.proto.reply import Reply, pack_reply

from ...model.driver import Driver, Word, copy_of

ROOT = Path(__file__).parents[3]
STEPS = 1500


# Chance, time, an order of Lua's; what stays of a script that fails, or whose budget is spent.
SCRIPTS = [
    "return {redis.call('INCRBY', KEYS[1], math.random(99)), redis.call('TIME')}",
    "local t = {} for _, one in ipairs(ARGV) do t[one .. 'x'] = one end local out = {}"
    " for one in pairs(t) do out[#out + 1] = one end redis.call('SADD', KEYS[1], unpack(out))"
    " return {cjson.encode(t), redis.call('SPOP', KEYS[1], 2)}",
    "redis.call('APPEND', KEYS[1], ARGV[1]) return redis.call('LPUSH', KEYS[1], 'x')",
    "redis.call('DEL', KEYS[1]) while true do redis.pcall('ZINCRBY', KEYS[1], 1, #ARGV) end",
]
SHA1 = sha1(SCRIPTS[0].encode(), usedforsecurity=False).hexdigest()
LIBRARY = """#!lua name=lib
redis.register_function('change', function(keys, args)
  redis.call('HSET', keys[1], args[1], math.random()) if #args > 2 then error('half') end
  return redis.call('HGETALL', keys[1]) end)"""


def _word(rng: Random, words: list[str]) -> str:
    return words[int(rng.random() * len(words))]


def _pick(rng: Random, words: list[str]) -> list[str]:
    return [_word(rng, words) for _ in range(1 + int(rng.random() * 3))]


def _command(rng: Random) -> list[Word]:
    keys = [f"{tag}{number}" for tag in ("", "{t}") for number in range(12)]
    key = _word(rng, keys)
    number = int(rng.random() * 3000)
    choices: list[list[Word]] = [
        ["SET", key, number],
        ["SET", key, number, "PX", 1 + number, "NX"],
        ["SET", key, number, "KEEPTTL", "GET"],
        ["MSET", key, number, _word(rng, keys), number],
        ["INCRBY", key, number],
        ["APPEND", key, "0"],
        ["DEL", key, _word(rng, keys)],
        ["RENAME", key, _word(rng, keys)],
        ["COPY", key, _word(rng, keys), "DB", _word(rng, ["0", "2"]), "REPLACE"],
        ["MOVE", key, _word(rng, ["0", "2"])],
        ["MSETNX", key, number, _word(rng, keys), number],
        ["SETRANGE", key, number % 50, number],
        ["HSET", f"h{key}", *[word for n in range(number % 90) for word in (n * number, n)], 1, 2],
        ["HSETEX", f"h{key}", "PX", number, "FIELDS", 1, number % 99, number],
        ["HPEXPIRE", f"h{key}", number, "NX", "FIELDS", 3, *range(number % 9, number % 9 + 3)],
        ["HDEL", f"h{key}", *range(number % 50)],
        ["HINCRBY", f"h{key}", number % 9, number],
        ["HRANDFIELD", f"h{key}", number % 40 - 20, "WITHVALUES"],
        ["HSCAN", f"h{key}", number << 20, "COUNT", 5],
        ["HGETALL", f"h{key}"],
        ["HGETDEL", f"h{key}", "FIELDS", 1, number % 99],
        ["INCRBYFLOAT", key, f"{number}.{number}"],
        ["GETEX", key, "PX", 1 + number],
        ["GETDEL", key],
        ["SETBIT", key, number * 100, number % 2],
        ["BITOP", _word(rng, ["AND", "OR", "XOR"]), key, _word(rng, keys), _word(rng, keys)],
        ["BITFIELD", key, "INCRBY", "u7", number, number],
        ["BITCOUNT", key],
        ["PFADD", key, number, number + 1],
        ["PFMERGE", key, _word(rng, keys)],
        ["DUMP", key],
        ["LCS", key, _word(rng, keys), "IDX"],
        ["PEXPIRE", key, number, _word(rng, ["NX", "XX", "GT", "LT"])],
        ["PERSIST", key],
        ["XADD", f"x{key}", "MAXLEN", "~", 200, "*", *range(number % 6 * 2), "a", number],
        ["XADD", f"x{key}", f"{number}-*", "a", "b"],
        ["XGROUP", "CREATE", f"x{key}", number % 2, 0],
        ["XREADGROUP", "GROUP", number % 2, number % 5, "COUNT", 9, "STREAMS", f"x{key}", ">"],
        ["XREADGROUP", "GROUP", number % 2, number % 5, "STREAMS", f"x{key}", "0"],
        ["XAUTOCLAIM", f"x{key}", number % 2, number % 5, number, 0, "COUNT", 5],
        ["XINFO", "STREAM", f"x{key}", "FULL"],
        ["XTRIM", f"x{key}", "MINID", number],
        ["KEYS", "*1*"],
        ["RANDOMKEY"],
        ["SCAN", 0, "COUNT", 5],
        ["PTTL", key],
        ["SADD", key, number, number % 50, f"m{number}"],
        ["ZADD", key, number, number % 50, f"{number / 8}", f"m{number}"],
        ["ZADD", key, *[word for one in range(number % 300) for word in (one % 7, one * number)]],
        ["ZINCRBY", key, "0.1", number % 50],
        ["ZPOPMIN", key, number % 40],
        ["ZREMRANGEBYRANK", key, number % 50, number % 300],
        ["ZUNIONSTORE", key, 2, key, _word(rng, keys), "WEIGHTS", "0.1", "2"],
        ["ZRANDMEMBER", key, number % 50 - 25, "WITHSCORES"],
        ["ZSCAN", key, 0],
        ["ZRANK", key, number % 50],
        ["GEOADD", key, f"{number / 20}", f"{number / 50}", number],
        ["GEOSEARCHSTORE", key, key, "FROMLONLAT", 50, 20, "BYRADIUS", number * 3, "km"],
        ["SADD", key, *range(number, number + number % 700)],
        ["SREM", key, *range(number % 100)],
        ["SMOVE", key, _word(rng, keys), number % 50],
        ["SPOP", key, number % 400],
        ["SPOP", key],
        ["SRANDMEMBER", key, number % 30 - 15],
        [_word(rng, ["SUNIONSTORE", "SINTERSTORE", "SDIFFSTORE"]), key, *_pick(rng, keys)],
        [_word(rng, ["SUNION", "SINTER", "SDIFF"]), *_pick(rng, keys)],
        ["SSCAN", key, 0, "COUNT", 50],
        ["SMEMBERS", key],
        ["SORT", key, "ALPHA", "LIMIT", 0, number % 40, "STORE", _word(rng, keys)],
        [_word(rng, ["LPUSH", "RPUSH"]), key, *range(number % 250)],
        [_word(rng, ["LPOP", "RPOP"]), key, number % 100],
        ["LINSERT", key, "BEFORE", number % 100, "x"],
        ["LSET", key, number % 200 - 100, number],
        ["LREM", key, number % 7 - 3, number % 100],
        ["LTRIM", key, number % 20, -1],
        ["LMOVE", key, _word(rng, keys), "LEFT", _word(rng, ["LEFT", "RIGHT"])],
        ["LPOS", key, number % 100, "COUNT", 0],
        *[["EVAL", script, 1, key, *range(number % 4 + 1)] for script in SCRIPTS],
        ["EVALSHA", SHA1, 1, key, number],
        ["FCALL", "change", 1, f"h{key}", *range(number % 4 + 1)],
        [_word(rng, ["SCRIPT", "FUNCTION"]), _word(rng, ["FLUSH", "STATS"])],
        ["FUNCTION", "LOAD", "REPLACE", LIBRARY],
    ]
    return choices[int(rng.random() * len(choices))]


def play(seed: int, snapshot_at: int | None = None) -> str:
    """Plays a random log; the digest at the end and one over all replies."""
    rng = Random(seed)
    shard = Driver()
    shard.settings = Settings(lua_budget=100_000)
    replies: list[Reply] = []
    for step in range(STEPS):
        if step == snapshot_at:
            shard.keys = copy_of(shard.keys)
        shard.now_ms += int(rng.random() * 100)
        dice = rng.random()
        db = [0, 0, 2][int(rng.random() * 3)]
        command = _command(rng)
        if dice < 0.03:
            replies.append(shard.apply([OPEN_SESSION, b"%d" % int(rng.random() * 20_000)]))
        elif dice < 0.06:
            for number, key in sorted(shard.keys.due(shard.now_ms, 1000)):
                replies.append(shard.apply([EXPIRE, key], db=number))
        elif dice < 0.065:
            replies.append(shard.run("FLUSHDB", db=db))
        else:
            _play_in_session(shard, rng)
            replies.append(shard.run(*command, db=db))
    return f"{shard.keys.digest():016x} {_hash_of(replies):08x}"


def _play_in_session(shard: Driver, rng: Random) -> None:
    sessions = sorted(session.id for session in shard.keys.sessions)
    if sessions:
        session = sessions[int(rng.random() * len(sessions))]
        sequence = int(rng.random() * 50)
        known = shard.keys.sessions.lookup(session, sequence, sequence - 10, shard.now_ms)
        if known is Lookup.NEW:
            shard.keys.sessions.keep(session, sequence, [b"reply", sequence])


def _hash_of(replies: list[Reply]) -> int:
    return crc32(pack_reply(replies))


PROGRAM = "from trimaran.tests.unit.commands.test_determinism import play; print(play(11))"


@pytest.mark.parametrize("hash_seed", ["0", "1", "4242"])
def test_no_hash_seed_changes_state_or_replies(hash_seed: str) -> None:
    environment = {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT / ".types")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, **environment},  # noqa: TID251 - handed on, not read.
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == play(11)


@pytest.mark.parametrize("seed", range(6))
def test_no_snapshot_on_the_way_changes_state_or_replies(seed: int) -> None:
    expected = play(seed)
    rng = Random(seed)
    for _ in range(3):
        at = int(rng.random() * STEPS)
        assert play(seed, at) == expected, f"snapshot at step {at}"
