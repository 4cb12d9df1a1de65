"""Programs written for Redis run unmodified in a database of their own: `redis://HOST:PORT/1`.

Each script uses the real library from its registry and ends with `passed`. `.ci/oracle` installs
them apart from our own environment, since they ask for other versions of redis-py.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from ..chaos.cluster import Cluster
from ..chaos.processes import Processes
from ..clients.running import INSTALLED, ROOT, run

SCRIPTS = Path(__file__).with_name("scripts")
LIBRARIES = ROOT / "build" / "programs"
TIMEOUT_S = 100.0


def started_cluster(processes: Processes, folder: Path) -> Cluster:
    """Three nodes that are ready."""
    started = Cluster(processes, folder, rng=random.Random("programs"))
    started.wait_settled()
    return started


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Processes() as processes:
        yield started_cluster(processes, tmp_path_factory.mktemp("programs"))


@pytest.fixture
def url(cluster: Cluster) -> str:
    """Of database 1, through a node that does not lead it: empty."""
    leader = cluster.leader_of(cluster.shard_of_database(1))
    node = next(node for name, node in cluster.nodes.items() if name != leader)
    with redis.Redis(port=node.any_key_port) as client:
        client.flushall()
    return f"redis://127.0.0.1:{node.any_key_port}/1"


@pytest.mark.parametrize(
    "name", ["arq", "celery", "django", "flask", "huey", "limits", "lock", "rq"]
)
def test_a_python_program_runs_as_on_a_redis(url: str, name: str) -> None:
    assert LIBRARIES.is_dir(), "it is missing: .ci/oracle installs it"
    ran = run(
        sys.executable,
        str(SCRIPTS / f"{name}_program.py"),
        url,
        timeout_s=TIMEOUT_S,
        variables={"PYTHONPATH": f"{LIBRARIES}:{SCRIPTS}"},
    )
    assert ran.code == 0, str(ran)
    assert ran.lines[-1] == "passed", str(ran)


def test_bullmq_runs_as_on_a_redis(url: str) -> None:
    ran = run(
        "node",
        str(SCRIPTS / "bullmq.cjs"),
        url,
        timeout_s=TIMEOUT_S,
        variables={"NODE_PATH": str(INSTALLED / "node_modules")},
    )
    assert ran.code == 0, str(ran)
    assert ran.lines[-1] == "passed", str(ran)
