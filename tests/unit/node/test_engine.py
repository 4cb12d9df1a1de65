"""The engine among its nodes, in virtual time: nobody waits for those who cannot go on (E1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar  # Of a shard's `_run`, whatever it is given.

import pytest

from trimaran.cluster.topology import ReplicaInfo
from trimaran.node.errors import OutcomeUnknown, Overloaded
from trimaran.node.expiring import EXPIRE_EVERY_NS, EXPIRE_KEYS_MAX
from trimaran.node.raft.core import RaftCore
from trimaran.node.raft.types import NodeId
from trimaran.node.request import Done, Outcome
from trimaran.node.shard import Shard
from trimaran.proto.reply import OK

from ...sim.runtime import SimRuntime
from ...sim.schedule import MS, SECOND
from ...sim.watch import WATCHED
from .rig import Rig

if TYPE_CHECKING:
    from trimaran.cluster.topology import Topology

WINDOW_NS = 250 * MS
T = TypeVar("T")


class Load:
    """Clients that ask again as soon as they are answered, at the leader of their shard."""

    def __init__(self, rig: Rig, shards: list[int], clients: int, command: str = "SET k v") -> None:
        self._rig = rig
        self._command = command
        self._took_ns: list[int] = []
        self._is_over = False
        # They do not all begin at the same instant, nor do they fall into step with it.
        self._rng = Random(7)
        for number in range(clients):
            shard = shards[number % len(shards)]
            leader = rig.leader(shard)
            assert leader is not None
            rig.schedule.after(self._rng.randrange(MS), self._again(leader, shard))

    def _again(self, name: str, shard: int) -> Callable[[], None]:
        def ask() -> None:
            if self._is_over:
                return
            began_ns = self._rig.schedule.now_ns

            def answered(outcome: Outcome) -> None:
                if isinstance(outcome, Done):
                    self._took_ns.append(self._rig.schedule.now_ns - began_ns)
                self._rig.schedule.after(self._rng.randrange(1, 50_000), ask)

            self._rig.ask(name, self._command, shard=shard, then=answered)

        return ask

    def measure(self, *, is_last: bool = True) -> tuple[int, int]:
        """Answers in a while, and the 99th percentile of the time they took."""
        self._rig.run(20 * MS)
        self._took_ns.clear()
        self._rig.run(WINDOW_NS)
        took = sorted(self._took_ns)
        assert took, "nothing was answered"
        self._is_over = is_last
        return len(took), took[len(took) * 99 // 100]


def keeps_up(before: tuple[int, int], beside: tuple[int, int]) -> None:
    (rate, p99_ns), (rate_beside, p99_beside_ns) = before, beside
    assert rate_beside >= 0.9 * rate, f"{rate} answers before, {rate_beside} beside"
    # Whether one in a hundred just misses a batch is chance, and costs half a round trip; to wait
    # for those who do not answer would cost ten times that.
    limit_ns = max(p99_ns / 0.9, p99_ns + 450_000)
    assert p99_beside_ns <= limit_ns, f"p99 {p99_ns} ns before, {p99_beside_ns} beside"


# Nobody watches: these are long.
QUICK = replace(WATCHED, core=RaftCore, shard=Shard)


def led_by_n1(rig: Rig) -> list[int]:
    return [shard for shard in range(rig.cluster.shards) if rig.leader(shard) == "n1"]


@pytest.mark.parametrize("command", ["SET k v", "GET k"])
def test_shards_with_a_quorum_keep_their_rate_beside_a_stopped_follower(command: str) -> None:
    rig = Rig(3, 6, parts=QUICK, lease_ms=0).settle()
    before = Load(rig, led_by_n1(rig), 8, command).measure()
    rig.kill("n3")
    rig.run(2 * SECOND)  # Shards that n3 led have found another leader.
    keeps_up(before, Load(rig, led_by_n1(rig), 8, command).measure())


def test_shards_with_a_quorum_keep_their_rate_beside_a_follower_with_a_slow_disk() -> None:
    rig = Rig(3, 6, parts=QUICK).settle()
    before = Load(rig, led_by_n1(rig), 8).measure()
    rig.slow_disk("n3", 500 * MS)
    rig.run(2 * SECOND)
    keeps_up(before, Load(rig, led_by_n1(rig), 8).measure())


def one_apart(topology: Topology) -> Topology:
    """Shard 0 on n1, n4 and n5, the others on n1, n2 and n3; n1 is to lead them all."""
    apart, others = ((1, 4, 5), (1, 2, 3))
    placed = [apart, *[others] * (topology.shards - 1)]
    return replace(
        topology,
        replicas=tuple(
            tuple(ReplicaInfo(number, f"n{number}") for number in numbers) for numbers in placed
        ),
    )


@pytest.mark.parametrize("command", ["SET k v", "GET k"])
def test_shards_with_a_quorum_keep_their_rate_beside_one_without(command: str) -> None:
    rig = Rig(5, 4, parts=QUICK, topology=one_apart, lease_ms=0).settle()
    load = Load(rig, [1, 2, 3], 8, command)
    before = load.measure(is_last=False)
    Load(rig, [0], 4, command)
    rig.run(5 * MS)
    # The streams stay up and nothing passes: n1 leads on for a while, with clients waiting.
    for name in ("n4", "n5"):
        for pair in (("n1", name), (name, "n1")):
            rig.cluster.network._links[NodeId(pair[0]), NodeId(pair[1])].is_cut = True
    rig.run(5 * MS)
    assert rig.shard("n1", 0).is_leader
    keeps_up(before, load.measure(is_last=False))
    assert rig.shard("n1", 0).is_leader
    rig.run(500 * MS)
    assert not rig.shard("n1", 0).is_leader
    keeps_up(before, load.measure())


def test_a_read_under_a_lease_waits_for_no_message_and_for_no_other_shard() -> None:
    rig = Rig(5, 4, parts=QUICK, topology=one_apart).settle()
    for name in ("n4", "n5"):
        for pair in (("n1", name), (name, "n1")):
            rig.cluster.network._links[NodeId(pair[0]), NodeId(pair[1])].is_cut = True
    rig.run(400 * MS)  # n1 still leads shard 0, which has no majority, and its lease is over.
    waits = rig.ask("n1", "GET k", shard=0)
    rig.run(5 * MS)
    assert (rig.shard("n1", 0).is_leader, waits.outcome) == (True, None)
    sent = rig.cluster.network.sent
    one = rig.ask("n1", "GET k", shard=1)
    began_ns = rig.schedule.now_ns
    rig.until(lambda: one.outcome)
    assert one.replies == [None]
    assert rig.schedule.now_ns - began_ns < 5 * MS
    assert rig.cluster.network.sent - sent <= 4  # A round of heartbeats may fall into it.


def test_a_follower_applies_what_is_committed_when_it_has_acknowledged_what_is_new() -> None:
    rig = Rig(3, 1).settle()
    leader = rig.leader()
    assert leader is not None
    name, _ = rig.others(leader)
    rig.do(leader, "SET k 1")
    follower = rig.shard(name)
    committed = rig.shard(leader).core.commit_index
    rig.slow_disk(name, 200 * MS)
    rig.ask(leader, "SET k 2")  # Its append says that the one before it is committed.
    rig.until(lambda: follower.core.last.index > committed)
    rig.until(lambda: follower.core.commit_index == committed)
    assert follower.applied_index == committed - 1
    rig.run(40 * MS)  # But a disk that takes long holds nothing up.
    assert follower.core.saved_index < follower.core.last.index
    assert follower.applied_index == committed


def stand_still(rig: Rig, time_ns: int, command: bytes) -> None:
    """From now on applying `command` takes so long, at every node."""

    def slowly(name: str, run: Callable[..., None], commands: Iterable[Any], *more: Any) -> None:
        listed = list(commands)
        run(listed, *more)
        if any(record[-1][0] == command for record in listed):
            rig.cluster.pause(NodeId(name), time_ns)

    for name in rig.machines:
        shard = rig.shard(name)
        shard._run = partial(slowly, name, shard._run)  # type: ignore[method-assign]


@pytest.mark.parametrize("offset_ns", range(0, 100 * MS, 10 * MS))
def test_what_stops_the_leader_and_then_its_followers_as_long_costs_no_election(
    offset_ns: int,
) -> None:
    rig = Rig(3, 2, seed=1 + offset_ns // MS).settle()
    rig.run(offset_ns)  # In between two heartbeats.
    leader = rig.leader()
    assert leader is not None
    terms = [rig.shard(name, number).core.term for name in rig.machines for number in (0, 1)]
    stand_still(rig, 400 * MS, b"APPEND")  # Of an election time-out of 600.
    assert rig.do(leader, "APPEND k x") == [1]
    rig.run(3 * SECOND)
    assert {rig.shard(name).applied_index for name in rig.machines} == {
        rig.shard(leader).applied_index
    }
    assert terms == [
        rig.shard(name, number).core.term for name in rig.machines for number in (0, 1)
    ]


def test_an_engine_with_nothing_to_do_but_wait_does_not_spin() -> None:
    rig = Rig(3, 1).settle()
    for number in range(3):
        rig.do("n1", f"SET k {number}")
    rig.isolate("n1")
    waiting = rig.ask("n1", "SET k 9")
    rig.run(50 * MS)
    turns = rig.node("n1").engine.counters.turns
    rig.run(200 * MS)
    assert rig.node("n1").engine.counters.turns - turns < 200  # One a tick, and some timers.
    assert waiting.outcome is None


# --- R9: a hung disk.


def test_a_leader_whose_disk_hangs_hands_over_and_clients_go_on() -> None:
    rig = Rig(3, 1).settle()
    assert rig.leader() == "n1"
    rig.machines[NodeId("n1")].disk_profile.stalled_until_ns = rig.schedule.now_ns + 60 * SECOND
    rig.do("n2", "SET k 1")  # The others have it on disk.
    rig.until(lambda: rig.leader() not in (None, "n1"), at_most_ns=3 * SECOND)
    assert rig.do("n1", "APPEND k 2") == [2]


# --- A4: an exception at apply.


def plant(rig: Rig, name: str, shard: int) -> None:
    """Replica `shard` of `name` fails at the next command."""

    def explode(*_: object) -> int:
        raise ZeroDivisionError("planted")

    rig.shard(name, shard).keys.begin_entry = explode  # type: ignore[assignment]  # planted


def test_an_exception_at_apply_halts_one_replica_and_everything_else_goes_on() -> None:
    rig = Rig(3, 2, watches_halts=False).settle()
    leader = rig.leader(0)
    assert leader is not None
    plant(rig, leader, 0)
    hit = rig.ask(leader, "SET k 1", shard=0)
    beside = rig.ask(leader, "GET k", shard=0)
    rig.until(lambda: hit.outcome)
    assert isinstance(hit.error, OutcomeUnknown)
    rig.until(lambda: beside.outcome)
    assert beside.replies in ([None], [b"1"])  # Asked at the same time: either order is right.
    assert rig.do(leader, "GET k", shard=0) == [b"1"]  # By another replica: it was committed.
    assert isinstance(rig.shard(leader, 0).halted, ZeroDivisionError)
    assert rig.leader(0) != leader
    assert rig.do(leader, "APPEND k 2", shard=0) == [2]
    assert rig.do(leader, "SET other 1", shard=1) == [OK]
    assert all(rig.shard(name, 0).halted is None for name in rig.others(leader))


def test_a_halted_replica_takes_only_a_share_of_the_memory_for_its_log() -> None:
    rig = Rig(3, 1, watches_halts=False, log_memory_bytes=400_000).settle()
    plant(rig, "n3", 0)
    for _ in range(60):
        rig.do("n1", f"SET k {'x' * 4000}")
        if rig.shard("n1").core.log_bytes > 100_000:
            rig.node("n1").snapshotting.take(rig.shard("n1"))
            rig.run(30 * MS)
    assert rig.shard("n3").halted is not None
    assert rig.shard("n3").core.log_bytes < 130_000


# --- Limits.


def test_over_log_memory_bytes_writes_are_refused_and_reads_are_not() -> None:
    rig = Rig(3, 1, log_memory_bytes=20_000).settle()
    for _ in range(5):
        rig.do("n1", f"SET k {'x' * 4000}")
    rig.run(50 * MS)
    refused = rig.ask("n1", "SET k 1")
    rig.until(lambda: refused.outcome)
    assert isinstance(refused.error, Overloaded)
    assert refused.error.limit == "log_memory_bytes"
    assert rig.do("n1", "GET k") == [b"x" * 4000]


def test_over_uncommitted_bytes_max_writes_are_refused() -> None:
    rig = Rig(3, 1, uncommitted_bytes_max=20_000).settle()
    rig.isolate("n1")
    asked = [rig.ask("n1", f"SET k {'x' * 4000}") for _ in range(30)]
    rig.run(100 * MS)
    refused = [one for one in asked if one.outcome is not None]
    assert refused
    for one in refused:
        assert isinstance(one.error, Overloaded)
        assert one.error.limit == "uncommitted_bytes_max"


def test_a_long_suffix_is_applied_in_slices() -> None:
    rig = Rig(3, 1).settle()
    rig.kill("n3")
    size = 4000
    for number in range(300):
        rig.do("n1", f"SET k{number} {'x' * size}")
    rig.machines[NodeId("n3")].start()
    engine = rig.node("n3").engine
    widest = before = 0
    while before < 300:
        assert rig.schedule.step()
        now = rig.shard("n3").applied_index if engine.shards else 0
        widest, before = max(widest, now - before), now
    assert widest < 100  # Where slices end is chance here: after four commands, on average.


def test_a_long_entry_takes_many_turns_and_others_have_theirs_meanwhile() -> None:
    rig = Rig(3, 2).settle()
    leader, other = rig.leader(0), rig.leader(1)
    assert leader is not None
    assert other is not None
    shard = rig.shard(leader)
    long = rig.ask(leader, *["APPEND k x"] * 300)
    rig.until(lambda: shard.is_half_applied)
    index, turns = shard.applied_index, rig.node(leader).engine.counters.turns
    assert rig.do(other, "SET l 1", shard=1) == [OK]
    assert long.outcome is None
    rig.until(lambda: long.outcome)
    assert shard.applied_index == index + 1
    assert rig.node(leader).engine.counters.turns > turns + 20
    assert len(long.replies) == 300


def test_many_keys_due_at_once_go_in_rounds_with_rests_between_them() -> None:
    rig = Rig(3, 1, parts=QUICK).settle()
    leader = rig.leader(0)
    assert leader is not None
    count = 3 * EXPIRE_KEYS_MAX
    for start in range(0, count, 256):
        rig.do(leader, *[f"SET k{start + number} v PX 1000" for number in range(256)])
    keys = rig.shard(leader).keys
    assert keys.count(0) == count
    rig.run(SECOND - 100 * MS)
    gone: dict[int, int] = {}  # By time, how many were left.
    while left := keys.count(0):
        assert rig.schedule.step()
        gone[rig.schedule.now_ns] = left - keys.count(0)
    rounds = [now_ns for now_ns, number in gone.items() if number]
    assert max(gone.values()) <= EXPIRE_KEYS_MAX
    assert len(rounds) >= 3
    for before_ns, after_ns in pairwise(rounds):
        assert after_ns - before_ns >= EXPIRE_EVERY_NS // 2
    assert rounds[-1] - rounds[0] < SECOND // 5


def test_replicas_made_when_the_peers_are_up_already_elect_at_once() -> None:
    rig = Rig(3, 2)
    rig.until(lambda: rig.leader(0) is not None)
    assert rig.schedule.now_ns < SECOND  # A start is spread over 200 ms; the time-out is 600 ms.


def test_what_does_not_fit_into_uncommitted_bytes_max_waits_for_what_is_before_it() -> None:
    rig = Rig(3, 1, uncommitted_bytes_max=20_000).settle()
    leader = rig.leader(0)
    assert leader is not None
    waiting = [rig.ask(leader, f"SET k{number} {'x' * 9_000}") for number in range(3)]
    rig.until(lambda: all(one.outcome for one in waiting))
    assert [type(one.outcome) for one in waiting] == [Done] * 3


def test_writes_done_in_the_loop_keep_their_promises_in_the_middle_of_a_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = 0
    in_thread = SimRuntime.run_log

    def run_log(
        self: SimRuntime, work: Callable[[], T], done: Callable[[T], None], *, is_here: bool = False
    ) -> None:
        nonlocal here
        here += is_here
        if is_here:
            done(work())
        else:
            in_thread(self, work, done)

    monkeypatch.setattr(SimRuntime, "run_log", run_log)
    rig = Rig(3, 2).settle()
    for number in range(1, 41):
        name = f"n{number % 3 + 1}"
        assert rig.do(name, "INCR k", shard=number % 2) == [(number + 1) // 2]
        rig.run(MS)
        if number == 20:
            leader = rig.leader(0)
            assert leader is not None
            rig.kill(leader)
            rig.machines[NodeId(leader)].start()
            rig.settle()
    assert here > 40, "most of them come alone, on a quick disk"
    rig.run(300 * MS)
    digests = {
        tuple(shard.digest() for shard in rig.node(name).engine.shards.values())
        for name in rig.machines
    }
    assert len(digests) == 1
