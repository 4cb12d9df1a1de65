"""Arguments of any command, made from what the table says of it, option by option."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING

from trimaran.cluster.arguments import BLOCK, KEY, ONEOF, TOKEN, Argument
from trimaran.cluster.command import BLOCKING
from trimaran.cluster.command_docs import arguments_of

from .pools import EDGES, NO_NUMBERS, drawn

if TYPE_CHECKING:
    from random import Random

    from trimaran.cluster.command import Command

GIVEN = 0.5  # How often what may be left out is there.
ODD = 0.04  # How often a command is spoilt.
REPEATS = (1, 1, 1, 2, 2, 3, 4)

Place = tuple[str, ...]  # The names of an argument and of those it is part of.


@cache
def arguments(row: Command) -> tuple[Argument, ...]:
    return arguments_of(row)


def places(row: Command) -> frozenset[Place]:
    """All that there is to choose: each option there and left out, each of several, and again."""
    return frozenset(_places(arguments(row), (row.name.decode(),)))


def _places(several: Sequence[Argument], within: Place) -> Iterator[Place]:
    for one in several:
        place = (*within, one.name)
        if one.is_optional:
            yield from ((*place, "given"), (*place, "left out"))
        if one.is_multiple:
            yield (*place, "again")
        if one.type == ONEOF:
            for part in one.parts:
                yield (*place, part.name)
        yield from _places(one.parts, place)


class Maker:
    """Makes commands; `reached` is what was chosen in the last one."""

    def __init__(
        self, random: Random, key: Callable[[Command], bytes], own: dict[str, list[bytes]]
    ) -> None:
        self.reached: list[Place] = []
        self._own = own  # Words for arguments of these names.
        self._random = random
        self._key = key
        self._words: list[bytes] = []
        self._row: Command
        self._mood = 0
        self._count_at = 0  # Where a number of keys or fields stands that are not made yet.
        self._repeats = 1  # How many came last.

    def command(self, row: Command) -> list[bytes]:
        """A command that may succeed, or, seldom, one with something wrong with it."""
        self.reached = []
        self._row = row
        self._mood = self._random.randrange(6)
        self._words = row.name.split(b"|")
        self._count_at = 0
        self._several(arguments(row), (row.name.decode(),))
        if self._random.random() < ODD:
            self.reached = []
            self._spoil()
        return self._words

    def _spoil(self) -> None:
        words, random = self._words, self._random
        at = random.randrange(len(words) + 1)
        match random.randrange(4):
            case 0 if len(words) > 1:
                words.pop()
            case 1:
                words.append(random.choice([b"BOGUS", b"x", b"1", b""]))
            case 2 if 0 < at < len(words):
                words.insert(at, words[at])
            case _ if 0 < at < len(words):
                # As a time to wait most of them would be: for ever, or for longer than any test.
                is_waiting = bool(self._row.flags & BLOCKING)
                words[at] = random.choice(NO_NUMBERS if is_waiting else EDGES)
            case _:
                words.append(b"x")

    def _several(self, several: Sequence[Argument], place: Place) -> None:
        options = [one for one in several if one.is_optional and _is_named(one)]
        if len(options) > 1 and self._random.random() < 0.3:  # In any order.
            others = [one for one in several if one not in options]
            if several[: len(others)] == tuple(others):
                several = [*others, *self._random.sample(options, len(options))]
        for one in several:
            self._argument(one, place)

    def _argument(self, one: Argument, within: Place) -> None:
        place = (*within, one.name)
        if one.is_optional:
            is_given = self._random.random() < GIVEN
            self.reached.append((*place, "given" if is_given else "left out"))
            if not is_given:
                if one.type == KEY and self._count_at:
                    self._counted(0)
                return
        repeats = self._repeats_of(one)
        if repeats > 1:
            self.reached.append((*place, "again"))
        for number in range(repeats):
            if one.token is not None and (number == 0 or one.is_token_repeated):
                self._words.append(self._cased(one.token))
            self._value(one, place)

    def _repeats_of(self, one: Argument) -> int:
        if not one.is_multiple:
            return 1
        repeats = self._random.choice(REPEATS)
        if one.name in ("id", "weight") and self._random.random() < 0.95:
            is_of_keys = one.name == "weight" or self._row.name.startswith(b"XREAD")
            repeats = self._repeats if is_of_keys else repeats
        if one.type == KEY:
            self._repeats = repeats
        if self._count_at and (one.type == KEY or one.name in ("field", "data")):
            self._counted(repeats)
        return repeats

    def _counted(self, repeats: int) -> None:
        wrong = self._random.random() < ODD
        count = self._random.choice([b"0", b"-1", b"x", b"9"]) if wrong else b"%d" % repeats
        self._words[self._count_at] = count
        self._count_at = 0

    def _value(self, one: Argument, place: Place) -> None:
        if one.type == TOKEN:
            return
        if one.type == ONEOF:
            part = self._random.choice(one.parts)
            self.reached.append((*place, part.name))
            self._argument(part, place)
        elif one.type == BLOCK:
            self._several(one.parts, place)
        elif one.type == KEY:
            self._words.append(self._key(self._row))
        else:
            if one.name in ("numkeys", "numfields"):
                self._count_at = len(self._words)
            own = self._own.get(one.name)
            self._words.append(
                self._random.choice(own)
                if own
                else drawn(self._random, self._mood, self._row.name.decode(), one.name, one.type)
            )

    def _cased(self, token: str) -> bytes:
        return (token.lower() if self._random.random() < 0.15 else token).encode()


def _is_named(one: Argument) -> bool:
    """Whether it begins with a word that says what it is."""
    if one.token is not None:
        return True
    if one.type == ONEOF:
        return all(map(_is_named, one.parts))
    return bool(one.parts) and not one.parts[0].is_optional and _is_named(one.parts[0])


class Coverage:
    """What was played, and what of it succeeded on the side that is believed."""

    def __init__(self) -> None:
        self.played: Counter[bytes] = Counter()
        self.succeeded: Counter[bytes] = Counter()
        self.reached: Counter[Place] = Counter()

    def note(self, row: Command, reached: Sequence[Place], *, is_error: bool) -> None:
        self.played[row.name] += 1
        if not is_error:
            self.succeeded[row.name] += 1
            self.reached.update(reached)

    def missing(self, rows: Sequence[Command]) -> list[str]:
        """Commands that never succeeded, and choices that were not made in one that did."""
        return sorted(name for row in rows for name in self._missing(row))

    def lacks(self, row: Command, known: Container[str]) -> bool:
        """Whether anything but what is known is missing of a command."""
        return any(name not in known for name in self._missing(row))

    def _missing(self, row: Command) -> Iterator[str]:
        if not self.succeeded[row.name]:
            yield row.name.decode()
        else:
            yield from (" ".join(place) for place in places(row) if not self.reached[place])
