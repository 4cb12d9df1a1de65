"""How the replies to a command are compared, where it is not word by word."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from trimaran.cluster.command import BLOCKING, Command
from trimaran.node.commands.blocking import is_nothing
from trimaran.proto.reply import ErrorReply, MapReply, Reply, SetReply, Status

from .geo import GeoRules
from .hyperloglog import UNCOUNTED
from .sets import words_of
from .streams import without_idle_times, without_times

if TYPE_CHECKING:
    from .targets import Target

SLACK: Final = {b"TTL": 5, b"PTTL": 5_000, b"EXPIRETIME": 5, b"PEXPIRETIME": 5_000}
UNORDERED: Final = {  # Redis has an order of its own.
    *(b"HGETALL", b"HKEYS", b"HVALS", b"KEYS", b"SDIFF", b"SINTER", b"SMEMBERS", b"SUNION"),
    *(b"FUNCTION|LIST",),
}
IN_KIND: Final = {  # Errors by word, other replies by what they are.
    # Chance, and cursors, whose pages are walked by rules of the families:
    *(b"HRANDFIELD", b"RANDOMKEY", b"SRANDMEMBER", b"ZRANDMEMBER"),
    *(b"HSCAN", b"SCAN", b"SSCAN", b"ZSCAN"),
    # How a value is kept; `fresh`, `set_encoding` and others look where it follows from it alone:
    *(b"DUMP", b"FUNCTION|DUMP", b"MEMORY|USAGE", b"OBJECT|ENCODING", b"OBJECT|IDLETIME"),
    *(b"OBJECT|REFCOUNT",),
    # What is due counts until it is removed:
    *(b"DBSIZE",),
    # Of scripts that run elsewhere, and of engines:
    *(b"FUNCTION|STATS",),
}
GEO_SEARCHES: Final = {
    *(b"GEORADIUS", b"GEORADIUSBYMEMBER", b"GEORADIUSBYMEMBER_RO", b"GEORADIUS_RO"),
    *(b"GEOSEARCH", b"GEOSEARCHSTORE"),
}
SPECIAL: Final = {
    *(*SLACK, *UNORDERED, *IN_KIND, *GEO_SEARCHES, b"DEBUG|DIGEST-VALUE", b"DEBUG|OBJECT"),
    *(b"FUNCTION|RESTORE", b"LCS", b"PFCOUNT", b"SORT", b"SORT_RO", b"SPOP", b"XADD"),
    *(b"XINFO|CONSUMERS", b"XINFO|GROUPS", b"XINFO|STREAM", b"XPENDING", b"XREAD", b"XREADGROUP"),
}
# Redis keeps what is due until somebody looks; these tell of it without a look.
UNLOOKED: Final = {b"DEBUG|DIGEST-VALUE", b"DEBUG|OBJECT", b"MEMORY|USAGE"}
NOT_HERE: Final = ErrorReply("ERR", "not played")


class ComparingRules(GeoRules):
    ours: ClassVar[Target]
    redis: ClassVar[Target]
    recent: list[list[bytes]]  # What was played since everything was compared.

    def is_for_both(self, row: Command, args: list[bytes]) -> bool:
        """Whether Redis 7.0 knows it and all that stands for a key is on one shard."""
        prefix = self.ours.prefix
        keys = row.keys_of(args) if prefix and row.accepts(len(args)) else ()
        return not _is_newer(row.name, args) and all(key.startswith(prefix) for key in keys)

    def both(self, args: list[bytes]) -> tuple[Reply, Reply]:
        self.recent.append(args)
        return self.ours.run(args), self.redis.run(args)

    def exactly(self, args: list[bytes], slack: int = 0) -> Reply:
        self.recent.append(args)
        return self.check(*args, slack=slack)

    def compared(self, row: Command, args: list[bytes]) -> object:
        """What Redis answers to a command, which is what we answer, as far as that is said."""
        name = row.name
        if not self.is_for_both(row, args):
            return NOT_HERE
        if name in UNLOOKED and row.accepts(len(args)):
            self.check("EXISTS", *row.keys_of(args))
        if is_lexical(name, args) and row.accepts(len(args)):
            self._make_equal(row.keys_of(args)[-1])
        if name in UNORDERED:
            return self._agreed(args, *map(_unordered, self.both(args)))
        if name in IN_KIND:
            return self._agreed(args, *map(_kind, self.both(args)))
        if name in GEO_SEARCHES:
            return self._geo_search(row, args)
        if name.startswith(b"XINFO|"):
            return self._agreed(args, *map(without_times, self.both(args)))
        return self._special(row, args)

    def _special(self, row: Command, args: list[bytes]) -> object:
        match row.name:
            case b"DEBUG|DIGEST-VALUE" if len(args) < 3:
                return NOT_HERE  # Of one key at least, since keys say which shard is asked.
            case b"DEBUG|OBJECT":
                return self._agreed(args, *map(_first_word, self.both(args)))
            case b"EVAL_RO":  # Only EVAL and SCRIPT LOAD bring what EVALSHA finds.
                self.run_both("SCRIPT", "LOAD", *args[1:2])
            case b"FUNCTION|RESTORE":  # Which of two libraries is in the way is left open.
                return self._agreed(args, *map(_without_library, self.both(args)))
            case b"LCS":
                return self._lcs(args)
            case b"PFCOUNT":
                return self._pfcount(args)
            case b"SCRIPT|EXISTS" if len(args) > 2:
                return self._known_scripts(args)
            case b"SORT" | b"SORT_RO":
                return self._sort(row, args)
            case b"SPOP":
                return self._spop(args)
            case b"XADD" if args.count(b"*") == 1:
                return self._xadd_by_clock(args)
            case b"XPENDING" if len(args) > 3:
                return self._agreed(args, *map(without_idle_times, self.both(args)))
        if row.flags & BLOCKING:
            return self._waiting(args)
        return self.exactly(args, SLACK.get(row.name, 0))

    def _agreed(self, args: list[bytes], ours: object, theirs: object) -> object:
        is_refused = isinstance(theirs, ErrorReply) and getattr(ours, "code", "") == "CROSSSLOT"
        assert is_refused or ours == theirs, f"{args}: {ours!r}, Redis: {theirs!r}"
        return theirs

    def _known_scripts(self, args: list[bytes]) -> object:
        """EVAL brings a body to one shard; it is known when all have it."""
        ours, theirs = self.both(args)
        assert isinstance(ours, list)
        assert isinstance(theirs, list)
        both = [mine and real for mine, real in zip(ours, theirs, strict=True)]
        return self._agreed(args, ours, both)

    def _waiting(self, args: list[bytes]) -> object:
        ours, theirs = self.both(args)
        if is_nothing(ours) and is_nothing(theirs):
            return theirs
        return self._agreed(args, ours, theirs)

    def _scores(self, key: bytes) -> list[tuple[bytes, Reply]]:
        """The members of a sorted set with their scores; none of anything else."""
        told = self.redis.run([b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"])
        if not isinstance(told, list) or not told:
            return []
        if isinstance(told[0], list):
            return [(member, score) for member, score in told]
        return list(zip(told[::2], told[1::2], strict=True))

    def _make_equal(self, key: bytes) -> None:
        """Give all members one score: what lies between words is left open if they have several."""
        if scores := self._scores(key):
            self.check("DEL", key)
            self.check("ZADD", key, *[word for member, _ in scores for word in (0, member)])

    def _make_unequal(self, key: bytes) -> None:
        """Leave one member at each place: which of two comes first is left open."""
        scores = self._scores(key)
        kept = {repr(score): member for member, score in scores}
        if len(kept) < len(scores):
            extra = [member for member, _ in scores if member not in kept.values()]
            self.check("ZREM", key, *extra)

    def _lcs(self, args: list[bytes]) -> object:
        """It may cost less here."""
        ours, theirs = self.both(args)
        if isinstance(ours, ErrorReply) and "are too long for LCS" in ours.text:
            return theirs
        return self._agreed(args, ours, theirs)

    def _spop(self, args: list[bytes]) -> object:
        """What chance took is given back to both."""
        ours, theirs = self.both(args)
        popped = [*words_of(ours), *words_of(theirs)]
        self._agreed(args, _kind(ours), _kind(theirs))
        if popped:
            self.run_both("SADD", args[1], *popped)
        return theirs

    def _pfcount(self, args: list[bytes]) -> object:
        """Redis keeps what it counts in the string."""
        count = self.exactly(args)
        if isinstance(count, int) and len(args) == 2 and self.check("EXISTS", args[1]):
            self.check("SETRANGE", args[1], 8, UNCOUNTED)
        return count

    def _xadd_by_clock(self, args: list[bytes]) -> object:
        """Redis is told the id; the stream goes, since nothing smaller could follow."""
        self.recent.append(args)
        ours = self.ours.run(args)
        given = [ours if one == b"*" and isinstance(ours, bytes) else one for one in args]
        theirs = self.redis.run(given)
        self._agreed(args, ours, theirs)
        if isinstance(ours, bytes):
            self.run_both("DEL", args[1])
        return theirs

    def _sort(self, row: Command, args: list[bytes]) -> object:
        """Redis leaves open the order of a set and of equals; the rule `sort` has more of it."""
        ours, theirs = self.both(args)
        if not isinstance(ours, ErrorReply) and not isinstance(theirs, ErrorReply):
            assert type(ours) is type(theirs), f"{args}: {ours!r}, Redis: {theirs!r}"
        elif not _is_left_open(ours, theirs):
            self._agreed(args, ours, theirs)
        if row.accepts(len(args)):  # A sorted set is kept otherwise from now on.
            self.run_both("DEL", *row.keys_of(args))
        return theirs

    def _geo_search(self, row: Command, args: list[bytes]) -> object:
        if row.accepts(len(args)):
            self._make_unequal(args[2 if row.name == b"GEOSEARCHSTORE" else 1])
        ours, theirs = self.both(args)
        is_any = b"ANY" in map(bytes.upper, args)  # Any will do.
        how = _kind if is_any else _unordered
        self._agreed(args, how(ours), how(theirs))
        if row.accepts(len(args)):
            keys = row.keys_of(args)
            for key in keys[:1] if row.name == b"GEOSEARCHSTORE" else keys[1:]:
                if not is_any:
                    self.check_distances(key)
                self.run_both("DEL", key)
        return theirs


def _is_newer(name: bytes, args: list[bytes]) -> bool:
    """Options of later versions."""
    if name in (b"ZRANK", b"ZREVRANK"):
        return len(args) > 3
    return name == b"HSCAN" and b"NOVALUES" in map(bytes.upper, args)


def is_lexical(name: bytes, args: list[bytes]) -> bool:
    return b"LEX" in name or b"BYLEX" in map(bytes.upper, args)


def _first_word(reply: Reply) -> object:
    """Errors of DEBUG repeat a word, as it came or as the table has it."""
    if isinstance(reply, ErrorReply):
        return reply.text.lower()
    return reply.text.split()[0] if isinstance(reply, Status) else reply


def _without_library(reply: Reply) -> object:
    if isinstance(reply, ErrorReply) and reply.text.endswith("already exists"):
        return ErrorReply(reply.code, "already exists")
    return reply


def _kind(reply: Reply) -> object:
    match reply:
        case ErrorReply() | None | Status():
            return reply
        case MapReply(pairs):
            return ["map", len(pairs)]
        case list() | SetReply():
            return [type(reply).__name__, len(words_of(reply))]
        case _:
            return type(reply).__name__


def _unordered(reply: Reply) -> object:
    match reply:
        case MapReply(pairs):
            return sorted(repr([_unordered(one) for one in pair]) for pair in pairs)
        case SetReply(members):
            return sorted(repr(_unordered(one)) for one in members)
        case list():
            return sorted(repr(_unordered(one)) for one in reply)
        case _:
            return reply


def _is_left_open(ours: Reply, theirs: Reply) -> bool:
    """A pattern in a cluster's database 0; and Redis's stale errno, as in the rule `sort`."""
    is_denied = isinstance(ours, ErrorReply) and "denied in cluster mode" in ours.text
    is_stale = isinstance(theirs, ErrorReply) and "converted into double" in theirs.text
    return is_denied or is_stale
