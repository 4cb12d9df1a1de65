"""Replies of many elements: written a piece at a time, in their place, while others are served."""

from __future__ import annotations

from trimaran.node.doors.long_replies import WAITING_MAX
from trimaran.proto.reply import OK, MapReply

from .fakes import Client, Rig, Router

MANY = 20_000


class _Clicking(Router):
    """Time passes whenever it is looked at: each piece takes longer than there is."""

    def now_ns(self) -> int:
        self.time_ns += 5_000_000
        return self.time_ns


def _asked(rig: Rig) -> Client:
    client = rig.client()
    client.send(b"LRANGE l 0 -1")
    rig.router.answer([b"%d" % number for number in range(MANY)])
    return client


def test_another_client_is_answered_between_two_pieces() -> None:
    rig = Rig(_Clicking())
    slow, quick = _asked(rig), rig.client()
    quick.send(b"GET k")
    rig.router.answer(b"v")
    for _ in range(3):  # Turns of the loop.
        rig.turn_once()
    assert quick.written == b"$1\r\nv\r\n"
    assert not slow.written
    assert slow.replies() == [[b"%d" % number for number in range(MANY)]]


def test_it_keeps_its_place_among_the_replies_of_its_client() -> None:
    rig = Rig(_Clicking())
    client = rig.client()
    client.send(b"SET k 1", b"LRANGE k 0 -1", b"PING", b"SET k 2")
    long = [b"x"] * MANY
    rig.router.answer(OK, long, OK)
    assert client.replies() == [b"OK", long, b"PONG", b"OK"]


def test_several_clients_have_turns() -> None:
    rig = Rig(_Clicking())
    clients = [_asked(rig) for _ in range(3)]
    clients[0].turn()
    assert len({len(client.written) for client in clients}) == 1
    assert all(len(client.replies()[0]) == MANY for client in clients)


def test_a_client_that_is_gone_meanwhile_is_forgotten() -> None:
    rig = Rig(_Clicking())
    gone, other = _asked(rig), _asked(rig)
    gone.connection.connection_lost(None)
    assert len(other.replies()[0]) == MANY
    assert not gone.written


def test_the_protocol_is_that_of_the_moment_it_was_answered() -> None:
    rig = Rig(_Clicking())
    client = rig.client()
    client.send(b"HGETALL h", b"HELLO 3")
    rig.router.answer(MapReply(tuple((b"%d" % number, b"v") for number in range(MANY))))
    client.turn()
    assert client.written.startswith(b"*%d\r\n" % (2 * MANY))


def test_what_is_not_wanted_is_not_written() -> None:
    rig = Rig(_Clicking())
    client = rig.client()
    client.send(b"CLIENT REPLY SKIP", b"LRANGE l 0 -1", b"PING")
    rig.router.answer([b"x"] * MANY)
    assert client.replies() == [b"PONG"]


def test_only_a_few_wait_and_the_next_are_written_in_one_go() -> None:
    rig = Rig(_Clicking())
    clients = [_asked(rig) for _ in range(WAITING_MAX + 2)]
    rig.turn_once()
    assert [bool(client.written) for client in clients] == [False] * WAITING_MAX + [True] * 2
    assert all(len(client.replies()[0]) == MANY for client in clients)
