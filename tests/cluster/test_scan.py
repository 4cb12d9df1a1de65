"""SCAN over the whole cluster while keys come and go and leaders change: what is there from its
start to its end is returned, and nothing that never was (Redis's guarantee)."""

from __future__ import annotations

import random
import threading
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, cast

import pytest

from ..chaos.cluster import Cluster
from .raw import Raw

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..chaos.processes import Processes

LASTING = 3_000  # Keys that are there all the time,
PASSING = 3_000  # and those that come and go.
FAULT_EVERY_S = 1.0
DOWN_S = 2.5  # Longer than an election takes: its shards get other leaders.
PATIENCE_S = 60.0
FAULTS = 4
# What a client may be told while leaders change, instead of an answer.
NOT_NOW = ("CLUSTERDOWN", "UNCERTAIN", "OVERLOADED", "LOADING", "TRYAGAIN", "MOVED")


@pytest.fixture
def cluster(processes: Processes, tmp_path: Path) -> Cluster:
    one = Cluster(processes, tmp_path, rng=random.Random("scan"), shards=6)
    one.wait_ready()
    return one


class Doors:
    """Connections to all nodes, opened again after each failure."""

    def __init__(self, ports: dict[str, int], database: bytes) -> None:
        self._ports = ports
        self._database = database
        self._open: dict[str, Raw] = {}

    def ask(self, name: str, *command: bytes) -> object:
        """The reply; None where there is none now: the node is away, or its shard has no leader."""
        try:
            if name not in self._open:
                self._open[name] = Raw(self._ports[name], timeout_s=7.0)
                if self._database != b"0":
                    self._open[name].ask(b"SELECT", self._database)
            reply = self._open[name].ask(*command)
        except (OSError, EOFError):
            self._close(name)
            return None
        if isinstance(reply, str):
            assert reply.startswith(NOT_NOW), reply
            return None
        return reply

    def _close(self, name: str) -> None:
        if name in self._open:
            self._open.pop(name).socket.close()

    def close(self) -> None:
        for name in list(self._open):
            self._close(name)


def name_of(kind: str, number: int) -> bytes:
    # Some share a hash tag: more in one slot than one bucket holds.
    return (
        b"{tag}%s:%d" % (kind.encode(), number)
        if number % 2
        else b"%s:%d" % (kind.encode(), number)
    )


def fill(cluster: Cluster, database: bytes) -> None:
    node = next(iter(cluster.nodes.values()))
    with Raw(node.any_key_port) as client:
        client.ask(b"SELECT", database)
        names = [name_of("lasting", number) for number in range(LASTING)]
        assert client.ask_all([(b"SET", name, b"1") for name in names]) == [b"OK"] * LASTING


def come_and_go(doors: Doors, names: list[str], stop: threading.Event, rng: random.Random) -> None:
    while not stop.is_set():
        key = name_of("passing", rng.randrange(PASSING))
        with suppress(AssertionError):  # A SET or DEL of unknown fate is as good as any.
            doors.ask(rng.choice(names), *rng.choice(((b"SET", key, b"1"), (b"DEL", key))))


def disturb(cluster: Cluster, stop: threading.Event, rng: random.Random, faults: list[str]) -> None:
    """One node at a time is killed or stopped, and comes back."""
    while not stop.wait(FAULT_EVERY_S):
        process = rng.choice(list(cluster.nodes.values())).process
        faults.append(process.name)
        if rng.random() < 0.5:
            process.pause()
            stop.wait(DOWN_S)
            process.resume()
        else:
            process.kill()
            stop.wait(DOWN_S)
            process.start()
        with suppress(RuntimeError):
            cluster.wait_ready()


@pytest.fixture
def faults() -> list[str]:
    """Who was killed or stopped so far."""
    return []


@pytest.fixture
def disturbed(cluster: Cluster, faults: list[str]) -> Iterator[Cluster]:
    """Keys come and go in both databases, leaders change, until the test ends."""
    ports = {name: node.any_key_port for name, node in cluster.nodes.items()}
    for database in (b"0", b"1"):
        fill(cluster, database)
    stop = threading.Event()
    doors = [Doors(ports, database) for database in (b"0", b"1")]
    threads = [
        threading.Thread(target=come_and_go, args=(one, list(ports), stop, random.Random(seed)))
        for seed, one in enumerate(doors)
    ]
    threads.append(threading.Thread(target=disturb, args=(cluster, stop, random.Random(3), faults)))
    for thread in threads:
        thread.start()
    yield cluster
    stop.set()
    for thread in threads:
        thread.join()
    for one in doors:
        one.close()


def page(
    doors: Doors, names: list[str], rng: random.Random, cursor: bytes
) -> tuple[bytes, list[bytes]]:
    """One step of SCAN, asked at another node each time, until one answers."""
    deadline = time.monotonic() + PATIENCE_S
    count = b"%d" % rng.choice((1, 7, 10, 100, 1000))
    while True:
        reply = doors.ask(rng.choice(names), b"SCAN", cursor, b"COUNT", count)
        if reply is not None:
            return cast("tuple[bytes, list[bytes]]", tuple(cast("list[object]", reply)))
        assert time.monotonic() < deadline, "no node answers"


def test_any_node_goes_on_where_another_left_off(disturbed: Cluster, faults: list[str]) -> None:
    rng = random.Random(11)
    ports = {name: node.any_key_port for name, node in disturbed.nodes.items()}
    with ExitStack() as stack:
        both = [Doors(ports, database) for database in (b"0", b"1")]
        for doors in both:
            stack.callback(doors.close)
        deadline = time.monotonic() + PATIENCE_S
        while len(faults) < FAULTS:
            assert time.monotonic() < deadline, f"only {faults}"
            for doors in both:
                check(walk(doors, list(ports), rng))


def walk(doors: Doors, names: list[str], rng: random.Random) -> set[bytes]:
    """All that one SCAN finds, from its start to its end."""
    found: set[bytes] = set()
    cursor = b"0"
    while True:
        cursor, keys = page(doors, names, rng, cursor)
        assert cursor.isdigit()
        assert int(cursor) < 1 << 53
        found.update(keys)
        if cursor == b"0":
            return found


def check(found: set[bytes]) -> None:
    lasting = {name_of("lasting", number) for number in range(LASTING)}
    known = lasting | {name_of("passing", number) for number in range(PASSING)}
    assert lasting - found == set()
    assert found - known == set()


def test_a_walk_over_all_masters_of_the_cluster_door_finds_everything(cluster: Cluster) -> None:
    """Also from where leaders are after one died; while they move, a walk belongs to port +0."""
    fill(cluster, b"0")
    ports = {name: node.any_key_port for name, node in cluster.nodes.items()}
    stop = threading.Event()
    doors = Doors(ports, b"0")
    thread = threading.Thread(target=come_and_go, args=(doors, list(ports), stop, random.Random(5)))
    thread.start()
    try:
        check(walk_masters(cluster))
        victim = cluster.nodes[cluster.leader_of(0)]
        victim.process.kill()
        cluster.wait(lambda: len(cluster.leaders()) > cluster.shards, "no other leaders")
        check(walk_masters(cluster))
    finally:
        stop.set()
        thread.join()
        doors.close()


def walk_masters(cluster: Cluster) -> set[bytes]:
    """As a cluster client does: SCAN at every master that CLUSTER SLOTS names."""
    with Raw(cluster.running()[0].any_key_port) as client:
        slots = cast("list[list[list[object]]]", client.ask(b"CLUSTER", b"SLOTS"))
    found: set[bytes] = set()
    for port in {cast("int", one[2][1]) for one in slots}:
        with Raw(port) as client:
            cursor = b"0"
            while True:
                reply = client.ask(b"SCAN", cursor, b"COUNT", b"50")
                cursor, keys = cast("tuple[bytes, list[bytes]]", reply)
                found.update(keys)
                if cursor == b"0":
                    break
    return found
