"""Waits for data over whole nodes: who holds them, who is told, and what a lost leader changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trimaran.cluster.slots import ShardId
from trimaran.node.data.waiters import WaiterId
from trimaran.node.errors import NotLeader, Overloaded
from trimaran.node.request import NotApplied
from trimaran.node.router import waiter_told
from trimaran.node.turns import AT_ONCE, BLOCK, TURN_NS
from trimaran.node.waits import FOREVER_NS, REFRESH_NS
from trimaran.proto.reply import NULL_ARRAY

from ...sim.schedule import MS
from .rig import Rig, asked

if TYPE_CHECKING:
    from .rig import Asked


class Waiting:
    """Clients of nodes that wait, as their doors do it."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.numbers = 0

    def send(
        self, name: str, text: str, number: int, *, has_write: bool, may_pass_on: bool = True
    ) -> Asked:
        one = asked(text, may_pass_on=may_pass_on)
        request = one.request
        request.has_write = has_write
        request.waiter = WaiterId(name, number)
        request.deadline_ns = FOREVER_NS
        self.rig.process(name).ask(request, one.outcomes.append)
        return one

    def wait(self, name: str, text: str = "BLPOP k 0", *, may_pass_on: bool = True) -> Asked:
        self.numbers += 1
        command = f"{BLOCK.decode()} {text}"
        return self.send(name, command, self.numbers, has_write=False, may_pass_on=may_pass_on)

    def pop(self, name: str, number: int, text: str = "BLPOP k 0") -> Asked:
        return self.send(name, text, number, has_write=True)

    def until_held(self, count: int) -> None:
        self.rig.until(lambda: self.held() == count)

    def held(self) -> int:
        """How many waits the leader knows."""
        leader = self.rig.leader()
        return 0 if leader is None else len(self.rig.shard(leader).turns)


@pytest.fixture
def rig() -> Rig:
    return Rig(3, 1).settle()


@pytest.fixture
def clients(rig: Rig) -> Waiting:
    return Waiting(rig)


def names(rig: Rig) -> tuple[str, str, str]:
    """The leader, and the others."""
    leader = rig.leader()
    assert leader is not None
    first, second = rig.others(leader)
    return leader, first, second


def test_every_nodes_clients_are_told_in_the_order_in_which_they_came(
    rig: Rig, clients: Waiting
) -> None:
    leader, first, second = names(rig)
    waits = {}
    for number, name in enumerate((first, leader, second), 1):
        waits[name] = clients.wait(name)
        clients.until_held(number)
    rig.do(second, "RPUSH k 1 2 3")
    rig.until(lambda: all(one.outcome for one in waits.values()))
    assert all(one.replies == [b"k"] for one in waits.values())
    # Theirs comes in another order, and is carried out in the right one.
    pops = {name: clients.pop(name, number) for number, name in ((2, leader), (3, second))}
    rig.run(20 * MS)
    assert not any(one.outcome for one in pops.values())
    pops[first] = clients.pop(first, 1)
    rig.until(lambda: all(one.outcome for one in pops.values()))
    assert pops[first].replies == [[b"k", b"1"]]
    assert pops[leader].replies == [[b"k", b"2"]]
    assert pops[second].replies == [[b"k", b"3"]]
    assert not rig.shard(leader).turns


def test_what_is_there_when_a_wait_comes_is_offered_at_once(rig: Rig, clients: Waiting) -> None:
    _, first, _ = names(rig)
    rig.do(first, "RPUSH k 1")
    one = clients.wait(first)
    rig.until(lambda: one.outcome)
    assert one.replies == [b"k", AT_ONCE]


def test_a_newcomer_that_only_tries_takes_nothing_from_who_waits(
    rig: Rig, clients: Waiting
) -> None:
    leader, first, second = names(rig)
    wait = clients.wait(first)
    clients.until_held(1)
    rig.isolate(first)  # Its turn takes a while to arrive.
    rig.do(leader, "RPUSH k 1")
    one = clients.pop(second, 99)
    rig.until(lambda: one.outcome)
    assert one.replies == [NULL_ARRAY]
    rig.heal()
    rig.until(lambda: wait.outcome)


def test_a_wait_outlives_its_leader(rig: Rig, clients: Waiting) -> None:
    leader, first, second = names(rig)
    waits = [clients.wait(first), clients.wait(second)]
    clients.until_held(2)
    rig.kill(leader)
    rig.until(lambda: rig.leader() not in (None, leader))
    clients.until_held(2)
    assert not any(one.outcome for one in waits)
    rig.do(first, "RPUSH k 1 2")
    rig.until(lambda: all(one.outcome for one in waits))
    assert [one.replies for one in waits] == [[b"k"], [b"k"]]


def test_at_the_cluster_door_a_wait_ends_with_its_leader(rig: Rig, clients: Waiting) -> None:
    leader, _, _ = names(rig)
    one = clients.wait(leader, may_pass_on=False)
    clients.until_held(1)
    rig.isolate(leader)
    rig.until(lambda: one.outcome)
    assert isinstance(one.outcome, NotApplied)
    assert isinstance(one.outcome.error, NotLeader)
    assert not rig.shard(leader).turns


def test_a_leader_that_was_cut_off_gives_up_its_waits(rig: Rig, clients: Waiting) -> None:
    leader, _, _ = names(rig)
    own = clients.wait(leader)
    clients.until_held(1)
    rig.isolate(leader)
    rig.until(lambda: not rig.shard(leader).turns)
    assert own.outcome is None
    rig.heal()
    clients.until_held(1)  # With the next one, or with itself.


def test_the_places_of_a_node_that_is_gone_are_given_up(rig: Rig, clients: Waiting) -> None:
    leader, first, second = names(rig)
    clients.wait(first)
    clients.until_held(1)
    last = clients.wait(second)
    clients.until_held(2)
    rig.kill(first)
    clients.until_held(1)
    rig.do(leader, "RPUSH k 1")
    rig.until(lambda: last.outcome)


@pytest.mark.parametrize("is_registered", [True, False])
@pytest.mark.parametrize("is_local", [True, False])
def test_a_wait_that_is_called_off_leaves_no_place(
    rig: Rig, clients: Waiting, *, is_registered: bool, is_local: bool
) -> None:
    leader, first, _ = names(rig)
    name = leader if is_local else first
    one = clients.wait(name)
    if is_registered:
        clients.until_held(1)
    rig.node(name).router.cancel(one.request)
    rig.run(100 * MS)
    assert clients.held() == 0
    assert one.outcome is None


def test_a_turn_that_nobody_takes_goes_to_the_next(rig: Rig, clients: Waiting) -> None:
    leader, first, second = names(rig)
    for number, name in enumerate((first, second), 1):
        clients.wait(name)
        clients.until_held(number)
    rig.do(leader, "RPUSH k 1 2")
    late = clients.pop(second, 2)
    rig.run(TURN_NS // 2)
    assert late.outcome is None
    rig.until(lambda: late.outcome)
    assert late.replies == [[b"k", b"1"]]


def test_a_wait_that_the_leader_has_forgotten_is_asked_again(rig: Rig, clients: Waiting) -> None:
    leader, first, _ = names(rig)
    one = clients.wait(first)
    clients.until_held(1)
    rig.shard(leader).turns.node_left(first, 0)  # It believed that the node was gone.
    rig.run(REFRESH_NS + 100 * MS)
    assert clients.held() == 1
    rig.do(leader, "RPUSH k 1")
    rig.until(lambda: one.outcome)


def test_a_pop_that_may_have_been_applied_is_asked_of_the_log(rig: Rig, clients: Waiting) -> None:
    """Else it would be told to queue up, and what it has taken would be nobody's."""
    leader, first, second = names(rig)
    rig.do(first, "RPUSH k 1 2")
    pop = clients.pop(first, 7)
    rig.until(lambda: len(rig.shard(leader).keys.look(0, b"k")) == 1)
    rig.kill(leader)  # Its answer may be on its way, or never was.
    clients.wait(second)
    rig.until(lambda: pop.outcome)
    assert pop.replies == [[b"k", b"1"]]


def test_only_the_first_try_of_a_pop_names_its_waiter() -> None:
    request = asked("BLPOP k 0").request
    request.waiter = WaiterId("n1", 7)
    assert waiter_told(request) == 7
    request.is_uncertain = True
    assert waiter_told(request) == 0


def test_a_shard_where_clients_only_wait_is_idle(rig: Rig, clients: Waiting) -> None:
    leader, first, _ = names(rig)
    clients.wait(first)
    clients.until_held(1)
    rig.run(100 * MS)
    assert rig.shard(leader).is_idle


def test_over_waiters_max_a_shard_takes_no_more() -> None:
    rig = Rig(3, 1, waiters_max=1).settle()
    clients = Waiting(rig)
    _, first, second = names(rig)
    clients.wait(first)
    clients.until_held(1)
    refused = clients.wait(second)
    rig.until(lambda: refused.outcome)
    assert isinstance(refused.outcome, NotApplied)
    assert isinstance(refused.outcome.error, Overloaded)


def test_a_shard_that_halts_holds_no_waits() -> None:
    rig = Rig(3, 1, watches_halts=False).settle()
    clients = Waiting(rig)
    leader, _, _ = names(rig)
    one = clients.wait(leader)
    clients.until_held(1)
    shard = rig.shard(leader)
    shard._halt(AssertionError("planted"))
    assert not shard.turns
    assert one.outcome is None
    assert ShardId(0) in rig.node(leader).engine.shards
