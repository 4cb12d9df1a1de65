"""First come, first served, per key; nothing is offered twice, and nobody is overtaken."""

from __future__ import annotations

from random import Random

import pytest

from trimaran.node.data.waiters import ALL, Need, Waiter, WaiterId, Waiters
from trimaran.node.errors import Overloaded


class Shelf:
    """What there is, and who waits for it."""

    def __init__(self, waiters_max: int = 1_000) -> None:
        self.lists: dict[bytes, int] = {}
        self.sorted_sets: dict[bytes, int] = {}
        self.last_ids: dict[bytes, int] = {}
        self.now_ns = 0
        self.waiters = Waiters(self.available, waiters_max)

    def available(self, waiter: Waiter, key: bytes) -> int:
        match waiter.need:
            case Need.LIST:
                return self.lists.get(key, 0)
            case Need.SORTED_SET:
                return self.sorted_sets.get(key, 0)
            case _:
                behind = waiter.behind[waiter.keys.index(key)]
                return int(self.last_ids.get(key, 0) > int(behind))

    def wait(self, number: int, keys: str, **more: object) -> list[str]:
        names = tuple(key.encode() for key in keys)
        waiter = Waiter(WaiterId("n1", number), 0, names, Need.LIST)
        for name, value in more.items():
            setattr(waiter, name, value)
        self.now_ns += 1
        return told(self.waiters.wait(waiter, self.now_ns))

    def push(self, key: str, count: int = 1) -> list[str]:
        self.lists[key.encode()] = self.lists.get(key.encode(), 0) + count
        self.now_ns += 1
        return told(self.waiters.touched(0, key.encode(), self.now_ns))

    def pop(self, number: int, key: str, count: int = 1) -> list[str]:
        """One whose turn it is takes something."""
        self.lists[key.encode()] -= count
        return told(self.waiters.settle(WaiterId("n1", number), self.now_ns))

    def steal(self, key: str, count: int = 1) -> None:
        self.lists[key.encode()] -= count

    def resume(self, number: int) -> list[str]:
        return told(self.waiters.resume(WaiterId("n1", number), self.now_ns))

    def leave(self, number: int) -> list[str]:
        return told(self.waiters.settle(WaiterId("n1", number), self.now_ns))


def told(waiters: list[Waiter]) -> list[str]:
    return [f"{waiter.id.number} {(waiter.turn or b'').decode()}" for waiter in waiters]


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def test_one_push_is_offered_to_who_came_first(shelf: Shelf) -> None:
    for number in (1, 2, 3):
        assert shelf.wait(number, "a") == []
    assert shelf.push("a") == ["1 a"]
    assert shelf.push("a") == ["2 a"]
    assert shelf.pop(1, "a") == []
    assert shelf.push("a") == ["3 a"]


def test_one_push_of_several_serves_several_in_order(shelf: Shelf) -> None:
    for number in (1, 2, 3):
        shelf.wait(number, "a")
    assert shelf.push("a", 2) == ["1 a", "2 a"]


def test_what_is_there_already_is_offered_at_once(shelf: Shelf) -> None:
    shelf.push("b")
    assert shelf.wait(1, "ab") == ["1 b"]
    assert shelf.wait(2, "b") == []


def test_the_first_of_its_keys_that_has_something_is_offered(shelf: Shelf) -> None:
    shelf.push("c")
    shelf.push("b")
    assert shelf.wait(1, "abc") == ["1 b"]


def test_the_key_that_was_written_first_is_offered(shelf: Shelf) -> None:
    shelf.wait(1, "ab")
    assert shelf.push("b") == ["1 b"]
    assert shelf.push("a") == []


def test_a_pop_that_found_nothing_leaves_the_waiter_at_its_place(shelf: Shelf) -> None:
    shelf.wait(1, "a")
    shelf.wait(2, "a")
    assert shelf.push("a") == ["1 a"]
    shelf.steal("a")
    assert shelf.resume(1) == []
    assert shelf.push("a") == ["1 a"]
    assert shelf.push("a") == ["2 a"]


def test_who_got_nothing_is_offered_what_came_meanwhile(shelf: Shelf) -> None:
    shelf.wait(1, "ab")
    assert shelf.push("a") == ["1 a"]
    assert shelf.push("b") == []
    shelf.steal("a")
    assert shelf.resume(1) == ["1 b"]


def test_what_somebody_leaves_goes_to_the_next(shelf: Shelf) -> None:
    shelf.wait(1, "a")
    shelf.wait(2, "a")
    shelf.push("a")
    assert shelf.leave(1) == ["2 a"]


def test_one_that_leaves_without_a_turn_changes_nothing(shelf: Shelf) -> None:
    shelf.wait(1, "ab")
    shelf.wait(2, "a")
    assert shelf.leave(1) == []
    assert shelf.push("a") == ["2 a"]
    assert not shelf.waiters.waits_for(0, b"b")


def test_an_element_is_promised_to_who_has_the_turn(shelf: Shelf) -> None:
    shelf.wait(1, "a", takes=3)
    shelf.wait(2, "a")
    assert shelf.push("a", 2) == ["1 a"]
    assert shelf.push("a", 2) == ["2 a"]
    assert shelf.pop(1, "a", 3) == []
    assert shelf.wait(3, "a") == []


def test_a_newcomer_stands_behind_those_who_wait(shelf: Shelf) -> None:
    shelf.wait(1, "a")
    newcomer = Waiter(WaiterId("n2", 1), 0, (b"a", b"b"), Need.LIST)
    assert shelf.waiters.is_in_line(newcomer)
    assert not shelf.waiters.is_in_line(Waiter(WaiterId("n2", 2), 0, (b"b",), Need.LIST))
    assert not shelf.waiters.is_in_line(Waiter(WaiterId("n2", 2), 1, (b"a",), Need.LIST))
    assert not shelf.waiters.is_in_line(Waiter(WaiterId("n2", 2), 0, (b"a",), Need.SORTED_SET))
    shelf.push("a")
    assert shelf.waiters.is_in_line(newcomer), "its turn is not over"
    shelf.pop(1, "a")
    assert not shelf.waiters.is_in_line(newcomer)


def test_a_key_of_another_type_serves_those_who_need_that(shelf: Shelf) -> None:
    shelf.wait(1, "a")
    shelf.wait(2, "a", need=Need.SORTED_SET)
    shelf.sorted_sets[b"a"] = 1
    assert told(shelf.waiters.touched(0, b"a", 1)) == ["2 a"]
    shelf.sorted_sets.clear()
    assert shelf.leave(2) == []
    assert shelf.push("a") == ["1 a"]


def test_all_readers_of_a_stream_are_told_each_from_its_id_on(shelf: Shelf) -> None:
    shelf.wait(1, "s", need=Need.STREAM, takes=0, behind=(b"5",))
    shelf.wait(2, "s", need=Need.STREAM, takes=0, behind=(b"7",))
    shelf.wait(3, "s", need=Need.STREAM, takes=0, behind=(b"5",))
    shelf.last_ids[b"s"] = 6
    assert told(shelf.waiters.touched(0, b"s", 1)) == ["1 s", "3 s"]


def test_members_of_a_group_take_turns_and_groups_do_not_disturb_each_other(shelf: Shelf) -> None:
    for number, group in ((1, b"g"), (2, b"g"), (3, b"h")):
        shelf.wait(number, "s", need=Need.GROUP, takes=ALL, group=group, behind=(b"5",))
    shelf.last_ids[b"s"] = 6
    assert told(shelf.waiters.touched(0, b"s", 1)) == ["1 s", "3 s"]
    shelf.last_ids[b"s"] = 5
    assert shelf.leave(1) == []
    shelf.last_ids[b"s"] = 6
    assert told(shelf.waiters.touched(0, b"s", 1)) == ["2 s"]


def test_there_is_a_limit(shelf: Shelf) -> None:
    shelf = Shelf(waiters_max=2)
    shelf.wait(1, "a")
    shelf.wait(2, "a")
    with pytest.raises(Overloaded, match="waiters_max"):
        shelf.wait(3, "a")
    shelf.leave(2)
    shelf.wait(3, "a")


def test_a_node_out_of_reach_loses_its_turns_and_places(shelf: Shelf) -> None:
    shelf.wait(1, "a", id=WaiterId("n2", 1))
    shelf.wait(2, "a", id=WaiterId("n2", 2))
    shelf.wait(3, "a")
    assert shelf.push("a") == ["1 a"]
    assert told(shelf.waiters.leave("n2", 5)) == ["3 a"]
    assert len(shelf.waiters) == 1


def test_a_turn_that_is_not_taken_goes_to_the_next(shelf: Shelf) -> None:
    shelf.wait(1, "a")
    shelf.wait(2, "a")
    shelf.push("a")
    began_ns = shelf.now_ns
    assert told(shelf.waiters.overdue(began_ns, began_ns + 1)) == []
    assert told(shelf.waiters.overdue(began_ns + 1, began_ns + 1)) == ["2 a"]


def test_who_leads_no_longer_gives_all_back_in_order(shelf: Shelf) -> None:
    for number in (1, 2, 3):
        shelf.wait(number, "ab")
    shelf.push("b")
    assert [waiter.id.number for waiter in shelf.waiters.clear()] == [1, 2, 3]
    assert not shelf.waiters
    assert not shelf.waiters.waits_for(0, b"a")
    assert shelf.push("a") == []


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_nobody_is_overtaken_and_nothing_is_offered_twice(seed: int) -> None:
    rng = Random(seed)

    def among(count: int) -> int:
        return int(rng.random() * count)

    shelf = Shelf()
    waiting: list[tuple[int, str]] = []  # Number and keys, in the order of coming.
    turns: dict[int, str] = {}
    number = 0

    def note(lines: list[str]) -> None:
        for line in lines:
            who, key = line.split()
            assert int(who) not in turns
            turns[int(who)] = key
            in_front = [one for one, keys in waiting if one < int(who) and key in keys]
            assert all(one in turns for one in in_front), "overtaken"

    for _ in range(400):
        match among(6):
            case 0 | 1:
                number += 1
                keys = "abc"[among(3) :][: 1 + among(3)]
                waiting.append((number, keys))
                note(shelf.wait(number, keys))
            case 2 | 3:
                note(shelf.push("abc"[among(3)], 1 + among(3)))
            case 4 if turns:
                who = list(turns)[among(len(turns))]
                key = turns.pop(who)
                if shelf.lists[key.encode()]:
                    waiting = [one for one in waiting if one[0] != who]
                    note(shelf.pop(who, key))
                else:
                    note(shelf.resume(who))
            case 5 if shelf.lists.get(b"a"):
                shelf.steal("a")
            case _ if waiting:
                who = waiting[among(len(waiting))][0]
                waiting = [one for one in waiting if one[0] != who]
                turns.pop(who, None)
                note(shelf.leave(who))
        for key in "abc":
            left = shelf.lists.get(key.encode(), 0) - list(turns.values()).count(key)
            # Whoever waits for what is there is waiting for somebody in front of it.
            idle = [who for who, keys in waiting if key in keys and who not in turns]
            assert left <= 0 or not idle, (key, left, idle)
    assert len(shelf.waiters) == len(waiting)
