"""What the machine plays on beside a real Redis: a keyspace in memory, or a real node."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Protocol

from trimaran.cluster.slots import shard_of
from trimaran.node.commands.internal import EXPIRE
from trimaran.proto.reply import ErrorReply, Reply

from ..chaos.processes import Processes, free_ports
from .driver import Driver, copy_of
from .redis_server import RedisConnection, as_received

NODE_SHARDS = 4  # Databases 0 to 3 meet on shard 0, so that MOVE has where to go.
START_S = 40.0
TRIMARAN = Path(sys.executable).with_name("trimaran")


class Target(Protocol):
    prefix: bytes  # Of every key, so that all are on one shard.
    has_door: bool  # It knows transactions.

    def begin(self, protocol: int, db: int = 0) -> None:
        """A new example: nothing is there, that database, RESP of this version."""
        ...

    def run(self, args: list[bytes]) -> Reply: ...

    def run_at_once(self, several: list[list[bytes]]) -> list[Reply]: ...

    def select(self, db: int) -> None: ...

    def restore(self) -> None:
        """Go on with a copy made of a snapshot, where that is possible."""
        ...

    def remove_due(self) -> None:
        """Let what is due be removed, as it is from time to time."""
        ...


class RedisTarget:
    """A server behind a connection."""

    has_door = True

    def __init__(self, connection: RedisConnection, prefix: bytes = b"") -> None:
        self._connection = connection
        self.prefix = prefix

    def begin(self, protocol: int, db: int = 0) -> None:
        self.run([b"HELLO", b"%d" % protocol])
        self.run([b"CLIENT", b"SETNAME", b""])
        self.select(db)
        for line in (b"FLUSHALL", b"SCRIPT FLUSH", b"FUNCTION FLUSH"):
            self.run(line.split())

    def run(self, args: list[bytes]) -> Reply:
        return self._connection.run(args)

    def run_at_once(self, several: list[list[bytes]]) -> list[Reply]:
        return self._connection.run_at_once(several)

    def select(self, db: int) -> None:
        self.run([b"SELECT", b"%d" % db])

    def restore(self) -> None:
        pass

    def remove_due(self) -> None:
        time.sleep(0.002)  # It does so by itself.


class KeyspaceTarget:
    """Handlers on a keyspace, without a door; every write is an entry of its own."""

    prefix = b""
    has_door = False

    def __init__(self) -> None:
        self.begin(2)

    def begin(self, protocol: int, db: int = 0) -> None:
        self._driver = Driver()
        self._protocol = protocol
        self._db = db

    def run(self, args: list[bytes]) -> Reply:
        self._driver.now_ms = time.time_ns() // 1_000_000
        return as_received(self._driver.run(*args, db=self._db), self._protocol)

    def run_at_once(self, several: list[list[bytes]]) -> list[Reply]:
        return [self.run(args) for args in several]

    def select(self, db: int) -> None:
        self._db = db

    def restore(self) -> None:
        self._driver.keys = copy_of(self._driver.keys)

    def remove_due(self) -> None:
        driver = self._driver
        for db, key in driver.keys.due(driver.now_ms, 1000):
            driver.apply([EXPIRE, key], db=db)


def tag_on_shard_0() -> bytes:
    names = (b"{t%d}" % number for number in count())
    return next(name for name in names if shard_of(0, name, NODE_SHARDS) == 0)


@contextmanager
def running_node(folder: Path, seed: int) -> Iterator[RedisTarget]:
    """A cluster of one real node, asked at the door for any key."""
    with Processes() as processes:
        port = free_ports(range(4), random.Random(seed))
        words: Sequence[str] = [
            *(str(TRIMARAN), "node", "--name", "n1", "--data", str(folder / "n1")),
            *("--port", str(port), "--shards", str(NODE_SHARDS), "--fsync", "never"),
            *("--founders", f"n1=127.0.0.1:{port + 2}"),
        ]
        node = processes.start("n1", words, folder / "n1.output")
        deadline = time.monotonic() + START_S
        while True:
            assert node.is_running, node.tail()
            assert time.monotonic() < deadline, node.tail()
            try:
                connection = RedisConnection(("127.0.0.1", port), START_S)
                if isinstance(connection.run([b"FLUSHALL"]), ErrorReply):
                    connection.close()
                else:
                    break
            except OSError:
                pass
            time.sleep(0.05)  # Until it listens and its shards have leaders.
        yield RedisTarget(connection, tag_on_shard_0())
        connection.close()
        node.terminate()
