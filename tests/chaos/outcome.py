"""What a scenario comes to."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Outcome:
    """One line of the summary."""

    scenario: str
    violations: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    faults: int = 0
