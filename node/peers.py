"""The other nodes: what goes to them, what comes from them, and whether they are there.

Each node dials each other node and sends on the streams it dialled (`peer_link.py`); what arrives
on streams dialled by others comes in through `peer_server.py` and is checked here: cluster,
incarnations and process nonce of every batch (correctness R8). A peer is up while all four are
live, log and control in both directions, of one and the same process; the handler is told within
the turn in which one of them breaks. Nothing here waits for a disk or a name.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol  # Any: posts hold values of several kinds.

from google.protobuf.message import DecodeError

from ..cluster.topology import NodeInfo, Topology
from ..proto import peer_pb2 as pb
from .bulk import BulkSender, SnapshotSink, Transfer
from .leaders import Leaders
from .names import Address, Names
from .peer_link import Link, LinkCounters, LocalNode
from .pieces import Joining
from .raft.types import InstallSnapshot, Message, NodeId
from .skew import ClockOffsets
from .wire import (
    PROTOCOL_VERSION,
    WireError,
    take_leaders,
    take_messages,
    unpack_answers,
    unpack_forwards,
    unpack_posts,
)

if TYPE_CHECKING:
    from random import Random

    from ..cluster.slots import ShardId
    from .clock import Clock
    from .leaders import Led
    from .request import Answer, Forward

GRPC_OFFSET = 2  # From a node's base port.

_log = logging.getLogger(__name__)


class PeerHandler(Protocol):
    """Who is told what peers say. Called on the loop; what it raises stops the node."""

    def receive(self, node: NodeId, messages: Sequence[tuple[ShardId, Message]]) -> None: ...

    def receive_forwards(self, node: NodeId, forwards: Sequence[Forward]) -> None: ...

    def receive_answers(self, node: NodeId, answers: Sequence[Answer]) -> None: ...

    def peer_up(self, node: NodeId) -> None: ...

    def peer_down(self, node: NodeId) -> None:
        """Nothing that was on its way to or from `node` can be counted on."""
        ...

    def messages_dropped(self, node: NodeId) -> None:
        """The queue to `node` is full: cores that lead must probe it (unreachable, reachable)."""
        ...

    def snapshot_received(
        self, node: NodeId, shard: ShardId, message: InstallSnapshot, path: str
    ) -> None: ...

    def snapshot_sent(
        self, node: NodeId, shard: ShardId, message: InstallSnapshot, *, is_ok: bool
    ) -> None: ...

    def topology_received(self, topology: Topology) -> None:
        """A peer knows a newer one."""
        ...

    def leaders_received(self, node: NodeId, told: Sequence[Led]) -> None:
        """Whom `node` knows to lead; `tell_leaders` passes on what is news (D5)."""
        ...

    def address_seen(self, node: NodeId, host: str, port: int) -> None:
        """`node` announces another address (base port) than was known here."""
        ...


class PostOffice(Protocol):
    """Pub/sub, as far as it speaks with that of other nodes. Called on the loop."""

    def stream_began(self, node: NodeId) -> None:
        """What is posted to `node` from now on comes behind nothing that was posted before."""
        ...

    def posts_received(self, node: NodeId, posts: Sequence[Sequence[Any]]) -> None:
        """In the order in which `node` posted them."""
        ...

    def posts_left(self, node: NodeId) -> None:
        """Something that was posted to `node` is on its way."""
        ...

    def peer_changed(self, node: NodeId) -> None:
        """It is up or down now, or has left the topology."""
        ...


@dataclass(frozen=True, slots=True)
class PeersConfig:
    queue_bytes_max: int = 256 << 20
    snapshot_chunk_bytes: int = 256 << 10


@dataclass(slots=True, eq=False)
class Inbound:
    """A stream that a peer dialled."""

    node: NodeId
    kind: str
    nonce: int
    arriving: Joining = field(default_factory=Joining)


class Peers:
    """A `Transport`. Made once the cluster is formed; `run` keeps it going until `close`."""

    def __init__(
        self,
        local: LocalNode,
        topology: Topology,
        config: PeersConfig,
        *,
        clock: Clock,
        rng: Random,
        addresses: Mapping[NodeId, Address] | None = None,  # Better known than the topology's.
    ) -> None:
        self.local = local
        self.sink: SnapshotSink  # Both from `attach`.
        self._handler: PeerHandler
        self.post_office: PostOffice | None = None  # Without one nobody posts.
        self.links: dict[NodeId, Link] = {}
        self.refused: dict[str, int] = {}  # Hellos refused here, by who it said it was.
        self.offsets = ClockOffsets()
        self.leaders = Leaders()  # What every peer was told, or is told when it comes.
        self._config = config
        self._clock = clock
        self._rng = rng
        self._topology = topology
        self._topology_json = b""
        self._names = Names()
        self._bulk: dict[NodeId, BulkSender] = {}
        self._inbound: dict[tuple[NodeId, str], Inbound] = {}
        self._touched: dict[NodeId, Link] = {}  # Something was queued since the last flush.
        self._tasks: dict[NodeId, list[asyncio.Task[None]]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._closing = asyncio.Event()
        self._refusals: dict[str, str] = {}
        self._has_posted: set[NodeId] = set()  # Their log streams are those of `stream_began`.
        for info in topology.nodes:
            self._add(info, (addresses or {}).get(NodeId(info.name)))

    # --- Life.

    def attach(self, handler: PeerHandler, sink: SnapshotSink) -> None:
        """Who is told what peers say, and where their snapshots go; before `run`."""
        self._handler = handler
        self.sink = sink

    async def run(self) -> None:
        """Dial everyone and keep dialling; ends after `close`."""
        async with asyncio.TaskGroup() as self._group:
            for link in self.links.values():
                self._start(link)
            await self._closing.wait()
            for node in list(self._tasks):
                self._stop(node)

    def close(self) -> None:
        """Hang up. From here on the handler is told nothing more: it may be closing its files."""
        self._closing.set()

    def _add(self, info: NodeInfo, address: Address | None) -> None:
        node = NodeId(info.name)
        if node == self.local.name:
            return
        link = self.links[node] = Link(
            node,
            info.incarnation,
            address or Address(info.host, info.port + GRPC_OFFSET),
            owner=self,
            names=self._names,
            clock=self._clock,
            rng=self._rng,
            queue_bytes_max=self._config.queue_bytes_max,
        )
        self._bulk[node] = BulkSender(
            link,
            names=self._names,
            chunk_bytes=self._config.snapshot_chunk_bytes,
            sent=lambda transfer, error: self._snapshot_sent(node, transfer, error),
        )
        if self._group is not None:
            self._start(link)

    def _start(self, link: Link) -> None:
        assert self._group is not None, "run() starts streams"
        self._tasks[link.node] = [
            self._group.create_task(link.log.run(), name=f"log to {link.node}"),
            self._group.create_task(link.control.run(), name=f"control to {link.node}"),
            self._group.create_task(self._bulk[link.node].run(), name=f"bulk to {link.node}"),
        ]

    def _stop(self, node: NodeId) -> None:
        for task in self._tasks.pop(node, ()):
            task.cancel()

    # --- Sending: queued here, on its way at `flush`.

    def send(self, node: NodeId, shard: ShardId, message: Message) -> None:
        link = self.links.get(node)
        if link is not None:  # A node that left the topology: nothing to say to it.
            link.send(shard, message)
            self._touched[node] = link

    def forward(self, node: NodeId, forward: Forward) -> None:
        """Pass a request on. One that surely does not leave is answered NotApplied at a flush."""
        link = self.links[node]
        link.forward(forward)
        self._touched[node] = link

    def answer(self, node: NodeId, answer: Answer) -> None:
        link = self.links.get(node)
        if link is not None:
            link.answer(answer)
            self._touched[node] = link

    def post(self, node: NodeId, parts: list[bytes]) -> bool:
        """Post something to the pub/sub of `node`; False if it is lost."""
        link = self.links.get(node)
        if link is None or not link.post(parts):
            return False
        self._touched[node] = link
        return True

    def post_bytes(self, node: NodeId) -> int:
        """What was posted to `node` and has not left."""
        link = self.links.get(node)
        return 0 if link is None else link.post_bytes

    def send_snapshot(
        self, node: NodeId, shard: ShardId, message: InstallSnapshot, path: str
    ) -> None:
        """Start a transfer; `snapshot_sent` tells its end, well or not."""
        self._bulk[node].send(Transfer(shard, message, path))

    def flush(self, *, lazily: bool = False) -> None:
        """The end of a turn. `lazily`: also what alone would be no reason for a message (E2)."""
        if lazily:
            links, self._touched = list(self.links.values()), {}
        elif self._touched:
            links, self._touched = list(self._touched.values()), {}
        else:
            return
        for link in links:
            link.flush(lazily=lazily)
            if bounced := link.take_bounced():
                self._handler.receive_answers(link.node, bounced)
            if link.take_overflow():
                self._handler.messages_dropped(link.node)

    # --- What is known of the others.

    def is_clock_far(self, limit_ms: int) -> bool:
        """Whether our wall clock is further than that from the middle of all clocks (A2)."""
        clock = self._clock
        return self.offsets.is_far(limit_ms, local_ms=clock.wall_ms(), now_ns=clock.now_ns())

    def is_up(self, node: NodeId) -> bool:
        link = self.links.get(node)
        return node == self.local.name or (link is not None and link.is_up)

    @property
    def missing(self) -> list[NodeId]:
        """The nodes of the topology that are not up."""
        return [node for node, link in self.links.items() if not link.is_up]

    def nodes_behind(self, epoch: int) -> list[NodeId]:
        """Those that are up and have not said that they know the topology of that epoch."""
        return [node for node, link in self.links.items() if link.is_up and link.said_epoch < epoch]

    @property
    def epoch(self) -> int:
        return self._topology.epoch

    @property
    def counters(self) -> dict[NodeId, LinkCounters]:
        return {node: link.counters for node, link in self.links.items()}

    def topology_json(self) -> bytes:
        """The topology as peers are sent it."""
        if not self._topology_json:
            self._topology_json = json.dumps(self._topology.to_json()).encode()
        return self._topology_json

    def tell_leaders(self, told: Sequence[Led], *, is_urgent: bool) -> None:
        """Pass on to everybody who leads: with the next flush, or with what else leaves."""
        for one in self.leaders.learn_all(told):
            for node, link in self.links.items():
                link.tell(one, is_urgent=is_urgent)
                if is_urgent:
                    self._touched[node] = link

    def update_topology(self, topology: Topology) -> None:
        """The meta group decided: dial who is new, drop who left, tell who does not know."""
        before, self._topology = self._topology, topology
        self._topology_json = b""
        for info in topology.nodes:
            old = before.node(info.name)
            if old is None or old.incarnation != info.incarnation:
                self._remove(NodeId(info.name))
                self._add(info, None)
            elif (old.host, old.port) != (info.host, info.port):
                # Only what changed: an address that a peer told us itself is newer than the
                # topology until the topology says something new.
                self._move(NodeId(info.name), Address(info.host, info.port + GRPC_OFFSET))
        for node in [node for node in self.links if topology.node(node) is None]:
            self._remove(node)
        for link in self.links.values():
            link.wake()

    def _move(self, node: NodeId, address: Address) -> None:
        link = self.links.get(node)
        if link is not None and link.address != address:
            _log.info("peer address", extra={"peer": node, "address": str(address)})
            link.move_to(address)

    def _remove(self, node: NodeId) -> None:
        self._stop(node)
        link = self.links.pop(node, None)
        if link is not None:
            self._touched.pop(node, None)
            del self._bulk[node]
            for key in [key for key in self._inbound if key[0] == node]:
                del self._inbound[key]
            self._update(link)

    # --- Up and down.

    def link_changed(self, link: Link) -> None:
        """A stream to the peer went live or broke."""
        if not link.log.is_live:
            link.drop_queue()
            self._has_posted.discard(link.node)
        elif self.post_office is not None and link.node not in self._has_posted:
            self._has_posted.add(link.node)
            self.post_office.stream_began(link.node)
        self._update(link)

    def posts_left(self, link: Link) -> None:
        """Some of what was posted to the peer has left."""
        if self.post_office is not None:
            self.post_office.posts_left(link.node)

    def _update(self, link: Link) -> None:
        nonces = {
            link.log.nonce,
            link.control.nonce,
            *(
                stream.nonce if (stream := self._inbound.get((link.node, kind))) else 0
                for kind in ("Log", "Control")
            ),
        }
        # All four live, of one process: a stream of a process that died may linger a while.
        is_up = len(nonces) == 1 and 0 not in nonces
        if is_up == link.is_up:
            return
        link.is_up = is_up
        link.up_since_ms = self._clock.wall_ms()
        link.said_epoch = 0  # An earlier process of it may have known more.
        if self._closing.is_set():
            return
        _log.info("peer up" if is_up else "peer down", extra={"peer": link.node})
        if self.post_office is not None:
            self.post_office.peer_changed(link.node)
        if is_up:
            self._handler.peer_up(link.node)
        else:
            self.offsets.forget(link.node)
            self._handler.peer_down(link.node)

    def _snapshot_sent(self, node: NodeId, transfer: Transfer, error: str | None) -> None:
        self._handler.snapshot_sent(node, transfer.shard, transfer.message, is_ok=error is None)

    # --- Streams that peers dial, from `peer_server.py`.

    def refusal_of(self, hello: pb.Hello) -> pb.Refusal | None:
        """Why not to talk to whoever says this, with both values, or None (R8)."""
        text, is_temporary = self._fault_of(hello)
        source = hello.source.name
        if not text:
            self._refusals.pop(source, None)
            return None
        self.refused[source] = self.refused.get(source, 0) + 1
        if self._refusals.get(source) != text:  # Once per change, not once per try.
            self._refusals[source] = text
            level = logging.INFO if is_temporary else logging.ERROR
            _log.log(level, "peer refused", extra={"peer": source, "error": text})
        return pb.Refusal(text=text, is_temporary=is_temporary)

    def _fault_of(self, hello: pb.Hello) -> tuple[str, bool]:
        local, source = self.local, hello.source
        if hello.version != PROTOCOL_VERSION:
            text = f"peer protocol version {hello.version}, {local.name} speaks {PROTOCOL_VERSION}"
            return text, False
        if hello.cluster_id != local.cluster_id:
            return (
                f"{source.name} belongs to cluster {hello.cluster_id:016x},"
                f" {local.name} to cluster {local.cluster_id:016x}"
            ), False
        if hello.target_name != local.name:
            return f"this is {local.name}, not {hello.target_name}", False
        if hello.target_incarnation not in (0, local.incarnation):
            return (
                f"this is {local.name} {local.incarnation:016x},"
                f" not {local.name} {hello.target_incarnation:016x}"
            ), False
        return self._membership_fault(source, is_newer=hello.epoch > self.epoch)

    def _membership_fault(self, source: pb.Source, *, is_newer: bool) -> tuple[str, bool]:
        # Whoever knows a newer topology may be right: it is refused only until we know it too.
        info = self._topology.node(source.name)
        if info is None or source.name == self.local.name:
            return f"{source.name} is no peer of {self.local.name} at epoch {self.epoch}", is_newer
        if info.incarnation != source.incarnation:
            return (
                f"{source.name} comes as incarnation {source.incarnation:016x},"
                f" the topology of epoch {self.epoch} says {info.incarnation:016x}"
            ), is_newer
        return "", False

    def welcome(self, kind: str, hello: pb.Hello) -> tuple[Inbound, pb.Welcome]:
        """Accept a stream whose Hello has no fault."""
        source = hello.source
        node = NodeId(source.name)
        link = self.links[node]
        address = Address(source.host, source.port + GRPC_OFFSET)
        if link.address != address:
            self._move(node, address)
            self._handler.address_seen(node, source.host, source.port)
        link.hurry()
        link.known_epoch = max(link.known_epoch, hello.epoch)
        inbound = Inbound(node, kind, source.nonce)
        if kind != "Bulk":
            # In the place of an older one, which may be that of a process that died.
            self._inbound[node, kind] = inbound
            self._update(link)
        reply = pb.Welcome(
            version=PROTOCOL_VERSION, source=self.local.source(), epoch=self._topology.epoch
        )
        return inbound, reply

    def gone(self, inbound: Inbound) -> None:
        """A stream that was welcomed ended."""
        if self._inbound.get((inbound.node, inbound.kind)) is inbound:
            del self._inbound[inbound.node, inbound.kind]
            link = self.links.get(inbound.node)
            if link is not None:
                self._update(link)

    def received(self, inbound: Inbound, data: bytes) -> None:
        """A frame on a log or control stream; raises WireError if it cannot be read."""
        link = self.links.get(inbound.node)
        if link is None or self._closing.is_set():
            return  # It left the topology, or we are leaving: the stream will end.
        try:
            frame = pb.Frame.FromString(data)
        except DecodeError as error:
            raise WireError(f"a frame that cannot be read: {error}") from error
        batch = frame.batch
        counters = link.counters
        counters.batches_in += 1
        counters.bytes_in += len(data)
        if not self._is_for_us(link, inbound, batch):
            counters.mismatches += 1  # Dropped and counted (R8).
            return
        self.offsets.note(
            link.node,
            remote_ms=batch.wall_ms,
            local_ms=self._clock.wall_ms(),
            now_ns=self._clock.now_ns(),
        )
        self._compare_epochs(link, batch)
        if batch.leaders:
            told = take_leaders(batch.leaders)
            self._handler.leaders_received(link.node, told)
            for one in told:
                link.told(one)
        arriving = inbound.arriving
        if batch.piece:
            match arriving.add(batch):
                case pb.FORWARDS, data:
                    self._handler.receive_forwards(link.node, unpack_forwards(data))
                case pb.ANSWERS, data:
                    self._handler.receive_answers(link.node, unpack_answers(data))
                case pb.POSTS, data:
                    self._receive_posts(link.node, data)
        if batch.messages:
            messages = take_messages(batch.messages, arriving.entries)
            self._handler.receive(link.node, messages)
        if batch.answers:
            self._handler.receive_answers(link.node, unpack_answers(batch.answers))
        if batch.forwards:
            self._handler.receive_forwards(link.node, unpack_forwards(batch.forwards))
        if batch.posts:
            self._receive_posts(link.node, batch.posts)

    def _receive_posts(self, node: NodeId, data: bytes) -> None:
        if self.post_office is not None:
            self.post_office.posts_received(node, unpack_posts(data))

    def _is_for_us(self, link: Link, inbound: Inbound, batch: pb.Batch) -> bool:
        return (
            batch.version == PROTOCOL_VERSION
            and batch.cluster_id == self.local.cluster_id
            and batch.source_incarnation == link.incarnation
            and batch.target_incarnation == self.local.incarnation
            and batch.nonce == inbound.nonce
        )

    def _compare_epochs(self, link: Link, batch: pb.Batch) -> None:
        if batch.nonce == link.log.nonce:
            link.said_epoch = max(link.said_epoch, batch.epoch)
        if batch.epoch > link.known_epoch:
            link.known_epoch = batch.epoch
        elif batch.epoch < link.known_epoch < self.epoch:
            link.wake()
        if not batch.topology:
            return
        try:
            topology = Topology.from_json(json.loads(batch.topology))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise WireError(f"a topology that cannot be read: {error}") from error
        if topology.epoch > self.epoch:
            self._handler.topology_received(topology)

    def snapshot_arrived(
        self, inbound: Inbound, shard: ShardId, message: InstallSnapshot, path: str
    ) -> None:
        """A whole, verified file came over a bulk stream."""
        if not self._closing.is_set():
            self._handler.snapshot_received(inbound.node, shard, message, path)
