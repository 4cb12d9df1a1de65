"""What a client is told when a command was not carried out, or perhaps was: the one table.

Code words matter: client libraries act on them. `CLUSTERDOWN` and `MOVED` are retried blindly by
cluster clients, so they stand only for what surely was not applied. `OVERLOADED` and `UNCERTAIN`
are Trimaran's own: no library retries them, since the first would add to the load and the second
could apply a write twice. `docs/guarantees.md` tells users the same.
"""

from __future__ import annotations

from ...proto.reply import ErrorReply
from ..errors import NoQuorum, NotLeader, OutcomeUnknown, Overloaded, Unavailable

CROSS_SHARD = ErrorReply(
    "CROSSSLOT",
    "Keys in request don't hash to the same slot (database 0 is sharded here: use one {tag}, or"
    " SELECT 1..15)",
)
CROSS_SLOT = ErrorReply("CROSSSLOT", "Keys in request don't hash to the same slot")
CROSS_TRANSACTION = ErrorReply(
    "CROSSSLOT", "Commands of a transaction must be on one shard: each database has one of its own"
)
NOT_SERVED = ErrorReply("CLUSTERDOWN", "Hash slot not served: no leader of its shard is known")
HALF_APPLIED = ErrorReply(
    "UNCERTAIN", "the write was applied on some shards and not on others, which did not answer"
)


def refusal(error: Unavailable) -> ErrorReply:
    """The answer to a command that surely was not applied."""
    match error:
        case NotLeader():
            return ErrorReply("CLUSTERDOWN", f"{error}; nothing was applied")
        case NoQuorum():
            return ErrorReply("CLUSTERDOWN", f"{error}; nothing was applied")
        case Overloaded(limit=limit):
            return ErrorReply("OVERLOADED", f"{limit} is reached; nothing was applied, try later")
        case _:
            return ErrorReply("CLUSTERDOWN", f"{error}; nothing was applied")


def uncertain(error: OutcomeUnknown, *, is_write: bool) -> ErrorReply:
    """The answer when the fate of a request is not known. A read in it changed nothing."""
    if not is_write:
        return ErrorReply("CLUSTERDOWN", f"the read was not answered: {error}")
    return ErrorReply("UNCERTAIN", f"the write may or may not have been applied ({error})")
