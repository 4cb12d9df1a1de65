"""What the core does with links when the process is about to fork, or the client is closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, cast

import pytest
import redis

from trimaran.client.core import Core
from trimaran.client.errors import ClientClosed, NotApplied, OutcomeUnknown, Refused
from trimaran.client.link import LinkBroken
from trimaran.client.router import RouterConfig
from trimaran.client.topology import NodeView, ShardView, TopologyView

if TYPE_CHECKING:
    from trimaran.client.link import Link

VIEW = TopologyView(
    node="n1",
    cluster_id="0",
    epoch=1,
    nodes={"n1": NodeView("n1", "127.0.0.1:1", "", is_reachable=True)},
    shards=(ShardView(("n1",), "n1", 1),),
)


class FakeLink:
    """A link to a node that is about to be written to."""

    def __init__(self, *, is_late: bool) -> None:
        self.address = "127.0.0.1:1"
        self.unsent: list[int] = []
        self._is_late = is_late

    def send(self, number: int, data: bytes, commands: int = 1) -> None:
        self.unsent.append(number)

    async def close(self) -> None:
        await asyncio.sleep(0)
        if not self._is_late:
            self.unsent.clear()  # They left before it was closed.


@pytest.fixture
async def core() -> AsyncIterator[Core]:
    core = Core(["127.0.0.1:1"], [], RouterConfig(timeout_s=0.2))
    core.router.changed(VIEW)
    yield core
    await core.close()


def link(core: Core, *, is_late: bool) -> None:
    core._links["n1"] = cast("Link", FakeLink(is_late=is_late))


def write(core: Core) -> asyncio.Future[bytes]:
    future: asyncio.Future[bytes] = core.loop.create_future()
    core.router.call(0, 0, b"", future, is_write=True)
    core.router.flush()
    return future


@pytest.mark.parametrize("is_late", [True, False])
async def test_what_left_while_a_fork_was_prepared_is_not_taken_for_unsent(
    core: Core, *, is_late: bool
) -> None:
    link(core, is_late=is_late)
    future = write(core)
    (batch,) = core.router._openers.values()
    await core.suspend()
    assert batch.is_uncertain != is_late
    future.cancel()


async def test_nothing_is_connected_while_a_process_forks(core: Core) -> None:
    link(core, is_late=True)
    suspending = asyncio.ensure_future(core.suspend())
    await asyncio.sleep(0)
    future = write(core)  # By another thread's caller.
    await suspending
    assert not core._links
    core.resume()
    await asyncio.sleep(0.1)
    assert core._links
    future.cancel()


async def test_what_comes_when_the_client_is_closed_is_not_applied(core: Core) -> None:
    link(core, is_late=True)
    sent = write(core)
    await core.close()
    with pytest.raises(OutcomeUnknown):
        await sent
    with pytest.raises(ClientClosed):
        await write(core)
    assert not core._links


async def test_what_a_node_will_not_have_of_this_client_is_said_at_once(core: Core) -> None:
    # As after a change of the password: what left before may have been applied still.
    link = cast("Link", FakeLink(is_late=True))
    core.router.changed(VIEW)
    core._links["n1"] = link
    future: asyncio.Future[bytes] = core.loop.create_future()
    core.router.call(0, 0, b"", future, is_write=False)
    core.router.flush()
    reason = LinkBroken("invalid username-password pair", is_final=True, code="WRONGPASS")
    core._broken("n1", reason, link.unsent)
    with pytest.raises(redis.AuthenticationError, match="n1: invalid username-password pair"):
        await future
    assert isinstance(future.exception(), Refused)


async def test_a_port_of_something_else_ends_the_wait_only_if_no_other_is_left() -> None:
    core = Core(["127.0.0.1:1", "127.0.0.1:2"], [], RouterConfig())
    await core._watcher.close()
    other = LinkBroken("is it the gRPC port?", is_final=True)
    core._watch_failed("127.0.0.1:1", other)
    with pytest.raises(NotApplied, match="no node answered"):
        await core.wait_until_ready(0.05)
    core._watch_failed("127.0.0.1:2", other)
    for _ in range(2):
        with pytest.raises(NotApplied, match=":2: is it the gRPC port"):
            await core.wait_until_ready(60)
    core._watch_failed("127.0.0.1:1", LinkBroken("refused"))  # It may be starting.
    with pytest.raises(NotApplied, match="no node answered"):
        await core.wait_until_ready(0.05)
    await core.close()
    with pytest.raises(ClientClosed):
        await core.wait_until_ready(60)
