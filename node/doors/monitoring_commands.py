"""SLOWLOG and LATENCY: which commands of this node's clients were slow, and what was slow here.

Times are from a command's arrival at this node to its answer (`stats.py`). Both are this node's
alone: ask each.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ...cluster.commands import find_command
from ...proto.reply import OK, MapReply, Reply, VerbatimReply
from ..errors import CommandError
from ..histogram import cumulative
from .subcommands import Subcommands, shown

if TYPE_CHECKING:
    from ..request import Args
    from .client import Client
    from .slowlog import SlowCommand
    from .stats import CommandStats

SHOWN_DEFAULT = 10  # Of the slow log, when no number is given.

_INTEGER = re.compile(rb"-?[0-9]{1,18}")


def read_integer(word: bytes) -> int:
    if not _INTEGER.fullmatch(word):
        raise CommandError("value is not an integer or out of range")
    return int(word)


# --- SLOWLOG


def _slowlog_get(client: Client, args: Args) -> Reply:
    if len(args) > 3:
        raise CommandError(
            f"unknown subcommand or wrong number of arguments for '{shown(args[1])}'."
            " Try SLOWLOG HELP."
        )
    count = SHOWN_DEFAULT
    if len(args) == 3:
        if not _INTEGER.fullmatch(args[2]) or int(args[2]) < -1:
            raise CommandError("count should be greater than or equal to -1")
        count = int(args[2])
    log = client.door.clients.stats.slow_log
    return [_slow(one) for one in log.newest(len(log) if count == -1 else count)]


def _slow(one: SlowCommand) -> Reply:
    return [one.id, one.at_s, one.took_us, list(one.args), one.address.encode(), one.name]


def _slowlog_len(client: Client, args: Args) -> Reply:
    return len(client.door.clients.stats.slow_log)


def _slowlog_reset(client: Client, args: Args) -> Reply:
    client.door.clients.stats.slow_log.clear()
    return OK


SLOWLOG = Subcommands(
    b"SLOWLOG",
    {b"GET": _slowlog_get, b"LEN": _slowlog_len, b"RESET": _slowlog_reset},
    (
        "GET [<count>]",
        "    Return the newest <count> slow commands (default: 10, -1 means all), each with",
        "    id, unix time, microseconds from arrival to answer, arguments, client's address",
        "    and client's name.",
        "LEN",
        "    Return how many slow commands are kept.",
        "RESET",
        "    Forget them.",
    ),
)


# --- LATENCY


def _latest(client: Client, args: Args) -> Reply:
    found = client.door.clients.stats.latency.series.items()
    return [[name.encode(), *one.samples[-1], one.worst_ms] for name, one in sorted(found)]


def _history(client: Client, args: Args) -> Reply:
    series = client.door.clients.stats.latency.series.get(shown(args[2]))
    return [] if series is None else [list(sample) for sample in series.samples]


def _graph(client: Client, args: Args) -> Reply:
    monitor = client.door.clients.stats.latency
    event = shown(args[2])
    if event not in monitor.series:
        raise CommandError(f"No samples available for event '{event}'")
    return VerbatimReply("txt", monitor.graph(event).encode())


def _doctor(client: Client, args: Args) -> Reply:
    return VerbatimReply("txt", client.door.clients.stats.latency.report().encode())


def _reset(client: Client, args: Args) -> Reply:
    return client.door.clients.stats.latency.reset(map(shown, args[2:]))


def _histogram(client: Client, args: Args) -> Reply:
    table = client.door.clients.stats.commands
    names = _names(args[2:]) if len(args) > 2 else sorted(table)
    return MapReply(
        tuple(
            (name.decode().lower().encode(), _buckets(table[name]))
            for name in names
            if name in table and table[name].calls
        )
    )


def _names(words: Args) -> list[bytes]:
    """The commands named, each once; a container stands for its subcommands."""
    found: list[bytes] = []
    for word in words:
        row = find_command(word.partition(b"|")[0])
        if row is not None and row.subcommands and b"|" not in word:
            found += [one.name for one in row.subcommands]
        else:
            found.append(word.upper())
    return list(dict.fromkeys(found))


def _buckets(one: CommandStats) -> Reply:
    return MapReply(
        (
            (b"calls", one.calls),
            (b"histogram_usec", MapReply(tuple(cumulative(one.histogram)))),
        )
    )


LATENCY = Subcommands(
    b"LATENCY",
    {
        b"DOCTOR": _doctor,
        b"GRAPH": _graph,
        b"HISTOGRAM": _histogram,
        b"HISTORY": _history,
        b"LATEST": _latest,
        b"RESET": _reset,
    },
    (
        "DOCTOR",
        "    Return in words what was slow on this node and what to look at.",
        "GRAPH <event>",
        "    Return the samples of an event as a drawing of characters.",
        "HISTOGRAM [<command> ...]",
        "    Return how many calls of commands took at most 1, 2, 4, 8, ... microseconds.",
        "HISTORY <event>",
        "    Return the samples of an event: unix time and milliseconds.",
        "LATEST",
        "    Return the last sample of every event, and the worst ever.",
        "RESET [<event> ...]",
        "    Forget the samples of these events, or all; return how many events there were.",
    ),
)
