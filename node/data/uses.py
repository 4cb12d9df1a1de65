"""How recently, or how often, keys were used, as this replica has seen it: no part of the state.

Reads leave no trace in the log, so only the leader that served them knows of them; who leads next
knows of writes alone. Kept only while the policy of eviction asks for it. One number for a key, at
a place by its hash: bounded, nothing to clear away, and two keys at one place are taken for used as
the one that was used last.
"""

from __future__ import annotations

from array import array
from random import Random
from typing import Final, NamedTuple

TICKS_PER_S: Final = 10  # Of the clock that uses are noted by.
TICKS_PER_MINUTE: Final = 60 * TICKS_PER_S

# As Redis keeps a frequency: minutes in 16 bits, and a counter in 8 that rises ever more slowly.
FREQUENCY_START: Final = 5
FREQUENCY_MAX: Final = 255
_MINUTES: Final = 0xFFFF
_PLACES_MIN: Final = 1 << 10


class Kind(NamedTuple):
    """What is kept of uses."""

    is_frequency: bool  # How often; else how recently.
    factor: int = 10  # How slowly a frequency rises, and after how many minutes it falls.
    decay_minutes: int = 1


class Uses:
    """Of all keys of one shard. `clock` is moved on by who owns it."""

    __slots__ = ("_mask", "_numbers", "_random", "clock", "is_frequency", "kind")

    def __init__(self, kind: Kind, *, clock: int, keys: int) -> None:
        self.kind = kind
        self.is_frequency = kind.is_frequency
        self.clock = clock
        self._random = Random(keys)  # What is noted by chance concerns nobody else.
        places = _PLACES_MIN
        while places < 2 * keys:
            places *= 2
        self._numbers = array("I", [self._new()]) * places
        self._mask = places - 1

    def _new(self, counter: int = FREQUENCY_START) -> int:
        return self._minutes << 8 | counter if self.is_frequency else self.clock

    @property
    def _minutes(self) -> int:
        return self.clock // TICKS_PER_MINUTE & _MINUTES

    # --- What is told to it.

    def used(self, db: int, key: bytes) -> None:
        place = (hash(key) ^ db) & self._mask
        if not self.is_frequency:
            self._numbers[place] = self.clock
            return
        counter = self._counter(place)
        # The more uses were counted, the less likely the next one is.
        above = max(counter - FREQUENCY_START, 0)
        if counter < FREQUENCY_MAX and self._random.random() * (above * self.kind.factor + 1) < 1:
            counter += 1
        self._numbers[place] = self._new(counter)

    def added(self, db: int, key: bytes, keys: int) -> None:
        """A new key, one of so many."""
        if 2 * keys > self._mask:
            # One more bit of the hash counts: both places that it tells apart begin as the one was.
            self._numbers += self._numbers
            self._mask = len(self._numbers) - 1
        self._numbers[(hash(key) ^ db) & self._mask] = self._new()

    def unnoticed(self) -> Uses:
        """What is told to that one leaves no trace; it knows what this one does."""
        deaf = _Deaf.__new__(_Deaf)
        for name in Uses.__slots__:
            setattr(deaf, name, getattr(self, name))
        return deaf

    def set_idle(self, db: int, key: bytes, seconds: int) -> None:
        """It was not used for so long, as RESTORE says."""
        if not self.is_frequency:
            clock = max(self.clock - seconds * TICKS_PER_S, 0)
            self._numbers[(hash(key) ^ db) & self._mask] = clock

    def set_frequency(self, db: int, key: bytes, counter: int) -> None:
        if self.is_frequency:
            self._numbers[(hash(key) ^ db) & self._mask] = self._new(counter)

    # --- What it knows.

    def idle(self, db: int, key: bytes) -> int:
        """Ticks since the last use."""
        return max(self.clock - self._numbers[(hash(key) ^ db) & self._mask], 0)

    def frequency(self, db: int, key: bytes) -> int:
        """The counter as it is by now."""
        return self._counter((hash(key) ^ db) & self._mask)

    def _counter(self, place: int) -> int:
        number = self._numbers[place]
        counter = number & FREQUENCY_MAX
        if not self.kind.decay_minutes:
            return counter
        passed = (self._minutes - (number >> 8)) & _MINUTES
        return max(counter - passed // self.kind.decay_minutes, 0)

    def dullness(self, db: int, key: bytes) -> int:
        """The higher, the sooner it goes."""
        return -self.frequency(db, key) if self.is_frequency else self.idle(db, key)


class _Deaf(Uses):
    __slots__ = ()

    def used(self, db: int, key: bytes) -> None:
        """Nobody is to know."""
