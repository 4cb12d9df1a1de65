"""Sorted sets: scores, ranks of single members, pops, members at random.

Ranges have a module of their own (`sorted_set_ranges.py`), and so have unions, intersections and
differences (`sorted_set_algebra.py`).
"""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING, Final

from ...proto.reply import NULL_ARRAY, PairsReply, Reply
from ...proto.resp import format_double
from ..data.sorted_set import Pairs, SortedSet
from ..errors import CommandError
from .arguments import INT_MAX, int_argument, not_a_float, parse_int, syntax_error
from .context import REPLY_BYTES_MAX
from .doubles import PLAIN_MAX, double_argument, parse_double
from .scanning import scan_cursor, scan_options, scan_reply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..data.keyspace import Keyspace
    from ..request import Args
    from .context import Context

RANDOM_MAX: Final = 1 << 18  # Members that ZRANDMEMBER answers when it may repeat them.

_SHARE: Final = 8  # Of a set, from which on it is cheaper to look at all of it.
_LISTPACK_INT: Final = float(INT_MAX // 2)  # Whole scores up to it are integers in a listpack.
_ZADD_WORDS = frozenset((b"NX", b"XX", b"GT", b"LT", b"CH", b"INCR"))


# --- Scores.


def zadd(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """ZADD key [NX|XX] [GT|LT] [CH] [INCR] score member ...: how many were added, with CH also
    those changed; with INCR the score, or nil."""
    if len(args) != 4 or keys.watches.watched:
        return _add(keys, args, ctx, is_increment=False)
    # What most are, with few calls.
    _, key, text, member = args
    score = float(int(text)) if text.isdigit() and len(text) <= PLAIN_MAX else _only_score(text)
    value = keys.change(key, SortedSet)
    if value is None:
        add_key(keys, key, member, score, ctx)
        before = None
    else:
        before = value.put(member, score, ctx.settings)
    if ctx.events is not None and before != score:
        ctx.notify("z", "zadd", key)
    return int(before is None)


def zincrby(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """ZINCRBY key number member: the score, `number` more now."""
    if not keys.watches.watched:
        return _increment_one(keys, args, ctx)
    return _add(keys, args, ctx, is_increment=True)


def _add(keys: Keyspace, args: Args, ctx: Context, *, is_increment: bool) -> Reply:
    words, pairs = _zadd_arguments(args)
    is_increment = is_increment or b"INCR" in words
    _check_zadd(words, len(pairs), is_increment=is_increment)
    scores = [(double_argument(score), member) for score, member in pairs]
    key = args[1]
    value = keys.find(key, SortedSet)
    if value is None and b"XX" in words:
        return None if is_increment else 0
    plan = _planned(value, scores, words, is_increment=is_increment)
    if plan.changes:
        if value is None:
            keys.put(key, SortedSet.of(plan.changes.items(), ctx.settings))
            ctx.notify("n", "new", key)
        else:
            value = keys.change_found(key, value)
            for member, score in plan.changes.items():
                value.put(member, score, ctx.settings)
        ctx.notify("z", "zincr" if is_increment else "zadd", key)
    if is_increment:
        return plan.score
    return plan.added + plan.updated if b"CH" in words else plan.added


def add_key(keys: Keyspace, key: bytes, member: bytes, score: float, ctx: Context) -> None:
    value = SortedSet()
    value.put(member, score, ctx.settings)
    keys.put(key, value)
    ctx.notify("n", "new", key)


def _increment_one(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """ZINCRBY key number member, while no key is watched."""
    _, key, text, member = args
    score = _only_score(text)
    value = keys.find(key, SortedSet)
    before = None if value is None else value.score(member)
    if before is not None:
        score += before
        if isnan(score):
            raise _not_a_number()
    if value is None:
        add_key(keys, key, member, score, ctx)
    elif score != before:
        keys.change_found(key, value).put(member, score, ctx.settings)
    if score != before and ctx.events is not None:
        ctx.notify("z", "zincr", key)
    return score


def _only_score(text: bytes) -> float:
    score = parse_double(text)
    if score is None:
        # An option where the one score should stand is no score, but no number at fault either.
        raise syntax_error() if text.upper() in _ZADD_WORDS else not_a_float()
    return score


def _not_a_number() -> CommandError:
    return CommandError("resulting score is not a number (NaN)")


def _zadd_arguments(args: Args) -> tuple[frozenset[bytes], list[tuple[bytes, bytes]]]:
    """Options of ZADD, and scores with members."""
    place = 2
    while place < len(args) and args[place].upper() in _ZADD_WORDS:
        place += 1
    rest = args[place:]
    if not rest or len(rest) % 2:
        raise syntax_error()
    words = frozenset([word.upper() for word in args[2:place]])
    return words, list(zip(rest[::2], rest[1::2], strict=True))


def _check_zadd(words: frozenset[bytes], count: int, *, is_increment: bool) -> None:
    if words >= {b"NX", b"XX"}:
        raise CommandError("XX and NX options at the same time are not compatible")
    if len(words & {b"NX", b"GT", b"LT"}) > 1:
        raise CommandError("GT, LT, and/or NX options at the same time are not compatible")
    if is_increment and count > 1:
        raise CommandError("INCR option supports a single increment-element pair")


class _Plan:
    """What a ZADD is going to do. A member can come several times."""

    __slots__ = ("added", "changes", "score", "updated")

    def __init__(self) -> None:
        self.changes: dict[bytes, float] = {}  # Scores to set, in order.
        self.added = 0
        self.updated = 0  # Times that the score of a member changes.
        self.score: float | None = None  # The last one, whether it changes or is so already.


def _planned(
    value: SortedSet | None,
    scores: list[tuple[float, bytes]],
    words: frozenset[bytes],
    *,
    is_increment: bool,
) -> _Plan:
    plan = _Plan()
    for score, member in scores:
        before = plan.changes.get(member)
        if before is None and value is not None:
            before = value.score(member)
        if before is None:
            if b"XX" not in words:
                plan.changes[member] = plan.score = score
                plan.added += 1
            continue
        if b"NX" in words:
            continue
        after = before + score if is_increment else score
        if isnan(after):
            raise _not_a_number()
        if (b"GT" in words and after <= before) or (b"LT" in words and after >= before):
            continue
        plan.score = after
        if after != before:
            plan.changes[member] = after
            plan.updated += 1
    return plan


def zscore(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """ZSCORE key member: its score, or nil."""
    value = keys.find(args[1], SortedSet)
    return None if value is None else value.score(args[2])


def zmscore(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """ZMSCORE key member ...: their scores, nil for those that are not there."""
    value = keys.find(args[1], SortedSet)
    return [None if value is None else value.score(member) for member in args[2:]]


def zcard(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """ZCARD key: how many members it has."""
    return len(keys.find(args[1], SortedSet) or ())


def zrem(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """ZREM key member ...: how many were there."""
    key = args[1]
    if keys.watches.watched and not _has_any(keys.find(key, SortedSet), args[2:]):
        return 0  # To look at it first spares those who watch the key.
    value = keys.change(key, SortedSet)
    if value is None:
        return 0
    if len(args) == 3:
        removed = int(value.remove(args[2]))
    else:
        removed = sum([value.remove(member) for member in args[2:]])
    if removed:
        if ctx.events is not None:
            ctx.notify("z", "zrem", key)
        if not value:
            keys.delete(key)
            ctx.notify("g", "del", key)
    return removed


def _has_any(value: SortedSet | None, members: Sequence[bytes]) -> bool:
    return value is not None and any(value.score(member) is not None for member in members)


# --- Ranks of single members.


def zrank(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """ZRANK key member [WITHSCORE]: how many members are before it, or nil."""
    return _rank(keys, args, "zrank", is_reverse=False)


def zrevrank(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """ZREVRANK key member [WITHSCORE]: how many members are behind it, or nil."""
    return _rank(keys, args, "zrevrank", is_reverse=True)


def _rank(keys: Keyspace, args: Args, command: str, *, is_reverse: bool) -> Reply:
    if len(args) > 4:
        raise CommandError(f"wrong number of arguments for '{command}' command")
    is_scored = len(args) == 4
    if is_scored and args[3].upper() != b"WITHSCORE":
        raise syntax_error()
    value = keys.find(args[1], SortedSet)
    rank = None if value is None else value.rank(args[2])
    if value is None or rank is None:
        return NULL_ARRAY if is_scored else None
    if is_reverse:
        rank = len(value) - 1 - rank
    return [rank, value.score(args[2])] if is_scored else rank


# --- Pops.


def zpopmin(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """ZPOPMIN key [count]: the members of the lowest scores, which are removed."""
    if len(args) == 2:
        return _pop_one(keys, args[1], ctx, is_max=False)
    return _pop(keys, args, ctx, is_max=False)


def zpopmax(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """ZPOPMAX key [count]: the members of the highest scores, which are removed."""
    if len(args) == 2:
        return _pop_one(keys, args[1], ctx, is_max=True)
    return _pop(keys, args, ctx, is_max=True)


def _pop(keys: Keyspace, args: Args, ctx: Context, *, is_max: bool) -> Reply:
    if len(args) > 3:
        raise syntax_error()
    count = _at_least(0, args[2], "value is out of range, must be positive")
    popped = pop_from(keys, args[1], count, ctx, is_max=is_max)
    return PairsReply(tuple(popped)) if popped else []


def _pop_one(keys: Keyspace, key: bytes, ctx: Context, *, is_max: bool) -> Reply:
    value = keys.change(key, SortedSet)
    if value is None:
        return []
    member, score, left = value.pop(is_max=is_max)
    if ctx.events is not None:
        ctx.notify("z", "zpopmax" if is_max else "zpopmin", key)
    if not left:
        keys.delete(key)
        ctx.notify("g", "del", key)
    return [member, score]


def zmpop(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """ZMPOP numkeys key ... MIN|MAX [COUNT count]: the first key that has members, and those of the
    lowest or highest scores, which are removed; nil if there is none."""
    names, is_max, count = mpop_arguments(args[1:])
    for key in names:
        popped = pop_from(keys, key, count, ctx, is_max=is_max)
        if popped:
            return [key, [list(pair) for pair in popped]]
    return NULL_ARRAY


def mpop_arguments(args: Sequence[bytes]) -> tuple[Sequence[bytes], bool, int]:
    """Keys, whether MAX, and count of `numkeys key ... MIN|MAX [COUNT count]`."""
    number = _at_least(1, args[0], "numkeys should be greater than 0")
    names, rest = args[1 : 1 + number], args[1 + number :]
    if not rest or rest[0].upper() not in (b"MIN", b"MAX"):
        raise syntax_error()
    count = 1
    if len(rest) > 1:
        if len(rest) < 3 or rest[1].upper() != b"COUNT":
            raise syntax_error()
        count = _at_least(1, rest[2], "count should be greater than 0")
        if len(rest) > 3:
            raise syntax_error()
    return names, rest[0].upper() == b"MAX", count


def _at_least(low: int, text: bytes, error: str) -> int:
    number = parse_int(text)
    if number is None or number < low:
        raise CommandError(error)
    return number


def pop_from(keys: Keyspace, key: bytes, count: int, ctx: Context, *, is_max: bool) -> Pairs:
    """Remove up to `count` members of the lowest or highest scores, in that order."""
    if count == 0:
        keys.find(key, SortedSet)
        return []
    value = keys.change(key, SortedSet)
    if value is None:
        return []
    size = len(value)
    count = min(count, size)
    start, stop = (size - count, size) if is_max else (0, count)
    if value.size_bytes() > REPLY_BYTES_MAX:
        check_reply(value.members(start, stop))  # Nothing has been changed yet.
    ctx.notify("z", "zpopmax" if is_max else "zpopmin", key)
    if count == size:
        popped = value.slice(0, size)
        keys.delete(key)
        ctx.notify("g", "del", key)
    else:
        popped = value.delete(start, stop)
    return popped[::-1] if is_max else popped


def check_reply(members: Sequence[bytes]) -> None:
    if sum(map(len, members)) > REPLY_BYTES_MAX:
        raise CommandError("the members are larger than a reply may be (512 MiB)")


# --- At random, and all of them some at a time.


def zrandmember(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """ZRANDMEMBER key [count [WITHSCORES]]: a member, or `count` different ones, or with a negative
    count that many, some of them perhaps several times."""
    if len(args) == 2:
        value = keys.find(args[1], SortedSet)
        if value is None:
            return None
        rank = int(ctx.draws()() * len(value))
        return value.members(rank, rank + 1)[0]
    count = int_argument(args[2])
    if count < -INT_MAX:
        raise CommandError(f"value is out of range, value must between {-INT_MAX} and {INT_MAX}")
    if len(args) > 4 or (len(args) == 4 and args[3].upper() != b"WITHSCORES"):
        raise syntax_error()
    if len(args) == 4 and abs(count) > INT_MAX // 2:
        raise CommandError("value is out of range")
    value = keys.find(args[1], SortedSet)
    if value is None or count == 0:
        return []
    pairs = _picked(value, _ranks(len(value), count, ctx))
    check_reply([member for member, _ in pairs])
    return PairsReply(tuple(pairs)) if len(args) == 4 else [member for member, _ in pairs]


def _ranks(size: int, count: int, ctx: Context) -> Sequence[int]:
    """That many numbers below `size`, different ones if `count` is positive."""
    draw = ctx.draws(abs(count))
    if count < 0:
        if -count > RANDOM_MAX:
            raise CommandError(f"no more than {RANDOM_MAX} members at a time if they may repeat")
        return [int(draw() * size) for _ in range(-count)]
    if count >= size:
        return range(size)
    # Robert Floyd's sampling: each choice of `count` numbers is as likely as any other.
    chosen: dict[int, None] = {}
    for last in range(size - count, size):
        number = int(draw() * (last + 1))
        chosen[last if number in chosen else number] = None
    return list(chosen)


def _picked(value: SortedSet, ranks: Sequence[int]) -> Pairs:
    if len(ranks) * _SHARE > len(value):
        pairs = value.slice(0, len(value))
        return [pairs[rank] for rank in ranks]
    return [value.slice(rank, rank + 1)[0] for rank in ranks]


def zscan(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """ZSCAN key cursor [MATCH pattern] [COUNT number]: the next cursor, members and scores."""
    cursor = scan_cursor(args[2])
    value = keys.find(args[1], SortedSet)
    if value is None:
        return [b"0", []]
    options = scan_options(args)
    cursor, pairs = value.page(cursor, options.count)
    return scan_reply(
        cursor,
        [
            word
            for member, score in pairs
            if options.matches(member)
            for word in (member, _scanned(score, value))
        ],
    )


def _scanned(score: float, value: SortedSet) -> bytes:
    """A score as ZSCAN has it: as Redis keeps it, which in a listpack is an integer if it can."""
    if value.is_listpack and abs(score) <= _LISTPACK_INT and score == int(score):
        return b"%d" % int(score)
    return format_double(score).encode()
