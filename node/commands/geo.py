"""Places: sorted sets whose scores are geohashes; searches by circle and by box.

What the numbers mean is in `node/data/geohash.py`. A search walks the scores of up to nine squares
and costs what is in them. What it stores is computed so that all replicas agree, to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Final

from ...proto.reply import NULL_ARRAY, DecimalReply, Reply
from ..data.geohash import (
    LATITUDE_MAX,
    LONGITUDE_MAX,
    Box,
    Circle,
    Point,
    distance,
    point_of,
    score_of,
    squares_around,
    text_of,
)
from ..data.sorted_set import SortedSet
from ..errors import CommandError
from .arguments import int_argument, syntax_error
from .doubles import PLAIN_MAX, double_argument
from .sorted_set_ranges import store
from .sorted_sets import add_key, check_reply, zadd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..data.keyspace import Keyspace
    from ..request import Args
    from .context import Context

# Members of the squares that one search looks at, at 5 µs each: a node that leads is never silent
# for as long as an election timeout,
LOOKS_MAX: Final = 300_000
STORED_MAX: Final = 100_000  # and places it computes for all replicas alike, which takes longer.

_UNITS_M: Final = {b"M": 1.0, b"KM": 1000.0, b"FT": 0.3048, b"MI": 1609.34}
_GEOADD_WORDS: Final = (b"NX", b"XX", b"CH")
_NOWHERE: Final = (0.0, 0.0)
_PLAIN: Final = b"0123456789.-"


# --- Places in and out.


def geoadd(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """GEOADD key [NX|XX] [CH] longitude latitude member ...: as ZADD."""
    if len(args) == 5 and not keys.watches.watched:  # What most are, with few calls.
        _, key, longitude_text, latitude_text, member = args
        text = longitude_text + latitude_text
        # Digits and points alone mean the same to Python.
        if not text.strip(_PLAIN) and len(text) <= 2 * PLAIN_MAX:
            try:
                longitude, latitude = float(longitude_text), float(latitude_text)
            except ValueError:
                longitude = latitude = inf
            if (
                -LONGITUDE_MAX <= longitude <= LONGITUDE_MAX
                and -LATITUDE_MAX <= latitude <= LATITUDE_MAX
            ):
                value, score = keys.change(key, SortedSet), score_of(longitude, latitude)
                before = None
                if value is None:
                    add_key(keys, key, member, score, ctx)
                else:
                    before = value.put(member, score, ctx.settings)
                if ctx.events is not None and before != score:
                    ctx.notify("z", "zadd", key)
                return 1 if before is None else 0
    place = 2
    while place < len(args) and args[place].upper() in _GEOADD_WORDS:
        place += 1
    words, rest = args[2:place], args[place:]
    if len(rest) % 3 or {b"NX", b"XX"} <= {word.upper() for word in words}:
        raise syntax_error()
    scores: list[bytes] = []
    for at in range(0, len(rest), 3):
        scores += (_score(rest[at], rest[at + 1]), rest[at + 2])
    return zadd(keys, [*args[:place], *scores], ctx)


def _score(longitude_text: bytes, latitude_text: bytes) -> bytes:
    return b"%d" % score_of(*_point(longitude_text, latitude_text))


def _point(longitude_text: bytes, latitude_text: bytes) -> Point:
    longitude, latitude = double_argument(longitude_text), double_argument(latitude_text)
    if abs(longitude) > LONGITUDE_MAX or abs(latitude) > LATITUDE_MAX:
        raise CommandError(f"invalid longitude,latitude pair {longitude:f},{latitude:f}")
    return longitude, latitude


def geopos(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """GEOPOS key member ...: longitude and latitude of each, or nil."""
    value = keys.find(args[1], SortedSet)
    points = [_place_of(value, member) for member in args[2:]]
    return [NULL_ARRAY if point is None else _coordinates(point) for point in points]


def geohash(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """GEOHASH key member ...: the place of each in letters, or nil."""
    value = keys.find(args[1], SortedSet)
    points = [_place_of(value, member) for member in args[2:]]
    return [None if point is None else text_of(point) for point in points]


def geodist(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """GEODIST key member member [M|KM|FT|MI]: how far one is from the other, or nil."""
    if len(args) > 5:
        raise syntax_error()
    unit_m = _unit(args[4]) if len(args) == 5 else 1.0
    value = keys.find(args[1], SortedSet)
    one, other = _place_of(value, args[2]), _place_of(value, args[3])
    return None if one is None or other is None else _shown(distance(one, other) / unit_m)


def _place_of(value: SortedSet | None, member: bytes) -> Point | None:
    score = None if value is None else value.score(member)
    return None if score is None else point_of(score)


def _coordinates(point: Point) -> Reply:
    return [DecimalReply(point[0]), DecimalReply(point[1])]


def _shown(length: float) -> bytes:
    return b"%.4f" % length


def _unit(word: bytes) -> float:
    unit_m = _UNITS_M.get(word.upper())
    if unit_m is None:
        raise CommandError("unsupported unit provided. please use M, KM, FT, MI")
    return unit_m


# --- Searches.


@dataclass(slots=True)
class _Search:
    """What the words of a search ask for."""

    value: SortedSet | None
    is_stored: bool = False  # There is a target, and it takes the place of a reply.
    target: bytes = b""
    by_distance: bool = False  # Distances are stored in place of scores.
    middle: Point | None = None
    shape: tuple[float, ...] | None = None  # A radius, or width and height.
    unit_m: float = 1.0
    count: int = 0
    is_any: bool = False
    order: bytes | None = None
    has_coordinates: bool = False
    has_distance: bool = False
    has_hash: bool = False


@dataclass(frozen=True, slots=True)
class _Found:
    member: bytes
    score: float
    point: Point
    metres: float


def geosearch(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """GEOSEARCH key FROMMEMBER member | FROMLONLAT longitude latitude BYRADIUS radius unit | BYBOX
    width height unit [ASC|DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]: members."""
    search = _Search(keys.find(args[1], SortedSet))
    _read_words(search, args[2:], _SEARCH_WORDS)
    return _answer(keys, search, "GEOSEARCH", ctx)


def geosearchstore(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """GEOSEARCHSTORE target key ... as GEOSEARCH [STOREDIST]: how many members are stored."""
    search = _Search(keys.find(args[2], SortedSet), is_stored=True, target=args[1])
    _read_words(search, args[3:], {*_SEARCH_WORDS, b"STOREDIST ALONE"})
    return _answer(keys, search, "GEOSEARCHSTORE", ctx)


def georadius(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """GEORADIUS key longitude latitude radius unit [WITHCOORD] [WITHDIST] [WITHHASH]
    [COUNT count [ANY]] [ASC|DESC] [STORE target] [STOREDIST target]: members, or how many."""
    return _radius(keys, args, ctx, {b"STORE", b"STOREDIST"})


def georadius_ro(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """GEORADIUS_RO: as GEORADIUS, without a target."""
    return _radius(keys, args, ctx, set())


def georadiusbymember(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """GEORADIUSBYMEMBER key member radius unit ...: as GEORADIUS, around a member."""
    return _radius_by_member(keys, args, ctx, {b"STORE", b"STOREDIST"})


def georadiusbymember_ro(keys: Keyspace, args: Args, ctx: Context) -> Reply:
    """GEORADIUSBYMEMBER_RO: as GEORADIUSBYMEMBER, without a target."""
    return _radius_by_member(keys, args, ctx, set())


def _radius(keys: Keyspace, args: Args, ctx: Context, allowed: set[bytes]) -> Reply:
    search = _Search(keys.find(args[1], SortedSet))
    search.middle = _point(args[2], args[3])
    _read_radius(search, args[4], args[5])
    _read_words(search, args[6:], allowed)
    return _answer(keys, search, "GEORADIUS", ctx)


def _radius_by_member(keys: Keyspace, args: Args, ctx: Context, allowed: set[bytes]) -> Reply:
    search = _Search(keys.find(args[1], SortedSet))
    if search.value is not None:  # Redis reads no further then.
        search.middle = _middle_of(search, args[2])
        _read_radius(search, args[3], args[4])
    _read_words(search, args[5:], allowed)
    return _answer(keys, search, "GEORADIUS", ctx)


def _answer(keys: Keyspace, search: _Search, command: str, ctx: Context) -> Reply:
    _check(search, command)
    found = [] if search.value is None else _ordered(search, _found(search, search.value))
    if not search.is_stored:
        check_reply([one.member for one in found])
        return [_told(one, search) for one in found]
    event = "geosearchstore" if command == "GEOSEARCHSTORE" else "georadiusstore"
    if search.by_distance:
        pairs = [(one.member, one.metres / search.unit_m) for one in found]
    else:
        pairs = [(one.member, one.score) for one in found]
    return store(keys, search.target, pairs, event, ctx)


def _check(search: _Search, command: str) -> None:
    is_search = command.startswith("GEOSEARCH")
    if search.is_stored and (search.has_distance or search.has_hash or search.has_coordinates):
        name = "GEOSEARCHSTORE" if is_search else "STORE option in GEORADIUS"
        raise CommandError(
            f"{name} is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
        )
    if is_search and search.middle is None:
        raise CommandError(
            f"exactly one of FROMMEMBER or FROMLONLAT can be specified for {command}"
        )
    if is_search and search.shape is None:
        raise CommandError(f"exactly one of BYRADIUS and BYBOX can be specified for {command}")
    if search.is_any and not search.count:
        raise CommandError("the ANY argument requires COUNT argument")


# --- The words of a search.

_SEARCH_WORDS: Final = {b"FROMMEMBER", b"FROMLONLAT", b"BYRADIUS", b"BYBOX"}
_VALUES: Final = {  # How many arguments follow a word.
    b"COUNT": 1,
    b"STORE": 1,
    b"STOREDIST": 1,
    b"FROMMEMBER": 1,
    b"FROMLONLAT": 2,
    b"BYRADIUS": 2,
    b"BYBOX": 3,
}


def _read_words(search: _Search, words: Sequence[bytes], allowed: set[bytes]) -> None:
    froms: set[bytes] = set()
    place = 0
    while place < len(words):
        word = words[place].upper()
        if word == b"STOREDIST" and b"STOREDIST ALONE" in allowed:
            search.by_distance = True
        elif _is_flag(search, word):
            pass
        elif word == b"COUNT" or word in allowed:
            values = words[place + 1 : place + 1 + _VALUES[word]]
            if len(values) < _VALUES[word] or _is_second(search, word, froms):
                raise syntax_error()
            _read_values(search, word, values)
            froms.add(word)
            place += len(values)
        else:
            raise syntax_error()
        place += 1


def _is_flag(search: _Search, word: bytes) -> bool:
    """Whether it is a word that stands alone, which is noted then."""
    match word:
        case b"WITHDIST":
            search.has_distance = True
        case b"WITHHASH":
            search.has_hash = True
        case b"WITHCOORD":
            search.has_coordinates = True
        case b"ANY":
            search.is_any = True
        case b"ASC" | b"DESC":
            search.order = word
        case _:
            return False
    return True


def _is_second(search: _Search, word: bytes, before: set[bytes]) -> bool:
    """Whether the other word of a pair stands before it: of the same one the last counts."""
    others = {
        b"FROMMEMBER": b"FROMLONLAT",
        b"FROMLONLAT": b"FROMMEMBER",
        b"BYRADIUS": b"BYBOX",
        b"BYBOX": b"BYRADIUS",
    }
    return others.get(word) in before


def _read_values(search: _Search, word: bytes, values: Sequence[bytes]) -> None:
    match word:
        case b"COUNT":
            search.count = int_argument(values[0])
            if search.count <= 0:
                raise CommandError("COUNT must be > 0")
        case b"STORE" | b"STOREDIST":
            search.is_stored, search.target = True, values[0]
            search.by_distance = word == b"STOREDIST"
        case b"FROMMEMBER":
            # Without a key there is nothing to look up, nor to find.
            search.middle = _NOWHERE if search.value is None else _middle_of(search, values[0])
        case b"FROMLONLAT":
            search.middle = _point(values[0], values[1])
        case b"BYRADIUS":
            _read_radius(search, values[0], values[1])
        case _:
            _read_box(search, *values)


def _middle_of(search: _Search, member: bytes) -> Point:
    point = _place_of(search.value, member)
    if point is None:
        raise CommandError("could not decode requested zset member")
    return point


def _read_radius(search: _Search, radius_text: bytes, unit: bytes) -> None:
    radius = double_argument(radius_text, "need numeric radius")
    if radius < 0:
        raise CommandError("radius cannot be negative")
    search.shape, search.unit_m = (radius,), _unit(unit)


def _read_box(search: _Search, width_text: bytes, height_text: bytes, unit: bytes) -> None:
    width = double_argument(width_text, "need numeric width")
    height = double_argument(height_text, "need numeric height")
    if height < 0 or width < 0:
        raise CommandError("height or width cannot be negative")
    search.shape, search.unit_m = (width, height), _unit(unit)


# --- What is found.


def _found(search: _Search, value: SortedSet) -> list[_Found]:
    """What lies within the shape; with ANY no more than enough."""
    assert search.middle is not None
    assert search.shape is not None
    shape: Circle | Box
    if len(search.shape) == 1:
        shape = Circle(search.middle, search.shape[0], search.unit_m, search.is_stored)
    else:
        width, height = search.shape
        shape = Box(search.middle, width, height, search.unit_m, search.is_stored)
    enough = search.count if search.is_any else len(value)
    ranges = [[value.rank_of(score) for score in one.scores] for one in squares_around(shape)]
    if sum([max(0, stop - start) for start, stop in ranges]) > LOOKS_MAX and not search.is_any:
        raise CommandError(f"more than {LOOKS_MAX} members are near: use a smaller shape, or ANY")
    found: list[_Found] = []
    looks = 0
    for start, stop in ranges:
        for piece in value.pieces(start, stop):
            for member, score in piece:
                point = point_of(score)
                metres = shape.distance_within(point)
                if metres is not None:
                    found.append(_Found(member, score, point, metres))
                    if search.is_stored and len(found) > STORED_MAX:
                        raise CommandError(f"more than {STORED_MAX} members would be stored")
                    if len(found) >= enough:
                        return found
            looks += len(piece)
            if looks > LOOKS_MAX:  # With ANY: enough were to be found before.
                raise CommandError(f"{LOOKS_MAX} members are near, and not enough in the shape")
    return found


def _ordered(search: _Search, found: list[_Found]) -> list[_Found]:
    """Sorted as asked, and no more than asked for: the nearest, if nothing else is said."""
    if search.order is not None or (search.count and not search.is_any):
        found.sort(key=lambda one: one.metres, reverse=search.order == b"DESC")
    return found[: search.count] if search.count else found


def _told(one: _Found, search: _Search) -> Reply:
    told: list[Reply] = [one.member]
    if search.has_distance:
        told.append(_shown(one.metres / search.unit_m))
    if search.has_hash:
        told.append(int(one.score))
    if search.has_coordinates:
        told.append(_coordinates(one.point))
    return told if len(told) > 1 else one.member
