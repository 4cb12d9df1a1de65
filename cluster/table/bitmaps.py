"""Rows of the command table: bitmaps."""

from __future__ import annotations

from ..command import (
    ACCESS,
    BITMAP,
    FAST,
    GROWS,
    ONE,
    READ,
    UPDATES,
    WRITE,
    Command,
    KeyRange,
)
from ..doc import Doc

# fmt: off
ROWS: tuple[Command, ...] = (
    #       name             arity  flags                 keys     category  spread      tips
    Command(b"BITCOUNT",        -2, READ,                 ONE,     BITMAP,   key_flags=ACCESS),
    Command(b"BITFIELD",        -2, WRITE | GROWS,        ONE,     BITMAP,
            key_flags="RW access update variable_flags"),
    Command(b"BITFIELD_RO",     -2, READ | FAST,          ONE,     BITMAP,   key_flags=ACCESS),
    Command(b"BITOP",           -4, WRITE | GROWS,        KeyRange(2, -1, 1), BITMAP,
            key_flags="OW update; RO access"),
    Command(b"BITPOS",          -3, READ,                 ONE,     BITMAP,   key_flags=ACCESS),
    Command(b"GETBIT",           3, READ | FAST,          ONE,     BITMAP,   key_flags=ACCESS),
    Command(b"SETBIT",           4, WRITE | GROWS,        ONE,     BITMAP,   key_flags=UPDATES),
)
# fmt: on

_BITMAP = "bitmap"

DOCS: dict[bytes, Doc] = {
    b"BITCOUNT": Doc(
        _BITMAP,
        "2.6.0",
        "O(N) where N is the length of the piece",
        "Counts the bits that are set in a string or a piece of it.",
    ),
    b"BITFIELD": Doc(
        _BITMAP,
        "3.2.0",
        "O(1) for each operation",
        "Reads, sets and increments integers of any width that lie at bits of a string.",
    ),
    b"BITFIELD_RO": Doc(
        _BITMAP,
        "6.0.0",
        "O(1) for each operation",
        "Reads integers of any width that lie at bits of a string.",
    ),
    b"BITOP": Doc(
        _BITMAP,
        "2.6.0",
        "O(N) where N is the length of all strings",
        "Combines strings bit by bit and stores what comes out.",
    ),
    b"BITPOS": Doc(
        _BITMAP,
        "2.8.7",
        "O(N) where N is the length of the piece",
        "Finds the first bit that is set, or is not, in a string or a piece of it.",
    ),
    b"GETBIT": Doc(_BITMAP, "2.2.0", "O(1)", "Answers one bit of a string."),
    b"SETBIT": Doc(_BITMAP, "2.2.0", "O(1)", "Sets or clears one bit of a string."),
}

ARGUMENTS: dict[bytes, str] = {
    b"BITCOUNT": "key [index{start:integer end:integer [index_unit(BYTE|BIT)]}]",
    b"BITFIELD": (
        "key [operation(GET encoding_offset{encoding offset:integer}|write{[OVERFLOW "
        "wrap_sat_fail(WRAP|SAT|FAIL)] write_operation(SET encoding_offset_value{encoding "
        "offset:integer value:integer}|INCRBY encoding_offset_increment{encoding offset:integer "
        "increment:integer})})...]"
    ),
    b"BITFIELD_RO": "key [GET encoding_offset{encoding offset:integer}...+]",
    b"BITOP": "operation destkey:key key...",
    b"BITPOS": (
        "key bit:integer [index{start:integer [end_index{end:integer [index_unit(BYTE|BIT)]}]}]"
    ),
    b"GETBIT": "key offset:integer",
    b"SETBIT": "key offset:integer value:integer",
}
