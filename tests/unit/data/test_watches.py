"""What is watched, as part of the state of a shard (correctness A5)."""

from __future__ import annotations

import pytest

from trimaran.node.data import watches
from trimaran.node.data.watches import WATCH_MS, Watches
from trimaran.proto.reply import NULL_ARRAY

from ...model.driver import Driver, copy_of


def test_only_a_change_after_the_watch_counts() -> None:
    marks = Watches()
    marks.changed(1, b"a", 5)
    marks.watch(1, b"a", 0, 6)
    assert marks.is_unchanged(1, b"a", 6)
    marks.changed(1, b"a", 7)
    assert not marks.is_unchanged(1, b"a", 6)
    assert marks.is_unchanged(1, b"a", 7)
    assert not marks.is_unchanged(2, b"a", 7)  # Nobody watches that.


def test_another_watch_of_the_same_key_keeps_what_is_known() -> None:
    marks = Watches()
    marks.watch(1, b"a", 0, 6)
    marks.changed(1, b"a", 7)
    marks.watch(1, b"a", 10, 8)
    assert not marks.is_unchanged(1, b"a", 6)


def test_what_is_watched_for_too_long_counts_as_changed() -> None:
    marks = Watches()
    marks.watch(1, b"a", 0, 1)
    marks.watch(1, b"b", WATCH_MS - 1, 1)
    assert marks.is_unchanged(1, b"a", 1)
    marks.watch(1, b"c", WATCH_MS, 2)
    assert not marks.is_unchanged(1, b"a", 1)
    assert marks.is_unchanged(1, b"b", 1)


def test_what_was_forgotten_counts_as_changed_though_another_client_watches_it_anew() -> None:
    marks = Watches()
    marks.watch(1, b"a", 0, 1)
    marks.changed(1, b"a", 2)
    marks.watch(1, b"b", WATCH_MS, 3)
    marks.watch(1, b"a", WATCH_MS, 4)
    assert not marks.is_unchanged(1, b"a", 1)
    assert marks.is_unchanged(1, b"a", 4)


def test_their_number_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watches, "WATCHED_MAX", 3)
    marks = Watches()
    for name in (b"a", b"b", b"a", b"c", b"d"):
        marks.watch(1, name, 0, 1)
    assert [key for _, key, _, _ in marks.states()] == [b"a", b"c", b"d"]


def test_what_a_snapshot_writes_is_what_was_watched_when_it_was_cut() -> None:
    driver = Driver()
    driver.apply([b"_WATCH", b"a", b"b"])
    digest = driver.keys.digest()
    cut = driver.keys.begin_snapshot()
    driver.run("SET", "a", 1)
    driver.apply([b"_WATCH", b"b", b"c"])
    while cut.slice(1, 1 << 10) is not None:
        pass
    assert cut.digest() == digest


def _watched(driver: Driver, key: bytes) -> bytes:
    stamp = driver.apply([b"_WATCH", key])
    assert isinstance(stamp, int)
    return driver.marks([(0, key, stamp)])


def _executes(driver: Driver, marks: bytes) -> bool:
    return driver.apply([b"_EXEC", driver.packed([b"PERSIST", b"x"]), b"", marks]) is not NULL_ARRAY


def test_a_copy_made_of_a_snapshot_decides_the_same() -> None:
    driver = Driver()
    driver.run("SET", "a", 1)
    changed, unchanged = _watched(driver, b"a"), _watched(driver, b"b")
    driver.run("SET", "a", 2)
    digest = driver.keys.digest()
    driver.keys = copy_of(driver.keys)
    assert driver.keys.digest() == digest
    assert not _executes(driver, changed)
    assert _executes(driver, unchanged)


@pytest.mark.parametrize("is_removed", [False, True])
def test_a_key_that_comes_due_is_changed_whether_it_is_removed_or_not(is_removed: bool) -> None:  # noqa: FBT001
    driver = Driver()
    driver.run("SET", "a", 1, "PX", 100)
    marks = _watched(driver, b"a")
    driver.now_ms += 100
    if is_removed:
        driver.apply([b"_EXPIRE", b"a"])
    assert not _executes(driver, marks)


def test_a_key_that_was_due_already_is_absent_and_its_removal_changes_nothing() -> None:
    driver = Driver()
    driver.run("SET", "a", 1, "PX", 100)
    driver.now_ms += 100
    marks = _watched(driver, b"a")
    driver.apply([b"_EXPIRE", b"a"])
    assert _executes(driver, marks)


@pytest.mark.parametrize("is_removed", [False, True])
def test_a_hash_of_which_a_field_comes_due_is_changed_whether_it_is_removed_or_not(
    is_removed: bool,  # noqa: FBT001
) -> None:
    driver = Driver()
    driver.run("HSET", "h", "a", 1, "b", 2)
    driver.run("HPEXPIRE", "h", 100, "FIELDS", 1, "a")
    driver.run("HPEXPIRE", "h", 200, "FIELDS", 1, "b")
    marks = _watched(driver, b"h")
    driver.now_ms += 99
    assert _executes(driver, marks)
    driver.now_ms += 1
    if is_removed:
        driver.apply([b"_EXPIRE", b"h"])
    assert not _executes(driver, marks)


def test_a_field_that_was_due_already_is_absent_and_its_removal_changes_nothing() -> None:
    driver = Driver()
    driver.run("HSET", "h", "a", 1, "b", 2)
    driver.run("HPEXPIRE", "h", 100, "FIELDS", 1, "a")
    driver.now_ms += 100
    marks = _watched(driver, b"h")
    driver.apply([b"_EXPIRE", b"h"])
    assert _executes(driver, marks)


def test_a_field_whose_expiry_was_put_off_before_the_watch_is_not_due() -> None:
    driver = Driver()
    driver.run("HSET", "h", "a", 1)
    driver.run("HPEXPIRE", "h", 100, "FIELDS", 1, "a")
    driver.run("HPEXPIRE", "h", 1000, "FIELDS", 1, "a")
    marks = _watched(driver, b"h")
    driver.now_ms += 500
    assert _executes(driver, marks)


@pytest.mark.parametrize(
    ("command", "is_change"),
    [
        ("XREADGROUP GROUP g c STREAMS s >", False),
        ("XACK s g 1-1", False),
        ("XCLAIM s g d 0 1-2", False),
        ("XAUTOCLAIM s g e 0 0", False),
        ("XGROUP SETID s g 0", False),
        ("XGROUP CREATECONSUMER s g z", False),
        ("XGROUP DELCONSUMER s g c", False),
        ("XGROUP DESTROY s g", False),
        ("XSETID s 9-9", False),
        ("XDEL s 1-1", True),
        ("XTRIM s MAXLEN 1", True),
        ("XADD s 9-1 a 1", True),
    ],
)
def test_a_stream_is_changed_by_its_entries_alone(command: str, is_change: bool) -> None:  # noqa: FBT001
    driver = Driver()
    for number in (1, 2, 3):
        driver.run("XADD", "s", f"1-{number}", "a", 1)
    driver.run("XGROUP", "CREATE", "s", "g", 0)
    driver.run("XREADGROUP", "GROUP", "g", "c", "COUNT", 2, "STREAMS", "s", ">")
    marks = _watched(driver, b"s")
    driver.run(*command.split())
    assert _executes(driver, marks) != is_change
    driver.run("XADD", "s", "99-1", "a", 1)
    assert not _executes(driver, marks)


def test_changes_in_one_entry_count_by_their_place_in_it() -> None:
    driver = Driver()
    keys = driver.keys
    keys.begin_entry(7, driver.now_ms)
    stamps = []
    for _ in range(2):
        keys.enter(0, driver.now_ms, is_read=False)
        keys.watches.watch(0, b"a", driver.now_ms, keys.stamp)
        stamps.append(keys.stamp)
        assert keys.is_unchanged(b"a", stamps[-1])
        keys.enter(0, driver.now_ms, is_read=False)
        keys.put(b"a", b"1")
    assert not keys.is_unchanged(b"a", stamps[0])
    assert not keys.is_unchanged(b"a", stamps[1])
    assert keys.is_unchanged(b"a", keys.stamp)


@pytest.mark.parametrize("is_read", [False, True])
def test_what_a_script_does_leaves_the_place_of_its_command(is_read: bool) -> None:  # noqa: FBT001
    keys = Driver().keys
    keys.begin_entry(7, 1_000_000)
    keys.enter(0, 1_000_000, is_read=False)
    stamp = keys.stamp
    for _ in range(3):
        keys.within(0, 1_000_000, is_read=is_read)
    assert keys.stamp == stamp
    keys.enter(0, 1_000_000, is_read=False)
    assert keys.stamp > stamp
