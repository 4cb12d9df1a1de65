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

from ..cluster.slots import ShardId
from ..proto import peer_pb2 as pb
from ..proto.reply import ErrorReply, Reply, size_of_reply
from .errors import NotLeader, OutcomeUnknown, Overloaded, Unavailable
from .peer_stream import PeerStream, Refused, StreamBroken
from .pieces import CUT_BYTES, PIECE_BYTES, Cutting, Whole
from .raft.types import AppendEntries, Message, NodeId, is_patient
from .request import Answer, Done, Forward, NotApplied, Unknown
from .wire import (
    MESSAGE_BYTES,
    PROTOCOL_VERSION,
    answer_in_parts,
    data_apart,
    forward_in_parts,
    join_packed,
    pack_answers,
    pack_forward,
    put_message,
    size_of,
    size_of_answer,
    size_of_forward,
)

if TYPE_CHECKING:
    from random import Random

    from .clock import Clock
    from .leaders import Leaders, Led
    from .names import Address, Names

# One frame, unless a single message is larger (see pieces.py): read in one go, so it must not hold
# up heartbeats.
BATCH_BYTES_MAX = 512 << 10
POSTS_ROOM = 64 << 10  # Of a frame: entries that never end must not keep messages of channels back.
BACKED_UP_BYTES = 64 << 10  # gRPC's smallest window: less than this is taken at once.
BACKED_UP_NS = 2_000_000
# Some of the commands may have written.
TOO_LARGE = ErrorReply(
    "UNCERTAIN", "it was carried out, but its reply is larger than peer_queue_bytes_max"
)
BEACON_NS = 1_000_000_000  # A link is not silent for longer: clocks and epochs are compared (A2).

_log = logging.getLogger(__name__)

# What waits, with its size last.
_Forward = tuple[list[bytes], int]  # Packed; in parts if large.
_Answer = tuple[Answer, int]
_Append = tuple[ShardId, AppendEntries, int]
Q = TypeVar("Q", _Forward, _Answer, _Append)


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


@dataclass(frozen=True, slots=True)
class _Cut:
    """A large message that leaves in pieces, and the queue that waits behind it."""

    queue: object
    cutting: Cutting
    size: int
    append: tuple[ShardId, AppendEntries] | None = None


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
    def posts_left(self, link: Link) -> None: ...


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
        self.up_since_ms = 0  # Unix time, while it is.
        self.counters = LinkCounters()
        self.queue_bytes = 0
        self.known_epoch = 0  # The newest topology the peer is known to have, or was just sent.
        self.said_epoch = 0  # What it said itself since it is up.
        self._owner = owner
        self._names = names
        self._clock = clock
        self._queue_bytes_max = queue_bytes_max
        self._appends: deque[_Append] = deque()
        self._control: list[tuple[ShardId, Message]] = []
        self._patient: list[tuple[ShardId, Message]] = []  # These alone are no reason to send.
        self._forwards: deque[_Forward] = deque()
        self._answers: deque[_Answer] = deque()
        self._posts: deque[_Forward] = deque()
        self.post_bytes = 0  # Of those; they are part of `queue_bytes`.
        self._large = 0  # Messages that wait and are to leave in pieces.
        self._cutting: _Cut | None = None  # One of them on its way;
        self._cuts = deque(  # the next.
            (self._cut_append, self._cut_answer, self._cut_forward, self._cut_post)
        )
        self._bounced: list[Answer] = []
        self._leaders: dict[ShardId, Led] = {}  # To be told with the next frame.
        self._tells_leaders = False
        self._tells_epoch = False
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
            self._queue(self._appends, (shard, message, size))
        elif is_patient(message):
            self._patient.append((shard, message))
        else:
            self._control.append((shard, message))

    def forward(self, forward: Forward) -> None:
        """Pass a request on; one that surely will not leave is answered at the next flush."""
        if not self.is_up:
            self._bounce(forward, NotLeader(None))
            return
        if size_of_forward(forward) > CUT_BYTES:
            parts = forward_in_parts(forward)
        else:
            parts = [pack_forward(forward)]
        size = sum(map(len, parts))
        if self._has_room(size):
            self.queue_bytes += size
            self._queue(self._forwards, (parts, size))
        else:
            self._bounce(forward, Overloaded("peer_queue_bytes_max"))

    def answer(self, answer: Answer) -> None:
        """Answer a forward. If it finds no room, that is said: nobody waits for it in vain."""
        size = size_of_answer(answer)
        if size > self._queue_bytes_max:
            answer = _without_large(answer, self._queue_bytes_max)
            size = size_of_answer(answer)
        if not self._has_room(size):
            if not self.log.is_live:
                return
            # A read is asked again, and a write under its session: the shard has kept its reply.
            answer = Answer(answer.id, Unknown(OutcomeUnknown("peer_queue_bytes_max is reached")))
            size = MESSAGE_BYTES
        self.queue_bytes += size
        self._queue(self._answers, (answer, size))

    def post(self, parts: list[bytes]) -> bool:
        """Send what pub/sub has to say, packed, behind all it said before; False if it is lost."""
        size = sum(map(len, parts)) + MESSAGE_BYTES
        if not self._has_room(size):
            return False
        self.queue_bytes += size
        self.post_bytes += size
        self._queue(self._posts, (parts, size))
        return True

    def _queue(self, queue: deque[Q], one: Q) -> None:
        queue.append(one)
        self._large += _is_cut(one)

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
        if lazily and (self._patient or self._is_silent):
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
    def _is_silent(self) -> bool:
        return self._clock.now_ns() - self._framed_ns >= BEACON_NS

    @property
    def _has_urgent(self) -> bool:
        return bool(
            self._appends
            or self._control
            or self._forwards
            or self._answers
            or self._posts
            or self._cutting
            or self._tells_leaders
            or self._tells_epoch
        )

    @property
    def _is_backed_up(self) -> bool:
        log = self.log
        return log.in_flight_bytes > BACKED_UP_BYTES or (
            log.in_flight_bytes > 0 and self._clock.now_ns() - log.write_began_ns > BACKED_UP_NS
        )

    def drop_queue(self) -> None:
        """The log stream broke: what waited for it is lost, and the cores will be told."""
        queues = (self._appends, self._control, self._patient, self._forwards, self._answers)
        for queue in (*queues, self._posts):
            self.counters.dropped += len(queue)
            queue.clear()
        self._cutting = None
        self.queue_bytes = self.post_bytes = self._large = 0
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
        self._tells_leaders = self._tells_epoch = False
        room = BATCH_BYTES_MAX - self._put_control(batch)
        room -= self._put_piece(batch)
        forwards = self._take(self._forwards, room)
        if forwards:
            batch.forwards = join_packed([parts[0] for parts, _ in forwards])
            room -= len(batch.forwards)
        answers = self._take(self._answers, room)
        if answers:
            batch.answers = pack_answers([answer for answer, _ in answers])
            room -= sum([size for _, size in answers])
        posts = self._take(self._posts, max(room, POSTS_ROOM))
        if posts:
            batch.posts = join_packed([b"".join(parts) for parts, _ in posts])
            room -= len(batch.posts)
            self.post_bytes -= sum([size for _, size in posts])
            self._owner.posts_left(self)
        for shard, message, _ in self._take(self._appends, room):
            put_message(batch.messages.add(), shard, message)
        return frame.SerializeToString()

    def _take(self, queue: deque[Q], room: int) -> list[Q]:
        """From the front of `queue` what fits into `room`, and the first whatever its size, but
        nothing large: that is cut, and what is behind it in its queue waits for it."""
        taken: list[Q] = []
        if self._cutting is not None and self._cutting.queue is queue:
            return taken
        while queue:
            size: int = queue[0][-1]
            if (taken and size > room) or (self._large and _is_cut(queue[0])):
                break
            room -= size
            self.queue_bytes -= size
            taken.append(queue.popleft())
        return taken

    # --- What is too large for one frame.

    def _put_piece(self, batch: pb.Batch) -> int:
        """Put the next piece of what is cut into `batch`, with the last one the message that it
        belongs to; the size of the piece."""
        cut = self._cutting
        if cut is None and self._large:
            cut = self._begin_cut()
        if cut is None:
            return 0
        self._cutting = cut
        size = cut.cutting.put(batch)
        if cut.cutting.is_done:
            self._cutting = None
            self.queue_bytes -= cut.size
            if cut.append is not None:
                shard, message = cut.append
                put_message(batch.messages.add(), shard, message, apart_bytes=PIECE_BYTES)
        return size

    def _begin_cut(self) -> _Cut | None:
        """Take a large message from the front of its queue; its size counts until it is sent.

        The queues take turns: where large answers never end, entries must not wait for their end.
        """
        for _ in range(len(self._cuts)):
            begin = self._cuts[0]
            self._cuts.rotate(-1)
            if (cut := begin()) is not None:
                self._large -= 1
                return cut
        return None

    def _cut_append(self) -> _Cut | None:
        if not (self._appends and _is_cut(self._appends[0])):
            return None
        shard, message, size = self._appends.popleft()
        wholes = [Whole(pb.ENTRY, [data]) for data in data_apart(message, PIECE_BYTES)]
        return _Cut(self._appends, Cutting(wholes), size, (shard, message))

    def _cut_answer(self) -> _Cut | None:
        if not (self._answers and _is_cut(self._answers[0])):
            return None
        answer, size = self._answers.popleft()
        return _Cut(self._answers, Cutting([Whole(pb.ANSWERS, answer_in_parts(answer))]), size)

    def _cut_forward(self) -> _Cut | None:
        if not (self._forwards and _is_cut(self._forwards[0])):
            return None
        parts, size = self._forwards.popleft()
        return _Cut(self._forwards, Cutting([Whole(pb.FORWARDS, parts)]), size)

    def _cut_post(self) -> _Cut | None:
        if not (self._posts and _is_cut(self._posts[0])):
            return None
        parts, size = self._posts.popleft()
        self.post_bytes -= size
        self._owner.posts_left(self)
        return _Cut(self._posts, Cutting([Whole(pb.POSTS, [join_packed([b""]), *parts])]), size)

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
        """Have the log stream ask for a frame: the topology changed. Also one who has it already
        is told that we have it, since somebody may wait for that."""
        self._tells_epoch = True
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


def _without_large(answer: Answer, bytes_max: int) -> Answer:
    """Who asked would have to hold all of it at once: what is too much is not passed on."""
    assert isinstance(answer.outcome, Done), "only replies are large"
    replies: list[Reply] = []
    size = MESSAGE_BYTES
    for reply in answer.outcome.replies:
        cost = size_of_reply(reply)
        fits = size + cost + MESSAGE_BYTES <= bytes_max
        replies.append(reply if fits else TOO_LARGE)
        size += cost if fits else MESSAGE_BYTES
    return Answer(answer.id, Done(replies))


def _is_cut(queued: _Forward | _Answer | _Append) -> bool:
    """Whether it leaves in pieces. Many small entries do not: there would be more of them."""
    if queued[-1] <= CUT_BYTES:
        return False
    append = queued[1]
    return not isinstance(append, AppendEntries) or bool(data_apart(append, PIECE_BYTES))
