"""How the values of parameters are written: what CONFIG SET takes and CONFIG GET shows.

Each kind reads a text as Redis does and says in Redis's words what is wrong with it. `text` is what
is kept and parses back to the same value; `show` is what CONFIG GET prints, mostly the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Protocol  # Any: each kind has values of its own type.

INT_MAX = (1 << 31) - 1
LONG_MAX = (1 << 63) - 1
ULONG_MAX = (1 << 64) - 1

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")
_MEMORY = re.compile(r"([0-9]{0,127})([a-z]{0,2})", re.IGNORECASE)
_UNITS = {
    "": 1, "b": 1, "k": 10**3, "kb": 1 << 10, "m": 10**6, "mb": 1 << 20, "g": 10**9, "gb": 1 << 30,
}  # fmt: skip

# The classes of events, in the order in which they are printed. `A` is all of the first ones.
_ALL_EVENTS = "g$lshzxetd"
_EVENTS = _ALL_EVENTS + "n" + "KEm"


class Kind(Protocol):
    def parse(self, text: str) -> Any:
        """The value; raises ValueError with the reason."""
        ...

    def text(self, value: Any) -> str: ...

    def show(self, value: Any) -> str: ...

    def describe(self) -> str:
        """For the tables of the documentation."""
        ...


@dataclass(frozen=True, slots=True)
class Integer:
    least: int
    most: int

    def parse(self, text: str) -> int:
        if not _INTEGER.fullmatch(text) or not -LONG_MAX - 1 <= int(text) <= LONG_MAX:
            raise ValueError("argument couldn't be parsed into an integer")
        return _bounded(int(text), self.least, self.most)

    def text(self, value: int) -> str:
        return str(value)

    show = text

    def describe(self) -> str:
        return f"integer, {_span(self.least, self.most)}"


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes; written with or without a unit, shown without."""

    least: int
    most: int

    def parse(self, text: str) -> int:
        return _bounded(parse_memory(text), self.least, self.most)

    def text(self, value: int) -> str:
        return str(value)

    show = text

    def describe(self) -> str:
        return f"memory, {_span(self.least, self.most)}"


@dataclass(frozen=True, slots=True)
class Choice:
    words: tuple[str, ...]

    def parse(self, text: str) -> str:
        if text.lower() not in self.words:
            listed = ", ".join(self.words)
            raise ValueError(f"argument(s) must be one of the following: {listed}")
        return text.lower()

    def text(self, value: str) -> str:
        return value

    show = text

    def describe(self) -> str:
        return ", ".join(self.words)


@dataclass(frozen=True, slots=True)
class YesNo:
    def parse(self, text: str) -> bool:
        if text.lower() not in ("yes", "no"):
            raise ValueError("argument must be 'yes' or 'no'")
        return text.lower() == "yes"

    def text(self, value: bool) -> str:  # noqa: FBT001 - the value it is about.
        return "yes" if value else "no"

    show = text

    def describe(self) -> str:
        return "yes, no"


@dataclass(frozen=True, slots=True)
class Text:
    """Anything; Redis has such parameters and nothing to say against a value."""

    def parse(self, text: str) -> str:
        return text

    text = show = parse

    def describe(self) -> str:
        return "text"


@dataclass(frozen=True, slots=True)
class Events:
    """Classes of keyspace events as letters, in one order, all of the usual ones as `A`."""

    def parse(self, text: str) -> str:
        wanted = set(text.replace("A", _ALL_EVENTS))
        if not wanted <= set(_EVENTS):
            raise ValueError("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")
        letters = "".join(letter for letter in _EVENTS if letter in wanted)
        return letters.replace(_ALL_EVENTS, "A")

    def text(self, value: str) -> str:
        return value

    def show(self, value: str) -> str:
        # Redis does not print `n` behind `A`, though `A` is without it.
        return value.replace("n", "") if "A" in value else value

    def describe(self) -> str:
        return "letters of `Ag$lshzxetdnKEm`"


def parse_memory(text: str) -> int:
    """Bytes, in 64 bits without a sign, as Redis reads `1`, `1k`, `1kb`, `1GB`."""
    found = _MEMORY.fullmatch(text)
    unit = _UNITS.get(found[2].lower()) if found else None
    if found is None or unit is None:
        raise ValueError("argument must be a memory value")
    return min(int(found[1] or "0"), ULONG_MAX) * unit & ULONG_MAX


def _bounded(value: int, least: int, most: int) -> int:
    if not least <= value <= most:
        raise ValueError(f"argument must be between {least} and {most} inclusive")
    return value


def _span(least: int, most: int) -> str:
    if most not in (INT_MAX, LONG_MAX, ULONG_MAX):
        return f"{least} to {most}"
    return "any" if least < -INT_MAX else f"{least} or more"
