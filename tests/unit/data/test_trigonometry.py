"""Sine, cosine and arcsine: near those of the C library, and to the last bit what they were."""

from __future__ import annotations

import math
from random import Random

import pytest

from trimaran.node.data import trigonometry
from trimaran.node.data.geohash import distance, exact_distance


def test_they_are_those_of_the_c_library_but_for_its_rounding() -> None:
    rng = Random(1)
    for _ in range(500):
        angle = rng.random() * 6.2 - 3.1
        value = rng.random()
        for ours, theirs in (
            (trigonometry.sin(angle), math.sin(angle)),
            (trigonometry.cos(angle), math.cos(angle)),
            (trigonometry.asin(value), math.asin(value)),
        ):
            assert abs(ours - theirs) <= math.ulp(theirs)


@pytest.mark.parametrize(
    ("value", "sine", "cosine", "arcsine"),
    [
        (0.0, 0.0, 1.0, 0.0),
        (1e-300, 1e-300, 1.0, 1e-300),
        (0.5, 0.479425538604203, 0.8775825618903728, 0.5235987755982989),
        (0.1, 0.09983341664682815, 0.9950041652780258, 0.1001674211615598),
        (1.0, 0.8414709848078965, 0.5403023058681398, 1.5707963267948966),
    ],
)
def test_known_values(value: float, sine: float, cosine: float, arcsine: float) -> None:
    assert trigonometry.sin(value) == sine
    assert trigonometry.cos(value) == cosine
    assert trigonometry.asin(value) == arcsine
    assert trigonometry.sin(-value) == -sine


def test_exact_distances_are_the_same_but_for_the_last_digits() -> None:
    rng = Random(2)
    for _ in range(300):
        one = (rng.random() * 360 - 180, rng.random() * 170 - 85)
        other = (rng.random() * 360 - 180, rng.random() * 170 - 85)
        assert exact_distance(one, other) == pytest.approx(distance(one, other), rel=1e-14)
        assert exact_distance(one, one) == 0
