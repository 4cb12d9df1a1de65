"""What the load generators print is read rightly, and what they did not do is noticed."""

from __future__ import annotations

import pytest

from ...bench.parse import Unreadable, parse_h2load, parse_redis_benchmark, percentile

CSV = """\
"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"
"SET","79051.38","0.394","0.088","0.327","0.791","1.023","2.735"
"""

SUMMARY = """\
starting benchmark...
spawning thread #0: 2 total client(s). 4 total requests
Application protocol: h2c
progress: 100% done

finished in 785.81ms, 6362.84 req/s, 594.12KB/s
requests: 4 total, 4 started, 4 done, 4 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 4 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 466.87KB (478074) total, 10.35KB (10600) headers (space savings 94.42%), 136B (136) data
                     min         max         mean         sd        +/- sd
time for request:      892us     16.11ms      7.28ms      2.47ms    72.50%
"""
LOG = "1795376934340027\t200\t6667\n1795376934339992\t200\t8504\n1\t200\t1000\n2\t200\t2000\n"


def test_redis_benchmark_gives_rate_and_percentiles() -> None:
    load = parse_redis_benchmark(CSV, 20_000)
    assert (load.commands, load.rate, load.p50_ms, load.p99_ms) == (20_000, 79051.38, 0.327, 1.023)


def test_warnings_before_the_table_of_redis_benchmark_do_not_disturb() -> None:
    text = f"WARNING: Could not fetch server CONFIG\n{CSV}"
    assert parse_redis_benchmark(text, 1) == parse_redis_benchmark(CSV, 1)


@pytest.mark.parametrize("text", ["", "Error from server: ERR", CSV + CSV.splitlines()[1]])
def test_anything_but_one_test_of_redis_benchmark_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        parse_redis_benchmark(text, 1)


def test_h2load_gives_rate_and_percentiles() -> None:
    load = parse_h2load(SUMMARY, LOG, answer_bytes_min=34)
    assert (load.commands, load.rate, load.p50_ms, load.p99_ms) == (4, 6362.84, 2.0, 8.504)


def test_answers_of_h2load_without_a_message_are_refused() -> None:
    """A gRPC error is HTTP 200 with nothing in it."""
    with pytest.raises(Unreadable, match="too short"):
        parse_h2load(SUMMARY, LOG, answer_bytes_min=35)


def test_a_failed_request_of_h2load_is_refused() -> None:
    failed = SUMMARY.replace("4 succeeded, 0 failed", "3 succeeded, 1 failed")
    with pytest.raises(Unreadable, match="not every request"):
        parse_h2load(failed, LOG, answer_bytes_min=1)


def test_a_log_of_h2load_that_misses_requests_is_refused() -> None:
    with pytest.raises(Unreadable, match="3 lines"):
        parse_h2load(SUMMARY, LOG.partition("\n")[2], answer_bytes_min=1)


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([7], 50, 7), ([1, 2], 50, 1), ([1, 2, 3], 50, 2), (range(1, 101), 99, 99), ([1, 2], 99, 2)],
)
def test_percentile_is_the_value_that_so_many_do_not_exceed(
    values: list[int], percent: int, expected: int
) -> None:
    assert percentile(values, percent) == expected
