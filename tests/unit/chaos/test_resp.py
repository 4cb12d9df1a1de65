"""What the client makes of replies: applied, surely not applied, unknown, never to be seen."""

from __future__ import annotations

import asyncio

import pytest

from ...chaos.resp import Connection, Moved, Refused, Uncertain, Unexpected

TIMEOUT_S = 5.0


async def _answers_to(replies: bytes, *, count: int) -> list[object]:
    """What the client makes of these bytes, after which the node closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"k\r\n")
        writer.write(replies)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        connection = await Connection.open(port, 0, TIMEOUT_S)
        answers = await connection.pipeline([[b"GET", b"k"]] * count, TIMEOUT_S)
        connection.close()
    return list(answers)


async def test_values_are_passed_on() -> None:
    replies = b"+OK\r\n:7\r\n$2\r\nab\r\n$-1\r\n"
    assert await _answers_to(replies, count=4) == [b"OK", 7, b"ab", None]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (b"-CLUSTERDOWN no leader", Refused),
        (b"-UNCERTAIN leader lost", Uncertain),
        (b"-ERR unknown command", Unexpected),
        (b"*0", Unexpected),
    ],
)
async def test_errors_are_told_apart(reply: bytes, kind: type[Exception]) -> None:
    (answer,) = await _answers_to(reply + b"\r\n", count=1)
    assert type(answer) is kind


async def test_moved_tells_where_to_ask() -> None:
    (answer,) = await _answers_to(b"-MOVED 3999 127.0.0.1:7381\r\n", count=1)
    assert isinstance(answer, Moved)
    assert answer.port == 7381


async def test_what_is_not_answered_before_the_connection_ends_is_uncertain() -> None:
    answers = await _answers_to(b"+OK\r\n$5\r\nab", count=3)
    assert answers[0] == b"OK"
    assert [type(answer) for answer in answers[1:]] == [Uncertain, Uncertain]


async def test_a_connection_that_is_refused_is_surely_not_applied(unused_tcp_port: int) -> None:
    with pytest.raises(Refused):
        await Connection.open(unused_tcp_port, 0, TIMEOUT_S)
