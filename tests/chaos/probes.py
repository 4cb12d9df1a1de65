"""How long writes stand still: writers that try all the time, at the doors of all survivors.

Both clusters get the same kind of writer. A new attempt starts every few milliseconds whatever
became of the ones before, so that an attempt which got stuck at a dead leader does not count; the
time that counts is that of the first attempt begun after the kill which is acknowledged.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import grpc

from . import etcd
from .resp import Connection, Refused, Uncertain

ATTEMPT_EVERY_S = 0.02
ATTEMPT_TIMEOUT_S = 8.0
GIVE_UP_S = 30.0

Write = Callable[[], Awaitable[None]]  # One attempt; raises Refused or Uncertain.


async def time_to_write(writers: Sequence[Write]) -> float:
    """Seconds from now to the first acknowledgement."""
    started = time.monotonic()
    acknowledged = asyncio.Event()

    async def attempt(write: Write) -> None:
        with suppress(Refused, Uncertain):
            await write()
            acknowledged.set()

    attempts: set[asyncio.Task[None]] = set()
    turn = 0
    try:
        while not acknowledged.is_set():
            if time.monotonic() - started > GIVE_UP_S:
                raise TimeoutError(f"no write was acknowledged within {GIVE_UP_S:.0f} s")
            task = asyncio.create_task(attempt(writers[turn % len(writers)]))
            attempts.add(task)
            task.add_done_callback(attempts.discard)
            turn += 1
            with suppress(TimeoutError):
                async with asyncio.timeout(ATTEMPT_EVERY_S):
                    await acknowledged.wait()
        return time.monotonic() - started
    finally:
        for task in list(attempts):
            task.cancel()
        await asyncio.gather(*attempts, return_exceptions=True)


def resp_writer(port: int, database: int, key: bytes) -> Write:
    """SET over a connection of its own for each attempt."""

    async def write() -> None:
        connection = await Connection.open(port, database, ATTEMPT_TIMEOUT_S)
        try:
            await connection.call([b"SET", key, b"x" * 16], ATTEMPT_TIMEOUT_S)
        finally:
            connection.close()

    return write


class EtcdWriter:
    """Put over one channel; HTTP/2 lets attempts overtake one another on it."""

    def __init__(self, port: int) -> None:
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        self._put = self._channel.unary_unary(
            etcd.PUT, request_serializer=bytes, response_deserializer=bytes
        )

    async def __call__(self) -> None:
        try:
            await self._put(etcd.put_request(b"key", b"x" * 16), timeout=ATTEMPT_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            raise Uncertain(str(error.code())) from error

    async def close(self) -> None:
        await self._channel.close()
