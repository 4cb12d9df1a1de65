"""A leader's waits on a real keyspace: who is told, when, and what becomes of his turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trimaran.cluster.slots import ShardId
from trimaran.node.commands import Context
from trimaran.node.commands.blocking import available, narrowed
from trimaran.node.data.waiters import ALL, Need, Waiter, WaiterId
from trimaran.node.errors import Overloaded
from trimaran.node.request import Done, NotApplied, Outcome, Request
from trimaran.node.turns import AT_ONCE, BLOCK, FORGOTTEN_NS, TURN_NS, Turns

from ...model.driver import Driver, Word, words
from ..commands.test_blocking import HANDLERS

if TYPE_CHECKING:
    from trimaran.proto.reply import Reply

SHARD = ShardId(0)


class Leader:
    """A keyspace with waits; `told` is what clients heard, by number."""

    def __init__(self, waiters_max: int = 100) -> None:
        self.driver = Driver()
        self.turns = Turns(self.driver.keys, waiters_max)
        self.told: list[tuple[int, Outcome]] = []
        self.commands: dict[int, list[bytes]] = {}
        self.now_ns = 0

    def request(self, number: int, command: list[bytes], node: str = "n1") -> Request:
        return Request(
            SHARD,
            0,
            [command],
            has_write=command[0] != BLOCK,
            deadline_ns=1 << 62,
            complete=lambda outcome: self.told.append((number, outcome)),
            waiter=WaiterId(node, number),
        )

    def wait(self, number: int, text: str, node: str = "n1") -> None:
        self.commands[number] = words(*text.split())
        request = self.request(number, [BLOCK, *self.commands[number]], node)
        self.turns.wait(request, self.now_ns)

    def write(self, *args: Word) -> None:
        self.now_ns += 1
        self.driver.run(*args)
        self.turns.wake(self.now_ns)

    def pop(self, number: int, key: bytes) -> Reply:
        """The pop that a turn is for, applied."""
        command = narrowed(self.commands[number], key)
        self.turns.admit(self.request(number, command))
        keys = self.driver.keys
        keys.enter(0, self.driver.now_ms, is_read=False)
        reply = HANDLERS[command[0]](keys, command, Context(0, self.driver.now_ms, 1))
        self.turns.popped(self.request(number, command), reply, self.now_ns)
        return reply

    def heard(self) -> list[tuple[int, Reply]]:
        told, self.told = self.told, []
        found: list[tuple[int, Reply]] = []
        for number, outcome in told:
            assert isinstance(outcome, Done)
            found.append((number, outcome.replies[0]))
        return found


@pytest.fixture
def leader() -> Leader:
    return Leader()


def test_a_push_gives_a_turn_and_the_pop_ends_it(leader: Leader) -> None:
    leader.wait(1, "BLPOP a b 0")
    leader.wait(2, "BLPOP b 0")
    assert leader.heard() == []
    leader.write("RPUSH", "b", "1", "2")
    assert leader.heard() == [(1, b"b"), (2, b"b")]
    assert leader.pop(1, b"b") == [b"b", b"1"]
    assert leader.pop(2, b"b") == [b"b", b"2"]
    assert not leader.turns


def test_what_is_there_when_the_wait_is_served_is_offered_at_once(leader: Leader) -> None:
    leader.write("RPUSH", "a", "1")
    leader.wait(1, "BLMOVE a b LEFT LEFT 0")
    assert leader.heard() == [(1, b"a")]


def test_who_is_robbed_keeps_his_place_and_asks_again(leader: Leader) -> None:
    leader.wait(1, "BLPOP a 0")
    leader.wait(2, "BLPOP a 0")
    leader.write("RPUSH", "a", "1")
    assert leader.heard() == [(1, b"a")]
    leader.write("LPOP", "a")
    assert leader.pop(1, b"a") is not None
    leader.wait(1, "BLPOP a 0")
    leader.write("RPUSH", "a", "2")
    assert leader.heard() == [(1, b"a")]


def test_a_turn_that_begins_before_he_asks_again_is_not_lost(leader: Leader) -> None:
    leader.wait(1, "BLPOP a 0")
    leader.write("RPUSH", "a", "1")
    leader.write("LPOP", "a")
    leader.pop(1, b"a")
    leader.write("RPUSH", "a", "2")
    assert leader.heard() == [(1, b"a")]
    leader.wait(1, "BLPOP a 0")
    assert leader.heard() == [(1, b"a")]
    assert leader.pop(1, b"a") == [b"a", b"2"]


def test_a_newcomer_queues_up(leader: Leader) -> None:
    leader.wait(1, "BLPOP a 0")
    leader.write("RPUSH", "a", "1")
    assert leader.turns.must_queue(leader.request(2, words("BLPOP", "b", "a", 0)))
    assert not leader.turns.must_queue(leader.request(2, words("BLPOP", "b", 0)))
    assert not leader.turns.must_queue(leader.request(1, words("BLPOP", "a", 0))), "his own turn"


def test_a_key_of_a_type_that_nobody_waits_for_changes_nothing(leader: Leader) -> None:
    leader.wait(1, "BLPOP a 0")
    leader.wait(2, "BZPOPMIN a 0")
    assert leader.driver.keys.awaited is not None
    leader.write("SET", "a", "x")
    assert leader.heard() == []
    leader.write("DEL", "a")
    leader.write("ZADD", "a", 1, "m")
    assert leader.heard() == [(2, b"a")]


def test_readers_of_streams_are_told_of_what_is_behind_their_ids(leader: Leader) -> None:
    leader.write("XADD", "s", "5-0", "f", "v")
    leader.wait(1, "XREAD BLOCK 0 STREAMS s 5-0")
    leader.wait(2, "XREAD BLOCK 0 STREAMS s 7-0")
    assert leader.heard() == []
    leader.write("XADD", "s", "6-0", "f", "v")
    assert leader.heard() == [(1, b"s")]


def test_a_consumer_is_told_that_its_group_is_gone(leader: Leader) -> None:
    leader.write("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
    leader.wait(1, "XREADGROUP GROUP g c BLOCK 0 STREAMS s >")
    assert leader.heard() == []
    leader.write("DEL", "s")
    assert leader.heard() == [(1, b"s")]


def test_who_comes_to_a_key_of_another_type_is_sent_to_hear_it(leader: Leader) -> None:
    leader.write("SET", "a", "x")
    leader.wait(1, "BLPOP b a 0")
    (number, outcome), *_ = leader.told
    assert (number, outcome) == (1, Done([b"a", AT_ONCE]))
    assert not leader.turns


def test_nothing_is_noted_where_nobody_waits(leader: Leader) -> None:
    keys = leader.driver.keys
    leader.wait(1, "BLPOP a 0")
    leader.driver.run("RPUSH", "b", "1")
    assert keys.take_touched() == []
    leader.driver.run("RPUSH", "a", "1")
    assert keys.take_touched() == [(0, b"a")]
    leader.driver.run("FLUSHALL")
    assert keys.take_touched() == [(0, b"a")]
    leader.turns.leave(WaiterId("n1", 1), 0)
    assert keys.awaited is None


def test_looking_what_is_there_counts_as_no_read(leader: Leader) -> None:
    leader.write("RPUSH", "a", "1")
    keys = leader.driver.keys
    before = keys.hits, keys.misses, keys.digest()
    for need in Need:
        waiter = Waiter(WaiterId("n1", 1), 0, (b"a",), need, ALL, b"g", (b"0-0",))
        available(keys, waiter, b"a")
    assert (keys.hits, keys.misses, keys.digest()) == before


def test_a_turn_that_is_not_taken_goes_to_the_next(leader: Leader) -> None:
    leader.wait(1, "BLPOP a 0")
    leader.wait(2, "BLPOP a 0")
    leader.write("RPUSH", "a", "1")
    leader.heard()
    leader.turns.tick(leader.now_ns + TURN_NS, "n1")
    assert leader.heard() == []
    leader.turns.tick(leader.now_ns + TURN_NS + 1, "n1")
    assert leader.heard() == [(2, b"a")]
    assert leader.turns.must_queue(leader.request(1, words("BLPOP", "a", 0))), "he is late"


def test_who_leaves_hands_his_turn_on(leader: Leader) -> None:
    leader.wait(1, "BLPOP a 0", node="n2")
    leader.wait(2, "BLPOP a 0")
    leader.wait(3, "BLPOP a 0", node="n2")
    leader.write("RPUSH", "a", "1")
    assert leader.heard() == [(1, b"a")]
    leader.turns.node_left("n2", leader.now_ns)
    assert leader.heard() == [(2, b"a")]
    assert len(leader.turns) == 1


def test_too_many_are_refused(leader: Leader) -> None:
    leader = Leader(waiters_max=1)
    leader.wait(1, "BLPOP a 0")
    leader.wait(2, "BLPOP a 0")
    ((number, outcome),) = leader.told
    assert number == 2
    assert isinstance(outcome, NotApplied)
    assert isinstance(outcome.error, Overloaded)


def test_lost_leadership_gives_the_waits_back_in_order(leader: Leader) -> None:
    for number in (1, 2, 3):
        leader.wait(number, "BLPOP a 0")
    leader.write("RPUSH", "a", "1")
    requests = leader.turns.give_back()
    assert [one.waiter.number for one in requests if one.waiter is not None] == [2, 3]
    assert not leader.turns


def test_pops_are_carried_out_in_the_order_of_their_turns(leader: Leader) -> None:
    pops = {}
    for number in (1, 2, 3):
        leader.wait(number, "BLPOP a 0", node=f"n{number}")
        pops[number] = leader.request(number, words("BLPOP", "a", 0), f"n{number}")
    leader.write("RPUSH", "a", "1", "2", "3")
    assert leader.turns.admit(pops[2]) == []
    assert leader.turns.admit(pops[3]) == []
    assert leader.turns.admit(pops[1]) == [pops[1], pops[2], pops[3]]


def test_a_pop_that_comes_twice_waits_for_nobody(leader: Leader) -> None:
    # Its first copy was let through: nobody would ever let the second one go on.
    for number in (1, 2):
        leader.wait(number, "BLPOP k 0")
    leader.write("RPUSH", "k", "a", "b")
    first = leader.request(1, words("BLPOP", "k", "0"))
    assert leader.turns.admit(first) == [first]
    again = leader.request(1, words("BLPOP", "k", "0"))
    assert leader.turns.admit(again) == [again]
    second = leader.request(2, words("BLPOP", "k", "0"))
    assert leader.turns.admit(second) == [second]


def test_a_pop_does_not_wait_for_one_that_will_not_come(leader: Leader) -> None:
    for number in (1, 2):
        leader.wait(number, "BLPOP a 0", node=f"n{number}")
    leader.write("RPUSH", "a", "1", "2")
    second = leader.request(2, words("BLPOP", "a", 0), "n2")
    assert leader.turns.admit(second) == []
    assert leader.turns.released() == []
    leader.turns.node_left("n1", leader.now_ns)
    assert leader.turns.released() == [second]


def test_pops_that_wait_for_others_are_given_back_with_the_waits(leader: Leader) -> None:
    for number in (1, 2):
        leader.wait(number, "BLPOP a 0", node=f"n{number}")
    leader.write("RPUSH", "a", "1", "2")
    second = leader.request(2, words("BLPOP", "a", 0), "n2")
    leader.turns.admit(second)
    assert leader.turns.give_back() == [second]


def test_a_wait_that_its_node_does_not_ask_for_again_is_forgotten(leader: Leader) -> None:
    leader.wait(1, "BLPOP a 0", node="n2")
    leader.wait(2, "BLPOP a 0")
    leader.wait(3, "BLPOP a 0", node="n3")
    leader.now_ns += FORGOTTEN_NS - 1
    leader.wait(3, "BLPOP a 0", node="n3")
    leader.turns.tick(leader.now_ns + 1, "n1")
    assert len(leader.turns) == 2
    leader.write("RPUSH", "a", "1", "2")
    assert leader.heard() == [(2, b"a"), (3, b"a")]
