"""What tests of all folders may ask for."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import settings

from .chaos.processes import Processes

# The same examples in every run: a failure is repeated by running the test again.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


@pytest.fixture
def processes() -> Iterator[Processes]:
    """Starts programs; what still runs at the end of the test is ended, by pid."""
    with Processes() as started:
        yield started


@pytest.fixture
def ports_rng(request: pytest.FixtureRequest) -> random.Random:
    """Where to look for free ports; another place for each test, the same in each run."""
    return random.Random(request.node.nodeid)
