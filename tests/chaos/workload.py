"""Clients at all doors, and the history of what they asked and were told.

Three kinds of keys: counters (INCR), logs (APPEND of a unique token) and registers (SET of a
unique value, DEL). Keys are replaced by fresh ones after a while, since to judge the history of a
key takes time that grows faster than its length. Read `verdict.py` next.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..sim.history import History
from .resp import Connection, Moved, Refused, Reply, Uncertain, Unexpected

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from ..sim.linearizability import Answer, Command, Operation
    from .cluster import Cluster

KINDS = ("counter", "log", "register")
KEYS_PER_KIND = 2  # At a time, in each database.
OPERATIONS_PER_KEY = 60
REPLY_TIMEOUT_S = 8.0  # Longer than a node takes to give up on a command.
CONNECT_TIMEOUT_S = 1.0
HOPS_MAX = 4
PIPELINE_MAX = 3
FINAL_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Place:
    """A key: database, kind and number."""

    database: int
    kind: str
    number: int

    @property
    def key(self) -> bytes:
        return f"{self.kind}:{self.number}".encode()

    @property
    def label(self) -> bytes:
        """How the history names it: the same key in two databases is two keys."""
        return b"%d/%b" % (self.database, self.key)

    @classmethod
    def of(cls, label: bytes) -> Place:
        database, _, key = label.decode().partition("/")
        kind, _, number = key.partition(":")
        return cls(int(database), kind, int(number))


class Workload:
    """Clients that go on until they are told to stop."""

    def __init__(self, cluster: Cluster, rng: random.Random, clients: int) -> None:
        self._cluster = cluster
        self._rng = rng
        self._clients = clients
        self._tokens = itertools.count()
        self._is_stopping = False
        self._started = 0
        self.history = History()
        self.counts: Counter[str] = Counter()
        self.violations: list[str] = []
        self.answered = asyncio.Event()  # Set at every answer; for who cleared it before.

    async def run(self) -> None:
        """Until `stop`."""
        async with asyncio.TaskGroup() as clients:
            for number in range(self._clients):
                clients.create_task(self._client(number))

    def stop(self) -> None:
        self._is_stopping = True

    async def read_everything(self) -> None:
        """The last reads, of every key there ever was, at every any-key door in turn."""
        nodes = list(self._cluster.nodes.values())
        for database in (0, 1):
            places = [p for p in map(Place.of, self.history.operations) if p.database == database]
            for turn, place in enumerate(places):
                node = nodes[turn % len(nodes)]
                async with asyncio.timeout(FINAL_TIMEOUT_S):
                    await self._read_finally(node.any_key_port, place)

    async def _read_finally(self, port: int, place: Place) -> None:
        while True:
            try:
                connection = await Connection.open(port, place.database, CONNECT_TIMEOUT_S)
                (answer,) = await self._ask(connection, -1, place, [(b"GET",)])
                connection.close()
                if not isinstance(answer, Exception):
                    return
            except Refused:
                pass
            await asyncio.sleep(0.1)

    async def _client(self, number: int) -> None:
        """One client: a door, a database, one command or short pipeline after the other."""
        database = number % 2
        # Cluster doors know database 0 only.
        follows_moved = database == 0 and number % 4 == 2
        door = 1 if follows_moved else 0
        connections: dict[int, Connection] = {}
        bases = [node.base_port for node in self._cluster.nodes.values()]
        port = bases[number % len(bases)] + door
        while not self._is_stopping:
            place = self._pick(database)
            commands = self._commands(place)
            try:
                port = await self._once(number, place, commands, connections, port)
            except Refused:
                self.counts["no connection"] += 1
                port = self._rng.choice(bases) + door
                await asyncio.sleep(0.02)
            else:
                await asyncio.sleep(self._rng.uniform(0, 0.01))
        for connection in connections.values():
            connection.close()

    async def _once(
        self,
        number: int,
        place: Place,
        commands: Sequence[Command],
        connections: dict[int, Connection],
        port: int,
    ) -> int:
        """Asks at a port, follows MOVED; returns where it was answered in the end."""
        for _ in range(HOPS_MAX):
            connection = connections.get(port)
            if connection is None or not connection.is_open:
                connection = await Connection.open(port, place.database, CONNECT_TIMEOUT_S)
                connections[port] = connection
            answers = await self._ask(connection, number, place, commands)
            moved = [answer for answer in answers if isinstance(answer, Moved)]
            if not moved:
                return port
            if len(moved) < len(answers):
                return moved[-1].port  # Leadership changed within the pipeline.
            port = moved[-1].port
        return port

    async def _ask(
        self,
        connection: Connection,
        number: int,
        place: Place,
        commands: Sequence[Command],
    ) -> list[Reply | Exception]:
        operations = [self.history.invoke(number, place.label, (it,)) for it in commands]
        wire = [[command[0], place.key, *command[1:]] for command in commands]
        answers = await connection.pipeline(wire, REPLY_TIMEOUT_S)
        for operation, answer in zip(operations, answers, strict=True):
            self._record(operation, answer)
        self._check_own_writes(operations, answers)
        return answers

    def _record(self, operation: Operation, answer: Reply | Exception) -> None:
        is_read = operation.commands[0][0] == b"GET"
        match answer:
            case Uncertain() if not is_read:
                self.counts["unknown"] += 1
            case Moved():
                self.counts["moved"] += 1
                self.history.withdraw(operation)
            case Refused() | Uncertain():
                self.counts["unread" if is_read else "refused"] += 1
                self.history.withdraw(operation)
            case Unexpected():
                self.violations.append(f"unexpected reply to {operation}: {answer}")
                self.history.withdraw(operation)
            case Exception():
                raise answer
            case _:
                self.counts["ok"] += 1
                self.answered.set()
                answered: Answer = answer
                self.history.answer(operation, (answered,))

    def _check_own_writes(
        self, operations: Sequence[Operation], answers: Sequence[Reply | Exception]
    ) -> None:
        """A GET behind an APPEND in a pipeline sees it."""
        tokens = [
            operation.commands[0][1]
            for operation, answer in zip(operations, answers, strict=True)
            if operation.commands[0][0] == b"APPEND" and isinstance(answer, int)
        ]
        last = answers[-1]
        if operations[-1].commands[0][0] == b"GET" and not isinstance(last, Exception | int):
            missing = [token for token in tokens if token not in (last or b"")]
            if missing:
                text = f"a GET did not see {missing} of its own pipeline: {operations[-1]}"
                self.violations.append(text)

    def _pick(self, database: int) -> Place:
        generation = self._started // (OPERATIONS_PER_KEY * KEYS_PER_KIND * len(KINDS) * 2)
        self._started += 1
        number = generation * KEYS_PER_KIND + self._rng.randrange(KEYS_PER_KIND)
        return Place(database, self._rng.choice(KINDS), number)

    def _commands(self, place: Place) -> list[Command]:
        writes = [self._write(place.kind) for _ in range(self._rng.randint(0, PIPELINE_MAX - 1))]
        if writes and self._rng.random() < 0.7:
            return writes[:1]
        return [*writes, (b"GET",)]

    def _write(self, kind: str) -> Command:
        token = b"<%d>" % next(self._tokens)
        match kind:
            case "counter":
                return (b"INCRBY", b"1")
            case "log":
                return (b"APPEND", token)
            case _:
                return (b"DEL",) if self._rng.random() < 0.1 else (b"SET", token)
