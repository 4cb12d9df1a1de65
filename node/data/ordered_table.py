"""What a sorted set of many elements keeps them in: a table from member to score (`table.py`) and
their order with its ranks (`sorted_order.py`), over the same member objects.

An order that nobody has asked for while half as many elements were written as there are is given
up, and put together anew when somebody does: who only writes does not pay for it, and who asks now
and then pays at most half as much again as if it had been kept. Only where putting it together
takes some milliseconds at most: a larger one is always kept.

Where pop follows pop, some elements are taken out of both at once, to be ready for the next ones:
one by one, each costs looks at many places in memory and several calls. They count as there until
they are popped; whoever else needs all elements in their places has them put back first.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Final  # Any: chunks of any kind.

from .sorted_order import Order, in_order
from .table import MISSING, Table, bytes_object_size, expected_size

UNORDERED_MAX: Final = 1 << 14  # Elements of one whose order may be given up.
READY_AFTER: Final = 64  # Pops, with nothing else between them.
READY_SHARE: Final = 4  # There were so many times as many pops as are ready: so putting back is
READY_MAX: Final = 256  # cheap beside them, and takes no long pause.

_LARGE_BYTES: Final = 1400  # Of one beside what depends on its elements,
_ELEMENT_BYTES: Final = 24 + 8 + 8 + 3  # and of an element: number, places in the order, room left.

Pairs = list[tuple[bytes, float]]


class OrderedTable:
    """Members with scores, by both."""

    __slots__ = ("_bytes", "_is_last", "_kept", "_ready", "_ready_scores", "_unread", "count",
                 "pops", "scores")  # fmt: skip

    def __init__(self) -> None:
        # Without what is ready: where there were `pops`, ask for `whole` first.
        self.scores = Table[float]()
        self.count = 0
        self._bytes = _LARGE_BYTES  # With the members, as objects, and their scores and places.
        self._kept: Order | None = Order()
        self._unread = 0  # Writes since it was asked for.
        # Since all were last asked to be in their places; those that are ready count already.
        self.pops = 0
        self._ready: list[bytes] = []  # For the next pops, of which the next one takes the last,
        self._ready_scores: list[float] = []
        self._is_last = False  # and from which end.

    @classmethod
    def of(cls, scores: Iterable[float], members: list[bytes], *, is_ordered: bool) -> OrderedTable:
        """A new one of some elements. If a member comes twice it is good for nothing, and the
        table has fewer than there are."""
        made = cls()
        numbers = array("d", scores)
        # As they were given: there they are likely to lie beside each other in memory.
        made.scores = Table.filled(members, numbers)
        if not is_ordered:
            members, ordered = in_order(members, numbers.tolist())
            numbers = array("d", ordered)
        made.order().extend(numbers, members)
        made._counted(members)
        made.count = len(made.scores)
        return made

    @property
    def size_bytes(self) -> int:
        """By the elements alone, whether there is an order or not."""
        return self._bytes + expected_size(self.count)

    @property
    def has_order(self) -> bool:
        """Whether there is one, to be kept up to date."""
        return self._kept is not None

    def order(self) -> Order:
        """All elements in order. To change it is not enough: the table is the caller's, too."""
        if self.pops:
            self.whole()
        self._unread = 0
        order = self._kept
        if order is None:
            members: list[bytes] = []
            scores: list[float] = []
            for values in self.scores.dicts():
                members += values
                scores += values.values()
            members, scores = in_order(members, scores)
            order = self._kept = Order()
            order.extend(array("d", scores), members)
        return order

    def put(self, member: bytes, score: float) -> float | None:
        """Set the score of a member; what it was, None of a new one. An equal one stays."""
        if self.pops:
            self.whole()
        before = self.scores.swap_other(member, score)
        if before is MISSING:
            self._add(member, score)
            return None
        if before != score and self._kept is not None:
            order = self._order_to_write()
            if order is not None:
                # The table has the object of before as its key: both share it.
                order.add(score, order.remove(before, member))
        return before

    def _add(self, member: bytes, score: float) -> None:
        """One that the table has already."""
        self.count += 1
        self._bytes += _ELEMENT_BYTES + (len(member) + 48 & -16)  # bytes_object_size.
        if self._kept is not None:
            order = self._order_to_write()
            if order is not None:
                order.add(score, member)
        elif self.count > UNORDERED_MAX:
            self.order()

    def remove(self, member: bytes) -> bool:
        """Take a member out; whether it was there."""
        if self.pops:
            self.whole()
        score = self.scores.pop(member)
        if score is MISSING:
            return False
        self.count -= 1
        self._bytes -= _ELEMENT_BYTES + bytes_object_size(len(member))
        order = self._order_to_write()
        if order is not None:
            order.remove(score, member)
        return True

    def _order_to_write(self) -> Order | None:
        """One element more is written: the order, if it is kept still."""
        self._unread += 1
        if self._unread * 2 > self.count <= UNORDERED_MAX:
            self._kept = None
        return self._kept

    def pop(self, *, is_last: bool) -> tuple[bytes, float, int]:
        """Take out the first element, or the last; there is one. And how many are left."""
        ready = self._ready
        if ready and is_last is self._is_last:
            member, score = ready.pop(), self._ready_scores.pop()
        else:
            member, score = self._next(is_last=is_last)
        self._bytes -= _ELEMENT_BYTES + (len(member) + 48 & -16)  # bytes_object_size.
        self.count = left = self.count - 1
        return member, score, left

    def _next(self, *, is_last: bool) -> tuple[bytes, float]:
        self._unread = 0
        if is_last is not self._is_last:
            self.whole()
            self._is_last = is_last
        if self.pops >= READY_AFTER:
            self._get_ready()
            return self._ready.pop(), self._ready_scores.pop()
        score, member = (self._kept or self.order()).pop(is_last=is_last)
        self.scores.pop(member)
        self.pops += 1
        return member, score

    def _get_ready(self) -> None:
        """Take out what the next pops will ask for."""
        order = self._kept
        assert order is not None, "the pops before have asked for it"
        count = min(self.pops // READY_SHARE, READY_MAX, self.count)
        start = self.count - count if self._is_last else 0
        scores, members = order.delete(start, start + count)
        self.scores.remove_all(members)
        if not self._is_last:
            scores.reverse()
            members.reverse()
        self._ready, self._ready_scores = members, scores
        self.pops += count

    def whole(self) -> None:
        """Put back what is ready: something else is asked for than the next pop."""
        self.pops = 0
        if not self._ready:
            return
        order = self._kept
        assert order is not None, "the pops before have asked for it"
        for member, score in zip(self._ready, self._ready_scores, strict=True):
            self.scores.put(member, score)
            order.add(score, member)
        self._ready, self._ready_scores = [], []

    def delete(self, start: int, stop: int) -> Pairs:
        """Take out the elements with ranks from `start` to before `stop`; they are there."""
        gone_scores, gone_members = self.order().delete(start, stop)
        self.scores.remove_all(gone_members)
        self.count -= len(gone_members)
        self._bytes -= sum([_ELEMENT_BYTES + (len(one) + 48 & -16) for one in gone_members])
        return list(zip(gone_members, gone_scores, strict=True))

    def extend(self, scores: array[float], members: list[bytes]) -> None:
        """Elements behind all others, in order."""
        order = self.order()
        put = self.scores.put
        for member, score in zip(members, scores, strict=True):
            put(member, score)
        order.extend(scores, members)
        self._counted(members)

    def _counted(self, members: list[bytes]) -> None:
        self.count += len(members)
        self._bytes += sum([_ELEMENT_BYTES + (len(one) + 48 & -16) for one in members])

    def copy(self) -> OrderedTable:
        """One of its own with the same elements; costs as much as there are chunks."""
        self.whole()
        other: OrderedTable = OrderedTable.__new__(OrderedTable)
        other.scores, other.count, other._bytes = self.scores.copy(), self.count, self._bytes
        other._kept = None if self._kept is None else self._kept.copy()
        other._unread = self._unread
        other.pops, other._is_last, other._ready, other._ready_scores = 0, False, [], []
        return other

    def take_apart(self) -> Iterator[list[Any]]:
        """What nobody needs any more, to be emptied a piece at a time; it cannot be used again."""
        kept = () if self._kept is None else self._kept.take_apart()
        return chain(self.scores.take_apart(), kept)
