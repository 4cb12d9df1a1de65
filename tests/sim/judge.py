"""What must hold after every step, held against what the nodes do, by one who sees them all.

The judge keeps its own account of what each node's disk holds (from the saves whose sync returned)
and of what was committed. It shares no code with the core, so that neither can excuse the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, assert_never
from zlib import crc32

from trimaran.node.raft.types import (
    NOBODY,
    AppendEntries,
    AppendReply,
    Entry,
    HardState,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Message,
    NodeId,
    PreVote,
    ReplicaId,
    RequestPreVote,
    RequestVote,
    Restored,
    Role,
    TimeoutNow,
    Vote,
)

from .teller import HEARD

if TYPE_CHECKING:
    from trimaran.cluster.slots import ShardId
    from trimaran.cluster.topology import Topology
    from trimaran.node.raft.core import RaftCore
    from trimaran.node.storage.wal import ShardSave

    from .clock import SimClock


class Violation(AssertionError):
    """A promise was broken; the text says which, where and when."""


@dataclass(slots=True)
class Durable:
    """What one replica's disk surely holds."""

    hard_state: HardState = field(default_factory=lambda: HardState(0, NOBODY))
    snapshot_index: int = 0
    terms: dict[int, int] = field(default_factory=dict)  # Index -> term of the entry there.
    last_index: int = 0
    exists: bool = False

    def add(self, save: ShardSave) -> None:
        """A record that is held changes nothing, another term drops the suffix (correctness L3)."""
        self.exists = True
        if save.reset is not None:
            self.snapshot_index = self.last_index = save.reset.id.index
            self.terms = {}
        if save.hard_state is not None:
            self.hard_state = save.hard_state
        for entry in save.entries:
            if self.terms.get(entry.index) == entry.term or entry.index <= self.snapshot_index:
                continue
            for index in range(entry.index, self.last_index + 1):
                self.terms.pop(index, None)
            self.terms[entry.index] = entry.term
            self.last_index = entry.index

    def holds(self, index: int, term: int) -> bool:
        return index <= self.snapshot_index or self.terms.get(index) == term

    def is_same(self, restored: Restored | None) -> bool:
        """Whether a replay gave back all this; a snapshot may stand for the beginning of it."""
        if restored is None:
            return not self.exists
        if (
            not self.exists
            or restored.hard_state != self.hard_state
            or restored.snapshot.id.index < self.snapshot_index
        ):
            return False
        found = {entry.index: entry.term for entry in restored.entries}
        return found == self._behind(restored)

    def _behind(self, restored: Restored) -> dict[int, int]:
        place = restored.snapshot.id
        if place.index > self.snapshot_index and self.terms.get(place.index) != place.term:
            return {}  # The log does not lead through the snapshot: it is discarded (L5).
        return {index: term for index, term in self.terms.items() if index > place.index}

    def rebase(self, restored: Restored) -> None:
        self.terms = self._behind(restored)
        self.snapshot_index = restored.snapshot.id.index
        self.last_index = max(self.terms, default=self.snapshot_index)


@dataclass(slots=True)
class _Chosen:
    """A committed entry, and the term of the replica that first said so."""

    term: int
    checksum: int
    seen_in_term: int


class Judge:
    def __init__(self, shards: Sequence[ShardId], nodes: Sequence[NodeId]) -> None:
        self.checks = 0
        self._nodes = nodes
        self._durable = {(node, shard): Durable() for node in nodes for shard in shards}
        self._chosen: dict[ShardId, dict[int, _Chosen]] = {shard: {} for shard in shards}
        self._leaders: dict[tuple[ShardId, int], NodeId] = {}
        # Who leads, as it thinks itself, also if it is dead, with the clock it goes by.
        self._leading: dict[ShardId, dict[NodeId, tuple[RaftCore, SimClock]]] = {
            shard: {} for shard in shards
        }
        # Saved votes by term, also those that a later one has replaced on disk by now.
        self._votes: dict[tuple[NodeId, ShardId], dict[int, ReplicaId]] = {
            (node, shard): {} for node in nodes for shard in shards
        }
        # Log matching: an (index, term) names one entry and one predecessor.
        self._entries: dict[tuple[ShardId, int, int], tuple[int, int]] = {}
        self._digests: dict[tuple[ShardId, int], tuple[int, NodeId]] = {}
        self._applied: dict[tuple[NodeId, ShardId], int] = {}  # All of it, as of now.
        self._proposers: dict[tuple[ShardId, int, int], object] = {}  # By index and term.
        self._told: set[tuple[ShardId, int]] = set()  # By index.
        self._messages: set[bytes] = set()  # All that were published.
        self._topologies: dict[int, Topology] = {}  # By epoch.
        self._epochs: dict[NodeId, int] = {}  # What each node has said that it knows.

    # --- The disk.

    def saved(self, node: NodeId, saves: Sequence[ShardSave]) -> None:
        """The sync that covers `saves` has returned."""
        for save in saves:
            durable = self._durable[node, save.shard]
            if save.hard_state is not None:
                self._check_hard_state(node, save.shard, durable.hard_state, save.hard_state)
            durable.add(save)

    def _check_hard_state(
        self, node: NodeId, shard: ShardId, before: HardState, after: HardState
    ) -> None:
        """A term never falls and a vote is given once (Raft §5.2), whatever crashes lie between."""
        if after.term < before.term:
            raise Violation(f"{node} shard {shard}: the term falls from {before} to {after}")
        votes = self._votes[node, shard]
        if votes.get(after.term, NOBODY) not in (NOBODY, after.voted_for):
            raise Violation(f"{node} shard {shard}: {after} after {votes[after.term]} had the vote")
        votes[after.term] = after.voted_for

    def restarted(
        self,
        node: NodeId,
        found: Mapping[ShardId, Restored],
        in_flight: Sequence[ShardSave],
    ) -> None:
        """A process started on what was left on disk: all that was synced, and perhaps what was
        being written."""
        known = self._disk_of(node)
        if any(not known[shard].is_same(found.get(shard)) for shard in known):
            self.saved(node, in_flight)  # A batch counts as a whole or not at all (L1).
        for shard, durable in known.items():
            restored = found.get(shard)
            if not durable.is_same(restored):
                raise Violation(f"{node} shard {shard}: {_difference(durable, restored)}")
            if restored is not None:
                durable.rebase(restored)

    def _disk_of(self, node: NodeId) -> dict[ShardId, Durable]:
        return {shard: one for (owner, shard), one in self._durable.items() if owner == node}

    # --- What leaves.

    def leaving(self, node: NodeId, shard: ShardId, message: Message) -> None:
        """Nothing is promised, and nothing of a term said, before it is saved (R1)."""
        self.checks += 1
        durable = self._durable[node, shard]
        own = durable.hard_state
        match message:
            case RequestPreVote(term=term):
                spoken = term - 1
            case PreVote(term=term, granted=granted):
                spoken = 0 if granted else term  # Granted, it repeats the term it was asked for.
            case RequestVote(term=term, source=source):
                spoken = term
                self._check_vote(node, shard, term, source)
            case Vote(term=term, granted=granted, target=target):
                spoken = term
                if granted:
                    self._check_vote(node, shard, term, target)
            case AppendReply(term=term, is_success=is_success, match_index=match_index):
                spoken = term
                # Of an older term it may leave late: its entries may be replaced by then.
                if is_success and term == own.term and match_index > durable.last_index:
                    raise Violation(
                        f"{node} shard {shard} acknowledges {match_index}, "
                        f"its disk holds {durable.last_index}: {message}"
                    )
            case (
                AppendEntries(term=term)
                | Heartbeat(term=term)
                | HeartbeatReply(term=term)
                | InstallSnapshot(term=term)
                | TimeoutNow(term=term)
            ):
                spoken = term
            case _:
                assert_never(message)
        if spoken > own.term:
            raise Violation(f"{node} shard {shard} speaks in {spoken}, saved is {own}: {message}")

    def _check_vote(self, node: NodeId, shard: ShardId, term: int, choice: ReplicaId) -> None:
        votes = self._votes[node, shard]
        if term < self._durable[node, shard].hard_state.term:
            # With a later term saved no other vote can be given in this one, saved or not.
            votes[term] = votes.get(term) or choice
        saved = votes.get(term)
        if saved != choice:
            raise Violation(f"{node} shard {shard} votes for {choice} in {term}; saved is {saved}")

    # --- The core, after each step.

    def stepped(self, node: NodeId, shard: ShardId, core: RaftCore, clock: SimClock) -> None:
        """One leader a term, and it holds what was committed before its term."""
        self.checks += 1
        leading = self._leading[shard]
        if core.role is not Role.LEADER:
            if node in leading and leading[node][0] is core:
                del leading[node]
            return
        leading[node] = core, clock
        if len(leading) > 1:
            self._check_leases(shard, leading)
        term = core.term
        before = self._leaders.get((shard, term))
        if before == node:
            return
        if before is not None:
            raise Violation(f"shard {shard} has two leaders in term {term}: {before} and {node}")
        self._leaders[shard, term] = node
        for index, chosen in self._chosen[shard].items():
            if index < core.first_index or chosen.seen_in_term >= term:
                continue
            if core.term_at(index) != chosen.term:
                raise Violation(
                    f"{node} leads shard {shard} in {term} without the committed entry {index} "
                    f"of term {chosen.term}: it has {core.term_at(index)}"
                )

    def _check_leases(
        self, shard: ShardId, leading: Mapping[NodeId, tuple[RaftCore, SimClock]]
    ) -> None:
        """While one may be sure that nobody else leads, nobody does in a later term. That holds
        also for one that died: nobody may rely on its death."""
        terms = {  # Who was told of a later term may not have had a turn since.
            node: core.term for node, (core, _) in leading.items() if core.role is Role.LEADER
        }
        last = max(terms, key=lambda node: terms[node])
        for node in terms:
            core, clock = leading[node]
            if node != last and core.has_lease(clock.now_ns()):
                raise Violation(
                    f"{node} has its lease of shard {shard} in {core.term}, "
                    f"but {last} leads it in {terms[last]}"
                )

    def appended(
        self, node: NodeId, shard: ShardId, core: RaftCore, entries: Sequence[Entry]
    ) -> None:
        """Two logs with the same (index, term) are the same up to there (Raft §5.3)."""
        for entry in entries:
            previous = core.term_at(entry.index - 1)
            if previous is None:
                continue
            value = (previous, _checksum(entry))
            known = self._entries.setdefault((shard, entry.index, entry.term), value)
            if known != value:
                raise Violation(
                    f"{node} shard {shard}: entry {entry.id} is not the one of another replica"
                )

    def committed(
        self, node: NodeId, shard: ShardId, core: RaftCore, entries: Sequence[Entry]
    ) -> None:
        """No committed entry is lost or changed, and each is on a majority of disks."""
        chosen = self._chosen[shard]
        last = entries[-1]
        if core.role is Role.LEADER and last.index > len(chosen) and last.term != core.term:
            # Raft §5.4.2. What others had committed before, their own steps have shown us.
            raise Violation(
                f"{node} leads shard {shard} in {core.term} and commits {last.id} itself"
            )
        for entry in entries:
            known = chosen.get(entry.index)
            if known is None:
                self._choose(node, shard, entry, core)
            elif (known.term, known.checksum) != (entry.term, _checksum(entry)):
                raise Violation(
                    f"{node} shard {shard} commits {entry.id}, but {known.term} was "
                    f"committed at {entry.index}"
                )

    def _choose(self, node: NodeId, shard: ShardId, entry: Entry, core: RaftCore) -> None:
        chosen = self._chosen[shard]
        if entry.index != len(chosen) + 1:
            raise Violation(
                f"{node} shard {shard} commits {entry.index} after {len(chosen)}: a gap"
            )
        holders = [
            one for one in self._nodes if self._durable[one, shard].holds(entry.index, entry.term)
        ]
        if len(holders) * 2 <= len(core.voters):
            raise Violation(
                f"{node} shard {shard} commits {entry.id}, which only {holders} have on disk"
            )
        chosen[entry.index] = _Chosen(entry.term, _checksum(entry), core.term)

    # --- State machines.

    def applied(self, node: NodeId, shard: ShardId, index: int, digest: int) -> None:
        """At the same applied index all replicas are equal."""
        self.checks += 1
        self._applied[node, shard] = index
        known = self._digests.setdefault((shard, index), (digest, node))
        if known[0] != digest:
            raise Violation(f"{node} and {known[1]} differ at index {index} of shard {shard}")

    def serves(self, node: NodeId, shard: ShardId, index: int) -> None:
        """A read is answered by a replica that says it has applied all up to `index`."""
        known = self._applied.get((node, shard), 0)
        if index > known:
            raise Violation(f"{node} serves shard {shard} at {index}, but only {known} is applied")

    def cut(self, node: NodeId, shard: ShardId, index: int, digest: int) -> None:
        """A snapshot is cut where this replica's own log is saved, and of whole entries (L5)."""
        self.applied(node, shard, index, digest)
        durable = self._durable[node, shard]
        chosen = self._chosen[shard].get(index)
        if chosen is None or not durable.holds(index, chosen.term):
            raise Violation(f"{node} cuts shard {shard} at {index}, which its disk does not hold")

    # --- What is told beside replies.

    def proposed(self, who: object, shard: ShardId, index: int, term: int) -> None:
        self._proposers[shard, index, term] = who

    def tells(self, who: object, node: NodeId, shard: ShardId, index: int) -> None:
        """Messages and events of an entry are told once, by the process that proposed it (A7)."""
        self.checks += 1
        chosen = self._chosen[shard][index]
        what = f"{node} tells what entry {index} of shard {shard} has to tell"
        if self._proposers.get((shard, index, chosen.term)) is not who:
            raise Violation(f"{what}, which it did not propose")
        if (shard, index) in self._told:
            raise Violation(f"{what}, which was told already")
        self._told.add((shard, index))

    def published(self, message: bytes) -> None:
        """However often a command is sent again, its message is told once."""
        if message in self._messages:
            raise Violation(f"{message!r} is published again")
        self._messages.add(message)

    def heard(self, message: bytes, count: object) -> None:
        """A client was answered that so many got its message; none, if who told it did so to
        somebody else's try."""
        if count not in (0, HEARD) or (count == HEARD and message not in self._messages):
            raise Violation(f"{message!r} is said to have been told to {count!r}")

    # --- The topology.

    def knows(self, node: NodeId, topology: Topology) -> None:
        """An epoch is one topology, and a node that knew it knows it after every crash."""
        self.checks += 1
        if self._topologies.setdefault(topology.epoch, topology) != topology:
            raise Violation(f"{node} knows another topology of epoch {topology.epoch}")
        if topology.epoch < self._epochs.get(node, 0):
            raise Violation(f"{node} has forgotten epoch {self._epochs[node]}: {topology.epoch}")
        self._epochs[node] = topology.epoch

    def acknowledged(self, node: NodeId, pair: tuple[str, str], up: Sequence[NodeId]) -> None:
        """`node` answers OK: each of `up` must know the topology that first had that value."""
        found = [epoch for epoch, one in self._topologies.items() if pair in one.settings]
        if not found:
            raise Violation(f"{node} acknowledges {pair}, which nobody knows")
        for one in up:
            if self._epochs.get(one, 0) < min(found):
                raise Violation(
                    f"{node} acknowledges {pair} of epoch {min(found)}, "
                    f"but {one} knows only {self._epochs.get(one, 0)}"
                )

    def commit_index(self, shard: ShardId) -> int:
        """How far anybody has committed."""
        return len(self._chosen[shard])


def _checksum(entry: Entry) -> int:
    return crc32(entry.data, entry.kind)


def _difference(known: Durable, restored: Restored | None) -> str:
    if restored is None:
        return "the disk has forgotten the replica"
    entries = [(entry.index, entry.term) for entry in restored.entries]
    return (
        f"the disk gave back {restored.hard_state}, snapshot {restored.snapshot.id}, entries "
        f"{entries[:3]}..{entries[-3:]}; it was told to keep {known.hard_state}, snapshot "
        f"{known.snapshot_index}, last {known.last_index} of {known.terms.get(known.last_index)}"
    )
