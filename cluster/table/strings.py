"""Rows of the command table: strings."""

from __future__ import annotations

from ..command import (
    ACCESS,
    ALL,
    FAST,
    GROWS,
    ONE,
    ONE_SHARD,
    PAIRS,
    READ,
    SPLIT,
    SPLIT_KEYS,
    STRING,
    TWO,
    UPDATES,
    WRITE,
    Command,
)
from ..doc import Doc

# fmt: off
ROWS = (
    #       name             arity  flags                 keys     category  spread      tips
    Command(b"APPEND",           3, WRITE | GROWS | FAST, ONE,     STRING,   key_flags="RW insert"),
    Command(b"DECR",             2, WRITE | GROWS | FAST, ONE,     STRING,   key_flags=UPDATES),
    Command(b"DECRBY",           3, WRITE | GROWS | FAST, ONE,     STRING,   key_flags=UPDATES),
    Command(b"GET",              2, READ | FAST,          ONE,     STRING,   key_flags=ACCESS),
    Command(b"GETDEL",           2, WRITE | FAST,         ONE,     STRING,
            key_flags="RW access delete"),
    Command(b"GETEX",           -2, WRITE | FAST,         ONE,     STRING,   key_flags=UPDATES),
    Command(b"GETRANGE",         4, READ,                 ONE,     STRING,   key_flags=ACCESS),
    Command(b"GETSET",           3, WRITE | GROWS | FAST, ONE,     STRING,   key_flags=UPDATES),
    Command(b"INCR",             2, WRITE | GROWS | FAST, ONE,     STRING,   key_flags=UPDATES),
    Command(b"INCRBY",           3, WRITE | GROWS | FAST, ONE,     STRING,   key_flags=UPDATES),
    Command(b"INCRBYFLOAT",      3, WRITE | GROWS | FAST, ONE,     STRING,   key_flags=UPDATES),
    Command(b"LCS",             -3, READ,                 TWO,     STRING,   key_flags=ACCESS),
    Command(b"MGET",            -2, READ | FAST,          ALL,     STRING,   SPLIT_KEYS, SPLIT,
            key_flags=ACCESS),
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
    Command(b"SUBSTR",           4, READ,                 ONE,     STRING,   key_flags=ACCESS),
)
# fmt: on

_STRING = "string"
_N_KEYS = "O(N) where N is the number of keys named"

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
}

ARGUMENTS: dict[bytes, str] = {
    b"APPEND": "key value",
    b"DECR": "key",
    b"DECRBY": "key decrement:integer",
    b"GET": "key",
    b"GETDEL": "key",
    b"GETEX": (
        "key [expiration(EX seconds:integer|PX milliseconds:integer|EXAT "
        "unix-time-seconds:unix-time|PXAT unix-time-milliseconds:unix-time|PERSIST)]"
    ),
    b"GETRANGE": "key start:integer end:integer",
    b"GETSET": "key value",
    b"INCR": "key",
    b"INCRBY": "key increment:integer",
    b"INCRBYFLOAT": "key increment:double",
    b"LCS": "key1:key key2:key#0 [LEN] [IDX] [MINMATCHLEN len:integer] [WITHMATCHLEN]",
    b"MGET": "key...",
    b"MSET": "key_value{key value}...",
    b"MSETNX": "key_value{key value}...",
    b"PSETEX": "key milliseconds:integer value",
    b"SET": (
        "key value [condition(NX|XX)] [GET] [expiration(EX seconds:integer|PX "
        "milliseconds:integer|EXAT unix-time-seconds:unix-time|PXAT "
        "unix-time-milliseconds:unix-time|KEEPTTL)]"
    ),
    b"SETEX": "key seconds:integer value",
    b"SETNX": "key value",
    b"SETRANGE": "key offset:integer value",
    b"STRLEN": "key",
    b"SUBSTR": "key start:integer end:integer",
}
