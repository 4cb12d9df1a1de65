"""WATCH: EXEC does nothing if what is watched was changed since, whoever changed it, and how."""

from __future__ import annotations

import pytest

from trimaran.node.errors import NotLeader, OutcomeUnknown
from trimaran.node.request import NotApplied, Unknown

from .fakes import Client, MemoryRouter, Rig, Router
from .test_order import key_on

QUEUED = b"QUEUED"


@pytest.fixture
def rig() -> Rig:
    return Rig(MemoryRouter())


def _watching(rig: Rig, *before: bytes) -> tuple[Client, Client]:
    """A client in database 1 that watches `a`, and another one."""
    client, other = rig.client(), rig.client()
    other.ask(b"SELECT 1")
    for command in before:
        other.ask(command)
    assert client.ask(b"SELECT 1", b"WATCH a") == b"OK"
    return client, other


@pytest.mark.parametrize(
    ("before", "change"),
    [
        ([], b"SET a 2"),
        ([b"SET a 1"], b"SET a 1"),  # Also to the same value.
        ([b"SET a 1"], b"DEL a"),
        ([b"SET a 1"], b"APPEND a x"),
        ([b"SET a 1"], b"EXPIRE a 100"),
        ([b"SET a 1 EX 100"], b"PERSIST a"),
        ([b"SET a 1"], b"RENAME a b"),
        ([b"SET b 1"], b"RENAME b a"),
        ([b"SET a 1"], b"FLUSHDB"),
        ([b"SET a 1"], b"FLUSHALL"),
        ([b"RPUSH a 1"], b"RPUSH a 2"),
    ],
)
def test_a_change_of_a_watched_key_aborts(rig: Rig, before: list[bytes], change: bytes) -> None:
    client, other = _watching(rig, *before)
    other.ask(change)
    assert client.ask(b"MULTI", b"SET c mine", b"EXEC") is None
    assert other.ask(b"GET c") is None


@pytest.mark.parametrize(
    ("before", "change"),
    [
        ([], b"SET b 2"),
        ([b"SET a 1"], b"GET a"),
        ([b"SET a 1"], b"SETNX a 2"),
        ([b"SET a 1"], b"INCRBYFLOAT b 2"),
        ([b"SET a x"], b"INCR a"),  # It fails.
        ([], b"DEL a"),
        ([], b"FLUSHDB"),  # It was not there.
        ([b"SET a 1"], b"PERSIST a"),
    ],
)
def test_what_changes_nothing_of_it_does_not_abort(
    rig: Rig, before: list[bytes], change: bytes
) -> None:
    client, other = _watching(rig, *before)
    other.ask(change)
    assert client.ask(b"MULTI", b"SET c mine", b"EXEC") == [b"OK"]


def test_a_change_before_the_watch_counts_not_and_one_of_its_own_does(rig: Rig) -> None:
    client = rig.client()
    client.ask(b"SELECT 1", b"SET a 1", b"WATCH a")
    assert client.ask(b"MULTI", b"INCR a", b"EXEC") == [2]
    client.ask(b"WATCH a", b"SET a 5")
    assert client.ask(b"MULTI", b"INCR a", b"EXEC") is None


@pytest.mark.parametrize(
    "words", [[b"UNWATCH"], [b"MULTI", b"DISCARD"], [b"MULTI", b"EXEC"], [b"RESET", b"SELECT 1"]]
)
def test_what_was_watched_is_forgotten(rig: Rig, words: list[bytes]) -> None:
    client, other = _watching(rig)
    client.ask(*words)
    other.ask(b"SET a 2")
    assert client.ask(b"MULTI", b"SET b 1", b"EXEC") == [b"OK"]


def test_several_watches_count_together(rig: Rig) -> None:
    client, other = _watching(rig)
    client.ask(b"WATCH b c")
    other.ask(b"SET a 2")
    assert client.ask(b"MULTI", b"PING", b"EXEC") is None


def test_a_transaction_without_data_is_aborted_too(rig: Rig) -> None:
    client, other = _watching(rig)
    other.ask(b"SET a 2")
    assert client.ask(b"MULTI", b"EXEC") is None


def test_what_the_door_answers_is_not_done_if_exec_aborts(rig: Rig) -> None:
    client, other = _watching(rig)
    other.ask(b"SET a 2", b"SET x there")
    client.send(b"MULTI", b"SELECT 2", b"EXEC", b"GET x")
    assert client.replies() == [b"OK", QUEUED, None, b"there"]


def test_what_the_door_answers_counts_for_later_commands(rig: Rig) -> None:
    client, _ = _watching(rig)
    client.send(b"MULTI", b"SET a 1", b"SELECT 2", b"EXEC", b"GET a")
    assert client.replies() == [b"OK", QUEUED, QUEUED, [b"OK", b"OK"], None]


def test_watch_inside_multi_is_refused_and_the_transaction_goes_on(rig: Rig) -> None:
    client = rig.client()
    client.ask(b"SELECT 1")
    client.send(b"MULTI", b"WATCH a", b"SET a 1", b"EXEC")
    refused = "ERR WATCH inside MULTI is not allowed"
    assert client.replies() == [b"OK", refused, QUEUED, [b"OK"]]


def test_keys_of_several_shards_cannot_be_watched_together(rig: Rig) -> None:
    client = rig.client()
    assert client.ask([b"WATCH", key_on(0), key_on(1)]).startswith("CROSSSLOT ")
    assert client.ask([b"WATCH", key_on(0)]) == b"OK"
    assert client.ask([b"WATCH", key_on(1)]).startswith("CROSSSLOT ")
    client.ask(b"MULTI")
    assert client.ask([b"SET", key_on(1), b"x"]).startswith("CROSSSLOT ")
    assert client.ask(b"EXEC").startswith("EXECABORT ")


def test_the_cluster_door_watches_what_it_leads() -> None:
    router = MemoryRouter()
    router.leaders = {0: "n1", 1: "n1", 2: "n2", 3: "n3"}
    client = Rig(router, is_cluster=True).client()
    assert client.ask([b"WATCH", key_on(2)]).startswith("MOVED ")
    assert client.ask([b"WATCH", key_on(0)]) == b"OK"
    client.ask(b"MULTI")
    assert client.ask([b"SET", key_on(0), b"x"]) == QUEUED
    assert client.ask(b"EXEC") == [b"OK"]


@pytest.mark.parametrize(
    "outcome",
    [NotApplied(NotLeader(None)), Unknown(OutcomeUnknown("no majority answered in time"))],
)
def test_a_watch_that_is_not_registered_is_an_error(outcome: NotApplied | Unknown) -> None:
    rig = Rig(Router())
    client = rig.client()
    client.send(b"SELECT 1", b"WATCH a", b"MULTI", b"SET a 1", b"EXEC")
    client.turn()
    rig.router.finish(outcome)
    client.turn()
    rig.router.answer([b"OK"])
    replies = client.replies()
    assert replies[1].startswith("CLUSTERDOWN ")
    assert replies[-1] == [b"OK"]


def test_a_publication_of_a_transaction_goes_with_it_to_the_shard(rig: Rig) -> None:
    client = rig.client()
    client.ask(b"SELECT 1")
    client.send(b"MULTI", b"SET a 1", b"PUBLISH c x", b"GET a", b"EXEC")
    assert client.replies()[-1] == [b"OK", 0, b"1"]
    listener = rig.client()
    listener.ask(b"SUBSCRIBE c")
    client.send(b"MULTI", b"PUBLISH c alone", b"EXEC")  # No shard has a part in it.
    assert client.replies()[-1] == [1]
    assert listener.replies() == [[b"message", b"c", b"alone"]]
