"""What the clients asked and were told, and whether it could be true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from trimaran.proto.reply import ErrorReply, Reply

from .linearizability import Answer, Command, Operation, Verdict, check_key

READS = (b"GET", b"EXISTS")  # Of the model, whatever the key is.


def has_write(commands: Sequence[Command]) -> bool:
    return any(command[0] not in READS for command in commands)


def is_refused(reply: Reply) -> bool:
    """For want of memory; of a transaction, the whole."""
    return isinstance(reply, ErrorReply) and reply.code in {"OOM", "EXECABORT"}


@dataclass(slots=True)
class History:
    """All operations of a run, per key, in one order of events."""

    operations: dict[bytes, list[Operation]] = field(default_factory=dict)
    _place: int = 0
    _unknown: dict[bytes, int] = field(default_factory=dict)

    def invoke(
        self,
        client: int,
        key: bytes,
        commands: tuple[Command, ...],
        *,
        is_pipeline: bool = False,
    ) -> Operation:
        self._place += 1
        operation = Operation(client, key, commands, self._place, is_pipeline=is_pipeline)
        self.operations.setdefault(key, []).append(operation)
        if has_write(commands):
            self._unknown[key] = self._unknown.get(key, 0) + 1
        return operation

    def answer(self, operation: Operation, answers: tuple[Answer, ...]) -> None:
        self._place += 1
        if has_write(operation.commands):
            self._unknown[operation.key] -= 1
        operation.returned = self._place
        operation.answers = answers

    def without_refused(self, operation: Operation, replies: Sequence[Reply]) -> Sequence[Reply]:
        """Replies of what was carried out; what there was no memory for had surely no effect: the
        history must be explained without it."""
        kept = [place for place, reply in enumerate(replies) if not is_refused(reply)]
        if len(kept) < len(replies):
            had_write = has_write(operation.commands)
            operation.commands = tuple(operation.commands[place] for place in kept)
            if had_write and not has_write(operation.commands):
                self._unknown[operation.key] -= 1
        return [replies[place] for place in kept]

    def withdraw(self, operation: Operation) -> None:
        """It surely had no effect: the history must be explained without it."""
        if has_write(operation.commands):
            self._unknown[operation.key] -= 1
        self.operations[operation.key] = [
            other for other in self.operations[operation.key] if other is not operation
        ]

    def unknown(self, key: bytes) -> int:
        """How many writes of `key` have no outcome, or none yet."""
        return self._unknown.get(key, 0)

    def count(self) -> int:
        return sum(len(operations) for operations in self.operations.values())

    def faults(self) -> list[str]:
        """One text for each key whose history no single store could have given."""
        found: list[str] = []
        for key in sorted(self.operations):
            operations = self.operations[key]
            verdict = check_key(operations)
            if verdict is not Verdict.LINEARIZABLE:
                lines = "\n    ".join(str(operation) for operation in operations)
                found.append(f"key {key.decode()} is {verdict.value}:\n    {lines}")
        return found
