"""Rules L2 to L5 of the log, each with the schedule that breaks a promise without it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from trimaran.node.errors import Corrupt
from trimaran.node.raft.types import NOBODY, EntryId, HardState, ReplicaId
from trimaran.node.storage.records import Kind, pack_batch, pack_record
from trimaran.node.storage.wal import ShardSave

from .rig import CLUSTER, OTHER, SHARD, SMALL, VOTERS, Rig, appended, created, entries, meta, voted


def fill(rig: Rig, term: int, first: int, segments: int) -> int:
    """Appends entries of SHARD until there are so many segments more; the last index."""
    before = len(rig.segments())
    index = first
    while len(rig.segments()) < before + segments:
        rig.save(appended(term, index, index, b"." * 500))
        index += 1
    return index - 1


# --- L2: freeing a segment loses no vote.


def test_l2_a_vote_outlives_the_segment_it_was_written_in() -> None:
    rig = Rig()
    rig.save(created(), created(OTHER, replica=2), voted(7, 2, OTHER), voted(1))
    last = fill(rig, 1, 1, 3)
    rig.compact(1, last)
    rig.save(appended(1, last + 1, last + 1))
    assert len(rig.free()) == 3
    rig.lose_power()
    other = rig.found[OTHER]
    assert other.restored.hard_state == HardState(7, ReplicaId(2))
    assert other.replica == 2
    assert other.restored.snapshot.voters == VOTERS
    assert rig.entries_of() == [(last + 1, 1)]


def test_l2_a_head_agrees_with_a_batch_in_which_the_term_rises_twice() -> None:
    rig = Rig()
    rig.save(created(), voted(1, 1), appended(1, 1, 1, b"." * 3000))
    rig.save(voted(2), voted(3, 2), appended(3, 2, 2, b"." * 3000))  # Begins a segment.
    assert len(rig.segments()) == 2
    rig.lose_power()
    assert rig.found[SHARD].restored.hard_state == HardState(3, ReplicaId(2))


def test_l2_a_segment_is_kept_while_the_head_of_the_next_is_only_staged() -> None:
    rig = Rig()
    rig.save(created(), voted(1, 1))
    staged = rig.log.stage([appended(1, 1, 1, b"." * 5000)])
    assert rig.log.free_segments() == []
    rig.log.write(staged)
    assert rig.log.free_segments() == [rig.segments()[0]]


def test_l2_a_segment_is_kept_while_what_replaces_its_entries_is_only_staged() -> None:
    rig = Rig()
    rig.save(created(), appended(1, 1, 3))
    fill(rig, 1, 4, 2)
    rig.restart()
    held = rig.found[SHARD].restored.entries
    for save in (
        ShardSave(SHARD, HardState(2, NOBODY), entries(2, 1, 1)),
        ShardSave(SHARD, reset=meta(2, 50)),
        ShardSave(SHARD, entries=held),
    ):
        rig.log.stage([save])
        assert rig.free() == []
        rig.lose_power()
        assert rig.found[SHARD].restored.entries == held


def test_l2_a_segment_is_kept_while_the_log_does_not_say_that_a_snapshot_covers_it() -> None:
    # The entry at the snapshot's index would be missing, and with it all that follows (L5).
    rig = Rig()
    rig.save(created())
    last = fill(rig, 1, 1, 3)
    rig.compact(1, last - 1)
    assert rig.free() == []
    rig.lose_power()
    assert rig.entries_of() == [(last, 1)]
    rig.save()
    assert len(rig.free()) == 3
    rig.lose_power()
    assert rig.entries_of() == [(last, 1)]


def test_l2_segments_are_freed_from_the_oldest_on() -> None:
    rig = Rig()
    rig.save(created(), created(OTHER))
    rig.save(appended(1, 1, 1, shard=OTHER))
    last = fill(rig, 1, 1, 3)
    rig.compact(1, last)
    rig.save()
    assert rig.free() == []  # OTHER needs the first, and nothing before the needed ones may go.
    rig.compact(1, 1, OTHER)
    rig.save()
    assert len(rig.free()) == 3


# --- L3: replay.


def test_l3_an_entry_that_is_held_already_changes_nothing() -> None:
    rig = Rig()
    rig.save(created(), appended(1, 1, 5))
    rig.save(appended(1, 2, 3))  # Dying half-way through writing 1 to 5 again.
    rig.lose_power()
    assert rig.entries_of() == [(index, 1) for index in range(1, 6)]


def test_l3_an_entry_record_that_is_held_already_changes_nothing() -> None:
    # Straight to the file: the log itself writes held entries as copies.
    rig = Rig()
    rig.save(created(), appended(1, 1, 5))
    staged = rig.log.stage([])
    record = pack_record(1, Kind.ENTRY, 1, SHARD, 1, 2) + b"x"
    data = pack_batch(
        cluster_id=CLUSTER, segment=1, number=staged.number, offset=staged.offset, records=record
    )
    staged.data = data
    rig.log.write(staged)
    rig.restart()
    assert rig.found[SHARD].restored.entries == entries(1, 1, 5)


def test_l3_only_another_term_drops_the_suffix() -> None:
    rig = Rig()
    rig.save(created(), appended(1, 1, 5))
    rig.save(ShardSave(SHARD, HardState(2, NOBODY), (*entries(1, 2, 2), *entries(2, 3, 3))))
    rig.lose_power()
    assert rig.entries_of() == [(1, 1), (2, 1), (3, 2)]


def test_l3_a_suffix_replaced_twice_is_the_last_one() -> None:
    rig = Rig()
    rig.save(created(), appended(1, 1, 5))
    rig.save(appended(2, 3, 6))
    rig.save(appended(3, 3, 3))
    rig.lose_power()
    assert rig.entries_of() == [(1, 1), (2, 1), (3, 3)]


def test_l3_a_reset_restarts_the_log_behind_the_installed_snapshot() -> None:
    rig = Rig()
    rig.save(created(), appended(1, 1, 5))
    rig.snapshots[SHARD] = meta(3, 4)
    rig.save(ShardSave(SHARD, reset=meta(3, 4)))
    rig.save(appended(3, 5, 6))
    rig.lose_power()
    assert rig.found[SHARD].restored.snapshot == meta(3, 4)
    assert rig.entries_of() == [(5, 3), (6, 3)]


def test_l3_a_gap_between_entries_is_damage_and_names_the_shard() -> None:
    rig = Rig()
    rig.save(created(), appended(1, 1, 2))
    staged = rig.log.stage([])
    record = pack_record(1, Kind.ENTRY, 1, SHARD, 1, 4) + b"x"
    staged.data = pack_batch(
        cluster_id=CLUSTER, segment=1, number=staged.number, offset=staged.offset, records=record
    )
    rig.log.write(staged)
    with pytest.raises(Corrupt, match=r"000000000001.log: the log of shard 3 .*entry 3 is missing"):
        rig.restart()


# --- L4: a shard that cannot be snapshotted does not pin the log.


def test_l4_a_shard_that_pins_an_old_segment_is_named_and_a_suffix_saved_again_frees_it() -> None:
    rig = Rig()
    rig.save(created(), created(OTHER), appended(1, 1, 3, shard=OTHER))
    last = fill(rig, 1, 1, SMALL.segments_kept + 1)
    rig.compact(1, last)
    rig.save()
    assert rig.log.pinning() == [OTHER]
    staged = rig.log.stage([appended(1, 1, 3, shard=OTHER)])
    assert rig.log.pinning() == []  # About to let go.
    assert rig.log.free_segments() == []
    rig.log.write(staged)
    assert len(rig.free()) == SMALL.segments_kept + 1
    rig.lose_power()
    assert rig.entries_of(OTHER) == [(1, 1), (2, 1), (3, 1)]


def test_l4_nobody_is_asked_to_let_go_while_the_log_is_short() -> None:
    rig = Rig()
    rig.save(created())
    fill(rig, 1, 1, SMALL.segments_kept)
    assert rig.log.pinning() == []


def test_l4_saving_a_part_again_frees_only_what_it_covers() -> None:
    rig = Rig()
    rig.save(created())
    last = fill(rig, 1, 1, 3)
    held = tuple(
        one for index in range(1, last + 1) for one in entries(1, index, index, b"." * 500)
    )
    rig.save(ShardSave(SHARD, entries=held[:8]))
    rig.free()
    rig.lose_power()
    assert rig.entries_of() == [(index, 1) for index in range(1, last + 1)]
    rig.save(ShardSave(SHARD, entries=held))
    assert rig.free()
    rig.lose_power()
    assert rig.entries_of() == [(index, 1) for index in range(1, last + 1)]


def test_l4_a_suffix_saved_again_lets_go_of_what_a_snapshot_covers_beside_it() -> None:
    rig = Rig()
    rig.save(created(), created(OTHER), appended(1, 1, 4, shard=OTHER))
    rig.compact(1, 2, shard=OTHER)  # Then its majority is gone: 3 and 4 stay uncommitted.
    last = fill(rig, 1, 1, SMALL.segments_kept + 1)
    rig.compact(1, last)
    rig.save()
    assert rig.log.pinning() == [OTHER]
    assert rig.log.pinned(OTHER) == (3, 4)
    for index in (3, 4):  # In pieces, so that none is long.
        rig.save(appended(1, index, index, shard=OTHER))
    assert len(rig.free()) == SMALL.segments_kept + 1
    rig.lose_power()
    assert rig.entries_of(OTHER) == [(3, 1), (4, 1)]


def test_l4_a_replaced_suffix_no_longer_pins_its_segment() -> None:
    rig = Rig()
    rig.save(created(), appended(1, 1, 1))
    last = fill(rig, 1, 2, 2)
    rig.save(appended(2, 1, 1))
    assert len(rig.free()) == 2
    rig.lose_power()
    assert rig.entries_of() == [(1, 2)]
    assert last > 2


# --- L5: the snapshot and the log at start.


@pytest.mark.parametrize("place", [(1, 2), (1, 5)])
def test_l5_the_log_goes_on_behind_a_snapshot_it_leads_through(place: tuple[int, int]) -> None:
    rig = Rig()
    rig.save(created(), appended(1, 1, 5))
    rig.snapshots[SHARD] = meta(*place)  # Cut and verified; the log has not heard of it.
    rig.restart()
    assert rig.found[SHARD].restored.snapshot == meta(*place)
    assert rig.entries_of() == [(index, 1) for index in range(place[1] + 1, 6)]


@pytest.mark.parametrize("place", [(2, 3), (2, 9)], ids=["another term", "missing"])
def test_l5_a_log_that_does_not_lead_through_the_snapshot_is_discarded(
    place: tuple[int, int],
) -> None:
    # An install that was interrupted between its file and its reset record (L6).
    rig = Rig()
    rig.save(created(), voted(2, 1), appended(1, 1, 5))
    rig.snapshots[SHARD] = meta(*place)
    rig.restart()
    assert rig.entries_of() == []
    assert rig.found[SHARD].restored.snapshot == meta(*place)
    assert rig.found[SHARD].restored.hard_state == HardState(2, ReplicaId(1))
    rig.save(appended(2, place[1] + 1, place[1] + 2))
    rig.lose_power()
    assert rig.entries_of() == [(place[1] + 1, 2), (place[1] + 2, 2)]


def test_l5_a_snapshot_that_the_log_begins_behind_must_be_there() -> None:
    rig = Rig()
    rig.save(created(), appended(1, 1, 5))
    rig.compact(1, 3)
    rig.save()
    rig.snapshots.clear()
    with pytest.raises(Corrupt, match=r"shard 3: the log begins behind a snapshot at .*missing"):
        rig.restart()
    rig.snapshots[SHARD] = meta(1, 2)
    with pytest.raises(Corrupt, match=r"shard 3: the newest snapshot is at .*index=2"):
        rig.restart()


def test_l5_voters_come_from_the_snapshot() -> None:
    rig = Rig()
    rig.save(created(), appended(1, 1, 5))
    rig.snapshots[SHARD] = replace(meta(1, 3), voters=VOTERS[:1])
    rig.restart()
    assert rig.found[SHARD].restored.snapshot.voters == VOTERS[:1]
    assert rig.found[SHARD].restored.snapshot.id == EntryId(1, 3)
