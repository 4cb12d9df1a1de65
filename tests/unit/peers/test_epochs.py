"""Who has said that it knows which topology: what CONFIG SET waits for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from trimaran.node.raft.types import NodeId
from trimaran.node.wire import WireError

from .rig import Rig, eventually


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with Rig() as rig:
        yield rig


async def test_a_peer_says_that_it_knows_a_topology_once_it_does(rig: Rig) -> None:
    one, two, three = await rig.connected("n1", "n2", "n3")
    newer = replace(one.topology, epoch=2)
    one.peers.update_topology(newer)
    await two.recorder.until(lambda: two.recorder.topologies == [newer])
    # It was sent to both, which is not yet that they know it.
    assert one.peers.nodes_behind(2) == ["n2", "n3"]
    two.peers.update_topology(newer)
    await eventually(lambda: one.peers.nodes_behind(2) == ["n3"])
    three.peers.update_topology(newer)
    await eventually(lambda: not one.peers.nodes_behind(2))
    # Everybody is told, not only who brought it.
    await eventually(lambda: not three.peers.nodes_behind(2))


async def test_a_peer_that_is_down_is_not_behind(rig: Rig) -> None:
    one, two = await rig.connected("n1", "n2")
    one.peers.update_topology(replace(one.topology, epoch=2))
    assert one.peers.nodes_behind(2) == ["n2"]
    await two.stop()
    await one.recorder.down("n2")
    assert one.peers.nodes_behind(2) == []


async def test_what_the_last_process_of_a_peer_knew_does_not_count(rig: Rig) -> None:
    one, two = await rig.connected("n1", "n2")
    newer = replace(one.topology, epoch=2)
    for node in (one, two):
        node.peers.update_topology(newer)
    await eventually(lambda: not one.peers.nodes_behind(2))
    port = two.port
    await two.stop()
    await one.recorder.down("n2")
    await two.listen(port)
    two.run(replace(newer, epoch=1), nonce=99)
    await one.recorder.up("n2")
    await two.recorder.until(lambda: newer in two.recorder.topologies)
    assert one.peers.nodes_behind(2) == ["n2"]
    two.peers.update_topology(newer)
    await eventually(lambda: not one.peers.nodes_behind(2))


@pytest.mark.parametrize("topology", [b"[]", b"{}", b"7", b'{"version": 1}', b"\xff"])
async def test_a_topology_that_cannot_be_read_is_the_fault_of_who_sent_it(
    rig: Rig, topology: bytes
) -> None:
    one, two = await rig.connected("n1", "n2")
    frame = one.peers.links[two.name]._frame()
    frame.batch.topology = topology
    with pytest.raises(WireError, match="a topology that cannot be read"):
        two.peers.received(two.peers._inbound[NodeId("n1"), "Log"], frame.SerializeToString())
