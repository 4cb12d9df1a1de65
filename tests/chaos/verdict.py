"""What the history proves: linearizable key by key, and nothing acknowledged is missing.

The search for a linearization is the simulator's. Beside it stand cheap checks that always come to
an end and whose texts say directly what went wrong.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..sim.linearizability import Verdict, check_key
from .workload import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..sim.history import History
    from ..sim.linearizability import Operation

STATES_MAX = 100_000  # A few seconds for one key.
_TOKEN = re.compile(rb"<\d+>")


@dataclass(slots=True)
class Judgement:
    """The outcome over all keys."""

    keys: int = 0
    operations: int = 0
    undecided: int = 0
    violations: list[str] = field(default_factory=list)


def judge(history: History) -> Judgement:
    """Judges every key; the last operation of each is the read after everything was over."""
    judgement = Judgement(keys=len(history.operations), operations=history.count())
    for label in sorted(history.operations):
        operations = history.operations[label]
        kind = Place.of(label).kind
        texts: list[str] = []
        if kind == "counter":
            texts = _counter_faults(operations)
        elif kind == "log":
            texts = _log_faults(operations)
        verdict = check_key(operations, STATES_MAX)
        if verdict is Verdict.BROKEN:
            texts.append("its history is not linearizable")
        judgement.undecided += verdict is Verdict.UNDECIDED
        if texts:
            listing = "\n    ".join(str(operation) for operation in operations)
            judgement.violations.append(f"key {label.decode()}: {'; '.join(texts)}\n    {listing}")
    return judgement


def _counter_faults(operations: Sequence[Operation]) -> list[str]:
    asked = [it for it in operations if it.commands[0][0] == b"INCRBY"]
    acknowledged = sum(it.returned is not None for it in asked)
    final = int(_final(operations) or b"0")
    faults = _goes_back(operations, int)
    if not acknowledged <= final <= len(asked):
        faults.append(f"is {final} after {acknowledged} acknowledged of {len(asked)} increments")
    return faults


def _log_faults(operations: Sequence[Operation]) -> list[str]:
    final = _TOKEN.findall(_final(operations) or b"")
    asked = {it.commands[0][1]: it for it in operations if it.commands[0][0] == b"APPEND"}
    faults = _goes_back(operations, len)
    missing = [t for t, it in asked.items() if it.returned is not None and t not in final]
    twice = sorted({token for token in final if final.count(token) > 1})
    strange = [token for token in final if token not in asked]
    if missing:
        faults.append(f"acknowledged but missing: {missing}")
    if twice:
        faults.append(f"applied twice: {twice}")
    if strange:
        faults.append(f"there without an APPEND that could have written it: {strange}")
    return faults


def _goes_back(operations: Sequence[Operation], size_of: Callable[[bytes], int]) -> list[str]:
    """Of a value that only grows: an answer smaller than one given before it was asked for."""
    answered = sorted(
        (it.returned, it.invoked, _size(it, size_of))
        for it in operations
        if it.returned is not None
    )
    by_invoked = sorted(answered, key=lambda one: one[1])
    faults: list[str] = []
    largest, passed = 0, 0
    for _, invoked, size in by_invoked:
        while passed < len(answered) and answered[passed][0] < invoked:
            largest = max(largest, answered[passed][2])
            passed += 1
        if size < largest:
            faults.append(f"went back from {largest} to {size} at {invoked}")
    return faults


def _size(operation: Operation, size_of: Callable[[bytes], int]) -> int:
    answer = operation.answers[0]
    if isinstance(answer, int):
        return answer
    return size_of(answer) if answer is not None else 0


def _final(operations: Sequence[Operation]) -> bytes | None:
    last = max(
        (it for it in operations if it.returned is not None and it.commands[0][0] == b"GET"),
        key=lambda it: it.invoked,
    )
    answer = last.answers[0]
    assert not isinstance(answer, int)
    return answer
