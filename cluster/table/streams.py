"""Rows of the command table: streams and consumer groups."""

from __future__ import annotations

from ..command import (
    ACCESS,
    BLOCKING,
    FAST,
    GROWS,
    LOADING,
    LOCAL,
    NO_KEYS,
    ONE,
    ONE_SHARD,
    OTHER,
    READ,
    SECOND,
    STALE,
    STREAM,
    VARIES,
    WRITE,
    BehindWord,
    Command,
)
from ..doc import Doc

_READ_OPTIONS = ((b"BLOCK", 1), (b"COUNT", 1), (b"GROUP", 2), (b"NOACK", 0))

# fmt: off
ROWS = (
    #       name             arity  flags                    keys     category
    Command(b"XACK",            -4, WRITE | FAST,            ONE,     STREAM,
            key_flags="RW update"),
    Command(b"XADD",            -5, WRITE | GROWS | FAST,    ONE,     STREAM, tips=VARIES,
            key_flags="RW update"),
    Command(b"XAUTOCLAIM",      -6, WRITE | FAST,            ONE,     STREAM, tips=VARIES,
            key_flags="RW delete"),
    Command(b"XCLAIM",          -6, WRITE | FAST,            ONE,     STREAM, tips=VARIES,
            key_flags="RW update"),
    Command(b"XDEL",            -3, WRITE | FAST,            ONE,     STREAM,
            key_flags="RW delete"),
    Command(b"XGROUP",          -2, 0,                       NO_KEYS, OTHER,  LOCAL, (), (
        Command(b"XGROUP|CREATE",         -5, WRITE | GROWS, SECOND,  STREAM,
                key_flags="RW insert"),
        Command(b"XGROUP|CREATECONSUMER",  5, WRITE | GROWS, SECOND,  STREAM,
                key_flags="RW insert"),
        Command(b"XGROUP|DELCONSUMER",     5, WRITE,         SECOND,  STREAM,
                key_flags="RW delete"),
        Command(b"XGROUP|DESTROY",         4, WRITE,         SECOND,  STREAM,
                key_flags="RW delete"),
        Command(b"XGROUP|HELP",            2, LOADING | STALE, NO_KEYS, STREAM, LOCAL),
        Command(b"XGROUP|SETID",          -5, WRITE,         SECOND,  STREAM,
                key_flags="RW update"),
    )),
    Command(b"XINFO",           -2, 0,                       NO_KEYS, OTHER,  LOCAL, (), (
        Command(b"XINFO|CONSUMERS",        4, READ,          SECOND,  STREAM, ONE_SHARD, VARIES,
                key_flags=ACCESS),
        Command(b"XINFO|GROUPS",           3, READ,          SECOND,  STREAM,
                key_flags=ACCESS),
        Command(b"XINFO|HELP",             2, LOADING | STALE, NO_KEYS, STREAM, LOCAL),
        Command(b"XINFO|STREAM",          -3, READ,          SECOND,  STREAM,
                key_flags=ACCESS),
    )),
    Command(b"XLEN",             2, READ | FAST,             ONE,     STREAM, key_flags="RO"),
    Command(b"XPENDING",        -3, READ,                    ONE,     STREAM, tips=VARIES,
            key_flags=ACCESS),
    Command(b"XRANGE",          -4, READ,                    ONE,     STREAM, key_flags=ACCESS),
    Command(b"XREAD",           -4, READ | BLOCKING,         NO_KEYS, STREAM, key_flags=ACCESS,
            finder=BehindWord(b"STREAMS", 1, _READ_OPTIONS)),
    Command(b"XREADGROUP",      -7, WRITE | BLOCKING,        NO_KEYS, STREAM, key_flags=ACCESS,
            finder=BehindWord(b"STREAMS", 4, _READ_OPTIONS)),
    Command(b"XREVRANGE",       -4, READ,                    ONE,     STREAM, key_flags=ACCESS),
    Command(b"XSETID",          -3, WRITE | GROWS | FAST,    ONE,     STREAM,
            key_flags="RW update"),
    Command(b"XTRIM",           -4, WRITE,                   ONE,     STREAM, tips=VARIES,
            key_flags="RW delete"),
)
# fmt: on

_GROUP = "stream"
_EACH = "O(log N) for each entry, N being those that are pending"
_RANGE = "O(log N + M) with M entries answered"
_SUB = "That of its subcommand"

DOCS: dict[bytes, Doc] = {
    b"XACK": Doc(_GROUP, "5.0.0", _EACH, "Takes entries that are done off a group's pending ones."),
    b"XADD": Doc(
        _GROUP, "5.0.0", "O(1); O(N) with N entries trimmed", "Appends an entry to a stream."
    ),
    b"XAUTOCLAIM": Doc(
        _GROUP,
        "6.2.0",
        "O(log N + M) with M pending entries looked at",
        "Gives a consumer the entries that others have left pending for long.",
    ),
    b"XCLAIM": Doc(
        _GROUP, "5.0.0", _EACH, "Gives a consumer entries that are pending with others."
    ),
    b"XDEL": Doc(
        _GROUP, "5.0.0", "O(log N) for each entry", "Removes entries and counts those removed."
    ),
    b"XGROUP": Doc(_GROUP, "5.0.0", _SUB, "Commands that make and change consumer groups."),
    b"XGROUP|CREATE": Doc(_GROUP, "5.0.0", "O(1)", "Makes a consumer group."),
    b"XGROUP|CREATECONSUMER": Doc(_GROUP, "6.2.0", "O(1)", "Makes a consumer of a group."),
    b"XGROUP|DELCONSUMER": Doc(
        _GROUP,
        "5.0.0",
        "O(N) with N entries pending in the group",
        "Removes a consumer and what is pending with it.",
    ),
    b"XGROUP|DESTROY": Doc(
        _GROUP, "5.0.0", "O(N) with N consumers", "Removes a group with all that is pending."
    ),
    b"XGROUP|HELP": Doc(_GROUP, "5.0.0", "O(1)", "Answers what XGROUP understands."),
    b"XGROUP|SETID": Doc(_GROUP, "5.0.0", "O(1)", "Sets how far a group has read."),
    b"XINFO": Doc(_GROUP, "5.0.0", _SUB, "Commands that tell about streams."),
    b"XINFO|CONSUMERS": Doc(
        _GROUP, "5.0.0", "O(N log N) with N consumers", "Answers what consumers a group has."
    ),
    b"XINFO|GROUPS": Doc(
        _GROUP, "5.0.0", "O(N log N) with N groups", "Answers what groups a stream has."
    ),
    b"XINFO|HELP": Doc(_GROUP, "5.0.0", "O(1)", "Answers what XINFO understands."),
    b"XINFO|STREAM": Doc(
        _GROUP,
        "5.0.0",
        "O(1); with FULL that of what it answers",
        "Answers how long a stream is, its ends, and with FULL its groups.",
    ),
    b"XLEN": Doc(_GROUP, "5.0.0", "O(1)", "Counts the entries of a stream."),
    b"XPENDING": Doc(
        _GROUP, "5.0.0", _RANGE, "Answers what was delivered to a group and is not acknowledged."
    ),
    b"XRANGE": Doc(_GROUP, "5.0.0", _RANGE, "Answers the entries between two ids."),
    b"XREAD": Doc(
        _GROUP, "5.0.0", _RANGE, "Answers the entries of streams behind ids; may wait for some."
    ),
    b"XREADGROUP": Doc(
        _GROUP,
        "5.0.0",
        _RANGE,
        "Delivers entries to a consumer of a group, or what is pending with it; may wait for some.",
    ),
    b"XREVRANGE": Doc(_GROUP, "5.0.0", _RANGE, "As XRANGE, the newest entries first."),
    b"XSETID": Doc(_GROUP, "5.0.0", "O(1)", "Sets the last id of a stream."),
    b"XTRIM": Doc(
        _GROUP, "5.0.0", "O(N) with N entries removed", "Removes the oldest entries of a stream."
    ),
}

ARGUMENTS: dict[bytes, str] = {
    b"XACK": "key group id...",
    b"XADD": (
        "key [NOMKSTREAM] [trim{strategy(MAXLEN|MINID) [operator(equal==|approximately=~)] "
        "threshold [LIMIT count:integer]}] id_or_auto(auto_id=*|id) field_value{field value}..."
    ),
    b"XAUTOCLAIM": "key group consumer min-idle-time start [COUNT count:integer] [JUSTID]",
    b"XCLAIM": (
        "key group consumer min-idle-time id... [IDLE ms:integer] [TIME "
        "unix-time-milliseconds:unix-time] [RETRYCOUNT count:integer] [FORCE] [JUSTID] [LASTID "
        "id]"
    ),
    b"XDEL": "key id...",
    b"XGROUP|CREATE": "key groupname id(id|new_id=$) [MKSTREAM] [ENTRIESREAD entries_read:integer]",
    b"XGROUP|CREATECONSUMER": "key groupname consumername",
    b"XGROUP|DELCONSUMER": "key groupname consumername",
    b"XGROUP|DESTROY": "key groupname",
    b"XGROUP|SETID": "key groupname id(id|new_id=$) [ENTRIESREAD entries_read:integer]",
    b"XINFO|CONSUMERS": "key groupname",
    b"XINFO|GROUPS": "key",
    b"XINFO|STREAM": "key [FULL full{[COUNT count:integer]}]",
    b"XLEN": "key",
    b"XPENDING": (
        "key group [filters{[IDLE min-idle-time:integer] start end count:integer [consumer]}]"
    ),
    b"XRANGE": "key start end [COUNT count:integer]",
    b"XREAD": "[COUNT count:integer] [BLOCK milliseconds:integer] STREAMS streams{key... id...}",
    b"XREADGROUP": (
        "GROUP group_consumer{group consumer} [COUNT count:integer] [BLOCK milliseconds:integer] "
        "[NOACK] STREAMS streams{key... id...}"
    ),
    b"XREVRANGE": "key end start [COUNT count:integer]",
    b"XSETID": (
        "key last-id [ENTRIESADDED entries_added:integer] [MAXDELETEDID max_deleted_entry_id]"
    ),
    b"XTRIM": (
        "key trim{strategy(MAXLEN|MINID) [operator(equal==|approximately=~)] threshold [LIMIT "
        "count:integer]}"
    ),
}
