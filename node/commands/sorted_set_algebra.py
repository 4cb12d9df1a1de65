"""Unions, intersections and differences of sorted sets, and of sets, whose members all score 1."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING, Final

from ...proto.reply import PairsReply, Reply
from ..data.keyspace import wrong_type
from ..data.set import SetValue
from ..data.sorted_set import Pairs, SortedSet
from ..errors import CommandError
from .arguments import int_argument, parse_int, syntax_error
from .doubles import double_argument
from .sorted_set_ranges import store
from .sorted_sets import check_reply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..data.keyspace import Keyspace
    from ..request import Args
    from .context import Context

VISITS_MAX: Final = 1_000_000  # Members that one command may look at, in each set that has them.

_SMALL: Final = 256  # Of sets that are looked at as a whole rather than asked for each member.


def _sum(one: float, other: float) -> float:
    total = one + other
    return 0.0 if isnan(total) else total  # inf - inf, to Redis.


def _lower(one: float, other: float) -> float:
    return other if other < one else one


def _higher(one: float, other: float) -> float:
    return other if other > one else one


_AGGREGATES: Final = {b"SUM": _sum, b"MIN": _lower, b"MAX": _higher}


@dataclass(slots=True)
class _Source:
    value: SortedSet | SetValue | None
    weight: float = 1.0

    def __len__(self) -> int:
        return 0 if self.value is None else len(self.value)

    def items(self) -> Iterable[tuple[bytes, float]]:
        if isinstance(self.value, SortedSet):
            return self.value.items()
        return [] if self.value is None else [(member, 1.0) for member in self.value.members()]

    def finder(self) -> Callable[[bytes], float | None]:
        """To look up scores of members."""
        value = self.value
        if value is None or len(value) <= _SMALL:
            return dict(self.items()).get
        if isinstance(value, SortedSet):
            return value.score
        return lambda member: 1.0 if member in value else None


@dataclass(slots=True)
class _Asked:
    sources: list[_Source]
    aggregate: Callable[[float, float], float] = _sum
    is_scored: bool = False
    limit: int = 0


def zunion(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """ZUNION numkeys key ... [WEIGHTS number ...] [AGGREGATE SUM|MIN|MAX] [WITHSCORES]: members."""
    asked = _asked(keys, args, 1, "zunion")
    return _answer(asked, _union(asked))


def zinter(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """ZINTER numkeys key ... [WEIGHTS number ...] [AGGREGATE SUM|MIN|MAX] [WITHSCORES]: members."""
    asked = _asked(keys, args, 1, "zinter")
    return _answer(asked, _intersection(asked))


def zdiff(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """ZDIFF numkeys key ... [WITHSCORES]: members of the first that are in none of the others."""
    asked = _asked(keys, args, 1, "zdiff")
    return _answer(asked, _difference(asked))


def zunionstore(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """ZUNIONSTORE target numkeys key ... [WEIGHTS number ...] [AGGREGATE SUM|MIN|MAX]: how many."""
    pairs = _union(_asked(keys, args, 2, "zunionstore"))
    return store(keys, args[1], pairs, "zunionstore", ctx)


def zinterstore(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """ZINTERSTORE target numkeys key ... [WEIGHTS number ...] [AGGREGATE SUM|MIN|MAX]: how many."""
    pairs = _intersection(_asked(keys, args, 2, "zinterstore"))
    return store(keys, args[1], pairs, "zinterstore", ctx)


def zdiffstore(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """ZDIFFSTORE target numkeys key ...: how many members are stored."""
    pairs = _difference(_asked(keys, args, 2, "zdiffstore"))
    return store(keys, args[1], pairs, "zdiffstore", ctx)


def zintercard(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """ZINTERCARD numkeys key ... [LIMIT number]: how many members are in all of them."""
    asked = _asked(keys, args, 1, "zintercard")
    return len(_intersection(asked))


def _answer(asked: _Asked, pairs: Pairs) -> Reply:
    ordered = sorted([(score, member) for member, score in pairs])
    members = [member for _, member in ordered]
    check_reply(members)
    if asked.is_scored:
        return PairsReply(tuple([(member, score) for score, member in ordered]))
    return members


# --- What is asked.


def _asked(keys: Keyspace, args: Args, at: int, command: str) -> _Asked:
    """Sources and options; the number of keys stands at place `at`."""
    count = int_argument(args[at])
    if count < 1:
        raise CommandError(f"at least 1 input key is needed for '{command}' command")
    first = at + 1
    if count > len(args) - first:
        raise syntax_error()
    asked = _Asked([_source(keys, key) for key in args[first : first + count]])
    _read_options(asked, args[first + count :], command)
    return asked


def _check_visits(count: int) -> None:
    if count > VISITS_MAX:
        raise CommandError(f"more than {VISITS_MAX} members would have to be looked at")


def _source(keys: Keyspace, key: bytes) -> _Source:
    value = keys.peek(key)
    if value is None or type(value) in (SortedSet, SetValue):
        return _Source(value)
    raise wrong_type()


def _read_options(asked: _Asked, words: Sequence[bytes], command: str) -> None:
    has_scores = command not in ("zdiff", "zdiffstore", "zintercard")
    count = len(asked.sources)
    place = 0
    while place < len(words):
        option, left = words[place].upper(), len(words) - place - 1
        if option == b"WEIGHTS" and has_scores and left >= count:
            for source, text in zip(asked.sources, words[place + 1 :], strict=False):
                source.weight = double_argument(text, "weight value is not a float")
            place += count
        elif option == b"AGGREGATE" and has_scores and left >= 1:
            aggregate = _AGGREGATES.get(words[place + 1].upper())
            if aggregate is None:
                raise syntax_error()
            asked.aggregate = aggregate
            place += 1
        elif option == b"WITHSCORES" and command in ("zunion", "zinter", "zdiff"):
            asked.is_scored = True
        elif option == b"LIMIT" and command == "zintercard" and left >= 1:
            limit = parse_int(words[place + 1])
            if limit is None or limit < 0:
                raise CommandError("LIMIT can't be negative")
            asked.limit = limit
            place += 1
        else:
            raise syntax_error()
        place += 1


# --- The algebra. Sums are rounded, so their order counts: from the smallest set to the largest.


def _weighted(source: _Source) -> Iterable[tuple[bytes, float]]:
    weight = source.weight
    if weight == 1:
        return source.items()
    return [(member, _number(score * weight)) for member, score in source.items()]


def _number(value: float) -> float:
    return 0.0 if isnan(value) else value  # 0 times infinity, to Redis.


def _union(asked: _Asked) -> Pairs:
    _check_visits(sum(map(len, asked.sources)))
    found: dict[bytes, float] = {}
    aggregate = asked.aggregate
    for source in sorted(asked.sources, key=len):
        for member, score in _weighted(source):
            before = found.get(member)
            found[member] = score if before is None else aggregate(before, score)
    return list(found.items())


def _intersection(asked: _Asked) -> Pairs:
    first, *others = sorted(asked.sources, key=len)
    _check_visits(len(first) * len(asked.sources))
    if not first:
        return []
    finders = [(source.finder(), source.weight) for source in others]
    found: Pairs = []
    for member, score in _weighted(first):
        total = score
        for find, weight in finders:
            other = find(member)
            if other is None:
                break
            total = asked.aggregate(total, other * weight)
        else:
            found.append((member, total))
            if len(found) == asked.limit:
                break
    return found


def _difference(asked: _Asked) -> Pairs:
    first, *others = asked.sources
    _check_visits(len(first) * len(asked.sources))
    finders = [source.finder() for source in others if source]
    return [
        (member, score)
        for member, score in first.items()
        if all(find(member) is None for find in finders)
    ]
