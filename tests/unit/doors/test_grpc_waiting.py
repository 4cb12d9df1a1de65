"""A batch of one command that waits for data: every way from its sending to its one answer."""

from __future__ import annotations

import pytest

from trimaran.node.errors import NoQuorum, NotLeader, OutcomeUnknown
from trimaran.node.request import Done, NotApplied, Unknown
from trimaran.node.turns import BLOCK
from trimaran.proto import commands_pb2 as pb
from trimaran.proto.reply import NULL_ARRAY, ErrorReply

from ...grpc_client import Execute, Outcome, batch, outcome_of
from .fakes import Router
from .grpc_rig import GrpcRig, grpc_rig, until
from .test_waiting import WaitingRouter


async def _waits(rig: GrpcRig, count: int = 1) -> None:
    await until(lambda: len(rig.clients.blockers) == count)


async def _next(stream: Execute) -> tuple[int, Outcome]:
    reply = await stream.receive()
    (result,) = reply.results
    return reply.id, outcome_of(result)


async def test_it_is_answered_when_there_is_data_and_other_batches_go_on_meanwhile() -> None:
    async with grpc_rig(WaitingRouter()) as rig:
        stream = rig.stream()
        await stream.send(batch(b"BLPOP jobs 0", number=7))
        await _waits(rig)
        assert await stream.one(b"INCR a") == 1
        assert await rig.stream().one(b"RPUSH jobs x y") == 2
        assert await _next(stream) == (7, [b"jobs", b"x"])
        assert await stream.one(b"BLPOP jobs 0") == [b"jobs", b"y"]
        assert not len(rig.clients.blockers)


async def test_its_time_is_its_own_and_not_that_of_the_batch() -> None:
    async with grpc_rig(WaitingRouter()) as rig:
        stream = rig.stream()
        await stream.send(batch(b"BLPOP jobs 0.05", number=7, timeout_ms=1))
        await _waits(rig)
        rig.router.time_ns += 40_000_000
        assert len(rig.clients.blockers) == 1
        rig.router.time_ns += 20_000_000
        assert await _next(stream) == (7, NULL_ARRAY)


async def test_a_stream_that_ends_gives_up_its_places() -> None:
    router = WaitingRouter()
    async with grpc_rig(router) as rig:
        leaving, staying = rig.stream(), rig.stream()
        await leaving.send(batch(b"BLPOP jobs 0", number=1), batch(b"BLPOP other 0", number=2))
        await _waits(rig, 2)
        await staying.send(batch(b"BLPOP jobs 0", number=3))
        await _waits(rig, 3)
        leaving.call.cancel()
        await _waits(rig, 1)
        assert await rig.stream().one(b"RPUSH jobs x") == 1
        assert await _next(staying) == (3, [b"jobs", b"x"])


async def test_who_has_said_all_it_has_to_say_still_waits() -> None:
    async with grpc_rig(WaitingRouter()) as rig:
        stream = rig.stream()
        await stream.send(batch(b"BLPOP jobs 0", number=7))
        await stream.call.done_writing()
        await _waits(rig)
        assert await rig.stream().one(b"RPUSH jobs x") == 1
        assert await _next(stream) == (7, [b"jobs", b"x"])


async def test_it_is_shown_as_blocked_and_unblocked_by_its_id() -> None:
    async with grpc_rig(WaitingRouter()) as rig:
        stream, other = rig.stream(), rig.stream()
        number = await stream.one(b"CLIENT ID")
        assert isinstance(number, int)
        await stream.send(batch(b"BLPOP jobs 0", number=7))
        await _waits(rig)
        (shown,) = [one for one in rig.clients.by_id.values() if one.id == number]
        assert shown.flags == "b"
        assert await other.one(b"CLIENT UNBLOCK %d ERROR" % number) == 1
        reply = ErrorReply("UNBLOCKED", "client unblocked via CLIENT UNBLOCK")
        assert await _next(stream) == (7, reply)


@pytest.mark.parametrize(
    ("commands", "options"),
    [
        ((b"BLPOP jobs 0", b"GET a"), {}),
        ((b"GET a", b"BLPOP jobs 0"), {}),
        ((b"BLPOP jobs 0",), {"sessions": [pb.Session(shard=0, id=3, sequence=1)]}),
    ],
)
async def test_with_other_commands_or_under_a_session_it_is_refused(
    commands: tuple[bytes, ...], options: dict[str, object]
) -> None:
    async with grpc_rig() as rig:
        outcomes = await rig.stream().ask(*commands, **options)
        refused = outcomes[commands.index(b"BLPOP jobs 0")]
        assert isinstance(refused, ErrorReply)
        assert refused.text.startswith("BLPOP waits for data: send it in a batch of its own")
        assert not len(rig.clients.blockers)


async def test_in_an_atomic_batch_nothing_waits() -> None:
    async with grpc_rig() as rig:
        assert await rig.stream().one(b"BLPOP jobs 0", is_atomic=True) == NULL_ARRAY


async def test_what_became_of_its_pop_is_told_in_three_ways() -> None:
    router = Router()
    router.has_something = True
    async with grpc_rig(router) as rig:
        stream = rig.stream()
        became: list[tuple[Done | NotApplied | Unknown, type]] = [
            (NotApplied(NoQuorum("none")), pb.NotApplied),
            (Unknown(OutcomeUnknown("late")), pb.OutcomeUnknown),
            (Done([[b"jobs", b"x"]]), list),
        ]
        for number, (outcome, kind) in enumerate(became):
            await stream.send(batch(b"BLPOP jobs 0", number=number))
            await rig.requests(1)
            assert router.requests[0].may_pass_on
            router.finish(outcome)
            told = await _next(stream)
            assert told[0] == number
            assert type(told[1]) is kind


async def test_who_wants_the_leader_alone_is_told_who_leads_when_that_changes() -> None:
    router = Router()
    async with grpc_rig(router) as rig:
        stream = rig.stream()
        await stream.send(batch(b"BLPOP jobs 0", number=7, is_leader_only=True))
        await rig.requests(1)
        (wait,) = router.requests
        assert wait.commands[0][0] == BLOCK
        assert not wait.may_pass_on
        router.finish(NotApplied(NotLeader("n2")))
        number, outcome = await _next(stream)
        assert number == 7
        assert isinstance(outcome, pb.NotApplied)
        assert (outcome.reason, outcome.leader) == (pb.NotApplied.NOT_LEADER, "n2")


# --- Turns: to wait and to take are two batches, so that what is taken is taken once.


async def _turn(rig: GrpcRig, stream: Execute, command: bytes, number: int) -> int:
    """Have `stream` wait, then give it something: the number of its turn."""
    await stream.send(batch(command, number=number, asks_for_turn=True))
    await _waits(rig, 1)
    assert await rig.stream().one(b"RPUSH jobs x") == 1
    told, outcome = await _next(stream)
    assert told == number
    assert isinstance(outcome, list)
    key, turn = outcome
    assert key == b"jobs"
    assert isinstance(turn, int)
    return turn


async def test_a_turn_is_told_and_nothing_is_taken_before_it_is_used() -> None:
    async with grpc_rig(WaitingRouter()) as rig:
        stream = rig.stream()
        turn = await _turn(rig, stream, b"BLPOP jobs other 0", 7)
        assert await rig.stream().one(b"LLEN jobs") == 1
        assert await stream.one(b"BLPOP jobs 0", turn=turn) == [b"jobs", b"x"]
        assert await rig.stream().one(b"LLEN jobs") == 0
        assert not len(rig.clients.blockers)


async def test_a_turn_can_be_taken_under_a_session() -> None:
    router = Router(1)
    async with grpc_rig(router) as rig:
        stream = rig.stream()
        await stream.send(batch(b"BLPOP jobs 0", number=7, asks_for_turn=True))
        await rig.requests(1)
        waiter = router.requests[0].waiter
        router.finish(Done([b"jobs"]))
        _, told = await _next(stream)
        assert isinstance(told, list)
        session = pb.Session(shard=0, id=3, sequence=5, floor=5)
        await stream.send(batch(b"BLPOP jobs 0", number=8, turn=told[1], sessions=[session]))
        await rig.requests(1)
        pop = router.requests[0]
        assert (pop.waiter, pop.session, pop.sequence) == (waiter, 3, 5)
        router.finish(Done([[b"jobs", b"x"]]))
        assert await _next(stream) == (8, [b"jobs", b"x"])
        assert not router.requests  # The leader knows that it is over.
        # Sent again it is no turn any more, and does not wait either.
        await stream.send(batch(b"BLPOP jobs 0", number=9, turn=told[1], sessions=[session]))
        await rig.requests(1)
        assert router.requests[0].waiter is None


async def test_a_command_that_waits_and_takes_is_counted_once() -> None:
    async with grpc_rig(WaitingRouter()) as rig:
        stream = rig.stream()
        counted = rig.clients.stats.commands
        before = rig.clients.commands
        turn = await _turn(rig, stream, b"BLPOP jobs 0", 7)
        assert b"BLPOP" not in counted
        await stream.one(b"BLPOP other 0", turn=turn)  # Nothing is there: it goes on to wait.
        assert b"BLPOP" not in counted
        assert await stream.one(b"BLPOP jobs 0", turn=1) == [b"jobs", b"x"]
        assert counted[b"BLPOP"].calls == 1
        assert rig.clients.commands - before == 2  # And RPUSH.
        await stream.send(batch(b"BLPOP jobs 0.01", number=9, asks_for_turn=True))
        await _waits(rig)
        rig.router.time_ns += 20_000_000
        assert await _next(stream) == (9, NULL_ARRAY)
        assert counted[b"BLPOP"].calls == 2


async def test_the_place_of_a_turn_that_was_cancelled_is_free() -> None:
    async with grpc_rig(WaitingRouter()) as rig:
        stream, next_ = rig.stream(), rig.stream()
        await _turn(rig, stream, b"BLPOP jobs 0", 7)
        await next_.send(batch(b"BLPOP jobs 0", number=8))
        await _waits(rig, 2)
        await stream.call.write(pb.ExecuteRequest(cancel=[7]).SerializeToString())
        assert await _next(next_) == (8, [b"jobs", b"x"])
        await _waits(rig, 0)


async def test_a_wait_that_was_cancelled_is_over() -> None:
    async with grpc_rig(WaitingRouter()) as rig:
        stream = rig.stream()
        await stream.send(batch(b"BLPOP jobs 0", number=7, asks_for_turn=True))
        await _waits(rig, 1)
        await stream.call.write(pb.ExecuteRequest(cancel=[7, 99]).SerializeToString())
        assert await _next(stream) == (7, NULL_ARRAY)
        await _waits(rig, 0)


async def test_a_stream_that_ends_gives_up_its_turns() -> None:
    async with grpc_rig(WaitingRouter()) as rig:
        stream, next_ = rig.stream(), rig.stream()
        await _turn(rig, stream, b"BLPOP jobs 0", 7)
        await next_.send(batch(b"BLPOP jobs 0", number=8))
        await _waits(rig, 2)
        stream.call.cancel()
        assert await _next(next_) == (8, [b"jobs", b"x"])


async def test_a_turn_of_another_stream_or_of_none_is_none() -> None:
    async with grpc_rig(WaitingRouter()) as rig:
        stream, other = rig.stream(), rig.stream()
        turn = await _turn(rig, stream, b"BLPOP jobs 0", 7)
        assert await other.one(b"BLPOP nothing 0", turn=turn) == NULL_ARRAY
        assert await other.one(b"BLPOP nothing 0", turn=12345) == NULL_ARRAY
        assert await stream.one(b"BLPOP jobs 0", turn=turn) == [b"jobs", b"x"]


async def test_what_only_reads_is_answered_and_told_no_turn() -> None:
    async with grpc_rig(WaitingRouter()) as rig:
        stream = rig.stream()
        await stream.send(batch(b"XREAD BLOCK 0 STREAMS s 0", number=7, asks_for_turn=True))
        await _waits(rig, 1)
        await rig.stream().one(b"XADD s 1-1 a b")
        number, outcome = await _next(stream)
        assert number == 7
        assert not isinstance(outcome, list)


async def test_who_only_tries_under_a_session_does_not_overtake_who_waits() -> None:
    router = Router(1)
    async with grpc_rig(router) as rig:
        stream = rig.stream()
        session = pb.Session(shard=0, id=3, sequence=5, floor=5)
        options = {"turn": 1, "sessions": [session]}
        await stream.send(batch(b"BLPOP jobs 0", number=1, is_behind_others=True, **options))
        await rig.requests(1)
        first = router.requests[0]
        assert first.waiter is not None  # The leader looks who waits.
        router.finish(Done([NULL_ARRAY]))
        assert await _next(stream) == (1, NULL_ARRAY)
        # Sent again it may have been applied: only the log knows.
        await stream.send(batch(b"BLPOP jobs 0", number=2, **options))
        await rig.requests(1)
        assert router.requests[0].waiter is None


async def test_only_a_command_that_waits_can_take_a_turn() -> None:
    """A leader would not know what to do with another one."""
    router = Router(1)
    async with grpc_rig(router) as rig:
        stream = rig.stream()
        await stream.send(batch(b"BLPOP jobs 0", number=7, asks_for_turn=True))
        await rig.requests(1)
        router.finish(Done([b"jobs"]))
        _, told = await _next(stream)
        assert isinstance(told, list)
        for commands in ([b"LPOP jobs"], [b"BLPOP jobs x"], [b"INCR a", b"BLPOP jobs 0"]):
            turn = {"turn": told[1], "is_behind_others": True}
            await stream.send(batch(*commands, number=8, **turn))
            await rig.requests(1)
            assert router.requests[0].waiter is None
            router.finish(Done([NULL_ARRAY] * len(router.requests[0].commands)))
            while router.requests:
                router.finish(Done([NULL_ARRAY]))
            await stream.receive()
