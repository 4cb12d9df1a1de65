"""The processes a run starts: by pid, with their output kept, and none left behind.

A process is ended by its own pid and never by name. On top of that the kernel is asked to kill
it when this one dies, so that a harness that is itself killed with -9 leaves nothing running.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import random
    from types import TracebackType

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# Below what Linux hands out to outgoing connections (32768-60999), so nobody takes one by chance.
FIRST_PORT, LAST_PORT = 17000, 32000
BLOCK = 25  # Ports that are given together; the last one says that they are.
RESERVED = 8  # That one process holds: by then the first are bound, or not needed any more.

_reserved: deque[list[socket.socket]] = deque()


class Process:
    """One started program."""

    def __init__(self, name: str, argv: Sequence[str], output: Path) -> None:
        self.name = name
        self.argv = list(argv)
        self.output = output
        self._popen: subprocess.Popen[bytes] | None = None
        self.is_paused = False

    @property
    def pid(self) -> int:
        assert self._popen is not None, f"{self.name} was never started"
        return self._popen.pid

    @property
    def is_running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    @property
    def exit_code(self) -> int | None:
        """None while it runs; minus the signal's number if one killed it."""
        return None if self._popen is None else self._popen.poll()

    def start(self) -> None:
        """Starts it, again if it has ended; its output is appended to the same file."""
        assert not self.is_running, f"{self.name} is running"
        self.is_paused = False
        self.output.parent.mkdir(parents=True, exist_ok=True)
        guard = shutil.which("setpriv")
        prefix = [guard, "--pdeathsig", "KILL"] if guard else []
        with self.output.open("ab") as output:
            self._popen = subprocess.Popen(
                [*prefix, *self.argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # A ctrl-C here is for us; we end the others in order.
            )

    def kill(self) -> None:
        """SIGKILL, and waits until the kernel has taken it away; works on a stopped one too."""
        if self._popen is not None and self._popen.poll() is None:
            self._popen.kill()
            self._popen.wait()

    def terminate(self, timeout_s: float = 10.0) -> None:
        """SIGTERM, and SIGKILL when that does not help in time."""
        if self._popen is None or self._popen.poll() is not None:
            return
        self._popen.terminate()
        self._popen.send_signal(signal.SIGCONT)
        try:
            self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def pause(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)
        self.is_paused = True

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)
        self.is_paused = False

    def cpu_seconds(self) -> float:
        """User and system time of all its threads so far."""
        return cpu_seconds_of(Path(f"/proc/{self.pid}/stat").read_text())

    def tail(self, bytes_max: int = 2000) -> str:
        """The end of its output, for a message about a failure."""
        if not self.output.exists():
            return ""
        return self.output.read_bytes()[-bytes_max:].decode(errors="replace")


class Processes:
    """All processes of a run; leaving the `with` block ends them, and so does the interpreter."""

    def __init__(self) -> None:
        self._started: list[Process] = []
        atexit.register(self.close)

    def start(self, name: str, argv: Sequence[str], output: Path) -> Process:
        process = Process(name, argv, output)
        self._started.append(process)
        process.start()
        return process

    def close(self) -> None:
        for process in self._started:
            process.kill()
        self._started.clear()
        atexit.unregister(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def cpu_seconds_of(stat: str) -> float:
    """utime + stime of one line of /proc/PID/stat; the name in it may hold spaces and brackets."""
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def free_ports(offsets: Sequence[int], rng: random.Random, host: str = "127.0.0.1") -> int:
    """A base port such that base + each offset can be bound now, and that no other run of tests on
    this machine is given until those who asked for it have had the time to bind them."""
    blocks = 1 + max(offsets) // (BLOCK - 1)
    for _ in range(200):
        base = FIRST_PORT + BLOCK * rng.randrange((LAST_PORT - FIRST_PORT) // BLOCK - blocks)
        is_free = all(_is_free(host, base + offset) for offset in offsets)
        if is_free and _reserve([base + BLOCK * (place + 1) - 1 for place in range(blocks)]):
            return base
    raise RuntimeError(f"no free block of ports between {FIRST_PORT} and {LAST_PORT}")


def _reserve(ports: Sequence[int]) -> bool:
    """Hold the last port of each block, which nobody else can then, for some calls."""
    held: list[socket.socket] = []
    for port in ports:
        holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        held.append(holder)
        try:
            holder.bind(("127.0.0.1", port))
        except OSError:
            for one in held:
                one.close()
            return False
    _reserved.append(held)
    while len(_reserved) > RESERVED:
        for one in _reserved.popleft():
            one.close()
    return True


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True
