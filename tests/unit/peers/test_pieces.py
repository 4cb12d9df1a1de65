"""What is too large for one frame leaves in pieces; everything small goes between them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from trimaran.cluster.slots import ShardId
from trimaran.node.pieces import CUT_BYTES, PIECE_BYTES, Cutting, Joining, Whole
from trimaran.node.raft.types import (
    AppendEntries,
    Entry,
    EntryId,
    EntryKind,
    Heartbeat,
    ReplicaId,
)
from trimaran.node.request import Answer, Done, Forward
from trimaran.node.wire import WireError, data_apart, put_message, take_message
from trimaran.proto import peer_pb2 as pb
from trimaran.proto.reply import MapReply

from .rig import Rig

SHARD = ShardId(0)
ONE, TWO = ReplicaId(1), ReplicaId(2)
LARGE = random.Random(1).randbytes(CUT_BYTES + 12_345)
BEAT = Heartbeat(ONE, TWO, 1, commit_index=0, round=1, is_urgent=False)
FORWARD = Forward(
    id=7,
    shard=SHARD,
    db=1,
    user="",
    has_write=True,
    session=5,
    sequence=1,
    floor=1,
    timeout_ms=900,
    commands=[[b"SET", b"k", LARGE], [b"GET", b"k"]],
)


def append(*data: bytes, first: int = 2) -> AppendEntries:
    entries = [Entry(1, first + place, EntryKind.COMMANDS, one) for place, one in enumerate(data)]
    return AppendEntries(ONE, TWO, 1, EntryId(1, first - 1), tuple(entries), 0)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with asyncio.timeout(30), Rig() as rig:
        yield rig


@pytest.mark.parametrize("size", [1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, len(LARGE)])
def test_what_is_cut_is_joined_again(size: int) -> None:
    cutting = Cutting(
        [Whole(pb.ANSWERS, [b"head", LARGE[:size], b"tail"]), Whole(pb.ENTRY, [b"x"])]
    )
    joining = Joining()
    joined = []
    while not cutting.is_done:
        batch = pb.Batch()
        assert cutting.put(batch) == len(batch.piece) <= PIECE_BYTES
        kind, data = joining.add(pb.Batch.FromString(batch.SerializeToString()))
        if kind != pb.MORE:
            joined.append((kind, data))
    assert joined == [(pb.ANSWERS, b"head" + LARGE[:size] + b"tail"), (pb.ENTRY, b"x")]
    assert list(joining.entries) == [b"x"]


def test_an_entry_without_its_pieces_is_refused() -> None:
    message = append(b"small", LARGE)
    there = pb.ShardMessage()
    put_message(there, SHARD, message, apart_bytes=PIECE_BYTES)
    assert data_apart(message, PIECE_BYTES) == [LARGE]
    assert there.ByteSize() < 1000
    with pytest.raises(WireError, match="entry 3 without the pieces"):
        take_message(there)


async def test_large_messages_of_all_kinds_arrive_whole_and_in_order(rig: Rig) -> None:
    one, two = await rig.connected("n1", "n2")
    appends = [append(b"a", LARGE, first=2), append(b"b", first=4), append(LARGE, LARGE, first=5)]
    answers = [Answer(1, Done([LARGE, [LARGE, 1, None]])), Answer(2, Done([b"small"]))]
    answers.append(Answer(3, Done([MapReply(((b"k", LARGE),))])))
    for message in appends:
        one.peers.send(two.name, SHARD, message)
    for answer in answers:
        one.peers.answer(two.name, answer)
    forwards = [FORWARD, replace(FORWARD, id=8, commands=[[b"GET", b"k"]])]
    for forward in forwards:
        one.peers.forward(two.name, forward)
    one.peers.flush()
    told = two.recorder
    await told.until(
        lambda: len(told.messages) == 3 and len(told.answers) == 3 and len(told.forwards) == 2
    )
    assert [message for _, _, message in told.messages] == appends
    assert sorted(told.answers, key=lambda answer: answer.id) == answers
    assert sorted(told.forwards, key=lambda forward: forward.id) == forwards
    link = one.peers.links[two.name]
    assert link.queue_bytes == 0
    assert link.log.frames > 5 * len(LARGE) // PIECE_BYTES


async def test_heartbeats_and_other_traffic_go_between_the_pieces(rig: Rig) -> None:
    one, two = await rig.connected("n1", "n2")
    one.peers.send(two.name, SHARD, append(LARGE * 8))
    one.peers.flush()
    one.peers.send(two.name, SHARD, BEAT)
    one.peers.answer(two.name, Answer(1, Done([1])))
    one.peers.flush()
    told = two.recorder
    await told.until(lambda: len(told.messages) == 2)
    assert told.messages[0][2] == BEAT
    assert told.answers == [Answer(1, Done([1]))]


async def test_large_answers_that_never_end_do_not_keep_entries_waiting(rig: Rig) -> None:
    one, two = await rig.connected("n1", "n2")
    link, told = one.peers.links[two.name], two.recorder
    asked = 0

    def ask_again() -> None:
        """As clients do who read large values all the time."""
        nonlocal asked
        while asked < len(told.answers) + 4:
            asked += 1
            one.peers.answer(two.name, Answer(asked, Done([LARGE])))
        one.peers.flush()

    ask_again()
    one.peers.send(two.name, SHARD, append(LARGE))
    one.peers.send(two.name, SHARD, append(b"small", first=3))
    while len(told.messages) < 2 and len(told.answers) < 30:
        ask_again()
        await asyncio.sleep(0)
    assert len(told.messages) == 2
    assert len(told.answers) < 5
    assert link.queue_bytes > len(LARGE)  # More of them wait.


async def test_a_broken_stream_forgets_half_a_message(rig: Rig) -> None:
    one, two = await rig.connected("n1", "n2")
    link = one.peers.links[two.name]
    one.peers.send(two.name, SHARD, append(LARGE))
    link.drop_queue()
    assert link.queue_bytes == 0
    one.peers.send(two.name, SHARD, append(b"x"))
    one.peers.flush()
    await two.recorder.until(lambda: bool(two.recorder.messages))
    assert two.recorder.messages[0][2] == append(b"x")
