"""Commands that wait: what they wait for, and how waits are sent again, ended and counted."""

from __future__ import annotations

from math import inf
from random import Random

import pytest

from trimaran.client.blocking import Wait, wait_of
from trimaran.client.router import Router, RouterConfig
from trimaran.client.topology import NodeView, ShardView, TopologyView
from trimaran.proto import commands_pb2 as pb
from trimaran.proto.execute import encode_batch, encode_result
from trimaran.proto.reply import NULL_ARRAY
from trimaran.proto.requests import read_replies

from .rig import NODES, Outcome


def wait(text: bytes) -> Wait:
    found = wait_of(text.split())
    assert found is not None
    return found


def words_of(command: bytes) -> list[bytes]:
    return list(pb.Batch.FromString(command).commands[0].args)


@pytest.mark.parametrize(
    ("text", "seconds", "key", "takes"),
    [
        (b"blpop a b 1.5", 1.5, b"a", True),
        (b"BRPOP a 0", inf, b"a", True),
        (b"BLMOVE a b LEFT RIGHT 2", 2.0, b"a", True),
        (b"BRPOPLPUSH a b 2", 2.0, b"a", True),
        (b"BLMPOP 3 2 a b LEFT COUNT 2", 3.0, b"a", True),
        (b"BZPOPMIN a 4", 4.0, b"a", True),
        (b"BZMPOP 0 1 a MIN", inf, b"a", True),
        (b"XREAD BLOCK 1500 COUNT 2 STREAMS s t 0 $", 1.5, b"s", False),
        (b"xreadgroup group g c noack block 0 streams s >", inf, b"s", True),
    ],
)
def test_what_waits_for_how_long(text: bytes, seconds: float, key: bytes, *, takes: bool) -> None:
    found = wait(text)
    assert (found.seconds, found.key, found.takes) == (seconds, key, takes)


@pytest.mark.parametrize(
    "text",
    [
        b"BLPOP a",
        b"BLPOP a soon",
        b"BLPOP a -1",
        b"BLPOP a inf",
        b"BLMPOP 0 3 a LEFT",
        b"BLMPOP 0 x a LEFT",
        b"XREAD STREAMS s 0",
        b"XREAD BLOCK 0 STREAMS s t 0",
        b"XREAD BLOCK x STREAMS s 0",
        b"XREAD BLOCK",
        b"XREADGROUP GROUP g c BLOCK 0 STREAMS s 0",
        b"XREADGROUP GROUP g c BLOCK 0 STREAMS s t > 5",
    ],
)
def test_what_does_not_wait_or_is_wrong_is_left_to_a_node(text: bytes) -> None:
    assert wait_of(text.split()) is None


@pytest.mark.parametrize(
    ("text", "key", "narrowed"),
    [
        (b"BLPOP a b c 1", b"b", b"BLPOP b 1"),
        (b"BZPOPMAX a b 0", b"b", b"BZPOPMAX b 0"),
        (b"BLMOVE a b LEFT RIGHT 2", b"a", b"BLMOVE a b LEFT RIGHT 2"),
        (b"BRPOPLPUSH a b 2", b"a", b"BRPOPLPUSH a b 2"),
        (b"BLMPOP 3 2 a b LEFT COUNT 2", b"b", b"BLMPOP 3 1 b LEFT COUNT 2"),
        (
            b"XREADGROUP GROUP g c COUNT 1 BLOCK 9 STREAMS s t > >",
            b"t",
            b"XREADGROUP GROUP g c COUNT 1 BLOCK 9 STREAMS t >",
        ),
    ],
)
def test_a_turn_is_taken_on_its_key_alone(text: bytes, key: bytes, narrowed: bytes) -> None:
    assert wait(text).narrowed(key) == narrowed.split()


@pytest.mark.parametrize(
    ("text", "seconds", "sent"),
    [
        (b"BLPOP a b 5", 1.2345, b"BLPOP a b 1.234"),
        (b"BLPOP a 5", 0.0, b"BLPOP a 0.001"),  # 0 would be for ever.
        (b"BLPOP a 0", inf, b"BLPOP a 0"),
        (b"BLMPOP 9 1 a LEFT", 2.0, b"BLMPOP 2.000 1 a LEFT"),
        (b"XREAD BLOCK 9000 STREAMS s 0", 0.0001, b"XREAD BLOCK 1 STREAMS s 0"),
        (b"XREAD BLOCK 0 STREAMS s 0", inf, b"XREAD BLOCK 0 STREAMS s 0"),
    ],
)
def test_it_is_sent_with_what_is_left_of_its_time(text: bytes, seconds: float, sent: bytes) -> None:
    assert words_of(wait(text).for_seconds(seconds)) == sent.split()


def test_what_is_added_from_now_on_is_given_a_place() -> None:
    found = wait(b"XREAD BLOCK 0 STREAMS s t u $ 5 $")
    assert [found.words[at] for at in found.open_places] == [b"$", b"$"]
    closed = found.closed(dict.fromkeys(found.open_places, b"7-0"))
    assert closed.words[-3:] == (b"7-0", b"5", b"7-0")


# --- On their way.


class Way:
    """A router, what it sends to nodes and what it says to them."""

    def __init__(self) -> None:
        self.now = 100.0
        self.sent: list[tuple[str, pb.Batch]] = []
        self.said: list[tuple[str, list[int]]] = []
        self.router = Router(
            RouterConfig(timeout_s=10.0),
            now=lambda: self.now,
            rng=Random(1),
            send=self._send,
            wake_at=lambda _: None,
            say=self._say,
        )
        self.lead("n1")

    def _send(self, node: str, number: int, data: bytes) -> None:
        (batch,) = pb.ExecuteRequest.FromString(data).batches
        assert batch.id == number
        self.sent.append((node, batch))

    def _say(self, node: str, data: bytes) -> None:
        self.said.append((node, list(pb.ExecuteRequest.FromString(data).cancel)))

    def lead(self, node: str) -> None:
        nodes = {name: NodeView(name, f"{name}:1", "", is_reachable=True) for name in NODES}
        self.router.changed(TopologyView("n1", "0", 1, nodes, (ShardView(NODES, node, 1),)))

    def wait(self, text: bytes) -> tuple[Outcome, object]:
        what = wait(text)
        batch = self.router.batch(
            0, 0, is_write=False, wait=what.for_seconds, wait_s=what.seconds, asks_for_turn=True
        )
        outcome = Outcome()
        batch.add(what.for_seconds(what.seconds), outcome)
        self.router.submit(batch)
        return outcome, batch

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.router.tick()

    def answer(self, batch: pb.Batch, node: str = "n1") -> None:
        data = encode_batch(batch.id, [encode_result(NULL_ARRAY)], [])
        for answer in read_replies(data):
            self.router.answered(node, answer)


def test_a_wait_goes_on_at_the_next_leader_for_what_is_left_of_its_time() -> None:
    way = Way()
    outcome, _ = way.wait(b"BLPOP a 5")
    way.pass_time(2.0)
    way.router.broken("n1", (), 1.0)
    way.lead("n2")
    way.pass_time(1.0)
    (first, asked), (second, again) = way.sent
    assert (first, second) == ("n1", "n2")
    assert asked.asks_for_turn
    assert again.asks_for_turn
    assert list(asked.commands[0].args) == [b"BLPOP", b"a", b"5.000"]
    assert 1.9 < float(again.commands[0].args[2]) <= 3.0
    assert not again.sessions
    assert not outcome.done()
    way.answer(again, "n2")
    assert outcome.result is not None


def test_a_wait_for_ever_is_not_given_up_and_one_with_an_end_is() -> None:
    way = Way()
    for_ever, _ = way.wait(b"BLPOP a 0")
    ending, _ = way.wait(b"BLPOP b 5")
    way.pass_time(14.0)
    assert not ending.done()
    way.pass_time(2.0)  # Its own time, and the client's.
    assert ending.error is not None
    way.pass_time(1e6)
    assert not for_ever.done()


def test_two_waits_of_one_command_are_not_left_behind() -> None:
    way = Way()
    outcome, _ = way.wait(b"BLPOP a 0")
    way.lead("n2")  # The first node may still lead: both are asked.
    (_, first), (_, second) = way.sent
    way.answer(second, "n2")
    assert outcome.done()
    assert way.said == [("n1", [first.id])]


def test_a_leader_of_before_that_says_nothing_was_there_is_not_heard() -> None:
    """It need not have asked its log, and the try at the next leader may take something."""
    way = Way()
    outcome = Outcome()
    batch = way.router.batch(0, 0, is_write=True, turn=1, is_behind_others=True)
    batch.add(wait(b"BLPOP a 0").for_seconds(1.0), outcome)
    way.router.submit(batch)
    way.lead("n2")
    (_, first), (_, second) = way.sent
    assert first.is_behind_others
    assert not second.is_behind_others
    assert (first.turn, second.turn) == (1, 1)
    assert first.sessions[0].sequence == second.sessions[0].sequence
    way.answer(first, "n1")
    assert not outcome.done()
    way.answer(second, "n2")
    assert outcome.done()


def test_who_gives_up_frees_the_place_and_the_turn_it_was_told_of() -> None:
    way = Way()
    outcome, batch = way.wait(b"BLPOP a 0")
    way.router.give_up(batch)  # type: ignore[arg-type]  # A Batch.
    assert way.said == [("n1", [way.sent[0][1].id])]
    assert not outcome.done()
    assert not way.router.pending
    _, told = way.wait(b"BLPOP a 0")
    way.answer(way.sent[1][1])
    way.router.give_up(told)  # type: ignore[arg-type]  # A Batch.
    assert way.said[1:] == [("n1", [way.sent[1][1].id])]


def test_a_node_where_something_waits_is_not_taken_for_silent() -> None:
    way = Way()
    way.wait(b"BLPOP a 0")
    way.pass_time(60.0)
    assert way.router.owing(way.now - 1) == set()
    way.router.call(0, 0, b"", Outcome(), is_write=False)
    way.router.flush()
    assert way.router.owing(way.now - 1) == set()  # It was asked just now.
    way.pass_time(2.0)
    assert way.router.owing(way.now - 1) == {"n1"}


def test_what_goes_to_no_shard_in_particular_goes_to_one_node_as_long_as_it_can_be_reached() -> (
    None
):
    way = Way()
    for _ in range(5):
        way.router.call(-1, 0, b"", Outcome(), is_write=True)
        way.router.flush()
    assert len({node for node, _ in way.sent}) == 1
    way.router.broken(way.sent[0][0], (), 1.0)
    way.router.call(-1, 0, b"", Outcome(), is_write=True)
    way.router.flush()
    assert way.sent[-1][0] != way.sent[0][0]
