"""Looking for planted bugs: each breaks one rule, and the simulator must find it soon.

A bug that no seed finds is a hole in the simulator, and a rule nobody watches (correctness S2). The
bugs themselves are in `bugs_raft.py` and `bugs_node.py`; `--planted` looks for all of them,
`test_planted_bugs.py` for those that are found quickly.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, islice
from typing import TYPE_CHECKING, Any  # Attributes of any kind are put in place of others.

from .run import Failure, run
from .scenarios import Scenario, make_scenario
from .watch import WATCHED

if TYPE_CHECKING:
    from trimaran.node.node import Parts

SEEDS_MAX = 400


@dataclass(frozen=True, slots=True)
class Bug:
    """One rule undone, and by what it must be noticed."""

    name: str
    rule: str  # Of correctness, or a section of the Raft paper.
    noticed: str  # A pattern that the failure's text must match: found for the right reason.
    parts: Parts = WATCHED
    # (owner, attribute, what to put there): for classes that no `Parts` names, and for tables.
    patches: tuple[tuple[Any, Any, Any], ...] = ()
    flavours: tuple[str, ...] = ()  # Days on which it can show; none: all,
    needs: Callable[[Scenario], bool] | None = None  # and what such a day must have.
    first: int = 0  # The seed to begin with: not far behind it was one that finds it.
    caught_by: str = ""  # The test of one schedule that catches it, if few seeds do.


@dataclass(frozen=True, slots=True)
class Found:
    seed: int
    tried: int
    what: str


@contextmanager
def planted(bug: Bug) -> Iterator[None]:
    """The bug is in place while this lasts."""
    kept = [(owner, name, _inside(owner)[name]) for owner, name, _ in bug.patches]
    for owner, name, value in bug.patches:
        _put(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in kept:
            _put(owner, name, value)


def _inside(owner: Any) -> Any:
    return owner if isinstance(owner, dict) else owner.__dict__


def _put(owner: Any, name: Any, value: Any) -> None:
    if isinstance(owner, dict):  # A table of handlers.
        owner[name] = value
    else:
        setattr(owner, name, value)


def _may_show(bug: Bug, scenario: Scenario) -> bool:
    if bug.flavours and scenario.flavour not in bug.flavours:
        return False
    return bug.needs is None or bug.needs(scenario)


def find(bug: Bug, *, seeds_max: int = SEEDS_MAX) -> Found | None:
    """The first seed that notices `bug`, for the reason it should be noticed."""
    seeds = (seed for seed in count(bug.first) if _may_show(bug, make_scenario(seed)))
    for tried, seed in enumerate(islice(seeds, seeds_max), 1):
        try:
            with planted(bug):
                run(seed, parts=bug.parts)
        except Failure as failure:
            if not re.search(bug.noticed, failure.what):
                raise
            return Found(seed, tried, failure.what.partition("\n")[0])
    return None


def find_all(bugs: Sequence[Bug]) -> int:
    """Look for every bug, print a table; 1 if one was not found."""
    missed = 0
    for bug in bugs:
        began = time.monotonic()
        found = find(bug)
        took_s = time.monotonic() - began
        if found is None:
            missed += 1
            print(f"{bug.rule:8} {bug.name:36} NOT FOUND in {SEEDS_MAX} seeds, {took_s:.1f} s")
        else:
            print(
                f"{bug.rule:8} {bug.name:36} seed {found.seed:4}, "
                f"{found.tried:3} tried from {bug.first:3} on, {took_s:5.1f} s: {found.what[:100]}",
                flush=True,
            )
    return 1 if missed else 0
