"""SAVE and BGSAVE on whole nodes, and what stopping hands over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimaran.node.control import CALLED_OFF, SAVING_ALREADY, Control
from trimaran.node.raft.types import NodeId
from trimaran.proto.reply import OK, ErrorReply, Reply

from ...sim.schedule import SECOND
from .rig import Rig

if TYPE_CHECKING:
    from trimaran.cluster.slots import ShardId
    from trimaran.node.node import Node


class Controlled:
    """A node of a rig, and what its control answered."""

    def __init__(self, rig: Rig, name: str = "n1") -> None:
        self.node: Node = rig.node(name)
        self.replies: list[Reply] = []
        self.stops = 0
        self.control = Control(self.node, self._stop)

    def _stop(self) -> None:
        self.stops += 1

    def save(self) -> None:
        self.control.save(self.replies.append)

    def unsaved(self) -> list[ShardId]:
        shards = self.node.engine.shards.values()
        return [one.id for one in shards if one.applied_index > one.core.snapshot_index]


def test_a_save_takes_a_snapshot_of_every_replica_led_here_or_not() -> None:
    rig = Rig(3, 3).settle()
    for shard in range(3):
        rig.do("n1", "SET k 1", shard=shard)
    one = Controlled(rig)
    assert len(one.unsaved()) == 4
    one.save()
    assert one.replies == []
    assert one.node.saving.running_s == 0
    rig.until(lambda: one.replies)
    assert one.replies == [OK]
    assert one.unsaved() == []
    assert (one.node.saving.runs, one.node.saving.is_running) == (1, False)
    one.save()  # Nothing has happened since.
    assert one.replies == [OK, OK]


def test_a_second_save_is_refused_while_one_runs() -> None:
    rig = Rig(3, 1).settle()
    rig.do("n1", "SET k 1")
    one = Controlled(rig)
    assert one.control.save_in_background()
    assert not one.control.save_in_background()
    one.save()
    assert one.replies == [SAVING_ALREADY]
    rig.until(lambda: not one.node.saving.is_running)
    assert one.control.save_in_background()


def test_a_snapshot_that_was_under_way_does_not_count_as_the_one_asked_for() -> None:
    rig = Rig(3, 1).settle()
    rig.do("n1", "SET k 1")
    one = Controlled(rig)
    shard = rig.shard("n1")
    one.node.snapshotting.take(shard)
    began_at = shard.applied_index
    rig.do("n1", "SET k 2")
    one.save()
    rig.until(lambda: one.replies)
    assert shard.core.snapshot_index > began_at


def test_a_halted_replica_cannot_be_saved_and_save_says_so() -> None:
    rig = Rig(3, 2, watches_halts=False).settle()
    rig.do("n1", "SET k 1")
    one = Controlled(rig)
    rig.shard("n1").halted = RuntimeError("made up")
    one.save()
    rig.until(lambda: one.replies)
    (reply,) = one.replies
    assert isinstance(reply, ErrorReply)
    assert "shards 0" in reply.text
    assert not one.node.saving.was_last_whole


def test_a_shutdown_with_a_save_stops_when_all_is_saved() -> None:
    rig = Rig(3, 1).settle()
    rig.do("n1", "SET k 1")
    one = Controlled(rig)
    one.control.stop(is_saving=True, failed=one.replies.append)
    assert one.stops == 0
    rig.until(lambda: one.stops)
    assert one.replies == []
    assert one.unsaved() == []


def test_a_shutdown_that_waits_for_its_save_can_be_called_off() -> None:
    rig = Rig(3, 1).settle()
    rig.do("n1", "SET k 1")
    one = Controlled(rig)
    assert not one.control.keep_running()
    one.control.stop(is_saving=True, failed=one.replies.append)
    assert one.control.keep_running()
    assert one.replies == [CALLED_OFF]
    rig.run(SECOND)
    assert one.stops == 0


def test_who_leaves_hands_every_shard_to_a_follower_that_is_there() -> None:
    rig = Rig(3, 3).settle()
    rig.kill("n2")
    rig.until(lambda: None not in {rig.leader(number) for number in range(3)})
    handed = rig.node("n1").leadership.leave()
    assert handed
    rig.until(lambda: not any(one.is_leader for one in handed), at_most_ns=SECOND)
    rig.until(lambda: {rig.leader(one.id) for one in handed} == {NodeId("n3")}, at_most_ns=SECOND)


def test_who_is_alone_hands_nothing_over() -> None:
    rig = Rig(1, 2).settle()
    assert rig.node("n1").leadership.leave() == []


def test_expiry_that_is_switched_off_waits_until_a_key_is_read() -> None:
    rig = Rig(1, 1).settle()
    one = Controlled(rig)
    one.control.drive_expiry(is_on=False)
    rig.do("n1", "SET k 1 PX 50")
    rig.run(SECOND)
    assert rig.shard("n1").keys.count(0) == 1
    assert rig.do("n1", "GET k") == [None]
    one.control.drive_expiry(is_on=True)
    rig.do("n1", "SET other 1 PX 50")
    rig.until(lambda: rig.shard("n1").keys.count(0) == 0, at_most_ns=SECOND)
