"""Rules for places."""

from __future__ import annotations

from math import isclose
from random import Random
from typing import TYPE_CHECKING

from hypothesis import strategies as st
from hypothesis.stateful import rule

from trimaran.proto.reply import Status

from .strategies import INTS, KEYS, Rules, alone, cased, options, pair

if TYPE_CHECKING:
    from trimaran.proto.reply import Reply

    from .driver import Word

# Each member has a place of its own, so that no two are equally far from anywhere.
_RANDOM = Random(4)
PLACES = [
    *((180.0, 85.05112878), (-180.0, -85.05112878), (0.0, 0.0), (179.99, 0.003), (-179.98, 0.001)),
    *((13.361389, 38.115556), (15.087269, 37.502669), (0.1, -84.9), (33.0, 84.99), (-90.5, 66.1)),
    *[
        (_RANDOM.random() * 4 + 13, _RANDOM.random() * 3 + 36)  # Some near each other,
        for _ in range(40)
    ],
    *[
        (_RANDOM.random() * 360 - 180, _RANDOM.random() * 170 - 85)  # and some anywhere.
        for _ in range(60)
    ],
]
NUMBERS = st.sampled_from(
    ["0", "1", "13.5", "-3.25", "200", "1000", "1e3", "180.1", "-180", "85.06"]
)
BAD = st.sampled_from(["nan", "inf", "x", "", "-1", "1e400", "85.05112879"])
COORDINATES = st.one_of(
    st.sampled_from(PLACES).map(lambda place: [repr(place[0]), repr(place[1])]),
    st.sampled_from([["15", "37"], ["0", "0"], ["-180", "85.05112878"], ["170", "-85"]]),
    st.tuples(NUMBERS | BAD, NUMBERS | BAD).map(list),
)
LENGTHS = st.one_of(
    st.sampled_from(["0", "1", "100", "150.5", "300", "1000", "5000", "9000", "20000", "1e9"]), BAD
)
GOOD_LENGTHS = st.sampled_from(
    ["0", "1", "30", "150", "500.5", "2000", "7000", "25000", "1e5", "1e6", "1e7", "1e9"]
)
UNITS = st.one_of(*[st.sampled_from(["m", "km", "ft", "mi", "KM", "Mi"])] * 6, st.just("x"))
MEMBERS = st.sampled_from([f"p{number}" for number in range(len(PLACES))] + ["absent"])
WITH = ["WITHDIST", "WITHHASH", "WITHCOORD", "withdist"]
ORDER = ["ASC", "DESC", "asc", "Desc"]
SEARCH_OPTIONS = options(
    *map(alone, [*WITH, *ORDER, "ANY"]),
    pair("COUNT", st.integers(1, 9).map(str)),
    pair("COUNT", INTS),
    alone("COUNT"),
    alone("BOGUS"),
)
FROM = st.one_of(
    pair("FROMMEMBER", MEMBERS),
    st.tuples(cased("FROMLONLAT"), COORDINATES).map(lambda one: [one[0], *one[1]]),
)
BY = st.one_of(
    st.tuples(cased("BYRADIUS"), LENGTHS, UNITS).map(list),
    st.tuples(cased("BYBOX"), LENGTHS, LENGTHS, UNITS).map(list),
)


class GeoRules(Rules):
    @rule(
        key=KEYS,
        numbers=st.lists(st.integers(0, len(PLACES) - 1), min_size=1, max_size=40),
        flags=st.sampled_from([[], [], [], ["NX"], ["XX", "CH"], ["CH"], ["NX", "XX"], ["BOGUS"]]),
        is_new=st.booleans(),
    )
    def geoadd(self, key: bytes, numbers: list[int], flags: list[str], is_new: bool) -> None:  # noqa: FBT001
        if is_new:
            self.check("DEL", self.key(key))
        words: list[Word] = []
        for number in numbers:
            words += [*map(repr, PLACES[number]), f"p{number}"]
        self.check("GEOADD", self.key(key), *flags, *words)

    @rule(key=KEYS, coordinates=COORDINATES, more=st.sampled_from([[], [], ["1"], ["1", "2", "x"]]))
    def geoadd_badly(self, key: bytes, coordinates: list[str], more: list[str]) -> None:
        self.check("GEOADD", self.key(key), *coordinates, "elsewhere", *more)
        self.check("ZREM", self.key(key), "elsewhere", "x")

    @rule(key=KEYS, members=st.lists(MEMBERS, max_size=4), unit=UNITS, name=st.booleans())
    def geopos(self, key: bytes, members: list[str], unit: str, name: bool) -> None:  # noqa: FBT001
        self.check("GEOPOS" if name else "GEOHASH", self.key(key), *members)
        if len(members) > 1:
            self.check("GEODIST", self.key(key), members[0], members[1])
            self.check("GEODIST", self.key(key), *members[:3], *[unit] * (len(members) < 4))

    @rule(key=KEYS, origin=FROM, shape=BY, options=SEARCH_OPTIONS, more=st.just([]) | FROM | BY)
    def geosearch(
        self,
        key: bytes,
        origin: list[Word],
        shape: list[Word],
        options: list[Word],
        more: list[Word],
    ) -> None:
        self._search_both("GEOSEARCH", self.key(key), *origin, *shape, *options, *more)

    @rule(keys=st.tuples(KEYS, KEYS), origin=FROM, shape=BY, options=SEARCH_OPTIONS)
    def geosearchstore(
        self,
        keys: tuple[bytes, bytes],
        origin: list[Word],
        shape: list[Word],
        options: list[Word],
    ) -> None:
        if b"any" not in {str(word).lower().encode() for word in options}:
            self.check("GEOSEARCHSTORE", *map(self.key, keys), *shape, *origin, *options)
            self.check_distances(self.key(keys[0]))

    @rule(
        keys=st.tuples(KEYS, KEYS),
        origin=COORDINATES,
        radius=st.tuples(LENGTHS, UNITS),
        options=SEARCH_OPTIONS,
        store=st.sampled_from(["", "", "", "STORE", "storedist"]),
        suffix=st.sampled_from(["", "_RO"]),
    )
    def georadius(
        self,
        keys: tuple[bytes, bytes],
        origin: list[str],
        radius: tuple[str, str],
        options: list[Word],
        store: str,
        suffix: str,
    ) -> None:
        words: list[Word] = [store, self.key(keys[1])] if store else []
        self._search_and_look(
            self.key(keys[1]),
            f"GEORADIUS{suffix}",
            self.key(keys[0]),
            *origin,
            *radius,
            *options,
            *words,
        )

    @rule(
        keys=st.tuples(KEYS, KEYS),
        member=MEMBERS,
        radius=st.tuples(LENGTHS, UNITS),
        options=SEARCH_OPTIONS,
        store=st.sampled_from(["", "", "", "STORE", "storedist"]),
        suffix=st.sampled_from(["", "_RO"]),
    )
    def georadiusbymember(
        self,
        keys: tuple[bytes, bytes],
        member: str,
        radius: tuple[str, str],
        options: list[Word],
        store: str,
        suffix: str,
    ) -> None:
        words: list[Word] = [store, self.key(keys[1])] if store else []
        self._search_and_look(
            self.key(keys[1]),
            f"GEORADIUSBYMEMBER{suffix}",
            self.key(keys[0]),
            member,
            *radius,
            *options,
            *words,
        )

    @rule(
        keys=st.tuples(KEYS, KEYS),
        count=st.integers(1, len(PLACES)),
        origin=st.one_of(
            st.sampled_from(PLACES).map(lambda place: ["FROMLONLAT", *map(repr, place)]),
            pair("FROMMEMBER", st.sampled_from(["p0", "p7", "p30"])),
        ),
        shape=st.one_of(
            st.tuples(st.just("BYRADIUS"), GOOD_LENGTHS).map(list),
            st.tuples(st.just("BYBOX"), GOOD_LENGTHS, GOOD_LENGTHS).map(list),
        ),
        unit=st.sampled_from(["m", "km", "ft", "mi"]),
        options=options(
            *map(alone, [*WITH, *ORDER]), pair("COUNT", st.sampled_from(["1", "3", "20", "200"]))
        ),
        is_any=st.booleans(),
    )
    def search_well(
        self,
        keys: tuple[bytes, bytes],
        count: int,
        origin: list[Word],
        shape: list[Word],
        unit: str,
        options: list[Word],
        is_any: bool,  # noqa: FBT001
    ) -> None:
        """Places that are there, asked for as they should be: even the order is the same."""
        source, target = map(self.key, keys)
        self.check("DEL", source)
        words: list[Word] = []
        for number, place in enumerate(PLACES[-count:]):
            words += [*map(repr, place), f"p{number}"]
        self.check("GEOADD", source, *words)
        asked: list[Word] = [*origin, *shape, unit]
        self.check("GEOSEARCH", source, *asked, *options, *["COUNT", "4", "ANY"] * is_any)
        self.check("GEOSEARCHSTORE", target, source, *asked)
        self.check("DEBUG", "DIGEST-VALUE", target)
        if target != source:
            self.check("GEOSEARCHSTORE", target, source, *asked, "STOREDIST")
            self.check_distances(target)

    def _search_and_look(self, target: bytes, *args: Word) -> None:
        self._search_both(*args)
        self.check_distances(target)

    def check_distances(self, target: bytes) -> None:
        """What may be stored there are distances, whose last digit is the C library's."""
        if self.run_both("TYPE", target)[1] != Status("zset"):
            return
        ours, theirs = self.run_both("ZRANGE", target, 0, -1)
        assert _unordered(ours) == _unordered(theirs)
        assert isinstance(theirs, list)
        for member in theirs:
            one, other = (float(_text(score)) for score in self.run_both("ZSCORE", target, member))
            assert isclose(one, other, rel_tol=1e-14), member
        self.check("DEL", target)

    def _search_both(self, *args: Word) -> None:
        ours, theirs = self.run_both(*args)
        assert _unordered(ours) == _unordered(theirs), f"{args}: {ours!r}, {theirs!r}"

    @rule(key=KEYS, scores=st.lists(st.floats(allow_nan=False).map(repr), max_size=3))
    def places_of_any_score(self, key: bytes, scores: list[str]) -> None:
        self.check("DEL", self.key(key))
        for number, score in enumerate([*scores, "inf", "-inf", "-1", "1e19", "-1e19"]):
            self.check("ZADD", self.key(key), score, f"p{number}")
        self.check("GEOPOS", self.key(key), *[f"p{number}" for number in range(8)])
        self.check("GEOHASH", self.key(key), *[f"p{number}" for number in range(8)])
        self._search_both("GEOSEARCH", self.key(key), "FROMLONLAT", 0, 0, "BYRADIUS", 30000, "km")


def _unordered(reply: Reply) -> Reply:
    return sorted(reply, key=repr) if isinstance(reply, list) else reply


def _text(score: Reply) -> str:
    """Of a score as it comes in RESP 2 or 3."""
    return score.decode() if isinstance(score, bytes) else repr(score)
