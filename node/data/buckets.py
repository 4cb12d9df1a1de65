"""Where the keys of one database of one shard lie: position -> bucket -> key.

The position of a key is its slot and a stable hash of it. A bucket holds the keys of a range of
positions, at first all of them; one that is full becomes two, each of half the range, down to one
slot, and in a directory of that slot on to a part of its hashes: one hash tag can have a million
keys (extendible hashing). So no dict grows large, since to resize, list or copy one stops the loop
for as long as it is (correctness E3), and few keys share few buckets, which cost more than a key.
The order of positions is also the order of SCAN. Nothing here knows stamps, types or snapshots;
`keyspace.py` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import heapify, heappop, heappush
from itertools import chain, groupby, islice, repeat
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final  # Any: values of every type.

import mmh3

from ...cluster.slots import SLOTS, slot_of

if TYPE_CHECKING:
    from .cut import Held

# What the process takes beside names and values, about; tests/unit/data/test_memory.py measures it:
KEY_BYTES: Final = 122  # of a key: two object headers, a place in a dict, its part of a bucket,
EXPIRY_BYTES: Final = 72  # and of an expiry: a number and a place in a dict.

BUCKET_KEYS_MAX: Final = 84  # What a dict of 128 places takes before it doubles, less one.
SLOT_BITS: Final = 14
HASH_BITS: Final = 32  # As cluster/routing.py takes SCAN cursors apart.
POSITION_BITS: Final = SLOT_BITS + HASH_BITS
SPLIT_BITS_MAX: Final = SLOT_BITS + 16  # Keys made to collide stop splitting here.
HASH_MAX: Final = (1 << HASH_BITS) - 1
NEVER: Final = 1 << 63  # Later than any expiry.
_STEPS_MAX: Final = 64  # Empty buckets that are passed over to find some key.

Slots = list["Bucket | Directory"]


def place_of(key: bytes) -> int:
    """The place of `key` within its slot: the same number in every process and on every node."""
    return mmh3.hash(key, 0, False)  # noqa: FBT003 - unsigned; mmh3 takes it fastest by place.


def places_of(keys: Iterable[bytes]) -> Iterator[int]:
    """`place_of` each: sooner for many."""
    return map(mmh3.hash, keys, repeat(0), repeat(False))  # noqa: FBT003 - as above.


def position_of(key: bytes) -> int:
    """The place of `key` among all keys of a database."""
    return slot_of(key) << HASH_BITS | place_of(key)


class Bucket:
    """The keys whose positions begin with certain bits."""

    __slots__ = ("bits", "digest", "expiries", "held", "inside", "next_due_ms", "values")

    def __init__(self, bits: int, held: Held | None) -> None:
        self.values: dict[bytes, Any] = {}
        self.expiries: dict[bytes, int] = {}
        # Keys that hold what expires by itself, fields of a hash, and when to look for due ones.
        self.inside: dict[bytes, int] | None = None
        self.next_due_ms = NEVER  # No expiry in here is earlier; none may be that early.
        self.digest: int | None = None  # Of all keys in here; None once changed.
        self.bits = bits  # How many bits of their position all its keys share.
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
        self.bits = 0  # Of the hash.
        self.buckets = [bucket]

    def replace(self, place: int, old: Bucket, low: Bucket, high: Bucket) -> None:
        """Put the halves of `old`, which holds the hash `place`, where it was."""
        old_bits = old.bits - SLOT_BITS
        if old_bits == self.bits:
            self.buckets = [bucket for bucket in self.buckets for _ in (0, 1)]
            self.bits += 1
        width = 1 << (self.bits - old_bits)
        start = (place >> (HASH_BITS - self.bits)) & -width
        middle = start + width // 2
        self.buckets[start:middle] = [low] * (width // 2)
        self.buckets[middle : start + width] = [high] * (width // 2)


def _bucket_at(slots: Slots, position: int) -> Bucket:
    slot = slots[position >> HASH_BITS]
    if isinstance(slot, Bucket):
        return slot
    return slot.buckets[(position & HASH_MAX) >> (HASH_BITS - slot.bits)]


def buckets_from(slots: Slots, position: int = 0) -> Iterator[tuple[Bucket, int, int]]:
    """The buckets in order, each once, with the range of positions that is walked of it. They may
    be split meanwhile: what is walked already is not walked again."""
    while position < 1 << POSITION_BITS:
        bucket = _bucket_at(slots, position)
        width = 1 << (POSITION_BITS - bucket.bits)
        end = (position & -width) + width
        yield bucket, position, end
        position = end


def buckets_of(slots: Slots) -> Iterator[Bucket]:
    """All buckets, each once."""
    for bucket, _, _ in buckets_from(slots):
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
        "scheduled",
        "slots",
    )

    def __init__(self, number: int) -> None:
        self.number = number
        bucket = Bucket(0, None)
        self.slots: Slots = [bucket] * SLOTS  # Many of them may share one.
        self.buckets = 1
        self.count = 0  # Keys, those due and not yet removed included.
        self.memory_bytes = 0
        self.expiring = 0  # Keys with an expiry,
        self.expiries_sum_ms = 0  # and the sum of those, for INFO.
        self.digest_sum = 0  # Over all buckets that are not in `dirty`.
        self.dirty: list[Bucket] = [bucket]
        # Heap of (next_due_ms, tie breaker, bucket). One is stale when its bucket says otherwise.
        self.due: list[tuple[int, int, Bucket]] = []
        self.scheduled = 0  # The last tie breaker.

    def bucket(self, key: bytes) -> Bucket:
        """The bucket `key` is in, or would be."""
        slot = self.slots[slot_of(key)]
        if type(slot) is Directory:
            return slot.buckets[place_of(key) >> (HASH_BITS - slot.bits)]
        return slot  # type: ignore[return-value]  # mypy does not narrow the else of `type() is`.

    def split(self, key: bytes, bucket: Bucket) -> None:
        """Two buckets for the full one that holds `key`. Empty ones stay: they cost little."""
        bits = bucket.bits
        if bits >= SPLIT_BITS_MAX:
            return
        low, high = Bucket(bits + 1, bucket.held), Bucket(bits + 1, bucket.held)
        place_in: Callable[[bytes], int] = place_of
        bit = 1 << POSITION_BITS - 1 - bits
        if bits < SLOT_BITS:
            place_in, bit = slot_of, bit >> HASH_BITS
        for name, value in bucket.values.items():
            half = high if place_in(name) & bit else low
            half.values[name] = value
        _share_out(bucket.expiries, low, high)
        for name, at_ms in (bucket.inside or {}).items():
            (low if name in low.values else high).look_inside(name, at_ms)
        self._replace(key, bucket, low, high)
        self.buckets += 1
        # The heap may still know it.
        bucket.values, bucket.expiries, bucket.inside = {}, {}, None
        for half in (low, high):
            self.dirty.append(half)
            self.schedule(half, half.earliest_ms())

    def _replace(self, key: bytes, old: Bucket, low: Bucket, high: Bucket) -> None:
        """Put the halves of `old`, which holds `key`, where it was."""
        number = slot_of(key)
        if old.bits < SLOT_BITS:
            half = SLOTS >> old.bits + 1
            start = number & -(2 * half)
            self.slots[start : start + 2 * half] = [low] * half + [high] * half
            return
        slot = self.slots[number]
        if not isinstance(slot, Directory):
            self.slots[number] = slot = Directory(old)
        slot.replace(place_of(key), old, low, high)

    # --- When keys expire.

    def set_expiry(self, bucket: Bucket, key: bytes, at_ms: int) -> None:
        """Of a key in `bucket`, which had one or not."""
        before_ms = bucket.expiries.get(key)
        if before_ms is None:
            self.memory_bytes += EXPIRY_BYTES
            self.expiring += 1
            self.expiries_sum_ms += at_ms
        else:
            self.expiries_sum_ms += at_ms - before_ms
        bucket.expiries[key] = at_ms
        if at_ms < bucket.next_due_ms:
            self.schedule(bucket, at_ms)

    def drop_expiry(self, bucket: Bucket, key: bytes) -> None:
        """If it has one."""
        at_ms = bucket.expiries.pop(key, None)
        if at_ms is not None:
            self.memory_bytes -= EXPIRY_BYTES
            self.expiring -= 1
            self.expiries_sum_ms -= at_ms

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
        """About `count` keys, of several buckets if there are, each once; with `is_volatile` those
        that have an expiry."""
        found: dict[bytes, Bucket] = {}
        share = count // 4 + 1  # Of one bucket, which may be come upon again.
        for _ in range(count + 16):
            bucket = self._any_bucket(random, is_volatile=is_volatile)
            if bucket is not None:
                keys = bucket.expiries if is_volatile else bucket.values
                # Neighbours came at about the same time: those far apart are worth comparing.
                step = max(len(keys) // share, 1)
                spread = islice(keys, int(random() * step), None, step)
                found.update((key, bucket) for key in islice(spread, share))
                if len(found) >= count:
                    break
        return [(bucket, key) for key, bucket in islice(found.items(), count)]

    def _any_bucket(self, random: Callable[[], float], *, is_volatile: bool) -> Bucket | None:
        if is_volatile:
            return self.due[int(random() * len(self.due))][2] if self.due else None
        start = int(random() * (1 << POSITION_BITS))
        walk = chain(buckets_from(self.slots, start), buckets_from(self.slots))
        for bucket, position, _ in islice(walk, _STEPS_MAX):
            if bucket.values:
                slot = self.slots[position >> HASH_BITS]
                # In front of a slot with very many keys there may be nothing else: any of it then.
                return _any_of(slot, random) if isinstance(slot, Directory) else bucket
        return None

    # --- Walking in the order of positions, never of dicts: the same on every replica.

    def page(self, cursor: int, count: int) -> tuple[int, list[tuple[Bucket, bytes]]]:
        """About `count` keys from `cursor` on, and the cursor behind them, 0 at the end.

        A key that is there all the while is met exactly once, whatever comes and goes beside it:
        its position is its own. Keys of one position come together, so a page can be a little
        longer.
        """
        found: list[tuple[Bucket, bytes]] = []
        last = 0
        for bucket, position, _ in buckets_from(self.slots, cursor):
            for at, key in _in_order(bucket, position):
                if len(found) >= count and at > last:
                    return last + 1, found
                found.append((bucket, key))
                last = at
        return 0, found

    def nth(self, number: int) -> tuple[Bucket, bytes]:
        """The key at `number` (less than `count`) in the order of positions."""
        for bucket in buckets_of(self.slots):
            if number < len(bucket.values):
                return bucket, next(islice(_in_order(bucket, 0), number, None))[1]
            number -= len(bucket.values)
        raise IndexError(number)

    def keys_in(self, slot: int) -> Iterator[bytes]:
        """Those of one slot, in the order of hashes but for those that share a bucket."""
        for bucket, position, _ in buckets_from(self.slots, slot << HASH_BITS):
            if position >= slot + 1 << HASH_BITS:
                return
            if bucket.bits >= SLOT_BITS:
                yield from bucket.values
            else:
                yield from [key for key in bucket.values if slot_of(key) == slot]


def _any_of(slot: Directory, random: Callable[[], float]) -> Bucket:
    return slot.buckets[int(random() * len(slot.buckets))]


def _share_out(expiries: dict[bytes, int], low: Bucket, high: Bucket) -> None:
    for name, at_ms in expiries.items():
        (low if name in low.values else high).expiries[name] = at_ms


def keys_in_order(bucket: Bucket) -> list[bytes]:
    """By position."""
    return [key for _, key in _in_order(bucket, 0)]


def _in_order(bucket: Bucket, position: int) -> Iterator[tuple[int, bytes]]:
    """Its keys from `position` on, with their own. Only those of slots that are walked are hashed:
    most pages are short."""
    first = position >> HASH_BITS
    by_slot = [(slot, key) for key in bucket.values if (slot := slot_of(key)) >= first]
    by_slot.sort()
    for slot, keys in groupby(by_slot, itemgetter(0)):
        start = slot << HASH_BITS
        for one in sorted([(start | place_of(key), key) for _, key in keys]):
            if one[0] >= position:
                yield one
