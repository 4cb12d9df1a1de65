"""One subscriber's stream against a door: it comes back, and says where messages are missing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Container, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import pytest

from trimaran.client import channels
from trimaran.client.channels import CHANNELS, PATTERNS, SHARD_CHANNELS, Event, Subscription
from trimaran.client.errors import ClientClosed, NotApplied, Refused
from trimaran.client.topology import NodeView, ShardView, TopologyView
from trimaran.node.doors.backend import DoorLimits
from trimaran.node.pubsub import PubSubLimits
from trimaran.node.subscriptions import CHANNEL

from ..doors.grpc_rig import GrpcRig, grpc_rig, until
from ..doors.test_grpc_channels import broker

if TYPE_CHECKING:
    import grpc.aio

    from trimaran.client.core import Core
    from trimaran.node.pubsub import PubSub

PATIENCE_S = 10.0


class FakeRouter:
    """What a subscriber asks of it: one shard, led by n1, on two nodes that are the same door."""

    def __init__(self) -> None:
        nodes = {name: NodeView(name, f"{name}:1", "", is_reachable=True) for name in ("n1", "n2")}
        self.view = TopologyView("n1", "0", 1, nodes, (ShardView(("n1", "n2"), "n1", 1),))
        self.down = False

    def leader_of(self, shard: int) -> str:
        return "n1"

    def nearest(self, names: Iterable[str], avoid: Container[str] = ()) -> str | None:
        return None if self.down else next((one for one in names if one not in avoid), None)


class FakeCore:
    def __init__(self, rig: GrpcRig) -> None:
        self.loop = asyncio.get_running_loop()
        self.router = FakeRouter()
        self.subscriptions: dict[object, None] = {}
        self.metadata = ()
        self.heard: dict[str, float] = {}
        self.pinged: dict[str, float] = {}
        self._channel = rig.channel()

    def subscriber_channel(self, node: str) -> grpc.aio.Channel:
        return self._channel

    def jitter(self, seconds: float) -> float:
        return 0.001 if seconds < 1.0 else 0.05


class Subscriber:
    def __init__(self, rig: GrpcRig, broker_: PubSub) -> None:
        self.rig = rig
        self.broker = broker_
        self.core = FakeCore(rig)
        self.it = Subscription(cast("Core", self.core))  # As far as it needs one.

    async def listen(self, *names: bytes, kind: int = CHANNELS) -> None:
        await self.it.ask(kind, names, PATIENCE_S)

    async def leave(self, *names: bytes) -> None:
        await self.it.ask(CHANNELS, names, PATIENCE_S, is_off=True)

    def publish(self, channel: bytes, data: bytes) -> int:
        return self.broker.publish(CHANNEL, channel, data)

    async def events(self, count: int) -> list[Event]:
        found = [await self.it.take(PATIENCE_S) for _ in range(count)]
        return [one for one in found if one is not None]

    def end_streams(self) -> None:
        for client in list(self.rig.clients.by_id.values()):
            client.abort()


@asynccontextmanager
async def subscriber(
    *, limits: DoorLimits | None = None, subscriptions_max: int = 100
) -> AsyncIterator[Subscriber]:
    async with grpc_rig(limits=limits) as rig:
        one = Subscriber(rig, broker(rig, PubSubLimits(subscriptions_max=subscriptions_max)))
        try:
            yield one
        finally:
            await one.it.close()


async def test_what_is_asked_is_told_in_the_order_of_messages() -> None:
    async with subscriber() as one:
        await one.listen(b"a", b"b")
        await one.listen(b"x*", kind=PATTERNS)
        await one.listen(b"s", kind=SHARD_CHANNELS)
        assert one.publish(b"a", b"1") == 1
        await until(lambda: one.it._events[-1].type == "message")
        await one.leave(b"a", b"never")
        one.it.ping(b"hi")
        assert await one.events(8) == [
            Event("subscribe", None, b"a", 1),
            Event("subscribe", None, b"b", 2),
            Event("psubscribe", None, b"x*", 3),
            Event("ssubscribe", None, b"s", 1),
            Event("message", None, b"a", b"1"),
            Event("unsubscribe", None, b"a", 2),
            Event("unsubscribe", None, b"never", 2),
            Event("pong", None, None, b"hi"),
        ]
        assert await one.it.take(0) is None


async def test_a_stream_that_ends_is_replaced_by_one_with_all_that_is_wanted() -> None:
    async with subscriber() as one:
        await one.listen(b"a", b"b", b"c")
        await one.leave(b"b")
        await one.events(4)
        one.core.router.down = True
        one.end_streams()
        await until(lambda: not one.it.node)
        assert one.publish(b"a", b"lost") == 0
        waiting = asyncio.ensure_future(one.listen(b"d"))
        await asyncio.sleep(0.01)
        await one.leave(b"c")
        assert not waiting.done()
        one.core.router.down = False
        await waiting
        assert [one.publish(name, b"x") for name in (b"a", b"b", b"c", b"d")] == [1, 0, 0, 1]
        gap, *others = await one.events(5)
        assert gap.type == "gap"
        assert "the node closed this stream" in str(gap.data)
        assert others == [
            Event("subscribe", None, b"d", 3),
            Event("unsubscribe", None, b"c", 2),
            Event("message", None, b"a", b"x"),
            Event("message", None, b"d", b"x"),
        ]


async def test_a_first_stream_that_comes_late_is_no_gap() -> None:
    async with subscriber() as one:
        one.core.router.down = True
        waiting = asyncio.ensure_future(one.listen(b"a"))
        await asyncio.sleep(0.01)
        one.core.router.down = False
        await waiting
        assert await one.events(1) == [Event("subscribe", None, b"a", 1)]


async def test_a_reader_that_is_too_slow_is_ended_by_its_node_and_told() -> None:
    limits = DoorLimits(pubsub_buffer_bytes_max=1 << 20)
    async with subscriber(limits=limits) as one:
        await one.listen(b"a")
        payload = bytes(100_000)
        async with asyncio.timeout(PATIENCE_S):
            while not one.broker.counters.slow:
                one.publish(b"a", payload)
                await asyncio.sleep(0.001)
        # It has stopped reading, and holds no more than it may.
        assert one.it._bytes < channels.EVENT_BYTES_MAX + (2 << 20)
        found: list[str] = []
        while "gap" not in found:
            (event,) = await one.events(1)
            found.append(event.type)
        assert found[0] == "subscribe"
        assert one.publish(b"a", b"again") == 1
        assert (await one.events(1))[0].data == b"again"


async def test_who_is_behind_can_subscribe_nevertheless() -> None:
    async with subscriber() as one:
        await one.listen(b"a")
        for number in range(channels.EVENTS_MAX + 1000):
            one.publish(b"a", b"%d" % number)
        await until(lambda: one.it._is_full)
        await one.listen(b"b")


async def test_what_is_refused_is_said_and_leaves_the_rest() -> None:
    async with subscriber(subscriptions_max=2) as one:
        await one.listen(b"a")
        with pytest.raises(Refused, match="too many subscriptions"):
            await one.listen(b"b", b"c")
        await one.listen(b"d")
        one.end_streams()
        await until(lambda: one.publish(b"a", b"x"))
        assert one.publish(b"b", b"x") == 0
        assert one.publish(b"d", b"x") == 1


async def test_thousands_of_names_come_in_several_requests() -> None:
    async with subscriber(subscriptions_max=10_000) as one:
        names = [b"%d" % number for number in range(3500)]
        await one.listen(*names)
        assert (await one.events(3500))[-1] == Event("subscribe", None, b"3499", 3500)
        one.end_streams()
        assert (await one.events(1))[0].type == "gap"
        assert one.publish(b"3499", b"x") == one.publish(b"0", b"x") == 1


async def test_without_a_node_the_subscription_is_not_there_and_not_wanted() -> None:
    async with subscriber() as one:
        one.core.router.down = True
        with pytest.raises(NotApplied, match="no node can be reached"):
            await one.it.ask(CHANNELS, [b"a"], 0.05)
        one.core.router.down = False
        await one.listen(b"b")
        assert one.publish(b"a", b"x") == 0
        assert await one.events(1) == [Event("subscribe", None, b"b", 1)]


async def test_shard_channels_alone_are_followed_at_their_leader() -> None:
    async with subscriber() as one:
        view = one.core.router.view
        nodes = dict(reversed(view.nodes.items()))
        one.core.router.view = TopologyView("n1", "0", 1, nodes, view.shards)
        await one.listen(b"s", kind=SHARD_CHANNELS)
        assert one.it.node == "n1"


async def test_who_waits_is_told_when_it_is_closed() -> None:
    async with subscriber() as one:
        await one.listen(b"a")
        await one.events(1)
        waiting = asyncio.ensure_future(one.it.take(None))
        await asyncio.sleep(0)
        await one.it.close()
        with pytest.raises(ClientClosed):
            await waiting
        with pytest.raises(ClientClosed):
            await one.listen(b"b")


async def test_a_node_that_says_nothing_is_asked_and_then_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(channels, "PING_S", 1.0)
    async with subscriber() as one:
        await one.listen(b"a")
        await one.events(1)
        assert one.it.node == "n1"
        before = one.rig.clients.commands
        one.core.heard["n1"] -= 1.0  # As if it was so long ago.
        await until(lambda: one.rig.clients.commands > before)  # It was asked, and has answered.
        await until(lambda: one.core.heard["n1"] > one.core.pinged["n1"])
        assert one.it.node == "n1"
        one.core.heard["n1"] -= channels.SILENT_S
        await until(lambda: one.it.node == "n2")
        (gap,) = await one.events(1)
        assert gap.data == "n1: nothing was heard of it for 6 s"
