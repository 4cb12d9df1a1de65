"""The chunked table against a dict: copies on write, order, pages, chance, what it counts."""

from __future__ import annotations

import sys
from random import Random

import msgpack
import pytest

from trimaran.node.data.buckets import place_of
from trimaran.node.data.table import CHUNK_MAX, HALF, MISSING, Table, bytes_object_size

Model = dict[bytes, int]


def filled(count: int, first: int = 0) -> Table[int]:
    table: Table[int] = Table()
    for number in range(first, first + count):
        table.put(b"%d" % number, number)
    return table


def colliding(count: int, bits: int = 20) -> list[bytes]:
    """Different keys whose hashes begin with the same bits."""
    found: list[bytes] = []
    wanted = place_of(b"seed") >> (32 - bits)
    number = 0
    while len(found) < count:
        key = b"%d" % number
        if place_of(key) >> (32 - bits) == wanted:
            found.append(key)
        number += 1
    return found


def restored(table: Table[int]) -> Table[int]:
    """What a replica has that was given its parts."""
    other: Table[int] = Table()
    for part in table.parts():
        other.extend(msgpack.unpackb(msgpack.packb(part)))
    return other


def state(table: Table[int]) -> tuple[int, int, list[list[object]]]:
    """All of it that replicas must agree on. What is noted of its chunks is right."""
    counts = list(map(len, table.dicts()))
    assert table._fuller == sum([count > HALF for count in counts])
    assert table._overfull == sum([count > CHUNK_MAX for count in counts])
    return len(table), table.size_bytes, list(table.parts())


def change_at_random(table: Table[int], model: Model, rng: Random, names: int) -> None:
    key = b"%d" % int(rng.random() * names)
    value = int(rng.random() * 1000)
    dice = rng.random()
    if dice < 0.3:
        assert table.put(key, value) == (key not in model)
        model[key] = value
    elif dice < 0.5:
        assert table.swap(key, value) == model.get(key, MISSING)
        model[key] = value
    elif dice < 0.7 and model:
        gone, left = table.pop_random(rng.random)
        del model[gone]
        assert left == len(model)
    else:
        assert table.pop(key) == model.pop(key, MISSING)


@pytest.mark.parametrize("seed", range(3))
def test_it_holds_what_a_dict_holds_and_so_do_its_copies(seed: int) -> None:
    rng = Random(seed)
    versions = [(filled(3000), {b"%d" % number: number for number in range(3000)})]
    for step in range(6_000):
        table, model = versions[int(rng.random() * len(versions))]
        # Up and down again: it splits and merges.
        change_at_random(table, model, rng, 4000 if step % 2000 < 1000 else 300)
        if step % 3 == 0:
            table.pop(key := next(iter(table), b""))
            model.pop(key, None)
        if rng.random() < 0.002:
            versions.append((table.copy(), model.copy()))
            del versions[: len(versions) - 4]
    for table, model in versions:
        assert len(table) == len(model)
        assert dict(table.items()) == model
        assert all(table.get(key) == value and key in table for key, value in model.items())
        assert table.get(b"absent") is None
        assert state(restored(table)) == state(table)


def test_it_comes_back_from_its_parts_in_the_same_order_and_goes_on_alike() -> None:
    table = filled(2000)
    for number in range(1500):
        table.pop(b"%d" % number)
    other = restored(table)
    assert list(other.items()) == list(table.items())
    one, two = Random(1), Random(1)
    models = dict(table.items()), dict(other.items())
    for _ in range(5000):
        change_at_random(table, models[0], one, 3000)
        change_at_random(other, models[1], two, 3000)
    assert state(other) == state(table)


@pytest.mark.parametrize("share", [0.01, 0.5, 1.0])
def test_many_are_removed_as_they_are_one_by_one(share: float) -> None:
    rng = Random(1)
    names = [b"%d" % number for number in range(5000)]
    gone = [name for name in names if rng.random() < share]
    rng.shuffle(gone)
    one_by_one, at_once = filled(5000), filled(5000)
    before = state(at_once)
    copy = at_once.copy()
    for name in gone:
        one_by_one.pop(name)
    at_once.remove_all(gone)
    assert state(at_once) == state(one_by_one)
    assert state(copy) == before
    for name in gone:
        at_once.put(name, 1)
        one_by_one.put(name, 1)
    assert state(at_once) == state(one_by_one)


def test_emptied_it_is_as_small_as_a_new_one() -> None:
    table = filled(5000)
    for number in range(5000):
        assert table.pop(b"%d" % number) == number
    assert state(table) == state(Table())
    assert list(table.items()) == []


@pytest.mark.parametrize("count", [1, 10, 100, 1000, 5000])
def test_what_it_counts_is_what_it_takes(count: int) -> None:
    rng = Random(3)
    table: Table[int] = Table()
    for number in range(2 * count):
        table.put(b"%010d" % number, 0)
    for number in range(count):
        table.pop(b"%010d" % number)
    for number in range(count):  # Some go and others come, as in a queue.
        table.pop(b"%010d" % (count + number))
        table.put(b"%010d" % int(rng.random() * 10**9), 0)
    # Not all of them were different.
    parts = [table, table._owner, table._chunks, *table.chunks(), *table.dicts()]
    taken = sum(map(sys.getsizeof, parts))
    taken += sum([-(-sys.getsizeof(key) // 16) * 16 for key in table])
    assert table.size_bytes == pytest.approx(taken, rel=0.15)


def test_a_byte_string_is_counted_as_memory_is_given_out() -> None:
    for length in (0, 1, 10, 15, 16, 100):
        size = sys.getsizeof(b"x" * length)
        assert size <= bytes_object_size(length) < size + 16


# --- Pages.


def walk(table: Table[int], count: int) -> list[bytes]:
    found: list[bytes] = []
    cursor = 0
    while True:
        cursor, page = table.page(cursor, count)
        found += [key for key, _ in page]
        assert 0 <= cursor < 1 << 53
        if cursor == 0:
            return found


@pytest.mark.parametrize("count", [1, 7, 10, 1000, 100_000])
def test_pages_give_each_element_once(count: int) -> None:
    table = filled(3000)
    found = walk(table, count)
    assert len(found) == 3000
    assert sorted(found) == sorted(table)
    assert walk(Table(), count) == []


def test_pages_are_in_the_order_of_hashes() -> None:
    places = [place_of(key) for key in walk(filled(2000), 10)]
    assert places == sorted(places)


@pytest.mark.parametrize("seed", range(3))
def test_what_is_there_all_the_while_is_met_whatever_comes_and_goes(seed: int) -> None:
    rng = Random(seed)
    table = filled(2500)
    faithful = [b"%d" % number for number in range(0, 2500, 25)]
    found: dict[bytes, int] = {}
    cursor = 0
    while True:
        cursor, page = table.page(cursor, 10)
        for key, _ in page:
            found[key] = found.get(key, 0) + 1
        if cursor == 0:
            break
        for _ in range(200):
            name = b"%d" % int(rng.random() * 6000)
            is_growing = len(found) % 1000 < 500
            if name in faithful:
                continue
            if is_growing:
                table.put(name, 0)
            else:
                table.pop(name)
        if rng.random() < 0.2:
            table = restored(table)  # The leader changed.
    assert [found.get(key, 0) for key in faithful] == [1] * len(faithful)


def test_any_number_is_a_cursor() -> None:
    table = filled(1000)
    for cursor in (1, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 64) - 1):
        following, page = table.page(cursor, 10)
        assert following == 0 or following > cursor
        assert all(place_of(key) >= cursor for key, _ in page)


# --- Elements made to collide.


def test_colliding_elements_cost_no_endless_directory() -> None:
    table: Table[int] = Table()
    keys = colliding(CHUNK_MAX + 60, bits=11)
    for key in keys:
        table.put(key, 0)
    assert len(table._chunks) <= 64
    assert sorted(walk(table, 10)) == sorted(keys)
    assert state(restored(table)) == state(table)
    draws = Random(1)
    assert {table.random(draws.random)[0] for _ in range(6000)} == set(keys)
    for key in keys:
        table.pop(key)
    assert state(table) == state(Table())


# --- Chance.


@pytest.mark.parametrize("count", [1, 3, 400, 800])
def test_each_element_is_as_likely(count: int) -> None:
    table = filled(count)
    rng = Random(5)
    tries = 60 * count
    hits: Model = {}
    for _ in range(tries):
        key, value = table.random(rng.random)
        assert key == b"%d" % value
        hits[key] = hits.get(key, 0) + 1
    assert len(hits) == count
    spread = sum([(one - 60) ** 2 / 60 for one in hits.values()])
    assert spread < count + 5 * (2 * count) ** 0.5 + 5  # Chi squared.


@pytest.mark.parametrize("count", [300, 3000])
def test_each_element_is_as_likely_to_be_taken_out_whatever_came_last(count: int) -> None:
    rng = Random(7)
    rounds = 60
    batches = 10  # Each element is in one of them; the later ones came last.
    hits = [0] * batches
    for _ in range(rounds):
        table = filled(count)
        half = count // 2
        gone = [int(table.pop_random(rng.random)[0]) for _ in range(half)]
        # Some of them again, and others: behind all that is there.
        for number in [*gone[::2], *range(count, count + half)]:
            table.put(b"%d" % number, number)
        names = list(table)
        rank = {name: place * batches // len(names) for place, name in enumerate(_by_age(table))}
        taken = [table.pop_random(rng.random)[0] for _ in range(max(1, len(names) // 3))]
        assert len(set(taken)) == len(taken)
        assert not any(name in table for name in taken)
        for name in taken:
            hits[rank[name]] += 1
    expected = sum(hits) / batches
    spread = sum([(one - expected) ** 2 / expected for one in hits])
    assert spread < batches + 5 * (2 * batches) ** 0.5, "chi-square"


def _by_age(table: Table[int]) -> list[bytes]:
    """Of each chunk those that came first, then its second ones, and so on."""
    columns = [list(values) for values in table.dicts()]
    longest = max(map(len, columns))
    return [one[place] for place in range(longest) for one in columns if place < len(one)]


def test_any_two_elements_are_as_likely_to_follow_one_another() -> None:
    rng = Random(3)
    hits: dict[tuple[bytes, bytes], int] = {}
    tries = 6000
    for _ in range(tries):
        table = filled(5)
        pair = table.pop_random(rng.random)[0], table.pop_random(rng.random)[0]
        hits[pair] = hits.get(pair, 0) + 1
    expected = tries / 20
    assert len(hits) == 20
    assert sum([(one - expected) ** 2 / expected for one in hits.values()]) < 20 + 5 * 40**0.5


def test_what_was_drawn_before_changes_nothing() -> None:
    # Lists of keys are there on the one side alone: as on a leader that has served reads.
    table, other = filled(3000), filled(3000)
    reads = Random(4)
    one, two = Random(9), Random(9)
    for step in range(4000):
        for _ in range(step % 3):
            table.random(reads.random)
        assert table.pop_random(one.random) == other.pop_random(two.random)
        number = step * 7919 % 5000
        assert table.put(b"%d" % number, number) == other.put(b"%d" % number, number)
        if step % 10 == 0:
            gone = next(iter(other))
            assert table.pop(gone) == other.pop(gone)
        if step % 500 == 0:
            table.copy()  # From then on no chunk is its own.
            other = restored(other)
            assert state(table) == state(other)
    assert state(table) == state(other)


def test_what_is_removed_is_not_drawn() -> None:
    one_by_one, at_once = filled(3000), filled(3000)
    at_once.sample(900, Random(1).random)
    gone = [b"%d" % number for number in range(0, 3000, 3)]
    for name in gone:
        one_by_one.pop(name)
    at_once.remove_all(gone)
    one, two = Random(2), Random(2)
    for _ in range(500):
        assert at_once.pop_random(one.random) == one_by_one.pop_random(two.random)
    assert state(at_once) == state(one_by_one)


def test_a_few_among_many_places_are_found() -> None:
    table = filled(20_000)
    for number in range(19_990):
        table.pop(b"%d" % number)
    rng = Random(2)
    assert len({table.random(rng.random)[0] for _ in range(500)}) == 10


@pytest.mark.parametrize("count", [0, 1, 10, 300, 999, 1000, 5000])
def test_a_sample_has_different_elements(count: int) -> None:
    table = filled(1000)
    found = table.sample(count, Random(1).random)
    assert len({key for key, _ in found}) == len(found) == min(count, 1000)


def test_a_restored_table_draws_alike() -> None:
    table = filled(3000)
    for number in range(2000):
        table.pop(b"%d" % number)
    other = restored(table)
    one, two = Random(9), Random(9)
    for _ in range(300):
        assert table.random(one.random) == other.random(two.random)
    assert table.sample(100, one.random) == other.sample(100, two.random)
    assert table.sample(900, one.random) == other.sample(900, two.random)
    assert one.random() == two.random()


# --- Parts.


def test_parts_are_small_even_of_large_values() -> None:
    table: Table[bytes] = Table()
    for number in range(3000):
        table.put(b"%d" % number, b"x" * 1000)
    parts = list(table.parts())
    assert max(len(msgpack.packb(part)) for part in parts) < 80_000
    assert max(len(part) for part in parts) <= 2 * 1024
    other: Table[bytes] = Table()
    for part in parts:
        other.extend(part)
        assert len(other) == len(list(other.items()))  # Whole at any moment.
    assert list(other.parts()) == parts
