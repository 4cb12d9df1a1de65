"""Lanes and order: one request in flight per connection and shard, replies as commands came."""

from __future__ import annotations

from trimaran.cluster.slots import shard_of
from trimaran.node.doors.backend import DoorLimits
from trimaran.node.errors import NoQuorum, NotLeader, OutcomeUnknown, Overloaded
from trimaran.node.request import NotApplied, Unknown
from trimaran.proto.reply import OK

from .fakes import MemoryRouter, Rig, Router


def key_on(shard: int, shards: int = 4) -> bytes:
    """Some key of database 0 on that shard."""
    return next(
        key
        for key in (b"k%d" % number for number in range(1000))
        if shard_of(0, key, shards) == shard
    )


def test_a_pipeline_for_one_shard_is_one_request() -> None:
    rig = Rig(Router())
    client = rig.client()
    client.send(b"SET k 1", b"GET k", b"incr k")
    request = rig.router.take()
    assert not rig.router.requests
    assert request.commands == [[b"SET", b"k", b"1"], [b"GET", b"k"], [b"INCR", b"k"]]
    assert request.has_write
    assert request.shard == shard_of(0, b"k", 4)


def test_reads_alone_are_no_write() -> None:
    rig = Rig(Router())
    rig.client().send(b"GET k", b"STRLEN k")
    assert not rig.router.take().has_write


def test_while_a_request_is_in_flight_the_next_one_gathers() -> None:
    rig = Rig(Router())
    client = rig.client()
    client.send(b"SET k 1")
    client.send(b"GET k")
    client.send(b"SET k 2", b"GET k")
    assert len(rig.router.requests) == 1
    rig.router.answer(OK)
    assert client.replies() == [b"OK"]
    request = rig.router.take()
    assert [args[0] for args in request.commands] == [b"GET", b"SET", b"GET"]
    assert not rig.router.requests


def test_each_shard_has_its_own_request_in_flight() -> None:
    rig = Rig(Router())
    client = rig.client()
    client.send(b"GET " + key_on(0), b"GET " + key_on(1), b"GET " + key_on(0))
    assert sorted(request.shard for request in rig.router.requests) == [0, 1]


def test_replies_come_in_the_order_of_the_commands() -> None:
    rig = Rig(Router())
    client = rig.client()
    client.send(b"GET " + key_on(0), b"PING", b"GET " + key_on(1), b"GET " + key_on(0), b"ECHO x")
    rig.router.answer(b"second", shard=1)
    assert client.replies() == []
    rig.router.answer(b"first", b"third", shard=0)
    assert client.replies() == [b"first", b"PONG", b"second", b"third", b"x"]


def test_what_completes_in_one_turn_is_written_in_one_piece() -> None:
    rig = Rig(Router())
    client = rig.client()
    client.send(b"GET " + key_on(0), b"GET " + key_on(1))
    rig.router.answer(b"a", shard=0)
    rig.router.answer(b"b", shard=1)
    assert client.transport.writes == []
    client.turn()
    assert client.transport.writes == [b"$1\r\na\r\n$1\r\nb\r\n"]


def test_a_get_behind_a_set_sees_it() -> None:
    client = Rig(MemoryRouter()).client()
    client.send(b"SET k 1", b"GET k", b"SET k 2", b"GET k")
    assert client.replies() == [b"OK", b"1", b"OK", b"2"]


def test_databases_do_not_share_a_request() -> None:
    rig = Rig(Router(shards=1))
    client = rig.client()
    client.send(b"SET k 1", b"SELECT 3", b"SET k 2")
    first = rig.router.take()
    assert (first.db, len(first.commands)) == (0, 1)
    first.complete(NotApplied(NoQuorum()))
    client.turn()
    assert rig.router.take().db == 3


def test_a_request_is_bounded_by_commands_and_by_bytes() -> None:
    limits = DoorLimits(request_commands_max=3, request_bytes_max=10_000)
    rig = Rig(Router(), limits=limits)
    client = rig.client()
    client.send(*[b"INCR k"] * 8)
    sizes = []
    for _ in range(3):
        request = rig.router.take()
        sizes.append(len(request.commands))
        request.complete(NotApplied(NoQuorum()))
        client.turn()
    assert sizes == [3, 3, 2]
    client.send(*[[b"SET", b"k", b"x" * 4000]] * 5)
    assert len(rig.router.take().commands) == 2


def test_the_deadline_counts_from_when_the_command_came() -> None:
    rig = Rig(Router(), limits=DoorLimits(command_timeout_ms=5_000))
    client = rig.client()
    client.send(b"SET k 1")
    rig.router.time_ns += 3_000_000_000
    client.send(b"SET k 2")
    rig.router.time_ns += 1_000_000_000
    assert rig.router.take().deadline_ns == 6_000_000_000
    client.connection.idle_lanes.clear()


def test_greeting_in_another_version_waits_for_replies_in_the_old_one() -> None:
    rig = Rig(Router())
    client = rig.client()
    client.send(b"GET k", b"HELLO 3", b"GET k")
    assert client.transport.is_paused
    rig.router.answer(None)
    client.turn()
    assert client.written.startswith(b"$-1\r\n%7\r\n")
    rig.router.answer(None)
    client.turn()
    assert client.written.endswith(b"_\r\n")
    assert not client.transport.is_paused


def test_while_a_shard_is_overloaded_its_client_is_not_read_and_tried_again() -> None:
    rig = Rig(Router())
    client = rig.client()
    refused = NotApplied(Overloaded("uncommitted_bytes_max"))
    client.send(b"SET k 1", b"PING")
    rig.router.finish(refused)
    client.turn()
    assert client.transport.is_paused
    for _ in range(3):
        assert not rig.router.requests
        rig.pass_time(0.2)
        rig.router.finish(refused)
    rig.pass_time(0.2)
    rig.router.answer(b"OK")
    assert client.replies() == [b"OK", b"PONG"]
    assert not client.transport.is_paused


def test_at_its_deadline_a_client_is_told_of_the_overload() -> None:
    rig = Rig(Router(), limits=DoorLimits(command_timeout_ms=1_000))
    client = rig.client()
    client.send(b"SET k 1")
    rig.router.finish(NotApplied(Overloaded("uncommitted_bytes_max")))
    rig.pass_time(1.1)
    rig.router.finish(NotApplied(Overloaded("uncommitted_bytes_max")))
    told = "OVERLOADED uncommitted_bytes_max is reached; nothing was applied, try later"
    assert client.replies() == [told]


def test_what_a_client_that_left_wanted_is_not_tried_again() -> None:
    rig = Rig(Router())
    client = rig.client()
    client.send(b"SET k 1")
    rig.router.finish(NotApplied(Overloaded("uncommitted_bytes_max")))
    client.connection.connection_lost(None)
    rig.pass_time(1)
    assert not rig.router.requests


def test_each_outcome_has_its_own_code() -> None:
    rig = Rig(Router())
    client = rig.client()
    for outcome, expected in (
        (NotApplied(NotLeader("n2")), "CLUSTERDOWN not the leader (try n2); nothing was applied"),
        (NotApplied(NoQuorum("late")), "CLUSTERDOWN late; nothing was applied"),
        (
            Unknown(OutcomeUnknown("late")),
            "UNCERTAIN the write may or may not have been applied (late)",
        ),
    ):
        client.send(b"SET k 1")
        rig.router.finish(outcome)
        assert client.replies() == [expected]
    assert not client.transport.is_closed


def test_a_read_in_a_request_of_unknown_fate_is_not_called_uncertain() -> None:
    rig = Rig(Router())
    client = rig.client()
    client.send(b"SET k 1", b"GET k")
    rig.router.finish(Unknown(OutcomeUnknown("late")))
    assert [reply.split()[0] for reply in client.replies()] == ["UNCERTAIN", "CLUSTERDOWN"]


def test_after_an_unknown_outcome_the_connection_goes_on() -> None:
    rig = Rig(Router())
    client = rig.client()
    client.send(b"SET k 1")
    client.send(b"SET k 2")
    rig.router.finish(Unknown(OutcomeUnknown("late")))
    client.turn()
    rig.router.answer(OK)
    assert [str(reply).split()[0] for reply in client.replies()] == ["UNCERTAIN", "b'OK'"]


def test_answers_for_a_client_that_is_gone_disturb_nobody() -> None:
    rig = Rig(Router())
    gone, other = rig.client(), rig.client()
    gone.send(b"SET k 1")
    gone.send(b"SET k 2")
    gone.connection.connection_lost(None)
    rig.router.answer(OK)
    gone.turn()
    assert not rig.router.requests
    assert gone.written == b""
    assert other.ask(b"PING") == b"PONG"


def test_a_reply_that_cannot_be_written_ends_its_client_alone() -> None:
    rig = Rig(Router())
    client, other = rig.client(), rig.client()
    client.send(b"GET k")
    rig.router.answer(object())  # type: ignore[arg-type]  # What no handler should return.
    assert client.transport.is_aborted
    assert other.ask(b"PING") == b"PONG"
