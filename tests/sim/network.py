"""The network between the nodes: it delays, drops, duplicates, reorders and cuts.

Two manners. As streams, what gRPC gives: in order, and lost only when the stream breaks, which both
ends are told of sooner or later. As datagrams: every batch for itself, which no stream would do to
us, but which the core must survive.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Protocol

from .schedule import MS, Schedule

if TYPE_CHECKING:
    from random import Random

    from trimaran.node.raft.types import NodeId


@dataclass(frozen=True, slots=True)
class NetworkProfile:
    """How bad the network is while faults last; afterwards it only delays."""

    delay_min_ns: int = MS // 5
    delay_max_ns: int = 2 * MS
    is_stream: bool = True
    drop: float = 0.0  # Datagrams only, as the next two.
    duplicate: float = 0.0
    late: float = 0.0  # Takes up to `late_max_ns`: reordered, perhaps into another election.
    late_max_ns: int = 2000 * MS


class Receiver(Protocol):
    """A running process at the end of a link."""

    def peer_up(self, node: NodeId) -> None: ...

    def peer_down(self, node: NodeId) -> None: ...


Deliver = Callable[[Receiver], None]


@dataclass(slots=True)
class _Link:
    """One direction between two nodes."""

    is_cut: bool = False
    last_ns: int = 0  # When the last batch arrives: streams keep the order.


@dataclass(slots=True)
class _Pair:
    """The stream between two nodes, of which `generation` numbers the connections."""

    generation: int = 0
    is_up: bool = False
    is_connecting: bool = False
    untold: list[tuple[NodeId, NodeId]] = field(
        default_factory=list
    )  # (end, far): still think it up.


class SimNetwork:
    def __init__(
        self, schedule: Schedule, rng: Random, nodes: list[NodeId], profile: NetworkProfile
    ) -> None:
        self.profile = profile
        self.sent = 0
        self.lost = 0
        self._schedule = schedule
        self._rng = rng
        self._nodes = nodes
        self._receivers: dict[NodeId, Receiver] = {}
        self._links = {
            (source, target): _Link() for source in nodes for target in nodes if source != target
        }
        self._pairs = {
            (one, other): _Pair() for place, one in enumerate(nodes) for other in nodes[:place]
        }

    # --- Processes.

    def start(self, node: NodeId, receiver: Receiver) -> None:
        """A process begins to listen as `node`; its peers connect by and by."""
        self._receivers[node] = receiver
        for pair in self._pairs_of(node):
            self._connect(pair)

    def stop(self, node: NodeId, *, is_silent: bool) -> None:
        """The process is gone. Silent: nobody tells the peers (power cut) until a time-out."""
        del self._receivers[node]
        for names in self._pairs_of(node):
            self.break_stream(*names, is_silent=is_silent)
            pair = self._pairs[names]  # Nobody is left at this end to be told.
            pair.untold = [(end, far) for end, far in pair.untold if end != node]

    def _pairs_of(self, node: NodeId) -> list[tuple[NodeId, NodeId]]:
        return [pair for pair in self._pairs if node in pair]

    # --- Batches.

    def send(self, source: NodeId, target: NodeId, deliver: Deliver) -> None:
        """`deliver` will be called with the process at `target`, if the network is kind."""
        self.sent += 1
        profile, rng = self.profile, self._rng
        link = self._links[source, target]
        pair = self._pair(source, target)
        if link.is_cut or (profile.is_stream and not pair.is_up):
            self.lost += 1
            return
        delay_ns = rng.randrange(profile.delay_min_ns, profile.delay_max_ns)
        if profile.is_stream:
            link.last_ns = max(link.last_ns, self._schedule.now_ns + delay_ns)
            generation = pair.generation
            self._schedule.at(
                link.last_ns, lambda: self._arrive(source, target, deliver, generation)
            )
            return
        if profile.drop and rng.random() < profile.drop:
            self.lost += 1
            return
        copies = 2 if profile.duplicate and rng.random() < profile.duplicate else 1
        for _ in range(copies):
            if profile.late and rng.random() < profile.late:
                delay_ns = rng.randrange(profile.delay_max_ns, profile.late_max_ns)
            self._schedule.after(delay_ns, lambda: self._arrive(source, target, deliver, None))

    def _arrive(
        self, source: NodeId, target: NodeId, deliver: Deliver, generation: int | None
    ) -> None:
        receiver = self._receivers.get(target)
        is_stale = generation is not None and generation != self._pair(source, target).generation
        if receiver is None or is_stale or self._links[source, target].is_cut:
            self.lost += 1
            return
        deliver(receiver)

    def _pair(self, one: NodeId, other: NodeId) -> _Pair:
        return self._pairs.get((one, other)) or self._pairs[other, one]

    # --- Streams.

    def _connect(self, names: tuple[NodeId, NodeId]) -> None:
        pair = self._pairs[names]
        if pair.is_up or pair.is_connecting:
            return
        pair.is_connecting = True
        self._schedule.after(self._rng.randrange(5 * MS, 80 * MS), lambda: self._connected(names))

    def _connected(self, names: tuple[NodeId, NodeId]) -> None:
        one, other = names
        pair = self._pairs[names]
        pair.is_connecting = False
        is_cut = self._links[one, other].is_cut or self._links[other, one].is_cut
        if is_cut or one not in self._receivers or other not in self._receivers:
            return
        for end, far in pair.untold[:]:  # Nobody is told up before down.
            self._tell_down(pair, end, far)
        pair.is_up = True
        pair.generation += 1
        self._receivers[one].peer_up(other)
        self._receivers[other].peer_up(one)

    def break_stream(self, one: NodeId, other: NodeId, *, is_silent: bool = False) -> None:
        """What is in flight is lost, both ends learn of it, and they connect again if they can."""
        names = (one, other) if (one, other) in self._pairs else (other, one)
        pair = self._pairs[names]
        if not pair.is_up:
            self._connect(names)
            return
        pair.is_up = False
        pair.generation += 1
        for end, far in ((one, other), (other, one)):
            pair.untold.append((end, far))
            # Silence is noticed late; but some firewalls say at once that nobody is there.
            is_late = is_silent and self._rng.random() < 0.5
            delay_ns = self._rng.randrange(MS, 2000 * MS if is_late else 20 * MS)
            self._schedule.after(delay_ns, partial(self._tell_down, pair, end, far))
        self._schedule.after(self._rng.randrange(20 * MS, 200 * MS), lambda: self._connect(names))

    def _tell_down(self, pair: _Pair, end: NodeId, far: NodeId) -> None:
        if (end, far) not in pair.untold:
            return
        pair.untold.remove((end, far))
        receiver = self._receivers.get(end)
        if receiver is not None:
            receiver.peer_down(far)

    # --- Cuts.

    def cut(self, source: NodeId, target: NodeId) -> None:
        """One direction lets nothing through; the stream dies of it, now or never."""
        self._links[source, target].is_cut = True
        if self._rng.random() < 0.5:
            self.break_stream(source, target, is_silent=True)

    def isolate(self, group: list[NodeId]) -> None:
        """Nothing passes between `group` and the other nodes."""
        for (source, target), link in self._links.items():
            if (source in group) != (target in group):
                link.is_cut = True
        for one, other in self._pairs:
            if (one in group) != (other in group):
                self.break_stream(one, other, is_silent=True)

    def heal(self) -> None:
        """Everything passes again; broken streams connect soon."""
        for link in self._links.values():
            link.is_cut = False
        for names in self._pairs:
            self._connect(names)

    def is_connected(self, one: NodeId, other: NodeId) -> bool:
        """Whether a stream stands between two nodes and both directions pass."""
        is_cut = self._links[one, other].is_cut or self._links[other, one].is_cut
        return self._pair(one, other).is_up and not is_cut
