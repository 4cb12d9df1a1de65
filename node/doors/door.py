"""A RESP door: a listener, the clients that came through it, and what they share.

`Clients` is one for all RESP doors of a node; a `Door` is one per port. How commands find their
shards is the door's `Routing`: `resp.py` (+0, any key) or `cluster_resp.py` (+1).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import TYPE_CHECKING, Protocol

from .connection import Connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...proto.reply import ErrorReply
    from ..errors import Unavailable
    from ..request import Args
    from .backend import DoorLimits, NodeFacts, Router
    from .routes import Route

log = logging.getLogger(__name__)

BACKLOG = 1024
IDLE_CHECKS_PER_TIMEOUT = 4


class Routing(Protocol):
    """Where the data commands of a door's clients go."""

    @property
    def is_cluster(self) -> bool: ...

    def dispatch(self, client: Connection, slot: int, route: Route, args: Args, cost: int) -> None:
        """Send the command to its shards, or answer it; may raise CommandError."""
        ...

    def refusal(self, route: Route, args: Args, error: Unavailable) -> ErrorReply:
        """The answer when it surely was not applied."""
        ...


class Clients:
    """All RESP clients of this node, and what is counted over them."""

    def __init__(self, limits: DoorLimits, now_ns: int) -> None:
        self.by_id: dict[int, Connection] = {}
        self.limits = limits
        self.started_ns = now_ns
        self.run_id = secrets.token_hex(20)
        self.last_id = 0
        self.connections = 0
        self.rejected = 0
        self.commands = 0

    def add(self, client: Connection) -> bool:
        """Give it its id; False when there are `clients_max` already."""
        if len(self.by_id) >= self.limits.clients_max:
            self.rejected += 1
            return False
        self.connections += 1
        self.last_id += 1
        client.id = self.last_id
        self.by_id[client.id] = client
        return True

    def reset_counts(self) -> None:
        self.connections = self.rejected = self.commands = 0

    def remove(self, client: Connection) -> None:
        self.by_id.pop(client.id, None)


class Door:
    def __init__(
        self,
        routing: Routing,
        *,
        router: Router,
        facts: NodeFacts,
        clients: Clients,
        call_soon: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        self.routing = routing
        self.is_cluster = routing.is_cluster
        self.dispatch = routing.dispatch
        self.router = router
        self.facts = facts
        self.clients = clients
        self.limits = clients.limits
        self.command_timeout_ns = self.limits.command_timeout_ms * 1_000_000
        self.port = 0
        self._scheduled: list[Connection] = []
        self._call_soon = call_soon  # The event loop's, when nothing else is given.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: asyncio.Server | None = None
        self._idle_check: asyncio.TimerHandle | None = None

    # --- The listener.

    async def listen(self, host: str, port: int) -> None:
        """Accept clients from now on; raises OSError if the port is taken."""
        loop = self._loop = asyncio.get_running_loop()
        self._call_soon = self._call_soon or loop.call_soon
        self._server = await loop.create_server(
            lambda: Connection(self), host, port, backlog=BACKLOG, reuse_address=True
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self._check_idle()

    async def close(self) -> None:
        """Accept nobody any more and end every client of this door."""
        if self._idle_check is not None:
            self._idle_check.cancel()
        if self._server is not None:
            self._server.close()
        for client in list(self.clients.by_id.values()):
            if client.door is self:
                client.abort()
        if self._server is not None:
            await self._server.wait_closed()

    def _check_idle(self) -> None:
        timeout_s = self.limits.client_idle_timeout_s
        if not timeout_s or self._loop is None:
            return
        self.end_idle()
        self._idle_check = self._loop.call_later(
            timeout_s / IDLE_CHECKS_PER_TIMEOUT, self._check_idle
        )

    def end_idle(self) -> None:
        """Close clients that were silent for `client_idle_timeout_s` and wait for nothing."""
        before_ns = self.router.now_ns() - self.limits.client_idle_timeout_s * 1_000_000_000
        for client in list(self.clients.by_id.values()):
            if client.door is self and client.is_idle and client.now_ns < before_ns:
                client.close()

    # --- For its connections.

    def schedule(self, client: Connection) -> None:
        """Have `client.turn()` called soon, with all others that want it, in one go."""
        self._scheduled.append(client)
        if len(self._scheduled) == 1:
            call_soon = self._call_soon
            assert call_soon is not None, "a client without a listener"
            call_soon(self._turn)

    def _turn(self) -> None:
        scheduled, self._scheduled = self._scheduled, []
        for client in scheduled:
            try:
                client.turn()
            except Exception:
                # Or those behind it would wait for ever. What the node itself raises stops it.
                log.exception("turn_failed client=%s", client.address)
                client.abort()
