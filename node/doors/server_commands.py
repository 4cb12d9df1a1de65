"""INFO, CONFIG GET and TIME: what this node says of itself.

Only fields that are true here; clients read a handful of them (`redis_version`, `loading`, `role`,
`cluster_enabled`, `maxmemory_policy`, ...) to choose what they do. The node adds its own through
`NodeFacts`.
"""

from __future__ import annotations

import os
import platform
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from ...proto.reply import OK, MapReply, Reply, VerbatimReply
from ..errors import CommandError
from .subcommands import Subcommands, shown

if TYPE_CHECKING:
    from ..request import Args
    from .backend import DoorLimits
    from .connection import Connection
    from .door import Door

REDIS_VERSION = "7.2.4"  # Whose behaviour we keep; clients choose features by it.
VERSION = "0.1.0"

_SECTIONS = (
    "server",
    "clients",
    "memory",
    "persistence",
    "stats",
    "replication",
    "cpu",
    "modules",
    "errorstats",
    "cluster",
    "keyspace",
)
_ALL = frozenset({"all", "everything", "default"})
_TITLES = {"cpu": "CPU"}


def time_(client: Connection, args: Args) -> Reply:
    seconds, micros = divmod(client.door.router.wall_us(), 1_000_000)
    return [b"%d" % seconds, b"%d" % micros]


# --- INFO


def info(client: Connection, args: Args) -> Reply:
    wanted = {shown(word).lower() for word in args[1:]} or _ALL
    sections = _sections(client.door)
    parts = []
    for name, fields in sections.items():
        if wanted & _ALL or name in wanted:
            lines = "".join(f"{field}:{value}\r\n" for field, value in fields.items())
            parts.append(f"# {_TITLES.get(name, name.capitalize())}\r\n{lines}")
    return VerbatimReply("txt", "\r\n".join(parts).encode())


def _sections(door: Door) -> dict[str, dict[str, str | int]]:
    sections: dict[str, dict[str, str | int]] = {name: {} for name in _SECTIONS}
    sections["server"] = _server(door)
    sections["clients"] = _clients(door)
    sections["memory"] = {"maxmemory": 0, "maxmemory_human": "0B", "maxmemory_policy": "noeviction"}
    sections["persistence"] = {"loading": 0, "async_loading": 0, "aof_enabled": 1}
    sections["stats"] = {
        "total_connections_received": door.clients.connections,
        "total_commands_processed": door.clients.commands,
        "rejected_connections": door.clients.rejected,
    }
    sections["replication"] = {"role": "master", "connected_slaves": 0}
    sections["cpu"] = _cpu()
    sections["cluster"] = {"cluster_enabled": int(door.is_cluster)}
    for name, fields in door.facts.info().items():
        sections.setdefault(name, {}).update(fields)
    return sections


def _server(door: Door) -> dict[str, str | int]:
    uptime = (door.router.now_ns() - door.clients.started_ns) // 1_000_000_000
    return {
        "redis_version": REDIS_VERSION,
        "trimaran_version": VERSION,
        "redis_mode": "cluster" if door.is_cluster else "standalone",
        "os": f"{platform.system()} {platform.release()} {platform.machine()}",
        "arch_bits": 64,
        "process_id": os.getpid(),
        "run_id": door.clients.run_id,
        "tcp_port": door.port,
        "server_time_usec": door.router.wall_us(),
        "uptime_in_seconds": uptime,
        "uptime_in_days": uptime // 86_400,
    }


def _clients(door: Door) -> dict[str, str | int]:
    return {
        "connected_clients": len(door.clients.by_id),
        "cluster_connections": 0,
        "maxclients": door.limits.clients_max,
        "blocked_clients": 0,
    }


def _cpu() -> dict[str, str | int]:
    times = os.times()
    return {"used_cpu_sys": f"{times.system:.6f}", "used_cpu_user": f"{times.user:.6f}"}


# --- CONFIG


def _parameters(door: Door) -> dict[str, str]:
    """Redis's names for what there is here; the rest as Redis would say it is off."""
    limits: DoorLimits = door.limits
    parameters = {
        "appendfsync": "always",
        "appendonly": "yes",
        "client-query-buffer-limit": str(limits.reader.command_bytes_max),
        "cluster-enabled": "yes" if door.is_cluster else "no",
        "databases": "16",
        "dir": ".",
        "maxclients": str(limits.clients_max),
        "maxmemory": "0",
        "maxmemory-policy": "noeviction",
        "maxmemory-samples": "5",
        "notify-keyspace-events": "",
        "port": str(door.port),
        "proto-max-bulk-len": str(limits.reader.bulk_bytes_max),
        "requirepass": "",
        "save": "",
        "slowlog-log-slower-than": "-1",
        "slowlog-max-len": "0",
        "tcp-keepalive": "300",
        "timeout": str(limits.client_idle_timeout_s),
    }
    parameters.update(door.facts.config())
    return parameters


def _config_get(client: Connection, args: Args) -> Reply:
    patterns = [shown(word).lower() for word in args[2:]]
    return MapReply(
        tuple(
            (name.encode(), value.encode())
            for name, value in sorted(_parameters(client.door).items())
            if any(fnmatchcase(name, pattern) for pattern in patterns)
        )
    )


def _config_set(client: Connection, args: Args) -> Reply:
    raise CommandError("CONFIG SET is not supported: options are given when a node starts")


def _config_resetstat(client: Connection, args: Args) -> Reply:
    client.door.clients.reset_counts()
    return OK


CONFIG = Subcommands(
    b"CONFIG",
    {b"GET": _config_get, b"RESETSTAT": _config_resetstat, b"SET": _config_set},
    (
        "GET <pattern> [<pattern> ...]",
        "    Return parameters matching the glob-like <pattern>s and their values.",
        "RESETSTAT",
        "    Reset the counts that INFO reports of this node's clients.",
        "SET <directive> <value>",
        "    Not supported; options are given when a node starts.",
    ),
)
