"""What client libraries send on connect, byte for byte, and what they accept as an answer.

Each row was taken from the wire in front of a real Redis. A library that tolerates an error at a
step still needs the connection to live on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import hiredis
import pytest

from .raw import Raw, packed

if TYPE_CHECKING:
    from .running import Doors

Accepts = Callable[[object], bool]


def ok(reply: object) -> bool:
    return reply == b"OK"


def anything(reply: object) -> bool:
    """The client tolerates an error."""
    return True


def pong(reply: object) -> bool:
    return reply == b"PONG"


def text(reply: object) -> bool:
    return isinstance(reply, bytes)


def hello(reply: object) -> bool:
    """HELLO 3 answers a map."""
    return (
        isinstance(reply, dict)
        and list(reply) == [b"server", b"version", b"proto", b"id", b"mode", b"role", b"modules"]
        and (reply[b"server"], reply[b"version"]) == (b"redis", b"7.2.4")
        and (reply[b"proto"], reply[b"role"], reply[b"modules"]) == (3, b"master", [])
        and reply[b"mode"] in (b"standalone", b"cluster")
    )


def said(reply: object) -> str:
    """Of INFO and its like: a bulk, or verbatim text in RESP 3."""
    assert isinstance(reply, bytes | str)
    return reply if isinstance(reply, str) else reply.decode()


def loaded(reply: object) -> bool:
    """ioredis: text, and not loading."""
    return "\r\nloading:0\r\n" in said(reply)


def of_redis_6_2(reply: object) -> bool:
    """RQ and BullMQ read the version."""
    (line,) = [one for one in said(reply).splitlines() if one.startswith("redis_version:")]
    return tuple(map(int, line.removeprefix("redis_version:").split("."))) >= (6, 2, 0)


def command_table(reply: object) -> bool:
    """redis-py: entries of ten elements, in RESP 2 and 3."""
    return isinstance(reply, list) and len(reply) > 40 and all(len(one) == 10 for one in reply)


def docs(reply: object) -> bool:
    """redis-cli: a map, or pairs."""
    return isinstance(reply, list | dict) and len(reply) > 40


def pair_or_map(reply: object) -> bool:
    return isinstance(reply, list | dict)


def slot_ranges(reply: object) -> bool:
    """All slots, each range with the one node that serves it and its id."""
    assert isinstance(reply, list)
    covered = 0
    for first, last, *nodes in reply:
        covered += last - first + 1
        if len(nodes) != 1 or len(nodes[0][2]) != 40:
            return False
    return covered == 16384


def node_lines(reply: object) -> bool:
    lines = said(reply).splitlines()
    return len(lines) == 3 and sum("myself,master" in one for one in lines) == 1


def state_ok(reply: object) -> bool:
    return "cluster_state:ok" in said(reply) and "cluster_slots_assigned:16384" in said(reply)


@dataclass(frozen=True, slots=True)
class Step:
    """One command as sent, and what its sender can live with."""

    sent: bytes
    accepts: Accepts


def step(words: str, accepts: Accepts) -> Step:
    return Step(packed(words.encode().split()), accepts)


def inline(line: str, accepts: Accepts) -> Step:
    return Step(line.encode() + b"\r\n", accepts)


MAINT = "CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type"

# Sent to either door.
BOTH_DOORS = {
    "redis-cli -3": [step("HELLO 3", hello)],
    "redis-cli, piped": [step("COMMAND DOCS", docs)],
    "redis-cli --stat": [step("INFO", loaded)],
    "redis-benchmark": [
        step("CONFIG GET save", pair_or_map),
        step("CONFIG GET appendonly", pair_or_map),
        inline("PING", pong),
    ],
    "redis-py 5": [
        step("CLIENT SETINFO LIB-NAME redis-py", ok),
        step("CLIENT SETINFO LIB-VER 5.0.8", ok),
    ],
    "redis-py 5 with options": [
        step("HELLO 3", hello),
        step("CLIENT SETNAME worker", ok),
        step("CLIENT SETINFO LIB-NAME redis-py", ok),
        step("CLIENT SETINFO LIB-VER 5.3.0", ok),
        step("SELECT 0", ok),
        step("PING", pong),
    ],
    "redis-py 8": [
        step("HELLO 3", hello),
        step(f"{MAINT} internal-fqdn", anything),
        step("CLIENT SETINFO LIB-NAME redis-py", ok),
        step("CLIENT SETINFO LIB-VER 8.1.0", ok),
    ],
    "redis-py 8 cluster": [
        step("HELLO 3", hello),
        step(f"{MAINT} internal-ip", anything),
        step("CLIENT SETINFO LIB-NAME redis-py", ok),
        step("CLIENT SETINFO LIB-VER 8.1.0", ok),
        step("CLUSTER SLOTS", slot_ranges),
        step("COMMAND", command_table),
        step("READONLY", ok),
    ],
    "redis-py 5 cluster": [
        step("CLIENT SETINFO LIB-NAME redis-py", ok),
        step("CLIENT SETINFO LIB-VER 5.0.8", ok),
        step("CLUSTER SLOTS", slot_ranges),
        step("COMMAND", command_table),
    ],
    "ioredis": [
        step("hello 3", hello),
        step("client SETINFO LIB-VER 6.0.0", anything),
        step("client SETINFO LIB-NAME ioredis", anything),
        step("info", loaded),
        step("quit", ok),
    ],
    "ioredis, RESP 2": [
        step("client SETINFO LIB-VER 6.0.0", anything),
        step("client SETINFO LIB-NAME ioredis", anything),
        step("info", loaded),
        step("quit", ok),
    ],
    "ioredis cluster, refresher": [
        step("client setname ioredis-cluster(refresher)", ok),
        step("client SETINFO LIB-VER 6.0.0", anything),
        step("client SETINFO LIB-NAME ioredis", anything),
        step("cluster SLOTS", slot_ranges),
    ],
    "ioredis cluster, node": [
        step("hello 3", hello),
        step("client SETINFO LIB-VER 6.0.0", anything),
        step("client SETINFO LIB-NAME ioredis", anything),
        step("readonly", ok),
        step("info", loaded),
        step("cluster INFO", state_ok),
    ],
    "node-redis 4": [
        step("CLIENT SETINFO LIB-NAME node-redis", ok),
        step("CLIENT SETINFO LIB-VER 4.7.0", ok),
        step("CLUSTER SLOTS", slot_ranges),
    ],
    "node-redis 6": [
        step("HELLO 3", hello),
        step("CLIENT SETINFO LIB-VER 6.3.1", ok),
        step("CLIENT SETINFO LIB-NAME node-redis", ok),
        step(f"{MAINT} external-ip", anything),
        step("CLUSTER SLOTS", slot_ranges),
    ],
    "BullMQ": [
        step("hello 3", hello),
        step("client SETINFO LIB-VER 6.0.0", anything),
        step("client SETINFO LIB-NAME ioredis", anything),
        step("info", of_redis_6_2),
        step("client SETNAME bull:queue", ok),
    ],
    "RQ": [
        step("CLIENT SETINFO LIB-NAME redis-py", ok),
        step("CLIENT SETINFO LIB-VER 6.4.0", ok),
        step("INFO server", of_redis_6_2),
        step("CLIENT SETNAME rq-worker", ok),
        step("CLIENT INFO", text),
        step("CLIENT LIST", text),
    ],
}
ANY_KEY_DOOR = {
    "redis-cli -n 1": [step("SELECT 1", ok)],
    "redis-cli --bigkeys": [
        step("DBSIZE", lambda reply: isinstance(reply, int)),
        step("SCAN 0", lambda reply: isinstance(reply, list) and len(reply) == 2),
    ],
    "redis-cli --pipe": [
        Step(b"\r\n" + packed([b"ECHO", bytes(range(1, 21))]), lambda reply: len(str(reply)) > 20)
    ],
    "redis-py with a database": [
        step("CLIENT SETINFO LIB-NAME redis-py", ok),
        step("CLIENT SETINFO LIB-VER 5.0.8", ok),
        step("SELECT 15", ok),
    ],
    "Celery": [
        step("PING", pong),
        step("CLIENT SETINFO LIB-NAME redis-py(celery_v5.7.0)", ok),
        step("CLIENT SETINFO LIB-VER 6.4.0", ok),
        step("SELECT 1", ok),
        step("PING", pong),
        step("MULTI", ok),
        step("EXISTS queue", lambda reply: reply == b"QUEUED"),
        step("EXEC", lambda reply: reply == [0]),
    ],
}
CLUSTER_DOOR = {
    "redis-cli --cluster": [step("INFO", loaded), step("CLUSTER NODES", node_lines)],
    "redis-benchmark --cluster": [
        step("CLUSTER NODES", node_lines),
        step("CONFIG GET save", pair_or_map),
        step("CONFIG GET appendonly", pair_or_map),
    ],
}


def shake_hands(port: int, steps: list[Step]) -> None:
    """One step after the other, as a client that waits; the connection lives on at the end."""
    with Raw(port) as connection:
        for one in steps:
            connection.send(one.sent)
            reply = connection.reply()
            assert one.accepts(reply), f"{one.sent!r} was answered {reply!r}"
        if not steps[-1].sent.endswith(b"quit\r\n"):
            assert isinstance(connection.ask(b"NOSUCHCOMMAND"), hiredis.ReplyError)
            assert connection.ask(b"PING") == b"PONG"
    with Raw(port) as connection:
        connection.send(b"".join(one.sent for one in steps))  # At once, as some do.
        replies = [connection.reply() for _ in steps]
        assert all(one.accepts(reply) for one, reply in zip(steps, replies, strict=True)), replies


@pytest.mark.parametrize("door", ["any_key", "cluster"])
@pytest.mark.parametrize("client", BOTH_DOORS)
def test_either_door_answers_what_the_client_accepts(doors: Doors, client: str, door: str) -> None:
    shake_hands(getattr(doors, door)[0], BOTH_DOORS[client])


@pytest.mark.parametrize("client", ANY_KEY_DOOR)
def test_the_any_key_door_answers_what_the_client_accepts(doors: Doors, client: str) -> None:
    shake_hands(doors.any_key[1], ANY_KEY_DOOR[client])


@pytest.mark.parametrize("client", CLUSTER_DOOR)
def test_the_cluster_door_answers_what_the_client_accepts(doors: Doors, client: str) -> None:
    for port in doors.cluster:
        shake_hands(port, CLUSTER_DOOR[client])


def test_each_door_says_which_mode_clients_are_to_choose(doors: Doors) -> None:
    for ports, mode, enabled in ((doors.any_key, b"standalone", 0), (doors.cluster, b"cluster", 1)):
        for port in ports:
            with Raw(port) as connection:
                info = said(connection.ask(b"INFO"))
                assert f"redis_mode:{mode.decode()}\r\n" in info
                assert f"cluster_enabled:{enabled}\r\n" in info
                answer = connection.ask(b"HELLO", b"3")
                assert isinstance(answer, dict)
                assert answer[b"mode"] == mode


def test_hello_moves_between_protocols_and_refuses_others(doors: Doors) -> None:
    with Raw(doors.any_key[0]) as connection:
        plain = connection.ask(b"HELLO")
        assert isinstance(plain, list)
        assert plain[:6] == [b"server", b"redis", b"version", b"7.2.4", b"proto", 2]
        assert hello(connection.ask(b"HELLO", b"3", b"SETNAME", b"me"))
        assert connection.ask(b"CLIENT", b"GETNAME") == b"me"
        assert isinstance(connection.ask(b"HELLO", b"2"), list)
        for wrong, error in (
            ((b"4",), "NOPROTO unsupported protocol version"),
            ((b"x",), "ERR Protocol version is not an integer or out of range"),
            ((b"3", b"NOSUCH"), "ERR Syntax error in HELLO option 'NOSUCH'"),
        ):
            assert str(connection.ask(b"HELLO", *wrong)) == error
        assert connection.ask(b"PING") == b"PONG"
