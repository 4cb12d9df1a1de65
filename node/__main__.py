"""One node as a process: reads its configuration, wires the parts together, runs, stops.

Nothing imports this module. The order of a start: configuration, data directory and its lock, the
gRPC port (founders must find one another), the founding or what is left of it, the log and the
snapshots, the peers, the doors. Whatever fails ends the process with one clear line.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import secrets
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from random import Random, SystemRandom
from typing import TYPE_CHECKING, Any  # Futures of any kind are waited for together.

import uvloop

from ..cluster.settings import settings_of
from ..proto.resp import ReaderLimits
from .bootstrap import Bootstrap
from .clock import SystemClock
from .config import Config, Listener, load, usage
from .control import Control
from .doors.backend import DoorLimits
from .doors.cluster_resp import ClusterRouting
from .doors.door import Clients, Door
from .doors.grpc_door import GrpcDoor
from .doors.http import HttpDoor
from .doors.resp import AnyKeyRouting
from .errors import ConfigError, TrimaranError
from .facts import Facts
from .logs import set_up_logging
from .loop import LoopRuntime
from .membership import MembershipCalls, membership_service
from .meta import topology_of
from .names import Address
from .node import Node
from .peer_link import LocalNode
from .peer_server import PeerServer
from .peers import Peers, PeersConfig
from .raft.types import NodeId
from .storage.disk import RealDisk
from .storage.identity import DataDirectory

if TYPE_CHECKING:
    from ..cluster.topology import Topology

RESP, CLUSTER, GRPC, HTTP = range(4)  # From the base port (design, section 9).
REPORT_INTERVAL_S = 0.2
GRPC_BYTES_MIN = 8 << 20  # Least limit of a gRPC message.
HAND_OVER_S = 1.0  # The longest a stop waits for others to take over; it takes a round trip or two.
HAND_OVER_LOOK_S = 0.01

_log = logging.getLogger("trimaran")


class Process:
    """A formed node with its doors, from `start` to `stop`."""

    def __init__(
        self,
        config: Config,
        topology: Topology,
        directory: DataDirectory,
        *,
        disk: RealDisk,
        server: PeerServer,
        grpc: GrpcDoor,
        stop: Callable[[], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        self.failed: asyncio.Future[None] = loop.create_future()
        self._config = config
        self._server = server
        self._tasks: list[asyncio.Task[None]] = []
        clock = SystemClock()
        host, port = config.reached_at
        local = LocalNode(
            topology.cluster_id,
            NodeId(config.name),
            directory.identity.incarnation,
            secrets.randbits(64),
            host,
            port,
        )
        self.peers = Peers(
            local,
            topology,
            PeersConfig(config.peer_queue_bytes_max, config.snapshot_chunk_bytes),
            clock=clock,
            rng=Random(secrets.randbits(64)),
            addresses={NodeId(one.name): Address(one.host, one.grpc_port) for one in config.peers},
        )
        self._runtime = LoopRuntime(loop, self._fail)
        self.node = Node(
            config,
            topology,
            directory=config.data_dir,
            memory=directory,
            disk=disk,
            clock=clock,
            runtime=self._runtime,
            transport=self.peers,
            seeds=SystemRandom(),
        )
        self.peers.attach(self.node, self.node)
        clients = Clients(_door_limits(config), clock.now_ns())
        self._clients = clients
        self._topology_changed(topology)
        self.node.topology_changed = self._topology_changed
        self.facts = Facts(self.node, self.peers, clock, clients, fail=self._fail)
        self._control = Control(self.node, stop)
        self._doors = [
            (self._door(offset, listener.name, clients), listener, offset)
            for listener in config.doors
            for offset in (RESP, CLUSTER)
        ]
        # The node's own is served with the peers' streams; further listeners have servers.
        self._grpc = [
            grpc,
            *(GrpcDoor(config.name, config.session_timeout_ms) for _ in config.listen),
        ]

    def _door(self, offset: int, listener: str, clients: Clients) -> Door:
        rng = Random(secrets.randbits(64))
        routing = (
            ClusterRouting(self.facts, rng, listener)
            if offset == CLUSTER
            else AnyKeyRouting(self.facts, rng)
        )
        return Door(
            routing,
            router=self.facts,
            facts=self.facts,
            control=self._control,
            clients=clients,
            listener=listener,
        )

    def _topology_changed(self, topology: Topology) -> None:
        self._clients.settings_changed(settings_of(topology.settings))

    def _fail(self, error: BaseException) -> None:
        """Stop with `error`: no turn is taken any more, so nothing more is promised."""
        if not self.failed.done():
            self.failed.set_exception(error)
        if self._tasks:
            self._tasks[-1].cancel()

    async def start(self) -> None:
        self._server.attach(self.peers)
        self._tasks = [
            asyncio.create_task(self._rooted(self.peers.run()), name="peers"),
            asyncio.create_task(self._rooted(self._tick()), name="tick"),
        ]
        # What was loaded lives long: the collector need not look at it again (correctness E3).
        # And a full collection over all that clients put here would stop the loop for too long;
        # connections free themselves by counting.
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000, 50, 1 << 30)
        for door, listener, offset in self._doors:
            await _listen(door, listener, offset)
        any_key = [(door, listener) for door, listener, offset in self._doors if offset == RESP]
        for grpc, (door, listener) in zip(self._grpc, any_key, strict=True):
            grpc.attach(door, self.facts)
            if listener.name:
                await _listen(grpc, listener, GRPC)

    async def _rooted(self, work: Coroutine[None, None, None]) -> None:
        """The root of a task: what it raises stops the node."""
        try:
            await work
        except Exception as error:  # noqa: BLE001 - a root; the error is raised by `failed`.
            self._fail(error)

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        interval_s = self._config.tick_interval_ms / 1000
        due = loop.time()
        while True:
            self.node.tick()
            due = max(due + interval_s, loop.time())
            await asyncio.sleep(due - loop.time())
            self.facts.ticked(int((loop.time() - due) * 1e9))

    async def stop(self) -> None:
        """Hand nothing out any more; what was acknowledged is on disk already."""
        await self._hand_over()
        for door, _, _ in self._doors:
            await door.close()
        for grpc in self._grpc:
            await grpc.close()
        self.peers.close()
        self._tasks[-1].cancel()
        await asyncio.wait(self._tasks)
        self._runtime.close()
        self.node.close()

    async def _hand_over(self) -> None:
        """What is led here goes to followers first: nobody has to wait for an election then."""
        handed = self.node.leadership.leave()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + HAND_OVER_S
        while any(one.is_leader for one in handed) and loop.time() < deadline:  # noqa: ASYNC110 - cores tell nobody.
            await asyncio.sleep(HAND_OVER_LOOK_S)
        if self.failed.done():
            await self.failed


def _door_limits(config: Config) -> DoorLimits:
    return DoorLimits(
        reader=ReaderLimits(
            command_bytes_max=config.command_bytes_max,
            bulk_bytes_max=config.bulk_bytes_max,
            elements_max=config.elements_max,
            inline_bytes_max=config.inline_bytes_max,
        ),
        command_timeout_ms=config.command_timeout_ms,
        transaction_commands_max=config.transaction_commands_max,
        message_commands_max=config.message_commands_max,
        clients_max=config.clients_max,
        output_buffer_bytes_max=config.output_buffer_bytes_max,
        client_idle_timeout_s=config.client_idle_timeout_s,
        waiting_bytes_max=config.client_waiting_bytes_max,
    )


def _grpc_bytes_max(config: Config) -> int:
    """No message of a peer or a client is larger, with room for peers that are set differently."""
    largest = config.command_bytes_max + config.append_bytes_max + config.snapshot_chunk_bytes
    return max(largest, GRPC_BYTES_MIN) + GRPC_BYTES_MIN


async def _listen(door: Door | HttpDoor | GrpcDoor, listener: Listener, offset: int) -> None:
    try:
        await door.listen(listener.host, listener.port + offset)
    except OSError as error:
        place = str(Address(listener.host, listener.port + offset))
        what = f"listen: {listener.name}" if listener.name else "port"
        raise ConfigError(f"{what}: {place} cannot be bound: {error.strerror}") from error


async def serve(config: Config) -> None:
    """Run the node until it is told to stop or fails."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    disk = RealDisk()
    directory = DataDirectory.open(
        disk,
        config.data_dir,
        name=config.name,
        shards=config.shards or None,
        incarnation=secrets.randbits(64),
    )
    http = HttpDoor(config.name)
    try:
        await _serve(config, disk, directory, http, stopping)
    finally:
        await http.close()
        directory.close()


async def _serve(
    config: Config,
    disk: RealDisk,
    directory: DataDirectory,
    http: HttpDoor,
    stopping: asyncio.Event,
) -> None:
    host, port = config.reached_at
    bootstrap = Bootstrap(
        directory,
        announced=Address(host, port + GRPC),
        zone=config.zone,
        places=config.founders,
        calls=MembershipCalls(),
        draw=lambda: secrets.randbits(64),
    )
    server = PeerServer()
    server.add_service(membership_service(bootstrap, server.fail))
    grpc = GrpcDoor(config.name, config.session_timeout_ms)
    grpc.address = str(Address(config.host, config.port + GRPC))
    for service in grpc.services():
        server.add_service(service)
    await server.start(config.host, config.port + GRPC, _grpc_bytes_max(config))
    await _listen(http, config.doors[0], HTTP)
    serving = asyncio.create_task(server.run(), name="peer server")
    founding = asyncio.create_task(bootstrap.run(), name="founding")
    try:
        while not (founding.done() or serving.done() or stopping.is_set()):
            http.wait_for(bootstrap.waiting_for)
            grpc.wait_for(bootstrap.waiting_for)
            await asyncio.wait(
                {founding, serving},
                timeout=REPORT_INTERVAL_S,
                return_when=asyncio.FIRST_COMPLETED,
            )
        if serving.done():
            await serving  # Raises what a service raised.
        if stopping.is_set():
            return
        process = Process(
            config,
            directory.topology(topology_of(await founding)),
            directory,
            disk=disk,
            server=server,
            grpc=grpc,
            stop=stopping.set,
        )
        await _run(process, http, serving, stopping)
    finally:
        founding.cancel()
        await asyncio.wait({founding})
        await server.stop()


async def _run(
    process: Process, http: HttpDoor, serving: asyncio.Task[None], stopping: asyncio.Event
) -> None:
    await process.start()
    http.attach(process.facts)
    _log.info("serving", extra={"node": process.node.name, "epoch": process.node.topology.epoch})
    stop = asyncio.create_task(stopping.wait())
    ends: set[asyncio.Future[Any]] = {stop, serving, process.failed}
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    for failed in (process.failed, serving):
        if failed.done():
            await failed  # Raises; nothing is put in order any more (correctness L8).
    await process.stop()
    _log.info("stopped", extra={"node": process.node.name})


def run(config: Config) -> int:
    """Run one node; the exit code of its process."""
    set_up_logging(config.log_level)
    for line in config.lines():
        _log.info("config %s", line)
    try:
        uvloop.run(serve(config))
    except TrimaranError as error:
        print(f"trimaran node {config.name}: {error}", file=sys.stderr)  # noqa: T201 - a program's word.
        return 1
    return 0


def main(arguments: Sequence[str]) -> int:
    if not __debug__:
        print("trimaran node: asserts guard the data; run without -O", file=sys.stderr)  # noqa: T201
        return 2
    if {"-h", "--help"} & set(arguments):
        print(usage())  # noqa: T201
        return 0
    try:
        config = load(arguments)
    except ConfigError as error:
        print(f"trimaran node: {error}", file=sys.stderr)  # noqa: T201
        return 2
    return run(config)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
