"""What /metrics says: the plain numbers that the node counts, in Prometheus's form.

The hot path adds integers; everything else happens when somebody asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from ..cluster.slots import META_SHARD

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from .doors.door import Clients
    from .node import Node
    from .peers import Peers


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"trimaran_{name}", text, value=value)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"trimaran_{name}", text, value=value)


def collect(node: Node, peers: Peers, clients: Clients, resident_bytes: int) -> Iterator[Metric]:
    """All metrics of one node, as of now."""
    yield from _of_engine(node, resident_bytes)
    yield from _of_clients(clients)
    yield from _of_shards(node)
    yield from _of_peers(peers)


def _of_engine(node: Node, resident_bytes: int) -> Iterator[Metric]:
    counters, gate = node.engine.counters, node.engine.gate
    yield _counter("turns", "Turns of the engine.", counters.turns)
    yield _counter("fsyncs", "Syncs of the log, one per batch.", counters.fsyncs)
    yield _counter("fsync_seconds", "Time spent in them.", counters.fsync_ns / 1e9)
    yield _counter("log_bytes_written", "Bytes written to the log.", counters.log_bytes)
    yield _counter("batches", "Batches of entries proposed here.", gate.batches)
    yield _counter("batches_forced", "Batches not waited for to the end.", gate.forced)
    yield _counter("leader_changes", "Leaders seen to change, all shards.", counters.elections)
    yield _counter(
        "leader_transfers", "Shards handed over by this node.", node.leadership.transfers
    )
    yield _counter("raft_messages_received", "All shards.", counters.messages_in)
    yield _gauge(
        "is_clock_trusted", "0: too far from the others'.", node.leadership.is_clock_trusted
    )
    yield _counter("forwarded_requests", "Passed on to another node.", node.router.forwarded)
    yield _gauge("pending_requests", "Passed on or waiting for a leader.", node.router.pending)
    yield _counter("snapshots_taken", "Snapshots taken.", node.snapshotting.taken)
    yield _counter("snapshots_installed", "Snapshots installed.", node.snapshotting.installed)
    yield _gauge("log_disk_bytes", "The log's files.", node.log.bytes_on_disk)
    yield _gauge("log_memory_bytes", "Entries held in memory.", node.engine.log_memory_bytes)
    yield _gauge("resident_bytes", "Memory of the process.", resident_bytes)
    yield _gauge("topology_epoch", "Epoch of the topology.", node.topology.epoch)


def _of_clients(clients: Clients) -> Iterator[Metric]:
    yield _counter("commands", "Commands taken from RESP clients.", clients.commands)
    yield _counter("connections", "RESP clients accepted.", clients.connections)
    yield _counter("connections_rejected", "RESP clients over clients_max.", clients.rejected)
    yield _gauge("clients", "RESP clients connected.", len(clients.by_id))


def _of_shards(node: Node) -> Iterator[Metric]:
    labels = ("shard",)
    term = GaugeMetricFamily("trimaran_shard_term", "Raft term.", labels=labels)
    leads = GaugeMetricFamily("trimaran_shard_is_leader", "1 if led here.", labels=labels)
    halted = GaugeMetricFamily(
        "trimaran_shard_is_halted", "1 if this replica stopped applying.", labels=labels
    )
    applied = GaugeMetricFamily("trimaran_shard_applied_index", "Applied.", labels=labels)
    commit = GaugeMetricFamily("trimaran_shard_commit_index", "Committed.", labels=labels)
    lag = GaugeMetricFamily(
        "trimaran_shard_lag_entries", "Entries the slowest follower is behind.", labels=labels
    )
    keys = GaugeMetricFamily("trimaran_shard_keys", "Keys, all databases.", labels=labels)
    memory = GaugeMetricFamily("trimaran_shard_memory_bytes", "Counted.", labels=labels)
    commands = CounterMetricFamily(
        "trimaran_shard_commands_applied", "Commands applied.", labels=labels
    )
    strays = CounterMetricFamily(
        "trimaran_shard_messages_dropped", "Meant for another replica.", labels=labels
    )
    for shard in node.engine.shards.values():
        label = ["meta" if shard.id == META_SHARD else str(shard.id)]
        core, data = shard.core, shard.keys
        term.add_metric(label, core.term)
        leads.add_metric(label, shard.is_leader)
        halted.add_metric(label, shard.halted is not None)
        applied.add_metric(label, shard.applied_index)
        commit.add_metric(label, core.commit_index)
        keys.add_metric(label, sum([data.count(db) for db in data.databases]))
        memory.add_metric(label, data.memory_bytes)
        commands.add_metric(label, shard.commands_applied)
        strays.add_metric(label, core.dropped_messages)
        matches = [follower.match_index for follower in core.followers()]
        if matches:
            lag.add_metric(label, core.last.index - min(matches))
    yield from (term, leads, halted, applied, commit, lag, keys, memory, commands, strays)


def _of_peers(peers: Peers) -> Iterator[Metric]:
    labels = ("peer",)
    up = GaugeMetricFamily("trimaran_peer_up", "1 if all its streams are live.", labels=labels)
    dropped = CounterMetricFamily("trimaran_peer_messages_dropped", "Lost here.", labels=labels)
    refused = CounterMetricFamily("trimaran_peer_refused", "Hellos refused.", labels=labels)
    breaks = CounterMetricFamily("trimaran_peer_breaks", "Streams that broke.", labels=labels)
    mismatches = CounterMetricFamily("trimaran_peer_mismatches", "Batches dropped.", labels=labels)
    batches = CounterMetricFamily("trimaran_peer_batches_received", "Batches.", labels=labels)
    received = CounterMetricFamily("trimaran_peer_bytes_received", "Bytes.", labels=labels)
    sent = CounterMetricFamily("trimaran_peer_batches_sent", "Batches.", labels=labels)
    around = CounterMetricFamily(
        "trimaran_peer_batches_around",
        "Sent around a log stream that was backed up.",
        labels=labels,
    )
    sent_bytes = CounterMetricFamily("trimaran_peer_bytes_sent", "Bytes.", labels=labels)
    waiting = GaugeMetricFamily("trimaran_peer_queue_bytes", "Waiting to be sent.", labels=labels)
    overflows = CounterMetricFamily(
        "trimaran_peer_queue_overflows", "Times peer_queue_bytes_max was reached.", labels=labels
    )
    for node, link in peers.links.items():
        label, counters = [str(node)], link.counters
        up.add_metric(label, peers.is_up(node))
        dropped.add_metric(label, counters.dropped)
        refused.add_metric(label, counters.refused)
        breaks.add_metric(label, counters.breaks)
        mismatches.add_metric(label, counters.mismatches)
        batches.add_metric(label, counters.batches_in)
        received.add_metric(label, counters.bytes_in)
        sent.add_metric(label, link.log.frames + link.control.frames)
        around.add_metric(label, counters.control_frames)
        sent_bytes.add_metric(label, link.log.bytes + link.control.bytes)
        waiting.add_metric(label, link.queue_bytes)
        overflows.add_metric(label, counters.overflows)
    yield from (up, dropped, refused, breaks, mismatches, batches, received)
    yield from (sent, around, sent_bytes, waiting, overflows)
