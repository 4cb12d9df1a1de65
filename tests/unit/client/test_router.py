"""The router brings each command to its leader, once, and says what became of it."""

from __future__ import annotations

from random import Random

import pytest

from trimaran.client.batch import ANYWHERE
from trimaran.client.errors import ClientClosed, NotApplied, OutcomeUnknown, Refused
from trimaran.proto import commands_pb2 as pb
from trimaran.proto.requests import encode_command, outcome_of

from .rig import NODES, SHARDS, Outcome, Rig, not_applied


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    rig.show()
    return rig


def value_of(outcome: Outcome) -> int:
    assert outcome.error is None, outcome.error
    assert outcome.result is not None
    return pb.Value.FromString(outcome_of(outcome.result)).integer


# --- Gathering.


def test_commands_of_one_turn_leave_as_one_batch_per_shard(rig: Rig) -> None:
    outcomes = [rig.write(shard) for shard in range(SHARDS) for _ in range(5)]
    rig.run(0.1)
    assert all(outcome.done() for outcome in outcomes)
    assert [len(batch.commands) for _, batch in rig.sent] == [5] * SHARDS
    assert [node for node, _ in rig.sent] == rig.leaders


def test_reads_do_not_travel_with_writes(rig: Rig) -> None:
    # In one batch they would go through the log with them.
    rig.write(0)
    rig.read(0)
    rig.run(0.1)
    assert sorted(bool(batch.sessions) for _, batch in rig.sent) == [False, True]


def test_a_batch_has_a_size(rig: Rig) -> None:
    for _ in range(2500):
        rig.read(1)
    rig.run(0.1)
    assert [len(batch.commands) for _, batch in rig.sent] == [1000, 1000, 500]


# --- Sessions.


def test_the_first_write_to_a_shard_opens_the_session_and_the_others_wait_for_it(rig: Rig) -> None:
    first = rig.write(0)
    rig.router.flush()
    second = rig.write(0)
    rig.run(0.1)
    assert (value_of(first), value_of(second)) == (1, 2)
    opening, later = (batch.sessions[0] for _, batch in rig.sent)
    assert not opening.id
    assert later.id
    assert later.sequence == 2
    assert len(rig.shards[0].sessions) == 1


def test_the_floor_rises_with_the_answers(rig: Rig) -> None:
    for _ in range(3):
        rig.write(0)
        rig.run(0.1)
    assert [batch.sessions[0].floor for _, batch in rig.sent] == [1, 2, 3]


def test_a_write_whose_answer_is_lost_is_sent_again_and_applied_once(rig: Rig) -> None:
    value_of_first = rig.write(0)
    rig.run(0.1)
    rig.lose_answers = 1.0
    second = rig.write(0)
    rig.run(0.05)
    assert not second.done()
    rig.lose_answers = 0.0
    rig.run(1)
    assert (value_of(value_of_first), value_of(second)) == (1, 2)
    assert rig.applied(0) == 2
    assert len(rig.sent) > 2


def test_so_is_the_one_that_opens_the_session(rig: Rig) -> None:
    rig.lose_answers = 1.0
    first = rig.write(0)
    rig.run(0.05)
    rig.lose_answers = 0.0
    rig.run(1)
    assert value_of(first) == 1
    assert rig.applied(0) == 1
    assert len(rig.shards[0].sessions) == 1


def test_a_first_try_under_a_session_that_has_ended_gets_another_one(rig: Rig) -> None:
    rig.write(0)
    rig.run(0.1)
    rig.end_sessions(0)
    second = rig.write(0)
    rig.run(0.1)
    assert value_of(second) == 2
    assert rig.router.stats.sessions_lost == 1


def test_a_retry_under_a_session_that_has_ended_is_unknown_and_not_sent_again(rig: Rig) -> None:
    rig.write(0)
    rig.run(0.1)
    rig.lose_answers = 1.0
    second = rig.write(0)
    rig.run(0.01)
    rig.end_sessions(0)
    rig.lose_answers = 0.0
    rig.run(2)
    assert isinstance(second.error, OutcomeUnknown)
    assert rig.applied(0) == 2
    third = rig.write(0)
    rig.run(0.1)
    assert value_of(third) == 3


def test_a_session_that_may_have_ended_while_the_machine_slept_is_not_opened_again() -> None:
    rig = Rig(session_timeout_ms=60_000)
    rig.show()
    rig.lose_answers = 1.0
    outcome = rig.write(0)
    rig.run(0.005)
    assert rig.applied(0) == 1
    rig.asleep_s = 3600.0
    rig.shards[0].open(pb.Session(client=7, timeout_ms=1000), rig.log_ms)  # It ends those due.
    rig.lose_answers = 0.0
    rig.run(2)
    assert rig.applied(0) == 1
    assert isinstance(outcome.error, OutcomeUnknown)
    second = rig.write(0)
    rig.run(1)
    assert value_of(second) == 2


def test_who_has_too_much_unanswered_waits(rig: Rig) -> None:
    rig.write(0)
    rig.run(0.1)
    rig.cut.add(rig.leaders[0])
    for _ in range(60):
        for _ in range(1000):
            rig.write(0, timeout_s=30)
        rig.router.flush()
    numbers = [batch.sessions[0].sequence for _, batch in rig.sent if batch.sessions]
    assert max(numbers) < 50_000
    rig.cut.clear()
    rig.break_link(rig.leaders[0])
    rig.run(20)
    assert rig.applied(0) == 60_001


# --- Leaders.


def test_a_hint_is_followed_at_once(rig: Rig) -> None:
    rig.lead(0, "n3")  # The client has not heard of it.
    outcome = rig.write(0)
    rig.run(0.01)
    assert value_of(outcome) == 1
    assert [node for node, _ in rig.sent] == ["n1", "n3"]


def test_two_nodes_that_name_each_other_are_not_asked_in_a_circle(rig: Rig) -> None:
    def refuse(_: pb.Batch) -> bytes:
        other = "n2" if rig.sent[-1][0] == "n1" else "n1"
        return not_applied(pb.NotApplied.NOT_LEADER, other)

    rig.refuse = refuse
    outcome = rig.write(0, timeout_s=2)
    rig.run(1.9)
    assert len(rig.sent) < 60
    rig.run(1)
    assert isinstance(outcome.error, NotApplied)
    assert rig.applied(0) == 0


def test_what_waits_for_an_old_leader_is_asked_of_the_new_one_too(rig: Rig) -> None:
    rig.write(0)
    rig.run(0.1)
    rig.cut.add("n1")  # It hangs: its connection stays.
    outcome = rig.write(0)
    rig.run(0.5)
    rig.lead(0, "n2")
    rig.show()
    rig.run(0.1)
    assert value_of(outcome) == 2
    assert rig.applied(0) == 2


def test_a_leader_that_is_not_among_the_nodes_is_not_asked(rig: Rig) -> None:
    rig.write(0)
    rig.run(0.1)
    rig.cut.add("n1")
    outcome = rig.write(0)
    rig.run(0.1)
    rig.lead(0, "n4")  # It has joined, and this view does not know it yet.
    rig.show()
    rig.run(0.1)
    assert {node for node, _ in rig.sent} == {"n1"}
    rig.lead(0, "n2")
    rig.show()
    rig.run(0.1)
    assert value_of(outcome) == 2


def test_without_a_leader_a_command_waits_for_one(rig: Rig) -> None:
    rig.lead(0, "")
    rig.show()
    outcome = rig.write(0)
    rig.run(1)
    assert not rig.sent
    rig.lead(0, "n2")
    rig.show()
    rig.run(0.1)
    assert value_of(outcome) == 1


def test_before_any_node_has_answered_a_command_waits() -> None:
    rig = Rig()
    outcome = rig.write(0)
    rig.run(0.5)
    assert not outcome.done()
    rig.show()
    rig.run(0.1)
    assert value_of(outcome) == 1


# --- Ends.


def test_a_command_nobody_could_be_asked_about_was_not_applied(rig: Rig) -> None:
    rig.lead(0, "")
    rig.show()
    outcome = rig.write(0, timeout_s=1)
    rig.run(2)
    assert isinstance(outcome.error, NotApplied)
    assert "no leader is known for shard 0" in str(outcome.error)


def test_a_write_without_an_answer_is_unknown_and_a_read_is_not_applied(rig: Rig) -> None:
    rig.cut.add("n1")
    write, read = rig.write(0, timeout_s=1), rig.read(0, timeout_s=1)
    rig.run(2)
    assert isinstance(write.error, OutcomeUnknown)
    assert isinstance(read.error, NotApplied)
    assert "n1" in str(read.error)
    assert rig.router.stats.unknown == 1


def test_a_refusal_without_effect_is_tried_again_until_the_time_is_up(rig: Rig) -> None:
    rig.refuse = lambda _: not_applied(pb.NotApplied.NO_QUORUM)
    outcome = rig.write(0, timeout_s=3)
    rig.run(4)
    assert isinstance(outcome.error, NotApplied)
    assert "not now" in str(outcome.error)
    assert 5 < len(rig.sent) < 60


def test_what_had_not_left_when_the_connection_broke_was_not_applied(rig: Rig) -> None:
    rig.cut.update(NODES)
    outcome = rig.write(0, timeout_s=1)
    rig.router.flush()
    rig.break_link("n1", unsent=tuple(batch.id for _, batch in rig.sent))
    rig.lead(0, "")
    rig.show()
    rig.run(2)
    assert isinstance(outcome.error, NotApplied)


def test_what_no_node_takes_is_refused_and_what_left_with_it_goes_on(rig: Rig) -> None:
    assert rig.leaders[0] == rig.leaders[3] == "n1"
    rig.cut.add("n1")
    large, small = rig.write(0), rig.write(3)
    rig.router.flush()
    (number,) = (batch.id for _, batch in rig.sent if batch.commands[0].args[1] == b"0:k")
    rig.router.broken("n1", (), 0.1, lambda: Refused("too much"), [number])
    assert isinstance(large.error, Refused)
    rig.cut.clear()
    rig.run(2)
    assert small.result is not None
    assert (rig.applied(0), rig.applied(3)) == (0, 1)


@pytest.mark.parametrize("is_write", [True, False])
def test_what_no_session_covers_is_sent_again_only_if_it_does_no_harm(
    rig: Rig, *, is_write: bool
) -> None:
    rig.lose_answers = 1.0
    outcome = Outcome()
    command = encode_command([b"PUBLISH", b"0:k"])
    rig.router.call(ANYWHERE, 0, command, outcome, is_write=is_write)
    rig.run(0.05)
    rig.lose_answers = 0.0
    for shard in range(SHARDS):
        rig.lead(shard, rig.sent[0][0])
    rig.leaders[0] = rig.sent[0][0]
    rig.refuse = lambda _: not_applied(pb.NotApplied.NO_QUORUM)
    rig.run(1)
    assert isinstance(outcome.error, OutcomeUnknown) == is_write
    assert (len(rig.sent) == 1) == is_write


def test_a_client_that_is_closed_tells_who_waits(rig: Rig) -> None:
    rig.cut.add("n1")
    sent = rig.write(0)
    rig.router.flush()
    rig.lead(1, "")
    rig.show()
    waiting = rig.write(1)
    rig.router.close(ClientClosed("closed"), OutcomeUnknown("closed"))
    assert isinstance(sent.error, OutcomeUnknown)
    assert isinstance(waiting.error, ClientClosed)
    assert (rig.router.pending, rig.router.pending_bytes) == (0, 0)


def test_nothing_is_sent_for_a_client_that_is_closed(rig: Rig) -> None:
    # A task may have been on its way between two commands.
    rig.write(0)
    rig.run(0.1)
    rig.router.close(ClientClosed("closed"), OutcomeUnknown("closed"))
    late = rig.write(0)
    rig.run(1)
    assert isinstance(late.error, ClientClosed)
    assert rig.applied(0) == 1


def test_what_was_gathered_when_the_client_was_closed_is_not_sent(rig: Rig) -> None:
    outcome = rig.write(0)
    rig.router.close(ClientClosed("closed"), OutcomeUnknown("closed"))
    rig.run(1)
    assert isinstance(outcome.error, ClientClosed)
    assert rig.applied(0) == 0
    assert rig.router.pending == 0


def test_more_than_the_limit_is_refused_and_the_rest_is_not_disturbed() -> None:
    rig = Rig(pending_max=10)
    rig.show()
    good = [rig.write(0) for _ in range(10)]
    rig.router.flush()
    bad = rig.write(0)
    rig.run(1)
    assert isinstance(bad.error, NotApplied)
    assert "pending_max = 10" in str(bad.error)
    assert [value_of(one) for one in good] == list(range(1, 11))
    assert rig.router.pending == 0


# --- Reads.


def test_stale_reads_go_to_replicas_in_turn(rig: Rig) -> None:
    for _ in range(6):
        rig.read(0, stale_ms=500)
        rig.run(0.01)
    assert {node for node, _ in rig.sent} == set(NODES)
    assert {batch.stale_ms for _, batch in rig.sent} == {500}


def test_a_stale_read_of_a_silent_node_is_asked_of_another(rig: Rig) -> None:
    rig.cut.add("n1")
    reads = [rig.read(0, stale_ms=500) for _ in range(1)]
    for _ in range(2):
        rig.router.flush()
        reads.append(rig.read(0, stale_ms=500))
    rig.run(0.1)
    assert sum(read.done() for read in reads) == 2
    rig.router.silent("n1", 1.0)
    more = [rig.read(0, stale_ms=500) for _ in range(5)]
    rig.run(0.1)
    assert all(read.done() for read in reads + more)


# --- All at once.


@pytest.mark.parametrize("seed", range(10))
def test_whatever_breaks_each_write_is_applied_as_often_as_was_said(seed: int) -> None:
    """Repeat one with -k 'as_was_said and [SEED]'."""
    rig = Rig(seed, timeout_s=6.0)
    rng = Random(seed)
    rig.show()
    rig.delay_s = lambda: rng.random() ** 3 * 0.3
    outcomes: dict[tuple[int, str], Outcome] = {}
    for number in range(300):
        for _ in range(rng.randrange(6)):
            shard = rng.randrange(SHARDS)
            name = f"{number}.{len(outcomes)}"
            outcomes[shard, name] = rig.write(shard, name)
        match rng.randrange(30):
            case 0:
                rig.lose_answers, rig.lose_requests = rng.random() / 3, rng.random() / 3
            case 1:
                rig.lead(rng.randrange(SHARDS), rng.choice(NODES))
            case 2:
                rig.show()
            case 3:
                rig.cut = set() if rig.cut else {rng.choice(NODES)}
            case 4:
                rig.break_link(rng.choice(NODES))
            case 5 if rng.random() < 0.3:
                rig.end_sessions(rng.randrange(SHARDS))
        rig.run(rng.random() * 0.1)
    rig.cut.clear()
    rig.lose_answers = rig.lose_requests = 0.0
    for node in NODES:
        rig.break_link(node)
    rig.show()
    rig.run(20)
    for (shard, name), outcome in outcomes.items():
        assert outcome.done(), (shard, name)
        count = rig.applied(shard, name)
        if outcome.error is None:
            assert count == 1
            assert value_of(outcome) == 1
        elif isinstance(outcome.error, NotApplied):
            assert count == 0
        else:
            assert isinstance(outcome.error, OutcomeUnknown)
            assert count <= 1
    assert sum(outcome.error is None for outcome in outcomes.values()) > len(outcomes) // 4
    assert (rig.router.pending, rig.router.pending_bytes) == (0, 0)
