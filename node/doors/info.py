"""INFO: what this node says of itself, in Redis's sections and fields.

Only what is true here. A field of Redis that means nothing here, or that nobody measures, is left
away; `tests/model/test_server.py` lists every one, with the reason. The doors know clients and
commands; what the node knows comes through `NodeFacts.info`.
"""

from __future__ import annotations

import os
import platform
import resource
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from ...cluster.settings import settings_of
from ...proto.reply import Reply, VerbatimReply
from ..histogram import percentile
from ..subscriptions import CHANNEL, PATTERN, SHARD
from .subcommands import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..pubsub import PubSub
    from ..request import Args
    from .client import Client
    from .door import Door

REDIS_VERSION = "7.2.4"  # Whose behaviour we keep; clients choose features by it.
VERSION = "0.1.0"

Fields: TypeAlias = "Mapping[str, str | int]"

# Not in INFO without arguments, as in Redis: they grow with what clients do.
_ON_REQUEST = frozenset({"commandstats", "latencystats"})
_TITLES = {"cpu": "CPU"}
_BLOCKING = frozenset({b"WAIT", b"WAITAOF"})  # Their clients count as blocked, too.
_UNITS = (("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10))


def info(client: Client, args: Args) -> Reply:
    """INFO [section ...]"""
    wanted = _wanted([shown(word).lower() for word in args[1:]] or ["default"])
    door = client.door
    of_node = door.facts.info()
    parts = []
    for name in wanted:
        of_door = _SECTIONS.get(name)
        if of_door is None and name not in of_node:
            continue
        fields = dict(of_door(door)) if of_door is not None else {}
        fields.update(of_node.get(name, {}))
        lines = "".join(f"{field}:{value}\r\n" for field, value in fields.items())
        parts.append(f"# {_TITLES.get(name, name.capitalize())}\r\n{lines}")
    return VerbatimReply("txt", "\r\n".join(parts).encode())


def _wanted(words: Iterable[str]) -> list[str]:
    """The sections asked for, each once, in the order in which they are always told."""
    chosen: set[str] = set()
    for word in words:
        if word in {"all", "everything"}:
            chosen.update(_ORDER)
        elif word == "default":
            chosen.update(name for name in _ORDER if name not in _ON_REQUEST)
        else:
            chosen.add(word)
    return [name for name in _ORDER if name in chosen]


# --- Sections, as far as the doors know them.


def _server(door: Door) -> Fields:
    uptime_s = (door.router.now_ns() - door.clients.started_ns) // 1_000_000_000
    return {
        "redis_version": REDIS_VERSION,
        "trimaran_version": VERSION,
        "redis_git_sha1": "00000000",
        "redis_git_dirty": 0,
        "redis_mode": "cluster" if door.is_cluster else "standalone",
        "os": f"{platform.system()} {platform.release()} {platform.machine()}",
        "arch_bits": 64 if sys.maxsize > 1 << 32 else 32,
        "process_id": os.getpid(),
        "process_supervised": "no",
        "run_id": door.clients.run_id,
        "tcp_port": door.port,
        "server_time_usec": door.router.wall_us(),
        "uptime_in_seconds": uptime_s,
        "uptime_in_days": uptime_s // 86_400,
        "executable": sys.executable,
        "io_threads_active": 0,
    }


def _clients(door: Door) -> Fields:
    clients = door.clients.by_id.values()
    return {
        "connected_clients": len(clients),
        "cluster_connections": 0,
        "maxclients": door.limits.clients_max,
        "client_recent_max_input_buffer": max((one.held_bytes for one in clients), default=0),
        "client_recent_max_output_buffer": max((one.output_bytes for one in clients), default=0),
        "blocked_clients": door.clients.blockers.clients + sum(map(_waits_for_copies, clients)),
        "tracking_clients": 0,
        "clients_in_timeout_table": 0,
    }


def _waits_for_copies(client: Client) -> bool:
    return client.route is not None and client.route.name in _BLOCKING and not client.is_idle


def _memory(door: Door) -> Fields:
    clients = door.clients.by_id.values()
    settings = settings_of(door.router.topology().settings)
    return {
        "maxmemory": settings.maxmemory,
        "maxmemory_human": human(settings.maxmemory),
        "maxmemory_policy": settings.maxmemory_policy,
        "mem_clients_slaves": 0,
        "mem_clients_normal": sum(
            [one.held_bytes + one.waiting_cost + one.output_bytes for one in clients]
        ),
    }


def _persistence(door: Door) -> Fields:
    return {"loading": 0, "async_loading": 0, "aof_enabled": 1}


def _stats(door: Door) -> Fields:
    clients = door.clients
    return {
        "total_connections_received": clients.connections,
        "total_commands_processed": clients.commands,
        "rejected_connections": clients.rejected,
        "total_error_replies": sum(clients.stats.errors.values()),
        "unexpected_error_replies": 0,
        "acl_access_denied_auth": clients.stats.errors.get("WRONGPASS", 0),
        **_channels(clients.pubsub),
        # What there is not yet, or never will be: clients that look find nothing going on.
        **dict.fromkeys(_NEVER, 0),
    }


def _channels(pubsub: PubSub) -> Fields:
    """Of this node, as in Redis Cluster."""
    counters = pubsub.counters
    return {
        "pubsub_channels": len(pubsub.channels(CHANNEL, is_everywhere=False)),
        "pubsub_patterns": len(pubsub.channels(PATTERN, is_everywhere=False)),
        "pubsubshard_channels": len(pubsub.channels(SHARD, is_everywhere=False)),
        "pubsub_published": counters.published,
        "pubsub_delivered": counters.delivered,
        "pubsub_sent_to_peers": counters.sent,
        "pubsub_lost": counters.lost,
        "client_output_buffer_limit_disconnections": counters.slow,
    }


_NEVER = (
    "evicted_clients", "total_eviction_exceeded_time",
    "current_eviction_exceeded_time",
    "latest_fork_usec", "total_forks", "migrate_cached_sockets", "slave_expires_tracked_keys",
    "active_defrag_hits", "active_defrag_misses", "active_defrag_key_hits",
    "active_defrag_key_misses", "total_active_defrag_time", "current_active_defrag_time",
    "acl_access_denied_cmd", "acl_access_denied_key", "acl_access_denied_channel",
    "tracking_total_keys", "tracking_total_items", "tracking_total_prefixes",
    "dump_payload_sanitizations", "io_threaded_reads_processed", "io_threaded_writes_processed",
)  # fmt: skip


def _replication(door: Door) -> Fields:
    """Clients keep one role per node, and every node leads some shards: each is a master, and its
    followers are not shown (correctness D5)."""
    return {
        "role": "master",
        "connected_slaves": 0,
        "master_failover_state": "no-failover",
        "master_replid2": "0" * 40,
        "second_repl_offset": -1,
        "repl_backlog_active": 0,
        "repl_backlog_size": 0,
        "repl_backlog_first_byte_offset": 0,
        "repl_backlog_histlen": 0,
    }


def _cpu(door: Door) -> Fields:
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    fields = {
        "used_cpu_sys": own.ru_stime,
        "used_cpu_user": own.ru_utime,
        "used_cpu_sys_children": children.ru_stime,
        "used_cpu_user_children": children.ru_utime,
    }
    if sys.platform == "linux":
        loop = resource.getrusage(resource.RUSAGE_THREAD)
        fields["used_cpu_sys_main_thread"] = loop.ru_stime
        fields["used_cpu_user_main_thread"] = loop.ru_utime
    return {name: f"{seconds:.6f}" for name, seconds in fields.items()}


def _commandstats(door: Door) -> Fields:
    fields = {}
    for name, one in sorted(door.clients.stats.commands.items()):
        calls, usec = one.calls, one.usec
        fields[f"cmdstat_{name.decode().lower()}"] = (
            f"calls={calls},usec={usec},usec_per_call={usec / calls if calls else 0:.2f},"
            f"rejected_calls={one.rejected},failed_calls={one.failed}"
        )
    return fields


def _errorstats(door: Door) -> Fields:
    errors = sorted(door.clients.stats.errors.items())
    return {f"errorstat_{code}": f"count={count}" for code, count in errors}


def _latencystats(door: Door) -> Fields:
    stats = door.clients.stats
    return {
        f"latency_percentiles_usec_{name.decode().lower()}": ",".join(
            f"p{share:g}={percentile(one.histogram, share / 100):.3f}"
            for share in stats.percentiles
        )
        for name, one in sorted(stats.commands.items())
        if one.calls
    }


def _cluster(door: Door) -> Fields:
    return {"cluster_enabled": int(door.is_cluster)}


def _nothing(door: Door) -> Fields:
    return {}


_SECTIONS: dict[str, Callable[[Door], Fields]] = {
    "server": _server,
    "clients": _clients,
    "memory": _memory,
    "persistence": _persistence,
    "stats": _stats,
    "replication": _replication,
    "cpu": _cpu,
    "modules": _nothing,
    "commandstats": _commandstats,
    "errorstats": _errorstats,
    "latencystats": _latencystats,
    "cluster": _cluster,
    "keyspace": _nothing,
}
_ORDER = (*_SECTIONS, "trimaran")


def human(count: int) -> str:
    """As Redis writes bytes for people: 1.50M."""
    for name, size in _UNITS:
        if count >= size:
            return f"{count / size:.2f}{name}"
    return f"{count}B"
