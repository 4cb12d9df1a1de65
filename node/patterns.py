"""Many patterns at once: which of them does the name of a channel match?

Patterns lie by the literal bytes they begin with, so that only those are looked at which begin as
the name does. Most are no more than that with a star behind it, or literal pieces between stars:
these need no regular expression. Those that do are compiled when they come, some at a time
(correctness E3); until then they match nothing, and whoever brought them is told of their progress.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from .data.glob import Glob

if TYPE_CHECKING:
    from .delivery import Loop

SLICE_NS: Final = 2_000_000  # Compiling, before others have their turn.
# A pattern does not match a channel if to find that out would take longer than about 20 ms, as with
# names of many kilobytes: all others would wait for it.
STEPS_MAX: Final = 1 << 22

_LITERAL: Final = re.compile(rb"[^*?\[\\]*")
_SPECIAL: Final = re.compile(rb"[?\[\\]")

Matches = Callable[[bytes], bool]


class Patterns:
    """A set of them."""

    def __init__(self, now_ns: Callable[[], int], advanced: Callable[[], None]) -> None:
        self._now_ns = now_ns
        self._advanced = advanced  # Told when more of them are ready than before.
        self._by_prefix: dict[bytes, dict[bytes, Matches]] = {}
        self._lengths: dict[int, int] = {}  # Of how many prefixes.
        self._waiting: deque[bytes] = deque()  # To be compiled.
        self.added = self.ready = 0  # How many so far had to be compiled, and were.

    def add(self, loop: Loop, pattern: bytes) -> None:
        """One that is not in it."""
        prefix = _prefix(pattern)
        group = self._by_prefix.get(prefix)
        if group is None:
            group = self._by_prefix[prefix] = {}
            self._lengths[len(prefix)] = self._lengths.get(len(prefix), 0) + 1
        simple = _simple(pattern, prefix)
        group[pattern] = simple or _never
        if simple is None:
            self.added += 1
            self._waiting.append(pattern)
            if len(self._waiting) == 1:
                loop.call_soon(lambda: self._compile(loop))

    def discard(self, pattern: bytes) -> None:
        prefix = _prefix(pattern)
        group = self._by_prefix[prefix]
        del group[pattern]
        if not group:
            del self._by_prefix[prefix]
            self._lengths[len(prefix)] -= 1
            if not self._lengths[len(prefix)]:
                del self._lengths[len(prefix)]

    def matching(self, channel: bytes) -> Iterator[bytes]:
        """Those that it matches."""
        for length in self._lengths:
            if length <= len(channel):
                group = self._by_prefix.get(channel[:length])
                if group is not None:
                    for pattern, matches in group.items():
                        if matches(channel):
                            yield pattern

    def _compile(self, loop: Loop) -> None:
        """Some of those that wait."""
        waiting = self._waiting
        until_ns = self._now_ns() + SLICE_NS
        while waiting and self._now_ns() < until_ns:
            pattern = waiting.popleft()
            self.ready += 1
            group = self._by_prefix.get(_prefix(pattern), {})
            if group.get(pattern) is _never:
                group[pattern] = _compiled(pattern)
        if waiting:
            loop.call_soon(lambda: self._compile(loop))
        self._advanced()


def _prefix(pattern: bytes) -> bytes:
    found = _LITERAL.match(pattern)
    assert found is not None
    return found[0]


def _never(_channel: bytes) -> bool:
    return False


def _simple(pattern: bytes, prefix: bytes) -> Matches | None:
    """What tells whether a channel that begins with `prefix` matches; None if it takes a regular
    expression to say so."""
    if _SPECIAL.search(pattern):
        return None
    if pattern == prefix:
        return pattern.__eq__
    if pattern == prefix + b"*":
        return _always
    pieces = pattern.split(b"*")
    first, *inner, last = pieces

    def matches(channel: bytes) -> bool:
        if not channel or len(channel) > STEPS_MAX:
            return False
        place = len(first)
        for piece in inner:
            found = channel.find(piece, place)
            if found < 0:
                return False
            place = found + len(piece)
        return len(channel) - len(last) >= place and channel.endswith(last)

    return matches


def _always(_channel: bytes) -> bool:
    return True


def _compiled(pattern: bytes) -> Matches:
    glob = Glob(pattern)
    return lambda channel: glob.steps(channel) <= STEPS_MAX and glob.matches(channel)
