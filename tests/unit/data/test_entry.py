"""The bytes of an entry: their layout is kept, and what is not ours is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from trimaran.cluster.settings import Settings, pack_settings
from trimaran.node.data.entry import (
    CommandRecord,
    EntryData,
    pack_entry,
    stamp_of,
    unpack_entry,
)
from trimaran.node.data.keyspace import Keyspace
from trimaran.node.data.sessions import Sessions
from trimaran.node.errors import Corrupt
from trimaran.proto.reply import pack_in_parts

GOLDEN = Path(__file__).parent / "golden"
CLUSTER = 0x0123456789ABCDEF
COMMANDS: list[CommandRecord] = [
    (0, "", 0, 0, 0, (b"SET", b"key", b"value \x00\xff\r\n")),
    (15, "alice", 77, 1 << 40, 3, (b"DEL", b"a", b"b")),
]


def golden(name: str) -> bytes:
    return bytes.fromhex((GOLDEN / name).read_text())


STAMP, SEED = 1_700_000_000_123, (1 << 64) - 1
SETTINGS = pack_settings(Settings(maxmemory=1 << 30, notify_keyspace_events="AKE").changed())


def test_entry_of_version_1_is_still_read_and_has_no_settings() -> None:
    found = unpack_entry(golden("entry_1.hex"), CLUSTER)
    assert found == EntryData(STAMP, SEED, b"", tuple(COMMANDS))


@pytest.mark.parametrize(
    ("name", "settings"), [("entry_2.hex", SETTINGS), ("entry_2_defaults.hex", b"")]
)
def test_entry_of_version_2_has_kept_its_layout(name: str, settings: bytes) -> None:
    data = golden(name)
    assert pack_entry(CLUSTER, STAMP, SEED, COMMANDS, settings) == data
    assert unpack_entry(data, CLUSTER) == EntryData(STAMP, SEED, settings, tuple(COMMANDS))


def test_an_entry_that_is_packed_in_parts_is_the_same() -> None:
    commands: list[CommandRecord] = [
        (0, "", 0, 0, 0, (b"SET", b"key", b"x" * 100_000)),
        *COMMANDS,
        (0, "", 0, 0, 0, [b"MSET", b"a", b"y" * 70_000, b"b", b"c" * 65_536]),
        (0, "", 0, 0, 0, [b"DEL", *[b"%d" % number for number in range(100_000)]]),
    ]
    whole = pack_entry(CLUSTER, STAMP, SEED, commands, SETTINGS)
    assert pack_entry(CLUSTER, STAMP, SEED, commands, SETTINGS, is_large=True) == whole


def test_only_what_is_long_is_a_part_of_its_own() -> None:
    # Else a thousand small commands beside it, or as many keys, would cost a call each.
    long = b"x" * 100_000
    commands = [(0, "", 0, 0, 0, [b"SET", b"k%d" % number, b"v"]) for number in range(1000)]
    parts = pack_in_parts([*commands, (0, "", 0, 0, 0, [b"SET", b"k", long]), *commands])
    assert len(parts) == 3
    assert parts[1] is long


def test_default_settings_cost_an_entry_two_bytes() -> None:
    assert len(golden("entry_2_defaults.hex")) - len(golden("entry_1.hex")) == 2


@pytest.mark.parametrize("name", ["entry_1.hex", "entry_2.hex"])
def test_stamp_is_read_without_the_commands(name: str) -> None:
    assert stamp_of(golden(name)) == STAMP


def test_an_unknown_version_is_refused() -> None:
    data = b"\x03" + golden("entry_2.hex")[1:]
    with pytest.raises(Corrupt, match="format version 3, this is 2"):
        unpack_entry(data, CLUSTER)


def test_an_entry_of_another_cluster_is_refused() -> None:
    with pytest.raises(Corrupt, match="of cluster 0123456789abcdef in the log of cluster 00000000"):
        unpack_entry(golden("entry_1.hex"), 7)


@pytest.mark.parametrize("name", ["entry_1.hex", "entry_2.hex", "entry_2_defaults.hex"])
def test_an_entry_that_is_cut_off_is_refused(name: str) -> None:
    data = golden(name)
    for size in range(len(data)):
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


def with_clients() -> Keyspace:
    """What version 3 has more: sessions of clients, and one that was ended before its time."""
    keys = snapshotted()
    keys.sessions = Sessions(sessions_max=2)
    for client in (70, 71, 72):
        keys.sessions.register(client, 600_000, 1_700_000_000_123 + client * 60_000, client=client)
    return keys


def test_snapshot_records_have_kept_their_layout() -> None:
    cut = with_clients().begin_snapshot()
    assert cut.slice(100, 1 << 20) == golden("snapshot_records_3.hex")


def test_sessions_of_clients_can_be_loaded() -> None:
    copy = Keyspace()
    copy.load(golden("snapshot_records_3.hex"))
    assert copy.digest() == with_clients().digest()
    assert copy.sessions.register(99, 1, 1, client=72) == 72


@pytest.mark.parametrize("version", [1, 2])
def test_snapshot_records_of_every_version_can_be_loaded(version: int) -> None:
    copy = Keyspace()
    copy.load(golden(f"snapshot_records_{version}.hex"))
    assert copy.digest() == snapshotted().digest()


def test_digest_of_version_1_has_kept_its_value() -> None:
    assert snapshotted().digest().to_bytes(8, "big") == golden("digest_1.hex")
