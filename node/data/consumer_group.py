"""A consumer group of a stream: how far it has read, who reads, and what is not acknowledged yet.

Every pending entry belongs to one consumer: the group knows whose it is, when it was delivered and
how often; the consumer knows only which are its own. Groups and consumers are shared between copies
of a stream until one side changes them (`Owner`). Sizes follow from the state alone, so that they
are the same on every replica. Read `stream.py` next.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from .id_map import Columns, IdMap, Owner

UNKNOWN = -1  # Entries read by a group that began, or was set, where that cannot be known.
NEVER_MS = -1

GROUP_BYTES = 380  # Beside its name; the dict of its consumers and its place in one included.
CONSUMER_BYTES = 300
PENDING_BYTES = 84  # The id, its place in the group's map and in the consumer's, and its row.
FIRST_PENDING_BYTES = 420  # The first block of the group's map,
FIRST_OWN_BYTES = 180  # and of a consumer's.


def _columns() -> Columns:
    """Of pending entries: whose, when delivered last, how often."""
    return [], array("q"), array("q")


class Consumer:
    __slots__ = ("active_ms", "name", "owner", "pending", "seen_ms")

    def __init__(self, owner: Owner, name: bytes, seen_ms: int, active_ms: int = NEVER_MS) -> None:
        self.owner = owner
        self.name = name
        self.seen_ms = seen_ms  # When it last came,
        self.active_ms = active_ms  # and when it last got something.
        self.pending = IdMap(owner)

    def copy(self, owner: Owner) -> Consumer:
        copy = Consumer(owner, self.name, self.seen_ms, self.active_ms)
        copy.pending = self.pending.copy(owner)
        return copy


class Group:
    """Its stream gives it out to be changed (`Stream.change_group`)."""

    __slots__ = ("consumers", "entries_read", "last_id", "name", "owner", "pending")

    def __init__(self, owner: Owner, name: bytes, last_id: int, entries_read: int) -> None:
        self.owner = owner
        self.name = name
        self.last_id = last_id  # Delivered last.
        self.entries_read = entries_read
        self.pending = IdMap(owner, _columns)
        self.consumers: dict[bytes, Consumer] = {}

    def copy(self, owner: Owner) -> Group:
        copy = Group(owner, self.name, self.last_id, self.entries_read)
        copy.pending = self.pending.copy(owner)
        copy.consumers = self.consumers.copy()
        return copy

    @property
    def size_bytes(self) -> int:
        """Of the group with all that is in it; O(consumers)."""
        size = GROUP_BYTES + len(self.name) + PENDING_BYTES * len(self.pending)
        size += FIRST_PENDING_BYTES if self.pending else 0
        for consumer in self.consumers.values():
            size += CONSUMER_BYTES + len(consumer.name)
            size += FIRST_OWN_BYTES if consumer.pending else 0
        return size

    # --- Consumers.

    def in_order(self) -> Iterator[Consumer]:
        """The consumers by name."""
        for name in sorted(self.consumers):
            yield self.consumers[name]

    def change_consumer(self, name: bytes) -> Consumer | None:
        """A consumer to be changed, if there is one of that name."""
        consumer = self.consumers.get(name)
        if consumer is not None and consumer.owner is not self.owner:
            consumer = self.consumers[name] = consumer.copy(self.owner)
        return consumer

    def add_consumer(self, name: bytes, seen_ms: int, active_ms: int = NEVER_MS) -> Consumer:
        consumer = self.consumers[name] = Consumer(self.owner, name, seen_ms, active_ms)
        self.owner.bytes += CONSUMER_BYTES + len(name)
        return consumer

    def remove_consumer(self, name: bytes) -> int | None:
        """How many pending entries go with it; None if there is no such consumer."""
        consumer = self.consumers.get(name)
        if consumer is None:
            return None
        count = len(consumer.pending)
        if count:
            self.pending.remove_rows(name)
            self.owner.bytes -= PENDING_BYTES * count + FIRST_OWN_BYTES
            if not self.pending:
                self.owner.bytes -= FIRST_PENDING_BYTES
        del self.consumers[name]
        self.owner.bytes -= CONSUMER_BYTES + len(name)
        return count

    # --- Pending entries.

    def pending_of(self, id_: int) -> tuple[bytes, int, int] | None:
        """Whose an entry is, when it was delivered last, how often; None if it is not pending."""
        return self.pending.get(id_)

    def assign(self, id_: int, consumer: Consumer, delivered_ms: int, count: int) -> None:
        """Make an entry pending with `consumer`, which was given out to be changed, whoever had it
        before."""
        before = self.pending.get(id_)
        if before is None:
            self._count(self.pending, FIRST_PENDING_BYTES, PENDING_BYTES)
        elif before[0] != consumer.name:
            self._disown(before[0], id_)
        self.pending.put(id_, consumer.name, delivered_ms, count)
        if before is None or before[0] != consumer.name:
            self._count(consumer.pending, FIRST_OWN_BYTES, 0)
            consumer.pending.put(id_)

    def assign_all(self, ids: list[int], consumer: Consumer, delivered_ms: int, count: int) -> None:
        """`assign` for ids in order, at least one; quick for those above all that are pending."""
        if self.pending and ids[0] <= self.pending.last():
            for id_ in ids:
                self.assign(id_, consumer, delivered_ms, count)
            return
        self._count(self.pending, FIRST_PENDING_BYTES, PENDING_BYTES * len(ids))
        self._count(consumer.pending, FIRST_OWN_BYTES, 0)
        self.pending.append_all(ids, consumer.name, delivered_ms, count)
        consumer.pending.append_all(ids)

    def acknowledge(self, id_: int) -> bool:
        """Whether the entry was pending; it is not any more."""
        row = self.pending.get(id_)
        if row is None:
            return False
        self.pending.remove(id_)
        self._count(self.pending, -FIRST_PENDING_BYTES, -PENDING_BYTES)
        self._disown(row[0], id_)
        return True

    def _disown(self, name: bytes, id_: int) -> None:
        consumer = self.change_consumer(name)
        assert consumer is not None, "a pending entry of nobody"
        consumer.pending.remove(id_)
        self._count(consumer.pending, -FIRST_OWN_BYTES, 0)

    def _count(self, entries: IdMap, first_bytes: int, each_bytes: int) -> None:
        """Asked while `entries` is without what comes or goes."""
        self.owner.bytes += each_bytes if entries else first_bytes + each_bytes
