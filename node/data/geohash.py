"""Places on the earth as numbers: 52 bits of latitude and longitude in turn, as Redis has them.

The number is a sorted set's score. Places near each other mostly have numbers near each other: a
search looks through up to nine squares, each a range of scores, and then at every place found.
Steps of the arithmetic are those of Redis, in its order: the last bit of a score or of a distance
follows from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from . import trigonometry

STEP_MAX: Final = 26  # Bits of each coordinate.
LONGITUDE_MAX: Final = 180.0
LATITUDE_MAX: Final = 85.05112878  # Of the square map of the world.
EARTH_RADIUS_M: Final = 6372797.560856

_WIDTH: Final = LONGITUDE_MAX + LONGITUDE_MAX
_HEIGHT: Final = LATITUDE_MAX + LATITUDE_MAX
_X_STEP: Final = _WIDTH / (1 << STEP_MAX)
_Y_STEP: Final = _HEIGHT / (1 << STEP_MAX)

_MERCATOR_MAX: Final = 20037726.37
_RADIANS: Final = math.pi / 180
_X_BITS: Final = 0xAAAAAAAAAAAAAAAA
_Y_BITS: Final = 0x5555555555555555
_SPREAD: Final = tuple(int(f"{bits:b}", 4) for bits in range((1 << 13) + 1))
# As doubles; of the longitude at twice that, the high halves 26 bits higher.
_LOW_Y: Final = tuple(map(float, _SPREAD))
_LOW_X: Final = tuple([2.0 * one for one in _LOW_Y])
_HIGH_Y: Final = tuple([float(1 << 26) * one for one in _LOW_Y])
_HIGH_X: Final = tuple([2.0 * one for one in _HIGH_Y])
_GATHERS: Final = (
    (1, 0x3333333333333333),
    (2, 0x0F0F0F0F0F0F0F0F),
    (4, 0x00FF00FF00FF00FF),
    (8, 0x0000FFFF0000FFFF),
    (16, 0x00000000FFFFFFFF),
)
_WORD: Final = (1 << 64) - 1
_ALPHABET: Final = b"0123456789bcdefghjkmnpqrstuvwxyz"
_WHOLE: Final = (180.0, 90.0)  # Of geohashes as the rest of the world has them.
_SQUARE: Final = (LONGITUDE_MAX, LATITUDE_MAX)

_NEARLY: Final = 1 + 1e-9  # No machine is farther off than that.

_Function: TypeAlias = Callable[[float], float]
Point = tuple[float, float]  # Longitude, latitude; degrees.


@dataclass(frozen=True, slots=True)
class Square:
    """What shares the first `2 * step` bits."""

    bits: int
    step: int

    def moved(self, x: int, y: int) -> Square:
        """The square so many (-1, 0, 1) to the east and north; the map is round both ways."""
        shift = 64 - self.step * 2
        east_bits, north_bits = self.bits & _X_BITS, self.bits & _Y_BITS
        east_bits = _stepped(east_bits, x, _Y_BITS >> shift, _X_BITS >> shift)
        north_bits = _stepped(north_bits, y, _X_BITS >> shift, _Y_BITS >> shift)
        return Square(east_bits | north_bits, self.step)

    @property
    def edges(self) -> tuple[float, float, float, float]:
        """West, south, east, north; degrees."""
        x, y = _gathered(self.bits >> 1), _gathered(self.bits)
        west, east = _edges(x, self.step, LONGITUDE_MAX)
        south, north = _edges(y, self.step, LATITUDE_MAX)
        return west, south, east, north

    @property
    def scores(self) -> tuple[float, float]:
        """The first score in it, and the first behind it."""
        shift = (STEP_MAX - self.step) * 2
        return float(self.bits << shift), float((self.bits + 1) << shift)


def _stepped(bits: int, by: int, gap: int, mask: int) -> int:
    """One of two coordinates, moved within `mask`; `gap` are the bits of the other one."""
    if by == 0:
        return bits  # On the very edge of the map there is a bit beyond the mask, which stays.
    return (bits + gap + 1 if by > 0 else (bits | gap) - (gap + 1)) & mask


def _edges(offset: int, step: int, limit: float) -> tuple[float, float]:
    scale = limit - -limit
    low = -limit + (offset * 1.0 / (1 << step)) * scale
    return low, -limit + (((offset + 1) & 0xFFFFFFFF) * 1.0 / (1 << step)) * scale


def _spread(bits: int) -> int:
    """With a place between any two of 27 bits, of which the highest is alone if it is set."""
    return _SPREAD[bits >> 13] << 26 | _SPREAD[bits & 8191]


def _gathered(bits: int) -> int:
    bits &= _Y_BITS
    for shift, mask in _GATHERS:
        bits = (bits | bits >> shift) & mask
    return bits


def square_of(point: Point, step: int, limits: Point = _SQUARE) -> Square:
    """The square of that size in which a point is."""
    return Square(_bits_of(point, step, limits), step)


def _bits_of(point: Point, step: int, limits: Point) -> int:
    east, north = limits
    x = int((point[0] - -east) / (east - -east) * (1 << step))
    y = int((point[1] - -north) / (north - -north) * (1 << step))
    return _spread(x) << 1 | _spread(y)


def score_of(longitude: float, latitude: float) -> float:
    """The 52 bits of a point, which is within the limits, as a score."""
    # As Redis's division and multiplication: to scale by a power of two changes no other bit.
    x, y = int((longitude + LONGITUDE_MAX) / _X_STEP), int((latitude + LATITUDE_MAX) / _Y_STEP)
    # As `_spread` does it, of both. No two summands have a bit in common; only at the very east are
    # there 53 bits and more, and then all but the last sum are exact.
    return _HIGH_X[x >> 13] + _HIGH_Y[y >> 13] + _LOW_X[x & 8191] + _LOW_Y[y & 8191]


def point_of(score: float) -> Point:
    """The middle of the smallest square that a score stands for."""
    west, south, east, north = Square(_as_bits(score), STEP_MAX).edges
    return (
        max(-LONGITUDE_MAX, min(LONGITUDE_MAX, (west + east) / 2)),
        max(-LATITUDE_MAX, min(LATITUDE_MAX, (south + north) / 2)),
    )


def _as_bits(score: float) -> int:
    """As C converts a double to 64 bits on x86-64: any sorted set can be asked for places."""
    if -(2.0**63) <= score < 2.0**64:
        return int(score) & _WORD
    return 0 if score > 0 else 1 << 63


def text_of(point: Point) -> bytes:
    """The geohash of a point in eleven letters, as others write it."""
    bits = square_of(point, STEP_MAX, _WHOLE).bits
    # There are no bits left for the last letter.
    return bytes(_ALPHABET[bits >> 47 - 5 * place & 31] for place in range(10)) + b"0"


# --- Distances; metres.


def distance(one: Point, other: Point) -> float:
    """Between two points on a sphere, by the haversine formula, as this machine computes it."""
    return _haversine(one, other, math.sin, math.cos, math.asin)


def exact_distance(one: Point, other: Point) -> float:
    """The same on every machine, and slower: for what is stored."""
    return _haversine(one, other, trigonometry.sin, trigonometry.cos, trigonometry.asin)


def _haversine(one: Point, other: Point, sin: _Function, cos: _Function, asin: _Function) -> float:
    v = sin((other[0] * _RADIANS - one[0] * _RADIANS) / 2)
    if v == 0.0:
        return _distance_north(one[1], other[1])
    first, second = one[1] * _RADIANS, other[1] * _RADIANS
    u = sin((second - first) / 2)
    a = u * u + cos(first) * cos(second) * v * v
    # Rounding must not take it beyond the other side of the earth.
    return 2.0 * EARTH_RADIUS_M * asin(min(1.0, math.sqrt(a)))


def _distance_up_to(limit: float, one: Point, other: Point, *, is_exact: bool) -> float | None:
    """How far two points are from each other, or None if farther than `limit`."""
    metres = distance(one, other)
    if is_exact and metres <= limit * _NEARLY + 1:
        metres = exact_distance(one, other)
    return None if metres > limit else metres


def _distance_north(one: float, other: float) -> float:
    return EARTH_RADIUS_M * abs(other * _RADIANS - one * _RADIANS)


@dataclass(frozen=True, slots=True)
class Circle:
    middle: Point
    radius: float
    unit_m: float
    is_exact: bool = False  # What is found must be the same on every machine.

    @property
    def reach(self) -> Point:
        """How far it goes to the east and to the north."""
        return self.radius * self.unit_m, self.radius * self.unit_m

    @property
    def farthest(self) -> float:
        return self.radius * self.unit_m

    def distance_within(self, point: Point) -> float | None:
        """How far a point is from the middle, or None if it is not within."""
        return _distance_up_to(self.farthest, self.middle, point, is_exact=self.is_exact)


@dataclass(frozen=True, slots=True)
class Box:
    middle: Point
    width: float
    height: float
    unit_m: float
    is_exact: bool = False  # As of a circle.

    @property
    def reach(self) -> Point:
        """How far it goes to the east and to the north."""
        return self.unit_m * (self.width / 2), self.unit_m * (self.height / 2)

    @property
    def farthest(self) -> float:
        wide, high = self.width / 2, self.height / 2
        return math.sqrt(wide * wide + high * high) * self.unit_m

    def distance_within(self, point: Point) -> float | None:
        """How far a point is from the middle, or None if it is not within."""
        if _distance_north(point[1], self.middle[1]) > self.height * self.unit_m / 2:
            return None
        side = (self.middle[0], point[1])
        wide = self.width * self.unit_m / 2
        if _distance_up_to(wide, point, side, is_exact=self.is_exact) is None:
            return None
        return (exact_distance if self.is_exact else distance)(self.middle, point)


# --- Which squares to search.


def squares_around(shape: Circle | Box) -> Iterator[Square]:
    """Squares that cover a shape, each once, in Redis's order."""
    west, south, east, north = _bounds(shape)
    step = _step_for(shape.farthest, shape.middle[1])
    middle = square_of(shape.middle, step)
    # Near the edge of a square, those around it may not reach far enough.
    is_short = (
        middle.moved(0, 1).edges[3] < north
        or middle.moved(0, -1).edges[1] > south
        or middle.moved(1, 0).edges[2] < east
        or middle.moved(-1, 0).edges[0] > west
    )
    if step > 1 and is_short:
        step -= 1
        middle = square_of(shape.middle, step)
    edges = middle.edges
    last: Square | None = None
    for x, y in _AROUND:
        is_useless = step >= 2 and (
            (y < 0 and edges[1] < south)
            or (y > 0 and edges[3] > north)
            or (x < 0 and edges[0] < west)
            or (x > 0 and edges[2] > east)
        )
        square = middle.moved(x, y)
        # In a large search squares can meet on the other side of the earth.
        if not is_useless and square != last:
            yield square
            last = square


_AROUND: Final = ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1))


def _step_for(metres: float, latitude: float) -> int:
    """The size of squares of which nine cover so much, with a margin towards the poles."""
    if metres == 0:
        return STEP_MAX
    step = 1
    while metres < _MERCATOR_MAX:
        metres *= 2
        step += 1
    step -= 2
    if abs(latitude) > 66:
        step -= 2 if abs(latitude) > 80 else 1
    return max(1, min(STEP_MAX, step))


def _bounds(shape: Circle | Box) -> tuple[float, float, float, float]:
    """West, south, east, north of a shape; degrees."""
    longitude, latitude = shape.middle
    wide, high = shape.reach
    up = high / EARTH_RADIUS_M / _RADIANS
    # Of the two edges the one nearer to the equator reaches farther, in Redis as it is here.
    at = latitude - up if latitude < 0 else latitude + up
    side = wide / EARTH_RADIUS_M / _cosine(at * _RADIANS) / _RADIANS
    return longitude - side, latitude - up, longitude + side, latitude + up


def _cosine(angle: float) -> float:
    """The same on every machine for what lies on the earth."""
    if abs(angle) < 4:
        return trigonometry.cos(angle)
    return math.cos(angle) if math.isfinite(angle) else math.nan
