"""Replies of many thousand elements, written a piece at a time.

What a handler answered is a list of byte strings that nobody changes any more, so that the bytes of
RESP can be made of it later, while others have their turn (correctness E3). The reply keeps its
place in its connection's order: it is put there when all of it is ready. Until then it takes
several times the memory of its bytes, so only a few wait; the next ones are written in one go.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from ...proto.resp import encode_in_pieces

if TYPE_CHECKING:
    from ...proto.reply import Reply
    from .connection import Connection

SLICE_NS = 2_000_000  # Of writing, for all clients of a node together.
WAITING_MAX = 4  # Replies.


class _LongReply:
    __slots__ = ("client", "done", "pieces", "reply", "slot")

    def __init__(self, client: Connection, slot: int, reply: Reply) -> None:
        self.client = client
        self.slot = slot
        self.reply = reply
        self.pieces = encode_in_pieces(reply, client.protocol)
        self.done: list[bytes] = []

    def write_until(self, end_ns: int) -> bool:
        """Whether nothing is left to do for it."""
        client = self.client
        if client.is_lost:
            return True
        now_ns = client.door.router.now_ns
        for piece in self.pieces:
            self.done.append(piece)
            if now_ns() >= end_ns:
                return False
        client.put_encoded(self.slot, self.reply, b"".join(self.done))
        client.schedule()
        return True


class LongReplies:
    """Of all RESP clients of a node: one piece of one of them in each turn of the loop."""

    def __init__(self) -> None:
        self._waiting: deque[_LongReply] = deque()

    def take(self, client: Connection, slot: int, reply: Reply) -> bool:
        """Whether it is going to be written here."""
        if len(self._waiting) >= WAITING_MAX:
            return False
        self._waiting.append(_LongReply(client, slot, reply))
        if len(self._waiting) == 1:
            client.door.call_soon(self._turn)
        return True

    def _turn(self) -> None:
        first = self._waiting[0]
        door = first.client.door
        if first.write_until(door.router.now_ns() + SLICE_NS):
            self._waiting.popleft()
        else:
            self._waiting.rotate(-1)
        if self._waiting:
            door.call_soon(self._turn)
