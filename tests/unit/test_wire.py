"""Messages between nodes as bytes: there and back, golden, and hostile.

Golden bytes are rewritten by `python -m trimaran.tests.unit.test_wire`; a change of them changes
what nodes of two versions say to one another, and belongs with a new PROTOCOL_VERSION.
"""

from __future__ import annotations

from pathlib import Path

import msgpack
import pytest

from trimaran.cluster.slots import META_SHARD, ShardId
from trimaran.node.errors import (
    NoQuorum,
    NotLeader,
    OutcomeUnknown,
    Overloaded,
    SessionUnknown,
    Unavailable,
)
from trimaran.node.raft.types import (
    ZERO,
    AppendEntries,
    AppendReply,
    Entry,
    EntryId,
    EntryKind,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Message,
    NodeId,
    PreVote,
    ReplicaId,
    RequestPreVote,
    RequestVote,
    SnapshotMeta,
    TimeoutNow,
    Vote,
    Voter,
)
from trimaran.node.request import Answer, Done, Forward, NotApplied, Outcome, Unknown
from trimaran.node.wire import (
    PROTOCOL_VERSION,
    WireError,
    join_packed,
    pack_answers,
    pack_forward,
    put_message,
    size_of,
    size_of_answer,
    take_message,
    take_messages,
    unpack_answers,
    unpack_forwards,
    unpack_posts,
)
from trimaran.proto import peer_pb2 as pb
from trimaran.proto.reply import NULL_ARRAY, ErrorReply, MapReply, Status

GOLDEN = Path(__file__).parent / "peers" / "golden" / "batch_3.hex"

POSTS = [[0, 0, b"channel", b"\xff payload"], [1, 2, [[b"name", 3]]], [2], [3, 7], [4, 7]]
ONE, TWO = ReplicaId(1), ReplicaId(2)
BIG = 2**63 + 7
ENTRIES = (
    Entry(7, 41, EntryKind.EMPTY, b""),
    Entry(7, 42, EntryKind.COMMANDS, b"\x00\xff data"),
    Entry(8, 43, EntryKind.VOTERS, b"voters"),
)
CONFLICT = EntryId(5, 31)
VOTERS = (Voter(ONE, NodeId("n1"), BIG), Voter(TWO, NodeId("n2"), 12))
MESSAGES: list[Message] = [
    RequestPreVote(ONE, TWO, 8, EntryId(7, 42)),
    PreVote(ONE, TWO, 8, granted=True),
    PreVote(ONE, TWO, 0, granted=False),
    RequestVote(ONE, TWO, 8, EntryId(7, 42), is_transfer=True),
    Vote(ONE, TWO, 8, granted=False),
    AppendEntries(ONE, TWO, 8, EntryId(7, 40), ENTRIES, 39),
    AppendEntries(ONE, TWO, 1, EntryId(0, 0), (), 0),
    AppendReply(ONE, TWO, 8, is_success=True, match_index=43, rejected_index=0, conflict=ZERO),
    AppendReply(ONE, TWO, 8, is_success=False, match_index=0, rejected_index=40, conflict=CONFLICT),
    Heartbeat(ONE, TWO, 8, commit_index=39, round=BIG, is_urgent=True),
    Heartbeat(ONE, TWO, 0, commit_index=0, round=0, is_urgent=False),
    HeartbeatReply(ONE, TWO, 8, round=17, is_urgent=False),
    InstallSnapshot(ONE, TWO, 8, SnapshotMeta(EntryId(7, 40), VOTERS)),
    TimeoutNow(ONE, TWO, 8),
]  # fmt: skip
LATER: list[Message] = [  # With what the first release did not say.
    Heartbeat(ONE, TWO, 8, 39, 7, is_urgent=False, echo=6, echo_index=38, lease_ns=250_000_000),
    HeartbeatReply(ONE, TWO, 8, round=18, is_urgent=True, lease_ns=249_000_000),
]
FORWARDS = [
    Forward(
        id=BIG,
        shard=ShardId(3),
        db=0,
        user="alice",
        has_write=True,
        session=99,
        sequence=5,
        floor=4,
        timeout_ms=4_750,
        commands=[[b"SET", b"k", b"\x00v"], [b"INCR", b"k"]],
    ),
    Forward(
        id=8,
        shard=META_SHARD,
        db=15,
        user="",
        has_write=False,
        session=0,
        sequence=0,
        floor=0,
        timeout_ms=1,
        commands=[[b"GET", b""]],
    ),
]
OUTCOMES: list[Outcome] = [
    Done([Status("OK"), 1, b"v", None, NULL_ARRAY, [b"a", [2]], ErrorReply("ERR", "no")]),
    Done([MapReply(((b"k", 1),)), 2.5, True]),
    Done([]),
    NotApplied(NotLeader("n2")),
    NotApplied(NotLeader(None)),
    NotApplied(NoQuorum("no majority in time")),
    NotApplied(Overloaded("uncommitted_bytes_max")),
    NotApplied(SessionUnknown()),
    NotApplied(Unavailable("stopping")),
    Unknown(OutcomeUnknown("leadership was lost")),
]


def batch() -> pb.Frame:
    """One of everything."""
    frame = pb.Frame()
    all_ = frame.batch
    all_.version = PROTOCOL_VERSION
    all_.cluster_id = 0xC1
    all_.source_incarnation = 0xA1
    all_.target_incarnation = 0xA2
    all_.nonce = BIG
    all_.wall_ms = 1_700_000_000_123
    all_.epoch = 4
    for number, message in enumerate(MESSAGES):
        put_message(all_.messages.add(), ShardId(number), message)
    all_.forwards = join_packed([pack_forward(forward) for forward in FORWARDS])
    all_.answers = pack_answers([Answer(n, outcome) for n, outcome in enumerate(OUTCOMES)])
    all_.topology = b'{"version":1}'
    all_.posts = join_packed([msgpack.packb(post) for post in POSTS])
    return frame


def described(answer: Answer) -> tuple[object, ...]:
    """Errors compare by identity: by what they say instead."""
    match answer.outcome:
        case Done(replies):
            return answer.id, list(replies)
        case NotApplied(error):
            return answer.id, type(error), str(error), getattr(error, "hint", None)
        case Unknown(error):
            return answer.id, type(error), str(error)


@pytest.mark.parametrize("message", MESSAGES + LATER, ids=lambda message: type(message).__name__)
def test_a_message_there_and_back_is_the_same(message: Message) -> None:
    there = pb.ShardMessage()
    put_message(there, ShardId(5), message)
    back = pb.ShardMessage.FromString(there.SerializeToString())
    assert back.shard == 5
    assert take_message(back) == message


@pytest.mark.parametrize("is_patient", [True, False])
def test_an_entry_says_whether_its_acknowledgement_may_wait(*, is_patient: bool) -> None:
    entry = Entry(1, 2, EntryKind.COMMANDS, b"x")
    there = pb.ShardMessage()
    message = AppendEntries(ONE, TWO, 1, EntryId(1, 1), (entry,), 1, is_patient)
    put_message(there, ShardId(5), message)
    back = take_message(pb.ShardMessage.FromString(there.SerializeToString()))
    assert isinstance(back, AppendEntries)
    assert back.is_patient == is_patient


def test_a_batch_is_the_bytes_it_was_in_the_first_release() -> None:
    assert batch().SerializeToString(deterministic=True) == bytes.fromhex(GOLDEN.read_text())


def test_the_bytes_of_the_first_release_are_understood() -> None:
    frame = pb.Frame.FromString(bytes.fromhex(GOLDEN.read_text()))
    assert frame.batch.version == PROTOCOL_VERSION
    assert take_messages(frame.batch.messages) == list(enumerate(MESSAGES))
    assert unpack_forwards(frame.batch.forwards) == FORWARDS
    answers = unpack_answers(frame.batch.answers)
    expected = [Answer(number, outcome) for number, outcome in enumerate(OUTCOMES)]
    assert [described(one) for one in answers] == [described(one) for one in expected]
    assert unpack_posts(frame.batch.posts) == POSTS


@pytest.mark.parametrize("data", [b"\xc1", b"\x92\x01", b"\x05", b"\x91\x90", b"\x91\x01"])
def test_posts_that_cannot_be_read_are_refused(data: bytes) -> None:
    with pytest.raises(WireError, match="posts"):
        unpack_posts(data)


def test_a_message_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(WireError, match="unknown kind for shard 4"):
        take_message(pb.ShardMessage(shard=4, source=1, target=2, term=3))


def test_an_entry_of_an_unknown_kind_is_refused() -> None:
    message = pb.ShardMessage(shard=4)
    message.append_entries.entries.add(term=1, index=1, kind=99)
    with pytest.raises(WireError, match="kind 99"):
        take_message(message)


@pytest.mark.parametrize("data", [b"\xc1", b"\x91", b"\x05", b"\x91\x93\x01\x02\x03", b"\xff" * 9])
def test_forwards_that_make_no_sense_are_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        unpack_forwards(data)


@pytest.mark.parametrize(
    "data", [b"\xc1", b"\x91", b"\x05", b"\x91\x90", b"\x91\x93\x01\x09\x02", b"\x91\x92\x01\x00"]
)
def test_answers_that_make_no_sense_are_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        unpack_answers(data)


def test_an_error_of_a_newer_version_is_still_not_applied() -> None:
    # [[3, not applied, [kind 77, b"why"]]] with the fields flat, as packed.
    (answer,) = unpack_answers(b"\x91\x94\x03\x01\x4d\xc4\x03why")
    assert isinstance(answer.outcome, NotApplied)
    assert str(answer.outcome.error) == "why"


def test_sizes_are_about_what_is_sent() -> None:
    data = b"x" * 100_000
    append = AppendEntries(ONE, TWO, 1, EntryId(1, 1), (Entry(1, 2, EntryKind.COMMANDS, data),), 1)
    assert 100_000 <= size_of(append) <= 101_000
    answer = Answer(1, Done([[data, data], data]))
    assert 300_000 <= size_of_answer(answer) <= 301_000


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(batch().SerializeToString(deterministic=True).hex() + "\n")
