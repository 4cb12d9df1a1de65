"""The gRPC server of a node: where peers' streams come in, and founders' calls.

It listens before the cluster is formed (founders must find one another) and for as long as the
process lives; until `attach` peers are told to come again. A peer that sends nonsense loses its
stream; what our own code raises stops the node through `run`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import (  # gRPC's handler types are generic over messages that are bytes here.
    TYPE_CHECKING,
    Any,
)

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from ..proto import peer_pb2 as pb
from .bulk import receive_snapshot
from .errors import ConfigError, Corrupt
from .names import Address
from .peer_options import SERVER_OPTIONS
from .peer_stream import SERVICE, Context, StreamBroken, read_bytes, write_reply
from .wire import WireError

if TYPE_CHECKING:
    from .peers import Inbound, Peers

HELLO_TIMEOUT_S = 5

_log = logging.getLogger(__name__)


class PeerServer:
    """Listens from `start` to `stop`."""

    def __init__(self) -> None:
        self._services: list[grpc.GenericRpcHandler] = []
        self._server: grpc.aio.Server | None = None
        self._peers: Peers | None = None
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def add_service(self, service: grpc.GenericRpcHandler) -> None:
        """Serve this too; before `start`."""
        self._services.append(service)

    async def start(self, host: str, port: int, message_bytes_max: int = -1) -> int:
        """Bind and listen; the port bound (for port 0). Raises ConfigError if it is taken.

        gRPC holds a message whole before anybody sees it, and clients come in here too.
        """
        options = dict(SERVER_OPTIONS) | {"grpc.max_receive_message_length": message_bytes_max}
        server = grpc.aio.server(options=tuple(options.items()))
        server.add_generic_rpc_handlers((self._service(), *self._services))
        place = str(Address(host, port))
        try:
            bound = server.add_insecure_port(place)
        except RuntimeError as error:
            raise ConfigError(f"port: {place} (gRPC) cannot be bound: {error}") from error
        await server.start()
        self._server = server
        return bound

    def attach(self, peers: Peers) -> None:
        """From now on peers are welcome."""
        self._peers = peers

    async def run(self) -> None:
        """Waits for `stop`; raises what a handler raised."""
        await self._failure

    async def stop(self) -> None:
        """Hang up on everyone, at once: peers notice a closed stream sooner than silence."""
        if self._server is not None:
            await self._server.stop(grace=None)
        if not self._failure.done():
            self._failure.set_result(None)

    def fail(self, error: Exception) -> None:
        """Stop the node with `error`."""
        if not self._failure.done():
            self._failure.set_exception(error)

    def _service(self) -> grpc.GenericRpcHandler:
        methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            kind: grpc.stream_stream_rpc_method_handler(self._rooted(kind, serve))
            for kind, serve in (
                ("Log", self._serve_batches),
                ("Control", self._serve_batches),
                ("Bulk", self._serve_snapshot),
            )
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    def _rooted(
        self, kind: str, serve: Callable[[Peers, Inbound, Context], Awaitable[None]]
    ) -> Callable[[Any, Context], Awaitable[None]]:
        async def handle(_: Any, context: Context) -> None:
            try:
                await self._greet(kind, serve, context)
            except StreamBroken:
                pass  # The peer is gone, and `gone` has said so.
            except (WireError, DecodeError) as error:
                _log.error("peer sent nonsense", extra={"stream": kind, "error": str(error)})
            except Exception as error:
                # gRPC would log it and go on; a handler that failed must stop the node.
                self.fail(error)
                raise

        return handle

    async def _greet(
        self,
        kind: str,
        serve: Callable[[Peers, Inbound, Context], Awaitable[None]],
        context: Context,
    ) -> None:
        try:
            async with asyncio.timeout(HELLO_TIMEOUT_S):
                first = await read_bytes(context)
        except TimeoutError:
            return
        if first is None:
            return
        frame = pb.Frame.FromString(first)
        if frame.WhichOneof("kind") != "hello":
            raise WireError("a stream that does not begin with a Hello")
        peers = self._peers
        if peers is None:
            refusal: pb.Refusal | None = pb.Refusal(text="still starting", is_temporary=True)
        else:
            refusal = peers.refusal_of(frame.hello)
        if peers is None or refusal is not None:
            await write_reply(context, pb.Reply(refusal=refusal))
            return
        inbound, welcome = peers.welcome(kind, frame.hello)
        try:
            await write_reply(context, pb.Reply(welcome=welcome))
            await serve(peers, inbound, context)
        finally:
            peers.gone(inbound)

    async def _serve_batches(self, peers: Peers, inbound: Inbound, context: Context) -> None:
        while (data := await read_bytes(context)) is not None:
            peers.received(inbound, data)

    async def _serve_snapshot(self, peers: Peers, inbound: Inbound, context: Context) -> None:
        result = pb.SnapshotResult(is_ok=True)
        try:
            shard, message, path = await receive_snapshot(context, peers.sink)
        except StreamBroken as error:
            _log.info("snapshot broke off", extra={"peer": inbound.node, "error": str(error)})
            return
        except (Corrupt, OSError) as error:
            # Nothing was promised about these bytes: the sender will try again, this node goes on.
            _log.exception("snapshot not received", extra={"peer": inbound.node})
            result = pb.SnapshotResult(is_ok=False, text=str(error))
        else:
            peers.snapshot_arrived(inbound, shard, message, path)
        await write_reply(context, pb.Reply(snapshot_result=result))
