"""Some nodes' pub/sub without a network: their posts arrive when the test says so."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any  # Any: posts hold values of several kinds.

import hiredis
import msgpack

from trimaran.node.pubsub import PubSub, PubSubLimits
from trimaran.node.raft.types import NodeId

if TYPE_CHECKING:
    from trimaran.node.subscriptions import Kind

NAMES = [NodeId(f"n{number}") for number in (1, 2, 3)]
N1, N2, N3 = NAMES


class Reader:
    """A subscriber that writes down what it gets."""

    def __init__(self, protocol: int = 2) -> None:
        self.protocol = protocol
        self.is_lost = False
        self._parser = hiredis.Reader()
        self.work: Callable[[], None] = lambda: None
        self.pieces: list[bytes] = []

    def push_messages(self, data: bytes, count: int) -> None:
        self.pieces.append(data)
        self._parser.feed(data)
        self.work()

    def got(self) -> list[Any]:
        found = []
        while (frame := self._parser.gets()) is not False:
            found.append(frame)
        return found

    def payloads(self) -> list[bytes]:
        return [frame[-1] for frame in self.got()]


class Net:
    """Nodes whose posts arrive when the test says so."""

    def __init__(
        self,
        names: Sequence[NodeId] = NAMES,
        limits: PubSubLimits | None = None,
        clock: Callable[[], int] | None = None,
    ) -> None:
        self.now = 0
        self.soon: deque[Callable[[], None]] = deque()
        self.timers: list[tuple[int, Callable[[], None]]] = []
        self.way: dict[tuple[NodeId, NodeId], deque[bytes]] = {}
        self.cut: set[tuple[NodeId, NodeId]] = set()  # Ways whose log stream is not live.
        self.full: set[tuple[NodeId, NodeId]] = set()  # Ways that have no room.
        self.posts = 0
        self.nodes: dict[NodeId, PubSub] = {}
        for name in names:
            node = self.nodes[name] = PubSub(self, clock or self.now_ns, limits)
            others = [one for one in names if one != name]
            node.attach(self, others.copy, _End(self, name), lambda: None)
        for source in names:
            for target in names:
                if source != target:
                    self.way[source, target] = deque()
                    self.nodes[source].stream_began(target)
        self.settle()

    def now_ns(self) -> int:
        return self.now

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def call_later(self, delay_ns: int, callback: Callable[[], None]) -> None:
        self.timers.append((self.now + delay_ns, callback))

    def pass_time(self, by_ns: int) -> None:
        self.now += by_ns
        due = [one for one in self.timers if one[0] <= self.now]
        self.timers = [one for one in self.timers if one[0] > self.now]
        for _, callback in due:
            callback()

    def step(self, source: NodeId, target: NodeId) -> bool:
        """Deliver all that is under way from one to the other; whether there was anything."""
        way = self.way[source, target]
        if not way or (source, target) in self.cut:
            return False
        posts = [msgpack.unpackb(one) for one in way]
        way.clear()
        self.nodes[source].posts_left(target)
        self.nodes[target].posts_received(source, posts)
        return True

    def settle(self) -> None:
        is_moving = True
        while is_moving:
            is_moving = bool([way for way in self.way if self.step(*way)])
            while self.soon:
                self.soon.popleft()()
                is_moving = True

    def part(self, source: NodeId, target: NodeId) -> None:
        """The streams between two break; what was under way is lost."""
        for way in ((source, target), (target, source)):
            self.cut.add(way)
            self.way[way].clear()
        self.nodes[source].peer_changed(target)
        self.nodes[target].peer_changed(source)

    def join(self, source: NodeId, target: NodeId) -> None:
        for way in ((source, target), (target, source)):
            self.cut.discard(way)
            self.nodes[way[0]].stream_began(way[1])
        self.nodes[source].peer_changed(target)
        self.nodes[target].peer_changed(source)

    def subscribe(
        self, node: NodeId, kind: Kind, *names: bytes, reader: Reader | None = None
    ) -> tuple[Reader, list[int]]:
        """A reader, and a list that is no longer empty when its subscription is confirmed."""
        reader = reader or Reader()
        confirmed: list[int] = []
        self.nodes[node].subscribe(reader, kind, names, lambda: confirmed.append(self.now))
        return reader, confirmed

    def listen(self, node: NodeId, kind: Kind, *names: bytes) -> Reader:
        reader, confirmed = self.subscribe(node, kind, *names)
        self.settle()
        assert confirmed
        return reader


class _End:
    """The post office of one node."""

    def __init__(self, net: Net, name: NodeId) -> None:
        self._net = net
        self._name = name

    def post(self, node: NodeId, parts: list[bytes]) -> bool:
        if (self._name, node) in self._net.cut | self._net.full:
            return False
        self._net.posts += 1
        self._net.way[self._name, node].append(b"".join(parts))
        return True

    def post_bytes(self, node: NodeId) -> int:
        return sum(map(len, self._net.way[self._name, node]))

    def is_up(self, node: NodeId) -> bool:
        return (self._name, node) not in self._net.cut
