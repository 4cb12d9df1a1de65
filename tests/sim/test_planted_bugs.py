"""A rule that could be broken without a test that fails is not kept (correctness S2).

`python -m tests.sim --planted` says by which seed each is found, and how. Any change of the code
makes other runs of the same seeds: where a search has become long, its row's `first` is set anew.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from .bugs import BUGS
from .planted import Bug, find, planted
from .run import run

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.timeout(900)  # Where other work shares the machine.
TRIES_MAX = 80  # From the seed on that its row names: one or two when it was set. Else `caught_by`.


COMMON = [bug for bug in BUGS if not bug.caught_by]


@pytest.mark.parametrize("bug", COMMON, ids=lambda bug: bug.name.replace(" ", "-"))
def test_planted_bug_is_found(bug: Bug) -> None:
    assert find(bug, seeds_max=TRIES_MAX) is not None


def test_a_bug_that_few_seeds_find_is_caught_by_a_test_of_its_own() -> None:
    tests = "\n".join(path.read_text() for path in (ROOT / "unit").rglob("test_*.py"))
    rare = [bug.caught_by for bug in BUGS if bug.caught_by]
    assert [name for name in rare if f"def {name}(" not in tests] == []


def test_a_planted_bug_is_gone_afterwards() -> None:
    before = run(1).hash
    for bug in BUGS:
        with planted(bug):
            pass
    assert run(1).hash == before
