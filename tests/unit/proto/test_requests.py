"""What clients write and read by hand, against the generated code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.proto import commands_pb2 as pb
from trimaran.proto.execute import Malformed, cut, encode_batch, encode_outcome, encode_result
from trimaran.proto.reply import OK
from trimaran.proto.requests import (
    NOT_APPLIED,
    REPLY,
    UNKNOWN,
    Assembly,
    Reason,
    SessionField,
    encode_command,
    encode_request,
    encode_watched,
    outcome_of,
    read_replies,
    refusal_of,
    unknown_text_of,
)

numbers = st.integers(0, (1 << 64) - 1)
small = st.integers(0, (1 << 32) - 1)


@given(
    number=numbers,
    database=st.integers(0, 15),
    commands=st.lists(st.lists(st.binary(max_size=300), min_size=1, max_size=4), max_size=4),
    timeout_ms=small,
    flags=st.tuples(st.booleans(), st.booleans()),
    stale_ms=small,
    watched=st.lists(st.tuples(st.binary(max_size=200), numbers), max_size=3),
)
def test_a_request_is_what_the_generated_code_reads(
    number: int,
    database: int,
    commands: list[list[bytes]],
    timeout_ms: int,
    flags: tuple[bool, bool],
    stale_ms: int,
    watched: list[tuple[bytes, int]],
) -> None:
    data = encode_request(
        number,
        database,
        [encode_command(args) for args in commands],
        timeout_ms=timeout_ms,
        is_leader_only=flags[0],
        is_atomic=flags[1],
        stale_ms=stale_ms,
        watched=[encode_watched(key, index) for key, index in watched],
    )
    (batch,) = pb.ExecuteRequest.FromString(data).batches
    assert (batch.id, batch.database, batch.timeout_ms) == (number, database, timeout_ms)
    assert [list(one.args) for one in batch.commands] == commands
    assert (batch.is_leader_only, batch.is_atomic, batch.stale_ms) == (*flags, stale_ms)
    assert [(one.key, one.index) for one in batch.watched] == watched


@given(shard=small, sequence=numbers, floor=numbers, timeout_ms=small, client=numbers, age_ms=small)
def test_a_session_that_is_opened_says_who_opens_it(
    shard: int, sequence: int, floor: int, timeout_ms: int, client: int, age_ms: int
) -> None:
    field = SessionField(shard, 0, sequence, floor, timeout_ms, client, age_ms).encode()
    data = encode_request(1, 0, [], timeout_ms=1, session=field)
    (session,) = pb.ExecuteRequest.FromString(data).batches[0].sessions
    assert (session.shard, session.id, session.sequence) == (shard, 0, sequence)
    assert (session.floor, session.timeout_ms) == (floor, timeout_ms)
    assert (session.client, session.age_ms) == (client, age_ms)


def test_an_open_session_is_named_by_its_id() -> None:
    field = SessionField(3, 1 << 50, 7, 5, 600, 9, 4).encode()
    data = encode_request(1, 0, [], timeout_ms=1, session=field)
    (session,) = pb.ExecuteRequest.FromString(data).batches[0].sessions
    assert (session.shard, session.id, session.sequence, session.floor) == (3, 1 << 50, 7, 5)
    assert not session.client


def test_replies_are_read_as_they_were_written() -> None:
    refused = pb.Result(
        not_applied=pb.NotApplied(reason=pb.NotApplied.NOT_LEADER, text="no", leader="n2")
    )
    unknown = pb.Result(unknown=pb.OutcomeUnknown(text="?" * 300))
    long = encode_result(b"x" * 5000)
    data = encode_batch(
        1 << 40, [encode_result(OK), encode_outcome(refused), encode_outcome(unknown)], [(3, 77)]
    ) + encode_batch(2, [long], [])
    first, second = read_replies(data)
    assert (first.id, first.opened) == (1 << 40, [(3, 77)])
    assert [result[0] for result in first.results] == [REPLY, NOT_APPLIED, UNKNOWN]
    refusal = refusal_of(first.results[1])
    assert (refusal.reason, refusal.text, refusal.leader) == (Reason.NOT_LEADER, "no", "n2")
    assert unknown_text_of(first.results[2]) == "?" * 300
    value = pb.Value.FromString(outcome_of(second.results[0]))
    assert value.bulk == b"x" * 5000


def test_a_reason_of_a_later_version_is_no_reason() -> None:
    (result,) = pb.BatchReply.FromString(
        encode_outcome(pb.Result(not_applied=pb.NotApplied(reason=99)))  # type: ignore[arg-type]
    ).results
    assert refusal_of(result.SerializeToString()).reason is Reason.UNSPECIFIED


@given(st.binary(max_size=60))
def test_bytes_that_are_no_reply_are_said_to_be_malformed_or_read(data: bytes) -> None:
    try:
        list(read_replies(data))
    except Malformed:
        return


@pytest.mark.parametrize("size", [10, 3 << 20])
def test_pieces_are_put_together(size: int) -> None:
    whole = encode_batch(1, [encode_result(b"x" * size)], [])
    assembly = Assembly(1 << 30)
    taken = [assembly.take(piece) for piece in cut(whole)]
    assert taken[-1] == whole
    assert all(one is None for one in taken[:-1])
    assert len(taken) == (1 if size == 10 else 4)


def test_pieces_that_go_over_the_limit_are_refused() -> None:
    whole = encode_batch(1, [encode_result(b"x" * (3 << 20))], [])
    assembly = Assembly(2 << 20)
    *pieces, last = cut(whole)
    for piece in pieces[:2]:
        assembly.take(piece)
    with pytest.raises(Malformed, match="larger than"):
        assembly.take(pieces[2])
    assert last
