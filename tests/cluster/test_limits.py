"""Every limit of a client, reached on a running node: the right words, nobody else disturbed."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from ..chaos.cluster import Cluster
from ..chaos.processes import Processes
from .command import until
from .raw import Raw, packed

BULK_BYTES = 10_000
COMMAND_BYTES = 20_000
CLIENTS = 20
IDLE_S = 3
OPTIONS = (
    *("--bulk-bytes-max", str(BULK_BYTES), "--command-bytes-max", str(COMMAND_BYTES)),
    *("--elements-max", "100", "--inline-bytes-max", "300", "--clients-max", str(CLIENTS)),
    *("--output-buffer-bytes-max", "300000", "--client-idle-timeout-s", str(IDLE_S)),
)
VALUE = b"x" * BULK_BYTES


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One node alone, with small limits."""
    with Processes() as processes:
        folder = tmp_path_factory.mktemp("limits")
        rng = random.Random("limits")
        one = Cluster(processes, folder, rng=rng, size=1, shards=1, options=OPTIONS)
        one.wait_ready()
        yield one


@pytest.fixture
def port(node: Cluster) -> int:
    return node.nodes["n1"].any_key_port


@pytest.fixture
def other(port: int) -> Iterator[Raw]:
    """A client that has done nothing and is served to the end of the test."""
    # Clients of the test before may not be gone yet.
    clients: list[Raw] = []

    def is_let_in() -> bool:
        clients.append(Raw(port))
        with suppress(EOFError):
            return clients[-1].ask(b"SET", b"other", b"1") == b"OK"
        return False

    until(is_let_in, lambda: "no room for a client", 20.0)
    with clients[-1] as client:
        yield client
        assert client.ask(b"GET", b"other") == b"1"


def memory_bytes(node: Cluster) -> int:
    status = Path(f"/proc/{node.nodes['n1'].process.pid}/status").read_text()
    (line,) = (one for one in status.splitlines() if one.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"*101\r\n", "invalid multibulk length"),
        (b"*2000000000\r\n", "invalid multibulk length"),
        (b"*2\r\n$3\r\nGET\r\n$10001\r\n", "invalid bulk length"),
        (packed(b"MSET", b"a", VALUE, b"b", VALUE), "command is larger than command_bytes_max"),
        (b"x" * 301, "too big inline request"),
    ],
    ids=["elements", "announced", "bulk", "command", "inline"],
)
def test_what_is_too_large_is_refused_in_words_and_ends_its_connection(
    port: int, other: Raw, data: bytes, error: str
) -> None:
    with Raw(port) as client:
        client.send(packed(b"PING") + data)
        assert [client.next(), client.next()] == [b"PONG", f"ERR Protocol error: {error}"]
        assert client.has_ended()
    assert other.ask(b"PING") == b"PONG"


def test_what_is_just_within_the_limits_is_served(port: int, other: Raw) -> None:
    with Raw(port) as client:
        assert client.ask(b"SET", b"k", VALUE) == b"OK"
        assert client.ask(b"GET", b"k") == VALUE
        assert client.ask(b"EXISTS", *[b"other"] * 99) == 99
        client.send(b"PING " + b"x" * 290 + b"\r\n")
        assert client.next() == b"x" * 290
    assert other.ask(b"PING") == b"PONG"


def test_announced_sizes_allocate_nothing(node: Cluster, port: int, other: Raw) -> None:
    before = memory_bytes(node)
    with ExitStack() as stack:
        for _ in range(10):
            client = stack.enter_context(Raw(port))
            client.send(b"*100\r\n$3\r\nDEL\r\n$10000\r\n")
        assert other.ask(b"PING") == b"PONG"
        assert memory_bytes(node) - before < 4 << 20


def test_one_client_too_many_is_told_so_and_the_next_gets_its_place(port: int, other: Raw) -> None:
    with ExitStack() as stack:
        refused = None
        inside: list[Raw] = []
        while refused is None:
            client = stack.enter_context(Raw(port))
            try:
                assert client.ask(b"PING") in (b"PONG", "ERR max number of clients reached")
                inside.append(client)
                if not isinstance(client.ask(b"PING"), bytes):
                    refused = client
            except EOFError:
                refused = client
            assert len(inside) <= CLIENTS
        assert other.ask(b"PING") == b"PONG"
        inside[0].socket.close()

        def is_let_in() -> bool:
            with suppress(EOFError):
                return stack.enter_context(Raw(port)).ask(b"PING") == b"PONG"
            return False

        until(is_let_in, lambda: "the place stays taken", 10.0)


def test_who_does_not_read_what_it_asks_for_is_disconnected(
    node: Cluster, port: int, other: Raw
) -> None:
    assert other.ask(b"SET", b"k", VALUE) == b"OK"
    with Raw(port, receive_bytes=4096) as client:
        assert client.ask(b"PING") == b"PONG"  # It is there, and not yet to come.
        with suppress(ConnectionError):
            client.send(b"GET k\r\n" * 20_000)
        until(
            lambda: len(str(other.ask(b"CLIENT", b"LIST")).split("\\n")) < 3,
            lambda: f"it is still there: {other.ask(b'CLIENT', b'LIST')!r}",
            20.0,
        )
    assert "output_buffer_full" in node.nodes["n1"].process.output.read_text()
    assert other.ask(b"GET", b"k") == VALUE


def test_who_is_silent_is_disconnected_and_who_is_not_is_not(port: int, other: Raw) -> None:
    with Raw(port) as silent, Raw(port) as half:
        silent.ask(b"PING")
        half.send(b"*2\r\n$3\r\nGET\r\n$5\r\nab")
        began = time.monotonic()
        silent.socket.setblocking(False)  # noqa: FBT003 - the socket's one argument.

        def has_ended(client: Raw) -> bool:
            with suppress(BlockingIOError):
                return client.socket.recv(100) == b""
            return False

        def are_gone() -> bool:
            assert other.ask(b"PING") == b"PONG"
            return has_ended(silent)

        until(are_gone, lambda: "the silent one is still there", IDLE_S + 20.0)
        assert time.monotonic() - began > IDLE_S - 0.5
        assert half.has_ended()


def test_garbage_half_frames_slow_senders_and_broken_pipes_disturb_nobody(
    port: int, other: Raw
) -> None:
    rng = random.Random(7)
    slow_command = packed(b"SET", b"slow", b"but right")
    assert other.ask(b"SET", b"k", VALUE) == b"OK"
    with Raw(port) as slow:
        for place, byte in enumerate(slow_command):
            slow.send(bytes((byte,)))
            client = Raw(port)
            with suppress(ConnectionError):
                match place % 4:
                    case 0:
                        client.send(rng.randbytes(rng.randrange(1, 3000)))
                    case 1:
                        client.send(packed(b"SET", b"half", VALUE)[: rng.randrange(1, 9000)])
                    case 2:
                        client.send(packed(b"GET", b"k") * 20)
                    case _:
                        client.send(b"*1\r\n$4\r\nPING\r\n*-7\r\n$\r\n" + rng.randbytes(50))
            client.reset()
            # At most two are there beside these at any time, once the node has seen the resets.
            value = b"%d" % place
            assert other.ask_all(
                [(b"SET", b"other:2", value), (b"GET", b"other:2"), (b"GET", b"half")]
            ) == [b"OK", value, None]
        assert slow.next() == b"OK"
    assert other.ask(b"GET", b"slow") == b"but right"
