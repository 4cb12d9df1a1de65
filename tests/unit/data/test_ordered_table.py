"""Pops in a row from large sorted sets: what is made ready for them shows nowhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest

from trimaran.cluster.settings import DEFAULTS
from trimaran.node.data import ordered_table
from trimaran.node.data.keyspace import Keyspace
from trimaran.node.data.ordered_table import READY_AFTER, READY_MAX, READY_SHARE, OrderedTable
from trimaran.node.data.sorted_set import Pairs, SortedSet

Ask = Callable[[SortedSet], object]

COUNT = 3000


def _pairs(count: int = COUNT, scores: int = 40) -> Pairs:
    """In their order."""
    pairs = [(b"m%05d" % number, float(number * 7919 % scores)) for number in range(count)]
    return sorted(pairs, key=lambda pair: (pair[1], pair[0]))


def _popped(ours: SortedSet, count: int) -> Pairs:
    return [ours.pop(is_max=False)[:2] for _ in range(count)]


@pytest.fixture
def _soon_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"READY_AFTER": 2, "READY_SHARE": 1, "READY_MAX": 9}.items():
        monkeypatch.setattr(ordered_table, name, value)


@pytest.mark.parametrize("is_max", [False, True])
@pytest.mark.parametrize("count", [129, 400, 5000])
def test_pops_in_a_row_give_all_in_order(count: int, is_max: bool) -> None:  # noqa: FBT001
    ordered = _pairs(count)
    ours = SortedSet.of(ordered, DEFAULTS)
    popped = [ours.pop(is_max=is_max) for _ in range(count)]
    assert [pair[:2] for pair in popped] == (ordered[::-1] if is_max else ordered)
    assert [left for _, _, left in popped] == list(range(count))[::-1]
    assert not ours
    assert list(ours.items()) == []
    assert ours.put(b"new", 1.0, DEFAULTS) is None
    assert list(ours.items()) == [(b"new", 1.0)]


@pytest.mark.usefixtures("_soon_ready")
@pytest.mark.parametrize("seed", range(2))
def test_whatever_comes_between_pops_meets_all_that_is_left(seed: int) -> None:
    rng = Random(seed)
    model = dict(_pairs())
    ours = SortedSet.of(model.items(), DEFAULTS)
    while model:
        is_max = rng.random() < 0.3
        ordered = sorted(model.items(), key=lambda pair: (pair[1], pair[0]), reverse=is_max)
        count = min(len(ordered), int(rng.random() * 40))
        for pair in ordered[:count]:
            del model[pair[0]]
            assert ours.pop(is_max=is_max) == (*pair, len(model))
        assert len(ours) == len(model)
        _ask_something(ours, ordered, count, model, rng)
        assert ours.size_bytes() == SortedSet.of(model.items(), DEFAULTS).size_bytes() or (
            len(model) <= 128
        )


def _ask_something(
    ours: SortedSet, ordered: Pairs, gone: int, model: dict[bytes, float], rng: Random
) -> None:
    """About one that was popped, or that may be ready to be."""
    place = max(gone - 3, 0) + int(rng.random() * 12)
    if place >= len(ordered):
        return
    member, score = ordered[place]
    dice = int(rng.random() * 5)
    if dice == 0:
        assert ours.score(member) == model.get(member)
    elif dice == 1:
        assert ours.put(member, score + 1, DEFAULTS) == model.get(member)
        model[member] = score + 1
    elif dice == 2:
        assert ours.remove(member) == (model.pop(member, None) is not None)
    elif dice == 3:
        other = ours.copy()
        assert dict(other.items()) == model
        assert other.remove(member) == (member in model)
    else:
        left = sorted((score, member) for member, score in model.items())
        rank = left.index((score, member)) if member in model else None
        assert ours.rank(member) == rank


_ASKED: dict[str, Ask] = {
    "score": lambda it: it.score(b"m00500"),
    "rank": lambda it: it.rank(b"m00500"),
    "rank_of": lambda it: it.rank_of(2.0),
    "ranks_between": lambda it: it.ranks_between(1.0, 1.0),
    "slice": lambda it: it.slice(0, 5),
    "members": lambda it: it.members(0, 5),
    "columns": lambda it: it.columns(),
    "items": lambda it: list(it.items()),
    "page": lambda it: it.page(0, COUNT),
    "parts": lambda it: list(it.parts()),
    "part": lambda it: list(it.part(0, COUNT, DEFAULTS).items()),
    "copy": lambda it: list(it.copy().items()),
    "put": lambda it: it.put(b"m00500", 5.0, DEFAULTS),
    "remove": lambda it: it.remove(b"m00500"),
    "delete": lambda it: it.delete(0, 4),
    "pop of the other end": lambda it: it.pop(is_max=True),
}


@pytest.mark.parametrize("name", _ASKED)
def test_all_is_found_while_some_is_ready(name: str) -> None:
    pairs = [(b"m%05d" % number, number // 300 * 1.0) for number in range(COUNT)]
    ours, fresh = SortedSet.of(pairs, DEFAULTS), SortedSet.of(pairs[499:], DEFAULTS)
    assert _popped(ours, 499) == pairs[:499]
    assert _ASKED[name](ours) == _ASKED[name](fresh)
    assert list(ours.items()) == list(fresh.items())
    assert ours.size_bytes() == fresh.size_bytes()


def test_little_is_ready_beside_the_pops_there_were() -> None:
    table = OrderedTable.of([float(n) for n in range(COUNT)], [b"%d" % n for n in range(COUNT)],
                            is_ordered=True)  # fmt: skip
    for number in range(COUNT - 1):
        assert table.pop(is_last=False)[0] == b"%d" % number
        ready = table.count - len(table.scores)
        assert ready <= min(READY_MAX, number // READY_SHARE)
        assert not ready or number >= READY_AFTER
        if number == COUNT // 2:
            table.put(b"last", 1e9)
            assert table.count == len(table.scores)
    assert table.count == 2


def test_nothing_is_ready_where_pops_and_other_things_alternate() -> None:
    table = OrderedTable()
    for number in range(COUNT):
        table.put(b"%d" % number, float(number))
    for number in range(COUNT // 2):
        table.pop(is_last=False)
        assert table.count == len(table.scores) == COUNT - 1
        table.put(b"%d" % number, 1e6 + number)


@pytest.mark.parametrize("pops", [1, 10, 200])
def test_who_pops_asks_for_the_order(pops: int) -> None:
    """It is not given up between pops, though as many elements are written as popped."""
    table = OrderedTable()
    for number in range(COUNT):
        table.put(b"%d" % number, float(number))
    for start in range(0, COUNT, pops):
        gone = [table.pop(is_last=False)[:2] for _ in range(pops)]
        assert [score for _, score in gone] == [float(one) for one in range(start, start + pops)]
        for member, score in gone:
            table.put(member, score + COUNT)
            assert table.has_order


@pytest.mark.usefixtures("_soon_ready")
def test_what_is_ready_is_no_new_member_to_the_encoding() -> None:
    settings = replace(DEFAULTS, zset_max_listpack_entries=195)
    ours = SortedSet.of([(b"m%03d" % number, 1.0) for number in range(200)], settings)
    ours.is_listpack = True
    _popped(ours, 5)
    assert ours.put(b"m005", 2.0, settings) == 1.0
    assert ours.is_listpack


def test_readers_of_one_replica_leave_no_trace() -> None:
    """It is not seen from the state whether somebody has looked at it between two pops."""
    replicas = [Keyspace(), Keyspace()]
    for keys in replicas:
        keys.enter(0, 1, is_read=False)
        keys.put(b"set", SortedSet.of(_pairs(), DEFAULTS))
    for number in range(COUNT - 200):
        replies = []
        for keys in replicas:
            keys.enter(0, 1, is_read=False)
            value = keys.change(b"set", SortedSet)
            assert value is not None
            replies.append(value.pop(is_max=False))
        assert replies[0] == replies[1]
        if number % 90 == 0:
            replicas[0].enter(0, 1, is_read=True)
            found = replicas[0].find(b"set", SortedSet)
            assert found is not None
            assert found.rank(b"absent") is None
            assert found.page(0, 10)[0]
        if number % 500 == 0:
            assert replicas[0].memory_bytes == replicas[1].memory_bytes
            assert replicas[0].digest() == replicas[1].digest()
    assert replicas[0].memory_bytes == replicas[1].memory_bytes
    assert replicas[0].digest() == replicas[1].digest()


def test_a_snapshot_that_begins_between_pops_holds_what_was_left_then() -> None:
    keys = Keyspace()
    keys.enter(0, 1, is_read=False)
    ordered = _pairs()
    keys.put(b"set", SortedSet.of(ordered, DEFAULTS))
    for _ in range(1000):
        value = keys.change(b"set", SortedSet)
        assert value is not None
        value.pop(is_max=False)
        keys.enter(0, 1, is_read=False)
    cut = keys.begin_snapshot()
    copy = Keyspace()
    place = 1000
    while (chunk := cut.slice(2, 1 << 14)) is not None:
        copy.load(chunk)
        keys.enter(0, 1, is_read=False)
        for _ in range(70):
            value = keys.change(b"set", SortedSet)
            assert value is not None
            assert value.pop(is_max=False)[:2] == ordered[place]
            place += 1
    copy.finish_load()
    copy.enter(0, 1, is_read=True)
    found = copy.find(b"set", SortedSet)
    assert found is not None
    assert list(found.items()) == ordered[1000:]
    assert copy.digest() == cut.digest()
