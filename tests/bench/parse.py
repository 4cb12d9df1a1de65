"""What the load generators print, as values. Pure; tested in `tests/unit/bench`."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

_FINISHED = re.compile(r"^finished in [^,]+, ([0-9.]+) req/s", re.MULTILINE)
_REQUESTS = re.compile(r"^requests: .*? (\d+) done, (\d+) succeeded", re.MULTILINE)
_STATUS = re.compile(r"^status codes: (\d+) 2xx", re.MULTILINE)
_BYTES = re.compile(r"^traffic: .*\((\d+)\) data$", re.MULTILINE)


class Unreadable(Exception):
    """A load generator printed something else than expected."""


@dataclass(frozen=True, slots=True)
class Load:
    """One run of a load generator."""

    commands: int
    rate: float  # Per second.
    p50_ms: float
    p99_ms: float


def parse_redis_benchmark(text: str, commands: int) -> Load:
    """The one test of `redis-benchmark --csv`."""
    table = text[text.find('"test"') :]
    rows = list(csv.DictReader(io.StringIO(table)))
    if not table.startswith('"test"') or len(rows) != 1:
        raise Unreadable(f"expected one test from redis-benchmark --csv:\n{text}")
    row = rows[0]
    return Load(
        commands=commands,
        rate=float(row["rps"]),
        p50_ms=float(row["p50_latency_ms"]),
        p99_ms=float(row["p99_latency_ms"]),
    )


def parse_h2load(summary: str, log: str, answer_bytes_min: int) -> Load:
    """The summary of `h2load` and the per-request times of its `--log-file`.

    A gRPC error is an HTTP 200 without a message, so the bytes of the answers are checked too.
    """
    finished, requests = _FINISHED.search(summary), _REQUESTS.search(summary)
    status, received = _STATUS.search(summary), _BYTES.search(summary)
    if not (finished and requests and status and received):
        raise Unreadable(f"not the summary of h2load:\n{summary}")
    done, succeeded, with_2xx = int(requests[1]), int(requests[2]), int(status[1])
    if not done == succeeded == with_2xx > 0:
        raise Unreadable(f"not every request succeeded:\n{summary}")
    if int(received[1]) < done * answer_bytes_min:
        raise Unreadable(f"answers are too short to be answers:\n{summary}")
    times_us = sorted(int(line.rpartition("\t")[2]) for line in log.splitlines())
    if len(times_us) != done:
        raise Unreadable(f"{len(times_us)} lines in the log of h2load for {done} requests")
    return Load(
        commands=done,
        rate=float(finished[1]),
        p50_ms=percentile(times_us, 50) / 1000,
        p99_ms=percentile(times_us, 99) / 1000,
    )


def percentile(ascending: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of all do not exceed."""
    rank = -(-len(ascending) * percent // 100)  # Rounded up.
    return ascending[max(int(rank), 1) - 1]
