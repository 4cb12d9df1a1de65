"""What RESTORE and its kin mean to a door: nothing that cannot be read is put into a log."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any  # Work of any type goes through one thread.

import pytest

from trimaran.node.commands import dumping
from trimaran.node.commands.dumping import LONG_BYTES
from trimaran.node.data.dump import dump, with_footer
from trimaran.node.errors import CommandError

from .fakes import Client, MemoryRouter, Rig, Router

if TYPE_CHECKING:
    from collections.abc import Callable

GOOD = with_footer([b"\0\x01x"])
MALFORMED = with_footer([b"\x02\0" + b"x" * 1000])
TEXT = Random(1).randbytes(LONG_BYTES)  # It cannot be compressed.
LONG = dump(TEXT)
LONG_MALFORMED = with_footer([b"\x02\0" + b"x" * LONG_BYTES])


def _restore(payload: bytes) -> list[bytes]:
    return [b"restore", b"k", b"0", payload]


def test_a_payload_goes_on_only_if_it_can_be_read() -> None:
    rig = Rig(Router())
    rig.client().send([b"SELECT", b"1"], _restore(GOOD))
    assert list(rig.router.take().commands[0]) == [b"RESTORE", b"k", b"0", GOOD]
    rig.client().send([b"SELECT", b"1"], _restore(MALFORMED))
    assert MALFORMED not in rig.router.take().commands[0]


def test_so_it_is_in_a_transaction() -> None:
    rig = Rig(Router())
    rig.client().send(*(b"SELECT 1", b"MULTI"), _restore(MALFORMED), _restore(GOOD), b"EXEC")
    packed = rig.router.take().commands[0][1]
    assert GOOD in packed
    assert MALFORMED not in packed


def test_the_answer_is_the_same_as_if_it_had() -> None:
    client = Rig(MemoryRouter()).client()
    client.send(b"SELECT 1", _restore(MALFORMED), _restore(b"x" * 100), b"SET k 1")
    client.send(_restore(MALFORMED), b"DEL k", _restore(GOOD), b"GET k", b"DUMP k")
    assert client.replies() == [
        *(b"OK", "ERR Bad data format", "ERR DUMP payload version or checksum are wrong", b"OK"),
        *("BUSYKEY Target key name already exists.", 1, b"OK", b"x", GOOD),
    ]


class Thread:
    """Does what a door gives it when the test says so."""

    def __init__(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        self._jobs: list[tuple[Callable[[], Any], Callable[[Any], None]]] = []
        monkeypatch.setattr(rig.door, "run_aside", self._keep)

    def _keep(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        self._jobs.append((work, done))

    def work(self) -> None:
        work, done = self._jobs.pop()
        done(work())


def beside(monkeypatch: pytest.MonkeyPatch) -> tuple[Rig, Client, Thread]:
    rig = Rig(MemoryRouter())
    client = rig.client()
    client.ask(b"SELECT 1")
    return rig, client, Thread(rig, monkeypatch)


def test_a_long_payload_is_read_beside_the_loop_and_only_its_own_connection_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig, client, thread = beside(monkeypatch)
    client.send(b"SET k 1", _restore(LONG), [*_restore(LONG), b"REPLACE"], b"GET k")
    client.send(b"STRLEN k")
    assert client.replies() == [b"OK"]
    assert rig.client().ask(b"SELECT 1", b"GET k") == b"1"
    thread.work()
    assert client.replies() == ["BUSYKEY Target key name already exists."]
    thread.work()
    assert client.replies() == [b"OK", TEXT, LONG_BYTES]


def test_a_long_payload_that_cannot_be_read_is_answered_as_a_short_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, client, thread = beside(monkeypatch)
    client.send(_restore(LONG_MALFORMED), b"GET k")
    thread.work()
    assert client.replies() == ["ERR Bad data format", None]


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        (CommandError("the value is too much"), "ERR the value is too much"),
        (ZeroDivisionError(), "ERR internal error: the node's log tells more"),
    ],
)
def test_a_fault_met_beside_the_loop_is_told_to_who_sent_it(
    monkeypatch: pytest.MonkeyPatch, fault: Exception, answer: str
) -> None:
    def fail(*_: object) -> object:
        raise fault

    _, client, thread = beside(monkeypatch)
    monkeypatch.setattr(dumping, "restore", fail)
    client.send(_restore(LONG), b"GET k")
    thread.work()
    assert client.replies() == [answer, None]


def test_a_client_that_left_meanwhile_has_nothing_restored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig, client, thread = beside(monkeypatch)
    client.send(_restore(LONG))
    client.connection.connection_lost(None)
    thread.work()
    client.turn()
    assert rig.client().ask(b"SELECT 1", b"EXISTS k") == 0


def test_migrate_names_the_way_out() -> None:
    client = Rig(MemoryRouter()).client()
    answer = client.ask([b"MIGRATE", b"host", b"6379", b"k", b"0", b"1000"])
    assert answer.startswith("ERR MIGRATE is not supported")
    assert "RESTORE" in answer
    assert client.ask(b"COMMAND GETKEYS MIGRATE h 1 k 0 5") == [b"k"]
    words = [b"COMMAND", b"GETKEYS", b"MIGRATE", b"h", b"1", b"", b"0", b"5", b"KEYS", b"a", b"b"]
    assert client.ask(words) == [b"a", b"b"]


def test_the_self_test_of_counting_is_answered_here() -> None:
    assert Rig(MemoryRouter()).client().ask(b"PFSELFTEST") == b"OK"
