"""`trimaran up` and `down`: some nodes on this machine, watched from one foreground process.

It starts what `plan.py` found sound, says when the cluster can be used, reports what dies, and
stops what it started. It does not restart a node by itself: a node that died had a reason, and an
operator should see it. Each node has a session of its own, so that ctrl-C and ctrl-Z reach `up`
alone, and writes to a file, so that nothing here can hold it up.
"""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from . import plan as plans
from .status import HTTP_OFFSET, Status, fetch

if TYPE_CHECKING:
    from types import FrameType

    from .plan import Plan, PlannedNode

POLL_S = 0.1
NO_LEADER_S = 15.0  # Without a leader for so long: say whom everybody waits for.
STOP_S = 15.0  # A node that has not stopped by then is killed.
LOG_BYTES_MAX = 16 << 20  # One older file of the same size is kept.
LAST_LINES = 5

Say = Callable[[str], None]


class LogFile:
    """A node's output: kept within bounds, and its important lines shown."""

    def __init__(self, node: PlannedNode, say: Say) -> None:
        self._node = node
        self._say = say
        node.folder.mkdir(parents=True, exist_ok=True)
        self._file = node.log.open("ab")  # Appending, so that truncation below is safe.
        self._position = node.log.stat().st_size
        self._rest = b""

    def fileno(self) -> int:
        return self._file.fileno()

    def follow(self) -> None:
        """Shows the important lines since the last call; starts over when the file is full."""
        size = os.fstat(self._file.fileno()).st_size
        if size > self._position:
            with self._node.log.open("rb") as file:
                file.seek(self._position)
                *lines, self._rest = (self._rest + file.read(size - self._position)).split(b"\n")
            self._position = size
            for line in lines:
                text = line.decode(errors="replace")
                if is_important(text):
                    self._say(f"{self._node.name} | {text}")
        if size > LOG_BYTES_MAX:
            # What comes between the copy and the truncation is lost; it is a log for people.
            shutil.copyfile(self._node.log, self._node.log.with_name("node.log.1"))
            os.ftruncate(self._file.fileno(), 0)
            self._position = 0

    def last_lines(self) -> list[str]:
        with self._node.log.open("rb") as file:
            file.seek(max(0, self._position - 4096))
            return file.read().decode(errors="replace").splitlines()[-LAST_LINES:]

    def close(self) -> None:
        self._file.close()


def is_important(line: str) -> bool:
    """Whether an operator should see the line: date, time, then WARNING or worse."""
    words = line.split(maxsplit=3)
    return len(words) > 2 and words[2] in ("WARNING", "ERROR", "CRITICAL")


class Cluster:
    """The running nodes of one `up`."""

    def __init__(self, plan: Plan, say: Say) -> None:
        self._plan = plan
        self._say = say
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._logs: dict[str, LogFile] = {}
        self._dead: set[str] = set()
        self._signals = 0
        self._is_ready = False

    def run(self) -> int:
        """Starts, watches, stops; the exit code."""
        lock = plans.UpLock(self._plan.data)
        try:
            plans.check_ports(self._plan)
            plans.write_record(self._plan)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, self._on_signal)
            self._introduce()
            self._start()
            lock.record(
                {"up": os.getpid()} | {name: one.pid for name, one in self._processes.items()}
            )
            return self._watch()
        finally:
            self._stop()
            lock.close()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1

    def _introduce(self) -> None:
        plan = self._plan
        self._say(
            f"trimaran: {len(plan.nodes)} nodes, {plan.shards} shards, data in {plan.data}, "
            f"fsync {plan.fsync}"
        )
        if plan.fsync == "never":
            self._say("fsync never: writes that were acknowledged can be lost in a power cut")

    def _start(self) -> None:
        for node in self._plan.nodes:
            log = self._logs[node.name] = LogFile(node, self._say)
            self._processes[node.name] = subprocess.Popen(
                self._plan.command(node),
                stdin=subprocess.DEVNULL,
                stdout=log.fileno(),
                stderr=log.fileno(),
                start_new_session=True,
            )

    # --- While it runs.

    def _watch(self) -> int:
        complain_at = time.monotonic() + NO_LEADER_S
        while not self._signals:
            self._follow_logs()
            self._report_dead()
            if len(self._dead) == len(self._plan.nodes):
                self._say("no node is left")
                return 1
            if not self._is_ready:
                if self._all_are_ready():
                    self._is_ready = True
                    self._say_ready()
                elif time.monotonic() >= complain_at:
                    complain_at = time.monotonic() + NO_LEADER_S
                    self._say_what_is_waited_for()
            time.sleep(POLL_S)
        return 0

    def _statuses(self) -> Iterator[tuple[PlannedNode, Status | None]]:
        for node in self._plan.nodes:
            if node.name in self._dead:
                continue
            host = "127.0.0.1" if node.host in plans.WILDCARDS else node.host
            try:
                yield node, fetch(host, node.port + HTTP_OFFSET, timeout_s=1.0)
            except (OSError, http.client.HTTPException, ValueError):
                yield node, None

    def _all_are_ready(self) -> bool:
        """Every shard has a leader, and each living node has loaded its data: what is said to be
        ready is answered at all addresses."""
        statuses = [status for _, status in self._statuses()]
        have_loaded = all(status is not None and status.state == "ready" for status in statuses)
        return have_loaded and any(status.is_ready for status in statuses if status)

    def _say_ready(self) -> None:
        first = self._plan.nodes[0]
        self._say("ready: " + " ".join(node.address for node in self._plan.nodes))
        self._say(
            f"  redis://{first.address}/1  plain Redis semantics over any keys (databases 1 to 15)"
        )
        self._say(f"  redis://{first.address}/0  sharded over the nodes by key")
        self._say("  every node answers for all keys; ctrl-C stops them and keeps the data")

    def _say_what_is_waited_for(self) -> None:
        self._say(f"no leader for every shard after {NO_LEADER_S:.0f} s:")
        for node, status in self._statuses():
            if status is None:
                self._say(f"  {node.name} does not answer on its HTTP port; see {node.log}")
            elif status.waiting_for:
                self._say(f"  {node.name} waits for {', '.join(status.waiting_for)}")
            elif status.leaderless:
                shards = ", ".join(map(str, status.leaderless))
                self._say(f"  {node.name} knows no leader of shard {shards}")
            else:
                self._say(f"  {node.name} is {status.state}")
        for name in sorted(self._dead):
            self._say(f"  {name} is dead")

    def _follow_logs(self) -> None:
        for log in self._logs.values():
            log.follow()

    def _report_dead(self) -> None:
        for node in self._plan.nodes:
            code = self._processes[node.name].poll()
            if code is None or node.name in self._dead:
                continue
            self._dead.add(node.name)
            log = self._logs[node.name]
            log.follow()
            how = f"died: {death(code)}" if code else "was shut down"
            self._say(f"{node.name} {how}; start it again with")
            self._say(f"  {self._plan.command_line(node)}")
            if code > 0:
                self._say(f"its last lines, from {node.log}:")
                for line in log.last_lines():
                    self._say(f"  {line}")
            alive = len(self._plan.nodes) - len(self._dead)
            if alive and alive <= len(self._plan.nodes) // 2:
                self._say(f"{alive} of {len(self._plan.nodes)} nodes run: no majority, no writes")

    # --- The end.

    def _stop(self) -> None:
        """SIGTERM to all at once, then patience; a second signal ends the patience."""
        running = {name: one for name, one in self._processes.items() if one.poll() is None}
        if running:
            self._say("stopping")
        asked = self._signals
        for process in running.values():
            process.terminate()
        give_up_at = time.monotonic() + STOP_S
        while any(one.poll() is None for one in running.values()):
            if time.monotonic() >= give_up_at or self._signals > asked:
                for name, process in running.items():
                    if process.poll() is None:
                        self._say(f"{name} does not stop and is killed")
                        process.kill()
                        process.wait()
            time.sleep(POLL_S / 5)
        self._follow_logs()
        for node in self._plan.nodes:
            if node.name in self._dead and plans.port_fault(node, 0) is not None:
                self._say(f"{node.name} was started again by someone else and still runs")
        for log in self._logs.values():
            log.close()
        if running:
            self._say("stopped")


def death(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"it ended with exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


# --- `trimaran down`.


def down(data: Path, say: Say) -> int:
    """Stops the `up` of this data, or the nodes that one left behind; the exit code."""
    data = data.absolute()
    processes = plans.read_processes(data)
    if plans.is_locked(data):
        targets = [processes["up"]] if "up" in processes else []
    else:
        targets = [
            pid for name, pid in processes.items() if name != "up" and is_node_of(pid, data / name)
        ]
    if not targets:
        say(f"nothing runs on {data}")
        return 0
    for pid in targets:
        os.kill(pid, signal.SIGTERM)
    give_up_at = time.monotonic() + 2 * STOP_S
    while any(map(is_alive, targets)):
        if time.monotonic() >= give_up_at:
            say(f"still running after {2 * STOP_S:.0f} s: process {', '.join(map(str, targets))}")
            return 1
        time.sleep(POLL_S)
    say(f"stopped what ran on {data}")
    return 0


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that ended and was not waited for does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def is_node_of(pid: int, folder: Path) -> bool:
    """Whether this process is the node of that folder, not another that got the number since."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return os.fsencode(folder) in words and b"node" in words
