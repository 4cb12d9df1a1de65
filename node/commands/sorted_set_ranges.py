"""Ranges of sorted sets: by rank, by score, by the bytes of members; answered, counted, removed,
stored. Whatever a range is told by, it becomes two ranks.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import inf, nextafter
from typing import TYPE_CHECKING

from ...proto.reply import PairsReply, Reply
from ..data.sorted_set import SortedSet
from ..errors import CommandError
from .arguments import int_argument, syntax_error
from .context import REPLY_BYTES_MAX
from .doubles import parse_bound
from .sorted_sets import check_reply

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..data.keyspace import Keyspace
    from ..request import Args
    from .context import Context


class By(Enum):
    RANK = "rank"
    SCORE = "score"
    LEX = "lex"


@dataclass(slots=True)
class Scores:
    """From one score to another, each perhaps left out itself."""

    low: float
    high: float
    is_low_out: bool
    is_high_out: bool

    def ranks_in(self, value: SortedSet) -> tuple[int, int]:
        """The rank of the first in it, and the one behind the last; no range if not ascending."""
        if not self.is_low_out and not self.is_high_out:
            return value.ranks_between(self.low, self.high)
        return (
            _rank_beyond(value, self.low) if self.is_low_out else value.rank_of(self.low),
            value.rank_of(self.high) if self.is_high_out else _rank_beyond(value, self.high),
        )


def _rank_beyond(value: SortedSet, score: float) -> int:
    """How many members have that score or a lower one."""
    return len(value) if score == inf else value.rank_of(nextafter(score, inf))


@dataclass(slots=True)
class Members:
    """From one member to another: `- + [member (member` as Redis writes them."""

    low: bytes
    high: bytes

    def ranks_in(self, value: SortedSet) -> tuple[int, int]:
        return _lex_rank(value, self.low, is_end=False), _lex_rank(value, self.high, is_end=True)


def _lex_rank(value: SortedSet, bound: bytes, *, is_end: bool) -> int:
    kind, member = bound[:1], bound[1:]
    if kind in (b"-", b"+"):
        return 0 if kind == b"-" else len(value)
    # Behind a member comes first the same one with a zero byte.
    return value.lex_rank_of(member + b"\0" if (kind == b"[") == is_end else member)


@dataclass(slots=True)
class Ranks:
    """From one rank to another, both in it, from the end if negative."""

    first: int
    last: int
    is_reverse: bool = False

    def ranks_in(self, value: SortedSet) -> tuple[int, int]:
        size = len(value)
        first = self.first + size if self.first < 0 else self.first
        stop = (self.last + size if self.last < 0 else self.last) + 1
        first, stop = max(0, min(size, first)), max(0, min(size, stop))
        return (size - stop, size - first) if self.is_reverse else (first, stop)


Range = Scores | Members | Ranks


def score_range(low: bytes, high: bytes) -> Scores:
    is_low_out, is_high_out = low[:1] == b"(", high[:1] == b"("
    low_score = parse_bound(low[1:] if is_low_out else low)
    high_score = parse_bound(high[1:] if is_high_out else high)
    if low_score is None or high_score is None:
        raise _not_a_float()
    return Scores(low_score, high_score, is_low_out, is_high_out)


def _not_a_float() -> CommandError:
    return CommandError("min or max is not a float")


def _member_range(low: bytes, high: bytes) -> Members:
    for bound in (low, high):
        kind = bound[:1]
        # Redis looks for the end of a string of C behind the two signs.
        if kind not in (b"-", b"+", b"[", b"(") or (
            kind in b"-+" and bound[1:2] not in (b"", b"\0")
        ):
            raise CommandError("min or max not valid string range item")
    return Members(low, high)


# --- ZRANGE, its older kin, and ZRANGESTORE.


@dataclass(slots=True)
class _Asked:
    """What the words of a ZRANGE say."""

    by: By | None
    is_reverse: bool | None
    is_scored: bool = False
    offset: int = 0
    count: int = -1


def zrange(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """ZRANGE key start stop [BYSCORE|BYLEX] [REV] [LIMIT offset count] [WITHSCORES]: members."""
    if len(args) == 4:
        return _members(keys, args[1], Ranks(int_argument(args[2]), int_argument(args[3])))
    return _answer(keys, args, _Asked(None, None))


def zrevrange(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """ZREVRANGE key start stop [WITHSCORES]: members by rank, the last first."""
    return _answer(keys, args, _Asked(By.RANK, is_reverse=True))


def zrangebyscore(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """ZRANGEBYSCORE key min max [WITHSCORES] [LIMIT offset count]: members."""
    return _answer(keys, args, _Asked(By.SCORE, is_reverse=False))


def zrevrangebyscore(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """ZREVRANGEBYSCORE key max min [WITHSCORES] [LIMIT offset count]: members, the last first."""
    return _answer(keys, args, _Asked(By.SCORE, is_reverse=True))


def zrangebylex(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """ZRANGEBYLEX key min max [LIMIT offset count]: members."""
    return _answer(keys, args, _Asked(By.LEX, is_reverse=False))


def zrevrangebylex(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """ZREVRANGEBYLEX key max min [LIMIT offset count]: members, the last first."""
    return _answer(keys, args, _Asked(By.LEX, is_reverse=True))


def _answer(keys: Keyspace, args: Args, asked: _Asked) -> Reply:
    _read_words(asked, args[4:], is_stored=False)
    wanted = _range(asked, args[2], args[3])
    value = keys.find(args[1], SortedSet)
    if value is None:
        return []
    start, stop = _limited(asked, *wanted.ranks_in(value))
    if start >= stop:
        return []
    if value.size_bytes() > REPLY_BYTES_MAX:
        check_reply(value.members(start, stop))
    if asked.is_scored:
        pairs = value.slice(start, stop)
        return PairsReply(tuple(reversed(pairs) if asked.is_reverse else pairs))
    members = value.members(start, stop)
    if asked.is_reverse:
        members.reverse()
    return members


def _members(keys: Keyspace, key: bytes, wanted: Ranks) -> Reply:
    """A range by rank without options: what most are."""
    value = keys.find(key, SortedSet)
    if value is None:
        return []
    start, stop = wanted.ranks_in(value)
    members = value.members(start, stop)
    if value.size_bytes() > REPLY_BYTES_MAX:
        check_reply(members)
    return members


def zrangestore(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """ZRANGESTORE target key start stop [BYSCORE|BYLEX] [REV] [LIMIT offset count]: how many
    members are stored."""
    asked = _Asked(None, None)
    _read_words(asked, args[5:], is_stored=True)
    wanted = _range(asked, args[3], args[4])
    value = keys.find(args[2], SortedSet)
    if value is None:
        stored = SortedSet()
    else:
        stored = value.part(*_limited(asked, *wanted.ranks_in(value)), ctx.settings)
    return store_value(keys, args[1], stored, "zrangestore", ctx)


def store(
    keys: Keyspace,
    target: bytes,
    pairs: Iterable[tuple[bytes, float]],
    event: str,
    ctx: Context,
) -> int:
    """Make `target` hold these elements and nothing else, whatever it was; how many they are."""
    return store_value(keys, target, SortedSet.of(pairs, ctx.settings), event, ctx)


def store_value(keys: Keyspace, target: bytes, value: SortedSet, event: str, ctx: Context) -> int:
    """The same of a set that is made already."""
    if value:
        if not keys.exists(target):
            ctx.notify("n", "new", target)
        keys.put(target, value)
        ctx.notify("z", event, target)
    elif keys.delete(target):
        ctx.notify("g", "del", target)
    return len(value)


def _read_words(asked: _Asked, words: Args, *, is_stored: bool) -> None:
    is_by_open, is_way_open = asked.by is None, asked.is_reverse is None
    place = 0
    while place < len(words):
        option = words[place].upper()
        if option == b"WITHSCORES" and not is_stored:
            asked.is_scored = True
        elif option == b"LIMIT" and place + 2 < len(words):
            asked.offset = int_argument(words[place + 1])
            asked.count = int_argument(words[place + 2])
            place += 2
        elif option == b"REV" and is_way_open and asked.is_reverse is None:
            asked.is_reverse = True
        elif option in (b"BYLEX", b"BYSCORE") and is_by_open and asked.by is None:
            asked.by = By.LEX if option == b"BYLEX" else By.SCORE
        else:
            raise syntax_error()
        place += 1
    asked.by = asked.by or By.RANK
    if asked.count != -1 and asked.by is By.RANK:
        raise CommandError(
            "syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX"
        )
    if asked.is_scored and asked.by is By.LEX:
        raise CommandError("syntax error, WITHSCORES not supported in combination with BYLEX")


def _range(asked: _Asked, first: bytes, second: bytes) -> Range:
    is_reverse = bool(asked.is_reverse)
    if asked.by is By.RANK:
        return Ranks(int_argument(first), int_argument(second), is_reverse)
    low, high = (second, first) if is_reverse else (first, second)
    return score_range(low, high) if asked.by is By.SCORE else _member_range(low, high)


def _limited(asked: _Asked, start: int, stop: int) -> tuple[int, int]:
    """What LIMIT leaves of ranks from `start` to before `stop`."""
    if asked.by is By.RANK:
        return start, stop
    if asked.offset < 0:
        return 0, 0
    if asked.is_reverse:
        stop -= asked.offset
        return (max(start, stop - asked.count) if asked.count >= 0 else start), max(0, stop)
    start += asked.offset
    return start, (min(stop, start + asked.count) if asked.count >= 0 else stop)


# --- Counting and removing.


def zcount(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """ZCOUNT key min max: how many members have such scores."""
    return _count(keys, args[1], score_range(args[2], args[3]))


def zlexcount(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """ZLEXCOUNT key min max: how many members are in a range of bytes."""
    return _count(keys, args[1], _member_range(args[2], args[3]))


def _count(keys: Keyspace, key: bytes, wanted: Range) -> int:
    value = keys.find(key, SortedSet)
    if value is None:
        return 0
    start, stop = wanted.ranks_in(value)
    return max(0, stop - start)


def zremrangebyrank(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """ZREMRANGEBYRANK key start stop: how many members were removed."""
    wanted = Ranks(int_argument(args[2]), int_argument(args[3]))
    return _remove(keys, args[1], wanted, "zremrangebyrank", ctx)


def zremrangebyscore(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """ZREMRANGEBYSCORE key min max: how many members were removed."""
    low, high = args[2], args[3]
    if low[:1] == b"(" or high[:1] == b"(":
        return _remove(keys, args[1], score_range(low, high), "zremrangebyscore", ctx)
    # As `score_range`, without an object for what most are.
    low_score, high_score = parse_bound(low), parse_bound(high)
    if low_score is None or high_score is None:
        raise _not_a_float()
    value = _to_cut(keys, args[1])
    if value is None:
        return 0
    start, stop = value.ranks_between(low_score, high_score)
    return _remove_between(keys, args[1], value, start, stop, "zremrangebyscore", ctx)


def zremrangebylex(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """ZREMRANGEBYLEX key min max: how many members were removed."""
    return _remove(keys, args[1], _member_range(args[2], args[3]), "zremrangebylex", ctx)


def _to_cut(keys: Keyspace, key: bytes) -> SortedSet | None:
    """For `_remove_between`: to be changed already, unless somebody watches, who is not to be told
    in vain."""
    return keys.find(key, SortedSet) if keys.watches.watched else keys.change(key, SortedSet)


def _remove(keys: Keyspace, key: bytes, wanted: Range, event: str, ctx: Context) -> int:
    value = _to_cut(keys, key)
    if value is None:
        return 0
    start, stop = wanted.ranks_in(value)
    return _remove_between(keys, key, value, start, stop, event, ctx)


def _remove_between(
    keys: Keyspace, key: bytes, value: SortedSet, start: int, stop: int, event: str, ctx: Context
) -> int:
    if start >= stop:
        return 0
    if ctx.events is not None:
        ctx.notify("z", event, key)
    if stop - start == len(value):
        keys.delete(key)
        ctx.notify("g", "del", key)
    else:
        if keys.watches.watched:
            value = keys.change_found(key, value)
        value.drop(start, stop)
    return stop - start
