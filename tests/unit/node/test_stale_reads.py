"""Reads at a replica that does not lead: answered if its state is new enough, or not at all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from trimaran.node.data.entry import pack_entry
from trimaran.node.errors import NotLeader
from trimaran.node.raft.types import (
    AppendEntries,
    Entry,
    EntryId,
    EntryKind,
    Heartbeat,
    PreVote,
    ReplicaId,
    RequestPreVote,
    RequestVote,
    Role,
    Vote,
)
from trimaran.node.slices import Endless

from ...sim.schedule import MS, SECOND
from .rig import CLUSTER_ID, Asked, Lone, asked

ME, OTHER, THIRD = ReplicaId(1), ReplicaId(2), ReplicaId(3)
TERM = 5


class Follower(Lone):
    """It follows OTHER, and has heard how new its state is."""

    def __init__(self) -> None:
        super().__init__(3)
        self._index = 0
        self._round = 0
        self.append("SET k 1")
        self.hear()

    def append(self, command: str, *, stamp_ms: int = 1_000_000) -> None:
        """An entry of the leader's, committed."""
        words = [word.encode() for word in command.split()]
        previous = EntryId(TERM if self._index else 0, self._index)
        self._index += 1
        data = pack_entry(CLUSTER_ID, stamp_ms, 1, [(0, "", 0, 0, 0, words)])
        entry = Entry(TERM, self._index, EntryKind.COMMANDS, data)
        self.receive(AppendEntries(OTHER, ME, TERM, previous, (entry,), self._index))

    def hear(self, index: int | None = None) -> None:
        """Two rounds: one is answered, and then spoken of."""
        index = self._index if index is None else index
        self._round += 2
        beat = Heartbeat(OTHER, ME, TERM, 0, self._round - 1, is_urgent=False)
        self.receive(beat)
        self.receive(replace(beat, round=self._round, echo=beat.round, echo_index=index))

    def read_stale(self, age_ms: int, *commands: str) -> Asked:
        one = asked(*commands)
        one.request.stale_ns = age_ms * MS
        return self.submit(one)

    def serve(self) -> None:
        self.shard.serve_some(Endless(), self.now_ns, self.wall_ms)

    def is_refused(self, one: Asked) -> bool:
        return [request for request, _ in self.refused] == [one.request]


@pytest.fixture
def follower() -> Follower:
    return Follower()


def test_a_state_that_is_new_enough_is_read(follower: Follower) -> None:
    follower.now_ns += 300 * MS
    one = follower.read_stale(300, "GET k")
    follower.serve()
    assert one.replies == [b"1"]


def test_one_that_is_not_is_not(follower: Follower) -> None:
    follower.now_ns += 301 * MS
    one = follower.read_stale(300, "GET k")
    follower.serve()
    assert one.outcome is None
    assert follower.is_refused(one)
    assert isinstance(follower.refused[0][1], NotLeader)


def test_nor_is_one_in_which_something_is_missing(follower: Follower) -> None:
    follower.now_ns += SECOND
    follower.hear(index=7)
    one = follower.read_stale(300, "GET k")
    follower.serve()
    assert follower.is_refused(one)


def test_time_that_passes_before_it_is_looked_at_counts(follower: Follower) -> None:
    one = follower.read_stale(300, "GET k")
    follower.now_ns += 20 * SECOND  # The process stood still.
    follower.serve()
    assert follower.is_refused(one)


def test_a_key_that_is_due_and_not_removed_is_asked_of_the_leader(follower: Follower) -> None:
    follower.append("SET k 2 PX 50")
    follower.hear()
    follower.wall_ms = 1_000_049
    one = follower.read_stale(300, "GET k")
    follower.serve()
    assert one.replies == [b"2"]
    follower.wall_ms = 1_000_050
    one = follower.read_stale(300, "GET k")
    follower.serve()
    assert follower.is_refused(one)
    assert not follower.shard.has_waiting_writes


def test_who_leads_when_a_stale_read_is_looked_at_has_no_newer_state_for_that(
    follower: Follower,
) -> None:
    follower.now_ns += 10 * SECOND  # So long it was cut off.
    one = follower.read_stale(300, "GET k")
    follower.now_ns += 2 * SECOND
    core = follower.shard.core
    core.tick(follower.now_ns)
    serve, follower.shard.serve_some = follower.shard.serve_some, lambda *_: None  # type: ignore[method-assign]  # There is no time for it meanwhile.
    follower.pump()
    (ask, *_) = [one for one in follower.sent if isinstance(one, RequestPreVote)]
    follower.receive(PreVote(OTHER, ME, ask.term, granted=True))
    (vote, *_) = [one for one in follower.sent if isinstance(one, RequestVote)]
    follower.receive(Vote(OTHER, ME, vote.term, granted=True))
    assert core.role is Role.LEADER
    follower.shard.serve_some = serve  # type: ignore[method-assign]
    follower.serve()
    assert follower.is_refused(one)


def test_what_was_stale_at_a_leader_is_an_ordinary_read(follower: Follower) -> None:
    lone = Lone().lead()
    lone.write("SET k 1")
    one = asked("GET k")
    one.request.stale_ns = MS
    lone.submit(one)
    assert not lone.shard.is_behind  # It waits for its barrier.
    lone.shard.start_reads(lone.now_ns)
    lone.pump()
    assert one.replies == [b"1"]


def test_a_replica_whose_clock_was_wrong_for_a_while_does_not_make_that_the_time_of_the_shard(
    follower: Follower,
) -> None:
    # Such a node may not lead; but what it reads is asked by its clock.
    follower.wall_ms += 3_600_000
    follower.read_stale(300, "GET k")
    follower.serve()
    follower.wall_ms -= 3_600_000
    assert follower.shard._stamp(follower.now_ns, follower.wall_ms) < 1_000_000 + 60_000
