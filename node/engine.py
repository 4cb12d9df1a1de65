"""The one loop that does I/O for all shards of a node (design, section 5).

Each turn it takes what has come in, steps every Raft core that has something to do, and collects
what they want: one write and sync of the log for all shards, one message per peer for all shards.
Sending and applying never wait for the disk; promises do. It knows neither asyncio nor gRPC: a
`Runtime` runs its callbacks, a `Transport` carries its messages, so that the simulator can be both.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ..cluster.slots import META_SHARD, ShardId
from .errors import Overloaded
from .evicting import Evictor
from .expiring import Expirer
from .gate import HOLD_MAX_NS, Gate, Gather
from .raft.types import AppendEntries, InstallSnapshot, Message, NodeId, Ready
from .slices import Slice
from .writing import LONE_NS, LogWriter, Promise, WriteCounters

if TYPE_CHECKING:
    from .clock import Clock
    from .request import Request
    from .runtime import Runtime, Transport
    from .shard import Shard
    from .snapshotting import Snapshotting
    from .storage.wal import Log, ShardSave

NOT_ARMED = 1 << 63  # Later than any timer.
HALTED_SHARE = 0.25  # Of log_memory_bytes.
# How often all shards are looked at, whether or not somebody waits there for anything: what else
# there is to do at a tick is less urgent, and a node that has nothing to do should cost nothing.
LOOK_EVERY_NS = 100_000_000
FREE_NS = 2_000_000  # Of a tick, for what was removed and is large,
FREE_PIECES_MAX = 4_096  # and so many pieces of it at most.
SLICE_NS = 2_000_000  # Of applying entries and serving reads, before others have their turn.

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EngineConfig:
    batch_bytes: int
    batch_gate_max_ns: int
    log_memory_bytes: int
    election_timeout_ns: int


@dataclass(slots=True)
class EngineCounters(WriteCounters):
    """Plain numbers; the HTTP door reads them."""

    turns: int = 0
    messages_in: int = 0
    elections: int = 0


class Engine:
    def __init__(
        self,
        name: NodeId,
        config: EngineConfig,
        *,
        clock: Clock,
        runtime: Runtime,
        transport: Transport,
        log: Log,
    ) -> None:
        self.name = name
        self.shards: dict[ShardId, Shard] = {}
        self.counters = EngineCounters()
        # Of all shards, with what waits to become entries, as of the last look at all.
        self.log_memory_bytes = 0
        self.leader_changed: Callable[[Shard], None] = lambda _shard: None
        self.meta_applied: Callable[[Shard], None] = lambda _shard: None
        self.snapshotting: Snapshotting | None = None
        self._config = config
        self._clock = clock
        self._runtime = runtime
        self._transport = transport
        self.writer = LogWriter(
            log,
            self.counters,
            clock=clock,
            runtime=runtime,
            keep_promise=self._keep_promise,
            written=self._written,
        )
        self.gate = Gate(config.batch_gate_max_ns)
        self.evictor = Evictor(self.shards, name)
        self.expirer = Expirer(self.shards, self._wake_later)
        self._up: dict[NodeId, None] = {}  # Peers whose streams are live.
        self._dirty: dict[ShardId, Shard] = {}
        self._busy: dict[ShardId, Shard] = {}  # Somebody waits there for something, or did.
        self._behind: dict[ShardId, Shard] = {}  # What they have to do is too long for a turn.
        self._unhurried: dict[ShardId, Shard] = {}  # They apply when what is to be said was said,
        self._at_ticks: dict[ShardId, Shard] = {}  # and these when heartbeats are answered, too.
        self._slice = Slice(clock.now_ns)  # One for all shards.
        self._with_inbox: dict[ShardId, Shard] = {}
        self._with_reads: dict[ShardId, Shard] = {}
        self._reading: dict[ShardId, Shard] = {}  # A round of theirs is on its way.
        self._slow_reads: dict[ShardId, Shard] = {}  # The same, but nobody waits for them.
        self._reads_began_ns = 0
        self._reads_out = 0  # Commands in the rounds that are on their way.
        self._read_gather = Gather(HOLD_MAX_NS)
        self._reads_armed_ns = NOT_ARMED
        self._ticked_ns = clock.now_ns()
        self._looks_next_ns = 0
        self._deadline_ns = 0  # Before then no core has anything to do at a tick.
        self._has_trash = False
        self._is_scheduled = False
        self._turned_ns = clock.now_ns()
        self._sends_entries = False  # With the flush of this turn.
        self._has_answered = False  # Clients, in this turn.
        self._gate_armed_ns = NOT_ARMED
        self._leaders: dict[ShardId, tuple[int, NodeId | None]] = {}

    def now_ns(self) -> int:
        return self._clock.now_ns()

    # --- Inputs.

    def add(self, shard: Shard) -> None:
        self.shards[shard.id] = shard
        shard.making.aside = partial(self._run_aside, shard)
        now = self._clock.now_ns()
        for node in self._up:  # At a founding they are there before the replicas are.
            shard.core.reachable(node, now)
        self.touch(shard)

    def submit(self, shard: Shard, request: Request) -> None:
        """Give a request to a shard of this node; it is refused there if it does not lead."""
        if request.has_write and self.log_memory_bytes > self._config.log_memory_bytes:
            shard.refuse(request, Overloaded("log_memory_bytes"))
            return
        shard.submit(request)
        self._busy[shard.id] = shard
        if request.stale_ns and not shard.is_leader:
            self._note_behind(shard)  # It waits for no barrier, only for its slice.
            return
        if request.has_write:
            self._with_inbox[shard.id] = shard
            self.gate.gather.arrived(len(request.commands))
            # Behind a closed gate a turn would do nothing; a timer is set for when none comes.
            is_in_vain = (
                self._gate_armed_ns != NOT_ARMED
                and self.gate.is_closed
                and shard.waiting_bytes < self._config.batch_bytes
            )
        else:
            self._with_reads[shard.id] = shard
            self._read_gather.arrived(len(request.commands))
            is_in_vain = (
                self._reads_armed_ns != NOT_ARMED
                and self._read_gather.is_holding
                and not shard.core.has_lease(self._clock.now_ns())
            )
        if not is_in_vain:
            self.wake()

    def receive(self, messages: Iterable[tuple[ShardId, Message]]) -> None:
        for shard_id, message in messages:
            shard = self.shards.get(shard_id)
            if shard is not None and not self._is_full(shard, message):
                self.counters.messages_in += 1
                shard.core.receive(message, self._clock.now_ns())
                self._dirty[shard_id] = shard
        if self._clock.now_ns() - self._turned_ns > LONE_NS and not self._is_scheduled:
            self._turn_at_once()
        else:
            self.wake()

    def _is_full(self, shard: Shard, message: Message) -> bool:
        """A halted replica takes no snapshot, so its log only grows: it still votes, and vouches
        for entries until they take a share of the memory, then no more."""
        return (
            shard.halted is not None
            and isinstance(message, AppendEntries)
            and shard.core.log_bytes > self._config.log_memory_bytes * HALTED_SHARE
        )

    def peer_up(self, node: NodeId) -> None:
        self._up[node] = None
        self.probe(node)

    def probe(self, node: NodeId) -> None:
        """Whatever was on its way to `node` may be lost, and it can be reached now."""
        now = self._clock.now_ns()
        for shard in self.shards.values():
            shard.core.reachable(node, now)
            self.touch(shard)

    def peer_down(self, node: NodeId) -> None:
        self._up.pop(node, None)
        for shard in self.shards.values():
            shard.core.unreachable(node)
            if shard.turns:
                shard.turns.node_left(node, self._clock.now_ns())
            self.touch(shard)

    def tick(self) -> None:
        """Called at a steady pace; time-outs, heartbeats and elections happen here."""
        now = self._clock.now_ns()
        # A process that stood still has heard nobody: what came meanwhile waits in its sockets.
        # It is read before the next tick; until then silence is ours, not the others'.
        stood_still = now - self._ticked_ns > self._config.election_timeout_ns // 4
        self._ticked_ns = now
        if now >= self._deadline_ns and not stood_still:
            self._tick_cores(now)
        if now >= self._looks_next_ns:
            self._looks_next_ns = now + LOOK_EVERY_NS
            self._look_at_all(now)
        elif self._has_trash:
            self._free()
        if self._busy:
            self._look_after_requests(now)
        if self.snapshotting is not None:
            self.snapshotting.tick(now)
        self._turn(is_tick=True)

    def _tick_cores(self, now_ns: int) -> None:
        """What a core has to do sooner than it said, it says when it is stepped (`_step`)."""
        self._deadline_ns = NOT_ARMED
        for shard in self.shards.values():
            core = shard.core
            if now_ns >= core.next_deadline():
                core.tick(now_ns)
                self._dirty[shard.id] = shard
            self._deadline_ns = min(self._deadline_ns, core.next_deadline())

    def _look_at_all(self, now_ns: int) -> None:
        shards = self.shards.values()
        self._busy.update(self.shards)
        self.log_memory_bytes = sum([one.core.log_bytes + one.waiting_bytes for one in shards])
        self.evictor.tick(now_ns)
        self._free()
        self._expire()

    def _look_after_requests(self, now_ns: int) -> None:
        for shard in list(self._busy.values()):
            if not shard.is_idle:
                shard.time_out(now_ns)
                self._dirty[shard.id] = shard
            elif not shard.turns:
                del self._busy[shard.id]
            if shard.turns:
                shard.look_after_turns(now_ns)
            if shard.has_waiting_writes and shard.is_leader:
                self._with_inbox[shard.id] = shard

    def touch(self, shard: Shard) -> None:
        self._dirty[shard.id] = shard
        self.wake()

    def wake(self) -> None:
        """Have a turn soon, after everything that is ready now has come in."""
        if not self._is_scheduled:
            self._is_scheduled = True
            self._runtime.call_soon(self._scheduled_turn)

    # --- A turn.

    def _scheduled_turn(self) -> None:
        self._is_scheduled = False
        self._turn()

    def _turn_at_once(self) -> None:
        """For what comes alone. Clients it answers come before the rest of the turn."""
        self._slice.begin(SLICE_NS)
        while self._dirty and not self._has_answered:
            self._step(self._dirty.popitem()[1])
        if self._has_answered:
            self._has_answered = False
            self.wake()
        else:
            self._turn()

    def _turn(self, *, is_tick: bool = False) -> None:
        self.counters.turns += 1
        self._slice.begin(SLICE_NS)
        self._drain()
        if self.expirer.is_at_it:
            self._expire()
        if self.evictor.is_on:
            self._evict()
        self._propose()
        self._start_reads()
        self._drain()
        self._transport.flush(lazily=is_tick)
        if self._sends_entries or self._has_answered:
            # They leave first: followers take longer to have entries on disk than we do.
            self._sends_entries = self._has_answered = False
            self._runtime.call_soon(self._write)
        else:
            self._write()
        if is_tick and self._at_ticks:
            self._unhurried.update(self._at_ticks)
            self._at_ticks.clear()
        if self._unhurried and (is_tick or not self.writer.is_writing):
            self._apply_unhurried()
        self._turned_ns = self._clock.now_ns()

    def _drain(self) -> None:
        while self._dirty:
            self._step(self._dirty.popitem()[1])

    def _step(self, shard: Shard) -> None:
        while (ready := shard.core.ready()) is not None:
            self._handle(shard, ready)
        shard.after_step()
        self._deadline_ns = min(self._deadline_ns, shard.core.next_deadline())
        self._note_leader(shard)

    def _handle(self, shard: Shard, ready: Ready) -> None:
        if ready.snapshot is not None:
            assert self.snapshotting is not None, "a snapshot to install and nobody to do it"
            self.snapshotting.install(shard, ready.snapshot, ready.ticket)
            return
        for message in ready.send_now:
            self._send(shard, message)
        self.writer.collect(shard, ready)
        for barrier in ready.reads:
            shard.pass_reads(barrier.token, barrier.index)
        if ready.committed:
            shard.commit(ready.committed)
            if shard.is_leader:
                self._apply(shard)
                self._has_answered = True
            elif ready.entries:
                self._unhurried[shard.id] = shard
            else:
                self._at_ticks[shard.id] = shard
        if shard.has_passed_reads:
            self._serve(shard)
        if ready.reads_failed:
            shard.fail_reads(ready.reads_failed)

    # --- Applying and serving, in slices: a long suffix, a long entry or thousands of reads at once
    # must not hold up heartbeats, votes and other shards (correctness E3).

    def _apply(self, shard: Shard) -> None:
        """Apply what there is time for; the rest waits for its own turns."""
        was_halted = shard.halted is not None
        shard.apply_some(self._slice, self._clock.now_ns())
        if shard.halted is not None and not was_halted:
            place = {"shard": shard.id, "index": shard.applied_index + 1}
            _log.critical("shard halted", extra=place, exc_info=shard.halted)
        if shard.id == META_SHARD:
            self.meta_applied(shard)
        self._note_behind(shard)

    def _apply_unhurried(self) -> None:
        """Nobody waits for what a follower applies: the leader, and through it a client, waits for
        its acknowledgement. So it applies when that has left, or while there is nothing to save.

        What only a heartbeat has told it waits for the tick with which that is answered: applying
        may take a second, and the leader may just have stood still as long itself, for the same
        entry. Together that must not look as if a majority were silent.
        """
        for shard in self._unhurried.values():
            self._note_behind(shard)
        self._unhurried.clear()

    def _serve(self, shard: Shard) -> None:
        shard.serve_some(self._slice, self._clock.now_ns(), self._clock.wall_ms())
        if shard.has_waiting_writes:  # A read met a due key and waits for its expiry.
            self._with_inbox[shard.id] = shard
        self._note_behind(shard)

    def _note_behind(self, shard: Shard) -> None:
        if shard.is_behind:
            if not self._behind:
                self._runtime.call_soon(self._catch_up)
            self._behind[shard.id] = shard

    def _run_aside(self, shard: Shard, work: Callable[[], None], done: Callable[[], None]) -> None:
        """Something that a shard cannot apply without, and that takes long."""

        def ended(_: None) -> None:
            done()
            self._note_behind(shard)

        self._runtime.run_aside(work, ended)

    def _catch_up(self) -> None:
        """A slice for what did not fit into a turn, half of it for entries and half for reads: a
        long suffix must not hold up the reads that wait for none of it."""
        behind, self._behind = self._behind, {}
        share_ns = SLICE_NS // len(behind) // 2
        for shard in behind.values():
            self._slice.begin(share_ns)
            self._apply(shard)
            self._slice.begin(share_ns)
            self._serve(shard)
        self.wake()

    def _keep_promise(self, promise: Promise) -> None:
        shard, ticket, messages = promise
        shard.core.saved(ticket)
        for message in messages:
            self._send(shard, message)
        self._dirty[shard.id] = shard

    def _send(self, shard: Shard, message: Message) -> None:
        node = shard.core.node_of(message.target)
        if node is None:
            return  # A replica that is no voter of ours: nothing to say to it (R8).
        if isinstance(message, InstallSnapshot):
            assert self.snapshotting is not None
            self.snapshotting.send(shard, node, message)
        else:
            self._transport.send(node, shard.id, message)
            self._sends_entries |= isinstance(message, AppendEntries)

    # --- Expiry: the leader names what is due, in the log (correctness A2).

    def _expire(self) -> None:
        """Have keys that are due removed (`expiring.py`)."""
        now = self._clock.now_ns()
        deadline_ns = now + self._config.election_timeout_ns * 4
        for shard in self.expirer.turn(now, self._clock.wall_ms(), deadline_ns):
            self._with_inbox[shard.id] = shard

    def _wake_later(self, after_ns: int) -> None:
        self._runtime.call_later(after_ns, self.wake)

    # --- Memory.

    def _evict(self) -> None:
        """Have keys named that make room, when there is too little (`evicting.py`)."""
        now = self._clock.now_ns()
        deadline_ns = now + self._config.election_timeout_ns * 4
        for shard in self.evictor.turn(now, deadline_ns):
            self._with_inbox[shard.id] = shard

    def _free(self) -> None:
        """Free a part of what was removed and is large."""
        until_ns = self._clock.now_ns() + FREE_NS
        left = FREE_PIECES_MAX
        for shard in self.shards.values():
            while shard.keys.trash and left and self._clock.now_ns() < until_ns:
                shard.keys.trash.free_some(1)
                left -= 1
        self._has_trash = any(shard.keys.trash for shard in self.shards.values())

    # --- The gate (correctness E1): entries leave in batches, one after the other's commit.

    def _propose(self) -> None:
        now = self._clock.now_ns()
        self.gate.settle(now)
        if not self._with_inbox:
            return
        # What cannot leave anyway is no reason to open the gate.
        waiting = sum([one.waiting_bytes for one in self._with_inbox.values() if one.can_propose])
        if not self.gate.is_open(now) and waiting < self._config.batch_bytes:
            self._arm_gate(now)
            return
        wall_ms = self._clock.wall_ms()
        still: dict[ShardId, Shard] = {}
        for shard in self._with_inbox.values():
            if self.gate.admits(shard, now):
                before = shard.waiting_commands
                index = shard.propose(now, wall_ms)
                if index is not None:
                    self.gate.proposed(shard, index, before - shard.waiting_commands, now)
                    self._dirty[shard.id] = shard
            if shard.has_waiting_writes:
                still[shard.id] = shard
        self._with_inbox = still
        if still:
            self._arm_gate(now)

    def _arm_gate(self, now_ns: int) -> None:
        """Look again when the gate opens by itself; commits open it sooner, and wake us anyway."""
        opens_ns = self.gate.opens_ns or 0
        if opens_ns <= now_ns:  # It is open, and something waits for something else.
            opens_ns = now_ns + self._config.batch_gate_max_ns
        # One timer, unless it turns out that it is to open sooner.
        if opens_ns < self._gate_armed_ns:
            self._gate_armed_ns = opens_ns
            self._runtime.call_later(opens_ns - now_ns, partial(self._gate_timer, opens_ns))

    def _gate_timer(self, armed_ns: int) -> None:
        if armed_ns == self._gate_armed_ns:
            self._gate_armed_ns = NOT_ARMED
            if self._with_inbox:
                self.wake()  # Armed again there if it was set for an earlier batch.

    def _start_reads(self) -> None:
        """Reads gather while a round of any shard is out, so that rounds share their messages.
        Where a lease holds there is none to wait for."""
        if self._with_reads:
            self._start_leased_reads()
        if not self._with_reads:
            return
        now = self._clock.now_ns()
        reading = {one: shard for one, shard in self._reading.items() if shard.has_waiting_reads}
        if self._reading and not reading:
            round_ns = now - self._reads_began_ns
            self._read_gather.answered(self._reads_out, round_ns // 2, now)
        self._reading = reading
        if reading:
            opens_ns = self._reads_began_ns + self._config.batch_gate_max_ns
            if now < opens_ns:
                self._arm_reads(opens_ns, now)
                return
            # As at the gate (E1): these are not waited for again until they are answered.
            self._slow_reads.update(reading)
            self._reading = {}
        elif self._read_gather.holds(now):
            self._arm_reads(self._read_gather.until_ns, now)
            return
        self._slow_reads = {
            one: shard for one, shard in self._slow_reads.items() if shard.has_waiting_reads
        }
        self._reads_began_ns = now
        self._reads_out = 0
        for shard in self._with_reads.values():
            count = shard.start_reads(self._clock.now_ns())
            if count:
                self._reads_out += count
                if shard.id not in self._slow_reads:
                    self._reading[shard.id] = shard
            self._dirty[shard.id] = shard
        self._with_reads = {}

    def _start_leased_reads(self) -> None:
        for shard in list(self._with_reads.values()):
            now = self._clock.now_ns()  # correctness R3: asked anew, after the commands came.
            if shard.core.has_lease(now):
                shard.start_reads(now)
                self._dirty[shard.id] = shard
                del self._with_reads[shard.id]

    def _arm_reads(self, opens_ns: int, now_ns: int) -> None:
        if opens_ns < self._reads_armed_ns:
            self._reads_armed_ns = opens_ns
            self._runtime.call_later(opens_ns - now_ns, partial(self._reads_timer, opens_ns))

    def _reads_timer(self, armed_ns: int) -> None:
        if armed_ns == self._reads_armed_ns:
            self._reads_armed_ns = NOT_ARMED
            if self._with_reads:
                self.wake()

    # --- The disk.

    def _write(self) -> None:
        self.writer.write(is_alone=not self._with_inbox)

    def _written(self) -> None:
        if self.writer.was_here:  # It came alone, so what it promised leaves before the next turn.
            self._transport.flush()
            self.wake()
        else:
            self._turn()
        if self._unhurried:
            self._apply_unhurried()

    def save(self, save: ShardSave, done: Callable[[], None]) -> None:
        """Write a record that no Ready asks for (a new replica, an installed snapshot, a rewritten
        suffix) with the next batch; `done` runs when it is on disk."""
        self.writer.add(save, done)
        self.wake()

    # --- Who leads.

    def _note_leader(self, shard: Shard) -> None:
        known = (shard.core.term, shard.core.leader_node)
        before = self._leaders.get(shard.id)
        if known == before:
            return
        self._leaders[shard.id] = known
        if known[1] is not None and (before is None or known[1] != before[1]):
            self.counters.elections += 1
            _log.info("leader", extra={"shard": shard.id, "term": known[0], "leader": known[1]})
        self.leader_changed(shard)
