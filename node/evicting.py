"""Room for keys: what is evicted at `maxmemory`, and what is refused when nothing can be. Pure.

Like expiry, eviction is logged: the leader of a shard chooses keys by what it knows of their use,
and names them in a command that removes them on every replica. Which those are is its own affair;
that they are removed is everybody's. It looks at what is applied, and works in rounds.

A command that may need memory and comes when there is none is logged all the same, as a refusal
that takes its place: so it has its answer at its place in the order, and a retry the same one.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import TYPE_CHECKING, Final

import msgpack

from ..cluster.command import GROWS
from ..cluster.commands import COMMANDS
from ..cluster.settings import DEFAULTS, Settings
from ..cluster.slots import DATABASES, META_SHARD
from .commands.functions import LOAD_FUNCTION
from .commands.internal import EVICT, OUT_OF_MEMORY, WHEN_FULL
from .commands.transactions import EXEC
from .data.uses import TICKS_PER_S, Kind, Uses
from .expiring import bounded, internal

if TYPE_CHECKING:
    from ..cluster.slots import ShardId
    from .request import Args, Outcome
    from .shard import Shard

# Named in one round, some milliseconds of work; most rounds need few.
KEYS_MAX: Final = 512
# Compared for one of them, whatever maxmemory-samples says; and at least so many in a round, so
# that the one that goes is among few of the dullest.
SAMPLES_MAX: Final = 64
CANDIDATES_MIN: Final = 20
# Above the limit by more than this share of it, writes wait for the evictions before them,
HOLD_SHARE: Final = 32
# but not longer than that: then they are refused.
HOLD_MAX_NS: Final = 1_000_000_000
LOOK_EVERY_NS: Final = 1_000_000  # To add up the memory of all shards takes a while, too.
ROUND_MAX_NS: Final = 100_000_000  # A round is not waited for longer: there may be no quorum.

_ROWS: Final = [row for top in COMMANDS.values() for row in (top, *top.subcommands)]
GROWING: Final = frozenset([LOAD_FUNCTION, *(row.name for row in _ROWS if row.flags & GROWS)])
# They run, and refuse inside of them what would grow.
SCRIPTS: Final = frozenset({b"EVAL", b"EVALSHA", b"FCALL"})

_TICK_NS: Final = 1_000_000_000 // TICKS_PER_S


@dataclass(slots=True)
class Pressure:
    """What the shards of a node have to know of its memory."""

    is_full: bool = False  # Over the limit, and nothing can be evicted: what grows is refused.
    is_holding: bool = False  # Over it, and what can be evicted goes first.


def when_full(args: Args) -> Args:
    """What is logged for a command that comes when there is no memory for it."""
    name = args[0]
    if name in GROWING:
        return (OUT_OF_MEMORY,)
    if name in SCRIPTS:
        return (WHEN_FULL, *args)
    if name == EXEC:
        names = {command[0] for _, command in msgpack.unpackb(args[1], use_list=False)}
        if names & GROWING:
            return OUT_OF_MEMORY, EXEC
        if names & SCRIPTS:
            return (WHEN_FULL, *args)
    return args


@dataclass(frozen=True, slots=True)
class _Place:
    """Keys that may be evicted: of one database of one shard that is led here."""

    shard: Shard
    db: int


class Evictor:
    """What one node evicts of the shards it leads, and what all of its shards count."""

    def __init__(self, shards: Mapping[ShardId, Shard], name: str) -> None:
        self.pressure = Pressure()
        self.settings: Settings = DEFAULTS
        self.rounds = 0
        self._shards = shards
        self._looks_next_ns = 0
        # Which keys are compared is chance, and concerns nobody else.
        self._random = Random(name).random
        self._waiting = 0  # Requests of the round that are not answered,
        self._began_ns = 0  # and since when.
        self._number = 0  # Of the round, so that an answer to an earlier one is told apart.
        self._held_since_ns: int | None = None

    @property
    def is_on(self) -> bool:
        return self.settings.maxmemory > 0

    @property
    def _is_volatile(self) -> bool:
        return self.settings.maxmemory_policy.startswith("volatile-")

    def used_bytes(self) -> int:
        """What counts against the limit: all replicas here, but for the cluster's own."""
        shards = self._shards.items()
        return sum([shard.keys.memory_bytes for number, shard in shards if number != META_SHARD])

    # --- Time.

    def tick(self, now_ns: int) -> None:
        """Tell the keyspaces what time it is, and what is to be known of their keys."""
        if not self.is_on:  # Then there are no turns, which would say so.
            self._has_room()
        clock = now_ns // _TICK_NS
        settings = self.settings
        policy = settings.maxmemory_policy
        is_tracking = policy.endswith(("-lru", "-lfu"))
        kind = Kind(policy.endswith("-lfu"), settings.lfu_log_factor, settings.lfu_decay_time)
        for shard in self._shards.values():
            keys = shard.keys
            if not keys.clock:  # It is new here, and so is what is known of its keys.
                keys.known_since = clock
            keys.clock = clock
            if not is_tracking:
                keys.uses = None
            elif keys.uses is None or keys.uses.kind != kind:
                count = sum([keys.count(db) for db in keys.databases])
                keys.uses = Uses(kind, clock=clock, keys=count)
            else:
                keys.uses.clock = clock

    # --- A turn.

    def turn(self, now_ns: int, deadline_ns: int) -> list[Shard]:
        """Look at the memory, and begin a round if it is time; the shards that have to propose."""
        if now_ns < self._looks_next_ns:
            return []
        self._looks_next_ns = now_ns + LOOK_EVERY_NS
        pressure = self.pressure
        limit = self.settings.maxmemory
        excess = self.used_bytes() - limit if limit else 0
        if excess <= 0:
            self._has_room()
            return []
        if self.settings.maxmemory_policy == "noeviction" or not self._has_victims():
            pressure.is_full, pressure.is_holding = True, False
            self._held_since_ns = None
            return []
        self._hold(now_ns, is_far=excess > limit // HOLD_SHARE)
        if self._waiting and now_ns - self._began_ns < ROUND_MAX_NS:
            return []
        return self._begin(now_ns, deadline_ns, excess)

    def _has_room(self) -> None:
        self.pressure.is_full = self.pressure.is_holding = False
        self._held_since_ns = None

    def _hold(self, now_ns: int, *, is_far: bool) -> None:
        """Whether writes wait, and whether that has been too long."""
        if not is_far:
            self._held_since_ns = None
        elif self._held_since_ns is None:
            self._held_since_ns = now_ns
        since_ns = self._held_since_ns
        is_long = since_ns is not None and now_ns - since_ns > HOLD_MAX_NS
        self.pressure.is_full = is_long
        self.pressure.is_holding = is_far and not is_long

    def _has_victims(self) -> bool:
        return any(
            shard.keys.evictable(db, is_volatile=self._is_volatile)
            for number, shard in self._shards.items()
            if number != META_SHARD
            for db in shard.keys.databases
            if db < DATABASES
        )

    def _begin(self, now_ns: int, deadline_ns: int, excess: int) -> list[Shard]:
        """Propose one round of evictions: of the excess what is our share, since who leads the
        other shards sees the same and evicts there."""
        places: list[_Place] = []
        weights: list[int] = []
        others = 0
        for number, shard in self._shards.items():
            if number == META_SHARD:
                continue
            is_ours = shard.is_leader and shard.can_propose and shard.halted is None
            for db in shard.keys.databases:
                if db < DATABASES:
                    count = shard.keys.evictable(db, is_volatile=self._is_volatile)
                    if count and is_ours:
                        places.append(_Place(shard, db))
                        weights.append(count)
                    else:
                        others += count
        if not places:
            return []
        ours = sum(weights)
        share = excess * ours // (ours + others) + 1
        victims = self._choose(places, list(accumulate(weights)), share)
        return self._propose(victims, now_ns, deadline_ns)

    def _choose(
        self, places: Sequence[_Place], ends: Sequence[int], wanted: int
    ) -> dict[_Place, list[bytes]]:
        """The dullest of some keys taken by chance, until they make enough room."""
        samples = min(self.settings.maxmemory_samples, SAMPLES_MAX)
        policy = self.settings.maxmemory_policy
        found: list[tuple[float, int, bytes, int]] = []
        room = 0  # That so many would make, if each was as large as those seen.
        while len(found) < CANDIDATES_MIN or (
            room < wanted * samples and len(found) < KEYS_MAX * samples
        ):
            number = bisect(ends, int(self._random() * ends[-1]))
            place = places[number]
            keys = place.shard.keys.candidates(place.db, policy, samples, self._random)
            if not keys:
                break  # Rare: those that expire are found by chance alone.
            for rank, key, size in keys:
                found.append((rank, number, key, size))
                room += size
        found.sort(reverse=True)
        victims: dict[_Place, list[bytes]] = {}
        chosen: set[tuple[int, bytes]] = set()
        for _, number, key, size in found:
            if wanted <= 0 or len(chosen) >= KEYS_MAX:
                break
            if (number, key) not in chosen:
                chosen.add((number, key))
                victims.setdefault(places[number], []).append(key)
                wanted -= size
        return victims

    def _propose(
        self, victims: Mapping[_Place, Sequence[bytes]], now_ns: int, deadline_ns: int
    ) -> list[Shard]:
        self.rounds += 1
        self._number += 1
        self._began_ns = now_ns
        self._waiting = 0
        done = self._done_of(self._number)
        shards: dict[ShardId, Shard] = {}
        for place, names in victims.items():
            shard = place.shard
            by_db = bounded([(place.db, name) for name in names], shard.entry_bytes_max)
            request = internal(EVICT, shard.id, place.db, by_db[place.db], deadline_ns, done)
            self._waiting += 1
            shard.put_first(request)
            shards[shard.id] = shard
        return list(shards.values())

    def _done_of(self, number: int) -> Callable[[Outcome], None]:
        def done(_: Outcome) -> None:
            if number == self._number:
                self._waiting -= 1
                self._looks_next_ns = 0

        return done
