"""Doors that are open before there is a node: LOADING, and what is answered all the same."""

from __future__ import annotations

from random import Random
from typing import Any  # Any: what hiredis reads.

import pytest

from trimaran.node.clock import SystemClock
from trimaran.node.doors.backend import DoorLimits
from trimaran.node.doors.cluster_resp import ClusterRouting
from trimaran.node.doors.door import Clients, Door
from trimaran.node.doors.loading import ClosedRouting, Loading
from trimaran.node.doors.password import Password
from trimaran.node.doors.resp import AnyKeyRouting

from .fakes import Client, Control, Facts, MemoryRouter, lone_pubsub

REFUSED = "LOADING Redis is loading the dataset in memory"
ABORTED = "EXECABORT Transaction discarded because of previous errors."


class Closed:
    """A door without a node, and a client of it."""

    def __init__(self, *, is_cluster: bool) -> None:
        self._soon: list[Any] = []
        self.stops: list[str] = []
        shown = {"dir": "/somewhere", "appendfsync": "no", "bind": "", "hz": "50"}
        shown["cluster-node-timeout"] = "2000"
        self.loading = Loading("n1", SystemClock(), shown, lambda: self.stops.append("stop"))
        clients = Clients(DoorLimits(), 0)
        clients.pubsub = lone_pubsub(MemoryRouter())
        clients.is_loading = True
        self.door = Door(
            ClosedRouting(is_cluster=is_cluster),
            router=self.loading,
            facts=self.loading,
            control=self.loading,
            clients=clients,
            call_soon=self._soon.append,
        )

    def client(self) -> Client:
        return Client(self.door, self._soon)

    def attach(self) -> None:
        router = MemoryRouter()
        routing: ClusterRouting | AnyKeyRouting = AnyKeyRouting(router, Random(3))
        if self.door.is_cluster:
            routing = ClusterRouting(router, Random(3))
        self.door.attach(routing, router=router, facts=Facts(), control=Control())
        self.door.clients.is_loading = False


@pytest.fixture(params=[False, True], ids=["any key", "cluster"])
def closed(request: pytest.FixtureRequest) -> Closed:
    return Closed(is_cluster=request.param)


@pytest.fixture
def client(closed: Closed) -> Client:
    return closed.client()


@pytest.mark.parametrize(
    "command",
    [b"PING", b"GET a", b"SET a 1", b"DBSIZE", b"WAIT 0 0", b"SAVE", b"LOLWUT", b"CLUSTER SLOTS",
     b"CLUSTER INFO", b"MODULE LIST", b"FLUSHALL", b"SWAPDB 0 1", b"MEMORY USAGE a",
     b"DEBUG OBJECT a", b"OBJECT ENCODING a", b"WATCH a"],
)  # fmt: skip
def test_what_needs_the_data_is_refused_in_redis_own_words(client: Client, command: bytes) -> None:
    assert client.ask(command) == REFUSED


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (b"NOSUCH", "ERR unknown command 'NOSUCH', with args beginning with: "),
        (b"GET", "ERR wrong number of arguments for 'get' command"),
        (b"ECHO x", b"x"),
        (b"SELECT 0", b"OK"),
        (b"CLIENT SETNAME me", b"OK"),
        (b"CONFIG GET dir", [b"dir", b"/somewhere"]),
        (b"CONFIG GET maxmemory-policy", [b"maxmemory-policy", b"noeviction"]),
        (b"CONFIG SET timeout 9", b"OK"),
        (b"CONFIG SET maxmemory 1gb", REFUSED),  # The whole cluster's: nobody could agree on it.
        (b"ROLE", [b"master", 0, []]),
        (b"SLOWLOG LEN", 0),
        (b"ACL WHOAMI", b"default"),
        (b"DEBUG SET-ACTIVE-EXPIRE 0", REFUSED),
        (b"RESET", b"RESET"),
    ],
)
def test_what_does_not_need_the_data_is_answered(
    client: Client, command: bytes, answer: Any
) -> None:
    assert client.ask(command) == answer


def test_channels_work_before_there_is_a_node(closed: Closed) -> None:
    listener, client = closed.client(), closed.client()
    assert listener.ask(b"SUBSCRIBE news") == [b"subscribe", b"news", 1]
    assert client.ask(b"PUBLISH news hello") == 1
    assert listener.replies() == [[b"message", b"news", b"hello"]]
    assert listener.ask(b"NOSUCH").startswith("ERR unknown command 'NOSUCH'")
    assert listener.ask(b"GET a").startswith("ERR Can't execute 'get': only (P|S)SUBSCRIBE")


def test_every_command_has_an_answer(closed: Closed) -> None:
    for line in (b"HELLO 3", b"COMMAND COUNT", b"COMMAND", b"INFO everything", b"CONFIG GET *",
                 b"CLIENT LIST", b"CLIENT INFO", b"LASTSAVE", b"TIME", b"LATENCY DOCTOR",
                 b"LATENCY LATEST", b"ACL LIST", b"OBJECT HELP", b"CONFIG RESETSTAT"):  # fmt: skip
        answer = closed.client().ask(line)
        assert not (isinstance(answer, str) and answer.startswith("ERR internal")), line


def test_a_transaction_is_refused_where_it_needs_the_data(client: Client) -> None:
    client.send(b"MULTI", b"GET a", b"EXEC", b"MULTI", b"ECHO x", b"EXEC")
    assert client.replies() == [b"OK", REFUSED, ABORTED, b"OK", b"QUEUED", [b"x"]]


def test_info_tells_how_far_it_is(closed: Closed, client: Client) -> None:
    def persistence() -> dict[str, str]:
        lines = client.ask(b"INFO persistence").decode().split("\r\n")
        return dict(line.split(":", 1) for line in lines if ":" in line)

    told = persistence()
    assert (told["loading"], told["async_loading"]) == ("1", "0")
    assert (told["loading_total_bytes"], told["loading_loaded_perc"]) == ("0", "0.00")
    closed.loading.sized(400)
    closed.loading.passed(100)
    told = persistence()
    assert (told["loading_total_bytes"], told["loading_loaded_bytes"]) == ("400", "100")
    assert told["loading_loaded_perc"] == "25.00"
    assert int(told["loading_start_time"]) > 1_600_000_000
    assert int(told["loading_eta_seconds"]) >= 0
    assert told["loading_rdb_used_mem"] == "0"


def test_a_client_goes_on_over_the_same_connection(closed: Closed, client: Client) -> None:
    client.send(b"CLIENT SETNAME me", b"PING")
    assert client.replies() == [b"OK", REFUSED]
    closed.attach()
    assert client.ask(b"SET a 1", b"GET a") == b"1"
    assert client.ask(b"CLIENT GETNAME") == b"me"
    assert "loading:0" in client.ask(b"INFO persistence").decode()


def test_the_password_is_asked_for_before(closed: Closed) -> None:
    closed.door.clients.password = Password(b"secret")
    client = closed.client()
    assert client.ask(b"PING") == "NOAUTH Authentication required."
    assert client.ask(b"AUTH secret", b"PING") == REFUSED


def test_shutdown_stops_the_start(closed: Closed, client: Client) -> None:
    client.send(b"SHUTDOWN SAVE")
    assert closed.stops == ["stop"]


def test_what_it_waits_for_is_said_in_words(closed: Closed) -> None:
    loading = closed.loading
    assert loading.reason == "starting"
    loading.waiting_for = ["n2", "n3"]
    assert loading.reason == "waiting for n2, n3"
    loading.waiting_for = []
    loading.sized(3 << 20)
    loading.passed(1 << 20)
    assert loading.reason == "loading: 33 % of 3.00M"
    loading.passed(9 << 20)
    assert loading.reason == "loading: 100 % of 3.00M"
