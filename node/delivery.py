"""The last part of a message's way: from its node to the subscribers there.

What waits for the same subscribers, one message behind the other, is made into bytes once for each
protocol and given to each of them in one piece. So a flood on a channel costs by the piece and the
subscriber, not by the message and the subscriber; order stays as it was published. Delivery to many
takes turns with everything else on the loop (correctness E3). Read `pubsub.py` before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from ..proto.channels import STREAM, encode_message
from ..proto.resp import encode_push

if TYPE_CHECKING:
    from .subscriptions import Subscriber

SLICE_NS: Final = 2_000_000  # Delivering, before others have their turn.
LOOK_EVERY: Final = 16  # Subscribers between two looks at the clock.
# Of one slice. The clock does not see what each costs: the loop writes to their sockets afterwards.
PUSHES_MAX: Final = 256
PIECE_BYTES: Final = 64 << 10  # Messages are put together up to that.
MESSAGE_COST: Final = 512  # What a message costs beside its bytes until it is delivered, about.
PUSH_COST: Final = 64  # What each subscriber of it adds to what is to be written, beside its bytes.
# What may wait to be written to all subscribers together before publishers wait: about a second's
# worth. Without it some thousand messages for some thousand subscribers would be minutes late.
WRITTEN_BYTES_MAX: Final = 256 << 20

Frame = list[bytes]


def encode_messages(frames: list[Frame], protocol: int) -> bytes:
    """As a subscriber of that protocol reads them."""
    if protocol == STREAM:
        return b"".join(map(encode_message, frames))
    return b"".join([encode_push(frame, protocol) for frame in frames])


class Loop(Protocol):
    """Who runs its callbacks."""

    def call_soon(self, callback: Callable[[], None]) -> None: ...
    def call_later(self, delay_ns: int, callback: Callable[[], None]) -> None: ...


@dataclass(slots=True)
class PubSubCounters:
    """Plain numbers; the HTTP door reads them."""

    published: int = 0  # By clients of this node, and by what it leads.
    delivered: int = 0  # To subscribers here.
    sent: int = 0  # To other nodes.
    lost: int = 0  # For want of room on the way to a node that was up, or to subscribers here.
    slow: int = 0  # Subscribers that were ended since they read too slowly.


class Listeners:
    """The subscribers of this node to one channel or pattern."""

    __slots__ = ("_in_order", "coming", "joined", "members", "waiting")

    def __init__(self) -> None:
        self.members: dict[Subscriber, int] = {}  # The how-manieth each is to have joined.
        self.joined = 0
        self.waiting: deque[_Piece] = deque()  # What not all of them have yet.
        self.coming = 0  # Whose subscription is not confirmed yet.
        self._in_order: tuple[Subscriber, ...] | None = None

    @property
    def told(self) -> int:
        """As many as other nodes are told of."""
        return len(self.members) + self.coming

    @property
    def in_order(self) -> tuple[Subscriber, ...]:
        """Who they are: the same object until somebody comes or goes."""
        if self._in_order is None:
            self._in_order = tuple(self.members)
        return self._in_order

    def add(self, subscriber: Subscriber) -> None:
        if subscriber not in self.members:
            self.joined += 1
            self.members[subscriber] = self.joined
            self._in_order = None

    def remove(self, subscriber: Subscriber) -> None:
        """It gets now what was published while it listened: whoever published has counted it."""
        joined = self.members.pop(subscriber)
        self._in_order = None
        for piece in self.waiting:
            if subscriber.is_lost:
                return
            piece.push_to_leaving(subscriber, joined)


class _Piece:
    """Messages, one behind the other, for those who listened when they were published."""

    __slots__ = ("bytes", "cost", "encoded", "frames", "joined", "listeners", "place", "reached",
                 "subscribers", "to_write")  # fmt: skip

    def __init__(self, listeners: Listeners) -> None:
        self.listeners = listeners
        self.subscribers = listeners.in_order
        self.joined = listeners.joined  # Who joins later does not get it.
        self.frames: list[Frame] = []
        self.bytes = 0
        self.cost = 0  # Held in memory until all have it,
        self.to_write = 0  # and written to all of them together.
        self.place = 0  # Of the subscriber who is next, behind
        self.reached = 0  # whoever joined as that one, or before.
        self.encoded: dict[int, bytes] = {}  # By protocol.

    def takes(self, listeners: Listeners, size: int) -> bool:
        """Whether a message for `listeners` can be put behind those in it."""
        return (
            self.listeners is listeners
            and self.subscribers is listeners.in_order
            and not self.encoded  # Nobody has it yet.
            and self.bytes + size <= PIECE_BYTES
        )

    def push(self, limit: int) -> int:
        """Give it to so many subscribers; how many have been thought of."""
        start = self.place
        some = self.subscribers[start : start + limit]
        self.place = start + len(some)
        members, count = self.listeners.members, len(self.frames)
        for subscriber in some:
            joined = members.get(subscriber)
            if joined is None or joined > self.joined:
                continue  # It has gone since, and has it; perhaps it came again.
            self.reached = joined
            subscriber.push_messages(self._encoded_for(subscriber), count)
        return len(some)

    def push_to_leaving(self, subscriber: Subscriber, joined: int) -> None:
        """Give it to one who joined as the `joined`-th, if it listened then and has it not yet."""
        if self.reached < joined <= self.joined:
            subscriber.push_messages(self._encoded_for(subscriber), len(self.frames))

    def _encoded_for(self, subscriber: Subscriber) -> bytes:
        protocol = subscriber.protocol
        data = self.encoded.get(protocol)
        if data is None:
            data = self.encoded[protocol] = encode_messages(self.frames, protocol)
        return data


class Delivery:
    """All messages that are on their way to subscribers here."""

    def __init__(
        self, now_ns: Callable[[], int], counters: PubSubCounters, advanced: Callable[[], None]
    ) -> None:
        self.bytes = 0  # That wait,
        self.to_write = 0  # and what they come to when all of it is written.
        self._now_ns = now_ns
        self._counters = counters
        self._advanced = advanced  # Told when there is more room than before.
        self._pieces: deque[_Piece] = deque()
        self._is_working = False

    def add(self, loop: Loop, listeners: Listeners, frame: Frame, size: int) -> None:
        """Have all who listen now get it, behind all that came before."""
        pieces = self._pieces
        if pieces and pieces[-1].takes(listeners, size):
            piece = pieces[-1]
        else:
            piece = _Piece(listeners)
            pieces.append(piece)
            listeners.waiting.append(piece)
        piece.frames.append(frame)
        piece.bytes += size
        to_write = (size + PUSH_COST) * len(piece.subscribers)
        piece.cost += size + MESSAGE_COST
        piece.to_write += to_write
        self.bytes += size + MESSAGE_COST
        self.to_write += to_write
        if not self._is_working:
            # Not at once: what else is published this turn comes in the same piece.
            self._is_working = True
            loop.call_soon(lambda: self._work(loop))

    def _work(self, loop: Loop) -> None:
        """Deliver for a while; the rest in turns of its own."""
        pieces = self._pieces
        until_ns = self._now_ns() + SLICE_NS
        room = PUSHES_MAX
        while pieces:
            if room <= 0 or self._now_ns() >= until_ns:
                loop.call_soon(lambda: self._work(loop))
                return
            piece = pieces[0]
            pushed = piece.push(LOOK_EVERY)
            room -= pushed
            self._counters.delivered += pushed * len(piece.frames)
            if piece.place >= len(piece.subscribers):
                pieces.popleft()
                piece.listeners.waiting.popleft()
                self.bytes -= piece.cost
                self.to_write -= piece.to_write
                self._advanced()
        self._is_working = False
