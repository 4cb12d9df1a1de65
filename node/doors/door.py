"""A RESP door: a listener, the clients that came through it, and what they share.

`Clients` is one for all RESP doors of a node; a `Door` is one per port. How commands find their
shards is the door's `Routing`: `resp.py` (+0, any key) or `cluster_resp.py` (+1).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from .acl_log import AccessLog
from .blocked import Blockers
from .connection import Connection
from .long_replies import LongReplies
from .monitor import Monitors
from .password import Password
from .pause import Pause
from .stats import Stats

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...cluster.settings import Settings
    from ...cluster.slots import ShardId
    from ...proto.reply import ErrorReply
    from ..errors import Unavailable
    from ..pubsub import PubSub
    from ..request import Args
    from .backend import DoorLimits, NodeControl, NodeFacts, Router
    from .client import Client
    from .routes import Route

T = TypeVar("T")

log = logging.getLogger(__name__)

BACKLOG = 1024
IDLE_CHECKS_PER_TIMEOUT = 4
IDLE_CHECK_MAX_S = 1.0


class Routing(Protocol):
    """Where the data commands of a door's clients go."""

    @property
    def is_cluster(self) -> bool: ...

    def dispatch(self, client: Client, slot: int, route: Route, args: Args, cost: int) -> None:
        """Send the command to its shards, or answer it; may raise CommandError."""
        ...

    def place(
        self, db: int, route: Route, args: Args, shard: ShardId | None, key: bytes
    ) -> tuple[ShardId, bytes]:
        """Where a command queued in a transaction goes, and its first key (or none). Raises
        CommandError when that is not one place, or not that of those before (`shard`, `key`)."""
        ...

    def any_shard(self) -> ShardId:
        """Where a command goes that can go anywhere; raises CommandError if nothing is there."""
        ...

    def check_channels(self, names: Sequence[bytes]) -> None:
        """Raises CommandError if shard channels are not served here."""
        ...

    def refusal(self, route: Route, args: Args, error: Unavailable) -> ErrorReply:
        """The answer when it surely was not applied."""
        ...


class Clients:
    """All RESP clients of this node, and what is counted over them."""

    def __init__(self, limits: DoorLimits, now_ns: int) -> None:
        self.by_id: dict[int, Client] = {}
        self.limits = limits
        self._bulk_bytes_max = limits.reader.bulk_bytes_max  # This node's own bound.
        self.parameters_at_start: dict[str, object] = {}  # Of those that CONFIG SET has changed.
        self.started_ns = now_ns
        self.run_id = secrets.token_hex(20)
        self.last_id = 0
        self.connections = 0
        self.rejected = 0
        self.commands = 0
        self.input_bytes = 0  # Taken from sockets,
        self.output_bytes = 0  # and given to them.
        self.stats: Stats = Stats()
        # What the node counts besides.
        self.reset_node_counts: Callable[[], None] = lambda: None
        self.monitors = Monitors()
        self.long_replies: LongReplies = LongReplies()
        self.pause = Pause()
        # At random: what the last process of this node waited for may still be known somewhere.
        self.blockers: Blockers = Blockers(secrets.randbits(62) | 1)
        self.pubsub: PubSub  # Set once there is a node.
        self.password: Password = Password()
        self.access_log: AccessLog = AccessLog()
        self.is_loading = False  # There is no node yet (`loading.py`).
        self.thread = ThreadPoolExecutor(1, "aside")  # One: it competes with the loop.

    def add(self, client: Client) -> bool:
        """Give it its id; False when there are `clients_max` already."""
        if len(self.by_id) >= self.limits.clients_max:
            self.rejected += 1
            return False
        self.connections += 1
        self.last_id += 1
        client.id = self.last_id
        self.by_id[client.id] = client
        return True

    def settings_changed(self, settings: Settings) -> None:
        """The cluster's bound on a string bounds what a client may send, if it is the lower one,
        for every client that connects from now on."""
        bulk_bytes_max = min(self._bulk_bytes_max, settings.proto_max_bulk_len)
        self.limits.reader = replace(self.limits.reader, bulk_bytes_max=bulk_bytes_max)

    def reset_counts(self) -> None:
        self.connections = self.rejected = self.commands = 0
        self.input_bytes = self.output_bytes = 0
        self.reset_node_counts()
        self.stats.reset()

    def remove(self, client: Client) -> None:
        self.by_id.pop(client.id, None)
        self.monitors.watching.pop(client.id, None)
        self.pause.leave(client)
        self.blockers.leave(client)
        if client.is_subscriber:
            self.pubsub.leave(client.as_subscriber())


class Door:
    def __init__(
        self,
        routing: Routing,
        *,
        router: Router,
        facts: NodeFacts,
        control: NodeControl,
        clients: Clients,
        listener: str = "",
        call_soon: Callable[[Callable[[], None]], object] | None = None,
        call_later: Callable[[float, Callable[[], None]], object] | None = None,
    ) -> None:
        self.is_cluster: bool = routing.is_cluster
        self.attach(routing, router=router, facts=facts, control=control)
        self.clients: Clients = clients
        self.listener = listener  # Whose addresses its clients are told (`NodeInfo.address`).
        self.limits: DoorLimits = clients.limits
        self.command_timeout_ns = self.limits.command_timeout_ms * 1_000_000
        self.port: int = 0
        self._scheduled: list[Connection] = []
        self._call_soon = call_soon  # The event loop's, when nothing else is given.
        self._call_later = call_later
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: asyncio.Server | None = None
        self._idle_check: asyncio.TimerHandle | None = None

    def attach(
        self, routing: Routing, *, router: Router, facts: NodeFacts, control: NodeControl
    ) -> None:
        """Who is behind this door from now on; clients that are connected do not notice."""
        self.routing = routing
        self.dispatch = routing.dispatch
        self.router = router
        self.facts = facts
        self.control = control

    # --- The listener.

    async def listen(self, host: str, port: int) -> None:
        """Accept clients from now on; raises OSError if the port is taken."""
        loop = self._loop = asyncio.get_running_loop()
        self._call_soon = self._call_soon or loop.call_soon
        self._call_later = self._call_later or loop.call_later
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
        if self._loop is None:
            return
        timeout_s = self.limits.client_idle_timeout_s
        if timeout_s:
            self.end_idle()
        # Looked at also while there is none: CONFIG SET may give one.
        delay_s = timeout_s / IDLE_CHECKS_PER_TIMEOUT or IDLE_CHECK_MAX_S
        self._idle_check = self._loop.call_later(min(delay_s, IDLE_CHECK_MAX_S), self._check_idle)

    def end_idle(self) -> None:
        """Close clients that were silent for `client_idle_timeout_s` and wait for nothing."""
        before_ns = self.router.now_ns() - self.limits.client_idle_timeout_s * 1_000_000_000
        for client in list(self.clients.by_id.values()):
            if client.door is self and client.is_idle and client.now_ns < before_ns:
                client.close()

    # --- For its clients.

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        call_later = self._call_later
        assert call_later is not None, "a client without a listener"
        call_later(delay_s, callback)

    def call_soon(self, callback: Callable[[], None]) -> None:
        call_soon = self._call_soon
        assert call_soon is not None, "a client without a listener"
        call_soon(callback)

    def run_aside(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        """Run `work`, which raises nothing, in a thread, then `done(result)` on the loop."""
        if self._loop is None:
            done(work())
            return
        running = self._loop.run_in_executor(self.clients.thread, work)
        running.add_done_callback(lambda ended: done(ended.result()))

    def schedule(self, client: Connection) -> None:
        """Have `client.turn()` called soon, with all others that want it, in one go."""
        self._scheduled.append(client)
        if len(self._scheduled) == 1:
            self.call_soon(self._turn)

    def _turn(self) -> None:
        scheduled, self._scheduled = self._scheduled, []
        for client in scheduled:
            try:
                client.turn()
            except Exception:
                # Or those behind it would wait for ever. What the node itself raises stops it.
                log.exception("turn_failed client=%s", client.address)
                client.abort()
