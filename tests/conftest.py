"""What tests of all folders may ask for."""

from __future__ import annotations

import gc
import os
import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from .chaos.processes import Processes

if TYPE_CHECKING:
    from xdist.remote import Producer

# The same examples in every run: a failure is repeated by running the test again.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


# `make test` runs two of them side by side (pytest-xdist). Tests that start nodes mostly wait, and
# share clusters: one process runs them all, and the other computes meanwhile. What takes longest is
# begun first, and the many small ones fill what is left.
ORDER = ("cluster", "clients", "programs", "model", "sim", "scripts", "unit")
WITH_NODES = frozenset({"cluster", "clients", "programs"})
NICENESS = 10  # Of those that compute: nodes that wait for one another come first.


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not hasattr(config, "workerinput"):
        return
    items.sort(key=lambda item: ORDER.index(_folder(item.nodeid)))


def pytest_collection_finish() -> None:
    """Collections walk through what tests make, not through all that was loaded for them."""
    gc.collect()
    gc.freeze()


class Shares(LoadScopeScheduling):  # type: ignore[misc]  # It has no types.
    """What one process runs without a break."""

    def _split_scope(self, nodeid: str) -> str:
        folder = _folder(nodeid)
        if folder in WITH_NODES:
            return "nodes"
        # A file of small tests in one go: they share what is costly.
        return nodeid.partition("::")[0] if folder == "unit" else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Shares:
    return Shares(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    is_beside_others = hasattr(item.config, "workerinput")
    if is_beside_others and _folder(item.nodeid) not in WITH_NODES:
        os.setpriority(os.PRIO_PROCESS, 0, max(NICENESS, os.getpriority(os.PRIO_PROCESS, 0)))


def _folder(nodeid: str) -> str:
    """Of tests/, in which a test lies."""
    return nodeid.split("/")[1]


@pytest.fixture
def processes() -> Iterator[Processes]:
    """Starts programs; what still runs at the end of the test is ended, by pid."""
    with Processes() as started:
        yield started


@pytest.fixture
def ports_rng(request: pytest.FixtureRequest) -> random.Random:
    """Where to look for free ports; another place for each test, the same in each run."""
    return random.Random(request.node.nodeid)
