"""Planted bugs in log, snapshots, state machine, shard and router."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace
from operator import attrgetter
from random import Random
from typing import TYPE_CHECKING, Any  # Arguments passed through.

from trimaran.node.commands.internal import EVICT, PUT_TOPOLOGY, TOPOLOGY_KEY
from trimaran.node.data.cut import KeyspaceCut
from trimaran.node.data.keyspace import Keyspace
from trimaran.node.data.sessions import Lookup, Sessions
from trimaran.node.engine import Engine
from trimaran.node.errors import NoQuorum
from trimaran.node.node import Node
from trimaran.node.request import Args, Done, NotApplied, Outcome, Request
from trimaran.node.router import Router
from trimaran.node.running import ALL_HANDLERS
from trimaran.node.storage.snapshots import Snapshots
from trimaran.proto.reply import OK

from .planted import Bug
from .schedule import MS
from .watch import WATCHED, WatchedLog, WatchedShard

if TYPE_CHECKING:
    from trimaran.cluster.topology import Topology
    from trimaran.node.commands.context import Context
    from trimaran.node.data.buckets import Bucket
    from trimaran.node.data.entry import EntryData
    from trimaran.node.proposals import Proposed
    from trimaran.node.raft.types import Entry, NodeId
    from trimaran.node.storage.wal import ShardSave, Staged
    from trimaran.proto.reply import Reply

# --- The log.


class NeverSyncs(WatchedLog):
    def write(self, staged: Staged) -> None:
        self._options = replace(self._options, is_synced=False)
        super().write(staged)


class GoesOnAfterAFailedSync(WatchedLog):
    """As many databases did before 2018: the next sync says that all is well."""

    def write(self, staged: Staged) -> None:
        saves = self._staged_saves[staged.number]
        try:
            super().write(staged)
        except OSError:
            self._has_failed = False
            self._written = staged.number
            staged.is_written = True
            self.in_flight = []
            self.machine.judge.saved(self.machine.node, saves)


class WritesNoHeads(WatchedLog):
    def _heads(self) -> bytes:
        return b""


class FreesWhatIsNeeded(WatchedLog):
    def free_segments(self) -> list[str]:
        super().free_segments()
        free = [segment.path for segment in self._closed]
        self._closed.clear()
        return free


# --- Snapshots.


def _put_unsynced(self: Snapshots, source: str, target: str, _header: Any) -> None:
    self.disk.rename(source, target)
    self._verified.add(target)


def _save_reset_later(self: Engine, save: ShardSave, done: Callable[[], None]) -> None:
    """An installed snapshot is acknowledged before the log knows of it."""
    if save.reset is None:
        _engine_save(self, save, done)
        return
    done()
    self._runtime.call_later(100 * MS, lambda: _engine_save(self, save, _nothing))


_engine_save = Engine.save


def _nothing() -> None:
    """What is left to be done."""


class CopiesNothingBeforeWrites(Keyspace):
    def _before_write(self, bucket: Bucket) -> None:
        cut, self._cut = self._cut, None
        super()._before_write(bucket)
        self._cut = cut


def _no_session_records(_: KeyspaceCut) -> Iterator[bytes]:
    return iter(())


class CutsWhatIsNotSaved(WatchedShard):
    @property
    def can_cut(self) -> bool:
        return self.applied_index > 0 and not self.is_half_applied


class CutsHalfAnEntry(WatchedShard):
    @property
    def can_cut(self) -> bool:
        return 0 < self.applied_index <= self.core.saved_index


class CountsAnEntryTooSoon(WatchedShard):
    """The applied index moves when an entry is begun."""

    def _steps(self, entry: Entry) -> Generator[None]:
        self.applied_index = entry.index
        return super()._steps(entry)


# --- Time, sessions, the fate of writes.


class StampsByItsOwnClock(WatchedShard):
    """A replica that asks its own clock while applying."""

    def _data_of(self, entry: Entry, proposed: Proposed | None) -> EntryData:
        data = super()._data_of(entry, proposed)
        return replace(data, stamp_ms=self.machine.clock.wall_ms())


class TakesItsOwnSettings(WatchedShard):
    """Handlers are shown the settings that this node knows, not those of the entry."""

    def _data_of(self, entry: Entry, proposed: Proposed | None) -> EntryData:
        return replace(super()._data_of(entry, proposed), settings=self._settings())


def _put_whatever_came_between(keys: Keyspace, args: Args, _: Context) -> Reply:
    """The next topology is written as its writer knew the one before."""
    stored = keys.find(TOPOLOGY_KEY, bytes)
    wanted = json.loads(args[2])
    wanted["epoch"] = 1 + (json.loads(stored)["epoch"] if stored else 0)
    keys.put(TOPOLOGY_KEY, json.dumps(wanted).encode())
    return OK


def _learn_unsaved(self: Node, topology: Topology) -> None:
    if topology.epoch > self.topology.epoch:
        self._topology_saved(topology)


def _everybody_knows(_: Node, _epoch: int) -> list[NodeId]:
    return []


class SaysNilTooSoon(Keyspace):
    """A read finds a key due by the reader's clock, and no entry says so."""

    def _is_due(self, bucket: Bucket, key: bytes) -> bool:
        expire_at_ms = bucket.expiries.get(key)
        return expire_at_ms is not None and expire_at_ms <= self._now_ms


class StampsByItsClockAlone(WatchedShard):
    """A leader that does not know what time it was before it led."""

    def _stamp(self, now_ns: int, wall_ms: int) -> int:
        del now_ns
        return wall_ms


class LetsTimeGoBack(Keyspace):
    def begin_entry(self, index: int, stamp_ms: int) -> int:
        self.entry_index = index
        self.last_stamp_ms = stamp_ms
        return stamp_ms


def _due_if_there(self: Keyspace, key: bytes) -> int | None:
    """The expiry command removes what it names, also if it was set anew meanwhile."""
    bucket = self._database.bucket(key)
    return 0 if key in bucket.values else None


def _evict_by_its_own_choice(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """Each replica removes as many keys as are named, those that it takes for the dullest."""
    count = len(args) - 1
    found = keys.candidates(ctx.db, ctx.settings.maxmemory_policy, count, _chance)
    names = dict.fromkeys(key for _, key, _ in sorted(found, reverse=True)[:count])
    return sum([keys.delete(key) for key in names])


_chance = Random(1).random


def _evict_whatever_is_named(keys: Keyspace, args: Args, _: Context) -> Reply:
    """Also what was made to stay after it had been chosen."""
    return sum([keys.delete(key) for key in args[1:]])


def _always_new(_sessions: Sessions, *_: Any) -> Lookup:
    return Lookup.NEW


def _serve_now(shard: WatchedShard, requests: Iterable[Request]) -> None:
    for request in requests:
        for _ in shard._serve(request, shard._stamp_ms):
            """It is served to its end."""


class ReadsWithoutABarrier(WatchedShard):
    def start_reads(self, now_ns: int) -> bool:
        del now_ns
        requests = self._reads.take_new()
        _serve_now(self, requests)
        return False


class AnswersReadsLate(WatchedShard):
    """Leadership is lost and what waits is answered nevertheless."""

    def fail_reads(self, tokens: Iterable[int]) -> None:
        for token in tokens:
            _serve_now(self, self._reads.take(token))

    def _drop_inbox(self) -> None:
        _serve_now(self, self._reads.take_new())
        super()._drop_inbox()


class CallsTheUnknownNotApplied(WatchedShard):
    def time_out(self, now_ns: int) -> None:
        for proposed in self._proposed:
            for request in proposed.requests:
                if request.deadline_ns <= now_ns:
                    complete, request.complete = request.complete, _unheard
                    complete(NotApplied(NoQuorum("no majority answered in time")))
        super().time_out(now_ns)


def _unheard(_: Outcome) -> None:
    """Nobody waits any more."""


def _finish_as_told(self: Router, request: Request, outcome: Outcome) -> None:
    """The last try's answer stands for all tries."""
    session = self._sessions.get(request.shard)
    if session is not None and session.id == request.session:
        session.unanswered.pop(request.sequence, None)
    request.complete(outcome)


def _numbers_from_one(self: Router, *args: Any, **kwargs: Any) -> None:
    """Every process of a node counts what it passes on from 1."""
    _router_init(self, *args, **{**kwargs, "first_id": 1})


_router_init = Router.__init__


class AnswersBeforeCommit(WatchedShard):
    """Asynchronous replication: the leader answers what it has only proposed."""

    def propose(self, now_ns: int, wall_ms: int) -> int | None:
        index = super().propose(now_ns, wall_ms)
        if index is not None:
            for request in self._proposed[index].requests:
                if all(args[0] == b"SET" for args in request.commands) and not request.session:
                    complete, request.complete = request.complete, _unheard
                    complete(Done([OK] * len(request.commands)))
        return index


BUGS: tuple[Bug, ...] = (
    Bug(
        "the log is never synced",
        "L1",
        "disk gave back|forgotten the replica|missing|is damaged",
        replace(WATCHED, log=NeverSyncs),
        flavours=("blackouts", "crashes"),
    ),
    Bug(
        "a failed sync is passed over",
        "L8",
        "disk gave back|damaged|missing",
        replace(WATCHED, log=GoesOnAfterAFailedSync),
        flavours=("disks",),
        first=172,
    ),
    Bug(
        "segments begin without heads",
        "L2",
        "disk gave back|never created|forgotten|no such shard",
        replace(WATCHED, log=WritesNoHeads),
        first=2,
    ),
    Bug(
        "a segment is freed that is needed",
        "L2",
        "disk gave back|missing|never created|forgotten",
        replace(WATCHED, log=FreesWhatIsNeeded),
        first=2,
    ),
    Bug(
        "a cut where the log is not saved",
        "L5",
        "which its disk does not hold",
        replace(WATCHED, shard=CutsWhatIsNotSaved),
        needs=attrgetter("has_snapshots"),
        first=10,
    ),
    Bug(
        "a cut in the middle of an entry",
        "L5",
        "differ at index",
        replace(WATCHED, shard=CutsHalfAnEntry),
        flavours=("laggards",),
    ),
    Bug(
        "an entry counts before it is applied",
        "R10",
        "is applied",
        replace(WATCHED, shard=CountsAnEntryTooSoon),
    ),
    Bug(
        "a snapshot's name is not synced",
        "L5",
        "missing|disk gave back",
        patches=((Snapshots, "put", _put_unsynced),),
        flavours=("blackouts", "crashes", "laggards"),
    ),
    Bug(
        "an install is acknowledged too soon",
        "L6",
        "acknowledges|have on disk|disk gave back",
        patches=((Engine, "save", _save_reset_later),),
        flavours=("laggards",),
    ),
    Bug(
        "no copy before a write",
        "L7",
        "differ at index|differ:",
        replace(WATCHED, keyspace=CopiesNothingBeforeWrites),
        needs=attrgetter("has_snapshots"),
        first=3,
    ),
    Bug(
        "sessions are not in snapshots",
        "A8",
        "differ at index|differ:|was forgotten",
        patches=((KeyspaceCut, "_session_records", _no_session_records),),
        needs=attrgetter("has_snapshots"),
    ),
    Bug(
        "a replica asks its own clock",
        "A1",
        "differ at index",
        replace(WATCHED, shard=StampsByItsOwnClock),
    ),
    Bug(
        "a replica takes its own settings",
        "A1",
        "differ at index",
        replace(WATCHED, shard=TakesItsOwnSettings),
        needs=attrgetter("has_config"),
        first=2,
    ),
    Bug(
        "a change of settings undoes another",
        "A1",
        "not linearizable|acknowledges",
        patches=((ALL_HANDLERS, PUT_TOPOLOGY, _put_whatever_came_between),),
        needs=attrgetter("has_config"),
        first=15,
    ),
    Bug(
        "settings are known before they are kept",
        "A1",
        "has forgotten epoch",
        patches=((Node, "learn_topology", _learn_unsaved),),
        flavours=("blackouts", "crashes", "disks"),
        needs=attrgetter("has_config"),
    ),
    Bug(
        "settings are acknowledged too soon",
        "A1",
        "acknowledges",
        patches=((Node, "_nodes_behind", _everybody_knows),),
        needs=attrgetter("has_config"),
        first=1,
    ),
    Bug(
        "nil before the expiry is logged",
        "A2",
        "not linearizable",
        replace(WATCHED, keyspace=SaysNilTooSoon),
        flavours=("clocks",),
        first=82,
    ),
    Bug(
        "time goes back with the leader",
        "A2",
        "not linearizable",
        replace(WATCHED, shard=StampsByItsClockAlone, keyspace=LetsTimeGoBack),
        flavours=("clocks",),
        caught_by="test_a_stamp_goes_on_from_that_of_an_earlier_leader_with_a_faster_clock",
    ),
    Bug(
        "an expiry removes what was set anew",
        "A2",
        "not linearizable",
        patches=((Keyspace, "raw_expiry_of", _due_if_there),),
        flavours=("clocks",),
        caught_by="test_the_expiry_command_removes_only_what_is_due_by_its_stamp",
    ),
    Bug(
        "a replica chooses what it evicts",
        "A1",
        "differ at index",
        patches=((ALL_HANDLERS, EVICT, _evict_by_its_own_choice),),
        needs=attrgetter("has_evictions"),
        first=21,
    ),
    Bug(
        "an eviction removes what is to stay",
        "A1",
        "not linearizable",
        patches=((ALL_HANDLERS, EVICT, _evict_whatever_is_named),),
        caught_by="test_an_eviction_spares_what_was_made_to_stay_meanwhile",
    ),
    Bug(
        "a session's command runs again",
        "A8",
        # The bytes of a reply that is kept twice count twice, until they come from a snapshot.
        "not linearizable|answered|published again|differ at index",
        patches=((Sessions, "lookup", _always_new),),
        first=1,
    ),
    Bug(
        "a read without a barrier",
        "R10",
        "not linearizable|was answered more than",
        replace(WATCHED, shard=ReadsWithoutABarrier),
        first=3,
    ),
    Bug(
        "reads are answered after stepping down",
        "R10",
        "not linearizable",
        replace(WATCHED, shard=AnswersReadsLate),
        flavours=("partitions", "usurpers"),
        caught_by="test_reads_of_a_deposed_leader_are_given_back_and_not_answered",
    ),
    Bug(
        "unknown is called not applied",
        "D2",
        "not linearizable|published again|are lost|nobody has pushed|EXEC made",
        replace(WATCHED, shard=CallsTheUnknownNotApplied),
        first=4,
    ),
    Bug(
        "the last try speaks for all",
        "D2",
        "not linearizable|published again|are lost|nobody has pushed|EXEC made",
        patches=((Router, "_finish", _finish_as_told),),
        first=57,
    ),
    Bug(
        "an answer to the last process is taken",
        "D2",
        "not linearizable|answered",
        patches=((Router, "__init__", _numbers_from_one),),
        flavours=("flappers",),
        caught_by="test_an_answer_to_the_last_process_is_not_taken_for_one_to_this",
    ),
    Bug(
        "an answer before the commit",
        "D2",
        "not linearizable",
        replace(WATCHED, shard=AnswersBeforeCommit),
        first=6,
    ),
)
