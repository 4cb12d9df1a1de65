"""One machine: its clock and its disk, which outlive the process that runs on it now or not."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from trimaran.node.errors import NotLeader
from trimaran.node.request import NotApplied, Outcome, Request
from trimaran.node.storage.sim_disk import PowerCut, SimDisk

from .process import Process
from .runtime import DiskProfile
from .schedule import MS, Schedule

if TYPE_CHECKING:
    from trimaran.cluster.settings import Pairs
    from trimaran.node.node import Parts
    from trimaran.node.raft.types import NodeId
    from trimaran.node.storage.wal import ShardSave

    from .clock import SimClock
    from .judge import Judge
    from .network import SimNetwork
    from .settings import Settings

OPERATIONS_MAX = 8  # A power cut comes before so many of a thread's next disk operations.


class Machine:
    def __init__(
        self,
        node: NodeId,
        schedule: Schedule,
        rng: Random,
        clock: SimClock,
        network: SimNetwork,
        judge: Judge,
        settings: Settings,
        parts: Parts,
    ) -> None:
        self.node = node
        self.schedule = schedule
        self.rng = rng
        self.clock = clock
        self.network = network
        self.judge = judge
        self.settings = settings
        self.parts = parts
        self.disk = SimDisk(Random(rng.getrandbits(64)))
        self.disk_profile = DiskProfile(max_ns=settings.scenario.disk_max_ns)
        self.process: Process | None = None
        self.in_flight: list[ShardSave] = []  # Of a write that never returned.

    def start(self) -> None:
        """Run a process on what the disk holds, unless one runs."""
        if self.process is not None:
            return
        self.schedule.note(f"{self.node} starts")
        try:
            process = Process(self)
        except OSError as error:  # The disk fails while the log is opened: started again later.
            self.schedule.note(f"{self.node} does not start: {error}")
            self.disk.kill()
            self.schedule.after(self.rng.randrange(100 * MS, 500 * MS), self.start)
            return
        self.process = process
        self.network.start(self.node, process)
        process.start()

    def crash(self, *, is_power_cut: bool) -> None:
        """kill -9, or the power goes: then what was not synced is in any state (S1)."""
        process = self.process
        if process is None:
            return
        self.schedule.note(f"{self.node} {'loses power' if is_power_cut else 'is killed'}")
        self._stop(process, is_silent=is_power_cut)
        for work in process.runtime.unfinished():
            self.disk.cut_power_in(self.rng.randrange(1, OPERATIONS_MAX))
            try:
                work()
            except (PowerCut, OSError):
                break
        self.in_flight = process.in_flight()
        if is_power_cut:
            self.disk.power_cut()
        else:
            self.disk.kill()

    def stop_of(self, error: OSError) -> None:
        """A failed write stops the process (L8); somebody starts it again."""
        process = self.process
        assert process is not None
        self.schedule.note(f"{self.node} stops of {error}")
        self._stop(process, is_silent=False)
        self.in_flight = process.in_flight()
        self.disk.kill()
        self.schedule.after(self.rng.randrange(100 * MS, 1500 * MS), self.start)

    def _stop(self, process: Process, *, is_silent: bool) -> None:
        self.process = None
        process.stop()
        self.network.stop(self.node, is_silent=is_silent)

    def heal(self) -> None:
        self.disk.calm()
        self.disk_profile.stalled_until_ns = 0
        self.clock.skew_ms = 0
        if self.process is None:
            self.schedule.after(self.rng.randrange(MS, 300 * MS), self.start)

    def ask(self, request: Request, answer: Callable[[Outcome], None]) -> None:
        """A client's request arrives; with nobody there the connection is refused."""
        if self.process is None:
            answer(NotApplied(NotLeader(None)))
        else:
            self.process.ask(request, answer)

    def change_settings(self, pairs: Pairs, answer: Callable[[Outcome], None]) -> None:
        if self.process is None:
            answer(NotApplied(NotLeader(None)))
        else:
            self.process.change_settings(pairs, answer)
