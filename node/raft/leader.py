"""What only a leader knows, for one term: its followers, its rounds, its waiting reads.

Made when an election is won, thrown away when leadership ends: nothing here outlives the term, so
nothing of one term can be counted in another. It decides what to send and what is committed; terms
and roles are `core.py`'s. It leads only after its own vote was saved, so its traffic is of a saved
term and may leave at once (correctness R1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .election import NEVER
from .lease import Lease
from .progress import Progress, State
from .quorum import agreed
from .reads import ReadRounds
from .thrift import PATIENCE_NS, PATIENT_BYTES_MAX, Thrift
from .types import (
    ZERO,
    AppendEntries,
    AppendReply,
    Entry,
    EntryId,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Message,
    NodeId,
    RaftConfig,
    ReadBarrier,
    ReplicaId,
    TimeoutNow,
    Voter,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .log import RaftLog

STOOD_STILL_MAX = 4  # Election timeouts: who stood still for longer does not try to go on.


@dataclass(slots=True)
class Transfer:
    """Leadership on its way to `target`; nothing is proposed meanwhile (dissertation §3.10)."""

    target: ReplicaId
    give_up_at: int
    is_sent: bool = False


class Leadership:
    """The leader's half of replication in one term."""

    def __init__(
        self,
        config: RaftConfig,
        log: RaftLog,
        voters: tuple[Voter, ...],
        *,
        term: int,
        now: int,
        out: list[Message],
    ) -> None:
        self.transfer: Transfer | None = None
        self.heartbeat_at = now
        self.patience_ends_at = NEVER  # Then those who wait for entries get them (`thrift.py`).
        self.first_index = log.last_index + 1  # The empty entry of this term.
        self.round = 0
        self._config = config
        self._replica = config.replica
        self._is_patience_over = False
        self._log = log
        self._term = term
        self._out = out
        self._reads = ReadRounds()
        # Two lost heartbeats, or half the time in which a follower would give us up.
        self._resend_after = max(2 * config.heartbeat_interval_ns, config.election_timeout_ns // 2)
        self.followers = {
            voter.replica: Progress(
                voter.replica, voter.node, next_index=self.first_index, heard_at=now, asked_at=now
            )
            for voter in voters
            if voter.replica != config.replica
        }
        self._lease = Lease(config.lease_ns, self.followers)
        node = next(voter.node for voter in voters if voter.replica == config.replica)
        self._thrift = Thrift(node, self.followers.values(), config.inflight_appends_max)

    # --- Time.

    def beat(self, now: int) -> None:
        """Send a round of heartbeats, and again what has been without an answer for too long."""
        self.heartbeat_at = now + self._config.heartbeat_interval_ns
        # If the urgent round of a read was lost, the answers to this one confirm it.
        self._send_round(now, is_urgent=self._reads.is_in_flight)
        for follower in self.followers.values():
            if follower.is_overdue(now, self._resend_after):
                self._ask_again(follower, now)

    def has_quorum(self, now: int) -> bool:
        """Check-quorum: whether a majority has answered within an election timeout."""
        heard = [now, *[follower.heard_at for follower in self.followers.values()]]
        return now - agreed(heard) < self._config.election_timeout_ns

    def stood_still(self, now: int) -> None:
        """If the round that is due now is late by more than one: so long nobody was asked, which is
        no reason to take followers for silent. After very long they have another leader by now."""
        late = now - self.heartbeat_at
        longest = STOOD_STILL_MAX * self._config.election_timeout_ns
        if self._config.heartbeat_interval_ns < late < longest:
            for follower in self.followers.values():
                follower.heard_at = min(now, follower.heard_at + late)

    def is_active(self, follower: Progress, now: int) -> bool:
        return now - follower.heard_at < self._config.election_timeout_ns

    # --- Sending.

    def flush(self, now: int) -> None:
        """Send what the followers may take now, and begin the round that waiting reads need."""
        log = self._log
        inflight_max = self._config.inflight_appends_max
        first = 0
        entries: tuple[Entry, ...] = ()  # Followers in step are sent the same tuple.
        patient: Sequence[ReplicaId] | None = None
        for follower in self.followers.values():
            if follower.waiting_index == log.last_index:
                continue
            while follower.next_index <= log.last_index and follower.can_take(inflight_max):
                previous = follower.next_index - 1
                term = log.term_at(previous)
                if term is None:
                    self._send_snapshot(follower, now)
                    break
                if patient is None:
                    patient = self._thrift.patient(log.last_index, now)
                is_patient = follower.replica in patient and not self._takes_over(follower)
                if is_patient and self._waits(follower, now):
                    break
                if follower.next_index != first:
                    first = follower.next_index
                    entries = self._entries_from(first)
                self._send_append(
                    follower, EntryId(term, previous), entries, now, is_patient=is_patient
                )
        self._is_patience_over = False
        if self._reads.is_round_due and self.is_ready_to_serve:
            self._reads.begin(self.round + 1, log.commit_index)
            self._send_round(now, is_urgent=True)

    def _waits(self, follower: Progress, now: int) -> bool:
        """Whether a follower that need not be hurried is sent nothing yet. All who wait, of all
        shards of a node, wait for the same moment: their entries leave in one message."""
        log = self._log
        if (
            self._is_patience_over
            or follower.state is not State.REPLICATE
            or log.bytes_between(follower.next_index, log.last_index) > PATIENT_BYTES_MAX
        ):
            return False
        follower.waiting_index = log.last_index
        if self.patience_ends_at == NEVER:
            self.patience_ends_at = now - now % PATIENCE_NS + PATIENCE_NS
        return True

    def end_patience(self) -> None:
        """The moment has come."""
        self.patience_ends_at = NEVER
        self.hurry()

    def hurry(self) -> None:
        """The next flush sends everybody everything. When that is is not known here, so the moment
        for which they wait stands."""
        self._is_patience_over = True
        self._look_again()

    def will_forget(self, first_index: int, now: int) -> None:
        """The log is about to begin there: who waits for what goes would need a snapshot."""
        for follower in self.followers.values():
            if follower.waiting_index and follower.next_index < first_index:
                self.hurry()
                self.flush(now)
                return

    def _look_again(self) -> None:
        """Whoever waits may have to be hurried now."""
        for follower in self.followers.values():
            follower.waiting_index = 0

    def _entries_from(self, first: int) -> tuple[Entry, ...]:
        return self._log.between(first, self._log.reach(first, self._config.append_bytes_max))

    def _send_append(
        self,
        follower: Progress,
        previous: EntryId,
        entries: tuple[Entry, ...],
        now: int,
        *,
        is_patient: bool = False,
    ) -> None:
        self._out.append(
            AppendEntries(
                self._replica,
                follower.replica,
                self._term,
                previous,
                entries,
                self._log.commit_index,
                is_patient,
            )
        )
        follower.sent(previous.index + len(entries), now)

    def _send_snapshot(self, follower: Progress, now: int) -> None:
        if not self.is_active(follower, now):
            follower.ask_anew()
            follower.pause(now)  # Tried again on ticks; a dead node needs no snapshot.
            return
        meta = self._log.snapshot
        assert meta.id != ZERO, "the log is compacted and there is no snapshot"
        follower.become_snapshot(meta.id)
        self._out.append(InstallSnapshot(self._replica, follower.replica, self._term, meta))

    def _send_round(self, now: int, *, is_urgent: bool) -> None:
        self.round += 1
        self._lease.sent(now)
        commit_index = self._log.commit_index
        is_known = self.is_ready_to_serve  # What earlier leaders have committed.
        for follower in self.followers.values():
            self._out.append(
                Heartbeat(
                    self._replica,
                    follower.replica,
                    self._term,
                    min(commit_index, follower.match_index),
                    self.round,
                    is_urgent,
                    follower.echoes.round if is_known else 0,
                    commit_index if is_known else 0,
                    self._lease.asked_ns,
                )
            )

    def _ask_again(self, follower: Progress, now: int) -> None:
        """Ask anew where a silent follower stands (correctness R6), with no entries: if it is only
        slow it need not carry them twice."""
        if follower.state is State.SNAPSHOT:
            assert follower.snapshot is not None, "a snapshot on its way has a place"
            previous = follower.snapshot
        else:
            follower.ask_anew()
            term = self._log.term_at(follower.next_index - 1)
            if term is None:
                self._send_snapshot(follower, now)
                return
            previous = EntryId(term, follower.next_index - 1)
        self._send_append(follower, previous, (), now)

    # --- Answers.

    def append_answered(self, reply: AppendReply, now: int) -> bool:
        """Note a follower's answer; True if its match moved, so that more may be committed."""
        follower = self.followers.get(reply.source)
        if follower is None:
            return False
        follower.heard_at = now
        if not reply.is_success:
            self._back_off(follower, reply)
            return False
        assert reply.match_index <= self._log.last_index, "a follower matches what we never had"
        moved = follower.matched(reply.match_index, now)
        self._thrift.acknowledged(follower.replica, reply.match_index, now)
        if reply.match_index < follower.match_index:
            return False  # An answer that was overtaken says nothing about now.
        if follower.state is State.PROBE or self._has_caught_up(follower):
            follower.become_replicate()
        if moved and self.transfer is not None:
            self.continue_transfer()
        return moved

    def _has_caught_up(self, follower: Progress) -> bool:
        """Whether a follower that is being sent a snapshot needs it no more, or has it."""
        if follower.snapshot is None:
            return False
        match_index = follower.match_index
        return match_index >= follower.snapshot.index or self._log.term_at(match_index) is not None

    def _back_off(self, follower: Progress, reply: AppendReply) -> None:
        """The follower has a gap or another entry there: go on from its hint (Raft §5.3)."""
        if reply.rejected_index <= follower.match_index:
            return  # Overtaken: since then it has told us that it fits.
        if follower.state is State.REPLICATE:
            # An append before this one was lost; what matches is known.
            follower.become_probe(follower.match_index + 1)
            return
        if follower.state is State.SNAPSHOT:
            if not follower.is_snapshot_sent or follower.snapshot is None:
                return
            asked = follower.snapshot.index
        else:
            asked = follower.next_index - 1
        if reply.rejected_index != asked:
            return  # The answer to an earlier question.
        hint = reply.conflict
        if hint.index >= self._log.first_index:
            hint = self._log.before(hint.index, hint.term)
        follower.become_probe(min(hint.index + 1, reply.rejected_index))

    def heartbeat_answered(self, reply: HeartbeatReply, now: int) -> list[ReadBarrier]:
        """Note that a follower still follows; the reads that this makes safe."""
        follower = self.followers.get(reply.source)
        if follower is None:
            return []
        follower.heard_at = now
        # Nodes of the first version answer old leaders with rounds of theirs (`Outbox.outdate`).
        if not follower.round < reply.round <= self.round:
            return []
        follower.round = reply.round
        self._lease.promised(follower.replica, self.round - reply.round, reply.lease_ns)
        follower.echoes.answered(reply.round, self.round)
        confirmed = agreed([self.round, *[one.round for one in self.followers.values()]])
        for one in self.followers.values():
            one.echoes.confirmed(confirmed)
        return self._reads.confirmed(confirmed)

    def commit(self, saved_index: int) -> bool:
        """Move the commit index to what a majority has on disk; True if it moved."""
        matches = [saved_index, *[one.match_index for one in self.followers.values()]]
        index = agreed(matches)
        # Raft §5.4.2: counting replicas commits only entries of the own term; with one of those,
        # all before it. An older entry on a majority can still be replaced (figure 8).
        if index <= self._log.commit_index or self._log.term_at(index) != self._term:
            return False
        self._log.commit_index = index
        return True

    # --- Reads.

    @property
    def is_ready_to_serve(self) -> bool:
        """Raft §8: until an entry of its own term is committed a leader does not know which of
        its predecessors' entries are."""
        return self._log.commit_index >= self.first_index

    def add_read(self, token: int) -> None:
        self._reads.add(token)

    def has_lease(self, now: int) -> bool:
        """Whether nobody else leads at `now`, as surely as if a majority had just said so."""
        return self._lease.holds(now)

    def leased_reads(self, now: int) -> list[ReadBarrier]:
        """Those that had come by `now`, if no round is needed to make them safe."""
        if self._reads.is_any_waiting and self.is_ready_to_serve and self.has_lease(now):
            return self._reads.safe(self._log.commit_index)
        return []

    def fail_reads(self) -> list[int]:
        return self._reads.take_all()

    # --- Streams and snapshots.

    def unreachable(self, node: NodeId, now: int) -> None:
        """What is on its way to `node` may be lost; wait until it is back or a tick asks."""
        self._look_again()
        for follower in self.followers.values():
            if follower.node == node and follower.state is not State.SNAPSHOT:
                follower.ask_anew()
                follower.pause(now)

    def reachable(self, node: NodeId) -> None:
        # correctness R6: what was sent on the old stream may be lost, and no later write may come.
        for follower in self.followers.values():
            if follower.node == node and follower.state is not State.SNAPSHOT:
                follower.ask_anew()

    def snapshot_sent(self, target: ReplicaId, now: int, *, is_ok: bool) -> None:
        follower = self.followers.get(target)
        if follower is None or follower.state is not State.SNAPSHOT:
            return
        if is_ok:
            # It may take long to install; until it says so it is only asked, on ticks (L9).
            follower.is_snapshot_sent = True
            follower.asked_at = now
        else:
            follower.become_probe(follower.match_index + 1)
            follower.pause(now)

    # --- Transfer of leadership (dissertation §3.10).

    def begin_transfer(self, target: ReplicaId, now: int) -> None:
        self.transfer = Transfer(target, now + self._config.election_timeout_ns)
        self._look_again()
        self.continue_transfer()
        follower = self.followers[target]
        if follower.state is State.REPLICATE and follower.in_flight:
            # Their acknowledgements may wait (`thrift.py`). Of this it does not.
            previous = follower.next_index - 1
            term = self._log.term_at(previous)
            if term is not None:
                self._send_append(follower, EntryId(term, previous), (), now)

    def continue_transfer(self) -> None:
        """Tell the target to campaign as soon as its log equals ours."""
        transfer = self.transfer
        if transfer is None or transfer.is_sent:
            return
        if self.followers[transfer.target].match_index == self._log.last_index:
            transfer.is_sent = True
            self._lease.lend()
            self._out.append(TimeoutNow(self._replica, transfer.target, self._term))

    def _takes_over(self, follower: Progress) -> bool:
        return self.transfer is not None and self.transfer.target == follower.replica

    def best_successor(self, now: int) -> ReplicaId | None:
        """The live follower that is furthest; None if all are silent."""
        live = [one for one in self.followers.values() if self.is_active(one, now)]
        best = max(live, key=lambda one: one.match_index, default=None)
        return None if best is None else best.replica
