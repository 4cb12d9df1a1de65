"""redis-cli at work, one process per command: python -m tests.chaos.workers.redis_cli PLAN."""

from __future__ import annotations

import itertools
import subprocess

from .ledger import Ledger, read_plan

TIMEOUT_S = 60.0


class Failed(Exception):
    """What redis-cli said when it ended with an error."""


def main() -> None:
    plan = read_plan()
    ports = itertools.cycle(plan["ports"])
    options = ("-c",) if plan["kind"] == "cluster" else ("-n", str(plan["db"]))

    def ask(words: tuple[str, ...]) -> str | None:
        done = subprocess.run(
            ["redis-cli", "-e", "-p", str(next(ports)), *options, *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        if done.returncode or done.stderr:
            raise Failed(done.stderr.strip() or done.stdout.strip())
        return done.stdout.strip() or None

    ledger = Ledger(plan, 1)
    (lane,) = ledger.lanes.values()
    ledger.work(lane, ask)
    ledger.write()


if __name__ == "__main__":
    main()
