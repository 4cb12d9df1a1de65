"""Commands of every data row made by chance: mostly right, often wrong, sometimes absurd.

TEMPLATES has lines a command may look like. Words in capitals stand for themselves; a small letter
is a word of POOLS or a key of a type (KEYS); `e+` is one or several of them, `[ ... ]` may be
missing. `command` fills one in and then perhaps spoils it.
"""

from __future__ import annotations

from hashlib import sha1
from random import Random

from trimaran.cluster.commands import COMMANDS
from trimaran.node.commands import HANDLERS
from trimaran.node.data.dump import with_footer
from trimaran.node.data.rdb import write_length, write_string

# A letter for each type: the keys of that type; `k` is any key, n is a new one mostly.
KEYS = {
    "t": [b"t:text", b"t:number", b"t:float", b"t:empty", b"t:long", b"t:hll", b"t:sparse"],
    "l": [b"l:small", b"l:large", b"l:wide"],
    "s": [b"s:ints", b"s:small", b"s:large", b"s:bigints"],
    "h": [b"h:small", b"h:large", b"h:expiring", b"h:expiring-large"],
    "z": [b"z:small", b"z:large", b"z:geo", b"z:inf"],
    "x": [b"x:small", b"x:large", b"x:empty"],
    "n": [b"n:0", b"n:1", b"", b"\xff\x00\n"],
}
ALL_KEYS = [key for keys in KEYS.values() for key in keys]

INTEGERS = [
    b"0", b"1", b"-1", b"2", b"3", b"-3", b"5", b"7", b"10", b"17", b"64", b"100", b"-100", b"1000",
    b"600", b"-600", b"99999",
]  # fmt: skip
WILD_INTEGERS = [
    b"2147483647", b"2147483648", b"-2147483648", b"-2147483649", b"4294967295", b"4294967296",
    b"9223372036854775807", b"9223372036854775808", b"-9223372036854775807",
    b"-9223372036854775808", b"-9223372036854775809", b"18446744073709551615",
    b"18446744073709551616", b"536870911", b"536870912", b"1000000000", b"-1000000000",
    b"4611686018427387904", b"-4611686018427387904", b"1" * 400, b"+1", b"01", b" 1", b"1 ",
    b"-0", b"0x10", b"1e3", b"1_0", b"\xd9\xa1", b"\xb2", b"",
]  # fmt: skip
FLOATS = [
    b"0", b"1", b"-1", b"0.1", b"-0.0", b"3.5", b"1e3", b"17", b"-2.5e-3", b"inf", b"-inf",
    b"+inf", b"1e308", b"5e-324", b"180", b"-85",
]  # fmt: skip
WILD_FLOATS = [
    b"nan", b"-nan", b"1e309", b"-1e400", b"infinity", b"0x1p3", b"1_0", b" 1", b"1 ", b"", b".",
    b"1e", b"--1", b"1" * 400, b"1." + b"0" * 400 + b"1", b"1e-400", b"\xd9\xa1", b"1,5", b"(1",
    b"1.7976931348623157e308", b"1e4932", b"1e5000",
]  # fmt: skip
TEXTS = [
    b"a", b"b", b"c", b"m1", b"m7", b"m500", b"f1", b"f2", b"f300", b"1", b"7", b"500", b"",
    b"x" * 64, b"x" * 65, b"\x00", b"\xff\xfe", b"\r\n", b"*", b"MIN", b"FIELDS", b"COUNT",
    b"long" * 300, b"9223372036854775807", b"3.5", b"-1",
]  # fmt: skip
PATTERNS = [
    b"*", b"?", b"[a-z]*", b"[^a]*", b"m*", b"\\*", b"[", b"[a", b"a" * 20 + b"*" * 20, b"*1*2*",
    b"", b"*" * 50 + b"b", b"[z-a]?", b"\\", b"[\\", b"h:*->a*", b"t:*", b"#", b"*->*", b"x:*",
]  # fmt: skip
IDS = [
    b"*", b"0", b"0-0", b"0-1", b"5", b"5-*", b"5-0", b"100-1", b"1000000-*", b"2000000-0", b"$",
    b">", b"-", b"+", b"(5-0", b"(-", b"18446744073709551615-18446744073709551615",
    b"18446744073709551615-*", b"18446744073709551616-0", b"-1-1", b"1-", b"-", b"x", b"1-1-1", b"",
    b"(18446744073709551615-18446744073709551615", b"(0-0", b"300", b"17-3", b"9223372036854775808",
]  # fmt: skip
POOLS = {
    "i": INTEGERS,
    "f": FLOATS,
    "e": TEXTS,
    "p": PATTERNS,
    "d": IDS,
    "q": [b"0", b"1", b"2", b"3"],  # Database.
    "u": [b"NX", b"XX", b"GT", b"LT"],
    "y": [b"u8", b"i64", b"u63", b"u64", b"i1", b"u1", b"i65", b"u0", b"x", b"u", b"i-1", b"u08"],
    "o": [
        b"0",
        b"#1",
        b"7",
        b"#0",
        b"-1",
        b"#-1",
        b"100",
        b"4294967288",
        b"#536870912",
        b"#",
        b"1 ",
    ],
    "v": [b"-", b"+", b"[a", b"(m3", b"[", b"(", b"m", b"", b"[\xff", b"-inf"],
    "w": [b"-inf", b"+inf", b"(1", b"5", b"(inf", b"(", b"nan", b"(nan", b"1e3", b"x", b"500"],
    "g": [b"g", b"g2", b"", b"absent"],
    "c": [b"c1", b"c2", b"c3", b"", b"new"],
    "j": [b"m", b"km", b"ft", b"mi", b"M", b"x"],
    "a": [b"LEFT", b"RIGHT", b"left", b"UP"],
    "b": [b"BEFORE", b"AFTER", b"after", b"X"],
    "m": [b"MIN", b"MAX", b"max", b"X"],
    "r": [b"ASC", b"DESC", b"ANY", b"WITHCOORD", b"WITHDIST", b"WITHHASH", b"COUNT"],
    "B": [b"AND", b"OR", b"XOR", b"NOT", b"not", b"ANDOR", b""],
    "L": [  # Scripts: in one piece, failing behind a write, without an end, and no Lua at all.
        b"return redis.call('SET', KEYS[1], ARGV[1])",
        b"return redis.pcall(unpack(ARGV))",
        b"redis.call('APPEND', KEYS[1], 'x') return redis.call('LPUSH', KEYS[1], 'y')",
        b"redis.call('SADD', KEYS[1], unpack(ARGV)) error({err='MINE half'})",
        b"for at = 1, #KEYS do redis.pcall('RENAME', KEYS[at], 'n:1') end return {1, {2, 'x'}}",
        b"redis.call('DEL', KEYS[1]) while true do redis.pcall('HINCRBY', KEYS[1], 'f', 1) end",
        b"local t = {} t[1] = t return t",
        b"return math.random() .. cjson.encode({a = redis.call('TIME')}) .. redis.sha1hex('')",
        b"#!lua flags=no-writes\nreturn redis.call('DEL', KEYS[1])",
        b"#!lua flags=x\nreturn 1",
        b"return (",
        b"\xff\x00",
        b"",
    ],
    "H": [sha1(body, usedforsecurity=False).hexdigest().encode() for body in (
        b"return redis.pcall(unpack(ARGV))", b"return 1",
    )] + [b"F" * 40, b"x", b""],
    "F": [
        b"#!lua name=one\nredis.register_function('half', function(keys, args)"
        b" redis.call('SET', keys[1], args[1]) return redis.call('LPUSH', keys[1], 'x') end)",
        b"#!lua name=two\nredis.register_function{function_name='peek', flags={'no-writes'},"
        b" callback=function(keys) return redis.call('TYPE', keys[1]) end}",
        b"#!lua name=two\nredis.register_function('half', redis.call)",
        b"#!lua name=three\nredis.call('SET', 't:text', 'x')",
        b"#!lua\nreturn 1",
        b"",
    ],
    "G": [b"half", b"peek", b"absent", b""],
    "N": [b"one", b"two", b"", b"*", b"absent"],
}  # fmt: skip

TEMPLATES = """
APPEND t e | DECR t | DECRBY t i | GET k | GETDEL k
GETEX t [EX i] [PX i] [EXAT i] [PXAT i] [PERSIST] | GETRANGE t i i | GETSET k e | INCR t
INCRBY t i | INCRBYFLOAT t f | SUBSTR t i i | STRLEN k
LCS t t [LEN] [IDX] [MINMATCHLEN i] [WITHMATCHLEN] | MGET k+ | MSET k e k e | MSETNX n e k e
PSETEX k i e | SET k e [NX] [XX] [GET] [EX i] [PX i] [PXAT i] [KEEPTTL] | SETEX k i e | SETNX n e
SETRANGE t i e | BITCOUNT t [i i] | BITCOUNT t i i BIT | BITPOS t q [i] [i] [BIT]
BITFIELD t [GET y o] [SET y o i] [INCRBY y o i] [OVERFLOW FAIL] [SET y o i]
BITFIELD t OVERFLOW SAT INCRBY y o i GET y o | BITFIELD_RO t GET y o [GET y o] | GETBIT t i
SETBIT t i q | BITOP B t t+ | PFADD t e+ | PFCOUNT t+ | PFDEBUG GETREG t | PFDEBUG ENCODING t
PFDEBUG TODENSE t | PFDEBUG DECODE t | PFMERGE t t+ | COPY k k [DB q] [REPLACE] | DBSIZE | DEL k+
DUMP k | EXISTS k+ | EXPIRE k i [u] | EXPIREAT k i [u] | EXPIRETIME k | FLUSHALL e | FLUSHDB e
KEYS p | MOVE k q | OBJECT|ENCODING ENCODING k | OBJECT|FREQ FREQ k | OBJECT|IDLETIME IDLETIME k
OBJECT|REFCOUNT REFCOUNT k | PERSIST k | PEXPIRE k i [u] | PEXPIREAT k i [u] [u] | PEXPIRETIME k
PTTL k | RANDOMKEY | RENAME k k | RENAMENX k n
RESTORE k i D [REPLACE] [ABSTTL] [IDLETIME i] [FREQ i] | RESTORE k 0 D REPLACE
RESTORE-ASKING k i D REPLACE | SCAN i [MATCH p] [COUNT i] [TYPE e]
SORT k [BY p] [LIMIT i i] [GET p] [GET p] [r] [ALPHA] [STORE k]
SORT_RO k [BY p] [LIMIT i i] [GET p] [ALPHA] | SORT k ALPHA STORE n | SORT k BY e STORE k | TOUCH k+
TTL k | TYPE k | UNLINK k+ | BLMOVE l l a a f | BLMPOP f i l+ a [COUNT i] | BLPOP l+ f | BRPOP l+ f
BRPOPLPUSH l l f | LINDEX l i | LINSERT l b e e | LLEN l | LMOVE l l a a | LMPOP 2 l l a [COUNT i]
LMPOP i l+ a | LPOP l [i] | LPOS l e [RANK i] [COUNT i] [MAXLEN i] | LPUSH l e+ | LPUSHX l e+
LRANGE l i i | LREM l i e | LSET l i e | LTRIM l i i | RPOP l [i] | RPOPLPUSH l l | RPUSH l e+
RPUSHX l e+ | SADD s e+ | SADD s i+ | SCARD s | SDIFF s+ | SDIFFSTORE k s+ | SINTER s+
SINTERCARD i s+ [LIMIT i] | SINTERCARD 2 s s [LIMIT i] | SINTERSTORE k s s | SISMEMBER s e
SMEMBERS s | SMISMEMBER s e+ | SMOVE s s e | SPOP s [i] | SRANDMEMBER s [i] | SREM s e+
SSCAN s i [MATCH p] [COUNT i] | SUNION s+ | SUNIONSTORE k s+ | BZMPOP f i z+ m [COUNT i]
BZPOPMAX z+ f | BZPOPMIN z f | ZADD z [u] [u] [CH] [INCR] f e | ZADD z f e f e f e | ZCARD z
ZCOUNT z w w | ZDIFF 2 z s [WITHSCORES] | ZDIFFSTORE k 2 z z | ZDIFFSTORE k i z+ | ZINCRBY z f e
ZINTER 2 z s [WEIGHTS f f] [AGGREGATE m] [WITHSCORES] | ZINTERCARD 2 z z [LIMIT i]
ZINTERSTORE k 2 z s [WEIGHTS f f] [AGGREGATE m] | ZLEXCOUNT z v v | ZMPOP 1 z m [COUNT i]
ZMPOP i z+ m | ZMSCORE z e+ | ZPOPMAX z [i] | ZPOPMIN z [i] | ZRANDMEMBER z [i] [WITHSCORES]
ZRANGE z i i [REV] [WITHSCORES] | ZRANGE z w w BYSCORE [REV] [LIMIT i i] [WITHSCORES]
ZRANGE z v v BYLEX [LIMIT i i] | ZRANGEBYLEX z v v [LIMIT i i]
ZRANGEBYSCORE z w w [WITHSCORES] [LIMIT i i] | ZRANGESTORE k z i i [REV]
ZRANGESTORE k z w w BYSCORE [LIMIT i i] | ZRANGESTORE k z v v BYLEX REV | ZRANK z e [WITHSCORE]
ZREM z e+ | ZREMRANGEBYLEX z v v | ZREMRANGEBYRANK z i i | ZREMRANGEBYSCORE z w w
ZREVRANGE z i i [WITHSCORES] | ZREVRANGEBYLEX z v v [LIMIT i i]
ZREVRANGEBYSCORE z w w [WITHSCORES] [LIMIT i i] | ZREVRANK z e [WITHSCORE]
ZSCAN z i [MATCH p] [COUNT i] | ZSCORE z e | ZUNION 2 z s [WEIGHTS f f] [AGGREGATE m] [WITHSCORES]
ZUNIONSTORE k 2 z s [WEIGHTS f f] [AGGREGATE SUM] | ZUNIONSTORE k i z+ | GEOADD z [u] [CH] f f e
GEODIST z e e [j] | GEOHASH z e+ | GEOPOS z e+
GEORADIUS z f f f j [r] [r] [COUNT i] [ANY] [STORE k] [STOREDIST k]
GEORADIUSBYMEMBER z e f j [r] [COUNT i] [STORE k] | GEORADIUSBYMEMBER_RO z e f j [r] [COUNT i]
GEORADIUS_RO z f f f j [r] [r]
GEOSEARCH z FROMLONLAT f f BYRADIUS f j [r] [COUNT i] [ANY] [WITHDIST]
GEOSEARCH z FROMMEMBER e BYBOX f f j [r] [WITHCOORD]
GEOSEARCHSTORE k z FROMLONLAT f f BYBOX f f j [COUNT i] [STOREDIST]
GEOSEARCHSTORE k z FROMMEMBER e BYRADIUS f j [COUNT i] [ANY] [STOREDIST] | HDEL h e+ | HEXISTS h e
HEXPIRE h i [u] FIELDS 2 e e | HEXPIREAT h i [u] FIELDS 1 e | HEXPIRETIME h FIELDS 2 e e | HGET h e
HGETALL h | HGETDEL h FIELDS 2 e e | HGETEX h [EX i] [PX i] [PERSIST] FIELDS 1 e | HINCRBY h e i
HINCRBYFLOAT h e f | HKEYS h | HLEN h | HMGET h e+ | HMSET h e e e e | HPERSIST h FIELDS 2 e e
HPEXPIRE h i [u] FIELDS 3 e e e | HPEXPIREAT h i [u] FIELDS i e+ | HPEXPIRETIME h FIELDS 1 e
HPTTL h FIELDS i e+ | HRANDFIELD h [i] [WITHVALUES] | HSCAN h i [MATCH p] [COUNT i] [NOVALUES]
HSET h e e e e | HSETEX h [FNX] [EX i] [PX i] [KEEPTTL] FIELDS 2 e e e e | HSETNX h e e
HSTRLEN h e | HTTL h FIELDS 2 e e | HVALS h | XACK x g d+ | XADD x [NOMKSTREAM] * e e
XADD x MAXLEN ~ i * e e e e | XADD x [MAXLEN i] [MINID d] [LIMIT i] d e e
XAUTOCLAIM x g c i d [COUNT i] [JUSTID]
XCLAIM x g c i d+ [IDLE i] [TIME i] [RETRYCOUNT i] [FORCE] [JUSTID] [LASTID d]
XCLAIM x g c 0 5-0 7-0 FORCE | XDEL x d+ | XGROUP|CREATE CREATE x g d [MKSTREAM] [ENTRIESREAD i]
XGROUP|CREATECONSUMER CREATECONSUMER x g c | XGROUP|DELCONSUMER DELCONSUMER x g c
XGROUP|DESTROY DESTROY x g | XGROUP|SETID SETID x g d [ENTRIESREAD i]
XINFO|CONSUMERS CONSUMERS x g | XINFO|GROUPS GROUPS x | XINFO|STREAM STREAM x [FULL] [COUNT i]
XLEN x | XPENDING x g [IDLE i] [d d i] [c] | XPENDING x g - + i c | XRANGE x d d [COUNT i]
XREAD [COUNT i] [BLOCK i] STREAMS x x d d | XREAD STREAMS x d
XREADGROUP GROUP g c [COUNT i] [BLOCK i] [NOACK] STREAMS x >
XREADGROUP GROUP g c [COUNT i] STREAMS x x > d | XREVRANGE x d d [COUNT i]
XSETID x d [ENTRIESADDED i] [MAXDELETEDID d] | XTRIM x MAXLEN [~] i [LIMIT i]
XTRIM x MINID [=] d [LIMIT i] | DEBUG|DIGEST-VALUE DIGEST-VALUE k+ | DEBUG|OBJECT OBJECT k
MEMORY|USAGE USAGE k [SAMPLES i]
EVAL L 1 k e+ | EVAL L 2 k k e+ | EVAL L 1 k SET k e | EVAL L i k+ | EVAL_RO L 1 k e
EVALSHA H 1 k e | EVALSHA_RO H 1 k e | SCRIPT|LOAD LOAD L | SCRIPT|EXISTS EXISTS H H
SCRIPT|FLUSH FLUSH [SYNC]
FUNCTION|LOAD LOAD [REPLACE] F | FUNCTION|DELETE DELETE N | FUNCTION|FLUSH FLUSH [ASYNC]
FUNCTION|LIST LIST [LIBRARYNAME N] [WITHCODE] | FUNCTION|DUMP DUMP | FUNCTION|STATS STATS
FUNCTION|RESTORE RESTORE D [REPLACE] | FCALL G 1 k e | FCALL G i k+ | FCALL_RO G 1 k
"""


def _parsed(text: str) -> list[str | list[str]]:
    """Words of a template; a list is what may be missing."""
    words: list[str | list[str]] = []
    optional: list[str] | None = None
    for word in text.split():
        if word.startswith("["):
            optional = []
            words.append(optional)
        (words if optional is None else optional).append(word.strip("[]"))
        if word.endswith("]"):
            optional = None
    return words


PARSED = [_parsed(one) for line in TEMPLATES.strip().splitlines() for one in line.split(" | ")]


def templates_missing() -> set[bytes]:
    """Handlers no template calls."""
    rows = [one for row in COMMANDS.values() for one in (row, *row.subcommands)]
    played = {str(words[0]).encode() for words in PARSED}
    return {one.name for one in rows if one.name in HANDLERS} - played


class Hostile:
    """Commands from one source of chance."""

    def __init__(self, seed: int) -> None:
        self._rng = Random(seed)
        self.payloads: list[bytes] = []  # What DUMP has answered.

    def chance(self, part: float) -> bool:
        return self._rng.random() < part

    def below(self, count: int) -> int:
        return int(self._rng.random() * count)

    def pick(self, words: list[bytes]) -> bytes:
        return words[self.below(len(words))]

    def command(self) -> list[bytes]:
        """One that a door would let pass: its row exists, and its arity fits."""
        while True:
            words = self._filled(PARSED[self.below(len(PARSED))])
            name, _, sub = words[0].partition(b"|")
            row = COMMANDS[name]
            row = row.by_word[sub] if sub else row
            while self.chance(0.25):
                self._spoil(words, 2 if sub else 1)
            if row.accepts(len(words)):
                return words

    def _filled(self, template: list[str | list[str]]) -> list[bytes]:
        words: list[bytes] = []
        for part in template:
            if isinstance(part, str):
                words += self._words(part)
            elif self.chance(0.4):
                words += [word for one in part for word in self._words(one)]
        return words

    def _words(self, sign: str) -> list[bytes]:
        if sign.endswith("+"):
            count = 1 + self.below(3) if self.chance(0.95) else 40 + self.below(200)
            return [self._word(sign[:-1]) for _ in range(count)]
        return [self._word(sign)]

    def _word(self, sign: str) -> bytes:
        if sign == "D":
            return self._payload()
        if sign in KEYS:
            return self.pick(KEYS[sign] if self.chance(0.85) else ALL_KEYS)
        if sign == "k":
            return self.pick(ALL_KEYS)
        if sign in POOLS:
            if sign == "e" and self.chance(0.2):
                return b"%s%d" % (self.pick([b"m", b"f", b""]), self.below(700))
            if sign == "i" and self.chance(0.3):
                return b"%d" % (self.below(2000) - 1000)
            if sign in "if" and self.chance(0.15):
                return self.pick(WILD_INTEGERS if sign == "i" else WILD_FLOATS)
            return self.pick(POOLS[sign])
        return sign.encode()

    def _spoil(self, words: list[bytes], start: int) -> None:
        if len(words) <= start:
            return
        place = start + self.below(len(words) - start)
        dice = self.below(7)
        if dice == 0:
            del words[place]
        elif dice == 1:
            words.insert(place, words[start + self.below(len(words) - start)])
        elif dice == 2:
            other = start + self.below(len(words) - start)
            words[place], words[other] = words[other], words[place]
        elif dice == 3:
            words[place] = words[place].swapcase()
        elif dice == 4:
            words[place] = self.pick([*WILD_INTEGERS, *WILD_FLOATS, *ALL_KEYS])
        elif dice == 5:
            words[place] = self.pick([*TEXTS, *IDS, *PATTERNS, b"\x00" * 300])
        else:
            words.append(self.pick([b"COUNT", b"LIMIT", b"STORE", b"1", b"", b"BLOCK", b"NX"]))

    def _payload(self) -> bytes:
        """Of DUMP, as it was or with a byte changed, and a footer that is right."""
        if not self.payloads or self.chance(0.05):
            body = bytes([self.below(26)]) + write_length(self.below(4)) + write_string(b"a" * 30)
            return with_footer((body, bytes([self.below(256) for _ in range(self.below(30))])))
        payload = self.pick(self.payloads)
        if self.chance(0.3):
            return payload
        changed = bytearray(payload[:-10])
        for _ in range(1 + self.below(3)):
            if not changed:
                break
            place = self.below(min(len(changed), 200)) if self.chance(0.7) else -1
            if self.chance(0.2):
                del changed[place]
            else:
                changed[place] = (
                    self.pick([b"\x00", b"\xff", b"\x80", b"\x01", b"\x7f"])[0]
                    if (self.chance(0.5))
                    else self.below(256)
                )
        return with_footer((bytes(changed),), 12)
