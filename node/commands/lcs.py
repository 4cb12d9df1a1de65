"""LCS: the longest common subsequence of two strings, and where its pieces lie.

Redis fills a table of all pairs of places. Here each row of that table is one long integer with a
bit per place of the second string, set where the length grows (Crochemore and others, 2001): the
same answers, to the choice among equally long ones, in a hundredth of the steps. What two strings
may cost is bounded all the same, since nothing else runs meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import TYPE_CHECKING, Final

from ...proto.reply import MapReply, Reply
from ..data.large_string import LargeString, String, whole
from ..errors import CommandError
from .arguments import int_argument, syntax_error

if TYPE_CHECKING:
    from ..data.keyspace import Keyspace
    from ..request import Args
    from .context import Context

# Of bytes of the one and the other string: about 20 ms. A short one counts as a little longer,
# since a row and a byte's places have a cost of their own.
PAIRS_MAX: Final = 1 << 25
_BYTES_MIN: Final = 256


@dataclass(slots=True)
class _Options:
    is_length: bool = False
    is_index: bool = False
    has_lengths: bool = False
    length_min: int = 0


@dataclass(frozen=True, slots=True)
class _Match:
    """A piece that both strings have: where it begins in each, and its length."""

    first: int
    second: int
    length: int

    def reply(self, *, has_length: bool) -> list[Reply]:
        ranges: list[Reply] = [
            [self.first, self.first + self.length - 1],
            [self.second, self.second + self.length - 1],
        ]
        return [*ranges, self.length] if has_length else ranges


def lcs(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """LCS key1 key2 [LEN] [IDX] [MINMATCHLEN length] [WITHMATCHLEN]: the subsequence, its length,
    or its pieces, the last one first."""
    first, second = keys.peek(args[1]), keys.peek(args[2])
    for value in (first, second):
        if value is not None and type(value) not in (bytes, LargeString):
            raise CommandError("The specified keys must contain string values")
    options = _options(args)
    table = _Table(first or b"", second or b"")
    if options.is_length:
        return table.length
    matches = table.matches()
    if not options.is_index:
        return b"".join(
            table.first[one.first : one.first + one.length] for one in reversed(matches)
        )
    shown = [
        one.reply(has_length=options.has_lengths)
        for one in matches
        if one.length >= options.length_min
    ]
    return MapReply(((b"matches", shown), (b"len", table.length)))


def _options(args: Args) -> _Options:
    options = _Options()
    rest = iter(args[3:])
    for word in rest:
        match word.upper():
            case b"LEN":
                options.is_length = True
            case b"IDX":
                options.is_index = True
            case b"WITHMATCHLEN":
                options.has_lengths = True
            case b"MINMATCHLEN":
                number = next(rest, None)
                if number is None:
                    raise syntax_error()
                options.length_min = int_argument(number)
            case _:
                raise syntax_error()
    if options.is_length and options.is_index:
        raise CommandError("If you want both the length and indexes, please just use IDX.")
    return options


class _Table:
    """For each byte of `first` a row; bit j of it says whether the length grows at second[j]."""

    def __init__(self, first: String, second: String) -> None:
        pairs = (len(first) + _BYTES_MIN) * (len(second) + _BYTES_MIN)
        if first and second and pairs > PAIRS_MAX:
            raise CommandError(
                f"strings of {len(first)} and {len(second)} bytes are too long for LCS, which"
                f" takes about {isqrt(PAIRS_MAX) - _BYTES_MIN} bytes each at most"
            )
        self.first, self.second = whole(first), whole(second)
        self.length = 0
        self._rows: list[int] = []
        # Bit j of a byte's places: it stands at second[j].
        self._places: dict[int, int] = {}
        if first and second:
            self._places = {
                byte: _places_of(byte, self.second) for byte in dict.fromkeys(self.first)
            }
            self._fill()

    def _fill(self) -> None:
        ones = (1 << len(self.second)) - 1
        still = ones  # Where the length does not grow.
        for byte in self.first:
            met = still & self._places[byte]
            still = ((still + met) | (still - met)) & ones
            self._rows.append(still ^ ones)
        self.length = self._rows[-1].bit_count()

    def matches(self) -> list[_Match]:
        """The pieces, the last one first: where several subsequences are longest, Redis's choice.

        From the ends of both strings backwards: over a byte that both have, else back in `first`
        if the length there is larger than back in `second`, else in `second`.
        """
        found: list[_Match] = []
        row, end = len(self._rows), len(self.second)  # Behind the places looked at.
        length = 0  # Of the piece that begins at (row, end).
        while row and end:
            if self.first[row - 1] == self.second[end - 1]:
                row, end, length = row - 1, end - 1, length + 1
                continue
            if length:
                found.append(_Match(row, end, length))
                length = 0
            grows = self._rows[row - 1]
            if grows >> (end - 1) & 1:
                row -= 1
            else:
                # Many steps at once: to where there is a match, or the length grows.
                stops = (grows | self._places[self.first[row - 1]]) & ((1 << end) - 1)
                end = stops.bit_length()
        if length:
            found.append(_Match(row, end, length))
        return found


def _places_of(byte: int, text: bytes) -> int:
    marks = bytearray(b"0" * 256)
    marks[byte] = ord("1")
    return int(text[::-1].translate(marks), 2)
