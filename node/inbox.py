"""What waits at a leader to become entries, in the order it came. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .data.entry import CommandRecord
    from .request import Request

# An entry takes no further request past so many: packing and reading that takes two milliseconds.
ENTRY_COMMANDS_MAX = 4096
NOTHING: deque[Request] = deque()


class Inbox:
    def __init__(self) -> None:
        self.bytes = 0
        self.commands = 0
        self._requests: deque[Request] = deque()
        self._first: deque[Request] = deque()  # Evictions: what waits may wait for them.

    def __len__(self) -> int:
        return len(self._requests) + len(self._first)

    def put(self, request: Request) -> None:
        self._requests.append(request)
        self.bytes += request.size_bytes
        self.commands += len(request.commands)

    def put_first(self, request: Request) -> None:
        """In front of what waits: nobody's order is told by it."""
        self._first.append(request)
        self.bytes += request.size_bytes
        self.commands += len(request.commands)

    def take(
        self, entry_bytes_max: int, room: int, *, is_alone: bool, is_held: bool = False
    ) -> list[Request]:
        """What becomes one entry; nothing if not even the first fits into `room` beside others.
        With `is_held` only what was put first."""
        taken: list[Request] = []
        size = count = 0
        if self._first:  # They are few and short.
            taken += self._first
            self._first.clear()
            size = sum([request.size_bytes for request in taken])
            count = sum([len(request.commands) for request in taken])
        waiting = NOTHING if is_held else self._requests
        while waiting and (not taken or (size < entry_bytes_max and count < ENTRY_COMMANDS_MAX)):
            request = waiting[0]
            cost = request.size_bytes
            if size + cost > room and (taken or not is_alone):
                break
            waiting.popleft()
            taken.append(request)
            size += cost
            count += len(request.commands)
        self.bytes -= size
        self.commands -= count
        return taken

    def take_late(self, now_ns: int) -> list[Request]:
        """Those past their deadlines, which do not ascend: what was passed on brings what is left
        of its own."""
        late = [one for one in (*self._first, *self._requests) if one.deadline_ns <= now_ns]
        if late:
            self._first = deque(one for one in self._first if one.deadline_ns > now_ns)
            self._requests = deque(one for one in self._requests if one.deadline_ns > now_ns)
            self.bytes -= sum([request.size_bytes for request in late])
            self.commands -= sum([len(request.commands) for request in late])
        return late

    def take_all(self) -> list[Request]:
        taken = [*self._first, *self._requests]
        self._first.clear()
        self._requests.clear()
        self.bytes = self.commands = 0
        return taken


def records_of(request: Request) -> Iterable[CommandRecord]:
    """A request as an entry holds it. A read behind a write of the same pipeline is logged with it:
    it then sees that write and nothing later, also when it is retried under its session."""
    db, user, session, floor = request.db, request.user, request.session, request.floor
    if not session:
        return [(db, user, 0, 0, 0, args) for args in request.commands]
    return [
        (db, user, session, sequence, floor, args)
        for sequence, args in enumerate(request.commands, request.sequence)
    ]
