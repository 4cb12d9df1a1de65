"""Clients of WATCH: they read a key, and write what they made of it if it is still the same.

An update that was acknowledged was made of the value that stood there then, which EXEC's own GET
shows; one that was refused never happened (correctness A5).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from trimaran.node.commands.transactions import EXEC, WATCH, pack_marks, pack_transaction
from trimaran.node.errors import NotLeader
from trimaran.node.raft.types import NodeId
from trimaran.node.request import Done, NotApplied, Outcome, Request
from trimaran.proto.reply import NULL_ARRAY, OK

from .history import is_refused
from .judge import Violation
from .schedule import MS
from .workload import GET, TIMEOUT_NS, TOLD, UNKNOWN_MAX, Client, Key, nobody

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trimaran.proto.reply import Reply

    from .linearizability import Command

TTLS_MS = (30, 100, 400)
TRIES = 4


class Optimist(Client):
    """WATCH, GET, MULTI, GET, SET, PUBLISH, EXEC; now and then only a SET, against the others."""

    committed = 0
    aborted = 0

    def _next(self) -> None:
        if self.is_stopping:
            return
        self.is_idle = False
        key = self._rng.choice(self._workload.watched)
        dice = self._rng.random()
        if self._workload.history.unknown(key.label) >= UNKNOWN_MAX:
            self._read(key, None)
        elif dice < 0.15:
            self._watch(key, self._change())
        elif dice < 0.3:
            self._set(key)
        else:
            self._watch(key, None)

    def _change(self) -> Command:
        return (b"SETPX", self._workload.next_value())

    def _set(self, key: Key) -> None:
        """An update that asks nobody."""
        history, command = self._workload.history, self._change()
        operation = history.invoke(self.number, key.label, (command,))

        def answered(outcome: Outcome) -> None:
            match outcome:
                case Done(replies):
                    history.answer(operation, self._workload.answers(key, replies))
                case NotApplied():
                    history.withdraw(operation)
            self._finish()

        self._ask(key, [self._args_of(key, command)], answered, has_write=True)

    def _args_of(self, key: Key, command: Command) -> list[bytes]:
        ttl_ms = self._rng.choice(TTLS_MS)
        return [b"SET", key.name, command[-1], b"PX", b"%d" % ttl_ms]

    def _watch(self, key: Key, change: Command | None) -> None:
        """Watch `key`; with `change` it is changed right behind, by the same client and mostly in
        the same entry, so that EXEC must be refused."""
        history = self._workload.history
        commands = [[WATCH, key.name]]
        operation = None
        if change is not None:
            operation = history.invoke(self.number, key.label, (change,))
            commands.append(self._args_of(key, change))

        def answered(outcome: Outcome) -> None:
            match outcome:
                case Done([int(stamp), *replies]):
                    if operation is None or change is None:
                        self._read(key, stamp)
                        return
                    history.answer(operation, self._workload.answers(key, replies))
                    self._later(lambda: self._exec(key, stamp, change[-1], is_changed=True))
                    return
                case NotApplied() if operation is not None:
                    history.withdraw(operation)
            self._finish()

        self._ask(key, commands, answered, has_write=True)

    def _read(self, key: Key, stamp: int | None) -> None:
        history = self._workload.history
        operation = history.invoke(self.number, key.label, GET)

        def answered(outcome: Outcome) -> None:
            match outcome:
                case Done(replies):
                    history.answer(operation, self._workload.answers(key, replies))
                    value = replies[0]
                    assert value is None or isinstance(value, bytes), value
                    if stamp is not None:
                        self._later(lambda: self._exec(key, stamp, value))
                        return
                case _:
                    history.withdraw(operation)
            self._finish()

        self._ask(key, [[b"GET", key.name]], answered, has_write=False)

    def _later(self, action: Callable[[], None]) -> None:
        """What is watched may expire meanwhile."""
        longest_ns = self._rng.choice((MS, MS, 150 * MS, 500 * MS))
        self._schedule.after(self._rng.randrange(1, longest_ns + 1), action)

    def _exec(self, key: Key, stamp: int, old: bytes | None, *, is_changed: bool = False) -> None:
        history = self._workload.history
        new = self._workload.next_value()
        command: Command = (b"CAS", old if old is not None else b"", new)
        operation = history.invoke(self.number, key.label, (command,))
        packed = pack_transaction(
            [
                (key.db, [b"GET", key.name]),
                (key.db, self._args_of(key, command)),
                (key.db, [b"PUBLISH", TOLD, b"w" + new]),
            ]
        )
        marks = pack_marks([(key.db, key.name, stamp)])

        def answered(outcome: Outcome) -> None:
            self._schedule.note(f"client {self.number} EXEC {old!r} to {new!r}: {outcome}")
            match outcome:
                case Done([reply]) if reply == NULL_ARRAY or is_refused(reply):
                    self.aborted += 1
                    history.withdraw(operation)
                case Done([reply]):
                    self.committed += 1
                    assert isinstance(reply, list | tuple), reply
                    self._check(key, reply, old, new, is_changed=is_changed)
                    history.answer(operation, (b"OK",))
                case NotApplied():
                    history.withdraw(operation)
            self._finish()

        self._ask(key, [[EXEC, packed, key.name, marks]], answered, has_write=True)

    def _check(
        self, key: Key, reply: Sequence[Reply], old: bytes | None, new: bytes, *, is_changed: bool
    ) -> None:
        seen, written, told = reply
        if is_changed or seen != old:
            raise Violation(
                f"client {self.number}: EXEC made {new!r} of {old!r}, "
                f"but {key.name!r} was changed: {seen!r}"
            )
        assert written == OK, written
        self._workload.heard_by(b"w" + new, told)

    def _ask(
        self,
        key: Key,
        commands: list[list[bytes]],
        answered: Callable[[Outcome], None],
        *,
        has_write: bool,
        tries: int = TRIES,
        node: NodeId | None = None,
    ) -> None:
        """At any node, and again where it surely was not applied."""
        node = node or self._rng.choice(self._cluster.nodes)

        def told(outcome: Outcome) -> None:
            match outcome:
                case NotApplied(error) if tries > 1:
                    hint = error.hint if isinstance(error, NotLeader) else None
                    self._ask(
                        key,
                        commands,
                        answered,
                        has_write=has_write,
                        tries=tries - 1,
                        node=NodeId(hint) if hint is not None else None,
                    )
                case _:
                    answered(outcome)

        request = Request(
            key.shard,
            key.db,
            commands,
            has_write=has_write,
            deadline_ns=self._cluster.deadline_ns(node, TIMEOUT_NS),
            complete=nobody,
        )
        self._cluster.ask(node, request, told)
