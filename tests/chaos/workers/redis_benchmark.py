"""redis-benchmark at work: increments of one key, again and again.

python -m tests.chaos.workers.redis_benchmark PLAN. A run that ends well has had every increment
acknowledged; of one that did not, nothing is known.
"""

from __future__ import annotations

import itertools
import subprocess

from .ledger import Call, Ledger, read_plan

REQUESTS = 50
# At a port where nobody listens it waits for ever, whichever server was there before.
TIMEOUT_S = 10.0


class Failed(Exception):
    """What redis-benchmark said when it ended with an error."""


def main() -> None:
    plan = read_plan()
    ports = itertools.cycle(plan["ports"])
    ledger = Ledger(plan, 1)
    ((name, lane),) = ledger.lanes.items()
    key = f"{name}:counter"

    def ask(_: Call) -> None:
        lane.counter["asked"] += REQUESTS
        done = subprocess.run(
            [
                *("redis-benchmark", "-p", str(next(ports)), "--dbnum", str(plan["db"])),
                *("-n", str(REQUESTS), "-c", "5", "--csv", "INCR", key),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        said = f"{done.stderr} {done.stdout}"
        if done.returncode or "Error" in said:
            raise Failed(" ".join(said.split()))
        lane.counter["acknowledged"] += REQUESTS

    ledger.repeat(lane, Call("run", ()), ask)
    ledger.write()


if __name__ == "__main__":
    main()
