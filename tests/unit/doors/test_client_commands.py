"""CLIENT KILL, PAUSE and REPLY, MONITOR: what one client does to itself and to others."""

from __future__ import annotations

import pytest

from .fakes import MemoryRouter, Rig, Router


@pytest.fixture
def rig() -> Rig:
    return Rig(MemoryRouter())


# --- KILL


def test_kill_by_address_ends_that_connection(rig: Rig) -> None:
    client, other = rig.client(), rig.client()
    other.connection.address = "10.0.0.1:99"
    assert client.ask(b"CLIENT KILL 10.0.0.1:99") == b"OK"
    assert other.transport.is_aborted
    assert client.ask(b"CLIENT KILL 10.0.0.2:99") == "ERR No such client"


def test_kill_by_filters_tells_how_many(rig: Rig) -> None:
    client, other, third = rig.client(), rig.client(), rig.client()
    assert client.ask(b"CLIENT KILL ID %d" % other.connection.id) == 1
    assert other.transport.is_aborted
    assert client.ask(b"CLIENT KILL TYPE pubsub") == 0
    assert client.ask(b"CLIENT KILL USER default TYPE normal") == 2  # Not yet gone, the other one.
    assert third.transport.is_aborted
    assert not client.transport.is_closed


def test_kill_answers_before_it_ends_its_own_client(rig: Rig) -> None:
    client = rig.client()
    client.send(b"CLIENT KILL ID %d SKIPME no" % client.connection.id, b"PING")
    assert client.replies() == [1]
    assert client.transport.is_closed


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (b"CLIENT KILL ID x", "ERR client-id should be greater than 0"),
        (b"CLIENT KILL ID 0", "ERR client-id should be greater than 0"),
        (b"CLIENT KILL TYPE x", "ERR Unknown client type 'x'"),
        (b"CLIENT KILL USER x", "ERR No such user 'x'"),
        (b"CLIENT KILL SKIPME maybe", "ERR syntax error"),
        (b"CLIENT KILL ID 3 ADDR", "ERR syntax error"),
        (b"CLIENT PAUSE x", "ERR timeout is not an integer or out of range"),
        (b"CLIENT PAUSE -1", "ERR timeout is negative"),
        (b"CLIENT PAUSE 1 x", "ERR CLIENT PAUSE mode must be WRITE or ALL"),
        (b"CLIENT REPLY x", "ERR syntax error"),
    ],
)
def test_bad_arguments_are_refused_as_redis_does(rig: Rig, command: bytes, error: str) -> None:
    assert rig.client().ask(command) == error


# --- PAUSE


def test_pause_holds_every_command_until_its_time_is_over(rig: Rig) -> None:
    client, other = rig.client(), rig.client()
    assert client.ask(b"CLIENT PAUSE 1000") == b"OK"
    other.send(b"PING", b"SET a 1")
    rig.pass_time(0.9)
    assert other.replies() == []
    rig.pass_time(0.2)
    assert other.replies() == [b"PONG", b"OK"]


def test_pause_of_writes_lets_reads_through(rig: Rig) -> None:
    client = rig.client()
    client.send(b"CLIENT PAUSE 1000 WRITE", b"GET a", b"SET a 1", b"GET a")
    assert client.replies() == [b"OK", None]  # The last one is behind a write that waits.
    other = rig.client()
    assert other.ask(b"CLIENT UNPAUSE") == b"OK"
    assert client.replies() == [b"OK", b"1"]


def test_a_second_pause_only_makes_it_longer(rig: Rig) -> None:
    client, other = rig.client(), rig.client()
    client.send(b"CLIENT PAUSE 2000 WRITE", b"CLIENT PAUSE 500 WRITE")
    other.send(b"SET a 1")
    rig.pass_time(1.9)
    assert other.replies() == []
    rig.pass_time(0.2)
    assert other.replies() == [b"OK"]


def test_a_client_that_leaves_while_paused_is_forgotten(rig: Rig) -> None:
    client, other = rig.client(), rig.client()
    client.ask(b"CLIENT PAUSE 1000")
    other.send(b"SET a 1")
    other.connection.connection_lost(None)
    rig.pass_time(2)
    assert rig.client().ask(b"GET a") is None


# --- REPLY


def test_reply_off_silences_until_on(rig: Rig) -> None:
    client = rig.client()
    client.send(b"CLIENT REPLY OFF", b"SET a 1", b"NOSUCH", b"CLIENT REPLY ON", b"GET a")
    assert client.replies() == [b"OK", b"1"]


def test_reply_skip_silences_the_next_command_only(rig: Rig) -> None:
    client = rig.client()
    client.send(b"CLIENT REPLY SKIP", b"SET a 1", b"GET a")
    assert client.replies() == [b"1"]


def test_a_silent_reply_that_comes_late_keeps_the_order() -> None:
    rig = Rig(Router())
    client = rig.client()
    client.send(b"CLIENT REPLY SKIP", b"SET a 1", b"PING")
    assert client.replies() == []
    rig.router.answer(b"OK")
    assert client.replies() == [b"PONG"]


# --- MONITOR


def test_a_monitor_is_shown_what_others_send_but_no_secrets(rig: Rig) -> None:
    watcher, client = rig.client(), rig.client()
    assert watcher.ask(b"MONITOR") == b"OK"
    client.send([b"SET", b"a b", b'"\\\n\x00\xff'], b"AUTH default secret", b"CONFIG GET x")
    lines = [line.decode() for line in watcher.replies()]
    address = client.connection.address
    assert lines[0] == (f'1700000000.000001 [0 {address}] "SET" "a b" "\\"\\\\\\n\\x00\\xff"')
    assert lines[1] == f'1700000000.000001 [0 {address}] "AUTH"'


def test_a_transaction_is_shown_when_it_is_carried_out(rig: Rig) -> None:
    watcher, client = rig.client(), rig.client()
    watcher.ask(b"MONITOR")
    client.send(b"MULTI", b"SET a 1")
    assert [line.split()[-1] for line in watcher.replies()] == [b'"MULTI"']
    client.send(b"EXEC")
    assert [line.split()[3] for line in watcher.replies()] == [b'"SET"', b'"EXEC"']


def test_reset_ends_monitoring(rig: Rig) -> None:
    watcher, client = rig.client(), rig.client()
    watcher.ask(b"MONITOR")
    watcher.replies()
    watcher.send(b"RESET")
    assert watcher.replies()[-1] == b"RESET"
    client.ask(b"PING")
    assert watcher.replies() == []
