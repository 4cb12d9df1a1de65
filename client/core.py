"""The router on an asyncio loop: links to nodes, the view of the cluster, turns and timers.

One per client and process, shared by its pipelines, subscriptions and views with other options.
Everything runs on the loop it was first used on.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from . import grpc_loading  # noqa: F401 - before anything that imports gRPC.
from .errors import ClientClosed, NotApplied, OutcomeUnknown, error_of
from .link import Link, LinkBroken, Metadata, open_channel
from .router import Router, RouterConfig
from .watch import Watcher

if TYPE_CHECKING:
    import grpc.aio

    from ..proto.requests import BatchAnswer
    from .channels import Subscription
    from .topology import TopologyView

log = logging.getLogger(__name__)

GATHER_S = 2e-4  # So long for each command that waits for its answer is gathered,
GATHER_MIN_S, GATHER_MAX_S = 1e-3, 2e-2  # if it is worth a timer, and at most.
PAUSE_S = 0.1  # Before a node is asked again that could not be reached, at first,
PAUSE_MAX_S = 1.0  # and at most.
SILENCE_S = 0.5  # Of a node that owes an answer: then others are asked what they know.
SILENCED_S = 2.0  # For so long it is asked last.
# The loop's clock may stand still while the machine sleeps, and sessions end meanwhile.
AGE_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Core:
    """Made and used on one loop."""

    def __init__(self, seeds: Sequence[str], metadata: Metadata, config: RouterConfig) -> None:
        self.loop = asyncio.get_running_loop()
        # Not the shared generator: what is drawn names sessions, and a fork must not repeat it.
        rng = random.Random(random.SystemRandom().getrandbits(128))
        self.router = Router(
            config,
            now=self.loop.time,
            rng=rng,
            send=self._send,
            wake_at=self._wake_at,
            say=self._say,
            age_clock=partial(time.clock_gettime, AGE_CLOCK),
        )
        self.had_at_once: OrderedDict[tuple[int, bytes], None] = OrderedDict()  # `blocking.py`.
        self.metadata = metadata  # Of each call.
        self.subscriptions: dict[Subscription, None] = {}  # That are open.
        self._rng = rng
        self._tasks: set[asyncio.Task[None]] = set()
        # By node, when something was last heard on any of their streams, and last asked for.
        self.heard: dict[str, float] = {}
        self.pinged: dict[str, float] = {}
        self._subscriber_channels: dict[str, tuple[str, grpc.aio.Channel]] = {}
        self._links: dict[str, Link] = {}
        self._failures: dict[str, int] = {}  # In a row, by node.
        self._timer: asyncio.TimerHandle | None = None
        self._flushing: asyncio.Handle | None = None  # What was gathered leaves then.
        self._is_closed = False
        self.is_suspended = False
        self._held: list[tuple[str, int, bytes]] = []  # Tries of that time: their nodes, numbers.
        # Done with the first view, or when there will be none; then `_hopeless` says why.
        self._ready: asyncio.Future[None] = self.loop.create_future()
        self._hopeless: Callable[[], Exception] = partial(NotApplied, "no node has answered")
        self._last_failure = ""
        self._seeds = seeds
        self._no_nodes: set[str] = set()  # Of them, those where something else listens.
        self._watcher = self._watch()
        self._quiet_timer = self.loop.call_later(SILENCE_S, self._look_for_silence)

    # --- For the client.

    async def wait_until_ready(self, timeout_s: float) -> TopologyView:
        """The cluster's first view. Raises NotApplied if no node says anything in time, and at once
        if it is not a node's port; Refused for a wrong password."""
        if self.router.view is None:
            try:
                async with asyncio.timeout(timeout_s):
                    await asyncio.shield(self._ready)
            except TimeoutError:
                text = f"no node answered within {timeout_s:g} s"
                raise NotApplied(f"{text}: {self._last_failure}") from None
        view = self.router.view
        if view is None:  # Made anew each time: what is raised again grows.
            raise self._hopeless()
        return view

    def flush_soon(self) -> None:
        """What this turn gathers leaves at its end: tasks that are awake now come before.

        While many commands wait for their answers it leaves a little later, with those of the next
        turns, but not after the last answer: small messages cost both ends more than they gain.
        """
        if self._flushing is not None:
            return
        wait_s = self.router.busy * GATHER_S
        if wait_s < GATHER_MIN_S:
            self._flushing = self.loop.call_soon(self._flush)
        else:
            self._flushing = self.loop.call_later(min(wait_s, GATHER_MAX_S), self._flush)

    def _flush(self) -> None:
        self._flushing = None
        self.router.flush()

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    async def suspend(self) -> None:
        """Leave gRPC alone: no call, no channel. What waits goes on to wait, until `resume`."""
        self.is_suspended = True
        links, self._links = self._links, {}
        await asyncio.gather(
            self._watcher.close(),
            *(link.close() for link in links.values()),
            *(one.suspend() for one in self.subscriptions),
        )
        await self._close_subscriber_channels()
        held, self._held = self._held, []
        kept = [number for _, number, _ in held]
        for node, link in links.items():  # Until it was closed it may have sent some.
            self.router.broken(node, link.unsent + kept, 0.0)
        self._held += [one for one in held if one[0] not in links]

    def resume(self) -> None:
        """Go on after `suspend`."""
        self.is_suspended = False
        held, self._held = self._held, []
        for node, number, data in held:
            self._send(node, number, data)
        self._watcher = self._watch()
        for one in self.subscriptions:
            one.resume()

    def _watch(self) -> Watcher:
        return Watcher(self._seeds, self.metadata, self._rng, self._changed, self._watch_failed)

    async def close(self) -> None:
        """Nothing more leaves; who waits is told what is known."""
        if self._is_closed:
            return
        self._is_closed = True
        closed = ClientClosed("the client was closed")
        self._hopeless = partial(ClientClosed, "the client was closed")
        if not self._ready.done():
            self._ready.set_result(None)
        self._quiet_timer.cancel()
        if self._timer is not None:
            self._timer.cancel()
        self.router.close(
            closed,
            OutcomeUnknown("the client was closed before the answer came"),
        )
        await asyncio.gather(*[one.close() for one in list(self.subscriptions)])
        links, self._links = self._links, {}
        await asyncio.gather(self._watcher.close(), *(link.close() for link in links.values()))
        await self._close_subscriber_channels()

    # --- For subscribers.

    def subscriber_channel(self, node: str) -> grpc.aio.Channel:
        """The connection to a node that all subscribers of this client share; apart from that of
        commands, which would wait behind a flood of messages."""
        view = self.router.view
        assert view is not None
        address = view.nodes[node].address
        known = self._subscriber_channels.get(node)
        if known is not None:
            if known[0] == address:
                return known[1]
            self.keep(self.loop.create_task(known[1].close()))
        channel = open_channel(address)
        self._subscriber_channels[node] = (address, channel)
        return channel

    async def _close_subscriber_channels(self) -> None:
        channels, self._subscriber_channels = self._subscriber_channels, {}
        await asyncio.gather(*[channel.close() for _, channel in channels.values()])

    def keep(self, task: asyncio.Task[None]) -> None:
        """Until it is done: loops do not."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def jitter(self, seconds: float) -> float:
        """About as long."""
        return seconds * (0.5 + self._rng.random())

    # --- For the router.

    def _send(self, node: str, number: int, data: bytes) -> None:
        if self.is_suspended:
            self._held.append((node, number, data))
            return
        link = self._links.get(node)
        if link is None:
            view = self.router.view
            assert view is not None
            link = self._links[node] = Link(
                view.nodes[node].address,
                self.metadata,
                answered=partial(self._answered, node),
                broken=partial(self._broken, node),
            )
        link.send(number, data, self.router.commands_of(number))

    def _say(self, node: str, data: bytes) -> None:
        link = self._links.get(node)
        if link is not None:
            link.say(data)

    def _wake_at(self, at: float) -> None:
        timer = self._timer
        if timer is not None:
            if not timer.cancelled() and timer.when() <= at and timer.when() > self.loop.time():
                return
            timer.cancel()
        self._timer = self.loop.call_at(at, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.router.tick()

    # --- From links and watcher.

    def _answered(self, node: str, answer: BatchAnswer) -> None:
        self._failures.pop(node, None)
        self.router.answered(node, answer)
        if self._flushing is not None and not self.router.busy:
            # Everybody has been answered: nobody is left to gather with, but who wakes now.
            self._flushing.cancel()
            self._flushing = self.loop.call_soon(self._flush)

    def _broken(self, node: str, reason: LinkBroken, unsent: list[int]) -> None:
        failures = self._failures[node] = self._failures.get(node, 0) + 1
        log.debug("link_broken node=%s failures=%d reason=%s", node, failures, reason)
        self._last_failure = f"{node}: {reason}"
        pause_s = min(PAUSE_MAX_S, PAUSE_S * 2 ** min(failures - 1, 10))
        refusal = partial(reason.error, node) if reason.code else None
        if reason.too_large:
            refusal = partial(error_of, "ERR", f"no node takes that much at once: {reason}")
        self.router.broken(node, unsent, pause_s, refusal, reason.too_large)

    def _changed(self, view: TopologyView) -> None:
        for node, link in list(self._links.items()):
            known = view.nodes.get(node)
            if known is None or known.address != link.address:
                del self._links[node]
                self.router.broken(node, (), 0.0)
                self.loop.create_task(link.close())
        self.router.changed(view)
        if not self._ready.done():
            self._ready.set_result(None)

    def _watch_failed(self, address: str, reason: LinkBroken) -> None:
        self._last_failure = f"{address}: {reason}"
        self._no_nodes.discard(address)
        if reason.is_final:
            self._no_nodes.add(address)
        if self._is_closed or self.router.view is not None:
            return
        if reason.code or self._no_nodes.issuperset(self._seeds):
            self._hopeless = partial(reason.error, address)
            if not self._ready.done():
                self._ready.set_result(None)
        elif self._ready.done():  # There is hope again.
            self._ready = self.loop.create_future()

    def _look_for_silence(self) -> None:
        """A node that owes answers and says nothing may be stopped: what it says of the cluster is
        old then. The keep-alive of gRPC will notice, but later."""
        self._quiet_timer = self.loop.call_later(SILENCE_S / 2, self._look_for_silence)
        now = self.loop.time()
        for node in self.router.owing(now - SILENCE_S):
            link = self._links.get(node)
            if link is not None and link.silence_s(now) > SILENCE_S:
                self._watcher.move_on(link.address)
                self.router.silent(node, SILENCED_S)
