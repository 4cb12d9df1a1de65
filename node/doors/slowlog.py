"""The slow log: the last commands whose answers took long, cut so that it stays small."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

ARGS_MAX = 32
ARG_BYTES_MAX = 128
# Where every answer takes long, as under much load, all commands are slow: so many of a second are
# kept and the rest is counted, else the log would be what makes them slower.
STORM = 128

REDACTED = b"(redacted)"
_SECRETS = frozenset({b"requirepass", b"masterauth"})


class SlowCommand(NamedTuple):
    id: int
    at_s: int  # Unix time.
    took_us: int
    args: tuple[bytes, ...]
    address: str
    name: bytes


class SlowLog:
    def __init__(self) -> None:
        self.slower_than_us = 10_000  # Negative: nothing is kept. 0: everything.
        self._commands: deque[SlowCommand] = deque(maxlen=128)
        self.added = 0  # Ever; the next one's id.
        self._second = 0  # The last in which one was added,
        self._room = 0  # and how many more of it are kept.

    def __len__(self) -> int:
        return len(self._commands)

    @property
    def length_max(self) -> int:
        return self._commands.maxlen or 0

    @length_max.setter
    def length_max(self, length: int) -> None:
        self._commands = deque(self._commands, maxlen=length)

    def room(self, at_s: int) -> int:
        """How many of what was slow in that second there is room for."""
        if at_s != self._second:
            self._second, self._room = at_s, STORM
        # Who asks for everything gets everything.
        return self._room if self.slower_than_us else self.length_max

    def skip(self, count: int) -> None:
        """So many were slow that there is no room for."""
        self.added += count

    def add(
        self, args: Sequence[bytes], took_us: int, at_s: int, *, address: str, name: bytes
    ) -> None:
        # As the client wrote it: shards know a subcommand as CONTAINER|NAME.
        args = [args[0].partition(b"|")[0], *args[1:]]
        one = SlowCommand(self.added, at_s, took_us, cut(redacted(args)), address, name)
        self.added += 1
        self._room -= 1
        self._commands.append(one)

    def newest(self, count: int) -> list[SlowCommand]:
        """At most `count`, the newest first."""
        return [one for one, _ in zip(reversed(self._commands), range(count), strict=False)]

    def clear(self) -> None:
        self._commands.clear()


def redacted(args: Sequence[bytes]) -> Sequence[bytes]:
    """Without passwords: AUTH's arguments, the two behind HELLO's word AUTH, and what CONFIG SET
    is given for `requirepass`."""
    match args[0].upper():
        case b"AUTH":
            return [args[0], *[REDACTED] * (len(args) - 1)]
        case b"HELLO":
            words = [word.upper() for word in args]
            if b"AUTH" in words:
                at = words.index(b"AUTH") + 1
                return [*args[:at], *[REDACTED] * len(args[at : at + 2]), *args[at + 2 :]]
        case b"CONFIG":
            before = [b"", *args[:-1]]
            return [
                REDACTED if name.lower() in _SECRETS and place % 2 else word
                for place, (name, word) in enumerate(zip(before, args, strict=True))
            ]
    return args


def cut(args: Sequence[bytes]) -> tuple[bytes, ...]:
    """At most ARGS_MAX arguments of ARG_BYTES_MAX bytes; what is left away is told."""
    if b"|" in args[0]:  # A shard is asked for OBJECT|ENCODING, the client asked OBJECT.
        args = [args[0].partition(b"|")[0], *args[1:]]
    if len(args) <= ARGS_MAX and max(map(len, args)) <= ARG_BYTES_MAX:
        return tuple(args)
    kept = [_cut_one(one) for one in args[:ARGS_MAX]]
    if len(args) > ARGS_MAX:
        kept[-1] = b"... (%d more arguments)" % (len(args) - ARGS_MAX + 1)
    return tuple(kept)


def _cut_one(arg: bytes) -> bytes:
    left = len(arg) - ARG_BYTES_MAX
    return arg if left <= 0 else b"%b... (%d more bytes)" % (arg[:ARG_BYTES_MAX], left)
