"""Planted bugs in how clients wait for data. Only runs that have such clients can show them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimaran.node import router
from trimaran.node.turns import Turns

from .planted import Bug

if TYPE_CHECKING:
    from trimaran.node.request import Request


def _tell_nobody(self: Turns, now_ns: int) -> None:
    self._keys.take_touched()


def _keep_all(self: Turns) -> list[Request]:
    return []


def _always_told(request: Request) -> int:
    return 0 if request.waiter is None else request.waiter.number


BUGS = (
    Bug(
        "a push wakes nobody",
        "A6",
        "not finished",
        patches=((Turns, "wake", _tell_nobody),),
        caught_by="test_who_came_first_is_served_first",
    ),
    Bug(
        "who leads no longer keeps its waits",
        "A6",
        "not finished|has forgotten",
        patches=((Turns, "give_back", _keep_all),),
        caught_by="test_a_leader_that_was_cut_off_gives_up_its_waits",
    ),
    Bug(
        "a pop that may have been applied queues up",
        "A6",
        "are lost",
        patches=((router, "waiter_told", _always_told),),
        caught_by="test_only_the_first_try_of_a_pop_names_its_waiter",
    ),
)
