"""A command that waits, at its door: every way from its first try to its one answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trimaran.cluster.command import BLOCKING, LIST, ONE, STREAM, WRITE, Command
from trimaran.cluster.slots import ShardId
from trimaran.node.commands.blocking import waiting_of
from trimaran.node.doors.blocked import (
    GROUP_GONE,
    LEADER_LOST,
    STREAM_GONE,
    UNBLOCKED,
    Blocked,
    Blockers,
    RespWords,
)
from trimaran.node.doors.routes import Route
from trimaran.node.errors import NoQuorum, NotLeader, OutcomeUnknown, Overloaded
from trimaran.node.request import Done, NotApplied, Outcome, Unknown
from trimaran.node.turns import BLOCK
from trimaran.node.waits import FOREVER_NS
from trimaran.proto.reply import NULL_ARRAY, ErrorReply, Reply

from ...model.driver import words
from .fakes import Rig, Router

if TYPE_CHECKING:
    from trimaran.node.doors.connection import Connection

SHARD = ShardId(0)


def route_of(name: bytes) -> Route:
    category = STREAM if name.startswith(b"X") else LIST
    row = Command(name, -3, WRITE | BLOCKING, ONE, category)
    return Route(name, -3, 0, is_write=True, is_barrier=True, is_monitored=True, handler=None,
                 row=row)  # fmt: skip


class Door:
    def __init__(self, *, is_cluster: bool = False) -> None:
        self.router = Router()
        self.rig = Rig(self.router, is_cluster=is_cluster)
        self.blockers = self.rig.door.clients.blockers = Blockers(first_number=7)
        self.replies: list[Reply] = []

    def client(self) -> Connection:
        connection = self.rig.client().connection
        connection.now_ns = self.router.time_ns
        return connection

    def start(self, text: str = "BLPOP a b 0", client: Connection | None = None) -> Blocked:
        args = words(*text.split())
        waiting = waiting_of(args)
        assert waiting is not None
        route = route_of(args[0])
        client = client or self.client()
        done = self.replies.append
        told = RespWords(client, route, args)
        one = Blocked(client, SHARD, route, args, waiting, told, done)
        one.start()
        return one

    def sent(self) -> list[bytes]:
        """The one command that is on its way."""
        (request,) = self.router.requests
        return list(request.commands[0])

    def hear(self, outcome: Outcome) -> None:
        self.router.finish(outcome)

    @property
    def asked(self) -> str:
        return b" ".join(self.sent()).decode()


@pytest.fixture
def door() -> Door:
    return Door()


def test_what_seems_to_be_there_is_taken_without_waiting(door: Door) -> None:
    door.router.has_something = True
    door.start()
    assert door.asked == "BLPOP a b 0"
    door.hear(Done([[b"b", b"1"]]))
    assert door.replies == [[b"b", b"1"]]
    assert not len(door.blockers)
    assert door.router.cancelled == []


def test_nobody_proposes_a_pop_of_nothing(door: Door) -> None:
    door.start()
    (request,) = door.router.requests
    assert list(request.commands[0]) == [BLOCK, *words("BLPOP", "a", "b", 0)]
    assert not request.has_write
    assert request.deadline_ns == FOREVER_NS
    assert request.waiter is not None
    assert (request.waiter.node, request.waiter.number) == ("n1", 7)


def test_a_turn_leads_to_a_pop_of_that_key(door: Door) -> None:
    door.start()
    door.hear(Done([b"b"]))
    (request,) = door.router.requests
    assert door.asked == "BLPOP b 0"
    assert request.has_write
    assert request.waiter is not None
    door.hear(Done([[b"b", b"1"]]))
    assert door.replies == [[b"b", b"1"]]


def test_a_pop_that_found_nothing_waits_again_under_the_same_id(door: Door) -> None:
    door.start()
    ids = [door.router.requests[0].waiter]
    door.hear(Done([b"b"]))
    door.hear(Done([NULL_ARRAY]))
    assert door.asked == "_BLOCK BLPOP a b 0"
    ids.append(door.router.requests[0].waiter)
    assert ids[0] == ids[1]
    assert door.replies == []


def test_a_try_that_found_nothing_waits(door: Door) -> None:
    door.router.has_something = True
    door.start("BLMOVE a b LEFT LEFT 0")
    door.hear(Done([None]))
    assert door.asked == "_BLOCK BLMOVE a b LEFT LEFT 0"


@pytest.mark.parametrize("text", ["BLPOP a 0.5", "BLMOVE a b LEFT LEFT 0.5"])
def test_its_time_is_over_to_the_millisecond(door: Door, text: str) -> None:
    door.start(text)
    door.rig.pass_time(0.499)
    assert door.replies == []
    door.rig.pass_time(0.001)
    assert door.replies == [NULL_ARRAY]
    assert [one.waiter for one in door.router.cancelled] == [door.router.requests[0].waiter]


def test_one_timer_serves_all(door: Door) -> None:
    for number in range(5_000):
        door.start(f"BLPOP a {1 + number % 7}")
        door.router.requests.clear()
    assert door.rig.timers == 1
    door.rig.pass_time(3.01, early_ns=100_000)
    assert 2_100 < len(door.replies) < 2_200
    door.rig.pass_time(5)
    assert len(door.replies) == 5_000


def test_timers_of_what_has_ended_do_not_pile_up(door: Door) -> None:
    door.router.has_something = True
    for _ in range(5_000):
        door.start("BLPOP a 3600")
        door.hear(Done([[b"a", b"1"]]))
    assert door.blockers.timers < 1_100


def test_time_that_is_over_during_a_pop_waits_for_its_fate(door: Door) -> None:
    door.start("BLPOP a 0.5")
    door.hear(Done([b"a"]))
    door.rig.pass_time(1)
    assert door.replies == []
    door.hear(Done([[b"a", b"1"]]))
    assert door.replies == [[b"a", b"1"]]


def test_time_that_is_over_during_a_pop_of_nothing_ends_it(door: Door) -> None:
    door.start("BLPOP a 0.5")
    door.hear(Done([b"a"]))
    door.rig.pass_time(1)
    door.hear(Done([NULL_ARRAY]))
    assert door.replies == [NULL_ARRAY]
    assert len(door.router.cancelled) == 1
    assert door.router.requests == []


def test_unblock_answers_at_once_or_not_at_all(door: Door) -> None:
    client = door.client()
    door.start(client=client)
    assert door.blockers.has(client)
    assert not door.blockers.unblock(client.id + 1, UNBLOCKED)
    assert door.blockers.unblock(client.id, UNBLOCKED)
    assert door.replies == [UNBLOCKED]
    assert not door.blockers.unblock(client.id, UNBLOCKED)
    assert not door.blockers.has(client)


def test_unblock_during_a_pop_waits_for_its_fate(door: Door) -> None:
    client = door.client()
    door.start(client=client)
    door.hear(Done([b"a"]))
    assert not door.blockers.unblock(client.id, UNBLOCKED)
    door.hear(Done([NULL_ARRAY]))
    assert door.replies == [UNBLOCKED]


def test_a_client_that_goes_away_frees_its_place(door: Door) -> None:
    client = door.client()
    door.start(client=client)
    door.blockers.leave(client)
    assert len(door.router.cancelled) == 1
    assert not len(door.blockers)


def test_a_turn_that_comes_too_late_is_not_taken(door: Door) -> None:
    door.start("BLPOP a 0.5")
    door.rig.pass_time(1)
    door.hear(Done([b"a"]))
    assert door.router.requests == []
    assert door.replies == [NULL_ARRAY]


def test_no_majority_for_a_pop_sends_it_back_to_the_line(door: Door) -> None:
    door.start()
    door.hear(Done([b"a"]))
    door.hear(NotApplied(NoQuorum("no majority answered in time")))
    assert door.asked == "_BLOCK BLPOP a b 0"


def test_no_majority_for_the_first_try_is_told(door: Door) -> None:
    door.router.has_something = True
    door.start()
    door.hear(NotApplied(NoQuorum("no majority answered in time")))
    (reply,) = door.replies
    assert isinstance(reply, ErrorReply)
    assert reply.code == "CLUSTERDOWN"


def test_a_pop_of_unknown_fate_is_never_tried_again(door: Door) -> None:
    door.start()
    door.hear(Done([b"a"]))
    door.hear(Unknown(OutcomeUnknown("who knows")))
    (reply,) = door.replies
    assert isinstance(reply, ErrorReply)
    assert reply.code == "UNCERTAIN"
    assert door.router.requests == []


def test_too_many_waiters_are_told(door: Door) -> None:
    door.start()
    door.hear(NotApplied(Overloaded("waiters_max")))
    (reply,) = door.replies
    assert isinstance(reply, ErrorReply)
    assert reply.code == "OVERLOADED"


def test_a_change_of_leader_ends_it_at_the_cluster_door() -> None:
    door = Door(is_cluster=True)
    door.start()
    assert not door.router.requests[0].may_pass_on
    door.router.leaders[0] = "n2"
    door.hear(NotApplied(NotLeader("n2")))
    door.router.leaders[0] = None
    door.start()
    door.hear(NotApplied(NotLeader(None)))
    moved, lost = door.replies
    assert isinstance(moved, ErrorReply)
    assert moved.code == "MOVED"
    assert lost == LEADER_LOST


GROUP = "XREADGROUP GROUP g c BLOCK 0 STREAMS s >"
NO_GROUP = ErrorReply("NOGROUP", "No such key 's' or consumer group 'g' in XREADGROUP")


def test_a_consumer_is_told_what_became_of_its_group_and_stream(door: Door) -> None:
    for is_there in (1, 0):
        door.start(GROUP)
        door.hear(Done([b"s"]))
        assert door.asked == GROUP
        door.hear(Done([NO_GROUP]))
        assert door.asked == "EXISTS s"
        door.hear(Done([is_there]))
    door.start(GROUP)
    door.hear(Done([b"s"]))
    door.hear(Done([ErrorReply("WRONGTYPE", "")]))
    assert door.replies == [GROUP_GONE, STREAM_GONE, STREAM_GONE]


def test_a_consumer_that_comes_too_late_is_told_otherwise(door: Door) -> None:
    door.router.has_something = True
    door.start(GROUP)
    door.hear(Done([NO_GROUP]))
    assert door.replies == [NO_GROUP]
