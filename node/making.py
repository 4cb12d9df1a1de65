"""Values that the commands of an entry bring along, made aside before those commands run. Pure.

RESTORE of a million elements takes a second and more, nearly all of it to read the payload: that
depends on nothing but the payload and the entry's settings, and nobody sees the value before it is
put. So it is made where the loop need not wait for it, and only its entry, and what follows it on
the shard, do: else all followers stand still at the same time, and the leader counts them lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from .commands.dumping import RESTORES, is_long, value_of

if TYPE_CHECKING:
    from .commands.context import Context
    from .data.entry import CommandRecord
    from .request import Args

# Runs the first beside the loop, and when it has ended the second on the loop.
Aside = Callable[[Callable[[], None], Callable[[], None]], None]


class Making:
    """Of one shard, which waits while it is running."""

    def __init__(self) -> None:
        self.is_running = False
        self.aside: Aside | None = None  # Without it handlers make their values themselves.

    def begin(self, commands: Iterable[CommandRecord], context: Context) -> bool:
        """Make what these commands bring along, for the handlers to find in `context`; False if
        that is nothing to wait for."""
        long = [one[-1] for one in commands if one[-1][0] in RESTORES and is_long(one[-1])]
        if not long or self.aside is None:
            return False
        self.is_running = True
        self.aside(partial(_make, long, context), self._end)
        return True

    def _end(self) -> None:
        self.is_running = False


def _make(commands: list[Args], context: Context) -> None:
    for args in commands:
        # What is wrong with it the handler will find, too: it answers, or is loud about it (A4).
        with suppress(Exception):
            context.made.append((args[3], value_of(args[3], context.settings)))
