"""The gRPC door of real nodes: batches from any node, three outcomes, large values, a watched
topology, health."""

from __future__ import annotations

import asyncio
import random
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any  # gRPC's call types are generic over messages.

import grpc
import grpc.aio
import pytest
from google.protobuf import json_format
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from trimaran.cluster.slots import shard_of
from trimaran.proto import admin_pb2
from trimaran.proto import commands_pb2 as pb
from trimaran.proto.reply import OK, VerbatimReply

from ..chaos.processes import Processes
from ..grpc_client import Execute, Outcome, batch, outcome_of, status, watch
from .command import TRIMARAN, Up, free_base

if TYPE_CHECKING:
    from .conftest import StartUp

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("n1", "n2", "n3")
SHARDS = 3
OPTIONS = ("--shards", str(SHARDS))
PATIENCE_S = 60.0

pytestmark = pytest.mark.timeout(300)


@asynccontextmanager
async def channels(up: Up) -> AsyncIterator[dict[str, grpc.aio.Channel]]:
    """To each node, with gRPC's own options."""
    made = {name: grpc.aio.insecure_channel(f"127.0.0.1:{up.base(name) + 2}") for name in NAMES}
    try:
        yield made
    finally:
        for channel in made.values():
            await channel.close()


def key_of(shard: int, what: str = "k") -> bytes:
    names = (f"{what}{number}".encode() for number in range(1_000))
    return next(name for name in names if shard_of(0, name, SHARDS) == shard)


def kind_of(outcome: Outcome) -> str:
    if isinstance(outcome, pb.NotApplied):
        return pb.NotApplied.Reason.Name(outcome.reason)
    return "unknown" if isinstance(outcome, pb.OutcomeUnknown) else "reply"


def hint_of(outcome: Outcome) -> str | None:
    """Where to go instead, if a node said that it does not lead; empty if it does not know."""
    if isinstance(outcome, pb.NotApplied) and outcome.reason == pb.NotApplied.NOT_LEADER:
        return outcome.leader_address
    return None


async def at_leader(up: Up, *command: bytes, **options: Any) -> Outcome:
    """What the leader answers, found by hints as the SDK finds it: leaders may move meanwhile."""
    address = f"127.0.0.1:{up.base('n1') + 2}"
    async with asyncio.timeout(PATIENCE_S):
        while True:
            async with grpc.aio.insecure_channel(address) as channel:
                outcome = await Execute(channel).one(command, is_leader_only=True, **options)
            hint = hint_of(outcome)
            if hint is None:
                return outcome
            address = hint or address
            await asyncio.sleep(0.02)


async def next_state(call: Any) -> admin_pb2.TopologyState:
    async with asyncio.timeout(PATIENCE_S):
        state = await call.read()
    assert isinstance(state, admin_pb2.TopologyState)
    return state


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A cluster for the tests that break nothing."""
    with pytest.MonkeyPatch.context() as patch, Processes() as processes:
        patch.setenv("TRIMARAN_COMMAND_TIMEOUT_MS", "60000")  # Large values on a busy machine.
        data = tmp_path_factory.mktemp("grpc") / "data"
        running = Up(processes, data, free_base(random.Random(__name__)), *OPTIONS)
        running.wait_ready()
        yield running
        running.stop()


def start(start_up: StartUp) -> Up:
    """A cluster for a test that breaks it."""
    up = start_up(*OPTIONS)
    up.wait_ready()
    return up


async def test_any_node_serves_any_key_and_a_smart_client_is_told_the_leader(
    up: Up,
) -> None:
    async with channels(up) as to:
        for name in NAMES:
            key = key_of(0, name)
            stream = Execute(to[name])
            commands = [b"SET", key, b"1"], [b"INCR", key], [b"GET", key]
            assert await stream.ask(*commands) == [OK, 2, b"2"]
            keys = [key_of(shard, f"{name}-") for shard in range(SHARDS)]
            assert await stream.ask(*([b"SET", one, one] for one in keys)) == [OK] * SHARDS
            assert await stream.one([b"MGET", *keys]) == keys

        key = key_of(0, "hint")
        hints = [
            hint_of(await Execute(to[name]).one([b"APPEND", key, b"x"], is_leader_only=True))
            for name in NAMES
        ]
        assert None in hints or await at_leader(up, b"APPEND", key, b"x") == 1
        places = {f"127.0.0.1:{up.base(name) + 2}" for name in NAMES}
        assert {hint for hint in hints if hint} <= places
        assert len([hint for hint in hints if hint]) >= 1
        assert isinstance(await at_leader(up, b"STRLEN", key), int)


async def test_what_is_sent_again_under_its_session_is_applied_once(up: Up) -> None:
    async with channels(up) as to:
        leader = up.leader(0)
        stream = Execute(to[leader])
        key = key_of(0, "session")
        number = 0
        while not number:  # Where the shard is led; it may move.
            await stream.send(batch([b"INCR", key], sessions=[pb.Session(shard=0, sequence=1)]))
            reply = await stream.receive()
            number = next((one.id for one in reply.opened), 0)
            stream = Execute(to[up.leader(0)])
        assert await stream.one([b"GET", key]) == b"1"
        session = pb.Session(shard=0, id=number, sequence=2, floor=2)
        for _ in range(3):
            assert await at_leader(up, b"INCR", key, sessions=[session]) == 2
        strange = pb.Session(shard=0, id=number + 9_999, sequence=1)
        refused = await at_leader(up, b"INCR", key, sessions=[strange])
        assert kind_of(refused) == "SESSION_UNKNOWN"
        assert await stream.one([b"GET", key]) == b"2"


async def test_the_largest_value_is_written_and_read_with_grpcs_own_limits(
    up: Up,
) -> None:
    key = key_of(0, "large")
    value = bytes(range(256)) * (1 << 18)  # 64 MiB
    async with channels(up) as to:
        assert await Execute(to["n1"]).one([b"SET", key, value]) == OK
        for name in ("n2", "n3"):
            assert await Execute(to[name]).one([b"GET", key]) == value


async def test_when_a_leader_is_killed_a_watch_sees_the_next_and_who_waits_for_data_waits_on(
    start_up: StartUp,
) -> None:
    up = start(start_up)
    async with channels(up) as to:
        leader = other = ""
        while leader == other:  # Until then it has just moved to the node that is watched.
            other = next(name for name in NAMES if name != up.leader(0))
            call = watch(to[other])
            state = await next_state(call)
            leader = state.shards[0].leader
        assert [one.name for one in state.nodes] == list(NAMES)
        assert [one.port for one in state.nodes] == [up.base(name) for name in NAMES]
        term = state.shards[0].term
        waiting = Execute(to[other])
        await waiting.send(batch([b"BLPOP", key_of(0, "jobs"), b"0"], number=7))
        while b"blocked_clients:1\r\n" not in await _info(to[other]):  # noqa: ASYNC110  # Elsewhere.
            await asyncio.sleep(0.02)
        up.kill(leader)
        while state.shards[0].leader in ("", leader):
            state = await next_state(call)
        assert state.shards[0].term > term
        assert not {one.name: one.is_reachable for one in state.nodes}[leader]
        stream = Execute(to[other])
        assert await stream.one([b"SET", key_of(0), b"1"]) == OK
        assert await stream.one([b"RPUSH", key_of(0, "jobs"), b"x"]) == 1
        answer = await waiting.receive()
        assert answer.id == 7
        assert [outcome_of(one) for one in answer.results] == [[key_of(0, "jobs"), b"x"]]
        reply = await status(to[other])
        assert reply.node == other
        assert {one.name: one.is_up for one in reply.nodes}[leader] is False


async def _info(channel: grpc.aio.Channel) -> bytes:
    shown = await Execute(channel).one(b"INFO clients")
    assert isinstance(shown, VerbatimReply)
    return shown.text


async def test_without_a_majority_nothing_is_claimed(start_up: StartUp) -> None:
    up = start(start_up)
    async with channels(up) as to:
        leader = up.leader(0)
        others = [name for name in NAMES if name != leader]
        stream = Execute(to[leader])
        key = key_of(0)
        assert await stream.one([b"SET", key, b"0"]) == OK
        for name in others:
            up.kill(name)
        kinds = [
            kind_of(await stream.one([b"INCR", key], timeout_ms=500)),
            kind_of(await stream.one([b"GET", key], timeout_ms=500)),
        ]
        assert kinds[0] in ("unknown", "NO_QUORUM")  # The first may have been proposed.
        assert kinds[1] in ("NO_QUORUM", "NOT_LEADER")


def test_the_page_about_grpc_says_what_works(up: Up) -> None:
    page = (ROOT / "docs" / "grpc.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", program.replace("7381", str(up.base("n1") + 2))],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    assert 'done: status: "OK"' in done.stdout
    assert "done: integer: 1" in done.stdout
    (message,) = re.findall(r"-d '(.*?)'", page, re.DOTALL)
    (batch_,) = json_format.Parse(message, pb.ExecuteRequest()).batches
    assert [list(one.args) for one in batch_.commands] == [[b"SET", b"k", b"v1"], [b"GET", b"k"]]


async def test_health_and_reflection_are_there_for_tools(up: Up) -> None:
    async with channels(up) as to:
        check: grpc.aio.UnaryUnaryMultiCallable[Any, Any] = to["n1"].unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        for service in ("", "trimaran.v1.Commands"):
            reply = await check(health_pb2.HealthCheckRequest(service=service))
            assert reply.status == health_pb2.HealthCheckResponse.SERVING
        reflect: grpc.aio.StreamStreamMultiCallable[Any, Any] = to["n1"].stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        call = reflect()
        await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        listed: Any = await call.read()
        assert "trimaran.v1.Commands" in {one.name for one in listed.list_services_response.service}


async def test_a_node_that_is_stopped_ends_its_streams_and_says_nothing_odd(
    start_up: StartUp,
) -> None:
    up = start(start_up)
    async with channels(up) as to:
        streams = [Execute(to["n1"]) for _ in range(3)]
        call = watch(to["n1"])
        await next_state(call)
        for stream in streams:
            assert await stream.one(b"PING a") == b"a"
        await asyncio.to_thread(up.end, signal.SIGTERM)
        for stream in streams:
            assert (await stream.ending())[0] != grpc.StatusCode.OK
        log = (up.data / "n1" / "node.log").read_text()
        assert "Traceback" not in log
        assert "ERROR" not in log


async def test_a_named_listener_has_a_grpc_port_that_tells_its_names(
    processes: Processes, tmp_path: Path, ports_rng: random.Random
) -> None:
    port = free_base(ports_rng)
    words = [str(TRIMARAN), "node", "--name", "n1", "--data", str(tmp_path / "n1")]
    words += ["--port", str(port), "--founders", f"n1=127.0.0.1:{port + 2}", "--shards", "1"]
    words += ["--listen", f"outside=127.0.0.1:{port + 10},announce=far.example:17379"]
    processes.start("n1", words, tmp_path / "n1.output")
    async with (
        grpc.aio.insecure_channel(f"127.0.0.1:{port + 2}") as own,
        grpc.aio.insecure_channel(f"127.0.0.1:{port + 12}") as outside,
    ):
        for channel, place in ((outside, ("far.example", 17379)), (own, ("127.0.0.1", port))):
            async with asyncio.timeout(PATIENCE_S):
                await channel.channel_ready()
                found: list[tuple[str, int]] = []
                call = watch(channel)
                while found != [place]:  # The listener is told to the cluster once it is formed.
                    try:
                        state = await next_state(call)
                        found = [(one.host, one.port) for one in state.nodes]
                    except grpc.aio.AioRpcError as error:
                        assert error.code() is grpc.StatusCode.UNAVAILABLE  # noqa: PT017
                        await asyncio.sleep(0.05)
                        call = watch(channel)
