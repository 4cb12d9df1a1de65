"""The simulated disk loses what the careless left unsynced, and only that."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TypeVar

import pytest

from trimaran.node.storage.disk import AlreadyLocked
from trimaran.node.storage.sim_disk import PAGE, SECTOR, PowerCut, SimDisk

SEEDS = range(200)
Found = TypeVar("Found", bytes, str)


def disk_with_file(seed: int, data: bytes = b"") -> SimDisk:
    disk = SimDisk(Random(seed))
    disk.makedirs("/d")
    file = disk.create("/d/f")
    file.pwrite(data, 0)
    file.fsync()
    disk.fsync_dir("/d")
    return disk


def read(disk: SimDisk, path: str = "/d/f") -> bytes:
    file = disk.open(path)
    return file.pread(file.size(), 0)


def outcomes(run: Callable[[int], Found]) -> set[Found]:
    return {run(seed) for seed in SEEDS}


def test_synced_content_survives_and_a_kill_loses_nothing() -> None:
    disk = disk_with_file(1, b"synced")
    disk.open("/d/f", is_writable=True).pwrite(b"S", 0)
    disk.kill()
    assert read(disk) == b"Synced"
    disk = disk_with_file(1, b"synced")
    disk.power_cut()
    assert read(disk) == b"synced"


def test_unsynced_pages_are_lost_kept_and_torn_at_sectors() -> None:
    old, new = b"o" * 2 * PAGE, b"n" * 2 * PAGE

    def run(seed: int) -> bytes:
        disk = disk_with_file(seed, old)
        disk.open("/d/f", is_writable=True).pwrite(new, 0)
        disk.power_cut()
        return read(disk)

    found = outcomes(run)
    assert {old, new, old[:PAGE] + new[PAGE:], new[:PAGE] + old[PAGE:]} <= found
    assert len(found) > 20
    for content in found:
        assert len(content) == len(old)
        for start in range(0, len(content), SECTOR):
            assert content[start : start + SECTOR] in (b"o" * SECTOR, b"n" * SECTOR)


def test_an_unsynced_size_falls_between_the_old_and_the_new() -> None:
    def run(seed: int) -> str:
        disk = disk_with_file(seed, b"12")
        disk.open("/d/f", is_writable=True).pwrite(b"3456", 2)
        disk.power_cut()
        return str(len(read(disk)))

    assert outcomes(run) == {"2", "3", "4", "5", "6"}


def test_a_new_name_is_lost_without_a_directory_sync_even_if_the_file_is_synced() -> None:
    def run(seed: int) -> str:
        disk = disk_with_file(seed)
        disk.create("/d/g").fsync()
        disk.power_cut()
        return " ".join(disk.listdir("/d"))

    assert outcomes(run) == {"f", "f g"}


def test_a_rename_leaves_the_old_or_the_new_file_and_never_none() -> None:
    def run(seed: int) -> bytes:
        disk = disk_with_file(seed, b"old")
        file = disk.create("/d/t")
        file.pwrite(b"new", 0)
        file.fsync()
        disk.rename("/d/t", "/d/f")
        disk.power_cut()
        return read(disk)

    assert outcomes(run) == {b"old", b"new"}


def test_a_move_between_directories_never_loses_both_names() -> None:
    def run(seed: int) -> str:
        disk = disk_with_file(seed)
        disk.makedirs("/e")
        disk.rename("/d/f", "/e/f")
        disk.power_cut()
        return f"{disk.listdir('/d')} {disk.listdir('/e')}"

    assert outcomes(run) == {"['f'] []", "[] ['f']", "['f'] ['f']"}


def test_directory_changes_are_lost_from_the_end() -> None:
    def run(seed: int) -> str:
        disk = disk_with_file(seed)
        disk.create("/d/a")
        disk.create("/d/b")
        disk.unlink("/d/f")
        disk.power_cut()
        return "".join(disk.listdir("/d"))

    assert outcomes(run) == {"f", "af", "abf", "ab"}


def test_a_failed_sync_drops_pages_that_another_sync_does_not_write() -> None:
    def run(seed: int) -> bytes:
        disk = disk_with_file(seed, b"old")
        file = disk.open("/d/f", is_writable=True)
        file.pwrite(b"new", 0)
        disk.fail_sync_in(1)
        with pytest.raises(OSError, match="sync failed"):
            file.fdatasync()
        file.fdatasync()
        assert read(disk) == b"new"
        disk.power_cut()
        return read(disk)

    assert outcomes(run) == {b"old", b"new"}


def test_writing_a_dropped_page_again_brings_it_to_disk() -> None:
    for seed in SEEDS:
        disk = disk_with_file(seed, b"old")
        file = disk.open("/d/f", is_writable=True)
        file.pwrite(b"new", 0)
        disk.fail_sync_in(1)
        with pytest.raises(OSError, match="sync failed"):
            file.fdatasync()
        file.pwrite(b"new", 0)
        file.fdatasync()
        disk.power_cut()
        assert read(disk) == b"new"


def test_the_power_goes_at_the_operation_asked_for_and_stays_away() -> None:
    disk = disk_with_file(1)
    file = disk.open("/d/f", is_writable=True)
    disk.cut_power_in(2)
    file.pwrite(b"1", 0)
    with pytest.raises(PowerCut):
        file.fdatasync()
    with pytest.raises(PowerCut):
        file.pread(1, 0)
    with pytest.raises(PowerCut):
        disk.listdir("/d")
    disk.power_cut()
    with pytest.raises(OSError, match="earlier life"):
        file.pread(1, 0)
    assert disk.listdir("/d") == ["f"]


def test_a_full_disk_refuses_to_grow_files_but_not_to_overwrite() -> None:
    disk = disk_with_file(1, b"1234")
    disk.bytes_max = 6
    file = disk.open("/d/f", is_writable=True)
    file.pwrite(b"56", 4)
    with pytest.raises(OSError, match="no space"):
        file.pwrite(b"7", 6)
    with pytest.raises(OSError, match="no space"):
        file.preallocate(7)
    file.pwrite(b"0", 0)
    assert read(disk) == b"023456"


def test_a_lock_is_held_until_it_is_released_or_the_process_is_gone() -> None:
    disk = disk_with_file(1)
    lock = disk.lock("/d/lock")
    with pytest.raises(AlreadyLocked):
        disk.lock("/d/lock")
    lock.release()
    disk.lock("/d/lock")
    disk.kill()
    disk.lock("/d/lock")
    lock.release()  # Of an earlier life: says nothing.
    with pytest.raises(AlreadyLocked):
        disk.lock("/d/lock")


def test_the_same_seed_is_the_same_disk() -> None:
    def run() -> bytes:
        disk = disk_with_file(7, b"o" * 5 * PAGE)
        disk.open("/d/f", is_writable=True).pwrite(b"n" * 5 * PAGE, 0)
        disk.power_cut()
        return read(disk)

    assert run() == run()
