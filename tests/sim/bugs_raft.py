"""Planted bugs in the Raft core: each class undoes one line of care."""

from __future__ import annotations

from dataclasses import replace
from operator import attrgetter
from typing import Any  # Arguments passed through.

from trimaran.node.raft.freshness import Echoes, Freshness
from trimaran.node.raft.leader import Leadership
from trimaran.node.raft.lease import DRIFT, Lease, Promise
from trimaran.node.raft.outbox import Outbox
from trimaran.node.raft.progress import Progress
from trimaran.node.raft.saves import Saves
from trimaran.node.raft.types import (
    NOBODY,
    AppendEntries,
    AppendReply,
    EntryId,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Message,
    NodeId,
    ReadBarrier,
    Ready,
    ReplicaId,
    RequestPreVote,
    RequestVote,
    Vote,
)

from .planted import Bug
from .watch import WATCHED, WatchedCore

ANY = EntryId(1 << 40, 1 << 40)  # Behind every log.


def _hurry(ready: Ready | None, kinds: type[Message] | Any) -> Ready | None:
    """Let messages of some kinds leave before the save they should wait for."""
    if ready is None:
        return None
    early = tuple(one for one in ready.send_after_sync if isinstance(one, kinds))
    late = tuple(one for one in ready.send_after_sync if not isinstance(one, kinds))
    return replace(ready, send_now=ready.send_now + early, send_after_sync=late)


class VotesBeforeSaving(WatchedCore):
    def ready(self) -> Ready | None:
        return _hurry(super().ready(), Vote)


class CampaignsBeforeSaving(WatchedCore):
    def ready(self) -> Ready | None:
        return _hurry(super().ready(), RequestVote)


class AcknowledgesBeforeSaving(WatchedCore):
    def ready(self) -> Ready | None:
        return _hurry(super().ready(), AppendReply)


class CountsOwnUnsavedEntries(WatchedCore):
    def ready(self) -> Ready | None:
        if self._lead is not None:
            self._lead.commit(self._log.last_index)
        return super().ready()


class ForgetsItsVote(WatchedCore):
    """As raftos does: whoever becomes a follower may vote again."""

    def _become_follower(self, term: int, leader: ReplicaId) -> None:
        super()._become_follower(term, leader)
        if self._voted_for != NOBODY:
            self._set_term(self._term, NOBODY)


class VotesForAnyLog(WatchedCore):
    def receive(self, message: Message, now: int) -> None:
        if isinstance(message, RequestVote | RequestPreVote):
            message = replace(message, last=ANY)
        super().receive(message, now)


class AppendsAfterAnything(WatchedCore):
    """No look at the entry before (Raft §5.3)."""

    def receive(self, message: Message, now: int) -> None:
        if isinstance(message, AppendEntries) and message.term >= self.term:
            index = message.previous.index
            term = self.term_at(index)
            if term is not None:
                message = replace(message, previous=EntryId(term, index))
        super().receive(message, now)


class TruncatesAlways(WatchedCore):
    """A late copy of an append drops what came after it."""

    def receive(self, message: Message, now: int) -> None:
        if isinstance(message, AppendEntries) and message.entries and message.term == self.term:
            first = message.entries[-1].index + 1
            if self.commit_index < first <= self.last.index:
                self._log.truncate(first)
                self._saves.truncated(first)
        super().receive(message, now)


class IgnoresOldLeaders(WatchedCore):
    def receive(self, message: Message, now: int) -> None:
        is_leaders = isinstance(message, AppendEntries | Heartbeat | InstallSnapshot)
        if not (is_leaders and message.term < self.term):
            super().receive(message, now)


class LeadsWithoutAnEmptyEntry(WatchedCore):
    def _become_leader(self) -> None:
        super()._become_leader()
        assert self._lead is not None
        self._log.truncate(self._log.last_index)
        self._lead.first_index = 0


class AcknowledgesTheWholeLog(WatchedCore):
    """Behind what an append confirms may stand entries that will be replaced."""

    def ready(self) -> Ready | None:
        ready = super().ready()
        if ready is None:
            return None
        whole = self.last.index
        return replace(
            ready,
            send_after_sync=tuple(
                replace(one, match_index=max(one.match_index, whole))
                if isinstance(one, AppendReply) and one.is_success
                else one
                for one in ready.send_after_sync
            ),
        )


def _commit_any_term(self: Leadership, saved_index: int) -> bool:
    matches = sorted([saved_index, *[one.match_index for one in self.followers.values()]])
    index = matches[(len(matches) - 1) // 2]
    if index <= self._log.commit_index:
        return False
    self._log.commit_index = index
    return True


def _not_truncated(_saves: Saves, _first: int) -> None:
    """What was written before a truncation goes on vouching for what stands there now."""


def _no_overdue(_follower: Progress, _now: int, _wait: int) -> bool:
    return False


def _no_reachable(_lead: Leadership, _node: NodeId) -> None:
    """Nothing is asked anew after a stream broke."""


def _no_unreachable(_lead: Leadership, _node: NodeId, _now: int) -> None:
    """As above."""


def _no_end(_lead: Leadership) -> None:
    """Who is not hurried waits until there is something new that goes to all."""


class VotesWithinALease(WatchedCore):
    """A promise is made and not kept."""

    def receive(self, message: Message, now: int) -> None:
        kept, self._promise = self._promise, Promise()
        super().receive(message, now)
        self._promise.until = max(kept.until, self._promise.until)


class CampaignsWithinALease(WatchedCore):
    """A broken stream to the leader undoes what was promised it."""

    def unreachable(self, node: NodeId) -> None:
        super().unreachable(node)
        if self._lead is None and self._leader == NOBODY:
            self._promise.until = self._now


class VotesAtOnceAfterARestart(WatchedCore):
    def _begin(self) -> None:
        super()._begin()
        self._promise = Promise()


class ReadsByAnOldClock(WatchedCore):
    """The time of the last input, not that of the read."""

    def request_read(self, now: int) -> int:
        return super().request_read(min(now, self._now))


def _from_the_answer(self: Leadership, reply: HeartbeatReply, now: int) -> list[ReadBarrier]:
    length_ns = reply.lease_ns - reply.lease_ns // DRIFT
    if reply.source in self.followers and length_ns:
        self._lease._until[reply.source] = now + length_ns
    return _heartbeat_answered(self, reply, now)


_heartbeat_answered = Leadership.heartbeat_answered


def _round_of_another_term(self: Outbox, heartbeat: Heartbeat, term: int) -> None:
    self.answer(heartbeat, term, 0)


def _not_lent(_lease: Lease) -> None:
    """Somebody was told to campaign, and the lease goes on."""


def _confirmed_alone(self: Echoes, round_: int) -> None:
    self.round, self._answered = self._answered or self.round, 0


def _not_waiting(self: Freshness, applied_index: int) -> int | None:
    while self._told:
        self._at = self._told.popleft()[1]
    return self._at


BUGS: tuple[Bug, ...] = (
    Bug(
        "a vote leaves before it is saved",
        "R1",
        "votes for|speaks in",
        replace(WATCHED, core=VotesBeforeSaving),
    ),
    Bug(
        "a candidate asks before saving its term",
        "R1",
        "votes for|speaks in",
        replace(WATCHED, core=CampaignsBeforeSaving),
    ),
    Bug(
        "an append is acknowledged unsaved",
        "R1",
        "acknowledges|speaks in",
        replace(WATCHED, core=AcknowledgesBeforeSaving),
    ),
    Bug(
        "a leader counts its unsaved entries",
        "R2",
        "have on disk",
        replace(WATCHED, core=CountsOwnUnsavedEntries),
        first=2,
    ),
    Bug(
        "old saves vouch for what replaced them",
        "R2",
        "have on disk|acknowledges|without the committed|was committed|terms fall",
        patches=((Saves, "truncated", _not_truncated),),
        first=27,
    ),
    Bug(
        "a lost append is not sent again",
        "R6",
        "not finished|forgotten|not answered",
        patches=(
            (Progress, "is_overdue", _no_overdue),
            (Leadership, "reachable", _no_reachable),
            (Leadership, "unreachable", _no_unreachable),
        ),
        first=1,
    ),
    Bug(
        "who is not hurried waits for ever",
        "R6",
        "not finished|forgotten|not answered",
        patches=((Leadership, "end_patience", _no_end),),
        first=2,
    ),
    Bug(
        "an old leader is not told the term",
        "R7",
        "not finished|not answered",
        replace(WATCHED, core=IgnoresOldLeaders),
        flavours=("usurpers",),
        first=122,
    ),
    Bug(
        "a follower may vote again in its term",
        "§5.2",
        "had the vote|votes for|two leaders",
        replace(WATCHED, core=ForgetsItsVote),
        first=1,
    ),
    Bug(
        "a vote for any log",
        "§5.4.1",
        "without the committed entry|but .* was committed|not linearizable|differs from the leader",
        replace(WATCHED, core=VotesForAnyLog),
        first=1,
    ),
    Bug(
        "an old term's entry is counted",
        "§5.4.2",
        "itself",
        patches=((Leadership, "commit", _commit_any_term),),
        first=10,
    ),
    Bug(
        "an append without a look behind",
        "§5.3",
        "not the one of another|was committed|differs from|have on disk|terms fall",
        replace(WATCHED, core=AppendsAfterAnything),
        flavours=("storms", "partitions"),
        needs=attrgetter("has_datagrams"),
        first=368,
    ),
    Bug(
        "a late append truncates",
        "§5.3",
        "acknowledges|have on disk|acknowledged entries are lost|never had",
        replace(WATCHED, core=TruncatesAlways),
        needs=attrgetter("has_datagrams"),
        first=2,
    ),
    Bug(
        "the whole log is acknowledged",
        "§5.3",
        "never had|have on disk|was committed|acknowledges",
        replace(WATCHED, core=AcknowledgesTheWholeLog),
        flavours=("storms", "partitions", "usurpers"),
        caught_by="test_follower_acknowledges_no_more_than_an_append_confirms",
    ),
    Bug(
        "a leader serves without an empty entry",
        "§8",
        "not linearizable|not finished|not answered|forgotten",
        replace(WATCHED, core=LeadsWithoutAnEmptyEntry),
    ),
    Bug(
        "an old round answers for the next term",
        "R10",
        "what it was never asked",
        patches=((Outbox, "outdate", _round_of_another_term),),
        caught_by="test_what_an_old_leader_is_told_answers_no_round_of_the_term_it_may_lead_next",
    ),
    Bug(
        "a lease counts from the answer",
        "R4",
        "has its lease|not linearizable",
        patches=((Leadership, "heartbeat_answered", _from_the_answer),),
        first=174,
    ),
    Bug(
        "a voter votes within a lease",
        "R4",
        "has its lease|not linearizable",
        replace(WATCHED, core=VotesWithinALease),
        caught_by="test_a_promise_holds_whatever_the_stream_to_the_leader_does",
    ),
    Bug(
        "a broken stream ends a promise",
        "R4",
        "has its lease|not linearizable",
        replace(WATCHED, core=CampaignsWithinALease),
        first=6,
    ),
    Bug(
        "a restarted voter votes at once",
        "R4",
        "has its lease|not linearizable",
        replace(WATCHED, core=VotesAtOnceAfterARestart),
        first=49,
    ),
    Bug(
        "a lease outlives the order to campaign",
        "R4",
        "has its lease|not linearizable",
        patches=((Lease, "lend", _not_lent),),
        first=26,
    ),
    Bug(
        "a read goes by an old clock",
        "R3",
        "not linearizable",
        replace(WATCHED, core=ReadsByAnOldClock),
        caught_by="test_the_time_that_counts_is_that_of_the_read",
    ),
    Bug(
        "a state is new before it is applied",
        "§6.4",
        "was answered more than",
        patches=((Freshness, "at", _not_waiting),),
        needs=attrgetter("has_stale_reads"),
        first=33,
    ),
    Bug(
        "an answer is spoken of without a majority",  # It takes five nodes, two of them cut off.
        "§6.4",
        "was answered more than",
        patches=((Echoes, "confirmed", _confirmed_alone),),
        caught_by="test_two_of_five_do_not_take_their_state_for_new",
    ),
)
