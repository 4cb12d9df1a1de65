"""Reading the log at start: which batches count, what they add up to, and what is damage.

A batch that cannot be read is a torn tail if nothing valid with a higher number exists anywhere,
and damage otherwise (correctness L1): then the node stops and says where, it never truncates what
may have been acknowledged. It can take a while, so it is done in steps (`steps.py`). `wal.py` opens
the log with what this returns.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from functools import partial
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
    from ..steps import Steps
    from .disk import Disk

_ENTRY_KINDS = {kind.value: kind for kind in EntryKind}
_SEGMENT_NAME = re.compile(r"(\d{12})\.log")

# How much is done in one step: about a millisecond's worth each.
STEP_RECORDS = 512
STEP_ENTRIES = 4_096
STEP_SEARCHED_BYTES = 1 << 20


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
    """The log of a directory; `read` it. Raises Corrupt, or IdentityError for another cluster's."""

    def __init__(self, disk: Disk, directory: str, cluster_id: int) -> None:
        self.shards: dict[ShardId, ReplayedShard] = {}
        self.segments: list[FoundSegment] = []
        self.headless: str | None = None  # A segment that never got its header: holds nothing.
        self.last_batch = 0
        self._disk = disk
        self._cluster_id = cluster_id
        self._directory = directory
        self._suspect: tuple[str, int, bytes] | None = None  # Where the next batch should be,
        # and the segment it is in, if anything was ever written there.

    def read(self) -> Steps[None]:
        """All of it, in steps; blocks in none of them but those that it yields as work."""
        numbers = segment_numbers(self._disk, self._directory)
        for number in numbers:
            path = segment_path(self._directory, number)
            yield from self._read_segment(path, number, is_last=number == numbers[-1])
        if self.segments and self.segments[0].number > 1 and not self.last_batch:
            # What came before was freed because a head in here was on disk (correctness L2).
            path = self.segments[0].path
            raise Corrupt(
                f"{path}: no batch at {SEGMENT_START}, where the state of every shard was"
            )
        for shard, state in self.shards.items():
            yield from self._check_gaps(shard, state)

    def _read_segment(self, path: str, number: int, *, is_last: bool) -> Steps[None]:
        if self.segments and number != self.segments[-1].number + 1:
            missing = self.segments[-1].number + 1
            raise Corrupt(f"{path}: the log segment before it, number {missing}, is missing")
        data: bytes = yield partial(_content, self._disk, path)
        if not has_segment_header(data, cluster_id=self._cluster_id, number=number, path=path):
            if not is_last:
                raise Corrupt(f"{path}: no log segment header at 0")
            self.headless = path
            yield from self._look_behind(data, FoundSegment(number, path, len(data)))
            return
        segment = FoundSegment(number, path, len(data))
        self.segments.append(segment)
        while (frame := self._frame(data, segment.end, segment)) is not None:
            if self.last_batch and frame.number != self.last_batch + 1:
                break
            for count, record in enumerate(records_in(data, frame.start, frame.end, path=path), 1):
                self._apply(record, segment)
                if not count % STEP_RECORDS:
                    yield 0
            self.last_batch = frame.number
            segment.end = frame.end
            segment.last_batch = frame
            yield frame.end - frame.offset
        yield from self._look_behind(data, segment)

    def _frame(self, data: bytes, offset: int, segment: FoundSegment) -> Frame | None:
        return read_frame(
            data, offset, cluster_id=self._cluster_id, segment=segment.number, path=segment.path
        )

    def _look_behind(self, data: bytes, segment: FoundSegment) -> Steps[None]:
        """Raises Corrupt if a batch that counts lies behind one that cannot be read (L1)."""
        is_written = any(data[segment.end : segment.end + FRAME_BYTES])
        if (
            segment.last_batch is not None
            or self._suspect is None
            or (is_written and not self._suspect[2])
        ):
            self._suspect = (segment.path, segment.end, data if is_written else b"")
        offset = yield from _find_magic(data, segment.end)
        while offset >= 0:
            frame = self._frame(data, offset, segment)
            if frame is not None and frame.number > self.last_batch:
                path, bad_offset, bad_data = self._suspect
                shards = ", ".join(map(str, shards_probably_in(bad_data, bad_offset))) or "unknown"
                raise Corrupt(
                    f"{path}: log batch {self.last_batch + 1} at {bad_offset} is damaged "
                    f"(shards: {shards}), and batch {frame.number} follows it in {segment.path} "
                    f"at {offset}; replace this node's data from its peers"
                )
            yield 0
            offset = yield from _find_magic(data, offset + 1)

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

    def _check_gaps(self, shard: ShardId, state: ReplayedShard) -> Steps[None]:
        for expected in range(state.base.id.index + 1, state.last + 1):
            if expected not in state.entries:
                index = min(one for one in state.entries if one > expected)
                path = next(
                    one.path for one in self.segments if one.number == state.entries[index][1]
                )
                raise Corrupt(
                    f"{path}: the log of shard {shard} goes on with entry {index}, "
                    f"but entry {expected} is missing"
                )
            if not expected % STEP_ENTRIES:
                yield 0


def segment_numbers(disk: Disk, directory: str) -> list[int]:
    """Of the log's files, in order."""
    names = map(_SEGMENT_NAME.fullmatch, disk.listdir(directory))
    return sorted([int(match[1]) for match in names if match])


def _content(disk: Disk, path: str) -> bytes:
    file = disk.open(path)
    try:
        return file.pread(file.size(), 0)
    finally:
        file.close()


def _find_magic(data: bytes, offset: int) -> Steps[int]:
    """Where the next batch might begin, or -1."""
    while offset < len(data):
        end = offset + STEP_SEARCHED_BYTES
        found = data.find(FRAME_MAGIC, offset, end + len(FRAME_MAGIC) - 1)
        if found >= 0:
            return found
        yield min(end, len(data)) - offset
        offset = end
    return -1


def _new_state(replica: ReplicaId, base: SnapshotMeta, first_index: int) -> ReplayedShard:
    return ReplayedShard(replica, HardState(0, NOBODY), base, first_index, last=base.id.index)


def _entry(record: Record) -> Entry:
    return Entry(record.term, record.index, _ENTRY_KINDS[record.entry_kind], record.payload)


def _base(record: Record) -> tuple[SnapshotMeta, int]:
    first_index, voters = unpack_payload(record.payload)
    return SnapshotMeta(EntryId(record.term, record.index), voters), first_index


def restore(
    shard: ShardId, state: ReplayedShard, snapshot: SnapshotMeta | None
) -> Steps[tuple[Restored, bool]]:
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
    entries: list[Entry] = []
    for index in range(place.index + 1, state.last + 1):
        entries.append(state.entries[index][0])
        if not index % STEP_ENTRIES:
            yield 0
    return Restored(state.hard_state, snapshot, tuple(entries)), False
