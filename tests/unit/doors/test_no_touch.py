"""CLIENT NO-TOUCH: reads of such a client do not change for how long a key was idle."""

from __future__ import annotations

from typing import cast

import pytest

from trimaran.node.data.keyspace import Keyspace
from trimaran.node.data.uses import TICKS_PER_S, Kind, Uses
from trimaran.proto.reply import OK

from .fakes import Client, MemoryRouter, Rig
from .grpc_rig import grpc_rig

IDLE_S = 100


@pytest.fixture(params=["slots", "lru"])
def client(request: pytest.FixtureRequest) -> Client:
    """Its one key was not used for a while."""
    router = MemoryRouter(1)
    (keys,) = router._keyspaces
    client = Rig(router).client()
    assert client.ask(b"SET k v") == b"OK"
    if request.param == "lru":
        keys.uses = Uses(Kind(is_frequency=False), clock=0, keys=1)
    keys.clock = IDLE_S * TICKS_PER_S
    if keys.uses is not None:
        keys.uses.clock = keys.clock
    assert client.ask(b"OBJECT IDLETIME k") == IDLE_S
    return client


def test_a_read_does_not_count_while_it_is_on(client: Client) -> None:
    assert client.ask(b"CLIENT NO-TOUCH ON") == b"OK"
    assert client.ask(b"GET k", b"STRLEN k", b"OBJECT IDLETIME k") == IDLE_S
    assert client.ask(b"CLIENT NO-TOUCH OFF", b"GET k", b"OBJECT IDLETIME k") == 0


def test_what_a_pipeline_read_before_it_was_on_counts(client: Client) -> None:
    client.send(b"GET k", b"CLIENT NO-TOUCH ON", b"GET k")
    assert client.replies() == [b"v", b"OK", b"v"]
    assert client.ask(b"OBJECT IDLETIME k") == 0


def test_touch_counts_all_the_same(client: Client) -> None:
    assert client.ask(b"CLIENT NO-TOUCH ON", b"TOUCH k") == 1
    assert client.ask(b"OBJECT IDLETIME k") == 0


def test_reads_of_a_transaction_do_not_count_either(client: Client) -> None:
    exec_ = (b"MULTI", b"GET k", b"EXISTS k", b"EXEC")
    assert client.ask(b"CLIENT NO-TOUCH ON", *exec_) == [b"v", 1]
    assert client.ask(b"OBJECT IDLETIME k") == IDLE_S
    assert client.ask(b"MULTI", b"GET k", b"TOUCH k", b"EXEC") == [b"v", 1]
    assert client.ask(b"OBJECT IDLETIME k") == 0


def test_a_read_behind_a_write_of_its_pipeline_does_not_count(client: Client) -> None:
    client.ask(b"CLIENT NO-TOUCH ON")
    client.send(b"SET other v", b"GET k", b"OBJECT IDLETIME k")
    assert client.replies()[:2] == [b"OK", b"v"]
    assert client.ask(b"OBJECT IDLETIME k") == IDLE_S


def test_errors_and_counts_are_those_of_the_command(client: Client) -> None:
    client.ask(b"CLIENT NO-TOUCH ON")
    assert client.ask(b"LLEN k").startswith("WRONGTYPE ")
    stats = client.ask(b"INFO commandstats").decode()
    assert "cmdstat_llen:calls=1" in stats
    assert "unnoticed" not in stats.lower()


def test_frequencies_do_not_rise() -> None:
    keys = Keyspace()
    keys.enter(0, 1, is_read=False)
    keys.put(b"k", b"v")
    keys.uses = Uses(Kind(is_frequency=True), clock=0, keys=1)
    before = keys.uses.frequency(0, b"k")
    with keys.unnoticed():
        for _ in range(100):
            keys.peek(b"k")
    assert keys.uses.frequency(0, b"k") == before
    for _ in range(100):
        keys.peek(b"k")
    assert keys.uses.frequency(0, b"k") > before


async def test_reads_of_a_grpc_stream_do_not_count_either() -> None:
    async with grpc_rig(MemoryRouter(1)) as rig:
        stream = rig.stream()
        (keys,) = cast("MemoryRouter", rig.router)._keyspaces
        await stream.ask(b"SET k v")
        keys.clock = IDLE_S * TICKS_PER_S
        idle = await stream.ask(b"CLIENT NO-TOUCH ON", b"GET k", b"OBJECT IDLETIME k")
        assert idle == [OK, b"v", IDLE_S]
        assert await stream.ask(b"TOUCH k", b"OBJECT IDLETIME k") == [1, 0]
