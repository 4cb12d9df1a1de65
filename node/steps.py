"""Long work in steps, so that whoever drives it decides how much of it to do at a time.

A generator that yields between steps of at most a millisecond or so: how many bytes it has got
through since it yielded last, or work that only waits for the disk, whose result it is sent. The
simulator and tests run it through; a node's event loop takes it in slices (`loading.py`), and
gives what waits for the disk to a thread. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeAlias, TypeVar  # Any: each piece of work has a result of its own.

T = TypeVar("T")

Steps: TypeAlias = Generator[int | Callable[[], Any], Any, T]


def run_through(steps: Steps[T]) -> T:
    """Do all of it now; what it comes to."""
    result: Any = None
    while True:
        try:
            step = steps.send(result)
        except StopIteration as end:
            value: T = end.value
            return value
        result = None if isinstance(step, int) else step()
