"""What a router is told, and what it counts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RouterConfig:
    timeout_s: float = 10.0  # Of a command whose caller names none.
    session_timeout_ms: int = 600_000  # Unused for so long it is forgotten by the shards.
    pending_max: int = 100_000  # Commands that wait for an answer.
    pending_bytes_max: int = 256 << 20  # And their bytes.
    zone: str = ""  # Where this client is: stale reads and the like prefer nodes of it.


@dataclass(slots=True)
class RouterStats:
    commands: int = 0
    batches: int = 0  # Tries sent.
    retries: int = 0
    unknown: int = 0  # Commands that ended as OutcomeUnknown,
    not_applied: int = 0  # and as NotApplied.
    sessions_opened: int = 0
    sessions_lost: int = 0
