"""Topology.Watch, Admin.Status, health and reflection; and what there is before there is a node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import fields, replace
from typing import Any  # gRPC's call types are generic over messages.

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from trimaran.client.status import NodeStatus, ReplicaStatus, ShardStatus, Status
from trimaran.node.changes import Changes
from trimaran.node.doors.backend import DoorLimits
from trimaran.node.doors.door import Clients
from trimaran.node.doors.grpc_door import GrpcDoor
from trimaran.node.doors.grpc_views import TopologyFeed
from trimaran.node.doors.password import Password
from trimaran.node.peer_server import PeerServer
from trimaran.proto import admin_pb2
from trimaran.proto.reply import OK

from ...grpc_client import Execute, status, watch
from .fakes import MemoryRouter, Router
from .grpc_rig import GrpcRig, View, grpc_rig

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICES = ("trimaran.v1.Commands", "trimaran.v1.Topology", "trimaran.v1.Admin")


async def next_state(call: Any) -> admin_pb2.TopologyState:
    async with asyncio.timeout(10):
        state = await call.read()
    assert isinstance(state, admin_pb2.TopologyState)
    return state


async def test_the_whole_topology_is_sent_at_once() -> None:
    async with grpc_rig(Router(2)) as rig:
        rig.router.leaders[1] = "n2"
        rig.router.unreachable.add("n3")
        rig.view.terms = {0: 4, 1: 9}
        state = await next_state(watch(rig.channel()))
        assert (state.node, state.cluster_id, state.epoch) == ("n1", "0000000000001234", 3)
        assert [(one.name, one.port) for one in state.nodes] == [
            ("n1", 7379),
            ("n2", 7389),
            ("n3", 7399),
        ]
        assert [one.is_reachable for one in state.nodes] == [True, True, False]
        assert [(one.leader, one.term) for one in state.shards] == [("n1", 4), ("n2", 9)]
        assert list(state.shards[0].replicas) == ["n1", "n2", "n3"]


async def test_addresses_are_those_of_the_listener_that_is_asked() -> None:
    async with grpc_rig(Router(1), listener="outside") as rig:
        state = await next_state(watch(rig.channel()))
        assert [(one.host, one.port) for one in state.nodes] == [
            ("out1", 17379),
            ("out2", 17379),
            ("out3", 17379),
        ]


async def test_a_new_leader_and_a_new_epoch_are_told() -> None:
    async with grpc_rig(Router(1)) as rig:
        call = watch(rig.channel())
        await next_state(call)
        rig.router.leaders[0] = None
        rig.view.changes.tell()
        assert (await next_state(call)).shards[0].leader == ""
        rig.router.leaders[0] = "n3"
        rig.view.changes.tell()
        assert (await next_state(call)).shards[0].leader == "n3"
        rig.view.shown = replace(rig.view.shown, epoch=4)
        rig.view.changes.tell()
        assert (await next_state(call)).epoch == 4


async def test_a_change_that_changes_nothing_is_not_told() -> None:
    view = View(Router(1))
    feed = TopologyFeed(view, "")
    written: list[bytes] = []

    async def write(state: bytes) -> None:
        written.append(state)

    sending = asyncio.create_task(feed.send_to(write))
    await asyncio.sleep(0)
    view.changes.tell()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(written) == 1
    sending.cancel()
    await asyncio.wait([sending])


async def test_who_reads_slowly_skips_to_the_newest_state() -> None:
    router = Router(1)
    view = View(router)
    feed = TopologyFeed(view, "")
    written: list[str] = []
    taken = asyncio.Event()

    async def write(state: bytes) -> None:
        written.append(admin_pb2.TopologyState.FromString(state).shards[0].leader)
        await taken.wait()

    sending = asyncio.create_task(feed.send_to(write))
    await asyncio.sleep(0)
    for leader in ("n2", "n3", "n1", "n2", "n3"):
        router.leaders[0] = leader
        view.changes.tell()
        await asyncio.sleep(0)
    taken.set()
    for _ in range(5):
        await asyncio.sleep(0)
    assert written == ["n1", "n3"]
    sending.cancel()
    await asyncio.wait([sending])


async def test_changes_of_one_turn_are_told_once() -> None:
    changes = Changes()
    with changes.watch() as changed:
        changes.tell()
        changes.tell()
        assert changed.is_set()
    changes.tell()  # To nobody.
    assert changes.version == 3


async def test_watchers_are_as_many_as_clients_may_be() -> None:
    async with grpc_rig(Router(1), limits=DoorLimits(clients_max=1)) as rig:
        first = watch(rig.channel())
        await next_state(first)
        second = watch(rig.channel())
        assert await second.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_status_is_what_http_tells_typed() -> None:
    async with grpc_rig(Router(2)) as rig:
        reply = await status(rig.channel())
        assert (reply.node, reply.state, reply.epoch, reply.shards_total) == ("n1", "ready", 3, 2)
        assert list(reply.waiting_for) == ["n3"]
        assert reply.settings == {"maxmemory": "1024"}
        assert reply.nodes[0].memory_bytes == 5
        assert not reply.nodes[1].HasField("memory_bytes")
        first, meta = reply.shards
        assert (first.shard, first.leader, first.commit_index) == ("0", "n1", 7)
        assert first.replicas[0].match_index == 7
        assert not first.replicas[1].HasField("match_index")
        assert (meta.shard, meta.leader) == ("meta", "")


def test_status_has_a_field_for_everything_http_tells() -> None:
    for told, kind in (
        (Status, admin_pb2.StatusReply),
        (NodeStatus, admin_pb2.NodeStatus),
        (ShardStatus, admin_pb2.ShardStatus),
        (ReplicaStatus, admin_pb2.ReplicaStatus),
    ):
        assert {one.name for one in fields(told)} == set(kind.DESCRIPTOR.fields_by_name)


# --- Health and reflection.


async def check(channel: grpc.aio.Channel, service: str) -> int:
    method: grpc.aio.UnaryUnaryMultiCallable[Any, Any] = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    reply = await method(health_pb2.HealthCheckRequest(service=service))
    return int(reply.status)


async def test_health_follows_readiness_service_by_service() -> None:
    async with grpc_rig(Router(1)) as rig:
        channel = rig.channel()
        assert [await check(channel, name) for name in ("", *SERVICES)] == [SERVING] * 4
        rig.view.is_ready = False
        found = [await check(channel, name) for name in ("", *SERVICES)]
        assert found == [NOT_SERVING, NOT_SERVING, SERVING, SERVING]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await check(channel, "nobody")
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND


async def health_of(call: Any) -> int:
    reply = await call.read()
    assert isinstance(reply, health_pb2.HealthCheckResponse)
    return reply.status


async def test_health_can_be_watched_by_several() -> None:
    async with grpc_rig(Router(1)) as rig:
        method: grpc.aio.UnaryStreamMultiCallable[Any, Any] = rig.channel().unary_stream(
            "/grpc.health.v1.Health/Watch",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        calls = [method(health_pb2.HealthCheckRequest()) for _ in range(2)]
        assert [await health_of(call) for call in calls] == [SERVING] * 2
        calls.pop().cancel()
        rig.view.is_ready = False
        rig.view.changes.tell()
        assert await health_of(calls[0]) == NOT_SERVING


def reflect(channel: grpc.aio.Channel, version: str) -> grpc.aio.StreamStreamCall[Any, Any]:
    method: grpc.aio.StreamStreamMultiCallable[Any, Any] = channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    return method()


async def listed(channel: grpc.aio.Channel, version: str) -> set[str]:
    """The services that reflection names."""
    call = reflect(channel, version)
    await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    reply: Any = await call.read()
    await call.done_writing()
    return {one.name for one in reply.list_services_response.service}


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_names_the_services_and_describes_them(version: str) -> None:
    async with grpc_rig(Router(1)) as rig:
        names = await listed(rig.channel(), version)
        assert set(SERVICES) < names
        assert "grpc.health.v1.Health" in names
        call = reflect(rig.channel(), version)
        await call.write(reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICES[0]))
        reply: Any = await call.read()
        files = reply.file_descriptor_response.file_descriptor_proto
        assert any(b"ExecuteRequest" in one for one in files)
        await call.done_writing()


# --- On the port that is shared with the peers.


async def test_a_message_over_the_limit_of_the_shared_port_is_not_held() -> None:
    rig = GrpcRig(Router(1), None, "")
    rig.grpc.attach(rig.door, rig.view)
    server = PeerServer()
    for service in rig.grpc.services():
        server.add_service(service)
    port = await server.start("127.0.0.1", 0, message_bytes_max=1 << 20)
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stream = Execute(channel)
            await stream.call.write(b"\x12" * (2 << 20))
            assert (await stream.ending())[0] == grpc.StatusCode.RESOURCE_EXHAUSTED
    finally:
        await server.stop()


# --- Before the cluster is formed.


async def test_until_there_is_a_node_clients_are_told_whom_it_waits_for() -> None:
    door = GrpcDoor("n1", 1_000, Clients(DoorLimits(), 0))
    door.wait_for(["n2", "n3"])
    server = PeerServer()
    for service in door.services():
        server.add_service(service)
    port = await server.start("127.0.0.1", 0)
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            code, text = await Execute(channel).ending()
            assert code == grpc.StatusCode.UNAVAILABLE
            assert text == "the cluster is being formed: n1 waits for n2, n3"
            for asked in (status(channel), watch(channel).read()):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await asked
                assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
            assert await check(channel, "") == NOT_SERVING
            rig = GrpcRig(Router(1), None, "")
            door.attach(rig.door, rig.view)
            assert await check(channel, "") == SERVING
            assert await Execute(channel).one(b"PING now") == b"now"
    finally:
        await server.stop()


async def test_while_the_node_loads_its_data_clients_are_told_so() -> None:
    async with _closed_port() as (door, channel):
        door.wait_for([])
        code, text = await Execute(channel).ending()
        assert (code, text) == (grpc.StatusCode.UNAVAILABLE, "n1 is loading its log and snapshots")


@asynccontextmanager
async def _closed_port() -> AsyncIterator[tuple[GrpcDoor, grpc.aio.Channel]]:
    """A door that has no node yet, on the port of the peers."""
    door = GrpcDoor("n1", 1_000, Clients(DoorLimits(), 0))
    server = PeerServer()
    for service in door.services():
        server.add_service(service)
    port = await server.start("127.0.0.1", 0)
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield door, channel
    finally:
        await server.stop()


# --- With a password.

BEARER = (("authorization", "Bearer se cret"),)
WRONG = (("authorization", "Bearer secret"),)


async def _refusal(call: Awaitable[object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details() or ""


async def test_calls_need_the_password_as_a_bearer_token() -> None:
    async with grpc_rig(MemoryRouter()) as rig:
        rig.clients.password = Password(b"se cret")
        channel = rig.channel()
        for metadata in ((), (("authorization", "Basic se cret"),), (("authorization", ""),)):
            code, text = await Execute(channel, metadata).ending()
            assert code == grpc.StatusCode.UNAUTHENTICATED
            assert text == (
                "Authentication required: metadata 'authorization' with the value 'Bearer PASSWORD'"
            )
        for call in (status(channel), watch(channel).read()):
            assert (await _refusal(call))[0] == grpc.StatusCode.UNAUTHENTICATED
        code, text = await Execute(channel, WRONG).ending()
        assert code == grpc.StatusCode.UNAUTHENTICATED
        assert text == "invalid username-password pair or user is disabled."
        assert rig.clients.stats.errors["WRONGPASS"] == 1
        assert not rig.clients.by_id

        stream = Execute(channel, BEARER)
        assert await stream.one(b"SET a 1") == OK
        assert await stream.one(b"ACL WHOAMI") == b"default"
        assert (await status(channel, BEARER)).node == "n1"
        assert (await next_state(watch(channel, BEARER))).node == "n1"


async def test_health_and_reflection_need_no_password() -> None:
    async with grpc_rig(Router(1)) as rig:
        rig.clients.password = Password(b"secret")
        channel = rig.channel()
        assert await check(channel, "") == SERVING
        assert set(SERVICES) < await listed(channel, "v1")


async def test_the_password_is_asked_for_before_there_is_a_node() -> None:
    async with _closed_port() as (door, channel):
        door._clients.password = Password(b"se cret")
        assert (await Execute(channel).ending())[0] == grpc.StatusCode.UNAUTHENTICATED
        assert (await Execute(channel, BEARER).ending())[0] == grpc.StatusCode.UNAVAILABLE
