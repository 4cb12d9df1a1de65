"""Rows of the command table: sorted sets."""

from __future__ import annotations

from ..command import (
    ACCESS,
    BLOCKING,
    FAST,
    GROWS,
    NO_KEYS,
    NOSCRIPT,
    ONE,
    ONE_SHARD,
    READ,
    SORTED_SET,
    TWO,
    UPDATES,
    VARIES,
    WRITE,
    Command,
    Counted,
    KeyRange,
)
from ..doc import Doc

_STORED = "OW update; RO access"
_DELETES = "RW delete"
_TAKES = "RW access delete"
_BUT_LAST = KeyRange(1, -2, 1)  # Behind the keys there is a timeout.
_WAITS = WRITE | NOSCRIPT | FAST | BLOCKING


# fmt: off
ROWS: tuple[Command, ...] = (
    #       name             arity  flags                 keys  category
    Command(b"BZMPOP",          -5, WRITE | BLOCKING,     NO_KEYS, SORTED_SET, key_flags=_TAKES,
            finder=Counted(2)),
    Command(b"BZPOPMAX",        -3, _WAITS,           _BUT_LAST, SORTED_SET, key_flags=_TAKES),
    Command(b"BZPOPMIN",        -3, _WAITS,           _BUT_LAST, SORTED_SET, key_flags=_TAKES),
    Command(b"ZADD",            -4, WRITE | GROWS | FAST, ONE,  SORTED_SET, key_flags="RW update"),
    Command(b"ZCARD",            2, READ | FAST,          ONE,  SORTED_SET, key_flags="RO"),
    Command(b"ZCOUNT",           4, READ | FAST,          ONE,  SORTED_SET, key_flags=ACCESS),
    Command(b"ZDIFF",           -3, READ,                 NO_KEYS, SORTED_SET, key_flags=ACCESS,
            finder=Counted(1)),
    Command(b"ZDIFFSTORE",      -4, WRITE | GROWS,        ONE,  SORTED_SET, key_flags=_STORED,
            finder=Counted(2, target=1)),
    Command(b"ZINCRBY",          4, WRITE | GROWS | FAST, ONE,  SORTED_SET, key_flags=UPDATES),
    Command(b"ZINTER",          -3, READ,                 NO_KEYS, SORTED_SET, key_flags=ACCESS,
            finder=Counted(1)),
    Command(b"ZINTERCARD",      -3, READ,                 NO_KEYS, SORTED_SET, key_flags=ACCESS,
            finder=Counted(1)),
    Command(b"ZINTERSTORE",     -4, WRITE | GROWS,        ONE,  SORTED_SET, key_flags=_STORED,
            finder=Counted(2, target=1)),
    Command(b"ZLEXCOUNT",        4, READ | FAST,          ONE,  SORTED_SET, key_flags=ACCESS),
    Command(b"ZMPOP",           -4, WRITE,                NO_KEYS, SORTED_SET, key_flags=_TAKES,
            finder=Counted(1)),
    Command(b"ZMSCORE",         -3, READ | FAST,          ONE,  SORTED_SET, key_flags=ACCESS),
    Command(b"ZPOPMAX",         -2, WRITE | FAST,         ONE,  SORTED_SET, key_flags=_TAKES),
    Command(b"ZPOPMIN",         -2, WRITE | FAST,         ONE,  SORTED_SET, key_flags=_TAKES),
    Command(b"ZRANDMEMBER",     -2, READ,                 ONE,  SORTED_SET, ONE_SHARD, VARIES,
            key_flags=ACCESS),
    Command(b"ZRANGE",          -4, READ,                 ONE,  SORTED_SET, key_flags=ACCESS),
    Command(b"ZRANGEBYLEX",     -4, READ,                 ONE,  SORTED_SET, key_flags=ACCESS),
    Command(b"ZRANGEBYSCORE",   -4, READ,                 ONE,  SORTED_SET, key_flags=ACCESS),
    Command(b"ZRANGESTORE",     -5, WRITE | GROWS,        TWO,  SORTED_SET, key_flags=_STORED),
    Command(b"ZRANK",           -3, READ | FAST,          ONE,  SORTED_SET, key_flags=ACCESS),
    Command(b"ZREM",            -3, WRITE | FAST,         ONE,  SORTED_SET, key_flags=_DELETES),
    Command(b"ZREMRANGEBYLEX",   4, WRITE,                ONE,  SORTED_SET, key_flags=_DELETES),
    Command(b"ZREMRANGEBYRANK",  4, WRITE,                ONE,  SORTED_SET, key_flags=_DELETES),
    Command(b"ZREMRANGEBYSCORE", 4, WRITE,                ONE,  SORTED_SET, key_flags=_DELETES),
    Command(b"ZREVRANGE",       -4, READ,                 ONE,  SORTED_SET, key_flags=ACCESS),
    Command(b"ZREVRANGEBYLEX",  -4, READ,                 ONE,  SORTED_SET, key_flags=ACCESS),
    Command(b"ZREVRANGEBYSCORE", -4, READ,                ONE,  SORTED_SET, key_flags=ACCESS),
    Command(b"ZREVRANK",        -3, READ | FAST,          ONE,  SORTED_SET, key_flags=ACCESS),
    Command(b"ZSCAN",           -3, READ,                 ONE,  SORTED_SET, ONE_SHARD, VARIES,
            key_flags=ACCESS),
    Command(b"ZSCORE",           3, READ | FAST,          ONE,  SORTED_SET, key_flags=ACCESS),
    Command(b"ZUNION",          -3, READ,                 NO_KEYS, SORTED_SET, key_flags=ACCESS,
            finder=Counted(1)),
    Command(b"ZUNIONSTORE",     -4, WRITE | GROWS,        ONE,  SORTED_SET, key_flags=_STORED,
            finder=Counted(2, target=1)),
)
# fmt: on

_GROUP = "sorted-set"
_LOG = "O(log N) where N is the number of members"
_RANGE = "O(log N + M) where N is the number of members and M of those answered"
_REMOVED = "O(log N + M) where N is the number of members and M of those removed"
_ALGEBRA = "O(N + M log M) where N is the number of members named and M of those in the result"
_ZRANGE = "`ZRANGE` with the `!"


def _doc(
    since: str, complexity: str, summary: str, deprecated_since: str = "", replaced_by: str = ""
) -> Doc:
    return Doc(_GROUP, since, complexity, summary, deprecated_since, replaced_by)


DOCS: dict[bytes, Doc] = {
    b"BZMPOP": _doc(
        "7.0.0",
        "O(K + M log N) where K is the number of keys, N of members and M of those removed",
        "Removes members of the lowest or highest scores from the first set that has any; waits"
        " for some.",
    ),
    b"BZPOPMAX": _doc(
        "5.0.0",
        _LOG,
        "Removes the member of the highest score from the first set that has any; waits for one.",
    ),
    b"BZPOPMIN": _doc(
        "5.0.0",
        _LOG,
        "Removes the member of the lowest score from the first set that has any; waits for one.",
    ),
    b"ZADD": _doc(
        "1.2.0",
        "O(log N) for each member, where N is the number of members",
        "Adds members with scores to a sorted set, or sets their scores, on conditions if asked.",
    ),
    b"ZCARD": _doc("1.2.0", "O(1)", "Answers how many members a sorted set has."),
    b"ZCOUNT": _doc("2.0.0", _LOG, "Counts the members with scores in a range."),
    b"ZDIFF": _doc(
        "6.2.0", _ALGEBRA, "Answers the members of the first set that are in none of the others."
    ),
    b"ZDIFFSTORE": _doc(
        "6.2.0", _ALGEBRA, "Stores the members of the first set that are in none of the others."
    ),
    b"ZINCRBY": _doc("1.2.0", _LOG, "Adds a number to the score of a member; an absent one is 0."),
    b"ZINTER": _doc("6.2.0", _ALGEBRA, "Answers the members that are in all of several sets."),
    b"ZINTERCARD": _doc(
        "7.0.0",
        "O(N) where N is the number of members of the smallest set",
        "Counts the members that are in all of several sets.",
    ),
    b"ZINTERSTORE": _doc("2.0.0", _ALGEBRA, "Stores the members that are in all of several sets."),
    b"ZLEXCOUNT": _doc(
        "2.8.9", _LOG, "Counts the members in a range of bytes, where all scores are the same."
    ),
    b"ZMPOP": _doc(
        "7.0.0",
        "O(K + M log N) where K is the number of keys, N of members and M of those removed",
        "Removes members of the lowest or highest scores from the first set that is not empty.",
    ),
    b"ZMSCORE": _doc(
        "6.2.0", "O(N) where N is the number of members named", "Answers the scores of members."
    ),
    b"ZPOPMAX": _doc("5.0.0", _REMOVED, "Removes members of the highest scores and answers them."),
    b"ZPOPMIN": _doc("5.0.0", _REMOVED, "Removes members of the lowest scores and answers them."),
    b"ZRANDMEMBER": _doc(
        "6.2.0",
        "O(M log N) where N is the number of members and M of those answered",
        "Answers members at random.",
    ),
    b"ZRANGE": _doc("1.2.0", _RANGE, "Answers the members in a range of ranks, scores or bytes."),
    b"ZRANGEBYLEX": _doc(
        "2.8.9", _RANGE, "Answers the members in a range of bytes.", "6.2.0", _ZRANGE + "BYLEX`"
    ),
    b"ZRANGEBYSCORE": _doc(
        "1.0.5", _RANGE, "Answers the members in a range of scores.", "6.2.0", _ZRANGE + "BYSCORE`"
    ),
    b"ZRANGESTORE": _doc(
        "6.2.0", _RANGE, "Stores the members in a range of ranks, scores or bytes."
    ),
    b"ZRANK": _doc("2.0.0", _LOG, "Answers how many members come before one, by score."),
    b"ZREM": _doc(
        "1.2.0",
        "O(M log N) where N is the number of members and M of those removed",
        "Removes members.",
    ),
    b"ZREMRANGEBYLEX": _doc("2.8.9", _REMOVED, "Removes the members in a range of bytes."),
    b"ZREMRANGEBYRANK": _doc("2.0.0", _REMOVED, "Removes the members in a range of ranks."),
    b"ZREMRANGEBYSCORE": _doc("1.2.0", _REMOVED, "Removes the members in a range of scores."),
    b"ZREVRANGE": _doc(
        "1.2.0",
        _RANGE,
        "Answers the members in a range of ranks, the highest first.",
        "6.2.0",
        _ZRANGE + "REV`",
    ),
    b"ZREVRANGEBYLEX": _doc(
        "2.8.9",
        _RANGE,
        "Answers the members in a range of bytes, the last first.",
        "6.2.0",
        _ZRANGE + "REV` and `!BYLEX`",
    ),
    b"ZREVRANGEBYSCORE": _doc(
        "2.2.0",
        _RANGE,
        "Answers the members in a range of scores, the highest first.",
        "6.2.0",
        _ZRANGE + "REV` and `!BYSCORE`",
    ),
    b"ZREVRANK": _doc("2.0.0", _LOG, "Answers how many members come behind one, by score."),
    b"ZSCAN": _doc(
        "2.8.0",
        "O(1) for each call, O(N) for a whole walk",
        "Walks over the members and their scores, some at a time.",
    ),
    b"ZSCORE": _doc("1.2.0", "O(1)", "Answers the score of a member."),
    b"ZUNION": _doc("6.2.0", _ALGEBRA, "Answers the members that are in any of several sets."),
    b"ZUNIONSTORE": _doc("2.0.0", _ALGEBRA, "Stores the members that are in any of several sets."),
}

ARGUMENTS: dict[bytes, str] = {
    b"BZMPOP": "timeout:double numkeys:integer key... where(MIN|MAX) [COUNT count:integer]",
    b"BZPOPMAX": "key... timeout:double",
    b"BZPOPMIN": "key... timeout:double",
    b"ZADD": (
        "key [condition(NX|XX)] [comparison(GT|LT)] [change=CH] [increment=INCR] "
        "score_member{score:double member}..."
    ),
    b"ZCARD": "key",
    b"ZCOUNT": "key min:double max:double",
    b"ZDIFF": "numkeys:integer key... [WITHSCORES]",
    b"ZDIFFSTORE": "destination:key numkeys:integer key...",
    b"ZINCRBY": "key increment:integer member",
    b"ZINTER": (
        "numkeys:integer key... [WEIGHTS weight:integer...] [AGGREGATE aggregate(SUM|MIN|MAX)] "
        "[WITHSCORES]"
    ),
    b"ZINTERCARD": "numkeys:integer key... [LIMIT limit:integer]",
    b"ZINTERSTORE": (
        "destination:key numkeys:integer key... [WEIGHTS weight:integer...] [AGGREGATE "
        "aggregate(SUM|MIN|MAX)]"
    ),
    b"ZLEXCOUNT": "key min max",
    b"ZMPOP": "numkeys:integer key... where(MIN|MAX) [COUNT count:integer]",
    b"ZMSCORE": "key member...",
    b"ZPOPMAX": "key [count:integer]",
    b"ZPOPMIN": "key [count:integer]",
    b"ZRANDMEMBER": "key [options{count:integer [WITHSCORES]}]",
    b"ZRANGE": (
        "key start stop [sortby(BYSCORE|BYLEX)] [REV] [LIMIT offset_count{offset:integer "
        "count:integer}] [WITHSCORES]"
    ),
    b"ZRANGEBYLEX": "key min max [LIMIT offset_count{offset:integer count:integer}]",
    b"ZRANGEBYSCORE": (
        "key min:double max:double [WITHSCORES] [LIMIT offset_count{offset:integer count:integer}]"
    ),
    b"ZRANGESTORE": (
        "dst:key src:key min max [sortby(BYSCORE|BYLEX)] [REV] [LIMIT offset_count{offset:integer "
        "count:integer}]"
    ),
    b"ZRANK": "key member [WITHSCORE]",
    b"ZREM": "key member...",
    b"ZREMRANGEBYLEX": "key min max",
    b"ZREMRANGEBYRANK": "key start:integer stop:integer",
    b"ZREMRANGEBYSCORE": "key min:double max:double",
    b"ZREVRANGE": "key start:integer stop:integer [WITHSCORES]",
    b"ZREVRANGEBYLEX": "key max min [LIMIT offset_count{offset:integer count:integer}]",
    b"ZREVRANGEBYSCORE": (
        "key max:double min:double [WITHSCORES] [LIMIT offset_count{offset:integer count:integer}]"
    ),
    b"ZREVRANK": "key member [WITHSCORE]",
    b"ZSCAN": "key cursor:integer [MATCH pattern:pattern] [COUNT count:integer]",
    b"ZSCORE": "key member",
    b"ZUNION": (
        "numkeys:integer key... [WEIGHTS weight:integer...] [AGGREGATE aggregate(SUM|MIN|MAX)] "
        "[WITHSCORES]"
    ),
    b"ZUNIONSTORE": (
        "destination:key numkeys:integer key... [WEIGHTS weight:integer...] [AGGREGATE "
        "aggregate(SUM|MIN|MAX)]"
    ),
}
