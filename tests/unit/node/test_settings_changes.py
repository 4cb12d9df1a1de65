"""CONFIG SET of what the cluster shares: agreed on once, known everywhere, kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimaran.cluster.settings import settings_of
from trimaran.cluster.slots import META_SHARD
from trimaran.node.errors import NoQuorum
from trimaran.node.raft.types import NodeId
from trimaran.node.request import Done, NotApplied, Outcome
from trimaran.proto.reply import OK, ErrorReply

from ...sim.parameters import PUT_SEEN
from ...sim.schedule import MS, SECOND
from .rig import Rig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trimaran.cluster.settings import Settings
    from trimaran.cluster.topology import Topology


class Change:
    def __init__(self, rig: Rig, node: str, *pairs: tuple[str, str]) -> None:
        self.outcomes: list[Outcome] = []
        process = rig.process(node)
        process.runtime.run(lambda: process.node.settings.change(pairs, self.outcomes.append))

    @property
    def replies(self) -> Sequence[object]:
        assert len(self.outcomes) == 1
        outcome = self.outcomes[0]
        assert isinstance(outcome, Done), outcome
        return outcome.replies


def change(rig: Rig, node: str, *pairs: tuple[str, str]) -> Change:
    """Asked for at `node`, and answered."""
    one = Change(rig, node, *pairs)
    rig.until(lambda: one.outcomes)
    return one


def settings(rig: Rig, node: str) -> Settings:
    return settings_of(rig.node(node).topology.settings)


def seen(rig: Rig, node: str, shard: int) -> object:
    return rig.do(node, f"{PUT_SEEN.decode()} seen", shard=shard)[0]


def test_it_is_answered_when_every_node_knows_it() -> None:
    rig = Rig().settle()
    assert change(rig, "n2", ("maxmemory", "1024")).replies == [OK]
    assert [settings(rig, node).maxmemory for node in rig.machines] == [1024] * 3


def test_handlers_of_every_shard_see_it_and_replicas_stay_equal() -> None:
    rig = Rig().settle()
    change(rig, "n2", ("maxmemory", "1024"))
    assert [seen(rig, "n3", shard) for shard in (0, 1)] == [1024, 1024]
    rig.run(300 * MS)
    for shard in (0, 1):
        assert len({rig.shard(node, shard).digest() for node in rig.machines}) == 1


def test_reads_see_it_too() -> None:
    rig = Rig(shards=1).settle()
    change(rig, "n2", ("maxmemory", "1024"))
    leader = rig.shard(rig.leader() or "")
    assert settings_of(rig.node(rig.leader() or "").topology.settings).maxmemory == 1024
    assert leader._settings() == b"maxmemory 1024"


def test_two_nodes_that_change_different_things_at_once_both_do() -> None:
    rig = Rig().settle()
    both = [
        Change(rig, "n1", ("maxmemory", "1024")),
        Change(rig, "n3", ("maxmemory-samples", "7")),
        Change(rig, "n3", ("lfu-decay-time", "9")),
    ]
    rig.until(lambda: all(one.outcomes for one in both))
    assert [one.replies for one in both] == [[OK]] * 3
    for node in rig.machines:
        found = settings(rig, node)
        assert (found.maxmemory, found.maxmemory_samples, found.lfu_decay_time) == (1024, 7, 9)


def test_many_at_one_node_are_agreed_on_one_after_the_other() -> None:
    rig = Rig().settle()
    many = [Change(rig, "n2", ("maxmemory", str(number))) for number in range(1, 21)]
    rig.until(lambda: all(one.outcomes for one in many))
    assert [one.replies for one in many] == [[OK]] * 20
    assert rig.node("n1").topology.epoch == 21
    assert settings(rig, "n1").maxmemory == 20


def test_those_that_wait_behind_one_without_a_majority_are_answered_in_time() -> None:
    rig = Rig(command_timeout_ms=1000).settle()
    for node in rig.others("n1"):
        rig.kill(node)
    rig.run(2 * SECOND)
    many = [Change(rig, "n1", ("maxmemory", str(number))) for number in range(1, 4)]
    rig.run(1500 * MS)
    assert all(isinstance(one.outcomes[0], NotApplied) for one in many)


def test_what_is_set_already_changes_no_epoch() -> None:
    rig = Rig().settle()
    change(rig, "n1", ("maxmemory", "1024"))
    epoch = rig.node("n1").topology.epoch
    assert change(rig, "n2", ("maxmemory", "1024")).replies == [OK]
    assert rig.node("n2").topology.epoch == epoch


def test_a_node_that_is_down_does_not_hold_it_up_and_learns_it_when_it_is_back() -> None:
    rig = Rig().settle()
    rig.kill("n3")
    rig.run(SECOND)
    assert change(rig, "n1", ("maxmemory", "1024")).replies == [OK]
    rig.machines[NodeId("n3")].start()
    rig.until(lambda: settings(rig, "n3").maxmemory == 1024)


def test_a_node_that_is_up_and_does_not_hear_of_it_is_named_in_the_end() -> None:
    rig = Rig(command_timeout_ms=1000).settle()
    rig.cluster.pause(NodeId("n3"), 10 * SECOND)
    [reply] = change(rig, "n1", ("maxmemory", "1024")).replies
    assert isinstance(reply, ErrorReply)
    assert reply.text == "the parameters are set, but these nodes do not know it yet: n3"
    assert settings(rig, "n2").maxmemory == 1024


def test_without_a_majority_nothing_is_set() -> None:
    rig = Rig(command_timeout_ms=1000).settle()
    for node in rig.others("n1"):
        rig.kill(node)
    rig.run(2 * SECOND)
    [outcome] = change(rig, "n1", ("maxmemory", "1024")).outcomes
    assert isinstance(outcome, NotApplied)
    assert isinstance(outcome.error, NoQuorum)
    for node in rig.others("n1"):
        rig.machines[NodeId(node)].start()
    rig.run(3 * SECOND)
    assert settings(rig, "n1").maxmemory == 0


def test_it_is_known_after_a_power_cut_before_there_is_a_leader() -> None:
    rig = Rig().settle()
    change(rig, "n1", ("maxmemory", "1024"))
    for node in list(rig.machines):
        rig.machines[node].crash(is_power_cut=True)
    for machine in rig.machines.values():
        machine.start()
    assert rig.leader(META_SHARD) is None
    assert [settings(rig, node).maxmemory for node in rig.machines] == [1024] * 3
    rig.settle()
    assert [seen(rig, "n1", shard) for shard in (0, 1)] == [1024, 1024]


def test_a_node_without_the_meta_group_changes_and_learns_them_as_well() -> None:
    def without_n4(topology: Topology) -> Topology:
        meta = tuple(one for one in topology.meta if one.node != "n4")
        return type(topology)(
            topology.cluster_id,
            topology.epoch,
            topology.shards,
            topology.nodes,
            topology.replicas,
            meta,
        )

    rig = Rig(nodes=4, topology=without_n4).settle()
    assert META_SHARD not in rig.node("n4").engine.shards
    assert change(rig, "n4", ("maxmemory", "1024")).replies == [OK]
    assert change(rig, "n2", ("maxmemory-samples", "7")).replies == [OK]
    found = settings(rig, "n4")
    assert (found.maxmemory, found.maxmemory_samples) == (1024, 7)


def test_an_old_leader_that_was_away_does_not_put_old_settings_into_entries() -> None:
    rig = Rig(shards=1).settle()
    first = rig.leader() or ""
    rig.isolate(first)
    rig.run(5 * SECOND)
    [other, _] = rig.others(first)
    assert change(rig, other, ("maxmemory", "1024")).replies == [OK]
    rig.heal()
    rig.until(lambda: rig.leader() == first, at_most_ns=60 * SECOND)
    assert seen(rig, first, 0) == 1024
