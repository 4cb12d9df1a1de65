"""A batch as bytes and back, as between real nodes: what is lost on the way is found here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimaran.cluster.slots import ShardId
from trimaran.node.wire import (
    join_packed,
    pack_answers,
    pack_forward,
    put_message,
    take_message,
    unpack_answers,
    unpack_forwards,
)
from trimaran.proto import peer_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trimaran.node.raft.types import Message
    from trimaran.node.request import Answer, Forward


def messages_on_wire(messages: Sequence[tuple[ShardId, Message]]) -> list[tuple[ShardId, Message]]:
    """The messages as their receiver reads them."""
    read: list[tuple[ShardId, Message]] = []
    for shard, message in messages:
        written = pb.ShardMessage()
        put_message(written, shard, message)
        arrived = pb.ShardMessage.FromString(written.SerializeToString())
        read.append((ShardId(arrived.shard), take_message(arrived)))
    assert read == list(messages), f"{messages} arrives as {read}"
    return read


def forwards_on_wire(forwards: Sequence[Forward]) -> list[Forward]:
    """The forwards as their receiver reads them."""
    return unpack_forwards(join_packed([pack_forward(forward) for forward in forwards]))


def answers_on_wire(answers: Sequence[Answer]) -> list[Answer]:
    """The answers as their receiver reads them."""
    return unpack_answers(pack_answers(answers))
