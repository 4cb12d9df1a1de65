"""Lists as they are kept: short rows, chunks, open ends; copies, snapshots, what is counted."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from random import Random

import msgpack
import pytest

from trimaran.node.data.keyspace import Keyspace
from trimaran.node.data.quicklist import ListValue, listpack_entry_bytes

from ...model.driver import copy_of

FILL = -2  # list-max-listpack-size as it is by default.


def list_of(elements: list[bytes]) -> ListValue:
    value = ListValue()
    value.push(elements, FILL, at_head=False)
    return value


def numbers(count: int) -> list[bytes]:
    return [b"%010d" % number for number in range(count)]


def records(value: ListValue) -> list[bytes]:
    return [msgpack.packb(one) for one in (value.pack(), *value.parts())]


def restored(value: ListValue) -> ListValue:
    first, *rest = map(msgpack.unpackb, records(value))
    copy = ListValue.unpack(first)
    for part in rest:
        copy.extend(part)
    return copy


# --- Against a plain list of Python.


class Both:
    """A list and its model; every step is checked."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.value = ListValue()
        self.model: list[bytes] = []
        self.many = self.among([1, 3, 50, 300])
        self.length = self.among([3, 100, 700, 5_000, 20_000])
        self.fill = self.among([-2, -1, 5, 128])

    def among(self, choices: list[int]) -> int:
        return choices[self.below(len(choices))]

    def below(self, count: int) -> int:
        return int(self.rng.random() * count)

    def flip(self) -> bool:
        return self.rng.random() < 0.5

    def element(self) -> bytes:
        match self.below(4):
            case 0:
                return b"x"
            case 1:
                return b"%d" % (self.below(10 ** self.below(12)) - 5)
            case _:
                long = self.length if self.rng.random() < 0.2 else min(self.length, 12)
                return b"abc"[self.below(3) :][:1] * self.below(long)

    def push(self) -> None:
        elements = [self.element() for _ in range(1 + self.below(self.many))]
        at_head = self.flip()
        self.value.push(elements, self.fill, at_head=at_head)
        self.model = elements[::-1] + self.model if at_head else self.model + elements

    def pop(self) -> None:
        count = min(len(self.model), 1 + self.below(self.many))
        if count and self.flip():
            assert self.value.pop(count, self.fill, at_head=True) == self.model[:count]
            del self.model[:count]
        elif count:
            expected = self.model[: -count - 1 : -1]
            assert self.value.pop(count, self.fill, at_head=False) == expected
            del self.model[-count:]

    def drop(self) -> None:
        count = self.below(len(self.model) // 2 + 1)
        at_head = self.flip()
        self.value.drop(count, self.fill, at_head=at_head)
        del self.model[slice(count) if at_head else slice(len(self.model) - count, None)]

    def set(self) -> None:
        if self.model:
            index, element = self.below(len(self.model)), self.element()
            self.value.set_at(index, element, self.fill)
            self.model[index] = element

    def insert(self) -> None:
        index, element = self.below(len(self.model) + 1), self.element()
        self.value.insert(index, element, self.fill)
        self.model.insert(index, element)

    def remove(self) -> None:
        if not self.model:
            return
        element = self.model[self.below(len(self.model))]
        count = self.among([1, 2, 5, 1 << 62])
        is_reversed = self.flip()
        places = self.places(element, len(self.model), is_reversed=is_reversed)[:count]
        removed = self.value.remove(element, count, self.fill, is_reversed=is_reversed)
        assert removed == len(places)
        for place in sorted(places, reverse=True):
            del self.model[place]

    def places(self, element: bytes, looks: int, *, is_reversed: bool) -> list[int]:
        found = [place for place, one in enumerate(self.model) if one == element]
        if is_reversed:
            return [place for place in reversed(found) if place >= len(self.model) - looks]
        return [place for place in found if place < looks]

    def look(self) -> None:
        if not self.model:
            return
        start = self.below(len(self.model))
        stop = start + self.below(len(self.model) - start + 1)
        found = [one for piece in self.value.between(start, stop) for one in piece]
        assert found == self.model[start:stop]
        element = self.model[start]
        assert self.value.at(start) == element
        looks, is_reversed = 1 + self.below(len(self.model)), self.flip()
        expected = self.places(element, looks, is_reversed=is_reversed)
        assert list(self.value.find(element, is_reversed=is_reversed, looks=looks)) == expected

    def restore(self) -> None:
        copy = restored(self.value)
        assert records(copy) == records(self.value)
        self.value = copy

    def step(self) -> None:
        steps: list[Callable[[], None]] = [
            *([self.push] * 5 + [self.pop] * 4 + [self.insert] * 2 + [self.set] * 2),
            *(self.drop, self.remove, self.look, self.restore),
        ]
        steps[self.below(len(steps))]()
        assert len(self.value) == len(self.model)
        assert list(self.value) == self.model


@pytest.mark.parametrize("seed", range(12))
def test_any_operations_give_what_they_give_on_a_plain_list(seed: int) -> None:
    both = Both(seed)
    for _ in range(150):
        both.step()


@pytest.mark.parametrize("seed", range(100, 108))
def test_a_copy_and_its_original_do_not_see_each_other_changes(seed: int) -> None:
    both = Both(seed)
    kept: list[tuple[ListValue, list[bytes], list[bytes]]] = []
    for _ in range(150):
        both.step()
        if both.rng.random() < 0.1:
            first, second = both.value, both.value.copy()
            if both.flip():
                first, second = second, first
            kept.append((first, list(both.model), records(first)))
            both.value = second
    for value, model, packed in kept:
        assert list(value) == model
        assert records(value) == packed


def test_a_copy_of_many_elements_shares_them() -> None:
    value = list_of(numbers(300_000))
    tracemalloc.start()
    try:
        copy = value.copy()
        copy.push([b"x"], FILL, at_head=True)
        copy.set_at(150_000, b"x", FILL)
        assert tracemalloc.get_traced_memory()[1] < 64 << 10
    finally:
        tracemalloc.stop()
    assert value.at(149_999) == b"%010d" % 149_999


# --- What it costs.


@pytest.mark.parametrize(
    ("count", "length"), [(20, 10), (1_000, 10), (10_000, 10), (5_000, 300), (400, 20_000)]
)
def test_the_counted_size_is_near_the_real_one(count: int, length: int) -> None:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        values = [_made(count, length) for _ in range(max(1, 2_000 // count))]
        used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    counted = sum(value.size_bytes() for value in values)
    assert 0.85 < counted / used < 1.15


def _made(count: int, length: int) -> ListValue:
    value = ListValue()
    for number in range(count):
        value.push([b"%0*d" % (length, number)], FILL, at_head=number % 3 == 0)
    return value


@pytest.mark.parametrize("count", [10, 1_000, 100_000])
def test_an_element_of_ten_bytes_takes_less_than_twice_that_of_redis(count: int) -> None:
    redis = 12 * count + 80
    assert _made(count, 10).size_bytes() < 2 * redis


def test_a_part_of_a_snapshot_has_at_most_a_thousand_elements_or_64_kib() -> None:
    value = list_of([*numbers(20_000), b"x" * 100_000, *numbers(5)])
    for kind, content, counts in value.parts():
        elements = sum(counts) if counts else len(content)
        assert elements <= 8_192
        if len(content) > 1:
            assert len(msgpack.packb((kind, content, counts))) <= 68 << 10


def test_a_long_element_is_never_copied() -> None:
    long = b"x" * 1_000_000
    value = list_of([*numbers(100), long, *numbers(100)])
    value.insert(100, b"before", FILL)
    value.remove(b"%010d" % 3, 1, FILL, is_reversed=False)
    assert value.copy().at(100) is long


# --- Under a keyspace.


def test_a_running_snapshot_has_the_list_as_it_was() -> None:
    keys = Keyspace()
    keys.enter(0, 1_000, is_read=False)
    keys.put(b"list", list_of(numbers(5_000)))
    digest = keys.digest()
    cut = keys.begin_snapshot()
    chunks = [cut.slice(1, 1 << 10)]
    changed = keys.change(b"list", ListValue)
    assert changed is not None
    changed.remove(b"%010d" % 7, 1, FILL, is_reversed=False)
    changed.pop(1, FILL, at_head=True)
    changed.set_at(2_500, b"x", FILL)
    while chunks[-1] is not None:
        chunks.append(cut.slice(1, 1 << 10))
    assert cut.digest() == digest
    assert keys.digest() != digest
    copy = Keyspace()
    for chunk in chunks[:-1]:
        assert chunk is not None
        copy.load(chunk)
    copy.finish_load()
    assert copy.digest() == digest
    assert copy.memory_bytes >= 5_000 * 10
    assert list(copy_of(keys).peek(b"list")) == list(changed)


# --- What Redis would call it.


@pytest.mark.parametrize(
    ("element", "size"),
    [
        *((b"0", 2), (b"127", 2), (b"128", 3), (b"-1", 3), (b"-4096", 3), (b"4095", 3)),
        *((b"4096", 4), (b"32768", 5), (b"8388608", 6), (b"2147483648", 10)),
        *((b"", 2), (b"x", 3), (b"x" * 63, 65), (b"x" * 64, 67), (b"01", 4), (b"-", 3)),
        *((b"x" * 126, 130), (b"x" * 4095, 4099), (b"x" * 4096, 4103)),
    ],
)
def test_elements_are_as_long_as_in_a_listpack_of_redis(element: bytes, size: int) -> None:
    assert listpack_entry_bytes(element) == size


def test_a_list_is_a_listpack_until_a_node_of_redis_would_be_full() -> None:
    value = ListValue()
    size = 7
    while size + 10 <= 8192:
        value.push([b"%010d" % len(value)], FILL, at_head=True)
        size += 12  # A number with leading zeros is a text.
        assert not value.is_quicklist
    value.push([b"0123456789"], FILL, at_head=True)
    assert value.is_quicklist
    while size > 4096:
        assert value.is_quicklist
        value.pop(1, FILL, at_head=False)
        size -= 12
    value.pop(1, FILL, at_head=False)
    assert not value.is_quicklist


def test_a_number_of_elements_can_be_the_limit() -> None:
    value = ListValue()
    value.push(numbers(6), 6, at_head=False)
    assert not value.is_quicklist
    value.push([b"x"], 6, at_head=False)
    assert value.is_quicklist
    value.pop(3, 6, at_head=False)
    assert value.is_quicklist
    value.pop(1, 6, at_head=False)
    assert not value.is_quicklist


def test_the_name_is_the_same_after_a_restore() -> None:
    value = list_of(numbers(1_000))
    assert value.is_quicklist
    while value.is_quicklist:
        copy = restored(value)
        value.pop(1, FILL, at_head=True)
        copy.pop(1, FILL, at_head=True)
        assert value.is_quicklist == copy.is_quicklist
