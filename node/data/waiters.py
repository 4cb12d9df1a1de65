"""Who waits for which keys of a shard, for the commands that block: first come, first served.

Lives with the shard's leader and is no part of its state: it says whose turn it is, and what that
client then pops is a command in the log like any other. A turn is for one key. Until it is over
(`settle`: the pop found something; `resume`: it did not) the waiter keeps its place and what it
would take is promised to it, so that no element is offered twice and nobody is overtaken. Pure:
what is there to be had the caller says, by `available`.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from ..errors import Overloaded

ALL = 1 << 62  # Takes whatever is there.


class Need(Enum):
    """What a key must hold. Waiters of one key that need different things are not in each other's
    way: it holds one of them."""

    LIST = "list"
    SORTED_SET = "sorted set"
    STREAM = "stream"  # Entries behind an id: read, not taken.
    GROUP = "group"  # The same, taken from the others of a consumer group.


class WaiterId(NamedTuple):
    """Chosen by the node that the client is connected to."""

    node: str
    number: int


@dataclass(slots=True, eq=False)
class Waiter:
    id: WaiterId
    db: int
    keys: tuple[bytes, ...]  # In the order in which they are looked at, each once.
    need: Need
    takes: int = 1  # Elements at most; 0 if it leaves them there.
    group: bytes = b""  # Those of one consumer group share.
    behind: tuple[bytes, ...] = ()  # Of streams: the last id that is known of each key.
    place: int = 0  # Given by `wait`.
    turn: bytes | None = None  # The key it has been offered.
    turn_ns: int = 0  # When that was.


_Name = tuple[int, bytes, Need, bytes]  # Database, key, need, group.


class _Queue:
    """Waiters of one key who need the same."""

    __slots__ = ("idle", "members", "promised")

    def __init__(self) -> None:
        self.members = 0  # Those whose turn it is, for whichever key, included.
        self.idle: list[int] = []  # Places of those whose turn it is not, in order.
        self.promised = 0  # Elements that those whose turn it is may take.


class Waiters:
    """`available(waiter, key)`: how many elements are there for it now, turns not counted."""

    def __init__(self, available: Callable[[Waiter, bytes], int], waiters_max: int) -> None:
        self._available = available
        self._waiters_max = waiters_max
        self._last_place = 0
        self._reset()

    def _reset(self) -> None:
        self._by_id: dict[WaiterId, Waiter] = {}
        self._by_place: dict[int, Waiter] = {}
        self._queues: dict[_Name, _Queue] = {}
        self._names: dict[tuple[int, bytes], dict[_Name, None]] = {}  # Of queues, by key.
        self._turns: dict[int, Waiter] = {}  # By place; the oldest turn first.

    def __len__(self) -> int:
        return len(self._by_id)

    def __bool__(self) -> bool:
        return bool(self._by_id)

    def __contains__(self, waiter: WaiterId) -> bool:
        return waiter in self._by_id

    def waits_for(self, db: int, key: bytes) -> bool:
        """Whether anybody wants to know of a change of that key."""
        return (db, key) in self._names

    def keys_of(self, db: int) -> list[bytes]:
        """The keys of a database that somebody waits for, in the order in which that began."""
        return [key for number, key in self._names if number == db]

    def claim_of(self, id_: WaiterId) -> tuple[int, bytes] | None:
        """The key (with its database) that it may take from, if that is its turn."""
        waiter = self._by_id.get(id_)
        if waiter is None or waiter.turn is None or waiter.need is Need.STREAM:
            return None
        return waiter.db, waiter.turn

    def is_in_line(self, waiter: Waiter) -> bool:
        """Whether somebody waits already for what it wants: then it must not just take it."""
        return any(name in self._queues for name in _names(waiter))

    # --- Coming and going. Each answers whose turn it is in consequence.

    def wait(self, waiter: Waiter, now_ns: int) -> list[Waiter]:
        """Stand at the end of the line of each key; raises Overloaded if there are too many."""
        assert waiter.id not in self._by_id, "it waits already: see `resume`"
        if len(self._by_id) >= self._waiters_max:
            raise Overloaded("waiters_max")
        self._last_place += 1
        waiter.place = self._last_place
        self._by_id[waiter.id] = self._by_place[waiter.place] = waiter
        for name in _names(waiter):
            if name not in self._queues:
                self._queues[name] = _Queue()
                self._names.setdefault(name[:2], {})[name] = None
            self._queues[name].idle.append(waiter.place)
            self._queues[name].members += 1
        return self._offer(waiter, now_ns)

    def resume(self, id_: WaiterId, now_ns: int) -> list[Waiter]:
        """Its turn is over and it got nothing: it still has its place."""
        waiter = self._by_id.get(id_)
        if waiter is None or waiter.turn is None:
            return []
        key = waiter.turn
        self._end_turn(waiter)
        for name in _names(waiter):
            insort(self._queues[name].idle, waiter.place)
        # Others may have a claim on what it did not take, and it on another of its keys.
        served = self.touched(waiter.db, key, now_ns)
        return served if waiter in served else served + self._offer(waiter, now_ns)

    def settle(self, id_: WaiterId, now_ns: int) -> list[Waiter]:
        """It got something, has timed out or is gone."""
        waiter = self._by_id.pop(id_, None)
        if waiter is None:
            return []
        key = waiter.turn
        if key is not None:
            self._end_turn(waiter)
        else:
            self._leave_queues(waiter)
        del self._by_place[waiter.place]
        for name in _names(waiter):
            queue = self._queues[name]
            queue.members -= 1
            if not queue.members:
                del self._queues[name]
                names = self._names[name[:2]]
                del names[name]
                if not names:
                    del self._names[name[:2]]
        return [] if key is None else self.touched(waiter.db, key, now_ns)

    def leave(self, node: str, now_ns: int) -> list[Waiter]:
        """A node is out of reach: nobody there can be told that it is his turn."""
        return self._settle_all([id_ for id_ in self._by_id if id_.node == node], now_ns)

    def overdue(self, before_ns: int, now_ns: int) -> list[Waiter]:
        """Those whose turn began before then and who never came are not waited for."""
        late: list[WaiterId] = []
        for waiter in self._turns.values():
            if waiter.turn_ns >= before_ns:
                break
            late.append(waiter.id)
        return self._settle_all(late, now_ns)

    def _settle_all(self, ids: Iterable[WaiterId], now_ns: int) -> list[Waiter]:
        gone = list(ids)
        served = [one for id_ in gone for one in self.settle(id_, now_ns)]
        return [one for one in served if one.id in self._by_id]  # Some may be gone as well.

    def clear(self) -> list[Waiter]:
        """This replica leads no longer: all who waited, in order."""
        waiters = list(self._by_place.values())
        self._reset()
        return waiters

    # --- Whose turn it is.

    def touched(self, db: int, key: bytes, now_ns: int) -> list[Waiter]:
        """A key was written to: who may pop from it now, in order."""
        served: list[Waiter] = []
        for name in list(self._names.get((db, key), ())):
            served += self._serve(name, now_ns)
        return served

    def _serve(self, name: _Name, now_ns: int) -> Iterator[Waiter]:
        queue = self._queues[name]
        _, key, need, _ = name
        if need is Need.STREAM:  # They take nothing away: each for itself.
            for place in list(queue.idle):
                waiter = self._by_place[place]
                if self._available(waiter, key):
                    self._begin_turn(waiter, name, now_ns)
                    yield waiter
            return
        while queue.idle:
            waiter = self._by_place[queue.idle[0]]
            if self._available(waiter, key) <= queue.promised:
                return
            self._begin_turn(waiter, name, now_ns)
            yield waiter

    def _offer(self, waiter: Waiter, now_ns: int) -> list[Waiter]:
        """The first of its keys that has something nobody in front of it has a claim on."""
        for key, name in zip(waiter.keys, _names(waiter), strict=True):
            queue = self._queues[name]
            is_first = name[2] is Need.STREAM or queue.idle[0] == waiter.place
            if is_first and self._available(waiter, key) > queue.promised:
                self._begin_turn(waiter, name, now_ns)
                return [waiter]
        return []

    def _begin_turn(self, waiter: Waiter, name: _Name, now_ns: int) -> None:
        self._leave_queues(waiter)
        waiter.turn = name[1]
        waiter.turn_ns = now_ns
        self._turns[waiter.place] = waiter
        self._queues[name].promised += waiter.takes

    def _end_turn(self, waiter: Waiter) -> None:
        assert waiter.turn is not None, "it is not its turn"
        self._queues[_name(waiter, waiter.turn)].promised -= waiter.takes
        del self._turns[waiter.place]
        waiter.turn = None

    def _leave_queues(self, waiter: Waiter) -> None:
        for name in _names(waiter):
            idle = self._queues[name].idle
            del idle[bisect_left(idle, waiter.place)]


def _name(waiter: Waiter, key: bytes) -> _Name:
    return waiter.db, key, waiter.need, waiter.group


def _names(waiter: Waiter) -> list[_Name]:
    return [_name(waiter, key) for key in waiter.keys]
