"""A command that comes again under its session is answered, not run again (correctness A8)."""

from __future__ import annotations

import pytest

from trimaran.node.data.sessions import FULL, Lookup, Sessions
from trimaran.node.errors import CommandError


def opened(**limits: int) -> Sessions:
    sessions = Sessions(**limits)
    assert sessions.register(7, 60_000, 1000) == 7
    return sessions


def answer(sessions: Sessions, sequence: int, floor: int = 0) -> None:
    assert sessions.lookup(7, sequence, floor, 1000) is Lookup.NEW
    sessions.keep(7, sequence, b"reply %d" % sequence)


def test_a_command_that_comes_again_gets_the_reply_that_was_kept() -> None:
    sessions = opened()
    answer(sessions, 1)
    assert sessions.lookup(7, 1, 0, 1000) == b"reply 1"


def test_an_unknown_session_is_refused_and_not_made() -> None:
    sessions = opened()
    assert sessions.lookup(8, 1, 0, 1000) is Lookup.UNKNOWN_SESSION
    assert len(sessions) == 1


def test_sequences_may_have_gaps_and_come_in_any_order() -> None:
    sessions = opened()
    for sequence in (5, 2, 900):
        answer(sessions, sequence)
    assert sessions.lookup(7, 2, 0, 1000) == b"reply 2"


def test_what_is_below_the_floor_is_refused_and_forgotten() -> None:
    sessions = opened()
    for sequence in (1, 2, 3):
        answer(sessions, sequence)
    assert sessions.lookup(7, 4, 3, 1000) is Lookup.NEW
    assert sessions.lookup(7, 2, 0, 1000) is Lookup.BELOW_FLOOR
    assert sessions.lookup(7, 3, 0, 1000) == b"reply 3"
    (session,) = sessions
    assert list(session.replies) == [3]


def test_the_floor_never_falls() -> None:
    sessions = opened()
    answer(sessions, 10, floor=10)
    assert sessions.lookup(7, 9, 1, 1000) is Lookup.BELOW_FLOOR


def test_a_floor_far_ahead_costs_no_more_than_what_is_kept() -> None:
    sessions = opened()
    answer(sessions, 1)
    assert sessions.lookup(7, 1 << 60, 1 << 60, 1000) is Lookup.NEW
    (session,) = sessions
    assert session.replies == {}


def test_a_session_that_keeps_too_many_replies_is_refused_until_it_raises_its_floor() -> None:
    sessions = opened(replies_max=3)
    for sequence in (1, 2, 3):
        answer(sessions, sequence)
    assert sessions.lookup(7, 4, 0, 1000) == FULL
    assert sessions.lookup(7, 3, 0, 1000) == b"reply 3"
    assert sessions.lookup(7, 4, 2, 1000) is Lookup.NEW


def test_too_many_sessions_are_refused() -> None:
    sessions = opened(sessions_max=2)
    sessions.register(8, 60_000, 1000)
    with pytest.raises(CommandError, match="too many sessions"):
        sessions.register(9, 60_000, 1000)
    assert sessions.register(10, 60_000, 62_000) == 10  # The others have ended by then.


def test_one_entry_opens_one_session() -> None:
    # Two clients with one id would be given each other's replies.
    sessions = opened()
    with pytest.raises(CommandError, match="TRYAGAIN"):
        sessions.register(7, 60_000, 1000)


def test_sessions_end_by_the_log_time_when_another_is_registered() -> None:
    sessions = opened()
    sessions.register(8, 10_000, 1000)
    sessions.lookup(7, 1, 0, 50_000)
    sessions.register(9, 60_000, 70_000)
    assert [session.id for session in sessions] == [7, 9]
    sessions.register(10, 60_000, 110_000)
    assert [session.id for session in sessions] == [9, 10]
