"""Scripts that are one command and nothing else: `return redis.call('GET', KEYS[1])`.

Such a one needs no Lua as long as its command answers what a script gives back as it came: its
words are known without. What they cost in Lua is known too, so that it makes no difference to any
budget which way a script was run.
"""

from __future__ import annotations

import re
from operator import itemgetter
from typing import TYPE_CHECKING, Final, cast

from .source import tokens_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RETURN_COST: Final = 1  # Units of the budget, beside what the command costs: see `values`.

_ARGUMENTS: Final = 3  # Place of the first key among the words of EVAL.
_FRONT: Final = (
    [b"return", b"redis", b".", b"call", b"("],
    [b"return", b"redis", b".", b"pcall", b"("],
)
_NUMBER: Final = re.compile(rb"0|[1-9]\d{0,14}")
_PLACE: Final = re.compile(rb"[1-9]\d{0,3}")
_SHAPES_MAX: Final = 64


class Straight:
    """One command: words that stand in the script, and places of KEYS and of ARGV."""

    def __init__(self, texts: list[bytes], order: list[tuple[bytes, int]]) -> None:
        self._texts = tuple(texts)
        self._order = order  # Of the words: in which of the three lists, and where, from 0.
        # By how many keys and how many words in all there are: what picks the command's words.
        self._pickers: dict[tuple[int, int], Callable[[object], tuple[bytes, ...]] | None] = {}

    def words(self, count: int, args: Sequence[bytes]) -> tuple[bytes, ...] | None:
        """The command, given the words of an EVAL with so many keys; None if one is missing."""
        shape = count, len(args)
        try:
            pick = self._pickers[shape]
        except KeyError:
            pick = self._add_picker(*shape)
        return None if pick is None else pick((*args, *self._texts))

    def _add_picker(self, count: int, size: int) -> Callable[[object], tuple[bytes, ...]] | None:
        behind = _ARGUMENTS + count
        lists = {  # Where each begins, and how long it is.
            b"KEYS": (_ARGUMENTS, count),
            b"ARGV": (behind, size - behind),
            b"": (size, len(self._texts)),
        }
        pick = None
        if all(place < lists[name][1] for name, place in self._order):
            places = [lists[name][0] + place for name, place in self._order]
            pick = itemgetter(*places) if len(places) > 1 else _only(places[0])
        if len(self._pickers) >= _SHAPES_MAX:
            self._pickers.clear()
        self._pickers[count, size] = cast("Callable[[object], tuple[bytes, ...]] | None", pick)
        return self._pickers[count, size]


def _only(place: int) -> Callable[[Sequence[bytes]], tuple[bytes, ...]]:
    return lambda words: (words[place],)


def straight_of(body: bytes) -> Straight | None:
    """The one command that this valid script is; None for all others."""
    words = tokens_of(body)
    if words[-1:] == [b";"]:
        del words[-1]
    if words[1:2] == [b"("] and words[-1:] == [b")"]:
        del words[1], words[-1]
    if words[:5] not in _FRONT or words[-1:] != [b")"]:
        return None
    texts: list[bytes] = []
    order: list[tuple[bytes, int]] = []
    rest = words[5:-1]
    while True:
        text = _text_of(rest[0]) if rest else None
        if text is not None:
            order.append((b"", len(texts)))
            texts.append(text)
            del rest[0]
        elif len(rest) >= 4 and _is_place(rest[:4]):
            order.append((rest[0], int(rest[2]) - 1))
            del rest[:4]
        else:
            return None
        if not rest:
            return Straight(texts, order)
        if rest.pop(0) != b",":
            return None


def _text_of(token: bytes) -> bytes | None:
    """Of a string without anything special in it, or of a number that is written as it is told."""
    if token[:1] in (b"'", b'"') and b"\\" not in token:
        return token[1:-1]
    return token if _NUMBER.fullmatch(token) else None


def _is_place(tokens: list[bytes]) -> bool:
    name, opening, place, closing = tokens
    return (
        name in (b"KEYS", b"ARGV")
        and (opening, closing) == (b"[", b"]")
        and _PLACE.fullmatch(place) is not None
    )
