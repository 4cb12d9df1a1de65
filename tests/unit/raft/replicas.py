"""Raft cores in memory: one alone to be fed by hand, or several with a disk each and a wire.

Nothing happens by itself: a test delivers messages, ends saves, moves the clock, crashes. `settle`
does what is left in order. Invariants are checked after every step.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from zlib import crc32

from trimaran.node.raft.core import RaftCore
from trimaran.node.raft.invariants import Checker
from trimaran.node.raft.lease import Promise
from trimaran.node.raft.thrift import PATIENCE_NS
from trimaran.node.raft.types import (
    NOBODY,
    ZERO,
    AppendReply,
    Entry,
    EntryId,
    EntryKind,
    HardState,
    InstallSnapshot,
    Message,
    NodeId,
    PreVote,
    RaftConfig,
    Ready,
    ReplicaId,
    Restored,
    Role,
    SnapshotMeta,
    Vote,
    Voter,
)

MS = 1_000_000
ELECTION_MS = 100
HEARTBEAT_MS = 20
CONFIG = RaftConfig(
    replica=ReplicaId(1),
    election_timeout_ns=ELECTION_MS * MS,
    heartbeat_interval_ns=HEARTBEAT_MS * MS,
    append_bytes_max=1000,
    inflight_appends_max=4,
    uncommitted_bytes_max=10_000,
)


def replica_ids(count: int) -> list[ReplicaId]:
    return [ReplicaId(number) for number in range(1, count + 1)]


def voters(count: int) -> tuple[Voter, ...]:
    return tuple(Voter(replica, NodeId(f"n{replica}"), 1) for replica in replica_ids(count))


def entries(*terms: int, first: int = 1, data: bytes = b"x") -> tuple[Entry, ...]:
    """One entry of each term, from index `first` on."""
    return tuple(
        Entry(term, index, EntryKind.COMMANDS, data) for index, term in enumerate(terms, first)
    )


def make_core(
    *,
    replica: int = 1,
    count: int = 3,
    term: int = 0,
    voted_for: ReplicaId = NOBODY,
    log: Sequence[Entry] = (),
    snapshot: SnapshotMeta | None = None,
    config: RaftConfig = CONFIG,
    seed: int = 1,
    is_rested: bool = True,
) -> RaftCore:
    """A replica as it comes back from its disk; rested: what it may have promised is long over."""
    core = RaftCore(
        replace(config, replica=ReplicaId(replica)),
        Restored(
            HardState(term, voted_for),
            snapshot or SnapshotMeta(ZERO, voters(count)),
            tuple(log),
        ),
        Random(seed),
    )
    core.tick(0)
    if is_rested:
        core._promise = Promise()
    return core


def matched(source: ReplicaId, target: ReplicaId, term: int, index: int) -> AppendReply:
    """It fitted; the log of `source` is the leader's up to `index`."""
    return AppendReply(
        source,
        target,
        term,
        is_success=True,
        match_index=index,
        rejected_index=0,
        conflict=ZERO,
    )


def refused(
    source: ReplicaId, target: ReplicaId, term: int, index: int, conflict: EntryId = ZERO
) -> AppendReply:
    """What stands at `index` is another entry, or none; try at `conflict`."""
    return AppendReply(
        source,
        target,
        term,
        is_success=False,
        match_index=0,
        rejected_index=index,
        conflict=conflict,
    )


def make_leader(
    *, count: int = 3, term: int = 0, log: Sequence[Entry] = (), config: RaftConfig = CONFIG
) -> RaftCore:
    """Replica 1 as the leader of `term` + 1, its empty entry saved and sent, nothing answered."""
    core = make_core(count=count, term=term, log=log, config=config)
    at = core.next_deadline()
    core.tick(at)
    for voter in replica_ids(count)[1:]:
        core.receive(PreVote(voter, ReplicaId(1), term + 1, granted=True), at)
    save(core)
    for voter in replica_ids(count)[1:]:
        core.receive(Vote(voter, ReplicaId(1), term + 1, granted=True), at)
    save(core)
    assert core.role is Role.LEADER
    return core


def role_of(core: RaftCore) -> Role:
    """Asked through a call, so that a type checker does not hold the last answer for lasting."""
    return core.role


def take(core: RaftCore) -> list[Ready]:
    """All that the core wants done now, not yet done."""
    found = []
    while (ready := core.ready()) is not None:
        found.append(ready)
    return found


def sent(readys: Sequence[Ready]) -> list[Message]:
    return [one for ready in readys for one in (*ready.send_now, *ready.send_after_sync)]


def save(core: RaftCore) -> list[Message]:
    """Let the disk do at once all that the core wants, and what follows; what was sent."""
    messages: list[Message] = []
    while readys := take(core):
        messages += sent(readys)
        core.saved(readys[-1].ticket)
    return messages


@dataclass(slots=True)
class Disk:
    """What a crash leaves."""

    hard_state: HardState
    snapshot: SnapshotMeta
    log: list[Entry] = field(default_factory=list)  # From snapshot.id.index + 1.

    def write(self, ready: Ready) -> None:
        if ready.hard_state is not None:
            assert ready.hard_state.term >= self.hard_state.term, "saves out of order"
            self.hard_state = ready.hard_state
        if ready.entries:
            place = ready.entries[0].index - self.snapshot.id.index - 1
            assert 0 <= place <= len(self.log), "a gap in the log on disk"
            self.log[place:] = ready.entries

    def compact(self, meta: SnapshotMeta) -> None:
        del self.log[: meta.id.index - self.snapshot.id.index]
        self.snapshot = meta

    def reset(self, meta: SnapshotMeta) -> None:
        self.snapshot = meta
        self.log = []


@dataclass(slots=True)
class Member:
    """One replica, its disk and its state machine: a chain of checksums."""

    replica: ReplicaId
    disk: Disk
    core: RaftCore | None = None
    saving: deque[Ready] = field(default_factory=deque)  # In order; the first is being written.
    installing: SnapshotMeta | None = None
    applied_index: int = 0
    digest: int = 0
    clock_ns: int = 0
    starts: int = 0
    reads: dict[int, int] = field(default_factory=dict)  # Token -> what it must at least see.
    reads_served: list[int] = field(default_factory=list)
    reads_failed: list[int] = field(default_factory=list)
    # By its clock, when a message came: what any client may have been told by then.
    heard: dict[int, int] = field(default_factory=dict)
    fresh_reads: int = 0

    @property
    def node(self) -> NodeId:
        return NodeId(f"n{self.replica}")

    @property
    def up(self) -> RaftCore:
        assert self.core is not None, f"replica {self.replica} is down"
        return self.core


class Cluster:
    def __init__(self, count: int = 3, *, seed: int = 1, config: RaftConfig = CONFIG) -> None:
        self.rng = Random(seed)
        self.config = config
        self.voters = voters(count)
        self.checker = Checker()
        self.wire: list[Message] = []
        self.digests: dict[EntryId, int] = {}  # Of the snapshots there are.
        self.applied: dict[int, int] = {}  # Index -> the digest there, the same for all.
        self.cut: set[tuple[ReplicaId, ReplicaId]] = set()  # (source, target): nothing passes.
        self.is_lost: Callable[[Message], bool] = lambda _: False
        self.times_waited = 0
        self.members = {
            replica: Member(replica, Disk(HardState(0, NOBODY), SnapshotMeta(ZERO, self.voters)))
            for replica in replica_ids(count)
        }
        for member in self.members.values():
            self.start(member)

    # --- Single steps.

    def start(self, member: Member) -> None:
        disk = member.disk
        config = replace(self.config, replica=member.replica)
        restored = Restored(disk.hard_state, disk.snapshot, tuple(disk.log))
        member.core = RaftCore(config, restored, Random(self.rng.random()))
        member.starts += 1
        member.applied_index = disk.snapshot.id.index
        member.digest = self.digests.get(disk.snapshot.id, 0)
        member.core.tick(member.clock_ns)
        self.pump(member)

    def crash(self, member: Member, *, written: int = 0) -> None:
        """Lose all that is not on disk; `written` saves got there, unreported."""
        for ready in list(member.saving)[:written]:
            member.disk.write(ready)
        member.core = None
        member.saving.clear()
        member.reads.clear()
        member.installing = None
        self.checker.observe(member.replica, None)

    def pump(self, member: Member) -> None:
        """Do what a core wants, except for the disk's part."""
        core = member.core
        if core is None:
            return
        while True:
            self.checker.observe(member.replica, core)
            ready = core.ready()
            if ready is None:
                self._check_age(member, core)
                self._check_waiting(core)
                return
            if ready.snapshot is not None:
                assert not sent([ready]), "an installing Ready carries nothing else"
                assert not ready.must_save, "an installing Ready carries nothing else"
                member.installing = ready.snapshot
                continue
            self._put(ready.send_now)
            self._apply(member, ready)
            self._answer(member, ready)
            if ready.must_save or member.saving:
                member.saving.append(ready)
            else:
                core.saved(ready.ticket)
                self._put(ready.send_after_sync)

    def _check_age(self, member: Member, core: RaftCore) -> None:
        fresh_at = core.fresh_at(member.applied_index)
        if fresh_at is not None:
            known = member.heard[fresh_at]
            assert member.applied_index >= known, "a state that is older than is said"
            member.fresh_reads += 1

    def _check_waiting(self, core: RaftCore) -> None:
        """Nobody who could be sent entries waits for a moment that does not come (`thrift.py`)."""
        lead = core._lead
        if lead is None:
            return
        for follower in lead.followers.values():
            may_be_sent = follower.can_take(self.config.inflight_appends_max)
            if follower.next_index <= core.last.index and may_be_sent:
                assert lead.patience_ends_at - core._now <= PATIENCE_NS, "a follower is forgotten"
                self.times_waited += 1

    def save(self, member: Member) -> None:
        """The disk ends the first save that waits."""
        ready = member.saving.popleft()
        member.disk.write(ready)
        member.up.saved(ready.ticket)
        self.checker.observe(member.replica, member.up)
        self._put(ready.send_after_sync)
        self.pump(member)

    def install(self, member: Member) -> None:
        """The snapshot that is being installed is the state now."""
        meta, member.installing = member.installing, None
        assert meta is not None, "nothing to install"
        while member.saving:  # The reset record is written behind what was asked before it.
            self.save(member)
        member.disk.reset(meta)
        member.applied_index = meta.id.index
        member.digest = self.digests[meta.id]
        member.up.snapshot_installed(meta)
        self.pump(member)

    def compact(self, member: Member, *, keep: int = 0) -> None:
        """Snapshot the state and forget the log behind it, but for `keep` entries."""
        core = member.up
        index = member.applied_index
        if member.installing or index > core.saved_index or index <= core.snapshot_index:
            return
        meta = core.meta_at(index)
        assert self.digests.setdefault(meta.id, member.digest) == member.digest
        member.disk.compact(meta)
        core.compact(meta, index + 1 - keep)
        self.pump(member)

    def deliver(self, message: Message) -> None:
        """Give a message to its target, unless it is down or cut off."""
        target = self.members[message.target]
        is_cut = (message.source, message.target) in self.cut or self.is_lost(message)
        if target.core is not None and not is_cut:
            target.clock_ns += 1  # So that each has a moment of its own.
            target.heard[target.clock_ns] = self.checker.committed_index
            target.core.receive(message, target.clock_ns)
            self.pump(target)
        if isinstance(message, InstallSnapshot):
            self.snapshot_sent(message, is_ok=target.core is not None and not is_cut)

    def snapshot_sent(self, message: InstallSnapshot, *, is_ok: bool) -> None:
        source = self.members[message.source]
        if source.core is not None:
            source.core.snapshot_sent(message.target, is_ok)
            self.pump(source)

    def tick(self, member: Member, milliseconds: int) -> None:
        member.clock_ns += milliseconds * MS
        if member.core is not None:
            member.core.tick(member.clock_ns)
            self.pump(member)
            assert member.core.next_deadline() > member.clock_ns, "a tick leaves something due"

    def propose(self, member: Member, data: bytes = b"x") -> EntryId:
        place = member.up.propose(data, member.clock_ns)
        self.pump(member)
        return place

    def read(self, member: Member) -> int:
        token = member.up.request_read(member.clock_ns)
        # What any client may have been told by now.
        member.reads[token] = self.checker.committed_index
        self.pump(member)
        return token

    # --- Many steps.

    def settle(self) -> None:
        """Deliver and save all there is, in order, until nothing is left."""
        while True:
            busy = [one for one in self.members.values() if one.saving or one.installing]
            if not self.wire and not busy:
                return
            for member in busy:
                if member.saving:
                    self.save(member)
                else:
                    self.install(member)
            batch, self.wire = self.wire, []
            for message in batch:
                self.deliver(message)

    def advance(self, milliseconds: int, step: int = 5) -> None:
        """Let time pass for all, with a network that works."""
        for _ in range(0, milliseconds, step):
            for member in self.members.values():
                self.tick(member, step)
            self.settle()

    def elect(self, replica: int) -> Member:
        """Make one replica the leader: its time is up, the others' is not."""
        member = self.members[ReplicaId(replica)]
        deadline = max(member.up.next_deadline(), member.clock_ns)
        for other in self.members.values():
            other.clock_ns = max(other.clock_ns, deadline - 1)
        member.clock_ns = deadline
        member.up.tick(deadline)
        self.pump(member)
        self.settle()
        assert member.up.role is Role.LEADER, f"{member.up.role} after the election"
        return member

    @property
    def leader(self) -> Member | None:
        """Who leads the highest term that anyone leads."""
        leading = [
            one
            for one in self.members.values()
            if one.core is not None and one.core.role is Role.LEADER
        ]
        return max(leading, key=lambda one: one.up.term, default=None)

    def isolate(self, replica: int) -> None:
        for other in self.members:
            if other != replica:
                self.cut |= {(ReplicaId(replica), other), (other, ReplicaId(replica))}

    # --- What a core asked for.

    def _put(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self.checker.sent(message)
            self.wire.append(message)

    def _apply(self, member: Member, ready: Ready) -> None:
        for entry in ready.committed:
            assert entry.index == member.applied_index + 1, "applied out of order"
            self.checker.applied(member.replica, entry)
            member.applied_index = entry.index
            member.digest = crc32(entry.data + b"%d" % entry.term, member.digest)
            known = self.applied.setdefault(entry.index, member.digest)
            assert known == member.digest, f"states differ at {entry.index}"

    def _answer(self, member: Member, ready: Ready) -> None:
        for barrier in ready.reads:
            floor = member.reads.pop(barrier.token)
            assert barrier.index >= floor, "a read that misses an acknowledged write"
            assert barrier.index <= member.applied_index or member.installing
            member.reads_served.append(barrier.token)
        for token in ready.reads_failed:
            del member.reads[token]
            member.reads_failed.append(token)
