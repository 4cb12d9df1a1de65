"""The engine's Runtime in production: the event loop, and one thread each for log and snapshots.

The threads exist because pwrite and fdatasync give up the GIL: while a batch is being synced the
loop receives, sends and applies. A third one, for what computes long, gives it up every 5 ms, as
any thread does: the loop goes on beside it, slower. Whatever fails in a thread stops the process
(correctness L8): a result never gets lost in an executor's future that nobody awaits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar  # Any: work of any type goes through one queue.

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")

_Job = tuple[Callable[[], Any], Callable[[Any], None]]


class _Worker:
    """A thread that runs jobs first in, first out."""

    def __init__(
        self, name: str, loop: asyncio.AbstractEventLoop, fail: Callable[[BaseException], None]
    ) -> None:
        self._loop = loop
        self._fail = fail
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        self._jobs.put((work, done))

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            work, done = job
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - the root of this thread; it goes to `fail`.
                self._loop.call_soon_threadsafe(self._fail, error)
                return
            self._loop.call_soon_threadsafe(done, result)

    def close(self) -> None:
        """Finish what was given, then end."""
        self._jobs.put(None)
        self._thread.join()


class LoopRuntime:
    """What a callback raises goes to `fail`, as what a thread raises does: left to the event loop
    it would only be logged, and the node would go on with a turn half done. After that none runs.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, fail: Callable[[BaseException], None]
    ) -> None:
        self._loop = loop
        self._tell = fail
        self._has_failed = False
        self._is_closed = False
        self._log = _Worker("log", loop, self._fail)
        self._bulk = _Worker("bulk", loop, self._fail)
        self._aside = _Worker("aside", loop, self._fail)

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._loop.call_soon(self._run, callback)

    def call_later(self, delay_ns: int, callback: Callable[[], None]) -> None:
        self._loop.call_later(delay_ns / 1e9, self._run, callback)

    def run_log(
        self, work: Callable[[], T], done: Callable[[T], None], *, is_here: bool = False
    ) -> None:
        # Behind `close` the files may be closed, too: what the thread is given then is left undone.
        if is_here and not self._is_closed:
            self._run(lambda: done(work()))
        else:
            self._log.run(work, partial(self._run, done))

    def run_bulk(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        self._bulk.run(work, partial(self._run, done))

    def run_aside(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        self._aside.run(work, partial(self._run, done))

    def _run(self, callback: Callable[..., None], *result: Any) -> None:
        if self._has_failed:
            return
        try:
            callback(*result)
        except BaseException as error:  # noqa: BLE001 - the root of a callback; it goes to `fail`.
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self._has_failed = True
        self._tell(error)

    def close(self) -> None:
        """Wait for the threads; what they were given is done then, and nothing after it."""
        self._is_closed = True
        self._log.close()
        self._bulk.close()
        self._aside.close()
