"""What a follower may say of the age of its state, and what it may not."""

from __future__ import annotations

from trimaran.node.raft.freshness import ROUNDS_MAX, TOLD_MAX, Echoes, Freshness
from trimaran.node.raft.types import Heartbeat, Message, ReplicaId, Role, TimeoutNow

from .replicas import HEARTBEAT_MS, Cluster, Member, role_of


def test_a_state_is_as_new_as_the_answer_the_leader_speaks_of() -> None:
    fresh = Freshness()
    fresh.heard(term=2, round_=7, now=100)
    assert fresh.at(applied_index=50) is None
    fresh.told(term=2, round_=7, index=40)
    assert fresh.at(applied_index=39) is None  # Not yet: 40 may have been committed before.
    assert fresh.at(applied_index=40) == 100
    fresh.heard(term=2, round_=8, now=200)
    fresh.told(term=2, round_=8, index=45)
    assert fresh.at(applied_index=44) == 100
    assert fresh.at(applied_index=45) == 200


def test_a_round_that_came_twice_counts_from_the_first_time() -> None:
    fresh = Freshness()
    fresh.heard(term=2, round_=7, now=100)
    fresh.heard(term=2, round_=7, now=900)
    fresh.told(term=2, round_=7, index=1)
    assert fresh.at(applied_index=1) == 100


def test_a_round_that_comes_again_when_it_was_forgotten_counts_for_nothing() -> None:
    fresh = Freshness()
    for round_ in range(1, ROUNDS_MAX + 10):
        fresh.heard(term=2, round_=round_, now=round_)
    fresh.heard(term=2, round_=1, now=900)
    fresh.told(term=2, round_=1, index=1)
    assert fresh.at(applied_index=1) is None


def test_who_applies_slowly_still_learns_how_old_its_state_is() -> None:
    fresh = Freshness()
    lag = 2 * TOLD_MAX
    for round_ in range(1, 1000):
        fresh.heard(term=1, round_=round_, now=round_)
        fresh.told(term=1, round_=round_, index=round_)
        at = fresh.at(applied_index=round_ - lag)
        if round_ > 4 * lag:
            assert at is not None
            assert at > round_ - 2 * lag


def test_rounds_of_another_term_are_other_rounds() -> None:
    fresh = Freshness()
    fresh.heard(term=2, round_=7, now=100)
    fresh.heard(term=3, round_=1, now=200)
    fresh.told(term=3, round_=7, index=1)
    fresh.told(term=2, round_=7, index=1)
    assert fresh.at(applied_index=1) is None


def test_what_is_said_late_takes_nothing_back() -> None:
    fresh = Freshness()
    for round_ in (1, 2):
        fresh.heard(term=1, round_=round_, now=100 * round_)
    fresh.told(term=1, round_=2, index=9)
    fresh.told(term=1, round_=1, index=3)
    assert fresh.at(applied_index=9) == 200


def test_memory_of_both_is_bounded() -> None:
    fresh = Freshness()
    for round_ in range(1, 1000):
        fresh.heard(term=1, round_=round_, now=round_)
        fresh.told(term=1, round_=round_, index=10**6 + round_)
    assert len(fresh._heard) <= ROUNDS_MAX
    assert len(fresh._told) <= TOLD_MAX
    assert fresh.at(applied_index=10**7) == 999


def test_what_was_told_over_the_limit_is_the_newest_there_is() -> None:
    fresh = Freshness()
    for round_ in range(1, 10 * TOLD_MAX):
        fresh.heard(term=1, round_=round_, now=round_)
        fresh.told(term=1, round_=round_, index=round_)
    assert fresh.at(applied_index=1) == 1
    assert fresh.at(applied_index=10 * TOLD_MAX) == 10 * TOLD_MAX - 1


def test_an_answer_is_spoken_of_when_a_majority_has_answered_a_later_round() -> None:
    echoes = Echoes()
    echoes.answered(round_=3, last_begun=5)
    echoes.confirmed(5)  # That round may have been answered before.
    assert echoes.round == 0
    echoes.answered(round_=4, last_begun=6)
    echoes.confirmed(6)
    assert echoes.round == 3
    echoes.confirmed(9)
    assert echoes.round == 3


def test_a_leader_without_a_majority_makes_nothing_look_new() -> None:
    echoes = {"n2": Echoes(), "n3": Echoes()}
    answered = {"n2": 0, "n3": 0}

    def agreed(begun: int) -> int:
        return sorted([begun, *answered.values()])[1]

    def answer(node: str, round_: int, begun: int) -> None:
        answered[node] = round_
        echoes[node].answered(round_, begun)
        for one in echoes.values():
            one.confirmed(agreed(begun))

    for round_ in (1, 2, 3):
        answer("n2", round_, round_)
        answer("n3", round_, round_)
    assert echoes["n3"].round == 2
    # A majority is two of three: n1 and n3 are one, so n3's answers count while n3 follows n1.
    answer("n3", 4, 4)
    assert echoes["n3"].round == 3
    # Nobody answers: nothing is confirmed, however many rounds are begun.
    before = echoes["n2"].round
    for one in echoes.values():
        one.confirmed(agreed(9))
    assert (echoes["n2"].round, echoes["n3"].round) == (before, 3)


# --- Five replicas, of which two are cut off with a leader that does not know it yet.


def five() -> tuple[Cluster, Member, Member]:
    """Replica 1 leads, and is going to be cut off with 2. The cluster compares what each says of
    the age of its state with what is committed, at every step."""
    cluster = Cluster(5)
    old = cluster.elect(1)
    cluster.advance(3 * HEARTBEAT_MS)
    return cluster, old, cluster.members[ReplicaId(2)]


def part(cluster: Cluster, old: Member) -> None:
    """The others elect 3 at once, as when leadership is handed over, and it commits an entry."""
    few = {ReplicaId(1), ReplicaId(2)}
    for one in cluster.members:
        cluster.cut |= {(one, other) for other in cluster.members if (one in few) != (other in few)}
    new = cluster.members[ReplicaId(3)]
    new.up.receive(TimeoutNow(old.replica, new.replica, old.up.term), new.clock_ns)
    cluster.pump(new)
    cluster.settle()
    assert role_of(new.up) is Role.LEADER
    cluster.propose(new)
    cluster.settle()
    assert cluster.checker.committed_index > old.up.commit_index


def test_two_of_five_do_not_take_their_state_for_new() -> None:
    cluster, old, follower = five()
    part(cluster, old)
    parted_at = follower.clock_ns
    for _ in range(3):
        cluster.tick(old, HEARTBEAT_MS)
        cluster.settle()
    assert role_of(old.up) is Role.LEADER  # It does not know yet,
    assert follower.up.leader == old.replica  # and is believed.
    fresh_at = follower.up.fresh_at(follower.applied_index)
    assert fresh_at is not None
    assert fresh_at <= parted_at


def test_an_answer_is_not_confirmed_by_a_round_that_others_had_answered_before_it() -> None:
    cluster, old, follower = five()
    late: list[Message] = []

    def is_lost(message: Message) -> bool:
        is_round = isinstance(message, Heartbeat) and message.target == follower.replica
        late.extend([message] * is_round)
        return is_round

    cluster.is_lost = is_lost
    cluster.tick(old, HEARTBEAT_MS)
    cluster.settle()
    cluster.is_lost = lambda _: False
    parted_at = follower.clock_ns
    part(cluster, old)
    cluster.deliver(late[-1])
    cluster.settle()
    cluster.tick(old, HEARTBEAT_MS)
    cluster.settle()
    assert follower.up.leader == old.replica
    fresh_at = follower.up.fresh_at(follower.applied_index)
    assert fresh_at is not None
    assert fresh_at <= parted_at
