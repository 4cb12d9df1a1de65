"""One Raft group and its keyspace: waiting requests become entries, and entries replies.

Pure: no I/O, no clock of its own; the engine tells it the time, saves and sends for it. It owns the
answer to "what became of my write": applied with the entry it was put in, replaced by an entry of
another term, or hidden behind an installed snapshot (correctness D2). Read `engine.py` next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from ..cluster.settings import unpack_settings
from ..proto.reply import ErrorReply, Reply
from .commands import HANDLERS
from .commands.context import Context
from .commands.internal import EXPIRE, INTERNAL_HANDLERS
from .commands.transactions import TRANSACTION_HANDLERS
from .data.entry import CommandRecord, EntryData, pack_entry, unpack_entry
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
from .raft.types import Entry, EntryKind, NodeId, Role, SnapshotMeta
from .request import Done, NotApplied, Outcome, Request, Unknown, answered

if TYPE_CHECKING:
    from random import Random

    from ..cluster.slots import ShardId
    from .raft.core import RaftCore

LARGE_BYTES = 1 << 20  # An entry with a request of that size is packed in parts.
ENTRY_COST = 32  # Bytes of log an entry is counted beside its data.
WAIT = b"_WAIT"  # _WAIT index: a read, alone in its request; see `_saved_by`.

# Whatever an entry or a read may ask of a shard.
ALL_HANDLERS = {**HANDLERS, **INTERNAL_HANDLERS, **TRANSACTION_HANDLERS}


@dataclass(slots=True)
class _Proposed:
    """What one entry of ours holds, kept until its fate is known."""

    term: int
    entry: EntryData
    requests: list[Request]


@dataclass(frozen=True, slots=True)
class ShardLimits:
    uncommitted_bytes_max: int  # Proposed; the same may wait to be, then requests are refused.
    entry_bytes_max: int  # One entry takes no further request past this; one request is never cut.


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
        self._settings = settings  # The cluster's, as this node knows them: for what it leads.
        self.refuse = refuse  # Who decides what becomes of a request that was surely not applied.
        self._inbox: deque[Request] = deque()
        self._inbox_bytes = 0
        self._inbox_commands = 0
        self._proposed: dict[int, _Proposed] = {}  # By index of the entry.
        self._new_reads: list[Request] = []  # No barrier asked for yet.
        self._waiting_reads: dict[int, list[Request]] = {}  # By token.
        self._committed: deque[Entry] = deque()  # Handed out by the core and not yet applied.
        self._applied_term = 0  # Of the last entry applied.
        self._passed_reads: list[tuple[int, int]] = []  # (index to be applied first, token).
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
        if not self.is_leader:
            self.refuse(request, NotLeader(self.core.leader_node))
        elif self.halted is not None:
            self.refuse(request, NotLeader(None))
        elif not request.has_write:
            self._new_reads.append(request)
        elif self._inbox_bytes > self._limits.uncommitted_bytes_max:
            self.refuse(request, Overloaded("uncommitted_bytes_max"))
        else:
            self._enqueue(request)

    def _enqueue(self, request: Request) -> None:
        self._inbox.append(request)
        self._inbox_bytes += request.size_bytes
        self._inbox_commands += len(request.commands)

    @property
    def waiting_commands(self) -> int:
        return self._inbox_commands

    @property
    def waiting_bytes(self) -> int:
        return self._inbox_bytes

    @property
    def has_waiting_writes(self) -> bool:
        return bool(self._inbox)

    @property
    def is_idle(self) -> bool:
        """No request of anybody waits here for anything."""
        return not (self._inbox or self._proposed or self._new_reads or self._waiting_reads)

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
        if not self._inbox or not self.can_propose:
            return None
        requests = self._take_from_inbox()
        if not requests:
            return None
        largest = max([request.size_bytes for request in requests])
        stamp_ms = self._stamp(now_ns, wall_ms)
        seed = self._seeds.getrandbits(64)
        settings = self._settings()
        commands = [record for request in requests for record in _records(request)]
        data = pack_entry(
            self._cluster_id, stamp_ms, seed, commands, settings, is_large=largest > LARGE_BYTES
        )
        try:
            entry = self.core.propose(data)
        except Unavailable as error:
            self._give_back(requests, error)
            return None
        replaced = self._proposed.pop(entry.index, None)
        if replaced is not None:
            # Ours of an earlier term stood here and was truncated. We lead with an entry of this
            # term committed in front of it, so it stands in no log that can still win.
            self._give_back(replaced.requests, NotLeader(self.core.leader_node))
        self._proposed[entry.index] = _Proposed(
            entry.term, EntryData(stamp_ms, seed, settings, commands), requests
        )
        return entry.index

    def _take_from_inbox(self) -> list[Request]:
        """What becomes one entry: nothing while so much is uncommitted that it would not fit."""
        waiting = self.core.uncommitted_bytes
        room = self._limits.uncommitted_bytes_max - waiting
        requests: list[Request] = []
        size = 0
        while self._inbox and (not requests or size < self._limits.entry_bytes_max):
            request = self._inbox[0]
            cost = request.size_bytes
            if size + cost > room and (requests or waiting):
                break
            self._inbox.popleft()
            requests.append(request)
            size += cost
            self._inbox_commands -= len(request.commands)
        self._inbox_bytes -= size
        return requests

    def _stamp(self, now_ns: int, wall_ms: int) -> int:
        """max(wall clock, last stamp + time since it was seen): never back, across leaders too."""
        stamp_ms = self._stamp_ms
        if self._stamp_seen_ns is not None:
            stamp_ms += (now_ns - self._stamp_seen_ns) // 1_000_000
        stamp_ms = max(wall_ms, stamp_ms)
        self._stamp_ms = stamp_ms
        self._stamp_seen_ns = now_ns
        return stamp_ms

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
        by_db: dict[int, list[bytes]] = {}
        count = size = 0
        for db, key in due:
            by_db.setdefault(db, []).append(key)
            count += 1
            size += len(key)  # As large as any argument may be.
            if size >= self._limits.entry_bytes_max:
                break
        self._is_expiring = True
        batches = list(by_db.items())
        for place, (db, names) in enumerate(batches):
            is_last = place == len(batches) - 1
            complete = self._expiry_done if is_last else answered
            self._enqueue(self._expiry(db, names, deadline_ns, complete))
        return count

    def _expiry(
        self,
        db: int,
        names: Sequence[bytes],
        deadline_ns: int,
        complete: Callable[[Outcome], None],
    ) -> Request:
        # Not passed on: when this replica no longer leads, another one sees to it.
        return Request(
            self.id,
            db,
            [[EXPIRE, *names]],
            has_write=True,
            deadline_ns=deadline_ns,
            complete=complete,
            may_pass_on=False,
        )

    def _expiry_done(self, _: object) -> None:
        self._is_expiring = False

    # --- Reads.

    def start_reads(self, now_ns: int) -> int:
        """Ask for one barrier for all reads that came since the last; how many there were."""
        if not self._new_reads:
            return 0
        requests, self._new_reads = self._new_reads, []
        try:
            token = self.core.request_read(now_ns)
        except Unavailable as error:
            self._give_back(requests, error)
            return 0
        self._waiting_reads[token] = requests
        return sum([len(request.commands) for request in requests])

    @property
    def has_waiting_reads(self) -> bool:
        return bool(self._waiting_reads)

    def serve_reads(self, token: int, index: int, now_ns: int, wall_ms: int) -> None:
        """The barrier of `token` is passed: answer, if all up to `index` is applied, else then."""
        if index > self.applied_index and self.halted is None:
            self._passed_reads.append((index, token))
            return
        now_ms = self._stamp(now_ns, wall_ms)
        for request in self._waiting_reads.pop(token, ()):
            self._serve(request, now_ms)

    def serve_passed_reads(self, now_ns: int, wall_ms: int) -> None:
        """More is applied: answer the reads that waited for no more than that."""
        passed, self._passed_reads = self._passed_reads, []
        for index, token in passed:
            self.serve_reads(token, index, now_ns, wall_ms)

    def fail_reads(self, tokens: Iterable[int]) -> None:
        """Leadership was lost: tried again elsewhere, never answered late (R10)."""
        for token in tokens:
            self._give_back(self._waiting_reads.pop(token, ()), NotLeader(self.core.leader_node))

    def _serve(self, request: Request, now_ms: int) -> None:
        if self.halted is not None:
            self.refuse(request, NotLeader(None))
            return
        if request.commands[0][0] == WAIT:
            request.complete(Done([self._saved_by(int(request.commands[0][1]))]))
            return
        replies: list[Reply] = []
        seed = self._seeds.getrandbits(64)
        context = Context(request.db, now_ms, seed, unpack_settings(self._settings()))
        for args in request.commands:
            self.keys.enter(request.db, now_ms, is_read=True)
            try:
                handler = ALL_HANDLERS[args[0]]
                replies.append(handler(self.keys, args, context))
            except CommandError as error:
                replies.append(ErrorReply(error.code, error.text))
            except ExpiryPending as pending:
                # Due by our clock, but no applied stamp says so yet: nil now could be undone by a
                # failover to a slower clock (A2). The expiry is logged first, the read behind it.
                self._enqueue(
                    self._expiry(pending.db, [pending.key], request.deadline_ns, answered)
                )
                self._enqueue(request)
                return
        request.complete(Done(replies))

    def _saved_by(self, index: int) -> Reply:
        """[index, whether it is on disk here, how many followers have it there].

        Index 0 stands for all that is applied: the caller's writes are answered, so they are in it.
        """
        index = index or self.applied_index
        followers = sum([one.match_index >= index for one in self.core.followers()])
        return [index, int(self.core.saved_index >= index), followers]

    # --- Apply: the same on every replica.

    def commit(self, entries: Sequence[Entry]) -> None:
        """These are to be applied; a long suffix is applied in slices, so that no turn waits."""
        self._committed.extend(entries)

    @property
    def is_behind(self) -> bool:
        """Whether something committed is still to be applied."""
        return bool(self._committed)

    def apply_some(self, bytes_max: int, now_ns: int) -> int:
        """Apply what is committed, up to a size (the first entry may be larger); that size."""
        committed = self._committed
        entries: list[Entry] = []
        size = 0
        while committed and size < bytes_max:
            entry = committed.popleft()
            entries.append(entry)
            size += len(entry.data) + ENTRY_COST
        self.apply(entries, now_ns)
        return size

    def apply(self, entries: Sequence[Entry], now_ns: int) -> None:
        """Run committed entries in order. An unexpected exception halts this replica (A4)."""
        for entry in entries:
            if self.halted is not None:
                return
            proposed = self._proposed.pop(entry.index, None)
            if proposed is not None and proposed.term != entry.term:
                # Another leader's entry stands where ours was: ours will never be applied (D2).
                self._give_back(proposed.requests, NotLeader(self.core.leader_node))
                proposed = None
            try:
                replies = self._apply_one(entry, proposed)
            except Exception as error:  # noqa: BLE001 - A4: loud, and only this replica.
                self._halt(error, proposed)
                return
            self.applied_index = entry.index
            self._applied_term = entry.term
            self.log_bytes_since_snapshot += len(entry.data) + ENTRY_COST
            if proposed is not None:
                self._answer_all(proposed.requests, replies)
            elif entry.kind is EntryKind.EMPTY and self._proposed:
                self._give_back_overtaken(entry.term)
        self._note_stamp(now_ns)

    def _note_stamp(self, now_ns: int) -> None:
        """The last stamp applied, and when it was: time since then is added to it (A2)."""
        stamp_ms = self.keys.last_stamp_ms
        if stamp_ms > self._stamp_ms:
            self._stamp_ms = stamp_ms
            self._stamp_seen_ns = now_ns

    def _apply_one(self, entry: Entry, proposed: _Proposed | None) -> Sequence[Reply | Lookup]:
        if entry.kind is not EntryKind.COMMANDS:
            return ()
        if proposed is not None:
            return self._run(entry.index, proposed.entry)
        return self._run(entry.index, unpack_entry(entry.data, self._cluster_id))

    def _answer_all(self, requests: Sequence[Request], replies: Sequence[Reply | Lookup]) -> None:
        start = 0
        for request in requests:
            end = start + len(request.commands)
            self._answer(request, replies[start:end])
            start = end

    def _give_back_overtaken(self, term: int) -> None:
        """A leader of `term` has committed its first entry: what we proposed in an earlier term and
        is not applied by now is in no log that can still win (Raft §5.4.3), so it never will be."""
        for index in [one for one, proposed in self._proposed.items() if proposed.term < term]:
            requests = self._proposed.pop(index).requests
            self._give_back(requests, NotLeader(self.core.leader_node))

    def _run(self, index: int, entry: EntryData) -> list[Reply | Lookup]:
        keys = self.keys
        now_ms = keys.begin_entry(index, entry.stamp_ms)  # max with the last applied stamp (A2).
        context = Context(0, now_ms, entry.seed, unpack_settings(entry.settings))
        replies: list[Reply | Lookup] = []
        for db, _user, session, sequence, floor, args in entry.commands:
            if session:
                known = keys.sessions.lookup(session, sequence, floor, now_ms)
                if known is not Lookup.NEW:
                    replies.append(known)
                    continue
            context.db = db
            keys.enter(db, now_ms, is_read=False)
            name = args[0]
            handler = ALL_HANDLERS[name]
            reply: Reply
            try:
                reply = handler(keys, args, context)
            except CommandError as error:
                reply = ErrorReply(error.code, error.text)
            if session:
                keys.sessions.keep(session, sequence, reply)
            replies.append(reply)
        self.commands_applied += len(entry.commands)
        return replies

    def _answer(self, request: Request, replies: Sequence[Reply | Lookup]) -> None:
        if request.session:
            if Lookup.UNKNOWN_SESSION in replies:
                self._give_back([request], SessionUnknown())
                return
            if Lookup.BELOW_FLOOR in replies:
                request.complete(Unknown(OutcomeUnknown("its answer was already given up on")))
                return
        # Without a session nothing is looked up, and with one the two are dealt with above.
        request.complete(Done(cast("Sequence[Reply]", replies)))

    def _halt(self, error: BaseException, proposed: _Proposed | None) -> None:
        self.halted = error
        self.core.allow_leading(False)  # noqa: FBT003 - the core's one argument.
        self._committed.clear()
        why = "this replica stopped applying"
        if proposed is not None:
            _give_up(proposed, why)
        self._give_up_proposed(why)

    # --- Ends: time-outs, lost leadership, an installed snapshot.

    def after_step(self) -> None:
        """Give back what only a leader may hold, once this replica no longer leads."""
        is_leader = self.is_leader
        # It may have led for a moment only, between two looks.
        if not is_leader and (self._was_leader or self._inbox or self._new_reads):
            self._is_expiring = False
            self._drop_inbox()
        self._was_leader = is_leader

    def _drop_inbox(self) -> None:
        requests = [*self._inbox, *self._new_reads]
        self._inbox.clear()
        self._inbox_bytes = self._inbox_commands = 0
        self._new_reads.clear()
        self._give_back(requests, NotLeader(self.core.leader_node))

    def time_out(self, now_ns: int) -> None:
        """Answer what is past its deadline: CLUSTERDOWN if not proposed, else UNCERTAIN (D4)."""
        # Deadlines do not ascend: what was passed on brings what is left of its own.
        late = [request for request in self._inbox if request.deadline_ns <= now_ns]
        if late:
            self._inbox = deque(one for one in self._inbox if one.deadline_ns > now_ns)
            self._inbox_bytes -= sum([request.size_bytes for request in late])
            self._inbox_commands -= sum([len(request.commands) for request in late])
            for request in late:
                request.complete(NotApplied(NoQuorum("no majority answered in time")))
        self._new_reads = _without_late(self._new_reads, now_ns)
        for token, requests in list(self._waiting_reads.items()):
            self._waiting_reads[token] = _without_late(requests, now_ns)
        for proposed in self._proposed.values():
            for request in proposed.requests:
                if request.deadline_ns <= now_ns:
                    complete, request.complete = request.complete, answered
                    complete(Unknown(OutcomeUnknown("no majority answered in time")))

    def _give_up_proposed(self, why: str, up_to: int | None = None) -> None:
        for index in sorted(self._proposed):
            if up_to is not None and index > up_to:
                continue
            _give_up(self._proposed.pop(index), why)

    def _give_back(self, requests: Iterable[Request], error: Unavailable) -> None:
        for request in requests:
            if request.complete is not answered:  # It may have timed out meanwhile.
                self.refuse(request, error)

    # --- Snapshots.

    @property
    def can_cut(self) -> bool:
        """A cut is taken at an index this replica's own log has saved (L5)."""
        return self.halted is None and 0 < self.applied_index <= self.core.saved_index

    def cut(self) -> tuple[SnapshotMeta, KeyspaceCut]:
        """Begin a snapshot of everything at the applied index; slices follow (L5, L7)."""
        term = self.core.term_at(self.applied_index)
        assert term is not None, f"shard {self.id}: no term at applied {self.applied_index}"
        self.log_bytes_since_snapshot = 0
        return self.core.meta_at(self.applied_index), self.keys.begin_snapshot()

    def install(self, meta: SnapshotMeta, keys: Keyspace, now_ns: int) -> None:
        """Replace the state by a snapshot's; called when its reset record is on disk (L6)."""
        self._give_up_proposed("a snapshot hides it", up_to=meta.id.index)
        self.keys = keys
        self.applied_index = meta.id.index
        self._applied_term = meta.id.term
        self._committed.clear()
        self.log_bytes_since_snapshot = 0
        self._note_stamp(now_ns)
        self.core.snapshot_installed(meta)

    def digest(self) -> int:
        """Of all state; equal on all replicas at the same applied index."""
        return self.keys.digest()


def _give_up(proposed: _Proposed, why: str) -> None:
    for request in proposed.requests:
        request.complete(Unknown(OutcomeUnknown(why)))


def _records(request: Request) -> Iterable[CommandRecord]:
    # A read behind a write of the same pipeline is logged with it: it then sees that write and
    # nothing later, also when the request is retried under its session.
    db, user, session, floor = request.db, request.user, request.session, request.floor
    if not session:
        return [(db, user, 0, 0, 0, args) for args in request.commands]
    return [
        (db, user, session, sequence, floor, args)
        for sequence, args in enumerate(request.commands, request.sequence)
    ]


def _without_late(requests: list[Request], now_ns: int) -> list[Request]:
    late = [request for request in requests if request.deadline_ns <= now_ns]
    if not late:
        return requests
    for request in late:
        request.complete(NotApplied(NoQuorum("no majority answered in time")))
    return [request for request in requests if request.deadline_ns > now_ns]
