"""One Raft group and its keyspace: waiting requests become entries, and entries replies.

Pure: no I/O, no clock of its own; the engine tells it the time, saves and sends for it. It owns the
answer to "what became of my write": applied with the entry it was put in, replaced by an entry of
another term, or hidden behind an installed snapshot (correctness D2). Read `engine.py` next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, cast

from ..cluster.settings import unpack_settings
from ..proto.reply import NULL_ARRAY, OK, ErrorReply, Reply
from .commands.context import Context
from .commands.dumping import LONG_BYTES
from .data.entry import EntryData, pack_entry, read_entry
from .data.keyspace import ExpiryPending, Keyspace, KeyspaceCut
from .data.sessions import Lookup
from .errors import (
    CommandError,
    NoQuorum,
    NotLeader,
    OutcomeUnknown,
    Overloaded,
    SessionUnknown,
    Unavailable,
)
from .evicting import Pressure, when_full
from .expiring import bounded, expiry
from .inbox import Inbox, records_of
from .making import Making
from .proposals import Proposals, Proposed
from .raft.types import Entry, EntryKind, NodeId, Role, SnapshotMeta
from .reads import Reads
from .request import Done, NotApplied, Request, Unknown, answered
from .running import ALL_HANDLERS, run
from .turns import BLOCK, UNBLOCK, Turns

if TYPE_CHECKING:
    from random import Random

    from ..cluster.slots import ShardId
    from .data.entry import CommandRecord
    from .data.waiters import WaiterId
    from .notifications import Notifications
    from .raft.core import RaftCore
    from .slices import Slice

LARGE_BYTES = 1 << 20  # An entry with a request of that size is packed in parts.
ENTRY_COST = 32  # Bytes of log an entry is counted beside its data.
# Entries committed and not applied, past which a leader proposes no more: another one could not be
# answered sooner, and of what still waits it can be said for sure that it was not applied.
UNAPPLIED_MAX = 4
ENDLESS = 1 << 60  # A quota nobody uses up.
DONE = object()  # What a generator gives that has nothing left to do.
WAIT = b"_WAIT"  # _WAIT index: a read, alone in its request; see `_saved_by`.


@dataclass(frozen=True, slots=True)
class ShardLimits:
    uncommitted_bytes_max: int  # Proposed; the same may wait to be, then requests are refused.
    entry_bytes_max: int  # One entry takes no further request past this; one request is never cut.
    waiters_max: int = 10_000  # Clients that wait for data.


def _refuse(request: Request, error: Unavailable) -> None:
    request.complete(NotApplied(error))


class Shard:
    def __init__(
        self,
        shard: ShardId,
        *,
        cluster_id: int,
        core: RaftCore,
        keys: Keyspace,
        limits: ShardLimits,
        seeds: Random,
        refuse: Callable[[Request, Unavailable], None] = _refuse,
        settings: Callable[[], bytes] = bytes,
        notifications: Callable[[], Notifications | None] = lambda: None,
        pressure: Pressure | None = None,
    ) -> None:
        self.id = shard
        self.core = core
        self.keys = keys
        self.applied_index = core.snapshot_index
        self.log_bytes_since_snapshot = 0
        self.halted: BaseException | None = None
        self.commands_applied = 0
        self._cluster_id = cluster_id
        self._limits = limits
        self._seeds = seeds
        self._pressure = Pressure() if pressure is None else pressure  # Of the node's memory.
        self._notifications = notifications  # Who hears what entries of ours tell, if anybody.
        self._settings = settings  # The cluster's, as this node knows them: for what it leads.
        self.refuse = refuse  # Who decides what becomes of a request that was surely not applied.
        self.turns = Turns(keys, limits.waiters_max)  # Who waits for data, while this one leads.
        self._now_ns = 0  # As of the last slice.
        self._inbox = Inbox()
        self._proposed = Proposals()
        self._reads = Reads()
        self._committed: deque[Entry] = deque()  # Handed out by the core and not yet applied.
        self._half_applied: Generator[None] | None = None  # What is left of an entry.
        self.making = Making()  # What its commands need first.
        self._applied_term = 0  # Of the last entry applied.
        self._half_served: Generator[None] | None = None  # What is left of a request that reads.
        self._quota = 0  # Commands that may run before the slice is looked at again.
        # Called once, when no entry is half applied: for who has to wait for that.
        self.between_entries: Callable[[], None] | None = None
        self._is_expiring = False  # An expiry entry of ours is on its way.
        self._was_leader = False
        self._stamp_ms = keys.last_stamp_ms  # The last stamp seen or given, and when.
        self._stamp_seen_ns: int | None = None

    # --- What a door or another node asks.

    @property
    def is_leader(self) -> bool:
        return self.core.role is Role.LEADER

    def leader_node(self) -> NodeId | None:
        return self.core.leader_node

    def submit(self, request: Request) -> None:
        """Take a request; it is answered by `complete` or given to `refuse`, later or at once."""
        if request.waiter is not None and self._ends_here(request, request.waiter):
            return
        if self.halted is not None:
            self.refuse(request, NotLeader(None))
        elif not self.is_leader:
            if request.stale_ns:
                self._reads.due.append(request)
            else:
                self.refuse(request, NotLeader(self.core.leader_node))
        elif not request.has_write:
            request.stale_ns = 0  # It gets a barrier, and is as new as any.
            self._reads.new.append(request)
        elif self._inbox.bytes > self._limits.uncommitted_bytes_max:
            self.refuse(request, Overloaded("uncommitted_bytes_max"))
        elif request.waiter is None:
            self._inbox.put(request)
        else:
            self._put_all(self.turns.admit(request))

    def _put_all(self, requests: Iterable[Request]) -> None:
        for request in requests:
            self._inbox.put(request)

    def look_after_turns(self, now_ns: int) -> None:
        """Who does not come loses his turn."""
        self._now_ns = now_ns
        self.turns.tick(now_ns, self.core.leader_node)
        self._put_all(self.turns.released())

    def put_first(self, request: Request) -> None:
        """A request of the leader's own that what waits may have to wait for."""
        self._inbox.put_first(request)

    @property
    def entry_bytes_max(self) -> int:
        return self._limits.entry_bytes_max

    def _ends_here(self, request: Request, waiter: WaiterId) -> bool:
        """Whether that is all there is to do for a command that may wait."""
        if request.commands[0][0] == UNBLOCK:
            if waiter in self.turns:
                self.turns.leave(waiter, self._now_ns)
                self._put_all(self.turns.released())
            else:
                self._reads.call_off(waiter)
            request.complete(Done([OK]))
            return True
        if request.has_write and self.is_leader and self.turns.must_queue(request):
            request.complete(Done([NULL_ARRAY]))
            return True
        return False

    @property
    def waiting_commands(self) -> int:
        return self._inbox.commands

    @property
    def waiting_bytes(self) -> int:
        return self._inbox.bytes

    @property
    def has_waiting_writes(self) -> bool:
        return bool(self._inbox)

    @property
    def is_idle(self) -> bool:
        """No request of anybody waits here for anything."""
        waiting = self._inbox or self._proposed or self._half_applied
        return not (waiting or self._reads)

    @property
    def can_propose(self) -> bool:
        """Not before the empty entry of this term is applied: until then the stamps of earlier
        leaders' entries may not be known (A2)."""
        return self.core.is_ready_to_serve and self._applied_term == self.core.term

    # --- The leader's side of a write.

    def propose(self, now_ns: int, wall_ms: int) -> int | None:
        """Put what waits into one entry; its index, or None if nothing was proposed.

        Called when the engine's gate is open.
        """
        if not self._inbox or not self.can_propose or len(self._committed) >= UNAPPLIED_MAX:
            return None
        requests = self._take_from_inbox()
        if not requests:
            return None
        largest = max([request.size_bytes for request in requests])
        stamp_ms = self._stamp(now_ns, wall_ms)
        seed = self._seeds.getrandbits(64)
        settings = self._settings()
        commands = [record for request in requests for record in records_of(request)]
        if self._pressure.is_full:
            commands = [(*record[:-1], when_full(record[-1])) for record in commands]
        data = pack_entry(
            self._cluster_id, stamp_ms, seed, commands, settings, is_large=largest > LARGE_BYTES
        )
        try:
            entry = self.core.propose(data, now_ns)
        except Unavailable as error:
            self._give_back(requests, error)
            return None
        replaced = self._proposed.pop(entry.index)
        if replaced is not None:
            # Ours of an earlier term stood here and was truncated. We lead with an entry of this
            # term committed in front of it, so it stands in no log that can still win.
            self._give_back(replaced.requests, NotLeader(self.core.leader_node))
        self._proposed[entry.index] = Proposed(
            entry.term, EntryData(stamp_ms, seed, settings, commands), requests
        )
        return entry.index

    def _take_from_inbox(self) -> list[Request]:
        """What becomes one entry: nothing while so much is uncommitted that it would not fit."""
        waiting = self.core.uncommitted_bytes
        room = self._limits.uncommitted_bytes_max - waiting
        return self._inbox.take(
            self._limits.entry_bytes_max,
            room,
            is_alone=not waiting,
            is_held=self._pressure.is_holding,
        )

    def _stamp(self, now_ns: int, wall_ms: int) -> int:
        """The time of the shard, by its leader: the next one is not earlier."""
        self._stamp_ms = self._time_ms(now_ns, wall_ms)
        self._stamp_seen_ns = now_ns
        return self._stamp_ms

    def _time_ms(self, now_ns: int, wall_ms: int) -> int:
        """max(wall clock, last stamp + time since it was seen): never back, across leaders too."""
        stamp_ms = self._stamp_ms
        if self._stamp_seen_ns is not None:
            stamp_ms += (now_ns - self._stamp_seen_ns) // 1_000_000
        return max(wall_ms, stamp_ms)

    @property
    def is_expiring(self) -> bool:
        """An expiry command of ours is on its way."""
        return self._is_expiring

    def expire_due(self, now_ns: int, wall_ms: int, deadline_ns: int, keys_max: int) -> int:
        """The leader removes what is due by a logged command, so that all replicas do (A2); how
        many keys it names."""
        if self._is_expiring or not self.can_propose or self.halted is not None:
            return 0
        due = self.keys.due(self._stamp(now_ns, wall_ms), keys_max)
        if not due:
            return 0
        by_db = bounded(due, self._limits.entry_bytes_max)
        self._is_expiring = True
        last = next(reversed(by_db))
        for db, names in by_db.items():
            complete = self._expiry_done if db == last else answered
            self._inbox.put(expiry(self.id, db, names, deadline_ns, complete))
        return sum(map(len, by_db.values()))

    def _expiry_done(self, _: object) -> None:
        self._is_expiring = False

    # --- Reads.

    def start_reads(self, now_ns: int) -> int:
        """Ask for one barrier for all reads that came since the last; how many there were."""
        requests = self._reads.take_new()
        if not requests:
            return 0
        try:
            token = self.core.request_read(now_ns)
        except Unavailable as error:
            self._give_back(requests, error)
            return 0
        self._reads.wait(token, requests)
        return sum([len(request.commands) for request in requests])

    @property
    def has_waiting_reads(self) -> bool:
        return self._reads.has_waiting

    @property
    def has_passed_reads(self) -> bool:
        return self._reads.has_passed

    def pass_reads(self, token: int, index: int) -> None:
        """The barrier of `token` is passed: its reads are due once all up to `index` is applied."""
        self._reads.passed(token, index)

    def serve_some(self, piece: Slice, now_ns: int, wall_ms: int) -> None:
        """Answer what is due, until the slice is over.

        It may be later than the barrier, in the middle of an entry, or after leadership was lost:
        what is seen is committed, and no older than the barrier. Whoever asks once this is answered
        gets a barrier at an index committed by then, so he sees all of an entry that was seen in
        part here: reads never go back, and each stands between two commands of the log (MULTI is
        one). A key is absent only by the log (A2), so no clock reorders them. Nothing later of the
        connection is on its way before it is answered (R10).
        """
        self._now_ns = now_ns
        self._reads.release(self.applied_index if self.halted is None else None)
        due = self._reads.due
        if not (due or self._half_served):
            return
        # The clock of who does not lead may be wrong (A2): it must leave no trace.
        now_ms = (self._stamp if self.is_leader else self._time_ms)(now_ns, wall_ms)
        self._quota = piece.take()
        while self._quota > 0 and (due or self._half_served):
            work, self._half_served = self._half_served, None
            if work is None:
                work = self._serve(due.popleft(), now_ms)
            if next(work, DONE) is not DONE:
                self._half_served = work
            if self._quota <= 0:
                self._quota = piece.take()
        if self._quota > 0:
            piece.leave()

    def fail_reads(self, tokens: Iterable[int]) -> None:
        """Leadership was lost: tried again elsewhere, never answered late (R10)."""
        for token in tokens:
            self._give_back(self._reads.take(token), NotLeader(self.core.leader_node))

    def _serve(self, request: Request, now_ms: int) -> Generator[None]:
        """Its commands in order; yields where a slice may end."""
        if request.commands[0][0] == WAIT and self.halted is None:
            self._quota -= 1
            request.complete(Done([self._saved_by(int(request.commands[0][1]))]))
            return
        if request.commands[0][0] == BLOCK and self.halted is None:
            self._quota -= 1
            self._block(request)
            return
        # Also if this replica leads since it came: all it has may be old yet.
        if request.stale_ns and not self._is_fresh(request.stale_ns):
            self.refuse(request, NotLeader(self.core.leader_node))
            return
        replies: list[Reply] = []
        seed = self._seeds.getrandbits(64)
        context = Context(request.db, now_ms, seed, unpack_settings(self._settings()))
        for args in request.commands:
            if self._quota <= 0:
                yield
            if self.halted is not None:
                break
            self._quota -= 1
            self.keys.enter(request.db, now_ms, is_read=True)
            self.keys.on_miss = context.on_miss(args[0])
            try:
                handler = ALL_HANDLERS[args[0]]
                replies.append(handler(self.keys, args, context))
            except CommandError as error:
                replies.append(ErrorReply(error.code, error.text))
            except ExpiryPending as pending:
                self._serve_after_expiry(request, pending)
                return
        if self.halted is None:
            if context.events:
                wanted = context.settings.notify_keyspace_events
                yield from self._tell_of(iter(context.events), wanted)
            request.complete(Done(replies))
            if request.waiter is not None:
                self.turns.popped(request, replies[0], self._now_ns)
        else:
            self.refuse(request, NotLeader(None))

    def _is_fresh(self, stale_ns: int) -> bool:
        """Whether the state here, as far as it is applied, is no older than that."""
        fresh_at = self.core.fresh_at(self.applied_index)
        return fresh_at is not None and self._now_ns - fresh_at <= stale_ns

    def _block(self, request: Request) -> None:
        """A client waits for data; only a leader knows when it comes."""
        if request.complete is answered:
            return  # It was called off.
        if self.is_leader:
            self.turns.wait(request, self._now_ns)
        else:
            self.refuse(request, NotLeader(self.core.leader_node))

    def _serve_after_expiry(self, request: Request, pending: ExpiryPending) -> None:
        """A key is due by our clock, but no applied stamp says so yet: nil now could be undone by a
        failover to a slower clock (A2). The expiry is logged first, the read behind it."""
        if self.is_leader:
            self._inbox.put(expiry(self.id, pending.db, [pending.key], request.deadline_ns))
            self._inbox.put(request)
        else:
            self.refuse(request, NotLeader(self.core.leader_node))

    def _saved_by(self, index: int) -> Reply:
        """[index, whether it is on disk here, how many followers have it there].

        Index 0 stands for all that is applied: the caller's writes are answered, so they are in it.
        Who asks again wants more followers than one.
        """
        is_first = not index
        index = index or self.applied_index
        matches = [one.match_index >= index for one in self.core.followers()]
        followers = sum(matches)
        if not (is_first or all(matches)):
            self.core.hurry()
        return [index, int(self.core.saved_index >= index), followers]

    # --- Apply: the same on every replica.

    def commit(self, entries: Sequence[Entry]) -> None:
        """These are to be applied; a long suffix is applied in slices, so that no turn waits."""
        if self.halted is None:  # Else what was not applied would be missing in front of them (A4).
            self._committed.extend(entries)

    @property
    def is_behind(self) -> bool:
        """Whether there is something left that only waits for its slice."""
        applies = (self._committed or self._half_applied) and not self.making.is_running
        return bool(applies or self._reads.due or self._half_served)

    @property
    def is_half_applied(self) -> bool:
        """Whether an entry is begun and not ended: the state may belong to no index."""
        return self._half_applied is not None

    def apply_some(self, piece: Slice, now_ns: int) -> None:
        """Run committed entries in order and answer whose they are, until the slice is over: it
        ends between any two commands. An unexpected exception halts this replica (A4)."""
        self._now_ns = now_ns
        if self.making.is_running:
            return
        self._quota = piece.take()
        while self._quota > 0:
            work, self._half_applied = self._half_applied, None
            if work is None:
                if not self._committed:
                    piece.leave()
                    break
                work = self._steps(self._committed.popleft())
            if next(work, DONE) is not DONE:
                self._half_applied = work
                if self.making.is_running:
                    piece.leave()
                    break
            elif self.between_entries is not None:
                then, self.between_entries = self.between_entries, None
                then()
            if self._quota <= 0:
                self._quota = piece.take()
        self._note_stamp(now_ns)

    def _note_stamp(self, now_ns: int) -> None:
        """The last stamp applied, and when it was: time since then is added to it (A2)."""
        stamp_ms = self.keys.last_stamp_ms
        if stamp_ms > self._stamp_ms:
            self._stamp_ms = stamp_ms
            self._stamp_seen_ns = now_ns

    def _steps(self, entry: Entry) -> Generator[None]:
        """All that one entry asks for; yields where a slice may end. Nothing says that it is
        applied before all of it was run; a snapshot may hide what is left of it."""
        self._quota -= 1
        # It stays in `_proposed` to the end: it can still time out, or an install hide it.
        proposed = self._proposed.get(entry.index)
        if proposed is not None and proposed.term != entry.term:
            # Another leader's entry stands where ours was: ours will never be applied (D2).
            self._proposed.pop(entry.index)
            self._give_back(proposed.requests, NotLeader(self.core.leader_node))
            proposed = None
        replies: list[Reply | Lookup] = []
        context: Context | None = None
        if entry.kind is EntryKind.COMMANDS:
            try:
                data = self._data_of(entry, proposed)
                # The time is max with the last applied stamp (A2).
                now_ms = self.keys.begin_entry(entry.index, data.stamp_ms)
                context = Context(0, now_ms, data.seed, unpack_settings(data.settings))
                self.keys.on_expired = context.expired
                commands, left = iter(data.commands), len(data.commands)
                is_long = len(entry.data) > LONG_BYTES
                while left > 0:
                    if self._quota <= 0:
                        yield
                    count = min(self._quota, left)
                    self._quota -= count
                    left -= count
                    some = islice(commands, count) if left else commands
                    if is_long:
                        listed = list(some)
                        some = iter(listed)
                        if self.making.begin(listed, context):
                            yield
                    self._run(some, context, replies)
                assert len(replies) == len(data.commands), "the entry is cut off"
            except Exception as error:  # noqa: BLE001 - A4: loud, and only this replica.
                self._halt(error)
                return
            self.commands_applied += len(replies)
        self._applied(entry)
        if self.keys.touched:
            self.turns.wake(self._now_ns)
        if proposed is not None:
            self._proposed.pop(entry.index)
            if context is not None and (context.events or context.published):
                yield from self._tell(context, replies)
            yield from self._answer_all(proposed.requests, replies)
        elif entry.kind is EntryKind.EMPTY and self._proposed:
            for overtaken in self._proposed.pop_of_earlier(entry.term):
                self._give_back(overtaken.requests, NotLeader(self.core.leader_node))

    def _tell(self, context: Context, replies: list[Reply | Lookup]) -> Generator[None]:
        """Messages that commands of our entry publish, and what they did to keys: said once, by who
        proposed it, when it is applied; replicas and replays are silent (A7). It yields where a
        slice may end: each message goes to all who listen."""
        notifications = self._notifications()
        if notifications is None:
            return
        wanted = context.settings.notify_keyspace_events
        events, told = iter(context.events or ()), 0
        for command, publications in context.published:
            counts: list[int] = []
            for one in publications:
                yield from self._tell_of(islice(events, one.behind - told), wanted)
                told = one.behind
                if self._quota <= 0:
                    yield
                self._quota -= 1
                counts.append(notifications.publish(one))
            reply = replies[command]
            if isinstance(reply, list):
                reply = reply.copy()  # The session keeps the one that is the same everywhere.
                for one, count in zip(publications, counts, strict=True):
                    if one.place >= 0:
                        reply[one.place] = count
                replies[command] = reply
        yield from self._tell_of(events, wanted)

    def _tell_of(self, events: Iterator[tuple[int, str, bytes]], wanted: str) -> Generator[None]:
        notifications = self._notifications()
        while notifications is not None:
            if self._quota <= 0:
                yield
            some = list(islice(events, self._quota))
            if not some:
                return
            self._quota -= len(some)
            notifications.tell(some, wanted)

    def _data_of(self, entry: Entry, proposed: Proposed | None) -> EntryData:
        return proposed.entry if proposed else read_entry(entry.data, self._cluster_id)

    def _applied(self, entry: Entry) -> None:
        """All of it is part of the state now."""
        self.applied_index = entry.index
        self._applied_term = entry.term
        self.log_bytes_since_snapshot += len(entry.data) + ENTRY_COST

    def _answer_all(
        self, requests: Sequence[Request], replies: Sequence[Reply | Lookup]
    ) -> Generator[None]:
        start = 0
        pause = self._quota
        for request in requests:
            if start >= pause:
                self._quota = 0
                yield
                pause = start + self._quota
            end = start + len(request.commands)
            self._answer(request, replies[start:end])
            start = end
        self._quota = pause - start

    def _run(
        self,
        commands: Iterable[CommandRecord],
        context: Context,
        replies: list[Reply | Lookup],
    ) -> None:
        run(commands, self.keys, context, replies)

    def _answer(self, request: Request, replies: Sequence[Reply | Lookup]) -> None:
        # By type: to look for one of them among thousands of replies would call each one's __eq__.
        if Lookup in map(type, replies):
            if Lookup.UNKNOWN_SESSION in replies:
                self._give_back([request], SessionUnknown())
            else:
                request.complete(Unknown(OutcomeUnknown("its answer was already given up on")))
            return
        request.complete(Done(cast("Sequence[Reply]", replies)))
        if request.waiter is not None:
            self.turns.popped(request, cast("Reply", replies[0]), self._now_ns)

    def _halt(self, error: BaseException) -> None:
        self.halted = error
        self.core.allow_leading(False)  # noqa: FBT003 - the core's one argument.
        self._committed.clear()
        self._proposed.give_up("this replica stopped applying")
        self._give_back(self.turns.give_back(), NotLeader(None))

    # --- Ends: time-outs, lost leadership, an installed snapshot.

    def after_step(self) -> None:
        """Give back what only a leader may hold, once this replica no longer leads."""
        is_leader = self.is_leader
        # It may have led for a moment only, between two looks.
        if not is_leader and (self._was_leader or self._inbox or self._reads.new or self.turns):
            self._is_expiring = False
            self._drop_inbox()
        self._was_leader = is_leader

    def _drop_inbox(self) -> None:
        requests = [*self._inbox.take_all(), *self._reads.take_new(), *self.turns.give_back()]
        self._give_back(requests, NotLeader(self.core.leader_node))

    def time_out(self, now_ns: int) -> None:
        """Answer what is past its deadline: CLUSTERDOWN if not proposed, else UNCERTAIN (D4)."""
        for request in self._inbox.take_late(now_ns):
            request.complete(NotApplied(NoQuorum("no majority answered in time")))
        self._reads.time_out(now_ns)
        self._proposed.time_out(now_ns)

    def _give_back(self, requests: Iterable[Request], error: Unavailable) -> None:
        for request in requests:
            if request.complete is not answered:  # It may have timed out meanwhile.
                self.refuse(request, error)

    # --- Snapshots.

    @property
    def can_cut(self) -> bool:
        """A cut is taken at an index this replica's own log has saved (L5), and of whole entries:
        half of one belongs to no index."""
        is_saved = 0 < self.applied_index <= self.core.saved_index
        return is_saved and self.halted is None and not self.is_half_applied

    def cut(self) -> tuple[SnapshotMeta, KeyspaceCut]:
        """Begin a snapshot of everything at the applied index; slices follow (L5, L7)."""
        term = self.core.term_at(self.applied_index)
        assert term is not None, f"shard {self.id}: no term at applied {self.applied_index}"
        self.log_bytes_since_snapshot = 0
        return self.core.meta_at(self.applied_index), self.keys.begin_snapshot()

    def install(self, meta: SnapshotMeta, keys: Keyspace, now_ns: int) -> None:
        """Replace the state by a snapshot's; called when its reset record is on disk (L6)."""
        self._end_half_applied()
        self._proposed.give_up("a snapshot hides it", up_to=meta.id.index)
        keys.replace(self.keys)
        self.keys = keys
        self.turns.use(keys)
        self.applied_index = meta.id.index
        self._applied_term = meta.id.term
        self._committed.clear()
        self.log_bytes_since_snapshot = 0
        self._note_stamp(now_ns)
        self.core.snapshot_installed(meta)

    def _end_half_applied(self) -> None:
        """What is left of the entry is not run: a snapshot has all of it. Only answers that were
        due already leave now."""
        work, self._half_applied = self._half_applied, None
        if work is not None and self.keys.entry_index == self.applied_index:
            self._quota = ENDLESS
            next(work, DONE)

    def digest(self) -> int:
        """Of all state; equal on all replicas at the same applied index."""
        return self.keys.digest()
