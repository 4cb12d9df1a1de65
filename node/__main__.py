"""One node as a process: reads its configuration, wires the parts together, runs, stops.

Nothing imports this module. The order of a start: configuration, data directory and its lock, the
doors (closed for what needs data), the gRPC port of the peers (founders must find one another), the
founding or what is left of it, the log and the snapshots, the peers; then the node is put behind
the doors. Whatever fails ends the process with one clear line.
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

from . import grpc_environment  # noqa: F401 - gRPC reads it when it is imported.

# isort: split
from ..cluster.settings import settings_of
from .bootstrap import Bootstrap
from .clock import SystemClock
from .config import Config, load, usage
from .control import Control
from .doors.loading import Loading
from .doors.pubsub_commands import end_moved
from .entrance import GRPC, Entrance
from .errors import ConfigError, TrimaranError
from .facts import Facts, shown_config
from .loading import open_node, run_in_slices
from .logs import set_up_logging
from .loop import LoopRuntime
from .membership import MembershipCalls, membership_service
from .meta import topology_of
from .names import Address
from .notifications import Notifications
from .peer_link import LocalNode
from .peer_server import PeerServer
from .peers import Peers, PeersConfig
from .raft.types import NodeId
from .storage.disk import RealDisk
from .storage.identity import DataDirectory

if TYPE_CHECKING:
    from ..cluster.topology import Topology
    from .node import Node

LOAD_SLICE_MS = 2  # Of loading, before others have their turn of the loop.
REPORT_INTERVAL_S = 0.2
GRPC_BYTES_MIN = 8 << 20  # Least limit of a gRPC message.
HAND_OVER_S = 1.0  # The longest a stop waits for others to take over; it takes a round trip or two.
HAND_OVER_LOOK_S = 0.01

_log = logging.getLogger("trimaran")


class Process:
    """A formed node: `load`, `start`, `stop`."""

    node: Node  # From `load` on.

    def __init__(
        self,
        config: Config,
        topology: Topology,
        directory: DataDirectory,
        *,
        disk: RealDisk,
        clock: SystemClock,
        server: PeerServer,
        entrance: Entrance,
        stop: Callable[[], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        self.failed: asyncio.Future[None] = loop.create_future()
        self._config = config
        self._topology = topology
        self._directory = directory
        self._disk = disk
        self._clock = clock
        self._server = server
        self._entrance = entrance
        self._stop = stop
        self._tasks: list[asyncio.Task[None]] = []
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

    async def load(self, loading: Loading) -> None:
        """Read what the directory holds; clients are told how far it is meanwhile."""
        config, clock = self._config, self._clock
        self._topology_changed(self._topology)
        loading.formed(self._topology)
        began_ns = clock.now_ns()
        # What is loaded stays: a collector that looks at it again and again only holds up the loop.
        gc.disable()
        steps = open_node(
            config,
            self._topology,
            directory=config.data_dir,
            memory=self._directory,
            disk=self._disk,
            clock=clock,
            runtime=self._runtime,
            transport=self.peers,
            seeds=SystemRandom(),
            sized=loading.sized,
        )
        self.node = await run_in_slices(steps, LOAD_SLICE_MS, loading.passed)
        # Without a pause from the last step to here: the node may have something to say at once.
        self.peers.attach(self.node, self.node)
        self.node.topology_changed = self._topology_changed
        clients = self._entrance.clients
        self.facts = Facts(self.node, self.peers, clock, clients, fail=self._fail)
        self.node.view_changed = self._view_changed
        clients.pubsub.attach(
            self._runtime, lambda: list(self.peers.links), self.peers, self.node.engine.wake
        )
        self.peers.post_office = clients.pubsub
        self.node.notifications = Notifications(clients.pubsub)
        took_ms = (clock.now_ns() - began_ns) // 1_000_000
        _log.info("loaded", extra={"bytes": loading.total_bytes, "took_ms": took_ms})

    def _topology_changed(self, topology: Topology) -> None:
        self._entrance.clients.settings_changed(settings_of(topology.settings))

    def _view_changed(self) -> None:
        self.facts.changes.tell()
        end_moved(self._entrance.clients.pubsub, self.facts)

    def _fail(self, error: BaseException) -> None:
        """Stop with `error`: no turn is taken any more, so nothing more is promised."""
        if not self.failed.done():
            self.failed.set_exception(error)
        if self._tasks:
            self._tasks[-1].cancel()

    def start(self) -> None:
        self._server.attach(self.peers)
        self._tasks = [
            asyncio.create_task(self._rooted(self.peers.run()), name="peers"),
            asyncio.create_task(self._rooted(self._tick()), name="tick"),
        ]
        # What was loaded lives long: the collector need not look at it again (correctness E3).
        # And a full collection over all that clients put here would stop the loop for too long;
        # connections free themselves by counting.
        gc.freeze()
        gc.set_threshold(10_000, 50, 1 << 30)
        gc.enable()
        self._entrance.attach(self.facts, Control(self.node, self._stop))

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
        await self._entrance.close_clients()
        self.peers.close()
        self._tasks[-1].cancel()
        await asyncio.wait(self._tasks)
        self._runtime.close()
        self.node.close()

    def give_up(self) -> None:
        """It is stopped before it was loaded."""
        self._runtime.close()

    async def _hand_over(self) -> None:
        """What is led here goes to followers first: nobody has to wait for an election then."""
        handed = self.node.leadership.leave()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + HAND_OVER_S
        while any(one.is_leader for one in handed) and loop.time() < deadline:  # noqa: ASYNC110 - cores tell nobody.
            await asyncio.sleep(HAND_OVER_LOOK_S)
        if self.failed.done():
            await self.failed


def _grpc_bytes_max(config: Config) -> int:
    """No message of a peer or a client is larger, with room for peers that are set differently."""
    largest = config.command_bytes_max + config.append_bytes_max + config.snapshot_chunk_bytes
    return max(largest, GRPC_BYTES_MIN) + GRPC_BYTES_MIN


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
    clock = SystemClock()
    loading = Loading(config.name, clock, shown_config(config), stopping.set)
    entrance = Entrance(config, loading)
    try:
        await entrance.open()
        await _serve(config, disk, directory, clock, loading, entrance, stopping)
    finally:
        await entrance.close()
        directory.close()


async def _serve(
    config: Config,
    disk: RealDisk,
    directory: DataDirectory,
    clock: SystemClock,
    loading: Loading,
    entrance: Entrance,
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
    for service in entrance.grpc.services():
        server.add_service(service)
    await server.start(config.host, config.port + GRPC, _grpc_bytes_max(config))
    serving = asyncio.create_task(server.run(), name="peer server")
    founding = asyncio.create_task(bootstrap.run(), name="founding")

    def tell() -> None:
        loading.waiting_for = bootstrap.waiting_for if not founding.done() else []
        entrance.tell()

    try:
        if not await _has_ended(founding, serving, stopping, tell):
            return
        process = Process(
            config,
            directory.topology(topology_of(await founding)),
            directory,
            disk=disk,
            clock=clock,
            server=server,
            entrance=entrance,
            stop=stopping.set,
        )
        work = asyncio.create_task(process.load(loading), name="loading")
        try:
            is_loaded = await _has_ended(work, serving, stopping, tell)
        finally:
            work.cancel()
            await asyncio.wait({work})
        if not is_loaded:
            process.give_up()
            return
        await work
        await _run(process, serving, stopping)
    finally:
        founding.cancel()
        await asyncio.wait({founding})
        await server.stop()


async def _has_ended(
    task: asyncio.Task[Any],
    serving: asyncio.Task[None],
    stopping: asyncio.Event,
    tell: Callable[[], None],
) -> bool:
    """Waits for `task`; False if the node is to stop before that. Raises what a service raised."""
    while not (task.done() or serving.done() or stopping.is_set()):
        tell()
        await asyncio.wait(
            {task, serving}, timeout=REPORT_INTERVAL_S, return_when=asyncio.FIRST_COMPLETED
        )
    if serving.done():
        await serving
    return not stopping.is_set()


async def _run(process: Process, serving: asyncio.Task[None], stopping: asyncio.Event) -> None:
    process.start()
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
    # What is imported lives as long as the process. Here, since nobody waits for the loop yet.
    gc.collect()
    gc.freeze()
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
