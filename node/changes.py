"""Word that something clients watch may have changed: topology, leaders, who is reachable."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Changes:
    """Says that who leads, who is reachable or the topology may have changed.

    Who watches waits for its event and then looks at everything, so what changes meanwhile, in one
    turn of the loop or while a slow watcher writes, is told once.
    """

    def __init__(self) -> None:
        self._watchers: set[asyncio.Event] = set()
        self.version = 0

    def tell(self) -> None:
        self.version += 1
        for watcher in self._watchers:
            watcher.set()

    @contextmanager
    def watch(self) -> Iterator[asyncio.Event]:
        """An event that is set by each change; who waits for it clears it."""
        watcher = asyncio.Event()
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)
