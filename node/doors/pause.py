"""CLIENT PAUSE: this node's RESP clients are not served for a while; nothing is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .connection import Connection
    from .door import Door
    from .routes import Route

# Like writes: their effect must not be seen while writes are paused.
_AS_WRITES = frozenset({b"EXEC", b"CONFIG|SET", b"SHUTDOWN"})


class Pause:
    """Holds the commands of clients from `begin` until its time is over or `end`."""

    def __init__(self) -> None:
        self.is_on = False  # Asked for every command.
        self._is_for_writes = False
        self._until_ns = 0
        self._waiting: list[Connection] = []

    def begin(self, door: Door, until_ns: int, *, is_for_writes: bool) -> None:
        """A second pause can only make it longer and stricter, as in Redis."""
        self._is_for_writes = is_for_writes and (self._is_for_writes or not self.is_on)
        self._until_ns = max(self._until_ns, until_ns)
        self.is_on = True
        self._arm(door)

    def _arm(self, door: Door) -> None:
        left_ns = self._until_ns - door.router.now_ns()

        def look() -> None:
            if self.is_on and door.router.now_ns() >= self._until_ns:
                self.end()

        door.call_later(max(left_ns, 0) / 1e9, look)

    def end(self) -> None:
        self.is_on = False
        self._until_ns = 0
        waiting, self._waiting = self._waiting, []
        for client in waiting:
            client.release()

    def holds(self, client: Connection, route: Route) -> bool:
        """Whether this command has to wait; the client is then held until the end."""
        if self._is_for_writes and not (route.is_write or route.name in _AS_WRITES):
            return False
        client.hold()
        self._waiting.append(client)
        return True
