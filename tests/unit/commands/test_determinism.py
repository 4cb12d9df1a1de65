"""The same log gives the same state, in every process and through any snapshot (correctness A1)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from random import Random
from zlib import crc32

import pytest

from trimaran.node.commands.internal import EXPIRE, OPEN_SESSION
from trimaran.node.data.sessions import Lookup
from trimaran.proto.reply import Reply, pack_reply

from ...model.driver import Driver, Word, copy_of

ROOT = Path(__file__).parents[3]
STEPS = 1500


def _word(rng: Random, words: list[str]) -> str:
    return words[int(rng.random() * len(words))]


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
        ["INCRBYFLOAT", key, f"{number}.{number}"],
        ["GETEX", key, "PX", 1 + number],
        ["GETDEL", key],
        ["LCS", key, _word(rng, keys), "IDX"],
        ["PEXPIRE", key, number, _word(rng, ["NX", "XX", "GT", "LT"])],
        ["PERSIST", key],
        ["KEYS", "*1*"],
        ["RANDOMKEY"],
        ["SCAN", 0, "COUNT", 5],
        ["PTTL", key],
    ]
    return choices[int(rng.random() * len(choices))]


def play(seed: int, snapshot_at: int | None = None) -> str:
    """Plays a random log; the digest at the end and one over all replies."""
    rng = Random(seed)
    shard = Driver()
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
            for number, key in shard.keys.due(shard.now_ms, 1000):
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
