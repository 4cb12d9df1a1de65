"""The page of all commands, made from the table: docs/commands.md.

`python -m trimaran.cluster.commands_page` prints it; a test holds the file to it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from .command import LOCAL, LOGGED, READ, WRITE, Command, Spread
from .command_docs import DOCS
from .commands import COMMANDS

# What Redis 7 has and this does not, and why. A test compares both with a real server.
REFUSED: dict[str, str] = {
    "CLIENT CACHING": "Belongs to CLIENT TRACKING.",
    "CLIENT TRACKING": (
        "A server that is to tell clients what changed would have to remember what each has read;"
        " keyspace notifications tell of changes in the whole cluster."
    ),
    "CLIENT TRACKINGINFO": "Belongs to CLIENT TRACKING.",
}
# Rows that only say what there is instead: nothing of it is done here.
_SAID_INSTEAD: dict[str, str] = {
    "ACL DELUSER": "There is one user.",
    "ACL LOAD": "There is one user, and no file of users.",
    "ACL SAVE": "There is one user, and no file of users.",
    "ACL SETUSER": "There is one user.",
    "FAILOVER": "Shards elect their leaders by themselves.",
    "MIGRATE": "Take DUMP and RESTORE: a key is moved by its client.",
    "MODULE LOAD": "There are no modules.",
    "MODULE LOADEX": "There are no modules.",
    "MODULE UNLOAD": "There are no modules.",
    "PSYNC": "Replicas are the cluster's own.",
    "REPLICAOF": "Replicas are the cluster's own.",
    "SLAVEOF": "Replicas are the cluster's own.",
    "SWAPDB": "Databases live on different shards.",
    "SYNC": "Replicas are the cluster's own.",
}
_CLUSTER_REFUSED = (
    "ADDSLOTS", "ADDSLOTSRANGE", "BUMPEPOCH", "DELSLOTS", "DELSLOTSRANGE", "FAILOVER", "FLUSHSLOTS",
    "FORGET", "MEET", "REPLICATE", "RESET", "SET-CONFIG-EPOCH", "SETSLOT",
)  # fmt: skip
_SPREADS = {
    Spread.LOCAL: "the node that is asked",
    Spread.ONE_SHARD: "one shard",
    Spread.SPLIT_KEYS: "each key's shard",
    Spread.ALL_SHARDS: "all shards",
    Spread.EVERYWHERE: "all shards",
    Spread.BY_CURSOR: "shard by shard",
    Spread.NAMES_DB: "one shard",
}
_HEAD = """# Commands

Every command of the table, as COMMAND DOCS tells it. This page is made from the table
(`python -m trimaran.cluster.commands_page`). What differs from Redis in detail stands in
[compatibility](compatibility.md).

*Where* says who carries it out: in databases 1 to 15 all keys are in one shard; in database 0 a
command of one shard needs keys of one `{tag}` if it has several. A write is in the log of a
majority when it is answered, a read is linearizable.
"""


def page() -> str:
    """All of it, as Markdown."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield _HEAD
    groups: dict[str, list[Command]] = {}
    for row in COMMANDS.values():
        for one in (row, *row.subcommands):
            if not one.subcommands:
                groups.setdefault(DOCS[one.name].group, []).append(one)
    for group in sorted(groups):
        yield f"## {group.replace('-', ' ').capitalize()}"
        yield ""
        yield "| command | since | kind | where | |"
        yield "| --- | --- | --- | --- | --- |"
        for row in sorted(groups[group], key=lambda one: one.name):
            yield _line(row)
        yield ""
    yield "## Not there"
    yield ""
    yield "| command | why |"
    yield "| --- | --- |"
    for name, why in sorted(REFUSED.items()):
        yield f"| {name} | {why} |"


def _line(row: Command) -> str:
    doc = DOCS[row.name]
    name = row.name.decode().replace("|", " ")
    kind = "write" if row.flags & (WRITE | LOGGED) else "read" if row.flags & READ else ""
    where = _SPREADS[row.spread] if row.spread is not LOCAL or not kind else "refused"
    why = _why_refused(name)
    if why is not None:
        kind, where = "", "refused"
    text = why or doc.summary
    if doc.deprecated_since:
        text += f" Deprecated since {doc.deprecated_since}: {doc.replaced_by.replace('!', '')}."
    return f"| {name} | {doc.since} | {kind} | {where} | {text} |"


def _why_refused(name: str) -> str | None:
    container, _, word = name.partition(" ")
    if container == "CLUSTER" and word in _CLUSTER_REFUSED:
        return "Slots and members are not changed by clients."
    return _SAID_INSTEAD.get(name)


if __name__ == "__main__":
    sys.stdout.write(page())
