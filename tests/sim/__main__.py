"""`python -m tests.sim`: one seed, many seeds, or the planted bugs."""

from __future__ import annotations

import argparse
import logging
import sys
import time
import traceback

from .bugs import BUGS
from .planted import find_all
from .run import Failure, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seed", type=int, help="play one seed and print its hash")
    parser.add_argument("--seeds", metavar="FROM:TO", help="play many; TO is not played")
    parser.add_argument(
        "--keep-going", action="store_true", help="do not stop at the first failure"
    )
    parser.add_argument("--hashes", action="store_true", help="print each seed's hash")
    parser.add_argument("--verbose", action="store_true", help="print every event")
    parser.add_argument("--planted", action="store_true", help="look for every planted bug")
    arguments = parser.parse_args()
    if arguments.planted:
        logging.disable()
        return find_all(BUGS)
    logging.disable()  # What nodes log of cut disks and lost clocks; --verbose shows the events.
    first, end = _range(arguments.seeds, arguments.seed or 0)
    is_one = end - first == 1
    began = time.monotonic()
    failed: list[int] = []
    for seed in range(first, end):
        try:
            result = run(seed, is_verbose=arguments.verbose)
        except Failure as failure:
            failed.append(seed)
            _report(failure, with_tail=is_one and not arguments.verbose, with_cause=is_one)
            if not arguments.keep_going:
                break
        else:
            if is_one or arguments.hashes:
                print(result)
    if not is_one and not arguments.hashes:
        took_s = time.monotonic() - began
        print(f"seeds {first} to {seed}: {len(failed)} failed {failed}, {took_s:.1f} s")
    return 1 if failed else 0


def _range(seeds: str | None, seed: int) -> tuple[int, int]:
    if seeds is None:
        return seed, seed + 1
    first, _, end = seeds.partition(":")
    return int(first), int(end)


def _report(failure: Failure, *, with_tail: bool, with_cause: bool) -> None:
    if with_tail:
        print("\n".join(failure.tail))
    if with_cause and failure.__cause__ is not None:
        traceback.print_exception(failure.__cause__, file=sys.stdout)
    print(failure, flush=True)


if __name__ == "__main__":
    sys.exit(main())
