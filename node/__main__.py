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
from collections.abc import Coroutine, Sequence
from random import Random, SystemRandom
from typing import TYPE_CHECKING, Any  # Futures of any kind are waited for together.

import uvloop

from ..proto.resp import ReaderLimits
from .bootstrap import Bootstrap
from .clock import SystemClock
from .config import Config, load, split_address, usage
from .doors.backend import DoorLimits
from .doors.cluster_resp import ClusterRouting
from .doors.door import Clients, Door
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
            addresses=_known_addresses(config, directory),
        )
        self._runtime = LoopRuntime(loop, self._fail)
        self.node = Node(
            config,
            topology,
            directory=config.data_dir,
            mark=directory,
            disk=disk,
            clock=clock,
            runtime=self._runtime,
            transport=self.peers,
            seeds=SystemRandom(),
        )
        self.peers.attach(self.node, self.node)
        self._directory = directory
        self.node.topology_changed = self._save_addresses
        clients = Clients(_door_limits(config), clock.now_ns())
        self.facts = Facts(self.node, self.peers, clock, clients, fail=self._fail)
        self._doors = {
            RESP: Door(
                AnyKeyRouting(self.facts, Random(secrets.randbits(64))),
                router=self.facts,
                facts=self.facts,
                clients=clients,
            ),
            CLUSTER: Door(
                ClusterRouting(self.facts, Random(secrets.randbits(64))),
                router=self.facts,
                facts=self.facts,
                clients=clients,
            ),
        }

    def _fail(self, error: BaseException) -> None:
        """Stop with `error`: no turn is taken any more, so nothing more is promised."""
        if not self.failed.done():
            self.failed.set_exception(error)
        if self._tasks:
            self._tasks[-1].cancel()

    def _save_addresses(self, topology: Topology) -> None:
        # In a thread: a disk that hangs must not hold up the loop (correctness R9).
        addresses = {one.name: one.grpc_address for one in topology.nodes}
        self._runtime.run_bulk(lambda: self._directory.save_addresses(addresses), lambda _: None)

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
        for offset, door in self._doors.items():
            await _listen(door, self._config, offset)

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

    async def stop(self) -> None:
        """Hand nothing out any more; what was acknowledged is on disk already."""
        for door in self._doors.values():
            await door.close()
        self.peers.close()
        self._tasks[-1].cancel()
        await asyncio.wait(self._tasks)
        self._runtime.close()
        self.node.close()


def _known_addresses(config: Config, directory: DataDirectory) -> dict[NodeId, Address]:
    """Where the peers are: as the operator says, or else where they were last."""
    known = {
        NodeId(name): Address(*split_address(address))
        for name, address in directory.addresses().items()
    }
    return known | {NodeId(one.name): Address(one.host, one.grpc_port) for one in config.peers}


def _door_limits(config: Config) -> DoorLimits:
    return DoorLimits(
        reader=ReaderLimits(
            command_bytes_max=config.command_bytes_max,
            bulk_bytes_max=config.bulk_bytes_max,
            elements_max=config.elements_max,
            inline_bytes_max=config.inline_bytes_max,
        ),
        command_timeout_ms=config.command_timeout_ms,
        clients_max=config.clients_max,
        output_buffer_bytes_max=config.output_buffer_bytes_max,
        client_idle_timeout_s=config.client_idle_timeout_s,
    )


async def _listen(door: Door | HttpDoor, config: Config, offset: int) -> None:
    try:
        await door.listen(config.host, config.port + offset)
    except OSError as error:
        place = str(Address(config.host, config.port + offset))
        raise ConfigError(f"port: {place} cannot be bound: {error.strerror}") from error


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
    await server.start(config.host, config.port + GRPC)
    await _listen(http, config, HTTP)
    serving = asyncio.create_task(server.run(), name="peer server")
    founding = asyncio.create_task(bootstrap.run(), name="founding")
    try:
        while not (founding.done() or serving.done() or stopping.is_set()):
            http.wait_for(bootstrap.waiting_for)
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
            topology_of(await founding),
            directory,
            disk=disk,
            server=server,
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
