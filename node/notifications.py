"""What an entry tells the world beside its replies: messages it publishes, and what it did to keys.

Called where the entry was proposed, and nowhere else (correctness A7): replicas and replays are
silent. Names and payloads of keyspace notifications are Redis's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .subscriptions import CHANNEL, SHARD

if TYPE_CHECKING:
    from .commands.context import Publication
    from .pubsub import PubSub


class Notifications:
    def __init__(self, pubsub: PubSub) -> None:
        self._pubsub = pubsub

    def publish(self, one: Publication) -> int:
        """Send it; how many get it."""
        return self._pubsub.publish(SHARD if one.is_sharded else CHANNEL, one.channel, one.payload)

    def tell(self, events: Iterable[tuple[int, str, bytes]], wanted: str) -> None:
        """Publish what happened to keys (database, event, key), in the forms that the value of
        notify-keyspace-events asks for."""
        if not self._pubsub.has_listeners:
            return
        publish = self._pubsub.publish
        by_key, by_event = "K" in wanted, "E" in wanted
        for db, event, key in events:
            name = event.encode()
            if by_key:
                publish(CHANNEL, b"__keyspace@%d__:%b" % (db, key), name)
            if by_event:
                publish(CHANNEL, b"__keyevent@%d__:%b" % (db, name), key)
