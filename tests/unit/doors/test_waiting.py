"""Clients that wait for data and clients that bring it, over a door with real waits behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trimaran.cluster.slots import ShardId
from trimaran.node.commands.blocking import may_have
from trimaran.node.doors.backend import DoorLimits
from trimaran.node.request import Done, Outcome, Request
from trimaran.node.turns import Turns, is_wait
from trimaran.proto.reply import NULL_ARRAY

from .fakes import Client, MemoryRouter, Rig

if TYPE_CHECKING:
    from trimaran.node.commands.blocking import Waiting


class WaitingRouter(MemoryRouter):
    """A node of its own that holds the waits of its clients."""

    def __init__(self) -> None:
        super().__init__(shards=1)
        self._keys = self._keyspaces[0]
        self.turns = Turns(self._keys, 100)

    def submit(self, request: Request) -> None:
        if is_wait(request):
            self.turns.wait(request, self.time_ns)
        elif request.waiter is None or not request.has_write:
            self._run(request)
        elif self.turns.must_queue(request):
            request.complete(Done([NULL_ARRAY]))
        else:
            for one in self.turns.admit(request):
                self._run(one)

    def _run(self, request: Request) -> None:
        complete = request.complete

        def done(outcome: Outcome) -> None:
            self.turns.wake(self.time_ns)
            complete(outcome)
            assert isinstance(outcome, Done)
            self.turns.popped(request, outcome.replies[0], self.time_ns)

        request.complete = done
        super().submit(request)

    def cancel(self, wait: Request) -> None:
        assert wait.waiter is not None
        self.turns.leave(wait.waiter, self.time_ns)

    def may_have(self, shard: ShardId, db: int, waiting: Waiting) -> bool:
        return may_have(self._keys, db, waiting)


@pytest.fixture
def router() -> WaitingRouter:
    return WaitingRouter()


@pytest.fixture
def rig(router: WaitingRouter) -> Rig:
    return Rig(router)


def waiting(rig: Rig, *commands: bytes) -> list[Client]:
    """A client for each command, which waits."""
    clients = [rig.client() for _ in commands]
    for client, command in zip(clients, commands, strict=True):
        client.send(command)
        assert client.replies() == []
    return clients


def test_who_came_first_is_served_first(rig: Rig) -> None:
    first, second, third = waiting(rig, b"BLPOP a 0", b"BRPOP b a 0", b"BLMPOP 0 1 a LEFT COUNT 5")
    assert rig.client().ask(b"RPUSH a 1 2 3 4") == 4
    assert first.replies() == [[b"a", b"1"]]
    assert second.replies() == [[b"a", b"4"]]
    assert third.replies() == [[b"a", [b"2", b"3"]]]


@pytest.mark.parametrize(
    ("command", "writes", "reply"),
    [
        (b"BLPOP a b 0", [b"RPUSH b 1"], [b"b", b"1"]),
        (b"BRPOP a 0.5", [b"LPUSH a 1 2"], [b"a", b"1"]),
        (b"BLMOVE a b LEFT RIGHT 0", [b"RPUSH a 1 2"], b"1"),
        (b"BRPOPLPUSH a a 0", [b"RPUSH a 1 2"], b"2"),
        (b"BLMPOP 0 2 b a RIGHT COUNT 2", [b"RPUSH a 1 2 3"], [b"a", [b"3", b"2"]]),
        (b"BZPOPMIN a 0", [b"ZADD a 1 x 2 y"], [b"a", b"x", b"1"]),
        (b"BZPOPMAX a 0", [b"ZADD a 1 x 2 y"], [b"a", b"y", b"2"]),
        (b"BZMPOP 0 1 a MIN", [b"ZADD a 1 x"], [b"a", [[b"x", b"1"]]]),
        (b"XREAD BLOCK 0 STREAMS a $", [b"XADD a 1-1 f v"], [[b"a", [[b"1-1", [b"f", b"v"]]]]]),
        (b"blpop a 0", [b"SET b 1", b"SET a 1", b"DEL a", b"LPUSH a 2"], [b"a", b"2"]),
        (b"BLPOP a 0", [b"RPUSH b 3", b"RENAME b a"], [b"a", b"3"]),
        (b"BLPOP a 0", [b"RPUSH b 3", b"COPY b a"], [b"a", b"3"]),
        (b"BLPOP a 0", [b"RPUSH b 3", b"SORT b STORE a"], [b"a", b"3"]),
    ],
)
def test_what_one_waits_for_another_brings(
    rig: Rig, command: bytes, writes: list[bytes], reply: object
) -> None:
    (client,) = waiting(rig, command)
    rig.client().ask(*writes)
    assert client.replies() == [reply]
    assert rig.client().ask(b"CLIENT UNBLOCK %d" % client.connection.id) == 0


def test_what_is_there_is_taken_at_once(rig: Rig, router: WaitingRouter) -> None:
    client = rig.client()
    assert client.ask(b"RPUSH a 1", b"BLPOP b a 0") == [b"a", b"1"]
    assert client.ask(b"XADD s 1-1 f v", b"XREAD BLOCK 0 STREAMS s 0") == [
        [b"s", [[b"1-1", [b"f", b"v"]]]]
    ]
    # Whichever of its ids has some.
    for ids in (b"$ 0", b"9 0", b"0 $"):
        assert client.ask(b"XREAD BLOCK 0 STREAMS s s " + ids) == [[b"s", [[b"1-1", [b"f", b"v"]]]]]
    assert client.ask(b"SET t 1", b"BLPOP b t 0").startswith("WRONGTYPE")
    assert client.ask(b"XREADGROUP GROUP g c BLOCK 0 STREAMS none >").startswith("NOGROUP")
    assert client.ask(b"BLPOP a x") == "ERR timeout is not a float or out of range"
    assert not router.turns


def test_one_push_serves_a_chain(rig: Rig) -> None:
    last, middle = waiting(rig, b"BLPOP b 0", b"BLMOVE a b LEFT LEFT 0")
    assert rig.client().ask(b"RPUSH a 1") == 1
    assert middle.replies() == [b"1"]
    assert last.replies() == [[b"b", b"1"]]


def test_a_transaction_serves_when_it_is_over(rig: Rig) -> None:
    of_two, of_none = waiting(rig, b"BLPOP a b 0", b"BLPOP c 0")
    other = rig.client()
    other.ask(b"MULTI", b"RPUSH b 1", b"RPUSH a 2", b"RPUSH c 3", b"DEL c", b"EXEC")
    assert of_two.replies() == [[b"b", b"1"]]
    assert of_none.replies() == []


def test_in_a_transaction_nothing_waits(rig: Rig) -> None:
    client = rig.client()
    assert client.ask(
        *(b"MULTI", b"BLPOP a 0", b"BLMOVE a b LEFT LEFT 0", b"BZPOPMIN z 0"),
        *(b"XREAD BLOCK 0 STREAMS s $", b"EXEC"),
    ) == [None, None, None, None]


def test_later_commands_wait_behind_it_and_earlier_ones_are_answered_first(rig: Rig) -> None:
    client = rig.client()
    client.send(b"SET k 1", b"BLPOP a 0", b"GET k", b"BLPOP a 0", b"PING")
    assert client.replies() == [b"OK"]
    rig.client().ask(b"SET k 2", b"RPUSH a 1")
    assert client.replies() == [[b"a", b"1"], b"2"]
    rig.client().ask(b"RPUSH a 2")
    assert client.replies() == [[b"a", b"2"], b"PONG"]


def test_time_is_over_within_milliseconds(rig: Rig, router: WaitingRouter) -> None:
    (client,) = waiting(rig, b"BLPOP a 0.02")
    rig.pass_time(0.019)
    assert client.replies() == []
    rig.pass_time(0.001)
    assert client.replies() == [None]
    assert not router.turns


def test_readers_that_wait_are_served_together(rig: Rig) -> None:
    first, second, group = waiting(
        rig, b"XREAD BLOCK 0 STREAMS s $", b"XREAD BLOCK 0 STREAMS s 0", b"BLPOP s 0"
    )
    other = rig.client()
    assert other.ask(b"XADD s 1-1 f v") == b"1-1"
    entries = [[b"s", [[b"1-1", [b"f", b"v"]]]]]
    assert first.replies() == second.replies() == [entries]
    assert group.replies() == []


def test_consumers_of_a_group_share_what_comes(rig: Rig) -> None:
    other = rig.client()
    other.ask(b"XGROUP CREATE s g $ MKSTREAM")
    first, second = waiting(
        rig,
        b"XREADGROUP GROUP g a COUNT 1 BLOCK 0 STREAMS s >",
        b"XREADGROUP GROUP g b COUNT 1 BLOCK 0 STREAMS s >",
    )
    other.ask(b"XADD s 1-1 f v")
    assert first.replies() == [[[b"s", [[b"1-1", [b"f", b"v"]]]]]]
    assert second.replies() == []
    other.ask(b"XGROUP DESTROY s g")
    assert second.replies() == [
        "NOGROUP the consumer group this client was blocked on no longer exists"
    ]


def test_a_client_that_goes_frees_its_place(rig: Rig, router: WaitingRouter) -> None:
    gone, killed, stays = waiting(rig, b"BLPOP a 0", b"BLPOP a 0", b"BLPOP a 0")
    gone.connection.eof_received()
    assert gone.transport.is_aborted
    for one in (gone, killed):
        one.connection.connection_lost(None)
    assert len(router.turns) == 1
    rig.client().ask(b"RPUSH a 1")
    assert stays.replies() == [[b"a", b"1"]]


def test_the_end_of_a_client_that_waits_is_seen_behind_later_commands(rig: Rig) -> None:
    (client,) = waiting(rig, b"BLPOP a 0")
    client.send(b"PING")
    assert not client.transport.is_paused
    client.send_raw(b"x" * (5 << 20))
    assert client.transport.is_paused, "not without a limit"


def test_info_and_client_list_tell_who_waits(rig: Rig) -> None:
    (client,) = waiting(rig, b"BLPOP a 0")
    other = rig.client()
    assert b"\r\nblocked_clients:1\r\n" in other.ask(b"INFO clients")
    line = other.ask(b"CLIENT LIST ID %d" % client.connection.id)
    assert b" flags=b " in line
    assert b" cmd=blpop " in line


@pytest.mark.parametrize(
    ("words", "reply"),
    [
        (b"", None),
        (b" timeout", None),
        (b" ERROR", "UNBLOCKED client unblocked via CLIENT UNBLOCK"),
    ],
)
def test_unblock(rig: Rig, router: WaitingRouter, words: bytes, reply: str | None) -> None:
    (client,) = waiting(rig, b"BLPOP a 0")
    other = rig.client()
    command = b"CLIENT UNBLOCK %d" % client.connection.id + words
    assert other.ask(command) == 1
    assert client.replies() == [reply]
    assert other.ask(command) == 0
    assert not router.turns


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (b"CLIENT UNBLOCK x", "ERR value is not an integer or out of range"),
        (b"CLIENT UNBLOCK x y", "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"),
        (
            b"CLIENT UNBLOCK 1 ERROR z",
            "ERR unknown subcommand or wrong number of arguments for 'UNBLOCK'. Try CLIENT HELP.",
        ),
    ],
)
def test_unblock_refuses_what_redis_does(rig: Rig, command: bytes, error: str) -> None:
    assert rig.client().ask(command) == error


def test_paused_clients_take_their_turns_when_the_pause_is_over(
    rig: Rig, router: WaitingRouter
) -> None:
    taker, reader, late = waiting(
        rig, b"BLPOP a 0", b"XREAD BLOCK 0 STREAMS s $", b"BLPOP a b 0.05"
    )
    rig.door.clients.pause.begin(rig.door, 1 << 60, is_for_writes=True)
    # What another node's clients write.
    for command in ([b"RPUSH", b"a", b"1", b"2"], [b"XADD", b"s", b"1-1", b"f", b"v"]):
        answered: list[Outcome] = []
        router.submit(
            Request(ShardId(0), 0, [command], has_write=True, deadline_ns=0,
                    complete=answered.append)
        )  # fmt: skip
    assert taker.replies() == []
    assert len(reader.replies()) == 1
    rig.pass_time(0.05)
    assert late.replies() == [None]
    rig.door.clients.pause.end()
    assert taker.replies() == [[b"a", b"1"]]
    assert rig.client().ask(b"LPOP a") == b"2"


def test_over_waiters_max_nobody_waits(router: WaitingRouter) -> None:
    rig = Rig(router, limits=DoorLimits(waiters_max=2))
    waiting(rig, b"BLPOP a 0", b"BLPOP a 0")
    client = rig.client()
    refused = "OVERLOADED waiters_max is reached; nothing was applied, try later"
    assert client.ask(b"BLPOP a 0") == refused
    assert client.ask(b"RPUSH b 1", b"LPOP b") == b"1"
