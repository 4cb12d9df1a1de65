"""Where a key lives: key -> slot -> shard. The only router of the package.

The slot is Redis Cluster's, bit for bit, so every cluster-aware Redis client routes by itself.
Database 0 is sharded over all slots; databases 1 to 15 live whole on one shard each, so that
multi-key commands over arbitrary keys work there (design, section 3).
"""

from __future__ import annotations

from binascii import crc_hqx  # CRC16/XMODEM: the polynomial Redis Cluster uses.
from typing import NewType

ShardId = NewType("ShardId", int)
Slot = NewType("Slot", int)

SLOTS = 16384
DATABASES = 16
SHARDS_DEFAULT = 16
SHARDS_MAX = 1024
META_SHARD = ShardId(0xFFFF)  # The group that agrees on the topology; it owns no slots.


def slot_of(key: bytes) -> Slot:
    """The Redis Cluster slot of `key`: CRC16 of its hash tag, or of all of it, modulo 16384."""
    start = key.find(b"{")
    if start >= 0:
        end = key.find(b"}", start + 1)
        if end > start + 1:  # An empty tag `{}` does not count.
            key = key[start + 1 : end]
    # Not Slot(...): that is a call, for every key of every command, several times.
    return crc_hqx(key, 0) & 0x3FFF  # type: ignore[return-value]


def shard_of(db: int, key: bytes, shards: int) -> ShardId:
    """The shard that owns `key` of database `db` in a cluster of `shards` shards."""
    if db:
        return ShardId(db * shards // DATABASES)
    return ShardId(slot_of(key) * shards // SLOTS)


def shard_of_slot(slot: int, shards: int) -> ShardId:
    """The shard that owns `slot` of database 0."""
    return ShardId(slot * shards // SLOTS)


def slots_of_shard(shard: ShardId, shards: int) -> range:
    """The slots of database 0 that `shard` owns, as one contiguous range."""
    first = -(-shard * SLOTS // shards)
    end = -(-(shard + 1) * SLOTS // shards)
    return range(first, end)
