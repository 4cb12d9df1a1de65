"""Prose of the command table, for COMMAND INFO and COMMAND DOCS: what people and tools look at."""

from __future__ import annotations

from ..proto.reply import MapReply, Reply, SetReply, Status
from .commands import COMMANDS, Command
from .doc import Doc
from .key_specs import key_specs
from .server_docs import SERVER_DOCS

_GENERIC, _STRING, _CONNECTION = "generic", "string", "connection"
_SERVER, _CLUSTER, _TRANSACTIONS = "server", "cluster", "transactions"
_N_QUEUED = "O(N) where N is the number of commands queued"
_N_KEYS = "O(N) where N is the number of keys named"
_N_DB = "O(N) where N is the number of keys in the database"
_N_NODES = "O(N) where N is the number of nodes"
_N_CLIENTS = "O(N) where N is the number of connections"
_N_COMMANDS = "O(N) where N is the number of commands"
_SUB = "That of its subcommand"
_REFUSED = "Changes nothing: slots and members are not changed by it. Says what there is instead."

DOCS: dict[bytes, Doc] = {
    b"APPEND": Doc(
        _STRING,
        "2.0.0",
        "O(1) amortized for short values",
        "Adds to the end of a string, which is made if it is not there.",
    ),
    b"DECR": Doc(
        _STRING, "1.0.0", "O(1)", "Takes one from the integer at a key; an absent one counts as 0."
    ),
    b"DECRBY": Doc(
        _STRING,
        "1.0.0",
        "O(1)",
        "Takes a number from the integer at a key; an absent one counts as 0.",
    ),
    b"GET": Doc(_STRING, "1.0.0", "O(1)", "Answers the string at a key."),
    b"GETDEL": Doc(_STRING, "6.2.0", "O(1)", "Answers the string at a key, and removes the key."),
    b"GETEX": Doc(
        _STRING, "6.2.0", "O(1)", "Answers the string at a key, and changes when the key expires."
    ),
    b"GETRANGE": Doc(
        _STRING,
        "2.4.0",
        "O(N) where N is the length of the piece",
        "Answers a piece of the string at a key.",
    ),
    b"GETSET": Doc(
        _STRING,
        "1.0.0",
        "O(1)",
        "Sets the string at a key and answers the old one.",
        deprecated_since="6.2.0",
        replaced_by="`SET` with the `!GET` argument",
    ),
    b"INCR": Doc(
        _STRING, "1.0.0", "O(1)", "Adds one to the integer at a key; an absent one counts as 0."
    ),
    b"INCRBY": Doc(
        _STRING,
        "1.0.0",
        "O(1)",
        "Adds a number to the integer at a key; an absent one counts as 0.",
    ),
    b"INCRBYFLOAT": Doc(
        _STRING,
        "2.6.0",
        "O(1)",
        "Adds a decimal number to the one at a key; an absent one counts as 0.",
    ),
    b"LCS": Doc(
        _STRING,
        "7.0.0",
        "O(N*M) where N and M are the lengths of the strings",
        "Finds the longest common subsequence of two strings.",
    ),
    b"MGET": Doc(_STRING, "1.0.0", _N_KEYS, "Answers the strings at several keys, in order."),
    b"MSET": Doc(
        _STRING, "1.0.1", _N_KEYS, "Sets several keys at once; all must live in one shard."
    ),
    b"MSETNX": Doc(
        _STRING,
        "1.0.1",
        _N_KEYS,
        "Sets several keys at once if none of them is there; all must live in one shard.",
    ),
    b"PSETEX": Doc(
        _STRING, "2.6.0", "O(1)", "Sets the string at a key, which expires after milliseconds."
    ),
    b"SET": Doc(
        _STRING,
        "1.0.0",
        "O(1)",
        "Sets the string at a key, on conditions and with an expiry if asked.",
    ),
    b"SETEX": Doc(
        _STRING, "2.0.0", "O(1)", "Sets the string at a key, which expires after some seconds."
    ),
    b"SETNX": Doc(_STRING, "1.0.0", "O(1)", "Sets the string at a key if it is not there."),
    b"SETRANGE": Doc(
        _STRING,
        "2.2.0",
        "O(N) where N is the length of the string",
        "Writes over a piece of the string at a key.",
    ),
    b"STRLEN": Doc(_STRING, "2.2.0", "O(1)", "Answers the length of the string at a key."),
    b"SUBSTR": Doc(
        _STRING,
        "1.0.0",
        "O(N) where N is the length of the piece",
        "The old name of GETRANGE.",
        deprecated_since="2.0.0",
        replaced_by="`GETRANGE`",
    ),
    b"COPY": Doc(
        _GENERIC,
        "6.2.0",
        "O(N) where N is the number of elements",
        "Copies the value and the expiry of a key to another one.",
    ),
    b"DBSIZE": Doc(_SERVER, "1.0.0", "O(1) per shard", "Counts the keys of the database."),
    b"DEL": Doc(_GENERIC, "1.0.0", _N_KEYS, "Removes keys and counts those that were there."),
    b"EXISTS": Doc(_GENERIC, "1.0.0", _N_KEYS, "Counts how many of the keys named are there."),
    b"EXPIRE": Doc(_GENERIC, "1.0.0", "O(1)", "Lets a key expire after some seconds."),
    b"EXPIREAT": Doc(_GENERIC, "1.2.0", "O(1)", "Lets a key expire at a Unix time in seconds."),
    b"EXPIRETIME": Doc(
        _GENERIC, "7.0.0", "O(1)", "Answers when a key expires, as a Unix time in seconds."
    ),
    b"FLUSHALL": Doc(_SERVER, "1.0.0", _N_DB, "Removes all keys of all databases, shard by shard."),
    b"FLUSHDB": Doc(_SERVER, "1.0.0", _N_DB, "Removes all keys of the database, shard by shard."),
    b"KEYS": Doc(_GENERIC, "1.0.0", _N_DB, "Answers every key that matches a pattern."),
    b"MOVE": Doc(
        _GENERIC, "1.0.0", "O(1)", "Moves a key to another database, if both live in one shard."
    ),
    b"OBJECT": Doc(_GENERIC, "2.2.3", _SUB, "Commands about how values are kept."),
    b"OBJECT|ENCODING": Doc(_GENERIC, "2.2.3", "O(1)", "Answers how the value of a key is kept."),
    b"OBJECT|FREQ": Doc(_GENERIC, "4.0.0", "O(1)", "Refused: how often keys are used is not kept."),
    b"OBJECT|HELP": Doc(_GENERIC, "6.2.0", "O(1)", "Answers what OBJECT understands."),
    b"OBJECT|IDLETIME": Doc(
        _GENERIC, "2.2.3", "O(1)", "Refused: how recently keys were used is not kept."
    ),
    b"OBJECT|REFCOUNT": Doc(
        _GENERIC, "2.2.3", "O(1)", "Answers how often the value of a key is referred to."
    ),
    b"PERSIST": Doc(_GENERIC, "2.2.0", "O(1)", "Takes the expiry from a key."),
    b"PEXPIRE": Doc(_GENERIC, "2.6.0", "O(1)", "Lets a key expire after some milliseconds."),
    b"PEXPIREAT": Doc(
        _GENERIC, "2.6.0", "O(1)", "Lets a key expire at a Unix time in milliseconds."
    ),
    b"PEXPIRETIME": Doc(
        _GENERIC, "7.0.0", "O(1)", "Answers when a key expires, as a Unix time in milliseconds."
    ),
    b"PTTL": Doc(_GENERIC, "2.6.0", "O(1)", "Answers how many milliseconds a key has left."),
    b"RANDOMKEY": Doc(_GENERIC, "1.0.0", "O(number of slots)", "Answers some key of the database."),
    b"RENAME": Doc(
        _GENERIC, "1.0.0", "O(1)", "Gives a key another name; what has that name makes room."
    ),
    b"RENAMENX": Doc(
        _GENERIC, "1.0.0", "O(1)", "Gives a key another name, if nothing has that name."
    ),
    b"SCAN": Doc(
        _GENERIC,
        "2.8.0",
        "O(1) a call for what it answers, O(N) for all",
        "Walks the keys of the database, a page per call.",
    ),
    b"TOUCH": Doc(_GENERIC, "3.2.1", _N_KEYS, "Counts how many of the keys named are there."),
    b"TTL": Doc(_GENERIC, "1.0.0", "O(1)", "Answers how many seconds a key has left."),
    b"TYPE": Doc(_GENERIC, "1.0.0", "O(1)", "Answers what type of value a key holds."),
    b"UNLINK": Doc(_GENERIC, "4.0.0", _N_KEYS, "Removes keys and counts those that were there."),
    b"ASKING": Doc(
        _CLUSTER, "3.0.0", "O(1)", "Accepted for clients that follow an ASK redirection."
    ),
    b"AUTH": Doc(_CONNECTION, "1.0.0", "O(1)", "Says who the client is."),
    b"CLIENT": Doc(_CONNECTION, "2.4.0", _SUB, "Commands about connections."),
    b"CLIENT|GETNAME": Doc(_CONNECTION, "2.6.9", "O(1)", "Answers the name of the connection."),
    b"CLIENT|GETREDIR": Doc(
        _CONNECTION,
        "6.0.0",
        "O(1)",
        "Answers where invalidations go: nowhere, they are not tracked.",
    ),
    b"CLIENT|HELP": Doc(_CONNECTION, "5.0.0", "O(1)", "Answers what CLIENT understands."),
    b"CLIENT|ID": Doc(_CONNECTION, "5.0.0", "O(1)", "Answers the number of the connection."),
    b"CLIENT|INFO": Doc(_CONNECTION, "6.2.0", "O(1)", "Describes the connection."),
    b"CLIENT|KILL": Doc(_CONNECTION, "2.4.0", _N_CLIENTS, "Ends connections of this node."),
    b"CLIENT|LIST": Doc(
        _CONNECTION, "2.4.0", _N_CLIENTS, "Describes the connections of this node."
    ),
    b"CLIENT|NO-EVICT": Doc(
        _CONNECTION, "7.0.0", "O(1)", "Accepted; connections are not evicted for memory."
    ),
    b"CLIENT|NO-TOUCH": Doc(
        _CONNECTION, "7.2.0", "O(1)", "Accepted; reads do not change how recently a key was used."
    ),
    b"CLIENT|PAUSE": Doc(
        _CONNECTION, "3.0.0", "O(1)", "Lets the clients of this node wait for a while."
    ),
    b"CLIENT|REPLY": Doc(
        _CONNECTION, "3.2.0", "O(1)", "Switches the connection's replies off and on."
    ),
    b"CLIENT|SETINFO": Doc(_CONNECTION, "7.2.0", "O(1)", "Says which library the client uses."),
    b"CLIENT|SETNAME": Doc(_CONNECTION, "2.6.9", "O(1)", "Names the connection."),
    b"CLIENT|UNPAUSE": Doc(_CONNECTION, "6.2.0", _N_CLIENTS, "Lets the clients go on."),
    b"DISCARD": Doc(_TRANSACTIONS, "2.0.0", _N_QUEUED, "Forgets what was queued since MULTI."),
    b"ECHO": Doc(_CONNECTION, "1.0.0", "O(1)", "Answers its argument."),
    b"EXEC": Doc(
        _TRANSACTIONS,
        "1.2.0",
        "That of the commands queued",
        "Carries out what was queued since MULTI, with nothing between.",
    ),
    b"HELLO": Doc(
        _CONNECTION,
        "6.0.0",
        "O(1)",
        "Chooses the protocol, authenticates, and describes the server.",
    ),
    b"MONITOR": Doc(_SERVER, "1.0.0", "O(1)", "Shows what the clients of this node ask."),
    b"MULTI": Doc(_TRANSACTIONS, "1.2.0", "O(1)", "Begins to queue commands for EXEC."),
    b"PING": Doc(_CONNECTION, "1.0.0", "O(1)", "Answers PONG, or its argument."),
    b"QUIT": Doc(_CONNECTION, "1.0.0", "O(1)", "Closes the connection."),
    b"READONLY": Doc(
        _CLUSTER,
        "3.0.0",
        "O(1)",
        "Accepted for cluster clients; every node serves linearizable reads.",
    ),
    b"READWRITE": Doc(_CLUSTER, "3.0.0", "O(1)", "Takes READONLY back."),
    b"RESET": Doc(
        _CONNECTION, "6.2.0", "O(1)", "Makes the connection as it was when it was opened."
    ),
    b"SELECT": Doc(_CONNECTION, "1.0.0", "O(1)", "Chooses the database of the connection."),
    b"WAIT": Doc(
        _GENERIC,
        "3.0.0",
        "O(1)",
        "Answers on how many other replicas the connection's writes are at least.",
    ),
    b"WAITAOF": Doc(
        _GENERIC,
        "7.2.0",
        "O(1)",
        "Answers where the connection's writes are on disk: here, and on how many other replicas.",
    ),
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
    b"COMMAND": Doc(_SERVER, "2.8.13", _N_COMMANDS, "Describes all commands."),
    b"COMMAND|COUNT": Doc(_SERVER, "2.8.13", "O(1)", "Counts the commands there are."),
    b"COMMAND|DOCS": Doc(_SERVER, "7.0.0", _N_COMMANDS, "Answers prose about commands."),
    b"COMMAND|GETKEYS": Doc(
        _SERVER,
        "2.8.13",
        "O(N) where N is the number of arguments",
        "Answers which arguments of a command are keys.",
    ),
    b"COMMAND|HELP": Doc(_SERVER, "5.0.0", "O(1)", "Answers what COMMAND understands."),
    b"COMMAND|INFO": Doc(_SERVER, "2.8.13", _N_COMMANDS, "Describes the commands named."),
    b"COMMAND|LIST": Doc(_SERVER, "7.0.0", _N_COMMANDS, "Answers the names of commands."),
    b"CONFIG": Doc(_SERVER, "2.0.0", _SUB, "Commands about the configuration."),
    b"CONFIG|GET": Doc(
        _SERVER,
        "2.0.0",
        "O(N) where N is the number of parameters",
        "Answers the parameters that match.",
    ),
    b"CONFIG|HELP": Doc(_SERVER, "5.0.0", "O(1)", "Answers what CONFIG understands."),
    b"CONFIG|RESETSTAT": Doc(_SERVER, "2.0.0", "O(1)", "Begins the statistics anew."),
    b"CONFIG|REWRITE": Doc(
        _SERVER, "2.8.0", "O(1)", "Says whether what was changed outlasts a restart."
    ),
    b"CONFIG|SET": Doc(
        _SERVER,
        "2.0.0",
        "O(N) where N is the number of parameters",
        "Changes what can be changed while running.",
    ),
    b"INFO": Doc(_SERVER, "1.0.0", "O(1)", "Describes the server in sections."),
    b"TIME": Doc(_SERVER, "2.6.0", "O(1)", "Answers the time of this node."),
    **SERVER_DOCS,
}


def info_of(row: Command) -> Reply:
    """What COMMAND and COMMAND INFO answer for one command."""
    return [
        row.display_name.encode(),
        row.arity,
        SetReply(tuple(map(Status, row.flag_names))),
        row.keys.first,
        row.keys.last,
        row.keys.step,
        SetReply(tuple(Status(f"@{name}") for name in row.acl_categories)),
        SetReply(tuple(tip.encode() for tip in row.tips)),
        key_specs(row),
        [info_of(one) for one in row.subcommands] or SetReply(()),
    ]


def docs_of(row: Command) -> MapReply:
    """What COMMAND DOCS answers for one command, beside its name."""
    doc = DOCS[row.name]
    pairs: list[tuple[bytes, Reply]] = [
        (b"summary", doc.summary.encode()),
        (b"since", doc.since.encode()),
        (b"group", doc.group.encode()),
        (b"complexity", doc.complexity.encode()),
    ]
    if doc.deprecated_since:
        pairs += [
            (b"doc_flags", SetReply((Status("deprecated"),))),
            (b"deprecated_since", doc.deprecated_since.encode()),
            (b"replaced_by", doc.replaced_by.encode()),
        ]
    if row.subcommands:
        subcommands = tuple((one.display_name.encode(), docs_of(one)) for one in row.subcommands)
        pairs.append((b"subcommands", MapReply(subcommands)))
    return MapReply(tuple(pairs))


def all_docs() -> MapReply:
    """What COMMAND DOCS answers when no command is named."""
    return MapReply(tuple((row.display_name.encode(), docs_of(row)) for row in COMMANDS.values()))
