"""What this node sends to one peer: the queue, and which stream each part of it takes.

Normally all of it leaves on the log stream, together. While that stream is backed up (bytes given
to gRPC that it has not taken), elections, heartbeats and acknowledgements leave on the control
stream, so that large data cannot delay them (correctness E2). The queue is bounded: over the limit
messages are dropped, counted, and the owner is told, so that the leader's cores probe.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from ..proto import peer_pb2 as pb
from .errors import NotLeader, Overloaded, Unavailable
from .peer_stream import PeerStream, Refused, StreamBroken
from .raft.types import AppendEntries, HeartbeatReply, Message, NodeId
from .request import Answer, Forward, NotApplied
from .wire import (
    MESSAGE_BYTES,
    PROTOCOL_VERSION,
    join_packed,
    pack_answers,
    pack_forward,
    put_message,
    size_of,
    size_of_answer,
)

if TYPE_CHECKING:
    from random import Random

    from ..cluster.slots import ShardId
    from .clock import Clock
    from .leaders import Leaders, Led
    from .names import Address, Names

# One frame, unless a single message is larger: read in one go, so it must not hold up heartbeats.
BATCH_BYTES_MAX = 512 << 10
BACKED_UP_BYTES = 64 << 10  # gRPC's smallest window: less than this is taken at once.
BACKED_UP_NS = 2_000_000
BEACON_NS = 1_000_000_000  # A link is not silent for longer: clocks and epochs are compared (A2).

_log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LocalNode:
    """This process, as it presents itself to others."""

    cluster_id: int
    name: NodeId
    incarnation: int
    nonce: int  # Drawn at each start.
    host: str  # Announced.
    port: int  # Base port.

    def source(self) -> pb.Source:
        return pb.Source(
            name=self.name,
            incarnation=self.incarnation,
            nonce=self.nonce,
            host=self.host,
            port=self.port,
        )


@dataclass(slots=True)
class LinkCounters:
    """Plain numbers; the HTTP door reads them."""

    dropped: int = 0  # Messages that found no stream, or no room in the queue.
    overflows: int = 0  # Times peer_queue_bytes_max was reached.
    refused: int = 0  # Our Hello was refused, or another node answered it.
    breaks: int = 0
    control_frames: int = 0  # Frames that went around a log stream that was backed up.
    batches_in: int = 0
    bytes_in: int = 0
    mismatches: int = 0  # Hellos and batches refused here (R8).


class LinkOwner(Protocol):
    """What a link asks of `Peers`."""

    @property
    def local(self) -> LocalNode: ...
    @property
    def epoch(self) -> int: ...
    def topology_json(self) -> bytes: ...
    @property
    def leaders(self) -> Leaders: ...
    def link_changed(self, link: Link) -> None: ...


class Link:
    """The sending direction to one peer."""

    def __init__(
        self,
        node: NodeId,
        incarnation: int,
        address: Address,
        *,
        owner: LinkOwner,
        names: Names,
        clock: Clock,
        rng: Random,
        queue_bytes_max: int,
    ) -> None:
        self.node = node
        self.incarnation = incarnation
        self.address = address
        self.is_up = False  # Both directions are live; kept by the owner.
        self.counters = LinkCounters()
        self.queue_bytes = 0
        self.known_epoch = 0  # The newest topology the peer is known to have, or was just sent.
        self._owner = owner
        self._names = names
        self._clock = clock
        self._queue_bytes_max = queue_bytes_max
        self._appends: deque[tuple[ShardId, Message, int]] = deque()
        self._control: list[tuple[ShardId, Message]] = []
        self._patient: list[tuple[ShardId, Message]] = []  # These alone are no reason to send.
        self._forwards: deque[bytes] = deque()
        self._answers: deque[tuple[Answer, int]] = deque()
        self._bounced: list[Answer] = []
        self._leaders: dict[ShardId, Led] = {}  # To be told with the next frame.
        self._tells_leaders = False
        self._has_overflowed = False
        self._sends_patient = False
        self._framed_ns = 0
        self._last_refusal = ""
        self.log = self._stream("Log", self._next_log_frame, rng)
        self.control = self._stream("Control", self._next_control_frame, rng)

    # --- Queueing. Nothing leaves before `flush`.

    def send(self, shard: ShardId, message: Message) -> None:
        size = size_of(message)
        if not self._has_room(size):
            return
        self.queue_bytes += size
        if isinstance(message, AppendEntries):
            self._appends.append((shard, message, size))
        elif isinstance(message, HeartbeatReply) and not message.is_urgent:
            self._patient.append((shard, message))
        else:
            self._control.append((shard, message))

    def forward(self, forward: Forward) -> None:
        """Pass a request on; one that surely will not leave is answered at the next flush."""
        if not self.is_up:
            self._bounce(forward, NotLeader(None))
            return
        packed = pack_forward(forward)
        if self._has_room(len(packed)):
            self.queue_bytes += len(packed)
            self._forwards.append(packed)
        else:
            self._bounce(forward, Overloaded("peer_queue_bytes_max"))

    def answer(self, answer: Answer) -> None:
        size = size_of_answer(answer)
        if self._has_room(size):
            self.queue_bytes += size
            self._answers.append((answer, size))

    def tell(self, one: Led, *, is_urgent: bool = True) -> None:
        """Say who leads a shard, at the next flush or with the next frame there is. Bounded by the
        shards there are; on a new stream all is said."""
        self._leaders[one.shard] = one
        self._tells_leaders |= is_urgent

    def told(self, one: Led) -> None:
        """The peer says so itself."""
        if self._leaders.get(one.shard) == one:
            del self._leaders[one.shard]

    def _has_room(self, size: int) -> bool:
        if not self.log.is_live:
            self.counters.dropped += 1
            return False
        # A message larger than the limit itself may still go when nothing else waits.
        if self.queue_bytes and self.queue_bytes + size > self._queue_bytes_max:
            self.counters.dropped += 1
            self._has_overflowed = True
            return False
        return True

    def _bounce(self, forward: Forward, error: Unavailable) -> None:
        self._bounced.append(Answer(forward.id, NotApplied(error)))

    def flush(self, *, lazily: bool) -> None:
        """Have the streams take what is queued; at most one frame leaves now."""
        if lazily and (self._patient or self._clock.now_ns() - self._framed_ns >= BEACON_NS):
            self._sends_patient = True
        if not (self._has_urgent or self._sends_patient):
            return
        if not self.log.in_flight_bytes:
            self.log.wake()
        elif self._is_backed_up and self.control.is_live and not self.control.in_flight_bytes:
            self.control.wake()

    def take_bounced(self) -> list[Answer]:
        """Answers to forwards that never left."""
        bounced, self._bounced = self._bounced, []
        return bounced

    def take_overflow(self) -> bool:
        """Whether messages were dropped for want of room since this was last asked."""
        has_overflowed, self._has_overflowed = self._has_overflowed, False
        self.counters.overflows += has_overflowed
        return has_overflowed

    @property
    def _has_urgent(self) -> bool:
        return bool(
            self._appends or self._control or self._forwards or self._answers or self._tells_leaders
        )

    @property
    def _is_backed_up(self) -> bool:
        log = self.log
        return log.in_flight_bytes > BACKED_UP_BYTES or (
            log.in_flight_bytes > 0 and self._clock.now_ns() - log.write_began_ns > BACKED_UP_NS
        )

    def drop_queue(self) -> None:
        """The log stream broke: what waited for it is lost, and the cores will be told."""
        for queue in (self._appends, self._control, self._patient, self._forwards, self._answers):
            self.counters.dropped += len(queue)
            queue.clear()
        self.queue_bytes = 0
        self._sends_patient = False

    # --- Frames, asked for by the streams' writers.

    def _next_log_frame(self) -> bytes | None:
        is_stale = self.known_epoch < self._owner.epoch
        if not (self._has_urgent or self._sends_patient or is_stale):
            return None
        self._framed_ns = self._clock.now_ns()
        frame = self._frame()
        batch = frame.batch
        if is_stale:
            batch.topology = self._owner.topology_json()
            self.known_epoch = self._owner.epoch
        if self._leaders:
            for one in self._leaders.values():
                batch.leaders.add(shard=one.shard, term=one.term, node=one.node)
            self._leaders.clear()
        self._tells_leaders = False
        room = BATCH_BYTES_MAX - self._put_control(batch)
        if self._forwards:
            forwards = _take(self._forwards, room)
            batch.forwards = join_packed(forwards)
            room -= len(batch.forwards)
            self.queue_bytes -= sum(map(len, forwards))
        if self._answers:
            answers = _take(self._answers, room)
            batch.answers = pack_answers([answer for answer, _ in answers])
            taken = sum([size for _, size in answers])
            room -= taken
            self.queue_bytes -= taken
        for shard, message, size in _take(self._appends, room):
            put_message(batch.messages.add(), shard, message)
            self.queue_bytes -= size
        return frame.SerializeToString()

    def _next_control_frame(self) -> bytes | None:
        if not (self._control and self._is_backed_up):
            return None
        frame = self._frame()
        self._put_control(frame.batch)
        self.counters.control_frames += 1
        return frame.SerializeToString()

    def _put_control(self, batch: pb.Batch) -> int:
        """Moves all small messages to `batch`; about how many bytes they were."""
        moved = 0
        for queue in (self._control, self._patient):
            for shard, message in queue:
                put_message(batch.messages.add(), shard, message)
                moved += MESSAGE_BYTES
            queue.clear()
        self._sends_patient = False
        self.queue_bytes -= moved
        return moved

    def _frame(self) -> pb.Frame:
        frame = pb.Frame()
        batch, local = frame.batch, self._owner.local
        batch.version = PROTOCOL_VERSION
        batch.cluster_id = local.cluster_id
        batch.source_incarnation = local.incarnation
        batch.target_incarnation = self.incarnation
        batch.nonce = local.nonce
        batch.wall_ms = self._clock.wall_ms()
        batch.epoch = self._owner.epoch
        return frame

    # --- Streams.

    def _stream(
        self, method: str, next_frame: Callable[[], bytes | None], rng: Random
    ) -> PeerStream:
        return PeerStream(
            method,
            names=self._names,
            clock=self._clock,
            rng=rng,
            address=lambda: self.address,
            hello=self.hello,
            welcomed=self.check_welcome,
            next_frame=next_frame,
            changed=lambda: self._owner.link_changed(self),
            broke=self._broke,
        )

    def move_to(self, address: Address) -> None:
        """The peer is to be found there from now on; live streams are left alone."""
        self.address = address
        self.hurry()

    def hurry(self) -> None:
        """There is news of the peer: dial now what is not connected."""
        self.log.hurry()
        self.control.hurry()

    def wake(self) -> None:
        """Have the log stream ask for a frame: the topology changed."""
        self.log.wake()

    def hello(self) -> bytes:
        """The first frame of every stream."""
        frame = pb.Frame()
        hello, local = frame.hello, self._owner.local
        hello.version = PROTOCOL_VERSION
        hello.cluster_id = local.cluster_id
        hello.source.CopyFrom(local.source())
        hello.target_name = self.node
        hello.target_incarnation = self.incarnation
        hello.epoch = self._owner.epoch
        return frame.SerializeToString()

    def check_welcome(self, welcome: pb.Welcome) -> None:
        """Raises Refused if not the peer we meant answered (R8)."""
        source = welcome.source
        if (source.name, source.incarnation) != (self.node, self.incarnation):
            raise Refused(
                f"{self.address} is {source.name} {source.incarnation:016x},"
                f" not {self.node} {self.incarnation:016x}",
                is_temporary=False,
            )
        self._last_refusal = ""
        # What was sent on a stream that broke may not have arrived.
        self.known_epoch = welcome.epoch
        for one in self._owner.leaders:
            self.tell(one)

    def _broke(self, error: StreamBroken) -> None:
        self.counters.breaks += 1
        if not isinstance(error, Refused):
            _log.debug("peer stream broke", extra={"peer": self.node, "error": str(error)})
            return
        self.counters.refused += 1
        if str(error) != self._last_refusal:  # Once per change, not once per try.
            self._last_refusal = str(error)
            level = logging.INFO if error.is_temporary else logging.ERROR
            _log.log(level, "peer refused us", extra={"peer": self.node, "error": str(error)})


def _take(queue: deque[T], room: int) -> list[T]:
    """From the front of `queue` what fits into `room`, and the first whatever its size."""
    taken: list[T] = []
    while queue:
        size = _size(queue[0])
        if taken and size > room:
            break
        room -= size
        taken.append(queue.popleft())
    return taken


def _size(queued: object) -> int:
    match queued:
        case bytes():
            return len(queued)
        case (*_, int(size)):
            return size
        case _:
            raise TypeError(type(queued).__name__)
