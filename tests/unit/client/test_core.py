"""When the loop's core lets gathered commands go."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from trimaran.client.core import GATHER_MIN_S, GATHER_S, Core
from trimaran.client.router import RouterConfig
from trimaran.proto.requests import BatchAnswer


class Counted(Core):
    """Counts the turns in which something was sent."""

    def __init__(self, address: str = "127.0.0.1:1") -> None:
        super().__init__([address], (), RouterConfig())
        self.flushes = 0
        self.has_flushed = asyncio.Event()
        self.router.flush = self._count  # type: ignore[method-assign]  # Instead of sending.

    def _count(self) -> None:
        self.flushes += 1
        self.has_flushed.set()


@pytest.fixture
async def core() -> AsyncIterator[Counted]:
    made = Counted()
    yield made
    made.router.pending = 0
    await made.close()


async def test_what_a_turn_gathers_leaves_at_its_end_while_little_is_under_way(
    core: Counted,
) -> None:
    core.router.pending = round(GATHER_MIN_S / GATHER_S) - 1
    core.flush_soon()
    core.flush_soon()
    assert core.flushes == 0
    await asyncio.sleep(0)
    assert core.flushes == 1


async def test_while_much_is_under_way_several_turns_leave_together(
    core: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trimaran.client.core.GATHER_S", 1.0)
    monkeypatch.setattr("trimaran.client.core.GATHER_MAX_S", 0.5)
    core.router.pending = 500
    for _ in range(3):
        core.flush_soon()
        await asyncio.sleep(0)
    assert core.flushes == 0
    await core.has_flushed.wait()
    assert core.flushes == 1


async def test_after_the_last_answer_nothing_more_is_waited_for(
    core: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trimaran.client.core.GATHER_S", 1.0)
    monkeypatch.setattr("trimaran.client.core.GATHER_MAX_S", 1000.0)
    core.router.pending = 2
    core.flush_soon()
    answer = BatchAnswer(1, [], [])
    for left in (1, 0):
        assert core.flushes == 0
        core.router.pending = left
        core._answered("n1", answer)
        await asyncio.sleep(0)
    assert core.flushes == 1


def test_a_loop_ends_though_its_client_was_not_closed() -> None:
    async def leave(server: socket.socket) -> None:
        Counted(f"127.0.0.1:{server.getsockname()[1]}")
        connection, _ = await asyncio.get_running_loop().sock_accept(server)
        kept.append(connection)

    kept: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:  # It says nothing to who connects.
        server.setblocking(False)  # noqa: FBT003 - so it is in the standard library.
        asyncio.run(leave(server))
    for one in kept:
        one.close()
