"""Real `Peers` in one process, on loopback, with handlers that write down what they are told."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from trimaran.cluster.topology import NodeInfo, ReplicaInfo, Topology
from trimaran.node.clock import SystemClock
from trimaran.node.errors import Corrupt
from trimaran.node.names import Address
from trimaran.node.peer_link import LocalNode
from trimaran.node.peer_server import PeerServer
from trimaran.node.peers import Inbound, Peers, PeersConfig
from trimaran.node.raft.types import InstallSnapshot, Message, NodeId, SnapshotMeta

if TYPE_CHECKING:
    from trimaran.cluster.slots import ShardId
    from trimaran.node.leaders import Led
    from trimaran.node.peer_stream import Context
    from trimaran.node.request import Answer, Forward

CLUSTER = 0xC1
HOST = "127.0.0.1"


class Recorder:
    """A `PeerHandler` one can wait on."""

    def __init__(self) -> None:
        self.messages: list[tuple[NodeId, ShardId, Message]] = []
        self.forwards: list[Forward] = []
        self.answers: list[Answer] = []
        self.events: list[tuple[str, NodeId]] = []
        self.received: list[tuple[ShardId, InstallSnapshot, str]] = []
        self.sent: list[tuple[ShardId, bool]] = []
        self.topologies: list[Topology] = []
        self.leaders: list[tuple[NodeId, Led]] = []
        self.addresses: list[tuple[NodeId, str, int]] = []
        self.raises: Exception | None = None
        self._news = asyncio.Event()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits until something that was told makes `condition` true."""
        while not condition():
            self._news.clear()
            await self._news.wait()

    async def up(self, node: str) -> None:
        await self.until(lambda: self._last_of(node) == "up")

    async def down(self, node: str) -> None:
        await self.until(lambda: self._last_of(node) == "down")

    def _last_of(self, node: str) -> str:
        told = [event for event, who in self.events if who == node and event != "dropped"]
        return told[-1] if told else ""

    def receive(self, node: NodeId, messages: Sequence[tuple[ShardId, Message]]) -> None:
        if self.raises is not None:
            raise self.raises
        self.messages += [(node, shard, message) for shard, message in messages]
        self._news.set()

    def receive_forwards(self, node: NodeId, forwards: Sequence[Forward]) -> None:
        assert node
        self.forwards += forwards
        self._news.set()

    def receive_answers(self, node: NodeId, answers: Sequence[Answer]) -> None:
        assert node
        self.answers += answers
        self._news.set()

    def peer_up(self, node: NodeId) -> None:
        self.events.append(("up", node))
        self._news.set()

    def peer_down(self, node: NodeId) -> None:
        self.events.append(("down", node))
        self._news.set()

    def messages_dropped(self, node: NodeId) -> None:
        self.events.append(("dropped", node))
        self._news.set()

    def snapshot_received(
        self, node: NodeId, shard: ShardId, message: InstallSnapshot, path: str
    ) -> None:
        assert node
        self.received.append((shard, message, path))
        self._news.set()

    def snapshot_sent(
        self, node: NodeId, shard: ShardId, message: InstallSnapshot, *, is_ok: bool
    ) -> None:
        assert node
        assert message.term
        self.sent.append((shard, is_ok))
        self._news.set()

    def topology_received(self, topology: Topology) -> None:
        self.topologies.append(topology)
        self._news.set()

    def leaders_received(self, node: NodeId, told: Sequence[Led]) -> None:
        self.leaders += [(node, one) for one in told]
        self._news.set()

    def address_seen(self, node: NodeId, host: str, port: int) -> None:
        self.addresses.append((node, host, port))
        self._news.set()


class MemoryFile:
    """An `IncomingFile` in memory."""

    def __init__(self, sink: MemorySink, shard: ShardId) -> None:
        self._sink = sink
        self._shard = shard
        self._data = bytearray()

    def write(self, data: bytes) -> None:
        if self._sink.fails_with is not None:
            raise self._sink.fails_with
        self._data += data

    def finish(self) -> str:
        if self._sink.is_corrupt:
            raise Corrupt("the file's checksum is wrong")
        path = f"incoming/{self._shard}"
        self._sink.files[path] = bytes(self._data)
        return path

    def abort(self) -> None:
        self._sink.aborted += 1


class MemorySink:
    """A `SnapshotSink` in memory."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.aborted = 0
        self.is_corrupt = False
        self.fails_with: OSError | None = None

    def open_incoming(self, shard: ShardId, meta: SnapshotMeta) -> MemoryFile:
        assert meta.id.index
        return MemoryFile(self, shard)


class DeafServer(PeerServer):
    """Welcomes log streams and never reads a batch from them."""

    async def _serve_batches(self, peers: Peers, inbound: Inbound, context: Context) -> None:
        if inbound.kind == "Log":
            await asyncio.Event().wait()
        await super()._serve_batches(peers, inbound, context)


class Node:
    """One node of the rig: its server, its peers, and what they were told."""

    def __init__(self, name: str, *, incarnation: int = 0, cluster_id: int = CLUSTER) -> None:
        self.name = NodeId(name)
        self.incarnation = incarnation or 0x1000 + int(name[1:])
        self.cluster_id = cluster_id
        self.port = 0
        self.recorder = Recorder()
        self.sink = MemorySink()
        self.failure: BaseException | None = None
        self.topology: Topology
        self.peers: Peers
        self.server: PeerServer
        self._tasks: list[asyncio.Task[None]] = []

    async def listen(self, port: int = 0, *, reads_log: bool = True) -> None:
        self.server = PeerServer() if reads_log else DeafServer()
        self.port = await self.server.start(HOST, port)

    def run(self, topology: Topology, config: PeersConfig | None = None, *, nonce: int = 0) -> None:
        self.topology = topology
        local = LocalNode(
            self.cluster_id,
            self.name,
            self.incarnation,
            nonce or random.Random(f"{self.name}{self.port}").getrandbits(64),
            HOST,
            self.port - 2,
        )
        self.peers = Peers(
            local,
            topology,
            config or PeersConfig(),
            clock=SystemClock(),
            rng=random.Random(self.name),
        )
        self.peers.attach(self.recorder, self.sink)
        self.server.attach(self.peers)
        self._tasks = [asyncio.create_task(self.peers.run())]

    async def stop(self) -> None:
        if self._tasks:
            self.peers.close()
            await asyncio.gather(*self._tasks)
            self._tasks = []
        await self.server.stop()

    def address(self) -> Address:
        return Address(HOST, self.port)


async def eventually(condition: Callable[[], bool]) -> None:
    """Waits for a counter, which tells nobody when it changes; the test's time-out ends it."""
    while not condition():  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0.005)


def topology_of(*nodes: Node, epoch: int = 1, cluster_id: int = CLUSTER) -> Topology:
    """One shard, on all `nodes`."""
    infos = tuple(NodeInfo(one.name, one.incarnation, HOST, one.port - 2) for one in nodes)
    replicas = tuple(ReplicaInfo(number, one.name) for number, one in enumerate(nodes, 1))
    return Topology(cluster_id, epoch, 1, infos, (replicas,), replicas)


class Rig:
    """Nodes that are stopped at the end, also after a failure."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Rig:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def listening(self, *names: str, deaf: str = "") -> list[Node]:
        nodes = [Node(name) for name in names]
        for node in nodes:
            await node.listen(reads_log=node.name != deaf)
            self.own(node)
        return nodes

    def own(self, node: Node) -> Node:
        self._stack.push_async_callback(node.stop)
        return node

    async def connected(
        self, *names: str, config: PeersConfig | None = None, deaf: str = ""
    ) -> list[Node]:
        """Nodes that all know one another and are up; `deaf` reads no log stream."""
        nodes = await self.listening(*names, deaf=deaf)
        for node in nodes:
            node.run(topology_of(*nodes), config)
        for node in nodes:
            for other in nodes:
                if other is not node:
                    await node.recorder.up(other.name)
        return nodes
