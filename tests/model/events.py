"""What a real Redis tells about its keys, beside what our handlers tell of the same commands."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from trimaran.cluster.settings import Settings
from trimaran.node.commands.internal import EXPIRE

from .driver import Driver, words

if TYPE_CHECKING:
    from .redis_server import RedisConnection, RedisServer

Event = tuple[int, str, bytes]  # Database, event, key.

KINDS = "KEAn"  # All of them, and `new`.
_END = "end"


class EventsOfBoth:
    """`play` runs a command on both and gives what each told, in order."""

    def __init__(
        self, commands: RedisConnection, messages: RedisConnection, kinds: str = KINDS
    ) -> None:
        self.removes_due = True  # Else a command may find what is due.
        self._commands = commands
        self._messages = messages
        self._driver = Driver()
        self._driver.settings = Settings(notify_keyspace_events=kinds)
        self._db = 0
        for command in ("SELECT 0", "FLUSHALL", f"CONFIG SET notify-keyspace-events {kinds}"):
            commands.run(words(*command.split()))
        messages.run(words("PSUBSCRIBE", "__keyevent@*__:*"))

    def play(self, command: list[bytes]) -> tuple[list[Event], list[Event]]:
        """A command of words; SELECT is of both. What is due is removed first."""
        driver = self._driver
        driver.now_ms = time.time_ns() // 1_000_000
        for db, key in driver.keys.due(driver.now_ms, 1000) if self.removes_due else ():
            driver.apply([EXPIRE, key], db=db)
        self._commands.run(command)
        if command[0].upper() == b"SELECT":
            self._db = int(command[1])
        else:
            driver.run(*command, db=self._db)
        ours, driver.events = driver.events, []
        return ours, self._told()

    def keep_due(self) -> None:
        """From here on neither removes what is due before a command finds it."""
        self.removes_due = False
        self._commands.run(words("DEBUG", "SET-ACTIVE-EXPIRE", "0"))

    def _told(self) -> list[Event]:
        self._commands.run(words("PUBLISH", f"__keyevent@0__:{_END}", ""))
        told: list[Event] = []
        while True:
            message = self._messages.read()
            assert isinstance(message, list)
            _, _, channel, key = message
            place, _, event = channel.decode().partition("__:")
            if event == _END:
                return told
            told.append((int(place.removeprefix("__keyevent@")), event, key))


@contextmanager
def events_of_both(server: RedisServer, kinds: str = KINDS) -> Iterator[EventsOfBoth]:
    commands, messages = server.connect(), server.connect()
    try:
        yield EventsOfBoth(commands, messages, kinds)
    finally:
        commands.run(words("CONFIG", "SET", "notify-keyspace-events", ""))
        commands.run(words("DEBUG", "SET-ACTIVE-EXPIRE", "1"))
        commands.close()
        messages.close()
