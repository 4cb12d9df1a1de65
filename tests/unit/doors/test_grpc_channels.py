"""A subscriber's stream of gRPC: its requests, its messages, and its ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Any  # gRPC's call types are generic over messages.

import grpc.aio
import pytest

from trimaran.node.data.glob import PATTERN_BYTES_MAX
from trimaran.node.doors.backend import DoorLimits
from trimaran.node.pubsub import PubSub, PubSubLimits
from trimaran.node.subscriptions import CHANNEL, SHARD
from trimaran.proto import channels_pb2 as pb
from trimaran.proto.reply import VerbatimReply

from .grpc_rig import GrpcRig, grpc_rig, until


class Loop:
    """Of asyncio, as the broker wants it."""

    def call_soon(self, callback: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_soon(callback)

    def call_later(self, delay_ns: int, callback: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(delay_ns / 1e9, callback)


class Others:
    """Another node, which is up and sees nothing until it is told to."""

    def __init__(self) -> None:
        self.posted: list[bytes] = []
        self.is_there = True

    def post(self, node: str, parts: list[bytes]) -> bool:
        self.posted += parts
        return True

    def post_bytes(self, node: str) -> int:
        return 0

    def is_up(self, node: str) -> bool:
        return self.is_there


def broker(rig: GrpcRig, limits: PubSubLimits | None = None) -> PubSub:
    pubsub = rig.clients.pubsub = PubSub(Loop(), rig.router.now_ns, limits)
    return pubsub


class Subscribe:
    """One Channels.Subscribe stream, as any program could have it."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        method: grpc.aio.StreamStreamMultiCallable[Any, Any] = channel.stream_stream(
            "/trimaran.v1.Channels/Subscribe",
            request_serializer=pb.SubscribeRequest.SerializeToString,
            response_deserializer=pb.ChannelMessages.FromString,
        )
        self.call: grpc.aio.StreamStreamCall[Any, Any] = method()
        self.messages = 0  # Of gRPC.
        self._pieces: list[bytes] = []
        self._got: deque[pb.ChannelMessage] = deque()
        self._number = 0

    async def next(self) -> pb.ChannelMessage:
        while not self._got:
            message = await self.call.read()
            assert isinstance(message, pb.ChannelMessages), await self.ending()
            self.messages += 1
            if message.HasField("fragment"):
                self._pieces.append(message.fragment.data)
                if not message.fragment.is_last:
                    continue
                message = pb.ChannelMessages.FromString(b"".join(self._pieces))
                self._pieces.clear()
            self._got.extend(message.messages)
        return self._got.popleft()

    async def send(self, **fields: Any) -> int:
        self._number += 1
        await self.call.write(pb.SubscribeRequest(id=self._number, **fields))
        return self._number

    async def ask(self, **fields: Any) -> str:
        """Until it is done; why it is refused."""
        number = await self.send(**fields)
        message = await self.next()
        assert message.HasField("done")
        assert message.done.id == number
        return message.done.error

    async def listen(self, *channels: bytes) -> None:
        assert not await self.ask(subscribe=pb.Names(channels=channels))

    async def data(self, count: int) -> list[bytes]:
        return [(await self.next()).data for _ in range(count)]

    async def ending(self) -> tuple[grpc.StatusCode, str]:
        return await self.call.code(), await self.call.details() or ""


def shown(message: pb.ChannelMessage) -> tuple[bytes | None, bytes, bytes, bool]:
    pattern = message.pattern if message.HasField("pattern") else None
    return pattern, message.channel, message.data, message.is_shard


async def test_messages_come_by_channel_pattern_and_shard_channel_in_their_order() -> None:
    async with grpc_rig() as rig:
        pubsub = broker(rig)
        stream = Subscribe(rig.channel())
        names = pb.Names(channels=[b"a"], patterns=[b"x*"], shard_channels=[b"s"])
        assert not await stream.ask(subscribe=names)
        assert pubsub.publish(CHANNEL, b"a", b"1") == 1
        assert pubsub.publish(SHARD, b"s", b"2") == 1
        assert pubsub.publish(CHANNEL, b"x1", b"") == 1
        assert pubsub.publish(CHANNEL, b"other", b"4") == 0
        assert pubsub.publish(CHANNEL, b"a", b"5") == 1
        assert [shown(await stream.next()) for _ in range(4)] == [
            (None, b"a", b"1", False),
            (None, b"s", b"2", True),
            (b"x*", b"x1", b"", False),
            (None, b"a", b"5", False),
        ]


async def test_messages_of_a_turn_come_in_one_of_grpcs() -> None:
    async with grpc_rig() as rig:
        pubsub = broker(rig)
        stream = Subscribe(rig.channel())
        await stream.listen(b"a")
        before = stream.messages
        for number in range(1000):
            pubsub.publish(CHANNEL, b"a", b"%d" % number)
        assert await stream.data(1000) == [b"%d" % number for number in range(1000)]
        assert stream.messages - before < 20


async def test_a_large_message_comes_whole() -> None:
    async with grpc_rig() as rig:
        pubsub = broker(rig)
        stream = Subscribe(rig.channel())
        await stream.listen(b"a")
        payload = bytes(range(256)) * 40_000
        pubsub.publish(CHANNEL, b"a", payload)
        assert await stream.data(1) == [payload]


async def test_what_is_given_up_does_not_come_any_more() -> None:
    async with grpc_rig() as rig:
        pubsub = broker(rig)
        stream = Subscribe(rig.channel())
        await stream.listen(b"a", b"b")
        assert not await stream.ask(unsubscribe=pb.Names(channels=[b"a", b"never"]))
        assert pubsub.publish(CHANNEL, b"a", b"1") == 0
        assert pubsub.publish(CHANNEL, b"b", b"2") == 1
        assert await stream.data(1) == [b"2"]


async def test_a_subscription_is_acknowledged_when_every_node_has_seen_it() -> None:
    async with grpc_rig() as rig:
        pubsub = broker(rig)
        others = Others()
        pubsub.attach(Loop(), lambda: ["n2"], others, lambda: None)  # type: ignore[list-item]  # Names.
        stream = Subscribe(rig.channel())
        await stream.send(subscribe=pb.Names(channels=[b"a"]))
        await until(lambda: len(others.posted) == 2)  # What is listened to, and a mark.
        answer = asyncio.ensure_future(stream.next())
        await asyncio.sleep(0.02)
        assert not answer.done()
        pubsub.posts_received("n2", [[4, 1]])  # type: ignore[arg-type]  # A name; it has seen it.
        assert (await answer).done.id == 1


async def test_who_listens_is_told_when_another_node_is_lost_or_comes_back() -> None:
    async with grpc_rig() as rig:
        pubsub = broker(rig)
        others = Others()
        others.is_there = False
        pubsub.attach(Loop(), lambda: ["n2"], others, lambda: None)  # type: ignore[list-item]  # Names.
        stream, idle = Subscribe(rig.channel()), Subscribe(rig.channel())
        await stream.listen(b"a")
        assert not await idle.ask()
        pubsub.peer_changed("n2")  # type: ignore[arg-type]  # A name.
        assert (await stream.next()).gap.text == "n2 is out of reach"
        pubsub.posts_received("n2", [[2]])  # type: ignore[arg-type]  # A name.
        assert (await stream.next()).gap.text == "the stream from n2 has begun anew"
        assert not await idle.ask()  # It was told nothing.


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (pb.Names(channels=[b"b", b"c", b"d"]), "too many subscriptions: 1 and 3 more"),
        (pb.Names(patterns=[b"*" * (PATTERN_BYTES_MAX + 1)]), "a pattern is longer than"),
    ],
)
async def test_what_is_refused_leaves_the_stream_as_it_was(names: pb.Names, text: str) -> None:
    async with grpc_rig() as rig:
        pubsub = broker(rig, PubSubLimits(subscriptions_max=3))
        stream = Subscribe(rig.channel())
        await stream.listen(b"a")
        assert (await stream.ask(subscribe=names)).startswith(text)
        assert pubsub.publish(CHANNEL, b"a", b"1") == 1
        assert pubsub.publish(CHANNEL, b"b", b"1") == 0
        assert await stream.data(1) == [b"1"]


async def test_one_that_reads_too_slowly_is_ended_and_counted_and_others_go_on() -> None:
    async with grpc_rig(limits=DoorLimits(pubsub_buffer_bytes_max=1 << 20)) as rig:
        pubsub = broker(rig)
        slow, other = Subscribe(rig.channel()), Subscribe(rig.channel())
        await slow.listen(b"a")
        await other.listen(b"a")
        payload = bytes(100_000)
        for _ in range(200):
            pubsub.publish(CHANNEL, b"a", payload)
            assert await other.data(1) == [payload]
            if pubsub.counters.slow:
                break
        assert pubsub.counters.slow == 1
        assert pubsub.publish(CHANNEL, b"a", b"1") == 1  # It listens no longer.
        assert await other.data(1) == [b"1"]
        with contextlib.suppress(grpc.aio.AioRpcError):
            while isinstance(await slow.call.read(), pb.ChannelMessages):  # What was under way.
                pass
        code, text = await slow.ending()
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "pubsub_buffer_bytes_max" in text
        await until(lambda: len(rig.clients.by_id) == 1)


async def test_it_is_a_client_among_the_others_and_leaves_nothing_behind() -> None:
    async with grpc_rig(limits=DoorLimits(clients_max=2)) as rig:
        pubsub = broker(rig)
        stream = Subscribe(rig.channel())
        await stream.listen(b"a", b"b")
        listed = await rig.stream().one(b"CLIENT LIST")
        assert isinstance(listed, VerbatimReply)
        assert b"flags=P db=0 sub=2 psub=0 ssub=0" in listed.text
        third = Subscribe(rig.channel())
        assert (await third.ending())[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
        stream.call.cancel()
        await until(lambda: not pubsub.clients)
        assert pubsub.channels(CHANNEL, is_everywhere=True) == {}
        assert not pubsub.when_missed


async def test_a_stream_that_cannot_be_read_is_ended() -> None:
    async with grpc_rig() as rig:
        broker(rig)
        method: grpc.aio.StreamStreamMultiCallable[Any, Any] = rig.channel().stream_stream(
            "/trimaran.v1.Channels/Subscribe"
        )
        call: grpc.aio.StreamStreamCall[Any, Any] = method()
        await call.write(b"\xff\xff")
        assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_silent_peer_is_not_waited_for_longer_when_a_timer_is_early() -> None:
    class EarlyLoop(Loop):
        def __init__(self) -> None:
            self.timers: list[tuple[int, Callable[[], None]]] = []

        def call_later(self, delay_ns: int, callback: Callable[[], None]) -> None:
            self.timers.append((delay_ns, callback))

    class Nobody:
        protocol = 2
        is_lost = False

        def push_messages(self, data: bytes, count: int) -> None: ...

    now_ns = 0
    loop = EarlyLoop()
    pubsub = PubSub(loop, lambda: now_ns)
    pubsub.attach(loop, lambda: ["n2"], Others(), lambda: None)  # type: ignore[list-item]  # Names.
    done: list[bool] = []
    pubsub.subscribe(Nobody(), CHANNEL, [b"a"], lambda: done.append(True))
    ((delay_ns, callback),) = loop.timers
    now_ns = delay_ns - 1_000_000
    callback()
    assert not done
    delay_ns, callback = loop.timers[-1]
    assert len(loop.timers) == 2
    now_ns += delay_ns
    callback()
    assert done == [True]
