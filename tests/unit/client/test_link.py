"""How a stream to a node ends: no loop hears of what was cut short."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any, cast  # Any: what a loop's handler is given.

import pytest

from trimaran.client.link import to_the_end

if TYPE_CHECKING:
    import grpc.aio


class Call:
    """A read of it ends with an error when it is cancelled, as gRPC's may."""

    def __init__(self) -> None:
        self.is_read = asyncio.Event()
        self._end = asyncio.Event()

    def cancel(self) -> None:
        self._end.set()

    async def read(self) -> None:
        self.is_read.set()
        await self._end.wait()
        raise ConnectionError("Stream removed")


async def test_what_a_read_that_was_cut_short_raises_is_nobodys_error() -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    call = Call()
    reading = asyncio.ensure_future(to_the_end(cast("grpc.aio.Call", call), call.read()))
    await call.is_read.wait()
    reading.cancel()
    await asyncio.wait((reading,))
    assert reading.cancelled()
    del reading  # And with it the last that could ask.
    gc.collect()
    assert not told


async def test_the_error_of_a_read_is_raised() -> None:
    call = Call()
    call.cancel()
    with pytest.raises(ConnectionError):
        await to_the_end(cast("grpc.aio.Call", call), call.read())
