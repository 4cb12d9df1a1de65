"""Nodes of Trimaran as real processes on loopback, each started by `trimaran node`."""

from __future__ import annotations

import shutil
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

from trimaran.client.status import Status, fetch

from .processes import Process, Processes, free_ports

if TYPE_CHECKING:
    import random

PORTS_PER_NODE = 10
HTTP_TIMEOUT_S = 1.0
# Longer than a leader waits before it hands over for balance.
LEADERS_REST_S = 3.0


@dataclass(frozen=True, slots=True)
class Node:
    """One node: its base port and its process."""

    name: str
    base_port: int
    process: Process

    @property
    def any_key_port(self) -> int:
        return self.base_port

    @property
    def cluster_port(self) -> int:
        return self.base_port + 1

    @property
    def http_port(self) -> int:
        return self.base_port + 3


class Cluster:
    """A cluster of named nodes; starts them all at once."""

    def __init__(
        self,
        processes: Processes,
        directory: Path,
        *,
        rng: random.Random,
        size: int = 3,
        shards: int = 16,
        options: Sequence[str] = (),
    ) -> None:
        self.shards = shards
        self.directory = directory
        self.nodes: dict[str, Node] = {}
        offsets = [PORTS_PER_NODE * i + door for i in range(size) for door in range(4)]
        base_port = free_ports(offsets, rng)
        bases = {f"n{i + 1}": base_port + PORTS_PER_NODE * i for i in range(size)}
        founders = ",".join(f"{name}=127.0.0.1:{base + 2}" for name, base in bases.items())
        for name, base in bases.items():
            argv = [
                *(_command(), "node", "--name", name),
                *("--data", str(directory / name), "--port", str(base)),
                *("--founders", founders, "--shards", str(shards), *options),
            ]
            process = processes.start(name, argv, directory / f"{name}.output")
            self.nodes[name] = Node(name, base, process)

    @property
    def pids(self) -> list[int]:
        return [node.process.pid for node in self.nodes.values() if node.process.is_running]

    def shard_of_database(self, database: int) -> int:
        """Where a database other than 0 lives whole."""
        return database * self.shards // 16

    def running(self) -> list[Node]:
        """Those that can answer: started, not ended, not paused."""
        processes = ((node, node.process) for node in self.nodes.values())
        return [node for node, it in processes if it.is_running and not it.is_paused]

    def statuses(self) -> list[Status]:
        """What the nodes that answer say."""
        told: list[Status] = []
        for node in self.running():
            with suppress(OSError, ValueError, HTTPException):
                told.append(fetch("127.0.0.1", node.http_port, HTTP_TIMEOUT_S))
        return told

    def leaders(self) -> dict[int | str, str]:
        """Shard -> the node that says it leads it; of two of them the one with the higher term."""
        leading = {
            (shard.term, shard.shard): status.node
            for status in self.statuses()
            for shard in status.shards
            if shard.leader == status.node
        }
        return {shard: leading[term, shard] for term, shard in sorted(leading, key=itemgetter(0))}

    def terms(self) -> dict[int | str, int]:
        """Shard -> the highest term any node has seen."""
        terms: dict[int | str, int] = {}
        for status in self.statuses():
            for shard in status.shards:
                terms[shard.shard] = max(terms.get(shard.shard, 0), shard.term)
        return terms

    def leader_of(self, shard: int) -> str:
        seen: dict[int | str, str] = {}  # What was seen: at the next look it may be on its way.

        def has_leader() -> bool:
            seen.update(self.leaders())
            return shard in seen

        self.wait(has_leader, f"shard {shard} has no leader")
        return seen[shard]

    def busiest(self, leaders: Mapping[int | str, str]) -> str:
        """The node that leads most shards."""
        led = list(leaders.values())
        return max(sorted(set(led)), key=led.count)

    def wait_ready(self, timeout_s: float = 30.0) -> None:
        """Until every node says it can serve every shard; raises at once when one has ended."""

        def are_all_ready() -> bool:
            if len(self.running()) < len(self.nodes):
                raise RuntimeError(f"not every node is running\n{self.tails()}")
            return all(is_ready(node.http_port) for node in self.nodes.values())

        self.wait(are_all_ready, "not every node is ready", timeout_s)

    def wait_settled(self, timeout_s: float = 60.0) -> None:
        """Until all is ready and leaders have stopped moving to where they are preferred."""
        self.wait_ready()
        seen = self.leaders()
        since = time.monotonic()

        def have_leaders_rested() -> bool:
            nonlocal seen, since
            now = self.leaders()
            if now != seen:
                seen, since = now, time.monotonic()
            # Shards and the meta group: each has exactly one.
            return len(now) > self.shards and time.monotonic() - since > LEADERS_REST_S

        self.wait(have_leaders_rested, "leaders still move", timeout_s)

    def wait(self, is_so: Callable[[], bool], otherwise: str, timeout_s: float = 30.0) -> None:
        """Polls a condition; on time-out raises with the end of each node's output."""
        deadline = time.monotonic() + timeout_s
        while not is_so():
            if time.monotonic() > deadline:
                raise RuntimeError(f"after {timeout_s:.0f} s: {otherwise}\n{self.tails()}")
            time.sleep(0.05)

    def tails(self) -> str:
        """The end of the output of every node, and which of them no longer run."""
        parts: list[str] = []
        for node in self.nodes.values():
            state = "running" if node.process.is_running else "ended"
            parts.append(f"--- {node.name} ({state})\n{node.process.tail()}")
        return "\n".join(parts)


def is_ready(port: int) -> bool:
    try:
        url = f"http://127.0.0.1:{port}/readyz"
        with urllib.request.urlopen(url, timeout=HTTP_TIMEOUT_S) as answer:
            return bool(answer.status == 200)
    except OSError:  # Among them HTTPError: 503 while a shard has no leader.
        return False


def _command() -> str:
    beside = Path(sys.executable).with_name("trimaran")
    found = str(beside) if beside.exists() else shutil.which("trimaran")
    if found is None:
        raise RuntimeError("no `trimaran` command; `make setup` installs it")
    return found
