"""redis-benchmark at both doors: it ends, without an error, with a rate for each test."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import pytest

from .running import redis_cli, run

if TYPE_CHECKING:
    from .running import Doors

pytestmark = pytest.mark.usefixtures("_emptied")

TESTS = ["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET (10 keys)"]


def benchmark(port: int, *options: str) -> dict[str, float]:
    """Requests per second of each test."""
    ran = run(
        *("redis-benchmark", "-p", str(port), "-n", "300", "-c", "10", "--csv"),
        *("-t", "ping,set,get,incr,mset", *options),
    )
    assert ran.code == 0, str(ran)
    assert "Error" not in ran.out + ran.err, str(ran)
    table = ran.out[ran.out.index('"test"') :]
    return {row["test"]: float(row["rps"]) for row in csv.DictReader(io.StringIO(table))}


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("-3",),
        ("-P", "16"),
        ("--dbnum", "1", "-r", "1000", "-P", "4"),  # Ten keys of any names in one MSET.
        ("-d", "10000"),
    ],
)
def test_any_node_is_measured(doors: Doors, options: tuple[str, ...]) -> None:
    rates = benchmark(doors.any_key[1], *options)
    assert list(rates) == TESTS
    assert all(rate > 0 for rate in rates.values())


@pytest.mark.parametrize("options", [("-r", "1000"), ("-3", "-P", "8")])
def test_the_cluster_is_measured(doors: Doors, options: tuple[str, ...]) -> None:
    rates = benchmark(doors.cluster[2], "--cluster", *options)
    assert list(rates) == TESTS
    assert all(rate > 0 for rate in rates.values())


def test_every_increment_of_a_benchmark_is_counted(doors: Doors) -> None:
    benchmark(doors.any_key[0])
    assert redis_cli(doors.any_key[1], "GET", "counter:__rand_int__").lines == ["300"]
