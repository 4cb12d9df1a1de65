"""MEMORY and DEBUG, as far as the door answers them: what needs no key.

MEMORY USAGE, OBJECT ENCODING, DEBUG OBJECT and the like go to the shard of their key; their rows in
the command table say so, their handlers are in `node/commands/`.
"""

from __future__ import annotations

import math
import re
import sys
from typing import TYPE_CHECKING

from ...proto.reply import OK, MapReply, Reply, VerbatimReply
from ..data.glob import Search
from .subcommands import Later, Subcommands

if TYPE_CHECKING:
    from ..request import Args
    from .client import Client

SLEEP_S_MAX = 366 * 86_400.0  # Some bound: timers do not take any number.
SMALL_BYTES = 5 << 20  # A node that holds less has nothing to complain about.
WASTE_RATIO = 4.0  # Python objects cost several times what is in them.

_FLOAT = re.compile(rb"\s*([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)")
_INTEGER = re.compile(rb"\s*([-+]?[0-9]+)")


# --- MEMORY


def _doctor(client: Client, args: Args) -> Reply:
    memory = client.door.facts.memory()
    if memory.used < SMALL_BYTES:
        text = "This node holds next to nothing: there is nothing to say about its memory."
    elif memory.resident > memory.used * WASTE_RATIO:
        text = (
            f"The process takes {memory.resident} bytes for {memory.used} bytes of data. It may"
            f" have held more before (at most {memory.peak}), or the log in memory is long"
            f" ({memory.log} bytes: log_memory_bytes bounds it). A restart gives back the rest."
        )
    else:
        text = "Nothing stands out: the process takes about what the data here needs."
    return VerbatimReply("txt", text.encode() + b"\n")


def _malloc_stats(client: Client, args: Args) -> Reply:
    text = f"allocator: pymalloc\nallocated blocks: {sys.getallocatedblocks()}\n"
    return VerbatimReply("txt", text.encode())


def _purge(client: Client, args: Args) -> Reply:
    return OK  # The allocator has no such thing; Redis answers the same without jemalloc.


def _stats(client: Client, args: Args) -> Reply:
    """Those of Redis's fields that are known here; over all replicas on this node."""
    memory = client.door.facts.memory()
    clients = client.door.clients.by_id.values()
    held = [one.held_bytes + one.waiting_cost + one.output_bytes for one in clients]
    fields: list[tuple[bytes, Reply]] = [
        (b"peak.allocated", memory.peak),
        (b"total.allocated", memory.used),
        (b"replication.backlog", 0),
        (b"clients.slaves", 0),
        (b"clients.normal", sum(held)),
        (b"cluster.links", memory.links),
        (b"aof.buffer", memory.log),
        (b"lua.caches", 0),
        (b"functions.caches", 0),
        (b"keys.count", memory.keys),
        (b"keys.bytes-per-key", memory.used // memory.keys if memory.keys else 0),
        (b"dataset.bytes", memory.used),
        (b"peak.percentage", memory.used * 100 / memory.peak if memory.peak else 0.0),
        (b"fragmentation", memory.resident / memory.used if memory.used else 0.0),
        (b"fragmentation.bytes", memory.resident - memory.used),
    ]
    return MapReply(tuple(fields))


MEMORY = Subcommands(
    b"MEMORY",
    {b"DOCTOR": _doctor, b"MALLOC-STATS": _malloc_stats, b"PURGE": _purge, b"STATS": _stats},
    (
        "DOCTOR",
        "    Return in words what stands out about the memory of this node.",
        "MALLOC-STATS",
        "    Return what the allocator tells of itself.",
        "PURGE",
        "    Accepted; this allocator gives back what it can by itself.",
        "STATS",
        "    Return how much memory this node uses and for what.",
        "USAGE <key> [SAMPLES <count>]",
        "    Return how many bytes a key and its value are counted with.",
    ),
)


# --- DEBUG


def _sleep(client: Client, args: Args) -> Reply | Later:
    """The answer comes later; this client waits, nobody else does."""
    found = _FLOAT.match(args[2])
    seconds = float(found[1]) if found else 0.0  # As Redis reads it.
    if seconds <= 0 or math.isnan(seconds):
        return OK
    call_later = client.door.call_later
    return Later(lambda done: call_later(min(seconds, SLEEP_S_MAX), lambda: done(OK)))


def _set_active_expire(client: Client, args: Args) -> Reply:
    found = _INTEGER.match(args[2])
    client.door.control.drive_expiry(is_on=bool(found and int(found[1][:20])))
    return OK


def _stringmatch_len(client: Client, args: Args) -> Reply:
    """DEBUG STRINGMATCH-LEN pattern string: whether it matches."""
    return int(Search(args[2]).matches(args[3]))


DEBUG = Subcommands(
    b"DEBUG",
    {
        b"SET-ACTIVE-EXPIRE": _set_active_expire,
        b"SLEEP": _sleep,
        b"STRINGMATCH-LEN": _stringmatch_len,
    },
    (
        "DIGEST-VALUE <key> [<key> ...]",
        "    Return a digest of the values of keys: equal values, equal digests.",
        "OBJECT <key>",
        "    Return what is known of a value beside its content.",
        "SET-ACTIVE-EXPIRE <0|1>",
        "    With 0 this node no longer removes what is due by itself, only when it is asked for.",
        "SLEEP <seconds>",
        "    Answer that much later. Only this connection waits.",
        "STRINGMATCH-LEN <pattern> <string>",
        "    Return 1 if the pattern matches the string.",
    ),
)
