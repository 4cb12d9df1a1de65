"""Every place where clients come in: all doors of all listeners, and HTTP.

They are open as soon as the data directory is ours, so that a client can be told that the data is
being loaded; `attach` puts the node behind them. The gRPC door of the node's own listener shares
its port with the peers' streams and is served by their server.
"""

from __future__ import annotations

import asyncio
import secrets
from random import Random
from typing import TYPE_CHECKING

from ..proto.resp import ReaderLimits
from .doors.backend import DoorLimits
from .doors.cluster_resp import ClusterRouting
from .doors.door import Clients, Door
from .doors.grpc_door import GrpcDoor
from .doors.http import HttpDoor
from .doors.loading import ClosedRouting
from .doors.password import Password
from .doors.resp import AnyKeyRouting
from .errors import ConfigError
from .names import Address
from .pubsub import PubSub, PubSubLimits

if TYPE_CHECKING:
    from collections.abc import Callable

    from .config import Config, Listener
    from .control import Control
    from .doors.loading import Loading
    from .facts import Facts

RESP, CLUSTER, GRPC, HTTP = range(4)  # From the base port (design, section 9).


class Entrance:
    """Open from `open` to `close`; with a node behind it from `attach` on."""

    def __init__(self, config: Config, loading: Loading) -> None:
        self._config = config
        self._loading = loading
        clients = self.clients = Clients(_door_limits(config), loading.now_ns())
        clients.password = Password(config.requirepass.encode("utf-8", "surrogateescape"))
        clients.is_loading = True
        clients.pubsub = PubSub(
            _Loop(),
            loading.now_ns,
            PubSubLimits(config.pubsub_waiting_bytes_max, config.client_subscriptions_max),
        )
        self._doors = [
            (_closed_door(offset, listener.name, clients, loading), listener, offset)
            for listener in config.doors
            for offset in (RESP, CLUSTER)
        ]
        # In the order of the listeners: the node's own comes first.
        self._grpc = [
            GrpcDoor(config.name, config.session_timeout_ms, clients) for _ in config.doors
        ]
        self._http = HttpDoor(config.name)
        self.grpc.address = str(Address(config.host, config.port + GRPC))

    @property
    def grpc(self) -> GrpcDoor:
        """The one whose services the server of the peers has."""
        return self._grpc[0]

    async def open(self) -> None:
        """Let clients in. Raises ConfigError for a port that is taken."""
        for door, listener, offset in self._doors:
            await _listen(door, listener, offset)
        for grpc, listener in list(zip(self._grpc, self._config.doors, strict=True))[1:]:
            await _listen(grpc, listener, GRPC)
        await _listen(self._http, self._config.doors[0], HTTP)

    def tell(self) -> None:
        """Say how far it is, where that is asked for."""
        loading = self._loading
        self._http.wait_for(loading.waiting_for, loading.reason)
        for grpc in self._grpc:
            grpc.wait_for(loading.waiting_for)

    def attach(self, facts: Facts, control: Control) -> None:
        """From now on there is a node."""
        self.clients.is_loading = False
        for door, listener, offset in self._doors:
            rng = Random(secrets.randbits(64))
            routing: ClusterRouting | AnyKeyRouting = AnyKeyRouting(facts, rng)
            if offset == CLUSTER:
                routing = ClusterRouting(facts, rng, listener.name)
            door.attach(routing, router=facts, facts=facts, control=control)
        any_key = [door for door, _, offset in self._doors if offset == RESP]
        for grpc, door in zip(self._grpc, any_key, strict=True):
            grpc.attach(door, facts)
        self._http.attach(facts)

    async def close_clients(self) -> None:
        """Hand nothing out any more; HTTP goes on telling."""
        for door, _, _ in self._doors:
            await door.close()
        for grpc in self._grpc:
            await grpc.close()

    async def close(self) -> None:
        await self.close_clients()
        await self._http.close()


class _Loop:
    """What pub/sub runs on while there is no node."""

    def call_soon(self, callback: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_soon(callback)

    def call_later(self, delay_ns: int, callback: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(delay_ns / 1e9, callback)


def _closed_door(offset: int, listener: str, clients: Clients, loading: Loading) -> Door:
    return Door(
        ClosedRouting(is_cluster=offset == CLUSTER),
        router=loading,
        facts=loading,
        control=loading,
        clients=clients,
        listener=listener,
    )


async def _listen(door: Door | HttpDoor | GrpcDoor, listener: Listener, offset: int) -> None:
    try:
        await door.listen(listener.host, listener.port + offset)
    except OSError as error:
        place = str(Address(listener.host, listener.port + offset))
        what = f"listen: {listener.name}" if listener.name else "port"
        raise ConfigError(f"{what}: {place} cannot be bound: {error.strerror}") from error


def _door_limits(config: Config) -> DoorLimits:
    return DoorLimits(
        reader=ReaderLimits(
            command_bytes_max=config.command_bytes_max,
            bulk_bytes_max=config.bulk_bytes_max,
            elements_max=config.elements_max,
            inline_bytes_max=config.inline_bytes_max,
        ),
        command_timeout_ms=config.command_timeout_ms,
        transaction_commands_max=config.transaction_commands_max,
        message_commands_max=config.message_commands_max,
        clients_max=config.clients_max,
        waiters_max=config.waiters_max,
        output_buffer_bytes_max=config.output_buffer_bytes_max,
        client_idle_timeout_s=config.client_idle_timeout_s,
        waiting_bytes_max=config.client_waiting_bytes_max,
        pubsub_buffer_bytes_max=config.pubsub_buffer_bytes_max,
        pubsub_buffer_messages_max=config.pubsub_buffer_messages_max,
    )
