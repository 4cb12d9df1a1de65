"""Key -> slot -> shard, as Redis Cluster and the design's section 3 have it."""

from __future__ import annotations

import pytest

from trimaran.cluster.slots import (
    DATABASES,
    SLOTS,
    ShardId,
    shard_of,
    shard_of_slot,
    slot_of,
    slots_of_shard,
)


@pytest.mark.parametrize(
    ("key", "slot"),
    [
        (b"", 0),
        (b"123456789", 0x31C3),  # The check value that the Redis Cluster specification gives.
        (b"foo", 12182),
        (b"bar", 5061),
        (b"hello", 866),
        (b"{user1000}.following", 3443),
        (b"{user1000}.followers", 3443),
    ],
)
def test_slot_is_that_of_redis_cluster(key: bytes, slot: int) -> None:
    assert slot_of(key) == slot


def test_only_the_first_full_hash_tag_counts() -> None:
    assert slot_of(b"a{foo}b{bar}") == slot_of(b"foo")
    assert slot_of(b"foo{{bar}}zap") == slot_of(b"{bar")
    assert slot_of(b"}{foo}") == slot_of(b"foo")


def test_an_empty_or_open_hash_tag_is_part_of_the_key() -> None:
    assert slot_of(b"foo{}{bar}") != slot_of(b"bar")
    assert slot_of(b"{foo") != slot_of(b"foo")
    assert slot_of(b"foo}") != slot_of(b"foo")


@pytest.mark.parametrize("shards", [1, 2, 3, 16, 100, 1024])
def test_shards_cover_all_slots_once_and_in_order(shards: int) -> None:
    covered = [slot for shard in range(shards) for slot in slots_of_shard(ShardId(shard), shards)]
    assert covered == list(range(SLOTS))
    for shard in range(shards):
        for slot in (
            slots_of_shard(ShardId(shard), shards)[0],
            slots_of_shard(ShardId(shard), shards)[-1],
        ):
            assert shard_of_slot(slot, shards) == shard


def test_database_0_is_spread_and_the_others_are_whole() -> None:
    keys = [b"key:%d" % number for number in range(500)]
    assert {shard_of(0, key, 16) for key in keys} == set(range(16))
    for db in range(1, DATABASES):
        assert {shard_of(db, key, 16) for key in keys} == {db}
        assert {shard_of(db, key, 4) for key in keys} == {db // 4}
        assert {shard_of(db, key, 1) for key in keys} == {0}
