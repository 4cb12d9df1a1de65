"""Rows of the command table: hashes."""

from __future__ import annotations

from ..command import (
    ACCESS,
    FAST,
    GROWS,
    HASH,
    ONE,
    ONE_SHARD,
    ORDER,
    READ,
    UPDATES,
    VARIES,
    WRITE,
    Command,
)
from ..doc import Doc

_UPDATE = "RW update"

# fmt: off
ROWS: tuple[Command, ...] = (
    #       name             arity  flags                 keys category
    Command(b"HDEL",            -3, WRITE | FAST,         ONE, HASH, key_flags="RW delete"),
    Command(b"HEXISTS",          3, READ | FAST,          ONE, HASH, key_flags="RO"),
    Command(b"HEXPIRE",         -6, WRITE | GROWS | FAST, ONE, HASH, key_flags=_UPDATE),
    Command(b"HEXPIREAT",       -6, WRITE | GROWS | FAST, ONE, HASH, key_flags=_UPDATE),
    Command(b"HEXPIRETIME",     -5, READ | FAST,          ONE, HASH, key_flags=ACCESS),
    Command(b"HGET",             3, READ | FAST,          ONE, HASH, key_flags=ACCESS),
    Command(b"HGETALL",          2, READ,                 ONE, HASH, ONE_SHARD, ORDER,
            key_flags=ACCESS),
    Command(b"HGETDEL",         -5, WRITE | FAST,         ONE, HASH, key_flags="RW access delete"),
    Command(b"HGETEX",          -5, WRITE | FAST,         ONE, HASH, key_flags=UPDATES),
    Command(b"HINCRBY",          4, WRITE | GROWS | FAST, ONE, HASH, key_flags=UPDATES),
    Command(b"HINCRBYFLOAT",     4, WRITE | GROWS | FAST, ONE, HASH, key_flags=UPDATES),
    Command(b"HKEYS",            2, READ,                 ONE, HASH, ONE_SHARD, ORDER,
            key_flags=ACCESS),
    Command(b"HLEN",             2, READ | FAST,          ONE, HASH, key_flags="RO"),
    Command(b"HMGET",           -3, READ | FAST,          ONE, HASH, key_flags=ACCESS),
    Command(b"HMSET",           -4, WRITE | GROWS | FAST, ONE, HASH, key_flags=_UPDATE),
    Command(b"HPERSIST",        -5, WRITE | FAST,         ONE, HASH, key_flags=_UPDATE),
    Command(b"HPEXPIRE",        -6, WRITE | GROWS | FAST, ONE, HASH, key_flags=_UPDATE),
    Command(b"HPEXPIREAT",      -6, WRITE | GROWS | FAST, ONE, HASH, key_flags=_UPDATE),
    Command(b"HPEXPIRETIME",    -5, READ | FAST,          ONE, HASH, key_flags=ACCESS),
    Command(b"HPTTL",           -5, READ | FAST,          ONE, HASH, ONE_SHARD, VARIES,
            key_flags=ACCESS),
    Command(b"HRANDFIELD",      -2, READ,                 ONE, HASH, ONE_SHARD, VARIES,
            key_flags=ACCESS),
    Command(b"HSCAN",           -3, READ,                 ONE, HASH, ONE_SHARD, VARIES,
            key_flags=ACCESS),
    Command(b"HSET",            -4, WRITE | GROWS | FAST, ONE, HASH, key_flags=_UPDATE),
    Command(b"HSETEX",          -6, WRITE | GROWS | FAST, ONE, HASH, key_flags=_UPDATE),
    Command(b"HSETNX",           4, WRITE | GROWS | FAST, ONE, HASH, key_flags="RW insert"),
    Command(b"HSTRLEN",          3, READ | FAST,          ONE, HASH, key_flags="RO"),
    Command(b"HTTL",            -5, READ | FAST,          ONE, HASH, ONE_SHARD, VARIES,
            key_flags=ACCESS),
    Command(b"HVALS",            2, READ,                 ONE, HASH, ONE_SHARD, ORDER,
            key_flags=ACCESS),
)
# fmt: on

_NAMED = "O(N) where N is the number of fields named"
_ALL = "O(N) where N is the number of fields of the hash"


def _doc(since: str, complexity: str, summary: str) -> Doc:
    return Doc("hash", since, complexity, summary)


DOCS: dict[bytes, Doc] = {
    b"HDEL": _doc("2.0.0", _NAMED, "Removes fields of a hash."),
    b"HEXISTS": _doc("2.0.0", "O(1)", "Tells whether a hash has a field."),
    b"HEXPIRE": _doc("7.4.0", _NAMED, "Lets fields of a hash expire after some seconds."),
    b"HEXPIREAT": _doc("7.4.0", _NAMED, "Lets fields of a hash expire at a time in seconds."),
    b"HEXPIRETIME": _doc("7.4.0", _NAMED, "Answers when fields of a hash expire, in seconds."),
    b"HGET": _doc("2.0.0", "O(1)", "Answers the value of a field of a hash."),
    b"HGETALL": _doc("2.0.0", _ALL, "Answers all fields of a hash with their values."),
    b"HGETDEL": _doc("8.0.0", _NAMED, "Answers the values of fields of a hash, and removes them."),
    b"HGETEX": _doc(
        "8.0.0",
        _NAMED,
        "Answers the values of fields of a hash, and changes when the fields expire.",
    ),
    b"HINCRBY": _doc(
        "2.0.0", "O(1)", "Adds to the integer in a field of a hash; an absent one counts as 0."
    ),
    b"HINCRBYFLOAT": _doc(
        "2.6.0",
        "O(1)",
        "Adds to the decimal number in a field of a hash; an absent one counts as 0.",
    ),
    b"HKEYS": _doc("2.0.0", _ALL, "Answers all fields of a hash."),
    b"HLEN": _doc("2.0.0", "O(1)", "Answers how many fields a hash has."),
    b"HMGET": _doc("2.0.0", _NAMED, "Answers the values of fields of a hash, in order."),
    b"HMSET": Doc(
        "hash",
        "2.0.0",
        _NAMED,
        "Sets fields of a hash to values.",
        deprecated_since="4.0.0",
        replaced_by="`HSET` with multiple field-value pairs",
    ),
    b"HPERSIST": _doc("7.4.0", _NAMED, "Takes their expiry from fields of a hash."),
    b"HPEXPIRE": _doc("7.4.0", _NAMED, "Lets fields of a hash expire after some milliseconds."),
    b"HPEXPIREAT": _doc("7.4.0", _NAMED, "Lets fields of a hash expire at a time in milliseconds."),
    b"HPEXPIRETIME": _doc(
        "7.4.0", _NAMED, "Answers when fields of a hash expire, in milliseconds."
    ),
    b"HPTTL": _doc("7.4.0", _NAMED, "Answers how many milliseconds fields of a hash have left."),
    b"HRANDFIELD": _doc(
        "6.2.0", "O(N) where N is the number of fields answered", "Answers some fields of a hash."
    ),
    b"HSCAN": _doc(
        "2.8.0",
        "O(1) for every call. O(N) for all calls until the cursor is 0 again",
        "Answers the fields of a hash page by page.",
    ),
    b"HSET": _doc("2.0.0", _NAMED, "Sets fields of a hash to values."),
    b"HSETEX": _doc(
        "8.0.0",
        _NAMED,
        "Sets fields of a hash to values, on conditions and with an expiry if asked.",
    ),
    b"HSETNX": _doc("2.0.0", "O(1)", "Sets a field of a hash if it is not there."),
    b"HSTRLEN": _doc("3.2.0", "O(1)", "Answers the length of the value of a field of a hash."),
    b"HTTL": _doc("7.4.0", _NAMED, "Answers how many seconds fields of a hash have left."),
    b"HVALS": _doc("2.0.0", _ALL, "Answers all values of a hash."),
}

ARGUMENTS: dict[bytes, str] = {
    b"HDEL": "key field...",
    b"HEXISTS": "key field",
    b"HEXPIRE": (
        "key seconds:integer [condition(NX|XX|GT|LT)] FIELDS fields{numfields:integer field...}"
    ),
    b"HEXPIREAT": (
        "key unix-time-seconds:unix-time [condition(NX|XX|GT|LT)] FIELDS fields{numfields:integer "
        "field...}"
    ),
    b"HEXPIRETIME": "key FIELDS fields{numfields:integer field...}",
    b"HGET": "key field",
    b"HGETALL": "key",
    b"HGETDEL": "key FIELDS fields{numfields:integer field...}",
    b"HGETEX": (
        "key [expiration(EX seconds:integer|PX milliseconds:integer|EXAT "
        "unix-time-seconds:unix-time|PXAT unix-time-milliseconds:unix-time|PERSIST)] FIELDS "
        "fields{numfields:integer field...}"
    ),
    b"HINCRBY": "key field increment:integer",
    b"HINCRBYFLOAT": "key field increment:double",
    b"HKEYS": "key",
    b"HLEN": "key",
    b"HMGET": "key field...",
    b"HMSET": "key field_value{field value}...",
    b"HPERSIST": "key FIELDS fields{numfields:integer field...}",
    b"HPEXPIRE": (
        "key milliseconds:integer [condition(NX|XX|GT|LT)] FIELDS fields{numfields:integer "
        "field...}"
    ),
    b"HPEXPIREAT": (
        "key unix-time-milliseconds:unix-time [condition(NX|XX|GT|LT)] FIELDS "
        "fields{numfields:integer field...}"
    ),
    b"HPEXPIRETIME": "key FIELDS fields{numfields:integer field...}",
    b"HPTTL": "key FIELDS fields{numfields:integer field...}",
    b"HRANDFIELD": "key [options{count:integer [WITHVALUES]}]",
    b"HSCAN": "key cursor:integer [MATCH pattern:pattern] [COUNT count:integer] [NOVALUES]",
    b"HSET": "key field_value{field value}...",
    b"HSETEX": (
        "key [condition(FNX|FXX)] [expiration(EX seconds:integer|PX milliseconds:integer|EXAT "
        "unix-time-seconds:unix-time|PXAT unix-time-milliseconds:unix-time|KEEPTTL)] FIELDS "
        "fields{numfields:integer data{field value}...}"
    ),
    b"HSETNX": "key field value",
    b"HSTRLEN": "key field",
    b"HTTL": "key FIELDS fields{numfields:integer field...}",
    b"HVALS": "key",
}
