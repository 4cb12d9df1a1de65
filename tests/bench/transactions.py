"""A load generator for what redis-benchmark cannot send: MULTI, some SETs, EXEC, in one piece.

`python -m tests.bench.transactions PORT DATABASE CLIENTS PIPELINE TRANSACTIONS` prints one line of
JSON. One loop over all connections that sends bytes made before and compares those that come back:
about what redis-benchmark does, at the cost of Python for each piece of a pipeline. The benchmark
tells what share of a core that takes.
"""

from __future__ import annotations

import json
import random
import selectors
import socket
import sys
import time
from collections.abc import Sequence

from . import redis
from .generators import KEYS
from .kinds import TRANSACTION, VALUE

POOL = 128  # Pieces of pipeline that are made before, and sent in turn.
ANSWER = b"+OK\r\n" + b"+QUEUED\r\n" * TRANSACTION + b"*%d\r\n" % TRANSACTION
ANSWER += b"+OK\r\n" * TRANSACTION
READ_BYTES = 1 << 16


def transaction(rng: random.Random) -> bytes:
    """With random keys, as those of redis-benchmark."""
    keys = [b"key:%012d" % rng.randrange(KEYS) for _ in range(TRANSACTION)]
    words = [[b"MULTI"], *([b"SET", key, VALUE] for key in keys), [b"EXEC"]]
    return redis.sent_at_once(words)


class _Client:
    """One connection, with one piece of pipeline on its way."""

    def __init__(self, port: int, database: int) -> None:
        self.socket = socket.create_connection((redis.HOST, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(redis.command(b"SELECT", b"%d" % database))
        assert self.socket.recv(64) == b"+OK\r\n", "SELECT was refused"
        self.received = bytearray()
        self.sent_ns = 0

    def send(self, piece: bytes) -> None:
        self.sent_ns = time.perf_counter_ns()
        self.socket.sendall(piece)

    def is_answered(self, expected: bytes) -> bool:
        data = self.socket.recv(READ_BYTES)
        assert data, "the server hung up"
        self.received += data
        if len(self.received) < len(expected) and expected.startswith(self.received):
            return False
        assert self.received == expected, bytes(self.received[:200])
        self.received.clear()
        return True


def run(port: int, database: int, clients: int, pipeline: int, count: int) -> dict[str, object]:
    """Sends so many transactions; their rate and the times of whole pieces of pipeline."""
    rng = random.Random(1)
    pool = [b"".join([transaction(rng) for _ in range(pipeline)]) for _ in range(POOL)]
    expected = ANSWER * pipeline
    poll = selectors.DefaultSelector()
    everyone = [_Client(port, database) for _ in range(clients)]
    pieces = count // pipeline
    times_ns: list[int] = []
    began = time.monotonic()
    for place, client in enumerate(everyone[:pieces]):
        poll.register(client.socket, selectors.EVENT_READ, client)
        client.send(pool[place % POOL])
    sent = min(clients, pieces)
    while len(times_ns) < pieces:
        for key, _ in poll.select():
            client = key.data
            if client.is_answered(expected):
                times_ns.append(time.perf_counter_ns() - client.sent_ns)
                if sent < pieces:
                    client.send(pool[sent % POOL])
                    sent += 1
    took_s = time.monotonic() - began
    times_ns.sort()
    return {
        "rate": pieces * pipeline / took_s,
        "p50_ms": times_ns[len(times_ns) // 2] / 1e6,
        "p99_ms": times_ns[len(times_ns) * 99 // 100] / 1e6,
    }


def main(arguments: Sequence[str]) -> None:
    print(json.dumps(run(*map(int, arguments))))


if __name__ == "__main__":
    main(sys.argv[1:])
