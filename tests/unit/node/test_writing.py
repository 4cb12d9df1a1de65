"""Which writes of the log are done in the loop: short ones that come alone, on a quick disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import pytest

from trimaran.cluster.slots import ShardId
from trimaran.node.raft.types import (
    ZERO,
    AppendReply,
    HardState,
    Message,
    Ready,
    ReplicaId,
)
from trimaran.node.writing import LONE_NS, QUICK_NS, SHORT_BYTES, LogWriter, WriteCounters

if TYPE_CHECKING:
    from trimaran.node.clock import Clock
    from trimaran.node.runtime import Runtime
    from trimaran.node.shard import Shard
    from trimaran.node.storage.wal import Log, ShardSave

ONE, TWO = ReplicaId(1), ReplicaId(2)


class Disk:
    """A log whose batches are as long as is said, and a loop and a thread that write it."""

    def __init__(self) -> None:
        self.now = LONE_NS
        self.size = 100
        self.takes_ns = QUICK_NS
        self.is_created = True  # The segment it is written to; and that is this, too.
        self.here: list[bool] = []
        self.in_thread: list[Callable[[], None]] = []
        self.kept = 0
        self.written = 0
        self.writer = LogWriter(
            cast("Log", self),
            WriteCounters(),
            clock=cast("Clock", self),
            runtime=cast("Runtime", self),
            keep_promise=self._keep,
            written=self._written,
        )

    # --- What a writer needs.

    @property
    def segment(self) -> Disk:
        return self

    def now_ns(self) -> int:
        return self.now

    def stage(self, saves: list[ShardSave]) -> Disk:
        assert saves
        return self

    def write(self, _staged: Disk) -> None:
        self.now += self.takes_ns

    def run_log(
        self, work: Callable[[], Disk], done: Callable[[Disk], None], *, is_here: bool
    ) -> None:
        self.here.append(is_here)
        if is_here:
            done(work())
        else:
            self.in_thread.append(lambda: done(work()))

    def _keep(self, _promise: object) -> None:
        self.kept += 1

    def _written(self) -> None:
        self.written += 1

    # --- A node's day.

    def save(self, *messages: Message, is_alone: bool = True) -> bool:
        """Save something, and whether that is done in the loop; it is on disk behind it."""
        ready = Ready(
            ticket=1,
            hard_state=HardState(1, ONE),
            entries=(),
            send_now=(),
            send_after_sync=messages,
            committed=(),
            snapshot=None,
            reads=(),
            reads_failed=(),
        )
        self.writer.collect(cast("Shard", _Numbered()), ready)
        self.writer.write(is_alone=is_alone)
        for finish in self.in_thread:
            finish()
        self.in_thread.clear()
        assert self.kept == self.written == len(self.here)
        return self.here[-1]


class _Numbered:
    id = ShardId(1)


@pytest.fixture
def disk() -> Disk:
    """One that has shown that it is quick."""
    disk = Disk()
    assert not disk.save(), "nothing is known of a disk before its first write"
    disk.now += LONE_NS + 1
    return disk


def reply(*, is_patient: bool) -> AppendReply:
    return AppendReply(ONE, TWO, 1, True, 5, 0, ZERO, is_patient=is_patient)  # noqa: FBT003


def test_a_short_write_that_comes_alone_is_done_in_the_loop(disk: Disk) -> None:
    assert disk.save()
    assert disk.writer.was_here
    assert not disk.writer.is_writing


def test_one_that_comes_close_behind_another_is_not(disk: Disk) -> None:
    disk.now -= 1
    assert not disk.save()


def test_one_beside_which_others_wait_is_not(disk: Disk) -> None:
    assert not disk.save(is_alone=False)


@pytest.mark.parametrize(("size", "is_here"), [(SHORT_BYTES, True), (SHORT_BYTES + 1, False)])
def test_a_long_one_is_not(disk: Disk, size: int, *, is_here: bool) -> None:
    disk.size = size
    assert disk.save() is is_here


def test_one_for_which_a_segment_has_to_be_made_is_not(disk: Disk) -> None:
    disk.is_created = False
    assert not disk.save()


def test_a_disk_that_was_slow_has_to_be_quick_in_the_thread_first(disk: Disk) -> None:
    disk.takes_ns = QUICK_NS + 1
    assert disk.save()
    disk.now += LONE_NS + 1
    assert not disk.save()
    disk.takes_ns = QUICK_NS
    disk.now += LONE_NS + 1
    assert not disk.save()
    disk.now += LONE_NS + 1
    assert disk.save()


def test_what_nobody_hurries_for_is_not(disk: Disk) -> None:
    assert not disk.save(reply(is_patient=True))
    disk.now += LONE_NS + 1
    assert disk.save(reply(is_patient=True), reply(is_patient=False))
