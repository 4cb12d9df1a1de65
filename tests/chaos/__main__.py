"""`make chaos`: every scenario for a while, a table at the end, an error if any promise broke."""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .clients import clients
from .failover import KILLS, failover_time
from .full_load import full_load
from .scenarios import HISTORY_SCENARIOS, run_with_history
from .sdk import sdk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .outcome import Outcome

ROOT = Path(__file__).resolve().parents[2]
# What all of them take together stays within twenty minutes.
SECONDS = {"kill-one": 75.0, "kill-two": 75.0, "kill-all": 120.0, "stop": 75.0}
SECONDS |= {"full-load": 180.0, "clients": 120.0, "sdk": 180.0}
VIOLATIONS_SHOWN = 3
SCENARIOS = [*HISTORY_SCENARIOS, "failover-time", "full-load", "clients", "sdk"]


def main(arguments: Sequence[str]) -> int:
    options = _parse(arguments)
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**6)
    # So that a plain `kill` of this process ends the nodes as ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print(f"seed {seed}", flush=True)
    outcomes: list[Outcome] = []
    for name in options.scenarios or SCENARIOS:
        started = time.monotonic()
        outcome = asyncio.run(_run(name, options, seed))
        outcomes.append(outcome)
        state = "BROKEN" if outcome.violations else "ok"
        passed = time.monotonic() - started
        print(f"{name}: {state} in {passed:.0f} s; {'; '.join(outcome.notes)}", flush=True)
        _show_violations(outcome, options.dir.resolve() / name / "violations.txt")
    _print_summary(outcomes, options, seed)
    return 1 if any(outcome.violations for outcome in outcomes) else 0


def _show_violations(outcome: Outcome, path: Path) -> None:
    """The first on the screen, all in the file: the history of one key can be long."""
    for violation in outcome.violations[:VIOLATIONS_SHOWN]:
        print(f"  violation: {violation}", flush=True)
    if outcome.violations:
        path.write_text("\n\n".join(outcome.violations))
        print(f"  all {len(outcome.violations)} of them: {path}", flush=True)


async def _run(name: str, options: argparse.Namespace, seed: int) -> Outcome:
    directory = options.dir.resolve() / name
    seconds = options.seconds if options.seconds is not None else SECONDS.get(name, 0.0)
    if name == "failover-time":
        return await failover_time(name, directory, kills=options.kills, seed=seed)
    if name == "full-load":
        return await full_load(name, directory, seconds=seconds, seed=seed)
    if name == "clients":
        return await clients(name, directory, seconds=seconds, seed=seed)
    if name == "sdk":
        return await sdk(name, directory, seconds=seconds, seed=seed)
    return await run_with_history(name, directory, seconds=seconds, seed=seed)


def _print_summary(outcomes: Sequence[Outcome], options: argparse.Namespace, seed: int) -> None:
    print("\n| scenario | result | seen |\n| --- | --- | --- |")
    for outcome in outcomes:
        broken = len(outcome.violations)
        result = f"{broken} violations" if broken else "ok"
        print(f"| {outcome.scenario} | {result} | {'; '.join(outcome.notes)} |")
    for outcome in outcomes:
        if outcome.violations:
            seconds = "" if options.seconds is None else f" --seconds {options.seconds:g}"
            print(f"repeat: python -m tests.chaos {outcome.scenario} --seed {seed}{seconds}")
            print(f"  data and output of the nodes: {options.dir.resolve() / outcome.scenario}")


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
    parser.add_argument("--seconds", type=float, help="of each scenario, instead of its own")
    parser.add_argument("--seed", type=int, help="faults, commands and ports follow from it")
    parser.add_argument("--kills", type=int, default=KILLS, help="of failover-time")
    parser.add_argument(
        "--dir", type=Path, default=ROOT / "build" / "chaos", help="data of the nodes; kept"
    )
    options = parser.parse_args(arguments)
    unknown = [name for name in options.scenarios if name not in SCENARIOS]
    if unknown:
        parser.error(f"no scenario {', '.join(unknown)}; there are {', '.join(SCENARIOS)}")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
