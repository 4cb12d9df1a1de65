"""Rows of the command table: HyperLogLog."""

from __future__ import annotations

from ..command import (
    ADMIN,
    ALL,
    FAST,
    GROWS,
    HYPERLOGLOG,
    LOCAL,
    NO_KEYS,
    ONE,
    READ,
    SECOND,
    WRITE,
    Command,
)
from ..doc import Doc

# fmt: off
ROWS: tuple[Command, ...] = (
    #       name             arity  flags                  keys     category     spread
    Command(b"PFADD",           -2, WRITE | GROWS | FAST,  ONE,     HYPERLOGLOG,
            key_flags="RW insert"),
    Command(b"PFCOUNT",         -2, READ,                  ALL,     HYPERLOGLOG,
            key_flags="RW access"),
    Command(b"PFDEBUG",          3, WRITE | GROWS | ADMIN, SECOND,  HYPERLOGLOG,
            key_flags="RW access"),
    Command(b"PFMERGE",         -2, WRITE | GROWS,         ALL,     HYPERLOGLOG,
            key_flags="RW access insert; RO access"),
    Command(b"PFSELFTEST",       1, ADMIN,                 NO_KEYS, HYPERLOGLOG, LOCAL),
)
# fmt: on

_GROUP = "hyperloglog"

DOCS: dict[bytes, Doc] = {
    b"PFADD": Doc(
        _GROUP,
        "2.8.9",
        "O(1) for each element",
        "Adds elements to a HyperLogLog, which is made if it is not there.",
    ),
    b"PFCOUNT": Doc(
        _GROUP,
        "2.8.9",
        "O(N) where N is the number of keys named",
        "Estimates how many different elements were added to HyperLogLogs.",
    ),
    b"PFDEBUG": Doc(
        _GROUP, "2.8.9", "O(1)", "Tells how a HyperLogLog is kept, for tests of its inside."
    ),
    b"PFMERGE": Doc(
        _GROUP,
        "2.8.9",
        "O(N) where N is the number of keys named",
        "Merges HyperLogLogs into the first one.",
    ),
    b"PFSELFTEST": Doc(_GROUP, "2.8.9", "O(1)", "Tests whether HyperLogLogs count as they should."),
}

ARGUMENTS: dict[bytes, str] = {
    b"PFADD": "key [element...]",
    b"PFCOUNT": "key...",
    b"PFDEBUG": "subcommand key",
    b"PFMERGE": "destkey:key sourcekey:key...",
}
