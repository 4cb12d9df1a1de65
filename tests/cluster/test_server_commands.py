"""What clients can have real nodes do: save, stop; and what /metrics tells Prometheus."""

from __future__ import annotations

import math
import threading
import urllib.request
from contextlib import suppress
from typing import TYPE_CHECKING

import redis
from prometheus_client.parser import text_string_to_metric_families as parse

from .command import START_S, until

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from .command import Up
    from .conftest import StartUp


class Writer:
    """Writes to a node without a pause; keeps what went wrong."""

    def __init__(self, port: int) -> None:
        self.errors: list[str] = []
        self.written = 0
        self._port = port
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        with redis.Redis(port=self._port) as client:
            while not self._is_over.is_set():
                try:
                    client.set(f"key:{self.written % 200}", self.written)
                    self.written += 1
                except redis.RedisError as error:
                    self.errors.append(str(error))


def test_a_node_that_is_shut_down_hands_over_and_no_write_elsewhere_fails(
    start_up: StartUp,
) -> None:
    up = start_up("--shards", "8")
    up.wait_ready()
    leaving = up.leader(0)
    (other, *_) = [name for name in ("n1", "n2", "n3") if name != leaving]
    with Writer(up.base(other)) as writer:
        until(lambda: writer.written > 50, lambda: str(writer.errors), START_S)
        with redis.Redis(port=up.base(leaving)) as client:
            client.shutdown(nosave=True)  # Raises if it gets an answer.
        up.wait_for(f"{leaving} was shut down; start it again with")
        before = writer.written
        until(lambda: writer.written > before + 50, lambda: str(writer.errors), START_S)
    assert writer.errors == []


def test_a_save_is_on_disk_when_it_is_answered_and_the_node_starts_from_it(
    start_up: StartUp,
) -> None:
    up = start_up("--shards", "4")
    up.wait_ready()
    with redis.Redis(port=up.base("n1"), decode_responses=True) as client:
        for number in range(100):
            client.set(f"key:{number}", number)
        # Who is not hurried hears of an entry a while later, and n1 of the founding.
        until(
            lambda: (
                of_shards(up, "n1", "trimaran_shard_applied_index", {"meta"}) > 0
                and of_shards(up, "n1", "trimaran_shard_keys") == 100
            ),
            lambda: metrics(up, "n1"),
            START_S,
        )
        before = client.lastsave()
        assert client.save()
        assert client.lastsave() >= before
        told = client.info("persistence")
        assert (told["rdb_saves"], told["rdb_last_bgsave_status"]) == (1, "ok")
        assert told["rdb_changes_since_last_save"] < 20
    snapshots = list((up.data / "n1" / "snapshots").iterdir())
    assert len(snapshots) >= 5  # Four shards and meta.


# --- /metrics.


def metrics(up: Up, node: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{up.base(node) + 3}/metrics") as answer:
        return str(answer.read().decode())


def of_shards(up: Up, node: str, name: str, shards: Container[str] = "0123") -> float:
    """The sum over these shards, as the node's metrics have it."""
    (family,) = [one for one in parse(metrics(up, node)) if one.name == name]
    return sum(sample.value for sample in family.samples if sample.labels["shard"] in shards)


def test_prometheus_reads_the_metrics_and_they_say_what_happened(start_up: StartUp) -> None:
    up = start_up("--shards", "4")
    up.wait_ready()
    with redis.Redis(port=up.base("n1")) as client:
        pipeline = client.pipeline(transaction=False)
        for number in range(100):
            pipeline.set(f"key:{number}", number, ex=1000)
        pipeline.execute()
        client.get("key:1")
        with suppress(redis.ResponseError):
            client.execute_command("INCRBY", "key:x", "y")
    # Followers apply a little later.
    until(
        lambda: of_shards(up, "n1", "trimaran_shard_expiring_keys") == 100,
        lambda: metrics(up, "n1"),
        START_S,
    )
    families = {family.name: family for family in parse(metrics(up, "n1"))}
    for family in families.values():
        assert family.documentation, f"{family.name} has no text"
        assert family.name.startswith(("trimaran_", "process_"))
    values: Mapping[tuple[str, tuple[tuple[str, str], ...]], float] = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families.values()
        for sample in family.samples
    }
    assert values["trimaran_command_calls_total", (("command", "set"),)] == 100
    assert values["trimaran_command_calls_total", (("command", "get"),)] == 1
    assert values["trimaran_errors_total", (("code", "ERR"),)] >= 1
    assert values["trimaran_command_failures_total", (("command", "incrby"),)] == 1
    writes = (("family", "write"),)
    assert values["trimaran_command_duration_seconds_count", writes] == 101
    assert 0 < values["trimaran_command_duration_seconds_sum", writes] < 101 * START_S
    assert values["trimaran_fsync_duration_seconds_count", ()] > 0
    assert values["trimaran_clients_received_bytes_total", ()] > 100 * 30
    assert values["trimaran_clients_sent_bytes_total", ()] >= 100 * 5
    assert values["process_resident_memory_bytes", ()] > 1 << 20
    for name in ("shard_term", "shard_is_leader", "shard_lag_entries", "shard_applied_index"):
        assert f"trimaran_{name}" in families
    for family in families.values():
        if family.type == "histogram":
            check_histogram(family.name, values)


def check_histogram(
    name: str, values: Mapping[tuple[str, tuple[tuple[str, str], ...]], float]
) -> None:
    """Buckets rise, and the last one holds everything."""
    counts: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
    for (sample, labels), value in values.items():
        if sample == f"{name}_bucket":
            bound = float(dict(labels)["le"])
            rest = tuple(label for label in labels if label[0] != "le")
            counts.setdefault(rest, []).append((bound, value))
    assert counts, name
    for rest, buckets in counts.items():
        buckets.sort()
        assert [count for _, count in buckets] == sorted(count for _, count in buckets)
        assert buckets[-1] == (math.inf, values[f"{name}_count", rest])
