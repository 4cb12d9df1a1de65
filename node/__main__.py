"""One node as a process: reads its configuration, wires the parts together, runs, stops.

Nothing imports this module. The order of a start: configuration, data directory and its lock, the
gRPC port (founders must find one another), the founding or what is left of it, the log and the
snapshots, the peers, the doors. Whatever fails ends the process with one clear line.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import secrets
import signal
import sys
from collections.abc import Coroutine
from random import Random, SystemRandom

import uvloop

from ..cluster.topology import Topology
from .clock import SystemClock
from .config import Config, load, usage
from .doors.backend import DoorLimits
from .doors.cluster_resp import ClusterRouting
from .doors.door import Clients, Door
from .doors.resp import AnyKeyRouting
from .errors import ConfigError, TrimaranError
from .facts import Facts
from .logs import set_up_logging
from .loop import LoopRuntime
from .names import Address
from .node import Node
from ..proto.resp import ReaderLimits
from .peer_link import LocalNode
from .peer_server import PeerServer
from .peers import Peers, PeersConfig
from .raft.types import NodeId
from .storage.disk import RealDisk
from .storage.identity import DataDirectory

PORTS = {"resp": 0, "cluster": 1, "grpc": 2, "http": 3}  # From the base port.

_log = logging.getLogger("trimaran")


class Process:
    """A formed node with its doors, from `start` to `stop`."""

    def __init__(
        self,
        config: Config,
        topology: Topology,
        incarnation: int,
        *,
        disk: RealDisk,
        server: PeerServer,
        addresses: dict[NodeId, Address],
    ) -> None:
        loop = asyncio.get_running_loop()
        self.failed: asyncio.Future[None] = loop.create_future()
        self._config = config
        self._server = server
        clock = SystemClock()
        host, port = config.reached_at
        local = LocalNode(
            topology.cluster_id,
            NodeId(config.name),
            incarnation,
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
            addresses=addresses,
        )
        self._runtime = LoopRuntime(loop, self._fail)
        self.node = Node(
            config,
            topology,
            directory=config.data_dir,
            disk=disk,
            clock=clock,
            runtime=self._runtime,
            transport=self.peers,
            seeds=SystemRandom(),
        )
        self.peers.attach(self.node, self.node)
        self.facts = Facts(self.node, self.peers, clock)
        limits = _door_limits(config)
        self._clients = Clients(limits, clock.now_ns())
        self._doors = {
            "resp": Door(
                AnyKeyRouting(self.facts, Random(secrets.randbits(64))),
                router=self.facts,
                facts=self.facts,
                clients=self._clients,
            ),
            "cluster": Door(
                ClusterRouting(self.facts, Random(secrets.randbits(64))),
                router=self.facts,
                facts=self.facts,
                clients=self._clients,
            ),
        }
        self._tasks: list[asyncio.Task[None]] = []

    def _fail(self, error: BaseException) -> None:
        if not self.failed.done():
            self.failed.set_exception(error)

    async def start(self) -> None:
        self._server.attach(self.peers)
        self._tasks = [
            asyncio.create_task(self._rooted(self.peers.run()), name="peers"),
            asyncio.create_task(self._rooted(self._server.run()), name="peer server"),
            asyncio.create_task(self._rooted(self._tick()), name="tick"),
        ]
        # What was loaded lives long: the collector need not look at it again (correctness E3).
        gc.collect()
        gc.freeze()
        for kind, door in self._doors.items():
            await door.listen(self._config.host, self._config.port + PORTS[kind])

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
        for task in self._tasks[2:]:
            task.cancel()
        await self._server.stop()
        await asyncio.wait(self._tasks)
        self._runtime.close()
        self.node.close()


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
