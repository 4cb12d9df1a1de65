"""The command table: what a router must know of each command. One row per command.

Doors check arity and flags against it, routers find keys and shards with it, COMMAND is answered
from it. Its handler has the same name in `node/commands/` (data) or at the doors (LOCAL); tests
pair them off. Read `routing.py` next, for what follows from `keys` and `spread`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

# --- Flags, as bits; FLAG_NAMES says what Redis calls them.

WRITE = 1 << 0  # Goes through the log.
READ = 1 << 1  # Served behind a read barrier.
GROWS = 1 << 2  # May need memory: refused at the limit.
ADMIN = 1 << 3
NOSCRIPT = 1 << 4
LOADING = 1 << 5
STALE = 1 << 6
FAST = 1 << 7  # O(1) or O(log n) of Redis's own accounts.
NO_AUTH = 1 << 8
ALLOW_BUSY = 1 << 9
DANGEROUS = 1 << 10  # A category only; ADMIN implies it.
NO_MULTI = 1 << 11  # Refused inside MULTI.
NO_ASYNC_LOADING = 1 << 12
SKIP_MONITOR = 1 << 13  # Not shown to MONITOR.
SKIP_SLOWLOG = 1 << 14

FLAG_NAMES = {
    WRITE: "write",
    READ: "readonly",
    GROWS: "denyoom",
    ADMIN: "admin",
    NOSCRIPT: "noscript",
    LOADING: "loading",
    STALE: "stale",
    FAST: "fast",
    NO_AUTH: "no_auth",
    ALLOW_BUSY: "allow_busy",
    NO_MULTI: "no_multi",
    NO_ASYNC_LOADING: "no_async_loading",
    SKIP_MONITOR: "skip_monitor",
    SKIP_SLOWLOG: "skip_slowlog",
}


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Places of keys among the arguments; a negative `last` counts from the end. first 0: none."""

    first: int
    last: int
    step: int


NO_KEYS = KeyRange(0, 0, 0)
ONE = KeyRange(1, 1, 1)
SECOND = KeyRange(2, 2, 1)
TWO = KeyRange(1, 2, 1)
BEHIND = KeyRange(2, -1, 1)  # All behind a subcommand.
ALL = KeyRange(1, -1, 1)
PAIRS = KeyRange(1, -1, 2)


class Spread(Enum):
    """Over which shards a command goes (design, sections 2 and 9)."""

    LOCAL = "local"  # The door answers by itself.
    ONE_SHARD = "one shard"  # Keys in several shards are refused.
    SPLIT_KEYS = "split keys"  # Cut in parts by the shards of its keys; atomic per part (D3).
    ALL_SHARDS = "all shards"  # Every shard of the database is asked.
    BY_CURSOR = "by cursor"  # SCAN: the shard that its cursor is in.
    NAMES_DB = "names a database"  # As ONE_SHARD, but a second database may be among its words.


LOCAL, ONE_SHARD, SPLIT_KEYS = Spread.LOCAL, Spread.ONE_SHARD, Spread.SPLIT_KEYS
ALL_SHARDS, BY_CURSOR, NAMES_DB = Spread.ALL_SHARDS, Spread.BY_CURSOR, Spread.NAMES_DB

# ACL categories.
KEYSPACE, STRING, CONNECTION, TRANSACTION, ADMINISTRATION, OTHER = (
    "keyspace", "string", "connection", "transaction", "admin", "",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Command:
    name: bytes  # Upper case; of a subcommand `CONTAINER|NAME`.
    arity: int  # Arguments, the name included; negative: at least.
    flags: int
    keys: KeyRange
    category: str
    spread: Spread = ONE_SHARD
    tips: tuple[str, ...] = ()
    subcommands: tuple[Command, ...] = ()
    # What it does with its keys, in Redis's words: "RW access update"; where it treats the second
    # one otherwise than the first, both, in order: "RO access; OW update".
    key_flags: str = ""
    by_word: dict[bytes, Command] = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        by_word = {row.name.partition(b"|")[2]: row for row in self.subcommands}
        object.__setattr__(self, "by_word", by_word)

    def accepts(self, count: int) -> bool:
        """Whether it may come with `count` arguments, its name (and subcommand) included."""
        return count == self.arity if self.arity > 0 else count >= -self.arity

    @property
    def display_name(self) -> str:
        """As replies and errors write it."""
        return self.name.decode().lower()

    @property
    def flag_names(self) -> list[str]:
        return [name for bit, name in FLAG_NAMES.items() if self.flags & bit]

    @property
    def acl_categories(self) -> list[str]:
        names = [self.category] if self.category else []
        names += ["write"] * bool(self.flags & WRITE) + ["read"] * bool(self.flags & READ)
        names += ["admin"] * bool(self.flags & ADMIN)
        names += ["dangerous"] * bool(self.flags & (ADMIN | DANGEROUS))
        return [*names, "fast" if self.flags & FAST else "slow"]


_CONN = NOSCRIPT | LOADING | STALE
_CLUSTER_ADMIN = ADMIN | STALE | NO_ASYNC_LOADING
_DISK = ADMIN | NOSCRIPT | NO_ASYNC_LOADING
_TELLING = LOADING | STALE | FAST | DANGEROUS
_HANDSHAKE = _CONN | FAST | NO_AUTH | ALLOW_BUSY
_ACCESS, _UPDATES = "RO access", "RW access update"
_VARIES = ("nondeterministic_output",)
_ORDER = ("nondeterministic_output_order",)
_SPLIT = ("request_policy:multi_shard",)
_SUM = ("request_policy:multi_shard", "response_policy:agg_sum")
_EACH = ("request_policy:all_shards", "response_policy:all_succeeded")
_SPECIAL = ("request_policy:all_shards", "response_policy:special")
_ALL_NODES = ("request_policy:all_nodes", "response_policy:all_succeeded")
_PER_NODE = (*_VARIES, "request_policy:all_nodes", "response_policy:special")

# fmt: off
_ROWS = (
    #       name             arity  flags                 keys     category  spread      tips
    # Strings.
    Command(b"APPEND",           3, WRITE | GROWS | FAST, ONE,     STRING,   key_flags="RW insert"),
    Command(b"DECR",             2, WRITE | GROWS | FAST, ONE,     STRING,   key_flags=_UPDATES),
    Command(b"DECRBY",           3, WRITE | GROWS | FAST, ONE,     STRING,   key_flags=_UPDATES),
    Command(b"GET",              2, READ | FAST,          ONE,     STRING,   key_flags=_ACCESS),
    Command(b"GETDEL",           2, WRITE | FAST,         ONE,     STRING,
            key_flags="RW access delete"),
    Command(b"GETEX",           -2, WRITE | FAST,         ONE,     STRING,   key_flags=_UPDATES),
    Command(b"GETRANGE",         4, READ,                 ONE,     STRING,   key_flags=_ACCESS),
    Command(b"GETSET",           3, WRITE | GROWS | FAST, ONE,     STRING,   key_flags=_UPDATES),
    Command(b"INCR",             2, WRITE | GROWS | FAST, ONE,     STRING,   key_flags=_UPDATES),
    Command(b"INCRBY",           3, WRITE | GROWS | FAST, ONE,     STRING,   key_flags=_UPDATES),
    Command(b"INCRBYFLOAT",      3, WRITE | GROWS | FAST, ONE,     STRING,   key_flags=_UPDATES),
    Command(b"LCS",             -3, READ,                 TWO,     STRING,   key_flags=_ACCESS),
    Command(b"MGET",            -2, READ | FAST,          ALL,     STRING,   SPLIT_KEYS, _SPLIT,
            key_flags=_ACCESS),
    Command(b"MSET",            -3, WRITE | GROWS,        PAIRS,   STRING,   ONE_SHARD,
            ("request_policy:multi_shard", "response_policy:all_succeeded"),
            key_flags="OW update"),
    Command(b"MSETNX",          -3, WRITE | GROWS,        PAIRS,   STRING,   ONE_SHARD,
            ("request_policy:multi_shard", "response_policy:agg_min"), key_flags="OW insert"),
    Command(b"PSETEX",           4, WRITE | GROWS,        ONE,     STRING,   key_flags="OW update"),
    Command(b"SET",             -3, WRITE | GROWS,        ONE,     STRING,
            key_flags="RW access update variable_flags"),
    Command(b"SETEX",            4, WRITE | GROWS,        ONE,     STRING,   key_flags="OW update"),
    Command(b"SETNX",            3, WRITE | GROWS | FAST, ONE,     STRING,   key_flags="OW insert"),
    Command(b"SETRANGE",         4, WRITE | GROWS,        ONE,     STRING,   key_flags="RW update"),
    Command(b"STRLEN",           2, READ | FAST,          ONE,     STRING,   key_flags="RO"),
    Command(b"SUBSTR",           4, READ,                 ONE,     STRING,   key_flags=_ACCESS),
    # Keys.
    Command(b"COPY",            -3, WRITE | GROWS,        TWO,     KEYSPACE, NAMES_DB,
            key_flags="RO access; OW update"),
    Command(b"DBSIZE",           1, READ | FAST,          NO_KEYS, KEYSPACE, ALL_SHARDS,
            ("request_policy:all_shards", "response_policy:agg_sum")),
    Command(b"DEL",             -2, WRITE,                ALL,     KEYSPACE, SPLIT_KEYS, _SUM,
            key_flags="RM delete"),
    Command(b"EXISTS",          -2, READ | FAST,          ALL,     KEYSPACE, SPLIT_KEYS, _SUM,
            key_flags="RO"),
    Command(b"EXPIRE",          -3, WRITE | FAST,         ONE,     KEYSPACE, key_flags="RW update"),
    Command(b"EXPIREAT",        -3, WRITE | FAST,         ONE,     KEYSPACE, key_flags="RW update"),
    Command(b"EXPIRETIME",       2, READ | FAST,          ONE,     KEYSPACE, key_flags=_ACCESS),
    Command(b"FLUSHALL",        -1, WRITE | DANGEROUS,    NO_KEYS, KEYSPACE, ALL_SHARDS, _EACH),
    Command(b"FLUSHDB",         -1, WRITE | DANGEROUS,    NO_KEYS, KEYSPACE, ALL_SHARDS, _EACH),
    Command(b"KEYS",             2, READ | DANGEROUS,     NO_KEYS, KEYSPACE, ALL_SHARDS,
            ("request_policy:all_shards", *_ORDER)),
    Command(b"MOVE",             3, WRITE | FAST,         ONE,     KEYSPACE, NAMES_DB,
            key_flags=_UPDATES),
    Command(b"OBJECT",          -2, 0,                    NO_KEYS, OTHER,    LOCAL, (), (
        Command(b"OBJECT|ENCODING",  3, READ, SECOND,     KEYSPACE, ONE_SHARD, _VARIES,
                key_flags="RO"),
        Command(b"OBJECT|FREQ",      3, READ, SECOND,     KEYSPACE, ONE_SHARD, _VARIES,
                key_flags="RO"),
        Command(b"OBJECT|HELP",      2, LOADING | STALE, NO_KEYS, KEYSPACE, LOCAL),
        Command(b"OBJECT|IDLETIME",  3, READ, SECOND,     KEYSPACE, ONE_SHARD, _VARIES,
                key_flags="RO"),
        Command(b"OBJECT|REFCOUNT",  3, READ, SECOND,     KEYSPACE, ONE_SHARD, _VARIES,
                key_flags="RO"),
    )),
    Command(b"PERSIST",          2, WRITE | FAST,         ONE,     KEYSPACE, key_flags="RW update"),
    Command(b"PEXPIRE",         -3, WRITE | FAST,         ONE,     KEYSPACE, key_flags="RW update"),
    Command(b"PEXPIREAT",       -3, WRITE | FAST,         ONE,     KEYSPACE, key_flags="RW update"),
    Command(b"PEXPIRETIME",      2, READ | FAST,          ONE,     KEYSPACE, key_flags=_ACCESS),
    Command(b"PTTL",             2, READ | FAST,          ONE,     KEYSPACE, ONE_SHARD,  _VARIES,
            key_flags=_ACCESS),
    Command(b"RANDOMKEY",        1, READ,                 NO_KEYS, KEYSPACE, ALL_SHARDS,
            ("request_policy:all_shards", *_VARIES)),
    Command(b"RENAME",           3, WRITE,                TWO,     KEYSPACE,
            key_flags="RW access delete; OW update"),
    Command(b"RENAMENX",         3, WRITE | FAST,         TWO,     KEYSPACE,
            key_flags="RW access delete; OW insert"),
    Command(b"SCAN",            -2, READ,                 NO_KEYS, KEYSPACE, BY_CURSOR,
            (*_VARIES, "request_policy:special")),
    Command(b"TOUCH",           -2, READ | FAST,          ALL,     KEYSPACE, SPLIT_KEYS, _SUM,
            key_flags="RO"),
    Command(b"TTL",              2, READ | FAST,          ONE,     KEYSPACE, ONE_SHARD,  _VARIES,
            key_flags=_ACCESS),
    Command(b"TYPE",             2, READ | FAST,          ONE,     KEYSPACE, key_flags="RO"),
    Command(b"UNLINK",          -2, WRITE | FAST,         ALL,     KEYSPACE, SPLIT_KEYS, _SUM,
            key_flags="RM delete"),
    # The connection.
    Command(b"ASKING",           1, FAST,                 NO_KEYS, CONNECTION, LOCAL),
    Command(b"AUTH",            -2, _HANDSHAKE,           NO_KEYS, CONNECTION, LOCAL),
    Command(b"CLIENT",          -2, 0,                    NO_KEYS, OTHER,      LOCAL, (), (
        Command(b"CLIENT|GETNAME",   2, _CONN,            NO_KEYS, CONNECTION, LOCAL),
        Command(b"CLIENT|GETREDIR",  2, _CONN,            NO_KEYS, CONNECTION, LOCAL),
        Command(b"CLIENT|HELP",      2, LOADING | STALE,  NO_KEYS, CONNECTION, LOCAL),
        Command(b"CLIENT|ID",        2, _CONN,            NO_KEYS, CONNECTION, LOCAL),
        Command(b"CLIENT|INFO",      2, _CONN,            NO_KEYS, CONNECTION, LOCAL, _VARIES),
        Command(b"CLIENT|KILL",     -3, _CONN | ADMIN,    NO_KEYS, CONNECTION, LOCAL),
        Command(b"CLIENT|LIST",     -2, _CONN | ADMIN,    NO_KEYS, CONNECTION, LOCAL, _VARIES),
        Command(b"CLIENT|NO-EVICT",  3, _CONN | ADMIN,    NO_KEYS, CONNECTION, LOCAL),
        Command(b"CLIENT|NO-TOUCH",  3, _CONN,            NO_KEYS, CONNECTION, LOCAL),
        Command(b"CLIENT|PAUSE",    -3, _CONN | ADMIN,    NO_KEYS, CONNECTION, LOCAL),
        Command(b"CLIENT|REPLY",     3, _CONN,            NO_KEYS, CONNECTION, LOCAL),
        Command(b"CLIENT|SETINFO",   4, _CONN,            NO_KEYS, CONNECTION, LOCAL,
                ("request_policy:all_nodes", "response_policy:all_succeeded")),
        Command(b"CLIENT|SETNAME",   3, _CONN,            NO_KEYS, CONNECTION, LOCAL),
        Command(b"CLIENT|UNPAUSE",   2, _CONN | ADMIN,    NO_KEYS, CONNECTION, LOCAL),
    )),
    Command(b"DISCARD",          1, _CONN | FAST | ALLOW_BUSY, NO_KEYS, TRANSACTION, LOCAL),
    Command(b"ECHO",             2, LOADING | STALE | FAST, NO_KEYS, CONNECTION, LOCAL),
    Command(b"EXEC",             1, _CONN | SKIP_SLOWLOG, NO_KEYS, TRANSACTION, LOCAL),
    Command(b"HELLO",           -1, _HANDSHAKE,           NO_KEYS, CONNECTION, LOCAL),
    Command(b"MONITOR",          1, _CONN | ADMIN,        NO_KEYS, OTHER,      LOCAL),
    Command(b"MULTI",            1, _CONN | FAST | ALLOW_BUSY, NO_KEYS, TRANSACTION, LOCAL),
    Command(b"PING",            -1, FAST,                 NO_KEYS, CONNECTION, LOCAL, _EACH),
    Command(b"QUIT",            -1, _HANDSHAKE,           NO_KEYS, CONNECTION, LOCAL),
    Command(b"READONLY",         1, LOADING | STALE | FAST, NO_KEYS, CONNECTION, LOCAL),
    Command(b"READWRITE",        1, LOADING | STALE | FAST, NO_KEYS, CONNECTION, LOCAL),
    Command(b"RESET",            1, _HANDSHAKE,           NO_KEYS, CONNECTION, LOCAL),
    Command(b"SELECT",           2, LOADING | STALE | FAST, NO_KEYS, CONNECTION, LOCAL),
    Command(b"WAIT",             3, NOSCRIPT,             NO_KEYS, CONNECTION, LOCAL,
            ("request_policy:all_shards", "response_policy:agg_min")),
    Command(b"WAITAOF",          4, NOSCRIPT,             NO_KEYS, CONNECTION, LOCAL,
            ("request_policy:all_shards", "response_policy:agg_min")),
    # The server and the cluster.
    Command(b"ACL",             -2, 0,                    NO_KEYS, OTHER,      LOCAL, (), (
        Command(b"ACL|CAT",         -2, _CONN,            NO_KEYS, OTHER,      LOCAL),
        Command(b"ACL|DELUSER",     -3, _CONN | ADMIN,    NO_KEYS, OTHER,      LOCAL),
        Command(b"ACL|DRYRUN",      -4, _CONN | ADMIN,    NO_KEYS, OTHER,      LOCAL),
        Command(b"ACL|GENPASS",     -2, _CONN,            NO_KEYS, OTHER,      LOCAL),
        Command(b"ACL|GETUSER",      3, _CONN | ADMIN,    NO_KEYS, OTHER,      LOCAL),
        Command(b"ACL|HELP",         2, LOADING | STALE,  NO_KEYS, OTHER,      LOCAL),
        Command(b"ACL|LIST",         2, _CONN | ADMIN,    NO_KEYS, OTHER,      LOCAL),
        Command(b"ACL|LOAD",         2, _CONN | ADMIN,    NO_KEYS, OTHER,      LOCAL),
        Command(b"ACL|LOG",         -2, _CONN | ADMIN,    NO_KEYS, OTHER,      LOCAL),
        Command(b"ACL|SAVE",         2, _CONN | ADMIN,    NO_KEYS, OTHER,      LOCAL),
        Command(b"ACL|SETUSER",     -3, _CONN | ADMIN,    NO_KEYS, OTHER,      LOCAL),
        Command(b"ACL|USERS",        2, _CONN | ADMIN,    NO_KEYS, OTHER,      LOCAL),
        Command(b"ACL|WHOAMI",       2, _CONN,            NO_KEYS, OTHER,      LOCAL),
    )),
    Command(b"BGREWRITEAOF",     1, _DISK,                NO_KEYS, OTHER,      LOCAL),
    Command(b"BGSAVE",          -1, _DISK,                NO_KEYS, OTHER,      LOCAL),
    Command(b"CLUSTER",         -2, 0,                    NO_KEYS, OTHER,      LOCAL, (), (
        Command(b"CLUSTER|ADDSLOTS", -3, _CLUSTER_ADMIN,  NO_KEYS, OTHER,      LOCAL),
        Command(b"CLUSTER|ADDSLOTSRANGE", -4, _CLUSTER_ADMIN, NO_KEYS, OTHER,  LOCAL),
        Command(b"CLUSTER|BUMPEPOCH", 2, _CLUSTER_ADMIN,  NO_KEYS, OTHER,      LOCAL, _VARIES),
        Command(b"CLUSTER|COUNT-FAILURE-REPORTS", 3, ADMIN | STALE, NO_KEYS, OTHER, LOCAL, _VARIES),
        Command(b"CLUSTER|COUNTKEYSINSLOT", 3, STALE,     NO_KEYS, OTHER,      LOCAL),
        Command(b"CLUSTER|DELSLOTS", -3, _CLUSTER_ADMIN,  NO_KEYS, OTHER,      LOCAL),
        Command(b"CLUSTER|DELSLOTSRANGE", -4, _CLUSTER_ADMIN, NO_KEYS, OTHER,  LOCAL),
        Command(b"CLUSTER|FAILOVER", -2, _CLUSTER_ADMIN,  NO_KEYS, OTHER,      LOCAL),
        Command(b"CLUSTER|FLUSHSLOTS", 2, _CLUSTER_ADMIN, NO_KEYS, OTHER,      LOCAL),
        Command(b"CLUSTER|FORGET",   3, _CLUSTER_ADMIN,   NO_KEYS, OTHER,      LOCAL),
        Command(b"CLUSTER|GETKEYSINSLOT", 4, STALE,       NO_KEYS, OTHER,      LOCAL, _VARIES),
        Command(b"CLUSTER|HELP",     2, LOADING | STALE,  NO_KEYS, OTHER,      LOCAL),
        Command(b"CLUSTER|INFO",     2, STALE,            NO_KEYS, OTHER,      LOCAL, _VARIES),
        Command(b"CLUSTER|KEYSLOT",  3, STALE,            NO_KEYS, OTHER,      LOCAL),
        Command(b"CLUSTER|LINKS",    2, STALE,            NO_KEYS, OTHER,      LOCAL, _VARIES),
        Command(b"CLUSTER|MEET",    -4, _CLUSTER_ADMIN,   NO_KEYS, OTHER,      LOCAL),
        Command(b"CLUSTER|MYID",     2, STALE,            NO_KEYS, OTHER,      LOCAL),
        Command(b"CLUSTER|MYSHARDID", 2, STALE,           NO_KEYS, OTHER,      LOCAL, _VARIES),
        Command(b"CLUSTER|NODES",    2, STALE,            NO_KEYS, OTHER,      LOCAL, _VARIES),
        Command(b"CLUSTER|REPLICAS", 3, ADMIN | STALE,    NO_KEYS, OTHER,      LOCAL, _VARIES),
        Command(b"CLUSTER|REPLICATE", 3, _CLUSTER_ADMIN,  NO_KEYS, OTHER,      LOCAL),
        Command(b"CLUSTER|RESET",   -2, ADMIN | STALE | NOSCRIPT, NO_KEYS, OTHER, LOCAL),
        Command(b"CLUSTER|SAVECONFIG", 2, _CLUSTER_ADMIN, NO_KEYS, OTHER,      LOCAL),
        Command(b"CLUSTER|SET-CONFIG-EPOCH", 3, _CLUSTER_ADMIN, NO_KEYS, OTHER, LOCAL),
        Command(b"CLUSTER|SETSLOT", -4, _CLUSTER_ADMIN,   NO_KEYS, OTHER,      LOCAL),
        Command(b"CLUSTER|SHARDS",   2, STALE,            NO_KEYS, OTHER,      LOCAL, _VARIES),
        Command(b"CLUSTER|SLAVES",   3, ADMIN | STALE,    NO_KEYS, OTHER,      LOCAL, _VARIES),
        Command(b"CLUSTER|SLOTS",    2, STALE,            NO_KEYS, OTHER,      LOCAL, _VARIES),
    )),
    Command(b"COMMAND",         -1, LOADING | STALE,      NO_KEYS, CONNECTION, LOCAL, _ORDER, (
        Command(b"COMMAND|COUNT",    2, LOADING | STALE,  NO_KEYS, CONNECTION, LOCAL),
        Command(b"COMMAND|DOCS",    -2, LOADING | STALE,  NO_KEYS, CONNECTION, LOCAL, _ORDER),
        Command(b"COMMAND|GETKEYS", -4, LOADING | STALE,  NO_KEYS, CONNECTION, LOCAL),
        Command(b"COMMAND|GETKEYSANDFLAGS", -4, LOADING | STALE, NO_KEYS, CONNECTION, LOCAL),
        Command(b"COMMAND|HELP",     2, LOADING | STALE,  NO_KEYS, CONNECTION, LOCAL),
        Command(b"COMMAND|INFO",    -2, LOADING | STALE,  NO_KEYS, CONNECTION, LOCAL, _ORDER),
        Command(b"COMMAND|LIST",    -2, LOADING | STALE,  NO_KEYS, CONNECTION, LOCAL, _ORDER),
    )),
    Command(b"CONFIG",          -2, 0,                    NO_KEYS, OTHER,      LOCAL, (), (
        Command(b"CONFIG|GET",      -3, _CONN | ADMIN,    NO_KEYS, OTHER,      LOCAL),
        Command(b"CONFIG|HELP",      2, LOADING | STALE,  NO_KEYS, OTHER,      LOCAL),
        Command(b"CONFIG|RESETSTAT", 2, _CONN | ADMIN,    NO_KEYS, OTHER,      LOCAL),
        Command(b"CONFIG|REWRITE",   2, _CONN | ADMIN,    NO_KEYS, OTHER,      LOCAL),
        Command(b"CONFIG|SET",      -4, _CONN | ADMIN,    NO_KEYS, OTHER,      LOCAL,
                ("request_policy:all_nodes", "response_policy:all_succeeded")),
    )),
    Command(b"DEBUG",           -2, _CONN | ADMIN,        NO_KEYS, OTHER,      LOCAL, (), (
        Command(b"DEBUG|DIGEST-VALUE", -3, READ | _CONN | ADMIN, BEHIND, OTHER, ONE_SHARD,
                key_flags="RO"),
        Command(b"DEBUG|HELP",       2, _CONN | ADMIN,    NO_KEYS, OTHER,      LOCAL),
        Command(b"DEBUG|OBJECT",     3, READ | _CONN | ADMIN, SECOND, OTHER,   ONE_SHARD,
                key_flags="RO"),
        Command(b"DEBUG|SET-ACTIVE-EXPIRE", 3, _CONN | ADMIN, NO_KEYS, OTHER,  LOCAL),
        Command(b"DEBUG|SLEEP",      3, _CONN | ADMIN,    NO_KEYS, OTHER,      LOCAL),
        Command(b"DEBUG|STRINGMATCH-LEN", 4, _CONN | ADMIN, NO_KEYS, OTHER,    LOCAL),
    )),
    Command(b"FAILOVER",        -1, NOSCRIPT | STALE | ADMIN, NO_KEYS, OTHER,  LOCAL),
    Command(b"INFO",            -1, LOADING | STALE | DANGEROUS, NO_KEYS, OTHER, LOCAL,
            (*_VARIES, *_SPECIAL)),
    Command(b"LASTSAVE",         1, _TELLING,             NO_KEYS, ADMINISTRATION, LOCAL, _VARIES),
    Command(b"LATENCY",         -2, 0,                    NO_KEYS, OTHER,      LOCAL, (), (
        Command(b"LATENCY|DOCTOR",   2, _CONN | ADMIN,    NO_KEYS, OTHER,      LOCAL, _PER_NODE),
        Command(b"LATENCY|GRAPH",    3, _CONN | ADMIN,    NO_KEYS, OTHER,      LOCAL, _PER_NODE),
        Command(b"LATENCY|HELP",     2, LOADING | STALE,  NO_KEYS, OTHER,      LOCAL),
        Command(b"LATENCY|HISTOGRAM", -2, _CONN | ADMIN,  NO_KEYS, OTHER,      LOCAL, _PER_NODE),
        Command(b"LATENCY|HISTORY",  3, _CONN | ADMIN,    NO_KEYS, OTHER,      LOCAL, _PER_NODE),
        Command(b"LATENCY|LATEST",   2, _CONN | ADMIN,    NO_KEYS, OTHER,      LOCAL, _PER_NODE),
        Command(b"LATENCY|RESET",   -2, _CONN | ADMIN,    NO_KEYS, OTHER,      LOCAL, _ALL_NODES),
    )),
    Command(b"LOLWUT",          -1, READ | FAST,          NO_KEYS, OTHER,      LOCAL),
    Command(b"MEMORY",          -2, 0,                    NO_KEYS, OTHER,      LOCAL, (), (
        Command(b"MEMORY|DOCTOR",    2, 0,                NO_KEYS, OTHER,      LOCAL,
                (*_VARIES, *_SPECIAL)),
        Command(b"MEMORY|HELP",      2, LOADING | STALE,  NO_KEYS, OTHER,      LOCAL),
        Command(b"MEMORY|MALLOC-STATS", 2, 0,             NO_KEYS, OTHER,      LOCAL,
                (*_VARIES, *_SPECIAL)),
        Command(b"MEMORY|PURGE",     2, 0,                NO_KEYS, OTHER,      LOCAL, _EACH),
        Command(b"MEMORY|STATS",     2, 0,                NO_KEYS, OTHER,      LOCAL,
                (*_VARIES, *_SPECIAL)),
        Command(b"MEMORY|USAGE",    -3, READ,             SECOND,  OTHER,      ONE_SHARD,
                key_flags="RO"),
    )),
    Command(b"MODULE",          -2, 0,                    NO_KEYS, OTHER,      LOCAL, (), (
        Command(b"MODULE|HELP",      2, LOADING | STALE,  NO_KEYS, OTHER,      LOCAL),
        Command(b"MODULE|LIST",      2, NOSCRIPT | ADMIN, NO_KEYS, OTHER,      LOCAL, _ORDER),
        Command(b"MODULE|LOAD",     -3, _DISK,            NO_KEYS, OTHER,      LOCAL),
        Command(b"MODULE|LOADEX",   -3, _DISK,            NO_KEYS, OTHER,      LOCAL),
        Command(b"MODULE|UNLOAD",    3, _DISK,            NO_KEYS, OTHER,      LOCAL),
    )),
    Command(b"PSYNC",           -3, _DISK | NO_MULTI,     NO_KEYS, OTHER,      LOCAL),
    Command(b"REPLCONF",        -1, _CONN | ADMIN | ALLOW_BUSY, NO_KEYS, OTHER, LOCAL),
    Command(b"REPLICAOF",        3, _DISK | STALE,        NO_KEYS, OTHER,      LOCAL),
    Command(b"ROLE",             1, NOSCRIPT | _TELLING,  NO_KEYS, ADMINISTRATION, LOCAL),
    Command(b"SAVE",             1, _DISK | NO_MULTI,     NO_KEYS, OTHER,      LOCAL),
    Command(b"SHUTDOWN",        -1, _CONN | ADMIN | NO_MULTI | ALLOW_BUSY, NO_KEYS, OTHER, LOCAL),
    Command(b"SLAVEOF",          3, _DISK | STALE,        NO_KEYS, OTHER,      LOCAL),
    Command(b"SLOWLOG",         -2, 0,                    NO_KEYS, OTHER,      LOCAL, (), (
        Command(b"SLOWLOG|GET",     -2, LOADING | STALE | ADMIN, NO_KEYS, OTHER, LOCAL,
                ("request_policy:all_nodes", *_VARIES)),
        Command(b"SLOWLOG|HELP",     2, LOADING | STALE,  NO_KEYS, OTHER,      LOCAL),
        Command(b"SLOWLOG|LEN",      2, LOADING | STALE | ADMIN, NO_KEYS, OTHER, LOCAL,
                ("request_policy:all_nodes", "response_policy:agg_sum", *_VARIES)),
        Command(b"SLOWLOG|RESET",    2, LOADING | STALE | ADMIN, NO_KEYS, OTHER, LOCAL, _ALL_NODES),
    )),
    Command(b"SWAPDB",           3, WRITE | FAST | DANGEROUS, NO_KEYS, KEYSPACE, LOCAL),
    Command(b"SYNC",             1, _DISK | NO_MULTI,     NO_KEYS, OTHER,      LOCAL),
    Command(b"TIME",             1, LOADING | STALE | FAST, NO_KEYS, OTHER,    LOCAL, _VARIES),
)
# fmt: on

COMMANDS: dict[bytes, Command] = {row.name: row for row in _ROWS}


def find_command(name: bytes) -> Command | None:
    """The row of the command called `name`, in any case."""
    return COMMANDS.get(name) or COMMANDS.get(name.upper())


# --- What a command that does not fit the table is answered, behind `ERR `. As Redis words it.

_SHOWN_BYTES_MAX = 128  # Of what the client sent.


def unknown_command(args: Sequence[bytes]) -> str:
    shown = b""
    for one in args[1:]:
        if len(shown) >= _SHOWN_BYTES_MAX:
            break
        shown += b"'%b' " % _cut(one, _SHOWN_BYTES_MAX - len(shown))
    return f"unknown command '{_shown(args[0])}', with args beginning with: {_text(shown)}"


def unknown_subcommand(args: Sequence[bytes]) -> str:
    if args[0].upper() == b"DEBUG":
        return _not_in_debug(args[1])
    return f"unknown subcommand '{_shown(args[1])}'. Try {_shown(args[0].upper())} HELP."


def wrong_arity(row: Command) -> str:
    if row.name.startswith(b"DEBUG|"):
        return _not_in_debug(row.name[6:].lower())
    return f"wrong number of arguments for '{row.display_name}' command"


def _not_in_debug(word: bytes) -> str:
    """In Redis its subcommands stand in no table, so that one text is for both faults."""
    return f"unknown subcommand or wrong number of arguments for '{_shown(word)}'. Try DEBUG HELP."


def _cut(word: bytes, bytes_max: int) -> bytes:
    """As printf writes a string of C: up to a zero byte."""
    return word[:bytes_max].partition(b"\0")[0]


def _text(shown: bytes) -> str:
    """Bytes that are no UTF-8 survive (PEP 383). A line end would end the error reply early."""
    return shown.decode("utf-8", "surrogateescape").replace("\r", " ").replace("\n", " ")


def _shown(word: bytes) -> str:
    return _text(_cut(word, _SHOWN_BYTES_MAX))
