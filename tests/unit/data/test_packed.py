"""Elements are found in packed rows without taking them apart, whatever bytes they have."""

from __future__ import annotations

from random import Random

import pytest

from trimaran.cluster.settings import DEFAULTS
from trimaran.node.data.hash import Hash
from trimaran.node.data.packed import (
    NOWHERE,
    SHORT_MAX,
    find_in_row,
    find_short,
    pack_one,
    pack_row,
    skip_short,
)
from trimaran.node.data.quicklist import ListValue
from trimaran.node.data.set import SetValue
from trimaran.node.data.sorted_set import SortedSet

# Bytes that headers begin with, and lengths that elements here have.
ALPHABET = b"\xc4\xc5\x00\x01\x02\x03a"


def _element(rng: Random, longest: int = 4) -> bytes:
    length = int(rng.random() * (longest + 1))
    return bytes(ALPHABET[int(rng.random() * len(ALPHABET))] for _ in range(length))


@pytest.mark.parametrize("seed", range(20))
def test_short_elements_are_found_where_they_begin(seed: int) -> None:
    rng = Random(seed)
    for _ in range(100):
        row = [_element(rng) for _ in range(int(rng.random() * 20))]
        packed = b"\xc4\x01a" + pack_row(row) + b"\xc4\x01a"  # It does not look outside.
        end = len(packed) - 3
        for wanted in (*row, _element(rng), bytes(SHORT_MAX + 1), b"a"):
            place, at = find_short(packed, wanted, 3, end, len(row))
            if wanted in row:
                assert place == row.index(wanted)
                assert at == skip_short(packed, 3, place) == 3 + len(pack_row(row[:place]))
            else:
                assert (place, at) == NOWHERE


@pytest.mark.parametrize("seed", range(20))
def test_elements_of_any_length_are_found_where_they_begin(seed: int) -> None:
    rng = Random(seed)
    for _ in range(50):
        row = [_element(rng, 4 if rng.random() < 0.9 else 400) for _ in range(12)]
        packed = pack_row(row)
        for wanted in (*row, _element(rng)):
            at = find_in_row(packed, wanted, len(row))
            if wanted in row:
                assert at == len(b"".join(map(pack_one, row[: row.index(wanted)])))
            else:
                assert at == -1


@pytest.mark.parametrize("seed", range(10))
def test_values_do_not_take_a_piece_of_an_element_for_another(seed: int) -> None:
    """What lies in a row may look like a header and an element behind it."""
    rng = Random(seed)
    fields, members, scores = Hash(), SetValue(), SortedSet()
    elements = ListValue()
    expected: dict[bytes, bytes] = {}
    row: list[bytes] = []
    for _ in range(300):
        name, text = _element(rng), _element(rng)
        if rng.random() < 0.5 and len(expected) < 20:
            assert fields.put((name, text)) == (name not in expected)
            assert members.add(name, DEFAULTS) == (name not in expected)
            scores.put(name, float(len(text)), DEFAULTS)
            expected[name] = text
            elements.push((name,), -2, at_head=False)
            row.append(name)
        else:
            is_there = expected.pop(name, None) is not None
            assert (name in fields, name in members) == (is_there, is_there)
            assert fields.remove((name,)) == members.discard(name) == scores.remove(name)
            assert (name in elements) == (name in row)
            if name in row:
                elements.insert_beside(name, text, -2, is_behind=rng.random() < 0.5)
                row = list(elements)
                assert elements.remove(name, 1, -2, is_reversed=False) == 1
                row.remove(name)
        assert dict(fields.items()) == expected
        assert sorted(members.members()) == sorted(expected)
        assert list(scores.items()) == sorted(
            [(one, float(len(text))) for one, text in expected.items()],
            key=lambda pair: (pair[1], pair[0]),
        )
        assert list(elements) == row
        if len(row) > 20:
            elements.pop(10, -2, at_head=True)
            del row[:10]


def test_ranks_of_scores_that_several_members_have() -> None:
    value = SortedSet()
    for number, member in enumerate((b"a", b"b", b"c", b"d")):
        value.put(member, float(number > 1), DEFAULTS)
    assert [value.rank_of(score) for score in (-1.0, 0.0, 1.0, 2.0)] == [0, 0, 2, 4]
    assert value.rank_of(1.0, b"d") == 3
