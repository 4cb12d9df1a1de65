"""What a gRPC client may cost, and that it costs itself: its stream ends or waits."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import grpc
import grpc.aio

from trimaran.node.doors.backend import DoorLimits
from trimaran.node.doors.grpc_stream import ENVELOPE_BYTES
from trimaran.node.request import Done
from trimaran.proto import commands_pb2 as pb
from trimaran.proto.reply import OK, ErrorReply
from trimaran.proto.resp import ReaderLimits

from ...grpc_client import batch, outcome_of
from .fakes import MemoryRouter, Router
from .grpc_rig import GrpcRig, grpc_rig, until

if TYPE_CHECKING:
    import pytest

INVALID = grpc.StatusCode.INVALID_ARGUMENT
TOO_MUCH = grpc.StatusCode.RESOURCE_EXHAUSTED


async def ending_of(rig: GrpcRig, *messages: bytes) -> tuple[grpc.StatusCode, str]:
    """How a stream ends that sends these; another one lives on."""
    other = rig.stream()
    assert await other.one(b"ECHO before") == b"before"
    stream = rig.stream()
    for data in messages:
        await stream.call.write(data)
    ending = await stream.ending()
    assert await other.one(b"ECHO after") == b"after"
    await other.call.done_writing()
    await until(lambda: not rig.clients.by_id)
    return ending


async def test_a_message_that_cannot_be_read_ends_its_stream_only() -> None:
    async with grpc_rig() as rig:
        code, text = await ending_of(rig, b"\x0a\xff\xff")
        assert code == INVALID
        assert "no ExecuteRequest" in text


async def test_a_large_message_that_cannot_be_read_is_not_parsed_at_all() -> None:
    async with grpc_rig() as rig:
        code, text = await ending_of(rig, b"\x0a\xff\xff\xff\x7f" + b"\x00" * (2 << 20))
        assert code == INVALID
        assert "over the end" in text


async def test_a_command_without_a_name_ends_the_stream() -> None:
    async with grpc_rig() as rig:
        message = pb.ExecuteRequest(batches=[pb.Batch(id=8, commands=[pb.Command()])])
        code, text = await ending_of(rig, message.SerializeToString())
        assert code == INVALID
        assert text == "batch 8: a command without a name"


async def test_a_message_with_too_many_commands_ends_the_stream() -> None:
    async with grpc_rig(limits=DoorLimits(message_commands_max=3)) as rig:
        two = batch(b"PING", b"PING")
        message = pb.ExecuteRequest(batches=[two, two]).SerializeToString()
        assert await ending_of(rig, message) == (TOO_MUCH, "a message may hold 3 commands")


async def test_millions_of_tiny_arguments_are_counted_and_not_parsed() -> None:
    limits = DoorLimits(reader=ReaderLimits(elements_max=1_000), message_commands_max=10)
    async with grpc_rig(limits=limits) as rig:
        bomb = b"\x0a\x00" * (1 << 19)  # One command of empty arguments.
        command = b"\x32\x80\x80\x40" + bomb
        code, text = await ending_of(rig, b"\x0a\x84\x80\x40" + command)
        assert code == TOO_MUCH
        assert "arguments" in text


async def test_pieces_and_batches_do_not_mix_and_pieces_do_not_nest() -> None:
    async with grpc_rig() as rig:
        piece = pb.Fragment(data=b"a", is_last=True)
        both = pb.ExecuteRequest(batches=[batch(b"PING")], fragment=piece)
        assert (await ending_of(rig, both.SerializeToString()))[0] == INVALID
        inner = pb.ExecuteRequest(fragment=piece).SerializeToString()
        nested = pb.ExecuteRequest(fragment=pb.Fragment(data=inner, is_last=True))
        assert (await ending_of(rig, nested.SerializeToString()))[0] == INVALID


async def test_pieces_that_never_end_are_ended_at_the_limit() -> None:
    limits = DoorLimits(reader=ReaderLimits(command_bytes_max=1 << 20, bulk_bytes_max=1 << 20))
    async with grpc_rig(limits=limits) as rig:
        piece = pb.ExecuteRequest(fragment=pb.Fragment(data=b"x" * (1 << 19))).SerializeToString()
        code, text = await ending_of(rig, *[piece] * 5)
        assert code == TOO_MUCH
        assert str((1 << 20) + ENVELOPE_BYTES) in text


async def test_a_message_larger_than_any_is_refused_by_grpc() -> None:
    limits = DoorLimits(reader=ReaderLimits(command_bytes_max=1 << 20, bulk_bytes_max=1 << 20))
    async with grpc_rig(limits=limits) as rig:
        code, _ = await ending_of(rig, b"\x12" * (5 << 20))
        assert code == TOO_MUCH


async def test_whole_messages_may_come_between_pieces() -> None:
    async with grpc_rig() as rig:
        stream = rig.stream()
        data = pb.ExecuteRequest(batches=[batch(b"ECHO late", number=9)]).SerializeToString()
        for piece in (pb.Fragment(data=data[:7]), pb.Fragment(data=data[7:], is_last=True)):
            await stream.call.write(pb.ExecuteRequest(fragment=piece).SerializeToString())
            if not piece.is_last:
                await stream.send(batch(b"ECHO early", number=8))
                assert (await stream.receive()).id == 8
        assert (await stream.receive()).id == 9


async def test_one_command_too_large_is_refused_and_the_others_are_not() -> None:
    reader = ReaderLimits(command_bytes_max=4_000, bulk_bytes_max=3_000, elements_max=50)
    async with grpc_rig(limits=DoorLimits(reader=reader)) as rig:
        stream = rig.stream()
        replies = await stream.ask(
            [b"SET", b"a", b"x" * 3_000],
            [b"SET", b"b", b"x" * 3_001],
            [b"MSET", *[b"c"] * 50],
            [b"SETRANGE", b"x" * 2_000, b"0", b"x" * 2_001],
            b"STRLEN a",
            database=1,
        )
        assert (replies[0], replies[-1]) == (OK, 3_000)
        for reply, limit in zip(
            replies[1:4], ("bulk_bytes_max", "elements_max", "command_bytes_max"), strict=True
        ):
            assert isinstance(reply, ErrorReply)
            assert limit in reply.text


async def test_a_client_with_grpcs_own_limits_writes_and_reads_the_largest_value() -> None:
    value = bytes(range(256)) * (1 << 18)  # 64 MiB
    limits = DoorLimits(reader=ReaderLimits(command_bytes_max=72 << 20, bulk_bytes_max=len(value)))
    async with grpc_rig(limits=limits) as rig:
        stream = rig.stream()
        assert await stream.one([b"SET", b"big", value]) == OK
        assert await stream.one(b"GET big") == value
        assert stream.messages > 60


# --- Waiting and being slow.


async def test_a_stream_is_not_read_from_while_too_much_of_it_waits() -> None:
    limits = DoorLimits(waiting_bytes_max=20_000)
    async with grpc_rig(Router(1), limits=limits) as rig:
        stream = rig.stream()

        async def pour() -> None:
            for number in range(200):
                await stream.send(batch([b"SET", b"a", b"x" * 1_000], number=number))

        pouring = asyncio.create_task(pour())
        await rig.requests(17)
        other = rig.stream()
        assert await other.one(b"ECHO served") == b"served"
        assert 17 <= len(rig.router.requests) <= 19
        answered = 0
        while answered < 200:
            await rig.requests(1)
            rig.router.answer(OK)
            await stream.receive()
            answered += 1
        await pouring


async def test_a_client_that_does_not_read_is_ended_alone() -> None:
    limits = DoorLimits(output_buffer_bytes_max=8 << 20, waiting_bytes_max=1 << 30)
    async with grpc_rig(limits=limits) as rig:
        other = rig.stream()
        assert await other.one([b"SET", b"a", b"x" * (1 << 20)]) == OK
        slow = rig.stream()
        for number in range(30):
            await slow.send(batch(b"GET a", number=number))
        await until(lambda: any(one.is_lost for one in rig.clients.by_id.values()))
        assert await other.one(b"STRLEN a") == 1 << 20
        with contextlib.suppress(grpc.aio.AioRpcError):
            while isinstance(await slow.call.read(), bytes):  # It gets what was under way.
                pass
        code, text = await slow.ending()
        assert code == TOO_MUCH
        assert "output_buffer_bytes_max" in text
        await until(lambda: len(rig.clients.by_id) == 1)


async def test_results_that_wait_for_the_rest_of_their_batch_count_as_output() -> None:
    limits = DoorLimits(output_buffer_bytes_max=2 << 20, request_commands_max=1)
    async with grpc_rig(Router(1), limits=limits) as rig:
        stream = rig.stream()
        await stream.send(batch(b"GET a", b"GET a", b"GET a"))
        for _ in range(2):
            await rig.requests(1)
            rig.router.answer(b"x" * (1 << 20))
        assert (await stream.ending())[0] == TOO_MUCH


async def test_a_client_more_than_allowed_is_refused() -> None:
    async with grpc_rig(limits=DoorLimits(clients_max=1)) as rig:
        first = rig.stream()
        assert await first.one(b"PING a") == b"a"
        second = rig.stream()
        assert await second.ending() == (TOO_MUCH, "max number of clients reached")
        assert rig.clients.rejected == 1
        await first.call.done_writing()
        assert (await first.ending())[0] == grpc.StatusCode.OK
        await until(lambda: not rig.clients.by_id)
        assert await rig.stream().one(b"PING b") == b"b"


async def test_an_idle_stream_is_ended_and_one_that_waits_is_not() -> None:
    async with grpc_rig(Router(1), limits=DoorLimits(client_idle_timeout_s=60)) as rig:
        idle, busy = rig.stream(), rig.stream()
        assert await idle.one(b"PING a") == b"a"
        await busy.send(batch(b"INCR a"))
        await rig.requests(1)
        rig.router.time_ns += 61 * 1_000_000_000
        rig.door.end_idle()
        assert (await idle.ending())[0] == grpc.StatusCode.ABORTED
        rig.router.answer(1)
        assert [outcome_of(one) for one in (await busy.receive()).results] == [1]


# --- Ends.


async def test_a_client_that_sends_no_more_still_gets_every_answer() -> None:
    async with grpc_rig(Router(1)) as rig:
        stream = rig.stream()
        await stream.send(batch(b"INCR a"))
        await stream.call.done_writing()
        await rig.requests(1)
        rig.router.answer(1)
        assert (await stream.receive()).id == 1
        assert (await stream.ending())[0] == grpc.StatusCode.OK


async def test_client_kill_ends_a_stream() -> None:
    async with grpc_rig() as rig:
        victim, killer = rig.stream(), rig.stream()
        number = await victim.one(b"CLIENT ID")
        assert isinstance(number, int)
        assert await killer.one(b"CLIENT KILL ID %d" % number) == 1
        assert (await victim.ending())[0] == grpc.StatusCode.ABORTED


async def test_what_a_lost_client_asked_is_answered_to_nobody_and_not_continued() -> None:
    async with grpc_rig(Router(1), limits=DoorLimits(request_commands_max=1)) as rig:
        stream = rig.stream()
        await stream.send(batch(b"INCR a", b"INCR a"))
        await rig.requests(1)
        stream.call.cancel()
        await until(lambda: not rig.clients.by_id)
        rig.router.answer(1)
        assert rig.router.requests == []


async def test_a_fault_of_ours_ends_the_stream_that_met_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Faulty(MemoryRouter):
        def submit(self, request: object) -> None:
            raise RuntimeError("a bug")

    async with grpc_rig(Faulty()) as rig:
        other = rig.stream()
        assert await other.one(b"PING a") == b"a"
        stream = rig.stream()
        await stream.send(batch(b"GET a"))
        assert (await stream.ending())[0] == grpc.StatusCode.INTERNAL
        assert await other.one(b"PING b") == b"b"
    assert "stream_failed" in caplog.text


async def test_a_fault_while_answering_ends_the_stream_and_not_the_shard(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with grpc_rig(Router(1)) as rig:
        stream = rig.stream()
        await stream.send(batch(b"GET a", b"GET b"))
        await rig.requests(1)
        rig.router.take().complete(Done([b"one reply for two"]))
        assert (await stream.ending())[0] == grpc.StatusCode.ABORTED
    assert "answer_failed" in caplog.text


async def test_closing_the_door_ends_its_streams() -> None:
    async with grpc_rig(Router(1)) as rig:
        stream = rig.stream()
        await stream.send(batch(b"INCR a"))
        await rig.requests(1)
        await rig.door.close()
        assert (await stream.ending())[0] == grpc.StatusCode.ABORTED
        await until(lambda: not rig.clients.by_id)


async def test_a_message_of_nothing_but_empty_batches_ends_the_stream() -> None:
    async with grpc_rig(limits=DoorLimits(message_commands_max=1_000)) as rig:
        code, text = await ending_of(rig, b"\x0a\x00" * 1_001)
        assert (code, text) == (TOO_MUCH, "a message may hold 1000 batches")
