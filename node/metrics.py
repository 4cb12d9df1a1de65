"""What /metrics says: the plain numbers that the node counts, in Prometheus's form.

The hot path adds integers; everything else happens when somebody asks. Names carry their unit
(seconds, bytes); counters end in `_total`. What is per command, shard or peer has it as a label.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from ..cluster.command import LOGGED, READ, WRITE
from ..cluster.slots import META_SHARD
from .doors.info import REDIS_VERSION, VERSION
from .doors.stats import find_row
from .histogram import Histogram

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from .doors.door import Clients
    from .node import Node
    from .peers import Peers

PREFIX = "trimaran_"
MICROSECOND, BYTE, ONE = 1e-6, 1.0, 1.0  # What a histogram's values count, in base units.


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(PREFIX + name, text, value=value)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, text, value=value)


def _histogram(name: str, text: str, values: Histogram, unit: float, low: int, high: int) -> Metric:
    """Its buckets from 2 ** low to 2 ** high; what is below or above goes into the outermost."""
    buckets = _buckets(values.counts, unit, low, high)
    return HistogramMetricFamily(
        PREFIX + name, text, buckets=buckets, sum_value=values.total * unit
    )


def _buckets(counts: Sequence[int], unit: float, low: int, high: int) -> list[tuple[str, float]]:
    total = sum(counts[:low])
    buckets: list[tuple[str, float]] = []
    for bucket in range(low, high + 1):
        total += counts[bucket]
        buckets.append((f"{(1 << bucket) * unit:.9g}", total))
    return [*buckets, ("+Inf", sum(counts))]


def collect(node: Node, peers: Peers, clients: Clients, loop_lag_us: Histogram) -> Iterator[Metric]:
    """All metrics of one node, as of now."""
    yield from _of_engine(node)
    yield _histogram(
        "loop_lag_seconds", "How late ticks of the loop came.", loop_lag_us, MICROSECOND, 8, 22
    )
    yield from _of_clients(clients)
    yield from _of_commands(clients)
    yield from _of_shards(node)
    yield from _of_peers(peers)


def _of_engine(node: Node) -> Iterator[Metric]:
    labels = ("version", "redis_version")
    build = GaugeMetricFamily("trimaran_build_info", "Always 1; labels tell.", labels=labels)
    build.add_metric([VERSION, REDIS_VERSION], 1)
    yield build
    counters, gate = node.engine.counters, node.engine.gate
    yield _counter("turns", "Turns of the engine.", counters.turns)
    yield _histogram(
        "fsync_duration_seconds", "Syncs of the log.", counters.sync_us, MICROSECOND, 5, 22
    )
    yield _histogram(
        "fsync_batch_bytes", "Written to the log at one sync.", counters.batch_bytes, BYTE, 7, 24
    )
    yield _counter("log_written_bytes", "Written to the log.", counters.log_bytes)
    yield _histogram(
        "batch_commands", "Commands proposed here that left together.", gate.sizes, ONE, 0, 14
    )
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
    evictor = node.engine.evictor
    yield _counter("eviction_rounds", "Rounds of eviction begun here.", evictor.rounds)
    yield _gauge("is_memory_full", "1: what needs memory is refused.", evictor.pressure.is_full)
    turns = [shard.turns for shard in node.engine.shards.values()]
    yield _gauge("waiters", "Waits for data on shards led here.", sum(map(len, turns)))
    yield _counter("turns", "Clients told that there is data.", sum([one.given for one in turns]))
    yield _counter(
        "turns_missed", "Turns that nobody took in time.", sum([one.missed for one in turns])
    )
    yield _gauge("topology_epoch", "Epoch of the topology.", node.topology.epoch)


def _of_clients(clients: Clients) -> Iterator[Metric]:
    everyone = clients.by_id.values()
    yield _counter("commands", "Commands taken from clients.", clients.commands)
    yield _counter("connections", "Clients accepted.", clients.connections)
    yield _counter("connections_rejected", "Clients over clients_max.", clients.rejected)
    pubsub = clients.pubsub.counters
    yield _counter("pubsub_published", "Messages published here.", pubsub.published)
    yield _counter("pubsub_delivered", "Messages given to subscribers here.", pubsub.delivered)
    yield _counter("pubsub_sent", "Messages sent to other nodes.", pubsub.sent)
    yield _counter("pubsub_lost", "Messages that found no room on their way.", pubsub.lost)
    yield _counter("pubsub_slow", "Subscribers ended: they read too slowly.", pubsub.slow)
    yield _gauge("clients", "Clients connected.", len(everyone))
    yield _gauge("clients_blocked", "Clients that wait for data.", clients.blockers.clients)
    yield _counter("clients_received_bytes", "From RESP clients.", clients.input_bytes)
    yield _counter("clients_sent_bytes", "To RESP clients.", clients.output_bytes)
    yield _gauge(
        "clients_output_buffer_bytes",
        "Answered and not taken by the client yet.",
        sum([one.output_bytes for one in everyone]),
    )
    yield _counter(
        "slow_commands", "Slower than slowlog-log-slower-than.", clients.stats.slow_log.added
    )


def _of_commands(clients: Clients) -> Iterator[Metric]:
    """Times are from arrival at this node to the answer; the distribution is over families."""
    labels = ("command",)
    calls = CounterMetricFamily("trimaran_command_calls", "Calls.", labels=labels)
    seconds = CounterMetricFamily("trimaran_command_seconds", "Time they took.", labels=labels)
    failed = CounterMetricFamily("trimaran_command_failures", "Answered by errors.", labels=labels)
    rejected = CounterMetricFamily(
        "trimaran_command_rejections", "Refused before they ran.", labels=labels
    )
    families: dict[str, Histogram] = {name: Histogram() for name in ("read", "write", "other")}
    for name, one in clients.stats.commands.items():
        label = [name.decode().lower()]
        calls.add_metric(label, one.calls)
        seconds.add_metric(label, one.ns / 1e9)
        failed.add_metric(label, one.failed)
        rejected.add_metric(label, one.rejected)
        total = families[_family(name)]
        total.total += one.usec
        total.counts = [a + b for a, b in zip(total.counts, one.histogram, strict=True)]
    yield from (calls, seconds, failed, rejected)
    times = HistogramMetricFamily(
        "trimaran_command_duration_seconds", "From arrival to answer.", labels=("family",)
    )
    for name_of, total in families.items():
        buckets = _buckets(total.counts, MICROSECOND, 5, 23)
        times.add_metric([name_of], buckets=buckets, sum_value=total.total * MICROSECOND)
    yield times
    errors = CounterMetricFamily("trimaran_errors", "Error replies.", labels=("code",))
    for code, count in clients.stats.errors.items():
        errors.add_metric([code], count)
    yield errors


def _family(name: bytes) -> str:
    row = find_row(name)
    flags = 0 if row is None else row.flags
    return "write" if flags & (WRITE | LOGGED) else "read" if flags & READ else "other"


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
    expiring = GaugeMetricFamily(
        "trimaran_shard_expiring_keys", "Keys that have an expiry.", labels=labels
    )
    expired = CounterMetricFamily(
        "trimaran_shard_expired_keys", "Removed here because they were due.", labels=labels
    )
    evicted = CounterMetricFamily(
        "trimaran_shard_evicted_keys", "Removed here to make room.", labels=labels
    )
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
        expiring.add_metric(label, sum([data.expiring(db)[0] for db in data.databases]))
        expired.add_metric(label, data.expired)
        evicted.add_metric(label, data.evicted)
        memory.add_metric(label, data.memory_bytes)
        commands.add_metric(label, shard.commands_applied)
        strays.add_metric(label, core.dropped_messages)
        matches = [follower.match_index for follower in core.followers()]
        if matches:
            lag.add_metric(label, core.last.index - min(matches))
    yield from (term, leads, halted, applied, commit, lag)
    yield from (keys, expiring, expired, evicted, memory, commands, strays)


def _of_peers(peers: Peers) -> Iterator[Metric]:
    labels = ("peer",)
    up = GaugeMetricFamily("trimaran_peer_up", "1 if all its streams are live.", labels=labels)
    dropped = CounterMetricFamily("trimaran_peer_messages_dropped", "Lost here.", labels=labels)
    refused = CounterMetricFamily("trimaran_peer_refused", "Hellos refused.", labels=labels)
    breaks = CounterMetricFamily("trimaran_peer_breaks", "Streams that broke.", labels=labels)
    mismatches = CounterMetricFamily("trimaran_peer_mismatches", "Batches dropped.", labels=labels)
    batches = CounterMetricFamily("trimaran_peer_batches_received", "Batches.", labels=labels)
    received = CounterMetricFamily("trimaran_peer_received_bytes", "Bytes.", labels=labels)
    sent = CounterMetricFamily("trimaran_peer_batches_sent", "Batches.", labels=labels)
    around = CounterMetricFamily(
        "trimaran_peer_batches_around",
        "Sent around a log stream that was backed up.",
        labels=labels,
    )
    sent_bytes = CounterMetricFamily("trimaran_peer_sent_bytes", "Bytes.", labels=labels)
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
