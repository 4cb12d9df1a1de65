"""The parameters that are each node's own, by Redis's names: what CONFIG GET and SET do with them.

Some can be changed while the node runs, until it restarts. The others say what is so: CONFIG SET
takes them only when it asks for that, and otherwise answers why not, or which option is given when
the node starts. What the whole cluster shares is in `cluster/settings.py`.
"""

from __future__ import annotations

import logging
import resource
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any  # Any: values of any kind of parameter.

from ...cluster.parameters import (
    INT_MAX,
    LONG_MAX,
    Choice,
    Integer,
    Kind,
    Memory,
    Text,
    YesNo,
    parse_memory,
)
from ...cluster.slots import DATABASES
from .password import Password

if TYPE_CHECKING:
    from .door import Door

UINT_MAX = (1 << 32) - 1
ENTRIES_MAX = 100_000  # Of a log that is searched at each failure.
FILES_RESERVED = 256  # Open files beside clients: the log, peers, listeners.
_LEVELS = (("debug", 10), ("verbose", 15), ("notice", 20), ("warning", 30))  # `logging`'s numbers.


@dataclass(frozen=True, slots=True)
class NodeParameter:
    name: str
    kind: Kind
    get: Callable[[Door], Any]
    set: Callable[[Door, Any], None] | None = None
    check: Callable[[Door, Any], None] | None = None  # Raises ValueError with what is against it.
    why: str = ""  # What a change is answered if there is no `set`.
    is_immutable: bool = False  # Redis refuses even what is so already.
    aliases: tuple[str, ...] = ()


# --- Kinds that only one parameter has.


@dataclass(frozen=True, slots=True)
class OutputLimit:
    """`class hard soft seconds ...`; clients have a hard limit here, and no soft one."""

    def parse(self, text: str) -> dict[str, int]:
        """The limits by class; those of replicas, of which there are none, are left out."""
        words = text.split(" ")
        if len(words) % 4:
            raise ValueError("Wrong number of arguments in buffer limit configuration.")
        limits: dict[str, int] = {}
        for start in range(0, len(words), 4):
            name, *numbers = words[start : start + 4]
            if name.lower() not in ("normal", "slave", "replica", "pubsub"):
                raise ValueError("Invalid client class specified in buffer limit configuration.")
            hard, soft = self._numbers(numbers)
            if name.lower() in ("slave", "replica"):
                continue
            if soft:
                raise ValueError("there is no soft limit here: give 0 0")
            if not hard:
                raise ValueError("every client has a limit here: 0 is not possible")
            limits[name.lower()] = hard
        return limits

    @staticmethod
    def _numbers(words: list[str]) -> tuple[int, int]:
        try:
            hard, soft, seconds = parse_memory(words[0]), parse_memory(words[1]), int(words[2])
        except ValueError:
            seconds = -1
        if seconds < 0:
            raise ValueError(
                "Error in hard, soft or soft_seconds setting in buffer limit configuration."
            )
        return hard, soft

    def text(self, value: dict[str, int]) -> str:
        return f"normal {value['normal']} 0 0 slave 0 0 0 pubsub {value['pubsub']} 0 0"

    show = text

    def describe(self) -> str:
        return "`normal BYTES 0 0 pubsub BYTES 0 0`"


@dataclass(frozen=True, slots=True)
class Percentiles:
    def parse(self, text: str) -> tuple[float, ...]:
        try:
            values = tuple(float(word) for word in text.split())
        except ValueError:
            raise ValueError("Invalid latency-tracking-info-percentiles parameters") from None
        if not all(0.0 <= value <= 100.0 for value in values):
            raise ValueError(
                "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]"
            )
        return values

    def text(self, value: tuple[float, ...]) -> str:
        return " ".join(f"{one:g}" for one in value)

    show = text

    def describe(self) -> str:
        return "numbers from 0 to 100"


# --- What can be changed while the node runs.


def _set_clients_max(door: Door, value: int) -> None:
    door.limits.clients_max = value


def _check_clients_max(door: Door, value: int) -> None:
    """Each client is an open file, and the system allows only so many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    no_limit = resource.RLIM_INFINITY
    wanted = value + FILES_RESERVED
    if value <= door.limits.clients_max or soft == no_limit or wanted <= soft:
        return
    if hard != no_limit and wanted > hard:
        raise ValueError(
            "The operating system is not able to handle the specified number of clients, try with"
            f" {max(hard - FILES_RESERVED, 1)}"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _set_timeout(door: Door, value: int) -> None:
    door.limits.client_idle_timeout_s = value


def _set_keepalive(door: Door, value: int) -> None:
    door.limits.tcp_keepalive_s = value


def _output_limits(door: Door) -> dict[str, int]:
    limits = door.limits
    return {"normal": limits.output_buffer_bytes_max, "pubsub": limits.pubsub_buffer_bytes_max}


def _set_output_limits(door: Door, value: dict[str, int]) -> None:
    limits = door.limits
    limits.output_buffer_bytes_max = value.get("normal", limits.output_buffer_bytes_max)
    limits.pubsub_buffer_bytes_max = value.get("pubsub", limits.pubsub_buffer_bytes_max)


def _set_slower_than(door: Door, value: int) -> None:
    door.clients.stats.slow_log.slower_than_us = value


def _set_slow_length(door: Door, value: int) -> None:
    door.clients.stats.slow_log.length_max = value


def _set_latency_threshold(door: Door, value: int) -> None:
    door.clients.stats.latency.threshold_ms = value


def _set_percentiles(door: Door, value: tuple[float, ...]) -> None:
    door.clients.stats.percentiles = value


def _get_log_level(_: Door) -> str:
    level = logging.getLogger().level
    return next((word for word, number in _LEVELS if level <= number), "warning")


def _set_log_level(_: Door, word: str) -> None:
    logging.getLogger().setLevel(dict(_LEVELS)[word])


def _set_access_log_length(door: Door, value: int) -> None:
    door.clients.access_log.length_max = value


def _get_password(door: Door) -> str:
    return door.clients.password.text.decode("utf-8", "surrogateescape")


def _set_password(door: Door, text: str) -> None:
    """Who is logged in stays so, as in Redis."""
    door.clients.password = Password(text.encode("utf-8", "surrogateescape"))


CHANGEABLE: tuple[NodeParameter, ...] = (
    NodeParameter(
        "maxclients",
        Integer(1, UINT_MAX),
        lambda door: door.limits.clients_max,
        _set_clients_max,
        _check_clients_max,
    ),
    NodeParameter(
        "timeout",
        Integer(0, INT_MAX),
        lambda door: door.limits.client_idle_timeout_s,
        _set_timeout,
    ),
    NodeParameter(
        "tcp-keepalive",
        Integer(0, INT_MAX),
        lambda door: door.limits.tcp_keepalive_s,
        _set_keepalive,
    ),
    NodeParameter(
        "client-output-buffer-limit",
        OutputLimit(),
        _output_limits,
        _set_output_limits,
    ),
    NodeParameter(
        "slowlog-log-slower-than",
        Integer(-1, LONG_MAX),
        lambda door: door.clients.stats.slow_log.slower_than_us,
        _set_slower_than,
    ),
    NodeParameter(
        "slowlog-max-len",
        Integer(0, LONG_MAX),
        lambda door: door.clients.stats.slow_log.length_max,
        _set_slow_length,
    ),
    NodeParameter(
        "latency-monitor-threshold",
        Integer(0, LONG_MAX),
        lambda door: door.clients.stats.latency.threshold_ms,
        _set_latency_threshold,
    ),
    NodeParameter(
        "latency-tracking-info-percentiles",
        Percentiles(),
        lambda door: door.clients.stats.percentiles,
        _set_percentiles,
    ),
    NodeParameter(
        "loglevel", Choice(tuple(word for word, _ in _LEVELS)), _get_log_level, _set_log_level
    ),
    NodeParameter("requirepass", Text(), _get_password, _set_password),
    NodeParameter(
        "acllog-max-len",
        Integer(0, ENTRIES_MAX),
        lambda door: door.clients.access_log.length_max,
        _set_access_log_length,
    ),
)


# --- What is so.


def _fact(name: str, kind: Kind, value: Any, why: str, *aliases: str) -> NodeParameter:
    return NodeParameter(name, kind, lambda _: value, why=why, aliases=aliases)


def _option(name: str, kind: Kind, option: str) -> NodeParameter:
    """The node knows the value: it follows from an option given at its start."""
    return NodeParameter(
        name,
        kind,
        lambda door: kind.parse(door.facts.config()[name]),
        why=f"{option} is given when the node starts",
    )


def _immutable(name: str, value: str, *aliases: str) -> NodeParameter:
    return NodeParameter(name, Text(), lambda _: value, is_immutable=True, aliases=aliases)


_AT_ONCE = "what is deleted is freed at once, a little at a time"
_SCRIPTS = "a script ends at lua-budget, whatever time it takes"
_OFF = "there is no such thing here"

FIXED: tuple[NodeParameter, ...] = (
    _fact("appendonly", YesNo(), value=True, why="every write is in the log before it is answered"),
    _option("appendfsync", Choice(("everysec", "always", "no")), "--fsync"),
    _fact("save", Text(), "", "snapshots follow the size of the log, --snapshot-log-bytes"),
    _option("dir", Text(), "--data"),
    _option("bind", Text(), "--host"),
    _option("hz", Integer(1, INT_MAX), "--tick-interval-ms"),
    _option("cluster-node-timeout", Integer(0, LONG_MAX), "--election-timeout-ms"),
    NodeParameter(
        "port",
        Integer(0, 65535),
        lambda door: door.port,
        why="--port is given when the node starts",
    ),
    NodeParameter(
        "client-query-buffer-limit",
        Memory(1 << 20, LONG_MAX),
        lambda door: door.limits.reader.command_bytes_max,
        why="--command-bytes-max is given when the node starts",
    ),
    NodeParameter(
        "cluster-enabled",
        YesNo(),
        lambda door: door.is_cluster,
        is_immutable=True,
    ),
    _fact("latency-tracking", YesNo(), value=True, why="times of commands are always counted"),
    _fact("lua-time-limit", Integer(0, LONG_MAX), 5000, _SCRIPTS, "busy-reply-threshold"),
    _fact("lazyfree-lazy-eviction", YesNo(), value=False, why=_AT_ONCE),
    _fact("lazyfree-lazy-expire", YesNo(), value=False, why=_AT_ONCE),
    _fact("lazyfree-lazy-server-del", YesNo(), value=False, why=_AT_ONCE),
    _fact("lazyfree-lazy-user-del", YesNo(), value=False, why=_AT_ONCE),
    _fact("lazyfree-lazy-user-flush", YesNo(), value=False, why=_AT_ONCE),
    _fact("activedefrag", YesNo(), value=False, why=_OFF),
    _fact("protected-mode", YesNo(), value=False, why=_OFF),
    _fact(
        "maxmemory-clients",
        Memory(0, LONG_MAX),
        0,
        "each client has limits of its own: client-output-buffer-limit, --command-bytes-max",
    ),
    _fact("cluster-require-full-coverage", YesNo(), value=False, why="each shard serves by itself"),
    _immutable("databases", str(DATABASES)),
    _immutable("daemonize", "no"),
    _immutable("io-threads", "1"),
    _immutable("logfile", ""),
    _immutable("pidfile", ""),
    _immutable("replicaof", "", "slaveof"),
    _immutable("supervised", "no"),
    _immutable("unixsocket", ""),
)

NODE_TABLE = CHANGEABLE + FIXED
NODE_PARAMETERS: dict[str, NodeParameter] = {
    name: one for one in NODE_TABLE for name in (one.name, *one.aliases)
}
