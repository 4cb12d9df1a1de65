"""Requests that only read, from their arrival until nothing but time is in their way: first they
wait to be gathered for a barrier, then for that, then until so much is applied. Pure.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from .errors import NoQuorum
from .request import NotApplied, Request, answered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .data.waiters import WaiterId


class Reads:
    def __init__(self) -> None:
        self.new: list[Request] = []  # No barrier asked for yet.
        self.due: deque[Request] = deque()  # Nothing but time is in their way.
        self._waiting: dict[int, list[Request]] = {}  # By the token of their barrier.
        self._passed: list[tuple[int, int]] = []  # (index to be applied first, token).

    def __bool__(self) -> bool:
        return bool(self.new or self._waiting or self.due)

    @property
    def has_waiting(self) -> bool:
        """Some wait for a barrier, or for what is to be applied behind it."""
        return bool(self._waiting)

    @property
    def has_passed(self) -> bool:
        """A barrier is passed whose reads are not due yet, as far as anybody has looked."""
        return bool(self._passed)

    def take_new(self) -> list[Request]:
        taken, self.new = self.new, []
        return taken

    def wait(self, token: int, requests: list[Request]) -> None:
        """Their barrier is asked for."""
        self._waiting[token] = requests

    def take(self, token: int) -> Sequence[Request]:
        """Those that wait for a barrier."""
        return self._waiting.pop(token, ())

    def passed(self, token: int, index: int) -> None:
        """Their barrier is passed: they are due once all up to `index` is applied."""
        self._passed.append((index, token))

    def release(self, applied_index: int | None) -> None:
        """So much is applied; None: more will never be."""
        passed, self._passed = self._passed, []
        for index, token in passed:
            if applied_index is not None and index > applied_index:
                self._passed.append((index, token))
            else:
                self.due += self._waiting.pop(token, ())

    def call_off(self, waiter: WaiterId) -> None:
        """A wait for data whose barrier is not passed yet."""
        for requests in (self.new, *self._waiting.values(), self.due):
            for request in requests:
                if request.waiter == waiter:
                    request.complete = answered

    def time_out(self, now_ns: int) -> None:
        """Answer those whose deadline is past."""
        self.new = _without_late(self.new, now_ns)
        for token, requests in self._waiting.items():
            self._waiting[token] = _without_late(requests, now_ns)
        self.due = deque(_without_late(list(self.due), now_ns))


def _without_late(requests: list[Request], now_ns: int) -> list[Request]:
    late = [request for request in requests if request.deadline_ns <= now_ns]
    if not late:
        return requests
    for request in late:
        request.complete(NotApplied(NoQuorum("no majority answered in time")))
    return [request for request in requests if request.deadline_ns > now_ns]
