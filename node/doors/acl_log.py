"""ACL LOG: the log-ins that failed lately, at RESP doors; the same one again is only counted."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import islice

from ...proto.reply import MapReply

GROUPED_MS = 60_000  # For so long the same failure counts as one.
NAME_BYTES_MAX = 256  # Of what the client called the user.


@dataclass(slots=True)
class Failure:
    id: int
    command: bytes  # As the client wrote it.
    user: bytes
    client: bytes  # As CLIENT LIST shows it.
    count: int
    created_ms: int
    updated_ms: int


class AccessLog:
    def __init__(self) -> None:
        self._failures: deque[Failure] = deque(maxlen=128)  # The newest first.
        self._added = 0

    @property
    def length_max(self) -> int:
        return self._failures.maxlen or 0

    @length_max.setter
    def length_max(self, length: int) -> None:
        self._failures = deque(islice(self._failures, length), maxlen=length)

    def add(self, command: bytes, user: bytes, client: bytes, now_ms: int) -> None:
        user = user[:NAME_BYTES_MAX]
        for one in self._failures:
            is_same = (one.command, one.user) == (command, user)
            if is_same and now_ms - one.created_ms <= GROUPED_MS:
                one.count += 1
                one.client, one.updated_ms = client, now_ms
                self._failures.remove(one)
                self._failures.appendleft(one)
                return
        self._failures.appendleft(Failure(self._added, command, user, client, 1, now_ms, now_ms))
        self._added += 1

    def clear(self) -> None:
        self._failures.clear()

    def newest(self, count: int, now_ms: int) -> list[MapReply]:
        """At most `count`, as ACL LOG shows them."""
        return [_shown(one, now_ms) for one in islice(self._failures, max(count, 0))]


def _shown(one: Failure, now_ms: int) -> MapReply:
    return MapReply(
        (
            (b"count", one.count),
            (b"reason", b"auth"),
            (b"context", b"toplevel"),
            (b"object", one.command),
            (b"username", one.user),
            (b"age-seconds", (now_ms - one.created_ms) / 1000),
            (b"client-info", one.client),
            (b"entry-id", one.id),
            (b"timestamp-created", one.created_ms),
            (b"timestamp-last-updated", one.updated_ms),
        )
    )
