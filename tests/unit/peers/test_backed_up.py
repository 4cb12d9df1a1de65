"""A log stream that the peer does not read: control goes around it, the queue is bounded (E2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from trimaran.cluster.slots import ShardId
from trimaran.node.clock import SystemClock
from trimaran.node.errors import NotLeader, Overloaded
from trimaran.node.peer_link import BATCH_BYTES_MAX, TOO_LARGE
from trimaran.node.peers import PeersConfig
from trimaran.node.raft.types import (
    ZERO,
    AppendEntries,
    AppendReply,
    Entry,
    EntryId,
    EntryKind,
    Heartbeat,
    Message,
    ReplicaId,
    Vote,
)
from trimaran.node.request import Answer, Done, Forward, NotApplied, Unknown
from trimaran.proto.reply import OK

from .rig import Node, Rig, eventually

SHARD = ShardId(0)
ONE, TWO = ReplicaId(1), ReplicaId(2)
MIB = 1 << 20


def append(index: int, size: int) -> AppendEntries:
    entry = Entry(1, index, EntryKind.COMMANDS, b"x" * size)
    return AppendEntries(ONE, TWO, 1, EntryId(1, index - 1), (entry,), 0)


def get(key: bytes) -> Forward:
    return Forward(
        id=3,
        shard=SHARD,
        db=0,
        user="",
        has_write=False,
        session=0,
        sequence=0,
        floor=0,
        timeout_ms=100,
        commands=[[b"GET", key]],
    )


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with asyncio.timeout(30), Rig() as rig:
        yield rig


STUCK_NS = 300_000_000


async def back_up(source: Node, target: Node) -> None:
    """Fill the log stream until gRPC takes no more."""
    link = source.peers.links[target.name]
    for index in range(1, 33):
        source.peers.send(target.name, SHARD, append(index, MIB))
        source.peers.flush()
        await asyncio.sleep(0)
    sent = 32

    def is_stuck() -> bool:
        """gRPC still copies a while: top up until a frame is not taken and more waits behind it."""
        nonlocal sent
        if link.queue_bytes < 2 * MIB:
            sent += 1
            source.peers.send(target.name, SHARD, append(sent, MIB))
            source.peers.flush()
        waited_ns = SystemClock().now_ns() - link.log.write_began_ns
        return link.queue_bytes >= 2 * MIB and waited_ns > STUCK_NS

    await eventually(is_stuck)


async def test_heartbeats_votes_and_acknowledgements_go_around_a_log_that_is_backed_up(
    rig: Rig,
) -> None:
    one, two = await rig.connected("n1", "n2", deaf="n2")
    await back_up(one, two)
    small: list[Message] = [
        Heartbeat(ONE, TWO, 1, commit_index=0, round=1, is_urgent=True),
        Vote(ONE, TWO, 1, granted=True),
        AppendReply(ONE, TWO, 1, is_success=True, match_index=4, rejected_index=0, conflict=ZERO),
    ]
    for round_, message in enumerate(small, 1):
        one.peers.send(two.name, SHARD, message)
        one.peers.flush()
        await two.recorder.until(lambda: len(two.recorder.messages) == round_)  # noqa: B023 - awaited at once
    assert [message for _, _, message in two.recorder.messages] == small
    assert one.peers.counters[two.name].control_frames == 3


async def test_a_log_that_flows_again_delivers_what_waited(rig: Rig) -> None:
    one, two = await rig.connected("n1", "n2")
    sizes = [3 * MIB, 100, 5 * MIB, 1, 1, 2 * MIB]
    for index, size in enumerate(sizes, 1):
        one.peers.send(two.name, SHARD, append(index, size))
    one.peers.flush()
    await two.recorder.until(lambda: len(two.recorder.messages) == len(sizes))
    arrived = [message for _, _, message in two.recorder.messages]
    assert arrived == [append(index, size) for index, size in enumerate(sizes, 1)]
    link = one.peers.links[two.name]
    assert link.queue_bytes == 0
    assert link.log.frames >= len([size for size in sizes if size > BATCH_BYTES_MAX])


async def test_a_full_queue_drops_counts_and_tells_the_cores(rig: Rig) -> None:
    config = PeersConfig(queue_bytes_max=8 * MIB)
    one, two = await rig.connected("n1", "n2", config=config, deaf="n2")
    await back_up(one, two)
    link = one.peers.links[two.name]
    assert link.queue_bytes <= 8 * MIB
    assert link.counters.dropped > 0
    assert ("dropped", two.name) in one.recorder.events
    assert one.peers.is_up(two.name)  # Full is not down.


async def test_a_forward_that_finds_the_queue_full_is_answered_overloaded(rig: Rig) -> None:
    config = PeersConfig(queue_bytes_max=4 * MIB)
    one, two = await rig.connected("n1", "n2", config=config, deaf="n2")
    await back_up(one, two)
    one.peers.forward(two.name, get(b"k" * 5 * MIB))
    one.peers.flush()
    (answer,) = one.recorder.answers
    assert isinstance(answer.outcome, NotApplied)
    assert isinstance(answer.outcome.error, Overloaded)
    assert answer.outcome.error.limit == "peer_queue_bytes_max"


async def test_an_answer_that_finds_the_queue_full_is_said_to_be_lost(rig: Rig) -> None:
    config = PeersConfig(queue_bytes_max=4 * MIB)
    one, two = await rig.connected("n1", "n2", config=config)
    one.peers.answer(two.name, Answer(1, Done([b"x" * 3 * MIB])))
    one.peers.answer(two.name, Answer(2, Done([b"y" * 3 * MIB])))
    one.peers.flush()
    answers = two.recorder.answers
    await two.recorder.until(lambda: len(answers) == 2)
    assert {answer.id: type(answer.outcome) for answer in answers} == {1: Done, 2: Unknown}
    assert one.peers.links[two.name].queue_bytes == 0


async def test_an_answer_larger_than_the_queue_may_be_tells_which_reply_was_too_large(
    rig: Rig,
) -> None:
    # One large value can be named a thousand times in one command.
    config = PeersConfig(queue_bytes_max=4 * MIB)
    one, two = await rig.connected("n1", "n2", config=config)
    value = b"x" * MIB
    one.peers.answer(two.name, Answer(1, Done([OK, [value] * 1000, value])))
    one.peers.flush()
    await two.recorder.until(lambda: bool(two.recorder.answers))
    assert two.recorder.answers == [Answer(1, Done([OK, TOO_LARGE, value]))]


async def test_what_waited_for_a_peer_that_died_is_dropped_with_it(rig: Rig) -> None:
    one, two = await rig.connected("n1", "n2", deaf="n2")
    await back_up(one, two)
    link = one.peers.links[two.name]
    assert link.queue_bytes > 0
    await two.stop()
    await one.recorder.down("n2")
    await eventually(lambda: link.queue_bytes == 0)
    one.peers.forward(two.name, get(b"k"))
    one.peers.flush()
    (answer,) = one.recorder.answers
    assert isinstance(answer.outcome, NotApplied)
    assert isinstance(answer.outcome.error, NotLeader)
