"""The simulated network is as bad as promised, and not worse."""

from __future__ import annotations

from random import Random

from trimaran.node.raft.types import NodeId

from .network import NetworkProfile, Receiver, SimNetwork
from .schedule import MS, SECOND, Schedule, Trace

ONE, OTHER = NodeId("n1"), NodeId("n2")


class Listener:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def peer_up(self, node: NodeId) -> None:
        self.heard.append(f"up {node}")

    def peer_down(self, node: NodeId) -> None:
        self.heard.append(f"down {node}")


class Rig:
    def __init__(self, profile: NetworkProfile, seed: int = 1) -> None:
        self.schedule = Schedule(Trace())
        self.network = SimNetwork(self.schedule, Random(seed), [ONE, OTHER], profile)
        self.listeners = {node: Listener() for node in (ONE, OTHER)}
        for node, listener in self.listeners.items():
            self.network.start(node, listener)
        self.run(SECOND)

    def run(self, time_ns: int) -> None:
        self.schedule.run_until(self.schedule.now_ns + time_ns)

    def send(self, text: str) -> None:
        def deliver(receiver: Receiver) -> None:
            assert isinstance(receiver, Listener)
            receiver.heard.append(text)

        self.network.send(ONE, OTHER, deliver)

    @property
    def heard(self) -> list[str]:
        """What the other one was sent."""
        return [text for text in self.listeners[OTHER].heard if text.isdigit()]

    @property
    def told(self) -> list[str]:
        """What the other one was told of the stream."""
        return [text for text in self.listeners[OTHER].heard if not text.isdigit()]


STREAM = NetworkProfile(delay_max_ns=50 * MS)


def test_a_stream_keeps_the_order_and_loses_nothing() -> None:
    rig = Rig(STREAM)
    sent = [str(number) for number in range(100)]
    for text in sent:
        rig.send(text)
        rig.run(MS)
    rig.run(SECOND)
    assert rig.heard == sent
    assert rig.told == ["up n1"]


def test_a_broken_stream_loses_what_is_on_its_way_and_both_ends_are_told_down_before_up() -> None:
    for seed in range(20):
        rig = Rig(STREAM, seed)
        rig.send("1")
        rig.network.break_stream(ONE, OTHER)
        rig.run(3 * SECOND)
        rig.send("2")
        rig.run(SECOND)
        assert rig.heard == ["2"]
        assert rig.told == ["up n1", "down n1", "up n1"]
        assert rig.listeners[ONE].heard == ["up n2", "down n2", "up n2"]


def test_datagrams_are_dropped_doubled_and_overtaken() -> None:
    rig = Rig(NetworkProfile(is_stream=False, drop=0.2, duplicate=0.2, late=0.2))
    sent = [str(number) for number in range(200)]
    for text in sent:
        rig.send(text)
        rig.run(MS)
    rig.run(5 * SECOND)
    assert set(rig.heard) < set(sent)
    assert len(rig.heard) > len(set(rig.heard))
    assert rig.heard != sorted(rig.heard, key=int)


def test_a_cut_in_one_direction_leaves_the_other() -> None:
    rig = Rig(NetworkProfile(is_stream=False))
    rig.network.cut(OTHER, ONE)
    rig.send("1")
    rig.run(SECOND)
    assert rig.heard == ["1"]
    rig.network.cut(ONE, OTHER)
    rig.send("2")
    rig.run(SECOND)
    rig.network.heal()
    rig.send("3")
    rig.run(SECOND)
    assert rig.heard == ["1", "3"]


def test_nothing_passes_between_the_parts_of_a_partition_until_it_heals() -> None:
    rig = Rig(STREAM)
    rig.network.isolate([ONE])
    rig.send("1")
    rig.run(5 * SECOND)
    assert rig.told == ["up n1", "down n1"]
    rig.network.heal()
    rig.run(SECOND)
    rig.send("2")
    rig.run(SECOND)
    assert rig.heard == ["2"]


def test_a_process_that_stopped_hears_nothing_and_its_peer_is_told() -> None:
    rig = Rig(STREAM)
    rig.send("1")
    rig.network.stop(OTHER, is_silent=False)
    rig.run(SECOND)
    assert rig.heard == []
    assert rig.listeners[ONE].heard == ["up n2", "down n2"]
