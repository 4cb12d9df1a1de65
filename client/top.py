"""`trimaran top`: nodes, shards, leaders, rates, latencies and lag, as they change.

`frame` makes lines of two readings and knows no terminal; below it is what draws them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from .readings import Metrics, Reading, quantile, rate, read_all, summed
from .status import Unreachable, size

if TYPE_CHECKING:
    from .status import NodeStatus, ReplicaStatus, ShardStatus

Line = tuple[str, str]  # A style, and text.
PLAIN, HEAD, ALARM = "", "class:head", "class:alarm"

_DURATION = "trimaran_command_duration_seconds"
_FSYNC = "trimaran_fsync_duration_seconds"
_LAG = "trimaran_loop_lag_seconds"
_NODES = (
    *("node", "address", "up", "leads", "clients", "commands/s"),
    *("read p50", "p99", "write p50", "p99", "fsync p99", "loop p99", "cpu", "memory"),
)
_SHARDS = ("shard", "leader", "term", "keys", "memory", "writes/s", "applied", "lag", "replicas")


def frame(before: Reading | None, now: Reading) -> list[Line]:
    """The whole picture; rates and latencies are of the time between the two readings."""
    status = now.status
    up = sum(node.is_up for node in status.nodes)
    led = len(status.shards) - len(status.leaderless)
    total = summed(
        [_rate(before, now, node.name, "trimaran_commands_total") for node in status.nodes]
    )
    lines = [
        (
            HEAD if status.is_ready else ALARM,
            f"cluster {status.cluster_id or '-'}  {status.state}  epoch {status.epoch}  "
            f"{up} of {len(status.nodes)} nodes up  {led} of {len(status.shards)} shards led  "
            f"{_count(total)} commands/s",
        )
    ]
    lines += _alarms(now)
    lines.append((PLAIN, ""))
    leads = [shard.leader for shard in status.shards]
    rows = [
        (PLAIN if node.is_up else ALARM, _node_row(before, now, node, leads.count(node.name)))
        for node in status.nodes
    ]
    lines += _table(_NODES, rows)
    lines.append((PLAIN, ""))
    rows = [
        (PLAIN if shard.leader else ALARM, _shard_row(before, now, shard))
        for shard in status.shards
    ]
    lines += _table(_SHARDS, rows)
    return lines


def _alarms(now: Reading) -> Iterator[Line]:
    for node in now.status.nodes:
        reason = now.silent.get(node.name)
        if reason is not None:
            state = "cannot be reached from here" if node.is_up else "is down"
            yield ALARM, f"{node.name} {state}: {reason}"
    if now.status.waiting_for:
        yield ALARM, f"waiting for {', '.join(now.status.waiting_for)}"
    if now.status.leaderless:
        yield ALARM, f"without a leader: {', '.join(map(str, now.status.leaderless))}"


def _node_row(
    before: Reading | None, now: Reading, node: NodeStatus, leads: int
) -> tuple[str, ...]:
    old, new = _metrics(before, node.name), _metrics(now, node.name)
    cpu = rate(old, new, "process_cpu_seconds_total")
    clients = None if new is None else new.value("trimaran_clients")
    return (
        node.name,
        f"{node.host}:{node.port}",
        "yes" if node.is_up else "NO",
        str(leads),
        _count(clients),
        _count(rate(old, new, "trimaran_commands_total")),
        _ms(quantile(old, new, 0.5, _DURATION, family="read")),
        _ms(quantile(old, new, 0.99, _DURATION, family="read")),
        _ms(quantile(old, new, 0.5, _DURATION, family="write")),
        _ms(quantile(old, new, 0.99, _DURATION, family="write")),
        _ms(quantile(old, new, 0.99, _FSYNC)),
        _ms(quantile(old, new, 0.99, _LAG)),
        "-" if cpu is None else f"{cpu:.0%}",
        size(node.memory_bytes) if new is not None else "-",
    )


def _shard_row(before: Reading | None, now: Reading, shard: ShardStatus) -> tuple[str, ...]:
    leader, name = shard.leader or "", str(shard.shard)
    told = _metrics(now, leader)
    keys = None if told is None else told.value("trimaran_shard_keys", shard=name)
    memory = None if told is None else told.value("trimaran_shard_memory_bytes", shard=name)
    return (
        name,
        shard.leader or "NONE",
        str(shard.term),
        _count(keys),
        size(None if memory is None else int(memory)),
        _count(_rate(before, now, leader, "trimaran_shard_commands_applied_total", shard=name)),
        str(shard.applied_index),
        "-" if shard.lag is None else str(shard.lag),
        " ".join(_replica(shard, one) for one in shard.replicas),
    )


def _replica(shard: ShardStatus, replica: ReplicaStatus) -> str:
    """Its node, and how many entries it is behind."""
    match = replica.match_index
    behind = 0 if match is None else shard.last_index - match
    return f"{replica.node}(-{behind})" if behind > 0 else replica.node


def _metrics(reading: Reading | None, node: str) -> Metrics | None:
    return None if reading is None else reading.metrics.get(node)


def _rate(
    before: Reading | None, now: Reading, node: str, name: str, **labels: str
) -> float | None:
    return rate(_metrics(before, node), _metrics(now, node), name, **labels)


def _count(number: float | None) -> str:
    return "-" if number is None else f"{number:,.0f}"


def _ms(seconds: float | None) -> str:
    """Bounds are powers of two of microseconds."""
    if seconds is None:
        return "-"
    if seconds == float("inf"):
        return "long"
    ms = seconds * 1000
    return f"{ms:.2f} ms" if ms < 1 else f"{ms:.1f} ms" if ms < 100 else f"{ms:,.0f} ms"


def _table(head: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> list[Line]:
    """Columns: words flush left, numbers flush right."""
    cells = [head, *(row for _, row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    words = [not _is_number(column[1:]) for column in zip(*cells, strict=True)]
    styles = [HEAD, *(style for style, _ in rows)]
    lines: list[Line] = []
    for style, row in zip(styles, cells, strict=True):
        shown = [
            cell.ljust(width) if is_word else cell.rjust(width)
            for cell, width, is_word in zip(row, widths, words, strict=True)
        ]
        lines.append((style, "  ".join(shown).rstrip()))
    return lines


def _is_number(column: Sequence[str]) -> bool:
    return all((cell[:1].isdigit() and ":" not in cell) or cell in ("-", "long") for cell in column)


# --- Shown.


def show_once(places: Sequence[tuple[str, int]], interval_s: float) -> str:
    """One frame. Raises Unreachable if no node answers."""
    before = read_all(places)
    time.sleep(interval_s)
    return "\n".join(text for _, text in frame(before, read_all(places)))


def show(places: Sequence[tuple[str, int]], interval_s: float) -> None:
    """Frames until the user quits. Raises Unreachable if no node answers at the start."""
    from .screen import Screen

    asyncio.run(Screen(places, interval_s).run())


__all__ = ["Unreachable", "frame", "show", "show_once"]
