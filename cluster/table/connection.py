"""Rows of the command table: the connection and transactions."""

from __future__ import annotations

from ..command import (
    ADMIN,
    ALL,
    ALLOW_BUSY,
    CONN,
    CONNECTION,
    EACH,
    FAST,
    HANDSHAKE,
    LOADING,
    LOCAL,
    NO_KEYS,
    NOSCRIPT,
    OTHER,
    SKIP_SLOWLOG,
    STALE,
    TRANSACTION,
    VARIES,
    Command,
)
from ..doc import Doc

# fmt: off
ROWS = (
    #       name             arity  flags                 keys     category  spread      tips
    Command(b"AUTH",            -2, HANDSHAKE,           NO_KEYS, CONNECTION, LOCAL),
    Command(b"CLIENT",          -2, 0,                    NO_KEYS, OTHER,      LOCAL, (), (
        Command(b"CLIENT|GETNAME",   2, CONN,            NO_KEYS, CONNECTION, LOCAL),
        Command(b"CLIENT|GETREDIR",  2, CONN,            NO_KEYS, CONNECTION, LOCAL),
        Command(b"CLIENT|HELP",      2, LOADING | STALE,  NO_KEYS, CONNECTION, LOCAL),
        Command(b"CLIENT|ID",        2, CONN,            NO_KEYS, CONNECTION, LOCAL),
        Command(b"CLIENT|INFO",      2, CONN,            NO_KEYS, CONNECTION, LOCAL, VARIES),
        Command(b"CLIENT|KILL",     -3, CONN | ADMIN,    NO_KEYS, CONNECTION, LOCAL),
        Command(b"CLIENT|LIST",     -2, CONN | ADMIN,    NO_KEYS, CONNECTION, LOCAL, VARIES),
        Command(b"CLIENT|NO-EVICT",  3, CONN | ADMIN,    NO_KEYS, CONNECTION, LOCAL),
        Command(b"CLIENT|NO-TOUCH",  3, CONN,            NO_KEYS, CONNECTION, LOCAL),
        Command(b"CLIENT|PAUSE",    -3, CONN | ADMIN,    NO_KEYS, CONNECTION, LOCAL),
        Command(b"CLIENT|REPLY",     3, CONN,            NO_KEYS, CONNECTION, LOCAL),
        Command(b"CLIENT|SETINFO",   4, CONN,            NO_KEYS, CONNECTION, LOCAL,
                ("request_policy:all_nodes", "response_policy:all_succeeded")),
        Command(b"CLIENT|SETNAME",   3, CONN,            NO_KEYS, CONNECTION, LOCAL),
        Command(b"CLIENT|UNBLOCK",  -3, CONN | ADMIN,    NO_KEYS, CONNECTION, LOCAL),
        Command(b"CLIENT|UNPAUSE",   2, CONN | ADMIN,    NO_KEYS, CONNECTION, LOCAL),
    )),
    Command(b"DISCARD",          1, CONN | FAST | ALLOW_BUSY, NO_KEYS, TRANSACTION, LOCAL),
    Command(b"ECHO",             2, LOADING | STALE | FAST, NO_KEYS, CONNECTION, LOCAL),
    Command(b"EXEC",             1, CONN | SKIP_SLOWLOG, NO_KEYS, TRANSACTION, LOCAL),
    Command(b"HELLO",           -1, HANDSHAKE,           NO_KEYS, CONNECTION, LOCAL),
    Command(b"MONITOR",          1, CONN | ADMIN,        NO_KEYS, OTHER,      LOCAL),
    Command(b"MULTI",            1, CONN | FAST | ALLOW_BUSY, NO_KEYS, TRANSACTION, LOCAL),
    Command(b"PING",            -1, FAST,                 NO_KEYS, CONNECTION, LOCAL, EACH),
    Command(b"QUIT",            -1, HANDSHAKE,           NO_KEYS, CONNECTION, LOCAL),
    Command(b"RESET",            1, HANDSHAKE,           NO_KEYS, CONNECTION, LOCAL),
    Command(b"SELECT",           2, LOADING | STALE | FAST, NO_KEYS, CONNECTION, LOCAL),
    Command(b"UNWATCH",          1, CONN | FAST | ALLOW_BUSY, NO_KEYS, TRANSACTION, LOCAL),
    Command(b"WAIT",             3, NOSCRIPT,             NO_KEYS, CONNECTION, LOCAL,
            ("request_policy:all_shards", "response_policy:agg_min")),
    Command(b"WAITAOF",          4, NOSCRIPT,             NO_KEYS, CONNECTION, LOCAL,
            ("request_policy:all_shards", "response_policy:agg_min")),
    Command(b"WATCH",           -2, CONN | FAST | ALLOW_BUSY, ALL, TRANSACTION, LOCAL,
            key_flags="RO"),
)
# fmt: on

_GENERIC = "generic"
_CONNECTION = "connection"
_SERVER = "server"
_TRANSACTIONS = "transactions"
_N_QUEUED = "O(N) where N is the number of commands queued"
_N_CLIENTS = "O(N) where N is the number of connections"
_SUB = "That of its subcommand"

DOCS: dict[bytes, Doc] = {
    b"UNWATCH": Doc(_TRANSACTIONS, "2.2.0", "O(1)", "Forgets what the client watches."),
    b"WATCH": Doc(
        _TRANSACTIONS,
        "2.2.0",
        "O(N) where N is the number of keys",
        "Has the next EXEC do nothing if one of the keys is changed before.",
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
    b"CLIENT|UNBLOCK": Doc(
        _CONNECTION,
        "5.0.0",
        "O(log N) where N is the number of clients",
        "Has a client that waits for data wait no longer.",
    ),
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
}

ARGUMENTS: dict[bytes, str] = {
    b"AUTH": "[username] password",
    b"CLIENT|KILL": (
        "filter(ip:port|new-format([ID client-id:integer]|[TYPE "
        "normal_master_slave_pubsub(NORMAL|MASTER|SLAVE|REPLICA|PUBSUB)]|[USER username]|[ADDR "
        "ip:port]|[LADDR ip:port]|[SKIPME yes/no]|[MAXAGE maxage:integer])...)"
    ),
    b"CLIENT|LIST": (
        "[TYPE normal_master_replica_pubsub(NORMAL|MASTER|REPLICA|PUBSUB)] [ID "
        "id{client-id:integer...}]"
    ),
    b"CLIENT|NO-EVICT": "enabled(ON|OFF)",
    b"CLIENT|NO-TOUCH": "enabled(ON|OFF)",
    b"CLIENT|PAUSE": "timeout:integer [mode(WRITE|ALL)]",
    b"CLIENT|REPLY": "on_off_skip(ON|OFF|SKIP)",
    b"CLIENT|SETINFO": "attr(LIB-NAME libname|LIB-VER libver)",
    b"CLIENT|SETNAME": "connection-name",
    b"CLIENT|UNBLOCK": "client-id:integer [timeout_error(TIMEOUT|ERROR)]",
    b"ECHO": "message",
    b"HELLO": (
        "[arguments{protover:integer [AUTH username_password{username password}] [SETNAME "
        "clientname]}]"
    ),
    b"PING": "[message]",
    b"SELECT": "index:integer",
    b"WAIT": "numreplicas:integer timeout:integer",
    b"WAITAOF": "numlocal:integer numreplicas:integer timeout:integer",
    b"WATCH": "key...",
}
