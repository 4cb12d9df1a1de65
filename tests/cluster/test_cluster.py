"""The cluster ports of real nodes: what tools and clients see, listeners, a node that dies."""

from __future__ import annotations

import shlex
import socket
import subprocess
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest
import redis

from trimaran.cluster.slots import SLOTS, slot_of

from .command import START_S, free_base, until
from .test_node import NAMES, Nodes

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from ..chaos.processes import Processes
    from .conftest import StartUp

KEYS = 300


def fault_of_check(port: int, nodes: int) -> str:
    """What `redis-cli --cluster check` finds wrong; nothing if all is well with so many masters."""
    done = subprocess.run(
        ["redis-cli", "--cluster", "check", f"127.0.0.1:{port}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=START_S,
    )
    told = done.stdout
    is_well = (
        done.returncode == 0
        and f"keys in {nodes} masters." in told
        and "[OK] All nodes agree about slots configuration." in told
        and f"[OK] All {SLOTS} slots covered." in told
        and "ERR" not in told
        and "WARNING" not in told
    )
    return "" if is_well else told + done.stderr


def wait_well(ports: Sequence[int]) -> None:
    """Until the check finds nothing wrong on any of them."""
    faults: list[str] = []

    def is_well() -> bool:
        faults[:] = filter(None, (fault_of_check(port, len(ports)) for port in ports))
        return not faults

    until(is_well, lambda: "\n".join(faults), START_S)


# Leaders may move back between two questions, so counts are asked for until they hold.


def wait_counted_once(port: int) -> None:
    """Until who asks every master meets every key once."""
    wanted = sorted(f"key:{number}" for number in range(KEYS))
    found: list[object] = []

    def is_so() -> bool:
        with redis.RedisCluster(host="127.0.0.1", port=port, decode_responses=True) as client:
            keys = sorted(client.keys("*", target_nodes="primaries"))
            scanned = sorted(client.scan_iter(count=37))
            found[:] = [client.dbsize(target_nodes="primaries"), len(keys), len(scanned)]
            return found[0] == KEYS and keys == scanned == wanted

    until(is_so, lambda: f"{found}, not {KEYS} each", START_S)


def wait_slots_counted_once(ports: Sequence[int]) -> None:
    """Until COUNTKEYSINSLOT counts at +1 what each node leads, and at +0 everything."""
    slots = sorted({slot_of(f"key:{number}".encode()) for number in range(KEYS)})

    def count(port: int) -> int:
        with redis.Redis(port=port) as client:
            pipeline = client.pipeline(transaction=False)
            for slot in slots:
                pipeline.execute_command("CLUSTER COUNTKEYSINSLOT", slot)
            return sum(pipeline.execute())

    def counted() -> list[int]:
        try:
            return [*map(count, ports)]
        except redis.exceptions.ClusterDownError:
            return []  # A leader is being elected, or hands over.

    assert count(ports[0] - 1) == KEYS
    until(lambda: sum(counted()) == KEYS, lambda: str(counted()), START_S)


def write(port: int) -> None:
    with redis.RedisCluster(host="127.0.0.1", port=port) as client:
        for number in range(KEYS):
            assert client.set(f"key:{number}", number)


def ask(port: int, command: str) -> str:
    """What redis-cli prints."""
    words = ["redis-cli", "-p", str(port), *command.split()]
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=10).stdout


def test_the_check_of_redis_cli_finds_nothing_wrong_on_any_node_also_after_a_death(
    start_up: StartUp, processes: Processes, tmp_path: Path
) -> None:
    up = start_up("--shards", "8")
    up.wait_ready()
    ports = {name: up.base(name) + 1 for name in NAMES}
    wait_well(list(ports.values()))
    write(ports["n1"])
    wait_counted_once(ports["n2"])
    wait_slots_counted_once(list(ports.values()))
    dead = up.leader(0)
    up.kill(dead)
    alive = [port for name, port in ports.items() if name != dead]
    wait_well(alive)
    wait_slots_counted_once(alive)
    for port in alive:
        wait_counted_once(port)
        lines = ask(port, "CLUSTER NODES").splitlines()
        (line,) = [line for line in lines if f":{ports[dead]}@" in line]
        assert line.split()[2:] == ["master,fail", "-", "0", "0", "1", "disconnected"]
        assert "cluster_state:ok" in ask(port, "CLUSTER INFO")
    line = up.wait_for(rf"{dead} died: .*; start it again with\n  (.+)\n").group(1)
    processes.start(dead, shlex.split(line), tmp_path / "restarted")
    wait_well(list(ports.values()))
    wait_counted_once(ports[dead])


# --- Listeners.


class Listening(Nodes):
    """Nodes with a listener `outside`, on ports of its own."""

    def __init__(self, processes: Processes, folder: Path, port: int, outside: int) -> None:
        super().__init__(processes, folder, port)
        self.outside = {name: outside + 10 * i for i, name in enumerate(NAMES)}

    def start_listening(self, name: str, announced: int = 0) -> None:
        bound = f"127.0.0.1:{self.outside[name]}"
        announced = announced or self.outside[name]
        self.start(name, None, "--listen", f"outside={bound},announce=127.0.0.1:{announced}")

    def told(self, port: int) -> set[int]:
        """The ports that CLUSTER NODES names, asked at `port`."""
        lines = ask(port, "CLUSTER NODES").splitlines()
        return {int(line.split()[1].partition("@")[0].rpartition(":")[2]) for line in lines}

    def wait_told(self, port: int, ports: set[int]) -> None:
        until(lambda: self.told(port) == ports, lambda: f"{self.told(port)}, not {ports}", START_S)


@pytest.fixture
def listening(processes: Processes, tmp_path: Path, ports_rng: random.Random) -> Listening:
    port = free_base(ports_rng)
    outside = port
    while abs(outside - port) < 100:
        outside = free_base(ports_rng)
    return Listening(processes, tmp_path, port, outside)


def test_who_comes_through_a_listener_is_told_its_addresses_by_every_node(
    listening: Listening,
) -> None:
    nodes = listening
    for name in NAMES:
        nodes.start_listening(name)
    nodes.wait_ready(*NAMES)
    inside = {port + 1 for port in nodes.ports.values()}
    outside = {port + 1 for port in nodes.outside.values()}
    for name in NAMES:
        for offset in (0, 1):
            nodes.wait_told(nodes.ports[name] + offset, inside)
            nodes.wait_told(nodes.outside[name] + offset, outside)
    write(nodes.outside["n1"] + 1)
    wait_counted_once(nodes.outside["n2"] + 1)
    wait_counted_once(nodes.ports["n3"] + 1)
    for doors in (nodes.ports, nodes.outside):
        moved = [ask(port + 1, "GET key:1") for port in doors.values()]
        ports = {int(told.rpartition(":")[2]) for told in moved if told.startswith("MOVED ")}
        assert len(ports) == 1
        assert ports < {port + 1 for port in doors.values()}
    # The same clients, whichever listener they came through.
    assert ask(nodes.outside["n1"], "CLIENT LIST").count("\n") == 1


def test_a_listener_that_moved_is_told_by_every_node_after_the_restart(
    listening: Listening,
) -> None:
    nodes = listening
    for name in NAMES:
        nodes.start_listening(name)
    nodes.wait_ready(*NAMES)
    outside = {port + 1 for port in nodes.outside.values()}
    nodes.wait_told(nodes.outside["n1"] + 1, outside)
    nodes.running["n2"].terminate()
    nodes.start_listening("n2", announced=5000)
    nodes.wait_ready(*NAMES)
    moved = outside - {nodes.outside["n2"] + 1} | {5001}
    for name in NAMES:
        nodes.wait_told(nodes.outside[name] + 1, moved)
    # Without it, its own address is named to those who come through the others' listener.
    nodes.running["n2"].terminate()
    nodes.start("n2")
    nodes.wait_ready(*NAMES)
    nodes.wait_told(nodes.outside["n1"] + 1, moved - {5001} | {nodes.ports["n2"] + 1})
    nodes.running["n1"].terminate()


def test_a_listener_whose_port_is_taken_is_named(listening: Listening) -> None:
    nodes = listening
    with socket.create_server(("127.0.0.1", nodes.outside["n1"] + 1)):
        for name in NAMES:
            nodes.start_listening(name)
        assert nodes.wait_ended("n1") == 1
    place = f"127.0.0.1:{nodes.outside['n1'] + 1}"
    assert f"listen: outside: {place} cannot be bound" in nodes.said("n1")
