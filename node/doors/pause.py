"""CLIENT PAUSE: this node's RESP clients are not served for a while; nothing is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .client import Client
    from .connection import Connection
    from .door import Door
    from .routes import Route

# Like writes: their effect must not be seen while writes are paused.
_AS_WRITES = frozenset(
    {b"EXEC", b"CONFIG|SET", b"SHUTDOWN"} | {b"PUBLISH", b"SPUBLISH", b"PFCOUNT"}
)
LOOK_MIN_S, LOOK_MAX_S = 0.001, 1.0  # Between two looks at the clock.


class Pause:
    """Holds the commands of clients from `begin` until its time is over or `end`."""

    def __init__(self) -> None:
        self.is_on = False  # Asked for every command.
        self._is_for_writes = False
        self._until_ns = 0
        self._waiting: dict[int, Connection] = {}
        self._passing: list[Callable[[], None]] = []  # What is done when it is over.
        self._number = 0  # Of this pause: a timer of an earlier one does nothing.

    def begin(self, door: Door, until_ns: int, *, is_for_writes: bool) -> None:
        """A second pause can only make it longer and stricter, as in Redis."""
        self._is_for_writes = is_for_writes and (self._is_for_writes or not self.is_on)
        self._until_ns = max(self._until_ns, until_ns)
        if not self.is_on:
            self.is_on = True
            self._number += 1
            self._wait(door, self._number)

    def _wait(self, door: Door, number: int) -> None:
        def look() -> None:
            if number != self._number or not self.is_on:
                return
            if door.router.now_ns() >= self._until_ns:
                self.end()
            else:  # It was made longer, or the timer of the loop came a little early.
                self._wait(door, number)

        left_s = (self._until_ns - door.router.now_ns()) / 1e9
        # Not in one go: the timer of a pause that was called off would be kept as long.
        door.call_later(min(max(left_s, LOOK_MIN_S), LOOK_MAX_S), look)

    def end(self) -> None:
        self.is_on = False
        self._until_ns = 0
        waiting, self._waiting = self._waiting, {}
        for client in waiting.values():
            client.release()
        passing, self._passing = self._passing, []
        for go_on in passing:
            go_on()

    def leave(self, client: Client) -> None:
        """It is gone and waits no more."""
        self._waiting.pop(client.id, None)

    def holds(self, client: Connection, route: Route) -> bool:
        """Whether this command has to wait; the client is then held until the end."""
        if not self._is_for(route):
            return False
        client.hold()
        self._waiting[client.id] = client
        return True

    def pass_by(self, route: Route, go_on: Callable[[], None]) -> None:
        """Have a command go on that began before: now, or when the pause is over."""
        if self.is_on and self._is_for(route):
            self._passing.append(go_on)
        else:
            go_on()

    def _is_for(self, route: Route) -> bool:
        return not self._is_for_writes or route.is_write or route.name in _AS_WRITES
