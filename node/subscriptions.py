"""What a client can listen to, and what it does listen to. Read `pubsub.py` next."""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol


class Kind(IntEnum):
    """What can be subscribed to. The numbers are part of what nodes say to each other."""

    CHANNEL = 0
    PATTERN = 1
    SHARD = 2  # A channel of its own name space, whose slot says which node serves it.


CHANNEL, PATTERN, SHARD = Kind.CHANNEL, Kind.PATTERN, Kind.SHARD


class Subscriber(Protocol):
    """A client, as far as messages are concerned."""

    protocol: int

    @property
    def is_lost(self) -> bool:
        """It is gone."""
        ...

    def push_messages(self, data: bytes, count: int) -> None:
        """Write so many messages; one that reads too slowly ends itself."""
        ...


class Subscriptions:
    """What one client listens to."""

    __slots__ = ("names",)

    def __init__(self) -> None:
        self.names: tuple[dict[bytes, None], ...] = ({}, {}, {})

    @property
    def count(self) -> int:
        """Channels and patterns, as replies to SUBSCRIBE count them."""
        return len(self.names[CHANNEL]) + len(self.names[PATTERN])

    @property
    def total(self) -> int:
        return sum(map(len, self.names))
