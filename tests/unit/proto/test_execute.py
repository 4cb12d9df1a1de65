"""The hand-written messages of Execute against the generated code, and what is counted of them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.proto import commands_pb2 as pb
from trimaran.proto.execute import (
    MESSAGE_BYTES_MAX,
    Malformed,
    count,
    cut,
    decode_value,
    encode_batch,
    encode_outcome,
    encode_result,
    encode_value,
    messages,
    varint,
)
from trimaran.proto.reply import (
    NULL_ARRAY,
    OK,
    DecimalReply,
    ErrorReply,
    MapReply,
    PairsMapReply,
    PairsReply,
    Reply,
    SetReply,
    Status,
    VerbatimReply,
)

GRPC_BYTES_MAX = 4 << 20  # What gRPC takes by default.

plain = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False)
    | st.builds(DecimalReply, st.floats(allow_nan=False))
    | st.binary(max_size=300)
    | st.builds(Status, st.text(max_size=20))
    | st.builds(ErrorReply, st.text(max_size=5), st.text(max_size=20))
    | st.builds(VerbatimReply, st.just("txt"), st.binary(max_size=200))
    | st.just(NULL_ARRAY)
)
replies = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(lambda one: SetReply(tuple(one)))
        | st.builds(
            lambda kind, pairs: kind(tuple(pairs)),
            st.sampled_from([MapReply, PairsReply, PairsMapReply]),
            st.lists(st.tuples(inner, inner), max_size=3),
        )
    ),
    max_leaves=12,
)


@given(replies)
def test_every_reply_comes_back_as_it_was(reply: Reply) -> None:
    assert decode_value(pb.Value.FromString(encode_value(reply))) == reply


@given(replies)
def test_a_result_holds_the_reply(reply: Reply) -> None:
    (result,) = pb.BatchReply.FromString(encode_result(reply)).results
    assert decode_value(result.reply) == reply


def test_a_tuple_is_an_array() -> None:
    assert decode_value(pb.Value.FromString(encode_value((1, (b"a",))))) == [1, [b"a"]]


def test_text_that_is_no_utf8_does_not_spoil_the_message() -> None:
    value = pb.Value.FromString(encode_value(ErrorReply("ERR", "what is '\udcff'?")))
    assert decode_value(value) == ErrorReply("ERR", "what is '?'?")


def test_what_is_no_reply_is_refused() -> None:
    with pytest.raises(TypeError, match="dict is not a reply"):
        encode_value({})  # type: ignore[arg-type]  # The mistake is the test.


def test_a_value_of_a_later_version_is_not_taken_for_anything_else() -> None:
    with pytest.raises(ValueError, match="unknown kind"):
        decode_value(pb.Value.FromString(b"\xa2\x06\x01a"))  # Field 100.


def test_a_batch_holds_its_results_in_order_and_the_sessions_it_opened() -> None:
    unknown = pb.Result(unknown=pb.OutcomeUnknown(text="?"))
    data = encode_batch(
        1 << 40, [encode_result(OK), encode_outcome(unknown), encode_result(7)], [(3, 12_345)]
    )
    (batch,) = pb.ExecuteReply.FromString(data).replies
    assert batch.id == 1 << 40
    kinds = [one.WhichOneof("outcome") for one in batch.results]
    assert kinds == ["reply", "unknown", "reply"]
    assert decode_value(batch.results[2].reply) == 7
    assert [(one.shard, one.id) for one in batch.opened] == [(3, 12_345)]


@pytest.mark.parametrize("size", [0, 1, MESSAGE_BYTES_MAX, MESSAGE_BYTES_MAX + 1, 5 << 20])
def test_a_large_message_is_cut_below_grpcs_limit_and_put_together_again(size: int) -> None:
    whole = encode_batch(1, [encode_result(b"x" * size)], [])
    pieces = [pb.ExecuteReply.FromString(one) for one in cut(whole)]
    assert all(one.ByteSize() < GRPC_BYTES_MAX for one in pieces)
    if len(whole) <= MESSAGE_BYTES_MAX:
        assert [len(one.replies) for one in pieces] == [1]
        return
    assert [one.fragment.is_last for one in pieces] == [False] * (len(pieces) - 1) + [True]
    assert b"".join(one.fragment.data for one in pieces) == whole


def test_answers_that_are_ready_together_leave_together_and_none_is_lost() -> None:
    sizes = [10, 20, 700_000, 700_000, 3 << 20, 5]
    answers = [
        encode_batch(number, [encode_result(b"x" * size)], []) for number, size in enumerate(sizes)
    ]
    ids: list[int] = []
    kept = b""
    sent = list(messages(answers))
    for data in sent:
        reply = pb.ExecuteReply.FromString(data)
        kept += reply.fragment.data
        if reply.fragment.is_last:
            reply = pb.ExecuteReply.FromString(kept)
        ids += [one.id for one in reply.replies]
    assert ids == list(range(len(sizes)))
    assert max(map(len, sent)) < GRPC_BYTES_MAX
    assert len(pb.ExecuteReply.FromString(sent[0]).replies) == 3


def request(*commands: list[bytes]) -> bytes:
    batch = pb.Batch(
        id=1, timeout_ms=7, commands=[pb.Command(args=args) for args in commands],
        sessions=[pb.Session(client=1)],
    )  # fmt: skip
    return pb.ExecuteRequest(batches=[batch, batch]).SerializeToString()


def test_commands_and_arguments_are_counted_before_they_are_parsed() -> None:
    few, many = request([b"GET", b"a"]), request([b"MGET", *[b"k"] * 1_000])
    assert count(few, commands_max=2, elements_max=10) == ""
    assert count(few, commands_max=1, elements_max=10) == "a message may hold 1 commands"
    assert count(many, commands_max=2, elements_max=2_002) == ""
    assert "2001 arguments" in count(many, commands_max=2, elements_max=2_001)


@pytest.mark.parametrize(
    "batch",
    [
        b"",  # Batches without anything,
        b"\x3a\x00" * 200_000,  # empty sessions,
        b"\x4a\x00" * 200_000,  # watched keys without a name,
        b"\x08\x01" * 200_000,  # the same number again and again.
    ],
)
def test_whatever_there_are_millions_of_is_refused_before_it_is_looked_at(batch: bytes) -> None:
    data = (b"\x0a" + varint(len(batch)) + batch) * (200_000 if not batch else 1)
    found = ""
    with contextlib.suppress(Malformed):
        found = count(data, commands_max=100, elements_max=10_000)
        assert found, "it is taken for a request"
    assert found in ("", "a message may hold 100 batches, sessions and watched keys")


@given(st.binary(max_size=60))
def test_garbage_is_counted_or_malformed_and_nothing_else(data: bytes) -> None:
    with contextlib.suppress(Malformed):
        count(data, commands_max=10, elements_max=10)


@given(st.integers(0, 400))
def test_a_request_that_was_cut_off_is_malformed(size: int) -> None:
    data = request([b"SET", b"key", b"v" * 300])
    if 0 < size < len(data) // 2:
        with pytest.raises(Malformed):
            count(data[:size], commands_max=10, elements_max=10)
