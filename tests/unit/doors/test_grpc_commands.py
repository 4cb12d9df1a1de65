"""Commands.Execute: batches over any keys, and exactly one of three outcomes for each command."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from trimaran.cluster.slots import shard_of
from trimaran.node.commands.transactions import EXEC, EXEC_RO
from trimaran.node.data.sessions import FULL
from trimaran.node.doors.backend import DoorLimits
from trimaran.node.errors import (
    NoQuorum,
    NotLeader,
    OutcomeUnknown,
    Overloaded,
    SessionUnknown,
    Unavailable,
)
from trimaran.node.request import Done, NotApplied, Unknown
from trimaran.proto import commands_pb2 as pb
from trimaran.proto.reply import OK, ErrorReply, MapReply, VerbatimReply
from trimaran.proto.resp import ReaderLimits

from ...grpc_client import batch, outcome_of
from .fakes import Router
from .grpc_rig import SESSION_TIMEOUT_MS, grpc_rig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trimaran.node.request import Outcome as RequestOutcome

Reason = pb.NotApplied


def keys_of_shard(shard: int, count: int, shards: int = 4) -> list[bytes]:
    names = (b"k%d" % number for number in range(10_000))
    found = [name for name in names if shard_of(0, name, shards) == shard]
    return found[:count]


async def test_commands_of_a_batch_are_answered_in_their_order_with_typed_replies() -> None:
    async with grpc_rig() as rig:
        stream = rig.stream()
        assert await stream.ask(
            b"SET a 1", b"incr a", b"GET a", b"GET nothing", b"INCRBYFLOAT a 1.5", b"nonsense a"
        ) == [
            OK,
            2,
            b"2",
            None,
            b"3.5",
            ErrorReply("ERR", "unknown command 'nonsense', with args beginning with: 'a' "),
        ]


async def test_without_memory_no_shard_is_asked_to_keep_functions() -> None:
    async with grpc_rig() as rig:
        rig.router.is_full = True
        library = b"#!lua name=lib\nredis.register_function('f', function() return 7 end)"
        stream = rig.stream()
        refused = ErrorReply("OOM", "command not allowed when used memory > 'maxmemory'.")
        assert await stream.ask([b"FUNCTION", b"LOAD", library]) == [refused]
        rig.router.is_full = False
        assert await stream.ask([b"FUNCTION", b"LOAD", library]) == [b"lib"]


async def test_a_batch_names_its_database() -> None:
    async with grpc_rig() as rig:
        stream = rig.stream()
        assert await stream.ask(b"MSET a 1 b 2 c 3", b"MGET a b c", database=3) == [
            OK,
            [b"1", b"2", b"3"],
        ]
        assert await stream.one(b"GET a") is None
        (error,) = await stream.ask(b"GET a", database=16)
        assert error == ErrorReply("ERR", "DB index is out of range")


async def test_keys_on_several_shards_are_served_as_at_the_any_key_door() -> None:
    async with grpc_rig() as rig:
        stream = rig.stream()
        names = [name for shard in range(4) for name in keys_of_shard(shard, 2)]
        assert await stream.ask(*([b"SET", name, name] for name in names)) == [OK] * 8
        assert await stream.one([b"MGET", *names]) == names
        assert await stream.one(b"DBSIZE") == 8
        assert await stream.one([b"EXISTS", *names, b"none"]) == 8
        found: list[bytes] = []
        cursor = b"0"
        while True:
            reply = await stream.one([b"SCAN", cursor])
            assert isinstance(reply, list)
            cursor = reply[0]
            found += reply[1]
            if cursor == b"0":
                break
        assert sorted(found) == sorted(names)
        refused = await stream.one([b"MSET", names[0], b"1", names[-1], b"1"])
        assert isinstance(refused, ErrorReply)
        assert refused.code == "CROSSSLOT"
        assert await stream.ask([b"DEL", *names[:3]], b"FLUSHALL", b"DBSIZE") == [3, OK, 0]


async def test_an_error_of_one_command_leaves_the_others() -> None:
    async with grpc_rig() as rig:
        replies = await rig.stream().ask(b"SET a x", b"INCR a", b"GET", b"APPEND a y")
        assert replies[0] == OK
        assert replies[1] == ErrorReply("ERR", "value is not an integer or out of range")
        assert replies[2] == ErrorReply("ERR", "wrong number of arguments for 'get' command")
        assert replies[3] == 2


async def test_what_the_door_answers_by_itself_is_answered_as_on_resp() -> None:
    async with grpc_rig() as rig:
        stream = rig.stream()
        assert await stream.one(b"ECHO hello") == b"hello"
        assert await stream.one(b"CLIENT ID") == 1
        assert await stream.one(b"CLIENT SETNAME me") == OK
        listed = await stream.one(b"CLIENT LIST")
        assert isinstance(listed, VerbatimReply)
        assert b"name=me " in listed.text
        assert b"resp=3" in listed.text
        assert b"addr=127.0.0.1:" in listed.text
        info = await stream.one(b"INFO server")
        assert isinstance(info, VerbatimReply)
        assert b"redis_mode:standalone" in info.text
        config = await stream.one(b"CONFIG GET maxclients")
        assert isinstance(config, MapReply)
        assert await stream.one(b"CLUSTER KEYSLOT a") == 15495


@pytest.mark.parametrize(
    ("command", "way"),
    [
        (b"SELECT 1", "Batch.database"),
        (b"MULTI", "is_atomic"),
        (b"EXEC", "is_atomic"),
        (b"HELLO 3", "typed"),
        (b"QUIT", "end the stream"),
        (b"RESET", "another stream"),
        (b"MONITOR", "RESP"),
        (b"CLIENT REPLY OFF", "its result"),
    ],
)
async def test_what_makes_no_sense_on_a_stream_names_the_way(command: bytes, way: str) -> None:
    async with grpc_rig() as rig:
        refused = await rig.stream().one(command)
        assert isinstance(refused, ErrorReply)
        assert "has no meaning on a gRPC stream" in refused.text
        assert way in refused.text


async def test_words_of_http_are_unknown_commands_and_harm_nothing() -> None:
    async with grpc_rig() as rig:
        stream = rig.stream()
        refused = await stream.one(b"POST / HTTP/1.1")
        assert isinstance(refused, ErrorReply)
        assert "unknown command" in refused.text
        assert await stream.one(b"ECHO on") == b"on"


async def test_what_a_batch_wants_of_one_shard_is_one_request_and_shards_do_not_wait() -> None:
    async with grpc_rig(Router(4)) as rig:
        stream = rig.stream()
        (a, b), (c,) = keys_of_shard(0, 2), keys_of_shard(1, 1)
        await stream.send(batch([b"SET", a, b"1"], [b"GET", c], [b"GET", b]))
        await rig.requests(2)
        first, second = rig.router.take(0), rig.router.take(1)
        assert [list(one) for one in first.commands] == [[b"SET", a, b"1"], [b"GET", b]]
        assert (first.has_write, second.has_write) == (True, False)
        second.complete(Done([b"c"]))
        first.complete(Done([OK, b"b"]))
        assert [outcome_of(one) for one in (await stream.receive()).results] == [OK, b"c", b"b"]


async def test_batches_do_not_wait_for_one_another() -> None:
    async with grpc_rig(Router(1)) as rig:
        stream = rig.stream()
        await stream.send(batch(b"INCR a", number=5), batch(b"INCR a", number=6))
        await rig.requests(2)
        rig.router.requests.pop().complete(Done([1]))
        assert (await stream.receive()).id == 6
        rig.router.requests.pop().complete(Done([2]))
        assert (await stream.receive()).id == 5


async def test_a_batch_over_the_limits_of_a_request_goes_in_several_one_after_the_other() -> None:
    limits = DoorLimits(request_commands_max=2)
    async with grpc_rig(Router(1), limits=limits) as rig:
        stream = rig.stream()
        await stream.send(batch(*[b"INCR a"] * 5))
        for sizes in (2, 2, 1):
            await rig.requests(1)
            (request,) = rig.router.requests
            assert len(request.commands) == sizes
            rig.router.answer(*range(sizes))
        assert len((await stream.receive()).results) == 5


async def test_nothing_is_carried_out_behind_a_command_that_was_not() -> None:
    limits = DoorLimits(request_commands_max=1)
    async with grpc_rig(Router(1), limits=limits) as rig:
        stream = rig.stream()
        await stream.send(batch(b"INCR a", b"INCR a", b"INCR a"))
        await rig.requests(1)
        rig.router.answer(1)
        await rig.requests(1)
        rig.router.finish(NotApplied(Overloaded("uncommitted_bytes_max")))
        done, refused, behind = [outcome_of(one) for one in (await stream.receive()).results]
        assert done == 1
        assert isinstance(refused, pb.NotApplied)
        assert (refused.reason, refused.limit) == (Reason.OVERLOADED, "uncommitted_bytes_max")
        assert isinstance(behind, pb.NotApplied)
        assert behind.reason == Reason.PREDECESSOR
        assert rig.router.requests == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (NotLeader("n2"), Reason.NOT_LEADER),
        (NotLeader(None), Reason.NOT_LEADER),
        (NoQuorum("no majority answered in time"), Reason.NO_QUORUM),
        (Overloaded("forward_pending_max"), Reason.OVERLOADED),
        (SessionUnknown(), Reason.SESSION_UNKNOWN),
    ],
)
async def test_what_was_surely_not_applied_says_why(
    error: Unavailable, reason: pb.NotApplied.Reason
) -> None:
    async with grpc_rig(Router(1)) as rig:
        stream = rig.stream()
        await stream.send(batch(b"INCR a"))
        await rig.requests(1)
        rig.router.finish(NotApplied(error))
        (outcome,) = map(outcome_of, (await stream.receive()).results)
        assert isinstance(outcome, pb.NotApplied)
        assert outcome.reason == reason
        assert outcome.text == str(error)


@pytest.mark.parametrize(
    ("listener", "address"), [("", "127.0.0.1:7391"), ("outside", "out2:17381")]
)
async def test_a_hint_is_the_address_that_the_asked_listener_announces(
    listener: str, address: str
) -> None:
    async with grpc_rig(Router(1), listener=listener) as rig:
        stream = rig.stream()
        await stream.send(batch(b"INCR a", is_leader_only=True))
        await rig.requests(1)
        assert not rig.router.requests[0].may_pass_on
        rig.router.finish(NotApplied(NotLeader("n2")))
        (outcome,) = map(outcome_of, (await stream.receive()).results)
        assert isinstance(outcome, pb.NotApplied)
        assert (outcome.leader, outcome.leader_address) == ("n2", address)


async def test_of_a_request_whose_fate_is_unknown_the_reads_surely_changed_nothing() -> None:
    async with grpc_rig(Router(1)) as rig:
        stream = rig.stream()
        await stream.send(batch(b"INCR a", b"GET a"))
        await rig.requests(1)
        rig.router.finish(Unknown(OutcomeUnknown("no majority answered in time")))
        write, read = map(outcome_of, (await stream.receive()).results)
        assert isinstance(write, pb.OutcomeUnknown)
        assert write.text == "no majority answered in time"
        assert isinstance(read, pb.NotApplied)
        assert read.reason == Reason.NO_QUORUM


async def test_a_command_over_several_shards_is_unknown_if_a_part_of_it_is() -> None:
    async with grpc_rig(Router(2)) as rig:
        stream = rig.stream()
        (a,), (b,) = keys_of_shard(0, 1, 2), keys_of_shard(1, 1, 2)
        cases: Sequence[tuple[Sequence[RequestOutcome], type]] = (
            ((Done([1]), Unknown(OutcomeUnknown("?"))), pb.OutcomeUnknown),
            ((Done([1]), NotApplied(NoQuorum("!"))), pb.OutcomeUnknown),  # Half of it was.
            ((NotApplied(NoQuorum("!")), NotApplied(NoQuorum("!"))), pb.NotApplied),
        )
        for outcomes, kind in cases:
            await stream.send(batch([b"DEL", a, b]))
            await rig.requests(2)
            for shard, outcome in enumerate(outcomes):
                rig.router.finish(outcome, shard=shard)
            (got,) = map(outcome_of, (await stream.receive()).results)
            assert isinstance(got, kind)


async def test_a_time_out_shortens_the_deadline_and_never_lengthens_it() -> None:
    limits = DoorLimits(command_timeout_ms=5_000)
    async with grpc_rig(Router(1), limits=limits) as rig:
        stream = rig.stream()
        for timeout_ms, left_ms in ((0, 5_000), (700, 700), (60_000, 5_000)):
            await stream.send(batch(b"INCR a", timeout_ms=timeout_ms))
            await rig.requests(1)
            left_ns = rig.router.requests[0].deadline_ns - rig.router.time_ns
            assert left_ns == left_ms * 1_000_000
            rig.router.answer(1)
            await stream.receive()


# --- Sessions.


async def test_a_session_goes_with_the_commands_of_its_shard_and_is_not_passed_on() -> None:
    limits = DoorLimits(request_commands_max=2)
    async with grpc_rig(Router(4), limits=limits) as rig:
        stream = rig.stream()
        (a,), (b,) = keys_of_shard(0, 1), keys_of_shard(1, 1)
        session = pb.Session(shard=0, id=77, sequence=10, floor=8)
        commands = [[b"INCR", a]] * 3
        await stream.send(batch(*commands, [b"INCR", b], sessions=[session]))
        await rig.requests(2)
        first = rig.router.take(0)
        assert (first.session, first.sequence, first.floor) == (77, 10, 8)
        assert not first.may_pass_on
        assert rig.router.take(1).session == 0
        first.complete(Done([1, 2]))
        await rig.requests(1)
        assert rig.router.requests[0].sequence == 12


async def test_a_session_is_opened_before_the_first_command_and_told() -> None:
    async with grpc_rig(Router(4)) as rig:
        stream = rig.stream()
        session = pb.Session(shard=0, sequence=1)
        await stream.send(batch([b"INCR", *keys_of_shard(0, 1)], sessions=[session]))
        await rig.requests(1)
        opening = rig.router.requests[0]
        assert opening.commands == [[b"_SESSION.OPEN", b"%d" % SESSION_TIMEOUT_MS]]
        rig.router.answer(4_711)
        await rig.requests(1)
        request = rig.router.requests[0]
        assert (request.session, request.sequence) == (4_711, 1)
        rig.router.answer(1)
        reply = await stream.receive()
        assert [(one.shard, one.id) for one in reply.opened] == [(0, 4_711)]


async def test_a_session_is_opened_under_the_number_its_client_drew() -> None:
    async with grpc_rig(Router(1)) as rig:
        session = pb.Session(sequence=1, timeout_ms=5000, client=77, age_ms=30)
        await rig.stream().send(batch(b"INCR a", sessions=[session]))
        await rig.requests(1)
        assert rig.router.requests[0].commands == [[b"_SESSION.OPEN", b"5000", b"77", b"30"]]


async def test_reads_say_how_old_a_state_they_may_see_unless_they_follow_a_write() -> None:
    async with grpc_rig(Router(1), limits=DoorLimits(request_commands_max=1)) as rig:
        stream = rig.stream()
        await stream.send(batch(b"GET a", b"SET a 1", b"GET a", stale_ms=20))
        seen: list[int] = []
        for reply in (None, OK, b"1"):
            await rig.requests(1)
            seen.append(rig.router.requests[0].stale_ns)
            rig.router.answer(reply)
        assert seen == [20_000_000, 0, 0]


async def test_if_no_session_was_opened_nothing_was_applied() -> None:
    async with grpc_rig(Router(1)) as rig:
        stream = rig.stream()
        for outcome, reason in (
            (Unknown(OutcomeUnknown("?")), Reason.NO_QUORUM),
            (NotApplied(NotLeader("n2")), Reason.NOT_LEADER),
            (Done([ErrorReply("OVERLOADED", "too many sessions")]), Reason.OVERLOADED),
            (Done([ErrorReply("SESSIONLOST", "ended")]), Reason.SESSION_UNKNOWN),
        ):
            await stream.send(batch(b"INCR a", sessions=[pb.Session(sequence=1)]))
            await rig.requests(1)
            rig.router.finish(outcome)
            (got,) = map(outcome_of, (await stream.receive()).results)
            assert isinstance(got, pb.NotApplied)
            assert got.reason == reason


async def test_what_a_full_session_refuses_was_not_applied() -> None:
    async with grpc_rig(Router(1)) as rig:
        stream = rig.stream()
        for is_atomic, replies in ((False, [1, FULL]), (True, [FULL])):
            session = pb.Session(id=7, sequence=1)
            await stream.send(batch(b"INCR a", b"INCR a", sessions=[session], is_atomic=is_atomic))
            await rig.requests(1)
            rig.router.answer(*replies)
            outcomes = [outcome_of(one) for one in (await stream.receive()).results]
            assert isinstance(outcomes[1], pb.NotApplied)
            assert outcomes[1].reason == Reason.OVERLOADED
            assert outcomes[0] == (outcomes[1] if is_atomic else 1)


async def test_half_of_a_split_write_in_a_full_session_is_not_called_not_applied() -> None:
    async with grpc_rig(Router(2)) as rig:
        stream = rig.stream()
        sessions = [pb.Session(shard=shard, id=7, sequence=1) for shard in (0, 1)]
        await stream.send(batch(b"DEL a b c d e f g h", sessions=sessions))
        await rig.requests(2)
        rig.router.answer(FULL, shard=0)
        rig.router.answer(1, shard=1)
        (outcome,) = map(outcome_of, (await stream.receive()).results)
        assert isinstance(outcome, pb.OutcomeUnknown)


async def test_nothing_is_carried_out_behind_what_a_full_session_refused() -> None:
    async with grpc_rig(Router(1), limits=DoorLimits(request_commands_max=1)) as rig:
        stream = rig.stream()
        session = pb.Session(id=7, sequence=1)
        await stream.send(batch(b"INCR a", b"INCR a", sessions=[session]))
        await rig.requests(1)
        rig.router.answer(FULL)
        outcomes = [outcome_of(one) for one in (await stream.receive()).results]
        reasons = [one.reason for one in outcomes if isinstance(one, pb.NotApplied)]
        assert reasons == [Reason.OVERLOADED, Reason.PREDECESSOR]


# --- Transactions, and commands that wait for those before them.


async def test_an_atomic_batch_does_nothing_if_what_it_watches_was_changed() -> None:
    async with grpc_rig() as rig:
        stream = rig.stream()
        (index,) = await stream.ask(b"WATCH {t}a {t}b")
        assert isinstance(index, int)
        watched = [pb.Watched(key=b"{t}a", index=index), pb.Watched(key=b"{t}b", index=index)]
        assert await stream.ask(b"SET {t}c 1", is_atomic=True, watched=watched) == [OK]
        await stream.ask(b"SET {t}b 1")
        outcomes = await stream.ask(b"SET {t}c 2", b"GET {t}c", is_atomic=True, watched=watched)
        assert [cast("pb.NotApplied", one).reason for one in outcomes] == [Reason.WATCHED] * 2
        assert await stream.ask(b"GET {t}c") == [b"1"]


async def test_what_is_watched_is_where_the_commands_are() -> None:
    async with grpc_rig() as rig:
        stream = rig.stream()
        (a,), (b,) = keys_of_shard(0, 1), keys_of_shard(1, 1)
        (index,) = await stream.ask([b"WATCH", a])
        assert isinstance(index, int)
        watched = [pb.Watched(key=a, index=index)]
        (error,) = await stream.ask([b"SET", b, b"1"], is_atomic=True, watched=watched)
        assert isinstance(error, ErrorReply)
        assert error.code == "CROSSSLOT"
        (error,) = await stream.ask([b"SET", a, b"1"], watched=watched)
        assert error == ErrorReply("ERR", "keys are watched for an atomic batch alone")


async def test_an_atomic_batch_is_one_command_of_its_shard() -> None:
    async with grpc_rig() as rig:
        stream = rig.stream()
        assert await stream.ask(
            b"SET {t}a 1", b"INCR {t}b", b"APPEND {t}a x", b"INCR {t}a", is_atomic=True
        ) == [OK, 1, 2, ErrorReply("ERR", "value is not an integer or out of range")]
        assert await stream.ask(b"GET {t}a", b"GET {t}b", is_atomic=True) == [b"1x", b"1"]


@pytest.mark.parametrize(("command", "name"), [(b"INCR a", EXEC), (b"GET a", EXEC_RO)])
async def test_an_atomic_batch_goes_as_one_request_with_one_outcome(
    command: bytes, name: bytes
) -> None:
    async with grpc_rig(Router(1)) as rig:
        stream = rig.stream()
        await stream.send(batch(command, b"GET b", is_atomic=True))
        await rig.requests(1)
        (request,) = rig.router.requests
        assert [one[0] for one in request.commands] == [name]
        rig.router.finish(NotApplied(NotLeader("n2")))
        outcomes = [outcome_of(one) for one in (await stream.receive()).results]
        assert all(isinstance(one, pb.NotApplied) for one in outcomes)


async def test_an_atomic_batch_with_a_refused_command_runs_none() -> None:
    async with grpc_rig() as rig:
        stream = rig.stream()
        first, second = await stream.ask(b"SET {t}a 1", b"INCR", is_atomic=True)
        assert isinstance(first, ErrorReply)
        assert first.code == "EXECABORT"
        assert second == ErrorReply("ERR", "wrong number of arguments for 'incr' command")
        (a,), (b,) = keys_of_shard(0, 1), keys_of_shard(1, 1)
        first, second = await stream.ask([b"INCR", a], [b"INCR", b], is_atomic=True)
        assert isinstance(second, ErrorReply)
        assert second.code == "CROSSSLOT"
        assert await stream.one(b"DBSIZE") == 0


async def test_an_atomic_batch_over_the_limits_of_a_transaction_is_refused_whole() -> None:
    limits = DoorLimits(transaction_commands_max=2, reader=ReaderLimits(command_bytes_max=2_000))
    async with grpc_rig(limits=limits) as rig:
        stream = rig.stream()
        for commands, limit in (
            ([b"INCR a"] * 3, "transaction_commands_max"),
            ([[b"APPEND", b"a", b"x" * 900]] * 2, "command_bytes_max"),
        ):
            for refused in await stream.ask(*commands, is_atomic=True):
                assert isinstance(refused, ErrorReply)
                assert limit in refused.text
        assert await stream.one(b"DBSIZE") == 0


async def test_wait_is_asked_when_the_commands_before_it_are_answered() -> None:
    async with grpc_rig(Router(1)) as rig:
        stream = rig.stream()
        await stream.send(batch(b"INCR a", b"WAIT 1 0", b"INCR b"))
        await rig.requests(1)
        assert len(rig.router.requests[0].commands) == 1
        rig.router.answer(1)
        await rig.requests(2)
        asked = rig.router.take()
        assert asked.commands[0][0] == b"_WAIT"
        asked.complete(Done([[5, 1, 2]]))
        rig.router.answer(1)
        assert [outcome_of(one) for one in (await stream.receive()).results] == [1, 2, 1]


async def test_commands_are_counted_once_also_when_they_are_split() -> None:
    async with grpc_rig() as rig:
        names = [name for shard in range(4) for name in keys_of_shard(shard, 1)]
        await rig.stream().ask(b"SET a 1", [b"MGET", *names], b"ECHO x", b"INCR")
        assert await rig.stream().ask(b"append b x", b"append b x", is_atomic=True) == [1, 2]
        stats = rig.clients.stats.commands
        assert stats[b"APPEND"].calls == 2
        assert (stats[b"SET"].calls, stats[b"MGET"].calls, stats[b"INCR"].rejected) == (1, 1, 1)
        assert rig.clients.commands == 6
