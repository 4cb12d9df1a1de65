"""What all nodes say at one moment, and what has changed between two of them. For `trimaran top`.

Each node tells over HTTP what it knows itself: /status (see status.py) and /metrics, of which
counters and histograms become rates and quantiles by looking twice.
"""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from .status import HTTP_OFFSET, NodeStatus, Status, Unreachable, fetch, merge

METRICS_BYTES_MAX = 16 << 20
TIMEOUT_S = 1.0  # Of one request: a node that is stopped must not hold up the others' news.

_SAMPLE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

Labels = Mapping[str, str]


class Metrics:
    """One answer of /metrics, in Prometheus's text format."""

    def __init__(self, text: str, at: float) -> None:
        self.at = at  # Seconds of this process's monotonic clock.
        self._samples: dict[str, list[tuple[Labels, float]]] = {}
        for line in text.splitlines():
            match = _SAMPLE.fullmatch(line)
            if match is not None:
                labels = dict(_LABEL.findall(match[2] or ""))
                self._samples.setdefault(match[1], []).append((labels, float(match[3])))

    def value(self, name: str, **labels: str) -> float | None:
        """The sample with these labels; None if there is none."""
        for found, value in self._samples.get(name, ()):
            if labels.items() <= found.items():
                return value
        return None

    def buckets(self, name: str, **labels: str) -> dict[float, float]:
        """Of a histogram: how many values are not above each bound."""
        samples = self._samples.get(f"{name}_bucket", ())
        return {
            float(found["le"]): value for found, value in samples if labels.items() <= found.items()
        }


@dataclass(frozen=True, slots=True)
class Reading:
    """What was told at one moment."""

    status: Status
    metrics: Mapping[str, Metrics]  # By node, of those that answered.
    silent: Mapping[str, str] = field(default_factory=dict)  # Why a node did not answer.


def read_all(places: Sequence[tuple[str, int]]) -> Reading:
    """What all nodes say, beginning at the first of these base (or HTTP) ports that answers.

    Raises Unreachable when none does.
    """
    first = _first_of(places)

    def one(node: NodeStatus) -> tuple[Status, Metrics] | str:
        http_port = node.port + HTTP_OFFSET
        try:
            told = first if node.name == first.node else fetch(node.host, http_port, TIMEOUT_S)
            return told, _fetch_metrics(node.host, http_port)
        except (OSError, http.client.HTTPException, ValueError) as error:
            return f"{node.host}:{http_port}: {error}"

    with ThreadPoolExecutor(max(1, len(first.nodes))) as pool:
        answers = list(pool.map(one, first.nodes))
    views: list[Status] = [first]
    metrics: dict[str, Metrics] = {}
    silent: dict[str, str] = {}
    for node, answer in zip(first.nodes, answers, strict=True):
        if isinstance(answer, str):
            silent[node.name] = answer
            continue
        told, counted = answer
        if told.cluster_id == first.cluster_id:
            views.append(told)
            metrics[node.name] = counted
    return Reading(merge(views), metrics, silent)


def _first_of(places: Sequence[tuple[str, int]]) -> Status:
    reasons: list[str] = []
    for host, port in places:
        for http_port in (port + HTTP_OFFSET, port):
            try:
                return fetch(host, http_port, TIMEOUT_S)
            except (OSError, http.client.HTTPException, ValueError) as error:
                reasons.append(f"{host}:{http_port}: {error}")
    raise Unreachable("no node answers\n" + "\n".join(reasons[::2]))


def _fetch_metrics(host: str, http_port: int) -> Metrics:
    connection = http.client.HTTPConnection(host, http_port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/metrics", headers={"Connection": "close"})
        body = connection.getresponse().read(METRICS_BYTES_MAX)
    finally:
        connection.close()
    return Metrics(body.decode("utf-8", "replace"), time.monotonic())


# --- Between two.


def rate(before: Metrics | None, now: Metrics | None, name: str, **labels: str) -> float | None:
    """How fast a counter rises, per second; None if that cannot be said: the node has been
    restarted in between, or was not there."""
    if before is None or now is None or now.at <= before.at:
        return None
    old, new = before.value(name, **labels), now.value(name, **labels)
    if old is None or new is None or new < old:
        return None
    return (new - old) / (now.at - before.at)


def quantile(
    before: Metrics | None, now: Metrics | None, share: float, name: str, **labels: str
) -> float | None:
    """The bound that this share of a histogram's values was not above; None if there were none."""
    if before is None or now is None:
        return None
    old, new = before.buckets(name, **labels), now.buckets(name, **labels)
    counts = [(bound, new[bound] - old.get(bound, 0.0)) for bound in sorted(new)]
    total = counts[-1][1] if counts else 0.0
    if total <= 0 or any(count < 0 for _, count in counts):
        return None
    return next(bound for bound, count in counts if count >= share * total)


def summed(values: Sequence[float | None]) -> float | None:
    """Of those that are known."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None
