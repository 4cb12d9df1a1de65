"""One replica of one shard: Raft (Ongaro and Ousterhout 2014; Ongaro's dissertation, 2014).

Inputs only change memory; `ready()` hands out what follows from them: call it until it is None.
What must be on disk before what may leave is in the fields of `Ready` and in the rules R1 to R10
of correctness. Nothing here waits, reads a clock or sends. What only a leader knows is in
`leader.py`, what is on disk in `saves.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import NotLeader, Overloaded
from .election import NEVER, ElectionTimer
from .follower import accept
from .freshness import Freshness
from .leader import Leadership
from .lease import LEASE_MAX_NS, Promise
from .log import RaftLog
from .outbox import Outbox
from .progress import FollowerView
from .quorum import Tally
from .saves import Saves
from .types import (
    NOBODY,
    AppendEntries,
    AppendReply,
    Entry,
    EntryId,
    EntryKind,
    HardState,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Message,
    NodeId,
    PreVote,
    RaftConfig,
    Ready,
    ReplicaId,
    RequestPreVote,
    RequestVote,
    Restored,
    Role,
    SnapshotMeta,
    TimeoutNow,
    Vote,
    Voter,
)

if TYPE_CHECKING:
    from random import Random


class RaftCore:
    """Times are nanoseconds of a clock that goes on while the machine sleeps (correctness R3)."""

    def __init__(self, config: RaftConfig, restored: Restored, rng: Random) -> None:
        self._config = config
        self._replica = config.replica
        self._now = -1  # No time has been given yet.
        self._role = Role.FOLLOWER
        self._term = restored.hard_state.term
        self._voted_for = restored.hard_state.voted_for
        self._leader = NOBODY
        self._log = RaftLog(restored.snapshot, restored.entries)
        assert self._log.last.term <= self._term, "a log of a term this replica never reached"
        self._saves = Saves(restored.hard_state, self._log.last_index)
        self._out = Outbox(config.replica, self._saves)
        self._set_voters(restored.snapshot.voters)
        self._lead: Leadership | None = None
        self._freshness = Freshness()
        self._tally = Tally(())
        self._is_leading_allowed = True
        self._must_go = False  # Leadership is being given up, not lent.
        self._timer = ElectionTimer(config, rng)
        self._promise = Promise()
        self._install: SnapshotMeta | None = None  # A snapshot on its way into the state machine.
        self._is_install_out = False
        self._handed_index = self._log.commit_index  # Given out in `committed` up to here.
        self._last_token = 0
        self._is_hard_state_new = False
        self.dropped_messages = 0  # Meant for another replica (R8).

    # --- What can be seen.

    @property
    def role(self) -> Role:
        return self._role

    @property
    def replica(self) -> ReplicaId:
        return self._replica

    @property
    def term(self) -> int:
        return self._term

    @property
    def voted_for(self) -> ReplicaId:
        return self._voted_for

    @property
    def leader(self) -> ReplicaId:
        """Who leads this term as far as we know; NOBODY if unknown."""
        return self._leader

    @property
    def leader_node(self) -> NodeId | None:
        return self._nodes.get(self._leader)

    @property
    def voters(self) -> tuple[Voter, ...]:
        return self._voters

    def node_of(self, replica: ReplicaId) -> NodeId | None:
        return self._nodes.get(replica)

    @property
    def commit_index(self) -> int:
        return self._log.commit_index

    @property
    def first_index(self) -> int:
        """The first entry still held; the one before it is known by its term only."""
        return self._log.first_index

    @property
    def last(self) -> EntryId:
        return self._log.last

    @property
    def saved_index(self) -> int:
        """Our own log is on disk up to here."""
        return self._saves.saved_index

    @property
    def saved_hard_state(self) -> HardState:
        return self._saves.hard_state

    @property
    def snapshot_index(self) -> int:
        return self._log.snapshot.id.index

    @property
    def log_bytes(self) -> int:
        """What the entries in memory take, about."""
        return self._log.memory_bytes

    @property
    def uncommitted_bytes(self) -> int:
        """Payload bytes behind the commit index: what `uncommitted_bytes_max` bounds."""
        log = self._log
        return log.bytes_between(log.commit_index + 1, log.last_index)

    @property
    def is_ready_to_serve(self) -> bool:
        """Whether we lead and an entry of our term is committed (Raft §8)."""
        return self._lead is not None and self._lead.is_ready_to_serve

    def has_lease(self, now: int) -> bool:
        """Whether we lead and nobody else does at `now`."""
        return self._lead is not None and self._lead.has_lease(now)

    def fresh_at(self, applied_index: int) -> int | None:
        """At a follower: a moment of our clock than which a state applied up to there is no older,
        or None if none is known."""
        return self._freshness.at(applied_index)

    def term_at(self, index: int) -> int | None:
        return self._log.term_at(index)

    def entry_at(self, index: int) -> Entry | None:
        return self._log.entry_at(index)

    def meta_at(self, index: int) -> SnapshotMeta:
        """What a snapshot cut at `index` is called."""
        term = self._log.term_at(index)
        assert term is not None, f"no term is known at index {index}"
        return SnapshotMeta(EntryId(term, index), self._voters)

    def index_keeping(self, index: int, keep_bytes: int) -> int:
        """Where the log may begin so that about `keep_bytes` up to `index` stay (L9)."""
        return self._log.index_keeping(index, keep_bytes)

    def unsnapshotted_entries(self) -> tuple[Entry, ...]:
        """The entries behind the last snapshot that were handed out to be saved (L4)."""
        first, last = self._log.snapshot.id.index + 1, self._saves.written_index
        return self._log.between(first, last) if first <= last else ()

    def followers(self) -> list[FollowerView]:
        """A leader's view of the others; empty on any other role."""
        lead = self._lead
        if lead is None:
            return []
        return [
            FollowerView(
                one.replica,
                one.node,
                one.match_index,
                one.next_index,
                one.state,
                lead.is_active(one, self._now),
            )
            for one in lead.followers.values()
        ]

    def next_deadline(self) -> int:
        """When `tick` has something to do."""
        if self._lead is not None:
            return min(self._lead.heartbeat_at, self._lead.patience_ends_at)
        if not self._is_voter or not self._is_leading_allowed:
            return NEVER
        return self._campaigns_at

    # --- Inputs.

    def tick(self, now: int) -> None:
        self._advance(now)
        lead = self._lead
        if lead is not None:
            if self._now >= lead.patience_ends_at:
                lead.end_patience()
            if self._now >= lead.heartbeat_at:
                self._tick_leader(lead)
        elif self._now >= self._campaigns_at:
            self._timer.rest(self._now)
            if self._can_campaign():
                self._become_pre_candidate()

    def receive(self, message: Message, now: int) -> None:
        self._advance(now)
        if message.target != self._replica:
            self.dropped_messages += 1
            return
        match message:
            case AppendEntries():
                self._on_append_entries(message)
            case AppendReply():
                self._on_append_reply(message)
            case Heartbeat():
                self._on_heartbeat(message)
            case HeartbeatReply():
                self._on_heartbeat_reply(message)
            case RequestPreVote():
                self._on_request_pre_vote(message)
            case PreVote():
                self._on_pre_vote(message)
            case RequestVote():
                self._on_request_vote(message)
            case Vote():
                self._on_vote(message)
            case InstallSnapshot():
                self._on_install_snapshot(message)
            case TimeoutNow():
                self._on_timeout_now(message)

    def propose(self, data: bytes, now: int) -> EntryId:
        """Where the entry will stand if it commits. Raises NotLeader, Overloaded."""
        self._advance(now)
        lead = self._lead
        if lead is None:
            raise NotLeader(self.leader_node)
        if lead.transfer is not None:
            # The target must reach the end of our log, so the log may not run away from it.
            raise NotLeader(self._nodes.get(lead.transfer.target))
        waiting = self.uncommitted_bytes
        if waiting and waiting + len(data) > self._config.uncommitted_bytes_max:
            raise Overloaded("uncommitted_bytes_max")
        index = self._log.last_index + 1
        self._log.append(Entry(self._term, index, EntryKind.COMMANDS, data))
        return EntryId(self._term, index)

    def request_read(self, now: int) -> int:
        """A token that comes back in `Ready.reads` or `Ready.reads_failed`. Raises NotLeader."""
        self._advance(now)
        if self._lead is None:
            raise NotLeader(self.leader_node)
        self._last_token += 1
        self._lead.add_read(self._last_token)
        return self._last_token

    def hurry(self) -> None:
        """Somebody waits for followers that are not hurried (`thrift.py`)."""
        if self._lead is not None:
            self._lead.hurry()

    def transfer_leadership(self, target: ReplicaId) -> None:
        """Hand over; given up after an election timeout. Raises NotLeader, ValueError."""
        if self._lead is None:
            raise NotLeader(self.leader_node)
        if target not in self._lead.followers:
            raise ValueError(f"replica {target} is no other voter of this shard")
        self._lead.begin_transfer(target, self._now)

    def unreachable(self, node: NodeId) -> None:
        """The stream to `node` broke: what was on its way may be lost, and it may be dead."""
        if self._lead is not None:
            self._lead.unreachable(node, self._now)
        elif self._leader != NOBODY and self._nodes.get(self._leader) == node:
            # Do not wait out the election timeout. Whoever still hears the leader refuses the
            # pre-vote, so a false alarm disturbs nothing. Any message of the leader undoes this.
            # What was promised that leader stands: it may live, and count on it (`lease.py`).
            self._leader = NOBODY
            self._timer.hurry(self._now)

    def reachable(self, node: NodeId, now: int) -> None:
        """The stream to `node` is up."""
        self._advance(now)
        if self._lead is not None:
            self._lead.reachable(node)
        elif self._leader == NOBODY and node in self._nodes.values():
            # With it there may be a majority: a cluster that has just been started need not wait
            # for a leader that never was. If there is one, whoever hears it refuses the pre-vote.
            self._timer.hurry(self._now)

    def compact(self, snapshot: SnapshotMeta, first_index: int) -> None:
        """`snapshot` is durable: forget the entries before `first_index`."""
        assert snapshot.id.index <= self._handed_index, "a snapshot of what was not yet applied"
        first_index = min(first_index, snapshot.id.index + 1)
        if self._lead is not None:
            self._lead.will_forget(first_index, self._now)
        self._log.compact(snapshot, first_index)

    def saved(self, ticket: int) -> None:
        """The Ready of `ticket`, and all before it, are on disk."""
        saves = self._saves
        before = saves.saved_index
        saves.saved(ticket)
        if self._lead is not None:
            if saves.saved_index > before:
                self._lead.commit(saves.saved_index)
        elif self._role is Role.CANDIDATE and self._is_own_vote_saved():
            self._tally.record(self._replica, granted=True)
            self._conclude_election()

    def snapshot_installed(self, meta: SnapshotMeta) -> None:
        """The snapshot asked for is the state now, and the log on disk begins behind it (L6)."""
        assert self._install is not None, "no snapshot was to be installed"
        assert self._install.id == meta.id, "another snapshot was to be installed"
        self._install = None
        self._log.reset(meta)
        self._saves.reset(meta.id.index)
        self._handed_index = meta.id.index
        self._set_voters(meta.voters)
        if self._leader != NOBODY:
            self._out.acknowledge(self._leader, self._term, meta.id.index)

    def snapshot_sent(self, target: ReplicaId, is_ok: bool) -> None:  # noqa: FBT001 - as agreed.
        """The bulk transfer to `target` ended. Every InstallSnapshot sent must end so."""
        if self._lead is not None:
            self._lead.snapshot_sent(target, self._now, is_ok=is_ok)

    def allow_leading(self, is_allowed: bool) -> None:  # noqa: FBT001 - as agreed.
        """False (clock skew, a halted state machine): no campaigns, and a leader gives up."""
        self._is_leading_allowed = is_allowed
        if not is_allowed and self._lead is not None:
            self._hand_over(self._lead)

    # --- Output.

    def ready(self) -> Ready | None:
        """What is to be done now, or None. Several may be out; their tickets return in order."""
        log, saves, out, lead = self._log, self._saves, self._out, self._lead
        if lead is not None:
            # correctness R3: all reads had come when that time was read.
            out.reads += lead.leased_reads(self._now)
            lead.flush(self._now)
        entries: tuple[Entry, ...] = ()
        if saves.written_index < log.last_index:
            entries = log.between(saves.written_index + 1, log.last_index)
        committed: tuple[Entry, ...] = ()
        if self._handed_index < log.commit_index and self._install is None:
            committed = log.between(self._handed_index + 1, log.commit_index)
            self._handed_index = log.commit_index
        hard_state = None
        if self._is_hard_state_new:
            hard_state = HardState(self._term, self._voted_for)
            self._is_hard_state_new = False
        if not (entries or committed or hard_state) and out.is_empty:
            # correctness L6: an install goes last, by itself.
            if self._install is None or self._is_install_out:
                return None
            self._is_install_out = True
            return out.ready_to_install(self._install)
        ready = out.ready(hard_state, entries, committed)
        if entries or hard_state:
            saves.issue(
                ready.ticket, now=self._now, hard_state=hard_state, last_index=log.last_index
            )
        return ready

    # --- Roles. Only these assign the role.

    def _become_follower(self, term: int, leader: ReplicaId) -> None:
        assert term >= self._term, "a term never falls"
        if self._lead is not None:
            # correctness R10: what waits is failed now, not answered late.
            self._out.reads_failed += self._lead.fail_reads()
            self._lead = None
            self._must_go = False
        if term > self._term:
            self._set_term(term, NOBODY)
        self._role = Role.FOLLOWER
        self._leader = leader
        self._timer.rest(self._now)

    def _become_pre_candidate(self) -> None:
        """Ask whether an election could be won before disturbing anyone (dissertation §9.6)."""
        if len(self._voters) == 1:
            self._become_candidate(is_transfer=False)
            return
        self._role = Role.PRE_CANDIDATE
        self._leader = NOBODY
        self._tally = Tally(self._nodes)
        self._tally.record(self._replica, granted=True)
        last = self._log.last
        for replica in self._others():
            self._out.send(RequestPreVote(self._replica, replica, self._term + 1, last), self._term)

    def _become_candidate(self, *, is_transfer: bool) -> None:
        self._role = Role.CANDIDATE
        self._leader = NOBODY
        self._set_term(self._term + 1, self._replica)
        self._timer.rest(self._now)
        # Our own vote counts when it is saved, as everybody's does (correctness R1).
        self._tally = Tally(self._nodes)
        last = self._log.last
        for replica in self._others():
            self._out.promise(RequestVote(self._replica, replica, self._term, last, is_transfer))

    def _become_leader(self) -> None:
        self._role = Role.LEADER
        self._leader = self._replica
        self._lead = Leadership(
            self._config,
            self._log,
            self._voters,
            term=self._term,
            now=self._now,
            out=self._out.now,
        )
        # Raft §8: commits with it everything before it, which may not be counted by itself.
        index = self._log.last_index + 1
        self._log.append(Entry(self._term, index, EntryKind.EMPTY, b""))
        if not self._is_leading_allowed:
            self._hand_over(self._lead)

    # --- Elections (Raft §5.2, §5.4.1; dissertation §9.6).

    def _on_request_pre_vote(self, message: RequestPreVote) -> None:
        granted = (
            message.term > self._term
            and not self._has_live_leader()
            and not self._promise.holds(self._now)
            and message.last >= self._log.last
        )
        if granted:
            self._give_way(message)
        term = message.term if granted else self._term
        self._out.send(PreVote(self._replica, message.source, term, granted), self._term)

    def _give_way(self, message: RequestPreVote) -> None:
        """Somebody is about to campaign and may win: let it. Raft is as safe without this, but two
        replicas that see their leader die at the same instant would often split the vote."""
        if self._role is Role.PRE_CANDIDATE:
            # Both ask at once: the better log goes first, then the lower replica.
            ours = (self._log.last, -self._replica)
            if (message.last, -message.source) < ours:
                return
            self._become_follower(self._term, NOBODY)
        elif self._role is not Role.FOLLOWER:
            return
        self._timer.give_way(self._now)

    def _on_pre_vote(self, message: PreVote) -> None:
        if not message.granted and message.term > self._term:
            self._become_follower(message.term, NOBODY)
        elif self._role is Role.PRE_CANDIDATE:
            if message.granted and message.term != self._term + 1:
                return  # Granted to an earlier attempt.
            self._tally.record(message.source, granted=message.granted)
            if self._tally.is_won and self._can_campaign():
                self._become_candidate(is_transfer=False)
                return
            if self._tally.is_lost:
                self._become_follower(self._term, NOBODY)
            if not message.granted:
                self._timer.refused(self._now)

    def _on_request_vote(self, message: RequestVote) -> None:
        if (
            message.term >= self._term
            and self._promise.holds(self._now)
            and not message.is_transfer
        ):
            return  # correctness R4. In our own term, too: the promise may be to an earlier leader.
        if message.term > self._term:
            # A live leader's majority needs no election: not even the term is taken over, or a
            # replica that was cut off would depose it (Raft §6, dissertation §4.2.3).
            if self._has_live_leader() and not message.is_transfer:
                return
            self._become_follower(message.term, NOBODY)
        granted = (
            message.term == self._term
            and self._voted_for in (NOBODY, message.source)
            and message.last >= self._log.last  # Raft §5.4.1
        )
        if granted:
            if self._voted_for == NOBODY:
                self._voted_for = message.source
                self._is_hard_state_new = True
            self._timer.rest(self._now)
        self._out.promise(Vote(self._replica, message.source, self._term, granted))

    def _on_vote(self, message: Vote) -> None:
        if message.term > self._term:
            self._become_follower(message.term, NOBODY)
        elif message.term == self._term and self._role is Role.CANDIDATE:
            self._tally.record(message.source, granted=message.granted)
            self._conclude_election()

    def _conclude_election(self) -> None:
        # correctness R1: with our own vote unsaved we could win, die, and win this term again.
        if self._tally.is_won and self._is_own_vote_saved():
            self._become_leader()
        elif self._tally.is_lost:
            self._become_follower(self._term, NOBODY)

    def _on_timeout_now(self, message: TimeoutNow) -> None:
        if message.term < self._term or self._lead is not None:
            return
        if message.term > self._term:
            self._become_follower(message.term, message.source)
        if self._can_campaign():
            self._become_candidate(is_transfer=True)

    def _has_live_leader(self) -> bool:
        if self._lead is not None:
            return True  # Until check-quorum says otherwise.
        return self._leader != NOBODY and self._timer.has_heard_within_timeout(self._now)

    def _can_campaign(self) -> bool:
        # A replica that no log or snapshot names a voter must wait for one that does (R8); one
        # that installs a snapshot has no log to lead with; a hung disk must not lead (R9).
        return (
            self._is_voter
            and self._is_leading_allowed
            and self._install is None
            and not self._is_disk_hung()
        )

    @property
    def _campaigns_at(self) -> int:
        """When patience ends, but not before all that is promised."""
        return max(self._timer.fires_at, self._promise.until)

    def _is_own_vote_saved(self) -> bool:
        return self._saves.hard_state == HardState(self._term, self._replica)

    # --- Following (Raft §5.3).

    def _on_append_entries(self, message: AppendEntries) -> None:
        if message.term < self._term:
            self._out.refuse(message.source, self._term)
            return
        self._follow(message.source, message.term)
        if self._install is not None:
            return  # The log is about to begin anew; the leader asks again (L6).
        match_index = accept(self._log, self._saves, message)
        if match_index is not None:
            self._out.acknowledge(
                message.source, self._term, match_index, is_patient=message.is_patient
            )
        else:
            previous = message.previous
            hint = self._log.before(previous.index, previous.term)
            self._out.refuse(message.source, self._term, previous.index, hint)

    def _on_heartbeat(self, message: Heartbeat) -> None:
        if message.term < self._term:
            # correctness R7: otherwise nobody could ever bring it up to our term, and we would
            # refuse it for ever.
            self._out.outdate(message, self._term)
            return
        self._follow(message.source, message.term)
        self._freshness.heard(message.term, message.round, self._now)
        if message.echo:
            self._freshness.told(message.term, message.echo, message.echo_index)
        if message.commit_index > self._log.commit_index:
            assert message.commit_index <= self._log.last_index, "acknowledged entries are lost"
            self._log.commit_index = message.commit_index
        self._out.answer(message, self._term, self._promise.make(message.lease_ns, self._now))

    def _on_install_snapshot(self, message: InstallSnapshot) -> None:
        """A whole snapshot has arrived (Raft §7)."""
        if message.term < self._term:
            self._out.refuse(message.source, self._term)
            return
        self._follow(message.source, message.term)
        if self._install is not None and self._is_install_out:
            return  # One at a time; the leader asks again.
        log, place = self._log, message.meta.id
        if place.index <= log.commit_index:
            self._out.acknowledge(message.source, self._term, log.commit_index)
        elif log.term_at(place.index) == place.term:
            log.commit_index = place.index  # We hold what it holds; what follows it stays.
            self._out.acknowledge(message.source, self._term, place.index)
        else:
            self._install = message.meta
            self._is_install_out = False

    def _follow(self, leader: ReplicaId, term: int) -> None:
        """A leader of our term or a later one spoke."""
        if term > self._term or self._role is not Role.FOLLOWER:
            assert term > self._term or self._lead is None, f"two leaders in term {term}"
            self._become_follower(term, leader)
        self._leader = leader
        self._timer.heard(self._now)

    # --- Leading.

    def _on_append_reply(self, message: AppendReply) -> None:
        if message.term > self._term:
            self._become_follower(message.term, NOBODY)
            return
        lead = self._lead
        if (
            lead is not None
            and message.term == self._term
            and lead.append_answered(message, self._now)
        ):
            lead.commit(self._saves.saved_index)

    def _on_heartbeat_reply(self, message: HeartbeatReply) -> None:
        if message.term > self._term:
            self._become_follower(message.term, NOBODY)
        elif self._lead is not None and message.term == self._term:
            self._out.reads += self._lead.heartbeat_answered(message, self._now)

    def _tick_leader(self, lead: Leadership) -> None:
        now = self._now
        lead.stood_still(now)
        if not lead.has_quorum(now):
            self._become_follower(self._term, NOBODY)  # Check-quorum (dissertation §6.2).
            return
        if self._is_disk_hung():
            self._hand_over(lead)  # correctness R9
        transfer = lead.transfer
        if transfer is not None and now >= transfer.give_up_at:
            if self._must_go:
                self._become_follower(self._term, NOBODY)
                return
            lead.transfer = None
        if self._lead is lead:
            lead.beat(now)

    def _hand_over(self, lead: Leadership) -> None:
        """Give leadership to the best follower, or up if there is none or it does not take it."""
        if self._must_go:
            return
        target = lead.best_successor(self._now)
        if target is None:
            self._become_follower(self._term, NOBODY)
            return
        self._must_go = True
        lead.begin_transfer(target, self._now)

    # --- Small things.

    def _advance(self, now: int) -> None:
        if now > self._now:
            is_first = self._now < 0
            self._now = now
            if is_first:
                self._begin()

    def _begin(self) -> None:
        """The first time that is given."""
        self._timer.rest(self._now)
        if self._term:
            # correctness R4: the process before this one may have made a promise. Not in term 0:
            # whoever is promised something leads, and its term is saved before it is answered.
            self._promise.make(LEASE_MAX_NS, self._now)

    def _is_disk_hung(self) -> bool:
        oldest = self._saves.oldest_at
        return oldest is not None and self._now - oldest > self._config.election_timeout_ns

    def _set_term(self, term: int, voted_for: ReplicaId) -> None:
        self._term = term
        self._voted_for = voted_for
        self._is_hard_state_new = True

    def _set_voters(self, voters: tuple[Voter, ...]) -> None:
        self._voters = voters
        self._nodes = {voter.replica: voter.node for voter in voters}
        self._is_voter = self._replica in self._nodes

    def _others(self) -> list[ReplicaId]:
        return [voter.replica for voter in self._voters if voter.replica != self._replica]
