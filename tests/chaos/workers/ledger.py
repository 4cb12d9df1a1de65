"""What one client asked and was told, of keys nobody else touches. `ledger.cjs` is the same."""

from __future__ import annotations

import json
import random
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict  # Any: what libraries answer.

KINDS = ("counter", "log", "register", "read")
WEIGHTS = (35, 25, 20, 20)
TOKENS_PER_LOG = 200
PAUSE_S = 0.02
PAUSE_AFTER_ERROR_S = 0.05
ERROR_CHARS = 90


class Plan(TypedDict):
    """What the scenario tells a worker, as JSON on the command line."""

    kind: str
    port: int
    ports: list[int]
    db: int
    prefix: str
    seed: int
    result: str


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the library."""

    kind: str
    words: tuple[str, ...]


class Lane:
    """One caller: asks, waits, asks again; so its own calls have an order."""

    def __init__(self, prefix: str, rng: random.Random) -> None:
        self._prefix = prefix
        self._rng = rng
        self._tokens = 0
        self._last_count = 0
        self._last_length = 0
        self.counter = {"asked": 0, "acknowledged": 0}
        self.logs: dict[str, list[int]] = {}
        self.last: str | None = None
        self.unknown: list[str] = []
        self.faults: list[str] = []

    def next(self) -> Call:
        (kind,) = self._rng.choices(KINDS, WEIGHTS)
        if kind == "counter":
            self.counter["asked"] += 1
            return Call(kind, ("INCR", f"{self._prefix}:counter"))
        if kind == "log":
            key = f"{self._prefix}:log:{self._tokens // TOKENS_PER_LOG}"
            if key not in self.logs:
                self.logs[key] = []
                self._last_length = 0
            self._tokens += 1
            return Call(kind, ("APPEND", key, f"{self._tokens};"))
        if kind == "register":
            self._tokens += 1
            return Call(kind, ("SET", f"{self._prefix}:register", f"v{self._tokens}"))
        return Call(kind, ("GET", f"{self._prefix}:register"))

    def answered(self, call: Call, reply: Any) -> None:
        if call.kind == "counter":
            self.counter["acknowledged"] += 1
            self._check(int(reply) > self._last_count, call, reply, self._last_count)
            self._last_count = int(reply)
        elif call.kind == "log":
            self._check(int(reply) > self._last_length, call, reply, self._last_length)
            self._last_length = int(reply)
            self.logs[call.words[1]].append(int(call.words[2][:-1]))
        elif call.kind == "register":
            self.last = call.words[2]
        else:
            value = reply.decode() if isinstance(reply, bytes) else reply
            self._check(value == self.last or value in self.unknown, call, value, self.last)

    def failed(self, call: Call) -> None:
        """It may have been applied, or be applied yet."""
        if call.kind == "register":
            self.unknown.append(call.words[2])

    def _check(self, is_so: bool, call: Call, reply: object, known: object) -> None:  # noqa: FBT001
        if not is_so:
            self.faults.append(f"{' '.join(call.words)} answered {reply!r} after {known!r}")


class Ledger:
    """All lanes of one worker, its errors and its slowest call."""

    def __init__(self, plan: Plan, lanes: int) -> None:
        self._plan = plan
        rng = random.Random(plan["seed"])
        self.lanes = {
            f"{plan['prefix']}:{number}": Lane(f"{plan['prefix']}:{number}", rng)
            for number in range(lanes)
        }
        self.errors: Counter[str] = Counter()
        self.calls = 0
        self.slowest_s = 0.0
        self.is_stopping = False
        signal.signal(signal.SIGTERM, self._stop)

    def _stop(self, *_: object) -> None:
        self.is_stopping = True

    def work(self, lane: Lane, ask: Callable[[tuple[str, ...]], Any]) -> None:
        """One caller's life, until SIGTERM."""
        while not self.is_stopping:
            call, started = lane.next(), time.monotonic()
            try:
                reply = ask(call.words)
            except Exception as error:  # noqa: BLE001  # Which ones there are is the question.
                self._failed(lane, call, error)
                time.sleep(PAUSE_AFTER_ERROR_S)
            else:
                lane.answered(call, reply)
                time.sleep(PAUSE_S)
            self._timed(started)

    def repeat(self, lane: Lane, call: Call, ask: Callable[[Call], None]) -> None:
        """The same for a program that does its own counting."""
        while not self.is_stopping:
            started = time.monotonic()
            try:
                ask(call)
            except Exception as error:  # noqa: BLE001  # As above.
                self._failed(lane, call, error)
            time.sleep(PAUSE_AFTER_ERROR_S)
            self._timed(started)

    async def work_async(
        self, lane: Lane, ask: Callable[[tuple[str, ...]], Awaitable[Any]], pause: Any
    ) -> None:
        """The same in asyncio; `pause` is its sleep."""
        while not self.is_stopping:
            call, started = lane.next(), time.monotonic()
            try:
                reply = await ask(call.words)
            except Exception as error:  # noqa: BLE001  # As above.
                self._failed(lane, call, error)
                await pause(PAUSE_AFTER_ERROR_S)
            else:
                lane.answered(call, reply)
                await pause(PAUSE_S)
            self._timed(started)

    def _failed(self, lane: Lane, call: Call, error: Exception) -> None:
        lane.failed(call)
        text = re.sub(r"\d+", "N", f"{type(error).__name__}: {error}")
        self.errors[" ".join(text.split())[:ERROR_CHARS]] += 1

    def _timed(self, started: float) -> None:
        self.calls += 1
        self.slowest_s = max(self.slowest_s, time.monotonic() - started)

    def write(self) -> None:
        told = {
            "calls": self.calls,
            "errors": self.errors,
            "slowest_ms": round(1000 * self.slowest_s),
            "faults": [fault for lane in self.lanes.values() for fault in lane.faults],
            "counters": {f"{name}:counter": lane.counter for name, lane in self.lanes.items()},
            "logs": {key: log for lane in self.lanes.values() for key, log in lane.logs.items()},
            "registers": {
                f"{name}:register": {"last": lane.last, "unknown": lane.unknown}
                for name, lane in self.lanes.items()
            },
        }
        path = Path(self._plan["result"])
        path.with_suffix(".new").write_text(json.dumps(told))
        path.with_suffix(".new").rename(path)


def read_plan() -> Plan:
    plan: Plan = json.loads(sys.argv[1])
    return plan
