"""Who leads travels between nodes: at once when it changes, all of it on a new stream (D5)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from trimaran.cluster.slots import ShardId
from trimaran.node.leaders import Leaders, Led
from trimaran.node.raft.types import NodeId

from .rig import Node, Rig

FIRST = Led(ShardId(3), 5, NodeId("n1"))
LATER = Led(ShardId(3), 6, NodeId("n2"))
OTHER = Led(ShardId(4), 1, NodeId("n2"))


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with Rig() as rig:
        yield rig


def test_only_a_higher_term_is_news() -> None:
    leaders = Leaders()
    assert leaders.learn_all([FIRST, FIRST, LATER, FIRST, OTHER]) == [FIRST, LATER, OTHER]
    assert leaders.of(ShardId(3)) == LATER
    assert sorted(one.shard for one in leaders) == [3, 4]


async def test_a_change_of_leader_is_told_at_the_next_flush(rig: Rig) -> None:
    one, two = await rig.connected("n1", "n2")
    one.peers.tell_leaders([FIRST, OTHER], is_urgent=True)
    one.peers.flush()
    await two.recorder.until(lambda: two.recorder.leaders == [("n1", FIRST), ("n1", OTHER)])
    one.peers.tell_leaders([FIRST, LATER], is_urgent=True)
    one.peers.flush()
    await two.recorder.until(lambda: two.recorder.leaders[2:] == [("n1", LATER)])


async def test_what_is_only_passed_on_rides_with_the_next_message(rig: Rig) -> None:
    one, two = await rig.connected("n1", "n2")
    before = one.peers.links[two.name].log.frames
    one.peers.tell_leaders([FIRST], is_urgent=False)
    one.peers.flush()
    assert one.peers.links[two.name].log.frames == before
    one.peers.tell_leaders([OTHER], is_urgent=True)
    one.peers.flush()
    await two.recorder.until(lambda: [led for _, led in two.recorder.leaders] == [FIRST, OTHER])


async def test_a_peer_that_comes_back_is_told_everything(rig: Rig) -> None:
    one, two = await rig.connected("n1", "n2")
    port = two.port
    await two.stop()
    await one.recorder.down("n2")
    one.peers.tell_leaders([FIRST, OTHER, LATER], is_urgent=True)
    one.peers.flush()
    again = rig.own(Node("n2"))
    await again.listen(port)
    again.run(one.topology, nonce=99)
    await again.recorder.until(lambda: {led for _, led in again.recorder.leaders} == {LATER, OTHER})
