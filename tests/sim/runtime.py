"""`Runtime` of one simulated process: its loop, its two threads, and how it dies and is paused."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar  # Any: work of every result type waits in one queue.

from .schedule import MS, Schedule

if TYPE_CHECKING:
    from random import Random

T = TypeVar("T")


@dataclass(slots=True)
class DiskProfile:
    """How long the disk takes; faults make it slow for a while."""

    min_ns: int = MS // 10
    max_ns: int = 3 * MS
    stalled_until_ns: int = 0


@dataclass(slots=True)
class _Work:
    run: Callable[[], Any]
    done: Callable[[Any], None]


class SimRuntime:
    """Callbacks of a dead process never run; those of a paused one wait until it goes on.

    What a thread is asked to do takes effect at the end of the time it takes. A process that dies
    leaves the work it had begun in `unfinished()`: how much of it reached the disk is chance.
    """

    def __init__(
        self,
        schedule: Schedule,
        rng: Random,
        disk: DiskProfile,
        stop: Callable[[OSError], None],
    ) -> None:
        self.is_alive = True
        self.paused_until_ns = 0
        self._schedule = schedule
        self._rng = rng
        self._disk = disk
        self._stop = stop
        self._soon_ns = 0
        self._log_queue: deque[_Work] = deque()
        self._bulk_queue: deque[_Work] = deque()

    def call_soon(self, callback: Callable[[], None]) -> None:
        # First in, first out.
        self._soon_ns = max(self._soon_ns, self._schedule.now_ns + self._rng.randrange(200_000))
        self._schedule.at(self._soon_ns, lambda: self.run(callback))

    def call_later(self, delay_ns: int, callback: Callable[[], None]) -> None:
        self._schedule.after(max(0, delay_ns), lambda: self.run(callback))

    def run(self, callback: Callable[[], None]) -> None:
        """Run `callback` on this process's loop: now, or when its pause ends."""
        if not self.is_alive:
            return
        if self._schedule.now_ns < self.paused_until_ns:
            self._schedule.at(self.paused_until_ns, lambda: self.run(callback))
        else:
            callback()

    def run_log(
        self, work: Callable[[], T], done: Callable[[T], None], *, is_here: bool = False
    ) -> None:
        """A loop that waits for its disk is one to which nothing happens meanwhile: a part of what
        may happen beside a thread, so `is_here` changes nothing."""
        self._begin(self._log_queue, _Work(work, done))

    def run_bulk(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        self._begin(self._bulk_queue, _Work(work, done))

    def run_aside(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        """Nothing of it is on any disk: what a process that dies was at is simply lost."""
        takes_ns = self._rng.randrange(MS // 10, 3 * MS)
        self._schedule.after(takes_ns, lambda: self.run(lambda: done(work())))

    def unfinished(self) -> list[Callable[[], Any]]:
        """What both threads were at when the process died."""
        return [queue[0].run for queue in (self._log_queue, self._bulk_queue) if queue]

    def _begin(self, queue: deque[_Work], work: _Work) -> None:
        queue.append(work)
        if len(queue) == 1:
            self._take_time(queue)

    def _take_time(self, queue: deque[_Work]) -> None:
        takes_ns = self._rng.randrange(self._disk.min_ns, self._disk.max_ns)
        end_ns = max(self._schedule.now_ns, self._disk.stalled_until_ns) + takes_ns
        self._schedule.at(end_ns, lambda: self._finish(queue))

    def _finish(self, queue: deque[_Work]) -> None:
        # The machine finishes a write of a paused process; only its `done` waits for the loop.
        if not self.is_alive:
            return
        if self._schedule.now_ns < self._disk.stalled_until_ns:
            self._schedule.at(self._disk.stalled_until_ns, lambda: self._finish(queue))
            return
        work = queue.popleft()
        try:
            result = work.run()
        except OSError as error:  # A failed write stops the process (correctness L8).
            self._stop(error)
            return
        if queue:
            self._take_time(queue)
        self.run(lambda: work.done(result))
