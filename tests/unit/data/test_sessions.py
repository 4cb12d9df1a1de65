"""A command that comes again under its session is answered, not run again (correctness A8)."""

from __future__ import annotations

import pytest

from trimaran.node.data.sessions import ENDED_MAX, FULL, TOO_LARGE, Lookup, Sessions
from trimaran.node.errors import CommandError
from trimaran.proto.reply import (
    OK,
    ErrorReply,
    MapReply,
    PairsMapReply,
    Reply,
    pack_reply,
    unpack_reply,
)


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


def test_a_session_that_keeps_too_many_bytes_is_refused_until_it_raises_its_floor() -> None:
    sessions = opened(session_bytes_max=1000)
    for sequence in (1, 2):
        assert sessions.lookup(7, sequence, 1, 0) is Lookup.NEW
        sessions.keep(7, sequence, [b"x" * 200, (b"x" * 300, None)])
    assert sessions.lookup(7, 3, 1, 0) == FULL
    assert sessions.lookup(7, 1, 1, 0) == [b"x" * 200, (b"x" * 300, None)]
    assert sessions.lookup(7, 3, 3, 0) is Lookup.NEW
    assert sessions.bytes == 0


def test_a_reply_larger_than_all_that_may_be_kept_is_not_kept_and_that_is_said() -> None:
    # A large value named a thousand times: a snapshot would have to write each of them out.
    sessions = opened(session_bytes_max=1000)
    assert sessions.lookup(7, 1, 1, 0) is Lookup.NEW
    sessions.keep(7, 1, [b"x" * 500] * 1000)
    assert sessions.lookup(7, 1, 1, 0) == TOO_LARGE
    assert sessions.bytes < 1000
    assert sessions.lookup(7, 2, 1, 0) is Lookup.NEW


def test_over_the_bytes_of_a_shard_the_session_unused_for_longest_ends() -> None:
    sessions = Sessions(shard_bytes_max=1000)
    for session, stamp_ms in ((1, 300), (2, 200), (3, 400), (4, 100)):
        sessions.register(session, 10_000, stamp_ms)
    for session in (1, 2, 3):
        sessions.lookup(session, 1, 1, 200 + session)
        sessions.keep(session, 1, b"x" * 400)
    # 4 keeps nothing, so that its end would help nobody; 3 has just spoken.
    assert sessions.lookup(1, 1, 1, 500) is Lookup.UNKNOWN_SESSION
    assert sessions.lookup(2, 1, 1, 500) == b"x" * 400
    assert sessions.lookup(4, 1, 1, 500) is Lookup.NEW
    assert sessions.bytes == 2 * 432


def test_the_bytes_are_the_same_after_a_snapshot_was_loaded() -> None:
    sessions = opened()
    replies: list[Reply] = [b"x" * 100, (1, (b"y", None)), MapReply(((b"k", [1, 2]),)), OK]
    replies += [PairsMapReply(((b"k", [b"z" * 50]),)), ErrorReply("ERR", "a\udcff")]
    for sequence, reply in enumerate(replies, 1):
        sessions.lookup(7, sequence, 1, 0)
        sessions.keep(7, sequence, reply)
    loaded = Sessions()
    for session in sessions:
        loaded.load(unpack_reply(pack_reply(session.state())))
    assert loaded.bytes == sessions.bytes > 100


def test_too_many_sessions_are_refused() -> None:
    sessions = opened(sessions_max=2)
    sessions.register(8, 60_000, 1000)
    with pytest.raises(CommandError, match="too many sessions"):
        sessions.register(9, 60_000, 1000)
    assert sessions.register(10, 60_000, 62_000) == 10  # The others have ended by then.


def test_an_entry_may_open_several_sessions() -> None:
    # Two clients with one id would be given each other's replies.
    sessions = opened()
    ids = {7, sessions.register(7, 60_000, 1000), sessions.register(7, 60_000, 1000)}
    assert len(ids) == len(sessions) == 3


def test_a_client_that_asks_again_gets_the_session_it_has() -> None:
    sessions = Sessions()
    first = sessions.register(7, 60_000, 1000, client=77)
    assert sessions.register(9, 60_000, 3000, client=77, age_ms=2000) == first
    assert sessions.register(9, 60_000, 3000, client=78) != first
    assert len(sessions) == 2


def test_a_session_ended_before_its_time_is_not_opened_again() -> None:
    # What was done under it would be done once more.
    sessions = Sessions(shard_bytes_max=100)
    for client in (77, 78):
        session = sessions.register(client, 60_000, client * 1000, client=client)
        sessions.lookup(session, 1, 0, client * 1000)
        sessions.keep(session, 1, b"x" * 100)
    assert len(sessions) == 1
    for age_ms in (0, 2000):
        with pytest.raises(CommandError, match="SESSIONLOST"):
            sessions.register(99, 60_000, 80_000, client=77, age_ms=age_ms)
    assert sessions.register(99, 60_000, 80_000, client=79, age_ms=2000)


def test_of_too_many_that_were_ended_only_who_asks_for_the_first_time_gets_a_new_one() -> None:
    sessions = Sessions(sessions_max=1)
    for client in range(1, ENDED_MAX + 3):  # The last but one is the last that was ended.
        sessions.register(client, 10**9, client * 100_000, client=client)
    with pytest.raises(CommandError, match="SESSIONLOST"):  # It is among the thousand.
        sessions.register(10**6, 10**9, 10**9, client=ENDED_MAX)
    # The first is not, but its use, which is what is asked about, is too long ago to matter.
    begun_ms = 1 * 100_000
    with pytest.raises(CommandError, match="SESSIONLOST"):
        sessions.register(10**6, 10**9, 10**9, client=1, age_ms=10**9 - begun_ms)
    assert sessions.register(10**6, 10**9, 10**9, client=5_000, age_ms=2000)


def test_one_that_came_to_its_end_is_not_opened_again_by_who_asks_late() -> None:
    # Its client's machine slept with the question in its socket: it does not know how old that is.
    sessions = Sessions()
    sessions.register(1, 1000, 1_000, client=5)
    sessions.register(2, 1000, 100_000, client=6)
    assert len(sessions) == 1
    for age_ms in (0, 127):
        with pytest.raises(CommandError) as lost:
            sessions.register(3, 1000, 100_000, client=5, age_ms=age_ms)
        assert lost.value.code == "SESSIONLOST"


def test_many_that_end_at_once_are_remembered_as_well_as_there_is_room() -> None:
    sessions = Sessions()
    for client in range(1, ENDED_MAX + 101):
        sessions.register(client, 1000, 1_000 + client, client=client)
    sessions.register(9999, 1000, 100_000, client=9999)
    assert len(sessions) == 1
    assert len(sessions._ended) == ENDED_MAX
    assert min(sessions._ended) == 101
    assert sessions._forgotten_ms == 1100
    assert sessions.register(10_000, 1000, 100_000, client=1, age_ms=60_000)
    with pytest.raises(CommandError):
        sessions.register(10_001, 1000, 100_000, client=2, age_ms=69_000)


def test_many_that_are_opened_by_one_entry_cost_no_more_than_by_many() -> None:
    sessions = Sessions()
    ids = [sessions.register(7, 1000, 1000, client=client) for client in range(1, 10_000)]
    assert len(set(ids)) == len(ids)
    assert ids[0] == 7


def test_all_that_is_known_of_sessions_is_in_a_snapshot() -> None:
    sessions = Sessions(sessions_max=2)
    for client in range(1, ENDED_MAX + 10):
        sessions.register(client, 10**9, client * 100_000, client=client)
    loaded = Sessions(sessions_max=2)
    cut = sessions.begin_cut()
    states = sorted(session.state() for session in sessions.records())
    for session in cut.take():
        loaded.load(list(unpack_reply(pack_reply(session.state()))))
    assert sorted(session.state() for session in loaded.records()) == states
    assert loaded.register(10**6, 1, 10**9, client=ENDED_MAX + 9) == ENDED_MAX + 9
    with pytest.raises(CommandError, match="SESSIONLOST"):
        loaded.register(10**6, 1, 10**9, client=ENDED_MAX + 3)


def test_one_that_was_not_used_for_long_makes_room_for_another() -> None:
    sessions = Sessions(sessions_max=2)
    sessions.register(7, 10**9, 1000)
    sessions.register(8, 10**9, 50_000)
    with pytest.raises(CommandError, match="too many sessions"):
        sessions.register(9, 10**9, 60_000)
    assert sessions.register(9, 10**9, 61_000) == 9
    assert [session.id for session in sessions] == [8, 9]


def test_sessions_end_by_the_log_time_when_another_is_registered() -> None:
    sessions = opened()
    sessions.register(8, 10_000, 1000)
    sessions.lookup(7, 1, 0, 50_000)
    sessions.register(9, 60_000, 70_000)
    assert [session.id for session in sessions] == [7, 9]
    sessions.register(10, 60_000, 110_000)
    assert [session.id for session in sessions] == [9, 10]
