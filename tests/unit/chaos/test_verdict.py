"""Broken histories are found, whole ones are not accused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...chaos.verdict import judge
from ...sim.history import History

if TYPE_CHECKING:
    from ...sim.linearizability import Answer, Command

COUNTER, LOG, REGISTER = b"1/counter:0", b"0/log:3", b"0/register:0"
INCR: Command = (b"INCRBY", b"1")
GET: Command = (b"GET",)


def _ask(history: History, key: bytes, command: Command, answer: Answer) -> None:
    history.answer(history.invoke(1, key, (command,)), (answer,))


def _append(token: bytes) -> Command:
    return (b"APPEND", token)


def test_a_whole_history_is_not_accused() -> None:
    history = History()
    _ask(history, COUNTER, INCR, 1)
    history.invoke(2, COUNTER, (INCR,))  # Its outcome is never known.
    _ask(history, COUNTER, GET, b"2")
    _ask(history, LOG, _append(b"<1>"), 3)
    _ask(history, LOG, GET, b"<1>")
    _ask(history, REGISTER, GET, None)
    judgement = judge(history)
    assert judgement.violations == []
    assert (judgement.keys, judgement.operations) == (3, 6)


def test_a_lost_increment_is_found() -> None:
    history = History()
    _ask(history, COUNTER, INCR, 1)
    _ask(history, COUNTER, INCR, 2)
    _ask(history, COUNTER, GET, b"1")
    (violation,) = judge(history).violations
    assert "is 1 after 2 acknowledged of 2 increments" in violation
    assert "went back from 2 to 1" in violation


def test_an_increment_applied_twice_is_found() -> None:
    history = History()
    _ask(history, COUNTER, INCR, 1)
    _ask(history, COUNTER, GET, b"2")
    (violation,) = judge(history).violations
    assert "is 2 after 1 acknowledged of 1 increments" in violation


def test_a_lost_append_is_named() -> None:
    history = History()
    _ask(history, LOG, _append(b"<1>"), 3)
    _ask(history, LOG, _append(b"<2>"), 6)
    _ask(history, LOG, GET, b"<2>")
    (violation,) = judge(history).violations
    assert "acknowledged but missing: [b'<1>']" in violation


def test_an_append_of_unknown_outcome_that_is_there_twice_is_named() -> None:
    history = History()
    history.invoke(1, LOG, (_append(b"<1>"),))
    _ask(history, LOG, GET, b"<1><1>")
    (violation,) = judge(history).violations
    assert "applied twice: [b'<1>']" in violation


def test_a_read_that_goes_back_in_time_is_found_though_the_end_is_right() -> None:
    history = History()
    _ask(history, LOG, _append(b"<1>"), 3)
    _ask(history, LOG, GET, None)
    _ask(history, LOG, GET, b"<1>")
    (violation,) = judge(history).violations
    assert "went back from 3 to 0" in violation


def test_a_stale_read_of_a_register_is_found() -> None:
    history = History()
    _ask(history, REGISTER, (b"SET", b"<1>"), b"OK")
    _ask(history, REGISTER, (b"SET", b"<2>"), b"OK")
    _ask(history, REGISTER, GET, b"<1>")
    _ask(history, REGISTER, GET, b"<2>")
    (violation,) = judge(history).violations
    assert "not linearizable" in violation
