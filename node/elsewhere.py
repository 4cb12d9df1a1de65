"""What the subscribers of other nodes listen to, as these have told it: where messages go.

Each node tells how many listen to a name there, and tells it again when that changes. It is asked
by `pubsub.py`, for every message that is published.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final  # Any: what a node tells.

from .patterns import Patterns
from .subscriptions import CHANNEL, PATTERN, Kind

if TYPE_CHECKING:
    from .delivery import Loop
    from .raft.types import NodeId

PLACES_MAX: Final = 10_000  # Channels of which it is known where their messages go,
PLACE_BYTES_MAX: Final = 256  # with names that long.

Names = tuple[dict[bytes, int], ...]  # By kind: how many listen to each.


class Place:
    """Where the messages of a channel go."""

    __slots__ = ("count", "nodes")

    def __init__(self) -> None:
        self.nodes: list[NodeId] = []
        self.count = 0  # Subscribers on those.


class Elsewhere:
    def __init__(
        self,
        now_ns: Callable[[], int],
        advanced: Callable[[], None],
        is_up: Callable[[NodeId], bool],
    ) -> None:
        self.patterns = Patterns(now_ns, advanced)
        self._is_up = is_up
        self._names: dict[NodeId, Names] = {}
        self._pattern_nodes: dict[bytes, int] = {}  # How many nodes listen to each pattern.
        self._places: dict[tuple[Kind, bytes], Place] = {}

    # --- Where a message goes.

    def place(self, kind: Kind, channel: bytes) -> Place:
        """The nodes that are up and have subscribers for it."""
        return self._places.get((kind, channel)) or self._find(kind, channel)

    def _find(self, kind: Kind, channel: bytes) -> Place:
        place = Place()
        matching: list[bytes] = []
        if kind is CHANNEL and self._pattern_nodes:
            matching = list(self.patterns.matching(channel))
        for node, names in self._names.items():
            count = names[kind].get(channel, 0)
            count += sum([names[PATTERN].get(pattern, 0) for pattern in matching])
            if count and self._is_up(node):
                place.nodes.append(node)
                place.count += count
        if len(self._places) >= PLACES_MAX:
            self._places.clear()
        if len(channel) <= PLACE_BYTES_MAX:
            self._places[kind, channel] = place
        return place

    def look_anew(self) -> None:
        """A node came or went, or a pattern matches from now on."""
        self._places.clear()

    # --- What a node tells.

    def told(self, loop: Loop, node: NodeId, kind: Kind, told: Sequence[Sequence[Any]]) -> None:
        """So many listen to each of these names now."""
        names = self._names.setdefault(node, ({}, {}, {}))[kind]
        for name, count in told:
            before = names.get(name, 0)
            if count:
                names[name] = count
            else:
                names.pop(name, None)
            if kind is not PATTERN:
                self._places.pop((kind, name), None)
            elif bool(count) != bool(before):
                self._pattern_changed(loop, name, 1 if count else -1)
        if kind is PATTERN:
            self._places.clear()

    def _pattern_changed(self, loop: Loop, name: bytes, by: int) -> None:
        """So many more nodes have somebody who listens to it."""
        nodes = self._pattern_nodes.get(name, 0)
        if not nodes:
            self.patterns.add(loop, name)
        if nodes + by:
            self._pattern_nodes[name] = nodes + by
        else:
            del self._pattern_nodes[name]
            self.patterns.discard(name)

    def forget(self, loop: Loop, node: NodeId) -> None:
        """All that it has told."""
        for name in self._names.pop(node, ({}, {}, {}))[PATTERN]:
            self._pattern_changed(loop, name, -1)
        self._places.clear()

    # --- Who listens.

    @property
    def nodes(self) -> Iterable[NodeId]:
        """Those that have told something, up or not."""
        return self._names

    def names(self) -> Iterator[Names]:
        """What is listened to at each node that is up."""
        for node, names in self._names.items():
            if self._is_up(node):
                yield names

    @property
    def has_listeners(self) -> bool:
        """Whether anybody listens to channels, also where it is not known to be up."""
        return any(names[CHANNEL] or names[PATTERN] for names in self._names.values())
