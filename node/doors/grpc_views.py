"""What gRPC clients are told of the cluster: topology as it changes, status, health."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol  # Any: JSON in, gRPC's handler types.

import grpc
from grpc_health.v1 import health_pb2

from ...cluster.slots import ShardId
from ...proto import admin_pb2 as pb

if TYPE_CHECKING:
    from ...cluster.topology import NodeInfo, Topology
    from ..changes import Changes
    from ..peer_stream import Context

HEALTH_INTERVAL_S = 1.0  # Readiness is looked at so often even if nothing is known to change.

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class ViewedNode(Protocol):
    """What is told of the node."""

    @property
    def name(self) -> str: ...

    @property
    def changes(self) -> Changes: ...

    @property
    def is_ready(self) -> bool: ...

    def topology(self) -> Topology: ...

    def leader_of(self, shard: ShardId) -> NodeInfo | None: ...

    def term_of(self, shard: ShardId) -> int:
        """The highest in which a leader of it is known."""
        ...

    def is_reachable(self, node: str) -> bool: ...

    def status(self) -> Mapping[str, Any]: ...


class TopologyFeed:
    """Topology.Watch: the whole state, again whenever it is another one."""

    def __init__(self, view: ViewedNode, listener: str) -> None:
        self._view = view
        self._listener = listener
        self._state = b""
        self._version = -1

    async def send_to(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        """Until cancelled."""
        sent = None
        with self._view.changes.watch() as changed:
            while True:
                changed.clear()
                state = self.state()
                if state != sent:
                    await write(state)
                    sent = state
                await changed.wait()

    def state(self) -> bytes:
        """The TopologyState; made once for all watchers."""
        version = self._view.changes.version
        if version != self._version:
            self._state = self._make().SerializeToString()
            self._version = version
        return self._state

    def _make(self) -> pb.TopologyState:
        view = self._view
        topology = view.topology()
        state = pb.TopologyState(
            node=view.name, cluster_id=f"{topology.cluster_id:016x}", epoch=topology.epoch
        )
        for node in topology.nodes:
            host, port = node.address(self._listener)
            state.nodes.add(
                name=node.name,
                host=host,
                port=port,
                zone=node.zone,
                is_reachable=node.name == view.name or view.is_reachable(node.name),
            )
        for shard in map(ShardId, range(topology.shards)):
            leader = view.leader_of(shard)
            state.shards.add(
                replicas=[one.node for one in topology.replicas_of(shard)],
                leader=leader.name if leader is not None else "",
                term=view.term_of(shard),
            )
        return state


def status_reply(status: Mapping[str, Any]) -> pb.StatusReply:
    """What GET /status answers, typed; a key this version does not know is left out."""
    reply = pb.StatusReply(
        **_known(pb.StatusReply, status, "waiting_for"),
        nodes=[pb.NodeStatus(**_known(pb.NodeStatus, one)) for one in status["nodes"]],
    )
    for shard in status["shards"]:
        one = reply.shards.add(**_known(pb.ShardStatus, shard) | {"shard": str(shard["shard"])})
        for replica in shard["replicas"]:
            one.replicas.add(**_known(pb.ReplicaStatus, replica))
    return reply


def _known(kind: Any, values: Mapping[str, Any], *lists: str) -> dict[str, Any]:
    """What `kind` has a field for and is not None; of lists only those that are named."""
    return {
        key: value
        for key, value in values.items()
        if key in kind.DESCRIPTOR.fields_by_name
        and value is not None
        and (key in lists or not isinstance(value, list))
    }


class Health:
    """grpc.health.v1: commands are served when the node is ready as /readyz means it.

    The servicer of the package is told a state; this one looks, so it is never late.
    """

    def __init__(self, *, names: Sequence[str], always: Sequence[str]) -> None:
        self._names = frozenset(names)
        self._always = frozenset(always)  # Serve as soon as there is a node.
        self._view: ViewedNode | None = None

    def attach(self, view: ViewedNode) -> None:
        self._view = view

    def methods(self) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        read = health_pb2.HealthCheckRequest.FromString
        write = health_pb2.HealthCheckResponse.SerializeToString
        return {
            "Check": grpc.unary_unary_rpc_method_handler(
                self._check, request_deserializer=read, response_serializer=write
            ),
            "Watch": grpc.unary_stream_rpc_method_handler(
                self._watch, request_deserializer=read, response_serializer=write
            ),
        }

    def _status(self, service: str) -> int:
        if service not in self._names | self._always:
            return _SERVICE_UNKNOWN
        view = self._view
        is_serving = view is not None and (service in self._always or view.is_ready)
        return _SERVING if is_serving else _NOT_SERVING

    async def _check(
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> health_pb2.HealthCheckResponse:
        status = self._status(request.service)
        if status == _SERVICE_UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no service {request.service!r} here")
        return health_pb2.HealthCheckResponse(status=status)

    async def _watch(self, request: health_pb2.HealthCheckRequest, context: Context) -> None:
        sent = None
        while True:
            status = self._status(request.service)
            if status != sent:
                await context.write(health_pb2.HealthCheckResponse(status=status))
                sent = status
            await self._change()

    async def _change(self) -> None:
        view = self._view
        if view is None:
            await asyncio.sleep(HEALTH_INTERVAL_S)
            return
        with view.changes.watch() as changed:
            try:
                async with asyncio.timeout(HEALTH_INTERVAL_S):
                    await changed.wait()
            except TimeoutError:
                pass
