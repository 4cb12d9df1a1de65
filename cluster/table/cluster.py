"""Rows of the command table: the cluster."""

from __future__ import annotations

from ..command import (
    ADMIN,
    CLUSTER_ADMIN,
    CONNECTION,
    FAST,
    LOADING,
    LOCAL,
    NO_KEYS,
    NOSCRIPT,
    OTHER,
    STALE,
    VARIES,
    Command,
)
from ..doc import Doc

# fmt: off
ROWS = (
    #       name             arity  flags                 keys     category  spread      tips
    Command(b"ASKING",           1, FAST,                 NO_KEYS, CONNECTION, LOCAL),
    Command(b"READONLY",         1, LOADING | STALE | FAST, NO_KEYS, CONNECTION, LOCAL),
    Command(b"READWRITE",        1, LOADING | STALE | FAST, NO_KEYS, CONNECTION, LOCAL),
    Command(b"CLUSTER",         -2, 0,                    NO_KEYS, OTHER,      LOCAL, (), (
        Command(b"CLUSTER|ADDSLOTS", -3, CLUSTER_ADMIN,  NO_KEYS, OTHER,      LOCAL),
        Command(b"CLUSTER|ADDSLOTSRANGE", -4, CLUSTER_ADMIN, NO_KEYS, OTHER,  LOCAL),
        Command(b"CLUSTER|BUMPEPOCH", 2, CLUSTER_ADMIN,  NO_KEYS, OTHER,      LOCAL, VARIES),
        Command(b"CLUSTER|COUNT-FAILURE-REPORTS", 3, ADMIN | STALE, NO_KEYS, OTHER, LOCAL, VARIES),
        Command(b"CLUSTER|COUNTKEYSINSLOT", 3, STALE,     NO_KEYS, OTHER,      LOCAL),
        Command(b"CLUSTER|DELSLOTS", -3, CLUSTER_ADMIN,  NO_KEYS, OTHER,      LOCAL),
        Command(b"CLUSTER|DELSLOTSRANGE", -4, CLUSTER_ADMIN, NO_KEYS, OTHER,  LOCAL),
        Command(b"CLUSTER|FAILOVER", -2, CLUSTER_ADMIN,  NO_KEYS, OTHER,      LOCAL),
        Command(b"CLUSTER|FLUSHSLOTS", 2, CLUSTER_ADMIN, NO_KEYS, OTHER,      LOCAL),
        Command(b"CLUSTER|FORGET",   3, CLUSTER_ADMIN,   NO_KEYS, OTHER,      LOCAL),
        Command(b"CLUSTER|GETKEYSINSLOT", 4, STALE,       NO_KEYS, OTHER,      LOCAL, VARIES),
        Command(b"CLUSTER|HELP",     2, LOADING | STALE,  NO_KEYS, OTHER,      LOCAL),
        Command(b"CLUSTER|INFO",     2, STALE,            NO_KEYS, OTHER,      LOCAL, VARIES),
        Command(b"CLUSTER|KEYSLOT",  3, STALE,            NO_KEYS, OTHER,      LOCAL),
        Command(b"CLUSTER|LINKS",    2, STALE,            NO_KEYS, OTHER,      LOCAL, VARIES),
        Command(b"CLUSTER|MEET",    -4, CLUSTER_ADMIN,   NO_KEYS, OTHER,      LOCAL),
        Command(b"CLUSTER|MYID",     2, STALE,            NO_KEYS, OTHER,      LOCAL),
        Command(b"CLUSTER|MYSHARDID", 2, STALE,           NO_KEYS, OTHER,      LOCAL, VARIES),
        Command(b"CLUSTER|NODES",    2, STALE,            NO_KEYS, OTHER,      LOCAL, VARIES),
        Command(b"CLUSTER|REPLICAS", 3, ADMIN | STALE,    NO_KEYS, OTHER,      LOCAL, VARIES),
        Command(b"CLUSTER|REPLICATE", 3, CLUSTER_ADMIN,  NO_KEYS, OTHER,      LOCAL),
        Command(b"CLUSTER|RESET",   -2, ADMIN | STALE | NOSCRIPT, NO_KEYS, OTHER, LOCAL),
        Command(b"CLUSTER|SAVECONFIG", 2, CLUSTER_ADMIN, NO_KEYS, OTHER,      LOCAL),
        Command(b"CLUSTER|SET-CONFIG-EPOCH", 3, CLUSTER_ADMIN, NO_KEYS, OTHER, LOCAL),
        Command(b"CLUSTER|SETSLOT", -4, CLUSTER_ADMIN,   NO_KEYS, OTHER,      LOCAL),
        Command(b"CLUSTER|SHARDS",   2, STALE,            NO_KEYS, OTHER,      LOCAL, VARIES),
        Command(b"CLUSTER|SLAVES",   3, ADMIN | STALE,    NO_KEYS, OTHER,      LOCAL, VARIES),
        Command(b"CLUSTER|SLOTS",    2, STALE,            NO_KEYS, OTHER,      LOCAL, VARIES),
    )),
)
# fmt: on

_CLUSTER = "cluster"
_N_NODES = "O(N) where N is the number of nodes"
_SUB = "That of its subcommand"
_REFUSED = "Changes nothing: slots and members are not changed by it. Says what there is instead."

DOCS: dict[bytes, Doc] = {
    b"ASKING": Doc(
        _CLUSTER, "3.0.0", "O(1)", "Accepted for clients that follow an ASK redirection."
    ),
    b"READONLY": Doc(
        _CLUSTER,
        "3.0.0",
        "O(1)",
        "Accepted for cluster clients; every node serves linearizable reads.",
    ),
    b"READWRITE": Doc(_CLUSTER, "3.0.0", "O(1)", "Takes READONLY back."),
    b"CLUSTER": Doc(_CLUSTER, "3.0.0", _SUB, "Commands about the cluster."),
    b"CLUSTER|ADDSLOTS": Doc(_CLUSTER, "3.0.0", "O(1)", _REFUSED),
    b"CLUSTER|ADDSLOTSRANGE": Doc(_CLUSTER, "7.0.0", "O(1)", _REFUSED),
    b"CLUSTER|BUMPEPOCH": Doc(_CLUSTER, "3.0.0", "O(1)", _REFUSED),
    b"CLUSTER|COUNT-FAILURE-REPORTS": Doc(
        _CLUSTER, "3.0.0", _N_NODES, "Answers 0: nodes do not report each other."
    ),
    b"CLUSTER|COUNTKEYSINSLOT": Doc(_CLUSTER, "3.0.0", "O(1)", "Counts the keys in a slot."),
    b"CLUSTER|DELSLOTS": Doc(_CLUSTER, "3.0.0", "O(1)", _REFUSED),
    b"CLUSTER|DELSLOTSRANGE": Doc(_CLUSTER, "7.0.0", "O(1)", _REFUSED),
    b"CLUSTER|FAILOVER": Doc(_CLUSTER, "3.0.0", "O(1)", _REFUSED),
    b"CLUSTER|FLUSHSLOTS": Doc(_CLUSTER, "3.0.0", "O(1)", _REFUSED),
    b"CLUSTER|FORGET": Doc(_CLUSTER, "3.0.0", "O(1)", _REFUSED),
    b"CLUSTER|GETKEYSINSLOT": Doc(
        _CLUSTER,
        "3.0.0",
        "O(N) where N is the number of keys asked for",
        "Answers some keys of a slot.",
    ),
    b"CLUSTER|HELP": Doc(_CLUSTER, "5.0.0", "O(1)", "Answers what CLUSTER understands."),
    b"CLUSTER|INFO": Doc(_CLUSTER, "3.0.0", "O(1)", "Describes the state of the cluster."),
    b"CLUSTER|KEYSLOT": Doc(
        _CLUSTER, "3.0.0", "O(N) where N is the length of the key", "Answers the slot of a key."
    ),
    b"CLUSTER|LINKS": Doc(
        _CLUSTER, "7.0.0", _N_NODES, "Describes the links of this node to those in reach."
    ),
    b"CLUSTER|MEET": Doc(_CLUSTER, "3.0.0", "O(1)", _REFUSED),
    b"CLUSTER|MYID": Doc(_CLUSTER, "3.0.0", "O(1)", "Answers the id of this node."),
    b"CLUSTER|MYSHARDID": Doc(
        _CLUSTER, "7.2.0", "O(1)", "Answers the id of the shard this node is to cluster clients."
    ),
    b"CLUSTER|NODES": Doc(_CLUSTER, "3.0.0", _N_NODES, "Describes all nodes, a line each."),
    b"CLUSTER|REPLICAS": Doc(
        _CLUSTER, "5.0.0", _N_NODES, "Answers nothing: every node is shown as a master."
    ),
    b"CLUSTER|REPLICATE": Doc(_CLUSTER, "3.0.0", "O(1)", _REFUSED),
    b"CLUSTER|RESET": Doc(_CLUSTER, "3.0.0", "O(1)", _REFUSED),
    b"CLUSTER|SAVECONFIG": Doc(_CLUSTER, "3.0.0", "O(1)", _REFUSED),
    b"CLUSTER|SET-CONFIG-EPOCH": Doc(_CLUSTER, "3.0.0", "O(1)", _REFUSED),
    b"CLUSTER|SETSLOT": Doc(_CLUSTER, "3.0.0", "O(1)", _REFUSED),
    b"CLUSTER|SHARDS": Doc(_CLUSTER, "7.0.0", _N_NODES, "Answers which node serves which slots."),
    b"CLUSTER|SLAVES": Doc(_CLUSTER, "3.0.0", _N_NODES, "The old name of CLUSTER REPLICAS."),
    b"CLUSTER|SLOTS": Doc(
        _CLUSTER, "3.0.0", _N_NODES, "Answers which node serves which slots, as ranges."
    ),
}

ARGUMENTS: dict[bytes, str] = {
    b"CLUSTER|ADDSLOTS": "slot:integer...",
    b"CLUSTER|ADDSLOTSRANGE": "start-slot_end-slot{start-slot:integer end-slot:integer}...",
    b"CLUSTER|COUNT-FAILURE-REPORTS": "node-id",
    b"CLUSTER|COUNTKEYSINSLOT": "slot:integer",
    b"CLUSTER|DELSLOTS": "slot:integer...",
    b"CLUSTER|DELSLOTSRANGE": "start-slot_end-slot{start-slot:integer end-slot:integer}...",
    b"CLUSTER|FAILOVER": "[options(FORCE|TAKEOVER)]",
    b"CLUSTER|FORGET": "node-id",
    b"CLUSTER|GETKEYSINSLOT": "slot:integer count:integer",
    b"CLUSTER|KEYSLOT": "key:string",
    b"CLUSTER|MEET": "ip port:integer [cluster_bus_port:integer]",
    b"CLUSTER|REPLICAS": "node-id",
    b"CLUSTER|REPLICATE": "node-id",
    b"CLUSTER|RESET": "[hard_soft(HARD|SOFT)]",
    b"CLUSTER|SET-CONFIG-EPOCH": "config-epoch:integer",
    b"CLUSTER|SETSLOT": (
        "slot:integer subcommand(IMPORTING node-id|MIGRATING node-id|NODE node-id|STABLE)"
    ),
    b"CLUSTER|SLAVES": "node-id",
}
