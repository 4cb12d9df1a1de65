"""Counts of values by powers of two: cheap enough for every command, exact enough for operators."""

from __future__ import annotations

from collections.abc import Sequence

BUCKETS = 34  # The last takes everything larger: of microseconds, more than an hour.


class Histogram:
    """How many values were at most 1, 2, 4, 8, ...; and their sum."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * BUCKETS
        self.total = 0

    def add(self, value: int, times: int = 1) -> None:
        self.counts[bucket_of(value)] += times
        self.total += value * times

    @property
    def count(self) -> int:
        return sum(self.counts)


def bucket_of(value: int) -> int:
    """The bucket of `value`: it is at most 2 ** bucket, and above the half of that."""
    bucket = (value - 1).bit_length() if value > 0 else 0
    return bucket if bucket < BUCKETS else BUCKETS - 1


def cumulative(counts: Sequence[int]) -> list[tuple[int, int]]:
    """(bound, values up to it) for each bucket that is not empty."""
    found = []
    total = 0
    for bucket, count in enumerate(counts):
        total += count
        if count:
            found.append((1 << bucket, total))
    return found


def percentile(counts: Sequence[int], fraction: float) -> int:
    """A bound that this share of the values does not exceed; 0 if there are none."""
    wanted = sum(counts) * fraction
    for bound, total in cumulative(counts):
        if total >= wanted:
            return bound
    return 0
