"""Planted bugs in log, snapshots, state machine, shard and router."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any  # Arguments passed through.

from trimaran.node.data.cut import KeyspaceCut
from trimaran.node.data.keyspace import Keyspace
from trimaran.node.data.sessions import Lookup, Sessions
from trimaran.node.engine import Engine
from trimaran.node.errors import NoQuorum
from trimaran.node.request import Done, NotApplied, Outcome, Request
from trimaran.node.router import Router
from trimaran.node.storage.snapshots import Snapshots
from trimaran.proto.reply import OK

from .planted import Bug
from .schedule import MS
from .watch import WATCHED, WatchedLog, WatchedShard

if TYPE_CHECKING:
    from trimaran.node.data.buckets import Bucket
    from trimaran.node.storage.wal import ShardSave, Staged

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
        return self.applied_index > 0


# --- Time, sessions, the fate of writes.


class StampsByItsOwnClock(WatchedShard):
    """A replica that asks its own clock while applying."""

    def _run(self, index: int, stamp_ms: int, seed: int, commands: Sequence[Any]) -> list[Any]:
        stamp_ms = self.machine.clock.wall_ms()
        return super()._run(index, stamp_ms, seed, commands)


class SaysNilTooSoon(Keyspace):
    """A read finds a key due by the reader's clock, and no entry says so."""

    def _is_due(self, bucket: Bucket, key: bytes) -> bool:
        expire_at_ms = bucket.expiries.get(key)
        return expire_at_ms is not None and expire_at_ms <= self._now_ms


def _always_new(_sessions: Sessions, *_: Any) -> Lookup:
    return Lookup.NEW


class ReadsWithoutABarrier(WatchedShard):
    def start_reads(self, now_ns: int) -> bool:
        del now_ns
        requests, self._new_reads = self._new_reads, []
        for request in requests:
            self._serve(request, self._stamp_ms)
        return False


class AnswersReadsLate(WatchedShard):
    """Leadership is lost and what waits is answered nevertheless."""

    def fail_reads(self, tokens: Iterable[int]) -> None:
        for token in tokens:
            for request in self._waiting_reads.pop(token, ()):
                self._serve(request, self._stamp_ms)

    def _drop_inbox(self) -> None:
        late, self._new_reads = self._new_reads, []
        for request in late:
            self._serve(request, self._stamp_ms)
        super()._drop_inbox()


class CallsTheUnknownNotApplied(WatchedShard):
    def time_out(self, now_ns: int) -> None:
        for proposed in self._proposed.values():
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
        "disk gave back|forgotten the replica|missing",
        replace(WATCHED, log=NeverSyncs),
        flavours=("blackouts", "crashes"),
    ),
    Bug(
        "a failed sync is passed over",
        "L8",
        "disk gave back|damaged|missing",
        replace(WATCHED, log=GoesOnAfterAFailedSync),
        flavours=("disks",),
    ),
    Bug(
        "segments begin without heads",
        "L2",
        "disk gave back|never created|forgotten|no such shard",
        replace(WATCHED, log=WritesNoHeads),
    ),
    Bug(
        "a segment is freed that is needed",
        "L2",
        "disk gave back|missing|never created|forgotten",
        replace(WATCHED, log=FreesWhatIsNeeded),
    ),
    Bug(
        "a cut where the log is not saved",
        "L5",
        "which its disk does not hold",
        replace(WATCHED, shard=CutsWhatIsNotSaved),
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
    ),
    Bug(
        "sessions are not in snapshots",
        "A8",
        "differ at index|differ:|was forgotten",
        patches=((KeyspaceCut, "_session_records", _no_session_records),),
    ),
    Bug(
        "a replica asks its own clock",
        "A1",
        "differ at index",
        replace(WATCHED, shard=StampsByItsOwnClock),
    ),
    Bug(
        "nil before the expiry is logged",
        "A2",
        "not linearizable",
        replace(WATCHED, keyspace=SaysNilTooSoon),
        flavours=("clocks",),
    ),
    Bug(
        "a session's command runs again",
        "A8",
        "not linearizable|answered",
        patches=((Sessions, "lookup", _always_new),),
    ),
    Bug(
        "a read without a barrier",
        "R10",
        "not linearizable",
        replace(WATCHED, shard=ReadsWithoutABarrier),
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
        "not linearizable",
        replace(WATCHED, shard=CallsTheUnknownNotApplied),
    ),
    Bug(
        "the last try speaks for all",
        "D2",
        "not linearizable",
        patches=((Router, "_finish", _finish_as_told),),
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
    ),
)
