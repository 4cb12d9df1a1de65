"""One shard by hand: what holds while an entry, or a request that reads, is done only in part."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from trimaran.cluster.settings import pack_settings
from trimaran.node.data.entry import GRADUAL_MIN, pack_entry, read_entry, unpack_entry
from trimaran.node.data.keyspace import Keyspace
from trimaran.node.errors import NoQuorum, NotLeader, OutcomeUnknown
from trimaran.node.inbox import ENTRY_COMMANDS_MAX
from trimaran.node.notifications import Notifications
from trimaran.node.pubsub import PubSub
from trimaran.node.raft.types import (
    AppendEntries,
    Entry,
    EntryId,
    EntryKind,
    InstallSnapshot,
    ReplicaId,
    SnapshotMeta,
)
from trimaran.node.request import Done, NotApplied, Unknown
from trimaran.node.shard import UNAPPLIED_MAX
from trimaran.node.slices import Endless, Slice
from trimaran.node.subscriptions import PATTERN
from trimaran.proto.reply import OK

from ...sim.schedule import SECOND
from .rig import CLUSTER_ID, Asked, Lone, asked

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

ME, OTHER = ReplicaId(1), ReplicaId(2)


class Alone:
    """A loop that has nothing to do."""

    def call_soon(self, callback: Callable[[], None]) -> None:
        callback()

    def call_later(self, delay_ns: int, callback: Callable[[], None]) -> None:
        """Nothing is waited for."""


class Listener:
    """Counts the messages it gets."""

    protocol = 2
    is_lost = False

    def __init__(self) -> None:
        self.messages = 0

    def push_messages(self, data: bytes, count: int) -> None:
        self.messages += count


class Few(Slice):
    """Ends after so many commands; an entry is begun at the price of one."""

    def __init__(self, count: int) -> None:
        self._left = count

    def take(self) -> int:
        given, self._left = min(self._left, 1), self._left - 1
        return max(given, 0)

    def leave(self) -> None:
        """Nothing is learned."""


def committed(lone: Lone, *asks: Asked) -> None:
    """One entry with all of them is committed and handed to the shard; nothing of it is applied."""
    shard = lone.shard
    for one in asks:
        shard.submit(one.request)
    shard.propose(lone.now_ns, lone.wall_ms)
    while (ready := shard.core.ready()) is not None:
        shard.commit(ready.committed)
        shard.core.saved(ready.ticket)


def half(lone: Lone, *asks: Asked) -> None:
    """The first command of the entry is run, and no more."""
    committed(lone, *asks)
    lone.shard.apply_some(Few(2), lone.now_ns)
    assert lone.shard.is_half_applied


def finish(lone: Lone) -> None:
    lone.shard.apply_some(Endless(), lone.now_ns)
    lone.shard.serve_some(Endless(), lone.now_ns, lone.wall_ms)
    assert not lone.shard.is_behind


def read_now(lone: Lone, *commands: str) -> Asked:
    """Its barrier is passed; it is served if what it waits for is applied."""
    shard = lone.shard
    one = lone.submit(asked(*commands))
    shard.start_reads(lone.now_ns)
    while (ready := shard.core.ready()) is not None:
        for barrier in ready.reads:
            shard.pass_reads(barrier.token, barrier.index)
        shard.core.saved(ready.ticket)
    shard.serve_some(Endless(), lone.now_ns, lone.wall_ms)
    return one


def test_an_entry_stops_between_two_commands_and_counts_only_when_all_are_run() -> None:
    lone = Lone().lead()
    before = lone.shard.applied_index
    first, second = asked("SET k 1", "APPEND k 2"), asked("APPEND k 3")
    half(lone, first, second)
    assert lone.shard.applied_index == before
    assert lone.keys.find(b"k", bytes) == b"1"
    assert (first.outcome, second.outcome) == (None, None)
    finish(lone)
    assert lone.shard.applied_index == before + 1
    assert (first.replies, second.replies) == ([OK, 2], [3])


def test_nothing_is_cut_in_the_middle_of_an_entry_and_who_waits_is_told_at_its_end() -> None:
    lone = Lone().lead()
    half(lone, asked("SET k 1", "APPEND k 2"), asked("SET l 1"))
    assert not lone.shard.can_cut
    seen: list[bool] = []
    lone.shard.between_entries = lambda: seen.append(lone.shard.can_cut)
    finish(lone)
    assert seen == [True]


def test_a_read_of_what_is_applied_is_served_in_the_middle_of_a_later_entry() -> None:
    lone = Lone().lead()
    lone.write("SET old 1")
    read = lone.submit(asked("GET old", "GET k"))
    lone.shard.start_reads(lone.now_ns)  # Its barrier is passed before the entry is committed.
    core = lone.shard.core
    while (ready := core.ready()) is not None:
        for barrier in ready.reads:
            lone.shard.pass_reads(barrier.token, barrier.index)
        core.saved(ready.ticket)
    half(lone, asked("SET k 1", "SET k 2"))
    lone.shard.serve_some(Endless(), lone.now_ns, lone.wall_ms)
    assert read.replies == [b"1", b"1"]


def test_a_read_behind_an_entry_that_is_half_applied_waits_for_the_whole() -> None:
    lone = Lone().lead()
    half(lone, asked("SET k 1", "SET k 2"))
    read = read_now(lone, "GET k")
    assert read.outcome is None
    finish(lone)
    lone.shard.serve_some(Endless(), lone.now_ns, lone.wall_ms)
    assert read.replies == [b"2"]


def test_what_is_half_applied_when_a_snapshot_hides_it_is_unknown_and_is_not_run_further() -> None:
    lone = Lone().lead()
    one = asked("SET k 1", "SET k 2")
    half(lone, one)
    old, new = lone.keys, Keyspace()
    meta = SnapshotMeta(EntryId(8, lone.shard.core.last.index + 5), lone.voters)
    lone.shard.core.receive(InstallSnapshot(OTHER, ME, 9, meta), lone.now_ns)
    while (ready := lone.shard.core.ready()) is not None and ready.snapshot is None:
        lone.shard.core.saved(ready.ticket)
    lone.shard.install(meta, new, lone.now_ns)
    lone.shard.apply_some(Endless(), lone.now_ns)
    assert isinstance(one.error, OutcomeUnknown)
    assert old.find(b"k", bytes) == b"1"
    assert (new.count(0), lone.shard.applied_index) == (0, meta.id.index)


def test_answers_that_are_due_when_a_snapshot_comes_are_given() -> None:
    lone = Lone().lead()
    first, second = asked("SET k 1"), asked("SET k 2")
    committed(lone, first, second)
    lone.shard.apply_some(Few(4), lone.now_ns)
    assert (first.replies, second.outcome) == ([OK], None)
    lone.shard._end_half_applied()
    assert second.replies == [OK]
    assert lone.shard.is_idle


def test_who_waits_for_half_an_entry_can_time_out_and_hears_nothing_more() -> None:
    lone = Lone().lead()
    late, patient = asked("SET k 1", deadline_ns=lone.now_ns + SECOND), asked("SET k 2")
    half(lone, late, patient)
    lone.shard.time_out(lone.now_ns + SECOND)
    assert isinstance(late.outcome, Unknown)
    finish(lone)
    assert isinstance(late.outcome, Unknown)
    assert patient.replies == [OK]


def test_a_leader_deposed_in_the_middle_of_an_entry_answers_it_all_the_same() -> None:
    lone = Lone().lead()
    one = asked("SET k 1", "SET k 2")
    half(lone, one)
    core = lone.shard.core
    entry = Entry(9, core.last.index + 1, EntryKind.EMPTY, b"")
    core.receive(AppendEntries(OTHER, ME, 9, core.last, (entry,), core.commit_index), lone.now_ns)
    while (ready := core.ready()) is not None:
        core.saved(ready.ticket)
    lone.shard.after_step()
    finish(lone)
    assert one.replies == [OK, OK]


def test_an_exception_in_a_later_slice_halts_the_shard_and_nothing_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lone = Lone().lead()
    before = lone.shard.applied_index
    one, behind = asked("SET k 1", "SET k 2"), asked("SET l 1")
    half(lone, one, behind)

    def explode(*_: object) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(lone.keys, "put", explode)
    lone.shard.apply_some(Endless(), lone.now_ns)
    assert isinstance(lone.shard.halted, ZeroDivisionError)
    assert lone.shard.applied_index == before
    assert [type(each.outcome) for each in (one, behind)] == [Unknown, Unknown]
    assert not lone.shard.is_half_applied


def test_nothing_is_applied_to_a_replica_that_has_halted(monkeypatch: pytest.MonkeyPatch) -> None:
    lone = Lone().lead()
    before = lone.shard.applied_index
    half(lone, asked("SET k 1", "SET k 2"))
    with monkeypatch.context() as patch:
        patch.setattr(lone.keys, "put", lambda *_: 1 // 0)
        lone.shard.apply_some(Endless(), lone.now_ns)
    assert lone.shard.halted is not None
    last = lone.shard.core.last
    behind = Entry(last.term, last.index + 1, EntryKind.EMPTY, b"")
    lone.shard.commit([behind])
    lone.shard.apply_some(Endless(), lone.now_ns)
    assert lone.shard.applied_index == before
    assert not lone.shard.is_behind


def test_what_an_entry_tells_is_told_in_slices_and_before_its_answers() -> None:
    now = [0]
    pubsub = PubSub(Alone(), lambda: now[0])
    listener = Listener()
    pubsub.subscribe(listener, PATTERN, [b"*"], lambda: None)
    settings = pack_settings((("notify-keyspace-events", "K$"),))
    lone = Lone(notifications=Notifications(pubsub), settings=settings).lead()
    one = asked(*(f"SET k {number}" for number in range(10)))
    committed(lone, one)
    seen: list[int] = []
    while lone.shard.is_behind:
        assert not one.outcomes
        lone.shard.apply_some(Few(1), lone.now_ns)
        seen.append(listener.messages)
    assert one.replies == [OK] * 10
    assert listener.messages == 10
    assert max(b - a for a, b in pairwise(seen)) == 1


def test_what_is_not_told_yet_is_told_when_a_snapshot_is_installed() -> None:
    pubsub = PubSub(Alone(), lambda: 0)
    listener = Listener()
    pubsub.subscribe(listener, PATTERN, [b"*"], lambda: None)
    settings = pack_settings((("notify-keyspace-events", "K$"),))
    lone = Lone(notifications=Notifications(pubsub), settings=settings).lead()
    one = asked(*(f"SET k {number}" for number in range(10)))
    committed(lone, one)
    while listener.messages < 2:
        lone.shard.apply_some(Few(1), lone.now_ns)
    meta = SnapshotMeta(EntryId(8, lone.shard.core.last.index + 5), lone.voters)
    lone.shard.core.receive(InstallSnapshot(OTHER, ME, 9, meta), lone.now_ns)
    while (ready := lone.shard.core.ready()) is not None and ready.snapshot is None:
        lone.shard.core.saved(ready.ticket)
    lone.shard.install(meta, Keyspace(), lone.now_ns)
    assert one.replies == [OK] * 10
    assert listener.messages == 10


# --- Reads.


def test_a_request_of_many_reads_is_served_in_slices_and_answered_as_a_whole() -> None:
    lone = Lone().lead()
    lone.write("SET k 1")
    read = lone.submit(asked("GET k", "GET k", "GET k"))
    lone.shard.start_reads(lone.now_ns)
    while (ready := lone.shard.core.ready()) is not None:
        for barrier in ready.reads:
            lone.shard.pass_reads(barrier.token, barrier.index)
        lone.shard.core.saved(ready.ticket)
    lone.shard.serve_some(Few(2), lone.now_ns, lone.wall_ms)
    assert read.outcome is None
    assert lone.shard.is_behind
    committed(lone, asked("SET k 2"))  # Somebody else's: what is served later may see it.
    finish(lone)
    assert read.replies == [b"1", b"1", b"2"]


def test_reads_that_are_due_can_time_out_and_are_refused_when_the_shard_has_halted() -> None:
    lone = Lone().lead()
    late, other = asked("GET k", deadline_ns=lone.now_ns + SECOND), asked("GET k")
    for one in (late, other):
        lone.submit(one)
    lone.shard.start_reads(lone.now_ns)
    while (ready := lone.shard.core.ready()) is not None:
        for barrier in ready.reads:
            lone.shard.pass_reads(barrier.token, barrier.index)
        lone.shard.core.saved(ready.ticket)
    lone.shard.serve_some(Few(0), lone.now_ns, lone.wall_ms)
    lone.shard.time_out(lone.now_ns + SECOND)
    assert isinstance(late.outcome, NotApplied)
    assert isinstance(late.error, NoQuorum)
    lone.shard.halted = ZeroDivisionError()
    lone.shard.serve_some(Endless(), lone.now_ns, lone.wall_ms)
    ((request, error),) = lone.refused
    assert request is other.request
    assert isinstance(error, NotLeader)


def test_a_due_key_met_after_leadership_was_lost_is_not_proposed_here() -> None:
    lone = Lone().lead()
    lone.write("SET k 1 PX 100")
    read = lone.submit(asked("GET k"))
    lone.shard.start_reads(lone.now_ns)
    core = lone.shard.core
    while (ready := core.ready()) is not None:
        for barrier in ready.reads:
            lone.shard.pass_reads(barrier.token, barrier.index)
        core.saved(ready.ticket)
    entry = Entry(9, core.last.index + 1, EntryKind.EMPTY, b"")
    core.receive(AppendEntries(OTHER, ME, 9, core.last, (entry,), core.commit_index), lone.now_ns)
    lone.shard.after_step()
    later_ns, later_ms = lone.now_ns + SECOND, lone.wall_ms + 1000
    lone.shard.serve_some(Endless(), later_ns, later_ms)
    assert [request for request, _ in lone.refused] == [read.request]
    assert not lone.shard.has_waiting_writes


# --- Entries of many commands, and many entries.


def test_a_leader_behind_with_applying_proposes_no_more_and_what_waits_is_surely_not_applied() -> (
    None
):
    lone = Lone().lead()
    first = [asked(f"SET k {number}") for number in range(UNAPPLIED_MAX)]
    for one in first:
        committed(lone, one)
    late = asked("SET k late", deadline_ns=lone.now_ns + SECOND)
    for one in (late, patient := asked("SET k last")):
        lone.submit(one)
    assert lone.shard.propose(lone.now_ns, lone.wall_ms) is None
    lone.shard.time_out(lone.now_ns + SECOND)
    assert isinstance(late.outcome, NotApplied)
    lone.shard.apply_some(Few(2), lone.now_ns)
    committed(lone)
    finish(lone)
    assert [one.replies for one in (*first, patient)] == [[OK]] * (UNAPPLIED_MAX + 1)
    assert lone.keys.find(b"k", bytes) == b"last"


def test_an_entry_takes_no_further_request_past_so_many_commands() -> None:
    lone = Lone().lead()
    asks = [asked(*["GET k"] * (ENTRY_COMMANDS_MAX - 1)), asked("GET k", "GET k"), asked("GET k")]
    for one in asks:
        one.request.has_write = True
        one.request._size_bytes = 1
    committed(lone, *asks)
    finish(lone)
    assert [isinstance(one.outcome, Done) for one in asks] == [True, True, False]


def test_a_long_entry_is_read_as_it_is_walked_and_says_the_same() -> None:
    commands = [(0, "", 0, 0, 0, (b"SET", b"k%d" % n, b"x" * 100)) for n in range(1000)]
    data = pack_entry(CLUSTER_ID, 5, 6, commands, b"s")
    assert len(data) > GRADUAL_MIN
    gradual, whole = read_entry(data, CLUSTER_ID), unpack_entry(data, CLUSTER_ID)
    assert len(gradual.commands) == len(commands)
    assert list(gradual.commands) == list(whole.commands) == commands
    assert (gradual.stamp_ms, gradual.seed, gradual.settings) == (5, 6, b"s")


def test_a_long_entry_that_is_cut_off_halts_the_shard() -> None:
    lone = Lone().lead()
    commands = [(0, "", 0, 0, 0, (b"SET", b"k%d" % n, b"x" * 100)) for n in range(1000)]
    data = pack_entry(CLUSTER_ID, lone.wall_ms, 6, commands)[:-200]
    core = lone.shard.core
    lone.shard.commit([Entry(core.term, core.last.index + 1, EntryKind.COMMANDS, data)])
    lone.shard.apply_some(Endless(), lone.now_ns)
    assert lone.shard.halted is not None
