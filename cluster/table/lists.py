"""Rows of the command table: lists."""

from __future__ import annotations

from ..command import (
    ACCESS,
    BLOCKING,
    FAST,
    GROWS,
    LIST,
    NO_KEYS,
    NOSCRIPT,
    ONE,
    READ,
    TWO,
    WRITE,
    Command,
    Counted,
    KeyRange,
)
from ..doc import Doc

_INSERTS, _POPS = "RW insert", "RW access delete"
_MOVES = f"{_POPS}; {_INSERTS}"
_BUT_LAST = KeyRange(1, -2, 1)  # Behind the keys there is a timeout.
_WAITS = WRITE | NOSCRIPT | BLOCKING

# fmt: off
ROWS: tuple[Command, ...] = (
    #       name          arity  flags                 keys     category
    Command(b"BLMOVE",        6, _WAITS | GROWS,       TWO,     LIST, key_flags=_MOVES),
    Command(b"BLMPOP",       -5, WRITE | BLOCKING,     NO_KEYS, LIST, key_flags=_POPS,
            finder=Counted(2)),
    Command(b"BLPOP",        -3, _WAITS,             _BUT_LAST, LIST, key_flags=_POPS),
    Command(b"BRPOP",        -3, _WAITS,             _BUT_LAST, LIST, key_flags=_POPS),
    Command(b"BRPOPLPUSH",    4, _WAITS | GROWS,       TWO,     LIST, key_flags=_MOVES),
    Command(b"LINDEX",        3, READ,                 ONE,     LIST, key_flags=ACCESS),
    Command(b"LINSERT",       5, WRITE | GROWS,        ONE,     LIST, key_flags=_INSERTS),
    Command(b"LLEN",          2, READ | FAST,          ONE,     LIST, key_flags="RO"),
    Command(b"LMOVE",         5, WRITE | GROWS,        TWO,     LIST, key_flags=_MOVES),
    Command(b"LMPOP",        -4, WRITE,                NO_KEYS, LIST, key_flags=_POPS,
            finder=Counted(1)),
    Command(b"LPOP",         -2, WRITE | FAST,         ONE,     LIST, key_flags=_POPS),
    Command(b"LPOS",         -3, READ,                 ONE,     LIST, key_flags=ACCESS),
    Command(b"LPUSH",        -3, WRITE | GROWS | FAST, ONE,     LIST, key_flags=_INSERTS),
    Command(b"LPUSHX",       -3, WRITE | GROWS | FAST, ONE,     LIST, key_flags=_INSERTS),
    Command(b"LRANGE",        4, READ,                 ONE,     LIST, key_flags=ACCESS),
    Command(b"LREM",          4, WRITE,                ONE,     LIST, key_flags="RW delete"),
    Command(b"LSET",          4, WRITE | GROWS,        ONE,     LIST, key_flags="RW update"),
    Command(b"LTRIM",         4, WRITE,                ONE,     LIST, key_flags="RW delete"),
    Command(b"RPOP",         -2, WRITE | FAST,         ONE,     LIST, key_flags=_POPS),
    Command(b"RPOPLPUSH",     3, WRITE | GROWS,        TWO,     LIST, key_flags=_MOVES),
    Command(b"RPUSH",        -3, WRITE | GROWS | FAST, ONE,     LIST, key_flags=_INSERTS),
    Command(b"RPUSHX",       -3, WRITE | GROWS | FAST, ONE,     LIST, key_flags=_INSERTS),
)
# fmt: on

_LIST = "list"
_PER_ELEMENT = "O(N) where N is the number of elements pushed"
_PER_ANSWER = "O(N) where N is the number of elements answered"
_ALL = "O(N) where N is the length of the list"
_PLACE = "O(log(N)) where N is the length of the list"

_PER_KEY = "O(N) where N is the number of keys"

DOCS: dict[bytes, Doc] = {
    b"BLMOVE": Doc(
        _LIST,
        "6.2.0",
        "O(1)",
        "Moves an element from an end of a list to an end of another; waits until there is one.",
    ),
    b"BLMPOP": Doc(
        _LIST,
        "7.0.0",
        "O(N+M) where N is the number of keys and M the number of elements answered",
        "Takes elements from an end of the first of several lists that has any; waits for some.",
    ),
    b"BLPOP": Doc(
        _LIST,
        "2.0.0",
        _PER_KEY,
        "Takes the first element of the first of several lists that has any; waits for one.",
    ),
    b"BRPOP": Doc(
        _LIST,
        "2.0.0",
        _PER_KEY,
        "Takes the last element of the first of several lists that has any; waits for one.",
    ),
    b"BRPOPLPUSH": Doc(
        _LIST,
        "2.2.0",
        "O(1)",
        "Moves the last element of a list in front of all others of another; waits for one.",
        deprecated_since="6.2.0",
        replaced_by="`BLMOVE` with the `RIGHT` and `LEFT` arguments",
    ),
    b"LINDEX": Doc(_LIST, "1.0.0", _PLACE, "Answers the element at an index of a list."),
    b"LINSERT": Doc(_LIST, "2.2.0", _ALL, "Puts an element in front of or behind another one."),
    b"LLEN": Doc(_LIST, "1.0.0", "O(1)", "Answers how many elements a list has."),
    b"LMOVE": Doc(
        _LIST, "6.2.0", "O(1)", "Moves an element from an end of a list to an end of another."
    ),
    b"LMPOP": Doc(
        _LIST,
        "7.0.0",
        "O(N+M) where N is the number of keys and M the number of elements answered",
        "Takes elements from an end of the first of several lists that has any.",
    ),
    b"LPOP": Doc(_LIST, "1.0.0", _PER_ANSWER, "Takes the first element or elements of a list."),
    b"LPOS": Doc(_LIST, "6.0.6", _ALL, "Answers the index or indexes of an element in a list."),
    b"LPUSH": Doc(_LIST, "1.0.0", _PER_ELEMENT, "Puts elements in front of all others of a list."),
    b"LPUSHX": Doc(
        _LIST, "2.2.0", _PER_ELEMENT, "Puts elements in front of all others if there is a list."
    ),
    b"LRANGE": Doc(_LIST, "1.0.0", _PER_ANSWER, "Answers the elements between two indexes."),
    b"LREM": Doc(_LIST, "1.0.0", _ALL, "Removes elements that equal one, from either end on."),
    b"LSET": Doc(_LIST, "1.0.0", _PLACE, "Sets the element at an index of a list."),
    b"LTRIM": Doc(
        _LIST,
        "1.0.0",
        "O(N) where N is the number of elements removed",
        "Removes all but the elements between two indexes.",
    ),
    b"RPOP": Doc(_LIST, "1.0.0", _PER_ANSWER, "Takes the last element or elements of a list."),
    b"RPOPLPUSH": Doc(
        _LIST,
        "1.2.0",
        "O(1)",
        "Moves the last element of a list in front of all others of another.",
        deprecated_since="6.2.0",
        replaced_by="`LMOVE` with the `RIGHT` and `LEFT` arguments",
    ),
    b"RPUSH": Doc(_LIST, "1.0.0", _PER_ELEMENT, "Puts elements behind all others of a list."),
    b"RPUSHX": Doc(
        _LIST, "2.2.0", _PER_ELEMENT, "Puts elements behind all others if there is a list."
    ),
}

ARGUMENTS: dict[bytes, str] = {
    b"BLMOVE": (
        "source:key destination:key wherefrom(LEFT|RIGHT) whereto(LEFT|RIGHT) timeout:double"
    ),
    b"BLMPOP": "timeout:double numkeys:integer key... where(LEFT|RIGHT) [COUNT count:integer]",
    b"BLPOP": "key... timeout:double",
    b"BRPOP": "key... timeout:double",
    b"BRPOPLPUSH": "source:key destination:key timeout:double",
    b"LINDEX": "key index:integer",
    b"LINSERT": "key where(BEFORE|AFTER) pivot element",
    b"LLEN": "key",
    b"LMOVE": "source:key destination:key wherefrom(LEFT|RIGHT) whereto(LEFT|RIGHT)",
    b"LMPOP": "numkeys:integer key... where(LEFT|RIGHT) [COUNT count:integer]",
    b"LPOP": "key [count:integer]",
    b"LPOS": "key element [RANK rank:integer] [COUNT num-matches:integer] [MAXLEN len:integer]",
    b"LPUSH": "key element...",
    b"LPUSHX": "key element...",
    b"LRANGE": "key start:integer stop:integer",
    b"LREM": "key count:integer element",
    b"LSET": "key index:integer element",
    b"LTRIM": "key start:integer stop:integer",
    b"RPOP": "key [count:integer]",
    b"RPOPLPUSH": "source:key destination:key",
    b"RPUSH": "key element...",
    b"RPUSHX": "key element...",
}
