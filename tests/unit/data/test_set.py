"""SetValue against a model: small and large, copied, packed, counted."""

from __future__ import annotations

import tracemalloc
from itertools import count
from random import Random

import pytest

from trimaran.cluster.settings import DEFAULTS, Settings
from trimaran.node.data.keyspace import Keyspace
from trimaran.node.data.set import (
    ENCODINGS,
    HASHTABLE,
    INTS_MAX,
    INTSET,
    LISTPACK,
    ROW_MAX,
    SetValue,
    encoding_of,
)
from trimaran.node.data.set_algebra import difference, intersection, union, union_value


def texts(numbers: range) -> list[bytes]:
    return [b"%d" % number for number in numbers]


def names(numbers: range) -> list[bytes]:
    return [b"member%d" % number for number in numbers]


def set_of(members: list[bytes], settings: Settings = DEFAULTS) -> SetValue:
    value = SetValue()
    value.expect(members[0], 1, settings)
    for member in members:
        value.add(member, settings)
    return value


def restored(value: SetValue) -> SetValue:
    copy = SetValue.unpack(value.pack())
    for part in value.parts():
        copy.extend(part)
    return copy


def is_same(one: SetValue, other: SetValue) -> bool:
    return (one.members(), one.encoding, one.size_bytes(), len(one)) == (
        other.members(), other.encoding, other.size_bytes(), len(other),
    )  # fmt: skip


def _some_member(rng: Random, kind: int, width: int) -> bytes:
    number = int(rng.random() * width) - width // 2
    if kind == 0:
        return b"%d" % (number << int(rng.random() * 3) * 20)
    return b"%d" % number if number % 3 else b"m%d" % number * (1 + number % 9)


@pytest.mark.parametrize("seed", range(8))
def test_a_set_holds_what_a_model_holds_and_so_do_its_copies(seed: int) -> None:
    rng = Random(seed)
    width = [6, 60, 300, 3000][seed % 4]
    pairs = [(SetValue(), dict[bytes, None]())]
    pairs[0][0].expect(b"1", 1, DEFAULTS)
    for _ in range(1500):
        place = int(rng.random() * len(pairs))
        value, model = pairs[place]
        member = _some_member(rng, seed % 2, width)
        dice = rng.random()
        if dice < 0.6:
            assert value.add(member, DEFAULTS) == (member not in model)
            model[member] = None
        elif dice < 0.99:
            assert value.discard(member) == (member in model)
            model.pop(member, None)
        elif len(pairs) < 4:
            pairs.append((value.copy(), dict(model)))
        else:
            pairs[place] = (restored(value), model)
        assert len(pairs[place][0]) == len(model)
    for value, model in pairs:
        assert sorted(value.members()) == sorted(model)
        assert all(member in value for member in model)
        assert is_same(restored(value), value)


def test_integers_come_in_ascending_order_and_others_as_they_came() -> None:
    value = set_of([b"3", b"-1", b"40000", b"2"])
    assert value.members() == [b"-1", b"2", b"3", b"40000"]
    value.add(b"a", DEFAULTS)
    value.add(b"0", DEFAULTS)
    assert value.members() == [b"-1", b"2", b"3", b"40000", b"a", b"0"]


def test_a_member_that_looks_like_a_piece_of_another_is_told_apart() -> None:
    value = set_of([b"a\xc4\x01b", b"\xc4\x00"])
    assert b"b" not in value
    assert b"" not in value
    assert not value.discard(b"b")
    assert value.add(b"b", DEFAULTS)
    assert value.discard(b"a\xc4\x01b")
    assert value.members() == [b"\xc4\x00", b"b"]


@pytest.mark.parametrize("number", [32767, 32768, -32769, 2147483648, -2147483649, -(1 << 63)])
def test_integers_of_any_width_are_kept(number: int) -> None:
    value = set_of([b"0"])
    value.add(b"%d" % number, DEFAULTS)
    assert sorted(map(int, value.members())) == sorted([0, number])
    assert is_same(restored(value), value)


@pytest.mark.parametrize(
    ("members", "encoding"),
    [
        (texts(range(512)), INTSET),
        (texts(range(513)), HASHTABLE),
        (names(range(128)), LISTPACK),
        (names(range(129)), HASHTABLE),
        ([b"x" * 64], LISTPACK),
        ([b"x" * 65], HASHTABLE),
        ([*texts(range(127)), b"a"], LISTPACK),
        ([*texts(range(128)), b"a"], HASHTABLE),
        ([b"1", b"01"], LISTPACK),
        ([b"1", b"9223372036854775808"], LISTPACK),
    ],
)
def test_the_encoding_is_what_redis_calls_it(members: list[bytes], encoding: int) -> None:
    value = set_of(members)
    assert ENCODINGS[value.encoding] == ENCODINGS[encoding]
    assert sorted(value.members()) == sorted(members)
    assert encoding_of(members, DEFAULTS) == encoding
    for member in members[1:]:
        value.discard(member)
    assert value.encoding == encoding, "it never goes back"


def test_the_encoding_follows_from_the_settings_and_not_from_how_it_is_kept() -> None:
    few = Settings(set_max_intset_entries=2, set_max_listpack_entries=1)
    assert set_of(texts(range(3)), few).encoding == HASHTABLE
    assert set_of([b"a", b"b"], few).encoding == HASHTABLE
    many = Settings(set_max_intset_entries=5000, set_max_listpack_entries=5000)
    numbers = set_of(texts(range(2 * INTS_MAX)), many)
    assert numbers.encoding == INTSET
    assert numbers.members() == texts(range(2 * INTS_MAX))
    assert is_same(restored(numbers), numbers)
    numbers.add(b"a", many)
    assert numbers.encoding == LISTPACK
    assert set_of(names(range(2 * ROW_MAX)), many).encoding == LISTPACK


def test_many_at_once_are_a_table_for_redis_from_the_beginning() -> None:
    for first, number, encoding in [
        (b"1", 512, INTSET), (b"1", 513, HASHTABLE), (b"a", 128, LISTPACK), (b"a", 129, HASHTABLE),
    ]:  # fmt: skip
        value = SetValue()
        value.expect(first, number, DEFAULTS)
        assert value.encoding == encoding
    value = set_of([b"1", b"2"])
    value.expect(b"1", 513, DEFAULTS)
    assert value.encoding == HASHTABLE
    assert value.members() == [b"1", b"2"]


@pytest.mark.parametrize("size", [1, 10, 100, 500, 1000, 5000])
@pytest.mark.parametrize("name", [b"%d", b"member%09d"])
def test_what_is_counted_is_near_what_it_takes(size: int, name: bytes) -> None:
    members = [name % number for number in range(1_000_000, 1_000_000 + size)]
    copies = max(1, 2000 // size)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    # Members of their own, as they come from a socket.
    values = [set_of([bytes(bytearray(one)) for one in members]) for _ in range(copies)]
    taken = (tracemalloc.get_traced_memory()[0] - before) / copies
    tracemalloc.stop()
    assert 0.85 < values[0].size_bytes() / taken < 1.15


@pytest.mark.parametrize("members", [texts(range(10)), names(range(10)), names(range(1500))])
def test_every_member_is_as_likely_as_any_other(members: list[bytes]) -> None:
    rng = Random(5)
    value = set_of(members)
    tries = 20 * len(members)
    for found in (
        [value.random(rng.random) for _ in range(tries)],
        value.random_many(tries, rng.random),
        [one for _ in range(60) for one in value.sample(len(members) // 3, rng.random)],
        [one for _ in range(1500) for one in value.sample(len(members) // 150, rng.random)],
    ):
        if found:
            expected = len(found) / len(members)
            counts = [0] * len(members)
            places = {member: place for place, member in enumerate(members)}
            for member in found:
                counts[places[member]] += 1
            deviation = sum((one - expected) ** 2 / expected for one in counts) / len(members)
            assert 0.3 < deviation < 2.0, "chi-square over degrees of freedom"


@pytest.mark.parametrize("size", [5, 100, 5000])
def test_a_sample_has_no_member_twice(size: int) -> None:
    rng = Random(size)
    value = set_of(names(range(size)))
    for wanted in (1, 2, size // 40, size // 2, size - 1, size, size + 1):
        found = value.sample(wanted, rng.random)
        assert len(found) == len(set(found)) == min(wanted, size)
        rest = value.copy()
        rest.remove_all(found)
        assert sorted([*rest.members(), *found]) == sorted(value.members())
        assert len(rest) == size - len(found)


def test_a_walk_meets_all_that_stays_whatever_comes_and_goes() -> None:
    rng = Random(3)
    value = set_of(names(range(3000)))
    staying = names(range(1500, 3000))
    found: list[bytes] = []
    cursor, numbers = 0, count(10_000)
    while True:
        cursor, page = value.page(cursor, 10)
        found += page
        if cursor == 0:
            break
        assert 0 < cursor < 1 << 53
        for _ in range(12):
            value.add(b"new%d" % next(numbers), DEFAULTS)
            value.discard(b"member%d" % int(rng.random() * 1500))
    assert set(staying) <= set(found)
    assert len(found) == len(set(found))


def _in_keyspace(members: list[bytes]) -> Keyspace:
    keys = Keyspace()
    keys.begin_entry(1, 1000)
    keys.enter(0, 1000, is_read=False)
    value = keys.change_or_add(b"set", SetValue)
    for member in members:
        value.add(member, DEFAULTS)
    return keys


@pytest.mark.parametrize("size", [5, 100, 6000])
def test_a_snapshot_has_the_set_as_it_was_while_it_changes(size: int) -> None:
    rng = Random(size)
    keys = _in_keyspace(names(range(size)))
    digest = keys.digest()
    cut = keys.begin_snapshot()
    loaded = Keyspace()
    while (chunk := cut.slice(1, 1000)) is not None:
        loaded.load(chunk)
        value = keys.change(b"set", SetValue)
        assert value is not None
        for _ in range(1 + size // 20):
            value.discard(b"member%d" % int(rng.random() * size))
            value.add(b"other%d" % int(rng.random() * size), DEFAULTS)
    loaded.finish_load()
    assert loaded.digest() == cut.digest() == digest != keys.digest()
    loaded.enter(0, 1000, is_read=True)
    found = loaded.find(b"set", SetValue)
    assert found is not None
    assert sorted(found.members()) == sorted(names(range(size)))


@pytest.mark.parametrize("seed", range(16))
def test_algebra_agrees_with_a_model(seed: int) -> None:
    rng = Random(seed)
    values, models = [], []
    for _ in range(1 + int(rng.random() * 6)):
        size = [3, 50, 400, 4000][int(rng.random() * 4)]
        start = int(rng.random() * 300)
        make = [texts, names][int(rng.random() * 2)] if seed % 3 else names
        values.append(set_of(make(range(start, start + size))))
        models.append(set(values[-1].members()))
    values.append(values[0])
    assert sorted(union(values)) == sorted(set.union(*models))
    assert sorted(intersection(values)) == sorted(set.intersection(*models))
    assert sorted(difference(values[:-1])) == sorted(models[0].difference(*models[1:]))
    assert difference(values) == []
    assert len(intersection(values, 2)) >= min(2, len(set.intersection(*models)))
    made = union_value(values, DEFAULTS)
    assert sorted(made.members()) == sorted(set.union(*models))
    assert is_same(restored(made), made)
    made.add(b"new", DEFAULTS)
    assert all(b"new" not in value for value in values), "it shares nothing that is written to"
