"""Where the keys of one database of one shard lie: slot -> bucket -> key.

Every slot has its own dicts, so that no single dict grows large: resizing, listing or copying one
stops the loop for as long as it is (correctness E3). One hash tag can still put a million keys in a
slot: a slot that outgrows its bucket becomes a directory of buckets by the first bits of a stable
hash of the key (extendible hashing). The order by (slot, hash) is also the order of SCAN. Nothing
here knows stamps, types or snapshots; `keyspace.py` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import heapify, heappop, heappush
from itertools import islice, repeat
from typing import TYPE_CHECKING, Any  # Values of every type.

import mmh3

from ...cluster.slots import SLOTS, slot_of

if TYPE_CHECKING:
    from .cut import Held

BUCKET_KEYS_MAX = 1024
SPLIT_BITS_MAX = 16  # Keys made to collide stop splitting here; their bucket just grows.
HASH_BITS = 32  # As cluster/routing.py takes SCAN cursors apart.
HASH_MAX = (1 << HASH_BITS) - 1
NEVER = 1 << 63  # Later than any expiry.

Slots = list["Bucket | Directory | None"]


def place_of(key: bytes) -> int:
    """The place of `key` within its slot: the same number in every process and on every node."""
    return mmh3.hash(key, 0, False)  # noqa: FBT003 - unsigned; mmh3 takes it fastest by place.


def places_of(keys: Iterable[bytes]) -> Iterator[int]:
    """`place_of` each: sooner for many."""
    return map(mmh3.hash, keys, repeat(0), repeat(False))  # noqa: FBT003 - as above.


class Bucket:
    """Some keys of one slot: all of them, or those whose hash begins with certain bits."""

    __slots__ = ("bits", "digest", "expiries", "held", "inside", "next_due_ms", "used_at",
                 "values")  # fmt: skip

    def __init__(self, bits: int, held: Held | None) -> None:
        self.values: dict[bytes, Any] = {}
        self.expiries: dict[bytes, int] = {}
        # Keys that hold what expires by itself, fields of a hash, and when to look for due ones.
        self.inside: dict[bytes, int] | None = None
        self.next_due_ms = NEVER  # No expiry in here is earlier; none may be that early.
        self.digest: int | None = None  # Of all keys in here; None once changed.
        self.used_at = (
            0  # When a key in here was used last: told to who asks, no part of the state.
        )
        self.bits = bits  # How many bits of the hash all its keys share.
        self.held = held  # What the running snapshot keeps of it, or a past one kept.

    def earliest_ms(self) -> int:
        """When something in here comes due, keys or what is inside; NEVER if nothing does."""
        first = min(self.expiries.values(), default=NEVER)
        return min(first, min(self.inside.values())) if self.inside else first

    def look_inside(self, key: bytes, at_ms: int) -> None:
        """Something inside of `key` comes due at `at_ms`, NEVER if nothing does."""
        if at_ms != NEVER:
            if self.inside is None:
                self.inside = {}
            self.inside[key] = at_ms
        elif self.inside is not None:
            self.inside.pop(key, None)


class Directory:
    """The buckets of a slot that outgrew one: 2**bits places, several of them may share one."""

    __slots__ = ("bits", "buckets")

    def __init__(self, bucket: Bucket) -> None:
        self.bits = 0
        self.buckets = [bucket]

    def replace(self, place: int, old: Bucket, low: Bucket, high: Bucket) -> None:
        """Put the halves of `old`, which holds the hash `place`, where it was."""
        if old.bits == self.bits:
            self.buckets = [bucket for bucket in self.buckets for _ in (0, 1)]
            self.bits += 1
        width = 1 << (self.bits - old.bits)
        start = (place >> (HASH_BITS - self.bits)) & -width
        middle = start + width // 2
        self.buckets[start:middle] = [low] * (width // 2)
        self.buckets[middle : start + width] = [high] * (width // 2)


def _buckets_from(slot: Bucket | Directory, place: int) -> Iterator[tuple[Bucket, int]]:
    """The buckets of a slot in the order of hashes from `place` on, and where each ends."""
    if isinstance(slot, Bucket):
        yield slot, HASH_MAX + 1
        return
    while place <= HASH_MAX:
        bucket = slot.buckets[place >> (HASH_BITS - slot.bits)]
        width = 1 << (HASH_BITS - bucket.bits)
        place = (place & -width) + width
        yield bucket, place


def buckets_of(slots: Slots) -> Iterator[Bucket]:
    """All buckets, each once."""
    for slot in slots:
        if slot is not None:
            for bucket, _ in _buckets_from(slot, 0):
                yield bucket


class Database:
    """All keys of one database, with their counts and what comes due next."""

    __slots__ = (
        "buckets",
        "count",
        "digest_sum",
        "dirty",
        "due",
        "expiries_sum_ms",
        "expiring",
        "memory_bytes",
        "number",
        "occupied",
        "scheduled",
        "slots",
    )

    def __init__(self, number: int) -> None:
        self.number = number
        self.slots: Slots = [None] * SLOTS
        self.occupied = bytearray(SLOTS)  # 1 where there is a bucket: finds the next one fast.
        self.buckets = 0
        self.count = 0  # Keys, those due and not yet removed included.
        self.memory_bytes = 0
        self.expiring = 0  # Keys with an expiry,
        self.expiries_sum_ms = 0  # and the sum of those, for INFO.
        self.digest_sum = 0  # Over all buckets that are not in `dirty`.
        self.dirty: list[Bucket] = []
        # Heap of (next_due_ms, tie breaker, bucket). One is stale when its bucket says otherwise.
        self.due: list[tuple[int, int, Bucket]] = []
        self.scheduled = 0  # The last tie breaker.

    def bucket(self, key: bytes) -> Bucket | None:
        """The bucket `key` would be in, if there is one."""
        slot = self.slots[slot_of(key)]
        if type(slot) is Directory:
            return slot.buckets[place_of(key) >> (HASH_BITS - slot.bits)]
        return slot  # type: ignore[return-value]  # mypy does not narrow the else of `type() is`.

    def add_bucket(self, key: bytes, held: Held | None) -> Bucket:
        bucket = Bucket(0, held)
        number = slot_of(key)
        self.slots[number] = bucket
        self.occupied[number] = 1
        self.buckets += 1
        self.dirty.append(bucket)
        return bucket

    def split(self, key: bytes, bucket: Bucket) -> None:
        """Two buckets for the full one that holds `key`. Empty ones stay: they cost little."""
        if bucket.bits >= SPLIT_BITS_MAX:
            return
        number = slot_of(key)
        slot = self.slots[number]
        if not isinstance(slot, Directory):
            self.slots[number] = slot = Directory(bucket)
        low, high = Bucket(bucket.bits + 1, bucket.held), Bucket(bucket.bits + 1, bucket.held)
        low.used_at = high.used_at = bucket.used_at
        bit = 1 << (HASH_BITS - 1 - bucket.bits)
        for name, value in bucket.values.items():
            half = high if place_of(name) & bit else low
            half.values[name] = value
            if name in bucket.expiries:
                half.expiries[name] = bucket.expiries[name]
            if bucket.inside is not None and name in bucket.inside:
                half.look_inside(name, bucket.inside[name])
        slot.replace(place_of(key), bucket, low, high)
        self.buckets += 1
        # The heap may still know it.
        bucket.values, bucket.expiries, bucket.inside = {}, {}, None
        for half in (low, high):
            self.dirty.append(half)
            self.schedule(half, half.earliest_ms())

    def is_alone(self, key: bytes, bucket: Bucket) -> bool:
        """Whether no key lies in another bucket of the slot of `key` than in `bucket`, its own."""
        if not bucket.bits:
            return True
        others = self.buckets_in(slot_of(key))
        return not any(one.values for one in others if one is not bucket)

    def expires_alone(self, key: bytes, bucket: Bucket) -> bool:
        """The same of keys that expire."""
        if not bucket.bits:
            return True
        others = self.buckets_in(slot_of(key))
        return not any(one.expiries for one in others if one is not bucket)

    # --- What comes due.

    def schedule(self, bucket: Bucket, at_ms: int) -> None:
        """Something in `bucket` is due at `at_ms`, nothing known of it earlier."""
        bucket.next_due_ms = at_ms
        if at_ms == NEVER:
            return
        if len(self.due) > 4 * self.buckets + 1024:
            # Expiries moved ever earlier left that many stale ones.
            live = [one for one in buckets_of(self.slots) if one.next_due_ms != NEVER]
            self.due = [(one.next_due_ms, number, one) for number, one in enumerate(live)]
            self.scheduled = len(live)
            heapify(self.due)
        self.scheduled += 1
        heappush(self.due, (at_ms, self.scheduled, bucket))

    def find_due(self, now_ms: int, limit: int) -> list[bytes]:
        """At most `limit` keys that are due, or something inside; they stay so until it is removed.

        Fewer than there are, or none, when it comes upon many buckets that were emptied, or that
        hold much that is not due: those cost time too, and are looked at a part at a time.
        """
        keys: list[bytes] = []
        seen: dict[int, Bucket] = {}
        looks = limit + 64
        while self.due and self.due[0][0] <= now_ms and len(keys) < limit and looks > 0:
            at_ms, _, bucket = heappop(self.due)
            looks -= 1 + len(bucket.expiries) // 16
            if bucket.next_due_ms != at_ms or id(bucket) in seen:
                continue
            seen[id(bucket)] = bucket
            for key, expiry_ms in bucket.expiries.items():
                if expiry_ms <= now_ms:
                    keys.append(key)
            if bucket.inside is not None:
                for key, look_ms in bucket.inside.items():
                    if look_ms <= now_ms < bucket.expiries.get(key, NEVER):
                        keys.append(key)
        for bucket in seen.values():
            self.schedule(bucket, bucket.earliest_ms())
        return keys[:limit]

    # --- By chance, for eviction: different on every replica.

    def sample(
        self, count: int, random: Callable[[], float], *, is_volatile: bool
    ) -> list[tuple[Bucket, bytes]]:
        """About `count` keys, of several buckets unless they are full, perhaps some of them twice;
        with `is_volatile` those that have an expiry."""
        found: list[tuple[Bucket, bytes]] = []
        for _ in range(count + 16):
            bucket = self._any_bucket(random, is_volatile=is_volatile)
            if bucket is not None:
                keys = bucket.expiries if is_volatile else bucket.values
                # Neighbours came at about the same time: those far apart are worth comparing.
                step = max(len(keys) // count, 1)
                spread = islice(keys, int(random() * step), None, step)
                found += [(bucket, key) for key in islice(spread, count - len(found))]
                if len(found) >= count:
                    break
        return found

    def _any_bucket(self, random: Callable[[], float], *, is_volatile: bool) -> Bucket | None:
        if is_volatile:
            return self.due[int(random() * len(self.due))][2] if self.due else None
        number = self.occupied.find(1, int(random() * SLOTS))
        slot = self.slots[number if number >= 0 else self.occupied.find(1)]
        if isinstance(slot, Directory):
            return slot.buckets[int(random() * len(slot.buckets))]
        return slot

    # --- Walking in the order of (slot, hash), never of dicts: the same on every replica.

    def page(self, cursor: int, count: int) -> tuple[int, list[tuple[Bucket, bytes]]]:
        """About `count` keys from `cursor` on, and the cursor behind them, 0 at the end.

        A key that is there all the while is met exactly once, whatever comes and goes beside it:
        its place is its own. Keys of one hash come together, so a page can be a little longer.
        """
        found: list[tuple[Bucket, bytes]] = []
        first, place = cursor >> HASH_BITS, cursor & HASH_MAX
        for number in self._occupied_from(first):
            if number != first:
                place = 0
            slot = self.slots[number]
            assert slot is not None
            for bucket, end in _buckets_from(slot, place):
                if not bucket.values:
                    continue
                if len(found) >= count:
                    return number << HASH_BITS | (end - (HASH_MAX + 1 >> bucket.bits)), found
                last = _take(bucket, place, count - len(found), found)
                if last is not None:
                    return number << HASH_BITS | last + 1, found
                place = end
        return 0, found

    def nth(self, number: int) -> tuple[Bucket, bytes]:
        """The key at `number` (less than `count`) in the order of (slot, hash)."""
        for occupied in self._occupied_from(0):
            for bucket in self.buckets_in(occupied):
                if number < len(bucket.values):
                    return bucket, _in_order(bucket, 0)[number][1]
                number -= len(bucket.values)
        raise IndexError(number)

    def buckets_in(self, slot: int) -> Iterator[Bucket]:
        """Those of one slot, in the order of hashes."""
        content = self.slots[slot]
        if content is not None:
            for bucket, _ in _buckets_from(content, 0):
                yield bucket

    def _occupied_from(self, number: int) -> Iterator[int]:
        """The slots from `number` on that have buckets."""
        while (number := self.occupied.find(1, number)) >= 0:
            yield number
            number += 1


def _in_order(bucket: Bucket, place: int) -> list[tuple[int, bytes]]:
    return sorted([one for key in bucket.values if (one := (place_of(key), key))[0] >= place])


def _take(bucket: Bucket, place: int, room: int, found: list[tuple[Bucket, bytes]]) -> int | None:
    """Move up to `room` keys to `found`; the last hash taken if others are left behind it."""
    ordered = _in_order(bucket, place)
    end = room
    if room < len(ordered):
        while end < len(ordered) and ordered[end][0] == ordered[room - 1][0]:
            end += 1
    found.extend((bucket, key) for _, key in ordered[:end])
    return ordered[end - 1][0] if end < len(ordered) else None
