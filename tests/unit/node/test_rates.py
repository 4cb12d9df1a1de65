"""How fast counters grow."""

from __future__ import annotations

from trimaran.node.rates import INTERVAL_NS, SAMPLES, Rates


def test_nothing_is_told_before_there_are_two_samples() -> None:
    rates = Rates(("a",))
    assert rates.is_due(0)
    rates.sample(0, (5,))
    assert not rates.is_due(INTERVAL_NS - 1)
    assert rates.per_second() == {"a": 0.0}


def test_a_rate_is_over_the_last_samples_only() -> None:
    rates = Rates(("slow", "fast"))
    rates.sample(0, (0, 1_000_000))
    for number in range(1, SAMPLES + 1):
        rates.sample(number * INTERVAL_NS, (number, 1_000_000 + 100 * number))
    assert rates.per_second() == {"slow": 10.0, "fast": 1000.0}


def test_a_counter_that_was_set_back_does_not_run_backwards() -> None:
    rates = Rates(("a",))
    rates.sample(0, (1000,))
    rates.sample(INTERVAL_NS, (3,))
    assert rates.per_second() == {"a": 0.0}
