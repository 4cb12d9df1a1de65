"""The HTTP door over a real socket: health, readiness, status, metrics."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any  # JSON.

import pytest
from prometheus_client.core import CounterMetricFamily

from trimaran.client.status import parse
from trimaran.node.doors.http import HttpDoor

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric


class FakeNode:
    """A `NodeView` that says what it is told to say."""

    def __init__(self) -> None:
        self.is_ready = False
        self.waiting_for: list[str] = []
        self.commands = 0

    def status(self) -> dict[str, Any]:
        return {"version": 1, "node": "n1", "state": "starting", "shards_total": 4}

    def metrics(self) -> Iterator[Metric]:
        yield CounterMetricFamily("trimaran_commands", "Commands.", value=self.commands)


class BrokenNode(FakeNode):
    def status(self) -> dict[str, Any]:
        raise RuntimeError("broken")


class Browser:
    """Asks one door."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def get(self, path: str) -> tuple[int, str]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: n1\r\nConnection: close\r\n\r\n".encode())
        answer = (await reader.read()).decode()
        writer.close()
        await writer.wait_closed()
        head, _, body = answer.partition("\r\n\r\n")
        return int(head.split()[1]), body


@pytest.fixture
async def door() -> AsyncIterator[HttpDoor]:
    door = HttpDoor("n1")
    yield door
    await door.close()


@pytest.fixture
async def browser(door: HttpDoor) -> Browser:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    await door.listen("127.0.0.1", port)
    return Browser(port)


async def test_a_node_is_healthy_before_it_is_ready(browser: Browser) -> None:
    assert await browser.get("/healthz") == (200, "ok\n")
    assert (await browser.get("/readyz"))[0] == 503


async def test_while_the_cluster_forms_the_missing_founders_are_named(
    door: HttpDoor, browser: Browser
) -> None:
    door.wait_for(["n2", "n3"])
    assert await browser.get("/readyz") == (503, "waiting for n2, n3\n")
    code, body = await browser.get("/status")
    status = parse(json.loads(body))
    assert (code, status.node, status.state) == (200, "n1", "forming")
    assert status.waiting_for == ("n2", "n3")


async def test_while_a_node_loads_its_data_it_says_how_far_it_is(
    door: HttpDoor, browser: Browser
) -> None:
    door.wait_for([], "loading: 40 % of 1.20G")
    assert await browser.get("/readyz") == (503, "loading: 40 % of 1.20G\n")
    status = parse(json.loads((await browser.get("/status"))[1]))
    assert (status.state, status.waiting_for, status.is_ready) == ("loading", (), False)


async def test_a_node_is_ready_when_its_view_says_so(door: HttpDoor, browser: Browser) -> None:
    node = FakeNode()
    door.attach(node)
    assert await browser.get("/readyz") == (503, "waiting for leaders\n")
    node.waiting_for = ["n3"]
    assert await browser.get("/readyz") == (503, "waiting for n3\n")
    node.is_ready = True
    assert await browser.get("/readyz") == (200, "ok\n")


async def test_status_is_what_the_command_line_reads(door: HttpDoor, browser: Browser) -> None:
    door.attach(FakeNode())
    _, body = await browser.get("/status")
    assert parse(json.loads(body)).shards_total == 4


async def test_metrics_are_read_when_asked_for(door: HttpDoor, browser: Browser) -> None:
    node = FakeNode()
    door.attach(node)
    assert "trimaran_commands_total 0.0" in (await browser.get("/metrics"))[1]
    node.commands = 12
    assert "trimaran_commands_total 12.0" in (await browser.get("/metrics"))[1]


async def test_a_taken_port_is_an_error(door: HttpDoor, browser: Browser) -> None:
    assert door is not None
    second = HttpDoor("n2")
    with pytest.raises(OSError, match="in use"):
        await second.listen("127.0.0.1", browser._port)
    await second.close()


async def test_what_is_no_http_is_not_the_nodes_failure(
    door: HttpDoor, browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    """Else a client with the wrong port fills the log, with a traceback each time."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9)  # A gRPC client's first words.
    for words in (preface, b"*1\r\n$4\r\nPING\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", browser._port)
        writer.write(words)
        await reader.read()
        writer.close()
        await writer.wait_closed()
    assert not caplog.records
    door.attach(BrokenNode())
    assert (await browser.get("/status"))[0] == 500
    assert caplog.records
