"""Nodes on loopback: messages arrive, breaks are noticed, strangers are refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from trimaran.cluster.slots import ShardId
from trimaran.node.clock import SystemClock
from trimaran.node.errors import ConfigError, NotLeader
from trimaran.node.peer_server import PeerServer
from trimaran.node.raft.types import (
    ZERO,
    AppendEntries,
    AppendReply,
    Entry,
    EntryId,
    EntryKind,
    HeartbeatReply,
    Message,
    ReplicaId,
    Vote,
)
from trimaran.node.request import Answer, Done, Forward, NotApplied

from .rig import HOST, Node, Rig, eventually, topology_of

SHARD = ShardId(0)
ONE, TWO = ReplicaId(1), ReplicaId(2)
VOTE = Vote(ONE, TWO, term=3, granted=True)
FORWARD = Forward(
    id=7,
    shard=SHARD,
    db=0,
    user="",
    has_write=True,
    session=5,
    sequence=1,
    floor=1,
    timeout_ms=900,
    commands=[[b"SET", b"k", b"v"]],
)


def append(index: int, data: bytes = b"x") -> AppendEntries:
    entry = Entry(1, index, EntryKind.COMMANDS, data)
    return AppendEntries(ONE, TWO, 1, EntryId(1, index - 1), (entry,), 0)


def messages_of(node: Node) -> list[Message]:
    return [message for _, _, message in node.recorder.messages]


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with asyncio.timeout(30), Rig() as rig:
        yield rig


async def test_all_that_is_queued_in_a_turn_arrives_in_one_batch(rig: Rig) -> None:
    one, two = await rig.connected("n1", "n2")
    before = two.peers.counters[one.name].batches_in
    for index in (1, 2, 3):
        one.peers.send(two.name, SHARD, append(index))
    one.peers.send(two.name, SHARD, VOTE)
    one.peers.forward(two.name, FORWARD)
    one.peers.answer(two.name, Answer(9, Done([b"OK", 1])))
    one.peers.flush()
    await two.recorder.until(lambda: bool(two.recorder.forwards))
    assert messages_of(two) == [VOTE, append(1), append(2), append(3)]
    assert two.recorder.forwards == [FORWARD]
    assert two.recorder.answers == [Answer(9, Done([b"OK", 1]))]
    assert two.peers.counters[one.name].batches_in == before + 1


async def test_nothing_leaves_before_the_flush(rig: Rig) -> None:
    one, two = await rig.connected("n1", "n2")
    one.peers.send(two.name, SHARD, append(1))
    two.peers.send(one.name, SHARD, VOTE)
    two.peers.flush()
    await one.recorder.until(lambda: bool(one.recorder.messages))
    assert not two.recorder.messages
    one.peers.flush()
    await two.recorder.until(lambda: bool(two.recorder.messages))


@pytest.mark.parametrize(
    "reply",
    [
        HeartbeatReply(ONE, TWO, 1, round=4, is_urgent=False),
        AppendReply(ONE, TWO, 1, True, 5, 0, ZERO, is_patient=True),  # noqa: FBT003
    ],
    ids=lambda reply: type(reply).__name__,
)
async def test_patient_answers_wait_for_company_or_the_tick(
    rig: Rig, reply: HeartbeatReply | AppendReply
) -> None:
    one, two = await rig.connected("n1", "n2")
    one.peers.send(two.name, SHARD, reply)
    link = one.peers.links[two.name]
    one.peers.flush()
    # Not by counting frames: a beacon may leave at any time.
    assert not link._has_urgent
    assert not link._sends_patient
    one.peers.flush(lazily=True)
    assert link._sends_patient
    await two.recorder.until(lambda: bool(two.recorder.messages))
    one.peers.send(two.name, SHARD, reply)
    one.peers.send(two.name, SHARD, VOTE)
    assert link._has_urgent
    one.peers.flush()
    await two.recorder.until(lambda: len(two.recorder.messages) == 3)


async def test_three_nodes_all_talk_to_one_another(rig: Rig) -> None:
    nodes = await rig.connected("n1", "n2", "n3")
    for source in nodes:
        for target in nodes:
            if source is not target:
                source.peers.send(target.name, SHARD, VOTE)
        source.peers.flush()
    for node in nodes:
        recorder = node.recorder
        await recorder.until(lambda recorder=recorder: len(recorder.messages) == 2)  # type: ignore[misc]  # mypy cannot type a lambda's default.
        assert {source for source, _, _ in recorder.messages} == {
            other.name for other in nodes if other is not node
        }


async def test_a_stopped_peer_is_down_and_up_again_when_it_returns(rig: Rig) -> None:
    one, two = await rig.connected("n1", "n2")
    port = two.port
    await two.stop()
    await one.recorder.down("n2")
    assert one.peers.missing == ["n2"]
    again = rig.own(Node("n2"))
    await again.listen(port)
    again.run(one.topology, nonce=99)
    await one.recorder.up("n2")
    await again.recorder.up("n1")
    one.peers.send(again.name, SHARD, append(1))
    one.peers.flush()
    await again.recorder.until(lambda: messages_of(again) == [append(1)])


async def test_a_peer_that_returns_elsewhere_is_dialled_there(rig: Rig) -> None:
    one, two = await rig.connected("n1", "n2")
    await two.stop()
    await one.recorder.down("n2")
    again = rig.own(Node("n2"))
    await again.listen()
    again.run(one.topology, nonce=99)
    await one.recorder.up("n2")
    assert one.peers.links[again.name].address == again.address()
    assert one.recorder.addresses == [("n2", HOST, again.port - 2)]


async def test_what_is_sent_to_a_peer_that_is_down_is_dropped_and_counted(rig: Rig) -> None:
    one, two = await rig.connected("n1", "n2")
    await two.stop()
    await one.recorder.down("n2")
    await eventually(lambda: not one.peers.links[two.name].log.is_live)
    one.peers.send(two.name, SHARD, append(1))
    assert one.peers.counters[two.name].dropped == 1


async def test_a_forward_that_cannot_leave_is_answered_not_applied(rig: Rig) -> None:
    one, two = await rig.connected("n1", "n2")
    await two.stop()
    await one.recorder.down("n2")
    one.peers.forward(two.name, FORWARD)
    assert not one.recorder.answers
    one.peers.flush()
    (answer,) = one.recorder.answers
    assert answer.id == FORWARD.id
    assert isinstance(answer.outcome, NotApplied)
    assert isinstance(answer.outcome.error, NotLeader)


async def test_another_cluster_is_refused_with_both_ids(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = await rig.listening("n1", "n2")
    two.cluster_id = 0xC2
    one.run(topology_of(one, two))
    two.run(topology_of(one, two, cluster_id=0xC2))
    await eventually(lambda: one.peers.refused.get("n2", 0) >= 4)
    await eventually(lambda: two.peers.counters[one.name].refused >= 4)
    assert not one.recorder.events
    told = [record for record in caplog.records if record.message == "peer refused"]
    texts = {record.__dict__["error"] for record in told}
    assert len(told) == len(texts)  # Once per change, not once per try.
    assert any(f"{0xC1:016x}" in text and f"{0xC2:016x}" in text for text in texts)


async def test_another_incarnation_is_refused_with_both(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = await rig.listening("n1", "n2")
    topology = topology_of(one, two)
    two.incarnation = 0xBAD  # Its directory was emptied after the topology was agreed.
    one.run(topology)
    two.run(topology)
    await eventually(lambda: "n2" in one.peers.refused)
    await eventually(lambda: one.peers.counters[two.name].refused > 0)
    assert not one.recorder.events
    assert not two.recorder.events
    text = next(r.__dict__["error"] for r in caplog.records if r.message == "peer refused")
    assert f"{0xBAD:016x}" in text
    assert f"{0x1002:016x}" in text


async def test_a_node_that_answers_under_another_name_is_refused(rig: Rig) -> None:
    one, two, three = await rig.listening("n1", "n2", "n3")
    topology = topology_of(one, two)
    swapped = replace(
        topology, nodes=(topology.nodes[0], replace(topology.nodes[1], port=three.port - 2))
    )
    one.run(swapped)
    three.run(topology_of(one, three))
    await eventually(lambda: one.peers.counters[two.name].refused >= 2)
    assert not one.recorder.events


async def test_a_batch_of_another_process_is_dropped_and_counted(rig: Rig) -> None:
    one, two = await rig.connected("n1", "n2")
    two.peers._inbound[one.name, "Log"].nonce += 1
    one.peers.send(two.name, SHARD, append(1))
    one.peers.flush()
    await eventually(lambda: two.peers.counters[one.name].mismatches == 1)
    assert not two.recorder.messages


async def test_a_peer_that_starts_later_gets_the_newer_topology(rig: Rig) -> None:
    one, two = await rig.listening("n1", "n2")
    newer = topology_of(one, two, epoch=5)
    one.run(newer)
    two.run(topology_of(one, two))
    await two.recorder.until(lambda: two.recorder.topologies == [newer])
    two.peers.update_topology(newer)
    assert two.peers.epoch == 5


async def test_a_topology_that_changes_reaches_connected_peers(rig: Rig) -> None:
    one, two = await rig.connected("n1", "n2")
    newer = topology_of(one, two, epoch=2)
    one.peers.update_topology(newer)
    await two.recorder.until(lambda: two.recorder.topologies == [newer])
    assert not two.recorder.events[1:]  # Nobody was redialled over it.


async def test_a_node_that_leaves_the_topology_is_dropped(rig: Rig) -> None:
    one, two, three = await rig.connected("n1", "n2", "n3")
    one.peers.update_topology(topology_of(one, two, epoch=2))
    await one.recorder.down("n3")
    await three.recorder.down("n1")
    assert list(one.peers.links) == ["n2"]


async def test_clock_offsets_are_known_from_batches(rig: Rig) -> None:
    one, two = await rig.connected("n1", "n2")
    two.peers.send(one.name, SHARD, VOTE)
    two.peers.flush()
    await one.recorder.until(lambda: bool(one.recorder.messages))
    clock = SystemClock()
    offsets = one.peers.offsets.all_ms(local_ms=clock.wall_ms(), now_ns=clock.now_ns())
    assert abs(offsets[two.name]) < 5_000
    assert not one.peers.is_clock_far(5_000)


async def test_what_a_handler_raises_stops_the_node(rig: Rig) -> None:
    one, two = await rig.connected("n1", "n2")
    two.recorder.raises = RuntimeError("boom")
    one.peers.send(two.name, SHARD, VOTE)
    one.peers.flush()
    with pytest.raises(RuntimeError, match="boom"):
        await two.server.run()


async def test_a_taken_port_is_refused() -> None:
    first, second = PeerServer(), PeerServer()
    port = await first.start(HOST, 0)
    try:
        with pytest.raises(ConfigError, match=str(port)):
            await second.start(HOST, port)
    finally:
        await first.stop()
