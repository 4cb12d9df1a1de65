"""Sorted sets against a plain list: order, ranks, copies, snapshots, and what is counted."""

from __future__ import annotations

import gc
import tracemalloc
from bisect import bisect_left
from random import Random

import pytest

from trimaran.cluster.settings import DEFAULTS
from trimaran.node.data import ordered_table, sorted_order
from trimaran.node.data.keyspace import Keyspace
from trimaran.node.data.sorted_set import SMALL_MAX, Pairs, SortedSet

SCORES = [0.0, 1.0, 1.5, -2.0, float("inf"), float("-inf"), 1e300, 5e-324]


@pytest.fixture
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a thousand elements make blocks of chunks that split and join."""
    sizes = {"CHUNK_MAX": 8, "CHUNK_MIN": 3, "CHUNK_JOINED_MAX": 6}
    sizes |= {"BLOCK_MAX": 6, "BLOCK_MIN": 2, "BLOCK_JOINED_MAX": 4}
    for name, value in sizes.items():
        monkeypatch.setattr(sorted_order, name, value)
    monkeypatch.setattr(sorted_order, "MENDED_AT", range(3))


class Model:
    """The same in a dict and a sorted list."""

    def __init__(self) -> None:
        self.scores: dict[bytes, float] = {}

    def ordered(self) -> Pairs:
        return sorted(self.scores.items(), key=lambda pair: (pair[1], pair[0]))


def _number(rng: Random, below: int) -> int:
    return int(rng.random() * below)


def _step(rng: Random, ours: SortedSet, model: Model, names: int) -> None:
    member = b"m%d" % _number(rng, names)
    dice = rng.random()
    if dice < 0.6:
        score = SCORES[_number(rng, 8)] if rng.random() < 0.3 else float(_number(rng, 1000))
        ours.put(member, score, DEFAULTS)
        model.scores[member] = score
    elif dice < 0.95:
        assert ours.remove(member) == (model.scores.pop(member, None) is not None)
    elif dice < 0.97 and model.scores:
        is_max = rng.random() < 0.5
        first = model.ordered()[-1 if is_max else 0]
        del model.scores[first[0]]
        assert ours.pop(is_max=is_max) == (*first, len(model.scores))
    elif model.scores:
        ordered = model.ordered()
        start = _number(rng, len(ordered))
        share = 8 if rng.random() < 0.95 else 1
        stop = min(len(ordered), start + _number(rng, 1 + len(ordered) // share))
        assert ours.delete(start, stop) == ordered[start:stop]
        for gone, _ in ordered[start:stop]:
            del model.scores[gone]


def _check(ours: SortedSet, model: Model, rng: Random) -> None:
    ordered = model.ordered()
    count = len(ordered)
    assert len(ours) == count
    assert list(ours.items()) == ordered
    if count > SMALL_MAX:
        assert ours.size_bytes() == SortedSet.of(ordered, DEFAULTS).size_bytes()
    for _ in range(10):
        start, stop = sorted([_number(rng, count + 1), _number(rng, count + 1)])
        assert ours.slice(start, stop) == ordered[start:stop]
        place = (float(_number(rng, 1000)), b"m%d" % _number(rng, 2000))
        before = bisect_left([(score, member) for member, score in ordered], place)
        assert ours.rank_of(*place) == before
    for rank, (member, score) in list(enumerate(ordered))[:: 1 + count // 20]:
        assert ours.score(member) == score
        assert ours.rank(member) == rank
    assert ours.score(b"absent") is None
    assert ours.rank(b"absent") is None


@pytest.mark.usefixtures("_small_chunks")
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("names", [20, 300, 2000])
def test_random_changes_keep_order_and_ranks(seed: int, names: int) -> None:
    rng = Random(seed)
    ours, model = SortedSet(), Model()
    for step in range(2000):
        _step(rng, ours, model, names)
        if step % 300 == 0:
            _check(ours, model, rng)
    _check(ours, model, rng)


@pytest.mark.usefixtures("_small_chunks")
@pytest.mark.parametrize("unordered_max", [0, 250, 1 << 14])
def test_writes_that_nobody_reads_behind_keep_order_and_ranks(
    unordered_max: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ordered_table, "UNORDERED_MAX", unordered_max)
    rng = Random(unordered_max)
    ours, model = SortedSet(), Model()
    for _ in range(12):
        for _ in range(_number(rng, 600)):
            member, score = b"m%d" % _number(rng, 900), float(_number(rng, 200))
            if rng.random() < 0.8:
                assert ours.put(member, score, DEFAULTS) == model.scores.get(member)
                model.scores[member] = score
            else:
                assert ours.remove(member) == (model.scores.pop(member, None) is not None)
        if rng.random() < 0.3:
            other, ours = ours, ours.copy()
            assert list(other.items()) == model.ordered()
        _check(ours, model, rng)


@pytest.mark.parametrize("count", [1000, ordered_table.UNORDERED_MAX + 1])
def test_an_order_is_put_together_once_it_is_asked_for(count: int) -> None:
    table = ordered_table.OrderedTable()
    for number in range(count):
        table.put(b"m%d" % number, float(-number))
    assert table.has_order == (count > ordered_table.UNORDERED_MAX)
    assert table.order().rank_of(0.0, b"m0") == count - 1
    table.put(b"m0", float(-count))
    assert table.has_order
    assert table.order().rank_of(float(-count), b"m0") == 0


@pytest.mark.usefixtures("_small_chunks")
@pytest.mark.parametrize("scores", [1, 2, 40])
def test_pops_from_either_end_keep_order_among_many_of_one_score(scores: int) -> None:
    rng = Random(scores)
    model = Model()
    model.scores = {b"m%d" % n: float(n % scores) for n in range(1200)}
    ours = SortedSet.of(model.scores.items(), DEFAULTS)
    ordered = model.ordered()
    copy = ours.copy()
    while ordered:
        is_max = rng.random() < 0.3
        assert ours.pop(is_max=is_max)[:2] == ordered.pop(-1 if is_max else 0)
        if len(ordered) % 100 == 0:
            assert list(ours.items()) == ordered
            for rank, (member, score) in list(enumerate(ordered))[::37]:
                assert ours.rank(member) == rank == ours.rank_of(score, member)
    assert list(copy.items()) == model.ordered()


@pytest.mark.usefixtures("_small_chunks")
@pytest.mark.parametrize("seed", range(2))
def test_copies_and_what_was_copied_change_apart(seed: int) -> None:
    rng = Random(seed)
    every = [(SortedSet(), Model())]
    for step in range(2400):
        ours, model = every[_number(rng, len(every))]
        _step(rng, ours, model, 400)
        if step % 400 == 399:
            twin = Model()
            twin.scores = dict(model.scores)
            every.append((ours.copy(), twin))
    for ours, model in every:
        _check(ours, model, rng)


@pytest.mark.usefixtures("_small_chunks")
@pytest.mark.parametrize("count", [0, 1, SMALL_MAX, SMALL_MAX + 1, 700, 1500])
def test_what_is_packed_and_unpacked_is_the_same(count: int) -> None:
    ours = SortedSet.of([(b"m%d" % n, float(n % 50)) for n in range(count)], DEFAULTS)
    copy = _unpacked(ours)
    assert list(copy.items()) == list(ours.items())
    assert copy.size_bytes() == ours.size_bytes()
    assert copy.is_listpack == ours.is_listpack
    assert list(copy.parts()) == list(ours.parts())


def _unpacked(ours: SortedSet) -> SortedSet:
    copy = SortedSet.unpack(ours.pack())
    for part in ours.parts():
        copy.extend(part)
        assert len(list(copy.items())) == len(copy)  # Whole at every moment.
    return copy


def test_nothing_tells_how_a_set_came_to_be() -> None:
    """Neither a snapshot's parts nor pages nor sizes depend on how chunks were filled."""
    grown = SortedSet.of([(b"m%05d" % n, float(n)) for n in range(9000)], DEFAULTS)
    for number in range(9000):
        if number % 9:
            grown.remove(b"m%05d" % number)
    fresh = SortedSet.of(list(grown.items()), DEFAULTS)
    assert list(grown.parts()) == list(fresh.parts())
    assert grown.size_bytes() == fresh.size_bytes()
    cursor = 0
    while True:
        page = grown.page(cursor, 10)
        assert page == fresh.page(cursor, 10)
        cursor = page[0]
        if not cursor:
            break


def test_pages_meet_every_element_that_stays() -> None:
    ours = SortedSet.of([(b"m%d" % n, 1.0) for n in range(3000)], DEFAULTS)
    rng = Random(3)
    seen: dict[bytes, float] = {}
    cursor = 0
    while True:
        cursor, found = ours.page(cursor, 7)
        assert cursor < 1 << 53
        assert len(found) <= 8
        seen |= dict(found)
        if not cursor:
            break
        ours.put(b"new%d" % _number(rng, 500), 2.0, DEFAULTS)
        ours.remove(b"m%d" % (2 * _number(rng, 1500)))
    assert set(seen) >= {b"m%d" % n for n in range(1, 3000, 2)}


@pytest.mark.parametrize("size", [10, 100_000])
def test_parts_are_bounded(size: int) -> None:
    pairs = [(b"%d" % n + b"x" * size, 1.0) for n in range(40)]
    ours = SortedSet.of(pairs, DEFAULTS)
    for part in ours.parts():
        assert len(part) - 1 <= 1024
        assert len(part) == 2 or sum(map(len, part)) <= (64 << 10) + size + 20


def test_a_small_set_stays_packed_and_grows_once() -> None:
    ours = SortedSet()
    for number in range(SMALL_MAX):
        ours.put(b"member:%03d" % number, number * 1.0, DEFAULTS)
    assert ours.pack()[1] is not None
    ours.put(b"one more", 1.0, DEFAULTS)
    assert ours.pack()[1] is None
    ours.delete(0, SMALL_MAX)
    assert len(ours) == 1
    assert ours.pack()[1] is None


def test_a_long_member_makes_a_set_large() -> None:
    ours = SortedSet()
    ours.put(b"x" * 65, 1.0, DEFAULTS)
    assert ours.pack()[1] is None
    assert ours.score(b"x" * 65) == 1.0


def test_a_snapshot_holds_what_was_there_when_it_began() -> None:
    keys = Keyspace()
    keys.enter(0, 1, is_read=False)
    ours = SortedSet.of([(b"m%d" % n, float(n)) for n in range(5000)], DEFAULTS)
    keys.put(b"set", ours)
    before = list(ours.items())
    digest = keys.digest()
    cut = keys.begin_snapshot()
    copy = Keyspace()
    rng = Random(5)
    while (chunk := cut.slice(2, 1 << 20)) is not None:
        copy.load(chunk)
        keys.enter(0, 1, is_read=False)
        changed = keys.change(b"set", SortedSet)
        assert changed is not None
        changed.put(b"m%d" % _number(rng, 6000), 7.0, DEFAULTS)
        changed.remove(b"m%d" % _number(rng, 6000))
        changed.delete(100, 120)
    copy.finish_load()
    copy.enter(0, 1, is_read=True)
    found = copy.find(b"set", SortedSet)
    assert found is not None
    assert list(found.items()) == before
    assert copy.digest() == cut.digest() == digest
    assert copy.memory_bytes == (copy.size_of(b"set") or 0)


@pytest.mark.parametrize("count", [10, 1000, 20_000])
@pytest.mark.parametrize("is_in_order", [True, False])
@pytest.mark.parametrize("is_asked", [True, False])
def test_what_is_counted_is_near_what_is_used(
    count: int,
    is_in_order: bool,  # noqa: FBT001
    is_asked: bool,  # noqa: FBT001
) -> None:
    numbers = list(range(count))
    if not is_in_order:
        Random(1).shuffle(numbers)
    every: list[SortedSet] = []
    gc.collect()
    tracemalloc.start()
    try:
        before = _allocated_bytes()
        for _ in range(max(1, 20_000 // count)):
            ours = SortedSet()
            every.append(ours)
            for number in numbers:
                ours.put(b"mem:%06d" % number, float(number), DEFAULTS)
            if is_asked:  # So there is an order, which else may have been given up.
                assert ours.rank(b"mem:000000") == 0
        gc.collect()
        used = _allocated_bytes() - before
    finally:
        tracemalloc.stop()
    assert sum(one.size_bytes() for one in every) == pytest.approx(used, rel=0.15)


def _allocated_bytes() -> int:
    """Of all that was traced, as memory is given out."""
    return sum([one.size + 15 & -16 for one in tracemalloc.take_snapshot().traces])


@pytest.mark.parametrize("seed", range(40))
def test_members_of_one_score_come_in_order_whatever_bytes_they_have(seed: int) -> None:
    rng = Random(seed)
    ours = SortedSet()
    expected: dict[bytes, float] = {}
    for _ in range(30):
        member = bytes([b"\0\1\2a\xc4\xff"[int(rng.random() * 6)] for _ in range(seed % 5 + 1)])
        score = float(rng.random() < 0.1)
        assert ours.put(member, score, DEFAULTS) == expected.get(member)
        expected[member] = score
        in_order = sorted(expected.items(), key=lambda pair: (pair[1], pair[0]))
        assert ours.slice(0, 100) == in_order
