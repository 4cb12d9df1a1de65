"""Words from which arguments are made: few of each kind, so that commands meet, and odd ones.

A pool belongs to an argument of one command (`COMMAND.argument`), to all of a name, or to a type.
What would take long is in none: waits for more than a moment, hundreds of megabytes, times to live
that end during a run.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha1
from typing import TYPE_CHECKING, Final

from .driver import Driver, Word, words

if TYPE_CHECKING:
    from random import Random

FAR_S: Final = 4_102_444_800  # The year 2100.
LONG_MS: Final = 1_000_000_000  # Idle for so long is nobody by himself.
TYPES: Final = ("string", "integer", "double", "pattern", "unix-time")
# Found in the place of any number, now and then.
EDGES = words(
    *("9223372036854775807", "-9223372036854775808", "9223372036854775808", "-0", "+1", "01"),
    *("", " 1", "1.0", "-9223372036854775809", "123456789012345678901", "1e3", "-", "x"),
)

NO_NUMBERS = words("", "-", "x", "-9223372036854775809")

_SMALL = ["0", "1", "1", "2", "3", "4", "7", "-1", "-2", "12"]
_WORDS: list[Word] = ["a", "b", "c", "a", "b", "", "12", "7", "-3", "1.5", "x" * 65, b"\0\xff"]
_SCORES = ["0", "1", "-1", "2", "3", "1.5", "-0.5", "1e3", "+5", "inf", "-inf", "0x10"]
_BAD_SCORES = ["nan", "x", "", "1e400", " 1", "(1"]
_BOUNDS = [*_SCORES, "(1", "(2", "(0", "(-inf", "(", "x"]
_LEX = ["-", "+", "[a", "[b", "(a", "(b", "[", "(", "[12", "a", ""]
_INDEXES = ["0", "1", "2", "-1", "-2", "-3", "5", "100", "-100"]
_IDS = [*(f"12-{number}" for number in range(8)), "0", "0-1", "5-1", "12", "13-0", "x", "5-", "-5"]
_LAST_IDS = [*_IDS, "18446744073709551615-18446744073709551615"]
_ENDS = ["-", "+", "-", "+", "(12-2", "(12-5", "12-3", "0", "13", "(", "$"]
_OFFSETS = ["0", "1", "7", "8", "30", "99", "-1", "4294967296"]
_LENGTHS = ["0", "1", "100", "500.5", "3000", "25000", "1e7", "-1", "x", "nan"]
_SPANS = ["100000", "200000", "200001", "0", "-1"]
_SPANS_MS = ["100000000", "200000499", "200000500", "0", "-1"]
_SHORT = [*["0.001"] * 8, "1e-3", "-1", "x", "inf"]
_GROUPS = ["g", "g", "g", "h", ""]
_CONSUMERS = ["c", "c", "d", ""]
_MEMBERS = [*(f"p{number}" for number in range(6)), "a"]
_WIDTHS = ["u1", "u8", "i8", "i5", "u13", "i64", "u63", "u64", "x8"]
SCRIPTS = [
    "return redis.call('GET', KEYS[1])",
    "return {#KEYS, ARGV[1] or false}",
    "return redis.pcall('INCR', KEYS[1])",
    "return redis.call('TYPE', KEYS[1])",
    "return redis.error_reply('MINE no')",
    "return redis.pcall('SADD', KEYS[1], 'a', ARGV[1])",
    "#!lua flags=no-writes\nreturn redis.pcall('SET', KEYS[1], 'x')",
]
_SHA1S = [sha1(text.encode(), usedforsecurity=False).hexdigest() for text in SCRIPTS]
LIBRARY = """#!lua name={name}
redis.register_function{{function_name='{name}1', flags={{'no-writes'}},
  callback=function(keys, args) return {{#keys, args[1] or false}} end}}
redis.register_function('{name}2', function(keys) return redis.call('TYPE', keys[1]) end)"""
_LIBRARIES = [*(LIBRARY.format(name=name) for name in "lmlm"), "#!lua name=m\nreturn 1", "return 1"]


def _dumps() -> list[Word]:
    driver = Driver()
    for line in ("SET s text", "SET n 12", "RPUSH l a b 3", "SADD i 1 2 3", "SADD m a b"):
        driver.run(*line.split())
    for line in ("HSET h a 1 b 2", "ZADD z 1 a 2.5 b", "XADD x 12-1 a b", "PFADD p a b c"):
        driver.run(*line.split())
    dumped = [driver.run("DUMP", key) for key in "snlimhzxp"]
    return [one for one in dumped if isinstance(one, bytes)]


def _function_dumps() -> list[Word]:
    found: list[Word] = []
    for names in ("l", "lm", ""):
        driver = Driver()
        for name in names:
            driver.run("FUNCTION", "LOAD", LIBRARY.format(name=name))
        dumped = driver.run("FUNCTION", "DUMP")
        assert isinstance(dumped, bytes)
        found.append(dumped)
    return found


_POOLS: dict[str, list[Word]] = {
    # By type.
    "string": _WORDS,
    "integer": [*_SMALL],
    "double": [*_SCORES, *_BAD_SCORES],
    "pattern": ["*", "?", "a", "[ab]", "w*", "*a*", "", "{tag}*", "[^a]*"],
    "unix-time": [FAR_S, FAR_S + 3, 1, 1_000_000_000, 0, -1],
    # By name.
    "bit": ["0", "1", "0", "1", "2"],
    "consumer": [*_CONSUMERS],
    "consumername": [*_CONSUMERS],
    "count": ["0", "1", "2", "3", "10", "-1"],
    "cursor": ["0"],
    "encoding": [*_WIDTHS],
    "end": [*_INDEXES, *_ENDS],
    "entries_added": ["0", "3", "20", "300", "-1"],
    "entries_read": ["0", "1", "3", "-1", "-2"],
    "frequency": ["0", "7", "255", "256"],
    "function": ["l1", "l2", "m1", "m2", "nothing"],
    "function-code": [*_LIBRARIES],
    "group": [*_GROUPS],
    "groupname": [*_GROUPS],
    "height": [*_LENGTHS],
    "id": [*_IDS],
    "index": [*_INDEXES],
    "last-id": [*_LAST_IDS],
    "library-name": ["l", "m", "nothing"],
    "library-name-pattern": ["*", "l", "?", "x*"],
    "max_deleted_entry_id": [*_IDS],
    "member1": [*_MEMBERS],
    "member2": [*_MEMBERS],
    "milliseconds": [*_SPANS_MS],
    "min-idle-time": ["0", "0", LONG_MS, "-1", "x"],
    "ms": ["0", "100000", 2 * LONG_MS, "-5"],
    "offset": [*_OFFSETS],
    "operation": ["AND", "OR", "XOR", "NOT", "and", "BOGUS"],
    "radius": [*_LENGTHS],
    "rank": ["1", "2", "-1", "-2", "0"],
    "script": [*SCRIPTS, "return ("],
    "seconds": [*_SPANS],
    "serialized-value": [*_dumps(), b"", b"\0\x01x\x0a\0" + b"\0" * 8],
    "sha1": [*_SHA1S, "ffff", "0" * 40],
    "start": [*_INDEXES],
    "stop": [*_INDEXES],
    "threshold": ["0", "1", "2", "5", "100", "12-2", "12-4", "13", "-1"],
    "timeout": [*_SHORT],
    "ttl": ["0", "0", "100000000", "200000001", "-1"],
    "type": ["string", "LIST", "zset", "hash", "stream", "set", "x"],
    "unix-time-milliseconds": [FAR_S * 1000, FAR_S * 1000 + 499, 1, 1_000_000_000_000, 0, -1],
    "weight": [*_SCORES, "x", "nan"],
    "width": [*_LENGTHS],
    # By command.
    "BITFIELD.offset": ["0", "1", "9", "100", "#0", "#1", "#3", "#x", "-1"],
    "BITFIELD.value": ["0", "1", "-1", "255", "-128", "300"],
    "BITFIELD.increment": ["0", "1", "-1", "100", "-300"],
    "BITFIELD_RO.offset": ["0", "1", "9", "100", "#0", "#1", "#3", "#x", "-1"],
    "FUNCTION|RESTORE.serialized-value": [*_function_dumps(), b"x"],
    "HINCRBYFLOAT.increment": ["0", "1", "1.5", "-0.25", "1e3", "inf", "x"],
    "INCRBYFLOAT.increment": ["0", "1", "1.5", "-0.25", "1e3", "inf", "x"],
    "HRANDFIELD.count": ["0", "1", "3", "-1", "-5", "100"],
    "SRANDMEMBER.count": ["0", "1", "3", "-1", "-5", "100"],
    "ZRANDMEMBER.count": ["0", "1", "3", "-1", "-5", "100"],
    "PFDEBUG.subcommand": ["ENCODING", "decode", "TODENSE", "GETREG", "x"],
    "RESTORE.seconds": ["0", "100000000", "-1"],  # Milliseconds, whatever they are called.
    "SETBIT.value": ["0", "1", "0", "1", "2"],
    "SETRANGE.offset": ["0", "1", "5", "50", "536870913", "-1"],
    "SORT.offset": ["0", "1", "2", "-1", "-3"],
    "SORT_RO.offset": ["0", "1", "2", "-1", "-3"],
    "XADD.id": [*(f"{number}-*" for number in range(10, 14)), *["12-*"] * 8, *_LAST_IDS],
    "XAUTOCLAIM.start": ["0", "-", "12-3", "(12-1", "x"],
    "XCLAIM.unix-time-milliseconds": ["0", "1000000", "-1"],
    "XGROUP|CREATE.id": ["0", "0", "12-2", "12", "x"],
    "XPENDING.start": ["-", "-", "-", "12-1", "(12-2", "x"],
    "XPENDING.end": ["+", "+", "+", "12-5", "(12-4", "x"],
    "XRANGE.start": [*_ENDS, *_IDS],
    "XRANGE.end": [*_ENDS, *_IDS],
    "XREVRANGE.start": [*_ENDS, *_IDS],
    "XREVRANGE.end": [*_ENDS, *_IDS],
    "XREAD.id": ["0", "0", "12-2", "$", "x"],
    "XREADGROUP.id": [">", ">", ">", ">", "0", "12-2", "x", "$"],
    "XREAD.milliseconds": ["1", "1", "-1"],
    "XREADGROUP.milliseconds": ["1", "1", "-1"],
    "ZINCRBY.increment": [*_SCORES, *_BAD_SCORES],
    **{
        f"{name}.{end}": [*pool]
        for end in ("min", "max")
        for names, pool in (
            ("ZCOUNT ZRANGEBYSCORE ZREMRANGEBYSCORE ZREVRANGEBYSCORE", _BOUNDS),
            ("ZLEXCOUNT ZRANGEBYLEX ZREMRANGEBYLEX ZREVRANGEBYLEX", _LEX),
        )
        for name in names.split()
    },
}
for _name in ("ZRANGE", "ZRANGESTORE", "ZRANGEBYLEX", "ZRANGEBYSCORE", "ZREVRANGEBYLEX"):
    _POOLS[f"{_name}.offset"] = ["0", "0", "1", "2", "-1"]
_POOLS["ZREVRANGEBYSCORE.offset"] = _POOLS["ZRANGE.offset"]
_POOLS["RESTORE-ASKING.seconds"] = _POOLS["RESTORE.seconds"]
for _name in ("GEOADD", "GEOHASH", "GEOPOS", "GEOSEARCH", "GEOSEARCHSTORE", "GEORADIUSBYMEMBER"):
    _POOLS[f"{_name}.member"] = [*_MEMBERS]
_POOLS["GEORADIUSBYMEMBER_RO.member"] = [*_MEMBERS]

POOLS: Final = {name: words(*pool) for name, pool in _POOLS.items()}
# Of these one pool is chosen per command, so that both ends are of one kind.
_RANGES = (words(*_INDEXES), words(*_BOUNDS), words(*_LEX))
MOODS: Final = dict.fromkeys(
    ("ZRANGE.start", "ZRANGE.stop", "ZRANGESTORE.min", "ZRANGESTORE.max"), _RANGES
)


def _degrees(limit: int) -> Callable[[Random], bytes]:
    """No two alike: in which order equally distant places come is left open."""

    def drawn(random: Random) -> bytes:
        if random.random() < 0.05:
            return random.choice([b"nan", b"x", b"1e400", b"", b"181", b"-85.06"])
        return repr((2 * random.random() - 1) * limit).encode()

    return drawn


MADE: Final = {"longitude": _degrees(20), "latitude": _degrees(10)}


def drawn(random: Random, mood: int, command: str, name: str, type_: str) -> bytes:
    """A word for an argument that is no key; the mood is the command's."""
    if name in MADE:
        return MADE[name](random)
    if type_ in ("integer", "double") and random.random() < 0.04 and name not in _NO_EDGES:
        return random.choice(EDGES)
    moods = MOODS.get(f"{command}.{name}")
    if moods:
        return random.choice(moods[mood % len(moods)])
    return random.choice(POOLS.get(f"{command}.{name}") or POOLS.get(name) or POOLS[type_])


# Seconds to live and to wait; and a rank for which Redis 7.0 has no error yet.
_NO_EDGES = {"timeout", "seconds", "milliseconds", "ttl", "offset", "rank"}
