from __future__ import annotations

import pytest

from trimaran.node.errors import NoQuorum
from trimaran.node.request import NotApplied

from .fakes import Client, Rig, Router


@pytest.fixture
def rig() -> Rig:
    return Rig(Router())


def _written(rig: Rig) -> Client:
    """A client whose write to shard 3 is answered."""
    client = rig.client()
    client.send(b"SET a 1")
    rig.router.answer(b"OK", shard=3)
    assert client.replies() == [b"OK"]
    return client


def test_wait_asks_the_shards_written_to_and_counts_the_fewest_followers(rig: Rig) -> None:
    client = _written(rig)
    client.send(b"SET b 1")
    rig.router.answer(b"OK", shard=0)
    client.send(b"WAIT 1 0")
    assert [request.commands for request in rig.router.requests] == [[[b"_WAIT", b"0"]]] * 2
    rig.router.answer([7, 1, 2], shard=0)
    rig.router.answer([9, 1, 1], shard=3)
    assert client.replies() == [b"OK", 1]


def test_wait_asks_again_for_the_same_index_until_there_are_enough(rig: Rig) -> None:
    client = _written(rig)
    client.send(b"WAIT 2 0", b"PING")
    rig.router.answer([9, 1, 1])
    assert client.replies() == []  # Later commands wait, too.
    rig.pass_time(0.01)
    assert rig.router.requests[0].commands == [[b"_WAIT", b"9"]]
    rig.router.answer([9, 1, 2])
    assert client.replies() == [2, b"PONG"]


def test_wait_answers_what_there_is_when_its_time_is_over(rig: Rig) -> None:
    client = _written(rig)
    client.send(b"WAIT 2 5")
    rig.router.answer([9, 1, 1])
    rig.pass_time(0.006)
    rig.router.answer([9, 1, 1])
    rig.pass_time(0.01)
    if rig.router.requests:
        rig.router.answer([9, 1, 1])
    assert client.replies() == [1]


def test_a_shard_that_does_not_answer_has_it_nowhere_else(rig: Rig) -> None:
    client = _written(rig)
    client.send(b"WAIT 1 1")
    rig.pass_time(0.01)
    rig.router.finish(NotApplied(NoQuorum("late")))
    assert client.replies() == [0]


def test_without_a_write_every_follower_has_all_of_it(rig: Rig) -> None:
    client = rig.client()
    client.send(b"WAIT 5 0", b"WAITAOF 0 0 0")
    assert client.replies() == [2, [1, 2]]


def test_waitaof_tells_the_leaders_disk_and_the_followers(rig: Rig) -> None:
    client = _written(rig)
    client.send(b"WAITAOF 1 1 0")
    rig.router.answer([9, 0, 2])
    assert client.replies() == []
    rig.pass_time(0.01)
    rig.router.answer([9, 1, 2])
    assert client.replies() == [[1, 2]]


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (b"WAIT x 0", "ERR value is not an integer or out of range"),
        (b"WAIT 0 x", "ERR timeout is not an integer or out of range"),
        (b"WAIT 0 -1", "ERR timeout is negative"),
        (b"WAITAOF 2 0 0", "ERR value is out of range, must be between 0 and 1"),
        (b"WAITAOF 0 -1 0", "ERR value is out of range, must be positive"),
    ],
)
def test_bad_arguments_are_refused(rig: Rig, command: bytes, error: str) -> None:
    assert rig.client().ask(command) == error
