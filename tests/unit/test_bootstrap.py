"""Founding (correctness B1, B2): whatever crashes in between, one cluster or a clear error."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from trimaran.node.bootstrap import Bootstrap, Description, FounderAway, Options
from trimaran.node.config import Founder as Place
from trimaran.node.errors import ConfigError, IdentityError
from trimaran.node.membership import MembershipCalls, membership_service
from trimaran.node.names import Address
from trimaran.node.peer_server import PeerServer
from trimaran.node.storage.identity import Founding, Identity

NAMES = ("n1", "n2", "n3")
PLACES = tuple(Place(name, "host", 7000 + number) for number, name in enumerate(NAMES, 1))


class Crash(BaseException):
    """The process dies; what was saved stays."""


class MemoryDirectory:
    """A directory that outlives the process that uses it, which it can be told to kill."""

    def __init__(self, name: str, incarnation: int, shards: int = 16) -> None:
        self.identity = Identity(name, incarnation, shards)
        self.saves = 0
        self.crash_at: tuple[int, str] | None = None  # The save, and "before" or "after" it.

    def agree(self, founding: Founding) -> None:
        known = self.identity.founding
        if known is not None and known != founding:
            raise IdentityError(f"agreed to {known}, now {founding}")
        self._save(replace(self.identity, founding=founding))

    def form(self, cluster_id: int) -> None:
        if self.identity.cluster_id is None:
            self._save(replace(self.identity, cluster_id=cluster_id))

    def _save(self, identity: Identity) -> None:
        if identity == self.identity:
            return
        self.saves += 1
        if self.crash_at == (self.saves, "before"):
            raise Crash
        self.identity = identity
        if self.crash_at == (self.saves, "after"):
            raise Crash


class World:
    """Founders in one process, with directories that survive them."""

    def __init__(self, names: tuple[str, ...] = NAMES) -> None:
        self.directories = {
            name: MemoryDirectory(name, 0x10 + number) for number, name in enumerate(names)
        }
        self.running: dict[str, Bootstrap] = {}
        self.tasks: dict[str, asyncio.Task[Founding]] = {}
        self.ids = random.Random(1)

    def start(
        self, name: str, places: tuple[Place, ...] = PLACES, *, report_interval_s: float = 5
    ) -> asyncio.Task[Founding]:
        bootstrap = Bootstrap(
            self.directories[name],
            announced=Address("host", 7000 + int(name[1:])),
            zone="",
            places=places,
            calls=WorldCalls(self),
            draw=lambda: self.ids.getrandbits(64),
            ask_interval_s=0.001,
            report_interval_s=report_interval_s,
        )
        self.running[name] = bootstrap
        self.tasks[name] = asyncio.create_task(self._run(name, bootstrap))
        return self.tasks[name]

    async def _run(self, name: str, bootstrap: Bootstrap) -> Founding:
        try:
            return await bootstrap.run()
        except Crash:
            self.die(name)
            raise asyncio.CancelledError from None

    def die(self, name: str) -> None:
        self.running.pop(name, None)

    def kill(self, name: str) -> None:
        self.die(name)
        self.tasks[name].cancel()

    async def close(self) -> None:
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)


class WorldCalls:
    """Calls to founders of a `World`; a process that crashes while called does not answer."""

    def __init__(self, world: World) -> None:
        self._world = world

    def _at(self, address: Address) -> tuple[str, Bootstrap]:
        name = f"n{address.port - 7000}"
        if name not in self._world.running:
            raise FounderAway(name)
        return name, self._world.running[name]

    async def describe(self, address: Address, options: Options) -> Description:
        await asyncio.sleep(0)
        return self._at(address)[1].describe(options)

    async def form(self, address: Address, founding: Founding, *, is_final: bool) -> str:
        await asyncio.sleep(0)
        name, bootstrap = self._at(address)
        try:
            return bootstrap.form(founding, is_final=is_final)
        except Crash:
            self._world.kill(name)
            raise FounderAway(name) from None


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    async with asyncio.timeout(20):
        yield world
        await world.close()


async def error_of(task: asyncio.Task[Founding]) -> BaseException:
    (error,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(error, BaseException)
    return error


async def test_three_empty_founders_form_one_cluster(world: World) -> None:
    foundings = await asyncio.gather(*[world.start(name) for name in NAMES])
    assert len(set(foundings)) == 1
    founding = foundings[0]
    assert [(one.name, one.incarnation) for one in founding.founders] == [
        (name, world.directories[name].identity.incarnation) for name in NAMES
    ]
    assert founding.shards == 16
    assert all(
        directory.identity.cluster_id == founding.cluster_id
        for directory in world.directories.values()
    )


async def test_one_founder_alone_forms_a_cluster(world: World) -> None:
    founding = await world.start("n1", PLACES[:1])
    assert [one.name for one in founding.founders] == ["n1"]


async def test_nobody_forms_anything_while_one_is_missing(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.start("n1", report_interval_s=0.005)
    world.start("n2", report_interval_s=0.005)

    def reports() -> list[str]:
        return [r.__dict__["missing"] for r in caplog.records if "waiting" in r.message]

    while reports().count("n3") < 4:  # noqa: ASYNC110 - the log is the event
        await asyncio.sleep(0.001)
    assert set(reports()) == {"n3"}
    assert world.running["n1"].waiting_for == ["n3"]
    assert all(directory.identity.founding is None for directory in world.directories.values())
    world.start("n3")
    assert len(set(await asyncio.gather(*world.tasks.values()))) == 1


CRASHES = [(name, save, when) for name in NAMES for save in (1, 2) for when in ("before", "after")]


@pytest.mark.parametrize(("name", "save", "when"), CRASHES)
async def test_a_crash_at_any_save_is_taken_up_where_it_was(
    world: World, name: str, save: int, when: str
) -> None:
    world.directories[name].crash_at = (save, when)
    for one in NAMES:
        world.start(one)
    crashed = world.tasks[name]
    await asyncio.wait([crashed])
    assert name not in world.running
    world.directories[name].crash_at = None
    world.start(name)
    foundings = await asyncio.gather(*world.tasks.values())
    assert len({founding.cluster_id for founding in foundings}) == 1


@pytest.mark.parametrize("seed", range(30))
async def test_crashes_at_random_never_make_two_clusters(world: World, seed: int) -> None:
    rng = random.Random(seed)
    for one in NAMES:
        world.start(one)
    for _ in range(6):
        name = rng.choice(NAMES)
        for _ in range(rng.randrange(12)):
            await asyncio.sleep(0)
        world.kill(name)
        for _ in range(rng.randrange(12)):
            await asyncio.sleep(0)
        world.start(name)
    foundings = await asyncio.gather(*world.tasks.values())
    assert len({founding.cluster_id for founding in foundings}) == 1


async def test_a_founder_that_missed_the_last_word_learns_it_from_any_other(world: World) -> None:
    world.directories["n2"].crash_at = (2, "before")
    for name in NAMES:
        world.start(name)
    await asyncio.gather(world.tasks["n1"], world.tasks["n3"])
    world.kill("n1")  # The first founder is gone; n3 knows.
    world.directories["n2"].crash_at = None
    founding = await world.start("n2")
    assert founding == world.directories["n3"].identity.founding


async def test_a_restart_needs_nobody(world: World) -> None:
    founding = (await asyncio.gather(*[world.start(name) for name in NAMES]))[0]
    for name in NAMES:
        world.kill(name)
    assert await world.start("n2") == founding
    assert await world.start("n3", ()) == founding  # The founders option is not read any more.


async def test_lists_that_differ_stop_both_ends_with_both_printed(world: World) -> None:
    other = (*PLACES[:2], Place("n4", "host", 7004))
    first, second = world.start("n1"), world.start("n2", other)
    for task in (first, second):
        error = await error_of(task)
        assert isinstance(error, ConfigError)
        assert "n3=host:7003" in str(error)
        assert "n4=host:7004" in str(error)


async def test_numbers_of_shards_that_differ_stop_both_ends(world: World) -> None:
    world.directories["n2"] = MemoryDirectory("n2", 0x99, shards=4)
    for task in (world.start("n1"), world.start("n2")):
        error = await error_of(task)
        assert isinstance(error, ConfigError)
        assert "--shards 16" in str(error)
        assert "--shards 4" in str(error)


async def test_an_emptied_directory_of_a_member_is_refused_and_told_what_to_do(
    world: World,
) -> None:
    founding = (await asyncio.gather(*[world.start(name) for name in NAMES]))[0]
    world.kill("n2")
    world.directories["n2"] = MemoryDirectory("n2", 0xBAD)
    error = await error_of(world.start("n2"))
    assert isinstance(error, IdentityError)
    text = str(error)
    assert f"{founding.cluster_id:016x}" in text
    assert f"{0xBAD:016x}" in text
    assert f"{0x11:016x}" in text
    assert "put the old one back" in text
    assert world.directories["n2"].identity.founding is None


async def test_the_first_founder_emptied_founds_no_second_cluster(world: World) -> None:
    await asyncio.gather(*[world.start(name) for name in NAMES])
    world.kill("n1")
    world.directories["n1"] = MemoryDirectory("n1", 0xBAD)
    assert isinstance(await error_of(world.start("n1")), IdentityError)
    assert world.directories["n1"].identity.founding is None


async def test_a_directory_emptied_while_the_cluster_forms_is_told_so(world: World) -> None:
    world.directories["n1"].crash_at = (2, "before")  # All have agreed; nobody has formed.
    for name in NAMES:
        world.start(name)
    await asyncio.wait([world.tasks["n1"]])
    world.kill("n2")
    world.directories["n2"] = MemoryDirectory("n2", 0xBAD)
    world.directories["n1"].crash_at = None
    world.start("n2")
    error = await error_of(world.start("n1"))
    assert isinstance(error, IdentityError)
    assert "empty the directories of all founders" in str(error)


async def test_a_stranger_to_the_cluster_is_refused(world: World) -> None:
    await asyncio.gather(*[world.start(name) for name in NAMES])
    world.directories["n4"] = MemoryDirectory("n4", 0x44)
    places = (*PLACES, Place("n4", "host", 7004))
    error = await error_of(world.start("n4", places))
    assert isinstance(error, IdentityError)
    assert "n4 is not one of" in str(error)


async def test_founders_of_another_cluster_are_refused_with_both_ids(world: World) -> None:
    await asyncio.gather(*[world.start(name) for name in NAMES])
    other = World()
    other.ids = random.Random(2)
    await asyncio.gather(*[other.start(name) for name in NAMES])
    ours, theirs = (one.directories["n1"].identity.founding for one in (world, other))
    assert ours is not None
    assert theirs is not None
    refusal = world.running["n2"].form(theirs, is_final=True)
    assert f"{ours.cluster_id:016x}" in refusal
    assert f"{theirs.cluster_id:016x}" in refusal
    await other.close()


async def test_an_empty_directory_without_founders_is_a_fault_of_configuration(
    world: World,
) -> None:
    error = await error_of(world.start("n1", ()))
    assert isinstance(error, ConfigError)
    assert "--founders" in str(error)


async def test_a_founder_that_is_not_in_its_own_list_is_refused(world: World) -> None:
    error = await error_of(world.start("n1", PLACES[1:]))
    assert isinstance(error, ConfigError)


async def test_founders_form_a_cluster_over_grpc() -> None:
    servers = [PeerServer() for _ in NAMES]
    directories = [MemoryDirectory(name, 0x10 + number) for number, name in enumerate(NAMES)]
    async with asyncio.timeout(20), AsyncExitStack() as stack:
        ports = [await free_port() for _ in NAMES]
        places = [Place(name, "127.0.0.1", port) for name, port in zip(NAMES, ports, strict=True)]
        bootstraps = [
            Bootstrap(
                directory,
                announced=Address("127.0.0.1", port),
                zone="east",
                places=places,
                calls=MembershipCalls(),
                draw=lambda: 0xC1,
                ask_interval_s=0.02,
            )
            for directory, port in zip(directories, ports, strict=True)
        ]
        for server, bootstrap, port in zip(servers, bootstraps, ports, strict=True):
            server.add_service(membership_service(bootstrap, server.fail))
            await server.start("127.0.0.1", port)
            stack.push_async_callback(server.stop)
        foundings = await asyncio.gather(*[one.run() for one in bootstraps])
    assert len(set(foundings)) == 1
    assert [one.address for one in foundings[0].founders] == [f"127.0.0.1:{p}" for p in ports]
    assert {one.zone for one in foundings[0].founders} == {"east"}


async def free_port() -> int:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port
