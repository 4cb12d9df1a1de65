"""Who listens to which channel, here and on which node, and the way of a message to all of them.

A node tells every other one what it has subscribers for, and how many. So a message goes only
where somebody listens, once per node, and whoever publishes it knows how many will get it. All that
one node posts to another keeps its order: a subscription that was marked and seen (`_Mark`) is
known there before the next message is published there. Messages are at most once, as in Redis: what
was on its way to a node that is gone is lost.

Delivery to many takes turns with everything else on the loop (correctness E3). Pure but for what it
calls; bytes of RESP are made here once per message, not once per subscriber.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol  # Any: posts hold values of several kinds.

import msgpack

from ..proto.resp import encode_push
from .data.glob import Glob

if TYPE_CHECKING:
    from .raft.types import NodeId


class Kind(IntEnum):
    """What can be subscribed to. The numbers are part of what nodes say to each other."""

    CHANNEL = 0
    PATTERN = 1
    SHARD = 2  # A channel of its own name space, whose slot says which node serves it.


CHANNEL, PATTERN, SHARD = Kind.CHANNEL, Kind.PATTERN, Kind.SHARD
MESSAGE_KINDS: Final = {CHANNEL: b"message", SHARD: b"smessage"}

# What is posted: a message, who listens from now on, nobody listens, a mark, and that it was seen.
_MESSAGE, _LISTENERS, _FORGET, _MARK, _SEEN = range(5)

SLICE_NS = 2_000_000  # Delivering, before others have their turn.
LOOK_EVERY = 16  # Deliveries between two looks at the clock.
JOB_COST = 512  # What a message costs beside its bytes until it is delivered, about.
PLACES_MAX = 10_000  # Channels of which it is known where their messages go,
PLACE_BYTES_MAX = 256  # with names that long.
# A pattern does not match a channel if to find that out would take longer than about 20 ms, as with
# names of many kilobytes: all others would wait for it.
STEPS_MAX = 1 << 22
TELL_AGAIN_NS = 100_000_000  # When there was no room to tell a peer who listens.
MARK_WAIT_NS = 1_000_000_000  # A peer that is up and says nothing for so long is not waited for.


class Subscriber(Protocol):
    """A client, as far as messages are concerned."""

    protocol: int

    @property
    def is_lost(self) -> bool:
        """It is gone."""
        ...

    def push_message(self, data: bytes) -> None:
        """Write a message; one that reads too slowly ends itself."""
        ...


class Post(Protocol):
    """The way to the pub/sub of other nodes; `Peers` is one."""

    def post(self, node: NodeId, parts: list[bytes]) -> bool: ...
    def post_bytes(self, node: NodeId) -> int: ...
    def is_up(self, node: NodeId) -> bool: ...


class Loop(Protocol):
    """Who runs its callbacks."""

    def call_soon(self, callback: Callable[[], None]) -> None: ...
    def call_later(self, delay_ns: int, callback: Callable[[], None]) -> None: ...


@dataclass(frozen=True, slots=True)
class PubSubLimits:
    waiting_bytes_max: int = 64 << 20  # Messages for one peer, or not delivered here yet.
    subscriptions_max: int = 10_000  # Of one client.


@dataclass(slots=True)
class PubSubCounters:
    """Plain numbers; the HTTP door reads them."""

    published: int = 0  # By clients of this node, and by what it leads.
    delivered: int = 0  # To subscribers here.
    sent: int = 0  # To other nodes.
    lost: int = 0  # For want of room on the way to a node that was up, or to subscribers here.
    slow: int = 0  # Subscribers that were ended since they read too slowly.


class Subscriptions:
    """What one client listens to."""

    __slots__ = ("names",)

    def __init__(self) -> None:
        self.names: tuple[dict[bytes, None], ...] = ({}, {}, {})

    @property
    def count(self) -> int:
        """Channels and patterns, as replies to SUBSCRIBE count them."""
        return len(self.names[CHANNEL]) + len(self.names[PATTERN])

    @property
    def total(self) -> int:
        return sum(map(len, self.names))


class _Listeners:
    """The subscribers of this node to one channel or pattern."""

    __slots__ = ("coming", "members", "pattern")

    def __init__(self, pattern: Glob | None) -> None:
        self.members: dict[Subscriber, None] = {}
        self.coming = 0  # Whose subscription is not confirmed yet.
        self.pattern = pattern

    @property
    def told(self) -> int:
        return len(self.members) + self.coming


class _Pattern:
    """One that somebody listens to on other nodes."""

    __slots__ = ("glob", "nodes")

    def __init__(self, pattern: bytes) -> None:
        self.glob = Glob(pattern)
        self.nodes = 0  # How many those are.


class _Place:
    """Where the messages of a channel go."""

    __slots__ = ("count", "nodes")

    def __init__(self) -> None:
        self.nodes: list[NodeId] = []
        self.count = 0  # Subscribers on those.


class _Job:
    """One message on its way to the subscribers here."""

    __slots__ = ("rest", "size")

    def __init__(self, rest: Iterator[bool], size: int) -> None:
        self.rest = rest
        self.size = size


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
        self._others: Callable[[], Iterable[NodeId]] = tuple  # All three from `attach` on.
        self._post: Post
        self._wake: Callable[[], None]
        self._here: tuple[dict[bytes, _Listeners], ...] = ({}, {}, {})
        self._elsewhere: dict[NodeId, tuple[dict[bytes, int], ...]] = {}
        self._patterns_elsewhere: dict[bytes, _Pattern] = {}
        self._places: dict[tuple[Kind, bytes], _Place] = {}
        self._matching: dict[bytes, list[tuple[bytes, _Listeners]]] = {}  # Patterns, by channel.
        self._untold: set[NodeId] = set()  # Nodes that were not told all for want of room.
        self._clients: dict[Subscriber, Subscriptions] = {}
        self._jobs: deque[_Job] = deque()
        self._job_bytes = 0
        self._is_delivering = False
        self._mark = 0  # The last one posted to all,
        self._seen: dict[NodeId, int] = {}  # and the last each node has seen.
        self._confirming: deque[tuple[int, int, Callable[[], None]]] = deque()  # mark, until, done
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

    # --- Publishing.

    def publish(self, kind: Kind, channel: bytes, payload: bytes) -> int:
        """Send a message to all who listen; how many they are, in the whole cluster."""
        self.counters.published += 1
        place = self._places.get((kind, channel)) or self._find_place(kind, channel)
        count = place.count
        if place.nodes:
            packed = [msgpack.packb((_MESSAGE, kind, channel, payload), use_bin_type=True)]
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
        limit = self.limits.waiting_bytes_max
        if self._job_bytes > limit:
            return True
        return any(self._post.post_bytes(node) > limit for node in self._elsewhere)

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

    def _find_place(self, kind: Kind, channel: bytes) -> _Place:
        place = _Place()
        for node, names in self._elsewhere.items():
            count = names[kind].get(channel, 0)
            if kind is CHANNEL:
                for pattern, listeners in names[PATTERN].items():
                    if _matches(self._patterns_elsewhere[pattern].glob, channel):
                        count += listeners
            if count and self._post.is_up(node):
                place.nodes.append(node)
                place.count += count
        if len(self._places) >= PLACES_MAX:
            self._places.clear()
        if len(channel) <= PLACE_BYTES_MAX:
            self._places[kind, channel] = place
        return place

    # --- Delivery to subscribers here.

    def _deliver(self, kind: Kind, channel: bytes, payload: bytes) -> int:
        """Have everybody here get it; how many they are."""
        listeners = self._here[kind].get(channel)
        count = len(listeners.members) if listeners is not None else 0
        matching: list[tuple[bytes, _Listeners]] = []
        if kind is CHANNEL and self._here[PATTERN]:
            matching = [pair for pair in self._matching_here(channel) if pair[1].members]
            count += sum([len(one.members) for _, one in matching])
        if not count:
            return 0
        # Who publishes here waits sooner; other nodes and entries cannot be made to.
        if self._job_bytes > 2 * self.limits.waiting_bytes_max:
            self.counters.lost += 1
            return 0
        size = len(payload) + len(channel) + JOB_COST
        self._job_bytes += size
        frames: list[tuple[list[bytes], _Listeners]] = []
        if listeners is not None and listeners.members:
            frames.append(([MESSAGE_KINDS[kind], channel, payload], listeners))
        for pattern, one in matching:
            frames.append(([b"pmessage", pattern, channel, payload], one))
        self._jobs.append(_Job(self._push_all(frames), size))
        if not self._is_delivering:
            self._is_delivering = True
            self._work()
        return count

    def _matching_here(self, channel: bytes) -> list[tuple[bytes, _Listeners]]:
        """The patterns of this node that `channel` matches."""
        matching = self._matching.get(channel)
        if matching is None:
            matching = []
            for pattern, one in self._here[PATTERN].items():
                assert one.pattern is not None
                if _matches(one.pattern, channel):
                    matching.append((pattern, one))
            if len(self._matching) >= PLACES_MAX:
                self._matching.clear()
            if len(channel) <= PLACE_BYTES_MAX:
                self._matching[channel] = matching
        return matching

    def _push_all(self, frames: list[tuple[list[bytes], _Listeners]]) -> Iterator[bool]:
        for frame, listeners in frames:
            encoded: dict[int, bytes] = {}
            for subscriber in tuple(listeners.members):
                if subscriber not in listeners.members:
                    continue  # It has gone since.
                protocol = subscriber.protocol
                data = encoded.get(protocol)
                if data is None:
                    data = encoded[protocol] = encode_push(frame, protocol)
                subscriber.push_message(data)
                self.counters.delivered += 1
                yield True

    def _work(self) -> None:
        """Deliver for a while; the rest in turns of its own."""
        jobs = self._jobs
        until_ns = self._now_ns() + SLICE_NS
        left = LOOK_EVERY
        while jobs:
            for _ in jobs[0].rest:
                left -= 1
                if not left:
                    left = LOOK_EVERY
                    if self._now_ns() >= until_ns:
                        self._loop.call_soon(self._work)
                        return
            self._job_bytes -= jobs.popleft().size
        self._is_delivering = False
        self._room_made()

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
                listeners = here[name] = _Listeners(Glob(name) if kind is PATTERN else None)
                fresh.append(name)
            listeners.coming += 1
        if fresh and kind is PATTERN:
            self._matching.clear()
        self._tell_listeners(kind, dict.fromkeys(names))

        def confirm() -> None:
            self._join(client, kind, names)
            done()
            if client.is_lost:
                self.leave(client)

        if fresh and any(self._post.is_up(node) for node in self._others()):
            self._mark += 1
            self._post_to_all((_MARK, self._mark))
            until_ns = self._now_ns() + MARK_WAIT_NS
            self._confirming.append((self._mark, until_ns, confirm))
            self._loop.call_later(MARK_WAIT_NS, self._confirm)
        elif self._confirming:
            # Behind those who came before: one of their names may be ours too.
            mark, until_ns, _ = self._confirming[-1]
            self._confirming.append((mark, until_ns, confirm))
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
            listeners.members[client] = None
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
            mark, until_ns, confirm = self._confirming[0]
            if mark > seen and now_ns < until_ns:
                return
            self._confirming.popleft()
            confirm()

    def unsubscribe(self, client: Subscriber, kind: Kind, name: bytes) -> bool:
        """Stop listening; whether it did."""
        own = self._clients.get(client)
        if own is None or name not in own.names[kind]:
            return False
        del own.names[kind][name]
        if not own.total:
            del self._clients[client]
        listeners = self._here[kind][name]
        del listeners.members[client]
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
                del self._here[kind][name].members[client]
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
        self._post_to_all((_LISTENERS, kind, told))

    def _post_to_all(self, post: tuple[Any, ...]) -> None:
        packed = [msgpack.packb(post, use_bin_type=True)]
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
        self._wake()

    def _post_one(self, node: NodeId, post: tuple[Any, ...]) -> None:
        if not self._post.post(node, [msgpack.packb(post, use_bin_type=True)]):
            self._note_untold(node)

    def posts_received(self, node: NodeId, posts: Sequence[Sequence[Any]]) -> None:
        for post in posts:
            match post:
                case [0, (0 | 2) as kind, bytes(channel), bytes(payload)]:
                    self._deliver(Kind(kind), channel, payload)
                case [1, (0 | 1 | 2) as kind, list(told)]:
                    self._listen_elsewhere(node, Kind(kind), told)
                case [2]:
                    self._forget(node)
                case [3, int(mark)]:
                    self._post_one(node, (_SEEN, mark))
                    self._wake()
                case [4, int(mark)]:
                    self._seen[node] = max(mark, self._seen.get(node, 0))
                    self._confirm()
                case _:
                    continue  # A newer version has more to say.

    def _listen_elsewhere(self, node: NodeId, kind: Kind, told: Sequence[Sequence[Any]]) -> None:
        names = self._elsewhere.setdefault(node, ({}, {}, {}))[kind]
        for name, count in told:
            before = names.get(name, 0)
            if count:
                names[name] = count
            else:
                names.pop(name, None)
            if kind is not PATTERN:
                self._places.pop((kind, name), None)
            elif bool(count) != bool(before):
                self._pattern_changed(name, 1 if count else -1)
        if kind is PATTERN:
            self._places.clear()

    def _pattern_changed(self, name: bytes, nodes: int) -> None:
        """So many more nodes have somebody who listens to it."""
        pattern = self._patterns_elsewhere.get(name)
        if pattern is None:
            pattern = self._patterns_elsewhere[name] = _Pattern(name)
        pattern.nodes += nodes
        if not pattern.nodes:
            del self._patterns_elsewhere[name]

    def _forget(self, node: NodeId) -> None:
        for name in self._elsewhere.pop(node, ({}, {}, {}))[PATTERN]:
            self._pattern_changed(name, -1)
        self._places.clear()

    def peer_changed(self, node: NodeId) -> None:
        """Nothing is sent to one that is not up. What it listens to is kept: its own stream to us
        may have lived on, and then it does not say so again."""
        if node not in set(self._others()):
            self._forget(node)
            self._seen.pop(node, None)
            self._untold.discard(node)
        self._tell_again(node)
        self._places.clear()
        self._confirm()
        self._room_made()

    def posts_left(self, _node: NodeId) -> None:
        self._room_made()

    # --- PUBSUB: who listens, here or in the whole cluster.

    def channels(self, kind: Kind, *, is_everywhere: bool) -> dict[bytes, None]:
        """The names that somebody listens to."""
        found = {name: None for name, one in self._here[kind].items() if one.members}
        if is_everywhere:
            for names in self._names_elsewhere():
                found.update(dict.fromkeys(names[kind]))
        return found

    def count(self, kind: Kind, name: bytes, *, is_everywhere: bool) -> int:
        """How many listen to `name`."""
        listeners = self._here[kind].get(name)
        count = 0 if listeners is None else len(listeners.members)
        if is_everywhere:
            count += sum([names[kind].get(name, 0) for names in self._names_elsewhere()])
        return count

    def _names_elsewhere(self) -> Iterator[tuple[dict[bytes, int], ...]]:
        for node, names in self._elsewhere.items():
            if self._post.is_up(node):
                yield names

    @property
    def has_listeners(self) -> bool:
        """Whether anybody in the cluster listens to channels: else nothing need be published."""
        if self._here[CHANNEL] or self._here[PATTERN]:
            return True
        return any(names[CHANNEL] or names[PATTERN] for names in self._elsewhere.values())

    @property
    def clients(self) -> int:
        """Subscribers here."""
        return len(self._clients)


def _matches(pattern: Glob, channel: bytes) -> bool:
    return pattern.steps(channel) <= STEPS_MAX and pattern.matches(channel)
