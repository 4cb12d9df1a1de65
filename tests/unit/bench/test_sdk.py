"""What the table of clients says falls short."""

from __future__ import annotations

from ...bench.parse import Load
from ...bench.rounds import Sample
from ...bench.sdk import Measured, misses, table


def measured(tasks: int, *, etcd: tuple[float, float], sdk: tuple[float, float, float]) -> Measured:
    """Rates and p50 of both, and the SDK's CPU; two rounds alike."""
    theirs = Sample(Load(1, etcd[0], etcd[1], 9.0), 100.0, 80.0)
    ours = Sample(Load(1, sdk[0], sdk[1], 9.0), 30.0, sdk[2])
    return Measured("SET", tasks, {"etcd": [theirs] * 2, "SDK, db 1": [ours] * 2})


def test_bounds_that_are_kept_are_not_named() -> None:
    kept = measured(500, etcd=(1000, 2), sdk=(3000, 1, 24.9))
    assert misses(kept) == []
    assert misses(measured(1, etcd=(1000, 1), sdk=(800, 1.3, 300))) == []
    assert misses(measured(50, etcd=(1000, 1), sdk=(10, 30, 300))) == []
    assert "Short of the bounds: nothing." in table([kept])
    assert "3,000 (3.00x)" in table([kept])


def test_bounds_that_are_not_kept_are_named_with_their_numbers() -> None:
    assert misses(measured(500, etcd=(1000, 2), sdk=(2900, 1, 25))) == [
        "SET with 500 tasks, db 1: 2.90x etcd's rate",
        "SET with 500 tasks, db 1: 25.0 us in the client",
    ]
    assert misses(measured(1, etcd=(1000, 1), sdk=(900, 1.4, 300))) == [
        "SET with 1 tasks, db 1: p50 is 1.40x etcd's"
    ]
