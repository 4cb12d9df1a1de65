"""The screen of `trimaran top`: the newest frame, and the keys that end it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from prompt_toolkit import Application
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.layout import FormattedTextControl, Layout, Window
from prompt_toolkit.styles import Style

from .readings import Reading, read_all
from .status import Unreachable
from .top import ALARM, PLAIN, Line, frame

if TYPE_CHECKING:
    from prompt_toolkit.formatted_text import StyleAndTextTuples
    from prompt_toolkit.key_binding import KeyPressEvent

_STYLE = Style.from_dict({"head": "bold", "alarm": "ansired bold", "foot": "ansibrightblack"})


class Screen:
    """Asks the nodes again and again, and goes on when none answers."""

    def __init__(self, places: Sequence[tuple[str, int]], interval_s: float) -> None:
        self._places = list(places)
        self._interval_s = interval_s
        self._before: Reading | None = None
        self._lines: list[Line] = []
        self._trouble = ""  # Why the picture is old.
        self._first = 0  # Line that is shown at the top, below the head.
        self._application: Application[None] = Application(
            layout=Layout(Window(FormattedTextControl(self._text), always_hide_cursor=True)),
            key_bindings=self._keys(),
            style=_STYLE,
            full_screen=True,
        )

    async def run(self) -> None:
        """Until the user quits. Raises Unreachable if no node answers at the start."""
        await self._look()
        asking = asyncio.create_task(self._ask())
        try:
            await self._application.run_async()
        finally:
            asking.cancel()
            with suppress(asyncio.CancelledError):
                await asking

    async def _ask(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self._look()
                self._trouble = ""
            except Unreachable as error:
                self._trouble = str(error)
            self._application.invalidate()

    async def _look(self) -> None:
        now = await asyncio.to_thread(read_all, self._places)
        self._lines = frame(self._before, now)
        self._before = now
        # Whoever was named first may be down at the next look.
        known = [(node.host, node.port) for node in now.status.nodes if node.is_up]
        self._places = list(dict.fromkeys([*known, *self._places]))

    def _text(self) -> StyleAndTextTuples:
        lines = [(ALARM, line) for line in self._trouble.splitlines()]
        lines += self._lines[:1]
        rest = self._lines[1:]
        room = max(1, self._application.output.get_size().rows - len(lines) - 1)
        self._first = min(self._first, max(0, len(rest) - room))
        lines += rest[self._first : self._first + room]
        lines += [(PLAIN, "")] * (room - len(rest))
        lines.append(("class:foot", "q quits, arrows move"))
        shown: StyleAndTextTuples = [(style, f"{text}\n") for style, text in lines[:-1]]
        return [*shown, lines[-1]]

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("q")
        @keys.add("c-c")
        @keys.add("c-d")
        def _(event: KeyPressEvent) -> None:
            event.app.exit()

        @keys.add("down")
        def _(_: KeyPressEvent) -> None:
            self._first += 1

        @keys.add("up")
        def _(_: KeyPressEvent) -> None:
            self._first = max(0, self._first - 1)

        return keys
