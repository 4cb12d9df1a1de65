"""A cut holds one moment, whatever is written while it is taken (correctness L5, L7)."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import msgpack
import pytest

from trimaran.node.data.buckets import BUCKET_KEYS_MAX
from trimaran.node.data.cut import (
    HEADER,
    LARGE_BYTES,
    PIECE_BYTES,
    KeyspaceCut,
    digest_of,
    digest_of_key,
    key_record,
)
from trimaran.node.data.keyspace import Keyspace
from trimaran.node.data.values import TYPES
from trimaran.node.errors import Corrupt

from .lists import Words, keyspace_with_words


def filled(count: int = 2000, *, make: Callable[[], Keyspace] = Keyspace) -> Keyspace:
    keys = make()
    keys.begin_entry(3, 1000)
    keys.sessions.register(3, 60_000, 1000)
    keys.sessions.lookup(3, 5, 2, 1000)
    keys.sessions.keep(3, 5, [b"a", 1, None])
    for db in (0, 3, 255):
        keys.enter(db, 1000, is_read=False)
        for number in range(count):
            name = (b"{tag}%d" if number % 2 else b"%d") % number
            keys.put(name, b"value %d" % number, 5000 + number if number % 3 == 0 else None)
    return keys


def load(chunks: list[bytes], make: Callable[[], Keyspace] = Keyspace) -> Keyspace:
    copy = make()
    for chunk in chunks:
        copy.load(chunk)
    copy.finish_load()
    return copy


def rest_of(cut: KeyspaceCut, items_max: int = 100) -> list[bytes]:
    return list(iter(lambda: cut.slice(items_max, 1 << 20), None))


def test_a_snapshot_loads_to_the_same_state() -> None:
    keys = filled()
    digest = keys.digest()
    cut = keys.begin_snapshot()
    copy = load(rest_of(cut))
    assert cut.digest() == digest == copy.digest()
    assert copy.last_stamp_ms == keys.last_stamp_ms
    assert copy.memory_bytes == keys.memory_bytes
    assert copy.databases == keys.databases
    assert copy.next_due_ms() == keys.next_due_ms()
    assert copy.sessions.lookup(3, 5, 2, 1000) == [b"a", 1, None]


def test_a_snapshot_of_nothing_loads_to_nothing() -> None:
    keys = Keyspace()
    cut = keys.begin_snapshot()
    assert load(rest_of(cut)).digest() == cut.digest() == Keyspace().digest()


def test_due_keys_that_are_not_removed_yet_are_part_of_a_snapshot() -> None:
    keys = Keyspace()
    keys.enter(0, 1000, is_read=False)
    keys.put(b"a", b"x", 2000)
    keys.begin_entry(2, 9000)
    copy = load(rest_of(keys.begin_snapshot()))
    assert copy.digest() == keys.digest()
    assert copy.due(9000, 10) == [(0, b"a")]


@pytest.mark.parametrize("seed", range(8))
def test_writes_during_a_snapshot_are_not_in_it(seed: int) -> None:
    rng = Random(seed)
    keys = filled(800)
    digest = keys.digest()
    cut = keys.begin_snapshot()
    chunks = []
    stamp = 1000
    while (chunk := cut.slice(1 + int(rng.random() * 150), 1 << 20)) is not None:
        chunks.append(chunk)
        for _ in range(int(rng.random() * 60)):
            stamp += 1
            keys.begin_entry(stamp, stamp)
            keys.enter([0, 1, 3][int(rng.random() * 3)], stamp, is_read=False)
            number = int(rng.random() * 1600)
            name = (b"{tag}%d" if number % 2 else b"%d") % number
            dice = rng.random()
            if dice < 0.5:
                keys.put(name, b"new", 3000 if dice < 0.2 else None)
            elif dice < 0.8:
                keys.delete(name)
            elif keys.exists(name):
                keys.expire(name, 7000)
            if dice > 0.99:
                keys.flush(0)
    assert load(chunks).digest() == cut.digest() == digest != keys.digest()


def test_a_slot_that_splits_during_a_snapshot_is_in_it_once() -> None:
    keys = Keyspace()
    keys.enter(0, 1000, is_read=False)
    for number in range(BUCKET_KEYS_MAX):
        keys.put(b"{tag}%d" % number, b"x")
    digest = keys.digest()
    cut = keys.begin_snapshot()
    chunks = [cut.slice(100, 1 << 20) or b""]
    for number in range(BUCKET_KEYS_MAX, 5 * BUCKET_KEYS_MAX):
        keys.put(b"{tag}%d" % number, b"y")
    chunks += rest_of(cut)
    assert load(chunks).digest() == digest == cut.digest()


def test_sessions_that_change_during_a_snapshot_are_in_it_as_they_were() -> None:
    keys = Keyspace()
    for index in range(1, 50):
        keys.sessions.register(index, 60_000, 1000)
        keys.sessions.lookup(index, 1, 0, 1000)
        keys.sessions.keep(index, 1, index)
    digest = keys.digest()
    cut = keys.begin_snapshot()
    chunks = [cut.slice(5, 1 << 20) or b""]
    for index in range(1, 50):
        assert keys.sessions.lookup(index, 2, 2, 2000) is not None
        keys.sessions.keep(index, 2, b"later")
    keys.sessions.register(100, 60_000, 2000)
    keys.sessions.register(101, 60_000, 90_000)  # Ends all but the last.
    chunks += rest_of(cut)
    assert load(chunks).digest() == digest == cut.digest()


def test_a_value_changed_in_place_is_in_a_snapshot_as_it_was() -> None:
    keys = keyspace_with_words()
    keys.enter(0, 1000, is_read=False)
    for number in range(300):
        keys.change_or_add(b"{tag}%d" % number, Words).append(b"old")
    digest = keys.digest()
    cut = keys.begin_snapshot()
    chunks = [cut.slice(10, 1 << 20) or b""]
    for number in range(300):
        for _ in range(2):
            words = keys.change(b"{tag}%d" % number, Words)
            assert words is not None
            words.append(b"new")
    chunks += rest_of(cut)
    copy = load(chunks, keyspace_with_words)
    assert copy.digest() == digest == cut.digest()
    assert keys.find(b"{tag}7", Words) == [b"old", b"new", b"new"]


def test_a_value_is_copied_once_for_a_snapshot_and_never_without_one() -> None:
    keys = keyspace_with_words()
    keys.enter(0, 1000, is_read=False)
    first = keys.change_or_add(b"a", Words)
    assert keys.change(b"a", Words) is first
    keys.begin_snapshot()
    copied = keys.change(b"a", Words)
    assert copied is not first
    assert keys.change(b"a", Words) is copied


def test_what_is_changed_in_place_is_counted_and_dropped_when_empty() -> None:
    keys = keyspace_with_words()
    keys.enter(0, 1000, is_read=False)
    words = keys.change_or_add(b"a", Words)
    empty = keys.memory_bytes
    words = keys.change_or_add(b"a", Words)
    words.append(b"x" * 100)
    assert keys.memory_bytes == empty + 100
    words = keys.change_or_add(b"a", Words)
    words.clear()
    keys.delete(b"a")
    assert keys.memory_bytes == keys.count() == 0


def test_slices_stay_within_what_they_are_given() -> None:
    keys = filled(500)
    cut = keys.begin_snapshot()
    for chunk in iter(lambda: cut.slice(10, 200), None):
        records = msgpack.Unpacker(max_buffer_size=0)
        records.feed(chunk)
        assert 1 <= len(list(records)) <= 10
        assert len(chunk) < 200 + 100  # One record may go past.


def test_an_aborted_snapshot_keeps_nothing_and_makes_room_for_the_next() -> None:
    keys = filled(100)
    cut = keys.begin_snapshot()
    with pytest.raises(AssertionError):
        keys.begin_snapshot()
    cut.abort()
    digest = keys.digest()
    assert load(rest_of(keys.begin_snapshot())).digest() == digest


def test_a_second_snapshot_holds_the_later_state() -> None:
    keys = filled(300)
    rest_of(keys.begin_snapshot())
    keys.enter(0, 2000, is_read=False)
    keys.put(b"1", b"changed")
    keys.delete(b"0")
    assert load(rest_of(keys.begin_snapshot())).digest() == keys.digest()


def test_records_of_an_unknown_version_are_refused() -> None:
    with pytest.raises(Corrupt, match="format version 9"):
        Keyspace().load(msgpack.packb((HEADER, 9, 0)))


def test_a_value_that_got_another_name_during_a_snapshot_is_in_it_as_it_was() -> None:
    """The one written out and the one changed later are not the same object (L7)."""
    keys = keyspace_with_words()
    keys.enter(0, 1000, is_read=False)
    for name in (b"moved", b"copied", b"elsewhere"):
        keys.change_or_add(name, Words).append(b"before")
    digest = keys.digest()
    cut = keys.begin_snapshot()
    keys.put(b"moved 2", *keys.take(b"moved"))
    keys.put(b"copied 2", *keys.copy_of(b"copied"))
    value, expire_at_ms = keys.take(b"elsewhere")
    keys.switch(3)
    keys.put(b"elsewhere", value, expire_at_ms)
    for db, name in ((0, b"moved 2"), (0, b"copied 2"), (3, b"elsewhere")):
        keys.switch(db)
        words = keys.change(name, Words)
        assert words is not None
        words.append(b"after")
    chunks = rest_of(cut)
    copy = load(chunks, keyspace_with_words)
    assert copy.digest() == cut.digest() == digest
    copy.enter(0, 1000, is_read=True)
    for name in (b"moved", b"copied", b"elsewhere"):
        assert copy.find(name, Words) == [b"before"]
    keys.enter(0, 1000, is_read=True)
    assert keys.find(b"copied", Words) == [b"before"]
    assert keys.memory_bytes == load(_all_of(keys), keyspace_with_words).memory_bytes


def _all_of(keys: Keyspace) -> list[bytes]:
    return rest_of(keys.begin_snapshot())


def test_a_large_string_is_cut_over_slices_and_loaded_again() -> None:
    large = Random(1).randbytes(3 * LARGE_BYTES + 17)
    keys = Keyspace()
    keys.begin_entry(1, 1000)
    keys.enter(1, 1000, is_read=False)
    keys.put(b"before", b"1")
    keys.put(b"large", large, 5000)
    keys.put(b"behind", b"2")
    cut = keys.begin_snapshot()
    keys.put(b"large", b"changed since")
    chunks = list(iter(lambda: cut.slice(100, PIECE_BYTES), None))
    assert max(map(len, chunks)) < 2 * PIECE_BYTES
    loaded = Keyspace()
    for chunk in chunks:
        loaded.load(chunk)
    loaded.finish_load()
    assert loaded.digest() == cut.digest()
    loaded.enter(1, 1000, is_read=True)
    assert loaded.peek(b"large") == large
    assert [loaded.peek(b"before"), loaded.peek(b"behind")] == [b"1", b"2"]
    assert loaded.expiry_of(b"large") == 5000
    # The digest is that of the record as a whole.
    record = key_record(1, b"large", large, 5000, TYPES)
    assert digest_of_key(1, b"large", large, 5000, TYPES) == digest_of(record)
