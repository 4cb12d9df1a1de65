"""One cluster of three nodes for all tests of this folder."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ..chaos.cluster import Cluster
from ..chaos.processes import Processes
from .running import HOST, Doors

FLUSH_PATIENCE_S = 20.0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--at", metavar="PORT,...", help="base ports of nodes that run already, instead of new ones"
    )


# Not longer: nodes that nobody asks cost others some time, too.
@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Nodes of this run, to be killed and started again."""
    with Processes() as processes:
        rng = random.Random("tests/clients")
        started = Cluster(processes, tmp_path_factory.mktemp("clients"), rng=rng)
        started.wait_settled()  # A count over nodes is of one moment only while no leader moves.
        yield started


@pytest.fixture(scope="package")
def doors(request: pytest.FixtureRequest) -> Doors:
    given: str | None = request.config.getoption("--at")
    if given is not None:
        return Doors(tuple(map(int, given.split(","))))
    cluster: Cluster = request.getfixturevalue("cluster")
    return Doors(tuple(node.base_port for node in cluster.nodes.values()))


@pytest.fixture
def _emptied(doors: Doors) -> None:
    """No key in any database, by whichever node is up."""
    deadline = time.monotonic() + FLUSH_PATIENCE_S
    while not any(_flush(port) for port in doors.any_key):
        assert time.monotonic() < deadline, "no node could empty the cluster"


def _flush(port: int) -> bool:
    try:
        with redis.Redis(HOST, port, retry=Retry(NoBackoff(), 0)) as client:
            return bool(client.flushall())
    except redis.RedisError:
        return False
