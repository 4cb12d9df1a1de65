"""Rows of the command table: geographic sets."""

from __future__ import annotations

from ..command import (
    ACCESS,
    GEO,
    GROWS,
    ONE,
    READ,
    TWO,
    WRITE,
    Command,
    StoreOption,
)
from ..doc import Doc

_TARGETS = (b"STORE", b"STOREDIST")
_COUNT = ((b"COUNT", 1),)
_STORES = "RO access; OW update"

# fmt: off
ROWS: tuple[Command, ...] = (
    #       name                     arity  flags          keys category
    Command(b"GEOADD",                  -5, WRITE | GROWS, ONE, GEO, key_flags="RW update"),
    Command(b"GEODIST",                 -4, READ,          ONE, GEO, key_flags=ACCESS),
    Command(b"GEOHASH",                 -2, READ,          ONE, GEO, key_flags=ACCESS),
    Command(b"GEOPOS",                  -2, READ,          ONE, GEO, key_flags=ACCESS),
    Command(b"GEORADIUS",               -6, WRITE | GROWS, ONE, GEO, key_flags=_STORES,
            finder=StoreOption(_TARGETS, 6, is_told=True, skipped=_COUNT)),
    Command(b"GEORADIUSBYMEMBER",       -5, WRITE | GROWS, ONE, GEO, key_flags=_STORES,
            finder=StoreOption(_TARGETS, 5, is_told=True, skipped=_COUNT)),
    Command(b"GEORADIUSBYMEMBER_RO",    -5, READ,          ONE, GEO, key_flags=ACCESS),
    Command(b"GEORADIUS_RO",            -6, READ,          ONE, GEO, key_flags=ACCESS),
    Command(b"GEOSEARCH",               -7, READ,          ONE, GEO, key_flags=ACCESS),
    Command(b"GEOSEARCHSTORE",          -8, WRITE | GROWS, TWO, GEO,
            key_flags="OW update; RO access"),
)
# fmt: on

_MEMBERS = "O(N log M) where N is the number of members named and M of those there are"
_SEARCH = "O(N + log M) where N is the number of members near the shape and M of all"
_READS = "`GEOSEARCH` with the `!BYRADIUS` "


def _doc(
    since: str, complexity: str, summary: str, deprecated_since: str = "", replaced_by: str = ""
) -> Doc:
    return Doc("geo", since, complexity, summary, deprecated_since, replaced_by)


DOCS: dict[bytes, Doc] = {
    b"GEOADD": _doc("3.2.0", _MEMBERS, "Adds places to a geographic set, or moves them."),
    b"GEODIST": _doc("3.2.0", "O(1)", "Answers how far one place is from another."),
    b"GEOHASH": _doc("3.2.0", "O(1) for each member named", "Answers places as geohash texts."),
    b"GEOPOS": _doc("3.2.0", "O(1) for each member named", "Answers longitudes and latitudes."),
    b"GEORADIUS": _doc(
        "3.2.0",
        _SEARCH,
        "Finds the places within a circle around a point, and stores them if asked.",
        "6.2.0",
        "`GEOSEARCH` and `GEOSEARCHSTORE` with the `!BYRADIUS` argument",
    ),
    b"GEORADIUSBYMEMBER": _doc(
        "3.2.0",
        _SEARCH,
        "Finds the places within a circle around a member, and stores them if asked.",
        "6.2.0",
        "`GEOSEARCH` and `GEOSEARCHSTORE` with the `!BYRADIUS` and `!FROMMEMBER` arguments",
    ),
    b"GEORADIUSBYMEMBER_RO": _doc(
        "3.2.10",
        _SEARCH,
        "Finds the places within a circle around a member.",
        "6.2.0",
        _READS + "and `!FROMMEMBER` arguments",
    ),
    b"GEORADIUS_RO": _doc(
        "3.2.10",
        _SEARCH,
        "Finds the places within a circle around a point.",
        "6.2.0",
        _READS + "argument",
    ),
    b"GEOSEARCH": _doc("6.2.0", _SEARCH, "Finds the places within a circle or a box."),
    b"GEOSEARCHSTORE": _doc("6.2.0", _SEARCH, "Stores the places within a circle or a box."),
}

ARGUMENTS: dict[bytes, str] = {
    b"GEOADD": (
        "key [condition(NX|XX)] [change=CH] longitude_latitude_member{longitude:double "
        "latitude:double member}..."
    ),
    b"GEODIST": "key member1 member2 [unit(M|KM|FT|MI)]",
    b"GEOHASH": "key member...",
    b"GEOPOS": "key member...",
    b"GEORADIUS": (
        "key longitude:double latitude:double radius:double unit(M|KM|FT|MI) [WITHCOORD] "
        "[WITHDIST] [WITHHASH] [count{COUNT count:integer [ANY]}] [order(ASC|DESC)] [STORE key] "
        "[STOREDIST key]"
    ),
    b"GEORADIUSBYMEMBER": (
        "key member radius:double unit(M|KM|FT|MI) [WITHCOORD] [WITHDIST] [WITHHASH] [count{COUNT "
        "count:integer [ANY]}] [order(ASC|DESC)] [STORE key] [STOREDIST key]"
    ),
    b"GEORADIUSBYMEMBER_RO": (
        "key member radius:double unit(M|KM|FT|MI) [WITHCOORD] [WITHDIST] [WITHHASH] [count{COUNT "
        "count:integer [ANY]}] [order(ASC|DESC)]"
    ),
    b"GEORADIUS_RO": (
        "key longitude:double latitude:double radius:double unit(M|KM|FT|MI) [WITHCOORD] "
        "[WITHDIST] [WITHHASH] [count{COUNT count:integer [ANY]}] [order(ASC|DESC)]"
    ),
    b"GEOSEARCH": (
        "key from(FROMMEMBER member|FROMLONLAT longitude_latitude{longitude:double "
        "latitude:double}) by(circle{BYRADIUS radius:double unit(M|KM|FT|MI)}|box{BYBOX "
        "width:double height:double unit(M|KM|FT|MI)}) [order(ASC|DESC)] [count{COUNT "
        "count:integer [ANY]}] [WITHCOORD] [WITHDIST] [WITHHASH]"
    ),
    b"GEOSEARCHSTORE": (
        "destination:key source:key from(FROMMEMBER member|FROMLONLAT "
        "longitude_latitude{longitude:double latitude:double}) by(circle{BYRADIUS radius:double "
        "unit(M|KM|FT|MI)}|box{BYBOX width:double height:double unit(M|KM|FT|MI)}) "
        "[order(ASC|DESC)] [count{COUNT count:integer [ANY]}] [STOREDIST]"
    ),
}
