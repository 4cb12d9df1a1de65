"""What one connection does wrong is its own affair: another one is answered all the while."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from .raw import Raw, packed

if TYPE_CHECKING:
    from .running import Doors

pytestmark = pytest.mark.usefixtures("_emptied")

ROUNDS = 20
Disturb = Callable[[int], None]  # Given the port and done once.


class Bystander:
    """A client that counts while others misbehave; a round fails if an answer is wrong or late."""

    def __init__(self, port: int, key: bytes) -> None:
        self._connection = Raw(port)
        self._key = key
        self._count = 0

    def round(self) -> None:
        self._count += 1
        assert self._connection.ask(b"INCR", self._key) == self._count
        assert self._connection.ask(b"GET", self._key) == b"%d" % self._count

    def close(self) -> None:
        self._connection.close()


def garbage(port: int) -> None:
    """Not RESP: the node may say so and closes; it may also wait for the end of the line."""
    for data in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 8,  # TLS.
        b"\x00" * 70_000,
        b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n",
        b"*1\r\n+PING\r\n",
        b"*-7\r\n" * 3 + b"$5\r\nhello\r\n",
    ):
        with Raw(port) as connection, contextlib.suppress(ConnectionError):
            connection.send(data)
            connection.socket.shutdown(socket.SHUT_WR)
            connection.rest()


def huge_promises(port: int) -> None:
    """Lengths nobody will ever send: refused before anything is set aside for them."""
    for data, error in (
        (b"*2000000000\r\n", b"invalid multibulk length"),
        (b"*1\r\n$9999999999999\r\n", b"invalid bulk length"),
        (b"*1\r\n$-3\r\n", b"invalid bulk length"),
        (b"*99999999999999999999\r\n", b"invalid multibulk length"),
        (b"*1\r\n:1\r\n", b"expected '$', got ':'"),
    ):
        with Raw(port) as connection:
            connection.send(data)
            assert connection.rest() == b"-ERR Protocol error: %b\r\n" % error


def half_frames(port: int) -> None:
    """Cut in the middle of a command; what was whole before it has been answered."""
    for data in (b"*3\r\n$3\r\nSET\r\n$5\r\nho", b"*2\r\n$3\r\nGET\r\n$1", b"SET k", b"*"):
        with Raw(port) as connection:
            connection.send(packed([b"PING"]) + data)
            assert connection.reply() == b"PONG"
            connection.socket.shutdown(socket.SHUT_WR)
            assert connection.rest() == b""


def broken_pipes(port: int) -> None:
    """A hundred replies on their way, and nobody there any more: closed with a reset."""
    connection = Raw(port)
    connection.send(packed([b"SET", b"{of}disturber", b"x" * 100_000]))
    connection.send(packed([b"GET", b"{of}disturber"]) * 100)
    linger = struct.pack("ii", 1, 0)
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    connection.close()


def never_reads(port: int) -> None:
    """Asks for far more than it reads, then goes."""
    with Raw(port) as connection:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.socket.settimeout(0.2)
        with contextlib.suppress(TimeoutError, ConnectionError):
            for _ in range(50):
                connection.send(packed([b"ECHO", b"y" * 50_000]) * 10)


@pytest.fixture
def bystanders(doors: Doors) -> Iterator[list[Bystander]]:
    """On the disturbed node and on another one, with keys of different shards."""
    ports = [*doors.any_key[:2]] * 2
    started = [Bystander(port, b"count:%d" % number) for number, port in enumerate(ports)]
    yield started
    for one in started:
        one.close()


@pytest.mark.parametrize("door", ["any_key", "cluster"])
@pytest.mark.parametrize(
    "disturb", [garbage, huge_promises, half_frames, broken_pipes, never_reads]
)
def test_others_are_answered_all_the_while(
    doors: Doors, bystanders: list[Bystander], disturb: Disturb, door: str
) -> None:
    port = getattr(doors, door)[0]
    for _ in range(3):
        disturb(port)
        for one in bystanders:
            one.round()


def test_a_slow_sender_is_served_in_the_end_and_delays_nobody(
    doors: Doors, bystanders: list[Bystander]
) -> None:
    command = packed([b"SET", b"slow", b"v" * 40]) + packed([b"GET", b"slow"])
    with Raw(doors.any_key[0]) as slow:
        slow.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(command)):
            slow.send(command[at : at + 1])
            if at % 5 == 0:
                for one in bystanders:
                    one.round()
        assert [slow.reply(), slow.reply()] == [b"OK", b"v" * 40]


def test_many_half_open_connections_stand_beside_one_that_works(
    doors: Doors, bystanders: list[Bystander]
) -> None:
    with contextlib.ExitStack() as open_ones:
        waiting = [open_ones.enter_context(Raw(doors.any_key[0])) for _ in range(100)]
        for one in waiting:
            one.send(b"*2\r\n$3\r\nGET\r\n$4\r\nsl")
        for _ in range(ROUNDS):
            for bystander in bystanders:
                bystander.round()
        for one in waiting:
            one.send(b"ow\r\n")
        assert [one.reply() for one in waiting] == [None] * 100
