"""Who listens to which channel, here and on which node, and the way of a message to all of them.

A node tells every other one what it has subscribers for, and how many. So a message goes only
where somebody listens, once per node, and whoever publishes it knows how many will get it. All that
one node posts to another keeps its order: a subscription that was marked and seen (`_Mark`) is
known there before the next message is published there. Messages are at most once, as in Redis: what
was on its way to a node that is gone is lost.

A node that has more to deliver than it should says so, and publishers at every node wait. Pure but
for what it calls. Read `elsewhere.py` next for what other nodes have told, and `delivery.py` for
how subscribers get their messages.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol  # Any: posts hold values of several kinds.

import msgpack

from .delivery import WRITTEN_BYTES_MAX, Delivery, Listeners, PubSubCounters
from .elsewhere import PLACE_BYTES_MAX, PLACES_MAX, Elsewhere
from .patterns import Patterns
from .subscriptions import CHANNEL, PATTERN, SHARD, Kind, Subscriber, Subscriptions

if TYPE_CHECKING:
    from .delivery import Loop
    from .raft.types import NodeId


MESSAGE_KINDS: Final = {CHANNEL: b"message", SHARD: b"smessage"}

# What is posted: a message, who listens from now on, nobody listens, a mark, and that it was seen;
# that more waits here than should, or no longer.
_MESSAGE, _LISTENERS, _FORGET, _MARK, _SEEN, _BUSY = range(6)

TELL_AGAIN_NS = 100_000_000  # When there was no room to tell a peer who listens.
EARLY_NS: Final = 50_000_000  # Timers are by less than that.
TOLD_AT_ONCE: Final = 256  # Subscribers, before others have their turn.
MARK_WAIT_NS = 1_000_000_000  # A peer that is up and says nothing for so long is not waited for.


class Post(Protocol):
    """The way to the pub/sub of other nodes; `Peers` is one."""

    def post(self, node: NodeId, parts: list[bytes]) -> bool: ...
    def post_bytes(self, node: NodeId) -> int: ...
    def is_up(self, node: NodeId) -> bool: ...


@dataclass(frozen=True, slots=True)
class PubSubLimits:
    waiting_bytes_max: int = 64 << 20  # Messages for one peer, or not delivered here yet.
    subscriptions_max: int = 10_000  # Of one client.


@dataclass(frozen=True, slots=True)
class _Confirming:
    """A subscription that is not confirmed yet."""

    mark: int  # Seen by every node that is up,
    compiled: int  # and so many patterns of this node are ready:
    until_ns: int  # or, as for the first, it is that late.
    confirm: Callable[[], None]


class PubSub:
    def __init__(
        self,
        loop: Loop,
        now_ns: Callable[[], int],
        limits: PubSubLimits | None = None,
    ) -> None:
        self.counters = PubSubCounters()
        self.limits = limits or PubSubLimits()
        self._loop = loop
        self._now_ns = now_ns
        self._pack = msgpack.Packer(use_bin_type=True).pack
        self._others: Callable[[], Iterable[NodeId]] = tuple  # All three from `attach` on.
        self._post: Post
        self._wake: Callable[[], None]
        self._here: tuple[dict[bytes, Listeners], ...] = ({}, {}, {})
        self._elsewhere = Elsewhere(now_ns, self._patterns_advanced, self._is_up)
        self._patterns_here = Patterns(now_ns, self._patterns_advanced)
        self._matching: dict[bytes, list[tuple[bytes, Listeners]]] = {}  # Patterns, by channel.
        self._untold: set[NodeId] = set()  # Nodes that were not told all for want of room.
        self._clients: dict[Subscriber, Subscriptions] = {}
        # Who is told that messages of another node may have been lost on their way here.
        self.when_missed: dict[Callable[[str], None], None] = {}
        self._delivery = Delivery(now_ns, self.counters, self._delivery_advanced)
        self._busy: set[NodeId] = set()  # Nodes that have more to deliver than they should,
        self._is_busy = False  # and whether this is one, by what it has told.
        self._mark = 0  # The last one posted to all,
        self._seen: dict[NodeId, int] = {}  # and the last each node has seen.
        self._confirming: deque[_Confirming] = deque()
        # Marks that are answered once so many patterns of others are compiled.
        self._answering: deque[tuple[int, NodeId, int]] = deque()
        self._publishing: deque[Callable[[], None]] = deque()  # Who waits for room.
        self._is_releasing = False

    def attach(
        self,
        loop: Loop,
        others: Callable[[], Iterable[NodeId]],
        post: Post,
        wake: Callable[[], None],
    ) -> None:
        """There is a node, with others. What is posted leaves at the end of the engine's turn that
        `wake` asks for."""
        self._loop = loop
        self._others = others
        self._post = post
        self._wake = wake

    def _is_up(self, node: NodeId) -> bool:
        return self._post.is_up(node)

    # --- Publishing.

    def publish(self, kind: Kind, channel: bytes, payload: bytes) -> int:
        """Send a message to all who listen; how many they are, in the whole cluster."""
        self.counters.published += 1
        place = self._elsewhere.place(kind, channel)
        count = place.count
        if place.nodes:
            packed = [self._pack((_MESSAGE, kind, channel, payload))]
            for node in place.nodes:
                self._send(node, packed)
            self._wake()
        return count + self._deliver(kind, channel, payload)

    def _send(self, node: NodeId, packed: list[bytes]) -> None:
        # Who publishes from inside of an entry cannot wait, and must not take the room that
        # entries need on their way to that node.
        has_room = self._post.post_bytes(node) <= 2 * self.limits.waiting_bytes_max
        if has_room and self._post.post(node, packed):
            self.counters.sent += 1
        elif self._post.is_up(node):
            self.counters.lost += 1

    @property
    def is_full(self) -> bool:
        """More waits to be sent or delivered than should: whoever publishes waits as well."""
        if self._has_much(1.0):
            return True
        limit = self.limits.waiting_bytes_max
        for node in self._elsewhere.nodes:
            if self._post.post_bytes(node) > limit:
                return True
            if node in self._busy and self._post.is_up(node):
                return True
        return False

    @property
    def must_wait(self) -> bool:
        """Whether who publishes now has to wait: also behind those who do already."""
        return bool(self._publishing) or self.is_full

    def _has_much(self, share: float) -> bool:
        """More waits to be delivered here than that share of what should."""
        delivery = self._delivery
        return (
            delivery.bytes > share * self.limits.waiting_bytes_max
            or delivery.to_write > share * WRITTEN_BYTES_MAX
        )

    def when_room(self, done: Callable[[], None]) -> None:
        """Call `done` when there is room again, in the order asked."""
        self._publishing.append(done)

    def _release_publishers(self) -> None:
        self._is_releasing = False
        while self._publishing and not self.is_full:
            self._publishing.popleft()()

    def _room_made(self) -> None:
        if self._publishing and not self._is_releasing and not self.is_full:
            self._is_releasing = True
            self._loop.call_soon(self._release_publishers)

    # --- Delivery to subscribers here.

    def _deliver(self, kind: Kind, channel: bytes, payload: bytes) -> int:
        """Have everybody here get it; how many they are."""
        listeners = self._here[kind].get(channel)
        count = len(listeners.members) if listeners is not None else 0
        matching: list[tuple[bytes, Listeners]] = []
        if kind is CHANNEL and self._here[PATTERN]:
            matching = [pair for pair in self._matching_here(channel) if pair[1].members]
            count += sum([len(one.members) for _, one in matching])
        if not count:
            return 0
        # Who publishes waits sooner, here and elsewhere; entries cannot be made to.
        if self._delivery.bytes > 2 * self.limits.waiting_bytes_max:
            self.counters.lost += 1
            return 0
        size = len(payload) + len(channel)
        add, loop = self._delivery.add, self._loop
        if listeners is not None and listeners.members:
            add(loop, listeners, [MESSAGE_KINDS[kind], channel, payload], size)
        for pattern, one in matching:
            add(loop, one, [b"pmessage", pattern, channel, payload], size + len(pattern))
        if not self._is_busy and self._has_much(1.0):
            self._is_busy = True
            self._post_to_all((_BUSY, 1))
        return count

    def _matching_here(self, channel: bytes) -> list[tuple[bytes, Listeners]]:
        """The patterns of this node that `channel` matches."""
        matching = self._matching.get(channel)
        if matching is None:
            here = self._here[PATTERN]
            matching = [(name, here[name]) for name in self._patterns_here.matching(channel)]
            if len(self._matching) >= PLACES_MAX:
                self._matching.clear()
            if len(channel) <= PLACE_BYTES_MAX:
                self._matching[channel] = matching
        return matching

    def _delivery_advanced(self) -> None:
        if self._is_busy and not self._has_much(0.5):
            self._is_busy = False
            self._post_to_all((_BUSY, 0))
        self._room_made()

    def _patterns_advanced(self) -> None:
        """Some of those that nothing matched until now are compiled."""
        self._matching.clear()
        self._elsewhere.look_anew()
        self._answer_marks()
        self._confirm()

    def _answer_marks(self) -> None:
        ready = self._elsewhere.patterns.ready
        while self._answering and self._answering[0][0] <= ready:
            _, node, mark = self._answering.popleft()
            self._post_one(node, (_SEEN, mark))
            self._wake()

    # --- Subscribing.

    def subscriptions_of(self, client: Subscriber) -> Subscriptions | None:
        """What it listens to; None if nothing."""
        return self._clients.get(client)

    def subscribe(
        self, client: Subscriber, kind: Kind, names: Sequence[bytes], done: Callable[[], None]
    ) -> None:
        """Listen to `names` from when `done` is called: whatever is published anywhere from then on
        is delivered. At once, unless other nodes have to hear of it first."""
        here = self._here[kind]
        fresh: list[bytes] = []
        for name in names:
            listeners = here.get(name)
            if listeners is None:
                listeners = here[name] = Listeners()
                fresh.append(name)
                if kind is PATTERN:
                    self._patterns_here.add(self._loop, name)
            listeners.coming += 1
        if fresh and kind is PATTERN:
            self._matching.clear()
        self._tell_listeners(kind, dict.fromkeys(names))

        def confirm() -> None:
            self._join(client, kind, names)
            done()
            if client.is_lost:
                self.leave(client)

        compiled = self._patterns_here.added
        until_ns = self._now_ns() + MARK_WAIT_NS
        if fresh and any(self._post.is_up(node) for node in self._others()):
            self._mark += 1
            self._post_to_all((_MARK, self._mark))
            self._confirming.append(_Confirming(self._mark, compiled, until_ns, confirm))
            self._loop.call_later(MARK_WAIT_NS, self._confirm_late)
        elif self._confirming:
            # Behind those who came before: one of their names may be ours too.
            last = self._confirming[-1]
            self._confirming.append(_Confirming(last.mark, compiled, last.until_ns, confirm))
        elif compiled > self._patterns_here.ready:
            self._confirming.append(_Confirming(0, compiled, until_ns, confirm))
        else:
            confirm()

    def _join(self, client: Subscriber, kind: Kind, names: Sequence[bytes]) -> None:
        """The subscription counts from here on."""
        own = self._clients.get(client)
        if own is None:
            own = self._clients[client] = Subscriptions()
        again: list[bytes] = []
        for name in names:
            listeners = self._here[kind][name]
            listeners.coming -= 1
            if name in own.names[kind]:
                again.append(name)  # It was counted twice.
            own.names[kind][name] = None
            listeners.add(client)
        if again:
            self._tell_listeners(kind, dict.fromkeys(again))

    def _confirm(self) -> None:
        """Confirm, in order, what everybody who is up has seen, or is not waited for any more."""
        if not self._confirming:
            return
        ups = [self._seen.get(node, 0) for node in self._others() if self._post.is_up(node)]
        seen = min(ups, default=self._mark)
        now_ns = self._now_ns()
        while self._confirming:
            first = self._confirming[0]
            if first.compiled > self._patterns_here.ready:
                return
            if first.mark > seen and now_ns < first.until_ns:
                return
            self._confirming.popleft()
            first.confirm()

    def _confirm_late(self) -> None:
        """A timer may be a little early: then again, or it would wait for whatever comes next."""
        self._confirm()
        if self._confirming:
            left_ns = self._confirming[0].until_ns - self._now_ns()
            if 0 < left_ns <= EARLY_NS:
                self._loop.call_later(left_ns, self._confirm_late)

    def unsubscribe(self, client: Subscriber, kind: Kind, name: bytes) -> bool:
        """Stop listening; whether it did."""
        own = self._clients.get(client)
        if own is None or name not in own.names[kind]:
            return False
        del own.names[kind][name]
        if not own.total:
            del self._clients[client]
        listeners = self._here[kind][name]
        listeners.remove(client)
        self._tell_listeners(kind, {name: None})
        return True

    def leave(self, client: Subscriber) -> None:
        """It is gone."""
        own = self._clients.pop(client, None)
        if own is None:
            return
        for kind in Kind:
            names = own.names[kind]
            for name in names:
                self._here[kind][name].remove(client)
            if names:  # Told as one: there may be thousands.
                self._tell_listeners(kind, names)

    def listening(self, kind: Kind) -> Iterator[tuple[bytes, list[Subscriber]]]:
        """The names that are listened to here, and by whom."""
        for name, listeners in self._here[kind].items():
            yield name, list(listeners.members)

    def _tell_listeners(self, kind: Kind, names: Iterable[bytes]) -> None:
        here = self._here[kind]
        told: list[tuple[bytes, int]] = []
        for name in names:
            count = here[name].told
            told.append((name, count))
            if not count:
                del here[name]
                if kind is PATTERN:
                    self._matching.clear()
                    self._patterns_here.discard(name)
        self._post_to_all((_LISTENERS, kind, told))

    def _post_to_all(self, post: tuple[Any, ...]) -> None:
        packed = [self._pack(post)]
        others = list(self._others())
        for node in others:
            if not self._post.post(node, packed):
                self._note_untold(node)
        if others:
            self._wake()

    def _note_untold(self, node: NodeId) -> None:
        """There was no room for what it should know. A stream that broke begins anew by itself."""
        if node not in self._untold:
            self._untold.add(node)
            if self._post.is_up(node):
                self._loop.call_later(TELL_AGAIN_NS, partial(self._tell_again, node))

    def _tell_again(self, node: NodeId) -> None:
        if node in self._untold and self._post.is_up(node):
            self.stream_began(node)

    # --- What other nodes say.

    def stream_began(self, node: NodeId) -> None:
        """It knows nothing of us, or what may be out of date."""
        self._untold.discard(node)
        self._seen[node] = 0
        self._post_one(node, (_FORGET,))
        for kind in Kind:
            told = [(name, one.told) for name, one in self._here[kind].items()]
            for start in range(0, len(told), 1000):
                self._post_one(node, (_LISTENERS, kind, told[start : start + 1000]))
        self._post_one(node, (_MARK, self._mark))
        if self._is_busy:
            self._post_one(node, (_BUSY, 1))
        self._wake()

    def _post_one(self, node: NodeId, post: tuple[Any, ...]) -> None:
        if not self._post.post(node, [self._pack(post)]):
            self._note_untold(node)

    def posts_received(self, node: NodeId, posts: Sequence[Sequence[Any]]) -> None:
        for post in posts:
            match post:
                case [0, (0 | 2) as kind, bytes(channel), bytes(payload)]:
                    self._deliver(Kind(kind), channel, payload)
                case [1, (0 | 1 | 2) as kind, list(told)]:
                    self._elsewhere.told(self._loop, node, Kind(kind), told)
                case [2]:
                    self._forget(node)
                    self._tell_missed(f"the stream from {node} has begun anew")
                case [3, int(mark)]:
                    self._answering.append((self._elsewhere.patterns.added, node, mark))
                    self._answer_marks()
                case [4, int(mark)]:
                    self._seen[node] = max(mark, self._seen.get(node, 0))
                    self._confirm()
                case [5, (0 | 1) as is_busy]:
                    self._note_busy(node, is_busy=bool(is_busy))
                case _:
                    continue  # A newer version has more to say.

    def _forget(self, node: NodeId) -> None:
        self._elsewhere.forget(self._loop, node)
        self._note_busy(node, is_busy=False)

    def _note_busy(self, node: NodeId, *, is_busy: bool) -> None:
        if is_busy:
            self._busy.add(node)
        elif node in self._busy:
            self._busy.discard(node)
            self._room_made()

    def peer_changed(self, node: NodeId) -> None:
        """Nothing is sent to one that is not up. What it listens to is kept: its own stream to us
        may have lived on, and then it does not say so again."""
        if not self._post.is_up(node):
            self._tell_missed(f"{node} is out of reach")
        if node not in set(self._others()):
            self._forget(node)
            self._seen.pop(node, None)
            self._untold.discard(node)
        self._tell_again(node)
        self._elsewhere.look_anew()
        self._confirm()
        self._room_made()

    def _tell_missed(self, text: str) -> None:
        waiting = deque(self.when_missed)

        def tell() -> None:
            for _ in range(min(len(waiting), TOLD_AT_ONCE)):
                waiting.popleft()(text)
            if waiting:
                self._loop.call_soon(tell)

        tell()

    def posts_left(self, _node: NodeId) -> None:
        self._room_made()

    # --- PUBSUB: who listens, here or in the whole cluster.

    def channels(self, kind: Kind, *, is_everywhere: bool) -> dict[bytes, None]:
        """The names that somebody listens to."""
        found = {name: None for name, one in self._here[kind].items() if one.members}
        if is_everywhere:
            for names in self._elsewhere.names():
                found.update(dict.fromkeys(names[kind]))
        return found

    def count(self, kind: Kind, name: bytes, *, is_everywhere: bool) -> int:
        """How many listen to `name`."""
        listeners = self._here[kind].get(name)
        count = 0 if listeners is None else len(listeners.members)
        if is_everywhere:
            count += sum([names[kind].get(name, 0) for names in self._elsewhere.names()])
        return count

    @property
    def has_listeners(self) -> bool:
        """Whether anybody in the cluster listens to channels: else nothing need be published."""
        return bool(self._here[CHANNEL] or self._here[PATTERN]) or self._elsewhere.has_listeners

    @property
    def clients(self) -> int:
        """Subscribers here."""
        return len(self._clients)
