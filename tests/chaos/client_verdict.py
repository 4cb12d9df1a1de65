"""What one client's ledger comes to, held against what is in the cluster at the end."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any  # A ledger is JSON.

# Longer than any of the libraries tries by itself.
CALL_MS_MAX = 60_000
# What a caller can do something about, by the words of the libraries; the first that fits counts.
KINDS = (
    ("UNCERTAIN", r"UNCERTAIN"),
    ("CLUSTERDOWN", r"CLUSTERDOWN"),
    ("LOADING", r"LOADING|BusyLoadingError"),
    ("no node left", r"not covered|Cluster.* slots|No(ne of the)? (more )?.*nodes?\b"),
    ("redirections used up", r"redirections|TTL exhausted|^Moved|MOVED"),
    ("time-out", r"[Tt]ime(d )?-?out"),
    (
        "connection",
        r"[Cc]onnect|ECONN|EPIPE|[Cc]losed|reset by peer|Broken pipe|MaxRetries|MasterDown|"
        r"disconnect",
    ),
)


@dataclass(slots=True)
class Verdict:
    """One row of the table."""

    client: str
    calls: int = 0
    slowest_ms: int = 0
    lost: int = 0  # Acknowledged, and not there.
    twice: int = 0  # There more often than asked for.
    errors: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


def kind_of(error: str) -> str | None:
    """None if it tells its caller nothing."""
    return next((kind for kind, words in KINDS if re.search(words, error)), None)


def judge_client(
    client: str,
    told: Mapping[str, Any],
    found: Mapping[str, bytes | None],
    *,
    sends_again: bool,
) -> Verdict:
    """`told` is the worker's ledger; `found` the values of its keys at the end."""
    verdict = Verdict(client, told["calls"], told["slowest_ms"])
    faults = [*told["faults"]]
    for error, count in told["errors"].items():
        kind = kind_of(error)
        verdict.errors[kind or f"other: {error}"] += count
        if kind is None:
            faults.append(f"an error nobody can act on, {count} times: {error}")
    for key, counter in told["counters"].items():
        faults += _judge_counter(verdict, key, counter, int(found[key] or 0))
    for key, tokens in told["logs"].items():
        faults += _judge_log(verdict, key, tokens, found[key] or b"")
    for key, register in told["registers"].items():
        value = None if (raw := found[key]) is None else raw.decode()
        if value != register["last"] and value not in register["unknown"]:
            verdict.lost += 1
            faults.append(f"{key} is {value}, not {register['last']}")
    if verdict.twice and not sends_again:
        faults.append(f"{verdict.twice} writes applied twice, and the library sends once")
    if told["slowest_ms"] > CALL_MS_MAX:
        faults.append(f"a call took {told['slowest_ms']} ms")
    verdict.violations = [f"{client}: {fault}" for fault in faults]
    return verdict


def _judge_counter(verdict: Verdict, key: str, counter: Mapping[str, int], value: int) -> list[str]:
    verdict.twice += max(0, value - counter["asked"])
    if value >= counter["acknowledged"]:
        return []
    verdict.lost += counter["acknowledged"] - value
    return [f"{key} is {value} after {counter['acknowledged']} acknowledged"]


def _judge_log(verdict: Verdict, key: str, tokens: list[int], value: bytes) -> list[str]:
    there = Counter(map(int, re.findall(rb"(\d+);", value)))
    verdict.twice += sum(count - 1 for count in there.values())
    missing = [token for token in tokens if token not in there]
    verdict.lost += len(missing)
    return [f"{key} lacks {missing}, which were acknowledged"] if missing else []
