"""The load generators: cheap C programs, so that on two cores they are not what is measured.

redis-benchmark for RESP; h2load for etcd, which sends the same prebuilt gRPC message again and
again as an HTTP/2 POST. Each runs once and returns a `Load`. What redis-benchmark cannot send is
sent by a process of our own (`transactions.py`).
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..chaos import etcd
from .parse import Load, Unreadable, parse_h2load, parse_redis_benchmark

if TYPE_CHECKING:
    from pathlib import Path

VALUE_BYTES = 64
KEYS = 10_000  # Random keys at our side; etcd is asked for one key only, which is easier for it.
KEY = b"key:000000000001"  # As long as the keys of redis-benchmark.
# Whatever is slower than this per round is not slow but stuck.
ROUND_S_MAX = 120


@dataclass(frozen=True, slots=True)
class Shape:
    """How the load looks, whoever gets it."""

    op: str  # SET, GET, or the name of another kind of command (`kinds.py`).
    clients: int
    pipeline: int

    @property
    def in_flight(self) -> int:
        return self.clients * self.pipeline

    def whole(self, requests: float) -> int:
        """About so many, in whole pipelines of all clients; redis-benchmark gives up otherwise."""
        return max(1, round(requests / self.in_flight)) * self.in_flight


def redis_benchmark(
    shape: Shape, requests: int, *, port: int, options: Sequence[str], words: Sequence[str] = ()
) -> Load:
    """Runs redis-benchmark, its own test or the command that `words` are; it ends with an error at
    the first error reply."""
    argv = ["redis-benchmark", "-h", "127.0.0.1", "-p", str(port), "-n", str(requests)]
    argv += ["-c", str(shape.clients), "-P", str(shape.pipeline)]
    argv += ["-r", str(KEYS), "-d", str(VALUE_BYTES), "--csv", "--precision", "3", *options]
    argv += words or ["-t", shape.op.lower()]
    return parse_redis_benchmark(_run(argv), requests)


def transactions(shape: Shape, requests: int, *, port: int, database: int) -> Load:
    """Runs `transactions.py`; one that is not answered as it should be ends it with an error."""
    argv = [sys.executable, "-m", "tests.bench.transactions", str(port), str(database)]
    argv += [str(shape.clients), str(shape.pipeline), str(requests)]
    told = json.loads(_run(argv))
    return Load(requests, told["rate"], p50_ms=told["p50_ms"], p99_ms=told["p99_ms"])


def h2load(shape: Shape, requests: int, *, port: int, scratch: Path) -> Load:
    """Runs h2load; `pipeline` is the number of streams in flight on each connection."""
    if shape.op == "SET":
        call, message = etcd.PUT, etcd.put_request(KEY, b"x" * VALUE_BYTES)
        answer_bytes_min = 10  # A frame and a header with cluster, member, revision and term.
    else:
        call, message = etcd.RANGE, etcd.range_request(KEY)
        answer_bytes_min = 10 + len(KEY) + VALUE_BYTES
    body, log = scratch / f"{shape.op}.body", scratch / "h2load.log"
    body.write_bytes(etcd.framed(message))
    log.unlink(missing_ok=True)
    argv = ["h2load", "-n", str(requests), "-c", str(shape.clients), "-m", str(shape.pipeline)]
    argv += ["-d", str(body), "-H", "content-type: application/grpc", "-H", "te: trailers"]
    argv += [f"--log-file={log}", f"http://127.0.0.1:{port}{call}"]
    summary = _run(argv)
    return parse_h2load(summary, log.read_text(), answer_bytes_min)


def _run(argv: Sequence[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=ROUND_S_MAX)
    if done.returncode != 0:
        raise Unreadable(f"`{' '.join(argv)}` ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout
