"""What is made of many elements at once is what it would be made of them one by one."""

from __future__ import annotations

from random import Random

import msgpack
import pytest

from trimaran.cluster.settings import DEFAULTS
from trimaran.node.data import chunk
from trimaran.node.data.chunk import chunks_of
from trimaran.node.data.hash import PACKED_MAX, Hash
from trimaran.node.data.packed import pack_row
from trimaran.node.data.sorted_order import in_order
from trimaran.node.data.sorted_set import SMALL_MAX, SortedSet
from trimaran.node.data.stream import ID_MAX, Stream
from trimaran.node.data.table import CHUNK_MAX, Table

COUNTS = [0, 1, 2, CHUNK_MAX - 1, CHUNK_MAX, CHUNK_MAX + 1, 600, 1000, 5000, 20_000]


def names(count: int, seed: int) -> list[bytes]:
    first = int(Random(seed).random() * 1e9)
    return [b"name:%d" % (first + number) for number in range(count)]


def table_state(table: Table[int]) -> tuple[int, int, list[list[object]]]:
    return len(table), table.size_bytes, list(table.parts())


@pytest.mark.parametrize("count", COUNTS)
def test_a_table_is_filled_as_by_many_puts(count: int) -> None:
    keys = names(count, count)
    one_by_one: Table[int] = Table()
    for number, key in enumerate(keys):
        one_by_one.put(key, number)
    filled = Table.filled(keys, range(count))
    assert table_state(filled) == table_state(one_by_one)
    for table in (filled, one_by_one):  # And goes on as it.
        for number in range(700):
            table.put(b"more%d" % number, number)
        for key in keys[::2]:
            table.pop(key)
    assert table_state(filled) == table_state(one_by_one)


def test_a_table_filled_with_a_key_twice_has_fewer_than_were_given() -> None:
    keys = names(1000, 1)
    assert len(Table.filled([*keys, keys[7]], range(1001))) == 1000


@pytest.mark.parametrize("seed", range(12))
def test_the_union_of_two_tables_is_a_table_like_any_other(seed: int) -> None:
    rng = Random(seed)
    sizes = [[50, 400, 3000, 30_000][int(rng.random() * 4)] for _ in range(2)]
    keys = names(max(sizes) * 2, seed)
    first = Table.filled(keys[: sizes[0]], range(sizes[0]))
    second = Table.filled(keys[sizes[0] // 2 :][: sizes[1]], range(sizes[1]))
    before = table_state(first), table_state(second)
    made = Table.union(first, second)
    assert dict(made.items()) == dict(first.items()) | dict(second.items())
    restored: Table[int] = Table()
    for part in made.parts():
        restored.extend(msgpack.unpackb(msgpack.packb(part)))
    assert table_state(restored) == table_state(made)
    for table in (made, restored):
        for key in keys[::3]:
            table.put(key, 5)
        for key in keys[1::3]:
            table.pop(key)
    assert table_state(restored) == table_state(made)
    assert (table_state(first), table_state(second)) == before, "nothing is shared"


@pytest.mark.parametrize("count", [1, PACKED_MAX, PACKED_MAX + 1, 200, 3000])
@pytest.mark.parametrize("value", [b"short", b"long" * 50])
def test_a_hash_of_columns_is_one_of_pairs(count: int, value: bytes) -> None:
    fields = names(count, count)
    values = [value] * count
    put = Hash()
    put.put([word for pair in zip(fields, values, strict=True) for word in pair], DEFAULTS)
    made = Hash.of(fields, values, DEFAULTS)
    assert (made.pack(), list(made.parts()), made.size_bytes(), made.encoding) == (
        put.pack(), list(put.parts()), put.size_bytes(), put.encoding,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(50))
def test_two_sorts_order_as_one_of_pairs(seed: int) -> None:
    rng = Random(seed)
    scores = [0.0, -0.0, 1.0, 2.5, -1.0, float("inf"), 3.0]
    members = names(int(rng.random() * 60), seed)
    members.sort(key=lambda _: rng.random())
    given = [scores[int(rng.random() * len(scores))] for _ in members]
    expected = sorted(zip(given, members, strict=True))
    ordered, numbers = in_order(members.copy(), given.copy())
    assert [(str(score), member) for score, member in expected] == [
        (str(score), member) for score, member in zip(numbers, ordered, strict=True)
    ]


@pytest.mark.parametrize("count", [0, 1, SMALL_MAX, SMALL_MAX + 1, 200, 3000])
def test_a_part_of_a_sorted_set_is_one_of_its_elements(count: int) -> None:
    value = SortedSet()
    for number, member in enumerate(names(count, count)):
        value.put(member, number * 7 % 50 / 2, DEFAULTS)
    for start, stop in ((0, count), (0, count + 5), (1, count - 1), (count // 2, count)):
        part = value.part(start, stop, DEFAULTS)
        expected = SortedSet.of(value.slice(start, stop), DEFAULTS)
        assert list(part.items()) == list(expected.items()) == value.slice(start, stop)
        assert (part.pack(), list(part.parts())) == (expected.pack(), list(expected.parts()))
        assert part.size_bytes() == expected.size_bytes()
        assert part.is_listpack == expected.is_listpack
        if stop > start:
            part.put(b"another", 1.0, DEFAULTS)
            assert value.score(b"another") is None


@pytest.mark.parametrize("seed", range(30))
def test_a_row_is_cut_into_the_same_chunks_however_it_is_looked_at(seed: int) -> None:
    rng = Random(seed)
    count = [0, 1, 63, 64, 65, 127, 128, 129, 500][int(rng.random() * 9)]
    long_ones = [200, chunk.ALONE_BYTES, chunk.ALONE_BYTES + 1, 5000]
    elements = [
        b"x" * (long_ones[int(rng.random() * 4)] if rng.random() < 0.01 else int(rng.random() * 9))
        for _ in range(count)
    ]
    expected = _cut_one_by_one(elements)
    assert chunks_of(elements) == ([one for one, _ in expected], [size for _, size in expected])


def _cut_one_by_one(elements: list[bytes]) -> list[tuple[chunk.Chunk, int]]:
    found: list[tuple[chunk.Chunk, int]] = []
    some: list[bytes] = []
    for element in [*elements, None]:
        is_alone = element is not None and len(element) > chunk.ALONE_BYTES
        if some and (
            element is None
            or is_alone
            or len(some) == chunk.CHUNK_ELEMENTS
            or sum(map(len, some)) + len(element) > chunk.CHUNK_BYTES
        ):
            found.append((pack_row(some), len(some)))
            some = []
        if element is not None and is_alone:
            found.append(((element,), 1))
        elif element is not None:
            some.append(element)
    return found


def test_entries_of_a_stream_are_the_same_at_once_and_one_by_one() -> None:
    stream = Stream()
    for number in range(1, 400):
        fields = [b"a", b"b"] if number % 50 else [b"c"]
        pairs = [word for field in fields for word in (field, b"%d" % number)]
        stream.append(number // 3 << 64 | number % 3, pairs, 4096, 30)
    for number in range(5, 300, 7):
        stream.delete(number // 3 << 64 | number % 3)
    for start, end in (
        (0, ID_MAX),
        (10 << 64 | 1, 50 << 64 | 2),
        (20 << 64, 20 << 64),
        (1 << 90, ID_MAX),
    ):
        some = list(stream.many(start, end))
        at_once = [pair for one in some for pair in zip(one.ids(), one.flats, strict=True)]
        assert at_once == list(stream.entries(start, end))
        texts = [text for one in some for text in one.texts()]
        assert texts == [b"%d-%d" % divmod(id_, 1 << 64) for id_, _ in at_once]
