"""`trimaran up` and other commands as a user runs them, with their output as it comes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from trimaran.client.plan import read_processes
from trimaran.client.status import Status, fetch
from trimaran.client.up import is_node_of

from ..chaos.processes import Process, Processes, free_ports

if TYPE_CHECKING:
    import random

TRIMARAN = Path(sys.executable).with_name("trimaran")
START_S = 40.0  # Patience on a busy machine; what is waited for takes a second or two.
OFFSETS = [10 * node + door for node in range(3) for door in range(4)]


def until(is_so: Callable[[], object], otherwise: Callable[[], str], timeout_s: float) -> None:
    """Waits for a condition; fails with what `otherwise` says then."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        if time.monotonic() > deadline:
            raise AssertionError(f"after {timeout_s:.0f} s: {otherwise()}")
        time.sleep(0.03)


def trimaran(*words: str, timeout_s: float = 30.0) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    return subprocess.run(
        [str(TRIMARAN), *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
        stdin=subprocess.DEVNULL,
    )


def free_base(rng: random.Random, host: str = "127.0.0.1") -> int:
    """A base port for three nodes."""
    return free_ports(OFFSETS, rng, host)


class Up:
    """A running `trimaran up`."""

    def __init__(
        self, processes: Processes, data: Path, port: int, *options: str, host: str = "127.0.0.1"
    ) -> None:
        self.data = data
        self.host = host
        self.port = port
        self._output = data.parent / f"{data.name}.output-{port}"
        words = [str(TRIMARAN), "up", "--port", str(port), "--data", str(data)]
        words += ["--host", host, *options]
        self.process: Process = processes.start("up", words, self._output)

    @property
    def said(self) -> str:
        return self._output.read_text() if self._output.exists() else ""

    def wait_for(self, pattern: str, timeout_s: float = START_S) -> re.Match[str]:
        """The first place in the output that matches."""
        until(
            lambda: re.search(pattern, self.said) or not self.process.is_running,
            lambda: f"{pattern!r} was not said, but:\n{self.said}\n{self.node_logs()}",
            timeout_s,
        )
        match = re.search(pattern, self.said)
        assert match, f"it ended without saying {pattern!r}:\n{self.said}\n{self.node_logs()}"
        return match

    def wait_ready(self) -> None:
        self.wait_for(r"(?m)^ready: ")

    def node_logs(self) -> str:
        """The end of each node's output, for a failure."""
        logs = sorted(self.data.glob("*/node.log"))
        return "\n".join(f"--- {log}\n{log.read_text()[-1500:]}" for log in logs)

    def base(self, node: str) -> int:
        """Base port of `n1`, `n2`, ..."""
        return self.port + 10 * (int(node[1:]) - 1)

    def pid(self, node: str) -> int:
        return read_processes(self.data)[node]

    def status(self, node: str = "n1") -> Status:
        return fetch(self.host, self.base(node) + 3)

    def leader(self, shard: int) -> str:
        """Who leads the shard, by `trimaran status`; waits while nobody does."""
        deadline = time.monotonic() + START_S
        while True:
            done = trimaran("status", "--json", "--url", self.urls)
            shards = json.loads(done.stdout)["shards"] if done.stdout else []
            found = [one["leader"] for one in shards if one["shard"] == shard and one["leader"]]
            if found:
                return str(found[0])
            assert time.monotonic() < deadline, done.stdout + done.stderr

    @property
    def urls(self) -> str:
        return ",".join(f"{self.host}:{self.base(name)}" for name in ("n1", "n2", "n3"))

    def redis(self, node: str = "n1", db: int = 0) -> redis.Redis:
        return redis.Redis(
            host=self.host,
            port=self.base(node),
            db=db,
            decode_responses=True,
            retry=Retry(NoBackoff(), 0),
        )

    def kill(self, node: str) -> None:
        os.kill(self.pid(node), signal.SIGKILL)

    def stop(self) -> int | None:
        """SIGTERM, and the exit code."""
        return self.end(signal.SIGTERM)

    def end(self, number: signal.Signals) -> int | None:
        """That signal, and the exit code."""
        os.kill(self.process.pid, number)
        until(lambda: not self.process.is_running, lambda: f"it goes on:\n{self.said}", START_S)
        return self.process.exit_code

    def nodes_left(self) -> list[int]:
        """Nodes of this data that run, whoever started them last."""
        if not self.process.is_running:
            return [
                pid
                for name, pid in read_processes(self.data).items()
                if name != "up" and is_node_of(pid, self.data / name)
            ]
        return []
