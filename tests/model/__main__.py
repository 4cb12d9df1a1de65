"""`python -m trimaran.tests.model --seconds 600 --seed 7 [--node]`: the machine, for a long time.

Plays on a keyspace in memory, or with --node on a real node, until the time is over or something
differs from a real Redis; prints the command that plays it again. `make model` starts it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from .playing import EXAMPLES, HOMES, STEPS, Play
from .redis_server import RedisServer
from .targets import KeyspaceTarget, RedisTarget, running_node


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long [60]")
    parser.add_argument("--seed", type=int, default=1, help="the first seed [1]")
    parser.add_argument("--db", type=int, choices=HOMES, help="play in this database [both]")
    parser.add_argument("--resp", type=int, choices=(2, 3), help="in this protocol [both]")
    parser.add_argument("--node", action="store_true", help="play on a real node")
    options = parser.parse_args()
    with ExitStack() as stack:
        # Below /tmp: the name of a socket file must be short.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="model")))
        server = RedisServer(folder)
        stack.callback(server.close)
        play = Play(
            stack.enter_context(running_node(folder, options.seed))
            if options.node
            else KeyspaceTarget(),
            RedisTarget(server.connect()),
            is_node=options.node,
            homes=HOMES if options.db is None else (options.db,),
            protocols=(2, 3) if options.resp is None else (options.resp,),
        )
        number = play.run(options.seed, options.seconds)
    print(  # noqa: T201 - a program.
        f"no difference: seeds {options.seed} to {number - 1}, {EXAMPLES} examples of up to {STEPS}"
        f" steps each, {options.seconds:.0f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
