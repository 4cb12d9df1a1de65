"""Commands that only the package itself proposes. Their names begin with an underscore and are not
in the command table, so nothing that comes through a door is ever taken for one.
"""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING

from ...proto.reply import OK, Reply
from ..data.keyspace import INTERNAL_DB, Keyspace
from ..errors import CommandError
from .hash_expiry import expire_fields
from .streams import last_ids

if TYPE_CHECKING:
    from ..request import Args
    from .context import Context, Handler

COUNT_KEYS_IN_SLOT = b"_COUNTKEYSINSLOT"  # _COUNTKEYSINSLOT slot
EVICT = b"_EVICT"  # _EVICT key ...
EXPIRE = b"_EXPIRE"  # _EXPIRE key ...
GET_KEYS_IN_SLOT = b"_GETKEYSINSLOT"  # _GETKEYSINSLOT slot count
LAST_IDS = b"_LASTIDS"  # _LASTIDS command ...
OPEN_SESSION = b"_SESSION.OPEN"  # _SESSION.OPEN timeout_ms [client age_ms]
GET_TOPOLOGY = b"_TOPOLOGY.GET"  # _TOPOLOGY.GET
OUT_OF_MEMORY = b"_OOM"  # _OOM [_EXEC]: stands for a command there was no memory for
PUT_TOPOLOGY = b"_TOPOLOGY.PUT"  # _TOPOLOGY.PUT expected_epoch json
WHEN_FULL = b"_FULL"  # _FULL command ...: carried out when there was no memory
DUE_FIELDS_MAX = 1000  # Removed by one command; more of them stay due, and are named again.
OUT_OF_MEMORY_TEXT = "command not allowed when used memory > 'maxmemory'."
TOPOLOGY_KEY = b"topology"  # In INTERNAL_DB of the meta shard.


def expire(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """Remove those keys that are due by the entry's stamp, and fields of hashes that are; how many
    keys were."""
    removed = 0
    fields_left = DUE_FIELDS_MAX
    for key in args[1:]:
        at_ms = keys.raw_expiry_of(key)
        if at_ms is not None and at_ms <= ctx.now_ms:
            keys.delete(key)
            removed += 1
        else:
            fields_left -= expire_fields(keys, key, fields_left, ctx)
    return removed


def evict(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """Remove these keys to make room, as far as the entry's policy lets them go; how many were."""
    settings = ctx.settings
    if not settings.maxmemory or settings.maxmemory_policy == "noeviction":
        return 0  # The parameters were changed after the keys were chosen.
    is_volatile = settings.maxmemory_policy.startswith("volatile-")
    removed = 0
    for key in args[1:]:
        if is_volatile and keys.raw_expiry_of(key) is None:
            continue  # It was made to stay meanwhile.
        if keys.delete(key):
            ctx.notify("e", "evicted", key)
            removed += 1
    keys.evicted += removed
    return removed


def out_of_memory(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """The answer of a command that the leader had no memory for; of a transaction with such."""
    if len(args) > 1:
        raise CommandError(
            f"Transaction discarded because of: OOM {OUT_OF_MEMORY_TEXT}", "EXECABORT"
        )
    raise CommandError(OUT_OF_MEMORY_TEXT, "OOM")


def open_session(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """Register a session; its id, which is the entry's index (correctness A8), or that of the one
    the client has already."""
    timeout_ms, *rest = map(int, args[1:])
    return keys.sessions.register(keys.entry_index, timeout_ms, ctx.now_ms, *rest)


def put_topology(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """Replace the topology if its epoch is still the one expected (0: there is none)."""
    _, expected, value = args
    assert ctx.db == INTERNAL_DB
    stored = keys.find(TOPOLOGY_KEY, bytes)
    epoch = 0 if stored is None else json.loads(stored)["epoch"]
    if epoch != int(expected):
        raise CommandError(f"the topology is at epoch {epoch}, not {int(expected)}", "STALEEPOCH")
    if json.loads(value)["epoch"] != epoch + 1:
        raise CommandError(f"the topology after epoch {epoch} must have the next one", "STALEEPOCH")
    keys.put(TOPOLOGY_KEY, value)
    return OK


def get_topology(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """The topology that is agreed on now, as JSON; nil before there is one."""
    return keys.find(TOPOLOGY_KEY, bytes)


def read_topology(keys: Keyspace) -> bytes | None:
    """The topology as it stands in the meta shard's applied state, as JSON."""
    keys.enter(INTERNAL_DB, keys.last_stamp_ms, is_read=True)
    return keys.find(TOPOLOGY_KEY, bytes)


def count_keys_in_slot(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """Of database 0, the only one that is cut into slots."""
    keys.enter(0, ctx.now_ms, is_read=True)
    return keys.count_in_slot(int(args[1]))


def get_keys_in_slot(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    keys.enter(0, ctx.now_ms, is_read=True)
    return list(islice(keys.keys_in_slot(int(args[1])), int(args[2])))


INTERNAL_HANDLERS: dict[bytes, Handler] = {
    COUNT_KEYS_IN_SLOT: count_keys_in_slot,
    EVICT: evict,
    EXPIRE: expire,
    GET_KEYS_IN_SLOT: get_keys_in_slot,
    LAST_IDS: last_ids,
    OPEN_SESSION: open_session,
    OUT_OF_MEMORY: out_of_memory,
    GET_TOPOLOGY: get_topology,
    PUT_TOPOLOGY: put_topology,
}
