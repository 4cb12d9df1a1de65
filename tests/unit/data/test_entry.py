"""The bytes of an entry: their layout is kept, and what is not ours is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from trimaran.node.data.entry import CommandRecord, pack_entry, stamp_of, unpack_entry
from trimaran.node.data.keyspace import Keyspace
from trimaran.node.errors import Corrupt

GOLDEN = Path(__file__).parent / "golden"
CLUSTER = 0x0123456789ABCDEF
COMMANDS: list[CommandRecord] = [
    (0, "", 0, 0, 0, (b"SET", b"key", b"value \x00\xff\r\n")),
    (15, "alice", 77, 1 << 40, 3, (b"DEL", b"a", b"b")),
]


def golden(name: str) -> bytes:
    return bytes.fromhex((GOLDEN / name).read_text())


def test_entry_of_version_1_has_kept_its_layout() -> None:
    data = golden("entry_1.hex")
    assert pack_entry(CLUSTER, 1_700_000_000_123, (1 << 64) - 1, COMMANDS) == data
    assert unpack_entry(data, CLUSTER) == (1_700_000_000_123, (1 << 64) - 1, tuple(COMMANDS))


def test_stamp_is_read_without_the_commands() -> None:
    assert stamp_of(golden("entry_1.hex")) == 1_700_000_000_123


def test_an_unknown_version_is_refused() -> None:
    data = b"\x02" + golden("entry_1.hex")[1:]
    with pytest.raises(Corrupt, match="format version 2, this is 1"):
        unpack_entry(data, CLUSTER)


def test_an_entry_of_another_cluster_is_refused() -> None:
    with pytest.raises(Corrupt, match="of cluster 0123456789abcdef in the log of cluster 00000000"):
        unpack_entry(golden("entry_1.hex"), 7)


def test_an_entry_that_is_cut_off_is_refused() -> None:
    data = golden("entry_1.hex")
    for size in (0, 1, 24, 25, len(data) - 1):
        with pytest.raises(Corrupt):
            unpack_entry(data[:size], CLUSTER)


def snapshotted() -> Keyspace:
    keys = Keyspace()
    keys.begin_entry(9, 1_700_000_000_123)
    keys.sessions.register(9, 60_000, 1_700_000_000_123)
    keys.sessions.lookup(9, 4, 2, 1_700_000_000_123)
    keys.sessions.keep(9, 4, [1, b"two", None])
    keys.enter(3, 1_700_000_000_123, is_read=False)
    keys.put(b"key", b"value \x00\xff\r\n", 1_800_000_000_000)
    return keys


def test_snapshot_records_of_version_1_have_kept_their_layout() -> None:
    cut = snapshotted().begin_snapshot()
    data = golden("snapshot_records_1.hex")
    assert cut.slice(100, 1 << 20) == data
    copy = Keyspace()
    copy.load(data)
    assert copy.digest() == snapshotted().digest()


def test_digest_of_version_1_has_kept_its_value() -> None:
    assert snapshotted().digest().to_bytes(8, "big") == golden("digest_1.hex")
