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
ALL = KeyRange(1, -1, 1)
PAIRS = KeyRange(1, -1, 2)


class Spread(Enum):
    """Over which shards a command goes (design, sections 2 and 9)."""

    LOCAL = "local"  # The door answers by itself.
    ONE_SHARD = "one shard"  # Keys in several shards are refused.
    SPLIT_KEYS = "split keys"  # Cut in parts by the shards of its keys; atomic per part (D3).
    ALL_SHARDS = "all shards"  # Every shard of the database is asked.
    BY_CURSOR = "by cursor"  # SCAN: the shard that its cursor is in.


LOCAL, ONE_SHARD, SPLIT_KEYS = Spread.LOCAL, Spread.ONE_SHARD, Spread.SPLIT_KEYS
ALL_SHARDS, BY_CURSOR = Spread.ALL_SHARDS, Spread.BY_CURSOR

KEYSPACE, STRING, CONNECTION, OTHER = "keyspace", "string", "connection", ""  # ACL categories.


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
_HANDSHAKE = _CONN | FAST | NO_AUTH | ALLOW_BUSY
_VARIES = ("nondeterministic_output",)
_ORDER = ("nondeterministic_output_order",)
_SPLIT = ("request_policy:multi_shard",)
_SUM = ("request_policy:multi_shard", "response_policy:agg_sum")
_EACH = ("request_policy:all_shards", "response_policy:all_succeeded")

# fmt: off
_ROWS = (
    #       name             arity  flags                 keys     category  spread      tips
    # Strings.
    Command(b"APPEND",           3, WRITE | GROWS | FAST, ONE,     STRING),
    Command(b"DECR",             2, WRITE | GROWS | FAST, ONE,     STRING),
    Command(b"DECRBY",           3, WRITE | GROWS | FAST, ONE,     STRING),
    Command(b"GET",              2, READ | FAST,          ONE,     STRING),
    Command(b"INCR",             2, WRITE | GROWS | FAST, ONE,     STRING),
    Command(b"INCRBY",           3, WRITE | GROWS | FAST, ONE,     STRING),
    Command(b"MGET",            -2, READ | FAST,          ALL,     STRING,   SPLIT_KEYS, _SPLIT),
    Command(b"MSET",            -3, WRITE | GROWS,        PAIRS,   STRING,   ONE_SHARD,
            ("request_policy:multi_shard", "response_policy:all_succeeded")),
    Command(b"SET",             -3, WRITE | GROWS,        ONE,     STRING),
    Command(b"STRLEN",           2, READ | FAST,          ONE,     STRING),
    # Keys.
    Command(b"DBSIZE",           1, READ | FAST,          NO_KEYS, KEYSPACE, ALL_SHARDS,
            ("request_policy:all_shards", "response_policy:agg_sum")),
    Command(b"DEL",             -2, WRITE,                ALL,     KEYSPACE, SPLIT_KEYS, _SUM),
    Command(b"EXISTS",          -2, READ | FAST,          ALL,     KEYSPACE, SPLIT_KEYS, _SUM),
    Command(b"EXPIRE",          -3, WRITE | FAST,         ONE,     KEYSPACE),
    Command(b"EXPIREAT",        -3, WRITE | FAST,         ONE,     KEYSPACE),
    Command(b"EXPIRETIME",       2, READ | FAST,          ONE,     KEYSPACE),
    Command(b"FLUSHALL",        -1, WRITE | DANGEROUS,    NO_KEYS, KEYSPACE, ALL_SHARDS, _EACH),
    Command(b"FLUSHDB",         -1, WRITE | DANGEROUS,    NO_KEYS, KEYSPACE, ALL_SHARDS, _EACH),
    Command(b"KEYS",             2, READ | DANGEROUS,     NO_KEYS, KEYSPACE, ALL_SHARDS,
            ("request_policy:all_shards", *_ORDER)),
    Command(b"PERSIST",          2, WRITE | FAST,         ONE,     KEYSPACE),
    Command(b"PEXPIRE",         -3, WRITE | FAST,         ONE,     KEYSPACE),
    Command(b"PEXPIREAT",       -3, WRITE | FAST,         ONE,     KEYSPACE),
    Command(b"PEXPIRETIME",      2, READ | FAST,          ONE,     KEYSPACE),
    Command(b"PTTL",             2, READ | FAST,          ONE,     KEYSPACE, ONE_SHARD,  _VARIES),
    Command(b"RANDOMKEY",        1, READ,                 NO_KEYS, KEYSPACE, ALL_SHARDS,
            ("request_policy:all_shards", *_VARIES)),
    Command(b"SCAN",            -2, READ,                 NO_KEYS, KEYSPACE, BY_CURSOR,
            (*_VARIES, "request_policy:special")),
    Command(b"TOUCH",           -2, READ | FAST,          ALL,     KEYSPACE, SPLIT_KEYS, _SUM),
    Command(b"TTL",              2, READ | FAST,          ONE,     KEYSPACE, ONE_SHARD,  _VARIES),
    Command(b"TYPE",             2, READ | FAST,          ONE,     KEYSPACE),
    Command(b"UNLINK",          -2, WRITE | FAST,         ALL,     KEYSPACE, SPLIT_KEYS, _SUM),
    # The connection.
    Command(b"ASKING",           1, FAST,                 NO_KEYS, CONNECTION, LOCAL),
    Command(b"AUTH",            -2, _HANDSHAKE,           NO_KEYS, CONNECTION, LOCAL),
    Command(b"CLIENT",          -2, 0,                    NO_KEYS, OTHER,      LOCAL, (), (
        Command(b"CLIENT|GETNAME",   2, _CONN,            NO_KEYS, CONNECTION, LOCAL),
        Command(b"CLIENT|HELP",      2, LOADING | STALE,  NO_KEYS, CONNECTION, LOCAL),
        Command(b"CLIENT|ID",        2, _CONN,            NO_KEYS, CONNECTION, LOCAL),
        Command(b"CLIENT|INFO",      2, _CONN,            NO_KEYS, CONNECTION, LOCAL, _VARIES),
        Command(b"CLIENT|LIST",     -2, _CONN | ADMIN,    NO_KEYS, CONNECTION, LOCAL, _VARIES),
        Command(b"CLIENT|NO-EVICT",  3, _CONN | ADMIN,    NO_KEYS, CONNECTION, LOCAL),
        Command(b"CLIENT|NO-TOUCH",  3, _CONN,            NO_KEYS, CONNECTION, LOCAL),
        Command(b"CLIENT|SETINFO",   4, _CONN,            NO_KEYS, CONNECTION, LOCAL,
                ("request_policy:all_nodes", "response_policy:all_succeeded")),
        Command(b"CLIENT|SETNAME",   3, _CONN,            NO_KEYS, CONNECTION, LOCAL),
    )),
    Command(b"ECHO",             2, LOADING | STALE | FAST, NO_KEYS, CONNECTION, LOCAL),
    Command(b"HELLO",           -1, _HANDSHAKE,           NO_KEYS, CONNECTION, LOCAL),
    Command(b"PING",            -1, FAST,                 NO_KEYS, CONNECTION, LOCAL, _EACH),
    Command(b"QUIT",            -1, _HANDSHAKE,           NO_KEYS, CONNECTION, LOCAL),
    Command(b"READONLY",         1, LOADING | STALE | FAST, NO_KEYS, CONNECTION, LOCAL),
    Command(b"READWRITE",        1, LOADING | STALE | FAST, NO_KEYS, CONNECTION, LOCAL),
    Command(b"RESET",            1, _HANDSHAKE,           NO_KEYS, CONNECTION, LOCAL),
    Command(b"SELECT",           2, LOADING | STALE | FAST, NO_KEYS, CONNECTION, LOCAL),
    Command(b"WAIT",             3, NOSCRIPT,             NO_KEYS, CONNECTION, LOCAL,
            ("request_policy:all_shards", "response_policy:agg_min")),
    # The server and the cluster.
    Command(b"CLUSTER",         -2, 0,                    NO_KEYS, OTHER,      LOCAL, (), (
        Command(b"CLUSTER|COUNTKEYSINSLOT", 3, STALE,     NO_KEYS, OTHER,      LOCAL),
        Command(b"CLUSTER|GETKEYSINSLOT", 4, STALE,       NO_KEYS, OTHER,      LOCAL, _VARIES),
        Command(b"CLUSTER|HELP",     2, LOADING | STALE,  NO_KEYS, OTHER,      LOCAL),
        Command(b"CLUSTER|INFO",     2, STALE,            NO_KEYS, OTHER,      LOCAL, _VARIES),
        Command(b"CLUSTER|KEYSLOT",  3, STALE,            NO_KEYS, OTHER,      LOCAL),
        Command(b"CLUSTER|MYID",     2, STALE,            NO_KEYS, OTHER,      LOCAL),
        Command(b"CLUSTER|MYSHARDID", 2, STALE,           NO_KEYS, OTHER,      LOCAL),
        Command(b"CLUSTER|NODES",    2, STALE,            NO_KEYS, OTHER,      LOCAL, _VARIES),
        Command(b"CLUSTER|SHARDS",   2, STALE,            NO_KEYS, OTHER,      LOCAL, _VARIES),
        Command(b"CLUSTER|SLOTS",    2, STALE,            NO_KEYS, OTHER,      LOCAL, _VARIES),
    )),
    Command(b"COMMAND",         -1, LOADING | STALE,      NO_KEYS, CONNECTION, LOCAL, _ORDER, (
        Command(b"COMMAND|COUNT",    2, LOADING | STALE,  NO_KEYS, CONNECTION, LOCAL),
        Command(b"COMMAND|DOCS",    -2, LOADING | STALE,  NO_KEYS, CONNECTION, LOCAL, _ORDER),
        Command(b"COMMAND|GETKEYS", -4, LOADING | STALE,  NO_KEYS, CONNECTION, LOCAL),
        Command(b"COMMAND|HELP",     2, LOADING | STALE,  NO_KEYS, CONNECTION, LOCAL),
        Command(b"COMMAND|INFO",    -2, LOADING | STALE,  NO_KEYS, CONNECTION, LOCAL, _ORDER),
        Command(b"COMMAND|LIST",    -2, LOADING | STALE,  NO_KEYS, CONNECTION, LOCAL, _ORDER),
    )),
    Command(b"CONFIG",          -2, 0,                    NO_KEYS, OTHER,      LOCAL, (), (
        Command(b"CONFIG|GET",      -3, _CONN | ADMIN,    NO_KEYS, OTHER,      LOCAL),
        Command(b"CONFIG|HELP",      2, LOADING | STALE,  NO_KEYS, OTHER,      LOCAL),
        Command(b"CONFIG|RESETSTAT", 2, _CONN | ADMIN,    NO_KEYS, OTHER,      LOCAL),
        Command(b"CONFIG|SET",      -4, _CONN | ADMIN,    NO_KEYS, OTHER,      LOCAL,
                ("request_policy:all_nodes", "response_policy:all_succeeded")),
    )),
    Command(b"INFO",            -1, LOADING | STALE | DANGEROUS, NO_KEYS, OTHER, LOCAL,
            (*_VARIES, "request_policy:all_shards", "response_policy:special")),
    Command(b"TIME",             1, LOADING | STALE | FAST, NO_KEYS, OTHER,    LOCAL, _VARIES),
)
# fmt: on

COMMANDS: dict[bytes, Command] = {row.name: row for row in _ROWS}


def find_command(name: bytes) -> Command | None:
    """The row of the command called `name`, in any case."""
    return COMMANDS.get(name) or COMMANDS.get(name.upper())


# --- What a command that does not fit the table is answered, behind `ERR `. As Redis words it.


def unknown_command(args: Sequence[bytes]) -> str:
    shown = ""
    for one in args[1:]:
        if len(shown) >= 128:
            break
        shown += f"'{_shown(one[: 128 - len(shown)])}' "
    return f"unknown command '{_shown(args[0][:128])}', with args beginning with: {shown}"


def unknown_subcommand(args: Sequence[bytes]) -> str:
    return f"unknown subcommand '{_shown(args[1][:128])}'. Try {_shown(args[0].upper())} HELP."


def wrong_arity(row: Command) -> str:
    return f"wrong number of arguments for '{row.display_name}' command"


def _shown(word: bytes) -> str:
    # A line end inside would end the error reply early.
    return word.decode("utf-8", "replace").replace("\r", " ").replace("\n", " ")
