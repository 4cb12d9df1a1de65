"""What counts against a client library's run, and what is its own doing."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from ...chaos.client_verdict import CALL_MS_MAX, Verdict, judge_client, kind_of

LEDGER = {
    "calls": 9,
    "slowest_ms": 12,
    "errors": {},
    "faults": [],
    "counters": {"c": {"asked": 3, "acknowledged": 2}},
    "logs": {"l": [1, 3]},
    "registers": {"r": {"last": "v4", "unknown": ["v2"]}},
}
FOUND = {"c": b"2", "l": b"1;3;", "r": b"v4"}


def judged(
    found: Mapping[str, bytes | None] | None = None,
    told: Mapping[str, object] | None = None,
    *,
    sends_again: bool = True,
) -> Verdict:
    return judge_client(
        "one", {**LEDGER, **(told or {})}, {**FOUND, **(found or {})}, sends_again=sends_again
    )


def test_all_that_was_acknowledged_is_there() -> None:
    verdict = judged()
    assert (verdict.calls, verdict.lost, verdict.twice, verdict.violations) == (9, 0, 0, [])


@pytest.mark.parametrize(("key", "value"), [("c", b"3"), ("l", b"1;2;3;"), ("r", b"v2")])
def test_a_write_that_failed_may_be_there_all_the_same(key: str, value: bytes) -> None:
    verdict = judged({key: value})
    assert (verdict.lost, verdict.twice, verdict.violations) == (0, 0, [])


@pytest.mark.parametrize(
    ("key", "value"), [("c", b"1"), ("c", None), ("l", b"1;"), ("r", b"v3"), ("r", None)]
)
def test_a_write_that_was_acknowledged_and_is_not_there_is_lost(
    key: str, value: bytes | None
) -> None:
    verdict = judged({key: value})
    assert verdict.lost > 0
    assert verdict.violations


@pytest.mark.parametrize(("key", "value"), [("c", b"4"), ("l", b"1;1;3;")])
def test_what_is_there_twice_counts_against_who_sends_once(key: str, value: bytes) -> None:
    assert judged({key: value}).violations == []
    assert judged({key: value}).twice == 1
    assert judged({key: value}, sends_again=False).violations


def test_a_call_that_takes_for_ever_and_an_answer_that_cannot_be_are_faults() -> None:
    assert judged(told={"slowest_ms": CALL_MS_MAX + 1}).violations
    assert judged(told={"faults": ["GET answered 1 after 2"]}).violations


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("ResponseError: UNCERTAIN the write may be applied", "UNCERTAIN"),
        ("SimpleError: CLUSTERDOWN Hash slot not served", "CLUSTERDOWN"),
        ("BusyLoadingError: Redis is loading the dataset in memory", "LOADING"),
        ("SimpleError: LOADING Redis is loading the dataset in memory", "LOADING"),
        ("RedisClusterException: All slots are not covered after query all", "no node left"),
        ('SlotNotCoveredError: Slot "N" not covered by the cluster.', "no node left"),
        ("ClusterError: TTL exhausted.", "redirections used up"),
        ("TimeoutError: ", "time-out"),
        ("ConnectionError: Connection closed by server.", "connection"),
        ("Error: read ECONNRESET", "connection"),
        ("DisconnectsClientError: Disconnects client", "connection"),
        ("MaxRetriesPerRequestError: Reached the max retries per request limit", "connection"),
        ("TypeError: 'NoneType' object is not subscriptable", None),
    ],
)
def test_an_error_is_of_a_kind_a_caller_can_act_on_or_a_fault(error: str, kind: str | None) -> None:
    assert kind_of(error) == kind
    assert bool(judged(told={"errors": {error: 2}}).violations) is (kind is None)
