"""What several sets have in common, together, or one of them alone.

Tables of two large sets lie in the same order of hashes, so that a chunk of one is compared with
what lies beside it in the other, without a call for each member.
"""

from __future__ import annotations

from functools import reduce
from itertools import repeat
from typing import TYPE_CHECKING, Final, Protocol

from .set import HASHTABLE, INTSET, SetValue, encoding_of
from .table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ...cluster.settings import Settings


_COMPARED_MAX: Final = 4  # Sets that a union compares chunk by chunk.


class Lookup(Protocol):
    """What members can be looked up in."""

    def __contains__(self, member: bytes, /) -> bool: ...


def distinct(values: Sequence[SetValue]) -> list[SetValue]:
    """Each once: a set can be named a thousand times."""
    return list({id(value): value for value in values}.values())


def intersection(values: Sequence[SetValue], limit: int = 0) -> list[bytes]:
    """What is in all of them, in the order of the smallest; not much more than `limit` if given."""
    smallest, *others = sorted(distinct(values), key=len)
    if smallest.table is None:
        found = smallest.members()
        for lookup in map(_lookup, others):
            found = [member for member in found if member in lookup]
        return found
    found = []
    for members, lookups in _beside(smallest.table, others):
        for lookup in lookups:
            members = [member for member in members if member in lookup]
        found += members
        if limit and len(found) >= limit:
            break
    return found


def difference(values: Sequence[SetValue]) -> list[bytes]:
    """What is in the first and in none of the others, in its order."""
    first = values[0]
    others = sorted(distinct(values[1:]), key=len, reverse=True)
    if first in others:
        return []
    if first.table is None:
        found = first.members()
        for lookup in map(_lookup, others):
            found = [member for member in found if member not in lookup]
        return found
    found = []
    for members, lookups in _beside(first.table, others):
        for lookup in lookups:
            members = [member for member in members if member not in lookup]
        found += members
    return found


def union(values: Sequence[SetValue]) -> list[bytes]:
    """What is in any of them: the largest ones first; of integers alone in ascending order."""
    ordered = sorted(distinct(values), key=len, reverse=True)
    large = [value for value in ordered if value.table is not None][:_COMPARED_MAX]
    found: list[bytes] = []
    for place, value in enumerate(large):
        found += difference([value, *large[:place]])
    lookups = list(map(_lookup, large))
    more: dict[bytes, None] = {}
    for value in ordered:
        if value in large:
            continue
        members = value.members()
        for lookup in lookups:
            members = [member for member in members if member not in lookup]
        more.update(dict.fromkeys(members))
    found += more
    if {value.encoding for value in ordered} == {INTSET}:
        found.sort(key=int)
    return found


# --- As new sets. Redis chooses how to call them by what they are made of, too.


def intersection_value(values: Sequence[SetValue], settings: Settings) -> SetValue:
    members = intersection(values)
    is_table = min(values, key=len).encoding == HASHTABLE
    return SetValue.of(members, encoding_of(members, settings, is_table=is_table))


def difference_value(values: Sequence[SetValue], settings: Settings) -> SetValue:
    members = difference(values)
    return SetValue.of(members, encoding_of(members, settings))


def union_value(values: Sequence[SetValue], settings: Settings) -> SetValue:
    largest, *others = sorted(distinct(values), key=len, reverse=True)
    few = max(settings.set_max_intset_entries, settings.set_max_listpack_entries)
    tables = [value.table for value in (largest, *others) if value.table is not None]
    if others and len(largest) > few and len(tables) == 1 + len(others) <= _COMPARED_MAX:
        return SetValue.of_table(reduce(Table.union, tables))
    if len(largest) <= few or 2 * sum(map(len, others)) > len(largest):
        members = union(values)
        return SetValue.of(members, encoding_of(members, settings))
    made = largest.copy()  # It shares most of its chunks.
    made.encoding = HASHTABLE
    for other in others:
        for member in other.members():
            made.add(member, settings)
    return made


def _beside(
    table: Table[None], others: Sequence[SetValue]
) -> Iterator[tuple[list[bytes], list[Lookup]]]:
    """The members of a table chunk by chunk, each with what to look them up in, in `others`."""
    walks: list[Iterator[Lookup]] = [
        repeat(_lookup(other)) if other.table is None else table.beside(other.table)
        for other in others
    ]
    for members in table.dicts():
        yield list(members), [next(walk) for walk in walks]


def _lookup(value: SetValue) -> Lookup:
    return dict.fromkeys(value.members()) if value.table is None else value.table
