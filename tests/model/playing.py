"""Playing the machine for a time, seed after seed, and how a seed is played again."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from .machine import BothMachine
from .targets import tag_on_shard_0

if TYPE_CHECKING:
    from .targets import RedisTarget, Target

EXAMPLES = 5  # Of one seed, for some seconds; the next seed follows.
STEPS = 50
HOMES = (0, 9)  # Databases: one that is sharded, where all keys have one tag, and one that is not.


@dataclass(frozen=True, slots=True)
class Play:
    ours: Target
    theirs: RedisTarget
    is_node: bool
    homes: tuple[int, ...] = HOMES
    protocols: tuple[int, ...] = (2, 3)

    def run(self, first_seed: int, seconds: float) -> int:
        """The seed that would be next; what fails says how it is played again."""
        end = time.monotonic() + seconds
        number = first_seed
        while time.monotonic() < end:
            try:
                self.run_one(number)
            except Exception as error:
                error.add_note(f"Again: {self.command(number)}")
                raise
            number += 1
        return number

    def run_one(self, number: int) -> None:
        home = self.homes[number % len(self.homes)]
        prefix = tag_on_shard_0() if self.is_node and home == 0 else b""
        self.ours.prefix = self.theirs.prefix = prefix
        names = {"ours": self.ours, "redis": self.theirs, "home": home, "protocols": self.protocols}
        machine = type("Machine", (BothMachine,), names)
        run_state_machine_as_test(seed(number)(machine), settings=_SETTINGS)

    def command(self, number: int) -> str:
        words = [f"make model SEED={number} SECONDS=1"]
        words += [] if self.is_node else ["MEMORY=1"]
        words += [f"DB={self.homes[0]}"] if len(self.homes) == 1 else []
        words += [f"RESP={self.protocols[0]}"] if len(self.protocols) == 1 else []
        return " ".join(words)


_SETTINGS = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    phases=[Phase.generate],  # Shrinking takes minutes.
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
