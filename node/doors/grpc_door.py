"""The gRPC door (+2) of one listener: Commands, Channels, Topology, Admin, health, reflection.

The node's own listener shares its port with the peers' streams (`peer_server.py`); a named one has
a server of its own. Until `attach`, while the cluster is formed and the data loaded, clients are
told UNAVAILABLE and health says NOT_SERVING. Where there is a password, calls need it; health and
reflection are for all. What our own code raises for one client ends that client's call and is
logged. Read `grpc_stream.py` next.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any  # gRPC's handler types are generic over messages.

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2
from grpc_reflection.v1alpha.reflection import aio as reflection_aio

from ...proto import admin_pb2, channels_pb2, commands_pb2
from ...proto.reply import ErrorReply
from ..names import Address
from ..peer_options import SERVER_OPTIONS
from .grpc_channels import ChannelStream
from .grpc_stream import ENVELOPE_BYTES, Stream
from .grpc_views import Health, TopologyFeed, ViewedNode, status_reply
from .password import wrong_password

if TYPE_CHECKING:
    from ..peer_stream import Context
    from .door import Clients, Door

log = logging.getLogger(__name__)

GRPC_OFFSET = 2
HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
COMMANDS = commands_pb2.DESCRIPTOR.services_by_name["Commands"].full_name
CHANNELS = channels_pb2.DESCRIPTOR.services_by_name["Channels"].full_name
TOPOLOGY = admin_pb2.DESCRIPTOR.services_by_name["Topology"].full_name
ADMIN = admin_pb2.DESCRIPTOR.services_by_name["Admin"].full_name
# The later name has the same messages; tools ask for it first.
REFLECTIONS = (reflection.SERVICE_NAME, "grpc.reflection.v1.ServerReflection")

_NO_PASSWORD = (
    grpc.StatusCode.UNAUTHENTICATED,
    "Authentication required: metadata 'authorization' with the value 'Bearer PASSWORD'",
)
_TOO_MANY = (grpc.StatusCode.RESOURCE_EXHAUSTED, "max number of clients reached")


class GrpcDoor:
    """What clients are served at +2 of one listener."""

    def __init__(self, name: str, session_timeout_ms: int, clients: Clients) -> None:
        self.session_timeout_ms = session_timeout_ms  # Of a session that does not say.
        self.address = ""  # Where it listens.
        self._name = name  # The node's.
        self._clients = clients
        self._door: Door | None = None
        self._view: ViewedNode | None = None
        self._feed: TopologyFeed | None = None
        self._waiting_for: Sequence[str] = ()
        self._watchers = 0
        self._health = Health(names=("", COMMANDS, CHANNELS), always=(TOPOLOGY, ADMIN))
        self._server: grpc.aio.Server | None = None

    # --- Its life.

    def wait_for(self, names: Sequence[str]) -> None:
        """While the cluster is being formed: the founders that are missing."""
        self._waiting_for = names

    def attach(self, door: Door, view: ViewedNode) -> None:
        """From now on there is a node. `door` is the any-key door of the same listener: a stream
        counts as a client of it, and local commands are answered as there."""
        self._door = door
        self._view = view
        self._feed = TopologyFeed(view, door.listener)
        self._health.attach(view)

    async def listen(self, host: str, port: int) -> None:
        """A server of its own, for a named listener. Raises OSError if the port is taken."""
        limits = self._clients.limits.reader
        options = dict(SERVER_OPTIONS)
        options["grpc.max_receive_message_length"] = limits.command_bytes_max + 2 * ENVELOPE_BYTES
        server = grpc.aio.server(options=tuple(options.items()))
        server.add_generic_rpc_handlers(self.services())
        try:
            bound = server.add_insecure_port(str(Address(host, port)))
        except RuntimeError as error:
            raise OSError(0, str(error)) from error
        await server.start()
        self._server = server
        self.address = str(Address(host, bound))

    async def close(self) -> None:
        if self._server is not None:
            await self._server.stop(grace=None)

    # --- Its services.

    def services(self) -> tuple[grpc.GenericRpcHandler, ...]:
        names = (COMMANDS, CHANNELS, TOPOLOGY, ADMIN, HEALTH, *REFLECTIONS)
        mirror = reflection_aio.ReflectionServicer(names)
        execute = _stream_stream(self._execute)
        subscribe = _stream_stream(self._subscribe)
        watch = _unary_stream(self._watch, admin_pb2.WatchRequest.FromString)
        status = grpc.unary_unary_rpc_method_handler(
            _rooted(self._status),
            request_deserializer=admin_pb2.StatusRequest.FromString,
            response_serializer=admin_pb2.StatusReply.SerializeToString,
        )
        reflect = grpc.stream_stream_rpc_method_handler(
            mirror.ServerReflectionInfo,
            request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
            response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
        )
        handler = grpc.method_handlers_generic_handler
        return (
            handler(COMMANDS, {"Execute": execute}),
            handler(CHANNELS, {"Subscribe": subscribe}),
            handler(TOPOLOGY, {"Watch": watch}),
            handler(ADMIN, {"Status": status}),
            handler(HEALTH, self._health.methods()),
            *(handler(name, {"ServerReflectionInfo": reflect}) for name in REFLECTIONS),
        )

    async def _execute(self, _: AsyncIterator[bytes], context: Context) -> None:
        door = await self._admitted(context)
        stream = Stream(self, door, context)
        stream.is_authenticated = True
        if not door.clients.add(stream):
            await context.abort(*_TOO_MANY)
        # The client knows that what it sends from here on is taken, and that before nothing was.
        await context.send_initial_metadata(())
        try:
            ending = await stream.serve()
            if ending is not None:
                # Who does not read is told nothing yet, and counts until its connection ends.
                await context.abort(*ending)
        finally:
            stream.lose()
            door.clients.remove(stream)

    async def _subscribe(self, _: AsyncIterator[bytes], context: Context) -> None:
        door = await self._admitted(context)
        stream = ChannelStream(self.address, door, context)
        if not door.clients.add(stream):
            await context.abort(*_TOO_MANY)
        await context.send_initial_metadata(())
        try:
            ending = await stream.serve()
            if ending is not None:
                await context.abort(*ending)
        finally:
            stream.lose()
            door.clients.remove(stream)

    async def _watch(self, _: admin_pb2.WatchRequest, context: Context) -> None:
        door = await self._admitted(context)
        assert self._feed is not None
        if self._watchers >= door.limits.clients_max:
            await context.abort(*_TOO_MANY)
        self._watchers += 1
        try:
            await self._feed.send_to(context.write)
        finally:
            self._watchers -= 1

    async def _status(self, _: admin_pb2.StatusRequest, context: Context) -> admin_pb2.StatusReply:
        await self._admitted(context)
        assert self._view is not None
        return status_reply(self._view.status())

    async def _admitted(self, context: Context) -> Door:
        """The door of this listener; ends the call of who does not know the password, and while
        there is no node behind it."""
        await self._check_password(context)
        if self._door is None:
            text = f"{self._name} is loading its log and snapshots"
            if self._waiting_for:
                missing = ", ".join(self._waiting_for)
                text = f"the cluster is being formed: {self._name} waits for {missing}"
            await context.abort(grpc.StatusCode.UNAVAILABLE, text)
        assert self._door is not None
        return self._door

    async def _check_password(self, context: Context) -> None:
        password = self._clients.password
        if not password.is_set:
            return
        given = _bearer(context)
        if given is None:
            await context.abort(*_NO_PASSWORD)
        elif not password.is_right(given):
            error = wrong_password()
            self._clients.stats.rejected(None, ErrorReply(error.code, error.text))
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, error.text)

    def address_of(self, node: str) -> str:
        """host:port of a node's gRPC port, as this listener announces it; empty if unknown."""
        assert self._door is not None
        info = self._door.router.topology().node(node)
        if info is None:
            return ""
        host, port = info.address(self._door.listener)
        return str(Address(host, port + GRPC_OFFSET))


def _bearer(context: Context) -> bytes | None:
    """What the call gives as its password."""
    for key, value in context.invocation_metadata() or ():
        scheme, _, given = str(value).partition(" ")
        if key == "authorization" and scheme.lower() == "bearer":
            return given.strip().encode()
    return None


def _rooted(serve: Callable[[Any, Context], Awaitable[Any]]) -> Callable[[Any, Context], Any]:
    """The root of a call: what it raises is ours, ends this call and is logged once."""

    async def handle(request: Any, context: Context) -> Any:
        try:
            return await serve(request, context)
        except (grpc.aio.AbortError, grpc.aio.BaseError):
            raise
        except Exception:
            log.exception("call_failed peer=%s", context.peer())
            await context.abort(grpc.StatusCode.INTERNAL, "the node failed at this; see its log")

    return handle


def _stream_stream(serve: Callable[[Any, Context], Awaitable[None]]) -> Any:
    """Messages are bytes on both sides: `proto/execute.py` reads and writes them."""
    return grpc.stream_stream_rpc_method_handler(_rooted(serve))


def _unary_stream(serve: Callable[[Any, Context], Awaitable[None]], read: Any) -> Any:
    return grpc.unary_stream_rpc_method_handler(_rooted(serve), request_deserializer=read)
