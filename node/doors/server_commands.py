"""TIME and ROLE, and what is done in other ways here: replication by hand, SWAPDB, modules.

A refusal names the way there is. Clients and tools that try must not go on as if it had worked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...cluster.slots import DATABASES
from ..commands.arguments import c_int_argument
from ..errors import CommandError
from .subcommands import LocalHandler, Subcommands

if TYPE_CHECKING:
    from ...proto.reply import Reply
    from ..request import Args
    from .client import Client


def time_(client: Client, args: Args) -> Reply:
    seconds, micros = divmod(client.door.router.wall_us(), 1_000_000)
    return [b"%d" % seconds, b"%d" % micros]


def role(client: Client, args: Args) -> Reply:
    """As INFO has it: every node is a master, and followers are not shown (correctness D5)."""
    return [b"master", client.door.facts.applied_total(), []]


def _refusing(text: str) -> LocalHandler:
    def refuse(client: Client, args: Args) -> Reply:
        raise CommandError(text)

    return refuse


_FOUNDED = (
    "every shard replicates by itself: which nodes hold it is agreed on when the cluster is founded"
    " (trimaran up --nodes N, or trimaran node --founders ...); see trimaran status"
)

replicaof = _refusing(f"REPLICAOF is not supported: {_FOUNDED}")
slaveof = _refusing(f"SLAVEOF is not supported: {_FOUNDED}")
failover = _refusing(
    "FAILOVER is not supported: a shard elects another leader when its node stops (SHUTDOWN hands"
    " over first); who leads shows trimaran status"
)
_STREAM = (
    "nodes replicate by Raft over gRPC and speak no Redis replication; their list is given to"
    " trimaran node --founders ..., and a copy of the data is had with SCAN"
)
psync = _refusing(f"PSYNC is not supported: {_STREAM}")
sync = _refusing(f"SYNC is not supported: {_STREAM}")
replconf = _refusing(f"REPLCONF is not supported: {_STREAM}")


def swapdb(client: Client, args: Args) -> Reply:
    for word, which in ((args[1], "first"), (args[2], "second")):
        try:
            c_int_argument(word)
        except CommandError:
            raise CommandError(f"invalid {which} DB index") from None
    if not all(0 <= int(word) < DATABASES for word in args[1:]):
        raise CommandError("DB index is out of range")
    raise CommandError(
        "SWAPDB is not supported: databases live on different shards, and no command changes two"
        " shards at once; SELECT the other one instead"
    )


_MODULES = "modules cannot be loaded: a node runs only the commands that COMMAND LIST names"


def _no_modules(client: Client, args: Args) -> Reply:
    return []


MODULE = Subcommands(
    b"MODULE",
    {
        b"LIST": _no_modules,
        b"LOAD": _refusing(_MODULES),
        b"LOADEX": _refusing(_MODULES),
        b"UNLOAD": _refusing(_MODULES),
    },
    (
        "LIST",
        "    Return the modules that are loaded: none.",
        "LOAD <path> [<arg> ...]",
        "    Refused: a node takes no modules.",
        "LOADEX <path> [[CONFIG NAME VALUE] ...] [ARGS ...]",
        "    Refused.",
        "UNLOAD <name>",
        "    Refused.",
    ),
)
