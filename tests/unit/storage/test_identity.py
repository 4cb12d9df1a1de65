"""Who may run in a data directory, and what it remembers of the founding (rules B1, B2)."""

from __future__ import annotations

from random import Random

import pytest

from trimaran.cluster.topology import NodeInfo, Topology
from trimaran.node.errors import Corrupt, IdentityError
from trimaran.node.storage.identity import DataDirectory, Founder, Founding, Identity
from trimaran.node.storage.sim_disk import PowerCut, SimDisk

PATH = "/data"
FOUNDING = Founding(
    cluster_id=0xC0FFEE,
    founders=(Founder("n1", 11, "127.0.0.1:7381"), Founder("n2", 22, "127.0.0.1:7391")),
    shards=16,
    options_hash="abc",
)


def new_disk(seed: int = 1) -> SimDisk:
    return SimDisk(Random(seed))


def start(
    disk: SimDisk, *, name: str = "n1", shards: int | None = 16, incarnation: int = 11
) -> DataDirectory:
    return DataDirectory.open(disk, PATH, name=name, shards=shards, incarnation=incarnation)


def damage(disk: SimDisk, name: str, text: bytes) -> None:
    file = disk.open(f"{PATH}/{name}", is_writable=True)
    file.pwrite(text, 0)


def test_an_empty_directory_becomes_an_incarnation_that_lasts() -> None:
    for seed in range(10):
        disk = new_disk(seed)
        assert start(disk).identity == Identity("n1", 11, 16)
        disk.power_cut()
        assert start(disk, incarnation=99).identity == Identity("n1", 11, 16)


def test_what_was_agreed_and_formed_lasts() -> None:
    disk = new_disk()
    directory = start(disk)
    directory.agree(FOUNDING)
    disk.power_cut()
    directory = start(disk)
    assert directory.identity == Identity("n1", 11, 16, None, FOUNDING)
    directory.agree(FOUNDING)  # Proposed again after a restart.
    directory.form(0xC0FFEE)
    disk.power_cut()
    assert start(disk).identity == Identity("n1", 11, 16, 0xC0FFEE, FOUNDING)


def test_the_power_cut_anywhere_leaves_the_identity_before_or_after() -> None:
    for seed in range(20):
        for operations in range(1, 10):
            disk = new_disk(seed)
            directory = start(disk)
            disk.cut_power_in(operations)
            try:
                directory.agree(FOUNDING)
                is_done = True
            except PowerCut:
                is_done = False
            disk.power_cut()
            founding = start(disk).identity.founding
            assert founding == FOUNDING or (founding is None and not is_done)


def test_a_second_process_is_refused_until_the_first_is_gone() -> None:
    disk = new_disk()
    first = start(disk)
    with pytest.raises(IdentityError, match=r"/data is in use by another process; stop it first"):
        start(disk)
    first.close()
    start(disk)
    disk.kill()
    start(disk)


def test_a_refused_start_leaves_the_lock() -> None:
    disk = new_disk()
    start(disk).close()
    with pytest.raises(IdentityError):
        start(disk, name="n2")
    start(disk)


def test_the_directory_of_another_node_is_refused() -> None:
    disk = new_disk()
    start(disk).close()
    with pytest.raises(IdentityError, match="/data belongs to node n1, not to n2"):
        start(disk, name="n2")


def test_another_number_of_shards_is_refused_and_none_takes_what_is_there() -> None:
    disk = new_disk()
    start(disk).close()
    with pytest.raises(IdentityError, match="set up for 16 shards, not for 8"):
        start(disk, shards=8)
    assert start(disk, shards=None).identity.shards == 16


def test_another_cluster_is_refused_with_both_printed() -> None:
    disk = new_disk()
    directory = start(disk)
    directory.form(0xC0FFEE)
    for attempt in (directory.check_cluster, directory.form):
        with pytest.raises(IdentityError, match=r"0000000000c0ffee, not to 0000000000000005"):
            attempt(5)
    directory.check_cluster(0xC0FFEE)


def test_another_founding_than_the_agreed_one_is_refused_with_both_printed() -> None:
    directory = start(new_disk())
    directory.agree(FOUNDING)
    other = Founding(5, FOUNDING.founders[:1], 16, "def")
    with pytest.raises(
        IdentityError, match=r"c0ffee of 16 shards with n1=.*,n2=.*; now cluster 0{15}5 of 16"
    ):
        directory.agree(other)
    assert directory.identity.founding == FOUNDING


def test_a_founding_with_another_number_of_shards_is_refused() -> None:
    directory = start(new_disk(), shards=8)
    with pytest.raises(IdentityError, match="8 shards; a cluster of 16 shards is proposed"):
        directory.agree(FOUNDING)


@pytest.mark.parametrize("name", ["log/000000000001.log", "snapshots/3-20-2.snap"])
def test_a_directory_that_lost_its_identity_says_what_to_do(name: str) -> None:  # correctness B2
    disk = new_disk()
    start(disk).close()
    disk.makedirs(f"{PATH}/log")
    disk.makedirs(f"{PATH}/snapshots")
    disk.create(f"{PATH}/{name}")
    disk.unlink(f"{PATH}/identity.json")
    with pytest.raises(IdentityError, match=r"identity.json is missing.*Put identity.json back"):
        start(disk)


def test_empty_folders_are_not_remains() -> None:
    disk = new_disk()
    disk.makedirs(f"{PATH}/log")
    disk.makedirs(f"{PATH}/snapshots")
    start(disk)


@pytest.mark.parametrize("text", [b"?", b"[1]    ", b'{"version": 1, "node": "nX",', b"\xff\xff"])
def test_a_damaged_identity_stops_the_node_and_is_named(text: bytes) -> None:
    disk = new_disk()
    start(disk).close()
    damage(disk, "identity.json", text)
    with pytest.raises(Corrupt, match=r"/data/identity.json"):
        start(disk)


def test_an_edited_identity_is_noticed() -> None:
    disk = new_disk()
    start(disk).close()
    file = disk.open(f"{PATH}/identity.json", is_writable=True)
    text = file.pread(file.size(), 0)
    file.pwrite(text.replace(b'"n1"', b'"n2"'), 0)
    with pytest.raises(Corrupt, match="its check does not fit"):
        start(disk, name="n2")


def test_an_identity_of_another_format_version_stops_with_both_named() -> None:
    disk = new_disk()
    start(disk).close()
    file = disk.open(f"{PATH}/identity.json", is_writable=True)
    text = file.pread(file.size(), 0)
    file.pwrite(text.replace(b'"version": 1', b'"version": 2'), 0)
    with pytest.raises(Corrupt, match="identity format version 2 found, 1 expected"):
        start(disk)


def test_the_newest_topology_is_remembered_and_its_loss_is_no_fault() -> None:
    disk = new_disk()
    directory = start(disk)
    founded = Topology(1, 1, 2, (NodeInfo("n1", 7, "10.0.0.1", 7379),), (), ())
    assert directory.topology(founded) is founded
    moved = founded.with_address("n1", "10.0.0.2", 7379)
    newest = moved.with_settings((("maxmemory", "1gb"),))
    directory.save_topology(moved)
    directory.save_topology(newest)
    disk.power_cut()
    directory = start(disk)
    assert directory.topology(founded) == newest
    damage(disk, "topology.json", b"?")
    assert directory.topology(founded) is founded
