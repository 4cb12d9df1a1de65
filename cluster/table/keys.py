"""Rows of the command table: keys of any type."""

from __future__ import annotations

from ..command import (
    ACCESS,
    ALL,
    ALL_SHARDS,
    ASKING,
    BY_CURSOR,
    DANGEROUS,
    EACH,
    FAST,
    GROWS,
    KEYSPACE,
    LIST,
    LOADING,
    LOCAL,
    NAMES_DB,
    NO_KEYS,
    ONE,
    ONE_SHARD,
    ORDER,
    OTHER,
    READ,
    SECOND,
    SET,
    SORTED_SET,
    SPLIT_KEYS,
    STALE,
    SUM,
    TWO,
    UPDATES,
    VARIES,
    WRITE,
    Command,
    KeyRange,
    OneOrBehind,
    StoreOption,
)
from ..doc import Doc

_SORTED = f"{SET} {SORTED_SET} {LIST}"
_SORT_WORDS = ((b"LIMIT", 2), (b"BY", 1), (b"GET", 1))

# fmt: off
ROWS = (
    #       name             arity  flags                 keys     category  spread      tips
    Command(b"COPY",            -3, WRITE | GROWS,        TWO,     KEYSPACE, NAMES_DB,
            key_flags="RO access; OW update"),
    Command(b"DBSIZE",           1, READ | FAST,          NO_KEYS, KEYSPACE, ALL_SHARDS,
            ("request_policy:all_shards", "response_policy:agg_sum")),
    Command(b"DEL",             -2, WRITE,                ALL,     KEYSPACE, SPLIT_KEYS, SUM,
            key_flags="RM delete"),
    Command(b"DUMP",             2, READ,                 ONE,     KEYSPACE, ONE_SHARD, VARIES,
            key_flags=ACCESS),
    Command(b"EXISTS",          -2, READ | FAST,          ALL,     KEYSPACE, SPLIT_KEYS, SUM,
            key_flags="RO"),
    Command(b"EXPIRE",          -3, WRITE | FAST,         ONE,     KEYSPACE, key_flags="RW update"),
    Command(b"EXPIREAT",        -3, WRITE | FAST,         ONE,     KEYSPACE, key_flags="RW update"),
    Command(b"EXPIRETIME",       2, READ | FAST,          ONE,     KEYSPACE, key_flags=ACCESS),
    Command(b"FLUSHALL",        -1, WRITE | DANGEROUS,    NO_KEYS, KEYSPACE, ALL_SHARDS, EACH),
    Command(b"FLUSHDB",         -1, WRITE | DANGEROUS,    NO_KEYS, KEYSPACE, ALL_SHARDS, EACH),
    Command(b"KEYS",             2, READ | DANGEROUS,     NO_KEYS, KEYSPACE, ALL_SHARDS,
            ("request_policy:all_shards", *ORDER)),
    Command(b"MIGRATE",         -6, WRITE | DANGEROUS,    KeyRange(3, 3, 1), KEYSPACE, LOCAL,
            VARIES, key_flags="RW access delete; RW access delete incomplete",
            finder=OneOrBehind(3, b"KEYS", -2)),
    Command(b"MOVE",             3, WRITE | FAST,         ONE,     KEYSPACE, NAMES_DB,
            key_flags=UPDATES),
    Command(b"OBJECT",          -2, 0,                    NO_KEYS, OTHER,    LOCAL, (), (
        Command(b"OBJECT|ENCODING",  3, READ, SECOND,     KEYSPACE, ONE_SHARD, VARIES,
                key_flags="RO"),
        Command(b"OBJECT|FREQ",      3, READ, SECOND,     KEYSPACE, ONE_SHARD, VARIES,
                key_flags="RO"),
        Command(b"OBJECT|HELP",      2, LOADING | STALE, NO_KEYS, KEYSPACE, LOCAL),
        Command(b"OBJECT|IDLETIME",  3, READ, SECOND,     KEYSPACE, ONE_SHARD, VARIES,
                key_flags="RO"),
        Command(b"OBJECT|REFCOUNT",  3, READ, SECOND,     KEYSPACE, ONE_SHARD, VARIES,
                key_flags="RO"),
    )),
    Command(b"PERSIST",          2, WRITE | FAST,         ONE,     KEYSPACE, key_flags="RW update"),
    Command(b"PEXPIRE",         -3, WRITE | FAST,         ONE,     KEYSPACE, key_flags="RW update"),
    Command(b"PEXPIREAT",       -3, WRITE | FAST,         ONE,     KEYSPACE, key_flags="RW update"),
    Command(b"PEXPIRETIME",      2, READ | FAST,          ONE,     KEYSPACE, key_flags=ACCESS),
    Command(b"PTTL",             2, READ | FAST,          ONE,     KEYSPACE, ONE_SHARD,  VARIES,
            key_flags=ACCESS),
    Command(b"RANDOMKEY",        1, READ,                 NO_KEYS, KEYSPACE, ALL_SHARDS,
            ("request_policy:all_shards", *VARIES)),
    Command(b"RENAME",           3, WRITE,                TWO,     KEYSPACE,
            key_flags="RW access delete; OW update"),
    Command(b"RENAMENX",         3, WRITE | FAST,         TWO,     KEYSPACE,
            key_flags="RW access delete; OW insert"),
    Command(b"RESTORE",         -4, WRITE | GROWS | DANGEROUS, ONE, KEYSPACE,
            key_flags="OW update"),
    Command(b"RESTORE-ASKING",  -4, WRITE | GROWS | DANGEROUS | ASKING, ONE, KEYSPACE,
            key_flags="OW update"),
    Command(b"SCAN",            -2, READ,                 NO_KEYS, KEYSPACE, BY_CURSOR,
            (*VARIES, "request_policy:special")),
    Command(b"SORT",            -2, WRITE | GROWS | DANGEROUS, ONE, _SORTED,
            key_flags="RO access; RO access; OW update",
            finder=StoreOption((b"STORE",), 2, is_told=False, skipped=_SORT_WORDS)),
    Command(b"SORT_RO",         -2, READ | DANGEROUS,     ONE,     _SORTED,
            key_flags="RO access; RO access", finder=StoreOption((), 2, is_told=False)),
    Command(b"TOUCH",           -2, READ | FAST,          ALL,     KEYSPACE, SPLIT_KEYS, SUM,
            key_flags="RO"),
    Command(b"TTL",              2, READ | FAST,          ONE,     KEYSPACE, ONE_SHARD,  VARIES,
            key_flags=ACCESS),
    Command(b"TYPE",             2, READ | FAST,          ONE,     KEYSPACE, key_flags="RO"),
    Command(b"UNLINK",          -2, WRITE | FAST,         ALL,     KEYSPACE, SPLIT_KEYS, SUM,
            key_flags="RM delete"),
)
# fmt: on

_GENERIC = "generic"
_SERVER = "server"
_N_KEYS = "O(N) where N is the number of keys named"
_N_DB = "O(N) where N is the number of keys in the database"
_SUB = "That of its subcommand"

DOCS: dict[bytes, Doc] = {
    b"COPY": Doc(
        _GENERIC,
        "6.2.0",
        "O(N) where N is the number of elements",
        "Copies the value and the expiry of a key to another one.",
    ),
    b"DBSIZE": Doc(_SERVER, "1.0.0", "O(1) per shard", "Counts the keys of the database."),
    b"DEL": Doc(_GENERIC, "1.0.0", _N_KEYS, "Removes keys and counts those that were there."),
    b"DUMP": Doc(
        _GENERIC,
        "2.6.0",
        "O(N) where N is the number of elements",
        "Answers the value of a key in the form that RESTORE takes, here or in a real Redis.",
    ),
    b"EXISTS": Doc(_GENERIC, "1.0.0", _N_KEYS, "Counts how many of the keys named are there."),
    b"EXPIRE": Doc(_GENERIC, "1.0.0", "O(1)", "Lets a key expire after some seconds."),
    b"EXPIREAT": Doc(_GENERIC, "1.2.0", "O(1)", "Lets a key expire at a Unix time in seconds."),
    b"EXPIRETIME": Doc(
        _GENERIC, "7.0.0", "O(1)", "Answers when a key expires, as a Unix time in seconds."
    ),
    b"FLUSHALL": Doc(_SERVER, "1.0.0", _N_DB, "Removes all keys of all databases, shard by shard."),
    b"FLUSHDB": Doc(_SERVER, "1.0.0", _N_DB, "Removes all keys of the database, shard by shard."),
    b"KEYS": Doc(_GENERIC, "1.0.0", _N_DB, "Answers every key that matches a pattern."),
    b"MIGRATE": Doc(
        _GENERIC,
        "2.6.0",
        "O(1)",
        "Refused: DUMP and RESTORE copy a key to another server.",
    ),
    b"MOVE": Doc(
        _GENERIC, "1.0.0", "O(1)", "Moves a key to another database, if both live in one shard."
    ),
    b"OBJECT": Doc(_GENERIC, "2.2.3", _SUB, "Commands about how values are kept."),
    b"OBJECT|ENCODING": Doc(_GENERIC, "2.2.3", "O(1)", "Answers how the value of a key is kept."),
    b"OBJECT|FREQ": Doc(_GENERIC, "4.0.0", "O(1)", "Answers how often a key is used."),
    b"OBJECT|HELP": Doc(_GENERIC, "6.2.0", "O(1)", "Answers what OBJECT understands."),
    b"OBJECT|IDLETIME": Doc(
        _GENERIC, "2.2.3", "O(1)", "Answers for how many seconds a key was not used."
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
    b"RESTORE": Doc(
        _GENERIC,
        "2.6.0",
        "O(N) where N is the number of elements",
        "Makes a key of a value that DUMP answered, here or in a real Redis.",
    ),
    b"RESTORE-ASKING": Doc(
        _SERVER,
        "3.0.0",
        "O(N) where N is the number of elements",
        "As RESTORE: nothing has to be asked for here.",
    ),
    b"SCAN": Doc(
        _GENERIC,
        "2.8.0",
        "O(1) a call for what it answers, O(N) for all",
        "Walks the keys of the database, a page per call.",
    ),
    b"SORT": Doc(
        _GENERIC,
        "1.0.0",
        "O(N+M*log(M)) where N is the number of elements and M of those answered",
        "Answers or stores the elements of a list, a set or a sorted set in order.",
    ),
    b"SORT_RO": Doc(
        _GENERIC,
        "7.0.0",
        "O(N+M*log(M)) where N is the number of elements and M of those answered",
        "Answers the elements of a list, a set or a sorted set in order.",
    ),
    b"TOUCH": Doc(_GENERIC, "3.2.1", _N_KEYS, "Counts how many of the keys named are there."),
    b"TTL": Doc(_GENERIC, "1.0.0", "O(1)", "Answers how many seconds a key has left."),
    b"TYPE": Doc(_GENERIC, "1.0.0", "O(1)", "Answers what type of value a key holds."),
    b"UNLINK": Doc(_GENERIC, "4.0.0", _N_KEYS, "Removes keys and counts those that were there."),
}

ARGUMENTS: dict[bytes, str] = {
    b"COPY": "source:key destination:key [DB destination-db:integer] [REPLACE]",
    b"DEL": "key...",
    b"DUMP": "key",
    b"EXISTS": "key...",
    b"EXPIRE": "key seconds:integer [condition(NX|XX|GT|LT)]",
    b"EXPIREAT": "key unix-time-seconds:unix-time [condition(NX|XX|GT|LT)]",
    b"EXPIRETIME": "key",
    b"FLUSHALL": "[async(ASYNC|SYNC)]",
    b"FLUSHDB": "[async(ASYNC|SYNC)]",
    b"KEYS": "pattern:pattern",
    b"MIGRATE": (
        "host port:integer key_or_empty_string(key|empty_string=) destination-db:integer "
        "timeout:integer [COPY] [REPLACE] [authentication([AUTH password]|[AUTH2 "
        "username_password{username password}])] [KEYS key...]"
    ),
    b"MOVE": "key db:integer",
    b"OBJECT|ENCODING": "key",
    b"OBJECT|FREQ": "key",
    b"OBJECT|IDLETIME": "key",
    b"OBJECT|REFCOUNT": "key",
    b"PERSIST": "key",
    b"PEXPIRE": "key milliseconds:integer [condition(NX|XX|GT|LT)]",
    b"PEXPIREAT": "key unix-time-milliseconds:unix-time [condition(NX|XX|GT|LT)]",
    b"PEXPIRETIME": "key",
    b"PTTL": "key",
    b"RENAME": "key newkey:key",
    b"RENAMENX": "key newkey:key",
    b"RESTORE": (
        "key ttl:integer serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds:integer] [FREQ "
        "frequency:integer]"
    ),
    b"RESTORE-ASKING": (
        "key ttl:integer serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds:integer] [FREQ "
        "frequency:integer]"
    ),
    b"SCAN": "cursor:integer [MATCH pattern:pattern] [COUNT count:integer] [TYPE type]",
    b"SORT": (
        "key [BY pattern:pattern#1] [LIMIT offset_count{offset:integer count:integer}] [GET "
        "pattern:pattern#1...+] [order(ASC|DESC)] [sorting=ALPHA] [STORE destination:key#2]"
    ),
    b"SORT_RO": (
        "key [BY pattern:pattern#1] [LIMIT offset_count{offset:integer count:integer}] [GET "
        "pattern:pattern#1...+] [order(ASC|DESC)] [sorting=ALPHA]"
    ),
    b"TOUCH": "key...",
    b"TTL": "key",
    b"TYPE": "key",
    b"UNLINK": "key...",
}
