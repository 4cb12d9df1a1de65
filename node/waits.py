"""Waits for data on their way to other nodes, and held there: what the router keeps of them.

A wait (`turns.py`) is answered when there is data, perhaps never, so it has no deadline, is in no
batch and counts for no limit of what is passed on; the door bounds how many there are. It is sent
again to whoever leads next. And from time to time to the same leader, which then keeps it at its
place: an answer may be lost with a stream, or the leader may have believed this node gone. Pure.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ..cluster.slots import ShardId
    from .data.waiters import WaiterId
    from .raft.types import NodeId
    from .request import Request

REFRESH_NS: Final = 10_000_000_000
FOREVER_NS: Final = 1 << 62  # A deadline that never comes.


class Sent:
    """A wait that another node holds."""

    __slots__ = ("number", "request", "since_ns", "target")

    def __init__(self, number: int, request: Request, target: NodeId, since_ns: int) -> None:
        self.number = number  # Of its forward.
        self.request = request
        self.target = target
        self.since_ns = since_ns


class Waits:
    """Those of this node's clients that another node is to hold; in the order they were sent."""

    def __init__(self) -> None:
        self._sent: OrderedDict[WaiterId, Sent] = OrderedDict()
        self._by_number: dict[int, WaiterId] = {}
        self._parked: dict[ShardId, dict[WaiterId, Request]] = {}  # Nobody leads.

    def __len__(self) -> int:
        return len(self._sent) + sum(map(len, self._parked.values()))

    def sent(self, number: int, request: Request, target: NodeId, now_ns: int) -> None:
        id_ = _id(request)
        self.drop(id_)
        self._sent[id_] = Sent(number, request, target, now_ns)
        self._by_number[number] = id_

    def park(self, request: Request) -> None:
        id_ = _id(request)
        self.drop(id_)
        self._parked.setdefault(request.shard, {})[id_] = request

    def answered(self, number: int) -> Sent | None:
        """The wait that was sent under that number, if it still is."""
        id_ = self._by_number.get(number)
        return None if id_ is None else self.drop(id_)

    def drop(self, id_: WaiterId) -> Sent | None:
        """Forget it; where it was sent to."""
        found = self._sent.pop(id_, None)
        if found is not None:
            del self._by_number[found.number]
            return found
        for shard, parked in self._parked.items():
            if parked.pop(id_, None) is not None:
                if not parked:
                    del self._parked[shard]
                break
        return None

    def take_parked(self, shard: ShardId) -> list[Request]:
        return list(self._parked.pop(shard, {}).values())

    @property
    def parked_shards(self) -> list[ShardId]:
        return list(self._parked)

    def take_elsewhere(self, shard: ShardId, leader: NodeId) -> list[Request]:
        """Those that were sent to another node than the one that leads now."""
        return self._take([one for one in self._of(shard) if one.target != leader])

    def take_of(self, node: NodeId) -> list[Request]:
        """Those that were sent to a node that is out of reach."""
        return self._take([one for one in self._sent.values() if one.target == node])

    def take_stale(self, now_ns: int) -> list[Request]:
        """Those that were sent long ago."""
        stale: list[Sent] = []
        for one in self._sent.values():
            if now_ns - one.since_ns < REFRESH_NS:
                break
            stale.append(one)
        return self._take(stale)

    def _of(self, shard: ShardId) -> list[Sent]:
        return [one for one in self._sent.values() if one.request.shard == shard]

    def _take(self, found: list[Sent]) -> list[Request]:
        for one in found:
            self.drop(_id(one.request))
        return [one.request for one in found]


def _id(request: Request) -> WaiterId:
    assert request.waiter is not None, "a wait says whose it is"
    return request.waiter
