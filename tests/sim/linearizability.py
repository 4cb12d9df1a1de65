"""Is the history of one key one that a single, immediate store could have given?

Wing and Gong's search with Lowe's memory of what was tried (Lowe, "Testing for linearizability",
2017). An operation whose outcome is unknown may take effect at any time after it was asked for, or
never. The model of a key is its value or nothing; a volatile value may vanish at any time, but
never come back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

Command = tuple[bytes, ...]  # Name and arguments without the key: `(b"SET", b"v")`.
Answer = None | int | bytes
State = bytes | None | tuple[bytes]  # A volatile value is a tuple of one.

READ: tuple[Command, ...] = ((b"GET",),)
STATES_MAX = 2_000_000  # Tried for one key; beyond it the answer is UNDECIDED.


class Verdict(Enum):
    LINEARIZABLE = "linearizable"
    BROKEN = "not linearizable"
    UNDECIDED = "undecided: too many states"


@dataclass(slots=True)
class Operation:
    """Commands on one key that took effect together, or not at all; those of a pipeline one after
    the other, with room for others between them.

    `invoked` and `returned` are places in the order of all events of the run.
    """

    client: int
    key: bytes
    commands: tuple[Command, ...]
    invoked: int
    returned: int | None = None  # None: the outcome is unknown.
    answers: tuple[Answer, ...] = ()
    is_pipeline: bool = False

    def __str__(self) -> str:
        sign = " ; " if self.is_pipeline else " + "
        asked = sign.join(b" ".join(command).decode() for command in self.commands)
        outcome = "?" if self.returned is None else f"{self.returned} -> {self.answers}"
        return f"client {self.client:3} {self.key.decode()}: {asked} [{self.invoked}..{outcome}]"


def execute(state: State, command: Command) -> tuple[State, Answer]:
    """One command on the model of a key."""
    value = state[0] if isinstance(state, tuple) else state
    match command:
        case (b"GET",):
            return state, value
        case (b"SET", new):
            return new, b"OK"
        case (b"SETPX", new):
            return (new,), b"OK"
        case (b"SETNXPX", new):
            return ((new,), b"OK") if value is None else (state, None)
        case (b"PERSIST",):
            return (value, 1) if isinstance(state, tuple) else (state, 0)
        case (b"PEXPIRE",):
            return (state, 0) if value is None else ((value,), 1)
        case (b"CAS", old, new):  # SET of a volatile value under WATCH; old is empty for none.
            return ((new,), b"OK") if (value or b"") == old else (state, None)
        case (b"HSET" | b"ZADD", new):
            return new, int(value is None)
        case (b"HSETNX", new):
            return (new, 1) if value is None else (state, 0)
        case (b"HPEXPIRE",):
            return (state, -2) if value is None else ((value,), 1)
        case (b"HPERSIST",):
            return (state, -2) if value is None else (value, 1 if isinstance(state, tuple) else -1)
        case (b"ZINCRBY", amount):
            total_score = b"%d" % (int(value or b"0") + int(amount))
            return total_score, total_score
        case (b"RPUSH", last):  # A list is its elements with spaces between them.
            longer = last if value is None else value + b" " + last
            return longer, longer.count(b" ") + 1
        case (b"LPOP",):
            first, _, rest = (value or b"").partition(b" ")
            return rest or None, first or None
        case (b"EXISTS",):
            return state, int(value is not None)
        case (b"INCRBY", amount):
            total = int(value or b"0") + int(amount)
            return b"%d" % total, total
        case (b"INCRFAIL" | b"INCRSPEND" as name, amount):  # A script that fails after it.
            half = b"%d" % (int(value or b"0") + int(amount))
            return half, b"half" if name == b"INCRFAIL" else b"spent"
        case (b"APPEND", more):
            longer = (value or b"") + more
            return longer, len(longer)
        case (b"DEL",):
            return None, int(value is not None)
        case _:
            raise ValueError(f"the model does not know {command!r}")


def _ends(state: State, operation: Operation) -> list[State]:
    """The states that the operation may leave, if its answers are those that were given."""
    states = [state]
    is_known = operation.returned is not None
    for place, command in enumerate(operation.commands):
        if any(isinstance(one, tuple) for one in states) and None not in states:
            states.append(None)  # Vanished just now.
        results = [execute(one, command) for one in states]
        answer = operation.answers[place] if is_known else None
        states = []
        for after, given in results:
            if (not is_known or given == answer) and after not in states:
                states.append(after)
    return states


@dataclass(slots=True)
class _Level:
    """One place of the order under trial: the state before it and what else could stand there."""

    state: State
    done: int  # Bit set of the operations before.
    choices: list[int]  # Still to be tried in this place, last first.
    ends: list[tuple[int, State]] = field(default_factory=list)  # Of the one tried now, last first.


def check_key(history: Sequence[Operation], states_max: int = STATES_MAX) -> Verdict:
    """Whether one key's operations, all of them, could have happened one after the other."""
    operations, before = _apart(sorted(history, key=lambda operation: operation.invoked))
    must = 0  # All whose outcome is known.
    for place, operation in enumerate(operations):
        if operation.returned is not None:
            must |= 1 << place
    done = 0
    # By known operations done and state, the unknown ones that were done too. To have more of these
    # done in the same state gives no more freedom: they need never be done.
    tried: dict[tuple[int, State], list[int]] = {(0, None): [0]}
    count = 0
    stack = [_Level(None, done, _choices(operations, before, done, None))]
    while True:
        if done & must == must:
            return Verdict.LINEARIZABLE
        level = stack[-1]
        if not level.ends:
            if not level.choices:
                stack.pop()
                if not stack:
                    return Verdict.BROKEN
                done = stack[-1].done
                continue
            place = level.choices.pop()
            ends = reversed(_ends(level.state, operations[place]))
            level.ends = [(place, after) for after in ends]
            continue
        place, after = level.ends.pop()
        if operations[place].returned is None and after == level.state:
            continue  # An unknown outcome that changes nothing need not be placed at all.
        done = level.done | 1 << place
        unknown = done & ~must
        masks = tried.setdefault((done & must, after), [])
        if any(mask & unknown == mask for mask in masks):
            continue
        count += 1
        if count > states_max:
            return Verdict.UNDECIDED
        masks.append(unknown)
        stack.append(_Level(after, done, _choices(operations, before, done, after)))


def _apart(history: Sequence[Operation]) -> tuple[list[Operation], list[int]]:
    """Pipelines as single commands, and for each operation the bit of the one it must follow.

    Of a pipeline without a known outcome any part may have happened: that allows a little more than
    can be, and keeps the memory of what was tried simple.
    """
    operations: list[Operation] = []
    before: list[int] = []
    for one in history:
        if not one.is_pipeline:
            operations.append(one)
            before.append(0)
            continue
        for place, command in enumerate(one.commands):
            follows = place and one.returned is not None
            before.append(1 << len(operations) - 1 if follows else 0)
            answers = one.answers[place : place + 1]
            operations.append(
                Operation(one.client, one.key, (command,), one.invoked, one.returned, answers)
            )
    return operations, before


def _choices(
    operations: Sequence[Operation], before: Sequence[int], done: int, state: State
) -> list[int]:
    """What may come next: everything asked for before the first answer still missing.

    In the order to pop: known outcomes first, the earliest answered first; unknown ones last, since
    most of them need not be placed at all. A read that fits here may as well stand here: then it is
    the only choice.
    """
    value = state[0] if isinstance(state, tuple) else state
    first_return: int | None = None
    known: list[tuple[int, int]] = []
    unknown: list[int] = []
    first = (~done & done + 1).bit_length() - 1  # All before it are done.
    for place in range(first, len(operations)):
        if done >> place & 1:
            continue
        operation = operations[place]
        if first_return is not None and operation.invoked > first_return:
            break
        if operation.returned is None:
            unknown.append(place)
            continue
        if before[place] & ~done:
            continue  # The one before it in its pipeline returned at the same time.
        if operation.commands == READ and operation.answers == (value,):
            return [place]
        known.append((operation.returned, place))
        if first_return is None or operation.returned < first_return:
            first_return = operation.returned
    known.sort(reverse=True)
    unknown.reverse()
    return unknown + [place for _, place in known]
