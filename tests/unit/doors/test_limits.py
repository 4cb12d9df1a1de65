"""Whatever one client does, it costs itself alone: limits, pauses, ends."""

from __future__ import annotations

import logging

import pytest

from trimaran.node.doors.backend import DoorLimits
from trimaran.node.errors import NoQuorum
from trimaran.node.request import NotApplied
from trimaran.proto.reply import OK
from trimaran.proto.resp import ReaderLimits

from .fakes import MemoryRouter, Rig, Router, encode


def test_a_broken_protocol_is_answered_behind_what_came_before_and_then_closed() -> None:
    rig = Rig(Router())
    client = rig.client()
    client.send_raw(encode(b"GET", b"k") + b"*2000000000\r\n" + encode(b"PING"))
    rig.router.answer(b"v")
    assert client.replies() == [b"v", "ERR Protocol error: invalid multibulk length"]
    assert client.transport.is_closed
    client.send(b"PING")
    assert client.replies() == []


def test_a_broken_protocol_behind_a_command_that_waits_is_answered_last() -> None:
    rig = Rig(Router())
    client = rig.client()
    client.send_raw(encode(b"GET", b"k") + encode(b"HELLO", b"3") + b"*x\r\n")
    rig.router.answer(b"v")
    replies = client.replies()
    assert [replies[0], replies[2]] == [b"v", "ERR Protocol error: invalid multibulk length"]
    assert client.transport.is_closed


@pytest.mark.parametrize("data", [b"*6\r\n", b"*1\r\n$65537\r\n", b"x" * 300])
def test_limits_of_one_command_are_those_of_the_configuration(data: bytes) -> None:
    reader = ReaderLimits(elements_max=5, bulk_bytes_max=65_536, inline_bytes_max=200)
    client = Rig(MemoryRouter(), limits=DoorLimits(reader=reader)).client()
    client.send_raw(data)
    (error,) = client.replies()
    assert error.startswith("ERR Protocol error: ")
    assert client.transport.is_closed


def test_a_half_frame_disturbs_nobody() -> None:
    rig = Rig(MemoryRouter())
    slow, other = rig.client(), rig.client()
    slow.send_raw(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nab")
    assert other.ask(b"PING") == b"PONG"
    slow.connection.connection_lost(ConnectionResetError())
    assert other.ask(b"GET k") is None


def test_one_client_too_many_is_told_so_and_closed() -> None:
    rig = Rig(MemoryRouter(), limits=DoorLimits(clients_max=2))
    first, _ = rig.client(), rig.client()
    third = rig.client()
    assert third.replies() == ["ERR max number of clients reached"]
    assert third.transport.is_closed
    third.connection.connection_lost(None)
    first.connection.connection_lost(None)
    assert rig.client().ask(b"PING") == b"PONG"


def test_who_sends_faster_than_is_answered_is_paused_and_goes_on() -> None:
    rig = Rig(Router(), limits=DoorLimits(waiting_bytes_max=10_000, request_bytes_max=2_000))
    client, other = rig.client(), rig.client()
    for number in range(12):
        if client.transport.is_paused:
            break
        client.send([b"SET", b"k", b"%d" % number + b"x" * 1000])
    assert 5 < number < 12
    assert not other.transport.is_paused
    while client.transport.is_paused:
        request = rig.router.take()
        request.complete(NotApplied(NoQuorum()))
        client.turn()
    assert rig.router.requests, "it goes on at half of the limit, not when all is done"


def test_who_does_not_read_is_paused_until_it_does() -> None:
    client = Rig(MemoryRouter()).client()
    client.connection.pause_writing()
    assert client.transport.is_paused
    client.connection.resume_writing()
    client.turn()
    assert not client.transport.is_paused


def test_who_does_not_read_what_it_asked_for_is_disconnected(
    caplog: pytest.LogCaptureFixture,
) -> None:
    limits = DoorLimits(output_buffer_bytes_max=100_000)
    rig = Rig(MemoryRouter(shards=1), limits=limits)
    client, other = rig.client(), rig.client()
    client.ask([b"SET", b"k", b"x" * 30_000])
    client.connection.pause_writing()
    client.transport.buffered = 90_000
    client.send(b"GET k")
    assert not client.transport.is_aborted
    client.transport.buffered = 120_000
    with caplog.at_level(logging.WARNING):
        client.send(b"GET k")
    assert client.transport.is_aborted
    assert "output_buffer_full" in caplog.text
    assert other.ask(b"PING") == b"PONG"


def test_replies_of_one_turn_are_bounded_too() -> None:
    rig = Rig(MemoryRouter(shards=1), limits=DoorLimits(output_buffer_bytes_max=100_000))
    client = rig.client()
    client.ask([b"SET", b"k", b"x" * 30_000])
    client.send(*[b"GET k"] * 50)
    assert client.transport.is_aborted


def test_a_silent_client_is_closed_after_the_idle_time_and_a_waiting_one_is_not() -> None:
    rig = Rig(Router(), limits=DoorLimits(client_idle_timeout_s=10))
    silent, waiting, lively = rig.client(), rig.client(), rig.client()
    waiting.send(b"SET k 1")
    rig.router.time_ns += 11_000_000_000
    lively.ask(b"PING")
    rig.door.end_idle()
    silent.turn()
    assert [one.transport.is_closed for one in (silent, waiting, lively)] == [True, False, False]


def test_who_ends_its_side_is_answered_before_the_connection_closes() -> None:
    rig = Rig(Router())
    client = rig.client()
    client.send(b"SET k 1")
    assert client.connection.eof_received()
    client.turn()
    assert not client.transport.is_closed
    rig.router.answer(OK)
    assert client.replies() == [b"OK"]
    assert client.transport.is_closed
