"""Kinds of commands beside SET, Redis and etcd: ratios are made within a round."""

from __future__ import annotations

from collections.abc import Sequence

from ...bench.beside_redis import Compared, line
from ...bench.generators import Shape
from ...bench.kinds import BY_NAME
from ...bench.memory import Case, Taken
from ...bench.parse import Load
from ...bench.rounds import Sample


def _samples(rates: Sequence[float]) -> list[Sample]:
    load = [Load(1000, rate, p50_ms=1.0, p99_ms=2.0) for rate in rates]
    return [Sample(one, server_us=20.0, client_us=5.0) for one in load]


def _compared(name: str, ours: Sequence[float], base: Sequence[float]) -> Compared:
    kind = BY_NAME[name]
    ways = (ours, [2 * rate for rate in ours], base, [rate / 4 for rate in ours])
    return Compared(kind, Shape(name, 50, 1), *map(_samples, ways))


def test_a_ratio_is_made_within_a_round() -> None:
    one = _compared("LPUSH", [800, 100, 900], [1000, 125, 3000])
    assert one.ratio(one.base) == 0.8
    assert "| LPUSH | 50 | 1 | 800 | 1,600 | 0.50x | 0.80x | 4.00x | 20.0 | 1 % |  |" in line(one)


def test_a_write_that_is_slower_than_it_should_be_is_named() -> None:
    assert _compared("LPUSH", [60], [100]).is_short
    assert not _compared("LPUSH", [75], [100]).is_short
    assert not _compared("LRANGE_600", [1], [100]).is_short  # It does not write.
    assert not _compared("MSET", [8], [100]).is_short  # Each writes ten keys.


def test_pops_find_as_many_elements_as_there_are_commands() -> None:
    for name in ("LPOP", "SPOP", "ZPOPMIN"):
        stock = BY_NAME[name].stock
        assert stock is not None
        assert stock.count is None


def test_a_type_that_takes_too_much_or_is_counted_wrong_is_named() -> None:
    def taken(what: str, resident: float, counted: float) -> bool:
        return Taken(Case.of(what, 1_000), 1, resident, counted, redis=100.0).is_within

    assert taken("list", 199, 190)
    assert not taken("list", 201, 190)
    assert not taken("string of 10", 165, 165)
    assert not taken("list", 150, 120)
