"""Clusters as a user starts them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .command import Up, free_base

if TYPE_CHECKING:
    import random

    from ..chaos.processes import Processes

StartUp = Callable[..., Up]


@pytest.fixture
def start_up(processes: Processes, ports_rng: random.Random, tmp_path: Path) -> Iterator[StartUp]:
    """Starts `trimaran up` on free ports; at the end of the test everything is stopped."""
    started: list[Up] = []

    def start(*options: str, data: Path | None = None, host: str = "127.0.0.1") -> Up:
        port = free_base(ports_rng, host)
        up = Up(processes, data or tmp_path / "data", port, *options, host=host)
        started.append(up)
        return up

    yield start
    for up in started:
        if up.process.is_running:
            up.stop()
        for pid in up.nodes_left():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
