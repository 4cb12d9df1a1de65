"""One `Commands.Execute` stream: requests in, batches, replies out; a client among the others.

Bounded as RESP connections are: over `waiting_bytes_max` unanswered or unread it is not read from
(gRPC then stops the sender), over `output_buffer_bytes_max` of replies it is ended. What cannot be
read ends this stream and no other. What commands do is `grpc_batch.py`'s business.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import unquote
from weakref import WeakValueDictionary

import grpc
from google.protobuf.message import DecodeError

from ...proto import commands_pb2 as pb
from ...proto.execute import COUNTED_BYTES, Malformed, count, messages
from ...proto.reply import NULL_ARRAY
from ..peer_stream import StreamBroken, read_bytes
from .client import Client
from .grpc_batch import BatchRun

if TYPE_CHECKING:
    from ...cluster.slots import ShardId
    from ...proto.reply import Reply
    from ..peer_stream import Context
    from ..request import Args, Outcome
    from .blocked import Blocked
    from .door import Door
    from .grpc_door import GrpcDoor
    from .lane import Batch, Sink

log = logging.getLogger(__name__)

ENVELOPE_BYTES = 1 << 20  # What a message may hold beside one command of the largest size.
COMMANDS_PER_STEP = 1_000  # Then others have their turn of the loop.

Ending = tuple[grpc.StatusCode, str] | None  # With what status a stream ends; None is well.

_INVALID = grpc.StatusCode.INVALID_ARGUMENT
_TOO_MUCH = grpc.StatusCode.RESOURCE_EXHAUSTED


class Wrong(Exception):
    """The stream said what cannot be read, or went over a limit: it is ended."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.status = (code, text)


class Stream(Client):
    __slots__ = ("_closing", "_context", "_cost", "_ended", "_has_ended", "_is_lost", "_out",
                 "_out_bytes", "_pieces", "_results_bytes", "_room", "_runs", "_wake",
                 "service", "waits")  # fmt: skip

    def __init__(self, service: GrpcDoor, door: Door, context: Context) -> None:
        super().__init__(door)
        self.service = service
        self.protocol = 3
        self.address = unquote(context.peer()).partition(":")[2]
        self.local_address = service.address
        self._context = context
        self._ended: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self._runs = 0  # Batches under way,
        self._cost = 0  # and what they cost.
        self._results_bytes = 0  # Of results whose batch is not all decided yet.
        self._out: list[bytes] = []  # Answers to batches, not written yet,
        self._out_bytes = 0  # and their bytes with those being written.
        # Batches that wait for data, or for their turn to be taken, by id.
        self.waits: WeakValueDictionary[int, Blocked] = WeakValueDictionary()
        self._pieces = bytearray()  # Of a message that has not come whole yet.
        self._wake: asyncio.Future[None] | None = None  # While the writer has nothing to write.
        self._room: asyncio.Future[None] | None = None  # While the reader must not read.
        self._has_ended = False  # The client sends no more.
        self._closing: Ending = None  # We take no more; so it ends when all is answered.
        self._is_lost = False

    async def serve(self) -> Ending:
        """Until the client has ended it and has all answers, or we end it."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._read()), group.create_task(self._write())]
            try:
                return await self._ended
            finally:
                self.lose()
                for task in tasks:
                    task.cancel()

    def lose(self) -> None:
        """Nobody waits for its answers any more."""
        self._is_lost = True
        self._out.clear()
        self._pieces.clear()

    def _end(self, status: Ending) -> None:
        self._is_lost = True
        if not self._ended.done():
            self._ended.set_result(status)

    # --- Requests.

    async def _read(self) -> None:
        try:
            while (data := await read_bytes(self._context)) is not None:
                # Read after the bytes were there, never earlier (correctness R3).
                self.now_ns = self.door.router.now_ns()
                self.door.clients.input_bytes += len(data)
                await self._take(data)
                while self._is_full:
                    self._room = asyncio.get_running_loop().create_future()
                    await self._room
            self._has_ended = True
            self.schedule()
        except Wrong as wrong:
            self._end(wrong.status)
        except StreamBroken:
            self._end(None)  # There is nobody to be told.
        except Exception:
            log.exception("stream_failed client=%s", self.address)
            self._end((grpc.StatusCode.INTERNAL, "the node failed at this message; see its log"))

    async def _take(self, data: bytes) -> None:
        request = self._parse(data)
        if request.HasField("fragment"):
            whole = self._put_together(request)
            if whole is None:
                return
            data = whole
            request = self._parse(data)
            if request.HasField("fragment"):
                raise Wrong(_INVALID, "the pieces of a message make a piece again")
        await self._run_all(request, len(data))

    async def _run_all(self, request: pb.ExecuteRequest, message_bytes: int) -> None:
        total = sum([len(one.commands) for one in request.batches])
        commands_max = self.door.limits.message_commands_max
        if total > commands_max:
            raise Wrong(_TOO_MUCH, f"a message may hold {commands_max} commands")
        if len(request.batches) > commands_max:
            raise Wrong(_TOO_MUCH, f"a message may hold {commands_max} batches")
        for number in request.cancel:
            waiting = self.waits.pop(number, None)
            if waiting is not None:
                waiting.end(NULL_ARRAY)
        cost = message_bytes // max(1, total)
        limits = self.door.limits.reader
        # An argument takes two bytes at least: in smaller messages nothing can be too large.
        is_large = message_bytes > min(limits.bulk_bytes_max, 2 * limits.elements_max)
        taken = 0
        for batch in request.batches:
            commands = [one.args[:] for one in batch.commands]
            if [] in commands:
                raise Wrong(_INVALID, f"batch {batch.id}: a command without a name")
            if self._closing is not None or self._is_lost:
                return
            run = BatchRun(self, batch, commands, cost, is_large=is_large)
            # What takes something in its turn was counted when it began to wait.
            if batch.is_behind_others or not batch.turn:
                self.door.clients.commands += len(commands)
            self._runs += 1
            self._cost += run.cost
            run.advance()
            taken += 1 + len(commands)
            if taken >= COMMANDS_PER_STEP:
                taken = 0
                await asyncio.sleep(0)

    def _parse(self, data: bytes) -> pb.ExecuteRequest:
        limits = self.door.limits
        bytes_max = limits.reader.command_bytes_max + ENVELOPE_BYTES
        if len(data) > bytes_max:
            raise Wrong(_TOO_MUCH, f"a message may hold {bytes_max} bytes")
        try:
            if len(data) > COUNTED_BYTES:
                fault = count(
                    data,
                    commands_max=limits.message_commands_max,
                    elements_max=limits.reader.elements_max + limits.message_commands_max,
                )
                if fault:
                    raise Wrong(_TOO_MUCH, fault)
            return pb.ExecuteRequest.FromString(data)
        except (DecodeError, Malformed) as error:
            raise Wrong(_INVALID, f"this is no ExecuteRequest: {error}") from error

    def _put_together(self, request: pb.ExecuteRequest) -> bytes | None:
        """The whole message, once its last piece is there."""
        if request.batches:
            raise Wrong(_INVALID, "a message holds batches or a piece, not both")
        pieces = self._pieces
        pieces += request.fragment.data
        bytes_max = self.door.limits.reader.command_bytes_max + ENVELOPE_BYTES
        if len(pieces) > bytes_max:
            raise Wrong(_TOO_MUCH, f"a message, put together, may hold {bytes_max} bytes")
        if not request.fragment.is_last:
            return None
        self._pieces = bytearray()
        return bytes(pieces)

    @property
    def _is_full(self) -> bool:
        """Whether too much waits here: for answers, or for being read."""
        waiting_bytes_max = self.door.limits.waiting_bytes_max
        return self._cost > waiting_bytes_max or self.output_bytes > waiting_bytes_max

    # --- Answers.

    def results_wait(self, size: int) -> None:
        """Results of so many bytes wait for the rest of their batch."""
        self._results_bytes += size
        if self.output_bytes > self.door.limits.output_buffer_bytes_max and not self._is_lost:
            log.warning("output_buffer_full client=%s name=%r", self.address, self.name)
            self._end((_TOO_MUCH, "output_buffer_bytes_max is reached: replies were not read"))

    def answer_batch(self, run: BatchRun, data: bytes) -> None:
        """All of `run` is decided."""
        self._runs -= 1
        self._cost -= run.cost
        self._results_bytes -= run.bytes
        if self._is_lost:
            return
        self._out.append(data)
        self._out_bytes += len(data)
        self.schedule()

    async def _write(self) -> None:
        try:
            while True:
                if not self._out:
                    self._wake = asyncio.get_running_loop().create_future()
                    await self._wake
                    continue
                out, self._out = self._out, []
                for message in messages(out):
                    self.door.clients.output_bytes += len(message)
                    await self._context.write(message)
                self._out_bytes -= sum(map(len, out))
                self.schedule()
        except Exception as error:  # noqa: BLE001  # gRPC's word for a client that is gone varies.
            log.debug("stream_broken client=%s error=%s", self.address, error)
            self._end(None)

    def schedule(self) -> None:
        """Let the writer write and the reader read, if they can; end if there is nothing left."""
        if self._out and self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
        if self._room is not None and not self._room.done() and not self._is_full:
            self._room.set_result(None)
        if (self._has_ended or self._closing) and not (self._runs or self._out_bytes):
            self._end(self._closing)

    # --- For local commands and the door.

    @property
    def is_lost(self) -> bool:
        return self._is_lost

    @property
    def is_idle(self) -> bool:
        return not (self._runs or self._out_bytes)

    @property
    def state_flags(self) -> str:
        return "b" * self.door.clients.blockers.has(self)

    @property
    def held_bytes(self) -> int:
        return len(self._pieces)

    @property
    def waiting_cost(self) -> int:
        return self._cost

    @property
    def output_bytes(self) -> int:
        return self._out_bytes + self._results_bytes

    def close(self) -> None:
        self._closing = (grpc.StatusCode.ABORTED, "the node closed this stream")
        self.schedule()

    def abort(self) -> None:
        self._end((grpc.StatusCode.ABORTED, "the node closed this stream"))

    def send(self, shard: ShardId, sink: Sink, args: Args, cost: int, *, is_write: bool) -> None:
        _by_batch()

    def put(self, slot: int, reply: Reply) -> None:
        _by_batch()

    def answer(self, batch: Batch, outcome: Outcome) -> None:
        _by_batch()


def _by_batch() -> NoReturn:
    raise AssertionError("the commands of a stream belong to its batches")
