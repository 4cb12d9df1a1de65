"""One shard by hand: what becomes of a request, what time it is, and what is bounded."""

from __future__ import annotations

import pytest

from trimaran.node.commands.internal import OPEN_SESSION
from trimaran.node.data.entry import pack_entry, stamp_of, unpack_entry
from trimaran.node.data.keyspace import Keyspace
from trimaran.node.errors import NoQuorum, NotLeader, OutcomeUnknown, Overloaded, SessionUnknown
from trimaran.node.raft.types import (
    AppendEntries,
    AppendReply,
    Entry,
    EntryId,
    EntryKind,
    InstallSnapshot,
    PreVote,
    ReplicaId,
    RequestPreVote,
    RequestVote,
    Role,
    SnapshotMeta,
    Vote,
)
from trimaran.node.request import Done, NotApplied, Outcome, Unknown
from trimaran.node.shard import ShardLimits
from trimaran.node.slices import Endless
from trimaran.proto.reply import OK

from ...sim.schedule import MS, SECOND
from .rig import CLUSTER_ID, Lone, asked

ME, OTHER, THIRD = ReplicaId(1), ReplicaId(2), ReplicaId(3)


def acknowledge(lone: Lone) -> None:
    """The other replicas have all on disk."""
    core = lone.shard.core
    lone.receive(
        *[
            AppendReply(
                one,
                ME,
                core.term,
                is_success=True,
                match_index=core.last.index,
                rejected_index=0,
                conflict=EntryId(0, 0),
            )
            for one in (OTHER, THIRD)
        ]
    )


def elected(voters: int = 3) -> Lone:
    """A leader of a shard of three, whose empty entry is committed."""
    lone = Lone(voters)
    lone.pass_ns(2 * SECOND)
    (ask, *_) = [one for one in lone.sent if isinstance(one, RequestPreVote)]
    lone.receive(PreVote(OTHER, ME, ask.term, granted=True))
    (vote, *_) = [one for one in lone.sent if isinstance(one, RequestVote)]
    lone.receive(Vote(OTHER, ME, vote.term, granted=True))
    assert lone.shard.core.role is Role.LEADER
    acknowledge(lone)
    assert lone.shard.can_propose
    return lone


def overtake(lone: Lone, *, index: int, term: int = 9) -> None:
    """Another leader's empty entry stands at `index`, committed."""
    previous = EntryId(lone.shard.core.term_at(index - 1) or 0, index - 1)
    entry = Entry(term, index, EntryKind.EMPTY, b"")
    lone.receive(AppendEntries(OTHER, ME, term, previous, (entry,), index))


# --- D2: the three fates of a write.


def test_a_write_that_was_applied_with_its_own_entry_is_answered() -> None:
    lone = Lone().lead()
    assert lone.write("SET k 1", "APPEND k 2", "GET k").replies == [OK, 2, b"12"]


def test_a_write_whose_place_another_term_took_was_not_applied() -> None:
    lone = elected()
    one = lone.write("SET k 1")
    assert one.outcome is None
    overtake(lone, index=lone.shard.core.last.index)
    ((request, error),) = lone.refused
    assert request is one.request
    assert isinstance(error, NotLeader)


def test_writes_behind_the_place_another_term_took_need_not_wait_for_their_own() -> None:
    lone = elected()
    first, second, third = (lone.write(f"SET k {number}") for number in range(3))
    overtake(lone, index=lone.shard.core.last.index - 2)
    assert [request for request, _ in lone.refused] == [
        first.request,
        second.request,
        third.request,
    ]
    assert lone.shard.is_idle


def test_a_write_that_is_hidden_by_an_installed_snapshot_is_unknown() -> None:
    lone = elected()
    one = lone.write("SET k 1")
    core = lone.shard.core
    meta = SnapshotMeta(EntryId(8, core.last.index + 5), lone.voters)
    core.receive(InstallSnapshot(OTHER, ME, 9, meta), lone.now_ns)
    while (ready := core.ready()) is not None and ready.snapshot is None:
        core.saved(ready.ticket)
    lone.shard.install(meta, Keyspace(), lone.now_ns)
    assert isinstance(one.error, OutcomeUnknown)
    assert not lone.refused


def test_what_was_not_proposed_when_leadership_ended_is_given_back() -> None:
    lone = elected()
    one = lone.submit(asked("SET k 1"))
    read = lone.submit(asked("GET k"))
    overtake(lone, index=lone.shard.core.last.index + 1)
    assert [request for request, _ in lone.refused] == [one.request, read.request]


def test_what_came_to_a_leader_of_a_moment_is_not_kept_by_the_follower() -> None:
    lone = elected()
    lone.shard._was_leader = False  # As if nobody had looked since it was elected.
    one = lone.submit(asked("SET k 1"))
    overtake(lone, index=lone.shard.core.last.index + 1)
    assert [request for request, _ in lone.refused] == [one.request]


# --- D4: deadlines.


def test_late_and_not_proposed_is_no_quorum_and_late_and_proposed_is_unknown() -> None:
    lone = elected()
    deadline_ns = lone.now_ns + SECOND
    proposed = lone.write("SET k 1", deadline_ns=deadline_ns)
    waiting = lone.submit(asked("SET k 2", deadline_ns=deadline_ns))
    read = lone.submit(asked("GET k", deadline_ns=deadline_ns))
    lone.shard.time_out(deadline_ns)
    assert isinstance(proposed.outcome, Unknown)
    assert isinstance(waiting.error, NoQuorum)
    assert isinstance(read.error, NoQuorum)
    acknowledge(lone)  # Its fate comes late, and nobody is told twice.
    assert isinstance(proposed.outcome, Unknown)


def test_a_short_deadline_behind_a_long_one_is_kept() -> None:
    lone = elected()
    long = lone.submit(asked("SET k 1", deadline_ns=lone.now_ns + 5 * SECOND))
    short = lone.submit(asked("SET k 2", deadline_ns=lone.now_ns + SECOND))
    before = lone.shard.waiting_bytes
    lone.shard.time_out(lone.now_ns + SECOND)
    assert isinstance(short.outcome, NotApplied)
    assert long.outcome is None
    assert lone.shard.waiting_bytes == before // 2
    assert lone.shard.waiting_commands == 1


# --- A4: what fails at apply.


def test_an_exception_at_apply_halts_the_shard_and_all_who_wait_hear_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lone = elected()
    hit = lone.write("SET k 1")
    behind = lone.write("SET k 2")

    def explode(*_: object) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(lone.keys, "put", explode)
    acknowledge(lone)
    assert isinstance(lone.shard.halted, ZeroDivisionError)
    assert isinstance(hit.outcome, Unknown)
    assert isinstance(behind.outcome, Unknown)
    lone.submit(asked("GET k"))
    assert isinstance(lone.refused[-1][1], NotLeader)


def test_what_a_completed_request_raises_is_no_fault_of_the_state_machine() -> None:
    lone = Lone().lead()
    one = asked("SET k 1")
    told: list[Outcome] = []

    def complete(outcome: Outcome) -> None:
        told.append(outcome)
        raise RuntimeError("a door's bug")

    one.request.complete = complete
    lone.submit(one)
    lone.shard.propose(lone.now_ns, lone.wall_ms)
    with pytest.raises(RuntimeError, match="door"):
        lone.pump()
    assert lone.shard.halted is None
    assert told == [Done([OK])]


# --- A2: stamps.


def stamp_of_last(lone: Lone) -> int:
    entry = lone.shard.core.entry_at(lone.shard.core.last.index)
    assert entry is not None
    return stamp_of(entry.data)


def test_a_stamp_goes_on_with_time_when_the_wall_clock_goes_back() -> None:
    lone = Lone().lead()
    lone.write("SET k 1")
    before = stamp_of_last(lone)
    lone.wall_ms -= 3000
    lone.now_ns += 500 * MS
    lone.write("SET k 2")
    assert stamp_of_last(lone) == before + 500


def test_a_stamp_goes_on_from_that_of_an_earlier_leader_with_a_faster_clock() -> None:
    lone = elected()
    ahead = pack_entry(CLUSTER_ID, lone.wall_ms + 4000, 0, [(0, "", 0, 0, 0, [b"SET", b"k", b"1"])])
    core = lone.shard.core
    lone.shard.commit([Entry(core.term, core.last.index + 1, EntryKind.COMMANDS, ahead)])
    lone.shard.apply_some(Endless(), lone.now_ns)
    lone.now_ns += 100 * MS
    assert lone.shard._stamp(lone.now_ns, lone.wall_ms + 100) == lone.wall_ms + 4100


def test_an_installed_snapshot_does_not_carry_the_time_since_the_last_entry_into_the_stamp() -> (
    None
):
    lone = Lone().lead()
    lone.write("SET k 1")
    hour_ns = 3600 * SECOND
    lone.now_ns += hour_ns
    lone.wall_ms += 3_600_000
    keys = Keyspace()
    keys.begin_entry(1, lone.wall_ms)
    shard = lone.shard
    shard.keys = keys
    shard._note_stamp(lone.now_ns)
    assert shard._stamp(lone.now_ns + MS, lone.wall_ms) == lone.wall_ms + 1


def test_a_due_key_is_absent_only_when_an_applied_stamp_says_so() -> None:
    lone = Lone().lead()
    lone.write("SET k 1 PX 100")
    lone.now_ns += 200 * MS
    lone.wall_ms += 200
    read = lone.read("GET k")
    assert read.outcome is None  # Its expiry is logged first, and the read behind it.
    lone.shard.propose(lone.now_ns, lone.wall_ms)
    lone.pump()
    assert read.replies == [None]
    assert lone.keys.last_stamp_ms >= lone.wall_ms


def test_the_leader_logs_what_is_due_once_and_again_after_it_committed() -> None:
    lone = Lone().lead()
    lone.write("SET k 1 PX 100", "SET l 1 PX 100")
    lone.now_ns += 200 * MS
    lone.wall_ms += 200
    for _ in range(3):
        lone.shard.expire_due(lone.now_ns, lone.wall_ms, 1 << 60, 512)
    assert lone.shard.waiting_commands == 1
    lone.shard.propose(lone.now_ns, lone.wall_ms)
    lone.pump()
    assert lone.keys.count(0) == 0
    lone.write("SET k 1 PX 1")
    lone.now_ns += 200 * MS
    lone.wall_ms += 200
    lone.shard.expire_due(lone.now_ns, lone.wall_ms, 1 << 60, 512)
    assert lone.shard.waiting_commands == 1


def test_long_names_of_keys_that_are_due_do_not_make_a_large_entry() -> None:
    lone = Lone().lead()
    for number in range(5):
        lone.write(f"SET {number}{'k' * 399} 1 PX 100")
    lone.now_ns += 200 * MS
    lone.wall_ms += 200
    left = []
    while lone.keys.count(0):
        named = lone.shard.expire_due(lone.now_ns, lone.wall_ms, 1 << 60, 512)
        before = lone.keys.count(0)
        lone.shard.propose(lone.now_ns, lone.wall_ms)
        lone.pump()
        left.append(lone.keys.count(0))
        assert before - left[-1] == named
    assert left == [2, 0]  # An entry takes 1,000 bytes.


def test_the_expiry_of_a_leader_that_was_deposed_is_passed_on_to_nobody() -> None:
    lone = elected()
    lone.write("SET k 1 PX 1")
    acknowledge(lone)
    lone.now_ns += 200 * MS
    lone.shard.expire_due(lone.now_ns, lone.wall_ms + 200, 1 << 60, 512)
    overtake(lone, index=lone.shard.core.last.index + 1)
    ((request, _),) = lone.refused
    assert not request.may_pass_on


# --- R10: reads.


def test_each_read_chooses_at_random_anew() -> None:
    lone = Lone().lead()
    lone.write(*[f"SET k{number} 1" for number in range(20)])
    found = set()
    for _ in range(20):
        one = asked("RANDOMKEY")
        one.request.has_write = False
        lone.submit(one)
        lone.shard.start_reads(lone.now_ns)
        lone.pump()
        found.add(one.replies[0])
    assert len(found) > 5


def test_a_read_waits_for_all_that_is_committed_to_be_applied() -> None:
    lone = Lone().lead()
    lone.write("SET k 1")
    shard, core = lone.shard, lone.shard.core
    lone.submit(asked("SET k 2"))
    shard.propose(lone.now_ns, lone.wall_ms)
    read = lone.submit(asked("GET k"))
    shard.start_reads(lone.now_ns)
    behind: list[Entry] = []
    while (ready := core.ready()) is not None:
        behind += ready.committed
        core.saved(ready.ticket)
        for barrier in ready.reads:
            shard.pass_reads(barrier.token, barrier.index)
        shard.serve_some(Endless(), lone.now_ns, lone.wall_ms)
    if read.outcome is None:
        shard.commit(behind)
        shard.apply_some(Endless(), lone.now_ns)
        shard.serve_some(Endless(), lone.now_ns, lone.wall_ms)
        assert read.replies == [b"2"]
    else:
        assert read.replies == [b"1"]  # Begun before the write was committed.


def test_reads_of_a_deposed_leader_are_given_back_and_not_answered() -> None:
    lone = elected()
    read = lone.read("GET k")
    assert read.outcome is None
    overtake(lone, index=lone.shard.core.last.index + 1)
    assert [request for request, _ in lone.refused] == [read.request]


# --- A8: sessions.


def opened(lone: Lone) -> int:
    one = lone.write(f"{OPEN_SESSION.decode()} 60000")
    (number,) = one.replies
    assert isinstance(number, int)
    return number


def test_a_command_that_comes_again_under_its_session_is_applied_once() -> None:
    lone = Lone().lead()
    session = opened(lone)
    for _ in range(2):
        assert lone.write("APPEND k x", "GET k", session=(session, 5, 5)).replies == [1, b"x"]
    assert lone.write("APPEND k y", session=(session, 7, 7)).replies == [2]
    below = lone.write("APPEND k x", session=(session, 5, 5))
    assert isinstance(below.outcome, Unknown)


def test_an_unknown_session_is_refused_and_nothing_is_applied() -> None:
    lone = Lone().lead()
    lone.write("SET k 1", session=(99, 1, 1))
    assert isinstance(lone.refused[0][1], SessionUnknown)
    assert lone.read("GET k").replies == [None]


# --- Limits.


def test_over_uncommitted_bytes_max_writes_are_refused_and_reads_are_not() -> None:
    lone = Lone(limits=ShardLimits(uncommitted_bytes_max=1000, entry_bytes_max=500)).lead()
    kept = [lone.submit(asked(f"SET k {'x' * 400}")) for _ in range(5)]
    assert [type(error) for _, error in lone.refused] == [Overloaded] * 2
    assert all(one.outcome is None for one in kept)
    lone.read("GET k")
    assert len(lone.refused) == 2


def test_an_entry_takes_requests_up_to_its_size_and_never_cuts_one() -> None:
    lone = Lone(limits=ShardLimits(uncommitted_bytes_max=10_000, entry_bytes_max=500)).lead()
    for size in (200, 200, 200, 900, 100):
        lone.submit(asked(f"SET k {'x' * size}"))
    counts = []
    while lone.shard.propose(lone.now_ns, lone.wall_ms) is not None:
        entry = lone.shard.core.entry_at(lone.shard.core.last.index)
        assert entry is not None
        counts.append(len(unpack_entry(entry.data, CLUSTER_ID).commands))
        lone.pump()
    assert counts == [3, 1, 1]


def test_a_leader_proposes_nothing_before_its_empty_entry_is_applied() -> None:
    lone = Lone(3)
    lone.pass_ns(2 * SECOND)
    term = lone.shard.core.term + 1
    lone.receive(PreVote(OTHER, ME, term, granted=True))
    lone.receive(Vote(OTHER, ME, term, granted=True))
    one = lone.submit(asked("SET k 1"))
    assert lone.shard.propose(lone.now_ns, lone.wall_ms) is None
    acknowledge(lone)
    assert lone.shard.propose(lone.now_ns, lone.wall_ms) == 2
    acknowledge(lone)
    lone.pump()
    acknowledge(lone)
    assert one.replies == [OK]
