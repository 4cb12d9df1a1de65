"""The machine, for the two minutes that are its part of the tests, and what it reaches.

Both sides play the same from the same seed; how many seeds there is time for depends on the
machine. `make model SEED=... SECONDS=...` goes on for longer, from any seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING

import pytest

from trimaran.cluster.commands import COMMANDS

from .arguments import Coverage
from .machine import BothMachine
from .playing import Play
from .table import DOOR_ROWS, NOT_PLAYED, NOT_REACHED, ROWS
from .targets import KeyspaceTarget, RedisTarget, running_node

if TYPE_CHECKING:
    from .redis_server import RedisConnection

# A seed is played to its end, however slow the machine is.
pytestmark = pytest.mark.timeout(300)

SEED = 1
SECONDS = 18.0  # Six of these, and what is below.
ROUNDS_MAX = 400


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisTarget]:
    with running_node(tmp_path_factory.mktemp("machine"), seed=1) as target:
        yield target


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("db", [0, 9])
def test_a_node_answers_as_a_real_redis_does(
    node: RedisTarget, redis_connection: RedisConnection, db: int, protocol: int
) -> None:
    theirs = RedisTarget(redis_connection)
    play = Play(node, theirs, is_node=True, homes=(db,), protocols=(protocol,))
    assert play.run(SEED, SECONDS) > SEED


@pytest.mark.parametrize("protocol", [2, 3])
def test_commands_answer_as_a_real_redis_does(
    redis_connection: RedisConnection, protocol: int
) -> None:
    """Without a door and a log: ten times as many steps."""
    theirs = RedisTarget(redis_connection)
    play = Play(KeyspaceTarget(), theirs, is_node=False, protocols=(protocol,))
    assert play.run(SEED, SECONDS) > SEED


def test_every_command_and_every_option_is_played_with_success(
    redis_connection: RedisConnection,
) -> None:
    class Machine(BothMachine):
        ours = KeyspaceTarget()
        redis = RedisTarget(redis_connection)
        coverage = Coverage()

    random = Random(SEED)
    machine = Machine()
    for number in range(ROUNDS_MAX):
        rows = [row for row in ROWS if Machine.coverage.lacks(row, NOT_REACHED)]
        if not rows:
            break
        if number % 8 == 0:
            machine.empty(number // 8 % 2, random.getrandbits(64))
        machine.prepare(is_new=number % 3 == 0, start=random.choice(["0", "$"]))
        machine.play_any(random.sample(rows, len(rows)))
        machine.same_values()
    assert Machine.coverage.missing(ROWS) == sorted(NOT_REACHED)


def test_every_row_is_played_or_left_out_for_a_reason() -> None:
    rows = {row.name for top in COMMANDS.values() for row in (top.subcommands or (top,))}
    played = {row.name for row in (*ROWS, *DOOR_ROWS)}
    assert played | set(NOT_PLAYED) == rows
    assert not played & set(NOT_PLAYED)
    assert all(NOT_PLAYED.values())
