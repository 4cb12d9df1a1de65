"""Topology.Watch: what the cluster is like, from whichever node answers; again when it changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any  # Any: gRPC's calls are generic.

import grpc
import grpc.aio

from ..proto import admin_pb2 as pb
from .link import CONNECT_S, LinkBroken, Metadata, open_channel, reason_of, to_the_end
from .topology import NodeView, ShardView, TopologyView, grpc_address

if TYPE_CHECKING:
    from random import Random

log = logging.getLogger(__name__)

WATCH = "/trimaran.v1.Topology/Watch"
PAUSE_S = 0.1  # Between two nodes when none answers, about.


def view_of(state: pb.TopologyState) -> TopologyView:
    """What a message of Topology.Watch says."""
    return TopologyView(
        node=state.node,
        cluster_id=state.cluster_id,
        epoch=state.epoch,
        nodes={
            node.name: NodeView(
                node.name, grpc_address(node.host, node.port), node.zone, node.is_reachable
            )
            for node in state.nodes
        },
        shards=tuple(
            ShardView(tuple(shard.replicas), shard.leader, shard.term) for shard in state.shards
        ),
    )


class Watcher:
    """Asks one node after the other, those given and those heard of, and stays with one that
    answers."""

    def __init__(
        self,
        seeds: Sequence[str],
        metadata: Metadata,
        rng: Random,
        changed: Callable[[TopologyView], None],
        failed: Callable[[str, LinkBroken], None],
    ) -> None:
        self.node = ""  # The address that is asked.
        self._seeds = list(seeds)
        self._known: list[str] = []
        self._metadata = metadata
        self._rng = rng
        self._changed = changed
        self._failed = failed
        self._view: TopologyView | None = None
        # Dropped when it is closed: what it ended with would keep its channel alive.
        self._task: asyncio.Task[None] | None = asyncio.get_running_loop().create_task(
            self._run(), name="trimaran-watch"
        )
        self._call: grpc.aio.Call | None = None

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def move_on(self, address: str) -> None:
        """`address` is silent: if it is the one that is asked, ask another."""
        if self.node == address and self._call is not None:
            self._call.cancel()

    async def _run(self) -> None:
        at = self._rng.randrange(len(self._seeds))
        while True:
            addresses = list(dict.fromkeys([*self._seeds, *self._known]))
            self.node = addresses[at % len(addresses)]
            try:
                await self._watch(self.node)
                reason = LinkBroken("the node has ended the stream")
            except grpc.aio.AioRpcError as error:
                reason = reason_of(error)
            except TimeoutError:
                reason = LinkBroken(f"no answer within {CONNECT_S:g} s")
            except asyncio.CancelledError:
                # By us or by the end of the loop; else it is the call that was ended. No name for
                # the task here: its frame would hold the channel until the next collection.
                if self._task is None or self._task.cancelling():
                    raise
                reason = LinkBroken("it was silent")
            log.debug("watch_ended node=%s reason=%s", self.node, reason)
            self._failed(self.node, reason)
            at += 1
            await asyncio.sleep(PAUSE_S * (0.5 + self._rng.random()))

    async def _watch(self, address: str) -> None:
        channel = open_channel(address)
        try:
            call: Any = channel.unary_stream(
                WATCH,
                request_serializer=pb.WatchRequest.SerializeToString,
                response_deserializer=pb.TopologyState.FromString,
            )(pb.WatchRequest(), metadata=self._metadata)
            self._call = call
            async with asyncio.timeout(CONNECT_S):
                state = await to_the_end(call, call.read())
            while state is not grpc.aio.EOF:
                self._take(view_of(state))
                state = await to_the_end(call, call.read())
        finally:
            call, self._call = self._call, None
            if call is not None:
                call.cancel()
            await channel.close()

    def _take(self, view: TopologyView) -> None:
        before = self._view
        if before is not None and before.cluster_id != view.cluster_id:
            log.error("other_cluster node=%s cluster_id=%s", self.node, view.cluster_id)
            raise asyncio.CancelledError  # Another cluster at that address: not this client's.
        view = newest_of(before, view)
        self._view = view
        self._known = [node.address for node in view.nodes.values()]
        self._changed(view)


def newest_of(before: TopologyView | None, view: TopologyView) -> TopologyView:
    """`view`, without what it knows less of than `before`: nodes hear of leaders at different
    times, and another node is asked now."""
    if before is None or before.epoch > view.epoch or len(before.shards) != len(view.shards):
        return view if before is None or before.epoch <= view.epoch else before
    shards = tuple(
        old if old.term > new.term and old.leader else new
        for old, new in zip(before.shards, view.shards, strict=True)
    )
    return TopologyView(view.node, view.cluster_id, view.epoch, view.nodes, shards)
