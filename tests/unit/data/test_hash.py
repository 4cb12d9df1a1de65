"""The hash as a structure: against a model, copies, snapshots, what it counts."""

from __future__ import annotations

import gc
import tracemalloc
from random import Random

import msgpack
import pytest

from trimaran.node.data.buckets import NEVER
from trimaran.node.data.hash import PACKED_MAX, ROW_BYTES_MAX, SCHEDULE_BYTES, Hash
from trimaran.node.data.keyspace import Keyspace

from ...model.driver import copy_of

Model = dict[bytes, tuple[bytes, int | None]]


def filled(count: int, size: int = 10) -> Hash:
    value = Hash()
    for number in range(count):
        value.put([b"f%0*d" % (size - 1, number), b"v%0*d" % (size - 1, number)])
    return value


def restored(value: Hash) -> Hash:
    other = Hash.unpack(msgpack.unpackb(msgpack.packb(value.pack())))
    for part in value.parts():
        other.extend(msgpack.unpackb(msgpack.packb(part)))
    return other


def state(value: Hash) -> object:
    return msgpack.packb([value.pack(), list(value.parts()), value.size_bytes()])


def content_of(value: Hash) -> Model:
    return {field: (text, value.expiry_of(field)) for field, text in value.fields.items()}


def change_at_random(value: Hash, model: Model, rng: Random, names: int) -> None:
    field = b"%d" % int(rng.random() * names)
    text = b"x" * int(rng.random() * (70 if rng.random() < 0.05 else 10))
    at_ms = int(rng.random() * 1000)
    match int(rng.random() * 6):
        case 0 | 1:
            assert value.put([field, text]) == (field not in model)
            model[field] = text, model.get(field, (b"", None))[1]
        case 2:
            assert value.remove([field, field]) == (field in model)
            model.pop(field, None)
        case 3 if field in model:
            value.expire(field, at_ms)
            model[field] = model[field][0], at_ms
        case 4:
            assert value.persist([field]) == (model.get(field, (b"", None))[1] is not None)
            if field in model:
                model[field] = model[field][0], None
        case 5 if rng.random() < 0.1:
            due = [one for one, (_, when) in model.items() if when is not None and when <= at_ms]
            left = 2
            assert value.remove_due(at_ms, left) == min(len(due), left)
            for one in due:
                if value.get(one) is None:
                    del model[one]


@pytest.mark.parametrize("names", [12, 50, 600])
@pytest.mark.parametrize("seed", range(2))
def test_it_holds_what_the_model_holds_and_so_do_its_copies(seed: int, names: int) -> None:
    rng = Random(seed)
    versions: list[tuple[Hash, Model]] = [(Hash(), {})]
    for _ in range(4000):
        value, model = versions[int(rng.random() * len(versions))]
        change_at_random(value, model, rng, names)
        if rng.random() < 0.01:
            versions.append((value.copy(), model.copy()))
            del versions[: len(versions) - 4]
    for value, model in versions:
        assert content_of(value) == model
        assert len(value) == len(model)
        assert value.expiring == sum(when is not None for _, when in model.values())
        times = [when for _, when in model.values() if when is not None]
        assert value.next_due_ms <= min(times, default=NEVER)
        assert value.look_for_due() == min(times, default=NEVER)
        other = restored(value)
        assert state(other) == state(value)
        assert list(other.fields.items()) == list(value.fields.items())
        assert other.next_due_ms == min(times, default=NEVER)


def test_fields_keep_the_order_in_which_they_came_while_they_are_few() -> None:
    value = Hash()
    value.put([b"b", b"1", b"a", b"2", b"b", b"3"])
    assert list(value.fields.items()) == [(b"b", b"3"), (b"a", b"2")]


@pytest.mark.parametrize(
    "pairs",
    [
        [b"x" * 65, b""],
        [b"x", b"y" * 65],
        [word for number in range(PACKED_MAX) for word in (b"%d" % number, b"")],
    ],
)
def test_many_or_long_fields_make_it_a_table_for_good(pairs: list[bytes]) -> None:
    value = Hash()
    value.put([b"first", b"1"])
    assert value.is_packed
    value.put(pairs)
    assert not value.is_packed
    value.remove(pairs[::2])
    assert not value.is_packed
    assert value.get(b"first") == b"1"
    assert not restored(value).is_packed


def test_due_fields_go_in_the_same_order_on_every_replica() -> None:
    value = filled(3000)
    for number, field in enumerate(list(value.fields)):
        value.expire(field, number % 100)
    other = restored(value)
    while value.remove_due(60, 100):
        other.remove_due(60, 100)
        assert state(value) == state(other)
    assert len(value) == 3000 - 61 * 30
    assert value.next_due_ms == 61


def test_removing_a_field_takes_its_expiry_along() -> None:
    value = filled(2)
    field = next(iter(value.fields))
    value.expire(field, 5)
    value.remove([field])
    value.put([field, b"new"])
    assert value.expiry_of(field) is None
    assert value.expiring == 0
    assert value.next_due_ms == NEVER


@pytest.mark.parametrize("seed", range(3))
def test_a_snapshot_holds_it_as_it_was_while_it_is_written_to(seed: int) -> None:
    rng = Random(seed)
    keys = Keyspace()
    names = [b"a", b"b", b"c"]
    models: dict[bytes, Model] = {name: {} for name in names}
    for step in range(3000):
        keys.enter(0, 1, is_read=False)
        name = names[int(rng.random() * 3)]
        change_at_random(keys.change_or_add(name, Hash), models[name], rng, 400)
        if not keys.peek(name):
            keys.delete(name)
        if step % 500 == 499:
            before = keys.digest()
            cut = keys.begin_snapshot()
            other = Keyspace()
            while (chunk := cut.slice(2, 1 << 16)) is not None:
                keys.enter(0, 1, is_read=False)
                for _ in range(50):
                    change_at_random(keys.change_or_add(name, Hash), models[name], rng, 400)
                if not keys.peek(name):
                    keys.delete(name)
                other.load(chunk)
            other.finish_load()
            assert other.digest() == cut.digest() == before
    keys.enter(0, 1, is_read=False)
    for name, model in models.items():
        value = keys.find(name, Hash)
        assert ({} if value is None else content_of(value)) == model
    assert copy_of(keys).memory_bytes == keys.memory_bytes


@pytest.mark.parametrize("count", [1, 10, 32, 200, 1000, 5000])
@pytest.mark.parametrize("is_expiring", [False, True])
def test_what_it_counts_is_what_it_takes(count: int, is_expiring: bool) -> None:  # noqa: FBT001
    copies = max(1, 3000 // count)
    gc.collect()
    tracemalloc.start()
    try:
        values = [filled(count) for _ in range(copies)]
        if is_expiring:
            for value in values:
                for number, field in enumerate(list(value.fields)):
                    value.expire(bytes(bytearray(field)), 10**12 + number)
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    counted = sum(value.size_bytes() for value in values) - is_expiring * copies * SCHEDULE_BYTES
    assert counted == pytest.approx(taken, rel=0.15, abs=100)


def test_parts_are_bounded() -> None:
    value = filled(5000)
    value.put([word for n in range(200) for word in (b"long %d" % n, b"x" * 5000)])
    for field in list(value.fields):
        value.expire(field, 5)
    assert all(len(part) <= 2 * 1024 for part in value.parts())
    assert all(len(msgpack.packb(part)) <= 80_000 for part in value.parts())


@pytest.mark.parametrize("seed", range(5))
def test_bytes_like_those_in_front_of_fields_and_values_are_told_apart(seed: int) -> None:
    rng = Random(seed)
    alphabet = (b"\xc4", b"\x01", b"\x02", b"\xd9", b"a")

    def word() -> bytes:
        return b"".join([alphabet[int(rng.random() * 5)] for _ in range(int(rng.random() * 4))])

    ours, model = Hash(), dict[bytes, bytes]()
    for _ in range(2_000):
        field, text = word(), word()
        if rng.random() < 0.3:
            assert ours.remove([field]) == (model.pop(field, None) is not None)
        else:
            assert ours.put([field, text]) == (field not in model)
            model[field] = text
        if len(model) > 20:
            for one in list(model)[::2]:
                ours.remove_one(one)
                del model[one]
        other = word()
        assert ours.get(other) == model.get(other)
        assert (other in ours) == (other in model)
        assert list(ours.items()) == list(model.items())
    assert ours.is_packed
    assert list(restored(ours).items()) == list(model.items())


def test_a_new_field_of_a_long_row_makes_it_a_table() -> None:
    value = Hash()
    number = 0
    while value.is_packed:
        value.put([b"%064d" % number, b"v" * 64])
        number += 1
    assert number * 132 > ROW_BYTES_MAX - 132
    assert number * 132 < ROW_BYTES_MAX + 132
    assert len(value) == number
    assert value.get(b"%064d" % 0) == b"v" * 64
