"""The write-ahead log: one for all shards of a node, written at run time, read only at start.

`stage` runs on the loop and decides everything: which bytes, which segment, which offset. `write`
runs in a thread and only writes and syncs. What a batch changes about who needs which segment
counts from the moment it is on disk (`_settle`), never from its staging: a crash in between must
find everything the disk still relies on (correctness L2). Read `records.py` for the bytes,
`replay.py` for what they mean at start.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ..errors import Corrupt
from ..raft.types import (
    NOBODY,
    ZERO,
    Entry,
    HardState,
    ReplicaId,
    Restored,
    SnapshotMeta,
    Voter,
)
from ..steps import run_through
from .records import (
    FRAME_BYTES,
    SEGMENT_START,
    Head,
    Kind,
    pack_batch_head,
    pack_head,
    pack_payload,
    pack_record,
    pack_segment_header,
)
from .replay import STEP_ENTRIES, Replay, restore, segment_path
from .segments import Segment
from .shard_log import Effect, ShardLog

if TYPE_CHECKING:
    from ...cluster.slots import ShardId
    from ..steps import Steps
    from .disk import Disk


LARGE_BYTES = 1 << 20  # A record this long is written by itself, not copied into the batch.


@dataclass(frozen=True, slots=True)
class LogOptions:
    segment_bytes: int = 16 << 20
    segments_kept: int = 8  # Full ones; above it `pinning` names who holds the oldest.
    is_synced: bool = True  # False (`fsync = "never"`): a power cut may lose or damage the log.


DEFAULT_OPTIONS = LogOptions()


@dataclass(frozen=True, slots=True)
class Created:
    """The replica exists from here on, with these voters, and has promised nothing yet."""

    replica: ReplicaId
    voters: tuple[Voter, ...]


@dataclass(frozen=True, slots=True)
class ShardSave:
    """What one shard wants saved in one turn."""

    shard: ShardId
    hard_state: HardState | None = None
    entries: tuple[Entry, ...] = ()  # Without a gap; those already held are written again (L4).
    reset: SnapshotMeta | None = None  # A snapshot was installed: the log restarts behind it.
    created: Created | None = None


@dataclass(frozen=True, slots=True)
class RestoredShard:
    """A replica as the disk remembers it."""

    replica: ReplicaId
    restored: Restored


@dataclass(slots=True, eq=False)
class Staged:
    """One batch, ready to be written: `Log.write`."""

    segment: Segment
    offset: int
    number: int
    data: bytes
    effects: list[Effect]
    more: Sequence[bytes] = ()  # Of a large batch: what is written behind `data`.
    is_written: bool = False  # Set by the thread when the sync returned.

    @property
    def size(self) -> int:
        return len(self.data) + sum(map(len, self.more))


class Log:
    """Everything on the loop, except `write`, `unlink` and what `prepare` returns."""

    def __init__(self, disk: Disk, directory: str, cluster_id: int, options: LogOptions) -> None:
        self._disk = disk
        self._directory = directory
        self._cluster_id = cluster_id
        self._options = options
        self._shards: dict[ShardId, ShardLog] = {}
        self._based: dict[ShardId, SnapshotMeta] = {}  # Snapshots not yet recorded in the log.
        self._closed: deque[Segment] = deque()  # Oldest first; full, or left for a large batch.
        self._active = Segment(0, "", 0, is_created=True)
        self._spares: deque[Segment] = deque()
        self._number = 0  # Of the last batch staged.
        self._unsettled: deque[Staged] = deque()
        self._settled_segment = 0  # Of the last batch known to be on disk.
        # The writing thread's own:
        self._written = 0
        self._writing: Segment | None = None
        self._has_failed = False

    # --- At start.

    @classmethod
    def open(
        cls,
        disk: Disk,
        directory: str,
        *,
        cluster_id: int,
        snapshots: Mapping[ShardId, SnapshotMeta],
        options: LogOptions = DEFAULT_OPTIONS,
    ) -> tuple[Log, dict[ShardId, RestoredShard]]:
        """Read what is there, given the newest snapshot of each shard; blocks. Raises Corrupt."""
        return run_through(
            cls.opening(
                disk, directory, cluster_id=cluster_id, snapshots=snapshots, options=options
            )
        )

    @classmethod
    def opening(
        cls,
        disk: Disk,
        directory: str,
        *,
        cluster_id: int,
        snapshots: Mapping[ShardId, SnapshotMeta],
        options: LogOptions = DEFAULT_OPTIONS,
    ) -> Steps[tuple[Log, dict[ShardId, RestoredShard]]]:
        """`open`, in steps."""
        yield partial(disk.makedirs, directory)
        replay = Replay(disk, directory, cluster_id)
        yield from replay.read()
        log = cls(disk, directory, cluster_id, options)

        def make_lasting() -> None:
            log._take_segments(replay)
            log._make_lasting(replay)

        yield make_lasting
        found = yield from log._take_shards(replay, snapshots)
        return log, found

    def _take_segments(self, replay: Replay) -> None:
        if replay.headless is not None:
            self._disk.unlink(replay.headless)
            self._disk.fsync_dir(self._directory)
        for found in replay.segments:
            segment = Segment(found.number, found.path, found.size, is_created=True)
            segment.end = found.end
            self._spares.append(segment)
        holding = [one.number for one in replay.segments if one.last_batch is not None]
        while holding and self._spares[0].number < holding[-1]:
            self._closed.append(self._spares.popleft())
        self._active = self._spares.popleft() if self._spares else self._new_segment(1)
        self._number = self._written = replay.last_batch
        self._settled_segment = holding[-1] if holding else 0

    def _make_lasting(self, replay: Replay) -> None:
        """What was read may be in memory only: of the last batch and the last headers the sync may
        never have returned, or have failed, and a page whose sync failed is not written by another
        sync. So write those again; every earlier batch was synced before the next was begun (L1).
        """
        self._disk.fsync_dir(self._directory)
        self._writing = self._active
        for segment in (self._active, *self._spares):
            file = segment.file(self._disk, self._cluster_id)
            file.pwrite(pack_segment_header(self._cluster_id, segment.number), 0)
            frames = [one.last_batch for one in replay.segments if one.number == segment.number]
            if frames and frames[0] is not None:
                frame = frames[0]
                file.pwrite(file.pread(frame.end - frame.offset, frame.offset), frame.offset)
            file.fsync()

    def _take_shards(
        self, replay: Replay, snapshots: Mapping[ShardId, SnapshotMeta]
    ) -> Steps[dict[ShardId, RestoredShard]]:
        restored: dict[ShardId, RestoredShard] = {}
        resets: list[ShardSave] = []
        for shard, meta in snapshots.items():
            if shard not in replay.shards:
                # Its vote went with the log: this replica must not go on (correctness B2).
                raise Corrupt(
                    f"{self._directory}: there is a snapshot of shard {shard} at {meta.id}, "
                    "but the log knows no such shard"
                )
        for shard, state in replay.shards.items():
            known, is_discarded = yield from restore(shard, state, snapshots.get(shard))
            restored[shard] = RestoredShard(state.replica, known)
            log = ShardLog(
                state.replica, state.hard_state, state.base, state.first_index, state.base.id.index
            )
            for index in range(state.base.id.index + 1, state.last + 1):
                entry, segment = state.entries[index]
                log.append((entry,))
                low, _ = log.spans.get(segment, (index, index))
                log.spans[segment] = (low, index)
                if not index % STEP_ENTRIES:
                    yield 0
            self._shards[shard] = log
            if is_discarded:
                # Or what is appended now would stand behind a gap at the next start.
                resets.append(ShardSave(shard, reset=known.snapshot))
            elif known.snapshot.id.index > state.base.id.index:
                self.compacted(shard, known.snapshot, known.snapshot.id.index + 1)
        if resets:
            yield partial(self.write, self.stage(resets))
        return restored

    # --- On the loop.

    def stage(self, saves: Sequence[ShardSave]) -> Staged:
        """Encode one batch, in the order given; the head of a segment comes with its first (L2)."""
        self._settle()
        parts: list[bytes] = []
        effects: list[Effect] = []
        for shard, meta in self._based.items():
            log = self._shards[shard]
            parts += _record(Kind.BASE, shard, meta, log.first_index)
            effects.append(Effect(log, base_index=meta.id.index))
        self._based.clear()
        # A batch counts as a whole, so only the last term and vote of a shard are written: an older
        # one would stand behind the head of a new segment and contradict it.
        last = {save.shard: save for save in saves if save.hard_state is not None}
        for save in saves:
            self._stage_one(save, parts, effects, has_last_vote=last.get(save.shard) is save)
        segment = self._active
        size = FRAME_BYTES + sum(map(len, parts))
        if segment.end > SEGMENT_START and segment.end + size > segment.size:
            segment = self._roll()
        if segment.end == SEGMENT_START:
            # As of behind this batch, which counts as a whole or not at all.
            parts.insert(0, self._heads())
        parts = _joined(parts) if size > LARGE_BYTES else [b"".join(parts)]
        self._number += 1
        head = pack_batch_head(
            cluster_id=self._cluster_id,
            segment=segment.number,
            number=self._number,
            offset=segment.end,
            parts=parts,
        )
        data = head + parts[0]
        staged = Staged(segment, segment.end, self._number, data, effects, parts[1:])
        segment.end += staged.size
        self._unsettled.append(staged)
        return staged

    def compacted(self, shard: ShardId, snapshot: SnapshotMeta, first_index: int) -> None:
        """A snapshot is on disk: the log needs nothing up to it, once the next batch says so.
        Entries from `first_index` on stay in memory; the disk gives back only what follows."""
        log = self._shards[shard]
        if snapshot.id.index >= log.base.id.index:
            log.rebase(snapshot, first_index)
            self._based[shard] = snapshot

    def free_segments(self) -> list[str]:
        """Segments that nobody needs any more, oldest first; they are the caller's to `unlink`."""
        self._settle()
        needed = min(
            (number for log in self._shards.values() for number in log.spans),
            default=self._settled_segment,
        )
        # A head in a later segment is on disk: `_settled_segment` begins with one (L2).
        free: list[str] = []
        while self._closed and self._closed[0].number < min(needed, self._settled_segment):
            free.append(self._closed.popleft().path)
        return free

    def pinning(self) -> list[ShardId]:
        """Who holds the oldest segment, when there are more than `segments_kept`: they should take
        a snapshot, or else save their suffix again (L4). Not those who are about to let go."""
        self._settle()
        if len(self._closed) <= self._options.segments_kept:
            return []
        oldest = self._closed[0].number
        return [
            shard
            for shard, log in self._shards.items()
            if oldest in log.spans
            and log.spans[oldest][1] > log.base.id.index
            and not log.copies_unsettled
        ]

    def pinned(self, shard: ShardId) -> tuple[int, int]:
        """First and last index of what `shard` holds of the oldest segment it needs."""
        spans = self._shards[shard].spans
        return spans[min(spans)] if spans else (0, 0)

    def prepare(self) -> Callable[[], None] | None:
        """The work of making the next segment ahead, for a thread that is not the writing one."""
        # One ahead: a segment without a header may only be the last (correctness L1).
        if self._spares or not self._active.is_created:
            return None
        spare = self._new_segment(self._active.number + 1)
        self._spares.append(spare)
        return partial(spare.create, self._disk, self._cluster_id)

    @property
    def bytes_on_disk(self) -> int:
        segments = (*self._closed, self._active, *self._spares)
        return sum([segment.bytes_on_disk for segment in segments if segment.is_created])

    # --- In threads.

    def write(self, staged: Staged) -> None:
        """One write and one sync, in the order of staging, one at a time. An OSError is final: the
        process stops, for the kernel may have dropped the pages (correctness L8)."""
        assert not self._has_failed, "a write after one that failed"
        assert staged.number == self._written + 1, "batches are written in the order of staging"
        self._has_failed = True
        segment = staged.segment
        if self._writing is not segment:
            if self._writing is not None:
                self._writing.close()
            self._writing = segment
        file = segment.file(self._disk, self._cluster_id)
        file.pwrite(staged.data, staged.offset)
        offset = staged.offset + len(staged.data)
        for part in staged.more:
            file.pwrite(part, offset)
            offset += len(part)
        if self._options.is_synced:
            file.fdatasync()
        self._has_failed = False
        self._written = staged.number
        staged.is_written = True

    def unlink(self, paths: Sequence[str]) -> None:
        """Delete what `free_segments` gave, so that no cut of power leaves a hole among them."""
        for path in paths:
            self._disk.unlink(path)
            self._disk.fsync_dir(self._directory)

    def close(self) -> None:
        """Close the files; nothing may be under way."""
        for segment in (*self._closed, self._active, *self._spares):
            segment.close()

    # --- Inside.

    def _new_segment(self, number: int) -> Segment:
        path = segment_path(self._directory, number)
        return Segment(number, path, self._options.segment_bytes, is_created=False)

    def _roll(self) -> Segment:
        self._closed.append(self._active)
        number = self._active.number + 1
        self._active = self._spares.popleft() if self._spares else self._new_segment(number)
        return self._active

    def _heads(self) -> bytes:
        parts: list[bytes] = []
        for shard, log in self._shards.items():
            payload = pack_head(Head(log.replica, log.base, log.first_index))
            state = log.hard_state
            parts.append(
                pack_record(len(payload), Kind.HEAD, 0, shard, state.term, state.voted_for)
            )
            parts.append(payload)
        return b"".join(parts)

    def _stage_one(
        self, save: ShardSave, parts: list[bytes], effects: list[Effect], *, has_last_vote: bool
    ) -> None:
        shard = save.shard
        if save.created is not None:
            self._create_shard(shard, save.created, parts)
        log = self._shards[shard]
        if save.hard_state is not None:
            term, voted_for = save.hard_state.term, save.hard_state.voted_for
            assert term >= log.hard_state.term, "a term never falls"
            log.hard_state = save.hard_state
            if has_last_vote:
                parts.append(pack_record(0, Kind.HARD_STATE, 0, shard, term, voted_for))
        if save.reset is not None:
            log.terms.clear()
            log.last = 0
            log.rebase(save.reset, save.reset.id.index + 1)
            self._based.pop(shard, None)
            parts += _record(Kind.RESET, shard, save.reset, log.first_index)
            effects.append(Effect(log, is_reset=True))
        if save.entries:
            self._stage_entries(shard, log, save.entries, parts, effects)

    def _create_shard(self, shard: ShardId, created: Created, parts: list[bytes]) -> None:
        assert shard not in self._shards, "a shard has one replica on a node"
        base = SnapshotMeta(ZERO, created.voters)
        self._shards[shard] = ShardLog(created.replica, HardState(0, NOBODY), base, 1, 0)
        payload = pack_payload(1, created.voters)
        parts.append(pack_record(len(payload), Kind.CREATED, 0, shard, 0, created.replica))
        parts.append(payload)

    def _stage_entries(
        self,
        shard: ShardId,
        log: ShardLog,
        entries: tuple[Entry, ...],
        parts: list[bytes],
        effects: list[Effect],
    ) -> None:
        covered = log.base.id.index + 1 - entries[0].index
        if covered > 0:
            entries = entries[covered:]  # A snapshot was taken in between.
            if not entries:
                return
        first, last = entries[0].index, entries[-1].index
        assert first <= log.last + 1, "a gap in the log"
        assert last - first + 1 == len(entries), "a gap among the entries"
        copies = log.held(entries) if first <= log.last else 0
        effect = Effect(log, first=first, last=last, has_copies=copies > 0)
        log.copies_unsettled += effect.has_copies
        if copies < len(entries):
            if first + copies <= log.last:
                effect.drop_from = first + copies
            log.append(entries[copies:])
        effects.append(effect)
        kind = Kind.ENTRY
        for place, entry in enumerate(entries):
            data = entry.data
            if copies:
                kind = Kind.COPY if place < copies else Kind.ENTRY
            parts.append(pack_record(len(data), kind, entry.kind, shard, entry.term, entry.index))
            parts.append(data)

    def _settle(self) -> None:
        """Take note of the batches that the thread has put on disk."""
        while self._unsettled and self._unsettled[0].is_written:
            staged = self._unsettled.popleft()
            self._settled_segment = staged.segment.number
            for effect in staged.effects:
                effect.log.settle(effect, staged.segment.number)


def _joined(parts: Sequence[bytes]) -> list[bytes]:
    """The same bytes in few parts, the first of them small: large ones are not copied."""
    joined: list[bytes] = []
    small: list[bytes] = []
    for part in parts:
        if len(part) < LARGE_BYTES:
            small.append(part)
        else:
            joined += (b"".join(small), part)
            small = []
    if small or not joined:
        joined.append(b"".join(small))
    return joined


def _record(kind: Kind, shard: ShardId, base: SnapshotMeta, first_index: int) -> list[bytes]:
    payload = pack_payload(first_index, base.voters)
    header = pack_record(len(payload), kind, 0, shard, base.id.term, base.id.index)
    return [header, payload]
