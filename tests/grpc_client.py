"""A client of the gRPC door as anybody would write it: gRPC's own options, no retries."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import (  # gRPC's call types are generic over messages; options of a batch.
    TYPE_CHECKING,
    Any,
    TypeAlias,
)

from trimaran.proto import admin_pb2
from trimaran.proto import commands_pb2 as pb
from trimaran.proto.execute import cut, decode_value

if TYPE_CHECKING:
    import grpc.aio

    from trimaran.proto.reply import Reply

Outcome: TypeAlias = "Reply | pb.NotApplied | pb.OutcomeUnknown"
Metadata = tuple[tuple[str, str], ...]
Words = bytes | Sequence[bytes]  # `b"SET a 1"`, or the arguments one by one.


def batch(*commands: Words, number: int = 1, **options: Any) -> pb.Batch:
    words = [one.split() if isinstance(one, bytes) else one for one in commands]
    return pb.Batch(id=number, commands=[pb.Command(args=args) for args in words], **options)


def outcome_of(result: pb.Result) -> Outcome:
    kind = result.WhichOneof("outcome")
    if kind == "reply":
        return decode_value(result.reply)
    return result.not_applied if kind == "not_applied" else result.unknown


class Execute:
    """One Commands.Execute stream."""

    def __init__(self, channel: grpc.aio.Channel, metadata: Metadata = ()) -> None:
        method: grpc.aio.StreamStreamMultiCallable[Any, Any] = channel.stream_stream(
            "/trimaran.v1.Commands/Execute"
        )
        self.call: grpc.aio.StreamStreamCall[Any, Any] = method(metadata=metadata)
        self.messages = 0  # That came.
        self._number = 0
        self._replies: deque[pb.BatchReply] = deque()
        self._pieces: list[bytes] = []

    async def send(self, *batches: pb.Batch) -> None:
        """In one message, or in pieces where gRPC would not take it."""
        for data in cut(pb.ExecuteRequest(batches=batches).SerializeToString()):
            await self.call.write(data)

    async def receive(self) -> pb.BatchReply:
        while not self._replies:
            data = await self.call.read()
            assert isinstance(data, bytes), await self.ending()
            self.messages += 1
            message = pb.ExecuteReply.FromString(data)
            if message.HasField("fragment"):
                self._pieces.append(message.fragment.data)
                if not message.fragment.is_last:
                    continue
                message = pb.ExecuteReply.FromString(b"".join(self._pieces))
                self._pieces.clear()
            self._replies.extend(message.replies)
        return self._replies.popleft()

    async def ask(self, *commands: Words, **options: Any) -> list[Outcome]:
        """What became of each, as one batch."""
        self._number += 1
        await self.send(batch(*commands, number=self._number, **options))
        reply = await self.receive()
        assert reply.id == self._number
        return [outcome_of(one) for one in reply.results]

    async def one(self, command: Words, **options: Any) -> Outcome:
        (outcome,) = await self.ask(command, **options)
        return outcome

    async def ending(self) -> tuple[grpc.StatusCode, str]:
        """How the stream ended."""
        return await self.call.code(), await self.call.details() or ""


def watch(
    channel: grpc.aio.Channel, metadata: Metadata = ()
) -> grpc.aio.UnaryStreamCall[Any, admin_pb2.TopologyState]:
    method: grpc.aio.UnaryStreamMultiCallable[Any, Any] = channel.unary_stream(
        "/trimaran.v1.Topology/Watch",
        request_serializer=admin_pb2.WatchRequest.SerializeToString,
        response_deserializer=admin_pb2.TopologyState.FromString,
    )
    return method(admin_pb2.WatchRequest(), metadata=metadata)


async def status(channel: grpc.aio.Channel, metadata: Metadata = ()) -> admin_pb2.StatusReply:
    method: grpc.aio.UnaryUnaryMultiCallable[Any, Any] = channel.unary_unary(
        "/trimaran.v1.Admin/Status",
        request_serializer=admin_pb2.StatusRequest.SerializeToString,
        response_deserializer=admin_pb2.StatusReply.FromString,
    )
    reply: admin_pb2.StatusReply = await method(admin_pb2.StatusRequest(), metadata=metadata)
    return reply
