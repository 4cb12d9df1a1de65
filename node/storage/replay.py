"""Reading the log at start: which batches count, what they add up to, and what is damage.

A batch that cannot be read is a torn tail if nothing valid with a higher number exists anywhere,
and damage otherwise (correctness L1): then the node stops and says where, it never truncates what
may have been acknowledged. `wal.py` opens the log with what this returns.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import Corrupt
from ..raft.types import (
    NOBODY,
    ZERO,
    Entry,
    EntryId,
    EntryKind,
    HardState,
    ReplicaId,
    Restored,
    SnapshotMeta,
)
from .records import (
    FRAME_BYTES,
    FRAME_MAGIC,
    SEGMENT_START,
    Frame,
    Kind,
    Record,
    has_segment_header,
    read_frame,
    records_in,
    shards_probably_in,
    unpack_head,
    unpack_payload,
)

if TYPE_CHECKING:
    from ...cluster.slots import ShardId
    from .disk import Disk

_ENTRY_KINDS = {kind.value: kind for kind in EntryKind}
_SEGMENT_NAME = re.compile(r"(\d{12})\.log")


def segment_path(directory: str, number: int) -> str:
    return posixpath.join(directory, f"{number:012d}.log")


@dataclass(slots=True)
class FoundSegment:
    number: int
    path: str
    size: int
    end: int = SEGMENT_START  # Behind its last valid batch.
    last_batch: Frame | None = None


@dataclass(slots=True)
class ReplayedShard:
    """What the log alone says of one replica; snapshots come in with `restore`."""

    replica: ReplicaId
    hard_state: HardState
    base: SnapshotMeta
    first_index: int
    # By index, with the newest segment that holds it. There may be gaps while replaying: what lay
    # between was in a segment that is gone because a snapshot recorded further on covers it.
    entries: dict[int, tuple[Entry, int]] = field(default_factory=dict)
    last: int = 0

    def append(self, entry: Entry, segment: int) -> None:
        index = entry.index
        if index <= self.base.id.index:
            return
        held = self.entries.get(index)
        if held is not None and held[0].term == entry.term:  # correctness L3
            self.entries[index] = (held[0], segment)
            return
        self.drop(index, self.last)
        self.entries[index] = (entry, segment)
        self.last = index

    def copy(self, entry: Entry, segment: int) -> bool:
        """Takes an entry that was written again; False if it contradicts what is held."""
        if entry.index > self.base.id.index:
            held = self.entries.get(entry.index)
            if held is not None and held[0].term != entry.term:
                return False
            self.entries[entry.index] = (entry, segment)
            self.last = max(self.last, entry.index)
        return True

    def rebase(self, base: SnapshotMeta, first_index: int) -> None:
        if base.id.index >= self.base.id.index:
            self.drop(self.base.id.index + 1, base.id.index)
            self.base = base
            self.first_index = first_index
            self.last = max(self.last, base.id.index)

    def reset(self, base: SnapshotMeta, first_index: int) -> None:
        self.entries.clear()
        self.base = base
        self.first_index = first_index
        self.last = base.id.index

    def drop(self, first: int, last: int) -> None:
        for index in range(first, min(last, self.last) + 1):
            self.entries.pop(index, None)


class Replay:
    """The log of a directory, read. Raises Corrupt, or IdentityError for another cluster's."""

    def __init__(self, disk: Disk, directory: str, cluster_id: int) -> None:
        self.shards: dict[ShardId, ReplayedShard] = {}
        self.segments: list[FoundSegment] = []
        self.headless: str | None = None  # A segment that never got its header: holds nothing.
        self.last_batch = 0
        self._disk = disk
        self._cluster_id = cluster_id
        self._suspect: tuple[str, int, bytes] | None = None  # Where the next batch should be,
        # and what is there instead, if anything was ever written there.
        numbers = sorted(
            int(match[1])
            for name in disk.listdir(directory)
            if (match := _SEGMENT_NAME.fullmatch(name))
        )
        for number in numbers:
            self._read_segment(
                segment_path(directory, number), number, is_last=number == numbers[-1]
            )
        if self.segments and self.segments[0].number > 1 and not self.last_batch:
            # What came before was freed because a head in here was on disk (correctness L2).
            path = self.segments[0].path
            raise Corrupt(
                f"{path}: no batch at {SEGMENT_START}, where the state of every shard was"
            )
        for shard, state in self.shards.items():
            self._check_gaps(shard, state)

    def _read_segment(self, path: str, number: int, *, is_last: bool) -> None:
        if self.segments and number != self.segments[-1].number + 1:
            missing = self.segments[-1].number + 1
            raise Corrupt(f"{path}: the log segment before it, number {missing}, is missing")
        file = self._disk.open(path)
        try:
            data = file.pread(file.size(), 0)
        finally:
            file.close()
        if not has_segment_header(data, cluster_id=self._cluster_id, number=number, path=path):
            if not is_last:
                raise Corrupt(f"{path}: no log segment header at 0")
            self.headless = path
            self._look_behind(data, FoundSegment(number, path, len(data)))
            return
        segment = FoundSegment(number, path, len(data))
        self.segments.append(segment)
        while (frame := self._frame(data, segment.end, segment)) is not None:
            if self.last_batch and frame.number != self.last_batch + 1:
                break
            for record in records_in(data, frame.start, frame.end, path=path):
                self._apply(record, segment)
            self.last_batch = frame.number
            segment.end = frame.end
            segment.last_batch = frame
        self._look_behind(data, segment)

    def _frame(self, data: bytes, offset: int, segment: FoundSegment) -> Frame | None:
        return read_frame(
            data, offset, cluster_id=self._cluster_id, segment=segment.number, path=segment.path
        )

    def _look_behind(self, data: bytes, segment: FoundSegment) -> None:
        """Raises Corrupt if a batch that counts lies behind one that cannot be read (L1)."""
        rest = data[segment.end :]
        is_written = any(rest[:FRAME_BYTES])
        if (
            segment.last_batch is not None
            or self._suspect is None
            or (is_written and not self._suspect[2])
        ):
            self._suspect = (segment.path, segment.end, rest if is_written else b"")
        offset = data.find(FRAME_MAGIC, segment.end)
        while offset >= 0:
            frame = self._frame(data, offset, segment)
            if frame is not None and frame.number > self.last_batch:
                path, bad_offset, bad_data = self._suspect
                shards = ", ".join(map(str, shards_probably_in(bad_data, 0))) or "unknown"
                raise Corrupt(
                    f"{path}: log batch {self.last_batch + 1} at {bad_offset} is damaged "
                    f"(shards: {shards}), and batch {frame.number} follows it in {segment.path} "
                    f"at {offset}; replace this node's data from its peers"
                )
            offset = data.find(FRAME_MAGIC, offset + 1)

    def _apply(self, record: Record, segment: FoundSegment) -> None:
        shard = record.shard
        state = self.shards.get(shard)
        match record.kind:
            case Kind.HEAD:
                head = unpack_head(record.payload)
                if state is None or state.replica != head.replica:
                    state = _new_state(head.replica, head.base, head.first_index)
                    self.shards[shard] = state
                state.rebase(head.base, head.first_index)
                self._set_hard_state(state, record, segment)
                return
            case Kind.CREATED:
                first_index, voters = unpack_payload(record.payload)
                if state is None or state.replica != record.index:
                    base = SnapshotMeta(ZERO, voters)
                    self.shards[shard] = _new_state(ReplicaId(record.index), base, first_index)
                return
        if state is None:
            raise Corrupt(f"{segment.path}: a record of shard {shard}, which was never created")
        match record.kind:
            case Kind.HARD_STATE:
                self._set_hard_state(state, record, segment)
            case Kind.ENTRY:
                state.append(_entry(record), segment.number)
            case Kind.COPY:
                if not state.copy(_entry(record), segment.number):
                    raise Corrupt(
                        f"{segment.path}: entry {record.index} of shard {shard} was written again "
                        f"with term {record.term}, which is not the one held"
                    )
            case Kind.BASE:
                state.rebase(*_base(record))
            case Kind.RESET:
                state.reset(*_base(record))

    def _set_hard_state(self, state: ReplayedShard, record: Record, segment: FoundSegment) -> None:
        before = state.hard_state
        after = HardState(record.term, ReplicaId(record.index))
        is_vote_changed = after.voted_for != before.voted_for and before.voted_for != NOBODY
        if after.term < before.term or (after.term == before.term and is_vote_changed):
            raise Corrupt(
                f"{segment.path}: shard {record.shard} goes from {before} back to {after}"
            )
        state.hard_state = after

    def _check_gaps(self, shard: ShardId, state: ReplayedShard) -> None:
        expected = state.base.id.index + 1
        for index in sorted(state.entries):
            if index != expected:
                path = next(
                    one.path for one in self.segments if one.number == state.entries[index][1]
                )
                raise Corrupt(
                    f"{path}: the log of shard {shard} goes on with entry {index}, "
                    f"but entry {expected} is missing"
                )
            expected += 1


def _new_state(replica: ReplicaId, base: SnapshotMeta, first_index: int) -> ReplayedShard:
    return ReplayedShard(replica, HardState(0, NOBODY), base, first_index, last=base.id.index)


def _entry(record: Record) -> Entry:
    return Entry(record.term, record.index, _ENTRY_KINDS[record.entry_kind], record.payload)


def _base(record: Record) -> tuple[SnapshotMeta, int]:
    first_index, voters = unpack_payload(record.payload)
    return SnapshotMeta(EntryId(record.term, record.index), voters), first_index


def restore(
    shard: ShardId, state: ReplayedShard, snapshot: SnapshotMeta | None
) -> tuple[Restored, bool]:
    """The log and the newest snapshot together (correctness L5), and whether the log was discarded
    because it does not lead through the snapshot."""
    base = state.base
    if snapshot is None:
        snapshot = base
        if base.id != ZERO:
            raise Corrupt(
                f"shard {shard}: the log begins behind a snapshot at {base.id}, which is missing"
            )
    place = snapshot.id
    if place.index < base.id.index:
        raise Corrupt(
            f"shard {shard}: the newest snapshot is at {place}, "
            f"but the log begins behind one at {base.id}, which is missing"
        )
    if place.index == base.id.index:
        is_discarded = place.term != base.id.term
    else:
        held = state.entries.get(place.index)
        is_discarded = held is None or held[0].term != place.term
    if is_discarded:
        return Restored(state.hard_state, snapshot, ()), True
    entries = tuple(state.entries[index][0] for index in range(place.index + 1, state.last + 1))
    return Restored(state.hard_state, snapshot, entries), False
