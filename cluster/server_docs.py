"""Prose of the command table for the commands about the server (`command_docs.py` has the rest)."""

from __future__ import annotations

from .doc import Doc

_CONSTANT = "O(1)"
_N_KEYS = "O(N) where N is the number of keys on this node"
_N_COMMANDS = "O(N) where N is the number of commands"
_N_SAMPLES = "O(N) where N is the number of samples"
_N_KEPT = "O(N) where N is the number of commands asked for"
_SUB = "That of its subcommand"
_NOT_BY_HAND = "Refused: shards replicate by themselves. Says what there is instead."


def _doc(since: str, summary: str, complexity: str = _CONSTANT) -> Doc:
    return Doc("server", since, complexity, summary)


def _old(since: str, summary: str, deprecated_since: str, replaced_by: str) -> Doc:
    return Doc("server", since, _CONSTANT, summary, deprecated_since, replaced_by)


SERVER_DOCS: dict[bytes, Doc] = {
    b"ACL": _doc("6.0.0", "Commands about users; there is one.", _SUB),
    b"ACL|CAT": _doc("6.0.0", "Answers categories of commands, or those of one.", _N_COMMANDS),
    b"ACL|DELUSER": _doc("6.0.0", "Removes users, if there were any but the default one."),
    b"ACL|DRYRUN": _doc("7.0.0", "Says whether a user may run a command."),
    b"ACL|GENPASS": _doc("6.0.0", "Answers a random password."),
    b"ACL|GETUSER": _doc("6.0.0", "Answers what a user may do."),
    b"ACL|HELP": _doc("6.0.0", "Answers what ACL understands."),
    b"ACL|LIST": _doc("6.0.0", "Answers the users and their rules."),
    b"ACL|LOAD": _doc("6.0.0", "Refused: there is no file of users."),
    b"ACL|LOG": _doc("6.0.0", "Answers what was refused lately."),
    b"ACL|SAVE": _doc("6.0.0", "Refused: there is no file of users."),
    b"ACL|SETUSER": _doc("6.0.0", "Refused: users cannot be changed."),
    b"ACL|USERS": _doc("6.0.0", "Answers the names of the users."),
    b"ACL|WHOAMI": _doc("6.0.0", "Answers the user of the connection."),
    b"BGREWRITEAOF": _doc("1.0.0", "Begins a snapshot of every replica on this node.", _N_KEYS),
    b"BGSAVE": _doc("1.0.0", "Begins a snapshot of every replica on this node.", _N_KEYS),
    b"COMMAND|GETKEYSANDFLAGS": _doc(
        "7.0.0",
        "Answers which arguments of a command are keys and what it does with them.",
        "O(N) where N is the number of arguments",
    ),
    b"DEBUG": _doc("1.0.0", "Commands for those who test.", _SUB),
    b"DEBUG|DIGEST-VALUE": _doc(
        "5.0.0", "Answers digests of values, equal to Redis's.", "O(N) where N is their size"
    ),
    b"DEBUG|HELP": _doc("5.0.0", "Answers what DEBUG understands."),
    b"DEBUG|OBJECT": _doc("1.0.0", "Tells how the value of a key is kept."),
    b"DEBUG|SET-ACTIVE-EXPIRE": _doc("3.0.0", "Switches expiry on this node off and on."),
    b"DEBUG|SLEEP": _doc("1.0.0", "Answers later; nobody else waits."),
    b"DEBUG|STRINGMATCH-LEN": _doc("7.0.0", "Says whether a pattern matches a string."),
    b"FAILOVER": _doc("6.2.0", "Refused: shards elect leaders by themselves."),
    b"LASTSAVE": _doc("1.0.0", "Answers when SAVE or BGSAVE ended last on this node."),
    b"LATENCY": _doc("2.8.13", "Commands about what was slow on this node.", _SUB),
    b"LATENCY|DOCTOR": _doc("2.8.13", "Says in words what was slow on this node.", _N_SAMPLES),
    b"LATENCY|GRAPH": _doc("2.8.13", "Draws the samples of an event.", _N_SAMPLES),
    b"LATENCY|HELP": _doc("2.8.13", "Answers what LATENCY understands."),
    b"LATENCY|HISTOGRAM": _doc("7.0.0", "Answers how long commands took.", _N_COMMANDS),
    b"LATENCY|HISTORY": _doc("2.8.13", "Answers the samples of an event.", _N_SAMPLES),
    b"LATENCY|LATEST": _doc("2.8.13", "Answers the last sample of every event."),
    b"LATENCY|RESET": _doc("2.8.13", "Forgets samples."),
    b"LOLWUT": _doc("5.0.0", "Draws a boat and answers the version."),
    b"MEMORY": _doc("4.0.0", "Commands about memory.", _SUB),
    b"MEMORY|DOCTOR": _doc("4.0.0", "Says in words what stands out about this node's memory."),
    b"MEMORY|HELP": _doc("4.0.0", "Answers what MEMORY understands."),
    b"MEMORY|MALLOC-STATS": _doc("4.0.0", "Answers what the allocator tells."),
    b"MEMORY|PURGE": _doc("4.0.0", "Accepted; the allocator has no such thing."),
    b"MEMORY|STATS": _doc("4.0.0", "Answers how much memory this node uses for what."),
    b"MEMORY|USAGE": _doc("4.0.0", "Answers the bytes that a key is counted with."),
    b"MODULE": _doc("4.0.0", "Commands about modules, of which there are none.", _SUB),
    b"MODULE|HELP": _doc("5.0.0", "Answers what MODULE understands."),
    b"MODULE|LIST": _doc("4.0.0", "Answers the modules that are loaded: none."),
    b"MODULE|LOAD": _doc("4.0.0", "Refused: a node takes no modules."),
    b"MODULE|LOADEX": _doc("7.0.0", "Refused: a node takes no modules."),
    b"MODULE|UNLOAD": _doc("4.0.0", "Refused: a node takes no modules."),
    b"PSYNC": _doc("2.8.0", _NOT_BY_HAND),
    b"REPLCONF": _doc("3.0.0", _NOT_BY_HAND),
    b"REPLICAOF": _doc("5.0.0", _NOT_BY_HAND),
    b"ROLE": _doc("2.8.12", "Answers that this node is a master."),
    b"SAVE": _doc("1.0.0", "Takes a snapshot of every replica on this node.", _N_KEYS),
    b"SHUTDOWN": _doc("1.0.0", "Hands over what this node leads, and stops it."),
    b"SLAVEOF": _old("1.0.0", _NOT_BY_HAND, "5.0.0", "`REPLICAOF`"),
    b"SLOWLOG": _doc("2.2.12", "Commands about slow commands.", _SUB),
    b"SLOWLOG|GET": _doc("2.2.12", "Answers slow commands, the newest first.", _N_KEPT),
    b"SLOWLOG|HELP": _doc("6.2.0", "Answers what SLOWLOG understands."),
    b"SLOWLOG|LEN": _doc("2.2.12", "Answers how many slow commands are kept."),
    b"SLOWLOG|RESET": _doc("2.2.12", "Forgets the slow commands.", _N_KEPT),
    b"SWAPDB": _doc("4.0.0", "Refused: databases live on different shards."),
    b"SYNC": _doc("1.0.0", _NOT_BY_HAND),
}
