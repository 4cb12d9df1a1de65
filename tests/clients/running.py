"""Client programs run to their end, and what they printed.

Nothing here knows what is right; that stands in the tests. A program that does not end in time is
killed, with all it started, and fails the test.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

ROOT = Path(__file__).resolve().parents[2]
INSTALLED = ROOT / "build" / "clients"  # By .ci/oracle.
OLDEST_REDIS_PY = INSTALLED / "oldest"
HOST = "127.0.0.1"
PATIENCE_S = 30.0  # Of a busy machine; most programs take a tenth of a second.


@dataclass(frozen=True, slots=True)
class Doors:
    """Where the nodes of a cluster listen."""

    bases: tuple[int, ...]

    @property
    def any_key(self) -> tuple[int, ...]:
        """Ports that answer for every key."""
        return self.bases

    @property
    def cluster(self) -> tuple[int, ...]:
        """Ports that answer as nodes of a Redis Cluster."""
        return tuple(base + 1 for base in self.bases)


@dataclass(frozen=True, slots=True)
class Ran:
    """How a program ended."""

    argv: list[str]
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    def __str__(self) -> str:
        return f"{' '.join(self.argv)}: exit {self.code}\n{self.out}\n{self.err}"


def run(
    *argv: str,
    stdin: str = "",
    timeout_s: float = PATIENCE_S,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> Ran:
    """Runs a program to its end; `variables` are added to its environment."""
    environment = {**os.environ, **variables}  # noqa: TID251  # For the program, not for us.
    with subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,  # So that it can be ended with all it started.
    ) as process:
        try:
            out, err = process.communicate(stdin, timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            raise AssertionError(f"did not end in {timeout_s:.0f} s: {argv}\n{out}{err}") from None
    return Ran(list(argv), process.returncode, out, err)


def redis_cli(port: int, *words: str, stdin: str = "") -> Ran:
    """redis-cli at a port; fails the test unless it ends with 0."""
    ran = run("redis-cli", "-p", str(port), *words, stdin=stdin)
    assert ran.code == 0, str(ran)
    return ran


def node_script(name: str, *words: str) -> Ran:
    """A script of this folder under Node.js; it fails by a failed `assert`, which is shown."""
    ran = run(
        node_program(), str(Path(__file__).with_name(name)), *words, variables=node_variables()
    )
    assert ran.code == 0, str(ran)
    return ran


def node_program() -> str:
    """The one that .ci/oracle put into the virtual environment, or that of the machine."""
    beside = Path(sys.executable).with_name("node")
    found = str(beside) if beside.exists() else shutil.which("node")
    assert found, "Node.js is missing: .ci/oracle installs it"
    assert (INSTALLED / "node_modules").is_dir(), "no clients for it: .ci/oracle installs them"
    return found


def node_variables() -> dict[str, str]:
    return {"NODE_PATH": str(INSTALLED / "node_modules"), "NODE_NO_WARNINGS": "1"}
