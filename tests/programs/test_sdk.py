"""The SDK where applications have it: in workers that were forked, in place of redis.asyncio, and
beside the oldest redis-py of its range (the newest is in the virtual environment)."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis

from ..bench.redis import free_port, start
from ..chaos.processes import Processes
from ..clients.running import ROOT, Ran, run
from .test_programs import LIBRARIES, SCRIPTS, started_cluster

if TYPE_CHECKING:
    from ..chaos.cluster import Cluster

OLDEST = ROOT / "build" / "sdk-oldest"
TIMEOUT_S = 100.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Processes() as processes:
        yield started_cluster(processes, tmp_path_factory.mktemp("sdk"))


def ports(cluster: Cluster) -> tuple[int, int]:
    """RESP and gRPC of a node; everything is empty."""
    base = next(iter(cluster.nodes.values())).any_key_port
    with redis.Redis(port=base) as client:
        client.flushall()
    return base, base + 2


def ran(name: str, *words: str, path: str) -> Ran:
    assert OLDEST.is_dir(), "it is missing: .ci/oracle installs it"
    done = run(
        *(sys.executable, str(SCRIPTS / f"{name}_program.py"), *words),
        timeout_s=TIMEOUT_S,
        variables={"PYTHONPATH": path},
    )
    assert done.code == 0, str(done)
    assert done.lines[-1] == "passed", str(done)
    return done


def test_children_that_are_forked_one_after_the_other_use_the_client(cluster: Cluster) -> None:
    _, grpc = ports(cluster)
    ran("forks", f"127.0.0.1:{grpc}", path="")


def test_workers_of_gunicorn_use_a_client_that_was_made_before_the_fork(cluster: Cluster) -> None:
    _, grpc = ports(cluster)
    ran("gunicorn", f"127.0.0.1:{grpc}", path=f"{OLDEST}:{LIBRARIES}:{SCRIPTS}")


def test_workers_of_celery_use_a_client_that_was_used_before_the_fork(cluster: Cluster) -> None:
    resp, grpc = ports(cluster)
    words = (f"redis://127.0.0.1:{resp}/1", f"127.0.0.1:{grpc}")
    ran("prefork", *words, path=f"{OLDEST}:{LIBRARIES}:{SCRIPTS}")


@pytest.mark.parametrize("path", ["", str(OLDEST)], ids=["newest", "oldest"])
def test_code_for_redis_asyncio_runs_with_another_constructor(
    cluster: Cluster, path: str, tmp_path: Path
) -> None:
    with Processes() as processes:
        port = free_port(random.Random("patterns"))
        start(processes, tmp_path, port)
        expected = ran("patterns", "redis", str(port), path=path)
    _, grpc = ports(cluster)
    assert ran("patterns", "trimaran", str(grpc), path=path).lines == expected.lines


@pytest.mark.timeout(240)
def test_the_oldest_redis_py_of_the_range_passes_the_tests_of_the_client() -> None:
    wanted = Path(__file__).with_name("oldest_redis_py.txt").read_text().rpartition("==")[2].strip()
    path = {"PYTHONPATH": str(OLDEST)}
    version = ("-c", "import redis; print(redis.__version__)")
    found = run(sys.executable, *version, variables=path).out.strip()
    assert found == wanted == "6.4.0", "pyproject.toml says from where on"
    assert int(redis.__version__.split(".")[0]) == 8, "and this is the other end"
    done = run(
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"),
        *(str(ROOT / "tests" / "unit" / "client"), "--rootdir", str(ROOT)),
        timeout_s=200.0,
        variables=path,
    )
    assert done.code == 0, str(done)
    assert " passed" in done.out, str(done)
