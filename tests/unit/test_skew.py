"""Correctness A2: whose clock is wrong, and that nobody believes so for ever."""

from __future__ import annotations

import pytest

from trimaran.node.raft.types import NodeId
from trimaran.node.skew import LIFETIME_NS, WINDOW_NS, ClockOffsets

TWO, THREE = NodeId("n2"), NodeId("n3")
SECOND_NS = 1_000_000_000
LIMIT_MS = 5_000


class Machine:
    """A node's two clocks."""

    def __init__(self) -> None:
        self.now_ns = 50 * SECOND_NS
        self.wall_ms = 1_700_000_000_000
        self.offsets = ClockOffsets()

    def pass_ms(self, passed_ms: int) -> None:
        self.now_ns += passed_ms * 1_000_000
        self.wall_ms += passed_ms

    def hear(self, node: NodeId, ahead_ms: int) -> None:
        self.offsets.note(
            node, remote_ms=self.wall_ms + ahead_ms, local_ms=self.wall_ms, now_ns=self.now_ns
        )

    @property
    def is_far(self) -> bool:
        return self.offsets.is_far(LIMIT_MS, local_ms=self.wall_ms, now_ns=self.now_ns)

    def known(self) -> dict[NodeId, int]:
        return self.offsets.all_ms(local_ms=self.wall_ms, now_ns=self.now_ns)


@pytest.mark.parametrize(
    ("two_ms", "three_ms"), [(0, 0), (6_000, 0), (6_000, -6_000), (4_900, 4_900)]
)
def test_a_clock_is_not_far_while_the_middle_of_all_clocks_is_near(
    two_ms: int, three_ms: int
) -> None:
    machine = Machine()
    machine.hear(TWO, two_ms)
    machine.hear(THREE, three_ms)
    assert not machine.is_far


@pytest.mark.parametrize("ahead_ms", [6_000, -6_000])
def test_a_clock_is_far_when_the_middle_of_all_clocks_is(ahead_ms: int) -> None:
    machine = Machine()
    machine.hear(TWO, ahead_ms)
    machine.hear(THREE, ahead_ms + ahead_ms // 6)
    assert machine.is_far


def test_of_two_clocks_that_differ_neither_is_called_wrong() -> None:
    machine = Machine()
    machine.hear(TWO, 60_000)
    assert not machine.is_far


def test_a_delayed_batch_does_not_make_a_clock_late() -> None:
    machine = Machine()
    for ahead_ms in (-3, -900, -2):
        machine.hear(TWO, ahead_ms)
        machine.pass_ms(10)
    assert machine.known() == {TWO: -2}


def test_a_clock_that_was_put_right_is_believed_within_two_windows() -> None:
    machine = Machine()
    machine.hear(TWO, 9_000)
    for _ in range(3):
        machine.pass_ms(WINDOW_NS // 1_000_000)
        machine.hear(TWO, 0)
    assert machine.known() == {TWO: 0}


def test_what_is_not_heard_of_is_forgotten() -> None:
    machine = Machine()
    machine.hear(TWO, 9_000)
    machine.hear(THREE, 9_000)
    assert machine.is_far
    machine.pass_ms(LIFETIME_NS // 1_000_000)
    assert not machine.is_far


def test_a_step_of_the_own_clock_is_seen_without_hearing_from_anybody() -> None:
    machine = Machine()
    machine.hear(TWO, 0)
    machine.hear(THREE, 0)
    machine.wall_ms += 3_600_000
    assert machine.is_far
    assert machine.known() == {TWO: -3_600_000, THREE: -3_600_000}


def test_nodes_that_are_set_together_trust_one_another_again() -> None:
    machine = Machine()
    machine.hear(TWO, 0)
    machine.hear(THREE, 0)
    machine.wall_ms -= 3_600_000
    assert machine.is_far
    for _ in range(3):
        machine.pass_ms(1_000)
        machine.hear(TWO, 0)
        machine.hear(THREE, 0)
    assert not machine.is_far
