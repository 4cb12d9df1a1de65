"""How a stream to a node ends: no loop hears of what was cut short."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any, cast  # Any: what a loop's handler is given.

import pytest

from trimaran.client import link
from trimaran.client.link import Link, LinkBroken, to_the_end

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


@pytest.mark.parametrize(
    ("text", "bytes_max", "commands_max"),
    [
        ("a message may hold 10000 commands", 0, 10_000),
        ("a message may hold 70 bytes", 70, 0),
        ("a message, put together, may hold 70 bytes", 70, 0),
        ("max number of clients reached", 0, 0),
    ],
)
def test_what_a_message_may_hold_is_read_of_what_a_node_says(
    text: str, bytes_max: int, commands_max: int
) -> None:
    reason = LinkBroken(text)
    assert (reason.bytes_max, reason.commands_max) == (bytes_max, commands_max)


def test_one_message_holds_no_more_commands_than_a_node_takes() -> None:
    made = Link("n:1", (), answered=lambda _: None, broken=lambda _, __: None)
    counts = [link.COMMANDS_MAX + 1, 1, link.COMMANDS_MAX - 1, 1, 1]
    made._sizes = {number: (0, count) for number, count in enumerate(counts, start=1)}
    out = [(0, b"cancel"), *[(number, b"") for number in made._sizes]]
    parts: list[list[int]] = []
    while out:
        some, out = made._first_of(out)
        parts.append([number for number, _ in some])
    assert parts == [[0], [1], [2, 3], [4, 5]]


async def test_what_is_behind_a_message_that_failed_has_not_left() -> None:
    made = Link("n:1", (), answered=lambda _: None, broken=lambda _, __: None)
    made._sizes = dict.fromkeys((1, 2, 3), (0, link.COMMANDS_MAX))
    made._out = [(number, b"x") for number in made._sizes]
    made._wake.set()
    written: list[bytes] = []

    class Writing:
        async def write(self, message: bytes) -> None:
            if written:
                raise ConnectionError("Stream removed")
            written.append(message)

    with pytest.raises(ConnectionError):
        await made._write(Writing())
    assert made.unsent == [3]  # Of the second it is not known.
