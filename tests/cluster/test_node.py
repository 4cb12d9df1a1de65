"""`trimaran node`: how a cluster is formed, and what a node refuses."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis

from trimaran.client.status import fetch

from .command import START_S, TRIMARAN, free_base, trimaran, until

if TYPE_CHECKING:
    import random

    from ..chaos.processes import Process, Processes

NAMES = ("n1", "n2", "n3")


class Nodes:
    """Three nodes started one by one, as on three machines."""

    def __init__(self, processes: Processes, folder: Path, port: int) -> None:
        self._processes = processes
        self.folder = folder
        self.ports = {name: port + 10 * i for i, name in enumerate(NAMES)}
        self.running: dict[str, Process] = {}

    def founders(self, names: Sequence[str] = NAMES) -> str:
        return ",".join(f"{name}=127.0.0.1:{self.ports[name] + 2}" for name in names)

    def start(self, name: str, founders: str | None = None, *options: str) -> Process:
        words = [str(TRIMARAN), "node", "--name", name, "--data", str(self.folder / name)]
        words += ["--port", str(self.ports[name]), "--shards", "2", *options]
        words += ["--founders", founders if founders is not None else self.founders()]
        process = self._processes.start(name, words, self.folder / f"{name}.output")
        self.running[name] = process
        return process

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.output").read_text()

    def wait_said(self, name: str, text: str) -> None:
        until(
            lambda: text in self.said(name),
            lambda: f"{name} did not say {text!r} but\n{self.said(name)}",
            START_S,
        )

    def is_ready(self, name: str) -> bool:
        try:
            return fetch("127.0.0.1", self.ports[name] + 3).is_ready
        except (OSError, ValueError):
            return False

    def wait_ready(self, *names: str) -> None:
        for name in names:
            until(lambda: self.is_ready(name), lambda: self.all_said(), START_S)  # noqa: B023  # Called at once.

    def all_said(self) -> str:
        return "\n".join(f"--- {name}\n{self.said(name)[-2000:]}" for name in self.running)

    def wait_ended(self, name: str) -> int:
        until(lambda: not self.running[name].is_running, lambda: self.said(name), START_S)
        code = self.running[name].exit_code
        assert code is not None
        return code

    def redis(self, name: str) -> redis.Redis:
        return redis.Redis(port=self.ports[name], decode_responses=True)


@pytest.fixture
def nodes(processes: Processes, tmp_path: Path, ports_rng: random.Random) -> Nodes:
    return Nodes(processes, tmp_path, free_base(ports_rng))


def test_every_fault_of_the_configuration_is_printed_at_once() -> None:
    done = trimaran("node", "--port", "70000", "--fsync", "maybe", "--oops", "1")
    assert done.returncode != 0
    for fault in ("--oops", "port: 70000", "fsync: 'maybe'", "name: missing", "data: missing"):
        assert fault in done.stderr
    assert "Traceback" not in done.stderr


def test_help_names_every_option_and_starts_nothing() -> None:
    done = trimaran("node", "--help")
    assert done.returncode == 0
    for option in ("--founders", "--announce", "--election-timeout-ms", "--config"):
        assert option in done.stdout


def test_the_configuration_is_printed_at_start(nodes: Nodes) -> None:
    nodes.start("n1")
    nodes.wait_said("n1", "election_timeout_ms = ")


def test_a_founder_names_who_is_missing_and_serves_once_they_are_there(nodes: Nodes) -> None:
    nodes.start("n1")
    nodes.wait_said("n1", "n2")
    status = None

    def is_waiting() -> bool:
        nonlocal status
        try:
            status = fetch("127.0.0.1", nodes.ports["n1"] + 3)
        except (OSError, ValueError):
            return False
        return set(status.waiting_for) == {"n2", "n3"}

    until(is_waiting, lambda: f"{status}\n{nodes.said('n1')}", START_S)
    nodes.start("n2")
    nodes.start("n3")
    nodes.wait_ready(*NAMES)
    assert nodes.redis("n3").set("a", "1")
    assert nodes.redis("n1").get("a") == "1"


def test_founders_with_different_lists_are_refused_with_both_printed(nodes: Nodes) -> None:
    nodes.start("n1")
    nodes.start("n2", nodes.founders(("n1", "n2")))
    until(
        lambda: any(
            nodes.founders() in nodes.said(name)
            and nodes.founders(("n1", "n2")) in nodes.said(name)
            for name in ("n1", "n2")
            if not nodes.running[name].is_running
        ),
        nodes.all_said,
        START_S,
    )


def test_a_restart_needs_a_majority_and_no_founders(nodes: Nodes) -> None:
    for name in NAMES:
        nodes.start(name)
    nodes.wait_ready(*NAMES)
    assert nodes.redis("n1").set("a", "1")
    for name in NAMES:
        nodes.running[name].kill()
    for name in ("n1", "n3"):
        nodes.start(name, "")
    nodes.wait_ready("n1", "n3")
    assert nodes.redis("n3").get("a") == "1"
    assert nodes.redis("n1").set("a", "2")


def test_an_emptied_node_refuses_to_start_and_says_what_to_do(nodes: Nodes) -> None:
    """correctness B2."""
    for name in NAMES:
        nodes.start(name)
    nodes.wait_ready(*NAMES)
    nodes.running["n2"].kill()
    shutil.rmtree(nodes.folder / "n2")
    (nodes.folder / "n2.output").unlink()
    nodes.start("n2")
    assert nodes.wait_ended("n2") > 0
    said = nodes.said("n2")
    assert "If this directory was emptied or replaced, put the old one back" in said
    assert nodes.redis("n1").set("others", "go on")


def test_a_second_process_on_the_same_folder_is_refused(nodes: Nodes) -> None:
    nodes.start("n1")
    nodes.wait_said("n1", "election_timeout_ms = ")
    until(lambda: (nodes.folder / "n1" / "identity.json").exists(), nodes.all_said, START_S)
    first = nodes.running["n1"]
    nodes.ports["n1"] += 4  # Other ports, the same folder.
    done = trimaran(
        *("node", "--name", "n1", "--data", str(nodes.folder / "n1")),
        *("--port", str(nodes.ports["n1"]), "--founders", nodes.founders()),
    )
    assert done.returncode > 0
    assert str(nodes.folder / "n1") in done.stderr
    assert first.is_running


@pytest.mark.parametrize("door", [0, 2, 3])
def test_a_taken_port_is_told_in_one_line(nodes: Nodes, door: int) -> None:
    port = nodes.ports["n1"] + door
    with socket.create_server(("127.0.0.1", port)):
        nodes.start("n1")
        assert nodes.wait_ended("n1") == 1
    (line,) = [one for one in nodes.said("n1").splitlines() if "cannot be bound" in one]
    assert line.startswith(f"trimaran node n1: port: 127.0.0.1:{port} ")
    assert nodes.said("n1").splitlines()[-1] == line


def test_a_node_of_another_cluster_is_refused_with_both_ids_printed(
    nodes: Nodes, processes: Processes, tmp_path: Path, ports_rng: random.Random
) -> None:
    other = Nodes(processes, tmp_path / "other", free_base(ports_rng))
    for each in (nodes, other):
        for name in NAMES:
            each.start(name)
        each.wait_ready(*NAMES)
    ids = [fetch("127.0.0.1", each.ports["n1"] + 3).cluster_id for each in (nodes, other)]
    assert ids[0] != ids[1]
    for name in NAMES:
        other.running[name].kill()
    # The same addresses, but folders of two clusters: n2 comes back as the other cluster's n2.
    nodes.running["n2"].kill()
    stranger = Nodes(processes, tmp_path / "other", 0)
    stranger.ports = nodes.ports
    (stranger.folder / "n2.output").unlink()
    stranger.start("n2", None, "--peers", nodes.founders())
    until(
        lambda: any(
            all(one in each.said(name) for one in ids)
            for each, name in ((stranger, "n2"), (nodes, "n1"), (nodes, "n3"))
        ),
        lambda: f"{stranger.all_said()}\n{nodes.all_said()}",
        START_S,
    )
    assert nodes.redis("n1").set("others", "go on")


def test_sigterm_stops_a_node_with_exit_code_0(nodes: Nodes) -> None:
    for name in NAMES:
        nodes.start(name)
    nodes.wait_ready(*NAMES)
    nodes.running["n1"].terminate()
    assert nodes.running["n1"].exit_code == 0
