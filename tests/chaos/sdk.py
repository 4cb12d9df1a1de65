"""The SDK at work while nodes are killed, stopped, ended and started again.

Tasks count, push to lists and do both in transactions; others publish to a durable stream, which is
followed to its end and worked on by a group some of whose consumers die. What was awaited
successfully is there exactly once; an unknown outcome is counted, and there at most once; a message
of the stream is followed once and worked on at least once. A call that raises something that its
caller could not act on is a violation, and so are many unknown outcomes where the time-out is
longer than nodes need to come back. Some tasks are hasty: theirs run out of time. The test of the
SDK runs the same for less long.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import time
from collections import Counter
from collections.abc import Awaitable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any  # Any: redis-py's options and replies.

import trimaran

from .cluster import Cluster
from .outcome import Outcome
from .processes import Processes

if TYPE_CHECKING:
    from pathlib import Path

TASKS, COUNTERS, LISTS = 200, 40, 10
TIMEOUT_S = 30.0  # Of a call: nodes are back before, on a busy machine as well.
HASTY, HASTY_TIMEOUT_S = 10, 1.0  # Tasks among them, and their time-out.
PAUSE_S = 0.2  # Of a task between two calls, at most: the machine is to have time for elections.
PUBLISHERS, CONSUMERS = 4, 3
PUBLISH_PAUSE_S = 0.02
DIES_AFTER = 100  # Entries, a consumer that is followed by another one; about.
CLAIM_IDLE_S = 3.0
UNKNOWN_MAX = 50  # A handful.
END_TIMEOUT_S = 60.0
READY_TIMEOUT_S = 60.0
FAULTS = ("kill leader", "kill", "kill two", "stop", "stop two", "end")


async def sdk(name: str, directory: Path, *, seconds: float, seed: int) -> Outcome:
    """Starts a cluster, has tasks work on it, does its worst, and looks what is there."""
    outcome = Outcome(name)
    rng = random.Random(f"{name} {seed}")
    shutil.rmtree(directory, ignore_errors=True)
    with Processes() as processes:
        cluster = Cluster(processes, directory, rng=rng)
        await asyncio.to_thread(cluster.wait_ready, READY_TIMEOUT_S)
        addresses = [f"127.0.0.1:{node.base_port + 2}" for node in cluster.nodes.values()]
        options = {"decode_responses": True, "timeout": TIMEOUT_S}
        async with trimaran.Client(*addresses, **options) as client:
            work = _Work(client, random.Random(rng.random()))
            faults: Counter[str] = Counter()
            try:
                await work.start()
                await _disturb(cluster, work, rng, faults, time.monotonic() + seconds)
                await work.stop()
                outcome.violations += await work.violations()
            except (RuntimeError, TimeoutError, trimaran.TrimaranError) as error:
                outcome.violations += [f"did not heal: {error!r}", cluster.tails()]
            finally:
                await work.cancel()
            outcome.faults = faults.total()
            outcome.notes += [_listed(faults), *work.notes()]
            outcome.notes.append(f"{client.stats.retries} retries")
    return outcome


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(counts.items())) or "nothing"


async def _disturb(
    cluster: Cluster, work: _Work, rng: random.Random, faults: Counter[str], deadline: float
) -> None:
    """One fault after the other; each begins when nobody waits any more because of the last."""
    kinds: list[str] = []
    while time.monotonic() < deadline:
        kinds = kinds or rng.sample(FAULTS, len(FAULTS))
        kind = kinds.pop()
        faults[kind] += 1
        names = rng.sample(sorted(cluster.nodes), 2 if kind.endswith("two") else 1)
        if kind == "kill leader":
            names = [cluster.busiest(await asyncio.to_thread(cluster.leaders))]
        processes = [cluster.nodes[one].process for one in names]
        if kind.startswith("stop"):
            for process in processes:
                process.pause()
            await asyncio.sleep(rng.uniform(0.1, 5.0))
            for process in processes:
                process.resume()
        else:
            for process in processes:
                if kind == "end":
                    await asyncio.to_thread(process.terminate)
                else:
                    process.kill()
            await asyncio.sleep(rng.uniform(0.1, 3.0))
            for process in processes:
                process.start()
        await asyncio.to_thread(cluster.wait_ready, READY_TIMEOUT_S)
        await work.healed()
        await asyncio.sleep(rng.uniform(0.0, 1.0))


class _Told:
    """What callers were told of one kind of write, of each item by itself."""

    def __init__(self) -> None:
        self.done: set[str] = set()
        self.unknown: set[str] = set()
        self.not_applied = 0

    def by_key(self) -> tuple[Counter[str], Counter[str]]:
        """How many were acknowledged, and how many are unknown, of items that begin with a key."""
        done, unknown = (
            Counter(one.partition(" ")[0] for one in items) for items in (self.done, self.unknown)
        )
        return done, unknown

    def faults(self, what: str, found: Sequence[str]) -> list[str]:
        """What is wrong with what is there."""
        there = set(found)
        faults: list[str] = []
        for text, wrong in (
            ("acknowledged but missing", self.done - there),
            ("there although it was not applied", there - self.done - self.unknown),
            ("there twice", {one for one, count in Counter(found).items() if count > 1}),
        ):
            if wrong:
                faults.append(f"{what}: {len(wrong)} {text}: {sorted(wrong)[:10]}")
        return faults


async def _move(client: Any, tag: str, item: str) -> None:
    """A transaction: a counter of the list is as long as the list."""
    async with client.pipeline() as pipe:
        await pipe.incr(f"{tag}:n").rpush(f"{tag}:items", item).execute()


class _Work:
    """What the tasks do and were told."""

    def __init__(self, client: trimaran.Client, rng: random.Random) -> None:
        self._client: Any = client  # redis-py's methods are typed for its own clients.
        self._rng = rng
        self._is_stopping = False
        self._writers: list[asyncio.Task[None]] = []
        self._readers: list[asyncio.Task[None]] = []
        self._open: set[object] = set()  # Calls under way.
        self._slowest_s = 0.0
        self._unexpected: list[str] = []
        self._unknown_of = {False: 0, True: 0}  # By whether the task is hasty.
        self.counted, self.pushed, self.moved, self.published = (_Told() for _ in range(4))
        self._followed: list[str] = []
        self._worked_on: Counter[str] = Counter()
        self._deaths = 0  # Of consumers.

    async def start(self) -> None:
        create = asyncio.create_task
        self._readers = [create(self._follow())]
        self._readers += [create(self._consume(number)) for number in range(CONSUMERS)]
        self._writers = [create(self._work(number)) for number in range(TASKS)]
        self._writers += [create(self._publish(number)) for number in range(PUBLISHERS)]

    async def healed(self) -> None:
        """All calls that are under way have ended."""
        before = set(self._open)
        async with asyncio.timeout(END_TIMEOUT_S):
            while before & self._open:  # noqa: ASYNC110  # Any condition.
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """All calls end, and all that was published is followed and worked on."""
        self._is_stopping = True
        async with asyncio.timeout(END_TIMEOUT_S):
            await asyncio.gather(*self._writers)
        async with asyncio.timeout(END_TIMEOUT_S):
            while not await self._is_all_read():  # noqa: ASYNC110  # Any condition.
                await asyncio.sleep(0.1)

    async def cancel(self) -> None:
        tasks = [*self._writers, *self._readers]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _is_all_read(self) -> bool:
        if self._unexpected:
            return True  # Somebody has stopped reading; that is told.
        if len(self._followed) < await self._client.xlen("stream"):
            return False
        (group,) = await self._client.xinfo_groups("stream")
        return bool(group["lag"] == group["pending"] == 0)

    # --- What they do.

    async def _work(self, task: int) -> None:
        client, is_hasty = self._client, task < HASTY
        if is_hasty:
            client = client.with_timeout(HASTY_TIMEOUT_S)
        counted, pushed, moved = (
            partial(self._tell, told, is_hasty=is_hasty)
            for told in (self.counted, self.pushed, self.moved)
        )
        number = 0
        while not self._is_stopping:
            number += 1
            item = f"{task}.{number}"
            counter = f"c{(task + number) % COUNTERS}"
            await counted(f"{counter} {item}", client.incr(counter))
            await pushed(item, client.rpush(f"l{task % LISTS}", item))
            if number % 4 == 0:
                await moved(item, _move(client, f"{{t{task % LISTS}}}", item))
            await asyncio.sleep(self._rng.uniform(0.0, PAUSE_S))

    async def _publish(self, publisher: int) -> None:
        stream = self._client.stream("stream")
        number = 0
        while not self._is_stopping:
            number += 1
            item = f"{publisher}.{number}"
            await self._tell(self.published, item, stream.publish({"n": item}))
            await asyncio.sleep(self._rng.uniform(0.0, 2 * PUBLISH_PAUSE_S))

    async def _tell(
        self, told: _Told, item: str, call: Awaitable[object], *, is_hasty: bool = False
    ) -> None:
        began = time.monotonic()
        self._open.add(one := object())
        try:
            await call
        except trimaran.OutcomeUnknown:
            told.unknown.add(item)
            self._unknown_of[is_hasty] += 1
        except trimaran.NotApplied:
            told.not_applied += 1
        except Exception as error:  # noqa: BLE001  # Whatever it is: it should not be.
            self._unexpected.append(f"a call raised {error!r}")
        else:
            told.done.add(item)
        self._open.discard(one)
        self._slowest_s = max(self._slowest_s, time.monotonic() - began)

    # --- Who reads.

    async def _follow(self) -> None:
        await self._guard(self._follow_on())

    async def _follow_on(self) -> None:
        async for entry in self._client.stream("stream").follow("0"):
            self._followed.append(entry["n"])

    async def _consume(self, number: int) -> None:
        """One after the other under one name, or a new one: each dies with what it was given."""
        life = 0
        while not self._unexpected:
            life += 1
            name = f"{number}" if life % 2 else f"{number}.{life}"
            await self._guard(self._live(name, self._rng.randint(DIES_AFTER // 2, 2 * DIES_AFTER)))
            self._deaths += 1

    async def _live(self, name: str, entries: int) -> None:
        group = self._client.stream("stream").group("group", name, claim_idle=CLAIM_IDLE_S)
        async for entry in group:
            entries -= 1
            if not entries:
                return
            self._worked_on[entry["n"]] += 1
            await self._acknowledge(entry)

    async def _acknowledge(self, entry: Any) -> None:
        """It may be repeated, so it is."""
        while True:
            try:
                await entry.ack()
            except (trimaran.NotApplied, trimaran.OutcomeUnknown):
                continue
            return

    async def _guard(self, reading: Awaitable[None]) -> None:
        try:
            await reading
        except Exception as error:  # noqa: BLE001  # Whatever it is: it should not be.
            self._unexpected.append(f"reading a stream raised {error!r}")

    # --- What is there.

    async def violations(self) -> list[str]:
        """Of all promises, once everything is over."""
        client = self._client
        found = [*self._unexpected]
        done, unknown = self.counted.by_key()
        for counter in sorted(done.keys() | unknown.keys()):
            value = int(await client.get(counter) or 0)
            if not done[counter] <= value <= done[counter] + unknown[counter]:
                told = f"{done[counter]} acknowledged, {unknown[counter]} unknown"
                found.append(f"{counter} is {value}: {told}")
        found += self.pushed.faults("lists", await self._items("l{}"))
        found += self.moved.faults("transactions", await self._items("{{t{}}}:items"))
        for place in range(LISTS):
            count = await client.get(f"{{t{place}}}:n")
            length = await client.llen(f"{{t{place}}}:items")
            if int(count or 0) != length:
                found.append(f"half a transaction: {count} counted, {length} pushed")
        return [*found, *await self._stream_violations(), *self._too_many_unknown()]

    async def _items(self, name: str) -> list[str]:
        client = self._client
        return [one for at in range(LISTS) for one in await client.lrange(name.format(at), 0, -1)]

    async def _stream_violations(self) -> list[str]:
        there = [fields["n"] for _, fields in await self._client.xrange("stream")]
        found = self.published.faults("stream", there)
        if self._followed != there[: len(self._followed)] or len(self._followed) < len(there):
            found.append(f"followed {len(self._followed)} of {len(there)}, or in another order")
        missed = set(there) - set(self._worked_on)
        if missed:
            found.append(f"the group was not given {len(missed)}: {sorted(missed)[:10]}")
        return found

    def _too_many_unknown(self) -> list[str]:
        unknown = self._unknown_of[False]
        return [f"{unknown} outcomes are unknown"] if unknown > UNKNOWN_MAX else []

    def notes(self) -> list[str]:
        kinds = (self.counted, self.pushed, self.moved, self.published)
        again = sum(count - 1 for count in self._worked_on.values())
        return [
            f"{sum(len(one.done) for one in kinds)} acknowledged",
            f"{sum(one.not_applied for one in kinds)} not applied",
            f"{self._unknown_of[False]} unknown",
            f"{self._unknown_of[True]} of the hasty",
            f"slowest call {self._slowest_s:.1f} s",
            f"stream: {len(self.published.done)} published, {len(self._followed)} followed,"
            f" {len(self._worked_on)} worked on, {again} of them again, {self._deaths} deaths",
        ]
