"""Numbers at random of an entry: as likely as any other, and the same everywhere."""

from __future__ import annotations

from itertools import pairwise

import pytest

from trimaran.node.commands.chance import Lehmer
from trimaran.node.commands.context import FEW_DRAWS, Context


def assert_even(numbers: list[float], bins: int = 64) -> None:
    counts = [0] * bins
    for number in numbers:
        counts[int(number * bins)] += 1
    expected = len(numbers) / bins
    spread = sum([(one - expected) ** 2 / expected for one in counts])
    assert bins - 5 * (2 * bins) ** 0.5 < spread < bins + 5 * (2 * bins) ** 0.5, "chi-square"


def drawn(context: Context, counts: list[int]) -> list[float]:
    return [draw() for count in counts for draw in [context.draws(count)] * count]


def test_it_is_the_generator_that_it_says() -> None:
    state = 0x_1234_5678_9ABC_DEF0_1234_5678_9ABC_DEF1
    lehmer = Lehmer(0)
    lehmer._state = state
    for _ in range(5):
        state = state * 0xDA942042E4DD58B5 % 2**128
        number = lehmer.random()
        assert number == (state // 2**75) / 2**53
        assert 0 <= number < 1


def test_no_version_changes_them() -> None:
    firsts = [Lehmer(seed).random() for seed in (0, 1, 2**64 - 1)]
    assert firsts == [0.49414309269360446, 0.3777891503629439, 0.6750372026720932]
    lehmer = Lehmer(7)
    numbers = [lehmer.random() for _ in range(3)]
    assert numbers == [0.5008937150588275, 0.8870570899003851, 0.8566356550137759]


@pytest.mark.parametrize("seed", [0, 1, 2**63, 2**64 - 1])
def test_each_is_as_likely_of_one_seed(seed: int) -> None:
    lehmer = Lehmer(seed)
    numbers = [lehmer.random() for _ in range(40_000)]
    assert_even(numbers)
    # So are those behind a small one, and pairs.
    assert_even([two for one, two in pairwise(numbers) if one < 0.25])
    assert_even([(one * 8 % 1 + two) % 1 for one, two in pairwise(numbers)])


@pytest.mark.parametrize("place", range(3))
def test_each_is_as_likely_whatever_the_seed(place: int) -> None:
    numbers = []
    for seed in range(20_000):
        lehmer = Lehmer(seed)
        numbers.append([lehmer.random() for _ in range(place + 1)][place])
    assert_even(numbers)
    differences = [(two - one) % 1 for one, two in pairwise(numbers)]
    assert_even(differences)


def test_an_entry_gives_the_same_again() -> None:
    wanted = [1, 1, 5, FEW_DRAWS, 1, 100]
    assert drawn(Context(0, 1000, 77), wanted) == drawn(Context(0, 1000, 77), wanted)
    assert drawn(Context(0, 1000, 78), wanted) != drawn(Context(0, 1000, 77), wanted)


@pytest.mark.parametrize("counts", [[1] * 500, [500], [FEW_DRAWS, 1, 467]])
def test_an_entry_gives_none_twice(counts: list[int]) -> None:
    numbers = drawn(Context(0, 1000, 5), counts)
    assert len(set(numbers)) == 500
    assert all(0 <= number < 1 for number in numbers)
