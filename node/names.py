"""Host names to addresses, off the loop, with the last good answer kept.

A look-up can block for seconds (the name of a killed container vanishes from its network's DNS),
and the resolver cannot be interrupted: each look-up has a thread of its own that nobody waits for
at exit, at most one per name. A name that cannot be looked up in time is where it was before.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import threading
from typing import NamedTuple


class Address(NamedTuple):
    """Where a node's gRPC port is."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Names:
    """A cache over the system's resolver. Used on one loop."""

    def __init__(self, timeout_ms: int = 1_000) -> None:
        self._timeout_s = timeout_ms / 1000
        self._known: dict[str, list[str]] = {}
        self._asking: dict[str, asyncio.Future[list[str]]] = {}

    async def target(self, address: Address) -> str:
        """`address` as a gRPC target without a name; raises OSError if it never resolved."""
        hosts = await self._hosts(address.host)
        # A gRPC target holds one family; the resolver's first answer says which it prefers.
        is_v6 = ":" in hosts[0]
        if is_v6:
            places = [f"[{host}]:{address.port}" for host in hosts if ":" in host]
            return "ipv6:" + ",".join(places)
        return "ipv4:" + ",".join([f"{host}:{address.port}" for host in hosts if ":" not in host])

    async def _hosts(self, host: str) -> list[str]:
        with contextlib.suppress(ValueError):
            return [str(ipaddress.ip_address(host))]
        look_up = self._asking.get(host)
        if look_up is None:
            look_up = self._asking[host] = self._start(host)
        try:
            # Shielded: it goes on after the time-out, and the next caller finds it.
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.shield(look_up)
        except (OSError, TimeoutError) as error:
            if host in self._known:
                return self._known[host]
            raise OSError(f"{host} cannot be resolved: {str(error) or 'no answer yet'}") from error

    def _start(self, host: str) -> asyncio.Future[list[str]]:
        loop = asyncio.get_running_loop()
        result: asyncio.Future[list[str]] = loop.create_future()

        def settle(found: list[str] | OSError) -> None:
            del self._asking[host]
            if isinstance(found, OSError):
                result.set_exception(found)
                result.exception()  # Whoever waited may have given up: that is no lost error.
            else:
                self._known[host] = found
                result.set_result(found)

        def look_up() -> None:
            found: list[str] | OSError
            try:
                answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
                found = list(dict.fromkeys(str(answer[4][0]) for answer in answers))
            except OSError as error:
                found = error
            except UnicodeError as error:  # What the IDNA codec says to a name like "a..b".
                found = OSError(str(error))
            with contextlib.suppress(RuntimeError):  # The loop was closed meanwhile.
                loop.call_soon_threadsafe(settle, found)

        threading.Thread(target=look_up, name=f"resolve {host}", daemon=True).start()
        return result
