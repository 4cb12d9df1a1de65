"""CLIENT KILL, PAUSE and REPLY, MONITOR: what one client does to itself and to others."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING

import pytest

from .fakes import MemoryRouter, Rig, Router

if TYPE_CHECKING:
    from trimaran.node.doors.connection import Connection


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


def test_what_waited_longer_than_a_command_may_take_is_carried_out_all_the_same() -> None:
    rig = Rig(Router())
    client, other = rig.client(), rig.client()
    client.ask(b"CLIENT PAUSE 60000")
    other.send(b"SET a 1")
    rig.pass_time(61)
    other.turn()
    assert rig.router.take().deadline_ns > rig.router.time_ns


def test_a_pause_ends_though_its_timer_comes_a_little_early(rig: Rig) -> None:
    client, other = rig.client(), rig.client()
    client.ask(b"CLIENT PAUSE 10")
    other.send(b"PING")
    rig.pass_time(0.01, early_ns=400_000)
    rig.pass_time(0.001)
    assert other.replies() == [b"PONG"]


def test_timers_of_pauses_and_clients_that_left_do_not_pile_up(rig: Rig) -> None:
    client = rig.client()
    for _ in range(100):
        client.send(b"CLIENT PAUSE 1000000000 WRITE", b"CLIENT UNPAUSE")
    rig.pass_time(1.1)
    assert rig.timers == 0
    client.ask(b"CLIENT PAUSE 1000000000 WRITE")
    for _ in range(100):
        client.send(b"CLIENT PAUSE 1000000000 WRITE")
    assert rig.timers == 1
    kept = weakref.ref(_left_while_paused(rig))
    gc.collect()
    assert kept() is None


def _left_while_paused(rig: Rig) -> Connection:
    other = rig.client()
    other.send(b"SET a 1")
    other.turn()
    other.connection.connection_lost(None)
    return other.connection


# --- REPLY


def test_reply_off_silences_until_on(rig: Rig) -> None:
    client = rig.client()
    client.send(b"CLIENT REPLY OFF", b"SET a 1", b"NOSUCH", b"CLIENT REPLY ON", b"GET a")
    assert client.replies() == [b"OK", b"1"]


def test_reply_skip_silences_the_next_command_only(rig: Rig) -> None:
    client = rig.client()
    client.send(b"CLIENT REPLY SKIP", b"SET a 1", b"GET a")
    assert client.replies() == [b"1"]


@pytest.mark.parametrize(
    ("lines", "replies"),
    [
        # Where all are off, there is none to skip, and the error of a wrong word is off too.
        ((b"CLIENT REPLY OFF", b"CLIENT REPLY SKIP", b"ECHO 1", b"ECHO 2"), []),
        ((b"CLIENT REPLY OFF", b"CLIENT REPLY x", b"CLIENT REPLY ON"), [b"OK"]),
        ((b"CLIENT REPLY SKIP", b"CLIENT REPLY x", b"ECHO 1"), [b"1"]),
        ((b"CLIENT REPLY SKIP", b"CLIENT REPLY SKIP", b"ECHO 1", b"ECHO 2"), [b"2"]),
        ((b"CLIENT REPLY SKIP", b"CLIENT REPLY ON", b"ECHO 1"), [b"OK", b"1"]),
        ((b"CLIENT REPLY OFF", b"RESET", b"ECHO 1"), [b"RESET", b"1"]),
        ((b"CLIENT REPLY OFF", b"MULTI", b"CLIENT REPLY ON", b"DISCARD"), []),
    ],
)
def test_reply_modes_meet_as_in_redis(
    rig: Rig, lines: tuple[bytes, ...], replies: list[bytes]
) -> None:
    client = rig.client()
    client.send(*lines)
    assert client.replies() == replies


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
    client.send(
        [b"SET", b"a b", b'"\\\n\x00\xff'],
        b"AUTH default secret",
        b"CONFIG SET requirepass secret",  # As all that only an administrator does.
        b"HELLO 2 AUTH default secret",
    )
    lines = [line.decode() for line in watcher.replies()]
    at = f"1700000000.000001 [0 {client.connection.address}]"
    assert lines == [
        f'{at} "SET" "a b" "\\"\\\\\\n\\x00\\xff"',
        f'{at} "AUTH" "(redacted)" "(redacted)"',
        f'{at} "HELLO" "2" "AUTH" "(redacted)" "(redacted)"',
    ]


def test_a_transaction_is_shown_when_it_is_carried_out(rig: Rig) -> None:
    watcher, client = rig.client(), rig.client()
    watcher.ask(b"MONITOR")
    client.send(b"MULTI", b"SET a 1")
    assert [line.split()[-1] for line in watcher.replies()] == [b'"MULTI"']
    client.send(b"EXEC")
    assert [line.split()[3] for line in watcher.replies()] == [b'"SET"', b'"EXEC"']


def test_what_a_monitor_is_shown_of_a_large_command_is_cut(rig: Rig) -> None:
    monitor, client = rig.client(), rig.client()
    monitor.ask(b"MONITOR")
    client.send([b"SET", b"k", b"x" * (8 << 20)], [b"DEL", *[b"k%d" % n for n in range(5_000)]])
    large, many = monitor.replies()
    assert len(large) < 20_000
    assert large.endswith(b'x"... (%d more bytes)' % ((8 << 20) - (16 << 10) + 36))
    assert many.endswith(b" more arguments)")


def test_a_monitor_does_not_touch_keys(rig: Rig) -> None:
    client = rig.client()
    client.ask(b"MONITOR")
    client.send(b"SET a 1")
    assert client.replies() == ["ERR Replica can't interact with the keyspace"]


def test_a_long_name_is_shown_whole(rig: Rig) -> None:
    client = rig.client()
    client.ask(b"CLIENT SETNAME " + b"n" * 200)
    assert b" name=" + b"n" * 200 + b" " in client.ask(b"CLIENT LIST")


def test_reset_ends_monitoring(rig: Rig) -> None:
    watcher, client = rig.client(), rig.client()
    watcher.ask(b"MONITOR")
    watcher.replies()
    watcher.send(b"RESET")
    assert watcher.replies()[-1] == b"RESET"
    client.ask(b"PING")
    assert watcher.replies() == []
