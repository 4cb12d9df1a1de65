"""CONFIG SET and GET of cluster-wide parameters: the same words as a real Redis, for any value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trimaran.cluster.settings import PARAMETERS, TABLE
from trimaran.proto.reply import OK, ErrorReply, Reply

from ..unit.doors.fakes import Client, Control, Rig, Router

if TYPE_CHECKING:
    from collections.abc import Callable

    from trimaran.cluster.settings import Pairs
    from trimaran.cluster.topology import Topology

    from .redis_server import RedisConnection

SINCE_7_2 = {"set-max-listpack-entries", "set-max-listpack-value"}
OWN = {"lua-budget", "lua-scripts-bytes-max"}
NAMES = sorted(PARAMETERS.keys() - SINCE_7_2 - OWN)

VALUES = [
    *("0", "1", "-1", "5", "64", "128", "-5", "2147483647", "2147483648", "-2147483648"),
    *("-2147483649", "9223372036854775807", "9223372036854775808", "18446744073709551615"),
    *("18446744073709551616", "99999999999999999999", "007", "+5", "-0", " 5", "5 ", "", "x"),
    *("1kb", "1K", "3mB", "2g", "1gb", "1tb", "5b", "1.5mb", "10%", "-1kb", "kb", "0x10"),
    *("noeviction", "ALLKEYS-lru", "volatile-ttl", "allkeys", "yes", "no"),
    *("KEA", "Ex", "AKE", "gxE$", "KEn", "AnK", "KEm", "mn", "g$lshzxetd", "tdKE", "q", "KEq"),
]


class Settled(Router):
    """Its topology is what CONFIG SET has made of it."""

    def __init__(self) -> None:
        super().__init__()
        self.agreed: Topology = super().topology()

    def topology(self) -> Topology:
        return self.agreed


class Agreeing(Control):
    def __init__(self, router: Settled) -> None:
        super().__init__()
        self._router = router

    def change_settings(self, pairs: Pairs, done: Callable[[Reply], None]) -> None:
        self._router.agreed = self._router.agreed.with_settings(pairs)
        done(OK)


@pytest.fixture(scope="module")
def client() -> Client:
    router = Settled()
    rig = Rig(router)
    rig.door.control = Agreeing(router)
    return rig.client()


def both(client: Client, connection: RedisConnection, args: list[bytes]) -> tuple[object, object]:
    """What each answers, as text."""
    ours = client.ask(args)
    theirs: object = connection.run(args)
    if isinstance(theirs, ErrorReply):
        theirs = f"{theirs.code} {theirs.text}"
    elif theirs == OK:
        theirs = b"OK"
    return ours, theirs


def check(client: Client, connection: RedisConnection, name: str, value: str) -> None:
    ours, theirs = both(client, connection, [b"CONFIG", b"SET", name.encode(), value.encode()])
    assert ours == theirs, f"CONFIG SET {name} {value!r}"
    ours, theirs = both(client, connection, [b"CONFIG", b"GET", name.encode()])
    assert ours == theirs, f"CONFIG GET {name} after {value!r}"


@pytest.fixture(autouse=True)
def _defaults(client: Client, redis_connection: RedisConnection) -> None:
    for one in TABLE:
        if one.name not in SINCE_7_2 | OWN:
            check(client, redis_connection, one.name, one.kind.text(one.default))


@pytest.mark.parametrize("name", NAMES)
def test_every_value_is_taken_or_refused_as_there(
    client: Client, redis_connection: RedisConnection, name: str
) -> None:
    for value in VALUES:
        check(client, redis_connection, name, value)


# One server for all examples, as for all tests: each sets what it compares.
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(letters=st.text(alphabet="Ag$lshzxetdnKEm", max_size=12))
def test_events_are_printed_as_there(
    client: Client, redis_connection: RedisConnection, letters: str
) -> None:
    check(client, redis_connection, "notify-keyspace-events", letters)


def test_the_defaults_are_those_of_redis(redis_connection: RedisConnection) -> None:
    redis_connection.run([b"CONFIG", b"RESETSTAT"])
    fresh = Rig(Router()).client()
    for name in NAMES:
        ours, theirs = both(fresh, redis_connection, [b"CONFIG", b"GET", name.encode()])
        assert ours == theirs


@pytest.mark.parametrize(
    "line",
    [
        b"CONFIG GET",
        b"CONFIG GET nothing",
        b"CONFIG GET MaxMemory maxmemory MAXMEMORY",
        b"CONFIG GET [m]axmemory",
        b"CONFIG GET MAXMEMORY-SAMPLE?",
        b"CONFIG SET maxmemory",
        b"CONFIG SET maxmemory 1 foo",
        b"CONFIG SET maxmemory 1 foo 2",
        b"CONFIG SET foo 2 bar 1",
        b"CONFIG SET maxmemory x foo 1",
        b"CONFIG SET maxmemory 1 maxmemory 2",
        b"CONFIG SET maxmemory 1 MaxMemory 2",
        b"CONFIG SET databases 5",
        b"CONFIG SET databases 5 foo 1",
        b"CONFIG SET cluster-enabled yes",
        b"CONFIG SET daemonize yes",
        b"CONFIG SET io-threads 3",
        b"CONFIG SET unixsocket x",
        b"CONFIG SET slaveof x",
        b"CONFIG SET maxmemory 1 maxmemory-samples 0",
        b"CONFIG SET timeout -1",
        b"CONFIG SET maxclients 0",
        b"CONFIG SET slowlog-log-slower-than -2",
        b"CONFIG SET slowlog-max-len x",
        b"CONFIG SET latency-monitor-threshold 1.5",
        b"CONFIG SET tcp-keepalive 2147483648",
        b"CONFIG SET loglevel bla",
        b"CONFIG SET appendfsync x",
        b"CONFIG SET appendonly maybe",
        b"CONFIG SET client-output-buffer-limit xx",
        b"CONFIG SET client-query-buffer-limit 1",
        b"CONFIG SET latency-tracking bla",
        b"CONFIG SET latency-tracking-info-percentiles x",
        b"CONFIG SET latency-tracking-info-percentiles 101",
        b"CONFIG SET list-max-ziplist-size 4 list-max-listpack-size 3",
        b"CONFIG RESETSTAT x",
        b"CONFIG REWRITE x",
        b"CONFIG FOO",
        b"CONFIG",
    ],
)
def test_faults_are_told_as_there(
    client: Client, redis_connection: RedisConnection, line: bytes
) -> None:
    ours, theirs = both(client, redis_connection, line.split())
    assert ours == theirs
    for name in ("maxmemory", "list-max-listpack-size", "timeout"):
        ours, theirs = both(client, redis_connection, [b"CONFIG", b"GET", name.encode()])
        assert ours == theirs
