"""Messages of channels written by hand are those that the generated code reads."""

from __future__ import annotations

import pytest

from trimaran.proto import channels_pb2 as pb
from trimaran.proto.channels import encode_done, encode_gap, encode_message


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ([b"message", b"c", b"data"], pb.ChannelMessage(channel=b"c", data=b"data")),
        ([b"smessage", b"", b""], pb.ChannelMessage(channel=b"", data=b"", is_shard=True)),
        (
            [b"pmessage", b"", b"c" * 300, b"\xff" * 70_000],
            pb.ChannelMessage(pattern=b"", channel=b"c" * 300, data=b"\xff" * 70_000),
        ),
    ],
)
def test_a_message(frame: list[bytes], message: pb.ChannelMessage) -> None:
    assert pb.ChannelMessages.FromString(encode_message(frame) * 2).messages == [message, message]


def test_word_from_the_node() -> None:
    data = encode_done(1 << 60) + encode_done(0, "too many é\ud800") + encode_gap("n1: gone")
    assert list(pb.ChannelMessages.FromString(data).messages) == [
        pb.ChannelMessage(done=pb.Done(id=1 << 60)),
        pb.ChannelMessage(done=pb.Done(id=0, error="too many é?")),
        pb.ChannelMessage(gap=pb.Gap(text="n1: gone")),
    ]
