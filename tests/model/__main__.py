"""`python -m trimaran.tests.model --seconds 600 --seed 7 [--node]`: the machine, for a long time.

Plays on a keyspace in memory, or with --node on a real node, until the time is over or something
differs from a real Redis; prints the command that plays it again.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test as play

from .machine import BothMachine
from .redis_server import RedisServer
from .targets import KeyspaceTarget, RedisTarget, Target, running_node

EXAMPLES = 100  # Of one seed; the next seed follows.
STEPS = 60


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long [60]")
    parser.add_argument("--seed", type=int, default=1, help="the first seed [1]")
    parser.add_argument("--node", action="store_true", help="play on a real node")
    options = parser.parse_args()
    with ExitStack() as stack:
        # Below /tmp: the name of a socket file must be short.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="model")))
        server = RedisServer(folder)
        stack.callback(server.close)
        theirs = RedisTarget(server.connect())
        ours: Target = KeyspaceTarget()
        if options.node:
            ours = stack.enter_context(running_node(folder, options.seed))
            theirs.prefix = ours.prefix
        return _play(ours, theirs, options.seed, options.seconds, is_node=options.node)


def _play(ours_: Target, theirs: Target, first_seed: int, seconds: float, *, is_node: bool) -> int:
    end = time.monotonic() + seconds
    number = first_seed
    while time.monotonic() < end:
        machine = type("Machine", (BothMachine,), {"ours": ours_, "redis": theirs})
        try:
            play(seed(number)(machine), settings=_SETTINGS)
        except Exception:
            again = f"python -m tests.model --seed {number}{' --node' * is_node}"
            print(f"differs at seed {number}; again: {again}", flush=True)  # noqa: T201 - a program.
            raise
        number += 1
    print(  # noqa: T201
        f"no difference: seeds {first_seed} to {number - 1}, {EXAMPLES} examples of up to {STEPS}"
        f" steps each, {seconds:.0f} s"
    )
    return 0


_SETTINGS = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    phases=[Phase.generate],  # Shrinking takes minutes.
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

if __name__ == "__main__":
    sys.exit(main())
