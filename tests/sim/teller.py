"""What nodes tell beside their answers, as the doors of a node would hear it: told to the judge."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from trimaran.node.notifications import Notifications

if TYPE_CHECKING:
    from trimaran.node.commands.context import Publication

HEARD = 1  # So many get each message.


class Teller(Notifications):
    """Of one shard of one process; `published` is called with each message."""

    def __init__(self, published: Callable[[bytes], None]) -> None:
        self._published = published  # Everybody listens: no broker is asked.
        self._left = 0  # Events of the entry, not told yet.

    def expect(self, events: int) -> None:
        """An entry with so many events is told, over some slices."""
        assert not self._left, f"{self._left} events of an entry were not told"
        self._left = events

    def publish(self, one: Publication) -> int:
        self._published(one.payload)
        return HEARD

    def tell(self, events: Iterable[tuple[int, str, bytes]], wanted: str) -> None:
        assert wanted, "nobody wants to know"
        self._left -= len(list(events))
        assert self._left >= 0, "events are told twice"
