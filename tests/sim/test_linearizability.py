"""The checker itself: histories that are linearizable, and histories that are not."""

from __future__ import annotations

from random import Random

import pytest

from .history import History
from .linearizability import Answer, Command, Operation, State, Verdict, check_key, execute

GET: Command = (b"GET",)


def op(
    command: Command, invoked: int, returned: int | None = None, answer: Answer = None
) -> Operation:
    answers = () if returned is None else (answer,)
    return Operation(0, b"k", (command,), invoked, returned, answers)


def set_(value: bytes, invoked: int, returned: int | None = None) -> Operation:
    return op((b"SET", value), invoked, returned, b"OK")


def test_empty_history_is_linearizable() -> None:
    assert check_key([]) is Verdict.LINEARIZABLE


def test_read_sees_the_write_before_it() -> None:
    assert check_key([set_(b"1", 1, 2), op(GET, 3, 4, b"1")]) is Verdict.LINEARIZABLE


def test_stale_read_is_found() -> None:
    history = [set_(b"1", 1, 2), set_(b"2", 3, 4), op(GET, 5, 6, b"1")]
    assert check_key(history) is Verdict.BROKEN


def test_lost_write_is_found() -> None:
    assert check_key([set_(b"1", 1, 2), op(GET, 3, 4, None)]) is Verdict.BROKEN


def test_concurrent_read_may_see_either_value() -> None:
    for seen in (b"1", b"2"):
        history = [set_(b"1", 1, 2), set_(b"2", 3, 8), op(GET, 4, 5, seen)]
        assert check_key(history) is Verdict.LINEARIZABLE


def test_reads_may_not_go_back_in_time_beside_one_write() -> None:
    history = [
        set_(b"1", 1, 2),
        set_(b"2", 3, 10),
        op(GET, 4, 5, b"2"),
        op(GET, 6, 7, b"1"),
    ]
    assert check_key(history) is Verdict.BROKEN


def test_unknown_write_may_take_effect_late_or_never() -> None:
    late = [set_(b"1", 1), op(GET, 2, 3, None), op(GET, 4, 5, b"1")]
    never = [set_(b"1", 1), op(GET, 2, 3, None), op(GET, 4, 5, None)]
    assert check_key(late) is Verdict.LINEARIZABLE
    assert check_key(never) is Verdict.LINEARIZABLE


def test_unknown_write_takes_effect_once_only() -> None:
    history = [
        op((b"INCRBY", b"1"), 1),
        op(GET, 2, 3, b"1"),
        op(GET, 4, 5, b"2"),
    ]
    assert check_key(history) is Verdict.BROKEN


def test_unknown_write_cannot_be_seen_before_it_was_asked_for() -> None:
    history = [op(GET, 1, 2, b"1"), set_(b"1", 3)]
    assert check_key(history) is Verdict.BROKEN


def test_increments_each_return_another_total() -> None:
    twice = [op((b"INCRBY", b"1"), 1, 4, 1), op((b"INCRBY", b"1"), 2, 3, 1)]
    apart = [op((b"INCRBY", b"1"), 1, 4, 2), op((b"INCRBY", b"1"), 2, 3, 1)]
    assert check_key(twice) is Verdict.BROKEN
    assert check_key(apart) is Verdict.LINEARIZABLE


def test_append_keeps_the_order_of_what_it_was_told() -> None:
    a, b = (b"APPEND", b"a"), (b"APPEND", b"b")
    history = [op(a, 1, 4, 2), op(b, 2, 3, 1), op(GET, 5, 6, b"ba")]
    assert check_key(history) is Verdict.LINEARIZABLE
    assert check_key([*history, op(GET, 7, 8, b"ab")]) is Verdict.BROKEN


def test_commands_of_one_operation_take_effect_together() -> None:
    both = Operation(0, b"k", ((b"INCRBY", b"1"), (b"INCRBY", b"1")), 1, 9, (1, 2))
    assert check_key([both, op(GET, 2, 3, b"2")]) is Verdict.LINEARIZABLE
    assert check_key([both, op(GET, 2, 3, b"1")]) is Verdict.BROKEN


def test_commands_of_a_pipeline_take_effect_in_order_with_others_between_them() -> None:
    both = Operation(
        0, b"k", ((b"INCRBY", b"1"), (b"INCRBY", b"1")), 1, 9, (1, 2), is_pipeline=True
    )
    assert check_key([both, op(GET, 2, 3, b"1")]) is Verdict.LINEARIZABLE
    assert check_key([both, op(GET, 2, 3, b"1"), op(GET, 10, 11, b"1")]) is Verdict.BROKEN
    swapped = Operation(
        0, b"k", ((b"INCRBY", b"1"), (b"INCRBY", b"1")), 1, 9, (2, 1), is_pipeline=True
    )
    assert check_key([swapped]) is Verdict.BROKEN


def test_volatile_value_may_vanish_but_not_come_back() -> None:
    def history(*seen: bytes | None) -> History:
        made = History()
        asked = made.invoke(1, b"k", ((b"SETPX", b"v"),))
        made.answer(asked, (b"OK",))
        for value in seen:
            made.answer(made.invoke(1, b"k", (GET,)), (value,))
        return made

    assert not history(b"v", b"v", None, None).faults()
    assert len(history(b"v", None, b"v").faults()) == 1


PUSH_A, PUSH_B, POP = (b"RPUSH", b"a"), (b"RPUSH", b"b"), (b"LPOP",)


def test_queue_gives_each_element_once_and_in_order() -> None:
    pushed = [op(PUSH_A, 1, 4, 1), op(PUSH_B, 2, 5, 2)]
    popped = [op(POP, 6, 9, b"b"), op(POP, 7, 8, b"a"), op(POP, 10, 11, None)]
    assert check_key([*pushed, *popped]) is Verdict.LINEARIZABLE
    assert check_key([*pushed, op(GET, 6, 7, b"a b")]) is Verdict.LINEARIZABLE
    assert check_key([*pushed, op(POP, 6, 7, b"b")]) is Verdict.BROKEN
    assert check_key([*pushed, op(POP, 6, 7, b"a"), op(POP, 8, 9, b"a")]) is Verdict.BROKEN
    assert check_key([*pushed, op(POP, 6, 7, b"a"), op(POP, 8, 9, None)]) is Verdict.BROKEN


def test_element_of_an_unknown_push_may_come_or_not() -> None:
    unknown = op(PUSH_A, 1)
    assert check_key([unknown, op(POP, 2, 3, None), op(POP, 4, 5, b"a")]) is Verdict.LINEARIZABLE
    assert check_key([unknown, op(PUSH_B, 2, 3, 1), op(POP, 4, 5, b"b")]) is Verdict.LINEARIZABLE
    assert check_key([unknown, op(PUSH_B, 2, 3, 2), op(POP, 4, 5, b"b")]) is Verdict.BROKEN


def test_update_is_made_of_the_value_that_stood_there() -> None:
    first, second = op((b"CAS", b"", b"1"), 1, 2, b"OK"), op((b"CAS", b"1", b"2"), 3, 4, b"OK")
    assert check_key([first, second, op(GET, 5, 6, b"2")]) is Verdict.LINEARIZABLE
    lost = op((b"CAS", b"1", b"3"), 5, 6, b"OK")
    assert check_key([first, second, lost]) is Verdict.BROKEN
    unknown = op((b"CAS", b"1", b"3"), 3)
    assert check_key([first, unknown, op(GET, 5, 6, b"3")]) is Verdict.LINEARIZABLE
    assert check_key([first, unknown, second, op(GET, 5, 6, b"3")]) is Verdict.BROKEN


def test_field_may_vanish_once_it_expires_and_not_before() -> None:
    written, read = op((b"HSET", b"v"), 1, 2, 1), op(GET, 5, 6, None)
    assert check_key([written, read]) is Verdict.BROKEN
    assert check_key([written, op((b"HPEXPIRE",), 3, 4, 1), read]) is Verdict.LINEARIZABLE
    kept = [op((b"HPEXPIRE",), 3, 4, 1), op((b"HPERSIST",), 4, 5, 1), op(GET, 6, 7, None)]
    assert check_key([written, *kept]) is Verdict.BROKEN


def test_withdrawn_operation_explains_nothing() -> None:
    history = History()
    refused = history.invoke(1, b"k", ((b"SET", b"v"),))
    history.answer(history.invoke(2, b"k", (GET,)), (b"v",))
    assert not history.faults()
    history.withdraw(refused)
    assert len(history.faults()) == 1


def test_checker_gives_up_on_too_many_states() -> None:
    unknown = [op((b"APPEND", bytes([65 + place])), place) for place in range(20)]
    history = [*unknown, op(GET, 30, 31, b"no such value")]
    assert check_key(history, states_max=1000) is Verdict.UNDECIDED


def _random_history(rng: Random, count: int) -> list[Operation]:
    """Operations with overlapping intervals whose answers come from one store."""
    commands: list[Command] = [
        GET,
        (b"SET", b"7"),
        (b"INCRBY", b"3"),
        (b"APPEND", b"1"),
        (b"DEL",),
    ]
    state: State = None
    operations: list[Operation] = []
    for place in range(count):
        command = rng.choice(commands)
        effect = 10 * place
        made = op(command, effect - rng.randrange(25), effect + rng.randrange(25))
        is_lost = rng.random() < 0.15
        if not is_lost or rng.random() < 0.5:
            state, answer = execute(state, command)
            made.answers = (answer,)
        if is_lost:
            made.returned, made.answers = None, ()
        operations.append(made)
    return operations


@pytest.mark.parametrize("seed", range(20))
def test_histories_of_a_single_store_are_linearizable(seed: int) -> None:
    assert check_key(_random_history(Random(seed), 60)) is Verdict.LINEARIZABLE


@pytest.mark.parametrize("seed", range(20))
def test_one_wrong_answer_is_found(seed: int) -> None:
    rng = Random(seed)
    history = _random_history(rng, 40)
    reads = [one for one in history if one.returned is not None and one.commands == (GET,)]
    rng.choice(reads).answers = (b"never written",)
    assert check_key(history) is Verdict.BROKEN


def _is_linearizable_slowly(history: list[Operation], state: State = None) -> bool:
    """By the definition: try every operation that nothing forces behind another one."""
    waiting = [one.returned for one in history if one.returned is not None]
    if not waiting:
        return True
    for place, operation in enumerate(history):
        if operation.invoked > min(waiting):
            continue
        rest = history[:place] + history[place + 1 :]
        for start in (state, None) if isinstance(state, tuple) else (state,):
            after, answer = execute(start, operation.commands[0])
            is_right = operation.returned is None or operation.answers == (answer,)
            if is_right and _is_linearizable_slowly(rest, after):
                return True
    return False


def _any_history(rng: Random) -> list[Operation]:
    """Few operations with answers that are often wrong."""
    choices: list[tuple[Command, tuple[Answer, ...]]] = [
        (GET, (None, b"1", b"2", b"12")),
        ((b"SET", b"1"), (b"OK",)),
        ((b"SETPX", b"2"), (b"OK",)),
        ((b"APPEND", b"2"), (1, 2)),
        ((b"DEL",), (0, 1)),
    ]
    history: list[Operation] = []
    times = rng.sample(range(100), 14)
    for place in range(rng.randrange(3, 8)):
        command, answers = rng.choice(choices)
        invoked, returned = sorted(times[2 * place : 2 * place + 2])
        is_known = rng.random() < 0.75
        history.append(op(command, invoked, returned if is_known else None, rng.choice(answers)))
    return history


def test_checker_agrees_with_the_definition() -> None:
    rng = Random(7)
    right = 0
    for _ in range(3000):
        history = _any_history(rng)
        expected = _is_linearizable_slowly(history)
        right += expected
        verdict = check_key(history)
        assert verdict is (Verdict.LINEARIZABLE if expected else Verdict.BROKEN), history
    assert 500 < right < 2500
