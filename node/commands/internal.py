"""Commands that only the package itself proposes. Their names begin with an underscore and are not
in the command table, so nothing that comes through a door is ever taken for one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ...proto.reply import OK, Reply
from ..data.keyspace import INTERNAL_DB, Keyspace
from ..errors import CommandError

if TYPE_CHECKING:
    from ..request import Args
    from .context import Context, Handler

EXPIRE = b"_EXPIRE"  # _EXPIRE key ...
OPEN_SESSION = b"_SESSION.OPEN"  # _SESSION.OPEN timeout_ms
PUT_TOPOLOGY = b"_TOPOLOGY.PUT"  # _TOPOLOGY.PUT expected_epoch json
TOPOLOGY_KEY = b"topology"  # In INTERNAL_DB of the meta shard.


def expire(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """Remove those keys that are due by the entry's stamp; how many were."""
    removed = 0
    for key in args[1:]:
        at_ms = keys.raw_expiry_of(key)
        if at_ms is not None and at_ms <= ctx.now_ms:
            keys.delete(key)
            removed += 1
    return removed


def open_session(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """Register a session; its id, which is the entry's index (correctness A8)."""
    return keys.sessions.register(keys.entry_index, int(args[1]), ctx.now_ms)


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


def read_topology(keys: Keyspace) -> bytes | None:
    """The topology as it stands in the meta shard's applied state, as JSON."""
    keys.enter(INTERNAL_DB, keys.last_stamp_ms, is_read=True)
    return keys.find(TOPOLOGY_KEY, bytes)


INTERNAL_HANDLERS: dict[bytes, Handler] = {
    EXPIRE: expire,
    OPEN_SESSION: open_session,
    PUT_TOPOLOGY: put_topology,
}
