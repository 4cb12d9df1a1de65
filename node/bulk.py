"""Snapshots from node to node, over a stream and a connection of their own.

A header (the InstallSnapshot), chunks of the file, an end with its size; the receiver answers with
what became of it. gRPC's flow control holds the sender to the pace of the receiver's disk. One
transfer per peer at a time; files are read and written in threads. The file's own checksums are
the sink's to verify: nothing is given to a core before that.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, ParamSpec, Protocol, TypeVar

from ..cluster.slots import ShardId
from ..proto import peer_pb2 as pb
from .errors import Corrupt
from .peer_stream import Call, Context, StreamBroken, open_stream, read_bytes
from .raft.types import InstallSnapshot, SnapshotMeta
from .wire import WireError, put_message, take_message

if TYPE_CHECKING:
    from .names import Names
    from .peer_link import Link

P = ParamSpec("P")
T = TypeVar("T")

STEP_TIMEOUT_S = 60  # The longest a peer's disk may take over one chunk, or over the last sync.

_log = logging.getLogger(__name__)


class IncomingFile(Protocol):
    """A snapshot file that is arriving. Called in threads, one call at a time."""

    def write(self, data: bytes) -> None: ...

    def finish(self) -> str:
        """Its path, once it is synced and verified; raises Corrupt."""
        ...

    def abort(self) -> None:
        """Forget it; also after `finish` raised."""
        ...


class SnapshotSink(Protocol):
    """Where arriving snapshots are put."""

    def open_incoming(self, shard: ShardId, meta: SnapshotMeta) -> IncomingFile: ...


class Transfer(NamedTuple):
    """One snapshot on its way out."""

    shard: ShardId
    message: InstallSnapshot
    path: str


class BulkSender:
    """Sends snapshots to one peer, one after the other."""

    def __init__(
        self,
        link: Link,
        *,
        names: Names,
        chunk_bytes: int,
        sent: Callable[[Transfer, str | None], None],  # With what went wrong, if anything did.
    ) -> None:
        self.bytes = 0
        self._link = link
        self._names = names
        self._chunk_bytes = chunk_bytes
        self._sent = sent
        self._queue: deque[Transfer] = deque()
        self._arrived = asyncio.Event()

    def send(self, transfer: Transfer) -> None:
        """Queue a transfer. There is at most one per shard: a newer one takes the older's place."""
        older = next((one for one in self._queue if one.shard == transfer.shard), None)
        if older is not None:
            self._queue.remove(older)
            self._sent(older, "a newer one takes its place")
        self._queue.append(transfer)
        self._arrived.set()

    async def run(self) -> None:
        """Send what is queued until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._queue:
                transfer = self._queue.popleft()
                self._sent(transfer, await self._try(transfer))

    async def _try(self, transfer: Transfer) -> str | None:
        fields = {"peer": self._link.node, "shard": transfer.shard}
        try:
            await self._send(transfer)
        except (StreamBroken, OSError) as error:
            _log.warning("snapshot not sent", extra=fields | {"error": str(error)})
            return str(error)
        _log.info("snapshot sent", extra=fields)
        return None

    async def _send(self, transfer: Transfer) -> None:
        # The file first: without it there is nothing to connect for.
        file = await asyncio.to_thread(open, transfer.path, "rb")
        try:
            opened = open_stream(self._names, self._link.address, "Bulk", self._link.hello())
            async with opened as (call, welcome):
                self._link.check_welcome(welcome)
                await self._send_file(call, transfer, file)
        finally:
            await asyncio.to_thread(file.close)

    async def _send_file(self, call: Call, transfer: Transfer, file: BinaryIO) -> None:
        size = os.fstat(file.fileno()).st_size
        begin = pb.Frame()
        put_message(begin.snapshot_begin.message, transfer.shard, transfer.message)
        begin.snapshot_begin.size_bytes = size
        await self._write(call, begin)
        sent = 0
        while chunk := await asyncio.to_thread(file.read, self._chunk_bytes):
            await self._write(call, pb.Frame(snapshot_chunk=chunk))
            sent += len(chunk)
        await self._write(call, pb.Frame(snapshot_end=pb.SnapshotEnd(size_bytes=sent)))
        async with asyncio.timeout(STEP_TIMEOUT_S):
            answer = await call.read()
        if not isinstance(answer, bytes):
            raise StreamBroken("closed before it said what became of the snapshot")
        result = pb.Reply.FromString(answer).snapshot_result
        if not result.is_ok:
            raise StreamBroken(f"the receiver says: {result.text}")

    async def _write(self, call: Call, frame: pb.Frame) -> None:
        data = frame.SerializeToString()
        async with asyncio.timeout(STEP_TIMEOUT_S):
            await call.write(data)
        self.bytes += len(data)


async def receive_snapshot(
    context: Context, sink: SnapshotSink
) -> tuple[ShardId, InstallSnapshot, str]:
    """One whole snapshot from a stream that was welcomed: its shard, message and path.

    Raises StreamBroken when the stream ends early, WireError for frames that make no sense, Corrupt
    and OSError from the sink; in each case the file is gone.
    """
    begin = await _read(context)
    if begin.WhichOneof("kind") != "snapshot_begin":
        raise WireError("a bulk stream that does not begin with a snapshot's header")
    shard = ShardId(begin.snapshot_begin.message.shard)
    message = take_message(begin.snapshot_begin.message)
    if not isinstance(message, InstallSnapshot):
        raise WireError(f"a snapshot's header that carries {type(message).__name__}")
    file = await _in_thread(sink.open_incoming, shard, message.meta)
    is_done = False
    try:
        received = await _receive_chunks(context, file)
        if received != begin.snapshot_begin.size_bytes:
            raise Corrupt(f"{received} bytes arrived of {begin.snapshot_begin.size_bytes}")
        path = await _in_thread(file.finish)
        is_done = True
    finally:
        if not is_done:
            file.abort()  # Not in a thread: a second cancellation would leave the file open.
    return shard, message, path


async def _receive_chunks(context: Context, file: IncomingFile) -> int:
    received = 0
    while True:
        frame = await _read(context)
        match frame.WhichOneof("kind"):
            case "snapshot_chunk":
                await _in_thread(file.write, frame.snapshot_chunk)
                received += len(frame.snapshot_chunk)
            case "snapshot_end":
                return received
            case kind:
                raise WireError(f"{kind} between the chunks of a snapshot")


async def _in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Like asyncio.to_thread, but a cancellation waits for the thread to be done with the file."""
    running = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


async def _read(context: Context) -> pb.Frame:
    data = await read_bytes(context)
    if data is None:
        raise StreamBroken("it ended in the middle of a snapshot")
    return pb.Frame.FromString(data)
