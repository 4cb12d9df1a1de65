"""A rule that could be broken without a test that fails is not kept (correctness S2).

`python -m tests.sim --planted` says by which seed each is found, and how.
"""

from __future__ import annotations

import pytest

from .bugs import BUGS
from .planted import Bug, find, planted
from .run import run

TRIES_MAX = 80  # Most take a few; the worst on the day of writing 39.


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name.replace(" ", "-"))
def test_planted_bug_is_found(bug: Bug) -> None:
    assert find(bug, seeds_max=TRIES_MAX) is not None


def test_a_planted_bug_is_gone_afterwards() -> None:
    before = run(1).hash
    for bug in BUGS:
        with planted(bug):
            pass
    assert run(1).hash == before
