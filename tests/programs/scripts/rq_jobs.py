"""What RQ's worker is to do."""

from __future__ import annotations

from pathlib import Path


def add(one: int, two: int) -> int:
    return one + two


def fail() -> None:
    raise ValueError("it always fails")


def fail_once(marker: str) -> str:
    path = Path(marker)
    if not path.exists():
        path.touch()
        raise ValueError("the first time it fails")
    return "at the second try"
