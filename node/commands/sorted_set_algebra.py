"""Unions, intersections and differences of sorted sets, and of sets, whose members all score 1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import compress
from math import isnan
from typing import TYPE_CHECKING, Final, TypeAlias

from ...proto.reply import PairsReply, Reply
from ..data.keyspace import wrong_type
from ..data.set import SetValue
from ..data.sorted_order import in_order
from ..data.sorted_set import SortedSet
from ..errors import CommandError
from .arguments import int_argument, parse_int, syntax_error
from .doubles import double_argument
from .sorted_set_ranges import store_value
from .sorted_sets import check_reply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..data.keyspace import Keyspace
    from ..request import Args
    from .context import Context

VISITS_MAX: Final = 1_000_000  # Members that one command may look at, in each set that has them.

# A set that has no more than so many for each member that is looked for is taken as a whole.
_LISTED: Final = 4
_SOME: Final = 1024  # Members looked at between two looks at a limit.

Scores: TypeAlias = list[float]
Columns: TypeAlias = tuple[list[bytes], Scores]


def _sums(before: Scores, more: Scores) -> Scores:
    return _numbers([one + other for one, other in zip(before, more, strict=True)])


def _lower(before: Scores, more: Scores) -> Scores:
    return [other if other < one else one for one, other in zip(before, more, strict=True)]


def _higher(before: Scores, more: Scores) -> Scores:
    return [other if other > one else one for one, other in zip(before, more, strict=True)]


def _numbers(scores: Scores) -> Scores:
    """To Redis, inf - inf is 0, and so is 0 times infinity."""
    return [0.0 if isnan(one) else one for one in scores] if any(map(isnan, scores)) else scores


_AGGREGATES: Final = {b"SUM": _sums, b"MIN": _lower, b"MAX": _higher}


@dataclass(slots=True)
class _Source:
    value: SortedSet | SetValue | None
    weight: float = 1.0

    def __len__(self) -> int:
        return 0 if self.value is None else len(self.value)

    def columns(self) -> Columns:
        """Members and their scores, with the weight."""
        members, scores = self._columns()
        return members, scores if self.weight == 1 else _numbers(scores)

    def _columns(self) -> Columns:
        if isinstance(self.value, SortedSet):
            members, scores = self.value.columns()
        else:
            members = [] if self.value is None else self.value.members()
            scores = [1.0] * len(members)
        weight = self.weight
        return members, scores if weight == 1 else [score * weight for score in scores]

    def find(self, members: list[bytes]) -> list[float | None]:
        """The scores of these, None for those that are not there. As in Redis, what is no number
        with the weight stays none until it is part of a sum."""
        value, weight = self.value, self.weight
        if value is None or len(value) <= _LISTED * len(members):
            return list(map(dict(zip(*self._columns(), strict=True)).get, members))
        if isinstance(value, SortedSet):
            found = list(map(value.score, members))
        else:
            found = [1.0 if member in value else None for member in members]
        if weight == 1:
            return found
        return [None if score is None else score * weight for score in found]


@dataclass(slots=True)
class _Asked:
    sources: list[_Source]
    aggregate: Callable[[Scores, Scores], Scores] = _sums
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
    found = _union(_asked(keys, args, 2, "zunionstore"))
    return _store(keys, args[1], found, "zunionstore", ctx)


def zinterstore(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """ZINTERSTORE target numkeys key ... [WEIGHTS number ...] [AGGREGATE SUM|MIN|MAX]: how many."""
    found = _intersection(_asked(keys, args, 2, "zinterstore"))
    return _store(keys, args[1], found, "zinterstore", ctx)


def zdiffstore(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """ZDIFFSTORE target numkeys key ...: how many members are stored."""
    found = _difference(_asked(keys, args, 2, "zdiffstore"))
    return _store(keys, args[1], found, "zdiffstore", ctx)


def zintercard(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """ZINTERCARD numkeys key ... [LIMIT number]: how many members are in all of them."""
    asked = _asked(keys, args, 1, "zintercard")
    return len(_intersection(asked)[0])


def _answer(asked: _Asked, found: Columns) -> Reply:
    members, scores = in_order(*found)
    check_reply(members)
    if asked.is_scored:
        return PairsReply(tuple(zip(members, scores, strict=True)))
    return members


def _store(keys: Keyspace, target: bytes, found: Columns, event: str, ctx: Context) -> int:
    return store_value(keys, target, SortedSet.of_two(*found, ctx.settings), event, ctx)


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


def _union(asked: _Asked) -> Columns:
    _check_visits(sum(map(len, asked.sources)))
    found: dict[bytes, float] = {}
    for source in sorted(asked.sources, key=len):
        members, scores = source.columns()
        if found:
            scores = _aggregated(asked, list(map(found.get, members)), scores)
        found.update(zip(members, scores, strict=True))
    return list(found), list(found.values())


def _aggregated(asked: _Asked, before: list[float | None], more: Scores) -> Scores:
    """With what was there before, None where nothing was."""
    known = [score for score in before if score is not None]
    if not known:
        return more
    are_known = [score is not None for score in before]
    totals = iter(asked.aggregate(known, list(compress(more, are_known))))
    return [
        next(totals) if is_known else score for is_known, score in zip(are_known, more, strict=True)
    ]


def _intersection(asked: _Asked) -> Columns:
    first, *others = sorted(asked.sources, key=len)
    _check_visits(len(first) * len(asked.sources))
    members, totals = first.columns()
    if not asked.limit:
        return _common(asked, members, totals, others)
    found: Columns = [], []
    for start in range(0, len(members), _SOME):
        end = start + _SOME
        for column, more in zip(
            found, _common(asked, members[start:end], totals[start:end], others), strict=True
        ):
            column += more  # type: ignore[operator]  # Members to members, scores to scores.
        if len(found[0]) >= asked.limit:
            break
    return found[0][: asked.limit], found[1][: asked.limit]


def _common(
    asked: _Asked, members: list[bytes], totals: Scores, others: Sequence[_Source]
) -> Columns:
    """Which of the members are in all the others, too, and their scores then."""
    for source in others:
        found = source.find(members)
        if None in found:
            is_there = [score is not None for score in found]
            members = list(compress(members, is_there))
            totals = list(compress(totals, is_there))
        totals = asked.aggregate(totals, [score for score in found if score is not None])
    return members, totals


def _difference(asked: _Asked) -> Columns:
    first, *others = asked.sources
    _check_visits(len(first) * len(asked.sources))
    members, scores = first.columns()
    for source in others:
        if source and members:
            is_left = [score is None for score in source.find(members)]
            members, scores = list(compress(members, is_left)), list(compress(scores, is_left))
    return members, scores
