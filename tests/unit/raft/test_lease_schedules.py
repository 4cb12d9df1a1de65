"""Correctness R3 and R4 under random schedules: clocks that run apart, but by no more than a lease
allows for, streams that break, orders to campaign, restarts, and any message late or once more.
Nobody may have a lease once somebody leads a later term."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

import pytest

from trimaran.node.errors import Unavailable
from trimaran.node.raft import core as core_module
from trimaran.node.raft import lease as lease_module
from trimaran.node.raft.types import InstallSnapshot, Role, TimeoutNow

from .replicas import CONFIG, ELECTION_MS, MS, Cluster, Member, replica_ids

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trimaran.node.raft.core import RaftCore
    from trimaran.node.raft.types import Message

SEEDS = 120
STEPS = 3000
LEASE = ELECTION_MS * MS  # Long beside all else, so that much happens within one,
DRIFT = 0.045  # and so far are clocks off: two by less than a tenth.
KEPT_MAX = 400  # Messages that may come once more.


class Drifting(Cluster):
    """One time passes for all, faster for some."""

    def __init__(self, count: int, seed: int) -> None:
        rng = Random(f"drift {seed}")
        self.real_ns = 0
        self.kept: list[Message] = []
        self.last_led = 0  # The last term that anybody has led.
        self.dead: list[tuple[Member, RaftCore]] = []  # Who led when it died believes so still.
        self.served_by_lease = 0
        self._rates = [1 + rng.choice((-DRIFT, DRIFT)) for _ in range(count)]
        super().__init__(count, seed=seed, config=replace(CONFIG, lease_ns=LEASE))

    def clock_ns(self, member: Member) -> int:
        return MS + int(self.real_ns * self._rates[member.replica - 1])

    def sync(self, member: Member) -> None:
        """Its clock shows what time it is."""
        member.clock_ns = max(member.clock_ns, self.clock_ns(member))

    def check(self) -> None:
        up = [(one, one.core) for one in self.members.values() if one.core is not None]
        for _, core in up:
            if core.role is Role.LEADER:
                self.last_led = max(self.last_led, core.term)
        for member, core in (*up, *self.dead):
            if core.term < self.last_led:
                has_lease = core.has_lease(self.clock_ns(member))
                assert not has_lease, f"{member.replica} in {core.term}, {self.last_led} was led"

    def start(self, member: Member) -> None:
        self.sync(member)
        super().start(member)

    def crash(self, member: Member, *, written: int = 0) -> None:
        if member.core is not None and member.core.role is Role.LEADER:
            self.dead = [*self.dead[-3:], (member, member.core)]
        super().crash(member, written=written)

    def pump(self, member: Member) -> None:
        super().pump(member)
        self.check()

    def deliver(self, message: Message) -> None:
        self.sync(self.members[message.target])
        super().deliver(message)
        self.real_ns += 1000

    def read(self, member: Member) -> int:
        self.sync(member)
        token = super().read(member)
        self.served_by_lease += token in member.reads_served
        return token

    def _check_age(self, member: Member, core: RaftCore) -> None:
        """Nothing: what was sent to a process before the present one comes here, too."""

    def _put(self, messages: Sequence[Message]) -> None:
        super()._put(messages)
        again = [one for one in messages if not isinstance(one, InstallSnapshot)]
        self.kept = [*self.kept, *again][-KEPT_MAX:]


class Schedule:
    """One seed's way through the possible steps."""

    def __init__(self, seed: int) -> None:
        self.cluster = Drifting((3, 3, 5, 2, 4)[seed % 5], seed)
        self.rng = self.cluster.rng
        self.repeats = self.rng.random() ** 2 * 0.3
        self.pause_ms = (1, 3, 6, 12)[self.below(4)]
        self.trouble = 0.3 + 0.7 * self.rng.random()

    def below(self, end: int) -> int:
        return int(self.rng.random() * end)

    def any_member(self) -> Member:
        members = list(self.cluster.members.values())
        return members[self.below(len(members))]

    def step(self) -> None:
        cluster = self.cluster
        if self.rng.random() < 0.01:
            cluster.cut.clear()
            for member in cluster.members.values():
                if member.core is None:
                    cluster.start(member)
        dice = self.rng.random()
        if dice < 0.6:
            for _ in range(1 + self.below(4)):
                self.network()
        elif dice < 0.75:
            self.disk(self.any_member())
        elif dice < 0.9:
            self.time()
        elif dice < 0.95:
            self.work()
        elif self.rng.random() < self.trouble:
            self.fault()

    def network(self) -> None:
        cluster = self.cluster
        if cluster.kept and self.rng.random() < self.repeats:
            cluster.deliver(cluster.kept[self.below(len(cluster.kept))])
        elif cluster.wire:
            place = 0 if self.rng.random() < 0.75 else self.below(len(cluster.wire))
            cluster.deliver(cluster.wire.pop(place))

    def disk(self, member: Member) -> None:
        if member.core is not None and member.saving:
            self.cluster.save(member)

    def time(self) -> None:
        cluster = self.cluster
        cluster.real_ns += self.below(self.pause_ms * MS)
        for member in cluster.members.values():
            if self.rng.random() < 0.8:
                cluster.sync(member)
                cluster.tick(member, 0)

    def work(self) -> None:
        members = self.cluster.members.values()
        leading = [one for one in members if one.core and one.core.role is Role.LEADER]
        if not leading:
            return
        member = leading[self.below(len(leading))]
        try:
            if self.rng.random() < 0.5:
                self.cluster.propose(member)
            else:
                self.cluster.read(member)
        except Unavailable:
            pass  # It hands over, or too much is on its way.

    def fault(self) -> None:
        cluster, member = self.cluster, self.any_member()
        leader = cluster.leader
        dice = self.below(10)
        if member.core is None:
            cluster.start(member)
        elif dice <= 2:
            cluster.crash(member, written=self.below(len(member.saving) + 1))
            if dice:
                cluster.start(member)
                for other in cluster.members.values():
                    member.up.reachable(other.node, member.clock_ns)
        elif leader is None:
            return
        elif dice <= 5:
            if leader is not member:
                cluster.tick(leader, 0)
                if leader.up.role is Role.LEADER:
                    leader.up.transfer_leadership(member.replica)
                    cluster.pump(leader)
        elif dice == 6:
            leader.up.allow_leading(self.rng.random() < 0.7)
            cluster.pump(leader)
        else:
            self.cut_off(leader)

    def cut_off(self, leader: Member) -> None:
        """Others see their streams to it break, and it may or may not hear some of them."""
        for other in self.cluster.members.values():
            if other is leader:
                continue
            if self.rng.random() < 0.7:
                self.cluster.cut.add((leader.replica, other.replica))
            if self.rng.random() < 0.5:
                self.cluster.cut.add((other.replica, leader.replica))
            if other.core is not None and self.rng.random() < 0.8:
                other.core.unreachable(leader.node)
                self.cluster.pump(other)

    def heal(self) -> None:
        """What was promised holds nothing up for long."""
        cluster = self.cluster
        cluster.cut.clear()
        for member in cluster.members.values():
            if member.core is None:
                cluster.start(member)
            member.up.allow_leading(True)  # noqa: FBT003 - as agreed.
            cluster.pump(member)
        for _ in range(80):
            cluster.real_ns += ELECTION_MS * MS // 10
            for member in cluster.members.values():
                cluster.sync(member)
                cluster.tick(member, 0)
            cluster.settle()
        leader = cluster.leader
        assert leader is not None, "no leader though all is well"
        token = cluster.read(leader)
        cluster.settle()
        assert token in leader.reads_served


@pytest.mark.parametrize("block", range(6))
def test_nobody_leads_beside_a_lease_in_any_schedule(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (core_module, lease_module):  # What restarts wait for is to end soon, too.
        monkeypatch.setattr(module, "LEASE_MAX_NS", LEASE)
    served = led = 0
    for seed in range(block * SEEDS // 6, (block + 1) * SEEDS // 6):
        schedule = Schedule(seed)
        try:
            for _ in range(STEPS):
                schedule.step()
            schedule.heal()
        except AssertionError as error:
            error.add_note(f"seed {seed}")
            raise
        served += schedule.cluster.served_by_lease
        led += schedule.cluster.last_led
    assert served > SEEDS * 3 // 4, "hardly any read was served under a lease"
    assert led > SEEDS // 3, "hardly any leader was replaced"


def test_an_order_that_comes_late_elects_nobody_beside_the_successor() -> None:
    """Two were told to campaign, one after the other, both for the next term: only one can have it,
    so the lease of who has it stands."""
    _, two, three, _, five = replica_ids(5)
    cluster = Cluster(5, config=replace(CONFIG, lease_ns=LEASE))
    leader = cluster.elect(1)
    cluster.advance(ELECTION_MS)
    leader.up.transfer_leadership(two)
    cluster.pump(leader)
    late = next(message for message in cluster.wire if isinstance(message, TimeoutNow))
    cluster.wire.remove(late)
    cluster.advance(2 * ELECTION_MS)  # It is given up.
    cluster.cut = {(three, two), (three, five)}
    leader.up.transfer_leadership(three)
    cluster.pump(leader)
    cluster.settle()
    successor = cluster.members[three]
    cluster.advance(30)
    assert successor.up.role is Role.LEADER
    assert successor.up.has_lease(successor.clock_ns)
    cluster.deliver(late)
    cluster.settle()
    assert cluster.members[two].up.term == cluster.members[five].up.term == successor.up.term
    assert cluster.members[five].up.voted_for == two
    assert cluster.leader is successor
