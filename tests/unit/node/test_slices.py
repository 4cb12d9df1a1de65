"""How long one go may take, and how often it is looked at."""

from __future__ import annotations

from trimaran.node.slices import COMMANDS_MAX, LOOK_NS, Slice

US, MS = 1_000, 1_000_000


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now_ns = 0

    def now(self) -> int:
        return self.now_ns


def run(piece: Slice, clock: Hand, takes_ns: int) -> list[int]:
    """What was given in one slice, if each command takes so long."""
    given = []
    while count := piece.take():
        given.append(count)
        clock.now_ns += count * takes_ns
    return given


def test_few_slow_commands_that_end_before_they_are_looked_at_count_too() -> None:
    clock = Hand()
    piece = Slice(clock.now)
    for _ in range(3):
        piece.begin(2 * MS)
        before = piece.take()
        clock.now_ns += 10 * MS
        piece.leave()
    assert before <= 2


def test_quick_commands_are_looked_at_seldom() -> None:
    clock = Hand()
    piece = Slice(clock.now)
    for _ in range(20):
        given = run(piece.begin(2 * MS), clock, 1 * US)
    assert set(given) == {COMMANDS_MAX}


def test_a_slice_of_slow_commands_ends_with_the_first_that_is_over_its_time() -> None:
    clock = Hand()
    piece = Slice(clock.now)
    run(piece.begin(2 * MS), clock, 1 * MS)
    assert run(piece.begin(2 * MS), clock, 1 * MS) == [1, 1]
    assert run(piece.begin(2 * MS), clock, 30 * MS) == [1]


def test_after_slow_commands_it_is_looked_at_often_for_a_while() -> None:
    clock = Hand()
    piece = Slice(clock.now)
    run(piece.begin(20 * MS), clock, 10 * MS)
    given = run(piece.begin(1 * MS), clock, 10 * US)
    assert given[:4] == [1, 2, 3, 4]
    assert max(given) * 10 * US <= LOOK_NS + 10 * US


def test_what_others_did_between_two_goes_of_a_slice_is_not_held_against_the_commands() -> None:
    clock = Hand()
    piece = Slice(clock.now).begin(20 * MS)
    before = piece.take()
    piece.leave()
    clock.now_ns += 5 * MS
    assert piece.take() == before


def test_a_slice_that_is_over_gives_nothing() -> None:
    clock = Hand()
    piece = Slice(clock.now).begin(1 * MS)
    clock.now_ns += 1 * MS
    assert piece.take() == 0
