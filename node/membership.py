"""The Membership service and its client: `bootstrap.py` over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any  # gRPC's call types are generic over messages.

import grpc
import grpc.aio

from ..proto import membership_pb2 as pb
from .bootstrap import Bootstrap, Description, FounderAway, Options
from .errors import TrimaranError
from .names import Address, Names
from .peer_options import CHANNEL_OPTIONS
from .storage.identity import Founder, Founding

MEMBERSHIP_VERSION = 1
CALL_TIMEOUT_S = 2.0

SERVICE = pb.DESCRIPTOR.services_by_name["Membership"].full_name

Context = grpc.aio.ServicerContext[Any, Any]


def membership_service(
    bootstrap: Bootstrap, fail: Callable[[Exception], None]
) -> grpc.GenericRpcHandler:
    """What `PeerServer` serves; `fail` stops the node when the disk does not save."""

    async def describe(request: pb.DescribeRequest, _: Context) -> pb.Description:
        asker = _take_options(request.options) if request.HasField("options") else None
        return _put_description(bootstrap.describe(asker))

    async def form(request: pb.FormRequest, _: Context) -> pb.FormReply:
        if request.version != MEMBERSHIP_VERSION:
            return pb.FormReply(refusal=_version_text(request.version))
        try:
            refusal = bootstrap.form(_take_founding(request.record), is_final=request.is_final)
        except OSError as error:
            fail(error)  # What could not be saved was not promised; the process stops (L8).
            raise
        return pb.FormReply(is_saved=not refusal, refusal=refusal)

    return grpc.method_handlers_generic_handler(
        SERVICE,
        {
            "Describe": grpc.unary_unary_rpc_method_handler(
                describe,
                request_deserializer=pb.DescribeRequest.FromString,
                response_serializer=pb.Description.SerializeToString,
            ),
            "Form": grpc.unary_unary_rpc_method_handler(
                form,
                request_deserializer=pb.FormRequest.FromString,
                response_serializer=pb.FormReply.SerializeToString,
            ),
        },
    )


class MembershipCalls:
    """`Calls` over gRPC: one connection per call, since there are few and peers come and go."""

    def __init__(self, names: Names | None = None) -> None:
        self._names = names or Names()

    async def describe(self, address: Address, options: Options) -> Description:
        request = pb.DescribeRequest(options=_put_options(options))
        reply = await self._call(address, "Describe", request, pb.Description)
        if reply.version != MEMBERSHIP_VERSION:
            raise TrimaranError(f"{address}: {_version_text(reply.version)}")
        return _take_description(reply)

    async def form(self, address: Address, founding: Founding, *, is_final: bool) -> str:
        request = pb.FormRequest(
            version=MEMBERSHIP_VERSION, record=_put_founding(founding), is_final=is_final
        )
        reply = await self._call(address, "Form", request, pb.FormReply)
        return "" if reply.is_saved else reply.refusal or "without a reason"

    async def _call(self, address: Address, method: str, request: Any, reply: Any) -> Any:
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                target = await self._names.target(address)
                async with grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS) as channel:
                    call: grpc.aio.UnaryUnaryMultiCallable[Any, Any] = channel.unary_unary(
                        f"/{SERVICE}/{method}",
                        request_serializer=type(request).SerializeToString,
                        response_deserializer=reply.FromString,
                    )
                    return await call(request)
        except (grpc.aio.AioRpcError, OSError, TimeoutError) as error:
            raise FounderAway(str(error)) from error


def _version_text(version: int) -> str:
    return f"membership protocol version {version} is not {MEMBERSHIP_VERSION}"


def _put_options(options: Options) -> pb.Options:
    return pb.Options(name=options.name, founders=options.founders, shards=options.shards)


def _take_options(options: pb.Options) -> Options:
    return Options(options.name, options.founders, options.shards)


def _put_member(member: Founder) -> pb.Member:
    return pb.Member(
        name=member.name,
        incarnation=member.incarnation,
        address=member.address,
        zone=member.zone,
    )


def _take_member(member: pb.Member) -> Founder:
    return Founder(member.name, member.incarnation, member.address, member.zone)


def _put_founding(founding: Founding) -> pb.FoundingRecord:
    return pb.FoundingRecord(
        cluster_id=founding.cluster_id,
        shards=founding.shards,
        founders=[_put_member(one) for one in founding.founders],
        options_hash=founding.options_hash,
    )


def _take_founding(record: pb.FoundingRecord) -> Founding:
    members = tuple(_take_member(one) for one in record.founders)
    return Founding(record.cluster_id, members, record.shards, record.options_hash)


def _put_description(description: Description) -> pb.Description:
    founding, options = description.founding, description.options
    return pb.Description(
        version=MEMBERSHIP_VERSION,
        member=_put_member(description.member),
        record=None if founding is None else _put_founding(founding),
        is_formed=description.is_formed,
        options=None if options is None else _put_options(options),
    )


def _take_description(reply: pb.Description) -> Description:
    return Description(
        member=_take_member(reply.member),
        founding=_take_founding(reply.record) if reply.HasField("record") else None,
        is_formed=reply.is_formed,
        options=_take_options(reply.options) if reply.HasField("options") else None,
    )
