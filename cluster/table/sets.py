"""Rows of the command table: sets."""

from __future__ import annotations

from ..command import (
    ACCESS,
    ALL,
    FAST,
    GROWS,
    NO_KEYS,
    ONE,
    ONE_SHARD,
    ORDER,
    READ,
    SET,
    TWO,
    VARIES,
    WRITE,
    Command,
    Counted,
)
from ..doc import Doc

_POPS = "RW access delete"
_STORES = "OW update; RO access"

# fmt: off
ROWS = (
    #       name             arity  flags                 keys     category  spread      tips
    Command(b"SADD",            -3, WRITE | GROWS | FAST, ONE,     SET,      key_flags="RW insert"),
    Command(b"SCARD",            2, READ | FAST,          ONE,     SET,      key_flags="RO"),
    Command(b"SDIFF",           -2, READ,                 ALL,     SET,      ONE_SHARD,  ORDER,
            key_flags=ACCESS),
    Command(b"SDIFFSTORE",      -3, WRITE | GROWS,        ALL,     SET,      key_flags=_STORES),
    Command(b"SINTER",          -2, READ,                 ALL,     SET,      ONE_SHARD,  ORDER,
            key_flags=ACCESS),
    Command(b"SINTERCARD",      -3, READ,                 NO_KEYS, SET,      key_flags=ACCESS,
            finder=Counted(1)),
    Command(b"SINTERSTORE",     -3, WRITE | GROWS,        ALL,     SET,
            key_flags="RW update; RO access"),
    Command(b"SISMEMBER",        3, READ | FAST,          ONE,     SET,      key_flags="RO"),
    Command(b"SMEMBERS",         2, READ,                 ONE,     SET,      ONE_SHARD,  ORDER,
            key_flags=ACCESS),
    Command(b"SMISMEMBER",      -3, READ | FAST,          ONE,     SET,      key_flags=ACCESS),
    Command(b"SMOVE",            4, WRITE | FAST,         TWO,     SET,
            key_flags="RW access delete; RW insert"),
    Command(b"SPOP",            -2, WRITE | FAST,         ONE,     SET,      ONE_SHARD,  VARIES,
            key_flags=_POPS),
    Command(b"SRANDMEMBER",     -2, READ,                 ONE,     SET,      ONE_SHARD,  VARIES,
            key_flags=ACCESS),
    Command(b"SREM",            -3, WRITE | FAST,         ONE,     SET,      key_flags="RW delete"),
    Command(b"SSCAN",           -3, READ,                 ONE,     SET,      ONE_SHARD,  VARIES,
            key_flags=ACCESS),
    Command(b"SUNION",          -2, READ,                 ALL,     SET,      ONE_SHARD,  ORDER,
            key_flags=ACCESS),
    Command(b"SUNIONSTORE",     -3, WRITE | GROWS,        ALL,     SET,      key_flags=_STORES),
)
# fmt: on

_SET = "set"
_N = "O(N) where N is the number of members"
_N_NAMED = "O(N) where N is the number of members named"
_N_OF_ALL = "O(N) where N is the number of members of all sets together"
_N_TIMES_M = "O(N*M) where N is the number of members of the smallest set and M that of sets"

DOCS: dict[bytes, Doc] = {
    b"SADD": Doc(_SET, "1.0.0", _N_NAMED, "Adds members to a set, which is made if need be."),
    b"SCARD": Doc(_SET, "1.0.0", "O(1)", "Counts the members of a set."),
    b"SDIFF": Doc(_SET, "1.0.0", _N_OF_ALL, "Answers what is in a set and in none of the others."),
    b"SDIFFSTORE": Doc(
        _SET, "1.0.0", _N_OF_ALL, "Keeps what is in a set and in none of the others."
    ),
    b"SINTER": Doc(_SET, "1.0.0", _N_TIMES_M, "Answers what is in each of several sets."),
    b"SINTERCARD": Doc(_SET, "7.0.0", _N_TIMES_M, "Counts what is in each of several sets."),
    b"SINTERSTORE": Doc(_SET, "1.0.0", _N_TIMES_M, "Keeps what is in each of several sets."),
    b"SISMEMBER": Doc(_SET, "1.0.0", "O(1)", "Answers whether a set has a member."),
    b"SMEMBERS": Doc(_SET, "1.0.0", _N, "Answers all members of a set."),
    b"SMISMEMBER": Doc(_SET, "6.2.0", _N_NAMED, "Answers which of several members a set has."),
    b"SMOVE": Doc(_SET, "1.0.0", "O(1)", "Moves a member from one set to another."),
    b"SPOP": Doc(
        _SET,
        "1.0.0",
        "O(N) where N is the number popped",
        "Removes and answers random members.",
    ),
    b"SRANDMEMBER": Doc(
        _SET, "1.0.0", "O(N) where N is the number asked for", "Answers random members of a set."
    ),
    b"SREM": Doc(_SET, "1.0.0", _N_NAMED, "Removes members from a set and counts those there."),
    b"SSCAN": Doc(
        _SET,
        "2.8.0",
        "O(1) a call for what it answers, O(N) for all",
        "Walks the members of a set, a page per call.",
    ),
    b"SUNION": Doc(_SET, "1.0.0", _N_OF_ALL, "Answers what is in at least one of several sets."),
    b"SUNIONSTORE": Doc(_SET, "1.0.0", _N_OF_ALL, "Keeps what is in at least one of several sets."),
}

ARGUMENTS: dict[bytes, str] = {
    b"SADD": "key member...",
    b"SCARD": "key",
    b"SDIFF": "key...",
    b"SDIFFSTORE": "destination:key key...",
    b"SINTER": "key...",
    b"SINTERCARD": "numkeys:integer key... [LIMIT limit:integer]",
    b"SINTERSTORE": "destination:key key...",
    b"SISMEMBER": "key member",
    b"SMEMBERS": "key",
    b"SMISMEMBER": "key member...",
    b"SMOVE": "source:key destination:key member",
    b"SPOP": "key [count:integer]",
    b"SRANDMEMBER": "key [count:integer]",
    b"SREM": "key member...",
    b"SSCAN": "key cursor:integer [MATCH pattern:pattern] [COUNT count:integer]",
    b"SUNION": "key...",
    b"SUNIONSTORE": "destination:key key...",
}
