"""What is passed on leaves in batches: who is held, for how long, and who is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimaran.cluster.slots import ShardId
from trimaran.node.gate import HOLD_MAX_NS
from trimaran.node.outbox import BATCH_WAIT_NS, Outbox
from trimaran.node.raft.types import NodeId
from trimaran.node.request import Forward

if TYPE_CHECKING:
    from collections.abc import Callable

    from trimaran.node.clock import Clock
    from trimaran.node.runtime import Runtime, Transport

PEER = NodeId("n2")


class Outside:
    """Clock, runtime and transport of an outbox, by hand."""

    def __init__(self) -> None:
        self.time_ns = 1_000_000_000
        self.sent: list[int] = []
        self._timers: list[tuple[int, Callable[[], None]]] = []

    def now_ns(self) -> int:
        return self.time_ns

    def call_later(self, delay_ns: int, callback: Callable[[], None]) -> None:
        self._timers.append((self.time_ns + delay_ns, callback))

    def forward(self, node: NodeId, forward: Forward) -> None:
        assert node == PEER
        self.sent.append(forward.id)

    def pass_ns(self, time_ns: int) -> None:
        self.time_ns += time_ns
        due = [callback for at_ns, callback in self._timers if at_ns <= self.time_ns]
        self._timers = [timer for timer in self._timers if timer[0] > self.time_ns]
        for callback in due:
            callback()


def make() -> tuple[Outbox, Outside]:
    outside = Outside()
    outbox = Outbox(
        clock=_as_clock(outside),
        runtime=_as_runtime(outside),
        transport=_as_transport(outside),
        wake=lambda: None,
    )
    return outbox, outside


# It is the part of each that an outbox needs.
def _as_clock(outside: Outside) -> Clock:
    return outside  # type: ignore[return-value]  # As above.


def _as_runtime(outside: Outside) -> Runtime:
    return outside  # type: ignore[return-value]  # As above.


def _as_transport(outside: Outside) -> Transport:
    return outside  # type: ignore[return-value]  # As above.


def passed_on(outbox: Outbox, *numbers: int, has_write: bool = True) -> None:
    for number in numbers:
        args = [b"SET", b"k", b"1"] if has_write else [b"GET", b"k"]
        forward = Forward(number, ShardId(0), 0, "", has_write, 0, 0, 0, 1000, [args])
        outbox.forward(PEER, forward)


def test_the_first_leaves_at_once_and_the_next_gather_until_it_is_answered() -> None:
    outbox, outside = make()
    passed_on(outbox, 1, 2, 3)
    assert outside.sent == [1]
    outbox.settled(PEER, 1, has_write=True)
    assert outside.sent == [1, 2, 3]


def test_a_slow_answer_holds_nobody_longer_than_the_bound() -> None:
    outbox, outside = make()
    passed_on(outbox, 1, 2)
    outside.pass_ns(BATCH_WAIT_NS - 1)
    assert outside.sent == [1]
    outside.pass_ns(1)
    assert outside.sent == [1, 2]


def test_a_batch_is_held_a_moment_for_those_who_were_just_answered() -> None:
    outbox, outside = make()
    passed_on(outbox, 1)
    outside.pass_ns(4 * HOLD_MAX_NS)
    passed_on(outbox, 2, 3, 4, 5)
    outbox.settled(PEER, 1, has_write=True)
    assert outside.sent == [1, 2, 3, 4, 5]  # One command alone is waited for by nobody.
    outside.pass_ns(2 * HOLD_MAX_NS)
    for number in (2, 3, 4, 5):
        outbox.settled(PEER, number, has_write=True)
    passed_on(outbox, 6, 7)
    assert outside.sent[5:] == []
    passed_on(outbox, 8)  # Three of the four are back.
    assert outside.sent[5:] == [6, 7, 8]


def test_those_who_do_not_come_back_are_not_waited_for_beyond_the_hold() -> None:
    outbox, outside = make()
    passed_on(outbox, 1)
    passed_on(outbox, 2, 3, 4, 5)
    outside.pass_ns(2 * HOLD_MAX_NS)
    outbox.settled(PEER, 1, has_write=True)
    for number in (2, 3, 4, 5):
        outbox.settled(PEER, number, has_write=True)
    passed_on(outbox, 6)
    outside.pass_ns(HOLD_MAX_NS)
    assert outside.sent == [1, 2, 3, 4, 5, 6]


def test_reads_do_not_wait_for_the_answers_of_writes() -> None:
    outbox, outside = make()
    passed_on(outbox, 1)
    passed_on(outbox, 2, has_write=False)
    assert outside.sent == [1, 2]


def test_what_is_given_up_before_it_left_is_never_sent() -> None:
    outbox, outside = make()
    passed_on(outbox, 1, 2, 3)
    outbox.settled(PEER, 2, has_write=True)
    outbox.settled(PEER, 1, has_write=True)
    assert outside.sent == [1, 3]
