"""Where keys lie: few of them share a bucket, many of one slot have several."""

from __future__ import annotations

from random import Random

import pytest

from trimaran.cluster.slots import SLOTS, slot_of
from trimaran.node.data.buckets import BUCKET_KEYS_MAX, buckets_of, position_of
from trimaran.node.data.keyspace import Keyspace

from .lists import Words, keyspace_with_words


def filled(names: list[bytes], keys: Keyspace | None = None) -> Keyspace:
    keys = Keyspace() if keys is None else keys
    keys.enter(0, 1000, is_read=False)
    for name in names:
        keys.put(name, b"x")
    return keys


NAMES = {
    "none": [],
    "few": [b"%d" % number for number in range(20)],
    "many": [b"%d" % number for number in range(20 * BUCKET_KEYS_MAX)],
    "of one tag": [b"{tag}%d" % number for number in range(5 * BUCKET_KEYS_MAX)],
    "of two tags, and others": [
        *[b"{one}%d" % number for number in range(2 * BUCKET_KEYS_MAX)],
        *[b"{two}%d" % number for number in range(2 * BUCKET_KEYS_MAX)],
        *[b"%d" % number for number in range(2 * BUCKET_KEYS_MAX)],
    ],
}


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_buckets_hold_what_they_may_and_every_key_once(names: list[bytes]) -> None:
    database = filled(names)._database
    buckets = list(buckets_of(database.slots))
    assert len(buckets) == len(set(map(id, buckets))) == database.buckets
    assert sorted(key for bucket in buckets for key in bucket.values) == sorted(names)
    assert all(len(bucket.values) <= BUCKET_KEYS_MAX for bucket in buckets)
    assert all(key in database.bucket(key).values for key in names)


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("count", [1, 7, 1000])
def test_pages_are_in_the_order_of_positions(names: list[bytes], count: int) -> None:
    database = filled(names)._database
    found: list[bytes] = []
    cursor = 0
    while True:
        cursor, page = database.page(cursor, count)
        found += [key for _, key in page]
        assert all(position_of(key) < cursor for _, key in page) or not cursor
        if not cursor:
            break
    assert found == sorted(names, key=position_of)
    assert [database.nth(place)[1] for place in range(0, len(names), 50)] == found[::50]


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_a_slot_gives_its_own_keys_alone(names: list[bytes]) -> None:
    keys = filled(names)
    for slot in {slot_of(name) for name in names} | {0, SLOTS - 1}:
        mine = sorted(name for name in names if slot_of(name) == slot)
        assert sorted(keys.keys_in_slot(slot)) == mine
        assert keys.count_in_slot(slot) == len(mine)


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_chance_finds_keys_wherever_they_lie(names: list[bytes]) -> None:
    database = filled(names)._database
    rng = Random(1)
    for _ in range(100):
        found = database.sample(3, rng.random, is_volatile=False)
        assert bool(found) == bool(names)
        assert all(bucket.values[key] == b"x" for bucket, key in found)


def test_chance_comes_upon_all_buckets_of_a_lone_tag() -> None:
    database = filled(NAMES["of one tag"])._database
    rng = Random(1)
    met = {key for _ in range(300) for _, key in database.sample(5, rng.random, is_volatile=False)}
    assert len(met) > len(NAMES["of one tag"]) // 2


def test_expiries_go_along_when_a_bucket_is_split() -> None:
    keys = Keyspace()
    keys.enter(0, 1000, is_read=False)
    names = NAMES["many"]
    for number, name in enumerate(names):
        keys.put(name, b"x", 5000 + number if number % 3 else None)
    assert all(
        keys.expiry_of(name) == (5000 + number if number % 3 else None)
        for number, name in enumerate(names)
    )
    assert len(keys.due(5000 + len(names), 10 * len(names))) == keys.expiring(0)[0]


# --- A key is looked up once for several calls.


def test_a_key_is_found_where_it_lies_after_its_bucket_was_split_or_its_database_left() -> None:
    key = b"key"
    keys = filled([key])
    assert keys.find(key, bytes) == b"x"
    filled(NAMES["many"], keys)
    assert keys.find(key, bytes) == b"x"
    keys.switch(1)
    assert keys.find(key, bytes) is None
    keys.put(key, b"y")
    keys.switch(0)
    assert keys.find(key, bytes) == b"x"
    keys.flush()
    assert keys.find(key, bytes) is None
    keys.put(key, b"z")
    assert keys.find(key, bytes) == b"z"


def test_what_was_found_is_copied_for_a_running_snapshot_before_it_is_changed() -> None:
    keys = keyspace_with_words()
    keys.enter(0, 1000, is_read=False)
    keys.put(b"a", Words([b"one"]))
    digest = keys.digest()
    cut = keys.begin_snapshot()
    found = keys.find(b"a", Words)
    assert found is not None
    keys.change_found(b"a", found).append(b"two")
    copy = keyspace_with_words()
    while (chunk := cut.slice(1, 100)) is not None:
        copy.load(chunk)
    copy.finish_load()
    assert copy.digest() == cut.digest() == digest
    assert keys.find(b"a", Words) == [b"one", b"two"]
    assert found == [b"one"]


def test_what_was_found_is_not_to_be_changed_once_something_else_is_there() -> None:
    keys = keyspace_with_words()
    keys.enter(0, 1000, is_read=False)
    keys.put(b"a", Words([b"one"]))
    found = keys.find(b"a", Words)
    keys.put(b"a", Words([b"two"]))
    with pytest.raises(AssertionError, match="changed or removed"):
        keys.change_found(b"a", found)
