"""Streams against plain lists: chunks, ends, copies, snapshots, what is counted."""

from __future__ import annotations

import gc
import tracemalloc
from random import Random
from typing import TYPE_CHECKING

import pytest

from trimaran.node.data import id_map, stream_parts
from trimaran.node.data.id_map import IdMap, Owner
from trimaran.node.data.keyspace import Keyspace
from trimaran.node.data.stream import PART_MAX, Stream, id_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from trimaran.node.data.consumer_group import Group

Entries = list[tuple[int, list[bytes]]]


def _number(rng: Random, below: int) -> int:
    return int(rng.random() * below)


class Model:
    """The same as a list, with the nodes that entries were put into."""

    def __init__(self) -> None:
        self.entries: Entries = []

    def copy(self) -> Model:
        copy = Model()
        copy.entries = self.entries.copy()
        return copy


def _step(rng: Random, ours: Stream, model: Model) -> None:
    dice = rng.random()
    ids = [id_ for id_, _ in model.entries]
    if dice < 0.6:
        id_ = ours.last_id + 1 + (_number(rng, 3) << 64)
        flat = [b"f%d" % _number(rng, 2), b"%d" % id_, b"g", b"x" * _number(rng, 20)]
        flat = flat[: 2 + 2 * _number(rng, 2)]
        ours.append(id_, flat, 200, 8)
        model.entries.append((id_, flat))
    elif dice < 0.9 and ids:
        id_ = ids[_number(rng, len(ids))] + _number(rng, 2)
        assert ours.delete(id_) == (id_ in ids)
        model.entries = [one for one in model.entries if one[0] != id_]
    elif dice < 0.95:
        length = _number(rng, len(ids) + 2)
        assert ours.trim_to_length(length, is_exact=True, limit=0) == max(len(ids) - length, 0)
        model.entries = model.entries[max(len(ids) - length, 0) :]
    elif ids:
        below = ids[_number(rng, len(ids))]
        count = sum([id_ < below for id_ in ids])
        assert ours.trim_below(below, is_exact=True, limit=0) == count
        model.entries = model.entries[count:]


def _check(ours: Stream, model: Model, rng: Random) -> None:
    entries = model.entries
    assert list(ours.entries()) == entries
    assert list(ours.entries(is_reverse=True)) == entries[::-1]
    assert ours.length == len(entries)
    assert (ours.first_id, ours.top_id) == ((entries[0][0], entries[-1][0]) if entries else (0, 0))
    for _ in range(5):
        start, end = _number(rng, ours.last_id + 2), _number(rng, ours.last_id + 2)
        inside = [one for one in entries if start <= one[0] <= end]
        assert list(ours.entries(start, end)) == inside
        assert list(ours.entries(start, end, is_reverse=True)) == inside[::-1]
    by_id = dict(entries)
    some = sorted([id_ + _number(rng, 2) for id_ in by_id])
    assert list(ours.find_entries(some)) == [(id_, by_id.get(id_)) for id_ in some]
    assert ours.size_bytes() == _unpacked(ours).size_bytes()


def _unpacked(ours: Stream) -> Stream:
    copy = stream_parts.unpack(stream_parts.pack(ours))
    for part in stream_parts.parts(ours):
        stream_parts.extend(copy, part)
    assert stream_parts.pack(copy) == stream_parts.pack(ours)
    assert list(stream_parts.parts(copy)) == list(stream_parts.parts(ours))
    return copy


LENGTHS = (1, 63, 64, 65, 125, 126, 127, 200, 4095, 4096, 5000)  # Of texts, where headers grow.


@pytest.mark.parametrize(
    "bounds", [(4096, 100), (200, 8), (0, 0), (1 << 20, 500), (90, 100), (60_000, 100)]
)
def test_one_field_is_added_as_several_are(bounds: tuple[int, int]) -> None:
    rng = Random(sum(bounds))
    one, other = Stream(), Stream()
    for _ in range(700):
        id_ = one.last_id + 1 + (_number(rng, 3) << 64) + _number(rng, 2) * _number(rng, 500)
        if rng.random() < 0.01:
            id_ = one.last_id + (1 << 72)
        field = b"f%d" % (rng.random() < 0.02)
        long = b"x" * LENGTHS[_number(rng, len(LENGTHS))]
        value = [b"", b"12", b"-7x", b"x" * _number(rng, 90), b"word", long][_number(rng, 6)]
        one.append_one(id_, (id_ >> 64, id_ & PART_MAX), field, value, *bounds)
        other.append(id_, [field, value], *bounds)
        if rng.random() < 0.01:
            one, other = one.copy(), other.copy()
        if rng.random() < 0.05:
            assert one.delete(id_) == other.delete(id_)
    assert stream_parts.pack(one) == stream_parts.pack(other)
    assert list(stream_parts.parts(one)) == list(stream_parts.parts(other))
    assert one.size_bytes() == other.size_bytes()


@pytest.mark.parametrize("seed", range(4))
def test_random_changes_keep_entries_and_ends(seed: int) -> None:
    rng = Random(seed)
    ours, model = Stream(), Model()
    for step in range(1000):
        _step(rng, ours, model)
        if step % 50 == 0:
            _check(ours, model, rng)
    _check(ours, model, rng)


@pytest.mark.parametrize("seed", range(4))
def test_copies_and_what_was_copied_change_apart(seed: int) -> None:
    rng = Random(seed)
    every = [(Stream(), Model())]
    for step in range(2000):
        ours, model = every[_number(rng, len(every))]
        _step(rng, ours, model)
        if step % 200 == 199:
            every.append((ours.copy(), model.copy()))
    for ours, model in every:
        _check(ours, model, rng)


# --- What is pending.


@pytest.fixture
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(id_map, "BLOCK_MAX", 16)
    monkeypatch.setattr(id_map, "MERGE_BELOW", 4)


@pytest.mark.usefixtures("_small_blocks")
@pytest.mark.parametrize("seed", range(4))
def test_pending_entries_are_found_in_order_and_copies_change_apart(seed: int) -> None:
    rng = Random(seed)
    every: list[tuple[Stream, dict[int, tuple[bytes, int, int]]]] = [(Stream(), {})]
    every[0][0].add_group(b"g", 0, 0)
    for step in range(3000):
        ours, model = every[_number(rng, len(every))]
        _step_of_group(rng, ours.change_group(b"g"), model)
        if step % 800 == 799:
            every.append((ours.copy(), model.copy()))
    for ours, model in every:
        _check_group(ours.groups[b"g"], model, rng)
        _check_group(_unpacked(ours).groups[b"g"], model, rng)
        assert _unpacked(ours).size_bytes() == ours.size_bytes()
        size = ours.size_bytes() - ours.groups[b"g"].size_bytes
        ours.remove_group(b"g")
        assert ours.size_bytes() == size == Stream().size_bytes()


def _step_of_group(rng: Random, group: Group, model: dict[int, tuple[bytes, int, int]]) -> None:
    id_, name, dice = _number(rng, 600), b"c%d" % _number(rng, 3), rng.random()
    if dice < 0.6:
        row = (name, _number(rng, 1000), 1 + _number(rng, 3))
        consumer = group.change_consumer(name) or group.add_consumer(name, 0)
        group.assign(id_, consumer, row[1], row[2])
        model[id_] = row
    elif dice < 0.62:
        ids = sorted(dict.fromkeys([_number(rng, 40) + id_ // 2 for _ in range(30)]))
        ids = [1 + one + max(model, default=0) for one in ids] if dice < 0.61 else ids
        ids = [one for one in ids if one < 2000] or [id_]
        consumer = group.change_consumer(name) or group.add_consumer(name, 0)
        group.assign_all(ids, consumer, 5, 2)
        model.update(dict.fromkeys(ids, (name, 5, 2)))
    elif dice < 0.998:
        assert group.acknowledge(id_) == (model.pop(id_, None) is not None)
    else:
        theirs = [one for one, row in model.items() if row[0] == name]
        assert group.remove_consumer(name) in (len(theirs), None)
        for one in theirs:
            del model[one]


def _check_group(group: Group, model: dict[int, tuple[bytes, int, int]], rng: Random) -> None:
    rows = [(id_, *row) for id_, row in sorted(model.items())]
    assert list(group.pending.walk()) == rows
    assert len(group.pending) == len(rows)
    start = _number(rng, 600)
    assert list(group.pending.walk(start)) == [row for row in rows if row[0] >= start]
    assert all(group.pending_of(id_) == model.get(id_) for id_ in range(600))
    if rows:
        assert (group.pending.first(), group.pending.last()) == (rows[0][0], rows[-1][0])
    for consumer in group.in_order():
        own = [(row[0],) for row in rows if row[1] == consumer.name]
        assert list(consumer.pending.walk()) == own
        assert len(consumer.pending) == len(own)


def test_ids_that_come_in_order_fill_their_blocks() -> None:
    ids = IdMap(Owner())
    for id_ in range(10 * id_map.BLOCK_MAX):
        ids.put(id_)
    assert len(ids._blocks) == 10


# --- In a keyspace.


def _filled(count: int) -> Stream:
    stream = Stream()
    for number in range(count):
        stream.append(
            id_of(1_700_000_000_000 + number, 0), [b"field", b"%010d" % number], 4096, 100
        )
    return stream


def test_a_snapshot_holds_a_stream_as_it_was() -> None:
    keys = Keyspace()
    keys.enter(0, 1, is_read=False)
    keys.put(b"s", _filled(5000))
    stream = keys.change(b"s", Stream)
    assert stream is not None
    group = stream.add_group(b"g", 0, 0)
    consumer = group.add_consumer(b"c", 5)
    for id_, _ in list(stream.entries()):
        group.assign(id_, consumer, 7, 1)
    before = keys.digest()
    cut = keys.begin_snapshot()
    copy = Keyspace()
    number = 0
    while (chunk := cut.slice(1, 1 << 20)) is not None:
        assert len(chunk) < 1 << 18
        copy.load(chunk)
        stream = keys.change(b"s", Stream)
        assert stream is not None
        first = stream.first_id
        stream.delete(first)
        group = stream.change_group(b"g")
        group.acknowledge(first)
        stream.append(stream.last_id + 1, [b"a", b"%d" % number], 4096, 100)
        number += 1
    copy.finish_load()
    assert number > 8
    assert copy.digest() == cut.digest() == before != keys.digest()
    copy.enter(0, 1, is_read=True)
    loaded = copy.find(b"s", Stream)
    assert loaded is not None
    assert list(loaded.entries()) == list(_filled(5000).entries())
    assert len(loaded.groups[b"g"].consumers[b"c"].pending) == 5000


def test_parts_are_small_whatever_the_names() -> None:
    stream = _filled(3000)
    for number in range(3):
        group = stream.add_group(b"%d" % number * 40_000, 0, 0)
        for name in range(5):
            group.add_consumer(b"%d" % name * 40_000, 0)
        consumer = group.change_consumer(b"3" * 40_000)
        assert consumer is not None
        for id_ in range(3000):
            group.assign(id_, consumer, 1, 1)
    for part in stream_parts.parts(stream):
        assert len(repr(part)) < 600_000
    _unpacked(stream)


@pytest.mark.parametrize("count", [1, 10, 90, 1000, 5000])
def test_a_stream_is_counted_as_large_as_it_is(count: int) -> None:
    measured, stream = _measured(lambda: _filled(count))
    counted = stream.size_bytes()
    assert abs(counted - measured) <= 0.15 * measured + 100, (counted, measured)


@pytest.mark.parametrize("count", [1, 100, 1000])
def test_what_is_pending_is_counted_as_large_as_it_is(count: int) -> None:
    def fill() -> Stream:
        stream = Stream()
        for name in (b"group1", b"group2"):
            group = stream.add_group(name, 0, 0)
            for consumer in range(4):
                owner = group.add_consumer(b"consumer%d" % consumer, 10**12 + consumer)
                for number in range(count):
                    id_ = id_of(1_700_000_000_000 + number, consumer)
                    group.assign(id_, owner, 1_700_000_000_000 + number, 1)
        return stream

    measured, stream = _measured(fill)
    counted = stream.size_bytes()
    assert abs(counted - measured) <= 0.15 * measured + 100, (counted, measured)


def _measured(fill: Callable[[], Stream]) -> tuple[int, Stream]:
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    stream = fill()
    gc.collect()
    measured = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return measured, stream
