"""The HTTP door (+3): /healthz, /readyz, /status, /metrics.

For operators and their machines: nothing here changes anything. /healthz says that the process
turns its loop, /readyz that every shard has a leader this node knows, /status what this node knows
of itself (`client/status.py` puts a cluster together from all of them).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol  # Any: JSON out.

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.metrics_core import Metric


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """What is no HTTP is the mistake of who sent it: a client of another port, a scanner."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


log = logging.getLogger(__name__)
log.addFilter(_is_worth_a_line)


class NodeView(Protocol):
    """What this door tells of the node behind it."""

    @property
    def is_ready(self) -> bool: ...

    @property
    def waiting_for(self) -> list[str]:
        """Nodes without which it is not ready."""
        ...

    def status(self) -> dict[str, Any]: ...

    def metrics(self) -> Iterable[Metric]:
        """Read when somebody asks, from plain numbers that the hot path counts."""
        ...


class _Collected(Collector):
    def __init__(self, view: NodeView) -> None:
        self._view = view

    def collect(self) -> Iterable[Metric]:
        return self._view.metrics()


class HttpDoor:
    """Listens from `listen` to `close`; `attach` gives it a node to tell of."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._view: NodeView | None = None
        self._waiting_for: list[str] = []
        self._reason = ""
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        application = web.Application()
        application.router.add_get("/healthz", self._healthz)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/status", self._status)
        application.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(application, access_log=None, logger=log)

    async def listen(self, host: str, port: int) -> None:
        """Raises OSError if the port is taken."""
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port, reuse_port=False).start()

    def attach(self, view: NodeView) -> None:
        """From now on there is a node to tell of."""
        self._view = view
        self._registry.register(_Collected(view))

    def wait_for(self, names: list[str], reason: str = "") -> None:
        """There is no node yet: the founders that are missing, and why it is so in words."""
        self._waiting_for = names
        self._reason = reason

    async def close(self) -> None:
        await self._runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        view = self._view
        if view is not None and view.is_ready:
            return web.Response(text="ok\n")
        missing = self._waiting_for if view is None else view.waiting_for
        text = f"waiting for {', '.join(missing)}\n" if missing else "waiting for leaders\n"
        if view is None and self._reason:
            text = f"{self._reason}\n"
        return web.Response(status=503, text=text)

    async def _status(self, _: web.Request) -> web.Response:
        if self._view is not None:
            return web.json_response(self._view.status())
        return web.json_response(
            {
                "version": 1,
                "node": self._name,
                "state": "forming" if self._waiting_for else "loading",
                "waiting_for": self._waiting_for,
            }
        )

    async def _metrics(self, _: web.Request) -> web.Response:
        headers = {"Content-Type": CONTENT_TYPE_LATEST}
        return web.Response(body=generate_latest(self._registry), headers=headers)
