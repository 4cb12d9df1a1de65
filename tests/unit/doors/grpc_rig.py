"""A gRPC door with a real server on a free port, over the fakes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any  # JSON.

import grpc.aio

from trimaran.node.changes import Changes
from trimaran.node.doors.grpc_door import GrpcDoor

from ...grpc_client import Execute
from .fakes import MemoryRouter, Router, make_door

if TYPE_CHECKING:
    from trimaran.cluster.slots import ShardId
    from trimaran.cluster.topology import NodeInfo, Topology
    from trimaran.node.doors.backend import DoorLimits

SESSION_TIMEOUT_MS = 9_000
PATIENCE_S = 20.0


class View:
    """What the door tells of the node: of the router, what the test says."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self.name = router.name
        self.changes = Changes()
        self.is_ready = True
        self.terms: dict[int, int] = {}
        self.shown = router.topology()

    def topology(self) -> Topology:
        return self.shown

    def leader_of(self, shard: ShardId) -> NodeInfo | None:
        return self._router.leader_of(shard)

    def term_of(self, shard: ShardId) -> int:
        return self.terms.get(shard, 1)

    def is_reachable(self, node: str) -> bool:
        return self._router.is_reachable(node)

    def status(self) -> Mapping[str, Any]:
        replica = {"node": "n1", "role": "leader", "match_index": 7}
        other = {"node": "n2", "role": "follower", "match_index": None}
        node = {"name": "n1", "host": "127.0.0.1", "port": 7379, "zone": "", "is_up": True}
        return {
            "version": 1,
            "node": "n1",
            "cluster_id": "0000000000001234",
            "state": "ready",
            "waiting_for": ["n3"],
            "epoch": 3,
            "shards_total": 2,
            "settings": {"maxmemory": "1024"},
            "nodes": [node | {"memory_bytes": 5}, node | {"name": "n2", "memory_bytes": None}],
            "shards": [
                {"shard": 0, "leader": "n1", "term": 4, "commit_index": 7, "applied_index": 6,
                 "last_index": 8, "replicas": [replica, other], "later": "unknown key"},
                {"shard": "meta", "leader": None, "term": 2, "commit_index": 0,
                 "applied_index": 0, "last_index": 0, "replicas": []},
            ],
        }  # fmt: skip


class GrpcRig:
    def __init__(self, router: Router, limits: DoorLimits | None, listener: str) -> None:
        loop = asyncio.get_running_loop()
        self.router = router
        self.view = View(router)
        self.door = make_door(
            router,
            limits=limits,
            listener=listener,
            call_soon=loop.call_soon,
            call_later=loop.call_later,
        )
        self.clients = self.door.clients
        self.grpc = GrpcDoor("n1", SESSION_TIMEOUT_MS, self.clients)
        self._channels: list[grpc.aio.Channel] = []

    def channel(self) -> grpc.aio.Channel:
        """With gRPC's own options."""
        channel = grpc.aio.insecure_channel(self.grpc.address)
        self._channels.append(channel)
        return channel

    def stream(self) -> Execute:
        return Execute(self.channel())

    async def requests(self, count: int) -> None:
        """Until so many requests wait for their answers."""
        await until(lambda: len(self.router.requests) >= count)

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()
        await self.grpc.close()


@asynccontextmanager
async def grpc_rig(
    router: Router | None = None, *, limits: DoorLimits | None = None, listener: str = ""
) -> AsyncIterator[GrpcRig]:
    """Without a router: one that answers from memory, in a later turn of the loop."""
    if router is None:
        router = MemoryRouter(call_soon=asyncio.get_running_loop().call_soon)
    rig = GrpcRig(router, limits, listener)
    rig.grpc.attach(rig.door, rig.view)
    await rig.grpc.listen("127.0.0.1", 0)
    try:
        yield rig
    finally:
        await rig.close()


async def until(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not is_so():  # noqa: ASYNC110  # Any condition.
            await asyncio.sleep(0.002)
